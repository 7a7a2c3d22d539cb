//! What can go wrong in the workstation, said by what was being done and what to do about it.
//!
//! Lives here: the one error of the facade, its code for the screen and its exit code for the command line.
//! Never here: PHI (an error names ids at most), a decision about what to try next.
//! Called by every module of the engine, by the desktop shell and by `vitrine-cli`.

use vitrine_store::StoreError;
use vitrine_wire::ErrorCode;
use vitrine_wire::view::ErrorView;

/// A failure of the workstation.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The profile has no device yet.
    #[error(
        "This workstation is not enrolled: run `vitrine-cli enrol --server URL --code CODE` with a code from IT."
    )]
    NotEnrolled,
    /// The server has revoked the device; its data are gone.
    #[error(
        "This workstation is no longer enrolled — its data were removed. Ask IT for a new enrolment code."
    )]
    Revoked,
    /// The keys cannot be opened.
    #[error("Stored data cannot be opened: {0}")]
    KeysMissing(String),
    /// Nobody is signed in.
    #[error("Sign in first.")]
    NotSignedIn,
    /// The secret was given more than five minutes ago.
    #[error("Your last PIN is more than 5 minutes ago: give it again.")]
    PinNeeded,
    /// Wrong PIN or password.
    #[error("The name or the secret is wrong.{}", wait_words(*.retry_after_s))]
    WrongSecret {
        /// Seconds until another try is taken, when more than none.
        retry_after_s: u32,
    },
    /// Too many wrong secrets.
    #[error("Too many wrong tries for this user: wait {} before the next.", span(*.retry_after_s))]
    Throttled {
        /// Seconds to wait.
        retry_after_s: u32,
    },
    /// The slot of the user was removed after ten wrong secrets.
    #[error(
        "Too many wrong tries: this user's key on this workstation was removed. Sign in while the server can be reached."
    )]
    SlotRemoved,
    /// The account is disabled.
    #[error("This account is disabled: ask IT.")]
    Disabled,
    /// The user is not in the staff list of this workstation.
    #[error(
        "'{0}' is not known at this workstation: check the name, or sign in while the server can be reached."
    )]
    UnknownUser(String),
    /// Policy denies it.
    #[error("{text}{}", if *.break_glass_offered { " Emergency access would allow it." } else { "" })]
    Denied {
        /// What is missing.
        text: String,
        /// Rule that denied.
        rule: &'static str,
        /// Breaking the glass would allow it.
        break_glass_offered: bool,
    },
    /// This workstation does not hold it.
    #[error("{what} is not on this workstation. {synced} This does not mean that nothing is recorded.")]
    NotOnThisWorkstation {
        /// What, by id.
        what: String,
        /// When it last knew the server's state: "Last synchronised 21-Nov-2026 04:31." or "Never synchronised."
        synced: String,
    },
    /// The server cannot be reached.
    #[error("The server cannot be reached: {0}. Data on this workstation stay readable.")]
    Offline(String),
    /// The server refused.
    #[error("{text}")]
    Refused {
        /// The server's code.
        code: ErrorCode,
        /// Its sentence.
        text: String,
        /// Seconds to wait.
        retry_after_s: Option<u32>,
    },
    /// The server is not the one this workstation trusts, or does not speak its protocol.
    #[error("{0}")]
    Protocol(String),
    /// Data are damaged.
    #[error(
        "{what} cannot be read — treat as unknown. Other patients can still be opened; it is fetched again when the server can be reached."
    )]
    Damaged {
        /// What.
        what: String,
    },
    /// The audit row could not be written, so nothing is shown.
    #[error("The access could not be written down ({0}), so nothing is shown. Emergency access still works.")]
    AuditFailed(String),
    /// What was recorded could not be kept.
    #[error(
        "It could not be kept on this workstation ({0}): nothing was recorded. Write it on paper, and tell IT."
    )]
    NotKept(String),
    /// Pages for a printer could not be made.
    #[error("Nothing was printed: {0}.")]
    Paper(String),
    /// The printing system did not take them.
    #[error("Nothing was printed: {0} Choose another printer, or ask IT.")]
    Printer(String),
    /// Wrong usage.
    #[error("{0}")]
    Usage(String),
    /// Refused for safety: the file is left untouched.
    #[error("{0}")]
    Unsafe(String),
    /// The storage failed.
    #[error("{0}")]
    Store(StoreError),
    /// Reading or writing a file of the profile failed.
    #[error("while {doing}: {cause}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The operating system's words.
        cause: std::io::Error,
    },
    /// A fault of ours.
    #[error("internal fault while {0}: please report it")]
    Internal(&'static str),
}

fn span(seconds: u32) -> String {
    if seconds >= 120 {
        format!("{} min", seconds.div_ceil(60))
    } else {
        format!("{seconds} s")
    }
}

fn wait_words(seconds: u32) -> String {
    if seconds == 0 {
        String::new()
    } else {
        format!(" The next try is taken in {}.", span(seconds))
    }
}

impl From<StoreError> for EngineError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Damaged(what) => Self::Damaged { what },
            StoreError::Unencrypted(_) | StoreError::WrongKey(_) | StoreError::NewerSchema { .. } => {
                Self::Unsafe(e.to_string())
            }
            other => Self::Store(other),
        }
    }
}

impl EngineError {
    /// For `map_err` on file operations.
    pub fn io(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |cause| Self::Io { doing, cause }
    }

    /// The code a program switches on.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotEnrolled => ErrorCode::NotEnrolled,
            Self::Revoked => ErrorCode::DeviceRevoked,
            Self::KeysMissing(_) | Self::Damaged { .. } | Self::Unsafe(_) => ErrorCode::Damaged,
            Self::NotSignedIn | Self::PinNeeded => ErrorCode::NotSignedIn,
            Self::WrongSecret { .. } | Self::UnknownUser(_) => ErrorCode::WrongSecret,
            Self::Throttled { .. } => ErrorCode::Throttled,
            Self::SlotRemoved | Self::Disabled => ErrorCode::Disabled,
            Self::Denied { .. } => ErrorCode::Denied,
            Self::NotOnThisWorkstation { .. } => ErrorCode::NotOnThisWorkstation,
            Self::Offline(_) => ErrorCode::Offline,
            Self::Refused { code, .. } => *code,
            Self::Protocol(_) => ErrorCode::ProtocolMismatch,
            Self::AuditFailed(_) | Self::NotKept(_) => ErrorCode::AuditFailed,
            Self::Usage(_) => ErrorCode::BadRequest,
            Self::Store(_) | Self::Io { .. } | Self::Internal(_) | Self::Paper(_) | Self::Printer(_) => {
                ErrorCode::Internal
            }
        }
    }

    /// The error as the screen gets it.
    #[must_use]
    pub fn view(&self) -> ErrorView {
        ErrorView {
            code: self.code(),
            text: self.to_string(),
            retry_after_s: match self {
                Self::WrongSecret { retry_after_s } if *retry_after_s > 0 => Some(*retry_after_s),
                Self::Throttled { retry_after_s } => Some(*retry_after_s),
                Self::Refused { retry_after_s, .. } => *retry_after_s,
                _ => None,
            },
            break_glass_offered: matches!(
                self,
                Self::Denied {
                    break_glass_offered: true,
                    ..
                }
            ),
        }
    }

    /// The exit code of `vitrine-cli` (interfaces.md): 1 refused or failed, 2 usage or configuration, 3 refused for
    /// safety, 4 not on this workstation, 5 denied, 6 locked or revoked.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotEnrolled | Self::Usage(_) | Self::UnknownUser(_) => 2,
            Self::Unsafe(_) | Self::KeysMissing(_) => 3,
            Self::NotOnThisWorkstation { .. } => 4,
            Self::Denied { .. } => 5,
            Self::Revoked
            | Self::NotSignedIn
            | Self::PinNeeded
            | Self::WrongSecret { .. }
            | Self::Throttled { .. }
            | Self::SlotRemoved
            | Self::Disabled => 6,
            Self::Refused { code, .. } => match code {
                ErrorCode::Denied => 5,
                ErrorCode::NotSignedIn
                | ErrorCode::WrongSecret
                | ErrorCode::Throttled
                | ErrorCode::Disabled
                | ErrorCode::DeviceRevoked => 6,
                ErrorCode::BadRequest | ErrorCode::NotEnrolled => 2,
                _ => 1,
            },
            _ => 1,
        }
    }
}
