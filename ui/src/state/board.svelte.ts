/**
 * The ward board's state: which rows are shown, the preview, the wall display, and what was seen of each row.
 *
 * All of it stays in memory and ends with the lock. Never here: markup, the words (`domain/board.ts`).
 */
import { ACUITIES, changesOf, filtered } from '../domain/board';
import type { BoardView } from '../wire/BoardView';
import type { PatientRowView } from '../wire/PatientRowView';
import { PatientList } from './list.svelte';
import { RowHeights } from './rowHeights';

export class Board extends PatientList<BoardView> {
  /** The acuities the filter shows, in their order; none is no filter. */
  acuities = $state.raw<readonly string[]>([]);
  /** Whose row is previewed. By the patient: a row that moves or goes never turns it into somebody else's (S8). */
  previewOf = $state<string | null>(null);
  /** For a display that is read from far away. */
  wall = $state(false);
  /** On the wall display: initials and bed instead of the identity. */
  initials = $state(false);
  /** Rows that a page key moves by. */
  page = 10;
  /** What was measured of the rows. */
  heights = new RowHeights();
  /** Each row as it was when its chart was opened; null until the board shows it for the first time after that. */
  #opened = $state.raw<ReadonlyMap<string, PatientRowView | null>>(new Map());
  #shown = $derived(filtered(this.result?.rows ?? [], this.acuities));

  override get rows(): PatientRowView[] {
    return this.#shown;
  }

  /** Every row, also those that the filter hides. */
  get all(): PatientRowView[] {
    return this.result?.rows ?? [];
  }

  /** Initials are an option of the wall display alone. */
  get private(): boolean {
    return this.wall && this.initials;
  }

  // ---- filter ----

  toggleAcuity(digit: number): boolean {
    const acuity = ACUITIES[digit - 1];
    if (acuity === undefined) return false;
    const on = this.acuities.includes(acuity);
    this.#filter(ACUITIES.filter((each) => (each === acuity ? !on : this.acuities.includes(each))));
    return true;
  }

  showAll(): void {
    this.#filter([]);
  }

  #filter(acuities: readonly string[]): void {
    const before = this.row?.patient;
    this.acuities = acuities;
    this.cursor = Math.max(0, this.rows.findIndex((row) => row.patient === before));
  }

  // ---- preview ----

  togglePreview(): boolean {
    if (this.previewOf === null && this.row === null) return false;
    this.previewOf = this.previewOf === null ? (this.row?.patient ?? null) : null;
    return true;
  }

  closePreview(): void {
    this.previewOf = null;
  }

  /** The previewed row; null where it left the rows that are shown. */
  get previewed(): PatientRowView | null {
    if (this.row?.patient === this.previewOf) return this.row;
    return this.rows.find((row) => row.patient === this.previewOf) ?? null;
  }

  /** The preview goes along with the cursor of a person, not with rows that move by themselves. */
  override move(by: number): void {
    super.move(by);
    if (this.previewOf !== null) this.previewOf = this.row?.patient ?? null;
  }

  // ---- changed since opened ----

  /** Somebody's chart or card was opened; `here` where it was chosen among the rows on the screen. */
  opened(patient: string, here: boolean): void {
    const row = here ? this.all.find((each) => each.patient === patient) : undefined;
    this.#opened = new Map(this.#opened).set(patient, row ?? null);
  }

  /** What changed in a row since its chart was opened here; nothing where it was not opened. */
  changes(row: PatientRowView): string[] {
    const before = this.#opened.get(row.patient);
    return before ? changesOf(before, row) : [];
  }

  protected override took(result: BoardView): void {
    const first = result.rows.filter((row) => this.#opened.get(row.patient) === null);
    if (first.length > 0) this.#opened = new Map([...this.#opened, ...first.map((row) => [row.patient, row] as const)]);
  }

  override clear(): void {
    super.clear();
    this.acuities = [];
    this.previewOf = null;
    this.wall = false;
    this.initials = false;
    this.heights = new RowHeights();
    this.#opened = new Map();
  }
}
