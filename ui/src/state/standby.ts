/**
 * After a lock this page makes room for another one, and its process ends with all that it has shown (ADR 53).
 *
 * A script cannot overwrite what it has let go of. So a second page, with the lock screen on it, is loaded behind this one while
 * somebody works, and put in front once the screen is locked and still: nothing typed, nothing open, no key on its way. Until then this
 * lock screen stays and takes every key, and from then on the other does. On Linux alone: elsewhere nothing is ever exchanged.
 *
 * Lives here: whether something is left in this page, and whether the screen is still. Never here: the pages themselves
 * (src-tauri/src/standby.rs). Called by `main.ts` and `app.svelte.ts`.
 */
import type { App } from './app.svelte';

/** After a lock it is waited so long for another key: longer than one is held as a part of a code (scanner.ts, `GAP_MS` and `LATE_MS`). */
export const SETTLED_MS = 60;
/** Nobody is typing. */
export const QUIET_MS = 2_000;
/** What the lock screen says of a refusal has been read. */
export const SAID_MS = 60_000;
/** While the other page is on its way, it is asked for so often. */
const AGAIN_MS = 250;
/** The engine is asked no more often to have one loaded. */
const PREPARE_MS = 5_000;
/** Longer ago is said as this. */
const LONG_MS = 1e9;

export class Standby {
  /** This page lies behind another one. */
  behind = false;
  readonly #app: App;
  readonly #typed: () => boolean;
  /** A person was here, or something was typed: this process remembers. */
  #used = false;
  #pressed = -LONG_MS;
  #prepared = -LONG_MS;
  #asking = false;

  /** `typed`: whether something stands in a field. */
  constructor(app: App, typed: () => boolean = anythingTyped) {
    this.#app = app;
    this.#typed = typed;
  }

  /** Asks once, at the start. */
  async begin(): Promise<void> {
    await this.#app.quietly(async () => {
      this.behind = await this.#app.backend.standbyBehind();
    });
  }

  /** This page behind is painted: from now on it can be put in front. */
  painted(): void {
    void this.#app.quietly(() => this.#app.backend.standbyReady(() => this.#front()));
  }

  #front(): void {
    if (!this.behind) return;
    this.behind = false;
    void this.#app.comeToFront();
  }

  /** A key or a button went down. */
  press(key: string, now: number): void {
    this.#pressed = now;
    if ([...key].length === 1) this.#used = true;
    // Whoever gets keys is seen, whatever was told.
    this.#front();
  }

  /** Somebody was let in. */
  use(): void {
    this.#used = true;
  }

  /** The screen was locked: at once, unless a hand is on the keys again. */
  locked(): void {
    const pressed = this.#pressed;
    const wait = Math.max(0, SETTLED_MS - (performance.now() - pressed));
    setTimeout(() => {
      if (this.#pressed === pressed) void this.#exchange();
    }, wait);
  }

  /** Once a second. */
  tick(now: number): void {
    if (this.behind || !this.#used || now - this.#pressed < QUIET_MS) return;
    if (this.#still(now)) void this.#exchange();
    else if (this.#app.session !== null && this.#app.dialog === null && this.#app.card === null) this.#prepare(now);
  }

  /** A lock screen on which nobody does anything, and which has nothing more to say than another one would. */
  #still(now: number): boolean {
    const { dialog, layers, lockError, open, said: done, session, signInError, signingIn, view, ways } = this.#app;
    const said = (signInError ?? ways.error ?? lockError ?? done) !== null && now - this.#pressed < SAID_MS;
    const waits = signingIn || ways.browsing || ways.badge !== null || said;
    return view === 'lock' && session === null && dialog === null && open.length === 0 && !layers.covered && !waits && !this.#typed();
  }

  #prepare(now: number): void {
    if (now - this.#prepared < PREPARE_MS) return;
    this.#prepared = now;
    void this.#app.quietly(() => this.#app.backend.standbyPrepare());
  }

  /** Asks until the other page is there or somebody does something; where it is exchanged, this page ends. */
  async #exchange(): Promise<void> {
    if (this.#asking || this.behind || !this.#used) return;
    this.#asking = true;
    const pressed = this.#pressed;
    await this.#app.quietly(async () => {
      while (this.#pressed === pressed && this.#still(performance.now())) {
        const pressedMs = Math.min(performance.now() - pressed, LONG_MS);
        if (await this.#app.backend.standbyExchange(pressedMs)) return;
        this.#prepare(performance.now());
        await new Promise((later) => setTimeout(later, AGAIN_MS));
      }
    });
    this.#asking = false;
  }
}

function anythingTyped(): boolean {
  if (typeof document === 'undefined') return false;
  return [...document.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>('input, textarea')].some(({ value }) => value !== '');
}

/** Tells of every key and button that goes down, before anybody else sees it. */
export function listenForPresses(standby: Standby): void {
  window.addEventListener('keydown', (event) => standby.press(event.key, performance.now()), { capture: true });
  window.addEventListener('pointerdown', () => standby.press('', performance.now()), { capture: true });
}
