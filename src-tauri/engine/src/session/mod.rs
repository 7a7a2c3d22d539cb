//! Who is signed in at this workstation, and for how long.
//!
//! Lives here: the session, the proof of identity for an emergency without a session, who was here lately.
//! Never here: checking a secret (that is `sign_in` and `break_glass`), what anybody may do (that is `access`).
//! Called by the facade.

mod badges;
mod cli_session;
pub(crate) mod declared;
mod own_keys;
mod own_secret;
mod provider;
pub(crate) mod rows;
mod sign_in;
mod waits;
pub(crate) mod ways;

pub use badges::Reader;
pub(crate) use badges::{Badges, is_somebodys, present};
pub(crate) use cli_session::{forget_saved, kept_of, restore, save_current};
pub(crate) use own_keys::{Heard, dir_user, heed_staff_list};
pub use own_secret::NewSecret;
pub(crate) use own_secret::change_secret;
pub(crate) use provider::{open_browser, sign_in_by_provider};
pub(crate) use rows::Ended;
pub(crate) use sign_in::{recent_users, sign_in};
pub(crate) use waits::Waits;

use crate::EngineError;
use crate::critical::Shown;
use crate::entry::{allergy, vitals};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vitrine_access::policy::{Role, Subject};
use vitrine_access::ways::Way;
use vitrine_clinical::{PatientId, UserId, WardId, say, word};
use vitrine_store_sqlcipher::workstation::Records;
use vitrine_wire::http::DirUser;
use vitrine_wire::layout::LayoutView;
use vitrine_wire::view::SessionView;
use zeroize::Zeroizing;

/// After a PIN or password, breaking the glass asks for none within this time (screens.md A7.4).
pub const FRESH_SECRET: Duration = Duration::from_secs(5 * 60);

/// A person whose identity has been proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Sign-in name.
    pub user: UserId,
    /// Name as shown.
    pub display: String,
    /// Role; its kinds are known to the policy alone.
    pub role: Role,
    /// Wards.
    pub wards: Vec<WardId>,
    /// Who they say they are, where that is all that is known (ADR 49).
    pub declared: Option<String>,
}

impl Person {
    /// From an entry of the staff list or an answer of the server.
    ///
    /// # Errors
    /// [`EngineError::Protocol`] when name, role or a ward is not well formed.
    pub fn new(user: &str, display: &str, role: &str, wards: &[String]) -> Result<Self, EngineError> {
        let odd = |what: String| {
            EngineError::Protocol(say!(
                "the server sent a person who cannot be read: {what}",
                "der Server hat eine Person gesendet, die nicht lesbar ist: {what}"
            ))
        };
        Ok(Self {
            user: UserId::new(user).map_err(|e| odd(e.to_string()))?,
            display: display.to_owned(),
            role: role.parse::<Role>().map_err(|e| odd(e.to_string()))?,
            wards: wards
                .iter()
                .map(|w| WardId::new(w.as_str()))
                .collect::<Result<_, _>>()
                .map_err(|e| odd(e.to_string()))?,
            declared: None,
        })
    }
    /// From the staff list.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_dir(d: &DirUser) -> Result<Self, EngineError> {
        Self::new(&d.user, &d.display, &d.role, &d.wards)
    }
    /// For the policy.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::User {
            user: self.user.clone(),
            role: self.role,
            wards: self.wards.clone(),
        }
    }
}

/// Somebody is signed in.
pub struct Session {
    /// Who.
    pub person: Person,
    /// Signed in without the server.
    pub offline: bool,
    /// What the staff list said of their secret, where this workstation let them in.
    pub(crate) heard: Option<Heard>,
    /// The server's token, when it gave one.
    pub token: Option<Zeroizing<String>>,
    /// Opened with the user's key; dropping the last handle closes the file and wipes the key.
    pub records: Option<Arc<Records>>,
    /// When the secret was last given (time since the engine began).
    pub proven: Duration,
    /// The critical results on this person's screen: nothing else can be acknowledged.
    pub(crate) results: BTreeMap<(PatientId, String), Shown>,
    /// The allergies on this person's screen: nothing else can be changed.
    pub(crate) allergies: BTreeMap<(PatientId, String), allergy::Shown>,
    /// The vital signs on this person's screen, by patient: nothing else can be marked as wrong.
    pub(crate) vitals: BTreeMap<PatientId, vitals::Shown>,
    /// When the person last did something.
    pub active: Duration,
}

impl Session {
    /// As shown; `layout` by the site's rules (`crate::layouts`).
    #[must_use]
    pub fn view(&self, layout: LayoutView) -> SessionView {
        SessionView {
            user: self.person.user.to_string(),
            display: self.person.display.clone(),
            role: role_text(self.person.role).to_owned(),
            offline: self.offline,
            layout,
        }
    }
}

/// A role as shown. What is signed and kept says [`Role::words`], in English.
pub(crate) fn role_text(role: Role) -> &'static str {
    match role.name() {
        "nurse" => word!("Nurse", "Pflegekraft"),
        "physician" => word!("Physician", "Arzt"),
        "charge-nurse" => word!("Charge nurse", "Stationsleitung"),
        "privacy-officer" => word!("Privacy officer", "Datenschutzbeauftragte"),
        "clinical-it" => word!("Clinical IT", "Klinik-IT"),
        "integrator" => word!("Integrator", "Integration"),
        "emergency-account" => word!("Emergency account", "Notfallkonto"),
        _ => role.words(),
    }
}

/// How sure we are of who broke the glass; goes into the audit row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// A session whose secret was given within five minutes.
    Session,
    /// A badge and the PIN of its person, given for this.
    BadgePin,
    /// A PIN given for this.
    Pin,
    /// The code of an emergency account, and a name that nobody has checked.
    Declared,
}

impl Assurance {
    /// As in the audit row.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::BadgePin => Way::BadgePin.code(),
            Self::Pin => Way::Pin.code(),
            Self::Declared => Way::Declared.code(),
        }
    }
}

/// Identities proven without a session, for the emergency search and the breaking of the glass.
#[derive(Default)]
pub struct Proofs(Mutex<BTreeMap<String, (Person, Assurance, Duration)>>);

impl Proofs {
    /// Keeps a proof; returns its token.
    ///
    /// # Errors
    /// [`EngineError::Internal`] without random numbers.
    pub fn keep(&self, person: Person, how: Assurance, now: Duration) -> Result<String, EngineError> {
        let token = crate::entropy::hex(&crate::entropy::bytes::<16>()?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, _, at)| now.saturating_sub(*at) < FRESH_SECRET);
        all.insert(token.clone(), (person, how, now));
        Ok(token)
    }
    /// The person a token stands for, and how that was proven, while it is fresh.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`] when it is unknown or older than five minutes.
    pub fn find(&self, token: &str, now: Duration) -> Result<(Person, Assurance), EngineError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(token)
            .filter(|(_, _, at)| now.saturating_sub(*at) < FRESH_SECRET)
            .map(|(p, how, _)| (p.clone(), *how))
            .ok_or(EngineError::NotSignedIn)
    }
    /// Forgets all.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Initials of a name as shown: "Dr LEE, Anna" → "LA"; at most two letters.
#[must_use]
pub fn initials(display: &str) -> String {
    let words = display
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty());
    let named = words.filter(|w| {
        !matches!(
            w.to_lowercase().as_str(),
            "dr" | "prof" | "mr" | "ms" | "mrs" | "rn"
        )
    });
    named
        .filter_map(|w| w.chars().next())
        .take(2)
        .flat_map(char::to_uppercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_ends_after_five_minutes() {
        let p = Proofs::default();
        let person = Person::new("lee", "Dr LEE", "physician", &["ED".into()]).unwrap();
        let t = p
            .keep(person.clone(), Assurance::BadgePin, Duration::from_secs(10))
            .unwrap();
        let found = p.find(&t, Duration::from_secs(300)).unwrap();
        assert_eq!(found, (person, Assurance::BadgePin));
        assert!(p.find(&t, Duration::from_secs(311)).is_err());
        assert!(p.find("0", Duration::from_secs(11)).is_err());
        p.clear();
        assert!(p.find(&t, Duration::from_secs(20)).is_err());
    }

    #[test]
    fn a_role_is_said_as_the_policy_says_it_and_in_german_too() {
        use vitrine_clinical::language::{Language, speaking};
        for role in Role::all() {
            assert_eq!(role_text(role), role.words());
            let german = speaking(Language::German, || role_text(role));
            assert_ne!(german, role.words());
        }
    }

    #[test]
    fn initials_leave_titles_out() {
        assert_eq!(initials("Dr LEE, Anna"), "LA");
        assert_eq!(initials("Brown"), "B");
        assert_eq!(initials(""), "");
    }
}
