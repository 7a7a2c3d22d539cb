//! The check of everything that is stored here: pages, items, digests, the access log, and whether the glass could be broken.
//!
//! Lives here: running it, one at a time, beside everything else and giving way to it; what it found, kept for the next
//! start. What does not hold is fetched anew; what cannot be fetched (the log, entries) is said. Never here: the words of the
//! status screen (`reliance`), SQL.
//! Called by the facade.

use crate::EngineError;
use crate::entry;
use crate::error::store_words;
use crate::link::Command;
use crate::outbox::Alarm;
use crate::selftest::{self, Both};
use crate::station::Station;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vitrine_clinical::{UtcMs, format, say, word};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{ScopeFault, Verified};
use vitrine_sync::scope::is_patient;
use vitrine_wire::sync_view::{CheckPartView, CheckView};

/// Where the last one is kept: in the outbox, which is never fetched anew.
const NOTE: &str = "integrity";

/// A check that runs, or none.
#[derive(Debug, Default)]
pub(crate) struct Integrity {
    running: AtomicBool,
    items: AtomicU64,
}

impl Integrity {
    /// "12400 items read", while one runs.
    pub(crate) fn text(&self) -> Option<String> {
        self.running
            .load(Ordering::Acquire)
            .then(|| match self.items.load(Ordering::Relaxed) {
                0 => say!("the pages are read first", "zuerst werden die Seiten gelesen"),
                n => say!("{items} read", "{items} gelesen", items = items_text(n)),
            })
    }
}

/// What the last one found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) at_ms: i64,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    name: What,
    ok: bool,
    /// Kept as it was found, in each language.
    #[serde(flatten)]
    said: Both,
}

/// What is checked. It is kept by its English name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    #[serde(rename = "Emergency cards, boards, staff list")]
    Essentials,
    #[serde(rename = "Full charts kept for who is signed in")]
    Charts,
    #[serde(rename = "What was recorded here")]
    Entries,
    #[serde(rename = "Access log")]
    Log,
    #[serde(rename = "Breaking the glass")]
    Glass,
}

impl What {
    fn words(self) -> &'static str {
        match self {
            Self::Essentials => word!(
                "Emergency cards, boards, staff list",
                "Notfallkarten, Übersichten, Personalliste"
            ),
            Self::Charts => word!(
                "Full charts kept for who is signed in",
                "Vollständige Akten für den angemeldeten Benutzer"
            ),
            Self::Entries => word!("What was recorded here", "Hier erfasste Einträge"),
            Self::Log => word!("Access log", "Zugriffsprotokoll"),
            Self::Glass => word!("Breaking the glass", "Notfallzugriff"),
        }
    }
}

impl Found {
    pub(crate) fn ok(&self) -> bool {
        self.parts.iter().all(|p| p.ok)
    }

    pub(crate) fn view(&self, station: &Station) -> CheckView {
        let (now, at) = (station.clock.now(), UtcMs(self.at_ms));
        CheckView {
            at_text: format!(
                "{} ({})",
                format::date_time_in(at, &|at| station.clock.zone_minutes(at)),
                format::data_age(now.since(at).max(0))
            ),
            ok: self.ok(),
            parts: self
                .parts
                .iter()
                .map(|p| CheckPartView {
                    name: p.name.words().to_owned(),
                    ok: p.ok,
                    text: p.said.text(),
                })
                .collect(),
        }
    }
}

/// What the last check found; `None` when there was none.
///
/// # Errors
/// [`EngineError::Damaged`], [`EngineError::Internal`] when that cannot be read.
pub(crate) fn last(station: &Station) -> Result<Option<Found>, EngineError> {
    let note = station.outbox.note(NOTE)?;
    note.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| EngineError::Internal("reading what the last check found"))
}

/// Ends with the check, however that ends.
struct Running<'a>(&'a Integrity);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

/// Checks everything. One at a time.
///
/// # Errors
/// [`EngineError::Usage`] while another one runs; [`EngineError::Store`] when the workstation is closed meanwhile.
pub(crate) fn run(station: &Station) -> Result<Found, EngineError> {
    let state = &station.integrity;
    if state.running.swap(true, Ordering::AcqRel) {
        return Err(EngineError::Usage(say!(
            "the stored data are being checked already: wait for it",
            "die gespeicherten Daten werden bereits geprüft: warten Sie darauf"
        )));
    }
    let _running = Running(state);
    state.items.store(0, Ordering::Relaxed);
    station.tell_status();
    let mut wrong = BTreeSet::new();
    let mut parts = vec![scopes(station, What::Essentials, &mut wrong, |go_on| {
        station.essentials.verify(go_on)
    })?];
    if let Some(records) = station.records() {
        parts.push(scopes(station, What::Charts, &mut wrong, |go_on| {
            records.verify(go_on)
        })?);
    }
    parts.push(entries(station));
    parts.extend(emergency(station));
    if wrong.iter().any(|scope| !is_patient(scope)) {
        station.alarms.raise(Alarm::EssentialsDamaged);
    }
    if !wrong.is_empty() {
        station.command(Command::Refetch(Some(wrong)));
    }
    let found = Found {
        at_ms: station.clock.now().0,
        parts,
    };
    let text = serde_json::to_string(&found).map_err(|_| EngineError::Internal("keeping what was found"))?;
    if let Err(e) = station.outbox.set_note(NOTE, &text) {
        tracing::warn!(error = %e, "what the check found could not be kept");
    }
    Ok(found)
}

fn scopes(
    station: &Station,
    name: What,
    wrong: &mut BTreeSet<String>,
    verify: impl FnOnce(&dyn Fn(u64) -> bool) -> Result<Verified, StoreError>,
) -> Result<Part, EngineError> {
    let before = station.integrity.items.load(Ordering::Relaxed);
    let go_on = |n: u64| {
        station.integrity.items.store(before + n, Ordering::Relaxed);
        !*station.closing.borrow()
    };
    let part = |ok, said| Part { name, ok, said };
    let found = match verify(&go_on) {
        Ok(found) => found,
        Err(StoreError::Closed) => return Err(StoreError::Closed.into()),
        Err(e) => {
            // A person's full charts are another file: nothing is wrong with the emergency cards.
            if name == What::Essentials {
                station.damaged(&e);
            }
            let said = Both::of(|| say!("cannot be read: {e}", "nicht lesbar: {e}", e = store_words(&e)));
            return Ok(part(false, said));
        }
    };
    if found.whole() {
        let said = Both::of(|| {
            say!(
                "{items}, each is whole",
                "{items}: unversehrt",
                items = items_text(found.items)
            )
        });
        return Ok(part(true, said));
    }
    wrong.extend(found.scopes.iter().map(|s| s.scope.clone()));
    if found.scopes.is_empty() {
        for page in &found.pages {
            tracing::error!(page, "a page of the stored data does not hold");
        }
    }
    let synchronises = station.synchronises();
    Ok(part(false, Both::of(|| faults_text(&found, synchronises))))
}

/// What is wrong, and what becomes of it.
fn faults_text(found: &Verified, synchronises: bool) -> String {
    if found.scopes.is_empty() {
        return say!(
            "{n} damaged pages or tables; nothing that is shown lies on them. Call IT: the file is to be made anew",
            "Beschädigte Seiten oder Tabellen: {n}; nichts, was angezeigt wird, liegt darauf. Klinik-IT anrufen: die Datei muss neu erstellt werden",
            n = found.pages.len()
        );
    }
    let damaged: u64 = found.scopes.iter().map(|s| s.damaged).sum();
    let unfindable: u64 = found.scopes.iter().map(|s| s.unfindable).sum();
    let mut said = Vec::new();
    if damaged > 0 {
        said.push(say!(
            "{items} damaged",
            "{items} beschädigt",
            items = items_text(damaged)
        ));
    }
    if unfindable > 0 {
        said.push(say!(
            "{items} that a search would miss",
            "{items} für die Suche nicht auffindbar",
            items = items_text(unfindable)
        ));
    }
    let named = |which: fn(&ScopeFault) -> bool| {
        let names: Vec<&str> = found
            .scopes
            .iter()
            .filter(|s| which(s))
            .map(|s| {
                if is_patient(&s.scope) {
                    word!("a full chart", "eine vollständige Akte")
                } else {
                    s.scope.as_str()
                }
            })
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = named(|s| s.unreadable) {
        said.push(say!(
            "not to be read to the end: {names}",
            "nicht bis zum Ende lesbar: {names}"
        ));
    }
    if let Some(names) = named(|s| s.differs && !s.unreadable) {
        said.push(say!(
            "not what the server sent: {names}",
            "nicht das, was der Server gesendet hat: {names}"
        ));
    }
    let text = said.join("; ");
    if synchronises {
        say!(
            "{text}. It is fetched anew as soon as the server answers",
            "{text}. Es wird neu geladen, sobald der Server antwortet"
        )
    } else {
        say!(
            "{text}. Nothing is fetched by this program: check it in the window, which fetches it anew, or run vitrine-cli cache renew",
            "{text}. Dieses Programm lädt nichts: im Fenster prüfen, das neu lädt, oder vitrine-cli cache renew ausführen"
        )
    }
}

/// What people recorded here and is not in the record: nobody else has it.
fn entries(station: &Station) -> Part {
    let (ok, said) = match entry::pending(station, None) {
        Ok(pending) if pending.is_empty() => {
            let none = || {
                say!(
                    "nothing is kept that the record does not have",
                    "hier liegt nichts, was nicht in der Akte steht"
                )
            };
            (true, Both::of(none))
        }
        Ok(pending) => {
            let n = pending.len() as u64;
            let some = || say!("{items} can be read", "{items} lesbar", items = items_text(n));
            (true, Both::of(some))
        }
        Err(e) => {
            station.alarms.raise(Alarm::EntriesUnreadable);
            (
                false,
                Both::of(|| say!("cannot be read: {e}", "nicht lesbar: {e}")),
            )
        }
    };
    Part {
        name: What::Entries,
        ok,
        said,
    }
}

/// The self-test, in two parts.
fn emergency(station: &Station) -> [Part; 2] {
    let test = selftest::run(station);
    let chain = test.checks.iter().find(|c| c.name == "audit chain");
    let failed = test
        .checks
        .iter()
        .filter(|c| !c.ok && matches!(c.name, "keys" | "pin" | "audit row" | "card" | "search" | "staff"))
        .map(|c| &c.both);
    let ok = failed.clone().next().is_none();
    [
        Part {
            name: What::Log,
            ok: chain.is_some_and(|c| c.ok),
            said: chain.map_or_else(
                || Both::of(|| say!("was not looked at", "nicht geprüft")),
                |c| c.both.clone(),
            ),
        },
        Part {
            name: What::Glass,
            ok,
            said: if ok {
                Both::of(|| {
                    say!(
                        "PIN, log and one card were gone through: {ms:.0} ms, nothing was shown",
                        "PIN, Protokoll und eine Karte wurden durchlaufen: {ms:.0} ms, nichts wurde angezeigt",
                        ms = test.emergency_ms
                    )
                })
            } else {
                Both::joined(failed, " ")
            },
        },
    ]
}

fn items_text(n: u64) -> String {
    if n == 1 {
        say!("1 item", "1 Datensatz")
    } else {
        say!("{n} items", "{n} Datensätze")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    #[test]
    fn what_was_found_is_kept_in_english_and_shown_in_the_language_spoken() {
        let part = Part {
            name: What::Log,
            ok: true,
            said: speaking(Language::German, || Both::of(|| items_text(2))),
        };
        let kept = serde_json::to_string(&part).unwrap();
        assert_eq!(
            kept,
            r#"{"name":"Access log","ok":true,"text":"2 items","german":"2 Datensätze"}"#
        );
        // As a version kept it that spoke English alone.
        let old = r#"{"name":"Breaking the glass","ok":false,"text":"sign in"}"#;
        let old: Part = serde_json::from_str(old).unwrap();
        speaking(Language::German, || {
            assert_eq!(
                (part.name.words(), part.said.text()),
                ("Zugriffsprotokoll", "2 Datensätze".to_owned())
            );
            assert_eq!(
                (old.name.words(), old.said.text()),
                ("Notfallzugriff", "sign in".to_owned())
            );
        });
    }
}
