//! From facts to the card.

use super::{
    AllergyState, Block, BlockState, ConditionItem, EmergencyCard, MeasuredItem, MedicationItem,
    NegativeStatement, StatementItem, allergy, condition, critical, dispute, measured, medication, place,
    statement,
};
use crate::chart::Resource;
use crate::label::Label;
use crate::{PatientId, ResourceKey, UtcMs, news2};
use allergy::Said;
use condition::Stand;
use medication::Course;
use serde::{Deserialize, Serialize};
use statement::About;

/// One resource as the card sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFact {
    /// The resource.
    pub key: ResourceKey,
    /// Our version of it.
    pub version: u64,
    /// Its typed view, names of referenced practitioners, medications and locations already resolved.
    pub resource: Resource,
}

/// Where a resource stands among a patient's facts: the store keeps the newest `keep` of each slot, so that a card
/// costs the same for a patient with 20 resources and one with 131,000.
///
/// A new version of a resource may stand in another slot or in none (an allergy that is resolved): the store first
/// takes the resource's former fact away, then places the new one. Active allergies, medicines and problems are all
/// kept, whatever their number; what is over, superseded or merely measured is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSlot {
    /// e.g. `allergy`, `medication`, `vital:HR`.
    pub slot: String,
    /// Order within the slot; the greatest are kept.
    pub order_ms: i64,
    /// How many to keep; `u32::MAX` keeps all.
    pub keep: u32,
}

const ALL: u32 = u32::MAX;

/// The slot of a resource, or `None` when the card does not need it.
#[must_use]
pub fn card_slot(resource: &Resource) -> Option<CardSlot> {
    let (slot, keep): (String, u32) = match resource {
        Resource::Patient(_) => ("patient".into(), ALL),
        Resource::AllergyIntolerance(a) => match allergy::said(a) {
            Said::Active(_) => ("allergy".into(), ALL),
            Said::Absent(_) => ("allergy-absent".into(), 20),
            Said::Refuted(_) => ("allergy-refuted".into(), 20),
            // Two changes may contradict each other about it.
            Said::Nothing => ("allergy-over".into(), 20),
        },
        Resource::MedicationRequest(_) | Resource::MedicationStatement(_) => {
            match medication::course(resource)? {
                Course::Current => ("medication".into(), ALL),
                Course::Ended(_) => ("medication-ended".into(), 20),
                Course::Absent(..) => ("medication-absent".into(), 10),
                Course::Never => return None,
            }
        }
        Resource::Condition(c) => match condition::stand(c) {
            Stand::Active => ("condition".into(), ALL),
            Stand::Absent(..) => ("condition-absent".into(), 20),
            Stand::Past | Stand::Nothing => return None,
        },
        Resource::Encounter(e) if place::is_present(e) => ("encounter".into(), 8),
        Resource::RelatedPerson(p) if statement::is_contact(p) => ("contact".into(), 16),
        Resource::Observation(o) => result_slot(o, resource)?,
        Resource::Task(t) if critical::is_acknowledgement(t) => ("acknowledged".into(), 256),
        Resource::Task(t) if dispute::is_change(t) && dispute::is_open(t) => ("allergy-disputed".into(), ALL),
        Resource::Task(t) if dispute::is_change(t) => ("allergy-changed".into(), 32),
        _ => match statement::about(resource)? {
            About::CodeStatus => ("code-status".into(), 8),
            About::Isolation => ("isolation".into(), 32),
            About::Device => ("device".into(), 64),
            About::Flag => ("flag".into(), 64),
        },
    };
    let order = match medication::course(resource) {
        Some(Course::Ended(end)) => end,
        _ => match resource {
            Resource::Observation(o) => measured::measured_ms(o),
            _ => resource.stated_ms(),
        },
    };
    Some(CardSlot {
        slot,
        order_ms: order.unwrap_or(i64::MIN),
        keep,
    })
}

/// Critical results have slots of their own, so that no later ones of the same code push them out while they wait.
fn result_slot(o: &crate::chart::Observation, resource: &Resource) -> Option<(String, u32)> {
    let slot = observation_slot(o, resource);
    if critical::flag(o).is_none() || !measured::is_usable(o) {
        return slot;
    }
    Some(match slot {
        Some((slot, _)) => (format!("{slot}!"), 16),
        None => ("critical".into(), 64),
    })
}

/// Three of each code are kept, so that a correction that arrives late still finds its predecessors.
fn observation_slot(o: &crate::chart::Observation, resource: &Resource) -> Option<(String, u32)> {
    if !measured::is_usable(o) {
        return None;
    }
    if statement::about(resource) == Some(About::CodeStatus) {
        return Some(("code-status".into(), 8));
    }
    if news2::readings::tells_pregnancy(o) {
        return Some(("pregnancy".into(), 3));
    }
    let code = o.code.as_ref()?;
    let tables = [
        ("vital", measured::VITALS),
        ("lab", measured::LABS),
        ("weight", measured::WEIGHTS),
    ];
    for (name, table) in tables {
        if let Some(label) = measured::label_in(table, code) {
            // What would push out what the score needs stands by itself: a laboratory's vital signs, and saturations without
            // their oxygen.
            let of = if name == "vital" && news2::readings::of_laboratory(o) {
                "laboratory"
            } else if label == "SpO2" && !o.components.is_empty() {
                "vital-with"
            } else {
                name
            };
            return Some((format!("{of}:{label}"), 3));
        }
    }
    if let Some(label) = measured::label_in(measured::BLOOD_GROUPS, code) {
        // A preliminary blood group is never shown and must not push a final one out.
        let settled = matches!(o.status.as_deref(), Some("final" | "corrected" | "amended"));
        return settled.then(|| (format!("blood-group:{label}"), 5));
    }
    let of_panel = |(name, table)| {
        let mut codes = o.components.iter().filter_map(|c| c.code.as_ref());
        codes
            .find_map(|c| measured::label_in(table, c))
            .map(|l| (format!("{name}-panel:{l}"), 3))
    };
    tables.into_iter().find_map(of_panel)
}

fn block<T>(items: Vec<T>, as_of: Option<i64>) -> Block<T> {
    let state = if items.is_empty() {
        BlockState::NotRecorded
    } else {
        BlockState::Recorded
    };
    Block {
        as_of: as_of.filter(|_| state == BlockState::Recorded).map(UtcMs),
        state,
        items,
    }
}

fn measured_block(items: Vec<MeasuredItem>) -> Block<MeasuredItem> {
    let as_of = items.iter().filter_map(|i| i.at).max().map(|at| at.0);
    block(items, as_of)
}

fn lines_block(items: Vec<StatementItem>) -> Block<StatementItem> {
    let as_of = items.iter().filter_map(|i| i.at).max().map(|at| at.0);
    block(items, as_of)
}

fn newest_statement(list: &mut [NegativeStatement]) {
    list.sort_by_cached_key(|n| (!n.all, std::cmp::Reverse(n.at), n.source.clone()));
}

/// How long a stopped medicine stays on the card: seven days before the newest statement of the record.
const RECENT_MS: i64 = 7 * 86_400_000;

fn medications(facts: &[&CardFact]) -> (Block<MedicationItem>, Vec<MedicationItem>, Vec<NegativeStatement>) {
    let newest = facts.iter().filter_map(|f| f.resource.stated_ms()).max();
    let mut current = Vec::new();
    let mut stopped = Vec::new();
    let mut as_of = None;
    for fact in facts {
        match medication::course(&fact.resource) {
            Some(Course::Current) => {
                current.extend(medication::item(fact));
                as_of = as_of.max(fact.resource.stated_ms());
            }
            Some(Course::Ended(Some(end))) if newest.is_some_and(|n| end >= n.saturating_sub(RECENT_MS)) => {
                stopped.extend(medication::item(fact));
            }
            _ => {}
        }
    }
    medication::sort(&mut current);
    stopped.sort_by_cached_key(|i| {
        (
            std::cmp::Reverse(i.stopped),
            i.name.to_lowercase(),
            i.source.clone(),
        )
    });
    let mut absent: Vec<NegativeStatement> = facts.iter().filter_map(|f| medication::statement(f)).collect();
    newest_statement(&mut absent);
    (block(current, as_of), stopped, absent)
}

fn conditions(facts: &[&CardFact]) -> (Block<ConditionItem>, Vec<NegativeStatement>) {
    let active = condition::active(facts);
    let as_of = active.iter().filter_map(|(f, _)| f.resource.stated_ms()).max();
    let items = active.iter().map(|(f, c)| condition::item(f, c)).collect();
    let mut absent: Vec<NegativeStatement> = facts
        .iter()
        .filter_map(|f| match &f.resource {
            Resource::Condition(c) => condition::statement(f, c),
            _ => None,
        })
        .collect();
    newest_statement(&mut absent);
    (block(items, as_of), absent)
}

/// Derives the card. `facts` are the patient's facts in any order; the same facts always give the same card.
#[must_use]
pub fn emergency_card(patient: &PatientId, facts: &[CardFact]) -> EmergencyCard {
    let mut sorted: Vec<&CardFact> = facts.iter().collect();
    sorted.sort_by(|a, b| (&a.key, a.version).cmp(&(&b.key, b.version)));
    // Of two versions of one resource only the newer counts.
    let mut facts: Vec<&CardFact> = Vec::with_capacity(sorted.len());
    for fact in sorted {
        if facts.last().is_some_and(|last| last.key == fact.key) {
            facts.pop();
        }
        facts.push(fact);
    }
    let (current, recently_stopped, medication_statements) = medications(&facts);
    let (active, condition_statements) = conditions(&facts);
    let (contacts, contacts_as_of) = statement::contacts(&facts);
    let told = statement::told(&facts);
    let lines = |about| lines_block(statement::lines(&facts, &told, about));
    let allergies = allergy::block(&facts);
    debug_assert!(allergies.state != AllergyState::NoneKnown || allergies.items.is_empty());
    EmergencyCard {
        patient: patient.clone(),
        identity: place::identity(&facts),
        place: place::place(&facts),
        allergies,
        medications: current,
        recently_stopped,
        medication_statements,
        conditions: active,
        condition_statements,
        code_status: lines(About::CodeStatus),
        devices: lines(About::Device),
        weight: measured_block(measured::weight(&facts).into_iter().collect()),
        vitals: measured_block(measured::vitals(&facts)),
        labs: measured_block(measured::newest(&facts, measured::LABS)),
        blood_group: lines_block(measured::blood_groups(&facts)),
        isolation: lines(About::Isolation),
        flags: lines(About::Flag),
        contacts: block(contacts, contacts_as_of),
        critical: Some(critical::results(&facts)),
        news2: Some(news2::basis(&facts).newest(3)),
        label: Label::NONE,
        withheld: false,
        reduced: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
