/** What the components put on the page: words, marks, and nothing that came from outside as anything but text. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { block, CHILD_NEWS2_IN_FULL, MARY_CARD, MARY_CHART, MARY_NEWS2 } from '../src/ipc/fixtures/people';
import { SCENARIOS } from '../src/ipc/fixtures/scenarios';
import { all, leave, one, screen, words } from './onScreen';

const text = () => document.body.textContent ?? '';

afterEach(leave);

describe('every screen', () => {
  for (const { id } of SCENARIOS) {
    test(`${id}: has its strip, and a banner wherever a patient's data are`, async () => {
      await screen(id);
      expect(one('status').textContent?.trim()).not.toBe('');
      // Nothing dismisses the strip (S15).
      // What stands in it may be opened: its buttons are those of what was not sent, of what waits, of the status, and of a drill.
      expect(one('status').querySelector('button:not([data-testid=strip-unsent], [data-testid=strip-rejected], [data-testid=strip-critical], [data-testid=strip-sync], [data-testid=drill-end]), a, [role=button]')).toBeNull();
      if (all('medicines').length > 0 || all('card-medicines').length > 0) expect(all('banner').length).toBeGreaterThan(0);
      expect(all('broken')).toHaveLength(0);
      expect(document.title).not.toMatch(/JONES|SMITH/);
    });
  }
});

describe('what is withheld by confidentiality', () => {
  test('is said on the chart, whichever section is open, and not where nothing is', async () => {
    await screen('chart-withheld');
    expect(one('withheld').textContent).toBe('2 entries are withheld by confidentiality. Emergency access (Ctrl+F12) shows them.');
    leave();
    await screen('chart-vitals');
    expect(all('withheld')).toHaveLength(0);
  });
});

describe('NEWS2 (S11)', () => {
  test('a score that lacks an input says so on the chart, with each input and its points', async () => {
    await screen('chart-vitals');
    const words = one('news2').textContent ?? '';
    expect(words).toContain('≥15');
    expect(words).toContain('not recorded: air or oxygen');
    expect(words).toContain('at least');
    const parts = all('news2-part').map((row) => row.textContent ?? '');
    expect(parts).toHaveLength(7);
    expect(parts.find((row) => row.includes('oxygen'))).toContain('not counted: not recorded');
    expect(parts.find((row) => row.startsWith('RR'))).toContain('26 per min');
  });
  test('the card opens at its top: focus alone does not scroll past the medicines', async () => {
    const focus = vi.spyOn(HTMLElement.prototype, 'focus');
    await screen('card');
    const last = focus.mock.calls.at(-1);
    focus.mockRestore();
    expect(last).toEqual([{ preventScroll: true }]);
  });
  test('every part at the right of the card is counted when it lies below the edge (S5)', async () => {
    await screen('card');
    const right = one('card-labs').parentElement;
    const parts = [...(right?.querySelectorAll('section') ?? [])];
    expect(parts).toHaveLength(9);
    for (const part of parts) expect(part.dataset.name).toBeTruthy();
  });
  test('on the emergency card too', async () => {
    await screen('card');
    expect(one('card-news2').textContent).toContain('not recorded: air or oxygen');
  });
  test('on the board: what is lacking is visible words, a child has no score and a reason', async () => {
    await screen('board');
    const row = (name: string) => all('patient-row').find((each) => each.textContent?.includes(name))?.textContent ?? '';
    expect(row('SMYTH')).toContain('≥5');
    expect(row('SMYTH')).toContain('not recorded: temp');
    expect(row('OKAFOR')).toContain('age <16');
  });
  test('in a chart that a child has no score is a sentence, and reads like no score', async () => {
    await screen('chart', (world) => (world.chart = { ok: { ...MARY_CHART, news2: block('p-mary', [CHILD_NEWS2_IN_FULL]) } }));
    expect(one('news2').textContent).toContain('not for patients under 16 years');
  });
  test('what is heard: no sign that a voice leaves out, and a pause between the parts', async () => {
    await screen('board');
    const row = all('patient-row').find((each) => each.textContent?.includes('SMYTH'));
    const score = row?.querySelector('[data-testid=news2]');
    const heard = score?.cloneNode(true) as HTMLElement;
    for (const silent of heard.querySelectorAll('[aria-hidden=true]')) silent.remove();
    expect(heard.textContent?.replace(/\s+/g, ' ').trim()).toBe(
      'NEWS2: at least 5. at least: urgent response. not recorded: temp. SpO2 scale 1. oldest input 21-Nov-2026 03:58',
    );
  });
  test('a score ends when an input becomes too old while it is looked at', async () => {
    await screen('chart-vitals', (world) => {
      const score = { ...MARY_NEWS2, good_for_s: 0.2 };
      world.chart = { ok: { ...MARY_CHART, news2: { ...MARY_CHART.news2, items: [score] } } };
    });
    await vi.waitFor(() => expect(one('news2').textContent).toContain('over 12 h old'), { timeout: 2000 });
    expect(one('news2').textContent).not.toContain('15');
  });
  test('vital signs that cannot be read give no score', async () => {
    await screen('chart-vitals', (world) => {
      const chart = MARY_CHART;
      world.chart = { ok: { ...chart, news2: { ...chart.news2, state: 'unavailable', items: [], empty_text: '' } } };
    });
    expect(all('news2')).toHaveLength(0);
    expect(one('news2-section').textContent).toContain('treat as unknown');
  });
});

describe('chart', () => {
  test('incomplete data: no empty list, every section says so (S1)', async () => {
    await screen('chart-partial');
    expect(all('empty')).toHaveLength(0);
    expect(all('unknown').length).toBeGreaterThan(3);
    expect(one('allergies').dataset.state).toBe('partial');
  });

  test('complete and empty: said in words', async () => {
    await screen('chart-empty');
    expect(one('allergies').dataset.state).toBe('none-known');
    expect(one('allergies').textContent).toContain('Dr RAO, 18-Nov-2026');
    expect(all('empty').length).toBeGreaterThan(5);
  });

  test('a mismatch blanks everything (S8)', async () => {
    await screen('chart-mismatch');
    expect(all('banner')).toHaveLength(0);
    expect(text()).not.toContain('warfarin');
    expect(one('chart-error').textContent).toContain('another patient');
  });

  test('free-text allergies are marked (S14)', async () => {
    await screen('chart');
    expect(one('allergies').textContent).toContain('NOT CHECKED');
    expect([...one('allergies').querySelectorAll('li')].map((li) => li.textContent?.includes('NOT CHECKED'))).toEqual([false, false, true]);
  });

  test('abnormal values carry text and shape, not colour alone (S10)', async () => {
    await screen('chart-labs');
    const flags = [...document.querySelectorAll('.flag')];
    expect(flags.length).toBeGreaterThan(8);
    for (const flag of flags) {
      expect(flag.querySelector('svg')).not.toBeNull();
      expect(flag.textContent).toMatch(/H|L|A/);
    }
  });

  test('hidden rows are counted (S5)', async () => {
    await screen('chart');
    expect(all('hidden-rows').map((each) => each.textContent?.replace(/\s+/g, ' ').trim())).toEqual([
      '2 more past medicines: Ctrl+2',
      '2 more laboratory results: Ctrl+4',
      '1 more notes: Ctrl+6',
      '1 more encounters: Ctrl+7',
    ]);
  });

  test('a section that breaks says "treat as unknown", the others stay (S30)', async () => {
    await screen('chart', (world) => {
      // The engine and this screen disagree about the shape of a section.
      world.chart = { ok: { ...MARY_CHART, conditions: { ...MARY_CHART.conditions, items: [null as never] } } };
    });
    expect(one('broken').textContent).toContain('Could not show problems — treat as unknown');
    expect(one('medicines').textContent).toContain('warfarin');
    expect(one('banner-name').textContent).toContain('JONES');
  });

  test('allergies that break are unavailable, never missing (S30)', async () => {
    await screen('chart', (world) => {
      world.chart = { ok: { ...MARY_CHART, allergies: { ...MARY_CHART.allergies, items: [null as never] } } };
    });
    expect(one('allergies').dataset.state).toBe('unavailable');
    expect(one('allergies').textContent).toContain('treat as unknown');
  });

  test('text from outside stays text (S28)', async () => {
    const evil = '<img src=x onerror=alert(1)><b>bold</b>';
    await screen('chart', (world) => {
      world.chart = {
        ok: {
          ...MARY_CHART,
          banner: { ...MARY_CHART.banner, name: evil },
          conditions: block(MARY_CHART.banner.patient, [{ text: evil, detail_text: evil }]),
          notes: block(MARY_CHART.banner.patient, [{ title: evil, detail_text: evil, text: evil }]),
        },
      };
    });
    expect(document.querySelector('img')).toBeNull();
    expect(one('banner-name').textContent).toBe(evil);
    expect(one('notes').textContent).toContain(evil);
  });

  test('broken glass is framed for as long as the chart is open (S19)', async () => {
    await screen('chart-glass');
    expect(one('glass-frame').textContent).toContain('BREAK-GLASS');
    expect(one('chart-screen').className).toContain('broken-glass');
  });
});

describe('emergency card', () => {
  test('names, doses and allergies stand in full, high risk first', async () => {
    await screen('card');
    expect(one('frame-text').textContent).toContain('BREAK-GLASS');
    expect(one('card-age').textContent).toContain('OFFLINE');
    const names = [...one('card-medicines').querySelectorAll('.name')].map((each) => each.textContent);
    expect(names).toEqual(MARY_CARD.medications.items.map((each) => each.name));
    expect(one('card-medicines').textContent).toContain('anticoagulant');
    expect(one('recently-stopped').textContent).toContain('apixaban');
  });

  test('what cannot be read is said, what is not fully loaded is not claimed', async () => {
    await screen('card-unavailable');
    expect(one('card-medicines').textContent).toContain('Medicines unavailable — treat as unknown');
    expect(one('card-labs').textContent).toContain('not fully loaded — treat as unknown');
    expect(one('allergies').dataset.state).toBe('partial');
  });

  test('what lies under it is out of reach', async () => {
    await screen('card');
    expect(document.querySelector('.under')?.hasAttribute('inert')).toBe(true);
  });
});

describe('lock screen', () => {
  for (const id of ['lock-not-enrolled', 'lock-revoked', 'lock-keys-missing']) {
    test(`${id}: says what is wrong and offers neither sign-in nor emergency access`, async () => {
      await screen(id);
      expect(one('device-state').textContent?.length).toBeGreaterThan(40);
      expect(all('sign-in')).toHaveLength(0);
      expect(all('emergency')).toHaveLength(0);
    });
  }

  test('what the workstation says of the offline horizon stands above the way in, and neither way in goes', async () => {
    const said = 'No contact with the server: signing in here works for 2 d 4 hr more, then not until the server is back.';
    await screen('lock', (world) => (world.lock = { ...world.lock, device_text: said }));
    expect(words(one('device-notice'))).toContain(said);
    const order = one('device-notice').compareDocumentPosition(one('sign-in'));
    expect(order & Node.DOCUMENT_POSITION_FOLLOWING).toBeTruthy();
    expect(one('emergency').hasAttribute('disabled')).toBe(false);
    await leave();
    // Past it the words are said once, and nothing promises that a PIN works without the server.
    await screen('lock-horizon-past');
    expect(words(one('sign-in-error'))).toBe('Not signed in: see above.');
    expect(text().match(/nobody can sign in here until it has/gu)).toHaveLength(1);
    expect(text()).not.toContain('works without the server');
    await leave();
    await screen('lock');
    expect(all('device-notice')).toHaveLength(0);
  });

  test('type-ahead narrows the recent users', async () => {
    await screen('lock');
    const field = one('user') as HTMLInputElement;
    field.value = 'ao';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    flushSync();
    expect(all('recent-user').map((each) => each.textContent)).toEqual([expect.stringContaining('aokafor')]);
  });

  test('alarms stay', async () => {
    await screen('lock-alarms');
    expect(one('alarm').textContent).toContain('audit log');
    expect(one('status').textContent).toContain('clock not verified');
  });
});

test('the focus of the emergency dialog moves when asked, never while somebody types', async () => {
  const app = await screen('glass-locked');
  app.dialog?.chooseDigit(1);
  flushSync();
  expect(document.activeElement).toBe(one('glass-user'));
  const field = one('glass-user') as HTMLInputElement;
  field.value = 'd';
  field.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
  expect(app.dialog?.step).toBe('secret');
  expect(document.activeElement).toBe(field);
});

test('keys reach the state through the document', async () => {
  const app = await screen('chart');
  window.dispatchEvent(new KeyboardEvent('keydown', { key: '4', ctrlKey: true }));
  expect(app.section).toBe('labs');
  window.dispatchEvent(new KeyboardEvent('keydown', { key: 'F1' }));
  flushSync();
  expect(all('help')).toHaveLength(1);
});

describe('images', () => {
  test('studies: what cannot be opened says why and is no button', async () => {
    await screen('images');
    const cards = all('series');
    expect(cards.filter((card) => (card as HTMLButtonElement).disabled).map((card) => card.textContent)).toEqual([expect.stringContaining('Structured report')]);
    expect(text()).toContain('no report in this record');
  });

  test('none, or not fully loaded: never the same words (S1)', async () => {
    await screen('images-empty');
    expect(one('empty').textContent).toContain('No images in this record as of');
    await leave();
    await screen('images-partial');
    expect(all('empty')).toHaveLength(0);
    expect(one('unknown').textContent).toContain('not fully loaded');
  });

  test('a header of somebody else: a red block and no pixels, then the words stay (S8)', async () => {
    await screen('viewer-mismatch');
    expect(one('mismatch').textContent).toContain('DOE');
    expect(all('identity')).toHaveLength(0);
    one('mismatch').querySelector('button')?.click();
    flushSync();
    expect(all('mismatch')).toHaveLength(0);
    expect(one('mismatch-bar').textContent).toContain('DOE');
  });

  test('the picture names the patient of our record, the quality, and what it is not for (S21)', async () => {
    await screen('viewer-ct');
    expect(one('identity').textContent).toContain('JONES');
    expect(one('quality').textContent).toBe('no picture yet');
    expect(one('viewport').textContent).toContain('Not for primary diagnosis');
    expect(all('banner')).toHaveLength(1);
  });

  test('no server, gaps, errors: in words', async () => {
    await screen('viewer-measure');
    expect(one('gaps').textContent).toContain('2 gaps in this series');
    expect(one('facts').textContent).toContain('3 images missing between 12 and 13');
  });

  test('a thousand images are no thousand elements', async () => {
    const app = await screen('viewer-ct');
    const before = document.querySelectorAll('*').length;
    app.images.scroll(app.images.port, 30);
    flushSync();
    expect(document.querySelectorAll('*').length).toBe(before);
    expect(before).toBeLessThan(400);
  });
});
