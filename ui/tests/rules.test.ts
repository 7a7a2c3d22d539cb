/** Safety rules of screens.md A6 that are seen on whole screens, each by its number; the others are in safety.test.ts, views.test.ts and app.test.ts. */
import { afterEach, describe, expect, test } from 'vitest';
import { all, leave, screen, words } from './onScreen';

const row = (name: string) => all('patient-row').find((each) => words(each).includes(name));

afterEach(leave);

test('S6: the order of the board and how many there are is said', async () => {
  await screen('board');
  const summary = words(all('board-summary')[0]);
  expect(summary).toMatch(/\d+ patients/u);
  expect(summary).toContain('sort: acuity, wait');
});

test('S12: every measured value has its unit beside it', async () => {
  // In the tables over time the unit stands at the row: flowsheet.test.ts and labs.test.ts.
  for (const id of ['chart-vitals', 'chart', 'card']) {
    await screen(id);
    const values = [...document.querySelectorAll<HTMLElement>('.measured:not([data-rehearsal] *)')];
    expect(values.length).toBeGreaterThan(4);
    const bare = values.filter((each) => each.querySelector('.unit') === null).map((each) => words(each.querySelector('.value') ?? undefined));
    // A pH, an INR, a level of consciousness and a coma scale have none in the record.
    expect(bare.every((value) => ['4.2', '7.24', 'V', '13'].includes(value))).toBe(true);
    await leave();
  }
});

test('S22: times are of 24 hours and carry their date', async () => {
  await screen('chart-vitals');
  const times = [...document.querySelectorAll('.at')].map((each) => words(each)).filter((text) => text !== '');
  expect(times.length).toBeGreaterThan(4);
  for (const text of times) expect(text).toMatch(/^\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d$/u);
  expect(document.body.textContent).not.toMatch(/\d (am|pm)\b/iu);
});

describe('S24: names that are alike are marked', () => {
  for (const id of ['board', 'search-found']) {
    test(id, async () => {
      await screen(id);
      expect(words(row('SMITH, John'))).toContain('similar name');
      expect(words(row('SMYTH, Joan'))).toContain('similar name');
      expect(row('SMITH, John')?.querySelector('.similar svg')).not.toBeNull();
    });
  }
  test('and only they', async () => {
    await screen('board');
    expect(words(row('OKAFOR'))).not.toContain('similar name');
  });
});

test('S25: somebody who died is marked by words and a pattern, not by a colour alone', async () => {
  await screen('chart-damaged');
  const banner = all('banner')[0];
  expect(words(banner)).toContain('Died 20-Nov-2026');
  expect(banner?.classList.contains('deceased')).toBe(true);
});
