/**
 * The policy to look at: what each role may, for one record and purpose at a time, and the question about one person and patient.
 *
 * Never here: a rule, which the server alone knows; markup. Called by `state.svelte.ts` and `views/Policy.svelte`.
 */
import { say } from '../i18n/language';
import type { ConsolePolicy } from '../wire/ConsolePolicy';
import type { ConsoleWhy } from '../wire/ConsoleWhy';
import type { ConsoleWhyAsked } from '../wire/ConsoleWhyAsked';
import type { Api, Failure } from './api';
import { Loaded } from './loaded.svelte';

/** Purposes of use of HL7 v3 ActReason that the policy tells apart; '' = none stated, the usual one of the act. */
export const PURPOSES: readonly { code: string; words: string }[] = [
  { code: '', words: say('none stated: the usual one', 'keiner genannt: der übliche') },
  { code: 'TREAT', words: say('treatment', 'Behandlung') },
  { code: 'BTG', words: say('emergency', 'Notfall') },
  { code: 'HPAYMT', words: say('payment', 'Abrechnung') },
  { code: 'HOPERAT', words: say('running the hospital', 'Krankenhausbetrieb') },
  { code: 'HRESCH', words: say('research', 'Forschung') },
  { code: 'PATRQT', words: say('the patient asked for it', 'auf Wunsch des Patienten') },
  { code: 'HSYSADMIN', words: say('running the system', 'Systembetrieb') },
  { code: 'HCOMPL', words: say('compliance', 'Prüfung') },
];

/** How confidential a record is, by HL7 v3 Confidentiality. */
export const LEVELS: readonly { code: string; words: string }[] = [
  { code: 'N', words: say('normal', 'normal') },
  { code: 'R', words: say('restricted (R)', 'eingeschränkt (R)') },
  { code: 'V', words: say('very restricted (V)', 'stark eingeschränkt (V)') },
];

export const levelText = (code: string): string => LEVELS.find((each) => each.code === code)?.words ?? code;

const NOT_NAMED = { user: say('Name the account.', 'Konto angeben.'), patient: say('Name the patient.', 'Patienten angeben.') };

export class PolicyViewer {
  readonly table: Loaded<ConsolePolicy>;
  level = $state('N');
  purpose = $state('');
  readonly why: Loaded<ConsoleWhy>;
  question = $state<ConsoleWhyAsked>({ user: '', patient: '', purpose: '' });
  faults = $state<{ user?: string; patient?: string }>({});
  /** Something was asked: its answer, or what stands in its place, is shown. */
  asked = $state(false);
  readonly #api: Api;

  constructor(api: Api, failed: (failure: Failure) => void) {
    this.#api = api;
    this.table = new Loaded(failed);
    this.why = new Loaded(failed);
  }

  read(): Promise<boolean> {
    const [level, purpose] = [this.level, this.purpose];
    return this.table.load(() => this.#api.policy(level, purpose));
  }

  /** Asks as the question stands; false where it cannot be asked. */
  async ask(): Promise<boolean> {
    const question = { user: this.question.user.trim(), patient: this.question.patient.trim(), purpose: this.question.purpose };
    this.faults = { ...(question.user === '' ? { user: NOT_NAMED.user } : {}), ...(question.patient === '' ? { patient: NOT_NAMED.patient } : {}) };
    if (Object.keys(this.faults).length > 0) return false;
    this.asked = true;
    await this.why.load(() => this.#api.why(question), true);
    return true;
  }

  clear(): void {
    this.table.clear();
    this.why.clear();
    this.question = { user: '', patient: '', purpose: '' };
    this.faults = {};
    this.asked = false;
  }
}
