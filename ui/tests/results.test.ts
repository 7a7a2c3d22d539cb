/** The results inbox: waiting that is counted on, steps due at their second, the right patient, nothing signed twice, nothing claimed. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { beyondOf, dueOf, overdueText, spanText, waited, waitingOf, waitingText } from '../src/domain/results';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { entryOf, previewOf } from '../src/ipc/fixtures/entries';
import { LIVE, NOT_HERE, OFFLINE, PARTIAL } from '../src/ipc/fixtures/people';
import { LACTATE, NO_RESULTS, POTASSIUM, TWO } from '../src/ipc/fixtures/results';
import { calm, failure } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';
import { READ_AT_LEAST_MS, type EntryDialog } from '../src/state/entry.svelte';
import type { Key } from '../src/state/keys';
import { offersOf } from '../src/state/palette.svelte';
import { READ_EVERY_MS } from '../src/state/results.svelte';
import type { EntryInput } from '../src/wire/EntryInput';

const { steps } = NO_RESULTS;
const IDLE = { typing: false, control: false };
const key = (name: string, held: Partial<Key> = {}): Key => ({ key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false, ...held });
const INBOX = key('i', { ctrlKey: true });
const ACKNOWLEDGE = key('F11', { ctrlKey: true });
const SIGN = key('Enter', { ctrlKey: true });
const ESC = key('Escape');
const settled = () => new Promise((done) => setTimeout(done, 0));
const read = () => performance.now() + READ_AT_LEAST_MS;

describe('waiting', () => {
  test('is counted on from when it was read, in whole seconds, and is never negative', () => {
    expect([waited(240, 0), waited(240, 59.9), waited(240, -5), waited(-30, 10), waited(null, 60)]).toEqual([240, 299, 240, 0, null]);
  });

  test.each([[0, '0 s'], [59, '59 s'], [60, '1 min'], [3599, '59 min'], [3600, '1 hr'], [3900, '1 hr 5 min'], [86_400, '1 d'], [183_600, '2 d 3 hr']])('%i s is "%s": never rounded up', (seconds, text) => {
    expect(spanText(seconds)).toBe(text);
  });

  test('a step is due at its second, not before; the next one says in how long', () => {
    expect(dueOf(599, steps)).toEqual({ due: null, overdue_s: null, next: steps[0], next_s: 1 });
    expect(dueOf(600, steps)).toEqual({ due: steps[0], overdue_s: 0, next: steps[1], next_s: 600 });
    expect(dueOf(1799, steps).due).toBe(steps[1]);
    expect(dueOf(9000, steps)).toEqual({ due: steps[2], overdue_s: 7200, next: null, next_s: 0 });
    expect([overdueText(0), overdueText(59), overdueText(600)]).toEqual(['Due now', 'Due now', 'Overdue 10 min']);
  });

  test('not known since when is the last step', () => {
    expect(dueOf(null, steps)).toEqual({ due: steps[2], overdue_s: null, next: null, next_s: 0 });
    expect(overdueText(null)).toBe('Overdue');
    expect(dueOf(null, [])).toMatchObject({ due: null });
  });
});

describe('what is claimed of the list (S1, S5)', () => {
  test('that nothing waits only where everything was looked at', () => {
    expect(waitingOf(NO_RESULTS)).toEqual({ kind: 'empty', text: 'No critical result waits' });
    for (const age of [PARTIAL, NOT_HERE, { ...LIVE, age: 'unavailable' as const }]) expect(waitingOf({ ...NO_RESULTS, age }).kind).toBe('unknown');
    expect(waitingOf({ ...TWO, age: PARTIAL })).toMatchObject({ kind: 'rows', warning: expect.stringContaining('may be more') });
  });

  test('what is counted and not shown is never left out of the count', () => {
    expect(waitingText(TWO)).toBe('2 not acknowledged');
    expect(waitingText({ ...NO_RESULTS, withheld: 2, older: 1 })).toBe('0 not acknowledged, 3 more not shown');
    expect(waitingText({ ...TWO, unread: 1, age: PARTIAL })).toBe('2 not acknowledged so far, others not known');
    expect(waitingText({ ...NO_RESULTS, age: PARTIAL })).toBe('not known');
    expect(waitingOf({ ...NO_RESULTS, withheld: 1 })).toMatchObject({ text: 'None of those that can be shown here waits' });
    expect(beyondOf({ ...TWO, withheld: 1, older: 4, unread: 3, age: OFFLINE }).map(({ id }) => id)).toEqual(['unread', 'withheld', 'older', 'aged']);
  });
});

describe('the inbox', () => {
  let fake: Fake;
  let app: App;
  const press = async (pressed: Key, at = read()) => {
    const taken = app.onKey(pressed, IDLE, at);
    await settled();
    return taken;
  };
  const opened = async (): Promise<void> => void (await press(INBOX));
  const dialog = (): EntryDialog => {
    if (app.recording.dialog === null) throw new Error('not open');
    return app.recording.dialog;
  };
  const fill = (answer: string, said: string) => void Object.assign(dialog().fields, { answer, words: said });

  beforeEach(async () => {
    fake = fakeOf({ ...calm(), results: { ok: TWO } });
    app = new App(fake);
    await app.start();
    await app.signIn('dlee', '0000');
  });
  afterEach(() => void vi.useRealTimers());

  test('counts on between two readings, and begins anew at the next', async () => {
    await opened();
    const at = performance.now();
    app.tick(at + 60_000);
    await settled();
    const waits = app.results.waits(LACTATE) ?? 0;
    expect(waits).toBeGreaterThanOrEqual(31 * 60 + 59);
    expect(waits).toBeLessThanOrEqual(31 * 60 + 61);
    expect(app.results.waits({ ...LACTATE, waits_s: null })).toBeNull();
  });

  test('opens from search, board, chart and entries; Esc goes back there', async () => {
    await opened();
    await press(ESC);
    expect(app.view).toBe('search');
    app.showBoard();
    await opened();
    await press(ESC);
    expect(app.view).toBe('board');
    await app.openChart('p-mary', 'board');
    await opened();
    expect([app.view, app.chart]).toEqual(['results', null]);
    await press(ESC);
    expect([app.view, app.chart?.asked]).toEqual(['chart', 'p-mary']);
    app.showBoard();
    app.aside.showEntries();
    await opened();
    await press(ESC);
    expect(app.view).toBe('entries');
    await press(ESC);
    expect(app.view).toBe('board');
  });

  test('from one list to the other and back, Esc never goes around', async () => {
    app.showBoard();
    for (let i = 0; i < 3; i++) {
      app.aside.showEntries();
      app.aside.showResults();
    }
    await press(ESC);
    await press(ESC);
    expect(app.view).toBe('board');
  });

  test('not from the lock screen, over emergency access, help, or an entry', async () => {
    app.emergency.open(null);
    await press(INBOX);
    app.emergency.cancel();
    app.help = true;
    await press(INBOX);
    app.help = false;
    await app.openChart('p-mary', 'search');
    app.recording.open('vitals');
    await press(INBOX);
    expect([app.view, app.recording.dialog?.kind]).toEqual(['chart', 'vitals']);
    app.lock();
    await press(INBOX);
    expect(app.view).toBe('lock');
  });

  test('J and K move and stop at both ends; Enter opens the chart at its labs, and Esc comes back to the row', async () => {
    await opened();
    expect(app.results.current?.row.patient).toBe('p-luis');
    await press(key('k'));
    await press(key('j'));
    expect(app.results.current?.row.patient).toBe('p-john');
    await press(key('Enter'));
    expect([app.view, app.front, app.section]).toEqual(['chart', 'p-john', 'labs']);
    await press(ESC);
    expect([app.view, app.results.current?.row.patient]).toEqual(['results', 'p-john']);
  });

  test('is read again on news, at F5, and every five minutes while somebody works on it', async () => {
    await opened();
    const results = vi.spyOn(fake, 'results');
    fake.tell({ kind: 'patients-changed', value: ['p-ada'] });
    fake.tell({ kind: 'board-changed', value: 'ed' });
    await press(key('F5'));
    expect(results).toHaveBeenCalledTimes(3);
    const at = performance.now();
    // Nobody has left: else it would be locked by then.
    app.touched(at + READ_EVERY_MS - 1000);
    app.tick(at + READ_EVERY_MS - 1000);
    expect(results).toHaveBeenCalledTimes(3);
    app.tick(at + READ_EVERY_MS + 1000);
    expect(results).toHaveBeenCalledTimes(4);
    expect(results).toHaveBeenLastCalledWith(null);
    await press(ESC);
    app.tick(at + 9 * READ_EVERY_MS);
    expect(results).toHaveBeenCalledTimes(4);
  });

  test('an older answer never replaces a newer one; none comes back after the lock', async () => {
    const arrive: ((view: typeof TWO) => void)[] = [];
    fake.results = () => new Promise((resolve) => arrive.push(resolve));
    await opened();
    void app.results.load();
    arrive[1]?.(TWO);
    await settled();
    arrive[0]?.(NO_RESULTS);
    await settled();
    expect(app.results.rows).toHaveLength(3);
    void app.results.load();
    app.lock();
    arrive[2]?.(TWO);
    await settled();
    expect([app.results.result, app.results.cursor, app.results.rows]).toEqual([null, null, []]);
  });

  test('a row that is gone leaves the cursor on none: no key acts on one that nobody chose', async () => {
    await opened();
    fake.world.results = { ok: { ...TWO, waiting: [POTASSIUM] } };
    await press(key('F5'));
    expect(app.results.cursor).toBeNull();
    await press(ACKNOWLEDGE);
    expect(app.recording.dialog).toBeNull();
    expect(app.results.refused).toContain('Choose a result');
    // Corrected meanwhile: the same result of the same patient.
    await press(key('j'));
    fake.world.results = { ok: { ...TWO, waiting: [LACTATE, { ...POTASSIUM, version: 2 }] } };
    await press(key('F5'));
    expect(app.results.current?.row).toMatchObject({ result: POTASSIUM.result, version: 2 });
  });

  test('the same result twice is two rows', async () => {
    fake.world.results = { ok: { ...TWO, waiting: [POTASSIUM, POTASSIUM], done: [POTASSIUM] } };
    await opened();
    expect(new Set(app.results.rows.map(({ key: each }) => each)).size).toBe(3);
  });

  test('in a chart Ctrl+F11 asks for the first waiting result of that patient, or says that there is none', async () => {
    await app.openChart('p-mary', 'search');
    await press(ACKNOWLEDGE);
    expect([app.view, app.results.cursor, app.results.missing?.name]).toEqual(['results', null, 'JONES, Mary (Ms)']);
    await press(key('j'));
    expect(app.results.missing).toBeNull();
    fake.world.results = { ok: { ...TWO, waiting: [LACTATE, { ...POTASSIUM, patient: 'p-mary' }] } };
    await press(ESC);
    await press(ACKNOWLEDGE);
    expect(app.results.current?.row.patient).toBe('p-mary');
    expect(app.recording.dialog).toBeNull();
  });

  test('acknowledged, or not for this person: Ctrl+F11 says why it does nothing', async () => {
    fake.world.results = { ok: { ...TWO, waiting: [{ ...LACTATE, not_for_you_text: 'Yours is ward clerk.' }] } };
    await opened();
    await press(ACKNOWLEDGE);
    expect(app.results.refused).toBe('Yours is ward clerk.');
    await press(key('j'));
    await press(ACKNOWLEDGE);
    expect(app.results.refused).toContain('acknowledged already');
    expect(app.recording.dialog).toBeNull();
    app.recording.acknowledge({ ...LACTATE, not_for_you_text: 'no' });
    expect(app.recording.dialog).toBeNull();
  });

  test('emergency access from here is for the patient of the row', async () => {
    await opened();
    await press(key('F12', { ctrlKey: true }));
    expect(app.dialog?.patient?.patient).toBe('p-luis');
  });

  test('the palette opens it and never acknowledges', async () => {
    expect(offersOf(app).map(({ act }) => act)).toContain('results');
    await opened();
    expect(offersOf(app).map(({ act }) => act)).not.toContain('acknowledge');
  });

  describe('acknowledging', () => {
    beforeEach(async () => {
      await opened();
      await press(key('j'));
      await press(ACKNOWLEDGE);
    });

    test('nothing is chosen; an answer is needed, and its words unless they may be left out', async () => {
      const preview = vi.spyOn(fake, 'entryPreview');
      expect(dialog().fields).toMatchObject({ answer: '', words: '', readBack: '' });
      await press(SIGN);
      expect(dialog().faultsOf('answer')).toHaveLength(1);
      fill('passed-on', ' ');
      await press(SIGN);
      expect(dialog().faultsOf('words')).toHaveLength(1);
      expect(preview).not.toHaveBeenCalled();
      fill('acting', '');
      await press(SIGN);
      expect(dialog().step).toBe('preview');
    });

    test('signed in two steps for the row’s patient and version; back in the list, the row shows it', async () => {
      const record = vi.spyOn(fake, 'entryRecord');
      fill('acting', 'calcium given');
      dialog().fields.readBack = ' 6.1 ';
      await press(SIGN);
      await press(SIGN, performance.now());
      expect(record).not.toHaveBeenCalled();
      await press(SIGN);
      expect(record.mock.calls.map(([patient, input]) => [patient, input])).toEqual([
        ['p-john', { kind: 'acknowledge', result: 'Observation/k-1', version: 1, answer: 'acting', read_back: '6.1', words: 'calcium given' }],
      ]);
      await settled();
      expect([app.view, app.recording.dialog]).toEqual(['results', null]);
      expect(app.results.current?.row.entries.map(({ state, section }) => [state, section])).toEqual([['sent', 'labs']]);
    });

    test('pressed again while it is signed, it is recorded once', async () => {
      const record = vi.spyOn(fake, 'entryRecord');
      fill('acting', 'calcium given');
      await press(SIGN);
      for (let i = 0; i < 3; i++) app.onKey(SIGN, IDLE, read());
      await settled();
      await press(SIGN);
      expect(record).toHaveBeenCalledTimes(1);
    });

    test('a preview of somebody else is not shown (S8)', async () => {
      fake.entryPreview = async (_, input) => previewOf('p-luis', input);
      fill('acting', 'calcium given');
      await press(SIGN);
      expect([dialog().step, dialog().preview]).toEqual(['fill', null]);
      expect(dialog().error?.text).toContain('another patient');
    });

    test('an entry of somebody else is said, and not signed again (S8)', async () => {
      const record = vi.fn(async (_: string, input: EntryInput) => entryOf('e', 'p-luis', input, 'queued'));
      fake.entryRecord = record;
      fill('acting', 'calcium given');
      for (let i = 0; i < 4; i++) await press(SIGN);
      expect(record).toHaveBeenCalledTimes(1);
      expect(dialog().maySign).toBe(false);
    });

    test('corrected meanwhile, or of somebody else now: nobody signs for what was not seen', async () => {
      const record = vi.spyOn(fake, 'entryRecord');
      fill('acting', 'calcium given');
      await press(SIGN);
      for (const other of [{ ...POTASSIUM, version: 2 }, { ...POTASSIUM, patient: 'p-luis' }]) {
        fake.world.results = { ok: { ...TWO, waiting: [LACTATE, other] } };
        await app.results.load();
        await press(SIGN);
        expect(dialog().error?.text).toContain('has changed');
      }
      expect(record).not.toHaveBeenCalled();
    });

    test('refused by the engine: it stays, and a fault of the engine stands at its field', async () => {
      fake.world.record = failure('internal', 'The disk is full.');
      fill('acting', 'calcium given');
      await press(SIGN);
      await press(SIGN);
      expect(dialog().error?.text).toContain('disk is full');
      await press(ESC);
      fill('acting', 'x'.repeat(201));
      await press(SIGN);
      expect(dialog().faultsOf('words')).toHaveLength(1);
    });

    test('Esc never throws away what was typed; nothing typed, it closes', async () => {
      await press(ESC);
      expect([app.recording.dialog, app.view]).toEqual([null, 'results']);
      await press(ACKNOWLEDGE);
      dialog().fields.answer = 'acting';
      await press(ESC);
      expect(dialog().leaving).toBe(true);
      expect(dialog().unrecorded).toBe(true);
    });

    test('the lock clears it; no later answer brings anything back (S18)', async () => {
      let arrive: () => void = () => {};
      fake.entryPreview = (patient, input) => new Promise((resolve) => (arrive = () => resolve(previewOf(patient, input))));
      fill('acting', 'calcium given');
      await press(SIGN);
      app.lock();
      arrive();
      await settled();
      expect([app.view, app.recording.dialog, app.results.result]).toEqual(['lock', null, null]);
    });

    test('the whole chart after emergency access takes it off the screen, and other entries stay possible', async () => {
      fill('acting', 'calcium given');
      await app.openChart('p-mary', 'results');
      expect(app.recording.dialog).toBeNull();
      expect(app.recording.possible).toBe(true);
    });

    test('other lists wait until it is closed', async () => {
      for (const pressed of [key('b', { ctrlKey: true }), key('f', { ctrlKey: true }), INBOX, ACKNOWLEDGE]) await press(pressed);
      app.aside.showEntries();
      expect([app.view, app.recording.dialog?.patient]).toEqual(['results', 'p-john']);
    });
  });
});
