/** Starts the console: the theme, the way to the server, the page. Called by `console.html`. */
import { mount } from 'svelte';
import { LANGUAGE } from '../i18n/language';
import '../styles/tokens.css';
import '../styles/base.css';
import Page from './Console.svelte';
import './page.css';
import { placeOf } from './pages';
import { Console } from './state.svelte';

document.documentElement.lang = LANGUAGE === 'de' ? 'de' : 'en';
const target = document.getElementById('app');
if (target !== null) {
  if (__FAKE__) {
    const { stage } = await import('./fake/stage');
    await stage(target);
  } else {
    const app = new Console();
    const { page, review } = placeOf(location.hash);
    app.page = page;
    // A link puts the cursor on a review; to open it is for a person to do, since opening is recorded.
    app.pointed = review;
    mount(Page, { target, props: { app } });
    await app.start();
  }
}
