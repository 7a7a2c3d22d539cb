//! Emergency accounts: a code from an envelope, a name that nobody has checked, and what they open while nobody answers.

mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::{answering, block, open, people, pin, plant, provider, station, with_pin};
use vitrine_access::grant::{DECLARED_GRANT_MS, ENVELOPE_MS};
use vitrine_access::{AuditEntry, Grant};
use vitrine_engine::clock::Clock;
use vitrine_engine::{Beside, BreakGlass, EngineError, Envelope, Identity, IdentityToken, Workstation};
use vitrine_wire::ErrorCode;

const ACCOUNT: &str = "emergency-001";
const NAME: &str = "Jo Smith, agency";

fn identify(ws: &Workstation, code: &str, name: Option<&str>) -> Result<IdentityToken, EngineError> {
    let beside = Beside {
        declared: name.map(str::to_owned),
        badge: None,
    };
    block(ws.identify_with(ACCOUNT, code, beside))
}

fn open_as(ws: &Workstation, token: &IdentityToken, patient: &str) -> Result<String, EngineError> {
    let asked = BreakGlass {
        patient: patient.to_owned(),
        reason: "life-threatening".to_owned(),
        words: None,
        identity: Identity::Token(token.as_str().to_owned()),
    };
    block(ws.break_glass(asked)).map(|v| v.frame_text)
}

fn rows(ws: &Workstation) -> Vec<Value> {
    let rows = block(ws.audit_list(0, 1_000)).unwrap();
    rows.iter()
        .map(|r| serde_json::from_str::<Value>(&r.body).unwrap())
        .filter(|r| r["actor"].to_string().contains("emergency-"))
        .collect()
}

fn last(ws: &Workstation, action: &str) -> Value {
    rows(ws).into_iter().rfind(|r| r["action"] == action).unwrap()
}

#[test]
fn while_nobody_answers_a_code_and_a_name_open_cards_for_half_an_hour_and_every_row_says_whose() {
    let (_dir, p, ws) = station();
    assert!(matches!(
        identify(&ws, "48219356", None),
        Err(EngineError::NameNeeded)
    ));
    let token = identify(&ws, "48219356", Some(NAME)).unwrap();
    let row = last(&ws, "identify");
    assert_eq!(
        (&row["rule"], &row["decision"]),
        (&json!("declared-name"), &json!("permit"))
    );
    assert_eq!(
        row["notes"],
        json!({"way": "declared", "because": "server-away", "declared": NAME})
    );

    let found = block(ws.emergency_search(&token, "li")).unwrap();
    assert!(
        !found.rows.is_empty() && found.rows.iter().all(|r| r.restricted),
        "found, and not open to them"
    );
    let frame = open_as(&ws, &token, "p2").unwrap();
    assert!(frame.contains(NAME) && frame.contains("not verified"), "{frame}");
    let row = last(&ws, "break-glass");
    assert_eq!(
        (&row["notes"]["assurance"], &row["notes"]["declared"]),
        (&json!("declared"), &json!(NAME))
    );
    assert_eq!(last(&ws, "read-card")["grant"], row["access_id"]);
    let all: Vec<String> = rows(&ws)
        .iter()
        .map(|r| r["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(all, ["identify", "search-patients", "break-glass", "read-card"]);

    let grants = support::outbox(&p).grants(true).unwrap();
    let grant: Value = serde_json::from_str(&grants[0].body).unwrap();
    assert_eq!(
        (&grant["user"], &grant["declared"]),
        (&json!(ACCOUNT), &json!(NAME))
    );
    let lasts = grant["until"].as_i64().unwrap() - grant["at"].as_i64().unwrap();
    assert_eq!(lasts, DECLARED_GRANT_MS);
    // The chart behind the card is not theirs, nor is any other.
    for chart in ["p2", "p1"] {
        assert!(block(ws.chart(chart)).is_err(), "{chart}");
    }
    // Somebody known here is not hindered, and is nobody's declared name.
    block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
}

#[test]
fn an_envelope_is_one_persons_and_ends_with_the_shift() {
    let (_dir, p, ws) = station();
    let token = identify(&ws, "48219356", Some(NAME)).unwrap();
    open_as(&ws, &token, "p2").unwrap();
    identify(&ws, "48219356", Some("JO  SMITH, agency")).unwrap();
    let e = identify(&ws, "48219356", Some("Al Brown, agency")).unwrap_err();
    assert!(
        matches!(e, EngineError::Envelope(Envelope::OfSomebodyElse)),
        "{e:?}"
    );
    assert_eq!(
        last(&ws, "identify")["rule"],
        "emergency-account-of-somebody-else"
    );
    drop(ws);
    // Also after the program began anew, and when the shift is over for the same person.
    let ws = open(&p);
    let e = identify(&ws, "48219356", Some("Al Brown, agency")).unwrap_err();
    assert!(
        matches!(e, EngineError::Envelope(Envelope::OfSomebodyElse)),
        "{e:?}"
    );
    let mut entry: AuditEntry = serde_json::from_value(last(&ws, "break-glass")).unwrap();
    drop(ws);
    let outbox = support::outbox(&p);
    let mut grant: Grant = serde_json::from_str(&outbox.grants(true).unwrap()[0].body).unwrap();
    grant.at = grant.at.plus_ms(-ENVELOPE_MS);
    grant.until = grant.until.plus_ms(-ENVELOPE_MS);
    grant.id = vitrine_engine::entropy::access_id(grant.at).unwrap();
    entry.access_id = grant.id;
    outbox.append(&[entry], Some(&grant)).unwrap();
    drop(outbox);
    let ws = open(&p);
    let e = identify(&ws, "48219356", Some(NAME)).unwrap_err();
    assert!(matches!(e, EngineError::Envelope(Envelope::Over)), "{e:?}");
    assert_eq!(last(&ws, "identify")["rule"], "emergency-account-over");
    // Another envelope is.
    let beside = Beside {
        declared: Some(NAME.to_owned()),
        badge: None,
    };
    block(ws.identify_with("emergency-002", "70315528", beside)).unwrap();
}

#[test]
fn while_the_server_answers_it_opens_nothing_and_the_code_is_not_tried() {
    let way = |required: bool, answers: bool| {
        (
            "/auth/way",
            200,
            json!({"required": required, "provider_answers": answers, "vouched": false}),
        )
    };
    for (required, answers, opens) in [(false, false, false), (true, true, false), (true, false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let p = plant(dir.path(), &people());
        provider(&p, required);
        let server = answering(&p, vec![way(required, answers)]);
        let ws = open(&p);
        // A wrong code is answered as the right one: nothing is learned of it.
        let code = if opens { "48219356" } else { "00000000" };
        let tried = identify(&ws, code, Some(NAME));
        let asked = server.join().unwrap();
        assert!(!asked[0].to_string().contains(code), "the code is not sent");
        if opens {
            tried.unwrap();
            assert_eq!(last(&ws, "identify")["notes"]["because"], "provider-down");
        } else {
            let e = tried.unwrap_err();
            assert!(
                matches!(e, EngineError::Envelope(Envelope::Answered)),
                "{required} {answers}: {e:?}"
            );
            assert_eq!(e.view().code, ErrorCode::UseProvider);
            let row = last(&ws, "identify");
            assert_eq!(
                (&row["rule"], &row["decision"]),
                (&json!("provider-answers"), &json!("deny"))
            );
        }
    }
}

#[test]
fn it_signs_nobody_in_is_no_way_around_the_name_and_wrong_codes_slow_it_alone() {
    let (_dir, _p, ws) = station();
    for secret in ["48219356", "00000000"] {
        let e = block(ws.sign_in(ACCOUNT, secret)).unwrap_err();
        assert!(
            matches!(e, EngineError::Envelope(Envelope::SignsNobodyIn)),
            "{e:?}"
        );
        assert!(ws.session().is_none());
    }
    assert_eq!(last(&ws, "sign-in")["rule"], "emergency-account");
    // Name and code at once, as for a PIN: nobody has said who is there.
    let e = block(ws.break_glass(with_pin(ACCOUNT, "48219356", "p2"))).unwrap_err();
    assert!(matches!(e, EngineError::NameNeeded), "{e:?}");
    assert!(rows(&ws).iter().all(|r| r["action"] != "break-glass"));
    for bad in ["x", "12345678", &"a".repeat(121)] {
        let e = identify(&ws, "48219356", Some(bad)).unwrap_err();
        assert!(matches!(e, EngineError::Usage(_)), "{bad}: {e:?}");
    }
    let wrong = (0..8).map(|n| identify(&ws, &format!("1234560{n}"), Some(NAME)).unwrap_err());
    let throttled = wrong
        .filter(|e| matches!(e, EngineError::Throttled { .. }))
        .count();
    assert!(
        throttled >= 2,
        "after five wrong codes the next has to wait: {throttled}"
    );
    let e = identify(&ws, "48219356", Some(NAME)).unwrap_err();
    assert!(
        matches!(e, EngineError::Throttled { .. }),
        "the right one too: {e:?}"
    );
    block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    // Whoever is known here is not known better by saying another name.
    let beside = Beside {
        declared: Some(NAME.to_owned()),
        badge: None,
    };
    let token = block(ws.identify_with("lee", pin("lee"), beside)).unwrap();
    let frame = open_as(&ws, &token, "p2").unwrap();
    assert!(!frame.contains(NAME), "{frame}");
}

#[test]
fn past_the_offline_horizon_it_still_opens_a_card_and_a_server_that_is_silent_costs_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let now = Clock::new().wall().0;
    let p = support::plant_at(dir.path(), &people(), now - 30 * 86_400_000);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    support::server_at(&p, &format!("https://{}", silent.local_addr().unwrap()));
    let ws = open(&p);
    let token = identify(&ws, "48219356", Some(NAME)).unwrap();
    open_as(&ws, &token, "p2").unwrap();
    assert_eq!(
        last(&ws, "break-glass")["notes"]["staff-list"],
        "past-the-offline-horizon"
    );
    block(ws.settled(Duration::from_secs(5)));
}
