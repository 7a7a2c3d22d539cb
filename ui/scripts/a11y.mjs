/**
 * axe-core over every screen × theme in Chromium: no violation may remain. `npm run a11y [-- [--all-sizes] NAME…]`.
 * Pages are looked at in further sizes too: one that scrolls sideways or reports an error fails. What axe looks at hardly
 * depends on the size, so it runs at 1280 × 800 and at 200 %; `--all-sizes` runs it at every one.
 *
 * A document is loaded once for each screen; in it the theme is switched, and the screen entered again at each size.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { SIZES, THEMES, openWindow, screenList, sizeOf, withStage } from './stage.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const names = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const everywhere = process.argv.includes('--all-sizes');
/** 3840 × 2160 at 200 % is laid out as 1920 × 1080, and 2560 × 1440 has nothing that 1920 has not: they wait for `--all-sizes`. */
const CHIEF = ['1280x800', '1920x1080', '1024x768', '1280x800-at-200'].map(sizeOf);
const sizes = everywhere ? SIZES : CHIEF;
let bad = 0;
let runs = 0;

/** axe comes through the debugger, so that the page's own policy stays as strict as in the window. */
async function violations(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  // Of what passes only one node is described, and nothing of it is sent: that takes longer than to look.
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const { violations: found, incomplete } = await window.axe.run(document, { runOnly: tags, resultTypes: ['violations', 'incomplete'] });
    // Text in the colour of what is behind it axe calls a question: nobody reads it.
    const unseen = incomplete
      .filter(({ id }) => id === 'color-contrast')
      .map((rule) => ({ ...rule, nodes: rule.nodes.filter(({ any }) => any.some(({ data }) => data?.messageKey === 'equalRatio')) }));
    return [...found, ...unseen.filter(({ nodes }) => nodes.length > 0)];
  });
}

/**
 * Runs inside the page: what is wider than its room. `#app` clips what it holds, so that the page never grows by it. A
 * table of times scrolls by whole columns, and says how many are hidden on which side (shared/TimeTable.svelte).
 */
function sideways() {
  const parts = [...document.querySelectorAll('html, #app, #app :not([data-columns])')];
  return parts
    .filter((el) => el.matches('html, #app') || /auto|scroll/.test(getComputedStyle(el).overflowX))
    .filter((el) => el.scrollWidth > el.clientWidth + (el.matches('html') ? 0 : 1))
    .map((el) => `scrolls sideways: ${el.localName}${el.id && `#${el.id}`}${[...el.classList].map((each) => `.${each}`).join('')} ${el.scrollWidth} in ${el.clientWidth}`);
}

/** Runs inside the page: where the view does not begin under the bar at the top, the tabs of charts and the line of what is owed. */
function gaps() {
  const view = document.querySelector('.under > main');
  if (view === null) return ['there is no view'];
  const bars = [...document.querySelectorAll('.under header, .under nav, .under > div > [role=status]')].filter((el) => !view.contains(el));
  const gap = view.getBoundingClientRect().top - Math.max(...bars.map((el) => el.getBoundingClientRect().bottom));
  // A frame around the view, as that of training, is none.
  return Math.abs(gap) < 4 ? [] : [`${Math.round(gap)} px between the bar at the top and the view`];
}

async function look({ page, faults }, where, looked) {
  for (const violation of looked ? await violations(page) : []) {
    bad++;
    console.error(`${where}: ${violation.id}: ${violation.help}`);
    for (const node of violation.nodes.slice(0, 3)) console.error(`    ${node.target.join(' ')}: ${node.failureSummary?.split('\n').slice(1).join('; ')}`);
  }
  faults.push(...(await page.evaluate(sideways)), ...(await page.evaluate(gaps)));
}

async function lookAt(view, id) {
  for (const size of sizes) {
    for (const theme of THEMES) {
      const looked = everywhere || size === CHIEF[0] || (size.name === '1280x800-at-200' && theme === THEMES[0]);
      if (!looked && theme !== THEMES[0]) continue;
      let failed = false;
      try {
        if (theme !== THEMES[0]) await view.switchTo(theme);
        else await (size === sizes[0] ? view.open : view.enter)(id, theme, size);
        await look(view, `${id} ${theme} ${size.name}`, looked);
      } catch (error) {
        failed = true;
        view.faults.push(`the rest of this screen was not looked at: ${String(error).split('\n')[0]}`);
      }
      for (const fault of view.faults.splice(0)) {
        bad++;
        console.error(`${id} ${theme} ${size.name}: ${fault}`);
      }
      runs++;
      if (failed) return;
    }
  }
}

await withStage(async (browser, origin) => {
  const list = (await screenList(browser, origin))
    .map(({ id }) => id)
    .filter((id) => names.length === 0 || names.some((name) => id.startsWith(name)));
  const worker = async () => {
    const view = await openWindow(browser, origin);
    for (let next = list.shift(); next !== undefined; next = list.shift()) await lookAt(view, next);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker));
});
console.log(`${runs} screens checked, ${bad} findings`);
process.exitCode = bad > 0 || runs === 0 ? 1 : 0;
