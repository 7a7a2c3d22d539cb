/** Training: the band and the frame stand over every screen and layer, claim nothing too early, and never go by silence. */
import { flushSync } from 'svelte';
import { afterEach, expect, test } from 'vitest';
import { calm } from '../src/ipc/fixtures/world';
import { SILENT_AFTER_MS, type App } from '../src/state/app.svelte';
import css from '../src/styles/tokens.css?raw';
import { all, leave, one, screen, words } from './onScreen';

const SAYS = /^TRAINING — synthetic patients\. Nothing here is about a real person; nothing recorded here reaches the hospital’s record\./u;
/** Every screen, and everything that lies over one. */
const SCREENS = ['lock', 'lock-error', 'lock-alarms', 'search-found', 'board', 'board-empty', 'board-wall', 'board-preview', 'chart', 'chart-loading', 'chart-denied', 'images', 'viewer-ct', 'entries', 'results'];
const LAYERS: [id: string, layer: string][] = [
  ['glass-locked', '[data-testid=break-glass]'], ['glass-signed-in', '[data-testid=break-glass]'], ['card', '[data-testid=emergency-card]'], ['card-mismatch', '[data-testid=card-error]'],
  ['packet', '.veil'], ['entries-settle', '.veil'], ['charts-fifth', '.veil'], ['sync', '[data-testid=sync-status]'], ['sync-lock', '[data-testid=sync-status]'],
  ['sync-card', '[data-testid=sync-status]'], ['help', '[data-testid=help]'], ['palette', '[data-testid=palette]'], ['palette-card', '[data-testid=palette]'],
  ['entry-vitals', '#entry-title'], ['entry-preview', '#entry-title'],
];

const demo = (world: ReturnType<typeof calm>) => void (world.status.demo = true);
const framed = () => document.querySelector('.app')?.hasAttribute('data-training');
const settled = () => new Promise((done) => setTimeout(done, 0));

/** The band is there, once, first of all, in a row that no layer is laid in, and can be neither closed nor made inert. */
function expectBand(id: string): void {
  expect(words(one('training')), id).toMatch(SAYS);
  expect(framed(), id).toBe(true);
  const app = document.querySelector('.app');
  const row = app?.firstElementChild;
  expect(row?.contains(one('training')), id).toBe(true);
  expect(row?.querySelector('button, a, [tabindex]'), id).toBeNull();
  expect(one('training').closest('[inert], [aria-hidden], .visually-hidden'), id).toBeNull();
}

afterEach(leave);

test.each(SCREENS)('the band stands over the screen: %s', async (id) => {
  await screen(id, demo);
  expectBand(id);
  expect(words(one('strip-training'))).toBe('TRAINING');
});

test.each(LAYERS)('the band stands over what is over the screen: %s', async (id, layer) => {
  await screen(id, demo);
  expect(document.querySelector(layer), id).not.toBeNull();
  expectBand(id);
  // Layers are laid over the stage, which the band is no part of.
  for (const each of document.querySelectorAll('.veil, [role=dialog]')) expect(each.closest('.stage'), id).not.toBeNull();
  expect(one('training').closest('.stage')).toBeNull();
});

test('with patients there is neither band nor frame nor word', async () => {
  for (const id of ['lock', 'board', 'chart', 'card', 'glass-signed-in', 'sync']) {
    await screen(id);
    expect(all('training'), id).toHaveLength(0);
    expect(all('strip-training'), id).toHaveLength(0);
    expect(framed(), id).toBe(false);
    expect(document.body.textContent, id).not.toMatch(/TRAINING|DEMO|synthetic/u);
    await leave();
  }
});

test('the fixtures show the product with patients, and training where they say so', async () => {
  expect(calm().status.demo).toBe(false);
  await screen('training-chart-glass');
  expectBand('training-chart-glass');
  // A grant keeps its own frame and words beside it (S19).
  expect(words(one('glass-frame'))).toContain('BREAK-GLASS');
  expect(document.querySelector('.broken-glass')).not.toBeNull();
  await leave();
  await screen('training-card');
  expect(words(one('frame-text'))).toContain('BREAK-GLASS');
});

test('before the first status nothing is claimed', async () => {
  const app = await screen('lock', demo);
  app.status = null;
  flushSync();
  expect([all('training').length, framed(), document.title]).toEqual([0, false, 'Vitrine']);
  app.silent = true;
  flushSync();
  expect(all('training')).toHaveLength(0);
});

const silence = (app: App) => {
  app.backend.status = () => Promise.reject(new Error('no answer'));
  app.tick(performance.now() + SILENT_AFTER_MS + 1);
};

test('a silent engine, the lock and the idle lock leave it; only a status takes it away', async () => {
  const app = await screen('chart', demo);
  const status = app.backend.status;
  silence(app);
  await settled();
  flushSync();
  expect(app.silent).toBe(true);
  expectBand('silent');
  app.lock();
  await settled();
  flushSync();
  expect(app.view).toBe('lock');
  expectBand('locked');
  app.backend.status = status;
  app.useStatus({ ...calm().status, demo: false });
  flushSync();
  expect([all('training').length, framed(), document.title]).toEqual([0, false, 'Vitrine']);
});

test('it is read out once: the row waits empty, and a further status changes nothing in it', async () => {
  const app = await screen('board');
  const row = document.querySelector('.app > :first-child');
  expect([row?.getAttribute('role'), words(row)]).toEqual(['status', '']);
  let changes = 0;
  const watch = new MutationObserver((found) => (changes += found.length));
  if (row !== null) watch.observe(row, { childList: true, characterData: true, attributes: true, subtree: true });
  app.useStatus({ ...calm().status, demo: true });
  flushSync();
  await settled();
  expect(document.querySelector('.app > :first-child')).toBe(row);
  expect(words(row)).toMatch(SAYS);
  const first = changes;
  expect(first).toBeGreaterThan(0);
  for (const age of ['delayed', 'offline', 'live'] as const) app.useStatus({ ...calm().status, age, demo: true });
  flushSync();
  await settled();
  watch.disconnect();
  expect(changes).toBe(first);
});

test('the title says it, and never a patient', async () => {
  for (const id of ['lock', 'chart', 'card', 'viewer-ct', 'search-found']) {
    await screen(id, demo);
    expect(document.title, id).toBe('TRAINING — Vitrine');
    await leave();
    await screen(id);
    expect(document.title, id).toBe('Vitrine');
    await leave();
  }
});

test('its colour is used by nothing else', () => {
  const colours = [...css.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/gu)];
  const own = colours.filter(([, name]) => name === 'training').map(([, , value]) => value);
  expect(new Set(own).size).toBe(2);
  expect(colours.filter(([, name, value]) => name !== 'training' && own.includes(value))).toEqual([]);
  const files = import.meta.glob<string>('../src/**/*.{svelte,css,ts}', { eager: true, query: '?raw', import: 'default' });
  const users = Object.entries(files).filter(([, text]) => /var\(--(on-)?training/u.test(text)).map(([file]) => file.replace('../src/', ''));
  expect(users.sort()).toEqual(['App.svelte', 'shared/StatusStrip.svelte', 'shared/TrainingBand.svelte', 'styles/tokens.css']);
});
