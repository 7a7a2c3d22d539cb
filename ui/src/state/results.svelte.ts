/**
 * The results inbox: what was read of the ward, which row has the cursor, and how long each has waited by now.
 *
 * Waiting is counted by the monotonic clock from the moment the engine was asked: a little too long at most, never too
 * short. Never here: markup, acknowledging (`recording.svelte.ts`), the words (`domain/results.ts`). All of it ends with
 * the lock. Called by `app.svelte.ts`, `acts.ts` and `views/Results.svelte`.
 */
import { rowsOf, waited, type ResultRow } from '../domain/results';
import type { Who } from '../domain/who';
import { WORDS } from '../i18n/words';
import { errorOf, type Backend } from '../ipc/backend';
import type { CriticalView } from '../wire/CriticalView';
import type { ErrorView } from '../wire/ErrorView';
import type { ResultsView } from '../wire/ResultsView';

/** While it is shown it is read again this often: what is too old leaves it. Not oftener: each reading is written down. */
export const READ_EVERY_MS = 300_000;

export class Results {
  result = $state.raw<ResultsView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  /** Key of the row under the cursor; null where that row went away: nobody chose another. */
  cursor = $state<string | null>(null);
  /** It was opened for this patient, of whom nothing waits. */
  missing = $state.raw<Who | null>(null);
  /** Why the last key did nothing. */
  refused = $state('');
  /** Counts requests to put the focus on the row under the cursor. */
  focusAsked = $state(0);
  readonly rows = $derived(rowsOf(this.result));
  #now = $state(0);
  #readAt = $state(0);
  #askedAt = 0;
  #asked = 0;
  #answered = 0;
  /** The patient it was opened for, until an answer came. */
  #wanted: Who | null = null;
  #opened = false;
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async load(): Promise<void> {
    const turn = ++this.#asked;
    const at = performance.now();
    this.#askedAt = at;
    try {
      const result = await this.#backend.results(null);
      if (turn < this.#answered) return;
      this.#answered = turn;
      this.#readAt = at;
      this.#now = Math.max(this.#now, performance.now());
      this.#take(result);
    } catch (thrown) {
      if (turn < this.#answered) return;
      this.#answered = turn;
      this.result = null;
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
  }

  #take(result: ResultsView): void {
    const before = this.current;
    this.result = result;
    this.error = null;
    const [wanted, first] = [this.#wanted, !this.#opened];
    this.#wanted = null;
    this.#opened = true;
    if (wanted !== null) {
      const found = this.rows.find(({ row, waiting }) => waiting && row.patient === wanted.patient);
      this.cursor = found?.key ?? null;
      this.missing = found === undefined ? wanted : null;
      this.focusAsked++;
    } else if (first) {
      this.cursor = this.rows[0]?.key ?? null;
      this.focusAsked++;
    } else if (before !== null && this.current === null) {
      // Corrected meanwhile: it is the same result, of the same patient.
      const same = this.rows.find(({ row }) => row.result === before.row.result && row.patient === before.row.patient);
      this.cursor = same?.key ?? null;
    }
  }

  /** Opens it anew; `of` asks for the first result of one patient that waits. */
  open(of: Who | null): void {
    this.clear();
    this.#wanted = of;
    void this.load();
  }

  /** Once a second. */
  tick(now: number, shown: boolean): void {
    this.#now = now;
    if (shown && now - this.#askedAt >= READ_EVERY_MS) void this.load();
  }

  /** Seconds it has waited by now; null where nobody knows. */
  waits(row: CriticalView): number | null {
    return this.waitsSince(row.waits_s, this.#readAt);
  }

  /** The same of one that was read elsewhere: the line of a chart. */
  waitsSince(waits_s: number | null, readAt: number): number | null {
    return waited(waits_s, (this.#now - readAt) / 1000);
  }

  /** The row under the cursor. */
  get current(): ResultRow | null {
    return this.rows.find(({ key }) => key === this.cursor) ?? null;
  }

  /** The row as it was read last; null where it is no longer on the list in this version. */
  latest(row: CriticalView): CriticalView | null {
    return this.rows.find((each) => each.row.result === row.result && each.row.version === row.version && each.row.patient === row.patient)?.row ?? null;
  }

  /** The list holds another version of this result, or says that it is of somebody else. */
  outdated(row: CriticalView): boolean {
    return this.latest(row) === null && this.rows.some((each) => each.row.result === row.result);
  }

  move(by: number): void {
    const at = this.rows.findIndex(({ key }) => key === this.cursor);
    const next = at === -1 ? 0 : Math.min(Math.max(0, at + by), this.rows.length - 1);
    this.point(this.rows[next]?.key ?? null);
    this.focusAsked++;
  }

  point(key: string | null): void {
    if (key === this.cursor) return;
    this.cursor = key;
    this.missing = null;
    this.refused = '';
  }

  /** Forgets everything, also answers on their way. */
  clear(): void {
    this.#answered = ++this.#asked;
    this.result = null;
    this.error = null;
    this.cursor = null;
    this.missing = null;
    this.refused = '';
    this.#wanted = null;
    this.#opened = false;
  }
}
