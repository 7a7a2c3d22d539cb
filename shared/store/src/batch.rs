//! Facts about batches and directory entries that every backend must compute alike.

use crate::{Account, AppliedChange, ChangeBatch, ChangeKind, Precondition, StoreError};
use serde::Serialize;
use vitrine_clinical::{PatientId, ResourceKey};

/// First 16 bytes of BLAKE3 over a body without white space around it: it travels to workstations as a JSON value,
/// and both ends must compute alike (`vitrine_wire::digest::body_hash`).
#[must_use]
pub fn body_hash(body: &[u8]) -> [u8; 16] {
    first16(&blake3::hash(body.trim_ascii()))
}

fn first16(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}

/// Refuses a batch that takes a Patient away and leaves something in the record: nobody would find it again. `deletes`: for each change
/// whether it is a deletion; `live`: the resources of a record that are left after all changes.
///
/// # Errors
/// [`StoreError::NotEmpty`].
pub fn leaves_no_record(
    deletes: impl Iterator<Item = bool>,
    changes: &[AppliedChange],
    live: impl Fn(&PatientId) -> bool,
) -> Result<(), StoreError> {
    for (index, (deletes, change)) in deletes.zip(changes).enumerate() {
        if !deletes || change.unchanged || change.key.kind.as_str() != "Patient" {
            continue;
        }
        if let Ok(patient) = PatientId::new(change.key.id.as_str())
            && live(&patient)
        {
            return Err(StoreError::NotEmpty { index, patient });
        }
    }
    Ok(())
}

/// What makes two batches with the same operation id the same: the resources, what is done to them, and under which
/// preconditions. The time is not part of it, nor what was derived: a batch sent again after a lost answer has others.
#[must_use]
pub fn content_digest(batch: &ChangeBatch) -> [u8; 16] {
    let mut h = blake3::Hasher::new();
    for op in batch.ops.iter().filter(|op| !op.derived) {
        h.update(op.key.to_string().as_bytes());
        match op.precondition {
            Precondition::Any => h.update(&[0, 0]),
            Precondition::Absent => h.update(&[0, 1]),
            Precondition::Version(v) => h.update(&[0, 2]).update(&v.to_be_bytes()),
        };
        match &op.kind {
            ChangeKind::Put(body) => h
                .update(&[1])
                .update(&(body.len() as u64).to_be_bytes())
                .update(body),
            ChangeKind::Delete => h.update(&[2]),
        };
    }
    // The keys of files are drawn anew each time; the bytes they open are what counts.
    for image in &batch.images {
        h.update(&[3]).update(&image.blob.sha256);
        for text in [image.patient.as_str(), &image.study, &image.series, &image.uid] {
            h.update(&(text.len() as u64).to_be_bytes())
                .update(text.as_bytes());
        }
    }
    first16(&h.finalize())
}

/// The `dir` item of an account: the JSON that `wire::http::DirUser` reads.
#[must_use]
pub fn dir_body(account: &Account) -> Vec<u8> {
    #[derive(Serialize)]
    struct Dir<'a> {
        user: &'a str,
        display: &'a str,
        role: &'a str,
        wards: Vec<&'a str>,
        pin_phc: Option<&'a str>,
        disabled: bool,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        badges: &'a [String],
        password_mark: String,
    }
    let dir = Dir {
        user: account.user.as_str(),
        display: &account.display,
        role: account.role.name(),
        wards: account
            .wards
            .iter()
            .map(vitrine_clinical::WardId::as_str)
            .collect(),
        pin_phc: account.pin_phc.as_deref(),
        disabled: account.disabled,
        badges: &account.badges,
        password_mark: password_mark(&account.password_phc),
    };
    // Strings, a list and a flag: there is nothing in it that JSON cannot say.
    serde_json::to_vec(&dir).unwrap_or_default()
}

/// What changes when a password does, and says nothing of it: 8 bytes of BLAKE3 over its PHC string, whose salt of 16 random bytes no
/// workstation ever has. Hex.
fn password_mark(phc: &str) -> String {
    let hash = blake3::derive_key("vitrine mark of a password v1", phc.as_bytes());
    let first = u64::from_be_bytes(std::array::from_fn(|i| hash[i]));
    format!("{first:016x}")
}

/// The key of an account in the `dir` scope.
#[must_use]
pub fn dir_key(user: &str) -> String {
    format!("user/{user}")
}

/// What became of a batch, as it is kept with its operation id. The same id means the same keys in the same order, so
/// only the numbers are kept: nine bytes a change, flags and version.
#[must_use]
pub fn pack_changes(changes: &[AppliedChange]) -> Vec<u8> {
    let mut out = Vec::with_capacity(changes.len() * 9);
    for c in changes {
        out.push(u8::from(c.created) | (u8::from(c.unchanged) << 1));
        out.extend_from_slice(&c.version.to_be_bytes());
    }
    out
}

/// Undoes [`pack_changes`] for the keys of the same batch.
#[must_use]
pub fn unpack_changes<'k>(keys: impl Iterator<Item = &'k ResourceKey>, kept: &[u8]) -> Vec<AppliedChange> {
    let (chunks, _) = kept.as_chunks::<9>();
    keys.zip(chunks)
        .map(|(key, [flags, version @ ..])| AppliedChange {
            key: key.clone(),
            version: u64::from_be_bytes(*version),
            created: flags & 1 != 0,
            unchanged: flags & 2 != 0,
        })
        .collect()
}
