/** Chooses the engine the screen talks to. Called once, by `main.ts`. */
import type { Backend } from './backend';
import { plainly } from './plainly';

/** The engine behind the window; in a `--mode fake` build its synthetic twin. What it says can be shown as it is. */
export async function openBackend(): Promise<Backend> {
  if (__FAKE__) {
    const { fakeBackend } = await import('./fake');
    return plainly(fakeBackend());
  }
  const { tauriBackend } = await import('./tauri');
  return plainly(tauriBackend());
}
