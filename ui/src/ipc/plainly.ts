/**
 * A backend whose every answer can be shown as it is: texts have passed `domain/plain.ts`, also those of failures and
 * events. Called by `ipc/index.ts`. Pixels and addresses pass untouched.
 */
import { plain } from '../domain/plain';
import type { Backend } from './backend';

/** A failure of the engine has words; anything else (a request given up) passes as it is. */
const failure = (thrown: unknown): unknown => (typeof thrown === 'object' && thrown !== null && 'text' in thrown ? plain(thrown) : thrown);

async function of<T>(answer: Promise<T>): Promise<T> {
  try {
    return plain(await answer);
  } catch (thrown) {
    throw failure(thrown);
  }
}

export function plainly<T extends Backend>(backend: T): T {
  return {
    ...backend,
    status: () => of(backend.status()),
    lockView: () => of(backend.lockView()),
    signIn: (user, secret) => of(backend.signIn(user, secret)),
    badge: (text) => of(backend.badge(text)),
    badgeSignIn: (token, secret) => of(backend.badgeSignIn(token, secret)),
    providerSignIn: (pin) => of(backend.providerSignIn(pin)),
    providerCancel: () => of(backend.providerCancel()),
    changeSecret: (now, which, fresh) => of(backend.changeSecret(now, which, fresh)),
    syncView: () => of(backend.syncView()),
    verifyStored: () => of(backend.verifyStored()),
    drillStart: (minutes) => of(backend.drillStart(minutes)),
    drillEnd: () => of(backend.drillEnd()),
    search: (query) => of(backend.search(query)),
    scan: (text) => of(backend.scan(text)),
    board: (ward) => of(backend.board(ward)),
    results: (ward) => of(backend.results(ward)),
    wallOpen: (ward) => of(backend.wallOpen(ward)),
    wall: () => of(backend.wall()),
    wallTrends: () => of(backend.wallTrends()),
    printPacket: (ward) => of(backend.printPacket(ward)),
    chartOpen: (patient) => of(backend.chartOpen(patient)),
    reasons: () => of(backend.reasons()),
    emergencyIdentify: (user, secret, badge, declared) => of(backend.emergencyIdentify(user, secret, badge, declared)),
    emergencySearch: (token, query) => of(backend.emergencySearch(token, query)),
    emergencyScan: (token, text) => of(backend.emergencyScan(token, text)),
    breakGlass: (request) => of(backend.breakGlass(request)),
    breakGlassEnd: (grant) => of(backend.breakGlassEnd(grant)),
    breakGlassWords: (grant, words) => of(backend.breakGlassWords(grant, words)),
    breakGlassOwed: () => of(backend.breakGlassOwed()),
    entryForm: () => of(backend.entryForm()),
    entryPreview: (patient, input) => of(backend.entryPreview(patient, input)),
    entryRecord: (patient, input, seen) => of(backend.entryRecord(patient, input, seen)),
    entries: () => of(backend.entries()),
    entrySettle: (id, words) => of(backend.entrySettle(id, words)),
    entryDraft: (patient, kind) => of(backend.entryDraft(patient, kind)),
    setEntryDraft: (patient, kind, fields) => of(backend.setEntryDraft(patient, kind, fields)),
    images: (patient) => of(backend.images(patient)),
    imageOpen: (patient, study, series, px) => of(backend.imageOpen(patient, study, series, px)),
    imagePixels: async (...asked) => {
      try {
        return await backend.imagePixels(...asked);
      } catch (thrown) {
        throw failure(thrown);
      }
    },
    listen: (hear) => backend.listen((events) => hear(plain(events))),
  };
}
