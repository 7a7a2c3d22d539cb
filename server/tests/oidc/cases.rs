//! The table of attacks on the ID token and what goes with it: each has a name, the reason it must be refused with, and what
//! it changes of a sign-in that would be accepted.

use super::forger::{Answer, By, Keys, b64, rsa_jwk};
use ring::hmac::{HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use ring::signature as sig;
use serde_json::{Map, Value, json};
use vitrine_server::identity::oidc::Fault;

/// What is done to a finished token.
pub type Then = fn(&Attempt<'_>, String) -> String;

/// A sign-in, as far as an attack can change it.
pub struct Attempt<'a> {
    pub keys: &'a Keys,
    pub issuer: &'a str,
    pub client: &'a str,
    pub now: i64,
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
    pub by: By,
    /// What is done to the finished token.
    pub then: Option<Then>,
    pub access_token: Option<String>,
    /// In place of the token endpoint's answer.
    pub answer: Option<Answer>,
    pub code: String,
    pub verifier: String,
    pub nonce: String,
    pub redirect: String,
}

impl Attempt<'_> {
    pub fn token(&self) -> String {
        let token = self.keys.mint(&self.header, &self.claims, &self.by);
        match &self.then {
            Some(then) => then(self, token),
            None => token,
        }
    }
    fn head(&mut self, name: &str, value: Value) {
        self.header.insert(name.to_owned(), value);
    }
    fn set(&mut self, name: &str, value: Value) {
        self.claims.insert(name.to_owned(), value);
    }
    fn without(&mut self, name: &str) {
        self.claims.remove(name);
    }
    fn algorithm(&mut self, alg: &str, kid: &str, by: By) {
        self.head("alg", json!(alg));
        self.head("kid", json!(kid));
        self.by = by;
    }
}

type Change = Box<dyn for<'a, 'b> Fn(&'b mut Attempt<'a>) + Send + Sync>;

pub struct Case {
    pub name: String,
    /// `None`: it is accepted.
    pub refused: Option<Fault>,
    pub change: Change,
}

struct Table(Vec<Case>);

impl Table {
    fn add(
        &mut self,
        name: impl Into<String>,
        refused: impl Into<Option<Fault>>,
        change: impl for<'a, 'b> Fn(&'b mut Attempt<'a>) + Send + Sync + 'static,
    ) {
        self.0.push(Case {
            name: name.into(),
            refused: refused.into(),
            change: Box::new(change),
        });
    }
    /// A claim takes each of these values; `None` is its absence.
    fn claim(&mut self, claim: &'static str, fault: Fault, values: Vec<Option<Value>>) {
        for value in values {
            let shown = value.as_ref().map_or("absent".to_owned(), ToString::to_string);
            let shown: String = shown.chars().take(60).collect();
            self.add(format!("{claim} {shown}"), fault, move |a| match &value {
                Some(v) => a.set(claim, v.clone()),
                None => a.without(claim),
            });
        }
    }
    /// The same with values that depend on now, as seconds from it.
    fn times(&mut self, claim: &'static str, fault: impl Into<Option<Fault>>, seconds: &[i64]) {
        let fault = fault.into();
        for s in seconds.iter().copied() {
            self.add(format!("{claim} {s:+} s"), fault, move |a| {
                a.set(claim, json!(a.now + s))
            });
        }
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut t = Table(Vec::new());
    accepted(&mut t);
    algorithms(&mut t);
    keys(&mut t);
    headers(&mut t);
    forms(&mut t);
    signatures(&mut t);
    claims(&mut t);
    times(&mut t);
    people(&mut t);
    around(&mut t);
    t.add("the control, once more", None, |_| {});
    t.0
}

fn accepted(t: &mut Table) {
    t.add("the control", None, |_| {});
    t.add("RS384", None, |a| {
        a.algorithm("RS384", "rs", By::Rsa(&sig::RSA_PKCS1_SHA384))
    });
    t.add("RS512", None, |a| {
        a.algorithm("RS512", "rs512", By::Rsa(&sig::RSA_PKCS1_SHA512))
    });
    t.add("PS256", None, |a| {
        a.algorithm("PS256", "rs", By::Rsa(&sig::RSA_PSS_SHA256))
    });
    t.add("PS384", None, |a| {
        a.algorithm("PS384", "rs", By::Rsa(&sig::RSA_PSS_SHA384))
    });
    t.add("PS512", None, |a| {
        a.algorithm("PS512", "rs", By::Rsa(&sig::RSA_PSS_SHA512))
    });
    t.add("ES256", None, |a| a.algorithm("ES256", "es", By::P256));
    t.add("ES384", None, |a| a.algorithm("ES384", "es384", By::P384));
    t.add("EdDSA", None, |a| a.algorithm("EdDSA", "ed", By::Ed));
    t.add("no kid, one key that fits", None, |a| {
        a.algorithm("ES256", "es", By::P256);
        a.header.remove("kid");
    });
    t.add("aud as a list of one", None, |a| a.set("aud", json!([a.client])));
    t.add("azp is this client", None, |a| a.set("azp", json!(a.client)));
    t.add("at_hash and c_hash of this answer", None, |a| {
        use sha2::Digest as _;
        let half = |of: &str| b64(&sha2::Sha256::digest(of.as_bytes())[..16]);
        let (access, code) = (half(a.access_token.as_ref().unwrap()), half(&a.code));
        a.set("at_hash", json!(access));
        a.set("c_hash", json!(code));
    });
    t.add("several methods, one of them asked for", None, |a| {
        a.set("amr", json!(["pwd", "mfa"]))
    });
    t.add("no typ", None, |a| {
        a.header.remove("typ");
    });
    t.add("exp -30 s: the clocks may differ", None, |a| {
        a.set("iat", json!(a.now - 90));
        a.set("exp", json!(a.now - 30));
    });
    t.times("nbf", None, &[-5, 30]);
    t.times("iat", None, &[30, -500]);
    t.times("auth_time", None, &[-250]);
}

fn algorithms(t: &mut Table) {
    use Fault::Algorithm as F;
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        t.add(format!("alg {alg:?}, no signature"), F, move |a| {
            a.algorithm(alg, "rs", By::Bytes(Vec::new()));
        });
        t.add(format!("alg {alg:?}, a right signature"), F, move |a| {
            a.head("alg", json!(alg))
        });
    }
    for alg in [
        "rs256",
        " RS256",
        "RS256 ",
        "RS256\0",
        "RSA1_5",
        "RS1",
        "ES256K",
        "ES512",
        "dir",
        "A128KW",
        "PBES2-HS256+A128KW",
        "RSA-OAEP",
    ] {
        t.add(format!("alg {alg:?}"), F, move |a| a.head("alg", json!(alg)));
    }
    for value in [
        json!(null),
        json!(256),
        json!(["RS256"]),
        json!({"alg": "RS256"}),
        json!(true),
    ] {
        t.add(format!("alg {value}"), F, move |a| a.head("alg", value.clone()));
    }
    t.add("alg absent", F, |a| {
        a.header.remove("alg");
    });
    for (alg, with) in [
        ("HS256", HMAC_SHA256),
        ("HS384", HMAC_SHA384),
        ("HS512", HMAC_SHA512),
    ] {
        type Secret = fn(&Attempt<'_>) -> Vec<u8>;
        let secrets: [(&str, Secret); 6] = [
            ("the RSA public key in PEM", |a| {
                a.keys.rsa_spki_pem.clone().into_bytes()
            }),
            ("the same without its last newline", |a| {
                a.keys.rsa_spki_pem.trim_end().as_bytes().to_vec()
            }),
            ("the RSA public key in DER", |a| a.keys.rsa_spki_der.clone()),
            ("the modulus", |a| {
                sig::RsaPublicKeyComponents::<Vec<u8>>::from(a.keys.rsa.public()).n
            }),
            ("nothing", |_| Vec::new()),
            ("the published symmetric key", |_| {
                b"a symmetric key that nobody should publish".to_vec()
            }),
        ];
        for (name, secret) in secrets {
            t.add(format!("{alg} with {name} as secret"), F, move |a| {
                let kid = if name.contains("symmetric") { "oct" } else { "rs" };
                a.algorithm(alg, kid, By::Hmac(with, secret(a)));
            });
        }
    }
}

fn keys(t: &mut Table) {
    let rs256 = || By::Rsa(&sig::RSA_PKCS1_SHA256);
    t.add("an RSA key that is not published", Fault::Signature, |a| {
        a.by = By::OtherRsa
    });
    t.add("a P-256 key that is not published", Fault::Signature, |a| {
        a.algorithm("ES256", "es", By::OtherP256);
    });
    t.add("an Ed25519 key that is not published", Fault::Signature, |a| {
        a.algorithm("EdDSA", "ed", By::OtherEd);
    });
    for (alg, kid) in [
        ("RS256", "es"),
        ("RS256", "ed"),
        ("RS256", "es384"),
        ("ES256", "rs"),
        ("ES256", "es384"),
        ("ES256", "ed"),
        ("ES384", "es"),
        ("EdDSA", "rs"),
        ("EdDSA", "es"),
        ("PS256", "es"),
    ] {
        t.add(format!("{alg} by the key {kid}"), Fault::UnknownKey, move |a| {
            let by = match kid {
                "es" => By::P256,
                "es384" => By::P384,
                "ed" => By::Ed,
                _ => rs256(),
            };
            a.algorithm(alg, kid, by);
        });
    }
    t.add("a key for encryption", Fault::UnknownKey, |a| {
        a.head("kid", json!("enc"))
    });
    t.add("a key for another algorithm", Fault::UnknownKey, |a| {
        a.head("kid", json!("rs512"))
    });
    t.add("RS384 said, RS256 done", Fault::Signature, |a| {
        a.head("alg", json!("RS384"))
    });
    t.add("RS512 said, RS256 done", Fault::Signature, |a| {
        a.algorithm("RS512", "rs512", By::Rsa(&sig::RSA_PKCS1_SHA256));
    });
    t.add("PS256 said, RS256 done", Fault::Signature, |a| {
        a.head("alg", json!("PS256"))
    });
    t.add("RS256 said, PS256 done", Fault::Signature, |a| {
        a.by = By::Rsa(&sig::RSA_PSS_SHA256)
    });
    for kid in [
        "",
        "unknown",
        "RS",
        "rs ",
        "../../dev/null",
        "' OR 1=1 --",
        "https://evil.example/k",
        "0",
    ] {
        t.add(format!("kid {kid:?}"), Fault::UnknownKey, move |a| {
            a.head("kid", json!(kid))
        });
    }
    for kid in [json!(null), json!(0), json!(["rs"]), json!({"kid": "rs"})] {
        t.add(format!("kid {kid}"), Fault::UnknownKey, move |a| {
            a.head("kid", kid.clone())
        });
    }
    t.add("no kid, several keys that fit", Fault::UnknownKey, |a| {
        a.algorithm("PS512", "rs", By::Rsa(&sig::RSA_PSS_SHA512));
        a.head("alg", json!("RS512"));
        a.by = By::Rsa(&sig::RSA_PKCS1_SHA512);
        a.header.remove("kid");
    });
}

fn headers(t: &mut Table) {
    type Own = fn(&Attempt<'_>) -> Value;
    let own: [(&str, Own); 4] = [
        ("jwk", |a| rsa_jwk(&a.keys.other_rsa, "rs", json!({}))),
        ("jku", |a| json!(format!("{}/trap", a.issuer))),
        ("x5u", |a| json!(format!("{}/trap", a.issuer))),
        ("x5c", |_| json!(["MIIBszCCAVmgAwIBAgIUfake"])),
    ];
    for (name, value) in own {
        t.add(format!("{name}, by that key"), Fault::KeyInToken, move |a| {
            let value = value(a);
            a.head(name, value);
            a.by = By::OtherRsa;
        });
        t.add(format!("{name}, by the right key"), Fault::KeyInToken, move |a| {
            let value = value(a);
            a.head(name, value);
        });
        t.add(format!("{name} null"), Fault::KeyInToken, move |a| {
            a.head(name, json!(null))
        });
    }
    for crit in [
        json!([]),
        json!(["exp"]),
        json!(["b64"]),
        json!(null),
        json!("exp"),
    ] {
        t.add(format!("crit {crit}"), Fault::Critical, move |a| {
            a.head("crit", crit.clone())
        });
    }
    t.add("b64 false", Fault::Critical, |a| a.head("b64", json!(false)));
    for typ in [
        json!("logout+jwt"),
        json!("at+jwt"),
        json!("application/at+jwt"),
        json!("JOSE"),
        json!("secevent+jwt"),
        json!("dpop+jwt"),
        json!("JWE"),
        json!(""),
        json!(1),
        json!(null),
        json!(["JWT"]),
    ] {
        t.add(format!("typ {typ}"), Fault::Type, move |a| {
            a.head("typ", typ.clone())
        });
    }
}

fn forms(t: &mut Table) {
    fn parts(token: &str) -> [String; 3] {
        let all: Vec<String> = token.split('.').map(str::to_owned).collect();
        all.try_into().unwrap()
    }
    fn signed(a: &Attempt<'_>, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        format!("{signed}.{}", b64(a.keys.sign(&a.by, signed.as_bytes())))
    }
    fn texts(a: &Attempt<'_>) -> (String, String) {
        (json!(a.header).to_string(), json!(a.claims).to_string())
    }
    let all: Vec<(&str, Then)> = vec![
        ("empty", |_, _| String::new()),
        ("one part", |_, t| parts(&t)[0].clone()),
        ("two parts", |_, t| format!("{}.{}", parts(&t)[0], parts(&t)[1])),
        ("two dots at the end", |_, t| {
            format!("{}.{}.", parts(&t)[0], parts(&t)[1]) + "."
        }),
        ("four parts", |_, t| format!("{t}.AA")),
        ("five parts", |_, t| format!("{t}.AA.AA")),
        ("dots alone", |_, _| "..".to_owned()),
        ("no header", |_, t| format!(".{}.{}", parts(&t)[1], parts(&t)[2])),
        ("no claims", |_, t| format!("{}..{}", parts(&t)[0], parts(&t)[2])),
        ("padded", |_, t| format!("{t}=")),
        ("a blank before", |_, t| format!(" {t}")),
        ("a newline after", |_, t| format!("{t}\n")),
        ("other letters of base64", |_, t| {
            let [h, c, s] = parts(&t);
            format!("{h}.{c}.+/{}", &s[2..])
        }),
        ("two tokens", |_, t| format!("{t} {t}")),
        ("two tokens, one after the other", |_, t| format!("{t}.{t}")),
        ("the header is no JSON", |a, _| {
            signed(a, b"RS256", texts(a).1.as_bytes())
        }),
        ("the header is a list", |a, _| {
            signed(a, b"[\"RS256\"]", texts(a).1.as_bytes())
        }),
        ("the claims are a list", |a, _| {
            signed(a, texts(a).0.as_bytes(), b"[]")
        }),
        ("the claims are null", |a, _| {
            signed(a, texts(a).0.as_bytes(), b"null")
        }),
        ("the claims are no JSON", |a, _| {
            signed(a, texts(a).0.as_bytes(), b"sub=nina")
        }),
        ("the claims are no UTF-8", |a, _| {
            signed(a, texts(a).0.as_bytes(), b"{\"sub\":\"\xff\"}")
        }),
        ("a mark before the claims", |a, _| {
            let claims = [b"\xef\xbb\xbf", texts(a).1.as_bytes()].concat();
            signed(a, texts(a).0.as_bytes(), &claims)
        }),
        ("more after the claims", |a, _| {
            signed(a, texts(a).0.as_bytes(), format!("{}{{}}", texts(a).1).as_bytes())
        }),
        ("alg twice", |a, _| {
            let header = texts(a).0.replacen('{', "{\"alg\":\"none\",", 1);
            signed(a, header.as_bytes(), texts(a).1.as_bytes())
        }),
        ("iss twice", |a, _| {
            let claims = texts(a).1.replacen('{', "{\"iss\":\"https://evil.example\",", 1);
            signed(a, texts(a).0.as_bytes(), claims.as_bytes())
        }),
        ("sub twice", |a, _| {
            let claims = texts(a).1.replacen('{', "{\"sub\":\"sub-bob\",", 1);
            signed(a, texts(a).0.as_bytes(), claims.as_bytes())
        }),
        ("the form of JSON", |_, t| {
            let [h, c, s] = parts(&t);
            json!({"protected": h, "payload": c, "signature": s}).to_string()
        }),
        ("longer than 16 KiB", |a, _| {
            let mut claims = a.claims.clone();
            claims.insert("more".to_owned(), json!("x".repeat(20_000)));
            a.keys.mint(&a.header, &claims, &a.by)
        }),
    ];
    for (name, then) in all {
        t.add(name, Fault::Form, move |a| a.then = Some(then));
    }
}

fn signatures(t: &mut Table) {
    fn resigned(token: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        use base64::Engine as _;
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mut bytes = engine.decode(signature).unwrap();
        change(&mut bytes);
        format!("{signed}.{}", b64(bytes))
    }
    let all: Vec<(&str, Then)> = vec![
        ("the first bit is another", |_, t| resigned(&t, |s| s[0] ^= 1)),
        ("the last bit is another", |_, t| {
            resigned(&t, |s| *s.last_mut().unwrap() ^= 1)
        }),
        ("a byte too short", |_, t| {
            resigned(&t, |s| s.truncate(s.len() - 1))
        }),
        ("a byte too long", |_, t| resigned(&t, |s| s.push(0))),
        ("zeros", |_, t| resigned(&t, |s| s.fill(0))),
        ("empty", |_, t| resigned(&t, Vec::clear)),
        ("the claims of somebody else", |a, t| {
            let mut claims = a.claims.clone();
            claims.insert("sub".to_owned(), json!("sub-bob"));
            let parts: Vec<&str> = t.split('.').collect();
            format!("{}.{}.{}", parts[0], b64(json!(claims).to_string()), parts[2])
        }),
        ("another header", |a, t| {
            let mut header = a.header.clone();
            header.insert("x".to_owned(), json!(1));
            let parts: Vec<&str> = t.split('.').collect();
            format!("{}.{}.{}", b64(json!(header).to_string()), parts[1], parts[2])
        }),
        ("of another token", |a, t| {
            let mut claims = a.claims.clone();
            claims.insert("jti".to_owned(), json!("other"));
            let other = a.keys.mint(&a.header, &claims, &a.by);
            let (signed, _) = t.rsplit_once('.').unwrap();
            format!("{signed}.{}", other.rsplit_once('.').unwrap().1)
        }),
    ];
    for (name, then) in all {
        t.add(format!("signature: {name}"), Fault::Signature, move |a| {
            a.then = Some(then)
        });
    }
    t.add("ES256, both numbers zero", Fault::Signature, |a| {
        a.algorithm("ES256", "es", By::Bytes(vec![0; 64]));
    });
    t.add("ES384, both numbers zero", Fault::Signature, |a| {
        a.algorithm("ES384", "es384", By::Bytes(vec![0; 96]));
    });
    t.add("EdDSA, zeros", Fault::Signature, |a| {
        a.algorithm("EdDSA", "ed", By::Bytes(vec![0; 64]))
    });
    t.add("ES256 in DER", Fault::Signature, |a| {
        a.algorithm("ES256", "es", By::P256Der)
    });
}

fn claims(t: &mut Table) {
    let some = |all: &[Value]| all.iter().cloned().map(Some).chain([None]).collect::<Vec<_>>();
    let text = [
        json!(null),
        json!(""),
        json!(7),
        json!(["x"]),
        json!({}),
        json!(true),
    ];
    t.claim("iss", Fault::Issuer, some(&text));
    t.claim(
        "iss",
        Fault::Issuer,
        some(&[json!("https://evil.example")])[..1].to_vec(),
    );
    type Other = fn(&str) -> String;
    let issuers: [(&str, Other); 8] = [
        ("with a slash at the end", |i| format!("{i}/")),
        ("in capitals", str::to_uppercase),
        ("over TLS", |i| i.replace("http:", "https:")),
        ("with a path", |i| format!("{i}/realms/other")),
        ("with a user", |i| i.replace("//", "//idp@")),
        ("with a query", |i| format!("{i}?x=y")),
        ("with a blank", |i| format!("{i} ")),
        ("as the end of another", |i| format!("https://evil.example/{i}")),
    ];
    for (name, other) in issuers {
        t.add(format!("iss {name}"), Fault::Issuer, move |a| {
            let other = other(a.issuer);
            a.set("iss", json!(other));
        });
    }
    t.claim("aud", Fault::Audience, some(&text));
    let audiences = ["other", "VITRINE", "vitrine ", "vitrine2", "vitrin", "*"];
    t.claim(
        "aud",
        Fault::Audience,
        audiences.iter().map(|v| Some(json!(v))).collect(),
    );
    for list in [
        json!([]),
        json!(["other"]),
        json!(["vitrine", "other"]),
        json!(["other", "vitrine"]),
        json!(["vitrine", null]),
    ] {
        t.claim("aud", Fault::Audience, vec![Some(list)]);
    }
    let others = [
        json!(null),
        json!(""),
        json!("other"),
        json!(7),
        json!(["vitrine"]),
    ];
    t.claim(
        "azp",
        Fault::AuthorizedParty,
        others.into_iter().map(Some).collect(),
    );
    t.claim("nonce", Fault::Nonce, some(&text));
    type Nonce = fn(&str) -> String;
    let nonces: [(&str, Nonce); 4] = [
        ("of another sign-in", |_| "n".repeat(43)),
        ("in capitals", str::to_uppercase),
        ("cut short", |n| n[..42].to_owned()),
        ("with a blank", |n| format!("{n} ")),
    ];
    for (name, other) in nonces {
        t.add(format!("nonce {name}"), Fault::Nonce, move |a| {
            let other = other(&a.nonce);
            a.set("nonce", json!(other));
        });
    }
    t.claim("sub", Fault::Subject, some(&text));
    t.claim("sub", Fault::Subject, vec![Some(json!("s".repeat(256)))]);
    let sid = [
        json!(null),
        json!(""),
        json!(7),
        json!(["x"]),
        json!("s".repeat(256)),
    ];
    t.claim("sid", Fault::Session, sid.into_iter().map(Some).collect());
    let hash = [
        json!(null),
        json!(""),
        json!(7),
        json!("AAAAAAAAAAAAAAAAAAAAAA"),
        json!(b64([7; 32])),
    ];
    t.claim(
        "at_hash",
        Fault::AccessHash,
        hash.iter().cloned().map(Some).collect(),
    );
    t.claim("c_hash", Fault::CodeHash, hash.into_iter().map(Some).collect());
    t.add("at_hash without an access token", Fault::AccessHash, |a| {
        a.access_token = None;
        a.set("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"));
    });
    let acr = [
        json!(null),
        json!(""),
        json!("pwd"),
        json!("MFA"),
        json!(["mfa"]),
        json!(2),
    ];
    t.claim("acr", Fault::Acr, some(&acr));
    let amr = [
        json!(null),
        json!([]),
        json!(["pwd"]),
        json!("mfa"),
        json!([null]),
        json!({"mfa": true}),
        json!(["MFA"]),
    ];
    t.claim("amr", Fault::Amr, some(&amr));
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    t.claim(
        "events",
        Fault::Events,
        vec![Some(event), Some(json!({})), Some(json!(null))],
    );
    t.add("a logout token", Fault::Type, |a| {
        a.head("typ", json!("logout+jwt"));
        a.without("nonce");
        a.set("jti", json!("1"));
        a.set(
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
        );
    });
}

fn times(t: &mut Table) {
    let odd = || {
        [
            json!(null),
            json!(""),
            json!("4102444800"),
            json!([1]),
            json!(true),
            json!(-1),
            json!(1e300),
        ]
        .into_iter()
        .map(Some)
    };
    t.claim("exp", Fault::Expired, odd().chain([None]).collect());
    t.times("exp", Fault::Expired, &[-61, -120, -3600, -86_400]);
    t.claim("iat", Fault::Issued, odd().chain([None]).collect());
    t.times(
        "iat",
        Fault::Issued,
        &[120, 3600, 86_400 * 365, -700, -3600, -86_400],
    );
    t.add("iat after exp", Fault::Issued, |a| {
        a.set("iat", json!(a.now + 50));
        a.set("exp", json!(a.now + 40));
    });
    t.claim("nbf", Fault::NotYet, odd().collect());
    t.times("nbf", Fault::NotYet, &[120, 3600, 86_400 * 365]);
    t.claim("auth_time", Fault::AuthTime, odd().chain([None]).collect());
    t.times("auth_time", Fault::AuthTime, &[120, -400, -3600, -86_400]);
}

fn people(t: &mut Table) {
    let claim = "preferred_username";
    let odd = [
        json!(null),
        json!(""),
        json!(7),
        json!(["nina"]),
        json!({"user": "nina"}),
        json!("n".repeat(256)),
    ];
    t.claim(
        claim,
        Fault::Claim,
        odd.into_iter().map(Some).chain([None]).collect(),
    );
    let names = [
        "nobody",
        "NINA",
        "nina ",
        " nina",
        "nina\0",
        "n\u{131}na",
        "../nina",
        "nina@evil.example",
        "nina' --",
    ];
    t.claim(
        claim,
        Fault::NoAccount,
        names.iter().map(|n| Some(json!(n))).collect(),
    );
    t.add("a disabled account", Fault::Disabled, |a| {
        a.set("preferred_username", json!("dora"));
        a.set("sub", json!("sub-dora"));
    });
    for sub in ["sub-other", "SUB-NINA", "sub-nina ", "sub"] {
        t.add(
            format!("another identity, {sub:?}"),
            Fault::OtherSubject,
            move |a| a.set("sub", json!(sub)),
        );
    }
    t.add(
        "the identity of somebody else's account",
        Fault::OtherAccount,
        |a| {
            a.set("sub", json!("sub-bob"));
        },
    );
    t.add(
        "this identity, somebody else's account",
        Fault::OtherAccount,
        |a| {
            a.set("preferred_username", json!("bob"));
        },
    );
}

fn around(t: &mut Table) {
    for (status, error, fault) in [
        (400, "invalid_grant", Fault::Code),
        (401, "invalid_client", Fault::Answer),
        (400, "invalid_request", Fault::Answer),
    ] {
        t.add(format!("the provider says {error}"), fault, move |a| {
            a.answer = Some((status, vec![], json!({"error": error}).to_string()));
        });
    }
    t.add("the provider fails", Fault::Away, |a| {
        a.answer = Some((500, vec![], "{}".to_owned()))
    });
    for status in [302, 303, 307, 308] {
        t.add(
            format!("the provider sends elsewhere with {status}"),
            Fault::Answer,
            move |a| {
                let to = format!("{}/trap", a.issuer);
                a.answer = Some((status, vec![("location", to)], String::new()));
            },
        );
    }
    for body in [
        "",
        "{}",
        "[]",
        "<html></html>",
        "{\"id_token\":7}",
        "{\"id_token\":null}",
    ] {
        t.add(
            format!("the provider answers {body:?}"),
            Fault::Answer,
            move |a| {
                a.answer = Some((200, vec![], body.to_owned()));
            },
        );
    }
    t.add("an answer longer than 256 KiB", Fault::Answer, |a| {
        let long = json!({"id_token": a.token(), "more": "x".repeat(300_000)});
        a.answer = Some((200, vec![], long.to_string()));
    });
    for redirect in [
        "",
        "https://vitrine.example/callback",
        "http://localhost:4000/callback",
        "http://10.0.0.1:4000/callback",
        "http://127.0.0.1.evil.example:4000/callback",
        "http://127.0.0.1:4000@evil.example/",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:4000/callback?x=y",
    ] {
        t.add(format!("redirect_uri {redirect:?}"), Fault::Redirect, move |a| {
            a.redirect = redirect.to_owned()
        });
    }
    for verifier in ["", "short", &"v".repeat(42), &"v".repeat(129), &" ".repeat(43)] {
        let verifier = verifier.to_owned();
        let shown: String = verifier.chars().take(8).collect();
        t.add(
            format!("verifier {shown:?} of {}", verifier.len()),
            Fault::Verifier,
            move |a| {
                a.verifier.clone_from(&verifier);
            },
        );
    }
    for nonce in ["", "1", &"n".repeat(129), &"\u{fc}".repeat(43)] {
        let nonce = nonce.to_owned();
        t.add(
            format!("a nonce of {} bytes", nonce.len()),
            Fault::Nonce,
            move |a| {
                a.nonce.clone_from(&nonce);
                a.set("nonce", json!(nonce));
            },
        );
    }
    t.add("no code", Fault::Code, |a| a.code.clear());
    t.add("a code of 5000 letters", Fault::Code, |a| {
        a.code = "c".repeat(5000)
    });
}
