/** Safety rules of screens.md A6 that are seen on whole screens, each by its number; the others are in safety.test.ts, views.test.ts and app.test.ts. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { whoOfBanner } from '../src/domain/who';
import { MARY_CARD, MARY_CHART } from '../src/ipc/fixtures/people';
import type { App } from '../src/state/app.svelte';
import { all, leave, one, screen, words } from './onScreen';

const row = (name: string) => all('patient-row').find((each) => words(each).includes(name));

afterEach(leave);

describe('S7: no patient data without a banner', () => {
  test('wherever they stand, the name stands above them', async () => {
    for (const id of ['chart', 'chart-labs', 'entry-vitals', 'viewer-ct', 'card']) {
      await screen(id);
      expect(words(one('banner-name'))).toContain('JONES');
      await leave();
    }
  });
  test('a banner that names nobody shows nobody', async () => {
    await screen('chart', (world) => (world.chart = { ok: { ...MARY_CHART, banner: { ...MARY_CHART.banner, name: ' ' } } }));
    expect(all('banner')).toHaveLength(0);
    expect(document.body.textContent).not.toContain('warfarin');
  });
});

test('S6: the order of the board and how many there are is said', async () => {
  await screen('board');
  const summary = words(all('board-summary')[0]);
  expect(summary).toMatch(/\d+ patients/u);
  expect(summary).toContain('sort: acuity, wait');
});

test('S12: every measured value has its unit beside it', async () => {
  // In the tables over time the unit stands at the row: flowsheet.test.ts and labs.test.ts.
  for (const id of ['chart-vitals', 'chart', 'card']) {
    await screen(id);
    const values = [...document.querySelectorAll<HTMLElement>('.measured:not([data-rehearsal] *)')];
    expect(values.length).toBeGreaterThan(4);
    const bare = values.filter((each) => each.querySelector('.unit') === null).map((each) => words(each.querySelector('.value') ?? undefined));
    // A pH, an INR, a level of consciousness and a coma scale have none in the record.
    expect(bare.every((value) => ['4.2', '7.24', 'V', '13'].includes(value))).toBe(true);
    await leave();
  }
});

test('S15: the strip is on every screen and over what lies on it, and nothing in it takes it away', async () => {
  const OPENS = ['strip-unsent', 'strip-rejected', 'strip-critical', 'strip-sync', 'drill-end'];
  for (const id of ['lock', 'search-found', 'board', 'board-wall', 'chart', 'viewer-ct', 'card', 'glass-locked', 'strip-stale', 'strip-silent']) {
    await screen(id);
    const strip = one('status');
    expect(words(strip)).not.toBe('');
    expect(strip.closest('[hidden], [inert], [aria-hidden=true]')).toBeNull();
    const buttons = [...strip.querySelectorAll<HTMLElement>('button, a, [role=button]')];
    expect(buttons.map(({ dataset }) => dataset.testid ?? 'without a name').filter((name) => !OPENS.includes(name))).toEqual([]);
    for (const button of buttons) button.click();
    flushSync();
    expect(words(one('status'))).not.toBe('');
    await leave();
  }
});

test('S19: the emergency card is framed, and says under what it was opened', async () => {
  for (const id of ['card', 'card-live', 'card-unavailable']) {
    await screen(id);
    expect(words(one('frame-text'))).toContain('BREAK-GLASS');
    await leave();
  }
});

test('S22: times are of 24 hours and carry their date', async () => {
  await screen('chart-vitals');
  const times = [...document.querySelectorAll('.at')].map((each) => words(each)).filter((text) => text !== '');
  expect(times.length).toBeGreaterThan(4);
  for (const text of times) expect(text).toMatch(/^\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d$/u);
  expect(document.body.textContent).not.toMatch(/\d (am|pm)\b/iu);
});

describe('S24: names that are alike are marked', () => {
  for (const id of ['board', 'search-found']) {
    test(id, async () => {
      await screen(id);
      expect(words(row('SMITH, John'))).toContain('similar name');
      expect(words(row('SMYTH, Joan'))).toContain('similar name');
      expect(row('SMITH, John')?.querySelector('.similar svg')).not.toBeNull();
    });
  }
  test('and only they', async () => {
    await screen('board');
    expect(words(row('OKAFOR'))).not.toContain('similar name');
  });
});

test('S25: somebody who died is marked by words and a pattern, not by a colour alone', async () => {
  await screen('chart-damaged');
  const banner = all('banner')[0];
  expect(words(banner)).toContain('Died 20-Nov-2026');
  expect(banner?.classList.contains('deceased')).toBe(true);
});

test('S25: in a list too', async () => {
  await screen('search-found');
  const died = all('patient-row').filter((each) => words(each).includes('Died '));
  expect(died.length).toBeGreaterThan(0);
  expect(all('patient-row').filter((each) => each.classList.contains('hatched'))).toEqual(died);
});

describe('S26: what is said stays until a person closes it', () => {
  afterEach(() => vi.useRealTimers());
  test.each([
    ['scan-nobody', 'scan-notice'],
    ['board-error', 'board-error'],
    ['chart-mismatch', 'chart-error'],
    ['glass-error', 'glass-error'],
    ['packet-done', 'packet-done'],
    ['entry-vitals-faults', 'entry-dialog'],
  ])('%s', async (id, what) => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    await screen(id);
    const said = words(one(what));
    expect(said).not.toBe('');
    // Before the workstation locks itself.
    await vi.advanceTimersByTimeAsync(90_000);
    flushSync();
    // That a draft was kept is said after it.
    expect(words(one(what))).toContain(said);
  });
});

test('S5: what a covered view has lies over nothing of the emergency card', async () => {
  const measure = Element.prototype.getBoundingClientRect;
  // Nothing has a height here: all rows lie in the middle of the window, and what covers at the foot of the view below the layer.
  Element.prototype.getBoundingClientRect = function (this: Element) {
    if (this.hasAttribute('data-covers')) return new DOMRect(0, 760, 1280, 40);
    return this.hasAttribute('data-name') ? new DOMRect(0, 300, 600, 40) : new DOMRect(0, 0, 1280, 800);
  };
  try {
    const app = await screen('board');
    app.emergency.open(whoOfBanner(MARY_CARD.banner));
    await vi.waitFor(() => expect(app.dialog?.chooseDigit(1)).toBe(true));
    await app.emergency.show(0);
    flushSync();
    expect(document.querySelector('.under [data-covers]')).not.toBeNull();
    expect(one('emergency-card').querySelectorAll('[data-name]').length).toBeGreaterThan(3);
    expect(one('emergency-card').querySelector('[data-testid=hidden-below]')).toBeNull();
  } finally {
    Element.prototype.getBoundingClientRect = measure;
  }
});

test.each<[string, (app: App) => unknown, (app: App) => unknown]>([
  ['the emergency', (app) => app.emergency.openHere(), (app) => app.emergency.cancel()],
  ['the status', (app) => app.toggleSync(), (app) => app.toggleSync()],
  ['help', (app) => (app.help = true), (app) => (app.help = false)],
])('on the lock screen what is typed goes into a field again once %s is closed', async (_, open, close) => {
  const app = await screen('lock');
  const settled = async () => {
    flushSync();
    await new Promise((done) => setTimeout(done, 20));
    flushSync();
  };
  await settled();
  expect(document.activeElement?.id).toBe('user');
  open(app);
  await settled();
  expect(document.activeElement?.id).not.toBe('user');
  close(app);
  await settled();
  expect(document.activeElement?.id).toBe('user');
});
