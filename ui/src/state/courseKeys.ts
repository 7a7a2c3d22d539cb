/**
 * The keys of vital signs and labs, while their section of the chart is open.
 *
 * Lives here: which key means which act, and the lines of the help screen. Never here: doing it (`courses.svelte.ts`).
 * Every act has a button or a pointer too.
 */
import type { Focus, Key, KeyHelp } from './keys';

export type CourseAct =
  | { step: number }
  | { row: 1 | -1 }
  | 'form'
  | 'longer'
  | 'shorter'
  | 'first'
  | 'last'
  | 'flagged'
  | 'trend'
  | 'close';

/** What is open: both forms of the flowsheet, the table of labs, the course of one test. */
export type CoursePlace = 'plots' | 'table' | 'grid' | 'trend';

const FLOWSHEET: Record<string, CourseAct> = { g: 'form', w: 'longer', n: 'shorter' };
const LINE: Record<string, CourseAct> = { ArrowLeft: { step: -1 }, ArrowRight: { step: 1 }, Home: 'first', End: 'last' };
const KEYS: Record<CoursePlace, Record<string, CourseAct>> = {
  plots: { ...FLOWSHEET, ...LINE },
  table: FLOWSHEET,
  grid: { a: 'flagged', t: 'trend', j: { row: 1 }, k: { row: -1 }, ArrowDown: { row: 1 }, ArrowUp: { row: -1 } },
  trend: { ...LINE, Escape: 'close' },
};

/** The act of a key, or null when it belongs to somebody else: the tabs have arrows of their own. */
export function courseActOf(key: Key, focus: Focus, place: CoursePlace): CourseAct | null {
  if (key.altKey || key.metaKey || key.ctrlKey || key.shiftKey || focus.typing) return null;
  if (focus.tabs === true && key.key.startsWith('Arrow')) return null;
  return KEYS[place][key.key.length === 1 ? key.key.toLowerCase() : key.key] ?? null;
}

/** Its group of the help screen. */
export const COURSE_HELP: { title: string; keys: KeyHelp[] } = {
  title: 'Vital signs and labs (in their sections)',
  keys: [
    { keys: ['G'], text: 'Vital signs: plots or table' },
    { keys: ['N', 'W'], text: 'Vital signs: narrower, wider window of time' },
    { keys: ['← →', 'Home', 'End'], text: 'Plots: line to the measurement before, after; first, last' },
    { keys: ['↓ ↑', 'Enter', 'T'], text: 'Labs: next, previous test; its whole course' },
    { keys: ['A'], text: 'Labs: abnormal only, or all' },
    { keys: ['Esc'], text: 'Labs: from a course back to the table' },
  ],
};
