/** The pages of the console: their names, in their order, and for whom each is. Called by `state.svelte.ts` and `Console.svelte`. */
import { say } from '../i18n/language';
import type { ConsoleMay } from '../wire/ConsoleMay';

export type Page = 'reviews' | 'numbers' | 'audit' | 'devices' | 'people' | 'policy' | 'interfaces';

/** Everybody has the reviews: those of the glass they broke themselves. */
const PAGES: readonly { page: Page; may: keyof ConsoleMay | null; name: string }[] = [
  { page: 'reviews', may: null, name: say('Reviews', 'Prüfungen') },
  { page: 'numbers', may: 'reviews', name: say('Numbers', 'Zahlen') },
  { page: 'audit', may: 'audit', name: say('Audit', 'Audit') },
  { page: 'devices', may: 'devices', name: say('Workstations', 'Arbeitsplätze') },
  { page: 'people', may: 'people', name: say('People', 'Personen') },
  { page: 'policy', may: 'policy', name: say('Policy', 'Regeln') },
  { page: 'interfaces', may: 'messages', name: say('Interfaces', 'Schnittstellen') },
];

/** The pages an account has. */
export const pagesOf = (may: ConsoleMay) => PAGES.filter((each) => each.may === null || may[each.may] === true);

/** The page an address names ("#audit"), and the review in it ("#reviews/ID"). */
export function placeOf(hash: string): { page: Page; review: string | null } {
  const [name = '', review = ''] = hash.replace(/^#/u, '').split('/', 2);
  const page = PAGES.find((each) => each.page === name)?.page ?? 'reviews';
  let id: string | null = null;
  try {
    if (page === 'reviews' && review !== '') id = decodeURIComponent(review);
  } catch {
    // An address that was cut: it names none.
  }
  return { page, review: id };
}
