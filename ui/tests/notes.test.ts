/** Reading and searching notes: what is found, what was not searched, and that nobody ends in another note than theirs. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { fold, partsOf, rangesOf } from '../src/domain/find';
import { noteStatus } from '../src/domain/noteStatus';
import type { Fake } from '../src/ipc/fake';
import { MANY_NOTES } from '../src/ipc/fixtures/notes';
import { block, MARY_CHART } from '../src/ipc/fixtures/people';
import type { Key } from '../src/state/keys';
import { all, leave, screen } from './onScreen';

const IDLE = { typing: false, control: false };
const TYPING = { typing: true, control: false };
const key = (name: string, shiftKey = false): Key => ({ key: name, ctrlKey: false, shiftKey, altKey: false, metaKey: false });
const words = (testid: string) => (all(testid)[0]?.textContent ?? '').replace(/\s+/gu, ' ').trim();
const settled = () => new Promise((done) => setTimeout(done, 0));

afterEach(leave);

describe('finding words', () => {
  const found = (text: string, typed: string) => rangesOf(fold(text), typed).map(([from, to]) => text.slice(from, to));
  test('without case and accents; the text itself stays as it is', () => {
    expect(found('Dr KOVÁČOVÁ saw Kovačová', 'kovacova')).toEqual(['KOVÁČOVÁ', 'Kovačová']);
    expect(found('Núñez, Nu\u0301n\u0303ez', 'NUNEZ')).toEqual(['Núñez', 'Nu\u0301n\u0303ez']);
    expect(found('İstanbul ﬁt 10⁹', 'fit')).toEqual(['ﬁt']);
    expect(found('İstanbul ﬁt', 'f')).toEqual(['ﬁ']);
  });
  test('a broken line is a space', () => expect(found('blood\n  gas', 'blood gas')).toEqual(['blood\n  gas']));
  test('signs mean themselves', () => {
    expect(found('INR 2.0 (2.0-3.0) a+b', '2.0')).toEqual(['2.0', '2.0']);
    expect(found('INR 2.0 (2.0-3.0) a+b', '(2.0-')).toEqual(['(2.0-']);
    expect(found('a+b [x] | \\ / {2}', '{2}')).toEqual(['{2}']);
    expect(found('aaa', '.')).toEqual([]);
  });
  test('the pieces are the whole text, whatever is in it (S28)', () => {
    const text = 'Ünıt <b>warfarin</b> &amp; WARFARIN';
    const parts = partsOf(text, rangesOf(fold(text), 'warfarin'), 5);
    expect(parts.map((part) => part.text).join('')).toBe(text);
    expect(parts.flatMap((part) => part.match ?? [])).toEqual([5, 6]);
  });
});

test('every match is counted, and in how many of how many notes (S6)', async () => {
  const app = await screen('notes-find');
  const least = MANY_NOTES.filter((note) => `${note.title}${note.detail_text}${note.text ?? ''}`.toLowerCase().includes('warfarin'));
  expect(app.notes.listed).toHaveLength(least.length);
  expect(words('matches')).toBe(`4 of ${app.notes.matches} matches in ${least.length} of 31 notes`);
  expect(words('notes-filter')).toContain(`${least.length} of 31 notes contain “warfarin”`);
  expect(all('note')).toHaveLength(least.length);
});

test('what was not searched is said: texts elsewhere, attached files, what is not loaded (S1)', async () => {
  await screen('notes-find-none');
  expect(words('notes-filter')).toContain('None of 31 notes contains “pneumothorax”');
  const without = MANY_NOTES.filter(({ text }) => text === null).length;
  expect(words('unsearched')).toContain(`The texts of ${without} notes are not on this workstation`);
  expect(words('notes-filter')).toContain('Attached files are not searched');
  await leave();
  await screen('notes-partial');
  expect(words('notes')).toContain('Not fully loaded: there may be more');
});

test('the filter is removed by its button or Esc; the next Esc closes the chart', async () => {
  const app = await screen('notes-find');
  all('all-notes')[0]?.click();
  flushSync();
  expect(all('note')).toHaveLength(31);
  app.notes.look('warfarin');
  app.onKey(key('Escape'), TYPING, 0);
  expect([app.notes.query, app.view]).toEqual(['', 'chart']);
  app.onKey(key('Escape'), IDLE, 0);
  expect(app.view).toBe('search');
});

test('F3 and Shift+F3 go from match to match and around, Enter in the field too; first they ask for the field', async () => {
  const app = await screen('notes-many');
  app.onKey(key('F3'), IDLE, 0);
  flushSync();
  expect(document.activeElement).toBe(all('find-notes')[0]);
  app.notes.look('warfarin');
  const total = app.notes.matches;
  const open = app.notes.open;
  app.onKey(key('F3', true), TYPING, 0);
  expect(app.notes.match).toBe(total - 1);
  app.onKey(key('F3'), TYPING, 0);
  expect([app.notes.match, app.notes.open]).toEqual([0, open]);
  app.onKey(key('Enter'), TYPING, 0);
  expect(app.notes.match).toBe(1);
  flushSync();
  expect(document.querySelectorAll('article mark[data-current]')).toHaveLength(1);
});

test('F3 elsewhere does nothing, and never reaches the web view', async () => {
  const app = await screen('chart-labs');
  expect(app.onKey(key('F3'), IDLE, 0)).toBe(true);
  expect(app.notes.focusAsked).toBe(0);
});

test('[ and ] go through the notes that are listed and stop at both ends', async () => {
  const app = await screen('notes-many');
  app.onKey(key('['), IDLE, 0);
  expect(app.notes.open).toBe(0);
  app.onKey(key(']'), IDLE, 0);
  expect(app.notes.open).toBe(1);
  expect(app.onKey(key(']'), TYPING, 0)).toBe(false);
  app.notes.look('warfarin');
  const { listed } = app.notes;
  for (let i = 0; i < 99; i++) app.onKey(key(']'), IDLE, 0);
  expect(app.notes.open).toBe(listed.at(-1));
});

test('a mark is an element around text, and never more (S28)', async () => {
  const evil = 'warfarin <img src=x onerror=alert(1)> warfarin';
  const app = await screen('notes-many', (world) => {
    world.chart = { ok: { ...MARY_CHART, notes: block('p-mary', [{ title: evil, detail_text: evil, text: evil }]) } };
  });
  app.notes.look('img src');
  flushSync();
  expect(document.querySelector('img')).toBeNull();
  expect(document.querySelector('article mark')?.textContent).toBe('img src');
  expect(document.querySelector('article h3')?.textContent).toBe(evil);
  // Found around it: what stands between the marks is the whole element, and still text.
  app.notes.look('warfarin');
  flushSync();
  expect(document.querySelector('img')).toBeNull();
  expect(document.querySelectorAll('article h3 mark')).toHaveLength(2);
});

describe('what is not the last word says so', () => {
  test('in the list, in the reader and in the summary', async () => {
    await screen('notes-superseded');
    expect(all('note-status').map((each) => each.textContent?.trim())).toContain('SUPERSEDED: a newer one exists');
    expect(all('note-page')[0]?.textContent).toContain('SUPERSEDED');
    await leave();
    await screen('chart', (world) => {
      world.chart = { ok: { ...MARY_CHART, notes: block('p-mary', MANY_NOTES) } };
    });
    expect(all('note-status')[0]?.textContent).toContain('PRELIMINARY');
  });
  test('a word of a name or a title is no status', () => {
    expect(noteStatus('21-Nov-2026, Dr PARTIAL-SMITH')).toBeNull();
    expect(noteStatus('21-Nov-2026, Dr RAO, entered-in-error')).toMatchObject({ word: 'ENTERED IN ERROR', doubtful: true });
  });
});

describe('a record that is read again', () => {
  const arrive = async (app: Awaited<ReturnType<typeof screen>>, notes: typeof MANY_NOTES) => {
    (app.backend as Fake).world.chart = { ok: { ...MARY_CHART, notes: block('p-mary', notes) } };
    await app.readChart();
    flushSync();
  };
  test('a new note above does not move the reader to another one', async () => {
    const app = await screen('notes-superseded');
    await arrive(app, [{ title: 'New', detail_text: '21-Nov-2026 04:30', text: 'x' }, ...MANY_NOTES]);
    expect(app.notes.open).toBe(3);
    expect(all('note-page')[0]?.textContent).toContain('Warfarin 5 mg');
  });
  test('a note that changed is not replaced by another without a word', async () => {
    const app = await screen('notes-superseded');
    await arrive(app, MANY_NOTES.filter((_, i) => i !== 2));
    expect(app.notes.open).toBeNull();
    expect(words('note-gone')).toContain('has changed since, or is gone');
  });
});

test('the lock and another chart leave nothing of what was looked for (S18)', async () => {
  const app = await screen('notes-find');
  app.lock();
  await settled();
  expect([app.notes.query, app.notes.all]).toEqual(['', 0]);
});
