/** The console's page over the fake server: what is shown when, what is kept and forgotten, what is asked twice. */
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import Page from '../src/console/Console.svelte';
import { SCENARIOS } from '../src/console/fake/scenarios';
import { carryTo, world, type World } from '../src/console/fake/server';
import { Console } from '../src/console/state.svelte';
import { all, one, words } from './onScreen';

let mounted: Record<string, unknown> | null = null;
const settle = async () => {
  for (let n = 0; n < 4; n++) {
    await new Promise((done) => setTimeout(done, 0));
    flushSync();
  }
};

async function show(id: string, change?: (world: World) => void): Promise<{ app: Console; known: World }> {
  const scenario = SCENARIOS.find((each) => each.id === id);
  if (scenario === undefined) throw new Error(`no state ${id}`);
  history.replaceState(null, '', '#');
  const known = world();
  scenario.set?.(known);
  change?.(known);
  const app = new Console(carryTo(known));
  app.page = scenario.page ?? 'reviews';
  mounted = mount(Page, { target: document.body, props: { app } });
  const started = app.start();
  if (scenario.waits !== true || scenario.drive !== undefined) await started;
  await settle();
  await scenario.drive?.(app, known);
  await settle();
  return { app, known };
}
async function leave(): Promise<void> {
  if (mounted !== null) await unmount(mounted);
  mounted = null;
  document.body.innerHTML = '';
}
const click = async (testid: string, at = 0) => {
  all(testid)[at]?.click();
  await settle();
};
const key = async (name: string, target: Element = document.activeElement ?? document.body) => {
  target.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
  await settle();
};
const act = async (how: string) => click(`act-${how}`);

afterEach(async () => {
  vi.useRealTimers();
  await leave();
});

test('an empty list is never shown for what is on its way, failed or refused (S1); each says what it is', async () => {
  for (const page of ['reviews', 'numbers', 'audit', 'devices', 'people', 'policy', 'interfaces']) {
    for (const state of ['loading', 'unreached', 'denied']) {
      await show(`${page}-${state}`);
      expect([page, state, all('empty').length, all('queue').length, all('audit-row').length, all('device-row').length, all('person-row').length, all('policy-row').length, all('message-row').length]).toEqual([page, state, 0, 0, 0, 0, 0, 0, 0]);
      if (state === 'loading') expect(all('loading').length).toBeGreaterThan(0);
      else expect(words(one(`${page}-error`))).toContain(state === 'denied' ? 'A privacy officer reads this' : 'did not answer');
      await leave();
    }
    // There is always a policy.
    if (page === 'policy') continue;
    await show(`${page}-empty`);
    expect(words(one('empty'))).toMatch(/Looked at:/u);
    await leave();
  }
});

test('what failed is read again by its button; what is not for the account has none', async () => {
  const { known } = await show('people-unreached');
  known.ill = {};
  await click('people-again');
  expect(all('person-row')).toHaveLength(4);
  await leave();
  await show('people-denied');
  expect(all('people-again')).toHaveLength(0);
});

test('waiting says so after 300 ms, and after 2 s that it takes longer', async () => {
  vi.useFakeTimers();
  const known = world();
  known.ill['GET session'] = 'never';
  const app = new Console(carryTo(known));
  mounted = mount(Page, { target: document.body, props: { app } });
  void app.start();
  flushSync();
  const after = (ms: number) => {
    vi.advanceTimersByTime(ms);
    flushSync();
    return words(one('loading'));
  };
  expect([after(299), after(1), after(1700)]).toEqual(['', 'Loading…', 'Still loading. Nothing is known yet.']);
});

test('the queue names no patient and no record is opened until a person opens it; then it is said that it was recorded', async () => {
  const { app, known } = await show('reviews');
  expect(document.body.textContent).not.toContain('JONES');
  expect(known.asked.some((each) => each.startsWith('GET reviews/'))).toBe(false);
  expect(all('review-row').map((row) => row.dataset.review)).toEqual(['k9', 'd4', 'a1', 'b2', 'e5', 'c3', 'f6']);
  expect(words(all('review-row')[0])).toMatch(/Declared name, not verified/u);
  expect(words(all('review-row')[2])).toMatch(/overdue by 40 min.*level 3 of 3/u);
  all('review-row')[2]?.querySelector<HTMLElement>('[data-row]')?.click();
  await settle();
  expect(words(one('patient'))).toMatch(/JONES, Mary.*opened this is recorded/u);
  expect(known.asked.filter((each) => each.startsWith('GET reviews/'))).toEqual(['GET reviews/a1']);
  expect(location.hash).toBe('#reviews/a1');
  await key('Escape');
  expect(document.body.textContent).not.toContain('JONES');
  expect(app.review.shown.value).toBeNull();
});

test('an answer about another review is not shown', async () => {
  await show('review', (known) => {
    const was = known.shown;
    known.shown = (of) => was({ ...of, id: 'other' });
  });
  expect(words(one('review-error'))).toContain('not the one that was asked for');
  expect(document.body.textContent).not.toContain('JONES');
});

test('pages are those of the account; with own reviews alone it says so', async () => {
  await show('reviews-own');
  expect(document.querySelectorAll('nav a')).toHaveLength(1);
  expect(words(one('own-only'))).toContain('Nothing else in the console is for it');
  expect(all('review-row').map((row) => row.dataset.review)).toEqual(['f6']);
  await leave();
  const { app } = await show('reviews-it');
  expect([...document.querySelectorAll('nav a')].map(words)).toEqual(['Reviews', 'Workstations', 'People', 'Policy', 'Interfaces']);
  app.go('audit');
  expect(app.page).toBe('reviews');
});

test('of their own emergency access somebody can explain, and nothing else', async () => {
  const { known } = await show('review-own');
  expect(document.querySelectorAll('[data-testid^="act-"]')).toHaveLength(1);
  expect(words(one('act-explain'))).toBe('Explain');
  one('words').dispatchEvent(new Event('focus'));
  Object.assign(one('words'), { value: 'I was called to help.' }).dispatchEvent(new Event('input', { bubbles: true }));
  await act('explain');
  expect(known.sent.at(-1)).toEqual({ how: 'explain', text: 'I was called to help.' });
});

test('a refused act is there with its reason and does nothing', async () => {
  const { known } = await show('review-second-is-first');
  expect(all('why-not').map(words)).toEqual(['Privacy suspects misuse already: a second reviewer has to decide.', 'Privacy suspects misuse already: a second reviewer has to decide.']);
  await act('confirm');
  expect([known.sent.length, all('sure').length]).toEqual([0, 0]);
});

test('without its words an act is not sent; the field says so and has the focus', async () => {
  const { known } = await show('review-wordless');
  expect(known.sent).toHaveLength(0);
  expect(one('words-wrong').textContent).toContain('Say why');
  expect(document.activeElement).toBe(one('words'));
});

test.each([['review-sure', 'suspect'], ['review-sure-second', 'confirm']])('%s: asked twice, the safe answer first; then sent once', async (id, how) => {
  const { known } = await show(id);
  expect(known.sent).toHaveLength(0);
  expect(document.activeElement).toBe(one('sure-not'));
  await key('Escape');
  expect([all('sure').length, known.sent.length]).toEqual([0, 0]);
  await act(how);
  await click('sure-yes');
  await click('sure-yes');
  expect(known.sent).toHaveLength(1);
  expect(words(one('done'))).toContain('Recorded:');
  expect(words(one('said'))).toContain('Recorded:');
});

test('a refusal of the server stands with its reason, and what was typed stays', async () => {
  await show('review-refused');
  expect(words(one('refused'))).toContain('decided it meanwhile');
  expect((one('words') as HTMLTextAreaElement).value).toBe('Treatment is recorded.');
  await leave();
  await show('review-lost');
  expect(words(one('refused'))).toContain('not known whether this was recorded');
});

test('a sign-in that ended clears the page and keeps what was typed, for the same person alone', async () => {
  for (const [who, kept] of [['privacy', 'The scan was asked for by the'], ['somebody', undefined]] as const) {
    const { app, known } = await show('sign-in-again');
    expect(document.body.textContent).not.toContain('JONES');
    expect(app.review.shown.value).toBeNull();
    expect(words(one('why-out'))).toContain('has ended');
    expect(all('kept')).toHaveLength(1);
    known.ill = {};
    await app.signIn(who, known.secret);
    await settle();
    expect(app.review.drafts.c3).toBe(kept);
    expect(all('draft-kept')).toHaveLength(kept === undefined ? 0 : 1);
    // Not opened by itself: that would be recorded without anybody asking for it.
    expect(app.review.id).toBeNull();
    expect(app.pointed).toBe('c3');
    await leave();
  }
});

test('the provider is offered where there is one, and the password always', async () => {
  await show('sign-in-provider');
  expect(one('provider').getAttribute('href')).toBe('/console/api/oidc/start');
  expect(all('secret')).toHaveLength(1);
  await leave();
  await show('sign-in');
  expect([all('provider').length, all('secret').length]).toEqual([0, 1]);
  await leave();
  // That it cannot be told is no reason to hide the password.
  await show('sign-in-provider', (known) => (known.ill['GET ways'] = 'unreached'));
  expect([all('provider').length, all('secret').length]).toEqual([0, 1]);
});

test('signing out with something typed is asked first; then everything is gone', async () => {
  const { app } = await show('leave');
  expect(document.activeElement).toBe(one('stay'));
  await key('Escape');
  expect(app.phase).toBe('in');
  await click('sign-out');
  await click('leave-anyway');
  expect([app.phase, app.review.unsent, app.session]).toEqual(['out', 0, null]);
  expect(words(one('why-out'))).toContain('signed out');
});

test('nobody there: announced, then signed out with what was typed kept; a touch keeps it alive', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] });
  const { app, known } = await show('reviews');
  const later = async (s: number) => {
    vi.advanceTimersByTime(s * 1000);
    await settle();
  };
  await later(850);
  expect(all('ends-in')).toHaveLength(1);
  const before = known.asked.length;
  await key('x');
  expect(known.asked.slice(before)).toEqual(['GET session']);
  await later(1);
  expect(all('ends-in')).toHaveLength(0);
  await later(901);
  expect(app.phase).toBe('out');
  expect(all('review-row')).toHaveLength(0);
});

test('after its whole time a session ends whatever is done', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] });
  const { app } = await show('reviews', (known) => (known.session.ends_ms = known.now + 120_000));
  vi.advanceTimersByTime(121_000);
  await settle();
  expect(app.phase).toBe('out');
  expect(words(one('why-out'))).toContain('reached its end');
});

test('somebody else signed in in another window of this browser: nothing more is shown in the old name', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] });
  const { app, known } = await show('reviews');
  known.session = { ...known.session, user: 'rao' };
  vi.advanceTimersByTime(61_000);
  await key('x');
  expect(app.phase).toBe('out');
  expect(words(one('why-out'))).toContain('another window');
});

test('a filter counts what it holds back, and takes nothing from the list itself (S5, S6)', async () => {
  await show('reviews-filtered');
  expect(words(one('filtered'))).toBe('1 of 7 shown.');
  expect(all('review-row').map((row) => row.dataset.review)).toEqual(['e5']);
  await click('filter-off');
  expect(all('review-row')).toHaveLength(7);
  await leave();
  await show('reviews-more');
  expect(words(one('more'))).toContain('there are more');
});

test('the audit: the range that was searched, older rows behind those that are here, also when they cannot be read', async () => {
  await show('audit-empty');
  expect(words(one('empty'))).toMatch(/No row. Looked at: \d\d-Nov-2026 \d\d:\d\d to \d\d-Nov-2026/u);
  await leave();
  const { known } = await show('audit');
  expect(words(one('looked'))).toMatch(/all chains: 100 rows read, newest first; there are older ones/u);
  await click('older');
  expect(all('audit-row')).toHaveLength(130);
  expect(words(one('looked'))).toContain('these are all');
  expect(known.asked.at(-1)).toMatch(/^GET audit\?from=\d+&until=\d+&before=100$/u);
  expect(document.activeElement).toBe(all('audit-row')[100]?.querySelector('[data-row]'));
  await leave();
  await show('audit-older-lost');
  expect([all('audit-row').length, all('older-error').length]).toEqual([100, 1]);
});

test('the audit: a wrong time is said and nothing is asked; a refused row says so in words; a row leads to its patient', async () => {
  const { known } = await show('audit-wrong');
  expect(all('audit-wrong')).toHaveLength(2);
  expect(known.asked.filter((each) => each.startsWith('GET audit'))).toHaveLength(1);
  await leave();
  const open = await show('audit-open');
  expect(words(all('refused-row')[0])).toBe('REFUSED');
  expect(words(one('audit-more'))).toMatch(/row 1204330.*life-threatening/u);
  await click('only-patient');
  expect(open.known.asked.at(-1)).toBe('GET audit?patient=p-jones');
});

test('chains: not checked is not whole, and a broken one is said', async () => {
  await show('audit-unchecked');
  expect(words(one('verdict'))).toBe('2 of 2 chains were not checked since the server started.');
  await leave();
  await show('audit-checked');
  expect(words(one('verdict'))).toBe('1 of 2 chains do NOT hold.');
  expect(words(one('chains'))).toContain('Row 4,310 does not follow');
  expect(words(one('said'))).toContain('do NOT hold');
});

test('revoking says what it does not do, needs a reason, and is sent once', async () => {
  const { known } = await show('devices-revoke');
  expect(words(one('honesty'))).toMatch(/when it next connects; while it is offline it can still show/u);
  expect(document.activeElement).toBe(one('revoke-reason'));
  await click('revoke-yes');
  expect(known.sent).toHaveLength(0);
  Object.assign(one('revoke-reason'), { value: 'Stolen.' }).dispatchEvent(new Event('input', { bubbles: true }));
  await click('revoke-yes');
  expect(known.sent).toEqual([{ reason: 'Stolen.' }]);
  expect(words(all('device-row')[0])).toContain('revoked');
  expect(words(one('said'))).toBe('ED-07 is revoked.');
});

test('a link does not open a review: its row has the cursor', async () => {
  const { app, known } = await show('reviews');
  history.replaceState(null, '', '#reviews/c3');
  window.dispatchEvent(new HashChangeEvent('hashchange'));
  await settle();
  expect([app.review.id, app.pointed, location.hash]).toEqual([null, 'c3', '#reviews']);
  expect(known.asked).not.toContain('GET reviews/c3');
  expect(document.querySelector('[data-review=c3] [data-row]')?.getAttribute('tabindex')).toBe('0');
});

test('text from outside stays text (S28), on every page', async () => {
  const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>';
  for (const id of ['reviews-all', 'review', 'review-suspected', 'review-sure', 'numbers', 'audit-open', 'audit-checked', 'devices-open', 'devices-revoke', 'people', 'policy-open', 'policy-why', 'reviews-denied']) {
    const skip = new Set(['id', 'how', 'csrf', 'weighs', 'next', 'state']);
    await show(id, (known) => (known.text = (field, text) => (skip.has(field) || text === '' ? text : hostile)));
    expect([id, document.querySelectorAll('img, script').length, document.body.textContent?.includes(hostile)]).toEqual([id, 0, true]);
    await leave();
  }
});

test('the policy says what each role may; a row shows its rules, by keys too', async () => {
  await show('policy');
  expect(all('policy-row')).toHaveLength(5);
  expect(words(all('policy-row')[1])).toMatch(/Read the chart patient of another ward.*Nurse: with glass.*Privacy officer: no/u);
  expect(all('policy-more')).toHaveLength(0);
  const row = all('policy-row')[1]?.querySelector<HTMLElement>('[data-row]');
  row?.focus();
  row?.click();
  await settle();
  expect(words(one('policy-more'))).toMatch(/Nurse denied; emergency access would allow it no-relationship You are not assigned/u);
  await key('Escape');
  expect(all('policy-more')).toHaveLength(0);
});

test('the table is asked for anew with another record or purpose, and only the newest answer is shown', async () => {
  const { known } = await show('policy-confidential');
  expect(known.asked.filter((each) => each.startsWith('GET policy'))).toEqual(['GET policy?level=N', 'GET policy?level=V']);
  expect(words(all('policy-row')[0])).toMatch(/Nurse: with glass\s*Physician: yes/u);
  await leave();
});

test('why somebody may see a record is asked for a person and a patient by name, never in an address', async () => {
  const { known } = await show('policy-why');
  expect(known.asked.filter((each) => each.includes('why'))).toEqual(['POST policy/why']);
  expect(known.sent.at(-1)).toEqual({ user: 'lee', patient: 'p-1002', purpose: '' });
  expect(words(one('why'))).toMatch(/Dr LEE.*in Ward 3.*restricted \(R\).*PSY/u);
  expect(words(one('why-glass').parentElement)).toMatch(/ED-07 alone/u);
  expect(all('why-row').map((row) => [row.dataset.act, row.dataset.allow])).toEqual([['read-card', 'true'], ['read-chart', 'true'], ['write-clinical', 'false'], ['break-glass', 'true'], ['hold-record', 'false']]);
  expect(location.hash).toBe('#policy');
  await click('why-audit');
  expect(known.asked.at(-2)).toMatch(/^GET audit\?(?=.*patient=p-1002)(?=.*user=lee)/u);
  await leave();
  await show('policy-why-unnamed');
  expect(all('why-row')).toHaveLength(0);
  expect(words(document.querySelector('.asked .wrong'))).toBe('Name the patient.');
  await leave();
  await show('policy-why-unknown');
  expect(words(one('why-error'))).toContain('No patient here has this number');
  await leave();
  await show('policy-why-plain');
  expect(words(one('why'))).toMatch(/in no ward now.*not in use/u);
  await leave();
  await show('policy-it');
  expect([all('why-user').length, all('policy-row').length]).toEqual([0, 5]);
  await leave();
});

const type = async (testid: string, text: string) => {
  const field = one(testid) as HTMLInputElement;
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await settle();
};
const enter = async () => {
  document.querySelector('form')?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await settle();
};

test('whoever has a second factor is asked for its code after the password, and goes back where that is over', async () => {
  const { app, known } = await show('sign-in-code');
  expect([all('secret').length, document.activeElement?.id]).toEqual([0, 'code']);
  expect(words(one('code-for'))).toContain('The password is right');
  await enter();
  expect(known.asked.filter((each) => each.includes('sign-in'))).toEqual(['POST sign-in']);
  await type('code', '000000');
  await enter();
  expect(words(one('sign-in-error'))).toMatch(/not right, or was used/u);
  expect([(one('code') as HTMLInputElement).value, document.activeElement?.id]).toEqual(['', 'code']);
  await type('code', ' 287082 ');
  await enter();
  expect([app.phase, app.coding, app.session?.by]).toEqual(['in', false, 'pwd+otp']);
  expect(known.sent.at(-1)).toEqual({ code: '287082' });
  expect(words(one('factor-state'))).toContain('10 of 10');
  expect(all('factor')).toHaveLength(0);
  await leave();
  const { known: later } = await show('sign-in-code');
  later.proven = false;
  await type('code', '287082');
  await enter();
  expect(words(one('sign-in-error'))).toContain('too long ago');
  expect(all('code')).toHaveLength(0);
  await leave();
  await show('sign-in-code');
  await click('another');
  expect([all('code').length, all('secret').length]).toEqual([0, 1]);
});

test('a second factor is enrolled with the password, a code, and recovery codes that stay until they are written down', async () => {
  const { app, known } = await show('reviews');
  await click('factor');
  await type('factor-secret', 'not this');
  await enter();
  expect(words(one('factor-error'))).toMatch(/wrong/u);
  expect([app.phase, (one('factor-secret') as HTMLInputElement).value]).toEqual(['in', '']);
  await type('factor-secret', known.secret);
  await enter();
  expect(words(one('factor-key'))).toBe('GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ');
  const squares = one('qr').querySelector('.dark')?.getAttribute('d') ?? '';
  expect(squares.match(/M/gu)?.length).toBe(app.factor.enrolment?.qr.join('').replaceAll('0', '').length);
  expect(one('qr').getAttribute('viewBox')).toBe('-4 -4 49 49');
  await type('factor-code', '000000');
  await enter();
  expect(words(one('factor-error'))).toMatch(/not the code of the new key/u);
  await type('factor-code', known.firstCode);
  await enter();
  expect(one('recovery-codes').querySelectorAll('li')).toHaveLength(10);
  await key('Escape');
  expect(all('recovery-codes')).toHaveLength(1);
  expect((one('factor-done') as HTMLButtonElement).disabled).toBe(true);
  one('codes-kept').click();
  await settle();
  await click('factor-done');
  expect([all('factor-dialog').length, app.factor.codes.length, app.factor.enrolment, app.session?.csrf]).toEqual([0, 0, null, 'a71c03']);
  expect(words(one('factor-state'))).toContain('on, 10 of 10');
  await app.signOut();
  await settle();
  expect(app.phase).toBe('out');
});

test('nothing of an enrolment stays on the page when the session ends or it is left', async () => {
  const { app } = await show('factor-key');
  await key('Escape');
  expect([app.factor.step, app.factor.enrolment]).toEqual(['closed', null]);
  await leave();
  const { app: other, known } = await show('factor-codes');
  known.signedIn = false;
  await other.readReviews();
  await settle();
  expect([other.phase, other.factor.step, other.factor.codes.length]).toEqual(['out', 'closed', 0]);
  expect(document.body.textContent).not.toContain('ACDE-FGHJ');
});
