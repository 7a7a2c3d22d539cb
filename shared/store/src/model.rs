//! The types that cross a store.

use crate::imaging::NewInstance;
use crate::{Extract, StoreError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use vitrine_access::{Grant, chain, policy::Role};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};

/// What one change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// Create or replace with these bytes, kept as they are.
    Put(Bytes),
    /// Mark deleted; history stays.
    Delete,
}

/// What must hold for a change to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    Any,
    /// It must not exist (or be deleted).
    Absent,
    /// It must be at this version.
    Version(u64),
}

/// One change.
#[derive(Debug, Clone)]
pub struct ChangeOp {
    /// Which resource.
    pub key: ResourceKey,
    /// What to do.
    pub kind: ChangeKind,
    /// What must hold.
    pub precondition: Precondition,
    /// Its meaning, extracted outside the writer; the store extracts again when a resolved resource has changed
    /// since. `None` lets the store extract.
    pub extract: Option<Extract>,
    /// It follows from the other changes and from what was stored before them: no part of what makes two batches of one
    /// operation id the same. Such changes stand behind all others.
    pub derived: bool,
}

/// Changes that are applied together or not at all.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    /// Operation id: the same id with the same content is applied once and answered alike.
    pub op_id: uuid::Uuid,
    /// The server's time of the change.
    pub at: UtcMs,
    /// The changes, in order.
    pub ops: Vec<ChangeOp>,
    /// Where they come from, for the quarantine and provenance: "POST /fhir", a file name's hash.
    pub source: String,
    /// Images to file with them.
    pub images: Vec<NewInstance>,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedChange {
    /// Which resource.
    pub key: ResourceKey,
    /// Its version now.
    pub version: u64,
    /// True when it did not exist before.
    pub created: bool,
    /// True when bytes and state were the same already: no new version was made.
    pub unchanged: bool,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// One per change, in order.
    pub changes: Vec<AppliedChange>,
    /// Feed position after it.
    pub pos: u64,
    /// True when this operation id had been applied before; `changes` are those of the first time.
    pub duplicate: bool,
}

/// A resource as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResource {
    /// Which.
    pub key: ResourceKey,
    /// Version, from 1.
    pub version: u64,
    /// When this version was stored.
    pub updated: UtcMs,
    /// Whose record it belongs to.
    pub patient: Option<PatientId>,
    /// The bytes as received; empty when deleted.
    pub body: Bytes,
    /// Deleted.
    pub deleted: bool,
}

/// The emergency card as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCard {
    /// Whose.
    pub patient: PatientId,
    /// Version, from 1; grows only when the card's bytes change.
    pub version: u64,
    /// When this version was made.
    pub updated: UtcMs,
    /// The ward.
    pub ward: Option<WardId>,
    /// JSON of `EmergencyCard`.
    pub body: Bytes,
}

/// A page request over a stable order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Continue after this token of the page before.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A page of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The resources.
    pub resources: Vec<StoredResource>,
    /// Token for the next page; `None` at the end.
    pub next: Option<String>,
    /// Those of this page whose bodies lie in the archive: they are there, and must be recalled to be read.
    pub archived: Vec<ArchivedResource>,
    /// All resources of the patient (not only of this page), those withheld too.
    pub total: u64,
    /// Resources of this page that are left out: the permit does not let see them.
    pub withheld: u64,
}

/// A resource whose body lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedResource {
    /// Which.
    pub key: ResourceKey,
    /// Its version.
    pub version: u64,
    /// When this version was stored.
    pub updated: UtcMs,
    /// The pack that holds it.
    pub pack: uuid::Uuid,
}

/// A patient search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words; every one must match as `by` says.
    pub text: String,
    /// What a word must be like.
    pub by: SearchBy,
    /// At most so many.
    pub limit: usize,
}

/// What a word of a patient search is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchBy {
    /// The beginnings of name words, numbers, birth dates ([`crate::search::matches`]).
    #[default]
    Words,
    /// How name words sound ([`crate::search::matches_phonetic`]).
    Sound,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientHit {
    /// Who.
    pub patient: PatientId,
    /// Version of the card the row is made from.
    pub version: u64,
    /// Card JSON (identity and place are shown, nothing clinical).
    pub card: Bytes,
}

/// Result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchHits {
    /// The hits.
    pub hits: Vec<PatientHit>,
    /// There are more.
    pub more: bool,
    /// Patients searched.
    pub of: u64,
}

/// One row of the change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Position, in commit order.
    pub pos: u64,
    /// `board:<ward>`, `ess:<ward>`, `ess:site`, `pat:<id>`, `dir`.
    pub scope: String,
    /// The item's key within the scope: a patient id, or `Type/id` in a `pat:` scope.
    pub key: String,
    /// Version before, 0 = was not in the scope. In a `pat:` scope these are the patient's revisions.
    pub prev: u64,
    /// Version after.
    pub ver: u64,
    /// The item left the scope (moved, deleted).
    pub tomb: bool,
}

/// A stretch of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedBatch {
    /// Rows after the asked position, in order.
    pub rows: Vec<FeedRow>,
    /// Position reached (also when no row matched).
    pub pos: u64,
    /// The oldest position from which the feed can still be read.
    pub oldest: u64,
}

/// One item of a scope as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeItem {
    /// Key within the scope.
    pub key: String,
    /// Version.
    pub ver: u64,
    /// In a `pat:` scope the resource's own version, its `meta.versionId`: `ver` is the record's revision there. `None` elsewhere.
    pub version: Option<u64>,
    /// First 16 bytes of BLAKE3 over the JSON bytes.
    pub hash: [u8; 16],
    /// JSON, uncompressed.
    pub body: Bytes,
}

/// An item without its body, for digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRef {
    /// Key within the scope.
    pub key: String,
    /// Version.
    pub ver: u64,
    /// First 16 bytes of BLAKE3 over the JSON bytes.
    pub hash: [u8; 16],
}

/// A page of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopePage {
    /// Items in key order.
    pub items: Vec<ScopeItem>,
    /// Continue after this key; `None` at the end.
    pub next_after: Option<String>,
    /// Feed position the page was read at.
    pub pos: u64,
    /// In a `pat:` scope the patient's revision at that position, else 0.
    pub rev: u64,
    /// Items in the whole scope.
    pub total: u64,
}

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Sign-in name.
    pub user: UserId,
    /// Name as shown.
    pub display: String,
    /// Role.
    pub role: Role,
    /// Wards.
    pub wards: Vec<WardId>,
    /// Argon2id PHC string of the password.
    pub password_phc: String,
    /// Argon2id PHC string of the PIN; also handed to workstations so that the glass can be broken offline.
    pub pin_phc: Option<String>,
    /// May not sign in.
    pub disabled: bool,
    /// Badges that pick this person, each as `vitrine_wire::digest::badge` has it; a badge is of one person alone.
    pub badges: Vec<String>,
    /// Grows with every change.
    pub version: u64,
}

/// A change of accounts.
#[derive(Debug, Clone)]
pub enum AccountChange {
    /// Create or replace.
    Put(Account),
    /// Disable.
    Disable(UserId),
    /// Give somebody a badge; refused when it is somebody's.
    AddBadge(UserId, String),
    /// Take a badge away; refused when it is not theirs.
    RemoveBadge(UserId, String),
}

/// New secrets of an account: whatever was opened under the old ones ends, for the account's version grows.
#[derive(Debug, Clone)]
pub struct SecretsChange {
    /// Whose.
    pub user: UserId,
    /// Argon2id PHC string of the new password; none: it stays.
    pub password_phc: Option<String>,
    /// Argon2id PHC string of the new PIN; none: it stays.
    pub pin_phc: Option<String>,
    /// A disabled account may sign in again.
    pub enable: bool,
}

/// The badges of an account after a change of them.
///
/// # Errors
/// [`StoreError::Refused`] for one that they have, or have not.
pub fn badges_after(mut badges: Vec<String>, badge: &str, add: bool) -> Result<Vec<String>, StoreError> {
    let there = badges.iter().any(|b| b == badge);
    match (add, there) {
        (true, false) => badges.push(badge.to_owned()),
        (false, true) => badges.retain(|b| b != badge),
        (true, true) => return Err(StoreError::Refused("this badge is theirs already".to_owned())),
        (false, false) => return Err(StoreError::Refused("this badge is not theirs".to_owned())),
    }
    Ok(badges)
}

/// The answer to [`AccountChange::AddBadge`] for a badge that is somebody else's.
#[must_use]
pub fn badge_taken(holder: &UserId) -> StoreError {
    StoreError::Refused(format!(
        "this badge is {holder}'s: take it away from them first ('vitrine-server user badge remove')"
    ))
}

/// A workstation's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceState {
    /// In use.
    Active,
    /// Revoked: it may only receive the order to wipe.
    Revoked,
}

/// A device to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its name as shown.
    pub name: String,
    /// Ed25519 public key.
    pub public_key: Vec<u8>,
}

/// A device as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its id.
    pub id: DeviceId,
    /// Its name as shown.
    pub name: String,
    /// Its ward.
    pub ward: WardId,
    /// It may hold the essentials of the whole site.
    pub site: bool,
    /// Ed25519 public key.
    pub public_key: Vec<u8>,
    /// State.
    pub state: DeviceState,
    /// When enrolled.
    pub enrolled: UtcMs,
    /// When last seen.
    pub last_seen: Option<UtcMs>,
    /// Last audit row of the device that the server holds.
    pub audit_seq: u64,
    /// What the device says of itself: version, key protection, lag, last self-test (JSON).
    pub report: Option<String>,
}

/// A one-time enrolment code as kept (only its hash).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolCode {
    /// SHA-256 of the code.
    pub hash: [u8; 32],
    /// Ward of the device to be.
    pub ward: WardId,
    /// It may hold the essentials of the whole site.
    pub site: bool,
    /// Valid until.
    pub until: UtcMs,
}

/// A session as kept (only the hash of its token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Who; a client's id for a client.
    pub holder: String,
    /// True for a SMART backend client.
    pub client: bool,
    /// At which device.
    pub device: Option<DeviceId>,
    /// Granted scopes of a client.
    pub scopes: Vec<String>,
    /// What it rests on, when the identity provider vouched for the person.
    pub provider: Option<crate::identities::ProviderSession>,
    /// Since.
    pub at: UtcMs,
    /// Until.
    pub until: UtcMs,
}

/// A break-glass grant as the server keeps it, with its review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRow {
    /// The grant.
    pub grant: Grant,
    /// When the server learned of it.
    pub received: UtcMs,
    /// When the review is due: 24 h after the event, never re-dated.
    pub review_due: UtcMs,
    /// It arrived after its review was due.
    pub late: bool,
    /// Why it gives no authority here, for one whose text is not what a workstation makes; reviewed all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Its end before its time: it gives no authority any more. The review's clock goes on from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<vitrine_access::grant::Ended>,
    /// Words that its user added at the workstation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<vitrine_access::grant::LaterWords>,
    /// What was done about its review, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<vitrine_access::review::Event>,
}

/// Something that could not be taken, kept with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineItem {
    /// Where it came from: a file's path as given and the entry within.
    pub location: String,
    /// What it claims to be.
    pub kind: Option<String>,
    /// Why it was not taken, without PHI.
    pub reason: String,
    /// FHIR path of the fault.
    pub expression: Option<String>,
    /// The bytes as received.
    pub body: Bytes,
}

/// A quarantined item as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// Number.
    pub id: u64,
    /// When.
    pub at: UtcMs,
    /// Where it came from.
    pub location: String,
    /// What it claims to be.
    pub kind: Option<String>,
    /// Why.
    pub reason: String,
    /// FHIR path of the fault.
    pub expression: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
}

/// An audit row with its chain values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChainRow {
    /// `server`, or a device's id.
    pub chain: String,
    /// The row.
    pub row: chain::Row,
}

/// Counts for `doctor` and `status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Live resources by type.
    pub resources: std::collections::BTreeMap<String, u64>,
    /// Patients with a card.
    pub patients: u64,
    /// Items in quarantine.
    pub quarantined: u64,
    /// Rows in the server's audit chain.
    pub audit_rows: u64,
    /// Devices.
    pub devices: u64,
}
