//! What goes into the client machine and what comes out of it.
//!
//! Lives here: [`Event`], [`Effect`], [`CacheView`], the states shown to people. Never here: decisions.
//! Called by `engine/link`, which carries the effects out.

use bytes::Bytes;
use vitrine_wire::ErrorCode;
use vitrine_wire::digest::ScopeDigest;
use vitrine_wire::message::{AuditRow, Change, EntryOutcome, GrantAfter, GrantEnd, Ref, WaysIn};
use vitrine_wire::view::DataAge;

/// What the local cache holds of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Epoch its position belongs to.
    pub epoch: String,
    /// Position up to which it is complete.
    pub pos: u64,
    /// In a `pat:` scope the patient's revision, else 0.
    pub rev: u64,
    /// Server time at which it was known to be current, ms; `None` when that never was noted.
    pub as_of_ms: Option<i64>,
}

/// A snapshot that is being staged beside the held state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its epoch.
    pub epoch: String,
    /// Position at which it began.
    pub pos: u64,
    /// In a `pat:` scope the patient's revision at that position.
    pub rev: u64,
    /// Last key staged; `None` while there is none.
    pub after: Option<String>,
    /// Items staged so far.
    pub items: u64,
}

/// The cache as the machine sees it: exactly the state after every store effect given out before.
///
/// Called from within [`super::Client::step`], so it must answer from local memory or disk. When the cache cannot be
/// read, answer as if nothing were held and raise [`Event::StoreFailed`]: the scope is then fetched anew.
pub trait CacheView {
    /// Names of all scopes of which anything is held or staged.
    fn scopes(&self) -> Vec<String>;
    /// What is held of a scope; `None` when nothing was ever committed.
    fn held(&self, scope: &str) -> Option<Held>;
    /// The staged snapshot of a scope.
    fn staged(&self, scope: &str) -> Option<Staged>;
    /// Version of an item held (not staged).
    fn version(&self, scope: &str, key: &str) -> Option<u64>;
    /// Digest over the items held.
    fn digest(&self, scope: &str) -> ScopeDigest;
    /// References of the items held in these buckets, any order.
    fn refs(&self, scope: &str, buckets: &[u8]) -> Vec<Ref>;
}

/// A break-glass grant on its way up.
#[derive(Debug, Clone)]
pub struct GrantDue {
    /// Its id, as it comes back in the acknowledgement.
    pub id: String,
    /// Its JSON.
    pub json: Box<serde_json::value::RawValue>,
    /// What came after it.
    pub after: Option<GrantAfter>,
}

impl GrantDue {
    /// How much came after it.
    #[must_use]
    pub fn rev(&self) -> u32 {
        self.after.as_ref().map_or(0, |a| a.rev)
    }
}

/// Something recorded here, on its way up.
#[derive(Debug, Clone)]
pub struct EntryDue {
    /// Its id, as it comes back in the answer.
    pub id: String,
    /// Its JSON.
    pub json: Box<serde_json::value::RawValue>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Begin to connect now (start of the program, or the network came back): does not wait for the backoff.
    WantConnect,
    /// The WebSocket of the attempt `conn` is open.
    Connected {
        /// Number given in [`Effect::Connect`].
        conn: u64,
    },
    /// The attempt or connection `conn` ended, for whatever reason (also after [`Effect::Close`]).
    Disconnected {
        /// Number given in [`Effect::Connect`].
        conn: u64,
    },
    /// A binary WebSocket message of connection `conn`. Anything else than a binary message: give empty bytes.
    Received {
        /// Number given in [`Effect::Connect`].
        conn: u64,
        /// The message.
        bytes: Bytes,
    },
    /// Time passed; due at [`super::Client::wake_at`] at the latest.
    Tick,
    /// The device's key has signed (answer to [`Effect::SignNonce`]).
    Signed {
        /// Signature, hex.
        signature: String,
        /// What the device says of itself (JSON text).
        report: String,
    },
    /// Somebody signed in and the server gave this session token.
    SignedIn {
        /// Session token.
        token: String,
    },
    /// Nobody is signed in any more.
    SignedOut,
    /// A patient's chart is wanted, live while open.
    OpenPatient {
        /// Patient id.
        patient: String,
    },
    /// The chart is no longer wanted live; what is cached stays.
    ClosePatient {
        /// Patient id.
        patient: String,
    },
    /// A store effect on this scope failed; effects after it on the same scope were left out.
    StoreFailed {
        /// Scope.
        scope: String,
    },
    /// The outbox got a new row or grant.
    OutboxChanged,
    /// Answer to [`Effect::ReadOutbox`].
    OutboxHas {
        /// Rows after the asked number, in order without a gap, within the asked limits.
        rows: Vec<AuditRow>,
        /// Number of the newest row of the device's chain; 0 when there is none.
        head: u64,
        /// Number of the oldest row still kept; 0 when none is.
        oldest: u64,
        /// Grants asked for.
        grants: Vec<GrantDue>,
        /// What was recorded here, the oldest first: as asked for of grants.
        entries: Vec<EntryDue>,
    },
    /// The outbox could not be read (answer to [`Effect::ReadOutbox`]): it is asked again later.
    OutboxUnread,
    /// Answer to [`Effect::VerifyWipe`]: whether the server's key signed that order for this device.
    WipeVerified {
        /// It did.
        genuine: bool,
    },
    /// Answer to [`Effect::Wipe`]: everything is destroyed.
    Wiped {
        /// Ed25519 of the device over [`crate::proof::wipe_done`], hex, made before its key was destroyed.
        signature: String,
    },
}

/// Something to be done. Carry effects out strictly in order; a store effect must be durable (in its database's own
/// sense) before the next effect is carried out. When one fails, leave out the batch's further effects on that scope
/// and raise [`Event::StoreFailed`].
#[derive(Debug, Clone)]
pub enum Effect {
    /// Open a connection: TCP, TLS, WebSocket; within `timeout_ms` or report it as ended.
    Connect {
        /// Its number.
        conn: u64,
        /// Longest time it may take.
        timeout_ms: u64,
    },
    /// Close connection `conn` with this WebSocket close code and report it as ended.
    Close {
        /// Its number.
        conn: u64,
        /// 1000 done, 1002 the server broke the protocol, 1001 going away.
        code: u16,
    },
    /// Send this binary message on connection `conn`.
    Send {
        /// Its number.
        conn: u64,
        /// The message.
        bytes: Bytes,
    },
    /// Sign [`crate::proof::device_auth`] with the device's key and answer with [`Event::Signed`].
    SignNonce {
        /// The server's nonce, hex.
        nonce: String,
    },
    /// Apply these changes and note the position (and revision), in one transaction. A change with a body replaces
    /// the item whatever version is held; one without removes it. Never on staged data.
    ApplyDelta {
        /// Scope.
        scope: String,
        /// Changes; may be empty.
        changes: Vec<Change>,
        /// Position held from now on.
        pos: u64,
        /// In a `pat:` scope the patient's revision held from now on, else 0.
        rev: u64,
    },
    /// Begin to stage a snapshot; an older staged one of that scope is thrown away, the held state stays readable.
    BeginSnapshot {
        /// Scope.
        scope: String,
        /// Epoch.
        epoch: String,
        /// Position.
        pos: u64,
        /// In a `pat:` scope the patient's revision, else 0.
        rev: u64,
    },
    /// Stage these items, in key order.
    StageChunk {
        /// Scope.
        scope: String,
        /// Items with bodies.
        items: Vec<Change>,
    },
    /// Swap the staged snapshot in for what is held, in one transaction.
    CommitSnapshot {
        /// Scope.
        scope: String,
        /// Epoch held from now on.
        epoch: String,
        /// Position held from now on.
        pos: u64,
        /// In a `pat:` scope the patient's revision held from now on, else 0.
        rev: u64,
    },
    /// Drop everything of this scope: the device may not hold it any more.
    DropScope {
        /// Scope.
        scope: String,
    },
    /// These scopes were current at that server time and are complete up to these positions. May be written lazily:
    /// an older position is always safe to resume from.
    MarkAge {
        /// Server time, ms.
        as_of_ms: i64,
        /// Scope and position.
        scopes: Vec<(String, u64)>,
    },
    /// A scope's state for the screen changed.
    Status {
        /// Scope.
        scope: String,
        /// Its state.
        status: ScopeStatus,
    },
    /// The connection's state for the screen changed.
    Link {
        /// Its state.
        state: LinkState,
    },
    /// The server's time, for judging the workstation's clock.
    ServerTime {
        /// Server time, ms.
        server_time_ms: i64,
    },
    /// The device's place as the server says.
    Placed {
        /// Ward.
        ward: String,
        /// Scopes of the device.
        scopes: Vec<String>,
    },
    /// The site's role layouts, with the server's signature over [`crate::proof::layouts`], hex: to be checked.
    Layouts {
        /// JSON.
        text: String,
        /// Signature, hex.
        signature: String,
    },
    /// For how many days without contact the workstation may let people in by what it holds.
    OfflineDays {
        /// Days.
        days: u32,
    },
    /// In which ways people sign in here.
    Ways {
        /// As the server says.
        ways: WaysIn,
    },
    /// The user's session was accepted on this connection.
    UserAccepted {
        /// Who.
        user: String,
    },
    /// The user's session was refused or ended by the server: lock.
    UserRefused {
        /// Why.
        code: ErrorCode,
    },
    /// Read the outbox and answer with [`Event::OutboxHas`].
    ReadOutbox {
        /// Rows after this number.
        after: u64,
        /// At most so many rows.
        max_rows: usize,
        /// At most so many bytes of bodies.
        max_bytes: usize,
        /// Which grants and which entries to add.
        grants: GrantsWanted,
    },
    /// Audit rows up to this number are durable on the server: note when that became known.
    MarkRowsAcked {
        /// Row number.
        up_to: u64,
    },
    /// This grant is durable on the server, with what came after it up to `rev`.
    MarkGrantAcked {
        /// Grant id.
        id: String,
        /// As given in [`GrantDue::after`]; 0 = the grant alone.
        rev: u32,
    },
    /// A reviewer took this grant back: it has ended here too, for good. Not answered; it is said again on each connection.
    EndGrant {
        /// Grant id.
        id: String,
        /// When and how it ended, by the server.
        end: GrantEnd,
    },
    /// This entry is on its way: shown as sent until it is answered or the connection ends.
    NoteEntrySent {
        /// Entry id.
        id: String,
    },
    /// The server has answered an entry: note it. An entry accepted before stays accepted.
    MarkEntry {
        /// Entry id.
        id: String,
        /// The answer.
        outcome: EntryOutcome,
    },
    /// Delete rows, grants and accepted entries that were acknowledged longer ago than this.
    PruneOutbox {
        /// Age in ms.
        acked_for_ms: u64,
    },
    /// Every grant was offered again to this epoch: note it as the known one.
    NoteEpoch {
        /// Epoch.
        epoch: String,
    },
    /// Check that the server's key signed [`crate::proof::wipe_order`]; answer with [`Event::WipeVerified`].
    VerifyWipe {
        /// Nonce, hex.
        nonce: String,
        /// Signature, hex.
        signature: String,
    },
    /// Destroy keys and files now; answer with [`Event::Wiped`].
    Wipe {
        /// Nonce to sign before the key is destroyed, hex.
        nonce: String,
    },
    /// Something a person must know of, until resolved.
    Alarm(Alarm),
}

/// Which grants and entries to read from the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantsWanted {
    /// None.
    None,
    /// Those not acknowledged.
    Unacked,
    /// All that are kept: the server's epoch changed, it may have lost some.
    All,
}

/// Something that must not be passed over in silence. No PHI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// The server broke the protocol; the connection was closed.
    Violation(super::Violation),
    /// The server speaks no version this program speaks: the cache stays readable, nothing is updated.
    ProtocolMismatch {
        /// What the server offered; 0 when it only refused.
        server: u8,
    },
    /// One of server and workstation is for training and the other is not: nothing is taken and nothing sent.
    TrainingMixed,
    /// The server does not know this device or has revoked it.
    DeviceRefused(ErrorCode),
    /// The server holds audit rows of this device that this device does not have: it was rolled back or cloned.
    AuditFork {
        /// Rows the server holds.
        server: u64,
        /// Rows there are here.
        here: u64,
    },
    /// The server lacks audit rows that are already deleted here.
    AuditGap {
        /// First row the server lacks.
        first_missing: u64,
        /// Oldest row still here.
        oldest: u64,
    },
    /// The server refused audit rows as contradicting what it holds.
    AuditRefused,
    /// An order to wipe came that the server's key did not sign.
    ForgedWipe,
}

/// The connection as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// No server; next attempt at that time (ms of the machine's clock argument).
    Offline {
        /// Next attempt.
        retry_at_ms: u64,
    },
    /// Trying.
    Connecting,
    /// Device accepted; scopes are being brought up to date.
    CatchingUp,
    /// Every wanted scope is live.
    Live,
    /// The server refuses this program or device; see the alarm.
    Refused,
    /// Destroyed by order.
    Wiped,
}

/// A scope as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeStatus {
    /// Word of the data-age vocabulary. `Live` only while the scope is complete and beats arrive.
    pub age: DataAge,
    /// Everything the server had at `as_of_ms` is held.
    pub complete: bool,
    /// Server time of the state held, ms. Not part of equality that triggers a new status: follow
    /// [`Effect::MarkAge`] for it.
    pub as_of_ms: Option<i64>,
    /// Items fetched and expected, while a snapshot is coming in.
    pub loading: Option<(u64, u64)>,
    /// The server refuses this scope.
    pub refused: Option<ErrorCode>,
}

/// Times in ms. The defaults are those of sync.md §1.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Longest time for TCP, TLS and WebSocket, and again for the handshake messages.
    pub connect_ms: u64,
    /// Pings are sent this often.
    pub ping_ms: u64,
    /// Silence after which the connection counts as half open and is closed.
    pub half_open_ms: u64,
    /// A beat this long after a ping that does not answer it shows that the ping was not heard.
    pub ping_overtaken_ms: u64,
    /// A ping not heard and unanswered for this long: the connection is half open.
    pub ping_timeout_ms: u64,
    /// A beat older than this: delayed.
    pub delayed_ms: u64,
    /// A beat older than this, or a server further behind than a minute: stale.
    pub stale_ms: u64,
    /// A beat older than this: offline.
    pub offline_ms: u64,
    /// Digests are compared this often, ± 20 %.
    pub digest_ms: u64,
    /// After becoming current, digests are compared within this time.
    pub digest_first_ms: u64,
    /// First bound of the backoff.
    pub backoff_base_ms: u64,
    /// Last bound of the backoff.
    pub backoff_cap_ms: u64,
    /// A connection that held this long resets the backoff.
    pub settled_ms: u64,
    /// A scope that is not current and gets nothing for this long: connect anew.
    pub stall_ms: u64,
    /// Wait after the server refused this program or device.
    pub refused_ms: u64,
    /// Wait before asking again for a scope whose store effect failed.
    pub store_retry_ms: u64,
    /// Last bound of the backoff for a scope that the server could not serve just now; the first is that of the
    /// connection. Below [`Timing::stale_ms`]: when a database comes back, no screen goes stale for this wait alone.
    pub busy_cap_ms: u64,
    /// Acknowledged rows are kept this long.
    pub keep_acked_ms: u64,
    /// An entry that the server could not take just now is offered again after this.
    pub entry_retry_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            ping_ms: 3_000,
            half_open_ms: 9_500,
            ping_overtaken_ms: 1_500,
            ping_timeout_ms: 6_500,
            delayed_ms: 7_000,
            stale_ms: 15_000,
            offline_ms: 30_000,
            digest_ms: 300_000,
            digest_first_ms: 2_000,
            backoff_base_ms: 1_000,
            backoff_cap_ms: 30_000,
            settled_ms: 10_000,
            stall_ms: 60_000,
            refused_ms: 300_000,
            store_retry_ms: 30_000,
            busy_cap_ms: 10_000,
            keep_acked_ms: 7 * 86_400_000,
            entry_retry_ms: 30_000,
        }
    }
}

/// What the machine must know from the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Device id.
    pub device: String,
    /// Program version.
    pub app: String,
    /// Ward the device was last placed in; orders the first subscriptions.
    pub ward: String,
    /// Epoch noted by [`Effect::NoteEpoch`]; `None` before the first.
    pub known_epoch: Option<String>,
    /// The workstation is for training: it works with a server of the synthetic hospital and no other.
    pub training: bool,
    /// Random number for jitter.
    pub seed: u64,
    /// Times.
    pub timing: Timing,
}
