/**
 * The palette (Ctrl+K): what can be done now, by name, with the key that does the same.
 *
 * Lives here: which lines of the one table of keys are possible now, and the filter. Never here: doing it
 * (`acts.ts`), and never anything that signs or orders: those acts have no line that names them.
 * The list is that of the moment of opening, so that nothing moves under a finger on its way to Enter.
 */
import { plain } from '../domain/find';
import { keyText, say } from '../i18n/language';
import type { App } from './app.svelte';
import { EMERGENCY_GROUP, KEY_HELP, WORKSTATION_GROUP, type Act } from './keys';
import { CHART_SECTIONS, SECTION_ALSO, SECTION_TITLES } from './sections';
import { VIEWER_OFFERS, type ViewerAct } from './viewerKeys';

/** One line of the palette. */
export interface Offer {
  group: string;
  text: string;
  keys: string[];
  act: Act | { viewer: ViewerAct };
  also: string;
}

export { EMERGENCY_GROUP };

/** In their group, after its lines. */
function withDrill(offers: Offer[], drill: Offer[]): Offer[] {
  const at = offers.map(({ group }) => group).lastIndexOf(WORKSTATION_GROUP) + 1;
  return [...offers.slice(0, at), ...drill, ...offers.slice(at)];
}

/** Everything possible now, in groups; emergency access is always the last. */
export function offersOf(app: App): Offer[] {
  return [...ofTheCard(app), ...ofTheViewer(app), ...ofTheChart(app), ...ofTheAllergies(app), ...ofTheVitals(app), ...withDrill(ofTheTable(app), [...ofTheDrill(app), ...ofThePerson(app)])];
}

function ofTheCard(app: App): Offer[] {
  if (app.card === null || !app.card.full_chart_available) return [];
  return [{ group: say('Emergency card', 'Notfallkarte'), text: say('Full chart', 'Vollständige Akte'), keys: ['Enter'], act: 'open', also: say('record', 'ganz') }];
}

function ofTheViewer(app: App): Offer[] {
  if (!app.layers.imagesOnTop || !app.images.open) return [];
  return VIEWER_OFFERS.map(({ act, keys, text }) => ({ group: say('Image', 'Bild'), text, keys, act: { viewer: act }, also: '' }));
}

function ofTheChart(app: App): Offer[] {
  if (covered(app) || app.view !== 'chart' || app.chart?.view == null) return [];
  return CHART_SECTIONS.map((section, at) => ({
    group: say('This chart', 'Diese Akte'),
    text: SECTION_TITLES[section],
    keys: [`Ctrl+${at + 1}`],
    act: { section: at + 1 },
    also: SECTION_ALSO[section],
  }));
}

/** What has no key of its own: it is opened from the section of the allergies, or from here. */
function ofTheAllergies(app: App): Offer[] {
  if (covered(app)) return [];
  const group = say('Allergies of this chart', 'Allergien dieser Akte');
  const found: Offer[] = [];
  if (app.recording.decisions.length > 0) found.push({ group, text: say('Review conflict about an allergy', 'Widerspruch zu einer Allergie prüfen'), keys: [], act: 'review-conflict', also: say('disputed contradict decide dispute', 'strittig entscheiden Konflikt') });
  if (app.recording.changes.length > 0) found.push({ group, text: say('Change an allergy', 'Eine Allergie ändern'), keys: [], act: 'change-allergy', also: say('confirm refute resolved entered in error intolerance correct', 'bestätigen widerlegen abgeklungen irrtümlich eingetragen Unverträglichkeit korrigieren') });
  return found;
}

/** As those of the allergies: from the section of the vital signs, or from here. */
function ofTheVitals(app: App): Offer[] {
  if (covered(app) || app.recording.wrongs.length === 0) return [];
  const group = say('Vital signs of this chart', 'Vitalwerte dieser Akte');
  return [{ group, text: say('Mark a measured value as wrong', 'Einen Messwert als falsch markieren'), keys: [], act: 'mark-wrong', also: say('entered in error correct delete undo artefact mistake wrong patient', 'irrtümlich korrigieren löschen rückgängig Artefakt Fehler falscher Patient') }];
}

/** No key of its own: nobody begins one by a slip, and the band over every screen ends it. */
function ofTheDrill(app: App): Offer[] {
  const group = WORKSTATION_GROUP;
  if (app.status?.drill_text != null) return [{ group, text: say('End the downtime drill', 'Ausfallübung beenden'), keys: [], act: 'end-drill', also: say('connect server stop', 'verbinden Server stoppen') }];
  if (app.session === null || covered(app)) return [];
  return [{ group, text: say('Start a downtime drill…', 'Ausfallübung beginnen…'), keys: [], act: 'drill', also: say('begin exercise practice offline readiness', 'starten üben Übung offline Bereitschaft') }];
}

/** No key of its own: it is done once in months. */
function ofThePerson(app: App): Offer[] {
  if (app.session === null || covered(app)) return [];
  return [{ group: WORKSTATION_GROUP, text: say('Change my PIN or password…', 'Meine PIN oder mein Kennwort ändern…'), keys: [], act: 'own-secret', also: say('secret new own code account', 'neu eigene Geheimzahl Passwort Konto') }];
}

function ofTheTable(app: App): Offer[] {
  const found: Offer[] = [];
  for (const { title, keys: lines } of KEY_HELP) {
    for (const { act, text, keys, also = '' } of lines) {
      if (act !== undefined && isPossible(app, act)) found.push({ group: title, text: textOf(app, act) ?? text, keys, act, also });
    }
  }
  return found;
}

const covered = (app: App) => app.card !== null || app.cardError !== null;

/** Whether this act would do something now. */
function isPossible(app: App, act: Act): boolean {
  const view = covered(app) ? null : app.view;
  switch (act) {
    case 'search':
    case 'board':
      return app.session !== null && view !== null && view !== 'lock';
    case 'live-vitals':
      return app.session !== null && view !== null && view !== 'lock' && view !== 'wall';
    case 'escape':
      return view === null || view === 'wall' || (view === 'chart' && !app.images.open) || view === 'entries' || view === 'results' || (view === 'search' && app.query !== '');
    case 'next-chart':
    case 'previous-chart':
      return view !== null && app.open.some(({ asked }) => asked !== app.front);
    case 'close-chart':
      return view === 'chart' && app.open.length > 1;
    case 'record-vitals':
    case 'add-allergy':
    case 'write-note':
      return view === 'chart' && app.chart?.view?.may_record === true;
    case 'entries':
      return app.session !== null && view !== null && view !== 'lock' && view !== 'entries';
    case 'results':
      return app.session !== null && view !== null && view !== 'lock' && view !== 'results';
    case 'print':
      return view === 'board' && app.board.result !== null;
    case 'next-match':
      return app.layers.readsNotes && app.notes.all > 0;
    case 'previous-match':
      return app.layers.readsNotes && app.notes.matches > 0;
    case 'next-item':
    case 'previous-item':
      return (app.layers.readsNotes && app.notes.all > 0) || (app.layers.readsTimeline && app.timeline.entries.length > 0);
    case 'lock':
      return app.session !== null || app.chart !== null || covered(app);
    case 'refresh':
      return view !== null;
    case 'larger':
      return app.preferences.scale < 200;
    case 'smaller':
    case 'normal-size':
      return app.preferences.scale > 100;
    case 'break-glass':
      return view !== null && (app.lockInfo === null || app.lockInfo.device_state === 'enrolled');
    default:
      return true;
  }
}

/** What the act means now, where the table has to say it for every case. */
function textOf(app: App, act: Act): string | null {
  switch (act) {
    case 'escape':
      return covered(app) ? say('Close the emergency card', 'Notfallkarte schließen') : app.view === 'search' ? say('Clear the search', 'Suche leeren') : app.view === 'entries' || app.view === 'results' ? say('Close this list, back to where you were', 'Diese Liste schließen, zurück, wo Sie waren') : app.view === 'wall' ? say('Back to the ward board', 'Zurück zur Stationsübersicht') : say('Close this chart, back to the list', 'Diese Akte schließen, zurück zur Liste');
    case 'night':
      return app.preferences.night ? say('Day colours', 'Tagfarben') : say('Night colours', 'Nachtfarben');
    case 'help':
      return say('Help: keys and words', 'Hilfe: Tasten und Wörter');
    case 'break-glass':
      return say('Emergency access: break the glass', 'Notfallzugriff');
    default:
      return null;
  }
}

const wordsOf = (text: string) => plain(text).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
/** Typed shorter than this, letters count only where a word begins: "me" is no part of "emergency". */
const INSIDE_FROM = 3;

/** The offers that fit every word typed, in any order; those whose own name begins so stand before the others. */
export function matching(offers: Offer[], query: string): Offer[] {
  const typed = plain(query).split(/\s+/u).filter(Boolean);
  const found = offers.map((offer) => ({ offer, rank: rankOf(offer, typed) })).filter(({ rank }) => rank < 3);
  return found.sort((a, b) => a.rank - b.rank).map(({ offer }) => offer);
}

function rankOf({ text, keys, also }: Offer, typed: string[]): 0 | 1 | 2 | 3 {
  const name = wordsOf(text);
  const known = [...name, ...wordsOf(also)];
  // A key is meant only when it is typed whole, as it stands beside its act: "ctrl" is in nearly all of them.
  const pressed = keys.map((key) => plain(keyText(key)));
  const begins = (words: string[], word: string) => words.some((each) => each.startsWith(word)) || pressed.includes(word);
  if (typed.every((word) => begins(name, word))) return 0;
  if (typed.every((word) => begins(known, word))) return 1;
  const inside = (word: string) => word.length >= INSIDE_FROM && plain(text).includes(word);
  return typed.every((word) => begins(known, word) || inside(word)) ? 2 : 3;
}

/** One opening of the palette. */
export class Palette {
  readonly all: Offer[];
  query = $state('');
  cursor = $state(0);

  constructor(app: App) {
    this.all = offersOf(app);
  }

  get shown(): Offer[] {
    // The emergency stands apart and last, however well its name fits.
    const found = matching(this.all, this.query);
    const apart = (offer: Offer) => offer.group === EMERGENCY_GROUP;
    return [...found.filter((offer) => !apart(offer)), ...found.filter(apart)];
  }

  /** What Enter does. */
  get offer(): Offer | null {
    return this.shown[this.cursor] ?? null;
  }

  look(query: string): void {
    this.query = query;
    this.cursor = 0;
  }

  /** Stops at both ends: from the first line one step must not lead to the emergency. */
  move(by: number): void {
    this.cursor = Math.min(Math.max(0, this.cursor + by), Math.max(0, this.shown.length - 1));
  }
}
