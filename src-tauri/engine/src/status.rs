//! The status strip, the lock screen, and what `vitrine-cli status --json` prints.
//!
//! Never here: PHI. Called by the facade, the link (the device's report) and the command line.

use crate::EngineError;
use crate::cache::{self, scope_digest};
use crate::clock::Clock;
use crate::critical;
use crate::drill;
use crate::horizon;
use crate::layouts;
use crate::outbox::Alarm;
use crate::reliance;
use crate::session::{self, initials};
use crate::station::Station;
use serde_json::{Map, Value, json};
use vitrine_clinical::language::{Language, speaking};
use vitrine_clinical::{UtcMs, format, say, word};
use vitrine_store_sqlcipher::workstation::EntryTally;
use vitrine_wire::view::{
    DataAge, DeviceState, LockView, ProviderView, RecentUserView, SessionView, StatusView,
};

/// The strip that is always on the screen.
pub(crate) fn status_view(station: &Station) -> StatusView {
    let clock = &station.clock;
    let now = clock.now();
    let (age, as_of) = station.fresh.feed(station.stored_as_of(), clock);
    let tally = station.outbox.tally().unwrap_or_default();
    let entries = station.outbox.entry_tally().unwrap_or_else(|e| {
        tracing::error!(error = %e, "what was recorded here cannot be counted");
        station.alarms.raise(Alarm::EntriesUnreadable);
        EntryTally::default()
    });
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let device = station.device();
    let waiting = tally.audit.saturating_add(tally.grants);
    let results = critical::status(station);
    StatusView {
        age,
        sentence: sentence(age, as_of, station),
        ward: device.ward.clone(),
        workstation: device.name.clone(),
        clock_text: format::date_time_seconds(now, clock.zone_minutes(now)),
        clock_warning: clock_warning(clock),
        outbox: count(waiting),
        unsent: count(entries.queued),
        rejected: count(entries.rejected),
        outbox_oldest_text: tally
            .oldest
            .map(|at| format::data_age(now.since(UtcMs(at)).max(0))),
        critical: results.waiting,
        critical_text: results.text,
        critical_due_text: results.due,
        patients: station
            .essentials
            .patients()
            .map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        loading_text: station.fresh.loading().map(|(done, of)| {
            say!(
                "Still loading — {done} of {of}",
                "Wird noch geladen — {done} von {of}"
            )
        }),
        alarms: alarms(station),
        demo: device.demo,
        drill_text: drill::text(station),
    }
}

/// The alarms that are raised, and the end of the offline horizon where that is near.
fn alarms(station: &Station) -> Vec<String> {
    let mut texts = station.alarms.texts();
    texts.extend(horizon::left(station).and_then(horizon::Left::text));
    texts
}

/// What is wrong with the times on this workstation.
fn clock_warning(clock: &Clock) -> Option<String> {
    let zone = word!(
        "times are in UTC: this workstation's time zone cannot be read",
        "Zeiten sind in UTC: die Zeitzone dieses Arbeitsplatzes ist nicht lesbar"
    );
    let wrong: Vec<&str> = [
        (clock.verified(), word!("clock not verified", "Uhr nicht geprüft")),
        (clock.zone_known(), zone),
    ]
    .into_iter()
    .filter_map(|(good, text)| (!good).then_some(text))
    .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

fn sentence(age: DataAge, as_of: Option<i64>, station: &Station) -> String {
    let words = cache::words(age, as_of, &station.clock);
    match age {
        DataAge::Live => say!("LIVE — {words}.", "LIVE — {words}."),
        DataAge::Delayed => say!("DELAYED — data {words}.", "VERZÖGERT — Daten: {words}."),
        DataAge::Partial => say!(
            "NOT FULLY LOADED — treat what is missing as unknown.",
            "NICHT VOLLSTÄNDIG GELADEN — was fehlt, als unbekannt behandeln."
        ),
        DataAge::Stale => say!(
            "STALE — data {words}. Newer changes may be missing.",
            "VERALTET — Daten: {words}. Neuere Änderungen können fehlen."
        ),
        DataAge::Offline | DataAge::Old if as_of.is_none() => say!(
            "OFFLINE — this workstation has not been synchronised yet.",
            "OFFLINE — dieser Arbeitsplatz wurde noch nicht synchronisiert."
        ),
        DataAge::Offline => say!(
            "OFFLINE — data {words}. Others' changes are not shown.",
            "OFFLINE — Daten: {words}. Änderungen anderer werden nicht angezeigt."
        ),
        DataAge::Old => say!(
            "OFFLINE, OLD DATA — data {words}. Others' changes are not shown.",
            "OFFLINE, ALTE DATEN — Daten: {words}. Änderungen anderer werden nicht angezeigt."
        ),
        DataAge::Unavailable | DataAge::NotOnThisWorkstation => say!(
            "No data can be shown on this workstation.",
            "An diesem Arbeitsplatz können keine Daten angezeigt werden."
        ),
    }
}

/// The lock screen of an enrolled workstation.
pub(crate) fn lock_view(station: &Station) -> LockView {
    let device = station.device();
    let recent = session::recent_users(station).into_iter().filter_map(|user| {
        let dir = session::dir_user(station, &user)
            .ok()
            .flatten()
            .filter(|d| !d.disabled)?;
        let person = session::Person::of_dir(&dir).ok()?;
        Some(RecentUserView {
            user,
            initials: initials(&dir.display),
            role: session::role_text(person.role).to_owned(),
        })
    });
    LockView {
        ward: device.ward.clone(),
        workstation: device.name.clone(),
        device_state: DeviceState::Enrolled,
        device_text: horizon::left(station).and_then(horizon::Left::text),
        recent_users: recent.collect(),
        provider: session::ways::provider(station).map(|p| ProviderView {
            name: p.name,
            required: p.required,
        }),
        badge_text: session::ways::badge_key(station).map(|_| station.reader().text()),
    }
}

/// The lock screen of a workstation that cannot be used.
pub(crate) fn closed_view(e: &EngineError) -> LockView {
    let device_state = match e {
        EngineError::NotEnrolled => DeviceState::NotEnrolled,
        EngineError::Revoked => DeviceState::Revoked,
        _ => DeviceState::KeysMissing,
    };
    LockView {
        ward: String::new(),
        workstation: String::new(),
        device_state,
        device_text: Some(e.to_string()),
        recent_users: Vec::new(),
        provider: None,
        badge_text: None,
    }
}

/// What the device tells the server of itself (JSON text), in English.
pub(crate) fn report(station: &Station) -> String {
    speaking(Language::English, || report_words(station))
}

fn report_words(station: &Station) -> String {
    let selftest = station
        .essentials
        .note("selftest")
        .ok()
        .flatten()
        .and_then(|t| serde_json::from_str::<Value>(&t).ok());
    json!({
        "app": env!("CARGO_PKG_VERSION"),
        "key_protection": station.sealer.kind().text(),
        "selftest": selftest,
        "patients": station.essentials.patients().unwrap_or(0),
        "alarms": station.alarms.texts(),
    })
    .to_string()
}

/// The whole state for IT: epoch, positions, lag, counts, outbox, a digest for each scope.
///
/// # Errors
/// [`EngineError::Damaged`] when the state of the scopes cannot be read.
pub(crate) fn status_json(station: &Station) -> Result<Value, EngineError> {
    let view = status_view(station);
    let now = station.clock.now();
    let mut states = station.essentials.scopes()?;
    if let Some(r) = station.records() {
        states.extend(r.scopes()?);
    }
    let mut scopes = Map::new();
    let mut counts = Map::new();
    for s in &states {
        let section = station
            .fresh
            .section(&s.name, Some((s.complete, s.as_of)), &station.clock);
        scopes.insert(
            s.name.clone(),
            json!({
                "complete": s.complete, "epoch": s.epoch, "pos": s.pos, "rev": s.rev, "items": s.items,
                "digest": scope_digest(&s.digest).hex(), "as_of_ms": section.as_of_ms, "age": section.age,
                "lag_s": section.as_of_ms.map(|at| now.since(UtcMs(at)).max(0) / 1_000),
                "staged": s.staged.as_ref().map(|g| json!({"items": g.items, "pos": g.pos})),
            }),
        );
        let kind = s.name.split(':').next().unwrap_or_default();
        let sum = counts
            .get(kind)
            .and_then(Value::as_u64)
            .unwrap_or(0)
            .saturating_add(s.items);
        counts.insert(kind.to_owned(), sum.into());
    }
    let tally = station.outbox.tally()?;
    let entries = station.outbox.entry_tally()?;
    // What cannot be counted is not told to be none.
    let images = station.imaging.shared.store().and_then(|s| s.tally().ok());
    let images = images.map(|(patients, previews)| json!({"patients": patients, "previews": previews}));
    let newest = states.iter().filter(|s| s.complete).max_by_key(|s| s.pos);
    let (_, as_of) = station.fresh.feed(station.stored_as_of(), &station.clock);
    let reliance = reliance::view(station);
    let (rules, fault) = station.layouts.state();
    // Before the lock on the device: the layout asks for it as well.
    let signed_in = workstation_session(station);
    let device = station.device();
    let parts: Map<_, _> = reliance
        .parts
        .iter()
        .map(|p| {
            (
                p.id.clone(),
                json!({"state": p.state, "text": p.text, "todo": p.todo}),
            )
        })
        .collect();
    Ok(json!({
        "reliance": {"verdict": reliance.verdict, "sentence": reliance.sentence, "parts": parts},
        "device": device.device, "workstation": device.name, "ward": device.ward, "site": device.site,
        "server": device.server, "demo": device.demo, "state": "enrolled",
        "key_protection": station.sealer.kind().text(),
        "epoch": newest.map(|s| s.epoch.clone()), "cursor": newest.map(|s| s.pos),
        "lag_s": as_of.map(|at| now.since(UtcMs(at)).max(0) / 1_000),
        "age": view.age, "sentence": view.sentence, "as_of_ms": as_of,
        "clock": {"offset_ms": station.clock.offset_ms(), "verified": station.clock.verified(), "zone_known": station.clock.zone_known()},
        "counts": counts, "patients": view.patients, "images": images,
        "outbox": {
            "audit": tally.audit, "grants": tally.grants, "total": tally.audit + tally.grants,
            "acknowledged": tally.acked, "last": tally.last,
            "oldest_ms": tally.oldest, "oldest_s": tally.oldest.map(|at| now.since(UtcMs(at)).max(0) / 1_000),
        },
        "entries": {
            "queued": entries.queued, "rejected": entries.rejected, "oldest_ms": entries.oldest,
        },
        "critical": {"waiting": view.critical, "text": view.critical_text, "due": view.critical_due_text},
        "oldest_unsent_audit_row": (tally.audit > 0).then(|| tally.acked + 1),
        "scopes": scopes,
        "digests": states.iter().filter(|s| s.complete).map(|s| (s.name.clone(), Value::from(scope_digest(&s.digest).hex()))).collect::<Map<_, _>>(),
        "alarms": view.alarms, "loading": view.loading_text,
        "layouts": {"rules": rules, "fault": fault},
        "drill": drill::json(station),
        "signed_in": signed_in,
    }))
}

fn workstation_session(station: &Station) -> Option<SessionView> {
    let session = station.session();
    session
        .as_ref()
        .map(|s| s.view(layouts::view(station, &s.person)))
}
