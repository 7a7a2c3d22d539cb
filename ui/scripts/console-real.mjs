/**
 * The web console as the server ships it, in Chromium, over TLS: one emergency access is asked about, explained and found appropriate, by keys and
 * with nothing but what is on the page. `tests/tests/browser.rs` starts the server and gives on standard input
 * `{ url, reviewer, clinician, patient }`, people as `{ user, password }`. Ends with 1 and a sentence where something is not as it should be.
 */
import { chromium } from 'playwright-core';
import { chromiumPath } from './stage.mjs';

let input = '';
for await (const part of process.stdin) input += part;
const { url, reviewer, clinician, patient } = JSON.parse(input);
const named = (text) => text.toLowerCase().includes(patient.toLowerCase());

const faults = [];
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] });
// The certificate is the hospital's own; that it is checked is tested elsewhere (server/tests/tls.rs).
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
const page = await context.newPage();
page.setDefaultTimeout(30_000);
page.on('pageerror', (error) => faults.push(String(error)));
page.on('console', (message) => {
  if (/Content Security Policy|Refused to/iu.test(message.text())) faults.push(message.text());
});
page.on('request', (request) => {
  if (!request.url().startsWith(url)) faults.push(`asks elsewhere: ${request.url()}`);
});

const at = (testid) => page.locator(`[data-testid="${testid}"]`);
function expect(what, holds) {
  if (!holds) throw new Error(what);
}
async function signIn({ user, password }) {
  await at('user').fill(user);
  await at('secret').fill(password);
  await page.keyboard.press('Enter');
  await at('sign-out').waitFor();
}
async function signOut() {
  await at('sign-out').click();
  await at('user').waitFor();
}
/** Opens the one review of the list, by keys. */
async function openReview() {
  await at('review-row').first().waitFor();
  expect('the list names no patient', !named(await page.locator('body').innerText()));
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await at('patient').waitFor();
}
async function act(how, words) {
  if (words !== null) await at('words').fill(words);
  await at(`act-${how}`).click();
  await at('done').waitFor();
}

try {
  await page.goto(`${url}/console/`);
  await signIn(reviewer);
  await openReview();
  expect(`the open review names ${patient}`, named(await at('patient').innerText()));
  await act('ask', 'What was the emergency?');
  await signOut();

  await signIn(clinician);
  await openReview();
  expect('nobody decides on their own', (await at('act-appropriate').count()) === 0 || (await at('act-appropriate').isDisabled()));
  await act('explain', 'Unconscious in the corridor, name from the band.');
  await signOut();

  await signIn(reviewer);
  await openReview();
  const told = await page.locator('main').innerText();
  expect('the explanation is there', told.includes('Unconscious in the corridor') && told.includes('What was the emergency?'));
  await act('appropriate', 'Agreed with the ward.');
  await at('page-audit').click();
  await at('audit-user').fill(clinician.user);
  await page.keyboard.press('Enter');
  await page.locator('[data-testid="audit-row"]', { hasText: 'explain-break-glass' }).first().waitFor();
  await at('check-now').click();
  await page.locator('[data-testid="verdict"]', { hasText: /hold/u }).waitFor();
  expect('the last checkpoint is said', /Last checkpoint/u.test(await at('chains').innerText()));
  const cookies = await context.cookies();
  expect('one cookie, out of reach of scripts', cookies.length === 1 && cookies[0].httpOnly && cookies[0].secure && cookies[0].sameSite === 'Strict');
  await signOut();
  expect('a sign-out takes it away', (await context.cookies()).length === 0);
  expect(`the page did nothing it may not: ${faults.join('; ')}`, faults.length === 0);
  console.log(JSON.stringify({ walked: true }));
} catch (error) {
  console.error(String(error));
  console.error(await page.locator('body').innerText().catch(() => ''));
  if (process.env.VITRINE_SHOT) await page.screenshot({ path: process.env.VITRINE_SHOT });
  process.exitCode = 1;
} finally {
  await browser.close();
}
