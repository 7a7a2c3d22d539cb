/** Recording on the page: names, focus, faults at their fields, states that look unlike each other (S16), lists that never claim (S1). */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { CARD_ENTRIES, MARY_ENTRIES } from '../src/ipc/fixtures/entries';
import { IDLE_LOCK_MS } from '../src/state/app.svelte';
import { all, leave, one, press, screen, settled, words } from './onScreen';


afterEach(leave);

describe('the dialog', () => {
  test('names the patient in its title and on the button that signs; the banner stays', async () => {
    await screen('entry-preview');
    expect(words(document.getElementById('entry-title'))).toBe('Record vitals — JONES, Mary (Ms)');
    expect(words(one('entry-sign'))).toContain('Sign in the chart of JONES, Mary (Ms)');
    expect(one('entry-dialog').dataset.patient).toBe('p-mary');
    expect(all('banner')).toHaveLength(1);
    expect(all('allergies')).toHaveLength(1);
  });

  test('the emergency, the lock and help are a click away; another screen is gone to once the entry is finished or left', async () => {
    const app = await screen('entry-vitals');
    for (const name of ['emergency', 'lock', 'open-palette']) {
      const button = one(name) as HTMLButtonElement;
      expect([name, button.disabled, button.closest('[inert]')]).toEqual([name, false, null]);
    }
    const screens = [...document.querySelectorAll<HTMLButtonElement>('nav button')];
    expect(screens.map(({ disabled, title }) => [disabled, title])).toEqual([
      [true, 'Finish or cancel this entry first'],
      [true, 'Finish or cancel this entry first'],
    ]);
    one('emergency').click();
    await settled();
    expect(one('break-glass').closest('[inert]')).toBeNull();
    expect(app.recording.dialog).not.toBeNull();
  });

  test('the preview has every line, when, by whom, what is unusual, and that it waits for the server', async () => {
    await screen('entry-preview');
    expect(all('preview-line').map(words)).toContain('HR 188 per min');
    expect(words(one('entry-preview'))).toContain('measured 21-Nov-2026 04:31 (now)');
    expect(words(one('entry-preview'))).toContain('Signed by Dr LEE Physician');
    expect(words(one('preview-warning'))).toContain('188');
    expect(words(one('will-queue'))).toContain('server is not reached');
    expect(document.activeElement).toBe(one('entry-preview'));
  });

  test('a fault stands at its field, is linked to it, and the first has the focus', async () => {
    await screen('entry-vitals-faults');
    const first = one('value-rr');
    expect(document.activeElement).toBe(first);
    expect(first.getAttribute('aria-invalid')).toBe('true');
    const told = (first.getAttribute('aria-describedby') ?? '').split(' ').map((id) => words(document.getElementById(id))).join(' ');
    expect(told).toContain('Not a number');
    expect(told).toContain('per min');
    expect(one('value-temp').getAttribute('aria-invalid')).toBeNull();
    expect(words(one('sign-temp'))).toContain('unusual');
    expect(one('minutes-ago').getAttribute('aria-invalid')).toBe('true');
  });

  test('every sign of the form has its label, unit and hint; Enter goes to the next, digits choose', async () => {
    const app = await screen('entry-vitals');
    expect(words(one('sign-hr'))).toBe('HR Heart rate per min 10 to 300');
    expect(document.activeElement).toBe(one('value-rr'));
    await press(one('value-rr'), 'Enter');
    expect(document.activeElement).toBe(one('value-spo2'));
    await press(one('value-spo2'), 'Enter');
    expect(document.activeElement?.getAttribute('role')).toBe('radio');
    await press(document.activeElement as Element, '2');
    expect(app.recording.dialog?.fields.readings.oxygen).toBe('oxygen');
    expect(document.activeElement?.getAttribute('aria-checked')).toBe('true');
    expect(app.recording.dialog?.step).toBe('fill');
  });

  test('when it was measured: now is offered, a number that is typed counts before it', async () => {
    const app = await screen('entry-vitals');
    expect(one('choice-minutes-0').getAttribute('aria-checked')).toBe('true');
    const { dialog } = app.recording;
    if (dialog !== null) dialog.fields.agoTyped = '12';
    flushSync();
    expect(document.querySelectorAll('[data-testid^=choice-minutes][aria-checked=true]')).toHaveLength(0);
    one('choice-minutes-5').click();
    flushSync();
    expect([dialog?.fields.ago, dialog?.fields.agoTyped]).toEqual([5, '']);
  });

  test('closing with something typed asks, and the safe choice has the focus (S27)', async () => {
    await screen('results-leave');
    expect(document.activeElement).toBe(one('keep-typing'));
    expect(all('keep-draft')).toHaveLength(0);
    await leave();
    await screen('entry-note-leave');
    expect(document.activeElement).toBe(one('keep-typing'));
    one('keep-draft').click();
    await settled();
    expect(all('entry-dialog')).toHaveLength(0);
  });

  test('"no known allergies" asks; No has the focus, and the conflict with what is on record is said', async () => {
    await screen('entry-none-known');
    expect(words(one('none-known-question'))).toMatch(/patient, or somebody who speaks for them, asked/u);
    expect(words(one('answer-yes'))).toBe('Yes, asked: no allergy is known');
    expect(document.activeElement).toBe(one('answer-no'));
    expect(words(one('none-known-conflict'))).toContain('penicillin');
    expect(words(one('none-known-conflict'))).toMatch(/stay on the record.*conflict/u);
  });

  test('a restored draft says so', async () => {
    await screen('entry-note');
    expect(words(one('draft-restored'))).toContain('Draft from earlier restored');
    expect((one('note-text') as HTMLTextAreaElement).value).toContain('Turned at 04:00');
    expect(document.activeElement).toBe(one('note-text'));
  });

  test('no form: said, with a way to try again; nothing can be signed', async () => {
    await screen('entry-error');
    expect(words(one('entry-error'))).toContain('could not be read');
    expect((one('entry-look') as HTMLButtonElement).disabled).toBe(true);
  });

  test('Ctrl+Shift+V opens it from the chart, and in a field of it the key is left to the field', async () => {
    const app = await screen('chart');
    await press(window, 'V', { ctrlKey: true, shiftKey: true });
    expect(app.recording.dialog?.kind).toBe('vitals');
    const paste = new KeyboardEvent('keydown', { key: 'V', ctrlKey: true, shiftKey: true, bubbles: true, cancelable: true });
    window.dispatchEvent(paste);
    expect(paste.defaultPrevented).toBe(false);
  });
});

describe('what was recorded here', () => {
  test('each state has words and a shape of its own (S16)', async () => {
    await screen('chart-entries');
    const states = all('entry-state');
    expect(states.map((each) => each.dataset.state)).toEqual(['rejected', 'queued', 'sent', 'accepted']);
    expect(new Set(states.map(words)).size).toBe(4);
    expect(new Set(states.map((each) => each.querySelector('svg')?.innerHTML)).size).toBe(4);
    expect(words(one('recorded'))).toContain(MARY_ENTRIES[0]?.reason_text ?? 'none');
  });

  test('in its section alone, and all of it in the summary', async () => {
    const seen = async (id: string) => {
      await screen(id);
      const count = all('entry').length;
      await leave();
      return count;
    };
    expect([await seen('chart-entries'), await seen('chart-entries-vitals'), await seen('chart-entries-allergies'), await seen('chart-entries-notes')]).toEqual([4, 2, 1, 1]);
  });

  test('an allergy that was not sent is an allergy, marked with that, in the strip and in full', async () => {
    await screen('chart-entries-allergies');
    expect(all('allergy-unsent').map(words)).toEqual(Array(2).fill('recorded here 04:12 by RN OKAFOR, NOT SENT'));
    expect(words(one('allergies'))).toContain('codeine');
    expect(one('allergies').dataset.state).toBe('known');
  });

  test('on the emergency card too', async () => {
    await screen('card-entries');
    expect(all('entry')).toHaveLength(CARD_ENTRIES.length);
    expect(words(one('allergies'))).toContain('NOT SENT');
  });

  test('who may not record sees why', async () => {
    await screen('chart-no-recording');
    for (const kind of ['vitals', 'allergy', 'note']) {
      const button = one(`record-${kind}`) as HTMLButtonElement;
      expect(button.disabled).toBe(true);
      expect(words(document.getElementById(button.getAttribute('aria-describedby') ?? ''))).toContain('ward clerk');
    }
  });
});

describe('the strip', () => {
  test('counts what was not sent and, loud, what was rejected; each opens the list', async () => {
    const app = await screen('strip-entries');
    expect(words(one('strip-unsent'))).toBe('3 not sent');
    expect(words(one('strip-rejected'))).toBe('1 REJECTED — look at it');
    one('strip-rejected').click();
    await settled();
    expect(app.view).toBe('entries');
  });

  test('on the lock screen it says the same and opens nothing', async () => {
    await screen('lock-entries');
    expect(words(one('strip-rejected'))).toBe('2 REJECTED — look at them');
    expect(one('strip-rejected').tagName).toBe('SPAN');
  });
});

describe('entries not sent', () => {
  test('with name, state, lines and reason; settling only where it may be', async () => {
    await screen('entries');
    expect(all('entry').map((each) => each.dataset.state)).toEqual(['rejected', 'rejected', 'queued', 'sent']);
    expect(words(all('entry')[0])).toContain('JONES, Mary (Ms)');
    expect(words(all('entry')[0])).toContain('encounter was closed');
    expect(all('entry-settle')).toHaveLength(1);
    expect(words(one('entries-summary'))).toContain('2 REJECTED');
  });

  test('empty says what was looked at; loading and failed are never an empty list (S1)', async () => {
    await screen('entries-empty');
    expect(words(one('entries-empty'))).toContain('everything recorded at ED-07');
    await leave();
    for (const id of ['entries-loading', 'entries-error']) {
      await screen(id);
      expect(all('entries-empty')).toHaveLength(0);
      await leave();
    }
    await screen('entries-error');
    expect(words(one('entries-error'))).toContain('Do not take this for an empty list');
  });

  test('what is withheld is counted in words, also where nothing else is there', async () => {
    for (const id of ['entries-withheld', 'entries-withheld-only']) {
      await screen(id);
      expect(words(one('entries-withheld'))).toContain('2 entries more');
      await leave();
    }
  });

  test('settling begins with words; without any it cannot be done', async () => {
    const app = await screen('entries-settle');
    expect(document.activeElement).toBe(one('settle-words'));
    if (app.recording.list.settling !== null) app.recording.list.settling.words = '  ';
    flushSync();
    expect((one('settle-do') as HTMLButtonElement).disabled).toBe(true);
  });

  test('the chart of an entry opens, and Esc comes back to the list', async () => {
    const app = await screen('entries');
    all('entry-open')[0]?.click();
    await settled();
    expect([app.view, app.chart?.asked]).toEqual(['chart', 'p-mary']);
    await press(window, 'Escape');
    expect(app.view).toBe('entries');
    expect(all('entry')).toHaveLength(4);
  });
});

test('what is longer than may be is never cut in silence: the engine says so', async () => {
  await screen('entry-allergy');
  expect((one('agent') as HTMLInputElement).maxLength).toBe(-1);
  await leave();
  await screen('entry-note');
  expect((one('note-text') as HTMLTextAreaElement).maxLength).toBe(-1);
});

test.each(['results-leave', 'entry-allergy-change-preview', 'entry-vitals-filled', 'entry-allergy-preview', 'entry-vitals', 'entry-note'])('%s: the lock is announced, with what it would take that nothing keeps', async (id) => {
  const app = await screen(id);
  app.touched(0);
  app.tick(IDLE_LOCK_MS - 10_000);
  flushSync();
  const lost = id === 'results-leave' || id === 'entry-allergy-change-preview';
  expect(words(one('locks-in'))).toBe(`Locks in 10 s. Press any key to stay.${lost ? ' What is typed is not recorded yet.' : ''}`);
  await press(window, 'F6');
  expect(all('locks-in')).toEqual([]);
});

test('what was signed is said in its chart, until something else is begun', async () => {
  const app = await screen('entry-preview');
  await app.recording.submit(performance.now() + 1000);
  await settled();
  flushSync();
  expect(app.recording.dialog).toBeNull();
  expect(words(one('signed'))).toBe('Signed 04:31: Vital signs');
  one('record-note').click();
  await settled();
  await press(window, 'Escape');
  expect(words(one('signed'))).toBe('');
});

test('a chart says which drafts there are', async () => {
  await screen('chart-drafts');
  expect(words(one('record-vitals'))).toBe('Record vitals draft 21-Nov-2026 04:12');
  expect(all('draft-of-note')).toEqual([]);
});

test('help and emergency access lie over it and take nothing from it; the focus comes back', async () => {
  const app = await screen('entry-vitals-filled');
  for (const [key, held] of [['F1', {}], ['F12', { ctrlKey: true }]] as const) {
    await press(window, key, held);
    expect(app.layers.covered).toBe(true);
    await press(window, 'Enter', { ctrlKey: true });
    await press(window, 'Escape');
    expect(app.recording.dialog?.fields.readings.hr).toBe('188');
    expect(app.recording.dialog?.step).toBe('fill');
    expect(one('entry-dialog').contains(document.activeElement)).toBe(true);
  }
});
