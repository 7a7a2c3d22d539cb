/**
 * How one frame is shown and measured: the shape of `displays` in an open series, as the shared crate for DICOM writes it.
 *
 * Lives here: the type and the look at what arrived. Never here: pixels, defaults of the renderer. What the header does
 * not say is absent. Called by `viewer/` and the state of the images.
 */

/** A lookup table: values below `first` take the first entry, values beyond the table the last. */
export interface Lut {
  first: number;
  /** Bits of an entry; a table of grey spans 0 to 2^bits − 1. */
  bits: number;
  entries: number[];
  name?: string;
  unit?: string;
}

/** A window in the values behind rescale or modality table. */
export interface Window {
  center: number;
  width: number;
  name?: string;
}

export type Voi = 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID';

/** Millimetres from the centre of a pixel to the next, and at what they were measured. */
export interface Spacing {
  row_mm: number;
  column_mm: number;
  /** "pixel spacing", "calibrated: …", "imager", "nominal", "ultrasound region", "plane unknown". */
  source: string;
  /** Of `imager`: lengths are to be divided by it. */
  magnification?: number;
}

/** A region of an ultrasound image. */
export interface Region {
  /** Left, top, right, bottom, in pixels from 0, all within the region. */
  bounds: [number, number, number, number];
  kind: string;
  unit_x?: string;
  unit_y?: string;
  step_x: number;
  step_y: number;
}

/** What a viewer needs of one frame. */
export interface Display {
  /** Whether the lowest value of grey is white. */
  inverse: boolean;
  rescale?: { slope: number; intercept: number; unit?: string };
  modality_lut?: Lut;
  /** The first is the default. */
  windows: Window[];
  voi: Voi;
  voi_lut?: Lut;
  palette?: { first: number; rgb: number[] };
  padding?: { low: number; high: number };
  spacing?: Spacing;
  /** How many times higher than wide a pixel is. */
  aspect?: number;
  position?: [number, number, number];
  orientation?: [number, number, number, number, number, number];
  patient_orientation?: [string, string];
  frame_of_reference?: string;
  thickness?: number;
  laterality?: string;
  view?: string;
  burned_in?: boolean;
  cine?: { frame_time_ms?: number; rate?: number; recommended?: number };
  regions: Region[];
  notes: string[];
}

type Found = Record<string, unknown>;

const isRecord = (value: unknown): value is Found => typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isNumbers = (value: unknown): value is number[] => Array.isArray(value) && value.every(isNumber);
const orAbsent = (value: unknown, is: (value: unknown) => boolean) => value === undefined || value === null || is(value);

const isLut = (value: unknown) =>
  isRecord(value) && isNumber(value.first) && isNumber(value.bits) && isNumbers(value.entries) && value.entries.length > 0;
const isRescale = (value: unknown) => isRecord(value) && isNumber(value.slope) && value.slope !== 0 && isNumber(value.intercept);
const isWindow = (value: unknown) => isRecord(value) && isNumber(value.center) && isNumber(value.width) && value.width > 0;
const isPalette = (value: unknown) =>
  isRecord(value) && isNumber(value.first) && isNumbers(value.rgb) && value.rgb.length >= 3 && value.rgb.length % 3 === 0;
const isPadding = (value: unknown) => isRecord(value) && isNumber(value.low) && isNumber(value.high);
const isSpacing = (value: unknown) =>
  isRecord(value) && isNumber(value.row_mm) && value.row_mm > 0 && isNumber(value.column_mm) && value.column_mm > 0 && isText(value.source);
const isRegion = (value: unknown) =>
  isRecord(value) && isNumbers(value.bounds) && value.bounds.length === 4 && isText(value.kind) && isNumber(value.step_x) && isNumber(value.step_y);
const VOIS: unknown[] = ['LINEAR', 'LINEAR_EXACT', 'SIGMOID'];

/** The display, or null where it is none or one of its parts is wrong: half of it would show wrong values. */
export function displayOf(value: unknown): Display | null {
  if (!isRecord(value)) return null;
  const parts: [string, (value: unknown) => boolean][] = [
    ['rescale', isRescale],
    ['modality_lut', isLut],
    ['voi_lut', isLut],
    ['palette', isPalette],
    ['padding', isPadding],
    ['spacing', isSpacing],
    ['aspect', (found) => isNumber(found) && found > 0],
    ['position', (found) => isNumbers(found) && found.length === 3],
    ['orientation', (found) => isNumbers(found) && found.length === 6],
    ['cine', isRecord],
  ];
  // Values that mean something else without one of these would be shown wrong: then nothing of it is used.
  for (const [name, is] of parts) if (!orAbsent(value[name], is)) return null;
  const list = <T>(name: string, is: (value: unknown) => boolean): T[] => {
    const found = value[name];
    return Array.isArray(found) ? (found.filter(is) as T[]) : [];
  };
  const given = Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null)) as unknown as Display;
  return {
    ...given,
    inverse: value.inverse === true,
    windows: list('windows', isWindow),
    voi: VOIS.includes(value.voi) ? (value.voi as Voi) : 'LINEAR',
    regions: list('regions', isRegion),
    notes: list('notes', isText),
  };
}

/** Of a frame whose display did not arrive or is not one. */
export const NO_DISPLAY: Display = { inverse: false, windows: [], voi: 'LINEAR', regions: [], notes: [] };
