//! How fresh what is shown is: the words of the data-age model (screens.md A5).
//!
//! `link` writes what it hears; everybody else reads. It answers at once and never waits for the network.

use crate::clock::Clock;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use vitrine_clinical::{UtcMs, format, say, word};
use vitrine_wire::view::{DataAge, SectionAge};

/// Offline for longer than this is "old", ms.
const OLD_MS: i64 = 4 * 3_600_000;

/// One scope as the link sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeFresh {
    /// Word by the link; `None` while there is no link in this program.
    pub age: Option<DataAge>,
    /// Everything the server had is held.
    pub complete: bool,
    /// Server time of the state held, ms.
    pub as_of: Option<i64>,
    /// Items fetched and expected.
    pub loading: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct State {
    scopes: BTreeMap<String, ScopeFresh>,
    link: Option<DataAge>,
}

/// What is known of the feed.
#[derive(Debug, Default)]
pub struct Freshness {
    state: RwLock<State>,
}

impl Freshness {
    fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
    fn write<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a scope's state.
    pub fn set(&self, scope: &str, fresh: ScopeFresh) {
        self.write(|s| {
            let kept = s.scopes.entry(scope.to_owned()).or_default();
            let as_of = fresh.as_of.max(kept.as_of);
            *kept = ScopeFresh { as_of, ..fresh };
        });
    }

    /// Notes the server time at which a scope was complete.
    pub fn seen(&self, scope: &str, as_of: i64) {
        self.write(|s| {
            let kept = s.scopes.entry(scope.to_owned()).or_default();
            kept.as_of = kept.as_of.max(Some(as_of));
        });
    }

    /// Forgets a scope.
    pub fn forget(&self, scope: &str) {
        self.write(|s| s.scopes.remove(scope));
    }

    /// Notes the state of the line; returns whether it changed.
    pub fn set_link(&self, age: DataAge) -> bool {
        self.write(|s| s.link.replace(age) != Some(age))
    }

    /// A scope's state.
    #[must_use]
    pub fn scope(&self, scope: &str) -> Option<ScopeFresh> {
        self.read(|s| s.scopes.get(scope).cloned())
    }

    /// Whether any scope is being fetched for the first time, with its progress summed up.
    #[must_use]
    pub fn loading(&self) -> Option<(u64, u64)> {
        self.read(|s| {
            s.scopes
                .iter()
                .filter(|(n, _)| !n.starts_with("pat:"))
                .filter_map(|(_, f)| f.loading)
                .reduce(|a, b| (a.0 + b.0, a.1 + b.1))
        })
    }

    /// The feed as a whole: the worst of the device's scopes while there is a line, else offline.
    #[must_use]
    pub fn feed(&self, stored_as_of: Option<i64>, clock: &Clock) -> (DataAge, Option<i64>) {
        let (age, as_of) = self.read(|s| {
            let own = || {
                s.scopes
                    .iter()
                    .filter(|(n, _)| !n.starts_with("pat:"))
                    .map(|(_, f)| f)
            };
            let as_of = own().filter(|f| f.complete).filter_map(|f| f.as_of).min();
            let age = match s.link.unwrap_or(DataAge::Offline) {
                DataAge::Live | DataAge::Delayed => own()
                    .filter_map(|f| f.age)
                    .chain(s.link)
                    .max_by_key(|a| badness(*a))
                    .unwrap_or(DataAge::Partial),
                other => other,
            };
            (age, as_of)
        });
        let as_of = as_of.max(stored_as_of);
        (aged(age, as_of, clock), as_of)
    }

    /// The age of a scope. `stored` is what the database says: complete, server time.
    #[must_use]
    pub fn section(&self, scope: &str, stored: Option<(bool, Option<i64>)>, clock: &Clock) -> SectionAge {
        let fresh = self.scope(scope).unwrap_or_default();
        let (held, stored_as_of) = stored.unwrap_or((false, None));
        if !held {
            let age = if fresh.loading.is_some() {
                DataAge::Partial
            } else {
                DataAge::NotOnThisWorkstation
            };
            let text = if age == DataAge::Partial {
                word!("still loading", "wird noch geladen")
            } else {
                word!("not on this workstation", "nicht an diesem Arbeitsplatz")
            };
            return SectionAge {
                age,
                text: text.to_owned(),
                complete: false,
                as_of_ms: None,
            };
        }
        let as_of = fresh.as_of.max(stored_as_of);
        let age = aged(fresh.age.unwrap_or(DataAge::Offline), as_of, clock);
        SectionAge {
            age,
            text: words(age, as_of, clock),
            complete: fresh.age.is_none() || fresh.complete,
            as_of_ms: as_of,
        }
    }
}

const fn badness(age: DataAge) -> u8 {
    match age {
        DataAge::Live => 0,
        DataAge::Delayed => 1,
        DataAge::Partial => 2,
        DataAge::Stale => 3,
        DataAge::Offline | DataAge::NotOnThisWorkstation => 4,
        DataAge::Old => 5,
        DataAge::Unavailable => 6,
    }
}

fn aged(age: DataAge, as_of: Option<i64>, clock: &Clock) -> DataAge {
    let old = as_of.is_none_or(|at| clock.now().0.saturating_sub(at) > OLD_MS);
    if age == DataAge::Offline && old {
        DataAge::Old
    } else {
        age
    }
}

/// "as of 21-Nov-2026 04:31 (12 min)", "live 04:31:07". Begins with the word of the age where it has one: the screen does not say it
/// twice.
#[must_use]
pub fn words(age: DataAge, as_of: Option<i64>, clock: &Clock) -> String {
    let now = clock.now();
    let unverified = if clock.verified() {
        ""
    } else {
        word!(" — clock not verified", " — Uhr nicht geprüft")
    };
    match (age, as_of) {
        (DataAge::Live, _) => say!("live {at}", "live {at}", at = time_seconds(now, clock)),
        (_, Some(at)) => {
            let at = UtcMs(at);
            let ago = format::data_age(now.since(at).max(0));
            say!(
                "as of {at} ({ago}){unverified}",
                "Stand {at} ({ago}){unverified}",
                at = format::date_time_in(at, &|at| clock.zone_minutes(at))
            )
        }
        (_, None) => say!("as of an unknown time{unverified}", "Stand unbekannt{unverified}"),
    }
}

fn time_seconds(at: UtcMs, clock: &Clock) -> String {
    let full = format::date_time_seconds(at, clock.zone_minutes(at));
    full.rsplit(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_held_is_never_called_empty_or_offline() {
        let (f, c) = (Freshness::default(), Clock::new());
        assert_eq!(f.section("ess:ED", None, &c).age, DataAge::NotOnThisWorkstation);
        f.set(
            "ess:ED",
            ScopeFresh {
                age: Some(DataAge::Partial),
                loading: Some((3, 10)),
                ..ScopeFresh::default()
            },
        );
        assert_eq!(f.section("ess:ED", None, &c).age, DataAge::Partial);
        assert_eq!(f.loading(), Some((3, 10)));
    }

    #[test]
    fn without_a_link_what_is_held_is_offline_and_then_old() {
        let (f, c) = (Freshness::default(), Clock::new());
        let now = c.now().0;
        let s = f.section("ess:ED", Some((true, Some(now - 12 * 60_000))), &c);
        assert_eq!((s.age, s.complete), (DataAge::Offline, true));
        assert!(
            s.text.contains("(12 min)") && s.text.contains("clock not verified"),
            "{}",
            s.text
        );
        let s = f.section("ess:ED", Some((true, Some(now - OLD_MS - 1_000))), &c);
        assert_eq!(s.age, DataAge::Old);
        c.learn(now);
        f.set(
            "ess:ED",
            ScopeFresh {
                age: Some(DataAge::Live),
                complete: true,
                as_of: Some(now),
                loading: None,
            },
        );
        let s = f.section("ess:ED", Some((true, Some(now - 12 * 60_000))), &c);
        assert_eq!(s.age, DataAge::Live);
        assert!(s.text.starts_with("live "), "{}", s.text);
    }
}
