/** A new PIN or password by its owner: asked at the engine once, said afterwards, and nothing that was typed stays. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { offersOf } from '../src/state/palette.svelte';
import { leave, screen } from './onScreen';

const one = (testid: string) => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const field = (testid: string) => one(testid) as HTMLInputElement;
const press = (key: string, ctrlKey = false) => {
  window.dispatchEvent(new KeyboardEvent('keydown', { key, ctrlKey, bubbles: true, cancelable: true }));
  flushSync();
};
const type = (testid: string, text: string) => {
  field(testid).value = text;
  field(testid).dispatchEvent(new Event('input', { bubbles: true }));
};
const submit = async () => {
  (document.querySelector('#own-secret-form') as HTMLFormElement).requestSubmit();
  await vi.waitFor(() => flushSync());
  await new Promise((later) => setTimeout(later, 0));
  flushSync();
};

afterEach(leave);

describe('a new PIN or password', () => {
  test('is offered by name to whoever is signed in, and to nobody else', async () => {
    const app = await screen('board');
    const offered = () => offersOf(app).filter(({ act }) => act === 'own-secret').length;
    expect(offered()).toBe(1);
    app.lock();
    expect(offered()).toBe(0);
    app.askOwnSecret();
    expect(app.own).toBeNull();
  });

  test('the first field has the focus; Escape leaves, and nothing typed stays', async () => {
    const app = await screen('own-secret');
    expect(document.activeElement).toBe(field('own-secret-now'));
    type('own-secret-now', 'as it is now');
    const { own } = app;
    press('Escape');
    expect([app.own, own?.now]).toEqual([null, '']);
  });

  test('nothing is asked until all is there and both are the same; then once, and what was typed is let go of', async () => {
    const app = await screen('own-secret');
    const change = vi.spyOn(app.backend, 'changeSecret');
    await submit();
    expect(one('own-secret-error')?.textContent).toContain('Type your password as it is now.');
    type('own-secret-now', 'as it is now');
    await submit();
    expect(one('own-secret-error')?.textContent).toContain('Type the new PIN.');
    type('own-secret-new', '802461');
    type('own-secret-again', '802462');
    await submit();
    expect(one('own-secret-error')?.textContent).toContain('typed differently');
    expect(field('own-secret-now').value).toBe('as it is now');
    expect(change).not.toHaveBeenCalled();
    type('own-secret-again', '802461');
    await submit();
    expect(change.mock.calls).toEqual([['as it is now', 'pin', '802461']]);
    expect([app.own, app.session, app.view]).toEqual([null, null, 'lock']);
    expect(one('lock-said')?.textContent).toContain('Your PIN is changed. Sign in with the new one.');
    await app.signIn('lee', '802461');
    expect(app.said).toBeNull();
  });

  test('what is refused is said, and is typed anew from the beginning', async () => {
    const app = await screen('own-secret-refused');
    expect(one('own-secret-error')?.textContent).toContain('This is not your password as it is now: nothing is changed.');
    expect([field('own-secret-now').value, field('own-secret-new').value]).toEqual(['', '']);
    expect(document.activeElement).toBe(field('own-secret-now'));
    expect(app.session).not.toBeNull();
  });

  test('another one of the two begins anew; without the server it is said before anything is typed', async () => {
    await screen('own-secret-offline');
    expect(one('own-secret-away')?.textContent).toContain('nothing can be changed now');
    type('own-secret-new', '802461');
    (document.querySelector('input[value=password]') as HTMLInputElement).click();
    flushSync();
    expect(field('own-secret-new').value).toBe('');
    expect(one('own-secret')?.textContent).toContain('at least 12 characters');
  });

  test('an emergency goes before it, and so does the lock', async () => {
    const app = await screen('own-secret');
    type('own-secret-now', 'as it is now');
    const { own } = app;
    press('F12', true);
    expect([app.own, own?.now, app.dialog === null]).toEqual([null, '', false]);
  });
});
