/** Up to four open charts: whose banner stands above what, what is kept, what the lock and a fifth chart do. */
import { flushSync } from 'svelte';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { familyName, whoOfBanner } from '../src/domain/who';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { MARY_CARD, MARY_CHART, renamed } from '../src/ipc/fixtures/people';
import { calm } from '../src/ipc/fixtures/world';
import { App, MOST_CHARTS } from '../src/state/app.svelte';
import { actOf, type Key } from '../src/state/keys';
import type { ChartView } from '../src/wire/ChartView';
import { all, leave, screen, words } from './onScreen';

const IDLE = { typing: false, control: false };
const TYPING = { typing: true, control: false };
const key = (name: string, ctrlKey = false, shiftKey = false): Key => ({ key: name, ctrlKey, shiftKey, altKey: false, metaKey: false });
const settled = () => new Promise((done) => setTimeout(done, 0));
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const chartOf = (patient: string) => renamed(MARY_CHART, patient, { name: `FAMILY-${patient}, Given` });

describe('state', () => {
  let fake: Fake;
  let app: App;
  let closed: string[];

  beforeEach(async () => {
    fake = fakeOf(calm());
    fake.chartOpen = async (patient) => chartOf(patient);
    closed = [];
    fake.chartClose = async (patient) => void closed.push(patient);
    app = new App(fake);
    await app.start();
    await app.signIn('dlee', '0000');
  });

  const openAll = async (count: number) => {
    for (const patient of NAMES.slice(0, count)) await app.openChart(patient, 'search');
  };

  test('each chart keeps its section', async () => {
    await app.openChart('a', 'search');
    app.section = 'labs';
    await app.openChart('b', 'board');
    expect(app.section).toBe('summary');
    app.section = 'notes';
    app.onKey(key('Tab', true), IDLE, 0);
    await settled();
    expect([app.chart?.asked, app.section]).toEqual(['a', 'labs']);
    app.onKey(key('Tab', true, true), TYPING, 0);
    await settled();
    expect([app.chart?.asked, app.section]).toEqual(['b', 'notes']);
  });

  test('opening one that is open brings it to the front', async () => {
    await openAll(2);
    await app.openChart('a', 'search');
    expect(app.open).toHaveLength(2);
    expect(app.chart?.view?.banner.patient).toBe('a');
  });

  test('a chart behind holds no record, and is read again when it comes to the front (S7, S8)', async () => {
    await openAll(2);
    expect(app.open.map(({ view }) => view === null)).toEqual([true, false]);
    let reads = 0;
    fake.chartOpen = async (patient) => (reads++, chartOf(patient));
    app.stepChart(1);
    expect(app.chart?.view).toBeNull();
    await settled();
    expect([reads, app.chart?.view?.banner.patient]).toEqual([1, 'a']);
  });

  test("a late answer never stands under another's banner (S8)", async () => {
    const arrive = new Map<string, (chart: ChartView) => void>();
    fake.chartOpen = (patient) => new Promise((resolve) => arrive.set(patient, resolve));
    void app.openChart('a', 'search');
    void app.openChart('b', 'search');
    arrive.get('a')?.(chartOf('a'));
    await settled();
    expect([app.chart?.asked, app.chart?.view]).toEqual(['b', null]);
    expect(app.open[0]?.view).toBeNull();
    arrive.get('b')?.(chartOf('a'));
    await settled();
    expect(app.chart?.view).toBeNull();
    expect(app.chart?.error?.text).toContain('another patient');
  });

  test('an older answer of the same chart never replaces a newer one', async () => {
    const arrivals: ((chart: ChartView) => void)[] = [];
    fake.chartOpen = () => new Promise((resolve) => arrivals.push(resolve));
    void app.openChart('a', 'search');
    void app.readChart();
    arrivals[1]?.({ ...chartOf('a'), resources: 2 });
    await settled();
    arrivals[0]?.({ ...chartOf('a'), resources: 1 });
    await settled();
    expect(app.chart?.view?.resources).toBe(2);
  });

  test('notes looked for in one chart are not looked for in the next', async () => {
    await openAll(1);
    app.notes.look('warfarin');
    await app.openChart('b', 'search');
    expect(app.notes.query).toBe('');
  });

  test('the lists keep the charts open; Ctrl+Tab goes back, Esc closes the one in front', async () => {
    await openAll(2);
    app.showBoard();
    expect([app.view, app.chart, app.open.length]).toEqual(['board', null, 2]);
    app.onKey(key('Tab', true), IDLE, 0);
    await settled();
    expect([app.view, app.chart?.asked]).toEqual(['chart', 'b']);
    app.onKey(key('Escape'), IDLE, 0);
    expect([app.view, closed]).toEqual(['search', ['b']]);
    expect(app.open.map(({ asked }) => asked)).toEqual(['a']);
  });

  test('Ctrl+W closes the one in front and shows the one beside it; without any it does nothing', async () => {
    await openAll(3);
    app.stepChart(-1);
    await settled();
    expect(app.onKey(key('w', true), IDLE, 0)).toBe(true);
    await settled();
    expect([app.chart?.asked, closed]).toEqual(['c', ['b']]);
    app.onKey(key('w', true), IDLE, 0);
    app.onKey(key('w', true), IDLE, 0);
    expect([app.view, app.open]).toEqual(['search', []]);
    expect(app.onKey(key('w', true), IDLE, 0)).toBe(true);
  });

  describe('a fifth chart', () => {
    beforeEach(() => openAll(5));

    test('is not opened; a person is asked, and nothing is chosen beforehand (S27)', () => {
      expect(app.open).toHaveLength(MOST_CHARTS);
      expect(app.fifth?.patient).toBe('e');
      expect([app.chart?.asked, closed]).toEqual(['d', []]);
      app.onKey(key('Escape'), IDLE, 0);
      expect([app.fifth, app.open.length, closed]).toEqual([null, MOST_CHARTS, []]);
    });

    test('takes the place of the one that was chosen', async () => {
      app.makeRoom('b');
      await settled();
      expect(app.open.map(({ asked }) => asked)).toEqual(['a', 'c', 'd', 'e']);
      expect([app.chart?.asked, closed]).toEqual(['e', ['b']]);
    });

    test('waits for nothing that counts: the lock and emergency access work over it', () => {
      app.onKey(key('F12', true), IDLE, 0);
      expect([app.fifth, app.dialog === null]).toEqual([null, false]);
    });
  });

  test('the lock clears all of them (S18)', async () => {
    await openAll(5);
    app.images.measurements = [];
    app.lock();
    expect([app.open, app.front, app.fifth, app.chart]).toEqual([[], null, null, null]);
    expect(JSON.stringify([app.open, app.fifth])).not.toContain('FAMILY');
  });

  test('with nobody signed in no chart stays behind the lock screen', async () => {
    app.lock();
    app.card = MARY_CARD;
    fake.chartOpen = async (patient) => (patient === 'p-mary' ? MARY_CHART : chartOf(patient));
    app.emergency.openFullChart();
    await settled();
    expect(app.chart?.asked).toBe('p-mary');
    app.onKey(key('Escape'), IDLE, 0);
    expect([app.view, app.open]).toEqual(['lock', []]);
  });

  test('measurements of a chart stay until it is closed, its pixels and list do not', async () => {
    await app.openChart('a', 'search');
    fake.images = async (patient) => ({ patient, studies: [], age: MARY_CHART.record_age, empty_text: '' });
    await app.images.show('a');
    app.images.keyImages = new Set(['one']);
    await app.openChart('b', 'search');
    expect(app.images.keyImages.size).toBe(0);
    app.stepChart(1);
    await settled();
    expect([app.images.keyImages.size, app.images.list]).toEqual([1, null]);
    app.closeTab('a');
    await app.openChart('a', 'search');
    expect(app.images.keyImages.size).toBe(0);
  });

  test('a refused chart still says who it was asked for, for emergency access', async () => {
    fake.chartOpen = async () => {
      throw { code: 'denied', text: 'No.', retry_after_s: null, break_glass_offered: true };
    };
    await app.openChart('a', 'search', { ...whoOfBanner(MARY_CHART.banner), patient: 'a' });
    app.emergency.openHere();
    expect(app.dialog?.patient?.patient).toBe('a');
  });
});

test('keys', () => {
  expect(actOf(key('Tab', true), TYPING)).toBe('next-chart');
  expect(actOf(key('Tab', true, true), IDLE)).toBe('previous-chart');
  expect(actOf(key('w', true), TYPING)).toBe('close-chart');
  expect(actOf(key('Tab'), IDLE)).toBeNull();
});

test('a tab says the family name, and the whole name where it is not written as usual', () => {
  expect(familyName('JONES, Mary (Ms)')).toBe('JONES');
  expect(familyName('(no name recorded)')).toBe('(no name recorded)');
});

describe('on the screen', () => {
  afterEach(leave);

  test('one chart needs no tab', async () => {
    await screen('chart');
    expect(all('chart-tabs')).toHaveLength(0);
  });

  test('several have one each, the front one marked, names that are alike whole and marked (S24)', async () => {
    await screen('charts-four');
    expect(all('chart-tab').map(words)).toEqual([
      'JONES Intensive Care, bed 4',
      'similar name: SMITH, John (Mr) Emergency, bed R1',
      'similar name: SMYTH, Joan (Mrs) Emergency, bed R2',
      'SMITH-ANDERSON No current encounter on record',
    ]);
    expect(all('chart-tab').map((each) => each.getAttribute('aria-current'))).toEqual(['true', null, null, null]);
    expect(all('banner')).toHaveLength(1);
    expect(words(all('banner')[0])).toContain('JONES');
  });

  test('the banner and every section are of the chart in front, after each step (S8)', async () => {
    const app = await screen('charts-four');
    for (let i = 0; i < 4; i++) {
      app.stepChart(1);
      await settled();
      flushSync();
      expect(all('banner')[0]?.dataset.patient).toBe(app.front);
    }
  });

  test('a fifth: the focus is on closing none (S27)', async () => {
    const app = await screen('charts-fifth');
    expect(document.activeElement).toBe(all('close-none')[0]);
    expect(words(all('fifth-chart')[0])).toContain('SMITH, Arthur');
    expect(all('make-room')).toHaveLength(MOST_CHARTS);
    all('make-room')[0]?.click();
    await settled();
    flushSync();
    expect(app.front).toBe('p-arthur');
  });
});
