/** How courses are drawn (CUI Graphs and Tables, screens.md A1), each rule by its number. */
import { describe, expect, test } from 'vitest';
import {
  band, flagLabels, isTimed, linePath, longestBridge, markPaths, nearestTime, pairPaths, placeTicks, runs, scaleOf, stepTime, timeAt, timesOf, xOf,
  type Frame, type Timed,
} from '../src/domain/plot';
import { HOURS, MARY_SERIES, NOW_MS, point, series } from '../src/ipc/fixtures/courses';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = NOW_MS - 24 * HOUR;
const of = (value: string, minute: number, more = {}) => point(value, 'x', START + minute * MINUTE, more) as Timed;
const named = (label: string) => {
  const found = MARY_SERIES.find((each) => each.label === label);
  if (found === undefined) throw new Error(label);
  return { series: found, points: found.points.filter(isTimed).reverse() };
};
const frameOf = (label: string): Frame => {
  const { series: of, points } = named(label);
  return { from: START, to: NOW_MS, width: 800, height: 80, pad: 8, gutter: 0, scale: scaleOf(of, points) };
};

describe('lines are drawn between neighbours only', () => {
  const values = (list: Timed[][]) => list.map((run) => run.map(({ value }) => value).join(' '));
  test('a gap over 3 times the usual distance stays open', () => {
    const points = [0, 30, 60, 90, 181, 211].map((minute, i) => of(String(i), minute));
    expect(longestBridge(points)).toBe(90 * MINUTE);
    expect(values(runs(points))).toEqual(['0 1 2 3', '4 5']);
  });
  test('never under one hour, however close the values usually are', () => {
    const points = [0, 5, 10, 15, 74].map((minute, i) => of(String(i), minute));
    expect(values(runs(points))).toEqual(['0 1 2 3 4']);
    expect(values(runs([...points, of('5', 135)]))).toEqual(['0 1 2 3 4', '5']);
  });
  test('a value that is no number, or in another unit, ends the line', () => {
    expect(values(runs([of('1', 0), of('<0.5', 10), of('2', 20), of('3', 30)]))).toEqual(['1', '2 3']);
  });
  test('two hours without rounds are open in the picture of the day', () => {
    const path = linePath(frameOf('HR'), named('HR').points);
    expect(path.match(/M/g)).toHaveLength(2);
    // Straight: moves and lines, no curves (GTAB-166).
    expect(path).not.toMatch(/[CQSTA]/i);
  });
});

describe('scale', () => {
  test('fixed, whatever the values are (GTAB-072)', () => {
    const given = series('RR', [of('16', 0), of('17', 5)], { scale: [0, 50] });
    expect(scaleOf(given, given.points)).toMatchObject({ low: 0, high: 50, words: null, widened: false });
  });
  test('a value beyond it widens it, and words say so (GTAB-075)', () => {
    const { series: hr, points } = named('HR');
    expect(scaleOf(hr, points)).toMatchObject({ low: 20, high: 210, words: 'scale widened to 210' });
    const low = series('HR', [of('12', 0)], { scale: [20, 200] });
    expect(scaleOf(low, low.points).words).toBe('scale widened down to 10');
    const both = series('HR', [of('12', 0), of('240', 5)], { scale: [20, 200] });
    expect(scaleOf(both, both.points).words).toBe('scale widened to 10 and 240');
  });
  test('without a fixed one: from the reference range; from the values where there is none; both in words', () => {
    const k = series('Potassium', [of('4.2', 0)], { low: 3.5, high: 5.1 });
    expect(scaleOf(k, k.points)).toMatchObject({ low: expect.closeTo(2.7), high: expect.closeTo(5.9), words: expect.stringContaining('reference range') });
    const none = series('Other', [of('4.2', 0), of('8.2', 5)]);
    expect(scaleOf(none, none.points).words).toContain('fitted to the values');
    expect(scaleOf(series('One', [of('5', 0)]), [of('5', 0)]).high).toBeGreaterThan(5);
    expect(scaleOf(series('Text', [of('<5', 0)]), [of('<5', 0)]).ticks.length).toBeGreaterThan(0);
  });
  test('ticks are round numbers inside it', () => {
    const { series: temp, points } = named('Temp');
    const { ticks, low, high } = scaleOf(temp, points);
    expect(ticks).toEqual([34, 36, 38, 40]);
    expect(ticks.every((tick) => tick >= low && tick <= high)).toBe(true);
    const crumbs = series('pH', [of('7.24', 0)], { low: 7.35, high: 7.45 });
    for (const tick of scaleOf(crumbs, crumbs.points).ticks) expect(String(tick).length).toBeLessThanOrEqual(4);
  });
});

describe('marks', () => {
  const frame = frameOf('HR');
  test('every value has one; the shape follows the flag (S10)', () => {
    const points = [of('80', 0), of('110', 30, { flag: 'H' }), of('140', 60, { flag: 'HH' }), of('50', 90, { flag: 'L' }), of('30', 120, { flag: 'LL' })];
    const paths = markPaths(frame, points);
    expect(paths.map(({ tone }) => tone).sort()).toEqual(['critical', 'high', 'low', 'plain']);
    const count = (tone: string) => paths.find((each) => each.tone === tone)?.d.match(/M/g)?.length;
    // Two triangles each for HH and LL.
    expect([count('plain'), count('high'), count('low'), count('critical')]).toEqual([1, 1, 1, 4]);
  });
  test('the latest is the biggest, the one before it bigger than the others (GTAB-045 … 047)', () => {
    const d = markPaths(frame, [of('80', 0), of('80', 30), of('80', 60)])[0]?.d ?? '';
    const radii = [...d.matchAll(/a([\d.]+) \1 0 1 0 \d/g)].map(([, r]) => Number(r));
    expect(radii).toHaveLength(3);
    expect([...radii].sort((a, b) => a - b)).toEqual(radii);
    expect(new Set(radii).size).toBe(3);
  });
  test('what is not final is hollow', () => {
    expect(markPaths(frame, [of('80', 0, { status_text: 'preliminary' }), of('80', 30)]).map(({ hollow }) => hollow)).toEqual([true, false]);
  });
  test('a blood pressure is a double-ended T, half of one a bar (GTAB-039 … 041)', () => {
    const bp = frameOf('BP');
    const count = (value: string) => pairPaths(bp, [of(value, 0)]).tees.flatMap(({ d }) => d.match(/M/g) ?? []).length;
    expect(count('120/80')).toBe(3);
    expect(count('120/–')).toBe(1);
    expect(count('–/80')).toBe(1);
  });
  test('letters of flags never stand on each other, the newest always has its own', () => {
    const points = Array.from({ length: 400 }, (_, i) => of('110', i * 3.5, { flag: 'H' }));
    const labels = flagLabels(frame, points);
    expect(labels[0]?.x).toBeGreaterThan(750);
    expect(labels.length).toBeGreaterThan(20);
    const xs = labels.map(({ x }) => x).sort((a, b) => a - b);
    xs.slice(1).forEach((x, i) => expect(x - (xs[i] ?? 0)).toBeGreaterThan(10));
    const critical = flagLabels(frame, points.map((each, i) => (i === 200 ? { ...each, flag: 'HH' } : each)));
    expect(critical.map(({ text }) => text)).toContain('HH');
  });
});

test('the reference range is an area inside the picture, open where it has one end (GTAB-182)', () => {
  const frame = frameOf('Temp');
  const whole = band(frame, 36.1, 37.8);
  expect(whole?.y).toBeGreaterThan(0);
  expect((whole?.y ?? 0) + (whole?.height ?? 0)).toBeLessThan(frame.height);
  expect(band(frame, null, 37.8)).toMatchObject({ height: expect.closeTo(frame.height - (whole?.y ?? 0)) });
  expect(band(frame, null, null)).toBeNull();
});

describe('axis of time', () => {
  const frame = { from: START, to: NOW_MS, width: 800, pad: 8, gutter: 0 };
  test('left to right, and back again (GTAB-188)', () => {
    expect(xOf(frame, START)).toBe(8);
    expect(xOf(frame, NOW_MS)).toBe(792);
    expect(timeAt(frame, xOf(frame, START + 6 * HOUR))).toBeCloseTo(START + 6 * HOUR, -6);
  });
  test('labels never touch; midnight carries its date', () => {
    for (const width of [300, 500, 800, 1600]) {
      const placed = placeTicks({ ...frame, width }, HOURS);
      expect(placed.map(({ text }) => text)).toContain('21-Nov-2026 00:00');
      for (const row of [0, 1]) {
        const ends = placed.filter((each) => each.row === row).map(({ x, text, anchor }) => {
          const wide = text.length * 6.6;
          const left = anchor === 'start' ? x : anchor === 'end' ? x - wide : x - wide / 2;
          return [left, left + wide] as const;
        });
        ends.slice(1).forEach(([left], i) => expect(left).toBeGreaterThan(ends[i]?.[1] ?? 0));
      }
    }
  });
  test('S23: both hours of the one that comes twice stand there whole', () => {
    const twice = HOURS.map((tick, i) => (i === 8 ? { ...tick, text: '02:00 (first, UTC+02:00)' } : i === 9 ? { ...tick, text: '02:00 (second, UTC+01:00)' } : tick));
    const texts = placeTicks({ ...frame, width: 400 }, twice).map(({ text }) => text);
    expect(texts).toContain('02:00 (first, UTC+02:00)');
    expect(texts).toContain('02:00 (second, UTC+01:00)');
  });
});

describe('focus line (GTAB-057)', () => {
  const times = timesOf([[of('1', 0), of('2', 30)], [of('3', 30), of('4', 45)]]).map((at) => at - START);
  test('stops at every time of measurement of all series, each once', () => expect(times).toEqual([0, 30 * MINUTE, 45 * MINUTE]));
  test('steps, from the newest, and stays at both ends', () => {
    expect(stepTime(times, null, -1)).toBe(45 * MINUTE);
    expect(stepTime(times, 45 * MINUTE, -1)).toBe(30 * MINUTE);
    expect(stepTime(times, 45 * MINUTE, 1)).toBe(45 * MINUTE);
    expect(stepTime(times, 0, -1)).toBe(0);
    expect(stepTime(times, 0, 1)).toBe(30 * MINUTE);
    // Between two stops, after the chart was read again.
    expect(stepTime(times, 40 * MINUTE, 1)).toBe(45 * MINUTE);
    expect(stepTime(times, 40 * MINUTE, -1)).toBe(30 * MINUTE);
    expect(stepTime([], null, 1)).toBeNull();
  });
  test('the pointer chooses the nearest', () => {
    expect(nearestTime(times, 31 * MINUTE)).toBe(30 * MINUTE);
    expect(nearestTime([], 1)).toBeNull();
  });
});
