//! The allergy block.
//!
//! Rules, each with a test: refuted, entered-in-error, inactive and resolved entries are not active; a missing
//! clinical status counts as active; a statement of absence is never an allergy; a code that says "unknown" is
//! neither; only a statement about *all* allergies makes the state none-known (a "no known drug allergy" alone leaves
//! it not recorded, with the statement shown, because food, latex and contrast were not spoken of); an active allergy
//! always wins over a statement, and the two together are a conflict.

use super::negation::{self, Presence};
use super::{
    AllergyBlock, AllergyChange, AllergyItem, AllergyState, CardFact, NegativeStatement, Refuted, dispute,
};
use crate::chart::{AllergyIntolerance, Concept, Resource};
use crate::entry::Standing;
use crate::{UtcMs, word};

/// Where a reaction is on record but its agent is not; shown by `shown::line`.
pub(crate) const AGENT_NOT_RECORDED: &str = "Agent not recorded";

/// Where the record withholds the agent (data-absent-reason `masked`): there is an allergy, ask for it.
pub(crate) const AGENT_WITHHELD: &str = "Agent withheld in the record";

/// What follows the agent of an allergy that was refuted; for reading `shown::line`.
pub(crate) const REFUTED: &str = ": refuted";

/// What one AllergyIntolerance says.
pub(crate) enum Said {
    /// An active allergy to this agent.
    Active(String),
    /// An effective statement of absence.
    Absent(Presence),
    /// An allergy that was looked into and is not there.
    Refuted(String),
    /// Over, mistaken, or says nothing.
    Nothing,
}

/// Reads one entry by the rules above.
pub(crate) fn said(a: &AllergyIntolerance) -> Said {
    let verification = a.verification_status.as_deref();
    if verification == Some("entered-in-error") {
        return Said::Nothing;
    }
    let code = a.code.clone().unwrap_or_default();
    let presence = negation::of_allergy(&code);
    let over = matches!(a.clinical_status.as_deref(), Some("inactive" | "resolved"));
    if verification == Some("refuted") {
        return match (presence, code.display()) {
            (Presence::Something, Some(words)) => Said::Refuted(format!("{words}{REFUTED}")),
            // "No ibuprofen allergy" over a code for ibuprofen: the words already deny, "refuted" says it again.
            (Presence::NotThis, Some(words)) if !negation::absence_by_code(&code) => {
                Said::Refuted(words.to_owned())
            }
            // A refuted "no known …" takes the statement back.
            _ => Said::Nothing,
        };
    }
    if over {
        return Said::Nothing;
    }
    match presence {
        Presence::NothingAtAll | Presence::NothingOfClass(_) | Presence::NotThis => Said::Absent(presence),
        Presence::Something => Said::Active(code.display().unwrap_or(AGENT_NOT_RECORDED).to_owned()),
        Presence::Unknown if code.is_masked() => Said::Active(AGENT_WITHHELD.to_owned()),
        Presence::Unknown => unknown_agent(a).map_or(Said::Nothing, Said::Active),
    }
}

/// The code says "unknown": a reaction's substance still names the agent, and a recorded reaction (or a high
/// criticality) without one is still a danger. Nothing of either: the entry says nothing.
fn unknown_agent(a: &AllergyIntolerance) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for substance in a.reactions.iter().filter_map(|r| r.substance.as_ref()) {
        if let Some(name) = substance.display().filter(|_| !substance.is_unknown())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    if !names.is_empty() {
        return Some(names.join(", "));
    }
    let reacted = a
        .reactions
        .iter()
        .any(|r| !r.manifestations.is_empty() || r.description.is_some());
    (reacted || a.criticality.as_deref() == Some("high")).then(|| AGENT_NOT_RECORDED.to_owned())
}

/// What is wrong with words typed as an allergen: they say that there is none, or that nobody knows.
pub(crate) fn allergen_says(words: &str) -> Option<&'static str> {
    match negation::of_allergy(&Concept::of_text(words)) {
        Presence::Something => None,
        Presence::Unknown => Some(word!(
            "That names no allergen: leave it unrecorded until somebody knows",
            "Das benennt kein Allergen: nicht eintragen, bis es jemand weiß"
        )),
        Presence::NothingAtAll | Presence::NothingOfClass(_) | Presence::NotThis => Some(word!(
            "That says that there is no allergy: use \"No known allergies\"",
            "Das besagt, dass keine Allergie besteht: „Keine bekannten Allergien“ verwenden"
        )),
    }
}

/// Words of reactions that kill, in the languages a workstation speaks.
const LETHAL: [&str; 15] = [
    "anaphyla",
    "angioedema",
    "angio-oedema",
    "angiooedema",
    "stevens-johnson",
    "toxic epidermal necrolysis",
    "cardiac arrest",
    "respiratory arrest",
    "angioödem",
    "angiooedem",
    "quincke",
    "epidermale nekrolyse",
    "herzstillstand",
    "kreislaufstillstand",
    "atemstillstand",
];

/// Whether words of a reaction name one that kills.
#[must_use]
pub fn is_lethal(words: &str) -> bool {
    let words = words.to_lowercase();
    LETHAL.iter().any(|l| words.contains(l))
}

pub(crate) fn item(fact: &CardFact, a: &AllergyIntolerance, agent: String) -> AllergyItem {
    let mut reactions: Vec<String> = Vec::new();
    for r in &a.reactions {
        let words = r
            .manifestations
            .iter()
            .filter_map(Concept::display)
            .map(str::to_owned);
        for word in words.chain(r.description.clone().filter(|_| r.manifestations.is_empty())) {
            if !reactions.contains(&word) {
                reactions.push(word);
            }
        }
    }
    let worst = ["severe", "moderate", "mild"]
        .into_iter()
        .find(|s| a.reactions.iter().any(|r| r.severity.as_deref() == Some(s)));
    let criticality = a.criticality.as_deref().filter(|c| matches!(*c, "high" | "low"));
    let lethal = a.reactions.iter().any(|r| {
        let words = r
            .manifestations
            .iter()
            .map(Concept::words)
            .chain(r.description.as_ref().map(|d| d.to_lowercase()));
        words.into_iter().any(|w| is_lethal(&w))
    });
    let since = a
        .onset
        .as_ref()
        .or(a.recorded.as_ref())
        .map(|d| d.as_str().to_owned());
    AllergyItem {
        source: fact.key.clone(),
        coded: a.code.as_ref().is_some_and(Concept::is_coded),
        agent,
        reactions,
        severity: worst.or(criticality).map(str::to_owned),
        kind: a.kind.clone(),
        verification: a.verification_status.clone(),
        since: since.or_else(|| a.onset_text.clone()),
        dangerous: lethal || worst == Some("severe") || criticality == Some("high"),
        disputed: false,
    }
}

/// A statement of absence: who recorded it and when, or who changed it to that.
fn statement(
    fact: &CardFact,
    a: &AllergyIntolerance,
    text: String,
    all: bool,
    changes: &[AllergyChange],
) -> NegativeStatement {
    let changed = changes.iter().find(|c| !c.open && c.about == fact.key);
    let who = a
        .asserter
        .as_ref()
        .or(a.recorder.as_ref())
        .and_then(|r| r.display.clone());
    NegativeStatement {
        source: fact.key.clone(),
        text,
        all,
        by: changed
            .and_then(|c| c.by.clone())
            .or(who)
            .or_else(|| a.recorder.as_ref().and_then(|r| r.display.clone())),
        at: changed
            .and_then(|c| c.at)
            .or(fact.resource.stated_ms().map(UtcMs)),
        refuted: None,
    }
}

/// What the record has of an allergy that was refuted. The reason is that of the change which did it: an older one gave another.
fn refutation(fact: &CardFact, a: &AllergyIntolerance, changes: &[AllergyChange]) -> Option<Box<Refuted>> {
    let mut record = dispute::recorded(fact)?;
    let last = changes.iter().find(|c| !c.open && c.about == fact.key);
    let change = last.filter(|c| c.standing == Some(Standing::Refuted));
    if let Some(c) = change {
        record.by.clone_from(&c.by);
        record.at = c.at;
        record.place.clone_from(&c.place);
        record.reason.clone_from(&c.reason);
    }
    let unexplained = record.reason.is_none();
    Some(Box::new(Refuted {
        record,
        changed: change.is_some(),
        notes: if unexplained { a.notes.clone() } else { Vec::new() },
    }))
}

/// Builds the block.
pub(crate) fn block(facts: &[&CardFact]) -> AllergyBlock {
    let mut items: Vec<(AllergyItem, &AllergyIntolerance)> = Vec::new();
    let mut negatives: Vec<(NegativeStatement, Option<Presence>, &AllergyIntolerance)> = Vec::new();
    let mut as_of = None;
    let changes = dispute::changes(facts);
    for fact in facts {
        let Resource::AllergyIntolerance(a) = &fact.resource else {
            continue;
        };
        match said(a) {
            Said::Nothing => continue,
            Said::Active(agent) => items.push((item(fact, a, agent), a)),
            Said::Absent(presence) => {
                let words = a
                    .code
                    .as_ref()
                    .and_then(Concept::display)
                    .unwrap_or("No known allergy");
                let all = presence == Presence::NothingAtAll;
                negatives.push((
                    statement(fact, a, words.to_owned(), all, &changes),
                    Some(presence),
                    a,
                ));
            }
            Said::Refuted(words) => {
                // Words that deny by themselves ("No ibuprofen allergy") name no allergy that could stand again.
                let mut said = statement(fact, a, words, false, &changes);
                if said.refuted_agent().is_some() {
                    said.refuted = refutation(fact, a, &changes);
                }
                negatives.push((said, None, a));
            }
        }
        as_of = as_of.max(fact.resource.stated_ms());
    }
    let conflict = negatives
        .iter()
        .any(|(_, presence, n)| contradicted(*presence, n, &items));
    let mut items: Vec<AllergyItem> = items.into_iter().map(|(i, _)| i).collect();
    dispute::keep(&mut items, &changes);
    let state = if !items.is_empty() {
        AllergyState::Known
    } else if negatives.iter().any(|(n, ..)| n.all) {
        AllergyState::NoneKnown
    } else {
        AllergyState::NotRecorded
    };
    items.sort_by_cached_key(|i| (!i.dangerous, rank(i), i.agent.to_lowercase(), i.source.clone()));
    let mut negatives: Vec<NegativeStatement> = negatives.into_iter().map(|(n, ..)| n).collect();
    negatives.sort_by_cached_key(|n| (!n.all, std::cmp::Reverse(n.at), n.source.clone()));
    AllergyBlock {
        state,
        items,
        negatives,
        conflict,
        as_of: as_of
            .max(changes.iter().filter_map(|c| c.at).max().map(|at| at.0))
            .map(UtcMs),
        changes: Some(changes),
    }
}

fn rank(i: &AllergyItem) -> u8 {
    match i.severity.as_deref() {
        Some("severe" | "high") => 0,
        Some("moderate") => 1,
        None => 2,
        _ => 3,
    }
}

/// A statement of absence beside an active allergy it denies: all of them; one of its category; the same code.
fn contradicted(
    presence: Option<Presence>,
    negative: &AllergyIntolerance,
    items: &[(AllergyItem, &AllergyIntolerance)],
) -> bool {
    match presence {
        Some(Presence::NothingAtAll) => !items.is_empty(),
        Some(Presence::NothingOfClass(class)) => {
            items.iter().any(|(_, a)| a.categories.iter().any(|c| c == class))
        }
        _ => {
            let denied = negative
                .code
                .as_ref()
                .map(|c| c.codings.as_slice())
                .unwrap_or_default();
            items.iter().filter_map(|(_, a)| a.code.as_ref()).any(|code| {
                denied.iter().any(|d| match (&d.system, &d.code) {
                    (Some(system), Some(c)) => code.has(system, c),
                    _ => false,
                })
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reaction_that_kills_is_known_in_both_languages() {
        for words in [
            "Anaphylaxis",
            "anaphylaktischer Schock",
            "Angioödem der Zunge",
            "Quincke-Ödem",
            "Toxische epidermale Nekrolyse",
            "Atemstillstand",
        ] {
            assert!(is_lethal(words), "{words}");
        }
        for words in ["Urtikaria", "Ödeme der Beine", "rash"] {
            assert!(!is_lethal(words), "{words}");
        }
    }
}
