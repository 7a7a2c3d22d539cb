//! A change of an allergy, as FHIR R4: a Task about it, and the AllergyIntolerance as it is after it.
//!
//! Lives here: what is written, byte-exact but for what is changed. Never here: whether the record still says what was read (the
//! server asks [`meets`]), and the decision of a contradiction (a person's).
//!
//! Rules: an AllergyIntolerance has no clinical status where it was entered in error, and one everywhere else (R4 ait-1, ait-2);
//! reactions and notes are added to and never taken away; what was not changed keeps its digits.

use super::{concept, identifier, instant, staff, subject};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vitrine_clinical::ResourceKey;
use vitrine_clinical::card::CardFact;
use vitrine_clinical::card::critical::TASK;
use vitrine_clinical::card::dispute::{
    AGENT, CHANGE, GONE, PLACE, REACTED, REACTION, SEVERITY, STANDING, STOOD, WAS, recorded,
};
use vitrine_clinical::entry::{Entry, Severity, Standing, What};

const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
const VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";

/// A resource of the record: its version and its bytes.
pub type Held<'a> = (u64, &'a [u8]);

/// Whether the record still says of the allergy what the author of a change had read; `held` = `None` where it is no longer there.
///
/// # Errors
/// The sentence saying what cannot be read.
pub fn meets(entry: &Entry, held: Option<Held<'_>>) -> Result<bool, String> {
    let What::AllergyChange { allergy, read, .. } = &entry.what else {
        return Err("no change of an allergy".to_owned());
    };
    let Some((version, body)) = held else {
        return Ok(read.said == GONE);
    };
    let fact = CardFact {
        key: ResourceKey::parse(allergy).map_err(|e| e.to_string())?,
        version,
        resource: crate::read("AllergyIntolerance", body, &mut |_| None).map_err(|e| e.0.text)?,
    };
    Ok(recorded(&fact).is_some_and(|r| r.said == read.said))
}

/// The Task of a change: open where it contradicts the record.
pub(super) fn task(e: &Entry, open: bool) -> Result<Value, String> {
    let What::AllergyChange {
        allergy,
        read,
        standing,
        reaction,
        severity,
        reason,
        ..
    } = &e.what
    else {
        return Err("no change of an allergy".to_owned());
    };
    let at = instant(e.at, e.zone_minutes);
    let part = |code: &str, words: &str, value: &str| json!({"type": concept(TASK, code, words), "valueString": value});
    let added = reaction.as_deref().map(str::trim).filter(|r| !r.is_empty());
    let parts = [
        (AGENT, "Agent", Some(read.agent.as_str())),
        (WAS, "What was recorded, as it was read", Some(read.said.as_str())),
        (STOOD, "How it stood then", Some(read.stood.as_str())),
        (REACTED, "Reactions recorded then", Some(read.reacted.as_str())),
        (STANDING, "How it stands", Some(standing.code())),
        (REACTION, "Reaction to be added", added),
        (
            SEVERITY,
            "Severity of that reaction",
            severity.map(Severity::code),
        ),
        (PLACE, "Recorded at workstation", Some(e.device.as_str())),
    ];
    let inputs: Vec<Value> = parts
        .into_iter()
        .filter_map(|(code, words, value)| Some(part(code, words, value.filter(|v| !v.is_empty())?)))
        .collect();
    Ok(json!({
        "resourceType": "Task",
        "identifier": identifier(e),
        "status": if open { "requested" } else { "completed" },
        "intent": "order",
        "code": concept(TASK, CHANGE, "Change an allergy"),
        "description": format!("{}: {}", read.agent.trim(), standing.words()),
        "focus": {"reference": allergy, "type": "AllergyIntolerance"},
        "for": subject(e),
        "authoredOn": at,
        "lastModified": at,
        "owner": staff(e),
        "input": inputs,
        "note": [note(e, reason)],
    }))
}

pub(super) fn note(e: &Entry, text: &str) -> Value {
    json!({"authorString": e.name, "time": instant(e.at, e.zone_minutes), "text": text.trim()})
}

/// A resource whose members can be replaced one by one.
pub(super) struct Patched(BTreeMap<String, Box<RawValue>>);

impl Patched {
    pub(super) fn of(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map(Self).map_err(|e| e.to_string())
    }
    pub(super) fn put(&mut self, member: &str, value: &Value) -> Result<(), String> {
        let raw = RawValue::from_string(value.to_string()).map_err(|e| e.to_string())?;
        self.0.insert(member.to_owned(), raw);
        Ok(())
    }
    /// One more in a list.
    pub(super) fn push(&mut self, member: &str, value: &Value) -> Result<(), String> {
        let mut list: Vec<Box<RawValue>> = match self.0.get(member) {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|e| e.to_string())?,
            None => Vec::new(),
        };
        list.push(RawValue::from_string(value.to_string()).map_err(|e| e.to_string())?);
        let list = serde_json::to_string(&list).map_err(|e| e.to_string())?;
        let raw = RawValue::from_string(list).map_err(|e| e.to_string())?;
        self.0.insert(member.to_owned(), raw);
        Ok(())
    }
    fn text(&self, path: (&str, &str)) -> Option<String> {
        let member: Value = serde_json::from_str(self.0.get(path.0)?.get()).ok()?;
        member.pointer(path.1)?.as_str().map(str::to_owned)
    }
    pub(super) fn json(self) -> Result<String, String> {
        serde_json::to_string(&self.0).map_err(|e| e.to_string())
    }
}

/// The allergy as it is after the change.
fn changed(e: &Entry, body: &[u8]) -> Result<String, String> {
    let What::AllergyChange {
        standing,
        reaction,
        severity,
        reason,
        ..
    } = &e.what
    else {
        return Err("no change of an allergy".to_owned());
    };
    let mut a = Patched::of(body)?;
    let coded = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let verification = a.text(("verificationStatus", "/coding/0/code"));
    let (clinical, verification) = match standing {
        Standing::Confirmed => (Some("active"), Some("confirmed")),
        Standing::Unconfirmed => (Some("active"), Some("unconfirmed")),
        Standing::Refuted => (Some("inactive"), Some("refuted")),
        // It was one: what says that it never was does not stand beside that.
        Standing::Resolved => match verification.as_deref() {
            Some("refuted" | "entered-in-error") => (Some("resolved"), Some("unconfirmed")),
            _ => (Some("resolved"), None),
        },
        Standing::EnteredInError => (None, Some("entered-in-error")),
    };
    match clinical {
        Some(code) => a.put("clinicalStatus", &coded(CLINICAL, code))?,
        None => drop(a.0.remove("clinicalStatus")),
    }
    if let Some(code) = verification {
        a.put("verificationStatus", &coded(VERIFICATION, code))?;
    }
    if let Some(reaction) = reaction.as_deref().map(str::trim).filter(|r| !r.is_empty()) {
        a.push("reaction", &super::reaction(reaction, *severity))?;
        if *severity == Some(Severity::LifeThreatening) {
            a.put("criticality", &json!("high"))?;
        }
    }
    a.push(
        "note",
        &note(e, &format!("{}: {}", standing.words(), reason.trim())),
    )?;
    a.json()
}

/// The dispute, decided.
fn decided(e: &Entry, body: &[u8]) -> Result<String, String> {
    let What::AllergyChange { standing, reason, .. } = &e.what else {
        return Err("no change of an allergy".to_owned());
    };
    let mut t = Patched::of(body)?;
    t.put("status", &json!("completed"))?;
    t.put("lastModified", &json!(instant(e.at, e.zone_minutes)))?;
    t.push(
        "note",
        &note(e, &format!("decided {}: {}", standing.words(), reason.trim())),
    )?;
    t.json()
}

/// A transaction Bundle (JSON) that brings a change into a record that still says what its author had read ([`meets`]): the Task, the
/// allergy as it is after it, and the dispute that it decides. Both are written only over the versions given.
///
/// # Errors
/// The sentence saying what cannot be written.
pub fn applied(entry: &Entry, held: Option<Held<'_>>, dispute: Option<Held<'_>>) -> Result<Vec<u8>, String> {
    let What::AllergyChange {
        allergy,
        standing,
        settles,
        ..
    } = &entry.what
    else {
        return Err("no change of an allergy".to_owned());
    };
    let mut entries = vec![made("Task", &task(entry, false)?)];
    match held {
        Some((version, body)) => entries.push(replaced(allergy, version, &changed(entry, body)?)),
        None if standing.stands() => {
            return Err("The allergy is no longer in the record: if it is one, record it anew".to_owned());
        }
        None => {}
    }
    if let (Some((version, body)), Some(task)) = (dispute, settles) {
        entries.push(replaced(task, version, &decided(entry, body)?));
    }
    Ok(transaction(&entries))
}

/// An entry of a Bundle that makes a resource.
pub(super) fn made(kind: &str, resource: &Value) -> String {
    let request = json!({"method": "POST", "url": kind});
    format!("{{\"resource\":{resource},\"request\":{request}}}")
}

/// One that writes a resource over the version given, and over no other.
pub(super) fn replaced(url: &str, version: u64, resource: &str) -> String {
    let request = json!({"method": "PUT", "url": url, "ifMatch": format!("W/\"{version}\"")});
    format!("{{\"resource\":{resource},\"request\":{request}}}")
}

pub(super) fn transaction(entries: &[String]) -> Vec<u8> {
    format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{}]}}",
        entries.join(",")
    )
    .into_bytes()
}

#[cfg(test)]
mod tests;
