/** The keyboard layer: fixed keys, typing keeps its letters, nothing significant on a single letter. */
import { describe, expect, test } from 'vitest';
import { courseActOf } from '../src/state/courseKeys';
import { actOf, KEY_HELP, type Act, type Focus, type Key } from '../src/state/keys';

const IDLE: Focus = { typing: false, control: false };
const TYPING: Focus = { typing: true, control: false };
const BUTTON: Focus = { typing: false, control: true };

function key(name: string, held: Partial<Key> = {}): Key {
  return { key: name, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false, ...held };
}
const ctrl = (name: string, shiftKey = false) => key(name, { ctrlKey: true, shiftKey });

describe('screens.md A4', () => {
  const TABLE: [Key, Act][] = [
    [key('F1'), 'help'],
    [key('/'), 'search'],
    [ctrl('f'), 'search'],
    [ctrl('b'), 'board'],
    [ctrl('k'), 'palette'],
    [ctrl('l'), 'lock'],
    [ctrl('u'), 'lock'],
    [ctrl('N', true), 'night'],
    [ctrl('i'), 'results'],
    [ctrl('F12'), 'break-glass'],
    [ctrl('F11'), 'acknowledge'],
    [ctrl('V', true), 'record-vitals'],
    [ctrl('A', true), 'add-allergy'],
    [ctrl('E', true), 'write-note'],
    [ctrl('O', true), 'entries'],
    [ctrl('Enter'), 'sign'],
    [key('F5'), 'refresh'],
    [key('F9'), 'sync-status'],
    [key('F6'), 'next-pane'],
    [key('F6', { shiftKey: true }), 'previous-pane'],
    [key('Escape'), 'escape'],
    [key('F3'), 'next-match'],
    [key('F3', { shiftKey: true }), 'previous-match'],
    [key(']'), 'next-item'],
    [key('['), 'previous-item'],
    [key('ArrowDown'), 'down'],
    [key('j'), 'down'],
    [key('k'), 'up'],
    [key('Enter'), 'open'],
    [ctrl('1'), { section: 1 }],
    [ctrl('7'), { section: 7 }],
    [key('3'), { digit: 3 }],
    [key(' '), 'preview'],
    [key('a'), 'show-all'],
    [key('w'), 'wall'],
    [key('i'), 'initials'],
    [key('PageDown'), 'page-down'],
    [key('PageUp'), 'page-up'],
    [key('Home'), 'first'],
    [key('End'), 'last'],
  ];
  for (const [pressed, act] of TABLE) {
    test(`${pressed.ctrlKey ? 'Ctrl+' : ''}${pressed.key}`, () => expect(actOf(pressed, IDLE)).toEqual(act));
  }
});

test('typing keeps letters, digits and the slash', () => {
  for (const name of ['j', 'k', '/', '1', '5', 'n', 'a', 'w', 'i', ' ', 'Home', 'End', 'PageUp', '[', ']']) expect(actOf(key(name), TYPING)).toBeNull();
});

test('emergency, lock and help work while typing', () => {
  expect(actOf(ctrl('F12'), TYPING)).toBe('break-glass');
  expect(actOf(ctrl('l'), TYPING)).toBe('lock');
  expect(actOf(key('F1'), TYPING)).toBe('help');
});

test('Enter and Space on a button belong to the button', () => {
  for (const name of ['Enter', ' ']) expect(actOf(key(name), BUTTON)).toBeNull();
});

test('no single key without Ctrl does anything of consequence', () => {
  const harmless: unknown[] = ['search', 'down', 'up', 'help', 'refresh', 'next-pane', 'escape', 'open', 'ignore', 'preview', 'show-all', 'wall', 'live-vitals', 'initials', 'next-item', 'previous-item'];
  for (let code = 32; code < 127; code++) {
    const act = actOf(key(String.fromCharCode(code)), IDLE);
    if (act !== null && typeof act === 'string') expect(harmless).toContain(act);
  }
});

describe('vital signs and labs', () => {
  test('their keys mean nothing while typing, with Ctrl, Alt or Shift, or elsewhere', () => {
    expect(courseActOf(key('g'), IDLE, 'plots')).toBe('form');
    expect(courseActOf(key('g'), TYPING, 'plots')).toBeNull();
    for (const held of [{ ctrlKey: true }, { altKey: true }, { metaKey: true }, { shiftKey: true }]) expect(courseActOf(key('g', held), IDLE, 'plots')).toBeNull();
    expect(courseActOf(key('g'), IDLE, 'grid')).toBeNull();
    expect(courseActOf(key('a'), IDLE, 'plots')).toBeNull();
  });
  test('the table scrolls by its own arrows, the tabs move by theirs', () => {
    expect(courseActOf(key('ArrowLeft'), IDLE, 'table')).toBeNull();
    expect(courseActOf(key('ArrowLeft'), IDLE, 'plots')).toEqual({ step: -1 });
    expect(courseActOf(key('ArrowLeft'), { ...IDLE, tabs: true }, 'plots')).toBeNull();
  });
  test('they stand on the help page, and take no key of the layer above but the board’s own', () => {
    expect(KEY_HELP.map(({ title }) => title)).toContain('Vital signs and labs (in their sections)');
    for (const name of ['g', 'n', 't']) expect(actOf(key(name), IDLE)).toBeNull();
    expect([actOf(key('w'), IDLE), actOf(key('a'), IDLE)]).toEqual(['wall', 'show-all']);
  });
});

test('what is held down never goes on from reading to signing, and no other key signs', () => {
  expect(actOf({ ...ctrl('Enter'), repeat: true }, TYPING)).toBe('ignore');
  expect(actOf(ctrl('Enter', true), TYPING)).toBe('ignore');
  expect(actOf(key('Enter'), TYPING)).toBe('open');
});

test('Alt and the system key are left to the system', () => {
  expect(actOf(key('F4', { altKey: true }), IDLE)).toBeNull();
  expect(actOf(key('l', { metaKey: true }), IDLE)).toBeNull();
});

test("a web view's own keys do nothing", () => {
  for (const name of ['F7', 'F12']) expect(actOf(key(name), IDLE)).toBe('ignore');
  for (const name of ['r', 's']) expect(actOf(ctrl(name), IDLE)).toBe('ignore');
  expect(actOf(ctrl('p'), IDLE)).toBe('print');
});
