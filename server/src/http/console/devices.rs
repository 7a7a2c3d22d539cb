//! Workstations: what they say of themselves, codes for enrolment in force, revoking.
//!
//! Lives here: the two routes and their audit rows. Never here: making codes, which are told once on the command line.
//! Called by the router.

use super::door::Reader;
use super::{No, body};
use crate::app::App;
use crate::clock;
use crate::identity::devices::CODE_MS;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::Value;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::ManageDevices;
use vitrine_clinical::DeviceId;
use vitrine_store::{DeviceRow, DeviceState};
use vitrine_wire::console::{ConsoleCode, ConsoleDevice, ConsoleDevices, ConsoleRevocation};

/// Longest reason, in characters.
const LONGEST: usize = 500;

/// All workstations.
///
/// # Errors
/// [`No`].
pub async fn list(State(app): State<Arc<App>>, reader: Reader) -> Result<Json<ConsoleDevices>, No> {
    let permit = reader.permit::<ManageDevices>(&app).await?.noted("use", "list");
    app.store.append(permit.entry(Disclosure::default())).await?;
    Ok(Json(all(&app).await?))
}

/// Revokes one: its connections end, and it may only receive the order to wipe.
///
/// # Errors
/// [`No`].
pub async fn revoke(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Json<ConsoleDevices>, No> {
    let asked: ConsoleRevocation = body(&bytes)?;
    let permit = reader.permit::<ManageDevices>(&app).await?;
    let reason = asked.reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST {
        return Err(No::bad("Say why, in 1 to 500 characters."));
    }
    let unknown = || No::not_found("There is no such workstation.");
    let device = DeviceId::new(id).map_err(|_| unknown())?;
    let row = app.store.device(&device).await?.ok_or_else(unknown)?;
    if row.state == DeviceState::Revoked {
        return Err(No::refused("The workstation is revoked already."));
    }
    let permit = permit
        .noted("device", device.as_str())
        .noted("change", "revoke")
        .noted("reason", reason);
    app.store.revoke_device(&permit, &device).await?;
    app.access_changed();
    Ok(Json(all(&app).await?))
}

async fn all(app: &App) -> Result<ConsoleDevices, No> {
    let now = clock::now();
    let devices = app.store.devices().await?;
    let codes = app.store.enrol_codes(now).await?;
    let codes = codes.into_iter().map(|c| ConsoleCode {
        ward: c.ward.to_string(),
        made_ms: c.until.plus_ms(-CODE_MS).0,
        ends_ms: c.until.0,
    });
    Ok(ConsoleDevices {
        now_ms: now.0,
        devices: devices.iter().map(shown).collect(),
        codes: codes.collect(),
    })
}

fn shown(d: &DeviceRow) -> ConsoleDevice {
    let report = d
        .report
        .as_deref()
        .and_then(|r| serde_json::from_str::<Value>(r).ok());
    let text = |key: &str| report.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let state = match d.state {
        DeviceState::Active => "active",
        DeviceState::Revoked => "revoked",
    };
    ConsoleDevice {
        id: d.id.as_str().to_owned(),
        name: d.name.clone(),
        ward: d.ward.to_string(),
        state: state.to_owned(),
        enrolled_ms: d.enrolled.0,
        seen_ms: d.last_seen.map(|at| at.0),
        version: text("app"),
        report: report.as_ref().map(words).filter(|w| !w.is_empty()),
        revoked_ms: None,
    }
}

/// What a workstation says of itself, in short: "keys: TPM · 24 emergency cards · self-test passed".
fn words(report: &Value) -> String {
    let mut out = Vec::new();
    if let Some(keys) = report["key_protection"].as_str() {
        out.push(format!("keys: {keys}"));
    }
    match report["patients"].as_u64() {
        Some(1) => out.push("1 emergency card".to_owned()),
        Some(n) => out.push(format!("{n} emergency cards")),
        None => {}
    }
    match report["selftest"]["ok"].as_bool() {
        Some(true) => out.push("self-test passed".to_owned()),
        Some(false) => out.push("SELF-TEST FAILED".to_owned()),
        None => {}
    }
    let alarms = report["alarms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    out.extend(alarms.map(|a| format!("alarm: {a}")));
    out.join(" · ")
}
