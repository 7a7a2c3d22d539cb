/**
 * The ward board as pure functions: what a filter shows and hides, what matters among rows that cannot be seen, what
 * changed in a row, and a name as initials.
 *
 * Lives here: S5 (hidden rows are counted and named) and S6 (a filter says "n of N") for the board. Never here: markup,
 * state. Called by `state/board.svelte.ts` and the board's views; tests/board.test.ts holds each rule.
 */
import { say } from '../i18n/language';
import type { PatientRowView } from '../wire/PatientRowView';
import { NO_NAME } from './plain';
import { MRN } from './who';

/** The acuities a filter may ask for. */
export const ACUITIES = ['1', '2', '3', '4', '5'] as const;

/** Beds named before the rest is only counted: a line of a hundred beds is read by nobody. */
const NAMED = 6;

/** A bed without anybody: nobody is counted there. */
export function isEmptyBed(row: PatientRowView): boolean {
  return row.born_text === '' && row.number_text === '';
}

/** The rows that a filter shows; without one, all. */
export function filtered(rows: PatientRowView[], acuities: readonly string[]): PatientRowView[] {
  return acuities.length === 0 ? rows : rows.filter((row) => row.acuity !== null && acuities.includes(row.acuity));
}

const patients = (rows: PatientRowView[]) => rows.filter((row) => !isEmptyBed(row)).length;
const people = (count: number) => (count === 1 ? say('1 patient', '1 Patient') : say(`${count} patients`, `${count} Patienten`));

/** "Acuity 1, 2". */
export function filterName(acuities: readonly string[]): string {
  return say(`Acuity ${acuities.join(', ')}`, `Dringlichkeit ${acuities.join(', ')}`);
}

/** S6: "Acuity 1, 2: 7 of 38 patients"; said also when there is none, so that its end is heard. */
export function filterText(all: PatientRowView[], acuities: readonly string[]): string {
  if (acuities.length === 0) return say('No filter', 'Kein Filter');
  const [shown, every] = [patients(filtered(all, acuities)), patients(all)];
  return `${filterName(acuities)}: ${say(`${shown} of ${people(every)}`, `${shown} von ${every} Patienten`)}`;
}

/** Why a filter shows nobody. Never from incomplete data that there is nobody (S1). */
export function emptyText(all: PatientRowView[], acuities: readonly string[], complete: boolean): string {
  const every = patients(all);
  const none = say(`none of the ${people(every)} on this board.`, `0 von ${every} Patienten dieser Übersicht.`);
  const more = complete ? '' : ` ${say('The census is incomplete: there may be more.', 'Die Belegung ist unvollständig: Es kann weitere geben.')}`;
  return `${filterName(acuities)}: ${none}${more}`;
}

/** A part of a sentence. The names of beds come from outside: on the page each stands by itself. */
export interface Part {
  words: string;
  beds: string[];
  after: string;
}

const plain = (words: string): Part => ({ words, beds: [], after: '' });

/** S5: how many the filter hides, and who of them matters. */
export function hiddenByFilter(all: PatientRowView[], acuities: readonly string[]): Part[] | null {
  const shown = new Set(filtered(all, acuities));
  const hidden = all.filter((row) => !shown.has(row) && !isEmptyBed(row));
  if (hidden.length === 0) return null;
  const unknown = hidden.filter((row) => row.acuity === null).length;
  const acuity = unknown > 0 ? [plain(say(`${unknown} without an acuity`, `${unknown} ohne Dringlichkeit`))] : [];
  return [plain(say(`Hidden by the filter: ${people(hidden.length)}`, `Durch den Filter verborgen: ${people(hidden.length)}`)), ...whoMatters(hidden), ...acuity];
}

/** S5: rows beyond the edge, counted, and who of them matters. */
export function outOfView(rows: PatientRowView[], where: 'above' | 'below'): Part[] | null {
  if (rows.length === 0) return null;
  const count = rows.length;
  const words = say(`${count} more ${count === 1 ? 'row' : 'rows'} ${where}`, `${count} weitere ${count === 1 ? 'Zeile' : 'Zeilen'} ${where === 'above' ? 'oberhalb' : 'unterhalb'}`);
  return [plain(words), ...whoMatters(rows)];
}

function whoMatters(rows: PatientRowView[]): Part[] {
  const waiting = rows.filter((row) => row.critical_text !== null);
  const urgent = rows.filter((row) => row.acuity === '1' || row.acuity === '2');
  const high = rows.filter((row) => row.news2?.level === 'high');
  return [
    ...(waiting.length > 0 ? [withBeds(say('with a critical result', 'mit kritischem Befund'), waiting)] : []),
    ...(urgent.length > 0 ? [withBeds(say('with acuity 1 or 2', 'mit Dringlichkeit 1 oder 2'), urgent)] : []),
    ...(high.length > 0 ? [withBeds(say('with high NEWS2', 'mit hohem NEWS2'), high)] : []),
  ];
}

function withBeds(what: string, rows: PatientRowView[]): Part {
  const beds = rows.slice(0, NAMED).map((row) => (row.bed === '' ? say('not recorded', 'nicht dokumentiert') : row.bed));
  const rest = rows.length - beds.length;
  const bed = rows.length === 1 ? say('bed', 'Bett') : say('beds', 'Betten');
  return { words: `${rows.length} ${what}: ${bed}`, beds, after: rest > 0 ? ` ${say(`and ${rest} more`, `und ${rest} weitere`)}` : '' };
}

const SEEN: [string, (row: PatientRowView) => unknown][] = [
  [say('name', 'Name'), (row) => row.name],
  [say('born', 'Geburtsdatum'), (row) => row.born_text],
  [say('gender', 'Geschlecht'), (row) => row.gender_text],
  [MRN, (row) => row.number_text],
  [say('place', 'Ort'), (row) => [row.bed, row.place_text]],
  [say('acuity', 'Dringlichkeit'), (row) => row.acuity],
  // The score and its words; the times beside it move with every reading.
  ['NEWS2', ({ news2 }) => news2 && [news2.score_text, news2.level, news2.level_text, news2.lacking_text, news2.not_for_text]],
  [say('reason', 'Grund'), (row) => row.reason_text],
  [say('allergies', 'Allergien'), (row) => row.allergy_text],
  [say('flags', 'Hinweise'), (row) => row.flags],
  [say('critical results', 'kritische Befunde'), (row) => row.critical_text],
  [say('similar name', 'ähnlicher Name'), (row) => row.similar_name],
  [say('access', 'Zugriff'), (row) => row.restricted],
  [say('died', 'verstorben'), (row) => row.deceased_text],
];

/** What differs between two states of a row, by its labels. The stay is left out: it grows by itself. */
export function changesOf(before: PatientRowView, now: PatientRowView): string[] {
  return SEEN.filter(([, of]) => JSON.stringify(of(before)) !== JSON.stringify(of(now))).map(([label]) => label);
}

/** What the engine puts where there is no name, in whichever language it speaks: not a name to shorten. */
const NO_NAMES = ['Name not recorded', 'Not recorded', 'Unknown', 'Name nicht dokumentiert', 'Nicht dokumentiert', 'Unbekannt'];
const isNoName = (name: string) => NO_NAMES.includes(name) || name === NO_NAME;

/** "JONES, Mary (Ms)" as "M J": the given name first, no title. */
export function initialsOf(name: string): string {
  if (isNoName(name)) return name;
  const [family = '', ...given] = name.replace(/\([^)]*\)/gu, ' ').normalize('NFC').split(',');
  const first = (part: string) => /\p{L}/u.exec(part)?.[0] ?? '';
  // A name without a comma has no family name that could be told apart: each of its words counts.
  const parts = given.length > 0 ? [given.join(' '), family] : family.split(/\s+/u);
  const initials = parts.map(first).filter((letter) => letter !== '');
  return initials.length > 0 ? initials.join(' ').toUpperCase() : say('no name', 'kein Name');
}
