/**
 * One review that is open: reading it, what is typed, the second look before a suspicion, sending.
 *
 * What is typed is kept in memory for its author until the server has it: it outlasts leaving the review, a failed request
 * and a sign-in that ended (S17). Never here: which act may follow which (the server says it with each review). Called by
 * `state.svelte.ts` and `views/Review.svelte`.
 */
import { say } from '../i18n/language';
import type { ConsoleAct } from '../wire/ConsoleAct';
import type { ConsoleReviewShown } from '../wire/ConsoleReviewShown';
import { Failure, failureOf, type Api } from './api';
import { Loaded } from './loaded.svelte';

/** What is asked a second time, with the safe answer first (S27). */
const TWICE = new Set(['suspect', 'confirm', 'revoke']);
const OTHER = say('The review that arrived is not the one that was asked for. Nothing of it is shown.', 'Die eingetroffene Prüfung ist nicht die angeforderte. Nichts davon wird angezeigt.');

/** What the opened review needs of the whole. */
export interface Around {
  api: Api;
  failed: (failure: Failure) => void;
  say: (text: string) => void;
  /** The queue is read again. */
  changed: () => void;
}

export class OpenReview {
  readonly shown: Loaded<ConsoleReviewShown & { now_ms?: number }>;
  id = $state<string | null>(null);
  /** What is typed and not sent, by review. */
  drafts = $state<Record<string, string>>({});
  /** An act that waits for the second yes. */
  asking = $state.raw<ConsoleAct | null>(null);
  sending = $state(false);
  /** Why the last act was not done. */
  refused = $state('');
  /** What was done. */
  done = $state('');
  /** Words are missing. */
  wordless = $state(false);
  readonly #around: Around;

  constructor(around: Around) {
    this.#around = around;
    this.shown = new Loaded(around.failed);
  }

  get text(): string {
    return this.id === null ? '' : (this.drafts[this.id] ?? '');
  }

  set text(text: string) {
    if (this.id === null) return;
    this.wordless = false;
    if (text === '') delete this.drafts[this.id];
    else this.drafts[this.id] = text;
  }

  /** How many decisions are typed and not sent. */
  get unsent(): number {
    return Object.values(this.drafts).filter((text) => text.trim() !== '').length;
  }

  /** What may be done: who broke the glass explains, and nothing else. */
  get acts(): ConsoleAct[] {
    const shown = this.shown.value;
    if (shown === null) return [];
    return shown.review.own ? shown.acts.filter(({ how }) => how === 'explain') : shown.acts;
  }

  /** Opening is recorded by the server, each time. */
  async open(id: string): Promise<void> {
    this.#clean();
    this.id = id;
    await this.shown.load(() => this.#mine(id, this.#around.api.review(id)), true);
  }

  async #mine(id: string, answer: Promise<ConsoleReviewShown>): Promise<ConsoleReviewShown> {
    const shown = await answer;
    if (shown.review.id !== id) throw new Failure('unreadable', OTHER);
    return shown;
  }

  #clean(): void {
    this.asking = null;
    this.refused = '';
    this.done = '';
    this.wordless = false;
  }

  /** Leaves it; what is typed stays kept. */
  close(): void {
    this.#clean();
    this.id = null;
    this.shown.clear();
  }

  /** A button of an act: asks for words, asks again, or sends. */
  async act(act: ConsoleAct): Promise<void> {
    if (this.sending || act.why_not !== null) return;
    this.refused = '';
    this.done = '';
    if (act.words_needed && this.text.trim() === '') {
      this.wordless = true;
      return;
    }
    if (TWICE.has(act.how)) this.asking = act;
    else await this.#send(act);
  }

  /** The second yes. */
  async sure(): Promise<void> {
    const act = this.asking;
    if (act === null || this.sending) return;
    await this.#send(act);
    this.asking = null;
  }

  async #send(act: ConsoleAct): Promise<void> {
    const id = this.id;
    if (id === null) return;
    this.sending = true;
    try {
      const shown = await this.#mine(id, this.#around.api.decide(id, { how: act.how, text: this.text.trim() }));
      delete this.drafts[id];
      if (this.id === id) {
        this.shown.take(shown);
        this.done = say(`Recorded: ${act.label}. Now: ${shown.review.state_text}.`, `Aufgezeichnet: ${act.label}. Jetzt: ${shown.review.state_text}.`);
        this.#around.say(this.done);
      }
      this.#around.changed();
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.#around.failed(failure);
      if (this.id === id) this.refused = failure.message;
    } finally {
      this.sending = false;
    }
  }
}
