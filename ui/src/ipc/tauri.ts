/**
 * The window's way to the engine: the only file that calls `invoke` (scripts/lint.mjs checks it).
 *
 * One line per command in src-tauri/src/commands/. Called through `ipc/index.ts`.
 */
import { Channel, invoke } from '@tauri-apps/api/core';
import type { EngineEvent } from '../wire/EngineEvent';
import type { Backend } from './backend';

/** The engine of this workstation. */
export function tauriBackend(): Backend {
  return {
    status: () => invoke('status'),
    lockView: () => invoke('lock_view'),
    signIn: (user, secret) => invoke('sign_in', { user, secret }),
    lock: () => invoke('lock'),
    active: () => invoke('active'),
    askServer: () => invoke('ask_server'),
    search: (query) => invoke('search', { query }),
    board: (ward) => invoke('board', { ward }),
    chartOpen: (patient) => invoke('chart_open', { patient }),
    chartClose: (patient) => invoke('chart_close', { patient }),
    reasons: () => invoke('reasons'),
    emergencyIdentify: (user, secret) => invoke('emergency_identify', { user, secret }),
    emergencySearch: (token, query) => invoke('emergency_search', { token, query }),
    breakGlass: (request) => invoke('break_glass_open', { request }),
    cardClose: (patient) => invoke('card_close', { patient }),
    preferences: () => invoke('preferences'),
    setPreferences: (preferences) => invoke('preferences_set', { preferences }),
    painted: (mark, sinceKeyMs) => invoke('painted', { mark, sinceKeyMs }),
    listen: (hear) => {
      const channel = new Channel<EngineEvent[]>();
      channel.onmessage = hear;
      return invoke('listen', { channel });
    },
  };
}
