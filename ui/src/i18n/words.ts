/**
 * Words of the screen that do not come from the engine. Dates, ages, doses and values are never made here: they
 * arrive as ready text.
 */
import type { DataAge } from '../wire/DataAge';
import type { EntryState } from '../wire/EntryState';

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

/** What becomes of an entry, where the engine gives no words (S16): only what is accepted counts. */
export const ENTRY_WORDS: Record<EntryState, string> = {
  queued: 'NOT SENT',
  sent: 'SENT, not answered yet',
  accepted: 'ACCEPTED',
  rejected: 'REJECTED',
};

export const WORDS = {
  product: 'Vitrine',
  training: 'TRAINING',
  trainingWho: 'synthetic patients.',
  trainingMeans: 'Nothing here is about a real person; nothing recorded here reaches the hospital’s record.',
  trainingShort: 'Nothing reaches the hospital’s record.',
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
  news2None: 'no score',
  news2Aged: 'An input is over 12 h old now. F5 reads again.',
  noteContinues: 'continues in Notes',
  noteElsewhere: 'The text of this note is not on this workstation.',
  noteChanged: 'The note that was open here has changed since, or is gone. Choose a note again.',
  studiesNotLoaded: 'The list of images was not read yet: open Images (Ctrl+8). Until then: treat as unknown',
  wrongImages: 'The images that arrived are not those that were asked for. Nothing of them is shown. Try again.',
  lastSeries: 'This is the last series of the study.',
  firstSeries: 'This is the first series of the study.',
  noPrior: (modality: string) => `No earlier study with ${modality} images in this record.`,
  noKeyImages: 'No image of this series is marked as a key image.',
  nothingToMeasure: 'There is no picture to measure on.',
  notMeasurable: (quality: string) => `Measuring needs exact pixels. This is: ${quality}.`,
  otherSeries: 'This measurement is on an image of another series.',
  notPrimary: 'Not for primary diagnosis',
  growing: 'Still arriving: there may be more images',
  showAnyway: 'Show anyway',
  keysHere: 'Key images are marked on this screen only; they are not stored in the record.',
  measuresHere: 'Measurements stay on this screen until the chart is closed; they are not stored in the record.',
  cannotDraw: 'This workstation cannot draw images.',
  displayWrong: 'How this image is to be shown could not be read: stored values are shown as they are.',
  noPalette: 'Cannot be shown: its table of colours is not here.',
  burnedIn: 'Names may be drawn into the picture itself.',
  offlineSignIn: 'Sign-in with PIN works without the server; changing a password does not.',
  wholeMinutes: 'Type whole minutes, as digits.',
  chooseAnswer: 'Choose what is done about it.',
  chooseAllergy: 'Choose which allergy it is about.',
  chooseStanding: 'Choose how it stands.',
  chooseSide: 'Choose which of the two holds, or neither.',
  sideNotOffered: (side: string, standing: string) => `“${side}” is not offered: “${standing}” is none of the ways in which an allergy can be recorded to stand. Write what is right.`,
  reasonNeeded: 'Say why: the next reader has to judge it.',
  allergyChanged: 'This allergy has been changed or decided since you opened this. Go back and look at the chart again; what you typed is still here to be read.',
  wordsNeeded: 'Say it in words: this answer is not complete without them.',
  resultChanged: 'This result has changed since you opened it. Close this, read the new value, and begin again.',
  chooseResult: 'Choose a result first: J, K or the arrows move.',
  alreadyAcknowledged: 'This one is acknowledged already. What was done stands with it.',
  nobodyTook: 'Nobody has taken it up.',
  sinceUnknown: 'not known since when',
  wrongPreview: 'What came back is about another patient. Nothing of it is shown. Close this and open the chart again.',
  wrongEntry: 'What was recorded is said to be of another patient. Do not sign again: look at “Entries not sent”, and call clinical IT.',
  signUnknown: 'The workstation did not answer. Look whether it already stands among what was recorded here before you sign again.',
  willQueue: 'The server is not reached: this stays on this workstation until it is. Others do not see it: tell them.',
  draftUnreadable: (why: string) => `A draft from earlier, if there is one, could not be read: ${why} It is read again before anything you type is kept.`,
  draftHeld: 'A draft from earlier is kept and could not be shown. What you type now is not kept until you open the note again.',
  draftNotKept: (why: string) => `The draft is not kept: ${why}`,
  noAlarm: 'Not an alarm: the monitors at the beds alarm. Values come over the network and can be late or missing.',
  wallLine: {
    connecting: 'The server is being connected: values come when it answers.',
    down: 'The server is not reached: nothing here is live. Look at the monitors at the beds.',
    refused: 'The server refuses live vital signs: nothing here is live. Look at the monitors at the beds.',
  },
  noTrends: 'Trends cannot be shown now.',
  whoLiesUnknown: 'Who lies on this ward is not known to this workstation: there may be patients',
  notRecordedYet: 'What is typed is not recorded yet.',
  scan: {
    unread: 'Code not read',
    lost: 'Part of the code was lost on its way from the scanner. Scan again.',
    notAPatient: 'Not a patient',
    notHere: 'No patient found by this band',
    notNow: 'Not opened',
    failed: 'The band could not be looked up',
    identify: 'Say who you are first; then scan the band.',
    closeFirst: 'Close or finish what is open here first; then scan the band.',
    meanwhile: 'Something else came to the screen meanwhile. Scan again.',
    same: 'The same patient',
    sameText: (what: string) => `This band is that of the person ${what}.`,
    maybe: 'Probably the same patient: compare',
    other: 'NOT THE SAME PATIENT',
    otherText: (what: string) => `This band is not that of the person ${what}. Nothing was changed: check who is in front of you.`,
    ofCard: 'on this emergency card',
    ofDialog: 'this emergency access is for',
    ofChart: 'of this chart',
    ofEntry: 'you are recording for',
    found: (n: number) => (n === 1 ? '1 patient by the scanned code.' : `${String(n)} patients by the scanned code.`),
  },
  clockUnverified: 'clock not verified',
} as const;

/** First letter in upper case. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
