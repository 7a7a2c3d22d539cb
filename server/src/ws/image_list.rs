//! The list of a patient's studies for a workstation's strip.

use crate::app::App;
use crate::http::dicomweb::KIND;
use crate::http::refusal::Refused;
use crate::identity::sessions::Caller;
use crate::imaging::study::{number, text};
use axum::http::StatusCode;
use serde_json::Value;
use std::collections::HashMap;
use vitrine_access::action::ReadChart;
use vitrine_clinical::PatientId;
use vitrine_store::imaging::StudyRow;
use vitrine_store::pixels::SeriesPixels;
use vitrine_wire::ErrorCode;
use vitrine_wire::images::{ListedSeries, ListedStudy};

fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Every study of a patient, newest first, and what can be shown of it. Two audit rows: of the index, and of the pixels.
pub(super) async fn list(app: &App, caller: &Caller, patient: &str) -> Result<Vec<ListedStudy>, Refused> {
    let patient = PatientId::new(patient).map_err(|_| {
        let text = "That is no id of a patient.";
        Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text)
    })?;
    let request = app.request(caller, Some(KIND), Some(&patient)).await?;
    let permit = app.decide::<ReadChart>(request.clone()).await?;
    let sealed = app.store.studies(&permit, None).await?;
    let studies = app.open(&permit, sealed).await?;
    let permit = app.decide::<ReadChart>(request).await?;
    let sealed = app.store.pixels(&permit, None).await?;
    let pixels = app.open(&permit, sealed).await?;
    let pixels: HashMap<&str, &SeriesPixels> = pixels.iter().map(|p| (p.series.as_str(), p)).collect();
    Ok(studies.iter().map(|s| listed(s, &pixels)).collect())
}

fn listed(row: &StudyRow, pixels: &HashMap<&str, &SeriesPixels>) -> ListedStudy {
    let header: Value = serde_json::from_slice(&row.header).unwrap_or_default();
    let owned = |tag| text(&header, tag).map(str::to_owned);
    let series = row.series.iter().map(|s| {
        let header: Value = serde_json::from_slice(&s.header).unwrap_or_default();
        let owned = |tag| text(&header, tag).map(str::to_owned);
        let shown = pixels.get(s.uid.as_str());
        ListedSeries {
            uid: s.uid.clone(),
            number: number(&header, "00200011"),
            modality: owned("00080060"),
            description: owned("0008103E"),
            body_part: owned("00180015"),
            instances: count(s.instances),
            ready: shown.map_or(0, |p| count(p.ready)),
            preparing: shown.map_or(0, |p| count(p.preparing)),
            frames: shown.map_or(0, |p| count(p.frames())),
        }
    });
    ListedStudy {
        uid: row.uid.clone(),
        day: row.day,
        time: owned("00080030"),
        description: owned("00081030"),
        accession: owned("00080050"),
        series: series.collect(),
    }
}
