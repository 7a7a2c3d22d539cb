/**
 * The audit explorer: the filter as it is typed, what was asked with it, and the rows read so far.
 *
 * Never here: markup. Called by `state.svelte.ts` and `views/Audit.svelte`.
 */
import { say } from '../i18n/language';
import type { ConsoleAudit } from '../wire/ConsoleAudit';
import { failureOf, type Api, type AuditQuestion, type Failure } from './api';
import { Loaded } from './loaded.svelte';
import { instantOf } from './time';

/** The fields of the filter, as typed. */
export interface AuditFilter {
  patient: string;
  user: string;
  device: string;
  action: string;
  from: string;
  until: string;
}

export const NO_FILTER: AuditFilter = { patient: '', user: '', device: '', action: '', from: '', until: '' };
const NOT_A_TIME = say('Write a day as 29-Nov-2026, with a time as 29-Nov-2026 04:31.', 'Einen Tag als 29-Nov-2026 schreiben, mit Zeit als 29-Nov-2026 04:31.');
const BACKWARDS = say('“Until” lies before “From”.', '„Bis“ liegt vor „Von“.');

/** What is wrong with a filter, by field. */
export function faultsOf(filter: AuditFilter): Partial<Record<keyof AuditFilter, string>> {
  const faults: Partial<Record<keyof AuditFilter, string>> = {};
  const [from, until] = [instantOf(filter.from, false), instantOf(filter.until, true)];
  if (filter.from.trim() !== '' && from === null) faults.from = NOT_A_TIME;
  if (filter.until.trim() !== '' && until === null) faults.until = NOT_A_TIME;
  if (from !== null && until !== null && until < from) faults.until = BACKWARDS;
  return faults;
}

/** What is asked; call it for a filter without faults. */
export function questionOf(filter: AuditFilter): AuditQuestion {
  const question: AuditQuestion = {};
  for (const name of ['patient', 'user', 'device', 'action'] as const) if (filter[name].trim() !== '') question[name] = filter[name].trim();
  const [from, until] = [instantOf(filter.from, false), instantOf(filter.until, true)];
  if (from !== null) question.from = from;
  if (until !== null) question.until = until;
  return question;
}

export class AuditExplorer {
  readonly shown: Loaded<ConsoleAudit>;
  filter = $state<AuditFilter>({ ...NO_FILTER });
  faults = $state<Partial<Record<keyof AuditFilter, string>>>({});
  /** Older rows are on their way, or could not be read; those that are here stay. */
  olderLoading = $state(false);
  olderError = $state.raw<Failure | null>(null);
  #asked: AuditQuestion = {};
  #turn = 0;
  readonly #api: Api;
  readonly #failed: (failure: Failure) => void;

  constructor(api: Api, failed: (failure: Failure) => void) {
    this.#api = api;
    this.#failed = failed;
    this.shown = new Loaded(failed);
  }

  /** Looks with the filter as it stands; whether it could be asked. */
  async look(): Promise<boolean> {
    this.faults = faultsOf(this.filter);
    if (Object.keys(this.faults).length > 0) return false;
    this.#turn++;
    this.olderLoading = false;
    this.olderError = null;
    const question = questionOf(this.filter);
    this.#asked = question;
    return this.shown.load(() => this.#api.audit(question), true);
  }

  /** The next hundred, behind those that are here; how many came. */
  async older(): Promise<number> {
    const here = this.shown.value;
    if (here === null || here.next === null || this.olderLoading) return 0;
    const turn = ++this.#turn;
    this.olderLoading = true;
    this.olderError = null;
    try {
      const more = await this.#api.audit({ ...this.#asked, from: here.from_ms, until: here.until_ms, before: here.next });
      if (turn !== this.#turn) return 0;
      this.shown.take({ ...here, rows: [...here.rows, ...more.rows], next: more.next });
      return more.rows.length;
    } catch (thrown) {
      const failure = failureOf(thrown);
      this.#failed(failure);
      if (turn === this.#turn) this.olderError = failure;
      return 0;
    } finally {
      if (turn === this.#turn) this.olderLoading = false;
    }
  }

  clear(): void {
    this.#turn++;
    this.shown.clear();
    this.filter = { ...NO_FILTER };
    this.faults = {};
    this.olderLoading = false;
    this.olderError = null;
  }
}
