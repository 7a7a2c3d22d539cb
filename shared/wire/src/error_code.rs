//! One error code for the wire and the screen.
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What went wrong, for a program. The UI switches on this, never on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum ErrorCode {
    /// The request is not well formed.
    BadRequest,
    /// Sign in first.
    NotSignedIn,
    /// The secret is wrong.
    WrongSecret,
    /// Too many wrong secrets: wait.
    Throttled,
    /// The account or slot is disabled.
    Disabled,
    /// Policy denies it; see `break_glass_offered`.
    Denied,
    /// The device is revoked or unknown.
    DeviceRevoked,
    /// Not enrolled.
    NotEnrolled,
    /// This workstation does not hold it. Never means "none".
    NotOnThisWorkstation,
    /// The server does not have it.
    NotFound,
    /// No server.
    Offline,
    /// A version conflict.
    Conflict,
    /// Protocol versions do not match.
    ProtocolMismatch,
    /// Stored data are damaged or cannot be decrypted.
    Damaged,
    /// The audit row could not be written, so nothing is shown.
    AuditFailed,
    /// The hospital's identity provider answers: it is the way in here.
    UseProvider,
    /// An emergency account is nobody's: say who you are.
    NameNeeded,
    /// The badge is nobody's here (any more).
    UnknownBadge,
    /// The server is too busy.
    Overloaded,
    /// A fault of ours.
    Internal,
}
