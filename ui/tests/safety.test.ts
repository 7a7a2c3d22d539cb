/** The safety rules of screens.md A6, each by its number. */
import { describe, expect, test } from 'vitest';
import { cardIsOf, chartIsOf, hiddenText, showAllergies, showBlock, stripWords } from '../src/domain/safety';
import { AGE_WORDS, WORDS } from '../src/i18n/words';
import { KNOWN, LIVE, MARY_CARD, MARY_CHART, OFFLINE, PARTIAL, REFUTED, block } from '../src/ipc/fixtures/people';
import { calm } from '../src/ipc/fixtures/world';
import type { DataAge } from '../src/wire/DataAge';
import type { SectionAge } from '../src/wire/SectionAge';

const AGES = Object.keys(AGE_WORDS) as DataAge[];
const NONE = block<string>('p', [], 'None on record');

describe('S1: an empty list is shown only from complete data', () => {
  for (const age of AGES) {
    for (const complete of [true, false]) {
      for (const state of ['recorded', 'not-recorded', 'unavailable'] as const) {
        test(`${age}, complete=${complete}, ${state}`, () => {
          const given: SectionAge = { age, text: 'as of', complete, as_of_ms: null };
          const shown = showBlock({ ...NONE, state }, given, 'labs');
          const mayBeEmpty =
            complete && state === 'not-recorded' && ['live', 'delayed', 'stale', 'offline', 'old'].includes(age);
          expect(shown.kind).toBe(mayBeEmpty ? 'empty' : 'unknown');
          if (shown.kind === 'unknown') expect(shown.text).not.toBe('');
        });
      }
    }
  }

  test('rows of incomplete data say that there may be more', () => {
    const shown = showBlock(block('p', ['x']), PARTIAL, 'labs');
    expect(shown).toMatchObject({ kind: 'rows', rows: ['x'], warning: WORDS.partialRows });
    expect(showBlock(block('p', ['x']), LIVE, 'labs')).toMatchObject({ warning: null });
  });

  test('an unavailable block never shows rows it may carry', () => {
    expect(showBlock({ ...block('p', ['x']), state: 'unavailable' }, LIVE, 'labs').kind).toBe('unknown');
  });
});

describe('S2, S3: the allergy strip is always in exactly one state', () => {
  const none = { ...KNOWN, items: [], label: 'NO KNOWN ALLERGIES', state: 'none-known' as const, negatives: ['No known allergies — Dr RAO'] };

  test('known', () => expect(showAllergies(KNOWN, LIVE).state).toBe('known'));
  test('none known carries who and when', () => {
    expect(showAllergies(none, LIVE)).toMatchObject({ state: 'none-known', remarks: ['No known allergies — Dr RAO'] });
  });
  test('none known without an author says so', () => {
    expect(showAllergies({ ...none, negatives: [] }, LIVE).remarks.join()).toContain('not recorded');
  });
  test('none known is not claimed from incomplete data', () => {
    for (const age of [PARTIAL, { ...LIVE, complete: false }]) {
      const shown = showAllergies(none, age);
      expect(shown.state).toBe('partial');
      expect(shown.label).toContain('treat as unknown');
    }
  });
  test('not recorded is not claimed from incomplete data either', () => {
    expect(showAllergies({ ...none, state: 'not-recorded' }, PARTIAL).state).toBe('partial');
  });
  test('absence is not claimed while two changes contradict each other', () => {
    const side = { standing_text: 'refuted', standing: 'refuted', reaction_text: 'anaphylaxis', by_text: null, reason_text: null };
    const disputes = [{ dispute: 'Task/1', allergy: 'AllergyIntolerance/1', agent: 'penicillin', base: side, record: side, change: side }];
    for (const state of ['none-known', 'not-recorded', 'known'] as const) {
      for (const age of [LIVE, PARTIAL]) expect(showAllergies({ ...none, state, disputes }, age)).toMatchObject({ state: 'unavailable', label: expect.stringContaining('treat as unknown') });
    }
  });
  test('a disputed allergy is never dropped, and keeps its words', () => {
    const items = KNOWN.items.map((item) => ({ ...item, disputed_text: 'DISPUTED' }));
    for (const state of ['known', 'none-known', 'not-recorded', 'unavailable'] as const) {
      for (const age of AGES) expect(showAllergies({ ...KNOWN, state, items }, { age, text: '', complete: false, as_of_ms: null }).items).toEqual(items);
    }
  });
  test('known without an entry is unavailable, not empty', () => {
    expect(showAllergies({ ...KNOWN, items: [] }, LIVE).state).toBe('unavailable');
  });
  test('a list is never headed "no known allergies"', () => {
    const shown = showAllergies({ ...KNOWN, state: 'none-known', label: 'NO KNOWN ALLERGIES' }, LIVE);
    expect(shown).toMatchObject({ state: 'known', label: 'KNOWN ALLERGIES' });
  });
  test('what cannot be read is unavailable, whatever the strip says', () => {
    for (const age of ['unavailable', 'not-on-this-workstation'] as const) {
      expect(showAllergies(none, { ...LIVE, age }).state).toBe('unavailable');
    }
  });
  test('what was refuted stands apart: it is no allergy, and no answer to whether there are others', () => {
    const refuted = REFUTED;
    for (const age of [LIVE, PARTIAL]) {
      const alone = showAllergies({ ...KNOWN, items: [], state: 'not-recorded', label: 'ALLERGIES NOT RECORDED', refuted }, age);
      expect(alone).toMatchObject({ state: age === LIVE ? 'not-recorded' : 'partial', items: [], refuted });
      expect(alone.label).not.toMatch(/no known/iu);
      expect(showAllergies({ ...KNOWN, refuted }, age)).toMatchObject({ state: 'known', items: KNOWN.items, refuted });
    }
    expect(showAllergies({ ...none, refuted }, LIVE)).toMatchObject({ state: 'none-known', refuted, remarks: ['No known allergies — Dr RAO'] });
    // Who says that there are none is not who refuted one.
    expect(showAllergies({ ...none, negatives: [], refuted }, LIVE).remarks.join()).toContain('not recorded');
  });
  test('a conflict is shown in every state', () => {
    for (const state of ['known', 'none-known', 'not-recorded', 'unavailable'] as const) {
      for (const age of [LIVE, OFFLINE, PARTIAL]) {
        for (const items of [KNOWN.items, []]) {
          const shown = showAllergies({ ...KNOWN, state, items, conflict_text: 'Conflict: x' }, age);
          expect(shown.remarks).toContain('Conflict: x');
        }
      }
    }
  });
});

describe('S7, S8: a banner, and every part of the same patient, or nothing', () => {
  const parts = ['allergies', 'critical', 'medications', 'past_medications', 'conditions', 'code_status', 'vitals', 'news2', 'labs', 'notes', 'encounters'] as const;
  test('the right one passes', () => expect(chartIsOf('p-mary', MARY_CHART)).toBe(true));
  for (const part of parts) {
    test(`chart: ${part} of somebody else`, () => {
      expect(chartIsOf('p-mary', { ...MARY_CHART, [part]: { ...MARY_CHART[part], patient: 'p-john' } })).toBe(false);
    });
  }
  test('chart: flowsheet of somebody else', () => {
    const { flowsheet } = MARY_CHART;
    expect(chartIsOf('p-mary', { ...MARY_CHART, flowsheet: { ...flowsheet, series: { ...flowsheet.series, patient: 'p-john' } } })).toBe(false);
  });
  test('banner of somebody else, no banner, nobody asked for', () => {
    expect(chartIsOf('p-john', MARY_CHART)).toBe(false);
    // The banner alone: all below it are of who was asked for.
    expect(chartIsOf('p-mary', { ...MARY_CHART, banner: { ...MARY_CHART.banner, patient: 'p-john' } })).toBe(false);
    expect(cardIsOf('p-mary', { ...MARY_CARD, banner: { ...MARY_CARD.banner, patient: 'p-john' } })).toBe(false);
    expect(chartIsOf('p-mary', { ...MARY_CHART, banner: { ...MARY_CHART.banner, name: ' ' } })).toBe(false);
    expect(chartIsOf('', { ...MARY_CHART, banner: { ...MARY_CHART.banner, patient: '' } })).toBe(false);
  });
  const cardParts = ['allergies', 'medications', 'conditions', 'code_status', 'devices', 'vitals', 'news2', 'labs', 'blood_group', 'isolation', 'flags', 'contacts'] as const;
  test('the right card passes', () => expect(cardIsOf('p-mary', MARY_CARD)).toBe(true));
  for (const part of cardParts) {
    test(`card: ${part} of somebody else`, () => {
      expect(cardIsOf('p-mary', { ...MARY_CARD, [part]: { ...MARY_CARD[part], patient: 'p-john' } })).toBe(false);
    });
  }
  test('no part of the views was forgotten', () => {
    const isOf = (value: unknown) => typeof value === 'object' && value !== null && 'patient' in value;
    // Also one step down: the flowsheet holds its block beside its hours.
    const ofPatient = (view: object) =>
      Object.entries(view).filter(([key, value]) => key !== 'banner' && typeof value === 'object' && value !== null && (isOf(value) || Object.values(value).some(isOf))).map(([key]) => key).sort();
    expect(ofPatient(MARY_CHART)).toEqual([...parts, 'flowsheet'].sort());
    expect(ofPatient(MARY_CARD)).toEqual([...cardParts].sort());
  });
});

describe('S15: the strip has words for every state', () => {
  const status = calm().status;
  for (const age of AGES) {
    test(age, () => {
      const words = stripWords({ ...status, age, sentence: '' }, false);
      expect(words.lead).toBe(AGE_WORDS[age]);
      expect(words.sentence.length).toBeGreaterThan(10);
    });
  }
  test('the word is said once', () => {
    expect(stripWords({ ...status, age: 'offline', sentence: 'OFFLINE — data as of 04:19.' }, false)).toMatchObject({
      lead: 'OFFLINE',
      sentence: 'Data as of 04:19.',
    });
  });
  test('also when the engine says it twice', () => {
    expect(stripWords({ ...status, sentence: 'LIVE — live 04:31:07.' }, false).sentence).toBe('04:31:07.');
  });
  test('a silent engine is said, whatever it said last', () => {
    expect(stripWords(status, true)).toMatchObject({ age: 'unavailable', sentence: WORDS.engineSilent });
  });
});

describe('S5: what cannot be seen is counted and named', () => {
  const row = (name: string, risk = false) => ({ name, risk });
  const text = (...given: Parameters<typeof hiddenText>) => {
    const said = hiddenText(...given);
    if (said === null) return null;
    const names = [...said.risk.map((name) => `▲${name}`), ...said.rest].join(' · ');
    return names === '' ? said.count : `${said.count}: ${names}`;
  };
  test('nothing hidden, nothing said', () => expect(hiddenText([], 'below')).toBeNull());
  test('all of it where there is room', () => expect(text([row('a'), row('b')], 'below')).toBe('2 below: a · b'));
  test('high-risk first, and each of them however many', () => {
    const rows = [row('a'), row('warfarin', true), row('b'), row('insulin', true), row('c'), row('d')];
    expect(text(rows, 'below', 3)).toBe('6 below: ▲warfarin · ▲insulin · a · +3');
    expect(text(rows, 'above', 1)).toBe('6 above: ▲warfarin · ▲insulin · +4');
  });
  test('what it is is said', () => {
    expect(text([row('a')], 'below', 3, ['medicine', 'medicines'])).toBe('1 medicine below: a');
    expect(text([row('a'), row('b')], 'above', 3, ['medicine', 'medicines'])).toBe('2 medicines above: a · b');
  });
  test('counted alone where no name is asked for', () => expect(text([row('a'), row('b'), row('c')], 'below', 0)).toBe('3 below'));
  test('the last one is named, not counted', () => expect(text([row('a'), row('b'), row('c')], 'below', 2)).toBe('3 below: a · b · c'));
});
