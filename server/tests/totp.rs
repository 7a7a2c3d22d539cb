//! The second factor of local accounts: a code counts once, wrong ones are counted and written down, recovery codes count once
//! each, a reset ends what rested on it, and the secret is nowhere to be read.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::browser::{Browser, read};
use harness::inside::Inside;
use harness::*;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use vitrine_access::policy;
use vitrine_clinical::{UserId, UtcMs};
use vitrine_server::cli::acts::operator_request;
use vitrine_server::clock;
use vitrine_server::config::TotpUse;
use vitrine_server::identity::{second_factor, secrets, totp};
use vitrine_store::{Account, AccountChange};

const PASSWORD: &str = "a-long-password";
/// The cookie between password and code.
const PROOF: &str = "__Host-vitrine-code";

/// The present time step.
fn step() -> u64 {
    totp::step_at(UtcMs(now_ms()))
}

/// The present time step, at a moment when it lasts for at least ten seconds more.
async fn early() -> u64 {
    while now_ms() % 30_000 > 20_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    step()
}

/// What an authenticator reads from the key that was shown.
fn secret_of(key: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut out, mut n, mut bits) = (Vec::new(), 0_u32, 0);
    for c in key.bytes().filter(|c| *c != b' ') {
        let v = letters.iter().position(|l| *l == c).unwrap();
        n = (n << 5 | u32::try_from(v).unwrap()) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(n >> bits & 0xff).unwrap());
        }
    }
    assert_eq!(out.len(), totp::SECRET);
    out
}

/// A person's authenticator, with the recovery codes that were printed.
struct Authenticator {
    key: String,
    secret: Vec<u8>,
    recovery: Vec<String>,
}

impl Authenticator {
    fn code(&self, step: u64) -> String {
        totp::code(&self.secret, step).to_string()
    }

    /// Enrolled by the command line, with the code of a time step.
    fn enrolled(dir: &str, user: &str, step: u64) -> Self {
        let begun = done(&["totp", "enrol", user, "--data", dir]);
        let key = begun["key"].as_str().unwrap().to_owned();
        let mut made = Self {
            secret: secret_of(&key),
            key,
            recovery: Vec::new(),
        };
        let plain = made.key.replace(' ', "");
        let uri = begun["uri"].as_str().unwrap();
        assert!(
            uri.starts_with(&format!("otpauth://totp/Vitrine:{user}?secret={plain}&")),
            "{uri}"
        );
        let said = done(&["totp", "confirm", user, &made.code(step), "--data", dir]);
        let codes = said["recovery_codes"].as_array().unwrap();
        made.recovery = codes.iter().map(|c| c.as_str().unwrap().to_owned()).collect();
        assert_eq!(made.recovery.len(), 10);
        made
    }
}

/// A browser at the page where the code is typed.
#[derive(Clone)]
struct Asked {
    b: Browser,
    proof: String,
}

impl Asked {
    /// After the right password.
    async fn of(b: &Browser, user: &str, password: &str) -> Self {
        let answer = b.try_sign_in(user, password).await;
        let status = answer.status();
        let set = answer
            .headers()
            .get("set-cookie")
            .map(|v| v.to_str().unwrap().to_owned());
        let said: Value = answer.json().await.unwrap();
        assert_eq!(
            (status.as_u16(), &said["error"]),
            (401, &json!("code-needed")),
            "{said}"
        );
        let set = set.expect("a cookie");
        let (pair, attributes) = set.split_once(';').unwrap();
        assert_eq!(
            attributes,
            " Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=300"
        );
        let (name, proof) = pair.split_once('=').unwrap();
        assert_eq!(name, PROOF);
        Self {
            b: b.clone(),
            proof: proof.to_owned(),
        }
    }

    async fn answer(&self, code: &str) -> reqwest::Response {
        let asked = self
            .b
            .http
            .post(format!("{}/console/api/sign-in/code", self.b.base));
        let cookie = format!("{PROOF}={}", self.proof);
        let asked = asked.header("origin", &self.b.base).header("cookie", cookie);
        asked.json(&json!({"code": code})).send().await.unwrap()
    }

    /// Lets the browser in; gives the session.
    async fn enter(&self, code: &str) -> (Browser, Value) {
        let answer = self.answer(code).await;
        let status = answer.status();
        let all = answer.headers().get_all("set-cookie").iter();
        let set: Vec<String> = all.map(|v| v.to_str().unwrap().to_owned()).collect();
        let session: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{session}");
        assert_eq!(set.len(), 2, "{set:?}");
        assert!(
            set[1].starts_with(&format!("{PROOF}=;")) && set[1].ends_with("Max-Age=0"),
            "{set:?}"
        );
        let (_, token) = set[0].split(';').next().unwrap().split_once('=').unwrap();
        let b = Browser {
            cookie: token.to_owned(),
            csrf: session["csrf"].as_str().unwrap().to_owned(),
            ..self.b.clone()
        };
        assert!(b.is_in().await);
        (b, session)
    }

    /// Status and code of a refusal; never a session.
    async fn refused(&self, code: &str) -> (u16, String) {
        let answer = self.answer(code).await;
        assert!(answer.headers().get("set-cookie").is_none());
        let status = answer.status().as_u16();
        let said: Value = answer.json().await.unwrap();
        (status, said["error"].as_str().unwrap_or_default().to_owned())
    }
}

fn wrong() -> (u16, String) {
    (401, "wrong-secret".to_owned())
}

fn browser(s: &Server) -> Browser {
    Browser::new(client(&s.data), &s.url(""))
}

fn password(user: &str) -> String {
    command::password(user).trim().to_owned()
}

async fn at(s: &Server, user: &str) -> Asked {
    Asked::of(&browser(s), user, &password(user)).await
}

fn staffed() -> (tempfile::TempDir, Server) {
    let (t, data) = folder();
    let s = Server::start(&data);
    for (user, role) in [
        ("nina", "nurse"),
        ("pia", "privacy-officer"),
        ("ida", "clinical-it"),
    ] {
        command::add_user(s.dir(), user, role);
    }
    (t, s)
}

/// Rule and label of the console's sign-ins of somebody.
fn signs(audit: &[Value], user: &str) -> Vec<String> {
    let theirs = audit.iter().filter(|r| {
        r["action"] == "sign-in" && r["notes"]["door"] == "console" && r["actor"]["User"] == user
    });
    let words = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    theirs
        .map(|r| {
            format!(
                "{} {} {}",
                words(&r["decision"]),
                words(&r["rule"]),
                words(&r["notes"]["amr"])
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_counts_once() {
    let (_t, mut s) = staffed();
    let now = early().await;
    let pia = Authenticator::enrolled(s.dir(), "pia", now - 1);

    // The password alone opens nothing, and a wrong one is answered as ever.
    let b = browser(&s);
    let said = b.try_sign_in("pia", "wrong").await;
    assert_eq!(said.status(), 401);
    assert!(said.headers().get("set-cookie").is_none());
    let first = at(&s, "pia").await;
    let other = pia.code(now).bytes().rev().map(char::from).collect::<String>();
    let other = if other == pia.code(now) {
        "000000".to_owned()
    } else {
        other
    };
    for (what, code) in [
        ("another code", other),
        ("the code of the enrolment", pia.code(now - 1)),
        ("two steps old", pia.code(now - 2)),
    ] {
        assert_eq!(first.refused(&code).await, wrong(), "{what}");
    }
    let (pia_in, session) = first.enter(&pia.code(now)).await;
    assert_eq!(
        (&session["by"], &session["totp"]),
        (
            &json!("pwd+otp"),
            &json!({"on": true, "offered": false, "recovery": 10})
        )
    );
    let again = at(&s, "pia").await;
    assert!(step() <= now + 1, "the machine is too slow for this test");
    assert_eq!(again.refused(&pia.code(now)).await, wrong(), "in its own step");
    assert_eq!(
        first.refused(&pia.code(now)).await,
        wrong(),
        "also where it was right"
    );
    assert!(pia_in.is_in().await, "a wrong code ends nobody's session");

    // At the same moment: one counts.
    let next = pia.code(now + 1);
    let mut all = Vec::new();
    for _ in 0..6 {
        let (each, next) = (again.clone(), next.clone());
        all.push(tokio::spawn(
            async move { each.answer(&next).await.status().as_u16() },
        ));
    }
    let mut got = Vec::new();
    for each in all {
        got.push(each.await.unwrap());
    }
    got.sort_unstable();
    assert_eq!(got.iter().filter(|s| **s == 200).count(), 1, "{got:?}");
    assert!(got.iter().all(|s| [200, 401, 429].contains(s)), "{got:?}");

    // A server that was killed and came back knows.
    s.kill();
    let s = Server::start(&s.data);
    let after = at(&s, "pia").await;
    assert!(step() <= now + 2, "the machine is too slow for this test");
    assert_eq!(after.refused(&next).await, wrong(), "after a restart");

    // A workstation is a second factor itself: nothing changes there, nor in an emergency.
    let ed = s.enrol("ED", &[]).await;
    let nina = Authenticator::enrolled(s.dir(), "nina", step());
    for secret in ["193746".to_owned(), password("nina")] {
        let (status, login) = s.login(&ed, "nina", &secret).await;
        assert_eq!(status, 200, "{login}");
        let token = login["token"].as_str().unwrap();
        let glass = s.post("/auth/break-glass").bearer_auth(token);
        let glass = glass.json(&json!({"patient": "nobody", "reason": "life-threat"}));
        let status = glass.send().await.unwrap().status();
        assert_ne!(status, 401, "no code is asked for");
    }
    assert_eq!(nina.recovery.len(), 10);

    let signs = signs(&s.audit(), "pia");
    assert_eq!(signs[0], "deny wrong-secret -");
    assert_eq!(&signs[1..4], ["deny wrong-code -"; 3]);
    assert_eq!(signs[4], "permit password pwd+otp");
    assert_eq!(
        signs.iter().filter(|s| s.starts_with("permit")).count(),
        2,
        "{signs:?}"
    );
    assert_eq!(signs.last().unwrap(), "deny wrong-code -");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_counts_once_and_only_for_its_owner() {
    let (_t, s) = staffed();
    let now = early().await;
    let pia = Authenticator::enrolled(s.dir(), "pia", now);
    let ida = Authenticator::enrolled(s.dir(), "ida", now);
    let asked = at(&s, "pia").await;
    assert_eq!(asked.refused(&ida.recovery[0]).await, wrong(), "another's");
    let (_, session) = asked.enter(&pia.recovery[3]).await;
    assert_eq!(
        (&session["by"], &session["totp"]["recovery"]),
        (&json!("pwd+recovery"), &json!(9))
    );
    assert_eq!(asked.refused(&pia.recovery[3]).await, wrong(), "once");
    let typed = pia.recovery[7].replace('-', " ").to_lowercase();
    let (_, session) = asked.enter(&typed).await;
    assert_eq!(session["totp"]["recovery"], 8);
    let listed = done(&["totp", "list", "--data", s.dir()]);
    let rows = listed["second_factors"].as_array().unwrap();
    let shown: Vec<Value> = rows
        .iter()
        .map(|r| json!([r["user"], r["state"], r["recovery_codes"]]))
        .collect();
    assert_eq!(shown, [json!(["ida", "on", 10]), json!(["pia", "on", 8])]);
    let audit = s.audit();
    let left: Vec<&Value> = audit
        .iter()
        .map(|r| &r["notes"]["recovery-left"])
        .filter(|v| !v.is_null())
        .collect();
    assert_eq!(left, ["9", "8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_wait_as_wrong_passwords_do() {
    let (_t, s) = staffed();
    let now = early().await;
    let pia = Authenticator::enrolled(s.dir(), "pia", now - 1);
    let asked = at(&s, "pia").await;
    for _ in 0..3 {
        assert_eq!(asked.refused("ACDE-FGHJ-KMN9").await, wrong());
    }
    // The right password in between takes nothing back of what was counted.
    let asked = at(&s, "pia").await;
    assert_eq!(asked.refused("12345").await, wrong());
    assert_eq!(asked.refused("12345").await, (429, "throttled".to_owned()));
    for code in [pia.code(now), pia.recovery[0].clone()] {
        assert_eq!(asked.refused(&code).await.0, 429, "also the right one");
    }
    let waits = browser(&s).try_sign_in("pia", &password("pia")).await;
    assert_eq!(waits.status(), 429, "and the password");
    let mut ida = browser(&s);
    ida.sign_in("ida", &password("ida")).await;
    assert_eq!(signs(&s.audit(), "pia"), ["deny wrong-code -"; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_takes_away_ends_what_rested_on_it() {
    let (_t, s) = staffed();
    let dir = s.dir().to_owned();
    let run = |words: &[&str]| run_json(&[&["totp"], words, &["--data", &dir]].concat());
    // Refused, with what to do.
    for (words, exit) in [
        (&["enrol", "nobody"][..], 2),
        (&["confirm", "pia", "123456"], 2),
        (&["reset", "pia"], 2),
    ] {
        assert_eq!(run(words).0, exit, "{words:?}");
    }
    let mut before = browser(&s);
    before.sign_in("pia", &password("pia")).await;
    let now = early().await;
    let begun = done(&["totp", "enrol", "pia", "--data", &dir]);
    assert!(before.is_in().await, "nothing counts before the first code");
    let mut alone = browser(&s);
    alone.sign_in("pia", &password("pia")).await;
    assert_eq!(run(&["confirm", "pia", "000000x"]).0, 2);
    let secret = secret_of(begun["key"].as_str().unwrap());
    let code = totp::code(&secret, now - 1);
    assert_eq!(run(&["confirm", "pia", &code]).0, 0);
    assert!(
        !before.is_in().await && !alone.is_in().await,
        "sessions that rest on less end"
    );
    assert_eq!(run(&["enrol", "pia"]).0, 2, "not in place of one that counts");
    let (pia, _) = at(&s, "pia").await.enter(&totp::code(&secret, now)).await;
    done(&["totp", "reset", "pia", "--data", &dir]);
    assert!(!pia.is_in().await, "the session that rested on it is over");
    let mut after = browser(&s);
    let session = after.sign_in("pia", &password("pia")).await;
    assert_eq!(
        (&session["by"], &session["totp"]),
        (
            &json!("pwd"),
            &json!({"on": false, "offered": true, "recovery": 0})
        )
    );
    let audit = s.audit();
    let changes: Vec<&str> = audit
        .iter()
        .filter(|r| r["action"] == "manage-users" && r["notes"]["user"] == "pia")
        .filter_map(|r| r["notes"]["change"].as_str())
        .filter(|c| c.starts_with("totp"))
        .collect();
    assert_eq!(changes, ["totp-begin", "totp-confirm", "totp-reset"]);
}

/// A server in this process with one officer and one nurse.
async fn inside(data: &Path, rule: TotpUse) -> Inside {
    let s = Inside::start(data, |c| c.sessions.totp = rule).await;
    for (name, role) in [("pia", "privacy-officer"), ("nina", "nurse")] {
        put(&s, name, role, false).await;
    }
    s
}

async fn put(s: &Inside, name: &str, role: &str, disabled: bool) -> Account {
    let account = Account {
        user: UserId::new(name).unwrap(),
        display: "A. Person".to_owned(),
        role: role.parse().unwrap(),
        wards: Vec::new(),
        password_phc: secrets::phc(PASSWORD, secrets::PASSWORD),
        pin_phc: None,
        disabled,
        badges: Vec::new(),
        version: 0,
    };
    let permit = policy::decide(operator_request("test")).unwrap();
    let change = AccountChange::Put(account.clone());
    s.app.store.change_account(&permit, change).await.unwrap();
    s.app.store.account(&account.user).await.unwrap().unwrap()
}

async fn at_page(s: &Inside, user: &str) -> Browser {
    let mut b = Browser::new(s.http.clone(), &s.url(""));
    b.sign_in(user, PASSWORD).await;
    b
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_enrols_at_the_console() {
    let (_t, data) = folder();
    let s = inside(&data, TotpUse::Offered).await;
    let mut pia = at_page(&s, "pia").await;
    let elsewhere = at_page(&s, "pia").await;
    let (enrol, confirm) = ("/console/api/totp", "/console/api/totp/confirm");
    let (status, said) = pia.post(enrol, json!({"secret": "not-hers"})).await;
    assert_eq!((status, &said["error"]), (401, &json!("wrong-secret")));
    assert_eq!(
        pia.post(confirm, json!({"code": "123456"})).await.0,
        409,
        "none waits"
    );
    assert!(s.app.store.totps().await.unwrap().is_empty());

    let (status, first) = pia.post(enrol, json!({"secret": PASSWORD})).await;
    assert_eq!(status, 200, "{first}");
    let (status, begun) = pia.post(enrol, json!({"secret": PASSWORD})).await;
    assert_eq!(status, 200, "begun anew");
    assert_ne!(first["key"], begun["key"]);
    let qr = begun["qr"].as_array().unwrap();
    assert!(qr.len() > 20 && qr.iter().all(|r| r.as_str().unwrap().len() == qr.len()));
    let now = early().await;
    let of = |shown: &Value, step| totp::code(&secret_of(shown["key"].as_str().unwrap()), step).to_string();
    let (status, said) = pia.post(confirm, json!({"code": of(&first, now)})).await;
    assert_eq!(
        (status, &said["error"]),
        (409, &json!("refused")),
        "of the key before"
    );
    assert!(pia.is_in().await && elsewhere.is_in().await);

    let code = of(&begun, now - 1);
    let answer = pia.posting(confirm, &json!({"code": code})).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let enrolled: Value = answer.json().await.unwrap();
    assert_eq!(enrolled["codes"].as_array().unwrap().len(), 10);
    assert_eq!(enrolled["session"]["by"], "pwd+otp");
    assert!(
        !pia.is_in().await && !elsewhere.is_in().await,
        "the sessions of before are over"
    );
    pia.cookie = set
        .split(';')
        .next()
        .unwrap()
        .split_once('=')
        .unwrap()
        .1
        .to_owned();
    pia.csrf = enrolled["session"]["csrf"].as_str().unwrap().to_owned();
    assert!(pia.is_in().await, "this one goes on");
    assert_eq!(
        pia.post(enrol, json!({"secret": PASSWORD})).await.0,
        409,
        "there is one"
    );

    let b = Browser::new(s.http.clone(), &s.url(""));
    let asked = Asked::of(&b, "pia", PASSWORD).await;
    assert_eq!(
        asked.refused(&code).await,
        wrong(),
        "the code of the enrolment was used"
    );
    asked.enter(&of(&begun, now)).await;
    let rows = s.audited("second-factor").await;
    let said: Vec<String> = rows
        .iter()
        .map(|r| {
            format!(
                "{} {}",
                r["notes"]["change"].as_str().unwrap(),
                r["rule"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "begin wrong-secret",
            "begin own-account",
            "begin own-account",
            "confirm wrong-code",
            "confirm own-account"
        ]
    );

    // The store has neither the secret nor a code that anybody could compute from it.
    let secret = secret_of(begun["key"].as_str().unwrap());
    let kept = s
        .app
        .store
        .totp(&UserId::new("pia").unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(!kept.sealed.windows(secret.len()).any(|w| w == secret));
    use sha2::Digest as _;
    for code in enrolled["codes"].as_array().unwrap() {
        let plain = totp::typed_recovery(code.as_str().unwrap()).unwrap();
        let known: [u8; 32] = sha2::Sha256::digest(plain.as_bytes()).into();
        assert!(!kept.codes.contains(&known));
    }
    // Under another name it does not open.
    let moved = vitrine_store::totp::Totp {
        user: UserId::new("nina").unwrap(),
        ..kept
    };
    assert!(
        second_factor::check(&*s.app.store, &s.app.keys, &moved, "123456")
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_browser_keeps_between_opens_nothing_else() {
    let (_t, data) = folder();
    let s = inside(&data, TotpUse::Offered).await;
    let user = UserId::new("pia").unwrap();
    let pia = at_page(&s, "pia").await;
    let (_, begun) = pia.post("/console/api/totp", json!({"secret": PASSWORD})).await;
    let secret = secret_of(begun["key"].as_str().unwrap());
    let now = early().await;
    let code = totp::code(&secret, now - 1).to_string();
    assert_eq!(
        pia.post("/console/api/totp/confirm", json!({"code": code}))
            .await
            .0,
        200
    );
    let account = s.app.store.account(&user).await.unwrap().unwrap();
    let nina = s
        .app
        .store
        .account(&UserId::new("nina").unwrap())
        .await
        .unwrap()
        .unwrap();
    let b = Browser::new(s.http.clone(), &s.url(""));
    let good = Asked::of(&b, "pia", PASSWORD).await;
    let (keys, ago) = (&s.app.keys, |ms: i64| clock::now().plus_ms(-ms));
    let five = second_factor::PROOF_MS;
    let older = Account {
        version: account.version - 1,
        ..account.clone()
    };
    let code = totp::code(&secret, now).to_string();
    let flipped = {
        let last = if good.proof.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &good.proof[..good.proof.len() - 1])
    };
    for (what, proof) in [
        ("none", String::new()),
        ("no seal", "ab".repeat(80)),
        ("a changed one", flipped),
        (
            "too old",
            second_factor::proof(keys, &account, ago(five + 1_000)).unwrap(),
        ),
        (
            "of the future",
            second_factor::proof(keys, &account, ago(-60_000)).unwrap(),
        ),
        (
            "of the account as it was",
            second_factor::proof(keys, &older, ago(0)).unwrap(),
        ),
        (
            "of somebody without a second factor",
            second_factor::proof(keys, &nina, ago(0)).unwrap(),
        ),
        ("a session", pia.cookie.clone()),
        ("too long", "ab".repeat(4_000)),
    ] {
        let asked = Asked { b: b.clone(), proof };
        assert_eq!(
            asked.refused(&code).await,
            (401, "not-signed-in".to_owned()),
            "{what}"
        );
    }
    // It is no session, and no other page can send it.
    let as_session = Browser {
        cookie: good.proof.clone(),
        ..b.clone()
    };
    assert!(!as_session.is_in().await);
    let foreign = b.http.post(format!("{}/console/api/sign-in/code", b.base));
    let foreign = foreign.header("origin", "https://evil.example");
    let foreign = foreign.header("cookie", format!("{PROOF}={}", good.proof));
    assert_eq!(read(foreign.json(&json!({"code": code}))).await.0, 403);
    // Nothing of all that used the code up, or counted.
    let nearly = second_factor::proof(keys, &account, ago(five - 30_000)).unwrap();
    let asked = Asked {
        b: b.clone(),
        proof: nearly,
    };
    asked.enter(&code).await;
    // Whoever is disabled meanwhile does not come in.
    put(&s, "pia", "privacy-officer", true).await;
    let next = totp::code(&secret, now + 1).to_string();
    assert_eq!(good.refused(&next).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_nobody_with_rights_comes_in_without() {
    let (_t, data) = folder();
    let s = inside(&data, TotpUse::RequiredForConsole).await;
    let b = Browser::new(s.http.clone(), &s.url(""));
    let answer = b.try_sign_in("pia", PASSWORD).await;
    assert_eq!(answer.status(), 403);
    assert!(answer.headers().get("set-cookie").is_none());
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["error"], "second-factor-needed");
    assert!(
        said["text"]
            .as_str()
            .unwrap()
            .contains("vitrine-server totp enrol pia"),
        "{said}"
    );
    let said: Value = b.try_sign_in("pia", "wrong").await.json().await.unwrap();
    assert_eq!(
        said["error"], "wrong-secret",
        "it is told to whoever knows the password alone"
    );
    at_page(&s, "nina").await;
    // A session of before the rule is over too.
    let pia = s
        .app
        .store
        .account(&UserId::new("pia").unwrap())
        .await
        .unwrap()
        .unwrap();
    use vitrine_server::identity::sessions::{BY_PASSWORD, at_console, open_for_console};
    for (by, there) in [(BY_PASSWORD, false), ("pwd+otp", true), ("pwd+recovery", true)] {
        let token = open_for_console(&s.app, &pia, by, None).await.unwrap();
        assert_eq!(at_console(&s.app, &token).await.unwrap().is_some(), there, "{by}");
    }
    let rows = s.audited("sign-in").await;
    let rules: Vec<&str> = rows.iter().filter_map(|r| r["rule"].as_str()).collect();
    assert_eq!(rules, ["second-factor-needed", "wrong-secret", "password"]);

    let (_t, data) = folder();
    let off = inside(&data, TotpUse::Off).await;
    let pia = at_page(&off, "pia").await;
    assert_eq!(pia.get("/console/api/session").await.1["totp"]["offered"], false);
    assert_eq!(
        pia.post("/console/api/totp", json!({"secret": PASSWORD})).await.0,
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_nowhere_to_be_read() {
    let (t, data) = folder();
    let s = Server::start_with(&data, &["--metrics", "127.0.0.1:0"]);
    command::add_user(s.dir(), "pia", "privacy-officer");
    let now = early().await;
    let pia = Authenticator::enrolled(s.dir(), "pia", now - 1);
    let asked = at(&s, "pia").await;
    asked.refused("123456").await;
    asked.enter(&pia.code(now)).await;
    asked.enter(&pia.recovery[0]).await;
    let metrics = format!("http://{}/metrics", s.ready["metrics"].as_str().unwrap());
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let (file, key) = (t.path().join("b.vtbk"), t.path().join("recovery"));
    let (f, k) = (file.to_str().unwrap(), key.to_str().unwrap());
    done(&["backup", "--data", s.dir(), "--to", f, "--recovery-key", k]);
    let audit = serde_json::to_string(&s.audit()).unwrap();
    let listed = [
        done(&["totp", "list", "--data", s.dir()]).to_string(),
        done(&["user", "list", "--data", s.dir()]).to_string(),
    ]
    .concat();
    let log = std::fs::read(&s.log).unwrap();
    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("metrics".to_owned(), metrics.into_bytes()),
        ("audit".to_owned(), audit.into_bytes()),
        ("lists".to_owned(), listed.into_bytes()),
        ("log".to_owned(), log),
        ("backup".to_owned(), std::fs::read(&file).unwrap()),
    ];
    // What a backup holds, opened.
    let restored = t.path().join("restored");
    let r = restored.to_str().unwrap();
    done(&["restore", "--from", f, "--data", r, "--recovery-key", k]);
    for root in [&data, &restored] {
        for path in harness::images::walk(root) {
            if let Ok(bytes) = std::fs::read(&path) {
                places.push((path.display().to_string(), bytes));
            }
        }
    }
    places.push((
        "the tables of the restored store".to_owned(),
        tables(&restored).await,
    ));
    let plain = pia.key.replace(' ', "");
    let mut words: Vec<Vec<u8>> = vec![
        plain.clone().into_bytes(),
        plain.to_lowercase().into_bytes(),
        pia.key.clone().into_bytes(),
        pia.secret.clone(),
        hex(&pia.secret).into_bytes(),
    ];
    for code in &pia.recovery {
        words.push(code.clone().into_bytes());
        words.push(code.replace('-', "").into_bytes());
    }
    let found = |place: &[u8], word: &[u8]| place.windows(word.len()).any(|w| w == word);
    for (name, bytes) in &places {
        for (n, word) in words.iter().enumerate() {
            assert!(!found(bytes, word), "word {n} is in {name}");
        }
    }
    // The search finds what is there.
    assert!(found(&places[1].1, b"totp-confirm") && found(&places[2].1, b"pia"));
    assert!(found(&places.last().unwrap().1, b"pia"));
    assert!(places.len() > 12, "{}", places.len());
}

/// Everything that a store's door shows of accounts and second factors, opened with the folder's keys.
async fn tables(data: &Path) -> Vec<u8> {
    use vitrine_server::config::Config;
    use vitrine_server::{data_dir::DataDir, keys::Keys, ops};
    let dir = DataDir::open(data, false).unwrap();
    let config = Config::default();
    let keys = Keys::open(&dir, &config.tls, None).unwrap();
    let (store, _) = ops::backup::open_store(&dir, &keys, &config).await.unwrap();
    let mut out = Vec::new();
    for row in store.totps().await.unwrap() {
        out.extend(row.user.as_str().as_bytes());
        out.extend(row.sealed);
        out.extend(row.codes.into_iter().flatten());
    }
    let accounts = format!("{:?}", store.accounts().await.unwrap());
    out.extend(accounts.into_bytes());
    out
}
