/**
 * Where a pixel lies on the screen: fit, zoom, pan, quarter turns.
 *
 * Lives here: affine maps between pixels of a frame (the first one spans 0 … 1) and CSS pixels of its viewport. Never
 * here: a canvas. Called by the renderers, the viewport and the measurements.
 */

/** x' = a·x + c·y + e, y' = b·x + d·y + f. */
export interface Affine {
  a: number;
  b: number;
  c: number;
  d: number;
  e: number;
  f: number;
}

export interface Point {
  x: number;
  y: number;
}

/** The picture: its size in pixels and how many times higher than wide one is. */
export interface Picture {
  columns: number;
  rows: number;
  aspect: number;
}

/** The viewport in CSS pixels, and device pixels in one of them. */
export interface Box {
  width: number;
  height: number;
  ratio: number;
}

/** What the reader did to it. */
export interface Placement {
  /** Times the size that fits. */
  zoom: number;
  /** CSS pixels from the middle. */
  panX: number;
  panY: number;
  /** Quarter turns clockwise, 0 … 3. */
  turns: number;
}

export const FITTED: Placement = { zoom: 1, panX: 0, panY: 0, turns: 0 };
const ZOOM_LEAST = 0.1;
const ZOOM_MOST = 40;

export function apply(map: Affine, x: number, y: number): Point {
  return { x: map.a * x + map.c * y + map.e, y: map.b * x + map.d * y + map.f };
}

export function inverse({ a, b, c, d, e, f }: Affine): Affine {
  const det = a * d - b * c;
  return { a: d / det, b: -b / det, c: -c / det, d: a / det, e: (c * f - d * e) / det, f: (b * e - a * f) / det };
}

/** CSS pixels of a column when the whole picture just fits. */
export function fitScale(picture: Picture, box: Box, turns: number): number {
  const [wide, high] = [picture.columns, picture.rows * picture.aspect];
  const [w, h] = turns % 2 === 0 ? [wide, high] : [high, wide];
  return Math.min(box.width / w, box.height / h);
}

/** The zoom at which a column is one device pixel. */
export function zoomOneToOne(picture: Picture, box: Box, turns: number): number {
  return 1 / (fitScale(picture, box, turns) * box.ratio);
}

const TURNS: [number, number, number, number][] = [
  [1, 0, 0, 1],
  [0, 1, -1, 0],
  [-1, 0, 0, -1],
  [0, -1, 1, 0],
];

/** From pixels of the frame to CSS pixels of the viewport. */
export function place(picture: Picture, box: Box, placement: Placement): Affine {
  const scale = fitScale(picture, box, placement.turns) * placement.zoom;
  const [cos, sin, back, down] = TURNS[((placement.turns % 4) + 4) % 4] ?? [1, 0, 0, 1];
  const [a, b] = [scale * cos, scale * sin];
  const [c, d] = [scale * back * picture.aspect, scale * down * picture.aspect];
  const [cx, cy] = [picture.columns / 2, picture.rows / 2];
  let e = box.width / 2 + placement.panX - a * cx - c * cy;
  let f = box.height / 2 + placement.panY - b * cx - d * cy;
  // One to one means no value between two pixels is made up: the grid of the picture lies on that of the screen.
  if (Math.abs(scale * box.ratio - 1) < 1e-9) [e, f] = [Math.round(e * box.ratio) / box.ratio, Math.round(f * box.ratio) / box.ratio];
  return { a, b, c, d, e, f };
}

/** Zooms by a factor; the point of the picture under `at` stays there. */
export function zoomAt(placement: Placement, factor: number, at: Point, box: Box): Placement {
  const zoom = Math.min(Math.max(placement.zoom * factor, ZOOM_LEAST), ZOOM_MOST);
  const real = zoom / placement.zoom;
  const [dx, dy] = [at.x - box.width / 2, at.y - box.height / 2];
  return { ...placement, zoom, panX: dx - (dx - placement.panX) * real, panY: dy - (dy - placement.panY) * real };
}

/** A quarter turn clockwise around the middle of the viewport. */
export function turned(placement: Placement): Placement {
  return { ...placement, turns: (placement.turns + 1) % 4, panX: -placement.panY || 0, panY: placement.panX };
}

/** Pixels of a layer for pixels of the frame: index = scale · index + shift. Halved layers begin at the same pixel. */
export function layerMap(frame: number, layer: number): { scale: number; shift: number } {
  for (let halvings = 0; halvings < 16; halvings++) {
    const size = 2 ** halvings;
    if (Math.ceil(frame / size) === layer) return { scale: 1 / size, shift: 0 };
    if (Math.ceil(frame / size) < layer) break;
  }
  const scale = layer / frame;
  return { scale, shift: scale / 2 - 0.5 };
}

const ENDS = [['L', 'R'], ['P', 'A'], ['H', 'F']] as const;

/** Letters of a direction in the patient, the greatest part first: left, back and head are positive. */
function letters(x: number, y: number, z: number): string {
  const parts = [x, y, z].map((value, i) => ({ size: Math.abs(value), letter: (value > 0 ? ENDS[i]?.[0] : ENDS[i]?.[1]) ?? '' }));
  return parts
    .filter(({ size }) => size > 0.3)
    .sort((one, other) => other.size - one.size)
    .map(({ letter }) => letter)
    .join('');
}

const OPPOSITE: Record<string, string> = { L: 'R', R: 'L', P: 'A', A: 'P', H: 'F', F: 'H' };
const opposite = (text: string) => [...text].map((letter) => OPPOSITE[letter] ?? '').join('');
const areKnown = (text: string) => [...text].every((letter) => letter in OPPOSITE);

/** Letters at the four edges, top first, clockwise; null where the header does not say. */
export function edges(orientation: number[] | undefined, stated: [string, string] | undefined, turns: number): string[] | null {
  let right: string;
  let bottom: string;
  if (orientation !== undefined) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = orientation;
    [right, bottom] = [letters(a, b, c), letters(d, e, f)];
  } else if (stated !== undefined) [right, bottom] = stated;
  else return null;
  // Of paws and hooves there are other letters, whose opposites nobody here knows.
  if (!areKnown(right) || !areKnown(bottom)) return null;
  const around = [opposite(bottom), right, bottom, opposite(right)];
  return around.map((_, i) => around[(i - turns + 8) % 4] ?? '');
}
