//! What a store must do.

use crate::archive::{ArchiveAct, ArchiveList, Archived};
use crate::copies::Copies;
use crate::held::Held;
use crate::identities::Identities;
use crate::imaging::Imaging;
use crate::kinds::Kinds;
use crate::messages::Messages;
use crate::notes::{NoteHits, NoteQuery};
use crate::pixels::Pixels;
use crate::reviews::Reviews;
use crate::tiers::{Due, Moved, PackRow, PacksOf, Recall, TierCount, TierReport, TierRule};
use crate::totp::SecondFactors;
use crate::{
    Account, AccountChange, Applied, AuditChainRow, ChangeBatch, ClientRow, Counts, DeviceRow, EnrolCode,
    FeedBatch, HistoryPage, ItemRef, NewDevice, Page, QuarantineItem, QuarantineRow, ScopeItem, ScopePage,
    SearchHits, SearchQuery, SecretsChange, SessionRow, StoreError, StoredCard, StoredResource,
};
use async_trait::async_trait;
use uuid::Uuid;
use vitrine_access::{
    AuditEntry, Permit, Receipt, Sealed,
    action::{
        ImportData, ManageDevices, ManageUsers, ReadAudit, ReadCard, ReadChart, ReadResource, SearchPatients,
        SyncScope, WriteClinical,
    },
    chain,
};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};

/// What a store can do just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMode {
    /// Everything.
    ReadWrite,
    /// No primary can be reached: reads come from a replica and may be a moment old, writes wait.
    ReadOnly,
}

/// A transaction that has been writing for too long.
#[derive(Debug, Clone, PartialEq)]
pub struct Stall {
    /// Process of the database's server that works on it.
    pub pid: i32,
    /// Its database.
    pub database: String,
    /// What the program that began it calls itself.
    pub application: String,
    /// For how long, in seconds.
    pub age_s: f64,
}

/// Held while a condition is looked up and acted upon; the next one's turn comes when it is dropped.
#[must_use]
#[derive(Default)]
pub struct Turn(Option<Box<dyn Send>>);

impl Turn {
    /// A turn that ends with what is held.
    pub fn of(held: impl Send + 'static) -> Self {
        Self(Some(Box::new(held)))
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Turn").field(&self.0.is_some()).finish()
    }
}

/// The record.
#[async_trait]
pub trait ChartStore: Send + Sync {
    /// Applies a batch: resources, facts, cards, change log and the audit row in one transaction, durable on return.
    async fn apply(
        &self,
        permit: &Permit<WriteClinical>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError>;
    /// The same for an import.
    async fn import(
        &self,
        permit: &Permit<ImportData>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError>;
    /// Keeps what could not be taken, with its reason; one audit row.
    async fn quarantine(
        &self,
        permit: &Permit<ImportData>,
        at: UtcMs,
        items: Vec<QuarantineItem>,
    ) -> Result<Receipt, StoreError>;
    /// Lists what is in quarantine, newest first.
    async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError>;
    /// One resource, current version (deleted ones included, marked).
    async fn read(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError>;
    /// One old or current version.
    async fn vread(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError>;
    /// A patient's whole record, paged in a stable order: the essentials' types first, then newest first.
    async fn everything(
        &self,
        permit: &Permit<ReadChart>,
        page: Page,
    ) -> Result<Sealed<HistoryPage>, StoreError>;
    /// A patient's emergency card.
    async fn card(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<StoredCard>>, StoreError>;
    /// Finds patients; [`StoreError::NotIndexed`] while [`Self::catch_up`] has work left for what is asked.
    async fn search(
        &self,
        permit: &Permit<SearchPatients>,
        query: &SearchQuery,
    ) -> Result<Sealed<SearchHits>, StoreError>;

    /// Patients as [`Self::search`] shows them, by their ids and in that order: whoever is not there is left out. For
    /// those who are shown of many that a search was asked about: the disclosure names these alone.
    async fn identities(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &[PatientId],
    ) -> Result<Sealed<SearchHits>, StoreError>;

    /// Finds notes of the permit's patient by their words.
    async fn notes(
        &self,
        permit: &Permit<ReadChart>,
        query: &NoteQuery,
    ) -> Result<Sealed<NoteHits>, StoreError>;

    /// The patient a resource belongs to and that patient's ward: for the policy, not for showing.
    async fn whereabouts(&self, patient: &PatientId) -> Result<Option<Option<WardId>>, StoreError>;
    /// The owner of a resource: `Some(None)` = exists, belongs to no patient.
    async fn owner(&self, key: &ResourceKey) -> Result<Option<Option<PatientId>>, StoreError>;
    /// Resources of a type that carry an identifier; for conditional references (at most two are returned).
    async fn by_identifier(
        &self,
        kind: &str,
        system: Option<&str>,
        value: &str,
    ) -> Result<Vec<ResourceKey>, StoreError>;
    /// Bytes of a resource for extracting what refers to it; not for showing.
    async fn lookup(&self, key: &ResourceKey) -> Result<Option<(u64, bytes::Bytes)>, StoreError>;
    /// Waits until no other server of this store is between looking a condition up and acting upon it: two conditional creates
    /// at two servers make one resource. Who has the store alone waits for nobody; the order within a process is its own.
    async fn turn(&self) -> Result<Turn, StoreError> {
        Ok(Turn::default())
    }
    /// Counts.
    async fn counts(&self) -> Result<Counts, StoreError>;
    /// Takes patients into the search index whose words an older program wrote, at most so many, and audit rows into
    /// theirs, twenty times as many; gives how many of both are left. May be stopped and begun again at any time.
    async fn catch_up(&self, most: usize) -> Result<u64, StoreError>;
    /// Whether it can be written to just now.
    fn mode(&self) -> StoreMode {
        StoreMode::ReadWrite
    }
    /// Whether it can be written to, to wait for: a change says that what failed a moment ago may be asked again. `None`
    /// where that never changes.
    fn writable(&self) -> Option<tokio::sync::watch::Receiver<bool>> {
        None
    }
    /// Transactions that have been writing for too long, in whatever database of the backend's cluster, as last looked
    /// at: they hold back what it may forget.
    fn stalls(&self) -> Vec<Stall> {
        Vec::new()
    }
}

/// The change feed and the state of scopes, for workstations.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The epoch: changes on restore, failover or by command; positions of different epochs do not compare.
    async fn epoch(&self) -> Result<String, StoreError>;
    /// Tells the newest committed position; wakes on every commit.
    fn watch(&self) -> tokio::sync::watch::Receiver<u64>;
    /// Rows after `pos`, of all scopes or of one.
    async fn changes_since(
        &self,
        pos: u64,
        scope: Option<&str>,
        limit: usize,
    ) -> Result<FeedBatch, StoreError>;
    /// Current bodies of items, for building deltas (missing ones are left out). System access: the disclosure to
    /// a device is audited once, when it subscribes ([`Feed::scope_page`]).
    async fn items(&self, scope: &str, keys: &[String]) -> Result<Vec<ScopeItem>, StoreError>;
    /// A page of a scope in key order, for a snapshot.
    async fn scope_page(
        &self,
        permit: &Permit<SyncScope>,
        scope: &str,
        after: Option<&str>,
        max_bytes: usize,
    ) -> Result<Sealed<ScopePage>, StoreError>;
    /// All items of a scope without bodies, in key order, and the position they were read at.
    async fn scope_refs(&self, scope: &str) -> Result<(Vec<ItemRef>, u64), StoreError>;
    /// A patient's revision (0 = unknown patient).
    async fn revision(&self, patient: &PatientId) -> Result<u64, StoreError>;
    /// Drops feed rows up to `pos` (retention).
    async fn prune(&self, up_to: u64) -> Result<(), StoreError>;
}

/// The audit log: the server's chain and the chains of the devices.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends a row to the server's chain; durable on return.
    async fn append(&self, entry: AuditEntry) -> Result<Receipt, StoreError>;
    /// Takes rows a device uploads: they must continue the device's chain. Same row again = fine; a gap or another
    /// row under the same number is refused. Returns the device's last row now held; durable on return.
    async fn accept_device_rows(&self, device: &DeviceId, rows: Vec<chain::Row>) -> Result<u64, StoreError>;
    /// Rows of a chain (`server` or a device id) after `after`, in order.
    async fn rows(
        &self,
        permit: &Permit<ReadAudit>,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError>;
    /// Finds rows of all chains, newest first; [`StoreError::NotFoundYet`] while [`ChartStore::catch_up`] has rows left
    /// to take into the index.
    async fn find(
        &self,
        permit: &Permit<ReadAudit>,
        query: crate::audit_find::AuditQuery,
    ) -> Result<crate::audit_find::AuditFound, StoreError>;
    /// Chains and their heads.
    async fn heads(&self) -> Result<Vec<(String, chain::Head)>, StoreError>;
}

/// Accounts, devices, sessions.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Changes an account; appears in the `dir` scope.
    async fn change_account(
        &self,
        permit: &Permit<ManageUsers>,
        change: AccountChange,
    ) -> Result<Receipt, StoreError>;
    /// One account.
    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError>;
    /// All accounts by name.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;
    /// Keeps a one-time code.
    async fn put_enrol_code(
        &self,
        permit: &Permit<ManageDevices>,
        code: EnrolCode,
    ) -> Result<Receipt, StoreError>;
    /// The codes not yet used and valid at `at`: the hello before enrolment proves that the server knows the code.
    async fn enrol_codes(&self, at: UtcMs) -> Result<Vec<EnrolCode>, StoreError>;
    /// Uses a code up and enrols the device, once.
    async fn enrol(&self, code_hash: [u8; 32], device: NewDevice, at: UtcMs)
    -> Result<DeviceRow, StoreError>;
    /// One device.
    async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError>;
    /// All devices.
    async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError>;
    /// Revokes a device.
    async fn revoke_device(
        &self,
        permit: &Permit<ManageDevices>,
        id: &DeviceId,
    ) -> Result<Receipt, StoreError>;
    /// Notes that a device was seen and what it reports.
    async fn device_seen(&self, id: &DeviceId, at: UtcMs, report: Option<String>) -> Result<(), StoreError>;
    /// Gives an account new secrets, with the row of who did it: its owner, or whoever runs commands. [`StoreError::Refused`] when there is
    /// no such account.
    async fn change_secrets(&self, entry: AuditEntry, change: SecretsChange) -> Result<Receipt, StoreError>;
    /// Keeps a session.
    async fn put_session(&self, session: SessionRow) -> Result<(), StoreError>;
    /// Moves a session's end. Nothing happens to one that has ended meanwhile: it stays ended.
    async fn prolong_session(&self, hash: &[u8; 32], until: UtcMs) -> Result<(), StoreError>;
    /// A session by its token's hash.
    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError>;
    /// Ends a session.
    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError>;
    /// Removes sessions whose end came before `before`, at most `most` of them; gives how many.
    async fn forget_sessions(&self, before: UtcMs, most: u32) -> Result<u32, StoreError>;
    /// Registers a program, or replaces what is registered under its id. Sessions that it opened itself end with that.
    async fn put_client(
        &self,
        permit: &Permit<ManageUsers>,
        client: ClientRow,
    ) -> Result<Receipt, StoreError>;
    /// Removes a program; sessions that it opened itself end with that. [`StoreError::Refused`] when there is none.
    async fn remove_client(&self, permit: &Permit<ManageUsers>, id: &str) -> Result<Receipt, StoreError>;
    /// A registered program.
    async fn client(&self, id: &str) -> Result<Option<ClientRow>, StoreError>;
    /// All of them, by id.
    async fn clients(&self) -> Result<Vec<ClientRow>, StoreError>;
}

/// Legal holds, and the destruction of records.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Carries an act out, on what is there at that moment, in one transaction with its audit row. A record that is
    /// destroyed leaves its scopes like one that is deleted; afterwards none of its bytes are here, and
    /// [`StoreError::Destroyed`] answers whoever writes to it. Carried out again, the first outcome is given again.
    async fn archive(&self, act: ArchiveAct<'_>) -> Result<(Archived, Receipt), StoreError>;
    /// Holds in force and all requests.
    async fn archived(&self) -> Result<ArchiveList, StoreError>;
}

/// Where the bodies of records lie, and moving them. Nothing of this shows a body to anybody: what is given is ids,
/// counts and sizes. `entry` is the audit row of a move; it is written when something moved, in the same transaction.
#[async_trait]
pub trait Tiers: Send + Sync {
    /// What lies where.
    async fn tiers(&self) -> Result<TierReport, StoreError>;
    /// Packs, oldest first.
    async fn packs(&self, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError>;
    /// What the rule wants done, at most so many of each.
    async fn tiers_due(&self, rule: &TierRule, limit: usize) -> Result<Due, StoreError>;
    /// What a run would pack, without doing it.
    async fn tiers_would(&self, rule: &TierRule) -> Result<TierCount, StoreError>;
    /// Packs what is old enough of one record and lets go of it in the database, once the pack was read back. Does
    /// nothing while the patient is on a ward or the record was used lately. `ids`: for a pack that stays warm and
    /// for one that belongs in the archive.
    async fn pack_down(
        &self,
        entry: AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        ids: [Uuid; 2],
    ) -> Result<Moved, StoreError>;
    /// Moves a warm pack into the archive: copied, proven, then let go of here. Gives false when it is not warm.
    async fn pack_away(&self, entry: AuditEntry, pack: Uuid) -> Result<bool, StoreError>;
    /// Puts a warm pack's bodies back into the database. The file stays until [`Tiers::tidy_packs`] finds it old.
    async fn pack_home(&self, entry: AuditEntry, pack: Uuid) -> Result<u64, StoreError>;
    /// Asks for a record's packs in the archive; asked again, nothing is written.
    async fn ask_recall(&self, entry: AuditEntry, patient: &PatientId) -> Result<Recall, StoreError>;
    /// Brings a pack back from the archive, proven; `moved` is told of the bytes.
    async fn recall(
        &self,
        pack: Uuid,
        at: UtcMs,
        moved: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError>;
    /// Checks every pack's file against what is known of it, with `whole` to the last byte: a sentence each for what is
    /// wrong.
    async fn check_packs(&self, whole: bool) -> Result<Vec<String>, StoreError>;
    /// Removes what no row knows, and packs whose bodies were put back before a moment; notes where packs lie that a
    /// restored database takes for being elsewhere. Gives how many files.
    async fn tidy_packs(&self, home_before: UtcMs) -> Result<u64, StoreError>;
}

/// A whole backend.
pub trait Store:
    ChartStore
    + Kinds
    + Feed
    + AuditLog
    + Accounts
    + Identities
    + Archive
    + Tiers
    + Imaging
    + Pixels
    + Copies
    + Held
    + Reviews
    + SecondFactors
    + Messages
{
}
impl<
    T: ChartStore
        + Kinds
        + Feed
        + AuditLog
        + Accounts
        + Identities
        + Archive
        + Tiers
        + Imaging
        + Pixels
        + Copies
        + Held
        + Reviews
        + SecondFactors
        + Messages,
> Store for T
{
}
