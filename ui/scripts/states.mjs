/**
 * The state matrix: of which states each screen has to have a picture, and in which scenario. screens.mjs ends with 1
 * where one has none. A state that a screen cannot be in says why in `{ none }`.
 */
export const STATES = ['loading', 'live', 'delayed', 'stale', 'offline', 'old', 'partial', 'empty', 'error', 'not-here'];

/** A form, and what was recorded at this very workstation. */
const NO_AGE = 'it is made here: nothing of it comes from the server, and it has no age';

export const MATRIX = {
  board: {
    loading: 'board-loading', live: 'board', delayed: 'board-delayed', stale: 'board-stale', offline: 'board-offline', old: 'board-old',
    partial: 'board-partial', empty: 'board-empty', error: 'board-error', 'not-here': 'board-not-here',
  },
  search: {
    loading: 'search-loading', live: 'search-found', delayed: 'search-delayed', stale: 'search-stale', offline: 'search-offline', old: 'search-old',
    partial: 'search-partial', empty: 'search-empty', error: 'search-error', 'not-here': 'search-none',
  },
  chart: {
    loading: 'chart-loading', live: 'chart', delayed: 'chart-delayed', stale: 'chart-stale', offline: 'chart-offline', old: 'chart-old',
    partial: 'chart-partial', empty: 'chart-empty', error: 'chart-damaged', 'not-here': 'chart-not-here',
  },
  card: {
    loading: 'card-loading', live: 'card-live', delayed: 'card-delayed', stale: 'card-stale', offline: 'card', old: 'card-old',
    partial: 'card-unavailable', empty: 'card-none-known', error: 'card-error', 'not-here': 'card-not-here',
  },
  images: {
    loading: 'images-loading', live: 'images', delayed: 'images-delayed', stale: 'images-stale', offline: 'images-offline', old: 'images-old',
    partial: 'images-partial', empty: 'images-empty', error: 'images-error', 'not-here': 'images-not-here',
  },
  entry: {
    loading: 'entry-loading', live: 'entry-vitals', delayed: { none: NO_AGE }, stale: { none: NO_AGE }, offline: 'entry-preview', old: { none: NO_AGE },
    partial: { none: NO_AGE }, empty: 'entry-vitals', error: 'entry-error', 'not-here': { none: NO_AGE },
  },
  entries: {
    loading: 'entries-loading', live: 'entries', delayed: { none: NO_AGE }, stale: { none: NO_AGE }, offline: 'entries-offline', old: { none: NO_AGE },
    partial: 'entries-withheld', empty: 'entries-empty', error: 'entries-error', 'not-here': { none: NO_AGE },
  },
  results: {
    loading: 'results-loading', live: 'results', delayed: 'results-delayed', stale: 'results-stale', offline: 'results-offline', old: 'results-old',
    partial: 'results-partial', empty: 'results-empty', error: 'results-error', 'not-here': 'results-not-here',
  },
  sync: {
    loading: 'sync-loading', live: 'sync', delayed: 'sync-delayed', stale: 'sync-stale', offline: 'sync-offline', old: 'sync-old',
    partial: 'sync-partial', empty: { none: 'it lists what this workstation is to have, whether it is here or not' }, error: 'sync-error', 'not-here': 'sync-not-here',
  },
  wall: {
    loading: 'wall-loading', live: 'wall-40', delayed: 'wall-delayed', stale: 'wall-stale', offline: 'wall-down', old: 'wall-old',
    partial: 'wall-partial', empty: 'wall-empty', error: 'wall-error', 'not-here': 'wall-not-here',
  },
  lock: {
    loading: { none: 'the window opens with what it knows; nothing of a patient is waited for' },
    live: 'lock', delayed: 'lock-delayed', stale: 'lock-stale', offline: 'lock-offline', old: 'lock-old', partial: 'lock-partial', empty: 'lock-first',
    error: 'lock-error', 'not-here': 'lock-not-enrolled',
  },
};

/** What is missing: states that the table does not name, scenarios that do not exist. `known` are the ids there are. */
export function missing(known) {
  return Object.entries(MATRIX).flatMap(([screen, row]) =>
    STATES.flatMap((state) => {
      const named = row[state];
      if (named === undefined) return [`${screen}, ${state}: not in scripts/states.mjs`];
      if (typeof named === 'string') return known.includes(named) ? [] : [`${screen}, ${state}: there is no scenario ${named}`];
      return typeof named.none === 'string' && named.none !== '' ? [] : [`${screen}, ${state}: no reason is given`];
    }),
  );
}
