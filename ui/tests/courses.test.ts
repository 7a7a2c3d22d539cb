/** Vital signs and laboratory results as tables over time (screens.md A7, screen 5), each rule by its number. */
import { describe, expect, test } from 'vitest';
import {
  cellsOf, columnsOf, daysOf, decimal, deltaText, emptyText, inOrder, inView, olderText, rowKeys, spanOf, windowed, WINDOWS,
} from '../src/domain/courses';
import { flowsheetOf, HOURS, MARY_LABS, MARY_SERIES, NOW_MS, point, series } from '../src/ipc/fixtures/courses';

const HOUR = 3_600_000;
const SHEET = flowsheetOf('p', MARY_SERIES);
const named = (label: string) => {
  const found = [...MARY_SERIES, ...MARY_LABS].find((each) => each.label === label);
  if (found === undefined) throw new Error(label);
  return found;
};

describe('windows', () => {
  test('at least as long as asked, from a whole hour that the engine has words for', () => {
    expect(spanOf(SHEET, 4)).toMatchObject({ from: NOW_MS - 4 * HOUR - 31 * 60_000 - 7000, from_text: '21-Nov-2026 00:00' });
    for (const hours of WINDOWS) expect(SHEET.now_ms - spanOf(SHEET, hours).from).toBeGreaterThanOrEqual(hours * HOUR);
  });
  test('S22: the beginning names its day where it is another one', () => {
    expect(spanOf(SHEET, 8).from_text).toBe('20:00 (the day before 21-Nov-2026)');
    expect(spanOf(SHEET, 1).from_text).toBe('03:00');
    expect(spanOf(SHEET, 24)).toMatchObject({ from: NOW_MS - 24 * HOUR, from_text: '24 hours ago', older_text: 'over 24 hours old' });
  });
  test('without hours of the clock a window still begins somewhere', () => {
    expect(spanOf({ ...SHEET, hours: [] }, 1)).toMatchObject({ from: NOW_MS - HOUR, from_text: '1 hour ago' });
  });
  test('every value is in one place: window, older, later, without a time', () => {
    const future = point('80', 'per min', NOW_MS + HOUR);
    const hr = { ...named('HR'), points: [future, ...named('HR').points] };
    for (const hours of WINDOWS) {
      const { points, older, later, untimed } = windowed(hr, spanOf(SHEET, hours));
      expect(points.length + older + later.length + untimed.length).toBe(hr.points.length + hr.older);
      expect(later).toEqual([future]);
      expect(untimed).toHaveLength(1);
    }
  });
  test('S5: what lies before it is counted, with what only the record has', () => {
    const span = spanOf(SHEET, 4);
    const hr = windowed(named('HR'), span);
    expect(olderText([hr], span)).toBe(`${hr.older} older values before 21-Nov-2026 00:00`);
    expect(hr.older).toBeGreaterThan(12);
    const day = spanOf(SHEET, 24);
    expect(olderText([windowed({ ...named('HR'), older: 1234 }, day)], day)).toBe('1,234 values over 24 hours old');
    expect(olderText([windowed({ ...named('HR'), older: 0 }, spanOf(SHEET, 24))], span)).toBeNull();
  });
  test('an empty one says what was looked at and what the last value was', () => {
    const span = spanOf(SHEET, 1);
    const late = { ...named('HR'), points: named('HR').points.filter(({ at_ms }) => at_ms !== null && at_ms < NOW_MS - 7 * HOUR) };
    const text = emptyText(windowed(late, span), span);
    expect(text).toContain('No HR from 03:00 until now. The last: ');
    expect(text).toMatch(/per min.*, 20-Nov-2026 21:\d\d\.$/);
    expect(emptyText(windowed({ ...late, points: [point('80', '', null)], older: 3 }, span), span)).toContain('3 older values in the record');
  });
});

test('oxygen stands beside the saturation', () => {
  expect(inOrder(MARY_SERIES).map(({ label }) => label)).toEqual(['HR', 'BP', 'RR', 'SpO2', 'O2 flow', 'Temp', 'GCS']);
  const odd = [named('O2 flow'), named('HR')];
  expect(inOrder(odd)).toEqual(odd);
});

describe('columns', () => {
  const span = spanOf(SHEET, 24);
  const windows = MARY_SERIES.map((each) => windowed(each, span));
  const columns = columnsOf(windows.map(({ points }) => points));
  test('one for each exact time, latest at right (GTAB-188); nothing averaged, nothing lost', () => {
    expect(columns.map(({ at_ms }) => at_ms)).toEqual([...new Set(columns.map(({ at_ms }) => at_ms))].sort((a, b) => a - b));
    for (const { points } of windows) {
      const cells = cellsOf(points);
      expect(columns.flatMap(({ at_ms }) => cells.get(at_ms) ?? [])).toEqual(points);
    }
  });
  test('two values of one time are both there', () => {
    const twice = [point('80', '', NOW_MS), point('82', '', NOW_MS)];
    const { points } = windowed(series('HR', twice), span);
    expect(columnsOf([points])).toHaveLength(1);
    expect(cellsOf(points).get(NOW_MS)?.map(({ value }) => value)).toEqual(['80', '82']);
  });
  test('S22: each day stands above its columns', () => {
    const days = daysOf(columns);
    expect(days.map(({ date }) => date)).toEqual(['20-Nov-2026', '21-Nov-2026']);
    expect(days.reduce((sum, { count }) => sum + count, 0)).toBe(columns.length);
    expect(daysOf([{ at_ms: 1, at_text: '21-Nov-2026' }])).toEqual([{ date: '', count: 1 }]);
  });
  test('S5: columns out of view are counted on both sides, and drawn only near it', () => {
    expect(inView(400, 30_000, 800, 80)).toEqual({ first: 371, last: 389, left: 375, right: 15 });
    expect(inView(400, 400 * 80 - 800, 800, 80)).toMatchObject({ right: 0, left: 390, last: 400 });
    expect(inView(5, 0, 800, 80)).toEqual({ first: 0, last: 5, left: 0, right: 0 });
    expect(inView(0, 0, 800, 80)).toEqual({ first: 0, last: 0, left: 0, right: 0 });
    // Half a column is not seen.
    expect(inView(20, 40, 800, 80)).toMatchObject({ left: 1, right: 10 });
  });
});

describe('what changed', () => {
  const of = (...values: string[]) => values.map((value, i) => point(value, 'mmol/L', NOW_MS - i * HOUR));
  test('in words, at the recorded precision, without the crumbs of binary fractions', () => {
    expect(deltaText(of('6.1', '5.9'))).toBe('▲ 0.2 since 21-Nov-2026 03:31');
    expect(deltaText(of('5.9', '6.10'))).toBe('▼ 0.20 since 21-Nov-2026 03:31');
    expect(deltaText(of('310', '301'))).toBe('▲ 9 since 21-Nov-2026 03:31');
    expect(deltaText(of('-0.5', '0.25'))).toBe('▼ 0.75 since 21-Nov-2026 03:31');
    expect(deltaText(of('4.0', '4'))).toBe('no change since 21-Nov-2026 03:31');
  });
  test('S12: never between two units, never with a text, never past one', () => {
    const [now, before] = of('11.2', '9.0');
    if (now === undefined || before === undefined) throw new Error();
    expect(deltaText([now, { ...before, unit: 'mg/dL' }])).toBeNull();
    expect(deltaText([now, { ...before, number: null }])).toBeNull();
    expect(deltaText(of('1.6', '<0.5', '1.2'))).toBeNull();
    expect(deltaText(of('120/80', '118/78'))).toBeNull();
    expect(deltaText(of('1'))).toBeNull();
    expect(deltaText([now, { ...before, at_ms: null }])).toBeNull();
  });
});

test('decimal points can stand below each other (GTAB-201); what is no number is left whole', () => {
  expect(decimal('6.10')).toEqual({ whole: '6', fraction: '.10' });
  expect(decimal('310')).toEqual({ whole: '310', fraction: '' });
  expect(decimal('<0.5')).toBeNull();
  expect(decimal('120/80')).toBeNull();
});

test('rows of the same name are two rows', () => {
  expect(rowKeys([series('Glucose', []), series('Glucose', []), series('INR', [])])).toEqual(['Glucose 0', 'Glucose 1', 'INR 0']);
});

test('hours of the fake clock are the last 24', () => {
  expect(HOURS).toHaveLength(24);
  expect(HOURS.every(({ at_ms }) => at_ms > NOW_MS - 24 * HOUR && at_ms <= NOW_MS)).toBe(true);
});
