//! Results (ORU, OUL), by invented messages.

mod results_support;

use results_support::{checked, head, mapped, member, notes, of};
use vitrine_hl7v2::How;

const OBR: &str = "ORC|RE|P1^HIS|F1^LAB\nOBR|1|P1^HIS|F1^LAB|24323-8^Comprehensive metabolic panel^LN|||202603010900|||||||||1^Hall^Ruth||||||20260301113000||LAB|F\n";

fn oru(rest: &str) -> String {
    format!("{}{OBR}{rest}", head("ORU^R01"))
}

/// OBX-2, OBX-5, OBX-6, member, what it holds, whether a note is due.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
);

#[test]
fn every_value_is_recorded_as_what_it_is_or_as_it_was_sent() {
    const UNIT: &str = r#""unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L""#;
    let cases: &[Case] = &[
        (
            "NM",
            "6.40",
            "mmol/L",
            "valueQuantity",
            "{\"value\":6.40,UNIT}",
            false,
        ),
        (
            "NM",
            "<0.01",
            "mmol/L",
            "valueQuantity",
            "{\"value\":0.01,\"comparator\":\"<\",UNIT}",
            false,
        ),
        ("NM", "1,5", "mmol/L", "valueString", "1,5 mmol/L", true),
        ("NM", "NEG", "", "valueString", "NEG", true),
        ("NM", "5^6", "", "valueString", "5^6", true),
        (
            "NM",
            "\"\"",
            "mmol/L",
            "dataAbsentReason.coding.0.code",
            "unknown",
            false,
        ),
        (
            "NM",
            "27~25",
            "mmol/L",
            "component.1.valueQuantity",
            "{\"value\":25,UNIT}",
            false,
        ),
        (
            "SN",
            "^182",
            "mmol/L",
            "valueQuantity",
            "{\"value\":182,UNIT}",
            false,
        ),
        (
            "SN",
            ">^100",
            "mmol/L",
            "valueQuantity",
            "{\"value\":100,\"comparator\":\">\",UNIT}",
            false,
        ),
        (
            "SN",
            "^1^-^5",
            "mmol/L",
            "valueRange",
            "{\"low\":{\"value\":1,UNIT},\"high\":{\"value\":5,UNIT}}",
            false,
        ),
        (
            "SN",
            "^1^:^128",
            "",
            "valueRatio",
            "{\"numerator\":{\"value\":1},\"denominator\":{\"value\":128}}",
            false,
        ),
        ("SN", "^2^+", "", "valueString", "^2^+", true),
        ("SN", ">^1^:^128", "", "valueString", ">^1^:^128", true),
        (
            "CWE",
            "260385009^Negative^SCT",
            "",
            "valueCodeableConcept.coding.0.code",
            "260385009",
            false,
        ),
        (
            "CE",
            "^Not seen",
            "",
            "valueCodeableConcept",
            "{\"text\":\"Not seen\"}",
            false,
        ),
        (
            "CE",
            "A^a^L~B^b^L",
            "",
            "component.1.valueCodeableConcept.text",
            "b",
            false,
        ),
        (
            "ST",
            "a^b & c~second",
            "",
            "valueString",
            "a^b & c\nsecond",
            false,
        ),
        ("FT", "one\\.br\\two", "", "valueString", "one\ntwo", false),
        ("", "28", "%", "valueString", "28 %", true),
        (
            "XAD",
            "1 High St^^Town",
            "",
            "valueString",
            "1 High St^^Town",
            true,
        ),
        ("DT", "20260228", "", "valueDateTime", "2026-02-28", false),
        (
            "TS",
            "202602281405",
            "",
            "valueDateTime",
            "2026-02-28T14:05:00+01:00",
            false,
        ),
        ("DTM", "yesterday", "", "valueString", "yesterday", true),
        ("TM", "1405", "", "valueTime", "14:05:00", false),
        ("TM", "2460", "", "valueString", "2460", true),
        ("RP", "no address", "", "valueString", "no address", true),
    ];
    for (kind, value, unit, path, meant, noted) in cases {
        let m = checked(&oru(&format!(
            "OBX|1|{kind}|2345-7^Glucose^LN||{value}|{unit}|||||F"
        )));
        let found = of(&m, "Observation");
        assert_eq!(found.len(), 1, "{kind} {value}");
        assert_eq!(
            member(found[0], path),
            meant.replace("UNIT", UNIT),
            "{kind} {value}: {}",
            found[0].body.to_pretty()
        );
        assert_eq!(!m.notes.is_empty(), *noted, "{kind} {value}: {:?}", notes(&m));
    }
}

#[test]
fn a_result_says_what_when_how_sure_and_by_whom() {
    let m = checked(&oru(
        "NTE|1||haemolysed\nOBX|1|NM|2823-3^Potassium^LN^K^Potassium^L|1|6.9|mmol/L|3.5 - 5.1|HH^^HL70078~A|||C|||20260301091500|^Core lab|77^Moreau^Lea^^^Dr|^ISE||20260301112000||||Core Laboratory\nNTE|1||phoned\nNTE|2||to ward",
    ));
    let [remark, o] = of(&m, "Observation")[..] else {
        panic!()
    };
    let is = [
        ("status", "corrected"),
        ("category.0.coding.0.code", "laboratory"),
        ("code.coding.0.code", "2823-3"),
        ("code.coding.1.code", "K"),
        ("subject.reference", "urn:vitrine:draft:0"),
        ("effectiveDateTime", "2026-03-01T09:15:00+01:00"),
        ("issued", "2026-03-01T11:30:00+01:00"),
        ("interpretation.0.coding.0.code", "HH"),
        (
            "interpretation.0.coding.0.system",
            "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
        ),
        ("interpretation.1.coding.0.code", "A"),
        ("referenceRange.0.text", "3.5 - 5.1"),
        ("referenceRange.0.high.value", "5.1"),
        ("performer.0.display", "Dr Lea Moreau"),
        ("performer.1.display", "Core Laboratory"),
        ("method.text", "ISE"),
        ("note.0.text", "phoned\nto ward"),
    ];
    for (path, meant) in is {
        assert_eq!(member(o, path), meant, "{path}");
    }
    assert_eq!(
        (
            member(remark, "valueString"),
            member(remark, "code.coding.0.code")
        ),
        ("haemolysed".into(), "8251-1".into())
    );
    assert_eq!(o.how, How::Replace);
    assert_eq!(o.dated.as_ref().unwrap().as_str(), "2026-03-01T11:30:00+01:00");
    let [r] = of(&m, "DiagnosticReport")[..] else {
        panic!()
    };
    let is = [
        ("status", "final"),
        ("code.coding.0.code", "24323-8"),
        ("category.0.coding.0.code", "LAB"),
        ("effectiveDateTime", "2026-03-01T09:00:00+01:00"),
        ("issued", "2026-03-01T11:30:00+01:00"),
        ("basedOn.0.identifier.value", "P1"),
        ("result.0.reference", "urn:vitrine:draft:2"),
        ("result.1.reference", "urn:vitrine:draft:3"),
        ("conclusion", ""),
    ];
    for (path, meant) in is {
        assert_eq!(member(r, path), meant, "{path}");
    }
    assert!(m.notes.is_empty(), "{:?}", notes(&m));
}

#[test]
fn statuses_are_those_of_table_0085() {
    let cases = [
        ("F", "7", "final", ""),
        ("P", "7", "preliminary", ""),
        ("R", "7", "preliminary", ""),
        ("C", "7", "corrected", ""),
        ("W", "7", "entered-in-error", ""),
        ("D", "7", "entered-in-error", ""),
        ("X", "", "cancelled", "not-performed"),
        ("X", "7", "cancelled", ""),
        ("I", "", "registered", "temp-unknown"),
        ("N", "", "final", "not-asked"),
        ("A", "7", "amended", ""),
        ("O", "7", "unknown", ""),
        ("?", "7", "unknown", ""),
        ("", "7", "final", ""),
    ];
    for (sent, value, meant, absent) in cases {
        let m = checked(&oru(&format!(
            "OBX|1|NM|2345-7^Glucose^LN||{value}|mmol/L|||||{sent}"
        )));
        let o = of(&m, "Observation")[0];
        assert_eq!(member(o, "status"), meant, "{sent}");
        assert_eq!(member(o, "dataAbsentReason.coding.0.code"), absent, "{sent}");
    }
    let m = checked(&oru("OBX|1|NM|2345-7^Glucose^LN|||||||| U"));
    let o = of(&m, "Observation")[0];
    assert_eq!(
        (o.how, member(o, "status"), member(o, "dataAbsentReason")),
        (How::Update, "final".into(), String::new())
    );
    // Where nothing is recorded there is no value to keep, and that is said.
    assert_eq!(
        o.made_with.to_compact(),
        r#"{"dataAbsentReason":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown"}]}}"#
    );
    let m = checked(&oru("OBX|1||2345-7^Glucose^LN||||||||O\nOBX|2||||||||||F"));
    assert!(of(&m, "Observation").is_empty() && m.notes.len() == 2);
}

#[test]
fn the_same_result_has_the_same_key_and_no_other() {
    let key = |text: &str, i: usize| of(&checked(text), "Observation")[i].keys[0].clone();
    let glucose = "OBX|1|NM|2345-7^Glucose^LN|1|7|mmol/L|||||P";
    let first = key(&oru(glucose), 0);
    let same = [
        oru("OBX|4|ST|2345-7^Glucose in serum^LN^G^own^L|1|8||||||C|||20260301093000"),
        oru(&format!("OBX|1|NM|2823-3^Potassium^LN|1|4|||||| F\n{glucose}")),
    ];
    assert_eq!(key(&same[0], 0), first);
    assert_eq!(key(&same[1], 1), first);
    let others = [
        oru("OBX|1|NM|2345-7^Glucose^LN|2|7|mmol/L|||||P"),
        oru("OBX|1|NM|2339-0^Glucose^LN|1|7|mmol/L|||||P"),
        oru(glucose).replace("F1^LAB", "F2^LAB"),
        oru(glucose).replace("F1^LAB", "F1^OTHER"),
        oru(glucose).replace("24323-8", "24320-4"),
        oru(glucose).replace("P1^HIS", "").replace("F1^LAB", ""),
    ];
    for other in &others {
        assert_ne!(key(other, 0), first, "{other}");
    }
    // Without a number, patient and time tell results apart.
    let bare = &others[5];
    assert_ne!(key(bare, 0), key(&bare.replace("4711", "4712"), 0));
    assert_ne!(
        key(bare, 0),
        key(&bare.replace("202603010900", "202603010901"), 0)
    );
    // Two of one name are both kept.
    let twice = oru(
        "OBX|1|NM|2345-7^Glucose^LN||7|mmol/L|||||F|||20260301090000\nOBX|2|NM|2345-7^Glucose^LN||9|mmol/L|||||F|||20260301100000\nOBX|3|NM|2345-7^Glucose^LN||9|mmol/L|||||F|||20260301100000",
    );
    let m = checked(&twice);
    let mut keys: Vec<_> = of(&m, "Observation").iter().map(|d| d.keys[0].clone()).collect();
    keys.dedup();
    assert_eq!((keys.len(), m.notes.len()), (3, 2));
}

#[test]
fn lines_of_a_text_are_one_text() {
    let m = checked(&oru(
        "OBX|1|TX|18748-4^Report^LN||First line||||||F\nOBX|2|TX|18748-4^Report^LN||||||||F\nOBX|3|TX|18748-4^Report^LN||Third||||||F\nNTE|1||seen\nOBX|4|TX|18748-4^Report^LN|2|Other part||||||F",
    ));
    let found = of(&m, "Observation");
    assert_eq!(found.len(), 2);
    assert_eq!(member(found[0], "valueString"), "First line\nThird");
    assert_eq!(member(found[0], "note.0.text"), "seen");
    assert_eq!(member(found[1], "valueString"), "Other part");
}

#[test]
fn monitors_give_vital_signs_and_no_report() {
    let m = checked(&format!(
        "{}OBR|1|M1^MON|M1^MON|69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|||20260301115900\nOBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X\nOBX|2|NM|147842^MDC_ECG_HEART_RATE^MDC|1.1.1.1|72|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R|||20260301115900\nOBX|3|NM|9^MDC_PRESS_BLD_NONINV_SYS^MDC|1.1.1.2|118|MDC_DIM_MMHG|||||F\nOBX|4|NM|8310-5^Body temperature^LN|1.1.1.3|37.2|Cel|36-38||||F",
        head("ORU^R01")
    ));
    assert!(of(&m, "DiagnosticReport").is_empty());
    let found = of(&m, "Observation");
    let is = [
        ("8867-4", "/min", "preliminary"),
        ("8480-6", "mm[Hg]", "final"),
        ("8310-5", "Cel", "final"),
    ];
    assert_eq!(found.len(), is.len());
    for (o, (code, unit, status)) in found.iter().zip(is) {
        assert!(
            member(o, "code").contains(&format!(r#""system":"http://loinc.org","code":"{code}""#)),
            "{code}"
        );
        assert_eq!(member(o, "category.0.coding.0.code"), "vital-signs");
        assert_eq!(
            (
                member(o, "valueQuantity.code").as_str(),
                member(o, "status").as_str()
            ),
            (unit, status)
        );
    }
    // A laboratory's temperature is none of them; and a body temperature in a blood gas stays the laboratory's.
    let m = checked(&oru("OBX|1|NM|8310-5^Body temperature^LN||37|Cel|||||F"));
    assert_eq!(
        member(of(&m, "Observation")[0], "category.0.coding.0.code"),
        "laboratory"
    );
}

#[test]
fn later_is_told_by_the_release_and_never_after_the_message() {
    let of_times = |obx19: &str, obr22: &str| {
        let text = oru(&format!(
            "OBX|1|NM|2345-7^Glucose^LN||7|mmol/L|||||F|||||||| {obx19}"
        ));
        let text = text.replace("20260301113000", obr22);
        let m = checked(&text);
        of(&m, "Observation")[0]
            .dated
            .as_ref()
            .unwrap()
            .as_str()
            .to_owned()
    };
    assert_eq!(
        of_times("20260301100000", "20260301110000"),
        "2026-03-01T11:00:00+01:00"
    );
    assert_eq!(
        of_times("20260301111500", "20260301110000"),
        "2026-03-01T11:15:00+01:00"
    );
    assert_eq!(of_times("", ""), "2026-03-01T12:00:00+01:00");
    assert_eq!(of_times("", "20990101000000"), "2026-03-01T12:00:00+01:00");
}

#[test]
fn documents_come_as_documents() {
    let m = checked(&oru(
        "OBX|1|ED|18842-5^Discharge summary^LN||^application^pdf^Base64^JVBERg==||||||F\nOBX|2|RP|1063-7^Slide^LN||https://images.example/1^^IM^JPEG||||||W\nOBX|3|ED|18842-5^Empty^LN|2|^application^pdf^Base64^||||||F",
    ));
    let found = of(&m, "DocumentReference");
    assert_eq!(found.len(), 2);
    assert_eq!(member(found[0], "content.0.attachment.data"), "JVBERg==");
    assert_eq!(member(found[0], "docStatus"), "final");
    assert_eq!(
        member(found[0], "context.related.0.reference"),
        "urn:vitrine:draft:1"
    );
    assert_eq!(
        member(found[1], "content.0.attachment.url"),
        "https://images.example/1"
    );
    assert_eq!(member(found[1], "status"), "entered-in-error");
    let o = of(&m, "Observation");
    assert_eq!(
        (o.len(), member(o[0], "dataAbsentReason.coding.0.code")),
        (1, "unknown".into())
    );
    let bad = mapped(&oru("OBX|1|ED|18842-5^x^LN||^application^pdf^Base64^%%%%||||||F")).unwrap_err();
    assert_eq!(
        (bad.code.number(), bad.place.unwrap().to_string()),
        (102, "OBX^1^5^1^5".into())
    );
}

#[test]
fn the_patient_is_known_and_the_visit_referred_to() {
    let text = oru("PV1|1|E|ED^^3||||||||||||||||V9^^^VISIT\nOBX|1|NM|2345-7^Glucose^LN||7|mmol/L|||||F");
    let m = checked(&text);
    let p = &m.drafts[0];
    assert_eq!((p.kind, p.how, m.patient), ("Patient", How::Known, Some(0)));
    assert_eq!(member(p, "birthDate"), "1961-04-12");
    let [e] = of(&m, "Encounter")[..] else { panic!() };
    assert_eq!(
        (e.how, member(e, "class.code"), member(e, "status")),
        (How::IfAbsent, "EMER".into(), "unknown".into())
    );
    assert_eq!(
        member(of(&m, "Observation")[0], "encounter.reference"),
        "urn:vitrine:draft:1"
    );
    let m = checked(&text.replace("PV1|1|E", "PV1|1|N"));
    assert!(of(&m, "Encounter").is_empty() && m.notes.len() == 1);
    let faults = [
        (text.replace("4711^^^MRN^MR", ""), 101, "PID^1^3"),
        (text.replace("4711^^^MRN^MR", "\"\""), 101, "PID^1^3"),
        (text.replace("PID|", "ZID|"), 100, "PID^1"),
        (format!("{text}\nPID|2||9^^^MRN"), 100, "PID^2"),
        (text.replace("ORU^R01", "ORU^R40"), 201, "MSH^1^9"),
        (text.replace("ORU^R01", "DFT^P03"), 200, "MSH^1^9"),
    ];
    for (text, code, place) in faults {
        let fault = mapped(&text).unwrap_err();
        let at = fault.place.map(|p| p.to_string()).unwrap_or_default();
        assert_eq!((fault.code.number(), at.as_str()), (code, place), "{text}");
    }
}

#[test]
fn groups_follow_the_kind_of_message() {
    // OUL: the ORC stands behind its OBR.
    let m = checked(&format!(
        "{}OBR|1|||24323-8^Panel^LN\nORC|RE|P1|F1\nOBX|1|NM|2345-7^Glucose^LN||7|mmol/L|||||F\nOBR|2|||58410-2^CBC^LN\nORC|RE|P2|F2\nOBX|1|NM|718-7^Hb^LN||12|g/dL|||||F",
        head("OUL^R22")
    ));
    let bases: Vec<String> = of(&m, "DiagnosticReport")
        .iter()
        .map(|r| member(r, "basedOn.0.identifier.value"))
        .collect();
    assert_eq!(bases, ["P1", "P2"]);
    assert_eq!(
        member(of(&m, "Observation")[0], "category.0.coding.0.code"),
        "laboratory"
    );
    let m = checked(&format!("{}ZZZ|1|what\nORC|RE|P1", head("ORU^R01")));
    assert_eq!(m.drafts.len(), 1);
    assert_eq!(
        notes(&m),
        [
            "ORC^1 an order without OBR: nothing is recorded of it",
            "MSH^1^9 the message holds no result",
            "ZZZ^1 this segment is not taken: it stays in the message that is kept"
        ]
    );
}
