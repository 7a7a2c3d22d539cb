//! What staff record at a workstation, as FHIR R4: one transaction Bundle an entry.
//!
//! Lives here: the resources an entry becomes; a change of an allergy is in `change`, a mark on vital signs in `wrong`. Never here: checking it (that is `clinical::entry`), ids of resources (the server's).
//! Rules: vital signs by the FHIR R4 vital-signs profile (LOINC, UCUM; both pressures under the panel 85354-9); times with the
//! offset of the ward's clock; who recorded it as a logical reference (R4 §2.3.0.3) by the staff's sign-in name, with the name as shown;
//! allergens in the recorder's own words, never coded by guess; an entry's id as identifier of every resource it became.

pub mod change;
pub mod wrong;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use vitrine_clinical::UtcMs;
use vitrine_clinical::card::critical::{ACKNOWLEDGE, READ, READ_BACK, TASK};
use vitrine_clinical::entry::{
    Certainty, Entry, NoteKind, Reading, Severity, Sign, SignFacts, What, typed_number,
};
use vitrine_clinical::format::civil::Civil;

/// `Identifier.system` of entries.
pub const ENTRY: &str = "urn:vitrine:entry";
/// `Identifier.system` of staff by their sign-in name.
pub const STAFF: &str = "urn:vitrine:staff";

const LOINC: &str = "http://loinc.org";
const SNOMED: &str = "http://snomed.info/sct";
const UCUM: &str = "http://unitsofmeasure.org";

/// A transaction Bundle (JSON) that brings an entry into the record. `entry` must have no faults.
///
/// # Errors
/// The sentence saying what cannot be written.
pub fn bundle(entry: &Entry) -> Result<Vec<u8>, String> {
    let resources = match &entry.what {
        What::Vitals { at, readings } => vitals(entry, *at, readings)?,
        What::Allergy {
            agent,
            reaction,
            severity,
            certainty,
        } => vec![allergy(entry, agent, reaction.as_deref(), *severity, *certainty)],
        // Not in the record: what it contradicts may be there. What is not is done by [`change`].
        What::AllergyChange { .. } => vec![change::task(entry, true)?],
        // Alone it changes nothing: what is marked is marked by [`wrong`].
        What::VitalsError { .. } => vec![wrong::task(entry)?],
        What::NoKnownAllergies => vec![none_known(entry)],
        What::Note { note, text } => vec![document(entry, *note, text)],
        What::Acknowledge { .. } => vec![acknowledgement(entry)?],
    };
    let entries: Vec<Value> = resources
        .into_iter()
        .map(|resource| {
            let url = resource.get("resourceType").cloned();
            json!({"resource": resource, "request": {"method": "POST", "url": url}})
        })
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    Ok(digits_out(&bundle.to_string()).into_bytes())
}

/// An instant with the offset of the ward's clock, to the second.
fn instant(at: UtcMs, zone_minutes: i32) -> String {
    let c = Civil::at(at, zone_minutes);
    let (sign, off) = if zone_minutes < 0 {
        ('-', -zone_minutes)
    } else {
        ('+', zone_minutes)
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        c.year,
        c.month,
        c.day,
        c.hour,
        c.minute,
        c.second,
        off / 60,
        off % 60
    )
}

/// An object with one more member.
fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(o) = object.as_object_mut() {
        o.insert(key.to_owned(), value);
    }
    object
}

fn staff(e: &Entry) -> Value {
    json!({"type": "Practitioner", "identifier": {"system": STAFF, "value": e.user.as_str()}, "display": e.name})
}

fn subject(e: &Entry) -> Value {
    json!({"reference": format!("Patient/{}", e.patient)})
}

fn identifier(e: &Entry) -> Value {
    json!([{"system": ENTRY, "value": e.id.as_str()}])
}

fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}], "text": display})
}

/// Marks a text whose digits are to stand in the JSON as a number, exactly as they were typed: a decimal never passes through a
/// float. The mark cannot be typed: entries with control characters are refused.
const DIGITS: &str = "\u{1}digits:";

fn digits_out(text: &str) -> String {
    // In JSON the mark is written as an escape.
    let mark = format!("\"{}", DIGITS.replace('\u{1}', "\\u0001"));
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(mark.as_str()) {
        out.push_str(before);
        let (digits, after) = after.split_once('"').unwrap_or((after, ""));
        out.push_str(digits);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn quantity(facts: &SignFacts, value: &str) -> Result<Value, String> {
    let d = typed_number(facts, value)?;
    // What stands there must be a JSON number.
    RawValue::from_string(d.as_str().to_owned()).map_err(|e| e.to_string())?;
    let unit = if facts.unit.is_empty() {
        facts.ucum
    } else {
        facts.unit
    };
    Ok(json!({"value": format!("{DIGITS}{d}"), "unit": unit, "system": UCUM, "code": facts.ucum}))
}

fn observation(e: &Entry, at: UtcMs, code: Value) -> Value {
    json!({
        "resourceType": "Observation",
        "identifier": identifier(e),
        "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital Signs"
        }]}],
        "code": code,
        "subject": subject(e),
        "effectiveDateTime": instant(at, e.zone_minutes),
        "issued": instant(e.at, e.zone_minutes),
        "performer": [staff(e)],
    })
}

fn coded(facts: &SignFacts) -> Value {
    let one = concept(LOINC, facts.loinc.0, facts.loinc.1);
    if facts.sign != Sign::Saturation {
        return one;
    }
    // The profile asks for the general code beside the one of the method.
    let codings = json!([
        {"system": LOINC, "code": "2708-6", "display": "Oxygen saturation in Arterial blood"},
        {"system": LOINC, "code": facts.loinc.0, "display": facts.loinc.1},
    ]);
    with(one, "coding", codings)
}

fn vitals(e: &Entry, at: UtcMs, readings: &[Reading]) -> Result<Vec<Value>, String> {
    let mut out = Vec::new();
    let mut pressures = Vec::new();
    for r in readings {
        let facts = r.sign.facts();
        match r.sign {
            Sign::Systolic | Sign::Diastolic => {
                pressures.push(json!({"code": coded(facts), "valueQuantity": quantity(facts, &r.value)?}));
            }
            Sign::Awareness => {
                let (_, words, code, display) = r.chosen().ok_or("no such level of consciousness")?;
                let value = with(concept(SNOMED, code, display), "text", json!(words));
                out.push(with(
                    observation(e, at, coded(facts)),
                    "valueCodeableConcept",
                    value,
                ));
            }
            _ => {
                let value = quantity(facts, &r.value)?;
                out.push(with(observation(e, at, coded(facts)), "valueQuantity", value));
            }
        }
    }
    if !pressures.is_empty() {
        let panel = concept(
            LOINC,
            "85354-9",
            "Blood pressure panel with all children optional",
        );
        out.push(with(
            observation(e, at, panel),
            "component",
            Value::Array(pressures),
        ));
    }
    Ok(out)
}

fn statement(e: &Entry, code: &Value, certainty: Certainty) -> Value {
    let (verification, display) = match certainty {
        Certainty::Confirmed => ("confirmed", "Confirmed"),
        Certainty::Unconfirmed => ("unconfirmed", "Unconfirmed"),
    };
    json!({
        "resourceType": "AllergyIntolerance",
        "identifier": identifier(e),
        "clinicalStatus": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active", "display": "Active"
        }]},
        "verificationStatus": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "code": verification, "display": display
        }]},
        "code": code,
        "patient": subject(e),
        "recordedDate": instant(e.at, e.zone_minutes),
        "recorder": staff(e),
    })
}

fn allergy(
    e: &Entry,
    agent: &str,
    reaction: Option<&str>,
    severity: Option<Severity>,
    certainty: Certainty,
) -> Value {
    let mut a = statement(e, &json!({"text": agent.trim()}), certainty);
    if severity == Some(Severity::LifeThreatening) {
        a = with(a, "criticality", json!("high"));
    }
    if let Some(text) = reaction.map(str::trim).filter(|r| !r.is_empty()) {
        a = with(a, "reaction", json!([self::reaction(text, severity)]));
    }
    a
}

/// What happened, in the recorder's words.
fn reaction(text: &str, severity: Option<Severity>) -> Value {
    let r = json!({"manifestation": [{"text": text}]});
    let Some(severity) = severity else { return r };
    let code = match severity {
        Severity::Mild => "mild",
        Severity::Moderate => "moderate",
        Severity::Severe | Severity::LifeThreatening => "severe",
    };
    with(r, "severity", json!(code))
}

fn none_known(e: &Entry) -> Value {
    statement(
        e,
        &concept(SNOMED, "716186003", "No known allergy"),
        Certainty::Confirmed,
    )
}

/// What somebody did about a result: a Task about it.
fn acknowledgement(e: &Entry) -> Result<Value, String> {
    let What::Acknowledge {
        result,
        version,
        label,
        read,
        answer,
        read_back,
        words,
        ..
    } = &e.what
    else {
        return Err("no acknowledgement".to_owned());
    };
    let at = instant(e.at, e.zone_minutes);
    let part = |code: &str, words: &str, value: &str| json!({"type": concept(TASK, code, words), "valueString": value});
    let said = |t: &Option<String>| {
        t.as_deref()
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let mut task = json!({
        "resourceType": "Task",
        "identifier": identifier(e),
        // Who passes it on has claimed it and does not do it.
        "status": if answer.settles() { "completed" } else { "rejected" },
        "businessStatus": concept(TASK, answer.code(), answer.words()),
        "intent": "order",
        "code": concept(TASK, ACKNOWLEDGE, "Acknowledge critical result"),
        "description": format!("{label} {read}"),
        "focus": {"reference": format!("{result}/_history/{version}"), "type": "Observation"},
        "for": subject(e),
        "authoredOn": at,
        "lastModified": at,
        "owner": staff(e),
        "input": [part(READ, "Result as it was read", read)],
    });
    if let Some(back) = said(read_back) {
        task = with(
            task,
            "output",
            json!([part(READ_BACK, "Read back to the laboratory", &back)]),
        );
    }
    if let Some(words) = said(words) {
        task = with(task, "note", json!([{"time": at, "text": words}]));
    }
    Ok(task)
}

fn document(e: &Entry, kind: NoteKind, text: &str) -> Value {
    let (code, display) = match kind {
        NoteKind::Progress => ("11506-3", "Progress note"),
        NoteKind::Nursing => ("34746-8", "Nurse Note"),
        NoteKind::Emergency => ("34111-5", "Emergency department Note"),
        NoteKind::Handover => ("28651-8", "Nurse Transfer note"),
    };
    let kind_of = with(concept(LOINC, code, display), "text", json!(kind.words()));
    json!({
        "resourceType": "DocumentReference",
        "identifier": identifier(e),
        "status": "current",
        "docStatus": "final",
        "type": kind_of,
        "category": [concept("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note")],
        "subject": subject(e),
        "date": instant(e.at, e.zone_minutes),
        "author": [staff(e)],
        "content": [{"attachment": {
            "contentType": "text/plain; charset=utf-8",
            "data": STANDARD.encode(text.trim()),
            "title": kind.words(),
            "creation": instant(e.at, e.zone_minutes),
        }}],
    })
}

#[cfg(test)]
mod tests;
