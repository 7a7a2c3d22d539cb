//! Broken glass is reviewed by somebody else within 24 hours: over the command line, against a running server.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use vitrine_wire::message::{GrantAfter, GrantEnd, GrantUp, GrantWords, ServerMessage, Sub, UserAuth};

const HOUR: i64 = 3_600_000;

/// A command with a password on its standard input: exit code and JSON.
fn review(dir: &str, args: &[&str], by: &str) -> (i32, Value, String) {
    let words = [&["review"], args, &["--by", by]].concat();
    command::with_secret(dir, &words, &command::password(by))
}

fn decided(dir: &str, id: &str, how: &str, by: &str) -> (i32, Value, String) {
    review(
        dir,
        &["decide", id, how, "--text", "Because of what was seen."],
        by,
    )
}

/// The grant of `user`, who broke the glass of p3 at a workstation so many hours ago.
fn made(device: &Device, user: &str, ago_h: i64, words: Option<&str>) -> Value {
    let at = now_ms() - ago_h * HOUR;
    json!({"id": vitrine_server::clock::new_uuid(), "user": user, "device": device.id, "patient": "p3",
        "reason": "life-threatening", "words": words, "at": at, "until": at + 4 * HOUR, "offline": true})
}

/// A workstation sends such a grant up; gives its id.
async fn broken(
    line: &mut line::Line,
    device: &Device,
    user: &str,
    ago_h: i64,
    words: Option<&str>,
) -> String {
    let grant = made(device, user, ago_h, words);
    line.say(up(&grant, None)).await;
    assert!(matches!(line.hear().await, Some(ServerMessage::GrantAck(a)) if a.id == grant["id"]));
    grant["id"].as_str().unwrap().to_owned()
}

fn by_id<'v>(list: &'v Value, id: &str) -> &'v Value {
    let rows = list["reviews"].as_array().unwrap();
    rows.iter().find(|r| r["id"] == id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_glass_waits_for_somebody_else_and_its_clock_survives_a_restart() {
    let (_t, data) = folder();
    let mut s = Server::start(&data);
    let dir = s.dir().to_owned();
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p3", "ICU").to_string()).await.0,
        200
    );
    for (user, role) in [
        ("nina", "nurse"),
        ("pia", "privacy-officer"),
        ("paul", "privacy-officer"),
    ] {
        command::add_user(&dir, user, role);
    }
    let d = s.enrol("ED", &[]).await;
    let mut line = line::Line::enrolled(&s, &d).await;
    let fresh = broken(&mut line, &d, "nina", 0, Some("no pulse")).await;
    let old = broken(&mut line, &d, "nina", 21, None).await;
    let late = broken(&mut line, &d, "nina", 30, None).await;
    let own = broken(&mut line, &d, "pia", 1, None).await;

    // The clock has spoken for the one of 21 hours ago, and gives the late one its four hours.
    let began = Instant::now();
    let list = loop {
        let (code, list, _) = review(&dir, &["list"], "paul");
        assert_eq!(code, 0, "{list}");
        if by_id(&list, &old)["level"] == 2 {
            break list;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{list}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(list["reviews"].as_array().unwrap().len(), 4);
    for (id, wanted) in [
        (
            &fresh,
            json!({"late": false, "overdue": false, "level": 0, "owes_words": false}),
        ),
        (
            &old,
            json!({"late": false, "overdue": false, "level": 2, "owes_words": true}),
        ),
        (
            &late,
            json!({"late": true, "overdue": true, "level": 0, "owes_words": true}),
        ),
    ] {
        for (what, value) in wanted.as_object().unwrap() {
            assert_eq!(&by_id(&list, id)[what], value, "{what} of {list}");
        }
    }
    let due = by_id(&list, &late)["due"].clone();

    // Who may not: a nurse, whoever has another password, who broke the glass.
    assert_eq!(decided(&dir, &fresh, "appropriate", "nina").0, 1);
    let wrong = command::with_secret(&dir, &["review", "list", "--by", "paul"], "wrong");
    assert_eq!(wrong.0, 3);
    let (code, _, said) = decided(&dir, &own, "appropriate", "pia");
    assert_eq!(code, 1);
    assert!(said.contains("somebody else must review it"), "{said}");
    assert_eq!(
        decided(&dir, &own, "appropriate", "paul").1["state"],
        "appropriate"
    );

    // Asked, explained by who did it and by nobody else, decided.
    assert_eq!(decided(&dir, &old, "ask", "pia").1["state"], "asked");
    assert_eq!(decided(&dir, &old, "explain", "paul").0, 1);
    let told = decided(&dir, &old, "explain", "nina").1;
    assert_eq!(
        (&told["state"], &told["owes_words"]),
        (&json!("open"), &json!(false))
    );
    assert_eq!(
        decided(&dir, &old, "appropriate", "pia").1["state"],
        "appropriate"
    );

    // Misuse is the word of two.
    assert_eq!(decided(&dir, &late, "suspect", "pia").1["state"], "suspected");
    assert_eq!(decided(&dir, &late, "confirm", "pia").0, 1);

    // The same after a restart: nothing is escalated twice, nothing re-dated.
    drop(line);
    s.ask_to_stop();
    assert_eq!(s.wait(), Some(0));
    s = Server::start(&data);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let shown = review(&dir, &["show", &old], "pia").1;
    let levels = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["did"] == "escalated");
    assert_eq!(levels.count(), 1, "{shown}");
    assert_eq!(shown["evidence"]["own_ward"], false, "{shown}");
    assert_eq!(shown["evidence"]["by_user_30_days_before"], 1, "{shown}");
    let closed = decided(&dir, &late, "confirm", "paul").1;
    assert_eq!((&closed["state"], &closed["due"]), (&json!("misuse"), &due));
    assert_eq!(decided(&dir, &late, "appropriate", "paul").0, 1, "it is closed");

    let stats = review(&dir, &["stats"], "paul").1;
    assert_eq!(stats["states"], json!({"appropriate": 2, "misuse": 1, "open": 1}));
    assert_eq!(
        (
            &stats["closed"],
            &stats["closed_in_time"],
            &stats["arrived_late"],
            &stats["overdue"]
        ),
        (&json!(3), &json!(2), &json!(1), &json!(0)),
        "{stats}"
    );
    assert_eq!(stats["closed_in_time_percent"], 66.7);
    assert_eq!(stats["misuse_by_user"], json!({"nina": 1}));

    // Every act, refused ones by the policy too, and every look has its row.
    let audit = s.audit();
    let acts: Vec<&str> = audit
        .iter()
        .filter_map(|r| r["notes"]["review"].as_str())
        .collect();
    assert_eq!(
        acts,
        [
            "escalated",
            "appropriate",
            "asked",
            "explained",
            "appropriate",
            "suspected",
            "confirmed"
        ]
    );
    let of = |what: fn(&Value) -> bool| audit.iter().filter(|r| what(r)).count();
    assert_eq!(
        of(|r| r["action"] == "review-break-glass"
            && r["decision"] == "deny"
            && r["rule"] != "review-refused"),
        2,
        "a nurse and a wrong password"
    );
    assert_eq!(
        of(|r| r["action"] == "review-break-glass" && r["notes"]["use"] == "show"),
        1
    );
    let tried: Vec<(&str, &str)> = audit
        .iter()
        .filter(|r| r["rule"] == "review-refused" && r["decision"] == "deny")
        .map(|r| {
            (
                r["actor"]["User"].as_str().unwrap(),
                r["notes"]["tried"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        tried,
        [
            ("pia", "appropriate"),
            ("paul", "explained"),
            ("pia", "confirmed"),
            ("paul", "appropriate")
        ],
        "who tries what is not theirs is in the log"
    );
    let looks: Vec<&Value> = audit.iter().filter(|r| r["notes"]["use"] == "list").collect();
    assert!(looks.iter().all(|r| r["disclosure"]["patients"] == json!(["p3"])));
    assert_eq!(done(&["audit", "verify", "--data", &dir])["whole"], true);
}

/// A grant as a workstation sends it up, with what came after it.
fn up(grant: &Value, after: Option<(u32, Option<&str>, Option<&str>)>) -> GrantUp {
    let after = after.map(|(rev, by, words)| GrantAfter {
        rev,
        ended: by.map(|by| GrantEnd {
            at_ms: grant["at"].as_i64().unwrap() + 600_000,
            by: by.to_owned(),
        }),
        words: words.map(|text| GrantWords {
            at_ms: grant["at"].as_i64().unwrap() + 1_800_000,
            text: text.to_owned(),
        }),
    });
    GrantUp {
        grant: serde_json::value::RawValue::from_string(grant.to_string()).unwrap(),
        after,
    }
}

/// Hears the acknowledgement of a grant up to `rev`, and whether the record of p3 was withdrawn before or after it.
async fn acked(line: &mut line::Line, grant: &Value, rev: u32, withdraws: bool) {
    let (mut answered, mut withdrawn) = (false, !withdraws);
    while !(answered && withdrawn) {
        match line.hear().await.expect("the line holds") {
            ServerMessage::GrantAck(a) if a.id == grant["id"] && !answered => {
                assert_eq!(a.rev, Some(rev));
                answered = true;
            }
            ServerMessage::Reject(r) if r.scope == "pat:p3" && !withdrawn => withdrawn = true,
            other => panic!("{other:?}"),
        }
    }
}

async fn signs_in(s: &Server, line: &mut line::Line, d: &Device) {
    let (_, session) = s.login(d, "nina", "193746").await;
    let token = session["token"].as_str().unwrap().into();
    line.say(UserAuth { token }).await;
    assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))));
}

async fn refused(line: &mut line::Line, n: u64) {
    let scope = "pat:p3".to_owned();
    line.say(Sub {
        scope,
        n,
        have: None,
        resume: None,
    })
    .await;
    let heard = line.hear().await;
    assert!(
        matches!(&heard, Some(ServerMessage::Reject(r)) if r.scope == "pat:p3" && r.n == n),
        "{n}: {heard:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_and_words_from_a_workstation_count_once_however_they_arrive() {
    let (_t, data) = folder();
    let mut s = Server::start(&data);
    let dir = s.dir().to_owned();
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p3", "ICU").to_string()).await.0,
        200
    );
    for (user, role) in [("nina", "nurse"), ("pia", "privacy-officer")] {
        command::add_user(&dir, user, role);
    }
    let d = s.enrol("ED", &[]).await;
    let mut line = line::Line::enrolled(&s, &d).await;
    let made = |ago_h: i64| made(&d, "nina", ago_h, None);

    // The record opens under the grant, and is closed when its end comes up.
    let first = made(1);
    line.say(up(&first, None)).await;
    acked(&mut line, &first, 0, false).await;
    signs_in(&s, &mut line, &d).await;
    line.fetch("pat:p3", 1).await;
    line.say(up(&first, Some((1, Some("lock"), None)))).await;
    acked(&mut line, &first, 1, true).await;
    refused(&mut line, 9).await;
    // Twice, and the grant alone once more, as from before its end: it stays ended.
    line.say(up(&first, Some((1, Some("lock"), None)))).await;
    acked(&mut line, &first, 1, false).await;
    line.say(up(&first, None)).await;
    acked(&mut line, &first, 0, false).await;
    refused(&mut line, 11).await;
    // The words come later, and again.
    for _ in 0..2 {
        line.say(up(&first, Some((2, Some("lock"), Some("Found in the lift.")))))
            .await;
        acked(&mut line, &first, 2, false).await;
    }

    // One whose end and words are the first that is heard of it, after more than a day.
    let late = made(30);
    line.say(up(&late, Some((2, Some("switch"), Some("A fall.")))))
        .await;
    acked(&mut line, &late, 2, false).await;
    // One that is decided before its words arrive; ended in a way this server does not know.
    let closed = made(2);
    line.say(up(&closed, Some((1, Some("by-some-newer-key"), None))))
        .await;
    acked(&mut line, &closed, 1, false).await;
    let id = |g: &Value| g["id"].as_str().unwrap().to_owned();
    assert_eq!(
        decided(&dir, &id(&closed), "appropriate", "pia").1["state"],
        "appropriate"
    );
    line.say(up(
        &closed,
        Some((2, Some("by-some-newer-key"), Some("Was asked to."))),
    ))
    .await;
    acked(&mut line, &closed, 2, false).await;
    // Words that are none are not taken, and not sent for ever. Its own time is over, so that it opens nothing below.
    let empty = made(5);
    line.say(up(&empty, Some((1, None, Some(" "))))).await;
    acked(&mut line, &empty, 1, false).await;

    let list = review(&dir, &["list", "--all"], "pia").1;
    let at = |g: &Value, ms: i64| {
        vitrine_server::clock::instant(vitrine_clinical::UtcMs(g["at"].as_i64().unwrap() + ms))
    };
    for (grant, by, text, state) in [
        (&first, "lock", "Found in the lift.", "open"),
        (&late, "switch", "A fall.", "open"),
        (&closed, "other", "Was asked to.", "appropriate"),
    ] {
        let shown = by_id(&list, &id(grant));
        assert_eq!(shown["until"], at(grant, 600_000), "{shown}");
        assert_eq!(shown["ended"], json!({"at": at(grant, 600_000), "by": by}));
        assert_eq!(
            shown["words_later"],
            json!({"at": at(grant, 1_800_000), "text": text})
        );
        assert_eq!(shown["due"], at(grant, 24 * HOUR), "never re-dated");
        assert_eq!(
            (&shown["owes_words"], &shown["state"]),
            (&json!(false), &json!(state)),
            "{shown}"
        );
    }
    assert_eq!(by_id(&list, &id(&late))["late"], true);
    assert_eq!(by_id(&list, &id(&empty))["owes_words"], true);
    let shown = review(&dir, &["show", &id(&first)], "pia").1;
    let said: Vec<&Value> = shown["history"].as_array().unwrap().iter().collect();
    assert_eq!(said.len(), 1, "{shown}");
    assert_eq!(
        (&said[0]["did"], &said[0]["by"], &said[0]["text"]),
        (&json!("explained"), &json!("nina"), &json!("Found in the lift."))
    );

    // It has ended after a restart too, also where the grant alone comes up once more.
    drop(line);
    s.ask_to_stop();
    assert_eq!(s.wait(), Some(0));
    s = Server::start(&data);
    line = line::Line::enrolled(&s, &d).await;
    line.say(up(&first, None)).await;
    acked(&mut line, &first, 0, false).await;
    signs_in(&s, &mut line, &d).await;
    refused(&mut line, 1).await;

    let audit = s.audit();
    let of = |action: &str| {
        audit
            .iter()
            .filter(|r| r["action"] == action && r["rule"] == "uploaded")
            .count()
    };
    assert_eq!(
        (
            of("receive-grant"),
            of("end-break-glass"),
            of("explain-break-glass")
        ),
        (4, 3, 3)
    );
    let alarms: Vec<&Value> = audit.iter().filter(|r| r["action"] == "alarm").collect();
    assert_eq!(alarms.len(), 1, "the words that are none: {alarms:?}");
    assert_eq!(done(&["audit", "verify", "--data", &dir])["whole"], true);
}

/// Hears until the grant is said to have ended; gives how, and whether the record of p3 was withdrawn on the way.
async fn told_of_the_end(line: &mut line::Line, id: &str) -> (GrantEnd, bool) {
    let mut withdrawn = false;
    loop {
        match line.hear().await.expect("the line holds") {
            ServerMessage::GrantAck(a) if a.id == id => {
                return (a.ended.expect("its end, unasked"), withdrawn);
            }
            ServerMessage::Reject(r) if r.scope == "pat:p3" => withdrawn = true,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_takes_an_access_back_and_the_workstation_is_told_until_it_knows() {
    let (_t, data) = folder();
    let mut s = Server::start(&data);
    let dir = s.dir().to_owned();
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p3", "ICU").to_string()).await.0,
        200
    );
    for (user, role) in [
        ("nina", "nurse"),
        ("pia", "privacy-officer"),
        ("paul", "privacy-officer"),
    ] {
        command::add_user(&dir, user, role);
    }
    let d = s.enrol("ED", &[]).await;
    let mut line = line::Line::enrolled(&s, &d).await;
    let grant = made(&d, "nina", 1, None);
    let id = grant["id"].as_str().unwrap().to_owned();
    line.say(up(&grant, None)).await;
    acked(&mut line, &grant, 0, false).await;
    let over = broken(&mut line, &d, "nina", 5, None).await;
    signs_in(&s, &mut line, &d).await;
    line.fetch("pat:p3", 1).await;

    // Not what is over, not by who broke it, not without words.
    for (id, by, why) in [
        (&over, "pia", "not in force"),
        (&id, "nina", "does not include this"),
    ] {
        let (code, _, said) = decided(&dir, id, "revoke", by);
        assert!(code == 1 && said.contains(why), "{by}: {code} {said}");
    }
    assert_eq!(
        review(&dir, &["decide", &id, "revoke", "--text", " "], "pia").0,
        1
    );

    let began = Instant::now();
    let (code, taken, said) = decided(&dir, &id, "revoke", "pia");
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        (&taken["state"], &taken["ended"]["by"], &taken["until"]),
        (&json!("open"), &json!("revoked"), &taken["ended"]["at"]),
        "the review goes on"
    );
    let (end, mut withdrawn) = told_of_the_end(&mut line, &id).await;
    assert_eq!(end.by, "revoked");
    while !withdrawn {
        let heard = line.hear().await.expect("the line holds");
        withdrawn = matches!(&heard, ServerMessage::Reject(r) if r.scope == "pat:p3");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    refused(&mut line, 9).await;
    let (code, _, said) = decided(&dir, &id, "revoke", "paul");
    assert!(code == 1 && said.contains("not in force"), "once: {said}");

    // What is decided already is taken back all the same.
    let decided_one = broken(&mut line, &d, "nina", 0, Some("A fall.")).await;
    assert_eq!(
        decided(&dir, &decided_one, "appropriate", "paul").1["state"],
        "appropriate"
    );
    let closed = decided(&dir, &decided_one, "revoke", "pia").1;
    assert_eq!(
        (&closed["state"], &closed["ended"]["by"]),
        (&json!("appropriate"), &json!("revoked")),
        "{closed}"
    );
    assert_eq!(told_of_the_end(&mut line, &decided_one).await.0.by, "revoked");

    // A workstation that was away, and a server that has begun anew: it is said again, until the time is over.
    drop(line);
    s.ask_to_stop();
    assert_eq!(s.wait(), Some(0));
    s = Server::start(&data);
    line = line::Line::enrolled(&s, &d).await;
    let mut again = vec![];
    while again.len() < 2 {
        match line.hear().await.expect("the line holds") {
            ServerMessage::GrantAck(a) if a.ended.is_some() => again.push(a.id),
            other => panic!("{other:?}"),
        }
    }
    assert!(again.contains(&id) && again.contains(&decided_one) && !again.contains(&over));

    // It comes up as it was told, or as it had ended there before that was known: neither is an alarm, and the first stands.
    for by in ["revoked", "lock"] {
        let mut sent = up(&grant, Some((1, Some(by), None)));
        if let Some(after) = sent.after.as_mut().filter(|_| by == "revoked") {
            after.ended = Some(end.clone());
        }
        line.say(sent).await;
        let heard = line.hear().await;
        assert!(
            matches!(&heard, Some(ServerMessage::GrantAck(a)) if a.id == id && a.ended.is_none()),
            "{heard:?}"
        );
    }
    let shown = review(&dir, &["show", &id], "pia").1;
    assert_eq!(shown["ended"], taken["ended"], "as it was when it was taken back");
    let did: Vec<&str> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["did"].as_str().unwrap())
        .collect();
    assert_eq!(did, ["revoked"]);
    let audit = s.audit();
    assert!(audit.iter().all(|r| r["action"] != "alarm"), "no alarm");
    let rows: Vec<&Value> = audit
        .iter()
        .filter(|r| r["notes"]["review"] == "revoked" && r["decision"] == "permit")
        .collect();
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter()
            .all(|r| r["actor"]["User"] == "pia" && r["notes"]["ended_ms"].is_string())
    );
    assert_eq!(done(&["audit", "verify", "--data", &dir])["whole"], true);
}
