//! `GET /fhir/Patient?phonetic=…`, and what a search may show of a patient whose record is not read.
//!
//! Lives here: the parameters, the Bundle, the subset. Never here: what matches (`vitrine_store::search`). Called by
//! [`super::found`] and [`super::patients`].

use super::super::{Wanted, answer, told};
use super::{FhirRefusal, KEPT, MOST, ROWS, count, only, words};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use vitrine_access::action::SearchPatients;
use vitrine_clinical::card::{EmergencyCard, Identity};
use vitrine_store::{PatientHit, SearchBy, SearchHits, SearchQuery, StoreError};

pub(super) async fn by_sound(app: &App, caller: &Caller, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    only(&wanted.query, &["phonetic"])?;
    let query = SearchQuery {
        text: words(&wanted.query, "phonetic")?,
        by: SearchBy::Sound,
        limit: count(&wanted.query, ROWS, MOST)?,
    };
    let request = app.request(caller, Some("Patient"), None).await?;
    let permit = app
        .decide::<SearchPatients>(request)
        .await?
        .noted("query", query.text.chars().take(KEPT).collect::<String>())
        .noted("by", "phonetic");
    let sealed = app.store.search(&permit, &query).await?;
    let found = app.open(&permit, sealed).await?;
    Ok(answer(
        StatusCode::OK,
        None,
        bundle(&found, &wanted.base)?.to_string().into_bytes(),
    ))
}

fn bundle(found: &SearchHits, base: &str) -> Result<Value, FhirRefusal> {
    let mut entries = Vec::with_capacity(found.hits.len() + 1);
    for hit in &found.hits {
        entries.push(json!({
            "fullUrl": format!("{base}/Patient/{}", hit.patient),
            "resource": subset(hit)?,
            "search": {"mode": "match"},
        }));
    }
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": clock::instant(clock::now()),
    });
    if found.more {
        let text = format!(
            "more than {} patients match: add a word of the name",
            found.hits.len()
        );
        entries.push(told("incomplete", &text));
    } else {
        bundle["total"] = found.hits.len().into();
    }
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Ok(bundle)
}

/// What a search may show of a patient: identity, from the card; a subset of the Patient, and marked as one.
pub(in super::super) fn subset(hit: &PatientHit) -> Result<Value, FhirRefusal> {
    let card: EmergencyCard = serde_json::from_slice(&hit.card)
        .map_err(|_| StoreError::Damaged(format!("the card of patient {}", hit.patient)))?;
    let mut out = json!({
        "resourceType": "Patient",
        "id": hit.patient.as_str(),
        "meta": {"tag": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
            "code": "SUBSETTED",
        }]},
    });
    if let (Some(identity), Some(fields)) = (&card.identity, out.as_object_mut()) {
        put_identity(fields, identity);
    }
    Ok(out)
}

fn put_identity(fields: &mut Map<String, Value>, i: &Identity) {
    let mut name = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            name.insert(key.to_owned(), value);
        }
    };
    put("text", i.name_text.clone().map(Value::from));
    put("family", i.family.clone().map(Value::from));
    put("given", (!i.given.is_empty()).then(|| json!(i.given)));
    put("prefix", i.prefix.as_ref().map(|p| json!([p])));
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(key.to_owned(), value);
        }
    };
    put("active", Some(i.active.into()));
    put("name", (!name.is_empty()).then(|| json!([name])));
    put("gender", i.sex.clone().map(Value::from));
    put("birthDate", i.birth_date.clone().map(Value::from));
    let mr = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]});
    put(
        "identifier",
        i.mrn.as_ref().map(|n| json!([{"type": mr, "value": n}])),
    );
    put("deceasedBoolean", i.deceased.as_ref().map(|_| true.into()));
}
