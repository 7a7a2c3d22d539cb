use super::*;
use crate::card::{BlockState, HighRisk};
use crate::chart::*;
use proptest::prelude::*;

fn fact(id: &str, resource: Resource) -> CardFact {
    let kind = format!("{resource:?}");
    let kind = kind.split('(').next().unwrap();
    CardFact {
        key: ResourceKey::new(kind, id).unwrap(),
        version: 1,
        resource,
    }
}
fn card(facts: &[CardFact]) -> EmergencyCard {
    emergency_card(&PatientId::new("p").unwrap(), facts)
}
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}
fn day(text: &str) -> Option<PartialDate> {
    Some(PartialDate::new(text))
}
fn named(name: &str) -> Option<Ref> {
    Some(Ref {
        reference: None,
        display: some(name),
    })
}
fn loinc(code: &str) -> Option<Concept> {
    Some(Concept::of_code(LOINC, code, code))
}
fn quantity(value: &str, unit: &str) -> Option<Value> {
    let value = Some(Decimal::new(value).unwrap());
    Some(Value::Quantity(Quantity {
        value,
        unit: some(unit),
        ..Quantity::default()
    }))
}
fn allergy(code: Concept, clinical: &str, verification: &str) -> AllergyIntolerance {
    let status = |s: &str| (!s.is_empty()).then(|| s.to_owned());
    AllergyIntolerance {
        code: Some(code),
        clinical_status: status(clinical),
        verification_status: status(verification),
        recorded: day("2026-01-02"),
        recorder: named("Dr Rao"),
        ..AllergyIntolerance::default()
    }
}
fn nka() -> Concept {
    Concept::of_code(SNOMED, "716186003", "No known allergy")
}
fn penicillin() -> Concept {
    Concept::of_code(SNOMED, "764146007", "Penicillin")
}
fn state_of(list: &[AllergyIntolerance]) -> AllergyState {
    let facts: Vec<CardFact> = list
        .iter()
        .enumerate()
        .map(|(i, a)| fact(&i.to_string(), Resource::AllergyIntolerance(a.clone())))
        .collect();
    card(&facts).allergies.state
}
fn observation(id: &str, code: &str, at: &str, value: Option<Value>) -> CardFact {
    let o = Observation {
        status: some("final"),
        code: loinc(code),
        effective: day(at),
        value,
        ..Observation::default()
    };
    fact(id, Resource::Observation(o))
}
fn order(name: &str, status: &str, intent: &str) -> MedicationRequest {
    MedicationRequest {
        status: some(status),
        intent: some(intent),
        medication: Some(Concept::of_text(name)),
        authored: day("2026-01-01"),
        ..MedicationRequest::default()
    }
}

#[test]
fn an_empty_record_says_not_recorded_everywhere() {
    let c = card(&[]);
    assert_eq!(c.allergies.state, AllergyState::NotRecorded);
    assert_eq!(
        (c.medications.state, c.conditions.state),
        (BlockState::NotRecorded, BlockState::NotRecorded)
    );
    assert_eq!((c.medications.as_of, c.identity, c.place), (None, None, None));
}

#[test]
fn allergy_states() {
    use AllergyState::{Known, NoneKnown, NotRecorded};
    for (clinical, verification, want) in [
        ("active", "confirmed", Known),
        ("active", "unconfirmed", Known),
        ("active", "presumed", Known),
        ("active", "", Known),
        ("", "", Known),
        ("", "confirmed", Known),
        ("inactive", "confirmed", NotRecorded),
        ("resolved", "", NotRecorded),
        ("", "entered-in-error", NotRecorded),
        ("active", "entered-in-error", NotRecorded),
        ("active", "refuted", NotRecorded),
    ] {
        assert_eq!(
            state_of(&[allergy(penicillin(), clinical, verification)]),
            want,
            "{clinical} {verification}"
        );
        let none = if want == Known { NoneKnown } else { NotRecorded };
        assert_eq!(
            state_of(&[allergy(nka(), clinical, verification)]),
            none,
            "nka {clinical} {verification}"
        );
    }
    let text = |t: &str| allergy(Concept::of_text(t), "active", "");
    assert_eq!(state_of(&[text("NKDA")]), NotRecorded, "only about drugs");
    assert_eq!(state_of(&[text("Unknown")]), NotRecorded);
    assert_eq!(state_of(&[text("No known allergies")]), NoneKnown);
    assert_eq!(state_of(&[allergy(nka(), "active", ""), text("Latex")]), Known);
    let null = Concept::of_code(NULL_FLAVOR, "UNK", "unknown");
    assert_eq!(state_of(&[allergy(null, "active", "confirmed")]), NotRecorded);
    let masked = Concept::of_code(DATA_ABSENT_REASON, "masked", "Masked");
    assert_eq!(
        state_of(&[allergy(masked, "active", "confirmed")]),
        Known,
        "there is one, its name is withheld"
    );
}

#[test]
fn refuted_entries_become_statements() {
    let block = card(&[fact(
        "1",
        Resource::AllergyIntolerance(allergy(penicillin(), "active", "refuted")),
    )])
    .allergies;
    assert_eq!(block.negatives[0].text, "Penicillin: refuted");
    assert_eq!(
        (block.negatives[0].all, block.negatives[0].by.as_deref()),
        (false, Some("Dr Rao"))
    );
    let both = card(&[
        fact(
            "1",
            Resource::AllergyIntolerance(allergy(penicillin(), "active", "refuted")),
        ),
        fact(
            "2",
            Resource::AllergyIntolerance(allergy(penicillin(), "active", "confirmed")),
        ),
    ]);
    assert!(both.allergies.conflict, "the same agent refuted and active");
}

#[test]
fn a_reaction_without_an_agent_is_still_shown() {
    let mut a = allergy(
        Concept::of_code(DATA_ABSENT_REASON, "unknown", "Unknown"),
        "active",
        "confirmed",
    );
    let reaction = Reaction {
        manifestations: vec![Concept::of_text("Anaphylaxis")],
        ..Reaction::default()
    };
    a.reactions = vec![reaction];
    let block = card(&[fact("1", Resource::AllergyIntolerance(a))]).allergies;
    assert_eq!(
        (block.state, block.items[0].agent.as_str()),
        (AllergyState::Known, "Agent not recorded")
    );
    assert!(block.items[0].dangerous && !block.items[0].coded);
}

#[test]
fn the_most_dangerous_allergy_comes_first() {
    let mut mild = allergy(Concept::of_text("Aaa"), "active", "");
    mild.reactions = vec![Reaction {
        severity: some("mild"),
        ..Reaction::default()
    }];
    let mut severe = allergy(Concept::of_text("Zzz"), "active", "");
    severe.criticality = some("high");
    let c = card(&[
        fact("1", Resource::AllergyIntolerance(mild)),
        fact("2", Resource::AllergyIntolerance(severe)),
    ]);
    let agents: Vec<&str> = c.allergies.items.iter().map(|i| i.agent.as_str()).collect();
    assert_eq!(agents, ["Zzz", "Aaa"]);
    assert_eq!(c.allergies.items[0].severity.as_deref(), Some("high"));
}

#[test]
fn which_orders_are_medicines() {
    for (status, intent, current) in [
        ("active", "order", true),
        ("on-hold", "order", true),
        ("unknown", "order", true),
        ("active", "plan", true),
        ("active", "instance-order", true),
        ("active", "proposal", false),
        ("active", "option", false),
        ("draft", "order", false),
        ("cancelled", "order", false),
        ("entered-in-error", "order", false),
        ("stopped", "order", false),
        ("completed", "order", false),
    ] {
        let c = card(&[fact(
            "1",
            Resource::MedicationRequest(order("Aspirin", status, intent)),
        )]);
        assert_eq!(
            c.medications.items.len(),
            usize::from(current),
            "{status} {intent}"
        );
        assert!(c.medications.items.iter().all(|i| i.status == status));
    }
    let not_to_give = MedicationRequest {
        do_not_perform: true,
        ..order("Aspirin", "active", "order")
    };
    assert_eq!(
        card(&[fact("1", Resource::MedicationRequest(not_to_give))])
            .medications
            .items,
        []
    );
    let nameless = MedicationRequest {
        medication: None,
        ..order("", "active", "order")
    };
    assert_eq!(
        card(&[fact("1", Resource::MedicationRequest(nameless))])
            .medications
            .items[0]
            .name,
        "Medicine not recorded"
    );
}

#[test]
fn statements_about_medicines() {
    let said = |name: &str, status: &str| {
        let s = MedicationStatement {
            status: some(status),
            medication: Some(Concept::of_text(name)),
            asserted: day("2026-02-01"),
            ..MedicationStatement::default()
        };
        card(&[fact("1", Resource::MedicationStatement(s))])
    };
    assert!(said("Warfarin", "active").medications.items[0].reported);
    let not_taken = said("Warfarin", "not-taken");
    assert_eq!(not_taken.medications.items, []);
    assert_eq!(not_taken.medication_statements[0].text, "Warfarin: not taken");
    let none = said("No known medications", "active");
    assert_eq!(
        (none.medications.state, none.medication_statements[0].all),
        (BlockState::NotRecorded, true)
    );
    assert_eq!(
        said("No known medications", "entered-in-error").medication_statements,
        []
    );
}

#[test]
fn high_risk_medicines_come_first_by_class() {
    let c = card(&[
        fact(
            "1",
            Resource::MedicationRequest(order("Aspirin", "active", "order")),
        ),
        fact(
            "2",
            Resource::MedicationRequest(order("Morphine 10 mg", "active", "order")),
        ),
        fact(
            "3",
            Resource::MedicationRequest(order("Warfarin 3 mg", "active", "order")),
        ),
    ]);
    let got: Vec<_> = c.medications.items.iter().map(|i| i.high_risk).collect();
    assert_eq!(got, [Some(HighRisk::Anticoagulant), Some(HighRisk::Opioid), None]);
    let by_ingredient = MedicationRequest {
        ingredients: vec![Concept::of_text("apixaban")],
        ..order("Study drug", "active", "order")
    };
    let c = card(&[fact("1", Resource::MedicationRequest(by_ingredient))]);
    assert_eq!(c.medications.items[0].high_risk, Some(HighRisk::Anticoagulant));
}

#[test]
fn doses_and_sigs() {
    let dosage = Dosage {
        text: some("3 mg once a day"),
        timing: some("once per day"),
        route: Some(Concept::of_text("oral")),
        dose: Some(Quantity {
            value: Some(Decimal::new("3.0").unwrap()),
            unit: some("mg"),
            ..Quantity::default()
        }),
        ..Dosage::default()
    };
    let item = |dosages: Vec<Dosage>| {
        let r = MedicationRequest {
            dosages,
            ..order("Warfarin", "active", "order")
        };
        card(&[fact("1", Resource::MedicationRequest(r))])
            .medications
            .items
            .remove(0)
    };
    let one = item(vec![dosage.clone()]);
    assert_eq!(
        (one.dose.as_deref(), one.route.as_deref()),
        (Some("3 mg"), Some("oral"))
    );
    assert_eq!(one.frequency.as_deref(), Some("once per day"));
    let text_only = item(vec![Dosage {
        text: some("as directed"),
        ..Dosage::default()
    }]);
    assert_eq!(
        (text_only.dose, text_only.frequency.as_deref()),
        (None, Some("as directed"))
    );
    let evening = Dosage {
        timing: some("at bedtime"),
        ..dosage.clone()
    };
    let two = item(vec![dosage, evening]);
    assert_eq!(
        (two.dose, two.frequency.as_deref()),
        (None, Some("3 mg once per day; 3 mg at bedtime"))
    );
}

#[test]
fn recently_stopped_means_seven_days_before_the_newest_word() {
    let stopped = |id: &str, end: &str, status: &str| {
        let dosages = vec![Dosage {
            bounds: Period {
                start: None,
                end: day(end),
            },
            ..Dosage::default()
        }];
        fact(
            id,
            Resource::MedicationRequest(MedicationRequest {
                dosages,
                ..order(id, status, "order")
            }),
        )
    };
    let newest = observation("o", "8867-4", "2026-03-10T00:00:00Z", quantity("80", "/min"));
    let c = card(&[
        stopped("late", "2026-03-04", "stopped"),
        stopped("early", "2026-03-02", "completed"),
        stopped("never", "2026-03-09", "cancelled"),
        newest,
    ]);
    let names: Vec<&str> = c.recently_stopped.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["late"]);
    assert!(c.recently_stopped[0].stopped.is_some());
}

#[test]
fn conditions() {
    let c = |clinical: Option<&str>, verification: Option<&str>, abated: bool| {
        let c = Condition {
            clinical_status: clinical.map(str::to_owned),
            verification_status: verification.map(str::to_owned),
            code: Some(Concept::of_text("Asthma")),
            abatement: abated.then(|| PartialDate::new("2020")),
            ..Condition::default()
        };
        let card = card(&[fact("1", Resource::Condition(c))]);
        (card.conditions.items.len(), card.condition_statements.len())
    };
    for status in ["active", "recurrence", "relapse"] {
        assert_eq!(c(Some(status), None, false), (1, 0));
    }
    for status in ["inactive", "remission", "resolved"] {
        assert_eq!(c(Some(status), Some("confirmed"), false), (0, 0));
    }
    assert_eq!(c(None, None, false), (1, 0), "a missing status counts as active");
    assert_eq!(c(None, None, true), (0, 0));
    assert_eq!(c(None, Some("entered-in-error"), false), (0, 0));
    assert_eq!(c(Some("active"), Some("refuted"), false), (0, 1));
    assert_eq!(c(Some("active"), Some("differential"), false), (1, 0));
}

#[test]
fn vitals_are_the_newest_of_each_and_pressures_are_joined() {
    let panel = |id: &str, at: &str, s: &str, d: Option<&str>| {
        let part = |code: &str, v: Option<&str>| Component {
            code: loinc(code),
            value: v.and_then(|v| quantity(v, "mmHg")),
            ..Component::default()
        };
        let o = Observation {
            status: some("final"),
            code: loinc("85354-9"),
            effective: day(at),
            components: vec![part("8480-6", Some(s)), part("8462-4", d)],
            ..Observation::default()
        };
        fact(id, Resource::Observation(o))
    };
    let value = |facts: &[CardFact], label: &str| {
        card(facts)
            .vitals
            .items
            .iter()
            .find(|i| i.label == label)
            .map(|i| i.value.clone())
    };
    let old = panel("1", "2026-01-01", "120", Some("80"));
    let new = panel("2", "2026-01-02", "88", Some("50"));
    assert_eq!(value(&[new.clone(), old.clone()], "BP").as_deref(), Some("88/50"));
    assert_eq!(
        value(&[panel("3", "2026-01-01", "88", None)], "BP").as_deref(),
        Some("88/–")
    );
    let s = observation("4", "8480-6", "2026-01-03", quantity("91", "mmHg"));
    let d = observation("5", "8462-4", "2026-01-03", quantity("52", "mmHg"));
    let joined = [old, new, s.clone(), d];
    assert_eq!(
        value(&joined, "BP").as_deref(),
        Some("91/52"),
        "two newer results make one pressure"
    );
    assert_eq!((value(&joined, "SBP"), value(&joined, "DBP")), (None, None));
    assert_eq!(value(&[s], "SBP").as_deref(), Some("91"));
}

#[test]
fn wrong_and_empty_results_never_show() {
    for status in ["entered-in-error", "cancelled", "registered"] {
        let o = Observation {
            status: some(status),
            code: loinc("8867-4"),
            value: quantity("200", "/min"),
            ..Observation::default()
        };
        let f = fact("1", Resource::Observation(o));
        assert_eq!(
            (card_slot(&f.resource), card(&[f]).vitals.state),
            (None, BlockState::NotRecorded),
            "{status}"
        );
    }
    let empty = observation("2", "2823-3", "2026-05-01", None);
    let older = observation("1", "2823-3", "2026-04-01", quantity("6.10", "mmol/L"));
    let labs = card(&[empty, older]).labs.items;
    assert_eq!(
        (labs.len(), labs[0].value.as_str(), labs[0].label.as_str()),
        (1, "6.10", "K")
    );
}

#[test]
fn a_blood_group_needs_a_settled_result() {
    let group = |id: &str, status: &str, value: &str| {
        let o = Observation {
            status: some(status),
            code: loinc("882-1"),
            effective: day(&format!("2026-01-0{id}")),
            value: Some(Value::Text(value.to_owned())),
            ..Observation::default()
        };
        fact(id, Resource::Observation(o))
    };
    assert_eq!(card(&[group("1", "preliminary", "O pos")]).blood_group.items, []);
    let same = card(&[group("1", "final", "O pos"), group("2", "final", "O pos")])
        .blood_group
        .items;
    assert_eq!(same.len(), 1);
    let differ = card(&[group("1", "final", "O pos"), group("2", "corrected", "A neg")])
        .blood_group
        .items;
    assert_eq!(
        differ.iter().map(|i| i.text.as_str()).collect::<Vec<_>>(),
        ["A neg", "O pos"],
        "both, newest first"
    );
}

#[test]
fn lines_go_where_they_belong() {
    let flag = |id: &str, text: &str, status: &str| {
        let f = Flag {
            status: some(status),
            code: Some(Concept::of_text(text)),
            ..Flag::default()
        };
        fact(id, Resource::Flag(f))
    };
    let infected = Condition {
        code: Some(Concept::of_text("MRSA carrier")),
        ..Condition::default()
    };
    let lonely = Condition {
        code: Some(Concept::of_text("Social isolation (finding)")),
        ..Condition::default()
    };
    let dnr = ServiceRequest {
        status: some("active"),
        intent: some("order"),
        code: Some(Concept::of_text("Cardiopulmonary resuscitation")),
        do_not_perform: true,
        ..ServiceRequest::default()
    };
    let implant = Procedure {
        status: some("completed"),
        code: Some(Concept::of_text("Insertion of cardiac pacemaker")),
        performed: Period {
            start: day("2019-04-01"),
            end: None,
        },
        ..Procedure::default()
    };
    let removal = Procedure {
        status: some("completed"),
        code: Some(Concept::of_text("Removal of ureteral stent")),
        ..Procedure::default()
    };
    let c = card(&[
        flag("1", "Contact precautions", "active"),
        flag("2", "Fall risk", "active"),
        flag("3", "Full code", "active"),
        flag("4", "Aggressive dog", "inactive"),
        fact("5", Resource::Condition(infected)),
        fact("6", Resource::Condition(lonely)),
        fact("7", Resource::ServiceRequest(dnr)),
        fact("8", Resource::Procedure(implant)),
        fact("9", Resource::Procedure(removal)),
    ]);
    let texts = |b: &Block<StatementItem>| b.items.iter().map(|i| i.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&c.isolation), ["MRSA carrier", "Contact precautions"]);
    assert_eq!(texts(&c.flags), ["Fall risk"]);
    assert_eq!(
        texts(&c.code_status),
        ["Full code", "Do NOT perform: Cardiopulmonary resuscitation"]
    );
    assert_eq!(texts(&c.devices), ["Insertion of cardiac pacemaker (2019)"]);
}

#[test]
fn the_place_is_bed_and_ward_of_the_newest_encounter_here() {
    let step = |id: &str, name: &str, kind: &str| LocationStep {
        id: some(id),
        name: some(name),
        physical_type: (!kind.is_empty()).then(|| kind.to_owned()),
    };
    let at = |chain: Vec<LocationStep>, status: &str, since: &str| Encounter {
        status: some(status),
        class: some("IMP"),
        period: Period {
            start: day(since),
            end: None,
        },
        priority: Some(Concept::of_text("ESI 2")),
        locations: vec![EncounterLocation {
            status: some("active"),
            chain,
            ..EncounterLocation::default()
        }],
        ..Encounter::default()
    };
    let icu = vec![
        step("icu-4", "Bed 4", "bd"),
        step("ICU", "Intensive Care", "wa"),
        step("h", "Hospital", "bu"),
    ];
    let here = fact("1", Resource::Encounter(at(icu, "in-progress", "2026-02-02")));
    let gone = fact(
        "2",
        Resource::Encounter(at(vec![step("ED", "ED", "wa")], "finished", "2026-03-03")),
    );
    let place = card(&[gone.clone(), here]).place.unwrap();
    assert_eq!(
        (place.bed.as_deref(), place.ward.unwrap().as_str()),
        (Some("Bed 4"), "ICU")
    );
    assert_eq!(
        (place.ward_name.as_deref(), place.acuity.as_deref()),
        (Some("Intensive Care"), Some("2"))
    );
    assert!(card(&[gone]).place.is_none());
    let alone = fact(
        "3",
        Resource::Encounter(at(vec![step("ED", "Emergency", "")], "arrived", "2026-01-01")),
    );
    let place = card(&[alone]).place.unwrap();
    assert_eq!((place.bed, place.ward_name.as_deref()), (None, Some("Emergency")));
}

#[test]
fn the_record_number_is_the_one_of_type_mr() {
    let id = |value: &str, usage: Option<&str>, kind: Option<&str>| Identifier {
        usage: usage.map(str::to_owned),
        value: some(value),
        kind: kind.map(|k| Concept::of_code("http://terminology.hl7.org/CodeSystem/v2-0203", k, k)),
        ..Identifier::default()
    };
    let mrn = |identifiers: Vec<Identifier>| {
        let p = Patient {
            identifiers,
            ..Patient::default()
        };
        card(&[fact("p", Resource::Patient(p))]).identity.unwrap().mrn
    };
    let mr = id("7", None, Some("MR"));
    assert_eq!(
        mrn(vec![id("ssn", None, Some("SS")), mr.clone()]).as_deref(),
        Some("7")
    );
    assert_eq!(
        mrn(vec![id("a", None, None), id("b", Some("usual"), None)]).as_deref(),
        Some("b")
    );
    assert_eq!(
        mrn(vec![id("a", Some("old"), Some("MR")), id("b", None, None)]).as_deref(),
        Some("b")
    );
    assert_eq!(mrn(vec![]), None);
}

#[test]
fn only_the_newer_version_of_a_resource_counts() {
    let old = fact(
        "1",
        Resource::AllergyIntolerance(allergy(penicillin(), "active", "confirmed")),
    );
    let resolved = allergy(penicillin(), "resolved", "confirmed");
    let new = CardFact {
        version: 2,
        resource: Resource::AllergyIntolerance(resolved),
        ..old.clone()
    };
    assert_eq!(
        card(&[new.clone(), old.clone()]).allergies.state,
        AllergyState::NotRecorded
    );
    assert_eq!(card(&[old, new]).allergies.state, AllergyState::NotRecorded);
}

fn any_allergy() -> impl Strategy<Value = AllergyIntolerance> {
    let code = prop_oneof![
        Just(penicillin()),
        Just(nka()),
        Just(Concept::of_text("No ibuprofen allergy")),
        Just(Concept::of_text("NKDA")),
        Just(Concept::of_text("unknown")),
        "[a-zA-Z ]{0,16}".prop_map(Concept::of_text),
    ];
    let clinical = prop_oneof![Just(""), Just("active"), Just("inactive"), Just("resolved")];
    let verification = prop_oneof![
        Just(""),
        Just("confirmed"),
        Just("unconfirmed"),
        Just("refuted"),
        Just("entered-in-error")
    ];
    (code, clinical, verification).prop_map(|(c, a, v)| allergy(c, a, v))
}

proptest! {
    #[test]
    fn the_state_is_always_exactly_one(list in proptest::collection::vec(any_allergy(), 0..8), turn in 0usize..8) {
        let mut facts: Vec<CardFact> = list
            .iter()
            .enumerate()
            .map(|(i, a)| fact(&i.to_string(), Resource::AllergyIntolerance(a.clone())))
            .collect();
        let block = card(&facts).allergies;
        match block.state {
            AllergyState::Known => prop_assert!(!block.items.is_empty()),
            AllergyState::NoneKnown => prop_assert!(block.items.is_empty() && block.negatives.iter().any(|n| n.all)),
            AllergyState::NotRecorded => prop_assert!(block.items.is_empty() && !block.negatives.iter().any(|n| n.all)),
            AllergyState::Unavailable => prop_assert!(false, "made by views only"),
        }
        // Every active allergy to a named agent is on the card.
        let active = list.iter().filter(|a| {
            a.code.as_ref().is_some_and(|c| c.has(SNOMED, "764146007"))
                && matches!(a.clinical_status.as_deref(), None | Some("active"))
                && !matches!(a.verification_status.as_deref(), Some("refuted" | "entered-in-error"))
        });
        prop_assert_eq!(block.items.iter().filter(|i| i.agent == "Penicillin").count(), active.count());
        let places = turn % facts.len().max(1);
        facts.rotate_left(places);
        prop_assert_eq!(card(&facts).allergies, block);
    }
}

#[test]
fn a_record_of_131_000_resources_keeps_few_facts_and_every_active_one() {
    let mut kept: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut add = |resource: &Resource| {
        if let Some(slot) = card_slot(resource) {
            let held = kept.entry(slot.slot).or_default();
            *held = (*held + 1).min(usize::try_from(slot.keep).unwrap());
        }
    };
    let codes: Vec<&str> = measured::VITALS
        .iter()
        .chain(measured::LABS)
        .flat_map(|(_, c)| c.iter().copied())
        .collect();
    for n in 0..131_000usize {
        let resource = match n % 8 {
            0 => Resource::MedicationRequest(order("Aspirin", "completed", "order")),
            1 => Resource::Condition(Condition {
                clinical_status: some("resolved"),
                ..Condition::default()
            }),
            2 => Resource::Encounter(Encounter {
                status: some("finished"),
                ..Encounter::default()
            }),
            3 => Resource::DiagnosticReport(DiagnosticReport::default()),
            4 => Resource::AllergyIntolerance(allergy(penicillin(), "active", "refuted")),
            _ => observation("o", codes[n % codes.len()], "2026-01-01", quantity("1", "u")).resource,
        };
        add(&resource);
    }
    for _ in 0..300 {
        add(&Resource::MedicationRequest(order("Aspirin", "active", "order")));
        add(&Resource::AllergyIntolerance(allergy(penicillin(), "active", "")));
        add(&Resource::Condition(Condition {
            code: Some(Concept::of_text("Asthma")),
            ..Condition::default()
        }));
    }
    let active: Vec<usize> = ["medication", "allergy", "condition"]
        .iter()
        .map(|s| kept[*s])
        .collect();
    assert_eq!(active, [300, 300, 300]);
    let rest: usize = kept
        .iter()
        .filter(|(s, _)| !["medication", "allergy", "condition"].contains(&s.as_str()))
        .map(|(_, n)| n)
        .sum();
    assert!(rest <= 150, "{kept:?}");
}
