/** Vital signs over time on the page (screens.md A7, screen 5), each rule by its number. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { LONG_SERIES, MARY_SERIES } from '../src/ipc/fixtures/courses';
import { all, leave, screen, WIDE, words } from './onScreen';

const press = (key: string, target: EventTarget = window) => {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  flushSync();
};
const row = (testid: string, label: string) => all(testid).find((each) => each.dataset.name === label);

afterEach(leave);

describe('plots', () => {
  test('one for each kind, with its unit, the latest value and the one before (GTAB-045 … 047)', async () => {
    await screen('chart-vitals');
    expect(all('plot-row').map((each) => each.dataset.name)).toEqual(['HR', 'BP', 'RR', 'SpO2', 'O2 flow', 'Temp', 'GCS']);
    expect(words(row('plot-row', 'HR')?.querySelector('.label-cell'))).toBe('HR per min');
    const side = words(row('plot-row', 'HR')?.querySelector('.side'));
    expect(side).toContain('122 per min');
    expect(side).toContain('21-Nov-2026 04:05');
    expect(side).toMatch(/117 per min.*before/);
  });
  test('a widened scale is said in words (GTAB-075)', async () => {
    await screen('chart-vitals');
    expect(all('scale-words').map(words)).toEqual(['scale widened to 210']);
  });
  test('that a line is not drawn over a gap is said', async () => {
    await screen('chart-vitals');
    expect(words(all('flowsheet')[0])).toContain('No line is drawn over a gap: over 3 times the usual time between values, and at least 1 hour.');
  });
  test('a text and another unit are marks on the axis, their words at hand (S12)', async () => {
    await screen('chart-vitals');
    expect(words(row('plot-row', 'O2 flow')?.querySelector('[data-testid=unplaced]'))).toContain('<0.5 L/min');
    expect(words(row('plot-row', 'Temp')?.querySelector('[data-testid=unplaced]'))).toContain('99.1 °F');
    expect(row('plot-row', 'Temp')?.querySelector('.unplaced')).not.toBeNull();
  });
  test('the reference range stands on its area', async () => {
    await screen('chart-vitals');
    expect(words(row('plot-row', 'Temp')?.querySelector('svg text.words'))).toBe('36.1–37.8 (adult)');
  });
  test('400 values are a handful of elements', async () => {
    const app = await screen('chart-vitals-long');
    app.section = 'vitals';
    flushSync();
    expect(all('plot')).toHaveLength(10);
    for (const plot of all('plot')) expect(plot.querySelectorAll('path').length).toBeLessThan(16);
  });
});

describe('focus line (GTAB-057)', () => {
  test('by the arrow keys, at one time in every plot; the values are listed and read out', async () => {
    const app = await screen('chart-vitals');
    expect(document.querySelectorAll('[data-testid=plot] .focus')).toHaveLength(0);
    press('ArrowLeft');
    press('ArrowLeft');
    expect(words(all('readout')[0])).toBe('21-Nov-2026 03:35');
    expect(document.querySelectorAll('[data-testid=plot] .focus')).toHaveLength(7);
    expect(words(row('plot-row', 'HR')?.querySelector('.side'))).toContain('117 per min');
    expect(words(row('plot-row', 'GCS')?.querySelector('.side'))).toBe('— not measured');
    const spoken = all('spoken')[0];
    expect(spoken?.getAttribute('aria-live')).toBe('polite');
    expect(words(spoken)).toMatch(/^21-Nov-2026 03:35: HR 117 per min H NEWS2 2; BP 87\/49 mmHg L;.*Not measured: O2 flow, Temp, GCS\.$/);
    press('Home');
    expect(words(all('readout')[0])).toBe('20-Nov-2026 04:35');
    press('End');
    expect(app.courses.at).toBe(MARY_SERIES[0]?.points[0]?.at_ms);
  });
  test('arrows on the tabs still move the tabs', async () => {
    const app = await screen('chart-vitals');
    press('ArrowRight', document.getElementById('tab-vitals') ?? window);
    expect(app.section).toBe('notes');
    expect(app.courses.at).toBeNull();
  });
  test('is gone with the section, and with the lock (S18)', async () => {
    const app = await screen('chart-vitals-line');
    app.section = 'notes';
    flushSync();
    expect(app.courses.at).toBeNull();
    app.courses.hours = 1;
    app.lock();
    expect(app.courses.hours).toBe(24);
  });
});

describe('windows of time', () => {
  test('keys and buttons choose them; what is outside is counted and said (S5)', async () => {
    const app = await screen('chart-vitals');
    expect(words(all('span')[0])).toBe('From 24 hours ago until now. Not shown: 36 values over 24 hours old.');
    press('n');
    press('n');
    expect(app.courses.hours).toBe(8);
    expect(words(all('span')[0])).toMatch(/^From 20:00 \(the day before 21-Nov-2026\) until now\. Not shown: \d+ older values before 20:00/);
    press('W');
    expect(app.courses.hours).toBe(12);
    [...document.querySelectorAll('button')].find((each) => words(each) === '4 h')?.click();
    flushSync();
    expect(words(all('span')[0])).toContain('before 21-Nov-2026 00:00');
  });
  test('an empty one says what was looked at and when the last value was', async () => {
    await screen('chart-vitals-none');
    const said = all('no-values').map(words);
    expect(said).toHaveLength(7);
    expect(said[0]).toBe('No HR from 03:00 until now. The last: 112 per min H NEWS2 2, 21-Nov-2026 01:05.');
    press('g');
    expect(all('no-values')).toHaveLength(7);
  });
  test('values without a time, and those dated after now, stand apart', async () => {
    await screen('chart-vitals');
    expect(words(all('untimed')[0])).toBe('Time not recorded: HR 96 per min NEWS2 1');
    await leave();
    await screen('chart-vitals-none');
    expect(words(all('later')[0])).toContain('SpO2 91 % (21-Nov-2026 06:01)');
  });
});

describe('table', () => {
  test('latest at right, times whole, gaps said (GTAB-188)', async () => {
    await screen('chart-vitals-table-4');
    const heads = [...document.querySelectorAll('thead th[scope=col] .visually-hidden')].map(words);
    expect(heads.at(-1)).toBe('21-Nov-2026 04:05');
    expect([...heads].sort()).toEqual(heads);
    expect(words(document.querySelector('thead .day'))).toBe('21-Nov-2026');
    const gcs = [...(row('vital-row', 'GCS')?.querySelectorAll('td') ?? [])].map(words);
    expect(gcs).toContain('—not measured');
    expect(gcs.at(-1)).toContain('13');
  });
  test('another unit, corrected and preliminary are in the cell (S12, S20)', async () => {
    window.innerWidth = WIDE;
    const app = await screen('chart-vitals-table');
    app.courses.hours = 8;
    flushSync();
    expect(words(row('vital-row', 'Temp'))).toContain('99.1 °F');
    expect(words(row('vital-row', 'RR'))).toContain('corrected');
    expect([...(row('vital-row', 'RR')?.querySelectorAll('s') ?? [])].map(words)).toEqual(['62 HH']);
    expect(words(row('vital-row', 'SpO2'))).toContain('preliminary');
  });
  test('columns out of view are counted; the newest are in view (S5)', async () => {
    await screen('chart-vitals-long-table');
    expect(words(all('columns-hidden')[0])).toMatch(/^39\d earlier times to the left$/);
    const cells = [...(row('vital-row', 'HR')?.querySelectorAll('td') ?? [])].map(words);
    expect(cells.at(-1)).toContain(LONG_SERIES[0]?.points[0]?.value ?? '?');
    expect(cells.length).toBeLessThan(40);
  });
  test('G changes the form; the page keeps it while the chart is open', async () => {
    const app = await screen('chart-vitals');
    press('g');
    expect(all('vital-row')).toHaveLength(7);
    app.section = 'labs';
    flushSync();
    app.section = 'vitals';
    flushSync();
    expect(all('vital-row')).toHaveLength(7);
  });
});

test('S1: not fully loaded is never shown as empty', async () => {
  await screen('chart-vitals', (world) => {
    if (world.chart === 'never' || 'error' in world.chart) return;
    const { ok } = world.chart;
    world.chart = { ok: { ...ok, record_age: { ...ok.record_age, age: 'partial', complete: false }, flowsheet: { ...ok.flowsheet, series: { ...ok.flowsheet.series, state: 'not-recorded', items: [] } } } };
  });
  expect(words(all('flowsheet')[0])).toContain('not fully loaded — treat as unknown');
});

test('S28: text from outside stays text', async () => {
  const evil = '<img src=x onerror=alert(1)>';
  for (const id of ['chart-vitals', 'chart-vitals-table']) {
    await screen(id, (world) => {
      if (world.chart === 'never' || 'error' in world.chart) return;
      const { ok } = world.chart;
      const [hr] = MARY_SERIES;
      if (hr === undefined) return;
      const points = hr.points.map((each) => ({ ...each, value: evil, number: null, unit: evil, at_text: evil, status_text: evil }));
      world.chart = { ok: { ...ok, flowsheet: { ...ok.flowsheet, series: { ...ok.flowsheet.series, items: [{ ...hr, label: evil, unit: evil, points, range_text: evil }] } } } };
    });
    expect(document.querySelector('img')).toBeNull();
    expect(words(all('flowsheet')[0])).toContain(evil);
    await leave();
  }
});

