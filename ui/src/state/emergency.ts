/**
 * Emergency access: opening its dialog, showing the card, and where one goes from there.
 *
 * Lives here: these acts, for the patient in view where there is one. Never here: the steps of the dialog
 * (`breakGlass.svelte.ts`), its keys (`acts.ts`), markup. Called by `acts.ts`, `app.svelte.ts` and the views.
 */
import { cardIsOf } from '../domain/safety';
import { whoOfCritical } from '../domain/results';
import { whoOfBanner, whoOfRow, type Who } from '../domain/who';
import { WORDS } from '../i18n/words';
import { errorOf } from '../ipc/backend';
import type { EmergencyEndedView } from '../wire/EmergencyEndedView';
import type { PatientRowView } from '../wire/PatientRowView';
import type { App } from './app.svelte';
import { BreakGlassDialog } from './breakGlass.svelte';

export class Emergency {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  /** Opens the dialog, for the patient in view where there is one. */
  open(patient: Who | null): void {
    const app = this.#app;
    if (app.dialog !== null || app.card !== null) return;
    if (app.lockInfo !== null && app.lockInfo.device_state !== 'enrolled') return;
    app.scans.clear();
    app.afterwards.clear();
    app.help = false;
    app.sync = null;
    app.palette = null;
    app.fifth = null;
    app.packet = null;
    app.closeOwnSecret();
    const { badge } = app.ways;
    app.ways.clear();
    app.dialog = new BreakGlassDialog(app.backend, app.session?.user ?? null, patient, app.session === null ? badge : null);
    void app.dialog.loadReasons();
    app.mark('break-glass', null);
  }

  #patientInView(): Who | null {
    const app = this.#app;
    if (app.view === 'chart') {
      if (app.chart?.view) return whoOfBanner(app.chart.view.banner);
      // The chart was refused: the row it was opened from still says who it is.
      return app.chart?.who ?? null;
    }
    if (app.view === 'results') {
      const result = app.recording.shown?.critical ?? app.results.current?.row ?? null;
      return result === null ? null : whoOfCritical(result);
    }
    if (app.view === 'wall') return app.whoOnWall;
    const row = this.#rowInView();
    return row === null ? null : whoOfRow(row);
  }

  /** A row that somebody chose, or the only one of an answer: the row a list opens on is nobody's choice, nor is one of
      an answer to something typed before. */
  #rowInView(): PatientRowView | null {
    const { board, search, view } = this.#app;
    if (view === 'board') return board.chosen;
    if (view !== 'search' || !search.answered) return null;
    return search.rows.length === 1 ? search.row : search.chosen;
  }

  openHere(): void {
    this.open(this.#patientInView());
  }

  cancel(): void {
    this.#app.dialog?.forget();
    this.#app.dialog = null;
  }

  /** The last key: shows the card, or says why not. `keyAt` is when the key went down. */
  async show(keyAt: number): Promise<void> {
    const app = this.#app;
    const dialog = app.dialog;
    const asked = dialog?.patient?.patient;
    if (dialog === null || asked === undefined) return;
    const card = await dialog.show();
    if (card === null || app.dialog !== dialog) return;
    void app.quietly(() => app.backend.painted('card-answer', performance.now() - keyAt));
    app.touched(performance.now());
    app.dialog = null;
    if (cardIsOf(asked, card)) {
      app.card = card;
      if (app.session !== null) app.board.opened(asked, app.view === 'board');
      app.mark('emergency-card', keyAt);
    } else {
      app.cardError = errorOf(null, WORDS.wrongPatient);
    }
  }

  closeCard(): void {
    const app = this.#app;
    const patient = app.card?.banner.patient;
    app.card = null;
    app.cardError = null;
    void app.afterwards.read();
    if (patient !== undefined) void app.quietly(() => app.backend.cardClose(patient));
    if (app.session === null) void app.readLock();
  }

  /** Its time is over, or a reviewer took it back: what is open under it closes at once, and says so where it stood. */
  ended({ grant, text }: EmergencyEndedView): void {
    const app = this.#app;
    if (app.afterwards.asking?.grant === grant) app.afterwards.clear();
    if (app.card?.broken?.grant === grant) {
      this.closeCard();
      app.cardError = errorOf(null, text);
    }
    for (const { asked, view } of app.open) if (view?.broken?.grant === grant) app.endChart(asked, text);
    void app.afterwards.read();
  }

  /** From the card to the whole chart under the same grant. */
  openFullChart(): void {
    const app = this.#app;
    const { card } = app;
    if (card === null || !card.full_chart_available) return;
    app.card = null;
    const from = app.chart?.from ?? app.view;
    void app.openChart(card.banner.patient, from, whoOfBanner(card.banner));
  }
}
