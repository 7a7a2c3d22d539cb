//! What a server may never send. A client believes nothing: sizes, order and scope of every message are checked
//! before it is acted upon; the first fault closes the connection and nothing of that message is applied.
//!
//! Lives here: checks that need no state. Never here: decisions. Called by the client machine.

use crate::scope;
use vitrine_wire::message::{Change, DigestDiff, EntryOutcome, Items, Ref, Refs, ServerMessage};

/// Longest key in bytes: `Type/id` with two times 64 characters.
pub(super) const KEY_MAX: usize = 160;
/// Most changes or items in one message.
const ITEMS_MAX: usize = 65_536;
/// Most scopes a device may be offered.
const SCOPES_MAX: usize = 256;
/// Longest text of an epoch, nonce or signature.
const TEXT_MAX: usize = 512;

/// How the server broke the protocol. No PHI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The frame cannot be read.
    #[error("frame: {0}")]
    Frame(#[from] vitrine_wire::frame::FrameError),
    /// The message cannot be read.
    #[error("message: {0}")]
    Message(#[from] vitrine_wire::message::MessageError),
    /// A message that has no place in this state of the connection.
    #[error("message kind {kind} has no place before {before}")]
    OutOfTurn {
        /// Its kind.
        kind: u8,
        /// What had to come first.
        before: &'static str,
    },
    /// A message about a scope this client did not subscribe to on this connection.
    #[error("message kind {0} is about a scope that was not subscribed to")]
    ForeignScope(u8),
    /// A field has a value it can never have.
    #[error("message kind {kind}: {what}")]
    Field {
        /// Its kind.
        kind: u8,
        /// Which rule is broken.
        what: &'static str,
    },
}

fn field(kind: u8, what: &'static str) -> Violation {
    Violation::Field { kind, what }
}

fn need(ok: bool, kind: u8, what: &'static str) -> Result<(), Violation> {
    if ok { Ok(()) } else { Err(field(kind, what)) }
}

fn key_fits(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY_MAX
}

fn text_fits(text: &str) -> bool {
    text.len() <= TEXT_MAX
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn changes(kind: u8, list: &[Change]) -> Result<(), Violation> {
    need(list.len() <= ITEMS_MAX, kind, "too many changes")?;
    let mut keys = std::collections::BTreeSet::new();
    for c in list {
        need(key_fits(&c.key), kind, "a key is empty or too long")?;
        need(c.prev < c.ver, kind, "a version does not grow")?;
        need(keys.insert(c.key.as_str()), kind, "a key comes twice")?;
    }
    Ok(())
}

fn chunk(list: &[Change], next_after: Option<&str>) -> Result<(), Violation> {
    const K: u8 = 69;
    need(list.len() <= ITEMS_MAX, K, "too many items")?;
    let mut last: Option<&str> = None;
    for c in list {
        need(key_fits(&c.key), K, "a key is empty or too long")?;
        need(c.body.is_some(), K, "an item has no body")?;
        need(c.ver > 0 && c.prev == 0, K, "an item has impossible versions")?;
        need(
            last.is_none_or(|l| l < c.key.as_str()),
            K,
            "keys are not in order",
        )?;
        last = Some(&c.key);
    }
    if let Some(next) = next_after {
        need(key_fits(next), K, "the continuation is not a key")?;
        need(
            last.is_some_and(|l| l <= next),
            K,
            "the continuation does not go on",
        )?;
    }
    Ok(())
}

fn refs(m: &Refs) -> Result<(), Violation> {
    need(m.refs.len() <= ITEMS_MAX, 76, "too many references")?;
    need(m.buckets.len() <= 256, 76, "too many buckets")?;
    let fits = |r: &Ref| key_fits(&r.key) && r.ver > 0 && is_hex(&r.hash, 32);
    need(m.refs.iter().all(fits), 76, "a reference is malformed")
}

fn items(m: &Items) -> Result<(), Violation> {
    need(m.items.len() <= ITEMS_MAX, 77, "too many items")?;
    let fits = |c: &Change| key_fits(&c.key) && (c.body.is_none() || c.ver > 0);
    need(m.items.iter().all(fits), 77, "an item is malformed")
}

fn diff(m: &DigestDiff) -> Result<(), Violation> {
    let fits = m.buckets.is_empty() || (m.buckets.len() == 256 && m.buckets.iter().all(|b| is_hex(b, 32)));
    need(fits, 75, "buckets are malformed")
}

/// The scope a message is about; `None` for one about the connection.
pub(super) fn scope_of(m: &ServerMessage) -> Option<&str> {
    match m {
        ServerMessage::SnapBegin(m) => Some(&m.scope),
        ServerMessage::SnapChunk(m) => Some(&m.scope),
        ServerMessage::SnapEnd(m) => Some(&m.scope),
        ServerMessage::Delta(m) => Some(&m.scope),
        ServerMessage::PatientDelta(m) => Some(&m.scope),
        ServerMessage::Current(m) => Some(&m.scope),
        ServerMessage::Resumed(m) => Some(&m.scope),
        ServerMessage::DigestDiff(m) => Some(&m.scope),
        ServerMessage::Refs(m) => Some(&m.scope),
        ServerMessage::Items(m) => Some(&m.scope),
        ServerMessage::Dirty(m) => Some(&m.scope),
        ServerMessage::Reject(m) if !matches!(m.scope.as_str(), "" | "user" | "audit") => Some(&m.scope),
        _ => None,
    }
}

/// Checks the fields of a message.
///
/// # Errors
/// [`Violation::Field`] naming the rule.
pub(super) fn check(m: &ServerMessage) -> Result<(), Violation> {
    match m {
        ServerMessage::ServerHello(m) => {
            need(
                !m.epoch.is_empty() && text_fits(&m.epoch),
                65,
                "the epoch is empty or too long",
            )?;
            need(
                m.nonce.len() >= 32 && text_fits(&m.nonce),
                65,
                "the nonce is too short or too long",
            )
        }
        ServerMessage::Welcome(m) => {
            need(m.scopes.len() <= SCOPES_MAX, 66, "too many scopes")?;
            let device = |s: &String| scope::Scope::parse(s).is_some_and(|s| !s.is_patient());
            need(m.scopes.iter().all(device), 66, "a scope is none of a device's")?;
            need(text_fits(&m.ward), 66, "the ward is too long")
        }
        ServerMessage::UserWelcome(m) => need(text_fits(&m.user), 67, "the user is too long"),
        ServerMessage::SnapBegin(m) => need(
            !m.epoch.is_empty() && text_fits(&m.epoch),
            68,
            "the epoch is empty or too long",
        ),
        ServerMessage::SnapChunk(m) => chunk(&m.items, m.next_after.as_deref()),
        ServerMessage::Delta(m) => {
            need(
                !scope::is_patient(&m.scope),
                71,
                "a patient's changes come as another kind",
            )?;
            changes(71, &m.changes)
        }
        ServerMessage::PatientDelta(m) => {
            need(scope::is_patient(&m.scope), 72, "the scope is no patient's")?;
            need(m.rev_prev < m.rev, 72, "the revision does not grow")?;
            changes(72, &m.changes)
        }
        ServerMessage::DigestDiff(m) => diff(m),
        ServerMessage::Refs(m) => refs(m),
        ServerMessage::Items(m) => items(m),
        ServerMessage::GrantAck(m) => {
            need(text_fits(&m.id), 78, "the grant id is too long")?;
            let by = m.ended.as_ref().is_none_or(|e| text_fits(&e.by));
            need(by, 78, "what ended the grant is too long")
        }
        ServerMessage::EntryAck(m) => {
            need(text_fits(&m.id), 85, "the entry id is too long")?;
            match &m.outcome {
                EntryOutcome::Accepted { keys } => need(
                    keys.len() <= 100 && keys.iter().all(|k| text_fits(k)),
                    85,
                    "too many keys, or a key is too long",
                ),
                EntryOutcome::Rejected { text } => need(text.len() <= 4_000, 85, "the text is too long"),
                EntryOutcome::Later => Ok(()),
            }
        }
        ServerMessage::Reject(m) => need(m.text.len() <= 2_000, 80, "the text is too long"),
        ServerMessage::Wipe(m) => need(
            text_fits(&m.nonce) && text_fits(&m.signature),
            83,
            "a text is too long",
        ),
        ServerMessage::SnapEnd(_)
        | ServerMessage::Current(_)
        | ServerMessage::Resumed(_)
        | ServerMessage::Beat(_)
        | ServerMessage::AuditAck(_)
        | ServerMessage::Dirty(_)
        | ServerMessage::Overload(_) => Ok(()),
    }
}

/// The kind of a message as on the wire.
pub(super) const fn kind_of(m: &ServerMessage) -> u8 {
    match m {
        ServerMessage::ServerHello(_) => 65,
        ServerMessage::Welcome(_) => 66,
        ServerMessage::UserWelcome(_) => 67,
        ServerMessage::SnapBegin(_) => 68,
        ServerMessage::SnapChunk(_) => 69,
        ServerMessage::SnapEnd(_) => 70,
        ServerMessage::Delta(_) => 71,
        ServerMessage::PatientDelta(_) => 72,
        ServerMessage::Current(_) => 73,
        ServerMessage::Beat(_) => 74,
        ServerMessage::DigestDiff(_) => 75,
        ServerMessage::Refs(_) => 76,
        ServerMessage::Items(_) => 77,
        ServerMessage::GrantAck(_) => 78,
        ServerMessage::AuditAck(_) => 79,
        ServerMessage::Reject(_) => 80,
        ServerMessage::Dirty(_) => 81,
        ServerMessage::Overload(_) => 82,
        ServerMessage::Wipe(_) => 83,
        ServerMessage::Resumed(_) => 84,
        ServerMessage::EntryAck(_) => 85,
    }
}
