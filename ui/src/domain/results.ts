/**
 * The results inbox as pure functions: how long a result has waited, which step is due, what may be claimed of a list.
 *
 * Lives here: the counting and the words made of it. Never here: which result is critical and after how long what is due
 * (the engine), markup, a clock. Called by `state/results.svelte.ts`, `views/results/` and
 * `shared/CriticalLine.svelte`; tests/results.test.ts.
 */
import { say } from '../i18n/language';
import { AGE_MEANING } from '../i18n/words';
import type { ChartCriticalView } from '../wire/ChartCriticalView';
import type { CriticalView } from '../wire/CriticalView';
import type { ResultsView } from '../wire/ResultsView';
import type { SectionAge } from '../wire/SectionAge';
import type { StepView } from '../wire/StepView';
import type { WaitingView } from '../wire/WaitingView';
import { showBlock, type BlockShown } from './safety';
import { MRN, type Who } from './who';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const [MIN, HR, D] = [say('min', 'Min'), say('hr', 'Std'), say('d', 'T')];

/** "40 s", "12 min", "1 hr 5 min", "2 d 3 hr", as the engine says them (CUI D+Tb): whole units that have passed, never rounded up. */
export function spanText(seconds: number): string {
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} ${MIN}`;
  const [unit, small, words] = seconds < DAY ? ([HOUR, MINUTE, [HR, MIN]] as const) : ([DAY, HOUR, [D, HR]] as const);
  const rest = Math.floor((seconds % unit) / small);
  return `${Math.floor(seconds / unit)} ${words[0]}${rest === 0 ? '' : ` ${rest} ${words[1]}`}`;
}

/** Counted on from what was read, and never below nothing; null where nobody knows since when. */
export function waited(waits_s: number | null, sinceRead_s: number): number | null {
  return waits_s === null ? null : Math.max(0, waits_s + Math.max(0, Math.floor(sinceRead_s)));
}

/** Which step is due, for how long it has been, and which comes next in how long. */
export interface Due {
  due: StepView | null;
  /** Null where it is not known. */
  overdue_s: number | null;
  next: StepView | null;
  next_s: number;
}

/** Of an unknown wait the last step is due: it may have waited for longer than any. */
export function dueOf(waits: number | null, steps: StepView[]): Due {
  if (waits === null) return { due: steps.at(-1) ?? null, overdue_s: null, next: null, next_s: 0 };
  const due = steps.filter(({ after_s }) => after_s <= waits).at(-1) ?? null;
  const next = steps.find(({ after_s }) => after_s > waits) ?? null;
  return { due, overdue_s: due === null ? null : waits - due.after_s, next, next_s: next === null ? 0 : next.after_s - waits };
}

/** "Overdue 10 min"; within its first minute "Due now". */
export function overdueText(overdue_s: number | null): string {
  if (overdue_s === null) return say('Overdue', 'Überfällig');
  return overdue_s < MINUTE ? say('Due now', 'Jetzt fällig') : say(`Overdue ${spanText(overdue_s)}`, `Überfällig seit ${spanText(overdue_s)}`);
}

/** One result on the list. The same one twice is two rows, and a corrected one is another than before. */
export interface ResultRow {
  key: string;
  row: CriticalView;
  waiting: boolean;
}

/** Every row in the order of the screen. */
export function rowsOf(view: ResultsView | null): ResultRow[] {
  const times = new Map<string, number>();
  const keyed = (waiting: boolean) => (row: CriticalView): ResultRow => {
    const name = `${row.result} ${row.version}`;
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    return { key: `${name} ${time}`, row, waiting };
  };
  return view === null ? [] : [...view.waiting.map(keyed(true)), ...view.done.map(keyed(false))];
}

const WHAT = say('critical results', 'kritische Befunde');
const shown = (rows: ResultRow[], view: ResultsView, empty_text: string): BlockShown<ResultRow> =>
  showBlock({ patient: '', state: rows.length > 0 ? 'recorded' : 'not-recorded', empty_text, items: rows, as_of_text: null }, view.age, WHAT);

/** S1: that nothing waits is said only where everything was looked at; what is counted and not shown stands beside it. */
export function waitingOf(view: ResultsView): BlockShown<ResultRow> {
  const others = view.withheld + view.older + view.unread > 0;
  return shown(rowsOf(view).filter(({ waiting }) => waiting), view, others ? say('None of those that can be shown here waits', 'Keiner von denen, die hier gezeigt werden können, wartet') : say('No critical result waits', 'Kein kritischer Befund wartet'));
}

export function doneOf(view: ResultsView): BlockShown<ResultRow> {
  return shown(rowsOf(view).filter(({ waiting }) => !waiting), view, say('None', 'Keine'));
}

/** S6: how many are not acknowledged, never without those that are counted and not shown. */
export function waitingText(view: ResultsView): string {
  const list = waitingOf(view);
  if (list.kind === 'unknown') return say('not known', 'nicht bekannt');
  const [shown, more] = [list.kind === 'rows' ? list.rows.length : 0, view.withheld + view.older];
  const partial = list.kind === 'rows' && list.warning !== null;
  const first = partial ? say(`${shown} not acknowledged so far`, `bisher ${shown} nicht quittiert`) : say(`${shown} not acknowledged`, `${shown} nicht quittiert`);
  const rest = [...(more > 0 ? [say(`${more} more not shown`, `${more} weitere nicht gezeigt`)] : []), ...(view.unread > 0 ? [say('others not known', 'andere nicht bekannt')] : [])];
  return [first, ...rest].join(', ');
}

const counted = (n: number, one: string, more: string) => (n === 1 ? `1 ${one}` : `${n} ${more}`);

/** What the list does not show, each in one sentence: counted, and where to look instead (S5). */
export function beyondOf({ withheld, older, unread, age }: ResultsView): { id: string; text: string }[] {
  return [
    ...(unread > 0 ? [{ id: 'unread', text: say(`The results of ${counted(unread, 'patient', 'patients')} cannot be read here: treat as unknown, look in the laboratory's own system.`, `Die Befunde von ${unread} Patienten können hier nicht gelesen werden: als unbekannt behandeln, im Laborsystem selbst nachsehen.`) }] : []),
    ...(withheld > 0 ? [{ id: 'withheld', text: say(`${withheld} more not acknowledged: of patients whom you may not open. Counted and not shown: somebody who may open them has to look.`, `${withheld} weitere nicht quittiert: von Patienten, deren Akte Sie nicht öffnen dürfen. Gezählt und nicht gezeigt: Jemand, der sie öffnen darf, muss nachsehen.`) }] : []),
    ...(older > 0 ? [{ id: 'older', text: say(`${counted(older, 'older one', 'older ones')} not acknowledged: from before the days that are looked at. Look in the charts.`, `${counted(older, 'älterer', 'ältere')} nicht quittiert: aus der Zeit vor den Tagen, die hier durchgesehen werden. In den Akten nachsehen.`) }] : []),
    ...(['stale', 'offline', 'old'].includes(age.age) ? [{ id: 'aged', text: `${AGE_MEANING[age.age]} ${say('New results may be missing, and somebody may have acknowledged one.', 'Neue Befunde können fehlen, und jemand kann inzwischen einen quittiert haben.')}` }] : []),
  ];
}

/** What a chart says of the critical results of its patient: what waits, or that it is not known; null where there is nothing to say. */
export type ChartLine = { kind: 'waits'; text: string; rows: WaitingView[]; more: number; partial: boolean } | { kind: 'unknown'; text: string } | null;

/** Named in the line of a chart, those that wait longest; the others are counted, and stand in the inbox. */
const NAMED = 3;

/** S1: nothing here ever says that none waits; where not everything was looked at, that is said. */
export function chartLine(critical: ChartCriticalView, age: SectionAge): ChartLine {
  const { waiting, unread_text } = critical;
  const partial = !age.complete || age.age === 'partial';
  if (waiting.length > 0) {
    // Where no inbox here has the others all are named; the only one left takes no more room than its count.
    const named = critical.elsewhere_text !== null || waiting.length <= NAMED + 1 ? waiting.length : NAMED;
    const text = critical.text ?? say('Critical results wait for acknowledgement', 'Kritische Befunde warten auf Quittierung');
    return { kind: 'waits', text, rows: waiting.slice(0, named), more: waiting.length - named, partial };
  }
  if (unread_text !== null) return { kind: 'unknown', text: unread_text };
  return partial ? { kind: 'unknown', text: say('Not fully loaded: a critical result may wait', 'Nicht vollständig geladen: Ein kritischer Befund kann warten') } : null;
}

/** Who a result is of. */
export function whoOfCritical(row: CriticalView): Who {
  return {
    patient: row.patient,
    name: row.name_text,
    born: row.born_text,
    gender: row.gender_text,
    numberLabel: MRN,
    number: row.number_text,
    place: row.place_text,
    similar: row.similar_name,
    deceased: row.deceased_text,
  };
}
