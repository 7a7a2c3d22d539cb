/**
 * The best layer of each frame that arrived, bounded by bytes; what was not looked at for longest goes first.
 *
 * Lives here: one store for all viewports. Cleared by the lock. Called by the loader and the pictures.
 */
import type { Pixels } from './pixels';

/** Bytes of pixels kept on this side of the protocol; the engine holds the rest. */
export const CACHE_BYTES = 256 * 2 ** 20;

export class LayerCache {
  readonly #most: number;
  /** Oldest first. */
  readonly #frames = new Map<string, Pixels>();
  #bytes = 0;

  constructor(most = CACHE_BYTES) {
    this.#most = most;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The best there is; looked at now. */
  best(key: string): Pixels | undefined {
    const found = this.#frames.get(key);
    if (found !== undefined) {
      this.#frames.delete(key);
      this.#frames.set(key, found);
    }
    return found;
  }

  /** The layer that is here, −1 for none; not a look at it. */
  layer(key: string): number {
    return this.#frames.get(key)?.layer ?? -1;
  }

  /** Keeps it where it is better than what is here. */
  put(key: string, pixels: Pixels): void {
    const before = this.#frames.get(key);
    if (before !== undefined) {
      if (before.layer > pixels.layer || (before.layer === pixels.layer && before.exact && !pixels.exact)) return;
      this.#drop(key, before);
    }
    this.#frames.set(key, pixels);
    this.#bytes += pixels.values.byteLength;
    for (const [old, held] of this.#frames) {
      if (this.#bytes <= this.#most || old === key) break;
      this.#drop(old, held);
    }
  }

  /** Everything of one view. */
  forget(prefix: string): void {
    for (const [key, held] of this.#frames) if (key.startsWith(prefix)) this.#drop(key, held);
  }

  clear(): void {
    this.#frames.clear();
    this.#bytes = 0;
  }

  #drop(key: string, held: Pixels): void {
    this.#frames.delete(key);
    this.#bytes -= held.values.byteLength;
  }
}
