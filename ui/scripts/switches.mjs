/**
 * How each safety rule of the screens is switched off, and which tests have to notice: the table of rules.mjs.
 *
 * `find` stands once in `file` (from the root of the repository) and becomes `replace`, and so do the pairs of `also`: what
 * somebody might write who does not know the rule, never what breaks the screen. `test` is one of: `vitest`, files of which the tests that carry the
 * rule's number are run (`name`: another pattern); `lint`, the ban list; `script`, a script of the browser over one
 * screen of a build of its own; `cargo`, tests of a crate.
 */

/** The rules by their numbers in docs/SAFETY.md. */
export const RULES = Array.from({ length: 30 }, (_, i) => `S${i + 1}`);

/** Rules of what is not there: nothing could be switched off. */
export const NOT_THERE = { S9: 'no orders yet', S13: 'no orders yet' };

const vitest = (...files) => ({ vitest: files.map((file) => `tests/${file}.test.ts`) });
const lint = { lint: true };
const lib = (name, test) => ({ cargo: { package: name, test } });

const SAFETY = 'ui/src/domain/safety.ts';
const TABLE = 'ui/src/shared/PatientTable.svelte';
const STRIP = 'ui/src/shared/StatusStrip.svelte';
const ALLERGIES = 'ui/src/shared/AllergyStrip.svelte';
const CHART = 'ui/src/views/Chart.svelte';
const CRITICAL = 'ui/src/shared/CriticalLine.svelte';
const CARD = 'ui/src/views/EmergencyCard.svelte';
const APP = 'ui/src/state/app.svelte.ts';

export const SWITCHES = [
  // ---- S1: no empty list from incomplete data ----
  { rule: 'S1', what: 'an empty section that is not fully loaded is shown as empty', file: SAFETY, find: "  if (!complete) return { kind: 'unknown', text: WORDS.partialEmpty(what) };\n", replace: '', test: vitest('safety', 'views') },
  { rule: 'S1', what: 'rows that are not fully loaded stand without a warning', file: SAFETY, find: 'warning: complete ? null : WORDS.partialRows', replace: 'warning: null', test: vitest('safety') },
  { rule: 'S1', what: 'a filter that shows nobody claims it of a census that is not complete', file: 'ui/src/domain/board.ts', find: "const more = complete ? ''", replace: "const more = true ? ''", test: vitest('board') },
  { rule: 'S1', what: 'a count of past medicines that are not loaded is 0', file: 'ui/src/views/chart/Medicines.svelte', find: "if (block.kind === 'unknown') return say('unknown', 'unbekannt');", replace: "if (block.kind === 'unknown') return '0';", test: vitest('medicines') },
  { rule: 'S1', what: 'a chart says nothing where it is not known whether a critical result waits', file: 'ui/src/domain/results.ts', find: "  if (unread_text !== null) return { kind: 'unknown', text: unread_text };\n", replace: '', test: vitest('resultsScreen') },
  { rule: 'S1', what: 'every section counts as fully loaded', file: SAFETY, find: "const complete = age.complete && age.age !== 'partial';\n  if (block.items.length > 0) {", replace: "const complete = true;\n  if (block.items.length > 0) {", test: vitest('views', 'results') },

  // ---- S2, S3: the states of the allergies ----
  { rule: 'S2', what: '"no known allergies" heads a list of allergies', file: SAFETY, find: "const label = strip.state === 'known' ? strip.label : say(", replace: "const label = true ? strip.label : say(", test: vitest('safety') },
  { rule: 'S2', what: '"no known allergies" from a record that is not fully loaded', file: SAFETY, find: "  if (!complete) {\n", replace: '  if (false) {\n', test: vitest('safety') },
  { rule: 'S2', what: 'allergies that are known and not there are an empty strip', file: SAFETY, find: "strip.items.length === 0 && (strip.state === 'known' || strip.disputes.length > 0)", replace: 'strip.items.length === 0 && strip.disputes.length > 0', test: vitest('safety') },
  { rule: 'S2', what: 'absence is claimed while two changes contradict each other', file: SAFETY, find: "(strip.state === 'known' || strip.disputes.length > 0)", replace: "strip.state === 'known'", test: vitest('safety') },
  { rule: 'S3', what: '"no known allergies" without who said so and when', file: SAFETY, find: 'remarks: [...conflict, ...said] };', replace: 'remarks: conflict };', test: vitest('safety') },
  { rule: 'S3', what: 'that nobody is named as the author is not said', file: SAFETY, find: 'strip.negatives.length > 0 ? strip.negatives : [say(', replace: 'true ? strip.negatives : [say(', test: vitest('safety') },
  { rule: 'S2', what: 'a statement about drugs alone makes it "no known allergies"', file: 'shared/clinical/src/card/allergy.rs', find: 'negatives.iter().any(|(n, ..)| n.all)', replace: '!negatives.is_empty()', test: lib('vitrine-clinical', 'card::derive::tests::allergy_states') },
  { rule: 'S2', what: 'a refuted allergy is an allergy', file: 'shared/clinical/src/card/allergy.rs', find: 'if verification == Some("refuted") {', replace: 'if verification == Some("refuted as ever") {', test: lib('vitrine-clinical', 'card::derive::tests::allergy_states') },
  { rule: 'S2', what: 'what was refuted stands in the list of the allergies', file: SAFETY, find: "label, items: strip.items, refuted: strip.refuted,", replace: "label, items: [...strip.items, ...strip.refuted], refuted: [],", test: vitest('safety', 'allergyChange') },
  { rule: 'S2', what: 'a refuted allergy that stands again by what was recorded here is none until the server has it', file: 'src-tauri/engine/src/entry/allergy.rs', find: '        if standing.stands() {\n            let added', replace: '        if false {\n            let added', test: lib('vitrine-engine', 'entry::allergy::tests::a_refuted_one_that_stands_again') },

  // ---- S4: nothing is cut short ----
  { rule: 'S4', what: 'a name in a list is cut after twelve letters', file: TABLE, find: 'initialsOf(row.name) : row.name}</b>', replace: 'initialsOf(row.name) : row.name.slice(0, 12)}</b>', test: vitest('board') },
  { rule: 'S4', what: 'the name of a medicine ends in an ellipsis', file: 'ui/src/shared/Medicine.svelte', find: '  .part {\n', replace: '  .part {\n    text-overflow: ellipsis;\n', test: lint },
  { rule: 'S4', what: 'the name of a medicine is kept on one line and cut by its box', file: 'ui/src/shared/Medicine.svelte', find: '  .part {\n', replace: '  .part {\n    overflow: hidden;\n    white-space: nowrap;\n', test: { script: ['names.mjs', '--quick', '--size', '1024x768', 'chart-medicines'] } },

  // ---- S5: what is hidden is counted and named ----
  { rule: 'S5', what: 'a high-risk medicine below the edge is only counted', file: SAFETY, find: 'const risk = rows.filter((row) => row.risk)', replace: 'const risk = rows.slice(0, most).filter((row) => row.risk)', test: vitest('safety') },
  { rule: 'S5', what: 'what lies below the edge is not counted', file: SAFETY, find: 'if (rows.length === 0) return null;', replace: "if (rows.length === 0 || where === 'below') return null;", test: vitest('safety') },
  { rule: 'S5', what: 'a summary shows its first rows and does not say that there are more', file: 'ui/src/shared/Section.svelte', find: '{#if rows.length < shown.rows.length}', replace: '{#if false}', test: vitest('views') },
  { rule: 'S5', what: 'whom a filter of the board hides is not said', file: 'ui/src/views/board/Tools.svelte', find: '{#if hidden !== null}', replace: '{#if false}', test: vitest('board') },
  { rule: 'S5', what: 'a high-risk row is not marked for the bar', file: 'ui/src/shared/Medicine.svelte', find: "data-risk={named !== undefined && medicine.high_risk_text !== null ? '' : undefined}", replace: 'data-risk={undefined}', test: vitest('medicines') },
  { rule: 'S5', what: 'older values that only the record has are not counted', file: 'ui/src/domain/courses.ts', find: 'older: before.length + series.older,', replace: 'older: before.length,', test: vitest('courses') },

  // ---- S6: order and number are said ----
  { rule: 'S6', what: 'the board does not say its order and its number', file: 'ui/src/views/Board.svelte', find: '{board.summary_text}', replace: '', test: vitest('rules') },
  { rule: 'S6', what: 'a filter of the board names itself alone', file: 'ui/src/domain/board.ts', find: "return `${filterName(acuities)}: ${say(`${shown} of ${people(every)}`, `${shown} von ${every} Patienten`)}`;", replace: 'return filterName(acuities);', test: vitest('board') },
  { rule: 'S6', what: 'a filter of the laboratory is not announced', file: 'ui/src/views/chart/LabsBody.svelte', find: '{#if courses.flaggedOnly}\n', replace: '{#if false}\n', test: vitest('labs') },

  // ---- S7, S8: a banner, and every part of the same patient, or nothing ----
  { rule: 'S7', what: 'a banner without a name is a banner', file: SAFETY, find: " || banner.name.trim() === ''", replace: '', test: vitest('safety', 'rules') },
  { rule: 'S7', what: 'a chart without its banner', file: CHART, find: '      <Banner banner={chart.banner} />\n', replace: '', test: vitest('rules') },
  { rule: 'S7', what: 'an emergency card without its banner', file: CARD, find: '      <Banner banner={card.banner} />\n', replace: '', test: vitest('rules') },
  { rule: 'S8', what: 'the parts are not compared with who was asked for', file: SAFETY, find: 'return parts.every((part) => part.patient === asked);', replace: 'return true;', test: vitest('safety') },
  { rule: 'S8', what: 'the banner is not compared with who was asked for', file: SAFETY, find: ' || banner.patient !== asked', replace: '', test: vitest('safety') },
  { rule: 'S8', what: 'one part of a chart is left out of the comparison', file: SAFETY, find: '    chart.labs,\n', replace: '', test: vitest('safety') },
  { rule: 'S8', what: 'critical results of a chart are left out of the comparison', file: SAFETY, find: '    chart.critical,\n', replace: '', test: vitest('safety') },
  { rule: 'S8', what: 'a chart is shown without the comparison', file: APP, find: 'if (chartIsOf(asked, view)) this.#change', replace: 'if (true) this.#change', test: vitest('app', 'views') },
  { rule: 'S8', what: 'a late answer stands in the chart in front', file: APP, find: ' || this.front !== asked || turn < this.#answered', replace: '', test: vitest('charts') },
  { rule: 'S8', what: 'an emergency card is shown without the comparison', file: 'ui/src/state/emergency.ts', find: 'if (cardIsOf(asked, card)) {', replace: 'if (true) {', test: vitest('app') },
  { rule: 'S8', what: 'images are listed of whomever they are', file: 'ui/src/state/images.svelte.ts', find: 'if (list.patient === patient) [', replace: 'if (true) [', test: vitest('images') },
  { rule: 'S8', what: 'an entry is read before it is signed, of whomever it is', file: 'ui/src/state/entry.svelte.ts', find: 'if (preview.patient !== this.patient) {', replace: 'if (false) {', test: vitest('entry') },
  { rule: 'S8', what: 'pixels whose header names somebody else are shown', file: 'ui/src/state/port.svelte.ts', find: 'this.view?.mismatch_text != null && !this.uncovered', replace: 'false', test: vitest('views') },

  // ---- S10: abnormal by text and shape ----
  { rule: 'S10', what: 'a flag without its shape', file: 'ui/src/shared/Flag.svelte', find: "<Shape name={SHAPES[flag] ?? 'dot'} size={12} />", replace: '', test: vitest('views') },
  { rule: 'S10', what: 'a flag without its letters', file: 'ui/src/shared/Flag.svelte', find: '<span aria-hidden="true">{flag}</span>', replace: '', test: vitest('views') },
  { rule: 'S10', what: 'NEWS2 points without their words', file: 'ui/src/shared/Points.svelte', find: 'size={12} />{of.points_text}</span>', replace: 'size={12} /></span>', test: vitest('points') },
  { rule: 'S10', what: 'NEWS2 points of one shape', file: 'ui/src/shared/Points.svelte', find: "SHAPES[points] ?? 'ring'", replace: "'ring'", test: vitest('points') },
  { rule: 'S10', what: 'an abnormal value is a dot of another colour in a picture over time', file: 'ui/src/domain/plot.ts', find: "  switch (flag) {\n    case '':", replace: "  switch ('') {\n    case '':", test: vitest('plot') },

  // ---- S11: NEWS2 never from missing inputs ----
  { rule: 'S11', what: 'what a score lacks is not said', file: 'ui/src/shared/News2.svelte', find: '(news2.not_for_text ?? news2.lacking_text)', replace: 'news2.not_for_text', test: vitest('views') },
  { rule: 'S11', what: 'a score stays when an input has become too old', file: 'ui/src/shared/News2.svelte', find: 'const old = $derived(aged === news2);', replace: 'const old = $derived(false);', test: vitest('views') },
  { rule: 'S11', what: 'an input that does not count stands like one of no points', file: 'ui/src/views/chart/News2Detail.svelte', find: '{#if part.state_text === null}', replace: '{#if true}', test: vitest('views') },
  { rule: 'S11', what: 'a least score is said to be the score', file: 'shared/clinical/src/news2/mod.rs', find: '            format!("≥{}", self.least())', replace: '            self.least().to_string()', test: lib('vitrine-clinical', 'news2::tests') },
  { rule: 'S11', what: 'an input older than twelve hours counts', file: 'shared/clinical/src/news2/mod.rs', find: 'Some(_) if now.since(newest) > OLD_MS => State::Old,', replace: 'Some(_) if now.since(newest) > i64::MAX - 1 => State::Old,', test: lib('vitrine-clinical', 'news2::tests') },

  // ---- S12: units beside values, one unit in a series ----
  { rule: 'S12', what: 'a measured value without its unit', file: 'ui/src/shared/Measured.svelte', find: "{#if unit && measured.unit !== ''}", replace: '{#if false}', test: vitest('rules') },
  { rule: 'S12', what: 'a value in another unit stands in the row without its own', file: 'ui/src/shared/TimeTable.svelte', find: '{#if point.unit !== row.series.unit && point.withdrawn !== true}', replace: '{#if false}', test: vitest('labs', 'flowsheet') },
  { rule: 'S12', what: 'what changed is told between two units', file: 'ui/src/domain/courses.ts', find: ' || now.unit !== before.unit) return null;', replace: ') return null;', test: vitest('courses') },

  // ---- S14: free-text allergies are marked ----
  { rule: 'S14', what: 'an allergy in free text looks like one that is checked', file: ALLERGIES, find: '{#if !item.coded}<span class="tag">', replace: '{#if false}<span class="tag">', test: vitest('views') },

  // ---- S15: the strip cannot be dismissed, nor the line of what waits in a chart ----
  { rule: 'S15', what: 'a button takes the line of waiting critical results away', file: CRITICAL, find: '{:else if open !== null}<button type="button"', replace: '{:else if open !== null}<button type="button" onclick={(event) => event.currentTarget.closest(\'section\')?.remove()}>×</button><button type="button"', test: vitest('resultsScreen') },
  { rule: 'S15', what: 'what waits is said in the summary of a chart alone', file: CHART, find: '        critical={chart.critical}\n', replace: "        critical={app.section === 'summary' ? chart.critical : { ...chart.critical, waiting: [] }}\n", test: vitest('resultsScreen') },
  { rule: 'S15', what: 'the strip has a button that closes it', file: STRIP, find: '<button type="button" class="status" data-testid="strip-sync"', replace: '<button type="button" onclick={(event) => event.currentTarget.closest(\'.strips\')?.remove()}>×</button><button type="button" class="status" data-testid="strip-sync"', test: vitest('rules') },
  { rule: 'S15', what: 'the strip is away while all is live', file: STRIP, find: '<div class="strips" data-testid="status" data-age={words.age}>', replace: '<div class="strips" data-testid="status" data-age={words.age} hidden={words.age === \'live\'}>', test: vitest('rules') },
  { rule: 'S15', what: 'the strip is away over the emergency card', file: 'ui/src/App.svelte', find: '  <StatusStrip status', replace: '  {#if !cardOpen}<StatusStrip status', also: [['endDrill={() => void endDrill(app)} />', 'endDrill={() => void endDrill(app)} />{/if}']], test: vitest('rules') },
  { rule: 'S15', what: 'an engine that is silent is not said', file: SAFETY, find: 'if (silent) return', replace: 'if (false) return', test: vitest('safety') },

  // ---- S16: where an entry is on its way ----
  { rule: 'S16', what: 'every state of an entry has the same shape', file: 'ui/src/shared/EntryBadge.svelte', find: "{ queued: 'square', sent: 'half', accepted: 'check', rejected: 'stop' }", replace: "{ queued: 'check', sent: 'check', accepted: 'check', rejected: 'check' }", test: vitest('entryScreen') },
  { rule: 'S16', what: 'the words of a state are left out', file: 'ui/src/shared/EntryBadge.svelte', find: '<span>{said(text, ENTRY_WORDS[state])}</span>', replace: '', test: vitest('entryScreen') },

  // ---- S17: drafts survive and are their author's alone ----
  { rule: 'S17', what: 'what is typed is not kept while it is written', file: 'ui/src/state/entryDraft.svelte.ts', find: '    this.#timer ??= setTimeout(() => void this.keep(), KEEP_EVERY_MS);\n', replace: '', test: vitest('entry') },
  { rule: 'S17', what: 'vital signs that were typed are lost with the lock', file: 'ui/src/state/entry.svelte.ts', find: "kind === 'vitals' || kind === 'allergy' || kind === 'note'", replace: "kind === 'note'", test: vitest('entry') },
  { rule: 'S17', what: 'a draft that could not be read is written over', file: 'ui/src/state/entryDraft.svelte.ts', find: "this.#earlier = draft === null ? 'known' : 'held';", replace: "this.#earlier = 'known';", test: vitest('entry') },
  { rule: 'S17', what: 'a draft that could not be kept is said to be', file: 'ui/src/state/entryDraft.svelte.ts', find: '        this.error = errorOf(null, WORDS.draftNotKept(errorOf(thrown, WORDS.notAnswered).text));\n', replace: '        this.#kept = typed;\n', test: vitest('entry') },

  // ---- S18: the lock hides everything ----
  { rule: 'S18', what: 'open charts stay behind the lock', file: APP, find: '    this.open = [];\n', replace: '', test: vitest('app', 'charts') },
  { rule: 'S18', what: 'the screen is cleared once the engine has answered', file: APP, find: '    const kept = this.hideEverything();\n    const locked = () => this.quietly(() => this.backend.lock(idle)).then(() => this.readLock());', replace: '    const kept = null as Promise<void> | null;\n    const locked = () => this.quietly(() => this.backend.lock(idle)).then(() => void this.hideEverything()).then(() => this.readLock());', test: vitest('app') },
  { rule: 'S18', what: 'a sign-in that is answered after the lock opens the screen', file: APP, find: "      if (epoch !== this.#epoch) return;\n      this.session = this.#asTold(session);\n", replace: '      this.session = this.#asTold(session);\n', test: vitest('app') },
  { rule: 'S18', what: 'pictures and measurements stay behind the lock', file: APP, find: '    for (const images of [this.#noImages, ...this.#shelf.values()]) images.clear();\n', replace: '', test: vitest('images') },
  { rule: 'S18', what: 'the title of the window names the patient', file: 'ui/src/views/Chart.svelte', find: "  const error = $derived(app.chart?.error ?? null);\n", replace: "  const error = $derived(app.chart?.error ?? null);\n  $effect(() => void (document.title = chart?.banner.name ?? 'Vitrine'));\n", test: lint },

  // ---- S19: broken glass is framed ----
  { rule: 'S19', what: 'a chart open by breaking the glass has no frame', file: CHART, find: ' class:broken-glass={chart?.break_glass_text != null}', replace: '', test: vitest('views') },
  { rule: 'S19', what: 'nor the words above it', file: CHART, find: '{#if chart.break_glass_text !== null}', replace: '{#if false}', test: vitest('views') },
  { rule: 'S19', what: 'the emergency card does not say what it was opened under', file: CARD, find: '{card.frame_text}', replace: '', test: vitest('rules') },

  // ---- S20: corrections are shown as such ----
  { rule: 'S20', what: 'a corrected value stands alone', file: 'ui/src/shared/Earlier.svelte', find: '{#each earlier ?? [] as', replace: '{#each (earlier ?? []).slice(0, 0) as', test: vitest('labs') },
  { rule: 'S20', what: 'until when the old value stood, and why it does not, is left out', file: 'ui/src/shared/Earlier.svelte', find: '{#if !brief}{\' \'}<span class="why">', replace: '{#if false}{\' \'}<span class="why">', test: vitest('labs') },
  { rule: 'S20', what: 'that a value was corrected is not said in a table', file: 'ui/src/shared/TimeTable.svelte', find: '{#if point.status_text !== null}<span class="status">', replace: '{#if false}<span class="status">', test: vitest('labs', 'flowsheet') },
  { rule: 'S20', what: 'a value that was withdrawn leaves no trace', file: 'shared/clinical/src/summary/earlier.rs', find: '                None => NOT_HERE.to_owned(),', replace: '                None => continue,', test: lib('vitrine-clinical', 's20_') },
  { rule: 'S20', what: 'the reason of a correction is lost', file: 'shared/clinical/src/summary/earlier.rs', find: '(!reason.is_empty()).then(|| reason.join(" "))', replace: 'None', test: lib('vitrine-clinical', 's20_') },

  // ---- S21: quality of images is said ----
  { rule: 'S21', what: 'a preview is taken for the whole', file: 'ui/src/viewer/quality.ts', find: 'if (pixels.layer < WHOLE) {', replace: 'if (false) {', test: vitest('viewer') },
  { rule: 'S21', what: 'pixels that were not verified are called exact', file: 'ui/src/viewer/quality.ts', find: 'if (!pixels.exact) return', replace: 'if (false) return', test: vitest('viewer') },
  { rule: 'S21', what: 'that the source is lossy is not said', file: 'ui/src/viewer/quality.ts', find: 'if (lossy !== null) return', replace: 'if (false) return', test: vitest('viewer') },
  { rule: 'S21', what: 'what the picture is not for is left out', file: 'ui/src/views/images/Viewport.svelte', find: '<span>{WORDS.notPrimary}</span>', replace: '', test: vitest('views') },

  // ---- S22, S23: times ----
  { rule: 'S22', what: 'columns of two days stand under one date', file: 'ui/src/domain/courses.ts', find: 'if (before !== undefined && before.date === date) before.count++;', replace: 'if (before !== undefined) before.count++;', test: vitest('courses') },
  { rule: 'S22', what: 'a time stands without its date', file: 'shared/clinical/src/format/mod.rs', find: '    format!("{} {}", date(at, offset_minutes), time(at, offset_minutes))', replace: '    time(at, offset_minutes)', test: lib('vitrine-clinical', 'format::tests') },
  { rule: 'S22', what: 'the clock has twelve hours', file: 'shared/clinical/src/format/mod.rs', find: '    format!("{:02}:{:02}", c.hour, c.minute)', replace: '    format!("{:02}:{:02}", c.hour % 12, c.minute)', test: lib('vitrine-clinical', 'format::') },
  { rule: 'S23', what: 'the words that tell two hours apart are cut off the axis', file: 'ui/src/domain/plot.ts', find: 'const x = xOf(frame, tick.at_ms);', replace: 'tick = { ...tick, text: tick.text.slice(0, 5) };\n    const x = xOf(frame, tick.at_ms);', test: vitest('plot') },
  { rule: 'S23', what: 'both hours of the one that comes twice are written alike', file: 'shared/clinical/src/format/zone.rs', find: '        None => return text,', replace: '        _ if at.0 != i64::MAX => return text,\n        None => return text,', test: lib('vitrine-clinical', 'format::zone') },

  // ---- S24, S25: who is alike, who died ----
  { rule: 'S24', what: 'names that are alike are not marked in a list', file: TABLE, find: '{#if row.similar_name}', replace: '{#if false}', test: vitest('rules') },
  { rule: 'S24', what: 'nor on the tabs of open charts', file: 'ui/src/shared/ChartTabs.svelte', find: '{#if chart.who?.similar}', replace: '{#if false}', test: vitest('charts') },
  { rule: 'S25', what: 'the banner of somebody who died has no pattern', file: 'ui/src/shared/Banner.svelte', find: ' class:deceased={banner.deceased_text !== null}', replace: '', test: vitest('rules') },
  { rule: 'S25', what: 'that somebody died is not said in the banner', file: 'ui/src/shared/Banner.svelte', find: '{#if banner.deceased_text !== null}', replace: '{#if false}', test: vitest('rules') },
  { rule: 'S25', what: 'the row of somebody who died has no pattern', file: TABLE, find: '        class:hatched={row.deceased_text !== null}\n', replace: '', test: vitest('rules') },

  // ---- S26: nothing clinical in what goes away by itself ----
  { rule: 'S26', what: 'a notice goes away after five seconds', file: 'ui/src/shared/Notice.svelte', find: "<div class=\"notice {tone}\"", replace: "{#if !gone}<div class=\"notice {tone}\"", also: [['}: Props = $props();\n', '}: Props = $props();\n  let gone = $state(false);\n  $effect(() => {\n    const timer = setTimeout(() => (gone = true), 5000);\n    return () => clearTimeout(timer);\n  });\n'], ['    {#if children}<div class="more">{@render children()}</div>{/if}\n  </div>\n</div>', '    {#if children}<div class="more">{@render children()}</div>{/if}\n  </div>\n</div>{/if}']], test: vitest('rules') },
  { rule: 'S26', what: 'what a scanned code came to goes away after five seconds', file: 'ui/src/views/ScanNotice.svelte', find: '    button?.focus();\n', replace: '    button?.focus();\n    setTimeout(close, 5000);\n', test: vitest('rules') },
  { rule: 'S26', what: 'a timer takes something off the screen', file: 'ui/src/views/ScanNotice.svelte', find: '    button?.focus();\n', replace: '    button?.focus();\n    setTimeout(close, 5000);\n', test: lint },

  // ---- S27: nothing is chosen beforehand ----
  { rule: 'S27', what: 'the first reason for breaking the glass is chosen beforehand', file: 'ui/src/state/breakGlass.svelte.ts', find: '      this.reasons = asked.reasons;\n', replace: '      this.reasons = asked.reasons;\n      this.reason = this.reasons[0] ?? null;\n', test: vitest('app') },
  { rule: 'S27', what: 'the newest time of wrong vital signs is chosen beforehand', file: 'ui/src/state/recording.svelte.ts', find: ': this.#app.courses.at);', replace: ': (wrongs[0]?.at_ms ?? null));', test: vitest('wrongVitals') },
  { rule: 'S27', what: 'printing has the focus', file: 'ui/src/views/PacketPrint.svelte', find: '$effect(() => close?.focus());', replace: "$effect(() => close?.parentElement?.querySelector('button')?.focus());", test: vitest('packet') },
  { rule: 'S27', what: 'closing the first chart has the focus', file: 'ui/src/views/FifthChart.svelte', find: '$effect(() => none?.focus());', replace: "$effect(() => none?.closest('.dialog')?.querySelector<HTMLElement>('[data-testid=make-room]')?.focus());", test: vitest('charts') },
  { rule: 'S27', what: 'discarding what was typed has the focus', file: 'ui/src/views/entry/Leave.svelte', find: '<button type="button" data-focus data-testid="keep-typing"', replace: '<button type="button" data-testid="keep-typing"', also: [['<button type="button" data-testid="discard"', '<button type="button" data-focus data-testid="discard"']], test: vitest('entryScreen') },
  { rule: 'S27', what: 'what is done about a critical result is chosen beforehand', file: 'ui/src/state/entryFields.svelte.ts', find: "  answer = $state('');", replace: "  answer = $state('acting');", test: vitest('resultsScreen') },
  { rule: 'S27', what: 'how a changed allergy stands is chosen beforehand', file: 'ui/src/state/entryFields.svelte.ts', find: "(dispute?.[side].standing ?? '') : '';", replace: "(dispute?.[side].standing ?? '') : 'confirmed';", test: vitest('allergyChange') },

  // ---- S28: text from outside stays text ----
  { rule: 'S28', what: 'a name is set as markup', file: 'ui/src/shared/Banner.svelte', find: '<h1 data-testid="banner-name">{banner.name}</h1>', replace: '<h1 data-testid="banner-name">{@html banner.name}</h1>', test: vitest('views') },
  { rule: 'S28', what: 'a note is set as markup around what was found in it', file: 'ui/src/views/chart/Notes.svelte', find: '{#if part.match === null}{part.text}{:else}', replace: '{#if part.match === null}{@html part.text}{:else}', test: vitest('notes') },
  { rule: 'S28', what: 'a value of the laboratory is set as markup', file: 'ui/src/shared/TimeTable.svelte', find: '{#if number === null}{point.value}{:else}', replace: '{#if number === null}{@html point.value}{:else}', test: vitest('labs', 'flowsheet') },
  { rule: 'S28', what: 'markup is used at all', file: 'ui/src/shared/Banner.svelte', find: '<p class="place">{banner.place_text}</p>', replace: '<p class="place">{@html banner.place_text}</p>', test: lint },
  { rule: 'S28', what: 'a place is set as markup in the banner', file: 'ui/src/shared/Banner.svelte', find: '<p class="place">{banner.place_text}</p>', replace: '<p class="place">{@html banner.place_text}</p>', test: { script: ['payloads.mjs', '--every', '4', 'chart-encounters'] } },

  // ---- S29: what is printed ----
  { rule: 'S29', what: 'that the pages are counted and destroyed is not said', file: 'ui/src/views/PacketPrint.svelte', find: "        <p>{say('Count the pages: each says which of how many it is. Destroy them after the downtime.', 'Zählen Sie die Seiten: Auf jeder steht, die wievielte von wie vielen sie ist. Vernichten Sie sie nach dem Ausfall.')}</p>\n", replace: '', test: vitest('packet') },
  { rule: 'S29', what: 'a packet is printed twice', file: 'ui/src/state/packet.svelte.ts', find: 'if (this.printing || this.done !== null) return;', replace: 'if (this.printing) return;', test: vitest('packet') },
  { rule: 'S29', what: 'a page does not say that it is destroyed after the downtime', file: 'src-tauri/paper/src/flow.rs', find: 'strong(word!("Destroy after downtime. ", "Nach dem Ausfall vernichten. "))', replace: 'strong("")', test: lib('vitrine-paper', 's29_') },
  { rule: 'S29', what: 'a page does not say how old its data are', file: 'src-tauri/paper/src/flow.rs', find: 'own(self.age)', replace: 'own("")', test: lib('vitrine-paper', 's29_') },
  { rule: 'S29', what: 'a page says its number, and not of how many', file: 'src-tauri/paper/src/flow.rs', find: '"{part}page {n} of {of}"', replace: '"{part}page {n}"', test: lib('vitrine-paper', 's29_') },
  { rule: 'S29', what: 'the second page of a patient does not say whose it is', file: 'src-tauri/paper/src/flow.rs', find: '            marks: self.head.clone(),', replace: '            marks: Vec::new(),', test: lib('vitrine-paper', 's29_') },

  // ---- S30: what breaks says "treat as unknown" ----
  { rule: 'S30', what: 'a section that breaks is missing', file: 'ui/src/shared/Section.svelte', find: '      <Notice text={WORDS.broken(what)} testid="broken">\n        <button type="button" onclick={reset}>{say(\'Try again\', \'Erneut versuchen\')}</button>\n      </Notice>\n', replace: '      <span hidden>{reset}</span>\n', test: vitest('views') },
  { rule: 'S30', what: 'allergies that break are missing', file: ALLERGIES, find: '<p class="state"><Shape name="stop" size={20} /><span>{WORDS.broken(say(\'allergies\', \'Allergien\'))}</span></p>', replace: '', test: vitest('views') },
  { rule: 'S30', what: 'what broke does not say "treat as unknown"', file: 'ui/src/i18n/words.ts', find: 'say(`Could not show ${what} — treat as unknown`', replace: 'say(`Could not show ${what}`', test: vitest('views') },
];
