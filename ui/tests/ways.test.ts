/** The lock screen: a badge picks and never opens, the provider in the browser, and what a second badge does. */
import { afterEach, describe, expect, test } from 'vitest';
import { fakeOf, type Fake } from '../src/ipc/fake';
import { calm, failure, type World } from '../src/ipc/fixtures/world';
import { App } from '../src/state/app.svelte';
import { GAP_MS } from '../src/state/scanner';
import type { SessionView } from '../src/wire/SessionView';
import { all, leave, one, press, screen, settled, words } from './onScreen';

afterEach(leave);

const READY = 'Hold your badge to the reader, then type your PIN.';
const usable = (world: World) => (world.lock = { ...world.lock, badge_text: READY, provider: { name: 'Hospital ID', required: true } });

async function locked(change: (world: World) => void = () => {}): Promise<{ app: App; fake: Fake; asked: unknown[][] }> {
  const world = calm();
  usable(world);
  change(world);
  const fake = fakeOf(world);
  const asked: unknown[][] = [];
  for (const name of ['signIn', 'badge', 'badgeSignIn', 'providerSignIn', 'providerCancel', 'emergencyIdentify'] as const) {
    const before = fake[name] as (...given: unknown[]) => Promise<unknown>;
    Object.assign(fake, { [name]: (...given: unknown[]) => (asked.push([name, ...given]), before(...given)) });
  }
  const app = new App(fake);
  await app.start();
  return { app, fake, asked };
}

describe('a badge', () => {
  test('picks the person, and their PIN opens by it', async () => {
    const { app, asked } = await locked();
    await app.ways.scanned('04A1B2C3');
    expect([app.ways.badge?.user, app.session]).toEqual(['aokafor', null]);
    await app.signIn('aokafor', '482915');
    expect(asked).toEqual([['badge', '04A1B2C3'], ['badgeSignIn', 'held', '482915']]);
    expect([app.session?.user, app.ways.badge]).toEqual(['dlee', null]);
  });

  test('of one person is never given with the name of another', async () => {
    const { app, asked } = await locked();
    await app.ways.scanned('04A1B2C3');
    await app.signIn('prao', '482915');
    expect(asked.at(-1)).toEqual(['signIn', 'prao', '482915']);
  });

  test('that picks nobody says so; a part of one too; nobody is picked from before', async () => {
    const { app, fake } = await locked();
    await app.ways.scanned('04A1B2C3');
    fake.world.badge = failure('unknown-badge', 'Not known here.');
    await app.ways.scanned('04FFFFFF');
    expect([app.ways.badge, app.ways.error?.text]).toEqual([null, 'Not known here.']);
    await app.ways.scanned(null);
    expect(app.ways.error?.text).toContain('lost on its way');
  });

  test('is heard on the lock screen alone: a band is never a badge, nor the other way', async () => {
    const { app, fake } = await locked();
    expect([app.ways.listening, app.scans.listening]).toEqual([true, false]);
    await app.signIn('dlee', '0000');
    expect([app.ways.listening, app.scans.listening]).toEqual([false, true]);
    fake.tell({ kind: 'badge', value: { token: 't', user: 'prao', display: 'P. RAO', initials: 'PR', role: 'Nurse' } });
    expect(app.ways.badge).toBeNull();
    app.lock();
    await settled();
    app.emergency.openHere();
    expect([app.ways.listening, app.scans.listening]).toEqual([false, false]);
  });

  test('by the card reader is told by the engine; the lock forgets it', async () => {
    const { app, fake } = await locked();
    fake.tell({ kind: 'badge', value: { token: 't', user: 'prao', display: 'P. RAO', initials: 'PR', role: 'Nurse' } });
    expect(app.ways.badge?.user).toBe('prao');
    fake.tell({ kind: 'badge-refused', value: failure('unknown-badge', 'Not known here.').error });
    expect([app.ways.badge, app.ways.error?.code]).toEqual([null, 'unknown-badge']);
    app.lock();
    expect(app.ways.error).toBeNull();
  });

  test('goes into the emergency dialog, while the name is theirs', async () => {
    const { app, asked } = await locked();
    await app.ways.scanned('04A1B2C3');
    app.emergency.openHere();
    const { dialog } = app;
    if (dialog === null) throw new Error('no dialog');
    expect([dialog.user, app.ways.badge]).toEqual(['aokafor', null]);
    dialog.secret = '482915';
    await dialog.identify();
    expect(asked.at(-1)).toEqual(['emergencyIdentify', 'aokafor', '482915', 'held', null]);
    dialog.user = 'prao';
    dialog.secret = '482915';
    await dialog.identify();
    expect(asked.at(-1)).toEqual(['emergencyIdentify', 'prao', '482915', null, null]);
  });
});

describe('an emergency account', () => {
  const opened = async (): Promise<{ app: App; fake: Fake; asked: unknown[][] }> => {
    const all = await locked();
    all.app.emergency.openHere();
    const { dialog } = all.app;
    if (dialog === null) throw new Error('no dialog');
    await settled();
    dialog.chooseDigit(1);
    dialog.user = 'emergency-003';
    dialog.secret = '48219356';
    return all;
  };

  test('asks who is there, and its code is not typed twice', async () => {
    const { app, asked } = await opened();
    const { dialog } = app;
    if (dialog === null) throw new Error('no dialog');
    expect([dialog.nameNeeded, dialog.step]).toEqual([false, 'patient']);
    await dialog.enter();
    expect([dialog.nameNeeded, dialog.step, dialog.secret, dialog.token, dialog.error]).toEqual([true, 'declared', '48219356', null, null]);
    await dialog.enter();
    expect(asked.filter(([name]) => name === 'emergencyIdentify')).toHaveLength(1);
    dialog.declared = '  Jo Smith, agency ';
    await dialog.enter();
    expect(asked.at(-1)).toEqual(['emergencyIdentify', 'emergency-003', '48219356', null, 'Jo Smith, agency']);
    expect([dialog.token, dialog.secret, dialog.step, dialog.error]).toEqual(['token', '', 'patient', null]);
  });

  test('says whose name is on it, and that nobody has checked it', async () => {
    const app = await screen('glass-declared');
    await settled();
    const field = one('glass-declared') as HTMLInputElement;
    expect(document.activeElement).toBe(field);
    field.value = 'Jo Smith, agency';
    field.dispatchEvent(new InputEvent('input', { bubbles: true }));
    await app.dialog?.enter();
    await settled();
    expect(words(one('identified'))).toContain('Jo Smith, agency — declared, not verified (emergency-003)');
  });

  test('a name that is none is asked for again, with the code kept; another user name is nobody\'s account', async () => {
    const { app, fake } = await opened();
    const { dialog } = app;
    if (dialog === null) throw new Error('no dialog');
    await dialog.enter();
    fake.world.identify = failure('bad-request', 'Type your name and where you are from.');
    dialog.declared = 'x';
    await dialog.enter();
    expect([dialog.secret, dialog.nameNeeded, dialog.error?.code]).toEqual(['48219356', true, 'bad-request']);
    dialog.user = 'dlee';
    expect(dialog.nameNeeded).toBe(false);
    fake.world.identify = failure('wrong-secret', 'Name and PIN do not match.');
    await dialog.identify();
    expect([dialog.secret, dialog.error?.code]).toEqual(['', 'wrong-secret']);
  });
});

describe('on the screen', () => {
  const type = (field: HTMLInputElement, text: string, apart: number): void => {
    let at = 1_000;
    for (const sign of text) {
      const down = new KeyboardEvent('keydown', { key: sign, bubbles: true });
      Object.defineProperty(down, 'timeStamp', { value: (at += apart) });
      field.dispatchEvent(down);
      field.value += sign;
      field.dispatchEvent(new InputEvent('input', { bubbles: true }));
    }
  };
  const submit = async (): Promise<void> => {
    document.querySelector('form')?.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
    await settled();
  };

  test('whom a badge picked stands there with the PIN to type; Esc goes back to names', async () => {
    const app = await screen('lock-badge');
    expect(words(one('badge'))).toContain('A. OKAFOR');
    expect([all('user').length, document.activeElement?.id]).toEqual([0, 'secret']);
    await press(document.body, 'Escape');
    await settled();
    expect([app.ways.badge, all('badge').length, all('user').length]).toEqual([null, 0, 1]);
  });

  test('a second badge where a PIN is asked for picks anew, and is no try of a PIN', async () => {
    const app = await screen('lock-badge');
    const tried: string[] = [];
    app.backend.badgeSignIn = async (_, secret) => (tried.push(secret), Promise.reject(failure('wrong-secret', 'No.').error));
    const scanned: string[] = [];
    app.backend.badge = async (text) => (scanned.push(text), Promise.resolve({ token: 'b', user: 'prao', display: 'P. RAO', initials: 'PR', role: 'Nurse' }));
    type(one('secret') as HTMLInputElement, '04D4E5F6', GAP_MS - 10);
    await submit();
    expect([tried, scanned, app.ways.badge?.user]).toEqual([[], ['04D4E5F6'], 'prao']);
    type(one('secret') as HTMLInputElement, '482915', 120);
    await submit();
    expect(tried).toEqual(['482915']);
  });

  test('a secret that a key types fast is a secret where a name was typed', async () => {
    const app = await screen('lock-ways');
    const tried: string[][] = [];
    app.backend.signIn = async (user, secret) => (tried.push([user, secret]), Promise.reject(failure('wrong-secret', 'No.').error));
    const name = one('user') as HTMLInputElement;
    type(name, 'prao', 120);
    type(one('secret') as HTMLInputElement, 'cccccbhuklvd', 5);
    await submit();
    expect(tried).toEqual([['prao', 'cccccbhuklvd']]);
  });
});

describe('the provider', () => {
  test('is opened by F8 with the PIN that was typed, and waits; Esc ends it', async () => {
    const app = await screen('lock-provider');
    await settled();
    expect(words(one('browsing'))).toContain('Hospital ID');
    let ended = 0;
    app.backend.providerCancel = async () => void ended++;
    await press(document.body, 'Escape');
    await settled();
    expect([app.ways.browsing, ended, all('browsing').length]).toEqual([false, 1, 0]);
    const pins: (string | null)[] = [];
    app.backend.providerSignIn = (pin) => (pins.push(pin), new Promise(() => {}));
    const secret = one('secret') as HTMLInputElement;
    secret.value = '482915';
    secret.dispatchEvent(new InputEvent('input', { bubbles: true }));
    await press(document.body, 'F8');
    await settled();
    expect([pins, app.ways.browsing, secret.value]).toEqual([['482915'], true, '']);
  });

  test('lets in whoever comes back, and says why nobody does', async () => {
    const { app } = await locked();
    await app.ways.browse('');
    expect([app.session?.user, app.view, app.ways.browsing]).toEqual(['dlee', 'search', false]);
    const refused = await locked((world) => (world.providerSignIn = failure('denied', 'The identity provider did not sign you in (access_denied).')));
    await refused.app.ways.browse('');
    expect([refused.app.session, refused.app.ways.error?.text]).toEqual([null, 'The identity provider did not sign you in (access_denied).']);
  });

  test('who comes back after it was given up is locked out again; by PIN meanwhile nothing is said of it', async () => {
    const { app, fake } = await locked();
    let come: (session: SessionView) => void = () => {};
    fake.providerSignIn = () => new Promise((done) => (come = done));
    let lockedBy = 0;
    fake.lock = async () => void lockedBy++;
    const waits = app.ways.browse('');
    app.ways.cancel();
    come(fake.world.session);
    await waits;
    await settled();
    expect([app.session, lockedBy]).toEqual([null, 1]);

    let refuse: (why: unknown) => void = () => {};
    fake.providerSignIn = () => new Promise((_, no) => (refuse = no));
    const again = app.ways.browse('');
    await app.signIn('dlee', '0000');
    refuse(failure('denied', 'The sign-in in the browser was ended here.').error);
    await again;
    expect([app.session?.user, app.ways.error, app.ways.browsing]).toEqual(['dlee', null, false]);
  });

  test('is not there where there is none, and not opened in a session or under another layer', async () => {
    const app = await screen('lock');
    expect(all('provider').length).toBe(0);
    await press(document.body, 'F8');
    await settled();
    expect(app.ways.browsing).toBe(false);
    const { app: signed, asked } = await locked();
    await signed.signIn('dlee', '0000');
    await signed.ways.browse('');
    expect(asked.map(([name]) => name)).toEqual(['signIn']);
  });
});
