//! Orders, medicines, documents and appointments, by invented messages.

mod results_support;

use results_support::{checked, head, mapped, member, notes, of};
use vitrine_hl7v2::How;

fn ends(draft: &vitrine_hl7v2::Draft, is: &[(&str, &str)]) {
    for (path, meant) in is {
        assert_eq!(member(draft, path), *meant, "{path}: {}", draft.body.to_pretty());
    }
}

fn refused(cases: &[(String, u16, &str)]) {
    for (text, code, place) in cases {
        let fault = mapped(text).unwrap_err();
        let at = fault.place.map(|p| p.to_string()).unwrap_or_default();
        assert_eq!((fault.code.number(), at.as_str()), (*code, *place), "{text}");
    }
}

#[test]
fn an_order_is_a_request_with_both_its_numbers() {
    let text = format!(
        "{}PV1|1|E|ED^^3||||||||||||||||V9^^^VISIT\nORC|NW|P1^HIS|F1^LAB|G1^HIS|||^^^20260301130000^^S||20260301113000|||1^Hall^Ruth\nOBR|1|P1^HIS|F1^LAB|24323-8^Metabolic panel^LN|||||||||chest pain||||||||||||||||||I21^Infarction^I10\nNTE|1||fasting\nOBX|1|ST|1^Question^L||answer",
        head("OML^O21")
    );
    let m = checked(&text);
    let [r] = of(&m, "ServiceRequest")[..] else {
        panic!()
    };
    assert_eq!(r.how, How::Update);
    assert_eq!(r.dated.as_ref().unwrap().as_str(), "2026-03-01T12:00:00+01:00");
    let keys: Vec<&str> = r.keys.iter().map(|k| k.value.as_str()).collect();
    assert_eq!(keys, ["P1", "F1"]);
    ends(
        r,
        &[
            ("status", "active"),
            ("intent", "order"),
            ("priority", "stat"),
            ("category.0.coding.0.code", "108252007"),
            ("code.coding.0.code", "24323-8"),
            ("occurrenceDateTime", "2026-03-01T13:00:00+01:00"),
            ("authoredOn", "2026-03-01T11:30:00+01:00"),
            ("requester.display", "Ruth Hall"),
            ("requisition.value", "G1"),
            ("reasonCode.0.coding.0.code", "I21"),
            ("note.0.text", "chest pain\nfasting"),
            ("encounter.reference", "urn:vitrine:draft:1"),
        ],
    );
    assert_eq!(notes(&m).len(), 1, "the OBX alone: {:?}", notes(&m));
    refused(&[
        (
            text.replace("P1^HIS", "")
                .replace("F1^LAB", "")
                .replace("G1^HIS", ""),
            101,
            "ORC^1^2",
        ),
        (text.replace("OBR|1", "ZBR|1"), 100, "ORC^1"),
        (text.replace("ORC|", "ZRC|"), 100, "OBR^1"),
        (text.replace("ORC|", "ZRC|").replace("OBR|", "ZBR|"), 100, "ORC^1"),
        (text.replace("OML^O21", "OML^O99"), 201, "MSH^1^9"),
        (text.replace("OML^O21", "ORL^O22"), 200, "MSH^1^9"),
    ]);
}

#[test]
fn how_an_order_stands_is_told_by_its_control_code() {
    let cases = [
        ("NW", "", "active", "active"),
        ("XO", "", "active", "active"),
        ("XO", "HD", "on-hold", "on-hold"),
        ("CA", "", "revoked", "cancelled"),
        ("OC", "", "revoked", "cancelled"),
        ("DC", "", "revoked", "stopped"),
        ("OD", "", "revoked", "stopped"),
        ("HD", "", "on-hold", "on-hold"),
        ("RL", "", "active", "active"),
        ("RP", "", "revoked", "stopped"),
        ("SC", "CM", "completed", "completed"),
        ("SC", "IP", "active", "active"),
        ("SC", "", "unknown", "unknown"),
        ("??", "", "unknown", "unknown"),
        ("UC", "", "", ""),
    ];
    for (control, status, service, medicine) in cases {
        let m = checked(&format!(
            "{}ORC|{control}|P1|||{status}\nOBR|1|||718-7^Hb^LN",
            head("ORM^O01")
        ));
        let found = of(&m, "ServiceRequest");
        let got = found.first().map(|d| member(d, "status")).unwrap_or_default();
        assert_eq!(got, service, "{control} {status}");
        let m = checked(&format!(
            "{}ORC|{control}|P2|||{status}\nRXE||1^Amoxicillin^L|1||{{tbl}}",
            head("RDE^O11")
        ));
        let found = of(&m, "MedicationRequest");
        let got = found.first().map(|d| member(d, "status")).unwrap_or_default();
        assert_eq!(got, medicine, "{control} {status}");
    }
}

#[test]
fn several_services_under_one_number_are_several_orders() {
    let text = format!(
        "{}ORC|NW|P1\nOBR|1|P1||718-7^Hb^LN\nOBR|2|P1||2345-7^Glucose^LN\nPV1|1|O\nORC|RE|P0\nOBR|1|||718-7^Hb^LN",
        head("OMG^O19")
    );
    let m = checked(&text);
    let found = of(&m, "ServiceRequest");
    assert_eq!(found.len(), 2, "earlier orders sent along are none of it");
    assert_ne!(found[0].keys, found[1].keys);
    refused(&[(
        text.replace("2345-7^Glucose", "718-7^Hb")
            .replace("PV1|1|O", "OBR|3|P1||718-7^Hb^LN"),
        205,
        "OBR^3^4",
    )]);
}

#[test]
fn a_medicine_says_dose_route_and_times_only_as_they_were_sent() {
    let rde = |times: &str, rxe: &str, more: &str| {
        let m = checked(&format!("{}ORC|NW|P1|F1\n{times}{rxe}{more}", head("RDE^O11")));
        of(&m, "MedicationRequest")[0].clone()
    };
    let one = rde(
        "TQ1|1||Q8H PRN||||20260301|20260308||pain\n",
        "RXE||308191^Amoxicillin 500 mg^RXNORM|500|750|mg||^One capsule every eight hours^L|||21|{caps}|2|1^Hall^Ruth||RX77||||||||20|mL/h\n",
        "RXR|PO^oral^HL70162\nNTE|1||with food",
    );
    ends(
        &one,
        &[
            ("status", "active"),
            ("identifier.2.value", "RX77"),
            ("medicationCodeableConcept.coding.0.code", "308191"),
            ("dosageInstruction.0.text", "One capsule every eight hours; pain"),
            ("dosageInstruction.0.doseAndRate.0.doseRange.low.value", "500"),
            ("dosageInstruction.0.doseAndRate.0.doseRange.high.code", "mg"),
            ("dosageInstruction.0.doseAndRate.0.rateQuantity.unit", "mL/h"),
            ("dosageInstruction.0.route.coding.0.code", "PO"),
            ("dosageInstruction.0.asNeededBoolean", "true"),
            ("dosageInstruction.0.timing.repeat.period", "8"),
            ("dosageInstruction.0.timing.repeat.periodUnit", "h"),
            ("dosageInstruction.0.timing.repeat.boundsPeriod.end", "2026-03-08"),
            ("dispenseRequest.quantity.value", "21"),
            ("dispenseRequest.numberOfRepeatsAllowed", "2"),
            ("requester.display", "Ruth Hall"),
            ("note.0.text", "with food"),
        ],
    );
    // No sig: it is put together from what was sent.
    let bare = rde("", "RXE|^BID|1^Digoxin^L|0.125||mg", "\nRXR|PO^oral");
    ends(
        &bare,
        &[
            ("dosageInstruction.0.text", "0.125 mg, oral, BID"),
            ("dosageInstruction.0.doseAndRate.0.doseQuantity.value", "0.125"),
            ("dosageInstruction.0.timing.repeat.frequency", "2"),
        ],
    );
    // What is not plain stays words: no unit, per hour, a pattern that says nothing by itself, two times, two routes.
    let words = rde(
        "TQ1|1||Once^^^^1^d\n",
        "RXE||1^Digoxin^L|2\n",
        "RXR|PO^oral\nRXR|IV^intravenous",
    );
    ends(
        &words,
        &[
            ("dosageInstruction.0.text", "2, oral or intravenous, Once^^^^1^d"),
            ("dosageInstruction.0.doseAndRate", ""),
            ("dosageInstruction.0.route", ""),
            ("dosageInstruction.0.timing.code.text", "Once^^^^1^d"),
        ],
    );
    let per = rde(
        "TQ1|1||BID\nTQ1|2||QHS\n",
        "RXE||1^Heparin^L|5||mg|||||||||||||||||H1\n",
        "",
    );
    ends(
        &per,
        &[
            ("dosageInstruction.0.text", "5 mg, per H1, BID, QHS"),
            ("dosageInstruction.0.doseAndRate", ""),
            ("dosageInstruction.0.timing", ""),
        ],
    );
    // What a mixture is made of is part of the medicine.
    let mixture = rde(
        "",
        "RXE||1^Saline^L|1000||mL\n",
        "RXC|B|2^Sodium chloride^L|1000|mL\nRXC|A|3^Potassium chloride^L|20|mmol",
    );
    ends(
        &mixture,
        &[
            ("medicationReference.reference", "#medicine"),
            ("medicationCodeableConcept", "null"),
            ("contained.0.code.text", "Saline"),
            (
                "contained.0.ingredient.1.itemCodeableConcept.text",
                "Potassium chloride 20 mmol",
            ),
        ],
    );
    refused(&[
        (format!("{}ORC|NW|P1", head("RDE^O11")), 100, "ORC^1"),
        (format!("{}ORC|NW|P1\nRXE|||1", head("RDE^O11")), 101, "RXE^1^2"),
        (format!("{}ORC|NW\nRXE||1^a^L", head("RDE^O11")), 101, "ORC^1^2"),
    ]);
    let m = checked(&format!(
        "{}ORC|NW|P1\nRXO|1^Digoxin^L|1||mg||^x|^one daily",
        head("ORM^O01")
    ));
    assert_eq!(
        member(of(&m, "MedicationRequest")[0], "dosageInstruction.0.text"),
        "one daily"
    );
}

#[test]
fn what_was_handed_out_is_no_order() {
    let m = checked(&format!(
        "{}ORC|RE|P1|F1\nRXE||1^Amoxicillin^L|1\nRXD|1|1^Amoxicillin^L|20260301110000|21|{{caps}}||RX7",
        head("RDS^O13")
    ));
    let [d] = of(&m, "MedicationDispense")[..] else {
        panic!()
    };
    assert!(of(&m, "MedicationRequest").is_empty());
    ends(
        d,
        &[
            ("status", "completed"),
            ("quantity.value", "21"),
            ("whenHandedOver", "2026-03-01T11:00:00+01:00"),
            ("authorizingPrescription.0.identifier.value", "P1"),
        ],
    );
}

#[test]
fn documents_have_content_and_say_what_they_add_to() {
    let mdm = |event: &str, txa: &str| {
        format!(
            "{}TXA|1|DS^Discharge summary^HL70270|TX|20260301100000|5^Moreau^Lea|20260301103000|||1^Hall^Ruth|||{txa}\nOBX|1|TX|1^x^L||First line||||||F\nOBX|2|TX|1^x^L||||||||F\nOBX|3|TX|1^x^L||Third||||||F\nOBX|4|ED|1^x^L||^application^pdf^Base64^JVBERg==||||||F\nOBX|5|NM|1^Weight^L||72|kg|||||F",
            head(&format!("MDM^{event}"))
        )
    };
    let m = checked(&mdm("T02", "D1^DOC|||||AU|R|AV"));
    let [d] = of(&m, "DocumentReference")[..] else {
        panic!()
    };
    assert_eq!(d.how, How::Replace);
    ends(
        d,
        &[
            ("status", "current"),
            ("docStatus", "final"),
            ("type.coding.0.code", "DS"),
            ("date", "2026-03-01T10:30:00+01:00"),
            ("author.0.display", "Ruth Hall"),
            ("securityLabel.0.coding.0.code", "R"),
            ("content.0.attachment.contentType", "text/plain; charset=utf-8"),
            (
                "content.0.attachment.data",
                "Rmlyc3QgbGluZQoKVGhpcmQKV2VpZ2h0OiA3MiBrZw==",
            ),
            ("content.1.attachment.contentType", "application/pdf"),
            ("context.period.start", "2026-03-01T10:00:00+01:00"),
        ],
    );
    let cases = [
        ("T01", "D1|||||DO", How::IfAbsent, "current", "preliminary", ""),
        ("T03", "D1|||||LA", How::Update, "current", "final", ""),
        (
            "T06",
            "D2|D1||||AU",
            How::Replace,
            "current",
            "amended",
            "appends",
        ),
        ("T08", "D1|||||IN", How::Replace, "current", "preliminary", ""),
        ("T10", "D2|D1||||AU", How::Replace, "current", "final", "replaces"),
        (
            "T11",
            "D1|||||AU",
            How::Update,
            "entered-in-error",
            "entered-in-error",
            "",
        ),
        ("T02", "D1|||||AU||OB", How::Replace, "superseded", "final", ""),
        (
            "T02",
            "D1|||||AU||CA",
            How::Replace,
            "entered-in-error",
            "final",
            "",
        ),
    ];
    for (event, txa, how, status, doc_status, relation) in cases {
        let m = checked(&mdm(event, txa));
        let d = of(&m, "DocumentReference")[0];
        assert_eq!(d.how, how, "{event}");
        ends(
            d,
            &[
                ("status", status),
                ("docStatus", doc_status),
                ("relatesTo.0.code", relation),
            ],
        );
    }
    refused(&[
        (mdm("T02", ""), 101, "TXA^1^12"),
        (mdm("T02", "D1").replace("TXA|", "ZXA|"), 100, "TXA^1"),
        (mdm("T02", "D1").replace("OBX|", "ZBX|"), 100, "OBX^1"),
        (
            format!("{}TXA|1|DS||||||||||D1\nOBX|1|TX|1^x", head("MDM^T02")),
            101,
            "OBX^1^5",
        ),
        (mdm("T02", "D1").replace("JVBERg==", "?"), 102, "OBX^4^5^1^5"),
    ]);
}

#[test]
fn appointments_have_a_time_and_a_state() {
    let siu = |event: &str, state: &str| {
        format!(
            "{}SCH|P1^HIS|F1^SCH||||CANCEL^patient away|CHECKUP^Check-up|ROUTINE|30|min|^^^20260302090000||||||||||||||{state}\nNTE|1||bring the card\nRGS|1\nAIS|1|A|45378^Colonoscopy^C4\nAIL|1|A|ENDO^R1^^NORTH\nAIP|1|A|7^Moreau^Lea^^^Dr|D^Doctor^L||||||||Booked\nAIP|2|D|8^Gone^Away",
            head(&format!("SIU^{event}"))
        )
    };
    let cases = [
        ("S12", "Booked", "booked"),
        ("S12", "Pending", "pending"),
        ("S13", "", "booked"),
        ("S14", "Noshow", "noshow"),
        ("S14", "Complete", "fulfilled"),
        ("S15", "Booked", "cancelled"),
        ("S16", "", "cancelled"),
        ("S17", "Booked", "entered-in-error"),
        ("S26", "Booked", "noshow"),
    ];
    for (event, state, status) in cases {
        let m = checked(&siu(event, state));
        ends(of(&m, "Appointment")[0], &[("status", status)]);
    }
    let m = checked(&siu("S12", "Booked"));
    let a = of(&m, "Appointment")[0];
    ends(
        a,
        &[
            ("start", "2026-03-02T09:00:00+01:00"),
            ("end", "2026-03-02T08:30:00.000Z"),
            ("minutesDuration", "30"),
            ("serviceType.0.coding.0.code", "45378"),
            ("reasonCode.0.coding.0.code", "CHECKUP"),
            ("appointmentType.coding.0.code", "ROUTINE"),
            ("comment", "bring the card"),
            ("participant.0.actor.reference", "urn:vitrine:draft:0"),
            ("participant.1.actor.display", "NORTH ENDO R1"),
            ("participant.2.actor.display", "Dr Lea Moreau"),
            ("participant.2.status", "accepted"),
            ("participant.3", ""),
            ("cancelationReason", ""),
        ],
    );
    let keys: Vec<&str> = a.keys.iter().map(|k| k.value.as_str()).collect();
    assert_eq!(keys, ["F1", "P1"]);
    ends(
        of(&checked(&siu("S15", "")), "Appointment")[0],
        &[("cancelationReason.coding.0.code", "CANCEL")],
    );
    refused(&[
        (siu("S12", "").replace("P1^HIS|F1^SCH", "|"), 101, "SCH^1^2"),
        (siu("S12", "").replace("20260302090000", ""), 101, "SCH^1^11"),
        (siu("S12", "").replace("|30|min|", "|||"), 101, "SCH^1^11"),
        (siu("S19", ""), 201, "MSH^1^9"),
    ]);
    let m = checked(&siu("S15", "").replace("20260302090000", ""));
    ends(
        of(&m, "Appointment")[0],
        &[("status", "cancelled"), ("start", ""), ("end", "")],
    );
}
