/**
 * Lengths, angles and means on exact pixels, each with the source of its millimetres.
 *
 * Lives here: the arithmetic and its words. Millimetres only where the header has a spacing; else pixels, and the word
 * "uncalibrated". Never here: drawing. Called by the state of the images.
 */
import type { Display, Region } from '../domain/display';
import { say } from '../i18n/language';
import type { Point } from './geometry';
import { decimal, sensible } from './numbers';
import { WHOLE, type Pixels } from './pixels';
import { measuredOf, unitOf } from './voi';

export type Measure = 'length' | 'angle' | 'ellipse' | 'box';

/** How many points each takes. */
export const POINTS: Record<Measure, number> = { length: 2, angle: 3, ellipse: 2, box: 2 };

/** Millimetres of a column and a row there, and where they come from; null where nothing is calibrated. */
export interface Scale {
  x: number;
  y: number;
  source: string;
}

const within = ({ bounds: [left, top, right, bottom] }: Region, { x, y }: Point) =>
  x >= left && x <= right + 1 && y >= top && y <= bottom + 1;

/** The region that holds all points, if one does. */
function regionOf(display: Display, points: Point[]): Region | undefined {
  return display.regions.find((region) => points.every((point) => within(region, point)));
}

/** What a pixel is there. */
export function scaleAt(display: Display, points: Point[]): Scale | null {
  if (display.regions.length > 0) {
    const region = regionOf(display, points);
    if (region?.kind !== '2d' || region.unit_x !== 'mm' || region.unit_y !== 'mm') return null;
    return { x: Math.abs(region.step_x), y: Math.abs(region.step_y), source: sourceText('ultrasound region', undefined) };
  }
  const spacing = display.spacing;
  if (spacing === undefined || spacing.source === 'ultrasound region') return null;
  const by = spacing.source === 'imager' ? (spacing.magnification ?? 1) : 1;
  return { x: spacing.column_mm / by, y: spacing.row_mm / by, source: sourceText(spacing.source, spacing.magnification) };
}

const ULTRASOUND = say('ultrasound region', 'Ultraschallregion');
const calibrated = (how: string) => `kalibriert: ${how === 'not said how' ? 'ohne Angabe, wie' : how}`;

/** In words; what the shared crate for DICOM calls it is never translated before. */
function sourceText(source: string, magnification: number | undefined): string {
  switch (source) {
    case 'imager':
      return magnification === undefined
        ? say('at the detector, the patient is smaller', 'am Detektor, der Patient ist kleiner')
        : say(`detector spacing ÷ ${sensible(magnification)} estimated magnification`, `Detektorabstand ÷ ${sensible(magnification)} geschätzte Vergrößerung`);
    case 'nominal':
      return say('nominal, scanned film', 'nominal, gescannter Film');
    case 'plane unknown':
      return say('spacing of an unknown plane', 'Pixelabstand einer unbekannten Ebene');
    case 'pixel spacing':
      return say('pixel spacing', 'Pixelabstand');
    case 'ultrasound region':
      return ULTRASOUND;
    default:
      return source.startsWith('calibrated: ') ? say(source, calibrated(source.slice('calibrated: '.length))) : source;
  }
}

/** The distance in units of the scale. */
export function distance(a: Point, b: Point, scale: Pick<Scale, 'x' | 'y'>): number {
  return Math.hypot((b.x - a.x) * scale.x, (b.y - a.y) * scale.y);
}

/** Degrees at the middle point. */
export function angle([a, at, b]: [Point, Point, Point], scale: Pick<Scale, 'x' | 'y'>): number {
  const [ux, uy, vx, vy] = [(a.x - at.x) * scale.x, (a.y - at.y) * scale.y, (b.x - at.x) * scale.x, (b.y - at.y) * scale.y];
  return (Math.abs(Math.atan2(ux * vy - uy * vx, ux * vx + uy * vy)) * 180) / Math.PI;
}

/** What is in a region of interest, in the unit of the values. SD is that of the pixels themselves (divided by their count). */
export interface Stats {
  count: number;
  mean: number;
  deviation: number;
  low: number;
  high: number;
  /** Pixels that are no image and were left out. */
  padding: number;
}

/** Pixels whose centre lies inside. Only a whole frame of one sample; null for anything else or where there are none. */
export function stats(kind: 'ellipse' | 'box', [a, b]: [Point, Point], pixels: Pixels, display: Display): Stats | null {
  if (pixels.samples !== 1 || pixels.layer !== WHOLE) return null;
  const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)];
  const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)];
  const [cx, cy, rx, ry] = [(left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2];
  const { padding } = display;
  let [count, sum, squares, low, high, left0, shift] = [0, 0, 0, Infinity, -Infinity, 0, NaN];
  for (let y = Math.max(0, Math.ceil(top - 0.5)); y + 0.5 <= bottom && y < pixels.rows; y++) {
    for (let x = Math.max(0, Math.ceil(left - 0.5)); x + 0.5 <= right && x < pixels.columns; x++) {
      if (kind === 'ellipse' && ((x + 0.5 - cx) / rx) ** 2 + ((y + 0.5 - cy) / ry) ** 2 > 1) continue;
      const stored = pixels.values[y * pixels.columns + x] ?? 0;
      if (padding !== undefined && stored >= padding.low && stored <= padding.high) {
        left0++;
        continue;
      }
      const value = measuredOf(display, stored);
      // Around the first value, so that great values with little noise lose no digits.
      if (Number.isNaN(shift)) shift = value;
      count++;
      sum += value - shift;
      squares += (value - shift) ** 2;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (count === 0) return null;
  const mean = sum / count;
  return { count, mean: mean + shift, deviation: Math.sqrt(Math.max(0, squares / count - mean * mean)), low, high, padding: left0 };
}

const UNCALIBRATED = say('uncalibrated', 'unkalibriert');

/** The words beside a measurement: the value first, then what it rests on. */
export function measureText(kind: Measure, points: Point[], display: Display, pixels: Pixels | null): { value: string; basis: string } {
  const scale = scaleAt(display, points);
  const [a, b, c] = points;
  if (a === undefined || b === undefined) return { value: '', basis: '' };
  switch (kind) {
    case 'length':
      return scale === null ? inPixels(a, b, display) : { value: `${sensible(distance(a, b, scale), 1)} mm`, basis: scale.source };
    case 'angle': {
      if (c === undefined) return { value: '', basis: '' };
      const used = scale ?? { x: 1, y: display.aspect ?? 1 };
      const basis = scale?.source ?? (display.aspect === undefined ? say('uncalibrated, pixels taken as square', 'unkalibriert, Pixel als quadratisch angenommen') : say('uncalibrated, by the shape of the pixels', 'unkalibriert, nach der Form der Pixel'));
      return { value: `${decimal(angle([a, b, c], used), 1)}°`, basis };
    }
    default:
      return ofRegion(kind, a, b, display, pixels, scale);
  }
}

/** The kinds of regions that are no plane, in German; in English they are called by their codes. */
const REGIONS: Record<string, string> = { 'm-mode': 'M-Mode', spectral: 'Spektrum', waveform: 'Kurve', graphics: 'Grafik', other: 'andere Art' };

/** In regions of ultrasound that are no plane: time and speed, each along its axis. */
function inPixels(a: Point, b: Point, display: Display): { value: string; basis: string } {
  const region = regionOf(display, [a, b]);
  if (region !== undefined && region.unit_x !== undefined && region.unit_y !== undefined && region.kind !== '2d') {
    const along = sensible(Math.abs((b.x - a.x) * region.step_x));
    const up = sensible(Math.abs((b.y - a.y) * region.step_y));
    return { value: `${along} ${region.unit_x} × ${up} ${region.unit_y}`, basis: `${ULTRASOUND}, ${say(region.kind, REGIONS[region.kind] ?? region.kind)}` };
  }
  return { value: `${decimal(Math.hypot(b.x - a.x, b.y - a.y), 0)} px`, basis: UNCALIBRATED };
}

function ofRegion(kind: 'ellipse' | 'box', a: Point, b: Point, display: Display, pixels: Pixels | null, scale: Scale | null) {
  const [wide, high] = [Math.abs(b.x - a.x), Math.abs(b.y - a.y)];
  const size = wide * high * (kind === 'ellipse' ? Math.PI / 4 : 1);
  const area = scale === null ? `${decimal(size, 0)} px²` : `${sensible(size * scale.x * scale.y, 1)} mm²`;
  const source = scale?.source ?? UNCALIBRATED;
  if (pixels === null) return { value: area, basis: source };
  if (pixels.samples !== 1) return { value: area, basis: `${source}; ${say('a mean of colours means nothing', 'ein Mittelwert von Farben sagt nichts aus')}` };
  if (display.palette !== undefined) return { value: area, basis: `${source}; ${say('values of a palette are no amounts', 'Werte einer Palette sind keine Messwerte')}` };
  const found = stats(kind, [a, b], pixels, display);
  if (found === null) return { value: area, basis: `${source}; ${say('no pixel of the image in it', 'kein Pixel des Bildes darin')}` };
  const unit = unitOf(display);
  const units = unit === undefined ? '' : ` ${unit}`;
  const left = found.padding > 0 ? `, ${say(`${found.padding} px of padding left out`, `${found.padding} px Füllpixel ausgelassen`)}` : '';
  const [least, most] = [sensible(found.low, 1), sensible(found.high, 1)];
  const range = say(`${least} to ${most}`, `${least} bis ${most}`);
  return {
    value: say(`Mean ${decimal(found.mean, 1)}${units}`, `Mittel ${decimal(found.mean, 1)}${units}`),
    basis: `SD ${decimal(found.deviation, 1)} · ${range}${units} · ${area} · ${found.count} px${left}, ${source}`,
  };
}
