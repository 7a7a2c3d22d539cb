//! The check of everything that is stored here: pages, items, digests, the access log, and whether the glass could be broken.
//!
//! Lives here: running it, one at a time, beside everything else and giving way to it; what it found, kept for the next
//! start. What does not hold is fetched anew; what cannot be fetched (the log, entries) is said. Never here: the words of the
//! status screen (`reliance`), SQL.
//! Called by the facade.

use crate::EngineError;
use crate::entry;
use crate::link::Command;
use crate::outbox::Alarm;
use crate::selftest;
use crate::station::Station;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vitrine_clinical::{UtcMs, format};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::Verified;
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
                0 => "the pages are read first".to_owned(),
                n => items_text(n) + " read",
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
    name: String,
    ok: bool,
    text: String,
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
                    name: p.name.clone(),
                    ok: p.ok,
                    text: p.text.clone(),
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
        return Err(EngineError::Usage(
            "the stored data are being checked already: wait for it".to_owned(),
        ));
    }
    let _running = Running(state);
    state.items.store(0, Ordering::Relaxed);
    station.tell_status();
    let mut wrong = BTreeSet::new();
    let mut parts = vec![scopes(
        station,
        "Emergency cards, boards, staff list",
        true,
        &mut wrong,
        |go_on| station.essentials.verify(go_on),
    )?];
    if let Some(records) = station.records() {
        parts.push(scopes(
            station,
            "Full charts kept for who is signed in",
            false,
            &mut wrong,
            |go_on| records.verify(go_on),
        )?);
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
    name: &str,
    essentials: bool,
    wrong: &mut BTreeSet<String>,
    verify: impl FnOnce(&dyn Fn(u64) -> bool) -> Result<Verified, StoreError>,
) -> Result<Part, EngineError> {
    let before = station.integrity.items.load(Ordering::Relaxed);
    let go_on = |n: u64| {
        station.integrity.items.store(before + n, Ordering::Relaxed);
        !*station.closing.borrow()
    };
    let part = |ok, text| Part {
        name: name.to_owned(),
        ok,
        text,
    };
    let found = match verify(&go_on) {
        Ok(found) => found,
        Err(StoreError::Closed) => return Err(StoreError::Closed.into()),
        Err(e) => {
            // A person's full charts are another file: nothing is wrong with the emergency cards.
            if essentials {
                station.damaged(&e);
            }
            return Ok(part(false, format!("cannot be read: {e}")));
        }
    };
    if found.whole() {
        return Ok(part(true, format!("{}, each is whole", items_text(found.items))));
    }
    wrong.extend(found.scopes.iter().map(|s| s.scope.clone()));
    let damaged: u64 = found.scopes.iter().map(|s| s.damaged).sum();
    let unfindable: u64 = found.scopes.iter().map(|s| s.unfindable).sum();
    let mut said = Vec::new();
    if damaged > 0 {
        said.push(format!("{} damaged", items_text(damaged)));
    }
    if unfindable > 0 {
        said.push(format!("{} that a search would miss", items_text(unfindable)));
    }
    let named = |which: fn(&vitrine_store_sqlcipher::workstation::ScopeFault) -> bool| {
        let names: Vec<&str> = found
            .scopes
            .iter()
            .filter(|s| which(s))
            .map(|s| {
                if is_patient(&s.scope) {
                    "a full chart"
                } else {
                    s.scope.as_str()
                }
            })
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = named(|s| s.unreadable) {
        said.push(format!("not to be read to the end: {names}"));
    }
    if let Some(names) = named(|s| s.differs && !s.unreadable) {
        said.push(format!("not what the server sent: {names}"));
    }
    let mut text = said.join("; ");
    if found.scopes.is_empty() {
        text = format!(
            "{} damaged pages or tables; nothing that is shown lies on them. Call IT: the file is to be made anew",
            found.pages.len()
        );
        for page in &found.pages {
            tracing::error!(page, "a page of the stored data does not hold");
        }
    } else {
        text.push_str(if station.synchronises() {
            ". It is fetched anew as soon as the server answers"
        } else {
            ". Nothing is fetched by this program: check it in the window, which fetches it anew, or run vitrine-cli cache renew"
        });
    }
    Ok(part(false, text))
}

/// What people recorded here and is not in the record: nobody else has it.
fn entries(station: &Station) -> Part {
    let (ok, text) = match entry::pending(station, None) {
        Ok(pending) if pending.is_empty() => {
            (true, "nothing is kept that the record does not have".to_owned())
        }
        Ok(pending) => (true, format!("{} can be read", items_text(pending.len() as u64))),
        Err(e) => {
            station.alarms.raise(Alarm::EntriesUnreadable);
            (false, format!("cannot be read: {e}"))
        }
    };
    Part {
        name: "What was recorded here".to_owned(),
        ok,
        text,
    }
}

/// The self-test, in two parts.
fn emergency(station: &Station) -> [Part; 2] {
    let test = selftest::run(station);
    let chain = test.checks.iter().find(|c| c.name == "audit chain");
    let failed: Vec<String> = test
        .checks
        .iter()
        .filter(|c| !c.ok && matches!(c.name, "keys" | "pin" | "audit row" | "card" | "search" | "staff"))
        .map(|c| c.text.clone())
        .collect();
    [
        Part {
            name: "Access log".to_owned(),
            ok: chain.is_some_and(|c| c.ok),
            text: chain.map_or_else(|| "was not looked at".to_owned(), |c| c.text.clone()),
        },
        Part {
            name: "Breaking the glass".to_owned(),
            ok: failed.is_empty(),
            text: if failed.is_empty() {
                format!(
                    "PIN, log and one card were gone through: {:.0} ms, nothing was shown",
                    test.emergency_ms
                )
            } else {
                failed.join(" ")
            },
        },
    ]
}

fn items_text(n: u64) -> String {
    if n == 1 {
        "1 item".to_owned()
    } else {
        format!("{n} items")
    }
}
