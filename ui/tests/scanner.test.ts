/** The barcode reader that types: told from people's keys, lands in no field, loses none of theirs. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { GAP_MS, giveBack, LEAST, Scanner, SEPARATOR, type Stroke } from '../src/state/scanner';

const BAND = ']d2801895212340000000770';

/** Time that only the test moves, and timers in it. */
function rig(listening = true) {
  let [clock, id] = [1000, 0];
  let timers: { id: number; at: number; run: () => void }[] = [];
  const codes: (string | null)[] = [];
  const typed: string[] = [];
  const order: string[] = [];
  const scanner = new Scanner({
    listening: () => listening,
    scanned: (text) => { codes.push(text); order.push(`<${text ?? 'lost'}>`); },
    giveBack: (strokes) => { for (const { key } of strokes) { typed.push(key); order.push(key); } },
    now: () => clock,
    later: (ms, run) => {
      const mine = ++id;
      timers.push({ id: mine, at: clock + ms, run });
      return () => { timers = timers.filter((each) => each.id !== mine); };
    },
  });
  const runDue = (): void => {
    for (let due = timers.find(({ at }) => at <= clock); due !== undefined; due = timers.find(({ at }) => at <= clock)) {
      timers = timers.filter((each) => each !== due);
      due.run();
    }
  };
  const wait = (ms: number): void => {
    const end = clock + ms;
    while (clock < end) {
      clock++;
      runDue();
    }
  };
  /** Presses a key; one that is not held is typed at once, as the web view would. */
  const press = (key: string, more: Partial<Stroke> = {}, stamp = clock): boolean => {
    const held = scanner.onKey({ key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, altGraph: false, repeat: false, isComposing: false, timeStamp: stamp, target: null, ...more });
    if (!held) { typed.push(key); order.push(key); }
    return held;
  };
  const burst = (text: string, gap: number, end: string | null = 'Enter'): void => {
    for (const sign of [...text, ...(end === null ? [] : [end])]) {
      if (sign === SEPARATOR) press(']', { ctrlKey: true });
      else press(sign);
      wait(gap);
    }
  };
  return { codes, typed, order, press, burst, wait, jump: (ms: number) => { clock += ms; }, runDue };
}

describe('a code', () => {
  test.each([[0], [1], [8], [GAP_MS - 1]])('whose keys come %i ms apart lands in no field', (gap) => {
    const { codes, typed, burst, wait } = rig();
    burst(BAND, gap);
    wait(200);
    expect([codes, typed]).toEqual([[BAND], []]);
  });

  test.each([['Tab'], ['Enter']])('is ended by %s', (end) => {
    const { codes, typed, burst } = rig();
    burst('8018952123400000007704', 5, end);
    expect([codes, typed]).toEqual([['8018952123400000007704'], []]);
  });

  test('with a symbology identifier needs no end', () => {
    const { codes, typed, burst, wait } = rig();
    burst(BAND, 5, null);
    wait(100);
    expect([codes, typed]).toEqual([[BAND], []]);
  });

  test('carries its separators, sent as Ctrl+] or as the sign itself', () => {
    const { codes, burst, press, typed } = rig();
    burst(`${BAND}${SEPARATOR}801912`, 5);
    expect(press(']', { ctrlKey: true })).toBe(false);
    expect(codes).toEqual([`${BAND}${SEPARATOR}801912`]);
    expect(typed).toEqual([']']);
  });

  test('of a layout whose ] needs the third level', () => {
    const { codes, press, burst } = rig();
    press('AltGraph');
    press(']', { ctrlKey: true, altKey: true, altGraph: true });
    burst(BAND.slice(1), 2);
    expect(codes).toEqual([BAND]);
  });

  test('is not broken by Shift and Caps Lock between its signs', () => {
    const { codes, press, burst } = rig();
    burst('MRN', 3, null);
    press('Shift');
    press('CapsLock');
    burst('00123', 3);
    expect(codes).toEqual(['MRN00123']);
  });

  test('and another one right after it are two', () => {
    const { codes, burst } = rig();
    burst(BAND, 2);
    burst('8018952123400000007704', 2);
    expect(codes).toEqual([BAND, '8018952123400000007704']);
  });

  test('of which a part was given back is refused as a whole', () => {
    const { codes, typed, press, runDue, jump } = rig();
    // The program stood still, twice over: the timers ran before the keys that waited.
    for (const sign of ']d28018') press(sign);
    jump(100);
    runDue();
    jump(100);
    runDue();
    for (const sign of '95212340000000770') press(sign, {}, 1010);
    press('Enter', {}, 1011);
    expect([codes, typed]).toEqual([[']d28018', null], []]);
  });

  test('whose reader faltered is refused, and what comes after it is none of it', () => {
    const { codes, typed, burst, wait, press } = rig();
    press(']');
    wait(GAP_MS + 20);
    burst(BAND.slice(1), 2);
    expect([codes, typed]).toEqual([[null], [']']]);
    wait(400);
    burst(BAND, 2);
    expect(codes).toEqual([null, BAND]);
  });

  test('whose keys waited behind a late timer is whole', () => {
    const { codes, press, runDue, jump } = rig();
    for (const sign of BAND.slice(0, 10)) press(sign);
    jump(400);
    const stamps = 1000;
    // The timer is due and late: it lets the keys that wait come first.
    press(BAND.slice(10, 11), {}, stamps + 5);
    runDue();
    for (const sign of BAND.slice(11)) press(sign, {}, stamps + 6);
    press('Enter', {}, stamps + 7);
    expect(codes).toEqual([BAND]);
  });
});

describe('a person', () => {
  test.each([[36], [50], [90], [200]])('who types with %i ms between keys is left alone', (gap) => {
    const { codes, typed, burst, wait } = rig();
    burst('smith mary', gap);
    wait(100);
    expect([codes, typed.join('')]).toEqual([[], 'smith maryEnter']);
  });

  test('who rolls over a few keys and presses Enter', () => {
    const { codes, order, burst, wait } = rig();
    burst('smith'.slice(0, LEAST - 1), 10);
    wait(100);
    expect([codes, order.join('')]).toEqual([[], 'smithEnter']);
  });

  test('who holds a key down', () => {
    const { codes, press, wait, typed } = rig();
    press('j');
    for (let n = 0; n < 20; n++) { wait(30); press('j', { repeat: true }); }
    press('Enter');
    expect([codes, typed.length]).toEqual([[], 22]);
  });

  test.each([['ArrowDown'], ['Escape'], ['Backspace'], ['F12']])('whose %s comes after what was held', (key) => {
    const { press, order } = rig();
    press('a');
    press('b');
    expect(press(key)).toBe(false);
    expect(order).toEqual(['a', 'b', key]);
  });

  test('whose shortcuts come at once and in order', () => {
    const { press, order } = rig();
    press('x');
    expect(press('f', { ctrlKey: true })).toBe(false);
    expect(press(' ')).toBe(false);
    expect(order).toEqual(['x', 'f', ' ']);
  });

  test('who composes', () => {
    const { press, typed } = rig();
    expect(press('あ', { isComposing: true })).toBe(false);
    expect(typed).toEqual(['あ']);
  });

  test('where no code can be meant: a password is never held', () => {
    const { codes, typed, burst } = rig(false);
    burst('hunter2hunter2', 1);
    expect([codes, typed.join('')]).toEqual([[], 'hunter2hunter2Enter']);
  });
});

/** I-17, at the keys: whatever order codes and typing come in, no sign of a code is typed, no sign of a person is lost. */
test('of 20,000 mixed runs nothing is mixed up', () => {
  let seed = 18;
  const below = (n: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * n);
  };
  for (let run = 0; run < 20_000; run++) {
    const { codes, typed, burst, wait } = rig();
    const wantCodes: string[] = [];
    let wantTyped = '';
    for (let part = 0; part < 3; part++) {
      if (below(2) === 0) {
        const code = Array.from({ length: LEAST + below(10) }, () => String(below(10))).join('');
        burst(code, below(GAP_MS));
        wantCodes.push(code);
      } else {
        const words = Array.from({ length: 1 + below(6) }, () => 'abcdefgh'[below(8)] ?? 'a').join('');
        burst(words, GAP_MS + 2 + below(20));
        wantTyped += `${words}Enter`;
      }
      wait(400);
    }
    expect([codes, typed.join('')]).toEqual([wantCodes, wantTyped]);
  }
});

describe('what is given back', () => {
  beforeEach(() => void (document.body.innerHTML = '<input id="a" value="12"><input id="ro" readonly value="x"><button id="b">b</button>'));
  afterEach(() => void (document.body.innerHTML = ''));
  const stroke = (key: string, target: EventTarget | null = null): Stroke => ({ key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, altGraph: false, repeat: false, isComposing: false, timeStamp: 0, target });
  const input = (id: string) => document.getElementById(id) as HTMLInputElement;

  test('goes into the field with the focus, at its caret', () => {
    const heard = vi.fn();
    const field = input('a');
    Object.assign(document, { execCommand: undefined });
    Object.defineProperty(document, 'execCommand', { value: () => false, configurable: true });
    field.addEventListener('input', heard);
    field.focus();
    field.setSelectionRange(1, 1);
    giveBack([stroke('a'), stroke('b')]);
    expect([field.value, heard.mock.calls.length]).toEqual(['1ab2', 2]);
  });

  test('goes to what had the focus when it was pressed, and after a key that moved it to where it moved', () => {
    Object.defineProperty(document, 'execCommand', { value: () => false, configurable: true });
    const field = input('a');
    const button = document.getElementById('b');
    field.value = '';
    // Meanwhile the focus went on by itself.
    button?.focus();
    giveBack([stroke('1', field), stroke('2', field)]);
    expect(field.value).toBe('12');
    const move = (event: KeyboardEvent): void => {
      if (event.key !== 'x') return;
      event.preventDefault();
      field.focus();
    };
    button?.addEventListener('keydown', move);
    giveBack([stroke('x', button), stroke('3', button)]);
    expect([field.value, document.activeElement]).toEqual(['123', field]);
    // A choice takes the focus to itself; the field was gone to meanwhile, and what was typed there is there.
    field.value = '';
    button?.removeEventListener('keydown', move);
    button?.addEventListener('keydown', () => button.focus());
    field.focus();
    giveBack([stroke('1', button), stroke('c', field), stroke('a', field)]);
    expect([field.value, document.activeElement]).toEqual(['ca', field]);
    giveBack([stroke('1', button)]);
    expect(document.activeElement).toBe(field);
    // What it was pressed on is gone: it is written nowhere.
    button?.remove();
    giveBack([stroke('x', button)]);
    expect(field.value).toBe('ca');
  });

  test('goes to the keys of the screen first, and not into a field that cannot be written', () => {
    Object.defineProperty(document, 'execCommand', { value: () => false, configurable: true });
    const keys: string[] = [];
    const hear = (event: KeyboardEvent): void => { keys.push(event.key); if (event.key === 'v') event.preventDefault(); };
    window.addEventListener('keydown', hear);
    input('a').focus();
    giveBack([stroke('v')]);
    input('ro').focus();
    giveBack([stroke('w')]);
    window.removeEventListener('keydown', hear);
    expect([keys, input('a').value, input('ro').value]).toEqual([['v', 'w'], '12', 'x']);
  });
});
