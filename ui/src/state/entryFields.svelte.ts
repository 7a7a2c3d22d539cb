/**
 * What is typed in an entry dialog, and the input it makes.
 *
 * Lives here: the fields of vital signs, an allergy, a note and an acknowledgement, and which of them were filled. Never here: limits, units,
 * choices (the engine's form), markup. Called by `entry.svelte.ts` and `views/entry/`.
 */
import { WORDS } from '../i18n/words';
import type { AnswerView } from '../wire/AnswerView';
import type { CriticalView } from '../wire/CriticalView';
import type { EntryFormView } from '../wire/EntryFormView';
import type { EntryInput } from '../wire/EntryInput';
import type { FaultView } from '../wire/FaultView';

/** What can be recorded. */
export type EntryKind = 'vitals' | 'allergy' | 'note';
/** What a dialog may be about; an acknowledgement is opened from its result alone. */
export type DialogKind = EntryKind | 'acknowledge';

/** Whole minutes, as long as the engine can take them for a number. */
const WHOLE = /^\d{1,9}$/u;

export class EntryFields {
  /** By the code of the sign. */
  readings = $state<Record<string, string>>({});
  /** Minutes chosen; what is typed beside them counts before. */
  ago = $state(0);
  agoTyped = $state('');
  agent = $state('');
  reaction = $state('');
  severity = $state('');
  certainty = $state('');
  /** "No known allergies" instead of one, and its question answered with yes. */
  noneKnown = $state(false);
  asked = $state(false);
  noteKind = $state('');
  text = $state('');
  /** What is done about a critical result: nothing is chosen before a person chooses (S27). */
  answer = $state('');
  readBack = $state('');
  words = $state('');
  /** What may be chosen. */
  #answers: AnswerView[] = [];
  readonly #critical: CriticalView | null;

  constructor(critical: CriticalView | null = null) {
    this.#critical = critical;
  }

  /** Offers what the form offers first. */
  offer(form: EntryFormView): void {
    this.ago = form.ago_minutes[0] ?? 0;
    this.certainty = form.certainties[0]?.code ?? '';
    this.noteKind = form.note_kinds[0]?.code ?? '';
    this.#answers = form.answers;
  }

  chooseAgo(minutes: number): void {
    this.ago = minutes;
    this.agoTyped = '';
  }

  /** Something was typed or chosen that would be lost. */
  filled(kind: DialogKind): boolean {
    switch (kind) {
      case 'vitals':
        return Object.values(this.readings).some((value) => value.trim() !== '');
      case 'allergy':
        return [this.agent, this.reaction, this.severity].some((value) => value.trim() !== '');
      case 'note':
        return this.text.trim() !== '';
      case 'acknowledge':
        return [this.answer, this.readBack, this.words].some((value) => value.trim() !== '');
    }
  }

  /** The value of each field, by the names the engine's faults have. */
  values(): Record<string, string> {
    const { readings, agent, reaction, severity, certainty, text, answer, words } = this;
    return { ...readings, minutes_ago: this.agoTyped.trim() || String(this.ago), agent, reaction, severity, certainty, note_kind: this.noteKind, text, answer, words, read_back: this.readBack };
  }

  /** What goes to the engine; a fault where what is typed is no number of minutes, or an answer is wanting. */
  inputOf(kind: DialogKind): EntryInput | FaultView {
    switch (kind) {
      case 'vitals': {
        const typed = this.agoTyped.trim();
        if (typed !== '' && !WHOLE.test(typed)) return { field: 'minutes_ago', text: WORDS.wholeMinutes };
        const readings = Object.entries(this.readings).map(([sign, value]) => ({ sign, value: value.trim() }));
        return { kind, minutes_ago: typed === '' ? this.ago : Number(typed), readings: readings.filter(({ value }) => value !== '') };
      }
      case 'allergy': {
        if (this.noneKnown) return { kind: 'no-known-allergies', asked: this.asked };
        const { agent, reaction, severity, certainty } = this;
        return { kind, agent: agent.trim(), reaction: reaction.trim(), severity, certainty };
      }
      case 'note':
        return { kind, note_kind: this.noteKind, text: this.text };
      case 'acknowledge': {
        const [chosen, critical] = [this.#answers.find(({ code }) => code === this.answer), this.#critical];
        if (chosen === undefined || critical === null) return { field: 'answer', text: WORDS.chooseAnswer };
        const words = this.words.trim();
        if (words === '' && !chosen.optional) return { field: 'words', text: WORDS.wordsNeeded };
        return { kind, result: critical.result, version: critical.version, answer: chosen.code, read_back: this.readBack.trim(), words };
      }
    }
  }
}
