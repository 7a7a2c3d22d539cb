//! AL1, IAM: allergies.
//!
//! What is recorded is never weakened: nothing here removes, refutes or ends an allergy, and what says so is left to a person
//! in a note. Nor is it made stronger by repetition: clinical and verification status are for a new allergy alone, so that one
//! that was refuted or is over does not come back because a feed repeats its list.

use super::Adt;
use crate::draft::{Draft, How, Key, draft_reference};
use crate::json::{Json, array, concept, object, text};
use crate::message::Seg;
use crate::types::{self, HL7};
use vitrine_clinical::label::Label;

const SNOMED: &str = "http://snomed.info/sct";

/// Which fields of a segment say what.
struct Fields {
    reaction: usize,
    onset: usize,
}

const AL1: Fields = Fields {
    reaction: 5,
    onset: 6,
};
const IAM: Fields = Fields {
    reaction: 5,
    onset: 11,
};

impl Adt<'_> {
    /// Every AL1 and IAM.
    pub(super) fn allergies(&mut self) {
        let message = self.message;
        for al1 in message.all("AL1") {
            if al1.is_null(3) {
                self.out.note(
                    al1.place_of(3),
                    "allergies are to be removed: nothing is removed by a message, a person has to decide",
                );
                continue;
            }
            self.allergy(&al1, &AL1, None, &unverified());
        }
        for iam in message.all("IAM") {
            let held = match (iam.text(6).as_str(), iam.text(17).as_str()) {
                ("D", _) => Some((
                    6,
                    "an allergy is to be removed: it stays as recorded, a person has to decide",
                )),
                (_, "E") => Some((
                    17,
                    "an allergy is said to be recorded in error: it stays, a person has to decide",
                )),
                ("" | "A" | "U" | "X", _) => None,
                _ => Some((
                    6,
                    "an action that is not in table 0206: nothing is done, a person has to decide",
                )),
            };
            if let Some((field, text)) = held {
                self.out.note(iam.place_of(field), text);
                continue;
            }
            let given = types::ei_key(&iam.rep(7), "allergy", self.feed);
            let stands = match iam.text(17).as_str() {
                "C" => standing("active", "confirmed"),
                "I" => standing("inactive", "confirmed"),
                _ => unverified(),
            };
            self.allergy(&iam, &IAM, given, &stands);
        }
    }

    fn allergy(&mut self, seg: &Seg<'_>, fields: &Fields, given: Option<Key>, stands: &Json) {
        let feed = self.feed;
        let reaction = self.reaction(seg, fields.reaction);
        let code = denial(seg)
            .or_else(|| types::codeable_concept(&seg.rep(3), feed))
            .or_else(|| {
                reaction.as_ref()?;
                Some(concept(&format!("{HL7}data-absent-reason"), "unknown", ""))
            });
        let Some(code) = code else {
            self.out.note(
                seg.place_of(3),
                "an allergy without agent and reaction: not taken",
            );
            return;
        };
        let own = self.content_key("allergy", &code, reaction.as_ref());
        let keys: Vec<Key> = given.into_iter().chain([own]).collect();
        let (kind, category) = self.kind(seg);
        let kind = match (seg.name(), seg.text(9).as_str()) {
            ("IAM", "AL") => Some("allergy"),
            ("IAM", "IN") => Some("intolerance"),
            _ => kind,
        };
        let onset = feed.time(&seg.text(fields.onset));
        if onset.is_none() && !seg.text(fields.onset).is_empty() {
            self.out.note(seg.place_of(fields.onset), "not a time: not taken");
        }
        let iam = seg.name() == "IAM";
        let reported = iam.then(|| feed.time(&seg.text(13))).flatten();
        let by = iam.then(|| types::human_name(&seg.rep(14), feed)).flatten();
        if by.is_some() {
            self.out
                .note(seg.place_of(14), "who reported an allergy: not taken");
        }
        let body = object([
            ("resourceType", text("AllergyIntolerance")),
            ("identifier", array(keys.iter().map(types::identifier_of))),
            ("type", kind.and_then(text)),
            ("category", array(category.and_then(text))),
            ("criticality", criticality(&seg.text(4)).and_then(text)),
            ("code", Some(code)),
            ("patient", Some(draft_reference(0))),
            ("onsetDateTime", onset.map(|s| s.date_time())),
            ("recordedDate", reported.map(|s| s.date_time())),
            ("reaction", array(reaction)),
        ]);
        self.said_again_or(Draft {
            kind: "AllergyIntolerance",
            keys,
            how: How::Update,
            dated: self.dated.clone(),
            body,
            made_with: stands.clone(),
            label: Label::NONE,
            place: seg.place(),
        });
    }

    /// Adds a draft; what a message says twice is one draft, with the reactions and members of both.
    fn said_again_or(&mut self, draft: Draft) {
        let same = |d: &&mut Draft| d.kind == draft.kind && d.keys.iter().any(|k| draft.keys.contains(k));
        let Some(first) = self.out.drafts.iter_mut().find(same) else {
            self.out.push(draft);
            return;
        };
        for key in draft.keys {
            if !first.keys.contains(&key) {
                first.keys.push(key);
            }
        }
        let (Json::Object(into), Json::Object(from)) = (&mut first.body, draft.body) else {
            return;
        };
        for (name, value) in from {
            match into.iter_mut().find(|(k, _)| *k == name) {
                None => into.push((name, value)),
                Some((_, Json::Array(there))) if name == "reaction" || name == "identifier" => {
                    let Json::Array(more) = value else { continue };
                    for one in more {
                        if !there.contains(&one) {
                            there.push(one);
                        }
                    }
                }
                // The graver of two.
                Some((_, there)) if name == "criticality" => {
                    if value.as_str() == Some("high") {
                        *there = value;
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// The key of something that HL7 gives no identifier: the patient, and the code or the words.
    pub(super) fn content_key(&self, purpose: &str, code: &Json, else_by: Option<&Json>) -> Key {
        let first = match code.get("coding") {
            Some(Json::Array(codings)) => codings.first(),
            _ => None,
        };
        let of = |key: &str| first.and_then(|c| c.get(key)).and_then(Json::as_str);
        let words = code.get("text").and_then(Json::as_str);
        let what = match (of("code"), words, else_by) {
            (Some("unknown"), None, Some(other)) => format!("|{}", normalised(&other.to_compact())),
            (Some(code), ..) => format!("{}|{code}", of("system").unwrap_or_default()),
            (None, words, _) => format!("|{}", normalised(words.unwrap_or_default())),
        };
        Key::new(
            self.feed.own(purpose, ""),
            format!("{}|{}|{what}", self.patient.system, self.patient.value),
        )
    }

    /// AL1-5, IAM-5: each repetition a manifestation; the severity (field 4) is that of the reaction.
    fn reaction(&self, seg: &Seg<'_>, field: usize) -> Option<Json> {
        let severity = match seg.text(4).as_str() {
            "SV" => Some("severe"),
            "MO" => Some("moderate"),
            "MI" => Some("mild"),
            _ => None,
        };
        let mut shown: Vec<Json> = seg
            .reps(field)
            .filter_map(|r| {
                // A text by the standard; what a sender codes nevertheless keeps its words.
                let words = [r.text(2), r.text(1)].into_iter().find_map(text)?;
                Some(object([("text", Some(words))]))
            })
            .collect();
        if shown.is_empty() {
            severity?;
            shown.push(concept(&format!("{HL7}data-absent-reason"), "unknown", ""));
        }
        Some(object([
            ("manifestation", array(shown)),
            ("severity", severity.and_then(text)),
        ]))
    }

    /// Table 0127 as type and category.
    fn kind(&mut self, seg: &Seg<'_>) -> (Option<&'static str>, Option<&'static str>) {
        let sent = seg.text(2);
        match sent.as_str() {
            "DA" => (Some("allergy"), Some("medication")),
            "FA" => (Some("allergy"), Some("food")),
            "EA" | "AA" | "PA" | "LA" => (Some("allergy"), Some("environment")),
            "MA" => (Some("allergy"), None),
            "" | "MC" => (None, None),
            _ => {
                self.out.note(
                    seg.place_of(2),
                    "a type of allergy that is not in table 0127: left out",
                );
                (None, None)
            }
        }
    }
}

fn standing(clinical: &str, verification: &str) -> Json {
    let one =
        |system: &str, code: &str| Some(concept(&format!("{HL7}allergyintolerance-{system}"), code, ""));
    object([
        ("clinicalStatus", one("clinical", clinical)),
        ("verificationStatus", one("verification", verification)),
    ])
}

fn unverified() -> Json {
    standing("active", "unconfirmed")
}

/// Table 0128: how grave it may become.
fn criticality(severity: &str) -> Option<&'static str> {
    match severity {
        "SV" => Some("high"),
        "MI" => Some("low"),
        "U" => Some("unable-to-assess"),
        _ => None,
    }
}

/// The statement of absence that a segment makes, as the SNOMED CT situation that the card reads. Whole codes and whole phrases
/// alone; other words stay as they are, and the card reads those itself.
fn denial(seg: &Seg<'_>) -> Option<Json> {
    let rep = seg.rep(3);
    let of = |said: &str| {
        Some(match normalised(said).as_str() {
            "nka" | "nkma" | "716186003" | "no known allergies" | "no known allergy" => {
                ("716186003", "No known allergy")
            }
            "nkda"
            | "409137002"
            | "no known drug allergies"
            | "no known drug allergy"
            | "no known medication allergies" => ("409137002", "No known drug allergy"),
            "nkfa" | "429625007" | "no known food allergies" | "no known food allergy" => {
                ("429625007", "No known food allergy")
            }
            "nkea" | "428607008" | "no known environmental allergies" | "no known environmental allergy" => {
                ("428607008", "No known environmental allergy")
            }
            _ => return None,
        })
    };
    let said: Vec<String> = [rep.text(1), rep.text(2), rep.text(4), rep.text(5), rep.text(9)]
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect();
    // All of it has to say so: words that deny beside a code that names an agent contradict each other, and the agent is kept.
    // A code of the sender's own with the words of a denial is one.
    let meant = said.iter().find_map(|t| of(t))?;
    let own = |t: &String| *t == rep.text(1) || *t == rep.text(4);
    let coded = |t: &String| own(t) && names_agent(&rep.text(3), t);
    if said
        .iter()
        .any(|t| of(t).is_some_and(|m| m != meant) || (of(t).is_none() && (coded(t) || !own(t))))
    {
        return None;
    }
    let mut out = concept(SNOMED, meant.0, meant.1);
    if let (Json::Object(members), Some(words)) = (&mut out, said.last()) {
        members.push(("text".into(), Json::String(words.clone())));
    }
    Some(out)
}

/// Whether a code that is no denial is of a terminology that names agents.
fn names_agent(system: &str, code: &str) -> bool {
    let known = [
        "SCT", "SNM", "SNOMED", "RXNORM", "RXN", "NDC", "UNII", "ATC", "CVX",
    ];
    !code.is_empty() && known.contains(&system.to_ascii_uppercase().as_str())
}

/// Words for comparing: lower case, letters and digits, one blank between.
pub(super) fn normalised(words: &str) -> String {
    let spaced: String = words
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
