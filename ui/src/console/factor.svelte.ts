/**
 * A second factor of one's own: the password once more, the key to scan, the first code, the recovery codes.
 *
 * Lives here: how far it has come, and that nothing of it stays when it closes. Never here: markup (`views/Factor.svelte`), requests
 * (`api.ts`). Called by `state.svelte.ts`.
 */
import { failureOf, type Api, type Failure } from './api';
import type { ConsoleEnrolment } from '../wire/ConsoleEnrolment';
import type { ConsoleSession } from '../wire/ConsoleSession';

interface Of {
  api: Api;
  failed: (failure: Failure) => void;
  /** The session that goes on. */
  renewed: (session: ConsoleSession) => void;
}

export class Factor {
  step = $state<'closed' | 'password' | 'key' | 'codes'>('closed');
  enrolment = $state.raw<ConsoleEnrolment | null>(null);
  /** Recovery codes: nobody can show them again. */
  codes = $state.raw<string[]>([]);
  error = $state('');
  working = $state(false);
  readonly #of: Of;

  constructor(of: Of) {
    this.#of = of;
  }

  begin(): void {
    this.close();
    this.step = 'password';
  }

  /** Forgets all of it. */
  close(): void {
    this.step = 'closed';
    this.enrolment = null;
    this.codes = [];
    this.error = '';
  }

  async password(secret: string): Promise<void> {
    await this.#do(async () => {
      this.enrolment = await this.#of.api.enrol(secret);
      this.step = 'key';
    });
  }

  async code(code: string): Promise<void> {
    await this.#do(async () => {
      const { codes, session } = await this.#of.api.confirmEnrolment(code);
      this.#of.renewed(session);
      this.enrolment = null;
      this.codes = codes;
      this.step = 'codes';
    });
  }

  async #do(work: () => Promise<void>): Promise<void> {
    if (this.working) return;
    this.working = true;
    this.error = '';
    try {
      await work();
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.error = failure.message;
      this.#of.failed(failure);
    } finally {
      this.working = false;
    }
  }
}
