/** Role layouts (H3): what screens begin with, and what no layout can take away. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { columnsOf, SUMMARY, USUAL } from '../src/domain/layout';
import type { World } from '../src/ipc/fixtures/world';
import type { LayoutView } from '../src/wire/LayoutView';
import type { SummaryPart } from '../src/wire/SummaryPart';
import { all, leave, screen } from './onScreen';

const as = (layout: Partial<LayoutView>) => (world: World) => {
  world.signIn = { ok: { ...world.session, layout: { ...USUAL, ...layout } } };
};
const titles = () => [...document.querySelectorAll('.summary h2')].map((each) => each.textContent?.trim());

afterEach(leave);

describe('the summary', () => {
  test('begins with what the role needs first; all of it is there, whatever is named', async () => {
    await screen('chart', as({}));
    const usual = titles();
    await leave();
    await screen('chart', as({ summary: ['vitals', 'news2', 'labs'] }));
    const icu = titles();
    expect(icu).not.toEqual(usual);
    expect(new Set(icu)).toEqual(new Set(usual));
    expect(document.querySelector('.summary .a')?.textContent).toContain('Vital');
    await leave();
    // A rule of another version names nothing that is known here.
    await screen('chart', as({ summary: [] }));
    expect(titles()).toEqual(usual);
  });
  test('the banner, the allergies and the status line stand above it in every order', async () => {
    for (const first of SUMMARY) {
      await screen('chart', as({ summary: [first] }));
      for (const part of ['banner-name', 'allergies', 'status']) expect(all(part), `${first}: ${part}`).toHaveLength(1);
      await leave();
    }
  });
  test('every order has every part once', () => {
    const orders: SummaryPart[][] = [[], ['labs', 'labs'], [...SUMMARY].reverse(), ['nothing' as SummaryPart, 'notes']];
    for (const order of orders) expect(columnsOf(order).flat().sort()).toEqual([...SUMMARY].sort());
  });
});

describe('what screens begin with', () => {
  test('the board or the inbox after signing in, a section of the chart, a window of the flowsheet', async () => {
    for (const [first, view] of [['search', 'search'], ['board', 'board'], ['results', 'results']] as const) {
      const app = await screen('lock', as({ first, section: 'vitals', hours: 4 }));
      await app.signIn('dlee', '0000');
      flushSync();
      expect(app.view).toBe(view);
      await app.openChart('p-mary', 'search');
      expect(app.section).toBe('vitals');
      expect(app.courses.hours).toBe(4);
      // Back and forth: the section a person chose stays.
      app.section = 'notes';
      await app.showChart('p-mary');
      expect(app.section).toBe('notes');
      await leave();
    }
  });
  test('another layout waits for the next sign-in', async () => {
    const app = await screen('lock', as({ section: 'vitals' }));
    await app.signIn('dlee', '0000');
    const session = app.session;
    if (session === null) throw new Error('nobody is signed in');
    app.hear([{ kind: 'session', value: { ...session, display: 'Dr LEE, Anna', layout: { ...USUAL, section: 'notes' } } }]);
    expect(app.session?.display).toBe('Dr LEE, Anna');
    expect(app.layout.section).toBe('vitals');
  });
  test('nothing of it is left for the next person', async () => {
    const app = await screen('lock', as({ section: 'vitals', hours: 4 }));
    await app.signIn('dlee', '0000');
    app.lock();
    flushSync();
    expect(app.layout).toEqual(USUAL);
    expect(app.courses.hours).toBe(24);
  });
});
