/**
 * The sync and offline status (screens.md 9): what this workstation can be relied on for, read again while it is shown, and
 * the check of what is stored.
 *
 * Nothing of any patient, so it also opens with nobody signed in. Never here: judging (that is the engine's `reliance`),
 * markup. Called by `app.svelte.ts`, `acts.ts` and `views/SyncStatus.svelte`.
 */
import { WORDS } from '../i18n/words';
import { errorOf, type Backend } from '../ipc/backend';
import type { CheckView } from '../wire/CheckView';
import type { ErrorView } from '../wire/ErrorView';
import type { SyncView } from '../wire/SyncView';

/** It is read again this often; nothing is written down by reading it. */
export const SYNC_READ_MS = 2_000;

export class SyncStatus {
  view = $state.raw<SyncView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  /** A check was asked for here and has not ended. */
  checking = $state(false);
  checkError = $state.raw<ErrorView | null>(null);
  /** What the check that was asked for here found. */
  checked = $state.raw<CheckView | null>(null);
  /** A drill was asked for by name: its part of the screen has the focus. */
  drillAsked = $state(false);
  drillMinutes = $state<number | null>(null);
  drillBegins = $state(false);
  drillError = $state.raw<ErrorView | null>(null);
  #askedAt = 0;
  #asked = 0;
  #answered = 0;
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async load(): Promise<void> {
    const turn = ++this.#asked;
    this.#askedAt = performance.now();
    try {
      const view = await this.#backend.syncView();
      if (turn < this.#answered) return;
      this.#answered = turn;
      this.view = view;
      this.error = null;
    } catch (thrown) {
      if (turn < this.#answered) return;
      this.#answered = turn;
      // What was read before is not what is: it goes.
      this.view = null;
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
  }

  /** Once a second. */
  tick(now: number): void {
    if (now - this.#askedAt >= SYNC_READ_MS) void this.load();
  }

  async check(): Promise<void> {
    if (this.checking) return;
    this.checking = true;
    this.checkError = null;
    this.checked = null;
    const asked = this.#backend.verifyStored();
    void this.load();
    try {
      this.checked = await asked;
    } catch (thrown) {
      this.checkError = errorOf(thrown, WORDS.notAnswered);
    } finally {
      this.checking = false;
    }
    await this.load();
  }

  /** Begins a downtime drill. */
  async beginDrill(minutes: number): Promise<boolean> {
    if (this.drillBegins) return false;
    this.drillBegins = true;
    this.drillError = null;
    try {
      await this.#backend.drillStart(minutes);
      return true;
    } catch (thrown) {
      this.drillError = errorOf(thrown, WORDS.notAnswered);
      return false;
    } finally {
      this.drillBegins = false;
      await this.load();
    }
  }
}
