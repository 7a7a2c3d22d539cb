/**
 * The keys of the image viewer, while something inside it has the focus.
 *
 * Lives here: which key means which act, and the lines of the help screen. Never here: doing it (`images.svelte.ts`).
 * Every act has a button too: nothing needs a key, or a drag.
 */
import type { Focus, Key, KeyHelp } from './keys';
import type { Measure } from '../viewer/measure';

/** What dragging or clicking in the picture does. */
export type Tool = 'window' | 'pan' | 'zoom' | 'scroll' | Measure;

export type ViewerAct =
  | { step: number }
  | { series: 1 | -1 }
  | { preset: number }
  | { tool: Tool }
  | { nudge: [number, number] }
  | { zoom: 1 | -1 }
  | { port: number }
  | 'first'
  | 'last'
  | 'invert'
  | 'turn'
  | 'reset'
  | 'one-to-one'
  | 'cine'
  | 'layout'
  | 'compare'
  | 'link'
  | 'key-image'
  | 'next-key-image'
  | 'rail'
  | 'facts'
  | 'delete'
  | 'undo'
  | 'close';

const PLAIN: Record<string, ViewerAct> = {
  ArrowDown: { step: 1 },
  ArrowUp: { step: -1 },
  ArrowRight: { step: 1 },
  ArrowLeft: { step: -1 },
  j: { step: 1 },
  k: { step: -1 },
  PageDown: { series: 1 },
  PageUp: { series: -1 },
  Home: 'first',
  End: 'last',
  w: { tool: 'window' },
  p: { tool: 'pan' },
  z: { tool: 'zoom' },
  s: { tool: 'scroll' },
  l: { tool: 'length' },
  a: { tool: 'angle' },
  e: { tool: 'ellipse' },
  b: { tool: 'box' },
  '+': { zoom: 1 },
  '=': { zoom: 1 },
  '-': { zoom: -1 },
  i: 'invert',
  t: 'turn',
  r: 'reset',
  f: 'one-to-one',
  c: 'cine',
  x: 'layout',
  v: 'compare',
  h: 'link',
  m: 'key-image',
  n: 'next-key-image',
  q: 'rail',
  d: 'facts',
  Delete: 'delete',
  Escape: 'close',
};
const NUDGES: Record<string, [number, number]> = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };

/** The act of a key, or null when it belongs to somebody else. */
export function viewerActOf(key: Key, focus: Focus): ViewerAct | null {
  if (key.altKey || key.metaKey || focus.typing) return null;
  if (key.ctrlKey) return key.key.toLowerCase() === 'z' && !key.shiftKey ? 'undo' : null;
  const nudge = key.shiftKey ? NUDGES[key.key] : undefined;
  if (nudge !== undefined) return { nudge };
  if (/^[1-9]$/.test(key.key)) return { preset: Number(key.key) };
  return PLAIN[key.key.length === 1 ? key.key.toLowerCase() : key.key] ?? null;
}

/** What the palette offers while a series is open, with the key that does it in the picture. */
export const VIEWER_OFFERS: { act: ViewerAct; keys: string[]; text: string }[] = [
  { act: 'close', keys: ['Esc'], text: 'Back to the list of studies' },
  { act: { series: 1 }, keys: ['PgDn'], text: 'Next series' },
  { act: { series: -1 }, keys: ['PgUp'], text: 'Previous series' },
  { act: 'first', keys: ['Home'], text: 'First image' },
  { act: 'last', keys: ['End'], text: 'Last image' },
  { act: { preset: 1 }, keys: ['1'], text: 'Window as sent' },
  { act: { preset: 9 }, keys: ['9'], text: 'Window of all values' },
  { act: { tool: 'window' }, keys: ['W'], text: 'Drag changes the window' },
  { act: { tool: 'pan' }, keys: ['P'], text: 'Drag moves the picture' },
  { act: { tool: 'zoom' }, keys: ['Z'], text: 'Drag zooms' },
  { act: { tool: 'scroll' }, keys: ['S'], text: 'Drag goes through the images' },
  { act: { zoom: 1 }, keys: ['+'], text: 'Zoom in' },
  { act: { zoom: -1 }, keys: ['-'], text: 'Zoom out' },
  { act: 'one-to-one', keys: ['F'], text: 'One to one' },
  { act: 'invert', keys: ['I'], text: 'Invert the greys' },
  { act: 'turn', keys: ['T'], text: 'Turn right' },
  { act: 'reset', keys: ['R'], text: 'Reset the picture' },
  { act: { tool: 'length' }, keys: ['L'], text: 'Measure a length' },
  { act: { tool: 'angle' }, keys: ['A'], text: 'Measure an angle' },
  { act: { tool: 'ellipse' }, keys: ['E'], text: 'Measure in an ellipse' },
  { act: { tool: 'box' }, keys: ['B'], text: 'Measure in a box' },
  { act: 'cine', keys: ['C'], text: 'Play, stop' },
  { act: 'layout', keys: ['X'], text: 'Next layout' },
  { act: 'compare', keys: ['V'], text: 'Compare with the prior study' },
  { act: 'link', keys: ['H'], text: 'Scroll together' },
  { act: 'key-image', keys: ['M'], text: 'Mark as key image' },
  { act: 'next-key-image', keys: ['N'], text: 'Next key image' },
  { act: 'rail', keys: ['Q'], text: 'List of series beside the picture' },
  { act: 'facts', keys: ['D'], text: 'Details and measurements' },
];

/** Its group of the help screen. */
export const VIEWER_HELP: { title: string; keys: KeyHelp[] } = {
  title: 'Images (while the viewer has the focus)',
  keys: [
    { keys: ['↓ ↑', 'wheel'], text: 'Next, previous image' },
    { keys: ['Home', 'End'], text: 'First, last image' },
    { keys: ['PgDn', 'PgUp'], text: 'Next, previous series' },
    { keys: ['1 … 9'], text: 'Windows: 1 as sent, 9 all values' },
    { keys: ['W', 'P', 'Z', 'S'], text: 'Drag: window, pan, zoom, scroll' },
    { keys: ['Shift+↓ ↑ ← →'], text: 'The same by key' },
    { keys: ['+ −', 'F'], text: 'Zoom in, out; one to one' },
    { keys: ['I', 'T', 'R'], text: 'Invert, turn right, reset' },
    { keys: ['L', 'A', 'E', 'B'], text: 'Measure: length, angle, ellipse, box' },
    { keys: ['Del', 'Ctrl+Z'], text: 'Remove the last measurement, undo' },
    { keys: ['C'], text: 'Play, stop' },
    { keys: ['X', 'V', 'H'], text: 'Layout, compare with prior, scroll together' },
    { keys: ['M', 'N'], text: 'Mark a key image, go to the next' },
    { keys: ['Q', 'D'], text: 'List of series; details and measurements' },
    { keys: ['Esc'], text: 'Back to the list of studies' },
  ],
};
