//! Somebody gives themselves a new password or PIN: a new one that is unfit says nothing of the password that came with it (ADR 55).

mod harness;
use harness::*;
use serde_json::{Value, json};

/// Status, headers but the date, body.
type Answer = (u16, Vec<(String, String)>, String);

async fn asked(s: &Server, token: &str, body: &Value) -> Answer {
    let answer = s.post("/auth/secret").bearer_auth(token).json(body).send();
    let answer = answer.await.unwrap();
    let headers = answer.headers().iter().filter(|(name, _)| *name != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let (status, headers) = (answer.status().as_u16(), headers.collect());
    (status, headers, answer.text().await.unwrap())
}

/// Rule, decision and notes of somebody's changes.
fn rows(audit: &[Value], user: &str) -> Vec<String> {
    let theirs = audit
        .iter()
        .filter(|r| r["action"] == "change-secret" && r["actor"]["User"] == user);
    theirs
        .map(|r| format!("{} {} {}", r["rule"], r["decision"], r["notes"]))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unfit_is_answered_alike_whether_the_password_is_right_or_wrong() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let ed = s.enrol("ED", &[]).await;
    // One gives the right password with what is unfit, the other a wrong one.
    let people = [("nina", "nina-long-password"), ("nora", "a-wrong-password")];
    let mut tokens = Vec::new();
    for (user, _) in people {
        command::add_user(s.dir(), user, "nurse");
        let (status, answer) = s.login(&ed, user, "193746").await;
        assert_eq!(status, 200, "{answer}");
        tokens.push(answer["token"].as_str().unwrap().to_owned());
    }
    let wrong = json!({"password": "a-wrong-password", "new_pin": "802461"});
    for token in &tokens {
        for _ in 0..4 {
            let (status, _, said) = asked(&s, token, &wrong).await;
            assert_eq!(status, 401, "{said}");
        }
    }
    let before = s.audit();
    let expected = vec![r#""wrong-secret" "deny" {"change":"pin"}"#.to_owned(); 4];
    for new in [
        json!({"new_password": "short"}),
        json!({"new_password": "482915739164"}),
        json!({"new_pin": "123456"}),
        json!({"new_pin": "4711"}),
        json!({"new_password": "another one of words", "new_pin": "777777"}),
        json!({"new_password": "short", "new_pin": "802461"}),
        json!({}),
    ] {
        let mut said = Vec::new();
        for (token, (_, password)) in tokens.iter().zip(people) {
            let mut body = new.clone();
            body["password"] = json!(password);
            said.push(asked(&s, token, &body).await);
        }
        assert_eq!(said[0], said[1], "{new}");
        assert_eq!(said[0].0, 400, "{new}: {said:?}");
    }
    let after = s.audit();
    for (user, _) in people {
        assert_eq!(rows(&before, user), expected, "{user}");
        assert_eq!(rows(&after, user), expected, "{user}: no row for what is unfit");
    }
    // Neither counted as wrong nor forgotten as right: the next wrong one is the fifth.
    for token in &tokens {
        let (status, headers, said) = asked(&s, token, &wrong).await;
        assert_eq!(status, 429, "{said}");
        assert!(
            headers.contains(&("retry-after".to_owned(), "30".to_owned())),
            "{headers:?}"
        );
    }
}
