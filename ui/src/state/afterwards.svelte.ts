/**
 * What comes after the breaking of the glass: ending it, and the words that were not given at once.
 *
 * Lives here: the question before the end, the words while they are typed, what is still owed. Never here: what ends by itself (the
 * engine), markup. Called by `acts.ts`, `app.svelte.ts` and the views.
 */
import { WORDS } from '../i18n/words';
import { errorOf } from '../ipc/backend';
import type { BrokenGlassView } from '../wire/BrokenGlassView';
import type { ErrorView } from '../wire/ErrorView';
import type { OwedView } from '../wire/OwedView';
import type { App } from './app.svelte';

/** What is asked, about which grant; `patient` where it is about what is on the screen. */
export interface Asking {
  what: 'end' | 'words';
  grant: string;
  text: string;
  patient: string | null;
}

export class Afterwards {
  /** Own emergency accesses without words, the oldest first. */
  owed = $state.raw<OwedView[]>([]);
  asking = $state.raw<Asking | null>(null);
  words = $state('');
  busy = $state(false);
  error = $state.raw<ErrorView | null>(null);
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  /** Asks the engine what is owed: after signing in, and when something of it changed. */
  async read(): Promise<void> {
    const user = this.#app.session?.user;
    if (user === undefined) return;
    await this.#app.quietly(async () => {
      const { owed } = await this.#app.backend.breakGlassOwed();
      if (this.#app.session?.user === user) this.owed = owed;
    });
  }

  /** Of the patient on the screen: the card, or the chart in front. */
  askEnd(broken: BrokenGlassView, patient: string, text: string): void {
    this.#ask({ what: 'end', grant: broken.grant, text, patient });
  }

  askWords(grant: string, text: string, patient: string | null = null): void {
    this.#ask({ what: 'words', grant, text, patient });
  }

  #ask(asking: Asking): void {
    this.clear();
    this.asking = asking;
  }

  /** Nothing ends and nothing is written. */
  clear(): void {
    this.asking = null;
    this.words = '';
    this.error = null;
  }

  forget(): void {
    this.clear();
    this.owed = [];
  }

  get ready(): boolean {
    return this.words.trim() !== '' && !this.busy;
  }

  /** Ends it, closes what was open under it and goes back to the board. */
  async end(): Promise<void> {
    const app = this.#app;
    const done = await this.#do((asking) => app.backend.breakGlassEnd(asking.grant));
    if (done?.patient == null) return;
    const patient = done.patient;
    if (app.card !== null || app.cardError !== null) app.emergency.closeCard();
    for (const { asked, view } of app.open) if (asked === patient || view?.banner.patient === patient) app.close(asked);
    if (app.session !== null) await app.showBoard();
    else if (app.open.length === 0) app.view = 'lock';
    await this.read();
  }

  async save(): Promise<void> {
    if (!this.ready) return;
    const app = this.#app;
    const words = this.words.trim();
    const done = await this.#do((asking) => app.backend.breakGlassWords(asking.grant, words));
    if (done === null) return;
    const card = app.card;
    if (card?.broken?.grant === done.grant) app.card = { ...card, broken: { ...card.broken, owed_text: null } };
    if (app.chart?.view?.broken?.grant === done.grant) void app.readChart();
    await this.read();
  }

  async #do(act: (asking: Asking) => Promise<void>): Promise<Asking | null> {
    const asking = this.asking;
    if (asking === null || this.busy) return null;
    this.busy = true;
    this.error = null;
    try {
      await act(asking);
      // Locked meanwhile: nothing of it is on the screen any more.
      if (this.asking !== asking) return null;
      this.clear();
      return asking;
    } catch (thrown) {
      if (this.asking === asking) this.error = errorOf(thrown, WORDS.notAnswered);
      return null;
    } finally {
      this.busy = false;
    }
  }
}
