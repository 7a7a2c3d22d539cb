/** Marking vital signs of the record as wrong (screens.md S8, S16, S20, S27). */
import { afterEach, describe, expect, test } from 'vitest';
import { MARY_CHART } from '../src/ipc/fixtures/people';
import type { App } from '../src/state/app.svelte';
import { READ_AT_LEAST_MS } from '../src/state/entry.svelte';
import { offersOf } from '../src/state/palette.svelte';
import { sayTheSame, wrongsIn } from '../src/state/wrongs';
import type { ChartView } from '../src/wire/ChartView';
import type { MeasuredPointView } from '../src/wire/MeasuredPointView';
import { all, leave, one, press, screen, settled, type, words } from './onScreen';

const input = (app: App) => app.recording.dialog?.fields.inputOf('vitals-error');
const boxes = () => all('wrong-value') as HTMLInputElement[];
/** Mary's chart with other points of her vital signs. */
const charted = (change: (point: MeasuredPointView, label: string) => MeasuredPointView): ChartView => ({
  ...MARY_CHART,
  flowsheet: {
    ...MARY_CHART.flowsheet,
    series: {
      ...MARY_CHART.flowsheet.series,
      items: MARY_CHART.flowsheet.series.items.map((row) => ({ ...row, points: row.points.map((each) => change(each, row.label)) })),
    },
  },
});

afterEach(leave);

describe('which can be marked', () => {
  test('by time, newest first; a result whose values stand in several rows is one; what has no name is none', () => {
    const sets = wrongsIn(charted((each, label) => (label === 'RR' ? { ...each, source: undefined } as unknown as MeasuredPointView : label === 'BP' || label === 'HR' ? { ...each, source: `Observation/panel-${each.at_ms}` } : each)));
    expect(sets.map(({ at_ms }) => at_ms)).toEqual([...sets.map(({ at_ms }) => at_ms)].sort((a, b) => b - a));
    const newest = sets[0]!.values;
    expect(newest.filter(({ source }) => source.includes('panel'))).toHaveLength(1);
    expect(newest.find(({ source }) => source.includes('panel'))?.texts.map(([label]) => label)).toEqual(['HR', 'BP']);
    expect(newest.some(({ texts }) => texts[0]?.[0] === 'RR')).toBe(false);
    expect(new Set(newest.map(({ source }) => source)).size).toBe(newest.length);
  });

  test('what was chosen has to say what it said', () => {
    const [set] = wrongsIn(MARY_CHART);
    const chosen = set!.values.slice(0, 2);
    expect(sayTheSame(chosen, wrongsIn(MARY_CHART))).toBe(true);
    expect(sayTheSame(chosen, wrongsIn(charted((each) => ({ ...each, value: '1' }))))).toBe(false);
    expect(sayTheSame(chosen, [])).toBe(false);
  });
});

describe('a mark', () => {
  test('by keys alone: opened by name, nothing chosen (S27), each answer wanting said at its field, read, signed', async () => {
    const app = await screen('chart');
    await press(window, 'k', { ctrlKey: true });
    await type('palette-query', 'wrong patient');
    await press(one('palette-query'), 'Enter');
    await settled(20);
    expect(words(document.getElementById('entry-title'))).toBe('Mark vital signs as wrong — JONES, Mary (Ms)');
    expect(document.querySelectorAll('[role="radio"][aria-checked="true"], :checked:not(option)')).toHaveLength(0);
    expect(boxes()).toHaveLength(0);
    for (const [field, fix] of [
      ['at', () => press(document.activeElement as Element, '2')],
      ['values', () => { boxes()[0]!.click(); return settled(); }],
      ['why', () => press(document.activeElement as Element, '1')],
    ] as const) {
      await press(window, 'Enter', { ctrlKey: true });
      expect(one('entry-dialog').dataset.step).toBe('fill');
      expect(input(app)).toMatchObject({ field });
      expect((document.activeElement as HTMLElement).dataset.field).toBe(field);
      await fix();
    }
    const [, set] = app.recording.wrongs;
    expect(input(app)).toEqual({ kind: 'vitals-error', at_ms: set!.at_ms, values: [set!.values[0]!.source], why: 'other-patient', words: '' });
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(one('entry-dialog').dataset.step).toBe('preview');
    expect(words(one('entry-dialog'))).toContain('entered in error');
    await settled(READ_AT_LEAST_MS + 50);
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(app.recording.dialog).toBeNull();
    expect(words(one('signed'))).toMatch(/^Signed \d\d:\d\d: Vital signs marked as wrong/u);
  });

  test('from the section, at the time of the focus line; another time: nothing of the one before is chosen', async () => {
    const app = await screen('chart-vitals');
    const sets = app.recording.wrongs;
    app.courses.pointAt(sets[2]!.at_ms);
    await settled();
    one('mark-wrong').click();
    await settled(20);
    expect(app.recording.dialog?.fields.wrongAt).toBe(sets[2]!.at_ms);
    boxes()[0]!.click();
    await settled();
    expect(input(app)).toMatchObject({ field: 'why' });
    one(`choice-at-${sets[0]!.at_ms}`).click();
    await settled();
    expect(boxes().every((box) => !box.checked)).toBe(true);
    expect(input(app)).toMatchObject({ field: 'values' });
    const earlier = one('earlier-time') as HTMLSelectElement;
    expect(earlier.options).toHaveLength(sets.length - 5 + 1);
    earlier.value = String(sets.at(-1)!.at_ms);
    earlier.dispatchEvent(new Event('change', { bubbles: true }));
    await settled();
    expect(boxes()).toHaveLength(sets.at(-1)!.values.length);
  });

  test('changed or marked elsewhere meanwhile: it says so, and goes no further', async () => {
    const app = await screen('entry-wrong-chosen');
    expect(all('entry-outdated')).toHaveLength(0);
    app.backend.chartOpen = () => Promise.resolve(charted((each) => ({ ...each, source: undefined }) as unknown as MeasuredPointView));
    await app.readChart();
    await settled();
    expect(all('entry-outdated')).toHaveLength(1);
    await press(window, 'Enter', { ctrlKey: true });
    expect(one('entry-dialog').dataset.step).toBe('fill');
  });

  test('what was chosen is not thrown away by a slip', async () => {
    const app = await screen('entry-wrong-chosen');
    await press(window, 'Escape');
    expect(app.recording.dialog?.leaving).toBe(true);
  });

  test('who may not record marks nothing', async () => {
    const app = await screen('chart-no-recording');
    app.section = 'vitals';
    await settled();
    expect(all('mark-wrong')).toHaveLength(0);
    expect(offersOf(app).map(({ act }) => act)).not.toContain('mark-wrong');
    app.recording.markWrong();
    expect(app.recording.dialog).toBeNull();
  });
});
