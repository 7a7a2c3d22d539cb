//! What a drill measured, and how it is shown. No PHI: it is shown with nobody signed in.

use super::{MINUTES, hindrance, text};
use crate::EngineError;
use crate::clock::Stopwatch;
use crate::outbox::denied_text;
use crate::session::Person;
use crate::station::Station;
use serde::{Deserialize, Serialize};
use vitrine_access::policy::verdict;
use vitrine_clinical::{UtcMs, WardId, format, say, word};
use vitrine_wire::sync_view::{CheckPartView, CheckView, DrillView};
use vitrine_wire::view::StatusView;

/// Where the last one is kept: in the outbox, which is never fetched anew.
const NOTE: &str = "drill";

/// Emergency cards that were read whole, and shown to nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cards {
    /// So many are here.
    of: u64,
    /// So many could be read.
    read: u64,
    /// Half of them took at most so long, ms.
    half_ms: f64,
    /// The slowest, ms.
    slowest_ms: f64,
}

impl Cards {
    /// Reads every card of this workstation over the connection that is kept for emergencies; `None` when the drill ends before.
    pub(super) fn measured(station: &Station) -> Option<Self> {
        let rows = station.essentials.probe_rows().unwrap_or_else(|e| {
            station.damaged(&e);
            Vec::new()
        });
        let (mut of, mut took) = (0_u64, Vec::with_capacity(rows.len()));
        for row in rows {
            if !station.drill.runs() || *station.closing.borrow() {
                return None;
            }
            let watch = Stopwatch::start();
            match station.essentials.probe_row(row) {
                // Replaced meanwhile: it is no card of this workstation any more.
                Ok(None) => continue,
                Ok(Some(_)) => took.push(watch.ms()),
                Err(e) => station.damaged(&e),
            }
            of += 1;
        }
        took.sort_by(f64::total_cmp);
        Some(Self {
            of,
            read: took.len() as u64,
            half_ms: took.get(took.len() / 2).copied().unwrap_or_default(),
            slowest_ms: took.last().copied().unwrap_or_default(),
        })
    }
}

/// What one found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) began_ms: i64,
    pub(super) ended_ms: i64,
    /// Who began it.
    pub(super) by: String,
    /// "person", "time", "emergency", "program".
    pub(super) how: String,
    /// Who ended it; absent where nobody was signed in.
    pub(super) ended_by: Option<String>,
    /// Absent where it ended before they were read.
    pub(super) cards: Option<Cards>,
    /// PIN, audit row and card, ms; absent where the self-test failed or did not come to its end.
    pub(super) emergency_ms: Option<f64>,
    /// Entries recorded meanwhile; absent where they cannot be counted.
    pub(super) recorded: Option<u64>,
}

fn ms_text(ms: f64) -> String {
    if ms < 1.0 {
        say!("less than 1 ms", "weniger als 1 ms")
    } else {
        format!("{ms:.0} ms")
    }
}

fn part(name: &str, ok: bool, text: String) -> CheckPartView {
    CheckPartView {
        name: name.to_owned(),
        ok,
        text,
    }
}

impl Report {
    /// For the audit row and the note.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Keeps it for the status screen.
    pub(super) fn keep(&self, station: &Station) {
        if let Err(e) = station.outbox.set_note(NOTE, &self.json()) {
            tracing::error!(error = %e, "what a drill found could not be kept");
        }
    }

    fn parts(&self) -> Vec<CheckPartView> {
        let name = word!("Emergency cards", "Notfallkarten");
        let cards = match &self.cards {
            None => part(
                name,
                false,
                say!(
                    "not known: it ended before they were read",
                    "nicht bekannt: die Übung endete, bevor sie gelesen waren"
                ),
            ),
            Some(c) => part(
                name,
                c.of > 0 && c.read == c.of,
                say!(
                    "{read} of {of} could be read without the server; half within {half}, the slowest in {slowest}",
                    "{read} von {of} ohne Server lesbar; die Hälfte innerhalb von {half}, die langsamste in {slowest}",
                    read = c.read,
                    of = c.of,
                    half = ms_text(c.half_ms),
                    slowest = ms_text(c.slowest_ms)
                ),
            ),
        };
        let name = word!("Breaking the glass", "Notfallzugriff");
        let glass = match self.emergency_ms {
            Some(ms) => part(
                name,
                ms <= 1_000.0,
                say!(
                    "PIN, access log and card together would have taken {took}",
                    "PIN, Zugriffsprotokoll und Karte hätten zusammen so lange gedauert: {took}",
                    took = ms_text(ms)
                ),
            ),
            None => part(
                name,
                false,
                say!(
                    "not known: the self-test failed, or did not come to its end. IT runs it with vitrine-cli selftest",
                    "nicht bekannt: der Selbsttest schlug fehl oder kam nicht zu Ende. Die Klinik-IT führt ihn mit vitrine-cli selftest aus"
                ),
            ),
        };
        let name = word!("Recording", "Einträge");
        let recorded = match self.recorded {
            Some(0) => part(
                name,
                true,
                say!(
                    "nothing was recorded meanwhile",
                    "währenddessen wurde nichts eingetragen"
                ),
            ),
            Some(1) => part(
                name,
                true,
                say!(
                    "1 entry was kept here meanwhile, and is sent now",
                    "1 Eintrag wurde währenddessen hier gespeichert und wird jetzt gesendet"
                ),
            ),
            Some(n) => part(
                name,
                true,
                say!(
                    "{n} entries were kept here meanwhile, and are sent now",
                    "{n} Einträge wurden währenddessen hier gespeichert und werden jetzt gesendet"
                ),
            ),
            None => part(
                name,
                false,
                say!(
                    "what was recorded cannot be counted",
                    "was eingetragen wurde, lässt sich nicht zählen"
                ),
            ),
        };
        let lasted = format::duration(self.ended_ms.saturating_sub(self.began_ms).max(0));
        let ended = match (self.how.as_str(), &self.ended_by) {
            ("time", _) => say!("as planned", "wie geplant"),
            ("emergency", _) => say!("because the glass was broken", "durch einen Notfallzugriff"),
            ("program", _) => say!("with the program", "mit dem Programm"),
            (_, Some(who)) => say!("by {who}", "durch {who}"),
            (_, None) => say!(
                "by somebody who was not signed in",
                "durch jemanden, der nicht angemeldet war"
            ),
        };
        let whole = part(
            word!("The drill", "Die Übung"),
            true,
            say!(
                "begun by {by}, ended after {lasted} {ended}",
                "begonnen durch {by}, beendet nach {lasted} {ended}",
                by = self.by
            ),
        );
        vec![cards, glass, recorded, whole]
    }

    fn view(&self, station: &Station) -> CheckView {
        let (now, at) = (station.clock.now(), UtcMs(self.ended_ms));
        let parts = self.parts();
        CheckView {
            at_text: format!(
                "{} ({})",
                format::date_time_in(at, &|at| station.clock.zone_minutes(at)),
                format::data_age(now.since(at).max(0))
            ),
            ok: parts.iter().all(|p| p.ok),
            parts,
        }
    }
}

fn last(station: &Station) -> Result<Option<Report>, EngineError> {
    let note = station.outbox.note(NOTE)?;
    note.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| EngineError::Internal("reading what the last drill found"))
}

/// Why this person cannot begin one; no refusal is written down for what was only shown.
fn not_by(station: &Station, person: &Person) -> Option<String> {
    let ward = WardId::new(station.device().ward.clone()).ok()?;
    let asked = station.request(person.subject(), None, Some(ward), None).ok()?;
    let verdict = verdict("run-drill", &asked);
    (!verdict.allow).then(|| denied_text(verdict.rule, verdict.text))
}

/// For the status screen.
pub(crate) fn view(station: &Station, status: &StatusView) -> DrillView {
    let person = station.session().as_ref().map(|s| s.person.clone());
    let refused_text = match &person {
        None => Some(say!(
            "A drill is begun by somebody who is signed in.",
            "Eine Übung beginnt, wer angemeldet ist."
        )),
        Some(person) => not_by(station, person).or_else(|| hindrance(station, status.age)),
    };
    let (last, unread_text) = match last(station) {
        Ok(last) => (last, None),
        Err(e) => {
            tracing::error!(error = %e, "the last drill");
            let text = say!(
                "What the last drill found cannot be read.",
                "Was die letzte Übung ergab, ist nicht lesbar."
            );
            (None, Some(text))
        }
    };
    DrillView {
        running_text: text(station).map(|t| {
            say!(
                "This workstation is {t}. Others' changes are not shown here.",
                "Dieser Arbeitsplatz ist {t}. Änderungen anderer werden hier nicht angezeigt."
            )
        }),
        refused_text,
        minutes: MINUTES.to_vec(),
        last: last.map(|r| r.view(station)),
        unread_text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    fn report(cards: Option<Cards>, emergency_ms: Option<f64>, recorded: Option<u64>) -> Vec<(String, bool)> {
        let report = Report {
            began_ms: 0,
            ended_ms: 754_000,
            by: "A. NURSE".to_owned(),
            how: "person".to_owned(),
            ended_by: None,
            cards,
            emergency_ms,
            recorded,
        };
        report.parts().into_iter().map(|p| (p.text, p.ok)).collect()
    }

    fn cards(of: u64, read: u64) -> Cards {
        Cards {
            of,
            read,
            half_ms: 0.4,
            slowest_ms: 9.4,
        }
    }

    #[test]
    fn what_worked_and_what_did_not_are_told_apart() {
        let good = report(Some(cards(24, 24)), Some(84.0), Some(3));
        assert!(good.iter().all(|(_, ok)| *ok), "{good:?}");
        assert_eq!(
            good.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(),
            [
                "24 of 24 could be read without the server; half within less than 1 ms, the slowest in 9 ms",
                "PIN, access log and card together would have taken 84 ms",
                "3 entries were kept here meanwhile, and are sent now",
                "begun by A. NURSE, ended after 12min by somebody who was not signed in",
            ]
        );
        for (cards, emergency_ms, recorded, wrong) in [
            (Some(cards(24, 23)), Some(84.0), Some(0), 0),
            // No card at all is no success.
            (Some(cards(0, 0)), Some(84.0), Some(0), 0),
            (None, Some(84.0), Some(0), 0),
            // Over the second that is promised.
            (Some(cards(24, 24)), Some(1_001.0), Some(0), 1),
            (Some(cards(24, 24)), None, Some(0), 1),
            (Some(cards(24, 24)), Some(84.0), None, 2),
        ] {
            let parts = report(cards, emergency_ms, recorded);
            let bad: Vec<usize> = (0..parts.len()).filter(|i| !parts[*i].1).collect();
            assert_eq!(bad, [wrong], "{parts:?}");
        }
    }

    #[test]
    fn what_was_measured_is_kept_as_numbers_and_said_in_the_language_spoken() {
        let german = speaking(Language::German, || {
            report(Some(cards(24, 23)), Some(84.0), Some(1))
        });
        assert_eq!(
            german[..3]
                .iter()
                .map(|(text, _)| text.as_str())
                .collect::<Vec<_>>(),
            [
                "23 von 24 ohne Server lesbar; die Hälfte innerhalb von weniger als 1 ms, die langsamste in 9 ms",
                "PIN, Zugriffsprotokoll und Karte hätten zusammen so lange gedauert: 84 ms",
                "1 Eintrag wurde währenddessen hier gespeichert und wird jetzt gesendet",
            ]
        );
        assert!(
            german[3]
                .0
                .starts_with("begonnen durch A. NURSE, beendet nach 12"),
            "{german:?}"
        );
        assert!(
            german[3].0.ends_with(" durch jemanden, der nicht angemeldet war"),
            "{german:?}"
        );
    }
}
