/**
 * Puts hostile texts into every field from outside, on every screen at every size, and measures what becomes of them:
 * nothing may be cut off, run out of its box or over other text, miss a part, order the letters of its neighbours, or
 * hide a sign. `npm run names [-- --quick] [--sets N] [--seed N] [--size NAME] [SCREEN…]`. Ends with 1 on a finding.
 *
 * One page a size; its fake world is changed in place. A case is one set of texts on one screen at one size.
 */
import { DISPLAY_TEXTS, FIELDS, ROOTS, shapes } from './outside.mjs';
import { SIZES, lookAround, openScreen, screenList, sizeOf, withStage } from './stage.mjs';
import { setsOf, textOf } from './texts.mjs';
import { installFill, installLook } from './fill.mjs';

const args = process.argv.slice(2);
const flag = (name, otherwise) => {
  const at = args.indexOf(name);
  return at === -1 ? otherwise : args.splice(at, 2)[1];
};
const quick = args.includes('--quick');
const seed = Number(flag('--seed', '1'));
const count = Number(flag('--sets', quick ? '3' : '6'));
const only = flag('--size', null);
const names = args.filter((each) => !each.startsWith('--'));
/** One of each layout: enough to see within a minute that a change broke something. */
const QUICK = [
  'lock', 'lock-alarms', 'search-found', 'board', 'chart', 'chart-medicines', 'chart-allergies', 'chart-labs', 'chart-labs-corrected', 'chart-vitals', 'chart-notes', 'chart-encounters',
  'chart-denied', 'chart-critical-several', 'images', 'viewer-ct', 'glass-search', 'glass-chart', 'card', 'card-unavailable',
  'entry-vitals-faults', 'entry-preview', 'entry-allergy', 'entry-none-known', 'entry-conflict', 'chart-allergies-disputed', 'chart-allergies-refuted', 'entry-note', 'chart-entries', 'entries', 'entries-settle', 'card-entries', 'results', 'results-every', 'results-recorded', 'results-beyond', 'results-form-faults', 'results-preview', 'strip-critical-due', 'board-critical', 'training-card', 'training-chart-glass', 'training-board', 'wall-mixed', 'wall-refused',
];
/** Its 4,000 images say nothing that the others do not; of 200 rows only those around the view are on the page (board.mjs walks through them); forty beds are as twelve. */
const LEFT_OUT = ['viewer-long', 'board-200', 'board-wall-200', 'wall-40'];

const sizes = only !== null ? [sizeOf(only)] : quick ? ['1024x768', '1280x800-at-200'].map(sizeOf) : SIZES;
const model = { shapes: await shapes(), FIELDS, ROOTS, DISPLAY_TEXTS };
const found = new Map();
let cases = 0;
let bad = 0;
const started = performance.now();

await withStage(async (browser, origin) => {
  const screens = (await screenList(browser, origin)).map(({ id }) => id).filter(
    (id) => !LEFT_OUT.some((left) => id.startsWith(left)) && (names.length > 0 ? names.some((name) => id.startsWith(name)) : !quick || QUICK.includes(id)),
  );
  for (const size of sizes) {
    const { page, faults } = await openScreen(browser, origin, { id: 'lock', theme: 'light', size });
    await page.evaluate(installFill, model);
    await page.evaluate(installLook);
    for (const id of screens) {
      const report = ({ what, where, example }, set) => {
        bad++;
        const key = `${what}: ${where}`;
        if (!found.has(key)) console.error(`${key}\n    ${id} ${size.name} ${set}: ${example}`);
        const entry = found.get(key) ?? { times: 0, example, first: `${id} ${size.name} ${set}`, screens: new Set() };
        entry.times++;
        entry.screens.add(`${id}@${size.name}`);
        found.set(key, entry);
      };
      faults.length = 0;
      for (const fill of [false, true]) {
        // First with plain words: which fields are on this screen, and whether each stands alone.
        const plain = await run(page, id, { kind: 'plain', fill });
        for (const finding of plain.findings) report(finding, 'plain');
        const sets = setsOf(count).filter((_, i) => (i % 2 === 0) === fill);
        for (const set of sets) {
          const { findings } = await run(page, id, { kind: set, fill, shown: plain.seen, fields: plain.fields });
          await lookAround(page);
          cases++;
          for (const finding of findings) report(finding, set);
        }
      }
      for (const fault of faults.splice(0)) report({ what: 'fault', where: fault.slice(0, 200), example: '' }, '');
    }
    await page.close();
    console.error(`${size.name}: ${cases} cases, ${bad} findings, ${Math.round((performance.now() - started) / 1000)} s`);
  }
});

async function run(page, id, { kind, fill, shown = null, fields = null }) {
  // The texts are made here, where the generator is; how many there are is known from the run with plain words. A few
  // more are made, for what a screen opens on the way.
  const texts = kind === 'plain' ? null : fields.map((field, at) => ({ field, at }));
  const given = texts?.map(({ field, at }) => ({
    some: textOf({ set: kind, field, at, seed: `${seed} ${id}`, tag: `x${at}x`, optional: false }),
    none: textOf({ set: kind, field, at, seed: `${seed} ${id}`, tag: `x${at}x`, optional: true }),
  }));
  return page.evaluate(
    async ({ id, given, fill, shown, literal }) => {
      let used = [];
      await window.vitrineSet(id, (world) => {
        used = window.vitrineFill(
          world,
          (_, optional, at) => (given === null ? `zq${at}qz` : optional ? (given[at]?.none ?? null) : (given[at]?.some ?? `zq${at}qz`)),
          fill,
        );
      });
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return { ...window.vitrineLook(used, { plain: given === null, shown, given: literal }), fields: used.map(({ field }) => field) };
    },
    { id, given: given ?? null, fill, shown, literal: kind !== 'plain' && !['nothing', 'blank', 'zero width only'].includes(kind) },
  );
}

for (const [key, { times, example, first, screens }] of [...found].sort((a, b) => b[1].times - a[1].times)) {
  console.error(`${times} × ${key}\n    first: ${first}${example === '' ? '' : `: ${example.replace(/\s+/g, ' ')}`}; on ${screens.size} screens × sizes`);
}
console.log(`${cases} cases on ${sizes.length} sizes, ${found.size} different findings (${bad} in all), ${Math.round((performance.now() - started) / 1000)} s`);
process.exitCode = bad > 0 || cases === 0 ? 1 : 0;
