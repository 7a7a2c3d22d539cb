/**
 * Script injection: payloads into every field from outside of every screen; none may run, ask for anything, or become
 * an element (S28). `npm run payloads [-- --quick] [--every N] [--seed N] [SCREEN…]`, in WebKitGTK with
 * `VITRINE_BROWSER=webkit`. Ends with 1 when one did.
 *
 * A text holds several payloads one after the other, and the one at its beginning changes from field to field, so that
 * all of them reach every field and each stands first somewhere. Beside what runs, the elements on the page are counted:
 * as many as with plain words of the same length.
 */
import { DISPLAY_TEXTS, FIELDS, ROOTS, shapes } from './outside.mjs';
import { WEBKIT, lookAround, openScreen, screenList, sizeOf, withStage } from './stage.mjs';
import { random } from './texts.mjs';
import { installFill } from './fill.mjs';

const args = process.argv.slice(2);
const at = args.indexOf('--seed');
const seed = Number(at === -1 ? '1' : args.splice(at, 2)[1]);
const quick = args.includes('--quick');
const spread = args.indexOf('--every');
/** Each screen takes one set in this many, the next screen the next. */
const every = Number(spread === -1 ? (quick ? '4' : '1') : args.splice(spread, 2)[1]);
const names = args.filter((each) => !each.startsWith('--'));
const COUNT = 500;
const IN_A_TEXT = 25;
/** Its 4,000 images say nothing that the others do not; of 200 rows as many are on the page as have room, which differs with what they say. */
const LEFT_OUT = ['viewer-long', 'board-200', 'board-wall-200', 'board-preview-long'];
/**
 * One of each layout: every component that shows text from outside is on one of them. Each takes one set in four, the next
 * screen the next: all payloads, not each of them on each screen.
 */
const QUICK = ['lock-alarms', 'search-found', 'board', 'chart', 'chart-allergies', 'chart-labs', 'chart-labs-corrected', 'chart-vitals', 'chart-notes', 'images', 'viewer-measure', 'glass-picked', 'card',
  'entry-vitals-faults', 'entry-preview', 'entry-none-known', 'entry-conflict', 'chart-allergies-disputed', 'chart-allergies-refuted', 'chart-entries', 'entries', 'card-entries', 'results-every', 'results-form-faults', 'results-preview', 'wall-mixed'];

// ---- the payloads ----

const CALLS = (n) => [
  `vitrineCanary(${n})`, `top.vitrineCanary(${n})`, `window['vitrineCanary'](${n})`, `alert(${n})`, `confirm(${n})`, `location='/canary-${n}'`,
  `fetch('/canary-${n}')`, `new Image().src='/canary-${n}'`, `open('/canary-${n}')`, `import('/canary-${n}')`, `document.title='canary-${n}'`,
  `setTimeout('vitrineCanary(${n})')`, `navigator.sendBeacon('/canary-${n}')`, `eval('vitrineCanary(${n})')`,
];
const EVENTS = ['onload', 'onerror', 'onclick', 'onfocus', 'onmouseover', 'onanimationstart', 'ontoggle', 'onpointerenter', 'onbegin', 'onscroll', 'oncontentvisibilityautostatechange', 'onpageshow'];
const TAGS = [
  'img src=x', 'svg', 'svg/onload=1', 'body', 'iframe src=/canary', 'video src=x', 'audio src=x', 'details open', 'input autofocus', 'select autofocus', 'marquee', 'object data=x',
  'embed src=/canary', 'math', 'a autofocus tabindex=0 href=x', 'button autofocus', 'textarea autofocus', 'form action=/canary', 'svg><animate attributeName=x dur=1s', 'svg><image href=x',
  'x-y tabindex=1 autofocus', 'template shadowrootmode=open', 'dialog open', 'meter', 'isindex', 'keygen autofocus', 'frameset', 'table background=x', 'source src=x', 'track src=x',
];
const encodings = [
  (text) => text,
  (text) => text.replace(/[<>]/g, (sign) => `&#${sign.charCodeAt(0)};`),
  (text) => text.replace(/[<>"]/g, (sign) => `&#x${sign.charCodeAt(0).toString(16)};`),
  (text) => text.replace(/[<>]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`),
  (text) => encodeURIComponent(text),
  (text) => text.replace(/[a-z]/g, (sign, i) => (i % 2 === 0 ? sign.toUpperCase() : sign)),
  (text) => text.replace(/ /g, '\t'),
  (text) => text.replace(/ /g, '/'),
  (text) => text.replace(/</g, '<\u0000'),
  (text) => text.replace(/[<>]/g, (sign) => (sign === '<' ? '\uff1c' : '\uff1e')),
  (text) => text.replace(/ /g, '\u2028'),
  (text) => text.replace(/=/g, ' = '),
  (text) => text.replace(/</g, '\u00bc').replace(/>/g, '\u00be'),
  (text) => text.replace(/script/g, 'scr\u0000ipt').replace(/on(\w)/g, 'o\u00adn$1'),
];
const contexts = [
  (text) => text,
  (text) => `">${text}`,
  (text) => `'>${text}`,
  (text) => `--></style></script></title></textarea>${text}`,
  (text) => `]]>${text}`,
  (text) => `\`-${text}`,
  (text) => `</p></li></td></option></select>${text}`,
  (text) => `<noscript><p title="</noscript>${text}">`,
  (text) => `<svg><style>${text}</style></svg>`,
  (text) => `<math><mtext><table><mglyph><style><!--</style>${text.replace(/>/g, '&gt;')}`,
  (text) => `<form><math><mtext></form><form><mglyph><style></math>${text}`,
  (text) => `<template>${text}</template>`,
  (text) => `<select><template>${text}</select>`,
  (text) => `<iframe srcdoc="${text.replace(/"/g, '&quot;')}">`,
  (text) => `<svg><foreignObject>${text}</foreignObject></svg>`,
  (text) => `<!--><img src=x>-->${text}`,
  (text) => `<xmp>${text}</xmp>${text}`,
];
const WHOLE = [
  (call) => `javascript:${call}`,
  (call) => `java\nscript:${call}`,
  (call) => `\u0001javascript:${call}`,
  (call) => `data:text/html,<script>${call}</script>`,
  (call) => `data:text/html;base64,${Buffer.from(`<script>${call}</script>`).toString('base64')}`,
  (call) => `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='${call}'/>`,
  (call) => `<script>${call}</script>`,
  (call) => `<script src="data:text/javascript,${call}"></script>`,
  (call) => `<svg><script href="data:text/javascript,${call}"/></svg>`,
  (call) => `<a href="javascript:${call}">x</a>`,
  (call) => `<svg><a xlink:href="javascript:${call}"><text y="9">x</text></a></svg>`,
  (call) => `<form action="javascript:${call}"><button>x</button></form>`,
  (call) => `<button formaction="javascript:${call}">x</button>`,
  (call) => `<meta http-equiv="refresh" content="0;url=javascript:${call}">`,
  () => '<meta http-equiv="refresh" content="0;url=/canary-meta">',
  () => '<base href="/canary-base/">',
  () => '<link rel="stylesheet" href="/canary-link">',
  () => '<style>@import "/canary-import"; * { background: url(/canary-style) }</style>',
  () => '<p style="position:fixed;inset:0;background:url(/canary-inline)">x</p>',
  () => '</style><style>#app{display:none}</style>',
  (call) => `<p style="width:expression(${call});behavior:url(x)">`,
  (call) => `{{constructor.constructor("${call}")()}}`,
  (call) => `\${${call}}`,
  (call) => `#{${call}}<%= ${call} %>{%${call}%}[[${call}]]`,
  (call) => `{@html "<img src=x onerror=${call}>"}{#if 1}`,
  (call) => `{${call}}`,
  (call) => `";${call};//`,
  (call) => `';${call};'`,
  (call) => `\`+${call}+\``,
  (call) => `</script><script>${call}</script>`,
  (call) => `\u2028${call}\u2029`,
  (call) => `+ADw-script+AD4-${call}+ADw-/script+AD4-`,
  (call) => `%3Cscript%3E${call}%3C/script%3E`,
  (call) => `&lt;img src=x onerror=${call}&gt;`,
  (call) => `__proto__[innerHTML]=<img/src/onerror=${call}>`,
  (call) => `<svg><set attributeName="onmouseover" to="${call}"/></svg>`,
  (call) => `<svg><use href="data:image/svg+xml,<svg id='x' xmlns='http://www.w3.org/2000/svg'><image href='1' onerror='${call}'/></svg>#x"></use></svg>`,
  (call) => `<?xml-stylesheet type="text/xsl" href="javascript:${call}"?>`,
  (call) => `<!DOCTYPE x [<!ENTITY y SYSTEM "/canary-entity">]><x>&y;${call}</x>`,
  (call) => `<img usemap=#m src=x><map name=m><area href="javascript:${call}" shape=default></map>`,
];

/** `count` different ones, the same for the same seed: every whole one, then tags × events × encodings × contexts. */
function payloads(count) {
  const next = random(seed);
  const pick = (from) => from[Math.floor(next() * from.length)];
  const made = new Set(WHOLE.map((whole, i) => whole(pick(CALLS(i)))));
  while (made.size < count) {
    const n = made.size;
    const tag = TAGS[n % TAGS.length];
    const event = EVENTS[Math.floor(n / TAGS.length) % EVENTS.length];
    const call = pick(CALLS(n));
    const quote = pick(['"', "'", '']);
    made.add(pick(contexts)(pick(encodings)(`<${tag} ${event}=${quote}${call}${quote}>`)));
  }
  return [...made].slice(0, count);
}

const all = payloads(COUNT);
const sets = COUNT / IN_A_TEXT;

// ---- the page ----

/** Runs inside the page: makes the texts, counts elements, and looks for what only a payload brings. */
function installCount({ all, size }) {
  /** Of a set its payloads, another one first for each field; marked so that texts that must differ do. */
  window.vitrineText = (set, number, harmless) => {
    const mine = all.slice(set * size, (set + 1) * size);
    const turn = (number * 7) % size;
    const text = [...mine.slice(turn), ...mine.slice(0, turn)].join(' ');
    // As long, of the same words, without a sign that means anything to a browser. Quotation marks stay: the screen
    // puts its own around an agent that has none.
    const plain = text.replace(/[<>&'`{}$%#/\\=;:()[\]@]/g, 'o').replace(/[\u0000-\u001f\u00ad\u2028\u2029]/g, ' ');
    return `${harmless ? plain : text} x${number}x`;
  };
  window.vitrineHits = [];
  window.vitrineCanary = (n) => window.vitrineHits.push(`ran ${n}`);
  document.addEventListener('securitypolicyviolation', (event) => window.vitrineHits.push(`refused by the policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
  const title = document.title;
  window.vitrineCount = () => {
    const counts = {};
    for (const el of document.querySelectorAll('*')) {
      if (el.closest('[data-rehearsal], [data-testid=hidden-below]') !== null) continue;
      counts[el.tagName] = (counts[el.tagName] ?? 0) + 1;
    }
    const strange = [];
    for (const el of document.body.querySelectorAll('*')) {
      for (const { name, value } of el.attributes) {
        if (/^on/i.test(name)) strange.push(`${el.tagName} ${name}=${value.slice(0, 40)}`);
        if (/^(href|src|action|formaction|srcdoc|xlink:href)$/i.test(name) && (/^\s*(javascript|data|vbscript):/i.test(value) || value.includes('canary'))) strange.push(`${el.tagName} ${name}=${value.slice(0, 40)}`);
      }
      if (/^(iframe|object|embed|script|base|meta|link|style|template|math|form|frameset|marquee)$/i.test(el.tagName) && el.getAttribute('type') !== 'module') {
        if (!(el.tagName === 'FORM' && el.hasAttribute('data-pane'))) strange.push(el.tagName);
      }
    }
    if (document.title !== title) strange.push(`title ${document.title}`);
    return { counts, strange, hits: window.vitrineHits.splice(0) };
  };
}

const model = { shapes: await shapes(), FIELDS, ROOTS, DISPLAY_TEXTS };
const found = new Map();
let cases = 0;
let texts = 0;
/** Elements of the screen with harmless words. */
let counted = {};
const started = performance.now();
const report = (what, where) => {
  const entry = found.get(what) ?? { times: 0, first: where };
  entry.times++;
  found.set(what, entry);
};

await withStage(async (browser, origin) => {
  const screens = (await screenList(browser, origin)).map(({ id }) => id).filter(
    (id) => !LEFT_OUT.some((left) => id.startsWith(left)) && (names.length > 0 ? names.some((name) => id.startsWith(name)) : !quick || QUICK.includes(id)),
  );
  let page;
  let faults;
  let where = '';
  const opened = async () => {
    await page?.close();
    ({ page, faults } = await openScreen(browser, origin, { id: 'lock', theme: 'light', size: sizeOf('1280x800') }));
    page.on('dialog', (dialog) => {
      report(`dialog: ${dialog.message()}`, where);
      void dialog.dismiss();
    });
    page.context().on('page', () => report('a new window', where));
    page.on('framenavigated', (frame) => report(`went to ${frame.url()}`, where));
    page.on('request', (request) => {
      // The small pictures and the font of the screen itself come from its build.
      if (!new URL(request.url()).pathname.startsWith('/assets/')) report(`asked for ${request.url().slice(0, 100)}`, where);
    });
    await page.evaluate(installFill, model);
    await page.evaluate(installCount, { all, size: IN_A_TEXT });
  };
  await opened();

  // Laid out is one set in five: what a payload would become is an element with or without it, and it takes most of the time.
  const show = (id, set, harmless) =>
    page.evaluate(
      async ({ id, set, harmless, laidOut }) => {
        let used = [];
        document.getElementById('app').style.contentVisibility = laidOut ? 'visible' : 'hidden';
        await window.vitrineSet(id, (world) => {
          used = window.vitrineFill(world, (_, __, number) => window.vitrineText(set, number, harmless), true);
        });
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        return { texts: used.length, ...window.vitrineCount() };
      },
      { id, set, harmless, laidOut: set % 5 === 0 },
    );

  try {
    for (const [i, id] of screens.entries()) {
      // What WebKitGTK keeps of a thousand long pages grows to gigabytes.
      if (WEBKIT && i > 0 && i % 10 === 0) await opened();
      await putAll(id, i);
    }
  } catch (lost) {
    // A payload took the page away: what had been found until then is enough.
    report(`the page was lost: ${String(lost).split('\n')[0]}`, where);
  }

  async function putAll(id, turn) {
    counted = (await show(id, 0, true)).counts;
    for (let set = 0; set < sets; set++) {
      if (set % every !== turn % every) continue;
      where = `${id}, set ${set}`;
      const shown = await show(id, set, false);
      await lookAround(page);
      cases++;
      texts += shown.texts;
      for (const each of [...shown.strange, ...shown.hits]) report(each, where);
      for (const tag of new Set([...Object.keys(shown.counts), ...Object.keys(counted)])) {
        if (shown.counts[tag] !== counted[tag]) report(`${shown.counts[tag] ?? 0} <${tag.toLowerCase()}> instead of ${counted[tag] ?? 0} on ${id}`, where);
      }
      for (const fault of faults.splice(0)) report(`fault: ${fault.slice(0, 160)}`, where);
    }
  }
});

for (const [what, { times, first }] of found) console.error(`${times} × ${what}\n    first: ${first}`);
console.log(
  `${all.length} payloads, ${cases} cases (${texts * IN_A_TEXT} payloads in fields), ${found.size} different findings, ${Math.round((performance.now() - started) / 1000)} s`,
);
process.exitCode = found.size > 0 || cases === 0 ? 1 : 0;
