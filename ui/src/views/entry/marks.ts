/** What stands at a field of a form of entries: whether something is said of it, where, and whether that is a fault. */
import type { EntryDialog } from '../../state/entry.svelte';

export interface Marks {
  told: (field: string) => boolean;
  /** Id of what is said, for `aria-describedby`. */
  describedby: (field: string) => string | undefined;
  /** For `aria-invalid`. */
  invalid: (field: string) => 'true' | undefined;
}

export function marksOf(entry: EntryDialog, id: string): Marks {
  const told = (field: string) => entry.faultsOf(field).length + entry.warningsOf(field).length > 0;
  return {
    told,
    describedby: (field) => (told(field) ? `${id}-${field}-told` : undefined),
    invalid: (field) => (entry.faultsOf(field).length > 0 ? 'true' : undefined),
  };
}
