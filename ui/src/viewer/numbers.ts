/** Numbers of the viewer in words: windows, lengths, means. Only what was measured here; nothing of the record. */

/** Rounded to so many places, with a true minus and without a negative zero. */
export function decimal(value: number, places: number): string {
  const factor = 10 ** places;
  const scaled = Math.round(Math.abs(value) * factor);
  const whole = String(Math.floor(scaled / factor));
  const part = places > 0 ? `.${String(scaled % factor).padStart(places, '0')}` : '';
  return `${value < 0 && scaled > 0 ? '−' : ''}${whole}${part}`;
}

/** Three significant places at least, never more than `most` behind the point. */
export function sensible(value: number, most = 2): string {
  const size = Math.abs(value);
  const places = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return decimal(value, Math.min(places, most));
}
