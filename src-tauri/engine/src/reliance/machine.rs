//! What IT asks for: clock, access log, stored data, disk, certificate. None of them limits anything by itself.

use super::{Looked, call_it, call_it_now, counted, part};
use crate::EngineError;
use crate::integrity;
use crate::outbox::Alarm;
use crate::station::Station;
use vitrine_clinical::{UtcMs, format, say, word};
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
        let title = word!("Clock", "Uhr");
        let apart = |ms: i64| {
            let apart = format::data_age(ms.saturating_abs());
            if ms > 0 {
                say!(
                    "{apart} behind the server's",
                    "geht {apart} gegenüber dem Server nach"
                )
            } else {
                say!(
                    "{apart} ahead of the server's",
                    "geht {apart} gegenüber dem Server vor"
                )
            }
        };
        match (clock.offset_ms(), clock.verified()) {
            (Some(ms), true) if ms.saturating_abs() < 1_000 => part(
                "clock",
                Reliance::Works,
                title,
                say!("Agrees with the server's.", "Stimmt mit der des Servers überein."),
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
                say!(
                    "Not verified: {apart}. Ages on the screen may be wrong.",
                    "Nicht geprüft: {apart}. Das angezeigte Alter der Daten kann falsch sein.",
                    apart = apart(ms)
                ),
                Some(word!(
                    "Compare with another clock. Call IT.",
                    "Mit einer anderen Uhr vergleichen. Klinik-IT anrufen."
                )),
            ),
            (None, _) => part(
                "clock",
                Reliance::Unknown,
                title,
                say!(
                    "Not verified: the server was never heard. Ages on the screen may be wrong.",
                    "Nicht geprüft: der Server wurde nie erreicht. Das angezeigte Alter der Daten kann falsch sein."
                ),
                None,
            ),
        }
    }

    pub(super) fn audit(&self) -> RelianceView {
        let title = word!("Access log", "Zugriffsprotokoll");
        let alarms = &self.station.alarms;
        if alarms.raised(Alarm::AuditFork) {
            let text = say!(
                "It differs from the server's: the disk was rolled back or copied.",
                "Es weicht von dem des Servers ab: der Datenträger wurde zurückgesetzt oder kopiert."
            );
            return part("audit", Reliance::Fails, title, text, Some(call_it()));
        }
        if alarms.raised(Alarm::OutboxUnwritable)
            || alarms.raised(Alarm::AuditInReserve)
            || alarms.raised(Alarm::AuditInMemory)
        {
            let text = say!(
                "It cannot be written as it should be: ordinary charts cannot be opened.",
                "Es kann nicht wie vorgesehen geschrieben werden: reguläre Akten lassen sich nicht öffnen."
            );
            return part("audit", Reliance::Fails, title, text, Some(call_it_now()));
        }
        let Ok(tally) = self.station.outbox.tally() else {
            let text = say!("It cannot be read.", "Es ist nicht lesbar.");
            return part("audit", Reliance::Fails, title, text, Some(call_it()));
        };
        let waiting = tally.audit.saturating_add(tally.grants);
        if waiting == 0 {
            let text = say!(
                "Up to row {row} at the server.",
                "Bis Zeile {row} beim Server.",
                row = tally.last
            );
            return part("audit", Reliance::Works, title, text, None);
        }
        let oldest = tally.oldest.map_or_else(String::new, |at| {
            let age = self.station.clock.now().since(UtcMs(at)).max(0);
            say!(
                ", the oldest for {age}",
                ", die älteste seit {age}",
                age = format::data_age(age)
            )
        });
        let text = say!(
            "Up to row {row} on this disk; {waiting} for the server{oldest}.",
            "Bis Zeile {row} auf diesem Datenträger; {waiting} auf den Server{oldest}.",
            row = tally.last,
            waiting = counted(
                waiting,
                (
                    word!("row waits", "Zeile wartet"),
                    word!("rows wait", "Zeilen warten")
                )
            )
        );
        part("audit", Reliance::Works, title, text, None)
    }

    pub(super) fn stored(&self, found: &Result<Option<integrity::Found>, EngineError>) -> RelianceView {
        let title = word!("Stored data", "Gespeicherte Daten");
        match found {
            Err(_) => part(
                "stored",
                Reliance::Unknown,
                title,
                say!(
                    "When they were checked last cannot be read.",
                    "Wann sie zuletzt geprüft wurden, ist nicht lesbar."
                ),
                Some(check_now()),
            ),
            Ok(None) => part(
                "stored",
                Reliance::Unknown,
                title,
                say!("Not checked yet.", "Noch nicht geprüft."),
                Some(check_now()),
            ),
            Ok(Some(f)) => {
                let v = f.view(self.station);
                let old = self.station.clock.now().since(UtcMs(f.at_ms)) > CHECKED_MS;
                match (f.ok(), old) {
                    (false, _) => part(
                        "stored",
                        Reliance::Limited,
                        title,
                        say!(
                            "The check of {at} found faults.",
                            "Die Prüfung vom {at} fand Fehler.",
                            at = v.at_text
                        ),
                        Some(word!(
                            "See below, and check them again.",
                            "Siehe unten; erneut prüfen."
                        )),
                    ),
                    (true, true) => part(
                        "stored",
                        Reliance::Unknown,
                        title,
                        say!("Were whole on {at}.", "Waren unversehrt am {at}.", at = v.at_text),
                        Some(check_now()),
                    ),
                    (true, false) => part(
                        "stored",
                        Reliance::Works,
                        title,
                        say!(
                            "Whole, checked {at}.",
                            "Unversehrt, geprüft am {at}.",
                            at = v.at_text
                        ),
                        None,
                    ),
                }
            }
        }
    }

    pub(super) fn disk(&self) -> RelianceView {
        let title = word!("Disk", "Datenträger");
        let reserve = self.station.ballast.kept();
        let Some(free) = room(self.station) else {
            return part(
                "disk",
                Reliance::Unknown,
                title,
                say!(
                    "How much room is left cannot be told.",
                    "Wie viel Platz frei ist, lässt sich nicht feststellen."
                ),
                None,
            );
        };
        let room = gigabytes(free);
        if free < NO_ROOM {
            return part(
                "disk",
                Reliance::Fails,
                title,
                say!("Full: {room} are left.", "Voll: noch {room} frei."),
                Some(call_it_now()),
            );
        }
        if free < LITTLE_ROOM || !reserve {
            let text = if reserve {
                say!("{room} are left.", "Noch {room} frei.")
            } else {
                say!(
                    "{room} are left, and there is no reserve for emergencies on a full disk.",
                    "Noch {room} frei, und es gibt keine Reserve für Notfälle bei vollem Datenträger."
                )
            };
            return part("disk", Reliance::Limited, title, text, Some(call_it()));
        }
        part(
            "disk",
            Reliance::Works,
            title,
            say!(
                "{room} are left; the reserve for emergencies is there.",
                "Noch {room} frei; die Reserve für Notfälle ist da."
            ),
            None,
        )
    }

    pub(super) fn certificate(&self) -> RelianceView {
        let title = word!("Server's certificate", "Zertifikat des Servers");
        let ends = self.station.certificate_ends();
        let Some(at) = ends else {
            return part(
                "certificate",
                Reliance::Unknown,
                title,
                say!("Not seen yet.", "Noch nicht gesehen."),
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
                say!(
                    "Ended on {on}: no connection can be made.",
                    "Abgelaufen am {on}: keine Verbindung möglich."
                ),
                Some(call_it()),
            );
        }
        let text = say!(
            "Ends on {on}, in {left}.",
            "Läuft ab am {on}, in {left}.",
            left = format::data_age(left)
        );
        if left < SOON_MS {
            return part(
                "certificate",
                Reliance::Limited,
                title,
                text,
                Some(word!(
                    "Call IT: it is to be renewed before.",
                    "Klinik-IT anrufen: es muss vorher erneuert werden."
                )),
            );
        }
        part("certificate", Reliance::Works, title, text, None)
    }
}

fn check_now() -> &'static str {
    word!("Check them now.", "Jetzt prüfen.")
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
