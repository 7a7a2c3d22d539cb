/**
 * Text from outside as it may stand on a screen: every sign of it can be seen, and none orders or covers what stands
 * around it (S4, S28).
 *
 * Lives here: which signs are shown as U+FFFD, the mark for "there is a sign here that cannot be shown". Nothing is left
 * out in silence: two names that differ in such a sign alone do not look the same. Never here: markup. Called by
 * `ipc/index.ts` for everything that the engine says.
 */
import { say } from '../i18n/language';

const MARK = '\ufffd';

/**
 * Controls, fillers that look like nothing, what overrides the order of letters, tags. Kept: tab and line feed; joiners
 * and direction marks, which `JOINERS` and `DIRECTIONS` look at. Joined emoji and flags of the usual kind keep theirs.
 */
const UNSEEN =
  /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff]|[\u{e0000}-\u{e0fff}]/gu;
const LINES = /\r\n?|[\u000b\u000c\u0085\u2028\u2029]/g;
const JOINERS = /[\u200c\u200d]/g;
const DIRECTIONS = /[\u200e\u200f\u061c]/g;
/** Scripts in which a joiner changes the form of a letter, and what emoji are made of. */
// Side by side, not as a class: Chromium 156 finds no emoji by a class of both kinds at the end of a text.
const JOINED =
  /(?:\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Devanagari}|\p{Script=Bengali}|\p{Script=Gurmukhi}|\p{Script=Gujarati}|\p{Script=Oriya}|\p{Script=Tamil}|\p{Script=Telugu}|\p{Script=Kannada}|\p{Script=Malayalam}|\p{Script=Sinhala}|\p{Script=Khmer}|\p{Script=Mongolian}|\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f)$/u;
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
/** More marks on one letter than any script writes: they would cover the lines above and below. */
const PILE = /([\p{Mn}\p{Me}]{4})([\p{Mn}\p{Me}]+)/gu;
/** Quick look: most texts have none of it. */
const ASIDE = /[^\u0009\u000a\u0020-\u007e\u00a0-\u00ac\u00ae-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u25ff]/u;

/** A text as it may be shown. */
export function plainText(text: string): string {
  if (!ASIDE.test(text)) return text;
  const directed = RIGHT_TO_LEFT.test(text);
  return text
    .replace(LINES, '\n')
    .replace(UNSEEN, MARK)
    .replace(JOINERS, (sign, at: number, whole: string) => (JOINED.test(whole.slice(Math.max(0, at - 2), at)) ? sign : MARK))
    .replace(DIRECTIONS, (sign) => (directed ? sign : MARK))
    .replace(PILE, (_, kept: string, more: string) => kept + MARK.repeat([...more].length));
}

/** What is said where a text would be read as nothing. */
export function said(text: string, otherwise: string): string {
  return text.trim() === '' ? otherwise : text;
}

/** What stands for the name of a patient that has none. */
export const NO_NAME = say('Name not recorded', 'Name nicht dokumentiert');
const NOT_NAMED = say('Not named', 'Nicht benannt');

/** By the name of a field: what is never shown as nothing. A banner without a name stays so: nothing is shown then (S7). */
const NEVER_EMPTY: Record<string, string> = {
  name: NO_NAME,
  agent: say('Agent not recorded', 'Allergen nicht dokumentiert'),
  label: NOT_NAMED,
  title: NOT_NAMED,
  value: say('Value not recorded', 'Wert nicht dokumentiert'),
};

/** Every text in an answer, at any depth; what holds none comes back as it is. */
export function plain<T>(value: T): T {
  if (typeof value === 'string') return plainText(value) as T;
  // Tables of an image hold tens of thousands of numbers.
  if (Array.isArray(value)) return typeof value[0] === 'number' ? value : (value.map(plain) as T);
  if (typeof value !== 'object' || value === null) return value;
  const banner = 'number_label' in value;
  const entry = ([name, each]: [string, unknown]) => {
    const otherwise = banner ? undefined : NEVER_EMPTY[name];
    return [name, typeof each === 'string' && otherwise !== undefined ? said(plainText(each), otherwise) : plain(each)];
  };
  return Object.fromEntries(Object.entries(value).map(entry)) as T;
}
