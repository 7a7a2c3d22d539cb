/** What a scanned band does: opens one patient's chart, says whether it is this patient's, and never guesses. */
import { describe, expect, test } from 'vitest';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { BANDS } from '../src/ipc/fixtures/scanScenarios';
import { scenarioOf } from '../src/ipc/fixtures/scenarios';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';
import type { ScanView } from '../src/wire/ScanView';

const settled = () => new Promise((done) => setTimeout(done, 0));
const IDLE = { typing: false, control: false };
const key = (name: string) => ({ key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false });

async function at(id: string): Promise<{ app: App; fake: Fake }> {
  const world = calm();
  const scenario = scenarioOf(`?screen=${id}`);
  scenario?.set?.(world);
  const fake = fakeOf(world);
  const app = new App(fake);
  await app.start();
  await scenario?.drive?.(app);
  await settled();
  return { app, fake };
}

async function scan(app: App, fake: Fake, view: ScanView): Promise<void> {
  fake.world.scan = { ok: view };
  await app.scans.take('8018', performance.now());
  await settled();
}

describe('a band of one patient', () => {
  test.each([['board'], ['search-found'], ['results'], ['entries'], ['wall-40'], ['help'], ['palette'], ['sync']])('opens the chart from %s', async (screen) => {
    const { app, fake } = await at(screen);
    await scan(app, fake, BANDS.john);
    expect([app.view, app.front, app.scans.notice, app.help, app.palette, app.sync]).toEqual(['chart', 'p-john', null, false, null, null]);
  });

  test('opens beside the chart in front, and asks where four are open', async () => {
    const { app, fake } = await at('charts-four');
    await scan(app, fake, { ...BANDS.mary, rows: BANDS.mary.rows.map((row) => ({ ...row, patient: 'p-new' })) });
    expect([app.fifth?.patient, app.open.length]).toEqual(['p-new', 4]);
  });

  test('that only breaking the glass opens asks for that', async () => {
    const { app, fake } = await at('board');
    await scan(app, fake, BANDS.restricted);
    expect([app.dialog?.patient?.patient, app.view]).toEqual(['p-john', 'board']);
  });

  test('gives the emergency dialog its patient, who is then confirmed on the button', async () => {
    const { app } = await at('scan-glass');
    expect([app.dialog?.patient?.patient, app.dialog?.step, app.card]).toEqual([BANDS.mary.rows[0]?.patient, 'ready', null]);
  });
});

describe('a band that is not enough', () => {
  test('is listed with the reason, under the cursor, and opened by a person', async () => {
    const { app } = await at('scan-compare');
    expect([app.view, app.open.length, app.search.rows.length, app.scans.comparing]).toEqual(['search', 0, 1, BANDS.compare.text]);
    app.onKey(key('Enter'), { typing: true, control: false }, 0);
    await settled();
    expect([app.view, app.front]).toEqual(['chart', 'p-john']);
  });

  test('its reason goes when something else is looked for', async () => {
    const { app } = await at('scan-several');
    app.lookFor('smi');
    await settled();
    expect(app.scans.comparing).toBeNull();
  });

  test('of the emergency dialog is picked there', async () => {
    const { app } = await at('scan-glass-compare');
    expect([app.dialog?.patient, app.dialog?.found.rows.length]).toEqual([null, 2]);
  });
});

describe('where somebody is being treated', () => {
  test.each([
    ['scan-same', 'The same patient'],
    ['scan-other', 'NOT THE SAME PATIENT'],
    ['scan-card-other', 'NOT THE SAME PATIENT'],
  ])('%s: %s', async (screen, title) => {
    const { app } = await at(screen);
    expect(app.scans.notice?.title).toBe(title);
  });

  test('somebody else names both, and neither form nor card changes', async () => {
    const { app } = await at('scan-other');
    expect([app.scans.notice?.band?.patient, app.scans.notice?.here?.patient, app.recording.shown?.patient]).toEqual(['p-john', 'p-mary', 'p-mary']);
    expect([app.front, app.open.length]).toEqual(['p-mary', 1]);
    app.onKey(key('Escape'), IDLE, 0);
    expect([app.scans.notice, app.recording.shown?.patient]).toEqual([null, 'p-mary']);
  });

  test('keys do nothing below what is said', async () => {
    const { app } = await at('scan-card-other');
    app.onKey(key('j'), IDLE, 0);
    expect([app.scans.notice?.tone, app.card === null]).toEqual(['critical', false]);
    app.onKey(key('Enter'), IDLE, 0);
    expect([app.scans.notice, app.card === null]).toEqual([null, false]);
  });
});

test.each([
  ['scan-nobody', 'No patient found by this band', 'board'],
  ['scan-medicine', 'Not a patient', 'board'],
  ['scan-damaged', 'Code not read', 'search'],
  ['scan-lost', 'Code not read', 'search'],
  ['scan-error', 'The band could not be looked up', 'board'],
])('%s says "%s" and opens nothing', async (screen, title, view) => {
  const { app } = await at(screen);
  expect([app.scans.notice?.title, app.view, app.open.length]).toEqual([title, view, 0]);
});

test.each([['packet'], ['charts-fifth'], ['entries-settle']])('over %s nothing is even looked up', async (screen) => {
  const { app, fake } = await at(screen);
  fake.scan = () => Promise.reject(new Error('looked up'));
  fake.emergencyScan = fake.scan;
  await app.scans.take('8018', 0);
  expect(app.scans.notice?.title).toBe('Not opened');
});

test('who has not said who they are for an emergency is asked that first', async () => {
  const { app } = await at('search');
  app.emergency.openHere();
  await app.scans.take('8018', 0);
  expect([app.scans.notice?.text, app.dialog?.patient]).toEqual(['Say who you are first; then scan the band.', null]);
});

test('an answer that comes after the lock opens nothing (S18)', async () => {
  const { app, fake } = await at('board');
  let tell: (view: ScanView) => void = () => {};
  fake.scan = () => new Promise((done) => (tell = done));
  const taken = app.scans.take('8018', 0);
  app.lock();
  tell(BANDS.mary);
  await taken;
  await app.signIn('dlee', '0000');
  await settled();
  expect([app.view, app.open.length, app.scans.notice]).toEqual(['search', 0, null]);
});

test('an answer that comes when another screen is there opens nothing', async () => {
  const { app, fake } = await at('board');
  let tell: (view: ScanView) => void = () => {};
  fake.scan = () => new Promise((done) => (tell = done));
  const taken = app.scans.take('8018', 0);
  app.askPacket();
  tell(BANDS.mary);
  await taken;
  expect([app.open.length, app.scans.notice?.title, app.packet === null]).toEqual([0, 'Not opened', false]);
});

test('of two bands the newer one counts', async () => {
  const { app, fake } = await at('board');
  const tells: ((view: ScanView) => void)[] = [];
  fake.scan = () => new Promise((done) => tells.push(done));
  const taken = [app.scans.take('1', 0), app.scans.take('2', 0)];
  tells[1]?.(BANDS.mary);
  tells[0]?.(BANDS.john);
  await Promise.all(taken);
  expect(app.open.map(({ asked }) => asked)).toEqual(['p-mary']);
});

test('the lock hides it (S18), and the glass can be broken over it', async () => {
  const { app } = await at('scan-same');
  app.emergency.openHere();
  expect([app.scans.notice, app.dialog === null]).toEqual([null, false]);
  const other = await at('scan-compare');
  other.app.lock();
  expect([other.app.scans.notice, other.app.scans.compared, other.app.scans.listening]).toEqual([null, null, false]);
});

test('identified from the lock, the patient chosen: a band is compared by the same proof', async () => {
  const { app, fake } = await at('glass-picked');
  const asked: string[] = [];
  fake.emergencyScan = (token) => {
    asked.push(token);
    return Promise.resolve(BANDS.john);
  };
  fake.scan = () => Promise.reject(new Error('nobody is signed in'));
  const { patient, token } = app.dialog ?? {};
  await app.scans.take('8018', 0);
  expect([asked, app.scans.notice?.title, app.dialog?.patient]).toEqual([[token], 'The same patient', patient]);
});

test('nobody is signed in: nothing is listened to; identified for an emergency, it is', async () => {
  const { app } = await at('lock');
  expect(app.scans.listening).toBe(false);
  expect((await at('glass-search')).app.scans.listening).toBe(true);
});

test('a failure is said in the engine’s words', async () => {
  const { app, fake } = await at('board');
  fake.world.scan = failure('not-on-this-workstation', 'The patient list is not on this workstation.');
  await app.scans.take('8018', 0);
  expect(app.scans.notice?.text).toBe('The patient list is not on this workstation.');
});
