/**
 * A list of patients with a cursor: the state behind the search and the board.
 *
 * Late answers are dropped: only the newest question's answer is shown. While it is on its way the answer before it
 * stays on the screen; a key then means the new one.
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
  /** Whose row a person put the cursor on; null where it stands where it does by itself. */
  #chosen = $state<string | null>(null);
  #asked = 0;
  /** The newest question, the one whose answer is shown, and the answer on its way. */
  #question = '';
  #shown = '';
  #coming: Promise<void> = Promise.resolve();

  /** The rows that are shown: the cursor counts in them. */
  get rows(): PatientRowView[] {
    return this.result?.rows ?? [];
  }

  /** The row under the cursor. */
  get row(): PatientRowView | null {
    return this.rows[this.cursor] ?? null;
  }

  /** The row under the cursor where a person put it there: where it stands by itself is nobody's choice. */
  get chosen(): PatientRowView | null {
    return this.row !== null && this.row.patient === this.#chosen ? this.row : null;
  }

  /** What is shown answers the newest question (perhaps not its newest answer). */
  get answered(): boolean {
    return !this.loading || this.#question === this.#shown;
  }

  /**
   * The row that Enter means: the one under the cursor; while the answer to another question is on its way, the only
   * row of that answer, and none where it has several or the question changed again: a person has to choose.
   */
  async meant(): Promise<PatientRowView | null> {
    if (this.answered) return this.row;
    const asked = this.#asked;
    await this.#coming;
    if (asked !== this.#asked || this.result?.rows.length !== 1) return null;
    return this.row;
  }

  /** Asks; keeps the cursor on the same patient where that patient is still listed. */
  load(ask: () => Promise<T>, question = ''): Promise<void> {
    this.#question = question;
    this.#coming = this.#load(ask, question);
    return this.#coming;
  }

  async #load(ask: () => Promise<T>, question: string): Promise<void> {
    const asked = ++this.#asked;
    this.loading = true;
    try {
      const result = await ask();
      if (asked !== this.#asked) return;
      const before = this.row?.patient;
      this.result = result;
      this.took(result);
      const kept = this.rows.findIndex((row) => row.patient === before);
      this.#shown = question;
      this.error = null;
      this.cursor = Math.max(0, kept);
    } catch (thrown) {
      if (asked !== this.#asked) return;
      this.result = null;
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
    this.loading = false;
  }

  /** An answer was accepted. */
  protected took(_result: T): void {}

  /** Moves the cursor, stopping at both ends. */
  move(by: number): void {
    const last = this.rows.length - 1;
    this.choose(Math.min(Math.max(0, this.cursor + by), Math.max(0, last)));
  }

  /** Puts the cursor on a row. */
  choose(index: number): void {
    this.cursor = index;
    this.#chosen = this.row?.patient ?? null;
  }

  /** Forgets everything, also answers on their way. */
  clear(): void {
    this.#asked++;
    this.result = null;
    this.error = null;
    this.loading = false;
    this.cursor = 0;
    this.#chosen = null;
  }
}
