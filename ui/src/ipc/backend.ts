/**
 * What the screen may ask of the engine, one function per act.
 *
 * Lives here: the interface alone. Its two makers are `tauri.ts` (the window) and `fake.ts` (a plain browser).
 * Called by `state/`. Every rejected promise carries an `ErrorView`.
 */
import type { Spoken } from '../i18n/language';
import type { BadgeView } from '../wire/BadgeView';
import type { BoardView } from '../wire/BoardView';
import type { ChartView } from '../wire/ChartView';
import type { CheckView } from '../wire/CheckView';
import type { EmergencyCardView } from '../wire/EmergencyCardView';
import type { EngineEvent } from '../wire/EngineEvent';
import type { DraftKind } from '../wire/DraftKind';
import type { EntriesView } from '../wire/EntriesView';
import type { EntryDraftView } from '../wire/EntryDraftView';
import type { EntryFormView } from '../wire/EntryFormView';
import type { EntryInput } from '../wire/EntryInput';
import type { EntryPreviewView } from '../wire/EntryPreviewView';
import type { EntrySeen } from '../wire/EntrySeen';
import type { EntryView } from '../wire/EntryView';
import type { ErrorView } from '../wire/ErrorView';
import type { ImagesView } from '../wire/ImagesView';
import type { LockView } from '../wire/LockView';
import type { OpenSeriesView } from '../wire/OpenSeriesView';
import type { OwedWordsView } from '../wire/OwedWordsView';
import type { PacketView } from '../wire/PacketView';
import type { ReasonsView } from '../wire/ReasonsView';
import type { ResultsView } from '../wire/ResultsView';
import type { ScanView } from '../wire/ScanView';
import type { SearchView } from '../wire/SearchView';
import type { SessionView } from '../wire/SessionView';
import type { StatusView } from '../wire/StatusView';
import type { SyncView } from '../wire/SyncView';
import type { WallTrendsView } from '../wire/WallTrendsView';
import type { WallView } from '../wire/WallView';
import type { Pixels } from '../viewer/pixels';

/** Breaking the glass: an identity proven a moment ago (`token`), a secret given now, or neither: who is signed in. */
export interface BreakGlass {
  patient: string;
  reason: string;
  words: string | null;
  token: string | null;
  user: string | null;
  secret: string | null;
  /** The token of the badge that picked them, where one did. */
  badge: string | null;
}

/** How this workstation shows things. Holds no clinical word; kept beside the profile. */
export interface Preferences {
  night: boolean;
  /** 100, 125, 150 or 200 per cent. */
  scale: number;
  /** What it speaks. */
  language: Spoken;
}

/** What a person can give themselves anew. */
export type OwnSecret = 'pin' | 'password';

/** The acts. */
export interface Backend {
  status(): Promise<StatusView>;
  lockView(): Promise<LockView>;
  signIn(user: string, secret: string): Promise<SessionView>;
  /** Whom a badge picks, by what a reader typed. Nobody is let in by it. */
  badge(text: string): Promise<BadgeView>;
  /** Signs in whom a badge picked within the last minute. */
  badgeSignIn(token: string, secret: string): Promise<SessionView>;
  /** Signs in by the hospital's provider, in the system's browser; `pin` opens the person's own records here. */
  providerSignIn(pin: string | null): Promise<SessionView>;
  /** Ends a sign-in that waits for the browser. */
  providerCancel(): Promise<void>;
  /** Gives the person who is signed in a new PIN or password; `now` is the password as it is. Everything of theirs is locked by it. */
  changeSecret(now: string, which: OwnSecret, fresh: string): Promise<void>;
  /** `idle`: nobody did anything for a while; without it a person locked, which ends their emergency access. */
  lock(idle: boolean): Promise<void>;
  /** Somebody touched a key or the mouse: the engine's idle lock waits anew. */
  active(): Promise<void>;
  /** Connects to the server now instead of waiting for the next attempt. */
  askServer(): Promise<void>;
  /** What this workstation can be relied on for; needs nobody to be signed in. */
  syncView(): Promise<SyncView>;
  /** Checks everything stored here; answers when that has ended. */
  verifyStored(): Promise<CheckView>;
  /** Begins a downtime drill of so many minutes: this workstation is cut off from its server on purpose. */
  drillStart(minutes: number): Promise<void>;
  /** Ends it; needs nobody to be signed in. */
  drillEnd(): Promise<void>;
  search(query: string): Promise<SearchView>;
  /** What a barcode reader sent: whose band it is, by its exact number. */
  scan(text: string): Promise<ScanView>;
  board(ward: string | null): Promise<BoardView>;
  /** Critical results of a ward that wait, and those that were acknowledged; without one, of this workstation's. */
  results(ward: string | null): Promise<ResultsView>;
  /** Begins the wall of live vital signs of a ward; without one, of this workstation's. */
  wallOpen(ward: string | null): Promise<WallView>;
  /** The wall as it stands now. */
  wall(): Promise<WallView>;
  wallTrends(): Promise<WallTrendsView>;
  wallClose(): Promise<void>;
  /** Prints the downtime packet of a ward at this workstation's default printer. */
  printPacket(ward: string): Promise<PacketView>;
  chartOpen(patient: string): Promise<ChartView>;
  chartClose(patient: string): Promise<void>;
  reasons(): Promise<ReasonsView>;
  /** Proves who is asking, without a session; the token serves the emergency search and the breaking of the glass. */
  emergencyIdentify(user: string, secret: string, badge: string | null, declared: string | null): Promise<string>;
  emergencySearch(token: string, query: string): Promise<SearchView>;
  emergencyScan(token: string, text: string): Promise<ScanView>;
  breakGlass(request: BreakGlass): Promise<EmergencyCardView>;
  /** Ends an emergency access before its time. */
  breakGlassEnd(grant: string): Promise<void>;
  /** Adds words to an own emergency access that has none. */
  breakGlassWords(grant: string, words: string): Promise<void>;
  /** Own emergency accesses that have no words yet. */
  breakGlassOwed(): Promise<OwedWordsView>;
  /** Ends the emergency card on this screen; the grant stays until it ends. */
  cardClose(patient: string): Promise<void>;
  /** The forms of what can be recorded here: signs, units, limits, choices. */
  entryForm(): Promise<EntryFormView>;
  /** What would be recorded, in its final form, with what is wrong or unusual about it. Records nothing. */
  entryPreview(patient: string, input: EntryInput): Promise<EntryPreviewView>;
  /** Signs what was read, on this workstation's disk before it answers: `seen` is the preview's. Signed twice, it is recorded once. */
  entryRecord(patient: string, input: EntryInput, seen: EntrySeen): Promise<EntryView>;
  /** What was recorded here and is not in the record on the server. */
  entries(): Promise<EntriesView>;
  /** Takes a rejected entry off the list; `words` say what was done about it. */
  entrySettle(id: string, words: string): Promise<void>;
  /** What this person typed of an entry about a patient and did not sign. */
  entryDraft(patient: string, kind: DraftKind): Promise<EntryDraftView | null>;
  /** Keeps it; without fields it is removed. */
  setEntryDraft(patient: string, kind: DraftKind, fields: Record<string, string>): Promise<void>;
  /** The studies of a patient. */
  images(patient: string): Promise<ImagesView>;
  /**
   * Opens a series; `px` is the longest side of the viewport in device pixels. Asked again when it has grown: the view
   * and the frame numbers of the earlier answer end then.
   */
  imageOpen(patient: string, study: string, series: string, px: number): Promise<OpenSeriesView>;
  /** Where the reader is in `frames`, and how fast they go, frames a second, signed. */
  imageCenter(view: number, frame: number, velocity: number, px: number): Promise<void>;
  imageClose(view: number): Promise<void>;
  /** The address of a small picture, for an `img`. */
  imageUrl(path: string): string;
  /**
   * The best pixels of a frame, as soon as there is something better than layer `above` (−1: than nothing). Null:
   * nothing better comes for now. Rejects with `not-found` where the view ended, with `damaged` and its words where the
   * frame cannot be decoded.
   */
  imagePixels(token: string, frame: number, above: number, signal: AbortSignal): Promise<Pixels | null>;
  preferences(): Promise<Preferences>;
  setPreferences(preferences: Preferences): Promise<void>;
  /** Told two animation frames after something was painted; `sinceKeyMs` counts from the key that asked for it. */
  painted(mark: string, sinceKeyMs: number | null): Promise<void>;
  listen(hear: (events: EngineEvent[]) => void): Promise<void>;
  /** Whether this page lies behind the one that is seen: it is to take its place after a lock. */
  standbyBehind(): Promise<boolean>;
  /** Loads the lock screen behind this page, in a process of its own; does nothing where one is there. */
  standbyPrepare(): Promise<void>;
  /** This page behind is painted; `front` is called when it is put in front. False: nobody waits for it. */
  standbyReady(front: () => void): Promise<boolean>;
  /**
   * Puts the page behind in front of this one, whose process ends: then no answer comes. `pressedMs` is how long ago a key or
   * button last went down here. False: none is ready, or a key is on its way; nothing changed.
   */
  standbyExchange(pressedMs: number): Promise<boolean>;
}

/** Makes an `ErrorView` of whatever was thrown. */
export function errorOf(thrown: unknown, fallback: string): ErrorView {
  if (typeof thrown === 'object' && thrown !== null && 'code' in thrown && 'text' in thrown) {
    return thrown as ErrorView;
  }
  return { code: 'internal', text: fallback, retry_after_s: null, break_glass_offered: false };
}
