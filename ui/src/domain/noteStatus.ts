/**
 * What a note's status means to the reader.
 *
 * The wire carries the status as the last words of the detail line ("21-Nov-2026 03:52, Dr RAO, preliminary"): a word of
 * the list below that stands alone between commas is said again, louder. The line itself is always shown whole.
 * Called by `views/chart/Notes.svelte`.
 */

/** What to say, and whether it must not be taken for the last word. */
export interface NoteStatus {
  word: string;
  meaning: string;
  doubtful: boolean;
}

const KNOWN: Record<string, [meaning: string, doubtful: boolean]> = {
  preliminary: ['may still change', true],
  partial: ['not complete yet', true],
  registered: ['no result yet', true],
  superseded: ['a newer one exists', true],
  'entered-in-error': ['not to be used', true],
  cancelled: ['not to be used', true],
  amended: ['changed after it was final', false],
  corrected: ['changed after it was final', false],
  appended: ['added to after it was final', false],
  unknown: ['status unknown', true],
};

export function noteStatus(detail: string): NoteStatus | null {
  for (const part of detail.split(', ')) {
    const known = KNOWN[part.trim().toLowerCase()];
    if (known !== undefined) {
      const word = part.trim().toUpperCase().replaceAll('-', ' ');
      return { word, meaning: known[0], doubtful: known[1] };
    }
  }
  return null;
}
