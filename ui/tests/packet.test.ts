/** The downtime packet on the screen: asked first, printed once, told what became of it. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { failure } from '../src/ipc/fixtures/world';
import { leave, screen } from './onScreen';

const one = (testid: string) => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const press = (key: string, ctrlKey = false) => {
  window.dispatchEvent(new KeyboardEvent('keydown', { key, ctrlKey, bubbles: true, cancelable: true }));
  flushSync();
};

afterEach(leave);

describe('the downtime packet', () => {
  test('Ctrl+P asks first, the safe choice has the focus (S27), and nothing is printed yet', async () => {
    const app = await screen('board');
    const print = vi.spyOn(app.backend, 'printPacket');
    press('p', true);
    expect(one('packet')).not.toBeNull();
    expect(document.activeElement?.getAttribute('data-testid')).toBe('packet-close');
    press('Escape');
    expect(one('packet')).toBeNull();
    expect(print).not.toHaveBeenCalled();
  });
  test('S29: printed once; who is left out is named, and that the pages are counted and destroyed', async () => {
    const app = await screen('packet');
    const print = vi.spyOn(app.backend, 'printPacket');
    await app.packet?.print();
    await app.packet?.print();
    flushSync();
    expect(print.mock.calls).toEqual([['ed']]);
    expect(one('packet-done')?.textContent).toContain('6 patients on 9 pages');
    expect(one('packet-done')?.textContent).toContain('CHEN, Mei');
    expect(one('packet')?.textContent).toContain('Count the pages: each says which of how many it is. Destroy them after the downtime.');
    expect(one('packet-print')).toBeNull();
  });
  test('a printer that does not take it is said, and it can be tried again', async () => {
    const app = await screen('packet', (world) => (world.packet = failure('internal', 'Nothing was printed: no printer.')));
    await app.packet?.print();
    flushSync();
    expect(one('packet-error')?.textContent).toContain('no printer');
    expect(one('packet-print')?.textContent).toContain('Print again');
  });
  test('the lock closes it (S18); elsewhere Ctrl+P prints nothing', async () => {
    const app = await screen('packet');
    app.lock();
    flushSync();
    expect(one('packet')).toBeNull();
    await app.signIn('dlee', '0000');
    app.showSearch();
    press('p', true);
    expect(app.packet).toBeNull();
  });
});
