//! Allergies: a message adds to what is recorded and weakens nothing of it, because a feed that repeats its list knows less than
//! who has asked the patient since.

use super::{items, members, put};
use crate::json::Json;

/// Takes in a member: what is not recorded is added, categories and reactions are joined, and criticality only rises.
pub(super) fn add(made: &mut Json, key: &str, told: &Json) {
    if *told == Json::Null {
        return;
    }
    match (key, made.get(key)) {
        (_, None) if is_other_onset(made, key) => {}
        (_, None) => put(made, key, told.clone()),
        ("category", Some(there)) => {
            let mut all = items(Some(there)).to_vec();
            all.extend(
                items(Some(told))
                    .iter()
                    .filter(|t| !all.contains(t))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
            put(made, key, Json::Array(all));
        }
        ("criticality", Some(there)) if rank(there) < rank(told) => put(made, key, told.clone()),
        ("reaction", Some(there)) => {
            let mut all = items(Some(there)).to_vec();
            for one in items(Some(told)) {
                react(&mut all, one);
            }
            put(made, key, Json::Array(all));
        }
        _ => {}
    }
}

fn is_other_onset(made: &Json, key: &str) -> bool {
    key.starts_with("onset") && members(made).any(|(k, _)| k.starts_with("onset"))
}

/// Of criticality and of a reaction's severity, the gravest last.
fn rank(of: &Json) -> usize {
    let order = ["unable-to-assess", "low", "high", "mild", "moderate", "severe"];
    order
        .iter()
        .position(|o| of.as_str() == Some(o))
        .unwrap_or_default()
}

fn react(all: &mut Vec<Json>, told: &Json) {
    let shows = |node: &Json| items(node.get("manifestation")).to_vec();
    let same = |there: &Json| {
        let recorded = shows(there);
        shows(told).iter().all(|t| recorded.iter().any(|r| r.same_as(t)))
    };
    let Some(there) = all.iter_mut().find(|r| same(r)) else {
        all.push(told.clone());
        return;
    };
    for (key, value) in members(told).filter(|(k, _)| *k != "manifestation") {
        let graver = key == "severity" && there.get(key).is_some_and(|t| rank(t) < rank(value));
        if graver || there.get(key).is_none() {
            put(there, key, value.clone());
        }
    }
}
