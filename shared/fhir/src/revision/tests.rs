use super::revision;
use vitrine_clinical::chart::{Provenance, Resource};
use vitrine_clinical::label::Label;
use vitrine_clinical::{FhirId, PatientId, ResourceKey, UtcMs};

fn of(before: &str) -> Result<Vec<u8>, crate::FhirError> {
    revision(
        &FhirId::new("r-1").unwrap(),
        &ResourceKey::new("Observation", "k").unwrap(),
        &PatientId::new("p-1").unwrap(),
        (3, before.as_bytes()),
        UtcMs(1_795_235_460_123),
        &["sample \"haemolysed\"".to_owned()],
        Label::NONE,
    )
}

#[test]
fn what_was_said_is_kept_with_its_digits_in_a_valid_provenance_of_the_same_patient() {
    let before = r##"{"resourceType":"Observation","id":"k","meta":{"versionId":"9"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
      "contained":[{"resourceType":"Practitioner","id":"a"}],"status":"final","code":{"text":"Kalium \"K\""},
      "subject":{"reference":"Patient/p-1"},"performer":[{"reference":"#a","display":"Dr A"}],"valueQuantity":{"value":6.10,"unit":"mmol/L"}}"##;
    let made = of(before).unwrap();
    crate::validate(&made).unwrap();
    assert_eq!(
        crate::compartment("Provenance", &made).as_deref(),
        Some("Patient/p-1")
    );
    let text = String::from_utf8(made.clone()).unwrap();
    assert!(text.contains("\"value\":6.10"), "{text}");
    assert!(!text.contains("xhtml") && !text.contains("versionId") && !text.contains("Practitioner"));
    let view = crate::read("Provenance", &made, &mut |_| panic!("nothing is asked for")).unwrap();
    let Resource::Provenance(Provenance {
        targets,
        recorded,
        reasons,
        before: Some(before),
    }) = view
    else {
        panic!("{view:?}")
    };
    assert_eq!(targets[0].reference.as_deref(), Some("Observation/k"));
    assert_eq!(reasons[0].display(), Some("sample \"haemolysed\""));
    assert_eq!(recorded.unwrap().as_str(), "2026-11-21T04:31:00.123Z");
    assert_eq!(before.value.unwrap().text().as_deref(), Some("6.10"));
    assert_eq!(before.status.as_deref(), Some("final"));
}

#[test]
fn anothers_provenance_without_a_revision_says_nothing_of_a_value() {
    for (text, why) in [
        (
            r#"{"resourceType":"Provenance","target":[{"reference":"Observation/k"}]}"#,
            "no entity",
        ),
        (
            r##"{"resourceType":"Provenance","contained":[{"resourceType":"Observation","id":"o"}],"entity":[{"role":"source","what":{"reference":"#o"}}]}"##,
            "another role",
        ),
        (
            r##"{"resourceType":"Provenance","contained":[{"resourceType":"Patient","id":"o"}],"entity":[{"role":"revision","what":{"reference":"#o"}}]}"##,
            "another type",
        ),
    ] {
        let Resource::Provenance(p) = crate::read("Provenance", text.as_bytes(), &mut |_| None).unwrap()
        else {
            panic!("{why}")
        };
        assert_eq!(p.before, None, "{why}");
    }
    assert!(of("[1]").is_err());
    assert!(of("{").is_err());
}
