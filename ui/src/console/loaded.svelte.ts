/**
 * Something that is read from the server: not asked, on its way, here, or failed. Never two of them, so that nothing can be
 * shown as empty that was not read (S1). Only the newest question's answer is taken. Called by `state.svelte.ts`.
 */
import { Elapsed } from '../state/elapsed';
import { failureOf, type Failure } from './api';

export class Loaded<T extends { now_ms?: number }> {
  value = $state.raw<T | null>(null);
  error = $state.raw<Failure | null>(null);
  loading = $state(false);
  #turn = 0;
  #since: Elapsed | null = null;
  readonly #failed: (failure: Failure) => void;

  /** `failed` hears of each failure, also of one that is late. */
  constructor(failed: (failure: Failure) => void) {
    this.#failed = failed;
  }

  /** Asks. While the answer is on its way what was here stays, unless `anew`. Whether the answer was taken. */
  async load(ask: () => Promise<T>, anew = false): Promise<boolean> {
    const turn = ++this.#turn;
    this.loading = true;
    this.error = null;
    if (anew) this.value = null;
    // Before the question: what is counted from it can look older, never younger.
    const since = new Elapsed();
    try {
      const value = await ask();
      if (turn !== this.#turn) return false;
      this.#take(value, since);
      return true;
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.#failed(failure);
      if (turn !== this.#turn) return false;
      this.value = null;
      this.error = failure;
      this.loading = false;
      return false;
    }
  }

  /** An answer that came another way. */
  take(value: T): void {
    this.#turn++;
    this.#take(value, new Elapsed());
  }

  #take(value: T, since: Elapsed): void {
    this.value = value;
    this.error = null;
    this.loading = false;
    this.#since = since;
  }

  /** The server's time by now, ms: what it said, counted on. `of` is what it said where the answer has no time. */
  now(of: number = this.value?.now_ms ?? 0): number {
    return of + (this.#since?.ms ?? 0);
  }

  /** Forgets it, also what is on its way. */
  clear(): void {
    this.#turn++;
    this.value = null;
    this.error = null;
    this.loading = false;
    this.#since = null;
  }
}
