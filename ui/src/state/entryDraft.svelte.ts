/**
 * What one person typed of an entry about one patient and did not sign: kept while it is typed, restored when it is opened
 * again, removed when it was signed (S17). One that could not be read is never written over.
 *
 * Lives here: when it is kept and what is said of it. Never here: where it is kept (the engine), the fields as they are
 * typed (`entryFields.svelte.ts`). Called by `entry.svelte.ts`.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { DraftKind } from '../wire/DraftKind';
import type { EntryDraftView } from '../wire/EntryDraftView';
import type { ErrorView } from '../wire/ErrorView';

/** What was typed, by the names of the fields; none of it is no draft. */
export type Typed = Record<string, string>;

const NONE: Typed = {};
const nothing = (typed: Typed) => Object.keys(typed).length === 0;
const same = (one: Typed, other: Typed) =>
  Object.keys({ ...one, ...other }).every((field) => one[field] === other[field]);

/** What is typed waits at most this long before it is kept. */
export const KEEP_EVERY_MS = 2000;

export class EntryDraft {
  restored = $state(false);
  /** "04:12": when what is kept was kept. */
  keptAt = $state<string | null>(null);
  /** It could not be read, or not be kept. */
  error = $state.raw<ErrorView | null>(null);
  readonly #backend: Backend;
  readonly #patient: string;
  readonly #kind: DraftKind;
  readonly #clock: () => string;
  #typed = NONE;
  #kept = NONE;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** One after the other: what was typed last is kept last. */
  #writing: Promise<void> = Promise.resolve();
  #over = false;
  /** What is kept from earlier is known; `held` where it is there and was not shown. */
  #earlier: 'known' | 'unread' | 'held' = 'unread';

  constructor(backend: Backend, kind: DraftKind, patient: string, clock: () => string) {
    this.#backend = backend;
    this.#kind = kind;
    this.#patient = patient;
    this.#clock = clock;
  }

  /** What was typed earlier, or null. */
  async load(): Promise<EntryDraftView | null> {
    try {
      const draft = await this.#backend.entryDraft(this.#patient, this.#kind);
      this.#earlier = 'known';
      this.restored = draft !== null;
      return draft;
    } catch (thrown) {
      this.#unread(thrown);
      return null;
    }
  }

  /** What was restored, as it now stands in the fields: this is kept already. */
  stands(typed: Typed): void {
    this.#typed = this.#kept = typed;
  }

  #unread(thrown: unknown): void {
    this.error = errorOf(null, WORDS.draftUnreadable(errorOf(thrown, WORDS.notAnswered).text));
  }

  /** What is typed is kept. */
  get safe(): boolean {
    return same(this.#typed, this.#kept);
  }

  typed(typed: Typed): void {
    this.#typed = typed;
    if (this.#over || this.safe || this.#earlier === 'held') return;
    this.#timer ??= setTimeout(() => void this.keep(), KEEP_EVERY_MS);
  }

  /** Keeps it now; null where all of it is kept already, or nothing of it can be. */
  keep(): Promise<void> | null {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#over || this.safe || this.#earlier === 'held') return null;
    return this.#write(this.#typed);
  }

  /** Signed, or thrown away by a person: nothing is left of it. What nobody has seen from earlier stays. */
  remove(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#timer);
    return this.#write(NONE);
  }

  /** Looks again for one from earlier that could not be read; false where there is one, or it still cannot be read. */
  async #mayWrite(): Promise<boolean> {
    if (this.#earlier !== 'unread') return this.#earlier === 'known';
    try {
      const draft = await this.#backend.entryDraft(this.#patient, this.#kind);
      this.#earlier = draft === null ? 'known' : 'held';
      if (draft !== null) this.error = errorOf(null, WORDS.draftHeld);
    } catch (thrown) {
      this.#unread(thrown);
    }
    return this.#earlier === 'known';
  }

  #write(typed: Typed): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      // Of one that was never read nothing was kept here: there is nothing to remove.
      if (nothing(typed) && this.#earlier !== 'known') return;
      if (!(await this.#mayWrite())) return;
      try {
        await this.#backend.setEntryDraft(this.#patient, this.#kind, typed);
        this.#kept = typed;
        this.keptAt = nothing(typed) ? null : this.#clock();
        this.error = null;
      } catch (thrown) {
        this.error = errorOf(null, WORDS.draftNotKept(errorOf(thrown, WORDS.notAnswered).text));
      }
    });
    return this.#writing;
  }
}
