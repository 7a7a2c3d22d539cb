/**
 * What lies over what, and whose keys count therefore.
 *
 * Lives here: the order of the layers, read from the state. Never here: opening or closing one (`app.svelte.ts`), what a
 * key does there (`acts.ts`). Called by both, by what has keys of its own, and by the views.
 */
import type { App } from './app.svelte';
import type { ChartSection } from './sections';

export class Layers {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  /** Something lies over the screen: nothing below it has keys. */
  get covered(): boolean {
    return this.#overlaid || this.#app.help || this.#app.sync !== null || this.#app.palette !== null;
  }

  get #overlaid(): boolean {
    const { afterwards, dialog, card, cardError, fifth, own, packet, recording, scans } = this.#app;
    return afterwards.asking !== null || dialog !== null || card !== null || cardError !== null || fifth !== null || own !== null || packet !== null || scans.notice !== null || recording.list.settling !== null;
  }

  /** Neither an entry nor anything else lies over a screen of somebody signed in, except the palette, which gives way. */
  get uncovered(): boolean {
    return this.#app.sync === null && this.mayPrintFromStatus;
  }

  /** The board and its packet can be gone to, were it not for the status. */
  get mayPrintFromStatus(): boolean {
    const { help, recording, session, view } = this.#app;
    return session !== null && !this.#overlaid && !help && recording.dialog === null && view !== 'lock';
  }

  /** What is done in steps, or asks for words. */
  get between(): unknown {
    const { dialog, list } = this.#app.recording;
    return dialog ?? list.settling;
  }

  /** The wall of live vital signs is on the screen, and nothing else has its keys. */
  get onWall(): boolean {
    return this.#app.view === 'wall' && !this.covered && this.#app.recording.dialog === null;
  }

  /** A chart is on the screen, and nothing else has its keys. */
  get #onChart(): boolean {
    return this.#app.view === 'chart' && !this.covered && this.#app.recording.dialog === null;
  }

  /** The chart in front can be seen, and nothing else has its keys. */
  get inChart(): boolean {
    return this.#onChart && this.#app.chart?.view != null;
  }

  /** The section of the images is in front: its keys count. */
  get imagesOnTop(): boolean {
    return this.#onChart && this.#app.section === 'images';
  }

  /** A section of a chart that can be seen is in front: its keys count. */
  inFront(section: ChartSection): boolean {
    return this.inChart && this.#app.section === section;
  }

  get readsNotes(): boolean {
    return this.inFront('notes');
  }

  get readsTimeline(): boolean {
    return this.inFront('encounters');
  }
}
