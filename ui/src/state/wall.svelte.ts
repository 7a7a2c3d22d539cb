/**
 * The wall of live vital signs: what the engine said last, how long ago, and which bed has the cursor.
 *
 * It ages by itself: a silent engine, a computer that slept, a clock that stands leave no number standing as live. Ages are
 * counted from the moment the engine was asked: a little too high at most. Never here: markup, what a number of milliseconds
 * means (`domain/wall.ts`), no alarm of any kind. All of it ends with the screen and with the lock. Called by
 * `app.svelte.ts`, `acts.ts` and `views/Wall.svelte`.
 */
import { countsText, keyed, stateNow } from '../domain/wall';
import { WORDS } from '../i18n/words';
import { errorOf, type Backend } from '../ipc/backend';
import type { ErrorView } from '../wire/ErrorView';
import type { WallBedView } from '../wire/WallBedView';
import type { WallTrendsView } from '../wire/WallTrendsView';
import type { WallView } from '../wire/WallView';
import { Elapsed } from './elapsed';
import type { Focus, Key } from './keys';

/** Ages are looked at this often. */
export const WALL_TICK_MS = 250;
/** Without an answer and without an event for so long the engine is asked by itself. */
export const WALL_ASK_MS = 1_000;
/** Changed counts are spoken at most this often. */
export const WALL_SPEAK_MS = 5_000;

/** One question at a time: what is asked for meanwhile is asked once, afterwards. */
class Line {
  out = false;
  again = false;
}

export class Wall {
  view = $state.raw<WallView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  trends = $state.raw<WallTrendsView | null>(null);
  /** The trends could not be read: their places say so. */
  trendsFailed = $state(false);
  /** Milliseconds since the answer that is shown, and since that of the trends. */
  elapsed = $state(0);
  trendsElapsed = $state(0);
  /** Key of the bed under the cursor; null where that patient went away: nobody chose another. */
  cursor = $state<string | null>(null);
  /** Counts requests to bring the cursor into view. */
  moved = $state(0);
  /** Cells side by side, as they are laid out. */
  columns = $state(1);
  /** The counts as they were spoken last. */
  spoken = $state('');
  /** The same patient in two beds is two cells. */
  readonly cells = $derived(keyed(this.view?.beds ?? [], ({ patient }) => patient));
  readonly states = $derived.by(() => {
    const { view, elapsed } = this;
    return view === null ? [] : view.beds.map((bed) => stateNow(bed, elapsed, view.stands_ms));
  });
  readonly counts = $derived(this.view === null ? '' : countsText(this.states));
  #timer: ReturnType<typeof setInterval> | null = null;
  #since: Elapsed | null = null;
  #trendsSince: Elapsed | null = null;
  /** Rises with every opening and every leaving: answers asked for before it are dropped. */
  #epoch = 0;
  #asks = new Line();
  #trendAsks = new Line();
  /** The engine has opened it: from then on it is asked how it stands. */
  #begun = false;
  #heardAt = 0;
  #spokenAt = 0;
  /** The patient whose cell gets the cursor. */
  #wanted: string | null = null;
  /** The cursor was put somewhere: from then on it moves by keys alone. */
  #placed = false;
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  // ---- opening and leaving ----

  /** Opens it; the cursor goes to this patient where there is one. */
  open(of: string | null = null): void {
    this.close();
    this.#wanted = of;
    this.#timer = setInterval(() => this.tick(), WALL_TICK_MS);
    void this.#begin();
  }

  #begin(): Promise<void> {
    return this.#ask(() => this.#backend.wallOpen(null));
  }

  /** Leaves it: nothing of it stays, and the engine ends its own part. */
  close(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#drop();
    this.#begun = false;
    this.#wanted = null;
    this.#placed = false;
    this.view = null;
    this.error = null;
    this.trends = null;
    this.trendsFailed = false;
    this.#since = null;
    this.#trendsSince = null;
    this.elapsed = 0;
    this.trendsElapsed = 0;
    this.cursor = null;
    this.moved = 0;
    this.spoken = '';
    this.#backend.wallClose().catch(() => {});
  }

  /** Answers on their way are nobody's. */
  #drop(): void {
    this.#epoch++;
    this.#asks = new Line();
    this.#trendAsks = new Line();
  }

  /** F5, and the button of an error: what is on its way is given up. */
  again(): void {
    if (this.#timer === null) return;
    this.#drop();
    this.read();
  }

  // ---- what the engine says ----

  hear(): void {
    if (this.#timer === null) return;
    this.#heardAt = performance.now();
    this.read();
  }

  hearTrends(): void {
    if (this.#timer !== null && this.#begun) void this.#askTrends();
  }

  read(): void {
    if (this.#timer === null) return;
    if (this.#asks.out) this.#asks.again = true;
    else void (this.#begun ? this.#ask(() => this.#backend.wall()) : this.#begin());
  }

  async #ask(call: () => Promise<WallView>): Promise<void> {
    const [epoch, line, since] = [this.#epoch, this.#asks, new Elapsed()];
    line.out = true;
    try {
      const view = await call();
      if (epoch !== this.#epoch) return;
      const first = !this.#begun;
      this.#begun = true;
      this.#take(view, since);
      if (first) void this.#askTrends();
    } catch (thrown) {
      if (epoch !== this.#epoch) return;
      // What was shown before is not what is: it goes.
      this.view = null;
      this.trends = null;
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
    line.out = false;
    this.#heardAt = performance.now();
    if (line.again && this.#begun) {
      line.again = false;
      this.read();
    }
  }

  #take(view: WallView, since: Elapsed): void {
    // Before the numbers: no frame may show new ones with the ages of the old ones, nor the other way round.
    this.#since = since;
    this.elapsed = since.ms;
    this.view = view;
    this.error = null;
    if (!this.#placed && this.cells.length > 0) {
      this.#placed = true;
      const wanted = this.cells.find(({ each }) => each.patient === this.#wanted);
      this.cursor = (wanted ?? this.cells[0])?.key ?? null;
      // Opened anew it stands at its top.
      if (wanted !== undefined) this.moved++;
      this.#wanted = null;
    } else if (this.cursor !== null && this.current === null) this.cursor = null;
    this.#speak();
  }

  async #askTrends(): Promise<void> {
    const [epoch, line] = [this.#epoch, this.#trendAsks];
    if (line.out) {
      line.again = true;
      return;
    }
    const since = new Elapsed();
    line.out = true;
    try {
      const trends = await this.#backend.wallTrends();
      if (epoch !== this.#epoch) return;
      this.#trendsSince = since;
      this.trendsElapsed = since.ms;
      this.trends = trends;
      this.trendsFailed = false;
    } catch {
      if (epoch !== this.#epoch) return;
      this.trends = null;
      this.trendsFailed = true;
    }
    line.out = false;
    if (line.again) {
      line.again = false;
      void this.#askTrends();
    }
  }

  // ---- time ----

  /** Four times a second, and when the window comes back into view. */
  tick(): void {
    if (this.#timer === null) return;
    this.elapsed = this.#since?.ms ?? 0;
    this.trendsElapsed = this.#trendsSince?.ms ?? 0;
    if (this.#begun && !this.#asks.out && performance.now() - this.#heardAt >= WALL_ASK_MS) this.read();
    this.#speak();
  }

  /** Only when the counts changed, and not oftener than a person can listen to. */
  #speak(): void {
    const now = performance.now();
    if (this.counts === this.spoken || (this.spoken !== '' && now - this.#spokenAt < WALL_SPEAK_MS)) return;
    this.#spokenAt = now;
    this.spoken = this.counts;
  }

  // ---- cursor ----

  /** The bed under the cursor. */
  get current(): WallBedView | null {
    return this.cells.find(({ key }) => key === this.cursor)?.each ?? null;
  }

  point(key: string): void {
    this.cursor = key;
  }

  move(by: number): void {
    const at = this.cells.findIndex(({ key }) => key === this.cursor);
    const next = at === -1 ? 0 : Math.min(Math.max(0, at + by), this.cells.length - 1);
    this.cursor = this.cells[next]?.key ?? null;
    this.moved++;
  }

  /** The keys that only a wall has: arrows go where they point. True when nothing else may act on one. */
  onKey({ key, ctrlKey, altKey, metaKey, shiftKey }: Key, { typing }: Focus): boolean {
    if (typing || ctrlKey || altKey || metaKey || shiftKey) return false;
    const by: Record<string, number> = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, j: 1, k: -1, Home: -Infinity, End: Infinity,
    };
    const step = by[key];
    if (step === undefined || this.cells.length === 0) return false;
    // Down from the last whole row does not jump to another column, nor up from the first.
    const at = this.cells.findIndex((each) => each.key === this.cursor);
    const rows = key === 'ArrowDown' || key === 'ArrowUp';
    if (rows && at !== -1 && this.cells[at + step] === undefined) return true;
    this.move(step);
    return true;
  }
}
