/**
 * Vital signs of a chart that can be marked as wrong, time by time.
 *
 * Lives here: which those are, and whether one still says what it said when its dialog opened. Never here: what is chosen of them
 * (`entryFields.svelte.ts`), markup. Called by `recording.svelte.ts`, `palette.svelte.ts` and the views.
 */
import { textsOf } from '../domain/courses';
import type { ChartView } from '../wire/ChartView';

/** One result: its name for the engine, and what it says, text by text; a panel says several things. */
export interface Value {
  source: string;
  texts: string[][];
}

/** What was measured at one time. */
export interface WrongSet {
  at_ms: number;
  at_text: string;
  values: Value[];
}

/** Newest first. A result whose values stand in several rows is one. */
export function wrongsIn(chart: Pick<ChartView, 'flowsheet'>): WrongSet[] {
  const found = new Map<number, WrongSet>();
  for (const { label, points } of chart.flowsheet.series.items) {
    for (const point of points) {
      const { source, at_ms, at_text } = point;
      if (source === undefined || at_ms === null) continue;
      const set = found.get(at_ms) ?? { at_ms, at_text, values: [] };
      found.set(at_ms, set);
      const texts = [label, ...textsOf(point)];
      const one = set.values.find((each) => each.source === source);
      if (one === undefined) set.values.push({ source, texts: [texts] });
      else one.texts.push(texts);
    }
  }
  return [...found.values()].sort((a, b) => b.at_ms - a.at_ms);
}

/** What was chosen says what it said, and can still be marked. */
export function sayTheSame(chosen: Value[], now: WrongSet[]): boolean {
  const all = now.flatMap(({ values }) => values);
  return chosen.every((one) => all.some((each) => JSON.stringify(each) === JSON.stringify(one)));
}
