use super::*;
use std::collections::HashMap;
use vitrine_clinical::chart::{Concept, Value};

/// A store of a few resources.
fn store(entries: &[(&str, &str)]) -> HashMap<String, Vec<u8>> {
    entries
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
        .collect()
}
fn view(kind: &str, json: &str, store: &HashMap<String, Vec<u8>>) -> (Resource, Vec<String>) {
    read_with_deps(kind, json.as_bytes(), &mut |k| store.get(k).cloned()).unwrap()
}

#[test]
fn a_referenced_medication_is_named_with_its_ingredients() {
    let store = store(&[(
        "Medication/m",
        r#"{"resourceType":"Medication","id":"m","code":{"text":"Warfarin 3 mg tablet"},
            "ingredient":[{"itemCodeableConcept":{"text":"warfarin"}}]}"#,
    )]);
    let order = r#"{"resourceType":"MedicationRequest","status":"active","intent":"order",
        "medicationReference":{"reference":"Medication/m/_history/2","display":"something"},"subject":{"reference":"Patient/1"},
        "dosageInstruction":[{"timing":{"repeat":{"frequency":3,"period":1,"periodUnit":"d","when":["PC"]}},"asNeededBoolean":true,
        "doseAndRate":[{"doseQuantity":{"value":3.0,"unit":"mg"}}]}]}"#;
    let (Resource::MedicationRequest(r), deps) = view("MedicationRequest", order, &store) else {
        panic!()
    };
    assert_eq!(r.medication.unwrap().display(), Some("Warfarin 3 mg tablet"));
    assert_eq!(r.ingredients[0].display(), Some("warfarin"));
    assert_eq!(deps, ["Medication/m"]);
    let sig = &r.dosages[0];
    assert_eq!(sig.timing.as_deref(), Some("3 times per day, after meals"));
    assert_eq!(sig.as_needed.as_deref(), Some("as needed"));
    assert_eq!(sig.dose.as_ref().unwrap().value.as_ref().unwrap().as_str(), "3.0");
    let (Resource::MedicationRequest(r), deps) = view("MedicationRequest", order, &HashMap::new()) else {
        panic!()
    };
    assert_eq!(
        r.medication.unwrap().display(),
        Some("something"),
        "the reference's own words"
    );
    assert_eq!(deps, ["Medication/m"], "asked for though not found");
}

#[test]
fn a_contained_medication_is_not_asked_for() {
    let order = r##"{"resourceType":"MedicationStatement","status":"active",
        "contained":[{"resourceType":"Medication","id":"med1","code":{"coding":[{"system":"http://snomed.info/sct","code":"1","display":"Bisoprolol"}]}}],
        "medicationReference":{"reference":"#med1"},"subject":{"reference":"Patient/1"}}"##;
    let (Resource::MedicationStatement(s), deps) = view("MedicationStatement", order, &HashMap::new()) else {
        panic!()
    };
    assert_eq!(
        (s.medication.unwrap().display(), deps.len()),
        (Some("Bisoprolol"), 0)
    );
}

#[test]
fn people_are_named_through_their_roles() {
    let store = store(&[
        (
            "PractitionerRole/r",
            r#"{"resourceType":"PractitionerRole","id":"r","practitioner":{"reference":"Practitioner/d"}}"#,
        ),
        (
            "Practitioner/d",
            r#"{"resourceType":"Practitioner","id":"d","name":[{"use":"old","family":"Was"},{"family":"Rao","given":["Asha"],"prefix":["Dr"]}]}"#,
        ),
    ]);
    let allergy = r#"{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/1"},
        "recorder":{"reference":"PractitionerRole/r"},"asserter":{"reference":"Patient/9","display":"The mother"}}"#;
    let (Resource::AllergyIntolerance(a), deps) = view("AllergyIntolerance", allergy, &store) else {
        panic!()
    };
    assert_eq!(a.recorder.unwrap().display.as_deref(), Some("Dr Asha Rao"));
    assert_eq!(a.asserter.unwrap().display.as_deref(), Some("The mother"));
    assert_eq!(
        deps,
        ["PractitionerRole/r", "Practitioner/d"],
        "a name given in place is not asked for"
    );
}

#[test]
fn a_bed_leads_to_its_ward_and_a_loop_ends() {
    let place = |id: &str, kind: &str, parent: &str| {
        format!(
            r#"{{"resourceType":"Location","id":"{id}","name":"{id}!","physicalType":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/location-physical-type","code":"{kind}"}}]}},"partOf":{{"reference":"Location/{parent}"}}}}"#
        )
    };
    let (bed, ward) = (place("b4", "bd", "ICU"), place("ICU", "wa", "b4"));
    let store = store(&[("Location/b4", &bed), ("Location/ICU", &ward)]);
    let encounter = r#"{"resourceType":"Encounter","status":"in-progress","class":{"code":"IMP"},
        "location":[{"location":{"reference":"Location/b4"},"status":"active"}]}"#;
    let (Resource::Encounter(e), deps) = view("Encounter", encounter, &store) else {
        panic!()
    };
    let chain: Vec<_> = e.locations[0]
        .chain
        .iter()
        .map(|s| (s.id.as_deref(), s.physical_type.as_deref()))
        .collect();
    assert_eq!(chain, [(Some("b4"), Some("bd")), (Some("ICU"), Some("wa"))]);
    assert_eq!(deps, ["Location/b4", "Location/ICU"]);
    assert_eq!(e.locations[0].location.display.as_deref(), Some("b4!"));
}

#[test]
fn values_keep_their_digits() {
    let value = |member: &str| {
        let json =
            format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{member}}}"#);
        let (Resource::Observation(o), _) = view("Observation", &json, &HashMap::new()) else {
            panic!()
        };
        o.value.as_ref().and_then(Value::text)
    };
    for (member, want) in [
        (r#""valueQuantity":{"value":72.50,"unit":"kg"}"#, Some("72.50")),
        (r#""valueQuantity":{"value":1e-7}"#, Some("1e-7")),
        (
            r#""valueQuantity":{"value":0.30,"comparator":"<"}"#,
            Some("<0.30"),
        ),
        (
            r#""valueQuantity":{"value":12345678901234567890.1234567890}"#,
            Some("12345678901234567890.1234567890"),
        ),
        (r#""valueString":"trace""#, Some("trace")),
        (r#""valueInteger":7"#, Some("7")),
        (r#""valueBoolean":true"#, Some("yes")),
        (
            r#""valueRange":{"low":{"value":1.0},"high":{"value":2.0}}"#,
            Some("1.0–2.0"),
        ),
        (
            r#""valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}"#,
            Some("1:128"),
        ),
        (r#""valueSampledData":{"data":"1 2"}"#, None),
        (r#""dataAbsentReason":{"text":"unknown"}"#, None),
    ] {
        assert_eq!(value(member).as_deref(), want, "{member}");
    }
}

#[test]
fn inline_plain_text_is_decoded_and_nothing_else() {
    let json = r#"{"resourceType":"DocumentReference","status":"current","content":[
        {"attachment":{"contentType":"text/plain; charset=UTF-8","data":"RG9pbmcgd2VsbC4="}},
        {"attachment":{"contentType":"text/plain","data":"Y2Fm6Q=="}},
        {"attachment":{"contentType":"application/pdf","data":"RG9pbmcgd2VsbC4="}},
        {"attachment":{"contentType":"text/plain","url":"Binary/1"}}]}"#;
    let (Resource::DocumentReference(d), _) = view("DocumentReference", json, &HashMap::new()) else {
        panic!()
    };
    let texts: Vec<_> = d.attachments.iter().map(|a| a.text.as_deref()).collect();
    assert_eq!(texts, [Some("Doing well."), Some("café"), None, None]);
}

#[test]
fn what_cannot_be_read_is_absent_and_never_an_error() {
    let json = r#"{"resourceType":"AllergyIntolerance","clinicalStatus":7,"code":[],"reaction":{"severity":["severe"]},
        "recordedDate":{},"category":"food","patient":null}"#;
    let (Resource::AllergyIntolerance(a), _) = view("AllergyIntolerance", json, &HashMap::new()) else {
        panic!()
    };
    assert_eq!(
        (a.clinical_status, a.code, a.recorded),
        (None, None::<Concept>, None)
    );
    assert!(read("Patient", b"{", &mut |_| None).is_err());
    assert_eq!(read("Claim", b"{}", &mut |_| None).unwrap(), Resource::Other);
}

#[test]
fn whose_a_resource_is() {
    for (kind, json, want) in [
        ("Patient", r#"{"id":"1"}"#, Some("Patient/1")),
        ("Patient", "{}", None),
        (
            "Observation",
            r#"{"subject":{"reference":"Patient/1/_history/4"}}"#,
            Some("Patient/1"),
        ),
        ("Observation", r#"{"subject":{"reference":"Group/1"}}"#, None),
        (
            "Observation",
            r#"{"subject":{"reference":"urn:uuid:7"}}"#,
            Some("urn:uuid:7"),
        ),
        (
            "Observation",
            r#"{"subject":{"reference":"urn:uuid:7","type":"Device"}}"#,
            None,
        ),
        (
            "Observation",
            r#"{"subject":{"reference":"Patient?identifier=a|b"}}"#,
            Some("Patient?identifier=a|b"),
        ),
        ("Observation", r##"{"subject":{"reference":"#p"}}"##, None),
        (
            "Coverage",
            r#"{"beneficiary":{"reference":"Patient/1"}}"#,
            Some("Patient/1"),
        ),
        ("Task", r#"{"for":{"reference":"Patient/1"}}"#, Some("Patient/1")),
        (
            "ResearchSubject",
            r#"{"individual":{"reference":"http://h/fhir/Patient/1"}}"#,
            Some("http://h/fhir/Patient/1"),
        ),
        (
            "Appointment",
            r#"{"participant":[{"actor":{"reference":"Practitioner/2"}},{"actor":{"reference":"Patient/1"}}]}"#,
            Some("Patient/1"),
        ),
        (
            "AllergyIntolerance",
            r#"{"patient":{"reference":"Patient/1"},"asserter":{"reference":"Patient/2"}}"#,
            Some("Patient/1"),
        ),
        ("Practitioner", r#"{"id":"1"}"#, None),
        ("Observation", "{", None),
    ] {
        assert_eq!(
            crate::compartment(kind, json.as_bytes()).as_deref(),
            want,
            "{kind} {json}"
        );
    }
    let ids =
        crate::identifiers(br#"{"identifier":[{"system":"s","value":"1"},{"value":"2"},{"system":"t"}]}"#);
    assert_eq!(
        ids,
        [(Some("s".to_owned()), "1".to_owned()), (None, "2".to_owned())]
    );
}

#[test]
fn an_outcome_is_valid_fhir() {
    let issue = crate::Issue::new(crate::IssueCode::Required, "Patient.name", "a \"quoted\" text");
    for bytes in [
        crate::outcome::error(&issue),
        crate::outcome::errors(&[]),
        crate::outcome::information("Done"),
    ] {
        crate::validate(&bytes).unwrap();
    }
}
