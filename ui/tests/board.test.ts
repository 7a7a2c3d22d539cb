/** The ward board: many rows, filter, preview, what changed, wall display; each rule of screens.md A6 by its number. */
import { flushSync } from 'svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { changesOf, emptyText, filterText, hiddenByFilter, initialsOf, outOfView } from '../src/domain/board';
import type { Fake } from '../src/ipc/fake';
import { crowd } from '../src/ipc/fixtures/crowd';
import { BOARD } from '../src/ipc/fixtures/people';
import { offsetsOf, revealing, touching, whollySeen } from '../src/shared/rowWindow.svelte';
import type { App } from '../src/state/app.svelte';
import type { Key } from '../src/state/keys';
import type { PatientRowView } from '../src/wire/PatientRowView';
import { all, leave, screen, words } from './onScreen';

const IDLE = { typing: false, control: false };
const said = (testid: string) => words(all(testid)[0]);
const board = () => document.querySelector<HTMLElement>('[data-testid="board-screen"]');
const options = () => [...document.querySelectorAll<HTMLElement>('[role=option]')];
const listbox = () => document.querySelector<HTMLElement>('[role=listbox]');
const settled = () => new Promise((done) => setTimeout(done, 0));
const first = (rows: PatientRowView[], patient: string): PatientRowView => {
  const row = rows.find((each) => each.patient === patient);
  if (row === undefined) throw new Error(`no ${patient}`);
  return row;
};

function press(app: App, name: string): boolean {
  const key: Key = { key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false };
  const taken = app.onKey(key, IDLE, 0);
  flushSync();
  return taken;
}

/** The next answer of the board. */
async function boardBecomes(app: App, rows: PatientRowView[]): Promise<void> {
  const { world, tell } = app.backend as Fake;
  if (typeof world.board === 'object' && 'ok' in world.board) world.board = { ok: { ...world.board.ok, rows } };
  tell({ kind: 'board-changed', value: 'ed' });
  await settled();
  flushSync();
}

afterEach(async () => {
  vi.restoreAllMocks();
  await leave();
});

describe('a list of 200 rows', () => {
  const ROW = 40;
  const TALL = 400;
  /** No layout here: every row is 40 high, the list 400. */
  beforeEach(() => {
    vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(TALL);
    vi.spyOn(HTMLElement.prototype, 'getBoundingClientRect').mockImplementation(() => new DOMRect(0, 0, 800, ROW));
  });

  test('only the rows around the view are on the page, and each says which of how many it is', async () => {
    await screen('board-200');
    expect(options().length).toBeGreaterThanOrEqual(TALL / ROW);
    // Those beyond the edge come once those in view were painted.
    await vi.waitFor(() => expect(options().length).toBeGreaterThan(TALL / ROW));
    expect(options().length).toBeLessThan(40);
    expect(options().every((row) => row.getAttribute('aria-setsize') === '200')).toBe(true);
    expect(options().map((row) => row.getAttribute('aria-posinset'))).toEqual(options().map((_, i) => String(i + 1)));
  });

  test('S5: opened again, the rows are measured again: what is said of the others is of now', async () => {
    const app = await screen('board-200');
    expect(said('rows-below')).toMatch(/^190 more rows below/u);
    app.showSearch();
    flushSync();
    vi.spyOn(HTMLElement.prototype, 'getBoundingClientRect').mockImplementation(() => new DOMRect(0, 0, 800, 2 * ROW));
    void app.showBoard();
    flushSync();
    expect(said('rows-below')).toMatch(/^195 more rows below/u);
    await settled();
    flushSync();
    expect(said('rows-below')).toMatch(/^195 more rows below/u);
  });

  test('the cursor is in view by every key, and aria-activedescendant names its row', async () => {
    const app = await screen('board-200');
    const at = (): number => {
      const row = document.getElementById(listbox()?.getAttribute('aria-activedescendant') ?? '');
      expect(row?.getAttribute('aria-selected')).toBe('true');
      const index = Number(row?.getAttribute('aria-posinset')) - 1;
      const top = listbox()?.scrollTop ?? 0;
      expect(index * ROW).toBeGreaterThanOrEqual(top);
      expect((index + 1) * ROW).toBeLessThanOrEqual(top + TALL);
      return index;
    };
    const walk: [string, number][] = [
      ['j', 1], ['ArrowDown', 2], ['k', 1], ['PageDown', 10], ['PageDown', 19], ['PageUp', 10], ['End', 199], ['ArrowUp', 198], ['Home', 0], ['ArrowUp', 0],
    ];
    for (const [name, index] of walk) {
      expect(press(app, name)).toBe(true);
      expect([name, at()]).toEqual([name, index]);
    }
  });

  test('scrolled away from the cursor, its row stays on the page', async () => {
    await screen('board-200');
    const list = listbox();
    if (list === null) throw new Error('no list');
    list.scrollTop = 100 * ROW;
    list.dispatchEvent(new Event('scroll'));
    flushSync();
    expect(options().map((row) => row.getAttribute('aria-posinset'))).toContain('105');
    expect(document.getElementById(list.getAttribute('aria-activedescendant') ?? '')?.getAttribute('aria-posinset')).toBe('1');
    expect(said('rows-above')).toMatch(/^100 more rows above/u);
  });

  test('news of other rows do not move the row under the cursor on the screen', async () => {
    const app = await screen('board-200-scrolled');
    // Away from the edges, where bringing it into view would hide a jump.
    app.board.move(-5);
    flushSync();
    const row = app.board.row?.patient;
    const place = () => app.board.cursor * ROW - (listbox()?.scrollTop ?? 0);
    const before = place();
    await boardBecomes(app, [{ ...first(crowd(1), 'p-crowd-0'), patient: 'p-new' }, ...crowd(200)]);
    expect(app.board.row?.patient).toBe(row);
    expect(app.board.cursor).toBe(116);
    expect(place()).toBe(before);
  });

  test('whoever comes in above the first row is seen where the list stands at its top', async () => {
    const app = await screen('board-200');
    press(app, 'j');
    await boardBecomes(app, [{ ...first(crowd(1), 'p-crowd-0'), patient: 'p-new', name: 'NEW, Somebody' }, ...crowd(200)]);
    expect(listbox()?.scrollTop).toBe(0);
    expect(words(options()[0])).toContain('NEW, Somebody');
  });

  test('S5: what is out of view is counted, and who matters is named', async () => {
    const app = await screen('board-200');
    const rows = crowd(200);
    const high = rows.flatMap((row, i) => (row.news2?.level === 'high' ? [i] : []));
    const urgent = rows.filter((row) => row.acuity === '1' || row.acuity === '2').length;
    expect(said('rows-below')).toMatch(new RegExp(`^190 more rows below · ${urgent - 10} with acuity 1 or 2: beds`, 'u'));
    expect(said('rows-below')).toContain(`${high.length} with high NEWS2: beds ${high.map((i) => i + 1).join(', ')}`);
    expect(all('rows-above')).toHaveLength(0);
    press(app, 'End');
    expect(all('rows-below')).toHaveLength(0);
    expect(said('rows-above')).toMatch(new RegExp(`^190 more rows above · ${urgent} with acuity 1 or 2: beds 1, 2, 3`, 'u'));
  });
});

describe('the window over rows of different height', () => {
  const offsets = offsetsOf(['a', 'b', 'c', 'd'], new Map([['a', 40], ['b', 100], ['d', 60]]), 50);
  test('rows that were not measured count with a guess', () => expect(offsets).toEqual([0, 40, 140, 190, 250]));
  test('S5: a row cut by an edge is on the page, but counts as hidden', () => {
    expect(touching(offsets, 20, 100)).toEqual([0, 2]);
    expect(whollySeen(offsets, 20, 100)).toEqual([1, 1]);
    expect(whollySeen(offsets, 40, 150)).toEqual([1, 3]);
  });
  test('the view moves no further than it has to', () => {
    expect(revealing(offsets, 1, 0, 150)).toBe(0);
    expect(revealing(offsets, 3, 0, 150)).toBe(100);
    expect(revealing(offsets, 0, 100, 150)).toBe(0);
  });
  test('of a row higher than the view the beginning is seen', () => expect(revealing(offsets, 1, 0, 80)).toBe(40));
});

test('S4: each row holds all of its fields in full', async () => {
  const app = await screen('board-200');
  for (let i = 9; i < 200; i += 23) {
    app.board.move(i - app.board.cursor);
    flushSync();
    const row = app.board.row;
    const shown = words(document.getElementById(`board-${i}`));
    if (row === null) throw new Error('no row');
    for (const field of [row.bed, row.name, row.born_text, row.gender_text, row.number_text, row.reason_text ?? 'Not recorded', row.allergy_text, ...row.flags]) {
      expect(shown).toContain(field);
    }
  }
});

test('S4: the preview holds every field of the row in full, each with its label', async () => {
  const app = await screen('board-preview-long');
  const { row } = app.board;
  if (row === null) throw new Error('no row');
  const fields = new Map(
    [...(all('preview')[0]?.querySelectorAll('dl > div') ?? [])].map((each) => [words(each.querySelector('dt')), words(each.querySelector('dd'))]),
  );
  expect(fields.get('Name')).toContain(row.name);
  expect(fields.get('Name')).toContain('similar name');
  expect(fields.get('Flags')).toBe(row.flags.join(' · '));
  expect(fields.get('Reason')).toBe(row.reason_text);
  expect(fields.get('Born')).toBe(row.born_text);
  expect(fields.get('MRN')).toBe(row.number_text);
  for (const label of ['Bed', 'Gender', 'Place', 'Acuity', 'Score', 'Stay', 'Allergies', 'Chart']) expect(fields.get(label)).not.toBe('');
});

describe('S6: a filter', () => {
  test('is announced as "n of N", with the order beside it, and can be removed', async () => {
    const app = await screen('board');
    expect(press(app, '2')).toBe(true);
    press(app, '3');
    expect(said('filter')).toBe('Acuity 2, 3: 4 of 7 patients');
    expect(all('filter')[0]?.getAttribute('role')).toBe('status');
    expect(said('board-summary')).toContain('sort: acuity, wait');
    expect(options()).toHaveLength(4);
    press(app, '2');
    expect(said('filter')).toBe('Acuity 3: 3 of 7 patients');
    all('show-all')[0]?.click();
    flushSync();
    expect(said('filter')).toBe('No filter');
    expect(options()).toHaveLength(BOARD.length);
  });

  test('has buttons that do the same and say their state', async () => {
    await screen('board');
    const chip = all('acuity-3')[0];
    expect(words(chip)).toBe('Acuity 3 , 3 patients');
    chip?.click();
    flushSync();
    expect(chip?.getAttribute('aria-pressed')).toBe('true');
    expect(said('filter')).toBe('Acuity 3: 3 of 7 patients');
  });

  test('A clears all of it, and the cursor stays with its patient', async () => {
    const app = await screen('board');
    press(app, '3');
    press(app, 'j');
    const patient = app.board.row?.patient;
    expect(press(app, 'a')).toBe(true);
    expect(app.board.acuities).toEqual([]);
    expect(app.board.row?.patient).toBe(patient);
    expect(app.board.cursor).toBeGreaterThan(1);
  });

  test('Enter opens the row that is shown, not one that the filter hides', async () => {
    const app = await screen('board');
    press(app, '4');
    press(app, 'Enter');
    expect(app.chart?.asked).toBe('p-olga');
  });

  test('S5: says how many it hides and who of them matters', async () => {
    const app = await screen('board');
    expect(all('hidden-by-filter')).toHaveLength(0);
    press(app, '4');
    expect(said('hidden-by-filter')).toBe('Hidden by the filter: 6 patients · 2 with acuity 1 or 2: beds R1, R2 · 1 with high NEWS2: bed R1');
    const unknown = BOARD.map((row) => (row.patient === 'p-luis' ? { ...row, acuity: null } : row));
    expect(hiddenByFilter(unknown, ['3'])?.map(({ words }) => words)).toContain('1 without an acuity');
  });

  test('that shows nobody says so, whom it hides and how it ends; never a plain empty list (S1)', async () => {
    const app = await screen('board-filtered-empty');
    expect(listbox()).toBeNull();
    expect(all('empty')).toHaveLength(0);
    expect(said('filtered-empty')).toBe('Acuity 5: none of the 6 patients on this board. Show all A');
    expect(said('hidden-by-filter')).toContain('6 patients');
    expect(emptyText(BOARD, ['5'], false)).toContain('there may be more');
    press(app, 'A');
    expect(options().length).toBe(7);
  });

  test('digits and letters do nothing of it on another screen', async () => {
    const app = await screen('board');
    for (const show of [() => app.showSearch(), () => void app.openChart('p-mary', 'board')]) {
      show();
      flushSync();
      for (const name of ['1', '5', 'a', 'w', 'i', ' ', 'Home', 'End', 'PageDown']) expect(press(app, name)).toBe(false);
    }
    expect(app.board.acuities).toEqual([]);
    expect(app.board.wall).toBe(false);
    app.showBoard();
    await settled();
    expect(press(app, '6')).toBe(false);
    expect(filterText(BOARD, [])).toBe('No filter');
  });

  test('is still there after a chart, and said', async () => {
    const app = await screen('board');
    press(app, '3');
    await app.openChart('p-ada', 'board');
    press(app, 'Escape');
    await settled();
    flushSync();
    expect(said('filter')).toBe('Acuity 3: 3 of 7 patients');
  });
});

describe('the preview', () => {
  test('opens and closes by Space and Esc and opens no chart', async () => {
    const app = await screen('board');
    let asked = 0;
    (app.backend as Fake).chartOpen = async () => (asked++, Promise.reject(new Error('no chart here')));
    expect(press(app, ' ')).toBe(true);
    expect(said('preview')).toContain('SMITH, John (Mr)');
    press(app, ' ');
    expect(all('preview')).toHaveLength(0);
    press(app, ' ');
    expect(press(app, 'Escape')).toBe(true);
    expect(all('preview')).toHaveLength(0);
    expect(press(app, 'Escape')).toBe(false);
    expect([asked, app.view, app.chart]).toEqual([0, 'board', null]);
  });

  test('goes along with the cursor, and the focus stays in the list', async () => {
    const app = await screen('board');
    press(app, ' ');
    press(app, 'j');
    expect(said('preview')).toContain('SMYTH, Joan');
    expect(document.activeElement).toBe(listbox());
  });

  test('S8: never turns into somebody else by itself', async () => {
    const app = await screen('board');
    press(app, 'j');
    press(app, ' ');
    await boardBecomes(app, [...BOARD].reverse());
    expect(said('preview')).toContain('SMYTH, Joan');
    await boardBecomes(app, BOARD.filter(({ patient }) => patient !== 'p-joan'));
    expect(said('preview')).not.toContain('SMITH');
    expect(all('preview-gone')).toHaveLength(1);
  });

  test('longer than its place, it scrolls by its own keys while it has the focus; the cursor stays', async () => {
    const app = await screen('board-preview');
    const fields = all('preview')[0]?.querySelector<HTMLElement>('[data-scrolls]');
    const down = () => fields?.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
    vi.spyOn(HTMLElement.prototype, 'scrollHeight', 'get').mockReturnValue(500);
    vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(200);
    down();
    expect(app.board.cursor).toBe(1);
    vi.restoreAllMocks();
    down();
    expect(app.board.cursor).toBe(2);
  });

  test('a restricted row is shown no further than on the board', async () => {
    const app = await screen('board');
    app.board.move(5);
    press(app, ' ');
    expect(said('preview')).toContain('Restricted — break-glass');
  });
});

describe('changed since opened', () => {
  const joan = first(BOARD, 'p-joan');
  const withJoan = (change: Partial<PatientRowView>) => BOARD.map((row) => (row.patient === 'p-joan' ? { ...row, ...change } : row));
  const marked = () => options().filter((row) => row.querySelector('.changed') !== null).map((row) => row.dataset.patient);
  const openAndClose = async (app: App, from: 'board' | 'search' = 'board') => {
    await app.openChart('p-joan', from);
    app.closeChart();
    app.showBoard();
    await settled();
    flushSync();
  };

  test('a row is marked by a shape and a word that is heard, and the preview says what it was', async () => {
    const app = await screen('board');
    await openAndClose(app);
    expect(marked()).toEqual([]);
    await boardBecomes(app, withJoan({ acuity: '1', flags: [] }));
    expect(marked()).toEqual(['p-joan']);
    const mark = options()[1]?.querySelector('.changed');
    expect(words(mark)).toBe('changed');
    expect(mark?.querySelector('svg')).not.toBeNull();
    expect(mark?.closest('[aria-hidden]')).toBeNull();
    app.board.move(1);
    press(app, ' ');
    expect(said('preview-changes')).toBe('acuity, flags');
    await openAndClose(app);
    expect(marked()).toEqual([]);
  });

  test('rows that were not opened are not marked, nor a stay that grew', async () => {
    const app = await screen('board');
    await openAndClose(app);
    await boardBecomes(app, BOARD.map((row) => (row.patient === 'p-john' ? { ...row, acuity: '2' } : row)));
    expect(marked()).toEqual([]);
    await boardBecomes(app, withJoan({ stay_text: '1:11' }));
    expect(marked()).toEqual([]);
  });

  test('opened from the search, the first row the board shows after it counts', async () => {
    const app = await screen('board');
    app.showSearch();
    await openAndClose(app, 'search');
    expect(marked()).toEqual([]);
    await boardBecomes(app, withJoan({ reason_text: 'Sepsis' }));
    expect(marked()).toEqual(['p-joan']);
  });

  test('every field that a row shows counts', () => {
    const other: Partial<PatientRowView> = {
      name: 'x', born_text: 'x', gender_text: 'x', number_text: 'x', bed: 'x', acuity: 'x', news2: null, reason_text: 'x',
      similar_name: false, allergy_text: 'x', flags: ['x'], restricted: true, deceased_text: 'x',
    };
    for (const [field, value] of Object.entries(other)) expect([field, changesOf(joan, { ...joan, [field]: value }).length]).toEqual([field, 1]);
    expect(changesOf(joan, { ...joan, stay_text: 'x' })).toEqual([]);
  });
});

describe('the wall display', () => {
  test('W switches it, I the initials; initials alone are no state of the ordinary board', async () => {
    const app = await screen('board');
    expect(press(app, 'i')).toBe(false);
    press(app, 'w');
    expect(document.querySelector('.table.wall')).not.toBeNull();
    expect(said('board-screen')).toContain('SMITH, John (Mr)');
    expect(said('board-screen')).toContain('1002 3345');
    press(app, 'i');
    expect(app.board.private).toBe(true);
    press(app, 'w');
    expect(app.board.private).toBe(false);
    expect(said('board-screen')).toContain('SMITH, John (Mr)');
  });

  test('initials only: said, and nothing of the identity is on the page, not in the preview either', async () => {
    const app = await screen('board-wall-initials');
    expect(said('private')).toContain('Initials only');
    for (let i = 0; i < BOARD.length; i++) {
      if (app.board.previewOf === null) press(app, ' ');
      const page = board()?.outerHTML ?? '';
      for (const { name, born_text, number_text, place_text } of BOARD) {
        if (born_text === '') continue;
        for (const part of [name, name.split(',')[0] ?? name, born_text, number_text]) expect(page).not.toContain(part);
        expect(place_text).not.toContain(name);
      }
      press(app, 'j');
    }
    expect(words(options()[0])).toMatch(/^R1 J S/u);
  });

  const NAMES: [string, string][] = [
    ['JONES, Mary (Ms)', 'M J'],
    ['SMITH-ANDERSON, Jonathan Maximilian (Mr)', 'J S'],
    ['O’NEILL, Sam', 'S O'],
    ['KOVÁČOVÁ, Oľga (Mrs)', 'O K'],
    ['ÉLOÏSE', 'É'],
    ['Jane Doe', 'J D'],
    ['Name not recorded', 'Name not recorded'],
    ['(Mr)', 'no name'],
  ];
  for (const [name, initials] of NAMES) test(`${name} is ${initials}`, () => expect(initialsOf(name)).toBe(initials));
});

test('S18: the lock forgets filter, preview, wall display, initials and what was opened', async () => {
  const app = await screen('board-changed');
  press(app, 'w');
  press(app, 'i');
  press(app, '3');
  const measured = app.board.heights;
  app.lock();
  flushSync();
  expect(app.board.heights).not.toBe(measured);
  expect(app.board.heights.known.size).toBe(0);
  const { acuities, previewOf, wall, initials, result } = app.board;
  expect({ acuities, previewOf, wall, initials, result }).toEqual({ acuities: [], previewOf: null, wall: false, initials: false, result: null });
  await app.signIn('aokafor', '0000');
  app.showBoard();
  await settled();
  flushSync();
  expect(options().filter((row) => row.querySelector('.changed') !== null)).toEqual([]);
  expect(said('filter')).toBe('No filter');
});

test('S5: one row is one row, and a bed without a name is said', () => {
  const row = { ...first(BOARD, 'p-john'), bed: '' };
  expect(outOfView([row], 'below')?.map(({ words, beds, after }) => `${words} ${beds.join(', ')}${after}`.trim())).toEqual([
    '1 more row below', '1 with acuity 1 or 2: bed not recorded', '1 with high NEWS2: bed not recorded',
  ]);
  expect(outOfView([], 'below')).toBeNull();
});
