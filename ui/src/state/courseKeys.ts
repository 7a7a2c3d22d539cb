/**
 * The keys of vital signs and labs, while their section of the chart is open.
 *
 * Lives here: which key means which act, and the lines of the help screen. Never here: doing it (`courses.svelte.ts`).
 * Every act has a button or a pointer too.
 */
import { say } from '../i18n/language';
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
  title: say('Vital signs and labs (in their sections)', 'Vitalwerte und Labor (in ihren Abschnitten)'),
  keys: [
    { keys: ['G'], text: say('Vital signs: plots or table', 'Vitalwerte: Kurven oder Tabelle') },
    { keys: ['N', 'W'], text: say('Vital signs: narrower, wider window of time', 'Vitalwerte: kürzeres, längeres Zeitfenster') },
    { keys: ['← →', 'Home', 'End'], text: say('Plots: line to the measurement before, after; first, last', 'Kurven: Linie zur Messung davor, danach; erste, letzte') },
    { keys: ['↓ ↑', 'Enter', 'T'], text: say('Labs: next, previous test; its whole course', 'Labor: nächster, voriger Test; sein ganzer Verlauf') },
    { keys: ['A'], text: say('Labs: abnormal only, or all', 'Labor: nur auffällige oder alle') },
    { keys: ['Esc'], text: say('Labs: from a course back to the table', 'Labor: vom Verlauf zurück zur Tabelle') },
  ],
};
