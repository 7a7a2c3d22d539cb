/**
 * Hostile texts, the same for the same seed: what names.mjs puts into every field from outside. Nobody real.
 */

/** A small generator of even numbers in [0, 1) from a seed (mulberry32). */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A number of a text, for seeds that are made of words. */
export function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

const between = (next, low, high) => low + Math.floor(next() * (high - low + 1));
const some = (next, letters, count) => {
  const all = Array.isArray(letters) ? letters : [...letters];
  return Array.from({ length: count }, () => all[Math.floor(next() * all.length)]).join('');
};
const capital = (word) => word.slice(0, 1).toUpperCase() + word.slice(1);
const LATIN = 'aabcdeeefghiijklmnoopqrrssttuuvwxyzäçéñøßłčžþ';
const words = (next, letters, total, low = 2, high = 14) => {
  const parts = [];
  for (let left = total; left > 0; ) {
    const size = Math.min(left, between(next, low, high));
    parts.push(some(next, letters, size));
    left -= size + 1;
  }
  return parts;
};

/** Kinds of texts; each gets the generator and a mark that makes it unlike every other, always at its end. */
export const KINDS = {
  'long name': (next, tag) => `${words(next, LATIN, between(next, 30, 110)).map(capital).join(' ')} ${tag}`,
  'one word': (next, tag) => `${capital(some(next, LATIN, between(next, 34, 116)))}${tag}`,
  hyphens: (next, tag) => `${words(next, LATIN, between(next, 34, 110)).map(capital).join('-')}-${tag}`,
  wide: (next, tag) => `${some(next, 'WMQ@', between(next, 34, 116))}${tag}`,
  arabic: (next, tag) => `${words(next, 'ابتثجحخدذرزسشصضطظعغفقكلمنهويةىؤئ', between(next, 30, 100)).join(' ')}، (${tag})`,
  hebrew: (next, tag) => `${words(next, 'אבגדהוזחטיכלמנסעפצקרשת', between(next, 20, 80)).join(' ')} (${tag})`,
  'hebrew with points': (next, tag) => `${words(next, ['שׁ', 'בְּ', 'רֵ', 'אֱ', 'לֹ', 'הִ', 'ים'], 30).join(' ')} ${tag}`,
  override: (next, tag) => `${capital(some(next, LATIN, 8))} \u202e${some(next, LATIN, between(next, 12, 60))} 0.5 mg ${tag}`,
  isolates: (next, tag) => `\u2067${some(next, LATIN, 20)}\u2066 12\u200f34 \u202d\u2068${some(next, 'אבגדה', 12)} ${tag}`,
  'stack of marks': (next, tag) => `${Array.from({ length: 12 }, () => some(next, LATIN, 1) + some(next, '\u0300\u0301\u0302\u0308\u030a\u0323\u0330\u035c\u0360\u0489', between(next, 6, 24))).join('')} ${tag}`,
  composed: (next, tag) => `${words(next, 'aeiou', 24).map((word) => word.replace(/./g, '$&\u0302\u0301')).join(' ')} ${tag}`,
  devanagari: (next, tag) => `${words(next, ['क्ष', 'त्रि', 'शर्मा', 'की', 'नी', 'ज्ञा'], 30).join(' ')} ${tag}`,
  thai: (next, tag) => `${some(next, 'กขคงจฉชซญฎดตถทธนบปผพภมยรลวศสหอ', between(next, 40, 100))}${tag}`,
  emoji: (next, tag) => `${Array.from({ length: between(next, 6, 18) }, () => ['👩‍⚕️', '👨‍👩‍👧‍👦', '🏳️‍🌈', '🧑🏽‍🦽', '🇨🇭', '✋🏿'][Math.floor(next() * 6)]).join('')}${tag}`,
  cjk: (next, tag) => `${some(next, '山田太郎王小明김철수佐藤鈴木高橋渡辺伊藤龘靐齉', between(next, 20, 70))}${tag}`,
  'zero width': (next, tag) => `${[...some(next, LATIN, between(next, 24, 60))].join('\u200b')}\ufeff\u2060\u00ad${tag}`,
  'tabs and lines': (next, tag) => `${words(next, LATIN, between(next, 30, 90)).join('\t')}\n\n${some(next, LATIN, 20)}\r\n${tag}`,
  'other lines': (next, tag) => `${some(next, LATIN, 12)}\u2028${some(next, LATIN, 12)}\u2029${some(next, LATIN, 9)}\u0085${tag}`,
  controls: (next, tag) => `${some(next, LATIN, 12)}\u0000\u0007\u001b[31m${some(next, LATIN, 12)}\u009b\ufffe\u{e0041}\u3164${tag}`,
  words: (next, tag) => `${['null', 'undefined', 'NaN', '[object Object]', 'None', 'true'][Math.floor(next() * 6)]} ${tag}`,
  markup: (next, tag) => `<b>${some(next, LATIN, 8)}</b>&amp;<i title="x">${some(next, LATIN, 40)}</i>&#x202e;{{1+1}} ${tag}`,
  path: (next, tag) => `https://example.invalid/${words(next, LATIN, between(next, 34, 90)).join('/')}?q=${tag}`,
  digits: (next, tag) => `${some(next, '0123456789', between(next, 34, 100))}${tag}`,
  'no-break': (next, tag) => `${words(next, LATIN, between(next, 34, 100)).join('\u00a0')}\u2011${tag}`,
};
const NAMES = Object.keys(KINDS);

/**
 * Sets that are put on a screen as a whole: kinds side by side (each field another one, so that over all sets every
 * field sees every kind), one kind everywhere, the very same text everywhere, and nothing.
 */
export function setsOf(count) {
  const fixed = ['nothing', 'blank', 'same', 'zero width only'];
  const mixed = Array.from({ length: Math.max(1, count - fixed.length) }, (_, i) => `mixed ${i}`);
  return [...mixed, ...fixed].slice(0, count);
}

/** The text of a field in a set; null where an optional field is to be absent. */
export function textOf({ set, field, at, seed, tag, optional }) {
  if (set === 'nothing') return optional ? null : '';
  if (set === 'blank') return ' \u00a0\t\n ';
  if (set === 'zero width only') return '\u200b\u2060';
  if (set === 'same') return 'SAME-NAME, Everywhere (Mr) null undefined';
  const turn = Number(set.slice('mixed '.length));
  const kind = NAMES[(turn * 5 + hash(field) + at) % NAMES.length];
  return KINDS[kind](random(hash(`${seed} ${set} ${field} ${at}`)), tag);
}
