/**
 * The order and the filters of what is listed, as pure functions. Never here: markup, a clock. Called by `views/`.
 */
import type { ConsoleDevice } from '../wire/ConsoleDevice';
import type { ConsolePerson } from '../wire/ConsolePerson';
import type { ConsoleReview } from '../wire/ConsoleReview';

/** Whether it is overdue by now: also where it became so since it was read. */
export const overdueBy = (review: ConsoleReview, now_ms: number): boolean => review.closed_ms === null && (review.overdue || now_ms > review.due_ms);

/**
 * What was opened under a declared name first, for nobody has vouched for it; then what is overdue, then by the time a decision is due;
 * what is decided comes last, the newest first.
 */
export function inOrder(reviews: readonly ConsoleReview[], now_ms: number): ConsoleReview[] {
  const rank = (each: ConsoleReview) => (each.closed_ms !== null ? 3 : each.declared ? 0 : overdueBy(each, now_ms) ? 1 : 2);
  return [...reviews].sort((a, b) => rank(a) - rank(b) || (a.closed_ms !== null && b.closed_ms !== null ? b.closed_ms - a.closed_ms : a.due_ms - b.due_ms) || (a.id < b.id ? -1 : 1));
}

/** Every word of the filter stands somewhere in the texts, in letters of any case. */
export function matches(filter: string, texts: readonly (string | null)[]): boolean {
  const all = texts.join('\n').toLowerCase();
  return filter.toLowerCase().split(/\s+/u).every((word) => all.includes(word));
}

export const textsOfReview = (each: ConsoleReview) => [each.user, each.user_name, each.reason, each.words, each.device, each.state_text];
export const textsOfDevice = (each: ConsoleDevice) => [each.name, each.ward, each.state, each.version, each.report, each.id];
export const textsOfPerson = (each: ConsolePerson) => [each.user, each.name, each.role, ...each.wards];
