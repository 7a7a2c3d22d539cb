/** Laboratory results on the page (screens.md A7, screen 5), each rule by its number. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { MARY_LABS } from '../src/ipc/fixtures/courses';
import { all, leave, screen, WIDE, words } from './onScreen';

const press = (key: string) => {
  window.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  flushSync();
};
const row = (label: string) => all('lab').find((each) => each.dataset.name === label);
const cells = (label: string) => [...(row(label)?.querySelectorAll('td') ?? [])].map(words);

afterEach(leave);

describe('table', () => {
  test('tests are rows, draws are columns, latest at right (GTAB-188)', async () => {
    window.innerWidth = WIDE;
    await screen('chart-labs');
    const heads = [...document.querySelectorAll('thead th[scope=col] .visually-hidden')].map(words);
    expect(heads).toHaveLength(12);
    expect(heads[0]).toBe('18-Nov-2026 06:10');
    expect(heads.at(-1)).toBe('21-Nov-2026 03:40');
    expect(cells('Potassium')).toHaveLength(12);
    expect(cells('Potassium').at(-1)).toContain('6.1');
    expect(cells('INR').filter((cell) => cell.includes('not measured'))).toHaveLength(8);
  });
  test('unit and range stand at the row; a cell in another unit carries its own (S12)', async () => {
    await screen('chart-labs');
    expect(words(row('Glucose')?.querySelector('th'))).toContain('mmol/L · range 3.9–7.8');
    expect(cells('Glucose').filter((cell) => cell.includes('mg/dL'))).toEqual([expect.stringMatching(/^162 mg\/dL.*range 70–140$/)]);
    expect(cells('Sodium').join()).not.toContain('mmol/L');
    expect(words(row('INR')?.querySelector('th'))).toContain('no unit');
  });
  test('corrected and preliminary are words in the cell (S20); flags are text and shape (S10)', async () => {
    await screen('chart-labs');
    expect(cells('Haemoglobin').filter((cell) => cell.includes('corrected'))).toEqual([expect.stringContaining('78')]);
    expect(cells('C-reactive protein').at(-1)).toContain('preliminary');
    for (const flag of row('Potassium')?.querySelectorAll('.flag') ?? []) expect(flag.querySelector('svg')).not.toBeNull();
    expect(cells('Potassium').at(-1)).toContain('HH');
  });
  test('S20: the old value of a corrected result is struck through, with until when and why', async () => {
    await screen('chart-labs');
    const struck = (label: string) => [...(row(label)?.querySelectorAll('td s') ?? [])].map(words);
    expect(struck('Haemoglobin')).toEqual(['58 LL']);
    expect(struck('Potassium')).toEqual([]);
    // A withdrawn one leaves no value, no flag and no unit of its own.
    const gone = cells('White cells').find((cell) => cell.includes('withdrawn'));
    expect(gone).toContain('entered in error');
    expect(gone).not.toContain('no unit');
    expect(struck('White cells')).toEqual(['1.2 LL']);
    await leave();
    await screen('chart-labs', undefined);
    row('Haemoglobin')?.querySelector('button')?.click();
    flushSync();
    const corrected = all('trend-value').filter((each) => each.querySelector('s') !== null);
    expect(corrected.map(words)).toEqual([
      expect.stringContaining('before it was corrected: 58 g/L LL shown until 20-Nov-2026 22:40, reason: sample taken above an infusion'),
    ]);
    // It is no value of the course.
    expect(words(all('trend')[0])).not.toContain('as text or in another unit');
  });
  test('S20: a withdrawn result is the latest, and no value', async () => {
    await screen('chart-labs', (world) => {
      if (world.chart === 'never' || 'error' in world.chart) return;
      const { ok } = world.chart;
      const items = MARY_LABS.filter(({ label }) => label === 'White cells').map((each) => ({ ...each, points: each.points.slice(1) }));
      world.chart = { ok: { ...ok, labs: { ...ok.labs, items } } };
    });
    expect(words(row('White cells'))).toContain('withdrawn');
    expect(all('delta')).toHaveLength(0);
  });
  test('what changed is said in words, only between numbers of one unit', async () => {
    await screen('chart-labs');
    const delta = (label: string) => words(row(label)?.querySelector('[data-testid=delta]'));
    expect(delta('Potassium')).toBe('▲ 0.2 since 21-Nov-2026 00:15');
    expect(delta('Sodium')).toBe('no change since 21-Nov-2026 00:15');
    expect(delta('Platelets')).toBe('▼ 27 since 20-Nov-2026 06:02');
    const only = MARY_LABS.find(({ label }) => label === 'Glucose')?.points.slice(3, 5);
    expect(only?.[1]?.unit).toBe('mg/dL');
    await leave();
    await screen('chart-labs', (world) => {
      if (world.chart === 'never' || 'error' in world.chart) return;
      const { ok } = world.chart;
      world.chart = { ok: { ...ok, labs: { ...ok.labs, items: MARY_LABS.filter(({ label }) => label === 'Glucose').map((each) => ({ ...each, points: each.points.slice(3) })) } } };
    });
    expect(all('delta')).toHaveLength(0);
  });
  test('S5: what the record has beyond this is said; a result without a time stands apart', async () => {
    await screen('chart-labs');
    expect(words(all('older')[0])).toContain('INR 14 older values');
    await leave();
    await screen('chart-labs-normal', undefined);
    press('a');
    expect(words(all('untimed')[0])).toBe('Time not recorded: Sodium 140 mmol/L');
  });
  test('S6: the filter says how many of how many, and how to end it', async () => {
    await screen('chart-labs');
    expect(all('filter')).toHaveLength(0);
    expect(words(all('labs')[0])).toContain('12 of 12 tests');
    press('a');
    expect(words(all('filter')[0])).toMatch(/^11 of 12 tests/);
    expect(row('Sodium')).toBeUndefined();
    all('filter')[0]?.querySelector('button')?.click();
    flushSync();
    expect(all('lab')).toHaveLength(12);
    await leave();
    await screen('chart-labs-normal');
    expect(words(all('filter')[0])).toMatch(/^0 of 1 test:/);
    expect(words(all('filter')[0])).toContain('Show all 1 test');
  });
});

test('S4: a column is never half in view: the room is a number of whole columns', async () => {
  await screen('chart-vitals-long-table');
  const table = document.querySelector<HTMLElement>('.box table');
  const wide = [...document.querySelectorAll<HTMLElement>('.box col')].map((col) => parseFloat(col.style.width));
  const [lead = 0] = wide;
  expect((window.innerWidth - lead) % 104).toBe(0);
  expect(parseFloat(table?.style.width ?? '')).toBe(lead + 400 * 104);
});

test('times are repeated below ten rows, for the eyes alone', async () => {
  await screen('chart-labs');
  const again = [...document.querySelectorAll('.again')];
  expect(again).toHaveLength(1);
  expect(again[0]?.getAttribute('aria-hidden')).toBe('true');
  expect(words(again[0])).toContain('21-Nov-2026 03:40');
});

test('what lies below is counted anew when a course takes the place of the table', async () => {
  const app = await screen('chart-labs');
  app.courses.openTest('INR 0');
  flushSync();
  await Promise.resolve();
  flushSync();
  expect(all('hidden-below')).toHaveLength(0);
});

describe('course of one test', () => {
  test('keys choose a row and open it; Esc goes back to it', async () => {
    const app = await screen('chart-labs');
    press('ArrowDown');
    press('j');
    press('k');
    press('j');
    expect(app.courses.row).toBe('INR 0');
    expect(words(document.activeElement)).toBe('INR');
    press('t');
    expect(words(all('trend')[0]?.querySelector('h3'))).toBe('INR');
    expect(words(document.activeElement)).toContain('Back to all tests');
    press('Escape');
    expect(all('trend')).toHaveLength(0);
    expect(words(document.activeElement)).toBe('INR');
    expect(app.view).toBe('chart');
  });
  test('a click opens it; every value is in the list, also those that are not drawn', async () => {
    await screen('chart-labs');
    row('Glucose')?.querySelector('button')?.click();
    flushSync();
    const list = all('trend-value').map(words);
    expect(list).toHaveLength(6);
    expect(list[0]).toContain('11.2');
    expect(list.find((line) => line.includes('mg/dL'))).toContain('another unit');
    expect(words(all('trend')[0])).toContain('◆ on the axis: 1 value as text or in another unit');
    expect(words(all('scale-words')[0])).toContain('scale widened to');
    expect(words(all('trend')[0])).toContain('No line is drawn over a gap');
  });
  test('how many older values only the record has is said (S5)', async () => {
    const app = await screen('chart-labs');
    app.courses.openTest('INR 0');
    flushSync();
    expect(words(all('trend')[0]?.querySelector('caption'))).toBe('4 values, newest first; 14 older values in the record, not on this screen');
  });
  test('the focus line stands at one value, which is listed and read out', async () => {
    await screen('chart-labs-course');
    press('ArrowLeft');
    press('ArrowLeft');
    expect(words(all('readout')[0])).toContain('21-Nov-2026 00:15 5.9 mmol/L');
    expect(words(all('spoken')[0])).toBe('21-Nov-2026 00:15: Potassium 5.9 mmol/L H.');
    expect(all('trend-value').filter((each) => each.classList.contains('chosen'))).toHaveLength(1);
  });
  test('is closed with its section and with the lock (S18)', async () => {
    const app = await screen('chart-labs-course');
    app.section = 'vitals';
    flushSync();
    app.section = 'labs';
    flushSync();
    expect(all('trend')).toHaveLength(0);
    app.courses.openTest('INR 0');
    app.lock();
    expect([app.courses.open, app.courses.row]).toEqual([null, null]);
  });
});

test('the summary has ten rows at most, each with its latest value', async () => {
  await screen('chart');
  expect(all('lab')).toHaveLength(10);
  expect(words(all('lab')[0])).toContain('6.1 mmol/L');
});

test('S28: text from outside stays text', async () => {
  const evil = '<img src=x onerror=alert(1)>';
  const app = await screen('chart-labs', (world) => {
    if (world.chart === 'never' || 'error' in world.chart) return;
    const { ok } = world.chart;
    const [first] = MARY_LABS;
    if (first === undefined) return;
    const points = first.points.map((each) => ({ ...each, value: evil, number: null, at_text: evil, status_text: evil, range_text: evil }));
    world.chart = { ok: { ...ok, labs: { ...ok.labs, items: [{ ...first, label: evil, unit: evil, points, range_text: evil }] } } };
  });
  expect(document.querySelector('img')).toBeNull();
  app.courses.openTest(`${evil} 0`);
  flushSync();
  expect(document.querySelector('img')).toBeNull();
  expect(words(all('trend')[0])).toContain(evil);
});
