//! The three types by which an audit row cannot be forgotten.

use crate::{AccessId, Action, Actor, AuditEntry, Decision, Disclosure, Purpose, grant::GrantId};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use vitrine_clinical::label::{Confidentiality, Label};
use vitrine_clinical::{DeviceId, PatientId, UtcMs};

/// Leave to do one act once. Made only by [`crate::policy::decide`]; it cannot be copied or forged.
pub struct Permit<A: Action> {
    pub(crate) access_id: AccessId,
    pub(crate) at: UtcMs,
    pub(crate) actor: Actor,
    pub(crate) device: Option<DeviceId>,
    pub(crate) purpose: Purpose,
    pub(crate) rule: &'static str,
    pub(crate) grant: Option<GrantId>,
    pub(crate) patient: Option<PatientId>,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) clearance: Confidentiality,
    pub(crate) breaking_helps: bool,
    pub(crate) _act: PhantomData<fn() -> A>,
}

impl<A: Action> Permit<A> {
    /// The access this permit is for.
    #[must_use]
    pub const fn access_id(&self) -> AccessId {
        self.access_id
    }
    /// The patient it is about; a store refuses any other.
    #[must_use]
    pub const fn patient(&self) -> Option<&PatientId> {
        self.patient.as_ref()
    }
    /// When it was decided.
    #[must_use]
    pub const fn at(&self) -> UtcMs {
        self.at
    }
    /// The break-glass grant it rests on.
    #[must_use]
    pub const fn grant(&self) -> Option<GrantId> {
        self.grant
    }
    /// Up to which level it lets see.
    #[must_use]
    pub const fn clearance(&self) -> Confidentiality {
        self.clearance
    }
    /// Whether it lets see what bears this label.
    #[must_use]
    pub fn sees(&self, label: Label) -> bool {
        label.level() <= self.clearance
    }
    /// Whether breaking the glass would show more of this record.
    #[must_use]
    pub const fn breaking_helps(&self) -> bool {
        self.breaking_helps
    }
    /// The refusal of what it does not let see.
    #[must_use]
    pub fn withheld(&self) -> crate::policy::Denied {
        const TEXT: &str = "This is confidential: your access does not include it.";
        crate::policy::refusal(self, "withheld-by-label", TEXT, self.breaking_helps)
    }
    /// Adds a fact to the audit row (the query of a search, the reason of a break-glass).
    #[must_use]
    pub fn noted(mut self, key: &str, value: impl Into<String>) -> Self {
        self.notes.insert(key.to_owned(), value.into());
        self
    }
    /// The audit row of this access.
    #[must_use]
    pub fn entry(&self, disclosure: Disclosure) -> AuditEntry {
        AuditEntry {
            access_id: self.access_id,
            at: self.at,
            actor: self.actor.clone(),
            device: self.device.clone(),
            action: A::NAME.to_owned(),
            purpose: self.purpose,
            decision: Decision::Permit,
            rule: self.rule.to_owned(),
            grant: self.grant,
            patient: self.patient.clone(),
            disclosure,
            notes: self.notes.clone(),
        }
    }
}

/// Data that a store has read and nobody may look at yet. No `Debug`, no `Clone`, no `Deref`.
pub struct Sealed<T> {
    access_id: AccessId,
    disclosure: Disclosure,
    value: T,
}

/// The receipt belongs to another access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this audit receipt is of another access: append the row of this access and open with its receipt")]
pub struct WrongReceipt;

impl<T> Sealed<T> {
    /// Seals what a store has read under `permit`. For stores alone (checked by `cargo xtask tidy`).
    pub fn seal<A: Action>(permit: &Permit<A>, value: T, disclosure: Disclosure) -> Self {
        Self {
            access_id: permit.access_id,
            disclosure,
            value,
        }
    }
    /// What opening it would disclose: the ids and versions for the audit row.
    #[must_use]
    pub const fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }
    /// Changes the value without looking at it from outside; the disclosure stays what was read.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sealed<U> {
        Sealed {
            access_id: self.access_id,
            disclosure: self.disclosure,
            value: change(self.value),
        }
    }
    /// Opens it.
    ///
    /// # Errors
    /// [`WrongReceipt`] when the receipt is of another access; the data are dropped.
    pub fn open(self, receipt: &Receipt) -> Result<T, WrongReceipt> {
        if receipt.access_id == self.access_id {
            Ok(self.value)
        } else {
            Err(WrongReceipt)
        }
    }
}

/// Proof that the audit row of an access is durable.
#[derive(Debug)]
pub struct Receipt {
    access_id: AccessId,
    seq: u64,
}

impl Receipt {
    /// For stores alone, after the commit that holds the row (checked by `cargo xtask tidy`).
    #[must_use]
    pub const fn of_committed_row(access_id: AccessId, seq: u64) -> Self {
        Self { access_id, seq }
    }
    /// The access it proves.
    #[must_use]
    pub const fn access_id(&self) -> AccessId {
        self.access_id
    }
    /// The row's number in its chain.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }
}
