/** After the breaking of the glass: ending it, its words, and what a lock is called to the engine. */
import { mount, unmount, flushSync } from 'svelte';
import { afterEach, beforeEach, expect, test } from 'vitest';
import AppView from '../src/App.svelte';
import { whoOfBanner } from '../src/domain/who';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { MARY_BANNER, MARY_CARD, MARY_CHART } from '../src/ipc/fixtures/people';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App, IDLE_LOCK_MS } from '../src/state/app.svelte';
import type { Key } from '../src/state/keys';

let fake: Fake;
let app: App;
let view: Record<string, unknown> | null = null;
const IDLE = { typing: false, control: false };
const TYPING = { typing: true, control: false };
const key = (name: string, ctrlKey = false): Key => ({ key: name, ctrlKey, shiftKey: false, altKey: false, metaKey: false });
const settled = () => new Promise((done) => setTimeout(done, 0));
const GRANT = MARY_CARD.broken?.grant ?? '';
const FRAME = 'BREAK-GLASS · Dr LEE · Life-threatening emergency · ends 08:31';
const owed = { ok: { owed: [{ grant: GRANT, text: 'Emergency access to JONES, Mary at 04:31 has no words yet', late: false }] } };

beforeEach(async () => {
  fake = fakeOf(calm());
  fake.world.chart = { ok: { ...MARY_CHART, break_glass_text: FRAME, broken: MARY_CARD.broken } };
  app = new App(fake);
  await app.start();
});
afterEach(() => {
  if (view !== null) void unmount(view);
  view = null;
  document.body.innerHTML = '';
});

const by = (testid: string) => document.body.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
async function shown(): Promise<void> {
  view ??= mount(AppView, { target: document.body, props: { app } });
  flushSync();
  await settled();
  flushSync();
}
async function card(): Promise<void> {
  await app.signIn('dlee', '0000');
  app.emergency.open(whoOfBanner(MARY_BANNER));
  await settled();
  app.dialog?.chooseDigit(1);
  await app.emergency.show(0);
}

test('ending asks once, keeps it by default, and then closes the card and its chart for the board', async () => {
  const ended: string[] = [];
  fake.breakGlassEnd = async (grant) => void ended.push(grant);
  await app.signIn('dlee', '0000');
  await app.openChart('p-mary', 'search');
  await card();
  await shown();
  by('ask-end-glass')?.click();
  await shown();
  expect(document.activeElement).toBe(by('keep-glass'));
  expect(app.onKey(key('Enter'), { typing: false, control: true }, 0)).toBe(false);
  expect(app.onKey(key('Escape'), IDLE, 0)).toBe(true);
  expect(app.afterwards.asking).toBeNull();
  expect([app.card?.banner.patient, ended]).toEqual(['p-mary', []]);

  await shown();
  by('ask-end-glass')?.click();
  await shown();
  by('end-glass')?.click();
  await settled();
  await shown();
  expect(ended).toEqual([GRANT]);
  expect([app.card, app.open, app.view]).toEqual([null, [], 'board']);
});

test('from the frame of a chart, too; what cannot be ended stays open and says why', async () => {
  await app.signIn('dlee', '0000');
  await app.openChart('p-mary', 'search');
  await shown();
  fake.world.glassEnd = failure('audit-failed', 'The audit log cannot be written: it has not ended.');
  by('ask-end-glass')?.click();
  await shown();
  by('end-glass')?.click();
  await settled();
  await shown();
  expect(by('after-glass-error')?.textContent).toContain('it has not ended');
  expect(app.chart?.view?.break_glass_text).toBe(FRAME);
  fake.world.glassEnd = { ok: null };
  by('end-glass')?.click();
  await settled();
  await shown();
  expect([app.chart, app.view]).toEqual([null, 'board']);
});

test('a card from the lock screen is ended without a session, and leads back there', async () => {
  app.emergency.open(whoOfBanner(MARY_BANNER));
  await settled();
  app.dialog?.chooseDigit(1);
  if (app.dialog !== null) Object.assign(app.dialog, { user: 'dlee', secret: '0000' });
  await app.emergency.show(0);
  await shown();
  expect(by('ask-words')).toBeNull();
  expect(by('words-owed')?.textContent).toContain('Sign in to add them');
  by('ask-end-glass')?.click();
  await app.afterwards.end();
  expect([app.card, app.view, app.session]).toEqual([null, 'lock', null]);
});

test('after signing in a quiet line says what is owed, on the lists and not over a chart', async () => {
  fake.world.owed = owed;
  await app.signIn('dlee', '0000');
  await settled();
  await shown();
  expect(by('owed-words')?.textContent).toContain('JONES, Mary at 04:31 has no words yet');
  await app.openChart('p-mary', 'search');
  await shown();
  expect(by('owed-words')).toBeNull();
  app.showSearch();
  await shown();
  by('add-words')?.click();
  await shown();
  expect(document.activeElement).toBe(by('glass-words'));
  expect((by('save-words') as HTMLButtonElement).disabled).toBe(true);
  const sent: [string, string][] = [];
  const keep = fake.breakGlassWords;
  fake.breakGlassWords = (grant, words) => (sent.push([grant, words]), keep(grant, words));
  app.afterwards.words = '  Found in the lift.  ';
  // Enter is a new line of the words.
  expect(app.onKey(key('Enter'), TYPING, 0)).toBe(false);
  await app.afterwards.save();
  expect(sent).toEqual([[GRANT, 'Found in the lift.']]);
  await shown();
  expect([app.afterwards.asking, app.afterwards.owed, by('owed-words')]).toEqual([null, [], null]);
});

test('words on the card: it owes none afterwards, and a failure keeps what was typed', async () => {
  await card();
  await shown();
  expect(by('words-owed')?.textContent).toContain('due by 05:31');
  by('ask-words')?.click();
  app.afterwards.words = 'No pulse.';
  fake.world.glassWords = failure('audit-failed', 'Nothing was written.');
  await app.afterwards.save();
  expect([app.afterwards.words, app.afterwards.error?.text]).toEqual(['No pulse.', 'Nothing was written.']);
  fake.world.glassWords = { ok: null };
  await app.afterwards.save();
  await shown();
  expect([by('words-owed'), by('ask-words'), app.card?.banner.patient]).toEqual([null, null, 'p-mary']);
});

test('a lock clears the question, what was typed and what is owed', async () => {
  fake.world.owed = owed;
  await card();
  await settled();
  app.afterwards.askWords(GRANT, 'JONES, Mary');
  app.afterwards.words = 'No pulse.';
  expect(app.onKey(key('l', true), TYPING, 0)).toBe(true);
  expect([app.afterwards.asking, app.afterwards.words, app.afterwards.owed]).toEqual([null, '', []]);
});

test('the engine is told whether a person locked or nobody was there', async () => {
  const locks: boolean[] = [];
  fake.lock = async (idle) => void locks.push(idle);
  await app.signIn('dlee', '0000');
  app.touched(0);
  app.tick(IDLE_LOCK_MS + 1);
  await settled();
  await app.signIn('dlee', '0000');
  app.onKey(key('l', true), IDLE, 0);
  await settled();
  expect(locks).toEqual([true, false]);
});

test('an access that a reviewer took back closes the card and the chart at once, and says why', async () => {
  const text = 'A reviewer took this emergency access back at 14:05.';
  await app.signIn('dlee', '0000');
  await app.openChart('p-mary', 'search');
  await card();
  await shown();
  fake.tell({ kind: 'emergency-ended', value: { grant: 'another', text } });
  expect([app.card?.banner.patient, app.chart?.view?.banner.patient]).toEqual(['p-mary', 'p-mary']);

  by('ask-end-glass')?.click();
  fake.tell({ kind: 'emergency-ended', value: { grant: GRANT, text } });
  await shown();
  expect([app.card, app.afterwards.asking, app.chart?.view]).toEqual([null, null, null]);
  expect(by('card-error')?.textContent).toContain(text);
  expect(app.onKey(key('Escape'), IDLE, 0)).toBe(true);

  // What is read again is refused, and the reason stays; another patient has none of it.
  fake.world.chart = failure('denied', 'No access.', { break_glass_offered: true });
  fake.tell({ kind: 'patients-changed', value: ['p-mary'] });
  await shown();
  expect([app.chart?.error?.text, app.chart?.error?.break_glass_offered]).toEqual([text, true]);
  await app.openChart('p-john', 'search');
  await shown();
  expect(app.chart?.error?.text).toBe('No access.');
});
