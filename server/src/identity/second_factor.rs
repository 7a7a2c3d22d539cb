//! The second factor of local accounts (ADR 50): enrolling it, checking what was typed, who has to have one.
//!
//! Lives here: sealing secrets, hashing recovery codes, the proof that a password was right a moment ago. Never here: the
//! arithmetic of codes (`totp`), counting wrong ones (`throttle`), HTTP, audit rows of sign-ins. Called by `http::console`,
//! `http::oauth`, `ops::totp` and `sessions`.

use super::secrets::same;
use super::totp::{self, RECOVERY, SECRET};
use crate::clock;
use crate::config::TotpUse;
use crate::keys::{Keys, Sealer, hex, unhex};
use ring::hmac;
use vitrine_access::action::{ManageDevices, ManageUsers, ReadAudit, ReviewBreakGlass};
use vitrine_access::policy::{self, Request, Subject};
use vitrine_access::{Action as _, AuditEntry};
use vitrine_clinical::{UserId, UtcMs};
use vitrine_store::totp::{Totp, TotpChange};
use vitrine_store::{Account, Store, StoreError};
use zeroize::Zeroizing;

/// A password that was right counts so long for the code that follows, ms.
pub const PROOF_MS: i64 = 5 * 60_000;
/// Longest proof, hex characters: a name of 64 characters, two numbers, the seal.
pub const PROOF_MOST: usize = 400;
/// What a proof is sealed as.
const PROOF: &str = "password-proof";
/// Longest code that is looked at, bytes.
const TYPED_MOST: usize = 64;

/// By which code somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// Of the authenticator.
    Code,
    /// A recovery code; so many are left.
    Recovery {
        /// How many.
        left: usize,
    },
}

impl Passed {
    /// What a session rests on, after the methods of RFC 8176: a password and this.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Code => "pwd+otp",
            Self::Recovery { .. } => "pwd+recovery",
        }
    }
}

/// A secret that waits for its first code. It is shown to its owner once.
pub struct Begun {
    /// For a QR code.
    pub uri: Zeroizing<String>,
    /// For who types it: base32 in groups of four.
    pub key: Zeroizing<String>,
}

fn damaged(user: &UserId) -> StoreError {
    StoreError::Damaged(format!(
        "the second factor of {user}: take it away with 'vitrine-server totp reset {user}'"
    ))
}

/// What a secret is sealed as: another account's does not open.
fn sealed_as(user: &UserId) -> String {
    format!("totp {user}")
}

fn sealer(key: &Zeroizing<[u8; 32]>, user: &UserId) -> Result<Sealer, StoreError> {
    Sealer::of_key(&**key).ok_or_else(|| damaged(user))
}

fn secret(keys: &Keys, kept: &Totp) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let sealer = sealer(&keys.totp_key(), &kept.user)?;
    let opened = sealer.unseal(&sealed_as(&kept.user), &kept.sealed);
    opened
        .filter(|s| s.len() == SECRET)
        .ok_or_else(|| damaged(&kept.user))
}

/// Makes a secret for an account and keeps it with a row of the audit log; it counts once its owner has given a code of it.
///
/// # Errors
/// [`StoreError::Refused`] as [`TotpChange::after`].
pub async fn begin(
    store: &dyn Store,
    keys: &Keys,
    entry: AuditEntry,
    user: &UserId,
) -> Result<Begun, StoreError> {
    let secret = Zeroizing::new(clock::random::<SECRET>());
    let sealed = sealer(&keys.totp_key(), user)?.seal(&sealed_as(user), &*secret);
    let change = TotpChange::Begin {
        user: user.clone(),
        sealed: sealed.ok_or_else(|| damaged(user))?,
        at: clock::now(),
    };
    store.change_totp(entry, change).await?;
    Ok(Begun {
        uri: totp::uri(&*secret, user.as_str()),
        key: totp::groups(&*secret),
    })
}

/// Confirms the secret that waits by a code of it; gives the recovery codes, which are shown once. `None`: that is no code of
/// it now, and nothing was changed.
///
/// # Errors
/// [`StoreError::Refused`] where none waits.
pub async fn confirm(
    store: &dyn Store,
    keys: &Keys,
    entry: AuditEntry,
    user: &UserId,
    given: &str,
) -> Result<Option<Vec<Zeroizing<String>>>, StoreError> {
    let waits = store.totp(user).await?.filter(|t| t.confirmed.is_none());
    let Some(kept) = waits else {
        return Err(StoreError::Refused(format!(
            "no second factor of {user} waits for a code: begin the enrolment anew"
        )));
    };
    let at = clock::now();
    let Some(step) = totp::step_of(&secret(keys, &kept)?, given, at) else {
        return Ok(None);
    };
    let codes = recovery_codes();
    let change = TotpChange::Confirm {
        user: user.clone(),
        sealed: kept.sealed,
        at,
        step,
        codes: codes
            .iter()
            .filter_map(|c| totp::typed_recovery(c))
            .map(|plain| recovery_hash(keys, user, &plain))
            .collect(),
    };
    store.change_totp(entry, change).await?;
    Ok(Some(codes))
}

fn recovery_codes() -> Vec<Zeroizing<String>> {
    let mut codes = Vec::with_capacity(RECOVERY);
    while codes.len() < RECOVERY {
        // Enough that twelve of them can be used but once in very many times.
        let random = Zeroizing::new(clock::random::<24>());
        codes.extend(totp::recovery_code(&*random));
    }
    codes
}

/// What is kept of a recovery code: bound to its owner, under a key that is not in the database.
fn recovery_hash(keys: &Keys, user: &UserId, plain: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*keys.recovery_key());
    let text = Zeroizing::new([user.as_str().as_bytes(), b"\0", plain.as_bytes()].concat());
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, &text).as_ref());
    out
}

/// Whether what was typed is a code of this second factor that was not used before; it is used then, durably.
///
/// # Errors
/// [`StoreError`]; then it may have been used up, and nobody was let in.
pub async fn check(
    store: &dyn Store,
    keys: &Keys,
    kept: &Totp,
    given: &str,
) -> Result<Option<Passed>, StoreError> {
    if kept.confirmed.is_none() || given.len() > TYPED_MOST {
        return Ok(None);
    }
    if let Some(step) = totp::step_of(&secret(keys, kept)?, given, clock::now()) {
        let first = kept.step < step && store.use_totp(&kept.user, step).await?;
        return Ok(first.then_some(Passed::Code));
    }
    let Some(plain) = totp::typed_recovery(given) else {
        return Ok(None);
    };
    let hash = recovery_hash(keys, &kept.user, &plain);
    if !kept.codes.iter().any(|c| same(c, &hash)) {
        return Ok(None);
    }
    let left = store.use_recovery(&kept.user, hash).await?;
    Ok(left.map(|left| Passed::Recovery { left }))
}

/// The second factor that an account has to show, where it has one that counts.
///
/// # Errors
/// [`StoreError`].
pub async fn of(store: &dyn Store, user: &UserId) -> Result<Option<Totp>, StoreError> {
    Ok(store.totp(user).await?.filter(|t| t.confirmed.is_some()))
}

/// Whether an account may do more at the console than look at its own.
fn privileged(account: &Account) -> bool {
    let request = Request {
        access_id: clock::new_access(),
        at: clock::now(),
        subject: Subject::User {
            user: account.user.clone(),
            role: account.role,
            wards: account.wards.clone(),
        },
        device: None,
        patient: None,
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    };
    [
        ReviewBreakGlass::NAME,
        ReadAudit::NAME,
        ManageDevices::NAME,
        ManageUsers::NAME,
    ]
    .iter()
    .any(|act| policy::verdict(act, &request).allow)
}

/// Whether an account signs in at the console with a second factor alone.
#[must_use]
pub fn must_have(rule: TotpUse, account: &Account) -> bool {
    rule == TotpUse::RequiredForConsole && privileged(account)
}

/// What the browser keeps between the password and the code: that this account's password was right, as the account is now.
/// `None` when it cannot be sealed.
#[must_use]
pub fn proof(keys: &Keys, account: &Account, at: UtcMs) -> Option<String> {
    let text = format!("{} {} {}", account.user, account.version, at.0);
    let sealer = Sealer::of_key(&*keys.proof_key())?;
    Some(hex(&sealer.seal(PROOF, text.as_bytes())?))
}

/// Whose password was right within [`PROOF_MS`], and at which version of the account.
#[must_use]
pub fn proven(keys: &Keys, proof: &str, now: UtcMs) -> Option<(UserId, u64)> {
    if proof.len() > PROOF_MOST {
        return None;
    }
    let plain = Sealer::of_key(&*keys.proof_key())?.unseal(PROOF, &unhex(proof)?)?;
    let mut parts = std::str::from_utf8(&plain).ok()?.split(' ');
    let user = UserId::new(parts.next()?).ok()?;
    let (version, at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let age = now.since(UtcMs(at));
    (0..=PROOF_MS).contains(&age).then_some((user, version))
}
