/**
 * The safety rules of the screen as pure functions (screens.md A6), so that no component decides them again.
 *
 * Lives here: S1 (no empty list from incomplete data), S2 and S3 (states of allergies), S7 and S8 (no banner or
 * another patient's section: nothing is shown). Never here: markup, calls to the engine.
 * Called by the views and `shared/Section.svelte`; tests/safety.test.ts holds each rule.
 */
import { say } from '../i18n/language';
import { AGE_MEANING, AGE_WORDS, WORDS, capital } from '../i18n/words';
import type { AllergyStripView } from '../wire/AllergyStripView';
import type { AllergyView } from '../wire/AllergyView';
import type { BannerView } from '../wire/BannerView';
import type { BlockView } from '../wire/BlockView';
import type { ChartView } from '../wire/ChartView';
import type { DataAge } from '../wire/DataAge';
import type { EmergencyCardView } from '../wire/EmergencyCardView';
import type { RefutedView } from '../wire/RefutedView';
import type { SectionAge } from '../wire/SectionAge';
import type { StatusView } from '../wire/StatusView';

/** What a section shows: rows, or one sentence that says why there are none. */
export type BlockShown<T> =
  | { kind: 'rows'; rows: T[]; warning: string | null }
  | { kind: 'empty'; text: string }
  | { kind: 'unknown'; text: string };

/** S1, S30: an empty list is shown only where everything was loaded and nothing is recorded. */
export function showBlock<T>(block: BlockView<T>, age: SectionAge, what: string): BlockShown<T> {
  if (age.age === 'not-on-this-workstation') return { kind: 'unknown', text: WORDS.notHere(what) };
  if (block.state === 'unavailable' || age.age === 'unavailable') {
    return { kind: 'unknown', text: sentence(block.empty_text, WORDS.broken(what)) };
  }
  const complete = age.complete && age.age !== 'partial';
  if (block.items.length > 0) {
    return { kind: 'rows', rows: block.items, warning: complete ? null : WORDS.partialRows };
  }
  if (block.state === 'recorded') return { kind: 'unknown', text: WORDS.broken(what) };
  if (!complete) return { kind: 'unknown', text: WORDS.partialEmpty(what) };
  return { kind: 'empty', text: sentence(block.empty_text, WORDS.noneRecorded(what)) };
}

function sentence(given: string, otherwise: string): string {
  return given.trim() === '' ? otherwise : given;
}

/** The states of the allergy strip: the four of the record, and "partial" where it is not fully loaded. */
export type AllergyState = 'known' | 'none-known' | 'not-recorded' | 'unavailable' | 'partial';

/** What the strip shows. */
export interface AllergyShown {
  state: AllergyState;
  label: string;
  items: AllergyView[];
  /** What was looked into and is none: apart from the allergies, and no state of its own. */
  refuted: RefutedView[];
  /** Statements of absence with author and time, conflicts, "there may be more". */
  remarks: string[];
}

/** S2, S3: exactly one state; absence is claimed only from complete data and always with who and when. */
export function showAllergies(strip: AllergyStripView, age: SectionAge): AllergyShown {
  const complete = age.complete && age.age !== 'partial';
  const unreadable = age.age === 'unavailable' || age.age === 'not-on-this-workstation';
  const conflict = strip.conflict_text === null ? [] : [strip.conflict_text];
  // Nobody has decided that it is none: where a dispute is open, absence is no answer.
  const wanting = strip.items.length === 0 && (strip.state === 'known' || strip.disputes.length > 0);
  if (unreadable || strip.state === 'unavailable' || wanting) {
    return {
      state: 'unavailable',
      label: strip.state === 'unavailable' ? strip.label : say('ALLERGIES UNAVAILABLE — treat as unknown', 'ALLERGIEN NICHT VERFÜGBAR — als unbekannt behandeln'),
      items: strip.items,
      refuted: [],
      remarks: conflict,
    };
  }
  if (strip.items.length > 0) {
    const more = complete ? [] : [say('Not fully loaded: there may be more allergies', 'Nicht vollständig geladen: Es kann weitere Allergien geben')];
    // Never "no known allergies" above a list of them.
    const label = strip.state === 'known' ? strip.label : say('KNOWN ALLERGIES', 'BEKANNTE ALLERGIEN');
    return { state: 'known', label, items: strip.items, refuted: strip.refuted, remarks: [...more, ...conflict, ...strip.negatives] };
  }
  if (!complete) {
    return {
      state: 'partial',
      label: say('ALLERGIES NOT FULLY LOADED — treat as unknown', 'ALLERGIEN NICHT VOLLSTÄNDIG GELADEN — als unbekannt behandeln'),
      items: [],
      refuted: strip.refuted,
      remarks: [...conflict, ...strip.negatives],
    };
  }
  if (strip.state === 'none-known') {
    const said = strip.negatives.length > 0 ? strip.negatives : [say('who said so and when is not recorded', 'wer dies wann angegeben hat, ist nicht dokumentiert')];
    return { state: 'none-known', label: strip.label, items: [], refuted: strip.refuted, remarks: [...conflict, ...said] };
  }
  return { state: 'not-recorded', label: strip.label, items: [], refuted: strip.refuted, remarks: [...conflict, ...strip.negatives] };
}

/** S7, S8: true only when the banner names the patient that was asked for and every part carries the same id. */
export function samePatient(asked: string, banner: BannerView, parts: { patient: string }[]): boolean {
  if (asked === '' || banner.patient !== asked || banner.name.trim() === '') return false;
  return parts.every((part) => part.patient === asked);
}

/** Whether this chart may be shown for the patient that was asked for. */
export function chartIsOf(asked: string, chart: ChartView): boolean {
  return samePatient(asked, chart.banner, [
    chart.allergies,
    chart.critical,
    chart.medications,
    chart.past_medications,
    chart.conditions,
    chart.code_status,
    chart.vitals,
    chart.news2,
    chart.flowsheet.series,
    chart.labs,
    chart.notes,
    chart.encounters,
    ...chart.entries,
  ]);
}

/** Whether this emergency card may be shown for the patient that was asked for. */
export function cardIsOf(asked: string, card: EmergencyCardView): boolean {
  return samePatient(asked, card.banner, [
    card.allergies,
    card.medications,
    card.conditions,
    card.code_status,
    card.devices,
    card.vitals,
    card.news2,
    card.labs,
    card.blood_group,
    card.isolation,
    card.flags,
    card.contacts,
    ...card.entries,
  ]);
}

/** S15: the words of the strip for every state, also when the engine gives none. */
export function stripWords(status: StatusView, silent: boolean): { age: DataAge; lead: string; sentence: string } {
  if (silent) return { age: 'unavailable', lead: AGE_WORDS.unavailable, sentence: WORDS.engineSilent };
  const lead = AGE_WORDS[status.age];
  const said = status.sentence.trim();
  if (said === '') return { age: status.age, lead, sentence: AGE_MEANING[status.age] };
  // The engine's sentence may open with the same word, even twice ("LIVE — live 04:31:07."): it is said once.
  let rest = said;
  while (rest.toUpperCase().startsWith(lead)) rest = rest.slice(lead.length).replace(/^[\s—–:,.·-]+/u, '');
  return { age: status.age, lead, sentence: rest === '' ? AGE_MEANING[status.age] : capital(rest) };
}

/** A row that lies outside what can be seen. */
export interface HiddenRow {
  name: string;
  /** A high-risk medicine: named first, and always. */
  risk: boolean;
}

/** S5: counts what cannot be seen and names it, high-risk first; never fewer than all of those. */
export function hiddenText(
  rows: HiddenRow[],
  where: 'above' | 'below',
  most = Infinity,
  what: [one: string, more: string] | null = null,
): { count: string; risk: string[]; rest: string[] } | null {
  if (rows.length === 0) return null;
  const counted = what === null ? `${rows.length}` : `${rows.length} ${rows.length === 1 ? what[0] : what[1]}`;
  const risk = rows.filter((row) => row.risk).map(({ name }) => name);
  const others = rows.filter((row) => !row.risk).map(({ name }) => name);
  const named = others.slice(0, Math.max(0, most - risk.length));
  const left = others.length - named.length;
  // The only one left is named: "+1" would take as much room. Where nothing is named, the count has said it all.
  if (left === 1) named.push(...others.slice(named.length));
  const rest = [...named, ...(left > 1 && risk.length + named.length > 0 ? [`+${left}`] : [])];
  return { count: say(`${counted} ${where}`, `${counted} ${where === 'above' ? 'oberhalb' : 'unterhalb'}`), risk, rest };
}
