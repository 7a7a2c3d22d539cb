//! The web console's server side: who gets a session and when it ends, what another page cannot do with it, and what the
//! console shows and does.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::browser::{Browser, COOKIE, read};
use harness::inside::Inside;
use harness::*;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vitrine_access::policy;
use vitrine_clinical::UserId;
use vitrine_server::cli::acts::operator_request;
use vitrine_server::http::console::page;
use vitrine_server::http::{Door, ROUTES};
use vitrine_server::identity::{secrets, sessions};
use vitrine_store::{Account, AccountChange, SessionRow};
use vitrine_wire::message::{GrantAfter, GrantEnd, GrantUp, GrantWords, ServerMessage};

const HOUR: i64 = 3_600_000;
const PASSWORD: &str = "a-long-password";

fn browser(s: &Server) -> Browser {
    Browser::new(client(&s.data), &s.url(""))
}

/// A server with one of each.
fn staffed() -> (tempfile::TempDir, Server) {
    let (t, data) = folder();
    let s = Server::start(&data);
    for (user, role) in [
        ("nina", "nurse"),
        ("pia", "privacy-officer"),
        ("paul", "privacy-officer"),
        ("ida", "clinical-it"),
    ] {
        command::add_user(s.dir(), user, role);
    }
    (t, s)
}

fn signs(audit: &[Value]) -> Vec<String> {
    let ours = audit.iter().filter(|r| r["notes"]["door"] == "console");
    let signs = ours.filter(|r| r["action"] == "sign-in" || r["action"] == "sign-out");
    signs
        .map(|r| {
            let who = r["actor"]["User"].as_str().or(r["actor"]["Client"].as_str());
            format!(
                "{} {} {}",
                who.unwrap(),
                r["action"].as_str().unwrap(),
                r["rule"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_password_and_ends_where_it_must() {
    let (_t, s) = staffed();
    let mut pia = browser(&s);
    assert!(!pia.is_in().await);

    // Fixation: a cookie that was there before is never taken on.
    let planted = "ab".repeat(32);
    pia.cookie = planted.clone();
    let session = pia.sign_in("Pia ", "pia-long-password").await;
    assert_ne!(pia.cookie, planted);
    assert!(pia.is_in().await);
    let fixed = Browser {
        cookie: planted,
        ..pia.clone()
    };
    assert!(!fixed.is_in().await);
    let may = json!({"reviews": true, "audit": true, "devices": false, "people": false, "policy": true,
        "messages": false, "message_texts": false});
    assert_eq!(
        (
            &session["user"],
            &session["role"],
            &session["may"],
            &session["idle_s"]
        ),
        (&json!("pia"), &json!("Privacy officer"), &may, &json!(900))
    );
    let (ends, now) = (
        session["ends_ms"].as_i64().unwrap(),
        session["now_ms"].as_i64().unwrap(),
    );
    assert!((0..5_000).contains(&(8 * HOUR - (ends - now))), "{session}");
    assert_eq!(pia.get("/console/api/session").await.1["csrf"], session["csrf"]);

    // Signed in again, the session that was there ends.
    let before = pia.clone();
    pia.sign_in("pia", "pia-long-password").await;
    assert_ne!(pia.cookie, before.cookie);
    assert!(pia.is_in().await && !before.is_in().await);

    // Signed out, it opens nothing, and the cookie goes.
    let out = pia
        .posting("/console/api/sign-out", &json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 204);
    let gone = out.headers()["set-cookie"].to_str().unwrap();
    assert!(
        gone.starts_with(&format!("{COOKIE}=;")) && gone.contains("Max-Age=0"),
        "{gone}"
    );
    assert!(!pia.is_in().await);

    // A PIN opens workstations alone; a wrong secret and an unknown name answer alike.
    for (user, secret) in [
        ("paul", "193746"),
        ("paul", "wrong"),
        ("nobody", "wrong"),
        ("no such\nname", ""),
    ] {
        let answer = browser(&s).try_sign_in(user, secret).await;
        assert_eq!(answer.status(), 401, "{user}");
        assert!(answer.headers().get("set-cookie").is_none());
        let said: Value = answer.json().await.unwrap();
        assert_eq!(
            said,
            json!({"error": "wrong-secret", "text": "Name or secret is wrong."})
        );
    }

    // Throttled after five, also for the right secret; nobody else waits.
    for _ in 0..2 {
        assert_eq!(browser(&s).try_sign_in("paul", "wrong").await.status(), 401);
    }
    let waits = browser(&s).try_sign_in("paul", "wrong").await;
    assert_eq!(
        (waits.status().as_u16(), &waits.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    assert_eq!(waits.json::<Value>().await.unwrap()["error"], "throttled");
    assert_eq!(
        browser(&s)
            .try_sign_in("paul", "paul-long-password")
            .await
            .status(),
        429
    );

    // A disabled account ends its session at once.
    let ida = Browser::at(&s, "ida").await;
    assert!(ida.is_in().await);
    done(&["user", "disable", "ida", "--data", s.dir()]);
    assert!(!ida.is_in().await);
    let answer = browser(&s).try_sign_in("ida", "ida-long-password").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "disabled");

    let wrong = |who: &str| format!("{who} sign-in wrong-secret");
    assert_eq!(
        signs(&s.audit()),
        [
            "pia sign-in password".to_owned(),
            "pia sign-out new-sign-in".to_owned(),
            "pia sign-in password".to_owned(),
            "pia sign-out own-session".to_owned(),
            wrong("paul"),
            wrong("paul"),
            wrong("nobody"),
            wrong("console"),
            wrong("paul"),
            wrong("paul"),
            wrong("paul"),
            "ida sign-in password".to_owned(),
            "ida sign-in account-disabled".to_owned(),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_its_times_and_with_a_changed_role() {
    let (_t, data) = folder();
    let inside = Inside::start(&data, |_| {}).await;
    let permit = || policy::decide(operator_request("test")).unwrap();
    let account = Account {
        user: UserId::new("pia").unwrap(),
        display: "P. Officer".to_owned(),
        role: "privacy-officer".parse().unwrap(),
        wards: Vec::new(),
        password_phc: secrets::phc(PASSWORD, secrets::PASSWORD),
        pin_phc: None,
        disabled: false,
        badges: Vec::new(),
        version: 0,
    };
    let change = AccountChange::Put(account.clone());
    inside.app.store.change_account(&permit(), change).await.unwrap();
    let mut pia = Browser::new(inside.http.clone(), &inside.url(""));

    // What is kept is a hash; the row is set to where the clock would have brought it.
    let kept = |b: &Browser| sessions::console_hash(&b.cookie);
    let set = async |b: &Browser, change: &dyn Fn(&mut SessionRow)| {
        let mut row = inside.app.store.session(&kept(b)).await.unwrap().unwrap();
        change(&mut row);
        inside.app.store.put_session(row).await.unwrap();
    };
    let now = vitrine_server::clock::now;

    pia.sign_in("pia", PASSWORD).await;
    set(&pia, &|row| row.until = now().plus_ms(10_000)).await;
    assert!(pia.is_in().await, "used, it goes on");
    let row = inside.app.store.session(&kept(&pia)).await.unwrap().unwrap();
    assert!(row.until.since(now()) > 14 * 60_000 && row.until.since(now()) <= 15 * 60_000);
    set(&pia, &|row| row.until = now().plus_ms(-1)).await;
    assert!(!pia.is_in().await, "15 minutes without a request");
    assert!(
        inside.app.store.session(&kept(&pia)).await.unwrap().is_none(),
        "it is gone"
    );

    pia.sign_in("pia", PASSWORD).await;
    set(&pia, &|row| row.at = now().plus_ms(-8 * HOUR + 300_000)).await;
    set(&pia, &|row| row.until = now().plus_ms(1_000)).await;
    assert!(pia.is_in().await);
    let row = inside.app.store.session(&kept(&pia)).await.unwrap().unwrap();
    assert_eq!(
        row.until,
        row.at.plus_ms(8 * HOUR),
        "use does not carry it past its end"
    );
    set(&pia, &|row| row.at = now().plus_ms(-8 * HOUR - 1)).await;
    assert!(!pia.is_in().await, "8 hours");

    pia.sign_in("pia", PASSWORD).await;
    let demoted = Account {
        role: "nurse".parse().unwrap(),
        ..account
    };
    let change = AccountChange::Put(demoted);
    inside.app.store.change_account(&permit(), change).await.unwrap();
    assert!(!pia.is_in().await, "another role begins with another sign-in");
    let session = pia.sign_in("pia", PASSWORD).await;
    assert_eq!(session["may"]["reviews"], false);
}

/// A path of the table as it is asked.
fn path_of(path: &str) -> String {
    path.replace("{id}", "018f0000-0000-7000-8000-000000000000")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_page_and_no_other_token_comes_through_the_door() {
    let (_t, s) = staffed();
    let ed = s.enrol("ED", &[]).await;
    let (_, login) = s.login(&ed, "pia", "pia-long-password").await;
    let bearer = login["token"].as_str().unwrap();
    let pia = Browser::at(&s, "pia").await;
    let (mut asked, mut changing) = (0, 0);
    // What somebody who is not signed in yet asks for: nothing of a patient, nothing of the staff.
    let before = ["sign-in", "sign-in/code", "ways", "oidc/start"].map(|p| format!("/console/api/{p}"));
    for route in ROUTES.iter().filter(|r| r.path.starts_with("/console/api/")) {
        assert!(
            route.door == Door::Console || before.iter().any(|p| p == route.path),
            "{} is not behind the door",
            route.path
        );
        if route.door != Door::Console {
            continue;
        }
        asked += 1;
        let path = path_of(route.path);
        let url = format!("{}{path}", pia.base);
        let plain = || {
            pia.http
                .request(route.method.parse().unwrap(), &url)
                .header("origin", &pia.base)
                .header("x-vitrine-csrf", &pia.csrf)
                .header("content-type", "application/json")
        };
        let refused = async |what: &str, request: reqwest::RequestBuilder, want: (u16, &str)| {
            let (status, said) = read(request).await;
            assert_eq!(
                (status, said["error"].as_str().unwrap_or_default()),
                want,
                "{what}: {} {path}",
                route.method
            );
        };
        let no = (401, "not-signed-in");
        refused("no cookie", plain(), no).await;
        refused("a workstation's token", plain().bearer_auth(bearer), no).await;
        refused("the cookie as a token", plain().bearer_auth(&pia.cookie), no).await;
        let other = format!("{COOKIE}={bearer}");
        let foreign = if route.method == "GET" { no } else { (403, "csrf") };
        refused(
            "a workstation's token as cookie",
            plain().header("cookie", other),
            foreign,
        )
        .await;
        let twice = format!("{COOKIE}={0}; {COOKIE}={0}", pia.cookie);
        refused("the cookie twice", plain().header("cookie", twice), no).await;
        for site in ["cross-site", "same-site"] {
            let request = plain()
                .header("cookie", format!("{COOKIE}={}", pia.cookie))
                .header("sec-fetch-site", site);
            refused(site, request, (403, "csrf")).await;
        }
        if route.method == "GET" {
            continue;
        }
        changing += 1;
        let ours = || pia.asks(route.method, &path);
        let json = "application/json";
        for (what, origin, csrf, media, want) in [
            ("no CSRF header", Some(&*pia.base), None, json, (403, "csrf")),
            (
                "a wrong CSRF header",
                Some(&*pia.base),
                Some("00"),
                json,
                (403, "csrf"),
            ),
            (
                "the cookie as CSRF header",
                Some(&*pia.base),
                Some(&*pia.cookie),
                json,
                (403, "csrf"),
            ),
            ("no origin", None, Some(&*pia.csrf), json, (403, "csrf")),
            (
                "another origin",
                Some("https://evil.example"),
                Some(&*pia.csrf),
                json,
                (403, "csrf"),
            ),
            (
                "an opaque origin",
                Some("null"),
                Some(&*pia.csrf),
                json,
                (403, "csrf"),
            ),
            (
                "a form",
                Some(&*pia.base),
                Some(&*pia.csrf),
                "application/x-www-form-urlencoded",
                (400, "bad-request"),
            ),
            (
                "text",
                Some(&*pia.base),
                Some(&*pia.csrf),
                "text/plain",
                (400, "bad-request"),
            ),
        ] {
            let mut request = ours().header("content-type", media).body("{}");
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            if let Some(csrf) = csrf {
                request = request.header("x-vitrine-csrf", csrf);
            }
            refused(what, request, want).await;
        }
    }
    assert!(asked >= 11 && changing >= 4, "{asked} {changing}");
    assert!(pia.is_in().await, "the session itself was whole all along");

    // Signing in is for our own page too: nobody is signed in as somebody else from elsewhere.
    let body = json!({"user": "paul", "secret": "paul-long-password"});
    let sign_in = || s.post("/console/api/sign-in").json(&body);
    assert_eq!(read(sign_in()).await.0, 403, "no origin");
    assert_eq!(
        read(sign_in().header("origin", "https://evil.example")).await.0,
        403
    );
    let form = s
        .post("/console/api/sign-in")
        .header("origin", &pia.base)
        .body(body.to_string());
    assert_eq!(read(form.header("content-type", "text/plain")).await.0, 400);

    // The cookie opens nothing but the console.
    for (method, path) in [
        ("GET", "/fhir/Patient/p3"),
        ("GET", "/fhir/Patient?phonetic=Testperson"),
        ("POST", "/fhir"),
        ("GET", "/emergency/p3"),
        ("GET", "/dicomweb/studies"),
        ("POST", "/auth/break-glass"),
        ("POST", "/auth/logout"),
        ("GET", "/ws/images"),
        ("GET", "/ws/live?ward=ED"),
    ] {
        let by_cookie = pia.asks(method, path).header("origin", &pia.base).body("{}");
        assert_eq!(read(by_cookie).await.0, 401, "{method} {path}");
        let by_token = pia
            .http
            .request(method.parse().unwrap(), s.url(path))
            .bearer_auth(&pia.cookie);
        assert_eq!(
            read(by_token.body("{}")).await.0,
            401,
            "{method} {path} with the cookie as token"
        );
    }
    // Nor a WebSocket, from whatever page: the upgrade itself is refused.
    let addr = s.ready["listen"].as_str().unwrap();
    for origin in ["https://evil.example", &pia.base] {
        for (path, want) in [
            ("/ws/sync", 403),
            ("/ws/images/ahead", 403),
            ("/ws/images", 401),
            ("/ws/live?ward=ED", 401),
        ] {
            let mut request = format!("wss://{addr}{path}").into_client_request().unwrap();
            let headers = request.headers_mut();
            headers.insert("origin", origin.parse().unwrap());
            headers.insert("cookie", format!("{COOKIE}={}", pia.cookie).parse().unwrap());
            let tls = line::secure(addr, &s.data).await;
            match tokio_tungstenite::client_async(request, tls).await {
                Err(tungstenite::Error::Http(answer)) => {
                    assert_eq!(answer.status(), want, "{path} from {origin}")
                }
                Err(e) => panic!("{path} from {origin}: {e}"),
                Ok(_) => panic!("{path} from {origin} was opened"),
            }
        }
    }
    // Over HTTP/1.1 the origin is compared with Host.
    let pem = std::fs::read(s.data.join("ca.pem")).unwrap();
    let old = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .http1_only()
        .build()
        .unwrap();
    let old = Browser {
        http: old,
        ..pia.clone()
    };
    assert_eq!(old.post("/console/api/chains", json!({})).await.0, 200);
    let lied = old
        .posting("/console/api/chains", &json!({}))
        .header("host", "evil.example");
    assert_eq!(read(lied).await.0, 403);
}

/// A workstation sends up that `user` broke the glass so many hours ago.
async fn broken(line: &mut line::Line, device: &Device, user: &str, ago_h: i64) -> String {
    broken_and(line, device, user, ago_h, None).await
}

/// The same, with what came after it.
async fn broken_and(
    line: &mut line::Line,
    device: &Device,
    user: &str,
    ago_h: i64,
    after: Option<GrantAfter>,
) -> String {
    let at = now_ms() - ago_h * HOUR;
    let grant = json!({"id": vitrine_server::clock::new_uuid(), "user": user, "device": device.id, "patient": "p3",
        "reason": "life-threatening", "words": null, "at": at, "until": at + 4 * HOUR, "offline": true});
    line.say(GrantUp {
        grant: serde_json::value::RawValue::from_string(grant.to_string()).unwrap(),
        after,
    })
    .await;
    assert!(matches!(line.hear().await, Some(ServerMessage::GrantAck(a)) if a.id == grant["id"]));
    grant["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn how_it_ended_and_words_that_came_later_stand_in_its_review() {
    let (_t, s) = staffed();
    let ed = s.enrol("ED", &[]).await;
    let mut line = line::Line::enrolled(&s, &ed).await;
    let at_ms = now_ms() - 2 * HOUR;
    let after = GrantAfter {
        rev: 2,
        ended: Some(GrantEnd {
            at_ms,
            by: "switch".to_owned(),
        }),
        words: Some(GrantWords {
            at_ms,
            text: "Collapsed in the corridor".to_owned(),
        }),
    };
    let id = broken_and(&mut line, &ed, "nina", 3, Some(after)).await;
    let pia = Browser::at(&s, "pia").await;
    let (status, shown) = pia.get(&format!("/console/api/reviews/{id}")).await;
    assert_eq!(status, 200, "{shown}");
    let review = &shown["review"];
    assert_eq!(
        (&review["words"], &review["owes_words"]),
        (&json!("Collapsed in the corridor"), &json!(false))
    );
    let said = shown["evidence"].to_string();
    assert!(
        said.contains("It ended before its time: somebody else signed in") && !said.contains("No words"),
        "{said}"
    );
    assert_eq!(shown["seen"], json!([]), "its end is nothing that was looked at");
}

fn hows(shown: &Value) -> Vec<(&str, bool)> {
    let acts = shown["acts"].as_array().unwrap().iter();
    acts.map(|a| (a["how"].as_str().unwrap(), a["why_not"].is_null()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_glass_is_reviewed_at_the_console() {
    let (_t, s) = staffed();
    let programs = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&programs, "/fhir", placed("p3", "ICU").to_string())
            .await
            .0,
        200
    );
    let ed = s.enrol("ED", &[]).await;
    let (_, login) = s.login(&ed, "nina", "193746").await;
    let token = login["token"].as_str().unwrap();
    let glass = s
        .post("/auth/break-glass")
        .bearer_auth(token)
        .json(&json!({"patient": "p3", "reason": "covering", "words": "night shift"}));
    let (status, glass) = read(glass).await;
    assert_eq!(status, 200, "{glass}");
    let fresh = glass["grant"].as_str().unwrap();
    assert_eq!(read(s.get("/emergency/p3").bearer_auth(token)).await.0, 200);
    let mut line = line::Line::enrolled(&s, &ed).await;
    let late = broken(&mut line, &ed, "nina", 30).await;
    let own = broken(&mut line, &ed, "pia", 1).await;

    let [pia, paul, nina] = [
        Browser::at(&s, "pia").await,
        Browser::at(&s, "paul").await,
        Browser::at(&s, "nina").await,
    ];
    let at = |id: &str| format!("/console/api/reviews/{id}");
    let does = async |b: &Browser, id: &str, how: &str| {
        b.post(&at(id), json!({"how": how, "text": "Because of what was seen."}))
            .await
    };

    // The list names no patient.
    let (status, list) = pia.get("/console/api/reviews").await;
    assert_eq!(status, 200, "{list}");
    let ids: Vec<&str> = list["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [late.as_str(), own.as_str(), fresh], "the oldest first");
    assert_eq!(
        (&list["waiting"], &list["overdue"], &list["open_only"]),
        (&json!(3), &json!(1), &json!(true))
    );
    let text = list.to_string();
    assert!(
        !text.contains("p3") && !text.to_lowercase().contains("testperson"),
        "{text}"
    );
    let row = &list["rows"][2];
    assert_eq!(
        (
            &row["reason"],
            &row["words"],
            &row["device"],
            &row["own"],
            &row["user_name"]
        ),
        (
            &json!("Covering for team"),
            &json!("night shift"),
            &json!("test station"),
            &json!(false),
            &json!("nina")
        )
    );
    assert_eq!(
        (&list["rows"][0]["late"], &list["rows"][1]["own"]),
        (&json!(true), &json!(true))
    );

    // One that is opened names the patient, and what was looked at.
    let (_, shown) = pia.get(&at(fresh)).await;
    assert_eq!(shown["patient"]["id"], "p3", "{shown}");
    assert!(
        shown["patient"]["name"].as_str().unwrap().contains("TESTPERSON"),
        "{shown}"
    );
    assert!(
        shown["patient"]["identity"].as_str().unwrap().contains("MRN"),
        "{shown}"
    );
    let seen: Vec<(&str, &str)> = shown["seen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["action"].as_str().unwrap(), r["what"].as_str().unwrap()))
        .collect();
    assert_eq!(seen[0], ("break-glass", "nothing"));
    assert!(
        seen[1].0 == "read-card" && seen[1].1.starts_with("EmergencyCard/p3 version"),
        "{seen:?}"
    );
    assert_eq!((seen.len(), &shown["seen_more"]), (2, &json!(false)), "{seen:?}");
    assert_eq!(
        hows(&shown),
        [
            ("ask", true),
            ("appropriate", true),
            ("suspect", true),
            ("revoke", true)
        ]
    );
    let weighs: Vec<&str> = shown["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["weighs"].as_str().unwrap())
        .collect();
    assert!(weighs.contains(&"for"), "{shown}");

    // Nobody decides on what they did themselves; that they tried is written down.
    let (_, mine) = pia.get(&at(&own)).await;
    assert_eq!(
        hows(&mine),
        [
            ("ask", false),
            ("appropriate", false),
            ("suspect", false),
            ("explain", true)
        ]
    );
    let (status, said) = does(&pia, &own, "appropriate").await;
    assert_eq!((status, &said["error"]), (409, &json!("refused")));
    assert!(
        said["text"]
            .as_str()
            .unwrap()
            .contains("somebody else must review it"),
        "{said}"
    );
    assert_eq!(
        does(&paul, &own, "appropriate").await.1["review"]["state"],
        "appropriate"
    );

    // Asked, explained by who did it and by nobody else, decided. Who may not review sees their own alone.
    let (status, asked) = does(&pia, fresh, "ask").await;
    assert_eq!(
        (status, &asked["review"]["state"], &asked["review"]["owes_words"]),
        (200, &json!("asked"), &json!(true))
    );
    assert_eq!(does(&paul, fresh, "explain").await.0, 409);
    let (_, list) = nina.get("/console/api/reviews?which=all").await;
    let users: Vec<&str> = list["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["user"].as_str().unwrap())
        .collect();
    assert_eq!((users, &list["waiting"]), (vec!["nina", "nina"], &json!(2)));
    assert_eq!(nina.get(&at(&own)).await.0, 403);
    assert_eq!(
        nina.get(&at("018f0000-0000-7000-8000-000000000000")).await.0,
        403,
        "it tells nobody which there are"
    );
    assert_eq!(does(&nina, fresh, "appropriate").await.0, 403);
    assert_eq!(does(&nina, &own, "explain").await.0, 403);
    let (_, shown) = nina.get(&at(fresh)).await;
    assert_eq!(hows(&shown), [("explain", true)]);
    assert_eq!(
        (&shown["patient"]["identity"], &shown["seen"]),
        (&json!(""), &json!([])),
        "the console gives no access"
    );
    assert!(
        shown["patient"]["name"]
            .as_str()
            .unwrap()
            .starts_with("Not shown"),
        "{shown}"
    );
    let (status, told) = does(&nina, fresh, "explain").await;
    assert_eq!(
        (status, &told["review"]["state"]),
        (200, &json!("open")),
        "{told}"
    );
    let (_, closed) = does(&pia, fresh, "appropriate").await;
    assert_eq!(
        (&closed["review"]["state"], hows(&closed)),
        (&json!("appropriate"), vec![("revoke", true)]),
        "what is in force can be ended"
    );
    let did: Vec<&str> = closed["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["did"].as_str().unwrap())
        .collect();
    assert_eq!(did, ["asked", "explained", "appropriate"]);
    assert_eq!(does(&paul, fresh, "suspect").await.0, 409, "it is closed");

    // Misuse is the word of two.
    let (_, suspected) = does(&pia, &late, "suspect").await;
    assert_eq!(hows(&suspected), [("confirm", false), ("dismiss", false)]);
    assert_eq!(does(&pia, &late, "confirm").await.0, 409);
    assert_eq!(does(&paul, &late, "confirm").await.1["review"]["state"], "misuse");

    for (id, body, want) in [
        (fresh, json!({"how": "erase", "text": "x"}), 400),
        (fresh, json!({"how": "ask", "text": "  "}), 400),
        (fresh, json!({"how": "ask", "text": "x".repeat(2_001)}), 400),
        (fresh, json!([]), 400),
        ("nothing", json!({"how": "ask", "text": "x"}), 404),
        (
            "018f0000-0000-7000-8000-000000000000",
            json!({"how": "ask", "text": "x"}),
            404,
        ),
    ] {
        assert_eq!(pia.post(&at(id), body).await.0, want);
    }
    let (status, large) = pia
        .post(&at(fresh), json!({"how": "ask", "text": "x".repeat(20_000)}))
        .await;
    assert_eq!((status, large["error"].is_string()), (413, true), "{large}");

    let (_, stats) = pia.get("/console/api/review-stats").await;
    let states: Vec<(&str, u64)> = stats["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["state"].as_str().unwrap(), c["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("open", 0),
            ("asked", 0),
            ("suspected", 0),
            ("appropriate", 2),
            ("misuse", 1)
        ]
    );
    assert_eq!(
        (
            &stats["closed"],
            &stats["closed_in_time_percent"],
            &stats["arrived_late"]
        ),
        (&json!(3), &json!(66.7), &json!(1))
    );
    assert_eq!(
        stats["misuse"],
        json!([{"user": "nina", "name": "nina", "count": 1}])
    );
    assert_eq!(nina.get("/console/api/review-stats").await.0, 403);

    // Every look and every act has its row; what the list shows is of nobody.
    let audit = s.audit();
    let of = |action: &str, name: &str, value: &str| -> Vec<&Value> {
        audit
            .iter()
            .filter(|r| r["action"] == action && r["notes"][name] == value)
            .collect()
    };
    assert!(
        of("review-break-glass", "use", "list")
            .iter()
            .all(|r| r["disclosure"]["patients"] == json!([]))
    );
    let shows = of("review-break-glass", "use", "show");
    assert!(!shows.is_empty());
    for r in shows {
        assert_eq!(r["disclosure"]["patients"], json!(["p3"]), "{r}");
        assert_eq!(
            (&r["decision"], &r["purpose"], &r["notes"]["door"]),
            (&json!("permit"), &json!("HCOMPL"), &json!("console"))
        );
    }
    let tried: Vec<(&str, &str)> = audit
        .iter()
        .filter(|r| r["rule"] == "review-refused")
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
            ("paul", "suspected"),
            ("pia", "confirmed")
        ]
    );
    let denied = audit.iter().filter(|r| {
        r["actor"]["User"] == "nina" && r["action"] == "review-break-glass" && r["decision"] == "deny"
    });
    assert_eq!(denied.count(), 5, "four of others, and the numbers");
    let acts: Vec<&str> = audit
        .iter()
        .filter_map(|r| r["notes"]["review"].as_str())
        .collect();
    assert_eq!(
        acts,
        [
            "appropriate",
            "asked",
            "explained",
            "appropriate",
            "suspected",
            "confirmed"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_workstations_and_people_are_for_whom_the_policy_says() {
    let (_t, s) = staffed();
    let ed = s.enrol("ED", &[]).await;
    let code = done(&["enrol", "--ward", "ICU", "--data", s.dir()]);
    let [pia, ida, nina] = [
        Browser::at(&s, "pia").await,
        Browser::at(&s, "ida").await,
        Browser::at(&s, "nina").await,
    ];
    for (path, pia_may, ida_may) in [
        ("/console/api/chains", true, false),
        ("/console/api/devices", false, true),
        ("/console/api/people", false, true),
        ("/console/api/review-stats", true, false),
    ] {
        for (who, may) in [(&pia, pia_may), (&ida, ida_may), (&nina, false)] {
            let (status, said) = who.get(path).await;
            assert_eq!(status, if may { 200 } else { 403 }, "{path}: {said}");
            assert!(may || said["error"] == "denied", "{said}");
        }
    }
    assert_eq!(nina.post("/console/api/chains", json!({})).await.0, 403);

    let (_, chains) = pia.get("/console/api/chains").await;
    let server = &chains["chains"][0];
    assert_eq!(
        (&server["chain"], &server["whole"], &server["checked_ms"]),
        (&json!("server"), &Value::Null, &Value::Null)
    );
    let (status, checked) = pia.post("/console/api/chains", json!({})).await;
    assert_eq!(status, 200, "{checked}");
    let server = &checked["chains"][0];
    assert_eq!((&server["whole"], &server["fault"]), (&json!(true), &Value::Null));
    assert_eq!(server["head"].as_str().unwrap().len(), 64);
    let (_, again) = pia.get("/console/api/chains").await;
    assert_eq!(
        again["chains"][0]["checked_ms"], server["checked_ms"],
        "the last one is kept"
    );

    let (_, all) = ida.get("/console/api/devices").await;
    let device = &all["devices"][0];
    assert_eq!(
        (&device["id"], &device["name"], &device["ward"], &device["state"]),
        (
            &json!(ed.id),
            &json!("test station"),
            &json!("ED"),
            &json!("active")
        )
    );
    let now = all["now_ms"].as_i64().unwrap();
    let one = &all["codes"][0];
    assert_eq!(
        (&one["ward"], all["codes"].as_array().unwrap().len()),
        (&json!("ICU"), 1)
    );
    assert!(
        (now - one["made_ms"].as_i64().unwrap()).abs() < 60_000 && one["ends_ms"].as_i64().unwrap() > now
    );
    assert!(
        !all.to_string().contains(code["code"].as_str().unwrap()),
        "a code is told once"
    );

    let revoke = format!("/console/api/devices/{}/revoke", ed.id);
    let why = json!({"reason": "Stolen from the ward."});
    assert_eq!(pia.post(&revoke, why.clone()).await.0, 403);
    assert_eq!(ida.post(&revoke, json!({"reason": " "})).await.0, 400);
    assert_eq!(
        ida.post("/console/api/devices/other/revoke", why.clone()).await.0,
        404
    );
    let (status, all) = ida.post(&revoke, why.clone()).await;
    assert_eq!((status, &all["devices"][0]["state"]), (200, &json!("revoked")));
    assert_eq!(ida.post(&revoke, why).await.0, 409);
    assert_eq!(s.login(&ed, "nina", "193746").await.1["code"], "device-revoked");

    let (_, people) = ida.get("/console/api/people").await;
    let named: Vec<&str> = people["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["user"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["ida", "nina", "paul", "pia"]);
    assert_eq!(
        people["people"][1],
        json!({"user": "nina", "name": "nina", "role": "Nurse", "wards": ["ED"], "in_use": true})
    );
    assert!(!people.to_string().contains("argon2"));

    let audit = s.audit();
    let revoked = audit
        .iter()
        .filter(|r| r["notes"]["change"] == "revoke")
        .collect::<Vec<_>>();
    assert_eq!(revoked.len(), 1);
    assert_eq!(
        (
            &revoked[0]["actor"]["User"],
            &revoked[0]["notes"]["reason"],
            &revoked[0]["notes"]["door"]
        ),
        (&json!("ida"), &json!("Stolen from the ward."), &json!("console"))
    );
    let looks = |action: &str| {
        let ours = audit.iter().filter(|r| r["notes"]["door"] == "console");
        ours.filter(|r| r["action"] == action && r["decision"] == "permit")
            .count()
    };
    assert_eq!(
        (looks("read-audit"), looks("manage-users")),
        (4, 2),
        "three looks and a check; two lists"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_every_answer_have_their_headers() {
    let (_t, s) = staffed();
    let http = client(&s.data);
    let page = http.get(s.url("/console")).send().await.unwrap();
    assert_eq!(page.url().path(), "/console/", "it is led to the folder");
    assert_eq!(page.status(), if page::built() { 200 } else { 503 });
    let mut paths = vec![
        "/console/".to_owned(),
        "/console/nothing.js".to_owned(),
        "/console/api/session".to_owned(),
    ];
    paths.extend(page::FILES.iter().map(|(name, _)| format!("/console/{name}")));
    for path in paths {
        let answer = http.get(s.url(&path)).send().await.unwrap();
        let of = |name: &str| {
            answer
                .headers()
                .get(name)
                .map_or("", |v| v.to_str().unwrap())
                .to_owned()
        };
        assert_eq!(
            of("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(
            (of("x-content-type-options"), of("referrer-policy")),
            ("nosniff".into(), "no-referrer".into())
        );
        assert_eq!(of("x-frame-options"), "DENY");
        let hashed = path.starts_with("/console/assets/");
        assert_eq!(of("cache-control").contains("immutable"), hashed, "{path}");
        assert!(hashed || of("cache-control") == "no-store", "{path}");
        assert!(of("access-control-allow-origin").is_empty());
    }
    for path in ["/console/api/nothing", "/console/api/"] {
        let (status, said) = read(http.get(s.url(path))).await;
        assert_eq!((status, &said["error"]), (404, &json!("not-found")), "{path}");
    }
    let (status, said) = read(http.get(s.url("/console/api/sign-out"))).await;
    assert_eq!((status, said["error"].is_string()), (405, true), "{said}");
    assert_eq!(
        read(http.get(s.url("/console/%2e%2e/%2e%2e/ca.pem"))).await.0,
        if page::built() { 404 } else { 503 }
    );
    let elsewhere = http.get(s.url("/healthz")).send().await.unwrap();
    assert!(elsewhere.headers().get("content-security-policy").is_none());
    if page::built() {
        let text = http
            .get(s.url("/console/"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(
            !text.contains("<style") && !text.contains("style=") && !text.contains(" onload="),
            "{text}"
        );
        for script in text.split("<script").skip(1) {
            assert!(
                script.contains("src=") && script.contains("></script>"),
                "an inline script: {script}"
            );
        }
    } else {
        let text = http
            .get(s.url("/console/"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.contains("built without its console"), "{text}");
    }
}
