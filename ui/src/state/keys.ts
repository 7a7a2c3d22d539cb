/**
 * The keys (screens.md A4): fixed, one table for the layer and for the help screen.
 *
 * Lives here: which key means which act, given what has the focus. Never here: doing it (`acts.ts`).
 * No single letter ever signs, stops or orders anything.
 */
import { say } from '../i18n/language';
import { COURSE_HELP } from './courseKeys';
import { VIEWER_HELP } from './viewerKeys';

/** What a key asks for. */
export type Act =
  | 'help'
  | 'sync-status'
  | 'drill'
  | 'own-secret'
  | 'end-drill'
  | 'palette'
  | 'search'
  | 'board'
  | 'break-glass'
  | 'lock'
  | 'provider'
  | 'night'
  | 'larger'
  | 'smaller'
  | 'normal-size'
  | 'refresh'
  | 'next-pane'
  | 'previous-pane'
  | 'down'
  | 'up'
  | 'page-down'
  | 'page-up'
  | 'first'
  | 'last'
  | 'open'
  | 'preview'
  | 'show-all'
  | 'wall'
  | 'live-vitals'
  | 'initials'
  | 'escape'
  | 'next-chart'
  | 'previous-chart'
  | 'close-chart'
  | 'next-match'
  | 'previous-match'
  | 'next-item'
  | 'previous-item'
  | 'print'
  | 'record-vitals'
  | 'add-allergy'
  | 'write-note'
  | 'change-allergy'
  | 'mark-wrong'
  | 'review-conflict'
  | 'entries'
  | 'results'
  | 'acknowledge'
  | 'sign'
  | 'ignore'
  | { section: number }
  | { digit: number };

/** What each of them opens. */
export const ENTRY_ACTS = { 'record-vitals': 'vitals', 'add-allergy': 'allergy', 'write-note': 'note' } as const;

/** With Ctrl and Shift: what opens something to fill in. None of them signs. */
const SHIFTED: Record<string, Act> = { n: 'night', v: 'record-vitals', a: 'add-allergy', e: 'write-note', o: 'entries', r: 'ignore' };

/** Keys that are left alone while somebody types; letters and digits act on the board only (`acts.ts`). */
const PLAIN: Record<string, Act> = {
  '/': 'search',
  j: 'down',
  k: 'up',
  a: 'show-all',
  w: 'wall',
  v: 'live-vitals',
  i: 'initials',
  PageDown: 'page-down',
  PageUp: 'page-up',
  Home: 'first',
  End: 'last',
  ']': 'next-item',
  '[': 'previous-item',
};

/** The part of a keyboard event that matters. */
export interface Key {
  key: string;
  ctrlKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
  metaKey: boolean;
  /** Held down: the system repeats it. */
  repeat?: boolean;
}

/** Where the focus is: typing takes letters, digits and `/` for itself. */
export interface Focus {
  typing: boolean;
  /** On a control that answers Enter and Space itself. */
  control: boolean;
  /** Inside the image viewer, which has keys of its own (`viewerKeys.ts`). */
  viewer?: boolean;
  /** On the tabs of the chart, which have arrow keys of their own. */
  tabs?: boolean;
}

/** The act of a key, or null when it belongs to whatever has the focus. */
export function actOf(key: Key, focus: Focus): Act | null {
  if (key.altKey || key.metaKey) return null;
  if (key.ctrlKey) return withCtrl(key);
  switch (key.key) {
    case 'F1':
      return 'help';
    case 'F5':
      return 'refresh';
    case 'F8':
      return 'provider';
    case 'F9':
      return 'sync-status';
    case 'F6':
      return key.shiftKey ? 'previous-pane' : 'next-pane';
    case 'Escape':
      return 'escape';
    case 'ArrowDown':
      return 'down';
    case 'ArrowUp':
      return 'up';
    case 'Enter':
      return focus.control ? null : 'open';
    case 'F3':
      return key.shiftKey ? 'previous-match' : 'next-match';
    // A web view's own caret-browsing and tools must not act.
    case 'F7':
    case 'F12':
      return 'ignore';
  }
  if (focus.typing) return null;
  if (key.key === ' ') return focus.control ? null : 'preview';
  if (/^[1-9]$/.test(key.key)) return { digit: Number(key.key) };
  return PLAIN[key.key.length === 1 ? key.key.toLowerCase() : key.key] ?? null;
}

function withCtrl(key: Key): Act | null {
  if (key.key === 'F12') return 'break-glass';
  if (key.key === 'F11') return 'acknowledge';
  if (key.key === 'Tab') return key.shiftKey ? 'previous-chart' : 'next-chart';
  // A key that is held down never goes on from reading to signing.
  if (key.key === 'Enter') return key.shiftKey || key.repeat === true ? 'ignore' : 'sign';
  if (key.key === '+' || key.key === '=') return 'larger';
  if (key.key === '-') return 'smaller';
  if (key.key === '0') return 'normal-size';
  if (key.shiftKey) return SHIFTED[key.key.toLowerCase()] ?? null;
  if (/^[1-9]$/.test(key.key)) return { section: Number(key.key) };
  switch (key.key.toLowerCase()) {
    case 'f':
      return 'search';
    case 'b':
      return 'board';
    case 'i':
      return 'results';
    case 'k':
      return 'palette';
    case 'w':
      return 'close-chart';
    case 'l':
    case 'u':
      return 'lock';
    case 'p':
      return 'print';
    case 'r':
    case 's':
      return 'ignore';
    default:
      return null;
  }
}

/** A line of the help screen; of the palette too, where an act is named. What signs or orders never names one. */
export interface KeyHelp {
  keys: string[];
  text: string;
  act?: Act;
  /** Other words for it, for the palette's filter. */
  also?: string;
}

/** Groups that the palette knows by their names. */
export const WORKSTATION_GROUP = say('Workstation', 'Arbeitsplatz');
export const EMERGENCY_GROUP = say('Emergency', 'Notfall');
const PAGE_KEYS = [say('PgDn', 'Bild ↓'), say('PgUp', 'Bild ↑')];

/** The help screen's groups. The emergency stands apart, as its key does. */
export const KEY_HELP: { title: string; keys: KeyHelp[] }[] = [
  {
    title: say('Find and move', 'Suchen und bewegen'),
    keys: [
      { keys: ['Ctrl+K'], text: say('Everything that can be done now, by name', 'Alles, was jetzt getan werden kann, mit Namen') },
      { keys: ['/', 'Ctrl+F'], text: say('Find a patient', 'Patienten suchen'), act: 'search', also: say('search name MRN', 'finden Name Patientennummer') },
      { keys: ['Scan'], text: say('A patient’s band opens the chart, from any screen; in a form or on a card it is compared with who is there', 'Ein Patientenarmband öffnet die Akte, auf jedem Bildschirm; in einem Formular oder auf einer Notfallkarte wird es mit der Person dort verglichen') },
      { keys: ['Ctrl+B'], text: say('Ward board', 'Stationsübersicht'), act: 'board', also: say('list patients beds', 'Liste Patienten Betten') },
      { keys: ['Ctrl+I'], text: say('Critical results of the ward', 'Kritische Befunde der Station'), act: 'results', also: say('inbox unacknowledged laboratory HH LL waiting', 'Befundeingang unquittiert quittieren Labor HH LL wartend') },
      { keys: ['↓ ↑', 'J K'], text: say('Next, previous row', 'Nächste, vorige Zeile') },
      { keys: ['Enter'], text: say('Open the row', 'Zeile öffnen') },
      { keys: ['Ctrl+1 … 8'], text: say('Sections of the chart', 'Abschnitte der Akte') },
      { keys: ['Ctrl+Tab'], text: say('Next open chart (up to four are open)', 'Nächste offene Akte (bis zu vier sind offen)'), act: 'next-chart', also: say('switch patient tab', 'wechseln Patient Reiter') },
      { keys: ['Ctrl+Shift+Tab'], text: say('Previous open chart', 'Vorige offene Akte'), act: 'previous-chart', also: say('switch patient tab', 'wechseln Patient Reiter') },
      { keys: ['Ctrl+W'], text: say('Close this chart, go to the one beside it', 'Diese Akte schließen, weiter zu der daneben'), act: 'close-chart', also: say('tab', 'Reiter') },
      { keys: [']'], text: say('Next note, next entry of the timeline', 'Nächste Notiz, nächster Eintrag der Zeitleiste'), act: 'next-item', also: say('older', 'älter') },
      { keys: ['['], text: say('Previous note, previous entry', 'Vorige Notiz, voriger Eintrag'), act: 'previous-item', also: say('newer', 'neuer') },
      { keys: ['F3'], text: say('Find in the notes, next match', 'In den Notizen suchen, nächster Treffer'), act: 'next-match', also: say('search text', 'finden Text') },
      { keys: ['Shift+F3'], text: say('Previous match in the notes', 'Voriger Treffer in den Notizen'), act: 'previous-match', also: say('search text', 'suchen finden Text') },
      { keys: ['F6', 'Shift+F6'], text: say('Next, previous part of the screen', 'Nächster, voriger Teil des Bildschirms') },
      { keys: ['Esc'], text: say('Close the top layer', 'Oberste Ebene schließen'), act: 'escape' },
    ],
  },
  {
    title: say('Ward board', 'Stationsübersicht'),
    keys: [
      { keys: PAGE_KEYS, text: say('A page of rows down, up', 'Eine Seite Zeilen nach unten, oben') },
      { keys: ['Home', 'End'], text: say('First, last row', 'Erste, letzte Zeile') },
      { keys: ['Space'], text: say('Preview of the row, in full; the chart stays closed', 'Vorschau der Zeile, vollständig; die Akte bleibt geschlossen') },
      { keys: ['1 … 5'], text: say('Show or leave out an acuity', 'Eine Dringlichkeit zeigen oder weglassen') },
      { keys: ['A'], text: say('Show all: no filter', 'Alle zeigen: kein Filter') },
      { keys: ['Ctrl+P'], text: say('Print the downtime packet of the ward', 'Ausfallmappe der Station drucken'), act: 'print', also: say('paper emergency cards', 'Papier Notfallkarten') },
      { keys: ['V'], text: say('Live vitals of the ward, from the monitors; and back', 'Live-Vitalwerte der Station, von den Monitoren; und zurück'), act: 'live-vitals', also: say('vital signs wall monitors bedside HR SpO2 heart rate saturation blood pressure', 'Vitalwand Vitalzeichen Monitore Bett HR SpO2 Herzfrequenz Puls Sättigung Blutdruck') },
      { keys: ['W'], text: say('Wall display: large text, or back', 'Wandanzeige: große Schrift, oder zurück') },
      { keys: ['I'], text: say('On the wall display: initials only, or names', 'Auf der Wandanzeige: nur Initialen oder Namen') },
    ],
  },
  {
    title: say('Live vital signs', 'Live-Vitalwerte'),
    keys: [
      { keys: ['← → ↓ ↑', 'J K'], text: say('Bed beside, below, above; next, previous bed', 'Bett daneben, darunter, darüber; nächstes, voriges Bett') },
      { keys: ['Home', 'End'], text: say('First, last bed', 'Erstes, letztes Bett') },
      { keys: ['Enter'], text: say('Chart of the bed; closed, one is back here', 'Akte des Bettes; wird sie geschlossen, ist man wieder hier') },
      { keys: ['V', 'Esc'], text: say('Back to the ward board', 'Zurück zur Stationsübersicht') },
    ],
  },
  {
    title: say('Record in the open chart', 'In der offenen Akte dokumentieren'),
    keys: [
      { keys: ['Ctrl+Shift+V'], text: say('Record vitals', 'Vitalwerte dokumentieren'), act: 'record-vitals', also: say('enter observations measurements chart', 'eingeben erfassen Vitalzeichen Messwerte') },
      { keys: ['Ctrl+Shift+A'], text: say('Add allergy, or record that none is known', 'Allergie hinzufügen, oder dokumentieren, dass keine bekannt ist'), act: 'add-allergy', also: say('enter intolerance NKA reaction', 'eingeben erfassen Unverträglichkeit Reaktion') },
      { keys: ['Ctrl+Shift+E'], text: say('Write note', 'Notiz schreiben'), act: 'write-note', also: say('enter text document', 'eingeben Text Dokument') },
      { keys: ['Ctrl+Enter'], text: say('Look at it in its final form; once more: sign', 'In endgültiger Form ansehen; noch einmal: unterschreiben') },
      { keys: ['Enter'], text: say('Vital signs: next field', 'Vitalwerte: nächstes Feld') },
      { keys: ['1 … 9'], text: say('Choose, on a row of choices', 'Wählen, in einer Auswahlzeile') },
      { keys: ['Esc'], text: say('One step back; never throws away what was typed', 'Einen Schritt zurück; verwirft nie, was eingegeben wurde') },
      { keys: ['Ctrl+Shift+O'], text: say('Entries not sent', 'Nicht gesendete Einträge'), act: 'entries', also: say('outbox queue rejected unsent waiting reconcile', 'Ausgang abgelehnt ungesendet wartend abgleichen') },
    ],
  },
  {
    title: WORKSTATION_GROUP,
    keys: [
      { keys: ['Ctrl+L'], text: say('Lock, switch user', 'Sperren, Benutzer wechseln'), act: 'lock', also: say('sign out log off', 'abmelden ausloggen') },
      { keys: ['F8'], text: say('On the lock screen: sign in by the hospital’s identity provider, in the browser', 'Auf dem Sperrbildschirm: beim Identitätsanbieter des Hauses anmelden, im Browser') },
      { keys: ['Scan'], text: say('On the lock screen: your badge says who you are; then type your PIN', 'Auf dem Sperrbildschirm: Ihr Ausweis sagt, wer Sie sind; dann die PIN eingeben') },
      { keys: ['F5'], text: say('Ask the server now, read again', 'Server jetzt abfragen, neu einlesen'), act: 'refresh', also: say('refresh reload connect', 'aktualisieren laden verbinden') },
      { keys: ['F9'], text: say('What this workstation can be relied on for', 'Worauf an diesem Arbeitsplatz Verlass ist'), act: 'sync-status', also: say('sync offline status server down disk clock certificate stored check', 'Abgleich offline Status Server Ausfall verlässlich Platte Uhr Zertifikat gespeichert prüfen') },
      { keys: ['Ctrl+Shift+N'], text: say('Night or day colours', 'Nacht- oder Tagfarben'), act: 'night', also: say('dark light theme', 'dunkel hell') },
      { keys: ['Ctrl + +'], text: say('Larger (to 200 %)', 'Größer (bis 200 %)'), act: 'larger', also: say('zoom size bigger', 'Zoom Größe Schrift') },
      { keys: ['Ctrl + −'], text: say('Smaller (to 100 %)', 'Kleiner (bis 100 %)'), act: 'smaller', also: say('zoom size', 'Zoom Größe Schrift') },
      { keys: ['Ctrl+0'], text: say('Normal size', 'Normale Größe'), act: 'normal-size', also: say('zoom 100 %', 'Zoom 100 %') },
      { keys: ['F1'], text: say('Keys and words: this page', 'Tasten und Wörter: diese Seite'), act: 'help', also: say('help', 'Hilfe') },
    ],
  },
  COURSE_HELP,
  VIEWER_HELP,
  {
    title: say('Critical results', 'Kritische Befunde'),
    keys: [
      { keys: ['Enter'], text: say('Chart of the row, at its labs', 'Akte der Zeile, beim Labor') },
      { keys: ['Ctrl+F11'], text: say('Acknowledge the row: asks what is done, shows it, then is signed. In a chart: that patient’s row', 'Zeile quittieren: fragt, was unternommen wird, zeigt es, dann wird unterschrieben. In einer Akte: die Zeile dieses Patienten') },
      { keys: ['1 … 9'], text: say('What is done, in its form; nothing is chosen before', 'Was unternommen wird, im Formular; nichts ist vorausgewählt') },
      { keys: ['Esc'], text: say('Back to where you were', 'Zurück, wo Sie waren') },
    ],
  },
  {
    title: EMERGENCY_GROUP,
    keys: [
      { keys: ['Ctrl+F12'], text: say('Emergency access: break the glass, from anywhere', 'Notfallzugriff, von überall'), act: 'break-glass' },
      { keys: ['1 … 5'], text: say('Reason, in the emergency dialog', 'Grund, im Dialog des Notfallzugriffs') },
    ],
  },
];
