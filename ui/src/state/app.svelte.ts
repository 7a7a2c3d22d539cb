/**
 * What is on the screen: one place, changed by acts and by what the engine tells.
 *
 * Lives here: the views and layers, what they show, and the lock that clears all of it. Never here: what a key or act does
 * (`acts.ts`), what lies over what (`layers.ts`), markup, words of the clinic, formatting. Called by `App.svelte` and the
 * views.
 */
import { errorOf, type Backend, type Preferences } from '../ipc/backend';
import { USUAL_HOURS } from '../domain/courses';
import { hoursOf, USUAL } from '../domain/layout';
import { chartIsOf, showBlock } from '../domain/safety';
import { lanesOf } from '../domain/timeline';
import { whoOfBed } from '../domain/wall';
import { whoOfBanner, whoOfRow, type Who } from '../domain/who';
import { openIn, type Spoken } from '../i18n/language';
import { WORDS } from '../i18n/words';
import type { ChartView } from '../wire/ChartView';
import type { EmergencyCardView } from '../wire/EmergencyCardView';
import type { EngineEvent } from '../wire/EngineEvent';
import type { ErrorView } from '../wire/ErrorView';
import type { LayoutView } from '../wire/LayoutView';
import type { LockView } from '../wire/LockView';
import type { PatientRowView } from '../wire/PatientRowView';
import type { SearchView } from '../wire/SearchView';
import type { SessionView } from '../wire/SessionView';
import type { StatusView } from '../wire/StatusView';
import { onKey } from './acts';
import { Afterwards } from './afterwards.svelte';
import { Aside } from './aside';
import { Board } from './board.svelte';
import type { BreakGlassDialog } from './breakGlass.svelte';
import { Courses } from './courses.svelte';
import { Emergency } from './emergency';
import { Images } from './images.svelte';
import type { Focus, Key } from './keys';
import { Layers } from './layers';
import { PatientList } from './list.svelte';
import { NotesReader } from './notes.svelte';
import { OwnSecretDialog } from './ownSecret.svelte';
import { PacketDialog } from './packet.svelte';
import { afterPaint } from './paint';
import type { Palette } from './palette.svelte';
import { Recording } from './recording.svelte';
import { Results } from './results.svelte';
import { Scans } from './scans.svelte';
import type { ChartSection } from './sections';
import { Standby } from './standby';
import { SyncStatus } from './sync.svelte';
import { Timeline } from './timeline.svelte';
import { Wall } from './wall.svelte';
import { Ways } from './ways.svelte';

/** The screens. */
export type ViewName = 'lock' | 'search' | 'board' | 'wall' | 'chart' | 'entries' | 'results';

/** Without a key or a movement for this long the workstation locks itself (security.md §1). */
export const IDLE_LOCK_MS = 2 * 60_000;
/** An open emergency card is being read with both hands busy: it stays longer. */
export const IDLE_LOCK_CARD_MS = 10 * 60_000;
/** The last part of it is announced. */
export const IDLE_WARNING_MS = 20_000;
/** An engine that has not answered for this long is said to be silent. */
export const SILENT_AFTER_MS = 5_000;

/** The lock waits at most this long until the draft of a note is kept. */
export const DRAFT_WAIT_MS = 500;

/** At most this many charts are open at once; one of them is in front. */
export const MOST_CHARTS = 4;

/**
 * One open chart. Only the one in front holds a record: one that comes to the front is read again, so that nothing old is
 * ever shown as if it were of now, and no late answer can stand under another's banner (S7, S8).
 */
export interface OpenChart {
  asked: string;
  /** Who it is, as far as a row or a banner has said. */
  who: Who | null;
  /** The list to go back to. */
  from: ViewName;
  section: ChartSection;
  view: ChartView | null;
  error: ErrorView | null;
  /** Said when an emergency access to it ended: why it is not shown. */
  ended: string | null;
  /** When the engine was asked for it: waiting is counted from there. */
  readAt: number;
}

/** Whole state of the screen. */
export class App {
  view = $state<ViewName>('lock');
  status = $state.raw<StatusView | null>(null);
  silent = $state(false);
  lockInfo = $state.raw<LockView | null>(null);
  lockError = $state.raw<ErrorView | null>(null);
  session = $state.raw<SessionView | null>(null);
  signInError = $state.raw<ErrorView | null>(null);
  signingIn = $state(false);
  query = $state('');
  readonly search = new PatientList<SearchView>();
  readonly board = new Board();
  /** Open charts in the order of their opening, and the patient of the one in front. */
  open = $state.raw<OpenChart[]>([]);
  front = $state<string | null>(null);
  /** A fifth chart was asked for: a person says which one to close. */
  fifth = $state.raw<{ patient: string; who: Who | null; from: ViewName; section: ChartSection | undefined } | null>(null);
  /** The downtime packet of the ward on the board. */
  packet = $state.raw<PacketDialog | null>(null);
  /** Somebody gives themselves a new PIN or password. */
  own = $state.raw<OwnSecretDialog | null>(null);
  /** What the lock screen says that went well; until somebody signs in. */
  said = $state<string | null>(null);
  section = $state<ChartSection>('summary');
  /** Reading and searching the notes of the open chart. */
  notes = $state.raw(this.#reader());
  timeline = $state.raw(this.#line());
  dialog = $state.raw<BreakGlassDialog | null>(null);
  card = $state.raw<EmergencyCardView | null>(null);
  cardError = $state.raw<ErrorView | null>(null);
  help = $state(false);
  /** F9: what this workstation can be relied on for. */
  sync = $state.raw<SyncStatus | null>(null);
  /** Ctrl+K: what can be done now. */
  palette = $state.raw<Palette | null>(null);
  /** Counts requests to put the focus into the search field. */
  searchFocus = $state(0);
  preferences = $state.raw<Preferences>({ night: false, scale: 100, language: 'en' });
  /** Seconds to the idle lock, while it is announced. */
  locksIn = $state<number | null>(null);
  readonly backend: Backend;
  readonly layers = new Layers(this);
  readonly emergency = new Emergency(this);
  /** The end of emergency access, and the words owed for it. */
  readonly afterwards = new Afterwards(this);
  /** What is recorded here: the dialog, and the list of what was not sent. */
  readonly recording: Recording;
  /** Critical results of the ward. */
  readonly results: Results;
  /** Live vital signs of the ward. */
  readonly wall: Wall;
  readonly aside = new Aside(this);
  /** What is done with a scanned band. */
  readonly scans = new Scans(this);
  /** The ways in besides name and secret. */
  readonly ways = new Ways(this);
  /** The page that takes this one's place after a lock. */
  readonly standby = new Standby(this);
  /** The images of each open chart: measurements stay until it is closed. */
  readonly #shelf = new Map<string, Images>();
  readonly #noImages: Images;
  readonly courses = new Courses();
  /** Rises with every lock: answers asked for before it are dropped. */
  #epoch = 0;
  /** What the engine told of a session since the last sign-in began. */
  #told: SessionView | null = null;
  /** Readings of charts, counted: an older answer never replaces a newer one. */
  #asked = 0;
  #answered = 0;
  #lastInput = performance.now();
  #lastAnswer = performance.now();
  #stirred = false;

  #reader(): NotesReader {
    return new NotesReader(() => {
      const view = this.chart?.view;
      const shown = view == null ? null : showBlock(view.notes, view.record_age, 'notes');
      return shown?.kind === 'rows' ? shown.rows : [];
    });
  }

  #line(): Timeline {
    return new Timeline(() => {
      const view = this.chart?.view;
      return view == null ? [] : lanesOf(view, this.images.list);
    });
  }

  constructor(backend: Backend) {
    this.backend = backend;
    this.recording = new Recording(this);
    this.results = new Results(backend);
    this.wall = new Wall(backend);
    this.#noImages = this.#newImages();
  }

  #newImages(): Images {
    return new Images(this.backend, (name, at) => this.mark(name, at));
  }

  /**
   * All patients here are synthetic. Nothing is claimed before the first status; then the last one holds, also while the
   * engine is silent and over every lock.
   */
  get training(): boolean {
    return this.status?.demo === true;
  }

  /** The chart in front; none on the other screens. */
  get chart(): OpenChart | null {
    return this.open.find(({ asked }) => asked === this.front) ?? null;
  }

  get images(): Images {
    return (this.front === null ? undefined : this.#shelf.get(this.front)) ?? this.#noImages;
  }

  // ---- start and what the engine tells ----

  async start(): Promise<void> {
    await Promise.all([this.standby.begin(), this.quietly(async () => this.usePreferences(await this.backend.preferences()))]);
    // A page behind another one hears nothing of anybody.
    if (!this.standby.behind) await this.#listen();
    await Promise.all([this.readStatus(), this.readLock()]);
    if (!this.standby.behind) this.mark('first-screen', null);
  }

  /** This page was behind another one and is put in front. */
  async comeToFront(): Promise<void> {
    this.touched(performance.now());
    this.mark('in-front', null);
    await this.#listen();
    await Promise.all([this.readStatus(), this.readLock()]);
  }

  #listen(): Promise<void> {
    return this.quietly(() => this.backend.listen((events) => this.hear(events)));
  }

  hear(events: EngineEvent[]): void {
    for (const event of events) {
      switch (event.kind) {
        case 'status':
          this.useStatus(event.value);
          break;
        case 'patients-changed':
          // An empty list means that nobody knows which: too much happened at once.
          if (event.value.length === 0) this.refresh();
          else if (this.chart !== null && event.value.includes(this.chart.asked)) {
            void this.readChart();
            this.images.refresh();
          } else this.aside.read(this.view);
          break;
        case 'board-changed':
          if (this.view === 'board') void this.readBoard();
          if (this.view === 'results') void this.results.load();
          this.wall.read();
          break;
        case 'wall':
          this.wall.hear();
          break;
        case 'wall-trends':
          this.wall.hearTrends();
          break;
        case 'session':
          this.#told = event.value;
          // Nothing moves under somebody's hands: another layout waits for the next sign-in.
          if (this.session?.user === event.value.user) this.session = { ...event.value, layout: this.session.layout };
          break;
        case 'images':
          this.images.hear(event.value);
          break;
        case 'emergency-ended':
          this.emergency.ended(event.value);
          break;
        case 'badge':
          this.ways.pick(event.value);
          break;
        case 'badge-refused':
          this.ways.refuse(event.value);
          break;
        case 'lock-changed':
          if (this.session === null) void this.readLock();
          break;
        case 'locked':
          void this.#locked();
          break;
      }
    }
  }

  /**
   * The engine ended the session. With nobody signed in here this is the echo of our own lock, which must not close an
   * emergency dialog opened since; or the workstation was revoked, which must.
   */
  async #locked(): Promise<void> {
    const stale = this.session === null;
    const kept = stale ? null : this.hideEverything();
    await this.readLock();
    if (stale && this.lockInfo?.device_state !== 'enrolled') this.hideEverything();
    if (kept !== null) await keptOrLate(kept);
    this.standby.locked();
  }

  useStatus(status: StatusView): void {
    const before = this.status?.age;
    const counted = this.status === null ? null : countsOf(this.status);
    this.status = status;
    this.silent = false;
    this.#lastAnswer = performance.now();
    if (counted !== null && counted !== countsOf(status)) this.aside.read(this.view);
    // The ages of the sections changed with the feed: read them again.
    if (before !== undefined && before !== status.age) {
      if (this.chart?.view) void this.readChart();
      this.images.refresh();
      if (this.view === 'board') void this.readBoard();
      if (this.view === 'results') void this.results.load();
      if (this.view === 'lock') void this.readLock();
      this.wall.read();
    }
  }

  async readStatus(): Promise<void> {
    try {
      this.useStatus(await this.backend.status());
    } catch {
      this.silent = true;
    }
  }

  /** Once a second: the clock, the watch over the engine, the idle lock. */
  tick(now: number): void {
    void this.readStatus();
    this.results.tick(now, this.view === 'results');
    this.sync?.tick(now);
    this.standby.tick(now);
    if (now - this.#lastAnswer > SILENT_AFTER_MS) this.silent = true;
    const open = this.session !== null || this.card !== null || this.dialog !== null || this.open.length > 0;
    const left = (this.card === null ? IDLE_LOCK_MS : IDLE_LOCK_CARD_MS) - (now - this.#lastInput);
    if (open && left <= 0) {
      this.lock(true);
      return;
    }
    this.locksIn = open && left <= IDLE_WARNING_MS ? Math.ceil(left / 1000) : null;
    // The engine locks by itself too: it hears of what happens here, and an open card counts until its own time ends.
    if (open && (this.#stirred || this.card !== null)) {
      this.#stirred = false;
      void this.quietly(() => this.backend.active());
    }
  }

  /** Any key, click or movement. */
  touched(now: number): void {
    this.#lastInput = now;
    this.#stirred = true;
    this.locksIn = null;
  }

  // ---- lock and sign-in ----

  async readLock(): Promise<void> {
    const before = this.lockInfo?.device_state;
    try {
      this.lockInfo = await this.backend.lockView();
      this.lockError = null;
      // Enrolled while this screen was open: another engine now tells what happens.
      if (before !== undefined && before !== 'enrolled' && this.lockInfo.device_state === 'enrolled') await this.#listen();
    } catch (thrown) {
      this.lockError = errorOf(thrown, WORDS.notAnswered);
    }
  }

  /** Signs in by name and secret; whom a badge picked, by that. */
  async signIn(user: string, secret: string): Promise<void> {
    if (this.signingIn) return;
    const { badge } = this.ways;
    const byBadge = badge !== null && badge.user === user ? badge.token : null;
    this.signingIn = true;
    this.signInError = null;
    this.ways.error = null;
    this.#told = null;
    const epoch = this.#epoch;
    try {
      const session = await (byBadge === null ? this.backend.signIn(user, secret) : this.backend.badgeSignIn(byBadge, secret));
      if (epoch !== this.#epoch) return;
      this.begun(session);
    } catch (thrown) {
      this.signInError = errorOf(thrown, WORDS.notAnswered);
    } finally {
      this.signingIn = false;
    }
  }

  /** Somebody is in: what their screens begin with. */
  begun(session: SessionView): void {
    this.standby.use();
    this.session = this.#asTold(session);
    this.said = null;
    this.ways.clear();
    this.view = 'search';
    this.courses.usual = hoursOf(this.layout, USUAL_HOURS);
    this.courses.clear();
    if (this.layout.first === 'board') void this.showBoard();
    else if (this.layout.first === 'results') this.aside.showResults();
    this.touched(performance.now());
    this.mark('signed-in', null);
    void this.afterwards.read();
  }

  /** What this person's screens begin with; without a person, what is usual. */
  get layout(): LayoutView {
    return this.session?.layout ?? USUAL;
  }

  /** The server may have confirmed the person before the engine's own answer came. */
  #asTold(session: SessionView): SessionView {
    return this.#told?.user === session.user ? this.#told : session;
  }

  /** S18: the screen is clear before the engine is even told. `idle`: nobody did it, so that emergency access outlasts it. */
  lock(idle = false): void {
    const kept = this.hideEverything();
    const locked = async () => {
      await this.quietly(() => this.backend.lock(idle));
      await this.readLock();
      this.standby.locked();
    };
    // What was typed of a note is kept first: afterwards nobody is signed in whose draft it could be.
    if (kept === null) void locked();
    else void keptOrLate(kept).then(locked);
  }

  /** Clears the screen at once; what is to be waited for before the session ends, or null. */
  hideEverything(): Promise<void> | null {
    this.#epoch++;
    const kept = this.recording.park();
    this.recording.list.clear();
    this.results.clear();
    this.wall.close();
    this.aside.forget();
    this.dialog?.forget();
    this.afterwards.forget();
    this.scans.clear();
    this.ways.clear();
    this.view = 'lock';
    this.session = null;
    this.signInError = null;
    this.query = '';
    this.search.clear();
    this.board.clear();
    for (const images of [this.#noImages, ...this.#shelf.values()]) images.clear();
    this.#shelf.clear();
    this.courses.usual = USUAL_HOURS;
    this.courses.clear();
    this.open = [];
    this.front = null;
    this.fifth = null;
    this.packet = null;
    this.closeOwnSecret();
    this.notes = this.#reader();
    this.timeline = this.#line();
    this.section = 'summary';
    this.dialog = null;
    this.card = null;
    this.cardError = null;
    this.help = false;
    this.sync = null;
    this.palette = null;
    this.locksIn = null;
    return kept;
  }

  // ---- lists ----

  showSearch(): void {
    if (this.session === null) return;
    this.putBack();
    this.board.closePreview();
    this.view = 'search';
    this.searchFocus++;
  }

  lookFor(query: string): void {
    this.query = query;
    if (query.trim() === '') this.search.clear();
    else void this.search.load(() => this.backend.search(query), query);
  }

  async showBoard(): Promise<void> {
    if (this.session === null) return;
    this.putBack();
    this.view = 'board';
    await this.readBoard();
  }

  /** V on the board: live vital signs of its ward; the cursor goes to this patient. */
  showWall(of: string | null = null): void {
    if (this.session === null) return;
    this.putBack();
    this.board.closePreview();
    this.view = 'wall';
    this.wall.open(of);
    this.mark('wall', null);
  }

  /** Whoever lies in the bed under the cursor of the wall: as the board says it, which says more, where that was read. */
  get whoOnWall(): Who | null {
    const bed = this.wall.current;
    if (bed === null) return null;
    const row = this.board.all.find(({ patient }) => patient === bed.patient);
    return row === undefined ? whoOfBed(bed) : whoOfRow(row);
  }

  /** The chart of that bed, or the emergency dialog where only breaking the glass would open it. */
  openBed(): void {
    const [bed, who] = [this.wall.current, this.whoOnWall];
    if (bed === null || who === null) return;
    if (bed.state === 'restricted') this.emergency.open(who);
    else void this.openChart(bed.patient, 'wall', who);
  }

  readBoard(): Promise<void> {
    return this.board.load(() => this.backend.board(null));
  }

  /** F9, and F9 again. */
  toggleSync(): void {
    this.palette = null;
    this.help = false;
    this.sync = this.sync === null ? new SyncStatus(this.backend) : null;
    void this.sync?.load();
  }

  /** Ctrl+P on the board. */
  askPacket(): void {
    const board = this.board.result;
    if (!this.layers.uncovered || this.view !== 'board' || board === null || this.packet !== null) return;
    this.palette = null;
    this.board.closePreview();
    this.packet = new PacketDialog(this.backend, board.ward, board.ward_name, board.rows.length);
  }

  closePacket(): void {
    this.packet = null;
  }

  /** By name alone, from the palette. */
  askOwnSecret(): void {
    this.palette = null;
    if (this.layers.uncovered) this.own = new OwnSecretDialog(this.backend);
  }

  closeOwnSecret(): void {
    this.own?.forget();
    this.own = null;
  }

  /** Once it is changed, the engine has locked: the lock screen says what to sign in with. */
  async changeOwnSecret(): Promise<void> {
    const { own } = this;
    if (own === null || !(await own.change())) return;
    this.said = own.changedText;
    if (this.session !== null) this.lock();
  }

  /** Enter in the search: never a row of an answer to something typed before. */
  async enterSearch(): Promise<void> {
    const epoch = this.#epoch;
    const row = await this.search.meant();
    const here = this.view === 'search' && this.dialog === null && this.card === null && !this.help && this.sync === null && this.fifth === null;
    if (epoch === this.#epoch && here) this.#open(row, 'search');
  }

  /** The row under the cursor was chosen. */
  openRow(from: 'search' | 'board'): void {
    this.#open(from === 'search' ? this.search.row : this.board.row, from);
  }

  /** Opens the chart of a row, or the emergency dialog where only breaking the glass would open it. */
  #open(row: PatientRowView | null, from: 'search' | 'board'): void {
    if (row === null) return;
    if (row.restricted) this.emergency.open(whoOfRow(row));
    else void this.openChart(row.patient, from, whoOfRow(row));
  }

  /** Whoever was found by a scanned band: the chart, or the emergency dialog, as from the row of a list. */
  async openFound(row: PatientRowView): Promise<void> {
    this.help = false;
    this.sync = null;
    this.palette = null;
    if (row.restricted) this.emergency.open(whoOfRow(row));
    else await this.openChart(row.patient, this.chart?.from ?? this.view, whoOfRow(row));
  }

  // ---- chart ----

  /** Opens a chart, or brings it to the front where it is open; a fifth one waits until a person closed another. */
  async openChart(patient: string, from: ViewName, who: Who | null = null, section?: ChartSection): Promise<void> {
    if (!this.open.some(({ asked }) => asked === patient)) {
      if (this.open.length >= MOST_CHARTS) {
        this.fifth = { patient, who, from, section };
        return;
      }
      this.#shelf.set(patient, this.#newImages());
      this.open = [...this.open, { asked: patient, who, from, section: section ?? this.layout.section, view: null, error: null, ended: null, readAt: 0 }];
    } else if (section !== undefined) this.#change(patient, { section });
    this.board.closePreview();
    if (this.session !== null) this.board.opened(patient, from === 'board');
    await this.showChart(patient);
  }

  /** Brings an open chart to the front: in its section, read anew. */
  async showChart(patient: string): Promise<void> {
    this.putBack();
    const chart = this.open.find(({ asked }) => asked === patient);
    if (chart === undefined) return;
    this.front = patient;
    this.section = chart.section;
    this.view = 'chart';
    await this.readChart();
    this.images.refresh();
    this.mark('chart', null);
  }

  /** Ctrl+Tab: the next open chart, around; from a list the one opened last. */
  stepChart(by: 1 | -1): void {
    const at = this.open.findIndex(({ asked }) => asked === this.front);
    const next = at === -1 ? this.open.at(-1) : this.open[(at + by + this.open.length) % this.open.length];
    if (next !== undefined && next.asked !== this.front) void this.showChart(next.asked);
  }

  async readChart(): Promise<void> {
    const asked = this.chart?.asked;
    if (asked === undefined) return;
    const epoch = this.#epoch;
    const turn = ++this.#asked;
    const readAt = performance.now();
    const late = () => epoch !== this.#epoch || this.front !== asked || turn < this.#answered;
    try {
      const view = await this.backend.chartOpen(asked);
      if (late()) return;
      this.#answered = turn;
      // S8: a record of somebody else is never shown, not even in part.
      if (chartIsOf(asked, view)) this.#change(asked, { view, error: null, ended: null, who: whoOfBanner(view.banner), readAt });
      else this.#change(asked, { view: null, error: wrongPatient() });
    } catch (thrown) {
      if (late()) return;
      this.#answered = turn;
      const error = errorOf(thrown, WORDS.notAnswered);
      const ended = error.code === 'denied' ? (this.chart?.ended ?? null) : null;
      this.#change(asked, { view: null, error: ended === null ? error : { ...error, text: ended } });
    }
  }

  /** An emergency access ended without its user's doing: its chart is not shown any more, and says why. */
  endChart(patient: string, text: string): void {
    this.#answered = ++this.#asked;
    this.#change(patient, { view: null, error: { code: 'denied', text, retry_after_s: null, break_glass_offered: true }, ended: text });
  }

  #change(patient: string, change: Partial<OpenChart>): void {
    this.open = this.open.map((each) => (each.asked === patient ? { ...each, ...change } : each));
  }

  /** Closes the chart in front and goes back to its list. */
  closeChart(): void {
    const chart = this.chart;
    if (chart === null) return;
    this.close(chart.asked);
    // With nobody signed in there is no list: what is still open comes to the front, or the lock screen.
    const next = this.session === null ? this.open.at(-1) : undefined;
    if (next !== undefined) void this.showChart(next.asked);
    else if (chart.from === 'wall') this.showWall(chart.asked);
    else this.view = chart.from;
    if (this.view === 'board') void this.readBoard();
    this.aside.read(this.view);
  }

  /** Closes an open chart, wherever it stands; the one in front leaves its place to none. */
  close(patient: string): void {
    if (this.front === patient) this.putBack();
    this.#shelf.get(patient)?.clear();
    this.#shelf.delete(patient);
    this.open = this.open.filter(({ asked }) => asked !== patient);
    void this.quietly(() => this.backend.chartClose(patient));
  }

  /** Ctrl+W, or the mark on a tab: the chart beside it comes to the front, where one was in front. */
  closeTab(patient: string): void {
    const at = this.open.findIndex(({ asked }) => asked === patient);
    const beside = this.open[at + 1] ?? this.open[at - 1];
    if (this.front !== patient) this.close(patient);
    else if (beside === undefined) this.closeChart();
    else {
      this.close(patient);
      void this.showChart(beside.asked);
    }
  }

  /** One was chosen to be closed for the fifth; null: none, nothing is opened. */
  makeRoom(patient: string | null): void {
    const fifth = this.fifth;
    this.fifth = null;
    if (fifth === null || patient === null) return;
    this.close(patient);
    void this.openChart(fifth.patient, fifth.from, fifth.who, fifth.section);
  }

  /** The chart in front goes behind: its record leaves the screen's memory, its place in it stays. */
  putBack(): void {
    this.wall.close();
    // Over the inbox there is an entry without a chart.
    void this.recording.park();
    const chart = this.chart;
    if (chart === null) return;
    this.images.putBack();
    this.courses.clear();
    this.#change(chart.asked, { section: this.section, view: null, error: null });
    this.front = null;
    this.section = 'summary';
    this.notes = this.#reader();
    this.timeline = this.#line();
  }

  // ---- how it looks ----

  usePreferences(preferences: Preferences): void {
    this.preferences = preferences;
    document.documentElement.dataset.theme = preferences.night ? 'night' : 'light';
  }

  changePreferences(change: Partial<Preferences>): void {
    this.usePreferences({ ...this.preferences, ...change });
    void this.quietly(() => this.backend.setPreferences(this.preferences));
  }

  /** Another language, chosen where nothing is open: the engine speaks it from now on, and the page is opened anew. */
  async speak(language: Spoken, open = openIn): Promise<void> {
    if (language === this.preferences.language) return;
    const before = this.preferences;
    this.usePreferences({ ...before, language });
    try {
      await this.backend.setPreferences(this.preferences);
    } catch (error) {
      // One half in one language and one in another would be read by nobody.
      this.usePreferences(before);
      this.lockError = errorOf(error, WORDS.notAnswered);
      return;
    }
    open(language);
  }

  // ---- keys, and what they ask for everywhere ----

  /** Does what a key asks for; true when nothing else may act on it. */
  onKey(key: Key, focus: Focus, at: number): boolean {
    return onKey(this, key, focus, at);
  }

  /** F5: the engine connects now if it is not connected, and what is here is read again. */
  askServer(): void {
    void this.quietly(() => this.backend.askServer());
    this.refresh();
  }

  /** Reads again what is on the screen, from this workstation. */
  refresh(): void {
    void this.readStatus();
    void this.sync?.load();
    if (this.view === 'lock') void this.readLock();
    if (this.view === 'chart') void this.readChart();
    this.images.refresh();
    if (this.view === 'board') void this.readBoard();
    this.wall.again();
    this.aside.read(this.view);
    if (this.view === 'search' && this.query !== '') this.lookFor(this.query);
  }

  /** Tells the engine when this change has been painted. */
  mark(name: string, keyAt: number | null): void {
    afterPaint(() => {
      const since = keyAt === null ? null : performance.now() - keyAt;
      void this.quietly(() => this.backend.painted(name, since));
    });
  }

  /** For calls whose failure the next status answer shows anyway. */
  async quietly(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch {
      this.silent = this.status === null;
    }
  }
}

/** A draft that is being kept, or as long as a lock waits for it. */
const keptOrLate = (kept: Promise<void>) => Promise.race([kept, new Promise((late) => setTimeout(late, DRAFT_WAIT_MS))]);

/** What the lists beside the screens are read again for: numbers, and no minute that goes by, because each reading is written down. */
const countsOf = ({ unsent, rejected, critical }: StatusView) => `${unsent} ${rejected} ${critical}`;

function wrongPatient(): ErrorView {
  return errorOf(null, WORDS.wrongPatient);
}
