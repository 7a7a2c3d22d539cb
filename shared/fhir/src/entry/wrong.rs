//! Vital signs that are wrong, as FHIR R4: a Task about them, and each Observation with the status `entered-in-error`, a note and
//! everything else as it was.
//!
//! Lives here: what is written, byte-exact but for what is changed, and whether the record still says what was read. Never here: the
//! Provenance with the Observation as it was, which the server adds to every such write (ADR 27).

use super::change::{Held, Patched, made, note, replaced, transaction};
use super::{concept, identifier, instant, staff, subject};
use serde_json::{Value, json};
use vitrine_clinical::ResourceKey;
use vitrine_clinical::card::CardFact;
use vitrine_clinical::card::critical::TASK;
use vitrine_clinical::chart::Resource;
use vitrine_clinical::entry::{Entry, What, Wrong, Wrongly};
use vitrine_clinical::summary::said_by;

/// `Task.code` of a mark on vital signs.
pub const WRONG: &str = "vital-signs-in-error";
/// `Task.input.type` of a result that is wrong; its value is a reference to it.
const RESULT: &str = "result";
/// `Task.input.type` of what that said when it was read.
const READ: &str = "result-as-read";

/// What the record says of a result that somebody marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// What was read: it can be marked.
    Same,
    /// It is marked already.
    Marked,
    /// Something else, or nothing.
    Other,
}

/// What the record says of one of the results that an entry marks; `held` = `None` where it is not there.
///
/// # Errors
/// The sentence saying what cannot be read.
pub fn found(entry: &Entry, one: &Wrong, held: Option<Held<'_>>) -> Result<Found, String> {
    let What::VitalsError { at, .. } = &entry.what else {
        return Err("no mark on vital signs".to_owned());
    };
    let Some((version, body)) = held else {
        return Ok(Found::Other);
    };
    let fact = CardFact {
        key: ResourceKey::parse(&one.source).map_err(|e| e.to_string())?,
        version,
        resource: crate::read("Observation", body, &mut |_| None).map_err(|e| e.0.text)?,
    };
    let marked =
        matches!(&fact.resource, Resource::Observation(o) if o.status.as_deref() == Some("entered-in-error"));
    if marked {
        return Ok(Found::Marked);
    }
    let same = said_by(&fact).is_some_and(|(when, values)| when == Some(*at) && values == one.values);
    Ok(if same { Found::Same } else { Found::Other })
}

/// Why, in one sentence: "another patient's: bed 4's".
fn because(why: Wrongly, words: Option<&str>) -> String {
    match words.map(str::trim).filter(|w| !w.is_empty()) {
        Some(words) => format!("{}: {words}", why.words()),
        None => why.words().to_owned(),
    }
}

/// The Task of a mark.
pub(super) fn task(e: &Entry) -> Result<Value, String> {
    let What::VitalsError {
        at: measured,
        wrong,
        why,
        words,
    } = &e.what
    else {
        return Err("no mark on vital signs".to_owned());
    };
    let first = wrong.first().ok_or("no vital sign is marked")?;
    let at = instant(e.at, e.zone_minutes);
    let kind = |code: &str, words: &str| concept(TASK, code, words);
    let inputs: Vec<Value> = wrong
        .iter()
        .flat_map(|w| {
            [
                json!({"type": kind(RESULT, "Result"), "valueReference": {"reference": w.source, "type": "Observation"}}),
                json!({"type": kind(READ, "Result as it was read"), "valueString": w.line()}),
            ]
        })
        .collect();
    let lines: Vec<String> = wrong.iter().map(Wrong::line).collect();
    Ok(json!({
        "resourceType": "Task",
        "identifier": identifier(e),
        "status": "completed",
        "intent": "order",
        "code": concept(TASK, WRONG, "Vital signs entered in error"),
        "description": format!("{}, measured {}", lines.join("; "), instant(*measured, e.zone_minutes)),
        "focus": {"reference": first.source, "type": "Observation"},
        "for": subject(e),
        "authoredOn": at,
        "lastModified": at,
        "owner": staff(e),
        "input": inputs,
        "note": [note(e, &because(*why, words.as_deref()))],
    }))
}

/// A transaction Bundle (JSON) that marks results which still say what was read ([`Found::Same`]), each only over the version given,
/// with the Task.
///
/// # Errors
/// The sentence saying what cannot be written.
pub fn applied(entry: &Entry, held: &[(&Wrong, Held<'_>)]) -> Result<Vec<u8>, String> {
    let What::VitalsError { why, words, .. } = &entry.what else {
        return Err("no mark on vital signs".to_owned());
    };
    let text = format!("entered in error: {}", because(*why, words.as_deref()));
    let mut entries = vec![made("Task", &task(entry)?)];
    for (one, (version, body)) in held {
        let mut o = Patched::of(body)?;
        o.put("status", &json!("entered-in-error"))?;
        o.push("note", &note(entry, &text))?;
        entries.push(replaced(&one.source, *version, &o.json()?));
    }
    Ok(transaction(&entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use vitrine_clinical::entry::{Reading, SaidValue, Sign};
    use vitrine_clinical::{DeviceId, FhirId, PatientId, UserId, UtcMs};

    const AT: UtcMs = UtcMs(1_795_752_720_000);

    fn entry(what: What) -> Entry {
        Entry {
            id: FhirId::new("01935b2e-7c00-7000-8000-00000000000a").unwrap(),
            patient: PatientId::new("p1").unwrap(),
            user: UserId::new("rn.brown").unwrap(),
            name: "RN BROWN (Nurse)".to_owned(),
            device: DeviceId::new("ed-07").unwrap(),
            at: UtcMs(AT.0 + 9_000),
            zone_minutes: 60,
            what,
        }
    }

    /// The Observations that a set of vital signs becomes, as the record has them.
    fn recorded() -> Vec<(String, Vec<u8>)> {
        let reading = |sign, value: &str| Reading {
            sign,
            value: value.to_owned(),
        };
        let set = entry(What::Vitals {
            at: AT,
            readings: vec![
                reading(Sign::Pulse, "188"),
                reading(Sign::Systolic, "120"),
                reading(Sign::Diastolic, "70"),
                reading(Sign::Temperature, "36.6"),
            ],
        });
        let bytes = crate::entry::bundle(&set).unwrap();
        let bundle = Bundle::parse(&bytes).unwrap();
        // As a monitor may have sent it.
        let sent = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap().replace("36.6", "36.60");
        let all = bundle
            .entries
            .iter()
            .map(|e| sent(e.resource.unwrap()).into_bytes());
        all.enumerate()
            .map(|(i, b)| (format!("Observation/o{i}"), b))
            .collect()
    }

    fn fact(source: &str, body: &[u8]) -> CardFact {
        CardFact {
            key: ResourceKey::parse(source).unwrap(),
            version: 3,
            resource: crate::read("Observation", body, &mut |_| None).unwrap(),
        }
    }

    fn wrong_of(source: &str, body: &[u8]) -> Wrong {
        let (at, values) = said_by(&fact(source, body)).unwrap();
        assert_eq!(at, Some(AT));
        Wrong {
            source: source.to_owned(),
            values,
        }
    }

    fn mark(wrong: Vec<Wrong>) -> Entry {
        entry(What::VitalsError {
            at: AT,
            wrong,
            why: Wrongly::OtherPatient,
            words: Some("bed 4's".to_owned()),
        })
    }

    #[test]
    fn what_is_marked_is_shown_no_more_and_everything_else_of_it_stays() {
        let all = recorded();
        let e = mark(all.iter().map(|(s, b)| wrong_of(s, b)).collect());
        assert!(e.what.faults(e.at).is_empty());
        let What::VitalsError { wrong, .. } = &e.what else {
            panic!()
        };
        let lines: Vec<String> = wrong.iter().map(Wrong::line).collect();
        assert_eq!(lines, ["HR 188 /min", "Temp 36.60 °C", "BP 120/70 mmHg"]);
        let held: Vec<_> = wrong
            .iter()
            .zip(&all)
            .map(|(w, (_, b))| (w, (3, b.as_slice())))
            .collect();
        for (w, h) in &held {
            assert_eq!(found(&e, w, Some(*h)), Ok(Found::Same));
        }
        let bytes = applied(&e, &held).unwrap();
        let bundle = Bundle::parse(&bytes).unwrap();
        assert_eq!(bundle.entries.len(), 4);
        for (i, part) in bundle.entries.iter().enumerate() {
            let body = part.resource.unwrap();
            crate::validate(body).unwrap_or_else(|i| panic!("{i:?}"));
            let Some((source, was)) = i.checked_sub(1).and_then(|at| all.get(at)) else {
                continue;
            };
            assert_eq!(said_by(&fact(source, body)), None, "it is no value any more");
            assert_eq!(found(&e, &wrong[i - 1], Some((4, body))), Ok(Found::Marked));
            let (mut now, was): (Value, Value) = (
                serde_json::from_slice(body).unwrap(),
                serde_json::from_slice(was).unwrap(),
            );
            let note = now.as_object_mut().unwrap().remove("note").unwrap();
            assert_eq!(note[0]["text"], "entered in error: another patient's: bed 4's");
            now["status"] = was["status"].clone();
            assert_eq!(now, was);
        }
        assert!(
            String::from_utf8_lossy(&bytes).contains("36.60"),
            "digits as they were"
        );
        assert_eq!(bundle.entries[1].request.as_ref().unwrap().url, "Observation/o0");
    }

    #[test]
    fn what_says_something_else_by_now_is_not_marked() {
        let all = recorded();
        let (source, body) = &all[0];
        let text = String::from_utf8(body.clone()).unwrap();
        let e = mark(vec![wrong_of(source, body)]);
        let What::VitalsError { wrong, .. } = &e.what else {
            panic!()
        };
        for (from, to) in [
            ("188", "88"),
            ("\"/min\"", "\"/s\""),
            ("T05:12", "T05:13"),
            ("\"final\"", "\"cancelled\""),
        ] {
            let now = text.replace(from, to);
            assert_ne!(now, text, "{from}");
            let held = Some((4, now.as_bytes()));
            assert_eq!(found(&e, &wrong[0], held), Ok(Found::Other), "{to}");
        }
        assert_eq!(found(&e, &wrong[0], None), Ok(Found::Other));
        let other = SaidValue {
            value: "187".to_owned(),
            ..wrong[0].values[0].clone()
        };
        let misread = Wrong {
            source: source.clone(),
            values: vec![other],
        };
        assert_eq!(found(&e, &misread, Some((3, body))), Ok(Found::Other));
    }
}
