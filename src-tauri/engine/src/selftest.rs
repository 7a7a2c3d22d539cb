//! The self-test: could this workstation open its essentials and write its audit log right now?
//!
//! It reads one real card to the last byte and shows nothing of it. Run by IT, by drills and once a day.

use crate::clock::Stopwatch;
use crate::keys::{hash_pin, verify_pin};
use crate::outbox::read_head;
use crate::station::Station;
use crate::{EngineError, entropy};
use serde::Serialize;
use std::collections::BTreeMap;
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Purpose};

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

fn check(name: &'static str, run: impl FnOnce() -> Result<String, EngineError>) -> Check {
    let watch = Stopwatch::start();
    let done = run();
    let ms = watch.ms();
    match done {
        Ok(text) => Check {
            name,
            ok: true,
            text,
            ms,
        },
        Err(e) => Check {
            name,
            ok: false,
            text: e.to_string(),
            ms,
        },
    }
}

/// Runs the self-test.
pub(crate) fn run(station: &Station) -> SelfTest {
    let mut checks = vec![
        check("keys", || {
            Ok(format!(
                "opened by the {} sealer: {}",
                station.sealer.kind().text(),
                station.sealer.properties().note
            ))
        }),
        check("pin", pin),
        check("audit row", || audit_row(station)),
        check("card", || card(station)),
        check("search", || search(station)),
        check("audit chain", || chain(station)),
        check("staff", || staff(station)),
        check("clock", || {
            if station.clock.verified() {
                Ok("verified against the server".to_owned())
            } else {
                Ok("not verified: no server heard since the start, or more than 30 s off".to_owned())
            }
        }),
    ];
    checks.push(check("alarms", || match station.alarms.texts() {
        none if none.is_empty() => Ok("none".to_owned()),
        some => Err(EngineError::Usage(some.join(" "))),
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

fn pin() -> Result<String, EngineError> {
    let salt = entropy::bytes::<16>()?;
    let broken = |_| EngineError::Internal("checking a PIN");
    let phc = hash_pin("000000", &salt).map_err(broken)?;
    if verify_pin("000000", &phc).map_err(broken)? {
        Ok("checked (made and verified once)".to_owned())
    } else {
        Err(EngineError::Internal("checking a PIN"))
    }
}

fn audit_row(station: &Station) -> Result<String, EngineError> {
    let at = station.clock.now();
    let entry = AuditEntry {
        access_id: entropy::access_id(at)?,
        at,
        actor: Actor::Device(station.device_id.clone()),
        device: Some(station.device_id.clone()),
        action: "self-test".to_owned(),
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
        .map_err(|e| EngineError::AuditFailed(e.to_string()))?;
    Ok(format!(
        "row {} is durable",
        receipts.first().map_or(0, vitrine_access::Receipt::seq)
    ))
}

fn card(station: &Station) -> Result<String, EngineError> {
    match station.essentials.probe()? {
        Some(bytes) => Ok(format!(
            "one card of {bytes} bytes was read whole; nothing of it was shown"
        )),
        None => Err(EngineError::Usage(format!(
            "no card is on this workstation. {}",
            station.synced_text()
        ))),
    }
}

fn search(station: &Station) -> Result<String, EngineError> {
    station.essentials.by_term("mselftest")?;
    Ok(format!(
        "{} patients can be searched",
        station.essentials.patients()?
    ))
}

fn chain(station: &Station) -> Result<String, EngineError> {
    let device = station.device().device.clone();
    let sealed = read_head(&station.profile.audit_head(), &station.key, &device)?;
    let head = station.outbox.verify(sealed)?;
    Ok(format!("whole up to row {}", head.seq))
}

fn staff(station: &Station) -> Result<String, EngineError> {
    match station.essentials.scope("dir")?.filter(|s| s.complete) {
        Some(s) if s.items > 0 => Ok(format!("{} people can identify themselves here", s.items)),
        _ => Err(EngineError::Usage(format!(
            "the staff list is not on this workstation: nobody could break the glass. {}",
            station.synced_text()
        ))),
    }
}
