/**
 * What is done with a scanned code: a chart is opened, a patient is compared, or it is said why not.
 *
 * Where somebody is being treated on this screen (a form, an emergency card, the chart in front), a band answers whether it is
 * that person's, and changes nothing. Never here: keys (`scanner.ts`), reading codes (the engine), markup. Called by
 * `main.ts` and `acts.ts`; shown by `views/ScanNotice.svelte` and `views/Search.svelte`.
 */
import { whoOfBanner, whoOfRow, type Who } from '../domain/who';
import { WORDS } from '../i18n/words';
import { errorOf } from '../ipc/backend';
import type { PatientRowView } from '../wire/PatientRowView';
import type { ScanView } from '../wire/ScanView';
import type { SearchView } from '../wire/SearchView';
import type { App } from './app.svelte';
import type { BreakGlassDialog } from './breakGlass.svelte';

/** What is said about a code, over everything else. */
export interface ScanNotice {
  tone: 'calm' | 'high' | 'critical';
  title: string;
  text: string;
  /** Whose band it is, where that matters. */
  band: Who | null;
  /** Who this screen is about. */
  here: Who | null;
}

/** Where a code arrives. */
type Place =
  /** Nobody is being treated here: a band opens a chart. */
  | { kind: 'free' }
  /** The emergency dialog looks for its patient. */
  | { kind: 'emergency'; dialog: BreakGlassDialog; token: string }
  /** This screen is about somebody. */
  | { kind: 'somebody'; who: Who; what: string; front: boolean }
  /** Nothing can be done with it here. */
  | { kind: 'closed'; text: string };

export class Scans {
  notice = $state.raw<ScanNotice | null>(null);
  /** The answer in the search that came from a code, and why it does not open by itself. */
  compared = $state.raw<{ result: SearchView; text: string } | null>(null);
  readonly #app: App;
  #turn = 0;

  constructor(app: App) {
    this.#app = app;
  }

  /** A code can be meant: somebody is signed in, or identified for an emergency. */
  get listening(): boolean {
    return this.#app.session !== null || this.#app.dialog?.maySearch === true;
  }

  /** Why the list of the search was not opened, while it is that list. */
  get comparing(): string | null {
    return this.compared !== null && this.compared.result === this.#app.search.result ? this.compared.text : null;
  }

  clear(): void {
    this.#turn++;
    this.notice = null;
    this.compared = null;
  }

  close(): void {
    this.notice = null;
  }

  /** A code; null: only a part of one. `at` is when its last key went down. */
  async take(text: string | null, at: number): Promise<void> {
    const app = this.#app;
    if (!this.listening) return;
    app.touched(at);
    const turn = ++this.#turn;
    this.notice = null;
    if (text === null) return this.#say('high', WORDS.scan.unread, WORDS.scan.lost);
    const place = this.#place();
    if (place.kind === 'closed') return this.#say('high', WORDS.scan.notNow, place.text);
    let view: ScanView;
    try {
      // Identified without a session: by the token, also where the patient is chosen already.
      const token = app.session === null ? (app.dialog?.token ?? null) : place.kind === 'emergency' ? place.token : null;
      view = await (token === null ? app.backend.scan(text) : app.backend.emergencyScan(token, text));
    } catch (thrown) {
      if (turn === this.#turn) this.#say('critical', WORDS.scan.failed, errorOf(thrown, WORDS.notAnswered).text);
      return;
    }
    if (turn !== this.#turn || !this.listening) return;
    if (!same(place, this.#place())) return this.#say('high', WORDS.scan.notNow, WORDS.scan.meanwhile);
    const row = view.rows[0];
    if (row === undefined || (view.kind !== 'patient' && view.kind !== 'compare')) {
      const title = view.kind === 'not-a-patient' ? WORDS.scan.notAPatient : view.kind === 'not-here' ? WORDS.scan.notHere : WORDS.scan.unread;
      return this.#say('high', title, view.text);
    }
    if (place.kind === 'somebody') return this.#verify(place, view, row, at);
    if (place.kind === 'emergency') return place.dialog.scanned(view, row);
    app.help = false;
    app.sync = null;
    app.palette = null;
    if (view.kind === 'patient') {
      await app.openFound(row);
      app.mark('scanned', at);
    } else this.#compare(view);
  }

  #place(): Place {
    const app = this.#app;
    const { card, dialog, recording } = app;
    if (card !== null) return { kind: 'somebody', who: whoOfBanner(card.banner), what: WORDS.scan.ofCard, front: false };
    if (dialog !== null) {
      if (dialog.patient !== null) {
        const who = dialog.patient;
        return app.session === null && dialog.token === null ? { kind: 'closed', text: WORDS.scan.identify } : { kind: 'somebody', who, what: WORDS.scan.ofDialog, front: false };
      }
      return dialog.token === null ? { kind: 'closed', text: WORDS.scan.identify } : { kind: 'emergency', dialog, token: dialog.token };
    }
    if (app.cardError !== null || app.own !== null || app.packet !== null || app.fifth !== null || recording.list.settling !== null) return { kind: 'closed', text: WORDS.scan.closeFirst };
    const entry = recording.shown;
    if (entry?.critical != null) return { kind: 'closed', text: WORDS.scan.closeFirst };
    const front = app.view === 'chart' ? (app.chart?.view ?? null) : null;
    if (front !== null) {
      const who = whoOfBanner(front.banner);
      return { kind: 'somebody', who, what: entry === null ? WORDS.scan.ofChart : WORDS.scan.ofEntry, front: entry === null };
    }
    return recording.dialog === null ? { kind: 'free' } : { kind: 'closed', text: WORDS.scan.closeFirst };
  }

  #verify(place: Extract<Place, { kind: 'somebody' }>, view: ScanView, row: PatientRowView, at: number): void {
    const app = this.#app;
    const theirs = view.rows.find(({ patient }) => patient === place.who.patient);
    if (theirs !== undefined && view.kind === 'patient') return this.#say('calm', WORDS.scan.same, WORDS.scan.sameText(place.what), null, place.who);
    if (theirs !== undefined) return this.#say('high', WORDS.scan.maybe, view.text, null, place.who);
    // A chart in front is only looked at: the band of somebody else opens theirs beside it.
    if (place.front && view.kind === 'patient') {
      void app.openFound(row).then(() => app.mark('scanned', at));
      return;
    }
    if (place.front) return this.#compare(view);
    this.#say('critical', WORDS.scan.other, WORDS.scan.otherText(place.what), view.rows.length === 1 ? whoOfRow(row) : null, place.who);
  }

  /** Into the search, under the cursor: a person looks and presses Enter. */
  #compare(view: ScanView): void {
    const app = this.#app;
    const result: SearchView = { query: '', rows: view.rows, summary_text: WORDS.scan.found(view.rows.length), more: false };
    app.showSearch();
    app.query = '';
    this.compared = { result, text: view.text };
    void app.search.load(() => Promise.resolve(result));
  }

  #say(tone: ScanNotice['tone'], title: string, text: string, band: Who | null = null, here: Who | null = null): void {
    this.notice = { tone, title, text, band, here };
  }
}

/** Whether a code still arrives where it was scanned. */
function same(before: Place, now: Place): boolean {
  if (before.kind === 'emergency') return now.kind === 'emergency' && now.dialog === before.dialog;
  if (before.kind === 'somebody') return now.kind === 'somebody' && now.who.patient === before.who.patient && now.what === before.what;
  return before.kind === now.kind;
}
