/** What the fake server of the console knows: synthetic people, workstations and emergency accesses. Called by `server.ts`. */
import type { ConsoleAct } from '../../wire/ConsoleAct';
import type { ConsoleAuditRow } from '../../wire/ConsoleAuditRow';
import type { ConsoleChains } from '../../wire/ConsoleChains';
import type { ConsoleDevices } from '../../wire/ConsoleDevices';
import type { ConsoleEnrolment } from '../../wire/ConsoleEnrolment';
import type { ConsoleFeed } from '../../wire/ConsoleFeed';
import type { ConsoleFeedCount } from '../../wire/ConsoleFeedCount';
import type { ConsoleMessage } from '../../wire/ConsoleMessage';
import type { ConsoleMessageShown } from '../../wire/ConsoleMessageShown';
import type { ConsolePeople } from '../../wire/ConsolePeople';
import type { ConsolePolicy } from '../../wire/ConsolePolicy';
import type { ConsolePolicyCell } from '../../wire/ConsolePolicyCell';
import type { ConsoleReview } from '../../wire/ConsoleReview';
import type { ConsoleReviewShown } from '../../wire/ConsoleReviewShown';
import type { ConsoleReviewStats } from '../../wire/ConsoleReviewStats';
import type { ConsoleSession } from '../../wire/ConsoleSession';
import type { ConsoleWhy } from '../../wire/ConsoleWhy';

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
/** 29-Nov-2026 04:31 UTC: the time of the fake server. */
export const NOW = Date.UTC(2026, 10, 29, 4, 31);

export const session = (): ConsoleSession => ({
  user: 'privacy', name: 'Dr OFFICER, Pat', role: 'privacy officer', csrf: '5f2e9a', idle_s: 900, ends_ms: NOW + 8 * HOUR, now_ms: NOW,
  may: { reviews: true, audit: true, devices: true, people: true, policy: true, messages: true, message_texts: true },
  by: 'pwd', totp: { on: false, offered: true, recovery: 0 },
});

/** Somebody's second factor, with a square in place of a real QR code: nothing is scanned here. */
export const enrolment = (): ConsoleEnrolment => ({
  uri: 'otpauth://totp/Vitrine:privacy?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Vitrine&algorithm=SHA1&digits=6&period=30',
  key: 'GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ',
  qr: Array.from({ length: 41 }, (_, y) => Array.from({ length: 41 }, (_, x) => ((x * 7 + y * 13 + x * y) % 3 === 0 ? '1' : '0')).join('')),
});
export const CODES = ['ACDE-FGHJ-KMNP', 'QRTW-XY34-679A', 'CDEF-GHJK-MNPQ', 'RTWX-Y346-79AC', 'DEFG-HJKM-NPQR', 'TWXY-3467-9ACD', 'EFGH-JKMN-PQRT', 'WXY3-4679-ACDE', 'FGHJ-KMNP-QRTW', 'XY34-679A-CDEF'];

const review = (id: string, of: Partial<ConsoleReview> & { at_ms: number }): ConsoleReview => ({
  id, state: 'open', state_text: 'Waits for a decision', user: 'lee', user_name: 'Dr LEE', declared: false, received_ms: of.at_ms, due_ms: of.at_ms + DAY,
  reason: 'Life-threatening emergency', words: 'Found collapsed at the entrance, no time to ask.', device: 'ED-07', offline: false, late: false, overdue: false, level: 0, owes_words: false,
  own: false, closed_ms: null, ...of,
});

/** In no order: the page sorts them. */
export const reviews = (): ConsoleReview[] => [
  review('b2', { at_ms: NOW - 20 * HOUR - 48 * MIN, level: 2, user: 'brown', user_name: 'RN BROWN', reason: 'Covering for team', words: null, owes_words: true }),
  review('a1', { at_ms: NOW - DAY - 40 * MIN, overdue: true, level: 3 }),
  review('c3', { at_ms: NOW - 2 * HOUR, device: 'ICU-02', offline: true, words: 'Unconscious on arrival; relatives not reachable. Allergies and anticoagulants had to be known before the scan.', state: 'asked', state_text: 'Asked: waits for an answer', reason: 'Unconscious / cannot consent' }),
  review('d4', { at_ms: NOW - 3 * DAY, received_ms: NOW - 5 * HOUR, late: true, overdue: true, level: 1, device: null, user: 'okafor', user_name: 'Dr OKAFOR-VAN DER MERWE, Adaeze', reason: 'Other', words: 'x', offline: true }),
  review('e5', { at_ms: NOW - 9 * HOUR, state: 'suspected', state_text: 'Misuse suspected: a second reviewer decides', user: 'rao', user_name: 'Dr RAO', words: 'Wanted to look something up.' }),
  review('k9', { at_ms: NOW - 4 * HOUR, offline: true, user: 'emergency-003', user_name: 'Dr Jo Smith, agency Northcare', declared: true, words: null }),
  review('f6', { at_ms: NOW - 30 * MIN, own: true, user: 'privacy', user_name: 'Dr OFFICER, Pat', words: null, owes_words: true }),
];
export const decided = (): ConsoleReview[] => [
  review('g7', { at_ms: NOW - 4 * DAY, state: 'appropriate', state_text: 'Closed: appropriate', closed_ms: NOW - 3 * DAY - 6 * HOUR }),
  review('h8', { at_ms: NOW - 6 * DAY, state: 'misuse', state_text: 'Closed: misuse', user: 'rao', user_name: 'Dr RAO', closed_ms: NOW - 5 * DAY, level: 1 }),
];

const act = (how: string, label: string, why_not: string | null = null): ConsoleAct => ({ how, label, why_not, words_needed: true });

/** As the server gives them: what may follow how it stands, with why this reader could not. `mine`: they suspected it themselves. */
function acts(of: ConsoleReview, mine: boolean): ConsoleAct[] {
  const inForce = NOW < of.at_ms + 4 * HOUR;
  if (of.closed_ms !== null) return [];
  const not = of.own ? 'Privacy broke the glass: somebody else must review it.' : mine ? 'Privacy suspects misuse already: a second reviewer has to decide.' : null;
  return [
    ...(of.state === 'suspected' ? [act('confirm', 'Confirm misuse', not), act('dismiss', 'Dismiss the suspicion', not)] : [act('ask', 'Ask for an explanation', not), act('appropriate', 'Appropriate', not), act('suspect', 'Suspect misuse', not)]),
    ...(inForce ? [act('revoke', 'End the access now', of.own ? not : null)] : []),
    ...(of.own ? [act('explain', 'Explain')] : []),
  ];
}

export function shown(of: ConsoleReview, mine = false): ConsoleReviewShown {
  const second = of.state === 'suspected' && !mine;
  return {
    review: of,
    patient: { id: 'p-jones', name: 'JONES, Mary (Ms)', identity: '04-Feb-1958 · F · MRN 4471 0932' },
    history: [
      { at_ms: of.at_ms + 4_000, by: null, by_name: null, did: 'notified', text: 'privacy@hospital.example, ed@hospital.example' },
      ...(of.level > 0 ? [{ at_ms: of.at_ms + 12 * HOUR, by: null, by_name: null, did: 'escalated', text: 'Level 1: nobody had decided after 12 hours' }] : []),
      ...(of.state === 'asked' ? [{ at_ms: NOW - HOUR, by: 'second', by_name: 'Dr SECOND, Kim', did: 'asked', text: 'Which scan was it, and who asked for it?' }] : []),
      ...(second ? [{ at_ms: NOW - 4 * HOUR, by: 'second', by_name: 'Dr SECOND, Kim', did: 'suspected', text: 'The patient shares the family name and the street of the person who looked. No treatment is recorded at that time.' }] : []),
    ],
    evidence: [
      { weighs: 'for', text: 'Was on the rota of the ward where the patient lay.' },
      { weighs: 'against', text: 'Shares the family name of the patient.' },
      { weighs: 'against', text: '3 other emergency accesses in the 30 days before.' },
      { weighs: 'neither', text: 'Role: doctor, emergency department. The account is in use.' },
    ],
    seen: [
      { at_ms: of.at_ms + 1000, action: 'emergency card', what: 'Allergies, medicines, problems, vital signs', device: of.device },
      { at_ms: of.at_ms + 4 * MIN, action: 'chart', what: 'Notes (3), laboratory results (41), images (1 study)', device: of.device },
    ],
    seen_more: of.id === 'a1',
    acts: acts(of, mine),
  };
}

export const stats = (): ConsoleReviewStats => ({
  broken: 212, closed: 206, closed_in_time: 197, closed_in_time_percent: 95, overdue: 2, arrived_late: 7, more: true,
  states: [
    { state: 'open', text: 'Waits for a decision', count: 4 }, { state: 'asked', text: 'Asked: waits for an answer', count: 1 }, { state: 'suspected', text: 'Misuse suspected: a second reviewer decides', count: 1 },
    { state: 'appropriate', text: 'Closed: appropriate', count: 203 }, { state: 'misuse', text: 'Closed: misuse', count: 3 },
  ],
  misuse: [{ user: 'rao', name: 'Dr RAO', count: 2 }, { user: 'jones', name: 'RN JONES', count: 1 }],
});

/** Row `n` of the server's chain, the newest first. */
export function auditRow(n: number): ConsoleAuditRow {
  const kinds: Partial<ConsoleAuditRow>[] = [
    { action: 'open-chart', what: 'Summary; allergies v3, medicines v12, problems v4', patient: 'p-jones', purpose: 'treatment', rule: 'same-ward' },
    { action: 'break-glass', what: 'Emergency card', patient: 'p-jones', purpose: 'emergency', rule: 'emergency', grant: 'a1', notes: [{ name: 'reason', value: 'life-threatening' }, { name: 'words', value: 'Found collapsed at the entrance, no time to ask.' }] },
    { action: 'sign-in', what: '', patient: null, purpose: 'operations', rule: 'wrong-secret', permitted: false, actor: 'rao', actor_name: null },
    { action: 'review-break-glass', what: 'List of open reviews', patient: null, device: null, purpose: 'audit', rule: 'privacy-officer', actor: 'privacy', actor_name: 'Dr OFFICER, Pat' },
  ];
  return {
    chain: n % 4 === 1 ? 'ED-07' : 'server', seq: 1_204_331 - n, at_ms: NOW - n * 37 * MIN, actor: 'lee', actor_name: 'Dr LEE', device: 'ED-07', action: 'open-chart', purpose: 'treatment', permitted: true, rule: 'same-ward',
    patient: null, grant: null, what: '', notes: [], ...kinds[n % kinds.length],
  };
}

export const chains = (): ConsoleChains => ({
  now_ms: NOW,
  chains: [
    { chain: 'server', rows: 1_204_331, head: '8f2c11d09ab37e54c6f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6', whole: true, fault: null, checked_ms: NOW - MIN },
    { chain: 'ED-07', rows: 4_812, head: '19ab37e54c6f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f68f2c11d0', whole: null, fault: null, checked_ms: null },
  ],
  checkpoint: { at_ms: NOW - HOUR, size: 1_204_100, root: 'c6f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f68f2c11d019ab37e5', witnesses: [{ name: 'archive', text: 'signed 29-Nov-2026 03:31', ok: true }, { name: 'region', text: 'did not answer since 28-Nov-2026 22:00', ok: false }] },
});

export const brokenChains = (): ConsoleChains => {
  const all = chains();
  all.chains[1] = { chain: 'ED-07', rows: 4_812, head: '19ab37e5', whole: false, fault: 'Row 4,310 does not follow from row 4,309: it was changed after it was written, or a row is missing.', checked_ms: NOW };
  return all;
};

export const devices = (): ConsoleDevices => ({
  now_ms: NOW,
  devices: [
    { id: '0193-ed07', name: 'ED-07', ward: 'ED', state: 'active', enrolled_ms: NOW - 200 * DAY, seen_ms: NOW - 4000, version: '0.1.0', report: 'connected; 38 patients; 0 unsent; keys: file (weak)', revoked_ms: null },
    { id: '0193-icu2', name: 'ICU-02', ward: 'ICU', state: 'active', enrolled_ms: NOW - 90 * DAY, seen_ms: NOW - 2 * HOUR, version: '0.1.0', report: '2 unsent, the oldest 2 h', revoked_ms: null },
    { id: '0193-w3b1', name: 'W3-B1', ward: 'Ward 3 (Surgery and Orthopaedics)', state: 'revoked', enrolled_ms: NOW - 400 * DAY, seen_ms: NOW - 40 * DAY, version: null, report: null, revoked_ms: NOW - 3 * DAY },
    { id: '0193-w3b2', name: 'W3-B2', ward: 'Ward 3 (Surgery and Orthopaedics)', state: 'active', enrolled_ms: NOW - HOUR, seen_ms: null, version: null, report: null, revoked_ms: null },
  ],
  codes: [{ ward: 'ICU', made_ms: NOW - 4 * MIN, ends_ms: NOW + 11 * MIN }],
});

export const people = (): ConsolePeople => ({
  now_ms: NOW,
  people: [
    { user: 'brown', name: 'RN BROWN', role: 'nurse', wards: ['ED', 'ICU'], in_use: true },
    { user: 'lee', name: 'Dr LEE', role: 'doctor', wards: ['ED'], in_use: true },
    { user: 'privacy', name: 'Dr OFFICER, Pat', role: 'privacy officer', wards: [], in_use: true },
    { user: 'rao', name: 'Dr RAO', role: 'doctor', wards: ['Ward 3 (Surgery and Orthopaedics)'], in_use: false },
  ],
});

const yes = (rule: string): ConsolePolicyCell => ({ allow: true, rule, text: '', by_grant: false, break_glass_offered: false });
const no = (rule: string, text: string): ConsolePolicyCell => ({ allow: false, rule, text, by_grant: false, break_glass_offered: false });
const NO_ACT = no('role-has-no-such-act', 'Your role does not include this.');
const HELPS: ConsolePolicyCell = { ...no('no-relationship', 'You are not assigned to this patient’s ward.'), break_glass_offered: true };
const GLASS: ConsolePolicyCell = { ...yes('break-glass-grant'), by_grant: true };
const CARES = [NO_ACT, NO_ACT, NO_ACT];
const SEALED = no('emergency-account-opens-cards-alone', 'An emergency account opens emergency cards and nothing else.');

export const policy = (level: string, purpose: string | null): ConsolePolicy => ({
  now_ms: NOW,
  level,
  purpose,
  roles: ['Nurse', 'Physician', 'Charge nurse', 'Privacy officer', 'Clinical IT', 'Integrator', 'Emergency account'],
  rows: [
    { act: 'read-chart', act_text: 'Read the chart', about_text: 'patient of an own ward', cells: [...(level === 'V' ? [{ ...no('very-restricted', 'This is very confidential: your role opens it in an emergency alone.'), break_glass_offered: true }, yes('own-ward-patient'), { ...no('very-restricted', 'This is very confidential: your role opens it in an emergency alone.'), break_glass_offered: true }] : [yes('own-ward-patient'), yes('own-ward-patient'), yes('own-ward-patient')]), ...CARES, SEALED] },
    { act: 'read-chart', act_text: 'Read the chart', about_text: 'patient of another ward', cells: [HELPS, HELPS, HELPS, ...CARES, SEALED] },
    { act: 'read-chart', act_text: 'Read the chart', about_text: 'patient of another ward, glass broken', cells: [GLASS, GLASS, GLASS, ...CARES, SEALED] },
    { act: 'read-audit', act_text: 'Read the audit log', about_text: '', cells: [NO_ACT, NO_ACT, NO_ACT, yes('privacy-officer'), NO_ACT, NO_ACT, SEALED] },
    { act: 'manage-users', act_text: 'Manage accounts', about_text: '', cells: [NO_ACT, NO_ACT, NO_ACT, NO_ACT, yes('clinical-it'), NO_ACT, SEALED] },
  ],
});

export const why = (): ConsoleWhy => ({
  now_ms: NOW,
  user: 'lee',
  user_name: 'Dr LEE',
  role: 'Physician',
  wards: ['ED'],
  in_use: true,
  patient: 'p-1002',
  ward: 'Ward 3 (Surgery and Orthopaedics)',
  level: 'R',
  codes: ['PSY'],
  glass: { at_ms: NOW - HOUR, until_ms: NOW + 3 * HOUR, device: 'ED-07' },
  acts: [
    { act: 'read-card', act_text: 'Read the emergency card', sees: 'V', ...GLASS },
    { act: 'read-chart', act_text: 'Read the chart', sees: 'V', ...GLASS },
    { act: 'write-clinical', act_text: 'Record and change', sees: null, ...no('grant-is-read-only', 'Emergency access is for reading; ask the patient’s team to write.') },
    { act: 'break-glass', act_text: 'Break the glass', sees: null, ...yes('clinician-breaks-glass') },
    { act: 'hold-record', act_text: 'Hold a record', sees: null, ...NO_ACT },
  ],
});

const count = (of: Partial<ConsoleFeedCount>): ConsoleFeedCount => ({ messages: 0, applied: 0, known: 0, held: 0, dropped: 0, received: 0, held_why: null, held_for_that: 0, ...of });

export const feeds = (): ConsoleFeed[] => [
  { feed: 'adt', configured: true, today: count({ messages: 211, applied: 180, known: 31 }), week: count({ messages: 9_418, applied: 8_022, known: 1_390, held: 1, dropped: 5, held_why: 'Duplicate key identifier', held_for_that: 1 }) },
  { feed: 'lab', configured: true, today: count({ messages: 84, applied: 79, held: 4, received: 1, held_why: 'Unknown key identifier', held_for_that: 3 }), week: count({ messages: 1_203, applied: 1_190, known: 3, held: 7, dropped: 2, received: 1, held_why: 'Unknown key identifier', held_for_that: 5 }) },
  { feed: 'old-radiology', configured: false, today: count({}), week: count({ messages: 2, held: 2, held_why: 'Unsupported message type', held_for_that: 2 }) },
];

const message = (id: number, of: Partial<ConsoleMessage>): ConsoleMessage => ({
  id, at_ms: NOW - (1000 - id) * 7 * MIN, feed: 'lab', sender: 'LAB|NORTH', kind: 'ORU^R01', control: `LAB-${20_600_000 + id}`, times: 1, bytes: 612, state: 'held', code: 204, code_text: 'Unknown key identifier', place: 'PID^1^3',
  reason: 'no patient here has one of these identifiers: their registration (ADT) has to come first', wrote: 0, of: null, by: null, settled_ms: NOW - (1000 - id) * 7 * MIN + 40, ...of,
});
const fine = { code: null, code_text: null, place: null, reason: null } as const;

/** The newest first. */
export const messages = (): ConsoleMessage[] => [
  message(999, { state: 'received', ...fine, settled_ms: null }),
  message(998, { times: 14 }),
  message(997, { code: 101, code_text: 'Required field missing', place: 'OBR^2^4', reason: 'the test that was ordered is not named' }),
  message(996, { feed: 'adt', sender: 'ADT|NORTH', kind: 'ADT^A01', control: 'ADT000000000000000000000000000000077121', code: 205, code_text: 'Duplicate key identifier', reason: 'its identifiers belong to more than one patient here: they have to be told apart or joined first' }),
  message(995, { state: 'applied', wrote: 5, ...fine, of: 990, by: 'integ' }),
  message(994, { feed: 'adt', sender: 'ADT|NORTH', kind: 'ADT^A08', control: 'ADT77102', state: 'known', ...fine }),
  message(990, { state: 'dropped', reason: 'corrected by message 995: letter O for zero', by: 'integ' }),
  message(989, { feed: 'old-radiology', sender: '|', kind: 'SIU^S12', control: '', bytes: 48_211, code: 200, code_text: 'Unsupported message type', place: 'MSH^1^9', reason: 'messages of this type are not taken' }),
  ...Array.from({ length: 55 }, (_, n) => message(900 - n, { state: 'applied', wrote: 3, ...fine })),
];

const line = (before: string, marked: string | null = null, after = '') => ({ before, marked, after });
const observation = { resourceType: 'Observation', status: 'final', code: { coding: [{ code: '2823-3', display: 'Potassium' }] }, valueQuantity: { value: 4.3, unit: 'mmol/L' } };

/** What message 998 says, and what is made of it. */
export const shownMessage = (of: ConsoleMessage): ConsoleMessageShown => ({
  now_ms: NOW,
  message: of,
  patient: of.state === 'applied' ? 'p-jones' : null,
  notes: of.state === 'applied' ? ['ZBE^1: this segment is not read'] : [],
  lines: [
    line(`MSH|^~\\&|LAB|NORTH|VITRINE|NORTH|20261129041500||${of.kind}|${of.control}|P|2.5.1||||||UNICODE UTF-8`),
    of.state === 'held' ? line('PID|1||', '7O031^^^MRN^MR', '||JONES^Mary^^^Ms||19580204|F') : line('PID|1||70031^^^MRN^MR||JONES^Mary^^^Ms||19580204|F'),
    line('ORC|RE|P70031|F70031'),
    line('OBR|1|P70031|F70031|K^Potassium panel^L|||20261129033000|||||||||||||||20261129041500||CH|F'),
    line('OBX|1|NM|2823-3^Potassium^LN||4.3|mmol/L^^UCUM|3.5-5.1|||||F|||20261129033000'),
    line('OBX|2|ED|18842-5^Discharge summary^LN||LAB^application^pdf^Base64^JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0ZURlY29kZT4+CnN0cmVhbQp4nDPQM1Qo5ypUMABCM0MLBUMLhRQu||||||F'),
  ],
  exact: true,
  unshown: null,
  made: [
    { from: 'PID^1', kind: 'Patient', json: JSON.stringify({ resourceType: 'Patient', identifier: [{ value: '7O031' }], name: [{ family: 'Jones', given: ['Mary'] }] }, null, 2) },
    { from: 'OBR^1', kind: 'DiagnosticReport', json: JSON.stringify({ resourceType: 'DiagnosticReport', status: 'final' }, null, 2) },
    { from: 'OBX^1', kind: 'Observation', json: JSON.stringify(observation, null, 2) },
  ],
  not_understood: ['OBX^2^5: an encapsulated document in an Observation is not read'],
  fault: null,
});
