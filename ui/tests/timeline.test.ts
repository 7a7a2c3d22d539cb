/** The timeline: one order of time over all kinds; no kind is an empty list where it was not loaded; filters are announced. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { boundary, inTime, lanesOf, MOST_OF_A_YEAR, OPEN_UP_TO, openByItself, yearsOf, type Entry, type Kind, type Lane } from '../src/domain/timeline';
import { STUDIES } from '../src/ipc/fixtures/images';
import { dated } from '../src/ipc/fixtures/dated';
import { LIVE, MARY_CHART, OFFLINE, PARTIAL } from '../src/ipc/fixtures/people';
import type { Key } from '../src/state/keys';
import { all, leave, one, screen, words } from './onScreen';

const IDLE = { typing: false, control: false };
const key = (name: string): Key => ({ key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false });

afterEach(leave);

test('a kind that was not loaded says so, and is no empty list (S1)', async () => {
  await screen('chart-encounters');
  expect(words(all('kind')[2])).toBe('Image studies unknown');
  // Above the one list, by its name.
  const said = all('unknown')[0];
  expect(words(said)).toMatch(/^Image studies: The list of images was not read yet/u);
  expect(said?.compareDocumentPosition(all('year')[0] as Node)).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
  await leave();
  await screen('timeline-partial');
  expect(all('empty')).toHaveLength(0);
  expect(all('unknown')).toHaveLength(4);
});

test('studies of somebody else are never among them (S8)', () => {
  const lane = lanesOf(MARY_CHART, { ...STUDIES, patient: 'p-other' }).find(({ kind }) => kind === 'studies');
  expect(lane).toMatchObject({ entries: [], unknown: true });
});

describe('one order of all kinds', () => {
  const at = (kind: Kind, place: number, at: number | null, year: number | null = at === null ? null : 2026): Entry => ({ kind, place, text: `${kind} ${place}`, detail: [], at, year });
  const lane = (kind: Kind, ...entries: Entry[]): Lane => ({ kind, entries, said: null, unknown: false });
  const texts = (entries: Entry[]) => entries.map(({ text }) => text);

  test('the newest first over the kinds, what has no date last, in a stable order', () => {
    const lanes = [
      lane('encounters', at('encounters', 0, 500), at('encounters', 1, 100), at('encounters', 2, null)),
      lane('notes', at('notes', 0, 900), at('notes', 1, 500), at('notes', 2, 500), at('notes', 3, null)),
      lane('medicines', at('medicines', 0, null), at('medicines', 1, 0), at('medicines', 2, -5)),
    ];
    expect(texts(inTime(lanes))).toEqual([
      'notes 0', 'encounters 0', 'notes 1', 'notes 2', 'encounters 1', 'medicines 1', 'medicines 2', 'encounters 2', 'notes 3', 'medicines 0',
    ]);
  });

  test('every kind of a chart is ordered by when the engine says it was, not by its words or its place', () => {
    const lanes = lanesOf(MARY_CHART, STUDIES);
    const shown = inTime(lanes);
    expect(shown).toHaveLength(lanes.reduce((sum, { entries }) => sum + entries.length, 0));
    expect(new Set(shown.map(({ kind }) => kind)).size).toBe(4);
    const dates = shown.map((entry) => entry.at);
    expect(dates).toEqual([...dates].sort((one, other) => (other ?? -Infinity) - (one ?? -Infinity)));
    expect(texts(shown).slice(0, 4)).toEqual(['ICU progress note', 'CT chest with contrast', 'Nursing note', 'Chest PA']);
    // The list itself may say otherwise: what ended later stands above what ended before it.
    const ended = shown.filter(({ kind }) => kind === 'medicines').map(({ text }) => text);
    expect(ended.indexOf('prednisoLONE')).toBeLessThan(ended.indexOf('amoxicillin'));
    expect(shown.at(-1)).toMatchObject({ text: 'Nuclear medicine, bone', at: null, year: null });
  });

  test('a partial date stands where it begins, in its year', () => {
    const chart = { ...MARY_CHART, encounters: { ...MARY_CHART.encounters, items: [{ text: 'A stay', detail_text: '2026', ...dated('2026') }] } };
    const years = yearsOf(inTime(lanesOf(chart, null)));
    expect(years[0]?.year).toBe(2026);
    expect(years[0]?.entries.at(-1)?.text).toBe('A stay');
  });

  test('years have their entries, each once, and what has no date is a group of its own at the end', () => {
    const years = yearsOf([at('notes', 0, 9, 2026), at('notes', 1, 8, 2026), at('notes', 2, 7, 2019), at('notes', 3, null)]);
    expect(years.map(({ year, entries, from }) => [year, entries.length, from])).toEqual([[2026, 2, 0], [2019, 1, 2], [null, 1, 3]]);
  });

  test('years are open by themselves until enough is on the page, the newest always', () => {
    const year = (n: number) => Array.from({ length: n }, (_, i) => at('notes', i, 0));
    const of = (...lengths: number[]) => lengths.map((n, i) => ({ year: 2026 - i, entries: year(n), from: 0 }));
    expect(openByItself(of(4, 5, 6))).toBe(3);
    expect(openByItself(of(OPEN_UP_TO * 9, 1))).toBe(1);
    expect(openByItself(of(OPEN_UP_TO, 1, 1))).toBe(1);
    expect(openByItself([])).toBe(0);
  });
});

test('an entry says its kind in words and by a shape, and what has no date says so', async () => {
  await screen('timeline-whole');
  const entries = all('entry');
  const kinds = new Set(entries.map((each) => words(each.querySelector('.kind'))));
  expect(kinds).toEqual(new Set(['Encounter', 'Note', 'Image study', 'Medicine ended']));
  expect(entries.every((each) => each.querySelector('.kind svg') !== null)).toBe(true);
  const last = all('year').at(-1);
  expect(words(last)).toMatch(/^No date recorded/u);
  expect(words(last)).toContain('their place in time is not known');
  // The boundary stays at the end.
  expect(last?.compareDocumentPosition(one('boundary'))).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
});

test('of fifteen years only some are on the page, all are counted, and each can be opened (S5)', async () => {
  const app = await screen('timeline-long');
  const count = app.timeline.entries.length;
  expect(count).toBeGreaterThan(2000);
  expect(all('entry').length).toBeLessThanOrEqual(MOST_OF_A_YEAR);
  const said: number[] = all('year').map((each) => Number(/(\d+) entr(?:y|ies)/u.exec(words(each.querySelector('h3')))?.[1]));
  expect(said.reduce((sum, n) => sum + n, 0)).toBe(count);
  expect(words(one('closed'))).toContain(`On this page: ${all('entry').length} of ${count} entries`);
  const [before, first = 0, second = 0] = [all('entry').length, ...said];
  const button = all('year')[1]?.querySelector('button');
  expect(words(button)).toBe(`Show ${second} entries`);
  expect(button?.getAttribute('aria-expanded')).toBe('false');
  button?.click();
  flushSync();
  expect(all('entry').length).toBe(before + second);
  button?.click();
  flushSync();
  expect(all('entry').length).toBe(before);
  // Going on opens what is closed.
  for (let i = 0; i <= first; i++) app.timeline.step(1);
  flushSync();
  expect(app.timeline.at).toBe(first);
  expect(all('entry').length).toBe(before + second);
  expect(document.activeElement?.getAttribute('data-entry')).toBe(String(first));
});

test('a filter is announced with how many of how many, and can be removed (S6)', async () => {
  const app = await screen('timeline-filter');
  expect(words(all('timeline-filter')[0])).toContain(`Notes only: 31 of ${app.timeline.total} entries`);
  expect(all('entry').every((each) => words(each.querySelector('.kind')) === 'Note')).toBe(true);
  all('timeline-filter')[0]?.querySelector('button')?.click();
  flushSync();
  expect(all('timeline-filter')).toHaveLength(0);
  expect(all('entry').some((each) => words(each.querySelector('.kind')) === 'Encounter')).toBe(true);
});

test('where the record begins is said, and whether all of it is here', () => {
  expect(boundary(LIVE)).toMatchObject({ unknown: false, text: expect.stringContaining('begins here') });
  expect(boundary(OFFLINE).unknown).toBe(false);
  expect(boundary(PARTIAL)).toMatchObject({ unknown: true, text: expect.stringContaining('treat as unknown') });
  expect(boundary({ ...LIVE, age: 'not-on-this-workstation' }).unknown).toBe(true);
});

describe('keys', () => {
  test('[ and ] go through the entries of all kinds shown, with the focus, and stop at both ends', async () => {
    const app = await screen('chart-encounters');
    app.onKey(key(']'), IDLE, 0);
    flushSync();
    expect(words(document.activeElement ?? undefined)).toContain('ICU progress note');
    app.onKey(key('['), IDLE, 0);
    expect(app.timeline.at).toBe(0);
    for (let i = 0; i < 99; i++) app.onKey(key(']'), IDLE, 0);
    expect(app.timeline.at).toBe(app.timeline.entries.length - 1);
  });

  test('an entry of a note opens that note', async () => {
    const app = await screen('chart-encounters');
    all('entry').find((each) => words(each).includes('Chest radiograph report'))?.click();
    flushSync();
    expect(app.section).toBe('notes');
    expect(words(all('note-page')[0])).toContain('Consolidation in the right lower lobe');
  });
});
