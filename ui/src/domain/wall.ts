/**
 * The wall of live vital signs as pure functions: what is live after so many milliseconds, the counts, where each signal
 * stands in a cell, how the cells are laid out, and the picture of a trend.
 *
 * Lives here: that no number is called live which is older than the engine allows; a bed is never better than the engine
 * said and gets worse by itself. Never here: clocks, markup, words of the engine. Called by `state/wall.svelte.ts` and the
 * views of the wall; tests/wall.test.ts holds each rule.
 */
import { say } from '../i18n/language';
import type { MonitorState } from '../wire/MonitorState';
import type { WallBedView } from '../wire/WallBedView';
import type { WallSignalView } from '../wire/WallSignalView';
import type { WallTrendsView } from '../wire/WallTrendsView';
import type { WallTrendView } from '../wire/WallTrendView';
import { MRN, type Who } from './who';

/** A continuous signal that is young enough. What has no age that could be compared is not. */
export function isLive(signal: WallSignalView, elapsed: number, stands: number): boolean {
  return !signal.spot && signal.age_ms + elapsed <= stands;
}

/** How a bed stands now: as the engine said, or worse by the time that went by since. */
export function stateNow(bed: WallBedView, elapsed: number, stands: number): MonitorState {
  if (bed.state !== 'live') return bed.state;
  return bed.signals.some((signal) => isLive(signal, elapsed, stands)) ? 'live' : 'not-live';
}

/** Milliseconds since the youngest continuous value; null where there is none. */
export function sinceLast(bed: WallBedView, elapsed: number): number | null {
  const ages = bed.signals.filter(({ spot }) => !spot).map(({ age_ms }) => age_ms);
  return ages.length === 0 ? null : Math.min(...ages) + elapsed;
}

const [MIN, HR] = [say('min', 'Min'), say('hr', 'Std')];
/** "42 s", "3 min", "2 hr 5 min": rounded up, so that nothing is called younger than it is. */
export function spanText(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} ${MIN}`;
  const left = minutes % 60;
  return `${(minutes - left) / 60} ${HR}${left === 0 ? '' : ` ${left} ${MIN}`}`;
}

const COUNTED: [MonitorState, string][] = [
  ['live', say('live', 'live')],
  ['not-live', say('not live', 'nicht live')],
  ['never', say('without a monitor', 'ohne Monitor')],
  ['restricted', say('not shown to you', 'Ihnen nicht gezeigt')],
];

/** "38 live · 1 not live · 1 without a monitor": what is live is counted also where nothing is. */
export function countsText(states: MonitorState[]): string {
  return COUNTED.map(([state, words]) => ({ state, words, count: states.filter((each) => each === state).length }))
    .filter(({ state, count }) => count > 0 || state === 'live')
    .map(({ words, count }) => `${count} ${words}`)
    .join(' · ');
}

/** More beds than this that stand are counted alone: a line of forty names is read by nobody, and the counts say it. */
const NAMED = 6;

/**
 * What each bed is named for while it is out of view, a text a line; null where nothing of it stands out. A mark is that of a
 * live value alone.
 */
export function attentionOf(beds: WallBedView[], states: MonitorState[], elapsed: number, stands: number): (string | null)[] {
  const many = states.filter((state) => state === 'not-live').length > NAMED;
  return beds.map((bed, at) => {
    if (states[at] === 'not-live') return many ? null : say('not live', 'nicht live');
    if (states[at] !== 'live') return null;
    const flagged = bed.signals.filter((each) => (each.flag_text ?? '').length > 1 && isLive(each, elapsed, stands));
    return flagged.length === 0 ? null : flagged.map(({ label, flag_text }) => `${label}\n${flag_text}`).join('\n');
  });
}

/** Who lies in a bed of the wall. It holds less than a row of the board, and says so. */
export function whoOfBed(bed: WallBedView): Who {
  const missing = say('not on this list', 'nicht in dieser Liste');
  return {
    patient: bed.patient, name: bed.name, born: missing, gender: missing, numberLabel: MRN, number: missing,
    place: [say(`bed ${bed.bed}`, `Bett ${bed.bed}`), bed.person_text].join(' · '), similar: bed.similar_name, deceased: null,
  };
}

// ---- where a signal stands ----

/** Names that are each other's twin get a number, so that none is left out. */
export function keyed<T>(all: T[], nameOf: (each: T) => string): { key: string; each: T }[] {
  const times = new Map<string, number>();
  return all.map((each) => {
    const name = nameOf(each);
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    return { key: `${name} ${time}`, each };
  });
}

/** A place in every cell; what reads "118/74 (89)" gets two columns in all of them. */
export interface Slot {
  key: string;
  wide: boolean;
}

const WIDE_FROM = 8;
const isWide = ({ value_text: value }: WallSignalView) => value !== null && (value.includes('/') || value.length >= WIDE_FROM);

/** The places of all signals of the ward, in the order of the engine: a bed that lacks one leaves its place empty. */
export function slotsOf(beds: WallBedView[]): Slot[] {
  const slots: Slot[] = [];
  for (const bed of beds) {
    // What a bed of somebody else sends, if it did, takes no place.
    if (bed.state === 'restricted') continue;
    let next = 0;
    for (const { key, each } of keyed(bed.signals, ({ signal }) => signal)) {
      const found = slots.findIndex((slot) => slot.key === key);
      const slot = slots[found];
      if (slot === undefined) slots.splice(next++, 0, { key, wide: isWide(each) });
      else {
        slot.wide ||= isWide(each);
        next = found + 1;
      }
    }
  }
  return slots;
}

// ---- how the cells are laid out ----

export interface WallLayout {
  columns: number;
  /** Least height of a cell, px. */
  row: number;
  /** How much larger than at its smallest everything in a cell is. */
  scale: number;
  trends: boolean;
  /** However it is laid out, one has to scroll. */
  scrolls: boolean;
}

export const GAP = 6;
/** Columns of signals in a cell; a wide one takes two of them. */
const SIGNALS_ABREAST = 3;
/** What a cell needs at its smallest, px: its width, name and edges, a row of signals, one with a wide one, the trends. */
const NEEDS = { width: 224, head: 47, row: 45, wideRow: 58, trends: 25 };
/** For whoever stands further away: so much larger at most, and so much higher than it needs. */
const LARGEST = 1.6;
const STRETCH = 1.3;

/**
 * The largest form in which every bed is in view; the trends go first, then one scrolls. `taller` is by how much what
 * came of it was higher than reckoned, as by long names.
 */
export function layoutOf(width: number, height: number, beds: number, slots: Slot[], taller = 1): WallLayout {
  const wide = slots.filter((slot) => slot.wide).length;
  // Beside each wide one there is place for another.
  const narrow = Math.ceil(Math.max(0, slots.length - 2 * wide) / SIGNALS_ABREAST);
  const bare = NEEDS.head + narrow * NEEDS.row + wide * NEEDS.wideRow;
  const most = Math.max(1, Math.floor((width + GAP) / (NEEDS.width + GAP)));
  for (const trends of [true, false]) {
    const needed = (bare + (trends ? NEEDS.trends : 0)) * taller;
    const ways = Array.from({ length: Math.min(most, Math.max(1, beds)) }, (_, at) => {
      const columns = at + 1;
      const rows = Math.max(1, Math.ceil(beds / columns));
      const each = Math.floor((height - (rows - 1) * GAP) / rows);
      return { columns, each, scale: Math.min((width - at * GAP) / columns / NEEDS.width, each / needed) };
    });
    const best = ways.reduce((one, other) => (other.scale > one.scale ? other : one));
    if (best.scale < 1) continue;
    const scale = Math.min(best.scale, LARGEST);
    return { columns: best.columns, scale, trends, scrolls: false, row: Math.min(best.each, Math.floor(needed * scale * STRETCH)) };
  }
  return { columns: most, scale: 1, trends: false, scrolls: true, row: bare };
}

// ---- trends ----

/** Which are shown where there is not room for all. */
const CHIEF = ['hr', 'spo2'];
const MOST_TRENDS = 2;

/** The trends of each patient that a cell has room for, the chief ones first. */
export function trendsOf(view: WallTrendsView | null): Map<string, WallTrendView[]> {
  const found = new Map<string, WallTrendView[]>();
  const rank = ({ signal }: WallTrendView) => (CHIEF.indexOf(signal) + CHIEF.length + 1) % (CHIEF.length + 1);
  for (const trend of [...(view?.trends ?? [])].sort((a, b) => rank(a) - rank(b))) {
    const mine = found.get(trend.patient) ?? [];
    if (mine.length < MOST_TRENDS && !mine.some(({ signal }) => signal === trend.signal)) found.set(trend.patient, [...mine, trend]);
  }
  return found;
}

/** Height of the picture in its own units, and the least that a step takes of it: one value is a line, not nothing. */
export const TREND_HIGH = 100;
const LEAST = 6;

/** The area between lowest and highest, step by step; where nothing was measured there is nothing. */
export function bandOf({ steps, low, high }: Pick<WallTrendView, 'steps' | 'low' | 'high'>): string {
  const span = high - low;
  if (!(span > 0)) return '';
  // Beyond the scale it lies at the edge; the scale is the same in every bed and never moves.
  const y = (value: number) => Math.round(TREND_HIGH * (1 - Math.min(Math.max((value - low) / span, 0), 1)));
  let path = '';
  steps.forEach((step, at) => {
    if (step === null) return;
    const [least, most] = step;
    if (!Number.isFinite(least) || !Number.isFinite(most)) return;
    const tall = Math.max(LEAST, y(least) - y(most));
    const top = Math.min(Math.max(0, Math.round((y(least) + y(most) - tall) / 2)), TREND_HIGH - tall);
    path += `M${at} ${top}h1v${tall}h-1z`;
  });
  return path;
}

/** Whose scale is the same in every bed, once: "HR 30 to 180 /min, SpO2 70 to 100 %, last 15 min". */
export function scalesOf(view: WallTrendsView | null): { label: string; range: string; unit: string }[] {
  const found = new Map<string, { label: string; range: string; unit: string }>();
  for (const trends of trendsOf(view).values()) {
    for (const { signal, label, low, high, unit_text } of trends) found.set(signal, { label, range: say(`${low} to ${high}`, `${low} bis ${high}`), unit: unit_text });
  }
  return [...found.values()];
}

/** By how many steps the picture has moved to the left since it was made: a trend that nobody renews moves out of it. */
export function shiftOf(view: WallTrendsView, elapsed: number): number {
  return view.step_s > 0 ? Math.floor((view.age_ms + elapsed) / (view.step_s * 1000)) : 0;
}
