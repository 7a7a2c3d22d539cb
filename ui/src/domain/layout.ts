/** What a person's screens begin with (wire/LayoutView.ts), and where the parts of the summary stand. */
import type { LayoutView } from '../wire/LayoutView';
import type { SummaryPart } from '../wire/SummaryPart';
import { WINDOWS, type Hours } from './courses';

/** Every part of the summary. */
export const SUMMARY = ['medicines', 'conditions', 'news2', 'vitals', 'labs', 'notes', 'encounters'] as const satisfies readonly SummaryPart[];

/** Where no rule says anything else. */
export const USUAL: LayoutView = { first: 'search', section: 'summary', summary: [...SUMMARY], hours: null };

/** Parts of the three columns: the first part has one for itself. What a rule does not name is never left out. */
export function columnsOf(named: readonly SummaryPart[]): [SummaryPart[], SummaryPart[], SummaryPart[]] {
  const all = [...new Set([...named.filter((part) => SUMMARY.includes(part)), ...SUMMARY])];
  return [all.slice(0, 1), all.slice(1, 5), all.slice(5)];
}

/** The window of the flowsheet to begin with. */
export const hoursOf = ({ hours }: LayoutView, usual: Hours): Hours => WINDOWS.find((each) => each === hours) ?? usual;
