/** Changing an allergy, and deciding what two changes of it contradict each other in (screens.md 11, S4, S16, S27). */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test } from 'vitest';
import type { EntryInput } from '../src/wire/EntryInput';
import { READ_AT_LEAST_MS } from '../src/state/entry.svelte';
import type { App } from '../src/state/app.svelte';
import { all, leave, one, screen, words } from './onScreen';

const settled = async (ms = 0) => {
  await new Promise((done) => setTimeout(done, ms));
  flushSync();
};
const press = async (target: EventTarget, key: string, held: KeyboardEventInit = {}) => {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...held }));
  await settled();
};
const type = async (field: string, text: string) => {
  const input = one(field) as HTMLInputElement;
  input.value = text;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  await settled();
};
const choose = async (field: string, code: string) => {
  one(`choice-${field}-${code}`).click();
  await settled();
};
/** What goes to the engine now. */
const input = (app: App) => app.recording.dialog?.fields.inputOf('allergy-change') as EntryInput;
const chosen = () => [...document.querySelectorAll('[role="radio"][aria-checked="true"]')];

afterEach(leave);

describe('a change', () => {
  test('by keys alone: opened in the section, nothing chosen, read, signed', async () => {
    const app = await screen('chart-allergies');
    const buttons = all('allergy-change');
    expect(buttons).toHaveLength(3);
    expect(buttons[1]?.getAttribute('aria-label')).toBe('Change latex');
    buttons[1]?.focus();
    buttons[1]?.click();
    await settled(20);
    expect(words(document.getElementById('entry-title'))).toBe('Change allergy — JONES, Mary (Ms)');
    expect(words(one('change-about'))).toContain('latex — recorded: urticaria');
    expect(chosen()).toEqual([]);
    // The focus is where the first answer is.
    expect(document.activeElement).toBe(one('choice-standing-confirmed'));
    await press(document.activeElement as Element, '3');
    expect(one('choice-standing-refuted').getAttribute('aria-checked')).toBe('true');
    await type('reason', 'Skin test negative');
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(one('entry-dialog').dataset.step).toBe('preview');
    expect(words(one('entry-sign'))).toContain('Sign for JONES, Mary (Ms)');
    await settled(READ_AT_LEAST_MS + 50);
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(app.recording.dialog).toBeNull();
  });

  test.each([
    ['confirmed', true],
    ['unconfirmed', true],
    ['refuted', false],
    ['resolved', false],
    ['entered-in-error', false],
  ])('%s: a reaction is asked for and sent only where it is an allergy still', async (standing, adds) => {
    const app = await screen('entry-allergy-change');
    await choose('standing', standing);
    expect(all('reaction')).toHaveLength(adds ? 1 : 0);
    await type('reason', 'because');
    expect(input(app)).toEqual({
      kind: 'allergy-change', allergy: 'AllergyIntolerance/latex', standing, reason: 'because', settles: '',
      ...(adds ? { reaction: 'wheeze', severity: 'moderate' } : { reaction: '', severity: '' }),
    });
  });

  test('what is wanting is said at its field', async () => {
    await screen('entry-allergy-change-faults');
    const standing = one('choice-standing-confirmed').closest('[role="radiogroup"]');
    expect(standing?.getAttribute('aria-invalid')).toBe('true');
    await choose('standing', 'refuted');
    await press(window, 'Enter', { ctrlKey: true });
    expect(one('reason').getAttribute('aria-invalid')).toBe('true');
    expect(document.activeElement).toBe(one('reason'));
  });

  test('who may not record changes nothing', async () => {
    const app = await screen('chart-no-recording');
    app.section = 'allergies';
    await settled();
    for (const button of all('allergy-change')) expect((button as HTMLButtonElement).disabled).toBe(true);
    app.recording.change({ allergy: 'AllergyIntolerance/latex', agent: 'latex', detail: 'urticaria', dispute: null });
    expect(app.recording.dialog).toBeNull();
  });
});

describe('a contradiction', () => {
  test.each(['chart-disputed', 'card-disputed', 'chart-allergies-disputed'])('%s: the allergy stands, and says that it is disputed', async (id) => {
    await screen(id);
    const told = all('allergy-disputed').map(words);
    expect(told.length).toBeGreaterThan(0);
    for (const text of told) expect(text).toContain('DISPUTED');
    expect(words(one('allergies'))).toContain('penicillin');
    expect(one('allergies').dataset.state).toBe('known');
  });

  test('both changes and what they began from stand side by side; what differs is said in words', async () => {
    await screen('entry-conflict');
    const sides = words(one('dispute-sides'));
    for (const text of ['Before both changes', 'The record now', 'The later change', 'refuted', 'Dr RAO', 'at icu-02', 'RN OKAFOR', 'Seen at triage.', '— differs']) expect(sides).toContain(text);
    expect(chosen()).toEqual([]);
    expect(all('reaction')).toHaveLength(0);
  });

  test.each([
    ['record', 'refuted'],
    ['change', 'confirmed'],
  ] as const)('%s: that standing is decided, with a reason and nothing else', async (side, standing) => {
    const app = await screen('entry-conflict');
    await choose('side', side);
    expect(all('choice-standing-confirmed')).toHaveLength(0);
    expect(input(app)).toMatchObject({ field: 'reason' });
    await type('reason', 'asked the practice');
    expect(input(app)).toEqual({ kind: 'allergy-change', allergy: 'AllergyIntolerance/penicillin', standing, reaction: '', severity: '', reason: 'asked the practice', settles: 'Task/dispute-1' });
  });

  test('neither: a person writes what is right', async () => {
    const app = await screen('entry-conflict');
    await choose('side', 'change');
    await choose('side', 'other');
    expect(chosen()).toHaveLength(1);
    expect(input(app)).toMatchObject({ field: 'standing' });
    await choose('standing', 'unconfirmed');
    await type('reaction', 'rash');
    await type('reason', 'sees an allergist');
    expect(input(app)).toMatchObject({ standing: 'unconfirmed', reaction: 'rash', settles: 'Task/dispute-1' });
  });

  test('decided elsewhere meanwhile: it says so, nothing is signed, what was typed stays', async () => {
    const app = await screen('entry-conflict-outdated');
    expect(words(one('entry-outdated'))).toContain('changed or decided since');
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(one('entry-dialog').dataset.step).toBe('fill');
    expect(all('entry-error')).toHaveLength(1);
    expect(app.recording.dialog?.fields.reason).toBe('Letter of the practice');
  });
});
