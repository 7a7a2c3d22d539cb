//! The ImagingStudy resource of a study, made from the index.
//!
//! Lives here: what of a header is kept at which level, the resource. Never here: stores, files. Called by `filing` and
//! `http::dicomweb`. Headers are DICOM JSON (PS3.18 Annex F); the mapping is that of the R4 ImagingStudy resource.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use vitrine_clinical::ResourceKey;
use vitrine_store::StoreError;
use vitrine_store::imaging::StudyRow;

/// The Endpoint at which images are retrieved; every ImagingStudy refers to it.
pub const ENDPOINT: &str = "Endpoint/dicom-wado-rs";

/// Attributes kept of a study (PS3.18 table 10.6.3-3, and what the resource needs).
pub const STUDY: &[&str] = &[
    "00080005", "00080020", "00080030", "00080050", "00080090", "00081030", "00100010", "00100020",
    "00100021", "00100030", "00100040", "0020000D", "00200010",
];
/// Attributes kept of a series (table 10.6.3-4).
pub const SERIES: &[&str] = &[
    "00080005", "00080021", "00080031", "00080060", "0008103E", "00180015", "0020000E", "00200011",
    "00200060", "00400244", "00400245", "00400275",
];
/// Attributes of an instance that a search shows (table 10.6.3-5).
pub const INSTANCE: &[&str] = &[
    "00080005", "00080016", "00080018", "00200013", "00280008", "00280010", "00280011", "00280100",
];

/// What is kept of an instance: `class`, `syntax` and, as `json`, its header.
#[must_use]
pub fn kept(header: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(header).unwrap_or_default()
}

/// Some attributes of a header.
#[must_use]
pub fn pick(header: &Value, tags: &[&str]) -> Value {
    let of = |tag: &&str| Some(((*tag).to_owned(), header.get(*tag)?.clone()));
    Value::Object(tags.iter().filter_map(of).collect())
}

/// The first value of an attribute as text.
#[must_use]
pub fn text<'h>(header: &'h Value, tag: &str) -> Option<&'h str> {
    let value = header.get(tag)?.get("Value")?.get(0)?;
    let text = value.as_str().or_else(|| value.get("Alphabetic")?.as_str())?;
    Some(text.trim()).filter(|t| !t.is_empty())
}

/// The same, no longer than what a list shows: LO has 64 characters (PS3.5 §6.2), and not everybody keeps to that.
fn short(header: &Value, tag: &str) -> Option<String> {
    text(header, tag).map(|t| t.chars().take(256).collect())
}

/// The first value of an attribute as a whole number.
#[must_use]
pub fn number(header: &Value, tag: &str) -> Option<i64> {
    let value = header.get(tag)?.get("Value")?.get(0)?;
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A DICOM date (DA, `yyyymmdd`) as a number; `None` for what is no date.
#[must_use]
pub fn day(date: &str) -> Option<i32> {
    let digits = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
    let n: i32 = date.parse().ok().filter(|_| digits)?;
    let (month, day) = (n / 100 % 100, n % 100);
    ((1..=12).contains(&month) && (1..=31).contains(&day) && n >= 10_000_000).then_some(n)
}

/// The id of a study's resource: from its UID, so that every server makes the same.
///
/// # Errors
/// None in fact: a UUID is a FHIR id.
pub fn key(study: &str) -> Result<ResourceKey, StoreError> {
    let digest: [u8; 32] = Sha256::digest(format!("ImagingStudy {study}").as_bytes()).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    ResourceKey::new("ImagingStudy", &id.to_string()).map_err(|e| StoreError::Refused(e.to_string()))
}

fn parsed(header: &[u8]) -> Value {
    serde_json::from_slice(header).unwrap_or_default()
}

fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

/// Date and time as FHIR has them. A time without zone is not given: nobody knows where the clock stood.
fn started(study: &Value) -> Option<String> {
    let n = day(text(study, "00080020")?)?;
    Some(format!("{:04}-{:02}-{:02}", n / 10_000, n / 100 % 100, n % 100))
}

/// The resource, as FHIR R4 JSON.
#[must_use]
pub fn resource(id: &str, row: &StudyRow) -> Vec<u8> {
    let study = parsed(&row.header);
    let mut out = Map::new();
    out.insert("resourceType".into(), json!("ImagingStudy"));
    out.insert("id".into(), json!(id));
    let mut identifiers = vec![json!({"system": "urn:dicom:uid", "value": format!("urn:oid:{}", row.uid)})];
    if let Some(accession) = short(&study, "00080050") {
        let kind = json!({"coding": [coding("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN")]});
        identifiers.push(json!({"type": kind, "value": accession}));
    }
    out.insert("identifier".into(), Value::Array(identifiers));
    out.insert("status".into(), json!("available"));
    let series: Vec<Value> = row
        .series
        .iter()
        .map(|s| series(&s.uid, &parsed(&s.header), s.instances))
        .collect();
    let mut modalities: Vec<Value> = Vec::new();
    for m in series.iter().filter_map(|s| s.get("modality")) {
        if !modalities.contains(m) {
            modalities.push(m.clone());
        }
    }
    out.insert("modality".into(), Value::Array(modalities));
    out.insert(
        "subject".into(),
        json!({"reference": format!("Patient/{}", row.patient)}),
    );
    if let Some(started) = started(&study) {
        out.insert("started".into(), json!(started));
    }
    out.insert("endpoint".into(), json!([{"reference": ENDPOINT}]));
    out.insert("numberOfSeries".into(), json!(row.series.len()));
    out.insert("numberOfInstances".into(), json!(row.instances()));
    if let Some(description) = short(&study, "00081030") {
        out.insert("description".into(), json!(description));
    }
    out.insert("series".into(), Value::Array(series));
    serde_json::to_vec(&Value::Object(out)).unwrap_or_default()
}

fn series(uid: &str, header: &Value, instances: u64) -> Value {
    let mut out = Map::new();
    out.insert("uid".into(), json!(uid));
    if let Some(n) = number(header, "00200011").filter(|n| *n >= 0) {
        out.insert("number".into(), json!(n));
    }
    let modality = short(header, "00080060").unwrap_or_else(|| "OT".to_owned());
    out.insert(
        "modality".into(),
        coding("http://dicom.nema.org/resources/ontology/DCM", &modality),
    );
    if let Some(description) = short(header, "0008103E") {
        out.insert("description".into(), json!(description));
    }
    out.insert("numberOfInstances".into(), json!(instances));
    if let Some(part) = short(header, "00180015") {
        out.insert("bodySite".into(), json!({"display": part}));
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use vitrine_clinical::PatientId;
    use vitrine_store::imaging::SeriesRow;

    #[test]
    fn dates_are_read_or_not_guessed() {
        for (text, expected) in [
            ("20260131", Some(20_260_131)),
            ("20261301", None),
            ("20260100", None),
            ("2026.01.31", None),
            ("202601", None),
            ("", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }

    #[test]
    fn a_study_is_a_valid_resource_that_says_what_is_there() {
        let ct = json!({"00080060": {"vr": "CS", "Value": ["CT"]}, "00200011": {"vr": "IS", "Value": [2]},
            "0008103E": {"vr": "LO", "Value": ["Thorax"]}, "00180015": {"vr": "CS", "Value": ["CHEST"]}});
        let bare = json!({});
        let row = StudyRow {
            uid: "1.2.3".into(),
            patient: PatientId::new("p1").unwrap(),
            day: Some(20_260_131),
            header: Bytes::from(
                json!({"00080020": {"vr": "DA", "Value": ["20260131"]}, "00080050": {"vr": "SH", "Value": ["A1"]},
                    "00081030": {"vr": "LO", "Value": ["CT Thorax"]}})
                .to_string(),
            ),
            series: [(&ct, 40), (&ct, 2), (&bare, 1)]
                .into_iter()
                .enumerate()
                .map(|(n, (h, instances))| SeriesRow {
                    uid: format!("1.2.3.{n}"),
                    header: Bytes::from(h.to_string()),
                    instances,
                })
                .collect(),
        };
        let key = key("1.2.3").unwrap();
        assert_eq!(key, super::key("1.2.3").unwrap());
        let body = resource(key.id.as_str(), &row);
        vitrine_fhir::validate(&body).unwrap();
        let r: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(r["identifier"][0]["value"], "urn:oid:1.2.3");
        assert_eq!(
            (&r["numberOfSeries"], &r["numberOfInstances"]),
            (&json!(3), &json!(43))
        );
        assert_eq!(r["modality"].as_array().unwrap().len(), 2, "each once: {r}");
        assert_eq!(r["started"], "2026-01-31");
        assert_eq!(r["endpoint"][0]["reference"], ENDPOINT);
        assert_eq!(r["series"][0]["number"], 2);
        assert_eq!(r["series"][2]["modality"]["code"], "OT");
        assert!(r["series"][2].get("number").is_none());
    }
}
