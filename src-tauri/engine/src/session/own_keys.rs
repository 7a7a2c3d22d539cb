//! What a secret opens at this workstation: the users' slots, and how they keep up with the staff list (ADR 55).
//!
//! Lives here: which slot a secret is of, opening and making one, removing what a changed secret or a disabled account opened.
//! Never here: asking the server, counting tries, rows. Called by `sign_in` and `provider`, and by the link when the list changes.

use super::Person;
use super::rows::Ended;
use crate::keys::{Dek, SlotKind, UserSlot, verify_pin};
use crate::station::{Station, db_key};
use crate::{EngineError, cache};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vitrine_clinical::say;
use vitrine_store_sqlcipher::workstation::Records;
use vitrine_wire::http::DirUser;

pub(crate) fn dir_user(station: &Station, user: &str) -> Result<Option<DirUser>, EngineError> {
    let Some(json) = station.essentials.staff(user)? else {
        return Ok(None);
    };
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|_| EngineError::Damaged {
            what: say!("The staff list", "die Personalliste"),
        })
}

/// What the staff list says of a secret: something else once it is another one.
fn mark(dir: &DirUser, kind: SlotKind) -> Option<String> {
    match kind {
        SlotKind::Password => dir.password_mark.clone(),
        SlotKind::Pin => dir
            .pin_phc
            .as_ref()
            .map(|phc| crate::entropy::hex(&vitrine_wire::digest::body_hash(phc.as_bytes()))),
    }
}

/// A secret, and what the staff list said of it when it was given: before the server was asked. What the list says once the server
/// has answered may be of a newer secret, so that nothing is made with that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// Which slot it is of. Digits alone are a PIN where the person has one, as at the server: also one that the list does not know yet, or
    /// knows no more.
    pub(super) kind: SlotKind,
    /// It is the PIN of the list.
    pub(super) pin: bool,
    mark: Option<String>,
}

impl Heard {
    pub(super) fn of(dir: Option<&DirUser>, secret: &str) -> Self {
        let phc = dir.and_then(|d| d.pin_phc.as_deref());
        let digits = !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_digit());
        let kind = match phc {
            Some(_) if digits => SlotKind::Pin,
            _ => SlotKind::Password,
        };
        Self {
            kind,
            pin: phc.is_some_and(|phc| digits && verify_pin(secret, phc) == Ok(true)),
            mark: dir.and_then(|d| mark(d, kind)),
        }
    }

    /// Whether the list says now that the account is disabled, or that the secret was changed since.
    pub(super) fn over(&self, dir: &DirUser) -> bool {
        dir.disabled || matches!((&self.mark, mark(dir, self.kind)), (Some(then), Some(now)) if *then != now)
    }
}

/// What was found here.
pub(super) struct Here {
    pub(super) heard: Heard,
    pub(super) opened: Option<Opened>,
}

/// Whom a secret lets in without the server.
pub(super) struct Opened {
    pub(super) person: Person,
    /// Their own key; `None`: the PIN of the staff list alone.
    pub(super) dek: Option<(Dek, UserSlot)>,
}

/// Tries the secret on what is here: the user's slots, else the PIN of the staff list. Nothing is tried past the offline horizon.
///
/// # Errors
/// [`EngineError::Disabled`]; [`EngineError::Damaged`] of the list.
pub(super) fn open_here(
    station: &Station,
    user: &str,
    secret: &str,
    past_horizon: bool,
) -> Result<Here, EngineError> {
    let dir = dir_user(station, user)?;
    if dir.as_ref().is_some_and(|d| d.disabled) {
        drop_slots(station, user);
        return Err(EngineError::Disabled);
    }
    let heard = Heard::of(dir.as_ref(), secret);
    let nothing = |heard| Ok(Here { heard, opened: None });
    let Some(dir) = dir.filter(|_| !past_horizon) else {
        return nothing(heard);
    };
    // Whatever kept the list from being heeded when it came: nothing is opened that it has closed.
    keep_up(station, user, &dir);
    if heard.kind == SlotKind::Pin && !heard.pin {
        return nothing(heard);
    }
    let slots: Vec<UserSlot> = station.slots().of(user).cloned().collect();
    for slot in slots.into_iter().filter(|s| s.kind == heard.kind) {
        let dek = station.slots().unlock(&slot, secret, station.key.dk())?;
        if let Some(dek) = dek {
            let opened = Opened {
                person: Person::of_dir(&dir)?,
                dek: Some((dek, slot)),
            };
            return Ok(Here {
                heard,
                opened: Some(opened),
            });
        }
    }
    // No slot yet: the PIN proves who it is, and opens the essentials alone.
    if !heard.pin {
        return nothing(heard);
    }
    let person = Person::of_dir(&dir)?;
    Ok(Here {
        heard,
        opened: Some(Opened { person, dek: None }),
    })
}

pub(super) fn open_records(station: &Station, dek: &Dek, slot: &UserSlot) -> Option<Arc<Records>> {
    match Records::open(
        &station.profile.file(&slot.records),
        &db_key(dek),
        cache::open_fold,
    ) {
        Ok(r) => Some(Arc::new(r)),
        Err(e) => {
            tracing::error!(error = %e, "the user's records cannot be opened");
            None
        }
    }
}

/// Opens the slot of a secret that the server took, or makes it. `None`: the secret was changed meanwhile, and what it would open stays
/// closed.
///
/// # Errors
/// [`EngineError::Io`] of the file; [`EngineError::Damaged`] of the list.
pub(super) fn make_slot(
    station: &Station,
    user: &str,
    secret: &str,
    heard: &Heard,
) -> Result<Option<Arc<Records>>, EngineError> {
    if dir_user(station, user)?.is_some_and(|dir| heard.over(&dir)) {
        return Ok(None);
    }
    let existing: Option<UserSlot> = station.slots().of(user).find(|s| s.kind == heard.kind).cloned();
    if let Some(slot) = existing
        && let Some(dek) = station.slots().unlock(&slot, secret, station.key.dk())?
    {
        return Ok(open_records(station, &dek, &slot));
    }
    let (dek, slot, old) =
        station
            .slots()
            .enrol_user(user, heard.kind, secret, station.key.dk(), heard.mark.clone())?;
    if let Some(old) = old {
        drop_records(station, &old);
    }
    // A list that came while the key was derived was heeded before there was this slot; a later one finds it.
    heed(station, user);
    let stands = station.slots().of(user).any(|s| s.records == slot.records);
    Ok(stands.then(|| open_records(station, &dek, &slot)).flatten())
}

pub(super) fn drop_slots(station: &Station, user: &str) {
    let gone = station.slots().remove(user).unwrap_or_default();
    for name in gone {
        drop_records(station, &name);
    }
}

fn drop_records(station: &Station, name: &str) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(station.profile.file(&format!("{name}{ending}")));
    }
}

/// Removes the keys of secrets that were changed since, and the records they opened.
fn keep_up(station: &Station, user: &str, dir: &DirUser) {
    let (gone, written) = station.slots().keep_up(user, |kind| mark(dir, kind));
    if let Err(error) = written {
        tracing::error!(%error, "the keys of a secret that was changed are still in the file");
    }
    if !gone.is_empty() {
        tracing::info!("the keys of a secret that was changed are removed");
    }
    for name in gone {
        drop_records(station, &name);
    }
}

/// The staff list changed: the keys and records of whoever's account is disabled go, and their session with them; so do those that
/// a secret opened which was changed since, and a session that nobody but this workstation let in.
pub(crate) fn heed_staff_list(station: &Station) {
    let mut users: Vec<String> = station.slots().users().map(str::to_owned).collect();
    // Also who has no key here: the PIN of the list let them in.
    users.extend(station.session().as_ref().map(|s| s.person.user.to_string()));
    users.sort_unstable();
    users.dedup();
    for user in users {
        heed(station, &user);
    }
}

/// The same, of one person; whether a session of theirs was ended.
pub(super) fn heed(station: &Station, user: &str) -> bool {
    let Ok(Some(dir)) = dir_user(station, user) else {
        return false;
    };
    let over = {
        let session = station.session();
        let theirs = session.as_ref().filter(|s| s.person.user.as_str() == user);
        theirs.is_some_and(|s| {
            dir.disabled || s.offline && s.heard.as_ref().is_some_and(|heard| heard.over(&dir))
        })
    };
    if over {
        station.lock(Ended::Server);
    }
    if dir.disabled {
        tracing::info!("the keys of a disabled account are removed");
        drop_slots(station, user);
    } else {
        keep_up(station, user, &dir);
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::clock::Clock;
    use crate::keys::{DeviceKey, FileSealer, Slots, hash_pin};
    use crate::profile::{DeviceFile, PROFILE_VERSION, Profile};
    use crate::session::sign_in::{LetIn, begin};
    use vitrine_store_sqlcipher::workstation::{Essentials, Incoming, Prepared};
    use vitrine_wire::http::LoginResponse;

    const PIN: &str = "482915";

    fn lee(pin: &str, password: &str, disabled: bool) -> DirUser {
        DirUser {
            user: "lee".into(),
            display: "Dr LEE".into(),
            role: "physician".into(),
            wards: vec!["ED".into()],
            pin_phc: Some(hash_pin(pin, b"0123456789abcdef").unwrap()),
            disabled,
            badges: Vec::new(),
            password_mark: Some(password.into()),
        }
    }

    fn list(essentials: &Essentials, dir: &DirUser) {
        let body = serde_json::to_vec(dir).unwrap();
        let item = Prepared::new(&Incoming {
            key: "user/lee",
            ver: 1,
            version: None,
            body: Some(&body),
            terms: "",
        });
        essentials.begin("dir", "epoch", 1, 0).unwrap();
        essentials.stage("dir", &[item]).unwrap();
        essentials.finish("dir", "epoch", 1, 0).unwrap();
    }

    fn station(dir: &std::path::Path) -> Arc<Station> {
        let profile = Profile::at(dir).unwrap();
        let key = DeviceKey::create(&profile.device_key(), &FileSealer::new(dir)).unwrap();
        Slots::create(&profile.slots(), "ed-07", key.dk()).unwrap();
        let device = DeviceFile {
            version: PROFILE_VERSION,
            server: "https://127.0.0.1:1".into(),
            device: "ed-07".into(),
            name: "ED-07".into(),
            ward: "ED".into(),
            site: false,
            server_key: String::new(),
            demo: true,
            revoked: false,
        };
        let options = Options {
            sync: false,
            ballast_bytes: 1 << 16,
            ..Options::default()
        };
        let (clock, events) = (Arc::new(Clock::new()), crate::station::events());
        Arc::new(Station::open(profile, device, clock, events, options).unwrap())
    }

    #[test]
    fn a_session_ends_with_the_secret_by_which_this_workstation_alone_let_somebody_in() {
        let server = LoginResponse {
            token: "t".into(),
            expires_in_s: 900,
            display: "Dr LEE".into(),
            role: "physician".into(),
            wards: vec!["ED".into()],
            server_time_ms: 0,
        };
        let (before, password) = (lee(PIN, "p1", false), "correct horse");
        for (secret, by_server, now, stays) in [
            // Nobody has a key here: the PIN of the list opens the essentials alone.
            (PIN, false, lee(PIN, "p1", false), true),
            (PIN, false, lee(PIN, "p2", false), true),
            (PIN, false, lee("802461", "p1", false), false),
            (PIN, false, lee(PIN, "p1", true), false),
            (password, false, lee(PIN, "p2", false), false),
            (password, false, lee("802461", "p1", false), true),
            // The server ends its own.
            (password, true, lee("802461", "p2", false), true),
            (password, true, lee(PIN, "p1", true), false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let station = station(dir.path());
            list(&station.essentials, &before);
            let by = if by_server {
                LetIn::Server(&server)
            } else {
                LetIn::Here(Heard::of(Some(&before), secret))
            };
            begin(&station, Person::of_dir(&before).unwrap(), None, by);
            heed_staff_list(&station);
            assert!(station.session().is_some(), "the list is as it was");
            list(&station.essentials, &now);
            heed_staff_list(&station);
            assert_eq!(
                station.session().is_some(),
                stays,
                "{secret} {by_server} {:?} {}",
                now.password_mark,
                now.disabled
            );
        }
    }

    #[test]
    fn digits_are_a_pin_where_there_is_one_whether_the_list_knows_it_or_not() {
        let (with, mut without) = (lee(PIN, "p1", false), lee(PIN, "p1", false));
        without.pin_phc = None;
        for (dir, secret, kind, pin) in [
            (Some(&with), PIN, SlotKind::Pin, true),
            (Some(&with), "802461", SlotKind::Pin, false),
            (Some(&with), "correct horse", SlotKind::Password, false),
            (Some(&with), "", SlotKind::Password, false),
            (Some(&without), PIN, SlotKind::Password, false),
            (None, PIN, SlotKind::Password, false),
        ] {
            let heard = Heard::of(dir, secret);
            assert_eq!((heard.kind, heard.pin), (kind, pin), "{secret}");
            assert_eq!(heard.mark, dir.and_then(|d| mark(d, kind)), "{secret}");
        }
    }
}
