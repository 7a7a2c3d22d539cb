//! A Patient as two records of people are compared (`vitrine_clinical::matching`): the one place where FHIR becomes that.
//!
//! Never here: the comparing, finding whom to compare.

use crate::compartment::parse;
use crate::issue::FhirError;
use crate::json::Node as _;
use crate::read::person::human_name;
use fhirkit::Json;
use vitrine_clinical::chart::{HumanName, PartialDate};
use vitrine_clinical::matching::{Identifier, IdentifierKind, Person};

/// Types of identifiers, HL7 table 0203 version 2.
const TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
/// Numbers of a hospital, in that table: medical record numbers, temporary ones, a patient's internal and external number.
const OF_A_HOSPITAL: &[&str] = &["MR", "MRT", "PI", "PT"];
/// Systems whose numbers each person of a country has one of.
const NATIONAL: &[&str] = &[
    "https://fhir.nhs.uk/Id/nhs-number",
    "http://hl7.org/fhir/sid/us-ssn",
    "urn:oid:2.16.840.1.113883.4.1", // the same
    "urn:oid:1.2.208.176.1.2",       // CPR, Denmark
    "urn:oid:2.16.756.5.32",         // AHV, Switzerland
];

/// What is known of a Patient, for comparing it with another.
///
/// The name is the first that is official, else usual, else in use, else any; the family names of all others are former ones. A
/// name that is text alone is read as `family, given`, without a comma as given names and then the family name. Numbers
/// without a `system` are left out: nobody knows with what they may be compared. Old addresses, phones and numbers are left out.
///
/// # Errors
/// [`FhirError`] for what is no JSON. Members of another shape than FHIR's are as if they were missing.
pub fn demographics(patient: &[u8]) -> Result<Person, FhirError> {
    Ok(of(&parse(patient)?))
}

fn of(root: &Json) -> Person {
    let names: Vec<HumanName> = root.items("name").iter().map(human_name).collect();
    let used = |usage: &str| {
        names
            .iter()
            .position(|n| n.usage.as_deref() == Some(usage) && !n.ended)
    };
    let former = |n: &HumanName| n.ended || n.usage.as_deref() == Some("maiden");
    let first = used("official")
        .or_else(|| used("usual"))
        .or_else(|| names.iter().position(|n| !former(n)))
        .or(if names.is_empty() { None } else { Some(0) });
    let read: Vec<(Option<String>, Vec<String>)> = names.iter().map(parts).collect();
    let (family, given) = first.and_then(|n| read.get(n)).cloned().unwrap_or_default();
    let others = read.iter().enumerate().filter(|(n, _)| Some(*n) != first);
    let former = others
        .filter_map(|(_, (f, _))| f.clone())
        .filter(|f| Some(f) != family.as_ref());
    let current = |key: &str| -> Vec<&Json> {
        let items = root.items(key).iter();
        items.filter(|i| i.text("use") != Some("old")).collect()
    };
    let addresses = current("address");
    let home = addresses.iter().find(|a| a.text("use") == Some("home"));
    let address = home.or(addresses.first()).copied();
    let of_address = |key: &str| address.and_then(|a| a.text(key)).map(str::to_owned);
    let lines = address.map(|a| a.texts("line").join(" "));
    let is_phone = |t: &&Json| matches!(t.text("system"), Some("phone" | "sms"));
    Person {
        former: former.collect(),
        family,
        given,
        birth_date: root.text("birthDate").map(PartialDate::new),
        gender: root.text("gender").map(str::to_owned),
        postcode: of_address("postalCode"),
        city: of_address("city"),
        street: lines.filter(|l| !l.trim().is_empty()),
        phones: current("telecom")
            .into_iter()
            .filter(is_phone)
            .filter_map(|t| t.text("value").map(str::to_owned))
            .collect(),
        identifiers: current("identifier").into_iter().filter_map(identifier).collect(),
        deceased: root.flag("deceasedBoolean").unwrap_or(false) || root.get("deceasedDateTime").is_some(),
        multiple_birth: root.flag("multipleBirthBoolean").unwrap_or(false)
            || root.get("multipleBirthInteger").is_some(),
    }
}

/// Family and given names of a name.
fn parts(name: &HumanName) -> (Option<String>, Vec<String>) {
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    match &name.text {
        Some(text) if name.family.is_none() && name.given.is_empty() => match text.split_once(',') {
            Some((family, given)) => (Some(family.trim().to_owned()), words(given)),
            None => {
                let mut given = words(text);
                let family = given.pop();
                (family, given)
            }
        },
        _ => (name.family.clone(), name.given.clone()),
    }
}

fn identifier(node: &Json) -> Option<Identifier> {
    let (system, value) = (node.text("system")?, node.text("value")?);
    let types = node.get("type").map(|t| t.items("coding")).unwrap_or_default();
    let code = types
        .iter()
        .find(|c| c.text("system") == Some(TYPES))
        .and_then(|c| c.text("code"));
    let kind = match code {
        _ if NATIONAL.contains(&system) => IdentifierKind::National,
        // NNxxx: the national number of a country.
        Some(code) if matches!(code, "NI" | "SS") || code.len() == 5 && code.starts_with("NN") => {
            IdentifierKind::National
        }
        Some(code) if OF_A_HOSPITAL.contains(&code) => IdentifierKind::Record,
        _ => IdentifierKind::Other,
    };
    Some(Identifier {
        kind,
        system: system.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use IdentifierKind::{National, Other, Record};

    fn read(text: &str) -> Person {
        demographics(format!(r#"{{"resourceType":"Patient",{text}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn the_name_in_use_comes_first_and_every_other_family_name_is_a_former_one() {
        for (names, family, given, former) in [
            (
                r#"{"family":"A","given":["B","C"]}"#,
                Some("A"),
                &["B", "C"][..],
                &[][..],
            ),
            (
                r#"{"use":"maiden","family":"M","given":["B"]},{"use":"usual","family":"U","given":["N"]},{"use":"official","family":"A","given":["B"]}"#,
                Some("A"),
                &["B"],
                &["M", "U"],
            ),
            (
                r#"{"use":"old","family":"O","given":["X"]},{"family":"A","given":["B"]},{"use":"nickname","family":"A","given":["Bee"]}"#,
                Some("A"),
                &["B"],
                &["O"],
            ),
            (
                r#"{"use":"official","family":"O","given":["X"],"period":{"end":"2001"}},{"family":"A"}"#,
                Some("A"),
                &[],
                &["O"],
            ),
            (
                r#"{"use":"maiden","family":"M","given":["B"]}"#,
                Some("M"),
                &["B"],
                &[],
            ),
            (
                r#"{"text":"Anna Maria Müller"}"#,
                Some("Müller"),
                &["Anna", "Maria"],
                &[],
            ),
            (r#"{"text":"van Dam, Jan"}"#, Some("van Dam"), &["Jan"], &[]),
            (
                r#"{"text":"Jan van Dam","family":"van Dam"}"#,
                Some("van Dam"),
                &[],
                &[],
            ),
            (r#"{"family":7,"given":"B"}"#, None, &["B"], &[]),
        ] {
            let p = read(&format!(r#""name":[{names}]"#));
            assert_eq!(p.family.as_deref(), family, "{names}");
            assert_eq!(p.given, given, "{names}");
            assert_eq!(p.former, former, "{names}");
        }
        assert_eq!(read(r#""active":true"#), Person::default());
    }

    #[test]
    fn what_is_old_or_without_a_system_is_not_compared() {
        let p = read(
            r#""birthDate":"1950-03","gender":"female","deceasedDateTime":"2020","multipleBirthInteger":2,
            "telecom":[{"system":"phone","value":"1","use":"old"},{"system":"phone","value":"2"},{"system":"email","value":"e"},{"system":"sms","value":"3"}],
            "address":[{"use":"old","line":["o"],"city":"O"},{"use":"work","line":["w"]},{"use":"home","line":["1","High Street"],"city":"C","postalCode":"P"}],
            "identifier":[{"value":"none"},{"system":"s","value":"old","use":"old"},{"system":"s","value":"x"},
              {"system":"m","value":"r","type":{"coding":[{"system":"urn:x","code":"SS"},{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]}},
              {"system":"n","value":"n","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NNCHE"}]}},
              {"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9"}]"#,
        );
        assert_eq!(p.birth_date, Some(PartialDate::new("1950-03")));
        assert_eq!(p.phones, ["2", "3"]);
        assert_eq!(
            (p.street.as_deref(), p.city.as_deref(), p.postcode.as_deref()),
            (Some("1 High Street"), Some("C"), Some("P"))
        );
        let kinds: Vec<(IdentifierKind, &str)> =
            p.identifiers.iter().map(|i| (i.kind, i.value.as_str())).collect();
        assert_eq!(
            kinds,
            [(Other, "x"), (Record, "r"), (National, "n"), (National, "9")]
        );
        assert!(p.deceased && p.multiple_birth);
        assert!(demographics(b"{").is_err());
    }
}
