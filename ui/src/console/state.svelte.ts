/**
 * What is on the page: who is signed in, which page, what was read for it, and the end of the session that clears all of it.
 *
 * Lives here: sign-in and its ends, the pages, the live region's words. Never here: requests (`api.ts`), one review
 * (`review.svelte.ts`), the audit (`audit.svelte.ts`), messages of interfaces (`messages.svelte.ts`), markup. Called by `Console.svelte`.
 */
import { say } from '../i18n/language';
import { Elapsed } from '../state/elapsed';
import type { ConsoleChains } from '../wire/ConsoleChains';
import type { ConsoleDevice } from '../wire/ConsoleDevice';
import type { ConsoleDevices } from '../wire/ConsoleDevices';
import type { ConsolePeople } from '../wire/ConsolePeople';
import type { ConsoleReviews } from '../wire/ConsoleReviews';
import type { ConsoleReviewStats } from '../wire/ConsoleReviewStats';
import type { ConsoleSession } from '../wire/ConsoleSession';
import { failureOf, openApi, REPLACED, type Api, type Carry, type Failure } from './api';
import { AuditExplorer, NO_FILTER, type AuditFilter } from './audit.svelte';
import { Factor } from './factor.svelte';
import { Loaded } from './loaded.svelte';
import { Interfaces } from './messages.svelte';
import { pagesOf, type Page } from './pages';
import { PolicyViewer } from './policy.svelte';
import { OpenReview } from './review.svelte';

/** The last part of a session without a key or a movement is announced, ms. */
export const WARNING_MS = 60_000;
/** Who is at work keeps the session alive, not oftener than this, ms. */
const KEEP_EVERY_MS = 60_000;
const IDLE = say('You were signed out: nobody touched this page for a while.', 'Sie wurden abgemeldet: Diese Seite wurde eine Weile nicht benutzt.');
const ENDED = say('Your sign-in has reached its end. Sign in again.', 'Ihre Anmeldung ist abgelaufen. Neu anmelden.');
const WRONG = say('User name or password is wrong. A PIN does not count here.', 'Benutzername oder Kennwort ist falsch. Eine PIN gilt hier nicht.');

export class Console {
  readonly api: Api;
  phase = $state<'starting' | 'unreached' | 'out' | 'in'>('starting');
  session = $state.raw<ConsoleSession | null>(null);
  /** Why nobody is signed in any more. */
  why = $state('');
  signInError = $state('');
  signingIn = $state(false);
  /** The password was right, and the code of the second factor is asked for. */
  coding = $state(false);
  /** The hospital's identity provider signs people in too. */
  provider = $state(false);
  /** Why it is not known whether somebody is signed in. */
  startError = $state('');
  page = $state<Page>('reviews');
  /** Counts changes of what the page is about: the heading gets the focus. */
  turned = $state(0);
  /** For those who hear the page. */
  said = $state('');
  /** Seconds until the session ends for want of a touch; null while that is far. */
  endsIn = $state<number | null>(null);
  /** Something is typed and not sent, and signing out was asked for. */
  leaving = $state(false);
  /** Counted on every second: what shows a span of time follows it. */
  beat = $state(0);

  which = $state<'open' | 'all'>('open');
  /** The review whose row has the cursor. */
  pointed = $state<string | null>(null);
  readonly reviews: Loaded<ConsoleReviews>;
  readonly review: OpenReview;
  readonly stats: Loaded<ConsoleReviewStats & { now_ms?: number }>;
  readonly audit: AuditExplorer;
  readonly chains: Loaded<ConsoleChains>;
  readonly devices: Loaded<ConsoleDevices>;
  readonly people: Loaded<ConsolePeople>;
  readonly policy: PolicyViewer;
  readonly interfaces: Interfaces;
  /** A second factor of one's own that is being enrolled. */
  readonly factor: Factor;
  /** The workstation that is about to be revoked. */
  revoking = $state.raw<ConsoleDevice | null>(null);
  /** Whose drafts are kept. */
  #author: string | null = null;
  #began: Elapsed | null = null;
  #asked: Elapsed | null = null;
  #keeping = false;

  constructor(carry?: Carry) {
    this.api = openApi(carry, () => (this.#asked = new Elapsed()));
    const failed = (failure: Failure) => this.#failed(failure);
    this.reviews = new Loaded(failed);
    this.stats = new Loaded(failed);
    this.chains = new Loaded(failed);
    this.devices = new Loaded(failed);
    this.people = new Loaded(failed);
    this.audit = new AuditExplorer(this.api, failed);
    this.policy = new PolicyViewer(this.api, failed);
    this.interfaces = new Interfaces({ api: this.api, failed, say: (text) => this.say(text) });
    this.factor = new Factor({ api: this.api, failed, renewed: (session) => this.#renewed(session) });
    this.review = new OpenReview({ api: this.api, failed, say: (text) => this.say(text), changed: () => void this.readReviews() });
  }

  /** Says it to those who hear the page; the same words twice are heard twice. */
  say(text: string): void {
    this.said = this.said === text ? `${text}\u00a0` : text;
  }

  /** Whether somebody is signed in already. */
  async start(): Promise<void> {
    this.phase = 'starting';
    try {
      this.#enter(await this.api.session());
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure.kind === 'signed-out') {
        this.phase = 'out';
        await this.#ways();
      } else {
        this.phase = 'unreached';
        this.startError = failure.message;
      }
    }
  }

  /** Whether the provider's button is shown: without an answer it is not, and the password is asked for as always. */
  async #ways(): Promise<void> {
    try {
      this.provider = (await this.api.ways()).provider;
    } catch {
      this.provider = false;
    }
  }

  async signIn(user: string, secret: string): Promise<void> {
    if (this.signingIn) return;
    this.signingIn = true;
    this.signInError = '';
    try {
      this.#enter(await this.api.signIn(user, secret));
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.coding = failure.kind === 'code-needed';
      if (!this.coding) this.signInError = failure.kind === 'signed-out' ? WRONG : failure.message;
    } finally {
      this.signingIn = false;
    }
  }

  async signInCode(code: string): Promise<void> {
    if (this.signingIn) return;
    this.signingIn = true;
    this.signInError = '';
    try {
      this.#enter(await this.api.signInCode(code));
    } catch (thrown) {
      const failure = failureOf(thrown);
      // The password was too long ago: it is asked for again.
      if (failure.kind === 'signed-out') this.coding = false;
      this.signInError = failure.message;
    } finally {
      this.signingIn = false;
    }
  }

  /** Back to name and password. */
  another(): void {
    this.coding = false;
    this.signInError = '';
  }

  /** The same person goes on in another session. */
  #renewed(session: ConsoleSession): void {
    this.session = session;
    this.#began = new Elapsed();
  }

  #enter(session: ConsoleSession): void {
    // What somebody else typed is not theirs.
    if (this.#author !== session.user) this.#forget();
    this.#author = session.user;
    this.session = session;
    this.#began = new Elapsed();
    this.why = '';
    this.signInError = '';
    this.coding = false;
    this.endsIn = null;
    this.phase = 'in';
    if (!pagesOf(session.may).some(({ page }) => page === this.page)) this.page = 'reviews';
    this.go(this.page);
  }

  /** What is typed and not sent, of reviews and of messages. */
  get unsent(): number {
    return this.review.unsent + this.interfaces.unsent;
  }

  #forget(): void {
    this.review.drafts = {};
    this.interfaces.drafts = {};
  }

  /** Ends what is shown at once; what is typed stays for its author. */
  #out(why: string): void {
    if (this.review.id !== null) this.pointed = this.review.id;
    this.phase = 'out';
    this.why = why;
    this.session = null;
    this.leaving = false;
    this.revoking = null;
    this.endsIn = null;
    this.#began = null;
    this.#asked = null;
    this.review.close();
    this.factor.close();
    for (const each of [this.reviews, this.stats, this.chains, this.devices, this.people, this.audit, this.policy, this.interfaces]) each.clear();
    void this.#ways();
  }

  #failed(failure: Failure): void {
    // Every other failure stands, and is heard, in the place of what was asked for.
    if (failure.kind === 'signed-out' && this.phase === 'in') this.#out(failure.message);
  }

  /** Signs out; with `anyway` also where something is typed and not sent: that is gone then. */
  async signOut(anyway = false): Promise<void> {
    if (this.unsent > 0 && !anyway) {
      this.leaving = true;
      return;
    }
    this.#forget();
    this.pointed = null;
    let ended = true;
    try {
      await this.api.signOut();
    } catch (thrown) {
      ended = failureOf(thrown).kind === 'signed-out';
    }
    this.#out(
      ended
        ? say('You are signed out.', 'Sie sind abgemeldet.')
        : say('This page has forgotten everything, but the server did not answer: close the browser, or sign in and out again.', 'Diese Seite hat alles vergessen, aber der Server hat nicht geantwortet: Browser schließen oder nochmals an- und abmelden.'),
    );
  }

  /** The pages this account has. */
  get pages() {
    return this.session === null ? [] : pagesOf(this.session.may);
  }

  /** Goes to a page and reads it anew. */
  go(page: Page): void {
    if (this.phase !== 'in' || !this.pages.some((each) => each.page === page)) return;
    if (this.review.id !== null) this.closeReview();
    this.page = page;
    this.turned++;
    this.read();
  }

  /** Reads what the page shows. */
  read(): void {
    if (this.page === 'reviews') void this.readReviews();
    else if (this.page === 'numbers') void this.stats.load(() => this.api.stats());
    else if (this.page === 'audit') {
      void this.audit.look();
      void this.chains.load(() => this.api.chains());
    } else if (this.page === 'devices') void this.devices.load(() => this.api.devices());
    else if (this.page === 'policy') void this.policy.read();
    else if (this.page === 'interfaces') void this.interfaces.read();
    else void this.people.load(() => this.api.people());
  }

  readReviews(): Promise<boolean> {
    const which = this.which;
    return this.reviews.load(() => this.api.reviews(which));
  }

  /** Open ones alone, or all. */
  choose(which: 'open' | 'all'): void {
    if (which === this.which) return;
    this.which = which;
    this.reviews.clear();
    void this.readReviews();
  }

  openReview(id: string): void {
    this.pointed = id;
    this.turned++;
    void this.review.open(id);
  }

  closeReview(): void {
    if (this.review.id === null) return;
    this.pointed = this.review.id;
    this.review.close();
    this.turned++;
    void this.readReviews();
  }

  /** Revokes a workstation; throws a `Failure`. */
  async revoke(device: ConsoleDevice, reason: string): Promise<void> {
    try {
      this.devices.take(await this.api.revoke(device.id, reason));
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.#failed(failure);
      throw failure;
    }
    this.revoking = null;
    this.say(say(`${device.name} is revoked.`, `${device.name} ist gesperrt.`));
  }

  /** The audit with this filter alone. */
  audited(filter: Partial<AuditFilter>): void {
    this.audit.filter = { ...NO_FILTER, ...filter };
    this.go('audit');
  }

  /** Somebody is there. */
  touched(): void {
    if (this.phase !== 'in' || this.#keeping || (this.#asked?.ms ?? 0) < KEEP_EVERY_MS) return;
    this.#keeping = true;
    void this.api
      .session()
      .then((session) => {
        if (this.phase !== 'in') return;
        if (session.user !== this.session?.user) this.#out(REPLACED);
        else this.endsIn = null;
      })
      .catch((thrown: unknown) => this.#failed(failureOf(thrown)))
      .finally(() => (this.#keeping = false));
  }

  /** Once a second: spans of time, and the ends of a session. */
  tick(): void {
    this.beat++;
    const session = this.session;
    if (session === null || this.#began === null) return;
    if (session.now_ms + this.#began.ms >= session.ends_ms) return this.#out(ENDED);
    const left = session.idle_s * 1000 - (this.#asked?.ms ?? 0);
    if (left <= 0) return this.#out(IDLE);
    this.endsIn = left <= WARNING_MS ? Math.ceil(left / 1000) : null;
  }
}
