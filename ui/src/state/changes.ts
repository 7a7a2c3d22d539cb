/**
 * What a change of an allergy can be about: one of the record, or two changes of one that contradict each other.
 *
 * Lives here: which of them a strip has, and whether one is still as it was when its dialog opened. Never here: what is
 * typed about it (`entryFields.svelte.ts`), markup. Called by `recording.svelte.ts`, `palette.svelte.ts` and the views.
 */
import type { AllergyStripView } from '../wire/AllergyStripView';
import type { AllergyView } from '../wire/AllergyView';
import type { DisputeView } from '../wire/DisputeView';
import type { RefutedView } from '../wire/RefutedView';

/** An allergy of the record, or one that was refuted: it can stand again. */
export type Changeable = AllergyView | RefutedView;

/** What is changed or decided, as it stood when the dialog opened. */
export type ChangeTarget = { allergy: string; agent: string } & ({ item: Changeable; dispute: null } | { item: null; dispute: DisputeView });

/** The allergy as one to be changed; null where it cannot be changed here. */
export function changeOf(item: Changeable): ChangeTarget | null {
  return item.source === null ? null : { allergy: item.source, agent: item.agent, item, dispute: null };
}

export function decisionOf(dispute: DisputeView): ChangeTarget {
  return { allergy: dispute.allergy, agent: dispute.agent, item: null, dispute };
}

export const changesIn = (strip: AllergyStripView): ChangeTarget[] => [...strip.items, ...strip.refuted].map(changeOf).filter((each) => each !== null);
export const decisionsIn = (strip: AllergyStripView): ChangeTarget[] => strip.disputes.map(decisionOf);

/** What tells it from the others that are offered with it. */
export const codeOf = ({ allergy, dispute }: ChangeTarget): string => dispute?.dispute ?? allergy;

/** What both sides say, or what is recorded, is what it was. */
export function isAsItWas(target: ChangeTarget, strip: AllergyStripView): boolean {
  const now = target.dispute === null ? changesIn(strip) : decisionsIn(strip);
  return now.some((each) => JSON.stringify(each) === JSON.stringify(target));
}
