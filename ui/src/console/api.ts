/**
 * The way to the server: every question the console asks, and what may become of it.
 *
 * Lives here: paths, the header against forged requests, which failure is which, and a look at whether an answer is one: half
 * of one is a failure, never an empty list (S1). Texts of an answer have passed `domain/plain.ts` (S28). Never here: what is on
 * the page. The only file of the console that fetches (scripts/lint.mjs holds that). Called by `state.svelte.ts`.
 */
import { plain } from '../domain/plain';
import { say } from '../i18n/language';
import type { ConsoleAudit } from '../wire/ConsoleAudit';
import type { ConsoleChains } from '../wire/ConsoleChains';
import type { ConsoleDecision } from '../wire/ConsoleDecision';
import type { ConsoleDevices } from '../wire/ConsoleDevices';
import type { ConsoleEnrolled } from '../wire/ConsoleEnrolled';
import type { ConsoleEnrolment } from '../wire/ConsoleEnrolment';
import type { ConsoleMessageDone } from '../wire/ConsoleMessageDone';
import type { ConsoleMessages } from '../wire/ConsoleMessages';
import type { ConsoleMessageShown } from '../wire/ConsoleMessageShown';
import type { ConsolePeople } from '../wire/ConsolePeople';
import type { ConsolePolicy } from '../wire/ConsolePolicy';
import type { ConsoleReviews } from '../wire/ConsoleReviews';
import type { ConsoleReviewShown } from '../wire/ConsoleReviewShown';
import type { ConsoleReviewStats } from '../wire/ConsoleReviewStats';
import type { ConsoleSession } from '../wire/ConsoleSession';
import type { ConsoleWays } from '../wire/ConsoleWays';
import type { ConsoleWhy } from '../wire/ConsoleWhy';
import type { ConsoleWhyAsked } from '../wire/ConsoleWhyAsked';

/** How a question failed. */
export type FailureKind =
  /** Nobody is signed in, or no longer. */
  | 'signed-out'
  /** The password is right, and a code is asked for. */
  | 'code-needed'
  /** Not for this account; or the request did not come from this page. */
  | 'denied'
  | 'not-found'
  /** The rules refuse it now; the text says why. */
  | 'refused'
  /** Too many attempts. */
  | 'throttled'
  /** The server cannot answer now. */
  | 'unavailable'
  /** No answer came: whether the question arrived is not known. */
  | 'unreached'
  /** An answer came that is none. */
  | 'unreadable'
  /** The server does not take the question. */
  | 'wrong';

/** A failure with words for a person. */
export class Failure extends Error {
  readonly kind: FailureKind;
  constructor(kind: FailureKind, text: string) {
    super(text);
    this.name = 'Failure';
    this.kind = kind;
  }
}

/** A failure of whatever was thrown. */
export const failureOf = (thrown: unknown): Failure => (thrown instanceof Failure ? thrown : new Failure('unreadable', NOT_READABLE));

/** What of the audit is asked for; times in ms since 1970 UTC. */
export interface AuditQuestion {
  patient?: string;
  user?: string;
  device?: string;
  action?: string;
  from?: number;
  until?: number;
  before?: string;
}

/** Which messages are asked for; what is empty asks for nothing. */
export interface MessageQuestion {
  feed?: string;
  state?: string;
  before?: string;
}

/** What carries a request: `fetch`, or the fake twin of the server. */
export type Carry = (path: string, init: RequestInit) => Promise<Response>;

/** All that can be asked. Every one throws a `Failure` alone. */
export interface Api {
  signIn: (user: string, secret: string) => Promise<ConsoleSession>;
  /** After a failure `code-needed` of `signIn`; a wrong code is `refused`. */
  signInCode: (code: string) => Promise<ConsoleSession>;
  /** Makes a second factor, which counts with `confirmEnrolment`. */
  enrol: (secret: string) => Promise<ConsoleEnrolment>;
  confirmEnrolment: (code: string) => Promise<ConsoleEnrolled>;
  session: () => Promise<ConsoleSession>;
  ways: () => Promise<ConsoleWays>;
  signOut: () => Promise<void>;
  reviews: (which: 'open' | 'all') => Promise<ConsoleReviews>;
  review: (id: string) => Promise<ConsoleReviewShown>;
  decide: (id: string, decision: ConsoleDecision) => Promise<ConsoleReviewShown>;
  stats: () => Promise<ConsoleReviewStats>;
  audit: (question: AuditQuestion) => Promise<ConsoleAudit>;
  chains: () => Promise<ConsoleChains>;
  checkChains: () => Promise<ConsoleChains>;
  devices: () => Promise<ConsoleDevices>;
  revoke: (id: string, reason: string) => Promise<ConsoleDevices>;
  people: () => Promise<ConsolePeople>;
  policy: (level: string, purpose: string) => Promise<ConsolePolicy>;
  why: (question: ConsoleWhyAsked) => Promise<ConsoleWhy>;
  messages: (question: MessageQuestion) => Promise<ConsoleMessages>;
  message: (id: number) => Promise<ConsoleMessageShown>;
  replayMessage: (id: number) => Promise<ConsoleMessageDone>;
  fixMessage: (id: number, text: string, reason: string) => Promise<ConsoleMessageDone>;
  dropMessage: (id: number, reason: string) => Promise<ConsoleMessageDone>;
}

const AT = '/console/api/';
/** Where the browser goes to sign in by the hospital's identity provider. */
export const PROVIDER = `${AT}oidc/start`;
/** So long an answer is waited for, ms. */
export const PATIENCE_MS = 30_000;

const NOT_READABLE = say('The server answered, and the answer could not be read. Nothing of it is shown.', 'Der Server hat geantwortet, die Antwort war aber nicht lesbar. Nichts davon wird angezeigt.');
const NOT_REACHED = say('The server did not answer. Nothing was read.', 'Der Server hat nicht geantwortet. Nichts wurde gelesen.');
const PERHAPS_DONE = say(
  'The server did not answer. It is not known whether this was recorded: look again before you send it again.',
  'Der Server hat nicht geantwortet. Ob es aufgezeichnet wurde, ist nicht bekannt: neu einlesen, bevor Sie es nochmals senden.',
);
/** Another window of this browser signed in. */
export const REPLACED = say('Somebody signed in in another window of this browser. Sign in here again.', 'In einem anderen Fenster dieses Browsers hat sich jemand angemeldet. Hier neu anmelden.');
const KINDS: Record<number, FailureKind> = { 401: 'signed-out', 403: 'denied', 404: 'not-found', 409: 'refused', 429: 'throttled', 503: 'unavailable' };
const OWN_WORDS: Record<FailureKind, string> = {
  'signed-out': say('You are not signed in any more.', 'Sie sind nicht mehr angemeldet.'),
  'code-needed': say('A code is asked for.', 'Ein Code wird verlangt.'),
  denied: say('Your account may not see this.', 'Ihr Konto darf das nicht sehen.'),
  'not-found': say('The server knows nothing by this id.', 'Der Server kennt nichts unter dieser Kennung.'),
  refused: say('The server refuses this now.', 'Der Server lehnt das jetzt ab.'),
  throttled: say('Too many attempts. Wait, then try again.', 'Zu viele Versuche. Warten und dann erneut versuchen.'),
  unavailable: say('The server cannot answer now. Try again.', 'Der Server kann jetzt nicht antworten. Erneut versuchen.'),
  unreached: NOT_REACHED,
  unreadable: NOT_READABLE,
  wrong: say('The server does not take this question.', 'Der Server nimmt diese Anfrage nicht an.'),
};

type Is = 'text' | 'number' | 'yes-no' | 'list' | 'object';
const IS: Record<Is, (value: unknown) => boolean> = {
  text: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  'yes-no': (value) => typeof value === 'boolean',
  list: (value) => Array.isArray(value),
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

/** Without these fields an answer is none. */
function hold<T>(answer: unknown, fields: Record<string, Is>): T {
  if (!IS.object(answer)) throw new Failure('unreadable', NOT_READABLE);
  const found = answer as Record<string, unknown>;
  for (const [name, is] of Object.entries(fields)) if (!IS[is](found[name])) throw new Failure('unreadable', NOT_READABLE);
  return answer as T;
}

const SESSION = { user: 'text', name: 'text', role: 'text', csrf: 'text', idle_s: 'number', ends_ms: 'number', now_ms: 'number', may: 'object', by: 'text', totp: 'object' } as const;
const SHOWN = { review: 'object', patient: 'object', history: 'list', evidence: 'list', seen: 'list', seen_more: 'yes-no', acts: 'list' } as const;
const CHAINS = { now_ms: 'number', chains: 'list' } as const;
const MESSAGE_DONE = { now_ms: 'number', message: 'object' } as const;
const DEVICES = { now_ms: 'number', devices: 'list', codes: 'list' } as const;

/** The questions, carried by `carry`. `asked` is told of each that was answered: it keeps a session alive. */
export function openApi(carry: Carry = (path, init) => fetch(path, init), asked: () => void = () => {}): Api {
  let csrf = '';

  async function ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
    const changes = method === 'POST';
    const headers: Record<string, string> = { accept: 'application/json' };
    if (changes) {
      headers['content-type'] = 'application/json';
      if (csrf !== '') headers['x-vitrine-csrf'] = csrf;
    }
    let response: Response;
    let text: string;
    try {
      response = await carry(`${AT}${path}`, {
        method,
        headers,
        ...(changes ? { body: JSON.stringify(body ?? {}) } : {}),
        credentials: 'same-origin',
        cache: 'no-store',
        redirect: 'error',
        // Not 'no-referrer': with it a browser may say `Origin: null`, which the server refuses.
        referrerPolicy: 'same-origin',
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      text = await response.text();
    } catch {
      throw new Failure('unreached', changes ? PERHAPS_DONE : NOT_REACHED);
    }
    if (!response.ok) throw refusalOf(response.status, text, path);
    asked();
    if (response.status === 204) return null;
    try {
      return plain(JSON.parse(text) as unknown);
    } catch {
      throw new Failure('unreadable', changes ? PERHAPS_DONE : NOT_READABLE);
    }
  }

  const of = async <T>(fields: Record<string, Is>, ...question: Parameters<typeof ask>): Promise<T> => hold<T>(await ask(...question), fields);
  const begun = (session: ConsoleSession): ConsoleSession => {
    csrf = session.csrf;
    return session;
  };
  const id = (text: string) => encodeURIComponent(text);

  return {
    async signIn(user, secret) {
      csrf = '';
      return begun(await of<ConsoleSession>(SESSION, 'POST', 'sign-in', { user, secret }));
    },
    async signInCode(code) {
      csrf = '';
      return begun(await of<ConsoleSession>(SESSION, 'POST', 'sign-in/code', { code }));
    },
    enrol: (secret) => of<ConsoleEnrolment>({ uri: 'text', key: 'text', qr: 'list' }, 'POST', 'totp', { secret }),
    async confirmEnrolment(code) {
      const enrolled = await of<ConsoleEnrolled>({ codes: 'list', session: 'object' }, 'POST', 'totp/confirm', { code });
      begun(hold<ConsoleSession>(enrolled.session, SESSION));
      return enrolled;
    },
    ways: () => of({ provider: 'yes-no' }, 'GET', 'ways'),
    session: async () => begun(await of<ConsoleSession>(SESSION, 'GET', 'session')),
    async signOut() {
      await ask('POST', 'sign-out');
      csrf = '';
    },
    reviews: (which) => of({ now_ms: 'number', rows: 'list', more: 'yes-no', waiting: 'number', overdue: 'number' }, 'GET', `reviews?which=${which}`),
    review: (of_) => of(SHOWN, 'GET', `reviews/${id(of_)}`),
    decide: (of_, decision) => of(SHOWN, 'POST', `reviews/${id(of_)}`, decision),
    stats: () => of({ broken: 'number', closed: 'number', closed_in_time: 'number', overdue: 'number', arrived_late: 'number', states: 'list', misuse: 'list', more: 'yes-no' }, 'GET', 'review-stats'),
    audit: (question) => of({ now_ms: 'number', from_ms: 'number', until_ms: 'number', rows: 'list', looked: 'text' }, 'GET', `audit${queryOf(question)}`),
    chains: () => of(CHAINS, 'GET', 'chains'),
    checkChains: () => of(CHAINS, 'POST', 'chains'),
    devices: () => of(DEVICES, 'GET', 'devices'),
    revoke: (of_, reason) => of(DEVICES, 'POST', `devices/${id(of_)}/revoke`, { reason }),
    people: () => of({ now_ms: 'number', people: 'list' }, 'GET', 'people'),
    policy: (level, purpose) => of({ now_ms: 'number', level: 'text', roles: 'list', rows: 'list' }, 'GET', `policy?${new URLSearchParams({ level, ...(purpose === '' ? {} : { purpose }) }).toString()}`),
    why: (question) => of({ now_ms: 'number', user: 'text', patient: 'text', level: 'text', in_use: 'yes-no', acts: 'list' }, 'POST', 'policy/why', question),
    messages: (question) => of({ now_ms: 'number', feeds: 'list', rows: 'list' }, 'GET', `messages${queryOf(question)}`),
    message: (of_) => of({ now_ms: 'number', message: 'object', notes: 'list', exact: 'yes-no', made: 'list', not_understood: 'list' }, 'GET', `messages/${of_}`),
    replayMessage: (of_) => of(MESSAGE_DONE, 'POST', `messages/${of_}/replay`),
    fixMessage: (of_, text, reason) => of(MESSAGE_DONE, 'POST', `messages/${of_}/fix`, { text, reason }),
    dropMessage: (of_, reason) => of(MESSAGE_DONE, 'POST', `messages/${of_}/drop`, { reason }),
  };
}

/** "?user=lee&from=1"; "" where nothing is asked for. */
export function queryOf(question: AuditQuestion | MessageQuestion): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(question)) if (value !== undefined && value !== '') found.set(name, String(value));
  const text = found.toString();
  return text === '' ? '' : `?${text}`;
}

/** The words of the server, or ours where it gives none. */
function refusalOf(status: number, body: string, path: string): Failure {
  const kind = KINDS[status] ?? (status >= 500 ? 'unavailable' : 'wrong');
  let text = '';
  try {
    const refusal = plain(JSON.parse(body) as { error?: unknown; text?: unknown } | null);
    // The cookie is that of a later sign-in in another window, perhaps of somebody else: nothing is sent in that name.
    if (status === 403 && refusal?.error === 'csrf' && !path.startsWith('sign-in')) return new Failure('signed-out', REPLACED);
    if (typeof refusal?.text === 'string') text = refusal.text.trim();
    if (status === 401 && refusal?.error === 'code-needed') return new Failure('code-needed', text);
    // A wrong code, or a wrong password given once more: who typed it is where they were.
    if (status === 401 && refusal?.error === 'wrong-secret' && path !== 'sign-in') return new Failure('refused', text);
  } catch {
    // A page of a proxy is no refusal of ours.
  }
  return new Failure(kind, text === '' ? OWN_WORDS[kind] : text);
}
