/**
 * Vital signs and laboratory results as tables over time: windows, columns, what lies outside, what changed.
 *
 * Lives here: pure functions from the engine's series to rows, columns and the words about them. Times are compared as
 * UTC ms and shown as the engine wrote them; no date is made here. Never here: how a course is drawn (`plot.ts`), markup.
 * Called by the flowsheet and the labs; tests/courses.test.ts holds each rule.
 */
import { say } from '../i18n/language';
import type { FlowsheetView } from '../wire/FlowsheetView';
import type { MeasuredPointView } from '../wire/MeasuredPointView';
import type { MeasuredSeriesView } from '../wire/MeasuredSeriesView';
import { isTimed, type Timed } from './plot';

const HOUR_MS = 3_600_000;
/** The windows of a flowsheet, in hours. */
export const WINDOWS = [1, 4, 8, 12, 24] as const;
export type Hours = (typeof WINDOWS)[number];
export const USUAL_HOURS: Hours = 24;

/** A span of time up to now, and its beginning in words. */
export interface Span {
  from: number;
  to: number;
  /** "20:00 (the day before 21-Nov-2026)", "24 hours ago". */
  from_text: string;
  /** "before 20:00 …", "over 24 hours old". */
  older_text: string;
  /** The engine has no words for its beginning: it is told by how long ago that was. */
  ago: boolean;
}

/** "27-Nov-2026 14:05" in its parts, the words of an hour that comes twice with the time; null where only a day is recorded. */
export function parts(at_text: string): { date: string; time: string } | null {
  const found = /^(\d\d-[A-Z][a-z]{2}-\d{4}) (\d\d:\d\d.*)$/.exec(at_text);
  return found === null ? null : { date: found[1] ?? '', time: found[2] ?? '' };
}

/**
 * At least so many hours, from a whole hour of the local clock: the engine has words for those. The whole 24 have none;
 * they are the longest there is.
 */
export function spanOf(flowsheet: FlowsheetView, hours: Hours): Span {
  const to = flowsheet.now_ms;
  const asked = to - hours * HOUR_MS;
  const tick = flowsheet.hours.filter(({ at_ms }) => at_ms <= asked).at(-1);
  if (tick === undefined) {
    const long = say(counted(hours, 'hour'), `${hours} Std`);
    return { from: asked, to, from_text: say(`${long} ago`, `vor ${long}`), older_text: say(`over ${long} old`, `älter als ${long}`), ago: true };
  }
  const midnight = flowsheet.hours.find(({ at_ms, text }) => at_ms > tick.at_ms && parts(text) !== null);
  const day = parts(midnight?.text ?? '')?.date;
  const text = day === undefined ? tick.text : say(`${tick.text} (the day before ${day})`, `${tick.text} (am Tag vor dem ${day})`);
  return { from: tick.at_ms, to, from_text: text, older_text: say(`before ${text}`, `vor ${text}`), ago: false };
}

/** A series in a span: nothing of it is lost, only sorted. */
export interface Windowed {
  series: MeasuredSeriesView;
  /** In the span, oldest first. */
  points: Timed[];
  /** Before the span: how many, with those that only the record has, and the newest of them. */
  older: number;
  last: Timed | null;
  /** After now: a clock is wrong somewhere. */
  later: Timed[];
  untimed: MeasuredPointView[];
}

export function windowed(series: MeasuredSeriesView, span: Pick<Span, 'from' | 'to'>): Windowed {
  const timed = series.points.filter(isTimed).sort((a, b) => a.at_ms - b.at_ms);
  const before = timed.filter(({ at_ms }) => at_ms < span.from);
  return {
    series,
    points: timed.filter(({ at_ms }) => at_ms >= span.from && at_ms <= span.to),
    older: before.length + series.older,
    last: before.at(-1) ?? null,
    later: timed.filter(({ at_ms }) => at_ms > span.to),
    untimed: series.points.filter((point) => !isTimed(point)),
  };
}

/** What is breathed in stands with what it does: oxygen next to the saturation. */
const WITH_SPO2 = ['O2 flow', 'FiO2'];
export function inOrder(series: MeasuredSeriesView[]): MeasuredSeriesView[] {
  const oxygen = WITH_SPO2.flatMap((label) => series.filter((each) => each.label === label));
  const rest = series.filter(({ label }) => !WITH_SPO2.includes(label));
  const at = rest.findIndex(({ label }) => label === 'SpO2');
  return at === -1 ? series : [...rest.slice(0, at + 1), ...oxygen, ...rest.slice(at + 1)];
}

/** Whether a value is marked, by the record's flag or by the points of NEWS2 (S10). */
export const isAbnormal = ({ flag, points }: Pick<MeasuredPointView, 'flag' | 'points'>) => flag !== '' || (points ?? 0) > 0;

/** Value, unit, flag and points of a point, text by text (`shared/Listed.svelte`). */
export const textsOf = ({ value, unit, flag, points_text, status_text, earlier }: MeasuredPointView) => [
  value,
  unit,
  flag,
  points_text ?? '',
  status_text ?? '',
  ...(earlier ?? []).flatMap((was) => [say('before:', 'vorher:'), was.value, was.unit, was.flag, was.until_text, was.reason_text]),
];

/** What still stands: the values without those that were withdrawn. */
export const standing = <P extends MeasuredPointView>(points: P[]) => points.filter(({ withdrawn }) => withdrawn !== true);

/** The same as words of a sentence that is heard. */
export const inWords = (point: MeasuredPointView) => textsOf(point).filter((word) => word !== '').join(' ');

/** With a comma from a thousand on, as everywhere on the screen. */
export const counted = (n: number, one: string, more = `${one}s`) => `${String(n).replace(/\B(?=(\d{3})+$)/g, ',')} ${n === 1 ? one : more}`;
const olderValues = (n: number) => say(counted(n, 'older value'), counted(n, 'älterer Wert', 'ältere Werte'));

/** S5: values before the span, counted and said; null where there are none. */
export function olderText(windows: Windowed[], span: Span): string | null {
  const count = windows.reduce((sum, { older }) => sum + older, 0);
  if (count === 0) return null;
  return `${span.ago ? say(counted(count, 'value'), counted(count, 'Wert', 'Werte')) : olderValues(count)} ${span.older_text}`;
}

/** Of a span without a value: what was looked at, and where the last one is. */
export function emptyText({ series, last, older }: Windowed, span: Span): string {
  const looked = say(`No ${series.label} from ${span.from_text} until now.`, `${series.label}: kein Wert im Zeitraum ${span.from_text} bis jetzt.`);
  if (last !== null) return `${looked} ${say('The last:', 'Der letzte:')} ${inWords(last)}, ${last.at_text}.`;
  return `${looked} ${older > 0 ? say(`${olderValues(older)} in the record.`, `${olderValues(older)} in der Akte.`) : say('None before it with a time.', 'Davor keiner mit Zeitangabe.')}`;
}

/** A time of measurement: a column. */
export interface Column {
  at_ms: number;
  at_text: string;
}

/** Every time at which something was measured, oldest first: no two are put together, none is left out. */
export function columnsOf(lists: Timed[][]): Column[] {
  const found = new Map<number, string>();
  for (const points of lists) for (const { at_ms, at_text } of points) if (!found.has(at_ms)) found.set(at_ms, at_text);
  return [...found].map(([at_ms, at_text]) => ({ at_ms, at_text })).sort((a, b) => a.at_ms - b.at_ms);
}

/** What was measured at a time; more than one value where the record has more. */
export function cellsOf(points: Timed[]): Map<number, Timed[]> {
  const found = new Map<number, Timed[]>();
  for (const point of points) {
    const here = found.get(point.at_ms);
    if (here === undefined) found.set(point.at_ms, [point]);
    else here.push(point);
  }
  return found;
}

/** A row under columns of time. */
export interface TableRow {
  key: string;
  series: MeasuredSeriesView;
  /** Oldest first. */
  points: Timed[];
}

/** Columns of one day under one date. */
export interface Day {
  date: string;
  count: number;
}
export function daysOf(columns: Column[]): Day[] {
  const out: Day[] = [];
  for (const { at_text } of columns) {
    const date = parts(at_text)?.date ?? '';
    const before = out.at(-1);
    if (before !== undefined && before.date === date) before.count++;
    else out.push({ date, count: 1 });
  }
  return out;
}

const DECIMAL = /^-?\d+(?:\.(\d+))?$/;

/** A value in the parts left and right of its point, so that points stand below each other (GTAB-201). */
export function decimal(value: string): { whole: string; fraction: string } | null {
  if (!DECIMAL.test(value)) return null;
  const at = value.indexOf('.');
  return at === -1 ? { whole: value, fraction: '' } : { whole: value.slice(0, at), fraction: value.slice(at) };
}

/**
 * What changed since the value before, in words: only between numbers in the same unit, at the precision recorded (the
 * finer of the two). Null where it cannot be said.
 */
export function deltaText(points: MeasuredPointView[]): string | null {
  const [now, before] = points;
  if (now === undefined || before === undefined || now.number === null || before.number === null || now.unit !== before.unit) return null;
  if (before.at_ms === null || now.at_ms === null) return null;
  const digits = [now.value, before.value].map((value) => DECIMAL.exec(value));
  if (digits.some((found) => found === null)) return null;
  const places = Math.max(...digits.map((found) => found?.[1]?.length ?? 0));
  // In whole units of the last place: 6.1 − 5.9 is 0.2, not 0.19999999999999929.
  const steps = (value: string) => Math.round(Number(value) * 10 ** places);
  const by = steps(now.value) - steps(before.value);
  if (by === 0) return say(`no change since ${before.at_text}`, `unverändert seit ${before.at_text}`);
  const text = String(Math.abs(by)).padStart(places + 1, '0');
  const size = places === 0 ? text : `${text.slice(0, -places)}.${text.slice(-places)}`;
  return `${by > 0 ? '▲' : '▼'} ${size} ${say('since', 'seit')} ${before.at_text}`;
}

/** Of a small picture, oldest first; what is no number in the series' unit is no part of its line. */
export const drawnTrend = ({ points }: MeasuredSeriesView) => points.flatMap(({ number }) => (number === null ? [] : [number])).reverse();

/** Whether a test has anything flagged among the values here. */
export const hasFlag = ({ points }: MeasuredSeriesView) => points.some(({ flag }) => flag !== '');

/** A name for a row that outlives a new reading of the record: labels may come twice. */
export function rowKeys(series: MeasuredSeriesView[]): string[] {
  const seen = new Map<string, number>();
  return series.map(({ label }) => {
    const nth = seen.get(label) ?? 0;
    seen.set(label, nth + 1);
    return `${label} ${nth}`;
  });
}

/** Which columns of a table that scrolls are in view; those left and right of it are counted (S5). */
export interface InView {
  /** Drawn: some more than are seen on both sides. */
  first: number;
  last: number;
  /** Not or not wholly seen. */
  left: number;
  right: number;
}

/** `room` is the width beside the fixed first column, `scrolled` how far from the left. */
export function inView(count: number, scrolled: number, room: number, wide: number, spare = 4): InView {
  const left = Math.min(count, Math.max(0, Math.ceil((scrolled - 1) / wide)));
  const end = Math.max(left, Math.min(count, Math.floor((scrolled + room + 1) / wide)));
  return { first: Math.max(0, left - spare), last: Math.min(count, end + spare), left, right: count - end };
}
