//! A stay, message by message, to the card: ward, bed, class, reason, since, allergies, contacts. The drafts are stored as the
//! server does it, in memory. And bytes that were tampered with make nothing fall over.

use fhirkit::Json;
use proptest::prelude::*;
use std::collections::BTreeMap;
use vitrine_clinical::card::{AllergyState, CardFact, EmergencyCard, emergency_card};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_hl7v2::charset::Charset;
use vitrine_hl7v2::merge::{Meeting, Source, over};
use vitrine_hl7v2::{Draft, Feed, Key, Mapped, Message, map, referred};

/// What is stored, by `Type/id`; what is known by a key.
#[derive(Default)]
struct Record {
    bodies: BTreeMap<String, Json>,
    ids: BTreeMap<(&'static str, Key), String>,
}

impl Record {
    fn id(&mut self, draft: &Draft) -> String {
        let known = draft
            .keys
            .iter()
            .find_map(|k| self.ids.get(&(draft.kind, k.clone())).cloned());
        let first = &draft.keys[0];
        let id = known.unwrap_or_else(|| {
            if first.system == "urn:vitrine:ward" {
                first.value.clone()
            } else {
                format!("r{}", self.ids.len())
            }
        });
        for key in &draft.keys {
            self.ids.insert((draft.kind, key.clone()), id.clone());
        }
        id
    }

    /// Applies a message; gives how many resources were written.
    fn apply(&mut self, mapped: &Mapped) -> usize {
        let names: Vec<String> = mapped
            .drafts
            .iter()
            .map(|d| format!("{}/{}", d.kind, self.id(d)))
            .collect();
        let mut written = 0;
        for (draft, name) in mapped.drafts.iter().zip(&names) {
            let draft = Draft {
                body: resolved(&draft.body, &names),
                ..draft.clone()
            };
            let source = Source {
                feed: "adt",
                control: "1",
                at: None,
            };
            if let Meeting::Write(Json::Object(mut members)) = over(self.bodies.get(name), &draft, &source) {
                let id = name.split('/').nth(1).unwrap().to_owned();
                members.push(("id".into(), Json::String(id)));
                let body = Json::Object(members);
                vitrine_fhir::validate(body.to_compact().as_bytes()).unwrap();
                self.bodies.insert(name.clone(), body);
                written += 1;
            }
        }
        written
    }

    fn card(&self) -> EmergencyCard {
        let mut facts = Vec::new();
        let mut find = |r: &str| self.bodies.get(r).map(|b| b.to_compact().into_bytes());
        for (name, body) in &self.bodies {
            let (kind, id) = name.split_once('/').unwrap();
            let resource = vitrine_fhir::read(kind, body.to_compact().as_bytes(), &mut find).unwrap();
            facts.push(CardFact {
                key: ResourceKey::new(kind, id).unwrap(),
                version: 1,
                resource,
            });
        }
        emergency_card(&PatientId::new("p").unwrap(), &facts)
    }
}

fn resolved(node: &Json, names: &[String]) -> Json {
    match node {
        Json::String(s) => match referred(s) {
            Some(at) => Json::String(names[at].clone()),
            None => node.clone(),
        },
        Json::Array(items) => Json::Array(items.iter().map(|i| resolved(i, names)).collect()),
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(k, v)| (k.clone(), resolved(v, names)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn message(event: &str, clock: &str, class: &str, place: &str, more: &str) -> String {
    format!(
        "MSH|^~\\&|ADT|NORTH|VITRINE|NORTH|20260301{clock}00||ADT^{event}|C{clock}{event}|P|2.5.1\r\
         EVN|{event}|20260301{clock}00\r\
         PID|1||4711^^^NORTH^MR||Ahlberg^Signe^Maj||19570312|F\r\
         NK1|1|Ahlberg^Nils|SPO^Spouse^HL70063||555 0101^PRN^CP\r\
         PV1|1|{class}|{place}||||77^Okonkwo^Ada||||||||||||V-1^^^NORTH^VN\r\
         PV2|||^Fall from a ladder{more}"
    )
}

fn mapped(text: &str) -> Mapped {
    let message = Message::read(text.as_bytes(), Charset::UTF_8).unwrap();
    map(&message, &Feed::new("adt", &|_, _, _, _, _| 0)).unwrap()
}

/// Ward, bed, class, reason, hours since midnight at which it began; a dash where the patient is on no board.
fn place(card: &EmergencyCard) -> String {
    let Some(p) = &card.place else {
        return "-".into();
    };
    let of = |t: &Option<String>| t.clone().unwrap_or_default();
    let since = p.since.map(|at| (at.0 - 1_772_323_200_000) / 3_600_000);
    format!(
        "{} {} {} {} {}",
        p.ward.as_ref().map(ToString::to_string).unwrap_or_default(),
        of(&p.bed),
        of(&p.class),
        of(&p.reason),
        since.map(|h| h.to_string()).unwrap_or_default()
    )
}

#[test]
fn a_stay_reaches_the_card() {
    let nuts = "\rAL1|1|FA|^Peanut|SV|Anaphylaxis";
    // Event, clock, class, place, more segments; then where the card has the patient.
    let steps = [
        ("A05", "0600", "P", "ED^R1^B1", "", "-"),
        (
            "A04",
            "0700",
            "E",
            "ED^R2^B1",
            nuts,
            "ED R2-B1 EMER Fall from a ladder 7",
        ),
        (
            "A08",
            "0710",
            "E",
            "ED^R2^B1",
            "",
            "ED R2-B1 EMER Fall from a ladder 7",
        ),
        // It comes late: from before the A04.
        (
            "A02",
            "0655",
            "E",
            "ED^R9^B9",
            "",
            "ED R2-B1 EMER Fall from a ladder 7",
        ),
        ("A06", "0800", "I", "ICU^^4", "", "ICU 4 IMP Fall from a ladder 7"),
        (
            "A12",
            "0810",
            "I",
            "ED^R2^B1",
            "",
            "ED R2-B1 IMP Fall from a ladder 7",
        ),
        ("A03", "0900", "I", "ED^R2^B1", "", "-"),
        (
            "A13",
            "0910",
            "I",
            "ED^R2^B1",
            "",
            "ED R2-B1 IMP Fall from a ladder 7",
        ),
        (
            "A31",
            "0920",
            "I",
            "ED^R2^B1",
            nuts,
            "ED R2-B1 IMP Fall from a ladder 7",
        ),
        ("A11", "0930", "I", "", "", "-"),
    ];
    let mut record = Record::default();
    for (event, clock, class, pl, more, wanted) in steps {
        let told = mapped(&message(event, clock, class, pl, more));
        record.apply(&told);
        assert_eq!(place(&record.card()), wanted, "{event} {clock}");
        // The same message again writes nothing.
        assert_eq!(record.apply(&told), 0, "{event} {clock}");
    }
    let card = record.card();
    // Nothing but the two that named it said anything about allergies, and it stands.
    assert_eq!(card.allergies.state, AllergyState::Known);
    assert_eq!(card.identity.unwrap().mrn.as_deref(), Some("4711"));
    assert!(format!("{:?}", card.contacts).contains("555 0101"));
}

#[test]
fn a_message_that_came_before_its_admission_shows_nobody_until_that_comes() {
    let mut record = Record::default();
    record.apply(&mapped(&message("A08", "0800", "I", "ICU^^4", "")));
    assert_eq!(place(&record.card()), "-");
    record.apply(&mapped(&message("A01", "0700", "I", "ED^R2^B1", "")));
    assert_eq!(place(&record.card()), "ICU 4 IMP Fall from a ladder 7");
}

#[test]
fn what_changes_nothing_does_not_move_the_date() {
    // Known limit: the A08 of 8 o'clock says what is recorded, so nothing is written, and an A02 of half past 7 that comes after
    // it is told from the A01.
    let mut record = Record::default();
    record.apply(&mapped(&message("A01", "0700", "I", "ED^R2^B1", "")));
    assert_eq!(
        record.apply(&mapped(&message("A08", "0800", "I", "ED^R2^B1", ""))),
        0
    );
    record.apply(&mapped(&message("A02", "0730", "I", "ICU^^4", "")));
    assert_eq!(place(&record.card()), "ICU 4 IMP Fall from a ladder 7");
    // Where the A08 changed something it stands.
    let mut record = Record::default();
    record.apply(&mapped(&message("A01", "0700", "I", "ED^R2^B1", "")));
    record.apply(&mapped(&message("A08", "0800", "I", "ED^R3^B1", "")));
    record.apply(&mapped(&message("A02", "0730", "I", "ICU^^4", "")));
    assert_eq!(place(&record.card()), "ED R3-B1 IMP Fall from a ladder 7");
}

#[test]
fn a_discharge_that_comes_late_ends_the_visit_whatever_was_told_of_it_since() {
    let mut record = Record::default();
    record.apply(&mapped(&message("A01", "0700", "I", "ED^R2^B1", "")));
    // Dated after the discharge, and it changes the visit: another bed.
    record.apply(&mapped(&message("A08", "0900", "I", "ED^R3^B1", "")));
    assert!(record.card().place.is_some());
    record.apply(&mapped(&message("A03", "0830", "I", "ED^R2^B1", "")));
    assert!(record.card().place.is_none(), "gone from the board");
    // What was told of the status later stands against what comes later still from before it.
    assert_eq!(
        record.apply(&mapped(&message("A02", "0810", "I", "ED^R3^B1", ""))),
        0
    );
    assert!(record.card().place.is_none());
    // Discharged by mistake, dated after it: here again, where the patient was last.
    record.apply(&mapped(&message("A13", "0845", "I", "ED^R3^B1", "")));
    assert_eq!(place(&record.card()), "ED R3-B1 IMP Fall from a ladder 7");
}

#[test]
fn no_known_allergies_are_none_known_until_one_is_told() {
    let mut record = Record::default();
    record.apply(&mapped(&message(
        "A01",
        "0700",
        "I",
        "ICU^^4",
        "\rAL1|1||NKA^No known allergies^L",
    )));
    assert_eq!(record.card().allergies.state, AllergyState::NoneKnown);
    record.apply(&mapped(&message(
        "A08",
        "0800",
        "I",
        "ICU^^4",
        "\rAL1|1|DA|^Codeine",
    )));
    assert_eq!(record.card().allergies.state, AllergyState::Known);
}

proptest! {
    #[test]
    fn tampered_bytes_are_mapped_or_refused(
        event in 0usize..6,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[|^~&\\\\\"A-Z0-9é\r.+-]{0,4}"), 0..8),
    ) {
        let event = ["A01", "A03", "A08", "A13", "A47", "A60"][event];
        let more = "\rAL1|1|FA|^Peanut|SV|Rash|1990\rIAM|1|DA|^Codeine|MO|Nausea|A|N-1||IN||2019||||||C\r\
                    DG1|1||I21^Infarction^I10||20260301|A|||||||||1\rMRG|4700^^^NORTH^MR";
        let mut text = message(event, "0700", "I", "ICU^^4", more);
        for (at, put) in cuts {
            let places: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
            let at = *at.get(&places);
            let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            text.replace_range(at..end, &put);
        }
        let Ok(message) = Message::read(text.as_bytes(), Charset::UTF_8) else { return Ok(()) };
        let Ok(mapped) = map(&message, &Feed::new("adt", &|_, _, _, _, _| 0)) else { return Ok(()) };
        let names: Vec<String> = mapped.drafts.iter().enumerate().map(|(n, d)| format!("{}/x{n}", d.kind)).collect();
        let source = Source { feed: "adt", control: "1", at: None };
        for draft in &mapped.drafts {
            let draft = Draft { body: resolved(&draft.body, &names), ..draft.clone() };
            let Meeting::Write(made) = over(None, &draft, &source) else {
                return Err(TestCaseError::fail("nothing written"));
            };
            prop_assert_eq!(over(Some(&made), &draft, &source), Meeting::Same);
        }
    }
}
