/**
 * What is typed in an entry dialog, and the input it makes.
 *
 * Lives here: the fields of vital signs, of a mark on them, an allergy and its change, a note and an acknowledgement, and which of them were filled. Never here: limits, units,
 * choices (the engine's form), markup. Called by `entry.svelte.ts` and `views/entry/`.
 */
import { WORDS } from '../i18n/words';
import type { AnswerView } from '../wire/AnswerView';
import type { CriticalView } from '../wire/CriticalView';
import type { DraftKind } from '../wire/DraftKind';
import type { EntryDraftView } from '../wire/EntryDraftView';
import type { EntryFormView } from '../wire/EntryFormView';
import type { EntryInput } from '../wire/EntryInput';
import type { FaultView } from '../wire/FaultView';
import type { StandingView } from '../wire/StandingView';
import { codeOf, type ChangeTarget } from './changes';
import type { Value, WrongSet } from './wrongs';

/** What can be recorded; what was typed of it is kept as a draft. */
export type EntryKind = DraftKind;
/** What a dialog may be about; an acknowledgement is opened from its result alone, a change from its allergy, a mark from the vital signs. */
export type DialogKind = EntryKind | 'acknowledge' | 'allergy-change' | 'vitals-error';

/** How a contradiction is decided: as the record has it, as the other change has it, otherwise. */
export type Side = '' | 'record' | 'change' | 'other';

/** Whole minutes, as long as the engine can take them for a number. */
const WHOLE = /^\d{1,9}$/u;

/** Stands where minutes belong and cannot be told: it is no number, so that nothing is signed before a person says. */
const UNTOLD = '?';

/** Fields of a draft that a form has. */
const RESTORED = { allergy: ['agent', 'reaction', 'severity'], note: ['text'] };
const known = (typed: Record<string, string>, kind: 'allergy' | 'note') =>
  Object.fromEntries(Object.entries(typed).filter(([field]) => RESTORED[kind].includes(field)));

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
  /** How an allergy stands, and why; nothing is chosen before a person chooses. */
  standing = $state('');
  reason = $state('');
  side = $state<Side>('');
  /** Which allergy is changed: the only one there is, or the one that a person chose of several. */
  change = $state.raw<ChangeTarget | null>(null);
  readonly targets: readonly ChangeTarget[];
  /** Of which time values are marked as wrong, which, and why; nothing is chosen before a person chooses (S27). */
  wrongAt = $state<number | null>(null);
  wrongs = $state.raw<Value[]>([]);
  why = $state('');
  readonly wrongSets: readonly WrongSet[];
  /** What may be chosen. */
  #answers: AnswerView[] = [];
  #standings: StandingView[] = [];
  readonly #critical: CriticalView | null;

  constructor(critical: CriticalView | null = null, targets: readonly ChangeTarget[] = [], wrongSets: readonly WrongSet[] = []) {
    this.#critical = critical;
    this.targets = targets;
    this.wrongSets = wrongSets;
    this.change = targets.length === 1 ? (targets[0] ?? null) : null;
  }

  /** Offers what the form offers first. */
  offer(form: EntryFormView): void {
    this.ago = form.ago_minutes[0] ?? 0;
    this.certainty = form.certainties[0]?.code ?? '';
    this.noteKind = form.note_kinds[0]?.code ?? '';
    this.#answers = form.answers;
    this.#standings = form.standings;
  }

  /** Another allergy: how the one before was to stand says nothing of it. What was typed can be read, and stays. */
  pick(code: string): void {
    this.change = this.targets.find((each) => codeOf(each) === code) ?? null;
    this.decide('');
  }

  /** Decides for one side; what was chosen for another is no choice any more. */
  decide(side: Side): void {
    this.side = side;
    const dispute = this.change?.dispute;
    this.standing = side === 'record' || side === 'change' ? (dispute?.[side].standing ?? '') : '';
  }

  /** A reaction may be added: it is an allergy still, and its words are this person's own. */
  get adds(): boolean {
    const stands = this.#standings.find(({ code }) => code === this.standing)?.stands === true;
    return stands && (this.change?.dispute == null || this.side === 'other');
  }

  /** Values of another time: what was chosen of the one before is none of it. */
  pickTime(at: number | null): void {
    this.wrongAt = this.wrongSets.some(({ at_ms }) => at_ms === at) ? at : null;
    this.wrongs = [];
  }

  /** What can be chosen of the time. */
  get wrongSet(): WrongSet | null {
    return this.wrongSets.find(({ at_ms }) => at_ms === this.wrongAt) ?? null;
  }

  toggleWrong(value: Value): void {
    this.wrongs = this.wrongs.includes(value) ? this.wrongs.filter((each) => each !== value) : [...this.wrongs, value];
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
      case 'vitals-error':
        return this.wrongs.length > 0 || [this.why, this.words].some((value) => value.trim() !== '');
      case 'allergy-change':
        return [this.side, this.standing, this.reaction, this.severity, this.reason].some((value) => value.trim() !== '');
    }
  }

  /** What a draft keeps of it; nothing where nothing was typed that would be lost. */
  kept(kind: DraftKind): Record<string, string> {
    if (!this.filled(kind)) return {};
    const { agent, reaction, severity, certainty, text, noteKind } = this;
    const all = {
      vitals: { ...this.readings, minutes_ago: this.agoTyped.trim() || String(this.ago) },
      allergy: { agent, reaction, severity, certainty },
      note: { note_kind: noteKind, text },
    };
    return Object.fromEntries(Object.entries(all[kind]).filter(([, value]) => value.trim() !== ''));
  }

  /** Puts it back. What was measured "5 min ago" then is longer ago by now, and where that cannot be told it is asked for again. */
  restore(kind: DraftKind, { fields, minutes }: EntryDraftView, form: EntryFormView): void {
    const { minutes_ago: ago, note_kind: noteKind, certainty, ...typed } = fields;
    if (kind === 'vitals') {
      this.readings = typed;
      const since = ago !== undefined && WHOLE.test(ago) ? Number(ago) + minutes : null;
      if (since !== null && form.ago_minutes.includes(since)) this.chooseAgo(since);
      else this.agoTyped = since === null ? (ago ?? UNTOLD) : String(since);
      return;
    }
    Object.assign(this, { agent: '', reaction: '', severity: '', text: '', ...known(typed, kind) });
    if (form.certainties.some(({ code }) => code === certainty)) this.certainty = certainty ?? '';
    if (form.note_kinds.some(({ code }) => code === noteKind)) this.noteKind = noteKind ?? '';
  }

  /** The value of each field, by the names the engine's faults have. */
  values(): Record<string, string> {
    const { readings, agent, reaction, severity, certainty, text, answer, words, standing, reason, why } = this;
    return { ...readings, why, at: String(this.wrongAt ?? ''), values: this.wrongs.map(({ source }) => source).join(' '), minutes_ago: this.agoTyped.trim() || String(this.ago), agent, reaction, severity, certainty, note_kind: this.noteKind, text, answer, words, read_back: this.readBack, standing, reason, side: this.side, allergy: this.change === null ? '' : codeOf(this.change) };
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
      case 'vitals-error': {
        const { wrongAt, wrongs, why } = this;
        if (wrongAt === null) return { field: 'at', text: WORDS.chooseTime };
        if (wrongs.length === 0) return { field: 'values', text: WORDS.chooseWrong };
        if (why === '') return { field: 'why', text: WORDS.chooseWhy };
        return { kind, at_ms: wrongAt, values: wrongs.map(({ source }) => source), why, words: this.words.trim() };
      }
      case 'allergy-change': {
        const { change } = this;
        if (change === null) return { field: 'allergy', text: WORDS.chooseAllergy };
        if (change.dispute !== null && this.side === '') return { field: 'side', text: WORDS.chooseSide };
        if (this.standing === '') return { field: 'standing', text: WORDS.chooseStanding };
        const reason = this.reason.trim();
        if (reason === '') return { field: 'reason', text: WORDS.reasonNeeded };
        const [reaction, severity] = this.adds ? [this.reaction.trim(), this.severity] : ['', ''];
        return { kind, allergy: change.allergy, standing: this.standing, reaction, severity, reason, settles: change.dispute?.dispute ?? '' };
      }
    }
  }
}
