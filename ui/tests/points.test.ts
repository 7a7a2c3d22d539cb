/** S10: a vital sign without a flag of its own is marked by what NEWS2 gives it alone, in words and by a shape. */
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, expect, test } from 'vitest';
import { inWords } from '../src/domain/courses';
import { point } from '../src/ipc/fixtures/courses';
import Measured from '../src/shared/Measured.svelte';
import { all, leave, screen, WIDE, words } from './onScreen';

let mounted: Record<string, unknown> | null = null;
function measured(flag: string, points?: number): HTMLElement {
  const mark = points === undefined ? {} : { points, points_text: `NEWS2 ${points}` };
  mounted = mount(Measured, { target: document.body, props: { measured: { value: '140', unit: '/min', flag, status_text: null, ...mark } } });
  flushSync();
  return document.querySelector('.measured') as HTMLElement;
}
const hidden = (of: HTMLElement) => [...of.querySelectorAll('.visually-hidden')].map(words);

afterEach(async () => {
  if (mounted !== null) await unmount(mounted);
  mounted = null;
  await leave();
});

test('S10: 1, 2 and 3 points stand beside the value as words, each with a shape of its own', async () => {
  const shapes = new Set<string>();
  for (const points of [1, 2, 3]) {
    const shown = measured('', points);
    expect(words(shown)).toBe(`140 /min NEWS2 ${points}`);
    const mark = shown.querySelector('[data-testid="points"]');
    expect(mark?.classList.contains(`p${points}`)).toBe(true);
    shapes.add(mark?.querySelector('svg')?.innerHTML ?? '');
    expect(shown.querySelector('.value')?.classList.contains('abnormal')).toBe(true);
    await unmount(mounted as Record<string, unknown>);
    mounted = null;
  }
  expect(shapes.size).toBe(3);
  expect(shapes.has('')).toBe(false);
});

test('S10: without points there is no mark', () => {
  const shown = measured('');
  expect(words(shown)).toBe('140 /min');
  expect(shown.querySelector('svg')).toBe(null);
  expect(shown.querySelector('.abnormal')).toBe(null);
});

test('S10: where the record has a flag, that is the one mark, and the points are still heard', () => {
  const shown = measured('H', 3);
  expect(shown.querySelectorAll('svg')).toHaveLength(1);
  expect(shown.querySelector('[data-testid="points"]')).toBe(null);
  expect(hidden(shown)).toEqual(['high', 'NEWS2 3']);
});

test('S10: the summary, the flowsheet, its table and the card mark what a monitor sent', async () => {
  const marks = () => all('points').map(words);
  await screen('chart');
  expect(marks()).toEqual(expect.arrayContaining(['NEWS2 1', 'NEWS2 2', 'NEWS2 3']));
  await leave();
  window.innerWidth = WIDE;
  for (const id of ['chart-vitals', 'chart-vitals-table', 'card']) {
    await screen(id);
    expect(marks(), id).toContain('NEWS2 2');
    await leave();
  }
});

test('S10: what is read out of a point names its points', () => {
  expect(inWords(point('140', '/min', null, { points: 3, points_text: 'NEWS2 3' }))).toBe('140 /min NEWS2 3');
});
