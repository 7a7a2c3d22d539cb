/**
 * The keys of the image viewer, while something inside it has the focus.
 *
 * Lives here: which key means which act, and the lines of the help screen. Never here: doing it (`images.svelte.ts`).
 * Every act has a button too: nothing needs a key, or a drag.
 */
import { say } from '../i18n/language';
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
  { act: 'close', keys: ['Esc'], text: say('Back to the list of studies', 'Zurück zur Liste der Untersuchungen') },
  { act: { series: 1 }, keys: [say('PgDn', 'Bild ↓')], text: say('Next series', 'Nächste Serie') },
  { act: { series: -1 }, keys: [say('PgUp', 'Bild ↑')], text: say('Previous series', 'Vorige Serie') },
  { act: 'first', keys: ['Home'], text: say('First image', 'Erstes Bild') },
  { act: 'last', keys: ['End'], text: say('Last image', 'Letztes Bild') },
  { act: { preset: 1 }, keys: ['1'], text: say('Window as sent', 'Fenster wie gesendet') },
  { act: { preset: 9 }, keys: ['9'], text: say('Window of all values', 'Fenster aller Werte') },
  { act: { tool: 'window' }, keys: ['W'], text: say('Drag changes the window', 'Ziehen ändert das Fenster') },
  { act: { tool: 'pan' }, keys: ['P'], text: say('Drag moves the picture', 'Ziehen verschiebt das Bild') },
  { act: { tool: 'zoom' }, keys: ['Z'], text: say('Drag zooms', 'Ziehen zoomt') },
  { act: { tool: 'scroll' }, keys: ['S'], text: say('Drag goes through the images', 'Ziehen blättert durch die Bilder') },
  { act: { zoom: 1 }, keys: ['+'], text: say('Zoom in', 'Vergrößern') },
  { act: { zoom: -1 }, keys: ['-'], text: say('Zoom out', 'Verkleinern') },
  { act: 'one-to-one', keys: ['F'], text: say('One to one', 'Eins zu eins') },
  { act: 'invert', keys: ['I'], text: say('Invert the greys', 'Graustufen umkehren') },
  { act: 'turn', keys: ['T'], text: say('Turn right', 'Nach rechts drehen') },
  { act: 'reset', keys: ['R'], text: say('Reset the picture', 'Bild zurücksetzen') },
  { act: { tool: 'length' }, keys: ['L'], text: say('Measure a length', 'Länge messen') },
  { act: { tool: 'angle' }, keys: ['A'], text: say('Measure an angle', 'Winkel messen') },
  { act: { tool: 'ellipse' }, keys: ['E'], text: say('Measure in an ellipse', 'In einer Ellipse messen') },
  { act: { tool: 'box' }, keys: ['B'], text: say('Measure in a box', 'In einem Rechteck messen') },
  { act: 'cine', keys: ['C'], text: say('Play, stop', 'Film abspielen, anhalten') },
  { act: 'layout', keys: ['X'], text: say('Next layout', 'Nächste Anordnung') },
  { act: 'compare', keys: ['V'], text: say('Compare with the prior study', 'Mit der Voruntersuchung vergleichen') },
  { act: 'link', keys: ['H'], text: say('Scroll together', 'Gemeinsam blättern') },
  { act: 'key-image', keys: ['M'], text: say('Mark as key image', 'Als Schlüsselbild markieren') },
  { act: 'next-key-image', keys: ['N'], text: say('Next key image', 'Nächstes Schlüsselbild') },
  { act: 'rail', keys: ['Q'], text: say('List of series beside the picture', 'Liste der Serien neben dem Bild') },
  { act: 'facts', keys: ['D'], text: say('Details and measurements', 'Einzelheiten und Messungen') },
];

/** Its group of the help screen. */
export const VIEWER_HELP: { title: string; keys: KeyHelp[] } = {
  title: say('Images (while the viewer has the focus)', 'Bilder (solange der Bildbetrachter den Fokus hat)'),
  keys: [
    { keys: ['↓ ↑', say('wheel', 'Mausrad')], text: say('Next, previous image', 'Nächstes, voriges Bild') },
    { keys: ['Home', 'End'], text: say('First, last image', 'Erstes, letztes Bild') },
    { keys: [say('PgDn', 'Bild ↓'), say('PgUp', 'Bild ↑')], text: say('Next, previous series', 'Nächste, vorige Serie') },
    { keys: ['1 … 9'], text: say('Windows: 1 as sent, 9 all values', 'Fenster: 1 wie gesendet, 9 alle Werte') },
    { keys: ['W', 'P', 'Z', 'S'], text: say('Drag: window, pan, zoom, scroll', 'Ziehen: Fenster, Verschieben, Zoom, Blättern') },
    { keys: ['Shift+↓ ↑ ← →'], text: say('The same by key', 'Dasselbe per Taste') },
    { keys: ['+ −', 'F'], text: say('Zoom in, out; one to one', 'Vergrößern, verkleinern; eins zu eins') },
    { keys: ['I', 'T', 'R'], text: say('Invert, turn right, reset', 'Umkehren, nach rechts drehen, zurücksetzen') },
    { keys: ['L', 'A', 'E', 'B'], text: say('Measure: length, angle, ellipse, box', 'Messen: Länge, Winkel, Ellipse, Rechteck') },
    { keys: [say('Del', 'Entf'), 'Ctrl+Z'], text: say('Remove the last measurement, undo', 'Letzte Messung entfernen, rückgängig') },
    { keys: ['C'], text: say('Play, stop', 'Film abspielen, anhalten') },
    { keys: ['X', 'V', 'H'], text: say('Layout, compare with prior, scroll together', 'Anordnung, Vergleich mit Voruntersuchung, gemeinsam blättern') },
    { keys: ['M', 'N'], text: say('Mark a key image, go to the next', 'Schlüsselbild markieren, zum nächsten') },
    { keys: ['Q', 'D'], text: say('List of series; details and measurements', 'Liste der Serien; Einzelheiten und Messungen') },
    { keys: ['Esc'], text: say('Back to the list of studies', 'Zurück zur Liste der Untersuchungen') },
  ],
};
