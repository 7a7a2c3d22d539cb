/**
 * The ban list of the screen, each with its reason; texts in one language alone; words of the engine that it does not say. Reads every source file under src/; ends with 1 on a finding.
 * `src/wire/` is generated and left out.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'svelte/compiler';
import { consoleFields, shapes } from './outside.mjs';

const root = fileURLToPath(new URL('../src/', import.meta.url));
/** Files that may wait for a time, and for what. None of them takes words away and leaves nothing in their place (S26). */
const TIMERS = new Map([
  ['App.svelte', 'the second in which the clock, the engine and the idle lock are looked at'],
  ['console/Console.svelte', 'the second in which spans of time and the end of a session are looked at'],
  ['console/Waiting.svelte', 'words instead of the shapes of what is loaded'],
  ['shared/Loading.svelte', 'words instead of the shapes of what is loaded'],
  ['shared/News2.svelte', 'a score whose input has become too old: that is said in its place'],
  ['shared/PatientTable.svelte', 'more rows after the first paint'],
  ['shared/TimeTable.svelte', 'columns near the view once it stands still'],
  ['state/app.svelte.ts', 'the lock waits for a draft, and no longer'],
  ['state/entryDraft.svelte.ts', 'what is typed is kept'],
  ['state/port.svelte.ts', 'the engine is told what is looked at'],
  ['state/rehearse.ts', 'a page behind in a window that is not shown is never painted'],
  ['state/scanner.ts', 'keys are told from a code'],
  ['state/standby.ts', 'a page makes room once nobody types'],
  ['state/wall.svelte.ts', 'a number without renewal becomes grey, with its time'],
  ['viewer/loader.ts', 'a picture is asked for again'],
  ['views/images/Picture.svelte', 'a picture is drawn finely once it rests'],
]);
const BANS = [
  [/\{@html/, 'text from outside is set as text only (S28)'],
  [/\.(inner|outer)HTML|insertAdjacentHTML|document\.write/, 'text from outside is set as text only (S28)'],
  [/toLocale\w*String|\bIntl\b|toDateString|toTimeString|toISOString/, 'dates and numbers arrive as ready text from the engine; in the console console/time.ts alone knows a zone', (file) => file === 'console/time.ts'],
  [/\bnew Date\b|Date\.now|Date\.parse/, 'the wall clock belongs to the engine', (file) => file === 'state/elapsed.ts' || file === 'console/time.ts'],
  [/\.toFixed\(|\.toPrecision\(/, 'values are shown as recorded'],
  [/\binvoke\b|__TAURI__/, 'only src/ipc/tauri.ts calls the engine', (file) => file === 'ipc/tauri.ts'],
  [/@tauri-apps/, 'only src/ipc/tauri.ts knows Tauri', (file) => file === 'ipc/tauri.ts'],
  [/\bfetch\(/, 'only src/ipc/tauri.ts fetches: pixels, by the image protocol of the engine; and console/api.ts, from its own server', (file) => file === 'ipc/tauri.ts' || file === 'console/api.ts'],
  [/XMLHttpRequest|WebSocket|EventSource|sendBeacon/, 'the screen never touches a network'],
  [/localStorage|sessionStorage|indexedDB|document\.cookie|caches\./, 'nothing is kept in the web view; the console keeps the one word of its colours', (file) => file === 'console/theme.ts'],
  [/https?:\/\//, 'no remote content'],
  [/document\.title/, 'the title shows in the task switcher (S18): only state/windowTitle.ts sets it', (file) => file === 'state/windowTitle.ts'],
  [/\balert\(|\bconfirm\(|\bprompt\(/, 'no native dialogs'],
  [/\bconsole\.(?!html\b|mjs\b)[a-z]/, 'nothing is logged: it could carry a patient'],
  [/\beval\(|new Function/, 'no code from text'],
  [/@keyframes|animation:|transition:/, 'nothing moves or flashes (GTAB-132)'],
  [/text-overflow|line-clamp/, 'nothing is cut short (S4)'],
  [/\bset(Timeout|Interval)\(/, 'what stands on the screen stays until a person closes it (S26): a file with a timer is named in TIMERS, with what it is for', (file) => TIMERS.has(file) || file.startsWith('ipc/fixtures/') || file.startsWith('console/fake/')],
  [/\sstyle="/, 'an inline style attribute is refused by the Content-Security-Policy'],
  [/ipc\/(fake|fixtures)/, 'the fake twin is opened by ipc/index.ts and main.ts alone', (file) => file === 'main.ts'],
  [/\/fake\/stage/, 'the fake server of the console is opened by console/main.ts alone', (file) => file === 'console/main.ts'],
  [/from '.*console\//, 'the workstation knows nothing of the console'],
];

async function* files(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (relative(root, path) !== 'wire') yield* files(path);
    } else if (/\.(ts|svelte|css)$/.test(entry.name)) yield path;
  }
}

/** Attributes that are read out or shown. */
const SPOKEN = new Set(['aria-label', 'title', 'placeholder', 'alt', 'aria-description', 'aria-roledescription', 'aria-valuetext']);
/** Texts that are alike in every language: the name of a program, a unit, a laboratory's flag. */
const ALIKE = new Set(['px', 'mm', 'mmHg', 'NEWS2', 'PIN', 'DICOM', 'HH', 'LL']);

/** Texts of a component's markup that stand there in English alone: `[line, text]` of each (ADR 31). */
function untranslated(source) {
  const texts = [];
  const look = (node, inKey) => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach((each) => look(each, inKey));
    if (node.type === 'Attribute') {
      const parts = Array.isArray(node.value) ? node.value : [];
      if (SPOKEN.has(node.name)) look(parts.filter((part) => part.type === 'Text'), inKey);
      return;
    }
    if (node.type === 'Text' && !inKey) {
      const words = node.data.split(/[^\p{L}\p{N}]+/u).filter((word) => /\p{L}{2}/u.test(word) && !ALIKE.has(word));
      if (words.length > 0) texts.push([source.slice(0, node.start).split('\n').length, node.data.trim()]);
      return;
    }
    const key = inKey || (node.type === 'RegularElement' && node.name === 'kbd');
    for (const [name, child] of Object.entries(node)) if (name !== 'expression' && name !== 'test') look(child, key);
  };
  look(parse(source, { modern: true }).fragment, false);
  return texts;
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
  if (file.endsWith('.svelte')) {
    for (const [line, words] of untranslated(text)) {
      found++;
      console.error(`src/${file}:${line}: ${words}\n    say it in every language: say('…', '…') of i18n/language.ts`);
    }
  }
  const opening = text.trimStart();
  if (!/^(\/\*|<!--|\/\*\*)/.test(opening)) {
    found++;
    console.error(`src/${file}: opens without saying what lives here`);
  }
}
/**
 * Where the screen knows a state by what the engine calls it: the file, its list, the words in it, the files of the engine
 * one of which has to say each of them, and how many words there are at least.
 */
const KNOWN = [
  ['shared/PatientTable.svelte', /ALLERGY_TONE[^}]*}/, /'?([A-Z][A-Z ]{4,})'?:/g, ['rows', 'blocks'], 4],
  ['shared/Medicine.svelte', /ACTIVE = \[.*\]/, /'([^']+)'/g, ['codes'], 2],
  ['views/chart/Medicines.svelte', /JUST_HELD = \[.*\]/, /'([^']+)'/g, ['blocks'], 2],
  ['domain/noteStatus.ts', /const KNOWN[\s\S]*?\n\];/, /\['([^']+)'\]/g, ['codes'], 9],
];
const chart = new URL('../../src-tauri/engine/src/chart/', import.meta.url);
for (const [file, list, word, engine, least] of KNOWN) {
  const text = await readFile(join(root, file), 'utf8');
  const words = [...(list.exec(text)?.[0] ?? '').matchAll(word)].map(([, each]) => each.trim());
  const said = (await Promise.all(engine.map((name) => readFile(new URL(`${name}.rs`, chart), 'utf8')))).join('');
  const strange = words.filter((each) => !said.includes(`"${each}"`));
  if (words.length >= least && strange.length === 0) continue;
  found++;
  console.error(`src/${file}: ${strange.length > 0 ? `the engine says none of: ${strange.join(', ')}` : 'its words of the engine were not found'} (engine/src/chart/${engine.join('.rs, ')}.rs)`);
}
// Whence each text of a view comes is listed: else the scripts of hostile names and payloads would end on it an hour later.
try {
  await shapes();
  await consoleFields();
} catch (thrown) {
  found++;
  console.error(thrown.message);
}
process.exitCode = found > 0 ? 1 : 0;
if (found === 0) console.log('lint: nothing banned');
