//! The offline horizon: for how long people are let in by what is here while the server does not confirm who works here
//! (security.md §1, ADR 41).
//!
//! It is counted from the last moment at which the server confirmed the staff list of this workstation, in a time that only
//! goes forward: the highest of the clock, of what was reached before, and of the time this program has run since. So a clock
//! that is set back gains nothing. Past it no slot and no PIN of the staff list signs anybody in until the server does;
//! breaking the glass is not asked about it.
//! Never here: signing in (`session`), the network. Called by `session`, `link`, `status` and the background work of the facade.

use crate::session::Ended;
use crate::station::Station;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vitrine_clinical::{format, say};

/// Days, where the server has said nothing else (security.md §1: fixed ward PCs).
pub(crate) const DAYS: u32 = 14;
/// What a server may say, days.
const TAKEN: RangeInclusive<u32> = 1..=90;
const DAY_MS: i64 = 86_400_000;
/// So long before its end it is said on the lock screen and in the strip, ms.
const SAID_MS: i64 = 3 * DAY_MS;
/// How much may be lost of what was reached, should the program be killed, ms.
const KEPT_EVERY_MS: i64 = 60_000;
/// Notes beside the audit chain.
const MARK_NOTE: &str = "horizon";
const DAYS_NOTE: &str = "offline-days";

/// When the server last confirmed the staff list, and the highest time reached since, ms of the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    contact: i64,
    high: i64,
}

impl Mark {
    /// After `run` of this program, with the clock at `now`.
    fn forward(self, run: Duration, now: i64) -> Self {
        let run = i64::try_from(run.as_millis()).unwrap_or(i64::MAX);
        Self {
            high: self.high.saturating_add(run).max(now).max(self.contact),
            ..self
        }
    }

    fn parse(note: &str) -> Option<Self> {
        let (contact, high) = note.split_once(' ')?;
        Some(Self {
            contact: contact.parse().ok()?,
            high: high.parse().ok()?,
        })
    }

    fn note(self) -> String {
        format!("{} {}", self.contact, self.high)
    }
}

/// What is known of the horizon by this program.
#[derive(Debug, Default)]
pub(crate) struct Horizon(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// And when this program ran so long.
    mark: Option<(Mark, Duration)>,
    /// The server has confirmed it in this run: what other programs of the profile wrote is older.
    heard: bool,
    /// As it stands on the disk.
    kept: Option<Mark>,
}

impl Horizon {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Its whole length, days.
    pub(crate) days: u32,
    /// What is left, ms; not more than 0 past it.
    pub(crate) ms: i64,
}

impl Left {
    /// Nobody is let in by what is here.
    pub(crate) const fn over(self) -> bool {
        self.ms <= 0
    }

    /// What the screen says of it; nothing while there is time.
    pub(crate) fn text(self) -> Option<String> {
        if self.over() {
            return Some(past(self.days));
        }
        (self.ms < SAID_MS).then(|| {
            say!(
                "No contact with the server: signing in here works for {left} more, then not until the server is back. Emergency access stays open. Call IT.",
                "Kein Kontakt zum Server: Anmelden ist hier noch {left} möglich, danach erst wieder mit Server. Der Notfallzugriff bleibt offen. Klinik-IT anrufen.",
                left = format::data_age(self.ms)
            )
        })
    }
}

/// The words for whoever is not let in.
pub(crate) fn past(days: u32) -> String {
    say!(
        "This workstation has had no contact with the server for {days} days: nobody can sign in here until it has. Emergency access stays open, with name and PIN. Call IT.",
        "Dieser Arbeitsplatz hatte {days} Tage lang keinen Kontakt zum Server: bis dahin kann sich hier niemand anmelden. Der Notfallzugriff bleibt offen, mit Name und PIN. Klinik-IT anrufen."
    )
}

/// How much is left; `None` where there is no staff list here yet, by which nobody could be let in.
pub(crate) fn left(station: &Station) -> Option<Left> {
    let days = days(station);
    let mark = look(station, &mut station.horizon.held())?;
    Some(Left {
        days,
        ms: mark
            .contact
            .saturating_add(i64::from(days).saturating_mul(DAY_MS))
            .saturating_sub(mark.high),
    })
}

/// Whether it is past.
pub(crate) fn over(station: &Station) -> bool {
    left(station).is_some_and(Left::over)
}

fn look(station: &Station, held: &mut Held) -> Option<Mark> {
    let (now, run) = (station.clock.now().0, station.clock.elapsed());
    let before = held.mark;
    let (mark, since) = match (before, held.heard) {
        (Some(known), true) => known,
        _ => {
            let kept = stored(station);
            held.kept = kept.or(held.kept);
            match (before, kept.or_else(|| unconfirmed(station))) {
                (Some((m, since)), Some(s)) if m.contact == s.contact => {
                    let high = m.forward(run.saturating_sub(since), now).high.max(s.high);
                    (Mark { high, ..m }, run)
                }
                (_, Some(s)) => (s, run),
                (Some(known), None) => known,
                (None, None) => return None,
            }
        }
    };
    let mark = mark.forward(run.saturating_sub(since), now);
    held.mark = Some((mark, run));
    Some(mark)
}

fn stored(station: &Station) -> Option<Mark> {
    Mark::parse(&station.outbox.note(MARK_NOTE).ok()??)
}

/// A profile that has not kept a mark: its staff list is as old as the database says; one of no age was never confirmed.
fn unconfirmed(station: &Station) -> Option<Mark> {
    let dir = station.essentials.scope("dir").ok()??;
    dir.complete.then(|| {
        let contact = dir.as_of.unwrap_or(0);
        Mark {
            contact,
            high: contact,
        }
    })
}

/// The server confirmed the staff list, as of then, ms of its clock.
pub(crate) fn confirmed(station: &Station, as_of_ms: i64) {
    let mut held = station.horizon.held();
    let mark = Mark {
        contact: as_of_ms,
        high: as_of_ms,
    };
    held.mark = Some((mark, station.clock.elapsed()));
    held.heard = true;
    // What a wrong clock had reached before counts no more, also after a crash.
    if held.kept.is_some_and(|k| k.high > as_of_ms) {
        write(station, &mut held, mark);
    }
}

/// Keeps on the disk what was reached, where that is worth a write, and ends a session that goes on past the horizon.
pub(crate) fn keep(station: &Station) {
    let mut held = station.horizon.held();
    if let Some(mark) = look(station, &mut held) {
        let worth = held.kept.is_none_or(|k| {
            k.contact > mark.contact
                || mark.contact.saturating_sub(k.contact) >= KEPT_EVERY_MS
                || mark.high.saturating_sub(k.high) >= KEPT_EVERY_MS
        });
        if worth {
            write(station, &mut held, mark);
        }
    }
    drop(held);
    if station.session().is_some() && over(station) {
        station.lock(Ended::Horizon);
    }
}

fn write(station: &Station, held: &mut Held, mark: Mark) {
    match station.outbox.set_note(MARK_NOTE, &mark.note()) {
        Ok(()) => held.kept = Some(mark),
        Err(e) => tracing::warn!(error = %e, "how long the server has been away could not be kept"),
    }
}

/// The server's own length of the horizon.
pub(crate) fn take(station: &Station, days: u32) {
    if !TAKEN.contains(&days) {
        tracing::warn!(days, "an offline horizon of 1 to 90 days is taken, not this one");
        return;
    }
    if days != self::days(station)
        && let Err(e) = station.outbox.set_note(DAYS_NOTE, &days.to_string())
    {
        tracing::warn!(error = %e, "the offline horizon could not be kept");
    }
}

fn days(station: &Station) -> u32 {
    let note = station.outbox.note(DAYS_NOTE).ok().flatten();
    note.and_then(|n| n.parse().ok())
        .filter(|d| TAKEN.contains(d))
        .unwrap_or(DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    #[test]
    fn time_only_goes_forward() {
        let m = Mark {
            contact: 1_000,
            high: 5_000,
        };
        let second = Duration::from_secs(1);
        assert_eq!(
            m.forward(second, 9_000).high,
            9_000,
            "the clock, where it is ahead"
        );
        assert_eq!(
            m.forward(second, 2_000).high,
            6_000,
            "set back, the program's own time"
        );
        assert_eq!(m.forward(Duration::ZERO, 0).high, 5_000, "never less than before");
        let never = Mark { contact: 7, high: 0 };
        assert_eq!(never.forward(Duration::ZERO, 0).high, 7);
        assert_eq!(Mark::parse(&m.note()), Some(m));
        for bad in ["", "5", "a 5", "5 b", "5 6 7"] {
            assert_eq!(Mark::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn it_is_said_from_three_days_before_in_both_languages() {
        let left = |ms| Left { days: 14, ms };
        assert_eq!(left(SAID_MS).text(), None);
        let soon = left(SAID_MS - 1).text().unwrap();
        assert!(soon.contains("for 2 d 23 hr more"), "{soon}");
        let german = speaking(Language::German, || left(DAY_MS).text()).unwrap();
        assert!(german.contains("noch 1 T möglich"), "{german}");
        for ms in [0, -1, i64::MIN] {
            assert!(left(ms).over());
            let text = left(ms).text().unwrap();
            assert!(text.contains("14 days") && text.contains("Emergency access stays open"));
        }
    }
}
