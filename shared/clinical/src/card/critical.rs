//! Critical results, and what people have done about them.
//!
//! Which result is critical is the laboratory's word (OBX-8, `Observation.interpretation`: HH, LL, AA), not ours: limits differ by
//! place, age and method. Vital signs are no results: the score and the monitors speak of them.
//!
//! An acknowledgement is a FHIR Task about the result. It counts for what was read, not for a version: a result that is sent again
//! unchanged stays acknowledged, a corrected value has to be acknowledged again.

use super::{CardFact, MeasuredItem, measured};
use crate::chart::{Observation, Resource, Task};
use crate::entry::{Answer, Choice, TEXT_MOST};
use crate::format::ResultFlag;
use crate::{ResourceKey, UtcMs};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// `Coding.system` of what is said with a Task.
pub const TASK: &str = "urn:vitrine:task";
/// `Task.code` of an acknowledgement.
pub const ACKNOWLEDGE: &str = "acknowledge-critical-result";
/// `Task.input.type` of the result as it was read.
pub const READ: &str = "result-as-read";
/// `Task.output.type` of what was read back to the laboratory.
pub const READ_BACK: &str = "read-back";

/// Most acknowledged results kept on a card and on a board; those that wait are all kept.
const DONE_KEPT: usize = 16;

/// A result that the laboratory calls critical.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticalItem {
    /// The result.
    pub item: MeasuredItem,
    /// Our version of it.
    pub version: u64,
    /// What was measured, in full.
    pub test: Option<String>,
    /// Since when it can be read: issued, else measured.
    pub available: Option<UtcMs>,
    /// The value before it.
    pub before: Option<MeasuredItem>,
    /// What people have done about it, the newest first.
    pub taken: Vec<Taken>,
}

/// What somebody did about a critical result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The Task.
    pub source: ResourceKey,
    /// What; absent where the record does not say it in a way this program knows.
    pub answer: Option<Answer>,
    /// The result as it was read then: [`CriticalItem::said`].
    pub read: Option<String>,
    /// The words.
    pub words: Option<String>,
    /// What was read back to the laboratory.
    pub read_back: Option<String>,
    /// Who.
    pub by: Option<String>,
    /// When.
    pub at: Option<UtcMs>,
}

/// A critical result on a board: when, and whether it waits; no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticalMark {
    /// The result.
    pub source: ResourceKey,
    /// Our version of it.
    pub version: u64,
    /// Since when it can be read.
    pub available: Option<UtcMs>,
    /// It waits for nobody.
    pub acknowledged: bool,
    /// When somebody last did something about it.
    pub taken: Option<UtcMs>,
}

impl CriticalItem {
    /// The result as people read it, and as an acknowledgement repeats it: "6.1 mmol/L HH".
    #[must_use]
    pub fn said(&self) -> String {
        said(&self.item)
    }

    /// Who acknowledged what it says now.
    #[must_use]
    pub fn acknowledged(&self) -> Option<&Taken> {
        let now = self.said();
        self.taken
            .iter()
            .find(|t| t.answer.is_some_and(Answer::settles) && t.read.as_deref() == Some(now.as_str()))
    }

    /// For a board.
    #[must_use]
    pub fn mark(&self) -> CriticalMark {
        CriticalMark {
            source: self.item.source.clone(),
            version: self.version,
            available: self.available,
            acknowledged: self.acknowledged().is_some(),
            taken: self.taken.iter().filter_map(|t| t.at).max(),
        }
    }
}

/// Value, unit and flag as recorded: no wording of this program, which another version might do otherwise.
fn said(i: &MeasuredItem) -> String {
    let flag = ResultFlag::of(i.interpretation.as_deref()).text();
    let parts = [i.value.as_str(), i.unit.as_deref().unwrap_or_default(), flag];
    let words: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    one_line(&words.join(" "))
}

/// Fit for one line of an entry: no control characters, and of a long report the beginning.
#[must_use]
pub fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(TEXT_MOST).collect::<String>().trim().to_owned()
}

/// The critical flag of a result, its parts included; `None` for what is not critical, or no result of a laboratory.
pub(crate) fn flag(o: &Observation) -> Option<ResultFlag> {
    let vital = o
        .categories
        .iter()
        .any(|c| c.codings.iter().any(|c| c.code.as_deref() == Some("vital-signs")))
        || o.code
            .as_ref()
            .is_some_and(|c| measured::label_in(measured::VITALS, c).is_some());
    if vital {
        return None;
    }
    let parts = o.components.iter().flat_map(|c| &c.interpretations);
    o.interpretations
        .iter()
        .chain(parts)
        .flat_map(|c| {
            c.codings
                .iter()
                .map(|c| c.code.as_deref())
                .chain([c.text.as_deref()])
        })
        .map(ResultFlag::of)
        .find(|f| f.is_critical())
}

/// Whether it says what somebody did about a critical result.
pub(crate) fn is_acknowledgement(t: &Task) -> bool {
    t.code.as_ref().is_some_and(|c| c.has(TASK, ACKNOWLEDGE))
        && t.status.as_deref() != Some("entered-in-error")
}

/// Without the part that names a version.
fn unversioned(reference: &str) -> &str {
    reference
        .split_once("/_history/")
        .map_or(reference, |(before, _)| before)
}

fn taken(fact: &CardFact, t: &Task) -> Taken {
    let part = |list: &[crate::chart::TaskPart], code: &str| {
        list.iter()
            .find(|p| p.kind.has(TASK, code))
            .map(|p| p.text.clone())
    };
    let code = t.business_status.as_ref().and_then(|c| c.code_of(TASK));
    Taken {
        source: fact.key.clone(),
        answer: code.and_then(Answer::of_code),
        read: part(&t.inputs, READ),
        words: t.notes.first().cloned(),
        read_back: part(&t.outputs, READ_BACK),
        by: t.owner.as_ref().and_then(|r| r.display.clone()),
        at: t.authored.as_ref().and_then(|d| d.order_ms()).map(UtcMs),
    }
}

/// All critical results of the facts: those that wait, the newest first, then those acknowledged last.
pub(crate) fn results(facts: &[&CardFact]) -> Vec<CriticalItem> {
    let labs = measured::all_of(facts, measured::LABS);
    let mut out: Vec<CriticalItem> = facts
        .iter()
        .filter_map(|f| match &f.resource {
            Resource::Observation(o) if measured::is_usable(o) => one(f, o, &labs, facts),
            _ => None,
        })
        .collect();
    out.sort_by_cached_key(|c| {
        let done = c.acknowledged().map(|t| t.at);
        (
            done.is_some(),
            Reverse(done.flatten()),
            Reverse(c.available),
            c.item.source.clone(),
        )
    });
    let waiting = out.iter().take_while(|c| c.acknowledged().is_none()).count();
    out.truncate(waiting.saturating_add(DONE_KEPT));
    out
}

fn one(
    fact: &CardFact,
    o: &Observation,
    labs: &[(MeasuredItem, u64)],
    facts: &[&CardFact],
) -> Option<CriticalItem> {
    let flag = flag(o)?;
    let code = o.code.as_ref();
    let test = code.and_then(|c| c.display()).map(str::to_owned);
    let short = code.and_then(|c| measured::label_in(measured::LABS, c));
    let label = short
        .map(str::to_owned)
        .or_else(|| test.clone())
        .unwrap_or_else(|| "Result without a name".to_owned());
    let mut item = measured::item(fact, o, &label)?;
    item.interpretation = Some(flag.text().to_owned());
    let before = short.and_then(|short| {
        let older = labs
            .iter()
            .map(|(i, _)| i)
            .filter(|i| i.label == short && i.source != fact.key && i.at < item.at);
        older.max_by_key(|i| i.at).cloned()
    });
    let mut taken: Vec<Taken> = facts
        .iter()
        .filter_map(|f| match &f.resource {
            Resource::Task(t) if is_acknowledgement(t) => {
                let about = t.focus.as_ref()?.reference.as_deref().map(unversioned)?;
                (ResourceKey::parse(about).ok()? == fact.key).then(|| self::taken(f, t))
            }
            _ => None,
        })
        .collect();
    taken.sort_by_cached_key(|t| (Reverse(t.at), t.source.clone()));
    Some(CriticalItem {
        available: o
            .issued
            .as_ref()
            .and_then(|d| d.order_ms())
            .or_else(|| measured::measured_ms(o))
            .map(UtcMs),
        test: test.filter(|t| *t != label),
        version: fact.version,
        item,
        before,
        taken,
    })
}

/// Reads what is kept; what another version wrote in a way that this one cannot read is not known, and never "none".
///
/// # Errors
/// When it is no JSON.
pub fn lenient<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Known(Vec<T>),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Either<T>>::deserialize(from)? {
        Some(Either::Known(list)) => Some(list),
        Some(Either::Other(_)) | None => None,
    })
}

#[cfg(test)]
mod tests;
