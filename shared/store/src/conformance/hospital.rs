//! The small hospital of the suite: a projector of its own, permits, and short ways to say things.

use crate::notes::NoteText;
use crate::{
    Applied, ChangeBatch, ChangeKind, ChangeOp, Extract, FactOut, FactRow, Lookup, PersonRow, Precondition,
    ProjectError, Projection, Projector, Resolved, Store, StoreError,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;
use vitrine_access::policy::{PatientFacts, Request, Subject, decide};
use vitrine_access::{AccessId, Action, AuditEntry, Permit, Receipt, Sealed};
use vitrine_clinical::label::Label;
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};

/// What the suite's resources say, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Note {
    /// Whose.
    pub patient: Option<String>,
    /// Slot of its fact; none = no fact.
    pub slot: Option<String>,
    /// Order within the slot.
    pub order: i64,
    /// Facts of the slot to keep.
    pub keep: u32,
    /// What it says. `bad` cannot be projected.
    pub text: String,
    /// Takes its words from this resource.
    pub from: Option<String>,
    /// `(system, value)`.
    pub identifiers: Vec<(String, String)>,
    /// Name words, for a Patient.
    pub names: Option<String>,
    /// Birth date, for a Patient.
    pub birth: Option<String>,
    /// The ward, in the slot `place`.
    pub ward: Option<String>,
    /// Further wards, in the slot `place`.
    pub also: Vec<String>,
    /// As FHIR has it: the security label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<serde_json::Value>,
}

impl Note {
    /// The bytes of it.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("a note is JSON"))
    }
}

/// Reads [`Note`]s. The card lists the kept facts' texts, the board row says the place.
#[derive(Debug)]
pub struct NoteProjector;

#[derive(Serialize, Deserialize)]
struct Fact {
    text: String,
    ward: Option<String>,
    also: Vec<String>,
}

fn wrong(e: impl std::fmt::Display) -> ProjectError {
    ProjectError(e.to_string())
}

impl Projector for NoteProjector {
    fn extract(
        &self,
        key: &ResourceKey,
        body: &[u8],
        lookup: &mut Lookup<'_>,
    ) -> Result<Extract, ProjectError> {
        let note: Note = serde_json::from_slice(body).map_err(|_| ProjectError("not a note".to_owned()))?;
        let mut resolved = Vec::new();
        let mut text = note.text;
        if let Some(from) = &note.from {
            let on = ResourceKey::parse(from).map_err(wrong)?;
            let found = lookup(&on);
            if let Some((_, bytes)) = &found {
                let other: Note = serde_json::from_slice(bytes).map_err(wrong)?;
                text = format!("{text} {}", other.text);
            }
            resolved.push(Resolved {
                key: on,
                version: found.map(|(v, _)| v),
            });
        }
        let fact = match note.slot {
            Some(slot) => {
                let body = serde_json::to_vec(&Fact {
                    text,
                    ward: note.ward,
                    also: note.also,
                })
                .map_err(wrong)?;
                Some(FactOut {
                    slot,
                    order_ms: note.order,
                    keep: note.keep,
                    body,
                })
            }
            None => None,
        };
        let numbers = note.identifiers.iter().map(|(_, v)| v.clone()).collect();
        let is_patient = key.kind.as_str() == "Patient";
        Ok(Extract {
            patient: note.patient.map(PatientId::new).transpose().map_err(wrong)?,
            identifiers: note.identifiers,
            fact,
            resolved,
            person: is_patient.then(|| PersonRow {
                names_folded: note.names.unwrap_or_default(),
                birth_date: note.birth,
                numbers,
            }),
        })
    }

    /// A note that begins with `[scan]` has more in it than text.
    fn note(&self, _: &ResourceKey, body: &[u8]) -> Result<NoteText, ProjectError> {
        let note: Note = serde_json::from_slice(body).map_err(wrong)?;
        Ok(NoteText {
            whole: !note.text.starts_with("[scan]"),
            text: note.text,
        })
    }

    fn project(&self, patient: &PatientId, facts: &[FactRow]) -> Result<Projection, ProjectError> {
        let mut ward = None;
        let mut also_wards = Vec::new();
        let mut texts = Vec::new();
        for row in facts {
            let fact: Fact = serde_json::from_slice(&row.body).map_err(wrong)?;
            if fact.text == "bad" {
                return Err(ProjectError("a bad fact".to_owned()));
            }
            if let Some(w) = fact.ward {
                ward = Some(WardId::new(w).map_err(wrong)?);
            }
            for w in fact.also {
                also_wards.push(WardId::new(w).map_err(wrong)?);
            }
            texts.push(fact.text);
        }
        texts.sort();
        let card = serde_json::json!({ "patient": patient, "facts": texts });
        let board = ward.as_ref().map(|w| {
            serde_json::json!({ "in": w, "patient": patient })
                .to_string()
                .into_bytes()
        });
        Ok(Projection {
            card: card.to_string().into_bytes(),
            board,
            ward,
            also_wards,
        })
    }
}

/// A store under test with what is needed to speak to it.
pub struct Hospital {
    /// The store.
    pub store: Arc<dyn Store>,
    next: AtomicU64,
}

/// A key.
#[must_use]
pub fn key(text: &str) -> ResourceKey {
    ResourceKey::parse(text).expect("Type/id")
}

/// A patient id.
#[must_use]
pub fn pat(id: &str) -> PatientId {
    PatientId::new(id).expect("a patient id")
}

/// Puts a note.
#[must_use]
pub fn put(at: &str, note: &Note) -> ChangeOp {
    ChangeOp {
        key: key(at),
        kind: ChangeKind::Put(note.bytes()),
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    }
}

/// Deletes a resource.
#[must_use]
pub fn delete(at: &str) -> ChangeOp {
    ChangeOp {
        key: key(at),
        kind: ChangeKind::Delete,
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    }
}

/// A note of a patient in a slot of its own, which the card shows.
#[must_use]
pub fn note(patient: &str, slot: &str, text: &str) -> Note {
    Note {
        patient: Some(patient.to_owned()),
        slot: Some(slot.to_owned()),
        keep: 10,
        text: text.to_owned(),
        ..Note::default()
    }
}

/// A patient with names and a number.
#[must_use]
pub fn person(id: &str, names: &str, birth: &str, mrn: &str) -> ChangeOp {
    let n = Note {
        names: Some(names.to_owned()),
        birth: Some(birth.to_owned()),
        identifiers: vec![("mrn".to_owned(), mrn.to_owned())],
        ..note(id, "identity", names)
    };
    put(&format!("Patient/{id}"), &n)
}

/// The place of a patient.
#[must_use]
pub fn place(patient: &str, ward: Option<&str>, also: &[&str]) -> ChangeOp {
    let n = Note {
        ward: ward.map(str::to_owned),
        also: also.iter().map(|w| (*w).to_owned()).collect(),
        keep: 1,
        ..note(patient, "place", "place")
    };
    put(&format!("Encounter/{patient}-stay"), &n)
}

impl Hospital {
    /// Speaks to a store. `first`: where its numbers for operations and accesses begin.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, first: u64) -> Self {
        Self {
            store,
            next: AtomicU64::new(first),
        }
    }

    /// A number not given before.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A time that grows.
    pub fn now(&self) -> UtcMs {
        UtcMs(1_750_000_000_000 + i64::try_from(self.number()).expect("small"))
    }

    fn request(&self, subject: Subject, patient: Option<&str>, ward: Option<&str>) -> Request {
        Request {
            access_id: AccessId(Uuid::from_u128(u128::from(self.number()) | (7 << 76))),
            at: self.now(),
            subject,
            device: Some(DeviceId::new("dev-1").expect("a device id")),
            patient: patient.map(|p| PatientFacts {
                patient: pat(p),
                ward: None,
                label: Label::NONE,
            }),
            ward: ward.map(|w| WardId::new(w).expect("a ward")),
            kind: None,
            grant: None,
            purpose: None,
        }
    }

    /// A permit for a program with all scopes.
    pub fn client<A: Action>(&self, patient: Option<&str>) -> Permit<A> {
        let subject = Subject::Client {
            id: "suite".to_owned(),
            scopes: vec!["system/*.cruds".to_owned()],
        };
        decide(self.request(subject, patient, None)).expect("a client may")
    }

    /// A permit for a program with one scope.
    pub fn client_with<A: Action>(&self, scope: &str, patient: Option<&str>) -> Permit<A> {
        let subject = Subject::Client {
            id: "suite".to_owned(),
            scopes: vec![scope.to_owned()],
        };
        decide(self.request(subject, patient, None)).expect("a client may")
    }

    /// A permit for whoever runs the server.
    pub fn operator<A: Action>(&self) -> Permit<A> {
        let subject = Subject::Operator {
            account: "suite".to_owned(),
        };
        decide(self.request(subject, None, None)).expect("an operator may")
    }

    /// The same, for an act on a record.
    pub fn operator_of<A: Action>(&self, patient: &str) -> Permit<A> {
        let subject = Subject::Operator {
            account: "suite".to_owned(),
        };
        decide(self.request(subject, Some(patient), None)).expect("an operator may")
    }

    /// A permit for a person who answers for records.
    pub fn keeper<A: Action>(&self, user: &str, patient: &str) -> Permit<A> {
        let subject = Subject::User {
            user: UserId::new(user).expect("a user"),
            role: "privacy-officer".parse().expect("a role"),
            wards: Vec::new(),
        };
        decide(self.request(subject, Some(patient), None)).expect("a privacy officer may")
    }

    /// A permit for a workstation of a site.
    pub fn device<A: Action>(&self) -> Permit<A> {
        let subject = Subject::Device {
            ward: WardId::new("ED").expect("a ward"),
            site: true,
        };
        decide(self.request(subject, None, Some("ED"))).expect("a site device may")
    }

    /// A batch with a new operation id.
    pub fn batch(&self, ops: Vec<ChangeOp>) -> ChangeBatch {
        ChangeBatch {
            op_id: Uuid::from_u128(u128::from(self.number())),
            at: self.now(),
            ops,
            source: "the suite".to_owned(),
            images: Vec::new(),
        }
    }

    /// Applies changes as a program that may write everything.
    pub async fn try_apply(&self, ops: Vec<ChangeOp>) -> Result<Applied, StoreError> {
        let batch = self.batch(ops);
        self.store
            .apply(&self.client(None), batch)
            .await
            .map(|(applied, _)| applied)
    }

    /// The same, expected to succeed.
    pub async fn apply(&self, ops: Vec<ChangeOp>) -> Applied {
        self.try_apply(ops).await.expect("the batch is applied")
    }

    /// Appends the audit row of an access and opens what it sealed, as every caller must.
    pub async fn open<A: Action, T>(&self, permit: &Permit<A>, sealed: Sealed<T>) -> T {
        let receipt: Receipt = self.append(permit.entry(sealed.disclosure().clone())).await;
        sealed.open(&receipt).expect("the receipt of this access")
    }

    /// Appends an audit row.
    pub async fn append(&self, entry: AuditEntry) -> Receipt {
        self.store.append(entry).await.expect("the row is appended")
    }

    /// The texts on a patient's card; `None` when there is no card.
    pub async fn card(&self, patient: &str) -> Option<Vec<String>> {
        let permit = self.client(Some(patient));
        let sealed = self.store.card(&permit).await.expect("the card is read");
        let card = self.open(&permit, sealed).await?;
        let value: serde_json::Value = serde_json::from_slice(&card.body).expect("a card is JSON");
        let facts = value["facts"].as_array().expect("facts").clone();
        Some(
            facts
                .iter()
                .map(|f| f.as_str().expect("text").to_owned())
                .collect(),
        )
    }
}
