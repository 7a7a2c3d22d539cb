/**
 * Asks for the pixels around the visible frame: that one always, its neighbours when the engine says they are here.
 *
 * Lives here: the long polls of one open series and what failed. Nothing waits for it: the picture shows the best that
 * the cache has. Never here: drawing, anything reactive. Called by the state of a viewport.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { say } from '../i18n/language';
import type { OpenSeriesView } from '../wire/OpenSeriesView';
import type { LayerCache } from './cache';
import { WHOLE } from './pixels';

/** Frames on each side that are made ready. */
export const RING = 8;
/** Neighbours asked for at the same time. */
const NEIGHBOURS = 4;
const AGAIN_MS = 1000;

/** What the loader tells. */
export interface Told {
  /** Something better than before is here for this frame, or it is known to have failed. */
  arrived: (index: number) => void;
  /** The view ended on the other side: open it again. */
  ended: () => void;
}

/** Of a frame in the cache and the textures. Views end; their numbers do not come again. */
export function keyOf(view: OpenSeriesView, index: number): string {
  return `${view.view}/${view.token}/${view.frames[index]?.id ?? -1}`;
}

export class FrameLoader {
  readonly #backend: Backend;
  readonly #cache: LayerCache;
  readonly #view: OpenSeriesView;
  readonly #told: Told;
  readonly #asked = new Map<number, AbortController>();
  /** Why a frame cannot be shown. */
  readonly #failed = new Map<number, string>();
  /** Nothing better comes for these, until the engine tells otherwise. */
  readonly #rests = new Set<number>();
  #at = 0;
  #ahead: 1 | -1 = 1;
  #held = '';
  #stopped = true;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(backend: Backend, cache: LayerCache, view: OpenSeriesView, told: Told) {
    this.#backend = backend;
    this.#cache = cache;
    this.#view = view;
    this.#told = told;
  }

  key(index: number): string {
    return keyOf(this.#view, index);
  }

  failure(index: number): string | null {
    return this.#failed.get(index) ?? (this.#held[index] === 'x' ? say('cannot be decoded', 'kann nicht dekodiert werden') : null);
  }

  start(index: number): void {
    this.#stopped = false;
    this.center(index);
  }

  center(index: number): void {
    if (index !== this.#at) this.#ahead = index > this.#at ? 1 : -1;
    this.#at = index;
    for (const [asked, controller] of this.#asked) if (Math.abs(asked - index) > RING) controller.abort();
    this.#pump();
  }

  /** What the engine says is here, a character a frame. */
  held(frames: string): void {
    if (frames === this.#held) return;
    this.#held = frames;
    this.#rests.clear();
    this.#pump();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const controller of this.#asked.values()) controller.abort();
    this.#asked.clear();
  }

  /** Whether asking for it now would be answered at once. */
  #isHere(index: number): boolean {
    const mark = this.#held[index];
    if (mark === undefined) return Math.abs(index - this.#at) <= 2;
    const layer = mark === 'x' ? -1 : Math.min(WHOLE, Number(mark) - 1);
    return layer > this.#cache.layer(this.key(index));
  }

  #wants(index: number): boolean {
    if (index < 0 || index >= this.#view.frames.length || this.#asked.has(index)) return false;
    if (this.#rests.has(index) || this.#failed.has(index)) return false;
    return this.#cache.layer(this.key(index)) < WHOLE;
  }

  #pump(): void {
    if (this.#stopped) return;
    if (this.#wants(this.#at)) this.#ask(this.#at);
    for (let far = 1; far <= RING && this.#asked.size <= NEIGHBOURS; far++) {
      for (const index of [this.#at + far * this.#ahead, this.#at - far * this.#ahead]) {
        if (this.#asked.size <= NEIGHBOURS && this.#wants(index) && this.#isHere(index)) this.#ask(index);
      }
    }
  }

  #ask(index: number): void {
    const frame = this.#view.frames[index];
    if (frame === undefined) return;
    const controller = new AbortController();
    this.#asked.set(index, controller);
    const key = this.key(index);
    void this.#backend
      .imagePixels(this.#view.token, frame.id, this.#cache.layer(key), controller.signal)
      .then((pixels) => {
        if (controller.signal.aborted) return;
        if (pixels === null) this.#rests.add(index);
        else this.#cache.put(key, pixels);
        this.#done(index, controller);
        if (pixels !== null && !this.#stopped) this.#told.arrived(index);
      })
      .catch((thrown: unknown) => this.#fault(index, controller, thrown));
  }

  #fault(index: number, controller: AbortController, thrown: unknown): void {
    const error = errorOf(thrown, '');
    if (controller.signal.aborted || this.#stopped) return this.#done(index, controller);
    if (error.code === 'not-found') {
      this.stop();
      return this.#told.ended();
    }
    if (error.code === 'damaged') {
      this.#failed.set(index, error.text);
      this.#done(index, controller);
      return this.#told.arrived(index);
    }
    // Anything else may pass.
    this.#rests.add(index);
    this.#done(index, controller);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#rests.clear();
      this.#pump();
    }, AGAIN_MS);
  }

  #done(index: number, controller: AbortController): void {
    if (this.#asked.get(index) === controller) this.#asked.delete(index);
    this.#pump();
  }
}
