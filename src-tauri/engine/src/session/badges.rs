//! Badges: whom one picks, until that person's PIN opens.
//!
//! Lives here: finding the person in the staff list, and the short time in which a badge that was held to the reader counts. Never
//! here: reading codes (`clinical::scan::badge`), readers, letting anybody in: a badge proves nothing. Called by the facade.

use super::{Person, initials, role_text, ways};
use crate::station::Station;
use crate::{EngineError, entropy};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use vitrine_clinical::scan::badge::number;
use vitrine_clinical::{UserId, say, word};
use vitrine_wire::digest;
use vitrine_wire::http::DirUser;
use vitrine_wire::view::BadgeView;

/// What is known of a card reader at this workstation. Readers that type like a keyboard are not known of: they always work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reader {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// The system's card service does not run.
    NoService,
    /// The service runs, and no reader is connected.
    None,
    /// This one is.
    Ready(String),
}

impl Reader {
    /// For the lock screen.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Ready(_) => word!(
                "Hold your badge to the reader, then type your PIN.",
                "Ausweis an das Lesegerät halten, dann die PIN eingeben."
            ),
            Self::None => word!(
                "Scan your badge, then type your PIN. No card reader is connected.",
                "Ausweis scannen, dann die PIN eingeben. Es ist kein Kartenleser angeschlossen."
            ),
            Self::NoService | Self::Unknown => word!(
                "Scan your badge, then type your PIN. Cards cannot be read here: the card service does not run.",
                "Ausweis scannen, dann die PIN eingeben. Karten sind hier nicht lesbar: Der Kartendienst läuft nicht."
            ),
        }
        .to_owned()
    }
}

/// A badge that was held to the reader counts for so long: its person types a PIN.
const HELD: Duration = Duration::from_secs(60);

/// Who was picked, by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picked {
    /// Whom.
    pub(crate) user: UserId,
    /// The badge, as the staff list has it.
    pub(crate) badge: String,
}

impl Picked {
    /// What audit rows name of a badge: enough to tell one from another, as at the server.
    pub(crate) fn shown(&self) -> &str {
        self.badge.get(..8).unwrap_or(&self.badge)
    }
}

/// Badges that were held to the reader lately, by token.
#[derive(Debug, Default)]
pub(crate) struct Badges(Mutex<BTreeMap<String, (Picked, Duration)>>);

impl Badges {
    fn keep(&self, picked: Picked, now: Duration) -> Result<String, EngineError> {
        let token = entropy::hex(&entropy::bytes::<16>()?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, at)| now.saturating_sub(*at) < HELD);
        all.insert(token.clone(), (picked, now));
        Ok(token)
    }

    /// Whom a token picks, while it counts.
    pub(crate) fn find(&self, token: &str, now: Duration) -> Result<Picked, EngineError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(token)
            .filter(|(_, at)| now.saturating_sub(*at) < HELD)
            .map(|(picked, _)| picked.clone())
            .ok_or_else(|| {
                EngineError::NoBadge(say!(
                    "The badge was held to the reader too long ago: hold it there again.",
                    "Der Ausweis wurde vor zu langer Zeit an das Lesegerät gehalten: erneut anhalten."
                ))
            })
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The badge of a code, as the staff list would have it; `None` where it is no badge, or nothing is known of badges here.
fn hash(station: &Station, text: &str) -> Option<String> {
    let number = number(text).ok()?;
    Some(digest::badge(&ways::badge_key(station)?, &number))
}

/// Everybody of the staff list with this badge.
fn holders(station: &Station, badge: &str) -> Result<Vec<DirUser>, EngineError> {
    let staff = station.essentials.all_staff()?;
    let people = staff
        .iter()
        .filter_map(|json| serde_json::from_slice::<DirUser>(json).ok());
    Ok(people.filter(|d| d.badges.iter().any(|b| b == badge)).collect())
}

/// Whether a code is the badge of somebody here: then it is nobody's record number.
pub(crate) fn is_somebodys(station: &Station, text: &str) -> bool {
    let badge = hash(station, text);
    badge.is_some_and(|b| holders(station, &b).is_ok_and(|h| !h.is_empty()))
}

/// Whom a badge picks. Nobody is let in by it.
///
/// # Errors
/// [`EngineError::NoBadge`] for a code that is none; [`EngineError::UnknownBadge`]; [`EngineError::Disabled`].
pub(crate) fn present(station: &Station, text: &str) -> Result<BadgeView, EngineError> {
    number(text).map_err(|e| EngineError::NoBadge(e.text()))?;
    let badge = hash(station, text).ok_or(EngineError::UnknownBadge)?;
    let found = holders(station, &badge)?;
    // Two people with one badge can come from two servers of a cluster alone: neither is picked.
    let [d] = found.as_slice() else {
        return Err(EngineError::UnknownBadge);
    };
    if d.disabled {
        return Err(EngineError::Disabled);
    }
    let person = Person::of_dir(d)?;
    let picked = Picked {
        user: person.user.clone(),
        badge,
    };
    Ok(BadgeView {
        token: station.badges.keep(picked, station.clock.elapsed())?,
        user: person.user.to_string(),
        display: person.display.clone(),
        initials: initials(&person.display),
        role: role_text(person.role).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_counts_for_a_minute_and_for_its_own_token() {
        let held = Badges::default();
        let picked = Picked {
            user: UserId::new("lee").unwrap(),
            badge: "0123456789abcdef".to_owned(),
        };
        let s = Duration::from_secs;
        let token = held.keep(picked.clone(), s(10)).unwrap();
        assert_eq!(held.find(&token, s(69)).unwrap(), picked);
        assert!(held.find(&token, s(70)).is_err());
        assert!(held.find("other", s(11)).is_err());
        assert_eq!(picked.shown(), "01234567");
        held.clear();
        assert!(held.find(&token, s(11)).is_err());
    }
}
