//! A store that fails on purpose, around another store.
//!
//! Two ways to fail matter: before (nothing happened) and after (it happened, and the answer was lost). The second is
//! the reason for operation ids. Called by tests of the server, of the link and of simulations.

use crate::archive::{ArchiveAct, ArchiveList, Archived};
use crate::audit_find::{AuditFound, AuditQuery};
use crate::copies::{Again, Copies, CopyDone, CopyFile, CopyReport, CopyRow, Which};
use crate::held::{Held, HeldChange, HeldItem, HeldPage};
use crate::identities::{Bound, Identities, ProviderEnd};
use crate::imaging::{
    Blob, Imaging, InstanceAfter, InstancePage, InstanceRow, Standing, StudyHits, StudyQuery, StudyRow,
};
use crate::kinds::{KindPage, Kinds};
use crate::messages::{
    Keeping, KeptMessage, MessageCount, MessageOutcome, MessageQuery, MessageRow, Messages, NewMessage,
};
use crate::notes::{NoteHits, NoteQuery};
use crate::pixels::{Pixels, PixelsDone, SeriesPixels, Unpacked};
use crate::reviews::{ReviewOrder, Reviews};
use crate::tiers::{Due, Moved, PackRow, PacksOf, Recall, TierCount, TierReport, TierRule};
use crate::totp::{SecondFactors, Totp, TotpChange};
use crate::{
    Account, AccountChange, Accounts, Applied, Archive, AuditChainRow, AuditLog, ChangeBatch, ChartStore,
    ClientRow, Counts, DeviceRow, EnrolCode, Feed, FeedBatch, GrantRow, HistoryPage, ItemRef, NewDevice,
    Page, PatientHit, QuarantineItem, QuarantineRow, ScopeItem, ScopePage, SearchHits, SearchQuery,
    SecretsChange, SessionRow, Stall, Store, StoreError, StoredCard, StoredResource, Tiers,
};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;
use vitrine_access::action::{
    ImportData, ManageDevices, ManageUsers, ReadAudit, ReadCard, ReadChart, ReadResource, ReviewBreakGlass,
    SearchPatients, SyncScope, WriteClinical,
};
use vitrine_access::grant::GrantId;
use vitrine_access::{AuditEntry, Permit, Receipt, Sealed, chain};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before anything was done.
    Before,
    /// After it was done: the caller cannot know.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Never,
    /// The call with this number, counted from 1 since the plan was made.
    Nth(u64, When),
    /// Each call with this probability in a thousand, drawn from a seed; half of them before, half after.
    Random {
        /// Seed; the same seed gives the same failures for the same calls.
        seed: u64,
        /// Probability in thousandths.
        per_mille: u64,
    },
}

struct State {
    plan: Plan,
    calls: u64,
    failed: u64,
    delay: Duration,
    /// Calls by name that take longer than the others.
    slow: HashMap<&'static str, Duration>,
    /// The plan is for these calls alone; for all when empty.
    only: Vec<&'static str>,
    /// Transactions that the backend says are stalled.
    stalls: Vec<Stall>,
}

/// Wraps a store and fails as planned.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

impl FaultyStore {
    /// Wraps a store; nothing fails yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let state = State {
            plan: Plan::Never,
            calls: 0,
            failed: 0,
            delay: Duration::ZERO,
            slow: HashMap::new(),
            only: Vec::new(),
            stalls: Vec::new(),
        };
        Self {
            inner,
            state: Mutex::new(state),
        }
    }

    /// Makes a plan and counts calls from 1 again.
    pub fn plan(&self, plan: Plan) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (s.plan, s.calls, s.failed) = (plan, 0, 0);
    }

    /// Every call from now on takes at least this long.
    pub fn delay(&self, delay: Duration) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).delay = delay;
    }

    /// Every call of this name from now on takes at least this long.
    pub fn delay_of(&self, call: &'static str, delay: Duration) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.slow.insert(call, delay);
    }

    /// From now on these transactions are said to be stalled.
    pub fn stall(&self, stalls: Vec<Stall>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stalls = stalls;
    }

    /// From now on the plan is for calls of these names alone; for all again when none is named.
    pub fn only(&self, calls: &[&'static str]) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).only = calls.to_vec();
    }

    /// Calls made and calls failed since the last plan.
    #[must_use]
    pub fn calls_and_failures(&self) -> (u64, u64) {
        let s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (s.calls, s.failed)
    }

    /// What becomes of the next call.
    async fn next(&self, call: &'static str) -> Option<When> {
        let (when, delay) = {
            let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let delay = s.slow.get(call).copied().unwrap_or(s.delay);
            let planned = s.only.is_empty() || s.only.contains(&call);
            s.calls += u64::from(planned);
            let when = match s.plan {
                _ if !planned => None,
                Plan::Never => None,
                Plan::Nth(n, when) => (s.calls == n).then_some(when),
                Plan::Random { seed, per_mille } => {
                    let drawn = mix(seed ^ mix(s.calls));
                    let when = if drawn & (1 << 40) == 0 {
                        When::Before
                    } else {
                        When::After
                    };
                    (drawn % 1000 < per_mille).then_some(when)
                }
            };
            s.failed += u64::from(when.is_some());
            (when, delay)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        when
    }
}

/// SplitMix64's finaliser: neighbouring numbers give unrelated ones.
const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn planned(doing: &'static str) -> StoreError {
    StoreError::Backend {
        doing,
        cause: "failed on purpose".to_owned(),
    }
}

macro_rules! through {
    ($self:ident, $call:ident ( $($arg:expr),* )) => {{
        match $self.next(stringify!($call)).await {
            Some(When::Before) => Err(planned(stringify!($call))),
            Some(When::After) => {
                let _ = $self.inner.$call($($arg),*).await;
                Err(planned(stringify!($call)))
            }
            None => $self.inner.$call($($arg),*).await,
        }
    }};
}

#[async_trait]
impl ChartStore for FaultyStore {
    fn stalls(&self) -> Vec<Stall> {
        let s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.stalls.clone()
    }
    async fn apply(
        &self,
        permit: &Permit<WriteClinical>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        through!(self, apply(permit, batch))
    }
    async fn import(
        &self,
        permit: &Permit<ImportData>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        through!(self, import(permit, batch))
    }
    async fn quarantine(
        &self,
        permit: &Permit<ImportData>,
        at: UtcMs,
        items: Vec<QuarantineItem>,
    ) -> Result<Receipt, StoreError> {
        through!(self, quarantine(permit, at, items))
    }
    async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        through!(self, quarantined(limit))
    }
    async fn read(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        through!(self, read(permit, key))
    }
    async fn vread(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        through!(self, vread(permit, key, version))
    }
    async fn everything(
        &self,
        permit: &Permit<ReadChart>,
        page: Page,
    ) -> Result<Sealed<HistoryPage>, StoreError> {
        through!(self, everything(permit, page))
    }
    async fn card(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<StoredCard>>, StoreError> {
        through!(self, card(permit))
    }
    async fn search(
        &self,
        permit: &Permit<SearchPatients>,
        query: &SearchQuery,
    ) -> Result<Sealed<SearchHits>, StoreError> {
        through!(self, search(permit, query))
    }
    async fn identities(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &[PatientId],
    ) -> Result<Sealed<SearchHits>, StoreError> {
        through!(self, identities(permit, patients))
    }
    async fn notes(
        &self,
        permit: &Permit<ReadChart>,
        query: &NoteQuery,
    ) -> Result<Sealed<NoteHits>, StoreError> {
        through!(self, notes(permit, query))
    }
    async fn whereabouts(&self, patient: &PatientId) -> Result<Option<Option<WardId>>, StoreError> {
        through!(self, whereabouts(patient))
    }
    async fn owner(&self, key: &ResourceKey) -> Result<Option<Option<PatientId>>, StoreError> {
        through!(self, owner(key))
    }
    async fn by_identifier(
        &self,
        kind: &str,
        system: Option<&str>,
        value: &str,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        through!(self, by_identifier(kind, system, value))
    }
    async fn lookup(&self, key: &ResourceKey) -> Result<Option<(u64, bytes::Bytes)>, StoreError> {
        through!(self, lookup(key))
    }
    async fn turn(&self) -> Result<crate::Turn, StoreError> {
        through!(self, turn())
    }
    async fn catch_up(&self, most: usize) -> Result<u64, StoreError> {
        through!(self, catch_up(most))
    }
    async fn counts(&self) -> Result<Counts, StoreError> {
        through!(self, counts())
    }
}

#[async_trait]
impl Imaging for FaultyStore {
    async fn study_owner(&self, study: &str) -> Result<Option<PatientId>, StoreError> {
        through!(self, study_owner(study))
    }
    async fn study(&self, study: &str) -> Result<Option<StudyRow>, StoreError> {
        through!(self, study(study))
    }
    async fn standing(&self, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError> {
        through!(self, standing(study, series, instance))
    }
    async fn original(&self, instance: &str) -> Result<Option<Blob>, StoreError> {
        through!(self, original(instance))
    }
    async fn studies(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<StudyRow>>, StoreError> {
        through!(self, studies(permit, study))
    }
    async fn find_studies(
        &self,
        permit: &Permit<SearchPatients>,
        query: &StudyQuery,
    ) -> Result<Sealed<StudyHits>, StoreError> {
        through!(self, find_studies(permit, query))
    }
    async fn instances(
        &self,
        permit: &Permit<ReadChart>,
        series: &str,
        after: Option<InstanceAfter>,
        limit: usize,
    ) -> Result<Sealed<InstancePage>, StoreError> {
        through!(self, instances(permit, series, after, limit))
    }
    async fn instance(
        &self,
        permit: &Permit<ReadChart>,
        uid: &str,
    ) -> Result<Sealed<Option<InstanceRow>>, StoreError> {
        through!(self, instance(permit, uid))
    }
}

#[async_trait]
impl Pixels for FaultyStore {
    async fn unpacked(&self, series: Option<&str>, limit: usize) -> Result<Vec<Unpacked>, StoreError> {
        through!(self, unpacked(series, limit))
    }
    async fn pixels_done(&self, done: PixelsDone) -> Result<bool, StoreError> {
        through!(self, pixels_done(done))
    }
    async fn pixels(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<SeriesPixels>>, StoreError> {
        through!(self, pixels(permit, study))
    }
    async fn look_again(&self, series: &str) -> Result<Vec<Blob>, StoreError> {
        through!(self, look_again(series))
    }
    async fn all_series(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        through!(self, all_series(after, limit))
    }
}

#[async_trait]
impl Held for FaultyStore {
    async fn held(&self, kind: &str, after: u64, limit: usize) -> Result<HeldPage, StoreError> {
        through!(self, held(kind, after, limit))
    }
    async fn held_item(&self, id: u64) -> Result<Option<HeldItem>, StoreError> {
        through!(self, held_item(id))
    }
    async fn change_held(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        change: HeldChange,
    ) -> Result<bool, StoreError> {
        through!(self, change_held(permit, id, change))
    }
}

#[async_trait]
impl Kinds for FaultyStore {
    async fn of_kind(
        &self,
        permit: &Permit<ReadChart>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        through!(self, of_kind(permit, kind, below, limit))
    }
    async fn of_nobody(
        &self,
        permit: &Permit<ReadResource>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        through!(self, of_nobody(permit, kind, below, limit))
    }
}

#[async_trait]
impl Messages for FaultyStore {
    async fn keep_message(&self, m: NewMessage) -> Result<Keeping, StoreError> {
        through!(self, keep_message(m))
    }
    async fn settle_message(&self, id: u64, at: UtcMs, outcome: MessageOutcome) -> Result<bool, StoreError> {
        through!(self, settle_message(id, at, outcome))
    }
    async fn decide_message(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        at: UtcMs,
        outcome: MessageOutcome,
    ) -> Result<bool, StoreError> {
        through!(self, decide_message(permit, id, at, outcome))
    }
    async fn message(&self, id: u64) -> Result<Option<KeptMessage>, StoreError> {
        through!(self, message(id))
    }
    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRow>, StoreError> {
        through!(self, messages(query))
    }
    async fn unsettled_messages(&self, after: u64, limit: usize) -> Result<Vec<KeptMessage>, StoreError> {
        through!(self, unsettled_messages(after, limit))
    }
    async fn message_counts(&self, since: UtcMs) -> Result<Vec<MessageCount>, StoreError> {
        through!(self, message_counts(since))
    }
    async fn forget_messages(&self, before: UtcMs, most: usize) -> Result<u64, StoreError> {
        through!(self, forget_messages(before, most))
    }
}

#[async_trait]
impl Copies for FaultyStore {
    async fn copy_targets(&self, names: &[String]) -> Result<(), StoreError> {
        through!(self, copy_targets(names))
    }
    async fn copy_target_mark(&self, name: &str, mark: Option<&str>) -> Result<Option<String>, StoreError> {
        through!(self, copy_target_mark(name, mark))
    }
    async fn copies_list(&self, limit: usize, at: UtcMs) -> Result<usize, StoreError> {
        through!(self, copies_list(limit, at))
    }
    async fn copies_due(
        &self,
        target: &str,
        which: Which,
        now: UtcMs,
        limit: usize,
    ) -> Result<Vec<CopyRow>, StoreError> {
        through!(self, copies_due(target, which, now, limit))
    }
    async fn copies_done(&self, done: CopyDone) -> Result<bool, StoreError> {
        through!(self, copies_done(done))
    }
    async fn copies_left(&self, no: u64, file: CopyFile) -> Result<(), StoreError> {
        through!(self, copies_left(no, file))
    }
    async fn copies_of(&self, uid: &str) -> Result<Vec<CopyRow>, StoreError> {
        through!(self, copies_of(uid))
    }
    async fn copies_report(&self) -> Result<CopyReport, StoreError> {
        through!(self, copies_report())
    }
    async fn copies_faulty(&self, limit: usize) -> Result<Vec<CopyRow>, StoreError> {
        through!(self, copies_faulty(limit))
    }
    async fn copies_again(&self, which: Again, now: UtcMs) -> Result<u64, StoreError> {
        through!(self, copies_again(which, now))
    }
    async fn copies_last(&self) -> Result<u64, StoreError> {
        through!(self, copies_last())
    }
    async fn copies_waiting(&self, target: &str, by: UtcMs) -> Result<u64, StoreError> {
        through!(self, copies_waiting(target, by))
    }
}

#[async_trait]
impl Feed for FaultyStore {
    async fn epoch(&self) -> Result<String, StoreError> {
        through!(self, epoch())
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
        through!(self, changes_since(pos, scope, limit))
    }
    async fn items(&self, scope: &str, keys: &[String]) -> Result<Vec<ScopeItem>, StoreError> {
        through!(self, items(scope, keys))
    }
    async fn scope_page(
        &self,
        permit: &Permit<SyncScope>,
        scope: &str,
        after: Option<&str>,
        max_bytes: usize,
    ) -> Result<Sealed<ScopePage>, StoreError> {
        through!(self, scope_page(permit, scope, after, max_bytes))
    }
    async fn scope_refs(&self, scope: &str) -> Result<(Vec<ItemRef>, u64), StoreError> {
        through!(self, scope_refs(scope))
    }
    async fn revision(&self, patient: &PatientId) -> Result<u64, StoreError> {
        through!(self, revision(patient))
    }
    async fn prune(&self, up_to: u64) -> Result<(), StoreError> {
        through!(self, prune(up_to))
    }
}

#[async_trait]
impl AuditLog for FaultyStore {
    async fn append(&self, entry: AuditEntry) -> Result<Receipt, StoreError> {
        through!(self, append(entry))
    }
    async fn accept_device_rows(&self, device: &DeviceId, rows: Vec<chain::Row>) -> Result<u64, StoreError> {
        through!(self, accept_device_rows(device, rows))
    }
    async fn rows(
        &self,
        permit: &Permit<ReadAudit>,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError> {
        through!(self, rows(permit, chain, after, limit))
    }
    async fn find(&self, permit: &Permit<ReadAudit>, query: AuditQuery) -> Result<AuditFound, StoreError> {
        through!(self, find(permit, query))
    }
    async fn heads(&self) -> Result<Vec<(String, chain::Head)>, StoreError> {
        through!(self, heads())
    }
}

#[async_trait]
impl Accounts for FaultyStore {
    async fn change_account(
        &self,
        permit: &Permit<ManageUsers>,
        change: AccountChange,
    ) -> Result<Receipt, StoreError> {
        through!(self, change_account(permit, change))
    }
    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        through!(self, account(user))
    }
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        through!(self, accounts())
    }
    async fn put_enrol_code(
        &self,
        permit: &Permit<ManageDevices>,
        code: EnrolCode,
    ) -> Result<Receipt, StoreError> {
        through!(self, put_enrol_code(permit, code))
    }
    async fn enrol_codes(&self, at: UtcMs) -> Result<Vec<EnrolCode>, StoreError> {
        through!(self, enrol_codes(at))
    }
    async fn enrol(
        &self,
        code_hash: [u8; 32],
        device: NewDevice,
        at: UtcMs,
    ) -> Result<DeviceRow, StoreError> {
        through!(self, enrol(code_hash, device, at))
    }
    async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        through!(self, device(id))
    }
    async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        through!(self, devices())
    }
    async fn revoke_device(
        &self,
        permit: &Permit<ManageDevices>,
        id: &DeviceId,
    ) -> Result<Receipt, StoreError> {
        through!(self, revoke_device(permit, id))
    }
    async fn device_seen(&self, id: &DeviceId, at: UtcMs, report: Option<String>) -> Result<(), StoreError> {
        through!(self, device_seen(id, at, report))
    }
    async fn change_secrets(&self, entry: AuditEntry, change: SecretsChange) -> Result<Receipt, StoreError> {
        through!(self, change_secrets(entry, change))
    }
    async fn put_session(&self, session: SessionRow) -> Result<(), StoreError> {
        through!(self, put_session(session))
    }
    async fn prolong_session(&self, hash: &[u8; 32], until: UtcMs) -> Result<(), StoreError> {
        through!(self, prolong_session(hash, until))
    }
    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        through!(self, session(hash))
    }
    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        through!(self, end_session(hash))
    }
    async fn forget_sessions(&self, before: UtcMs, most: u32) -> Result<u32, StoreError> {
        through!(self, forget_sessions(before, most))
    }
    async fn put_client(
        &self,
        permit: &Permit<ManageUsers>,
        client: ClientRow,
    ) -> Result<Receipt, StoreError> {
        through!(self, put_client(permit, client))
    }
    async fn remove_client(&self, permit: &Permit<ManageUsers>, id: &str) -> Result<Receipt, StoreError> {
        through!(self, remove_client(permit, id))
    }
    async fn client(&self, id: &str) -> Result<Option<ClientRow>, StoreError> {
        through!(self, client(id))
    }
    async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        through!(self, clients())
    }
}

#[async_trait]
impl Reviews for FaultyStore {
    async fn keep_grant(
        &self,
        row: GrantRow,
        entry: AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        through!(self, keep_grant(row, entry))
    }
    async fn review(&self, order: ReviewOrder) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        through!(self, review(order))
    }
    async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
        through!(self, grant(id))
    }
    async fn reviewed_patient(
        &self,
        permit: &Permit<ReviewBreakGlass>,
        id: GrantId,
    ) -> Result<Sealed<Option<PatientHit>>, StoreError> {
        through!(self, reviewed_patient(permit, id))
    }
    async fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        through!(self, grants(limit))
    }
    async fn open_reviews(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        through!(self, open_reviews(limit))
    }
    async fn reviews_waiting(&self, before: UtcMs) -> Result<(u64, u64), StoreError> {
        through!(self, reviews_waiting(before))
    }
    async fn reviews_due(&self, at: UtcMs, limit: usize) -> Result<Vec<GrantId>, StoreError> {
        through!(self, reviews_due(at, limit))
    }
}

#[async_trait]
impl Identities for FaultyStore {
    async fn bind_identity(
        &self,
        issuer: &str,
        subject: &str,
        user: &UserId,
        at: UtcMs,
    ) -> Result<Bound, StoreError> {
        through!(self, bind_identity(issuer, subject, user, at))
    }
    async fn forget_identity(
        &self,
        permit: &Permit<ManageUsers>,
        user: &UserId,
    ) -> Result<Receipt, StoreError> {
        through!(self, forget_identity(permit, user))
    }
    async fn end_provider_sessions(&self, of: &ProviderEnd) -> Result<Vec<SessionRow>, StoreError> {
        through!(self, end_provider_sessions(of))
    }
    async fn once(&self, hash: [u8; 32], at: UtcMs, until: UtcMs) -> Result<bool, StoreError> {
        through!(self, once(hash, at, until))
    }
}

#[async_trait]
impl SecondFactors for FaultyStore {
    async fn totp(&self, user: &UserId) -> Result<Option<Totp>, StoreError> {
        through!(self, totp(user))
    }
    async fn totps(&self) -> Result<Vec<Totp>, StoreError> {
        through!(self, totps())
    }
    async fn change_totp(&self, entry: AuditEntry, change: TotpChange) -> Result<Receipt, StoreError> {
        through!(self, change_totp(entry, change))
    }
    async fn use_totp(&self, user: &UserId, step: u64) -> Result<bool, StoreError> {
        through!(self, use_totp(user, step))
    }
    async fn use_recovery(&self, user: &UserId, hash: [u8; 32]) -> Result<Option<usize>, StoreError> {
        through!(self, use_recovery(user, hash))
    }
}

#[async_trait]
impl Archive for FaultyStore {
    async fn archive(&self, act: ArchiveAct<'_>) -> Result<(Archived, Receipt), StoreError> {
        through!(self, archive(act))
    }
    async fn archived(&self) -> Result<ArchiveList, StoreError> {
        through!(self, archived())
    }
}

#[async_trait]
impl Tiers for FaultyStore {
    async fn tiers(&self) -> Result<TierReport, StoreError> {
        through!(self, tiers())
    }
    async fn packs(&self, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError> {
        through!(self, packs(of))
    }
    async fn tiers_due(&self, rule: &TierRule, limit: usize) -> Result<Due, StoreError> {
        through!(self, tiers_due(rule, limit))
    }
    async fn tiers_would(&self, rule: &TierRule) -> Result<TierCount, StoreError> {
        through!(self, tiers_would(rule))
    }
    async fn pack_down(
        &self,
        entry: AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        ids: [Uuid; 2],
    ) -> Result<Moved, StoreError> {
        through!(self, pack_down(entry, rule, patient, ids))
    }
    async fn pack_away(&self, entry: AuditEntry, pack: Uuid) -> Result<bool, StoreError> {
        through!(self, pack_away(entry, pack))
    }
    async fn pack_home(&self, entry: AuditEntry, pack: Uuid) -> Result<u64, StoreError> {
        through!(self, pack_home(entry, pack))
    }
    async fn ask_recall(&self, entry: AuditEntry, patient: &PatientId) -> Result<Recall, StoreError> {
        through!(self, ask_recall(entry, patient))
    }
    async fn recall(
        &self,
        pack: Uuid,
        at: UtcMs,
        moved: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        through!(self, recall(pack, at, moved))
    }
    async fn check_packs(&self, whole: bool) -> Result<Vec<String>, StoreError> {
        through!(self, check_packs(whole))
    }
    async fn tidy_packs(&self, home_before: UtcMs) -> Result<u64, StoreError> {
        through!(self, tidy_packs(home_before))
    }
}
