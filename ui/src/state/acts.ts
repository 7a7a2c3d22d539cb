/**
 * What each act does, whether a key, a line of the palette or a button asked for it.
 *
 * Lives here: which layer answers a key, and what it does there. Never here: which key means which act (`keys.ts`), the
 * state itself (`app.svelte.ts`), what lies over what (`layers.ts`). Called by `app.svelte.ts` for the keys, and by the
 * views.
 */
import { whoOfCritical } from '../domain/results';
import type { Entry } from '../domain/timeline';
import { whoOfBanner } from '../domain/who';
import { WORDS } from '../i18n/words';
import type { App } from './app.svelte';
import type { BreakGlassDialog } from './breakGlass.svelte';
import { actOf, ENTRY_ACTS, type Act, type Focus, type Key } from './keys';
import { Palette, type Offer } from './palette.svelte';
import { CHART_SECTIONS } from './sections';
import type { SyncStatus } from './sync.svelte';

/** Steps of the user's scale, per cent. */
export const SCALES = [100, 125, 150, 200] as const;

/** Does what a key asks for; true when nothing else may act on it. */
export function onKey(app: App, key: Key, focus: Focus, at: number): boolean {
  app.touched(at);
  if (app.layers.imagesOnTop && app.images.onKey(key, focus, at)) return true;
  if (app.layers.onWall && app.wall.onKey(key, focus)) return true;
  if (app.layers.inFront(app.section) && app.courses.onKey(key, focus, app.section)) return true;
  const act = actOf(key, focus);
  return act === null ? false : perform(app, act, focus, at);
}

/** The status screen, at what begins a downtime drill. */
export function openDrill(app: App): void {
  app.palette = null;
  if (app.sync === null) app.toggleSync();
  if (app.sync !== null) (app.sync as SyncStatus).drillAsked = true;
}

/** Ends a downtime drill, whoever stands there. Where that fails the band over every screen stays. */
export async function endDrill(app: App): Promise<void> {
  await app.quietly(() => app.backend.drillEnd());
  app.refresh();
}

export function perform(app: App, act: Act, focus: Focus, at: number): boolean {
  // These answer everywhere, whatever lies on top.
  switch (act) {
    case 'break-glass':
      app.emergency.openHere();
      return true;
    case 'lock':
      app.lock();
      return true;
    case 'night':
      app.changePreferences({ night: !app.preferences.night });
      return true;
    case 'larger':
    case 'smaller':
      scale(app, act === 'larger' ? 1 : -1);
      return true;
    case 'normal-size':
      app.changePreferences({ scale: 100 });
      return true;
    case 'help':
      app.palette = null;
      app.help = !app.help;
      return true;
    case 'sync-status':
      app.toggleSync();
      return true;
    // Only where nobody is signed in, and nothing lies over the lock screen.
    case 'provider':
      if (app.view === 'lock' && !app.layers.covered) app.ways.asked++;
      return true;
    // By name alone, from the palette.
    case 'drill':
      openDrill(app);
      return true;
    case 'own-secret':
      app.askOwnSecret();
      return true;
    case 'end-drill':
      app.palette = null;
      void endDrill(app);
      return true;
    case 'palette':
      togglePalette(app);
      return true;
    case 'ignore':
      return true;
    // Left to a field while one is written in: the web view pastes without formats by one of them.
    case 'record-vitals':
    case 'add-allergy':
    case 'write-note':
      if (app.layers.between !== null) return false;
      app.palette = null;
      app.recording.open(ENTRY_ACTS[act]);
      return true;
    // By name alone, from the palette.
    case 'change-allergy':
    case 'review-conflict':
      app.palette = null;
      app.recording.change(act === 'change-allergy' ? app.recording.changes : app.recording.decisions);
      return true;
    case 'mark-wrong':
      app.palette = null;
      app.recording.markWrong();
      return true;
    case 'entries':
      app.palette = null;
      app.aside.showEntries();
      return true;
    case 'results':
      app.palette = null;
      app.aside.showResults();
      return true;
    case 'acknowledge':
      app.palette = null;
      acknowledge(app);
      return true;
    // Never the web view's own printing of what is on the screen.
    case 'print':
      if (app.sync === null) app.askPacket();
      else void printFromStatus(app);
      return true;
    // Never the web view's own search, wherever one is.
    case 'next-match':
    case 'previous-match':
      if (app.layers.readsNotes) app.notes.find(act === 'next-match' ? 1 : -1);
      return true;
    case 'next-pane':
    case 'previous-pane':
      return false;
    // Never the web view's own: it would close or leave the window.
    case 'next-chart':
    case 'previous-chart':
    case 'close-chart':
      if (app.layers.uncovered) onCharts(app, act);
      return true;
  }
  if (app.scans.notice !== null) {
    if (act === 'escape' || act === 'open') app.scans.close();
    return true;
  }
  if (app.palette !== null) {
    if (act === 'escape') return done(() => (app.palette = null));
    if (act === 'down' || act === 'up') return done(() => app.palette?.move(act === 'down' ? 1 : -1));
    if (act === 'open') return done(() => choose(app, app.palette?.offer ?? null, at));
    // A key that is shown beside its act does it from here as well.
    app.palette = null;
  }
  if (app.help) return act === 'escape' ? done(() => (app.help = false)) : act === 'refresh';
  if (app.sync !== null) {
    if (act === 'refresh') return done(() => app.askServer());
    return act === 'escape' && done(() => (app.sync = null));
  }
  if (app.own !== null) {
    if (act === 'escape') return done(() => app.closeOwnSecret());
    return typeof act === 'string' && act !== 'open';
  }
  if (app.packet !== null) {
    if (act === 'escape') return done(() => app.closePacket());
    return typeof act !== 'string' || act !== 'refresh';
  }
  if (app.afterwards.asking !== null) {
    if (act === 'escape') return done(() => app.afterwards.clear());
    return typeof act === 'string' && act !== 'open';
  }
  if (app.fifth !== null) return act === 'escape' ? done(() => app.makeRoom(null)) : typeof act === 'string' && act !== 'open';
  if (app.card !== null || app.cardError !== null) return onCard(app, act);
  if (app.dialog !== null) return onDialog(app, app.dialog, act, focus, at);
  if (app.recording.list.settling !== null) {
    if (act === 'escape') return done(() => app.recording.list.backFromSettling());
    return typeof act === 'string' && act !== 'open';
  }
  if (app.recording.shown !== null) return app.recording.onAct(act, focus, at);
  if (app.view === 'lock' && act === 'escape' && app.ways.back()) return true;
  return onView(app, act, focus);
}

/** Ctrl+F11: the row under the cursor of the inbox; from a chart the inbox, with that patient's row. */
export function acknowledge(app: App): void {
  const { results } = app;
  if (app.view === 'chart') {
    const chart = app.chart;
    app.aside.showResults(chart?.view == null ? (chart?.who ?? null) : whoOfBanner(chart.view.banner));
    return;
  }
  if (app.view !== 'results' || !app.layers.uncovered || results.result === null) return;
  const { current } = results;
  if (current === null) results.refused = WORDS.chooseResult;
  else if (!current.waiting) results.refused = WORDS.alreadyAcknowledged;
  else if (current.row.not_for_you_text !== null) results.refused = current.row.not_for_you_text;
  else app.recording.acknowledge(current.row);
}

/** From the status to the packet of this workstation's ward: on the board, where one sees what is printed. */
export async function printFromStatus(app: App): Promise<void> {
  if (!app.layers.mayPrintFromStatus) return;
  app.sync = null;
  app.palette = null;
  await app.showBoard();
  app.askPacket();
}

/** The chart of the row under the cursor of the inbox, at its labs. */
export function openResult(app: App): void {
  const row = app.results.current?.row;
  if (row !== undefined) void app.openChart(row.patient, 'results', whoOfCritical(row), 'labs');
}

/** From the timeline to the thing itself. */
export function openEntry(app: App, entry: Entry): void {
  if (entry.kind === 'notes') {
    app.notes.clear();
    app.notes.choose(entry.place);
    app.section = 'notes';
  } else if (entry.kind === 'studies') app.section = 'images';
}

/** Not over the emergency dialog, nor over an entry: nothing may stand between their steps. */
export function togglePalette(app: App): void {
  const asked = app.palette === null && app.dialog === null && app.fifth === null && app.own === null && app.packet === null && app.afterwards.asking === null && app.layers.between === null;
  app.help = false;
  if (asked) app.sync = null;
  app.palette = asked ? new Palette(app) : null;
}

/** Does what was chosen in the palette, and closes it. */
export function choose(app: App, offer: Offer | null, at: number): void {
  if (offer === null) return;
  app.palette = null;
  if (typeof offer.act === 'object' && 'viewer' in offer.act) app.images.perform(offer.act.viewer, at);
  // Its key is the board's and the wall's alone; by name it is opened from everywhere.
  else if (offer.act === 'live-vitals') app.showWall();
  else perform(app, offer.act, { typing: false, control: false }, at);
}

function onCharts(app: App, act: 'next-chart' | 'previous-chart' | 'close-chart'): void {
  app.palette = null;
  if (act !== 'close-chart') app.stepChart(act === 'next-chart' ? 1 : -1);
  else if (app.front !== null) app.closeTab(app.front);
}

function onCard(app: App, act: Act): boolean {
  if (act === 'escape') return done(() => app.emergency.closeCard());
  if (act === 'open') return done(() => app.emergency.openFullChart());
  return act === 'refresh';
}

function onDialog(app: App, dialog: BreakGlassDialog, act: Act, focus: Focus, at: number): boolean {
  if (typeof act === 'object' && 'digit' in act) return dialog.chooseDigit(act.digit);
  switch (act) {
    case 'escape':
      return done(() => app.emergency.cancel());
    case 'down':
    case 'up':
      if (dialog.found.result === null || dialog.patient !== null) return false;
      return done(() => dialog.found.move(act === 'down' ? 1 : -1));
    case 'open':
      return done(() => {
        void dialog.enter().then((ready) => {
          // Enter in a field shows the card only where the patient was there before the dialog: a patient just
          // picked is confirmed on the button.
          if (ready && (dialog.preset || !focus.typing)) void app.emergency.show(at);
          else if (ready) dialog.moveOn();
        });
      });
    default:
      return act === 'refresh';
  }
}

function onView(app: App, act: Act, focus: Focus): boolean {
  if (app.view === 'lock') return act === 'refresh' ? done(() => app.askServer()) : false;
  if (app.view === 'board') {
    const taken = onBoard(app, act);
    if (taken !== null) return taken;
  }
  if (typeof act === 'object') {
    const section = 'section' in act ? CHART_SECTIONS[act.section - 1] : undefined;
    if (app.view !== 'chart' || section === undefined) return false;
    return done(() => (app.section = section));
  }
  switch (act) {
    case 'search':
      return done(() => app.showSearch());
    case 'board':
      return done(() => app.showBoard());
    case 'live-vitals':
      if (app.view === 'wall') return done(() => app.showBoard());
      return app.view === 'board' && done(() => app.showWall());
    case 'refresh':
      return done(() => app.askServer());
    case 'next-item':
    case 'previous-item':
      if (app.layers.readsTimeline) return done(() => app.timeline.step(act === 'next-item' ? 1 : -1));
      return app.layers.readsNotes && done(() => app.notes.step(act === 'next-item' ? 1 : -1));
    case 'escape':
      if (app.view === 'entries' || app.view === 'results') return done(() => app.aside.back());
      if (app.view === 'wall') return done(() => app.showBoard());
      // What narrows the list is the top layer; closing the chart is the next.
      if (app.layers.readsNotes && app.notes.query !== '') return done(() => app.notes.clear());
      return app.view === 'chart' ? done(() => app.closeChart()) : clearSearch(app);
    case 'down':
    case 'up': {
      const list = app.view === 'search' ? app.search : app.view === 'board' ? app.board : app.view === 'results' ? app.results : null;
      if (list === null) return false;
      return done(() => list.move(act === 'down' ? 1 : -1));
    }
    case 'open': {
      if (app.layers.readsNotes && focus.typing) return done(() => app.notes.find(1));
      if (app.view === 'search') return done(() => void app.enterSearch());
      if (app.view === 'results') return done(() => openResult(app));
      if (app.view === 'wall') return done(() => app.openBed());
      return app.view === 'board' ? done(() => app.openRow('board')) : false;
    }
    default:
      return false;
  }
}

/** Keys that only the board has: whether it took one, or null where the key means the same on every screen. */
function onBoard(app: App, act: Act): boolean | null {
  const board = app.board;
  if (typeof act === 'object') return 'digit' in act ? board.toggleAcuity(act.digit) : null;
  switch (act) {
    case 'show-all':
      return done(() => board.showAll());
    case 'preview':
      return board.togglePreview();
    case 'wall':
      return done(() => (board.wall = !board.wall));
    case 'initials':
      return board.wall && done(() => (board.initials = !board.initials));
    case 'page-down':
    case 'page-up':
      return done(() => board.move(act === 'page-down' ? board.page : -board.page));
    case 'first':
    case 'last':
      return done(() => board.move(act === 'last' ? Infinity : -Infinity));
    case 'escape':
      return board.previewOf === null ? null : done(() => board.closePreview());
    default:
      return null;
  }
}

function clearSearch(app: App): boolean {
  if (app.view !== 'search') return false;
  return done(() => app.lookFor(''));
}

function scale(app: App, by: number): void {
  const at = SCALES.findIndex((step) => step === app.preferences.scale);
  const next = SCALES[Math.min(Math.max(0, at + by), SCALES.length - 1)] ?? 100;
  app.changePreferences({ scale: next });
}

function done(act: () => unknown): true {
  act();
  return true;
}
