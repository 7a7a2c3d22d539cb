/**
 * The keys (screens.md A4): fixed, one table for the layer and for the help screen.
 *
 * Lives here: which key means which act, given what has the focus. Never here: doing it (`acts.ts`).
 * No single letter ever signs, stops or orders anything.
 */
import { COURSE_HELP } from './courseKeys';
import { VIEWER_HELP } from './viewerKeys';

/** What a key asks for. */
export type Act =
  | 'help'
  | 'sync-status'
  | 'drill'
  | 'end-drill'
  | 'palette'
  | 'search'
  | 'board'
  | 'break-glass'
  | 'lock'
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

/** The help screen's groups. The emergency stands apart, as its key does. */
export const KEY_HELP: { title: string; keys: KeyHelp[] }[] = [
  {
    title: 'Find and move',
    keys: [
      { keys: ['Ctrl+K'], text: 'Everything that can be done now, by name' },
      { keys: ['/', 'Ctrl+F'], text: 'Find a patient', act: 'search', also: 'search name MRN' },
      { keys: ['Scan'], text: 'A patient’s band opens the chart, from any screen; in a form or on a card it is compared with who is there' },
      { keys: ['Ctrl+B'], text: 'Ward board', act: 'board', also: 'list patients beds' },
      { keys: ['Ctrl+I'], text: 'Critical results of the ward', act: 'results', also: 'inbox unacknowledged laboratory HH LL waiting' },
      { keys: ['↓ ↑', 'J K'], text: 'Next, previous row' },
      { keys: ['Enter'], text: 'Open the row' },
      { keys: ['Ctrl+1 … 8'], text: 'Sections of the chart' },
      { keys: ['Ctrl+Tab'], text: 'Next open chart (up to four are open)', act: 'next-chart', also: 'switch patient tab' },
      { keys: ['Ctrl+Shift+Tab'], text: 'Previous open chart', act: 'previous-chart', also: 'switch patient tab' },
      { keys: ['Ctrl+W'], text: 'Close this chart, go to the one beside it', act: 'close-chart', also: 'tab' },
      { keys: [']'], text: 'Next note, next entry of the timeline', act: 'next-item', also: 'older' },
      { keys: ['['], text: 'Previous note, previous entry', act: 'previous-item', also: 'newer' },
      { keys: ['F3'], text: 'Find in the notes, next match', act: 'next-match', also: 'search text' },
      { keys: ['Shift+F3'], text: 'Previous match in the notes', act: 'previous-match', also: 'search text' },
      { keys: ['F6', 'Shift+F6'], text: 'Next, previous part of the screen' },
      { keys: ['Esc'], text: 'Close the top layer', act: 'escape' },
    ],
  },
  {
    title: 'Ward board',
    keys: [
      { keys: ['PgDn', 'PgUp'], text: 'A page of rows down, up' },
      { keys: ['Home', 'End'], text: 'First, last row' },
      { keys: ['Space'], text: 'Preview of the row, in full; the chart stays closed' },
      { keys: ['1 … 5'], text: 'Show or leave out an acuity' },
      { keys: ['A'], text: 'Show all: no filter' },
      { keys: ['Ctrl+P'], text: 'Print the downtime packet of the ward', act: 'print', also: 'paper emergency cards' },
      { keys: ['V'], text: 'Live vitals of the ward, from the monitors; and back', act: 'live-vitals', also: 'vital signs wall monitors bedside HR SpO2 heart rate saturation blood pressure' },
      { keys: ['W'], text: 'Wall display: large text, or back' },
      { keys: ['I'], text: 'On the wall display: initials only, or names' },
    ],
  },
  {
    title: 'Live vital signs',
    keys: [
      { keys: ['← → ↓ ↑', 'J K'], text: 'Bed beside, below, above; next, previous bed' },
      { keys: ['Home', 'End'], text: 'First, last bed' },
      { keys: ['Enter'], text: 'Chart of the bed; closed, one is back here' },
      { keys: ['V', 'Esc'], text: 'Back to the ward board' },
    ],
  },
  {
    title: 'Record in the open chart',
    keys: [
      { keys: ['Ctrl+Shift+V'], text: 'Record vitals', act: 'record-vitals', also: 'enter observations measurements chart' },
      { keys: ['Ctrl+Shift+A'], text: 'Add allergy, or record that none is known', act: 'add-allergy', also: 'enter intolerance NKA reaction' },
      { keys: ['Ctrl+Shift+E'], text: 'Write note', act: 'write-note', also: 'enter text document' },
      { keys: ['Ctrl+Enter'], text: 'Look at it in its final form; once more: sign' },
      { keys: ['Enter'], text: 'Vital signs: next field' },
      { keys: ['1 … 9'], text: 'Choose, on a row of choices' },
      { keys: ['Esc'], text: 'One step back; never throws away what was typed' },
      { keys: ['Ctrl+Shift+O'], text: 'Entries not sent', act: 'entries', also: 'outbox queue rejected unsent waiting reconcile' },
    ],
  },
  {
    title: 'Workstation',
    keys: [
      { keys: ['Ctrl+L'], text: 'Lock, switch user', act: 'lock', also: 'sign out log off' },
      { keys: ['F5'], text: 'Ask the server now, read again', act: 'refresh', also: 'refresh reload connect' },
      { keys: ['F9'], text: 'What this workstation can be relied on for', act: 'sync-status', also: 'sync offline status server down disk clock certificate stored check' },
      { keys: ['Ctrl+Shift+N'], text: 'Night or day colours', act: 'night', also: 'dark light theme' },
      { keys: ['Ctrl + +'], text: 'Larger (to 200 %)', act: 'larger', also: 'zoom size bigger' },
      { keys: ['Ctrl + −'], text: 'Smaller (to 100 %)', act: 'smaller', also: 'zoom size' },
      { keys: ['Ctrl+0'], text: 'Normal size', act: 'normal-size', also: 'zoom 100 %' },
      { keys: ['F1'], text: 'Keys and words: this page', act: 'help', also: 'help' },
    ],
  },
  COURSE_HELP,
  VIEWER_HELP,
  {
    title: 'Critical results',
    keys: [
      { keys: ['Enter'], text: 'Chart of the row, at its labs' },
      { keys: ['Ctrl+F11'], text: 'Acknowledge the row: asks what is done, shows it, then is signed. In a chart: that patient’s row' },
      { keys: ['1 … 9'], text: 'What is done, in its form; nothing is chosen before' },
      { keys: ['Esc'], text: 'Back to where you were' },
    ],
  },
  {
    title: 'Emergency',
    keys: [
      { keys: ['Ctrl+F12'], text: 'Emergency access: break the glass, from anywhere', act: 'break-glass' },
      { keys: ['1 … 5'], text: 'Reason, in the emergency dialog' },
    ],
  },
];
