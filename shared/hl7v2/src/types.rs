//! HL7 v2 data types as FHIR R4 data types, by the HL7 v2-to-FHIR implementation guide 1.0.0 (its data type maps), where it has
//! one.

use crate::draft::Key;
use crate::json::{Json, array, concept, filled, object, text};
use crate::map::Feed;
use crate::message::{Rep, Seg};

/// Prefix of HL7's code systems of v2 tables and v3.
pub const HL7: &str = "http://terminology.hl7.org/CodeSystem/";

/// HL7 table 0001 as `administrative-gender`, as the guide maps it, in either case.
#[must_use]
pub fn gender(code: &str) -> Option<&'static str> {
    Some(match code.to_ascii_uppercase().as_str() {
        "F" => "female",
        "M" => "male",
        "O" | "A" | "N" => "other",
        "U" => "unknown",
        _ => return None,
    })
}

/// HL7 table 0004 as v3 ActCode, as far as the guide maps it, in either case: a Coding.
#[must_use]
pub fn act_class(code: &str) -> Option<Json> {
    let (code, display) = match code.to_ascii_uppercase().as_str() {
        "E" => ("EMER", "emergency"),
        "I" => ("IMP", "inpatient encounter"),
        "O" => ("AMB", "ambulatory"),
        "P" => ("PRENC", "pre-admission"),
        _ => return None,
    };
    Some(crate::json::coding(&format!("{HL7}v3-ActCode"), code, display))
}

/// HD, or a component of it: the URI of who gives identifiers. An OID or UUID is used as such; a name is looked up among the
/// feed's `systems`, else it is a name of this feed alone.
#[must_use]
pub fn authority(rep: &Rep<'_>, component: usize, feed: &Feed<'_>) -> Option<String> {
    let part = rep.part(component);
    let (namespace, id, kind) = (part.text(1), part.text(2), part.text(3).to_ascii_uppercase());
    if let Some(known) = feed.system(&namespace).or_else(|| feed.system(&id)) {
        return Some(known.to_owned());
    }
    let oid = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match kind.as_str() {
        "ISO" if oid => Some(format!("urn:oid:{id}")),
        "UUID" | "GUID" if !id.is_empty() => Some(format!("urn:uuid:{}", id.to_ascii_lowercase())),
        "URI" if id.contains(':') => Some(id),
        "DNS" if !id.is_empty() => Some(format!("https://{id}")),
        _ if !namespace.is_empty() => Some(feed.own("authority", &namespace)),
        _ if oid => Some(format!("urn:oid:{id}")),
        _ if !id.is_empty() => Some(feed.own("authority", &id)),
        _ => None,
    }
}

/// CX as a key: the id (CX.1) and its authority (CX.4, else the kind of identifier, else the feed's own). None where there is
/// no id, and for a placeholder without a letter or digit.
#[must_use]
pub fn cx_key(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Key> {
    let id = rep.text(1);
    if !id.chars().any(char::is_alphanumeric) {
        return None;
    }
    let system = authority(rep, 4, feed).unwrap_or_else(|| match rep.text(5) {
        kind if kind.is_empty() => feed.own("authority", "unnamed"),
        kind => feed
            .system(&kind)
            .map_or_else(|| feed.own("authority", &kind), str::to_owned),
    });
    Some(Key::new(system, id))
}

/// CX as Identifier.
#[must_use]
pub fn identifier(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Json> {
    let key = cx_key(rep, feed)?;
    let kind = rep.text(5);
    Some(object([
        (
            "type",
            (!kind.is_empty()).then(|| concept(&format!("{HL7}v2-0203"), &kind, "")),
        ),
        ("system", text(key.system)),
        ("value", text(key.value)),
        ("period", period(&rep.text(7), &rep.text(8), feed)),
    ]))
}

/// A key as Identifier.
#[must_use]
pub fn identifier_of(key: &Key) -> Json {
    object([
        ("system", text(key.system.clone())),
        ("value", text(key.value.clone())),
    ])
}

/// EI at a field as a key: the id (EI.1) and its authority (EI.2 to EI.4).
#[must_use]
pub fn ei_key(rep: &Rep<'_>, purpose: &str, feed: &Feed<'_>) -> Option<Key> {
    let id = rep.text(1);
    if !id.chars().any(char::is_alphanumeric) {
        return None;
    }
    let (namespace, universal, kind) = (rep.text(2), rep.text(3), rep.text(4));
    let system = if let Some(known) = feed.system(&namespace).or_else(|| feed.system(&universal)) {
        known.to_owned()
    } else if kind == "ISO"
        && universal.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && !universal.is_empty()
    {
        format!("urn:oid:{universal}")
    } else if !namespace.is_empty() {
        feed.own(purpose, &namespace)
    } else {
        feed.own(purpose, "")
    };
    Some(Key::new(system, id))
}

fn period(from: &str, to: &str, feed: &Feed<'_>) -> Option<Json> {
    let date = |t: &str| feed.time(t).map(|s| s.date_time());
    filled(object([("start", date(from)), ("end", date(to))]))
}

/// XPN as HumanName; none where it has no words.
#[must_use]
pub fn human_name(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Json> {
    // FN has subcomponents (own surname, prefix of it); a sender that puts words into them means the whole surname.
    let family = rep.text(1);
    let mut given = Vec::new();
    given.extend(text(rep.text(2)));
    given.extend(rep.text(3).split_whitespace().filter_map(text));
    if family.is_empty() && given.is_empty() {
        return None;
    }
    let kind = match rep.text(7).as_str() {
        "L" | "C" | "CURRENT" => Some("official"),
        "D" => Some("usual"),
        "M" => Some("maiden"),
        "N" => Some("nickname"),
        "S" | "A" | "P" => Some("anonymous").filter(|_| rep.text(7) == "S"),
        "B" | "BAD" => Some("old").filter(|_| rep.text(7) == "BAD"),
        "T" => Some("temp"),
        _ => None,
    };
    let suffixes = [rep.text(4), rep.text(6)];
    Some(object([
        ("use", kind.and_then(text)),
        ("family", text(family)),
        ("given", array(given)),
        ("prefix", array(text(rep.text(5)))),
        ("suffix", array(suffixes.into_iter().filter_map(text))),
        ("period", period(&rep.text(12), &rep.text(13), feed)),
    ]))
}

/// XAD as Address.
#[must_use]
pub fn address(rep: &Rep<'_>) -> Option<Json> {
    // SAD: street, name of it, number: what comes first is the whole line where nothing else is said.
    let lines = [rep.text(1), rep.text(2)];
    let kind = rep.text(7);
    let of = match kind.as_str() {
        "H" | "HOME" | "P" => Some("home"),
        "B" | "O" | "BUS" | "WORK" => Some("work"),
        "C" | "TMP" | "V" => Some("temp"),
        "BA" => Some("old"),
        "BI" => Some("billing"),
        _ => None,
    };
    let out = object([
        ("line", array(lines.into_iter().filter_map(text))),
        ("city", text(rep.text(3))),
        ("district", text(rep.text(9))),
        ("state", text(rep.text(4))),
        ("postalCode", text(rep.text(5))),
        ("country", text(rep.text(6))),
    ]);
    let Json::Object(mut members) = filled(out)? else {
        return None;
    };
    if let Some(of) = of {
        members.insert(0, ("use".into(), Json::String(of.into())));
    }
    if kind == "M" {
        members.insert(0, ("type".into(), Json::String("postal".into())));
    }
    Some(Json::Object(members))
}

/// XTN as ContactPoint. `work`: the field is for the place of work.
#[must_use]
pub fn contact_point(rep: &Rep<'_>, work: bool) -> Option<Json> {
    let equipment = rep.text(3).to_ascii_uppercase();
    let written = rep.text(12);
    let mail = rep.text(4);
    let parts = [rep.text(5), rep.text(6), rep.text(7)];
    let joined = if parts.iter().skip(2).all(String::is_empty) {
        String::new()
    } else {
        let country = if parts.iter().any(|p| p.starts_with('+')) {
            ""
        } else {
            "+"
        };
        let mut all: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        if let (false, Some(first)) = (rep.text(5).is_empty(), all.first_mut()) {
            *first = format!("{country}{first}");
        }
        if !rep.text(8).is_empty() {
            all.push(format!("x{}", rep.text(8)));
        }
        all.join(" ")
    };
    let is_mail = matches!(equipment.as_str(), "INTERNET" | "X.400") && !mail.is_empty();
    let value = [
        if is_mail { mail.clone() } else { String::new() },
        rep.text(1),
        joined,
        written,
        mail,
    ]
    .into_iter()
    .find(|v| !v.is_empty())?;
    let system = match equipment.as_str() {
        "FX" => "fax",
        "BP" => "pager",
        "INTERNET" | "X.400" => "email",
        _ if value.contains('@') => "email",
        _ => "phone",
    };
    let of = match rep.text(2).to_ascii_uppercase().as_str() {
        _ if equipment == "CP" => Some("mobile"),
        "PRN" | "ORN" | "VHN" | "HOME" => Some("home"),
        "WPN" | "WORK" => Some("work"),
        "PRS" => Some("mobile"),
        _ if work => Some("work"),
        _ => None,
    };
    Some(object([
        ("system", text(system)),
        ("value", text(value)),
        ("use", of.and_then(text)),
    ]))
}

/// The URI of a coding system by its name in HL7 table 0396, else one of the feed's own.
#[must_use]
pub fn code_system(name: &str, feed: &Feed<'_>) -> Option<String> {
    let upper = name.trim().to_ascii_uppercase();
    if upper.is_empty() {
        return None;
    }
    if let Some(known) = feed.code_system(name.trim()) {
        return Some(known.to_owned());
    }
    let known = match upper.as_str() {
        "LN" | "LOINC" => "http://loinc.org",
        "SCT" | "SNM" | "SNOMED" | "SNOMED-CT" | "SCT2" => "http://snomed.info/sct",
        "RXNORM" | "RXN" => "http://www.nlm.nih.gov/research/umls/rxnorm",
        "I10" | "ICD10" => "http://hl7.org/fhir/sid/icd-10",
        "I10C" | "ICD-10-CM" | "ICD10CM" => "http://hl7.org/fhir/sid/icd-10-cm",
        "I9" | "I9C" | "I9CDX" | "ICD9" => "http://hl7.org/fhir/sid/icd-9-cm",
        "CVX" => "http://hl7.org/fhir/sid/cvx",
        "MVX" => "http://hl7.org/fhir/sid/mvx",
        "NDC" => "http://hl7.org/fhir/sid/ndc",
        "UCUM" => "http://unitsofmeasure.org",
        "C4" | "CPT" | "CPT-4" => "http://www.ama-assn.org/go/cpt",
        "ATC" | "WC" => "http://www.whocc.no/atc",
        "UNII" => "http://fdasis.nlm.nih.gov",
        "CDCREC" => "urn:oid:2.16.840.1.113883.6.238",
        "MDC" => "urn:iso:std:iso:11073:10101",
        _ => {
            let table = upper
                .strip_prefix("HL7")
                .unwrap_or_default()
                .trim_start_matches('-');
            if !table.is_empty() && table.len() <= 4 && table.bytes().all(|b| b.is_ascii_digit()) {
                return Some(format!("{HL7}v2-{table:0>4}"));
            }
            return Some(feed.own("codes", name.trim()));
        }
    };
    Some(known.to_owned())
}

/// CWE, CNE, CE as CodeableConcept: the two codings, and the original text. None where all of it is empty.
#[must_use]
pub fn codeable_concept(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Json> {
    concept_in(rep, "", feed)
}

/// The same, where a code without a system is of `table` (a URI; empty: it is of the feed).
#[must_use]
pub fn concept_in(rep: &Rep<'_>, table: &str, feed: &Feed<'_>) -> Option<Json> {
    let one = |code: usize, words: usize, system: usize, version: usize| {
        let (code, words) = (rep.text(code), rep.text(words));
        if code.is_empty() {
            return None;
        }
        let system = code_system(&rep.text(system), feed).or_else(|| {
            if table.is_empty() {
                Some(feed.own("codes", ""))
            } else {
                Some(table.to_owned())
            }
        });
        let version = Some(rep.text(version)).filter(|_| version > 0);
        Some(object([
            ("system", system.and_then(text)),
            ("version", version.and_then(text)),
            ("code", text(code)),
            ("display", text(words)),
        ]))
    };
    let codings = [one(1, 2, 3, 7), one(4, 5, 6, 8)];
    let original = [rep.text(9), rep.text(2), rep.text(5)]
        .into_iter()
        .find(|t| !t.is_empty())
        .or_else(|| Some(rep.text(1)).filter(|_| table.is_empty()));
    filled(object([
        ("coding", array(codings.into_iter().flatten())),
        ("text", original.and_then(text)),
    ]))
}

/// XCN as a Reference by identifier and name: who staff are is the directory's, not the feed's.
#[must_use]
pub fn practitioner(rep: &Rep<'_>, feed: &Feed<'_>) -> Option<Json> {
    let id = rep.text(1);
    let words: Vec<String> = [rep.text(6), rep.text(3), rep.text(4), rep.text(2), rep.text(5)]
        .into_iter()
        .filter(|w| !w.is_empty())
        .collect();
    let system = authority(rep, 9, feed).unwrap_or_else(|| feed.own("staff", ""));
    let identifier = (!id.is_empty()).then(|| identifier_of(&Key::new(system, id)));
    let shown = words.join(" ");
    if identifier.is_none() && shown.is_empty() {
        return None;
    }
    Some(object([
        ("type", text("Practitioner")),
        ("identifier", identifier),
        ("display", text(shown)),
    ]))
}

/// Every filled repetition of a field through one of the functions of this module.
#[must_use]
pub fn every(seg: &Seg<'_>, field: usize, of: impl Fn(&Rep<'_>) -> Option<Json>) -> Option<Json> {
    array(seg.reps(field).filter_map(|r| of(&r)))
}

/// A number as FHIR writes decimals, from HL7's NM (`+1.50`, `.5`, `-0`); none where it is none.
#[must_use]
pub fn decimal(text: &str) -> Option<Json> {
    let text = text.trim();
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", rest)) => ("-", rest),
        Some(("+", rest)) => ("", rest),
        _ => ("", text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !all(whole) || !all(part) || digits.len() > 40 {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if part.is_empty() {
        String::new()
    } else {
        format!(".{part}")
    };
    Some(Json::Number(format!("{sign}{whole}{point}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charset::Charset;
    use crate::message::Message;

    fn of(field: &str, map: impl Fn(&Rep<'_>, &Feed<'_>) -> Option<Json>) -> String {
        let text = format!("MSH|^~\\&|LAB|NORTH\rZZZ|{field}");
        let message = Message::read(text.as_bytes(), Charset::UTF_8).unwrap();
        let systems = [("MRN".to_owned(), "https://h.example/mrn".to_owned())].into();
        let feed = Feed {
            systems: Some(&systems),
            ..Feed::new("lab", &|_, _, _, _, _| 0)
        };
        map(&message.first("ZZZ").unwrap().rep(1), &feed)
            .map(|j| j.to_compact())
            .unwrap_or_default()
    }

    #[test]
    fn identifiers_keep_who_gave_them() {
        let cases = [
            ("12^^^MRN^MR", r#""system":"https://h.example/mrn","value":"12""#),
            ("12^^^N&1.2.3&ISO^MR", r#""system":"urn:oid:1.2.3","value":"12""#),
            (
                "12^^^Other Place^MR",
                r#""system":"urn:vitrine:feed:lab:authority:Other%20Place","value":"12""#,
            ),
            (
                "12^^^^MR",
                r#""system":"urn:vitrine:feed:lab:authority:MR","value":"12""#,
            ),
            (
                "12",
                r#""system":"urn:vitrine:feed:lab:authority:unnamed","value":"12""#,
            ),
            ("-", ""),
            ("\"\"", ""),
        ];
        for (sent, holds) in cases {
            let got = of(sent, identifier);
            assert!(
                got.contains(holds) && got.is_empty() == holds.is_empty(),
                "{sent}: {got}"
            );
        }
    }

    #[test]
    fn names_addresses_and_numbers() {
        assert_eq!(
            of("O'Hara^Ann^Maria Luz^III^Dr^MD^L", human_name),
            r#"{"use":"official","family":"O'Hara","given":["Ann","Maria","Luz"],"prefix":["Dr"],"suffix":["III","MD"]}"#
        );
        assert_eq!(of("^^^^Dr", human_name), "");
        assert_eq!(
            of("1 High St&High St&1^Flat 2^Town^ST^12345^GBR^H", |r, _| address(
                r
            )),
            r#"{"use":"home","line":["1 High St","Flat 2"],"city":"Town","state":"ST","postalCode":"12345","country":"GBR"}"#
        );
        assert_eq!(of("^^^^^^H", |r, _| address(r)), "");
        let phones = [
            (
                "020 7946 0000^PRN^PH",
                r#"{"system":"phone","value":"020 7946 0000","use":"home"}"#,
            ),
            (
                "^PRN^CP^^1^201^5550101^7",
                r#"{"system":"phone","value":"+1 201 5550101 x7","use":"mobile"}"#,
            ),
            (
                "^NET^Internet^a@b.example",
                r#"{"system":"email","value":"a@b.example"}"#,
            ),
            (
                "^WPN^FX^^^^5550101",
                r#"{"system":"fax","value":"5550101","use":"work"}"#,
            ),
            ("^PRN", ""),
        ];
        for (sent, meant) in phones {
            assert_eq!(of(sent, |r, _| contact_point(r, false)), meant, "{sent}");
        }
    }

    #[test]
    fn concepts_name_their_system() {
        let cases = [
            (
                "2345-7^Glucose^LN^GLU^Glucose^L",
                r#"{"coding":[{"system":"http://loinc.org","code":"2345-7","display":"Glucose"},{"system":"urn:vitrine:feed:lab:codes:L","code":"GLU","display":"Glucose"}],"text":"Glucose"}"#,
            ),
            ("^Nut allergy", r#"{"text":"Nut allergy"}"#),
            (
                "F^Final^HL70085",
                r#"{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0085","code":"F","display":"Final"}],"text":"Final"}"#,
            ),
            ("", ""),
        ];
        for (sent, meant) in cases {
            assert_eq!(of(sent, codeable_concept), meant, "{sent}");
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        let cases = [
            ("72.50", "72.50"),
            ("+1.0", "1.0"),
            (".5", "0.5"),
            ("-0.20", "-0.20"),
            ("007", "7"),
            ("5.", "5"),
            ("<0.01", ""),
            ("1,5", ""),
            ("1e5", ""),
            ("NEG", ""),
            ("-", ""),
            ("", ""),
        ];
        for (sent, meant) in cases {
            let got = decimal(sent).map(|j| j.to_compact()).unwrap_or_default();
            assert_eq!(got, meant, "{sent}");
        }
    }
}
