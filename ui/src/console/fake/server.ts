/**
 * The fake twin of the server's console: answers the same requests from memory, for a browser without a server. It holds the
 * same rules of the door: the session, the header against forged requests, the content type. Called by `stage.ts` and tests.
 */
import type { ConsoleAudit } from '../../wire/ConsoleAudit';
import type { ConsoleAuditRow } from '../../wire/ConsoleAuditRow';
import type { ConsoleChains } from '../../wire/ConsoleChains';
import type { ConsoleDevices } from '../../wire/ConsoleDevices';
import type { ConsoleFeed } from '../../wire/ConsoleFeed';
import type { ConsoleMessage } from '../../wire/ConsoleMessage';
import type { ConsoleMessageShown } from '../../wire/ConsoleMessageShown';
import type { ConsolePeople } from '../../wire/ConsolePeople';
import type { ConsolePolicy } from '../../wire/ConsolePolicy';
import type { ConsoleReview } from '../../wire/ConsoleReview';
import type { ConsoleReviewShown } from '../../wire/ConsoleReviewShown';
import type { ConsoleReviewStats } from '../../wire/ConsoleReviewStats';
import type { ConsoleSession } from '../../wire/ConsoleSession';
import type { ConsoleWhy } from '../../wire/ConsoleWhy';
import type { Carry } from '../api';
import * as fixtures from './fixtures';

/** How a request goes wrong: no answer ever, no connection, or an answer of another kind. */
export type Ill = 'never' | 'unreached' | { status: number; body: unknown };

export interface World {
  now: number;
  session: ConsoleSession;
  signedIn: boolean;
  /** There is an identity provider. */
  provider: boolean;
  secret: string;
  /** The reader's second factor: the code that is right now; null where there is none. */
  code: string | null;
  /** The password was right, and the code is asked for. */
  proven: boolean;
  /** What the first code of a new second factor is. */
  firstCode: string;
  reviews: ConsoleReview[];
  shown: (of: ConsoleReview, mine?: boolean) => ConsoleReviewShown;
  /** Reviews in which this reader suspects misuse. */
  mine: Set<string>;
  stats: ConsoleReviewStats;
  audit: ConsoleAuditRow[];
  chains: ConsoleChains;
  checked: ConsoleChains;
  devices: ConsoleDevices;
  people: ConsolePeople;
  policy: (level: string, purpose: string | null) => ConsolePolicy;
  why: ConsoleWhy;
  feeds: ConsoleFeed[];
  messages: ConsoleMessage[];
  message: (of: ConsoleMessage) => ConsoleMessageShown;
  /** What a message that is decided again, or its corrected copy, becomes. */
  becomes: Partial<ConsoleMessage>;
  /** By "GET reviews", "POST devices": the method and the first part of the path. */
  ill: Record<string, Ill>;
  /** Every text of an answer passes it. */
  text: (field: string, text: string) => string;
  /** What was asked, in order. */
  asked: string[];
  /** What was sent, in order. */
  sent: unknown[];
}

export const world = (): World => ({
  now: fixtures.NOW,
  session: fixtures.session(),
  signedIn: true,
  provider: false,
  secret: 'correct horse',
  code: null,
  proven: false,
  firstCode: '755224',
  reviews: [...fixtures.reviews(), ...fixtures.decided()],
  shown: fixtures.shown,
  mine: new Set(),
  stats: fixtures.stats(),
  audit: Array.from({ length: 130 }, (_, n) => fixtures.auditRow(n)),
  chains: fixtures.chains(),
  checked: fixtures.brokenChains(),
  devices: fixtures.devices(),
  people: fixtures.people(),
  policy: fixtures.policy,
  why: fixtures.why(),
  feeds: fixtures.feeds(),
  messages: fixtures.messages(),
  message: fixtures.shownMessage,
  becomes: { state: 'applied', wrote: 4, code: null, code_text: null, place: null, reason: null },
  ill: {},
  text: (_, text) => text,
  asked: [],
  sent: [],
});

const PAGE = 100;
const refusal = (status: number, error: string, text: string) => ({ status, body: { error, text } });
type Answer = { status: number; body: unknown };
const ok = (body: unknown): Answer => ({ status: 200, body });

function passed(value: unknown, text: World['text'], field = ''): unknown {
  if (typeof value === 'string') return text(field, value);
  if (Array.isArray(value)) return value.map((each) => passed(each, text, field));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, passed(each, text, name)]));
}

function auditOf(world: World, query: URLSearchParams): ConsoleAudit {
  const until = Number(query.get('until') ?? world.now);
  const from = Number(query.get('from') ?? world.now - 7 * 86_400_000);
  const is = (name: string, value: string | null) => (query.get(name) ?? '') === '' || query.get(name) === value;
  const found = world.audit.filter((row) => row.at_ms >= from && row.at_ms <= until && is('patient', row.patient) && is('user', row.actor) && is('device', row.device) && is('action', row.action));
  const at = Number(query.get('before') ?? 0);
  return { now_ms: world.now, from_ms: from, until_ms: until, rows: found.slice(at, at + PAGE), next: at + PAGE < found.length ? String(at + PAGE) : null, looked: 'Rows of 22-Nov-2026 to 29-Nov-2026, all chains' };
}

function decide(world: World, id: string, body: { how: string; text: string }): Answer {
  const review = world.reviews.find((each) => each.id === id);
  if (review === undefined) return refusal(404, 'not-found', 'There is no such emergency access.');
  const act = world.shown(review, world.mine.has(id)).acts.find(({ how }) => how === body.how);
  if (act === undefined || act.why_not !== null) return refusal(409, 'refused', act?.why_not ?? 'That is no act.');
  if (act.words_needed && body.text === '') return refusal(400, 'wrong', 'Say why.');
  const become: Record<string, Partial<ConsoleReview>> = {
    ask: { state: 'asked', state_text: 'Asked: waits for an answer' },
    appropriate: { state: 'appropriate', state_text: 'Closed: appropriate', closed_ms: world.now, overdue: false },
    suspect: { state: 'suspected', state_text: 'Misuse suspected: a second reviewer decides' },
    confirm: { state: 'misuse', state_text: 'Closed: misuse', closed_ms: world.now, overdue: false },
    dismiss: { state: 'open', state_text: 'Waits for a decision' },
    explain: { words: body.text, owes_words: false },
  };
  Object.assign(review, become[body.how]);
  if (body.how === 'suspect') world.mine.add(id);
  return ok(world.shown(review, world.mine.has(id)));
}

const MESSAGES = 50;
function messagesOf(world: World, query: URLSearchParams): Answer {
  const is = (name: string, value: string) => (query.get(name) ?? '') === '' || query.get(name) === value;
  const before = Number(query.get('before') ?? Infinity);
  const found = world.messages.filter((each) => is('feed', each.feed) && is('state', each.state) && each.id < before);
  const rows = found.slice(0, MESSAGES);
  return ok({ now_ms: world.now, feeds: before === Infinity ? world.feeds : [], rows, next: found.length > MESSAGES ? rows.at(-1)?.id : null });
}

function workOff(world: World, of: ConsoleMessage, act: string, body: Record<string, string>): Answer {
  if (of.state !== 'held' && of.state !== 'received') return refusal(409, 'refused', `Message ${of.id} is ${of.state}: only what is held can be decided.`);
  if (act !== 'replay' && (body.reason ?? '') === '') return refusal(400, 'bad-request', 'Say why, in 1 to 500 characters.');
  const become = (change: Partial<ConsoleMessage>): ConsoleMessage => ({ ...of, settled_ms: world.now, by: world.session.user, ...change });
  let copy: ConsoleMessage | null = null;
  let message = become(world.becomes);
  if (act === 'drop') message = become({ state: 'dropped', reason: body.reason ?? '' });
  if (act === 'fix') {
    copy = { ...become(world.becomes), id: (world.messages[0]?.id ?? 0) + 1, at_ms: world.now, of: of.id };
    message = copy.state === 'held' ? of : become({ state: 'dropped', reason: `corrected by message ${copy.id}: ${body.reason}` });
  }
  world.messages = [...(copy === null ? [] : [copy]), ...world.messages.map((each) => (each.id === of.id ? message : each))];
  return ok({ now_ms: world.now, message, copy });
}

function answer(world: World, method: string, path: string, query: URLSearchParams, headers: Headers, body: Record<string, string>): Answer {
  const [what, id = '', act] = path.split('/').map(decodeURIComponent);
  if (method === 'POST' && headers.get('content-type') !== 'application/json') return refusal(400, 'wrong', 'Send JSON.');
  if (what === 'sign-in' && id === 'code') {
    if (!world.proven) return refusal(401, 'not-signed-in', 'The password was too long ago: begin with name and password.');
    if (body.code !== world.code) return refusal(401, 'wrong-secret', 'The code is not right, or was used already: wait for the next one.');
    world.proven = false;
    world.signedIn = true;
    world.session = { ...world.session, by: 'pwd+otp', totp: { on: true, offered: false, recovery: 10 } };
    return ok(world.session);
  }
  if (what === 'sign-in') {
    if (body.secret !== world.secret) return refusal(401, 'not-signed-in', 'User name or password is wrong.');
    if (world.code !== null) {
      world.proven = true;
      return refusal(401, 'code-needed', 'Type the code that your authenticator shows, or one of your recovery codes.');
    }
    world.signedIn = true;
    return ok({ ...world.session, user: body.user === undefined || body.user === '' ? world.session.user : body.user });
  }
  if (what === 'ways') return ok({ provider: world.provider });
  if (!world.signedIn) return refusal(401, 'not-signed-in', 'Your sign-in has ended. Sign in again.');
  if (method === 'POST' && headers.get('x-vitrine-csrf') !== world.session.csrf) return refusal(403, 'csrf', 'This did not come from the console.');
  if (what === 'session') return ok(world.session);
  if (what === 'totp' && id === 'confirm') {
    if (body.code !== world.firstCode) return refusal(409, 'refused', 'This is not the code of the new key: see that the clock of your device is right, then type the next one.');
    world.session = { ...world.session, csrf: 'a71c03', by: 'pwd+otp', totp: { on: true, offered: false, recovery: 10 } };
    return ok({ codes: fixtures.CODES, session: world.session });
  }
  if (what === 'totp') return body.secret === world.secret ? ok(fixtures.enrolment()) : refusal(401, 'wrong-secret', 'Name or secret is wrong.');
  if (what === 'sign-out') {
    world.signedIn = false;
    return { status: 204, body: null };
  }
  if (what === 'reviews' && id === '') {
    const open = query.get('which') !== 'all';
    const mine = world.reviews.filter((each) => world.session.may.reviews || each.own);
    const waiting = mine.filter((each) => each.closed_ms === null);
    return ok({ now_ms: world.now, open_only: open, rows: open ? waiting : mine, more: false, waiting: waiting.length, overdue: waiting.filter((each) => each.overdue).length });
  }
  if (what === 'reviews' && method === 'POST') return decide(world, id, body as { how: string; text: string });
  if (what === 'reviews') {
    const review = world.reviews.find((each) => each.id === id);
    return review === undefined ? refusal(404, 'not-found', 'There is no such emergency access.') : ok(world.shown(review, world.mine.has(id)));
  }
  if (what === 'review-stats') return ok(world.stats);
  if (what === 'audit') return ok(auditOf(world, query));
  if (what === 'chains') return ok(method === 'POST' ? (world.chains = world.checked) : world.chains);
  if (what === 'devices' && act === 'revoke') {
    if (method !== 'POST' || (body.reason ?? '') === '') return refusal(400, 'wrong', 'Say why.');
    world.devices = { ...world.devices, devices: world.devices.devices.map((each) => (each.id === id ? { ...each, state: 'revoked', revoked_ms: world.now } : each)) };
    return ok(world.devices);
  }
  if (what === 'devices') return ok(world.devices);
  if (what === 'people') return ok(world.people);
  if (what === 'messages' && id === '') return messagesOf(world, query);
  if (what === 'messages') {
    const found = world.messages.find((each) => String(each.id) === id);
    if (found === undefined) return refusal(404, 'not-found', `There is no message ${id}.`);
    return act === undefined ? ok(world.message(found)) : workOff(world, found, act, body);
  }
  if (what === 'policy' && id === 'why') return body.patient === world.why.patient || body.patient === '4711' ? ok({ ...world.why, user: body.user }) : refusal(404, 'not-found', 'No patient here has this number or id.');
  if (what === 'policy') return ok(world.policy(query.get('level') ?? 'N', query.get('purpose')));
  return refusal(404, 'not-found', 'There is no such thing.');
}

/** Carries requests to the fake server. */
export function carryTo(world: World): Carry {
  return async (address, init) => {
    const [path = '', query = ''] = address.replace('/console/api/', '').split('?', 2);
    const method = init.method ?? 'GET';
    world.asked.push(`${method} ${path}${query === '' ? '' : `?${query}`}`);
    const body = init.body === undefined ? {} : (JSON.parse(String(init.body)) as Record<string, string>);
    if (method === 'POST') world.sent.push(body);
    const ill = world.ill[`${method} ${path}`] ?? world.ill[`${method} ${path.split('/')[0]}`];
    if (ill === 'never') return new Promise<Response>(() => {});
    if (ill === 'unreached') throw new TypeError('Failed to fetch');
    const { status, body: said } = ill ?? answer(world, method, path, new URLSearchParams(query), new Headers(init.headers), body);
    // As a server would: a copy, not the thing itself.
    const text = status === 204 ? null : typeof said === 'string' ? said : JSON.stringify(passed(said, world.text));
    return new Response(text, { status, headers: { 'content-type': 'application/json' } });
  };
}
