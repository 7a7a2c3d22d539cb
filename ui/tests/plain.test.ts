/** Text from outside as it may stand on a screen (S4, S28): signs that nobody sees are shown, and nothing is lost. */
import { afterEach, describe, expect, test } from 'vitest';
import { plain, plainText } from '../src/domain/plain';
import { fakeOf } from '../src/ipc/fake';
import { KNOWN, MARY_CHART } from '../src/ipc/fixtures/people';
import { calm, failure } from '../src/ipc/fixtures/world';
import { plainly } from '../src/ipc/plainly';
import { leave, screen } from './onScreen';

afterEach(leave);
const M = '\ufffd';

describe('signs that nobody sees', () => {
  test('what turns the order of letters is shown', () => {
    for (const sign of '\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069') expect(plainText(`a${sign}b`)).toBe(`a${M}b`);
  });
  test('what looks like nothing is shown', () => {
    for (const sign of ['\u0000', '\u001b', '\u007f', '\u009b', '\u00ad', '\u200b', '\u2060', '\ufeff', '\u3164', '\u115f', '\u{e0041}', '\u180e']) {
      expect(plainText(`a${sign}b`)).toBe(`a${M}b`);
    }
  });
  test('lines stay lines', () => {
    for (const sign of ['\r\n', '\r', '\n', '\u2028', '\u2029', '\u0085', '\u000b']) expect(plainText(`a${sign}b`)).toBe('a\nb');
    expect(plainText('a\tb')).toBe('a\tb');
  });
  test('joiners stay where a script or an emoji has them', () => {
    for (const text of ['نمی\u200cخواهم', 'क्\u200dष', '👩\u200d⚕️', '🧑🏽\u200d🦽', '🏳️\u200d🌈']) expect(plainText(text)).toBe(text);
    expect(plainText('J\u200dO')).toBe(`J${M}O`);
  });
  test('direction marks stay beside letters that run that way, and nowhere else: they swap numbers', () => {
    expect(plainText('כהן\u200f (12)')).toBe('כהן\u200f (12)');
    expect(plainText('\u200f3 5')).toBe(`${M}3 5`);
  });
  test('more marks than any script writes do not cover other lines', () => {
    expect(plainText(`a${'\u0301'.repeat(9)}`)).toBe(`a${'\u0301'.repeat(4)}${M.repeat(5)}`);
    for (const text of ['Nguyễn Thị Ánh', 'Ng\u0075\u0302\u0303', 'בְּרֵאשִׁית']) expect(plainText(text)).toBe(text);
  });
  test('everything else is left as it is', () => {
    for (const text of ['', 'JONES, Mary (Ms)', 'KOVÁČOVÁ, Oľga', '山田太郎', 'محمد', '<b>x</b>', '≥5 µg · “x” — 3 × 4', 'null']) expect(plainText(text)).toBe(text);
  });
});

describe('every answer', () => {
  test('at any depth, numbers and nothing untouched', () => {
    expect(plain({ a: ['x\u202e', { b: 'y\u200b' }], n: 1, none: null, list: [1, 2] })).toEqual({ a: [`x${M}`, { b: `y${M}` }], n: 1, none: null, list: [1, 2] });
  });
  test('what is never shown as nothing', () => {
    expect(plain({ agent: ' ', name: '', label: '\n', title: '', value: '' })).toEqual({
      agent: 'Agent not recorded', name: 'Name not recorded', label: 'Not named', title: 'Not named', value: 'Value not recorded',
    });
    // S7: without a name in the banner nothing of the patient is shown.
    expect(plain({ ...MARY_CHART.banner, name: ' ' }).name).toBe(' ');
  });
  test('answers, failures and events of the engine pass through it', async () => {
    const world = calm();
    world.status.ward = 'E\u202eD';
    world.search = failure('damaged', 'n\u200bo');
    const fake = fakeOf(world);
    const backend = plainly(fake);
    expect((await backend.status()).ward).toBe(`E${M}D`);
    await expect(backend.search('x')).rejects.toMatchObject({ code: 'damaged', text: `n${M}o` });
    const heard: unknown[] = [];
    await backend.listen((events) => heard.push(...events));
    fake.tell({ kind: 'board-changed', value: 'e\u2066d' });
    expect(heard).toEqual([{ kind: 'board-changed', value: `e${M}d` }]);
  });
});

describe('the same text twice', () => {
  test('two flags, alarms or modalities that read the same are both shown', async () => {
    await screen('board', (world) => {
      world.status.alarms = ['Call clinical IT', 'Call clinical IT'];
      if (typeof world.board === 'object' && 'ok' in world.board) {
        world.board = { ok: { ...world.board.ok, rows: world.board.ok.rows.map((row) => ({ ...row, flags: ['Fall risk', 'Fall risk'] })) } };
      }
    });
    expect(document.querySelectorAll('[data-testid=alarm]').length).toBe(2);
    const row = document.querySelector('[data-testid=patient-row]');
    expect([...(row?.querySelectorAll('.tag') ?? [])].filter((each) => each.textContent === 'Fall risk').length).toBe(2);
  });
  test('a number whose label is that of another field does not take the banner away', async () => {
    await screen('chart', (world) => (world.chart = { ok: { ...MARY_CHART, banner: { ...MARY_CHART.banner, number_label: 'Born' } } }));
    expect(document.querySelector('[data-testid=banner]')?.textContent).toContain('4471 0932');
  });
});

test('an acuity of another scale chooses no class', async () => {
  await screen('board', (world) => {
    if (typeof world.board === 'object' && 'ok' in world.board) {
      world.board = { ok: { ...world.board.ok, rows: world.board.ok.rows.map((row) => ({ ...row, acuity: '1 visually-hidden' })) } };
    }
  });
  expect(document.querySelector('.acuity')?.classList.contains('visually-hidden')).toBe(false);
});

test('free text of an agent stands in quotation marks, its letters apart from them', async () => {
  await screen('chart', (world) => {
    const item = { agent: 'צבע', detail_text: 'x', coded: false, dangerous: false, verification_text: null, unsent_text: null, disputed_text: null, source: null, standing: '' };
    world.chart = { ok: { ...MARY_CHART, allergies: { ...KNOWN, items: [item] } } };
  });
  const agent = document.querySelector('.agent');
  expect(agent?.textContent).toBe('“צבע”');
  expect(agent?.querySelector('bdi')?.textContent).toBe('צבע');
});
