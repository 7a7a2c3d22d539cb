//! Medicines: what the patient takes now, what stopped lately, what is stated absent.
//!
//! Rules, each with a test:
//! * `doNotPerform` is never a medicine; neither is a proposal or an option, nor a draft.
//! * Intent `plan` counts: US Core records what patients take by themselves that way; it is shown as reported.
//! * `active`, `on-hold`, `unknown` and a missing status are current, with that status shown: leaving out a medicine
//!   that may be in the blood is worse than showing one too many. A statement `intended` is current too.
//! * `stopped` and `completed` are past; `cancelled` was never given, `entered-in-error` never true: neither is shown
//!   among the lately stopped.
//! * `not-taken` is a statement of absence ("warfarin: not taken"), like "no known medications".

use super::negation::{self, Presence};
use super::{CardFact, HighRisk, MedicationItem, NegativeStatement, high_risk};
use crate::UtcMs;
use crate::chart::{Concept, Dosage, MedicationRequest, MedicationStatement, PartialDate, Resource};
use crate::format::Dose;

/// Where an order names no medicine, shown by `shown::line`: an order is never dropped for it.
pub(crate) const NAME_NOT_RECORDED: &str = "Medicine not recorded";

/// Where a medicine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Course {
    /// Taken now.
    Current,
    /// Over since then, where known.
    Ended(Option<i64>),
    /// Stated absent.
    Absent(String, bool),
    /// Not a medicine of this patient: never given, mistaken, only proposed.
    Never,
}

/// Where a resource stands; `None` when it is not a medicine's resource.
pub(crate) fn course(resource: &Resource) -> Option<Course> {
    match resource {
        Resource::MedicationRequest(r) => Some(request_course(r)),
        Resource::MedicationStatement(s) => Some(statement_course(s)),
        _ => None,
    }
}

fn presence(code: Option<&Concept>) -> Presence {
    // An order without a name is an order all the same.
    code.map_or(Presence::Something, |c| match negation::of_medication(c) {
        Presence::Unknown if c.is_absent() || *c == Concept::default() => Presence::Something,
        other => other,
    })
}

fn words(code: Option<&Concept>) -> String {
    code.and_then(Concept::display)
        .unwrap_or(NAME_NOT_RECORDED)
        .to_owned()
}

fn ms(date: Option<&PartialDate>) -> Option<i64> {
    date.and_then(PartialDate::order_ms)
}

/// The latest end that the sigs state.
fn bounds_end(dosages: &[Dosage]) -> Option<i64> {
    dosages.iter().filter_map(|d| ms(d.bounds.end.as_ref())).max()
}

fn request_course(r: &MedicationRequest) -> Course {
    if r.do_not_perform {
        return Course::Never;
    }
    if matches!(r.intent.as_deref(), Some("proposal" | "option")) {
        return Course::Never;
    }
    match r.status.as_deref() {
        Some("entered-in-error" | "cancelled" | "draft") => Course::Never,
        Some("stopped" | "completed") => {
            let end = bounds_end(&r.dosages).or_else(|| ms(r.last_updated.as_ref()));
            Course::Ended(end.or_else(|| ms(r.authored.as_ref())))
        }
        _ => match presence(r.medication.as_ref()) {
            Presence::NothingAtAll => Course::Absent(words(r.medication.as_ref()), true),
            _ => Course::Current,
        },
    }
}

fn statement_course(s: &MedicationStatement) -> Course {
    match s.status.as_deref() {
        Some("entered-in-error") => Course::Never,
        Some("not-taken") => match presence(s.medication.as_ref()) {
            Presence::Something => {
                Course::Absent(format!("{}: not taken", words(s.medication.as_ref())), false)
            }
            _ => Course::Never,
        },
        Some("stopped" | "completed") => match presence(s.medication.as_ref()) {
            Presence::Something => {
                let end = ms(s.effective.end.as_ref()).or_else(|| bounds_end(&s.dosages));
                Course::Ended(
                    end.or_else(|| ms(s.last_updated.as_ref()))
                        .or_else(|| ms(s.asserted.as_ref())),
                )
            }
            _ => Course::Never,
        },
        _ => match presence(s.medication.as_ref()) {
            Presence::NothingAtAll => Course::Absent(words(s.medication.as_ref()), true),
            Presence::Unknown => Course::Never,
            _ => Course::Current,
        },
    }
}

/// The card's line for a medicine.
pub(crate) fn item(fact: &CardFact) -> Option<MedicationItem> {
    let stopped = match course(&fact.resource)? {
        Course::Ended(end) => end.map(UtcMs),
        _ => None,
    };
    let made = |name: Option<&Concept>, ingredients: &[Concept], dosages: &[Dosage]| {
        let (dose, route, frequency) = sig(dosages);
        MedicationItem {
            source: fact.key.clone(),
            name: words(name.filter(|c| !c.is_unknown())),
            dose,
            route,
            frequency,
            status: "unknown".to_owned(),
            start: None,
            stopped,
            high_risk: risk(name, ingredients),
            reported: false,
        }
    };
    match &fact.resource {
        Resource::MedicationRequest(r) => {
            let begin = r
                .dosages
                .iter()
                .find_map(|d| d.bounds.start.as_ref())
                .or(r.authored.as_ref());
            Some(MedicationItem {
                status: r.status.clone().unwrap_or_else(|| "unknown".to_owned()),
                start: begin.map(|d| d.as_str().to_owned()),
                reported: r.reported || r.intent.as_deref() == Some("plan"),
                ..made(r.medication.as_ref(), &r.ingredients, &r.dosages)
            })
        }
        Resource::MedicationStatement(s) => Some(MedicationItem {
            status: s.status.clone().unwrap_or_else(|| "unknown".to_owned()),
            start: s.effective.start.as_ref().map(|d| d.as_str().to_owned()),
            reported: true,
            ..made(s.medication.as_ref(), &s.ingredients, &s.dosages)
        }),
        _ => None,
    }
}

fn risk(name: Option<&Concept>, ingredients: &[Concept]) -> Option<HighRisk> {
    let all = name.into_iter().chain(ingredients).map(Concept::words);
    high_risk::class_of(&all.collect::<Vec<_>>().join(" | "))
}

/// Dose, route and frequency. Several sigs are kept apart and whole: the dose then stands in the frequency's words.
fn sig(dosages: &[Dosage]) -> (Option<String>, Option<String>, Option<String>) {
    let route = |d: &Dosage| d.route.as_ref().and_then(Concept::display).map(str::to_owned);
    match dosages {
        [] => (None, None, None),
        [one] => (dose(one), route(one), frequency(one)),
        several => {
            let line = |d: &Dosage| {
                let parts: Vec<String> = [dose(d), frequency(d)].into_iter().flatten().collect();
                (!parts.is_empty()).then(|| parts.join(" "))
            };
            let lines: Vec<String> = several.iter().filter_map(line).collect();
            let first = several.iter().find_map(route);
            let same_route = several
                .iter()
                .filter_map(route)
                .all(|r| Some(&r) == first.as_ref());
            (
                None,
                first.filter(|_| same_route),
                (!lines.is_empty()).then(|| lines.join("; ")),
            )
        }
    }
}

fn dose(d: &Dosage) -> Option<String> {
    let low = d.dose.as_ref().and_then(Dose::of);
    let high = d.dose_high.as_ref().and_then(Dose::of);
    let amount = match (low, high) {
        (Some(l), Some(h)) if l != h => Some(format!("{l} to {h}")),
        (Some(one), _) | (None, Some(one)) => Some(one.to_string()),
        (None, None) => None,
    };
    match (amount, &d.rate) {
        (Some(a), Some(r)) => Some(format!("{a} at {r}")),
        (None, Some(r)) => Some(r.clone()),
        (a, None) => a,
    }
}

/// The timing in words; the whole sig where the dose is not stated apart from it.
fn frequency(d: &Dosage) -> Option<String> {
    let sig = d.text.as_ref().or(d.patient_instruction.as_ref());
    let whole = if dose(d).is_some() {
        d.timing.as_ref().or(sig)
    } else {
        sig.or(d.timing.as_ref())
    };
    match (whole, &d.as_needed) {
        (Some(w), Some(n)) if !w.to_lowercase().contains("needed") => Some(format!("{w}, {n}")),
        (Some(w), _) => Some(w.clone()),
        (None, n) => n.clone(),
    }
}

/// The statement of absence that a fact makes, where it does.
pub(crate) fn statement(fact: &CardFact) -> Option<NegativeStatement> {
    let Course::Absent(text, all) = course(&fact.resource)? else {
        return None;
    };
    let by = match &fact.resource {
        Resource::MedicationStatement(s) => s.source.as_ref(),
        Resource::MedicationRequest(r) => r.requester.as_ref(),
        _ => None,
    };
    Some(NegativeStatement {
        source: fact.key.clone(),
        text,
        all,
        by: by.and_then(|r| r.display.clone()),
        at: fact.resource.stated_ms().map(UtcMs),
        refuted: None,
    })
}

/// High-risk first in the order of the classes, then by name.
pub(crate) fn sort(items: &mut [MedicationItem]) {
    items.sort_by_cached_key(|i| {
        (
            i.high_risk.is_none(),
            i.high_risk,
            i.name.to_lowercase(),
            i.source.clone(),
        )
    });
}
