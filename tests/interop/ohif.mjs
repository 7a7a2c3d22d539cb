/**
 * Another viewer in a real browser: OHIF, as it is published, reads a running server over DICOMweb.
 *
 * `node ohif.mjs --url https://HOST:PORT --ca FILE --study UID --ohif FOLDER --out FOLDER`, the token in VITRINE_TOKEN.
 * A server on loopback gives OHIF's files and hands `/dicomweb` on with the token, so that the browser sees one origin.
 * Opens the list of studies, then the study; waits until an image is drawn, scrolls, and waits until it is another one.
 * Leaves list.png, viewer.png and scrolled.png, and prints every request to the server and each check as a line of JSON.
 * With `--literal` OHIF is told that the server matches neither fuzzily nor by wildcards.
 * Ends with 1 when something was not shown or a request was refused, with 2 when it could not begin.
 */
import { readFile, writeFile, mkdir } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent, request as ask } from 'node:https';
import { extname, join, normalize } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.wasm': 'application/wasm', '.woff2': 'font/woff2', '.png': 'image/png', '.svg': 'image/svg+xml', '.ico': 'image/x-icon',
};
/** How long something may take until it is shown, ms. A browser that draws without a GPU is slow. */
const PATIENCE_MS = 60_000;

const { values: given } = parseArgs({
  options: {
    ...Object.fromEntries(['url', 'ca', 'study', 'ohif', 'out'].map((name) => [name, { type: 'string' }])),
    literal: { type: 'boolean' },
  },
});
const token = process.env.VITRINE_TOKEN;
const absent = ['url', 'ca', 'study', 'ohif', 'out'].filter((name) => given[name] === undefined);
if (absent.length > 0 || !token) {
  console.error(`needed: ${absent.map((name) => `--${name}`).join(' ')}${token ? '' : ' VITRINE_TOKEN'}`);
  process.exit(2);
}
const browserPath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path !== undefined && existsSync(path),
);
if (browserPath === undefined || !existsSync(join(given.ohif, 'index.html'))) {
  console.error(browserPath === undefined ? 'No Chromium: install the package "chromium", or name it in CHROMIUM.' : `No OHIF in ${given.ohif}`);
  process.exit(2);
}
await mkdir(given.out, { recursive: true });

let failed = 0;
/** Prints one check. */
function told(check, ok, more = {}) {
  if (!ok) failed++;
  console.log(JSON.stringify({ check, ok, ...more }));
}

/** What OHIF is told of the server (its app-config.js): everything that DICOMweb allows is switched on. */
const config = (origin) => `window.config = ${JSON.stringify({
  routerBasename: null,
  extensions: [],
  modes: [],
  customizationService: {},
  showStudyList: true,
  maxNumberOfWebWorkers: 2,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'vitrine',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'vitrine',
      configuration: {
        friendlyName: 'Vitrine',
        name: 'vitrine',
        wadoUriRoot: `${origin}/dicomweb`,
        qidoRoot: `${origin}/dicomweb`,
        wadoRoot: `${origin}/dicomweb`,
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: !given.literal,
        supportsWildcard: !given.literal,
        dicomUploadEnabled: false,
        singlepart: 'bulkdata,video,pdf',
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
})};`;

const upstream = new URL(given.url);
const agent = new Agent({ ca: readFileSync(given.ca), keepAlive: true });
const requests = [];

/** Hands a request on with the token, and notes it. */
function hand(request, response) {
  const { accept, range, 'content-type': type } = request.headers;
  const row = { method: request.method, path: request.url, accept };
  const headers = { authorization: `Bearer ${token}`, host: request.headers.host };
  if (accept !== undefined) headers.accept = accept;
  if (range !== undefined) headers.range = range;
  if (type !== undefined) headers['content-type'] = type;
  const began = performance.now();
  const up = ask({ host: upstream.hostname, port: upstream.port, path: request.url, method: request.method, agent, headers }, (answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('end', () => {
      const body = Buffer.concat(chunks);
      Object.assign(row, { status: answer.statusCode, type: answer.headers['content-type'], bytes: body.length, ms: Math.round(performance.now() - began) });
      if (answer.statusCode >= 400) row.answer = body.toString('utf8').slice(0, 400);
      const on = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !['connection', 'transfer-encoding', 'content-length', 'keep-alive'].includes(name)));
      if (!response.destroyed) response.writeHead(answer.statusCode, on).end(body);
    });
    answer.on('error', (fault) => response.destroy(fault));
  });
  up.on('error', (fault) => {
    Object.assign(row, { status: 0, answer: String(fault) });
    response.writeHead(502).end();
  });
  // What the browser no longer wants is not a refusal.
  response.on('close', () => {
    if (row.status === undefined) Object.assign(row, { gone: true });
    up.destroy();
  });
  requests.push(row);
  request.pipe(up);
}

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://stage').pathname;
  if (path.startsWith('/dicomweb')) return hand(request, response);
  // Cross-origin isolation, which OHIF asks of its host for its shared buffers.
  const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  if (path === '/app-config.js') {
    return response.writeHead(200, { ...headers, 'content-type': TYPES['.js'] }).end(config(`http://${request.headers.host}`));
  }
  const file = extname(path) === '' ? '/index.html' : normalize(path);
  try {
    const body = await readFile(join(given.ohif, file));
    response.writeHead(200, { ...headers, 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;

/** How many grey levels the first viewport shows, and a sum that tells one picture from another. */
const drawn = (page) =>
  page.evaluate(() => {
    const canvas = [...document.querySelectorAll('.cornerstone-canvas, canvas')].find((c) => c.width > 200 && c.height > 200);
    if (canvas === undefined) return { levels: 0, sum: 0 };
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const levels = new Set();
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) {
      levels.add(data[i]);
      sum = (sum * 31 + data[i]) >>> 0;
    }
    return { levels: levels.size, sum };
  });

/** Waits until `want` holds of the picture, and it stays the same for a moment. */
async function settled(page, want) {
  const until = Date.now() + PATIENCE_MS;
  let before = await drawn(page);
  while (Date.now() < until) {
    await page.waitForTimeout(500);
    const now = await drawn(page);
    if (want(now) && now.sum === before.sum) return now;
    before = now;
  }
  return before;
}

const browser = await chromium.launch({
  executablePath: browserPath,
  headless: true,
  // Without a GPU the images are drawn by WebGL in software.
  args: ['--no-sandbox', '--disable-background-networking', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
});
try {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text().slice(0, 300));
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(blob|data):/.test(url)) faults.push(`asked for ${url}`);
  });
  const shot = (name) => page.screenshot({ path: join(given.out, name) });

  const listed = page.waitForResponse((answer) => new URL(answer.url()).pathname === '/dicomweb/studies');
  await page.goto(`${origin}/`);
  const answer = await listed;
  const count = answer.status() === 200 ? (await answer.json()).length : 0;
  await page.waitForTimeout(3_000);
  await shot('list.png');
  const rows = await page.locator('tbody tr, [data-cy="study-list-results"] tr').count();
  told('list', answer.status() === 200 && count > 0 && rows >= count, { status: answer.status(), studies: count, rows });

  await page.goto(`${origin}/viewer?StudyInstanceUIDs=${given.study}`);
  const first = await settled(page, (now) => now.levels > 16);
  told('drawn', first.levels > 16, first);
  // On its first visit OHIF lays a tour over the images.
  await page.getByText('Skip all').click({ timeout: 5_000 }).catch(() => {});
  await page.waitForTimeout(1_000);
  await shot('viewer.png');
  const view = page.locator('.cornerstone-canvas, canvas').first();
  const box = await view.boundingBox().catch(() => null);
  if (box !== null) {
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    const before = await settled(page, (now) => now.levels > 16);
    for (let i = 0; i < 5; i++) {
      await page.mouse.wheel(0, 120);
      await page.waitForTimeout(200);
    }
    const after = await settled(page, (now) => now.sum !== before.sum && now.levels > 16);
    await shot('scrolled.png');
    told('scrolled', after.sum !== before.sum && after.levels > 16, { before: before.sum, after: after.sum });
  }
  for (const fault of new Set(faults)) console.log(JSON.stringify({ page: fault }));
} catch (fault) {
  told('browser', false, { detail: String(fault).slice(0, 600) });
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
  agent.destroy();
}
for (const row of requests) console.log(JSON.stringify(row));
for (const row of requests.filter((r) => r.status === 0 || r.status >= 400)) told('request', false, row);
told('frames', requests.some((r) => r.status === 200 && r.path.includes('/frames/')));
await writeFile(join(given.out, 'requests.json'), JSON.stringify(requests, null, 1));
process.exitCode = failed > 0 ? 1 : 0;
