//! Patient and RelatedPerson.

use super::*;
use crate::calendar::{date, instant, month, year};
use crate::fhir::{HL7, LOCAL};
use crate::names::{self, Given, PersonName};
use crate::rng::Rng;
use crate::story::{Known, section::WRITE};

const STREETS: &[&str] = &[
    "Lantern Row",
    "Harbour Lane",
    "Quince Street",
    "Mill Crescent",
    "Example Avenue",
    "Old Ferry Road",
    "Saffron Walk",
];
const TOWNS: &[&str] = &[
    "Exampleford",
    "Port Vitrine",
    "Samplebury",
    "Lower Testing",
    "Glassmere",
];
const LANGUAGES: &[(&str, &str)] = &[
    ("en", "English"),
    ("es", "Spanish"),
    ("pl", "Polish"),
    ("ar", "Arabic"),
    ("vi", "Vietnamese"),
    ("mi", "Māori"),
    ("so", "Somali"),
];

/// A number of the range kept for fiction (555-01…).
fn phone(rng: &mut Rng) -> String {
    format!("+1 {} 555 01{:02}", rng.between(201, 989), rng.below(100))
}

fn name(w: &mut Json, name: &PersonName) {
    if !name.text.is_empty() {
        w.str("text", name.text);
        return;
    }
    w.str("use", "official");
    w.str("family", &name.family);
    w.arr("given", |w| name.given.iter().for_each(|g| w.item_str(g)));
    if !name.prefix.is_empty() {
        w.arr("prefix", |w| w.item_str(name.prefix));
    }
}

fn identifiers(w: &mut Json, story: &Story, rng: &mut Rng) {
    let kind = |w: &mut Json, code: &str, text: &str| {
        fhir::concept(w, "type", &format!("{HL7}v2-0203"), code, "", text)
    };
    if rng.chance(30) {
        w.item(|w| {
            kind(w, "NI", "National identifier");
            w.str("system", &format!("{LOCAL}sid/national"));
            w.str("value", &format!("N{}", 700_000_000 + rng.below(99_999_999)));
        });
    }
    if story.n < 10_000_000_000 {
        band(w, story);
    }
    w.item(|w| {
        w.str("use", "usual");
        kind(w, "MR", "Medical record number");
        w.str("system", &format!("{LOCAL}sid/mrn"));
        w.str("value", &story.mrn);
    });
}

/// The OID that GS1 has registered for Global Service Relation Numbers.
const GSRN: &str = "urn:oid:2.51.1.7";

fn band(w: &mut Json, story: &Story) {
    w.item(|w| {
        w.str("system", GSRN);
        w.str("value", &crate::draw::gsrn(story.n));
    });
}

pub(super) fn patient(bundle: &mut Bundle, story: &Story) {
    let mut rng = story.rng(WRITE);
    bundle.put("Patient", &story.id, |w| {
        w.obj("meta", |w| {
            w.one("tag", |w| {
                w.str("system", &format!("{HL7}v3-ActReason"));
                w.str("code", "HTEST");
                w.str("display", "test health data");
            });
        });
        w.arr("identifier", |w| identifiers(w, story, &mut rng));
        w.raw("active", "true");
        w.one("name", |w| name(w, &story.name));
        let known = story.born_known != Known::Nothing;
        if known || rng.chance(50) {
            w.one("telecom", |w| {
                w.str("system", "phone");
                w.str("value", &phone(&mut rng));
                w.str("use", rng.word(&["mobile", "home"]));
            });
        }
        w.str("gender", story.gender);
        let birth = match story.born_known {
            Known::Day => date(story.born),
            Known::Month => month(story.born),
            Known::Year => year(story.born),
            Known::Nothing => String::new(),
        };
        w.str("birthDate", &birth);
        if let Some(died) = story.died {
            if story.n % 5 == 2 {
                w.raw("deceasedBoolean", "true");
            } else {
                w.str("deceasedDateTime", &instant(died));
            }
        }
        if known {
            w.one("address", |w| {
                w.str("use", "home");
                w.arr("line", |w| {
                    w.item_str(&format!("{} {}", rng.between(1, 240), rng.word(STREETS)))
                });
                w.str("city", rng.word(TOWNS));
                w.str("postalCode", &format!("{:05}", rng.below(99_999)));
            });
            contact(w, story, &mut rng);
            let (code, language) = if rng.chance(75) {
                ("en", "English")
            } else {
                rng.pick(LANGUAGES).copied().unwrap_or(("en", "English"))
            };
            w.one("communication", |w| {
                fhir::concept(w, "language", "urn:ietf:bcp:47", code, language, "");
                w.raw("preferred", "true");
            });
        }
        fhir::reference(w, "managingOrganization", "Organization", facility::ORGANIZATION);
    });
}

fn relative(rng: &mut Rng, story: &Story) -> ((&'static str, &'static str), PersonName) {
    let (code, shown, kind) = if story.age < 18 {
        rng.pick(&[("MTH", "mother", Given::Female), ("FTH", "father", Given::Male)])
            .copied()
    } else {
        rng.pick(&[
            ("SPS", "spouse", Given::Neutral),
            ("DAUC", "daughter", Given::Female),
            ("SONC", "son", Given::Male),
            ("SIS", "sister", Given::Female),
            ("FRND", "friend", Given::Neutral),
        ])
        .copied()
    }
    .unwrap_or(("FRND", "friend", Given::Neutral));
    let mut person = names::draw(rng, kind);
    if code != "FRND" && rng.chance(70) && !story.name.family.is_empty() {
        person.family.clone_from(&story.name.family);
    }
    ((code, shown), person)
}

fn contact(w: &mut Json, story: &Story, rng: &mut Rng) {
    if !rng.chance(55) {
        return;
    }
    let ((code, shown), person) = relative(rng, story);
    w.one("contact", |w| {
        w.arr("relationship", |w| {
            w.item(|w| fhir::concept_body(w, &format!("{HL7}v2-0131"), "N", "Next-of-Kin", shown));
            w.item(|w| fhir::concept_body(w, &format!("{HL7}v3-RoleCode"), code, shown, ""));
        });
        w.obj("name", |w| name(w, &person));
        w.one("telecom", |w| {
            w.str("system", "phone");
            w.str("value", &phone(rng));
        });
    });
}

pub(super) fn related(bundle: &mut Bundle, story: &Story) {
    let mut rng = story.rng(WRITE + 1);
    if story.born_known == Known::Nothing || !rng.chance(45) {
        return;
    }
    let ((code, shown), person) = relative(&mut rng, story);
    bundle.put("RelatedPerson", &story.sub("rel1"), |w| {
        w.raw("active", "true");
        fhir::reference(w, "patient", "Patient", &story.id);
        fhir::concepts(
            w,
            "relationship",
            &format!("{HL7}v3-RoleCode"),
            code,
            shown,
            shown,
        );
        w.one("name", |w| name(w, &person));
        w.one("telecom", |w| {
            w.str("system", "phone");
            w.str("value", &phone(&mut rng));
            w.str("use", "mobile");
        });
    });
}
