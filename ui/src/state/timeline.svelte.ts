/**
 * Going through what happened: which kinds are shown, and at which entry the reader is.
 *
 * Called by `acts.ts` for the keys, and by `views/chart/Timeline.svelte`.
 */
import type { Entry, Kind, Lane } from '../domain/timeline';

export class Timeline {
  /** The one kind that is shown; null: all. */
  only = $state<Kind | null>(null);
  /** The entry the reader is at, counted over what is shown; null before the first step. */
  at = $state<number | null>(null);
  readonly #lanes: () => Lane[];

  constructor(lanes: () => Lane[]) {
    this.#lanes = lanes;
  }

  readonly lanes = $derived.by(() => this.#lanes());

  get shown(): Lane[] {
    return this.lanes.filter(({ kind }) => this.only === null || kind === this.only);
  }

  get entries(): Entry[] {
    return this.shown.flatMap(({ entries }) => entries);
  }

  /** Of all kinds that are here. */
  get total(): number {
    return this.lanes.reduce((sum, { entries }) => sum + entries.length, 0);
  }

  show(only: Kind | null): void {
    this.only = only;
    this.at = null;
  }

  /** Next or previous entry; stops at both ends. */
  step(by: 1 | -1): void {
    const last = this.entries.length - 1;
    if (last < 0) return;
    this.at = this.at === null ? 0 : Math.min(Math.max(0, this.at + by), last);
  }
}
