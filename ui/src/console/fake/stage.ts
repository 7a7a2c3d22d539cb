/**
 * Puts one state of the console on the page: `?screen=audit-open&theme=night`. For scripts/console.mjs, which also changes every
 * text of the fake server. Only in a `--mode console-fake` build. Called by `main.ts`.
 */
import { flushSync, mount, unmount } from 'svelte';
import Page from '../Console.svelte';
import { placeOf } from '../pages';
import { Console } from '../state.svelte';
import { choose, type Theme } from '../theme';
import { SCENARIOS } from './scenarios';
import { carryTo, world, type World } from './server';

declare global {
  interface Window {
    vitrineConsole?: { screens: string[]; set: (id: string, theme: Theme, text?: World['text']) => Promise<void>; world: World };
    vitrineReady?: boolean;
  }
}

let mounted: Record<string, unknown> | null = null;

async function set(target: HTMLElement, id: string, theme: Theme, text?: World['text']): Promise<void> {
  const scenario = SCENARIOS.find((each) => each.id === id) ?? { id: 'reviews' };
  window.vitrineReady = false;
  if (mounted !== null) await unmount(mounted);
  history.replaceState(null, '', '#');
  choose(theme);
  const known = world();
  if (text !== undefined) known.text = text;
  scenario.set?.(known);
  const app = new Console(carryTo(known));
  app.page = scenario.page ?? placeOf('').page;
  mounted = mount(Page, { target, props: { app } });
  const started = app.start();
  if (scenario.waits !== true || scenario.drive !== undefined) await started;
  await new Promise((done) => setTimeout(done, 0));
  flushSync();
  await scenario.drive?.(app, known);
  flushSync();
  await new Promise((done) => setTimeout(done, 0));
  if (window.vitrineConsole !== undefined) window.vitrineConsole.world = known;
  window.vitrineReady = true;
}

export async function stage(target: HTMLElement): Promise<void> {
  const asked = new URLSearchParams(location.search);
  window.vitrineConsole = { screens: SCENARIOS.map(({ id }) => id), set: (id, theme, text) => set(target, id, theme, text), world: world() };
  await set(target, asked.get('screen') ?? 'reviews', asked.get('theme') === 'night' ? 'night' : 'light');
}
