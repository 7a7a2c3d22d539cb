/**
 * Reading the notes of one chart: which one is open, what is looked for in them, and at which match the reader is.
 *
 * Lives here: the search over what is on this workstation, and the counts that say what was not searched. Never here:
 * markup, the notes themselves (they belong to the chart). Called by `acts.ts` and `views/chart/Notes.svelte`.
 */
import { fold, rangesOf, type Folded, type Range } from '../domain/find';
import type { NoteView } from '../wire/NoteView';

/** Letters needed before anything is looked for: one letter is in every line. */
export const LEAST = 2;

/** The matches of one note, numbered from `first` over all notes. */
export interface Found {
  first: number;
  count: number;
  title: Range[];
  detail: Range[];
  text: Range[];
}

/** Folding a long record takes longer than a key may: each text is folded once. */
const folded = new WeakMap<NoteView, { title: Folded; detail: Folded; text: Folded | null }>();
function foldedOf(note: NoteView): { title: Folded; detail: Folded; text: Folded | null } {
  let known = folded.get(note);
  if (known === undefined) {
    known = { title: fold(note.title), detail: fold(note.detail_text), text: note.text === null ? null : fold(note.text) };
    folded.set(note, known);
  }
  return known;
}

function searched(notes: NoteView[], query: string): Found[] {
  let first = 0;
  return notes.map((note) => {
    const each = foldedOf(note);
    const title = rangesOf(each.title, query);
    const detail = rangesOf(each.detail, query);
    const text = each.text === null ? [] : rangesOf(each.text, query);
    const count = title.length + detail.length + text.length;
    const found = { first, count, title, detail, text };
    first += count;
    return found;
  });
}

/** What tells a note from the others: the wire gives it no id. Alike ones are told apart by their place among them. */
function keyOf(notes: NoteView[], at: number): string | null {
  const note = notes[at];
  if (note === undefined) return null;
  const alike = (other: NoteView) => other.title === note.title && other.detail_text === note.detail_text;
  return [note.title, note.detail_text, notes.slice(0, at).filter(alike).length].join('\n');
}

export class NotesReader {
  query = $state('');
  /** Counts requests to put the focus into the search field. */
  focusAsked = $state(0);
  /** Counts requests to bring the match, or the top of the note, into view. */
  moved = $state(0);
  readonly #rows: () => NoteView[];
  #open = $state<string | null>(null);
  #match = $state(0);

  constructor(rows: () => NoteView[]) {
    this.#rows = rows;
  }

  readonly #found = $derived.by(() => (this.searching ? searched(this.#rows(), this.query) : null));

  get searching(): boolean {
    return this.query.trim().length >= LEAST;
  }

  get all(): number {
    return this.#rows().length;
  }

  /** Notes whose text is not here: what is not here was not searched. */
  get withoutText(): number {
    return this.#rows().filter(({ text }) => text === null).length;
  }

  /** Places of the notes that are listed: all of them, or those that contain what is looked for. */
  get listed(): number[] {
    const found = this.#found;
    return [...this.#rows().keys()].filter((at) => found === null || (found[at]?.count ?? 0) > 0);
  }

  get matches(): number {
    const last = this.#found?.at(-1);
    return last === undefined ? 0 : last.first + last.count;
  }

  /** The match in view, from 0. */
  get match(): number {
    return Math.min(this.#match, Math.max(0, this.matches - 1));
  }

  of(at: number): Found | null {
    return this.#found?.[at] ?? null;
  }

  /**
   * Place of the open note: the newest, until another was chosen; null where the chosen one is no longer as it was. It
   * is followed when others arrive above it: nobody may find themselves in another note than the one they were reading.
   */
  get open(): number | null {
    const rows = this.#rows();
    if (this.#open === null) return rows.length > 0 ? 0 : null;
    const at = [...rows.keys()].find((each) => keyOf(rows, each) === this.#open);
    return at ?? null;
  }

  choose(at: number): void {
    this.#open = keyOf(this.#rows(), at);
    const found = this.of(at);
    if (found !== null && found.count > 0) this.#match = found.first;
    this.moved++;
  }

  /** Next or previous note of those listed; stops at both ends. */
  step(by: 1 | -1): void {
    const { listed, open } = this;
    const at = open === null ? -1 : listed.indexOf(open);
    const next = at === -1 ? listed[0] : listed[at + by];
    if (next !== undefined) this.choose(next);
  }

  look(query: string): void {
    // Who only then begins to look for something stays in the note they are reading, where it contains it.
    const reading = this.open;
    this.#open ??= keyOf(this.#rows(), reading ?? 0);
    this.query = query;
    if (!this.searching) return;
    const here = reading === null ? undefined : this.listed.find((at) => at === reading);
    const next = here ?? this.listed[0];
    if (next !== undefined) this.choose(next);
  }

  /** Back to all notes; the open one stays open. */
  clear(): void {
    this.query = '';
    this.#match = 0;
  }

  /** Next or previous match, around from the last to the first; without anything to look for, the field. */
  find(by: 1 | -1): void {
    const total = this.matches;
    if (total === 0) {
      this.focusAsked++;
      return;
    }
    const next = (this.match + by + total) % total;
    const at = this.listed.find((each) => {
      const found = this.of(each);
      return found !== null && next < found.first + found.count;
    });
    if (at === undefined) return;
    this.#open = keyOf(this.#rows(), at);
    this.#match = next;
    this.moved++;
  }
}
