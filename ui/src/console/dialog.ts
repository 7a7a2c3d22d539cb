/** Where the focus goes when a dialog opens, and back to when it closes. Called by the dialogs in `views/`. */
import { onDestroy, tick } from 'svelte';

/** Call it while the dialog is made: what has the focus now gets it back, if it is still on the page. */
export function returnFocus(): void {
  const before = document.activeElement;
  onDestroy(() => {
    void tick().then(() => {
      if (before instanceof HTMLElement && before.isConnected && (document.activeElement === document.body || document.activeElement === null)) before.focus();
    });
  });
}
