/** The chart in German, where its grammar or its logic is another than in English (ADR 31). */
import { flushSync, tick } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { MANY_CURRENT } from '../src/ipc/fixtures/medicines';
import { block, MARY_CHART } from '../src/ipc/fixtures/people';
import { leave, one, screen, words } from './onScreen';

// Before any module of the screen is read: which language it is never changes after.
vi.hoisted(() => window.history.replaceState(null, '', '?language=de'));

afterEach(leave);

test.each([
  ['warfarin', '12 von 31 Notizen enthalten „warfarin“.', /^\d+ von 28 Treffern in 12 von 31 Notizen$/u],
  ['zzzz', 'Keine von 31 Notizen enthält „zzzz“.', /^$/u],
])('notes that contain "%s"', async (typed, said, matches) => {
  const app = await screen('notes-many');
  app.notes.look(typed);
  flushSync();
  await tick();
  expect(words(one('notes-filter').querySelector('b'))).toBe(said);
  expect(words(one('matches'))).toMatch(matches);
});

test('a filter of the timeline counts in the dative', async () => {
  await screen('timeline-filter');
  expect(words(one('timeline-filter'))).toMatch(/^Nur \S+: \d+ von \d+ Einträgen\. Alle Arten zeigen$/u);
});

test.each(['pausiert', 'on hold'])('"%s" is not said twice, whichever language the engine speaks', async (said) => {
  const held = { ...MANY_CURRENT[0]!, name: 'bisoprolol', suspended: true, status_text: said };
  await screen('medicines-many', (world) => (world.chart = { ok: { ...MARY_CHART, medications: block(MARY_CHART.banner.patient, [held]) } }));
  expect([...one('on-hold').children].map(words)).toEqual(['▮▮ 1 von 1 pausiert', 'bisoprolol']);
});

test.each([
  ['kein Befund in dieser Akte', true],
  ['no report in this record', true],
  ['Befund endgültig', false],
  ['report final', false],
])('a study of which the engine says "%s" is marked: %s', async (said, marked) => {
  const app = await screen('images');
  const { list } = app.images;
  if (list === null) throw new Error('no list');
  app.images.list = { ...list, studies: list.studies.slice(0, 1).map((study) => ({ ...study, report_text: said })) };
  flushSync();
  expect(one('study').querySelector('.unreported') !== null).toBe(marked);
});
