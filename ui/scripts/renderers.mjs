/**
 * Both renderers in Chromium: the same pictures within one step of grey. `npm run renderers [-- --thumbs]`; with --thumbs
 * it writes the small pictures of the fake strip anew. Ends with 1 where more than one channel in 10,000 is further off.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { SIZES, openScreen, withStage } from './stage.mjs';

const ALLOWED = 1e-4;
const thumbs = fileURLToPath(new URL('../src/ipc/fixtures/thumbs/', import.meta.url));
let bad = 0;

await withStage(async (browser, origin) => {
  const { page } = await openScreen(browser, origin, { id: 'lock', theme: 'light', size: SIZES[0] });
  if (process.argv.includes('--thumbs')) {
    for (const [uid, data] of await page.evaluate(() => window.vitrineThumbs())) {
      await writeFile(`${thumbs}${uid}.png`, Buffer.from(data.split(',')[1], 'base64'));
    }
    return;
  }
  for (const { name, ms } of await page.evaluate(() => window.vitrineTimed())) console.log(`    ${name}: ${ms.toFixed(1)} ms for 1200 × 800`);
  for (const { name, worst, beyond, of, mean } of await page.evaluate(() => window.vitrineCompare())) {
    // A picture that is all black proves nothing.
    const ok = beyond <= of * ALLOWED && mean > 1;
    if (!ok) bad++;
    console.log(`${ok ? 'ok ' : 'BAD'} ${name}: worst ${worst}, ${beyond} of ${of} off by more than 1, mean ${mean.toFixed(1)}`);
  }
}, ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader']);
process.exitCode = bad > 0 ? 1 : 0;
