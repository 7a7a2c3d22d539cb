//! DICOMweb (PS3.18): storing, searching and retrieving images, for everybody who is not our own workstation.
//!
//! Lives here: one file for each service, what they share. Never here: the index (the store), files (`imaging`).
//! Called by the router. Metadata comes from the index alone, never from the files.

pub mod bulkdata;
pub mod decodes;
pub mod frames;
pub mod multipart;
pub mod names;
pub mod qido;
mod ranged;
pub mod rendered;
pub(crate) mod shown;
pub mod stow;
pub mod wado;
mod within;

use super::refusal::Refused;
use crate::app::{App, NoAccess};
use crate::identity::sessions::Caller;
use crate::imaging::copies::Absent;
use axum::http::{HeaderMap, StatusCode};
use vitrine_access::Permit;
use vitrine_access::action::ReadChart;
use vitrine_access::policy::Subject;
use vitrine_clinical::PatientId;
use vitrine_store::StoreError;
use vitrine_store::imaging::StudyRow;
use vitrine_wire::ErrorCode;

/// The type of the policy's questions about images.
pub const KIND: &str = "ImagingStudy";
/// The media type of DICOM JSON.
pub const DICOM_JSON: &str = "application/dicom+json";

pub(crate) fn not_found() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "No such images here.")
}

fn bad(text: impl Into<String>) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text.into())
}

/// Refuses what cannot be a UID (PS3.5 §9.1), before anything is looked up.
fn uid(text: &str) -> Result<&str, Refused> {
    let is = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && text.split('.').all(|part| !part.is_empty());
    if is {
        Ok(text)
    } else {
        Err(bad(
            "the address holds something that is no UID: digits and dots, at most 64",
        ))
    }
}

/// Refuses what does not accept DICOM JSON.
fn json_fits(headers: &HeaderMap) -> Result<(), Refused> {
    let fits = |m: &multipart::MediaType| {
        matches!(
            m.name.as_str(),
            "*/*" | "application/*" | "application/json" | DICOM_JSON
        )
    };
    if multipart::accepted(headers).iter().any(fits) {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::NOT_ACCEPTABLE,
        ErrorCode::BadRequest,
        "This is given as application/dicom+json.",
    ))
}

/// A permit for the record of the patient whose study this is. A UID that is of no study here is told to be none before
/// the policy is asked: it is no secret, it names nobody, and there is no patient to decide about.
pub(crate) async fn permit(
    app: &App,
    caller: &Caller,
    study: &str,
) -> Result<(Permit<ReadChart>, PatientId), Refused> {
    let owner = app.store.study_owner(uid(study)?).await?.ok_or_else(not_found)?;
    let request = app.request(caller, Some(KIND), Some(&owner)).await?;
    let client = matches!(request.subject, Subject::Client { .. });
    let through_app = matches!(request.subject, Subject::App { .. });
    match app.decide::<ReadChart>(request).await {
        // A program that may not see the record is not told that it has images.
        Err(NoAccess::Denied(d)) if client && d.by_label() => Err(not_found()),
        // Nor is one that somebody signed in through told that another patient has any.
        Err(NoAccess::Denied(_)) if through_app => Err(not_found()),
        decided => Ok((decided?, owner)),
    }
}

/// A study, written down and opened.
pub(crate) async fn study(app: &App, caller: &Caller, uid: &str) -> Result<StudyRow, Refused> {
    let (permit, _) = permit(app, caller, uid).await?;
    let sealed = app.store.studies(&permit, Some(uid)).await?;
    let found = app.open(&permit, sealed).await?;
    found.into_iter().next().ok_or_else(not_found)
}

/// Whether the index has an attribute at a level of the Study Root model, or above it.
pub(crate) fn is_indexed(level: &str, tag: &str) -> bool {
    use crate::imaging::study::{INSTANCE, SERIES, STUDY};
    let all: &[&[&str]] = match level {
        "STUDY" => &[STUDY],
        "SERIES" => &[STUDY, SERIES],
        _ => &[STUDY, SERIES, INSTANCE],
    };
    all.iter().any(|tags| tags.contains(&tag))
}

/// The configured address of this service; without one only the path.
pub(crate) fn public_base(app: &App) -> String {
    format!("{}/dicomweb", app.config.listen.public_url.trim_end_matches('/'))
}

impl From<Absent> for Refused {
    fn from(e: Absent) -> Self {
        match e {
            Absent::Store(e) => NoAccess::Store(e).into(),
            Absent::NotHome(e) => {
                tracing::error!(error = %e, "an original cannot be read");
                let text = format!(
                    "The original of this image lies at {}, which does not answer: try again.",
                    e.targets.join(", ")
                );
                let mut out = Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, text);
                out.refusal.retry_after_s = Some(60);
                out
            }
        }
    }
}

impl From<std::io::Error> for Refused {
    fn from(e: std::io::Error) -> Self {
        NoAccess::Store(StoreError::Backend {
            doing: "reading the file of an image",
            cause: e.to_string(),
        })
        .into()
    }
}
