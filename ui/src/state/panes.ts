/** F6: the focus walks through the parts of the screen marked `data-pane`, in the order in which they are seen. */
export function movePane(by: 1 | -1): void {
  const panes = [...document.querySelectorAll<HTMLElement>('[data-pane]')].filter((pane) => pane.closest('[inert]') === null);
  if (panes.length === 0) return;
  const at = panes.findIndex((pane) => pane.contains(document.activeElement));
  const pane = panes[(at + by + panes.length) % panes.length];
  if (pane === undefined) return;
  const inside = pane.matches('[tabindex="0"], button')
    ? pane
    : pane.querySelector<HTMLElement>('input, [tabindex="0"], button:not([disabled])');
  (inside ?? pane).focus();
}
