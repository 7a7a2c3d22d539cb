//! In which way somebody proves who they are, and when a lower way counts.
//!
//! Lives here: the ways in their order, and the one rule ([`decide`]) that server and workstation share. Never here: proving
//! anything, asking whether the provider answers. Called by the server's sign-in and by the workstation's.
//!
//! A place may say that the hospital's identity provider is the way in. Then every lower way is refused while the provider
//! answers, but for whoever it vouched for lately (an unlock is no other sign-in); it is open while the provider, or the server
//! that would know, does not answer (capabilities.md E7). Breaking the glass does not come here: it asks nobody. The lowest way, a
//! declared name (ADR 49), signs nobody in: it proves nothing but that somebody was handed an envelope, and is asked about here
//! before the glass can be broken by it.

use serde::{Deserialize, Serialize};

/// How somebody proves who they are, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The hospital's identity provider vouches for the person.
    Provider,
    /// A password.
    Password,
    /// A badge picks the person, their PIN opens.
    BadgePin,
    /// A PIN alone.
    Pin,
    /// A name that somebody says is theirs, with the code of an emergency account.
    Declared,
}

impl Way {
    /// All of them, the strongest first.
    pub const ALL: [Self; 5] = [
        Self::Provider,
        Self::Password,
        Self::BadgePin,
        Self::Pin,
        Self::Declared,
    ];

    /// As in the audit row.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Password => "password",
            Self::BadgePin => "badge+pin",
            Self::Pin => "pin",
            Self::Declared => "declared",
        }
    }
}

/// What is known of the provider at the moment of a sign-in. Where a place asks for no provider, its server stands for it: whoever
/// answers there can give somebody an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It answers.
    Up,
    /// It does not answer the server.
    Down,
    /// The server, who would know, does not answer the workstation.
    ServerAway,
}

/// What a sign-in finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The place says that the provider is the way in.
    pub required: bool,
    /// Whether it can be.
    pub reach: Reach,
    /// It vouched for this person lately, and nothing has changed about them since.
    pub vouched: bool,
}

/// Why a way is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// It is the provider itself.
    Provider,
    /// The place asks for no particular way.
    Free,
    /// The provider vouched for this person lately: this unlocks what it opened.
    Vouched,
    /// The provider does not answer.
    ProviderDown,
    /// The server does not answer, so nobody knows of the provider.
    ServerAway,
}

impl Because {
    /// As in the audit row.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Free => "free",
            Self::Vouched => "vouched",
            Self::ProviderDown => "provider-down",
            Self::ServerAway => "server-away",
        }
    }
}

/// The provider answers and did not vouch for this person lately: it is the way to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hospital's identity provider answers: it is the way in")]
pub struct TakeProvider;

/// The rule of the audit row of a sign-in that was refused by [`TakeProvider`].
pub const REFUSED: &str = "provider-answers";

/// Whether a way is open.
///
/// # Errors
/// [`TakeProvider`].
pub const fn decide(way: Way, found: Found) -> Result<Because, TakeProvider> {
    match (way, found.required, found.vouched, found.reach) {
        (Way::Provider, ..) => Ok(Because::Provider),
        (Way::Declared, _, _, Reach::Up) => Err(TakeProvider),
        (Way::Declared, _, _, Reach::Down) => Ok(Because::ProviderDown),
        (Way::Declared, _, _, Reach::ServerAway) => Ok(Because::ServerAway),
        (_, false, ..) => Ok(Because::Free),
        (_, true, true, _) => Ok(Because::Vouched),
        (_, true, false, Reach::Down) => Ok(Because::ProviderDown),
        (_, true, false, Reach::ServerAway) => Ok(Because::ServerAway),
        (_, true, false, Reach::Up) => Err(TakeProvider),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ways() -> impl Strategy<Value = Way> {
        prop::sample::select(Way::ALL.to_vec())
    }

    fn found() -> impl Strategy<Value = Found> {
        let reach = prop::sample::select(vec![Reach::Up, Reach::Down, Reach::ServerAway]);
        (any::<bool>(), reach, any::<bool>()).prop_map(|(required, reach, vouched)| Found {
            required,
            reach,
            vouched,
        })
    }

    proptest! {
        #[test]
        fn a_stronger_way_is_open_wherever_a_weaker_one_is(a in ways(), b in ways(), f in found()) {
            let (strong, weak) = (a.min(b), a.max(b));
            prop_assert!(decide(weak, f).is_err() || decide(strong, f).is_ok());
        }

        #[test]
        fn the_provider_is_never_refused(f in found()) {
            prop_assert_eq!(decide(Way::Provider, f), Ok(Because::Provider));
        }

        #[test]
        fn a_lower_way_is_refused_exactly_while_the_required_provider_answers_for_somebody_it_did_not_vouch_for(
            way in ways(), f in found()
        ) {
            let refused = f.reach == Reach::Up && match way {
                Way::Provider => false,
                // Nobody is vouched for by a name that they say is theirs.
                Way::Declared => true,
                _ => f.required && !f.vouched,
            };
            prop_assert_eq!(decide(way, f).is_err(), refused);
        }

        #[test]
        fn losing_the_provider_or_the_server_never_closes_a_way(way in ways(), f in found()) {
            for reach in [Reach::Down, Reach::ServerAway] {
                let lost = decide(way, Found { reach, ..f });
                prop_assert!(lost.is_ok());
            }
        }

        #[test]
        fn why_it_is_open_is_true(way in ways(), f in found()) {
            match decide(way, f) {
                Ok(Because::Provider) => prop_assert_eq!(way, Way::Provider),
                Ok(Because::Free) => prop_assert!(!f.required),
                Ok(Because::Vouched) => prop_assert!(f.required && f.vouched),
                Ok(Because::ProviderDown) => prop_assert!((f.required || way == Way::Declared) && f.reach == Reach::Down),
                Ok(Because::ServerAway) => prop_assert!((f.required || way == Way::Declared) && f.reach == Reach::ServerAway),
                Err(TakeProvider) => prop_assert!(f.required || way == Way::Declared),
            }
        }
    }

    #[test]
    fn the_order_is_the_lists_and_every_way_has_its_own_word() {
        assert!(Way::ALL.is_sorted());
        let mut codes: Vec<&str> = Way::ALL.iter().map(|w| w.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Way::ALL.len());
    }
}
