//! The chart summary: from the full record where it is here, else from the essentials, and it says which.

use super::blocks::Words;
use super::card_view::essentials;
use super::news2::Marks;
use super::series::{Named, VITAL_VALUES};
use super::{codes, when};
use crate::critical;
use crate::entry::{self, Pending};
use std::collections::{BTreeMap, BTreeSet};
use vitrine_clinical::card::{CardFact, EmergencyCard, MeasuredItem};
use vitrine_clinical::summary::{ChartSummary, EncounterItem, MeasuredSeries, Note, chart_summary};
use vitrine_clinical::{say, word};
use vitrine_store_sqlcipher::workstation::{CachedRecord, RecordRow};
use vitrine_wire::entry_view::DraftHintView;
use vitrine_wire::series_view::FlowsheetView;
use vitrine_wire::view::{
    BlockView, BrokenGlassView, ChartView, LineView, MeasuredView, MedicationView, NoteView, SectionAge,
};

/// From so many resources on, reading them is shared by the cores.
const SHARE: usize = 4_000;
/// Values of one test that are shown.
const LAB_VALUES: usize = 60;

/// What stands around the chart.
pub(crate) struct Frame {
    pub(crate) access_id: String,
    pub(crate) break_glass_text: Option<String>,
    pub(crate) broken: Option<BrokenGlassView>,
    pub(crate) essentials_age: SectionAge,
    pub(crate) record_age: SectionAge,
    pub(crate) loading_text: Option<String>,
    /// Critical results that somebody took up at this workstation ([`critical::taken_up_here`]).
    pub(crate) taken_up: BTreeMap<String, u64>,
    /// The ward of this workstation, whose results inbox opens here.
    pub(crate) ward: String,
    /// Recorded here about this patient; `None` = that cannot be read.
    pub(crate) pending: Option<Vec<Pending>>,
    /// What this person began to record here and did not sign.
    pub(crate) drafts: Vec<DraftHintView>,
    /// Whether this person may record here for this patient, and what would allow it.
    pub(crate) may_record: (bool, Option<String>),
}

/// The typed views of a record's resources; what cannot be read counts as unreadable of its type.
pub(crate) fn facts(rows: &[RecordRow], unreadable: &mut Vec<String>) -> Vec<CardFact> {
    let by_key: std::collections::BTreeMap<String, &RecordRow> = rows
        .iter()
        .filter(|r| {
            matches!(
                r.key.kind.as_str(),
                "Medication" | "Practitioner" | "Location" | "Organization" | "Device"
            )
        })
        .map(|r| (r.key.to_string(), r))
        .collect();
    let read = |part: &[RecordRow]| {
        let (mut out, mut bad) = (Vec::with_capacity(part.len()), BTreeSet::new());
        for row in part {
            let mut lookup = |key: &str| by_key.get(key).map(|r| r.body.clone());
            match vitrine_fhir::read(row.key.kind.as_str(), &row.body, &mut lookup) {
                Ok(resource) => out.push(CardFact {
                    key: row.key.clone(),
                    version: row.version,
                    resource,
                }),
                Err(_) => {
                    bad.insert(row.key.kind.to_string());
                }
            }
        }
        (out, bad)
    };
    if rows.len() < SHARE {
        let (out, bad) = read(rows);
        unreadable.extend(bad);
        return out;
    }
    // A record of a hundred thousand resources is read by every core.
    let threads = std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .min(8);
    std::thread::scope(|s| {
        let parts: Vec<_> = rows
            .chunks(rows.len().div_ceil(threads))
            .map(|part| s.spawn(move || read(part)))
            .collect();
        let mut out = Vec::with_capacity(rows.len());
        for part in parts {
            match part.join() {
                Ok((facts, bad)) => {
                    out.extend(facts);
                    unreadable.extend(bad);
                }
                // A panic while reading: nothing is shown as complete.
                Err(_) => unreadable.extend(
                    rows.iter()
                        .map(|r| r.key.kind.to_string())
                        .collect::<BTreeSet<_>>(),
                ),
            }
        }
        out
    })
}

/// A chart, and what of it can be marked as wrong.
pub(crate) struct Shown {
    pub(crate) view: ChartView,
    pub(crate) vitals: entry::vitals::Shown,
}

/// The chart of a patient.
pub(crate) fn chart_view(
    w: &Words<'_>,
    card: Option<&EmergencyCard>,
    record: Option<&CachedRecord>,
    frame: Frame,
) -> Shown {
    let card = card.filter(|c| c.patient == *w.patient);
    let mut unreadable = record.map(|r| r.unreadable.clone()).unwrap_or_default();
    let facts = record.map(|r| facts(&r.rows, &mut unreadable));
    let summary = facts.as_deref().map(chart_summary);
    let bad = |kinds: &[&str]| kinds.iter().any(|k| unreadable.iter().any(|u| u == k));
    let (banner, mut allergies) = match card {
        Some(c) => (w.banner(c), w.allergies(&c.allergies)),
        None => (w.bare_banner(), w.allergies_unavailable()),
    };
    let (essentials_at, record_at) = (frame.essentials_age.as_of_ms, frame.record_age.as_of_ms);
    let pending = frame.pending.as_deref().unwrap_or_default();
    let keys: BTreeSet<String> = match record {
        Some(r) if !pending.is_empty() => r.rows.iter().map(|row| row.key.to_string()).collect(),
        _ => BTreeSet::new(),
    };
    let on_card = |key: &str| entry::on_card(card, key);
    let unseen: Vec<Pending> = pending
        .iter()
        .filter(|p| !p.is_in(essentials_at, &on_card))
        .cloned()
        .collect();
    entry::onto_strip(&mut allergies, &unseen, w);
    if frame.pending.is_none() {
        entry::unread_onto_strip(&mut allergies);
    }
    let is_here = |p: &Pending| match record {
        Some(_) => p.is_in(record_at, &|key| keys.contains(key)),
        None => p.is_in(essentials_at, &on_card),
    };
    let entries = pending
        .iter()
        .filter(|p| !is_here(p))
        // What is refused is settled on the list, where all of it stands.
        .map(|p| p.view(w, None, false))
        .collect();
    let vitals = match (&facts, &summary) {
        (Some(facts), Some(s)) => entry::vitals::shown(facts, &s.vitals, VITAL_VALUES),
        _ => entry::vitals::Shown::new(),
    };
    // A pregnancy may stand in what cannot be read: then only the essentials are asked.
    let scored = summary.as_ref().filter(|_| !bad(&["Observation", "Condition"]));
    let named = Named {
        marks: entry::vitals::marks(pending.iter().filter(|p| !is_here(p)), w),
        vitals: &vitals,
        points: Marks::new(card, scored.map(|s| &s.news2), w.clock),
    };
    let code_status = match card {
        Some(c) => w.of_block(&c.code_status, essentials(), |s| w.statement(s)),
        None => w.unavailable(),
    };
    let mut view = ChartView {
        access_id: frame.access_id,
        break_glass_text: frame.break_glass_text,
        broken: frame.broken,
        banner,
        allergies,
        critical: critical::of_chart(w, card, &frame.taken_up, &frame.ward),
        essentials_age: frame.essentials_age,
        record_age: frame.record_age,
        medications: w.unavailable(),
        past_medications: w.unavailable(),
        conditions: w.unavailable(),
        code_status,
        vitals: w.unavailable(),
        news2: w.unavailable(),
        flowsheet: FlowsheetView {
            now_ms: w.clock.now().0,
            hours: w.hours(),
            series: w.unavailable(),
        },
        labs: w.unavailable(),
        notes: w.unavailable(),
        encounters: w.unavailable(),
        entries,
        drafts: frame.drafts,
        may_record: frame.may_record.0,
        record_refused_text: frame.may_record.1,
        resources: record.map_or(0, |r| u32::try_from(r.rows.len()).unwrap_or(u32::MAX)),
        loading_text: frame.loading_text,
        withheld_text: None,
    };
    // Who it is comes from the essentials: without them nobody is scored.
    if let Some(card) = card {
        let looked_at = scored.map_or_else(essentials, |_| full_record());
        view.news2 = w.news2(card, scored.map(|s| &s.news2), looked_at);
    }
    match (&summary, card) {
        (Some(s), _) => from_record(w, &mut view, s, card, &named, &bad),
        (None, Some(c)) => from_card(w, &mut view, c, &named.points),
        (None, None) => {}
    }
    Shown { view, vitals }
}

fn full_record() -> &'static str {
    word!(
        "full record on this workstation",
        "vollständige Akte an diesem Arbeitsplatz"
    )
}

fn from_record(
    w: &Words<'_>,
    view: &mut ChartView,
    s: &ChartSummary,
    card: Option<&EmergencyCard>,
    named: &Named<'_>,
    bad: &dyn Fn(&[&str]) -> bool,
) {
    let looked_at = full_record();
    let medicines = [
        "MedicationRequest",
        "MedicationStatement",
        "MedicationAdministration",
        "Medication",
    ];
    if !bad(&medicines) {
        // A medicine named only by a reference outside the record has its name in the essentials.
        let named = |m: &vitrine_clinical::card::MedicationItem| {
            let known = card.and_then(|c| {
                c.medications
                    .items
                    .iter()
                    .chain(&c.recently_stopped)
                    .find(|k| k.source == m.source)
            });
            w.medication(known.unwrap_or(m))
        };
        view.medications = w.block(s.current_medications.iter().map(named).collect(), None, looked_at);
        view.past_medications = w.block(s.past_medications.iter().map(named).collect(), None, looked_at);
    }
    if !bad(&["Condition"]) {
        view.conditions = w.block(
            s.active_conditions.iter().map(|c| w.condition(c)).collect(),
            None,
            looked_at,
        );
    }
    if !bad(&["Observation"]) {
        let newest = || s.vitals.iter().filter_map(|v| Some((v, v.values.first()?)));
        let as_of = newest().filter_map(|(_, m)| m.at).max();
        let with_earlier = |(series, m): (&MeasuredSeries, &MeasuredItem)| MeasuredView {
            earlier: w.earlier_of(series, m),
            ..named.measured(w, m)
        };
        view.vitals = w.block(newest().map(with_earlier).collect(), as_of, looked_at);
        view.flowsheet.series = w.block(w.flowsheet(&s.vitals, named), as_of, looked_at);
        let as_of = s.labs.iter().filter_map(|l| l.values.first()?.at).max();
        view.labs = w.block(
            s.labs.iter().map(|l| w.series(l, LAB_VALUES)).collect(),
            as_of,
            looked_at,
        );
    }
    if !bad(&["DocumentReference", "DiagnosticReport"]) {
        view.notes = w.block(
            s.notes.iter().map(|n| note(w, n)).collect(),
            s.notes.first().and_then(|n| n.at),
            looked_at,
        );
    }
    if !bad(&["Encounter"]) {
        view.encounters = w.block(
            s.encounters.iter().map(|e| encounter(w, e)).collect(),
            None,
            looked_at,
        );
    }
}

fn from_card(w: &Words<'_>, view: &mut ChartView, c: &EmergencyCard, points: &Marks<'_>) {
    let looked_at = essentials();
    view.medications = w.of_block(&c.medications, looked_at, |m| w.medication(m));
    view.conditions = w.of_block(&c.conditions, looked_at, |m| w.condition(m));
    view.vitals = w.of_block(&c.vitals, looked_at, |m| points.on(w.measured(m), m));
    view.labs = w.of_block(&c.labs, looked_at, |m| w.single(m));
    view.flowsheet.series = w.of_block(&c.vitals, looked_at, |m| points.on_single(w.single(m), m));
    let elsewhere = |block: &mut String| {
        word!(
            "The full record is not on this workstation",
            "Die vollständige Akte ist nicht an diesem Arbeitsplatz"
        )
        .clone_into(block);
    };
    let past: &mut BlockView<MedicationView> = &mut view.past_medications;
    elsewhere(&mut past.empty_text);
    elsewhere(&mut view.notes.empty_text);
    elsewhere(&mut view.encounters.empty_text);
}

fn note(w: &Words<'_>, n: &Note) -> NoteView {
    let mut detail: Vec<String> =
        n.at.map(|at| w.date_time(at))
            .into_iter()
            .chain(n.by.clone())
            .collect();
    detail.extend(
        // The screen knows these words where they stand between commas: `domain/noteStatus.ts`.
        n.status
            .as_deref()
            .filter(|s| !matches!(*s, "current" | "final"))
            .map(|s| codes::status(s).to_owned()),
    );
    detail.extend(n.attachments.iter().map(|a| {
        say!(
            "attached, not shown here: {a}",
            "Anhang, hier nicht angezeigt: {a}"
        )
    }));
    NoteView {
        title: n.title.clone(),
        detail_text: detail.join(", "),
        text: n.text.clone(),
        at_ms: n.at.map(|at| at.0),
        at_year: n.at.map(|at| when::year(at, w.clock)),
    }
}

fn encounter(w: &Words<'_>, e: &EncounterItem) -> LineView {
    let day = |d: &vitrine_clinical::chart::PartialDate| w.partial(d.as_str());
    let when = match (&e.start, &e.end) {
        (Some(s), Some(t)) => Some(say!("{s} to {t}", "{s} bis {t}", s = day(s), t = day(t))),
        (Some(s), None) => Some(say!("since {s}", "seit {s}", s = day(s))),
        (None, Some(t)) => Some(say!("until {t}", "bis {t}", t = day(t))),
        (None, None) => None,
    };
    let parts = [
        when,
        e.place.clone(),
        e.reason.clone(),
        Some(e.status.as_str())
            .filter(|s| *s != "finished")
            .map(|s| codes::status(s).to_owned()),
    ];
    let detail = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    // By its begin; where that is not recorded, its end is all that is known of when.
    let at = [&e.start, &e.end]
        .into_iter()
        .flatten()
        .find_map(|d| when::first(d, w.clock));
    LineView {
        text: e.title.clone(),
        detail_text: (!detail.is_empty()).then_some(detail),
        at_ms: at.map(|at| at.0),
        at_year: at.map(|at| when::year(at, w.clock)),
    }
}

#[cfg(test)]
mod tests;
