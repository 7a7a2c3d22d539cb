/**
 * The window's way to the engine: the only file that calls `invoke`, and that fetches pixels (scripts/lint.mjs checks it).
 *
 * One line per command in src-tauri/src/commands/. Called through `ipc/index.ts`.
 */
import { Channel, convertFileSrc, invoke } from '@tauri-apps/api/core';
import { say } from '../i18n/language';
import { pixelsOf, type Pixels } from '../viewer/pixels';
import type { EngineEvent } from '../wire/EngineEvent';
import type { ErrorView } from '../wire/ErrorView';
import { errorOf, type Backend } from './backend';

/** An address of the image protocol, which the engine answers inside this process. Slashes stay as they are. */
function imageUrl(path: string): string {
  const origin = convertFileSrc('', 'img').replace(/\/+$/, '');
  return `${origin}/${path.replace(/^\/+/, '')}`;
}

const GONE: ErrorView['code'] = 'not-found';
const UNREADABLE = say('cannot be decoded', 'kann nicht dekodiert werden');

async function imagePixels(token: string, frame: number, above: number, signal: AbortSignal): Promise<Pixels | null> {
  const answer = await fetch(imageUrl(`${token}/${frame}?above=${above}`), { signal });
  switch (answer.status) {
    case 200: {
      const pixels = pixelsOf(await answer.arrayBuffer());
      if (pixels === null) throw { ...errorOf(null, UNREADABLE), code: 'damaged' };
      return pixels;
    }
    case 204:
      return null;
    case 410:
      throw { ...errorOf(null, ''), code: GONE };
    case 422:
      throw { ...errorOf(null, (await answer.text()) || UNREADABLE), code: 'damaged' };
    default:
      throw errorOf(null, '');
  }
}

/** The engine of this workstation. */
export function tauriBackend(): Backend {
  return {
    status: () => invoke('status'),
    lockView: () => invoke('lock_view'),
    signIn: (user, secret) => invoke('sign_in', { user, secret }),
    badge: (text) => invoke('badge', { text }),
    badgeSignIn: (token, secret) => invoke('badge_sign_in', { token, secret }),
    providerSignIn: (pin) => invoke('provider_sign_in', { pin }),
    providerCancel: () => invoke('provider_cancel'),
    changeSecret: (now, which, fresh) => invoke('change_secret', { now, which, fresh }),
    lock: (idle) => invoke('lock', { idle }),
    active: () => invoke('active'),
    askServer: () => invoke('ask_server'),
    syncView: () => invoke('sync_view'),
    verifyStored: () => invoke('verify_stored'),
    drillStart: (minutes) => invoke('drill_start', { minutes }),
    drillEnd: () => invoke('drill_end'),
    search: (query) => invoke('search', { query }),
    scan: (text) => invoke('scan', { text }),
    board: (ward) => invoke('board', { ward }),
    results: (ward) => invoke('results', { ward }),
    wallOpen: (ward) => invoke('wall_open', { ward }),
    wall: () => invoke('wall'),
    wallTrends: () => invoke('wall_trends'),
    wallClose: () => invoke('wall_close'),
    printPacket: (ward) => invoke('packet_print', { ward }),
    chartOpen: (patient) => invoke('chart_open', { patient }),
    chartClose: (patient) => invoke('chart_close', { patient }),
    reasons: () => invoke('reasons'),
    emergencyIdentify: (user, secret, badge, declared) => invoke('emergency_identify', { user, secret, badge, declared }),
    emergencySearch: (token, query) => invoke('emergency_search', { token, query }),
    emergencyScan: (token, text) => invoke('emergency_scan', { token, text }),
    breakGlass: (request) => invoke('break_glass_open', { request }),
    breakGlassEnd: (grant) => invoke('break_glass_end', { grant }),
    breakGlassWords: (grant, words) => invoke('break_glass_words', { grant, words }),
    breakGlassOwed: () => invoke('break_glass_owed'),
    cardClose: (patient) => invoke('card_close', { patient }),
    entryForm: () => invoke('entry_form'),
    entryPreview: (patient, input) => invoke('entry_preview', { patient, input }),
    entryRecord: (patient, input, seen) => invoke('entry_record', { patient, input, seen }),
    entries: () => invoke('entries'),
    entrySettle: (id, words) => invoke('entry_settle', { id, words }),
    entryDraft: (patient, kind) => invoke('entry_draft', { patient, kind }),
    setEntryDraft: (patient, kind, fields) => invoke('set_entry_draft', { patient, kind, fields }),
    images: (patient) => invoke('images', { patient }),
    imageOpen: (patient, study, series, px) => invoke('image_open', { patient, study, series, px }),
    imageCenter: (view, frame, velocity, px) => invoke('image_center', { view, frame, velocity, px }),
    imageClose: (view) => invoke('image_close', { view }),
    imageUrl,
    imagePixels,
    preferences: () => invoke('preferences'),
    setPreferences: (preferences) => invoke('preferences_set', { preferences }),
    painted: (mark, sinceKeyMs) => invoke('painted', { mark, sinceKeyMs }),
    listen: (hear) => {
      const channel = new Channel<EngineEvent[]>();
      channel.onmessage = hear;
      return invoke('listen', { channel });
    },
    standbyBehind: () => invoke('standby_behind'),
    standbyPrepare: () => invoke('standby_prepare'),
    standbyReady: (heard) => {
      const front = new Channel<boolean>();
      front.onmessage = heard;
      return invoke('standby_ready', { front });
    },
    standbyExchange: (pressedMs) => invoke('standby_exchange', { pressedMs }),
  };
}
