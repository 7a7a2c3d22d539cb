/**
 * "Entries not sent": what was recorded at this workstation and is not in the record on the server, and the settling of
 * what the server refused.
 *
 * Never here: markup, who may settle (the engine). Called by `recording.svelte.ts`, `views/Entries.svelte` and
 * `views/entry/Settle.svelte`.
 */
import { errorOf, type Backend } from '../ipc/backend';
import { WORDS } from '../i18n/words';
import type { EntriesView } from '../wire/EntriesView';
import type { EntryView } from '../wire/EntryView';
import type { ErrorView } from '../wire/ErrorView';

/** One entry the server refused, and what somebody did about it. */
export class Settling {
  readonly entry: EntryView;
  words = $state('');
  error = $state.raw<ErrorView | null>(null);
  working = $state(false);
  /** Somebody wants to close it while words are in it. */
  leaving = $state(false);

  constructor(entry: EntryView) {
    this.entry = entry;
  }

  get ready(): boolean {
    return this.words.trim() !== '' && !this.working;
  }
}

export class Entries {
  result = $state.raw<EntriesView | null>(null);
  error = $state.raw<ErrorView | null>(null);
  settling = $state.raw<Settling | null>(null);
  #asked = 0;
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async load(): Promise<void> {
    const asked = ++this.#asked;
    try {
      const result = await this.#backend.entries();
      if (asked !== this.#asked) return;
      this.result = result;
      this.error = null;
    } catch (thrown) {
      if (asked !== this.#asked) return;
      this.result = null;
      this.error = errorOf(thrown, WORDS.notAnswered);
    }
  }

  /** Forgets everything, also answers on their way. */
  clear(): void {
    this.#asked++;
    this.result = null;
    this.error = null;
    this.settling = null;
  }

  askSettle(entry: EntryView): void {
    if (entry.may_settle && this.settling === null) this.settling = new Settling(entry);
  }

  /** Esc: words that were typed are never lost in silence. */
  backFromSettling(): void {
    const settling = this.settling;
    if (settling === null || settling.working) return;
    if (settling.leaving) settling.leaving = false;
    else if (settling.words.trim() === '') this.settling = null;
    else settling.leaving = true;
  }

  /** Words thrown away by a person. */
  dropSettling(): void {
    this.settling = null;
  }

  async settle(): Promise<void> {
    const settling = this.settling;
    if (settling === null || !settling.ready) return;
    settling.working = true;
    settling.error = null;
    try {
      await this.#backend.entrySettle(settling.entry.id, settling.words.trim());
      if (this.settling !== settling) return;
      this.settling = null;
      await this.load();
    } catch (thrown) {
      settling.error = errorOf(thrown, WORDS.notAnswered);
    } finally {
      settling.working = false;
    }
  }
}
