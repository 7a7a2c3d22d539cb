import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// `--mode fake` builds the same screens over the fake twin of the engine, for a plain browser: screenshots,
// accessibility runs, design work. The shipped build has no trace of it (see src/ipc/index.ts).
export default defineConfig(({ mode }) => ({
  plugins: [svelte({ compilerOptions: { runes: true } })],
  clearScreen: false,
  base: './',
  define: { __FAKE__: JSON.stringify(mode === 'fake') },
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  build: {
    target: 'safari16',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
    reportCompressedSize: false,
  },
  // Component tests run the client build of Svelte.
  resolve: process.env.VITEST ? { conditions: ['browser'] } : undefined,
  test: { environment: 'happy-dom', include: ['tests/**/*.test.ts'], css: true },
}));
