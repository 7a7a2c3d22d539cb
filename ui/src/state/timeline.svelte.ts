/**
 * Going through what happened: which kinds are shown, which years are open, and at which entry the reader is.
 *
 * Only entries of open years are on the page, so that fifteen years stay usable; what is closed is counted there (S5).
 * Called by `acts.ts` for the keys, and by `views/chart/Timeline.svelte`.
 */
import { inTime, keyOf, MOST_OF_A_YEAR, openByItself, yearsOf, type Entry, type Kind, type Lane, type Year } from '../domain/timeline';

export class Timeline {
  /** The one kind that is shown; null: all. */
  only = $state<Kind | null>(null);
  /** The entry the reader is at; null before the first step. */
  #key = $state<string | null>(null);
  /** Years that somebody opened or closed. */
  #turned = $state.raw<ReadonlyMap<number | null, boolean>>(new Map());
  /** Long years of which everything is shown. */
  #whole = $state.raw<ReadonlySet<number | null>>(new Set());
  readonly #lanes: () => Lane[];

  constructor(lanes: () => Lane[]) {
    this.#lanes = lanes;
  }

  readonly lanes = $derived.by(() => this.#lanes());
  readonly shown = $derived(this.lanes.filter(({ kind }) => this.only === null || kind === this.only));
  readonly entries = $derived(inTime(this.shown));
  readonly years = $derived(yearsOf(this.entries));
  readonly #places = $derived(new Map(this.entries.map((entry, i) => [keyOf(entry), i])));
  readonly #open = $derived(openByItself(this.years));

  /** Of all kinds that are here. */
  get total(): number {
    return this.lanes.reduce((sum, { entries }) => sum + entries.length, 0);
  }

  /** Counted over what is shown. */
  get at(): number | null {
    return this.#key === null ? null : (this.#places.get(this.#key) ?? null);
  }

  isOpen(year: Year): boolean {
    return this.#turned.get(year.year) ?? this.years.indexOf(year) < this.#open;
  }

  /** The entries of a year that are on the page. */
  onPage(year: Year): Entry[] {
    if (!this.isOpen(year)) return [];
    return this.#whole.has(year.year) ? year.entries : year.entries.slice(0, MOST_OF_A_YEAR);
  }

  turn(year: Year): void {
    this.#turned = new Map(this.#turned).set(year.year, !this.isOpen(year));
  }

  showWhole(year: Year): void {
    this.#whole = new Set(this.#whole).add(year.year);
  }

  show(only: Kind | null): void {
    this.only = only;
    this.#key = null;
    this.#turned = new Map();
    this.#whole = new Set();
  }

  /** Next or previous entry, its year opened; stops at both ends. */
  step(by: 1 | -1): void {
    const last = this.entries.length - 1;
    if (last < 0) return;
    const at = this.at === null ? 0 : Math.min(Math.max(0, this.at + by), last);
    const entry = this.entries[at];
    const year = this.years.find(({ from, entries }) => at < from + entries.length);
    if (entry === undefined || year === undefined) return;
    this.#key = keyOf(entry);
    if (!this.isOpen(year)) this.turn(year);
    if (at - year.from >= MOST_OF_A_YEAR) this.showWhole(year);
  }
}
