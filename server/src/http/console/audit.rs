//! Rows of the audit log, by patient, person, workstation, act and time.
//!
//! Lives here: reading what is asked. Never here: the search and its audit row (`ops::look`), whether the chains are whole (`chains`).
//! Called by the router.

use super::No;
use super::door::Reader;
use crate::app::App;
use crate::clock;
use crate::ops::look;
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use vitrine_access::action::ReadAudit;
use vitrine_clinical::{DeviceId, PatientId, UtcMs};
use vitrine_store::audit_find::AuditQuery;

/// Rows of one answer.
const SHOWN: usize = 100;

/// What is asked; times in ms since 1970 UTC. An empty field asks for nothing.
#[derive(Deserialize)]
pub struct Asked {
    patient: Option<String>,
    user: Option<String>,
    device: Option<String>,
    action: Option<String>,
    from: Option<i64>,
    until: Option<i64>,
    before: Option<String>,
}

impl Asked {
    fn query(self) -> Result<AuditQuery, No> {
        let given = |text: Option<String>| text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let patient = given(self.patient).map(PatientId::new).transpose();
        let device = given(self.device).map(DeviceId::new).transpose();
        let before = given(self.before).map(|b| b.parse()).transpose();
        Ok(AuditQuery {
            patient: patient.map_err(|e| No::bad(&format!("patient: {e}.")))?,
            user: given(self.user),
            device: device.map_err(|e| No::bad(&format!("device: {e}.")))?,
            action: given(self.action),
            from: self.from.map(UtcMs),
            until: self.until.map(UtcMs),
            before: before.map_err(|_| No::bad("before is the next of an answer."))?,
            limit: SHOWN,
        })
    }
}

/// The rows asked for, newest first, as [`vitrine_wire::console::ConsoleAudit`].
///
/// # Errors
/// [`No`].
pub async fn list(
    State(app): State<Arc<App>>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, No> {
    let permit = reader.permit::<ReadAudit>(&app).await?;
    Ok(Json(
        look::look(&*app.store, permit, asked.query()?, clock::now()).await?,
    ))
}
