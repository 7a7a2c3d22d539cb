//! What a search shows of studies, series and instances (PS3.18 tables 10.6.3-3 to -5), in the DICOM JSON model.
//!
//! Lives here: the attributes that are counted or made, beside those of the index. Never here: searching. Pure; called by
//! `qido` and `ingest::find`. `base`: the address of this service.

use crate::imaging::study::{INSTANCE, kept, pick, text};
use serde_json::{Map, Value, json};
use vitrine_store::imaging::{InstanceRow, SeriesRow, StudyRow};

fn put(out: &mut Map<String, Value>, tag: &str, vr: &str, values: Value) {
    out.insert(tag.to_owned(), json!({"vr": vr, "Value": values}));
}

/// The modalities of its series, each once.
pub(super) fn modalities(row: &StudyRow) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for series in &row.series {
        let header = Value::Object(kept(&series.header));
        if let Some(m) = text(&header, "00080060").filter(|m| !out.iter().any(|o| o == m)) {
            out.push(m.to_owned());
        }
    }
    out
}

/// A study.
pub(crate) fn study(row: &StudyRow, base: &str) -> Value {
    let mut out = kept(&row.header);
    let modalities = modalities(row);
    put(&mut out, "00080056", "CS", json!(["ONLINE"]));
    if !modalities.is_empty() {
        put(&mut out, "00080061", "CS", json!(modalities));
    }
    put(
        &mut out,
        "00081190",
        "UR",
        json!([format!("{base}/studies/{}", row.uid)]),
    );
    put(&mut out, "00201206", "IS", json!([row.series.len()]));
    put(&mut out, "00201208", "IS", json!([row.instances()]));
    Value::Object(out)
}

/// A series.
pub(crate) fn series(row: &StudyRow, series: &SeriesRow, base: &str) -> Value {
    let mut out = kept(&series.header);
    let url = format!("{base}/studies/{}/series/{}", row.uid, series.uid);
    put(&mut out, "0020000D", "UI", json!([row.uid]));
    put(&mut out, "00081190", "UR", json!([url]));
    put(&mut out, "00201209", "IS", json!([series.instances]));
    Value::Object(out)
}

/// An instance.
pub(crate) fn instance(row: &StudyRow, instance: &InstanceRow, base: &str) -> Value {
    let all = kept(&instance.header);
    let header = all.get("json").cloned().unwrap_or_default();
    let Value::Object(mut out) = pick(&header, INSTANCE) else {
        return Value::Null;
    };
    let url = format!(
        "{base}/studies/{}/series/{}/instances/{}",
        row.uid, instance.series, instance.uid
    );
    put(&mut out, "00080056", "CS", json!(["ONLINE"]));
    put(&mut out, "0020000D", "UI", json!([row.uid]));
    put(&mut out, "0020000E", "UI", json!([instance.series]));
    put(&mut out, "00081190", "UR", json!([url]));
    Value::Object(out)
}
