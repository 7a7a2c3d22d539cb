/** What may be said of the pixels on the screen (S21): a preview, the whole, or exact. Called by the state of a viewport. */
import { say } from '../i18n/language';
import type { FrameView } from '../wire/FrameView';
import { WHOLE, type Pixels } from './pixels';

export interface Quality {
  kind: 'none' | 'failed' | 'preview' | 'whole' | 'exact' | 'lossy';
  text: string;
  /** Values may be measured. */
  measurable: boolean;
}

const EXACT = say('EXACT', 'EXAKT');

/** "EXACT" stands alone only where nothing was ever lost and the digest matched. */
export function qualityOf(pixels: Pixels | undefined, frame: FrameView | undefined, failure: string | null): Quality {
  if (pixels === undefined || frame === undefined) {
    if (failure !== null) return { kind: 'failed', text: failure, measurable: false };
    return { kind: 'none', text: say('no picture yet', 'noch kein Bild'), measurable: false };
  }
  if (pixels.layer < WHOLE) {
    const scale = Math.max(1, Math.round(frame.columns / pixels.columns));
    const preview = say(`PREVIEW 1:${scale}`, `VORSCHAU 1:${scale}`);
    return { kind: 'preview', text: failure === null ? preview : `${preview} — ${say(`the whole ${failure}`, `das ganze Bild ${failure}`)}`, measurable: false };
  }
  const lossy = pixels.lossy || frame.lossy_text !== null ? say(`source is ${frame.lossy_text ?? 'lossy'}`, `Quelle ${frame.lossy_text ?? 'verlustbehaftet'}`) : null;
  if (!pixels.exact) return { kind: 'whole', text: `${say('WHOLE, NOT VERIFIED', 'VOLLSTÄNDIG, NICHT GEPRÜFT')}${lossy === null ? '' : ` — ${lossy}`}`, measurable: false };
  if (lossy !== null) return { kind: 'lossy', text: `${EXACT} — ${lossy}`, measurable: true };
  return { kind: 'exact', text: EXACT, measurable: true };
}
