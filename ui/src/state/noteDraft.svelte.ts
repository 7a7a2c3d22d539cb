/**
 * The unsigned note of one person about one patient: kept while it is written, restored when it is opened again, removed
 * when it was signed (S17).
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
      this.restored = text !== '';
      return text;
    } catch (thrown) {
      const { text } = errorOf(thrown, WORDS.notAnswered);
      this.error = errorOf(null, WORDS.draftUnreadable(text));
      return '';
    }
  }

  /** What is typed is kept. */
  get safe(): boolean {
    return this.#text === this.#kept;
  }

  typed(text: string): void {
    this.#text = text.trim() === '' ? '' : text;
    if (this.#over || this.safe) return;
    this.#timer ??= setTimeout(() => void this.keep(), KEEP_EVERY_MS);
  }

  /** Keeps it now; null where all of it is kept already. */
  keep(): Promise<void> | null {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#over || this.safe) return null;
    return this.#write(this.#text);
  }

  /** Signed, or thrown away by a person: nothing is left of it. */
  remove(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#timer);
    return this.#write('');
  }

  #write(text: string): Promise<void> {
    this.#writing = this.#writing.then(async () => {
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
