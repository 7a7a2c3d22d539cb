/**
 * Pixels as the image protocol hands them over: a head of 32 bytes, then plain values, little endian.
 *
 * Lives here: reading and (for the fake twin and tests) writing that form. Never here: how values look.
 * Called by `ipc/` and the loader.
 */

/** Stored values, rows top to bottom, samples interleaved. */
export type Values = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

/** One layer of a frame. */
export interface Pixels {
  columns: number;
  rows: number;
  samples: 1 | 3;
  signed: boolean;
  /** 0 up to 64 px, 1 up to 128, 2 up to 256, 3 whole. */
  layer: number;
  /** Whole, and its SHA-256 matched. */
  exact: boolean;
  /** What came from the modality had already lost something. */
  lossy: boolean;
  values: Values;
}

/** The layer that is the whole frame. */
export const WHOLE = 3;
const HEAD = 32;
const MAGIC = 0x31505456; // "VTP1"

function valuesOf(buffer: ArrayBuffer, bytes: number, signed: boolean, count: number): Values | null {
  switch (bytes) {
    case 1:
      return signed ? new Int8Array(buffer, HEAD, count) : new Uint8Array(buffer, HEAD, count);
    case 2:
      return signed ? new Int16Array(buffer, HEAD, count) : new Uint16Array(buffer, HEAD, count);
    case 4:
      return signed ? new Int32Array(buffer, HEAD, count) : new Uint32Array(buffer, HEAD, count);
    default:
      return null;
  }
}

/** The pixels, or null where the bytes are not what they say. */
export function pixelsOf(buffer: ArrayBuffer): Pixels | null {
  if (buffer.byteLength < HEAD) return null;
  const head = new DataView(buffer);
  const columns = head.getUint32(4, true);
  const rows = head.getUint32(8, true);
  const [samples, bytes, layer] = [head.getUint8(12), head.getUint8(13), head.getUint8(15)];
  const signed = head.getUint8(14) === 1;
  const count = columns * rows * samples;
  if (head.getUint32(0, true) !== MAGIC || (samples !== 1 && samples !== 3) || layer > WHOLE) return null;
  if (columns === 0 || rows === 0 || buffer.byteLength !== HEAD + count * bytes) return null;
  const values = valuesOf(buffer, bytes, signed, count);
  if (values === null) return null;
  return { columns, rows, samples, signed, layer, exact: head.getUint8(16) === 1, lossy: head.getUint8(17) === 1, values };
}

/** The same as bytes. */
export function bytesOf(pixels: Pixels): ArrayBuffer {
  const { values } = pixels;
  const buffer = new ArrayBuffer(HEAD + values.byteLength);
  const head = new DataView(buffer);
  head.setUint32(0, MAGIC, true);
  head.setUint32(4, pixels.columns, true);
  head.setUint32(8, pixels.rows, true);
  const flags = [pixels.samples, values.BYTES_PER_ELEMENT, Number(pixels.signed), pixels.layer, Number(pixels.exact), Number(pixels.lossy)];
  flags.forEach((flag, i) => head.setUint8(12 + i, flag));
  new Uint8Array(buffer, HEAD).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return buffer;
}
