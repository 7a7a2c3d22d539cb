/**
 * The wall of live vital signs: no number stands as live that is too old, whatever stops, sleeps or is set; it is gone with
 * the screen and with the lock.
 */
import { flushSync } from 'svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { attentionOf, bandOf, countsText, isLive, layoutOf, shiftOf, sinceLast, slotsOf, spanText, stateNow, trendsOf, TREND_HIGH, whoOfBed } from '../src/domain/wall';
import type { Backend } from '../src/ipc/backend';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { fortyBeds, signal, STANDS_MS, trendsOfWall, WALL, WALL_40, WALL_DOWN, WALL_MIXED } from '../src/ipc/fixtures/wall';
import { calm, failure } from '../src/ipc/fixtures/world';
import type { App } from '../src/state/app.svelte';
import { offersOf } from '../src/state/palette.svelte';
import { choose } from '../src/state/acts';
import { Wall, WALL_ASK_MS, WALL_SPEAK_MS, WALL_TICK_MS } from '../src/state/wall.svelte';
import type { MonitorState } from '../src/wire/MonitorState';
import type { WallBedView } from '../src/wire/WallBedView';
import type { WallView } from '../src/wire/WallView';
import { all, leave, one, screen, words } from './onScreen';

const IDLE = { typing: false, control: false };
const settled = () => new Promise((done) => setTimeout(done, 0));
const press = (app: App, key: string, ctrlKey = false, focus = IDLE) => app.onKey({ key, ctrlKey, shiftKey: false, altKey: false, metaKey: false }, focus, performance.now());
const cell = (patient: string): HTMLElement => {
  const found = all('wall-bed').find((each) => each.dataset.patient === patient);
  if (found === undefined) throw new Error(`no cell of ${patient}`);
  return found;
};
const signalsIn = (of: HTMLElement) => [...of.querySelectorAll<HTMLElement>('[data-testid=wall-signal]')];
const bed = (more: Partial<WallBedView> = {}): WallBedView => ({
  patient: 'p', bed: '1', name: 'JONES, Mary (Ms)', person_text: '68y F', similar_name: false, state: 'live', last_text: null,
  signals: [signal('hr', 'HR', '72', '/min', 1_000)], ...more,
});
const viewOf = (...beds: WallBedView[]): WallView => ({ ...WALL, beds });

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await leave();
});

describe('what is live', () => {
  test('to the very millisecond, and never a value that is measured now and then', () => {
    const hr = signal('hr', 'HR', '72', '/min', 1_000);
    expect(isLive(hr, 4_000, STANDS_MS)).toBe(true);
    expect(isLive(hr, 4_001, STANDS_MS)).toBe(false);
    expect(isLive({ ...hr, age_ms: 0, spot: true }, 0, STANDS_MS)).toBe(false);
    expect(isLive({ ...hr, age_ms: Number.NaN }, 0, STANDS_MS)).toBe(false);
    expect(isLive(hr, 0, Number.NaN)).toBe(false);
  });

  test('a bed is never better than the engine said, and gets worse by itself', () => {
    expect(stateNow(bed(), 4_000, STANDS_MS)).toBe('live');
    expect(stateNow(bed(), 4_001, STANDS_MS)).toBe('not-live');
    for (const state of ['not-live', 'never', 'restricted'] as const) expect(stateNow(bed({ state }), 0, STANDS_MS)).toBe(state);
    // A cuff alone keeps no bed alive.
    expect(stateNow(bed({ signals: [signal('nibp', 'NIBP', '118/74 (89)', 'mmHg', 0, { spot: true })] }), 0, STANDS_MS)).toBe('not-live');
    expect(stateNow(bed({ signals: [] }), 0, STANDS_MS)).toBe('not-live');
    // One that is young is enough.
    expect(stateNow(bed({ signals: [signal('hr', 'HR', '72', '/min', 9_000), signal('rr', 'RR', '14', '/min', 900)] }), 0, STANDS_MS)).toBe('live');
  });

  test('how long nothing came is never said too short', () => {
    expect(sinceLast(bed({ signals: [signal('hr', 'HR', '72', '/min', 9_000), signal('nibp', 'NIBP', '1/1', 'mmHg', 10, { spot: true })] }), 500)).toBe(9_500);
    expect(sinceLast(bed({ signals: [] }), 500)).toBeNull();
    expect([1, 42_001, 119_000, 119_001, 3_540_001, 3_720_000, 7_200_000].map(spanText)).toEqual(['1 s', '43 s', '119 s', '2 min', '1 hr', '1 hr 2 min', '2 hr']);
  });

  test('the counts name what there is, and always how many are live', () => {
    expect(countsText(['live', 'not-live', 'live', 'never', 'restricted'])).toBe('2 live · 1 not live · 1 without a monitor · 1 not shown to you');
    expect(countsText(['not-live'])).toBe('0 live · 1 not live');
  });

  test('what stands out of view: what is not live, and critical marks of what is', () => {
    const flagged = bed({ signals: [signal('hr', 'HR', '148', '/min', 1_000, { flag_text: 'HH' }), signal('rr', 'RR', '24', '/min', 900, { flag_text: 'H' })] });
    const of = (state: MonitorState, elapsed = 0) => attentionOf([flagged], [state], elapsed, STANDS_MS)[0];
    expect(of('live')).toBe('HR\nHH');
    expect(of('live', 4_050)).toBeNull();
    expect(of('not-live')).toBe('not live');
    expect(of('restricted')).toBeNull();
    // Where most stand, the counts say it, and a critical mark is still found.
    const many = Array.from({ length: 12 }, () => flagged);
    expect(attentionOf(many, ['live', ...many.slice(1).map(() => 'not-live' as const)], 0, STANDS_MS).filter((each) => each !== null)).toEqual(['HR\nHH']);
  });
});

describe('where things stand', () => {
  test('a signal has one place in every bed, in the order of the engine; a twin is not left out', () => {
    const [hr, rr, bp] = [signal('hr', 'HR', '72', '/min', 0), signal('rr', 'RR', '14', '/min', 0), signal('nibp', 'NIBP', '118/74 (89)', 'mmHg', 0)];
    const slots = slotsOf([bed({ signals: [hr, rr] }), bed({ signals: [hr, bp, rr, rr] }), bed({ signals: [bp] }), bed({ state: 'restricted', signals: [signal('icp', 'ICP', '9', 'mmHg', 0)] })]);
    expect(slots).toEqual([{ key: 'hr 1', wide: false }, { key: 'nibp 1', wide: true }, { key: 'rr 1', wide: false }, { key: 'rr 2', wide: false }]);
  });

  test('forty beds fit on 1920 by 1080 with their trends; what has no room loses them first, then scrolls', () => {
    const slots = slotsOf(fortyBeds());
    expect(layoutOf(1888, 939, 40, slots)).toMatchObject({ columns: 8, trends: true, scrolls: false });
    expect(layoutOf(1888, 820, 40, slots)).toMatchObject({ columns: 8, trends: false, scrolls: false });
    expect(layoutOf(1248, 640, 40, slots)).toMatchObject({ columns: 5, trends: false, scrolls: true, scale: 1 });
    expect(layoutOf(1888, 939, 8, slots).scale).toBeGreaterThan(1.3);
    expect(layoutOf(2528, 1299, 40, slots).scale).toBeGreaterThan(1.3);
    expect(layoutOf(0, 0, 0, [])).toMatchObject({ columns: 1, scale: 1, scrolls: true });
    // Came out higher than reckoned.
    expect(layoutOf(1888, 939, 40, slots, 1.2).trends).toBe(false);
  });

  test('a trend shows gaps as gaps, and what is beyond the scale at its edge', () => {
    const path = bandOf({ low: 0, high: 100, steps: [[40, 60], null, [50, 50], [150, 180]] });
    expect(path.match(/M\d+/gu)).toEqual(['M0', 'M2', 'M3']);
    expect(path).toContain('M0 40h1v20h-1z');
    // One value is a line; nothing leaves the picture.
    expect(path).toContain('M2 47h1v6h-1z');
    expect(path).toContain('M3 0h1v6h-1z');
    for (const [, top, high] of path.matchAll(/M\d+ (-?\d+)h1v(\d+)/gu)) expect(Number(top) + Number(high)).toBeLessThanOrEqual(TREND_HIGH);
    expect(bandOf({ low: 5, high: 5, steps: [[5, 5]] })).toBe('');
  });

  test('heart rate and saturation first; a trend that nobody renews moves out of its picture', () => {
    const [first] = trendsOfWall(WALL).trends;
    if (first === undefined) throw new Error('no trend');
    const view = { step_s: 5, age_ms: 2_000, trends: ['map', 'spo2', 'rr', 'hr'].map((name) => ({ ...first, signal: name })) };
    expect(trendsOf(view).get(first.patient)?.map(({ signal: name }) => name)).toEqual(['hr', 'spo2']);
    expect([0, 2_999, 3_000, 58_000].map((elapsed) => shiftOf(view, elapsed))).toEqual([0, 0, 1, 12]);
  });

  test('who lies there, for the emergency dialog: what the wall does not know is said', () => {
    expect(whoOfBed(bed())).toMatchObject({ patient: 'p', name: 'JONES, Mary (Ms)', born: 'not on this list', number: 'not on this list', place: 'bed 1 · 68y F' });
  });
});

describe('it ages by itself', () => {
  /** An engine whose answers are given by hand. */
  function engine() {
    const asked: { kind: string; answer: (view: WallView) => void; fail: () => void }[] = [];
    const question = (kind: string) => () => new Promise<WallView>((answer, reject) => asked.push({ kind, answer, fail: () => reject(failure('internal', 'No.').error) }));
    const trends = vi.fn(async () => ({ step_s: 5, age_ms: 0, trends: [] }));
    const closed = vi.fn(async () => {});
    const wall = new Wall({ ...fakeOf(calm()), wallOpen: question('open'), wall: question('wall'), wallTrends: trends, wallClose: closed } as unknown as Backend);
    const answer = async (at: number, view: WallView) => {
      asked[at]?.answer(view);
      await vi.advanceTimersByTimeAsync(0);
    };
    return { wall, asked, answer, trends, closed, kinds: () => asked.map(({ kind }) => kind) };
  }
  const states = (wall: Wall) => wall.states;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] });
  });

  test('without any answer a bed stands still exactly once its youngest value is too old', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed()));
    expect([wall.counts, wall.elapsed]).toEqual(['1 live', 0]);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(states(wall)).toEqual(['live']);
    await vi.advanceTimersByTimeAsync(WALL_TICK_MS);
    expect(states(wall)).toEqual(['not-live']);
    expect(wall.counts).toBe('0 live · 1 not live');
    wall.close();
  });

  test('a computer that slept: the steady clock stood, the other one says how long', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed()));
    vi.setSystemTime(Date.now() + 10_000);
    wall.tick();
    expect(states(wall)).toEqual(['not-live']);
    expect(wall.elapsed).toBeGreaterThanOrEqual(10_000);
    wall.close();
  });

  test('a clock that is set back makes nothing younger', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed()));
    await vi.advanceTimersByTimeAsync(500);
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(wall.elapsed).toBe(4_500);
    expect(states(wall)).toEqual(['not-live']);
    wall.close();
  });

  test('an answer that was long on its way is old when it comes', async () => {
    const { wall, answer } = engine();
    wall.open();
    await vi.advanceTimersByTimeAsync(4_500);
    await answer(0, viewOf(bed()));
    expect([wall.elapsed, ...states(wall)]).toEqual([4_500, 'not-live']);
    wall.close();
  });

  test('one question at a time; what is heard meanwhile is asked once, afterwards', async () => {
    const { wall, asked, answer, kinds } = engine();
    wall.open();
    for (let i = 0; i < 5; i++) wall.hear();
    expect(kinds()).toEqual(['open']);
    await answer(0, viewOf(bed()));
    expect(kinds()).toEqual(['open', 'wall']);
    for (let i = 0; i < 7; i++) wall.hear();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toHaveLength(2);
    await answer(1, viewOf(bed()));
    expect(kinds()).toEqual(['open', 'wall', 'wall']);
    await answer(2, viewOf(bed()));
    expect(asked).toHaveLength(3);
    wall.close();
  });

  test('it asks by itself when nothing was heard for a second, and not before', async () => {
    const { wall, answer, asked } = engine();
    wall.open();
    await answer(0, viewOf(bed()));
    await vi.advanceTimersByTimeAsync(WALL_ASK_MS - WALL_TICK_MS);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(WALL_TICK_MS);
    expect(asked).toHaveLength(2);
    wall.close();
  });

  test('the late answer of an older question is nobody’s', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed({ name: 'FIRST' })));
    wall.hear();
    wall.again();
    await answer(2, viewOf(bed({ name: 'NEW' })));
    expect(wall.view?.beds[0]?.name).toBe('NEW');
    await answer(1, viewOf(bed({ name: 'OLD' })));
    expect(wall.view?.beds[0]?.name).toBe('NEW');
    wall.close();
  });

  test('an answer to a wall that was left shows nothing, and stops asking', async () => {
    const { wall, answer, asked, closed, trends } = engine();
    wall.open();
    wall.close();
    await answer(0, viewOf(bed()));
    expect([wall.view, wall.cursor, wall.counts]).toEqual([null, null, '']);
    wall.hear();
    wall.hearTrends();
    await vi.advanceTimersByTimeAsync(10_000);
    expect([asked.length, trends.mock.calls.length, closed.mock.calls.length]).toEqual([1, 0, 1]);
    wall.close();
    expect(closed).toHaveBeenCalledTimes(1);
  });

  test('what cannot be read again is not left standing; it comes back by itself', async () => {
    const { wall, asked, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed()));
    wall.hear();
    asked[1]?.fail();
    await vi.advanceTimersByTimeAsync(0);
    expect([wall.view, wall.error?.text]).toEqual([null, 'No.']);
    await vi.advanceTimersByTimeAsync(WALL_ASK_MS);
    await answer(2, viewOf(bed()));
    expect([wall.view === null, wall.error]).toEqual([false, null]);
    wall.close();
  });

  test('a wall that could not be opened is opened again only when somebody asks or something is heard', async () => {
    const { wall, asked, kinds } = engine();
    wall.open();
    asked[0]?.fail();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(kinds()).toEqual(['open']);
    wall.again();
    expect(kinds()).toEqual(['open', 'open']);
    wall.close();
  });

  test('changed counts are spoken, and not oftener than one can listen', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed()));
    expect(wall.spoken).toBe('1 live');
    wall.hear();
    await answer(1, viewOf(bed({ state: 'not-live' })));
    expect([wall.counts, wall.spoken]).toEqual(['0 live · 1 not live', '1 live']);
    await vi.advanceTimersByTimeAsync(WALL_SPEAK_MS);
    expect(wall.spoken).toBe('0 live · 1 not live');
    wall.close();
  });

  test('whoever had the cursor and went leaves it to nobody', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed(), bed({ patient: 'q', bed: '2' })));
    expect(wall.current?.patient).toBe('p');
    wall.hear();
    await answer(1, viewOf(bed({ patient: 'q', bed: '2' })));
    expect(wall.current).toBeNull();
    wall.move(1);
    expect(wall.current?.patient).toBe('q');
    wall.close();
  });

  test('the same patient in two beds is two cells', async () => {
    const { wall, answer } = engine();
    wall.open();
    await answer(0, viewOf(bed(), bed({ bed: '2' })));
    expect(new Set(wall.cells.map(({ key }) => key)).size).toBe(2);
    wall.close();
  });
});

describe('on the screen', () => {
  /** Both clocks stand: a slow machine must not make anything old here. */
  beforeEach(() => {
    vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
    vi.spyOn(Date, 'now').mockReturnValue(2_000_000);
  });

  /** The engine answers no more, and so much time goes by. */
  function silence(app: App, ms: number): void {
    (app.backend as Fake).world.wall = 'never';
    vi.spyOn(performance, 'now').mockReturnValue(1_000_000 + ms);
    app.wall.tick();
    flushSync();
  }

  test('a monitor that is unplugged: the cell says NOT LIVE in words, struck through, with its times', async () => {
    const app = await screen('wall');
    const john = () => cell('p-john');
    expect(john().dataset.state).toBe('live');
    expect(john().querySelectorAll('s')).toHaveLength(0);
    expect(words(john())).not.toContain('NOT LIVE');
    silence(app, 6_000);
    expect(john().dataset.state).toBe('not-live');
    expect(words(john())).toMatch(/NOT LIVE for \d+ s/u);
    const standing = signalsIn(john()).filter(({ dataset }) => dataset.signal !== 'nibp');
    expect(standing.length).toBeGreaterThan(2);
    for (const each of standing) {
      expect(each.querySelector('s')?.textContent).toMatch(/^\d/u);
      expect(each.classList.contains('old')).toBe(true);
      expect(words(each)).toMatch(/not live, last \d\d:\d\d:\d\d$/u);
    }
    expect(all('wall-signal').filter(({ dataset }) => dataset.live === 'true')).toHaveLength(0);
    expect(all('wall-trend')).toHaveLength(0);
    expect(words(one('wall-counts'))).toBe('0 live · 6 not live · 1 not shown to you');
  });

  test('one signal that stands in a live bed says so, and no other', async () => {
    await screen('wall-mixed');
    const spo2 = signalsIn(cell('p-crowd-6')).find(({ dataset }) => dataset.signal === 'spo2');
    expect(words(spo2)).toContain('not live, last 04:29:59');
    expect(spo2?.querySelector('s')?.textContent).toBe('94');
    expect(signalsIn(cell('p-crowd-6')).filter(({ dataset }) => dataset.live === 'true').length).toBeGreaterThan(1);
    // Its mark no longer counts either, but a sensor that is off is a fresh word.
    expect(words(signalsIn(cell('p-crowd-2')).find(({ dataset }) => dataset.signal === 'spo2'))).toBe('SpO2 % sensor off');
  });

  test('a cuff keeps its number with its time, live or not, and is never called either', async () => {
    const app = await screen('wall');
    const cuffs = () => all('wall-signal').filter(({ dataset }) => dataset.signal === 'nibp');
    const look = () => {
      expect(cuffs().length).toBeGreaterThan(3);
      for (const each of cuffs()) {
        expect(each.dataset.live).toBe('false');
        expect(each.querySelector('s')).toBeNull();
        expect(each.querySelector('.number')?.textContent).toMatch(/^\d+\/\d+ \(\d+\)$/u);
        expect(words(each)).toMatch(/at \d\d:\d\d:\d\d$/u);
        expect(words(each)).not.toMatch(/live/u);
      }
    };
    look();
    silence(app, 60_000);
    look();
  });

  test('of a patient who is not theirs there is no number, whatever arrived', async () => {
    await screen('wall-mixed', (world) => {
      const restricted = bed({ patient: 'p-x', bed: 'R', name: 'CHEN, Mei (Dr)', person_text: '', state: 'restricted', last_text: '97 was the last', signals: [signal('hr', 'HR', '123', '/min', 100)] });
      world.wall = { ok: viewOf(restricted, bed()) };
      world.wallTrends = { ok: { step_s: 5, age_ms: 0, trends: trendsOfWall(WALL).trends.slice(0, 1).map((each) => ({ ...each, patient: 'p-x', spoken: 'HR 62 to 88' })) } };
    });
    const shown = cell('p-x');
    expect(words(shown)).toContain('CHEN, Mei (Dr)');
    expect(words(shown)).toContain('values not shown: not your patient');
    expect(words(shown)).not.toMatch(/\d/u);
  });

  test('never heard of: a sentence, no number', async () => {
    await screen('wall-mixed');
    expect(words(cell('p-crowd-3'))).toContain('no values from a monitor since the wall was opened');
    expect(signalsIn(cell('p-crowd-3'))).toHaveLength(0);
    expect(words(cell('p-crowd-7'))).toContain('HR 97 /min was the last, 20-Nov-2026 16:02:31');
  });

  test('S12: the unit stands beside every value, S10: a mark is a word and a shape', async () => {
    await screen('wall-mixed');
    for (const { patient, signals, state } of WALL_MIXED.beds) {
      if (state === 'restricted' || state === 'never') continue;
      const shown = signalsIn(cell(patient));
      expect(shown).toHaveLength(signals.length);
      for (const each of signals) {
        const part = shown.find(({ dataset }) => dataset.signal === each.signal);
        expect(words(part)).toContain(`${each.label} ${each.unit_text}`);
        if (each.value_text !== null) expect(part?.querySelector('.number')?.textContent).toBe(each.value_text);
        if (each.flag_text !== null) {
          expect(words(part)).toContain(each.flag_text);
          expect(part?.querySelector('.flag svg')).not.toBeNull();
        }
      }
    }
  });

  test('S28: text from outside stays text, in every field', async () => {
    const bad = '<img src=x onerror="alert(1)"><b>x</b>';
    await screen('wall', (world) => {
      const one = signal('hr', bad, bad, bad, 100, { flag_text: bad, at_text: bad });
      const view = viewOf(bed({ bed: bad, name: bad, person_text: bad, signals: [one, { ...one, signal: 'rr', value_text: null, absent_text: bad }] }), bed({ patient: 'q', state: 'not-live', last_text: bad, signals: [] }));
      world.wall = { ok: { ...view, ward_name: bad, line: 'down', line_text: bad, summary_text: bad, stranger_text: bad } };
      world.wallTrends = { ok: { step_s: 5, age_ms: 0, trends: trendsOfWall(WALL).trends.slice(0, 1).map((each) => ({ ...each, patient: 'p', label: bad, unit_text: bad, spoken: bad })) } };
    });
    expect(document.querySelectorAll('[data-testid=wall-screen] img')).toHaveLength(0);
    expect((one('wall-screen').textContent ?? '').split(bad).length - 1).toBeGreaterThanOrEqual(12);
  });

  test('it says that it is no alarm, and nothing takes that away', async () => {
    for (const id of ['wall', 'wall-down', 'wall-error', 'wall-empty', 'wall-loading', 'wall-silent']) {
      await screen(id);
      expect(words(one('wall-claim')), id).toContain('Not an alarm: the monitors at the beds alarm.');
      expect(one('wall-claim').querySelector('button'), id).toBeNull();
      await leave();
    }
  });

  test('a line that is down, a refusal and a silent engine stand above the wall in words', async () => {
    await screen('wall-down');
    expect(words(one('wall-line'))).toBe(WALL_DOWN.line_text);
    expect(all('wall-bed').every(({ dataset }) => dataset.state === 'not-live')).toBe(true);
    await leave();
    await screen('wall-refused');
    expect(words(one('wall-line'))).toContain('The server refuses');
    await leave();
    await screen('wall-silent');
    expect(words(one('wall-line'))).toContain('stopped answering');
    expect(all('wall-signal').some(({ dataset }) => dataset.live === 'true')).toBe(false);
    await leave();
    await screen('wall', (world) => (world.wall = { ok: { ...WALL, line: 'down', line_text: null } }));
    expect(words(one('wall-line'))).toContain('not reached');
    await leave();
    await screen('wall');
    expect(all('wall-line')).toHaveLength(0);
  });

  test('S1: nobody is said to lie here only where the whole board was looked at', async () => {
    await screen('wall-empty');
    expect(words(one('wall-empty'))).toContain('its board was looked at, as of 21-Nov-2026 04:31');
    await leave();
    await screen('wall-not-here');
    expect(all('wall-empty')).toHaveLength(0);
    expect(words(one('wall-unknown'))).toContain('not known to this workstation');
    await leave();
    await screen('wall-partial');
    expect(words(one('wall-census'))).toContain('Census incomplete');
    await leave();
    await screen('wall-error');
    expect(words(one('wall-error'))).toContain('who lies where is unknown');
    expect(all('wall-bed')).toHaveLength(0);
  });

  test('names are whole, those that are alike are marked, strangers are said', async () => {
    await screen('wall-long');
    expect(words(one('wall-screen'))).toContain('VAN DER WOUDE-HERNÁNDEZ-GUNNARSDÓTTIR, Maximiliaan Alexander Theodorus Christoffel (Prof)');
    await leave();
    await screen('wall');
    expect(words(cell('p-john'))).toContain('similar name');
    expect(words(cell('p-ada'))).not.toContain('similar name');
    await leave();
    await screen('wall-mixed');
    expect(words(one('wall-strangers'))).toBe('2 monitors send values of patients who are not on this board');
  });

  test('trends that cannot be read are said; their words stand for those who do not see them', async () => {
    await screen('wall-no-trends');
    expect(words(one('wall-trends-failed'))).toContain('cannot be shown');
    expect(all('wall-trend')).toHaveLength(0);
  });
});

describe('keys, and the way in and out', () => {
  const onBoard = async () => {
    const app = await screen('board');
    const fake = app.backend as Fake;
    return { app, opened: vi.spyOn(fake, 'wallOpen'), closed: vi.spyOn(fake, 'wallClose') };
  };
  const show = async () => {
    await settled();
    flushSync();
  };

  test('V from the board, arrows, Enter opens the chart, Esc is back at the same bed, Esc is the board', async () => {
    const { app, opened, closed } = await onBoard();
    expect(press(app, 'v')).toBe(true);
    await show();
    expect(opened).toHaveBeenCalledWith(null);
    expect(app.view).toBe('wall');
    expect(document.activeElement).toBe(document.getElementById('wall'));
    app.wall.columns = 3;
    const at = () => app.wall.current?.patient;
    const walk: [string, string][] = [
      ['ArrowRight', 'p-joan'], ['ArrowDown', 'p-mei'], ['ArrowUp', 'p-joan'], ['ArrowUp', 'p-joan'], ['k', 'p-john'], ['ArrowLeft', 'p-john'], ['j', 'p-joan'], ['End', 'p-sam'], ['ArrowDown', 'p-sam'], ['Home', 'p-john'], ['j', 'p-joan'],
    ];
    for (const [key, patient] of walk) {
      expect(press(app, key), key).toBe(true);
      expect([key, at()]).toEqual([key, patient]);
    }
    flushSync();
    expect(document.getElementById('wall')?.getAttribute('aria-activedescendant')).toBe(cell('p-joan').id);
    expect(all('wall-bed').filter((each) => each.getAttribute('aria-selected') === 'true').map(({ dataset }) => dataset.patient)).toEqual(['p-joan']);
    press(app, 'Enter');
    await show();
    expect([app.view, app.front, app.chart?.who?.name, all('wall-screen').length]).toEqual(['chart', 'p-joan', 'SMYTH, Joan (Mrs)', 0]);
    expect(closed).toHaveBeenCalledTimes(1);
    press(app, 'Escape');
    await show();
    expect([app.view, at()]).toEqual(['wall', 'p-joan']);
    expect(opened).toHaveBeenCalledTimes(2);
    press(app, 'Escape');
    await show();
    expect(app.view).toBe('board');
    expect(closed).toHaveBeenCalledTimes(2);
  });

  test('V again, the board’s key, a search and an inbox leave it, and the engine is told each time', async () => {
    for (const [key, ctrl, view] of [['v', false, 'board'], ['b', true, 'board'], ['/', false, 'search'], ['i', true, 'results']] as const) {
      const { app, closed } = await onBoard();
      press(app, 'v');
      await show();
      expect(press(app, key, ctrl), key).toBe(true);
      await show();
      expect([app.view, closed.mock.calls.length, app.wall.view]).toEqual([view, 1, null]);
      expect(all('wall-bed')).toHaveLength(0);
      if (view === 'results') {
        press(app, 'Escape');
        await show();
        expect(app.view).toBe('wall');
      }
      vi.restoreAllMocks();
      await leave();
    }
  });

  test('a click on a bed opens its chart; of somebody restricted the emergency dialog, as from the board', async () => {
    const app = await screen('wall');
    cell('p-mei').click();
    flushSync();
    expect([app.view, app.dialog?.patient?.patient, app.dialog?.patient?.number]).toEqual(['wall', 'p-mei', '7718 0034']);
    press(app, 'Escape');
    flushSync();
    expect([app.dialog, app.view]).toEqual([null, 'wall']);
    cell('p-luis').click();
    await show();
    expect([app.view, app.front]).toEqual(['chart', 'p-luis']);
  });

  test('Ctrl+F12 is about the bed under the cursor', async () => {
    const app = await screen('wall');
    press(app, 'j');
    press(app, 'F12', true);
    expect(app.dialog?.patient?.patient).toBe('p-joan');
  });

  test('V is the board’s and the wall’s alone, never while typing; by name it opens from everywhere', async () => {
    for (const id of ['search', 'chart', 'entries', 'results', 'lock']) {
      const app = await screen(id);
      const before = app.view;
      press(app, 'v');
      expect(app.view, id).toBe(before);
      await leave();
    }
    const { app } = await onBoard();
    press(app, 'v', false, { typing: true, control: false });
    expect(app.view).toBe('board');
    await leave();
    const chart = await screen('chart');
    const offer = offersOf(chart).find(({ act }) => act === 'live-vitals');
    expect(offer?.keys).toEqual(['V']);
    choose(chart, offer ?? null, 0);
    await show();
    expect([chart.view, all('wall-screen').length, chart.chart]).toEqual(['wall', 1, null]);
    await leave();
    expect(offersOf(await screen('lock')).some(({ act }) => act === 'live-vitals')).toBe(false);
  });

  test('the button of the board opens it', async () => {
    const { app } = await onBoard();
    expect(words(one('live-button'))).toBe('Live vital signs V');
    one('live-button').click();
    await show();
    expect(app.view).toBe('wall');
  });

  test('S18: the lock, and the engine’s own, leave nothing of it on the page nor in memory', async () => {
    for (const how of ['key', 'engine']) {
      const app = await screen('wall');
      const closed = vi.spyOn(app.backend, 'wallClose');
      const locked = vi.spyOn(app.backend, 'lock');
      if (how === 'key') press(app, 'l', true);
      else app.hear([{ kind: 'locked' }]);
      flushSync();
      const { wall } = app;
      expect([app.view, wall.view, wall.trends, wall.cursor, wall.counts, wall.spoken, wall.error]).toEqual(['lock', null, null, null, '', '', null]);
      expect(all('wall-screen')).toHaveLength(0);
      expect(document.body.textContent).not.toMatch(/SMITH|\/min/u);
      expect(closed).toHaveBeenCalledTimes(1);
      if (how === 'key') expect(closed.mock.invocationCallOrder[0]).toBeLessThan(locked.mock.invocationCallOrder[0] ?? 0);
      vi.restoreAllMocks();
      await leave();
    }
  });

  test('what the engine tells is read, and nothing is asked for a wall that is not there', async () => {
    const app = await screen('wall');
    const asked = vi.spyOn(app.backend, 'wall');
    const trends = vi.spyOn(app.backend, 'wallTrends');
    (app.backend as Fake).world.wall = { ok: viewOf(bed({ patient: 'p-new', name: 'NEW, Somebody' })) };
    (app.backend as Fake).tell({ kind: 'wall' }, { kind: 'wall' }, { kind: 'wall-trends' });
    await show();
    expect(words(cell('p-new'))).toContain('NEW, Somebody');
    expect([asked.mock.calls.length <= 2, trends.mock.calls.length]).toEqual([true, 1]);
    press(app, 'Escape');
    await show();
    const before = asked.mock.calls.length;
    (app.backend as Fake).tell({ kind: 'wall' }, { kind: 'wall-trends' });
    await show();
    expect([asked.mock.calls.length, trends.mock.calls.length]).toEqual([before, 1]);
  });
});

test('forty cells; news of one value changes the text of that value alone', async () => {
  const app = await screen('wall-40');
  expect(all('wall-bed')).toHaveLength(40);
  const changed: Node[] = [];
  const watch = new MutationObserver((records) => records.forEach(({ target }) => changed.push(target)));
  watch.observe(one('wall-screen'), { subtree: true, childList: true, characterData: true, attributes: true });
  const beds = WALL_40.beds.map((each, n) => (n === 3 ? { ...each, signals: each.signals.map((of) => (of.signal === 'hr' ? { ...of, value_text: '111' } : of)) } : { ...each, signals: each.signals.map((of) => ({ ...of })) }));
  (app.backend as Fake).world.wall = { ok: { ...WALL_40, beds } };
  app.wall.hear();
  await settled();
  flushSync();
  await settled();
  watch.disconnect();
  expect(words(cell('p-crowd-3'))).toContain('111');
  expect(new Set(changed.map((each) => (each instanceof Element ? each : each.parentElement)?.closest('[data-testid=wall-bed]')?.id)).size).toBe(1);
  expect(changed.length).toBeLessThan(4);
});
