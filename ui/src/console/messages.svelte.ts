/**
 * Messages of interfaces: the list as it is filtered, one that is open, what is typed about it, the acts and what each came to.
 *
 * A correction that is typed is kept in memory for its author until the server has taken it: it outlasts closing the message, a failed
 * request and a sign-in that ended (S17). Never here: words (`hl7.ts`), markup. Called by `state.svelte.ts` and `views/Interfaces.svelte`.
 */
import { say } from '../i18n/language';
import type { ConsoleMessage } from '../wire/ConsoleMessage';
import type { ConsoleMessageDone } from '../wire/ConsoleMessageDone';
import type { ConsoleMessages } from '../wire/ConsoleMessages';
import type { ConsoleMessageShown } from '../wire/ConsoleMessageShown';
import { Failure, failureOf, type Api } from './api';
import { cameToText, lineText } from './hl7';
import { Loaded } from './loaded.svelte';

/** What can be typed about a message. */
export type Form = 'correct' | 'drop';
/** What is typed and not sent. */
export interface Draft {
  text: string;
  /** As it came: a correction that is the same is none. */
  was: string;
  reason: string;
  dropping: string;
}

const OTHER = say('The message that arrived is not the one that was asked for. Nothing of it is shown.', 'Die eingetroffene Nachricht ist nicht die angeforderte. Nichts davon wird angezeigt.');
export const NO_REASON = say('Say why. It stands in the audit.', 'Sagen Sie, warum. Es steht im Audit.');
export const UNCHANGED = say('This is the message as it came. Change what is wrong in it.', 'Das ist die Nachricht, wie sie kam. Ändern Sie, was darin falsch ist.');

/** What the page needs of the whole. */
export interface Around {
  api: Api;
  failed: (failure: Failure) => void;
  say: (text: string) => void;
}

export class Interfaces {
  readonly list: Loaded<ConsoleMessages>;
  readonly shown: Loaded<ConsoleMessageShown>;
  feed = $state('');
  state = $state('held');
  olderLoading = $state(false);
  olderError = $state.raw<Failure | null>(null);
  /** The one that is open. */
  open = $state<number | null>(null);
  form = $state<Form | null>(null);
  drafts = $state<Record<number, Draft>>({});
  sending = $state<'replay' | Form | null>(null);
  /** Why the last act was not done; what it came to; whether that is good. */
  refused = $state('');
  done = $state('');
  settled = $state(false);
  /** What is missing in the form that was sent. */
  fault = $state<{ text?: string; reason?: string }>({});
  #turn = 0;
  readonly #around: Around;

  constructor(around: Around) {
    this.#around = around;
    this.list = new Loaded(around.failed);
    this.shown = new Loaded(around.failed);
  }

  get #question() {
    return { feed: this.feed, state: this.state };
  }

  /** Reads the list anew, as it is filtered. */
  read(): Promise<boolean> {
    this.#turn++;
    this.close();
    this.olderLoading = false;
    this.olderError = null;
    const question = this.#question;
    return this.list.load(() => this.#around.api.messages(question));
  }

  /** Another feed or state. */
  filter(to: { feed?: string; state?: string }): Promise<boolean> {
    this.feed = to.feed ?? this.feed;
    this.state = to.state ?? this.state;
    return this.read();
  }

  /** The next ones, behind those that are here; how many came. */
  async older(): Promise<number> {
    const here = this.list.value;
    if (here === null || here.next === null || this.olderLoading) return 0;
    const turn = ++this.#turn;
    this.olderLoading = true;
    this.olderError = null;
    try {
      const more = await this.#around.api.messages({ ...this.#question, before: String(here.next) });
      if (turn !== this.#turn) return 0;
      this.list.take({ ...here, rows: [...(this.list.value?.rows ?? []), ...more.rows], next: more.next });
      return more.rows.length;
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.#around.failed(failure);
      if (turn === this.#turn) this.olderError = failure;
      return 0;
    } finally {
      if (turn === this.#turn) this.olderLoading = false;
    }
  }

  /** Opens one. With `texts` what it says is read too: the server records each look. */
  async show(id: number, texts: boolean): Promise<void> {
    this.close();
    this.open = id;
    if (texts) await this.#read(id);
  }

  async #read(id: number): Promise<void> {
    await this.shown.load(async () => {
      const shown = await this.#around.api.message(id);
      if (shown.message.id !== id) throw new Failure('unreadable', OTHER);
      return shown;
    }, true);
  }

  /** Reads the open one again. */
  again(): void {
    if (this.open !== null) void this.#read(this.open);
  }

  close(): void {
    this.open = null;
    this.form = null;
    this.refused = '';
    this.done = '';
    this.settled = false;
    this.fault = {};
    this.shown.clear();
  }

  /** What is typed about the open one. */
  get draft(): Draft | null {
    return this.open === null ? null : (this.drafts[this.open] ?? null);
  }

  /** Opens a form, with what was typed in it before. */
  begin(form: Form): void {
    if (this.open === null) return;
    this.refused = '';
    this.fault = {};
    if (this.drafts[this.open] === undefined) {
      const was = (this.shown.value?.lines ?? []).map(lineText).join('\n');
      this.drafts[this.open] = { text: was, was, reason: '', dropping: '' };
    }
    this.form = form;
  }

  /** Closes the form; what is typed stays kept. */
  leave(): void {
    this.form = null;
    this.fault = {};
    this.refused = '';
  }

  /** How many messages something is typed about and not sent. */
  get unsent(): number {
    return Object.values(this.drafts).filter((each) => each.text !== each.was || each.reason.trim() !== '' || each.dropping.trim() !== '').length;
  }

  replay(): Promise<boolean> {
    return this.#act('replay', (id) => this.#around.api.replayMessage(id));
  }

  /** Sends the correction; false where something is missing, or it was refused. */
  async correct(): Promise<boolean> {
    const draft = this.draft;
    if (draft === null) return false;
    this.fault = { ...(draft.text.trim() === '' || draft.text === draft.was ? { text: UNCHANGED } : {}), ...(draft.reason.trim() === '' ? { reason: NO_REASON } : {}) };
    if (Object.keys(this.fault).length > 0) return false;
    return this.#act('correct', (id) => this.#around.api.fixMessage(id, draft.text, draft.reason.trim()));
  }

  async drop(): Promise<boolean> {
    const draft = this.draft;
    if (draft === null) return false;
    this.fault = draft.dropping.trim() === '' ? { reason: NO_REASON } : {};
    if (Object.keys(this.fault).length > 0) return false;
    return this.#act('drop', (id) => this.#around.api.dropMessage(id, draft.dropping.trim()));
  }

  async #act(what: 'replay' | Form, send: (id: number) => Promise<ConsoleMessageDone>): Promise<boolean> {
    const id = this.open;
    if (id === null || this.sending !== null) return false;
    this.sending = what;
    this.refused = '';
    this.done = '';
    try {
      const { message, copy } = await send(id);
      if (message.id !== id) throw new Failure('unreadable', OTHER);
      delete this.drafts[id];
      this.#put(message, copy);
      if (this.open !== id) return true;
      const of = copy ?? message;
      const came = cameToText(of);
      this.form = null;
      this.settled = of.state !== 'held' && of.state !== 'received';
      this.done = copy === null ? came : say(`The corrected copy is message ${copy.id}. ${came}`, `Die korrigierte Kopie ist Nachricht ${copy.id}. ${came}`);
      this.#around.say(this.done);
      const shown = this.shown.value;
      if (shown === null) return true;
      // Where the fault lies is another place now: the text is read again.
      if (copy === null && shown.message.place !== message.place && message.place !== null) void this.#read(id);
      else this.shown.take({ ...shown, message });
      return true;
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.#around.failed(failure);
      if (this.open === id) this.refused = failure.message;
      return false;
    } finally {
      this.sending = null;
    }
  }

  /** The rows as they are now: one that left the filter stays where it is until the list is read again. A copy comes first. */
  #put(message: ConsoleMessage, copy: ConsoleMessage | null): void {
    const here = this.list.value;
    if (here === null) return;
    const rows = here.rows.map((each) => (each.id === message.id ? message : each));
    const fits = copy !== null && (this.state === '' || this.state === copy.state);
    this.list.take({ ...here, rows: copy !== null && fits ? [copy, ...rows] : rows });
  }

  /** The end of a session. What is typed stays for its author. */
  clear(): void {
    this.#turn++;
    this.close();
    this.list.clear();
    this.feed = '';
    this.state = 'held';
    this.olderLoading = false;
    this.olderError = null;
    this.sending = null;
  }
}
