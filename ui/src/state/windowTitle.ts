/**
 * The name of the window. It never says who is on the screen, because it shows in the task switcher (S18); on a workstation
 * for training it says that, and nothing more. It is the same in every language.
 * The only place that sets it. Called by `App.svelte`.
 */
import { WORDS } from '../i18n/words';

export function nameWindow(training: boolean): void {
  document.title = training ? `TRAINING — ${WORDS.product}` : WORDS.product;
}
