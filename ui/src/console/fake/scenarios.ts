/**
 * The states of each page of the console that are looked at: pictures, accessibility, payloads (scripts/console.mjs), and tests.
 * Each changes the fake world, says where to go, and may do something there. Called by `stage.ts`.
 */
import type { Console } from '../state.svelte';
import { NOW } from './fixtures';
import type { Ill, World } from './server';
import type { Page } from '../pages';

export interface Scenario {
  id: string;
  page?: Page;
  set?: (world: World) => unknown;
  drive?: (app: Console, world: World) => Promise<void> | void;
  /** Something stays on its way: nobody waits for it. */
  waits?: boolean;
}

const settled = () => new Promise<void>((done) => setTimeout(done, 0));
const OFF: Ill = 'unreached';
const DENIED: Ill = { status: 403, body: { error: 'denied', text: 'A privacy officer reads this. Your role is clinical IT.' } };
const opened = (id: string, then?: (app: Console) => Promise<void> | void) => async (app: Console) => {
  app.openReview(id);
  await settled();
  await settled();
  await then?.(app);
};
const press = (testid: string, at = 0) => document.querySelectorAll<HTMLElement>(`[data-testid="${testid}"]`)[at]?.click();
const openRow = (at: number) => async () => {
  await settled();
  document.querySelectorAll<HTMLElement>('[data-row]')[at]?.click();
  await settled();
};
const asks = (user: string, patient: string) => async (app: Console) => {
  await settled();
  Object.assign(app.policy.question, { user, patient });
  await app.policy.ask();
};
/** Opens a message, and does something with it. */
const message = (id: number, then?: (app: Console) => Promise<unknown> | void) => async (app: Console) => {
  await settled();
  await app.interfaces.show(id, app.session?.may.message_texts === true);
  await then?.(app);
  await settled();
};
const types = (of: { text?: string; reason?: string; dropping?: string }, then: (app: Console) => Promise<unknown> | void) => (app: Console) => {
  app.interfaces.begin(of.dropping === undefined ? 'correct' : 'drop');
  Object.assign(app.interfaces.draft ?? {}, of);
  return then(app);
};
const TEXT = 'MSH|^~\\&|LAB|NORTH|VITRINE|NORTH|20261129041500||ORU^R01|LAB-20600998|P|2.5.1\nPID|1||70031^^^MRN^MR||JONES^Mary^^^Ms||19580204|F\nOBR|1|P70031|F70031|K^Potassium panel^L';
const act = (app: Console, how: string) => app.review.acts.find((each) => each.how === how);

const ASKED: Record<Page, string> = { reviews: 'reviews', numbers: 'review-stats', audit: 'audit', devices: 'devices', people: 'people', policy: 'policy', interfaces: 'messages' };
const PAGES = Object.keys(ASKED) as Page[];

export const SCENARIOS: readonly Scenario[] = [
  { id: 'sign-in', set: (world) => (world.signedIn = false) },
  { id: 'sign-in-provider', set: (world) => { world.signedIn = false; world.provider = true; } },
  { id: 'sign-in-wrong', set: (world) => (world.signedIn = false), drive: (app) => app.signIn('privacy', 'wrong') },
  { id: 'sign-in-throttled', set: (world) => { world.signedIn = false; world.ill['POST sign-in'] = { status: 429, body: { error: 'throttled', text: 'Too many wrong passwords. Try again in 30 s.' } }; }, drive: (app) => app.signIn('privacy', 'wrong') },
  { id: 'sign-in-again', drive: opened('c3', async (app) => { app.review.text = 'The scan was asked for by the'; await app.review.act(act(app, 'ask') ?? never()); }), set: (world) => (world.ill['POST reviews'] = { status: 401, body: { error: 'not-signed-in', text: 'Your sign-in has ended. Sign in again.' } }) },
  { id: 'sign-in-code', set: (world) => { world.signedIn = false; world.code = '287082'; }, drive: (app, world) => app.signIn('privacy', world.secret) },
  { id: 'sign-in-code-wrong', set: (world) => { world.signedIn = false; world.code = '287082'; }, drive: async (app, world) => { await app.signIn('privacy', world.secret); await app.signInCode('000000'); } },
  { id: 'factor-password', drive: (app) => app.factor.begin() },
  { id: 'factor-wrong', drive: async (app) => { app.factor.begin(); await app.factor.password('not this'); } },
  { id: 'factor-key', drive: async (app, world) => { app.factor.begin(); await app.factor.password(world.secret); } },
  { id: 'factor-key-wrong', drive: async (app, world) => { app.factor.begin(); await app.factor.password(world.secret); await app.factor.code('000000'); } },
  { id: 'factor-codes', drive: async (app, world) => { app.factor.begin(); await app.factor.password(world.secret); await app.factor.code(world.firstCode); } },
  { id: 'factor-on', set: (world) => (world.session.totp = { on: true, offered: false, recovery: 3 }) },
  { id: 'start-unreached', set: (world) => (world.ill['GET session'] = OFF) },
  { id: 'start-waiting', set: (world) => (world.ill['GET session'] = 'never'), waits: true },
  ...PAGES.flatMap((page): Scenario[] => [
    { id: page, page },
    { id: `${page}-loading`, page, set: (world) => (world.ill[`GET ${ASKED[page]}`] = 'never'), waits: true },
    { id: `${page}-unreached`, page, set: (world) => (world.ill[`GET ${ASKED[page]}`] = OFF) },
    { id: `${page}-denied`, page, set: (world) => (world.ill[`GET ${ASKED[page]}`] = DENIED) },
  ]),
  { id: 'reviews-empty', set: (world) => (world.reviews = []) },
  { id: 'reviews-all', drive: async (app) => { app.choose('all'); await settled(); } },
  { id: 'reviews-own', set: (world) => (world.session.may = { reviews: false, audit: false, devices: false, people: false, policy: false, messages: false, message_texts: false }) },
  { id: 'reviews-it', set: (world) => (world.session.may = { reviews: false, audit: false, devices: true, people: true, policy: true, messages: true, message_texts: false }) },
  { id: 'reviews-filtered', drive: async () => { await settled(); const field = document.querySelector<HTMLInputElement>('[data-filter]'); if (field !== null) { field.value = 'rao'; field.dispatchEvent(new Event('input', { bubbles: true })); } } },
  { id: 'reviews-more', set: (world) => (world.ill['GET reviews'] = { status: 200, body: { now_ms: NOW, open_only: true, rows: world.reviews.slice(0, 2), more: true, waiting: 240, overdue: 90 } }) },
  { id: 'reviews-ends', drive: (app) => void (app.endsIn = 42) },
  { id: 'review', drive: opened('a1') },
  { id: 'review-suspected', drive: opened('e5') },
  { id: 'review-second-is-first', set: (world) => world.mine.add('e5'), drive: opened('e5') },
  { id: 'review-no-audit', set: (world) => { world.session.may.audit = false; const was = world.shown; world.shown = (of) => ({ ...was(of), seen: [], patient: { id: 'p-x', name: 'Not shown: you have no access to this record now.', identity: '' } }); }, drive: opened('a1') },
  { id: 'review-own', drive: opened('f6') },
  { id: 'review-closed', drive: async (app) => { app.choose('all'); await settled(); await opened('h8')(app); } },
  { id: 'review-bare', set: (world) => { const was = world.shown; world.shown = (of) => ({ ...was(of), history: [], evidence: [], seen: [], seen_more: false, acts: [] }); }, drive: opened('c3') },
  { id: 'review-loading', set: (world) => (world.ill['GET reviews/a1'] = 'never'), drive: opened('a1'), waits: true },
  { id: 'review-unreached', set: (world) => (world.ill['GET reviews/a1'] = OFF), drive: opened('a1') },
  { id: 'review-wordless', drive: opened('a1', (app) => app.review.act(act(app, 'appropriate') ?? never())) },
  { id: 'review-sure', drive: opened('a1', async (app) => { app.review.text = 'No treatment is recorded at that time, and the names are the same.'; await app.review.act(act(app, 'suspect') ?? never()); }) },
  { id: 'review-sure-second', drive: opened('e5', async (app) => { app.review.text = 'I agree.'; await app.review.act(act(app, 'confirm') ?? never()); }) },
  { id: 'review-sure-end', drive: opened('c3', async (app) => { app.review.text = 'Not on duty; the ward knows nothing of a call.'; await app.review.act(act(app, 'revoke') ?? never()); }) },
  { id: 'review-refused', set: (world) => (world.ill['POST reviews'] = { status: 409, body: { error: 'refused', text: 'Dr SECOND, Kim decided it meanwhile: it is closed.' } }), drive: opened('a1', async (app) => { app.review.text = 'Treatment is recorded.'; await app.review.act(act(app, 'appropriate') ?? never()); }) },
  { id: 'review-lost', set: (world) => (world.ill['POST reviews'] = OFF), drive: opened('a1', async (app) => { app.review.text = 'Treatment is recorded.'; await app.review.act(act(app, 'appropriate') ?? never()); }) },
  { id: 'review-done', drive: opened('a1', async (app) => { app.review.text = 'Treatment is recorded.'; await app.review.act(act(app, 'appropriate') ?? never()); }) },
  { id: 'leave', drive: opened('a1', async (app) => { app.review.text = 'Treatment is'; await app.signOut(); }) },
  { id: 'numbers-empty', page: 'numbers', set: (world) => (world.stats = { ...world.stats, broken: 0, closed: 0, closed_in_time: 0, closed_in_time_percent: null, overdue: 0, arrived_late: 0, states: [], misuse: [], more: false }) },
  { id: 'audit-empty', page: 'audit', set: (world) => (world.audit = []) },
  { id: 'audit-open', page: 'audit', drive: openRow(1) },
  { id: 'audit-wrong', page: 'audit', drive: async (app) => { app.audit.filter.from = '31-Feb-2026'; app.audit.filter.until = 'yesterday'; await app.audit.look(); } },
  { id: 'audit-older-lost', page: 'audit', drive: async (app, world) => { await settled(); world.ill['GET audit'] = OFF; await app.audit.older(); } },
  { id: 'audit-checked', page: 'audit', drive: async () => { await settled(); press('check-now'); await settled(); } },
  { id: 'audit-unchecked', page: 'audit', set: (world) => (world.chains = { ...world.chains, checkpoint: null, chains: world.chains.chains.map((each) => ({ ...each, whole: null, checked_ms: null })) }) },
  { id: 'devices-empty', page: 'devices', set: (world) => (world.devices = { ...world.devices, devices: [], codes: [] }) },
  { id: 'devices-open', page: 'devices', drive: openRow(2) },
  { id: 'devices-revoke', page: 'devices', drive: async (app) => { await openRow(0)(); app.revoking = app.devices.value?.devices[0] ?? null; } },
  { id: 'people-empty', page: 'people', set: (world) => (world.people = { ...world.people, people: [] }) },
  { id: 'policy-open', page: 'policy', drive: openRow(1) },
  { id: 'policy-it', page: 'policy', set: (world) => (world.session.may = { reviews: false, audit: false, devices: true, people: true, policy: true, messages: true, message_texts: false }) },
  { id: 'policy-confidential', page: 'policy', drive: async (app) => { await settled(); app.policy.level = 'V'; await app.policy.read(); } },
  { id: 'policy-why', page: 'policy', drive: asks('lee', 'p-1002') },
  { id: 'policy-why-plain', page: 'policy', set: (world) => (world.why = { ...world.why, glass: null, ward: null, codes: [], level: 'N', wards: [], in_use: false, acts: world.why.acts.map((each) => ({ ...each, allow: false, by_grant: false, sees: null, rule: 'account-not-in-use', text: 'The account is not in use: nobody can sign in with it.' })) }), drive: asks('rao', '4711') },
  { id: 'policy-why-unknown', page: 'policy', drive: asks('lee', '0815') },
  { id: 'policy-why-unnamed', page: 'policy', drive: asks('lee', '') },
  { id: 'policy-why-lost', page: 'policy', set: (world) => (world.ill['POST policy/why'] = OFF), drive: asks('lee', 'p-1002') },
  { id: 'interfaces-empty', page: 'interfaces', set: (world) => (world.messages = world.messages.filter((each) => each.state === 'applied')) },
  { id: 'interfaces-none', page: 'interfaces', set: (world) => { world.messages = []; world.feeds = []; } },
  { id: 'interfaces-all', page: 'interfaces', drive: async (app) => { await settled(); await app.interfaces.filter({ state: '' }); } },
  { id: 'interfaces-filtering', page: 'interfaces', drive: async (app, world) => { await settled(); world.ill['GET messages'] = 'never'; void app.interfaces.filter({ feed: 'lab' }); } , waits: true },
  { id: 'interfaces-older-lost', page: 'interfaces', drive: async (app, world) => { await settled(); await app.interfaces.filter({ state: '' }); world.ill['GET messages'] = OFF; await app.interfaces.older(); } },
  { id: 'interfaces-it', page: 'interfaces', set: (world) => (world.session.may = { reviews: false, audit: false, devices: true, people: true, policy: true, messages: true, message_texts: false }), drive: message(998) },
  { id: 'message', page: 'interfaces', drive: message(998) },
  { id: 'message-applied', page: 'interfaces', drive: async (app) => { await settled(); await app.interfaces.filter({ state: '' }); await message(995)(app); } },
  { id: 'message-fault', page: 'interfaces', set: (world) => { const was = world.message; world.message = (of) => ({ ...was(of), exact: false, made: [], not_understood: [], lines: [{ before: 'MSH|^~\\&|RAD|NORTH|VITRINE|NORTH|20261129041500||', marked: 'SIU^S12', after: '||P|2.5.1' }, { before: 'PID|1||', marked: '', after: '' }, { before: 'SCH|1||M\ufffdller', marked: null, after: '' }], fault: { code: 200, code_text: 'Unsupported message type', place: 'MSH^1^9', text: 'messages of this type are not taken' } }); }, drive: message(989) },
  { id: 'message-forgotten', page: 'interfaces', set: (world) => { const was = world.message; world.message = (of) => ({ ...was(of), lines: null, made: [], not_understood: [], unshown: 'The bytes of this message are no longer kept: it was applied long ago, or the record of its patient was destroyed.' }); }, drive: message(997) },
  { id: 'message-waiting', page: 'interfaces', set: (world) => (world.ill['GET messages/998'] = 'never'), drive: async (app) => { await settled(); void app.interfaces.show(998, true); }, waits: true },
  { id: 'message-unreached', page: 'interfaces', set: (world) => (world.ill['GET messages/998'] = OFF), drive: message(998) },
  { id: 'message-correct', page: 'interfaces', drive: message(998, types({ reason: 'Letter O for zero; asked the laboratory.', text: TEXT }, () => {})) },
  { id: 'message-correct-wrong', page: 'interfaces', drive: message(998, types({}, (app) => app.interfaces.correct())) },
  { id: 'message-corrected', page: 'interfaces', drive: message(998, types({ reason: 'Letter O for zero.', text: TEXT }, (app) => app.interfaces.correct())) },
  { id: 'message-drop', page: 'interfaces', drive: message(998, types({ dropping: 'A test of the laboratory.' }, () => {})) },
  { id: 'message-dropped', page: 'interfaces', drive: message(998, types({ dropping: 'A test of the laboratory.' }, (app) => app.interfaces.drop())) },
  { id: 'message-stays', page: 'interfaces', set: (world) => (world.becomes = {}), drive: message(998, (app) => app.interfaces.replay()) },
  { id: 'message-refused', page: 'interfaces', set: (world) => (world.ill['POST messages'] = { status: 409, body: { error: 'refused', text: 'Message 998 is applied: only what is held can be decided again.' } }), drive: message(998, (app) => app.interfaces.replay()) },
  { id: 'message-leave', page: 'interfaces', drive: message(998, types({ text: TEXT }, (app) => app.signOut())) },
];

function never(): never {
  throw new Error('the scenario has no such act');
}
