//! The FHIR shapes that repeat: bundle entries, coded concepts, references, quantities.
//!
//! What is true of a patient is decided elsewhere; here it is only spelt. Called by `write`, `facility`, `heavy`.

use crate::json::Json;

pub(crate) const LOINC: &str = "http://loinc.org";
pub(crate) const SNOMED: &str = "http://snomed.info/sct";
pub(crate) const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub(crate) const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
pub(crate) const CVX: &str = "http://hl7.org/fhir/sid/cvx";
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
/// The prefix of HL7's own code systems, the v2 and v3 tables included.
pub(crate) const HL7: &str = "http://terminology.hl7.org/CodeSystem/";
/// The naming systems of the synthetic hospital itself (a reserved name: it can never resolve).
pub(crate) const LOCAL: &str = "https://synthetic-hospital.example/fhir/";

/// A transaction bundle under construction.
#[derive(Debug)]
pub(crate) struct Bundle {
    entries: Json,
    count: usize,
    most: usize,
}

impl Bundle {
    pub(crate) fn new() -> Self {
        Self::of_at_most(usize::MAX)
    }

    /// A bundle that takes no more than `most` resources; what is put later is left out.
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self {
            entries: Json::with_capacity(8 * 1024),
            count: 0,
            most,
        }
    }

    /// How many resources it holds.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Adds `PUT kind/id`.
    pub(crate) fn put(&mut self, kind: &str, id: &str, fill: impl FnOnce(&mut Json)) {
        if self.count >= self.most {
            return;
        }
        self.count += 1;
        self.entries.item(|w| {
            w.obj("resource", |w| resource(w, kind, id, fill));
            w.obj("request", |w| {
                w.str("method", "PUT");
                w.str("url", &format!("{kind}/{id}"));
            });
        });
    }

    /// The bundle's JSON.
    pub(crate) fn close(self) -> String {
        let entries = self.entries.into_text();
        format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}"#)
    }
}

/// The members every resource begins with.
pub(crate) fn resource(w: &mut Json, kind: &str, id: &str, fill: impl FnOnce(&mut Json)) {
    w.str("resourceType", kind);
    w.str("id", id);
    fill(w);
}

fn coding(w: &mut Json, system: &str, code: &str, display: &str) {
    w.str("system", system);
    w.str("code", code);
    w.str("display", display);
}

/// `"key":{"coding":[…],"text":…}`; without a code only the text. `display` is the code system's own wording or empty;
/// our words go into `text`.
pub(crate) fn concept(w: &mut Json, key: &str, system: &str, code: &str, display: &str, text: &str) {
    w.obj(key, |w| concept_body(w, system, code, display, text));
}

/// `"key":[{"coding":[…],"text":…}]`.
pub(crate) fn concepts(w: &mut Json, key: &str, system: &str, code: &str, display: &str, text: &str) {
    w.one(key, |w| concept_body(w, system, code, display, text));
}

pub(crate) fn concept_body(w: &mut Json, system: &str, code: &str, display: &str, text: &str) {
    if !code.is_empty() {
        w.one("coding", |w| coding(w, system, code, display));
    }
    w.str("text", text);
}

/// A concept of one of HL7's own code systems, without text.
pub(crate) fn hl7(w: &mut Json, key: &str, system: &str, code: &str) {
    concept(w, key, &format!("{HL7}{system}"), code, "", "");
}

/// The same, repeating.
pub(crate) fn hl7s(w: &mut Json, key: &str, system: &str, code: &str, display: &str) {
    concepts(w, key, &format!("{HL7}{system}"), code, display, "");
}

/// `"key":{"system":…,"code":…}` of a Coding.
pub(crate) fn bare_coding(w: &mut Json, key: &str, system: &str, code: &str, display: &str) {
    w.obj(key, |w| coding(w, system, code, display));
}

/// `"key":{"reference":"kind/id"}`.
pub(crate) fn reference(w: &mut Json, key: &str, kind: &str, id: &str) {
    w.obj(key, |w| w.str("reference", &format!("{kind}/{id}")));
}

/// `"key":{"reference":"kind/id","display":…}`.
pub(crate) fn reference_named(w: &mut Json, key: &str, kind: &str, id: &str, display: &str) {
    w.obj(key, |w| {
        w.str("reference", &format!("{kind}/{id}"));
        w.str("display", display);
    });
}

/// `"key":{"value":…,"unit":…,"system":UCUM,"code":…}`; `value` is digits.
pub(crate) fn quantity(w: &mut Json, key: &str, value: &str, unit: &str, ucum: &str) {
    w.obj(key, |w| {
        w.raw("value", value);
        w.str("unit", unit);
        if !ucum.is_empty() {
            w.str("system", UCUM);
            w.str("code", ucum);
        }
    });
}

/// `"key":{"start":…,"end":…}`.
pub(crate) fn period(w: &mut Json, key: &str, start: &str, end: Option<&str>) {
    w.obj(key, |w| {
        w.str("start", start);
        w.str("end", end.unwrap_or_default());
    });
}
