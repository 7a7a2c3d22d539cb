/** Contrast of every pair of colours that carries words, computed from the tokens themselves (WCAG 2.2: 4.5:1, 3:1). */
import { expect, test } from 'vitest';
import css from '../src/styles/tokens.css?raw';

function tokens(theme: 'light' | 'night'): Record<string, string> {
  const found: Record<string, string> = {};
  for (const rule of css.matchAll(/([^{}]+)\{([^{}]*)\}/g)) {
    const [, selector = '', body = ''] = rule;
    const general = selector.includes("'light'") || !selector.includes("'night'");
    if (theme === 'night' ? true : general) {
      for (const each of body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)) found[each[1] ?? ''] = each[2] ?? '';
    }
  }
  return found;
}

function luminance(hex: string): number {
  const part = (at: number) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const TEXT: [string, string][] = [
  ['text', 'surface'], ['text', 'page'], ['text', 'surface-2'], ['text-2', 'surface'], ['text-2', 'page'], ['text-2', 'surface-2'],
  ['text', 'accent-bg'], ['accent', 'surface'], ['accent', 'accent-bg'], ['on-accent', 'accent'],
  ['critical', 'surface'], ['critical', 'critical-bg'], ['surface', 'critical'], ['high', 'surface'], ['high', 'high-bg'],
  ['low', 'surface'], ['ok', 'surface'], ['ok', 'ok-bg'], ['stale', 'surface'], ['stale', 'stale-bg'], ['text', 'stale-bg'],
  ['text', 'high-bg'], ['text', 'critical-bg'],
  ['film-text', 'film'], ['film-text', 'film-bar'], ['film-quiet', 'film-bar'], ['film-mark', 'film'],
  ['allergy-text', 'allergy-bg'], ['glass-text', 'glass-bg'], ['offline-text', 'offline-bg'], ['on-training', 'training'],
  ['acuity-white', 'acuity-1'], ['acuity-white', 'acuity-2'], ['acuity-dark', 'acuity-3'], ['acuity-white', 'acuity-4'], ['acuity-white', 'acuity-5'],
];
const SHAPES: [string, string][] = [['line', 'surface'], ['line', 'page'], ['focus', 'surface'], ['focus', 'page'],
  ['training', 'surface'], ['training', 'surface-2'], ['training', 'page'], ['training', 'on-training'],
];

for (const theme of ['light', 'night'] as const) {
  const known = tokens(theme);
  const of = (name: string) => {
    const value = known[name];
    if (value === undefined) throw new Error(`no token ${name}`);
    return value;
  };
  for (const [ink, ground] of TEXT) {
    test(`${theme}: ${ink} on ${ground} reads`, () => expect(contrast(of(ink), of(ground))).toBeGreaterThanOrEqual(4.5));
  }
  for (const [shape, ground] of SHAPES) {
    test(`${theme}: ${shape} on ${ground} is seen`, () => expect(contrast(of(shape), of(ground))).toBeGreaterThanOrEqual(3));
  }
}
