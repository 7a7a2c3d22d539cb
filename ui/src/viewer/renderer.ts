/**
 * What a renderer is given and does. Two of them make the same picture: `gl.ts` (WebGL2) and `canvas2d.ts` (where there
 * is none); scripts/renderers.mjs compares them.
 *
 * Lives here: the interface and what both compute alike. Called by views/images/Picture.svelte.
 */
import type { Display } from '../domain/display';
import type { FrameView } from '../wire/FrameView';
import { apply, inverse, layerMap, type Affine, type Box } from './geometry';
import type { Pixels } from './pixels';
import type { Grey } from './voi';

/** One picture: the best pixels there are and how they are looked at. */
export interface Shot {
  /** Of the frame; the same key with the same layer is the same picture. */
  key: string;
  pixels: Pixels;
  frame: Pick<FrameView, 'columns' | 'rows' | 'colour' | 'bits' | 'samples'>;
  display: Display;
  grey: Grey;
  /** By the reader; the sender's own inversion comes on top. */
  inverted: boolean;
  /** From pixels of the frame to CSS pixels. */
  map: Affine;
  box: Box;
}

export interface Renderer {
  readonly kind: 'webgl2' | 'canvas2d';
  /** False when it cannot show this picture; then the other one has to. */
  draw(shot: Shot): boolean;
  /** Makes ready what will be drawn soon. */
  warm(key: string, pixels: Pixels): void;
  clear(): void;
  destroy(): void;
}

/** Pixels beyond the edge that still count: where the edge falls on the middle of a pixel, rounding must not decide. */
export const EDGE = 0.004;

export type Colour = 'grey' | 'palette' | 'rgb' | 'ybr';

export function colourOf(shot: Shot): Colour {
  if (shot.pixels.samples === 3) return shot.frame.colour === 'ybr-full' ? 'ybr' : 'rgb';
  return shot.display.palette !== undefined ? 'palette' : 'grey';
}

/** Whether low values are white in the end: the sender's way, turned by the reader. */
export const isInverted = (shot: Shot) => shot.inverted !== (colourOf(shot) === 'grey' && shot.display.inverse);

/** Device pixels of the viewport. */
export const deviceSize = (box: Box) => ({
  width: Math.max(1, Math.round(box.width * box.ratio)),
  height: Math.max(1, Math.round(box.height * box.ratio)),
});

/** From the middle of a device pixel to a continuous pixel of the frame. */
export function backMap(shot: Shot): Affine {
  const { a, b, c, d, e, f } = inverse(shot.map);
  const { ratio } = shot.box;
  return { a: a / ratio, b: b / ratio, c: c / ratio, d: d / ratio, e, f };
}

/** Where on the screen the picture is, in device pixels: nothing beyond it needs a look. */
export function bounds(shot: Shot): { left: number; top: number; right: number; bottom: number } {
  const { width, height } = deviceSize(shot.box);
  const { columns, rows } = shot.frame;
  const ends = [[0, 0], [columns, 0], [0, rows], [columns, rows]].map(([x = 0, y = 0]) => apply(shot.map, x, y));
  const { ratio } = shot.box;
  const xs = ends.map(({ x }) => x * ratio);
  const ys = ends.map(({ y }) => y * ratio);
  return {
    left: Math.max(0, Math.floor(Math.min(...xs)) - 1),
    top: Math.max(0, Math.floor(Math.min(...ys)) - 1),
    right: Math.min(width, Math.ceil(Math.max(...xs)) + 1),
    bottom: Math.min(height, Math.ceil(Math.max(...ys)) + 1),
  };
}

/** From pixels of the frame to those of the layer, per axis. */
export function layerMaps({ frame, pixels }: Shot) {
  return { x: layerMap(frame.columns, pixels.columns), y: layerMap(frame.rows, pixels.rows) };
}

/** Samples along each axis of a device pixel: more than one where many pixels fall into it, else noise would shimmer. */
export function tapsOf(shot: Shot, most: number): number {
  const back = backMap(shot);
  const origin = apply(back, 0, 0);
  const [x, y] = [apply(back, 1, 0), apply(back, 0, 1)];
  const maps = layerMaps(shot);
  const along = (p: { x: number; y: number }) => Math.hypot((p.x - origin.x) * maps.x.scale, (p.y - origin.y) * maps.y.scale);
  return Math.min(most, Math.max(1, Math.ceil((Math.max(along(x), along(y)) - 0.01) / 2)));
}
