import { svelte } from '@sveltejs/vite-plugin-svelte';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// `--mode fake` builds the same screens over the fake twin of the engine, for a plain browser: screenshots,
// accessibility runs, design work. The shipped build has no trace of it (see src/ipc/index.ts). `--mode console` builds the
// page that the server serves under `/console/` from the same sources, and nothing of the workstation; `--mode console-fake`
// that page over a fake server. The server serves a folder, so the page is its index.
const isConsole = (mode: string) => mode === 'console' || mode === 'console-fake';
const asIndex = (folder: string) => ({
  name: 'console-is-the-index',
  closeBundle: () => rename(join(folder, 'console.html'), join(folder, 'index.html')),
});

export default defineConfig(({ mode, command }) => ({
  plugins: [svelte({ compilerOptions: { runes: true } }), ...(isConsole(mode) && command === 'build' ? [asIndex(`dist-${mode}`)] : [])],
  clearScreen: false,
  base: './',
  define: { __FAKE__: JSON.stringify(mode.endsWith('fake')) },
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  build: {
    target: 'safari16',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
    reportCompressedSize: false,
    ...(isConsole(mode) ? { outDir: `dist-${mode}`, rollupOptions: { input: 'console.html' } } : {}),
  },
  // Component tests run the client build of Svelte.
  resolve: process.env.VITEST ? { conditions: ['browser'] } : undefined,
  test: { environment: 'happy-dom', include: ['tests/**/*.test.ts'], css: true },
}));
