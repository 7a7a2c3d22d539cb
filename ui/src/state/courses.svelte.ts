/**
 * How the courses of the open chart are looked at: the flowsheet's form, window and focus line; the labs' cursor, open
 * test and filter.
 *
 * Lives here: that state and its keys. Never here: values (they stay in the chart), markup. Called by `acts.ts`,
 * the flowsheet and the labs.
 */
import { USUAL_HOURS, WINDOWS, type Hours } from '../domain/courses';
import { nearestTime, stepTime } from '../domain/plot';
import { courseActOf, type CourseAct } from './courseKeys';
import type { Focus, Key } from './keys';

/** State of one chart's courses. */
export class Courses {
  form = $state<'plots' | 'table'>('plots');
  /** The window to begin with, by the layout of who is signed in. */
  usual: Hours = USUAL_HOURS;
  hours = $state<Hours>(USUAL_HOURS);
  /** The time of the focus line. */
  at = $state<number | null>(null);
  /** Row of the labs under the cursor, by its key (`rowKeys`). */
  row = $state<string | null>(null);
  /** The test whose whole course is open, by its key. */
  open = $state<string | null>(null);
  flaggedOnly = $state(false);
  /** Counts requests to put the focus on the row under the cursor. */
  rowFocus = $state(0);
  /** What the page shows now: stops of the focus line, and rows of the labs. */
  #times: number[] = [];
  #rows: string[] = [];

  clear(): void {
    this.form = 'plots';
    this.hours = this.usual;
    this.at = null;
    this.row = null;
    this.open = null;
    this.flaggedOnly = false;
    this.#times = [];
    this.#rows = [];
  }

  /** Another section: what was pointed at there means nothing here. */
  leave(): void {
    this.at = null;
    this.open = null;
  }

  useTimes(times: number[]): void {
    this.#times = times;
  }

  useRows(rows: string[]): void {
    this.#rows = rows;
  }

  /** The pointer chooses the measurement nearest to it. */
  pointAt(time: number): void {
    this.at = nearestTime(this.#times, time);
  }

  openTest(key: string): void {
    this.row = key;
    this.at = null;
    this.open = key;
  }

  /** Back to the row that was opened. */
  closeTest(): void {
    this.open = null;
    this.at = null;
    this.rowFocus++;
  }

  /** Does what a key asks for; true when nothing else may act on it. */
  onKey(key: Key, focus: Focus, section: string): boolean {
    const where = section === 'vitals' ? this.form : section === 'labs' ? (this.open === null ? 'grid' : 'trend') : null;
    const act = where === null ? null : courseActOf(key, focus, where);
    return act === null ? false : this.perform(act);
  }

  perform(act: CourseAct): boolean {
    if (typeof act === 'object') {
      if ('row' in act) return this.#moveRow(act.row);
      this.at = stepTime(this.#times, this.at, act.step);
      return true;
    }
    switch (act) {
      case 'form':
        this.form = this.form === 'plots' ? 'table' : 'plots';
        return true;
      case 'longer':
      case 'shorter': {
        const at = WINDOWS.indexOf(this.hours) + (act === 'longer' ? 1 : -1);
        this.hours = WINDOWS[Math.min(Math.max(0, at), WINDOWS.length - 1)] ?? this.usual;
        return true;
      }
      case 'first':
        this.at = this.#times[0] ?? null;
        return true;
      case 'last':
        this.at = this.#times.at(-1) ?? null;
        return true;
      case 'flagged':
        this.flaggedOnly = !this.flaggedOnly;
        return true;
      case 'trend':
        if (this.row !== null && this.#rows.includes(this.row)) this.openTest(this.row);
        return true;
      case 'close':
        this.closeTest();
        return true;
    }
  }

  #moveRow(by: 1 | -1): boolean {
    if (this.#rows.length === 0) return false;
    const at = this.row === null ? -1 : this.#rows.indexOf(this.row);
    const next = at === -1 ? 0 : Math.min(Math.max(0, at + by), this.#rows.length - 1);
    this.row = this.#rows[next] ?? null;
    this.rowFocus++;
    return true;
  }
}
