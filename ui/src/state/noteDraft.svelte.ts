/**
 * The unsigned note of one person about one patient: kept while it is written, restored when it is opened again, removed
 * when it was signed (S17). One that could not be read is never written over.
 *
 * Lives here: when it is kept and what is said of it. Never here: where it is kept (the engine), the text as it is typed
 * (`entryFields.svelte.ts`). Called by `entry.svelte.ts`.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { ErrorView } from '../wire/ErrorView';

/** What is typed waits at most this long before it is kept. */
export const KEEP_EVERY_MS = 2000;

export class NoteDraft {
  restored = $state(false);
  /** "04:12": when what is kept was kept. */
  keptAt = $state<string | null>(null);
  /** It could not be read, or not be kept. */
  error = $state.raw<ErrorView | null>(null);
  readonly #backend: Backend;
  readonly #patient: string;
  readonly #clock: () => string;
  #text = '';
  #kept = '';
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** One after the other: what was typed last is kept last. */
  #writing: Promise<void> = Promise.resolve();
  #over = false;
  /** What is kept from earlier is known; `held` where it is there and was not shown. */
  #earlier: 'known' | 'unread' | 'held' = 'unread';

  constructor(backend: Backend, patient: string, clock: () => string) {
    this.#backend = backend;
    this.#patient = patient;
    this.#clock = clock;
  }

  /** The text from earlier, or none. */
  async load(): Promise<string> {
    try {
      const text = (await this.#backend.noteDraft(this.#patient)) ?? '';
      this.#text = this.#kept = text;
      this.#earlier = 'known';
      this.restored = text !== '';
      return text;
    } catch (thrown) {
      this.#unread(thrown);
      return '';
    }
  }

  #unread(thrown: unknown): void {
    this.error = errorOf(null, WORDS.draftUnreadable(errorOf(thrown, WORDS.notAnswered).text));
  }

  /** What is typed is kept. */
  get safe(): boolean {
    return this.#text === this.#kept;
  }

  typed(text: string): void {
    this.#text = text.trim() === '' ? '' : text;
    if (this.#over || this.safe || this.#earlier === 'held') return;
    this.#timer ??= setTimeout(() => void this.keep(), KEEP_EVERY_MS);
  }

  /** Keeps it now; null where all of it is kept already, or nothing of it can be. */
  keep(): Promise<void> | null {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#over || this.safe || this.#earlier === 'held') return null;
    return this.#write(this.#text);
  }

  /** Signed, or thrown away by a person: nothing is left of it. What nobody has seen from earlier stays. */
  remove(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#timer);
    return this.#write('');
  }

  /** Looks again for one from earlier that could not be read; false where there is one, or it still cannot be read. */
  async #mayWrite(): Promise<boolean> {
    if (this.#earlier !== 'unread') return this.#earlier === 'known';
    try {
      const text = (await this.#backend.noteDraft(this.#patient)) ?? '';
      this.#earlier = text === '' ? 'known' : 'held';
      if (text !== '') this.error = errorOf(null, WORDS.draftHeld);
    } catch (thrown) {
      this.#unread(thrown);
    }
    return this.#earlier === 'known';
  }

  #write(text: string): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      // Of one that was never read nothing was kept here: there is nothing to remove.
      if (text === '' && this.#earlier !== 'known') return;
      if (!(await this.#mayWrite())) return;
      try {
        await this.#backend.setNoteDraft(this.#patient, text);
        this.#kept = text;
        this.keptAt = text === '' ? null : this.#clock();
        this.error = null;
      } catch (thrown) {
        this.error = errorOf(null, WORDS.draftNotKept(errorOf(thrown, WORDS.notAnswered).text));
      }
    });
    return this.#writing;
  }
}
