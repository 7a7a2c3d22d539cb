//! The store as the server asks it: timed, with a longest time for every read, tried again where that is safe, and not
//! asked at all for a while after it failed several times in a row. Times and rests are those of a section: a search that
//! hangs, or the replica that answers it, keeps nobody from a chart.
//!
//! Lives here: [`Guarded`], around any store. Never here: what is read. Made by `app`; everything in the server asks
//! through it. Rules:
//! * only reads are tried again, at most twice, after a random wait, and only when the backend itself failed;
//! * a read that took too long is not tried again: who waits has waited enough;
//! * a write is asked once, whatever happens, and waited for: its outcome must be known;
//! * an emergency is always tried, also while the breaker is open.

use super::metrics::Metrics;
use super::sections::{Section, Sections};
use crate::clock;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;
use vitrine_access::action::{
    ImportData, ManageDevices, ManageUsers, ReadAudit, ReadCard, ReadChart, ReadResource, ReviewBreakGlass,
    SearchPatients, SyncScope, WriteClinical,
};
use vitrine_access::grant::GrantId;
use vitrine_access::{AuditEntry, Permit, Receipt, Sealed, chain};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};
use vitrine_store::archive::{ArchiveAct, ArchiveList, Archived};
use vitrine_store::audit_find::{AuditFound, AuditQuery};
use vitrine_store::copies::{Again, Copies, CopyDone, CopyFile, CopyReport, CopyRow, Which};
use vitrine_store::held::{Held, HeldChange, HeldItem, HeldPage};
use vitrine_store::identities::{Bound, Identities, ProviderEnd};
use vitrine_store::imaging::{
    Blob, Imaging, InstanceAfter, InstancePage, InstanceRow, Standing, StudyHits, StudyQuery, StudyRow,
};
use vitrine_store::messages::{
    Keeping, KeptMessage, MessageCount, MessageOutcome, MessageQuery, MessageRow, Messages, NewMessage,
};
use vitrine_store::notes::{NoteHits, NoteQuery};
use vitrine_store::pixels::{Pixels, PixelsDone, SeriesPixels, Unpacked};
use vitrine_store::reviews::{ReviewOrder, Reviews};
use vitrine_store::tiers::{Due, Moved, PackRow, PacksOf, Recall, TierCount, TierReport, TierRule};
use vitrine_store::totp::{SecondFactors, Totp, TotpChange};
use vitrine_store::{
    Account, AccountChange, Accounts, Applied, Archive, AuditChainRow, AuditLog, ChangeBatch, ChartStore,
    ClientRow, Counts, DeviceRow, EnrolCode, Feed, FeedBatch, GrantRow, HistoryPage, ItemRef, KindPage,
    Kinds, NewDevice, Page, PatientHit, QuarantineItem, QuarantineRow, ScopeItem, ScopePage, SearchHits,
    SearchQuery, SecretsChange, SessionRow, Stall, Store, StoreError, StoreMode, StoredCard, StoredResource,
    Tiers, Turn, is_urgent,
};

/// Times a read is tried again.
const AGAIN: u32 = 2;
/// Bound of the first wait before trying again, ms; doubles.
const WAIT_MS: u64 = 25;

/// What the guard says when it does not ask; the refusal's code depends on it.
pub const RESTING: &str = "asking a store that rests after failures";
/// What the guard says when a read took too long.
pub const TOO_LONG: &str = "waiting for a read that took too long";

/// A guarded store.
pub struct Guarded {
    inner: Arc<dyn Store>,
    sections: Sections,
    metrics: Arc<Metrics>,
    began: Instant,
    /// Whose turn it is in this process; whoever has it waits for the other servers.
    turns: Arc<tokio::sync::Mutex<()>>,
}

impl Guarded {
    /// Guards a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, sections: Sections, metrics: Arc<Metrics>) -> Self {
        Self {
            inner,
            sections,
            metrics,
            began: clock::steady(),
            turns: Arc::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A read: bounded, guarded, tried again.
    async fn read<'a, T>(
        &self,
        section: &Section,
        label: &'static str,
        call: impl Fn() -> BoxFuture<'a, Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let urgent = is_urgent();
        for tried in 0..=AGAIN {
            let leave = section.breaker.ask(self.now_ms());
            if leave.is_none() && !urgent {
                self.metrics
                    .count("vitrine_breaker_refusals_total", "of=\"store\"", 1);
                return Err(StoreError::Backend {
                    doing: RESTING,
                    cause: "it is asked again within 30 seconds".to_owned(),
                });
            }
            let began = clock::steady();
            let answer = tokio::time::timeout(section.longest, call()).await;
            self.metrics
                .took("vitrine_query_seconds", label, Some(began.elapsed()));
            let failed = match &answer {
                Err(_) => true,
                Ok(Err(e)) => matches!(e, StoreError::Backend { .. } | StoreError::Closed),
                Ok(Ok(_)) => false,
            };
            if let Some(leave) = leave {
                leave.told(self.now_ms(), !failed);
            }
            if failed {
                self.metrics.count("vitrine_query_failures_total", label, 1);
            }
            match answer {
                Err(_) => {
                    return Err(StoreError::Backend {
                        doing: TOO_LONG,
                        cause: format!("{} ms", section.longest.as_millis()),
                    });
                }
                Ok(Err(StoreError::Backend { .. })) if tried < AGAIN => {
                    self.metrics.count("vitrine_query_retries_total", "", 1);
                    let most = WAIT_MS << tried;
                    let wait = u64::from_le_bytes(clock::random()) % (most + 1);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Ok(done) => return done,
            }
        }
        Err(StoreError::Closed)
    }

    /// Anything else: timed, asked once, waited for.
    async fn once<T>(
        &self,
        label: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let began = clock::steady();
        let answer = call.await;
        self.metrics
            .took("vitrine_query_seconds", label, Some(began.elapsed()));
        if matches!(answer, Err(StoreError::Backend { .. } | StoreError::Closed)) {
            self.metrics.count("vitrine_query_failures_total", label, 1);
        }
        answer
    }
}

macro_rules! read {
    ($self:ident, $call:ident ( $($arg:expr),* )) => { read!($self, store, $call($($arg),*)) };
    ($self:ident, $section:ident, $call:ident ( $($arg:expr),* )) => {
        $self
            .read(
                &$self.sections.$section,
                concat!("kind=\"read\",op=\"", stringify!($call), "\""),
                || $self.inner.$call($($arg),*),
            )
            .await
    };
}
macro_rules! write {
    ($self:ident, $call:ident ( $($arg:expr),* )) => {
        $self
            .once(concat!("kind=\"write\",op=\"", stringify!($call), "\""), $self.inner.$call($($arg),*))
            .await
    };
}
/// Reads that only commands and jobs make, over everything there is: they may take their time.
macro_rules! upkeep {
    ($self:ident, $call:ident ( $($arg:expr),* )) => {
        $self
            .once(concat!("kind=\"upkeep\",op=\"", stringify!($call), "\""), $self.inner.$call($($arg),*))
            .await
    };
}

#[async_trait]
impl ChartStore for Guarded {
    fn mode(&self) -> StoreMode {
        self.inner.mode()
    }
    fn writable(&self) -> Option<tokio::sync::watch::Receiver<bool>> {
        self.inner.writable()
    }
    fn stalls(&self) -> Vec<Stall> {
        self.inner.stalls()
    }
    async fn apply(
        &self,
        permit: &Permit<WriteClinical>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        write!(self, apply(permit, batch))
    }
    async fn import(
        &self,
        permit: &Permit<ImportData>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        write!(self, import(permit, batch))
    }
    async fn quarantine(
        &self,
        permit: &Permit<ImportData>,
        at: UtcMs,
        items: Vec<QuarantineItem>,
    ) -> Result<Receipt, StoreError> {
        write!(self, quarantine(permit, at, items))
    }
    async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        upkeep!(self, quarantined(limit))
    }
    async fn read(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        read!(self, read(permit, key))
    }
    async fn vread(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        read!(self, history, vread(permit, key, version))
    }
    async fn everything(
        &self,
        permit: &Permit<ReadChart>,
        page: Page,
    ) -> Result<Sealed<HistoryPage>, StoreError> {
        read!(self, everything(permit, page.clone()))
    }
    async fn card(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<StoredCard>>, StoreError> {
        read!(self, card(permit))
    }
    async fn search(
        &self,
        permit: &Permit<SearchPatients>,
        query: &SearchQuery,
    ) -> Result<Sealed<SearchHits>, StoreError> {
        read!(self, search, search(permit, query))
    }
    async fn identities(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &[PatientId],
    ) -> Result<Sealed<SearchHits>, StoreError> {
        read!(self, search, identities(permit, patients))
    }
    async fn notes(
        &self,
        permit: &Permit<ReadChart>,
        query: &NoteQuery,
    ) -> Result<Sealed<NoteHits>, StoreError> {
        read!(self, notes(permit, query))
    }
    async fn whereabouts(&self, patient: &PatientId) -> Result<Option<Option<WardId>>, StoreError> {
        read!(self, whereabouts(patient))
    }
    async fn owner(&self, key: &ResourceKey) -> Result<Option<Option<PatientId>>, StoreError> {
        read!(self, owner(key))
    }
    async fn by_identifier(
        &self,
        kind: &str,
        system: Option<&str>,
        value: &str,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        read!(self, by_identifier(kind, system, value))
    }
    async fn lookup(&self, key: &ResourceKey) -> Result<Option<(u64, bytes::Bytes)>, StoreError> {
        read!(self, lookup(key))
    }
    async fn turn(&self) -> Result<Turn, StoreError> {
        let here = self.turns.clone().lock_owned().await;
        let everywhere = write!(self, turn())?;
        // In the order in which they are given back.
        Ok(Turn::of((everywhere, here)))
    }
    async fn catch_up(&self, most: usize) -> Result<u64, StoreError> {
        upkeep!(self, catch_up(most))
    }
    async fn counts(&self) -> Result<Counts, StoreError> {
        upkeep!(self, counts())
    }
}

#[async_trait]
impl Imaging for Guarded {
    async fn study_owner(&self, study: &str) -> Result<Option<PatientId>, StoreError> {
        read!(self, study_owner(study))
    }
    async fn study(&self, study: &str) -> Result<Option<StudyRow>, StoreError> {
        read!(self, study(study))
    }
    async fn standing(&self, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError> {
        read!(self, standing(study, series, instance))
    }
    async fn original(&self, instance: &str) -> Result<Option<Blob>, StoreError> {
        read!(self, original(instance))
    }
    async fn studies(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<StudyRow>>, StoreError> {
        read!(self, studies(permit, study))
    }
    async fn find_studies(
        &self,
        permit: &Permit<SearchPatients>,
        query: &StudyQuery,
    ) -> Result<Sealed<StudyHits>, StoreError> {
        read!(self, search, find_studies(permit, query))
    }
    async fn instances(
        &self,
        permit: &Permit<ReadChart>,
        series: &str,
        after: Option<InstanceAfter>,
        limit: usize,
    ) -> Result<Sealed<InstancePage>, StoreError> {
        read!(self, instances(permit, series, after, limit))
    }
    async fn instance(
        &self,
        permit: &Permit<ReadChart>,
        uid: &str,
    ) -> Result<Sealed<Option<InstanceRow>>, StoreError> {
        read!(self, instance(permit, uid))
    }
}

#[async_trait]
impl Pixels for Guarded {
    async fn unpacked(&self, series: Option<&str>, limit: usize) -> Result<Vec<Unpacked>, StoreError> {
        upkeep!(self, unpacked(series, limit))
    }
    async fn pixels_done(&self, done: PixelsDone) -> Result<bool, StoreError> {
        write!(self, pixels_done(done))
    }
    async fn pixels(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<SeriesPixels>>, StoreError> {
        read!(self, pixels(permit, study))
    }
    async fn look_again(&self, series: &str) -> Result<Vec<Blob>, StoreError> {
        write!(self, look_again(series))
    }
    async fn all_series(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        upkeep!(self, all_series(after, limit))
    }
}

#[async_trait]
impl Held for Guarded {
    async fn held(&self, kind: &str, after: u64, limit: usize) -> Result<HeldPage, StoreError> {
        upkeep!(self, held(kind, after, limit))
    }
    async fn held_item(&self, id: u64) -> Result<Option<HeldItem>, StoreError> {
        upkeep!(self, held_item(id))
    }
    async fn change_held(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        change: HeldChange,
    ) -> Result<bool, StoreError> {
        write!(self, change_held(permit, id, change))
    }
}

#[async_trait]
impl Kinds for Guarded {
    async fn of_kind(
        &self,
        permit: &Permit<ReadChart>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        read!(self, history, of_kind(permit, kind, below, limit))
    }
    async fn of_nobody(
        &self,
        permit: &Permit<ReadResource>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        read!(self, history, of_nobody(permit, kind, below, limit))
    }
}

#[async_trait]
impl Messages for Guarded {
    async fn keep_message(&self, m: NewMessage) -> Result<Keeping, StoreError> {
        write!(self, keep_message(m))
    }
    async fn settle_message(&self, id: u64, at: UtcMs, outcome: MessageOutcome) -> Result<bool, StoreError> {
        write!(self, settle_message(id, at, outcome))
    }
    async fn decide_message(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        at: UtcMs,
        outcome: MessageOutcome,
    ) -> Result<bool, StoreError> {
        write!(self, decide_message(permit, id, at, outcome))
    }
    async fn message(&self, id: u64) -> Result<Option<KeptMessage>, StoreError> {
        upkeep!(self, message(id))
    }
    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRow>, StoreError> {
        upkeep!(self, messages(query))
    }
    async fn unsettled_messages(&self, after: u64, limit: usize) -> Result<Vec<KeptMessage>, StoreError> {
        upkeep!(self, unsettled_messages(after, limit))
    }
    async fn message_counts(&self, since: UtcMs) -> Result<Vec<MessageCount>, StoreError> {
        upkeep!(self, message_counts(since))
    }
    async fn forget_messages(&self, before: UtcMs, most: usize) -> Result<u64, StoreError> {
        write!(self, forget_messages(before, most))
    }
}

#[async_trait]
impl Copies for Guarded {
    async fn copy_targets(&self, names: &[String]) -> Result<(), StoreError> {
        write!(self, copy_targets(names))
    }
    async fn copy_target_mark(&self, name: &str, mark: Option<&str>) -> Result<Option<String>, StoreError> {
        write!(self, copy_target_mark(name, mark))
    }
    async fn copies_list(&self, limit: usize, at: UtcMs) -> Result<usize, StoreError> {
        write!(self, copies_list(limit, at))
    }
    async fn copies_due(
        &self,
        target: &str,
        which: Which,
        now: UtcMs,
        limit: usize,
    ) -> Result<Vec<CopyRow>, StoreError> {
        upkeep!(self, copies_due(target, which, now, limit))
    }
    async fn copies_done(&self, done: CopyDone) -> Result<bool, StoreError> {
        write!(self, copies_done(done))
    }
    async fn copies_left(&self, no: u64, file: CopyFile) -> Result<(), StoreError> {
        write!(self, copies_left(no, file))
    }
    async fn copies_of(&self, uid: &str) -> Result<Vec<CopyRow>, StoreError> {
        read!(self, copies_of(uid))
    }
    async fn copies_report(&self) -> Result<CopyReport, StoreError> {
        upkeep!(self, copies_report())
    }
    async fn copies_faulty(&self, limit: usize) -> Result<Vec<CopyRow>, StoreError> {
        upkeep!(self, copies_faulty(limit))
    }
    async fn copies_again(&self, which: Again, now: UtcMs) -> Result<u64, StoreError> {
        write!(self, copies_again(which, now))
    }
    async fn copies_last(&self) -> Result<u64, StoreError> {
        upkeep!(self, copies_last())
    }
    async fn copies_waiting(&self, target: &str, by: UtcMs) -> Result<u64, StoreError> {
        upkeep!(self, copies_waiting(target, by))
    }
}

#[async_trait]
impl Feed for Guarded {
    async fn epoch(&self) -> Result<String, StoreError> {
        read!(self, epoch())
    }
    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.watch()
    }
    async fn changes_since(
        &self,
        pos: u64,
        scope: Option<&str>,
        limit: usize,
    ) -> Result<FeedBatch, StoreError> {
        read!(self, feed, changes_since(pos, scope, limit))
    }
    async fn items(&self, scope: &str, keys: &[String]) -> Result<Vec<ScopeItem>, StoreError> {
        read!(self, feed, items(scope, keys))
    }
    async fn scope_page(
        &self,
        permit: &Permit<SyncScope>,
        scope: &str,
        after: Option<&str>,
        max_bytes: usize,
    ) -> Result<Sealed<ScopePage>, StoreError> {
        read!(self, feed, scope_page(permit, scope, after, max_bytes))
    }
    async fn scope_refs(&self, scope: &str) -> Result<(Vec<ItemRef>, u64), StoreError> {
        upkeep!(self, scope_refs(scope))
    }
    async fn revision(&self, patient: &PatientId) -> Result<u64, StoreError> {
        read!(self, revision(patient))
    }
    async fn prune(&self, up_to: u64) -> Result<(), StoreError> {
        upkeep!(self, prune(up_to))
    }
}

#[async_trait]
impl AuditLog for Guarded {
    async fn append(&self, entry: AuditEntry) -> Result<Receipt, StoreError> {
        let written = write!(self, append(entry));
        let name = if written.is_ok() {
            "vitrine_audit_rows_total"
        } else {
            "vitrine_audit_failures_total"
        };
        self.metrics.count(name, "", 1);
        written
    }
    async fn accept_device_rows(&self, device: &DeviceId, rows: Vec<chain::Row>) -> Result<u64, StoreError> {
        write!(self, accept_device_rows(device, rows))
    }
    async fn rows(
        &self,
        permit: &Permit<ReadAudit>,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError> {
        upkeep!(self, rows(permit, chain, after, limit))
    }
    async fn find(&self, permit: &Permit<ReadAudit>, query: AuditQuery) -> Result<AuditFound, StoreError> {
        upkeep!(self, find(permit, query))
    }
    async fn heads(&self) -> Result<Vec<(String, chain::Head)>, StoreError> {
        upkeep!(self, heads())
    }
}

#[async_trait]
impl Accounts for Guarded {
    async fn change_account(
        &self,
        permit: &Permit<ManageUsers>,
        change: AccountChange,
    ) -> Result<Receipt, StoreError> {
        write!(self, change_account(permit, change))
    }
    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        read!(self, account(user))
    }
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        upkeep!(self, accounts())
    }
    async fn put_enrol_code(
        &self,
        permit: &Permit<ManageDevices>,
        code: EnrolCode,
    ) -> Result<Receipt, StoreError> {
        write!(self, put_enrol_code(permit, code))
    }
    async fn enrol_codes(&self, at: UtcMs) -> Result<Vec<EnrolCode>, StoreError> {
        read!(self, enrol_codes(at))
    }
    async fn enrol(
        &self,
        code_hash: [u8; 32],
        device: NewDevice,
        at: UtcMs,
    ) -> Result<DeviceRow, StoreError> {
        write!(self, enrol(code_hash, device, at))
    }
    async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        read!(self, device(id))
    }
    async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        upkeep!(self, devices())
    }
    async fn revoke_device(
        &self,
        permit: &Permit<ManageDevices>,
        id: &DeviceId,
    ) -> Result<Receipt, StoreError> {
        write!(self, revoke_device(permit, id))
    }
    async fn device_seen(&self, id: &DeviceId, at: UtcMs, report: Option<String>) -> Result<(), StoreError> {
        write!(self, device_seen(id, at, report))
    }
    async fn change_secrets(&self, entry: AuditEntry, change: SecretsChange) -> Result<Receipt, StoreError> {
        write!(self, change_secrets(entry, change))
    }
    async fn put_session(&self, session: SessionRow) -> Result<(), StoreError> {
        write!(self, put_session(session))
    }
    async fn prolong_session(&self, hash: &[u8; 32], until: UtcMs) -> Result<(), StoreError> {
        write!(self, prolong_session(hash, until))
    }
    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        read!(self, session(hash))
    }
    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        write!(self, end_session(hash))
    }
    async fn forget_sessions(&self, before: UtcMs, most: u32) -> Result<u32, StoreError> {
        write!(self, forget_sessions(before, most))
    }
    async fn put_client(
        &self,
        permit: &Permit<ManageUsers>,
        client: ClientRow,
    ) -> Result<Receipt, StoreError> {
        write!(self, put_client(permit, client))
    }
    async fn remove_client(&self, permit: &Permit<ManageUsers>, id: &str) -> Result<Receipt, StoreError> {
        write!(self, remove_client(permit, id))
    }
    async fn client(&self, id: &str) -> Result<Option<ClientRow>, StoreError> {
        read!(self, client(id))
    }
    async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        read!(self, clients())
    }
}

#[async_trait]
impl Reviews for Guarded {
    async fn keep_grant(
        &self,
        row: GrantRow,
        entry: AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        write!(self, keep_grant(row, entry))
    }
    async fn review(&self, order: ReviewOrder) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        write!(self, review(order))
    }
    async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
        read!(self, grant(id))
    }
    async fn reviewed_patient(
        &self,
        permit: &Permit<ReviewBreakGlass>,
        id: GrantId,
    ) -> Result<Sealed<Option<PatientHit>>, StoreError> {
        read!(self, reviewed_patient(permit, id))
    }
    async fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        upkeep!(self, grants(limit))
    }
    async fn open_reviews(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        upkeep!(self, open_reviews(limit))
    }
    async fn reviews_waiting(&self, before: UtcMs) -> Result<(u64, u64), StoreError> {
        upkeep!(self, reviews_waiting(before))
    }
    async fn reviews_due(&self, at: UtcMs, limit: usize) -> Result<Vec<GrantId>, StoreError> {
        upkeep!(self, reviews_due(at, limit))
    }
}

#[async_trait]
impl Identities for Guarded {
    async fn bind_identity(
        &self,
        issuer: &str,
        subject: &str,
        user: &UserId,
        at: UtcMs,
    ) -> Result<Bound, StoreError> {
        write!(self, bind_identity(issuer, subject, user, at))
    }
    async fn forget_identity(
        &self,
        permit: &Permit<ManageUsers>,
        user: &UserId,
    ) -> Result<Receipt, StoreError> {
        write!(self, forget_identity(permit, user))
    }
    async fn end_provider_sessions(&self, of: &ProviderEnd) -> Result<Vec<SessionRow>, StoreError> {
        write!(self, end_provider_sessions(of))
    }
    async fn once(&self, hash: [u8; 32], at: UtcMs, until: UtcMs) -> Result<bool, StoreError> {
        write!(self, once(hash, at, until))
    }
}

#[async_trait]
impl SecondFactors for Guarded {
    async fn totp(&self, user: &UserId) -> Result<Option<Totp>, StoreError> {
        read!(self, totp(user))
    }
    async fn totps(&self) -> Result<Vec<Totp>, StoreError> {
        read!(self, totps())
    }
    async fn change_totp(&self, entry: AuditEntry, change: TotpChange) -> Result<Receipt, StoreError> {
        write!(self, change_totp(entry, change))
    }
    async fn use_totp(&self, user: &UserId, step: u64) -> Result<bool, StoreError> {
        write!(self, use_totp(user, step))
    }
    async fn use_recovery(&self, user: &UserId, hash: [u8; 32]) -> Result<Option<usize>, StoreError> {
        write!(self, use_recovery(user, hash))
    }
}

#[async_trait]
impl Archive for Guarded {
    async fn archive(&self, act: ArchiveAct<'_>) -> Result<(Archived, Receipt), StoreError> {
        write!(self, archive(act))
    }
    async fn archived(&self) -> Result<ArchiveList, StoreError> {
        upkeep!(self, archived())
    }
}

#[async_trait]
impl Tiers for Guarded {
    async fn tiers(&self) -> Result<TierReport, StoreError> {
        upkeep!(self, tiers())
    }
    async fn packs(&self, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError> {
        upkeep!(self, packs(of))
    }
    async fn tiers_due(&self, rule: &TierRule, limit: usize) -> Result<Due, StoreError> {
        upkeep!(self, tiers_due(rule, limit))
    }
    async fn tiers_would(&self, rule: &TierRule) -> Result<TierCount, StoreError> {
        upkeep!(self, tiers_would(rule))
    }
    async fn pack_down(
        &self,
        entry: AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        ids: [Uuid; 2],
    ) -> Result<Moved, StoreError> {
        write!(self, pack_down(entry, rule, patient, ids))
    }
    async fn pack_away(&self, entry: AuditEntry, pack: Uuid) -> Result<bool, StoreError> {
        write!(self, pack_away(entry, pack))
    }
    async fn pack_home(&self, entry: AuditEntry, pack: Uuid) -> Result<u64, StoreError> {
        write!(self, pack_home(entry, pack))
    }
    async fn ask_recall(&self, entry: AuditEntry, patient: &PatientId) -> Result<Recall, StoreError> {
        write!(self, ask_recall(entry, patient))
    }
    async fn recall(
        &self,
        pack: Uuid,
        at: UtcMs,
        moved: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        write!(self, recall(pack, at, moved))
    }
    async fn check_packs(&self, whole: bool) -> Result<Vec<String>, StoreError> {
        upkeep!(self, check_packs(whole))
    }
    async fn tidy_packs(&self, home_before: UtcMs) -> Result<u64, StoreError> {
        upkeep!(self, tidy_packs(home_before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::ingest::project::FhirProjector;
    use crate::ops::breaker::{Breaker, State};
    use vitrine_store::MemoryStore;
    use vitrine_store::faulty::{FaultyStore, Plan, When};

    fn world(longest_ms: u64) -> (Guarded, Arc<FaultyStore>) {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(FhirProjector), "e"));
        let faulty = Arc::new(FaultyStore::new(memory));
        let lanes = config::Lanes {
            read_ms: longest_ms,
            ..config::Lanes::default()
        };
        let guarded = Guarded::new(faulty.clone(), Sections::new(&lanes), Arc::default());
        (guarded, faulty)
    }
    const ALWAYS: Plan = Plan::Random {
        seed: 1,
        per_mille: 1000,
    };

    #[tokio::test]
    async fn a_read_is_tried_again_and_a_write_is_not() {
        let (store, faulty) = world(5_000);
        faulty.plan(Plan::Nth(1, When::Before));
        assert_eq!(store.epoch().await.unwrap(), "e");
        assert_eq!(faulty.calls_and_failures(), (2, 1));
        faulty.plan(ALWAYS);
        assert!(store.epoch().await.is_err());
        assert_eq!(faulty.calls_and_failures().0, 3, "twice more at most");
        faulty.plan(ALWAYS);
        assert!(store.end_session(&[0; 32]).await.is_err());
        assert_eq!(faulty.calls_and_failures().0, 1);
    }

    #[tokio::test]
    async fn after_failures_it_is_left_alone_but_an_emergency_is_always_tried() {
        let (store, faulty) = world(5_000);
        faulty.plan(ALWAYS);
        for _ in 0..2 {
            assert!(store.epoch().await.is_err());
        }
        let asked = faulty.calls_and_failures().0;
        assert_eq!(asked, 5, "the sixth is not asked any more");
        assert!(matches!(store.epoch().await, Err(StoreError::Backend { doing, .. }) if doing == RESTING));
        assert_eq!(faulty.calls_and_failures().0, asked);
        faulty.plan(Plan::Never);
        assert!(store.epoch().await.is_err(), "it rests");
        assert_eq!(vitrine_store::urgent(store.epoch()).await.unwrap(), "e");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(store.epoch().await.unwrap(), "e", "the probe went well");
        assert_eq!(store.epoch().await.unwrap(), "e");
    }

    #[tokio::test]
    async fn a_read_that_takes_too_long_is_given_up_once() {
        let (store, faulty) = world(30);
        faulty.plan(Plan::Never);
        faulty.delay(Duration::from_millis(500));
        assert!(matches!(store.epoch().await, Err(StoreError::Backend { doing, .. }) if doing == TOO_LONG));
        assert_eq!(faulty.calls_and_failures().0, 1);
    }

    #[tokio::test]
    async fn a_section_that_fails_rests_alone() {
        let (store, faulty) = world(5_000);
        faulty.plan(ALWAYS);
        for _ in 0..2 {
            assert!(store.changes_since(0, None, 1).await.is_err());
        }
        faulty.plan(Plan::Never);
        let resting = store.changes_since(0, None, 1).await;
        assert!(matches!(resting, Err(StoreError::Backend { doing, .. }) if doing == RESTING));
        assert_eq!(store.epoch().await.unwrap(), "e", "nobody else waits for it");
        let open = |b: &Arc<Breaker>| !matches!(b.state(), State::Closed { .. });
        let breakers = store.sections.breakers();
        let resting: Vec<_> = breakers.iter().filter(|b| open(b)).map(|b| b.name).collect();
        assert_eq!(resting, ["feed"]);
    }
}
