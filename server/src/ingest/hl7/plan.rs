//! The drafts of a message against what is recorded: which resources they are, and what is to be written.
//!
//! Lives here: finding the patient and every other resource by their identifiers, the checks that nothing goes into somebody else's
//! record, the changes. Never here: what a message means and how a draft meets a record (`vitrine_hl7v2`), writing.
//! Called by [`super::Intake`] alone, anew whenever the record changed in between.

use crate::ingest::apply::content_op;
use bytes::Bytes;
use std::collections::HashMap;
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::matching::{Doubt, Person, score};
use vitrine_clinical::{FhirId, PatientId, ResourceKey};
use vitrine_hl7v2::json::{Json, at};
use vitrine_hl7v2::merge::{self, Meeting};
use vitrine_hl7v2::time::Stamp;
use vitrine_hl7v2::{Code, Draft, Fault, How, Key, Mapped, Place, referred};
use vitrine_store::{ChangeKind, ChangeOp, Precondition, Store, StoreError};

/// The system of keys whose value is a ward's id itself.
const WARD: &str = "urn:vitrine:ward";
/// Systems that only this server writes: what carries them has the id that follows from them.
const OURS: &str = "urn:vitrine:feed:";

/// Where a message comes from.
pub(super) struct Source<'a> {
    /// The feed.
    pub feed: &'a str,
    /// Its control id.
    pub control: &'a str,
    /// When what it tells happened.
    pub at: Option<Stamp>,
    /// Whether a patient whom nobody knows becomes one.
    pub may_make: bool,
}

/// What is to be written.
pub(super) struct Planned {
    /// The changes.
    pub ops: Vec<ChangeOp>,
    /// Of each change, where in the message it comes from.
    pub places: Vec<Place>,
    /// Whose record it is.
    pub patient: Option<PatientId>,
}

/// A resource as it is recorded, or as an earlier draft of the message left it.
#[derive(Clone)]
struct Standing {
    body: Json,
    /// `None`: it is not recorded.
    version: Option<u64>,
    /// Its change among those planned.
    op: Option<usize>,
}

type Planning<T> = Result<Result<T, Fault>, StoreError>;

/// What is to be written of a message; anew for each try.
///
/// # Errors
/// [`StoreError`]; the inner one is what is at fault with the message.
pub(super) async fn plan(store: &dyn Store, mapped: &Mapped, source: &Source<'_>) -> Planning<Planned> {
    let mut out = Planned {
        ops: Vec::new(),
        places: Vec::new(),
        patient: None,
    };
    let mut keys: Vec<ResourceKey> = Vec::with_capacity(mapped.drafts.len());
    for (index, draft) in mapped.drafts.iter().enumerate() {
        let found = if mapped.patient == Some(index) {
            patient(store, draft, source).await?
        } else {
            other(store, draft).await?
        };
        match found {
            Ok(key) => keys.push(key),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    if let Some(key) = mapped.patient.and_then(|n| keys.get(n)) {
        out.patient = PatientId::new(key.id.as_str()).ok();
    }
    let mut standing: HashMap<ResourceKey, Standing> = HashMap::new();
    for (index, draft) in mapped.drafts.iter().enumerate() {
        let Some(key) = keys.get(index) else { continue };
        let now = match standing.get(key) {
            Some(now) => now.clone(),
            None => match recorded(store, key, draft, out.patient.as_ref()).await? {
                Ok(now) => now,
                Err(fault) => return Ok(Err(fault)),
            },
        };
        // Whoever has to be there and is, stays as recorded; whoever is not was let in by `patient`.
        if draft.how == How::Known && now.body != Json::Null {
            standing.insert(key.clone(), now);
            continue;
        }
        let draft = Draft {
            body: referring(&draft.body, &keys),
            made_with: referring(&draft.made_with, &keys),
            ..draft.clone()
        };
        let is = (now.body != Json::Null).then_some(&now.body);
        let meeting = merge::over(
            is,
            &draft,
            &merge::Source {
                feed: source.feed,
                control: source.control,
                at: source.at.as_ref(),
            },
        );
        let Meeting::Write(body) = meeting else {
            standing.insert(key.clone(), now);
            continue;
        };
        let body = with_id(body, key);
        let bytes = body.to_compact().into_bytes();
        if let Err(issues) = vitrine_fhir::validate(&bytes) {
            let text = issues.first().map_or_else(String::new, |i| {
                format!(
                    "what it says makes no valid {}: {} ({})",
                    draft.kind, i.text, i.expression
                )
            });
            return Ok(Err(Fault::at(Code::DataType, draft.place, text)));
        }
        let op = ChangeOp {
            key: key.clone(),
            kind: ChangeKind::Put(Bytes::from(bytes)),
            precondition: now.version.map_or(Precondition::Absent, Precondition::Version),
            extract: None,
            derived: false,
        };
        let at = match now.op {
            Some(at) => {
                if let Some(before) = out.ops.get_mut(at) {
                    *before = op;
                }
                at
            }
            None => {
                out.ops.push(op);
                out.places.push(draft.place);
                out.ops.len() - 1
            }
        };
        standing.insert(
            key.clone(),
            Standing {
                body,
                version: now.version,
                op: Some(at),
            },
        );
    }
    Ok(Ok(out))
}

/// The id that follows from a key.
fn id_of(kind: &str, key: &Key) -> FhirId {
    if key.system == WARD {
        let id: String = key
            .value
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .take(64)
            .collect();
        if let Ok(id) = FhirId::new(id) {
            return id;
        }
    }
    let content = format!("{kind}\0{}\0{}", key.system, key.value);
    let uuid = content_op(b"hl7v2 key", content.as_bytes());
    FhirId::new(uuid.to_string()).unwrap_or_else(|_| unreachable!("a UUID is a FHIR id"))
}

fn derived(draft: &Draft) -> Option<ResourceKey> {
    let first = draft.keys.first()?;
    ResourceKey::new(draft.kind, id_of(draft.kind, first).as_str()).ok()
}

fn without_key(draft: &Draft) -> Fault {
    Fault::at(
        Code::RequiredField,
        draft.place,
        "nothing here says which one is meant",
    )
}

/// Every resource that carries one of the draft's keys.
async fn carriers(store: &dyn Store, draft: &Draft) -> Result<Vec<ResourceKey>, StoreError> {
    let mut found: Vec<ResourceKey> = Vec::new();
    for key in draft.keys.iter().filter(|k| k.system != WARD) {
        for one in store
            .by_identifier(draft.kind, Some(&key.system), &key.value)
            .await?
        {
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// Whose message it is.
async fn patient(store: &dyn Store, draft: &Draft, source: &Source<'_>) -> Planning<ResourceKey> {
    let found = carriers(store, draft).await?;
    let place = Place::field("PID", 3);
    match found.as_slice() {
        [] if draft.how == How::Known && !source.may_make => Ok(Err(Fault::at(
            Code::UnknownKey,
            place,
            "no patient here has one of these identifiers: their registration (ADT) has to come first",
        ))),
        [] if !source.may_make => Ok(Err(Fault::at(
            Code::UnknownKey,
            place,
            "no patient here has one of these identifiers, and this feed makes no patients",
        ))),
        [] => Ok(derived(draft).ok_or_else(|| without_key(draft))),
        [one] => {
            let recorded = store.lookup(one).await?.and_then(|(_, body)| parsed(&body));
            if recorded.is_some_and(|r| is_somebody_else(&r, &draft.body)) {
                return Ok(Err(Fault::at(
                    Code::UnknownKey,
                    Place::field("PID", 5),
                    "the identifiers are those of a patient with another name and another birth date: nothing was written",
                )));
            }
            Ok(Ok(one.clone()))
        }
        _ => Ok(Err(Fault::at(
            Code::DuplicateKey,
            place,
            "its identifiers belong to more than one patient here: they have to be told apart or joined first",
        ))),
    }
}

/// Which resource another draft is.
async fn other(store: &dyn Store, draft: &Draft) -> Planning<ResourceKey> {
    let Some(own) = derived(draft) else {
        return Ok(Err(without_key(draft)));
    };
    // What only we name has the id that follows from it.
    let foreign = draft
        .keys
        .iter()
        .any(|k| k.system != WARD && !k.system.starts_with(OURS));
    let several = draft.keys.len() > 1;
    if !foreign && !several {
        return Ok(Ok(own));
    }
    let found = carriers(store, draft).await?;
    Ok(match found.as_slice() {
        [] => Ok(own),
        [one] => Ok(one.clone()),
        _ => Err(Fault::at(
            Code::DuplicateKey,
            draft.place,
            "its identifiers belong to more than one entry of the record",
        )),
    })
}

fn parsed(body: &[u8]) -> Option<Json> {
    Json::parse(std::str::from_utf8(body).ok()?).ok()
}

/// What is recorded under a key now. What belongs to somebody else is not touched.
async fn recorded(
    store: &dyn Store,
    key: &ResourceKey,
    draft: &Draft,
    patient: Option<&PatientId>,
) -> Planning<Standing> {
    let (version, body) = match store.lookup(key).await? {
        Some((version, body)) => (Some(version), parsed(&body).unwrap_or(Json::Null)),
        None => (None, Json::Null),
    };
    if draft.kind != "Patient"
        && version.is_some()
        && let Some(Some(owner)) = store.owner(key).await?
        && patient.is_some_and(|p| *p != owner)
    {
        return Ok(Err(Fault::at(
            Code::UnknownKey,
            draft.place,
            "this number is of an entry in another patient's record: nothing was written",
        )));
    }
    Ok(Ok(Standing {
        body,
        version,
        op: None,
    }))
}

/// Whether two Patients with one identifier are two persons: their birth dates differ by more than a slip, and so do their family
/// names (`clinical::matching`). Either alone is a correction, or a marriage.
fn is_somebody_else(recorded: &Json, said: &Json) -> bool {
    let doubts = score(&person(recorded), &person(said)).doubts;
    doubts.contains(&Doubt::BirthDiffers) && doubts.contains(&Doubt::FamilyDiffers)
}

/// Name and birth date of a Patient. Its identifiers are left out: that one agrees is why it is asked.
fn person(patient: &Json) -> Person {
    let texts = |node: &Json, key: &str| -> Vec<String> {
        let items = match node.get(key) {
            Some(Json::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let names = match patient.get("name") {
        Some(Json::Array(names)) => names.as_slice(),
        _ => &[],
    };
    let mut families = names.iter().flat_map(|n| texts(n, "family"));
    Person {
        family: families.next(),
        former: families.collect(),
        given: names.first().map(|n| texts(n, "given")).unwrap_or_default(),
        birth_date: at(patient, &["birthDate"])
            .and_then(Json::as_str)
            .map(PartialDate::new),
        ..Person::default()
    }
}

/// A draft's references as those of the record.
fn referring(node: &Json, keys: &[ResourceKey]) -> Json {
    match node {
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(k, v)| {
                    let to = v.as_str().filter(|_| k == "reference").and_then(referred);
                    let value = match to.and_then(|n| keys.get(n)) {
                        Some(key) => Json::String(key.to_string()),
                        None => referring(v, keys),
                    };
                    (k.clone(), value)
                })
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(|i| referring(i, keys)).collect()),
        other => other.clone(),
    }
}

fn with_id(body: Json, key: &ResourceKey) -> Json {
    let Json::Object(mut members) = body else {
        return body;
    };
    members.retain(|(k, _)| k != "id");
    let after = members
        .iter()
        .position(|(k, _)| k == "resourceType")
        .map_or(0, |n| n + 1);
    members.insert(after, ("id".to_owned(), Json::String(key.id.as_str().to_owned())));
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(family: &str, birth: &str) -> Json {
        Json::parse(&format!(
            r#"{{"resourceType":"Patient","name":[{{"family":"{family}"}}],"birthDate":"{birth}"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn somebody_else_has_another_name_and_another_birth_date() {
        let is = patient("Ödegård", "1950-02-03");
        let cases = [
            ("ODEGARD", "1950-02-03", false),
            ("Larsen", "1950-02-03", false),
            ("Ödegård", "1951-02-03", false),
            ("Larsen", "1950-02", false),
            ("Larsen", "1950-03-02", false),
            ("Oedegaard", "1971-11-20", false),
            ("Larsen", "1971-11-20", true),
            ("", "1971-11-20", false),
        ];
        for (family, birth, somebody_else) in cases {
            assert_eq!(
                is_somebody_else(&is, &patient(family, birth)),
                somebody_else,
                "{family} {birth}"
            );
        }
    }

    #[test]
    fn ids_follow_from_keys() {
        let key = Key::new("urn:x", "7");
        assert_eq!(id_of("Encounter", &key), id_of("Encounter", &key));
        assert_ne!(id_of("Encounter", &key), id_of("Patient", &key));
        assert_eq!(id_of("Location", &Key::new(WARD, "3 West")).as_str(), "3-West");
    }

    #[test]
    fn references_are_those_of_the_record() {
        let key = ResourceKey::new("Patient", "p1").unwrap();
        let draft = Json::parse(
            r#"{"subject":{"reference":"urn:vitrine:draft:0"},"x":[{"reference":"urn:vitrine:draft:9"}]}"#,
        )
        .unwrap();
        assert_eq!(
            referring(&draft, &[key]).to_compact(),
            r#"{"subject":{"reference":"Patient/p1"},"x":[{"reference":"urn:vitrine:draft:9"}]}"#
        );
    }
}
