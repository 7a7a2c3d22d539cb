/**
 * The fake twin of the engine: synthetic answers for a plain browser. Only in a `--mode fake` build and in tests.
 *
 * `?screen=ID` chooses the scenario (fixtures/scenarios.ts).
 */
import { LANGUAGE } from '../i18n/language';
import type { EngineEvent } from '../wire/EngineEvent';
import type { Backend } from './backend';
import { imagesOf } from './fixtures/images';
import { recorderOf, withRecorded, withTakenUp } from './fixtures/recorder';
import { scenarioOf } from './fixtures/scenarios';
import { drills } from './fixtures/sync';
import { calm, failure, type Answer, type World } from './fixtures/world';

/** The small pictures of the strip, one file a series. */
const THUMBS = import.meta.glob<string>('./fixtures/thumbs/*.png', { eager: true, query: '?url', import: 'default' });

/** A fake engine over a world; `tell` plays the engine's events. */
export interface Fake extends Backend {
  world: World;
  marks: string[];
  /** Milliseconds since the key or click, of marks that have one. */
  times: [string, number][];
  /** What the screen was told without asking. */
  told: EngineEvent[];
  tell(...events: EngineEvent[]): void;
}

const NAME_NEEDED = failure('name-needed', 'This is an emergency account, of no person: type your name and where you are from.');

async function answer<T>(given: Answer<T>): Promise<T> {
  if (given === 'never') return new Promise(() => {});
  if ('error' in given) throw given.error;
  return given.ok;
}

export function fakeOf(world: World): Fake {
  let hear: (events: EngineEvent[]) => void = () => {};
  const marks: string[] = [];
  const times: [string, number][] = [];
  const told: EngineEvent[] = [];
  return {
    world,
    marks,
    times,
    told,
    tell: (...events) => hear(events),
    status: () => answer(world.silent ? 'never' : { ok: world.status }),
    lockView: () => answer(world.lockFails === null ? { ok: world.lock } : { error: world.lockFails }),
    signIn: () => answer(world.signIn),
    badge: () => answer(world.badge),
    badgeSignIn: () => answer(world.signIn),
    providerSignIn: () => answer(world.providerSignIn),
    providerCancel: async () => {},
    lock: async () => {},
    active: async () => {},
    askServer: async () => {},
    syncView: () => answer(world.sync),
    verifyStored: () => answer(world.verify),
    drillStart: async (minutes) => {
      await answer(world.drill);
      drills(world, minutes);
    },
    drillEnd: async () => drills(world, null),
    search: () => answer(world.search),
    scan: () => answer(world.scan),
    board: () => answer(world.board),
    wallOpen: () => answer(world.wall),
    wall: () => answer(world.wall),
    wallTrends: () => answer(world.wallTrends),
    wallClose: async () => {},
    printPacket: () => answer(world.packet),
    changeSecret: () => answer(world.changed),
    chartOpen: (patient) => answer(withTakenUp(withRecorded(world.charts[patient] ?? world.chart, world.recorded), world.takenUp)),
    chartClose: async () => {},
    reasons: () => answer({ ok: { reasons: world.reasons, secret_needed: false } }),
    emergencyIdentify: (user, _secret, _badge, declared) => answer(user.startsWith('emergency-') && declared === null ? NAME_NEEDED : world.identify),
    emergencySearch: () => answer(world.search),
    emergencyScan: () => answer(world.scan),
    breakGlass: () => answer(withRecorded(world.card, world.recorded)),
    breakGlassEnd: async () => void (await answer(world.glassEnd)),
    breakGlassWords: async (grant) => {
      await answer(world.glassWords);
      if (world.owed !== 'never' && 'ok' in world.owed) world.owed = { ok: { owed: world.owed.ok.owed.filter((each) => each.grant !== grant) } };
    },
    breakGlassOwed: () => answer(world.owed),
    cardClose: async () => {},
    images: () => answer(world.images),
    ...imagesOf(world.imaging, (events) => hear(events)),
    ...recorderOf(world, answer, (...events) => hear(events)),
    imageUrl: (path) => THUMBS[`./fixtures/thumbs/${path.slice(path.lastIndexOf('/') + 1)}.png`] ?? '',
    preferences: async () => ({
      night: typeof location !== 'undefined' && new URLSearchParams(location.search).get('theme') === 'night',
      scale: 100,
      language: LANGUAGE === 'de' ? 'de' : 'en',
    }),
    setPreferences: async () => {},
    painted: async (mark, since) => {
      marks.push(mark);
      if (since !== null) times.push([mark, since]);
    },
    listen: async (given) => {
      hear = (events) => {
        told.push(...events);
        given(events);
      };
    },
    standbyBehind: async () => false,
    standbyPrepare: async () => {},
    standbyReady: async () => false,
    standbyExchange: async () => false,
  };
}

/** The fake engine of the scenario in the address. */
export function fakeBackend(): Fake {
  const world = calm();
  scenarioOf(location.search)?.set?.(world);
  return fakeOf(world);
}
