//! A hostile identity provider: it publishes keys of its own, answers a code with whatever it is told to, and has a trap
//! that nobody may fall into.
#![allow(dead_code, reason = "each test file uses its part")]

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Map, Value, json};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys: what is published, and those of an attacker, who publishes nothing.
pub struct Keys {
    pub rsa: RsaKeyPair,
    pub rsa_spki_pem: String,
    pub rsa_spki_der: Vec<u8>,
    pub other_rsa: RsaKeyPair,
    pub p256: EcdsaKeyPair,
    pub other_p256: EcdsaKeyPair,
    pub p256_der: EcdsaKeyPair,
    pub p384: EcdsaKeyPair,
    pub ed: Ed25519KeyPair,
    pub other_ed: Ed25519KeyPair,
}

/// ring makes no RSA keys.
fn rsa() -> (Vec<u8>, Vec<u8>, String) {
    let openssl = |args: &[&str], input: &[u8]| {
        let mut child = Command::new("openssl")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program openssl");
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), input).unwrap();
        drop(child.stdin.take());
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "openssl {args:?}");
        out.stdout
    };
    let bits = "rsa_keygen_bits:2048";
    let key = openssl(
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            bits,
            "-outform",
            "DER",
        ],
        b"",
    );
    let der = ["pkey", "-inform", "DER", "-pubout", "-outform", "DER"];
    let pem = ["pkey", "-inform", "DER", "-pubout", "-outform", "PEM"];
    let pem = String::from_utf8(openssl(&pem, &key)).unwrap();
    (pkcs8(&key), openssl(&der, &key), pem)
}

/// openssl may give PKCS#1 or PKCS#8; ring reads either.
fn pkcs8(key: &[u8]) -> Vec<u8> {
    key.to_vec()
}

fn rsa_pair(key: &[u8]) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(key)
        .or_else(|_| RsaKeyPair::from_der(key))
        .unwrap()
}

impl Keys {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let (key, rsa_spki_der, rsa_spki_pem) = rsa();
        let other = rsa().0;
        let ec = |alg: &'static sig::EcdsaSigningAlgorithm, other: &'static sig::EcdsaSigningAlgorithm| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
            let one = EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref(), &random).unwrap();
            let two = EcdsaKeyPair::from_pkcs8(other, pkcs8.as_ref(), &random).unwrap();
            (one, two)
        };
        let ed = || {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
        };
        let p256 = &sig::ECDSA_P256_SHA256_FIXED_SIGNING;
        let (own, der) = ec(p256, &sig::ECDSA_P256_SHA256_ASN1_SIGNING);
        let p384 = &sig::ECDSA_P384_SHA384_FIXED_SIGNING;
        Self {
            rsa: rsa_pair(&key),
            rsa_spki_pem,
            rsa_spki_der,
            other_rsa: rsa_pair(&other),
            p256: own,
            other_p256: ec(p256, p256).0,
            p256_der: der,
            p384: ec(p384, p384).0,
            ed: ed(),
            other_ed: ed(),
        }
    }

    /// The set as published. `rs` has no `alg`; `enc` is a key for encryption; `rs512` is for RS512 alone.
    pub fn set(&self) -> Value {
        let point = |k: &EcdsaKeyPair, len: usize| {
            let p = k.public_key().as_ref();
            (b64(&p[1..=len]), b64(&p[1 + len..]))
        };
        let ((x, y), (x384, y384)) = (point(&self.p256, 32), point(&self.p384, 48));
        json!({"keys": [
            rsa_jwk(&self.rsa, "rs", json!({"use": "sig"})),
            rsa_jwk(&self.rsa, "enc", json!({"use": "enc"})),
            rsa_jwk(&self.rsa, "rs512", json!({"use": "sig", "alg": "RS512"})),
            {"kty": "EC", "crv": "P-256", "kid": "es", "x": x, "y": y, "use": "sig", "alg": "ES256"},
            {"kty": "EC", "crv": "P-384", "kid": "es384", "x": x384, "y": y384},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key().as_ref())},
            {"kty": "oct", "kid": "oct", "k": b64(b"a symmetric key that nobody should publish")},
        ]})
    }
}

pub fn rsa_jwk(key: &RsaKeyPair, kid: &str, more: Value) -> Value {
    let sig::RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
    let mut out = json!({"kty": "RSA", "kid": kid, "n": b64(n), "e": b64(e)});
    out.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    out
}

/// How a token is signed.
#[derive(Clone)]
pub enum By {
    /// By the published RSA key, with this padding and hash.
    Rsa(&'static dyn sig::RsaEncoding),
    /// By an RSA key that is not published.
    OtherRsa,
    P256,
    OtherP256,
    /// By the published key, the signature in DER in place of two numbers.
    P256Der,
    P384,
    Ed,
    OtherEd,
    Hmac(ring::hmac::Algorithm, Vec<u8>),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Keys {
    pub fn sign(&self, by: &By, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |key: &RsaKeyPair, with: &'static dyn sig::RsaEncoding| {
            let mut out = vec![0; key.public().modulus_len()];
            key.sign(with, &random, message, &mut out).unwrap();
            out
        };
        let ec = |key: &EcdsaKeyPair| key.sign(&random, message).unwrap().as_ref().to_vec();
        match by {
            By::Rsa(with) => rsa(&self.rsa, *with),
            By::OtherRsa => rsa(&self.other_rsa, &sig::RSA_PKCS1_SHA256),
            By::P256 => ec(&self.p256),
            By::OtherP256 => ec(&self.other_p256),
            By::P256Der => ec(&self.p256_der),
            By::P384 => ec(&self.p384),
            By::Ed => self.ed.sign(message).as_ref().to_vec(),
            By::OtherEd => self.other_ed.sign(message).as_ref().to_vec(),
            By::Hmac(with, secret) => {
                let key = ring::hmac::Key::new(*with, secret);
                ring::hmac::sign(&key, message).as_ref().to_vec()
            }
            By::Bytes(bytes) => bytes.clone(),
        }
    }

    /// A token of these parts.
    pub fn mint(&self, header: &Map<String, Value>, claims: &Map<String, Value>, by: &By) -> String {
        let of = |m: &Map<String, Value>| b64(Value::Object(m.clone()).to_string());
        let signed = format!("{}.{}", of(header), of(claims));
        let signature = b64(self.sign(by, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// An answer of the token endpoint: status, more headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, String);

/// What the provider answers.
#[derive(Default)]
pub struct Answers {
    /// Of the token endpoint: status, more headers, body.
    pub token: Answer,
    /// The key set.
    pub keys: String,
    /// It does not answer whoever asks for its metadata.
    pub away: bool,
    /// Forms that came to the token endpoint.
    pub forms: Vec<String>,
}

pub struct Forger {
    pub issuer: String,
    pub answers: Mutex<Answers>,
    /// How often the key set was asked for.
    pub asked_keys: AtomicU32,
    /// How often somebody went where nobody may go.
    pub trapped: AtomicU32,
}

impl Forger {
    pub async fn start(keys: &Keys) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let forger = Arc::new(Self {
            issuer,
            answers: Mutex::default(),
            asked_keys: AtomicU32::new(0),
            trapped: AtomicU32::new(0),
        });
        forger.answers.lock().unwrap().keys = keys.set().to_string();
        let router = axum::Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/trap", get(trap).post(trap))
            .with_state(forger.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        forger
    }
}

async fn discovery(State(f): State<Arc<Forger>>) -> Response {
    if f.answers.lock().unwrap().away {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let at = &f.issuer;
    axum::Json(json!({
        "issuer": at, "authorization_endpoint": format!("{at}/auth"), "token_endpoint": format!("{at}/token"),
        "jwks_uri": format!("{at}/jwks"), "code_challenge_methods_supported": ["S256"],
        "response_types_supported": ["code"],
    }))
    .into_response()
}

async fn jwks(State(f): State<Arc<Forger>>) -> Response {
    f.asked_keys.fetch_add(1, SeqCst);
    let keys = f.answers.lock().unwrap().keys.clone();
    ([(header::CONTENT_TYPE, "application/json")], keys).into_response()
}

async fn token(State(f): State<Arc<Forger>>, form: String) -> Response {
    let mut answers = f.answers.lock().unwrap();
    answers.forms.push(form);
    let (status, headers, body) = answers.token.clone();
    let mut out = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        out.headers_mut().insert(name, value.parse().unwrap());
    }
    out
}

async fn trap(State(f): State<Arc<Forger>>) -> &'static str {
    f.trapped.fetch_add(1, SeqCst);
    "{}"
}
