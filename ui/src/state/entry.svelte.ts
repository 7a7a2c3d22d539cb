/**
 * One opening of the entry dialog: filled, looked at in its final form, signed (screens.md A4: in two steps).
 *
 * Lives here: the steps and what stops them, for one patient from opening to closing: an answer about another patient is
 * never shown or signed (S8). Never here: limits and their words (the engine), markup, the fields (`entryFields.svelte.ts`).
 * Called by `recording.svelte.ts` and `views/entry/`.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { CriticalView } from '../wire/CriticalView';
import type { EntryFormView } from '../wire/EntryFormView';
import type { EntryInput } from '../wire/EntryInput';
import type { EntryPreviewView } from '../wire/EntryPreviewView';
import type { EntryView } from '../wire/EntryView';
import type { ErrorView } from '../wire/ErrorView';
import type { FaultView } from '../wire/FaultView';
import type { ChangeTarget } from './changes';
import { EntryDraft } from './entryDraft.svelte';
import { EntryFields, type DialogKind, type EntryKind } from './entryFields.svelte';
import type { WrongSet } from './wrongs';

/** Filling in; the question before "no known allergies"; reading what will be signed. */
export type EntryStep = 'fill' | 'question' | 'preview';

/** A preview stands this long before it can be signed: the second half of a double click or key is no reading. */
export const READ_AT_LEAST_MS = 500;

/** Of a change, a mark and an acknowledgement nothing is kept: what they are about may be another by then. */
const kept = (kind: DialogKind): kind is EntryKind => kind === 'vitals' || kind === 'allergy' || kind === 'note';

export class EntryDialog {
  readonly kind: DialogKind;
  readonly patient: string;
  /** As the banner, or the row of the result, said it when the dialog opened. */
  readonly name: string;
  /** The result that is acknowledged, as it was then. */
  readonly critical: CriticalView | null;
  readonly fields: EntryFields;
  readonly draft: EntryDraft | null;
  form = $state.raw<EntryFormView | null>(null);
  step = $state<EntryStep>('fill');
  preview = $state.raw<EntryPreviewView | null>(null);
  working = $state<'form' | 'preview' | 'sign' | null>(null);
  /** The form, a preview or a signature failed. */
  error = $state.raw<ErrorView | null>(null);
  /** Somebody wants to close it while it holds something. */
  leaving = $state(false);
  /** Counts requests to put the focus where it belongs in this step. */
  focusAsked = $state(0);
  #remarks = $state.raw<{ faults: FaultView[]; warnings: FaultView[]; values: Record<string, string> }>({ faults: [], warnings: [], values: {} });
  /** What the preview shows, and nothing else, is what is signed. */
  #input: EntryInput | null = null;
  #shownAt = 0;
  /** An answer that nobody waits for any more changes nothing. */
  #turn = 0;
  /** Signed, or so unclear that it must not be signed again from here. */
  #over = $state(false);
  readonly #backend: Backend;

  constructor(backend: Backend, kind: DialogKind, patient: string, name: string, clock: () => string, about: { critical?: CriticalView; changes?: ChangeTarget[]; wrongs?: WrongSet[] } = {}) {
    this.#backend = backend;
    this.kind = kind;
    this.patient = patient;
    this.name = name;
    this.critical = about.critical ?? null;
    this.fields = new EntryFields(this.critical, about.changes, about.wrongs);
    this.draft = kept(kind) ? new EntryDraft(backend, kind, patient, clock) : null;
  }

  async load(): Promise<void> {
    if (this.form !== null || this.working !== null) return;
    this.working = 'form';
    this.error = null;
    try {
      const form = await this.#backend.entryForm();
      this.fields.offer(form);
      await this.#restore(form);
      this.form = form;
      this.focusAsked++;
    } catch (thrown) {
      this.error = errorOf(thrown, WORDS.notAnswered);
    } finally {
      this.working = null;
    }
  }

  async #restore(form: EntryFormView): Promise<void> {
    const earlier = await this.draft?.load();
    if (earlier == null || !kept(this.kind)) return;
    this.fields.restore(this.kind, earlier, form);
    this.draft?.stands(this.fields.kept(this.kind));
  }

  /** Something was typed or chosen: of what can be kept, it is. */
  typed(): void {
    if (this.form !== null && kept(this.kind)) this.draft?.typed(this.fields.kept(this.kind));
  }

  /** What is wrong with a field as it stands; a value changed since is looked at again. '' is the whole. */
  faultsOf(field: string): string[] {
    return this.#current(this.#remarks.faults, field);
  }

  warningsOf(field: string): string[] {
    return this.#current(this.#remarks.warnings, field);
  }

  #current(remarks: FaultView[], field: string): string[] {
    const values = this.fields.values();
    const same = (each: string) => (values[each] ?? '') === (this.#remarks.values[each] ?? '');
    const unchanged = field === '' ? Object.keys({ ...values, ...this.#remarks.values }).every(same) : same(field);
    return unchanged ? remarks.filter((each) => each.field === field).map(({ text }) => text) : [];
  }

  get maySign(): boolean {
    return this.step === 'preview' && this.preview !== null && this.working === null && !this.#over;
  }

  /** It holds something that closing would lose: no draft is kept of it. */
  get unrecorded(): boolean {
    return this.draft === null && !this.#over && this.fields.filled(this.kind);
  }

  /** Ctrl+Enter, or the button at the end: the next step. What was signed, once it is. `at` is when the key went down. */
  async submit(at: number): Promise<EntryView | null> {
    if (this.leaving || this.working !== null) return null;
    if (this.step === 'preview') return at - this.#shownAt < READ_AT_LEAST_MS ? null : this.#sign();
    if (this.step === 'fill') await this.#look();
    return null;
  }

  /** "No known allergies…": the question first. What was typed of an allergy stays where it is. */
  askNoneKnown(): void {
    if (this.kind !== 'allergy' || this.step !== 'fill' || this.working !== null) return;
    this.error = null;
    this.fields.noneKnown = true;
    this.step = 'question';
    this.focusAsked++;
  }

  answer(yes: boolean): Promise<void> {
    if (this.step !== 'question' || this.working !== null) return Promise.resolve();
    this.fields.asked = yes;
    if (yes) return this.#look();
    this.#stepBack();
    return Promise.resolve();
  }

  async #look(): Promise<void> {
    if (this.form === null) return;
    const input = this.fields.inputOf(this.kind);
    const values = this.fields.values();
    this.error = null;
    if ('field' in input) {
      this.#refuse({ faults: [input], warnings: [], values });
      return;
    }
    const turn = ++this.#turn;
    this.working = 'preview';
    try {
      const preview = await this.#backend.entryPreview(this.patient, input);
      const changed = () => JSON.stringify(this.fields.inputOf(this.kind)) !== JSON.stringify(input);
      if (turn !== this.#turn || changed()) return;
      if (preview.patient !== this.patient) {
        this.error = errorOf(null, WORDS.wrongPreview);
        return;
      }
      const { faults, warnings } = preview;
      if (faults.length > 0) {
        this.#refuse({ faults, warnings, values });
        return;
      }
      this.#remarks = { faults, warnings, values };
      this.#input = input;
      this.preview = preview;
      this.step = 'preview';
      this.#shownAt = performance.now();
      this.focusAsked++;
    } catch (thrown) {
      if (turn === this.#turn) this.error = errorOf(thrown, WORDS.notAnswered);
    } finally {
      if (turn === this.#turn) this.working = null;
    }
  }

  #refuse(remarks: { faults: FaultView[]; warnings: FaultView[]; values: Record<string, string> }): void {
    this.#remarks = remarks;
    this.focusAsked++;
  }

  async #sign(): Promise<EntryView | null> {
    const [input, preview] = [this.#input, this.preview];
    if (!this.maySign || input === null || preview === null) return null;
    this.working = 'sign';
    this.error = null;
    try {
      const entry = await this.#backend.entryRecord(this.patient, input, preview.seen);
      this.#over = true;
      void this.draft?.remove();
      if (entry.patient === this.patient) return entry;
      this.error = errorOf(null, WORDS.wrongEntry);
    } catch (thrown) {
      this.error = errorOf(thrown, WORDS.signUnknown);
    } finally {
      this.working = null;
    }
    return null;
  }

  /** Esc: one step back. True when the dialog may be closed: nothing is in it, or it is signed. */
  back(): boolean {
    if (this.working === 'sign') return false;
    if (this.#over) return true;
    if (this.leaving) this.stay();
    else if (this.step !== 'fill') this.#stepBack();
    else if (!this.fields.filled(this.kind)) return true;
    else {
      this.leaving = true;
      this.focusAsked++;
    }
    return false;
  }

  /** "Keep typing". */
  stay(): void {
    this.leaving = false;
    this.focusAsked++;
  }

  /** From the preview to where its answers were given; from the question to the allergy. */
  #stepBack(): void {
    this.#turn++;
    this.working = null;
    this.preview = null;
    this.#input = null;
    this.error = null;
    this.step = this.step === 'preview' && this.fields.noneKnown ? 'question' : 'fill';
    this.fields.asked = false;
    if (this.step === 'fill') this.fields.noneKnown = false;
    this.focusAsked++;
  }

  /** Taken off the screen: no answer changes it any more, and its draft is kept. Null where nothing is to be waited for. */
  park(): Promise<void> | null {
    this.#turn++;
    // What is on its way to being signed is no draft any more: kept now, it would be offered again afterwards.
    if (this.working === 'sign' || this.#over) return null;
    this.typed();
    return this.draft?.keep() ?? null;
  }

  /** Leaves what was typed as a draft; false where it could not be kept, and must not be closed therefore. */
  async keepDraft(): Promise<boolean> {
    const { draft } = this;
    if (draft === null) return false;
    this.typed();
    await draft.keep();
    if (!draft.safe) this.stay();
    return draft.safe;
  }

  /** Thrown away by a person. */
  discard(): Promise<void> | null {
    this.#turn++;
    return this.draft?.remove() ?? null;
  }
}
