//! Audit rows of who comes and goes at this workstation: signing in, a secret that was wrong, the lock.
//!
//! The same words as the server's rows (`sign-in`, `wrong-secret`, `account-disabled`); a sign-in that the server confirmed
//! has a row of its own there.

use crate::EngineError;
use crate::break_glass::after;
use crate::entropy;
use crate::error::store_words;
use crate::link::Command;
use crate::outbox::Alarm;
use crate::station::Station;
use std::collections::BTreeMap;
use vitrine_access::ways::{Because, Way};
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Kind, Purpose};
use vitrine_clinical::UserId;

/// What proved who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proved {
    /// The person's own key on this workstation.
    OwnKey,
    /// The PIN of the staff list.
    StaffListPin,
    /// The server.
    Server,
    /// The hospital's identity provider, by the server's word.
    Provider,
}

impl Proved {
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::OwnKey => "own-key",
            Self::StaffListPin => "staff-list-pin",
            Self::Server => "server",
            Self::Provider => "identity-provider",
        }
    }
}

/// What ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The person locked it.
    Person,
    /// Nobody did anything for the idle time.
    Idle,
    /// The server took the session back.
    Server,
    /// The program was closed.
    Closing,
    /// The server has been away for longer than the offline horizon.
    Horizon,
    /// The workstation is wiped: there is nowhere to write a row.
    Wiped,
}

impl Ended {
    const fn rule(self) -> Option<&'static str> {
        match self {
            Self::Person => Some("own-act"),
            Self::Idle => Some("idle"),
            Self::Server => Some("taken-back-by-server"),
            Self::Closing => Some("program-closed"),
            Self::Horizon => Some("offline-horizon"),
            Self::Wiped => None,
        }
    }
}

fn row(
    station: &Station,
    user: &UserId,
    action: Kind,
    rule: &str,
    decision: Decision,
) -> Result<AuditEntry, EngineError> {
    let at = station.clock.now();
    Ok(AuditEntry {
        access_id: entropy::access_id(at)?,
        at,
        actor: Actor::User(user.clone()),
        device: Some(station.device_id.clone()),
        action: action.name().to_owned(),
        purpose: Purpose::Operations,
        decision,
        rule: rule.to_owned(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: BTreeMap::new(),
    })
}

fn append(station: &Station, entry: AuditEntry) -> Result<(), EngineError> {
    match station.outbox.append(&[entry], None) {
        Ok(_) => {
            station.command(Command::OutboxChanged);
            Ok(())
        }
        Err(e) => {
            if station.alarms.raise(Alarm::OutboxUnwritable) {
                station.tell_status();
            }
            Err(EngineError::AuditFailed(store_words(&e)))
        }
    }
}

/// Somebody signs in: nobody is let in without the row, nor before what others opened here in an emergency has ended.
pub(super) fn signed_in(
    station: &Station,
    user: &UserId,
    proved: Proved,
    how: &How,
) -> Result<(), EngineError> {
    after::switched(station, user)?;
    let mut entry = row(station, user, Kind::SignIn, proved.rule(), Decision::Permit)?;
    let mut note = |name: &str, value: &str| entry.notes.insert(name.to_owned(), value.to_owned());
    note("way", how.way.code());
    if !matches!(how.because, Because::Free | Because::Provider) {
        note("because", how.because.code());
    }
    if let Some(badge) = &how.badge {
        note("badge", badge);
    }
    append(station, entry)
}

/// In which way somebody signed in, as its row says.
pub(crate) struct How {
    /// Which.
    pub(crate) way: Way,
    /// Why it was open.
    pub(crate) because: Because,
    /// What is shown of the badge that picked them.
    pub(crate) badge: Option<String>,
}

/// Somebody says who they are and holds the code of an emergency account. It is an emergency: where the row cannot be written, that of
/// the broken glass says the same, and goes to the reserve.
pub(super) fn declared(station: &Station, user: &UserId, name: &str, because: Because) {
    let written = row(station, user, Kind::Identify, "declared-name", Decision::Permit).and_then(|mut r| {
        r.notes = BTreeMap::from([
            ("way".to_owned(), Way::Declared.code().to_owned()),
            ("because".to_owned(), because.code().to_owned()),
            ("declared".to_owned(), name.to_owned()),
        ]);
        append(station, r)
    });
    if let Err(e) = written {
        tracing::error!(error = %e, "the audit row of a declared name could not be written");
    }
}

/// Somebody is refused, which stands also where its row cannot be written.
pub(crate) fn not_let_in(station: &Station, user: &UserId, action: Kind, rule: &str) {
    let written = row(station, user, action, rule, Decision::Deny).and_then(|r| append(station, r));
    if let Err(e) = written {
        tracing::error!(error = %e, "the audit row of a refused secret could not be written");
    }
}

/// The session is over, which stands also where its row cannot be written.
pub(crate) fn ended(station: &Station, user: &UserId, how: Ended) {
    let Some(rule) = how.rule() else { return };
    // A session of the command line that was kept for its next run goes on.
    if how == Ended::Closing && station.profile.session().exists() {
        return;
    }
    let written = row(station, user, Kind::SignOut, rule, Decision::Permit).and_then(|r| append(station, r));
    if let Err(e) = written {
        tracing::error!(error = %e, "the audit row of the lock could not be written");
    }
}
