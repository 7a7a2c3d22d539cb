/**
 * Renders every screen × theme × size to PNG with an index page: `npm run screens -- --out DIR [NAME…]`.
 * NAME picks screens by the beginning of their id. `--one-size` leaves out all sizes but the first, `--blind` makes only
 * the pictures as people see them who do not tell red, green or blue apart. Ends with 1 when a page reported an error,
 * or when a state of states.mjs has no scenario or no picture.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SIZES, THEMES, openScreen, screenList, withStage } from './stage.mjs';
import { MATRIX, missing } from './states.mjs';

const args = process.argv.slice(2);
const at = args.indexOf('--out');
const out = resolve(at === -1 ? '../target/screens' : (args[at + 1] ?? '../target/screens'));
const names = args.filter((arg, i) => !arg.startsWith('--') && (at === -1 || i !== at + 1));
const blindOnly = args.includes('--blind');
const sizes = args.includes('--one-size') ? SIZES.slice(0, 1) : SIZES;

/** Where colour carries a second meaning (S10), as others see it. Words, shapes and weight have to be enough. */
const BLIND = ['protanopia', 'deuteranopia', 'tritanopia', 'achromatopsia'];
const SEEN_BLIND = [
  'lock-alarms', 'board', 'board-critical', 'board-changed', 'chart', 'chart-allergies', 'chart-medicines', 'chart-labs', 'chart-labs-corrected', 'chart-vitals', 'chart-vitals-table', 'chart-glass',
  'entry-vitals-faults', 'entry-conflict', 'entries', 'results-every', 'card', 'card-disputed', 'sync-faults', 'wall-mixed', 'images', 'viewer-preview', 'viewer-measure', 'viewer-mismatch', 'drill-board', 'training-board',
];

await mkdir(out, { recursive: true });
const rows = [];
const wanting = [];
let faulty = 0;
await withStage(async (browser, origin) => {
  const every = await screenList(browser, origin);
  wanting.push(...missing(every.map(({ id }) => id)));
  const list = every.filter(({ id }) => (!blindOnly || SEEN_BLIND.includes(id)) && (names.length === 0 || names.some((name) => id.startsWith(name))));
  for (const { id, title } of list) {
    const shots = [];
    for (const deficiency of SEEN_BLIND.includes(id) ? BLIND : []) {
      const size = SIZES[0];
      const { page } = await openScreen(browser, origin, { id, theme: 'light', size });
      const session = await page.context().newCDPSession(page);
      await session.send('Emulation.setEmulatedVisionDeficiency', { type: deficiency });
      const file = `${id}.${deficiency}.png`;
      await page.screenshot({ path: join(out, file) });
      await page.close();
      shots.push({ file, theme: deficiency, size: size.name });
    }
    for (const theme of blindOnly ? [] : THEMES) {
      for (const size of sizes) {
        const { page, faults } = await openScreen(browser, origin, { id, theme, size });
        const file = `${id}.${theme}.${size.name}.png`;
        await page.screenshot({ path: join(out, file) });
        await page.close();
        shots.push({ file, theme, size: size.name });
        for (const fault of faults) {
          faulty++;
          console.error(`${id} ${theme} ${size.name}: ${fault}`);
        }
      }
    }
    rows.push({ id, title, shots });
    console.log(`${id}: ${shots.length} pictures`);
  }
});

const cells = (row) =>
  row.shots
    .map(({ file, theme, size }) => `<figure><a href="${file}"><img src="${file}" loading="lazy" alt="${row.title}, ${theme}, ${size}"></a><figcaption>${theme} · ${size}</figcaption></figure>`)
    .join('');
const body = rows.map((row) => `<section id="${row.id}"><h2>${row.title} <small>${row.id}</small></h2><div>${cells(row)}</div></section>`).join('\n');
await writeFile(
  join(out, 'index.html'),
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>Vitrine screens</title>
<style>body{font:16px sans-serif;margin:24px;background:#e9edf1}section>div{display:flex;flex-wrap:wrap;gap:12px}
figure{margin:0}img{height:260px;border:1px solid #7a8794;background:#fff}figcaption,small{color:#4a5866;font-weight:400}</style>
<h1>Vitrine: ${rows.length} screens</h1>
${body}
</html>
`,
);
// A run of everything has to have left a picture of every state.
if (names.length === 0 && !blindOnly) {
  const made = new Set(rows.flatMap(({ shots }) => shots.map(({ file }) => file)));
  for (const [screen, row] of Object.entries(MATRIX)) {
    for (const [state, id] of Object.entries(row)) {
      if (typeof id !== 'string') continue;
      for (const theme of THEMES) {
        const file = `${id}.${theme}.${sizes[0].name}.png`;
        if (!made.has(file)) wanting.push(`${screen}, ${state}: no picture ${file}`);
      }
    }
  }
}
for (const each of wanting) console.error(each);
console.log(`${rows.length} screens in ${out}${wanting.length > 0 ? `, ${wanting.length} states wanting` : ''}`);
process.exitCode = faulty > 0 || wanting.length > 0 ? 1 : 0;
