/**
 * How long ago something was, by whichever of two clocks says more: the steady one, which may stand while the computer
 * sleeps, and the computer's own, which may be set. What is counted by it can look older than it is, never younger.
 *
 * The only file that reads the computer's clock (scripts/lint.mjs checks it), and only to take a difference: no time of it is
 * ever shown. Called by `wall.svelte.ts`.
 */
export class Elapsed {
  readonly #steady = performance.now();
  readonly #clock = Date.now();

  get ms(): number {
    return Math.max(0, performance.now() - this.#steady, Date.now() - this.#clock);
  }
}
