/** Sync and offline status: opens everywhere, says what can be relied on, never keeps what it could not read again. */
import { flushSync } from 'svelte';
import { afterEach, expect, test } from 'vitest';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { SYNC_FAULTS, SYNC_LIVE, SYNC_OFFLINE } from '../src/ipc/fixtures/sync';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';
import { SYNC_READ_MS } from '../src/state/sync.svelte';
import { all, leave, one, screen, words } from './onScreen';

const settled = () => new Promise((done) => setTimeout(done, 0));
const NOWHERE = { typing: false, control: false };
const press = (app: App, key: string, ctrlKey = false) => app.onKey({ key, ctrlKey, shiftKey: false, altKey: false, metaKey: false }, NOWHERE, performance.now());

afterEach(leave);

test('F9 opens it over every screen and closes it; Esc closes it and nothing below', async () => {
  for (const id of ['lock', 'search-found', 'board', 'chart', 'results', 'entries', 'card', 'entry-vitals']) {
    const app = await screen(id);
    const before = app.view;
    expect(press(app, 'F9'), id).toBe(true);
    await settled();
    flushSync();
    expect(words(one('verdict')), id).toContain('You can rely on it');
    expect(document.querySelector('.under')?.hasAttribute('inert'), id).toBe(true);
    press(app, 'Escape');
    flushSync();
    expect(all('sync-status'), id).toHaveLength(0);
    expect(app.view, id).toBe(before);
    press(app, 'F9');
    press(app, 'F9');
    flushSync();
    expect(all('sync-status'), id).toHaveLength(0);
    await leave();
  }
});

test('each part says in words and by shape whether it works, and what is to be done', async () => {
  await screen('sync-faults');
  expect(one('verdict').dataset.verdict).toBe('limited');
  for (const part of SYNC_FAULTS.parts) {
    const shown = one(`part-${part.id}`);
    for (const text of [part.title, part.text, part.todo ?? '']) expect(words(shown)).toContain(text);
    expect(shown.querySelectorAll('svg')).toHaveLength(1);
  }
  expect(['part-disk', 'part-stored', 'part-glass', 'part-changes'].map((id) => words(one(id).querySelector('.state')))).toEqual(['Does not work', 'With limits', 'With limits', 'Does not work']);
  expect(words(one('checks'))).toContain('3 items damaged');
});

test('what is not here is in the table all the same, with a dash and the word for it', async () => {
  await screen('sync-not-here');
  const rows = all('stream').map(words);
  expect(rows).toHaveLength(3);
  for (const row of rows) expect(row).toMatch(/——NOT ON THIS WORKSTATION/u);
  expect(words(one('verdict'))).toContain('Do not rely on it');
  expect(words(one('check-state'))).toContain('Not checked yet');
});

test('it is read again while it is shown; what cannot be read again is not left standing', async () => {
  const fake: Fake = fakeOf({ ...calm(), sync: { ok: SYNC_LIVE } });
  let asked = 0;
  const read = fake.syncView;
  fake.syncView = () => {
    asked++;
    return read();
  };
  const app = new App(fake);
  await app.start();
  app.toggleSync();
  await settled();
  app.tick(performance.now() + SYNC_READ_MS - 500);
  expect(asked).toBe(1);
  fake.world.sync = { ok: SYNC_OFFLINE };
  app.tick(performance.now() + SYNC_READ_MS);
  await settled();
  expect([asked, app.sync?.view?.verdict]).toEqual([2, 'limited']);
  fake.world.sync = failure('damaged', 'cannot be read');
  app.tick(performance.now() + SYNC_READ_MS);
  await settled();
  expect([app.sync?.view, app.sync?.error?.text]).toEqual([null, 'cannot be read']);
  app.toggleSync();
  app.tick(performance.now() + 10 * SYNC_READ_MS);
  expect(asked).toBe(3);
});

test('a silent engine: what was read before it fell silent is not left standing', async () => {
  const app = await screen('sync');
  app.silent = true;
  flushSync();
  expect(all('verdict')).toHaveLength(0);
  expect(words(one('sync-error'))).toMatch(/has stopped answering.*Do not rely on this workstation/u);
});

test('a slow answer of before never replaces a newer one', async () => {
  const fake = fakeOf(calm());
  const answers: ((view: typeof SYNC_LIVE) => void)[] = [];
  fake.syncView = () => new Promise((done) => answers.push(done));
  const app = new App(fake);
  app.toggleSync();
  void app.sync?.load();
  answers[1]?.(SYNC_OFFLINE);
  await settled();
  answers[0]?.(SYNC_LIVE);
  await settled();
  expect(app.sync?.view?.verdict).toBe('limited');
});

test('the check: one at a time, said while it runs, its result or its refusal stays', async () => {
  const app = await screen('sync-checking');
  const button = one('sync-check') as HTMLButtonElement;
  expect([button.disabled, words(button)]).toEqual([true, 'Checking…']);
  expect(words(one('check-state'))).toBe('Checking: 5120 items read. Everything else goes on.');
  expect(all('checks')).toHaveLength(0);
  expect(app.sync?.checking).toBe(true);
  await leave();
  const other = await screen('sync');
  one('sync-check').click();
  await settled();
  flushSync();
  expect(words(one('check-state'))).toContain('Whole, 21-Nov-2026 04:31');
  expect(other.sync?.checking).toBe(false);
  await leave();
  await screen('sync-check-refused');
  expect(words(one('check-error'))).toContain('being checked already');
});

test('the packet is offered to somebody signed in, and is printed from the board; the emergency leaves it', async () => {
  const app = await screen('sync');
  one('sync-print').click();
  await settled();
  await settled();
  flushSync();
  expect([app.sync, app.view, app.packet === null]).toEqual([null, 'board', false]);
  await leave();
  const again = await screen('sync-offline');
  press(again, 'p', true);
  await settled();
  expect([again.view, again.packet === null]).toEqual(['board', false]);
  await leave();
  await screen('sync-lock');
  expect(all('sync-print')).toHaveLength(0);
  await leave();
  // An emergency card lies below: one does not leave it for a board.
  const card = await screen('sync-card');
  expect(all('sync-print')).toHaveLength(0);
  press(card, 'Escape');
  flushSync();
  expect(all('emergency-card')).toHaveLength(1);
  await leave();
  const glass = await screen('sync');
  press(glass, 'F12', true);
  expect([glass.sync, glass.dialog === null]).toEqual([null, false]);
});

test('the lock closes it, and it opens again on the lock screen', async () => {
  const app = await screen('sync');
  press(app, 'l', true);
  await settled();
  flushSync();
  expect([app.view, all('sync-status').length]).toEqual(['lock', 0]);
  press(app, 'F9');
  await settled();
  flushSync();
  expect(all('sync-status')).toHaveLength(1);
});
