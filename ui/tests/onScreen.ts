/** A screen of the fake twin, put on the page for a test and taken off it again. */
import { flushSync, mount, unmount } from 'svelte';
import AppFrame from '../src/App.svelte';
import { fakeOf } from '../src/ipc/fake';
import { SCENARIOS } from '../src/ipc/fixtures/scenarios';
import { calm, type World } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';

/** There is no layout: a table asks for the width of the window to know how many columns are near its view. */
export const NARROW = 1024;
export const WIDE = 1920;

let mounted: Record<string, unknown> | null = null;

export async function screen(id: string, change?: (world: World) => void): Promise<App> {
  const scenario = SCENARIOS.find((each) => each.id === id);
  if (scenario === undefined) throw new Error(`no screen ${id}`);
  const world = calm();
  scenario.set?.(world);
  change?.(world);
  const fake = fakeOf(world);
  // There is no canvas here: pixels would be made for nobody.
  fake.imagePixels = () => new Promise(() => {});
  const app = new App(fake);
  mounted = mount(AppFrame, { target: document.body, props: { app } });
  await app.start();
  await scenario.drive?.(app);
  await new Promise((done) => setTimeout(done, 0));
  flushSync();
  return app;
}

export async function leave(): Promise<void> {
  if (mounted !== null) await unmount(mounted);
  mounted = null;
  window.innerWidth = NARROW;
  document.body.innerHTML = '';
}

/** The parts of the page with this test id; what is rehearsed out of sight is none. */
export const all = (testid: string): HTMLElement[] => [...document.querySelectorAll<HTMLElement>(`[data-testid="${testid}"]:not([data-rehearsal] *)`)];

/** The one part with this test id. */
export function one(testid: string): HTMLElement {
  const [found, ...more] = all(testid);
  if (found === undefined || more.length > 0) throw new Error(`${all(testid).length} of ${testid}`);
  return found;
}

/** What stands there, as one line. */
export const words = (element: Element | null | undefined): string => (element?.textContent ?? '').replace(/\s+/gu, ' ').trim();

/** Whatever was waiting has run, and stands on the page. */
export async function settled(ms = 0): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
  flushSync();
}

/** A key goes down there. */
export async function press(target: EventTarget, key: string, held: KeyboardEventInit = {}): Promise<void> {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...held }));
  await settled();
}

/** Puts a text into a field. */
export async function type(testid: string, text: string): Promise<void> {
  const input = one(testid) as HTMLInputElement;
  input.value = text;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  await settled();
}
