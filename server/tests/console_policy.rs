//! The policy at the console: what each role may, and why somebody may see a record now, or may not. Whatever it says is held against what
//! the server then does.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::browser::{Browser, read};
use harness::*;
use serde_json::{Value, json};

/// One of each role at a hospital with two patients of the ED, one of them very confidential, and one of the ICU.
async fn hospital() -> (tempfile::TempDir, Server) {
    let (t, data) = folder();
    let s = Server::start(&data);
    for (user, role) in [
        ("nina", "nurse"),
        ("pia", "privacy-officer"),
        ("ida", "clinical-it"),
    ] {
        command::add_user(s.dir(), user, role);
    }
    let token = s.client_token("system/*.cruds").await;
    for (id, ward) in [("p-own", "ED"), ("p-vip", "ED"), ("p-other", "ICU")] {
        let (status, said) = s.fhir(&token, "/fhir", placed(id, ward).to_string()).await;
        assert_eq!(status, 200, "{said}");
    }
    let mut vip = patient("p-vip");
    vip["meta"] = json!({"security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"},
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VIP"}]});
    let put = s
        .put("/fhir/Patient/p-vip")
        .bearer_auth(&token)
        .header("content-type", "application/fhir+json")
        .body(vip.to_string());
    assert_eq!(put.send().await.unwrap().status(), 200);
    (t, s)
}

/// What the policy is told to answer one role for an act.
fn cell<'v>(table: &'v Value, act: &str, about: &str, role: &str) -> &'v Value {
    let roles = table["roles"].as_array().unwrap();
    let n = roles.iter().position(|r| r == role).unwrap();
    let row = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["act"] == act && r["about_text"] == about)
        .unwrap();
    assert_eq!(row["cells"].as_array().unwrap().len(), roles.len());
    &row["cells"][n]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_says_what_each_role_may_and_who_may_see_it_sees_it() {
    let (_t, s) = hospital().await;
    let [pia, ida, nina] = [
        Browser::at(&s, "pia").await,
        Browser::at(&s, "ida").await,
        Browser::at(&s, "nina").await,
    ];
    for (who, may, audits) in [(&pia, true, true), (&ida, true, false), (&nina, false, false)] {
        let (status, said) = who.get("/console/api/policy").await;
        assert_eq!(status, if may { 200 } else { 403 }, "{said}");
        let (_, session) = who.get("/console/api/session").await;
        assert_eq!(session["may"]["policy"], may);
        let ask = json!({"user": "nina", "patient": "p-own", "purpose": ""});
        let (status, said) = who.post("/console/api/policy/why", ask).await;
        assert_eq!(status, if audits { 200 } else { 403 }, "{said}");
    }
    let (_, table) = pia.get("/console/api/policy").await;
    let own = "patient of an own ward";
    let other = "patient of another ward";
    let glass = "patient of another ward, glass broken";
    for (act, about, role, allow, by_grant, helps) in [
        ("read-chart", own, "Nurse", true, false, false),
        ("read-chart", other, "Nurse", false, false, true),
        ("read-chart", glass, "Nurse", true, true, false),
        ("read-chart", own, "Privacy officer", false, false, false),
        ("read-card", glass, "Emergency account", true, true, false),
        ("read-chart", glass, "Emergency account", false, false, false),
        ("read-audit", "", "Privacy officer", true, false, false),
        ("manage-users", "", "Clinical IT", true, false, false),
        ("view-board", "another ward", "Physician", false, false, false),
    ] {
        let cell = cell(&table, act, about, role);
        assert_eq!(
            (&cell["allow"], &cell["by_grant"], &cell["break_glass_offered"]),
            (&json!(allow), &json!(by_grant), &json!(helps)),
            "{act} {about} {role}: {cell}"
        );
        assert!(!cell["rule"].as_str().unwrap().is_empty());
        assert_eq!(cell["text"] == "", allow, "{cell}");
    }
    // A very confidential record is for physicians; research has no place in a record.
    let (_, strict) = pia.get("/console/api/policy?level=V").await;
    assert_eq!(cell(&strict, "read-chart", own, "Nurse")["allow"], false);
    assert_eq!(cell(&strict, "read-chart", own, "Physician")["allow"], true);
    let (_, research) = pia.get("/console/api/policy?purpose=HRESCH").await;
    let cell = cell(&research, "read-chart", own, "Physician");
    assert_eq!(
        (&cell["allow"], &cell["rule"]),
        (&json!(false), &json!("purpose-does-not-fit"))
    );
    for wrong in ["level=X", "purpose=CURIOUS"] {
        let (status, said) = pia.get(&format!("/console/api/policy?{wrong}")).await;
        assert_eq!((status, &said["error"]), (400, &json!("bad-request")), "{said}");
    }
}

/// What the console says of reading a chart, and what the server does.
async fn asked(pia: &Browser, patient: &str) -> Value {
    let ask = json!({"user": "nina", "patient": patient, "purpose": ""});
    let (status, why) = pia.post("/console/api/policy/why", ask).await;
    assert_eq!(status, 200, "{why}");
    why
}

fn act<'v>(why: &'v Value, act: &str) -> &'v Value {
    why["acts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|a| a["act"] == act)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn why_somebody_may_or_may_not_is_what_the_server_does() {
    let (_t, s) = hospital().await;
    let pia = Browser::at(&s, "pia").await;
    let ed = s.enrol("ED", &[]).await;
    let (_, login) = s.login(&ed, "nina", "193746").await;
    let token = login["token"].as_str().unwrap();
    let reads = async |patient: &str| {
        let path = format!("/fhir/Patient/{patient}");
        read(s.get(&path).bearer_auth(token)).await.0
    };

    for (patient, ward, level, codes, may, rule) in [
        ("p-own", "ED", "N", json!([]), true, "own-ward-patient"),
        ("p-vip", "ED", "V", json!(["VIP"]), false, "very-restricted"),
        ("p-other", "ICU", "N", json!([]), false, "no-relationship"),
    ] {
        let why = asked(&pia, patient).await;
        assert_eq!(
            (&why["ward"], &why["level"], &why["codes"], &why["glass"]),
            (&json!(ward), &json!(level), &codes, &Value::Null),
            "{why}"
        );
        let reading = act(&why, "read-resource");
        assert_eq!(reading["allow"], may, "{patient}: {reading}");
        assert_eq!(reads(patient).await == 200, may, "{patient}");
        assert_eq!(reading["rule"], rule);
        assert_eq!(reading["break_glass_offered"], !may, "{reading}");
        assert_eq!(reading["sees"], if may { json!("R") } else { Value::Null });
    }

    // By a number of theirs too; with the glass broken it is another answer, and it says until when and where.
    let glass = s
        .post("/auth/break-glass")
        .bearer_auth(token)
        .json(&json!({"patient": "p-other", "reason": "covering", "words": "night shift"}));
    assert_eq!(read(glass).await.0, 200);
    let why = asked(&pia, "mrn-p-other").await;
    assert_eq!(why["patient"], "p-other");
    let reading = act(&why, "read-resource");
    assert_eq!(
        (&reading["allow"], &reading["by_grant"], &why["glass"]["device"]),
        (&json!(true), &json!(true), &json!("test station")),
        "{why}"
    );
    assert!(why["glass"]["until_ms"].as_i64() > why["now_ms"].as_i64());
    assert_eq!(reads("p-other").await, 200);

    // A leaver: whatever the rules say of the role.
    done(&["user", "disable", "nina", "--data", s.dir()]);
    let why = asked(&pia, "p-own").await;
    assert_eq!(why["in_use"], false);
    let acts = why["acts"].as_array().unwrap();
    assert!(
        acts.iter()
            .all(|a| a["allow"] == false && a["rule"] == "account-not-in-use"),
        "{why}"
    );

    for (user, patient, purpose, want) in [
        ("nobody", "p-own", "", 404),
        ("nina", "p-none", "", 404),
        ("nina", " ", "", 400),
        ("nina", "p-own", "CURIOUS", 400),
    ] {
        let ask = json!({"user": user, "patient": patient, "purpose": purpose});
        let (status, said) = pia.post("/console/api/policy/why", ask).await;
        assert_eq!(status, want, "{user} {patient}: {said}");
    }

    // Each answer about a patient has its row, with whom and about whom.
    let rows = s.audit();
    let asked: Vec<(&str, &str)> = rows
        .iter()
        .filter(|r| r["action"] == "read-audit" && r["notes"]["use"] == "why")
        .map(|r| {
            (
                r["patient"].as_str().unwrap_or("nobody"),
                r["notes"]["user"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        asked,
        [
            ("p-own", "nina"),
            ("p-vip", "nina"),
            ("p-other", "nina"),
            ("p-other", "nina"),
            ("p-own", "nina"),
            ("nobody", "nina"),
            ("nobody", "nina")
        ]
    );
}
