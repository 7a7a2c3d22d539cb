/** Chooses the engine the screen talks to. Called once, by `main.ts`. */
import type { Backend } from './backend';

/** The engine behind the window; in a `--mode fake` build its synthetic twin. */
export async function openBackend(): Promise<Backend> {
  if (__FAKE__) {
    const { fakeBackend } = await import('./fake');
    return fakeBackend();
  }
  const { tauriBackend } = await import('./tauri');
  return tauriBackend();
}
