/**
 * Which fields of the views carry text from outside (a hospital's systems, the header of an image, the configuration of
 * a site), and which the engine makes itself. Read by names.mjs and payloads.mjs.
 *
 * Every field of `src/wire/` that holds text has to stand here: a new one that does not ends the run, so that nobody
 * forgets to say where it comes from. 'name' must never be shown empty; 'text' may be anything; 'engine' stays valid.
 */
import { readFile, readdir } from 'node:fs/promises';

const wire = new URL('../src/wire/', import.meta.url);

export const FIELDS = {
  AllergyStripView: { patient: 'engine', label: 'engine', negatives: 'text', conflict_text: 'text', updated_text: 'engine' },
  AllergyView: { agent: 'name', detail_text: 'text', verification_text: 'text', unsent_text: 'text', disputed_text: 'engine', source: 'engine', standing: 'engine' },
  AnswerView: { code: 'engine', text: 'text', asks: 'text' },
  BadgeView: { token: 'engine', user: 'text', display: 'text', initials: 'text', role: 'text' },
  BannerView: {
    patient: 'engine', name: 'name', born_text: 'engine', gender_text: 'text', number_label: 'text', number_text: 'text',
    place_text: 'text', weight_text: 'text', deceased_text: 'text', age_text: 'engine',
  },
  BlockView: { patient: 'engine', empty_text: 'text', as_of_text: 'engine' },
  EmergencyEndedView: { grant: 'engine', text: 'engine' },
  BrokenGlassView: { grant: 'engine', owed_text: 'engine' },
  BoardView: { ward: 'engine', ward_name: 'text', summary_text: 'text' },
  ChartView: { access_id: 'engine', break_glass_text: 'text', loading_text: 'engine', record_refused_text: 'text', withheld_text: 'text' },
  ChartCriticalView: { patient: 'engine', text: 'engine', elsewhere_text: 'text', unread_text: 'engine' },
  CriticalView: {
    patient: 'engine', name_text: 'name', born_text: 'engine', gender_text: 'text', number_text: 'text', place_text: 'text', deceased_text: 'text', result: 'engine',
    test_text: 'text', available_text: 'engine', before_text: 'text', not_for_you_text: 'text',
  },
  DraftHintView: { kept_text: 'engine' },
  DisputeSideView: { standing_text: 'text', standing: 'engine', reaction_text: 'text', by_text: 'text', reason_text: 'text' },
  DisputeView: { dispute: 'engine', allergy: 'engine', agent: 'name' },
  EarlierView: { value: 'name', unit: 'text', flag: 'engine', until_text: 'text', reason_text: 'text' },
  EmergencyCardView: { access_id: 'engine', frame_text: 'text', withheld_text: 'text' },
  ChoiceView: { code: 'engine', text: 'text' },
  EntriesView: { looked_text: 'text' },
  EntryFormView: { none_known_question: 'text' },
  EntryPreviewView: { patient: 'engine', title: 'text', lines: 'text', at_text: 'engine' },
  EntrySeen: { id: 'engine' },
  EntryView: {
    id: 'engine', patient: 'engine', name_text: 'name', section: 'engine', state_text: 'text', title: 'name', lines: 'text', at_text: 'engine',
    by_text: 'text', reason_text: 'text',
  },
  ErrorView: { text: 'text' },
  CheckPartView: { name: 'engine', text: 'text' },
  CheckView: { at_text: 'engine' },
  RefutedView: { agent: 'name', detail_text: 'text', by_text: 'text', why_text: 'text', unsent_text: 'text', source: 'engine', standing: 'engine' },
  RelianceView: { id: 'engine', title: 'engine', text: 'text', todo: 'engine' },
  StreamView: { scope: 'engine', name: 'name', items_text: 'engine', position_text: 'engine', loading_text: 'engine' },
  SyncView: { sentence: 'text', checking_text: 'engine', workstation: 'text', ward: 'text', server: 'text', program: 'engine', keys_text: 'engine' },
  DrillView: { running_text: 'text', refused_text: 'text', unread_text: 'engine' },
  FaultView: { field: 'engine', text: 'text' },
  FrameView: { sop: 'engine', place_text: 'text', colour: 'engine', lossy_text: 'text' },
  HeldView: { frames: 'engine', text: 'engine', stopped_text: 'text' },
  ImagesView: { patient: 'engine', empty_text: 'text' },
  LineView: { text: 'name', detail_text: 'text' },
  LockView: { ward: 'text', workstation: 'text', device_text: 'text', badge_text: 'text' },
  MeasuredPointView: {
    value: 'name', unit: 'text', flag: 'engine', flag_shape: 'engine', range_text: 'text', at_text: 'engine', status_text: 'text',
    source: 'engine', points_text: 'engine',
  },
  MeasuredSeriesView: { label: 'name', unit: 'text', range_text: 'text' },
  MeasuredView: {
    label: 'name', value: 'name', unit: 'text', flag: 'engine', flag_shape: 'engine', range_text: 'text', at_text: 'engine',
    status_text: 'text', points_text: 'engine',
  },
  MedicationView: {
    name: 'name', dose: 'text', details: 'text', status_text: 'text', start_text: 'text', high_risk_text: 'text',
  },
  News2PartView: { label: 'engine', value_text: 'text', points_text: 'engine', state_text: 'engine', at_text: 'engine' },
  News2PointView: { score_text: 'engine', spoken_text: 'engine', at_text: 'engine' },
  News2View: {
    score_text: 'engine', spoken_text: 'engine', level_text: 'engine', scale_text: 'engine', lacking_text: 'engine', not_for_text: 'engine',
    since_text: 'engine',
  },
  NoteView: { title: 'name', detail_text: 'text', text: 'text' },
  OpenSeriesView: {
    token: 'engine', study: 'engine', series: 'engine', gaps: 'text', without: 'text', header_text: 'text', mismatch_text: 'text',
  },
  OwedView: { grant: 'engine', text: 'text' },
  PacketView: { text: 'text', warning_text: 'engine' },
  PatientRowView: {
    patient: 'engine', name: 'name', born_text: 'engine', gender_text: 'text', number_text: 'text', place_text: 'text', bed: 'text',
    reason_text: 'text', stay_text: 'engine', acuity: 'text', match_text: 'text', allergy_text: 'engine', flags: 'text', critical_text: 'engine',
    deceased_text: 'text',
  },
  ProviderView: { name: 'text' },
  ReasonView: { code: 'engine', text: 'text' },
  RecentUserView: { user: 'text', initials: 'text', role: 'text' },
  ResultsView: { ward: 'engine', ward_name: 'text', looked_text: 'text' },
  ScanView: { text: 'text' },
  SearchView: { query: 'engine', summary_text: 'text' },
  SectionAge: { text: 'engine' },
  SeriesView: {
    uid: 'engine', title: 'name', modality: 'text', body_part: 'text', size_text: 'text', state_text: 'text', held_text: 'text',
    thumbnail: 'engine',
  },
  SessionView: { user: 'text', display: 'text', role: 'text' },
  SignView: { sign: 'engine', label: 'name', words: 'text', unit: 'text', hint_text: 'text' },
  StatusView: {
    sentence: 'text', ward: 'text', workstation: 'text', clock_text: 'engine', clock_warning: 'text', outbox_oldest_text: 'engine',
    loading_text: 'text', alarms: 'text', critical_text: 'engine', critical_due_text: 'text', drill_text: 'text',
  },
  StandingView: { code: 'engine', text: 'engine' },
  StepView: { text: 'text' },
  TakenView: { text: 'text', by_text: 'text', read_back_text: 'text' },
  TickView: { text: 'engine' },
  WaitingView: { result: 'engine' },
  WallBedView: { patient: 'engine', bed: 'text', name: 'name', person_text: 'text', last_text: 'text' },
  WallSignalView: {
    signal: 'engine', label: 'name', value_text: 'text', unit_text: 'text', flag_text: 'text', absent_text: 'text', at_text: 'engine',
  },
  WallTrendView: { patient: 'engine', signal: 'engine', label: 'name', unit_text: 'text', spoken: 'text' },
  WallView: { ward: 'engine', ward_name: 'text', line_text: 'text', summary_text: 'text', stranger_text: 'text' },
  StudyView: { uid: 'engine', when_text: 'text', title: 'name', modalities: 'text', accession: 'text', report_text: 'text' },
};

/** Of a frame's display, which is no view of its own: words of the header by their path. */
export const DISPLAY_TEXTS = ['windows.*.name', 'voi_lut.*.name', 'modality_lut.name', 'modality_lut.unit', 'laterality', 'view', 'notes.*', 'spacing.source'];

/** Where in the fake world which view stands. */
export const ROOTS = {
  status: 'StatusView', lock: 'LockView', packet: 'PacketView', session: 'SessionView', reasons: '[ReasonView', signIn: 'SessionView', badge: 'BadgeView', providerSignIn: 'SessionView', search: 'SearchView', scan: 'ScanView',
  board: 'BoardView', sync: 'SyncView', verify: 'CheckView', results: 'ResultsView', wall: 'WallView', wallTrends: 'WallTrendsView', chart: 'ChartView', card: 'EmergencyCardView', owed: 'OwedWordsView', images: 'ImagesView', form: 'EntryFormView', preview: 'EntryPreviewView', entries: 'EntriesView', identify: '',
};

/**
 * The shape of every view, read from the types: `{ view: { field: [how, view, optional] } }` with how one of 'text',
 * 'view' and a '[' before it for a list. Throws where a field with text is missing in `FIELDS`, or the other way round.
 */
export async function shapes() {
  const found = {};
  const wrong = [];
  for (const file of await readdir(wire)) {
    const source = (await readFile(new URL(file, wire), 'utf8')).replace(/\/\*[\s\S]*?\*\/|\/\/.*|import .*/g, '');
    const [, name, body] = /export type (\w+)(?:<T>)? = \{([\s\S]*)\};/.exec(source) ?? [];
    // What the screen itself sends is not shown.
    if (name === undefined || name === 'EngineEvent' || name.endsWith('Input') || name.startsWith('Console')) continue;
    found[name] = {};
    for (const [, field, absent, type] of body.matchAll(/(\w+)(\??): ([^,]+(?:<[^>]*>+)?[^,]*),/g)) {
      const optional = absent === '?' || type.includes('| null');
      const plain = type.replace('| null', '').trim();
      const list = /^Array<(.*)>$/.exec(plain);
      const inner = list?.[1] ?? plain;
      const how = inner === 'string' ? 'text' : /^T$|View(<\w+>)?$|^SectionAge$/.test(inner) ? 'view' : null;
      if (how === null) continue;
      found[name][field] = [`${list ? '[' : ''}${how}`, inner, optional];
      const said = FIELDS[name]?.[field];
      if (how === 'text' && said === undefined) wrong.push(`${name}.${field} is not listed in scripts/outside.mjs`);
    }
    for (const field of Object.keys(FIELDS[name] ?? {})) if (found[name][field] === undefined) wrong.push(`${name}.${field} is listed and does not exist`);
  }
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  return found;
}

/**
 * Fields of what the server says to its console, by name alone: its page walks whatever answer it gets. 'engine' are words the
 * page compares or sends back, 'text' is shown and may be anything. Read by console.mjs.
 */
export const CONSOLE_FIELDS = {
  id: 'engine', user: 'text', secret: 'engine', name: 'text', role: 'text', csrf: 'engine', state: 'text', state_text: 'text', user_name: 'text', reason: 'text', words: 'text', device: 'text',
  identity: 'text', by: 'text', by_name: 'text', did: 'text', text: 'text', weighs: 'engine', action: 'text', what: 'text', how: 'engine', label: 'text', why_not: 'text', chain: 'text',
  actor: 'text', actor_name: 'text', purpose: 'text', rule: 'text', patient: 'text', grant: 'text', value: 'text', next: 'engine', looked: 'text', head: 'text', fault: 'text', root: 'text',
  ward: 'text', version: 'text', report: 'text', wards: 'text', error: 'engine', level: 'engine', roles: 'text', act: 'engine', act_text: 'text', about_text: 'text', codes: 'text', sees: 'engine',
  code: 'engine', uri: 'engine', key: 'text', qr: 'engine', feed: 'text', sender: 'text', kind: 'text', control: 'text', code_text: 'text', place: 'text', held_why: 'text', notes: 'text', unshown: 'text',
  not_understood: 'text', before: 'text', marked: 'text', after: 'text', from: 'text', json: 'text',
};

/** `CONSOLE_FIELDS`, once every field with text of `src/wire/Console*.ts` is in it; throws where one is missing or too many. */
export async function consoleFields() {
  const found = new Set();
  for (const file of await readdir(wire)) {
    if (!file.startsWith('Console')) continue;
    const source = (await readFile(new URL(file, wire), 'utf8')).replace(/\/\*[\s\S]*?\*\/|\/\/.*|import .*/g, '');
    for (const [, field] of source.matchAll(/(\w+): (?:Array<string>|string|"[^,]*)/g)) found.add(field);
  }
  const wrong = [
    ...[...found].filter((field) => CONSOLE_FIELDS[field] === undefined).map((field) => `the field ${field} of a Console type is not listed in scripts/outside.mjs`),
    ...Object.keys(CONSOLE_FIELDS).filter((field) => !found.has(field)).map((field) => `the field ${field} is listed for the console in scripts/outside.mjs and does not exist`),
  ];
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  return CONSOLE_FIELDS;
}
