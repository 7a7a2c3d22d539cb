/** Starts the screen: opens the way to the engine, mounts the app. */
import { mount } from 'svelte';
import AppFrame from './App.svelte';
import { LANGUAGE } from './i18n/language';
import { openBackend } from './ipc';
import { App } from './state/app.svelte';
import { rehearse } from './state/rehearse';
import { listenForScans } from './state/scanner';
import './styles/tokens.css';
import './styles/base.css';

document.documentElement.lang = LANGUAGE === 'de' ? 'de' : 'en';
const target = document.getElementById('app');
if (target !== null) {
  const app = new App(await openBackend());
  // Before the frame listens: a code is told from keys first.
  listenForScans(() => app.scans.listening, (text, at) => void app.scans.take(text, at));
  mount(AppFrame, { target, props: { app } });
  await app.start();
  rehearse(app);
  if (__FAKE__) {
    const { stage } = await import('./ipc/fixtures/stage');
    stage(app);
  }
}
