/** Changing an allergy, and deciding what two changes of it contradict each other in (screens.md 11, S4, S8, S16, S27). */
import { afterEach, describe, expect, test } from 'vitest';
import { MARY_CHART } from '../src/ipc/fixtures/people';
import type { World } from '../src/ipc/fixtures/world';
import { offersOf } from '../src/state/palette.svelte';
import type { EntryInput } from '../src/wire/EntryInput';
import { READ_AT_LEAST_MS } from '../src/state/entry.svelte';
import type { App } from '../src/state/app.svelte';
import type { DisputeView } from '../src/wire/DisputeView';
import { all, leave, one, press, screen, settled, type, words } from './onScreen';

const choose = async (field: string, code: string) => {
  one(`choice-${field}-${code}`).click();
  await settled();
};
/** What goes to the engine now. */
const input = (app: App) => app.recording.dialog?.fields.inputOf('allergy-change') as EntryInput;
/** By name, through the palette, with nothing but keys. */
const byName = async (name: string) => {
  await press(window, 'k', { ctrlKey: true });
  await type('palette-query', name);
  await press(one('palette-query'), 'Enter');
  await settled(20);
};
/** The chart of Mary with these changes of its contradictions. */
const disputes = (change: (dispute: DisputeView) => DisputeView[]) => (world: World) => {
  if (typeof world.chart !== 'object' || !('ok' in world.chart)) throw new Error('no chart');
  const { allergies } = world.chart.ok;
  world.chart = { ok: { ...world.chart.ok, allergies: { ...allergies, disputes: allergies.disputes.flatMap(change) } } };
};
const chosen = () => [...document.querySelectorAll('[role="radio"][aria-checked="true"]')];

afterEach(leave);

describe('a change', () => {
  test('by keys alone: opened by name, which of several, nothing chosen (S27), read, signed', async () => {
    const app = await screen('chart');
    await byName('change an allergy');
    expect(words(document.getElementById('entry-title'))).toBe('Change allergy — JONES, Mary (Ms)');
    // Which of several comes first, and has the focus; nothing else can be chosen before.
    expect(document.activeElement).toBe(one('choice-allergy-AllergyIntolerance/penicillin'));
    expect(words(one('choice-allergy-AllergyIntolerance/latex'))).toBe('2latex — urticaria');
    expect(chosen()).toEqual([]);
    expect(all('choice-standing-confirmed')).toHaveLength(0);
    await press(window, 'Enter', { ctrlKey: true });
    expect(document.querySelector('[role=radiogroup]')?.getAttribute('aria-invalid')).toBe('true');
    await press(document.activeElement as Element, '2');
    expect(words(one('change-about'))).toBe('latex — recorded: urticaria. How it stands in the record: Reported, not confirmed');
    expect(chosen()).toHaveLength(1);
    const standing = one('choice-standing-confirmed');
    expect(standing.tabIndex).toBe(0);
    standing.focus();
    await press(standing, '3');
    expect(one('choice-standing-refuted').getAttribute('aria-checked')).toBe('true');
    await type('reason', 'Skin test negative');
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(one('entry-dialog').dataset.step).toBe('preview');
    expect(words(one('entry-sign'))).toContain('Sign in the chart of JONES, Mary (Ms)');
    await settled(READ_AT_LEAST_MS + 50);
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(app.recording.dialog).toBeNull();
    expect(all('allergies')).toHaveLength(1);
  });

  test('from the section: each of the record has a button that names it, and its form begins with how it stands, nothing chosen (S27)', async () => {
    await screen('chart-allergies');
    expect(all('allergy-change').map((button) => button.getAttribute('aria-label'))).toEqual(['Change penicillin', 'Change latex', 'Change blue dye']);
    all('allergy-change')[1]?.click();
    await settled(20);
    expect(words(one('change-about'))).toContain('latex — recorded: urticaria');
    expect(chosen()).toEqual([]);
    expect(document.activeElement).toBe(one('choice-standing-confirmed'));
  });

  test('what is not in the record yet, or disputed, has none', async () => {
    await screen('chart-allergies-disputed');
    expect(all('allergy-change').map((button) => button.getAttribute('aria-label'))).toEqual(['Change latex', 'Change blue dye']);
  });

  test('another allergy: how the one before was to stand is no choice for it; what was typed stays', async () => {
    const app = await screen('entry-allergy-change-which');
    await choose('allergy', 'AllergyIntolerance/penicillin');
    await choose('standing', 'refuted');
    await type('reason', 'Skin test negative');
    await choose('allergy', 'AllergyIntolerance/latex');
    expect(input(app)).toMatchObject({ field: 'standing' });
    await choose('standing', 'resolved');
    expect(input(app)).toMatchObject({ allergy: 'AllergyIntolerance/latex', standing: 'resolved', reason: 'Skin test negative' });
  });

  test('changed elsewhere meanwhile, if only in how it stands: it says so, and goes no further', async () => {
    const app = await screen('entry-allergy-change');
    expect(all('entry-outdated')).toHaveLength(0);
    const items = MARY_CHART.allergies.items.map((item) => (item.agent === 'latex' ? { ...item, standing: 'confirmed', verification_text: null } : item));
    app.backend.chartOpen = () => Promise.resolve({ ...MARY_CHART, allergies: { ...MARY_CHART.allergies, items } });
    await app.readChart();
    await settled();
    expect(all('entry-outdated')).toHaveLength(1);
    await press(window, 'Enter', { ctrlKey: true });
    expect(one('entry-dialog').dataset.step).toBe('fill');
  });

  test('a preview of another patient is shown to nobody (S8)', async () => {
    const app = await screen('entry-allergy-change');
    const preview = app.backend.entryPreview.bind(app.backend);
    app.backend.entryPreview = async (patient, given) => ({ ...(await preview(patient, given)), patient: 'p-other' });
    await type('reason', 'because');
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(one('entry-dialog').dataset.step).toBe('fill');
    expect(words(one('entry-error'))).toMatch(/patient/u);
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
    expect(words(document.getElementById(one('reason').getAttribute('aria-describedby') ?? ''))).toContain('Say why');
    expect(document.activeElement).toBe(one('reason'));
  });

  test('who may not record changes nothing', async () => {
    const app = await screen('chart-no-recording');
    app.section = 'allergies';
    await settled();
    for (const button of all('allergy-change')) expect((button as HTMLButtonElement).disabled).toBe(true);
    expect(app.recording.changes).toEqual([]);
    expect(offersOf(app).map(({ act }) => act)).not.toContain('change-allergy');
    app.recording.change([{ allergy: 'AllergyIntolerance/latex', agent: 'latex', item: MARY_CHART.allergies.items[1]!, dispute: null }]);
    expect(app.recording.dialog).toBeNull();
  });
});

describe('what was refuted', () => {
  test('stands after the allergies in the band, apart and in words (S2, S4)', async () => {
    await screen('chart-allergies-refuted');
    const band = one('allergies');
    expect(band.dataset.state).toBe('known');
    const apart = one('allergies-refuted');
    expect([...apart.querySelectorAll('p')].map(words)).toEqual([
      'Refuted: sulfamethoxazole — Dr RAO (Physician), 20-Nov-2026 10:15, at icu-02',
      'Refuted: iodine — who and when not recorded',
    ]);
    const list = band.querySelector('ul');
    expect(words(list)).not.toContain('sulfamethoxazole');
    expect(list?.compareDocumentPosition(apart)).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
  });

  test('alone it leaves the allergies not recorded, and nobody has said that there are none (S2)', async () => {
    await screen('chart-refuted');
    expect(one('allergies').dataset.state).toBe('not-recorded');
    expect(words(one('allergy-label'))).toBe('ALLERGIES NOT RECORDED');
    expect(words(one('allergies'))).toContain('Refuted: sulfamethoxazole');
    expect(words(one('allergies'))).not.toMatch(/no known/iu);
  });

  test('in its section it says who and why, or that nobody knows, and can be changed where the record lets it', async () => {
    const app = await screen('chart-allergies-refuted');
    expect(words(one('refuted'))).toContain('sulfamethoxazole — was recorded with: rash, mild');
    expect(all('refuted-why').map(words)).toEqual(['because: oral challenge tolerated on 20-Nov-2026', 'Why is not recorded']);
    expect(all('allergy-change').map((button) => button.getAttribute('aria-label'))).toEqual(['Change penicillin', 'Change latex', 'Change blue dye', 'Change sulfamethoxazole']);
    all('allergy-change')[3]?.click();
    await settled(20);
    expect(words(one('change-about'))).toBe('sulfamethoxazole — recorded: rash, mild. How it stands in the record: Refuted: looked into, it is none');
    expect(chosen()).toEqual([]);
    await choose('standing', 'unconfirmed');
    await type('reason', 'Hives after a second dose');
    expect(input(app)).toMatchObject({ allergy: 'AllergyIntolerance/sulfamethoxazole', standing: 'unconfirmed', reason: 'Hives after a second dose', settles: '' });
  });

  test('by name it is one of several, and says that it is refuted', async () => {
    await screen('chart-allergies-refuted');
    await byName('change an allergy');
    expect(words(one('choice-allergy-AllergyIntolerance/sulfamethoxazole'))).toBe('4sulfamethoxazole — refuted; rash, mild');
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

  test('it is offered by name in its chart alone, and by keys alone it is read, answered and signed', async () => {
    for (const id of ['chart', 'chart-mismatch', 'card-disputed', 'board']) {
      expect(offersOf(await screen(id)).map(({ act }) => act)).not.toContain('review-conflict');
      await leave();
    }
    const app = await screen('chart-disputed');
    await byName('conflict');
    expect(words(document.getElementById('entry-title'))).toBe('Two changes contradict each other — JONES, Mary (Ms)');
    // What both say is read before anything is chosen; the first answer is one Tab away.
    expect(document.activeElement).toBe(one('dispute-sides'));
    expect(one('choice-side-record').tabIndex).toBe(0);
    expect(chosen()).toEqual([]);
    await press(window, 'Enter', { ctrlKey: true });
    expect(document.activeElement).toBe(one('choice-side-record'));
    expect(one('choice-side-record').closest('[role=radiogroup]')?.getAttribute('aria-invalid')).toBe('true');
    await press(document.activeElement as Element, '2');
    await type('reason', 'Asked her husband');
    await press(window, 'Enter', { ctrlKey: true });
    await settled(READ_AT_LEAST_MS + 50);
    expect(words(one('entry-sign'))).toContain('Sign in the chart of JONES, Mary (Ms)');
    await press(window, 'Enter', { ctrlKey: true });
    await settled(20);
    expect(app.recording.dialog).toBeNull();
  });

  test('from the section: the button names the agent', async () => {
    await screen('chart-allergies-disputed');
    expect(one('dispute-review').getAttribute('aria-label')).toContain('penicillin');
    one('dispute-review').click();
    await settled(20);
    expect(all('dispute-sides')).toHaveLength(1);
  });

  test('of two that wait, a person chooses one first', async () => {
    const app = await screen('chart-disputed', disputes((each) => [each, { ...each, dispute: 'Task/dispute-2', allergy: 'AllergyIntolerance/latex', agent: 'latex' }]));
    await byName('conflict');
    expect(words(document.getElementById('entry-title'))).toContain('Two changes contradict each other');
    expect(all('dispute-sides')).toHaveLength(0);
    expect(input(app)).toMatchObject({ field: 'allergy' });
    await choose('allergy', 'Task/dispute-2');
    expect(words(one('dispute-sides'))).toContain('latex');
  });

  test('a side whose standing cannot be recorded is not offered, and why not is said', async () => {
    await screen('entry-conflict', disputes((each) => [{ ...each, record: { ...each.record, standing: '', standing_text: 'no longer in the record' } }]));
    expect(all('choice-side-record')).toHaveLength(0);
    expect(words(one('side-not-offered'))).toMatch(/Keep what the record says.*not offered.*no longer in the record/u);
    expect(all('choice-side-other')).toHaveLength(1);
  });

  test('another patient’s allergies: neither the dispute nor the dialog is on the page (S8)', async () => {
    const app = await screen('entry-conflict');
    const { view } = app.chart ?? {};
    if (view == null) throw new Error('no chart');
    app.backend.chartOpen = () => Promise.resolve({ ...view, allergies: { ...view.allergies, patient: 'p-other' } });
    await app.readChart();
    await settled();
    for (const part of ['entry-dialog', 'dispute-sides', 'allergies', 'allergy-disputed']) expect(all(part)).toHaveLength(0);
    expect(app.recording.shown).toBeNull();
  });

  test('both changes and what they began from stand side by side; what differs is said in words', async () => {
    await screen('entry-conflict');
    const sides = words(one('dispute-sides'));
    for (const text of ['Before both changes', 'The record now', 'The other change', 'refuted', 'Dr RAO', 'at icu-02', 'RN OKAFOR', 'Seen at triage.', '— differs']) expect(sides).toContain(text);
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
