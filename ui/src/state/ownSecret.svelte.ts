/**
 * The person who is signed in gives themselves a new PIN or password.
 *
 * Lives here: what is typed, and what became of it. Never here: what a secret must be (the engine), markup. What was typed is let go of
 * as soon as it is asked for, and with the lock.
 */
import { say } from '../i18n/language';
import { WORDS } from '../i18n/words';
import { errorOf, type Backend, type OwnSecret } from '../ipc/backend';
import type { ErrorView } from '../wire/ErrorView';

export class OwnSecretDialog {
  which = $state<OwnSecret>('pin');
  /** The password as it is now. */
  now = $state('');
  fresh = $state('');
  again = $state('');
  working = $state(false);
  error = $state.raw<ErrorView | null>(null);
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  choose(which: OwnSecret): void {
    this.which = which;
    this.fresh = '';
    this.again = '';
    this.error = null;
  }

  /** True once it is changed. What is typed stays where nothing was asked yet. */
  async change(): Promise<boolean> {
    if (this.working) return false;
    const missing = this.#missing();
    if (missing !== null) {
      this.error = errorOf(null, missing);
      return false;
    }
    const { now, fresh } = this;
    this.forget();
    this.working = true;
    try {
      await this.#backend.changeSecret(now, this.which, fresh);
      return true;
    } catch (thrown) {
      const error = errorOf(thrown, WORDS.notAnswered);
      // Its words are those of a sign-in, which asks for a name too.
      const wrong = say('This is not your password as it is now: nothing is changed.', 'Das ist nicht Ihr jetziges Kennwort: Es wurde nichts geändert.');
      this.error = error.code === 'wrong-secret' ? { ...error, text: wrong } : error;
      return false;
    } finally {
      this.working = false;
    }
  }

  /** What the lock screen says afterwards. */
  get changedText(): string {
    return this.which === 'pin' ? say('Your PIN is changed. Sign in with the new one.', 'Ihre PIN ist geändert. Melden Sie sich mit der neuen an.') : say('Your password is changed. Sign in with the new one.', 'Ihr Kennwort ist geändert. Melden Sie sich mit dem neuen an.');
  }

  forget(): void {
    this.now = '';
    this.fresh = '';
    this.again = '';
    this.error = null;
  }

  #missing(): string | null {
    if (this.now === '') return say('Type your password as it is now.', 'Geben Sie Ihr jetziges Kennwort ein.');
    if (this.fresh === '') return this.which === 'pin' ? say('Type the new PIN.', 'Geben Sie die neue PIN ein.') : say('Type the new password.', 'Geben Sie das neue Kennwort ein.');
    if (this.fresh !== this.again) return say('The new one was typed differently the second time.', 'Die Wiederholung stimmt nicht überein.');
    return null;
  }
}
