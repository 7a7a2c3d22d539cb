/** The results inbox on the page: who, value and wait of each row, the form, what is heard, and where else a waiting result is said. */
import { flushSync } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import type { Fake } from '../src/ipc/fake';
import { MARY_CHART } from '../src/ipc/fixtures/people';
import { EVERY, MARY_WAITS, TWO } from '../src/ipc/fixtures/results';
import { acknowledge } from '../src/state/acts';
import { CHART_SECTIONS } from '../src/state/sections';
import { all, leave, one, screen, words } from './onScreen';

const settled = () => new Promise((done) => setTimeout(done, 0));

afterEach(leave);

test('each row: who, value, unit, flag by text and shape, range, wait, what is due and what next', async () => {
  await screen('results');
  const [lactate, potassium] = all('critical').map(words);
  for (const part of ['Lactate', '7.4 mmol/L', 'critically high', '0.5–2.0', 'HERNÁNDEZ, Luis (Mr)', '07-Jul-1990 (36y)', '3321 4470', 'waiting 31 min', 'Overdue 1 min: Call the senior doctor on call', 'Nobody has taken it up']) {
    expect(lactate).toContain(part);
  }
  for (const part of [/before: 4.2 mmol\/L/u, /Similar name/u, /in [56] min: Tell the nurse in charge/u]) expect(potassium).toMatch(part);
  expect(all('critical')[0]?.querySelectorAll('.finding svg').length).toBeGreaterThan(1);
  expect(words(one('waiting-count'))).toBe('2 not acknowledged');
  expect(document.activeElement).toBe(all('critical')[0]);
  expect(all('acknowledge')).toHaveLength(2);
});

test('passed on still waits, corrected and preliminary say so, not known since when is said', async () => {
  await screen('results-every');
  const rows = all('critical').map(words);
  expect(rows[0]).toMatch(/preliminary.*waiting, not known since when.*Overdue: Call the senior doctor on call/u);
  expect(rows[1]).toMatch(/Passed on to Dr RAO.*read back.*it waits on/u);
  expect(rows[2]).toContain('corrected');
  expect(all('taken').map(({ dataset }) => dataset.settles)).toEqual(['false', 'false', 'true', 'false']);
  expect(EVERY.waiting).toHaveLength(4);
});

test('empty says what was looked at; loading, failed, partial and not here are never an empty list (S1)', async () => {
  await screen('results-empty');
  expect(words(one('results-empty'))).toBe('No critical result waits, as of 21-Nov-2026 04:31');
  expect(words(one('looked'))).toContain('Looked at: results marked critical');
  await leave();
  for (const id of ['results-loading', 'results-error', 'results-partial', 'results-not-here']) {
    await screen(id);
    expect(all('results-empty')).toHaveLength(0);
    await leave();
  }
  await screen('results-error');
  expect(words(one('results-error'))).toContain('Do not take this for an empty list');
});

test('what is withheld, older and unread is counted in words', async () => {
  await screen('results-beyond');
  expect(words(one('results-withheld'))).toMatch(/^1 more/u);
  expect(words(one('results-older'))).toMatch(/^4 older/u);
  expect(words(one('results-unread'))).toContain('3 patients');
  expect(words(one('waiting-count'))).toBe('2 not acknowledged, 5 more not shown, others not known');
});

test('recorded here and not sent stands with its row, and a refusal with its reason', async () => {
  await screen('results-recorded');
  expect(all('critical').slice(0, 2).map((row) => row.querySelector<HTMLElement>('[data-testid=entry]')?.dataset.state)).toEqual(['rejected', 'queued']);
  expect(words(all('recorded')[0])).toContain('not yet known to others');
});

test('the form: who it is of and the value stand above it, digits choose, the answer asks for its words', async () => {
  const app = await screen('results-form');
  expect(one('subject').dataset.patient).toBe('p-john');
  expect(words(one('subject'))).toMatch(/SMITH, John \(Mr\).*K 6.1 mmol\/L/u);
  const radios = document.querySelectorAll('[role=radio]');
  expect([...radios].map((each) => each.getAttribute('aria-checked'))).toEqual(Array(radios.length).fill('false'));
  expect(document.activeElement).toBe(radios[0]);
  radios[0]?.dispatchEvent(new KeyboardEvent('keydown', { key: '2', bubbles: true, cancelable: true }));
  flushSync();
  expect(app.recording.dialog?.fields.answer).toBe('passed-on');
  expect(words(one('words').closest('.field'))).toBe('To whom');
});

test('the button that signs carries the name; no button takes more than one row', async () => {
  await screen('results-preview');
  expect(words(one('entry-sign'))).toContain('Sign in the chart of SMITH, John (Mr)');
  await leave();
  await screen('results-every');
  expect(document.querySelectorAll('[type=checkbox]')).toHaveLength(0);
  expect(all('acknowledge')).toHaveLength(4);
  expect(all('acknowledge').every((button) => button.closest('[data-testid=critical]') !== null)).toBe(true);
});

test('outdated: said above it, and not to be signed', async () => {
  await screen('results-outdated');
  expect(words(one('outdated'))).toContain('has changed');
  expect((one('entry-sign') as HTMLButtonElement).disabled).toBe(true);
});

test('the alarm is heard once, and again only when another step is due', async () => {
  const app = await screen('strip-critical-due');
  const alert = one('critical-alert');
  const heard = words(alert);
  expect(heard).toBe('2 critical results not acknowledged, the oldest for 31 min. Call the senior doctor on call');
  const status = app.status;
  if (status === null) throw new Error('no status');
  app.useStatus({ ...status, critical_text: '2 critical results not acknowledged, the oldest for 32 min' });
  flushSync();
  expect(words(alert)).toBe(heard);
  expect(words(one('strip-critical'))).toContain('32 min');
  app.useStatus({ ...status, critical_due_text: 'Call the medical director' });
  flushSync();
  expect(words(alert)).toContain('medical director');
  // One more at the same step is heard; one less is not.
  app.useStatus({ ...status, critical: 3, critical_text: '3 critical results not acknowledged, the oldest for 33 min' });
  flushSync();
  expect(words(alert)).toContain('3 critical results');
  app.useStatus({ ...status, critical: 2, critical_text: '2 critical results not acknowledged, the oldest for 34 min' });
  flushSync();
  expect(words(alert)).toContain('3 critical results');
  app.useStatus({ ...status, critical: 0, critical_text: null, critical_due_text: null });
  flushSync();
  expect([words(alert), all('strip-critical')]).toEqual(['', []]);
});

test('the strip opens it; on the lock screen and under a dialog it only says so', async () => {
  const app = await screen('strip-critical');
  one('strip-critical').click();
  await settled();
  expect(app.view).toBe('results');
  app.emergency.open(null);
  flushSync();
  expect(one('strip-critical').tagName).toBe('SPAN');
  await leave();
  await screen('lock-critical');
  expect(one('strip-critical').tagName).toBe('SPAN');
  expect(document.body.textContent).not.toMatch(/SMITH|HERNÁNDEZ|Lactate/u);
});

test('a row of the board says it with a shape and words, on the wall display too', async () => {
  for (const id of ['board-critical', 'board-wall-critical']) {
    await screen(id);
    const mark = all('row-critical')[0];
    expect(words(mark)).toBe('1 critical result not acknowledged');
    expect(mark?.querySelector('svg')).not.toBeNull();
    await leave();
  }
});

test('a clerk sees why acknowledging is not for them', async () => {
  const app = await screen('results-clerk');
  expect((one('acknowledge') as HTMLButtonElement).disabled).toBe(true);
  expect(words(one('not-for-you'))).toContain('ward clerk');
  acknowledge(app);
  expect(app.recording.dialog).toBeNull();
});

test('S27: acknowledging begins with nothing chosen', async () => {
  await screen('results-form');
  const choices = [...one('entry-dialog').querySelectorAll('[role=radio]')];
  expect(choices.length).toBeGreaterThan(2);
  expect(choices.filter((each) => each.getAttribute('aria-checked') === 'true').map(words)).toEqual([]);
});

test('S25: who died is said in words and with a hatched edge', async () => {
  const died = TWO.waiting.map((row) => ({ ...row, deceased_text: 'Died 21-Nov-2026' }));
  await screen('results', (world) => (world.results = { ok: { ...TWO, waiting: died } }));
  const [row] = all('critical');
  expect(words(row)).toContain('Died 21-Nov-2026');
  expect(row?.querySelector('.identity')?.classList.contains('hatched')).toBe(true);
});

test('a chart says in every section what of its patient waits, and no button takes that away (S15)', async () => {
  const app = await screen('chart-critical-waits');
  for (const section of CHART_SECTIONS) {
    app.section = section;
    flushSync();
    const line = one('chart-critical');
    expect(words(line)).toMatch(/^1 critical result waits for acknowledgement: K 6.8 mmol\/L HH ?critically high 21-Nov-2026 04:07, for 22 min Open inbox/u);
    expect(line.querySelector('svg')).not.toBeNull();
    expect([...line.querySelectorAll('button, a, [role=button]')].map((each) => (each as HTMLElement).dataset.testid)).toEqual(['chart-critical-open']);
  }
  // Also while something is recorded; the inbox cannot be opened from there.
  app.recording.open('vitals');
  flushSync();
  expect(words(one('chart-critical'))).toContain('K 6.8 mmol/L');
  expect(all('chart-critical-open')).toHaveLength(0);
});

test('the minutes in a chart go on by themselves', async () => {
  const app = await screen('chart-critical-waits');
  const chart = vi.spyOn(app.backend, 'chartOpen');
  app.touched(performance.now() + 60_500);
  app.tick(performance.now() + 61_000);
  flushSync();
  expect(words(one('chart-critical-result'))).toContain('for 23 min');
  expect(chart).not.toHaveBeenCalled();
});

test('its button opens the inbox at that patient, and acknowledged it is gone from the chart', async () => {
  const app = await screen('chart-critical-waits');
  one('chart-critical-open').click();
  await settled();
  flushSync();
  expect([app.view, app.results.current?.row.patient, app.results.current?.row.measured.value]).toEqual(['results', 'p-mary', '6.8']);
  const { current } = app.results;
  if (current === null) throw new Error('no row');
  await app.backend.entryRecord('p-mary', { kind: 'acknowledge', result: current.row.result, version: 1, answer: 'acting', read_back: '', words: '' }, { id: '', preview_ms: 0 } as never);
  app.aside.back();
  await settled();
  flushSync();
  expect([app.view, all('chart-critical').length]).toEqual(['chart', 0]);
});

test('a new one comes into the open chart with the news of it', async () => {
  const app = await screen('chart');
  expect(all('chart-critical')).toHaveLength(0);
  const fake = app.backend as Fake;
  fake.world.chart = { ok: { ...MARY_CHART, critical: MARY_WAITS } };
  fake.tell({ kind: 'patients-changed', value: ['p-mary'] });
  await settled();
  flushSync();
  expect(words(one('chart-critical'))).toContain('1 critical result waits');
});

test('several: those that wait longest by name, the others counted; another ward is said, and no button leads astray (S5)', async () => {
  await screen('chart-critical-several');
  expect(words(one('chart-critical'))).toContain('5 critical results wait for acknowledgement');
  expect(all('chart-critical-result').map(words)[0]).toMatch(/Glucose 1.6 mmol\/L.*not known since when/u);
  expect(all('chart-critical-result')).toHaveLength(3);
  expect(words(one('chart-critical-more'))).toBe('2 more in the inbox');
  await leave();
  await screen('chart-critical-elsewhere');
  expect(words(one('chart-critical-elsewhere'))).toContain('Intensive Care');
  expect(all('chart-critical-open')).toHaveLength(0);
});

test('where it is not known a chart never reads as if none waited (S1)', async () => {
  await screen('chart-critical-unread');
  expect([one('chart-critical').dataset.kind, words(one('chart-critical'))]).toEqual(['unknown', 'Not known here whether a critical result waits: ask the laboratory']);
  await leave();
  await screen('chart-critical-partial');
  expect(words(one('chart-critical'))).toContain('there may be more');
  await leave();
  await screen('chart-partial');
  expect([one('chart-critical').dataset.kind, words(one('chart-critical'))]).toEqual(['unknown', 'Not fully loaded: a critical result may wait']);
});
