//! What results said before they were corrected or withdrawn (S20): somebody may have acted upon it.
//!
//! A value that is shown no more is kept beside the one that is, with when and why. Read from `Provenance` resources that
//! contain the Observation as it was; the server writes one whenever a result is replaced by one that says something else.

use super::{Order, SeriesBuilder};
use crate::card::{CardFact, MeasuredItem, measured};
use crate::chart::{Observation, Provenance, Resource};
use crate::{ResourceKey, UtcMs};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// [`Earlier::withdrawn`] of a result that is no part of the record any more: deleted, or of another patient.
pub const NOT_HERE: &str = "not-in-this-record";

/// What a result said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// As it was shown.
    pub item: MeasuredItem,
    /// When it was replaced.
    pub replaced: Option<UtcMs>,
    /// Why: the reasons given with the correction; of the newest one else the notes of the result as it is now.
    pub reason: Option<String>,
    /// Where there is no value in its place: `entered-in-error`, `cancelled`, what the result's status is otherwise, or [`NOT_HERE`].
    pub withdrawn: Option<String>,
}

/// What one correction says of every value it replaced.
struct About {
    replaced: Option<UtcMs>,
    reason: Option<String>,
    withdrawn: String,
}

/// All corrections of a record.
#[derive(Default)]
pub(super) struct Corrections<'p> {
    all: Vec<(ResourceKey, &'p Provenance, &'p Observation)>,
}

impl<'p> Corrections<'p> {
    pub(super) fn add(&mut self, provenance: &'p Provenance) {
        let Some(before) = &provenance.before else { return };
        let target = provenance.targets.iter().find_map(|t| {
            let text = t.reference.as_deref()?;
            let plain = text.split_once("/_history/").map_or(text, |(before, _)| before);
            ResourceKey::parse(plain)
                .ok()
                .filter(|key| key.kind.as_str() == "Observation")
        });
        if let Some(target) = target {
            self.all.push((target, provenance, before));
        }
    }

    /// What was shown before, by series; the newest correction first. `facts`: the record as it is.
    pub(super) fn series(mut self, facts: &[&CardFact]) -> BTreeMap<String, (Order, Vec<Earlier>)> {
        self.all
            .sort_by_key(|(_, p, _)| Reverse(p.recorded.as_ref().and_then(|d| d.order_ms())));
        // In the order of their keys.
        let now = |key: &ResourceKey| {
            let at = facts.binary_search_by(|f| f.key.cmp(key)).ok()?;
            match &facts.get(at)?.resource {
                Resource::Observation(o) => Some(o),
                _ => None,
            }
        };
        let mut was = SeriesBuilder::default();
        let mut about: Vec<About> = Vec::new();
        // What a result says itself now is about its newest correction alone.
        let mut newest: BTreeSet<ResourceKey> = BTreeSet::new();
        for (key, provenance, before) in self.all {
            if !measured::is_usable(before) {
                continue;
            }
            let now = now(&key);
            let mut reason: Vec<&str> = provenance.reasons.iter().filter_map(|c| c.display()).collect();
            if newest.insert(key.clone()) && reason.is_empty() {
                reason = now.map_or_else(Vec::new, |o| o.notes.iter().map(String::as_str).collect());
            }
            let withdrawn = match now {
                Some(o) => o.status.clone().unwrap_or_else(|| "unknown".to_owned()),
                None => NOT_HERE.to_owned(),
            };
            let fact = CardFact {
                key,
                version: about.len() as u64,
                resource: Resource::Observation(before.clone()),
            };
            about.push(About {
                replaced: provenance.recorded.as_ref().and_then(|d| d.order_ms()).map(UtcMs),
                reason: (!reason.is_empty()).then(|| reason.join(" ")),
                withdrawn,
            });
            was.add(&fact, before);
        }
        let earlier = |(item, n): (MeasuredItem, u64)| {
            let about = about.get(usize::try_from(n).ok()?)?;
            Some(Earlier {
                item,
                replaced: about.replaced,
                reason: about.reason.clone(),
                withdrawn: Some(about.withdrawn.clone()),
            })
        };
        was.found
            .into_iter()
            .map(|(key, (order, mut items))| {
                items.sort_by_key(|(_, n)| *n);
                (key, (order, items.into_iter().filter_map(earlier).collect()))
            })
            .collect()
    }
}

/// Those that said something else than what the series says now; each thing once.
pub(super) fn of_values(earlier: Vec<Earlier>, values: &[MeasuredItem]) -> Vec<Earlier> {
    let said = |m: &MeasuredItem| (m.value.clone(), m.unit.clone(), m.at);
    let mut out: Vec<Earlier> = Vec::new();
    for mut e in earlier {
        let now = values.iter().find(|v| v.source == e.item.source);
        let again = out
            .iter()
            .any(|o| o.item.source == e.item.source && said(&o.item) == said(&e.item));
        if again || now.is_some_and(|now| said(now) == said(&e.item)) {
            continue;
        }
        if now.is_some() {
            e.withdrawn = None;
        }
        out.push(e);
    }
    out
}

/// Whether an Observation says something else than it did: a value that was shown stands there no more, or at another time, or
/// of another test. Words around it (status, range, interpretation) alone are no correction of a value.
#[must_use]
pub fn corrects(before: &Observation, now: &Observation) -> bool {
    let Ok(key) = ResourceKey::new("Observation", "o") else {
        return false;
    };
    let shown = |o: &Observation| {
        let mut series = SeriesBuilder::default();
        if measured::is_usable(o) {
            let fact = CardFact {
                key: key.clone(),
                version: 1,
                resource: Resource::Observation(o.clone()),
            };
            series.add(&fact, o);
        }
        let all = series.found.into_iter().flat_map(|(series, (_, items))| {
            items
                .into_iter()
                .map(move |(i, _)| (series.clone(), i.value, i.unit, i.at))
        });
        all.collect::<Vec<_>>()
    };
    let now = shown(now);
    shown(before).iter().any(|was| !now.contains(was))
}
