//! Changes of allergies, and those that contradict each other.
//!
//! A change is a FHIR Task about the allergy. One that was made on a record which had changed meanwhile does not come into the
//! record: its Task stays `requested` until a person has decided, and until then the allergy is one on every screen.
//!
//! What counts is what its author had read, not a version: a system that sends the same again makes no dispute.

use super::critical::TASK;
use super::{AllergyItem, CardFact, is_lethal};
use crate::chart::{AllergyIntolerance, Concept, Resource, Task, TaskPart};
use crate::entry::{Choice, READ_MOST, Severity, Standing};
use crate::{ResourceKey, UtcMs};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// `Task.code` of a change.
pub const CHANGE: &str = "change-allergy";
/// `Task.input.type` of the agent.
pub const AGENT: &str = "agent";
/// `Task.input.type` of what was recorded, as the author read it: [`said`].
pub const WAS: &str = "recorded-as-read";
/// `Task.input.type` of how it stood then.
pub const STOOD: &str = "standing-as-read";
/// `Task.input.type` of the reactions recorded then.
pub const REACTED: &str = "reactions-as-read";
/// `Task.input.type` of the code of how it stands by this change.
pub const STANDING: &str = "standing";
/// `Task.input.type` of a reaction that it adds.
pub const REACTION: &str = "reaction";
/// `Task.input.type` of the code of that reaction's severity.
pub const SEVERITY: &str = "severity";
/// `Task.input.type` of the workstation.
pub const PLACE: &str = "recorded-at";
/// What is said of an allergy that the record has no more.
pub const GONE: &str = "no longer in the record";

/// What somebody wanted an allergy to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllergyChange {
    /// The Task.
    pub source: ResourceKey,
    /// The allergy.
    pub about: ResourceKey,
    /// It contradicts the record and waits for a person.
    pub open: bool,
    /// Its agent.
    pub agent: String,
    /// What was recorded, as it was read: [`said`].
    pub was: String,
    /// How it stood then, in words.
    pub stood: Option<String>,
    /// The reactions recorded then, in words.
    pub reacted: Option<String>,
    /// How it stands by this change; absent where the record does not say it in a way this program knows.
    pub standing: Option<Standing>,
    /// A reaction that it adds.
    pub reaction: Option<String>,
    /// How bad that was.
    pub severity: Option<Severity>,
    /// Why.
    pub reason: Option<String>,
    /// Who.
    pub by: Option<String>,
    /// When.
    pub at: Option<UtcMs>,
    /// At which workstation.
    pub place: Option<String>,
    /// What the record says now, for one that waits; absent where the allergy is not among the facts ([`GONE`]).
    pub record: Option<Recorded>,
}

/// What a record says of an allergy now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The agent.
    pub agent: String,
    /// How it stands, in words.
    pub stands: String,
    /// Its reactions, in words.
    pub reacted: String,
    /// All of it, as a change repeats it.
    pub said: String,
    /// Who said so last, where recorded.
    pub by: Option<String>,
    /// When.
    pub at: Option<UtcMs>,
    /// At which workstation, where it was one.
    pub place: Option<String>,
    /// Why, where it was changed.
    pub reason: Option<String>,
}

/// Fit for one line of an entry.
fn plain(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(READ_MOST).collect::<String>().trim().to_owned()
}

/// How a recorded allergy stands, in words: "confirmed", "refuted", "resolved", "certainty not recorded".
#[must_use]
pub fn stands(a: &AllergyIntolerance) -> String {
    let over = a
        .clinical_status
        .as_deref()
        .filter(|s| matches!(*s, "inactive" | "resolved"));
    let sure = a.verification_status.as_deref();
    match (sure, over) {
        (Some(v @ ("refuted" | "entered-in-error")), _) => v.replace('-', " "),
        (_, Some(over)) => over.to_owned(),
        (Some(v), None) => v.to_owned(),
        (None, None) => "certainty not recorded".to_owned(),
    }
}

/// What is recorded of an allergy, as a change repeats it: agent, reactions with their severity, danger, how it stands. Of an item of a
/// card and of the resource behind it the same.
#[must_use]
pub fn said(agent: &str, item: &AllergyItem, stands: &str) -> String {
    let danger = if item.dangerous { "; life-threatening" } else { "" };
    plain(&format!("{agent}: {}; {stands}{danger}", item.reacted()))
}

impl AllergyItem {
    /// Its reactions in words: "hives + wheeze, severe"; "reaction not recorded".
    #[must_use]
    pub fn reacted(&self) -> String {
        let what = if self.reactions.is_empty() {
            "reaction not recorded".to_owned()
        } else {
            self.reactions.join(" + ")
        };
        match &self.severity {
            Some(severity) => format!("{what}, {severity}"),
            None => what,
        }
    }

    /// How it stands, in words.
    #[must_use]
    pub fn stands(&self) -> String {
        self.verification
            .clone()
            .unwrap_or_else(|| "certainty not recorded".to_owned())
    }

    /// What is recorded of it, as a change repeats it.
    #[must_use]
    pub fn said(&self) -> String {
        said(&self.agent, self, &self.stands())
    }
}

/// Whether it is about an allergy and counts.
pub(crate) fn is_change(t: &Task) -> bool {
    t.code.as_ref().is_some_and(|c| c.has(TASK, CHANGE)) && t.status.as_deref() != Some("entered-in-error")
}

/// Whether it waits for a person; whatever is not known to be done does.
pub(crate) fn is_open(t: &Task) -> bool {
    t.status.as_deref() != Some("completed")
}

fn change(fact: &CardFact, t: &Task) -> Option<AllergyChange> {
    let part = |code: &str| {
        t.inputs
            .iter()
            .find(|p: &&TaskPart| p.kind.has(TASK, code))
            .map(|p| p.text.clone())
    };
    let about = t.focus.as_ref()?.reference.as_deref()?;
    let about = about.split_once("/_history/").map_or(about, |(before, _)| before);
    Some(AllergyChange {
        source: fact.key.clone(),
        about: ResourceKey::parse(about).ok()?,
        open: is_open(t),
        agent: part(AGENT).unwrap_or_else(|| super::allergy::AGENT_NOT_RECORDED.to_owned()),
        was: part(WAS).unwrap_or_default(),
        stood: part(STOOD),
        reacted: part(REACTED),
        standing: part(STANDING).as_deref().and_then(Standing::of_code),
        reaction: part(REACTION),
        severity: part(SEVERITY).as_deref().and_then(Severity::of_code),
        reason: t.notes.first().cloned(),
        by: t.owner.as_ref().and_then(|r| r.display.clone()),
        at: t.authored.as_ref().and_then(|d| d.order_ms()).map(UtcMs),
        place: part(PLACE),
        record: None,
    })
}

/// The changes among the facts: those that wait first, then the newest first.
pub(crate) fn changes(facts: &[&CardFact]) -> Vec<AllergyChange> {
    let mut out: Vec<AllergyChange> = facts
        .iter()
        .filter_map(|f| match &f.resource {
            Resource::Task(t) if is_change(t) => change(f, t),
            _ => None,
        })
        .collect();
    out.sort_by_cached_key(|c| (!c.open, Reverse(c.at), c.source.clone()));
    let waiting = out.iter().take_while(|c| c.open).count();
    let (open, done) = out.split_at_mut(waiting);
    for c in open {
        let fact = facts.iter().find(|f| f.key == c.about);
        c.record = fact.and_then(|f| recorded(f));
        if let (Some(record), Some(last)) = (&mut c.record, done.iter().find(|d| d.about == c.about)) {
            record.by.clone_from(&last.by);
            record.at = last.at;
            record.place.clone_from(&last.place);
            record.reason.clone_from(&last.reason);
        }
    }
    out
}

/// Keeps every disputed allergy among the active ones: what the record has is marked, what it has no more stands as it was read.
pub(crate) fn keep(items: &mut Vec<AllergyItem>, changes: &[AllergyChange]) {
    for c in changes.iter().filter(|c| c.open) {
        if let Some(item) = items.iter_mut().find(|i| i.source == c.about) {
            item.disputed = true;
            continue;
        }
        let words = format!("{} {}", c.was, c.reaction.as_deref().unwrap_or_default());
        let reactions = c
            .reacted
            .iter()
            .filter(|r| !r.starts_with("reaction not recorded"));
        items.push(AllergyItem {
            source: c.about.clone(),
            agent: c.agent.clone(),
            coded: false,
            reactions: reactions.chain(&c.reaction).cloned().collect(),
            severity: c.severity.map(|s| s.code().to_owned()),
            kind: None,
            verification: None,
            since: None,
            dangerous: is_lethal(&words)
                || words.contains("life-threatening")
                || matches!(c.severity, Some(Severity::Severe | Severity::LifeThreatening)),
            disputed: true,
        });
    }
}

/// What a resource says; `None` for what is no allergy.
#[must_use]
pub fn recorded(fact: &CardFact) -> Option<Recorded> {
    let Resource::AllergyIntolerance(a) = &fact.resource else {
        return None;
    };
    let agent = match super::allergy::said(a) {
        super::allergy::Said::Active(agent) => agent,
        _ => a
            .code
            .as_ref()
            .and_then(Concept::display)
            .unwrap_or(super::allergy::AGENT_NOT_RECORDED)
            .to_owned(),
    };
    let item = super::allergy::item(fact, a, agent);
    let stands = stands(a);
    let who = [&a.recorder, &a.asserter].into_iter().flatten();
    Some(Recorded {
        said: said(&item.agent, &item, &stands),
        reacted: item.reacted(),
        stands,
        agent: item.agent,
        by: who.filter_map(|r| r.display.clone()).next(),
        at: fact.resource.stated_ms().map(UtcMs),
        place: None,
        reason: None,
    })
}

#[cfg(test)]
mod tests;
