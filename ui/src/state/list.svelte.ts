/**
 * A list of patients with a cursor: the state behind the search and the board.
 *
 * Late answers are dropped: only the newest question's answer is shown.
 */
import { errorOf } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { ErrorView } from '../wire/ErrorView';
import type { PatientRowView } from '../wire/PatientRowView';

/** An answer that holds rows. */
interface Rows {
  rows: PatientRowView[];
}

/** One list on the screen. */
export class PatientList<T extends Rows> {
  result = $state.raw<T | null>(null);
  error = $state.raw<ErrorView | null>(null);
  loading = $state(false);
  cursor = $state(0);
  #asked = 0;

  /** The row under the cursor. */
  get row(): PatientRowView | null {
    return this.result?.rows[this.cursor] ?? null;
  }

  /** Asks; keeps the cursor on the same patient where that patient is still listed. */
  async load(ask: () => Promise<T>): Promise<void> {
    const asked = ++this.#asked;
    this.loading = true;
    try {
      const result = await ask();
      if (asked !== this.#asked) return;
      const before = this.row?.patient;
      const kept = result.rows.findIndex((row) => row.patient === before);
      this.result = result;
      this.error = null;
      this.cursor = Math.max(0, kept);
    } catch (thrown) {
      if (asked !== this.#asked) return;
      this.result = null;
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
    this.loading = false;
  }

  /** Moves the cursor, stopping at both ends. */
  move(by: number): void {
    const last = (this.result?.rows.length ?? 0) - 1;
    this.cursor = Math.min(Math.max(0, this.cursor + by), Math.max(0, last));
  }

  /** Forgets everything, also answers on their way. */
  clear(): void {
    this.#asked++;
    this.result = null;
    this.error = null;
    this.loading = false;
    this.cursor = 0;
  }
}
