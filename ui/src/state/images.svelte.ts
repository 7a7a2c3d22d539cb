/**
 * The images of the open chart: the list of studies, the viewer with its viewports, measurements and key images.
 *
 * Lives here: what is open and what acts do to it; the lock clears all of it (S18). Never here: markup, drawing, what a
 * series looks like (`port.svelte.ts`). Called by `app.svelte.ts`, `acts.ts` and `views/images/`.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { say } from '../i18n/language';
import { WORDS } from '../i18n/words';
import { LayerCache } from '../viewer/cache';
import type { Point } from '../viewer/geometry';
import { POINTS, measureText, type Measure } from '../viewer/measure';
import type { ErrorView } from '../wire/ErrorView';
import type { HeldView } from '../wire/HeldView';
import type { ImagesView } from '../wire/ImagesView';
import type { SeriesView } from '../wire/SeriesView';
import type { StudyView } from '../wire/StudyView';
import type { Focus, Key } from './keys';
import { Port } from './port.svelte';
import { viewerActOf, type Tool, type ViewerAct } from './viewerKeys';

export const LAYOUTS = { '1×1': 1, '1×2': 2, '2×2': 4 } as const;
export type Layout = keyof typeof LAYOUTS;
/** Narrower windows begin without the list of series beside the picture. */
const RAIL_FROM_PX = 1400;
const ORDER = Object.keys(LAYOUTS) as Layout[];

/** A measurement stays with the frame it was drawn on. Points in pixels of that frame. */
export interface Measurement {
  id: number;
  series: string;
  sop: string;
  frame: number;
  place: string;
  kind: Measure;
  points: Point[];
  value: string;
  basis: string;
}

/** Series of which pixels can be asked for. */
export const canOpen = ({ state }: SeriesView) => state === 'ready' || state === 'preparing';

const isMeasure = (tool: Tool): tool is Measure => tool in POINTS;

export class Images {
  list = $state.raw<ImagesView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  /** The viewer is open above the list. */
  open = $state(false);
  layout = $state<Layout>('1×1');
  active = $state(0);
  tool = $state<Tool>('window');
  /** The list of series; at 1280 it is closed first. */
  rail = $state(globalThis.innerWidth >= RAIL_FROM_PX);
  facts = $state(false);
  linked = $state(false);
  measurements = $state.raw<Measurement[]>([]);
  /** The one being drawn, with the viewport it is drawn in. */
  /** What is being drawn, and on which picture: it does not go on on another one. */
  draft = $state.raw<{ port: number; on: string; points: Point[] } | null>(null);
  /** Why something was not done, in words. */
  refusal = $state<string | null>(null);
  keyImages = $state.raw<ReadonlySet<string>>(new Set());
  /** Counts requests to put the focus into the picture. */
  focus = $state(0);
  readonly cache = new LayerCache();
  readonly ports: Port[];
  readonly #backend: Backend;
  #patient = '';
  #epoch = 0;
  #past: Measurement[][] = [];
  #next = 1;

  constructor(backend: Backend, mark: (name: string, at: number | null) => void) {
    this.#backend = backend;
    const around = { backend, cache: this.cache, mark };
    this.ports = [0, 1, 2, 3].map(() => new Port(around));
  }

  readonly url = (path: string): string => this.#backend.imageUrl(path);

  get shown(): Port[] {
    return this.ports.slice(0, LAYOUTS[this.layout]);
  }

  get port(): Port {
    return this.ports[this.active] ?? (this.ports[0] as Port);
  }

  // ---- the list ----

  /** The section was opened. */
  async show(patient: string): Promise<void> {
    if (patient !== this.#patient) this.clear();
    this.#patient = patient;
    await this.read();
  }

  async read(): Promise<void> {
    const patient = this.#patient;
    if (patient === '') return;
    const epoch = this.#epoch;
    try {
      const list = await this.#backend.images(patient);
      if (epoch !== this.#epoch) return;
      // S8: images of somebody else are never listed.
      if (list.patient === patient) [this.list, this.error] = [list, null];
      else [this.list, this.error] = [null, errorOf(null, WORDS.wrongPatient)];
    } catch (thrown) {
      if (epoch === this.#epoch) this.error = errorOf(thrown, WORDS.notAnswered);
    }
  }

  /** Something of this patient, or of the way to the server, changed. */
  refresh(): void {
    if (this.list !== null || this.error !== null) void this.read();
  }

  hear(held: HeldView): void {
    for (const port of this.ports) port.hear(held);
  }

  /** Another chart comes to the front: no pixels and no list stay, what was measured and marked does. */
  putBack(): void {
    this.#epoch++;
    this.closeViewer();
    this.cache.clear();
    this.list = this.error = null;
  }

  /** Nothing of a patient stays: no list, no pixels, no measurement. */
  clear(): void {
    this.#epoch++;
    for (const port of this.ports) port.close();
    this.cache.clear();
    this.#patient = '';
    this.list = this.error = this.draft = this.refusal = null;
    this.open = this.facts = this.linked = false;
    this.layout = '1×1';
    this.active = 0;
    this.tool = 'window';
    this.measurements = [];
    this.keyImages = new Set();
    this.#past = [];
  }

  // ---- the viewer ----

  /** Shows a series in the active viewport. `clickAt` is when it was asked for. */
  openSeries(study: StudyView, series: SeriesView, clickAt: number | null): void {
    this.open = true;
    this.refusal = this.draft = null;
    this.focus++;
    void this.port.open(this.#patient, study, series, clickAt);
  }

  closeViewer(): void {
    for (const port of this.ports) port.close();
    this.open = this.linked = false;
    this.layout = '1×1';
    this.active = 0;
    this.draft = this.refusal = null;
  }

  /** How the study of a viewport stands to that of the first, where it is another. The strip is newest first. */
  compared(at: number): string | null {
    const [first, other] = [this.ports[0]?.study, this.ports[at]?.study];
    if (first == null || other == null || first.uid === other.uid) return null;
    const dated = (study: StudyView) => /^\d\d-/.test(study.when_text);
    if (!dated(first) || !dated(other)) return say('OTHER STUDY', 'ANDERE UNTERSUCHUNG');
    const place = (study: StudyView) => this.list?.studies.findIndex(({ uid }) => uid === study.uid) ?? -1;
    return place(other) > place(first) ? say('PRIOR', 'FRÜHER') : say('LATER', 'SPÄTER');
  }

  activate(port: number): void {
    if (this.active === port) return;
    this.active = port;
    this.draft = null;
  }

  useLayout(layout: Layout): void {
    this.layout = layout;
    this.active = Math.min(this.active, LAYOUTS[layout] - 1);
    for (const hidden of this.ports.slice(LAYOUTS[layout])) hidden.close();
    this.draft = null;
  }

  useTool(tool: Tool): void {
    this.tool = tool;
    this.draft = null;
    this.refusal = isMeasure(tool) ? this.#whyNot(this.port) : null;
  }

  /** The next series of the study that can be shown. */
  #series(by: 1 | -1, at: number | null): void {
    const { study, series } = this.port;
    if (study === null || series === null) return;
    const all = study.series.filter((each) => canOpen(each) || each.uid === series.uid);
    const next = all[all.findIndex(({ uid }) => uid === series.uid) + by];
    if (next === undefined) this.refusal = by === 1 ? WORDS.lastSeries : WORDS.firstSeries;
    else this.openSeries(study, next, at);
  }

  /** The newest earlier study with the same kind of images, beside this one. */
  compare(at: number | null): void {
    const { study, series } = this.ports[0] as Port;
    const studies = this.list?.studies ?? [];
    if (study === null || series === null) return;
    const older = studies.slice(studies.findIndex(({ uid }) => uid === study.uid) + 1);
    const alike = (other: SeriesView) => other.modality === series.modality && canOpen(other);
    const same = (other: SeriesView) => alike(other) && other.body_part === series.body_part;
    const prior = older.find((each) => each.series.some(same)) ?? older.find((each) => each.series.some(alike));
    const match = prior?.series.find((other) => same(other) && other.title === series.title) ?? prior?.series.find(same) ?? prior?.series.find(alike);
    if (prior === undefined || match === undefined) {
      this.refusal = WORDS.noPrior(series.modality);
      return;
    }
    this.useLayout('1×2');
    this.linked = true;
    this.active = 1;
    this.openSeries(prior, match, at);
    this.active = 0;
  }

  /** Scrolls a viewport, and with it those that are linked to it, by the same number of images. */
  scroll(port: Port, by: number): void {
    const before = port.index;
    port.go(port.index + by);
    this.#leave(port);
    if (!this.linked) return;
    const moved = port.index - before;
    for (const other of this.shown) if (other !== port && moved !== 0) other.go(other.index + moved);
  }

  goTo(port: Port, index: number): void {
    this.scroll(port, index - port.index);
  }

  #leave(port: Port): void {
    if (this.draft !== null && this.ports[this.draft.port] === port) this.draft = null;
  }

  // ---- key images: marked on this screen alone ----

  keyOf(port: Port): string {
    return port.frame === undefined ? '' : `${port.frame.sop}/${port.frame.frame}`;
  }

  #toggleKey(port: Port): void {
    const key = this.keyOf(port);
    if (key === '') return;
    const next = new Set(this.keyImages);
    if (!next.delete(key)) next.add(key);
    this.keyImages = next;
  }

  #nextKey(port: Port): void {
    const frames = port.view?.frames ?? [];
    for (let far = 1; far <= frames.length; far++) {
      const index = (port.index + far) % frames.length;
      const frame = frames[index];
      if (frame !== undefined && this.keyImages.has(`${frame.sop}/${frame.frame}`)) return this.goTo(port, index);
    }
    this.refusal = WORDS.noKeyImages;
  }

  // ---- measurements ----

  #whyNot(port: Port): string | null {
    if (port.view === null || port.covered) return WORDS.nothingToMeasure;
    if (port.displayWrong) return WORDS.displayWrong;
    // What stands on the screen may be of the picture before.
    if (port.best()?.exact === false) return WORDS.notMeasurable(port.quality.text);
    return port.quality.measurable ? null : WORDS.notMeasurable(port.quality.text);
  }

  /** A click of a measuring tool. True when the measurement is complete. */
  point(at: number, point: Point): boolean {
    const port = this.ports[at];
    if (port === undefined || !isMeasure(this.tool)) return false;
    this.refusal = this.#whyNot(port);
    if (this.refusal !== null) {
      this.draft = null;
      return false;
    }
    const on = this.keyOf(port);
    const points = [...(this.draft?.port === at && this.draft.on === on ? this.draft.points : []), point];
    if (points.length < POINTS[this.tool]) {
      this.draft = { port: at, on, points };
      return false;
    }
    this.draft = null;
    this.#add(port, this.tool, points);
    return true;
  }

  #add(port: Port, kind: Measure, points: Point[]): void {
    const { frame, series } = port;
    if (frame === undefined || series === null) return;
    const { value, basis } = measureText(kind, points, port.display, port.best() ?? null);
    const lossy = port.quality.kind === 'lossy' ? `${say('Source is lossy', 'Quelle verlustbehaftet')} · ` : '';
    const made = { id: this.#next++, series: series.uid, sop: frame.sop, frame: frame.frame, place: frame.place_text };
    this.#change([...this.measurements, { ...made, kind, points, value, basis: lossy + basis }]);
  }

  /** Those of the frame in view. */
  of(port: Port): Measurement[] {
    const { frame } = port;
    return frame === undefined ? [] : this.measurements.filter(({ sop, frame: number }) => sop === frame.sop && number === frame.frame);
  }

  #change(next: Measurement[]): void {
    this.#past.push(this.measurements);
    this.measurements = next;
  }

  remove(id: number): void {
    if (this.measurements.some((each) => each.id === id)) this.#change(this.measurements.filter((each) => each.id !== id));
  }

  undo(): void {
    if (this.draft !== null) this.draft = null;
    else this.measurements = this.#past.pop() ?? this.measurements;
  }

  /** Goes to the frame of a measurement, where it is in the active viewport. */
  find(measurement: Measurement): void {
    const index = this.port.view?.frames.findIndex(({ sop, frame }) => sop === measurement.sop && frame === measurement.frame) ?? -1;
    if (index >= 0) this.port.go(index);
    else this.refusal = WORDS.otherSeries;
  }

  // ---- keys ----

  /** True when the viewer took it. */
  onKey(key: Key, focus: Focus, at: number): boolean {
    if (!this.open) return false;
    const act = viewerActOf(key, focus);
    if (act === null) return false;
    // From outside the picture and its bars only Esc is the viewer's.
    if (!focus.viewer && act !== 'close') return false;
    this.perform(act, at);
    return true;
  }

  perform(act: ViewerAct, at: number | null): void {
    const port = this.port;
    this.refusal = null;
    if (typeof act === 'object') return this.#performWith(act, port, at);
    switch (act) {
      case 'first':
        return this.goTo(port, 0);
      case 'last':
        return this.goTo(port, port.last);
      case 'invert':
        port.inverted = !port.inverted;
        return;
      case 'turn':
        return port.turn();
      case 'reset':
        return port.reset();
      case 'one-to-one':
        return port.oneToOne();
      case 'cine':
        port.playing = !port.playing && port.last > 0;
        return;
      case 'layout':
        return this.useLayout(ORDER[(ORDER.indexOf(this.layout) + 1) % ORDER.length] ?? '1×1');
      case 'compare':
        return this.compare(at);
      case 'link':
        this.linked = !this.linked;
        return;
      case 'key-image':
        return this.#toggleKey(port);
      case 'next-key-image':
        return this.#nextKey(port);
      case 'rail':
        this.rail = !this.rail;
        return;
      case 'facts':
        this.facts = !this.facts;
        return;
      case 'delete': {
        const newest = this.of(port).at(-1);
        if (newest !== undefined) this.remove(newest.id);
        return;
      }
      case 'undo':
        return this.undo();
      case 'close':
        if (this.draft !== null) this.draft = null;
        else this.closeViewer();
    }
  }

  #performWith(act: Exclude<ViewerAct, string>, port: Port, at: number | null): void {
    if ('step' in act) this.scroll(port, act.step);
    else if ('series' in act) this.#series(act.series, at);
    else if ('preset' in act) port.usePreset(act.preset);
    else if ('tool' in act) this.useTool(act.tool);
    else if ('zoom' in act) port.zoomStep(act.zoom);
    else if ('port' in act) this.activate(act.port);
    else this.#nudge(port, act.nudge);
  }

  /** What a drag of the tool does, in steps. */
  #nudge(port: Port, [x, y]: [number, number]): void {
    switch (this.tool) {
      case 'pan':
        return port.pan(x * 24, y * 24);
      case 'zoom':
        return port.zoomStep(y < 0 || x > 0 ? 1 : -1);
      case 'scroll':
        return this.scroll(port, x + y);
      default: {
        const { center, width } = port.windowNow();
        port.useWindow(center + (y * width) / 20, width * (1 + x / 20));
      }
    }
  }
}
