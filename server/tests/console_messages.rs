//! HL7 v2 messages at the console: who sees what of them, each act and its row in the audit log.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::browser::{Browser, COOKIE, read};
use harness::folder;
use harness::inside::Inside;
use serde_json::{Value, json};
use vitrine_access::policy;
use vitrine_clinical::UserId;
use vitrine_server::cli::acts::operator_request;
use vitrine_server::config::FeedRules;
use vitrine_server::identity::secrets;
use vitrine_store::{Account, AccountChange};

const PASSWORD: &str = "a-long-password";

/// A result of a system that is not in use yet (MSH-11 is T), which is held.
fn test_result(control: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|VITRINE|NORTH|20260301100000||ORU^R01^ORU_R01|{control}|T|2.5.1||||||8859/1\rPID|1||70099^^^MRN^MR||\u{d6}deg\u{e5}rd^Ada\rOBR|1|P1|F1|K^Potassium panel^L\rOBX|1|NM|2823-3^Potassium^LN||4.2|mmol/L"
    )
}

/// As ISO 8859-1.
fn latin(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

/// A server with a feed `lab`, one of each role, and three held messages.
async fn hospital() -> (tempfile::TempDir, Inside) {
    let (t, data) = folder();
    let inside = Inside::start(&data, |config| {
        config.mllp.feed = vec![FeedRules {
            name: "lab".to_owned(),
            from: vec!["127.0.0.1".to_owned()],
            sender: vec!["LAB".to_owned()],
            ..FeedRules::default()
        }];
    })
    .await;
    for (user, role) in [
        ("ina", "integrator"),
        ("ida", "clinical-it"),
        ("pia", "privacy-officer"),
        ("nina", "nurse"),
    ] {
        let account = Account {
            user: UserId::new(user).unwrap(),
            display: user.to_uppercase(),
            role: role.parse().unwrap(),
            wards: Vec::new(),
            password_phc: secrets::phc(PASSWORD, secrets::PASSWORD),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            version: 0,
        };
        let permit = policy::decide(operator_request("test")).unwrap();
        let change = AccountChange::Put(account);
        inside.app.store.change_account(&permit, change).await.unwrap();
    }
    let token = inside.program("system/*.cruds").await;
    for control in ["T1", "T2", "T3"] {
        let sent = inside
            .http
            .post(inside.url("/import"))
            .bearer_auth(&token)
            .header("x-file-name", "one.hl7")
            .body(latin(&test_result(control)))
            .send()
            .await
            .unwrap();
        let (status, said) = (sent.status(), sent.json::<Value>().await.unwrap());
        assert_eq!(
            (status.as_u16(), &said["quarantined"]),
            (200, &json!(1)),
            "{said}"
        );
    }
    (t, inside)
}

async fn at(inside: &Inside, user: &str) -> Browser {
    let mut browser = Browser::new(inside.http.clone(), &inside.url(""));
    browser.sign_in(user, PASSWORD).await;
    browser
}

async fn held(who: &Browser) -> Vec<u64> {
    let (status, said) = who.get("/console/api/messages?state=held").await;
    assert_eq!(status, 200, "{said}");
    let rows = said["rows"].as_array().unwrap().iter();
    rows.map(|r| r["id"].as_u64().unwrap()).collect()
}

/// The rows of an act with these notes, each as its actor and the message it is about.
async fn rows(inside: &Inside, action: &str, key: &str, value: &str) -> Vec<(String, String)> {
    let all = inside.audited(action).await.into_iter();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    all.filter(|r| r["notes"][key] == value && r["decision"] == "permit")
        .map(|r| {
            assert_eq!(r["notes"]["door"], "console", "{r}");
            (text(&r["actor"]["User"]), text(&r["notes"]["message"]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_and_does_its_part_alone() {
    let (_t, inside) = hospital().await;
    let one = |act: &str| format!("/console/api/messages/3{act}");
    let fix = json!({"text": "MSH|^~\\&|LAB", "reason": "why"});
    for (user, lists, reads) in [
        ("ina", true, true),
        ("ida", true, false),
        ("pia", false, false),
        ("nina", false, false),
    ] {
        let who = at(&inside, user).await;
        let (_, session) = who.get("/console/api/session").await;
        assert_eq!(
            (&session["may"]["messages"], &session["may"]["message_texts"]),
            (&json!(lists), &json!(reads)),
            "{user}"
        );
        let want = |may: bool, then: u16| if may { then } else { 403 };
        let (status, said) = who.get("/console/api/messages").await;
        assert_eq!(status, want(lists, 200), "{user}: {said}");
        assert!(
            !said.to_string().contains("deg"),
            "a list says nothing of a message"
        );
        let (status, said) = who.get(&one("")).await;
        assert_eq!(status, want(reads, 200), "{user}: {said}");
        assert_eq!(said.to_string().contains("degård"), reads, "{user}");
        let (status, said) = who.post(&one("/replay"), json!({})).await;
        assert_eq!(status, want(lists, 200), "{user}: {said}");
        let (status, said) = who.post(&one("/drop"), json!({"reason": " "})).await;
        assert_eq!(status, want(reads, 400), "{user}: {said}");
        let (status, said) = who.post(&one("/fix"), fix.clone()).await;
        assert_eq!(status, want(reads, 200), "{user}: {said}");
    }
    // A refusal has its row, and so has each look at the list and at a message.
    let refused = inside.audited("import-data").await;
    let refused = refused.iter().filter(|r| r["decision"] == "deny");
    let mut by: Vec<&str> = refused.map(|r| r["actor"]["User"].as_str().unwrap()).collect();
    by.sort_unstable();
    let five = |who| [who; 5];
    assert_eq!(by, [&["ida"; 3][..], &five("nina"), &five("pia")].concat());
    let lists = rows(&inside, "import-data", "use", "message-list").await;
    assert_eq!(lists, [("ina".to_owned(), String::new())]);
    let lists = rows(&inside, "operate-server", "use", "message-list").await;
    assert_eq!(lists, [("ida".to_owned(), String::new())]);
    let looks = rows(&inside, "import-data", "use", "message-show").await;
    assert_eq!(looks, [("ina".to_owned(), "3".to_owned())]);
    let again = rows(&inside, "import-data", "act", "message-replay").await;
    assert_eq!(again, [("ina".to_owned(), "3".to_owned())]);
    let again = rows(&inside, "operate-server", "use", "message-replay").await;
    assert_eq!(again, [("ida".to_owned(), "3".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_filtered_and_paged_and_counts_each_feed() {
    let (_t, inside) = hospital().await;
    let ina = at(&inside, "ina").await;
    let (_, all) = ina.get("/console/api/messages").await;
    let first = &all["rows"][0];
    assert_eq!(
        (&first["feed"], &first["control"], &first["kind"], &first["state"]),
        (&json!("lab"), &json!("T3"), &json!("ORU^R01"), &json!("held"))
    );
    assert_eq!(
        (&first["code"], &first["code_text"], &first["place"]),
        (
            &json!(202),
            &json!("Unsupported processing id"),
            &json!("MSH^1^11")
        )
    );
    assert_eq!(all["next"], Value::Null);
    let feeds = all["feeds"].as_array().unwrap();
    assert_eq!(feeds.len(), 1, "{all}");
    for span in ["today", "week"] {
        let count = &feeds[0][span];
        assert_eq!(
            (&count["messages"], &count["held"], &count["held_for_that"]),
            (&json!(3), &json!(3), &json!(3)),
            "{count}"
        );
        assert_eq!(count["held_why"], "Unsupported processing id");
    }
    // A page after the first counts nothing again.
    let (_, page) = ina.get("/console/api/messages?limit=2&feed=lab&state=held").await;
    assert_eq!(
        (page["rows"].as_array().unwrap().len(), &page["next"]),
        (2, &json!(2))
    );
    let (_, page) = ina.get("/console/api/messages?limit=2&before=2").await;
    assert_eq!(page["rows"].as_array().unwrap().len(), 1);
    assert_eq!((&page["next"], &page["feeds"]), (&Value::Null, &json!([])));
    for (query, n) in [("feed=other", 0), ("state=applied", 0), ("feed=&state=", 3)] {
        let (status, said) = ina.get(&format!("/console/api/messages?{query}")).await;
        assert_eq!(
            (status, said["rows"].as_array().unwrap().len()),
            (200, n),
            "{query}"
        );
    }
    for query in ["state=lost", "before=x", "limit=0", "limit=501", "limit=x"] {
        let (status, said) = ina.get(&format!("/console/api/messages?{query}")).await;
        assert_eq!((status, &said["error"]), (400, &json!("bad-request")), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_is_shown_decided_again_corrected_and_dropped() {
    let (_t, inside) = hospital().await;
    let ina = at(&inside, "ina").await;
    let (_, shown) = ina.get("/console/api/messages/1").await;
    let lines = shown["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &shown["exact"]), (4, &json!(true)), "{shown}");
    assert_eq!(lines[0]["marked"], "T", "the place of the fault");
    assert!(
        lines[0]["before"].as_str().unwrap().ends_with("|T1|"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[0]["after"], "|2.5.1||||||8859/1");
    assert_eq!(lines[1]["marked"], Value::Null);
    assert_eq!(
        lines[1]["before"], "PID|1||70099^^^MRN^MR||Ödegård^Ada",
        "in its own character set"
    );

    // Decided again it stays held, and says who asked.
    let (status, done) = ina.post("/console/api/messages/1/replay", json!({})).await;
    assert_eq!(
        (status, &done["message"]["state"], &done["message"]["by"]),
        (200, &json!("held"), &json!("ina")),
        "{done}"
    );
    let ida = at(&inside, "ida").await;
    let (status, done) = ida.post("/console/api/messages/1/replay", json!({})).await;
    assert_eq!(
        (status, &done["message"]["state"], &done["message"]["by"]),
        (200, &json!("held"), &json!("ida")),
        "{done}"
    );

    // Corrections that cannot be taken change nothing.
    let text = test_result("T1").replace('\r', "\n");
    let right = text.replace("|T1|T|", "|T1|P|");
    let two = format!("{right}\n{right}");
    for (text, reason, says) in [
        (right.as_str(), " ", "Say why"),
        ("PID|1\n", "why", "exactly one"),
        ("", "why", "exactly one"),
        (two.as_str(), "why", "exactly one"),
        (
            right.replace("Ada", "Ada\u{fffd}").as_str(),
            "why",
            "could not be read",
        ),
        (right.replace("Ada", "Ωda").as_str(), "why", "windows-1252"),
        (right.replace("8859/1", "EBCDIC").as_str(), "why", "MSH-18"),
    ] {
        let asked = json!({"text": text, "reason": reason});
        let (status, said) = ina.post("/console/api/messages/1/fix", asked).await;
        assert_eq!(status, 400, "{said}");
        assert!(said["text"].as_str().unwrap().contains(says), "{said}");
    }
    assert_eq!(held(&ina).await, [3, 2, 1]);

    // The copy is written in the character set of the message. Nobody knows the patient: it is held in its turn, the first stays.
    let asked = json!({"text": right, "reason": "the system is in use since today"});
    let (status, done) = ina.post("/console/api/messages/1/fix", asked).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(
        (&done["message"]["state"], &done["copy"]["of"]),
        (&json!("held"), &json!(1)),
        "{done}"
    );
    assert_ne!(done["copy"]["code"], 202, "{done}");
    let copy = done["copy"]["id"].as_u64().unwrap();
    let (_, shown) = ina.get(&format!("/console/api/messages/{copy}")).await;
    assert_eq!(shown["exact"], true);
    let sent: String = shown["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| {
            let marked = l["marked"].as_str().unwrap_or_default();
            format!(
                "{}{marked}{}\n",
                l["before"].as_str().unwrap(),
                l["after"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(sent.trim(), right);

    let asked = json!({"reason": "a test of the laboratory"});
    let (status, done) = ina.post("/console/api/messages/2/drop", asked.clone()).await;
    assert_eq!(
        (status, &done["message"]["state"], &done["message"]["reason"]),
        (200, &json!("dropped"), &json!("a test of the laboratory")),
        "{done}"
    );
    assert_eq!(held(&ina).await, [copy, 3, 1]);
    // What is settled stays so; what is not there is not found.
    for (path, body, want) in [
        ("2/drop", asked.clone(), (409, "refused")),
        ("2/replay", json!({}), (409, "refused")),
        ("2/fix", json!({"text": right, "reason": "why"}), (409, "refused")),
        ("99/replay", json!({}), (404, "not-found")),
        ("99/drop", asked.clone(), (404, "not-found")),
        ("x/replay", json!({}), (404, "not-found")),
        ("3/drop", json!({}), (400, "bad-request")),
    ] {
        let (status, said) = ina.post(&format!("/console/api/messages/{path}"), body).await;
        assert_eq!((status, said["error"].as_str().unwrap()), want, "{path}: {said}");
    }
    assert_eq!(ina.get("/console/api/messages/99").await.0, 404);

    // Each act has its row, with why.
    let one = |id: &str| vec![("ina".to_owned(), id.to_owned())];
    assert_eq!(
        rows(&inside, "import-data", "act", "message-replay").await,
        one("1")
    );
    assert_eq!(
        rows(&inside, "import-data", "act", "message-drop").await,
        one("2")
    );
    let dropped = inside.audited("import-data").await;
    let dropped = dropped.iter().find(|r| r["notes"]["act"] == "message-drop");
    assert_eq!(dropped.unwrap()["notes"]["reason"], "a test of the laboratory");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_page_changes_nothing() {
    let (_t, inside) = hospital().await;
    let ina = at(&inside, "ina").await;
    let body = json!({"reason": "why", "text": test_result("T1")});
    for act in ["replay", "fix", "drop"] {
        let path = format!("/console/api/messages/1/{act}");
        let cookie = format!("{COOKIE}={}", ina.cookie);
        let plain = || {
            ina.http
                .post(format!("{}{path}", ina.base))
                .header("cookie", &cookie)
                .json(&body)
        };
        for (what, request) in [
            ("no token", plain().header("origin", &ina.base)),
            (
                "another origin",
                plain()
                    .header("origin", "https://evil.example")
                    .header("x-vitrine-csrf", &ina.csrf),
            ),
        ] {
            let (status, said) = read(request).await;
            assert_eq!(
                (status, &said["error"]),
                (403, &json!("csrf")),
                "{act}, {what}: {said}"
            );
        }
    }
    assert_eq!(held(&ina).await, [3, 2, 1]);
    let acts = inside.audited("import-data").await;
    assert!(
        acts.iter().all(|r| r["notes"]["act"].is_null()),
        "nothing was done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_no_longer_configured_is_said() {
    let (_t, inside) = hospital().await;
    let of = |name: &str| vitrine_store::NewMessage {
        at: vitrine_server::clock::now(),
        feed: name.to_owned(),
        sender: "OLD|NORTH".to_owned(),
        control: format!("of {name}"),
        dated: "20260301".to_owned(),
        kind: "ADT^A01".to_owned(),
        of: None,
        body: bytes::Bytes::from(latin(&test_result("O1"))),
    };
    let kept = inside.app.store.keep_message(of("old")).await.unwrap();
    assert_eq!(kept, vitrine_store::Keeping::New(4));
    let ina = at(&inside, "ina").await;
    let (_, shown) = ina.get("/console/api/messages/4").await;
    assert_eq!(shown["lines"], Value::Null);
    assert!(
        shown["unshown"]
            .as_str()
            .unwrap()
            .contains("no longer in mllp.feed"),
        "{shown}"
    );
    let (status, said) = ina.post("/console/api/messages/4/replay", json!({})).await;
    assert_eq!(status, 409, "{said}");
    let (_, list) = ina.get("/console/api/messages?state=received").await;
    let old = list["feeds"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["feed"] == "old");
    assert_eq!(old.unwrap()["configured"], false, "{list}");
}
