/** Two languages (ADR 31): which one an address asks for, and what depends on it. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { keyText, languageOf, pseudo, say } from '../src/i18n/language';
import { AGE_WORDS, WORDS } from '../src/i18n/words';
import type { AllergyStripView } from '../src/wire/AllergyStripView';
import type { PatientRowView } from '../src/wire/PatientRowView';
import type { SectionAge } from '../src/wire/SectionAge';
import type { StatusView } from '../src/wire/StatusView';

describe('the language of an address', () => {
  test('is one that there is, or English', () => {
    expect(languageOf('?language=de')).toBe('de');
    expect(languageOf('?x=1&language=en')).toBe('en');
    expect(languageOf('?language=qps-ploc')).toBe('qps-ploc');
    for (const search of ['', '?', '?language=', '?language=fr', '?language=DE', '?language=de-DE', '?lang=de']) expect(languageOf(search), search).toBe('en');
  });

  test('without one everything is English', () => {
    expect([say('Close', 'Schließen'), AGE_WORDS.old, WORDS.noneRecorded('allergies')]).toEqual(['Close', 'OFFLINE — OLD DATA', 'No allergies on record']);
    expect(keyText('Ctrl+Shift+Enter')).toBe('Ctrl+Shift+Enter');
  });

  test('the pseudo-locale is read as English, is longer, and says where it ends', () => {
    expect(pseudo('Close')).toBe('«Çlöšé·»');
    expect(pseudo('12 %')).toBe('«12 %·»');
    expect(pseudo('')).toBe('');
  });
});

/** Opens the address of a language: every module from now on speaks it. */
function speak(language: string): void {
  vi.resetModules();
  window.history.replaceState(null, '', `?language=${language}`);
}
const silence = () => {
  vi.resetModules();
  window.history.replaceState(null, '', '?');
};

/** Every text in it; functions are asked with something. */
function textsOf(value: unknown, at = ''): [at: string, text: string][] {
  if (typeof value === 'string') return [[at, value]];
  if (typeof value === 'function') return textsOf(value(at.endsWith('found') ? 2 : 'X', 'Y'), at);
  return Object.entries(value as object).flatMap(([key, each]) => textsOf(each, `${at}.${key}`));
}

const AGE: SectionAge = { age: 'live', text: '', complete: true, as_of_ms: 0 };
const NOTHING: AllergyStripView = {
  patient: 'p', state: 'known', label: '', items: [], refuted: [], negatives: [], conflict_text: null, disputes: [], updated_text: null,
};
const row = (bed: string) => ({ bed, born_text: 'x', number_text: '1', acuity: '1', critical_text: null, news2: null }) as PatientRowView;

describe('in German', () => {
  beforeEach(() => speak('de'));
  afterEach(silence);

  test('words and keys are German', async () => {
    const [language, words] = [await import('../src/i18n/language'), await import('../src/i18n/words')];
    expect([language.LANGUAGE, language.say('Close', 'Schließen')]).toEqual(['de', 'Schließen']);
    expect(words.AGE_WORDS).toEqual({
      live: 'LIVE', delayed: 'VERZÖGERT', stale: 'VERALTET', offline: 'OFFLINE', old: 'OFFLINE — ALTE DATEN', partial: 'NICHT VOLLSTÄNDIG GELADEN',
      unavailable: 'NICHT VERFÜGBAR', 'not-on-this-workstation': 'NICHT AN DIESEM ARBEITSPLATZ',
    });
    expect(['Ctrl+K', 'Shift+F3', 'Ctrl + +', 'Home', 'End', 'Space', 'Esc'].map(language.keyText)).toEqual(['Strg+K', 'Umschalt+F3', 'Strg + +', 'Pos1', 'Ende', 'Leertaste', 'Esc']);
    expect(words.WORDS.studiesNotLoaded).toContain('(Strg+8)');
  });

  test('no word of the screen is as in English, but for names', async () => {
    const german = textsOf((await import('../src/i18n/words')).WORDS);
    const english = new Map(textsOf(WORDS));
    expect(german.length).toBe(english.size);
    expect(german.filter(([at, text]) => english.get(at) === text).map(([at]) => at)).toEqual(['.product']);
  });

  test('any noun fits into a sentence', async () => {
    const { WORDS: de } = await import('../src/i18n/words');
    expect([de.noneRecorded('frühere Medikamente'), de.partialEmpty('frühere Medikamente'), de.notHere('Allergien'), de.broken('Allergien'), de.loading('Akte')]).toEqual([
      'Keine Angaben: frühere Medikamente',
      'Frühere Medikamente: nicht vollständig geladen — als unbekannt behandeln',
      'Allergien: nicht an diesem Arbeitsplatz — als unbekannt behandeln',
      'Allergien: Anzeige nicht möglich — als unbekannt behandeln',
      'Wird geladen: Akte …',
    ]);
  });

  test('what the engine says in German is known: the word of the strip is said once, a name that is none is not shortened', async () => {
    const [safety, board, notes] = [await import('../src/domain/safety'), await import('../src/domain/board'), await import('../src/domain/noteStatus')];
    const status = { age: 'stale', sentence: 'VERALTET — veraltet, Stand 21-Nov-2026 04:31.' } as StatusView;
    expect(safety.stripWords(status, false)).toEqual({ age: 'stale', lead: 'VERALTET', sentence: 'Stand 21-Nov-2026 04:31.' });
    expect(safety.showAllergies(NOTHING, AGE).label).toBe('ALLERGIEN NICHT VERFÜGBAR — als unbekannt behandeln');
    expect(safety.showAllergies({ ...NOTHING, state: 'not-recorded' }, { ...AGE, complete: false }).label).toBe('ALLERGIEN NICHT VOLLSTÄNDIG GELADEN — als unbekannt behandeln');
    expect(['Nicht dokumentiert', 'Name nicht dokumentiert', 'Unbekannt', 'MÜLLER, Äne (Fr)'].map(board.initialsOf)).toEqual(['Nicht dokumentiert', 'Name nicht dokumentiert', 'Unbekannt', 'Ä M']);
    const doubtful = { word: 'VORLÄUFIG', meaning: 'kann sich noch ändern', doubtful: true };
    expect(notes.noteStatus('21-Nov-2026, Dr RAO, preliminary')).toEqual(doubtful);
    expect(notes.noteStatus('21-Nov-2026, Dr RAO, vorläufig')).toEqual(doubtful);
    expect(notes.noteStatus('21-Nov-2026, Dr RAO, entered-in-error')).toMatchObject({ word: 'IRRTÜMLICH EINGETRAGEN', meaning: 'nicht verwenden', doubtful: true });
  });

  test('numbers, cases and spans', async () => {
    const [board, safety, courses] = [await import('../src/domain/board'), await import('../src/domain/safety'), await import('../src/domain/courses')];
    const [results, wall] = [await import('../src/domain/results'), await import('../src/domain/wall')];
    expect(board.filterText([row('1')], ['1'])).toBe('Dringlichkeit 1: 1 von 1 Patienten');
    expect(board.hiddenByFilter([row('1')], ['2'])?.map(({ words, beds }) => [words, ...beds])).toEqual([['Durch den Filter verborgen: 1 Patient'], ['1 mit Dringlichkeit 1 oder 2: Bett', '1']]);
    expect(board.outOfView([row('1'), row('2')], 'below')?.[0]?.words).toBe('2 weitere Zeilen unterhalb');
    expect(safety.hiddenText([{ name: 'Warfarin', risk: true }], 'above', 4, ['Medikament', 'Medikamente'])).toEqual({ count: '1 Medikament oberhalb', risk: ['Warfarin'], rest: [] });
    expect([courses.counted(1, 'älterer Wert', 'ältere Werte'), courses.counted(1234, 'Wert', 'Werte')]).toEqual(['1 älterer Wert', '1,234 Werte']);
    const sheet = { patient: 'p', now_ms: 86_400_000 * 2, hours: [], series: null } as unknown as Parameters<typeof courses.spanOf>[0];
    const span = courses.spanOf(sheet, 24);
    expect([span.from_text, span.older_text]).toEqual(['vor 24 Std', 'älter als 24 Std']);
    expect(courses.olderText([{ older: 1 } as Parameters<typeof courses.olderText>[0][number]], span)).toBe('1 Wert älter als 24 Std');
    expect([results.spanText(3900), results.spanText(2 * 86_400 + 3 * 3600), results.overdueText(600), wall.spanText(3_900_000), wall.spanText(42_000)]).toEqual(['1 Std 5 Min', '2 T 3 Std', 'Überfällig seit 10 Min', '1 Std 5 Min', '42 s']);
  });

  test('lines of the help and of the palette differ from each other, and their groups are told apart', async () => {
    const keys = await import('../src/state/keys');
    const titles = keys.KEY_HELP.map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
    expect(titles).toContain(keys.WORKSTATION_GROUP);
    expect(titles).toContain(keys.EMERGENCY_GROUP);
    for (const { title, keys: lines } of keys.KEY_HELP) expect(new Set(lines.map(({ text }) => text)).size, title).toBe(lines.length);
  });

  // The whole app is loaded anew for it.
  test('a screen: its words, its keys, its window', { timeout: 60_000 }, async () => {
    const { leave, screen, words } = await import('./onScreen');
    const { matching } = await import('../src/state/palette.svelte');
    const { togglePalette } = await import('../src/state/acts');
    try {
      const app = await screen('board');
      expect(words(document.querySelector('[data-testid="open-palette"]'))).toBe('Aktionen Strg+K');
      expect(words(document.querySelector('.table .head'))).toContain('Bett');
      expect(document.title).toBe('Vitrine');
      togglePalette(app);
      const all = app.palette?.all ?? [];
      expect(matching(all, 'strg+l').map(({ text }) => text)).toEqual(['Sperren, Benutzer wechseln']);
      expect(matching(all, 'notfallzug')[0]?.act).toBe('break-glass');
      expect(all.at(-1)?.act).toBe('break-glass');
      expect(all.filter(({ group }) => group === 'Arbeitsplatz').slice(-2).map(({ act }) => act)).toEqual(['drill', 'own-secret']);
    } finally {
      await leave();
    }
  });
});
