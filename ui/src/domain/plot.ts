/**
 * How a course over time is drawn: what is joined, the scale and its words, where marks and labels stand.
 *
 * Lives here: pure functions from points to positions and paths (CUI GTAB-001 … 182). Never here: markup, colours, words
 * about a window of time (`courses.ts`). Called by `shared/Plot.svelte`; tests/plot.test.ts holds each rule.
 */
import { say } from '../i18n/language';
import type { MeasuredPointView } from '../wire/MeasuredPointView';
import type { MeasuredSeriesView } from '../wire/MeasuredSeriesView';
import type { TickView } from '../wire/TickView';

/** A point with a time: only these have a place on an axis. */
export type Timed = MeasuredPointView & { at_ms: number };

const HOUR_MS = 3_600_000;
/** A line bridges at most this many times the usual distance of two values … */
const GAP_TIMES = 3;
/** … and never breaks under this. */
const GAP_LEAST_MS = HOUR_MS;
export const GAP_WORDS = say(
  'No line is drawn over a gap: over 3 times the usual time between values, and at least 1 hour.',
  'Über eine Lücke wird keine Linie gezogen: mehr als das 3-Fache des üblichen Abstands der Werte und mindestens 1 Stunde.',
);

/** Of every picture and axis on a page: they have to stand below each other. */
export const GUTTER = 40;

export const isTimed = (point: MeasuredPointView): point is Timed => point.at_ms !== null;
/** Whether a value has a height in the picture; a text or another unit has none. */
export const isDrawn = (point: MeasuredPointView) => point.number !== null || point.second !== null;
/** Blood pressures: two numbers at one time. */
export const isPair = (points: MeasuredPointView[]) => points.some(({ second }) => second !== null);

/** The longest time that a line may bridge among these points, oldest first. */
export function longestBridge(points: Timed[]): number {
  const apart = points.slice(1).map((point, i) => point.at_ms - (points[i]?.at_ms ?? 0)).filter((ms) => ms > 0);
  apart.sort((a, b) => a - b);
  const usual = apart[Math.floor((apart.length - 1) / 2)] ?? 0;
  return Math.max(GAP_TIMES * usual, GAP_LEAST_MS);
}

/** Runs of neighbours that a line may join. A value that cannot be drawn ends a run: nobody knows the way past it. */
export function runs(points: Timed[]): Timed[][] {
  const bridge = longestBridge(points);
  const out: Timed[][] = [];
  let before: Timed | null = null;
  for (const point of points) {
    const joins = before !== null && before.number !== null && point.number !== null && point.at_ms - before.at_ms <= bridge;
    if (joins) out.at(-1)?.push(point);
    else if (point.number !== null) out.push([point]);
    before = point;
  }
  return out;
}

/** The vertical scale, and what a reader must know of it. */
export interface Scale {
  low: number;
  high: number;
  ticks: number[];
  /** Absent for a fixed scale that was not widened. */
  words: string | null;
  widened: boolean;
}

/** Without the crumbs of binary fractions: 0.1 + 0.2 is 0.3. */
const tidy = (value: number) => Math.round(value * 1e6) / 1e6;

/** A step of 1, 2 or 5 that divides `span` into at most `most` parts. */
function stepOf(span: number, most: number): number {
  const raw = span / most;
  const ten = 10 ** Math.floor(Math.log10(raw));
  return tidy(ten * ([1, 2, 5].find((each) => each * ten >= raw - 1e-9) ?? 10));
}

/**
 * Fixed, never fitted to the values (GTAB-072): as given; else the reference range with half of it on both sides; else,
 * where there is neither, the values. What lies beyond widens it, and the words say so (GTAB-075).
 */
export function scaleOf(series: MeasuredSeriesView, points: MeasuredPointView[], parts = 4): Scale {
  const values = points.flatMap(({ number, second }) => [number, second]).filter((value) => value !== null);
  const least = Math.min(...values);
  const most = Math.max(...values);
  const { low, high } = series;
  let given: [number, number];
  let source: string | null = null;
  if (series.scale !== null) given = series.scale;
  else if (low !== null && high !== null && high > low) {
    given = [low < 0 ? low - (high - low) / 2 : Math.max(0, low - (high - low) / 2), high + (high - low) / 2];
    source = say('scale: the reference range with half of it above and below', 'Skala: Referenzbereich und je die Hälfte davon darüber und darunter');
  } else {
    const from = values.length > 0 ? least : 0;
    const to = values.length > 0 ? most : 1;
    const room = to > from ? (to - from) / 4 : Math.max(1, Math.abs(to) / 10);
    given = [from - room, to + room];
    source = say('scale: fitted to the values shown, no fixed one for this test', 'Skala: an die gezeigten Werte angepasst, keine feste für diesen Test');
  }
  const fine = stepOf(given[1] - given[0], parts) / 5;
  const bottom = least < given[0] ? tidy(Math.floor(least / fine) * fine) : given[0];
  const top = most > given[1] ? tidy(Math.ceil(most / fine) * fine) : given[1];
  const words = [source ?? '', widening(given, bottom, top) ?? ''].filter((each) => each !== '');
  const step = stepOf(top - bottom, parts);
  const ticks: number[] = [];
  for (let i = Math.ceil(bottom / step - 1e-9); i * step <= top + 1e-9; i++) ticks.push(tidy(i * step));
  return { low: bottom, high: top, ticks, words: words.length === 0 ? null : words.join('; '), widened: bottom < given[0] || top > given[1] };
}

function widening(given: [number, number], bottom: number, top: number): string | null {
  const [down, up] = [bottom < given[0], top > given[1]];
  if (down && up) return say(`scale widened to ${bottom} and ${top}`, `Skala erweitert auf ${bottom} und ${top}`);
  if (up) return say(`scale widened to ${top}`, `Skala erweitert auf ${top}`);
  return down ? say(`scale widened down to ${bottom}`, `Skala nach unten erweitert auf ${bottom}`) : null;
}

/** From a time or a value to a place in the picture. */
export interface Frame {
  from: number;
  to: number;
  width: number;
  height: number;
  scale: Scale;
  /** Room inside the edges, so that a mark at the edge is whole. */
  pad: number;
  /** Room at the left for the numbers of the scale. */
  gutter: number;
}

/** What an axis of time needs to know. */
export type Across = Pick<Frame, 'from' | 'to' | 'width' | 'pad' | 'gutter'>;

const inner = ({ width, pad, gutter }: Across) => width - gutter - 2 * pad;
const near = (value: number) => Math.round(value * 10) / 10;

export function xOf(frame: Across, at: number): number {
  const span = Math.max(1, frame.to - frame.from);
  return near(frame.gutter + frame.pad + ((at - frame.from) / span) * inner(frame));
}

/** The time at a place: what a pointer points at. */
export function timeAt(frame: Across, x: number): number {
  return frame.from + ((x - frame.gutter - frame.pad) / Math.max(1, inner(frame))) * (frame.to - frame.from);
}

export function yOf(frame: Frame, value: number): number {
  const { low, high } = frame.scale;
  return near(frame.height - frame.pad - ((value - low) / (high - low)) * (frame.height - 2 * frame.pad));
}

/** Straight lines between neighbours, as one path. */
export function linePath(frame: Frame, points: Timed[]): string {
  return runs(points)
    .filter((run) => run.length > 1)
    .map((run) => `M${run.map((point) => `${xOf(frame, point.at_ms)} ${yOf(frame, point.number ?? 0)}`).join('L')}`)
    .join('');
}

export type Tone = 'plain' | 'high' | 'low' | 'critical';
/** All marks of one look, as one path: a picture of 400 values is a handful of elements. */
export interface MarkPath {
  tone: Tone;
  /** Not final: only its edge is drawn. */
  hollow: boolean;
  d: string;
}

function toneOf(flag: string): Tone {
  if (flag === '') return 'plain';
  if (flag.length > 1) return 'critical';
  return flag === 'L' ? 'low' : 'high';
}

const disc = (x: number, y: number, r: number) => `M${near(x - r)} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
const up = (x: number, y: number, r: number) => `M${x} ${near(y - r)}l${r} ${near(1.7 * r)}h${-2 * r}z`;
const down = (x: number, y: number, r: number) => `M${x} ${near(y + r)}l${r} ${near(-1.7 * r)}h${-2 * r}z`;

/** The shape of a flag, the same as everywhere (`shared/Shape.svelte`): not its colour alone (S10). */
function shape(flag: string, x: number, y: number, r: number): string {
  switch (flag) {
    case '':
      return disc(x, y, r);
    case 'H':
      return up(x, y, r + 1.5);
    case 'HH':
      return up(x, near(y - r), r + 1.5) + up(x, near(y + r), r + 1.5);
    case 'L':
      return down(x, y, r + 1.5);
    case 'LL':
      return down(x, near(y - r), r + 1.5) + down(x, near(y + r), r + 1.5);
    default:
      return disc(x, y, r + 1.5);
  }
}

/** A double-ended T: a bar at the systolic and at the diastolic value (GTAB-039 … 041); where one is missing, one bar alone. */
function tee(frame: Frame, point: Timed, r: number): string {
  const x = xOf(frame, point.at_ms);
  const bar = (value: number | null) => (value === null ? '' : `M${near(x - r)} ${yOf(frame, value)}h${2 * r}`);
  const stem = point.number === null || point.second === null ? '' : `M${x} ${yOf(frame, point.number)}V${yOf(frame, point.second)}`;
  return bar(point.number) + bar(point.second) + stem;
}

/** Radius of the latest mark, of the one before it, of the others (GTAB-045 … 047). */
const RADII = [4.5, 3.2, 2] as const;
const radius = (fromEnd: number) => RADII[Math.min(fromEnd, 2)] ?? 2;

function gathered(each: { tone: Tone; hollow: boolean; d: string }[]): MarkPath[] {
  const out = new Map<string, MarkPath>();
  for (const { tone, hollow, d } of each) {
    const key = `${tone} ${hollow}`;
    const found = out.get(key);
    if (found === undefined) out.set(key, { tone, hollow, d });
    else found.d += d;
  }
  return [...out.values()];
}

/** The marks of a series, oldest first given. */
export function markPaths(frame: Frame, points: Timed[]): MarkPath[] {
  const drawn = points.filter((point) => point.number !== null);
  return gathered(
    drawn.map((point, i) => ({
      tone: toneOf(point.flag),
      hollow: point.status_text !== null,
      d: shape(point.flag, xOf(frame, point.at_ms), yOf(frame, point.number ?? 0), radius(drawn.length - 1 - i)),
    })),
  );
}

/** Where the flag of a T stands: above it, or below where there is no room. The letters stand beyond the shape. */
function besideTee(frame: Frame, point: Timed): { shape: number; letters: number } {
  const top = yOf(frame, point.number ?? point.second ?? 0);
  if (top >= 26) return { shape: near(top - 8), letters: near(top - 15) };
  const bottom = yOf(frame, point.second ?? point.number ?? 0);
  return { shape: near(bottom + 8), letters: near(bottom + 24) };
}

/** Ts of one weight: those that are not final apart, they are dashed; the newest is the heaviest. */
export interface TeePath {
  heavy: boolean;
  hollow: boolean;
  d: string;
}

/** The marks of blood pressures: Ts; the shape of a flag stands above or below them. */
export function pairPaths(frame: Frame, points: Timed[]): { tees: TeePath[]; flags: MarkPath[] } {
  const drawn = points.filter(isDrawn);
  const newest = drawn.at(-1);
  const widths = [6, 4.5, 3.2] as const;
  const tees: TeePath[] = [];
  for (const hollow of [false, true]) {
    for (const heavy of [false, true]) {
      const d = drawn
        .map((point, i) => {
          if ((point === newest) !== heavy || (point.status_text !== null) !== hollow) return '';
          return tee(frame, point, widths[Math.min(drawn.length - 1 - i, 2)] ?? 3);
        })
        .join('');
      if (d !== '') tees.push({ heavy, hollow, d });
    }
  }
  const flags = gathered(
    drawn.flatMap((point) => {
      if (point.flag === '') return [];
      const x = xOf(frame, point.at_ms);
      return [{ tone: toneOf(point.flag), hollow: false, d: shape(point.flag, x, besideTee(frame, point).shape, 1.6) }];
    }),
  );
  return { tees, flags };
}

/** A flag in letters beside its mark. */
export interface FlagLabel {
  x: number;
  y: number;
  text: string;
  tone: Tone;
}

/** Above or below a mark as the flag says; on the other side where the edge would cut it. */
function besideMark(frame: Frame, point: Timed): number {
  const at = yOf(frame, point.number ?? 0);
  const [above, below] = [at - 10, at + 19];
  const wanted = point.flag.startsWith('L') ? below : above;
  return wanted < 10 ? below : wanted > frame.height - 2 ? above : wanted;
}

/**
 * Letters of flags, as many as stand clear of each other: the newest and the critical ones first. The shapes are on every
 * mark.
 */
export function flagLabels(frame: Frame, points: Timed[]): FlagLabel[] {
  const pair = isPair(points);
  const flagged = points.filter((each) => each.flag !== '' && isDrawn(each)).reverse();
  const newest = flagged[0];
  const order = [...flagged].sort((a, b) => Number(b === newest) - Number(a === newest) || b.flag.length - a.flag.length || b.at_ms - a.at_ms);
  const taken: [number, number][] = [];
  const out: FlagLabel[] = [];
  for (const point of order) {
    const half = point.flag.length * 4.5 + 2;
    const x = near(Math.min(xOf(frame, point.at_ms), frame.width - half));
    if (taken.some(([from, to]) => x - half < to && x + half > from)) continue;
    taken.push([x - half, x + half]);
    const y = pair ? besideTee(frame, point).letters : besideMark(frame, point);
    out.push({ x, y: near(y), text: point.flag, tone: toneOf(point.flag) });
  }
  return out;
}

/** The reference range as an area (GTAB-182), within the picture; null where the record has none as numbers. */
export function band(frame: Frame, low: number | null, high: number | null): { y: number; height: number } | null {
  if (low === null && high === null) return null;
  const top = high === null ? 0 : Math.max(0, yOf(frame, Math.min(high, frame.scale.high)));
  const bottom = low === null ? frame.height : Math.min(frame.height, yOf(frame, Math.max(low, frame.scale.low)));
  return bottom < top ? null : { y: top, height: Math.max(1, near(bottom - top)) };
}

/** A label of the time axis, in a row of labels that do not touch. */
export interface PlacedTick {
  x: number;
  text: string;
  row: number;
  anchor: 'start' | 'middle' | 'end';
}

/** Wide enough for every letter of the face at 12 px. */
const LETTER = 6.6;

/**
 * The labels of an axis: plain hours as many as there is room for; a date or the words of an hour that comes twice (S23)
 * always and whole, in rows of their own above them; no more rows than `most`.
 */
export function placeTicks(frame: Across, ticks: TickView[], most = 9): PlacedTick[] {
  const inside = ticks.filter(({ at_ms }) => at_ms >= frame.from && at_ms <= frame.to);
  const taken: [number, number][][] = [];
  const out: PlacedTick[] = [];
  const place = (tick: TickView, rows: number, lowest = 0): boolean => {
    const x = xOf(frame, tick.at_ms);
    const wide = tick.text.length * LETTER;
    const left = Math.min(Math.max(0, x - wide / 2), Math.max(0, frame.width - wide));
    const anchor = x - wide / 2 < 0 ? 'start' : x + wide / 2 > frame.width ? 'end' : 'middle';
    for (let row = lowest; row < rows; row++) {
      const here = (taken[row] ??= []);
      if (here.some(([from, to]) => left < to + 8 && left + wide + 8 > from)) continue;
      here.push([left, left + wide]);
      out.push({ x: anchor === 'start' ? 0 : anchor === 'end' ? near(frame.width) : x, text: tick.text, row, anchor });
      return true;
    }
    return false;
  };
  const plain = (tick: TickView) => /^\d\d:\d\d$/.test(tick.text);
  const hours = inside.filter(plain);
  for (const tick of inside.filter((each) => !plain(each))) place(tick, most, hours.length > 0 ? 1 : 0);
  // The same step everywhere: an axis with labels left out here and there reads wrong.
  const perHour = (HOUR_MS / Math.max(1, frame.to - frame.from)) * inner(frame);
  const every = [1, 2, 3, 4, 6, 12].find((each) => each * perHour >= 5 * LETTER + 10) ?? 24;
  for (const tick of hours.filter(({ text }) => Number(text.slice(0, 2)) % every === 0)) place(tick, 1);
  return out.sort((a, b) => a.row - b.row || a.x - b.x);
}

/** The times of measurement in all these lists, oldest first, each once: the stops of the focus line. */
export function timesOf(lists: Timed[][]): number[] {
  return [...new Set(lists.flatMap((points) => points.map(({ at_ms }) => at_ms)))].sort((a, b) => a - b);
}

/** The stop nearest to a time. */
export function nearestTime(times: number[], at: number): number | null {
  let best: number | null = null;
  for (const time of times) if (best === null || Math.abs(time - at) < Math.abs(best - at)) best = time;
  return best;
}

/** The stop `by` stops away, from the newest where none is chosen; it stays at both ends. */
export function stepTime(times: number[], from: number | null, by: number): number | null {
  if (from === null) return times.at(-1) ?? null;
  const later = times.findIndex((time) => time > from);
  const next = later === -1 ? times.length : later;
  const on = times[next - 1] === from;
  const index = by < 0 ? next + by - (on ? 1 : 0) : next + by - 1;
  return times[Math.min(Math.max(0, index), times.length - 1)] ?? null;
}
