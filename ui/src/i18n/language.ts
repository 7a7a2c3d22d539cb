/**
 * The language of the screen: English, or German beside it. Every text stands in both at its place of use, so that one
 * without the other does not compile (ADR 31). Which one is spoken is part of the address the window opens, and is known
 * before the first module of the screen asks for a text; another choice opens the window anew.
 */

/** What can be spoken: BCP 47 tags; `qps-ploc` is the pseudo-locale of the tests. */
export type Language = 'en' | 'de' | 'qps-ploc';

/** What a workstation may be set to. */
export type Spoken = Exclude<Language, 'qps-ploc'>;

/** The choice, each by its own name: who cannot read the one has to find the other. */
export const SPOKEN: readonly { tag: Spoken; name: string }[] = [
  { tag: 'en', name: 'English' },
  { tag: 'de', name: 'Deutsch' },
];

const TAGS: readonly Language[] = ['en', 'de', 'qps-ploc'];

/** The language an address names, as in `index.html?language=de`; English where it names none we have. */
export function languageOf(search: string): Language {
  const named = new URLSearchParams(search).get('language');
  return TAGS.find((tag) => tag === named) ?? 'en';
}

/** What this screen speaks. */
export const LANGUAGE: Language = languageOf(globalThis.location?.search ?? '');

/** Opens the page anew in another language. */
export function openIn(language: Spoken): void {
  const address = new URLSearchParams(globalThis.location.search);
  address.set('language', language);
  globalThis.location.search = address.toString();
}

/** A text in the language that is spoken: `say('Close', 'Schließen')`. */
export const say: (en: string, de: string) => string =
  LANGUAGE === 'de' ? (_en, de) => de : LANGUAGE === 'qps-ploc' ? (en) => pseudo(en) : (en) => en;

const ACCENTED: Record<string, string> = {
  a: 'á', c: 'ç', e: 'é', i: 'í', n: 'ñ', o: 'ö', s: 'š', u: 'ü', y: 'ý', z: 'ž',
  A: 'Â', C: 'Ç', E: 'Ê', I: 'Î', N: 'Ñ', O: 'Ø', S: 'Š', U: 'Û', Y: 'Ý', Z: 'Ž',
};

/** English that can still be read, three tenths longer and between `«` and `»`: what lacks them on a screen is not translated. */
export function pseudo(text: string): string {
  if (text === '') return text;
  const accented = text.replace(/[a-z]/gi, (letter) => ACCENTED[letter] ?? letter);
  return `«${accented}${'·'.repeat(Math.floor(text.length * 0.3))}»`;
}

/** The names of keys as they stand on the keyboard: `keyText('Ctrl+K')` is `Strg+K` in German. */
export function keyText(keys: string): string {
  if (LANGUAGE !== 'de') return keys;
  return keys.replace(/Ctrl|Shift|Enter|Space|Delete|PageUp|PageDown|Home|End/g, (key) => GERMAN_KEYS[key] ?? key);
}

const GERMAN_KEYS: Record<string, string> = {
  Ctrl: 'Strg', Shift: 'Umschalt', Enter: 'Eingabe', Space: 'Leertaste', Delete: 'Entf', PageUp: 'Bild ↑', PageDown: 'Bild ↓', Home: 'Pos1', End: 'Ende',
};
