/**
 * One viewport: an open series, the frame in view, and what the reader did to the picture.
 *
 * Lives here: opening, scrolling, window and placement. A study may have thousands of frames: nothing of a frame is
 * reactive but its number. Never here: drawing (`views/images/`), pixels (`viewer/`). Called by `images.svelte.ts`.
 */
import { displayOf, NO_DISPLAY, type Display } from '../domain/display';
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { LayerCache } from '../viewer/cache';
import { FITTED, turned, zoomAt, zoomOneToOne, type Box, type Picture, type Placement, type Point } from '../viewer/geometry';
import { FrameLoader, keyOf } from '../viewer/loader';
import type { Pixels } from '../viewer/pixels';
import { qualityOf, type Quality } from '../viewer/quality';
import { firstGrey, presetsOf, type Grey, type Preset } from '../viewer/voi';
import type { ErrorView } from '../wire/ErrorView';
import type { FrameView } from '../wire/FrameView';
import type { HeldView } from '../wire/HeldView';
import type { OpenSeriesView } from '../wire/OpenSeriesView';
import type { SeriesView } from '../wire/SeriesView';
import type { StudyView } from '../wire/StudyView';

/** The engine hears where the reader is at most this often. */
export const CENTER_EVERY_MS = 50;
/** After this long without scrolling there is no direction. */
const AT_REST_MS = 250;
const CINE_RATE = 15;
const ZOOM_STEP = 1.25;

/** What a viewport needs of its surroundings. */
export interface Around {
  backend: Backend;
  cache: LayerCache;
  mark: (name: string, at: number | null) => void;
}

export class Port {
  readonly #around: Around;
  patient = '';
  study = $state.raw<StudyView | null>(null);
  series = $state.raw<SeriesView | null>(null);
  view = $state.raw<OpenSeriesView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  held = $state.raw<HeldView | null>(null);
  index = $state(0);
  /** Counts what came for the frame in view. */
  arrivals = $state(0);
  /** What is on the screen now. */
  quality = $state.raw<Quality>(qualityOf(undefined, undefined, null));
  /** The reader's own window; null = the sender's for each frame. */
  grey = $state.raw<Grey | null>(null);
  inverted = $state(false);
  placement = $state.raw<Placement>(FITTED);
  box = $state.raw<Box>({ width: 0, height: 0, ratio: 1 });
  /** The reader chose to see pixels of a header that names somebody else. */
  uncovered = $state(false);
  playing = $state(false);
  rate = $state(CINE_RATE);
  loader: FrameLoader | null = null;

  readonly frame = $derived<FrameView | undefined>(this.view?.frames[this.index]);
  readonly display = $derived(this.#displayOf(this.frame?.display));
  readonly displayWrong = $derived(this.frame !== undefined && this.#read(this.frame.display) === null);
  readonly picture = $derived<Picture>({
    columns: this.frame?.columns ?? 1,
    rows: this.frame?.rows ?? 1,
    aspect: this.display.aspect ?? 1,
  });
  readonly greyNow = $derived<Grey>(this.grey ?? firstGrey(this.display, this.frame ?? { low: 0, high: 255 }));
  readonly presets = $derived<Preset[]>(this.frame === undefined ? [] : presetsOf(this.display, this.frame));
  /** Pixels stay covered while the header names somebody else (S8). */
  readonly covered = $derived(this.view?.mismatch_text != null && !this.uncovered);

  #epoch = 0;
  #reopening = false;
  #displays = new Map<number, Display | null>();
  #clickAt: number | null = null;
  #previewTold = true;
  #exactTold = true;
  #centerTimer: ReturnType<typeof setTimeout> | undefined;
  #toldAt = 0;
  #toldIndex = 0;
  #movedAt = 0;

  constructor(around: Around) {
    this.#around = around;
  }

  #read(number: number): Display | null {
    const known = this.#displays.get(number);
    if (known !== undefined) return known;
    const read = displayOf(this.view?.displays[number]);
    this.#displays.set(number, read);
    return read;
  }

  #displayOf(number: number | undefined): Display {
    if (number === undefined) return NO_DISPLAY;
    return this.#read(number) ?? { ...NO_DISPLAY, inverse: this.frame?.colour === 'monochrome1' };
  }

  displayAt(index: number): Display {
    const frame = this.view?.frames[index];
    return (frame === undefined ? null : this.#read(frame.display)) ?? NO_DISPLAY;
  }

  // ---- open and close ----

  /** Shows a series; `clickAt` is when the reader asked for it. */
  async open(patient: string, study: StudyView, series: SeriesView, clickAt: number | null): Promise<void> {
    this.close();
    this.patient = patient;
    this.study = study;
    this.series = series;
    this.#clickAt = clickAt;
    this.#previewTold = this.#exactTold = false;
    await this.#bring(null);
  }

  /** The series grew, its view ended, or it failed: asks again and stays at the same frame. */
  async reopen(): Promise<void> {
    // Asked again meanwhile, the answer to the first would be thrown away, and so would the next.
    if (this.#reopening) return;
    this.#reopening = true;
    await this.#bring(this.view === null ? null : { view: this.view, frame: this.frame });
    this.#reopening = false;
  }

  async #bring(before: { view: OpenSeriesView; frame: FrameView | undefined } | null): Promise<void> {
    const [study, series] = [this.study, this.series];
    if (study === null || series === null) return;
    const epoch = ++this.#epoch;
    const px = Math.round(Math.max(this.box.width, this.box.height, 256) * this.box.ratio);
    try {
      const view = await this.#around.backend.imageOpen(this.patient, study.uid, series.uid, px);
      if (epoch !== this.#epoch) {
        this.#quietly(this.#around.backend.imageClose(view.view));
        return;
      }
      // S8: pictures of something that was not asked for are never shown.
      if (view.study !== study.uid || view.series !== series.uid) {
        this.#quietly(this.#around.backend.imageClose(view.view));
        this.#fail(errorOf(null, WORDS.wrongImages));
      } else this.#use(view, before);
    } catch (thrown) {
      if (epoch === this.#epoch) this.#fail(errorOf(thrown, WORDS.notAnswered));
    }
  }

  /** The engine keeps a view until it is told that nobody looks at it. */
  #leave(): void {
    if (this.view !== null) this.#quietly(this.#around.backend.imageClose(this.view.view));
  }

  #fail(error: ErrorView): void {
    this.loader?.stop();
    this.#leave();
    this.view = null;
    this.error = error;
  }

  #use(view: OpenSeriesView, before: { view: OpenSeriesView; frame: FrameView | undefined } | null): void {
    this.loader?.stop();
    this.#displays = new Map();
    if (before !== null) this.#carryOver(before.view, view);
    this.#leave();
    const at = before?.frame;
    const index = at === undefined ? 0 : view.frames.findIndex(({ sop, frame }) => sop === at.sop && frame === at.frame);
    // A header that names yet another person covers the pixels again.
    if (before?.view.mismatch_text !== view.mismatch_text) this.uncovered = false;
    this.error = null;
    this.held = null;
    this.view = view;
    this.index = Math.max(0, index);
    this.rate = this.#rateOf(this.display);
    this.loader = new FrameLoader(this.#around.backend, this.#around.cache, view, {
      arrived: (arrived) => {
        if (arrived === this.index) this.arrivals++;
      },
      ended: () => void this.reopen(),
    });
    this.loader.start(this.index);
    this.#tellCenter();
  }

  /** The frames have other numbers now; what is here of them stays. */
  #carryOver(from: OpenSeriesView, to: OpenSeriesView): void {
    const { cache } = this.#around;
    const known = new Map<string, Pixels>();
    from.frames.forEach(({ sop, frame }, i) => {
      const key = keyOf(from, i);
      const pixels = cache.layer(key) < 0 ? undefined : cache.best(key);
      if (pixels !== undefined) known.set(`${sop}/${frame}`, pixels);
    });
    cache.forget(`${from.view}/`);
    to.frames.forEach(({ sop, frame }, i) => {
      const pixels = known.get(`${sop}/${frame}`);
      if (pixels !== undefined) cache.put(keyOf(to, i), pixels);
    });
  }

  #rateOf({ cine }: Display): number {
    const found = cine?.recommended ?? cine?.rate ?? (cine?.frame_time_ms ? 1000 / cine.frame_time_ms : CINE_RATE);
    return Math.min(60, Math.max(1, Math.round(found)));
  }

  close(): void {
    this.#epoch++;
    this.#reopening = false;
    clearTimeout(this.#centerTimer);
    this.#centerTimer = undefined;
    this.loader?.stop();
    this.loader = null;
    const { view } = this;
    if (view !== null) {
      this.#around.cache.forget(`${view.view}/`);
      this.#quietly(this.#around.backend.imageClose(view.view));
    }
    this.study = this.series = this.view = this.error = this.held = null;
    this.index = 0;
    this.uncovered = this.playing = false;
    this.#displays = new Map();
    this.quality = qualityOf(undefined, undefined, null);
    this.reset();
  }

  #quietly(call: Promise<unknown>): void {
    call.catch(() => {});
  }

  hear(held: HeldView): void {
    if (this.view?.view !== held.view) return;
    this.held = held;
    this.loader?.held(held.frames);
    if (held.grown) void this.reopen();
  }

  // ---- scrolling ----

  get last(): number {
    return (this.view?.frames.length ?? 1) - 1;
  }

  go(index: number): void {
    const next = Math.min(Math.max(0, index), this.last);
    if (this.view === null || next === this.index) return;
    this.index = next;
    this.#movedAt = performance.now();
    this.loader?.center(next);
    this.#tellCenter();
  }

  #tellCenter(): void {
    if (this.#centerTimer !== undefined) return;
    const wait = Math.max(0, this.#toldAt + CENTER_EVERY_MS - performance.now());
    this.#centerTimer = setTimeout(() => this.#sendCenter(), wait);
  }

  #sendCenter(): void {
    this.#centerTimer = undefined;
    if (this.view === null) return;
    const now = performance.now();
    const seconds = (now - this.#toldAt) / 1000;
    const moving = now - this.#movedAt < AT_REST_MS && seconds < 1;
    const velocity = moving ? Math.round((this.index - this.#toldIndex) / Math.max(seconds, 0.02)) : 0;
    this.#toldAt = now;
    this.#toldIndex = this.index;
    const px = Math.round(Math.max(this.box.width, this.box.height) * this.box.ratio * Math.max(1, this.placement.zoom));
    this.#quietly(this.#around.backend.imageCenter(this.view.view, this.index, velocity, px));
    // Once more when it has come to rest, so that nothing is fetched ahead of a reader who stopped.
    if (moving) this.#centerTimer = setTimeout(() => this.#sendCenter(), AT_REST_MS);
  }

  // ---- the picture ----

  /** Numbers of a palette that is not here are no picture, and no values. */
  get #colourless(): boolean {
    return this.frame?.colour === 'palette' && this.display.palette === undefined;
  }

  /** The best pixels of the frame in view. */
  best(): Pixels | undefined {
    return this.loader === null || this.#colourless ? undefined : this.#around.cache.best(this.loader.key(this.index));
  }

  neighbour(by: number): { key: string; pixels: Pixels } | null {
    const index = this.index + by;
    if (this.loader === null || index < 0 || index > this.last) return null;
    const key = this.loader.key(index);
    const pixels = this.#around.cache.layer(key) < 0 ? undefined : this.#around.cache.best(key);
    return pixels === undefined ? null : { key, pixels };
  }

  /** Something was drawn, or nothing could be. */
  drawn(pixels: Pixels | undefined): void {
    const failure = this.#colourless ? WORDS.noPalette : (this.loader?.failure(this.index) ?? null);
    const quality = qualityOf(this.#colourless ? undefined : pixels, this.frame, failure);
    if (quality.text !== this.quality.text || quality.measurable !== this.quality.measurable) this.quality = quality;
    if (pixels === undefined) return;
    if (!this.#previewTold) this.#around.mark('image-preview', this.#clickAt);
    if (!this.#exactTold && pixels.exact) this.#around.mark('image-exact', this.#clickAt);
    this.#previewTold = true;
    this.#exactTold ||= pixels.exact;
  }

  usePreset(digit: number): void {
    const found = this.presets.find((preset) => preset.digit === digit);
    if (found !== undefined) this.grey = digit === 1 ? null : found.grey;
  }

  /** The window that a drag starts from: of a table its whole span. */
  windowNow(): { center: number; width: number } {
    const grey = this.greyNow;
    if (grey.kind === 'window') return { center: grey.center, width: grey.width };
    return { center: grey.lut.first + grey.lut.entries.length / 2, width: grey.lut.entries.length };
  }

  useWindow(center: number, width: number): void {
    if (this.presets.length === 0) return;
    const voi = this.greyNow.kind === 'window' ? this.greyNow.voi : 'LINEAR';
    this.grey = { kind: 'window', center, width: Math.max(width, voi === 'LINEAR' ? 1 : 1e-6), voi };
  }

  pan(dx: number, dy: number): void {
    this.placement = { ...this.placement, panX: this.placement.panX + dx, panY: this.placement.panY + dy };
  }

  zoom(factor: number, at: Point = { x: this.box.width / 2, y: this.box.height / 2 }): void {
    this.placement = zoomAt(this.placement, factor, at, this.box);
    this.#tellCenter();
  }

  zoomStep(by: 1 | -1): void {
    this.zoom(by === 1 ? ZOOM_STEP : 1 / ZOOM_STEP);
  }

  oneToOne(): void {
    this.placement = { ...this.placement, zoom: zoomOneToOne(this.picture, this.box, this.placement.turns) };
    this.#tellCenter();
  }

  turn(): void {
    this.placement = turned(this.placement);
  }

  reset(): void {
    this.grey = null;
    this.inverted = false;
    this.placement = FITTED;
  }
}
