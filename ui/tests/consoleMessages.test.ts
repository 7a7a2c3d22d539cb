/** The page of the interfaces over the fake server: what is read when, what is typed and kept, what each act came to; its words. */
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, expect, test } from 'vitest';
import Page from '../src/console/Console.svelte';
import { feeds, messages } from '../src/console/fake/fixtures';
import { SCENARIOS } from '../src/console/fake/scenarios';
import { carryTo, world, type World } from '../src/console/fake/server';
import { cameToText, countText, nothingText, placeText, sizeText } from '../src/console/hl7';
import { Console } from '../src/console/state.svelte';
import { all, one, words } from './onScreen';

let mounted: Record<string, unknown> | null = null;
const settle = async () => {
  for (let n = 0; n < 5; n++) {
    await new Promise((done) => setTimeout(done, 0));
    flushSync();
  }
};
async function show(id: string, change?: (world: World) => void): Promise<{ app: Console; known: World }> {
  const scenario = SCENARIOS.find((each) => each.id === id);
  if (scenario === undefined) throw new Error(`no state ${id}`);
  history.replaceState(null, '', '#');
  const known = world();
  scenario.set?.(known);
  change?.(known);
  const app = new Console(carryTo(known));
  app.page = 'interfaces';
  mounted = mount(Page, { target: document.body, props: { app } });
  await app.start();
  await settle();
  await scenario.drive?.(app, known);
  await settle();
  return { app, known };
}
const click = async (testid: string, at = 0) => {
  all(testid)[at]?.click();
  await settle();
};
const rowOf = (id: number) => document.querySelector<HTMLElement>(`[data-message="${id}"]`);
const open = async (id: number) => {
  rowOf(id)?.querySelector<HTMLElement>('[data-row]')?.click();
  await settle();
};
const key = async (name: string) => {
  (document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
  await settle();
};
const type = async (testid: string, text: string) => {
  const field = one(testid) as HTMLTextAreaElement;
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await settle();
};
const texts = (known: World) => known.asked.filter((each) => /^GET messages\/\d+$/u.test(each));

afterEach(async () => {
  if (mounted !== null) await unmount(mounted);
  mounted = null;
  document.body.innerHTML = '';
});

test('places, counts and sizes are said as people write them', () => {
  for (const [place, said] of [
    ['PID^1^3', 'PID-3'], ['PID', 'PID'], ['OBX^2', 'OBX[2]'], ['OBX^2^5', 'OBX[2]-5'], ['PID^1^3^2^4', 'PID-3[2].4'], ['PID^1^3^1^1', 'PID-3.1'], ['???', '???'], ['no place', 'no place'], ['PID^x', 'PID^x'],
  ] as const) expect([place, placeText(place)]).toEqual([place, said]);
  for (const [n, said] of [[0, '0'], [999, '999'], [1203, '1,203'], [1_000_000, '1,000,000']] as const) expect(countText(n)).toBe(said);
  expect([sizeText(1023), sizeText(1024), sizeText(2_097_151)]).toEqual(['1023 bytes', '1 KiB', '2,047 KiB']);
});

test('nothing is an empty list without words: how many came is said, and by what was looked', () => {
  const cases = [
    ['lab', 'held', 'No message is held: 1,203 came in the last 7 days. Looked at: the feed lab.'],
    ['', 'held', 'No message is held: 10,623 came in the last 7 days. Looked at: all feeds.'],
    ['none', 'dropped', 'No message is in the state “dropped”: none came in the last 7 days. Looked at: the feed none.'],
    ['', '', 'No message is kept: 10,623 came in the last 7 days. Looked at: all feeds.'],
  ] as const;
  for (const [feed, state, said] of cases) expect(nothingText(feeds(), feed, state)).toBe(said);
  const [of] = messages();
  if (of === undefined) throw new Error('no message');
  for (const [change, said] of [
    [{ state: 'applied', wrote: 1 }, 'Applied: 1 entry of the record was written.'], [{ state: 'applied', wrote: 3 }, 'Applied: 3 entries of the record were written.'], [{ state: 'known' }, 'Understood, and there was nothing new in it.'],
    [{ state: 'held', place: 'PID^1^3', reason: 'nobody has this number' }, 'It stays held. PID-3: nobody has this number'], [{ state: 'dropped' }, 'Dropped. It stays kept.'],
  ] as const) expect(cameToText({ ...of, ...change })).toBe(said);
});

test('each feed is counted, and the held ones are listed first; nothing that a message says is read', async () => {
  const { known } = await show('interfaces');
  expect(known.asked.filter((each) => each.startsWith('GET messages'))).toEqual(['GET messages?state=held']);
  expect(all('message-row').map((row) => row.dataset.message)).toEqual(['998', '997', '996', '989']);
  expect(document.body.textContent).not.toContain('JONES');
  expect(all('feed-row')).toHaveLength(6);
  expect(words(all('feed-row')[3])).toMatch(/lab Last 7 days.*1,203.*1,190.*Unknown key identifier 5 of 7 · 2 dropped, 1 not decided yet/u);
  expect(words(all('feed-row')[4])).toMatch(/not configured any more.*nothing came/u);
  expect(words(rowOf(998))).toMatch(/sent 14 times.*held PID-3 no patient here/u);
});

test('the filters ask anew, and what is on its way is not said to be nothing', async () => {
  const { app, known } = await show('interfaces');
  const state = one('filter-state') as HTMLSelectElement;
  state.value = 'dropped';
  state.dispatchEvent(new Event('change', { bubbles: true }));
  await settle();
  expect(known.asked.at(-1)).toBe('GET messages?state=dropped');
  expect(all('message-row').map((row) => row.dataset.message)).toEqual(['990']);
  known.ill['GET messages'] = 'never';
  void app.interfaces.filter({ feed: 'lab', state: '' });
  await settle();
  expect([all('message-row').length, all('empty').length, all('loading').length]).toEqual([0, 0, 1]);
});

test('older messages come behind those that are here', async () => {
  const { app, known } = await show('interfaces-all');
  expect(all('message-row')).toHaveLength(50);
  await click('older');
  expect(known.asked.at(-1)).toBe('GET messages?before=859');
  expect(all('message-row')).toHaveLength(63);
  expect(all('older')).toHaveLength(0);
  expect(app.said).toContain('13 older messages');
});

test('opening reads what it says, with its place marked and what is understood beside it; Escape closes', async () => {
  const { known } = await show('interfaces');
  await open(998);
  expect(texts(known)).toEqual(['GET messages/998']);
  expect(one('message-lines').querySelectorAll('li')).toHaveLength(6);
  expect(words(one('message-lines').querySelector('mark'))).toBe('7O031^^^MRN^MR');
  expect(words(one('message-more'))).toMatch(/3 resources:.*Observation from OBX.*Not understood.*OBX\^2\^5/u);
  rowOf(998)?.querySelector<HTMLElement>('[data-row]')?.focus();
  await key('Escape');
  expect(all('message-more')).toHaveLength(0);
  expect(document.body.textContent).not.toContain('JONES');
});

test('without leave for what messages say nothing of it is asked for, and it can still be decided again', async () => {
  const { known } = await show('interfaces-it');
  expect(texts(known)).toEqual([]);
  expect([all('message-correct').length, all('message-drop').length]).toEqual([0, 0]);
  await click('message-replay');
  expect(known.asked.at(-1)).toBe('POST messages/998/replay');
  expect(words(one('message-done'))).toBe('Applied: 4 entries of the record were written.');
});

test('an answer about another message is not shown', async () => {
  await show('message', (known) => {
    const was = known.message;
    known.message = (of) => was({ ...of, id: 1 });
  });
  expect(words(one('message-error'))).toContain('not the one that was asked for');
  expect(document.body.textContent).not.toContain('JONES');
});

test('decided again: what came of it is said and seen in its row, which stays', async () => {
  const { app } = await show('message');
  await click('message-replay');
  expect(words(rowOf(998))).toMatch(/applied.*4 entries written/u);
  expect(app.said).toContain('Applied: 4 entries');
  expect(document.activeElement?.getAttribute('data-testid')).toBe('message-done');
  expect(all('message-replay')).toHaveLength(0);
});

test('what stays held says why, and can be tried again', async () => {
  await show('message-stays');
  expect(words(one('message-done'))).toMatch(/^It stays held\. PID-3: no patient here/u);
  expect(one('message-done').className).toContain('tone-high');
  expect(all('message-replay')).toHaveLength(1);
});

test('a correction begins as it came, needs a change and a reason, and both are sent', async () => {
  const { known } = await show('message');
  await click('message-correct');
  expect(document.activeElement?.getAttribute('data-testid')).toBe('correct-text');
  const was = (one('correct-text') as HTMLTextAreaElement).value;
  expect(was.split('\n')).toHaveLength(6);
  expect(was.split('\n')[1]).toBe('PID|1||7O031^^^MRN^MR||JONES^Mary^^^Ms||19580204|F');
  await click('correct-send');
  expect([...document.querySelectorAll('.form .wrong')].map(words)).toEqual(['This is the message as it came. Change what is wrong in it.', 'Say why. It stands in the audit.']);
  expect(known.asked.some((each) => each.startsWith('POST'))).toBe(false);
  await type('correct-text', was.replace('7O031', '70031'));
  await type('correct-reason', ' Letter O for zero ');
  await click('correct-send');
  expect(known.sent).toEqual([{ text: was.replace('7O031', '70031'), reason: 'Letter O for zero' }]);
  expect(words(one('message-done'))).toMatch(/^The corrected copy is message 1000\. Applied/u);
  expect(words(rowOf(998))).toContain('dropped');
});

test('a correction that is typed is kept while the message is closed, the request fails or the session ends; not by signing out', async () => {
  const { app, known } = await show('message');
  await click('message-correct');
  await type('correct-text', 'MSH|^~\\&|typed');
  await type('correct-reason', 'because');
  known.ill['POST messages'] = 'unreached';
  await click('correct-send');
  expect(words(one('refused'))).toContain('did not answer');
  await open(998);
  await open(998);
  await click('message-correct');
  expect((one('correct-text') as HTMLTextAreaElement).value).toBe('MSH|^~\\&|typed');
  await app.signOut();
  await settle();
  expect(words(one('leave'))).toContain('for one message is typed and not sent');
  app.leaving = false;
  known.ill['POST messages'] = { status: 401, body: { error: 'not-signed-in', text: 'Your sign-in has ended.' } };
  await click('correct-send');
  expect(app.phase).toBe('out');
  expect(document.body.textContent).not.toMatch(/~|JONES/u);
  expect(words(one('kept'))).toContain('kept on this page');
  await app.signIn('privacy', known.secret);
  expect(app.interfaces.drafts[998]?.text).toBe('MSH|^~\\&|typed');
  await app.signOut(true);
  expect(app.interfaces.drafts).toEqual({});
});

test('dropping needs a reason; the safe answer comes first; Escape leaves the form, not the message', async () => {
  const { known } = await show('message');
  await click('message-drop');
  expect(document.activeElement?.getAttribute('data-testid')).toBe('drop-reason');
  await click('drop-send');
  expect(words(document.querySelector('.form .wrong'))).toContain('Say why');
  (document.activeElement as HTMLElement).blur();
  one('form-leave').focus();
  await key('Escape');
  expect([all('drop-reason').length, all('message-more').length]).toEqual([0, 1]);
  expect(document.activeElement?.getAttribute('data-testid')).toBe('message-drop');
  await click('message-drop');
  await type('drop-reason', 'A test of the laboratory');
  await click('drop-send');
  expect(known.sent).toEqual([{ reason: 'A test of the laboratory' }]);
  expect(words(one('message-done'))).toBe('Dropped. It stays kept.');
});

test('what is refused says why and leaves everything as it was', async () => {
  await show('message-refused');
  expect(words(one('refused'))).toContain('Message 998 is applied');
  expect(words(rowOf(998))).toContain('held');
});
