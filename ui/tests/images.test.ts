/** The state of the images over the fake engine: whose they are, the lock, scrolling, measuring, keys, what is asked for. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { STUDIES } from '../src/ipc/fixtures/images';
import { CR_UID, CT_UID, US_UID } from '../src/ipc/fixtures/phantoms';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';
import type { Key } from '../src/state/keys';
import { viewerActOf } from '../src/state/viewerKeys';
import { LayerCache } from '../src/viewer/cache';
import { FrameLoader } from '../src/viewer/loader';
import type { Pixels } from '../src/viewer/pixels';
import type { HeldView } from '../src/wire/HeldView';

let fake: Fake;
let app: App;
const settled = (ms = 0) => new Promise((done) => setTimeout(done, ms));
const key = (name: string, held: Partial<Key> = {}): Key => ({ key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false, ...held });
const IN = { typing: false, control: false, viewer: true };
const OUT = { typing: false, control: false, viewer: false };
const EXACT: Pixels = { columns: 4, rows: 4, samples: 1, signed: true, layer: 3, exact: true, lossy: false, values: new Int16Array(16) };

const study = (uid: string) => {
  const found = STUDIES.studies.find(({ series }) => series.some((each) => each.uid === uid));
  const series = found?.series.find((each) => each.uid === uid);
  if (found === undefined || series === undefined) throw new Error(`no series ${uid}`);
  return { study: found, series };
};
const open = async (uid = CT_UID) => {
  const found = study(uid);
  app.images.openSeries(found.study, found.series, 0);
  await settled();
};
const held = (change: Partial<HeldView>): HeldView => ({ view: app.images.port.view?.view ?? -1, frames: '', text: '', grown: false, stopped_text: null, ...change });

beforeEach(async () => {
  fake = fakeOf(calm());
  fake.imagePixels = () => new Promise(() => {});
  app = new App(fake);
  await app.start();
  await app.signIn('dlee', '0000');
  await app.openChart('p-mary', 'search');
  app.section = 'images';
  await app.images.show('p-mary');
});

describe('whose images', () => {
  test('a list of somebody else is never shown (S8)', async () => {
    fake.images = async () => ({ ...STUDIES, patient: 'p-other' });
    await app.images.read();
    expect(app.images.list).toBeNull();
    expect(app.images.error?.text).toContain('another patient');
  });

  test('nor a series that was not asked for', async () => {
    const real = fake.imageOpen;
    fake.imageOpen = async (patient, of, series, px) => ({ ...(await real(patient, of, series, px)), series: CR_UID });
    await open();
    expect(app.images.port.view).toBeNull();
    expect(app.images.port.error?.text).toContain('not those');
  });

  test('a header that names somebody else covers the pixels until they are asked for, and measuring with them', async () => {
    fake.world.imaging.open = { mismatch_text: 'Header: DOE' };
    await open();
    expect(app.images.port.covered).toBe(true);
    app.images.useTool('length');
    expect(app.images.refusal).not.toBeNull();
    app.images.port.uncovered = true;
    expect(app.images.port.covered).toBe(false);
    await open(US_UID);
    expect(app.images.port.covered).toBe(true);
  });

  test('an answer that comes after another series was chosen is dropped, and its view closed', async () => {
    const closed: number[] = [];
    const close = fake.imageClose;
    fake.imageClose = async (view) => {
      closed.push(view);
      await close(view);
    };
    const real = fake.imageOpen;
    let arrive = () => {};
    fake.imageOpen = (patient, of, series, px) => new Promise((done) => (arrive = () => done(real(patient, of, series, px))));
    const first = study(CT_UID);
    app.images.openSeries(first.study, first.series, 0);
    fake.imageOpen = real;
    await open(CR_UID);
    arrive();
    await settled();
    expect(app.images.port.view?.series).toBe(CR_UID);
    expect(closed).toHaveLength(1);
  });
});

describe('lock (S18)', () => {
  test('leaves no picture, no list, no measurement', async () => {
    await open();
    app.images.cache.put('1/x', EXACT);
    app.images.port.drawn(EXACT);
    app.images.useTool('length');
    app.images.point(0, { x: 0, y: 0 });
    app.images.point(0, { x: 3, y: 0 });
    app.images.perform('key-image', null);
    expect(app.images.measurements).toHaveLength(1);
    const before = app.images;
    app.lock();
    // What was on the screen is empty, not only out of reach.
    for (const images of [before, app.images]) {
      expect([images.list, images.port.view, images.port.study, images.cache.bytes]).toEqual([null, null, null, 0]);
      expect([images.measurements, images.open, images.keyImages.size]).toEqual([[], false, 0]);
    }
    before.undo();
    expect(before.measurements).toEqual([]);
  });

  test('a list that arrives after it is dropped', async () => {
    let arrive = () => {};
    fake.images = () => new Promise((done) => (arrive = () => done(STUDIES)));
    const reading = app.images.read();
    app.lock();
    arrive();
    await reading;
    expect(app.images.list).toBeNull();
  });

  test('closing the chart closes the views', async () => {
    const close = vi.spyOn(fake, 'imageClose');
    await open();
    const view = app.images.port.view?.view;
    app.closeChart();
    expect(close).toHaveBeenCalledWith(view);
  });
});

describe('scrolling', () => {
  test('stays within the series, and tells the engine at most every 50 ms', async () => {
    const center = vi.spyOn(fake, 'imageCenter');
    await open();
    for (let i = 0; i < 200; i++) app.images.scroll(app.images.port, 1);
    expect(app.images.port.index).toBe(79);
    await settled(130);
    expect(center.mock.calls.length).toBeLessThanOrEqual(3);
    expect(center.mock.calls.at(-1)?.[1]).toBe(79);
    app.images.perform('first', null);
    expect(app.images.port.index).toBe(0);
  });

  test('a series that grew is opened again at the same image, and keeps what is here of it', async () => {
    await open();
    const { port } = app.images;
    port.go(12);
    const sop = port.frame?.sop;
    app.images.cache.put(port.loader?.key(12) ?? '', EXACT);
    const real = fake.imageOpen;
    fake.imageOpen = async (patient, of, series, px) => {
      const view = await real(patient, of, series, px);
      const more = view.frames.slice(0, 5).map((frame, i) => ({ ...frame, sop: `new.${i}` }));
      return { ...view, frames: [...more, ...view.frames].map((frame, id) => ({ ...frame, id })) };
    };
    fake.tell({ kind: 'images', value: held({ grown: true }) });
    await settled();
    expect([port.index, port.frame?.sop]).toEqual([17, sop]);
    expect(port.best()).toBe(EXACT);
  });

  test('what is said of another view is not taken over', async () => {
    await open();
    fake.tell({ kind: 'images', value: { ...held({ text: 'other' }), view: 999 } });
    expect(app.images.port.held?.text).not.toBe('other');
  });

  test('linked viewports scroll by the same number of images', async () => {
    await open();
    app.images.compare(null);
    await settled();
    const [left, right] = app.images.shown;
    expect([right?.study?.uid, app.images.compared(1), app.images.active]).toEqual(['1.2.3.2', 'PRIOR', 0]);
    if (left !== undefined) app.images.scroll(left, 7);
    expect([left?.index, right?.index]).toEqual([7, 7]);
  });

  test('without a prior it says so', async () => {
    await open(US_UID);
    app.images.compare(null);
    expect(app.images.refusal).toContain('No earlier study');
    expect(app.images.layout).toBe('1×1');
  });
});

describe('measuring', () => {
  test('is refused on a preview, in words', async () => {
    await open();
    app.images.port.drawn({ ...EXACT, columns: 128, layer: 1, exact: false });
    app.images.useTool('length');
    app.images.point(0, { x: 0, y: 0 });
    app.images.point(0, { x: 3, y: 0 });
    expect(app.images.measurements).toEqual([]);
    expect(app.images.refusal).toContain('PREVIEW 1:4');
  });

  test('stays with its image, is removed, and comes back', async () => {
    await open();
    const { port } = app.images;
    app.images.cache.put(port.loader?.key(0) ?? '', EXACT);
    port.drawn(EXACT);
    app.images.useTool('length');
    app.images.point(0, { x: 0, y: 0 });
    app.images.point(0, { x: 100, y: 0 });
    expect(app.images.of(port)).toMatchObject([{ value: '70.3 mm', basis: 'pixel spacing' }]);
    app.images.scroll(port, 1);
    expect(app.images.of(port)).toEqual([]);
    const [made] = app.images.measurements;
    if (made !== undefined) app.images.find(made);
    expect(port.index).toBe(0);
    app.images.perform('delete', null);
    expect(app.images.measurements).toEqual([]);
    app.images.perform('undo', null);
    expect(app.images.measurements).toEqual([made]);
  });

  test('a half-drawn one ends with Esc, with scrolling, with another tool', async () => {
    await open();
    app.images.port.drawn(EXACT);
    app.images.useTool('angle');
    for (const end of [() => app.images.perform('close', null), () => app.images.scroll(app.images.port, 1), () => app.images.useTool('angle')]) {
      app.images.port.drawn(EXACT);
      app.images.point(0, { x: 1, y: 1 });
      expect(app.images.draft).not.toBeNull();
      end();
      expect(app.images.draft).toBeNull();
    }
    expect(app.images.open).toBe(true);
  });
});

describe('keys', () => {
  test('digits are windows in the viewer only; Ctrl+digit stays the section', async () => {
    await open();
    app.onKey(key('3'), OUT, 0);
    expect(app.images.port.grey).toBeNull();
    expect(app.onKey(key('3'), IN, 0)).toBe(true);
    expect(app.images.port.grey).toMatchObject({ center: -600, width: 1500 });
    app.onKey(key('1'), IN, 0);
    expect(app.images.port.grey).toBeNull();
    app.onKey(key('4', { ctrlKey: true }), IN, 0);
    expect(app.section).toBe('labs');
    app.onKey(key('8', { ctrlKey: true }), IN, 0);
    expect([app.section, app.images.open]).toEqual(['images', true]);
  });

  test('Esc goes back to the studies, then closes the chart', async () => {
    await open();
    app.onKey(key('Escape'), OUT, 0);
    expect([app.images.open, app.view]).toEqual([false, 'chart']);
    app.onKey(key('Escape'), OUT, 0);
    expect(app.view).toBe('search');
  });

  test('under a dialog or the help none of them acts', async () => {
    await open();
    app.help = true;
    app.onKey(key('i'), IN, 0);
    expect(app.images.port.inverted).toBe(false);
  });

  test('typing and the chart’s own keys are left alone', () => {
    for (const name of ['i', '3', 'ArrowDown', 'Delete']) expect(viewerActOf(key(name), { typing: true, control: false })).toBeNull();
    for (const name of ['F1', 'F5', 'F6', '/', 'Enter', 'Tab']) expect(viewerActOf(key(name), IN)).toBeNull();
    for (const name of ['l', 'b', 'F12', '1']) expect(viewerActOf(key(name, { ctrlKey: true }), IN)).toBeNull();
    expect(viewerActOf(key('z', { ctrlKey: true }), IN)).toBe('undo');
  });

  test('PgDn goes to the next series that can be shown, and says where there is none', async () => {
    await open();
    app.onKey(key('PageDown'), IN, 0);
    expect(app.images.port.series?.uid).toBe('1.2.3.1.3');
    app.onKey(key('PageDown'), IN, 0);
    expect(app.images.refusal).toContain('last series');
  });

  test('windows by key and drag leave colours alone', async () => {
    await open(US_UID);
    app.onKey(key('ArrowUp', { shiftKey: true }), IN, 0);
    expect(app.images.port.grey).toBeNull();
  });
});

test('a series that cannot be opened says why, and opens on the next try', async () => {
  fake.world.imaging.fails = failure('offline', 'not here').error;
  await open();
  expect(app.images.port.error?.text).toBe('not here');
  fake.world.imaging.fails = null;
  await app.images.port.reopen();
  expect(app.images.port.view?.series).toBe(CT_UID);
});

test('marks are told once for each opening', async () => {
  await open();
  const { port } = app.images;
  port.drawn(undefined);
  port.drawn({ ...EXACT, layer: 0, exact: false });
  port.drawn(EXACT);
  port.drawn(EXACT);
  await settled(60);
  expect(fake.marks.filter((mark) => mark.startsWith('image'))).toEqual(['image-preview', 'image-exact']);
});

describe('the loader', () => {
  const make = async () => {
    const asked: { frame: number; above: number; signal: AbortSignal; done: (pixels: Pixels | null) => void; fail: (error: unknown) => void }[] = [];
    fake.imagePixels = (_token, frame, above, signal) => new Promise((done, fail) => asked.push({ frame, above, signal, done, fail }));
    const view = await fake.imageOpen('p-mary', '1.2.3.1', CT_UID, 500);
    const cache = new LayerCache();
    const told = { arrived: vi.fn(), ended: vi.fn() };
    return { asked, cache, told, view, loader: new FrameLoader(fake, cache, view, told) };
  };

  test('asks for the visible frame first, for neighbours as the engine has them', async () => {
    const { asked, loader } = await make();
    loader.held('0'.repeat(80));
    loader.start(40);
    expect(asked.map(({ frame }) => frame)).toEqual([40]);
    loader.held('1'.repeat(80));
    expect(asked.map(({ frame }) => frame)).toEqual([40, 41, 39, 42, 38]);
  });

  test('asks for better until it is whole, then rests', async () => {
    const { asked, loader, told, cache } = await make();
    loader.held('0'.repeat(80));
    loader.start(3);
    asked[0]?.done({ ...EXACT, layer: 1, exact: false });
    await settled();
    expect(told.arrived).toHaveBeenCalledWith(3);
    expect(asked[1]).toMatchObject({ frame: 3, above: 1 });
    asked[1]?.done(EXACT);
    await settled();
    expect(asked).toHaveLength(2);
    expect(cache.layer(loader.key(3))).toBe(3);
  });

  test('lets go of what was scrolled past, and rests where nothing better comes', async () => {
    const { asked, loader } = await make();
    loader.held('0'.repeat(80));
    loader.start(3);
    loader.center(30);
    expect(asked[0]?.signal.aborted).toBe(true);
    asked[1]?.done(null);
    await settled();
    expect(asked).toHaveLength(2);
    loader.held(`${'0'.repeat(79)}1`);
    expect(asked).toHaveLength(3);
  });

  test('keeps the words of what cannot be decoded, and tells when the view ended', async () => {
    const { asked, loader, told } = await make();
    loader.held('0'.repeat(80));
    loader.start(3);
    asked[0]?.fail(failure('damaged', 'cannot be decoded: cut off').error);
    await settled();
    expect(loader.failure(3)).toBe('cannot be decoded: cut off');
    loader.center(9);
    asked[1]?.fail(failure('not-found', '').error);
    await settled();
    expect(told.ended).toHaveBeenCalledOnce();
  });
});
