/**
 * Vital signs under load in Chromium: 10 rows of 400 values, the section opened again and again. `npm run flowsheet`.
 * Ends with 1 where 95 of 100 openings are not on the screen 100 ms after the key.
 */
import { SIZES, openScreen, withStage } from './stage.mjs';

const PAINT_MS = 100;
const OPENINGS = 60;
let bad = 0;
const share = (list, part) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * part))] ?? NaN;

/** From the key to the end of the frame that holds the section. */
const pressed = (page, key, ctrlKey) =>
  page.evaluate(
    ([name, ctrl]) =>
      new Promise((done) => {
        requestAnimationFrame(() => {
          const at = performance.now();
          window.dispatchEvent(new KeyboardEvent('keydown', { key: name, ctrlKey: ctrl }));
          requestAnimationFrame(() => {
            // A task after the frame's own work: layout and paint are behind it.
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => done(performance.now() - at);
            port2.postMessage(null);
          });
        });
      }),
    [key, ctrlKey],
  );

/** Processor time of the page's main thread, ms: what other work on this machine cannot lengthen much. */
const busy = async (session) =>
  (await session.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value * 1000;

await withStage(async (browser, origin) => {
  for (const size of SIZES) {
    const { page } = await openScreen(browser, origin, { id: 'chart-vitals-long', theme: 'light', size });
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.setTimeDomain', { timeDomain: 'threadTicks' });
    await session.send('Performance.enable');
    for (const form of ['plots', 'table']) {
      const times = [];
      let work = 0;
      for (let i = 0; i < OPENINGS; i++) {
        await pressed(page, '1', true);
        const before = await busy(session);
        times.push(await pressed(page, '5', true));
        work += (await busy(session)) - before;
      }
      const shown = await page.locator(form === 'plots' ? '[data-testid="plot"]' : '[data-testid="vital-row"]').count();
      const late = share(times, 0.95);
      // A section that shows nothing is fast.
      if (!(late <= PAINT_MS) || shown !== 10) bad++;
      console.log(`${size.name}, ${form}: ${shown} rows, p50 ${share(times, 0.5).toFixed(0)} p95 ${late.toFixed(0)} worst ${Math.max(...times).toFixed(0)} ms after the key, ${Math.round(work / OPENINGS)} ms of a processor`);
      if (form === 'plots') await pressed(page, 'g', false);
    }
    const moves = [];
    await pressed(page, 'g', false);
    for (let i = 0; i < OPENINGS; i++) moves.push(await pressed(page, 'ArrowLeft', false));
    console.log(`${size.name}, focus line: p50 ${share(moves, 0.5).toFixed(0)} p95 ${share(moves, 0.95).toFixed(0)} ms after the key`);
    await page.close();
  }
});
process.exitCode = bad > 0 ? 1 : 0;
