/**
 * Serves the fake build on loopback under the very Content-Security-Policy of the window and opens it in Chromium, or with
 * `VITRINE_BROWSER=webkit` in the WebKitGTK of the workstation, so that every script here sees what ships.
 */
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { launch as launchWebkit } from './webkit.mjs';

/** Another build than `dist-fake/` may be named in VITRINE_STAGE. */
const root = process.env.VITRINE_STAGE ?? fileURLToPath(new URL('../dist-fake/', import.meta.url));
const config = JSON.parse(await readFile(new URL('../../tauri.conf.json', import.meta.url), 'utf8'));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.woff2': 'font/woff2', '.png': 'image/png' };

/** Sizes of the window that every screen has to bear; the first is the one that is looked at most. */
export const SIZES = [
  { name: '1280x800', width: 1280, height: 800, scale: 1 },
  { name: '1920x1080', width: 1920, height: 1080, scale: 1 },
  { name: '1280x800-at-200', width: 640, height: 400, scale: 2 },
  { name: '1024x768', width: 1024, height: 768, scale: 1 },
  { name: '2560x1440', width: 2560, height: 1440, scale: 1 },
  { name: '3840x2160-at-200', width: 1920, height: 1080, scale: 2 },
];
/** The size of a name, e.g. "1280x800-at-200". */
export function sizeOf(name) {
  const size = SIZES.find((each) => each.name === name);
  if (size === undefined) throw new Error(`no size ${name}`);
  return size;
}
export const THEMES = ['light', 'night'];

/** The browser of the machine. */
export function chromiumPath() {
  const found = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (path) => path !== undefined && existsSync(path),
  );
  if (found === undefined) throw new Error('No Chromium: install the package "chromium", or name it in CHROMIUM.');
  return found;
}

/** Whether the scripts run in WebKitGTK. */
export const WEBKIT = process.env.VITRINE_BROWSER === 'webkit';

/** Playwright gives the browser an empty profile of its own and removes it. */
const launchChromium = (more) =>
  chromium.launch({
    executablePath: chromiumPath(),
    headless: true,
    args: ['--no-sandbox', ...(more.length > 0 ? more : ['--disable-gpu']), '--disable-background-networking', '--force-color-profile=srgb'],
  });

/** Runs `use` with a page opener; ends browser and server whatever happens. `more` are switches of Chromium. */
export async function withStage(use, more = []) {
  let browser;
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://stage').pathname;
    // What a page asks for is seen here where the driver does not tell.
    if (WEBKIT && path !== '/favicon.ico') for (const page of browser?.pages ?? []) page.tell('request', { url: () => new URL(request.url, origin).href });
    if (path === '/favicon.ico') return response.writeHead(204).end();
    const file = join(root, normalize(path === '/' ? '/index.html' : path));
    try {
      const body = await readFile(file);
      response.writeHead(200, {
        'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
        'cache-control': 'max-age=3600',
        'content-security-policy': config.app.security.csp,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const origin = `http://127.0.0.1:${server.address().port}`;
  try {
    browser = WEBKIT ? launchWebkit() : await launchChromium(more);
    await use(browser, origin);
  } finally {
    await browser?.close();
    server.close();
  }
}

/** One context for each size: pages of it share their cache. */
const contexts = new Map();
function contextFor(browser, size) {
  // The promise is kept: two who open at once get the same one.
  let context = contexts.get(size.name);
  if (context === undefined) {
    context = browser.newContext({ viewport: { width: size.width, height: size.height }, deviceScaleFactor: size.scale });
    contexts.set(size.name, context);
  }
  return context;
}

/** What a page says wrong from now on: console errors, CSP violations, remote requests. */
function faultsOf(page, origin) {
  const faults = [];
  page.on('console', (message) => {
    // The screenshot itself makes the driver complain.
    if (message.text().includes('GPU stall due to ReadPixels')) return;
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(origin)) faults.push(`asked for ${request.url()}`);
  });
  return faults;
}

const painted = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 60)))));

async function ready(page) {
  await page.waitForFunction(() => window.vitrineReady === true);
  await page.evaluate(() => document.fonts.ready);
  await painted(page);
}

/** What the screens say in every script that opens them here: `VITRINE_LANGUAGE=de npm run screens`. */
const LANGUAGE = process.env.VITRINE_LANGUAGE ?? 'en';

async function load(page, origin, { id, theme, language = LANGUAGE }) {
  await page.goto(`${origin}/?screen=${id}&theme=${theme}&language=${language}`);
  await ready(page);
}

/** Opens one screen in a page of its own; what the page says wrong is collected. */
export async function openScreen(browser, origin, { id, theme, size, language }) {
  const page = WEBKIT ? await browser.newPage(size) : await (await contextFor(browser, size)).newPage();
  const faults = faultsOf(page, origin);
  await load(page, origin, { id, theme, language });
  return { page, faults };
}

/**
 * A page for one screen after the other, at any size and in both themes: much cheaper than a page for each. It has a
 * window of its own, because pages behind another one in a window are given a frame a second.
 */
export async function openWindow(browser, origin) {
  const context = await browser.newContext({ viewport: null });
  const page = await context.newPage();
  const faults = faultsOf(page, origin);
  // The driver can change the size of a page but not its scale.
  const session = await context.newCDPSession(page);
  const resize = ({ width, height, scale }) =>
    session.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: scale, mobile: false });
  return {
    page,
    faults,
    /** The document is loaded anew. */
    open: async (id, theme, size) => {
      await resize(size);
      await load(page, origin, { id, theme });
    },
    /** The screen is left and entered again at another size: some look at the room they have when they are opened. */
    enter: async (id, theme, size) => {
      await resize(size);
      // Not waited for here: a screen that is never ready ends the wait below, and what it throws is reported by the page.
      await page.evaluate(([id, theme]) => {
        window.vitrineReady = false;
        window.vitrineTheme(theme);
        void window.vitrineSet(id).finally(() => (window.vitrineReady = true));
      }, [id, theme]);
      await ready(page);
    },
    /** As a person switches it. */
    switchTo: async (theme) => {
      await page.evaluate((theme) => window.vitrineTheme(theme), theme);
      await painted(page);
    },
    close: () => context.close(),
  };
}

/** Has the page tell what WebKitGTK's driver does not tell by itself: a dialog, a window more, a fault, where it went. */
export async function lookAround(page) {
  if (WEBKIT) await page.look();
}

/** The list of screens that the fake build knows. */
export async function screenList(browser, origin) {
  const { page } = await openScreen(browser, origin, { id: 'lock', theme: 'light', size: SIZES[0] });
  const list = await page.evaluate(() => window.vitrineScreens);
  await page.close();
  return list;
}
