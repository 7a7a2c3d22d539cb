//! Identities at the provider, the sessions that rest on them, and what counts once.
//!
//! Called by the server through `vitrine_store::identities`, and by `acts` for what is written.

use crate::PostgresStore;
use crate::accounts::{SESSION, session};
use crate::acts::{Act, refused};
use crate::group::Group;
use crate::sql::{Fault, all, col, one, run};
use async_trait::async_trait;
use vitrine_access::action::ManageUsers;
use vitrine_access::{Disclosure, Permit, Receipt};
use vitrine_clinical::{UserId, UtcMs};
use vitrine_store::identities::{Bound, Identities, ProviderEnd, none_bound};
use vitrine_store::{SessionRow, StoreError};

const BINDING: &str = "keeping identities of the provider";
const ENDING: &str = "ending sessions of the provider";
const ONCE: &str = "noting what counts once";

/// What is written about identities.
pub(crate) enum IdentityAct {
    /// Issuer, subject, account, when.
    Bind(String, String, UserId, UtcMs),
    Forget(UserId),
    End(ProviderEnd),
    /// Hash, now, until.
    Once([u8; 32], UtcMs, UtcMs),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum IdentityActed {
    Bound(Bound),
    Forgotten,
    Ended(Vec<SessionRow>),
    /// Whether it was the first time.
    Once(bool),
}

impl Group<'_> {
    /// Carries an act out. Done twice, because its answer was lost, [`IdentityAct::Once`] says that it was used: whoever
    /// signs in tries again.
    pub(crate) async fn identity(&self, act: &IdentityAct) -> Result<IdentityActed, Fault> {
        Ok(match act {
            IdentityAct::Bind(issuer, subject, user, at) => {
                IdentityActed::Bound(self.bind(issuer, subject, user, *at).await?)
            }
            IdentityAct::Forget(user) => {
                let sql = "DELETE FROM identity WHERE holder = $1";
                if run(self.tx, BINDING, sql, &[&user.as_str()]).await? == 0 && !self.again {
                    return Err(match none_bound(user) {
                        StoreError::Refused(text) => refused(text),
                        other => Fault::Failed(other),
                    });
                }
                let sql = "DELETE FROM session WHERE holder = $1 AND issuer IS NOT NULL";
                run(self.tx, ENDING, sql, &[&user.as_str()]).await?;
                IdentityActed::Forgotten
            }
            IdentityAct::End(of) => {
                let sql = format!("SELECT {SESSION} FROM session WHERE issuer = $1 FOR UPDATE");
                let rows = all(self.tx, ENDING, &sql, &[&of.issuer]).await?;
                let mut rows = rows.iter().map(session).collect::<Result<Vec<_>, _>>()?;
                rows.retain(|s| s.provider.as_ref().is_some_and(|p| of.ends(p)));
                let hashes: Vec<&[u8]> = rows.iter().map(|s| &s.hash[..]).collect();
                let sql = "DELETE FROM session WHERE hash = ANY($1)";
                run(self.tx, ENDING, sql, &[&hashes]).await?;
                IdentityActed::Ended(rows)
            }
            IdentityAct::Once(hash, at, until) => {
                run(self.tx, ONCE, "DELETE FROM used_once WHERE until < $1", &[&at.0]).await?;
                let sql = "INSERT INTO used_once (hash, until) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                IdentityActed::Once(run(self.tx, ONCE, sql, &[&&hash[..], &until.0]).await? == 1)
            }
        })
    }

    async fn bind(&self, issuer: &str, subject: &str, user: &UserId, at: UtcMs) -> Result<Bound, Fault> {
        let user = user.as_str();
        // Whoever comes second sees what the first one wrote, here and on the other servers.
        let sql = "INSERT INTO identity (issuer, subject, holder, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        if run(self.tx, BINDING, sql, &[&issuer, &subject, &user, &at.0]).await? == 1 {
            return Ok(Bound::New);
        }
        let sql = "SELECT holder FROM identity WHERE issuer = $1 AND subject = $2";
        let Some(row) = one(self.tx, BINDING, sql, &[&issuer, &subject]).await? else {
            return Ok(Bound::OtherSubject);
        };
        let holder: &str = col(&row, 0, BINDING)?;
        Ok(if holder == user {
            Bound::Known
        } else {
            Bound::OtherAccount
        })
    }
}

#[async_trait]
impl Identities for PostgresStore {
    async fn bind_identity(
        &self,
        issuer: &str,
        subject: &str,
        user: &UserId,
        at: UtcMs,
    ) -> Result<Bound, StoreError> {
        let act = IdentityAct::Bind(issuer.to_owned(), subject.to_owned(), user.clone(), at);
        match self.act(Act::Identity(act), None).await?.identity {
            Some(IdentityActed::Bound(bound)) => Ok(bound),
            _ => Err(StoreError::Closed),
        }
    }

    async fn forget_identity(
        &self,
        permit: &Permit<ManageUsers>,
        user: &UserId,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        let act = Act::Identity(IdentityAct::Forget(user.clone()));
        self.act(act, Some(entry))
            .await?
            .receipt
            .ok_or(StoreError::Closed)
    }

    async fn end_provider_sessions(&self, of: &ProviderEnd) -> Result<Vec<SessionRow>, StoreError> {
        let act = Act::Identity(IdentityAct::End(of.clone()));
        match self.act(act, None).await?.identity {
            Some(IdentityActed::Ended(rows)) => Ok(rows),
            _ => Err(StoreError::Closed),
        }
    }

    async fn once(&self, hash: [u8; 32], at: UtcMs, until: UtcMs) -> Result<bool, StoreError> {
        let act = Act::Identity(IdentityAct::Once(hash, at, until));
        match self.act(act, None).await?.identity {
            Some(IdentityActed::Once(first)) => Ok(first),
            _ => Err(StoreError::Closed),
        }
    }
}
