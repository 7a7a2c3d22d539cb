/**
 * What to say of medicines that are not simply given: on hold, or ended a short while ago.
 *
 * The wire says of each medicine whether it is suspended, and gives the past ones last ended first; it gives no dates to
 * count with. So the last ended are named with the engine's own words, and no period is claimed.
 * Called by `views/chart/Medicines.svelte`.
 */
import type { MedicationView } from '../wire/MedicationView';

/** Those to name under the current medicines. */
export interface Ended {
  named: MedicationView[];
  /** How many more there are. */
  more: number;
}

const NAMED = 3;

/** The last ended, and beyond them every one of high risk: an anticoagulant of last month is never only a number. */
export function lastEnded(past: MedicationView[]): Ended {
  const named = past.filter((medicine, i) => i < NAMED || medicine.high_risk_text !== null);
  return { named, more: past.length - named.length };
}

export const onHold = (current: MedicationView[]): MedicationView[] => current.filter(({ suspended }) => suspended);
