//! DG1: diagnoses of the visit.

use super::Adt;
use super::visit::Visit;
use crate::draft::{Draft, How, Key, draft_reference};
use crate::json::{Json, array, concept, object, set, text};
use crate::types::{self, HL7};
use vitrine_clinical::label::Label;

impl Adt<'_> {
    /// Every DG1, as a Condition and among the diagnoses of its visit.
    pub(super) fn diagnoses(&mut self, visit: Option<&Visit>) {
        let message = self.message;
        let mut listed: Vec<Json> = Vec::new();
        for dg1 in message.all("DG1") {
            if dg1.text(21) == "D" || dg1.is_null(3) {
                self.out.note(
                    dg1.place(),
                    "a diagnosis is to be removed: it stays as recorded, a person has to decide",
                );
                continue;
            }
            let code = types::codeable_concept(&dg1.rep(3), self.feed)
                .or_else(|| text(dg1.text(4)).map(|words| object([("text", Some(words))])));
            let Some(code) = code else {
                self.out
                    .note(dg1.place_of(3), "a diagnosis without code and words: not taken");
                continue;
            };
            let given = types::ei_key(&dg1.rep(20), "diagnosis", self.feed);
            let own = self.content_key("diagnosis", &code, None);
            let own = match visit {
                Some(v) => Key::new(
                    own.system,
                    format!("{}|{}|{}", v.key.system, v.key.value, own.value),
                ),
                None => own,
            };
            let keys: Vec<Key> = given.into_iter().chain([own]).collect();
            let known = self
                .out
                .drafts
                .iter()
                .any(|d| d.kind == "Condition" && d.keys.iter().any(|k| keys.contains(k)));
            if known {
                self.out.note(
                    dg1.place(),
                    "a diagnosis that the message has twice: the first is taken",
                );
                continue;
            }
            let onset = self.feed.time(&dg1.text(5)).map(|s| s.date_time());
            let recorded = self.feed.time(&dg1.text(19)).map(|s| s.date_time());
            // Table 0052.
            let (verification, role) = match dg1.text(6).as_str() {
                "A" => (Some("provisional"), Some(("AD", "Admission diagnosis"))),
                "W" => (Some("provisional"), None),
                "F" => (Some("confirmed"), Some(("DD", "Discharge diagnosis"))),
                _ => (None, None),
            };
            let body = object([
                ("resourceType", text("Condition")),
                ("identifier", array(keys.iter().map(types::identifier_of))),
                (
                    "category",
                    array([concept(
                        &format!("{HL7}condition-category"),
                        "encounter-diagnosis",
                        "Encounter Diagnosis",
                    )]),
                ),
                ("code", Some(code)),
                ("subject", Some(draft_reference(0))),
                ("encounter", visit.map(|v| draft_reference(v.index))),
                ("onsetDateTime", onset),
                ("recordedDate", recorded),
                ("asserter", types::practitioner(&dg1.rep(16), self.feed)),
            ]);
            let made_with = object([
                (
                    "clinicalStatus",
                    Some(concept(&format!("{HL7}condition-clinical"), "active", "")),
                ),
                (
                    "verificationStatus",
                    verification.map(|v| concept(&format!("{HL7}condition-ver-status"), v, "")),
                ),
            ]);
            let index = self.out.push(Draft {
                kind: "Condition",
                keys,
                how: How::Update,
                dated: self.dated.clone(),
                body,
                made_with,
                label: Label::NONE,
                place: dg1.place(),
            });
            let rank = super::count(&dg1.text(15)).filter(|n| *n > 0);
            listed.push(object([
                ("condition", Some(draft_reference(index))),
                (
                    "use",
                    role.map(|(code, words)| concept(&format!("{HL7}diagnosis-role"), code, words)),
                ),
                ("rank", rank.map(|n| Json::Number(n.to_string()))),
            ]));
        }
        let Some(diagnosis) = array(listed) else { return };
        if let Some(draft) = visit.and_then(|v| self.out.drafts.get_mut(v.index)) {
            set(&mut draft.body, "diagnosis", diagnosis);
        }
    }
}
