/**
 * Light or night: what the computer prefers, or what somebody chose here. The choice is one word in the browser's store, the
 * only thing the console keeps there (scripts/lint.mjs). Called by `main.ts` and `Console.svelte`.
 */
export type Theme = 'light' | 'night';

const KEY = 'vitrine-theme';
const isTheme = (value: unknown): value is Theme => value === 'light' || value === 'night';

/** What was chosen; null where nobody did, or the browser keeps nothing. */
export function chosen(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return isTheme(kept) ? kept : null;
  } catch {
    return null;
  }
}

/** What the computer is set to. */
export const preferred = (): Theme => (matchMedia('(prefers-color-scheme: dark)').matches ? 'night' : 'light');

/** Puts it on the page. */
export function wear(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
}

/** Puts it on the page and keeps it. */
export function choose(theme: Theme): void {
  wear(theme);
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is left.
  }
}

/** What is worn now, and from now on what the computer prefers while nobody has chosen. */
export function begin(changed: (theme: Theme) => void): Theme {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', () => {
    if (chosen() !== null) return;
    wear(preferred());
    changed(preferred());
  });
  const theme = chosen() ?? preferred();
  wear(theme);
  return theme;
}
