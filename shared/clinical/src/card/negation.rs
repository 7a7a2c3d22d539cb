//! Statements of absence: what says "none" and what says "nobody knows".
//!
//! Codes: SNOMED CT situations as used in FHIR R4's allergyintolerance-code value set, AU Core, CH Term; the IPS
//! code system absent-unknown-uv-ips. Words: how people write the same as free text ("NKDA", "No ibuprofen
//! allergy"), because HL7 v2 feeds and typed entries carry no code.

use crate::chart::{Coding, Concept, SNOMED};

/// IPS: "no known …" and "no information about …".
const IPS_ABSENT: &str = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";

/// What a concept says about presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It names something that is there.
    Something,
    /// It says that nobody knows; neither presence nor absence.
    Unknown,
    /// It says that there is nothing of the kind at all.
    NothingAtAll,
    /// It says that there is nothing of one class: a FHIR allergy category (`medication`, `food`, `environment`).
    NothingOfClass(&'static str),
    /// It says that one thing is absent.
    NotThis,
}

/// `No known Allergy (situation)` as `no known allergy`.
fn plain(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    let without_tag = match lower.rsplit_once(" (") {
        Some((before, tag)) if tag.ends_with(')') => before.to_owned(),
        _ => lower,
    };
    let spaced: String = without_tag
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn by_code(concept: &Concept, table: &dyn Fn(&Coding) -> Option<Presence>) -> Option<Presence> {
    concept.codings.iter().find_map(table)
}

fn snomed_or_ips(c: &Coding) -> Option<(bool, &str)> {
    let code = c.code.as_deref()?;
    match c.system.as_deref() {
        Some(SNOMED) => Some((true, code)),
        Some(IPS_ABSENT) => Some((false, code)),
        _ => None,
    }
}

/// The absence that a code states, where one does.
fn allergy_code(code: &Concept) -> Option<Presence> {
    by_code(code, &|c| {
        Some(match snomed_or_ips(c)? {
            (true, "716186003") | (false, "no-known-allergies") => Presence::NothingAtAll,
            (true, "409137002") | (false, "no-known-medication-allergies") => {
                Presence::NothingOfClass("medication")
            }
            (true, "429625007") | (false, "no-known-food-allergies") => Presence::NothingOfClass("food"),
            (true, "428607008") | (false, "no-known-environmental-allergies") => {
                Presence::NothingOfClass("environment")
            }
            // Latex, Hevea latex, animals, insects: narrower than a FHIR category.
            (true, "716184000" | "1003774007" | "716220001" | "428197003") => Presence::NotThis,
            (false, "no-allergy-info") => Presence::Unknown,
            _ => return None,
        })
    })
}

/// Whether the absence stands in a code and not only in words.
pub(crate) fn absence_by_code(code: &Concept) -> bool {
    allergy_code(code).is_some()
}

/// What an allergy's code says.
pub(crate) fn of_allergy(code: &Concept) -> Presence {
    if let Some(found) = allergy_code(code) {
        return found;
    }
    if code.is_unknown() {
        return Presence::Unknown;
    }
    let said = code.display().map(plain).unwrap_or_default();
    match allergy_words(&said) {
        // Words that deny everything beside a code that names something contradict each other: the code is kept.
        Presence::NothingAtAll | Presence::NothingOfClass(_) if code.is_coded() && !denied_by_code(code) => {
            Presence::Something
        }
        found => found,
    }
}

/// Whether the codes' own words deny as well (a local code system with a "no known allergies" entry).
fn denied_by_code(code: &Concept) -> bool {
    let mut words = code
        .codings
        .iter()
        .filter_map(|c| c.display.as_deref())
        .map(plain)
        .peekable();
    let mut local = code.codings.iter().filter(|c| c.display.is_none());
    let bare_local = local.all(|c| c.system.as_deref() != Some(SNOMED));
    if words.peek().is_none() {
        return bare_local
            && code
                .codings
                .iter()
                .all(|c| c.code.as_deref().is_some_and(|c| short_denial(&plain(c))));
    }
    words.all(|w| allergy_words(&w) != Presence::Something)
}

fn short_denial(said: &str) -> bool {
    matches!(
        said,
        "nka" | "nkda" | "nkfa" | "none" | "no known allergies" | "nil"
    )
}

/// The whole of what a German workstation's staff type where there is none, already [`plain`]. Whole phrases alone: nothing is taken
/// apart, so that no agent is ever overlooked.
fn german_words(said: &str) -> Option<Presence> {
    Some(match said {
        "keine"
        | "keine bekannt"
        | "keine allergie"
        | "keine allergien"
        | "keine allergie bekannt"
        | "keine allergien bekannt"
        | "keine bekannte allergie"
        | "keine bekannten allergien"
        | "allergien verneint"
        | "keine allergien oder unverträglichkeiten"
        | "keine allergien oder unverträglichkeiten bekannt" => Presence::NothingAtAll,
        "keine medikamentenallergie"
        | "keine medikamentenallergien"
        | "keine medikamentenallergien bekannt"
        | "keine bekannten medikamentenallergien" => Presence::NothingOfClass("medication"),
        "unbekannt"
        | "nicht bekannt"
        | "nicht erfragt"
        | "nicht erhebbar"
        | "allergien unbekannt"
        | "allergien nicht bekannt"
        | "allergiestatus unbekannt" => Presence::Unknown,
        _ => return None,
    })
}

/// Free text about allergies, already [`plain`].
fn allergy_words(said: &str) -> Presence {
    match said {
        "nka"
        | "nkma"
        | "none"
        | "nil"
        | "none known"
        | "nil known"
        | "no known"
        | "denies allergies"
        | "denies any allergies"
        | "not allergic"
        | "no known allergies or intolerances"
        | "no known allergies intolerances"
        | "no known allergies or adverse reactions" => {
            return Presence::NothingAtAll;
        }
        "nkda" => return Presence::NothingOfClass("medication"),
        "nkfa" => return Presence::NothingOfClass("food"),
        "allergy status unknown"
        | "allergies unknown"
        | "allergic status unknown"
        | "unable to obtain"
        | "unable to assess allergies"
        | "no information about allergies" => return Presence::Unknown,
        _ => {}
    }
    if let Some(found) = german_words(said) {
        return found;
    }
    if let Some(rest) = said.strip_prefix("not allergic to ") {
        return if rest == "anything" {
            Presence::NothingAtAll
        } else {
            Presence::NotThis
        };
    }
    let Some(rest) = said.strip_prefix("no ").or_else(|| said.strip_prefix("nil ")) else {
        return Presence::Something;
    };
    let words: Vec<&str> = rest.split(' ').collect();
    let is_allergy = |w: &str| {
        matches!(
            w,
            "allergy" | "allergies" | "allergic" | "intolerance" | "intolerances" | "hypersensitivity"
        )
    };
    let mentions = words.iter().any(|w| is_allergy(w)) || rest.contains("adverse reaction");
    if !mentions {
        return Presence::Something;
    }
    let filler = |w: &&&str| {
        !is_allergy(w)
            && !matches!(
                **w,
                "known"
                    | "any"
                    | "history"
                    | "of"
                    | "or"
                    | "and"
                    | "to"
                    | "adverse"
                    | "reaction"
                    | "reactions"
                    | "reported"
                    | "recorded"
                    | "current"
                    | "the"
                    | "patient"
                    | "has"
                    | "hx"
            )
    };
    let agents: Vec<&str> = words.iter().filter(filler).copied().collect();
    match agents.as_slice() {
        [] => Presence::NothingAtAll,
        ["drug" | "drugs" | "medication" | "medications" | "medicine" | "medicines"] => {
            Presence::NothingOfClass("medication")
        }
        ["food" | "foods"] => Presence::NothingOfClass("food"),
        ["environmental" | "environment"] => Presence::NothingOfClass("environment"),
        _ => Presence::NotThis,
    }
}

/// What a condition's code says.
pub(crate) fn of_condition(code: &Concept) -> Presence {
    let coded = by_code(code, &|c| {
        Some(match snomed_or_ips(c)? {
            (true, "160245001" | "1287211007") | (false, "no-known-problems") => Presence::NothingAtAll,
            (true, "716186003" | "409137002" | "429625007" | "428607008") => Presence::NotThis,
            (false, "no-problem-info") => Presence::Unknown,
            _ => return None,
        })
    });
    if let Some(found) = coded {
        return found;
    }
    if code.is_unknown() {
        return Presence::Unknown;
    }
    let said = code.display().map(plain).unwrap_or_default();
    if allergy_words(&said) == Presence::NothingAtAll && !matches!(said.as_str(), "none" | "nil" | "keine") {
        return Presence::NotThis;
    }
    if code.is_coded() {
        return Presence::Something;
    }
    let subject = [
        "problem",
        "condition",
        "diagnos",
        "disabilit",
        "medical history",
        "comorbid",
    ];
    let denies = [
        "no known ",
        "no current ",
        "no active ",
        "no significant ",
        "no medical ",
        "no past ",
        "nil ",
    ];
    let about = |rest: &str| subject.iter().any(|s| rest.contains(s));
    let denied = denies.iter().any(|d| said.strip_prefix(d).is_some_and(about));
    let bare = matches!(
        said.as_str(),
        "none" | "nil" | "keine" | "none known" | "nil known" | "no problems" | "no conditions"
    );
    if denied || bare {
        Presence::NothingAtAll
    } else {
        Presence::Something
    }
}

/// What a medicine's code says.
pub(crate) fn of_medication(code: &Concept) -> Presence {
    let coded = by_code(code, &|c| {
        Some(match snomed_or_ips(c)? {
            (true, "787481004" | "1234391000168107") | (false, "no-known-medications") => {
                Presence::NothingAtAll
            }
            (false, "no-medication-info") => Presence::Unknown,
            _ => return None,
        })
    });
    if let Some(found) = coded {
        return found;
    }
    if code.is_unknown() {
        return Presence::Unknown;
    }
    if code.is_coded() {
        return Presence::Something;
    }
    let said = code.display().map(plain).unwrap_or_default();
    let denies = [
        "no known ",
        "no current ",
        "no regular ",
        "no ",
        "nil regular ",
        "nil current ",
        "nil ",
        "not on any ",
        "not taking any ",
    ];
    let subject = [
        "medication",
        "medications",
        "medicine",
        "medicines",
        "meds",
        "drugs",
        "regular medication",
        "current medications",
        "known medications",
        "regular medications",
        "regular medicines",
    ];
    let denied = denies
        .iter()
        .any(|d| said.strip_prefix(d).is_some_and(|rest| subject.contains(&rest)));
    if denied || matches!(said.as_str(), "none" | "nil" | "nil known") {
        Presence::NothingAtAll
    } else {
        Presence::Something
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_about_allergies() {
        for (text, want) in [
            ("NKA", Presence::NothingAtAll),
            ("No Known Allergies", Presence::NothingAtAll),
            ("No known allergies.", Presence::NothingAtAll),
            ("no allergies", Presence::NothingAtAll),
            ("No history of allergy", Presence::NothingAtAll),
            ("Nil known", Presence::NothingAtAll),
            ("NKDA", Presence::NothingOfClass("medication")),
            ("No known drug allergies", Presence::NothingOfClass("medication")),
            ("No known food allergy", Presence::NothingOfClass("food")),
            ("No ibuprofen allergy", Presence::NotThis),
            ("No allergy to ibuprofen", Presence::NotThis),
            ("Not allergic to penicillin", Presence::NotThis),
            ("No known latex allergy", Presence::NotThis),
            ("Unknown", Presence::Unknown),
            ("Allergy status unknown", Presence::Unknown),
            ("Penicillin", Presence::Something),
            ("Nortriptyline", Presence::Something),
            ("Nonoxynol-9 allergy", Presence::Something),
            ("Nilotinib", Presence::Something),
            ("Norfloxacin allergy", Presence::Something),
            ("Unknown antibiotic", Presence::Something),
            ("Keine Allergien bekannt", Presence::NothingAtAll),
            ("keine bekannten Allergien.", Presence::NothingAtAll),
            ("Keine", Presence::NothingAtAll),
            (
                "Keine Allergien oder Unverträglichkeiten bekannt",
                Presence::NothingAtAll,
            ),
            (
                "Keine Medikamentenallergien bekannt",
                Presence::NothingOfClass("medication"),
            ),
            ("Allergiestatus unbekannt", Presence::Unknown),
            ("Unbekannt", Presence::Unknown),
            ("Unbekanntes Antibiotikum", Presence::Something),
            ("Keine Allergie gegen Penicillin", Presence::Something),
            ("Penicillin, sonst keine Allergien bekannt", Presence::Something),
        ] {
            assert_eq!(of_allergy(&Concept::of_text(text)), want, "{text}");
        }
    }

    #[test]
    fn a_code_that_names_an_agent_outweighs_words_that_deny_everything() {
        let mut c = Concept::of_code(SNOMED, "764146007", "Penicillin");
        c.text = Some("No known allergies".to_owned());
        assert_eq!(of_allergy(&c), Presence::Something);
        let mut local = Concept::of_code("urn:local", "NKA", "No known allergies");
        local.text = Some("NKA".to_owned());
        assert_eq!(of_allergy(&local), Presence::NothingAtAll);
    }

    #[test]
    fn conditions_and_medicines() {
        let c = |t: &str| of_condition(&Concept::of_text(t));
        assert_eq!(c("No current problems or disability"), Presence::NothingAtAll);
        assert_eq!(c("No known medical problems"), Presence::NothingAtAll);
        assert_eq!(c("Normal pressure hydrocephalus"), Presence::Something);
        assert_eq!(c("Not as sharp mentally as I used to be"), Presence::Something);
        assert_eq!(c("No known allergies"), Presence::NotThis);
        let m = |t: &str| of_medication(&Concept::of_text(t));
        assert_eq!(m("No known medications"), Presence::NothingAtAll);
        assert_eq!(m("No regular medicines"), Presence::NothingAtAll);
        assert_eq!(m("Novorapid"), Presence::Something);
        assert_eq!(m("Nil by mouth"), Presence::Something);
        assert_eq!(
            of_medication(&Concept::of_code(SNOMED, "787481004", "No known medications")),
            Presence::NothingAtAll
        );
    }
}
