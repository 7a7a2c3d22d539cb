/**
 * What happened to this patient, as one list: all kinds in the order of time, the newest first.
 *
 * When something was is the engine's to say (`at_ms`); words are never sorted here, since a misread date would put a stay before
 * the one that led to it. What has no date comes last. A kind that is not wholly here says so, whatever else there is (S1).
 * Problems are left out: they come in no order of time. Called by `state/timeline.svelte.ts` and `views/chart/Timeline.svelte`.
 */
import { say } from '../i18n/language';
import { WORDS } from '../i18n/words';
import type { BlockView } from '../wire/BlockView';
import type { ChartView } from '../wire/ChartView';
import type { ImagesView } from '../wire/ImagesView';
import type { SectionAge } from '../wire/SectionAge';
import { showBlock } from './safety';

export const KINDS = ['encounters', 'notes', 'studies', 'medicines'] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_TITLES: Record<Kind, string> = {
  encounters: say('Encounters', 'Aufenthalte'),
  notes: say('Notes', 'Notizen'),
  studies: say('Image studies', 'Bilduntersuchungen'),
  medicines: say('Ended medicines', 'Beendete Medikamente'),
};

/** Of one entry. */
export const KIND_NAMES: Record<Kind, string> = {
  encounters: say('Encounter', 'Aufenthalt'),
  notes: say('Note', 'Notiz'),
  studies: say('Image study', 'Bilduntersuchung'),
  medicines: say('Medicine ended', 'Medikament beendet'),
};

/** The same in the midst of a sentence. */
const KIND_WORDS: Record<Kind, string> = {
  encounters: say('encounters', 'Aufenthalte'),
  notes: say('notes', 'Notizen'),
  studies: say('image studies', 'Bilduntersuchungen'),
  medicines: say('ended medicines', 'beendete Medikamente'),
};

/** One thing that happened. */
export interface Entry {
  kind: Kind;
  /** Its place in the list of its kind. */
  place: number;
  text: string;
  /** What stands beside it, text by text. */
  detail: string[];
  /** UTC ms by which it is put in order, and the year of that; null where no date is recorded. */
  at: number | null;
  year: number | null;
}

/** What tells an entry from all others as long as the lists stay as they are. */
export const keyOf = ({ kind, place }: Entry): string => `${kind} ${place}`;

/** One kind: its entries, or the sentence that says why there are none. */
export interface Lane {
  kind: Kind;
  entries: Entry[];
  /** In place of entries; or what is missing among them. */
  said: string | null;
  /** Nothing may be concluded from there being no entry. */
  unknown: boolean;
}

interface Dated {
  at_ms?: number | null;
  at_year?: number;
}

function lane<T extends Dated>(kind: Kind, block: BlockView<T>, age: SectionAge, entry: (item: T) => { text: string; detail: string[] }): Lane {
  const shown = showBlock(block, age, KIND_WORDS[kind]);
  if (shown.kind !== 'rows') return { kind, entries: [], said: shown.text, unknown: shown.kind === 'unknown' };
  const entries = shown.rows.map((item, place): Entry => {
    const at = item.at_ms ?? null;
    return { kind, place, ...entry(item), at, year: at === null ? null : (item.at_year ?? null) };
  });
  return { kind, entries, said: shown.warning, unknown: shown.warning !== null };
}

/** `images` is null while the list of studies was not asked for: it is not asked for here. */
export function lanesOf(chart: ChartView, images: ImagesView | null): Lane[] {
  return KINDS.map((kind): Lane => {
    switch (kind) {
      case 'encounters':
        return lane(kind, chart.encounters, chart.record_age, (line) => ({ text: line.text, detail: line.detail_text === null ? [] : [line.detail_text] }));
      case 'notes':
        return lane(kind, chart.notes, chart.record_age, (note) => ({ text: note.title, detail: [note.detail_text] }));
      case 'medicines':
        return lane(kind, chart.past_medications, chart.record_age, (medicine) => ({
          text: medicine.name,
          detail: [...(medicine.dose === null ? [] : [medicine.dose]), medicine.status_text],
        }));
      case 'studies': {
        if (images === null || images.patient !== chart.banner.patient) return { kind, entries: [], said: WORDS.studiesNotLoaded, unknown: true };
        const { studies, patient } = images;
        const block = { patient, state: studies.length > 0 ? 'recorded' : 'not-recorded', empty_text: images.empty_text, items: studies, as_of_text: null } as const;
        return lane(kind, block, images.age, (study) => ({ text: study.title, detail: [study.when_text, study.report_text] }));
      }
    }
  });
}

/** All entries of these kinds, the newest first, what has no date last. What is of one instant keeps the order of kinds and of its list. */
export function inTime(lanes: Lane[]): Entry[] {
  return lanes.flatMap(({ entries }) => entries).sort((one, other) => {
    if (one.at === null || other.at === null) return Number(one.at === null) - Number(other.at === null);
    return other.at - one.at;
  });
}

/** The entries of a year; of null those without a date. */
export interface Year {
  year: number | null;
  entries: Entry[];
  /** Place of the first of them over the whole list. */
  from: number;
}

export function yearsOf(entries: Entry[]): Year[] {
  const years: Year[] = [];
  for (const [i, entry] of entries.entries()) {
    const last = years.at(-1);
    if (last !== undefined && last.year === entry.year) last.entries.push(entry);
    else years.push({ year: entry.year, entries: [entry], from: i });
  }
  return years;
}

/** Years are open by themselves, from the newest on, as long as this many entries are on the page. */
export const OPEN_UP_TO = 120;
/** And so many of one year. */
export const MOST_OF_A_YEAR = 240;

/** How many of the years are open by themselves: never none. */
export function openByItself(years: Year[]): number {
  let sum = 0;
  const at = years.findIndex(({ entries }, i) => (sum += entries.length) > OPEN_UP_TO && i > 0);
  return at === -1 ? years.length : at;
}

/** The line under the oldest entry: where what is known ends. */
export function boundary(age: SectionAge): { text: string; unknown: boolean } {
  const whole = age.complete && !['partial', 'unavailable', 'not-on-this-workstation'].includes(age.age);
  return whole
    ? { text: say('The record on this workstation begins here. Older data, and data kept elsewhere, are not on this workstation.', 'Hier beginnt die Akte an diesem Arbeitsplatz. Ältere Daten und anderswo geführte Daten sind nicht an diesem Arbeitsplatz.'), unknown: false }
    : { text: say('Not fully loaded: older data are not on this workstation, and others may be missing — treat as unknown', 'Nicht vollständig geladen: Ältere Daten sind nicht an diesem Arbeitsplatz, und weitere können fehlen — als unbekannt behandeln'), unknown: true };
}
