//! The second factor of local accounts: time-based one-time passwords (RFC 6238), and codes for whoever lost theirs.
//!
//! Lives here: what crosses the store ([`Totp`], [`TotpChange`]) and what a backend must answer ([`SecondFactors`]). Never
//! here: making or checking a code (the server's `identity::totp`), a database. Called by every backend and by the server.
//! A store never sees a secret: it keeps it as the server sealed it, and hashes of recovery codes.

use crate::StoreError;
use async_trait::async_trait;
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{UserId, UtcMs};

/// An account's second factor, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totp {
    /// Whose.
    pub user: UserId,
    /// The secret, sealed by the server.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub made: UtcMs,
    /// When its owner first gave a code of it; it counts for nothing before.
    pub confirmed: Option<UtcMs>,
    /// The last time step (RFC 6238: T) of which a code was used; 0 before the first.
    pub step: u64,
    /// Hashes of the recovery codes that are left.
    pub codes: Vec<[u8; 32]>,
}

/// A change of somebody's second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TotpChange {
    /// A new secret, in place of one that was never confirmed. Refused when there is a confirmed one, or no such account.
    Begin {
        /// Whose.
        user: UserId,
        /// The secret, sealed.
        sealed: Vec<u8>,
        /// When.
        at: UtcMs,
    },
    /// Its owner gave a code of it: it counts from now on. Refused when it is not this secret that waits.
    Confirm {
        /// Whose.
        user: UserId,
        /// The secret whose code it was, sealed, as it is kept.
        sealed: Vec<u8>,
        /// When.
        at: UtcMs,
        /// The time step of the code.
        step: u64,
        /// Hashes of the recovery codes.
        codes: Vec<[u8; 32]>,
    },
    /// It is gone, with its recovery codes. Refused when there is none.
    Remove(UserId),
}

impl TotpChange {
    /// Whose second factor it changes.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        match self {
            Self::Begin { user, .. } | Self::Confirm { user, .. } | Self::Remove(user) => user,
        }
    }

    /// What is kept after it, of what was kept before; the one rule of every backend. Whether there is such an account is the
    /// backend's to look at.
    ///
    /// # Errors
    /// [`StoreError::Refused`], with what to do.
    pub fn after(self, before: Option<Totp>) -> Result<Option<Totp>, StoreError> {
        let refused = |text: String| Err(StoreError::Refused(text));
        let user = self.user().clone();
        match (self, before) {
            (
                Self::Begin { .. },
                Some(Totp {
                    confirmed: Some(_), ..
                }),
            ) => refused(format!(
                "{user} has a second factor already: 'vitrine-server totp reset {user}' takes it away"
            )),
            (Self::Begin { user, sealed, at }, _) => Ok(Some(Totp {
                user,
                sealed,
                made: at,
                confirmed: None,
                step: 0,
                codes: Vec::new(),
            })),
            (
                Self::Confirm {
                    sealed,
                    at,
                    step,
                    codes,
                    ..
                },
                Some(waiting),
            ) if waiting.confirmed.is_none() && waiting.sealed == sealed => Ok(Some(Totp {
                confirmed: Some(at),
                step,
                codes,
                ..waiting
            })),
            (Self::Confirm { .. }, _) => refused(format!(
                "no second factor of {user} waits for this code: begin the enrolment anew"
            )),
            (Self::Remove(_), Some(_)) => Ok(None),
            (Self::Remove(_), None) => refused(format!(
                "{user} has no second factor: 'vitrine-server totp list' shows who has"
            )),
        }
    }
}

/// The second factors of accounts.
#[async_trait]
pub trait SecondFactors: Send + Sync {
    /// Of one account.
    async fn totp(&self, user: &UserId) -> Result<Option<Totp>, StoreError>;
    /// Of all accounts that have one, by name.
    async fn totps(&self) -> Result<Vec<Totp>, StoreError>;
    /// Changes one, with the row of the audit log that says so. What rests on the account as it was before (sessions of the
    /// console, what programs hold, the provider's word) ends with [`TotpChange::Confirm`] and [`TotpChange::Remove`]: the
    /// account's version grows. [`StoreError::Refused`] as [`TotpChange::after`], and where there is no such account.
    async fn change_totp(&self, entry: AuditEntry, change: TotpChange) -> Result<Receipt, StoreError>;
    /// Uses a code of a time step, durably. False when a code of this step or of a later one was used before, here or on
    /// another server, or when no confirmed second factor is there: a code counts once.
    async fn use_totp(&self, user: &UserId, step: u64) -> Result<bool, StoreError>;
    /// Uses a recovery code, durably; gives how many are left. `None` when it is none of theirs, or was used.
    async fn use_recovery(&self, user: &UserId, hash: [u8; 32]) -> Result<Option<usize>, StoreError>;
}

/// The answer where there is no such account.
#[must_use]
pub fn no_account(user: &UserId) -> StoreError {
    StoreError::Refused(format!("there is no user {user}"))
}
