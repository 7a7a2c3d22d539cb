//! Signing in: with the user's slot here, with the server, or with the PIN of the staff list.
//!
//! What can be checked here is checked here and lets the person in at once; the server is asked at the same time and
//! may only take back (a disabled account, a changed secret). So a dead network delays nobody who has a slot.

use super::badges::Picked;
use super::own_keys::{Heard, Here, dir_user, drop_slots, heed, make_slot, open_here, open_records};
use super::rows::{self, Ended, How, Proved};
use super::{Person, Session, declared, ways};
use crate::EngineError;
use crate::error::{Envelope, store_words};
use crate::horizon;
use crate::keys::SlotKind;
use crate::layouts;
use crate::link::{self, Command};
use crate::outbox::Alarm;
use crate::station::Station;
use std::sync::Arc;
use vitrine_access::Kind;
use vitrine_access::ways::{Because, REFUSED, Way};
use vitrine_clinical::UserId;
use vitrine_store_sqlcipher::workstation::{Attempt, Records, ThrottleRule};
use vitrine_wire::ErrorCode;
use vitrine_wire::http::LoginResponse;
use vitrine_wire::view::{EngineEvent, SessionView};
use zeroize::Zeroizing;

/// Wrong secrets at sign-in: five are free, then 30 s doubling to 15 min (security.md §1).
const RULE: ThrottleRule = ThrottleRule {
    path: "sign-in",
    free: 5,
    first_wait_ms: 30_000,
    longest_wait_ms: 15 * 60_000,
};

/// After so many wrong secrets the user's slots are removed until the next sign-in with the server.
const SLOT_GOES_AT: u32 = 10;

/// Signs a person in.
pub(crate) async fn sign_in(
    station: &Arc<Station>,
    user: &str,
    secret: Zeroizing<String>,
    picked: Option<Picked>,
) -> Result<SessionView, EngineError> {
    let user = UserId::new(user.trim()).map_err(|e| EngineError::Usage(e.to_string()))?;
    let badge = picked.as_ref().map(|p| p.badge.as_str());
    if declared::is_one(station, user.as_str()) {
        rows::not_let_in(station, &user, Kind::SignIn, "emergency-account");
        return Err(EngineError::Envelope(Envelope::SignsNobodyIn));
    }
    // Before anything is tried or counted: whoever is to take the provider learns nothing of a secret here.
    let because = ways::open(station, &user).await?;
    // Past the offline horizon nothing is tried here, so nothing is counted here: the server is asked.
    let past = horizon::left(station).filter(|l| l.over());
    if past.is_some() {
        horizon::keep(station);
    }
    let counted = match past {
        None => Some(count_try(station, user.as_str())?),
        Some(_) => None,
    };
    let local = {
        let (station, user, secret) = (Arc::clone(station), user.clone(), secret.clone());
        tokio::task::spawn_blocking(move || open_here(&station, user.as_str(), &secret, past.is_some()))
            .await
            .map_err(|_| EngineError::Internal("opening the user's key"))?
    };
    if matches!(local, Err(EngineError::Disabled)) {
        rows::not_let_in(station, &user, Kind::SignIn, "account-disabled");
    }
    let Here { heard, opened } = local?;
    if let Some(opened) = opened {
        let records = opened
            .dek
            .as_ref()
            .and_then(|(dek, slot)| open_records(station, dek, slot));
        let proved = match opened.dek {
            Some(_) => Proved::OwnKey,
            None => Proved::StaffListPin,
        };
        rows::signed_in(station, &user, proved, &how(heard.kind, picked.as_ref(), because))?;
        let view = begin(station, opened.person, records, LetIn::Here(heard.clone()));
        right(station, user.as_str());
        // A list that came while the key was derived was heeded before there was this session.
        if heed(station, user.as_str()) {
            return Err(EngineError::WrongSecret { retry_after_s: 0 });
        }
        let (station, dek) = (Arc::clone(station), opened.dek);
        station.asking.send_modify(|n| *n += 1);
        tokio::spawn(async move {
            let badge = picked.map(|p| p.badge);
            let has_slot = dek.is_some();
            let asked = confirm(&station, &user, &secret, badge.as_deref(), heard, has_slot);
            station.until_closing(asked).await;
            station.asking.send_modify(|n| *n -= 1);
        });
        return Ok(view);
    }
    match link::login(station, user.as_str(), &secret, badge).await {
        Ok(answer) => {
            let view = admit(station, &user, &secret, answer, heard, picked.as_ref(), because).await?;
            right(station, user.as_str());
            Ok(view)
        }
        Err(why @ (EngineError::Offline(_) | EngineError::Protocol(_) | EngineError::Io { .. })) => {
            // Nobody answered whom this workstation trusts: for a person known here, what is here decides.
            let known = station.slots().of(user.as_str()).next().is_some()
                || dir_user(station, user.as_str())?.is_some();
            match (known, past, counted) {
                (true, Some(past), _) => {
                    rows::not_let_in(station, &user, Kind::SignIn, "offline-horizon");
                    Err(EngineError::HorizonPassed { days: past.days })
                }
                (true, None, Some(counted)) => Err(wrong(station, &user, counted)),
                _ => Err(why),
            }
        }
        Err(EngineError::Refused {
            code: ErrorCode::WrongSecret,
            ..
        }) => {
            let counted = counted.map_or_else(|| count_try(station, user.as_str()), Ok)?;
            Err(wrong(station, &user, counted))
        }
        Err(EngineError::Refused {
            code: ErrorCode::Disabled,
            ..
        }) => {
            rows::not_let_in(station, &user, Kind::SignIn, "account-disabled");
            drop_slots(station, user.as_str());
            Err(EngineError::Disabled)
        }
        // The provider came back between the two questions, or the badge was taken away: nothing was tried.
        Err(EngineError::Refused {
            code: ErrorCode::UseProvider,
            ..
        }) => {
            rows::not_let_in(station, &user, Kind::SignIn, REFUSED);
            let name = ways::provider(station).map(|p| p.name).unwrap_or_default();
            Err(EngineError::UseProvider { name })
        }
        Err(EngineError::Refused {
            code: ErrorCode::UnknownBadge,
            ..
        }) => {
            rows::not_let_in(station, &user, Kind::SignIn, "unknown-badge");
            Err(EngineError::UnknownBadge)
        }
        Err(other) => Err(other),
    }
}

/// The way of a sign-in, from what was given.
fn how(kind: SlotKind, picked: Option<&Picked>, because: Because) -> How {
    let way = match (kind, picked) {
        (SlotKind::Password, _) => Way::Password,
        (SlotKind::Pin, Some(_)) => Way::BadgePin,
        (SlotKind::Pin, None) => Way::Pin,
    };
    How {
        way,
        because,
        badge: picked.map(|p| p.shown().to_owned()),
    }
}

pub(super) fn count_try(station: &Station, user: &str) -> Result<(u32, i64), EngineError> {
    let _ = station.slots().refresh();
    let run = station.clock.elapsed();
    if let Some(wait_ms) = station.waits.left(RULE.path, user, run) {
        return Err(EngineError::Throttled {
            retry_after_s: seconds(wait_ms),
        });
    }
    match station.outbox.attempt(user, &RULE, station.clock.now()) {
        Ok(Attempt::Go { fails, wait_ms }) => {
            station.waits.begin(RULE.path, user, run, wait_ms);
            Ok((fails, wait_ms))
        }
        Ok(Attempt::Wait { wait_ms }) => Err(EngineError::Throttled {
            retry_after_s: seconds(wait_ms),
        }),
        Err(e) => {
            // Signing in fails closed; breaking the glass does not come this way.
            if station.alarms.raise(Alarm::OutboxUnwritable) {
                station.tell_status();
            }
            Err(EngineError::AuditFailed(store_words(&e)))
        }
    }
}

fn seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(0).div_euclid(1_000) + i64::from(ms.rem_euclid(1_000) > 0)).unwrap_or(u32::MAX)
}

pub(super) fn right(station: &Station, user: &str) {
    station.waits.end(RULE.path, user);
    if let Err(e) = station.outbox.right_secret(user, RULE.path) {
        tracing::warn!(error = %e, "the counter of wrong secrets could not be cleared");
    }
}

pub(super) fn wrong(station: &Station, user: &UserId, (fails, wait_ms): (u32, i64)) -> EngineError {
    rows::not_let_in(station, user, Kind::SignIn, "wrong-secret");
    let user = user.as_str();
    if fails >= SLOT_GOES_AT && station.slots().of(user).next().is_some() {
        drop_slots(station, user);
        return EngineError::SlotRemoved;
    }
    EngineError::WrongSecret {
        retry_after_s: seconds(wait_ms),
    }
}

/// Who let a person in.
pub(super) enum LetIn<'a> {
    /// This workstation, as the staff list spoke of their secret.
    Here(Heard),
    /// The server.
    Server(&'a LoginResponse),
}

pub(super) fn begin(
    station: &Arc<Station>,
    person: Person,
    records: Option<Arc<Records>>,
    by: LetIn<'_>,
) -> SessionView {
    // Whoever comes first: a sign-in that waits for the browser must not take this session later.
    station.browsing.send_modify(|n| *n += 1);
    let now = station.clock.elapsed();
    let (heard, token) = match by {
        LetIn::Here(heard) => (Some(heard), None),
        LetIn::Server(answer) => (None, Some(Zeroizing::new(answer.token.clone()))),
    };
    let session = Session {
        person,
        offline: token.is_none(),
        heard,
        token: token.clone(),
        records,
        proven: now,
        active: now,
        results: std::collections::BTreeMap::new(),
        allergies: std::collections::BTreeMap::new(),
        vitals: std::collections::BTreeMap::new(),
    };
    let view = session.view(layouts::view(station, &session.person));
    note_recent(station, &view.user);
    // Nothing that was open for whoever sat here before is theirs.
    station.imaging.lock();
    *station.session_mut() = Some(session);
    if let Some(token) = token {
        station.command(Command::SignedIn {
            token: token.to_string(),
        });
    }
    view
}

/// The server let the person in: makes the slot if there is none for this secret.
async fn admit(
    station: &Arc<Station>,
    user: &UserId,
    secret: &Zeroizing<String>,
    answer: LoginResponse,
    heard: Heard,
    picked: Option<&Picked>,
    because: Because,
) -> Result<SessionView, EngineError> {
    let person = Person::new(user.as_str(), &answer.display, &answer.role, &answer.wards)?;
    let kind = heard.kind;
    let records = {
        let (station, user, secret) = (Arc::clone(station), user.clone(), secret.clone());
        tokio::task::spawn_blocking(move || make_slot(&station, user.as_str(), &secret, &heard))
            .await
            .map_err(|_| EngineError::Internal("making the user's key"))??
    };
    rows::signed_in(station, user, Proved::Server, &how(kind, picked, because))?;
    Ok(begin(station, person, records, LetIn::Server(&answer)))
}

/// Asks the server about a person who was let in here.
async fn confirm(
    station: &Arc<Station>,
    user: &UserId,
    secret: &Zeroizing<String>,
    badge: Option<&str>,
    heard: Heard,
    has_slot: bool,
) {
    let same = |s: &Option<Session>| s.as_ref().is_some_and(|s| s.person.user == *user);
    match link::login(station, user.as_str(), secret, badge).await {
        Ok(answer) => {
            let made = if has_slot {
                None
            } else {
                let (station, user, secret) = (Arc::clone(station), user.clone(), secret.clone());
                tokio::task::spawn_blocking(move || make_slot(&station, user.as_str(), &secret, &heard))
                    .await
                    .ok()
                    .and_then(Result::ok)
                    .flatten()
            };
            let person = Person::new(user.as_str(), &answer.display, &answer.role, &answer.wards);
            let mut session = station.session_mut();
            if same(&session)
                && let Some(s) = session.as_mut()
            {
                s.offline = false;
                s.token = Some(Zeroizing::new(answer.token.clone()));
                s.records = s.records.take().or(made);
                if let Ok(p) = person {
                    s.person = p;
                }
                let view = s.view(layouts::view(station, &s.person));
                drop(session);
                station.tell(EngineEvent::Session(view));
                station.command(Command::SignedIn { token: answer.token });
            }
        }
        Err(EngineError::Refused {
            code: ErrorCode::WrongSecret | ErrorCode::Disabled,
            ..
        }) => {
            // The secret was changed or the account disabled since: what it opened here is closed.
            drop_slots(station, user.as_str());
            let here = same(&station.session());
            if here {
                station.lock(Ended::Server);
            }
        }
        // The provider is the way in after all, or the badge was taken away: the key stays, the session does not.
        Err(EngineError::Refused {
            code: ErrorCode::UseProvider | ErrorCode::UnknownBadge,
            ..
        }) => {
            let here = same(&station.session());
            if here {
                station.lock(Ended::Server);
            }
        }
        Err(_) => {}
    }
}

const RECENT: usize = 6;

fn note_recent(station: &Station, user: &str) {
    let mut recent = recent_users(station);
    recent.retain(|u| u != user);
    recent.insert(0, user.to_owned());
    recent.truncate(RECENT);
    if let Ok(json) = serde_json::to_string(&recent) {
        let _ = station.essentials.set_note("recent-users", &json);
    }
}

/// Sign-in names lately used here, newest first.
pub(crate) fn recent_users(station: &Station) -> Vec<String> {
    let note = station.essentials.note("recent-users").ok().flatten();
    note.and_then(|n| serde_json::from_str(&n).ok())
        .unwrap_or_default()
}
