/**
 * Which rows of a long list are on the page: those in view, a few around them, and always the one under the cursor.
 *
 * Rows differ in height, since nothing in them is cut short (S4): each is measured when it is first on the page, and the
 * others count with the mean. Rows keep their place on the screen when what lies above them is measured or changes. Where
 * the list is not a box of its own (200 % on a small screen) all rows are on the page.
 * Never here: markup. Called by `PatientTable.svelte`.
 */

/** Lists up to this long are wholly on the page. */
export const WHOLE_UP_TO = 40;
/** Rows kept on the page beyond each edge. */
const SPARE = 8;
/** Height of a row before any was measured. */
const GUESS = 44;

/** Where each row begins, and last where the list ends. */
export function offsetsOf(keys: string[], known: ReadonlyMap<string, number>, guess: number): number[] {
  const offsets = [0];
  let at = 0;
  for (const key of keys) offsets.push((at += known.get(key) ?? guess));
  return offsets;
}

/** First row, and one past the last, that touch the view. */
export function touching(offsets: number[], top: number, tall: number): [number, number] {
  const rows = offsets.length - 1;
  let first = 0;
  while (first < rows && (offsets[first + 1] ?? 0) <= top) first++;
  let end = first;
  while (end < rows && (offsets[end] ?? 0) < top + tall) end++;
  return [first, end];
}

/** First row, and one past the last, that are wholly in view: a row cut by the edge counts as hidden (S5). */
export function whollySeen(offsets: number[], top: number, tall: number): [number, number] {
  let [first, end] = touching(offsets, top, tall);
  if (first < end && (offsets[first] ?? 0) < top - 1) first++;
  if (first < end && (offsets[end] ?? 0) > top + tall + 1) end--;
  return [first, end];
}

/** The nearest position of the view that shows a row; the beginning of one that is higher than the view. */
export function revealing(offsets: number[], index: number, top: number, tall: number): number {
  const start = offsets[index] ?? 0;
  const end = offsets[index + 1] ?? start;
  if (start < top || end - start > tall) return start;
  return end > top + tall ? end - tall : top;
}

/** The box that scrolls an element. */
function scrollerOf(element: HTMLElement): HTMLElement | null {
  for (let at = element.parentElement; at !== null; at = at.parentElement) {
    if (/auto|scroll/u.test(getComputedStyle(at).overflowY)) return at;
  }
  return null;
}

export class RowWindow {
  /** First row, and one past the last, that are wholly in view. */
  seen = $state.raw<[number, number]>([0, 0]);
  #keys: () => string[];
  #whole: () => boolean;
  #known = new Map<string, number>();
  /** Rises when heights were measured anew. */
  #measured = $state(0);
  #top = $state(0);
  #tall = $state(window.innerHeight);
  #width = 0;
  /** The row that keeps its place, and where it stood below the upper edge; none at the very top. */
  #anchor: { key: string; below: number } | null = null;
  /** False after somebody scrolled the cursor out of view, until it moves again. */
  #follows = true;

  readonly offsets = $derived.by(() => {
    void this.#measured;
    let sum = 0;
    for (const height of this.#known.values()) sum += height;
    return offsetsOf(this.#keys(), this.#known, this.#known.size > 0 ? sum / this.#known.size : GUESS);
  });

  readonly range = $derived.by((): [number, number] => {
    const rows = this.offsets.length - 1;
    if (this.#whole() || rows <= WHOLE_UP_TO) return [0, rows];
    const [first, end] = touching(this.offsets, this.#top, this.#tall);
    return [Math.max(0, first - SPARE), Math.min(rows, end + SPARE)];
  });

  constructor(keys: () => string[], whole: () => boolean) {
    this.#keys = keys;
    this.#whole = whole;
  }

  /** The cursor moved: it is wanted in view. */
  follow(): void {
    this.#follows = true;
  }

  /** Rows look different now: nothing measured counts any more. */
  forget(): void {
    this.#known.clear();
    this.#measured++;
  }

  /** After every change of what is on the page: measures it, then puts the view where it belongs. */
  settle(box: HTMLElement, cursor: number): void {
    // What changes height now is rendered first; this is called again after that.
    if (this.#measure(box)) return;
    if (this.#whole()) return this.look(box);
    this.#tall = box.clientHeight;
    let top = this.#anchored();
    if (this.#follows) top = revealing(this.offsets, cursor, top, this.#tall);
    if (Math.abs(top - box.scrollTop) > 0.5) box.scrollTop = top;
    this.#stands(box, cursor);
  }

  /** Somebody scrolled, or the box changed its size. */
  scrolled(box: HTMLElement, cursor: number): void {
    if (this.#whole()) return this.look(box);
    if (Math.abs(box.scrollTop - this.#top) < 1) return;
    const [first, end] = whollySeen(this.offsets, box.scrollTop, this.#tall);
    this.#follows = cursor >= first && cursor < end;
    this.#stands(box, cursor);
  }

  /** Heights belong to a width. */
  resized(box: HTMLElement, cursor: number): void {
    if (box.clientWidth !== this.#width) {
      this.#width = box.clientWidth;
      this.#known.clear();
    }
    this.settle(box, cursor);
  }

  /** Where the page scrolls instead of a box: which rows can be seen of it. */
  look(box: HTMLElement): void {
    const around = scrollerOf(box)?.getBoundingClientRect();
    const covered = document.querySelector('[data-covers]')?.getBoundingClientRect().top ?? Infinity;
    const top = around?.top ?? 0;
    const bottom = Math.min(around?.bottom ?? Infinity, window.innerHeight, covered);
    const rects = [...box.querySelectorAll('[role=option]')].map((row) => row.getBoundingClientRect());
    const first = rects.findIndex((rect) => rect.top >= top - 1);
    const below = rects.findIndex((rect) => rect.bottom > bottom + 1);
    const end = below === -1 ? rects.length : below;
    this.#see([first === -1 ? rects.length : Math.min(first, end), end]);
  }

  #measure(box: HTMLElement): boolean {
    const keys = this.#keys();
    let changed = false;
    for (const row of box.querySelectorAll<HTMLElement>('[role=option]')) {
      const key = keys[Number(row.getAttribute('aria-posinset')) - 1];
      const height = row.getBoundingClientRect().height;
      if (key === undefined || height === 0 || Math.abs((this.#known.get(key) ?? 0) - height) < 0.5) continue;
      this.#known.set(key, height);
      changed = true;
    }
    if (changed) this.#measured++;
    return changed;
  }

  #anchored(): number {
    const at = this.#anchor === null ? -1 : this.#keys().indexOf(this.#anchor.key);
    return this.#anchor === null || at === -1 ? this.#top : (this.offsets[at] ?? 0) - this.#anchor.below;
  }

  #stands(box: HTMLElement, cursor: number): void {
    this.#top = box.scrollTop;
    this.#see(whollySeen(this.offsets, this.#top, this.#tall));
    const [first, end] = this.seen;
    const at = this.#follows && cursor >= first && cursor < end ? cursor : first;
    const key = this.#keys()[at];
    // At the very top the list stays there: whoever comes in above is the most urgent.
    this.#anchor = key === undefined || this.#top <= 0 ? null : { key, below: (this.offsets[at] ?? 0) - this.#top };
  }

  #see(next: [number, number]): void {
    if (next[0] !== this.seen[0] || next[1] !== this.seen[1]) this.seen = next;
  }
}
