//! Who the patient is and where.

use super::{CardFact, Identity, Place};
use crate::chart::{
    Concept, Encounter, EncounterLocation, Identifier, LocationStep, Patient, Resource, preferred_name,
};
use crate::{UtcMs, WardId, scan};

/// Whether the patient is here on this encounter.
pub(crate) fn is_present(e: &Encounter) -> bool {
    matches!(
        e.status.as_deref(),
        Some("arrived" | "triaged" | "in-progress" | "onleave")
    )
}

/// Identity from the newest Patient.
pub(crate) fn identity(facts: &[&CardFact]) -> Option<Identity> {
    let patients = facts.iter().filter_map(|f| match &f.resource {
        Resource::Patient(p) => Some((f.version, p)),
        _ => None,
    });
    let (_, p) = patients.max_by_key(|(version, _)| *version)?;
    let name = preferred_name(&p.names);
    Some(Identity {
        family: name.and_then(|n| n.family.clone()),
        given: name.map(|n| n.given.clone()).unwrap_or_default(),
        prefix: name.and_then(|n| n.prefix.first().cloned()),
        name_text: name.and_then(|n| n.text.clone()),
        birth_date: p.birth_date.as_ref().map(|d| d.as_str().to_owned()),
        sex: p.gender.clone(),
        mrn: mrn(p),
        gsrns: gsrns(p),
        deceased: p.deceased.clone(),
        active: p.active != Some(false),
    })
}

/// The record number: type MR (v2-0203), else use `usual`, else the first; old ones only when there is no other.
fn mrn(p: &Patient) -> Option<String> {
    let is_mr = |i: &Identifier| {
        i.kind
            .as_ref()
            .is_some_and(|k| k.codings.iter().any(|c| c.code.as_deref() == Some("MR")))
    };
    let rank = |i: &&Identifier| {
        let old = i.usage.as_deref() == Some("old");
        let kind = if is_mr(i) {
            0
        } else if i.usage.as_deref() == Some("usual") {
            1
        } else {
            2
        };
        (old, kind)
    };
    p.identifiers
        .iter()
        .filter(|i| i.value.is_some())
        .min_by_key(rank)
        .and_then(|i| i.value.clone())
}

/// The numbers of bands; one that its own check digit contradicts opens nothing.
fn gsrns(p: &Patient) -> Vec<String> {
    let of_bands = |i: &&Identifier| {
        let system = i.system.as_deref();
        i.usage.as_deref() != Some("old") && scan::SYSTEMS.iter().any(|s| system == Some(s))
    };
    let numbers = p
        .identifiers
        .iter()
        .filter(of_bands)
        .filter_map(|i| i.value.as_deref());
    let mut numbers: Vec<String> = numbers
        .map(str::trim)
        .filter(|n| scan::is_gsrn(n))
        .map(str::to_owned)
        .collect();
    numbers.sort();
    numbers.dedup();
    numbers
}

/// The place from the newest encounter in progress.
pub(crate) fn place(facts: &[&CardFact]) -> Option<Place> {
    let present = facts.iter().filter_map(|f| match &f.resource {
        Resource::Encounter(e) if is_present(e) => Some((*f, e)),
        _ => None,
    });
    let (fact, e) = present.max_by_key(|(f, _)| (f.resource.stated_ms(), f.version, f.key.clone()))?;
    let here = current_location(e);
    let (bed, ward) = here.map(bed_and_ward).unwrap_or_default();
    Some(Place {
        ward: ward
            .and_then(|w| w.id.as_deref())
            .and_then(|id| WardId::new(id).ok()),
        ward_name: ward.and_then(|w| w.name.clone()),
        bed,
        class: e.class.clone(),
        reason: reason(e),
        since: e.period.start.as_ref().and_then(|d| d.order_ms()).map(UtcMs),
        encounter: Some(fact.key.clone()),
        acuity: e.priority.as_ref().and_then(acuity),
    })
}

/// Reasons in the record's words; none of them shortened.
pub(crate) fn reason(e: &Encounter) -> Option<String> {
    let words: Vec<&str> = e.reasons.iter().filter_map(Concept::display).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The location that is active; else the newest that has not ended.
fn current_location(e: &Encounter) -> Option<&EncounterLocation> {
    let open = e.locations.iter().enumerate().filter(|(_, l)| {
        l.period.end.is_none() && !matches!(l.status.as_deref(), Some("planned" | "reserved" | "completed"))
    });
    open.max_by_key(|(at, l)| {
        let begun = l.period.start.as_ref().and_then(|d| d.order_ms());
        (l.status.as_deref() == Some("active"), begun, *at)
    })
    .map(|(_, l)| l)
}

/// The bed's name and the ward. The ward is the first place of type ward or area; without types, the place around the
/// innermost one, or the innermost itself when it stands alone.
pub(crate) fn bed_and_ward(l: &EncounterLocation) -> (Option<String>, Option<&LocationStep>) {
    let is =
        |s: &LocationStep, kinds: &[&str]| s.physical_type.as_deref().is_some_and(|t| kinds.contains(&t));
    let ward_at = l
        .chain
        .iter()
        .position(|s| is(s, &["wa"]))
        .or_else(|| l.chain.iter().position(|s| is(s, &["area"])))
        .or_else(|| {
            let outside = l.chain.iter().position(|s| !is(s, &["bd", "ro"]))?;
            Some(
                if outside == 0
                    && l.chain.len() > 1
                    && l.chain.first().is_some_and(|s| s.physical_type.is_none())
                {
                    1
                } else {
                    outside
                },
            )
        });
    let ward = ward_at.and_then(|at| l.chain.get(at));
    let inside = ward_at.unwrap_or(l.chain.len());
    let names: Vec<&str> = l
        .chain
        .iter()
        .take(inside)
        .filter_map(|s| s.name.as_deref())
        .collect();
    let bed = names.first().map(|n| (*n).to_owned());
    // Nothing could be resolved: the reference's own words are better than nothing.
    let bed = bed.or_else(|| l.chain.is_empty().then(|| l.location.display.clone()).flatten());
    (bed, ward)
}

/// Emergency severity 1 to 5, where the priority states it: a code or words with exactly one such digit ("2",
/// "ESI 2", "Triage category 2").
fn acuity(priority: &Concept) -> Option<String> {
    let level = |text: &str| {
        let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
        match digits.as_slice() {
            [one @ '1'..='5'] => Some(one.to_string()),
            _ => None,
        }
    };
    let codes = priority
        .codings
        .iter()
        .filter_map(|c| c.code.as_deref())
        .filter(|c| c.len() <= 6);
    let words = priority
        .text
        .as_deref()
        .into_iter()
        .chain(priority.codings.iter().filter_map(|c| c.display.as_deref()));
    codes.chain(words).find_map(level)
}
