/**
 * A barcode reader that types (screens.md, Scanner): tells its bursts from a person's keys before anything else sees them.
 *
 * Keys are held while they could be a code: as long as each comes at most `GAP_MS` after the one before. What ends with Enter or
 * Tab, or begins with a symbology identifier, and has at least `LEAST` signs, is a code, and lands in no field. Everything else is
 * given back in its order: it acts that much later, and is never lost. A burst of which a part was already given back, because
 * the reader or the machine faltered, is no code: it is refused as a whole.
 * Never here: what a code means (the engine), what is done with it (`scans.svelte.ts`). Called by `main.ts`.
 */
import { flushSync } from 'svelte';

/** Longest time between two keys of a code, milliseconds by the events' own clock. */
export const GAP_MS = 35;
/** Least signs of a code. */
export const LEAST = 6;
/** A key that was given back so shortly before a code was a part of it: no hand reaches for the reader any sooner. */
const PART_MS = 300;
/** More are let go: the engine refuses them. */
const MOST = 600;
/** A timer that comes so late was held up, and so may keys have been: they come first. */
const LATE_MS = 20;
/** What a reader sends between two parts (GS1's FNC1). */
export const SEPARATOR = '\u001d';

/** The part of a keyboard event that matters. */
export interface Stroke {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  altKey: boolean;
  metaKey: boolean;
  /** By the layout's third level: Ctrl and Alt together then make a sign. */
  altGraph: boolean;
  repeat: boolean;
  isComposing: boolean;
  timeStamp: number;
  /** What had the focus when it was pressed. */
  target: EventTarget | null;
}

/** Where codes and keys go. */
export interface Scannable {
  /** Whether a code can be meant now; otherwise every key passes untouched. */
  listening(): boolean;
  /** A whole code; null: a part of one was lost. `at` is when its last key went down. */
  scanned(text: string | null, at: number): void;
  /** Keys that were no code, in their order. */
  giveBack(strokes: Stroke[]): void;
  now(): number;
  /** Runs something later; the answer calls it off. */
  later(ms: number, run: () => void): () => void;
}

/** Keys that only change others. */
const MODIFIERS = ['Shift', 'Control', 'Alt', 'AltGraph', 'CapsLock', 'Meta', 'NumLock', 'ScrollLock', 'Fn', 'Dead', 'Unidentified'];
const IDENTIFIER = /^\][A-Za-z][0-9A-Za-z]/;

export class Scanner {
  #held: Stroke[] = [];
  #text = '';
  #last = -Infinity;
  /** When the last key that was given back went down. */
  #gone = -Infinity;
  /** A part of this burst was given back before. */
  #broken = false;
  #again = false;
  #off: () => void = () => {};
  readonly #to: Scannable;

  constructor(to: Scannable) {
    this.#to = to;
  }

  /** A key went down; true when it is held, and nobody else may act on it. */
  onKey(stroke: Stroke): boolean {
    if (MODIFIERS.includes(stroke.key)) return false;
    if (this.#held.length > 0 && stroke.timeStamp - this.#last > GAP_MS) this.#end();
    if (!this.#to.listening() || stroke.isComposing || stroke.repeat) {
      this.#end();
      return false;
    }
    const within = this.#held.length > 0;
    if (within && (stroke.key === SEPARATOR || (stroke.ctrlKey && !stroke.altKey && stroke.key === ']'))) return this.#hold(stroke, SEPARATOR);
    const sign = [...stroke.key].length === 1 && !stroke.metaKey && (stroke.altGraph || (!stroke.ctrlKey && !stroke.altKey));
    // Space alone belongs to whatever has the focus.
    if (sign && (within || stroke.key !== ' ') && this.#held.length < MOST) return this.#hold(stroke, stroke.key);
    const ends = (stroke.key === 'Enter' || stroke.key === 'Tab') && !stroke.ctrlKey && !stroke.altKey && !stroke.metaKey;
    if (ends && within && this.#held.length >= LEAST) {
      this.#last = stroke.timeStamp;
      this.#code();
      return true;
    }
    this.#end();
    return false;
  }

  /** Something else than a key happened: nothing is held any longer. */
  letGo(): void {
    this.#end();
  }

  #hold(stroke: Stroke, sign: string): true {
    if (this.#held.length === 0) this.#broken = stroke.timeStamp - this.#gone <= PART_MS;
    this.#held.push(stroke);
    this.#text += sign;
    this.#last = stroke.timeStamp;
    this.#again = false;
    this.#wait(GAP_MS + 1);
    return true;
  }

  #wait(ms: number): void {
    this.#off();
    const due = this.#to.now() + ms;
    this.#off = this.#to.later(ms, () => {
      // Keys may wait behind whatever held this timer up: once round, then it counts.
      if (!this.#again && this.#to.now() - due > LATE_MS) {
        this.#again = true;
        this.#wait(0);
      } else this.#end();
    });
  }

  /** Nothing came after what is held: a code only where it says so itself. */
  #end(): void {
    if (this.#held.length >= LEAST && IDENTIFIER.test(this.#text)) {
      // Should more of it come, that is no code of its own.
      this.#gone = this.#last;
      this.#code();
    } else {
      const strokes = this.#take();
      const last = strokes.at(-1);
      if (last === undefined) return;
      this.#gone = last.timeStamp;
      this.#to.giveBack(strokes);
    }
  }

  #code(): void {
    const [text, broken] = [this.#text, this.#broken];
    this.#take();
    this.#to.scanned(broken ? null : text, this.#last);
  }

  #take(): Stroke[] {
    this.#off();
    const strokes = this.#held;
    this.#held = [];
    this.#text = '';
    return strokes;
  }
}

/** A field into which one writes. */
function fieldOf(target: EventTarget | null): HTMLInputElement | HTMLTextAreaElement | null {
  const field = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement ? target : null;
  return field === null || field.readOnly || field.disabled ? null : field;
}

/**
 * Gives keys back, each to what had the focus when it was pressed: whoever listens gets it first, then the field. Where one of
 * them moves the focus, those that were pressed at the same place follow it, as they would have; where something else moved it
 * since, it stays there.
 */
export function giveBack(strokes: Stroke[]): void {
  const since = document.activeElement;
  const last = strokes.at(-1)?.target ?? null;
  let moved = false;
  let place: EventTarget | null = null;
  for (const { key, shiftKey, ctrlKey, altKey, metaKey, target } of strokes) {
    if (target !== place) moved = false;
    place = target;
    const own = target instanceof HTMLElement && target.isConnected ? target : null;
    if (!moved && own !== null && own !== document.body && own !== document.activeElement) own.focus();
    const before = document.activeElement;
    // What it was pressed on is gone, as behind the lock: it is still a key, and is written nowhere.
    const to = moved || target === null ? (before ?? document.body) : (own ?? document.body);
    const left = to.dispatchEvent(new KeyboardEvent('keydown', { key, shiftKey, ctrlKey, altKey, metaKey, bubbles: true, cancelable: true, composed: true }));
    // What it did is done before the next one comes, as between keys that are pressed.
    flushSync();
    if (document.activeElement !== before) moved = true;
    const field = left && !ctrlKey && !metaKey ? fieldOf(moved ? document.activeElement : to) : null;
    // By the command it can be undone, and respects what limits the field.
    if (field !== null && (field !== document.activeElement || !document.execCommand('insertText', false, key))) insert(field, key);
  }
  if (last instanceof HTMLElement && last.isConnected && since !== last && since instanceof HTMLElement && since.isConnected) since.focus();
}

function insert(field: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  const end = field.value.length;
  const at = field.selectionStart ?? end;
  field.setRangeText(text, at, field.selectionEnd ?? end, 'end');
  field.setSelectionRange(at + text.length, at + text.length);
  field.dispatchEvent(new InputEvent('input', { bubbles: true, inputType: 'insertText', data: text }));
}

/** Listens before everybody else; only to keys that were really pressed. The answer ends it. */
export function listenForScans(listening: () => boolean, scanned: (text: string | null, at: number) => void): () => void {
  const scanner = new Scanner({
    listening,
    scanned,
    giveBack,
    now: () => performance.now(),
    later: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  });
  const onKey = (event: KeyboardEvent): void => {
    if (!event.isTrusted) return;
    const { key, shiftKey, ctrlKey, altKey, metaKey, repeat, isComposing, timeStamp, target } = event;
    const altGraph = event.getModifierState('AltGraph');
    if (!scanner.onKey({ key, shiftKey, ctrlKey, altKey, metaKey, altGraph, repeat, isComposing, timeStamp, target })) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  // A hand on the mouse moves the focus: what was pressed before comes before.
  const onPointer = (): void => scanner.letGo();
  window.addEventListener('keydown', onKey, { capture: true });
  window.addEventListener('pointerdown', onPointer, { capture: true });
  return () => {
    window.removeEventListener('keydown', onKey, { capture: true });
    window.removeEventListener('pointerdown', onPointer, { capture: true });
  };
}
