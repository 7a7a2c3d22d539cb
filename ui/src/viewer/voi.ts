/**
 * From values to grey: windows and tables of values of interest (PS3.3 §C.11.2), and the presets on the digits.
 *
 * Lives here: the arithmetic, in one place for the fallback and the tests; the shader says the same (gl.ts). Never here:
 * pixels, a canvas. Called by the renderers and the state of a viewport.
 */
import type { Display, Lut, Voi, Window } from '../domain/display';
import { say } from '../i18n/language';
import type { FrameView } from '../wire/FrameView';

/** How values become grey now: a window or the sender's table. */
export type Grey = { kind: 'window'; center: number; width: number; voi: Voi } | { kind: 'table'; lut: Lut };

/** 0 … 1 for a value (PS3.3 §C.11.2.1.2 and .3). */
export function greyOf(value: number, center: number, width: number, voi: Voi): number {
  switch (voi) {
    case 'LINEAR': {
      const half = (width - 1) / 2;
      if (value <= center - 0.5 - half) return 0;
      if (value > center - 0.5 + half) return 1;
      return (value - (center - 0.5)) / (width - 1) + 0.5;
    }
    case 'LINEAR_EXACT':
      if (value <= center - width / 2) return 0;
      if (value > center + width / 2) return 1;
      return (value - center) / width + 0.5;
    case 'SIGMOID':
      return 1 / (1 + Math.exp((-4 * (value - center)) / width));
  }
}

/** An entry of a table. */
export function entryOf(lut: Lut, value: number): number {
  const at = Math.min(Math.max(0, Math.floor(value + 0.5) - lut.first), lut.entries.length - 1);
  return lut.entries[at] ?? 0;
}

/** 0 … 1 for a value. */
export function throughGrey(grey: Grey, value: number): number {
  if (grey.kind === 'table') return Math.min(1, entryOf(grey.lut, value) / (2 ** grey.lut.bits - 1));
  return greyOf(value, grey.center, grey.width, grey.voi);
}

/** The stored value in its unit. */
export function measuredOf(display: Display, stored: number): number {
  if (display.modality_lut !== undefined) return entryOf(display.modality_lut, stored);
  const { slope, intercept } = display.rescale ?? { slope: 1, intercept: 0 };
  return slope * stored + intercept;
}

/** The unit of those values, if the header has one. */
export function unitOf(display: Display): string | undefined {
  return display.modality_lut !== undefined ? display.modality_lut.unit : display.rescale?.unit;
}

/** A window over all values of the frame, for headers without one. */
export function wholeRange(display: Display, frame: Pick<FrameView, 'low' | 'high'>): Window {
  const [a, b] = [measuredOf(display, frame.low), measuredOf(display, frame.high)];
  const [low, high] = a < b ? [a, b] : [b, a];
  return { center: (low + high + 1) / 2, width: Math.max(1, high - low + 1) };
}

/** What the picture opens with: the sender's first window, its table, or all values. */
export function firstGrey(display: Display, frame: Pick<FrameView, 'low' | 'high'>): Grey {
  const [window] = display.windows;
  if (window !== undefined) return { kind: 'window', ...pick(window), voi: display.voi };
  if (display.voi_lut !== undefined) return { kind: 'table', lut: display.voi_lut };
  return { kind: 'window', ...wholeRange(display, frame), voi: 'LINEAR' };
}

const pick = ({ center, width }: Window) => ({ center, width });

/** A window on a digit. */
export interface Preset {
  digit: number;
  name: string;
  grey: Grey;
}

/** Windows of CT in Hounsfield units, in the order of the digits 2 … 7. */
const OF_CT: [string, number, number][] = [
  [say('Soft tissue', 'Weichteil'), 40, 400],
  [say('Lung', 'Lunge'), -600, 1500],
  [say('Bone', 'Knochen'), 480, 2500],
  [say('Brain', 'Gehirn'), 40, 80],
  [say('Liver', 'Leber'), 70, 150],
  [say('Vessels', 'Gefäße'), 300, 600],
];

/** 1 is what the sender meant, 9 all values; between them the windows of CT, or the sender's others. */
export function presetsOf(display: Display, frame: FrameView): Preset[] {
  if (frame.samples !== 1 || frame.colour === 'palette') return [];
  const sent: [string, Grey][] = display.windows.map((w) => [w.name ?? say('As sent', 'Wie gesendet'), { kind: 'window', ...pick(w), voi: display.voi }]);
  if (display.voi_lut !== undefined) sent.push([display.voi_lut.name ?? say('Table as sent', 'Tabelle wie gesendet'), { kind: 'table', lut: display.voi_lut }]);
  const [first, ...others] = sent;
  const middle: [string, Grey][] =
    unitOf(display) === 'HU'
      ? [...OF_CT.map(([name, center, width]): [string, Grey] => [name, { kind: 'window', center, width, voi: 'LINEAR' }]), ...others.slice(0, 1)]
      : others.slice(0, 7);
  const everything = say('All values', 'Alle Werte');
  const all: Grey = { kind: 'window', ...wholeRange(display, frame), voi: 'LINEAR' };
  return [
    { digit: 1, name: first?.[0] ?? everything, grey: first?.[1] ?? all },
    ...middle.map(([name, grey], i) => ({ digit: i + 2, name, grey })),
    { digit: 9, name: everything, grey: all },
  ];
}
