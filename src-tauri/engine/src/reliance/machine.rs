//! What IT asks for: clock, access log, stored data, disk, certificate. None of them limits anything by itself.

use super::{Looked, counted, part};
use crate::EngineError;
use crate::integrity;
use crate::outbox::Alarm;
use crate::station::Station;
use vitrine_clinical::{UtcMs, format};
use vitrine_wire::sync_view::{Reliance, RelianceView};

/// Less room than this is said, bytes: a day of records and previews of a ward.
const LITTLE_ROOM: u64 = 1 << 30;
/// Less than this and nothing can be counted on to be kept, bytes.
const NO_ROOM: u64 = 64 << 20;
/// A certificate that ends sooner is said, ms.
const SOON_MS: i64 = 30 * 86_400_000;
/// A check of the stored data that is older is said, ms.
const CHECKED_MS: i64 = 7 * 86_400_000;

impl Looked<'_> {
    pub(super) fn clock(&self) -> RelianceView {
        let clock = &self.station.clock;
        let title = "Clock";
        let apart = |ms: i64| {
            let way = if ms > 0 { "behind" } else { "ahead of" };
            format!("{} {way} the server's", format::data_age(ms.saturating_abs()))
        };
        match (clock.offset_ms(), clock.verified()) {
            (Some(ms), true) if ms.saturating_abs() < 1_000 => part(
                "clock",
                Reliance::Works,
                title,
                "Agrees with the server's.".to_owned(),
                None,
            ),
            (Some(ms), true) => part(
                "clock",
                Reliance::Works,
                title,
                format!("{}.", capital(&apart(ms))),
                None,
            ),
            (Some(ms), false) => part(
                "clock",
                Reliance::Limited,
                title,
                format!("Not verified: {}. Ages on the screen may be wrong.", apart(ms)),
                Some("Compare with another clock. Call IT."),
            ),
            (None, _) => part(
                "clock",
                Reliance::Unknown,
                title,
                "Not verified: the server was never heard. Ages on the screen may be wrong.".to_owned(),
                None,
            ),
        }
    }

    pub(super) fn audit(&self) -> RelianceView {
        let title = "Access log";
        let alarms = &self.station.alarms;
        if alarms.raised(Alarm::AuditFork) {
            let text = "It differs from the server's: the disk was rolled back or copied.".to_owned();
            return part("audit", Reliance::Fails, title, text, Some("Call IT."));
        }
        if alarms.raised(Alarm::OutboxUnwritable)
            || alarms.raised(Alarm::AuditInReserve)
            || alarms.raised(Alarm::AuditInMemory)
        {
            let text = "It cannot be written as it should be: ordinary charts cannot be opened.".to_owned();
            return part("audit", Reliance::Fails, title, text, Some("Call IT now."));
        }
        let Ok(tally) = self.station.outbox.tally() else {
            let text = "It cannot be read.".to_owned();
            return part("audit", Reliance::Fails, title, text, Some("Call IT."));
        };
        let waiting = tally.audit.saturating_add(tally.grants);
        if waiting == 0 {
            let text = format!("Up to row {} at the server.", tally.last);
            return part("audit", Reliance::Works, title, text, None);
        }
        let oldest = tally.oldest.map_or_else(String::new, |at| {
            let age = self.station.clock.now().since(UtcMs(at)).max(0);
            format!(", the oldest for {}", format::data_age(age))
        });
        let text = format!(
            "Up to row {} on this disk; {} for the server{oldest}.",
            tally.last,
            counted(waiting, "row waits", "rows wait"),
        );
        part("audit", Reliance::Works, title, text, None)
    }

    pub(super) fn stored(&self, found: &Result<Option<integrity::Found>, EngineError>) -> RelianceView {
        let title = "Stored data";
        match found {
            Err(_) => part(
                "stored",
                Reliance::Unknown,
                title,
                "When they were checked last cannot be read.".to_owned(),
                Some("Check them now."),
            ),
            Ok(None) => part(
                "stored",
                Reliance::Unknown,
                title,
                "Not checked yet.".to_owned(),
                Some("Check them now."),
            ),
            Ok(Some(f)) => {
                let v = f.view(self.station);
                let old = self.station.clock.now().since(UtcMs(f.at_ms)) > CHECKED_MS;
                match (f.ok(), old) {
                    (false, _) => part(
                        "stored",
                        Reliance::Limited,
                        title,
                        format!("The check of {} found faults.", v.at_text),
                        Some("See below, and check them again."),
                    ),
                    (true, true) => part(
                        "stored",
                        Reliance::Unknown,
                        title,
                        format!("Were whole on {}.", v.at_text),
                        Some("Check them now."),
                    ),
                    (true, false) => part(
                        "stored",
                        Reliance::Works,
                        title,
                        format!("Whole, checked {}.", v.at_text),
                        None,
                    ),
                }
            }
        }
    }

    pub(super) fn disk(&self) -> RelianceView {
        let title = "Disk";
        let reserve = self.station.ballast.kept();
        let Some(free) = room(self.station) else {
            return part(
                "disk",
                Reliance::Unknown,
                title,
                "How much room is left cannot be told.".to_owned(),
                None,
            );
        };
        let room = gigabytes(free);
        if free < NO_ROOM {
            return part(
                "disk",
                Reliance::Fails,
                title,
                format!("Full: {room} are left."),
                Some("Call IT now."),
            );
        }
        if free < LITTLE_ROOM || !reserve {
            let text = if reserve {
                format!("{room} are left.")
            } else {
                format!("{room} are left, and there is no reserve for emergencies on a full disk.")
            };
            return part("disk", Reliance::Limited, title, text, Some("Call IT."));
        }
        part(
            "disk",
            Reliance::Works,
            title,
            format!("{room} are left; the reserve for emergencies is there."),
            None,
        )
    }

    pub(super) fn certificate(&self) -> RelianceView {
        let title = "Server's certificate";
        let ends = self.station.certificate_ends();
        let Some(at) = ends else {
            return part(
                "certificate",
                Reliance::Unknown,
                title,
                "Not seen yet.".to_owned(),
                None,
            );
        };
        let left = at.saturating_sub(self.station.clock.now().0);
        let on = format::date_time_in(UtcMs(at), &|at| self.station.clock.zone_minutes(at));
        if left <= 0 {
            return part(
                "certificate",
                Reliance::Fails,
                title,
                format!("Ended on {on}: no connection can be made."),
                Some("Call IT."),
            );
        }
        let text = format!("Ends on {on}, in {}.", format::data_age(left));
        if left < SOON_MS {
            return part(
                "certificate",
                Reliance::Limited,
                title,
                text,
                Some("Call IT: it is to be renewed before."),
            );
        }
        part("certificate", Reliance::Works, title, text, None)
    }
}

/// Bytes free on the disk of the profile for this program.
#[cfg(unix)]
fn room(station: &Station) -> Option<u64> {
    let of = rustix::fs::statvfs(station.profile.dir()).ok()?;
    Some(of.f_bavail.saturating_mul(of.f_frsize))
}

#[cfg(not(unix))]
fn room(_: &Station) -> Option<u64> {
    None
}

fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / (100 << 20);
    if tenths >= 10 {
        format!("{}.{} GB", tenths / 10, tenths % 10)
    } else {
        format!("{} MB", bytes >> 20)
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
