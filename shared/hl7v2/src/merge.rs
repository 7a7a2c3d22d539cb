//! How a draft meets what is recorded: the whole resource to be stored, or that nothing is to be written.
//!
//! Pure: what is recorded is given, references are whatever they are in both (the server has resolved those of the draft). The
//! rules of each kind of resource are in their modules; those of all are here:
//! a member that a message does not tell stays, byte for byte in its values; what a later message has told is not told anew by
//! an earlier one; identifiers and labels are never lost; and where nothing but `meta` would change, nothing is written.

mod allergy;
mod encounter;
mod meta;
#[cfg(test)]
mod tests;

use crate::draft::{Draft, How};
use crate::json::{Json, array, object};
use crate::time::Stamp;
use meta::Dates;

/// Which message a draft comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The feed's name in the configuration.
    pub feed: &'a str,
    /// MSH-10.
    pub control: &'a str,
    /// The message's date, for drafts that have none of their own.
    pub at: Option<&'a Stamp>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Meeting {
    /// The whole resource as it is to be stored, without `id`.
    Write(Json),
    /// Nothing but `meta` would change, or what is there stays as it is by [`How`].
    Same,
    /// What is recorded is by a later message, or says something more final.
    Older,
}

/// Choice elements of which a resource has one: telling one takes the other away.
const CHOICES: [&str; 4] = ["deceased", "multipleBirth", "onset", "abatement"];

/// Objects that are told member by member.
const TOLD_IN_PARTS: [&str; 2] = ["period", "hospitalization"];

/// Meets.
#[must_use]
pub fn over(recorded: Option<&Json>, draft: &Draft, source: &Source<'_>) -> Meeting {
    let at = draft.dated.as_ref().or(source.at);
    let Some(recorded) = recorded else {
        let mut made = object([]);
        for (key, value) in members(&draft.body) {
            tell(&mut made, key, value);
        }
        for (key, value) in members(&draft.made_with) {
            complete(&mut made, key, value);
        }
        encounter::settle(&mut made, draft, None, at);
        return Meeting::Write(meta::marked(made, None, draft, source, Dates::of(draft, at)));
    };
    let earlier = meta::is_earlier(at, recorded);
    match draft.how {
        How::IfAbsent | How::Known => return Meeting::Same,
        How::Replace => {
            if earlier || less_final(recorded, &draft.body, at) {
                return Meeting::Older;
            }
        }
        How::Update if earlier => {
            let late = encounter::filled_in(recorded, draft).or_else(|| encounter::late(recorded, draft, at));
            let Some(made) = late else {
                return Meeting::Older;
            };
            let dates = Dates {
                told: None,
                status: at,
            };
            return changed(recorded, made, draft, source, dates);
        }
        How::Update => {}
    }
    let mut made;
    if draft.how == How::Replace {
        made = object([]);
        for (key, value) in members(&draft.body) {
            tell(&mut made, key, value);
        }
        keep_identifiers(recorded, &mut made);
    } else {
        made = recorded.clone();
        for (key, value) in members(&draft.body) {
            match (draft.kind, key) {
                (_, "resourceType") => {}
                (_, "identifier") => identifiers(&mut made, value),
                ("AllergyIntolerance", _) => allergy::add(&mut made, key, value),
                ("Encounter", "participant") => encounter::participants(&mut made, value),
                ("Encounter", "diagnosis") => encounter::diagnoses(&mut made, value),
                ("Encounter", "location") => {}
                _ => tell(&mut made, key, value),
            }
        }
        encounter::settle(&mut made, draft, Some(recorded), at);
    }
    changed(recorded, made, draft, source, Dates::of(draft, at))
}

/// Writes where something but `meta` changed, or a label came to it.
fn changed(recorded: &Json, made: Json, draft: &Draft, source: &Source<'_>, dates: Dates<'_>) -> Meeting {
    let bare = |node: &Json| {
        let rest = members(node).filter(|(k, _)| !matches!(*k, "meta" | "id"));
        Json::Object(rest.map(|(k, v)| (k.to_owned(), v.clone())).collect())
    };
    if bare(recorded).same_as(&bare(&made)) && !meta::adds_label(recorded, draft) {
        return Meeting::Same;
    }
    Meeting::Write(meta::marked(made, Some(recorded), draft, source, dates))
}

fn members(node: &Json) -> impl Iterator<Item = (&str, &Json)> {
    node.as_object()
        .unwrap_or_default()
        .iter()
        .map(|(k, v)| (k.as_str(), v))
}

fn items(node: Option<&Json>) -> &[Json] {
    match node {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

/// Puts a member at its place, or takes it away with [`Json::Null`].
fn put(node: &mut Json, key: &str, value: Json) {
    let Json::Object(members) = node else { return };
    if value == Json::Null {
        members.retain(|(k, _)| k != key);
        return;
    }
    match members.iter_mut().find(|(k, _)| k == key) {
        Some((_, there)) => *there = value,
        None => members.push((key.to_owned(), value)),
    }
}

/// One member as a message tells it.
fn tell(node: &mut Json, key: &str, value: &Json) {
    if TOLD_IN_PARTS.contains(&key) && matches!(value, Json::Object(_)) {
        let mut inner = node.get(key).cloned().unwrap_or_else(|| object([]));
        for (part, value) in members(value) {
            put(&mut inner, part, value.clone());
        }
        let emptied = members(&inner).next().is_none();
        put(node, key, if emptied { Json::Null } else { inner });
        return;
    }
    let stem = CHOICES.iter().find(|c| is_choice(key, c));
    if let (Some(stem), Json::Object(members)) = (stem, &mut *node) {
        members.retain(|(k, _)| k == key || !is_choice(k.trim_start_matches('_'), stem));
    }
    // What is said about a primitive (an extension of it) goes with it.
    if !key.starts_with('_')
        && node.get(key).is_some_and(|there| !there.same_as(value))
        && !matches!(value, Json::Object(_) | Json::Array(_))
    {
        put(node, &format!("_{key}"), Json::Null);
    }
    put(node, key, value.clone());
}

fn is_choice(key: &str, stem: &str) -> bool {
    key.strip_prefix(stem)
        .and_then(|rest| rest.bytes().next())
        .is_some_and(|b| b.is_ascii_uppercase())
}

/// A member of a resource that is made, where the message has not told it.
fn complete(node: &mut Json, key: &str, value: &Json) {
    match (node.get(key), value) {
        (None, _) => put(node, key, value.clone()),
        (Some(Json::Object(_)), Json::Object(_)) if TOLD_IN_PARTS.contains(&key) => {
            let mut inner = node.get(key).cloned().unwrap_or_else(|| object([]));
            for (part, value) in members(value) {
                complete(&mut inner, part, value);
            }
            put(node, key, inner);
        }
        _ => {}
    }
}

/// Whether two identifiers are the same: system and value.
fn same_identifier(a: &Json, b: &Json) -> bool {
    a.get("system") == b.get("system") && a.get("value") == b.get("value")
}

/// The union; of one that is there already, what the message says about it comes over what is recorded.
fn identifiers(node: &mut Json, told: &Json) {
    let mut all = items(node.get("identifier")).to_vec();
    for one in items(Some(told)) {
        match all.iter_mut().find(|i| same_identifier(i, one)) {
            Some(there) => members(one).for_each(|(key, value)| put(there, key, value.clone())),
            None => all.push(one.clone()),
        }
    }
    if let Some(all) = array(all) {
        put(node, "identifier", all);
    }
}

/// Where a resource is replaced: the identifiers it was known by are kept.
fn keep_identifiers(recorded: &Json, made: &mut Json) {
    let mut all = items(made.get("identifier")).to_vec();
    for one in items(recorded.get("identifier")) {
        if !all.iter().any(|i| same_identifier(i, one)) {
            all.push(one.clone());
        }
    }
    if let Some(all) = array(all) {
        put(made, "identifier", all);
    }
}

/// How final a result or report is.
fn finality(node: &Json) -> u8 {
    match node.get("status").and_then(Json::as_str) {
        Some("final") => 2,
        Some("amended" | "corrected" | "appended" | "cancelled" | "entered-in-error") => 3,
        Some("preliminary" | "partial") => 1,
        _ => 0,
    }
}

/// Whether a result may not come in place of the recorded one: a preliminary one over a final one whenever it is from, and of
/// the same time what is less final.
fn less_final(recorded: &Json, told: &Json, at: Option<&Stamp>) -> bool {
    let kind = told.get("resourceType").and_then(Json::as_str);
    if !matches!(kind, Some("Observation" | "DiagnosticReport")) {
        return false;
    }
    let (was, is) = (finality(recorded), finality(told));
    (was >= 2 && is < 2) || (is < was && !meta::is_later(at, recorded))
}
