/**
 * Recording, in the chart in front or about a result of the inbox: the dialog, and the list of what the server has not
 * accepted.
 *
 * Lives here: when the dialog may be open and what its keys do. Never here: its steps (`entry.svelte.ts`), the list
 * (`entries.svelte.ts`), markup. Called by `acts.ts`, `app.svelte.ts`, the views and the status strip.
 */
import { NO_NAME, said } from '../domain/plain';
import { say } from '../i18n/language';
import { WORDS } from '../i18n/words';
import { errorOf } from '../ipc/backend';
import type { CriticalView } from '../wire/CriticalView';
import type { EntryView } from '../wire/EntryView';
import type { App } from './app.svelte';
import { changesIn, decisionsIn, isAsItWas, type ChangeTarget } from './changes';
import { Entries } from './entries.svelte';
import { EntryDialog } from './entry.svelte';
import type { EntryKind } from './entryFields.svelte';
import type { Act, Focus } from './keys';
import { CHART_SECTIONS } from './sections';
import { sayTheSame, wrongsIn, type WrongSet } from './wrongs';

/** Keys that belong to the fields and to what scrolls. */
const OF_THE_FIELDS: Act[] = ['down', 'up', 'page-down', 'page-up', 'first', 'last', 'preview', 'show-all', 'wall', 'live-vitals', 'initials', 'next-item', 'previous-item'];

export class Recording {
  dialog = $state.raw<EntryDialog | null>(null);
  /** What was signed last, and when: said in that chart until something else is begun. */
  signed = $state.raw<{ entry: EntryView; at: string } | null>(null);
  readonly list: Entries;
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
    this.list = new Entries(app.backend);
  }

  /**
   * The dialog, while who it is about can be seen (S7, S8): in the chart by its banner, none where the chart was lost
   * meanwhile; over the inbox by what stands above it.
   */
  get shown(): EntryDialog | null {
    const { dialog } = this;
    const { chart, view } = this.#app;
    if (dialog?.kind === 'acknowledge') return view === 'results' ? dialog : null;
    return dialog !== null && view === 'chart' && chart?.view?.banner.patient === dialog.patient ? dialog : null;
  }

  /** Something can be recorded now: a chart can be seen, nothing lies over it, and this person may. */
  get possible(): boolean {
    return this.#app.layers.inChart && this.#app.chart?.view?.may_record === true;
  }

  open(kind: EntryKind): void {
    const banner = this.#app.chart?.view?.banner;
    if (!this.possible || banner === undefined) return;
    this.signed = null;
    const dialog = new EntryDialog(this.#app.backend, kind, banner.patient, banner.name, () => this.#clock());
    this.dialog = dialog;
    void dialog.load();
    this.#app.mark('entry', null);
  }

  /** Of an allergy of the chart in front: a change, or what two changes contradict each other in. Which of several, a person chooses. */
  change(targets: ChangeTarget[]): void {
    const banner = this.#app.chart?.view?.banner;
    if (!this.possible || banner === undefined || targets.length === 0) return;
    this.signed = null;
    const dialog = new EntryDialog(this.#app.backend, 'allergy-change', banner.patient, banner.name, () => this.#clock(), { changes: targets });
    this.dialog = dialog;
    void dialog.load();
    this.#app.mark('entry', null);
  }

  /** Of vital signs of the chart in front that are wrong; the time under the focus line is the one to begin with. */
  markWrong(): void {
    const [banner, { wrongs }] = [this.#app.chart?.view?.banner, this];
    if (!this.possible || banner === undefined || wrongs.length === 0) return;
    this.signed = null;
    const dialog = new EntryDialog(this.#app.backend, 'vitals-error', banner.patient, banner.name, () => this.#clock(), { wrongs });
    dialog.fields.pickTime(wrongs.length === 1 ? (wrongs[0]?.at_ms ?? null) : this.#app.courses.at);
    this.dialog = dialog;
    void dialog.load();
    this.#app.mark('entry', null);
  }

  /** Vital signs of the chart in front that can be marked as wrong. */
  get wrongs(): WrongSet[] {
    const view = this.#app.view === 'chart' ? this.#app.chart?.view : null;
    return view?.may_record === true ? wrongsIn(view) : [];
  }

  /** What of the chart in front can be changed, or waits to be decided. */
  get changes(): ChangeTarget[] {
    return this.#targets(changesIn);
  }

  get decisions(): ChangeTarget[] {
    return this.#targets(decisionsIn);
  }

  #targets(of: typeof changesIn): ChangeTarget[] {
    const view = this.#app.view === 'chart' ? this.#app.chart?.view : null;
    return view?.may_record === true ? of(view.allergies) : [];
  }

  /** What a change or a mark is about is no longer as it was when its dialog opened: decided, changed or marked elsewhere. */
  outdated({ kind, fields }: EntryDialog): boolean {
    const view = this.#app.chart?.view;
    if (kind === 'vitals-error') return view != null && !sayTheSame(fields.wrongs, wrongsIn(view));
    const strip = view?.allergies;
    return fields.change !== null && strip !== undefined && !isAsItWas(fields.change, strip);
  }

  /** Of a result that waits, in the inbox. */
  acknowledge(row: CriticalView): void {
    const app = this.#app;
    if (app.view !== 'results' || !app.layers.uncovered || row.not_for_you_text !== null) return;
    app.results.refused = '';
    const dialog = new EntryDialog(app.backend, 'acknowledge', row.patient, said(row.name_text, NO_NAME), () => this.#clock(), { critical: row });
    this.dialog = dialog;
    void dialog.load();
    app.mark('entry', null);
  }

  /** "04:31" of the engine's clock. */
  #clock(): string {
    return /\d\d:\d\d/u.exec(this.#app.status?.clock_text ?? '')?.[0] ?? say('now', 'jetzt');
  }

  /** Signs or goes one step on; closes once it is signed, and shows where what was recorded stands. */
  async submit(at: number): Promise<void> {
    const dialog = this.shown;
    // What stands above it is another value now: nobody signs for one that was not seen.
    if (dialog?.critical != null && this.#app.results.outdated(dialog.critical)) {
      dialog.error = errorOf(null, WORDS.resultChanged);
      return;
    }
    if (dialog != null && this.outdated(dialog)) {
      dialog.error = errorOf(null, dialog.kind === 'vitals-error' ? WORDS.valueChanged : WORDS.allergyChanged);
      return;
    }
    const entry = (await dialog?.submit(at)) ?? null;
    if (entry === null || this.dialog !== dialog) return;
    this.dialog = null;
    this.#app.mark('entry-recorded', at);
    if (dialog?.kind === 'acknowledge') {
      void this.#app.results.load();
      return;
    }
    this.signed = { entry, at: this.#clock() };
    const section = CHART_SECTIONS.find((each) => each === entry.section);
    if (section !== undefined && this.#app.section !== 'summary') this.#app.section = section;
    void this.#app.readChart();
  }

  /** Esc. */
  back(): void {
    if (this.dialog?.back() === true) this.park();
  }

  discard(): void {
    void this.dialog?.discard()?.then(() => this.#drafted());
    this.dialog = null;
  }

  async keepDraft(): Promise<void> {
    const { dialog } = this;
    if ((await dialog?.keepDraft()) !== true || this.dialog !== dialog) return;
    this.dialog = null;
    this.#drafted();
  }

  /** The chart says which drafts there are. */
  #drafted(): void {
    if (this.#app.view === 'chart') void this.#app.readChart();
  }

  /** Another patient comes to the front, or the lock falls: what is to be waited for is the keeping of a draft. */
  park(): Promise<void> | null {
    const kept = this.dialog?.park() ?? null;
    this.dialog = null;
    this.signed = null;
    return kept;
  }

  /** Of the chart in front: what was signed in it last, as it stands by now; null where that is another chart. */
  get signedHere(): { entry: EntryView; at: string } | null {
    const { signed } = this;
    const view = this.#app.chart?.view;
    if (signed === null || view?.banner.patient !== signed.entry.patient) return null;
    return { ...signed, entry: view.entries.find(({ id }) => id === signed.entry.id) ?? signed.entry };
  }

  /** A key while the dialog is open; what belongs to no field does nothing else. */
  onAct(act: Act, focus: Focus, at: number): boolean {
    if (act === 'sign') void this.submit(at);
    else if (act === 'escape') this.back();
    else if (act === 'refresh') {
      void this.dialog?.load();
      this.#app.askServer();
    } else if (typeof act === 'string' ? OF_THE_FIELDS.includes(act) || (act === 'open' && focus.typing) : 'digit' in act) return false;
    return true;
  }
}
