//! The messages of the sync protocol.
//!
//! Scopes: `board:<ward>`, `ess:<ward>`, `ess:site`, `pat:<patient id>`, `dir`. A scope is a set of items
//! (key → version, body); in `board`, `ess` and `dir` every item has its own chain of versions, in `pat` the
//! patient's revision is the chain of the whole scope. A change names the version before and after, so a gap shows
//! whatever the feed does.

use crate::ErrorCode;
use crate::frame::{Frame, Lane};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One item's change or state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// Key within the scope.
    pub key: String,
    /// Version before; 0 = was not in the scope (also in a snapshot).
    pub prev: u64,
    /// Version after.
    pub ver: u64,
    /// In a `pat:` scope the resource's own version, its `meta.versionId`: `ver` is the revision of the record there. Absent in other
    /// scopes, of what left the scope, and from servers that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Body; absent = the item left the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// State a client already has of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Epoch its position belongs to.
    pub epoch: String,
    /// Position up to which it is complete.
    pub pos: u64,
}

/// A snapshot that was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Epoch of the snapshot.
    pub epoch: String,
    /// Position at which it began.
    pub pos: u64,
    /// Last key written.
    pub after: String,
}

/// One audit row on its way up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Number in the device's chain.
    pub seq: u64,
    /// Hash of the row before, hex.
    pub prev: String,
    /// Hash, hex.
    pub hash: String,
    /// The row's JSON as stored.
    pub body: String,
}

/// What came after a break-glass grant was made, as far as the workstation knows: all of it each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantAfter {
    /// How much that is; grows with each thing and comes back in the acknowledgement.
    pub rev: u32,
    /// Its end before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<GrantEnd>,
    /// Words that were added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<GrantWords>,
}

/// The end of a break-glass grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantEnd {
    /// When, ms.
    pub at_ms: i64,
    /// What ended it, a code of `vitrine_access::grant::EndedBy`.
    pub by: String,
}

/// Words added to a break-glass grant by whom it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantWords {
    /// When they were written, ms.
    pub at_ms: i64,
    /// The words.
    pub text: String,
}

/// An item reference for anti-entropy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ref {
    /// Key.
    pub key: String,
    /// Version.
    pub ver: u64,
    /// First 16 bytes of BLAKE3 over the body, hex.
    pub hash: String,
}

/// In which ways people sign in at a workstation, besides password and PIN.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaysIn {
    /// The key of [`crate::digest::badge`], hex: it goes to enrolled workstations alone and is kept encrypted there.
    pub badge_key: String,
    /// The hospital's identity provider; absent = there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderIn>,
}

impl std::fmt::Debug for WaysIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaysIn")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// The hospital's identity provider, as a lock screen needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderIn {
    /// As people call it.
    pub name: String,
    /// It is the way in while it answers.
    pub required: bool,
}

macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $kind:literal $lane:ident $variant:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty),* $(,)? })* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize)]
        #[serde(untagged)]
        pub enum $name {
            $($(#[$vdoc])* $variant($variant),)*
        }
        $(
            $(#[$vdoc])*
            #[derive(Debug, Clone, Serialize, Deserialize)]
            pub struct $variant { $($(#[$fdoc])* pub $field: $ty),* }
            impl From<$variant> for $name { fn from(m: $variant) -> Self { Self::$variant(m) } }
        )*
        impl $name {
            /// The frame of this message.
            ///
            /// # Errors
            /// [`MessageError::Json`] when a body cannot be written (never for well-formed messages).
            pub fn frame(&self) -> Result<Frame, MessageError> {
                let (kind, lane) = match self { $(Self::$variant(_) => ($kind, Lane::$lane),)* };
                let body = serde_json::to_vec(self).map_err(|e| MessageError::Json { kind, cause: e.to_string() })?;
                Ok(Frame { kind, lane, body: Bytes::from(body) })
            }
            /// Reads a frame's message.
            ///
            /// # Errors
            /// [`MessageError`] for a kind this end does not expect or a body that is not that message.
            pub fn read(frame: &Frame) -> Result<Self, MessageError> {
                match frame.kind {
                    $($kind => serde_json::from_slice::<$variant>(&frame.body)
                        .map(Self::$variant)
                        .map_err(|e| MessageError::Json { kind: $kind, cause: e.classify_text() }),)*
                    other => Err(MessageError::Kind(other)),
                }
            }
        }
    };
}

/// What the server did with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EntryOutcome {
    /// In the record, durably; sent again it changes nothing.
    Accepted {
        /// The resources it became, `Type/id`.
        keys: Vec<String>,
    },
    /// It will never be taken as it is.
    Rejected {
        /// Why, and what to do, in words for the person who recorded it.
        text: String,
    },
    /// Not now: offer it again.
    Later,
}

/// A message that cannot be read. Carries no body text, so no PHI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// This end does not expect that kind.
    #[error("message kind {0} is not expected here")]
    Kind(u8),
    /// The body is not that message.
    #[error("body of message kind {kind}: {cause}")]
    Json {
        /// Kind.
        kind: u8,
        /// What is wrong, without content.
        cause: String,
    },
}

trait ClassifyText {
    fn classify_text(&self) -> String;
}
impl ClassifyText for serde_json::Error {
    fn classify_text(&self) -> String {
        format!(
            "{:?} error at line {} column {}",
            self.classify(),
            self.line(),
            self.column()
        )
    }
}

messages! {
    /// From the workstation to the server.
    ClientMessage {
        /// First message.
        1 Control ClientHello {
            /// Lowest protocol version spoken.
            min: u8,
            /// Highest protocol version spoken.
            max: u8,
            /// Device id.
            device: String,
            /// Program version.
            app: String,
        }
        /// Proof of the device's key: Ed25519 over `"vitrine-ws-1" ‖ nonce ‖ device id`.
        2 Control DeviceAuth {
            /// Signature, hex.
            signature: String,
            /// What the device says of itself (JSON text: key protection, last self-test).
            report: String,
        }
        /// A user's session on this connection; empty token = signed out (closes `pat:` scopes).
        3 Control UserAuth {
            /// Session token.
            token: String,
        }
        /// Subscribe.
        4 Control Sub {
            /// Scope.
            scope: String,
            /// Number of this subscription, growing within a connection; its answers carry it, so that an answer to
            /// an older subscription of the same scope is never taken for this one's.
            n: u64,
            /// State held, to resume from.
            have: Option<Have>,
            /// Snapshot to continue.
            resume: Option<Resume>,
        }
        /// Unsubscribe.
        5 Control Unsub {
            /// Scope.
            scope: String,
        }
        /// Leave to send so many more bytes of snapshots.
        6 Control Credit {
            /// Uncompressed bytes.
            bytes: u32,
        }
        /// Compare: the digest of a scope at a position.
        7 Control Digest {
            /// Scope.
            scope: String,
            /// Position the client is at.
            pos: u64,
            /// Scope digest, hex.
            digest: String,
        }
        /// Ask for the references of these buckets (0–255).
        8 Control NeedRefs {
            /// Scope.
            scope: String,
            /// Buckets.
            buckets: Vec<u8>,
        }
        /// Ask for these items anew.
        9 Control NeedItems {
            /// Scope.
            scope: String,
            /// Keys.
            keys: Vec<String>,
        }
        /// A break-glass grant made here.
        10 Control GrantUp {
            /// JSON of the grant.
            grant: Box<RawValue>,
            /// What came after it; absent = nothing did. A server that does not know this field passes over it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            after: Option<GrantAfter>,
        }
        /// Audit rows of the device, in order.
        11 Control AuditUp {
            /// Rows.
            rows: Vec<AuditRow>,
        }
        /// The order to wipe was carried out.
        12 Control WipeDone {
            /// Nonce of the order.
            nonce: String,
            /// Ed25519 over `"vitrine-wiped" ‖ nonce`, hex.
            signature: String,
        }
        /// Keeps the line alive and asks for a beat.
        13 Control Ping {
            /// Any number; comes back in the beat.
            n: u64,
        }
        /// Something a person recorded at this workstation. Sent until it is answered with more than "later", one at a time, in the
        /// order in which it was recorded; the server applies it once by its id.
        14 Essentials EntryUp {
            /// JSON of `vitrine_clinical::entry::Entry`.
            entry: Box<RawValue>,
        }
    }
}

messages! {
    /// From the server to the workstation.
    ServerMessage {
        /// Answer to the first message.
        65 Control ServerHello {
            /// Protocol version to speak.
            protocol: u8,
            /// Server's epoch.
            epoch: String,
            /// Newest position.
            pos: u64,
            /// Server's time, ms.
            server_time_ms: i64,
            /// To be signed by the device, hex.
            nonce: String,
        }
        /// The device is known.
        66 Control Welcome {
            /// Ward of the device.
            ward: String,
            /// Scopes it may subscribe to on its own behalf.
            scopes: Vec<String>,
            /// Rows of its audit chain that the server holds.
            audit_seq: u64,
            /// The server holds the synthetic hospital, for training; absent = it does not say.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            training: Option<bool>,
            /// The site's role layouts (JSON text of [`crate::layout::Layouts`]); absent = it does not say.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            layouts: Option<String>,
            /// Ed25519 of the server over `"vitrine-layouts-1" ‖ layouts`, hex.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            layouts_signature: Option<String>,
            /// Days without contact after which the workstation lets nobody in by what it holds; absent = it does not say.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            offline_days: Option<u32>,
            /// In which ways people sign in here; absent = it does not say.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            ways: Option<WaysIn>,
        }
        /// The user's session is accepted on this connection.
        67 Control UserWelcome {
            /// Who.
            user: String,
        }
        /// A snapshot begins.
        68 Bulk SnapBegin {
            /// Scope.
            scope: String,
            /// Epoch.
            epoch: String,
            /// Position it began at: changes after it follow by `Sub` with `have`.
            pos: u64,
            /// In a `pat:` scope the patient's revision.
            rev: u64,
            /// Items in all.
            total: u64,
            /// True when it continues an interrupted one.
            resumed: bool,
            /// Number of the subscription this answers.
            n: u64,
        }
        /// Part of a snapshot, items in key order.
        69 Bulk SnapChunk {
            /// Scope.
            scope: String,
            /// Items (`prev` is 0).
            items: Vec<Change>,
            /// Key to continue after; absent in the last chunk.
            next_after: Option<String>,
        }
        /// The snapshot is complete; resume from its position.
        70 Bulk SnapEnd {
            /// Scope.
            scope: String,
            /// Its epoch.
            epoch: String,
            /// Its position.
            pos: u64,
            /// Number of the subscription this answers.
            n: u64,
        }
        /// Changes of a board or of essentials.
        71 Essentials Delta {
            /// Scope.
            scope: String,
            /// Everything up to this position is in this delta or was sent before it. When one stretch of the feed is
            /// split over several deltas, only the last carries the stretch's end.
            pos: u64,
            /// Changes, one per key.
            changes: Vec<Change>,
        }
        /// Changes of an open patient: revision `rev_prev` becomes `rev`.
        72 Patient PatientDelta {
            /// Scope.
            scope: String,
            /// Position after it.
            pos: u64,
            /// Revision before.
            rev_prev: u64,
            /// Revision after.
            rev: u64,
            /// Changes.
            changes: Vec<Change>,
        }
        /// The scope is current up to this position. In a `pat:` scope it travels in the lane of the open patient, so
        /// that it never overtakes that scope's deltas.
        73 Essentials Current {
            /// Scope.
            scope: String,
            /// Position.
            pos: u64,
            /// In a `pat:` scope the patient's revision; 0 = not told (and in other scopes).
            rev: u64,
            /// Number of the subscription this answers.
            n: u64,
        }
        /// Heartbeat, every 5 s and after a ping.
        74 Control Beat {
            /// Everything up to this position was sent in the scopes that are live.
            pos: u64,
            /// Server's time, ms.
            server_time_ms: i64,
            /// Age of the oldest row not yet sent to this client, ms.
            behind_ms: u64,
            /// Number of the ping answered, 0 for a beat of its own.
            n: u64,
        }
        /// Buckets of a scope at a position, for a client whose digest differs. Empty = the digests are equal.
        75 Control DigestDiff {
            /// Scope.
            scope: String,
            /// Position.
            pos: u64,
            /// In a `pat:` scope the patient's revision at that position; 0 = not told (and in other scopes).
            rev: u64,
            /// 256 bucket digests, hex; empty when equal.
            buckets: Vec<String>,
        }
        /// References of the asked buckets.
        76 Bulk Refs {
            /// Scope.
            scope: String,
            /// Position they were read at.
            pos: u64,
            /// Buckets that were asked for.
            buckets: Vec<u8>,
            /// References; may be split over several messages.
            refs: Vec<Ref>,
            /// More follow.
            more: bool,
        }
        /// Items asked for by key, as they are now.
        77 Bulk Items {
            /// Scope.
            scope: String,
            /// Position they were read at.
            pos: u64,
            /// Items; a key without body is gone.
            items: Vec<Change>,
        }
        /// The grant is durable on the server, with what came after it.
        78 Control GrantAck {
            /// Grant id.
            id: String,
            /// Up to this `rev` of what came after it (0: nothing did); absent = the server keeps none of that.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            rev: Option<u32>,
            /// It is not an answer: a reviewer took the grant back, and it ended so. Absent = it is an answer.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            ended: Option<GrantEnd>,
        }
        /// The device's audit rows up to this one are durable on the server.
        79 Control AuditAck {
            /// Row number.
            seq: u64,
        }
        /// Refused.
        80 Control Reject {
            /// Scope it is about; `audit` = rows of the device's chain, `user` = the user's session, "" = the connection.
            scope: String,
            /// Number of the subscription it refuses or ends; 0 when it is not about one.
            n: u64,
            /// Code.
            code: ErrorCode,
            /// A sentence, without PHI.
            text: String,
        }
        /// The client's copy of this scope is not to be trusted: subscribe anew without `have`.
        81 Control Dirty {
            /// Scope.
            scope: String,
            /// Number of the subscription it ends.
            n: u64,
        }
        /// What the client lacks since the position it has follows as deltas, then `Current`. Deltas of the scope that
        /// come before this belong to an older subscription. Travels in the lane of the scope's deltas.
        84 Essentials Resumed {
            /// Scope.
            scope: String,
            /// Position the client has.
            pos: u64,
            /// Number of the subscription this answers.
            n: u64,
        }
        /// What became of an entry.
        85 Control EntryAck {
            /// Its id.
            id: String,
            /// What became of it.
            outcome: EntryOutcome,
        }
        /// Come back later.
        82 Control Overload {
            /// Wait so many ms.
            retry_after_ms: u32,
        }
        /// Destroy the keys and files of this workstation.
        83 Control Wipe {
            /// To be signed in the answer.
            nonce: String,
            /// Ed25519 of the server over `"vitrine-wipe" ‖ device id ‖ nonce`, hex.
            signature: String,
        }
    }
}
