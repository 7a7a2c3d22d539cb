/**
 * Paints the emergency dialog and card once, behind the lock screen, so that the first real ones are not the first.
 *
 * Without it a machine without a graphics processor compiles its shaders, lays out its fonts and runs this code for the
 * first time in the emergency itself: measured there, two seconds instead of a sixth of one. Nothing of it is ever
 * seen, focused or read out; it holds no patient. Called by `main.ts` once the first screen has been painted.
 */
import { mount, unmount } from 'svelte';
import Rehearsal from '../views/Rehearsal.svelte';
import type { App } from './app.svelte';
import { afterPaint } from './paint';

/** A page behind that is not painted, because the window is hidden, is taken as it is. */
const UNPAINTED_MS = 5_000;

export function rehearse(app: App): void {
  let done = false;
  const rehearsed = () => {
    if (done) return;
    done = true;
    if (app.standby.behind) app.standby.painted();
    else app.mark('rehearsed', null);
  };
  if (app.standby.behind) setTimeout(rehearsed, UNPAINTED_MS);
  afterPaint(() => {
    const rehearsal = mount(Rehearsal, { target: document.body, props: { backend: app.backend } });
    afterPaint(() =>
      afterPaint(() => {
        void unmount(rehearsal);
        rehearsed();
      }),
    );
  });
}
