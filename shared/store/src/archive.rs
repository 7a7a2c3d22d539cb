//! Legal hold, and the destruction of a patient's record: who may do what when, and what is left to prove it.
//!
//! Lives here: the types, the one function that decides a step ([`ArchiveOrder::step`]), the list a certificate is
//! made of ([`Manifest`]). Never here: a database, the signature, the policy's table. Every backend reads the
//! [`Case`] and carries the step out in one transaction.
//!
//! A record goes by being deleted like any other, resource by resource, so that the feed tells every workstation; then
//! every older version goes too. What stays of a resource is its id, its version number and that it is deleted.

use crate::{Account, ChangeBatch, ChangeKind, ChangeOp, Precondition, StoreError, imaging};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use vitrine_access::action::{ApproveDestruction, DestroyRecord, HoldRecord, RequestDestruction};
use vitrine_access::policy::{PatientFacts, Request, Subject, verdict};
use vitrine_access::{Action, Actor, AuditEntry, Disclosure, Permit};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, ResourceKey, UserId, UtcMs};

/// So many people other than the one who asked must approve.
pub const APPROVALS: usize = 2;

/// A legal hold: while it is there, nothing of the record is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whose record.
    pub patient: PatientId,
    /// Why, in the words of who placed it.
    pub reason: String,
    /// Who placed it.
    pub by: Actor,
    /// When.
    pub at: UtcMs,
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Who.
    pub by: UserId,
    /// When.
    pub at: UtcMs,
}

/// What is counted of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Resources, those deleted before among them.
    pub resources: u64,
    /// Versions of them, the current ones among them.
    pub versions: u64,
}

/// What was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// When.
    pub at: UtcMs,
    /// Who carried it out.
    pub by: Actor,
    /// By resource type.
    pub types: BTreeMap<String, Counted>,
    /// SHA-256, hex, over the list that [`Manifest`] makes.
    pub sha256: String,
}

/// A request to destroy a record, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destruction {
    /// Its id.
    pub id: Uuid,
    /// Whose record.
    pub patient: PatientId,
    /// Why, in the words of who asked.
    pub reason: String,
    /// Who asked, and when.
    pub requested: Signed,
    /// Who approved.
    pub approvals: Vec<Signed>,
    /// Who took it back.
    pub withdrawn: Option<Signed>,
    /// What was destroyed, once it was.
    pub destroyed: Option<Destroyed>,
    /// The certificate, once it was.
    pub certificate: Option<String>,
}

impl Destruction {
    /// How it stands, in a word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Self {
                destroyed: Some(_), ..
            } => "carried-out",
            Self {
                withdrawn: Some(_), ..
            } => "withdrawn",
            d if d.approvals.len() >= APPROVALS => "approved",
            _ => "requested",
        }
    }

    const fn open(&self) -> bool {
        self.destroyed.is_none() && self.withdrawn.is_none()
    }
}

/// All there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveList {
    /// Holds in force, by patient.
    pub holds: Vec<Hold>,
    /// Requests, oldest first.
    pub destructions: Vec<Destruction>,
}

impl ArchiveList {
    /// In the order in which it is shown.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.holds.sort_by(|a, b| a.patient.cmp(&b.patient));
        self.destructions.sort_by_key(|d| (d.requested.at, d.id));
        self
    }
}

/// Writes the certificate of a destruction that is about to be committed.
pub trait Certify: Send + Sync {
    /// The certificate's text. The same destruction must give the same text.
    ///
    /// # Errors
    /// Nothing is destroyed then.
    fn certify(&self, destruction: &Destruction) -> Result<String, StoreError>;
}

/// An act on a record's life, with the leave for it.
pub enum ArchiveAct<'p> {
    /// Place a hold, for a reason.
    Hold(&'p Permit<HoldRecord>, String),
    /// Release it.
    Release(&'p Permit<HoldRecord>),
    /// Ask for a destruction under a new id, for a reason.
    Request(&'p Permit<RequestDestruction>, Uuid, String),
    /// Take it back.
    Withdraw(&'p Permit<RequestDestruction>, Uuid),
    /// Approve it.
    Approve(&'p Permit<ApproveDestruction>, Uuid),
    /// Carry it out.
    CarryOut(&'p Permit<DestroyRecord>, Uuid, Arc<dyn Certify>),
}

/// What is asked for.
pub enum Asked {
    /// Place a hold.
    Hold(String),
    /// Release it.
    Release,
    /// Ask for a destruction.
    Request(Uuid, String),
    /// Take it back.
    Withdraw(Uuid),
    /// Approve it.
    Approve(Uuid),
    /// Carry it out.
    CarryOut(Uuid, Arc<dyn Certify>),
}

/// An act as a backend queues it: what is asked for, of whom, and its audit row.
pub struct ArchiveOrder {
    /// Whose record.
    pub patient: PatientId,
    /// What is asked for.
    pub asked: Asked,
    /// The audit row, still without what is destroyed.
    pub entry: AuditEntry,
}

/// What a backend has of a patient.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// A resource has named this patient.
    pub known: bool,
    /// The record was destroyed.
    pub destroyed: bool,
    /// The hold in force.
    pub hold: Option<Hold>,
    /// All requests about this patient.
    pub destructions: Vec<Destruction>,
    /// The accounts there are.
    pub accounts: Vec<Account>,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This hold, or (`None`) none any more.
    Hold(Option<Hold>),
    /// This request.
    Put(Destruction),
    /// The record goes: [`ArchiveOrder::destroyed`] makes what is put.
    Destroy(Destruction),
    /// Nothing: it was carried out before.
    Already(Destruction),
}

/// How things stand after an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The hold placed.
    pub hold: Option<Hold>,
    /// The request asked for, approved, withdrawn or carried out.
    pub destruction: Option<Destruction>,
}

impl From<Step> for Archived {
    fn from(step: Step) -> Self {
        match step {
            Step::Hold(hold) => Self {
                hold,
                destruction: None,
            },
            Step::Put(d) | Step::Destroy(d) | Step::Already(d) => Self {
                hold: None,
                destruction: Some(d),
            },
        }
    }
}

fn refused<T>(text: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused(text.into()))
}

fn order<A: Action>(permit: &Permit<A>, asked: Asked) -> Result<ArchiveOrder, StoreError> {
    Ok(ArchiveOrder {
        patient: crate::seal::patient_of(permit)?,
        asked,
        entry: permit.entry(Disclosure::default()),
    })
}

impl ArchiveOrder {
    /// Takes an act from its permit.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a permit that names no patient.
    pub fn of(act: ArchiveAct<'_>) -> Result<Self, StoreError> {
        match act {
            ArchiveAct::Hold(p, reason) => order(p, Asked::Hold(reason)),
            ArchiveAct::Release(p) => order(p, Asked::Release),
            ArchiveAct::Request(p, id, reason) => order(p, Asked::Request(id, reason)),
            ArchiveAct::Withdraw(p, id) => order(p, Asked::Withdraw(id)),
            ArchiveAct::Approve(p, id) => order(p, Asked::Approve(id)),
            ArchiveAct::CarryOut(p, id, certify) => order(p, Asked::CarryOut(id, certify)),
        }
    }

    /// Decides what follows, on what the backend has now.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the sentence that says what is in the way.
    pub fn step(&self, case: &Case) -> Result<Step, StoreError> {
        match &self.asked {
            Asked::Hold(reason) => self.hold(case, reason),
            Asked::Release if case.hold.is_none() => refused(format!(
                "the record of patient {} is not under legal hold",
                self.patient
            )),
            Asked::Release => Ok(Step::Hold(None)),
            Asked::Request(id, reason) => self.request(case, *id, reason),
            Asked::Withdraw(id) => {
                let mut d = self.find(case, *id)?;
                Self::still_open(&d)?;
                d.withdrawn = Some(self.signed(case)?);
                Ok(Step::Put(d))
            }
            Asked::Approve(id) => self.approve(case, *id),
            Asked::CarryOut(id, _) => self.carry_out(case, *id),
        }
    }

    fn hold(&self, case: &Case, reason: &str) -> Result<Step, StoreError> {
        self.there(case)?;
        if let Some(h) = &case.hold {
            return refused(format!(
                "the record of patient {} is under legal hold already",
                h.patient
            ));
        }
        Ok(Step::Hold(Some(Hold {
            patient: self.patient.clone(),
            reason: reason.to_owned(),
            by: self.entry.actor.clone(),
            at: self.entry.at,
        })))
    }

    fn request(&self, case: &Case, id: Uuid, reason: &str) -> Result<Step, StoreError> {
        self.there(case)?;
        self.not_held(case)?;
        if let Some(d) = case.destructions.iter().find(|d| d.open()) {
            return refused(format!(
                "the destruction of this record was asked for already: request {}",
                d.id
            ));
        }
        Ok(Step::Put(Destruction {
            id,
            patient: self.patient.clone(),
            reason: reason.to_owned(),
            requested: self.signed(case)?,
            approvals: Vec::new(),
            withdrawn: None,
            destroyed: None,
            certificate: None,
        }))
    }

    fn approve(&self, case: &Case, id: Uuid) -> Result<Step, StoreError> {
        let mut d = self.find(case, id)?;
        Self::still_open(&d)?;
        self.not_held(case)?;
        let signed = self.signed(case)?;
        if signed.by == d.requested.by {
            return refused(format!("{} asked for it: somebody else must approve", signed.by));
        }
        if d.approvals.iter().any(|a| a.by == signed.by) {
            return refused(format!(
                "{} has approved it already: the second approval is another person's",
                signed.by
            ));
        }
        if d.approvals.len() >= APPROVALS {
            return refused("it has both approvals already: carry it out, or withdraw it");
        }
        d.approvals.push(signed);
        Ok(Step::Put(d))
    }

    fn carry_out(&self, case: &Case, id: Uuid) -> Result<Step, StoreError> {
        let d = self.find(case, id)?;
        if d.destroyed.is_some() {
            return Ok(Step::Already(d));
        }
        Self::still_open(&d)?;
        self.there(case)?;
        self.not_held(case)?;
        if d.approvals.len() < APPROVALS {
            return refused(format!(
                "it has {} of the {APPROVALS} approvals it needs",
                d.approvals.len()
            ));
        }
        // What was true when they approved must still be true.
        let mut people: Vec<&UserId> = d.approvals.iter().map(|a| &a.by).collect();
        people.push(&d.requested.by);
        people.sort();
        people.dedup();
        if people.len() <= d.approvals.len() {
            return refused("two of its signatures are of one person");
        }
        for a in &d.approvals {
            self.may_approve(case, &a.by)?;
        }
        Ok(Step::Destroy(d))
    }

    /// The person who acts, who must still be there.
    fn signed(&self, case: &Case) -> Result<Signed, StoreError> {
        let Actor::User(by) = &self.entry.actor else {
            return refused("a destruction is asked for and approved by a person");
        };
        Self::account(case, by)?;
        Ok(Signed {
            by: by.clone(),
            at: self.entry.at,
        })
    }

    fn account<'c>(case: &'c Case, user: &UserId) -> Result<&'c Account, StoreError> {
        match case.accounts.iter().find(|a| a.user == *user) {
            Some(a) if !a.disabled => Ok(a),
            _ => refused(format!("{user} has no account that is in use")),
        }
    }

    /// Asks the policy about one who approved.
    fn may_approve(&self, case: &Case, user: &UserId) -> Result<(), StoreError> {
        let account = Self::account(case, user)?;
        let request = Request {
            access_id: self.entry.access_id,
            at: self.entry.at,
            subject: Subject::User {
                user: user.clone(),
                role: account.role,
                wards: account.wards.clone(),
            },
            device: None,
            patient: Some(PatientFacts {
                patient: self.patient.clone(),
                ward: None,
                label: Label::NONE,
            }),
            ward: None,
            kind: None,
            grant: None,
            purpose: None,
        };
        if verdict(ApproveDestruction::NAME, &request).allow {
            Ok(())
        } else {
            refused(format!("{user}, who approved it, may not approve any more"))
        }
    }

    fn find(&self, case: &Case, id: Uuid) -> Result<Destruction, StoreError> {
        let found = case.destructions.iter().find(|d| d.id == id);
        found
            .cloned()
            .ok_or_else(|| StoreError::Refused(format!("there is no request {id}")))
    }

    fn still_open(d: &Destruction) -> Result<(), StoreError> {
        if d.open() {
            return Ok(());
        }
        refused(format!("request {} is {}", d.id, d.state().replace('-', " ")))
    }

    fn there(&self, case: &Case) -> Result<(), StoreError> {
        if case.destroyed {
            return Err(StoreError::Destroyed {
                index: 0,
                patient: self.patient.clone(),
            });
        }
        if case.known {
            return Ok(());
        }
        refused(format!("there is no patient {}", self.patient))
    }

    fn not_held(&self, case: &Case) -> Result<(), StoreError> {
        if case.hold.is_none() {
            return Ok(());
        }
        refused(format!(
            "the record of patient {} is under legal hold: it must be released first",
            self.patient
        ))
    }

    /// The request as it stands once the record is gone, with its certificate.
    ///
    /// # Errors
    /// As [`Certify::certify`].
    pub fn destroyed(&self, d: Destruction, manifest: Manifest) -> Result<Destruction, StoreError> {
        let Asked::CarryOut(_, certify) = &self.asked else {
            return refused("this is no order to destroy");
        };
        let mut d = Destruction {
            destroyed: Some(manifest.finish(self.entry.at, self.entry.actor.clone())),
            ..d
        };
        d.certificate = Some(certify.certify(&d)?);
        Ok(d)
    }

    /// The batch that deletes what is live.
    #[must_use]
    pub fn deletion(&self, id: Uuid, live: Vec<ResourceKey>) -> ChangeBatch {
        let one = |key| ChangeOp {
            key,
            kind: ChangeKind::Delete,
            precondition: Precondition::Any,
            extract: None,
            derived: false,
        };
        ChangeBatch {
            op_id: id,
            at: self.entry.at,
            ops: live.into_iter().map(one).collect(),
            source: "archive".to_owned(),
            images: Vec::new(),
        }
    }
}

/// How a message of another system is called in the list.
pub const MESSAGE: &str = "Hl7v2Message";

/// The list of what goes: every version of every resource, with the SHA-256 of its bytes.
#[derive(Debug, Default)]
pub struct Manifest {
    lines: Vec<(ResourceKey, u64, [u8; 32])>,
}

impl Manifest {
    /// Adds a version; the bytes of a deleted one are empty.
    pub fn add(&mut self, key: &ResourceKey, version: u64, bytes: &[u8]) {
        self.lines
            .push((key.clone(), version, Sha256::digest(bytes).into()));
    }

    /// Adds an image: its file cannot be opened without the row that goes.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a UID that is none.
    pub fn image(&mut self, uid: &str, sha256: [u8; 32]) -> Result<(), StoreError> {
        self.lines.push((imaging::instance_key(uid)?, 1, sha256));
        Ok(())
    }

    /// Adds a message that another system sent, by its number; its bytes go, its row stays.
    ///
    /// # Errors
    /// None that occur: a number is an id.
    pub fn message(&mut self, id: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let key = ResourceKey::new(MESSAGE, &id.to_string()).map_err(|e| StoreError::Backend {
            doing: "listing what is destroyed",
            cause: e.to_string(),
        })?;
        self.add(&key, 1, bytes);
        Ok(())
    }

    /// Counts, and the digest over the lines `Type id version hash`, sorted by type, id and version.
    fn finish(mut self, at: UtcMs, by: Actor) -> Destroyed {
        self.lines.sort();
        let mut types: BTreeMap<String, Counted> = BTreeMap::new();
        let mut digest = Sha256::new();
        let mut before: Option<&ResourceKey> = None;
        for (key, version, hash) in &self.lines {
            let line = format!("{} {} {version} {}\n", key.kind, key.id, hex(hash));
            digest.update(line.as_bytes());
            let counted = types.entry(key.kind.to_string()).or_default();
            counted.versions += 1;
            counted.resources += u64::from(before != Some(key));
            before = Some(key);
        }
        Destroyed {
            at,
            by,
            types,
            sha256: hex(&digest.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |s, b| s + &format!("{b:02x}"))
}
