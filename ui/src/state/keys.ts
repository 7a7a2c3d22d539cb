/**
 * The keys (screens.md A4): fixed, one table for the layer and for the help screen.
 *
 * Lives here: which key means which act, given what has the focus. Never here: doing it (`app.svelte.ts`).
 * No single letter ever signs, stops or orders anything.
 */
import { COURSE_HELP } from './courseKeys';
import { VIEWER_HELP } from './viewerKeys';

/** What a key asks for. */
export type Act =
  | 'help'
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
  | 'initials'
  | 'escape'
  | 'ignore'
  | { section: number }
  | { digit: number };

/** Keys that are left alone while somebody types; letters and digits act on the board only (`app.svelte.ts`). */
const PLAIN: Record<string, Act> = {
  '/': 'search',
  j: 'down',
  k: 'up',
  a: 'show-all',
  w: 'wall',
  i: 'initials',
  PageDown: 'page-down',
  PageUp: 'page-up',
  Home: 'first',
  End: 'last',
};

/** The part of a keyboard event that matters. */
export interface Key {
  key: string;
  ctrlKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
  metaKey: boolean;
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
    // A web view's own page-back and caret-browsing keys must not act.
    case 'F3':
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
  if (key.shiftKey && key.key.toLowerCase() === 'n') return 'night';
  if (key.key === '+' || key.key === '=') return 'larger';
  if (key.key === '-') return 'smaller';
  if (key.key === '0') return 'normal-size';
  if (key.shiftKey) return key.key.toLowerCase() === 'r' ? 'ignore' : null;
  if (/^[1-9]$/.test(key.key)) return { section: Number(key.key) };
  switch (key.key.toLowerCase()) {
    case 'f':
      return 'search';
    case 'b':
      return 'board';
    case 'l':
    case 'u':
      return 'lock';
    case 'r':
    case 'p':
    case 's':
      return 'ignore';
    default:
      return null;
  }
}

/** A line of the help screen. */
export interface KeyHelp {
  keys: string[];
  text: string;
}

/** The help screen's groups. The emergency stands apart, as its key does. */
export const KEY_HELP: { title: string; keys: KeyHelp[] }[] = [
  {
    title: 'Find and move',
    keys: [
      { keys: ['/', 'Ctrl+F'], text: 'Find a patient' },
      { keys: ['Ctrl+B'], text: 'Ward board' },
      { keys: ['↓ ↑', 'J K'], text: 'Next, previous row' },
      { keys: ['Enter'], text: 'Open the row' },
      { keys: ['Ctrl+1 … 8'], text: 'Sections of the chart' },
      { keys: ['F6', 'Shift+F6'], text: 'Next, previous part of the screen' },
      { keys: ['Esc'], text: 'Close the top layer' },
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
      { keys: ['W'], text: 'Wall display: large text, or back' },
      { keys: ['I'], text: 'On the wall display: initials only, or names' },
    ],
  },
  {
    title: 'Workstation',
    keys: [
      { keys: ['Ctrl+L'], text: 'Lock, switch user' },
      { keys: ['F5'], text: 'Ask the server now, read again' },
      { keys: ['Ctrl+Shift+N'], text: 'Night or day colours' },
      { keys: ['Ctrl + −'], text: 'Larger, smaller (100 to 200 %)' },
      { keys: ['Ctrl+0'], text: 'Normal size' },
      { keys: ['F1'], text: 'This page' },
    ],
  },
  COURSE_HELP,
  VIEWER_HELP,
  {
    title: 'Emergency',
    keys: [
      { keys: ['Ctrl+F12'], text: 'Emergency access: break the glass, from anywhere' },
      { keys: ['1 … 5'], text: 'Reason, in the emergency dialog' },
    ],
  },
];
