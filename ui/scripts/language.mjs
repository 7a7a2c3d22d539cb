/**
 * Every screen in another language: `npm run language [-- [--language TAG] [SCREEN…]]`. Ends with 1 on a finding.
 *
 * In the pseudo-locale, which is the default, every text of the screen itself stands between « and » and is three
 * tenths longer: a word outside of them, that did not come from the engine either and that nobody typed
 * (`translate="no"`), is not translated. In every language, what
 * is cut off, runs out of its box or lies over other text at 1280 × 800 and at 200 % is a finding.
 */
import { DISPLAY_TEXTS, FIELDS, ROOTS, shapes } from './outside.mjs';
import { installFill, installLook } from './fill.mjs';
import { openScreen, screenList, sizeOf, withStage } from './stage.mjs';

const args = process.argv.slice(2);
const at = args.indexOf('--language');
const language = at === -1 ? 'qps-ploc' : args.splice(at, 2)[1];
const names = args.filter((each) => !each.startsWith('--'));
const SIZES = ['1280x800', '1280x800-at-200'].map(sizeOf);

/** Runs inside the page: words that nobody translated, with where they stand. */
function untranslated({ allowed }) {
  const given = [...window.vitrineGiven()].filter((text) => text.trim() !== '').sort((a, b) => b.length - a.length);
  const found = [];
  const strip = (text) => {
    // From inside out: one text may stand in another.
    for (let before = ''; before !== text; ) {
      before = text;
      text = text.replace(/«[^«»]*»/g, ' ⁂ ');
    }
    // What is short is a part of other words.
    for (const each of given) if (text === each || (each.length > 3 && text.includes(each))) text = text.split(each).join(' ⁂ ');
    return text;
  };
  // A part of what the engine gave (a day of a time, what a search found, a name of a tab), in letters of any case.
  const all = given.join(' ').replace(/\s+/g, ' ').toLowerCase();
  const look = (text, where) => {
    const left = strip(text).replace(/\s+/g, ' ').trim();
    if (all.includes(left.toLowerCase())) return;
    // What is left between two texts: each piece of it.
    const words = left
      .split(/ {2,}|⁂/u)
      .filter((piece) => !all.includes(piece.trim().toLowerCase()))
      .join(' ')
      .split(/[^\p{L}]+/u).filter((word) => word.length > 2 && !allowed.includes(word));
    if (words.length > 0) found.push({ where, text: left.slice(0, 80) });
  };
  const nameOf = (el) => `${el.localName}${el.dataset.testid ? `[${el.dataset.testid}]` : [...el.classList].filter((each) => !each.startsWith('svelte-')).map((each) => `.${each}`).join('')}`;
  const root = document.getElementById('app');
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const el = node.parentElement;
    if (el === null || el.closest('script, style, kbd, [data-rehearsal], [translate="no"]') !== null) continue;
    look(node.data, `${nameOf(el.parentElement)} > ${nameOf(el)}`);
  }
  for (const el of root.querySelectorAll('*')) {
    if (el.closest('[data-rehearsal]') !== null) continue;
    for (const name of ['aria-label', 'title', 'placeholder', 'alt', 'aria-description', 'aria-roledescription', 'aria-valuetext']) {
      const text = el.getAttribute(name);
      if (text !== null) look(text, `${nameOf(el)} ${name}`);
    }
  }
  return found;
}

/** Words that are alike in every language: names, and what is written on a key. */
const ALIKE = ['Vitrine', 'LIVE', 'OFFLINE', 'NEWS', 'PIN', 'DICOM', 'Esc', 'Tab', 'English', 'Deutsch', 'GCS', 'Ctrl', 'Shift', 'Enter'];

const found = new Map();
let looked = 0;
const started = performance.now();
const report = (what, where, example, screen) => {
  const key = `${what}: ${where}`;
  const known = found.get(key) ?? { times: 0, example, screen };
  known.times++;
  found.set(key, known);
};

const types = await shapes();
await withStage(async (browser, origin) => {
  const list = (await screenList(browser, origin)).map(({ id }) => id).filter((id) => names.length === 0 || names.some((name) => id.startsWith(name)));
  const queue = SIZES.flatMap((size) => [[size, list.filter((_, i) => i % 2 === 0)], [size, list.filter((_, i) => i % 2 === 1)]]);
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [size, ids] = next;
      if (ids.length === 0) continue;
      const { page, faults } = await openScreen(browser, origin, { id: 'lock', theme: 'light', size, language });
      await page.evaluate(installFill, { shapes: types, FIELDS, ROOTS, DISPLAY_TEXTS });
      await page.evaluate(installLook);
      for (const id of ids) {
        const findings = await page.evaluate(async (id) => {
          await window.vitrineSet(id);
          // What fits itself to its room does so after the first frame.
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 60))));
          return window.vitrineLook([], { plain: false, shown: null, given: true }).findings;
        }, id);
        const where = `${id} ${size.name}`;
        for (const { what, where: place, example } of findings) report(what, place, example, where);
        if (language === 'qps-ploc') for (const { where: place, text } of await page.evaluate(untranslated, { allowed: ALIKE })) report('not translated', `${place}: ${text}`, '', where);
        for (const fault of faults.splice(0)) report('fault', fault.slice(0, 200), '', where);
        looked++;
      }
      await page.close();
    }
  };
  await Promise.all([work(), work()]);
});

for (const [key, { times, example, screen }] of [...found].sort((a, b) => b[1].times - a[1].times)) {
  console.error(`${times} × ${key}\n    first on ${screen}${example === '' ? '' : `: ${example.replace(/\s+/g, ' ')}`}`);
}
console.log(`${language}: ${looked} screens × sizes, ${found.size} findings, ${Math.round((performance.now() - started) / 1000)} s`);
process.exitCode = found.size > 0 || looked === 0 ? 1 : 0;
