//! Messages of other systems (HL7 v2): kept as they came before anything is decided, and what became of each.
//!
//! Lives here: what crosses the store ([`NewMessage`], [`MessageOutcome`], [`MessageRow`] …) and what a backend must answer
//! ([`Messages`]). Never here: what a message says, a connection. Called by every backend, and by the server's ingest.
//!
//! What a sender is told depends on it: nothing is acknowledged before [`Messages::keep_message`] has returned. A message is
//! the same as another when feed, sender, control id and time are the same; it is known by a digest of these
//! ([`NewMessage::same`]) and by one of its bytes ([`NewMessage::sum`]). Bodies are PHI and lie apart from the rows, so that
//! lists, counts and settling read and write none of them.

use crate::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use vitrine_access::Permit;
use vitrine_access::action::ImportData;
use vitrine_clinical::{PatientId, UtcMs};

const DAY_MS: i64 = 86_400_000;

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// Kept, nothing decided yet.
    #[default]
    Received,
    /// Its changes are in the record.
    Applied,
    /// Understood, and there was nothing to change: older than what is recorded, or the same.
    Known,
    /// In quarantine.
    Held,
    /// A person decided that it is not to be applied; the body stays.
    Dropped,
}

impl MessageState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Received,
        Self::Applied,
        Self::Known,
        Self::Held,
        Self::Dropped,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Applied => "applied",
            Self::Known => "known",
            Self::Held => "held",
            Self::Dropped => "dropped",
        }
    }

    /// The state of a word; `None` when it is none of [`MessageState::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether it is done with: the bytes are needed no more once time has passed.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Applied | Self::Known)
    }
}

/// A message as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// When.
    pub at: UtcMs,
    /// The feed it came by, as configured.
    pub feed: String,
    /// Who sent it: `MSH-3^MSH-4` as text.
    pub sender: String,
    /// Message control id (MSH-10).
    pub control: String,
    /// When the sender says it is of (MSH-7), as sent.
    pub dated: String,
    /// Its type and event, e.g. `ADT^A01`.
    pub kind: String,
    /// The message that this one is a corrected copy of. Such a copy is kept as often as it is made.
    pub of: Option<u64>,
    /// The bytes as received.
    pub body: Bytes,
}

impl NewMessage {
    /// What it is the same as another by: a digest of feed, sender, control id and time.
    #[must_use]
    pub fn same(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        for part in [&self.feed, &self.sender, &self.control, &self.dated] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut first = [0; 16];
        first.copy_from_slice(&digest.finalize()[..16]);
        first
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub fn sum(&self) -> [u8; 32] {
        message_sum(&self.body)
    }

    /// What its row says of it besides what is looked for.
    #[must_use]
    pub fn about(&self) -> MessageAbout {
        MessageAbout {
            sender: self.sender.clone(),
            control: self.control.clone(),
            dated: self.dated.clone(),
        }
    }
}

/// What a message's header says that nobody searches by; a backend keeps it as one text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageAbout {
    /// `MSH-3^MSH-4` as text.
    pub sender: String,
    /// MSH-10.
    pub control: String,
    /// MSH-7 as sent.
    pub dated: String,
}

/// What was said of a message that nobody searches by; a backend keeps it as one text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageSaid {
    /// Where the fault is (ERR-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why, without PHI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was not understood, without PHI.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What has become of a message, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageOutcome {
    /// The state. [`MessageState::Received`] makes it one that is not settled, to be worked off again.
    pub state: MessageState,
    /// HL7 table 0357, message error condition codes; 0 = none.
    pub code: u16,
    /// Where the fault is (ERR-2), e.g. `PID^1^3`.
    pub place: Option<String>,
    /// Why, without PHI.
    pub reason: Option<String>,
    /// Whose it is.
    pub patient: Option<PatientId>,
    /// Resources written.
    pub wrote: u32,
    /// What was not understood, without PHI.
    pub notes: Vec<String>,
    /// Who decided, where a person did.
    pub by: Option<String>,
}

impl MessageOutcome {
    /// What of it nobody searches by.
    #[must_use]
    pub fn said(&self) -> MessageSaid {
        MessageSaid {
            place: self.place.clone(),
            reason: self.reason.clone(),
            notes: self.notes.clone(),
            by: self.by.clone(),
        }
    }

    /// An outcome from its columns.
    #[must_use]
    pub fn from_columns(
        state: MessageState,
        code: u16,
        patient: Option<PatientId>,
        wrote: u32,
        said: MessageSaid,
    ) -> Self {
        Self {
            state,
            code,
            place: said.place,
            reason: said.reason,
            patient,
            wrote,
            notes: said.notes,
            by: said.by,
        }
    }

    /// When it is settled that is settled so at `at`.
    #[must_use]
    pub fn settled(&self, at: UtcMs) -> Option<UtcMs> {
        (self.state != MessageState::Received).then_some(at)
    }
}

/// What keeping a message found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeping {
    /// It is new, under this number.
    New(u64),
    /// It was kept before, with the same bytes.
    Again {
        /// Its number.
        id: u64,
        /// What has become of it.
        state: MessageState,
        /// The same, with why.
        outcome: MessageOutcome,
    },
    /// It has a row of its own; another message calls itself the same and has other bytes.
    Other {
        /// Its number.
        id: u64,
        /// The first that called itself so.
        first: u64,
    },
}

/// A message as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Number.
    pub id: u64,
    /// When it first came in.
    pub at: UtcMs,
    /// The feed it came by.
    pub feed: String,
    /// `MSH-3^MSH-4` as text.
    pub sender: String,
    /// MSH-10.
    pub control: String,
    /// MSH-7 as sent.
    pub dated: String,
    /// Its type and event, e.g. `ADT^A01`.
    pub kind: String,
    /// The message that it is a corrected copy of.
    pub of: Option<u64>,
    /// Size in bytes, also once they are gone.
    pub bytes: u64,
    /// How often it was sent.
    pub times: u32,
    /// When it was settled.
    pub settled: Option<UtcMs>,
    /// What has become of it.
    pub outcome: MessageOutcome,
    /// The bytes are still here.
    pub has_body: bool,
}

/// A message with its bytes, where they are still here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// As listed.
    pub row: MessageRow,
    /// The bytes as received.
    pub body: Option<Bytes>,
}

/// Which messages are listed; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageQuery {
    /// Of one feed.
    pub feed: Option<String>,
    /// In one state.
    pub state: Option<MessageState>,
    /// Of one patient.
    pub patient: Option<PatientId>,
    /// Numbers below this one: the last of the page before.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// How many messages there are of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageCount {
    /// By this feed.
    pub feed: String,
    /// On this day: days since 1970-01-01 UTC.
    pub day: i32,
    /// Of this type and event.
    pub kind: String,
    /// In this state.
    pub state: MessageState,
    /// With this code of HL7 table 0357; 0 = none.
    pub code: u16,
    /// So many.
    pub n: u64,
}

/// SHA-256 of a message's bytes.
#[must_use]
pub fn message_sum(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// The day of a moment: days since 1970-01-01 UTC.
#[must_use]
pub fn message_day(at: UtcMs) -> i32 {
    i32::try_from(at.0.div_euclid(DAY_MS)).unwrap_or(if at.0 < 0 { i32::MIN } else { i32::MAX })
}

/// Messages of other systems.
#[async_trait]
pub trait Messages: Send + Sync {
    /// Keeps a message, durable on return. The same (feed, sender, control, dated) with the same bytes, when
    /// [`NewMessage::of`] is `None`: [`Keeping::Again`], `times` goes up, no second row; with other bytes: a row of its own, and
    /// [`Keeping::Other`] names the first. Corrected copies are none of these.
    async fn keep_message(&self, m: NewMessage) -> Result<Keeping, StoreError>;
    /// Writes what has become of it, at `at`; `false` when there is no such message. Not for a person's decision. The bytes
    /// of a message that is done with go at once when the record of its patient was destroyed meanwhile.
    async fn settle_message(&self, id: u64, at: UtcMs, outcome: MessageOutcome) -> Result<bool, StoreError>;
    /// The same by a person, together with the permit's audit row; `false`, and nothing is written, when it is not there.
    async fn decide_message(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        at: UtcMs,
        outcome: MessageOutcome,
    ) -> Result<bool, StoreError>;
    /// One with its bytes, for working it off, not for showing.
    async fn message(&self, id: u64) -> Result<Option<KeptMessage>, StoreError>;
    /// Lists messages, newest first.
    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRow>, StoreError>;
    /// Those received and not settled, oldest first, after an id: what a stop of the server left behind.
    async fn unsettled_messages(&self, after: u64, limit: usize) -> Result<Vec<KeptMessage>, StoreError>;
    /// Counts of those that came in since a moment, by feed, day, kind, state and code, in this order.
    async fn message_counts(&self, since: UtcMs) -> Result<Vec<MessageCount>, StoreError>;
    /// Takes the bytes of messages that are done with ([`MessageState::is_done`]) and were settled before a moment, those
    /// settled first first, at most so many; the rows stay. Gives how many.
    async fn forget_messages(&self, before: UtcMs, most: usize) -> Result<u64, StoreError>;
}
