/** Downtime drills: said over every screen, ended from each, begun only where the engine lets one, and never by a slip. */
import { flushSync } from 'svelte';
import { afterEach, expect, test } from 'vitest';
import { drillStatus, SYNC_DRILL } from '../src/ipc/fixtures/sync';
import { failure } from '../src/ipc/fixtures/world';
import { offersOf } from '../src/state/palette.svelte';
import type { Fake } from '../src/ipc/fake';
import type { App } from '../src/state/app.svelte';
import { all, leave, one, screen, words } from './onScreen';

const fakeOf = (app: App) => app.backend as Fake;
const settled = async () => {
  await new Promise((done) => setTimeout(done, 0));
  flushSync();
};

afterEach(leave);

for (const id of ['lock', 'search-found', 'board', 'chart', 'results', 'entries', 'card', 'glass-picked', 'entry-vitals', 'wall-40']) {
  test(`${id}: the band says who cut it off and until when, and whoever stands there ends it`, async () => {
    const app = await screen(id);
    expect(all('drill')).toHaveLength(0);
    const fake = fakeOf(app);
    Object.assign(fake.world.status, drillStatus());
    fake.world.sync = { ok: SYNC_DRILL };
    fake.tell({ kind: 'status', value: { ...fake.world.status } });
    await settled();
    expect(words(one('drill'))).toMatch(/DOWNTIME DRILL — cut off from the server on purpose by Dr LEE until 04:46\./u);
    // Nothing lies over it: it is outside of what a layer makes inert.
    expect(one('drill-end').closest('[inert]')).toBeNull();
    one('drill-end').click();
    await settled();
    await settled();
    expect(app.status?.drill_text).toBeNull();
    expect(all('drill')).toHaveLength(0);
  });
}

test('it is started for the time that is chosen, and the screens say so at once', async () => {
  const app = await screen('drill-ask');
  expect(document.activeElement).toBe(document.querySelector('input[name=drill-minutes]:checked'));
  expect(words(one('drill-start'))).toBe('Cut this workstation off for 15 min');
  document.querySelectorAll<HTMLInputElement>('input[name=drill-minutes]')[2]?.click();
  flushSync();
  expect(words(one('drill-start'))).toBe('Cut this workstation off for 30 min');
  const asked: number[] = [];
  const fake = fakeOf(app);
  const start = fake.drillStart;
  fake.drillStart = (minutes) => {
    asked.push(minutes);
    return start(minutes);
  };
  one('drill-start').click();
  await settled();
  await settled();
  expect(asked).toEqual([30]);
  expect(app.status?.age).toBe('offline');
  expect(all('drill')).toHaveLength(1);
  expect(all('drill-start')).toHaveLength(0);
  one('drill-end-here').click();
  await settled();
  await settled();
  expect(all('drill')).toHaveLength(0);
  expect(all('drill-start')).toHaveLength(1);
});

test('where none can be started it says why, and offers none', async () => {
  await screen('drill-refused');
  expect(words(one('drill-refused'))).toMatch(/No drill can be started now.*Take that up first/u);
  expect(all('drill-start')).toHaveLength(0);
  expect(all('sync-drill')).toHaveLength(0);
  expect(words(one('drill-last'))).toContain('None was held');
});

test('what the engine refuses in the last moment is said, and nothing is cut off', async () => {
  const app = await screen('drill-ask');
  fakeOf(app).world.drill = failure('bad-request', 'This workstation is not up to date.');
  one('drill-start').click();
  await settled();
  await settled();
  expect(words(one('drill-error'))).toContain('not up to date');
  expect(app.status?.age).toBe('live');
  expect(all('drill')).toHaveLength(0);
});

test('what did not work in the last one stands in words and by shape', async () => {
  await screen('drill-failed');
  expect(words(one('drill-last'))).toContain('not everything worked');
  expect(words(one('drill-part').querySelector('li.fails'))).toContain('22 of 24');
});

test('what cannot be read is not said to be none', async () => {
  await screen('drill-unread');
  expect(words(one('drill-unread'))).toContain('cannot be read');
  expect(all('drill-last')).toHaveLength(0);
});

test('by name it opens the screen and starts nothing; during one it is ended by name', async () => {
  const app = await screen('board');
  expect(offersOf(app).filter(({ act }) => act === 'drill' || act === 'end-drill').map(({ text }) => text)).toEqual(['Start a downtime drill…']);
  await leave();
  const during = await screen('drill-board');
  expect(offersOf(during).filter(({ act }) => act === 'drill' || act === 'end-drill').map(({ text }) => text)).toEqual(['End the downtime drill']);
  await leave();
  const nobody = await screen('lock');
  expect(offersOf(nobody).some(({ act }) => act === 'drill')).toBe(false);
});
