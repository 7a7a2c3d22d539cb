//! Who a person is at the hospital's identity provider, and which sessions rest on its word.
//!
//! Lives here: what crosses the store ([`Bound`], [`ProviderSession`], [`ProviderEnd`]) and what a backend must answer
//! ([`Identities`]). Never here: tokens and their proof (the server's `identity::oidc`), a database.
//! Called by every backend and by the server. Names: OpenID Connect Core 1.0 (`iss`, `sub`), Back-Channel Logout 1.0 (`sid`).

use crate::{SessionRow, StoreError};
use async_trait::async_trait;
use vitrine_access::action::ManageUsers;
use vitrine_access::{Permit, Receipt};
use vitrine_clinical::{UserId, UtcMs};

/// What a session rests on when the identity provider vouched for its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSession {
    /// The issuer's identifier, as in its tokens.
    pub issuer: String,
    /// The person's name there, unique within the issuer and never given to anybody else.
    pub subject: String,
    /// The session at the provider, where it names one.
    pub sid: Option<String>,
}

/// What became of binding an identity to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It is the account's from now on.
    New,
    /// It was the account's already.
    Known,
    /// The account belongs to another identity of this issuer. Nothing was changed.
    OtherSubject,
    /// The identity belongs to another account. Nothing was changed.
    OtherAccount,
}

/// Which sessions the provider says are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEnd {
    /// The issuer.
    pub issuer: String,
    /// Of this person; where no session is named, all of theirs.
    pub subject: Option<String>,
    /// This session at the provider.
    pub sid: Option<String>,
}

impl ProviderEnd {
    /// Whether it ends a session. One whose row names no session at the provider ends with any of its person's: one too
    /// many is a sign-in, one too few is an open record.
    #[must_use]
    pub fn ends(&self, of: &ProviderSession) -> bool {
        let person = self.subject.as_ref().map(|s| *s == of.subject);
        let session = match (&self.sid, &of.sid) {
            (Some(named), Some(sid)) => Some(named == sid),
            _ => None,
        };
        self.issuer == of.issuer
            && person != Some(false)
            && session != Some(false)
            && (person.is_some() || session.is_some())
    }
}

/// Identities at the provider, and the sessions that rest on them.
#[async_trait]
pub trait Identities: Send + Sync {
    /// Binds an identity to an account at its first sign-in; afterwards says whether it is still the same pair.
    async fn bind_identity(
        &self,
        issuer: &str,
        subject: &str,
        user: &UserId,
        at: UtcMs,
    ) -> Result<Bound, StoreError>;
    /// Lets go of an account's identities, so that the next sign-in binds anew; sessions that rest on one end.
    /// [`StoreError::Refused`] when it has none.
    async fn forget_identity(
        &self,
        permit: &Permit<ManageUsers>,
        user: &UserId,
    ) -> Result<Receipt, StoreError>;
    /// Ends sessions that rest on the provider's word; gives those that it ended.
    async fn end_provider_sessions(&self, of: &ProviderEnd) -> Result<Vec<SessionRow>, StoreError>;
    /// Notes that something was used that counts once (a token), until a moment after which it would be refused anyway.
    /// False when it was used before. Notes from before `at` are dropped.
    async fn once(&self, hash: [u8; 32], at: UtcMs, until: UtcMs) -> Result<bool, StoreError>;
}

/// The answer of [`Identities::forget_identity`] for an account that has none.
#[must_use]
pub fn none_bound(user: &UserId) -> StoreError {
    StoreError::Refused(format!(
        "the account {user} is bound to no identity of a provider"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_names_a_person_a_session_or_both() {
        let of = |sub: &str, sid: Option<&str>| ProviderSession {
            issuer: "i".to_owned(),
            subject: sub.to_owned(),
            sid: sid.map(str::to_owned),
        };
        let end = |issuer: &str, sub: Option<&str>, sid: Option<&str>| ProviderEnd {
            issuer: issuer.to_owned(),
            subject: sub.map(str::to_owned),
            sid: sid.map(str::to_owned),
        };
        for (end, session, ends) in [
            (end("i", Some("a"), None), of("a", Some("1")), true),
            (end("i", Some("a"), None), of("b", Some("1")), false),
            (end("i", None, Some("1")), of("a", Some("1")), true),
            (end("i", None, Some("2")), of("a", Some("1")), false),
            (end("i", Some("a"), Some("1")), of("a", Some("1")), true),
            (end("i", Some("a"), Some("2")), of("a", Some("1")), false),
            (end("i", Some("b"), Some("1")), of("a", Some("1")), false),
            (end("i", Some("a"), Some("1")), of("a", None), true),
            (end("i", None, Some("1")), of("a", None), false),
            (end("i", None, None), of("a", None), false),
            (end("j", Some("a"), Some("1")), of("a", Some("1")), false),
        ] {
            assert_eq!(end.ends(&session), ends, "{end:?} {session:?}");
        }
    }
}
