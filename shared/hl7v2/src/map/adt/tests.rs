//! Messages written by hand, about nobody.

mod record;

use crate::charset::Charset;
use crate::fault::{Code, Fault};
use crate::json::{Json, at};
use crate::map::{Feed, map};
use crate::merge::{Meeting, Source, over};
use crate::{Draft, How, Mapped, Message};

pub(super) const PID: &str = "PID|1||4711^^^NORTH^MR~990^^^NORTH^PI||Ahlberg^Signe^Maj||19570312|F|||1 Quay St^^Harbour^^10115^^H||555 0100^PRN^PH";
pub(super) const PV1: &str = "PV1|1|E|ED^R2^B1||||77^Okonkwo^Ada|||MED||||7|||||V-1^^^NORTH^VN";

pub(super) fn sent(event: &str, segments: &[&str]) -> Result<Mapped, Fault> {
    let text = format!(
        "MSH|^~\\&|ADT|NORTH|VITRINE|NORTH|20260301080000||ADT^{event}|C1|P|2.5.1\rEVN|{event}|20260301080500\r{}",
        segments.join("\r")
    );
    let message = Message::read(text.as_bytes(), Charset::UTF_8).unwrap();
    map(&message, &Feed::new("adt", &|_, _, _, _, _| 0))
}

pub(super) fn of<'m>(mapped: &'m Mapped, kind: &str) -> Vec<&'m Draft> {
    mapped.drafts.iter().filter(|d| d.kind == kind).collect()
}

pub(super) fn one<'m>(mapped: &'m Mapped, kind: &str) -> &'m Draft {
    let all = of(mapped, kind);
    assert_eq!(all.len(), 1, "{kind}");
    all[0]
}

/// The draft as it would be stored where nothing is recorded.
pub(super) fn made(draft: &Draft) -> Json {
    let source = Source {
        feed: "adt",
        control: "C1",
        at: None,
    };
    match over(None, draft, &source) {
        Meeting::Write(made) => made,
        other => panic!("{other:?}"),
    }
}

/// Every draft is valid FHIR R4 once it is stored.
pub(super) fn valid(mapped: &Mapped) {
    for (n, draft) in mapped.drafts.iter().enumerate() {
        let body = made(draft).to_compact().replace("urn:vitrine:draft:", "Basic/x");
        let body = body.replacen('{', &format!("{{\"id\":\"x{n}\","), 1);
        if let Err(issues) = vitrine_fhir::validate(body.as_bytes()) {
            panic!("{} {n}: {issues:?}\n{body}", draft.kind);
        }
    }
}

fn text(node: &Json, path: &[&str]) -> String {
    let found = at(node, path);
    found.map_or_else(String::new, |f| {
        f.as_str().map_or_else(|| f.to_compact(), str::to_owned)
    })
}

#[test]
fn what_each_event_does_to_the_visit() {
    // Event, class, status in the draft, as made where nothing is recorded, period, whether it says where.
    let discharged = r#"{"end":"2026-03-01T08:05:00+00:00"}"#;
    let cases = [
        ("A01", "I", "in-progress", "in-progress", "", true),
        ("A02", "I", "in-progress", "in-progress", "", true),
        ("A03", "I", "finished", "finished", discharged, true),
        ("A04", "E", "arrived", "arrived", "", true),
        ("A04", "O", "arrived", "arrived", "", true),
        ("A04", "I", "in-progress", "in-progress", "", true),
        ("A05", "P", "planned", "planned", "", true),
        ("A06", "I", "in-progress", "in-progress", "", true),
        ("A07", "O", "in-progress", "in-progress", "", true),
        ("A08", "I", "", "unknown", "", true),
        ("A09", "I", "", "unknown", "", false),
        ("A10", "I", "in-progress", "in-progress", "", true),
        ("A11", "I", "cancelled", "cancelled", "", true),
        ("A12", "I", "in-progress", "in-progress", "", true),
        ("A13", "I", "in-progress", "in-progress", r#"{"end":null}"#, true),
        ("A14", "I", "planned", "planned", "", true),
        ("A15", "I", "", "unknown", "", false),
        ("A16", "I", "", "unknown", "", true),
        ("A23", "I", "entered-in-error", "entered-in-error", "", true),
        ("A25", "I", "", "unknown", "", true),
        ("A26", "I", "", "unknown", "", false),
        ("A27", "I", "cancelled", "cancelled", "", true),
        ("A28", "I", "", "unknown", "", true),
        ("A31", "I", "", "unknown", "", true),
        ("A60", "I", "", "unknown", "", true),
    ];
    for (event, class, status, stored, period, is_where) in cases {
        let pv1 = PV1.replace("|E|", &format!("|{class}|"));
        let mapped = sent(event, &[PID, &pv1]).unwrap();
        valid(&mapped);
        assert_eq!(mapped.patient, Some(0), "{event}");
        let visit = one(&mapped, "Encounter");
        assert_eq!(text(&visit.body, &["status"]), status, "{event}");
        assert_eq!(text(&visit.body, &["period"]), period, "{event}");
        assert_eq!(text(&made(visit), &["status"]), stored, "{event}");
        assert_eq!(visit.body.get("location").is_some(), is_where, "{event}");
        assert_eq!(
            of(&mapped, "Location").len(),
            if is_where { 2 } else { 0 },
            "{event}"
        );
        assert_eq!(visit.keys.len(), 1);
        assert_eq!(
            (visit.keys[0].system.as_str(), visit.keys[0].value.as_str()),
            ("urn:vitrine:feed:adt:authority:NORTH", "V-1")
        );
    }
}

#[test]
fn what_is_not_taken_says_so() {
    let cases: [(&str, &[&str], Code, &str); 17] = [
        ("A17", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        ("A18", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        ("A29", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        ("A34", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        (
            "A40",
            &[PID, "MRG|1^^^NORTH^MR"],
            Code::UnsupportedEvent,
            "MSH^1^9^1^2",
        ),
        ("A41", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        ("A45", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        ("A99", &[PID, PV1], Code::UnsupportedEvent, "MSH^1^9^1^2"),
        ("", &[PID, PV1], Code::RequiredField, "MSH^1^9"),
        ("A01", &[PV1], Code::SegmentSequence, "PID^1"),
        ("A01", &[PID], Code::SegmentSequence, "PV1^1"),
        ("A01", &[PID, "PV1|1|I|ED"], Code::RequiredField, "PV1^1^19"),
        ("A01", &[PID, PID, PV1], Code::SegmentSequence, "PID^2"),
        (
            "A01",
            &["PID|1||\"\"||Ahlberg^Signe", PV1],
            Code::RequiredField,
            "PID^1^3",
        ),
        (
            "A01",
            &["PID|1||4711||Ahlberg||12.3.57", PV1],
            Code::DataType,
            "PID^1^7",
        ),
        (
            "A31",
            &["PID|1||4711||Ahlberg||||||||||||||||||||||||someday|Y"],
            Code::DataType,
            "PID^1^29",
        ),
        ("A47", &[PID], Code::SegmentSequence, "MRG^1"),
    ];
    for (event, segments, code, place) in cases {
        let fault = sent(event, segments).unwrap_err();
        assert_eq!(fault.code, code, "{event} {segments:?}");
        assert_eq!(fault.place.unwrap().to_string(), place, "{event} {segments:?}");
        for value in ["Ahlberg", "4711", "Signe", "12.3.57", "someday"] {
            assert!(!fault.text.contains(value), "{}", fault.text);
        }
    }
}

#[test]
fn the_patient() {
    let pid = "PID|1|E-9^^^OLD^PI|990^^^NORTH^PI~4711^^^NORTH^MR|A-3^^^ELSE|Ahlberg^Signe^Maj^^Dr^^L||195703121430|F|||1 Quay St^^Harbour^^10115^^H|\
               |555 0100^PRN^PH|555 0199^WPN^PH|SV|M||ACC-5|123-45-6789|||||Y|2||||20260228|Y";
    let nk1 = "NK1|1|Ahlberg^Nils|SPO^Spouse^HL70063||555 0101^PRN^CP";
    let nobody = "NK1|2|||";
    let pd1 = "PD1|||Quay Practice|31^Banerjee^Ravi||||||||Y";
    let mapped = sent("A28", &[pid, pd1, nk1, nobody]).unwrap();
    valid(&mapped);
    let patient = one(&mapped, "Patient");
    assert_eq!(patient.how, How::Update);
    let keys: Vec<&str> = patient.keys.iter().map(|k| k.value.as_str()).collect();
    assert_eq!(keys, ["4711", "990", "E-9", "A-3"]);
    let b = &patient.body;
    let Some(Json::Array(ids)) = b.get("identifier") else {
        panic!()
    };
    let ids: Vec<String> = ids.iter().map(|i| text(i, &["value"])).collect();
    assert_eq!(ids, ["990", "4711", "E-9", "A-3", "ACC-5", "123456789"]);
    for (path, value) in [
        ("gender", "female"),
        ("birthDate", "1957-03-12"),
        ("deceasedDateTime", "2026-02-28"),
        ("multipleBirthInteger", "2"),
    ] {
        assert_eq!(text(b, &[path]), value, "{path}");
    }
    let whole = b.to_compact();
    for part in [
        r#""name":[{"use":"official","family":"Ahlberg","given":["Signe","Maj"],"prefix":["Dr"]}]"#,
        r#""language":{"coding":[{"system":"urn:ietf:bcp:47","code":"sv"}]},"preferred":true"#,
        r#"{"system":"phone","value":"555 0199","use":"work"}"#,
        r#""valueDateTime":"1957-03-12T14:30:00+00:00""#,
        r#""maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0002","code":"M"}]}"#,
        r#""contact":[{"relationship":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0063","code":"SPO","display":"Spouse"}],"text":"Spouse"}],"name":{"family":"Ahlberg","given":["Nils"]}"#,
        r#""display":"Ravi Banerjee""#,
        r#"{"type":"Organization","display":"Quay Practice"}"#,
    ] {
        assert!(whole.contains(part), "{part}\n{whole}");
    }
    assert!(!whole.contains("deceasedBoolean"));
    assert_eq!(Vec::<String>::from(patient.label), ["R"]);
    assert_eq!(mapped.notes.len(), 1);
    assert_eq!(mapped.notes[0].place.to_string(), "NK1^2");
}

#[test]
fn a_changed_identifier_keeps_the_old_one_as_old() {
    let mapped = sent("A47", &[PID, "MRG|4700^^^NORTH^MR~4711^^^NORTH^MR"]).unwrap();
    valid(&mapped);
    let patient = one(&mapped, "Patient");
    let keys: Vec<&str> = patient.keys.iter().map(|k| k.value.as_str()).collect();
    assert_eq!(keys, ["4711", "990", "4700"]);
    assert!(
        patient
            .body
            .to_compact()
            .contains(r#"{"system":"urn:vitrine:feed:adt:authority:NORTH","value":"4700","use":"old"}"#)
    );
}

#[test]
fn the_visit_and_its_places() {
    let mapped = sent(
        "A04",
        &[PID, PV1, "PV2|||C-9^Fall from a ladder||||||||||||||||||||||1"],
    )
    .unwrap();
    let visit = one(&mapped, "Encounter");
    let whole = made(visit).to_compact();
    for part in [
        r#""class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"EMER","display":"emergency"}"#,
        r#""status":"arrived""#,
        r#""period":{"start":"2026-03-01T08:05:00+00:00"}"#,
        r#""code":"ATND""#,
        r#""display":"Ada Okonkwo""#,
        r#""admitSource":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0023","code":"7"}]}"#,
        r#""display":"Fall from a ladder""#,
        r#""location":[{"location":{"reference":"urn:vitrine:draft:2","display":"R2-B1"},"period":{"start":"2026-03-01T08:05:00+00:00"},"status":"active"}]"#,
    ] {
        assert!(whole.contains(part), "{part}\n{whole}");
    }
    // A number of table 0217 is no triage category.
    assert!(visit.body.get("priority").is_none());
    assert_eq!(mapped.notes.len(), 1);
    let places = of(&mapped, "Location");
    assert_eq!(
        (
            places[0].keys[0].system.as_str(),
            places[0].keys[0].value.as_str()
        ),
        ("urn:vitrine:ward", "ED")
    );
    assert_eq!(places[1].keys[0].value, "ED|R2|B1");
    assert_eq!(
        text(&places[1].body, &["partOf", "reference"]),
        "urn:vitrine:draft:1"
    );
    assert_eq!(places[0].how, How::IfAbsent);
}

#[test]
fn a_visit_is_known_by_its_number_account_or_admission() {
    let account = format!("{PID}|||||ACC-5^^^NORTH^AN");
    let plain = format!("{PID}|||||ACC-5");
    let cases = [
        (
            PID,
            "PV1|1|I|ED||||||||||||||||V-1",
            "urn:vitrine:feed:adt:visit",
            "V-1",
        ),
        (PID, PV1, "urn:vitrine:feed:adt:authority:NORTH", "V-1"),
        (
            account.as_str(),
            "PV1|1|I|ED",
            "urn:vitrine:feed:adt:authority:NORTH",
            "ACC-5",
        ),
        (
            plain.as_str(),
            "PV1|1|I|ED",
            "urn:vitrine:feed:adt:account",
            "ACC-5",
        ),
        (
            PID,
            "PV1|1|I|ED|||||||||||||||||||||||||||||||||||||||||202603010700",
            "urn:vitrine:feed:adt:admission",
            "urn:vitrine:feed:adt:authority:NORTH|4711|1772348400000",
        ),
    ];
    for (pid, pv1, system, value) in cases {
        let mapped = sent("A01", &[pid, pv1]).unwrap();
        let key = &one(&mapped, "Encounter").keys[0];
        assert_eq!((key.system.as_str(), key.value.as_str()), (system, value));
    }
    // Nobody knows which visit: the patient is taken, the visit is said.
    let mapped = sent("A08", &[PID, "PV1|1|I|ED"]).unwrap();
    assert!(of(&mapped, "Encounter").is_empty());
    assert_eq!(mapped.notes[0].place.to_string(), "PV1^1^19");
}

#[test]
fn vip_is_a_label_of_the_patient_and_the_visit() {
    for (sent_vip, labels) in [
        ("VIP", ["R", "VIP"].as_slice()),
        ("Y", &["R", "VIP"]),
        ("N", &["N"]),
        ("0", &["N"]),
        ("", &["N"]),
        ("\"\"", &["N"]),
    ] {
        let pv1 = format!("PV1|1|I|ED|||||||||||||{sent_vip}|||V-1");
        let mapped = sent("A01", &[PID, &pv1]).unwrap();
        for kind in ["Patient", "Encounter"] {
            assert_eq!(
                Vec::<String>::from(one(&mapped, kind).label),
                labels,
                "{sent_vip} {kind}"
            );
        }
    }
}
