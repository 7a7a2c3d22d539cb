/**
 * Times of the console in words. The server says instants (ms since 1970 UTC); here they become the wall clock of this
 * computer's zone, which the page names once: dd-Mmm-yyyy and 24 hours, whatever the browser is set to (CUI D+Ta, D+Tb; S22).
 *
 * Lives here: all that knows a zone; the only file of the screen that does (scripts/lint.mjs). Never here: what time it is now:
 * that is the server's. Called by the views of the console.
 */
import { say } from '../i18n/language';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const two = (n: number) => String(n).padStart(2, '0');

/** "29-Nov-2026". */
export function dateText(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getDate())}-${MONTHS[at.getMonth()]}-${at.getFullYear()}`;
}

const wall = (ms: number) => {
  const at = new Date(ms);
  return `${dateText(ms)} ${two(at.getHours())}:${two(at.getMinutes())}`;
};

/** "UTC+01:00". */
export function offsetText(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const all = Math.abs(minutes);
  return `UTC${minutes < 0 ? '-' : '+'}${two(Math.floor(all / 60))}:${two(all % 60)}`;
}

/** "29-Nov-2026 04:31"; in the hour that comes twice with which of both it is (S23). */
export function whenText(ms: number): string {
  const text = wall(ms);
  if (wall(ms + HOUR) === text) return `${text} (${say('first', 'erste')}, ${offsetText(ms)})`;
  if (wall(ms - HOUR) === text) return `${text} (${say('second', 'zweite')}, ${offsetText(ms)})`;
  return text;
}

/** "Europe/Zurich, UTC+01:00". */
export function zoneText(ms: number): string {
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone}, ${offsetText(ms)}`;
}

/** "3 h 12 min", "2 d 3 h": whole units that have passed, never rounded up. */
export function spanText(ms: number): string {
  if (ms < MINUTE) return say('under 1 min', 'unter 1 Min');
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} ${say('min', 'Min')}`;
  const [unit, small, large, little] = ms < 2 * DAY ? ([HOUR, MINUTE, say('h', 'Std'), say('min', 'Min')] as const) : ([DAY, HOUR, say('d', 'T'), say('h', 'Std')] as const);
  const rest = Math.floor((ms % unit) / small);
  return `${Math.floor(ms / unit)} ${large}${rest === 0 ? '' : ` ${rest} ${little}`}`;
}

/** "due in 3 h 12 min", "overdue by 40 min". */
export function dueText(due_ms: number, now_ms: number): string {
  const left = due_ms - now_ms;
  return left >= 0 ? say(`due in ${spanText(left)}`, `fällig in ${spanText(left)}`) : say(`overdue by ${spanText(-left)}`, `überfällig seit ${spanText(-left)}`);
}

/** "12 min ago". */
export const agoText = (ms: number, now_ms: number): string => say(`${spanText(Math.max(0, now_ms - ms))} ago`, `vor ${spanText(Math.max(0, now_ms - ms))}`);

/**
 * The instant of "29-Nov-2026" or "29-Nov-2026 04:31", ms; with `end` the last one of that day or minute. Null where it is none.
 */
export function instantOf(text: string, end: boolean): number | null {
  const found = /^(\d{1,2})-([a-z]{3})-(\d{4})(?:\s+(\d{1,2}):(\d{2}))?$/iu.exec(text.trim());
  if (found === null) return null;
  const [, day, month = '', year, hour, minute] = found;
  const at = MONTHS.findIndex((each) => each.toLowerCase() === month.toLowerCase());
  if (at < 0) return null;
  const [h, m] = [Number(hour ?? 0), Number(minute ?? 0)];
  const began = new Date(Number(year), at, Number(day), h, m);
  // 31-Feb is none, and neither is a time that the change of the clock leaves out.
  if (began.getDate() !== Number(day) || began.getMonth() !== at || began.getHours() !== h || began.getMinutes() !== m) return null;
  if (!end) return began.getTime();
  if (hour !== undefined) return began.getTime() + MINUTE - 1;
  // The next midnight, not 24 hours: a day may have 23 or 25.
  return new Date(Number(year), at, Number(day) + 1).getTime() - 1;
}
