/**
 * The ways in besides name and secret: a badge that picks the person, and the hospital's provider in the browser.
 *
 * A badge lets nobody in: it fills in who it is, and their PIN opens. Never here: keys of a reader (`scanner.ts`), reading codes and
 * proving anything (the engine), markup. Called by `app.svelte.ts`, `acts.ts` and `main.ts`; shown by `views/Lock.svelte`.
 */
import { WORDS } from '../i18n/words';
import { errorOf } from '../ipc/backend';
import type { BadgeView } from '../wire/BadgeView';
import type { ErrorView } from '../wire/ErrorView';
import type { App } from './app.svelte';

export class Ways {
  /** Whom a badge picked. */
  badge = $state.raw<BadgeView | null>(null);
  /** Why a badge picked nobody, or the provider let nobody in. */
  error = $state.raw<ErrorView | null>(null);
  /** The browser is open: somebody is to come back from the provider. */
  browsing = $state(false);
  /** Counts requests by key to open the provider: the lock screen has what was typed. */
  asked = $state(0);
  readonly #app: App;
  #turn = 0;

  constructor(app: App) {
    this.#app = app;
  }

  /** A badge can be meant: the lock screen is there, and nothing lies over it. */
  get listening(): boolean {
    const { session, dialog, card, lockInfo } = this.#app;
    return session === null && dialog === null && card === null && lockInfo?.device_state === 'enrolled' && lockInfo.badge_text !== null;
  }

  /** What a reader typed; null: only a part of it arrived. */
  async scanned(text: string | null): Promise<void> {
    const turn = ++this.#turn;
    this.badge = null;
    this.error = null;
    this.#app.signInError = null;
    if (text === null) {
      this.error = errorOf(null, WORDS.scan.lost);
      return;
    }
    try {
      const picked = await this.#app.backend.badge(text);
      if (turn === this.#turn && this.listening) this.pick(picked);
    } catch (thrown) {
      if (turn === this.#turn) this.refuse(errorOf(thrown, WORDS.notAnswered));
    }
  }

  /** A badge picked somebody, by keys or by the card reader. */
  pick(badge: BadgeView): void {
    if (!this.listening) return;
    this.error = null;
    this.#app.signInError = null;
    this.badge = badge;
  }

  refuse(error: ErrorView): void {
    if (!this.listening) return;
    this.badge = null;
    this.error = error;
  }

  /** Not this person: by name. */
  drop(): void {
    this.#turn++;
    this.badge = null;
  }

  /** Opens the provider in the browser and waits. `pin`: typed already, or empty. */
  async browse(pin: string): Promise<void> {
    if (this.browsing || this.#app.session !== null || this.#app.lockInfo?.provider == null) return;
    const turn = ++this.#turn;
    this.badge = null;
    this.error = null;
    this.#app.signInError = null;
    this.browsing = true;
    try {
      const session = await this.#app.backend.providerSignIn(pin === '' ? null : pin);
      // It was given up here, and came through all the same: nobody sits here who asked for it.
      if (turn !== this.#turn) this.#app.lock();
      else this.#app.begun(session);
    } catch (thrown) {
      if (turn === this.#turn && this.#app.session === null) this.error = errorOf(thrown, WORDS.notAnswered);
    }
    if (turn === this.#turn) this.browsing = false;
  }

  /** Waits no more. */
  cancel(): void {
    if (!this.browsing) return;
    this.#turn++;
    this.browsing = false;
    void this.#app.quietly(() => this.#app.backend.providerCancel());
  }

  /** Somebody is in, or the screen is locked anew. */
  clear(): void {
    if (this.browsing) this.cancel();
    this.drop();
    this.error = null;
  }

  /** Escape on the lock screen: one step back; false when there is none. */
  back(): boolean {
    if (this.browsing) this.cancel();
    else if (this.badge !== null) this.drop();
    else return false;
    return true;
  }
}
