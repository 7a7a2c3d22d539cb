/**
 * The fallback renderer: the same picture as `gl.ts`, computed value by value for each pixel of the screen.
 *
 * Lives here: sampling and colours in plain arithmetic. Never here: which layer is best. Called where there is no WebGL2,
 * or a frame is larger than its textures.
 */
import type { Pixels } from './pixels';
import { EDGE, backMap, bounds, colourOf, deviceSize, isInverted, layerMaps, tapsOf, type Renderer, type Shot } from './renderer';
import { entryOf, throughGrey } from './voi';

/** A pixel of the source, written into `out`: red, green, blue or the value, and whether it is image. */
type Texel = (index: number, out: Float64Array) => void;

function texelOf(shot: Shot): Texel {
  const { pixels, display, frame } = shot;
  const values = pixels.values;
  const colour = colourOf(shot);
  if (colour === 'rgb' || colour === 'ybr') {
    const most = 2 ** frame.bits - 1;
    const half = 2 ** (frame.bits - 1);
    const unit = (value: number) => Math.min(1, Math.max(0, value / most));
    return (index, out) => {
      const [x, y, z] = [values[index * 3] ?? 0, values[index * 3 + 1] ?? 0, values[index * 3 + 2] ?? 0];
      const [cb, cr] = [y - half, z - half];
      const isRgb = colour === 'rgb';
      out[0] = unit(isRgb ? x : x + 1.402 * cr);
      out[1] = unit(isRgb ? y : x - 0.344136 * cb - 0.714136 * cr);
      out[2] = unit(isRgb ? z : x + 1.772 * cb);
      out[3] = 1;
    };
  }
  const { padding, palette, modality_lut: lut } = display;
  const { slope, intercept } = display.rescale ?? { slope: 1, intercept: 0 };
  const [low, high] = padding === undefined ? [1, 0] : [padding.low, padding.high];
  if (palette !== undefined) {
    const last = palette.rgb.length / 3 - 1;
    return (index, out) => {
      const value = values[index] ?? 0;
      const at = 3 * Math.min(last, Math.max(0, value - palette.first));
      for (let i = 0; i < 3; i++) out[i] = (palette.rgb[at + i] ?? 0) / 255;
      out[3] = value >= low && value <= high ? 0 : 1;
    };
  }
  return (index, out) => {
    const value = values[index] ?? 0;
    out[0] = lut === undefined ? value * slope + intercept : entryOf(lut, value);
    out[3] = value >= low && value <= high ? 0 : 1;
  };
}

/** Opaque, little endian. */
const BLACK = 0xff000000;

/** Most pictures: grey, not turned, one sample in a pixel of the screen. They have a way without detours. */
const isPlain = (shot: Shot, most: number) =>
  colourOf(shot) === 'grey' && shot.display.modality_lut === undefined && shot.map.b === 0 && shot.map.c === 0 && tapsOf(shot, most) === 1;

/** The places to interpolate between along one axis, and how far; −1 outside. */
function along(scale: number, shift: number, size: number, map: { scale: number; shift: number }, last: number, count: number) {
  const low = new Int32Array(count).fill(-1);
  const part = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const f = scale * (i + 0.5) + shift;
    if (f < -EDGE || f > size + EDGE) continue;
    const at = Math.min(last, Math.max(0, (f - 0.5) * map.scale + map.shift));
    low[i] = Math.floor(at);
    part[i] = at - Math.floor(at);
  }
  return { low, part };
}

function paintPlain(shot: Shot, width: number, bytes: Uint8ClampedArray): void {
  const { pixels, frame, display, grey } = shot;
  const { values, columns } = pixels;
  const back = backMap(shot);
  const maps = layerMaps(shot);
  const { left, top, right, bottom } = bounds(shot);
  const [lastX, lastY] = [columns - 1, pixels.rows - 1];
  const xs = along(back.a, back.e, frame.columns, maps.x, lastX, right);
  const ys = along(back.d, back.f, frame.rows, maps.y, lastY, bottom);
  const { slope, intercept } = display.rescale ?? { slope: 1, intercept: 0 };
  const padding = display.padding;
  const [low, high] = padding === undefined ? [1, 0] : [padding.low, padding.high];
  const inverted = isInverted(shot);
  for (let j = top; j < bottom; j++) {
    const y0 = ys.low[j] as number;
    if (y0 < 0) continue;
    const py = ys.part[j] as number;
    const row0 = y0 * columns;
    const row1 = Math.min(y0 + 1, lastY) * columns;
    for (let i = left, to = (j * width + left) * 4; i < right; i++, to += 4) {
      const x0 = xs.low[i] as number;
      if (x0 < 0) continue;
      const px = xs.part[i] as number;
      const x1 = x0 < lastX ? x0 + 1 : x0;
      const v0 = values[row0 + x0] as number;
      const v1 = values[row0 + x1] as number;
      const v2 = values[row1 + x0] as number;
      const v3 = values[row1 + x1] as number;
      let value: number;
      if (padding === undefined) value = (v0 * (1 - px) + v1 * px) * (1 - py) + (v2 * (1 - px) + v3 * px) * py;
      else {
        const w0 = v0 >= low && v0 <= high ? 0 : (1 - px) * (1 - py);
        const w1 = v1 >= low && v1 <= high ? 0 : px * (1 - py);
        const w2 = v2 >= low && v2 <= high ? 0 : (1 - px) * py;
        const w3 = v3 >= low && v3 <= high ? 0 : px * py;
        const weight = w0 + w1 + w2 + w3;
        if (weight < 0.499) continue;
        value = (w0 * v0 + w1 * v1 + w2 * v2 + w3 * v3) / weight;
      }
      const shade = throughGrey(grey, value * slope + intercept);
      const byte = 255 * (inverted ? 1 - shade : shade);
      bytes[to] = byte;
      bytes[to + 1] = byte;
      bytes[to + 2] = byte;
    }
  }
}

/** The picture as bytes, red green blue alpha. */
export function paint(shot: Shot, most: number): { width: number; height: number; bytes: Uint8ClampedArray<ArrayBuffer> } {
  const { width, height } = deviceSize(shot.box);
  const bytes = new Uint8ClampedArray(width * height * 4);
  new Uint32Array(bytes.buffer).fill(BLACK);
  const within = bounds(shot);
  if (isPlain(shot, most)) {
    paintPlain(shot, width, bytes);
    return { width, height, bytes };
  }
  const { pixels, frame } = shot;
  const { a, b, c, d, e, f } = backMap(shot);
  const maps = layerMaps(shot);
  const taps = tapsOf(shot, most);
  const all = taps * taps;
  const texel = texelOf(shot);
  const isGrey = colourOf(shot) === 'grey';
  const inverted = isInverted(shot);
  const [lastX, lastY] = [pixels.columns - 1, pixels.rows - 1];
  const one = new Float64Array(4);
  for (let j = within.top; j < within.bottom; j++) {
    for (let i = within.left, to = (j * width + i) * 4; i < within.right; i++, to += 4) {
      let [red, green, blue, weight] = [0, 0, 0, 0];
      for (let tap = 0; tap < all; tap++) {
        const x = i + ((tap % taps) + 0.5) / taps;
        const y = j + (Math.floor(tap / taps) + 0.5) / taps;
        const [fx, fy] = [a * x + c * y + e, b * x + d * y + f];
        if (fx < -EDGE || fy < -EDGE || fx > frame.columns + EDGE || fy > frame.rows + EDGE) continue;
        const atX = (fx - 0.5) * maps.x.scale + maps.x.shift;
        const atY = (fy - 0.5) * maps.y.scale + maps.y.shift;
        const [baseX, baseY] = [Math.floor(atX), Math.floor(atY)];
        const [partX, partY] = [atX - baseX, atY - baseY];
        for (let corner = 0; corner < 4; corner++) {
          const [stepX, stepY] = [corner & 1, corner >> 1];
          const px = Math.min(lastX, Math.max(0, baseX + stepX));
          const py = Math.min(lastY, Math.max(0, baseY + stepY));
          texel(py * pixels.columns + px, one);
          const part = (stepX === 1 ? partX : 1 - partX) * (stepY === 1 ? partY : 1 - partY) * (one[3] ?? 0);
          red += part * (one[0] ?? 0);
          green += part * (one[1] ?? 0);
          blue += part * (one[2] ?? 0);
          weight += part;
        }
      }
      // More than half of it is no image: background.
      if (weight < 0.499 * all) continue;
      if (isGrey) red = green = blue = throughGrey(shot.grey, red / weight) * weight;
      bytes[to] = 255 * (inverted ? 1 - red / weight : red / weight);
      bytes[to + 1] = 255 * (inverted ? 1 - green / weight : green / weight);
      bytes[to + 2] = 255 * (inverted ? 1 - blue / weight : blue / weight);
    }
  }
  return { width, height, bytes };
}

/** The renderer on a canvas that has no other context. */
export function canvasRenderer(canvas: HTMLCanvasElement, mostTaps = 2): Renderer | null {
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) return null;
  const clear = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  return {
    kind: 'canvas2d',
    draw(shot) {
      const { width, height, bytes } = paint(shot, mostTaps);
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      context.putImageData(new ImageData(bytes, width, height), 0, 0);
      return true;
    },
    warm: (_key: string, _pixels: Pixels) => {},
    clear,
    destroy: () => {
      canvas.width = 0;
      canvas.height = 0;
    },
  };
}
