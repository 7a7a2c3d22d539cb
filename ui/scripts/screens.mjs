/**
 * Renders every screen × theme × size to PNG with an index page: `npm run screens -- --out DIR [NAME…]`.
 * NAME picks screens by the beginning of their id. Ends with 1 when a page reported an error.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SIZES, THEMES, openScreen, screenList, withStage } from './stage.mjs';

const args = process.argv.slice(2);
const at = args.indexOf('--out');
const out = resolve(at === -1 ? '../target/screens' : (args[at + 1] ?? '../target/screens'));
const names = args.filter((arg, i) => !arg.startsWith('--') && (at === -1 || i !== at + 1));
const sizes = args.includes('--one-size') ? SIZES.slice(0, 1) : SIZES;

await mkdir(out, { recursive: true });
const rows = [];
let faulty = 0;
await withStage(async (browser, origin) => {
  const list = (await screenList(browser, origin)).filter(
    ({ id }) => names.length === 0 || names.some((name) => id.startsWith(name)),
  );
  for (const { id, title } of list) {
    const shots = [];
    for (const theme of THEMES) {
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
console.log(`${rows.length} screens in ${out}`);
process.exitCode = faulty > 0 ? 1 : 0;
