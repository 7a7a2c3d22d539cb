/**
 * axe-core over every screen × theme × size in Chromium: no violation may remain. `npm run a11y [-- NAME…]`.
 * Also fails when a page scrolls sideways or reported an error.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { SIZES, THEMES, openScreen, screenList, withStage } from './stage.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const names = process.argv.slice(2);
let bad = 0;
let runs = 0;

await withStage(async (browser, origin) => {
  const list = (await screenList(browser, origin)).filter(
    ({ id }) => names.length === 0 || names.some((name) => id.startsWith(name)),
  );
  for (const { id } of list) {
    for (const theme of THEMES) {
      for (const size of SIZES) {
        const where = `${id} ${theme} ${size.name}`;
        const { page, faults } = await openScreen(browser, origin, { id, theme, size });
        // Through the debugger, so that the page's own policy stays as strict as in the window.
        await page.evaluate(axe);
        const results = await page.evaluate(() =>
          window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
        );
        for (const violation of results.violations) {
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
    }
  }
});
console.log(`${runs} screens checked, ${bad} findings`);
process.exitCode = bad > 0 || runs === 0 ? 1 : 0;
