//! Forged, stolen and repeated tokens of the identity provider: each is refused with its reason and its audit row, and what
//! a session ended by the provider had open closes within a second. The provider here is hostile (`oidc/forger`); signing in
//! by a real one is in `oidc.rs`.
#![allow(
    clippy::disallowed_methods,
    reason = "the test measures how long a line stays open"
)]

#[path = "oidc/cases.rs"]
mod cases;
#[path = "oidc/forger.rs"]
mod forger;
mod harness;
#[path = "oidc/ways.rs"]
mod ways;

use cases::Attempt;
use forger::{By, Forger, Keys};
use futures_util::{SinkExt as _, StreamExt as _};
use harness::inside::Inside;
use harness::line::{Line, secure};
use harness::*;
use ring::signature as sig;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vitrine_clinical::{UserId, WardId};
use vitrine_server::config::Oidc;
use vitrine_server::identity::oidc::Fault;
use vitrine_store::{Account, AccountChange};
use vitrine_wire::http::OidcLoginRequest;
use vitrine_wire::message::{ServerMessage, UserAuth};

const CLIENT: &str = "vitrine";

/// A hospital that trusts a hostile provider.
struct Ground {
    _folder: tempfile::TempDir,
    data: std::path::PathBuf,
    keys: Keys,
    forger: Arc<Forger>,
    s: Inside,
    device: Device,
}

fn account(name: &str, disabled: bool) -> Account {
    Account {
        user: UserId::new(name).unwrap(),
        display: "A. Person".to_owned(),
        role: "nurse".parse().unwrap(),
        wards: vec![WardId::new("ED").unwrap()],
        password_phc: String::new(),
        pin_phc: None,
        disabled,
        badges: Vec::new(),
        version: 0,
    }
}

impl Ground {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Oidc)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (_folder, data) = folder();
        let keys = Keys::new();
        let forger = Forger::start(&keys).await;
        let issuer = forger.issuer.clone();
        let s = Inside::start(&data, |c| {
            c.oidc = Oidc {
                issuer,
                client_id: CLIENT.to_owned(),
                acr: vec!["mfa".to_owned()],
                amr: vec!["mfa".to_owned(), "hwk".to_owned()],
                ..Oidc::default()
            };
            change(&mut c.oidc);
            c.listen.public_url = "https://vitrine.example".to_owned();
        })
        .await;
        s.patient("pat-ed", "ED").await;
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let id = s.device("desk-1", "ED", key.public_key().as_ref().to_vec()).await;
        let device = Device {
            id: id.to_string(),
            server_key: unhex(&s.app.keys.server_key_hex()),
            key: Arc::new(key),
        };
        let ground = Self {
            _folder,
            data,
            keys,
            forger,
            s,
            device,
        };
        for (name, disabled) in [("nina", false), ("bob", false), ("dora", true)] {
            ground.put(account(name, disabled)).await;
        }
        ground
    }

    async fn put(&self, account: Account) {
        let permit = vitrine_access::policy::decide(vitrine_server::cli::acts::operator_request("test"));
        let change = AccountChange::Put(account);
        let receipt = self.s.app.store.change_account(&permit.unwrap(), change).await;
        receipt.unwrap();
    }

    /// A sign-in of Nina's that would be accepted.
    fn attempt(&self) -> Attempt<'_> {
        let now = now_ms() / 1000;
        let nonce = vitrine_server::identity::oidc::secret();
        let object = |v: Value| v.as_object().unwrap().clone();
        Attempt {
            keys: &self.keys,
            issuer: &self.forger.issuer,
            client: CLIENT,
            now,
            header: object(json!({"alg": "RS256", "kid": "rs", "typ": "JWT"})),
            claims: object(json!({
                "iss": self.forger.issuer, "aud": CLIENT, "sub": "sub-nina", "preferred_username": "nina",
                "exp": now + 300, "iat": now, "auth_time": now, "nonce": nonce, "acr": "mfa", "amr": ["mfa"],
                "sid": format!("sid-{nonce}"),
            })),
            by: By::Rsa(&sig::RSA_PKCS1_SHA256),
            then: None,
            access_token: Some("access-token".to_owned()),
            answer: None,
            code: format!("code-{nonce}"),
            verifier: vitrine_server::identity::oidc::secret(),
            nonce,
            redirect: "http://127.0.0.1:49152/callback".to_owned(),
        }
    }

    /// What the workstation sends for it; the provider is set to answer.
    fn request(&self, a: &Attempt<'_>) -> OidcLoginRequest {
        let answer = a.answer.clone().unwrap_or_else(|| {
            let mut body = json!({"id_token": a.token(), "token_type": "Bearer"});
            if let Some(access) = &a.access_token {
                body["access_token"] = json!(access);
            }
            (200, vec![], body.to_string())
        });
        self.forger.answers.lock().unwrap().token = answer;
        let mut request = OidcLoginRequest {
            code: a.code.clone(),
            verifier: a.verifier.clone(),
            redirect_uri: a.redirect.clone(),
            nonce: a.nonce.clone(),
            device: self.device.id.clone(),
            at_ms: now_ms(),
            signature: String::new(),
        };
        request.signature = self.device.sign(&request.message());
        request
    }

    async fn send(&self, request: &OidcLoginRequest) -> (u16, Value) {
        let url = self.s.url("/auth/oidc");
        let answer = self.s.http.post(url).json(request).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    }

    async fn sign_in(&self, a: &Attempt<'_>) -> (u16, Value) {
        let answer = self.send(&self.request(a)).await;
        // Each attempt stands for itself: waiting after five wrong ones is a test of its own.
        self.s.app.throttle.right("oidc", &self.device.id);
        answer
    }

    /// A session of Nina's: its token, and its name at the provider.
    async fn nina(&self) -> (String, String) {
        let a = self.attempt();
        let (status, answer) = self.sign_in(&a).await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["token"].as_str().unwrap().to_owned();
        (token, a.claims["sid"].as_str().unwrap().to_owned())
    }

    async fn works(&self, token: &str) -> u16 {
        let asked = self.s.get("/emergency/pat-ed", token).send().await.unwrap();
        asked.status().as_u16()
    }

    fn logout(&self, change: impl FnOnce(&mut Attempt<'_>)) -> String {
        let mut a = self.attempt();
        for name in ["nonce", "auth_time", "acr", "amr", "preferred_username", "sid"] {
            a.claims.remove(name);
        }
        a.header.insert("typ".to_owned(), json!("logout+jwt"));
        let jti = vitrine_server::identity::oidc::secret();
        a.claims.insert("jti".to_owned(), json!(jti));
        let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        a.claims.insert("events".to_owned(), event);
        change(&mut a);
        a.token()
    }

    async fn log_out(&self, token: &str) -> (u16, Value) {
        let url = self.s.url("/auth/oidc/backchannel-logout");
        let request = self
            .s
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status().as_u16(), json_of(answer).await)
    }

    async fn rules(&self, action: &str) -> Vec<String> {
        let rows = self.s.audited(action).await;
        rows.iter()
            .map(|r| r["rule"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_on_the_id_token_is_refused_with_its_reason() {
    let g = Ground::new().await;
    // The identities of Nina and Bob are known; Nina's comes with the first control.
    let mut bob = g.attempt();
    bob.claims.insert("sub".to_owned(), json!("sub-bob"));
    bob.claims.insert("preferred_username".to_owned(), json!("bob"));
    assert_eq!(g.sign_in(&bob).await.0, 200);
    drop(bob);
    let all = cases::all();
    let attacks = all.iter().filter(|c| c.refused.is_some()).count();
    assert!(attacks >= 200, "{attacks} attacks");
    let mut want = vec!["oidc".to_owned()];
    let mut faults = Vec::new();
    for case in &all {
        let mut a = g.attempt();
        (case.change)(&mut a);
        let (status, answer) = g.sign_in(&a).await;
        match case.refused {
            None => {
                assert_eq!(status, 200, "{}: {answer}", case.name);
                let token = answer["token"].as_str().unwrap();
                assert_eq!((answer["user"].as_str(), token.len()), (Some("nina"), 64));
                assert_eq!(g.works(token).await, 200, "{}", case.name);
                want.push("oidc".to_owned());
            }
            Some(fault) => {
                if answer["token"].is_string() || !(400..=503).contains(&status) {
                    faults.push(format!("{}: ACCEPTED {status}", case.name));
                } else if !answer["text"]
                    .as_str()
                    .unwrap_or_default()
                    .ends_with(&format!("({})", fault.rule()))
                {
                    faults.push(format!("{}: not {}: {answer}", case.name, fault.rule()));
                }
                want.push(fault.rule().to_owned());
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {attacks}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert_eq!(
        g.rules("sign-in").await,
        want,
        "one row for each, with its reason"
    );
    assert_eq!(
        g.forger.trapped.load(SeqCst),
        0,
        "nobody went where a token or an answer sent them"
    );
    eprintln!(
        "{attacks} attacks refused, {} controls accepted",
        all.len() - attacks
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_once_and_a_session_no_longer_than_the_account_stays_as_it_was() {
    let g = Ground::new().await;
    let a = g.attempt();
    let request = g.request(&a);
    let (status, first) = g.send(&request).await;
    assert_eq!(status, 200, "{first}");
    let token = first["token"].as_str().unwrap();
    // The same token, once more: by the same request, and with a code of its own.
    let replayed = g.forger.answers.lock().unwrap().token.clone();
    let mut again = g.attempt();
    again.nonce.clone_from(&a.nonce);
    again.answer = Some(replayed);
    for request in [&request, &g.request(&again)] {
        let (status, answer) = g.send(request).await;
        assert_eq!(status, 401);
        assert!(
            answer["text"].as_str().unwrap().ends_with("(oidc-replay)"),
            "{answer}"
        );
    }
    assert_eq!(g.works(token).await, 200);

    // Another role: the session is over, and the token does not open another.
    let mut changed = account("nina", false);
    changed.role = "physician".parse().unwrap();
    g.put(changed).await;
    assert_eq!(g.works(token).await, 401, "after a change of role");
    assert_eq!(g.send(&request).await.0, 401);
    let (token, _) = g.nina().await;
    assert_eq!(g.works(&token).await, 200, "signed in anew, with the role of now");
    g.put(account("nina", true)).await;
    assert_eq!(g.works(&token).await, 401, "after the account was disabled");
    g.put(account("nina", false)).await;
    assert_eq!(g.works(&token).await, 401, "and not again with it");

    // What the browser carried is no session, and a session is nothing for the console.
    for bearer in [a.token(), a.code.clone(), "access-token".to_owned()] {
        assert_eq!(g.works(&bearer).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_workstation_of_ours_asks_the_provider_nothing() {
    let g = Ground::new().await;
    let right = g.request(&g.attempt());
    type Change = fn(&mut OidcLoginRequest);
    let changes: [(&str, Change, u16); 9] = [
        ("another code", |r| r.code.push('x'), 401),
        ("another verifier", |r| r.verifier.push('x'), 401),
        ("another nonce", |r| r.nonce.push('x'), 401),
        ("another address", |r| r.redirect_uri.push('x'), 401),
        ("another time", |r| r.at_ms += 1, 401),
        ("another workstation", |r| r.device = "desk-2".to_owned(), 401),
        ("no workstation", |r| r.device.clear(), 401),
        ("no signature", |r| r.signature.clear(), 401),
        ("a signature of zeros", |r| r.signature = "00".repeat(64), 401),
    ];
    for (name, change, want) in changes {
        let mut request = right.clone();
        change(&mut request);
        assert_eq!(g.send(&request).await.0, want, "{name}");
    }
    let mut late = right.clone();
    late.at_ms -= 11 * 60_000;
    late.signature = g.device.sign(&late.message());
    assert_eq!(g.send(&late).await.0, 400, "a clock eleven minutes off");
    assert!(
        g.forger.answers.lock().unwrap().forms.is_empty(),
        "the provider was asked"
    );

    // Five refused tokens, then a wait; the right one has to wait too.
    let mut wrong = g.attempt();
    wrong.by = By::OtherRsa;
    for n in 1..=5 {
        let (status, _) = g.send(&g.request(&wrong)).await;
        assert_eq!(status, if n < 5 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(g.send(&right).await.0, 429);
    assert_eq!(g.forger.answers.lock().unwrap().forms.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_and_the_set_is_not_asked_for_at_every_unknown_one() {
    let g = Ground::new().await;
    g.nina().await;
    for n in 0..20 {
        let mut a = g.attempt();
        a.header.insert("kid".to_owned(), json!(format!("unknown-{n}")));
        assert_eq!(g.sign_in(&a).await.0, 401);
    }
    let asked = g.forger.asked_keys.load(SeqCst);
    assert!(asked <= 2, "asked {asked} times");
    // The provider changes its key.
    let keys = json!({"keys": [forger::rsa_jwk(&g.keys.other_rsa, "new", json!({}))]});
    g.forger.answers.lock().unwrap().keys = keys.to_string();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut a = g.attempt();
    a.header.insert("kid".to_owned(), json!("new"));
    a.by = By::OtherRsa;
    let (status, answer) = g.sign_in(&a).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = g.sign_in(&g.attempt()).await;
    assert_eq!(status, 401, "the key before it counts no more: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_on_the_logout_is_refused_and_the_session_goes_on() {
    let g = Ground::new().await;
    let (token, sid) = g.nina().await;
    let set = |name: &'static str, value: Value| {
        move |a: &mut Attempt<'_>| drop(a.claims.insert(name.to_owned(), value.clone()))
    };
    let mut attacks: Vec<(String, String, Fault)> = Vec::new();
    let mut claim = |name: &'static str, fault: Fault, values: &[Value]| {
        for value in values {
            attacks.push((
                format!("{name} {value}"),
                g.logout(set(name, value.clone())),
                fault,
            ));
        }
        let absent = g.logout(|a| drop(a.claims.remove(name)));
        attacks.push((format!("{name} absent"), absent, fault));
    };
    let odd = [json!(null), json!(""), json!(7), json!(["x"]), json!("other")];
    claim("iss", Fault::Issuer, &odd);
    claim(
        "aud",
        Fault::Audience,
        &[&odd[..], &[json!([CLIENT, "other"])]].concat(),
    );
    claim(
        "exp",
        Fault::Expired,
        &[&odd[..2], &[json!(1), json!(now_ms() / 1000 - 90)]].concat(),
    );
    claim(
        "iat",
        Fault::Issued,
        &[&odd[..2], &[json!(1), json!(now_ms() / 1000 + 600)]].concat(),
    );
    claim("jti", Fault::TokenId, &odd[..4]);
    claim("sub", Fault::Subject, &odd[..4]);
    let events = [
        json!(null),
        json!({}),
        json!("http://schemas.openid.net/event/backchannel-logout"),
        json!({"http://schemas.openid.net/event/backchannel-logout": null}),
        json!({"http://schemas.openid.net/event/backchannel-logout": "x"}),
        json!({"http://schemas.openid.net/event/other": {}}),
    ];
    claim("events", Fault::Events, &events);
    for nonce in [json!("x"), json!(null)] {
        attacks.push((
            format!("nonce {nonce}"),
            g.logout(set("nonce", nonce.clone())),
            Fault::Nonce,
        ));
    }
    for sid in [json!(null), json!(7), json!("")] {
        attacks.push((
            format!("sid {sid}"),
            g.logout(set("sid", sid.clone())),
            Fault::Session,
        ));
    }
    for typ in ["at+jwt", "JOSE", "secevent+jwt"] {
        let token = g.logout(|a| drop(a.header.insert("typ".to_owned(), json!(typ))));
        attacks.push((format!("typ {typ}"), token, Fault::Type));
    }
    for (name, fault, change) in [
        (
            "none",
            Fault::Algorithm,
            &(|a: &mut Attempt<'_>| {
                a.header.insert("alg".to_owned(), json!("none"));
                a.by = By::Bytes(Vec::new());
            }) as &dyn Fn(&mut Attempt<'_>),
        ),
        ("HS256 with the public key", Fault::Algorithm, &|a| {
            a.header.insert("alg".to_owned(), json!("HS256"));
            a.by = By::Hmac(ring::hmac::HMAC_SHA256, a.keys.rsa_spki_pem.clone().into_bytes());
        }),
        ("another key", Fault::Signature, &|a| a.by = By::OtherRsa),
        ("unknown kid", Fault::UnknownKey, &|a| {
            a.header.insert("kid".to_owned(), json!("no"));
        }),
        ("key in the token", Fault::KeyInToken, &|a| {
            let jwk = forger::rsa_jwk(&a.keys.other_rsa, "rs", json!({}));
            a.header.insert("jwk".to_owned(), jwk);
            a.by = By::OtherRsa;
        }),
    ] {
        attacks.push((name.to_owned(), g.logout(change), fault));
    }
    attacks.push((
        "the ID token of the sign-in".to_owned(),
        g.attempt().token(),
        Fault::Events,
    ));
    attacks.push(("nothing".to_owned(), String::new(), Fault::Form));
    let right = g.logout(|_| {});
    attacks.push((
        "two tokens".to_owned(),
        format!("{right}&logout_token={right}"),
        Fault::Form,
    ));
    attacks.push(("another name".to_owned(), format!("&token={right}"), Fault::Form));

    let mut wrong = Vec::new();
    for (name, token, fault) in &attacks {
        let (status, answer) = g.log_out(token).await;
        if status != 400 || answer["error_description"] != fault.rule() {
            wrong.push(format!("{name}: {status} {answer}, not {}", fault.rule()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(g.works(&token).await, 200, "none of {} ended it", attacks.len());
    // Who sends many fills no log: the first few have their rows.
    assert_eq!(g.rules("sign-out").await.len(), 5);

    // Another person's, another session's: right tokens, and not this session.
    for other in [
        g.logout(set("sub", json!("sub-bob"))),
        g.logout(set("sid", json!("sid-other"))),
    ] {
        assert_eq!(g.log_out(&other).await.0, 200);
        assert_eq!(g.works(&token).await, 200);
    }
    // And the control, once.
    let right = g.logout(set("sid", json!(sid)));
    assert_eq!(g.log_out(&right).await.0, 200);
    assert_eq!(g.works(&token).await, 401, "after logout");
    let (token, _) = g.nina().await;
    let (status, answer) = g.log_out(&right).await;
    assert_eq!(
        (status, &answer["error_description"]),
        (400, &json!("oidc-replay"))
    );
    assert_eq!(g.works(&token).await, 200, "a replayed logout ends nothing");
    eprintln!("{} attacks on the logout refused", attacks.len() + 1);
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

async fn open(g: &Ground, path: &str, token: &str) -> Socket {
    let addr = g.s.addr.to_string();
    let tls = secure(&addr, &g.data).await;
    let mut request = format!("wss://{addr}{path}").into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    tokio_tungstenite::client_async(request, tls).await.unwrap().0
}

/// When the line was closed, and with which code.
async fn closed(mut socket: Socket) -> (Instant, Option<u16>) {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
        match next.expect("closed within 20 s") {
            Some(Ok(Message::Close(c))) => {
                let _ = socket.close(None).await;
                return (Instant::now(), c.map(|c| c.code.into()));
            }
            Some(Err(_)) | None => return (Instant::now(), None),
            Some(Ok(Message::Ping(p))) => drop(socket.send(Message::Pong(p)).await),
            Some(Ok(_)) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_of_an_ended_session_closes_within_a_second() {
    let g = Ground::new().await;
    for how in ["the provider", "the person", "the account", "the workstation"] {
        let (token, sid) = g.nina().await;
        let (others, _) = g.nina().await;
        let mut line = Line::open_at(&g.s.addr.to_string(), &g.data)
            .await
            .welcomed(&g.device)
            .await;
        line.say(UserAuth { token: token.clone() }).await;
        assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))));
        let (items, _) = line.fetch("pat:pat-ed", 1).await;
        assert!(!items.is_empty());
        let open_of = async |token: &str| {
            let mut out = Vec::new();
            for path in ["/ws/live?v=1&ward=ED", "/ws/images?v=1"] {
                out.push(tokio::spawn(closed(open(&g, path, token).await)));
            }
            out
        };
        let mine = open_of(&token).await;
        let theirs = open_of(&others).await;
        // Past the first look of each connection, and well before its next.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let began = Instant::now();
        match how {
            "the provider" => {
                let logout = g.logout(|a| drop(a.claims.insert("sid".to_owned(), json!(sid))));
                assert_eq!(g.log_out(&logout).await.0, 200);
            }
            "the person" => {
                let url = g.s.url("/auth/logout");
                let sent = g.s.http.post(url).bearer_auth(&token).send().await.unwrap();
                assert_eq!(sent.status(), 204);
            }
            "the account" => {
                g.put(account("nina", true)).await;
                g.s.app.access_changed();
            }
            _ => {
                let permit =
                    vitrine_access::policy::decide(vitrine_server::cli::acts::operator_request("test"));
                let id = vitrine_clinical::DeviceId::new(g.device.id.as_str()).unwrap();
                g.s.app.store.revoke_device(&permit.unwrap(), &id).await.unwrap();
                g.s.app.access_changed();
            }
        }
        for socket in mine {
            let (at, code) = socket.await.unwrap();
            let took = at.duration_since(began);
            eprintln!("ended by {how}: {took:?}");
            assert!(took < Duration::from_secs(1), "ended by {how}: {took:?}");
            assert_eq!(code, Some(4401), "ended by {how}");
        }
        // The workstation's own line stays, without the person; a revoked one ends.
        let heard = line.hear_any(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        if how == "the workstation" {
            assert!(
                !matches!(heard, Some(ServerMessage::PatientDelta(_))),
                "{heard:?}"
            );
        } else {
            assert!(
                matches!(&heard, Some(ServerMessage::Reject(r)) if r.scope == "user"),
                "{how}: {heard:?}"
            );
        }
        let spared = ["the provider", "the person"].contains(&how);
        for socket in theirs {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(
                socket.is_finished(),
                !spared,
                "another session of the same person, {how}"
            );
            socket.abort();
        }
        g.put(account("nina", false)).await;
    }
    assert!(g.rules("sign-out").await.contains(&"oidc-logout".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_not_this_browsers_is_refused_at_the_console() {
    let g = Ground::new().await;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([
            reqwest::Certificate::from_pem(&std::fs::read(g.data.join("ca.pem")).unwrap()).unwrap(),
        ])
        .build()
        .unwrap();
    let ways: Value = json_of(http.get(g.s.url("/console/api/ways")).send().await.unwrap()).await;
    assert_eq!(ways, json!({"provider": true}));
    let begin = async || {
        let answer = http.get(g.s.url("/console/api/oidc/start")).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        let (pair, rest) = cookie.split_once(';').unwrap();
        assert_eq!(rest, " Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=300");
        let to = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        let query: std::collections::BTreeMap<String, String> = to.query_pairs().into_owned().collect();
        assert_eq!(
            query["redirect_uri"],
            "https://vitrine.example/console/oidc/callback"
        );
        assert_eq!(
            (query["code_challenge_method"].as_str(), query["prompt"].as_str()),
            ("S256", "login")
        );
        (pair.to_owned(), query["state"].clone(), query["nonce"].clone())
    };
    let come_back = async |cookie: &str, query: &str| {
        let url = g.s.url(&format!("/console/oidc/callback?{query}"));
        let answer = http.get(url).header("cookie", cookie).send().await.unwrap();
        let status = answer.status().as_u16();
        let set: Vec<String> = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect();
        (status, set.join("\n"), answer.text().await.unwrap())
    };
    let answer_with = |nonce: &str| {
        let mut a = g.attempt();
        a.claims.insert("nonce".to_owned(), json!(nonce));
        let _ = g.request(&a);
    };
    let (victim, victims_state, _) = begin().await;
    type Query = fn(&str, &str) -> String;
    let attacks: [(&str, Query); 13] = [
        ("no state", |_, _| "code=c".to_owned()),
        ("an empty state", |_, _| "code=c&state=".to_owned()),
        ("another state", |_, _| format!("code=c&state={}", "s".repeat(43))),
        ("the state of another browser", |_, other| {
            format!("code=c&state={other}")
        }),
        ("the state in capitals", |s, _| {
            format!("code=c&state={}", s.to_uppercase())
        }),
        ("the state cut short", |s, _| format!("code=c&state={}", &s[..42])),
        ("the state twice", |s, _| format!("code=c&state={s}&state={s}")),
        ("another issuer", |s, _| {
            format!("code=c&state={s}&iss=https://evil.example")
        }),
        ("the issuer twice", |s, _| format!("code=c&state={s}&iss=x&iss=y")),
        ("no code", |s, _| format!("state={s}")),
        ("two codes", |s, _| format!("code=c&code=d&state={s}")),
        ("an error", |s, _| format!("error=access_denied&state={s}")),
        ("an error and a code", |s, _| format!("error=x&code=c&state={s}")),
    ];
    for (name, query) in attacks {
        let (cookie, state, nonce) = begin().await;
        answer_with(&nonce);
        let (status, set, text) = come_back(&cookie, &query(&state, &victims_state)).await;
        assert_eq!(status, 401, "{name}: {text}");
        assert!(!set.contains("vitrine-console"), "{name}: {set}");
        // It was taken: the right answer comes too late.
        let (status, _, _) = come_back(&cookie, &format!("code=c&state={state}")).await;
        assert_eq!(status, 401, "{name}, then the right answer");
    }
    let (_, state, nonce) = begin().await;
    answer_with(&nonce);
    for cookie in ["", "__Host-vitrine-oidc=0", victim.as_str()] {
        let (status, set, _) = come_back(cookie, &format!("code=c&state={state}")).await;
        assert_eq!(
            (status, set.contains("vitrine-console")),
            (401, false),
            "{cookie:?}"
        );
    }
    // A nonce that was not this sign-in's, then the control, which counts once.
    let (cookie, state, _) = begin().await;
    answer_with("n-other");
    let (status, _, text) = come_back(&cookie, &format!("code=c&state={state}")).await;
    assert_eq!(status, 401);
    assert!(text.contains("oidc-nonce"), "{text}");
    let (cookie, state, nonce) = begin().await;
    answer_with(&nonce);
    let (status, set, text) = come_back(&cookie, &format!("code=c&state={state}")).await;
    assert_eq!(status, 303, "{text}");
    assert!(
        set.contains("__Host-vitrine-oidc=; ") && set.contains("Max-Age=0"),
        "{set}"
    );
    let session = set
        .lines()
        .find(|l| l.starts_with("__Host-vitrine-console="))
        .expect("a session");
    assert!(
        session.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
        "{session}"
    );
    let (status, _, _) = come_back(&cookie, &format!("code=c&state={state}")).await;
    assert_eq!(status, 401, "once");

    // The session is one of the console's, and ends with the provider's word.
    let pair = session.split(';').next().unwrap();
    let is_in = async || {
        let asked = http.get(g.s.url("/console/api/session")).header("cookie", pair);
        asked.send().await.unwrap().status().as_u16()
    };
    assert_eq!(is_in().await, 200);
    assert_eq!(g.log_out(&g.logout(|_| {})).await.0, 200);
    assert_eq!(is_in().await, 401);
}
