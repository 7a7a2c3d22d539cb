/**
 * Switches each safety rule of the screens off, one at a time, in a copy, and demands that a test named after the rule
 * notices: `npm run rules [-- [--rust] [--scripts] [S4 S7 …]]`. The table is in switches.mjs. Ends with 1 where nobody
 * notices, where a rule has no entry, or where its code has moved.
 *
 * Switches that a browser or a compiler has to look at take minutes: they are run with `--scripts` and `--rust` alone.
 * What a test says first of the untouched copy has to be good. A test that cannot be loaded, breaks on something else
 * than what it looks for, or takes too long has noticed nothing.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NOT_THERE, RULES, SWITCHES } from './switches.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const args = process.argv.slice(2);
const named = args.filter((each) => !each.startsWith('--')).map((each) => each.toUpperCase());
const unknown = [...named.filter((each) => !RULES.includes(each)), ...args.filter((each) => each.startsWith('--') && !['--rust', '--scripts'].includes(each))];
if (unknown.length > 0) {
  console.error(`not known: ${unknown.join(', ')}`);
  process.exit(1);
}
const asked = (rule) => named.length === 0 || named.includes(rule);
const kindOf = ({ test }) => (test.vitest ? 'vitest' : test.cargo ? 'cargo' : test.lint ? 'lint' : 'script');
const may = { vitest: true, lint: true, cargo: args.includes('--rust'), script: args.includes('--scripts') };
const chosen = SWITCHES.filter(({ rule }) => asked(rule));
const switches = chosen.filter((each) => may[kindOf(each)]);

const started = performance.now();
const work = mkdtempSync(join(tmpdir(), 'vitrine-rules-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
const copy = join(work, 'tree');
const ui = join(copy, 'ui');

/**
 * Everything but what is built or fetched: a change in it reaches nobody else. With times of now: to cargo the copy is the
 * same workspace as that of the run before, and a file that is older than what was built of another one is built.
 */
function copyTree() {
  const LEFT_OUT = ['.git', 'node_modules', 'target', 'dist', 'dist-fake'];
  cpSync(root, copy, { recursive: true, filter: (path) => !LEFT_OUT.includes(basename(path)) });
  symlinkSync(join(root, 'ui/node_modules'), join(ui, 'node_modules'));
}

function run(command, words, { cwd = ui, env = {} } = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, words, { cwd, env: { ...process.env, ...env }, encoding: 'utf8', maxBuffer: 2 ** 28 });
  return { status, text: error === undefined ? `${stdout}${stderr}` : String(error) };
}

const lastLines = (text, count = 6) => text.trim().split('\n').slice(-count).join('\n    ');

// ---- each kind says of the copy as it is: `passed` how many, `noticed` by which, `broken` why it says nothing ----

/** What a test says when it finds something wrong; anything else that is thrown is no finding. `0 of …` is tests/onScreen.ts. */
const FINDING = /^(AssertionError\b|Error: \d+ of )/;

function vitest(files, pattern) {
  const report = join(work, 'report.json');
  rmSync(report, { force: true });
  const { text } = run(process.execPath, [
    join(root, 'ui/node_modules/vitest/vitest.mjs'), 'run', '--reporter=json', `--outputFile=${report}`, '--testTimeout=120000', '--hookTimeout=120000',
    // What did not change since the run before is not compiled again.
    '--experimental.fsModuleCache', `--experimental.fsModuleCachePath=${join(work, 'cache')}`, '-t', pattern, ...files,
  ]);
  let results;
  try {
    results = JSON.parse(readFileSync(report, 'utf8')).testResults;
  } catch {
    return { passed: 0, noticed: [], broken: [`vitest did not run: ${lastLines(text)}`] };
  }
  const all = results.flatMap(({ name, assertionResults, message }) =>
    assertionResults.length === 0 ? [{ file: basename(name), status: 'broken', text: message }] : assertionResults.map(({ fullName, status, failureMessages }) => ({ file: basename(name), fullName, status, text: failureMessages?.[0] ?? '' })),
  );
  const failed = all.filter(({ status }) => status === 'failed');
  const finding = failed.filter(({ text }) => FINDING.test(text));
  return {
    passed: all.filter(({ status }) => status === 'passed').length,
    noticed: finding.map(({ file, fullName }) => ({ name: fullName, text: `${file}: ${fullName}` })),
    broken: all.filter((each) => each.status === 'broken' || (each.status === 'failed' && !finding.includes(each))).map(({ file, fullName, text }) => `${file}: ${fullName ?? 'not loaded'}: ${text.split('\n')[0]}`),
  };
}

function lint() {
  const { status, text } = run(process.execPath, ['scripts/lint.mjs']);
  const found = text.trim().split('\n');
  // Each finding is followed by its reason, where it comes from the ban list.
  if (status === 0) return { passed: 1, noticed: [], broken: [] };
  return status === 1 && found.some((line) => line.startsWith('src/'))
    ? { passed: 0, noticed: [{ name: text, text: `lint.mjs: ${found.slice(0, 2).map((line) => line.trim()).join(' — ')}` }], broken: [] }
    : { passed: 0, noticed: [], broken: [lastLines(text)] };
}

/** Of a script of the browser: a build, then the script over one screen. Its last line counts its findings. */
function script(words) {
  const built = join(work, 'stage');
  const build = run(process.execPath, [join(root, 'ui/node_modules/vite/bin/vite.js'), 'build', '--mode', 'fake', '--outDir', built, '--emptyOutDir', '--logLevel', 'error']);
  if (build.status !== 0) return { passed: 0, noticed: [], broken: [`not built: ${lastLines(build.text)}`] };
  const { status, text } = run(process.execPath, words.map((each, i) => (i === 0 ? `scripts/${each}` : each)), { env: { VITRINE_STAGE: `${built}/` } });
  const counted = /(\d+) cases.*, (\d+) different findings/.exec(text);
  // A page that was taken away before its first case is a finding too.
  if (counted === null || Number(counted[1]) + Number(counted[2]) === 0) return { passed: 0, noticed: [], broken: [lastLines(text)] };
  if (status === 0) return { passed: 1, noticed: [], broken: [] };
  return { passed: 0, noticed: [{ name: '', text: `${words.join(' ')}: ${text.trim().split('\n').find((line) => !line.includes(counted[0]))} (${counted[2]} findings)` }], broken: [] };
}

function cargo({ package: name, test }) {
  // Never where the repository itself is built: what is left there of a rule that is off would pass for it.
  const target = process.env.CARGO_TARGET_DIR === undefined ? join(tmpdir(), 'vitrine-rules-target') : join(process.env.CARGO_TARGET_DIR, 'rules');
  const { text } = run('cargo', ['test', '--locked', '-p', name, '--lib', '--', test], { cwd: copy, env: { CARGO_TARGET_DIR: target } });
  const ended = [...text.matchAll(/^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED)$/gm)];
  const failed = ended.filter(([, , how]) => how === 'FAILED').map(([, each]) => each);
  if (!/^test result: /m.test(text)) return { passed: 0, noticed: [], broken: [`cargo test did not run: ${lastLines(text)}`] };
  // A panic of an assertion without words of its own says so; another one may be anything that broke.
  const findings = /assertion .*failed|Test failed: |^assertion/m.test(text);
  return {
    passed: ended.length - failed.length,
    noticed: findings ? failed.map((each) => ({ name: each.replace(/(^|[:_])s(\d+)_/g, '$1 S$2 '), text: `${name}: ${each}` })) : [],
    broken: findings ? [] : failed.map((each) => `${name}: ${each} panicked, and not on an assertion`),
  };
}

/** By default the tests that carry the number of the rule in their name. */
const patternOf = ({ rule, test }) => test.name ?? `\\b${rule}\\b`;
function look(each, { untouched = false } = {}) {
  const { test } = each;
  switch (kindOf(each)) {
    case 'vitest':
      return vitest(untouched ? test.files : test.vitest, untouched ? test.patterns.join('|') : patternOf(each));
    case 'lint':
      return lint();
    case 'cargo':
      return cargo(test.cargo);
    default:
      return script(test.script);
  }
}

/** What has to be good before anything is switched off: once for all tests of the screen, once for each other look. */
function untouchedLooks() {
  const looks = new Map();
  const ofVitest = switches.filter((each) => kindOf(each) === 'vitest');
  if (ofVitest.length > 0) {
    const test = { vitest: true, files: [...new Set(ofVitest.flatMap(({ test }) => test.vitest))], patterns: [...new Set(ofVitest.map(patternOf))] };
    looks.set('the tests of the screen', { test });
  }
  for (const each of switches.filter((other) => kindOf(other) !== 'vitest')) looks.set(JSON.stringify(each.test), each);
  return looks;
}

// ---- the run ----

const problems = [];
const say = (line) => console.log(line);

for (const rule of RULES.filter(asked)) {
  if (NOT_THERE[rule] !== undefined) say(`${rule.padEnd(3)} not there: ${NOT_THERE[rule]}`);
  else if (!SWITCHES.some((each) => each.rule === rule)) problems.push(`${rule}: the table has no way to switch it off`);
}

copyTree();
for (const [name, each] of untouchedLooks()) {
  const { passed, noticed, broken } = look(each, { untouched: true });
  if (noticed.length + broken.length === 0 && passed > 0) continue;
  console.error(`untouched, ${name}:${passed === 0 && noticed.length + broken.length === 0 ? ' nothing was tested' : ''}`);
  for (const text of [...noticed.map((found) => found.text), ...broken]) console.error(`    ${text}`);
  process.exit(1);
}
say(`untouched: all pass, ${Math.round((performance.now() - started) / 1000)} s`);

let noticedBy = 0;
const rules = new Set();
for (const each of switches) {
  const { rule, what, file, find, replace, also = [] } = each;
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const edits = [[find, replace], ...also];
  const line = `${rule.padEnd(3)} ${what}`;
  const moved = edits.map(([old]) => [old, text.split(old).length - 1]).find(([, times]) => times !== 1);
  if (moved !== undefined) {
    problems.push(`${rule}: in ${file} stands ${moved[1]} times instead of once: ${moved[0].trim()}\n    The rule's code moved: mend ui/scripts/switches.mjs.`);
    say(`${line} — NOT SWITCHED OFF`);
    continue;
  }
  let found;
  try {
    writeFileSync(path, edits.reduce((from, [old, now]) => from.replace(old, () => now), text));
    found = look(each);
  } finally {
    writeFileSync(path, text);
  }
  // A test of another name that fails too holds nothing by this number. A script of the browser has no tests with names.
  const its = found.noticed.filter(({ name }) => kindOf(each) === 'script' || kindOf(each) === 'cargo' || new RegExp(`\\b${rule}\\b`).test(name));
  const [first] = its;
  if (first === undefined) {
    problems.push(`${rule}: ${what}: noticed by nobody${found.broken.map((text) => `\n    ${text}`).join('')}`);
    say(`${line} — NOTICED BY NOBODY`);
  } else {
    noticedBy++;
    rules.add(rule);
    say(`${line} — noticed by ${first.text}${its.length > 1 ? ` (and ${its.length - 1} more)` : ''}`);
  }
}

for (const problem of problems) console.error(problem);
const left = chosen.length - switches.length;
say(
  `${switches.length} switches of ${new Set(switches.map(({ rule }) => rule)).size} rules: ${noticedBy} noticed, ${switches.length - noticedBy} not${left > 0 ? `; ${left} left out (--rust, --scripts)` : ''}; ${problems.length} problems, ${Math.round((performance.now() - started) / 1000)} s`,
);
process.exitCode = problems.length > 0 ? 1 : 0;
