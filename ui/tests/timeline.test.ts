/** The timeline: no kind is an empty list where it was not loaded, filters are announced, nothing is sorted by words. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { boundary, lanesOf } from '../src/domain/timeline';
import { STUDIES } from '../src/ipc/fixtures/images';
import { LIVE, MARY_CHART, OFFLINE, PARTIAL } from '../src/ipc/fixtures/people';
import type { Key } from '../src/state/keys';
import { all, leave, screen, words } from './onScreen';

const IDLE = { typing: false, control: false };
const key = (name: string): Key => ({ key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false });

afterEach(leave);

test('a kind that was not loaded says so, and is no empty list (S1)', async () => {
  await screen('chart-encounters');
  expect(words(all('kind')[2])).toBe('Image studies unknown');
  expect(words(all('lane')[2])).toContain('The list of images was not read yet');
  await leave();
  await screen('timeline-partial');
  expect(all('empty')).toHaveLength(0);
  expect(all('unknown')).toHaveLength(4);
});

test('studies of somebody else are never among them (S8)', () => {
  const lane = lanesOf(MARY_CHART, { ...STUDIES, patient: 'p-other' }).find(({ kind }) => kind === 'studies');
  expect(lane).toMatchObject({ entries: [], unknown: true });
});

test('each kind keeps the order in which the engine gives it', () => {
  const [encounters, notes] = lanesOf(MARY_CHART, STUDIES);
  expect(encounters?.entries.map(({ text }) => text)).toEqual(MARY_CHART.encounters.items.map(({ text }) => text));
  expect(notes?.entries.map(({ text }) => text)).toEqual(MARY_CHART.notes.items.map(({ title }) => title));
});

test('a filter is announced with how many of how many, and can be removed (S6)', async () => {
  const app = await screen('timeline-filter');
  expect(words(all('timeline-filter')[0])).toContain(`Notes only: 31 of ${app.timeline.total} entries`);
  expect(all('lane')).toHaveLength(1);
  all('timeline-filter')[0]?.querySelector('button')?.click();
  flushSync();
  expect(all('lane')).toHaveLength(4);
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
    expect(words(document.activeElement ?? undefined)).toContain('Inpatient, Intensive Care');
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
