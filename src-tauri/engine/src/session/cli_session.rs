//! A command-line session between two runs of `vitrine-cli`: `session.bin`, sealed with DK, for fifteen minutes.
//!
//! It holds what the window keeps in memory: who, the server's token, the key of the user's records. It is as strong
//! as DK is kept; `lock` destroys it.

use super::own_keys::dir_user;
use super::{Heard, Person, Session};
use crate::clock::Clock;
use crate::keys::{DeviceKey, UserSlot, open_with, seal_with};
use crate::profile::{Profile, shred, write_private};
use crate::station::Station;
use crate::{EngineError, cache};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vitrine_clinical::UserId;
use vitrine_store_sqlcipher::Key;
use vitrine_store_sqlcipher::workstation::Records;
use zeroize::{Zeroize, Zeroizing};

/// How long a saved session holds, ms.
pub const SAVED_MS: i64 = 15 * 60_000;

#[derive(Serialize, Deserialize)]
struct Saved {
    user: String,
    display: String,
    role: String,
    wards: Vec<String>,
    offline: bool,
    #[serde(default)]
    heard: Option<Heard>,
    token: Option<String>,
    records: Option<(String, [u8; 32])>,
    at_ms: i64,
}

const PURPOSE: &[u8] = b"vitrine-cli-session";

/// Keeps the session for the next runs. The secret just given opens the user's slot once more for the key of the
/// records: the engine keeps no copy of it.
///
/// # Errors
/// [`EngineError::NotSignedIn`], [`EngineError::Io`] of the file.
pub(crate) fn save_current(station: &Station, secret: &str) -> Result<(), EngineError> {
    let mut saved = {
        let session = station.session();
        let s = session.as_ref().ok_or(EngineError::NotSignedIn)?;
        Saved {
            user: s.person.user.to_string(),
            display: s.person.display.clone(),
            role: s.person.role.name().to_owned(),
            wards: s.person.wards.iter().map(ToString::to_string).collect(),
            offline: s.offline,
            heard: s.heard.clone(),
            token: s.token.as_ref().map(|t| t.to_string()),
            records: None,
            at_ms: station.clock.wall().0,
        }
    };
    let slots: Vec<UserSlot> = station.slots().of(&saved.user).cloned().collect();
    for slot in slots {
        if let Some(dek) = station.slots().unlock(&slot, secret, station.key.dk())? {
            saved.records = Some((slot.records, *dek.bytes()));
            break;
        }
    }
    let json = serde_json::to_vec(&saved)
        .map(Zeroizing::new)
        .map_err(|_| EngineError::Internal("keeping the session"))?;
    if let Some((_, k)) = saved.records.as_mut() {
        k.zeroize();
    }
    write_private(
        &station.profile.session(),
        &seal_with(station.key.dk(), PURPOSE, &json)?,
    )
}

/// What an earlier run kept, while it is fresh; what is stale or damaged is destroyed.
fn kept(profile: &Profile, key: &DeviceKey, clock: &Clock) -> Result<Saved, EngineError> {
    let sealed = std::fs::read(profile.session()).map_err(|_| EngineError::NotSignedIn)?;
    let saved =
        open_with(key.dk(), PURPOSE, &sealed).and_then(|json| serde_json::from_slice::<Saved>(&json).ok());
    let age = saved.as_ref().map(|s| clock.wall().0.saturating_sub(s.at_ms));
    let (Some(saved), Some(0..SAVED_MS)) = (saved, age) else {
        shred(&profile.session())?;
        return Err(EngineError::NotSignedIn);
    };
    Ok(saved)
}

/// Whose session is kept.
///
/// # Errors
/// [`EngineError::NotSignedIn`] when there is none.
pub(crate) fn kept_of(station: &Station) -> Result<UserId, EngineError> {
    let saved = kept(&station.profile, &station.key, &station.clock)?;
    UserId::new(saved.user.as_str()).map_err(|_| EngineError::NotSignedIn)
}

/// The session kept by an earlier run. One whose account was disabled since, whose secret was changed or whose key was removed is destroyed.
///
/// # Errors
/// [`EngineError::NotSignedIn`] when there is none.
pub(crate) fn restore(station: &Station) -> Result<Session, EngineError> {
    let (profile, clock) = (&station.profile, &station.clock);
    let saved = kept(profile, &station.key, clock)?;
    let dir = dir_user(station, &saved.user)?;
    let over = dir.is_some_and(|dir| {
        dir.disabled || saved.offline && saved.heard.as_ref().is_some_and(|heard| heard.over(&dir))
    });
    let removed = |(name, _): &(String, [u8; 32])| {
        let slots = station.slots();
        !slots.of(&saved.user).any(|s| s.records == *name)
    };
    if over || saved.records.as_ref().is_some_and(removed) {
        shred(&profile.session())?;
        return Err(EngineError::NotSignedIn);
    }
    let records = saved.records.map(|(name, bytes)| {
        let key = Key::new(Zeroizing::new(bytes));
        Records::open(&profile.file(&name), &key, cache::open_fold).map(Arc::new)
    });
    Ok(Session {
        person: Person::new(&saved.user, &saved.display, &saved.role, &saved.wards)?,
        offline: saved.offline,
        heard: saved.heard,
        token: saved.token.map(Zeroizing::new),
        records: records.transpose()?,
        // A kept session is not a secret just given: breaking the glass asks for the PIN.
        proven: std::time::Duration::ZERO,
        active: clock.elapsed(),
        results: std::collections::BTreeMap::new(),
        allergies: std::collections::BTreeMap::new(),
        vitals: std::collections::BTreeMap::new(),
    })
}

/// Destroys a kept session.
///
/// # Errors
/// [`EngineError::Io`] when it is still there.
pub(crate) fn forget_saved(profile: &Profile) -> Result<(), EngineError> {
    shred(&profile.session())
}
