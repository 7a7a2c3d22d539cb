/**
 * How the cells of the wall fit into their room: reckoned from the room and what is to be shown, then looked at, and reckoned
 * tighter where long names came out higher.
 *
 * Never here: the reckoning itself (`layoutOf` in domain/wall.ts), markup. Called by `views/Wall.svelte`.
 */
import { layoutOf, type Slot } from '../../domain/wall';

/** The least by which it is reckoned tighter. */
const STEP = 1.03;

export class Fit {
  #width = $state(0);
  /** 0 where the page scrolls as one: there is no height to fill. */
  #height = $state(0);
  /** Letters of another font are of another width. */
  #fonts = $state(0);
  #beds = $state(0);
  #slots = $state.raw<Slot[]>([]);
  #taller = $state.raw({ of: '', by: 1 });
  /** Higher than the room. What names the beds out of view takes of the room: it must not be its own reason. */
  over = $state(false);
  /** What it is reckoned from: where that changes, it is reckoned anew. */
  readonly #of = $derived(`${this.#fonts} ${this.#width} ${this.#height} ${this.#beds} ${JSON.stringify(this.#slots)}`);
  readonly #by = $derived(this.#taller.of === this.#of ? this.#taller.by : 1);
  readonly layout = $derived(layoutOf(this.#width, this.#height, this.#beds, this.#slots, this.#by));

  /** What is to be shown. */
  show(beds: number, slots: Slot[]): void {
    this.#beds = beds;
    this.#slots = slots;
  }

  /** Follows the room and what stands in it; `scrolls` where the page scrolls as one. */
  follow(room: HTMLElement, grid: HTMLElement, scrolls: () => boolean): () => void {
    const sizes = new ResizeObserver(() => {
      this.#width = room.clientWidth;
      this.#height = scrolls() ? 0 : room.clientHeight;
      this.look(grid);
    });
    sizes.observe(room);
    sizes.observe(grid);
    const loaded = () => this.#fonts++;
    document.fonts?.addEventListener('loadingdone', loaded);
    return () => {
      sizes.disconnect();
      document.fonts?.removeEventListener('loadingdone', loaded);
    };
  }

  /** Looks at what came of it: also after it was laid out anew and is as high as before. */
  look(grid: HTMLElement): void {
    const high = grid.offsetHeight;
    this.over = high > this.#height + 1;
    if (this.over && !this.layout.scrolls) this.#taller = { of: this.#of, by: this.#by * Math.max(STEP, high / this.#height) };
  }
}
