/**
 * The sections of the chart: their order, names, and other words people use for them.
 *
 * Called by the chart, the palette and the keyboard layer.
 */
import { say } from '../i18n/language';

/** In the order of Ctrl+1 … Ctrl+8. */
export const CHART_SECTIONS = ['summary', 'medicines', 'allergies', 'labs', 'vitals', 'notes', 'encounters', 'images'] as const;
export type ChartSection = (typeof CHART_SECTIONS)[number];

export const SECTION_TITLES: Record<ChartSection, string> = {
  summary: say('Summary', 'Zusammenfassung'),
  medicines: say('Medicines', 'Medikamente'),
  allergies: say('Allergies', 'Allergien'),
  labs: say('Labs', 'Labor'),
  vitals: say('Vitals', 'Vitalwerte'),
  notes: say('Notes', 'Notizen'),
  encounters: say('Timeline', 'Zeitleiste'),
  images: say('Images', 'Bilder'),
};

/** What somebody may type who means it (state/palette.svelte.ts). */
export const SECTION_ALSO: Record<ChartSection, string> = {
  summary: say('overview', 'Überblick Gesamtbild'),
  medicines: say('medication drugs', 'Medikation Arzneimittel'),
  allergies: say('allergy intolerances reactions', 'Allergie Unverträglichkeiten Reaktionen'),
  labs: say('laboratory results blood', 'Laborwerte Befunde Blut'),
  vitals: say('vital signs observations NEWS2', 'Vitalzeichen Messwerte Verlaufskurve NEWS2'),
  notes: say('letters reports documents', 'Briefe Berichte Dokumente'),
  encounters: say('encounters stays visits history events', 'Aufenthalte Besuche Vorgeschichte Verlauf Ereignisse'),
  images: say('radiology studies x-ray CT', 'Radiologie Untersuchungen Röntgen CT'),
};
