//! Problems. Refuted and mistaken entries, and those in remission, inactive or resolved, are not active; a missing
//! clinical status is active unless the entry says that it has abated; "no current problems" is a statement.

use super::negation::{self, Presence};
use super::{CardFact, ConditionItem, NegativeStatement};
use crate::UtcMs;
use crate::chart::{Concept, Condition, Resource};

/// Where a problem is on record but not what it is; shown by `shown::line`.
pub(crate) const NOT_NAMED: &str = "Problem not named";

/// Where a problem stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    /// There now.
    Active,
    /// Over or quiet.
    Past,
    /// Stated absent: the words, and whether they are about all problems.
    Absent(String, bool),
    /// Mistaken, or says nothing.
    Nothing,
}

/// Reads one entry.
pub(crate) fn stand(c: &Condition) -> Stand {
    let verification = c.verification_status.as_deref();
    if verification == Some("entered-in-error") {
        return Stand::Nothing;
    }
    let presence = c
        .code
        .as_ref()
        .map_or(Presence::Something, negation::of_condition);
    let words = || {
        c.code
            .as_ref()
            .and_then(Concept::display)
            .unwrap_or(NOT_NAMED)
            .to_owned()
    };
    if verification == Some("refuted") {
        return match presence {
            Presence::Something => Stand::Absent(format!("{}: refuted", words()), false),
            _ => Stand::Nothing,
        };
    }
    let over = matches!(
        c.clinical_status.as_deref(),
        Some("inactive" | "remission" | "resolved")
    );
    let abated = c.clinical_status.is_none() && (c.abatement.is_some() || c.abatement_text.is_some());
    match presence {
        Presence::NothingAtAll if !over => Stand::Absent(words(), true),
        Presence::NotThis | Presence::NothingOfClass(_) if !over => Stand::Absent(words(), false),
        Presence::Something if over || abated => Stand::Past,
        Presence::Something => Stand::Active,
        // A problem whose name alone is absent is still a problem; the bare words "unknown" are none.
        Presence::Unknown if c.code.as_ref().is_some_and(Concept::is_absent) && !over && !abated => {
            Stand::Active
        }
        _ => Stand::Nothing,
    }
}

/// The card's line.
pub(crate) fn item(fact: &CardFact, c: &Condition) -> ConditionItem {
    let text = c
        .code
        .as_ref()
        .and_then(Concept::display)
        .unwrap_or(NOT_NAMED)
        .to_owned();
    let onset = c.onset.as_ref().map(|d| d.as_str().to_owned());
    ConditionItem {
        source: fact.key.clone(),
        text,
        verification: c.verification_status.clone(),
        clinical_status: c.clinical_status.clone(),
        since: onset.or_else(|| c.onset_text.clone()),
    }
}

/// The statement of absence that an entry makes, where it does.
pub(crate) fn statement(fact: &CardFact, c: &Condition) -> Option<NegativeStatement> {
    let Stand::Absent(text, all) = stand(c) else {
        return None;
    };
    let by = c.asserter.as_ref().and_then(|r| r.display.clone());
    Some(NegativeStatement {
        source: fact.key.clone(),
        text,
        all,
        by: by.or_else(|| c.recorder.as_ref().and_then(|r| r.display.clone())),
        at: fact.resource.stated_ms().map(UtcMs),
        refuted: None,
    })
}

/// Problem-list entries first, then the newest onset, then by words.
pub(crate) fn sort_key(fact: &CardFact, c: &Condition) -> (bool, std::cmp::Reverse<Option<i64>>, String) {
    let listed = c.categories.iter().any(|k| {
        k.codings
            .iter()
            .any(|k| k.code.as_deref() == Some("problem-list-item"))
    });
    let begun = c
        .onset
        .as_ref()
        .and_then(|d| d.order_ms())
        .or_else(|| fact.resource.stated_ms());
    let words = c
        .code
        .as_ref()
        .and_then(Concept::display)
        .unwrap_or_default()
        .to_lowercase();
    (!listed, std::cmp::Reverse(begun), words)
}

/// Active problems of the facts, in display order.
pub(crate) fn active<'f>(facts: &[&'f CardFact]) -> Vec<(&'f CardFact, &'f Condition)> {
    let mut found: Vec<(&CardFact, &Condition)> = facts
        .iter()
        .filter_map(|f| match &f.resource {
            Resource::Condition(c) if stand(c) == Stand::Active => Some((*f, c)),
            _ => None,
        })
        .collect();
    found.sort_by_cached_key(|(f, c)| (sort_key(f, c), f.key.clone()));
    found
}
