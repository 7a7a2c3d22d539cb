/**
 * The downtime packet of the ward on the board: asked for, printed, and what became of it.
 *
 * Never here: what is in it (the engine), markup. One is made for each time it is asked for; the lock drops it.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { ErrorView } from '../wire/ErrorView';
import type { PacketView } from '../wire/PacketView';

export class PacketDialog {
  readonly ward: string;
  readonly wardName: string;
  /** Rows of the board, the empty beds too: who of them may be printed is known when it is. */
  readonly rows: number;
  printing = $state(false);
  done = $state.raw<PacketView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  readonly #backend: Backend;

  constructor(backend: Backend, ward: string, wardName: string, rows: number) {
    this.#backend = backend;
    this.ward = ward;
    this.wardName = wardName;
    this.rows = rows;
  }

  /** Never a second time: two packets of one ward are two piles of paper that differ. */
  async print(): Promise<void> {
    if (this.printing || this.done !== null) return;
    this.printing = true;
    this.error = null;
    try {
      this.done = await this.#backend.printPacket(this.ward);
    } catch (thrown) {
      this.error = errorOf(thrown, WORDS.notAnswered);
    } finally {
      this.printing = false;
    }
  }
}
