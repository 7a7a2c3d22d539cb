//! SMART App Launch 2.2, programs that people let in: the standalone launch with PKCE, the EHR launch, and that what is granted
//! reaches no further than one patient, the person and the minute.

mod harness;

use harness::browser::COOKIE;
use harness::images::{Made, related};
use harness::inside::Inside;
use harness::*;
use serde_json::{Value, json};
use sha2::Digest as _;
use vitrine_access::action::ManageUsers;
use vitrine_access::{Permit, policy};
use vitrine_clinical::{PatientId, UserId, WardId};
use vitrine_server::identity::oidc::{challenge, secret};
use vitrine_server::identity::{secrets, sessions};
use vitrine_store::{Account, AccountChange, ClientRow};

const ROOT: &str = "https://vitrine.example";
const BACK: &str = "https://growth.example/back";
const FORM: &str = "application/x-www-form-urlencoded";
const PASSWORD: &str = "nina-long-password";

/// Two patients in the nurse's ward, one in another; a public program, one with a secret.
struct Ground {
    _folder: tempfile::TempDir,
    s: Inside,
    /// It follows no redirect, as a test must see them.
    http: reqwest::Client,
}

fn permit() -> Permit<ManageUsers> {
    policy::decide(vitrine_server::cli::acts::operator_request("test")).unwrap()
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| format!("{name}={}", vitrine_wire::http::form_encoded(value));
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

/// What a browser got.
#[derive(Debug)]
struct Got {
    status: u16,
    location: String,
    cookie: String,
    text: String,
}

impl Got {
    /// A parameter of where the browser is sent to.
    fn back(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&self.location).ok()?;
        let found = url.query_pairs().find(|(n, _)| n == name)?;
        Some(found.1.into_owned())
    }
    fn csrf(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A person's browser.
#[derive(Default, Clone)]
struct Browser {
    cookie: String,
}

/// An authorization request and its verifier.
#[derive(Clone)]
struct Launch {
    verifier: String,
    pairs: Vec<(&'static str, String)>,
}

impl Launch {
    fn new(scope: &str) -> Self {
        let verifier = secret();
        let pairs = vec![
            ("response_type", "code".to_owned()),
            ("client_id", "growth".to_owned()),
            ("redirect_uri", BACK.to_owned()),
            ("scope", scope.to_owned()),
            ("state", "st-1 &\"<x>".to_owned()),
            ("aud", format!("{ROOT}/fhir")),
            ("code_challenge", challenge(&verifier)),
            ("code_challenge_method", "S256".to_owned()),
        ];
        Self { verifier, pairs }
    }
    fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.pairs.retain(|(n, _)| *n != name);
        if let Some(value) = value {
            self.pairs.push((name, value.to_owned()));
        }
        self
    }
    fn query(&self) -> String {
        let pairs: Vec<(&str, &str)> = self.pairs.iter().map(|(n, v)| (*n, v.as_str())).collect();
        encoded(&pairs)
    }
}

fn account(name: &str, role: &str, ward: &str, phc: &str) -> Account {
    Account {
        user: UserId::new(name).unwrap(),
        display: format!("{name} <b>Person</b>"),
        role: role.parse().unwrap(),
        wards: vec![WardId::new(ward).unwrap()],
        password_phc: phc.to_owned(),
        pin_phc: None,
        disabled: false,
        badges: Vec::new(),
        version: 0,
    }
}

impl Ground {
    async fn new() -> Self {
        let (_folder, data) = folder();
        let s = Inside::start(&data, |c| c.listen.public_url = ROOT.to_owned()).await;
        for (patient, ward) in [("pat-ed", "ED"), ("pat-two", "ED"), ("pat-icu", "ICU")] {
            s.patient(patient, ward).await;
            let all = s.program("system/*.cruds").await;
            let body = observation(Some(&format!("o-{patient}")), patient, "4.10");
            let put = s.http.put(s.url(&format!("/fhir/Observation/o-{patient}")));
            let put = put
                .bearer_auth(&all)
                .header("content-type", "application/fhir+json");
            let put = put.body(body).send().await.unwrap();
            assert_eq!(put.status(), 201);
        }
        let pem = std::fs::read(data.join("ca.pem")).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let g = Self { _folder, s, http };
        let phc = secrets::phc(PASSWORD, secrets::PASSWORD);
        for (name, role, ward) in [
            ("nina", "nurse", "ED"),
            ("ines", "nurse", "ICU"),
            ("petra", "privacy-officer", "ED"),
        ] {
            g.put(account(name, role, ward, &phc)).await;
        }
        let scopes = ["patient/*.rs", "user/*.rs", "launch/patient", "launch"];
        g.client("growth", None, &scopes).await;
        g.client("chart", Some("s3cret"), &scopes).await;
        g
    }

    async fn put(&self, account: Account) {
        let change = AccountChange::Put(account);
        self.s.app.store.change_account(&permit(), change).await.unwrap();
    }

    async fn client(&self, id: &str, secret: Option<&str>, scopes: &[&str]) {
        let row = ClientRow {
            id: id.to_owned(),
            secret: secret.map(|s| sha2::Sha256::digest(s.as_bytes()).into()),
            keys: None,
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            redirects: vec![BACK.to_owned()],
        };
        self.s.app.store.put_client(&permit(), row).await.unwrap();
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Got {
        let answer = request.send().await.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
            value.unwrap_or_default()
        };
        let (location, cookie) = (header("location"), header("set-cookie"));
        let status = answer.status().as_u16();
        let csp = header("content-security-policy");
        let text = answer.text().await.unwrap();
        if text.starts_with("<!doctype") {
            assert!(
                csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
                "{csp}"
            );
            assert!(
                !text.contains("<script") && !text.contains("<x>") && !text.contains("<b>Person"),
                "{text}"
            );
        }
        Got {
            status,
            location,
            cookie: cookie.split(';').next().unwrap_or_default().to_owned(),
            text,
        }
    }

    async fn page(&self, browser: &Browser, path: &str) -> Got {
        let asked = self.http.get(self.s.url(path)).header("cookie", &browser.cookie);
        self.send(asked).await
    }

    async fn form(&self, browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Got {
        let asked = self.http.post(self.s.url(path)).header("cookie", &browser.cookie);
        let asked = asked
            .header("origin", self.s.url(""))
            .header("content-type", FORM);
        self.send(asked.body(encoded(fields))).await
    }

    /// Somebody who is signed in at the console already.
    async fn signed_in(&self, name: &str) -> Browser {
        let user = UserId::new(name).unwrap();
        let account = self.s.app.store.account(&user).await.unwrap().unwrap();
        let token = sessions::open_for_console(&self.s.app, &account, sessions::BY_PASSWORD, None)
            .await
            .unwrap();
        Browser {
            cookie: format!("{COOKIE}={token}"),
        }
    }

    /// Allows a launch; gives where the browser is sent then.
    async fn allow(&self, browser: &Browser, launch: &Launch, patient: &str) -> Got {
        let page = self
            .page(browser, &format!("/auth/authorize/ask?{}", launch.query()))
            .await;
        if page.status != 200 {
            return page;
        }
        let fields = [
            ("csrf", page.csrf()),
            ("answer", "allow".to_owned()),
            ("patient", patient.to_owned()),
        ];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.form(
            browser,
            &format!("/auth/authorize/answer?{}", launch.query()),
            &fields,
        )
        .await
    }

    async fn code(&self, browser: &Browser, launch: &Launch, patient: &str) -> String {
        let got = self.allow(browser, launch, patient).await;
        got.back("code").unwrap_or_else(|| panic!("{got:?}"))
    }

    async fn token_for(&self, pairs: &[(&str, &str)]) -> (u16, Value) {
        let asked = self
            .http
            .post(self.s.url("/auth/token"))
            .header("content-type", FORM);
        let answer = asked.body(encoded(pairs)).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    }

    async fn exchange(&self, launch: &Launch, code: &str) -> (u16, Value) {
        self.token_for(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("client_id", "growth"),
            ("code_verifier", &launch.verifier),
        ])
        .await
    }

    /// A token of `growth`, granted by somebody for a patient.
    async fn token(&self, name: &str, scope: &str, patient: &str) -> String {
        let (browser, launch) = (self.signed_in(name).await, Launch::new(scope));
        let code = self.code(&browser, &launch, patient).await;
        let (status, said) = self.exchange(&launch, &code).await;
        assert_eq!(status, 200, "{said}");
        said["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, path: &str) -> (u16, String) {
        let answer = self.s.get(path, token).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn works(&self, token: &str) -> u16 {
        self.get(token, "/fhir/Observation/o-pat-ed").await.0
    }

    async fn rules(&self, action: &str) -> Vec<String> {
        let rows = self.s.audited(action).await;
        rows.iter()
            .map(|r| r["rule"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_second_factor_types_its_code_on_the_way() {
    use vitrine_server::identity::{second_factor, totp};
    let g = Ground::new().await;
    let (store, keys) = (&*g.s.app.store, &g.s.app.keys);
    let nina = UserId::new("nina").unwrap();
    let entry = || permit().entry(vitrine_access::Disclosure::default());
    let begun = second_factor::begin(store, keys, entry(), &nina).await.unwrap();
    while now_ms() % 30_000 > 20_000 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let now = totp::step_at(vitrine_clinical::UtcMs(now_ms()));
    let code = {
        let shown = begun.uri.split("secret=").nth(1).unwrap();
        let text = shown.split('&').next().unwrap().to_owned();
        move |step| totp::code(&base32(&text), step).to_string()
    };
    let codes = second_factor::confirm(store, keys, entry(), &nina, &code(now - 1))
        .await
        .unwrap();
    assert_eq!(codes.unwrap().len(), 10);

    let launch = Launch::new("launch/patient patient/*.rs");
    let at = |path: &str| format!("/auth/authorize/{path}?{}", launch.query());
    let mut browser = Browser::default();
    let asked = [("user", "nina"), ("secret", PASSWORD)];
    let page = g.form(&browser, &at("sign-in"), &asked).await;
    assert_eq!((page.status, page.location.as_str()), (200, ""));
    assert!(
        page.text.contains("name=\"code\"") && !page.text.contains(PASSWORD),
        "{page:?}"
    );
    assert!(page.cookie.starts_with("__Host-vitrine-code="), "{}", page.cookie);
    browser.cookie = page.cookie.clone();
    let ask = g.page(&browser, &at("ask")).await;
    assert!(ask.text.contains("type=\"password\""), "the proof is no session");
    for wrong in ["000000", &code(now - 1), ""] {
        let again = g.form(&browser, &at("code"), &[("code", wrong)]).await;
        assert_eq!((again.status, again.cookie.as_str()), (401, ""), "{wrong}");
        assert!(again.text.contains("name=\"code\"") && again.text.contains("wait for the next one"));
    }
    let none = g
        .form(&Browser::default(), &at("code"), &[("code", &code(now))])
        .await;
    assert!(
        none.status == 401 && none.text.contains("type=\"password\""),
        "{none:?}"
    );
    let right = g.form(&browser, &at("code"), &[("code", &code(now))]).await;
    assert_eq!(right.status, 303, "{right:?}");
    assert!(right.cookie.starts_with(COOKIE) && right.location.starts_with("/auth/authorize/ask?"));
    browser.cookie = right.cookie.clone();
    let token = g.code(&browser, &launch, "pat-ed").await;
    assert_eq!(g.exchange(&launch, &token).await.0, 200);
    let rows = g.s.audited("sign-in").await;
    let rows: Vec<&Value> = rows.iter().filter(|r| r["actor"]["User"] == "nina").collect();
    let rules: Vec<&str> = rows.iter().filter_map(|r| r["rule"].as_str()).collect();
    let want = ["wrong-code", "wrong-code", "wrong-code", "password", "app-code"];
    assert_eq!(rules, want);
    assert_eq!(rows[3]["notes"]["amr"], "pwd+otp");
    // A reset ends what the program holds, too.
    let (_, said) = g
        .exchange(&launch, &g.code(&browser, &launch, "pat-ed").await)
        .await;
    let token = said["access_token"].as_str().unwrap();
    assert_eq!(g.works(token).await, 200);
    let change = vitrine_store::totp::TotpChange::Remove(nina);
    store.change_totp(entry(), change).await.unwrap();
    assert_eq!(g.works(token).await, 401);
}

/// RFC 4648 6, read.
fn base32(text: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = text.bytes().flat_map(|c| {
        let v = letters.iter().position(|l| *l == c).unwrap();
        (0..5).rev().map(move |i| u8::try_from(v >> i & 1).unwrap())
    });
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8)
        .map(|b| b.iter().fold(0, |n, bit| n << 1 | bit))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_a_program_in_for_one_patient() {
    let g = Ground::new().await;
    let launch = Launch::new("launch/patient patient/*.rs openid offline_access patient/*.dus");
    // The program sends the browser; another site's request brings no cookie, and this page looks at none.
    let door = g
        .page(
            &Browser::default(),
            &format!("/auth/authorize?{}", launch.query()),
        )
        .await;
    assert_eq!(door.status, 200);
    let (_, on) = door.text.split_once("<a href=\"").unwrap();
    let on = on.split('"').next().unwrap().replace("&amp;", "&");
    assert!(on.starts_with("/auth/authorize/ask?") && !door.text.contains("csrf"));
    let posted = g
        .http
        .post(g.s.url("/auth/authorize"))
        .header("content-type", FORM);
    let posted = g.send(posted.body(launch.query())).await;
    assert_eq!(posted.text, door.text, "authorize-post");

    let mut browser = Browser::default();
    let page = g.page(&browser, &on).await;
    assert!(
        page.status == 200 && page.text.contains("type=\"password\""),
        "{page:?}"
    );
    let sign_in = on.replace("/ask?", "/sign-in?");
    let wrong = g
        .form(&browser, &sign_in, &[("user", "nina"), ("secret", "not-hers")])
        .await;
    assert_eq!((wrong.status, wrong.cookie.as_str()), (401, ""));
    let right = g
        .form(&browser, &sign_in, &[("user", "nina"), ("secret", PASSWORD)])
        .await;
    assert_eq!(
        (right.status, right.location.as_str()),
        (303, on.as_str()),
        "{right:?}"
    );
    browser.cookie = right.cookie;

    let page = g.page(&browser, &on).await;
    for part in ["growth", "patient/*.rs", BACK, "Allow", "Refuse"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    for part in ["openid", "offline_access", "dus"] {
        assert!(!page.text.split("<form").next().unwrap().contains(part), "{part}");
    }
    let csrf = page.csrf();
    let find = on.replace("/ask?", "/find?");
    let found = g
        .form(&browser, &find, &[("csrf", &csrf), ("name", "Testperson")])
        .await;
    assert_eq!(found.text.matches("type=\"radio\"").count(), 3, "{}", found.text);
    assert!(found.text.contains("Testperson, Una"));
    let rows = g.s.audited("search-patients").await;
    assert_eq!((rows.len(), &rows[0]["notes"]["app"]), (1, &json!("growth")));
    let nobody = g
        .form(&browser, &find, &[("csrf", &csrf), ("name", "<x>\"")])
        .await;
    assert!(nobody.text.contains("Nobody is found") || nobody.text.contains("&lt;x&gt;"));

    // Nobody chosen, and whom the nurse may not open: nothing is given.
    let answer = on.replace("/ask?", "/answer?");
    for (patient, part) in [
        ("", "Choose a patient"),
        ("pat-icu", "Your access does not include this"),
        ("nobody", "Your access does not include this"),
        ("a b", "Choose"),
    ] {
        let fields = [("csrf", csrf.as_str()), ("answer", "allow"), ("patient", patient)];
        let got = g.form(&browser, &answer, &fields).await;
        assert!(
            got.status == 200 && got.location.is_empty() && got.text.contains(part),
            "{patient}: {got:?}"
        );
    }
    let refused = g
        .form(&browser, &answer, &[("csrf", &csrf), ("answer", "refuse")])
        .await;
    assert_eq!(refused.back("error").as_deref(), Some("access_denied"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("answer", "allow"),
        ("patient", "pat-ed"),
    ];
    let allowed = g.form(&browser, &answer, &fields).await;
    assert_eq!(allowed.status, 303);
    assert!(allowed.location.starts_with(&format!("{BACK}?")), "{allowed:?}");
    assert_eq!(allowed.back("state").as_deref(), Some("st-1 &\"<x>"));

    let (status, said) = g.exchange(&launch, &allowed.back("code").unwrap()).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["patient"], "pat-ed");
    assert_eq!(said["scope"], "launch/patient patient/*.rs", "as granted");
    assert_eq!(said["token_type"], "Bearer");
    assert!(said["expires_in"].as_u64().unwrap() > 0 && said.get("refresh_token").is_none());
    let token = said["access_token"].as_str().unwrap();
    assert_eq!(g.works(token).await, 200);

    assert_eq!(g.rules("authorize-app").await, ["refused-by-person", "granted"]);
    let granted = &g.s.audited("authorize-app").await[1];
    assert_eq!(
        (&granted["patient"], &granted["notes"]["app"]),
        (&json!("pat-ed"), &json!("growth"))
    );
    assert_eq!(granted["actor"]["User"], "nina");
    let read = g.s.audited("read-resource").await;
    let read = read.last().unwrap();
    assert_eq!(
        (&read["actor"]["User"], &read["notes"]["app"]),
        (&json!("nina"), &json!("growth")),
        "who, and by what"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_right_goes_nowhere_or_back_with_its_error() {
    let g = Ground::new().await;
    let (ok, browser) = (
        Launch::new("launch/patient patient/*.rs"),
        g.signed_in("nina").await,
    );
    let short = challenge("x")[..42].to_owned();
    let (long, plus) = ("a".repeat(3000), "+".repeat(43));
    // What is changed; `None`: nobody is sent anywhere, else the error the program is told.
    let cases: Vec<(&str, &'static str, Option<&str>, Option<&str>)> = vec![
        ("no client", "client_id", None, None),
        ("another client", "client_id", Some("nobody"), None),
        (
            "a client that is for machines",
            "client_id",
            Some("machine"),
            None,
        ),
        ("no address", "redirect_uri", None, None),
        (
            "another address",
            "redirect_uri",
            Some("https://evil.example/back"),
            None,
        ),
        (
            "an address below it",
            "redirect_uri",
            Some("https://growth.example/back/x"),
            None,
        ),
        (
            "with a query",
            "redirect_uri",
            Some("https://growth.example/back?x=1"),
            None,
        ),
        (
            "in other letters",
            "redirect_uri",
            Some("https://growth.example/Back"),
            None,
        ),
        (
            "with a user",
            "redirect_uri",
            Some("https://growth.example@evil.example/back"),
            None,
        ),
        (
            "without TLS",
            "redirect_uri",
            Some("http://growth.example/back"),
            None,
        ),
        ("a script", "redirect_uri", Some("javascript:alert(1)"), None),
        ("very long", "state", Some(&long), None),
        ("no state", "state", None, Some("invalid_request")),
        ("empty state", "state", Some(""), Some("invalid_request")),
        (
            "a token at once",
            "response_type",
            Some("token"),
            Some("unsupported_response_type"),
        ),
        (
            "no response_type",
            "response_type",
            None,
            Some("unsupported_response_type"),
        ),
        (
            "code and token",
            "response_type",
            Some("code token"),
            Some("unsupported_response_type"),
        ),
        (
            "PKCE plain",
            "code_challenge_method",
            Some("plain"),
            Some("invalid_request"),
        ),
        (
            "no method",
            "code_challenge_method",
            None,
            Some("invalid_request"),
        ),
        (
            "S256 in small letters",
            "code_challenge_method",
            Some("s256"),
            Some("invalid_request"),
        ),
        ("no PKCE", "code_challenge", None, Some("invalid_request")),
        (
            "a short challenge",
            "code_challenge",
            Some(&short),
            Some("invalid_request"),
        ),
        (
            "no challenge",
            "code_challenge",
            Some(&plus),
            Some("invalid_request"),
        ),
        ("no aud", "aud", None, Some("invalid_request")),
        (
            "another server's aud",
            "aud",
            Some("https://other.example/fhir"),
            Some("invalid_request"),
        ),
        ("aud is the server", "aud", Some(ROOT), Some("invalid_request")),
        (
            "aud with a slash",
            "aud",
            Some("https://vitrine.example/fhir/"),
            Some("invalid_request"),
        ),
        ("no scope", "scope", None, Some("invalid_scope")),
        (
            "out of order",
            "scope",
            Some("launch/patient patient/*.sr"),
            Some("invalid_scope"),
        ),
        (
            ".dus",
            "scope",
            Some("patient/Observation.dus"),
            Some("invalid_scope"),
        ),
        ("writing", "scope", Some("patient/*.cruds"), Some("invalid_scope")),
        (
            "a machine's scope",
            "scope",
            Some("system/*.rs"),
            Some("invalid_scope"),
        ),
        (
            "nothing to read",
            "scope",
            Some("launch/patient openid fhirUser"),
            Some("invalid_scope"),
        ),
        (
            "what is confidential",
            "scope",
            Some("patient/*.rs?_security=V"),
            Some("invalid_scope"),
        ),
        (
            "launch without its scope",
            "launch",
            Some("abc"),
            Some("invalid_scope"),
        ),
        (
            "launch nobody made",
            "scope",
            Some("launch patient/*.rs"),
            Some("invalid_scope"),
        ),
    ];
    let machine = ClientRow {
        id: "machine".to_owned(),
        secret: Some([1; 32]),
        keys: None,
        scopes: vec!["system/*.rs".to_owned()],
        redirects: Vec::new(),
    };
    g.s.app.store.put_client(&permit(), machine).await.unwrap();
    for (what, name, value, told) in cases {
        let query = ok.clone().with(name, value).query();
        for path in ["/auth/authorize", "/auth/authorize/ask"] {
            let got = g.page(&browser, &format!("{path}?{query}")).await;
            match told {
                None => assert_eq!((got.status, got.location.as_str()), (400, ""), "{what}: {got:?}"),
                Some(error) => {
                    assert_eq!(got.status, 303, "{what}: {got:?}");
                    assert!(got.location.starts_with(&format!("{BACK}?")), "{what}: {got:?}");
                    assert_eq!(got.back("error").as_deref(), Some(error), "{what}");
                    assert_eq!(got.back("code"), None, "{what}");
                }
            }
        }
    }
    // A parameter twice could be read either way.
    for name in ["client_id", "redirect_uri", "scope", "state", "code_challenge"] {
        let query = format!("{}&{name}=x", ok.query());
        let got = g.page(&browser, &format!("/auth/authorize?{query}")).await;
        assert_eq!((got.status, got.location.as_str()), (400, ""), "{name}");
    }
    assert!(g.rules("authorize-app").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lets_a_program_in_in_another_s_name() {
    let g = Ground::new().await;
    let (launch, browser) = (
        Launch::new("launch/patient patient/*.rs"),
        g.signed_in("nina").await,
    );
    let ask = format!("/auth/authorize/ask?{}", launch.query());
    let csrf = g.page(&browser, &ask).await.csrf();
    let other = g.signed_in("ines").await;
    let others = g.page(&other, &ask).await.csrf();
    let (own, evil) = (g.s.url(""), "https://evil.example");
    let none = String::new();
    for path in ["answer", "find"] {
        let path = format!("/auth/authorize/{path}?{}", launch.query());
        for (what, cookie, origin, site, sent, kind, status) in [
            ("no cookie", &none, own.as_str(), "same-origin", &csrf, FORM, 401),
            ("no origin", &browser.cookie, "", "same-origin", &csrf, FORM, 403),
            (
                "another origin",
                &browser.cookie,
                evil,
                "same-origin",
                &csrf,
                FORM,
                403,
            ),
            (
                "a null origin",
                &browser.cookie,
                "null",
                "same-origin",
                &csrf,
                FORM,
                403,
            ),
            (
                "another site",
                &browser.cookie,
                own.as_str(),
                "cross-site",
                &csrf,
                FORM,
                403,
            ),
            (
                "the same site",
                &browser.cookie,
                own.as_str(),
                "same-site",
                &csrf,
                FORM,
                403,
            ),
            (
                "no csrf",
                &browser.cookie,
                own.as_str(),
                "same-origin",
                &none,
                FORM,
                403,
            ),
            (
                "another's csrf",
                &browser.cookie,
                own.as_str(),
                "same-origin",
                &others,
                FORM,
                403,
            ),
            (
                "plain text",
                &browser.cookie,
                own.as_str(),
                "same-origin",
                &csrf,
                "text/plain",
                403,
            ),
        ] {
            let fields = [
                ("csrf", sent.as_str()),
                ("answer", "allow"),
                ("patient", "pat-ed"),
                ("name", "Test"),
            ];
            let mut asked = g.http.post(g.s.url(&path)).header("content-type", kind);
            asked = asked.header("cookie", cookie).header("sec-fetch-site", site);
            if !origin.is_empty() {
                asked = asked.header("origin", origin);
            }
            let got = g.send(asked.body(encoded(&fields))).await;
            assert_eq!((got.status, got.location.as_str()), (status, ""), "{what} {path}");
            assert!(!got.text.contains("Testperson"), "{what}");
        }
    }
    // The console's bearer is a cookie; a token in its place is none, and a framed page is asked by another site.
    let framed = g
        .http
        .get(g.s.url(&ask))
        .header("cookie", &browser.cookie)
        .header("sec-fetch-site", "cross-site");
    assert_eq!(g.send(framed).await.status, 403);
    let user = UserId::new("nina").unwrap();
    let bearer = g.s.session(&user, None).await;
    let got = g
        .page(
            &Browser {
                cookie: format!("{COOKIE}={bearer}"),
            },
            &ask,
        )
        .await;
    assert!(got.text.contains("type=\"password\""));
    // Who is not clinical may sign in, and has nothing to grant.
    let petra = g.signed_in("petra").await;
    let got = g.allow(&petra, &launch, "pat-ed").await;
    assert!(got.location.is_empty() && got.text.contains("role"), "{got:?}");
    assert!(g.rules("authorize-app").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reaches_its_patient_and_by_no_door_another() {
    let g = Ground::new().await;
    let all = g.s.program("system/*.cruds").await;
    let images = [
        Made::default(),
        Made {
            patient: "mrn-pat-two",
            study: "1.2.826.0.1.3680043.8.498.2",
            ..Made::default()
        },
    ];
    for made in &images {
        let stow = g.s.http.post(g.s.url("/dicomweb/studies")).bearer_auth(&all);
        let kind = "multipart/related; type=\"application/dicom\"; boundary=b-17";
        let stow = stow.header("content-type", kind).body(related(&[made.bytes()]));
        let answer = stow.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    let note = json!({"resourceType": "DocumentReference", "id": "n-two", "status": "current",
        "subject": {"reference": "Patient/pat-two"}, "description": "Secretword of Testperson",
        "content": [{"attachment": {"contentType": "text/plain", "data": "U2VjcmV0d29yZA=="}}]});
    let put =
        g.s.http
            .put(g.s.url("/fhir/DocumentReference/n-two"))
            .bearer_auth(&all);
    let put = put
        .header("content-type", "application/fhir+json")
        .body(note.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 201);
    // pat-two's Observation was pat-two's in each version.
    let token = g.token("nina", "launch/patient patient/*.rs", "pat-ed").await;
    let (own, two) = (images[0].study, images[1].study);
    let of = |made: &Made, rest: &str| {
        format!(
            "/dicomweb/studies/{}/series/{}/instances/{}{rest}",
            made.study,
            made.series_uid(),
            made.uid()
        )
    };
    for path in [
        "/fhir/Patient/pat-ed".to_owned(),
        "/fhir/Patient/pat-ed/_history/1".to_owned(),
        "/fhir/Patient/pat-ed/$everything".to_owned(),
        "/fhir/Observation/o-pat-ed".to_owned(),
        "/fhir/Encounter/pat-ed-enc".to_owned(),
        "/fhir/Location/ED".to_owned(),
        "/fhir/DocumentReference?patient=pat-ed&_content=anything".to_owned(),
        "/fhir/Endpoint/dicom-wado-rs".to_owned(),
        "/emergency/pat-ed".to_owned(),
        "/dicomweb/studies?PatientID=mrn-pat-ed".to_owned(),
        format!("/dicomweb/studies?StudyInstanceUID={own}"),
        format!("/dicomweb/studies/{own}/series"),
        format!("/dicomweb/studies/{own}/metadata"),
        of(&images[0], ""),
    ] {
        let (status, text) = g.get(&token, &path).await;
        assert_eq!(status, 200, "{path}: {text}");
        assert!(!text.contains("pat-two"), "{path}: {text}");
    }
    let not_there = g.get(&token, "/fhir/Observation/nothing-here").await;
    assert_eq!(not_there.0, 404);
    for (path, want) in [
        ("/fhir/Observation/o-pat-two", 404),
        ("/fhir/Observation/o-pat-two/_history/1", 404),
        ("/fhir/Observation/o-pat-icu", 404),
        ("/fhir/Encounter/pat-two-enc", 404),
        ("/fhir/DocumentReference/n-two", 404),
        ("/fhir/Patient/pat-two", 404),
        ("/fhir/Patient/pat-two/_history/1", 404),
        ("/fhir/Patient/pat-icu", 404),
        ("/fhir/Patient/nobody", 404),
        ("/fhir/Patient/pat-two/$everything", 403),
        ("/fhir/Patient/nobody/$everything", 403),
        ("/fhir/Patient?phonetic=Testperson", 403),
        ("/fhir/Patient?phonetic=Testperson&_id=pat-ed", 400),
        ("/fhir/DocumentReference?patient=pat-two&_content=Secretword", 403),
        ("/fhir/DocumentReference?patient=nobody&_content=Secretword", 403),
        (
            "/fhir/DocumentReference?patient=pat-ed&patient=pat-two&_content=Secretword",
            400,
        ),
        (
            "/fhir/DiagnosticReport?patient=Patient/pat-two&_content=Secretword",
            403,
        ),
        (
            "/fhir/DocumentReference?patient=pat-ed&_content=Secretword&_include=DocumentReference:subject",
            400,
        ),
        (
            "/fhir/DocumentReference?patient=pat-ed&_content=Secretword&_revinclude=Provenance:target",
            400,
        ),
        (
            "/fhir/DocumentReference?patient=pat-ed&_content=Secretword&_has:Observation:patient:code=x",
            400,
        ),
        (
            "/fhir/DocumentReference?patient:not=pat-ed&_content=Secretword",
            400,
        ),
        ("/fhir/Observation?patient=pat-two", 403),
        ("/fhir/Observation?patient=pat-ed,pat-two", 403),
        ("/fhir/Observation?patient=nobody", 403),
        ("/fhir/Observation?patient.name=Testperson", 403),
        ("/fhir/Observation?_id=o-pat-two", 200),
        ("/fhir/Observation?_id=o-nobody", 200),
        ("/fhir/Patient?name=Testperson", 403),
        ("/fhir/Patient?_id=pat-two", 200),
        ("/fhir/Patient?_id=nobody", 200),
        ("/fhir/Observation?_include=Observation:patient", 400),
        ("/fhir/AuditEvent?patient=pat-two", 403),
        ("/emergency/pat-two", 403),
        ("/emergency/nobody", 403),
        ("/dicomweb/studies", 400),
        ("/dicomweb/studies?PatientID=mrn-pat-two", 204),
        ("/dicomweb/studies?PatientID=mrn-nobody", 204),
        ("/dicomweb/studies?PatientName=Testperson", 400),
        ("/ws/live?ward=ED", 400),
    ] {
        let (status, text) = g.get(&token, path).await;
        assert_eq!(status, want, "{path}: {text}");
        assert!(
            !text.contains("Testperson") && !text.contains("Secretword"),
            "{path}: {text}"
        );
        if path.starts_with("/fhir/Observation/o-") || path.starts_with("/fhir/Patient/pat-") && want == 404 {
            assert_eq!(
                (status, &text),
                (not_there.0, &not_there.1),
                "{path}: as what is not there"
            );
        }
    }
    for path in [
        format!("/dicomweb/studies/{two}"),
        format!("/dicomweb/studies/{two}/series"),
        format!("/dicomweb/studies/{two}/instances"),
        format!("/dicomweb/studies/{two}/metadata"),
        format!("/dicomweb/studies/{two}/thumbnail"),
        of(&images[1], ""),
        of(&images[1], "/metadata"),
        of(&images[1], "/frames/1"),
        of(&images[1], "/rendered"),
        of(&images[1], "/bulkdata/00100010"),
    ] {
        let (status, text) = g.get(&token, &path).await;
        assert!(
            status == 404 && !text.contains("Testperson"),
            "{path}: {status} {text}"
        );
    }
    assert_eq!(
        g.get(&token, &format!("/dicomweb/studies?StudyInstanceUID={two}"))
            .await
            .0,
        204
    );
    let (_, text) = g
        .get(&token, &format!("/dicomweb/studies?StudyInstanceUID={own},{two}"))
        .await;
    assert!(text.contains(own) && !text.contains(two), "{text}");

    // Bundles: each entry for itself; nothing is written, and no condition is looked up.
    let reads = |urls: &[&str], kind: &str| {
        let entries: Vec<Value> = urls
            .iter()
            .map(|u| json!({"request": {"method": "GET", "url": u}}))
            .collect();
        json!({"resourceType": "Bundle", "type": kind, "entry": entries})
    };
    let post = async |path: &str, body: Value| {
        let asked = g.s.http.post(g.s.url(path)).bearer_auth(&token);
        let answer = asked
            .header("content-type", "application/fhir+json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let urls = [
        "Observation/o-pat-ed",
        "Observation/o-pat-two",
        "Patient/pat-two",
        "Patient?phonetic=Testperson",
    ];
    let (status, text) = post("/fhir", reads(&urls, "batch")).await;
    let said: Value = serde_json::from_str(&text).unwrap();
    let statuses: Vec<&str> = said["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["response"]["status"].as_str().unwrap()[..3])
        .collect();
    assert_eq!(
        (status, &statuses[..3]),
        (200, &["200", "404", "404"][..]),
        "{text}"
    );
    assert_ne!(statuses[3], "200");
    assert!(
        !text.contains("Testperson") && !text.contains("Patient/pat-two\""),
        "{text}"
    );
    let (status, text) = post("/fhir", reads(&urls[..2], "transaction")).await;
    assert!(status == 404 && !text.contains("4.10"), "{text}");
    let own_observation: Value = serde_json::from_str(&observation(None, "pat-ed", "9.9")).unwrap();
    for kind in ["batch", "transaction"] {
        for (method, url, none_exist) in [
            ("POST", "Observation", Value::Null),
            ("POST", "Patient", json!("identifier=urn:test:mrn|mrn-pat-two")),
            ("DELETE", "Observation/o-pat-ed", Value::Null),
            ("DELETE", "Observation/not-there", Value::Null),
        ] {
            let mut resource = own_observation.clone();
            if url == "Patient" {
                resource = patient("x");
            }
            let mut entry = json!({"request": {"method": method, "url": url}});
            if method == "POST" {
                entry["resource"] = resource;
            }
            if none_exist.is_string() {
                entry["request"]["ifNoneExist"] = none_exist;
            }
            let (status, text) = post(
                "/fhir",
                json!({"resourceType": "Bundle", "type": kind, "entry": [entry]}),
            )
            .await;
            assert!(
                status == 403 && !text.contains("pat-two"),
                "{kind} {method} {url}: {status} {text}"
            );
        }
    }
    for (path, body, want) in [
        ("/fhir/Observation", own_observation.clone(), 403),
        (
            "/import",
            json!({"resourceType": "Bundle", "type": "collection", "entry": []}),
            403,
        ),
        (
            "/live/vitals",
            json!({"resourceType": "Bundle", "type": "collection", "entry": []}),
            403,
        ),
        (
            "/auth/break-glass",
            json!({"patient": "pat-two", "reason": "covering"}),
            403,
        ),
        ("/auth/launch", json!({"patient": "pat-ed"}), 403),
    ] {
        let (status, text) = post(path, body).await;
        assert_eq!(status, want, "{path}: {text}");
    }
    let cookie = Browser {
        cookie: format!("{COOKIE}={}", token.trim_start_matches("app-")),
    };
    let got = g.page(&cookie, "/console/api/session").await;
    assert_eq!(got.status, 401);
    // A broken glass is its person's, and opens nothing for the program.
    let nina = UserId::new("nina").unwrap();
    g.s.grant(&nina, None, "pat-two");
    assert_eq!(g.get(&token, "/fhir/Observation/o-pat-two").await.0, 404);
    let purpose =
        g.s.get("/fhir/Observation/o-pat-ed", &token)
            .header("x-purpose-of-use", "BTG");
    assert_ne!(purpose.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sees_what_was_granted_and_of_that_what_the_person_may() {
    let g = Ground::new().await;
    for (who, scope, patient, path, want) in [
        ("nina", "user/*.rs", "", "/fhir/Observation/o-pat-ed", 200),
        ("nina", "user/*.rs", "", "/fhir/Observation/o-pat-two", 200),
        ("nina", "user/*.rs", "", "/fhir/Observation/o-pat-icu", 404),
        ("nina", "user/*.rs", "", "/fhir/Patient/pat-icu", 404),
        ("nina", "user/*.rs", "", "/fhir/Patient?phonetic=Testperson", 200),
        ("nina", "user/*.r", "", "/fhir/Patient?phonetic=Testperson", 403),
        ("nina", "user/Observation.rs", "", "/fhir/Patient/pat-ed", 403),
        (
            "nina",
            "user/Patient.rs",
            "",
            "/fhir/Patient/pat-ed/$everything",
            403,
        ),
        ("nina", "user/Patient.rs", "", "/emergency/pat-ed", 403),
        ("nina", "user/*.rs", "", "/fhir/Patient/pat-ed/$everything", 200),
        ("nina", "user/*.rs", "", "/fhir/Location/ED", 200),
        ("ines", "user/*.rs", "", "/fhir/Observation/o-pat-icu", 200),
        ("ines", "user/*.rs", "", "/fhir/Observation/o-pat-ed", 404),
        ("petra", "user/*.rs", "", "/fhir/Observation/o-pat-ed", 404),
        ("petra", "user/*.rs", "", "/fhir/AuditEvent", 403),
        (
            "nina",
            "patient/Observation.rs",
            "pat-ed",
            "/fhir/Observation/o-pat-ed",
            200,
        ),
        (
            "nina",
            "patient/Observation.rs",
            "pat-ed",
            "/fhir/Patient/pat-ed",
            403,
        ),
        (
            "nina",
            "patient/Observation.rs",
            "pat-ed",
            "/fhir/Encounter/pat-ed-enc",
            403,
        ),
        (
            "nina",
            "patient/Observation.rs",
            "pat-ed",
            "/dicomweb/studies?PatientID=mrn-pat-ed",
            403,
        ),
        (
            "nina",
            "patient/Observation.rs user/Patient.r",
            "pat-ed",
            "/fhir/Patient/pat-two",
            200,
        ),
        (
            "nina",
            "patient/Observation.rs user/Patient.r",
            "pat-ed",
            "/fhir/Observation/o-pat-two",
            404,
        ),
    ] {
        let token = g.token(who, scope, patient).await;
        let (status, text) = g.get(&token, path).await;
        assert_eq!(status, want, "{who} {scope} {path}: {text}");
    }
    // What is confidential: not without a scope that names it, whoever the person is.
    let all = g.s.program("system/*.cruds").await;
    let mut secret: Value = serde_json::from_str(&observation(Some("o-r"), "pat-ed", "1.0")).unwrap();
    secret["meta"] = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]});
    let put = g.s.http.put(g.s.url("/fhir/Observation/o-r")).bearer_auth(&all);
    let put = put
        .header("content-type", "application/fhir+json")
        .body(secret.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 201);
    let nina = UserId::new("nina").unwrap();
    assert_eq!(
        g.get(&g.s.session(&nina, None).await, "/fhir/Observation/o-r")
            .await
            .0,
        200
    );
    let token = g.token("nina", "patient/*.rs", "pat-ed").await;
    assert_eq!(g.get(&token, "/fhir/Observation/o-r").await.0, 404);
    let (_, text) = g.get(&token, "/fhir/Patient/pat-ed/$everything").await;
    assert!(!text.contains("\"o-r\"") && text.contains("withheld"), "{text}");
    g.client("growth", None, &["patient/*.rs?_security=R"]).await;
    let token = g.token("nina", "patient/*.rs?_security=R", "pat-ed").await;
    assert_eq!(g.get(&token, "/fhir/Observation/o-r").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_for_one_exchange_by_who_asked_for_it() {
    let g = Ground::new().await;
    let (browser, launch) = (
        g.signed_in("nina").await,
        Launch::new("launch/patient patient/*.rs"),
    );
    let other = secret();
    type Changed<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str);
    let cases: Vec<Changed<'_>> = vec![
        (
            "another verifier",
            vec![("code_verifier", other.as_str())],
            400,
            "code-verifier",
        ),
        ("no verifier", vec![("code_verifier", "")], 400, "code-verifier"),
        (
            "the challenge as verifier",
            vec![("code_verifier", launch.pairs[6].1.as_str())],
            400,
            "code-verifier",
        ),
        (
            "another address",
            vec![("redirect_uri", "https://evil.example/back")],
            400,
            "code-redirect",
        ),
        ("no address", vec![("redirect_uri", "")], 400, "code-redirect"),
        (
            "another program",
            vec![("client_id", "chart"), ("client_secret", "s3cret")],
            400,
            "code-unknown",
        ),
        (
            "another, without its secret",
            vec![("client_id", "chart")],
            401,
            "",
        ),
        (
            "a secret that it does not have",
            vec![("client_secret", "x")],
            401,
            "wrong-secret",
        ),
        ("nobody", vec![("client_id", "")], 401, ""),
        ("no code", vec![("code", "")], 400, "code-unknown"),
        (
            "another code",
            vec![("code", other.as_str())],
            400,
            "code-unknown",
        ),
        ("another grant", vec![("grant_type", "password")], 400, ""),
        ("to be refreshed", vec![("grant_type", "refresh_token")], 400, ""),
    ];
    let (mut want, count) = (Vec::new(), cases.len());
    for (what, changed, status, rule) in cases {
        let code = g.code(&browser, &launch, "pat-ed").await;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", BACK),
            ("client_id", "growth"),
            ("code_verifier", launch.verifier.as_str()),
        ];
        pairs.retain(|(n, _)| !changed.iter().any(|(c, _)| c == n));
        pairs.extend(changed.iter().copied());
        let (got, said) = g.token_for(&pairs).await;
        assert_eq!(
            (got, said["access_token"].is_null()),
            (status, true),
            "{what}: {said}"
        );
        for (id, at) in [("growth", "client"), ("chart", "client"), ("unknown", "client")] {
            g.s.app.throttle.right(id, at);
        }
        if !rule.is_empty() {
            want.push(rule.to_owned());
        }
        // Whoever tried with a code of this program has used it up.
        if rule == "code-verifier" || rule == "code-redirect" {
            assert_eq!(g.exchange(&launch, &code).await.0, 400, "{what}: it is used up");
            want.push("code-replay".to_owned());
        }
    }
    assert_eq!(count, 13);
    let rules = g.rules("sign-in").await;
    assert_eq!(rules, want);

    // Used twice: whoever has the token then may be a thief, and it is over.
    let code = g.code(&browser, &launch, "pat-ed").await;
    let (_, said) = g.exchange(&launch, &code).await;
    let token = said["access_token"].as_str().unwrap();
    assert_eq!(g.works(token).await, 200);
    let (status, said) = g.exchange(&launch, &code).await;
    assert_eq!((status, said["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(g.works(token).await, 401, "its token is over");
    // A minute is a minute.
    let code = g.code(&browser, &launch, "pat-ed").await;
    let hash: [u8; 32] = sha2::Sha256::digest([b"vitrine-app-code\0", code.as_bytes()].concat()).into();
    let past = vitrine_server::clock::now().plus_ms(-1);
    let row = g.s.app.store.session(&hash).await.unwrap().unwrap();
    assert_eq!(row.until.since(row.at), 60_000);
    g.s.app.store.prolong_session(&hash, past).await.unwrap();
    assert_eq!(g.exchange(&launch, &code).await.0, 400);
    // With the program that has a secret.
    let launch = launch.with("client_id", Some("chart"));
    let code = g.code(&browser, &launch, "pat-ed").await;
    let (status, said) = g
        .token_for(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", BACK),
            ("client_id", "chart"),
            ("client_secret", "s3cret"),
            ("code_verifier", &launch.verifier),
        ])
        .await;
    assert_eq!((status, &said["patient"]), (200, &json!("pat-ed")), "{said}");
    // And what a person grants is nothing that the program has by itself.
    let by_itself = [
        ("grant_type", "client_credentials"),
        ("client_id", "chart"),
        ("client_secret", "s3cret"),
    ];
    assert_eq!(g.token_for(&by_itself).await.1["error"], "invalid_scope");
    let token = said["access_token"].as_str().unwrap().to_owned();
    let asked = g
        .http
        .post(g.s.url("/auth/introspect"))
        .header("content-type", FORM);
    let form = encoded(&[
        ("client_id", "chart"),
        ("client_secret", "s3cret"),
        ("token", &token),
    ]);
    let told = json_of(asked.body(form).send().await.unwrap()).await;
    for (name, value) in [
        ("active", json!(true)),
        ("client_id", json!("chart")),
        ("sub", json!("nina")),
        ("patient", json!("pat-ed")),
        ("scope", json!("launch/patient patient/*.rs")),
    ] {
        assert_eq!(told[name], value, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_ends_with_the_account_the_program_and_its_word() {
    let g = Ground::new().await;
    let phc = secrets::phc(PASSWORD, secrets::PASSWORD);
    let scopes = ["patient/*.rs", "user/*.rs", "launch/patient", "launch"];
    let post = async |path: &str, form: String| {
        let asked = g.http.post(g.s.url(path)).header("content-type", FORM);
        asked.body(form).send().await.unwrap().status().as_u16()
    };
    for what in [
        "another role",
        "another ward",
        "disabled",
        "another password",
        "the program removed",
        "its scopes narrowed",
        "given back",
        "signed out",
    ] {
        let token = g.token("nina", "launch/patient patient/*.rs", "pat-ed").await;
        let kept = g.token("ines", "user/*.rs", "").await;
        assert_eq!(g.works(&token).await, 200, "{what}");
        match what {
            "another role" => g.put(account("nina", "physician", "ED", &phc)).await,
            "another ward" => g.put(account("nina", "nurse", "ICU", &phc)).await,
            "disabled" => {
                let change = AccountChange::Disable(UserId::new("nina").unwrap());
                g.s.app.store.change_account(&permit(), change).await.unwrap();
            }
            "another password" => {
                let other = secrets::phc("another-long-password", secrets::PASSWORD);
                g.put(account("nina", "nurse", "ED", &other)).await;
            }
            "the program removed" => {
                g.s.app.store.remove_client(&permit(), "growth").await.unwrap();
            }
            "its scopes narrowed" => {
                g.client(
                    "growth",
                    None,
                    &["patient/Patient.rs", "user/*.rs", "launch/patient"],
                )
                .await
            }
            "given back" => {
                let theirs = format!("client_id=chart&client_secret=s3cret&token={token}");
                assert_eq!(post("/auth/revoke", theirs).await, 400, "another program's");
                assert_eq!(g.works(&token).await, 200);
                let mut ended = g.s.app.ended.subscribe();
                assert_eq!(
                    post("/auth/revoke", format!("client_id=growth&token={token}")).await,
                    200
                );
                assert_eq!(ended.try_recv().unwrap(), Some(sessions::token_hash(&token)));
            }
            _ => {
                let out = g.http.post(g.s.url("/auth/logout")).bearer_auth(&token);
                assert_eq!(out.send().await.unwrap().status(), 204);
            }
        }
        assert_eq!(g.works(&token).await, 401, "{what}: it is over at once");
        if what != "the program removed" {
            assert_eq!(
                g.get(&kept, "/fhir/Observation/o-pat-icu").await.0,
                200,
                "{what}: another person's is not"
            );
        }
        g.put(account("nina", "nurse", "ED", &phc)).await;
        g.client("growth", None, &scopes).await;
        assert_eq!(g.works(&token).await, 401, "{what}: and not again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_launched_on_the_patient_who_is_open() {
    let g = Ground::new().await;
    let nina = UserId::new("nina").unwrap();
    let session = g.s.session(&nina, None).await;
    let context = async |token: &str, patient: &str| {
        let asked = g.http.post(g.s.url("/auth/launch")).bearer_auth(token);
        let answer = asked.json(&json!({"patient": patient})).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    };
    let (status, said) = context(&session, "pat-two").await;
    assert_eq!((status, &said["expires_in"]), (200, &json!(300)), "{said}");
    let text = said["launch"].as_str().unwrap();
    assert!(!text.contains("pat"), "it says nothing");
    assert_eq!(context(&session, "pat-icu").await.0, 403);
    g.s.grant(&nina, None, "pat-icu");
    assert_eq!(context(&session, "pat-icu").await.0, 403, "nor by a broken glass");
    assert_eq!(
        context(&g.s.program("system/*.cruds").await, "pat-ed").await.0,
        403
    );

    let launch = Launch::new("launch patient/*.rs").with("launch", Some(text));
    let (hers, other) = (g.signed_in("nina").await, g.signed_in("ines").await);
    let got = g.allow(&other, &launch, "pat-two").await;
    assert_eq!(
        got.back("error").as_deref(),
        Some("invalid_request"),
        "another person's"
    );
    for bad in [
        "0".repeat(64),
        String::from("x"),
        session.clone(),
        "a".repeat(1000),
    ] {
        let launch = launch.clone().with("launch", Some(&bad));
        assert_eq!(
            g.allow(&hers, &launch, "pat-two").await.back("error").as_deref(),
            Some("invalid_request")
        );
    }
    // The patient is the one who is open, whatever the form says.
    let page = g
        .page(&hers, &format!("/auth/authorize/ask?{}", launch.query()))
        .await;
    assert!(page.text.contains("pat-two") && !page.text.contains("Find the patient"));
    let code = g.code(&hers, &launch, "pat-ed").await;
    let (_, said) = g.exchange(&launch, &code).await;
    assert_eq!(
        (&said["patient"], &said["scope"]),
        (&json!("pat-two"), &json!("launch patient/*.rs")),
        "{said}"
    );
    let token = said["access_token"].as_str().unwrap();
    assert_eq!(g.get(token, "/fhir/Observation/o-pat-two").await.0, 200);
    assert_eq!(g.get(token, "/fhir/Observation/o-pat-ed").await.0, 404);
    let again = g.allow(&hers, &launch, "pat-two").await;
    assert_eq!(again.back("error").as_deref(), Some("invalid_request"), "once");

    // It is over after five minutes, and with any change of the account.
    let said = context(&session, "pat-ed").await.1;
    let late = said["launch"].as_str().unwrap();
    let hash: [u8; 32] = sha2::Sha256::digest([b"vitrine-app-launch\0", late.as_bytes()].concat()).into();
    let past = vitrine_server::clock::now().plus_ms(-1);
    g.s.app.store.prolong_session(&hash, past).await.unwrap();
    let launch = launch.with("launch", Some(late));
    assert_eq!(
        g.allow(&hers, &launch, "").await.back("error").as_deref(),
        Some("invalid_request")
    );
    let rows = g.s.audited("authorize-app").await;
    let rules: Vec<&str> = rows.iter().map(|r| r["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["launch", "granted", "launch"]);
    assert!(
        rows.iter()
            .all(|r| PatientId::new(r["patient"].as_str().unwrap()).is_ok())
    );
    // A launch text, a code, and what is kept of them are no tokens.
    for text in [text, late, &code] {
        assert_eq!(g.works(text).await, 401);
    }
}
