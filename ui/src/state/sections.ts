/**
 * The sections of the chart: their order, names, and other words people use for them.
 *
 * Called by the chart, the palette and the keyboard layer.
 */

/** In the order of Ctrl+1 … Ctrl+8. */
export const CHART_SECTIONS = ['summary', 'medicines', 'allergies', 'labs', 'vitals', 'notes', 'encounters', 'images'] as const;
export type ChartSection = (typeof CHART_SECTIONS)[number];

export const SECTION_TITLES: Record<ChartSection, string> = {
  summary: 'Summary',
  medicines: 'Medicines',
  allergies: 'Allergies',
  labs: 'Labs',
  vitals: 'Vitals',
  notes: 'Notes',
  encounters: 'Timeline',
  images: 'Images',
};

/** What somebody may type who means it (state/palette.svelte.ts). */
export const SECTION_ALSO: Record<ChartSection, string> = {
  summary: 'overview',
  medicines: 'medication drugs',
  allergies: 'allergy intolerances reactions',
  labs: 'laboratory results blood',
  vitals: 'vital signs observations NEWS2',
  notes: 'letters reports documents',
  encounters: 'encounters stays visits history events',
  images: 'radiology studies x-ray CT',
};
