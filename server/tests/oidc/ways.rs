//! The provider as the way in (`oidc.require`): what a workstation is told, when a PIN is refused, when it is open again, and what a
//! badge changes.

use super::{Account, AccountChange, Ground, account};
use serde_json::{Value, json};
use vitrine_access::policy::decide;
use vitrine_server::cli::acts::operator_request;
use vitrine_server::identity::{secrets, sessions};
use vitrine_server::jobs;
use vitrine_wire::ErrorCode;
use vitrine_wire::http::{WayAnswer, WayRequest};

const PIN: &str = "193746";

impl Ground {
    async fn required() -> Self {
        let g = Self::with(|o| {
            o.require = true;
            o.name = "Hospital ID".to_owned();
        })
        .await;
        g.put(with_pin("nina")).await;
        g
    }

    /// Whether the provider answers; the server looks at once instead of in its next turn.
    async fn provider_up(&self, up: bool) {
        self.forger.answers.lock().unwrap().away = !up;
        assert_eq!(self.s.app.oidc.as_ref().unwrap().look().await, up);
    }

    async fn login(&self, user: &str, secret: &str, badge: Option<&str>) -> (u16, Value) {
        let at_ms = super::now_ms();
        let id = vitrine_clinical::DeviceId::new(self.device.id.clone()).unwrap();
        let message = vitrine_server::identity::devices::login_message(user, &id, at_ms);
        let mut body = json!({"user": user, "secret": secret, "device": self.device.id, "at_ms": at_ms,
            "signature": self.device.sign(&message)});
        if let Some(badge) = badge {
            body["badge"] = json!(badge);
        }
        let sent = self.s.http.post(self.s.url("/auth/login")).json(&body);
        let answer = sent.send().await.unwrap();
        self.s.app.throttle.right(user, &self.device.id);
        (answer.status().as_u16(), super::json_of(answer).await)
    }

    async fn way(&self, user: &str) -> WayAnswer {
        let mut request = WayRequest {
            user: user.to_owned(),
            device: self.device.id.clone(),
            at_ms: super::now_ms(),
            signature: String::new(),
        };
        request.signature = self.device.sign(&request.message());
        let sent = self.s.http.post(self.s.url("/auth/way")).json(&request);
        sent.send().await.unwrap().json().await.unwrap()
    }

    /// The last row of a sign-in: rule, decision, way, why it was open.
    async fn last(&self) -> (String, String, String, String) {
        let row = self.s.audited("sign-in").await.pop().unwrap();
        let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
        (
            text(&row["rule"]),
            text(&row["decision"]),
            text(&row["notes"]["way"]),
            text(&row["notes"]["because"]),
        )
    }
}

fn with_pin(name: &str) -> Account {
    Account {
        pin_phc: Some(secrets::phc(PIN, secrets::PIN)),
        ..account(name, false)
    }
}

fn row(rule: &str, decision: &str, way: &str, because: &str) -> (String, String, String, String) {
    (
        rule.to_owned(),
        decision.to_owned(),
        way.to_owned(),
        because.to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_refused_while_the_provider_answers_and_open_while_it_does_not() {
    let g = Ground::required().await;
    g.provider_up(true).await;
    let asked = g.way("nina").await;
    assert_eq!(
        (asked.required, asked.provider_answers, asked.vouched),
        (true, true, false)
    );
    // The right PIN, a wrong one and nobody's name are answered alike: nothing is learned of a PIN.
    for (user, secret) in [("nina", PIN), ("nina", "000000"), ("nobody", PIN)] {
        let (status, answer) = g.login(user, secret, None).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (403, Some("use-provider")),
            "{answer}"
        );
        assert!(
            answer["text"].as_str().unwrap().contains("Hospital ID"),
            "{answer}"
        );
        assert!(answer["token"].is_null());
        assert_eq!(g.last().await, row("provider-answers", "deny", "-", "-"));
    }
    g.provider_up(false).await;
    assert!(!g.way("nina").await.provider_answers);
    let (status, answer) = g.login("nina", PIN, None).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(g.works(answer["token"].as_str().unwrap()).await, 200);
    assert_eq!(g.last().await, row("pin", "permit", "pin", "provider-down"));
    assert_eq!(
        g.login("nina", "000000", None).await.0,
        401,
        "a wrong PIN stays wrong"
    );
    g.provider_up(true).await;
    assert_eq!(g.login("nina", PIN, None).await.0, 403, "closed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_a_pin_is_what_it_was() {
    let g = Ground::new().await;
    g.put(with_pin("nina")).await;
    g.provider_up(true).await;
    assert!(!g.way("nina").await.required);
    assert_eq!(g.login("nina", PIN, None).await.0, 200);
    assert_eq!(g.last().await, row("pin", "permit", "pin", "-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_provider_vouched_for_unlocks_by_pin_until_something_changes() {
    let g = Ground::required().await;
    g.provider_up(true).await;
    let (token, _) = g.nina().await;
    assert_eq!(g.last().await, row("oidc", "permit", "provider", "-"));
    assert!(g.way("nina").await.vouched);
    assert_eq!(g.login("nina", PIN, None).await.0, 200);
    assert_eq!(g.last().await, row("pin", "permit", "pin", "vouched"));
    assert_eq!(g.login("bob", PIN, None).await.0, 403, "of nobody else");
    // The session's end is not the end of it: the lock ends sessions all day.
    let hash = sessions::token_hash(&token);
    g.s.app.store.end_session(&hash).await.unwrap();
    assert_eq!(g.login("nina", PIN, None).await.0, 200);

    // Any change of the account ends it.
    g.put(with_pin("nina")).await;
    assert!(!g.way("nina").await.vouched, "after a change of the account");
    assert_eq!(g.login("nina", PIN, None).await.0, 403);
    g.nina().await;
    assert_eq!(g.login("nina", PIN, None).await.0, 200);

    // The provider's logout ends it, by the person or by the session, and writes no row for it.
    let before = g.s.audited("sign-out").await.len();
    let by_person = g.logout(|a| {
        a.claims.insert("sub".to_owned(), json!("sub-nina"));
    });
    assert_eq!(g.log_out(&by_person).await.0, 200);
    assert!(!g.way("nina").await.vouched, "after a logout by the person");
    let ended = g.s.audited("sign-out").await.len() - before;
    assert_eq!(ended, 1, "one session, one row");
    let (_, sid) = g.nina().await;
    assert!(g.way("nina").await.vouched);
    let by_session = g.logout(|a| {
        a.claims.remove("sub");
        a.claims.insert("sid".to_owned(), json!(sid));
    });
    assert_eq!(g.log_out(&by_session).await.0, 200);
    assert!(!g.way("nina").await.vouched, "after a logout of the session");
    assert_eq!(g.login("nina", PIN, None).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_somebody_was_vouched_for_is_no_session() {
    let g = Ground::required().await;
    g.nina().await;
    // What it is kept under is known to anybody: it opens nothing.
    for token in ["vitrine-vouched\0nina", "vouched"] {
        let app = &g.s.app;
        assert!(sessions::caller(app, token).await.unwrap().is_none(), "{token:?}");
        assert!(
            sessions::at_console(app, token).await.unwrap().is_none(),
            "{token:?}"
        );
    }
    assert!(g.way("nina").await.vouched, "nor is it ended by who tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_enrolled_workstation_is_told_of_the_ways() {
    let g = Ground::required().await;
    let forged = WayRequest {
        user: "nina".to_owned(),
        device: g.device.id.clone(),
        at_ms: super::now_ms(),
        signature: g.device.sign(b"something else"),
    };
    let sent =
        g.s.http
            .post(g.s.url("/auth/way"))
            .json(&forged)
            .send()
            .await
            .unwrap();
    assert_eq!(sent.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_badge_is_named_while_it_is_theirs_and_refused_when_it_is_not_any_more() {
    let g = Ground::new().await;
    g.put(with_pin("nina")).await;
    let change = async |c: AccountChange| {
        let permit = decide(operator_request("test")).unwrap();
        g.s.app.store.change_account(&permit, c).await.unwrap();
    };
    let nina = || vitrine_clinical::UserId::new("nina").unwrap();
    let badge = vitrine_wire::digest::badge(&g.s.app.keys.badge_key(), "04A1B2C3");
    assert_eq!(
        g.login("nina", PIN, Some(&badge)).await.1["code"],
        json!(ErrorCode::UnknownBadge)
    );
    change(AccountChange::AddBadge(nina(), badge.clone())).await;
    assert_eq!(g.login("nina", PIN, Some(&badge)).await.0, 200);
    assert_eq!(g.last().await, row("pin", "permit", "badge+pin", "-"));
    assert_eq!(
        g.login("nina", "000000", Some(&badge)).await.0,
        401,
        "never the badge alone"
    );
    assert_eq!(
        g.login("bob", PIN, Some(&badge)).await.1["code"],
        json!("unknown-badge"),
        "nobody else's"
    );
    change(AccountChange::RemoveBadge(nina(), badge.clone())).await;
    assert_eq!(
        g.login("nina", PIN, Some(&badge)).await.1["code"],
        json!("unknown-badge")
    );
    assert_eq!(g.last().await, row("unknown-badge", "deny", "-", "-"));
    assert_eq!(
        g.login("nina", PIN, None).await.0,
        200,
        "by name they still sign in"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_looks_by_itself_and_does_not_make_a_sign_in_wait() {
    let g = Ground::required().await;
    jobs::start(&g.s.app);
    let down = async |want: bool| {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while g.way("nina").await.provider_answers != want {
            assert!(std::time::Instant::now() < until, "it never noticed");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    down(true).await;
    g.forger.answers.lock().unwrap().away = true;
    down(false).await;
    g.forger.answers.lock().unwrap().away = false;
    down(true).await;
}
