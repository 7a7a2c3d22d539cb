/** Starts the screen: opens the way to the engine, mounts the app. */
import { mount } from 'svelte';
import AppFrame from './App.svelte';
import { LANGUAGE } from './i18n/language';
import { openBackend } from './ipc';
import { App } from './state/app.svelte';
import { rehearse } from './state/rehearse';
import { listenForScans } from './state/scanner';
import { listenForPresses } from './state/standby';
import './styles/tokens.css';
import './styles/base.css';

/** Something secret is being typed. */
const inSecret = () => document.activeElement instanceof HTMLInputElement && document.activeElement.type === 'password';

document.documentElement.lang = LANGUAGE === 'de' ? 'de' : 'en';
const target = document.getElementById('app');
if (target !== null) {
  const app = new App(await openBackend());
  listenForPresses(app.standby);
  // Before the frame listens: a code is told from keys first.
  // On the lock screen it can only be a badge, in a session and for an emergency only a band. A secret is never held.
  const listening = () => app.scans.listening || (app.ways.listening && !inSecret());
  listenForScans(listening, (text, at) => void (app.scans.listening ? app.scans.take(text, at) : app.ways.scanned(text)));
  mount(AppFrame, { target, props: { app } });
  await app.start();
  rehearse(app);
  if (__FAKE__) {
    const { stage } = await import('./ipc/fixtures/stage');
    stage(app);
  }
}
