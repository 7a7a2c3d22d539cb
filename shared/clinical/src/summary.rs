//! The chart: a patient's whole record in the groups the workstation shows, from the same facts as the card but
//! unbounded. Pure; never a decision about who may see it (that is `access`).
//! Called by the workstation engine when it builds the chart's views.

use crate::card::condition::{self, Stand};
use crate::card::medication::{self, Course};
use crate::card::{CardFact, ConditionItem, MeasuredItem, MedicationItem, measured, place};
use crate::chart::{
    Attachment, Concept, DiagnosticReport, DocumentReference, Encounter, Immunization, Observation,
    PartialDate, Procedure, Ref, Resource,
};
use crate::entry::SaidValue;
use crate::language::{Language, speaking};
use crate::news2::{self, Basis};
use crate::{ResourceKey, UtcMs, say, word};
use earlier::Corrections;
pub use earlier::{Earlier, NOT_HERE, corrects};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

mod earlier;

/// One laboratory test or vital sign over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredSeries {
    /// Stable key of the series: the card's label for known vitals and labs, else system and code, else the words.
    pub key: String,
    /// Name for showing, e.g. "HR", "Cholesterol".
    pub label: String,
    /// Unit of the newest value.
    pub unit: Option<String>,
    /// Values, newest first; empty only where all of them were withdrawn.
    pub values: Vec<MeasuredItem>,
    /// What was shown before and was corrected or withdrawn, the newest correction first.
    pub earlier: Vec<Earlier>,
}

/// A past problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedCondition {
    /// The problem.
    pub item: ConditionItem,
    /// When it ended, as partial as the record has it.
    pub ended: Option<String>,
}

/// A note or report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// Title or type.
    pub title: String,
    /// When made.
    pub at: Option<UtcMs>,
    /// By whom.
    pub by: Option<String>,
    /// `current`, `superseded`, `final`, `preliminary`, …
    pub status: Option<String>,
    /// The text, where the record holds it inline as plain text or as a conclusion.
    pub text: Option<String>,
    /// What is attached in another form (type and title), said in words because it cannot be shown here.
    pub attachments: Vec<String>,
}

/// An encounter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncounterItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// Type or class in words.
    pub title: String,
    /// `EMER`, `IMP`, …
    pub class: Option<String>,
    /// Status as recorded.
    pub status: String,
    /// Begin.
    pub start: Option<PartialDate>,
    /// End.
    pub end: Option<PartialDate>,
    /// Reason.
    pub reason: Option<String>,
    /// Place, innermost first, e.g. "Bed 4, ICU".
    pub place: Option<String>,
}

/// A procedure or immunisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// What.
    pub title: String,
    /// Status as recorded.
    pub status: String,
    /// When, as partial as recorded.
    pub when: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// Further words: site, lot, reason.
    pub details: Vec<String>,
}

/// The chart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChartSummary {
    /// Current medicines, high-risk first, then by name.
    pub current_medications: Vec<MedicationItem>,
    /// Past medicines, newest first.
    pub past_medications: Vec<MedicationItem>,
    /// Active problems.
    pub active_conditions: Vec<ConditionItem>,
    /// Past problems, newest first.
    pub resolved_conditions: Vec<ResolvedCondition>,
    /// Laboratory series, the key ones first, then by label.
    pub labs: Vec<MeasuredSeries>,
    /// Vital-sign series in the order of the card.
    pub vitals: Vec<MeasuredSeries>,
    /// Other observations (social history, surveys, examinations).
    pub other_observations: Vec<MeasuredSeries>,
    /// Notes and reports, newest first.
    pub notes: Vec<Note>,
    /// Encounters, newest first.
    pub encounters: Vec<EncounterItem>,
    /// Immunisations, newest first.
    pub immunizations: Vec<ActItem>,
    /// Procedures, newest first.
    pub procedures: Vec<ActItem>,
    /// Usual practitioners.
    pub practitioners: Vec<Ref>,
    /// What NEWS2 needs, all of it.
    pub news2: Basis,
}

/// Shown where the record does not name a thing. A chart is made when it is shown and never kept.
fn not_named() -> &'static str {
    word!("Not named in the record", "In der Akte nicht benannt")
}

/// Groups the facts. Left out are entries marked entered in error, results that were cancelled or are only registered,
/// orders that were never in force (drafts, proposals, cancelled) and statements of absence, which the card carries.
#[must_use]
pub fn chart_summary(facts: &[CardFact]) -> ChartSummary {
    let mut newest: BTreeMap<&ResourceKey, &CardFact> = BTreeMap::new();
    for fact in facts {
        let held = newest.entry(&fact.key).or_insert(fact);
        if fact.version > held.version {
            *held = fact;
        }
    }
    let facts: Vec<&CardFact> = newest.into_values().collect();
    let mut chart = ChartSummary::default();
    let mut past: Vec<(Option<i64>, MedicationItem)> = Vec::new();
    let mut resolved: Vec<(Option<i64>, ResolvedCondition)> = Vec::new();
    let mut series = SeriesBuilder::default();
    let mut corrections = Corrections::default();
    for fact in &facts {
        match &fact.resource {
            Resource::MedicationRequest(_) | Resource::MedicationStatement(_) => {
                match medication::course(&fact.resource) {
                    Some(Course::Current) => chart.current_medications.extend(medication::item(fact)),
                    Some(Course::Ended(end)) => past.extend(medication::item(fact).map(|i| (end, i))),
                    _ => {}
                }
            }
            Resource::Condition(c) if condition::stand(c) == Stand::Past => {
                let ended = c.abatement.as_ref();
                let order = ended
                    .and_then(|d| d.order_ms())
                    .or_else(|| fact.resource.stated_ms());
                let ended = ended
                    .map(|d| d.as_str().to_owned())
                    .or_else(|| c.abatement_text.clone());
                resolved.push((
                    order,
                    ResolvedCondition {
                        item: condition::item(fact, c),
                        ended,
                    },
                ));
            }
            Resource::Observation(o) if measured::is_usable(o) => series.add(fact, o),
            Resource::Provenance(p) => corrections.add(p),
            Resource::DiagnosticReport(r) => chart.notes.extend(report_note(fact, r)),
            Resource::DocumentReference(d) => chart.notes.extend(document_note(fact, d)),
            Resource::Encounter(e) => chart.encounters.extend(encounter_item(fact, e)),
            Resource::Immunization(i) => chart.immunizations.extend(immunization_item(fact, i)),
            Resource::Procedure(p) => chart.procedures.extend(procedure_item(fact, p)),
            Resource::Patient(p) => chart
                .practitioners
                .extend(p.general_practitioners.iter().cloned()),
            _ => {}
        }
    }
    medication::sort(&mut chart.current_medications);
    chart.active_conditions = condition::active(&facts)
        .into_iter()
        .map(|(f, c)| condition::item(f, c))
        .collect();
    past.sort_by_cached_key(|(end, i)| (Reverse(*end), i.name.to_lowercase(), i.source.clone()));
    chart.past_medications = past.into_iter().map(|(_, i)| i).collect();
    resolved.sort_by_cached_key(|(order, r)| (Reverse(*order), r.item.source.clone()));
    chart.resolved_conditions = resolved.into_iter().map(|(_, r)| r).collect();
    chart.news2 = news2::basis(&facts);
    series.finish(&mut chart, corrections, &facts);
    let begun = |e: &EncounterItem| e.start.as_ref().and_then(|d| d.order_ms());
    chart
        .notes
        .sort_by_cached_key(|n| (Reverse(n.at), n.source.clone()));
    chart
        .encounters
        .sort_by_cached_key(|e| (Reverse(begun(e)), e.source.clone()));
    for acts in [&mut chart.immunizations, &mut chart.procedures] {
        acts.sort_by_cached_key(|a| {
            (
                Reverse(a.when.as_deref().and_then(crate::format::civil::parse_fhir_ms)),
                a.source.clone(),
            )
        });
    }
    chart
}

/// What a result says, as a chart shows it: when it was measured, and its values in a fixed order. `None` for what is no vital sign that is
/// shown: without a value, of another kind, entered in error.
#[must_use]
pub fn said_by(fact: &CardFact) -> Option<(Option<UtcMs>, Vec<SaidValue>)> {
    let Resource::Observation(o) = &fact.resource else {
        return None;
    };
    if !measured::is_usable(o) {
        return None;
    }
    let mut series = SeriesBuilder::default();
    // Both ends compare it, whatever either speaks.
    speaking(Language::English, || series.add(fact, o));
    if !series.found.values().any(|((kind, ..), _)| *kind == Kind::Vital) {
        return None;
    }
    let items = || {
        series
            .found
            .values()
            .flat_map(|(_, items)| items.iter().map(|(i, _)| i))
    };
    let at = items().find_map(|i| i.at);
    let mut values: Vec<SaidValue> = items()
        .map(|i| SaidValue {
            label: i.label.clone(),
            value: i.value.clone(),
            unit: i.unit.clone(),
        })
        .collect();
    values.sort();
    Some((at, values))
}

/// Where a series is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Vital,
    Lab,
    Other,
}

/// A series' place in its list: rank in the card's table (last when it is in none), then its label.
type Order = (Kind, usize, String);

#[derive(Default)]
struct SeriesBuilder {
    found: BTreeMap<String, (Order, Vec<(MeasuredItem, u64)>)>,
}

impl SeriesBuilder {
    fn add(&mut self, fact: &CardFact, o: &Observation) {
        let Some(code) = &o.code else { return };
        for (kind, table) in [
            (Kind::Vital, measured::VITALS),
            (Kind::Vital, measured::WEIGHTS),
            (Kind::Lab, measured::LABS),
        ] {
            if let Some(label) = measured::label_in(table, code) {
                if let Some(item) = measured::item(fact, o, label) {
                    self.push(
                        label.to_owned(),
                        (kind, rank(label), label.to_owned()),
                        item,
                        fact.version,
                    );
                }
                for item in measured::oxygen_of(fact, o, label, table) {
                    let label = item.label.clone();
                    self.push(label.clone(), (kind, rank(&label), label), item, fact.version);
                }
                return;
            }
        }
        for (kind, table) in [(Kind::Vital, measured::VITALS), (Kind::Lab, measured::LABS)] {
            for item in measured::panel_items(fact, o, table) {
                let label = item.label.clone();
                self.push(label.clone(), (kind, rank(&label), label), item, fact.version);
            }
        }
        let label = code
            .display()
            .map_or_else(|| not_named().to_owned(), str::to_owned);
        let Some(item) = measured::item(fact, o, &label) else {
            return;
        };
        let first = code
            .codings
            .iter()
            .find_map(|c| Some(format!("{}|{}", c.system.as_deref()?, c.code.as_deref()?)));
        let key = first.unwrap_or_else(|| label.to_lowercase());
        self.push(key, (category(o), usize::MAX, label), item, fact.version);
    }

    fn push(&mut self, key: String, order: Order, item: MeasuredItem, version: u64) {
        self.found
            .entry(key)
            .or_insert_with(|| (order, Vec::new()))
            .1
            .push((item, version));
    }

    fn finish(mut self, chart: &mut ChartSummary, corrections: Corrections<'_>, facts: &[&CardFact]) {
        let mut before = corrections.series(facts);
        for (key, (order, _)) in &before {
            self.found
                .entry(key.clone())
                .or_insert_with(|| (order.clone(), Vec::new()));
        }
        let mut all: Vec<(Order, MeasuredSeries)> = Vec::new();
        for (key, (order, mut values)) in self.found {
            values.sort_by_cached_key(|(i, version)| (Reverse(i.at), Reverse(*version), i.source.clone()));
            let mut values: Vec<MeasuredItem> = values.into_iter().map(|(i, _)| i).collect();
            let said = before.remove(&key).map_or_else(Vec::new, |(_, said)| said);
            let mut earlier = earlier::of_values(said, &values);
            if matches!(key.as_str(), "O2 flow" | "FiO2") {
                // Sent by itself and again with the saturation: one measurement.
                values.dedup_by(|a, b| {
                    let one = a.at.is_some() && (a.at, &a.value, &a.unit) == (b.at, &b.value, &b.unit);
                    // What the one that goes said before is said of the one that stays.
                    for e in earlier.iter_mut().filter(|e| one && e.item.source == a.source) {
                        e.item.source = b.source.clone();
                    }
                    one
                });
            }
            if values.is_empty() && earlier.is_empty() {
                continue;
            }
            let unit = values.first().and_then(|v| v.unit.clone());
            all.push((
                order.clone(),
                MeasuredSeries {
                    key,
                    label: order.2,
                    unit,
                    values,
                    earlier,
                },
            ));
        }
        all.sort_by(|(a, x), (b, y)| {
            (a.0, a.1, a.2.to_lowercase(), &x.key).cmp(&(b.0, b.1, b.2.to_lowercase(), &y.key))
        });
        for ((kind, ..), series) in all {
            match kind {
                Kind::Vital => chart.vitals.push(series),
                Kind::Lab => chart.labs.push(series),
                Kind::Other => chart.other_observations.push(series),
            }
        }
    }
}

fn rank(label: &str) -> usize {
    let labels = measured::VITALS
        .iter()
        .chain(measured::WEIGHTS)
        .chain(measured::LABS)
        .map(|(l, _)| *l);
    labels.into_iter().position(|l| l == label).unwrap_or(usize::MAX)
}

/// By the categories of FHIR's observation-category code system.
fn category(o: &Observation) -> Kind {
    let is = |code: &str| {
        o.categories
            .iter()
            .any(|c| c.codings.iter().any(|c| c.code.as_deref() == Some(code)))
    };
    if is("laboratory") {
        Kind::Lab
    } else if is("vital-signs") {
        Kind::Vital
    } else {
        Kind::Other
    }
}

fn names(refs: &[Ref]) -> Option<String> {
    let names: Vec<&str> = refs.iter().filter_map(|r| r.display.as_deref()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The inline texts joined, and the other attachments in words.
fn split_attachments(list: &[Attachment]) -> (Vec<String>, Vec<String>) {
    let texts = list
        .iter()
        .filter_map(|a| a.text.clone())
        .filter(|t| !t.trim().is_empty())
        .collect();
    let other = list.iter().filter(|a| a.text.is_none()).map(|a| {
        let kind = a
            .content_type
            .as_deref()
            .unwrap_or_else(|| word!("unknown type", "unbekannter Typ"));
        a.title
            .as_deref()
            .map_or_else(|| kind.to_owned(), |t| format!("{t} ({kind})"))
    });
    (texts, other.collect())
}

fn joined(texts: Vec<String>) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

fn report_note(fact: &CardFact, r: &DiagnosticReport) -> Option<Note> {
    if matches!(
        r.status.as_deref(),
        Some("entered-in-error" | "cancelled" | "registered")
    ) {
        return None;
    }
    let (mut texts, attachments) = split_attachments(&r.attachments);
    let coded: Vec<&str> = r.conclusion_codes.iter().filter_map(Concept::display).collect();
    texts.extend(
        r.conclusion
            .clone()
            .or_else(|| (!coded.is_empty()).then(|| coded.join(", "))),
    );
    Some(Note {
        source: fact.key.clone(),
        title: r
            .code
            .as_ref()
            .and_then(Concept::display)
            .map_or_else(|| not_named().to_owned(), str::to_owned),
        at: fact.resource.stated_ms().map(UtcMs),
        by: names(&r.performers),
        status: r.status.clone(),
        text: joined(texts),
        attachments,
    })
}

fn document_note(fact: &CardFact, d: &DocumentReference) -> Option<Note> {
    let wrong = |s: &Option<String>| s.as_deref() == Some("entered-in-error");
    if wrong(&d.status) || wrong(&d.doc_status) {
        return None;
    }
    let (texts, attachments) = split_attachments(&d.attachments);
    let kind = d
        .kind
        .as_ref()
        .or(d.categories.first())
        .and_then(Concept::display);
    let title = d
        .description
        .as_deref()
        .or(kind)
        .or_else(|| d.attachments.iter().find_map(|a| a.title.as_deref()));
    let status = if d.status.as_deref() == Some("superseded") {
        &d.status
    } else {
        &d.doc_status
    };
    Some(Note {
        source: fact.key.clone(),
        title: title.map_or_else(|| not_named().to_owned(), str::to_owned),
        at: fact.resource.stated_ms().map(UtcMs),
        by: names(&d.authors),
        status: status.clone().or_else(|| d.status.clone()),
        text: joined(texts),
        attachments,
    })
}

fn encounter_item(fact: &CardFact, e: &Encounter) -> Option<EncounterItem> {
    if e.status.as_deref() == Some("entered-in-error") {
        return None;
    }
    let kind = e.types.iter().find_map(Concept::display);
    let newest = e.locations.last();
    let place_words = newest.and_then(|l| {
        let (bed, ward) = place::bed_and_ward(l);
        let parts: Vec<String> = bed.into_iter().chain(ward.and_then(|w| w.name.clone())).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    });
    Some(EncounterItem {
        source: fact.key.clone(),
        title: kind
            .or(e.class.as_deref())
            .map_or_else(|| not_named().to_owned(), str::to_owned),
        class: e.class.clone(),
        status: e.status.clone().unwrap_or_else(|| "unknown".to_owned()),
        start: e.period.start.clone(),
        end: e.period.end.clone(),
        reason: place::reason(e),
        place: place_words.or_else(|| e.service_provider.as_ref().and_then(|p| p.display.clone())),
    })
}

fn immunization_item(fact: &CardFact, i: &Immunization) -> Option<ActItem> {
    if i.status.as_deref() == Some("entered-in-error") {
        return None;
    }
    let lot = i.lot.as_ref().map(|l| say!("lot {l}", "Charge {l}"));
    let dose = i.dose_number.as_ref().map(|d| say!("dose {d}", "Dosis {d}"));
    let site = i.site.as_ref().and_then(Concept::display).map(str::to_owned);
    Some(ActItem {
        source: fact.key.clone(),
        title: i
            .vaccine
            .as_ref()
            .and_then(Concept::display)
            .map_or_else(|| not_named().to_owned(), str::to_owned),
        status: i.status.clone().unwrap_or_else(|| "unknown".to_owned()),
        when: i
            .occurrence
            .as_ref()
            .map(|d| d.as_str().to_owned())
            .or_else(|| i.occurrence_text.clone()),
        by: names(&i.performers),
        details: [dose, site, lot].into_iter().flatten().collect(),
    })
}

fn procedure_item(fact: &CardFact, p: &Procedure) -> Option<ActItem> {
    if p.status.as_deref() == Some("entered-in-error") {
        return None;
    }
    let when = p
        .performed
        .start
        .as_ref()
        .or(p.performed.end.as_ref())
        .map(|d| d.as_str().to_owned());
    let words = |list: &[Concept]| {
        list.iter()
            .filter_map(Concept::display)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    Some(ActItem {
        source: fact.key.clone(),
        title: p
            .code
            .as_ref()
            .and_then(Concept::display)
            .map_or_else(|| not_named().to_owned(), str::to_owned),
        status: p.status.clone().unwrap_or_else(|| "unknown".to_owned()),
        when: when.or_else(|| p.performed_text.clone()),
        by: names(&p.performers),
        details: words(&p.body_sites)
            .into_iter()
            .chain(words(&p.reasons))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
