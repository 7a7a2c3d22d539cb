//! `POST /import`: one file of an import, sent by `vitrine-server import --server`.

use super::bearer::FhirCaller;
use super::refusal::FhirRefusal;
use crate::app::{App, NoAccess};
use crate::identity::sessions::Caller;
use crate::ingest::hl7::Intake;
use crate::ingest::import::{Importer, Permits};
use crate::ingest::source;
use async_trait::async_trait;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use vitrine_access::Permit;
use vitrine_access::action::ImportData;
use vitrine_fhir::IssueCode;
use vitrine_store::StoreError;

/// Permits for a caller who was allowed once at the door.
pub(super) struct OfCaller {
    pub app: Arc<App>,
    pub caller: Caller,
}

#[async_trait]
impl Permits for OfCaller {
    async fn permit(&self) -> Result<Permit<ImportData>, StoreError> {
        let request = self.app.request(&self.caller, None, None).await?;
        self.app.decide::<ImportData>(request).await.map_err(|e| match e {
            NoAccess::Store(e) => e,
            NoAccess::Denied(d) => StoreError::Refused(d.text.to_owned()),
        })
    }
}

/// Imports the body; its name comes in `X-File-Name`, percent-encoded, and is not logged.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn import(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<crate::ingest::import::Counts>, FhirRefusal> {
    let request = app.request(&caller, None, None).await?;
    let _allowed = app.decide::<ImportData>(request).await?;
    let name = headers
        .get("x-file-name")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("body.json");
    let name = super::fhir::Query::parse(name)
        .0
        .into_iter()
        .next()
        .map_or_else(|| "body.json".to_owned(), |(n, _)| n);
    let permits = Arc::new(OfCaller {
        app: app.clone(),
        caller,
    });
    if source::are_hl7(&name, &body) {
        let intake = Intake::new(app.store.clone(), permits);
        return Ok(Json(intake.file(&app.config.mllp.feed, &body).await?));
    }
    let importer = Importer::new(app.store.clone(), permits);
    let mut all = Vec::new();
    let unpacked = tokio::task::block_in_place(|| source::units_of(&name, &body, |units| all.push(units)));
    let mut counts = crate::ingest::import::Counts::default();
    for units in all {
        counts.add(importer.take(units).await?);
    }
    counts.add(importer.finish().await?);
    if let Err(reason) = unpacked {
        if reason.contains("larger than") {
            return Err(FhirRefusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                IssueCode::TooLong,
                "",
                reason,
            ));
        }
        counts.add(importer.unreadable(name, &reason).await?);
    }
    Ok(Json(counts))
}
