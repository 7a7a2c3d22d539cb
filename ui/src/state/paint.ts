/** Tells when something has reached the screen. Called by the state after it changed what is shown. */

/** Runs `then` after the second animation frame from now: the first has painted what was set before. */
export function afterPaint(then: () => void): void {
  requestAnimationFrame(() => requestAnimationFrame(then));
}
