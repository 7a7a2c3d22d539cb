/**
 * The WebKitGTK of the workstation in place of Chromium: MiniBrowser of the same library under WebKitWebDriver, on a
 * virtual display. Gives stage.mjs the few functions of a page that the scripts use; `VITRINE_BROWSER=webkit npm run …`
 * runs them here.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const MINI_BROWSER = [process.env.MINI_BROWSER, '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser', '/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser', '/usr/libexec/webkit2gtk-4.1/MiniBrowser'];
/** A script of these pages takes seconds at most; one that takes longer is a page that hangs. */
const SCRIPT_MS = 120_000;

function miniBrowser() {
  const found = MINI_BROWSER.find((path) => path !== undefined && existsSync(path));
  if (found === undefined) throw new Error('No MiniBrowser of WebKitGTK 4.1: install the package "libwebkit2gtk-4.1-0", or name it in MINI_BROWSER.');
  return found;
}

/** A port that nobody listened on a moment ago. */
function freePort() {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** Asks the driver over a connection of its own: one that is kept may be closed while something is sent over it. */
function sent(method, url, body) {
  return new Promise((done, failed) => {
    const asked = request(url, { method, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (data) => (text += data));
      answer.once('end', () => done({ status: answer.statusCode, text }));
      answer.once('error', failed);
    });
    asked.once('error', failed);
    asked.setTimeout(SCRIPT_MS + 10_000, () => asked.destroy(new Error('the page does not answer')));
    asked.end(body);
  });
}

/** A display of its own; Xvfb chooses the number and writes it to the third file. */
async function display(width, height) {
  const xvfb = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', `${width}x${height}x24`, '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const number = await new Promise((done, failed) => {
    let text = '';
    xvfb.once('error', () => failed(new Error('No Xvfb: install the package "xvfb".')));
    xvfb.once('exit', () => failed(new Error('Xvfb ended at its start.')));
    xvfb.stdio[3].on('data', (data) => {
      text += data;
      if (text.includes('\n')) done(text.trim());
    });
  });
  return { xvfb, name: `:${number}` };
}

/** One page of WebKitGTK in a window of `size`, with the functions of a Playwright page that the scripts use. */
class Page {
  #kids;
  #home;
  #session;
  #listeners = new Map();
  #at = '';

  static async open(size) {
    const page = new Page();
    // Room for the bars of MiniBrowser beside the page.
    const { xvfb, name } = await display((size.width + 200) * size.scale, (size.height + 400) * size.scale);
    page.#home = await mkdtemp(join(tmpdir(), 'vitrine-webkit-'));
    const port = await freePort();
    const env = { ...process.env, HOME: page.#home, XDG_RUNTIME_DIR: page.#home, DISPLAY: name, GDK_BACKEND: 'x11', GDK_SCALE: String(size.scale), NO_AT_BRIDGE: '1', LANG: 'C.UTF-8' };
    const driver = spawn('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], { env, stdio: 'ignore', detached: true });
    page.#kids = [driver, xvfb];
    KIDS.add(page);
    try {
      await new Promise((done, failed) => {
        driver.once('spawn', done);
        driver.once('error', () => failed(new Error('No WebKitWebDriver: install the package "webkit2gtk-driver".')));
      });
      await page.#connect(`http://127.0.0.1:${port}`);
      await page.#fit(size);
    } catch (why) {
      await page.close();
      throw why;
    }
    return page;
  }

  async #connect(url) {
    for (let i = 0; ; i++) {
      try {
        await sent('GET', `${url}/status`);
        break;
      } catch (why) {
        if (i === 200) throw new Error('WebKitWebDriver does not answer.', { cause: why });
        await pause(50);
      }
    }
    this.#session = url;
    const options = { binary: miniBrowser(), args: ['--automation'] };
    const { sessionId } = await this.#ask('POST', '/session', { capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': options, unhandledPromptBehavior: 'ignore', timeouts: { script: SCRIPT_MS } } } });
    this.#session = `${url}/session/${sessionId}`;
  }

  async #ask(method, path, body) {
    const { status, text } = await sent(method, this.#session + path, body === undefined ? undefined : JSON.stringify(body));
    const { value } = JSON.parse(text);
    if (status !== 200) throw new Error(`${value.error}: ${value.message}`);
    return value;
  }

  /** Gives the window the size at which the page in it has the one that is wanted. */
  async #fit({ width, height }) {
    let rect = { width, height: height + 80 };
    for (let i = 0; i < 8; i++) {
      await this.#ask('POST', '/window/rect', { x: 0, y: 0, ...rect });
      await pause(250);
      const is = await this.evaluate(() => ({ width: innerWidth, height: innerHeight }));
      if (is.width === width && is.height === height) return;
      rect = { width: rect.width + width - is.width, height: rect.height + height - is.height };
    }
    throw new Error(`The window of WebKitGTK does not take a page of ${width}×${height}.`);
  }

  async goto(url) {
    await this.#ask('POST', '/url', { url });
    await this.evaluate(() => {
      window.vitrineFaults = [];
      for (const type of ['error', 'warn']) {
        const say = console[type];
        console[type] = (...words) => {
          window.vitrineFaults.push(words.join(' '));
          say(...words);
        };
      }
      addEventListener('error', (event) => window.vitrineFaults.push(String(event.message)));
      addEventListener('unhandledrejection', (event) => window.vitrineFaults.push(String(event.reason)));
    });
    this.#at = await this.evaluate(() => location.href);
  }

  /** As Playwright's, for functions; what they throw is thrown here. */
  async evaluate(what, given = null) {
    const script = `const [given, done] = arguments; Promise.resolve().then(() => (${what})(given)).then((value) => done(JSON.stringify({ value: value ?? null })), (why) => done(JSON.stringify({ failed: String(why) + ' ' + String(why?.stack ?? '') })));`;
    const ask = () => this.#ask('POST', '/execute/async', { script, args: [given] });
    // Once in hundreds of times the driver cannot read what the page gave it; asked again, a page that is there answers.
    const text = await ask().catch((why) => (String(why).includes('Could not parse script result') ? ask() : Promise.reject(why)));
    const { value, failed } = JSON.parse(text);
    if (failed !== undefined) throw new Error(failed);
    return value;
  }

  async waitForFunction(what) {
    for (let i = 0; !(await this.evaluate(what)); i++) {
      if (i === 600) throw new Error(`${what} did not become true.`);
      await pause(50);
    }
  }

  /** A 'request' is told by the server of the stage, everything else is looked for by `look`. */
  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  /** Tells the listeners of `event`. */
  tell(event, what) {
    for (const each of this.#listeners.get(event) ?? []) each(what);
  }

  context() {
    return this;
  }

  /** Looks for what the driver does not tell by itself: a dialog, a window more, faults of scripts, and where the page is. */
  async look() {
    const message = await this.#ask('GET', '/alert/text').catch(() => null);
    if (message !== null) {
      this.tell('dialog', { message: () => message, dismiss: () => this.#ask('POST', '/alert/dismiss').catch(() => null) });
      await pause(100);
    }
    const windows = await this.#ask('GET', '/window/handles');
    if (windows.length > 1) this.tell('page', null);
    const { faults, href } = await this.evaluate(() => ({ faults: window.vitrineFaults?.splice(0) ?? ['the page was loaded anew'], href: location.href }));
    for (const fault of faults) this.tell('console', { type: () => 'error', text: () => fault });
    if (href !== this.#at) this.tell('framenavigated', { url: () => href });
    this.#at = href;
  }

  /** Ends all processes: the browser and that of its page are children of the driver's group. */
  end() {
    KIDS.delete(this);
    const [driver, xvfb] = this.#kids;
    try {
      if (driver.pid !== undefined) process.kill(-driver.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
    xvfb.kill();
  }

  /** Ends the browser with all it started: a page that hangs does not end with its session. */
  async close() {
    this.#listeners.clear();
    if (this.#session !== undefined) await this.#ask('DELETE', '').catch(() => null);
    this.end();
    await rm(this.#home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Pages whose processes still run; they end with the script, however it ends. */
const KIDS = new Set();
process.on('exit', () => KIDS.forEach((page) => page.end()));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** As `chromium.launch` of Playwright, for pages of one size each. */
export function launch() {
  const pages = [];
  return {
    webkit: true,
    pages,
    /** Each page is a browser and a display of its own. */
    newPage: async (size) => {
      const page = await Page.open(size);
      pages.push(page);
      return page;
    },
    close: async () => {
      for (const page of pages.splice(0)) await page.close();
    },
  };
}
