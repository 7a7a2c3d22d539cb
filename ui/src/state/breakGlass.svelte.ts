/**
 * The break-glass dialog (screens.md W2): reason, identity, patient, in whatever order they are given.
 *
 * Nothing is chosen beforehand and nothing happens before all three are there. With nobody signed in, the person is
 * identified first and only then may look for a patient. Secrets are dropped as soon as they were used.
 * Called by `emergency.ts` and `acts.ts`, shown by `views/BreakGlass.svelte`.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import { whoOfRow, type Who } from '../domain/who';
import type { BadgeView } from '../wire/BadgeView';
import type { EmergencyCardView } from '../wire/EmergencyCardView';
import type { ErrorView } from '../wire/ErrorView';
import type { PatientRowView } from '../wire/PatientRowView';
import type { ReasonView } from '../wire/ReasonView';
import type { ScanView } from '../wire/ScanView';
import type { SearchView } from '../wire/SearchView';
import { PatientList } from './list.svelte';

/** What is still missing, in the order in which the focus walks. */
export type Step = 'reason' | 'words' | 'user' | 'secret' | 'declared' | 'patient' | 'ready';

/** One opening of the dialog. */
export class BreakGlassDialog {
  reasons = $state.raw<ReasonView[] | null>(null);
  reason = $state.raw<ReasonView | null>(null);
  words = $state('');
  user = $state('');
  secret = $state('');
  /** With an emergency account: who somebody says they are, and where they are from. */
  declared = $state('');
  /** The emergency account that was typed: the engine has said that it is one. */
  #account = $state.raw<string | null>(null);
  /** Set once the person was identified without a session. */
  token = $state<string | null>(null);
  patient = $state.raw<Who | null>(null);
  query = $state('');
  readonly found = new PatientList<SearchView>();
  error = $state.raw<ErrorView | null>(null);
  busy = $state(false);
  /** A secret is asked for: nobody is signed in, or the engine says that the last one is too long ago. */
  secretNeeded = $state(true);
  /** Counts requests to move the focus to `step`. */
  focusAsked = $state(0);
  /** The patient was chosen before the dialog opened, and is still the one. */
  preset = $state(false);
  /** Signed-in user: the name cannot be changed, only proven. */
  readonly known: string | null;
  /** The badge that picked who is asking, before the dialog opened. */
  readonly #badge: BadgeView | null;
  #backend: Backend;

  constructor(backend: Backend, known: string | null, patient: Who | null, badge: BadgeView | null = null) {
    this.#backend = backend;
    this.known = known;
    this.#badge = badge;
    this.user = known ?? badge?.user ?? '';
    this.patient = patient;
    this.preset = patient !== null;
    // Somebody signed in, for a patient already chosen: the engine says whether their secret is fresh enough.
    this.secretNeeded = known === null || patient === null;
  }

  /** The first thing missing. */
  get step(): Step {
    if (this.reason === null) return 'reason';
    if (this.reason.needs_words && this.words.trim() === '') return 'words';
    if (this.token === null && this.secretNeeded) {
      if (this.user.trim() === '') return 'user';
      if (this.secret === '') return 'secret';
      if (this.nameNeeded && this.declared.trim() === '') return 'declared';
    }
    if (this.patient === null) return 'patient';
    return 'ready';
  }

  /** Whether what stands in the field for the user name is an emergency account: it is nobody's until somebody says who they are. */
  get nameNeeded(): boolean {
    return this.#account !== null && this.#account === this.user.trim();
  }

  /** Whether the search may be used: somebody has been identified. */
  get maySearch(): boolean {
    return this.token !== null;
  }

  async loadReasons(): Promise<void> {
    try {
      const asked = await this.#backend.reasons();
      this.reasons = asked.reasons;
      this.secretNeeded ||= asked.secret_needed;
    } catch (thrown) {
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
  }

  /** A digit, while no field has the focus. */
  chooseDigit(digit: number): boolean {
    const reason = this.reasons?.find((each) => each.digit === digit);
    if (reason === undefined) return false;
    this.choose(reason);
    return true;
  }

  choose(reason: ReasonView): void {
    this.reason = reason;
    this.moveOn();
  }

  /** Puts the focus where the next thing is missing. */
  moveOn(): void {
    this.focusAsked++;
  }

  /** Enter in a field: identify, pick the row, or go to what is missing. Returns true when all is ready to show. */
  async enter(): Promise<boolean> {
    if (this.busy) return false;
    this.error = null;
    const proves = this.token === null && this.user.trim() !== '' && this.secret !== '';
    if (proves && (this.nameNeeded ? this.declared.trim() !== '' : this.patient === null)) {
      await this.identify();
      return false;
    }
    if (this.patient === null && (this.found.loading || this.found.row !== null)) {
      this.#choose(await this.found.meant());
      return false;
    }
    if (this.step === 'ready') return true;
    this.moveOn();
    return false;
  }

  /** The badge, while it is the person's whose name stands here. */
  get #held(): string | null {
    return this.#badge !== null && this.#badge.user === this.user.trim() ? this.#badge.token : null;
  }

  async identify(): Promise<void> {
    this.busy = true;
    this.error = null;
    const declared = this.nameNeeded ? this.declared.trim() : '';
    try {
      this.token = await this.#backend.emergencyIdentify(this.user.trim(), this.secret, this.#held, declared === '' ? null : declared);
      this.secret = '';
    } catch (thrown) {
      this.fail(thrown);
    }
    this.busy = false;
    this.moveOn();
  }

  lookFor(query: string): void {
    this.query = query;
    const token = this.token;
    if (token === null) return;
    if (query.trim() === '') this.found.clear();
    else void this.found.load(() => this.#backend.emergencySearch(token, query), query);
  }

  pick(index: number): void {
    this.found.cursor = index;
    this.#choose(this.found.row);
  }

  /** Found by a scanned band: one that checks itself is chosen and confirmed on the button; any other a person picks. */
  scanned(view: ScanView, row: PatientRowView): void {
    this.error = null;
    this.query = '';
    const listed = { query: '', rows: view.rows, summary_text: view.text, more: false };
    if (view.kind === 'patient') this.#choose(row);
    else void this.found.load(() => Promise.resolve(listed)).then(() => this.moveOn());
  }

  #choose(row: PatientRowView | null): void {
    if (row === null || this.patient !== null) return;
    this.patient = whoOfRow(row);
    this.moveOn();
  }

  /** Back to the search: it is about somebody else. Who searches says who they are first. */
  unpick(): void {
    this.patient = null;
    this.preset = false;
    this.error = null;
    if (this.token === null) this.secretNeeded = true;
    this.moveOn();
  }

  /** Breaks the glass. The engine writes the audit row before it answers. */
  async show(): Promise<EmergencyCardView | null> {
    if (this.busy || this.step !== 'ready' || this.patient === null || this.reason === null) {
      this.moveOn();
      return null;
    }
    this.busy = true;
    this.error = null;
    const words = this.words.trim();
    try {
      const card = await this.#backend.breakGlass({
        patient: this.patient.patient,
        reason: this.reason.code,
        words: words === '' ? null : words,
        token: this.token,
        user: this.token === null && this.secretNeeded ? this.user.trim() : null,
        secret: this.token === null && this.secretNeeded ? this.secret : null,
        badge: this.token === null && this.secretNeeded ? this.#held : null,
      });
      this.forget();
      return card;
    } catch (thrown) {
      this.fail(thrown);
      this.moveOn();
      return null;
    } finally {
      this.busy = false;
    }
  }

  /** Drops every secret. */
  forget(): void {
    this.secret = '';
    this.token = null;
    this.found.clear();
  }

  private fail(thrown: unknown): void {
    this.error = errorOf(thrown, WORDS.notAnswered);
    // Nothing is wrong: there is one question more.
    if (this.error.code === 'name-needed') {
      this.#account = this.user.trim();
      this.error = null;
      return;
    }
    // The code was right, and is not typed twice for a name that is none.
    if (this.error.code === 'bad-request' && this.nameNeeded) return;
    this.secret = '';
    if (this.error.code === 'not-signed-in') {
      this.token = null;
      this.secretNeeded = true;
    }
  }
}
