//! What goes into a server session and what comes out of it.
//!
//! Lives here: [`Event`], [`Effect`] and the answers of the driver. Never here: decisions. Called by `server/ws`.

use crate::fanout::{BulkFrame, Item, ScopeFrame};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::sync::Arc;
use vitrine_wire::ErrorCode;
use vitrine_wire::digest::ScopeDigest;
use vitrine_wire::message::{AuditRow, EntryOutcome, GrantAfter, GrantEnd, Ref, WaysIn};

/// What the driver knows of a device whose signature it verified.
#[derive(Debug, Clone)]
pub enum DeviceVerdict {
    /// In use.
    Active {
        /// Ward.
        ward: String,
        /// Scopes it may hold on its own behalf.
        scopes: Vec<String>,
        /// Rows of its audit chain the server holds.
        audit_seq: u64,
        /// The server holds the synthetic hospital.
        training: bool,
        /// Role layouts and the server's signature over [`crate::proof::layouts`], hex.
        layouts: Arc<(String, String)>,
        /// Days without contact after which it lets nobody in by what it holds.
        offline_days: u32,
        /// In which ways people sign in there.
        ways: WaysIn,
    },
    /// Revoked, its signature is right: it gets the order to wipe and nothing else.
    Revoked {
        /// Nonce of the order, hex.
        nonce: String,
        /// Signature of the server over [`crate::proof::wipe_order`], hex.
        signature: String,
    },
    /// Unknown, or the signature is wrong.
    Refused,
}

/// What was read of the feed for one scope.
#[derive(Debug, Clone)]
pub enum RowsRead {
    /// The asked position is older than the oldest kept, newer than the newest, or so far back that a snapshot is
    /// cheaper.
    Unusable,
    /// Rows after the asked position.
    Rows {
        /// Their deltas ([`crate::fanout::build`]), in order.
        frames: Vec<Arc<ScopeFrame>>,
        /// Position read up to (also when no row matched).
        pos: u64,
        /// In a `pat:` scope the patient's revision at that position, 0 when it was not read in the same snapshot.
        rev: u64,
        /// There are more rows.
        more: bool,
    },
}

/// A page of a scope.
#[derive(Debug, Clone)]
pub struct PageRead {
    /// The chunk ([`crate::fanout::chunk`]); may be shared by all who fetch the same page.
    pub frame: Arc<BulkFrame>,
    /// Key to continue after; `None` at the end.
    pub next_after: Option<String>,
    /// Feed position the page was read at.
    pub pos: u64,
    /// In a `pat:` scope the patient's revision at that position, else 0.
    pub rev: u64,
    /// Items in the whole scope.
    pub total: u64,
    /// Oldest position from which the feed can be read.
    pub oldest: u64,
}

/// What became of uploaded audit rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Durable; the device's last row now held. After a gap: the last row held, the device goes on from there.
    Held(u64),
    /// They contradict what the server holds.
    Fork,
    /// They could not be stored now; the device offers them again on its next connection.
    Failed,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A binary WebSocket message. Anything else than a binary message: give empty bytes.
    Received(Bytes),
    /// Time passed; due at [`super::Session::wake_at`].
    Tick,
    /// Frames were taken by [`super::Session::poll_send`] and the socket has room: there may be pages to read.
    CanSend,
    /// Answer to [`Effect::VerifyDevice`].
    Device(DeviceVerdict),
    /// Answer to [`Effect::CheckUser`] with the same number.
    User {
        /// Number asked with.
        n: u64,
        /// The user's name, or why not.
        verdict: Result<String, ErrorCode>,
    },
    /// The user's session ended elsewhere (signed out, revoked, ran out).
    UserEnded(ErrorCode),
    /// The device was revoked: order it to wipe.
    DeviceRevoked {
        /// Nonce of the order, hex.
        nonce: String,
        /// Signature, hex.
        signature: String,
    },
    /// Answer to [`Effect::Decide`].
    Decided {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
        /// Allowed, or why not.
        verdict: Result<(), ErrorCode>,
    },
    /// A permission was withdrawn.
    Withdrawn {
        /// Scope.
        scope: String,
        /// Why.
        code: ErrorCode,
    },
    /// Answer to [`Effect::ReadSince`].
    Rows {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
        /// What was read.
        rows: RowsRead,
    },
    /// Answer to [`Effect::ReadPage`].
    Page {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
        /// What was read.
        page: PageRead,
    },
    /// Answer to [`Effect::ReadDigest`].
    DigestRead {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
        /// Position it was computed at.
        pos: u64,
        /// In a `pat:` scope the patient's revision at that position, 0 when it was not read in the same snapshot.
        rev: u64,
        /// Digest over the scope's items.
        digest: Arc<ScopeDigest>,
    },
    /// Answer to [`Effect::ReadRefs`].
    RefsRead {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
        /// Position they were read at.
        pos: u64,
        /// Buckets asked for, as asked.
        buckets: Vec<u8>,
        /// References of the items in those buckets.
        refs: Vec<Ref>,
    },
    /// Answer to [`Effect::ReadItems`]; keys that are missing are gone.
    ItemsRead {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
        /// A position no newer than the read: everything up to it is in the items.
        pos: u64,
        /// Keys asked for, as asked.
        keys: Vec<String>,
        /// The items.
        items: Vec<Item>,
    },
    /// Any of these reads failed.
    ReadFailed {
        /// Scope.
        scope: String,
        /// Number asked with.
        n: u64,
    },
    /// Answer to [`Effect::StoreGrant`]: durable. When it could not be stored, do not answer: the device offers it
    /// again.
    GrantStored {
        /// Grant id.
        id: String,
        /// What came after it is durable up to here; 0 where nothing was sent.
        rev: u32,
    },
    /// A reviewer took a grant of this workstation back.
    GrantEnded {
        /// Grant id.
        id: String,
        /// When and how it ended.
        end: GrantEnd,
    },
    /// Answer to [`Effect::StoreEntry`].
    EntryStored {
        /// Entry id.
        id: String,
        /// What became of it; accepted only when it is durable.
        outcome: EntryOutcome,
    },
    /// Answer to [`Effect::StoreAudit`].
    AuditStored(AuditVerdict),
    /// The server is too busy: send the client away for this long.
    Overload {
        /// Ms.
        retry_after_ms: u32,
    },
}

/// Something to be done; strictly in order. Reads may run at the same time as others and are answered by events.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Look the device up, verify its signature over [`crate::proof::device_auth`], note its report.
    VerifyDevice {
        /// Device id as claimed.
        device: String,
        /// What has to be signed.
        message: Vec<u8>,
        /// Signature, hex.
        signature: String,
        /// What the device says of itself.
        report: String,
        /// Program version.
        app: String,
    },
    /// Check a user's session token (this device's).
    CheckUser {
        /// Number to answer with.
        n: u64,
        /// The token.
        token: String,
    },
    /// Decide whether this scope may be sent, write the disclosure down.
    Decide {
        /// Scope.
        scope: String,
        /// Number to answer with.
        n: u64,
        /// The signed-in user; `None` = the device on its own behalf.
        user: Option<String>,
    },
    /// From now on give every frame of this scope to [`super::Session::deliver`]. May come again for the same scope.
    Listen {
        /// Scope.
        scope: String,
    },
    /// No longer.
    Unlisten {
        /// Scope.
        scope: String,
    },
    /// Read the scope's rows after a position, a limited number. The read must begin after `Listen` took effect.
    ReadSince {
        /// Scope.
        scope: String,
        /// Number to answer with.
        n: u64,
        /// After this position.
        pos: u64,
    },
    /// Read a page, about [`vitrine_wire::frame::CHUNK`] bytes.
    ReadPage {
        /// Scope.
        scope: String,
        /// Number to answer with.
        n: u64,
        /// Items after this key.
        after: Option<String>,
    },
    /// Compute the scope's digest (cache it per scope and position).
    ReadDigest {
        /// Scope.
        scope: String,
        /// Number to answer with.
        n: u64,
    },
    /// Read references of the items in these buckets.
    ReadRefs {
        /// Scope.
        scope: String,
        /// Number to answer with.
        n: u64,
        /// Buckets.
        buckets: Vec<u8>,
    },
    /// Read items by key.
    ReadItems {
        /// Scope.
        scope: String,
        /// Number to answer with.
        n: u64,
        /// Keys.
        keys: Vec<String>,
    },
    /// Store a break-glass grant of this device, once by its id, and what came after it, each thing once.
    StoreGrant {
        /// JSON of the grant.
        grant: Box<RawValue>,
        /// What came after it.
        after: Option<GrantAfter>,
    },
    /// Bring something recorded at this device into the record, once by its id. What cannot be read at all, and so has no id,
    /// is not answered.
    StoreEntry {
        /// JSON of the entry.
        entry: Box<RawValue>,
    },
    /// Store audit rows of this device.
    StoreAudit {
        /// Rows, in order.
        rows: Vec<AuditRow>,
    },
    /// The device says that it has wiped itself: verify over [`crate::proof::wipe_done`] and note it.
    WipeDone {
        /// Nonce of the order.
        nonce: String,
        /// Signature, hex.
        signature: String,
    },
    /// Send what [`super::Session::poll_send`] still gives (for a second at most), then close with this code.
    Close {
        /// 1000 done, 1001 silent, 1002 protocol broken, 1008 refused, 1013 come back later.
        code: u16,
        /// For the log; no PHI.
        reason: &'static str,
    },
}
