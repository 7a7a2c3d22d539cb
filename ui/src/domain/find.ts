/**
 * Finding words in texts as people type them: without case, accents, and the way lines were broken.
 *
 * Lives here: where the matches lie, and a text cut at them, so that a mark is an element around plain text (S28).
 * Never here: what is searched (`state/notes.svelte.ts`, `state/palette.svelte.ts`), markup.
 */

/** A text as it is compared, and where each of its characters stood; null where every one stayed in its place. */
export interface Folded {
  text: string;
  from: number[] | null;
}

/** A piece of a text; `match` is its number where it is a match. */
export interface Part {
  text: string;
  match: number | null;
}

export type Range = readonly [number, number];

const ASCII = /^[\x00-\x7f]*$/u;

/** Lower case, without accents and other marks: "Kováčová" is found by "kovacova". */
export function plain(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

export function fold(text: string): Folded {
  if (ASCII.test(text)) return { text: text.toLowerCase(), from: null };
  let folded = '';
  const from: number[] = [];
  let at = 0;
  for (const character of text) {
    const become = plain(character);
    folded += become;
    for (let i = 0; i < become.length; i++) from.push(at);
    at += character.length;
  }
  from.push(at);
  return { text: folded, from };
}

/** Where the words typed stand, one after the other; a line break counts as a space. */
export function rangesOf({ text, from }: Folded, typed: string): Range[] {
  const words = plain(typed).trim().split(/\s+/u).filter(Boolean);
  if (words.length === 0) return [];
  const sought = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')).join('\\s+');
  const found: Range[] = [];
  for (const match of text.matchAll(new RegExp(sought, 'gu'))) {
    const [begin, end] = [match.index, match.index + match[0].length];
    if (from === null) found.push([begin, end]);
    else {
      // Half of a sign that stands for two letters is the whole sign.
      const last = from[end - 1] ?? 0;
      let after = end;
      while (after < from.length - 1 && (from[after] ?? 0) <= last) after++;
      const range: Range = [from[begin] ?? 0, from[after] ?? last];
      if (range[0] >= (found.at(-1)?.[1] ?? 0)) found.push(range);
    }
  }
  return found;
}

/** The whole text in pieces, matches numbered from `first`. */
export function partsOf(text: string, ranges: readonly Range[], first = 0): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const [n, [begin, end]] of ranges.entries()) {
    if (begin > at) parts.push({ text: text.slice(at, begin), match: null });
    parts.push({ text: text.slice(begin, end), match: first + n });
    at = end;
  }
  if (at < text.length || parts.length === 0) parts.push({ text: text.slice(at), match: null });
  return parts;
}
