/**
 * The web console in Chromium, under the very Content-Security-Policy that the server sends, below `/console/`:
 * `npm run console [-- --out DIR] [SCREEN…]`. Every state × size × theme is opened and pictured; axe finds nothing, nothing is
 * wider than its room, nothing is cut; a whole review, the revocation of a workstation, and dropping a message, are walked by keys alone; and
 * hostile texts stand in every field of every answer, of which none may run, ask for anything, or become an element (S28). The
 * builds themselves are looked at: nothing inline, and of workstation and console neither in the other. Ends with 1 on a finding.
 */
import { createServer } from 'node:http';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CONSOLE_FIELDS, consoleFields } from './outside.mjs';
import { chromiumPath } from './stage.mjs';
import { chromium } from 'playwright-core';

const args = process.argv.slice(2);
const at = args.indexOf('--out');
const out = at === -1 ? fileURLToPath(new URL('../console-screens/', import.meta.url)) : args.splice(at, 2)[1];
const names = args.filter((each) => !each.startsWith('--'));
const root = fileURLToPath(new URL('../dist-console-fake/', import.meta.url));
const shipped = fileURLToPath(new URL('../dist-console/', import.meta.url));
const workstation = fileURLToPath(new URL('../dist/', import.meta.url));
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.woff2': 'font/woff2' };
const SIZES = [
  { name: '1280x800', width: 1280, height: 800, scale: 1 },
  { name: '1024x768', width: 1024, height: 768, scale: 1 },
  { name: '1280x800-at-200', width: 640, height: 400, scale: 2 },
];
const THEMES = ['light', 'night'];
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let bad = 0;
const finding = (where, what) => {
  bad++;
  console.error(`${where}: ${what}`);
};

// ---- the builds ----

async function textOf(folder) {
  const files = await readdir(folder, { recursive: true });
  const texts = await Promise.all(files.filter((file) => /\.(html|js|css)$/.test(file)).map((file) => readFile(join(folder, file), 'utf8')));
  return texts.join('\n');
}

const index = await readFile(join(shipped, 'index.html'), 'utf8');
if (/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i.test(index)) finding('dist-console', 'something stands inline in index.html: the policy refuses it');
if (/(?:src|href)="(?!\.\/)/.test(index)) finding('dist-console', 'an address of index.html does not begin at the page: it would not work below /console/');
const bundle = await textOf(shipped);
for (const word of ['__TAURI', 'plugin:', 'vitrineConsole', 'JONES, Mary', 'eval(', 'new Function']) if (bundle.includes(word)) finding('dist-console', `holds ${word}`);
try {
  const other = await textOf(workstation);
  for (const word of ['/console/api', 'x-vitrine-csrf', 'Vitrine console']) if (other.includes(word)) finding('dist', `the workstation's build holds ${word} of the console`);
} catch (error) {
  if (error.code !== 'ENOENT') throw error;
  console.log('dist/ is not built: that the workstation holds nothing of the console was not looked at');
}

// ---- the page ----

/** What the server was asked for that is no file of the build. */
const strange = [];
const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://console').pathname;
  if (path === '/favicon.ico') return response.writeHead(204).end();
  const file = path === '/console/' ? 'index.html' : path.startsWith('/console/') ? normalize(path.slice('/console/'.length)) : null;
  try {
    if (file === null || file.startsWith('..')) throw new Error('none');
    const body = await readFile(join(root, file));
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': CSP, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
    response.end(body);
  } catch {
    strange.push(request.url);
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: chromiumPath(), headless: true, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--force-color-profile=srgb'] });

async function open(size, faults, options = {}) {
  const context = await browser.newContext({ viewport: { width: size.width, height: size.height }, deviceScaleFactor: size.scale, timezoneId: 'Europe/Zurich', colorScheme: options.colorScheme ?? 'light' });
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('dialog', (dialog) => {
    if (dialog.type() !== 'beforeunload') faults.push(`a native dialog: ${dialog.message()}`);
    void dialog.accept();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/console/`) && !request.url().endsWith('/favicon.ico')) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(`${origin}/console/${options.language === undefined ? '' : `?language=${options.language}`}`);
  await page.waitForFunction(() => window.vitrineReady === true);
  await page.evaluate(() => document.fonts.ready);
  return page;
}
const painted = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 60)))));

/** Runs inside the page: what is wider than its room, or cut by its box. */
function lost() {
  const found = [];
  const name = (el) => `${el.localName}${el.dataset?.testid ? `[${el.dataset.testid}]` : ''}`;
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.push(`scrolls sideways: ${page.scrollWidth} in ${page.clientWidth}`);
  for (const el of document.querySelectorAll('#app *')) {
    if (el.closest('.visually-hidden, .head, svg') !== null) continue;
    const style = getComputedStyle(el);
    if (/hidden|clip/.test(style.overflowX) && el.scrollWidth > el.clientWidth + 1) found.push(`cut: ${name(el)}`);
    const box = el.getBoundingClientRect();
    if (box.width > 0 && (box.right > page.clientWidth + 1 || box.left < -1)) found.push(`beyond the edge: ${name(el)} ${Math.round(box.left)} to ${Math.round(box.right)}`);
    // Words that run out of their box without making the page wider lie over what stands beside them.
    if (el.scrollWidth > el.clientWidth + 2 && el.clientWidth > 0 && /flex|grid|block/.test(style.display) && style.overflowX === 'visible') found.push(`wider than its box: ${name(el)} ${el.scrollWidth} in ${el.clientWidth}`);
  }
  return [...new Set(found)].slice(0, 6);
}

async function violations(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return (await window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] })).violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ target }) => target.join(' ')).join(' | ')}`);
  });
}

async function everyState() {
  await mkdir(out, { recursive: true });
  let runs = 0;
  for (const size of SIZES) {
    const faults = [];
    const page = await open(size, faults);
    const screens = (await page.evaluate(() => window.vitrineConsole.screens)).filter((id) => names.length === 0 || names.some((each) => id.startsWith(each)));
    for (const id of screens) {
      for (const theme of THEMES) {
        const where = `${id} ${theme} ${size.name}`;
        try {
          await page.evaluate(([id, theme]) => window.vitrineConsole.set(id, theme), [id, theme]);
          await painted(page);
          // The word comes after 300 ms, the second after 2 s.
          if (id.endsWith('loading') || id.endsWith('waiting')) await page.waitForFunction(() => document.querySelector('[data-testid=loading] p')?.textContent?.startsWith('Still'));
          for (const what of await page.evaluate(lost)) finding(where, what);
          for (const what of await violations(page)) finding(where, what);
          await page.screenshot({ path: join(out, `${id}.${theme}.${size.name}.png`), fullPage: true });
        } catch (error) {
          finding(where, String(error).split('\n')[0]);
        }
        for (const fault of faults.splice(0)) finding(where, fault);
        runs++;
      }
    }
    await page.context().close();
  }
  console.log(`${runs} states × themes × sizes looked at, pictures in ${out}`);
}

/** In German and in the pseudo-locale, both longer: what is lost. */
async function otherLanguages() {
  for (const language of ['de', 'qps-ploc']) {
    for (const size of [SIZES[0], SIZES[2]]) {
      const faults = [];
      const page = await open(size, faults, { language });
      for (const id of await page.evaluate(() => window.vitrineConsole.screens)) {
        await page.evaluate((id) => window.vitrineConsole.set(id, 'light'), id);
        await painted(page);
        for (const what of await page.evaluate(lost)) finding(`${id} ${language} ${size.name}`, what);
      }
      for (const fault of faults) finding(`${language} ${size.name}`, fault);
      await page.context().close();
    }
  }
}

// ---- the build that ships, and what it really sends ----

/** A server of a few answers, which looks at each request as the real one does. */
async function shippedBuild() {
  const where = 'the shipped build';
  const asked = [];
  const now = Date.now();
  const session = { user: 'privacy', name: 'Dr OFFICER, Pat', role: 'privacy officer', csrf: 'c5f', idle_s: 900, ends_ms: now + 3.6e6, now_ms: now, may: { reviews: true, audit: false, devices: false, people: false, policy: true, messages: false, message_texts: false }, by: 'pwd', totp: { on: false, offered: true, recovery: 0 } };
  const answers = {
    'GET ways': [200, { provider: false }], 'GET session': [401, { error: 'not-signed-in', text: 'Sign in.' }], 'POST sign-in': [200, session], 'POST sign-out': [204, null],
    'GET reviews': [200, { now_ms: now, open_only: true, rows: [], more: false, waiting: 0, overdue: 0 }],
  };
  const real = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://console');
    const headers = { 'content-security-policy': CSP, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };
    if (pathname.startsWith('/console/api/')) {
      const what = `${request.method} ${pathname.slice('/console/api/'.length)}`;
      asked.push({ what, ...request.headers });
      const [status, body] = answers[what] ?? [404, { error: 'not-found', text: 'None.' }];
      response.writeHead(status, { ...headers, 'content-type': 'application/json' });
      return response.end(body === null ? undefined : JSON.stringify(body));
    }
    try {
      const file = pathname === '/console/' ? 'index.html' : normalize(pathname.slice('/console/'.length));
      const body = await readFile(join(shipped, file));
      response.writeHead(200, { ...headers, 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => real.listen(0, '127.0.0.1', listening));
  const at = `http://127.0.0.1:${real.address().port}`;
  const context = await browser.newContext({ viewport: SIZES[0], colorScheme: 'dark' });
  try {
    const page = await context.newPage();
    page.on('pageerror', (error) => finding(where, String(error)));
    page.on('console', (message) => {
      // The browser itself says that it was answered 401.
      if (message.type() === 'error' && !/401|favicon/.test(message.text() + message.location().url)) finding(where, message.text());
    });
    await page.goto(`${at}/console/`);
    await page.locator('[data-testid=user]').fill('privacy');
    await page.locator('[data-testid=secret]').fill('correct horse');
    await page.keyboard.press('Enter');
    await page.locator('[data-testid=empty]').waitFor();
    expect(where, 'it wears what the computer prefers', await page.evaluate(() => document.documentElement.dataset.theme), 'night');
    expect(where, 'and keeps nothing of its own accord', await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length), 0);
    await page.locator('[data-testid=sign-out]').click();
    await page.locator('[data-testid=why-out]').waitFor();
    const said = (what, name) => asked.find((each) => each.what === what)?.[name];
    for (const what of ['POST sign-in', 'POST sign-out']) {
      expect(where, `${what}: its origin`, said(what, 'origin'), at);
      expect(where, `${what}: its kind`, said(what, 'content-type'), 'application/json');
      expect(where, `${what}: from where`, said(what, 'sec-fetch-site'), 'same-origin');
    }
    expect(where, 'the token goes with what changes something', said('POST sign-out', 'x-vitrine-csrf'), session.csrf);
    expect(where, 'and not with what reads', String(said('GET reviews', 'x-vitrine-csrf')), 'undefined');
  } catch (error) {
    finding(where, String(error).split('\n')[0]);
  } finally {
    await context.close();
    real.close();
  }
}

// ---- by keys alone ----

const focus = (page) => page.evaluate(() => `${document.activeElement?.localName ?? ''}|${document.activeElement?.getAttribute('data-testid') ?? ''}|${(document.activeElement?.textContent ?? '').trim().slice(0, 60)}`);
/** Tab until something has the focus, as who has no pointer does; each that is passed has to show it. */
async function tabTo(page, testid, where) {
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const el = document.activeElement;
      if (el === null || el === document.body) return { ring: true, testid: '' };
      const has = (of) => of.outlineStyle !== 'none' && parseFloat(of.outlineWidth) >= 2;
      return { ring: has(getComputedStyle(el)) || has(getComputedStyle(el, '::after')), testid: el.getAttribute('data-testid') ?? el.textContent?.trim().slice(0, 30), place: el.localName };
    });
    if (!seen.ring) finding(where, `no ring of focus on ${seen.place} ${seen.testid}`);
    if (seen.testid === testid) return;
  }
  throw new Error(`Tab does not come to ${testid}`);
}
const expect = (where, what, is, wanted) => {
  if (!(wanted instanceof RegExp ? wanted.test(is) : is === wanted)) finding(where, `${what}: "${is}", not ${wanted}`);
};

async function byKeys(size) {
  const where = `by keys ${size.name}`;
  const faults = [];
  const page = await open(size, faults);
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
    await painted(page);
  };
  const text = (testid) => page.locator(`[data-testid="${testid}"]`).first().innerText();
  try {
    await page.evaluate(() => window.vitrineConsole.set('sign-in', 'light'));
    await painted(page);
    expect(where, 'sign-in begins in the name', await focus(page), /\|user\|/);
    await page.keyboard.type('privacy');
    await press('Tab');
    await page.keyboard.type('wrong');
    await press('Enter');
    expect(where, 'a wrong secret is typed again', await focus(page), /\|secret\|/);
    expect(where, 'and said', await text('sign-in-error'), /wrong/);
    await page.keyboard.type('correct horse');
    await press('Enter');
    expect(where, 'the page is read from its heading', await focus(page), /^h1\|\|Reviews of emergency access/);
    await press('j');
    expect(where, 'J goes to the first row', await focus(page), /Dr Jo Smith/);
    await press('ArrowDown', 'j', 'k');
    expect(where, 'arrows and J, K move', await focus(page), /Dr OKAFOR/);
    await press('/');
    await page.keyboard.type('rao');
    await painted(page);
    expect(where, 'the filter is counted', await text('filtered'), '1 of 7 shown.');
    await press('ArrowDown');
    expect(where, 'from the filter to the row', await focus(page), /Dr RAO/);
    await press('Enter');
    expect(where, 'Enter opens', await focus(page), /^h1\|\|Review of an emergency access/);
    expect(where, 'and the patient is shown', await text('patient'), /JONES, Mary[\s\S]*recorded/);
    await press('Escape');
    expect(where, 'Esc goes back', await focus(page), /^h1\|\|Reviews/);
    await press('j');
    expect(where, 'to the row it came from', await focus(page), /Dr RAO/);
    await press('Enter');
    await tabTo(page, 'act-confirm', where);
    await press('Enter');
    expect(where, 'without words it asks for them', await focus(page), /\|words\|/);
    await page.keyboard.type('I read the record: I agree.');
    // The letter keys of the list are letters here.
    await page.keyboard.type(' jk/');
    await tabTo(page, 'act-confirm', where);
    await press('Enter');
    expect(where, 'the second look begins at the safe answer', await focus(page), /\|sure-not\|/);
    await press('Enter');
    expect(where, 'which changes nothing', String((await page.evaluate(() => window.vitrineConsole.world.sent)).length), '2');
    expect(where, 'and the focus is where it was', await focus(page), /\|act-confirm\|/);
    await press('Enter', 'Escape');
    expect(where, 'Esc says no as well', String((await page.evaluate(() => window.vitrineConsole.world.sent)).length), '2');
    await press('Enter', 'Tab');
    expect(where, 'Tab goes to the act', await focus(page), /\|sure-yes\|/);
    await press('Enter');
    expect(where, 'it is recorded', await text('done'), /Recorded: Confirm misuse/);
    expect(where, 'and heard', await page.locator('[data-testid=said]').textContent(), /Recorded: Confirm misuse/);
    const sent = await page.evaluate(() => window.vitrineConsole.world.sent.at(-1));
    expect(where, 'what is sent', JSON.stringify(sent), JSON.stringify({ how: 'confirm', text: 'I read the record: I agree. jk/' }));
    await press('Escape');
    // The sign-in ends while a decision is typed: it is kept, and sent after signing in again.
    await press('j', 'Enter');
    await tabTo(page, 'words', where);
    await page.keyboard.type('Kept over the end of the sign-in.');
    await page.evaluate(() => (window.vitrineConsole.world.signedIn = false));
    await tabTo(page, 'act-appropriate', where);
    await press('Enter');
    expect(where, 'a sign-in that ended asks for another', await focus(page), /\|user\|/);
    expect(where, 'says that words are kept', await text('kept'), /kept on this page/);
    expect(where, 'and shows no patient', String((await page.locator('body').innerText()).includes('JONES')), 'false');
    await page.keyboard.type('privacy');
    await press('Tab');
    await page.keyboard.type('correct horse');
    await press('Enter');
    await press('j');
    expect(where, 'the cursor is on that review', await page.evaluate(() => document.activeElement?.closest('[data-review]')?.textContent ?? ''), /Your words are kept/);
    await press('Enter');
    expect(where, 'the words are there', await page.locator('[data-testid=words]').inputValue(), 'Kept over the end of the sign-in.');
    await tabTo(page, 'act-appropriate', where);
    await press('Enter');
    expect(where, 'and are sent', await text('done'), /Recorded: Appropriate/);
    // On to the workstations, to revoke one.
    await page.evaluate(() => document.querySelector('h1')?.blur());
    await page.keyboard.press('Home');
    await tabTo(page, 'page-devices', where);
    await press('Enter');
    expect(where, 'another page is read from its heading', await focus(page), /^h1\|\|Workstations/);
    await press('j', 'Enter');
    await tabTo(page, 'revoke', where);
    await press('Enter');
    expect(where, 'the reason comes first', await focus(page), /\|revoke-reason\|/);
    await tabTo(page, 'revoke-yes', where);
    await press('Enter');
    expect(where, 'and is needed', await focus(page), /\|revoke-reason\|/);
    await page.keyboard.type('Stolen.');
    await tabTo(page, 'revoke-yes', where);
    await press('Enter');
    expect(where, 'it is revoked', await text('device-row'), /revoked/);
    expect(where, 'and heard', await page.locator('[data-testid=said]').textContent(), /ED-07 is revoked/);
    // On to the interfaces, to drop a held message.
    await page.evaluate(() => document.querySelector('h1')?.focus());
    for (let n = 0; n < 12 && !/page-interfaces/.test(await focus(page)); n++) await page.keyboard.press('Shift+Tab');
    await press('Enter');
    expect(where, 'the interfaces are read from their heading', await focus(page), /^h1\|\|Interfaces/);
    await press('/');
    expect(where, 'the filter is a feed', await focus(page), /\|filter-feed\|/);
    await press('Escape', 'j', 'Enter');
    await page.locator('[data-testid=message-lines]').waitFor();
    await tabTo(page, 'message-drop', where);
    await press('Enter');
    expect(where, 'the reason comes first', await focus(page), /\|drop-reason\|/);
    await page.keyboard.type('A test of the laboratory: jk/');
    await press('Escape', 'Escape');
    expect(where, 'Esc leaves the field, then the form', String(await page.locator('[data-testid=drop-reason]').count()), '0');
    await tabTo(page, 'message-drop', where);
    await press('Enter');
    expect(where, 'what was typed is kept', await page.locator('[data-testid=drop-reason]').inputValue(), 'A test of the laboratory: jk/');
    await tabTo(page, 'drop-send', where);
    await press('Enter');
    expect(where, 'it is dropped', await text('message-done'), /Dropped/);
    expect(where, 'and heard', await page.locator('[data-testid=said]').textContent(), /Dropped/);
  } catch (error) {
    finding(where, String(error).split('\n')[0]);
    await page.screenshot({ path: join(out, `keys.${size.name}.png`) });
  }
  for (const fault of faults) finding(where, fault);
  await page.context().close();
}

// ---- payloads ----

const PAYLOADS = [
  '<script>vitrineRan(1)</script>', '<img src=x onerror=vitrineRan(2)>', '<svg onload=vitrineRan(3)>', '"><img src=x onerror=vitrineRan(4)>', "'><svg/onload=vitrineRan(5)>", '<iframe srcdoc="<script>parent.vitrineRan(6)</script>">',
  '<a href="javascript:vitrineRan(7)">x</a>', 'javascript:vitrineRan(8)', '<details open ontoggle=vitrineRan(9)>', '<input autofocus onfocus=vitrineRan(10)>', '</textarea><script>vitrineRan(11)</script>', '</title></style><script>vitrineRan(12)</script>',
  '<style>#app{display:none}</style>', '<style>@import "/canary-import";*{background:url(/canary-style)}</style>', '<link rel=stylesheet href=/canary-link>', '<meta http-equiv=refresh content="0;url=/canary-meta">', '<base href=/canary-base/>',
  '<form action=/canary-form><button autofocus>x</button></form>', '<math><mtext><table><mglyph><style><!--</style><img src=x onerror=vitrineRan(19)>', '<template shadowrootmode=open><img src=x onerror=vitrineRan(20)></template>', "{@html '<img src=x onerror=vitrineRan(21)>'}", '{{constructor.constructor("vitrineRan(22)")()}}',
  '${vitrineRan(23)}', "';vitrineRan(24);'", '<svg><animate onbegin=vitrineRan(25) attributeName=x dur=1s>', '<object data="data:text/html,<script>vitrineRan(26)</script>">', '<video src=x onerror=vitrineRan(27)>', '<body onpageshow=vitrineRan(28)>', '&lt;img src=x onerror=vitrineRan(29)&gt;', '%3Cscript%3EvitrineRan(30)%3C/script%3E',
  '<p style="position:fixed;inset:0;background:url(/canary-inline)">x</p>', '\u2028<script>vitrineRan(32)</script>', '<marquee onstart=vitrineRan(33)>x</marquee>', '<embed src=/canary-embed>', '<xmp><img src=x onerror=vitrineRan(35)></xmp>', '__proto__[innerHTML]=<img src=x onerror=vitrineRan(36)>',
];

async function payloads() {
  const faults = [];
  const page = await open(SIZES[0], faults);
  const engine = Object.entries(CONSOLE_FIELDS).filter(([, kind]) => kind === 'engine').map(([field]) => field);
  await page.evaluate(() => {
    window.vitrineRanOf = [];
    window.vitrineRan = (n) => window.vitrineRanOf.push(`ran ${n}`);
    document.addEventListener('securitypolicyviolation', (event) => window.vitrineRanOf.push(`refused by the policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
    window.vitrineElements = () => {
      const counts = {};
      const bad = [];
      for (const el of document.querySelectorAll('body, body *')) {
        counts[el.localName] = (counts[el.localName] ?? 0) + 1;
        for (const { name, value } of el.attributes) {
          if (/^on/i.test(name) || /^\s*(javascript|data|vbscript):/i.test(value) || (/^(href|src|action|formaction|srcdoc)$/i.test(name) && /canary|vitrineRan/.test(value))) bad.push(`${el.localName} ${name}=${value.slice(0, 40)}`);
        }
      }
      return { counts, bad, ran: window.vitrineRanOf.splice(0) };
    };
  });
  let texts = 0;
  let shown = 0;
  const screens = (await page.evaluate(() => window.vitrineConsole.screens)).filter((id) => names.length === 0 || names.some((each) => id.startsWith(each)));
  for (const id of screens) {
    const look = async (harmless, turn) => {
      const given = await page.evaluate(async ({ id, payloads, engine, harmless, turn }) => {
        let n = 0;
        const text = (field, was) => {
          if (engine.includes(field) || was === '') return was;
          const first = (n++ + turn) % payloads.length;
          const whole = [...payloads.slice(first), ...payloads.slice(0, first)].join(' ');
          // As long, of the same words, without a sign that means anything to a browser.
          return `${harmless ? whole.replace(/[<>&'"`{}$%#/\\=;:()[\]@\u2028]/g, 'o') : whole} ${n}`;
        };
        await window.vitrineConsole.set(id, 'light', text);
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))));
        return n;
      }, { id, payloads: PAYLOADS, engine, harmless, turn });
      const told = await page.evaluate(() => ({ ...window.vitrineElements(), words: document.body.innerText }));
      return { given, ...told };
    };
    const plain = await look(true, 0);
    for (const turn of [0, 13]) {
      const where = `payloads ${id} ${turn}`;
      const hostile = await look(false, turn);
      texts += hostile.given;
      if (hostile.given > 0 && hostile.words.includes(PAYLOADS[0])) shown++;
      for (const what of [...hostile.ran, ...hostile.bad]) finding(where, what);
      for (const name of new Set([...Object.keys(plain.counts), ...Object.keys(hostile.counts)])) if (plain.counts[name] !== hostile.counts[name]) finding(where, `${hostile.counts[name] ?? 0} elements ${name}, with plain words ${plain.counts[name] ?? 0}`);
      for (const what of await page.evaluate(lost)) finding(where, what);
    }
  }
  for (const fault of faults) finding('payloads', fault);
  if (shown === 0) finding('payloads', 'no payload was seen on any page: nothing was proven');
  console.log(`${PAYLOADS.length} payloads in ${texts} texts on ${screens.length} states, seen as words on ${shown} looks`);
  await page.context().close();
}

// ---- colours: what the computer prefers, and what was chosen ----

async function colours() {
  const faults = [];
  const page = await open(SIZES[0], faults, { colorScheme: 'dark' });
  const worn = () => page.evaluate(() => document.documentElement.dataset.theme);
  await page.evaluate(() => localStorage.removeItem('vitrine-theme'));
  await page.locator('[data-testid=theme]').click();
  const first = await worn();
  await page.locator('[data-testid=theme]').click();
  const second = await worn();
  expect('colours', 'the switch turns them', [first, second].sort().join(' '), 'light night');
  expect('colours', 'and is kept', await page.evaluate(() => JSON.stringify({ ...localStorage })), JSON.stringify({ 'vitrine-theme': second }));
  for (const fault of faults) finding('colours', fault);
  await page.context().close();
}

try {
  await consoleFields();
  await everyState();
  if (names.length === 0) for (const size of SIZES) await byKeys(size);
  await payloads();
  if (names.length === 0) for (const look of [otherLanguages, shippedBuild, colours]) await look();
  for (const url of strange) finding('server', `asked for ${url}`);
} finally {
  await browser.close();
  server.close();
}
console.log(`the console: ${bad} findings; ${Math.round(Buffer.byteLength(bundle) / 1024)} KiB of script, style and page are shipped`);
process.exitCode = bad > 0 ? 1 : 0;
