//! Breaking the glass without a server: who may, what is written down before anything is seen, what is never shown.

mod support;

use support::{block, open, outbox, people, pin, plant, station, with_pin};
use vitrine_engine::{BreakGlass, EngineError, Identity};
use vitrine_wire::ErrorCode;
use vitrine_wire::view::{AllergyStripState, BlockViewState, DataAge};

fn entries(p: &support::Profiled) -> Vec<serde_json::Value> {
    outbox(p)
        .rows(0, 10_000)
        .unwrap()
        .rows
        .iter()
        .map(|r| serde_json::from_str(&r.body).unwrap())
        .collect()
}

#[test]
fn the_card_of_a_stranger_with_grant_and_two_rows_before_it() {
    let (_dir, p, ws) = station();
    let card = block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    assert_eq!(card.banner.name, "LI, Wei");
    assert_eq!(card.banner.patient, "p2");
    assert_eq!(card.allergies.state, AllergyStripState::Known);
    assert_eq!(card.allergies.items[0].agent, "penicillin");
    assert!(card.allergies.items[0].dangerous);
    assert_eq!(card.medications.items[0].name, "warfarin");
    assert_eq!(
        card.medications.items[0].high_risk_text.as_deref(),
        Some("anticoagulant")
    );
    assert_eq!(card.conditions.items[0].text, "Atrial fibrillation");
    assert!(
        card.frame_text
            .starts_with("BREAK-GLASS · Dr LEE · Life-threatening emergency · ends "),
        "{}",
        card.frame_text
    );
    assert_eq!(card.age.age, DataAge::Offline);
    assert_eq!(card.devices.state, BlockViewState::NotRecorded);
    for section in [
        &card.allergies.patient,
        &card.medications.patient,
        &card.conditions.patient,
        &card.labs.patient,
    ] {
        assert_eq!(
            *section, card.banner.patient,
            "every section is of the banner's patient"
        );
    }

    let rows = entries(&p);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (
            &rows[0]["action"],
            &rows[0]["notes"]["reason"],
            &rows[0]["notes"]["assurance"]
        ),
        (&"break-glass".into(), &"life-threatening".into(), &"pin".into())
    );
    assert_eq!(rows[1]["action"], "read-card");
    assert_eq!(rows[1]["access_id"], card.access_id.as_str());
    assert_eq!(rows[1]["grant"], rows[0]["access_id"]);
    assert_eq!(
        rows[1]["disclosure"]["resources"][0]["key"]["kind"],
        "EmergencyCard"
    );
    assert_eq!(rows[1]["disclosure"]["resources"][0]["version"], 3);
    assert_eq!(rows[1]["purpose"], "BTG");
    let grants = outbox(&p).grants(false).unwrap();
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].id, rows[0]["access_id"].as_str().unwrap());
    assert!(block(ws.audit_verify()).unwrap().seq == 2);
}

#[test]
fn by_record_number_and_every_reason() {
    let (_dir, _p, ws) = station();
    for reason in ["1", "2", "covering", "mass-casualty"] {
        let asked = BreakGlass {
            reason: reason.into(),
            ..with_pin("lee", pin("lee"), "1002 3345")
        };
        assert_eq!(block(ws.break_glass(asked)).unwrap().banner.patient, "p2");
    }
    let other = BreakGlass {
        reason: "5".into(),
        ..with_pin("lee", pin("lee"), "p2")
    };
    assert!(
        matches!(block(ws.break_glass(other.clone())), Err(EngineError::Usage(_))),
        "reason 5 needs words"
    );
    block(ws.break_glass(BreakGlass {
        words: Some("found in the lift".into()),
        ..other
    }))
    .unwrap();
    let unknown = BreakGlass {
        reason: "6".into(),
        ..with_pin("lee", pin("lee"), "p2")
    };
    assert!(matches!(
        block(ws.break_glass(unknown)),
        Err(EngineError::Usage(_))
    ));
    let asked = ws.reasons();
    assert_eq!(asked.reasons.len(), 5);
    assert!(asked.reasons[4].needs_words && !asked.reasons[0].needs_words);
    // Nobody is signed in; whoever just did is believed.
    assert!(asked.secret_needed);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(!ws.reasons().secret_needed);
}

#[test]
fn a_patient_who_is_not_here_is_said_to_be_not_here() {
    let (_dir, p, ws) = station();
    let e = block(ws.break_glass(with_pin("lee", pin("lee"), "p999"))).unwrap_err();
    assert_eq!((e.code(), e.exit_code()), (ErrorCode::NotOnThisWorkstation, 4));
    let text = e.view().text;
    assert!(
        text.contains("Last synchronised") && text.contains("does not mean that nothing is recorded"),
        "{text}"
    );
    assert!(entries(&p).is_empty(), "no glass was broken");
}

#[test]
fn somebody_who_is_no_clinician_is_refused_on_record() {
    let (_dir, p, ws) = station();
    let e = block(ws.break_glass(with_pin("quill", pin("quill"), "p2"))).unwrap_err();
    assert_eq!((e.code(), e.exit_code()), (ErrorCode::Denied, 5));
    let rows = entries(&p);
    assert_eq!((rows.len(), &rows[0]["decision"]), (1, &"deny".into()));
    let disabled = block(ws.break_glass(with_pin("gone", pin("gone"), "p2"))).unwrap_err();
    assert_eq!(disabled.code(), ErrorCode::Disabled);
    let nobody = block(ws.break_glass(with_pin("nobody", "000000", "p2"))).unwrap_err();
    assert!(matches!(nobody, EngineError::UnknownUser(_)));
}

#[test]
fn a_storm_of_wrong_pins_slows_one_name_and_nobody_else() {
    let (_dir, p, ws) = station();
    for n in 1..=5 {
        let e = block(ws.break_glass(with_pin("lee", "000000", "p2"))).unwrap_err();
        assert!(
            matches!(e, EngineError::WrongSecret { retry_after_s } if (retry_after_s > 0) == (n == 5)),
            "{n}: {e:?}"
        );
    }
    let e = block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap_err();
    assert!(
        matches!(
            e,
            EngineError::Throttled {
                retry_after_s: 1..=30
            }
        ),
        "{e:?}"
    );
    assert_eq!(
        block(ws.break_glass(with_pin("rao", pin("rao"), "p1")))
            .unwrap()
            .banner
            .patient,
        "p1"
    );
    // The counter is on disk: another process of the profile is slowed down too.
    drop(ws);
    let again = open(&p);
    assert!(matches!(
        block(again.break_glass(with_pin("lee", pin("lee"), "p2"))),
        Err(EngineError::Throttled { .. })
    ));
}

#[test]
fn a_token_proves_identity_for_search_and_card() {
    let (_dir, p, ws) = station();
    let token = block(ws.identify("lee", pin("lee"))).unwrap();
    let found = block(ws.emergency_search(&token, "lindq")).unwrap();
    assert_eq!(found.rows[0].patient, "p3");
    assert!(found.rows[0].restricted);
    assert_eq!(found.rows[0].allergy_text, "", "a search shows nothing clinical");
    let asked = BreakGlass {
        identity: Identity::Token(token.as_str().into()),
        ..with_pin("lee", "", "p3")
    };
    assert_eq!(block(ws.break_glass(asked)).unwrap().banner.patient, "p3");
    let forged = BreakGlass {
        identity: Identity::Token("0000".into()),
        ..with_pin("lee", "", "p3")
    };
    assert_eq!(
        block(ws.break_glass(forged)).unwrap_err().code(),
        ErrorCode::NotSignedIn
    );
    assert_eq!(
        entries(&p)
            .iter()
            .filter(|e| e["action"] == "search-patients")
            .count(),
        1
    );
}

#[test]
fn one_access_one_row_with_what_was_shown() {
    let (_dir, p, ws) = station();
    let mut shown = Vec::new();
    for n in 0..60 {
        let patient = format!("p{}", n % 6 + 1);
        let user = if n % 2 == 0 { "lee" } else { "rao" };
        shown.push(block(ws.break_glass(with_pin(user, pin(user), &patient))).unwrap());
    }
    let rows = entries(&p);
    let cards: Vec<_> = rows.iter().filter(|r| r["action"] == "read-card").collect();
    assert_eq!((rows.len(), cards.len()), (120, 60));
    for (card, row) in shown.iter().zip(cards) {
        assert_eq!(row["access_id"], card.access_id.as_str());
        assert_eq!(row["patient"], card.banner.patient.as_str());
        assert_eq!(row["disclosure"]["patients"][0], card.banner.patient.as_str());
    }
}

#[test]
fn the_session_serves_for_five_minutes_and_the_grant_opens_the_chart() {
    let (_dir, _p, ws) = station();
    let session = BreakGlass {
        identity: Identity::Session,
        ..with_pin("", "", "p2")
    };
    assert_eq!(
        block(ws.break_glass(session.clone())).unwrap_err().code(),
        ErrorCode::NotSignedIn
    );
    assert!(block(ws.sign_in("lee", pin("lee"))).unwrap().offline);
    let denied = block(ws.chart("p2")).unwrap_err();
    assert!(denied.view().break_glass_offered && denied.exit_code() == 5);
    block(ws.break_glass(session)).unwrap();
    let chart = block(ws.chart("p2")).unwrap();
    assert!(chart.break_glass_text.unwrap().starts_with("BREAK-GLASS"));
    assert!(block(ws.chart("p3")).is_err(), "a grant is for one patient");
    ws.lock();
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    assert!(block(ws.chart("p1")).is_err(), "and for one user");
}

#[test]
fn from_a_cold_start_the_card_takes_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    drop(open(&p));
    let started = vitrine_engine::clock::Stopwatch::start();
    let ws = open(&p);
    block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    assert!(started.ms() < 1_000.0, "{} ms", started.ms());
}
