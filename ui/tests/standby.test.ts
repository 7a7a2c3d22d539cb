/** The page that makes room after a lock: when it does, when it does not, and what the other one does meanwhile. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';
import { QUIET_MS, SAID_MS, SETTLED_MS, Standby } from '../src/state/standby';

let fake: Fake;
let app: App;
let standby: Standby;
let asked: string[];
let typed = false;
let ready = false;

beforeEach(async () => {
  vi.useFakeTimers();
  fake = fakeOf(calm());
  asked = [];
  typed = false;
  ready = true;
  fake.standbyPrepare = async () => void asked.push('prepare');
  fake.standbyExchange = async (ms) => {
    asked.push(ready ? 'exchange' : 'not yet');
    expect(ms).toBeGreaterThanOrEqual(0);
    return ready;
  };
  app = new App(fake);
  standby = new Standby(app, () => typed);
  Object.defineProperty(app, 'standby', { value: standby });
  await app.start();
});
afterEach(() => void vi.useRealTimers());

const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const exchanged = () => asked.filter((each) => each === 'exchange').length;

async function signedIn(): Promise<void> {
  standby.press('0', performance.now());
  await app.signIn('dlee', '0000');
}

describe('a page that somebody worked in', () => {
  test('is exchanged as soon as the lock has settled', async () => {
    await signedIn();
    standby.press('l', performance.now());
    app.lock();
    await later(SETTLED_MS - 20);
    expect(exchanged()).toBe(0);
    await later(40);
    expect(exchanged()).toBe(1);
  });

  test('is exchanged when the engine locks by itself', async () => {
    await signedIn();
    fake.tell({ kind: 'locked' });
    await later(SETTLED_MS + 20);
    expect(exchanged()).toBe(1);
  });

  test('has the other one loaded while nobody types, once', async () => {
    await signedIn();
    standby.tick(performance.now());
    expect(asked).toEqual([]);
    await later(QUIET_MS);
    standby.tick(performance.now());
    standby.tick(performance.now() + 1);
    expect(asked).toEqual(['prepare']);
  });

  test('asks again until the other one is there', async () => {
    ready = false;
    await signedIn();
    app.lock();
    await later(1_000);
    expect(exchanged()).toBe(0);
    expect(asked).toContain('prepare');
    ready = true;
    await later(300);
    expect(exchanged()).toBe(1);
  });

  const HANDS: [string, () => void][] = [
    ['a key comes', () => standby.press('F12', performance.now())],
    ['something is typed', () => (typed = true)],
    ['the emergency dialog is open', () => app.emergency.open(null)],
    ['the help is open', () => (app.help = true)],
    ['a badge picked somebody', () => (app.ways.badge = { token: 'x', user: 'dlee', display: 'Dr LEE', initials: 'DL', role: 'Physician' } as never)],
    ['the browser is open', () => (app.ways.browsing = true)],
    ['somebody was refused', () => (app.signInError = failure('secret-wrong' as never, 'Wrong.').error)],
  ];
  test.each(HANDS)('stays where %s after the lock', async (_, happens) => {
    await signedIn();
    app.lock();
    await later(10);
    happens();
    await later(1_000);
    standby.tick(performance.now());
    expect(exchanged()).toBe(0);
  });

  test('goes when the hands are off again, and a refusal has been read', async () => {
    await signedIn();
    app.lock();
    standby.press('F12', performance.now());
    app.emergency.open(null);
    await later(QUIET_MS + 100);
    standby.tick(performance.now());
    expect(exchanged()).toBe(0);
    app.emergency.cancel();
    app.signInError = failure('secret-wrong' as never, 'Wrong.').error;
    standby.tick(performance.now());
    await later(0);
    expect(exchanged()).toBe(0);
    await later(SAID_MS);
    standby.tick(performance.now());
    await later(0);
    expect(exchanged()).toBe(1);
  });
});

test('a page in which nobody did anything stays', async () => {
  app.lock();
  fake.tell({ kind: 'locked' });
  await later(10_000);
  standby.tick(performance.now());
  expect(asked).toEqual([]);
});

describe('the page behind', () => {
  let front: () => void;
  let listening: number;

  beforeEach(async () => {
    listening = 0;
    fake = fakeOf(calm());
    fake.standbyBehind = async () => true;
    fake.standbyReady = async (heard) => {
      front = heard;
      return true;
    };
    fake.listen = async () => void listening++;
    app = new App(fake);
    await app.start();
    app.standby.painted();
  });

  test('hears of nobody, and says nothing of a first screen', async () => {
    await later(100);
    expect(app.standby.behind).toBe(true);
    expect([listening, fake.marks]).toEqual([0, []]);
  });

  test('hears and reads everything once it is in front', async () => {
    front();
    front();
    await later(0);
    expect(app.standby.behind).toBe(false);
    expect(listening).toBe(1);
  });

  test('is in front where it gets a key, whatever it was told', async () => {
    app.standby.press('F12', performance.now());
    await later(0);
    expect([app.standby.behind, listening]).toEqual([false, 1]);
  });
});
