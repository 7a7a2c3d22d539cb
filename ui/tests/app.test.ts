/** The state of the screen over the fake engine: locking, late answers, wrong patients, breaking the glass. */
import { beforeEach, describe, expect, test } from 'vitest';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { MARY_BANNER, MARY_CARD, MARY_CHART } from '../src/ipc/fixtures/people';
import { OTHER_CHART } from '../src/ipc/fixtures/scenarios';
import { calm, failure } from '../src/ipc/fixtures/world';
import { whoOfBanner } from '../src/domain/who';
import { App, IDLE_LOCK_CARD_MS, IDLE_LOCK_MS, SILENT_AFTER_MS } from '../src/state/app.svelte';
import type { ChartView } from '../src/wire/ChartView';
import type { BreakGlass } from '../src/ipc/backend';
import type { Key } from '../src/state/keys';
import type { PatientRowView } from '../src/wire/PatientRowView';

let fake: Fake;
let app: App;
const IDLE = { typing: false, control: false };
const TYPING = { typing: true, control: false };
const key = (name: string, ctrlKey = false): Key => ({ key: name, ctrlKey, shiftKey: false, altKey: false, metaKey: false });
const settled = () => new Promise((done) => setTimeout(done, 0));

beforeEach(async () => {
  fake = fakeOf(calm());
  app = new App(fake);
  await app.start();
});

/** Everything on the state that could hold a patient. */
function remembered(): string {
  return JSON.stringify([app.search.result, app.board.result, app.open, app.fifth, app.card, app.dialog?.patient, app.dialog?.found.result, app.query]);
}

describe('a sign-in that the server confirms later', () => {
  const offline = () => ({ ...fake.world.session, offline: true });

  test('is taken over', async () => {
    fake.signIn = async () => offline();
    await app.signIn('dlee', '0000');
    expect(app.session?.offline).toBe(true);
    fake.tell({ kind: 'session', value: { ...offline(), display: 'Dr LEE, Anna', offline: false } });
    expect(app.session).toMatchObject({ display: 'Dr LEE, Anna', offline: false });
  });

  test('counts also when it is confirmed before the engine has answered', async () => {
    let arrive: () => void = () => {};
    fake.signIn = () => new Promise((resolve) => (arrive = () => resolve(offline())));
    const signing = app.signIn('dlee', '0000');
    fake.tell({ kind: 'session', value: { ...offline(), offline: false } });
    expect(app.session).toBeNull();
    arrive();
    await signing;
    expect(app.session?.offline).toBe(false);
  });

  test('opens no screen after a lock, and is not taken for somebody else', async () => {
    await app.signIn('dlee', '0000');
    app.lock();
    fake.tell({ kind: 'session', value: { ...offline(), offline: false } });
    expect(app.session).toBeNull();
    fake.signIn = async () => ({ ...offline(), user: 'brao' });
    await app.signIn('brao', '0000');
    fake.tell({ kind: 'session', value: { ...offline(), offline: false } });
    expect(app.session).toMatchObject({ user: 'brao', offline: true });
  });
});

describe('lock (S18)', () => {
  test('clears everything at once, before the engine answers', async () => {
    fake.lock = () => new Promise(() => {});
    await app.signIn('dlee', '0000');
    app.lookFor('smi');
    app.showBoard();
    await settled();
    await app.openChart('p-mary', 'board');
    app.emergency.open(whoOfBanner(MARY_BANNER));
    app.lock();
    expect(app.view).toBe('lock');
    expect(app.session).toBeNull();
    expect(remembered()).not.toMatch(/JONES|SMITH|CHEN/);
  });

  test('an answer on its way when the lock falls is dropped', async () => {
    await app.signIn('dlee', '0000');
    let arrive: (chart: ChartView) => void = () => {};
    fake.chartOpen = () => new Promise((resolve) => (arrive = resolve));
    const opening = app.openChart('p-mary', 'search');
    app.lock();
    arrive(MARY_CHART);
    await opening;
    expect(remembered()).not.toContain('JONES');
  });

  test('a sign-in that answers after a lock does not open the screen', async () => {
    let arrive: () => void = () => {};
    fake.signIn = () => new Promise((resolve) => (arrive = () => resolve(fake.world.session)));
    const signing = app.signIn('dlee', '0000');
    app.lock();
    arrive();
    await signing;
    expect(app.view).toBe('lock');
    expect(app.session).toBeNull();
  });

  test('the engine locks the screen', async () => {
    await app.signIn('dlee', '0000');
    await app.openChart('p-mary', 'search');
    fake.tell({ kind: 'locked' });
    expect(app.view).toBe('lock');
    expect(remembered()).not.toContain('JONES');
  });

  test('the echo of our own lock does not close an emergency dialog opened since', async () => {
    await app.signIn('dlee', '0000');
    app.lock();
    app.onKey(key('F12', true), IDLE, 0);
    fake.tell({ kind: 'locked' });
    await settled();
    expect(app.dialog).not.toBeNull();
  });

  test('a revocation closes it', async () => {
    await openCard();
    fake.world.lock = { ...fake.world.lock, device_state: 'revoked' };
    fake.tell({ kind: 'locked' });
    await settled();
    expect(app.card).toBeNull();
    expect(remembered()).not.toContain('JONES');
  });

  test('Ctrl+L works from everywhere, also under a card', async () => {
    await openCard();
    expect(app.onKey(key('l', true), TYPING, 0)).toBe(true);
    expect(app.card).toBeNull();
    expect(app.view).toBe('lock');
  });

  test('idle: announced, then locked; a card stays longer', async () => {
    await app.signIn('dlee', '0000');
    app.touched(0);
    app.tick(IDLE_LOCK_MS - 10_000);
    expect(app.locksIn).toBe(10);
    app.touched(IDLE_LOCK_MS - 9_000);
    expect(app.locksIn).toBeNull();
    app.tick(2 * IDLE_LOCK_MS);
    expect(app.session).toBeNull();
    await openCard();
    app.touched(0);
    app.tick(IDLE_LOCK_MS + 1);
    expect(app.card).not.toBeNull();
    app.tick(IDLE_LOCK_CARD_MS + 1);
    expect(app.card).toBeNull();
  });
});

describe('charts', () => {
  test('a record of another patient is never shown (S8)', async () => {
    await app.signIn('dlee', '0000');
    fake.world.chart = { ok: OTHER_CHART };
    await app.openChart('p-mary', 'search');
    expect(app.chart?.view).toBeNull();
    expect(app.chart?.error?.text).toContain('another patient');
    expect(remembered()).not.toContain('SMITH');
  });

  test('the slower answer of the chart before is not shown over the newer one', async () => {
    await app.signIn('dlee', '0000');
    const arrivals: ((chart: ChartView) => void)[] = [];
    fake.chartOpen = () => new Promise((resolve) => arrivals.push(resolve));
    const first = app.openChart('p-john', 'search');
    const second = app.openChart('p-mary', 'search');
    arrivals[1]?.(MARY_CHART);
    arrivals[0]?.(OTHER_CHART);
    await Promise.all([first, second]);
    expect(app.chart?.view?.banner.patient).toBe('p-mary');
  });

  test('leaving a chart tells the engine', async () => {
    const closed: string[] = [];
    fake.chartClose = async (patient) => void closed.push(patient);
    await app.signIn('dlee', '0000');
    await app.openChart('p-mary', 'search');
    app.onKey(key('Escape'), IDLE, 0);
    expect(closed).toEqual(['p-mary']);
    expect(app.view).toBe('search');
  });

  test('a change of this patient is read again, of another is not', async () => {
    await app.signIn('dlee', '0000');
    await app.openChart('p-mary', 'search');
    let reads = 0;
    fake.chartOpen = async () => (reads++, MARY_CHART);
    fake.tell({ kind: 'patients-changed', value: ['p-john'] });
    fake.tell({ kind: 'patients-changed', value: ['p-mary'] });
    await settled();
    expect(reads).toBe(1);
  });

  test('a restricted row opens the emergency dialog, not the chart', async () => {
    await app.signIn('dlee', '0000');
    app.lookFor('smi');
    await settled();
    app.search.cursor = 3;
    app.onKey(key('Enter'), TYPING, 0);
    await settled();
    expect(app.chart).toBeNull();
    expect(app.dialog?.patient?.patient).toBe('p-smith-mary');
  });
});

describe('search', () => {
  test('only the newest question is answered', async () => {
    await app.signIn('dlee', '0000');
    const arrivals: (() => void)[] = [];
    fake.search = (query) =>
      new Promise((resolve) => arrivals.push(() => resolve({ query, rows: [], summary_text: query, more: false })));
    app.lookFor('a');
    app.lookFor('ab');
    arrivals[1]?.();
    arrivals[0]?.();
    await settled();
    expect(app.search.result?.query).toBe('ab');
  });

  describe('Enter before the answer is there', () => {
    /** Answers of the search by the order in which they were asked for. */
    const arrivals: ((rows: PatientRowView[]) => void)[] = [];
    const john = () => ({ ...row(0), patient: 'p-john' });
    const mary = () => ({ ...row(0), patient: 'p-mary' });
    const row = (n: number): PatientRowView => {
      const found = calm().search;
      const one = typeof found === 'object' && 'ok' in found ? found.ok.rows[n] : undefined;
      if (one === undefined) throw new Error('no row');
      return { ...one, restricted: false };
    };

    beforeEach(async () => {
      arrivals.length = 0;
      fake.search = (query) =>
        new Promise((resolve) => arrivals.push((rows) => resolve({ query, rows, summary_text: query, more: false })));
      await app.signIn('dlee', '0000');
      app.lookFor('44');
      arrivals[0]?.([john(), mary()]);
      await settled();
      app.lookFor('4471');
      app.onKey(key('Enter'), TYPING, 0);
    });

    test('opens nothing of the answer before it', async () => {
      await settled();
      expect(app.chart).toBeNull();
    });

    test('opens the only one found', async () => {
      arrivals[1]?.([mary()]);
      await settled();
      expect(app.chart?.asked).toBe('p-mary');
    });

    test('leaves the choice among several to the person', async () => {
      arrivals[1]?.([john(), mary()]);
      await settled();
      expect(app.chart).toBeNull();
    });

    test('is forgotten when somebody types on, or locks', async () => {
      app.lookFor('44710');
      arrivals[1]?.([mary()]);
      arrivals[2]?.([mary()]);
      await settled();
      expect(app.chart).toBeNull();
      app.lookFor('4');
      app.onKey(key('Enter'), TYPING, 0);
      app.lock();
      arrivals[3]?.([mary()]);
      await settled();
      expect(app.chart).toBeNull();
    });

    test('while the same question is asked again, the row under the cursor is meant', async () => {
      arrivals[1]?.([john(), mary()]);
      await settled();
      app.search.move(1);
      app.refresh();
      app.onKey(key('Enter'), TYPING, 0);
      await settled();
      expect(app.chart?.asked).toBe('p-mary');
    });

    test('the emergency dialog takes no patient from the answer before it', async () => {
      app.onKey(key('F12', true), IDLE, 0);
      await settled();
      expect(app.dialog?.patient).toBeNull();
    });

    test('picks nothing of it in an emergency either', async () => {
      app.lock();
      app.onKey(key('F12', true), IDLE, 0);
      await settled();
      const dialog = app.dialog;
      if (dialog === null) throw new Error('no dialog');
      dialog.token = 'proven';
      fake.emergencySearch = (_token, query) => fake.search(query);
      dialog.lookFor('44');
      arrivals[2]?.([john(), mary()]);
      await settled();
      dialog.lookFor('4471');
      app.onKey(key('Enter'), TYPING, 0);
      await settled();
      expect(dialog.patient).toBeNull();
      arrivals[3]?.([mary()]);
      await settled();
      expect(dialog.patient?.patient).toBe('p-mary');
    });
  });

  test('the cursor stays on the same patient and within the list', async () => {
    await app.signIn('dlee', '0000');
    app.lookFor('smi');
    await settled();
    app.search.move(-1);
    expect(app.search.cursor).toBe(0);
    app.search.move(2);
    const before = app.search.row?.patient;
    await app.search.load(async () => {
      const found = await fake.search('smi');
      return { ...found, rows: [...found.rows].reverse() };
    });
    expect(app.search.row?.patient).toBe(before);
    app.search.move(99);
    expect(app.search.cursor).toBe(4);
  });
});

async function openCard(): Promise<void> {
  app.emergency.open(whoOfBanner(MARY_BANNER));
  await settled();
  const dialog = app.dialog;
  dialog?.chooseDigit(1);
  if (dialog) {
    dialog.user = 'dlee';
    dialog.secret = '482913';
  }
  await app.emergency.show(performance.now());
}

describe('breaking the glass', () => {
  test('nothing is chosen beforehand and nothing happens before all is there (S27)', async () => {
    let broken = 0;
    fake.breakGlass = async () => (broken++, MARY_CARD);
    app.emergency.open(whoOfBanner(MARY_BANNER));
    await settled();
    expect(app.dialog?.reason).toBeNull();
    expect(app.dialog?.step).toBe('reason');
    await app.emergency.show(0);
    app.dialog?.chooseDigit(1);
    await app.emergency.show(0);
    expect(broken).toBe(0);
    expect(app.card).toBeNull();
  });

  test('the row that a board opens on is nobody\'s choice; one that a person went to is', async () => {
    await app.signIn('dlee', '0000');
    app.showBoard();
    await settled();
    expect(app.board.row).not.toBeNull();
    app.onKey(key('F12', true), IDLE, 0);
    expect(app.dialog?.patient).toBeNull();
    app.emergency.cancel();
    app.onKey(key('ArrowDown'), IDLE, 0);
    app.onKey(key('F12', true), IDLE, 0);
    expect(app.dialog?.patient?.patient).toBe(app.board.row?.patient);
  });

  test('of several that a search found none is taken, the only one is', async () => {
    await app.signIn('dlee', '0000');
    const found = await fake.search('smi');
    for (const [rows, taken] of [[found.rows, null], [found.rows.slice(1, 2), found.rows[1]?.patient]] as const) {
      fake.search = async () => ({ ...found, rows: [...rows] });
      app.showSearch();
      app.lookFor(`smi${rows.length}`);
      await settled();
      app.onKey(key('F12', true), IDLE, 0);
      expect(app.dialog?.patient?.patient ?? null, `${rows.length}`).toBe(taken);
      app.emergency.cancel();
    }
  });

  test('whose secret is too long ago is asked for it at once, not after the last key', async () => {
    const asked = await fake.reasons();
    fake.reasons = async () => ({ ...asked, secret_needed: true });
    await app.signIn('dlee', '0000');
    app.emergency.open(whoOfBanner(MARY_BANNER));
    await settled();
    app.dialog?.chooseDigit(1);
    expect([app.dialog?.step, app.dialog?.secretNeeded]).toEqual(['secret', true]);
  });

  test('whom it was opened for can be changed: who they are is said first, then the other is looked for', async () => {
    await app.signIn('dlee', '0000');
    app.emergency.open(whoOfBanner(MARY_BANNER));
    await settled();
    const dialog = app.dialog;
    if (dialog === null) throw new Error('no dialog');
    dialog.chooseDigit(1);
    expect([dialog.step, dialog.secretNeeded]).toEqual(['ready', false]);
    dialog.unpick();
    expect([dialog.patient, dialog.step, dialog.maySearch]).toEqual([null, 'secret', false]);
    dialog.secret = '482913';
    app.onKey(key('Enter'), TYPING, 0);
    await settled();
    dialog.lookFor('smi');
    await settled();
    dialog.pick(1);
    expect(dialog.patient?.patient).not.toBe(MARY_BANNER.patient);
    // Just picked: confirmed on the button, as any other.
    app.onKey(key('Enter'), TYPING, 0);
    await settled();
    expect(app.card).toBeNull();
  });

  test('from the lock screen: reason, identity, search, pick, confirm', async () => {
    app.onKey(key('F12', true), IDLE, 0);
    await settled();
    const dialog = app.dialog;
    if (dialog === null) throw new Error('no dialog');
    expect(dialog.maySearch).toBe(false);
    app.onKey(key('1'), IDLE, 0);
    expect(dialog.reason?.code).toBe('life-threatening');
    dialog.user = 'dlee';
    dialog.secret = '482913';
    app.onKey(key('Enter'), TYPING, 0);
    await settled();
    expect(dialog.maySearch).toBe(true);
    expect(dialog.secret).toBe('');
    dialog.lookFor('jon');
    await settled();
    app.onKey(key('Enter'), TYPING, 0);
    await settled();
    // Picked, not yet opened: a fuzzy match is confirmed on the button.
    expect(dialog.patient).not.toBeNull();
    expect(app.card).toBeNull();
    dialog.patient = whoOfBanner(MARY_BANNER);
    await app.emergency.show(performance.now());
    expect(app.card?.banner.patient).toBe('p-mary');
    expect(app.dialog).toBeNull();
  });

  test('a reason that needs words waits for them', async () => {
    app.emergency.open(whoOfBanner(MARY_BANNER));
    await settled();
    app.dialog?.chooseDigit(5);
    expect(app.dialog?.step).toBe('words');
  });

  test('the search before identity asks nothing', () => {
    let asked = 0;
    fake.emergencySearch = async () => (asked++, { query: '', rows: [], summary_text: '', more: false });
    app.emergency.open(null);
    app.dialog?.lookFor('smi');
    expect(asked).toBe(0);
  });

  test('a wrong secret is dropped and said', async () => {
    fake.world.card = failure('wrong-secret', 'Wrong.');
    await openCard();
    expect(app.card).toBeNull();
    expect(app.dialog?.secret).toBe('');
    expect(app.dialog?.error?.text).toBe('Wrong.');
  });

  test('signed in with a patient in view: a reason and Enter, no secret while it is fresh', async () => {
    const sent: BreakGlass[] = [];
    fake.breakGlass = async (request) => (sent.push(request), MARY_CARD);
    await app.signIn('dlee', '482913');
    app.emergency.open(whoOfBanner(MARY_BANNER));
    await settled();
    app.onKey(key('1'), IDLE, 0);
    expect(app.dialog?.step).toBe('ready');
    await app.emergency.show(0);
    expect(sent).toEqual([{ patient: 'p-mary', reason: 'life-threatening', words: null, token: null, user: null, secret: null, badge: null }]);
    expect(app.card).not.toBeNull();
  });

  test('signed in too long ago: the engine asks for the secret, the dialog then does', async () => {
    fake.world.card = failure('not-signed-in', 'Your last PIN is more than 5 minutes ago: give it again.');
    await app.signIn('dlee', '482913');
    app.emergency.open(whoOfBanner(MARY_BANNER));
    await settled();
    app.dialog?.chooseDigit(1);
    await app.emergency.show(0);
    expect(app.card).toBeNull();
    expect(app.dialog?.step).toBe('secret');
    expect(app.dialog?.error?.text).toContain('give it again');
  });

  test('a card of another patient is never shown (S8)', async () => {
    fake.world.card = { ok: { ...MARY_CARD, labs: { ...MARY_CARD.labs, patient: 'p-john' } } };
    await openCard();
    expect(app.card).toBeNull();
    expect(app.cardError?.text).toContain('another patient');
  });

  test('cancelling and closing leave no secret and no card', async () => {
    app.emergency.open(null);
    const dialog = app.dialog;
    if (dialog) dialog.secret = '482913';
    app.onKey(key('Escape'), TYPING, 0);
    expect(app.dialog).toBeNull();
    expect(dialog?.secret).toBe('');
    await openCard();
    app.onKey(key('Escape'), IDLE, 0);
    expect(app.card).toBeNull();
    expect(app.view).toBe('lock');
  });

  test('the paint is reported with the time since the key', async () => {
    const marks: [string, number | null][] = [];
    fake.painted = async (mark, since) => void marks.push([mark, since]);
    await openCard();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 5))));
    const card = marks.find(([mark]) => mark === 'emergency-card');
    expect(card?.[1]).toBeGreaterThanOrEqual(0);
  });

  test('is not offered where nothing is stored', () => {
    app.lockInfo = { ...fake.world.lock, device_state: 'revoked' };
    app.onKey(key('F12', true), IDLE, 0);
    expect(app.dialog).toBeNull();
  });
});

test('an engine that stops answering is said within seconds', async () => {
  fake.status = () => new Promise(() => {});
  app.tick(performance.now() + SILENT_AFTER_MS + 1);
  expect(app.silent).toBe(true);
});

test('the engine hears of what happens at the screen, and an open card keeps it awake', async () => {
  let heard = 0;
  fake.active = async () => void heard++;
  await app.signIn('dlee', '0000');
  app.tick(performance.now());
  expect(heard).toBe(1);
  app.tick(performance.now());
  expect(heard).toBe(1);
  app.onKey(key('j'), IDLE, performance.now());
  app.tick(performance.now());
  expect(heard).toBe(2);
  await openCard();
  app.tick(performance.now());
  app.tick(performance.now());
  expect(heard).toBe(4);
});

test('F5 asks the server at once, also from the lock screen, and reads again what is here', async () => {
  let asked = 0;
  let read = 0;
  fake.askServer = async () => void asked++;
  const status = fake.status;
  fake.status = () => (read++, status());
  app.onKey(key('F5'), IDLE, performance.now());
  expect([asked, read]).toEqual([1, 1]);
  await app.signIn('dlee', '0000');
  app.onKey(key('F5'), IDLE, performance.now());
  expect(asked).toBe(2);
});

test('when the engine lost count, what is on the screen is read again', async () => {
  await app.signIn('dlee', '0000');
  await app.openChart('p-mary', 'search');
  let reads = 0;
  fake.chartOpen = async () => (reads++, MARY_CHART);
  fake.tell({ kind: 'patients-changed', value: [] });
  await settled();
  expect(reads).toBe(1);
});

test('night and size are kept', async () => {
  const kept: unknown[] = [];
  fake.setPreferences = async (preferences) => void kept.push(preferences);
  app.onKey({ ...key('N', true), shiftKey: true }, IDLE, 0);
  expect(document.documentElement.dataset.theme).toBe('night');
  app.onKey(key('+', true), IDLE, 0);
  app.onKey(key('+', true), IDLE, 0);
  app.onKey(key('+', true), IDLE, 0);
  app.onKey(key('+', true), IDLE, 0);
  expect(app.preferences).toEqual({ night: true, scale: 200, language: 'en' });
  expect(kept).toHaveLength(5);
});

test('another language is kept, told the engine, and opens the page anew; not where the engine does not follow', async () => {
  const kept: unknown[] = [];
  const opened: string[] = [];
  const open = (language: string) => void opened.push(language);
  fake.setPreferences = async (preferences) => void kept.push(preferences);
  await app.speak('en', open);
  expect(opened).toEqual([]);
  await app.speak('de', open);
  expect(kept).toEqual([{ night: false, scale: 100, language: 'de' }]);
  expect(opened).toEqual(['de']);
  fake.setPreferences = () => Promise.reject(new Error('gone'));
  await app.speak('en', open);
  expect(opened).toEqual(['de']);
  expect(app.preferences.language).toBe('de');
  expect(app.lockError).not.toBeNull();
});
