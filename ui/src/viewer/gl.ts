/**
 * The renderer: WebGL2 with integer textures, the window in the shader. Dragging the window changes a uniform alone.
 *
 * Lives here: textures (a ring of what was and will be seen), uniforms. Never here: fetching pixels.
 * Called by views/images/Picture.svelte; where it cannot be had, `canvas2d.ts`.
 */
import type { Lut } from '../domain/display';
import type { Pixels } from './pixels';
import { EDGE, backMap, bounds, colourOf, deviceSize, isInverted, layerMaps, tapsOf, type Renderer, type Shot } from './renderer';
import { VERTEX, fragment, type Way } from './shader';

/** The visible slice, eight on each side, and as many bytes at most. */
const RING = 17;
const RING_BYTES = 160 * 2 ** 20;
const MOST_TAPS = 4;

interface Held {
  texture: WebGLTexture;
  layer: number;
  exact: boolean;
  bytes: number;
}

interface Program {
  program: WebGLProgram;
  place: (name: string) => WebGLUniformLocation | null;
}

function compiled(gl: WebGL2RenderingContext, way: Way): Program | null {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment(way)]] as const) {
    const shader = gl.createShader(kind);
    if (shader === null) return null;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(program);
  if (gl.getProgramParameter(program, gl.LINK_STATUS) !== true) return null;
  const places = new Map<string, WebGLUniformLocation | null>();
  return {
    program,
    place: (name) => {
      if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
      return places.get(name) ?? null;
    },
  };
}

/** Internal format, format and type for integers as they are. */
function formatOf(gl: WebGL2RenderingContext, { values, samples }: Pixels): [number, number, number] {
  const one = samples === 1;
  const format = one ? gl.RED_INTEGER : gl.RGB_INTEGER;
  if (values instanceof Uint8Array) return [one ? gl.R8UI : gl.RGB8UI, format, gl.UNSIGNED_BYTE];
  if (values instanceof Int8Array) return [one ? gl.R8I : gl.RGB8I, format, gl.BYTE];
  if (values instanceof Uint16Array) return [one ? gl.R16UI : gl.RGB16UI, format, gl.UNSIGNED_SHORT];
  if (values instanceof Int16Array) return [one ? gl.R16I : gl.RGB16I, format, gl.SHORT];
  if (values instanceof Uint32Array) return [one ? gl.R32UI : gl.RGB32UI, format, gl.UNSIGNED_INT];
  return [one ? gl.R32I : gl.RGB32I, format, gl.INT];
}

const isSigned = ({ values }: Pixels) => values instanceof Int8Array || values instanceof Int16Array || values instanceof Int32Array;

class GlRenderer implements Renderer {
  readonly kind = 'webgl2';
  readonly #gl: WebGL2RenderingContext;
  readonly #programs = new Map<string, Program | null>();
  readonly #most: number;
  readonly #taps: number;
  /** Oldest first. */
  readonly #ring = new Map<string, Held>();
  #bytes = 0;
  /** Tables of the display, by what they were made of. */
  readonly #tables = new Map<object, WebGLTexture>();
  readonly #none: WebGLTexture;

  constructor(gl: WebGL2RenderingContext, taps: number) {
    this.#gl = gl;
    this.#taps = taps;
    this.#most = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.bindVertexArray(gl.createVertexArray());
    this.#none = this.#upload(1, 1, [gl.R8UI, gl.RED_INTEGER, gl.UNSIGNED_BYTE], new Uint8Array(1));
  }

  /** The program of a way to look, compiled when first needed. */
  program(way: Way): Program | null {
    const key = Object.values(way).join();
    let found = this.#programs.get(key);
    if (found === undefined) this.#programs.set(key, (found = compiled(this.#gl, way)));
    return found;
  }

  #upload(width: number, height: number, [internal, format, type]: [number, number, number], values: ArrayBufferView): WebGLTexture {
    const gl = this.#gl;
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, values);
    return texture;
  }

  /** The frame's texture, newest in the ring. */
  #held(key: string, pixels: Pixels): WebGLTexture {
    const found = this.#ring.get(key);
    if (found !== undefined && found.layer === pixels.layer && found.exact === pixels.exact) {
      this.#ring.delete(key);
      this.#ring.set(key, found);
      return found.texture;
    }
    if (found !== undefined) this.#drop(key, found);
    const bytes = pixels.values.byteLength;
    for (const [old, held] of this.#ring) {
      if (this.#ring.size < RING && this.#bytes + bytes <= RING_BYTES) break;
      this.#drop(old, held);
    }
    const texture = this.#upload(pixels.columns, pixels.rows, formatOf(this.#gl, pixels), pixels.values);
    this.#ring.set(key, { texture, layer: pixels.layer, exact: pixels.exact, bytes });
    this.#bytes += bytes;
    return texture;
  }

  #drop(key: string, held: Held): void {
    this.#gl.deleteTexture(held.texture);
    this.#bytes -= held.bytes;
    this.#ring.delete(key);
  }

  /** A table in rows of 256. */
  #table(of: object, count: number, samples: 1 | 3, make: (out: Uint16Array | Uint8Array) => void): WebGLTexture {
    const known = this.#tables.get(of);
    if (known !== undefined) return known;
    if (this.#tables.size > 32) this.#dropTables();
    const gl = this.#gl;
    const rows = Math.ceil(count / 256);
    const values = samples === 3 ? new Uint8Array(rows * 256 * 3) : new Uint16Array(rows * 256);
    make(values);
    const format: [number, number, number] =
      samples === 3 ? [gl.RGB8UI, gl.RGB_INTEGER, gl.UNSIGNED_BYTE] : [gl.R16UI, gl.RED_INTEGER, gl.UNSIGNED_SHORT];
    const texture = this.#upload(256, rows, format, values);
    this.#tables.set(of, texture);
    return texture;
  }

  #lut(lut: Lut): WebGLTexture {
    return this.#table(lut.entries, lut.entries.length, 1, (out) => out.set(lut.entries));
  }

  #dropTables(): void {
    for (const texture of this.#tables.values()) this.#gl.deleteTexture(texture);
    this.#tables.clear();
  }

  #fits(pixels: Pixels): boolean {
    return Math.max(pixels.columns, pixels.rows) <= this.#most;
  }

  draw(shot: Shot): boolean {
    const gl = this.#gl;
    const { pixels, frame, display, grey } = shot;
    if (gl.isContextLost() || !this.#fits(pixels)) return false;
    const { width, height } = deviceSize(shot.box);
    const canvas = gl.canvas;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const taps = tapsOf(shot, this.#taps);
    const colour = colourOf(shot);
    const way: Way = {
      signed: isSigned(pixels),
      colour,
      voi: grey.kind === 'table' ? 'TABLE' : grey.voi,
      lut: display.modality_lut !== undefined,
      padded: display.padding !== undefined && pixels.samples === 1,
      several: taps > 1,
    };
    const made = this.program(colour === 'grey' ? way : { ...way, voi: 'LINEAR', lut: false });
    if (made === null) return false;
    const { program, place } = made;
    gl.viewport(0, 0, width, height);
    gl.useProgram(program);
    const texture = this.#held(shot.key, pixels);
    const { modality_lut: lut, palette, padding, rescale } = display;
    const table = grey.kind === 'table' ? grey.lut : undefined;
    const units: [string, WebGLTexture][] = [
      ['uPixels', texture],
      ['uLut', lut === undefined ? this.#none : this.#lut(lut)],
      ['uTable', table === undefined ? this.#none : this.#lut(table)],
      ['uPalette', palette === undefined ? this.#none : this.#table(palette, palette.rgb.length / 3, 3, (out) => out.set(palette.rgb))],
    ];
    units.forEach(([name, bound], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, bound);
      gl.uniform1i(place(name), unit);
    });
    const back = backMap(shot);
    const maps = layerMaps(shot);
    gl.uniform3f(place('uBackX'), back.a, back.c, back.e);
    gl.uniform3f(place('uBackY'), back.b, back.d, back.f);
    gl.uniform2f(place('uSize'), frame.columns, frame.rows);
    gl.uniform2f(place('uEdge'), EDGE, height);
    gl.uniform2i(place('uLayer'), pixels.columns, pixels.rows);
    gl.uniform2f(place('uScale'), maps.x.scale, maps.y.scale);
    gl.uniform2f(place('uShift'), maps.x.shift, maps.y.shift);
    gl.uniform1i(place('uTaps'), taps);
    gl.uniform1f(place('uMost'), 2 ** frame.bits - 1);
    gl.uniform1f(place('uHalf'), 2 ** (frame.bits - 1));
    gl.uniform2f(place('uRescale'), rescale?.slope ?? 1, rescale?.intercept ?? 0);
    gl.uniform2i(place('uLutRange'), lut?.first ?? 0, lut?.entries.length ?? 0);
    gl.uniform2i(place('uPaletteRange'), palette?.first ?? 0, (palette?.rgb.length ?? 3) / 3);
    gl.uniform2f(place('uPadding'), padding?.low ?? 1, padding?.high ?? 0);
    gl.uniform2f(place('uWindow'), grey.kind === 'table' ? 0 : grey.center, grey.kind === 'table' ? 1 : grey.width);
    gl.uniform2i(place('uTableRange'), table?.first ?? 0, table?.entries.length ?? 1);
    gl.uniform1f(place('uTableMost'), 2 ** (table?.bits ?? 1) - 1);
    const inverted = isInverted(shot);
    gl.uniform2f(place('uInvert'), Number(inverted), inverted ? -1 : 1);
    this.clear();
    const { left, top, right, bottom } = bounds(shot);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(left, height - bottom, Math.max(0, right - left), Math.max(0, bottom - top));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.disable(gl.SCISSOR_TEST);
    return true;
  }

  warm(key: string, pixels: Pixels): void {
    if (!this.#gl.isContextLost() && this.#fits(pixels)) this.#held(key, pixels);
  }

  clear(): void {
    this.#gl.clearColor(0, 0, 0, 1);
    this.#gl.clear(this.#gl.COLOR_BUFFER_BIT);
  }

  destroy(): void {
    for (const [key, held] of this.#ring) this.#drop(key, held);
    this.#dropTables();
    this.clear();
    this.#gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}

/** Drivers that compute on the processor, and are not always called a caveat. */
function isSoftware(gl: WebGL2RenderingContext): boolean {
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const name: unknown = names === null ? '' : gl.getParameter(names.UNMASKED_RENDERER_WEBGL);
  return typeof name === 'string' && /swiftshader|llvmpipe|softpipe|software/i.test(name);
}

/**
 * The renderer on a canvas that has no other context; null where there is no WebGL2 or its compiler refuses, or where it
 * would be computed without a graphics processor: the fallback is faster then (`anyway` takes it all the same).
 */
export function glRenderer(canvas: HTMLCanvasElement, taps = MOST_TAPS, anyway = false): Renderer | null {
  const gl = canvas.getContext('webgl2', { alpha: false, antialias: false, depth: false, stencil: false, failIfMajorPerformanceCaveat: !anyway });
  if (gl === null || (!anyway && isSoftware(gl))) return null;
  const made = new GlRenderer(gl, taps);
  // Most pictures are this; it also shows whether the compiler works at all.
  return made.program({ signed: true, colour: 'grey', voi: 'LINEAR', lut: false, padded: false, several: false }) === null ? null : made;
}
