/**
 * axe-core over every screen × theme in Chromium: no violation may remain. `npm run a11y [-- [--all-sizes] NAME…]`.
 * Pages are opened at further sizes too: one that scrolls sideways or reports an error fails. What axe looks at hardly
 * depends on the size, so it runs at 1280 × 800 and at 200 %; `--all-sizes` runs it at every one.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { SIZES, THEMES, sizeOf, openScreen, screenList, withStage } from './stage.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const names = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const everywhere = process.argv.includes('--all-sizes');
/** 3840 × 2160 at 200 % is laid out as 1920 × 1080, and 2560 × 1440 has nothing that 1920 has not: they wait for `--all-sizes`. */
const CHIEF = ['1280x800', '1920x1080', '1024x768', '1280x800-at-200'].map(sizeOf);
let bad = 0;
let runs = 0;

/** Through the debugger, so that the page's own policy stays as strict as in the window. */
async function violations(page) {
  await page.evaluate(axe);
  const results = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  return results.violations;
}

async function look(browser, origin, { id, theme, size, looked }) {
  const where = `${id} ${theme} ${size.name}`;
  const { page, faults } = await openScreen(browser, origin, { id, theme, size });
  for (const violation of looked ? await violations(page) : []) {
    bad++;
    console.error(`${where}: ${violation.id}: ${violation.help}`);
    for (const node of violation.nodes.slice(0, 3)) console.error(`    ${node.target.join(' ')}: ${node.failureSummary?.split('\n').slice(1).join('; ')}`);
  }
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  if (sideways) faults.push('scrolls sideways');
  for (const fault of faults) {
    bad++;
    console.error(`${where}: ${fault}`);
  }
  runs++;
  await page.close();
}

await withStage(async (browser, origin) => {
  const list = (await screenList(browser, origin)).filter(
    ({ id }) => names.length === 0 || names.some((name) => id.startsWith(name)),
  );
  const asked = list.flatMap(({ id }) =>
    THEMES.flatMap((theme) =>
      (everywhere ? SIZES : CHIEF).flatMap((size) => {
        const looked = everywhere || size === CHIEF[0] || (size.name === '1280x800-at-200' && theme === THEMES[0]);
        return looked || theme === THEMES[0] ? [{ id, theme, size, looked }] : [];
      }),
    ),
  );
  // A page has a process of its own.
  const worker = async () => {
    for (let next = asked.shift(); next !== undefined; next = asked.shift()) await look(browser, origin, next);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker));
});
console.log(`${runs} screens checked, ${bad} findings`);
process.exitCode = bad > 0 || runs === 0 ? 1 : 0;
