//! Vital signs of the record that are marked as wrong: which can be, what was read of them, how a mark shows until the record has it.
//!
//! Lives here: the above. Never here: what is wrong with a mark (`clinical::entry`), whether the record still says what was read (the
//! server), withdrawn values (`chart::series`).

use super::Pending;
use crate::chart::blocks::Words;
use std::collections::{BTreeMap, BTreeSet};
use vitrine_clinical::card::CardFact;
use vitrine_clinical::entry::{Choice, Fault, What, Wrong, Wrongly};
use vitrine_clinical::summary::{MeasuredSeries, said_by};
use vitrine_clinical::{UtcMs, say, word};
use vitrine_wire::entry_view::EntryState;

/// Vital signs as they were put on the screen, by result: when they were measured, and what they said.
pub(crate) type Shown = BTreeMap<String, (UtcMs, Wrong)>;

/// What can be marked of a record: the vital signs that a flowsheet shows, `most` of a kind, where they have a time.
pub(crate) fn shown(facts: &[CardFact], vitals: &[MeasuredSeries], most: usize) -> Shown {
    let sources: BTreeSet<_> = vitals
        .iter()
        .flat_map(|s| s.values.iter().take(most).map(|v| &v.source))
        .collect();
    let of = |fact: &CardFact| {
        let (at, values) = said_by(fact)?;
        let source = fact.key.to_string();
        let wrong = Wrong {
            source: source.clone(),
            values,
        };
        Some((source, (at?, wrong)))
    };
    facts
        .iter()
        .filter(|f| sources.contains(&f.key))
        .filter_map(of)
        .collect()
}

/// What is marked here and is not in this copy of the record, by result: the words beside its value, and whether it waits.
pub(crate) fn marks<'p>(
    pending: impl Iterator<Item = &'p Pending>,
    w: &Words<'_>,
) -> BTreeMap<String, (String, bool)> {
    let mut out = BTreeMap::new();
    for p in pending {
        let Some(e) = &p.entry else { continue };
        let What::VitalsError { wrong, .. } = &e.what else {
            continue;
        };
        let text = say!(
            "marked as wrong here {at} by {who}, {state}",
            "hier als falsch markiert {at} von {who}, {state}",
            at = w.date_time(e.at),
            who = e.name,
            state = p.short_state()
        );
        let waits = p.state != EntryState::Rejected;
        out.extend(
            wrong
                .iter()
                .map(|one| (one.source.clone(), (text.clone(), waits))),
        );
    }
    out
}

/// A mark, as far as it can be read; `values`: names of points, each of one result or of two that stand as one value.
pub(super) fn read(
    (at_ms, values): (i64, &[String]),
    (why, words): (&str, &str),
    shown: &Shown,
    faults: &mut Vec<Fault>,
) -> What {
    let mut fault = |field: &'static str, text: &str| {
        faults.push(Fault {
            field,
            text: text.to_owned(),
        });
    };
    let at = UtcMs(at_ms);
    let mut wrong: Vec<Wrong> = Vec::new();
    for source in values.iter().flat_map(|v| v.split(' ')) {
        if wrong.iter().any(|w| w.source == source) {
            continue;
        }
        match shown.get(source).filter(|(when, _)| *when == at) {
            Some((_, one)) => wrong.push(one.clone()),
            None => fault(
                "",
                word!(
                    "What is marked is not on the screen any more: open the chart again",
                    "Das Markierte ist nicht mehr auf dem Bildschirm: Akte noch einmal öffnen"
                ),
            ),
        }
    }
    let chosen = Wrongly::of_code(why).unwrap_or_else(|| {
        fault(
            "why",
            word!("Choose why it is wrong", "Wählen, warum es falsch ist"),
        );
        Wrongly::Typed
    });
    What::VitalsError {
        at,
        wrong,
        why: chosen,
        words: Some(words.trim().to_owned()).filter(|w| !w.is_empty()),
    }
}
