//! Which studies have a report, by the record that is here.

use crate::station::Station;
use serde_json::Value;
use std::collections::BTreeMap;
use vitrine_access::action::ReadChart;
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::word;
use vitrine_store_sqlcipher::workstation::RecordRow;

/// Kinds of resources that say it.
const KINDS: [&str; 2] = ["DiagnosticReport", "ImagingStudy"];

/// The record's reports, sealed; `None` when no record is here or it cannot be read.
pub(super) fn reports(
    station: &Station,
    permit: &Permit<ReadChart>,
) -> Option<Sealed<Option<Vec<RecordRow>>>> {
    station.records()?.of_kinds(permit, &KINDS).ok()
}

/// Report status by study UID and by accession number.
pub(super) struct Reports {
    known: bool,
    by: BTreeMap<String, u8>,
}

/// How far a report is: 0 none … 3 final.
fn rank(status: &str) -> u8 {
    match status {
        "final" => 3,
        "amended" | "corrected" | "appended" => 4,
        "registered" | "partial" | "preliminary" => 2,
        "cancelled" | "entered-in-error" => 0,
        _ => 1,
    }
}

fn values<'a>(v: &'a Value, list: &str, path: &[&str]) -> Vec<&'a str> {
    let all = v
        .get(list)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let each = all.iter().filter_map(|item| {
        let mut at = item;
        for p in path {
            at = at.get(p)?;
        }
        at.as_str()
    });
    each.collect()
}

fn bare(text: &str) -> &str {
    text.strip_prefix("urn:oid:").unwrap_or(text)
}

impl Reports {
    pub(super) fn new(rows: Option<Vec<RecordRow>>) -> Self {
        let known = rows.is_some();
        let read: Vec<(String, Value)> = rows
            .unwrap_or_default()
            .iter()
            .filter_map(|r| Some((r.key.to_string(), serde_json::from_slice(&r.body).ok()?)))
            .collect();
        let studies: BTreeMap<&str, Vec<&str>> = read
            .iter()
            .filter(|(key, _)| key.starts_with("ImagingStudy/"))
            .map(|(key, v)| {
                (
                    key.as_str(),
                    values(v, "identifier", &["value"])
                        .into_iter()
                        .map(bare)
                        .collect(),
                )
            })
            .collect();
        let mut by: BTreeMap<String, u8> = BTreeMap::new();
        for (_, v) in read
            .iter()
            .filter(|(key, _)| key.starts_with("DiagnosticReport/"))
        {
            let rank = rank(v.get("status").and_then(Value::as_str).unwrap_or_default());
            let mut about: Vec<&str> = values(v, "identifier", &["value"]);
            about.extend(values(v, "basedOn", &["identifier", "value"]));
            about.extend(values(v, "imagingStudy", &["identifier", "value"]));
            for r in values(v, "imagingStudy", &["reference"]) {
                about.push(r);
                about.extend(studies.get(r).into_iter().flatten());
            }
            for a in about {
                let kept = by.entry(bare(a).to_owned()).or_default();
                *kept = rank.max(*kept);
            }
        }
        Self { known, by }
    }

    /// "report final", "no report in this record", "report not known here". By the first word, "no" or "kein", the screen marks a study
    /// without a report: `views/images/Study.svelte`.
    pub(super) fn text(&self, study: &str, accession: Option<&str>) -> String {
        if !self.known {
            return word!("report not known here", "Befund hier nicht bekannt").to_owned();
        }
        let accession = accession.filter(|a| !a.is_empty());
        let rank = self.by.get(study).max(accession.and_then(|a| self.by.get(a)));
        match rank {
            Some(4) => word!("report final, amended", "Befund endgültig, geändert"),
            Some(3) => word!("report final", "Befund endgültig"),
            Some(2) => word!("report preliminary", "Befund vorläufig"),
            Some(1) => word!("report, status unknown", "Befund, Status unbekannt"),
            _ => word!("no report in this record", "kein Befund in dieser Akte"),
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::ResourceKey;

    #[test]
    fn a_report_is_found_by_study_or_accession() {
        let row = |key: &str, body: &str| RecordRow {
            key: ResourceKey::parse(key).unwrap(),
            version: 1,
            body: body.as_bytes().to_vec(),
        };
        let r = Reports::new(Some(vec![
            row(
                "ImagingStudy/s1",
                r#"{"identifier":[{"system":"urn:dicom:uid","value":"urn:oid:1.2.3"}]}"#,
            ),
            row(
                "DiagnosticReport/a",
                r#"{"status":"preliminary","imagingStudy":[{"reference":"ImagingStudy/s1"}]}"#,
            ),
            row(
                "DiagnosticReport/b",
                r#"{"status":"final","basedOn":[{"identifier":{"value":"A77"}}]}"#,
            ),
            row(
                "DiagnosticReport/c",
                r#"{"status":"entered-in-error","imagingStudy":[{"identifier":{"value":"urn:oid:1.2.4"}}]}"#,
            ),
        ]));
        assert_eq!(r.text("1.2.3", None), "report preliminary");
        assert_eq!(r.text("1.2.3", Some("A77")), "report final");
        assert_eq!(r.text("1.2.4", Some("")), "no report in this record");
        assert_eq!(Reports::new(None).text("1.2.3", None), "report not known here");
    }
}
