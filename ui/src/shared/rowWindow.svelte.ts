/**
 * Which rows of a long list are on the page: those in view, a few around them, and always the one under the cursor.
 *
 * Rows differ in height, since nothing in them is cut short (S4): each is measured when it is first on the page, and the
 * others count with the mean of those that were measured first. Rows keep their place on the screen when what lies above them is measured or changes. Where
 * the list is not a box of its own (200 % on a small screen) all rows are on the page.
 * Never here: markup. Called by `PatientTable.svelte`.
 */

import { afterPaint } from '../state/paint';
import { RowHeights } from '../state/rowHeights';

/** Lists up to this long are wholly on the page. */
export const WHOLE_UP_TO = 40;
/** Rows kept on the page beyond each edge. */
const SPARE = 8;
/** Height of a row before any was measured, and of the list as a part of the window. */
const GUESS = 44;
const GUESS_TALL = 0.6;

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
export function scrollerOf(element: HTMLElement): HTMLElement | null {
  for (let at = element.parentElement; at !== null; at = at.parentElement) {
    if (/auto|scroll/u.test(getComputedStyle(at).overflowY)) return at;
  }
  return null;
}

/** The rows that belong on the page, the space left out before each, and what is left out after the last. */
export interface Plan {
  at: number[];
  gaps: number[];
  after: number;
}

/** So often may what is in view change before the page is painted. */
const MOST_TURNS = 8;

/** Sums of the same heights differ by less than anybody sees. */
const near = (one: number, other: number) => Math.abs(one - other) < 0.1;
const alike = (one: number[], other: number[]) => one.length === other.length && one.every((n, i) => near(n, other[i] ?? NaN));
export const samePlan = (one: Plan, other: Plan) => alike(one.at, other.at) && alike(one.gaps, other.gaps) && near(one.after, other.after);

export class RowWindow {
  /** First row, and one past the last, that are wholly in view; null until that is known. */
  seen = $state.raw<[number, number] | null>(null);
  #keys: () => string[];
  #whole: () => boolean;
  #heights: RowHeights;
  /** Rises when heights were measured anew. */
  #measured = $state(0);
  #top = $state(0);
  #tall = $state(0);
  /** Rows beyond each edge: none until what is in view has been painted. */
  #spare = $state(0);
  /** Where the list stands, as was last read of it or told it. */
  #scrolled = 0;
  /** What was on the page when it was last measured, and which rows were said to be in view: what is said takes room too. */
  #settled: Plan | null = null;
  #said: [number, number] | null = null;
  /** How often `seen` was another one since the page was painted last. */
  #turns = 0;
  /** The row that keeps its place, and where it stood below the upper edge; none at the very top. */
  #anchor: { key: string; below: number } | null = null;
  /** False after somebody scrolled the cursor out of view, until it moves again. */
  #follows = true;

  readonly offsets = $derived.by(() => {
    void this.#measured;
    return offsetsOf(this.#keys(), this.#heights.known, this.#heights.mean ?? GUESS);
  });

  readonly range = $derived.by((): [number, number] => {
    const rows = this.offsets.length - 1;
    if (this.#whole() || rows <= WHOLE_UP_TO) return [0, rows];
    const [first, end] = touching(this.offsets, this.#top, this.#tall);
    return [Math.max(0, first - this.#spare), Math.min(rows, end + this.#spare)];
  });

  constructor(keys: () => string[], whole: () => boolean, heights: RowHeights) {
    this.#keys = keys;
    this.#whole = whole;
    this.#heights = heights;
    this.#tall = heights.tall > 0 ? heights.tall : window.innerHeight * GUESS_TALL;
    this.seen = heights.seen;
  }

  /** What belongs on the page. The cursor's row is always there: aria-activedescendant names it. */
  plan(cursor: number): Plan {
    const { offsets } = this;
    const rows = offsets.length - 1;
    const [first, end] = this.range;
    const at = Array.from({ length: Math.max(0, end - first) }, (_, n) => first + n);
    if (cursor < first) at.unshift(cursor);
    else if (cursor >= end && cursor < rows) at.push(cursor);
    let before = 0;
    const gaps = at.map((i) => {
      const gap = (offsets[i] ?? 0) - before;
      before = offsets[i + 1] ?? 0;
      return gap;
    });
    return { at, gaps, after: (offsets[rows] ?? 0) - before };
  }

  /** The cursor moved: it is wanted in view. The rows that will be seen then are made at once. */
  follow(cursor: number): void {
    this.#follows = true;
    if (!this.#whole() && this.#heights.tall > 0) this.#top = Math.max(0, this.#wanted(cursor));
  }

  /** What is in view was painted: rows beyond it are made, so that scrolling meets them. */
  widen(): void {
    this.#spare = SPARE;
  }

  /** Rows that look different have other heights. */
  look(looks: string): void {
    if (this.#heights.looks === looks) return;
    this.#heights.looks = looks;
    this.#heights.forget();
    this.#measured++;
  }

  /** After every change of what is on the page, and of the cursor: measures it, then puts the view where it belongs. */
  settle(box: HTMLElement, cursor: number, drawn: Plan): void {
    if (this.#whole()) return this.#lookAround(box);
    // Only the cursor moved, within the view: nothing has to be asked of the page.
    const known = drawn === this.#settled && this.seen === this.#said;
    if (known && this.#follows && near(this.#wanted(cursor), this.#scrolled)) return this.#stands(this.#scrolled, cursor);
    this.#settled = drawn;
    this.#said = this.seen;
    if (box.clientWidth !== this.#heights.width) {
      this.#heights.width = box.clientWidth;
      this.#heights.forget();
    }
    // What changes now is rendered first; this is called again after that.
    if (this.#measure(box) && !samePlan(this.plan(cursor), drawn)) return;
    this.#heights.tall = this.#tall = box.clientHeight;
    const top = this.#wanted(cursor);
    if (Math.abs(top - box.scrollTop) > 0.5) box.scrollTop = top;
    this.#stands(box.scrollTop, cursor);
  }

  /** Somebody scrolled. */
  scrolled(box: HTMLElement, cursor: number): void {
    if (this.#whole()) return this.#lookAround(box);
    // A list that has another height was moved by that and by nobody: `resized` comes next.
    if (Math.abs(box.scrollTop - this.#scrolled) < 1 || box.clientHeight !== this.#tall) return;
    const [first, end] = whollySeen(this.offsets, box.scrollTop, this.#tall);
    this.#follows = cursor >= first && cursor < end;
    this.#stands(box.scrollTop, cursor);
  }

  /** The list or what is in it has another size. */
  resized(box: HTMLElement, cursor: number, drawn: Plan): void {
    this.#settled = null;
    this.settle(box, cursor, drawn);
  }

  /** Where the page scrolls instead of a box: which rows can be seen of it. */
  #lookAround(box: HTMLElement): void {
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
    const heights = this.#heights;
    let changed = false;
    for (const row of box.querySelectorAll<HTMLElement>('[role=option]')) {
      const key = keys[Number(row.getAttribute('aria-posinset')) - 1];
      const height = row.getBoundingClientRect().height;
      if (key === undefined || height === 0 || Math.abs((heights.known.get(key) ?? 0) - height) < 0.5) continue;
      heights.known.set(key, height);
      changed = true;
    }
    if (!changed) return false;
    if (heights.mean === null) {
      let sum = 0;
      for (const height of heights.known.values()) sum += height;
      heights.mean = sum / heights.known.size;
    }
    this.#measured++;
    return true;
  }

  /** Where the view belongs: the row that keeps its place keeps it, and the cursor is in view where it is followed. */
  #wanted(cursor: number): number {
    const top = this.#anchored();
    return this.#follows ? revealing(this.offsets, cursor, top, this.#tall) : top;
  }

  #anchored(): number {
    const at = this.#anchor === null ? -1 : this.#keys().indexOf(this.#anchor.key);
    return this.#anchor === null || at === -1 ? this.#scrolled : (this.offsets[at] ?? 0) - this.#anchor.below;
  }

  #stands(top: number, cursor: number): void {
    this.#scrolled = this.#top = top;
    const [first, end] = whollySeen(this.offsets, top, this.#tall);
    this.#see([first, end]);
    const at = this.#follows && cursor >= first && cursor < end ? cursor : first;
    const key = this.#keys()[at];
    // At the very top the list stays there: whoever comes in above is the most urgent.
    this.#anchor = key === undefined || top <= 0 ? null : { key, below: (this.offsets[at] ?? 0) - top };
  }

  /**
   * What is said of the rows out of view takes room, so that saying it can bring a row out of view or into it, and on like
   * this for ever. Then those that are in view either way are: one too many is said to be out of view, never one too few.
   */
  #see(next: [number, number]): void {
    const { seen } = this;
    if (seen !== null && this.#turns >= MOST_TURNS) {
      const [first, end] = [Math.max(next[0], seen[0]), Math.min(next[1], seen[1])];
      if (first < end) next = [first, end];
    }
    if (next[0] === seen?.[0] && next[1] === seen[1]) return;
    if (this.#turns++ === 0) afterPaint(() => (this.#turns = 0));
    this.#heights.seen = this.seen = next;
  }
}
