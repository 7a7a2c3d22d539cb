//! SMART App Launch 2.2, what programs use: discovery, backend services by key, introspection, revocation. Every attack on a
//! client assertion is refused with its reason and its audit row.

#[path = "oidc/forger.rs"]
mod forger;
mod harness;

use forger::{By, Keys, b64, rsa_jwk};
use harness::inside::Inside;
use harness::*;
use ring::signature as sig;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use vitrine_access::action::ManageUsers;
use vitrine_access::{Permit, policy};
use vitrine_server::identity::clients::assertion::{Fault, TYPE};
use vitrine_server::identity::clients::public_keys;
use vitrine_store::ClientRow;

const ROOT: &str = "https://vitrine.example";
const FORM: &str = "application/x-www-form-urlencoded";

/// The public half of a P-384 key.
fn es384(keys: &Keys, kid: &str) -> Value {
    use ring::signature::KeyPair as _;
    let point = keys.p384.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-384", "kid": kid, "x": b64(&point[1..49]), "y": b64(&point[49..])})
}

fn client(id: &str, keys: Option<&Value>, secret: Option<&str>) -> ClientRow {
    use sha2::Digest as _;
    ClientRow {
        id: id.to_owned(),
        secret: secret.map(|s| sha2::Sha256::digest(s.as_bytes()).into()),
        keys: keys.map(|k| public_keys(k.to_string().as_bytes()).unwrap().0),
        scopes: vec!["system/*.rs".to_owned(), "system/Observation.cruds".to_owned()],
        redirects: Vec::new(),
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| format!("{name}={}", vitrine_wire::http::form_encoded(value));
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

/// A hospital with programs: `lab` (an RSA key `rs`, an EC key `es`), `ris` (the attacker: keys of its own), `one` (a single
/// key), `old` (a secret).
struct Ground {
    _folder: tempfile::TempDir,
    keys: Keys,
    /// Those of `ris`.
    other: Keys,
    s: Inside,
}

/// An assertion about to be made.
struct Attempt<'a> {
    g: &'a Ground,
    now: i64,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    by: By,
    /// Signed by the keys of `ris`.
    others: bool,
    /// In place of the token, made of it.
    then: Option<fn(String) -> String>,
    form: Vec<(&'static str, String)>,
}

impl Attempt<'_> {
    fn head(&mut self, name: &str, value: Value) {
        self.header.insert(name.to_owned(), value);
    }
    fn set(&mut self, name: &str, value: Value) {
        self.claims.insert(name.to_owned(), value);
    }
    fn token(&self) -> String {
        let keys = if self.others { &self.g.other } else { &self.g.keys };
        let token = keys.mint(&self.header, &self.claims, &self.by);
        self.then
            .map_or_else(|| token.clone(), |then| then(token.clone()))
    }
    fn es384(&mut self, kid: &str) {
        self.head("alg", json!("ES384"));
        self.head("kid", json!(kid));
        self.by = By::P384;
    }
}

impl Ground {
    async fn new() -> Self {
        Self::at(ROOT).await
    }

    async fn at(root: &str) -> Self {
        let (_folder, data) = folder();
        let root = root.to_owned();
        let s = Inside::start(&data, |c| c.listen.public_url = root).await;
        s.patient("pat-ed", "ED").await;
        let (keys, other) = (Keys::new(), Keys::new());
        let lab = json!({"keys": [rsa_jwk(&keys.rsa, "rs", json!({})), es384(&keys, "es")]});
        let ris = json!({"keys": [rsa_jwk(&other.rsa, "rs", json!({})), es384(&other, "es")]});
        let one = json!({"keys": [es384(&keys, "only")]});
        let two = json!({"keys": [es384(&keys, "a"), es384(&other, "b")]});
        let g = Self {
            _folder,
            keys,
            other,
            s,
        };
        for row in [
            client("lab", Some(&lab), None),
            client("ris", Some(&ris), None),
            client("one", Some(&one), None),
            client("two", Some(&two), None),
            client("old", None, Some("s3cret")),
        ] {
            g.put(row).await;
        }
        g
    }

    async fn put(&self, row: ClientRow) {
        let operator = vitrine_server::cli::acts::operator_request("test");
        let permit: Permit<ManageUsers> = policy::decide(operator).unwrap();
        self.s.app.store.put_client(&permit, row).await.unwrap();
    }

    /// One of `lab` that would be accepted.
    fn attempt(&self) -> Attempt<'_> {
        let now = now_ms() / 1000;
        let object = |v: Value| v.as_object().unwrap().clone();
        Attempt {
            g: self,
            now,
            header: object(json!({"alg": "RS384", "kid": "rs", "typ": "JWT"})),
            claims: object(json!({
                "iss": "lab", "sub": "lab", "aud": format!("{ROOT}/auth/token"), "exp": now + 240,
                "jti": vitrine_server::identity::oidc::secret(),
            })),
            by: By::Rsa(&sig::RSA_PKCS1_SHA384),
            others: false,
            then: None,
            form: vec![
                ("grant_type", "client_credentials".to_owned()),
                ("client_assertion_type", TYPE.to_owned()),
            ],
        }
    }

    async fn send(&self, path: &str, form: &str) -> (u16, Value) {
        let request = self.s.http.post(self.s.url(path)).header("content-type", FORM);
        let answer = request.body(form.to_owned()).send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status().as_u16(), json_of(answer).await)
    }

    async fn ask(&self, a: &Attempt<'_>) -> (u16, Value) {
        let token = a.token();
        let mut pairs: Vec<(&str, &str)> = a.form.iter().map(|(n, v)| (*n, v.as_str())).collect();
        pairs.push(("client_assertion", &token));
        let answer = self.send("/auth/token", &encoded(&pairs)).await;
        // Each attempt stands for itself: waiting after five wrong ones is a test of its own.
        for id in ["lab", "ris", "one", "two", "old", "unknown", "nobody", "Lab"] {
            self.s.app.throttle.right(id, "client");
        }
        answer
    }

    /// A token of `lab`, by its key.
    async fn token(&self) -> String {
        let (status, said) = self.ask(&self.attempt()).await;
        assert_eq!(status, 200, "{said}");
        said["access_token"].as_str().unwrap().to_owned()
    }

    /// A token of `old`, by its secret.
    async fn old(&self) -> String {
        let form = "grant_type=client_credentials&client_id=old&client_secret=s3cret";
        let (status, said) = self.send("/auth/token", form).await;
        assert_eq!(status, 200, "{said}");
        said["access_token"].as_str().unwrap().to_owned()
    }

    async fn works(&self, token: &str) -> u16 {
        let asked = self.s.get("/fhir/Patient/pat-ed", token).send().await.unwrap();
        asked.status().as_u16()
    }

    async fn rules(&self, action: &str) -> Vec<(String, String)> {
        let rows = self.s.audited(action).await.into_iter();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        rows.map(|r| (text(&r["actor"]["Client"]), text(&r["rule"])))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_says_what_is_there_and_nothing_more() {
    let g = Ground::new().await;
    for path in [
        "/fhir/.well-known/smart-configuration",
        "/.well-known/smart-configuration",
    ] {
        for accept in ["application/json", "text/html", "application/fhir+xml"] {
            let asked = g.s.http.get(g.s.url(path)).header("accept", accept);
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(
                answer.headers()["content-type"],
                "application/json",
                "{path} {accept}"
            );
            let said = json_of(answer).await;
            let has =
                |name: &str, what: &str| said[name].as_array().is_some_and(|a| a.iter().any(|v| v == what));
            assert_eq!(said["token_endpoint"], format!("{ROOT}/auth/token"));
            assert_eq!(said["introspection_endpoint"], format!("{ROOT}/auth/introspect"));
            assert_eq!(said["revocation_endpoint"], format!("{ROOT}/auth/revoke"));
            for (name, what, there) in [
                ("grant_types_supported", "client_credentials", true),
                ("grant_types_supported", "refresh_token", false),
                ("token_endpoint_auth_methods_supported", "private_key_jwt", true),
                (
                    "token_endpoint_auth_methods_supported",
                    "client_secret_basic",
                    true,
                ),
                ("token_endpoint_auth_signing_alg_values_supported", "RS384", true),
                ("token_endpoint_auth_signing_alg_values_supported", "ES384", true),
                ("token_endpoint_auth_signing_alg_values_supported", "none", false),
                ("code_challenge_methods_supported", "S256", true),
                ("code_challenge_methods_supported", "plain", false),
                ("capabilities", "client-confidential-asymmetric", true),
                ("capabilities", "client-confidential-symmetric", true),
                ("capabilities", "permission-v2", true),
                ("capabilities", "permission-offline", false),
                ("capabilities", "sso-openid-connect", false),
            ] {
                assert_eq!(has(name, what), there, "{name} {what}: {said}");
            }
            // What is named answers.
            for of in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
                let path = said[of].as_str().unwrap().strip_prefix(ROOT).unwrap();
                assert_ne!(g.send(path, "").await.0, 404, "{path}");
            }
        }
    }
    let asked = g.s.http.get(g.s.url("/fhir/metadata")).send().await.unwrap();
    let security = json_of(asked).await["rest"][0]["security"].clone();
    assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
    let uris: Vec<&str> = security["extension"][0]["extension"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["valueUri"].as_str().unwrap())
        .collect();
    assert!(uris.contains(&"https://vitrine.example/auth/token"), "{uris:?}");

    // A server that does not know its own address offers no proof that rests on it, and takes none.
    let g = Ground::at("").await;
    let asked = g.s.http.get(g.s.url("/.well-known/smart-configuration"));
    let said = json_of(asked.send().await.unwrap()).await;
    assert_eq!(said["token_endpoint"], g.s.url("/auth/token"), "as it was asked");
    assert!(!said.to_string().contains("private_key_jwt") && !said.to_string().contains("asymmetric"));
    for aud in [g.s.url("/auth/token"), "/auth/token".to_owned(), String::new()] {
        let mut a = g.attempt();
        a.set("aud", json!(aud));
        assert_eq!(g.ask(&a).await.0, 401, "{aud}");
    }
}

type Change = Box<dyn for<'a, 'b> Fn(&'b mut Attempt<'a>) + Send + Sync>;

/// What is changed, why it is refused (`None`: it is accepted), and how.
fn cases() -> Vec<(&'static str, Option<Fault>, Change)> {
    fn case(
        name: &'static str,
        refused: impl Into<Option<Fault>>,
        change: impl for<'a, 'b> Fn(&'b mut Attempt<'a>) + Send + Sync + 'static,
    ) -> (&'static str, Option<Fault>, Change) {
        (name, refused.into(), Box::new(change))
    }
    let hmac = |secret: fn(&Keys) -> Vec<u8>| {
        move |a: &mut Attempt<'_>| {
            a.head("alg", json!("HS256"));
            a.by = By::Hmac(ring::hmac::HMAC_SHA256, secret(&a.g.keys));
        }
    };
    let long = "a".repeat(256);
    vec![
        case("as it should be", None, |_| {}),
        case("by the elliptic key", None, |a| a.es384("es")),
        case("typ in small letters", None, |a| a.head("typ", json!("jwt"))),
        case("no typ", None, |a| drop(a.header.remove("typ"))),
        case("client_id beside it", None, |a| {
            a.form.push(("client_id", "lab".to_owned()))
        }),
        case("aud as a list of one", None, |a| {
            a.set("aud", json!([format!("{ROOT}/auth/token")]))
        }),
        case("five minutes", None, |a| a.set("exp", json!(a.now + 300))),
        case("made just now", None, |a| a.set("iat", json!(a.now))),
        case("one key, no kid", None, |a| {
            a.set("iss", json!("one"));
            a.set("sub", json!("one"));
            a.es384("only");
            a.header.remove("kid");
        }),
        // Algorithms.
        case("none", Fault::Algorithm, |a| {
            a.head("alg", json!("none"));
            a.by = By::Bytes(Vec::new());
        }),
        case("None", Fault::Algorithm, |a| a.head("alg", json!("None"))),
        case("none, signed", Fault::Algorithm, |a| a.head("alg", json!("none"))),
        case("no alg", Fault::Algorithm, |a| drop(a.header.remove("alg"))),
        case("alg is a number", Fault::Algorithm, |a| a.head("alg", json!(384))),
        case(
            "HS256 with the public key in DER",
            Fault::Algorithm,
            hmac(|k| k.rsa_spki_der.clone()),
        ),
        case(
            "HS256 with the public key in PEM",
            Fault::Algorithm,
            hmac(|k| k.rsa_spki_pem.clone().into_bytes()),
        ),
        case("HS384 with the public key", Fault::Algorithm, |a| {
            a.head("alg", json!("HS384"));
            a.by = By::Hmac(ring::hmac::HMAC_SHA384, a.g.keys.rsa_spki_der.clone());
        }),
        case("RS256 by the right key", Fault::Algorithm, |a| {
            a.head("alg", json!("RS256"));
            a.by = By::Rsa(&sig::RSA_PKCS1_SHA256);
        }),
        case("PS384 by the right key", Fault::Algorithm, |a| {
            a.head("alg", json!("PS384"));
            a.by = By::Rsa(&sig::RSA_PSS_SHA384);
        }),
        case("ES256", Fault::Algorithm, |a| {
            a.head("alg", json!("ES256"));
            a.by = By::P256;
        }),
        case("EdDSA", Fault::Algorithm, |a| {
            a.head("alg", json!("EdDSA"));
            a.by = By::Ed;
        }),
        case("RS384 said, RS256 done", Fault::Signature, |a| {
            a.by = By::Rsa(&sig::RSA_PKCS1_SHA256)
        }),
        case("ES384 said, the RSA key named", Fault::UnknownKey, |a| {
            a.es384("rs")
        }),
        // Keys.
        case("another client's key, its kid", Fault::Signature, |a| {
            a.others = true
        }),
        case("another client's elliptic key", Fault::Signature, |a| {
            a.es384("es");
            a.others = true;
        }),
        case("a key that is nobody's", Fault::Signature, |a| {
            a.by = By::OtherRsa
        }),
        case("no kid, several keys", Fault::UnknownKey, |a| {
            a.set("iss", json!("two"));
            a.set("sub", json!("two"));
            a.es384("a");
            a.header.remove("kid");
        }),
        case("an unknown kid", Fault::UnknownKey, |a| {
            a.head("kid", json!("nobody"))
        }),
        case("kid is a number", Fault::UnknownKey, |a| a.head("kid", json!(1))),
        case("a kid that is a path", Fault::UnknownKey, |a| {
            a.head("kid", json!("../../etc/passwd"))
        }),
        case("it brings its key", Fault::KeyInToken, |a| {
            let jwk = rsa_jwk(&a.g.other.rsa, "rs", json!({}));
            a.head("jwk", jwk);
            a.others = true;
        }),
        case("it names where its key is", Fault::KeyInToken, |a| {
            a.head("jku", json!("https://evil.example/jwks"))
        }),
        case("x5u", Fault::KeyInToken, |a| {
            a.head("x5u", json!("https://evil.example/cert"))
        }),
        case("x5c", Fault::KeyInToken, |a| a.head("x5c", json!(["AA"]))),
        case("crit", Fault::Critical, |a| a.head("crit", json!(["exp"]))),
        case("b64", Fault::Critical, |a| a.head("b64", json!(false))),
        case("an access token", Fault::Type, |a| a.head("typ", json!("at+jwt"))),
        case("no signature", Fault::Signature, |a| a.by = By::Bytes(Vec::new())),
        case("a signature of zeros", Fault::Signature, |a| {
            a.by = By::Bytes(vec![0; 256])
        }),
        case("an elliptic signature of zeros", Fault::Signature, |a| {
            a.es384("es");
            a.by = By::Bytes(vec![0; 96]);
        }),
        // Whose.
        case("iss is another", Fault::Signature, |a| a.set("iss", json!("ris"))),
        case("iss is nobody", Fault::UnknownKey, |a| {
            a.set("iss", json!("nobody"))
        }),
        case("iss is a client with a secret", Fault::UnknownKey, |a| {
            a.set("iss", json!("old"))
        }),
        case("sub is another", Fault::Issuer, |a| a.set("sub", json!("ris"))),
        case("no sub", Fault::Issuer, |a| drop(a.claims.remove("sub"))),
        case("sub is a list", Fault::Issuer, |a| a.set("sub", json!(["lab"]))),
        case("iss differs in case", Fault::UnknownKey, |a| {
            a.set("iss", json!("Lab"))
        }),
        // For whom.
        case("no aud", Fault::Audience, |a| drop(a.claims.remove("aud"))),
        case("aud is another server", Fault::Audience, |a| {
            a.set("aud", json!("https://other.example/auth/token"))
        }),
        case("aud is this server", Fault::Audience, |a| {
            a.set("aud", json!(ROOT))
        }),
        case("aud is its FHIR", Fault::Audience, |a| {
            a.set("aud", json!(format!("{ROOT}/fhir")))
        }),
        case("aud ends with a slash", Fault::Audience, |a| {
            a.set("aud", json!(format!("{ROOT}/auth/token/")))
        }),
        case("aud without TLS", Fault::Audience, |a| {
            a.set("aud", json!("http://vitrine.example/auth/token"))
        }),
        case("aud is empty", Fault::Audience, |a| a.set("aud", json!(""))),
        case("aud is an empty list", Fault::Audience, |a| {
            a.set("aud", json!([]))
        }),
        case("aud is another too", Fault::Audience, |a| {
            a.set(
                "aud",
                json!([format!("{ROOT}/auth/token"), "https://other.example/auth/token"]),
            );
        }),
        // When.
        case("no exp", Fault::Expired, |a| drop(a.claims.remove("exp"))),
        case("exp is a text", Fault::Expired, |a| {
            a.set("exp", json!("9999999999"))
        }),
        case("exp is below zero", Fault::Expired, |a| a.set("exp", json!(-1))),
        case("expired", Fault::Expired, |a| a.set("exp", json!(a.now - 120))),
        case("ten minutes", Fault::TooLong, |a| {
            a.set("exp", json!(a.now + 600))
        }),
        case("a year", Fault::TooLong, |a| {
            a.set("exp", json!(a.now + 31_536_000))
        }),
        case("made in the future", Fault::NotYet, |a| {
            a.set("iat", json!(a.now + 180))
        }),
        case("not valid yet", Fault::NotYet, |a| {
            a.set("nbf", json!(a.now + 180))
        }),
        case("iat is a text", Fault::NotYet, |a| a.set("iat", json!("now"))),
        // Once.
        case("no jti", Fault::TokenId, |a| drop(a.claims.remove("jti"))),
        case("jti is empty", Fault::TokenId, |a| a.set("jti", json!(""))),
        case("jti is a number", Fault::TokenId, |a| a.set("jti", json!(7))),
        case("jti is very long", Fault::TokenId, move |a| {
            a.set("jti", json!(long))
        }),
        // Form.
        case("nothing", Fault::Form, |a| a.then = Some(|_| String::new())),
        case("two parts", Fault::Form, |a| {
            a.then = Some(|t| t[..t.rfind('.').unwrap()].to_owned())
        }),
        case("four parts", Fault::Form, |a| {
            a.then = Some(|t| format!("{t}.AA"))
        }),
        case("padding", Fault::Form, |a| a.then = Some(|t| format!("{t}="))),
        case("a space before", Fault::Form, |a| {
            a.then = Some(|t| format!(" {t}"))
        }),
        case("claims of another token", Fault::Signature, |a| {
            a.then = Some(|t| {
                let parts: Vec<&str> = t.split('.').collect();
                let claims = String::from_utf8(
                    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, parts[1])
                        .unwrap(),
                );
                let claims = claims
                    .unwrap()
                    .replace("\"sub\":\"lab\"", "\"sub\":\"lab\",\"x\":1");
                format!("{}.{}.{}", parts[0], b64(claims), parts[2])
            });
        }),
        case("a name twice", Fault::Form, |a| {
            a.then = Some(|t| {
                let parts: Vec<&str> = t.split('.').collect();
                format!(
                    "{}.{}.{}",
                    parts[0],
                    b64("{\"iss\":\"lab\",\"iss\":\"lab\"}"),
                    parts[2]
                )
            });
        }),
        case("very long", Fault::Form, |a| {
            a.set("x", json!("a".repeat(17_000)))
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_on_a_client_assertion_is_refused_with_its_reason() {
    let g = Ground::new().await;
    let all = cases();
    let (mut want, mut faults, mut reasons) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (name, refused, change) in &all {
        let mut a = g.attempt();
        change(&mut a);
        let (status, said) = g.ask(&a).await;
        match refused {
            None => {
                assert_eq!(
                    (status, &said["token_type"]),
                    (200, &json!("Bearer")),
                    "{name}: {said}"
                );
                assert_eq!(
                    g.works(said["access_token"].as_str().unwrap()).await,
                    200,
                    "{name}"
                );
                want.push("client-assertion");
            }
            Some(fault) => {
                reasons.insert(*fault);
                want.push(fault.rule());
                let told = (status, said["error"].as_str(), said["error_description"].as_str());
                if told != (401, Some("invalid_client"), Some(fault.words())) {
                    faults.push(format!("{name}: not {}: {status} {said}", fault.rule()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    let rows = g.rules("sign-in").await;
    let rules: Vec<&str> = rows.iter().map(|(_, rule)| rule.as_str()).collect();
    assert_eq!(rules, want, "one row for each, with its reason");
    // What names a program is told about it, whether it is one or not.
    let named: BTreeSet<&str> = rows.iter().map(|(who, _)| who.as_str()).collect();
    assert_eq!(
        named,
        BTreeSet::from(["Lab", "lab", "nobody", "old", "one", "ris", "two", "unknown"])
    );
    reasons.insert(Fault::Replay);
    assert_eq!(
        reasons.len(),
        Fault::ALL.len(),
        "every reason has a case: {reasons:?}"
    );
    let attacks = all.iter().filter(|c| c.1.is_some()).count();
    assert!(attacks >= 55, "{attacks}");
    eprintln!(
        "{attacks} attacks refused, {} controls accepted",
        all.len() - attacks
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_counts_once_wherever_it_is_shown() {
    let g = Ground::new().await;
    let token = g.token().await;
    let a = g.attempt();
    assert_eq!(g.ask(&a).await.0, 200);
    for path in ["/auth/token", "/auth/introspect", "/auth/revoke"] {
        let assertion = a.token();
        let form = encoded(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", &assertion),
            ("token", &token),
        ]);
        let (status, said) = g.send(path, &form).await;
        assert_eq!(
            (status, said["error_description"].as_str()),
            (401, Some(Fault::Replay.words())),
            "{path}"
        );
    }
    assert_eq!(g.works(&token).await, 200, "a replay revokes nothing");
    // The same id by another program is another assertion.
    let mut other = g.attempt();
    other.claims.insert("jti".to_owned(), a.claims["jti"].clone());
    other.set("iss", json!("ris"));
    other.set("sub", json!("ris"));
    other.others = true;
    assert_eq!(g.ask(&other).await.0, 200);
    // Two at the same moment: one counts.
    let (a, mut got) = (g.attempt(), Vec::new());
    let both = tokio::join!(g.ask(&a), g.ask(&a), g.ask(&a));
    got.extend([both.0.0, both.1.0, both.2.0]);
    got.sort_unstable();
    assert_eq!(got, [200, 401, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_assertions_wait_as_wrong_secrets_do() {
    let g = Ground::new().await;
    let send = async |change: fn(&mut Attempt<'_>)| {
        let mut a = g.attempt();
        change(&mut a);
        let token = a.token();
        let form = encoded(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", &token),
        ]);
        g.send("/auth/token", &form).await.0
    };
    for n in 0..5 {
        assert_eq!(send(|a| a.by = By::OtherRsa).await, 401, "{n}");
    }
    assert_eq!(send(|_| {}).await, 429, "the right one too: it must wait");
    assert_eq!(g.works(&g.old().await).await, 200, "another program does not");
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_granted_as_registered_and_in_their_order() {
    let g = Ground::new().await;
    for (asked, granted) in [
        ("", Some("system/*.rs system/Observation.cruds")),
        ("system/Patient.r", Some("system/Patient.r")),
        ("system/Observation.dus", None),
        (
            "system/Observation.dus system/Observation.us",
            Some("system/Observation.us"),
        ),
        ("system/*.sr", None),
        ("system/*.cruds", None),
        ("system/*.rs?_security=R", None),
        ("patient/*.rs", None),
        ("user/*.rs launch openid", None),
    ] {
        let mut a = g.attempt();
        a.form.push(("scope", asked.to_owned()));
        let (status, said) = g.ask(&a).await;
        match granted {
            Some(granted) => assert_eq!((status, said["scope"].as_str()), (200, Some(granted)), "{asked}"),
            None => assert_eq!(
                (status, said["error"].as_str()),
                (400, Some("invalid_scope")),
                "{asked}"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_asks_about_its_own_tokens_and_gives_them_back() {
    let g = Ground::new().await;
    let (theirs, own) = (g.token().await, g.old().await);
    let nurse = g.s.nurse("nina", "ED").await;
    let person = g.s.session(&nurse, None).await;
    let as_old = |token: &str| format!("client_id=old&client_secret=s3cret&token={token}");
    let (status, said) = g.send("/auth/introspect", &as_old(&own)).await;
    assert_eq!(status, 200);
    let now = now_ms() / 1000;
    assert!(said["exp"].as_i64().unwrap() > now && said["iat"].as_i64().unwrap() <= now);
    for (name, value) in [
        ("active", json!(true)),
        ("client_id", json!("old")),
        ("sub", json!("old")),
        ("scope", json!("system/*.rs system/Observation.cruds")),
        ("token_type", json!("Bearer")),
    ] {
        assert_eq!(said[name], value, "{said}");
    }
    let nothing = json!({"active": false});
    let long = "a".repeat(5000);
    for (what, token) in [
        ("another program's", theirs.as_str()),
        ("a person's", person.as_str()),
        ("none", "0000"),
        ("very long", long.as_str()),
    ] {
        assert_eq!(
            g.send("/auth/introspect", &as_old(token)).await,
            (200, nothing.clone()),
            "{what}"
        );
    }
    // Nobody asks or takes without a proof of their own: a token is none.
    for path in ["/auth/introspect", "/auth/revoke"] {
        for form in [
            format!("token={own}"),
            format!("token={own}&client_id=old"),
            format!("token={own}&client_id=old&client_secret=wrong"),
            format!("token={own}&client_id=lab&client_secret="),
        ] {
            assert_eq!(g.send(path, &form).await.0, 401, "{path} {form}");
        }
        let by_token =
            g.s.http
                .post(g.s.url(path))
                .bearer_auth(&own)
                .header("content-type", FORM);
        assert_eq!(
            by_token
                .body(format!("token={own}"))
                .send()
                .await
                .unwrap()
                .status(),
            401
        );
        assert_eq!(
            g.send(path, "client_id=old&client_secret=s3cret").await.0,
            400,
            "no token named"
        );
        assert_eq!(
            g.send(path, &format!("{}&token=x", as_old(&own))).await.0,
            400,
            "two named"
        );
    }
    assert_eq!(g.works(&own).await, 200);

    // Giving back: one's own dies with the answer, another's does not.
    let (status, said) = g.send("/auth/revoke", &as_old(&theirs)).await;
    assert_eq!(
        (status, said["error"].as_str()),
        (400, Some("unauthorized_client"))
    );
    let (status, _) = g.send("/auth/revoke", &as_old(&person)).await;
    assert_eq!(status, 200, "as if there were none");
    assert_eq!(g.works(&theirs).await, 200);
    assert_eq!(g.works(&person).await, 200);
    let mut ended = g.s.app.ended.subscribe();
    assert_eq!(g.send("/auth/revoke", &as_old(&own)).await, (200, Value::Null));
    assert_eq!(g.works(&own).await, 401, "dead at once");
    let told = ended.try_recv().expect("what is open is told");
    assert_eq!(told, Some(vitrine_server::identity::sessions::token_hash(&own)));
    assert_eq!(g.send("/auth/introspect", &as_old(&own)).await, (200, nothing));
    assert_eq!(
        g.send("/auth/revoke", &as_old(&own)).await.0,
        200,
        "again is no error"
    );

    let want = |rows: Vec<(String, String)>| rows.into_iter().map(|(_, rule)| rule).collect::<Vec<_>>();
    assert_eq!(
        want(g.rules("introspect-token").await),
        [
            "own-token",
            "not-active",
            "not-active",
            "not-active",
            "not-active",
            "not-active"
        ]
    );
    assert_eq!(
        want(g.rules("sign-out").await),
        ["other-clients-token", "not-active", "revoked", "not-active"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_registered_changed_and_removed_on_the_command_line() {
    let (_folder, data) = folder();
    let (keys, next) = (Keys::new(), Keys::new());
    let file = |name: &str, set: Value| {
        let path = data.with_file_name(name);
        std::fs::write(&path, set.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let first = file("first.json", json!({"keys": [es384(&keys, "a")]}));
    let both = file(
        "both.json",
        json!({"keys": [es384(&keys, "a"), es384(&next, "b")]}),
    );
    let second = file("second.json", json!({"keys": [es384(&next, "b")]}));
    let mut secret = es384(&keys, "a");
    secret["d"] = json!("AA");
    let private = file("private.json", json!({"keys": [secret]}));
    let config = file("vitrine.toml", Value::Null);
    let add = ["client", "add", "lab", "--scope", "system/*.rs"];
    let mut server = Server::start(&data);
    let (exit, said) = run_json(&[&add[..], &["--jwks", &first, "--data", server.dir()]].concat());
    assert_eq!(exit, 2, "the server does not know its address");
    assert!(
        said["error"].as_str().unwrap().contains("listen.public_url"),
        "{said}"
    );
    server.kill();
    std::fs::write(&config, format!("[listen]\npublic_url = \"{ROOT}\"\n")).unwrap();
    let mut server = Server::start_with(&data, &["--config", &config]);
    let cli = |args: &[&str]| done(&[args, &["--data", data.to_str().unwrap()]].concat());
    for (path, part) in [
        (private.as_str(), "secret part"),
        ("/nowhere", "cannot be read"),
        (&config, "no JWK Set"),
    ] {
        let (exit, said) = run_json(&[&add[..], &["--jwks", path, "--data", server.dir()]].concat());
        assert_eq!(exit, 2);
        assert!(said["error"].as_str().unwrap().contains(part), "{said}");
    }
    let said = cli(&[&add[..], &["--jwks", &first]].concat());
    assert!(
        said["client_secret"].is_null() && said["keys"] == json!(["a"]),
        "{said}"
    );
    let id = said["client_id"].as_str().unwrap().to_owned();

    let assertion = |keys: &Keys, kid: &str| {
        let object = |v: Value| v.as_object().unwrap().clone();
        let header = object(json!({"alg": "ES384", "kid": kid, "typ": "JWT"}));
        let claims = object(json!({"iss": id, "sub": id, "aud": format!("{ROOT}/auth/token"),
            "exp": now_ms() / 1000 + 240, "jti": vitrine_server::identity::oidc::secret()}));
        keys.mint(&header, &claims, &By::P384)
    };
    let sent = async |server: &Server, text: &str| {
        let form = encoded(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", text),
        ]);
        let answer = server.post("/auth/token").header("content-type", FORM).body(form);
        let answer = answer.send().await.unwrap();
        let status = answer.status().as_u16();
        let token = json_of(answer).await["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (status, token)
    };
    let works = async |server: &Server, token: &str| {
        let asked = server.get("/fhir/Patient/nobody").bearer_auth(token);
        asked.send().await.unwrap().status().as_u16()
    };
    let used = assertion(&keys, "a");
    let (status, token) = sent(&server, &used).await;
    assert_eq!((status, works(&server, &token).await), (200, 404));

    // It was used, also for the server that starts anew.
    server.kill();
    let server = Server::start_with(&data, &["--config", &config]);
    assert_eq!(sent(&server, &used).await.0, 401, "replayed after a restart");
    assert_eq!(
        works(&server, &token).await,
        404,
        "the token of before is in force"
    );

    // Both keys; then the new one alone: what the old one opened is over, and it opens nothing more.
    cli(&["client", "keys", &id, "--jwks", &both]);
    assert_eq!(
        works(&server, &token).await,
        401,
        "its tokens end with a change of keys"
    );
    let (status, old) = sent(&server, &assertion(&keys, "a")).await;
    assert_eq!((status, works(&server, &old).await), (200, 404));
    assert_eq!(sent(&server, &assertion(&next, "b")).await.0, 200);
    cli(&["client", "keys", &id, "--jwks", &second]);
    assert_eq!(works(&server, &old).await, 401);
    assert_eq!(sent(&server, &assertion(&keys, "a")).await.0, 401, "the old key");
    let (status, token) = sent(&server, &assertion(&next, "b")).await;
    assert_eq!((status, works(&server, &token).await), (200, 404));

    // The other kind: a secret, and a new one.
    let said = cli(&["client", "add", "old", "--scope", "system/*.rs"]);
    let (other, was) = (
        said["client_id"].as_str().unwrap(),
        said["client_secret"].as_str().unwrap(),
    );
    let by_secret = async |secret: &str| {
        let form = format!("grant_type=client_credentials&client_id={other}&client_secret={secret}");
        let sent = server.post("/auth/token").header("content-type", FORM).body(form);
        sent.send().await.unwrap().status().as_u16()
    };
    assert_eq!(by_secret(was).await, 200);
    let now = cli(&["client", "secret", other])["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!((by_secret(was).await, by_secret(&now).await), (401, 200));
    for args in [
        ["client", "keys", other, "--jwks", &first].as_slice(),
        &["client", "secret", &id],
        &["client", "secret", "nobody"],
        &["client", "remove", "nobody"],
    ] {
        let (exit, said) = run_json(&[args, &["--data", server.dir()]].concat());
        assert_ne!(exit, 0, "{args:?}: {said}");
    }
    let all = cli(&["client", "list"]);
    let listed: Vec<(&str, &str)> = all["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["client_id"].as_str().unwrap(), c["by"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, [(id.as_str(), "keys"), (other, "secret")]);
    assert!(!all.to_string().contains(&now));

    cli(&["client", "remove", &id]);
    assert_eq!(
        works(&server, &token).await,
        401,
        "removed, and its token with it"
    );
    assert_eq!(sent(&server, &assertion(&next, "b")).await.0, 401);
    let rows = server.audit();
    let changes: Vec<&str> = rows
        .iter()
        .filter(|r| r["action"] == "manage-users" && r["notes"]["client"] == json!(id))
        .map(|r| r["notes"]["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["add", "keys", "keys", "remove"]);
}
