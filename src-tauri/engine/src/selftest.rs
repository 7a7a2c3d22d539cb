//! The self-test: could this workstation open its essentials and write its audit log right now?
//!
//! It reads one real card to the last byte and shows nothing of it. Run by IT, by drills and once a day.

use crate::clock::Stopwatch;
use crate::error::store_words;
use crate::keys::{self, hash_pin, verify_pin};
use crate::outbox::{not_ours, read_head};
use crate::station::Station;
use crate::swap::Swap;
use crate::{EngineError, entropy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Kind, Purpose};
use vitrine_clinical::language::{Language, speaking, spoken};
use vitrine_clinical::say;
use vitrine_store::StoreError;

/// A text in each language: what is kept is English, and may be read here after another language was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Both {
    #[serde(rename = "text")]
    english: String,
    /// Empty where it was kept by a version that spoke English alone.
    #[serde(default)]
    german: String,
}

impl Both {
    /// What `says` says in each language.
    pub(crate) fn of(says: impl Fn() -> String) -> Self {
        Self {
            english: speaking(Language::English, &says),
            german: speaking(Language::German, &says),
        }
    }

    /// Some of them after one another.
    pub(crate) fn joined<'a>(all: impl Iterator<Item = &'a Self> + Clone, between: &str) -> Self {
        let of = |text: fn(&'a Self) -> &'a str| all.clone().map(text).collect::<Vec<_>>().join(between);
        Self {
            english: of(|b| &b.english),
            german: of(|b| &b.german),
        }
    }

    /// In the spoken language.
    pub(crate) fn text(&self) -> String {
        match spoken() {
            Language::German if !self.german.is_empty() => self.german.clone(),
            Language::Pseudo => format!("⟦{}⟧", self.english),
            _ => self.english.clone(),
        }
    }
}

/// What does not work.
struct Fault(Both);

impl From<EngineError> for Fault {
    fn from(e: EngineError) -> Self {
        Self(Both::of(|| e.to_string()))
    }
}
impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        EngineError::from(e).into()
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// It works.
    pub ok: bool,
    /// What was found, without PHI.
    pub text: String,
    /// How long it took, ms.
    pub ms: f64,
    /// The text in each language.
    #[serde(skip)]
    pub(crate) both: Both,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    /// Every check works.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
    /// PIN, audit rows and card together, as breaking the glass would take, ms.
    pub emergency_ms: f64,
}

fn check(name: &'static str, run: impl FnOnce() -> Result<Both, Fault>) -> Check {
    let watch = Stopwatch::start();
    let done = run();
    let ms = watch.ms();
    let (ok, both) = match done {
        Ok(both) => (true, both),
        Err(Fault(both)) => (false, both),
    };
    Check {
        name,
        ok,
        text: both.text(),
        ms,
        both,
    }
}

/// Runs the self-test.
pub(crate) fn run(station: &Station) -> SelfTest {
    let mut checks = vec![
        check("keys", || {
            let fault = keys::tpm_fault(station.sealer.kind(), &station.options.tpm);
            Ok(Both::of(|| {
                say!(
                    "opened by the {kind} sealer in {ms:.0} ms when the workstation was opened: {note}{why}",
                    "geöffnet mit {kind} in {ms:.0} ms beim Öffnen des Arbeitsplatzes: {note}{why}",
                    kind = station.sealer.kind().text(),
                    ms = station.unsealed_ms,
                    note = station.sealer.properties().note,
                    why = keys::why_not_tpm(station.sealer.kind(), fault.as_ref())
                )
            }))
        }),
        check("pin", pin),
        check("audit row", || audit_row(station)),
        check("card", || card(station)),
        check("search", || search(station)),
        check("audit chain", || chain(station)),
        check("staff", || staff(station)),
        check("clock", || {
            let verified = station.clock.verified();
            Ok(Both::of(|| {
                if verified {
                    say!("verified against the server", "mit dem Server verglichen")
                } else {
                    say!(
                        "not verified: no server heard since the start, or more than 30 s off",
                        "nicht geprüft: seit dem Start kein Server erreicht, oder mehr als 30 s Abweichung"
                    )
                }
            }))
        }),
    ];
    // Not this program's to change: said, and no fault of the workstation, as a weak sealer is none.
    checks.push(check("swap", || {
        let swap = Swap::of_this_machine();
        Ok(Both::of(|| swap.text()))
    }));
    checks.push(check("alarms", || match station.alarms.all() {
        none if none.is_empty() => Ok(Both::of(|| say!("none", "keine"))),
        some => Err(Fault(Both::of(|| {
            let texts: Vec<&str> = some.iter().map(|a| a.text()).collect();
            texts.join(" ")
        }))),
    }));
    let ok = checks.iter().all(|c| c.ok);
    let emergency_ms = checks
        .iter()
        .filter(|c| matches!(c.name, "pin" | "audit row" | "card"))
        .map(|c| c.ms)
        .sum();
    let result = SelfTest {
        ok,
        checks,
        emergency_ms,
    };
    let note =
        serde_json::json!({"ok": ok, "at_ms": station.clock.now().0, "emergency_ms": emergency_ms.round()});
    let _ = station.essentials.set_note("selftest", &note.to_string());
    station.command(crate::link::Command::OutboxChanged);
    result
}

fn pin() -> Result<Both, Fault> {
    let salt = entropy::bytes::<16>()?;
    let broken = |_| EngineError::Internal("checking a PIN");
    let phc = hash_pin("000000", &salt).map_err(broken)?;
    if verify_pin("000000", &phc).map_err(broken)? {
        Ok(Both::of(|| {
            say!(
                "checked (made and verified once)",
                "geprüft (einmal erzeugt und verglichen)"
            )
        }))
    } else {
        Err(EngineError::Internal("checking a PIN").into())
    }
}

fn audit_row(station: &Station) -> Result<Both, Fault> {
    let at = station.clock.now();
    let entry = AuditEntry {
        access_id: entropy::access_id(at)?,
        at,
        actor: Actor::Device(station.device_id.clone()),
        device: Some(station.device_id.clone()),
        action: Kind::SelfTest.name().to_owned(),
        purpose: Purpose::Operations,
        decision: Decision::Permit,
        rule: "device-self-test".to_owned(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: BTreeMap::new(),
    };
    let receipts = station
        .outbox
        .append(&[entry], None)
        .map_err(|e| Fault(Both::of(|| EngineError::AuditFailed(store_words(&e)).to_string())))?;
    let row = receipts.first().map_or(0, vitrine_access::Receipt::seq);
    Ok(Both::of(|| {
        say!("row {row} is durable", "Zeile {row} ist dauerhaft gespeichert")
    }))
}

fn card(station: &Station) -> Result<Both, Fault> {
    match station.essentials.probe()? {
        Some(bytes) => Ok(Both::of(|| {
            say!(
                "one card of {bytes} bytes was read whole; nothing of it was shown",
                "eine Karte von {bytes} Byte wurde ganz gelesen; nichts davon wurde angezeigt"
            )
        })),
        None => Err(Fault(Both::of(|| {
            say!(
                "no card is on this workstation. {synced}",
                "an diesem Arbeitsplatz ist keine Karte. {synced}",
                synced = station.synced_text()
            )
        }))),
    }
}

fn search(station: &Station) -> Result<Both, Fault> {
    station.essentials.by_term("mselftest")?;
    let n = station.essentials.patients()?;
    Ok(Both::of(|| {
        say!(
            "{n} patients can be searched",
            "Patienten, die die Suche findet: {n}"
        )
    }))
}

fn chain(station: &Station) -> Result<Both, Fault> {
    let device = station.device().device.clone();
    let sealed = read_head(&station.profile.audit_head(), &station.key, &device).map_err(|e| match e {
        EngineError::Unsafe(_) => Fault(Both::of(not_ours)),
        other => other.into(),
    })?;
    let row = station.outbox.verify(sealed)?.seq;
    Ok(Both::of(|| {
        say!("whole up to row {row}", "lückenlos bis Zeile {row}")
    }))
}

fn staff(station: &Station) -> Result<Both, Fault> {
    match station.essentials.scope("dir")?.filter(|s| s.complete) {
        Some(s) if s.items > 0 => Ok(Both::of(|| {
            say!(
                "{n} people can identify themselves here",
                "Personen, die sich hier ausweisen können: {n}",
                n = s.items
            )
        })),
        _ => Err(Fault(Both::of(|| {
            say!(
                "the staff list is not on this workstation: nobody could break the glass. {synced}",
                "die Personalliste ist nicht an diesem Arbeitsplatz: ein Notfallzugriff wäre niemandem möglich. {synced}",
                synced = station.synced_text()
            )
        }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_english_and_is_read_in_the_language_spoken_later() {
        let both = |word: &'static str, wort: &'static str| {
            Both::of(move || match spoken() {
                Language::German => wort.to_owned(),
                _ => word.to_owned(),
            })
        };
        let one = speaking(Language::German, || both("whole", "unversehrt"));
        assert_eq!(
            serde_json::to_string(&one).unwrap(),
            r#"{"text":"whole","german":"unversehrt"}"#
        );
        assert_eq!(one.text(), "whole");
        let both = [one.clone(), both("row", "Zeile")];
        let joined = Both::joined(both.iter(), " ");
        assert_eq!(joined.text(), "whole row");
        assert_eq!(speaking(Language::German, || joined.text()), "unversehrt Zeile");
        // Of before there was German.
        let old: Both = serde_json::from_str(r#"{"text":"whole"}"#).unwrap();
        assert_eq!(speaking(Language::German, || old.text()), "whole");
    }
}
