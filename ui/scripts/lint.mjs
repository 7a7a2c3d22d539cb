/**
 * The ban list of the screen, each with its reason. Reads every source file under src/; ends with 1 on a finding.
 * `src/wire/` is generated and left out.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../src/', import.meta.url));
const BANS = [
  [/\{@html/, 'text from outside is set as text only (S28)'],
  [/\.(inner|outer)HTML|insertAdjacentHTML|document\.write/, 'text from outside is set as text only (S28)'],
  [/toLocale\w*String|\bIntl\b|toDateString|toTimeString|toISOString/, 'dates and numbers arrive as ready text from the engine'],
  [/\bnew Date\b|Date\.now|Date\.parse/, 'the wall clock belongs to the engine', (file) => file === 'state/elapsed.ts'],
  [/\.toFixed\(|\.toPrecision\(/, 'values are shown as recorded'],
  [/\binvoke\b|__TAURI__/, 'only src/ipc/tauri.ts calls the engine', (file) => file === 'ipc/tauri.ts'],
  [/@tauri-apps/, 'only src/ipc/tauri.ts knows Tauri', (file) => file === 'ipc/tauri.ts'],
  [/\bfetch\(/, 'only src/ipc/tauri.ts fetches: pixels, by the image protocol of the engine', (file) => file === 'ipc/tauri.ts'],
  [/XMLHttpRequest|WebSocket|EventSource|sendBeacon/, 'the screen never touches a network'],
  [/localStorage|sessionStorage|indexedDB|document\.cookie|caches\./, 'nothing is kept in the web view'],
  [/https?:\/\//, 'no remote content'],
  [/document\.title/, 'the title shows in the task switcher (S18): only state/windowTitle.ts sets it', (file) => file === 'state/windowTitle.ts'],
  [/\balert\(|\bconfirm\(|\bprompt\(/, 'no native dialogs'],
  [/\bconsole\./, 'nothing is logged: it could carry a patient'],
  [/\beval\(|new Function/, 'no code from text'],
  [/@keyframes|animation:|transition:/, 'nothing moves or flashes (GTAB-132)'],
  [/text-overflow|line-clamp/, 'nothing is cut short (S4)'],
  [/\sstyle="/, 'an inline style attribute is refused by the Content-Security-Policy'],
  [/ipc\/(fake|fixtures)/, 'the fake twin is opened by ipc/index.ts and main.ts alone', (file) => file === 'main.ts'],
];

async function* files(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (relative(root, path) !== 'wire') yield* files(path);
    } else if (/\.(ts|svelte|css)$/.test(entry.name)) yield path;
  }
}

let found = 0;
for await (const path of files(root)) {
  const file = relative(root, path);
  const text = await readFile(path, 'utf8');
  text.split('\n').forEach((line, i) => {
    for (const [pattern, reason, allowed] of BANS) {
      if (pattern.test(line) && !allowed?.(file)) {
        found++;
        console.error(`src/${file}:${i + 1}: ${line.trim()}\n    ${reason}`);
      }
    }
  });
  const opening = text.trimStart();
  if (!/^(\/\*|<!--|\/\*\*)/.test(opening)) {
    found++;
    console.error(`src/${file}: opens without saying what lives here`);
  }
}
process.exitCode = found > 0 ? 1 : 0;
if (found === 0) console.log('lint: nothing banned');
