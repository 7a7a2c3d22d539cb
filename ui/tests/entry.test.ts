/** Recording at the workstation: two steps, never twice, never of another patient, never lost in silence, gone with the lock. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WORDS } from '../src/i18n/words';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { entryOf, previewOf } from '../src/ipc/fixtures/entries';
import { MARY_CHART } from '../src/ipc/fixtures/people';
import { OTHER_CHART } from '../src/ipc/fixtures/scenarios';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App, DRAFT_WAIT_MS } from '../src/state/app.svelte';
import { READ_AT_LEAST_MS, type EntryDialog } from '../src/state/entry.svelte';
import type { EntryKind } from '../src/state/entryFields.svelte';
import { KEEP_EVERY_MS } from '../src/state/entryDraft.svelte';
import type { EntryInput } from '../src/wire/EntryInput';
import type { Key } from '../src/state/keys';

/** Of every preview of the fake engine: what was read goes back with the signature. */
const SEEN = { id: '01935b2e-7c00-7000-8000-00000000000a', at_ms: 0 };

let fake: Fake;
let app: App;
const TYPING = { typing: true, control: false };
const key = (name: string, held: Partial<Key> = {}): Key => ({ key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false, ...held });
const SIGN = key('Enter', { ctrlKey: true });
const ESC = key('Escape');
const settled = () => new Promise((done) => setTimeout(done, 0));
/** When a preview that is shown now counts as read. */
const read = () => performance.now() + READ_AT_LEAST_MS;

async function opened(kind: EntryKind): Promise<EntryDialog> {
  app.recording.open(kind);
  await settled();
  const { dialog } = app.recording;
  if (dialog === null) throw new Error('not open');
  return dialog;
}
const press = async (pressed: Key, at = read()) => {
  app.onKey(pressed, TYPING, at);
  await settled();
};

beforeEach(async () => {
  fake = fakeOf(calm());
  app = new App(fake);
  await app.start();
  await app.signIn('dlee', '0000');
  await app.openChart('p-mary', 'search');
});
afterEach(() => void vi.useRealTimers());

describe('signed in two steps', () => {
  test('Ctrl+Enter shows it in its final form, Ctrl+Enter again signs what was shown', async () => {
    const record = vi.spyOn(fake, 'entryRecord');
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118', rr: '' };
    await press(SIGN);
    expect(dialog.step).toBe('preview');
    expect(dialog.preview?.lines).toEqual(['HR 118 per min']);
    expect(record).not.toHaveBeenCalled();
    await press(SIGN);
    expect(record.mock.calls).toEqual([['p-mary', { kind: 'vitals', minutes_ago: 0, readings: [{ sign: 'hr', value: '118' }] }, SEEN]]);
    expect(app.recording.dialog).toBeNull();
    expect(app.chart?.view?.entries.map(({ state }) => state)).toEqual(['sent']);
  });

  test('pressed twice while it is signed, it is recorded once', async () => {
    const record = vi.spyOn(fake, 'entryRecord');
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    app.onKey(SIGN, TYPING, read());
    app.onKey(SIGN, TYPING, read());
    await settled();
    app.onKey(SIGN, TYPING, read());
    await settled();
    expect(record).toHaveBeenCalledTimes(1);
  });

  test('the second half of a double press, and a key that is held, sign nothing', async () => {
    const record = vi.spyOn(fake, 'entryRecord');
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    await press(SIGN, performance.now());
    await press({ ...SIGN, repeat: true });
    expect(record).not.toHaveBeenCalled();
    expect(dialog.step).toBe('preview');
  });

  test('a fault stops it at its field; once the value is another one the fault is gone', async () => {
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '1888', temp: '33' };
    const asked = dialog.focusAsked;
    await press(SIGN);
    expect(dialog.step).toBe('fill');
    expect(dialog.focusAsked).toBe(asked + 1);
    expect(dialog.faultsOf('hr')).toHaveLength(1);
    expect(dialog.warningsOf('temp')).toHaveLength(1);
    dialog.fields.readings.hr = '188';
    expect(dialog.faultsOf('hr')).toEqual([]);
    expect(dialog.warningsOf('temp')).toHaveLength(1);
    await press(SIGN);
    expect(dialog.step).toBe('preview');
    expect(dialog.preview?.warnings).toHaveLength(2);
  });

  test('minutes that are no whole number are never sent', async () => {
    const preview = vi.spyOn(fake, 'entryPreview');
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '88' };
    for (const typed of ['1.5', '-3', 'ten', '1e3']) {
      dialog.fields.agoTyped = typed;
      await press(SIGN);
      expect(dialog.faultsOf('minutes_ago')).toHaveLength(1);
    }
    expect(preview).not.toHaveBeenCalled();
    dialog.fields.agoTyped = '12';
    await press(SIGN);
    expect(preview.mock.calls[0]?.[1]).toMatchObject({ minutes_ago: 12 });
  });

  test('what was typed after it was asked for is not what the preview shows: it is asked again', async () => {
    let arrive: () => void = () => {};
    fake.entryPreview = (patient, input) => new Promise((resolve) => (arrive = () => resolve(previewOf(patient, input))));
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '88' };
    await press(SIGN);
    dialog.fields.readings.hr = '98';
    arrive();
    await settled();
    expect([dialog.step, dialog.working]).toEqual(['fill', null]);
  });

  test('refused by the engine: it stays, says so, and can be signed again', async () => {
    fake.world.record = failure('internal', 'Nothing was recorded: the disk is full.');
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    await press(SIGN);
    expect(dialog.error?.text).toContain('disk is full');
    expect(app.recording.dialog).toBe(dialog);
    fake.world.record = null;
    await press(SIGN);
    expect(app.recording.dialog).toBeNull();
  });

  test('not where this person may not record', async () => {
    fake.world.chart = { ok: { ...MARY_CHART, may_record: false, record_refused_text: 'no' } };
    await app.readChart();
    app.onKey(key('V', { ctrlKey: true, shiftKey: true }), TYPING, 0);
    expect(app.recording.dialog).toBeNull();
  });
});

describe('the right patient (S8)', () => {
  test('a preview of somebody else is not shown', async () => {
    fake.entryPreview = async (_, input) => previewOf('p-john', input);
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    expect([dialog.step, dialog.preview]).toEqual(['fill', null]);
    expect(dialog.error?.text).toContain('another patient');
  });

  test('an entry of somebody else is said, and not signed again', async () => {
    const record = vi.fn(async (_: string, input: EntryInput) => entryOf('e', 'p-john', input, 'queued'));
    fake.entryRecord = record;
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    for (let i = 0; i < 4; i++) await press(SIGN);
    expect(record).toHaveBeenCalledTimes(1);
    expect(dialog.error?.text).toContain('another patient');
    expect(dialog.maySign).toBe(false);
  });

  test('another patient in front closes it; its late preview changes nothing', async () => {
    fake.world.charts['p-john'] = { ok: OTHER_CHART };
    let arrive: () => void = () => {};
    fake.entryPreview = (patient, input) => new Promise((resolve) => (arrive = () => resolve(previewOf(patient, input))));
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    await app.openChart('p-john', 'search');
    expect(app.recording.dialog).toBeNull();
    arrive();
    await settled();
    expect([dialog.step, dialog.preview]).toEqual(['fill', null]);
    expect(app.chart?.asked).toBe('p-john');
  });

  test('a chart that is lost takes it off the screen: no key signs it', async () => {
    const record = vi.spyOn(fake, 'entryRecord');
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    fake.world.chart = failure('damaged', 'gone');
    await app.readChart();
    expect(app.recording.shown).toBeNull();
    await press(SIGN);
    expect(record).not.toHaveBeenCalled();
  });

  test('a chart with the entry of somebody else is not shown', async () => {
    fake.world.chart = { ok: { ...MARY_CHART, entries: [entryOf('e', 'p-john', { kind: 'no-known-allergies', asked: true }, 'queued')] } };
    await app.readChart();
    expect(app.chart?.view).toBeNull();
  });

  test('other charts and lists wait until it is closed', async () => {
    await opened('vitals');
    for (const pressed of [key('b', { ctrlKey: true }), key('f', { ctrlKey: true }), key('w', { ctrlKey: true }), key('Tab', { ctrlKey: true }), key('k', { ctrlKey: true })]) {
      expect(app.onKey(pressed, TYPING, 0)).toBe(true);
    }
    app.aside.showEntries();
    expect([app.view, app.palette, app.recording.dialog === null]).toEqual(['chart', null, false]);
  });
});

describe('Esc goes back one step and never throws away what was typed', () => {
  test('from the preview to the fields, then asks, then keeps typing', async () => {
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    await press(ESC);
    expect([dialog.step, dialog.fields.readings.hr]).toEqual(['fill', '118']);
    await press(ESC);
    expect(dialog.leaving).toBe(true);
    await press(SIGN);
    expect(dialog.step).toBe('fill');
    await press(ESC);
    expect([dialog.leaving, app.recording.dialog]).toEqual([false, dialog]);
    app.recording.discard();
    expect(app.recording.dialog).toBeNull();
  });

  test('with nothing typed it closes', async () => {
    await opened('vitals');
    await press(ESC);
    expect([app.recording.dialog, app.view]).toEqual([null, 'chart']);
  });

  test('not while it is being signed', async () => {
    fake.world.record = 'never';
    const dialog = await opened('vitals');
    dialog.fields.readings = { hr: '118' };
    await press(SIGN);
    await press(SIGN);
    await press(ESC);
    expect([app.recording.dialog, dialog.working]).toEqual([dialog, 'sign']);
  });
});

describe('no known allergies', () => {
  test('needs a yes; what was typed of an allergy stays', async () => {
    const record = vi.spyOn(fake, 'entryRecord');
    const dialog = await opened('allergy');
    dialog.fields.agent = 'codeine';
    dialog.askNoneKnown();
    await press(SIGN);
    expect(dialog.step).toBe('question');
    await dialog.answer(false);
    expect([dialog.step, dialog.fields.agent, dialog.fields.noneKnown]).toEqual(['fill', 'codeine', false]);
    dialog.askNoneKnown();
    await dialog.answer(true);
    expect(dialog.step).toBe('preview');
    await press(ESC);
    expect([dialog.step, dialog.fields.asked]).toEqual(['question', false]);
    await dialog.answer(true);
    await press(SIGN);
    expect(record.mock.calls).toEqual([['p-mary', { kind: 'no-known-allergies', asked: true }, SEEN]]);
  });
});

/** What a person types of a note, and what is kept of it. */
const write = (dialog: EntryDialog, text: string) => {
  dialog.fields.text = text;
  dialog.typed();
};
const EARLIER = { 'p-mary note': { fields: { text: 'Turned at 04:00' }, minutes: 30 } };
const draft = (text: string) => ({ 'p-mary note': { fields: { note_kind: 'nursing', text }, minutes: 0 } });

describe('drafts (S17)', () => {
  test('kept every two seconds while it is written, with the time', async () => {
    const keep = vi.spyOn(fake, 'setEntryDraft');
    const dialog = await opened('note');
    vi.useFakeTimers();
    for (const text of ['T', 'Tu', 'Turned']) write(dialog, text);
    await vi.advanceTimersByTimeAsync(KEEP_EVERY_MS - 1);
    expect(keep).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(keep.mock.calls).toEqual([['p-mary', 'note', { note_kind: 'nursing', text: 'Turned' }]]);
    expect(dialog.draft?.keptAt).toBe('04:31');
    await vi.advanceTimersByTimeAsync(3 * KEEP_EVERY_MS);
    expect(keep).toHaveBeenCalledTimes(1);
  });

  test('restored when it is opened again, and that is said; signed, it is removed', async () => {
    fake.world.drafts = EARLIER;
    const dialog = await opened('note');
    expect([dialog.fields.text, dialog.draft?.restored]).toEqual(['Turned at 04:00', true]);
    await press(SIGN);
    await press(SIGN);
    expect(fake.world.drafts).toEqual({});
    expect(app.recording.dialog).toBeNull();
  });

  test('kept when another patient comes to the front, and never shown there', async () => {
    fake.world.charts['p-john'] = { ok: OTHER_CHART };
    const dialog = await opened('note');
    write(dialog, 'Turned');
    await app.openChart('p-john', 'search');
    expect(fake.world.drafts).toEqual(draft('Turned'));
    expect((await opened('note')).fields.text).toBe('');
  });

  test('closed and kept, or thrown away, by a person', async () => {
    const dialog = await opened('note');
    write(dialog, 'Turned');
    await press(ESC);
    expect(dialog.leaving).toBe(true);
    await app.recording.keepDraft();
    expect([app.recording.dialog, fake.world.drafts]).toEqual([null, draft('Turned')]);
    await opened('note');
    await press(ESC);
    app.recording.discard();
    await settled();
    expect(fake.world.drafts).toEqual({});
  });

  test.each([
    ['vitals', { readings: { hr: '118', rr: '' }, agoTyped: '' }, { hr: '118', minutes_ago: '0' }],
    ['allergy', { agent: 'codeine', severity: 'moderate' }, { agent: 'codeine', severity: 'moderate', certainty: 'unconfirmed' }],
  ] as const)('%s that were typed outlast the lock, and are there when it is opened again', async (kind, given, kept) => {
    const dialog = await opened(kind);
    Object.assign(dialog.fields, structuredClone(given));
    expect(dialog.unrecorded).toBe(false);
    app.lock();
    await settled();
    expect(fake.world.drafts).toEqual({ [`p-mary ${kind}`]: { fields: kept, minutes: 0 } });
    await app.signIn('dlee', '0000');
    await app.openChart('p-mary', 'search');
    const again = await opened(kind);
    expect([again.draft?.restored, again.fields.kept(kind)]).toEqual([true, kept]);
    await press(SIGN);
    await press(SIGN);
    expect([app.recording.dialog, fake.world.drafts]).toEqual([null, {}]);
  });

  test.each([
    ['5', 12, '17', 0],
    ['0', 10, '', 10],
    ['soon', 10, 'soon', 0],
  ])('what was measured %s min ago %d min ago is as much longer ago', async (ago, minutes, typed, chosen) => {
    fake.world.drafts = { 'p-mary vitals': { fields: { hr: '118', minutes_ago: ago }, minutes } };
    const { fields } = await opened('vitals');
    expect([fields.readings, fields.agoTyped, fields.ago]).toEqual([{ hr: '118' }, typed, chosen]);
  });

  test('what was measured nobody can tell when is asked for again, and never signed as now', async () => {
    fake.world.drafts = { 'p-mary vitals': { fields: { hr: '118' }, minutes: 0 } };
    const dialog = await opened('vitals');
    await press(SIGN);
    expect([dialog.step, dialog.faultsOf('minutes_ago')]).toEqual(['fill', [WORDS.wholeMinutes]]);
  });

  test('the chart is read again when a draft was kept or thrown away: it says which there are', async () => {
    const read = vi.spyOn(fake, 'chartOpen');
    write(await opened('note'), 'Turned');
    await press(ESC);
    await app.recording.keepDraft();
    await settled();
    expect(read).toHaveBeenCalledTimes(1);
    await opened('note');
    app.recording.discard();
    await settled();
    expect(read).toHaveBeenCalledTimes(2);
  });

  test('a draft that cannot be kept says so and is not closed', async () => {
    fake.setEntryDraft = async () => Promise.reject(failure('internal', 'The disk is full.').error);
    const dialog = await opened('note');
    write(dialog, 'Turned');
    await press(ESC);
    await app.recording.keepDraft();
    expect(app.recording.dialog).toBe(dialog);
    expect(dialog.draft?.error?.text).toContain('disk is full');
  });
});

describe('a draft that could not be read is never written over (S17)', () => {
  const UNREAD = failure('internal', 'The disk does not answer.').error;
  const unread = async () => {
    const read = fake.entryDraft;
    fake.entryDraft = async () => Promise.reject(UNREAD);
    const dialog = await opened('note');
    expect([dialog.fields.text, dialog.draft?.error?.text]).toEqual(['', expect.stringContaining('disk does not answer')]);
    return { dialog, readable: () => (fake.entryDraft = read) };
  };
  const keep = async (dialog: EntryDialog, text: string) => {
    dialog.fields.text = text;
    dialog.typed();
    await dialog.draft?.keep();
  };

  test('read again before the first keeping: there is one, so it stays, and that is said', async () => {
    fake.world.drafts = EARLIER;
    const set = vi.spyOn(fake, 'setEntryDraft');
    const { dialog, readable } = await unread();
    readable();
    await keep(dialog, 'Slept');
    expect([dialog.draft?.safe, dialog.draft?.keptAt, dialog.draft?.error?.text]).toEqual([false, null, WORDS.draftHeld]);
    await keep(dialog, 'Slept well');
    expect(set).not.toHaveBeenCalled();
    await app.recording.keepDraft();
    expect([app.recording.dialog, dialog.draft?.safe]).toEqual([dialog, false]);
    app.recording.discard();
    await settled();
    expect(fake.world.drafts).toEqual(EARLIER);
    expect((await opened('note')).fields.text).toBe('Turned at 04:00');
  });

  test('there is none: kept as ever', async () => {
    const { dialog, readable } = await unread();
    readable();
    await keep(dialog, 'Slept');
    expect([fake.world.drafts, dialog.draft?.safe, dialog.draft?.error]).toEqual([draft('Slept'), true, null]);
    app.recording.discard();
    await settled();
    expect(fake.world.drafts).toEqual({});
  });

  test('it still cannot be read: nothing is written, and it is tried again', async () => {
    fake.world.drafts = EARLIER;
    const { dialog, readable } = await unread();
    await keep(dialog, 'Slept');
    expect([dialog.draft?.safe, dialog.draft?.error?.text]).toEqual([false, expect.stringContaining('disk does not answer')]);
    readable();
    await keep(dialog, 'Slept well');
    expect([fake.world.drafts, dialog.draft?.error?.text]).toEqual([EARLIER, WORDS.draftHeld]);
  });

  test.each(['the lock', 'another patient', 'a signature', 'closing'])('it outlasts %s', async (end) => {
    fake.world.drafts = EARLIER;
    fake.world.charts['p-john'] = { ok: OTHER_CHART };
    const { dialog, readable } = await unread();
    write(dialog, 'Slept');
    readable();
    if (end === 'the lock') app.lock();
    else if (end === 'another patient') await app.openChart('p-john', 'search');
    else if (end === 'closing') app.recording.discard();
    else {
      await press(SIGN);
      await press(SIGN);
    }
    await settled();
    expect(app.recording.dialog).toBeNull();
    expect(fake.world.drafts).toEqual(EARLIER);
  });
});

describe('the lock (S18)', () => {
  test('clears it at once; the draft is kept before the engine is told to lock', async () => {
    const order: string[] = [];
    fake.setEntryDraft = async (patient, kind, { text }) => void order.push(`${patient}, ${kind}: ${text}`);
    fake.lock = async () => void order.push('lock');
    const dialog = await opened('note');
    write(dialog, 'Turned');
    app.lock();
    expect([app.view, app.recording.dialog]).toEqual(['lock', null]);
    await settled();
    expect(order).toEqual(['p-mary, note: Turned', 'lock']);
  });

  test('a draft that is not kept does not hold it up', async () => {
    fake.setEntryDraft = () => new Promise(() => {});
    const lock = vi.spyOn(fake, 'lock');
    const dialog = await opened('note');
    vi.useFakeTimers();
    write(dialog, 'Turned');
    app.lock();
    expect(lock).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(DRAFT_WAIT_MS);
    expect(lock).toHaveBeenCalledTimes(1);
  });

  test('the list of what was not sent goes too', async () => {
    fake.world.entries = { ok: { entries: [entryOf('e', 'p-mary', { kind: 'no-known-allergies', asked: true }, 'rejected')], withheld: 0, looked_text: '' } };
    app.aside.showEntries();
    await settled();
    expect(app.recording.list.result?.entries).toHaveLength(1);
    app.lock();
    expect([app.recording.list.result, app.recording.list.settling]).toEqual([null, null]);
  });
});

describe('entries not sent', () => {
  const rejected = { ...entryOf('e', 'p-mary', { kind: 'no-known-allergies', asked: true }, 'rejected'), may_settle: true, name_text: 'JONES, Mary (Ms)' };

  test('read again when the counts of the strip change', async () => {
    app.aside.showEntries();
    await settled();
    fake.world.entries = { ok: { entries: [rejected], withheld: 0, looked_text: '' } };
    app.useStatus({ ...fake.world.status, rejected: 1 });
    await settled();
    expect(app.recording.list.result?.entries).toHaveLength(1);
  });

  test('settled with words alone, and words are not lost in silence', async () => {
    const settle = vi.spyOn(fake, 'entrySettle');
    fake.world.entries = { ok: { entries: [rejected], withheld: 0, looked_text: '' } };
    app.aside.showEntries();
    await settled();
    const { list } = app.recording;
    list.askSettle(rejected);
    await list.settle();
    expect(settle).not.toHaveBeenCalled();
    if (list.settling !== null) list.settling.words = ' Recorded again ';
    await press(ESC);
    expect(list.settling?.leaving).toBe(true);
    await press(ESC);
    await press(SIGN);
    expect(settle).not.toHaveBeenCalled();
    await list.settle();
    expect(settle.mock.calls).toEqual([['e', 'Recorded again']]);
    expect([list.settling, list.result?.entries]).toEqual([null, []]);
  });

  test('Esc goes back to the chart it was opened from', async () => {
    app.aside.showEntries();
    await press(ESC);
    expect([app.view, app.chart?.asked]).toEqual(['chart', 'p-mary']);
  });
});
