/**
 * What was measured of the rows of a list, for the next time it is opened: so many rows are made then as are seen, in their place.
 *
 * It stays in memory as long as the list does. Nothing here is trusted: whatever is on the page is measured again. Never here:
 * measuring (`shared/rowWindow.svelte.ts`). Called by `board.svelte.ts`.
 */
export class RowHeights {
  /** Heights by the key of the row. */
  known = new Map<string, number>();
  /** Height of a row that was not measured; null until some were. It stays, so that no row moves by what is learnt of others. */
  mean: number | null = null;
  /** What the heights belong to: the width of the list, and how its rows look. */
  width = 0;
  looks = '';
  /** Height of the list; 0 until it was measured. */
  tall = 0;
  /** Rows that were wholly in view: the first, and one past the last. */
  seen: [number, number] | null = null;

  forget(): void {
    this.known.clear();
    this.mean = null;
  }
}
