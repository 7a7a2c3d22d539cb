/** Medicines: current and past never mixed, what is on hold or ended a short while ago named, nothing blank. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { lastEnded, onHold } from '../src/domain/medicines';
import { MANY_CURRENT, MANY_PAST } from '../src/ipc/fixtures/medicines';
import { all, leave, screen } from './onScreen';

const words = (testid: string) => (all(testid)[0]?.textContent ?? '').replace(/\s+/gu, ' ').trim();
const tab = (name: string) => document.getElementById(`medicines-${name}`);

const measure = Element.prototype.getBoundingClientRect;
afterEach(async () => {
  Element.prototype.getBoundingClientRect = measure;
  await leave();
});

test('current and past are never in one list, and the past ones say so (MEDv-024)', async () => {
  await screen('medicines-many');
  expect(all('past-medicines')).toHaveLength(0);
  expect(all('medicine')).toHaveLength(MANY_CURRENT.length);
  tab('past')?.click();
  flushSync();
  expect(all('medicines')).toHaveLength(0);
  expect(all('medicine')).toHaveLength(MANY_PAST.length);
  expect(document.getElementById('panel')?.textContent).toContain('these have ended');
});

test('every opening begins with the current ones', async () => {
  const app = await screen('medicines-many');
  tab('past')?.click();
  app.section = 'labs';
  flushSync();
  app.section = 'medicines';
  flushSync();
  expect(tab('current')?.getAttribute('aria-selected')).toBe('true');
});

test('both counts are on the switch; what is not loaded is no "0" (S1, S6)', async () => {
  await screen('medicines-many');
  expect([tab('current')?.textContent, tab('past')?.textContent].map((text) => text?.trim())).toEqual([
    `Current ${MANY_CURRENT.length}`,
    `Past ${MANY_PAST.length}`,
  ]);
  await leave();
  await screen('medicines-partial');
  expect(tab('past')?.textContent?.trim()).toBe('Past unknown');
  expect(words('last-ended')).toContain('not fully loaded — treat as unknown');
});

describe('notices', () => {
  test('what is on hold is counted and named above the list, and marked in it', async () => {
    await screen('medicines-many');
    expect(onHold(MANY_CURRENT).map(({ name }) => name)).toEqual(['bisoprolol', 'ferrous sulfate']);
    expect(words('on-hold')).toContain('2 of 14 on hold');
    expect(words('on-hold')).toContain('ferrous sulfate');
    expect(document.querySelectorAll('#panel .medicine .hold')).toHaveLength(2);
  });
  test('the last ended are named with when, and every high-risk one whenever it ended', async () => {
    const { named, more } = lastEnded(MANY_PAST);
    expect(named.map(({ name }) => name)).toEqual(['enoxaparin', 'doxycycline', 'prednisoLONE', 'apixaban']);
    expect(more).toBe(MANY_PAST.length - 4);
    await screen('medicines-many');
    expect(words('last-ended')).toContain('apixaban stopped 04-Jan-2026, anticoagulant');
    expect(words('last-ended')).toContain(`${more} more`);
  });
  test('nothing past is said in words', async () => {
    await screen('medicines-many', (world) => {
      if (typeof world.chart === 'object' && 'ok' in world.chart) {
        world.chart.ok = { ...world.chart.ok, past_medications: { ...world.chart.ok.past_medications, state: 'not-recorded', items: [], empty_text: 'No past medicines on record' } };
      }
    });
    expect(words('last-ended')).toContain('No past medicines on record');
    expect(tab('past')?.textContent?.trim()).toBe('Past 0');
  });
});

test('a status is never blank (MEDv-162)', async () => {
  await screen('medicines-many');
  expect(all('medicine').find((each) => each.textContent?.includes('atorvastatin'))?.textContent).toContain('status not recorded');
});

test('the look-ahead bar never names rows of the list before', async () => {
  await screen('medicines-many');
  // Nothing has a height here: all rows are made to lie below the window.
  const below = { top: 9000, bottom: 9040, left: 0, right: 0, width: 0, height: 40, x: 0, y: 9000, toJSON: () => '' };
  Element.prototype.getBoundingClientRect = function (this: Element) {
    return this.hasAttribute('data-name') ? below : { ...below, top: 0, bottom: 800, y: 0 };
  };
  tab('past')?.click();
  flushSync();
  await new Promise((done) => setTimeout(done, 20));
  flushSync();
  expect(words('hidden-below')).toContain('12 medicines below: high-risk enoxaparin · apixaban');
  expect(words('hidden-below')).not.toContain('warfarin');
});

test('high-risk rows are marked for the look-ahead bar (S5)', async () => {
  await screen('medicines-many');
  const marked = [...document.querySelectorAll<HTMLElement>('#panel [data-risk]')].map((row) => row.dataset.name);
  expect(marked).toEqual(['morphine', 'warfarin', 'insulin glargine']);
});
