/**
 * Words of the screen that do not come from the engine. Dates, ages, doses and values are never made here: they
 * arrive as ready text.
 */
import type { DataAge } from '../wire/DataAge';

/** The data-age vocabulary (screens.md A5), in words first. */
export const AGE_WORDS: Record<DataAge, string> = {
  live: 'LIVE',
  delayed: 'DELAYED',
  stale: 'STALE',
  offline: 'OFFLINE',
  old: 'OFFLINE — OLD DATA',
  partial: 'NOT FULLY LOADED',
  unavailable: 'UNAVAILABLE',
  'not-on-this-workstation': 'NOT ON THIS WORKSTATION',
};

/** What each age means to the reader, where the engine gives no sentence. */
export const AGE_MEANING: Record<DataAge, string> = {
  live: 'Changes arrive within seconds.',
  delayed: "Others' newest changes may not be shown yet.",
  stale: "Others' changes may be missing. Check before you act.",
  offline: "Others' changes are not shown.",
  old: "Others' changes are not shown. Check every value before you act.",
  partial: 'Treat what is missing as unknown.',
  unavailable: 'Treat everything as unknown.',
  'not-on-this-workstation': 'Treat everything as unknown.',
};

export const WORDS = {
  product: 'Vitrine',
  treatAsUnknown: 'treat as unknown',
  engineSilent: 'This workstation has stopped answering. What is shown may be old: check before you act.',
  notAnswered: 'The workstation did not answer. Try again.',
  wrongPatient: 'The record that arrived belongs to another patient. Nothing of it is shown. Close it and search again.',
  broken: (what: string) => `Could not show ${what} — treat as unknown`,
  partialEmpty: (what: string) => `${capital(what)} not fully loaded — treat as unknown`,
  partialRows: 'Not fully loaded: there may be more',
  notHere: (what: string) => `${capital(what)} not on this workstation — treat as unknown`,
  noneRecorded: (what: string) => `No ${what} on record`,
  loading: (what: string) => `Loading ${what}…`,
  stillLoading: 'Still loading — treat as unknown',
  noteContinues: 'continues in Notes',
  noteElsewhere: 'The text of this note is not on this workstation.',
  offlineSignIn: 'Sign-in with PIN works without the server; changing a password does not.',
  clockUnverified: 'clock not verified',
} as const;

/** First letter in upper case. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
