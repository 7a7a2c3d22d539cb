/** The console's way to the server: what is sent, which failure is which, what counts as an answer; times, order, filters. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Failure, openApi, queryOf, type Api } from '../src/console/api';
import { faultsOf, NO_FILTER, questionOf } from '../src/console/audit.svelte';
import { NOW, reviews } from '../src/console/fake/fixtures';
import { carryTo, world } from '../src/console/fake/server';
import { inOrder, matches, overdueBy } from '../src/console/lists';
import { pagesOf, placeOf } from '../src/console/pages';
import { dateText, dueText, instantOf, spanText, whenText } from '../src/console/time';

const MIN = 60_000;
const HOUR = 60 * MIN;

/** An api whose every request is answered so; what was sent is kept. */
function answering(status: number, body: string | object | null): { api: Api; sent: [string, RequestInit][] } {
  const sent: [string, RequestInit][] = [];
  const api = openApi((path, init) => {
    sent.push([path, init]);
    return Promise.resolve(new Response(typeof body === 'object' && body !== null ? JSON.stringify(body) : body, { status }));
  });
  return { api, sent };
}
const failing = async (work: Promise<unknown>): Promise<Failure> => {
  const thrown: unknown = await work.then(() => 'nothing was thrown', (error: unknown) => error);
  expect(thrown).toBeInstanceOf(Failure);
  return thrown as Failure;
};

describe('what is sent', () => {
  test('what changes something brings the token of the session and says JSON; what reads does not', async () => {
    const known = world();
    const heads: [string, Record<string, string>][] = [];
    const api = openApi((path, init) => {
      heads.push([`${init.method} ${path}`, init.headers as Record<string, string>]);
      expect(init).toMatchObject({ credentials: 'same-origin', cache: 'no-store', redirect: 'error', referrerPolicy: 'same-origin' });
      return carryTo(known)(path, init);
    });
    await api.signIn('privacy', known.secret);
    await api.decide('a1', { how: 'ask', text: 'Why?' });
    await api.audit({ user: 'a b&c' });
    expect(heads.map(([what]) => what)).toEqual(['POST /console/api/sign-in', 'POST /console/api/reviews/a1', 'GET /console/api/audit?user=a+b%26c']);
    expect(heads[0]?.[1]['x-vitrine-csrf']).toBeUndefined();
    expect(heads[1]?.[1]).toMatchObject({ 'x-vitrine-csrf': known.session.csrf, 'content-type': 'application/json' });
    expect(heads[2]?.[1]['x-vitrine-csrf']).toBeUndefined();
    expect(known.sent[1]).toEqual({ how: 'ask', text: 'Why?' });
  });

  test('an id is one part of a path, whatever it holds', async () => {
    const { api, sent } = answering(404, { error: 'not-found', text: 'None.' });
    await failing(api.review('../people?x#y'));
    await failing(api.revoke('a/b', 'lost'));
    expect(sent.map(([path]) => path)).toEqual(['/console/api/reviews/..%2Fpeople%3Fx%23y', '/console/api/devices/a%2Fb/revoke']);
  });

  test('a question leaves out what is not asked', () => {
    expect(queryOf({})).toBe('');
    expect(queryOf({ user: '', from: 0, before: 'c7' })).toBe('?from=0&before=c7');
  });
});

describe('which failure is which', () => {
  test.each([
    [401, 'not-signed-in', 'signed-out'], [403, 'denied', 'denied'], [404, 'not-found', 'not-found'], [409, 'refused', 'refused'], [429, 'throttled', 'throttled'], [503, 'overloaded', 'unavailable'], [500, 'internal', 'unavailable'], [400, 'bad-request', 'wrong'],
  ] as const)('%d %s, in the words of the server', async (status, error, kind) => {
    const failure = await failing(answering(status, { error, text: 'A sentence.' }).api.stats());
    expect([failure.kind, failure.message]).toEqual([kind, 'A sentence.']);
  });

  test('a right password is asked for its code; a wrong one of code and password leaves whoever typed it where they are', async () => {
    const needed = await failing(answering(401, { error: 'code-needed', text: 'Type the code.' }).api.signIn('a', 'b'));
    expect([needed.kind, needed.message]).toEqual(['code-needed', 'Type the code.']);
    const wrong = { error: 'wrong-secret', text: 'Not right.' };
    expect((await failing(answering(401, wrong).api.signIn('a', 'b'))).kind).toBe('signed-out');
    expect((await failing(answering(401, wrong).api.signInCode('123456'))).kind).toBe('refused');
    expect((await failing(answering(401, wrong).api.enrol('b'))).kind).toBe('refused');
    const over = { error: 'not-signed-in', text: 'The password was too long ago.' };
    expect((await failing(answering(401, over).api.signInCode('123456'))).kind).toBe('signed-out');
  });

  test('an enrolment without its parts is none, and what is sent next bears the token of the new session', async () => {
    for (const body of [{}, { uri: 'otpauth://x', key: 'A', qr: '1' }, { key: 'A', qr: [] }]) expect((await failing(answering(200, body).api.enrol('b'))).kind).toBe('unreadable');
    for (const body of [{ codes: [] }, { codes: ['x'], session: { user: 'a' } }]) expect((await failing(answering(200, body).api.confirmEnrolment('123456'))).kind).toBe('unreadable');
    const known = world();
    const sent: string[] = [];
    const api = openApi((path, init) => {
      sent.push((init.headers as Record<string, string>)['x-vitrine-csrf'] ?? '');
      return carryTo(known)(path, init);
    });
    await api.signIn('privacy', known.secret);
    await api.enrol(known.secret);
    const { codes, session } = await api.confirmEnrolment(known.firstCode);
    expect([codes.length, session.by]).toEqual([10, 'pwd+otp']);
    await api.decide('a1', { how: 'ask', text: 'Why?' });
    expect(sent).toEqual(['', '5f2e9a', '5f2e9a', 'a71c03']);
  });

  test('a refusal without words, or of somebody else, has ours', async () => {
    for (const body of ['', '<html>502</html>', '{"text": 7}', '{"text": " "}', 'null']) {
      const failure = await failing(answering(502, body).api.people());
      expect([failure.kind, failure.message]).toEqual(['unavailable', 'The server cannot answer now. Try again.']);
    }
  });

  test('a token of another sign-in ends this one here, but not on the way in', async () => {
    const csrf = { error: 'csrf', text: 'The request does not come from the console of this server.' };
    expect((await failing(answering(403, csrf).api.decide('a1', { how: 'ask', text: 'x' }))).kind).toBe('signed-out');
    const onTheWayIn = await failing(answering(403, csrf).api.signIn('a', 'b'));
    expect([onTheWayIn.kind, onTheWayIn.message]).toEqual(['denied', csrf.text]);
  });

  test('no answer: nothing was read, or it is not known whether it was recorded', async () => {
    const api = openApi(() => Promise.reject(new TypeError('Failed to fetch')));
    expect((await failing(api.stats())).message).toContain('Nothing was read');
    const lost = await failing(api.decide('a1', { how: 'ask', text: 'x' }));
    expect([lost.kind, /not known whether this was recorded/u.test(lost.message)]).toEqual(['unreached', true]);
  });

  test('what is no answer, or half of one, is a failure and never an empty list (S1)', async () => {
    const calls: ((api: Api) => Promise<unknown>)[] = [(api) => api.session(), (api) => api.reviews('open'), (api) => api.review('a1'), (api) => api.stats(), (api) => api.audit({}), (api) => api.chains(), (api) => api.devices(), (api) => api.people(), (api) => api.policy('N', ''), (api) => api.why({ user: 'a', patient: 'p', purpose: '' })];
    for (const body of ['', 'not json', 'null', '[]', '{}', '7', '{"now_ms": 1}', '{"now_ms": 1, "rows": null, "people": {}}']) {
      for (const call of calls) expect((await failing(call(answering(200, body).api))).kind).toBe('unreadable');
    }
  });

  test('texts of an answer can be shown as they are: what cannot be seen is marked', async () => {
    const { api } = answering(200, { now_ms: 1, people: [{ user: 'a', name: 'A\u202eB', role: 'x\u0000', wards: ['w\u200b'], in_use: true }] });
    expect((await api.people()).people[0]).toMatchObject({ name: 'A\ufffdB', role: 'x\ufffd', wards: ['w\ufffd'] });
  });
});

describe('times', () => {
  beforeEach(() => void vi.stubEnv('TZ', 'Europe/Zurich'));
  afterEach(() => void vi.unstubAllEnvs());

  test('day, month in letters, year, 24 hours', () => {
    expect(whenText(Date.UTC(2026, 10, 29, 3, 31))).toBe('29-Nov-2026 04:31');
    expect(whenText(Date.UTC(1964, 2, 12, 22, 5))).toBe('12-Mar-1964 23:05');
    expect(dateText(Date.UTC(2026, 0, 1, 23, 30))).toBe('02-Jan-2026');
  });

  test('the hour that comes twice says which (S23)', () => {
    expect(whenText(Date.UTC(2026, 9, 25, 0, 30))).toBe('25-Oct-2026 02:30 (first, UTC+02:00)');
    expect(whenText(Date.UTC(2026, 9, 25, 1, 30))).toBe('25-Oct-2026 02:30 (second, UTC+01:00)');
    expect(whenText(Date.UTC(2026, 9, 25, 2, 30))).toBe('25-Oct-2026 03:30');
  });

  test.each([
    [0, 'under 1 min'], [59_999, 'under 1 min'], [MIN, '1 min'], [59 * MIN, '59 min'], [HOUR, '1 h'], [3 * HOUR + 12 * MIN + 59_999, '3 h 12 min'], [47 * HOUR, '47 h'], [51 * HOUR, '2 d 3 h'],
  ])('%d ms are "%s"', (ms, text) => expect(spanText(ms)).toBe(text));

  test('due and overdue', () => {
    expect(dueText(NOW + 3 * HOUR + 12 * MIN, NOW)).toBe('due in 3 h 12 min');
    expect(dueText(NOW, NOW)).toBe('due in under 1 min');
    expect(dueText(NOW - 40 * MIN, NOW)).toBe('overdue by 40 min');
  });

  test.each([
    ['29-Nov-2026', false, Date.UTC(2026, 10, 28, 23)], ['29-nov-2026', true, Date.UTC(2026, 10, 29, 23) - 1], [' 9-Nov-2026  04:31 ', false, Date.UTC(2026, 10, 9, 3, 31)], ['29-Nov-2026 04:31', true, Date.UTC(2026, 10, 29, 3, 32) - 1],
    // The day has 25 hours, and 23.
    ['25-Oct-2026', true, Date.UTC(2026, 9, 25, 23) - 1], ['29-Mar-2026', true, Date.UTC(2026, 2, 29, 22) - 1],
    ['31-Feb-2026', false, null], ['29-Mar-2026 02:30', false, null], ['2026-11-29', false, null], ['29-Xyz-2026', false, null], ['29-Nov-2026 24:00', false, null], ['29-Nov-26', false, null], ['', false, null],
  ] as const)('"%s" (end: %s) is %s', (text, end, is) => expect(instantOf(text, end)).toBe(is));

  test('a filter with a fault says so by field and asks nothing else', () => {
    expect(Object.keys(faultsOf({ ...NO_FILTER, from: 'x', until: '31-Feb-2026' })).sort()).toEqual(['from', 'until']);
    expect(faultsOf({ ...NO_FILTER, from: '30-Nov-2026', until: '29-Nov-2026' }).until).toContain('before');
    expect(faultsOf({ ...NO_FILTER, from: '29-Nov-2026', until: '29-Nov-2026' })).toEqual({});
    expect(questionOf({ ...NO_FILTER, user: ' lee ', from: '29-Nov-2026', until: '29-Nov-2026' })).toEqual({ user: 'lee', from: Date.UTC(2026, 10, 28, 23), until: Date.UTC(2026, 10, 29, 23) - 1 });
  });
});

describe('order and filter', () => {
  test('declared names first, then what is overdue, then by the time left, decided ones last', () => {
    expect(inOrder(reviews(), NOW).map(({ id }) => id)).toEqual(['k9', 'd4', 'a1', 'b2', 'e5', 'c3', 'f6']);
    const closed = reviews().map((each) => (each.id === 'd4' ? { ...each, closed_ms: NOW - 1 } : each.id === 'a1' ? { ...each, closed_ms: NOW - 2 } : each));
    expect(inOrder(closed, NOW).map(({ id }) => id)).toEqual(['k9', 'b2', 'e5', 'c3', 'f6', 'd4', 'a1']);
    const decided = reviews().map((each) => (each.declared ? { ...each, closed_ms: NOW - 9 } : each));
    expect(inOrder(decided, NOW).map(({ id }) => id).at(-1)).toBe('k9');
  });
  test('what becomes overdue while it is shown goes up', () => {
    const later = NOW + 4 * HOUR;
    expect(inOrder(reviews(), later).map(({ id }) => id).slice(0, 4)).toEqual(['k9', 'd4', 'a1', 'b2']);
    expect(overdueBy(reviews()[0] ?? never(), later)).toBe(true);
    expect(overdueBy({ ...(reviews()[0] ?? never()), closed_ms: NOW }, later)).toBe(false);
  });
  test('every word of a filter has to be somewhere', () => {
    expect(matches(' LEE  ed-07', ['Dr LEE', null, 'ED-07'])).toBe(true);
    expect(matches('lee icu', ['Dr LEE', 'ED-07'])).toBe(false);
  });
});

test('pages are those the account may see; an address names a page and a review, or the first page', () => {
  expect(pagesOf({ reviews: false, audit: false, devices: false, people: false, policy: false, messages: false, message_texts: false }).map(({ page }) => page)).toEqual(['reviews']);
  expect(pagesOf({ reviews: true, audit: true, devices: false, people: true, policy: true, messages: true, message_texts: false }).map(({ page }) => page)).toEqual(['reviews', 'numbers', 'audit', 'people', 'policy', 'interfaces']);
  expect(placeOf('#audit')).toEqual({ page: 'audit', review: null });
  expect(placeOf('#reviews/a%2F1')).toEqual({ page: 'reviews', review: 'a/1' });
  for (const strange of ['', '#', '#constructor', '#reviews/%', '#javascript:x']) expect(placeOf(strange)).toEqual({ page: 'reviews', review: null });
});

function never(): never {
  throw new Error('not there');
}
