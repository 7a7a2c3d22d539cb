/**
 * The lists beside the screens: what was not sent, and the results inbox. Both open over any screen of somebody signed in
 * and go back by Esc to where one was.
 *
 * Lives here: when one may be opened, and the way back. Never here: what they show (`entries.svelte.ts`,
 * `results.svelte.ts`). Called by `app.svelte.ts`, `acts.ts`, the views and the status strip.
 */
import type { Who } from '../domain/who';
import type { App, ViewName } from './app.svelte';

type AsideName = 'entries' | 'results';

export class Aside {
  /** Where each of them was opened from, the newest last. */
  #from: { view: ViewName; front: string | null }[] = [];
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  may(view: AsideName): boolean {
    const { layers, recording, session } = this.#app;
    return session !== null && !layers.covered && recording.dialog === null && this.#app.view !== view;
  }

  /** What was recorded here and is not in the record on the server. */
  showEntries(): void {
    if (this.#enter('entries')) void this.#app.recording.list.load();
  }

  /** Critical results of the ward; `of` puts the first one of that patient under the cursor. */
  showResults(of: Who | null = null): void {
    if (this.#enter('results')) this.#app.results.open(of);
  }

  #enter(view: AsideName): boolean {
    const app = this.#app;
    if (!this.may(view)) return false;
    // From one of the lists to the other and on to the first is a way back: Esc never goes around.
    const again = this.#from.findIndex((each) => each.view === view);
    const here = { view: app.view, front: app.front };
    this.#from = here.view === 'search' || here.view === 'board' || here.view === 'wall' ? [here] : again === -1 ? [...this.#from, here] : this.#from.slice(0, again);
    this.#leave();
    app.putBack();
    app.board.closePreview();
    app.view = view;
    return true;
  }

  /** Esc there. */
  back(): void {
    const app = this.#app;
    this.#leave();
    const to = this.#from.pop();
    if (to?.view === 'board') app.showBoard();
    else if (to?.view === 'wall') app.showWall();
    else if (to?.view === 'entries' || to?.view === 'results') {
      app.view = to.view;
      this.read(to.view);
    } else if (to?.view === 'chart' && to.front !== null && app.open.some(({ asked }) => asked === to.front)) void app.showChart(to.front);
    // Closed meanwhile: where one was before that.
    else if (to?.view === 'chart') this.back();
    else app.showSearch();
  }

  /** Reads again what is shown, or does nothing where neither is. */
  read(view: ViewName): void {
    if (view === 'entries') void this.#app.recording.list.load();
    if (view === 'results') void this.#app.results.load();
  }

  /** What one of them showed leaves the memory with it. */
  #leave(): void {
    if (this.#app.view === 'entries') this.#app.recording.list.clear();
    if (this.#app.view === 'results') this.#app.results.clear();
  }

  forget(): void {
    this.#from = [];
  }
}
