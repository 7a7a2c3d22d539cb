/** The palette: every act that is possible now and no other, from the table of the keys; nothing that signs or orders. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import { togglePalette } from '../src/state/acts';
import { matching, offersOf, Palette } from '../src/state/palette.svelte';
import { actOf, type Key } from '../src/state/keys';
import { viewerActOf } from '../src/state/viewerKeys';
import { all, leave, screen } from './onScreen';

const IDLE = { typing: false, control: false };
const TYPING = { typing: true, control: false };
const key = (name: string, ctrlKey = false): Key => ({ key: name, ctrlKey, shiftKey: false, altKey: false, metaKey: false });
const settled = () => new Promise((done) => setTimeout(done, 0));

/** The key that a line of the help names. */
function keyNamed(name: string): Key {
  const parts = name === 'Ctrl + +' ? ['Ctrl', '+'] : name.split(/\s?\+\s?(?=.)/u);
  const last = parts.at(-1) ?? '';
  const names: Record<string, string> = { Esc: 'Escape', PgDn: 'PageDown', PgUp: 'PageUp', '−': '-' };
  return { key: names[last] ?? last, ctrlKey: parts.includes('Ctrl'), shiftKey: parts.includes('Shift'), altKey: false, metaKey: false };
}

afterEach(leave);

describe('what signs, orders, stops or acknowledges is never in it', () => {
  const harmless = ['search', 'board', 'escape', 'open', 'lock', 'refresh', 'night', 'larger', 'smaller', 'normal-size', 'help', 'break-glass', 'section', 'viewer', 'print',
    'next-match', 'previous-match', 'next-item', 'previous-item', 'next-chart', 'previous-chart', 'close-chart',
    // They open a form: what signs it has no line here.
    'record-vitals', 'add-allergy', 'write-note', 'change-allergy', 'review-conflict', 'mark-wrong', 'entries', 'results',
    'sync-status', 'live-vitals', 'drill', 'end-drill', 'own-secret'];
  for (const id of ['lock', 'search-found', 'board', 'chart', 'chart-glass', 'chart-denied', 'charts-two', 'notes-find', 'entries', 'results', 'wall', 'timeline-filter', 'viewer-measure', 'card', 'help', 'chart-disputed']) {
    test(id, async () => {
      const app = await screen(id);
      for (const { act, text } of offersOf(app)) {
        expect(harmless).toContain(typeof act === 'object' ? Object.keys(act)[0] : act);
        expect(text).not.toMatch(/\b(sign|order|prescribe|acknowledge|discontinue|give|administer)/iu);
      }
    });
  }
});

describe('each line shows a key that does the same', () => {
  for (const id of ['search-found', 'charts-two', 'notes-find', 'palette-image', 'palette-card']) {
    test(id, async () => {
      const app = await screen(id);
      app.palette = null;
      const offers = offersOf(app);
      expect(offers.length).toBeGreaterThan(5);
      for (const { act, keys } of offers) {
        for (const each of keys) {
          const pressed = keyNamed(each);
          if (typeof act === 'object' && 'viewer' in act) expect(viewerActOf(pressed, { ...IDLE, viewer: true })).toEqual(act.viewer);
          else expect(actOf(pressed, IDLE)).toEqual(act);
        }
      }
    });
  }
});

describe('what it offers', () => {
  for (const id of ['lock', 'search', 'board', 'chart', 'palette-image']) {
    test(`emergency access stands last, with its key: ${id}`, async () => {
      const app = await screen(id);
      app.palette = null;
      expect(offersOf(app).at(-1)).toMatchObject({ act: 'break-glass', keys: ['Ctrl+F12'] });
      const palette = new Palette(app);
      palette.look('e');
      expect(palette.shown.at(-1)?.act).toBe('break-glass');
    });
  }

  test('emergency access is not offered where nothing is stored', async () => {
    expect(offersOf(await screen('lock-revoked')).map(({ act }) => act)).not.toContain('break-glass');
  });

  test('on the lock screen no more than the lock offers', async () => {
    const app = await screen('lock');
    expect(offersOf(app).map(({ act }) => act)).toEqual(['refresh', 'sync-status', 'night', 'larger', 'help', 'break-glass']);
  });

  test('the sections of a chart only while a chart can be seen (S7)', async () => {
    expect(offersOf(await screen('chart')).filter(({ act }) => typeof act === 'object')).toHaveLength(8);
    await leave();
    for (const id of ['search', 'board', 'chart-denied', 'chart-mismatch', 'chart-loading', 'card']) {
      expect(offersOf(await screen(id)).filter(({ act }) => typeof act === 'object')).toHaveLength(0);
      await leave();
    }
  });

  test('over the emergency dialog it does not open', async () => {
    const app = await screen('glass-locked');
    app.onKey(key('k', true), TYPING, 0);
    expect(app.palette).toBeNull();
    expect(app.dialog).not.toBeNull();
  });
});

describe('the filter', () => {
  test('takes words in any order, without case and accents, and other words for the same', async () => {
    const offers = offersOf(await screen('chart'));
    const first = (query: string) => matching(offers, query)[0]?.text;
    expect(first('PATIENT find')).toBe('Find a patient');
    expect(first('lábs')).toBe('Labs');
    expect(first('drugs')).toBe('Medicines');
    expect(first('ctrl+4')).toBe('Labs');
    expect(first('dark')).toBe('Night colours');
    expect(matching(offers, 'sign the order')).toEqual([]);
    expect(matching(offers, '')).toHaveLength(offers.length);
  });

  test('the emergency is no line that Enter does while anything else fits', async () => {
    const app = await screen('chart');
    const palette = new Palette(app);
    palette.look('e');
    expect(palette.offer?.act).not.toBe('break-glass');
    palette.move(-1);
    expect(palette.offer?.act).not.toBe('break-glass');
    palette.look('emergency');
    expect(palette.offer?.act).toBe('break-glass');
  });

  test('how many of how many is said (S6), and that nothing fits', async () => {
    const app = await screen('palette-filter');
    expect(all('palette-count')[0]?.textContent).toBe(`${app.palette?.shown.length} of ${app.palette?.all.length} actions`);
    await leave();
    await screen('palette-none');
    expect(all('palette-none')[0]?.textContent).toContain('sign the order');
    expect(all('act')).toHaveLength(0);
  });
});

describe('its keys', () => {
  test('arrows move, Enter does it and closes, typing is typing', async () => {
    const app = await screen('chart');
    app.onKey(key('k', true), IDLE, 0);
    expect(app.onKey(key('j'), TYPING, 0)).toBe(false);
    app.palette?.look('labs');
    app.onKey(key('Enter'), TYPING, 0);
    expect(app.palette).toBeNull();
    expect(app.section).toBe('labs');
  });

  test('Esc closes it alone; the key of an act does it from here', async () => {
    const app = await screen('palette');
    app.onKey(key('Escape'), TYPING, 0);
    expect([app.palette, app.view]).toEqual([null, 'chart']);
    togglePalette(app);
    app.onKey(key('5', true), TYPING, 0);
    expect([app.palette, app.section]).toEqual([null, 'vitals']);
  });

  test('the lock closes it, and so does emergency access (S18)', async () => {
    const app = await screen('palette');
    app.onKey(key('F12', true), TYPING, 0);
    expect([app.palette, app.dialog === null]).toEqual([null, false]);
    app.emergency.cancel();
    togglePalette(app);
    app.lock();
    flushSync();
    expect(app.palette).toBeNull();
    expect(all('palette')).toHaveLength(0);
  });

  test('the focus goes into its field, and back to where it was', async () => {
    const app = await screen('search');
    const before = document.activeElement;
    togglePalette(app);
    flushSync();
    expect(document.activeElement).toBe(all('palette-query')[0]);
    app.onKey(key('Escape'), TYPING, 0);
    flushSync();
    await settled();
    expect(document.activeElement).toBe(before);
  });
});

test('it is a combobox with a list: the field names the line that Enter means', async () => {
  const app = await screen('palette');
  app.palette?.move(2);
  flushSync();
  const field = all('palette-query')[0];
  const named = document.getElementById(field?.getAttribute('aria-activedescendant') ?? '');
  expect(named?.getAttribute('aria-selected')).toBe('true');
  expect(document.querySelectorAll('[role=option][aria-selected=true]')).toHaveLength(1);
  expect(field?.getAttribute('aria-controls')).toBe(document.querySelector('[role=listbox]')?.id);
});
