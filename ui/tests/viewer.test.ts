/** The arithmetic of the image viewer: windows, geometry, measurements, the form of pixels, what is said of them. */
import { describe, expect, test } from 'vitest';
import { displayOf, NO_DISPLAY, type Display, type Voi } from '../src/domain/display';
import { CACHE_BYTES, LayerCache } from '../src/viewer/cache';
import { paint } from '../src/viewer/canvas2d';
import { apply, edges, FITTED, fitScale, inverse, layerMap, place, turned, zoomAt, zoomOneToOne, type Box } from '../src/viewer/geometry';
import { angle, distance, measureText, scaleAt, stats } from '../src/viewer/measure';
import { decimal, sensible } from '../src/viewer/numbers';
import { bytesOf, pixelsOf, type Pixels } from '../src/viewer/pixels';
import { qualityOf } from '../src/viewer/quality';
import type { Shot } from '../src/viewer/renderer';
import { firstGrey, greyOf, measuredOf, presetsOf, throughGrey, wholeRange } from '../src/viewer/voi';
import type { FrameView } from '../src/wire/FrameView';

const FRAME: FrameView = {
  id: 0, sop: '1.2', frame: 1, place_text: '1 of 1', columns: 8, rows: 4, samples: 1, bits: 16, signed: false, colour: 'monochrome2',
  low: 0, high: 100, lossy_text: null, display: 0,
};
const grid = (columns: number, rows: number, of: (x: number, y: number) => number, more: Partial<Pixels> = {}): Pixels => ({
  columns, rows, samples: 1, signed: false, layer: 3, exact: true, lossy: false,
  values: Uint16Array.from({ length: columns * rows }, (_, i) => of(i % columns, Math.floor(i / columns))), ...more,
});
const display = (more: Partial<Display>): Display => ({ ...NO_DISPLAY, ...more });

describe('windows (PS3.3 §C.11.2.1.2, .3)', () => {
  // Value, centre, width, function, grey in 255ths.
  const TABLE: [number, number, number, Voi, number][] = [
    // The example of the standard: c 2048, w 4096 spans 0 … 4095.
    [0, 2048, 4096, 'LINEAR', 0],
    [4095, 2048, 4096, 'LINEAR', 255],
    [2047, 2048, 4096, 'LINEAR', 127.4689],
    [-1, 2048, 4096, 'LINEAR', 0],
    [5000, 2048, 4096, 'LINEAR', 255],
    // c 2048, w 1: below 2047.5 black, above white.
    [2047, 2048, 1, 'LINEAR', 0],
    [2048, 2048, 1, 'LINEAR', 255],
    [40, 40, 400, 'LINEAR', 127.8195],
    // Exact: from c − w/2.
    [-160, 40, 400, 'LINEAR_EXACT', 0],
    [40, 40, 400, 'LINEAR_EXACT', 127.5],
    [240, 40, 400, 'LINEAR_EXACT', 255],
    [0.25, 0.5, 1, 'LINEAR_EXACT', 63.75],
    // The S: half at the centre, 1/(1+e⁻²) half a width above.
    [40, 40, 400, 'SIGMOID', 127.5],
    [240, 40, 400, 'SIGMOID', 224.6035],
    [1e9, 40, 400, 'SIGMOID', 255],
    [-1e9, 40, 400, 'SIGMOID', 0],
  ];
  for (const [value, center, width, voi, grey] of TABLE) {
    test(`${voi} ${width}/${center}: ${value}`, () => expect(greyOf(value, center, width, voi) * 255).toBeCloseTo(grey, 3));
  }

  test('a table of grey: its ends go on, its span is its bits', () => {
    const lut = { first: 10, bits: 8, entries: [0, 51, 255] };
    const at = (value: number) => throughGrey({ kind: 'table', lut }, value);
    expect([9, 10, 11, 12, 99].map(at)).toEqual([0, 0, 0.2, 1, 1]);
  });

  test('values in their unit', () => {
    expect(measuredOf(display({ rescale: { slope: 2, intercept: -1024 } }), 512)).toBe(0);
    expect(measuredOf(display({ modality_lut: { first: 1, bits: 16, entries: [7, 9] } }), 2)).toBe(9);
    expect(measuredOf(NO_DISPLAY, 5)).toBe(5);
  });

  test('what a picture opens with: the first window, the table, all values', () => {
    const lut = { first: 0, bits: 8, entries: [0, 255] };
    const window = { center: 40, width: 400 };
    expect(firstGrey(display({ windows: [window], voi: 'SIGMOID', voi_lut: lut }), FRAME)).toEqual({ kind: 'window', ...window, voi: 'SIGMOID' });
    expect(firstGrey(display({ voi_lut: lut }), FRAME)).toEqual({ kind: 'table', lut });
    expect(wholeRange(display({ rescale: { slope: -1, intercept: 0 } }), FRAME)).toEqual({ center: -49.5, width: 101 });
    const all = firstGrey(NO_DISPLAY, FRAME);
    expect([0, 100].map((value) => throughGrey(all, value))).toEqual([0, 1]);
  });

  test('presets: 1 as sent, CT windows only in Hounsfield units, 9 all values, none for colours', () => {
    const ct = display({ rescale: { slope: 1, intercept: 0, unit: 'HU' }, windows: [{ center: 1, width: 2, name: 'A' }, { center: 3, width: 4, name: 'B' }] });
    expect(presetsOf(ct, FRAME).map(({ digit, name }) => `${digit} ${name}`)).toEqual([
      '1 A', '2 Soft tissue', '3 Lung', '4 Bone', '5 Brain', '6 Liver', '7 Vessels', '8 B', '9 All values',
    ]);
    expect(presetsOf(display({ windows: ct.windows }), FRAME).map(({ digit }) => digit)).toEqual([1, 2, 9]);
    expect(presetsOf(NO_DISPLAY, { ...FRAME, samples: 3 })).toEqual([]);
    expect(presetsOf(NO_DISPLAY, { ...FRAME, colour: 'palette' })).toEqual([]);
  });
});

describe('geometry', () => {
  const box: Box = { width: 300, height: 200, ratio: 2 };
  const picture = { columns: 100, rows: 50, aspect: 2 };

  for (const turns of [0, 1, 2, 3]) {
    test(`fits and goes back, turned ${turns}`, () => {
      const map = place(picture, box, { zoom: 1.7, panX: 12, panY: -7, turns });
      const there = apply(map, 33, 21);
      const back = apply(inverse(map), there.x, there.y);
      expect(back.x).toBeCloseTo(33);
      expect(back.y).toBeCloseTo(21);
      const fitted = place(picture, box, { ...FITTED, turns });
      const corners = [[0, 0], [100, 0], [0, 50], [100, 50]].map(([x = 0, y = 0]) => apply(fitted, x, y));
      for (const { x, y } of corners) {
        expect(x).toBeGreaterThan(-1e-6);
        expect(x).toBeLessThan(300 + 1e-6);
        expect(y).toBeGreaterThan(-1e-6);
        expect(y).toBeLessThan(200 + 1e-6);
      }
    });
  }

  test('pixels higher than wide stay so', () => {
    expect(fitScale(picture, box, 0)).toBe(2);
    const map = place(picture, box, FITTED);
    expect(map.a).toBe(2);
    expect(map.d).toBe(4);
  });

  test('a turn is clockwise: the left edge comes to the top', () => {
    const map = place({ ...picture, aspect: 1 }, box, turned(FITTED));
    const left = apply(map, 0, 25);
    expect(left.x).toBeCloseTo(150);
    expect(left.y).toBeLessThan(100);
    expect([...Array(4)].reduce(turned, { ...FITTED, panX: 3, panY: 5 })).toEqual({ ...FITTED, panX: 3, panY: 5 });
  });

  test('zooming keeps what is under the pointer', () => {
    const at = { x: 220, y: 40 };
    const before = apply(inverse(place(picture, box, FITTED)), at.x, at.y);
    const after = apply(inverse(place(picture, box, zoomAt(FITTED, 3, at, box))), at.x, at.y);
    expect(after.x).toBeCloseTo(before.x);
    expect(after.y).toBeCloseTo(before.y);
  });

  test('one to one lies on the grid of the screen', () => {
    const square = { columns: 101, rows: 77, aspect: 1 };
    const map = place(square, box, { ...FITTED, zoom: zoomOneToOne(square, box, 0), panX: 0.3 });
    expect(map.a * box.ratio).toBeCloseTo(1);
    expect((map.e * box.ratio) % 1).toBeCloseTo(0);
  });

  const LAYERS: [number, number, number, number][] = [
    [512, 64, 1 / 8, 0],
    [2500, 79, 1 / 32, 0],
    [512, 512, 1, 0],
    [500, 100, 0.2, -0.4],
  ];
  for (const [frame, layer, scale, shift] of LAYERS) {
    test(`${layer} of ${frame} columns`, () => {
      const found = layerMap(frame, layer);
      expect(found.scale).toBeCloseTo(scale);
      expect(found.shift).toBeCloseTo(shift);
    });
  }

  test('letters at the edges, turned with the picture', () => {
    const axial = [1, 0, 0, 0, 1, 0];
    expect(edges(axial, undefined, 0)).toEqual(['A', 'L', 'P', 'R']);
    expect(edges(axial, undefined, 1)).toEqual(['R', 'A', 'L', 'P']);
    expect(edges([0, 1, 0, 0, 0, -1], undefined, 0)).toEqual(['H', 'P', 'F', 'A']);
    expect(edges([0.8, 0.6, 0, 0, 0, -1], undefined, 0)?.[1]).toBe('LP');
    expect(edges(undefined, ['L', 'F'], 2)).toEqual(['F', 'R', 'H', 'L']);
    expect(edges(undefined, undefined, 0)).toBeNull();
  });
});

describe('measurements', () => {
  const spacing = (source: string, more: Partial<Display['spacing']> = {}) => display({ spacing: { row_mm: 2, column_mm: 0.5, source, ...more } });
  const a = { x: 0, y: 0 };
  const b = { x: 6, y: 4 };

  test('a length uses the spacing of each axis', () => {
    expect(distance(a, b, { x: 0.5, y: 2 })).toBeCloseTo(Math.hypot(3, 8));
    expect(measureText('length', [a, b], spacing('pixel spacing'), null)).toEqual({ value: '8.5 mm', basis: 'pixel spacing' });
  });

  const SOURCES: [Display, string, string][] = [
    [spacing('imager'), '8.5 mm', 'at the detector, the patient is smaller'],
    [spacing('imager', { magnification: 2 }), '4.3 mm', 'detector spacing ÷ 2.00 estimated magnification'],
    [spacing('calibrated: FIDUCIAL'), '8.5 mm', 'calibrated: FIDUCIAL'],
    [spacing('nominal'), '8.5 mm', 'nominal, scanned film'],
    [spacing('plane unknown'), '8.5 mm', 'spacing of an unknown plane'],
    [NO_DISPLAY, '7 px', 'uncalibrated'],
    // Of ultrasound only within a region.
    [spacing('ultrasound region'), '7 px', 'uncalibrated'],
  ];
  for (const [with_, value, basis] of SOURCES) {
    test(`says where its millimetres come from: ${basis}`, () => expect(measureText('length', [a, b], with_, null)).toEqual({ value, basis }));
  }

  test('ultrasound: millimetres in a plane, time and speed in a spectrum, nothing across the edge', () => {
    const us = display({
      regions: [
        { bounds: [0, 0, 9, 9], kind: '2d', unit_x: 'mm', unit_y: 'mm', step_x: -0.5, step_y: 0.5 },
        { bounds: [0, 20, 9, 29], kind: 'spectral', unit_x: 's', unit_y: 'mm/s', step_x: 0.01, step_y: -20 },
      ],
    });
    expect(scaleAt(us, [a, { x: 9, y: 9 }])).toEqual({ x: 0.5, y: 0.5, source: 'ultrasound region' });
    expect(scaleAt(us, [a, { x: 9, y: 25 }])).toBeNull();
    expect(measureText('length', [{ x: 0, y: 20 }, { x: 5, y: 22 }], us, null)).toEqual({ value: '0.05 s × 40.0 mm/s', basis: 'ultrasound region, spectral' });
  });

  test('an angle is one of the patient, not of the pixels', () => {
    const corner: [typeof a, typeof a, typeof a] = [{ x: 4, y: 0 }, a, { x: 0, y: 4 }];
    expect(angle(corner, { x: 1, y: 1 })).toBeCloseTo(90);
    expect(angle([{ x: 4, y: 0 }, a, { x: 4, y: 1 }], { x: 0.5, y: 2 })).toBeCloseTo(45);
    expect(measureText('angle', corner, NO_DISPLAY, null)).toEqual({ value: '90.0°', basis: 'uncalibrated, pixels taken as square' });
  });

  test('means of regions, on rescaled values, without padding', () => {
    const pixels = grid(8, 4, (x, y) => (x === 7 ? 9999 : x + 10 * y));
    const with_ = display({ rescale: { slope: 2, intercept: -10, unit: 'HU' }, padding: { low: 9999, high: 9999 } });
    const found = stats('box', [{ x: 6, y: 0 }, { x: 8, y: 2 }], pixels, with_);
    // Columns 6 and 7, rows 0 and 1: 6 and 16, and two of padding.
    expect(found).toEqual({ count: 2, mean: 12, deviation: 10, low: 2, high: 22, padding: 2 });
    expect(stats('ellipse', [{ x: 0, y: 0 }, { x: 3, y: 3 }], pixels, with_)?.count).toBe(9);
    expect(stats('ellipse', [{ x: 0, y: 0 }, { x: 4, y: 4 }], pixels, with_)?.count).toBe(12);
    expect(stats('box', [{ x: 7, y: 0 }, { x: 8, y: 4 }], pixels, with_)).toBeNull();
    const words = measureText('box', [{ x: 6, y: 0 }, { x: 8, y: 2 }], with_, pixels);
    expect(words.value).toBe('Mean 12.0 HU');
    expect(words.basis).toContain('SD 10.0 · 2.00 to 22.0 HU · 4 px² · 2 px, 2 px of padding left out, uncalibrated'.replace('2.00', '2.0'));
  });

  test('never on a preview or on colours', () => {
    expect(stats('box', [a, b], grid(8, 4, () => 1, { layer: 1 }), NO_DISPLAY)).toBeNull();
    expect(stats('box', [a, b], grid(24, 4, () => 1, { samples: 3, columns: 8 }), NO_DISPLAY)).toBeNull();
  });

  test('great values with little noise keep their deviation', () => {
    const found = stats('box', [{ x: 0, y: 0 }, { x: 8, y: 4 }], grid(8, 4, (x) => x % 2), display({ rescale: { slope: 1, intercept: 1e9 } }));
    expect(found?.deviation).toBeCloseTo(0.5, 6);
  });

  test('numbers in words', () => {
    expect([decimal(-0.04, 1), decimal(-0.06, 1), decimal(1.005, 0), decimal(12.345, 2), decimal(999.96, 1)]).toEqual(['0.0', '−0.1', '1', '12.35', '1000.0']);
    expect([sensible(1234.5), sensible(12.34), sensible(1.234), sensible(1.234, 1)]).toEqual(['1235', '12.3', '1.23', '1.2']);
  });
});

describe('pixels', () => {
  const FORMS: Pixels['values'][] = [Uint8Array.of(1, 255), Int8Array.of(-1, 5), Uint16Array.of(1, 65535), Int16Array.of(-2000, 7), Uint32Array.of(4e9, 1), Int32Array.of(-5, 9)];
  for (const values of FORMS) {
    test(`${values.constructor.name} there and back`, () => {
      const signed = values.constructor.name.startsWith('Int');
      const pixels: Pixels = { columns: 2, rows: 1, samples: 1, signed, layer: 2, exact: false, lossy: true, values };
      expect(pixelsOf(bytesOf(pixels))).toEqual(pixels);
    });
  }

  test('anything else is no picture', () => {
    const good = bytesOf(grid(2, 2, () => 1));
    const spoilt = (at: number, value: number) => {
      const bytes = new Uint8Array(good.slice(0));
      bytes[at] = value;
      return bytes.buffer;
    };
    expect(pixelsOf(good.slice(0, 31))).toBeNull();
    expect(pixelsOf(good.slice(0, good.byteLength - 1))).toBeNull();
    for (const [at, value] of [[0, 0], [4, 0], [4, 3], [12, 2], [13, 3], [15, 4]] as const) expect(pixelsOf(spoilt(at, value))).toBeNull();
  });

  test('the cache keeps the best, within its bytes', () => {
    const cache = new LayerCache(40);
    const of = (layer: number, exact = true) => grid(2, 2, () => layer, { layer, exact });
    cache.put('1/a', of(1));
    cache.put('1/a', of(0));
    expect(cache.layer('1/a')).toBe(1);
    cache.put('1/a', of(3, false));
    cache.put('1/a', of(3, true));
    expect(cache.best('1/a')?.exact).toBe(true);
    for (const key of ['1/b', '1/c', '1/d', '1/e']) cache.put(key, of(0));
    expect(cache.bytes).toBe(40);
    cache.best('1/a');
    cache.put('2/f', of(0));
    expect([cache.layer('1/a'), cache.layer('1/b'), cache.layer('2/f')]).toEqual([3, -1, 0]);
    cache.forget('1/');
    expect(cache.bytes).toBe(8);
    cache.clear();
    expect(cache.bytes).toBe(0);
    expect(CACHE_BYTES).toBeLessThanOrEqual(256 * 2 ** 20);
  });
});

describe('what is said of pixels (S21)', () => {
  const TABLE: [string, Pixels | undefined, Partial<FrameView>, string | null, string, boolean][] = [
    ['nothing', undefined, {}, null, 'no picture yet', false],
    ['a preview', grid(1, 1, () => 0, { layer: 0, exact: false }), {}, null, 'PREVIEW 1:8', false],
    ['a preview of a frame that failed', grid(2, 1, () => 0, { layer: 1, exact: false }), {}, 'cannot be decoded', 'PREVIEW 1:4 — the whole cannot be decoded', false],
    ['the whole without a digest', grid(8, 4, () => 0, { exact: false }), {}, null, 'WHOLE, NOT VERIFIED', false],
    ['exact', grid(8, 4, () => 0), {}, null, 'EXACT', true],
    ['exact of a lossy source', grid(8, 4, () => 0), { lossy_text: 'lossy 1:12' }, null, 'EXACT — source is lossy 1:12', true],
    ['exact, lossy by its pixels alone', grid(8, 4, () => 0, { lossy: true }), {}, null, 'EXACT — source is lossy', true],
  ];
  for (const [name, pixels, more, failure, text, measurable] of TABLE) {
    test(name, () => expect(qualityOf(pixels, { ...FRAME, ...more }, failure)).toMatchObject({ text, measurable }));
  }
});

describe('a display from the engine', () => {
  test('is taken as it stands; what is absent gets the standard’s default', () => {
    const found = displayOf({ rescale: { slope: 1, intercept: -1024, unit: 'HU' }, windows: [{ center: 40, width: 400 }, { center: 1, width: 0 }], spacing: null });
    expect(found).toMatchObject({ inverse: false, voi: 'LINEAR', windows: [{ center: 40, width: 400 }], regions: [], rescale: { unit: 'HU' } });
    expect(found?.spacing).toBeUndefined();
  });
  for (const wrong of [null, 'x', [], { rescale: { slope: 0, intercept: 0 } }, { modality_lut: { first: 0, bits: 8, entries: [] } }, { palette: { first: 0, rgb: [1, 2] } }, { spacing: { row_mm: 0, column_mm: 1, source: 'x' } }]) {
    test(`${JSON.stringify(wrong)} is none: half of it would show wrong values`, () => expect(displayOf(wrong)).toBeNull());
  }
});

describe('the fallback renderer', () => {
  const shot = (pixels: Pixels, more: Partial<Shot> = {}): Shot => {
    const frame = { ...FRAME, columns: pixels.columns, rows: pixels.rows };
    const box: Box = { width: pixels.columns, height: pixels.rows, ratio: 1 };
    return {
      key: 'k', pixels, frame, display: NO_DISPLAY, grey: { kind: 'window', center: 128, width: 256, voi: 'LINEAR' }, inverted: false, box,
      map: place({ columns: pixels.columns, rows: pixels.rows, aspect: 1 }, box, FITTED), ...more,
    };
  };
  const red = (of: Shot) => [...paint(of, 1).bytes].filter((_, i) => i % 4 === 0);

  test('one to one shows each value', () => expect(red(shot(grid(4, 1, (x) => [0, 100, 200, 255][x] ?? 0)))).toEqual([0, 100, 200, 255]));
  test('MONOCHROME1 is the other way round, and the reader turns it back', () => {
    const inverse1 = { display: display({ inverse: true }) };
    expect(red(shot(grid(2, 1, (x) => x * 255), inverse1))).toEqual([255, 0]);
    expect(red(shot(grid(2, 1, (x) => x * 255), { ...inverse1, inverted: true }))).toEqual([0, 255]);
  });
  test('padding is background, also inverted', () => {
    expect(red(shot(grid(2, 1, (x) => x * 255), { display: display({ padding: { low: 0, high: 0 }, inverse: true }) }))).toEqual([0, 0]);
  });
  test('a palette gives colours', () => {
    const with_ = display({ palette: { first: 5, rgb: [10, 20, 30, 200, 210, 220] } });
    const { bytes } = paint(shot(grid(3, 1, (x) => x + 4), { display: with_ }), 1);
    expect([...bytes]).toEqual([10, 20, 30, 255, 10, 20, 30, 255, 200, 210, 220, 255]);
  });
  test('YBR becomes red, green, blue', () => {
    const pixels: Pixels = { columns: 1, rows: 1, samples: 3, signed: false, layer: 3, exact: true, lossy: false, values: Uint8Array.of(76, 85, 255) };
    const of = shot(pixels);
    const { bytes } = paint({ ...of, frame: { ...of.frame, colour: 'ybr-full', bits: 8, samples: 3 } }, 1);
    expect([...bytes]).toEqual([254, 0, 0, 255]);
  });
});
