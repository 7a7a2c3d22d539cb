/**
 * Words of HL7 v2 for the page of the interfaces: what became of a message, where a fault is, how many. Pure.
 *
 * Never here: why, which the server says. Called by `messages.svelte.ts` and the views of messages.
 */
import { say } from '../i18n/language';
import type { ShapeName } from '../shared/Shape.svelte';
import type { ConsoleFeed } from '../wire/ConsoleFeed';
import type { ConsoleMessage } from '../wire/ConsoleMessage';
import type { ConsoleMessageLine } from '../wire/ConsoleMessageLine';

/** What can have become of a message, as the filter names it; '' = whatever became of it. */
export const STATES: readonly { state: string; words: string }[] = [
  { state: 'held', words: say('held', 'zurückgehalten') },
  { state: 'received', words: say('not decided yet', 'noch nicht entschieden') },
  { state: 'applied', words: say('applied', 'übernommen') },
  { state: 'known', words: say('nothing new', 'nichts Neues') },
  { state: 'dropped', words: say('dropped', 'verworfen') },
  { state: '', words: say('all', 'alle') },
];
export const stateText = (state: string): string => STATES.find((each) => each.state === state && state !== '')?.words ?? state;

/** How a state looks: never by colour alone. */
export function look(state: string): { tone: string; shape: ShapeName } {
  if (state === 'held') return { tone: 'high', shape: 'warning' };
  if (state === 'applied') return { tone: 'ok', shape: 'check' };
  if (state === 'dropped') return { tone: 'plain', shape: 'stop' };
  return state === 'received' ? { tone: 'low', shape: 'half' } : { tone: 'plain', shape: 'ring' };
}

/** Somebody can still decide it. */
export const waits = (of: ConsoleMessage): boolean => of.state === 'held' || of.state === 'received';

/** "PID^1^3" as people write it: "PID-3"; "OBX^2^5^1^2" as "OBX[2]-5.2"; what is no place stays as it is. */
export function placeText(place: string): string {
  const [segment = '', nth = '1', field = '', rep = '1', comp = ''] = place.split('^');
  if (!/^[A-Z][A-Z0-9]{2}$/u.test(segment) || ![nth, rep, field, comp].every((each) => /^\d*$/u.test(each))) return place;
  const many = (n: string) => (n === '' || n === '0' || n === '1' ? '' : `[${n}]`);
  return `${segment}${many(nth)}${field === '' || field === '0' ? '' : `-${field}${many(rep)}${comp === '' ? '' : `.${comp}`}`}`;
}

/** "1,203", in German "1.203". */
export const countText = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/gu, say(',', '.'));

/** "812 bytes", "14 KiB": whole units, never rounded up. */
export const sizeText = (bytes: number): string => (bytes < 1024 ? `${bytes} ${say('bytes', 'Bytes')}` : `${countText(Math.floor(bytes / 1024))} KiB`);

/** A segment as it came. */
export const lineText = (line: ConsoleMessageLine): string => `${line.before}${line.marked ?? ''}${line.after}`;

/** How many came in the last 7 days; by one feed, or by all. */
export function cameText(feeds: readonly ConsoleFeed[], feed: string): string {
  const n = feeds.filter((each) => feed === '' || each.feed === feed).reduce((sum, each) => sum + each.week.messages, 0);
  if (n === 0) return say('none came in the last 7 days', 'in den letzten 7 Tagen kam keine');
  return n === 1 ? say('1 came in the last 7 days', 'in den letzten 7 Tagen kam 1') : say(`${countText(n)} came in the last 7 days`, `in den letzten 7 Tagen kamen ${countText(n)}`);
}

/** What stands in the place of a list without rows. */
export function nothingText(feeds: readonly ConsoleFeed[], feed: string, state: string): string {
  const by = feed === '' ? say('all feeds', 'alle Feeds') : say(`the feed ${feed}`, `der Feed ${feed}`);
  const of = state === '' ? say('No message is kept', 'Keine Nachricht ist aufbewahrt') : state === 'held' ? say('No message is held', 'Keine Nachricht ist zurückgehalten') : say(`No message is in the state “${stateText(state)}”`, `Keine Nachricht ist im Zustand „${stateText(state)}“`);
  return say(`${of}: ${cameText(feeds, feed)}. Looked at: ${by}.`, `${of}: ${cameText(feeds, feed)}. Angesehen: ${by}.`);
}

/** What an act came to, of the message or of its corrected copy. */
export function cameToText(of: ConsoleMessage): string {
  if (of.state === 'applied') return of.wrote === 1 ? say('Applied: 1 entry of the record was written.', 'Übernommen: 1 Eintrag der Akte wurde geschrieben.') : say(`Applied: ${of.wrote} entries of the record were written.`, `Übernommen: ${of.wrote} Einträge der Akte wurden geschrieben.`);
  if (of.state === 'known') return say('Understood, and there was nothing new in it.', 'Verstanden, und es war nichts Neues darin.');
  if (of.state === 'dropped') return say('Dropped. It stays kept.', 'Verworfen. Sie bleibt aufbewahrt.');
  const where = of.place === null ? '' : `${placeText(of.place)}: `;
  return say(`It stays held. ${where}${of.reason ?? ''}`, `Sie bleibt zurückgehalten. ${where}${of.reason ?? ''}`).trim();
}
