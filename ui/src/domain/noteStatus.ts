/**
 * What a note's status means to the reader.
 *
 * The wire carries the status as the last words of the detail line ("21-Nov-2026 03:52, Dr RAO, preliminary"): a word of
 * the list below that stands alone between commas is said again, louder. The line itself is always shown whole. It is the word of
 * the record, or that of the engine in German: both are known.
 * Called by `views/chart/Notes.svelte`.
 */
import { say } from '../i18n/language';

/** What to say, and whether it must not be taken for the last word. */
export interface NoteStatus {
  word: string;
  meaning: string;
  doubtful: boolean;
}

const MAY_CHANGE = say('may still change', 'kann sich noch ändern');
const NOT_WHOLE = say('not complete yet', 'noch nicht vollständig');
const NO_RESULT = say('no result yet', 'noch kein Befund');
const NEWER = say('a newer one exists', 'es gibt eine neuere');
const NOT_TO_USE = say('not to be used', 'nicht verwenden');
const CHANGED = say('changed after it was final', 'nach der Freigabe geändert');
const ADDED_TO = say('added to after it was final', 'nach der Freigabe ergänzt');
const UNKNOWN = say('status unknown', 'Status unbekannt');

/** The record's word, what the engine calls it in German (the first is shown), what it means, and whether it is doubtful. */
const KNOWN: [word: string, german: string[], meaning: string, doubtful: boolean][] = [
  ['preliminary', ['vorläufig'], MAY_CHANGE, true],
  ['partial', ['unvollständig'], NOT_WHOLE, true],
  ['registered', ['registriert'], NO_RESULT, true],
  ['superseded', ['ersetzt'], NEWER, true],
  ['entered-in-error', ['irrtümlich eingetragen'], NOT_TO_USE, true],
  ['cancelled', ['storniert'], NOT_TO_USE, true],
  ['amended', ['geändert'], CHANGED, false],
  ['corrected', ['korrigiert'], CHANGED, false],
  ['appended', ['ergänzt'], ADDED_TO, false],
  ['unknown', ['unbekannt', 'status unbekannt'], UNKNOWN, true],
];

export function noteStatus(detail: string): NoteStatus | null {
  for (const part of detail.split(', ')) {
    const said = part.trim().toLowerCase();
    const known = KNOWN.find(([word, german]) => word === said || german.includes(said));
    if (known !== undefined) {
      const [word, [german = word], meaning, doubtful] = known;
      return { word: say(word.toUpperCase().replaceAll('-', ' '), german.toUpperCase()), meaning, doubtful };
    }
  }
  return null;
}
