//! How a program proves that it is the one that was registered (ADR 48): by its secret, or by a key of its own.
//!
//! Lives here: the key set a program is registered with ([`public_keys`]), client assertions ([`assertion`]). Never here: the
//! store, counting wrong tries, answers (`http::oauth`); signatures (`oidc::jws`, which proves the provider's tokens too).
//! Names: RFC 7517 (JWK Set), RFC 7523 (`private_key_jwt`), SMART App Launch 2.2, client authentication.

pub mod assertion;

use super::oidc::jws::{key_set, unb64url};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Keys of one program: the one of now, the one of next, and some to spare.
const KEYS_MOST: usize = 8;
/// The longest key set that is read, bytes.
pub const SET_MOST: usize = 64 * 1024;
/// The longest name of a key, bytes.
const KID_MOST: usize = 128;
/// What only the owner of a key may have.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Reads a key set as it is to be registered: nothing but public keys for RS384 and ES384, each with a name of its own. Gives
/// it with the members that count, and the names.
///
/// # Errors
/// A sentence that names the key and what to do.
pub fn public_keys(set: &[u8]) -> Result<(String, Vec<String>), String> {
    let no_set = || "it is no JWK Set: {\"keys\": [ … ]} with public keys".to_owned();
    if set.len() > SET_MOST {
        return Err(format!("it has more than {} KiB", SET_MOST / 1024));
    }
    let set: Value = serde_json::from_slice(set).map_err(|_| no_set())?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or_else(no_set)?;
    if keys.is_empty() || keys.len() > KEYS_MOST {
        return Err(format!("it must hold 1 to {KEYS_MOST} keys"));
    }
    let mut names = BTreeSet::new();
    let mut out = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        let key = key.as_object().ok_or_else(no_set)?;
        let (name, key) = public_key(key).map_err(|why| format!("key {} {why}", n + 1))?;
        if !names.insert(name.clone()) {
            return Err(format!("two keys have the kid '{name}'"));
        }
        out.push(key);
    }
    let text = json!({"keys": out}).to_string();
    if key_set(text.as_bytes()).is_none_or(|k| k.len() != out.len()) {
        return Err(no_set());
    }
    Ok((text, names.into_iter().collect()))
}

fn public_key(key: &Map<String, Value>) -> Result<(String, Value), String> {
    if PRIVATE.iter().any(|m| key.contains_key(*m)) {
        return Err(
            "holds a secret part: register public keys alone, and make a new pair in place of this one"
                .to_owned(),
        );
    }
    let text = |m: &str| key.get(m).and_then(Value::as_str);
    let name =
        text("kid").filter(|k| !k.is_empty() && k.len() <= KID_MOST && k.chars().all(|c| !c.is_control()));
    let Some(name) = name else {
        return Err("has no kid: assertions name their key by it".to_owned());
    };
    let signs = key.get("use").is_none_or(|u| u == "sig")
        && key
            .get("key_ops")
            .is_none_or(|o| o.as_array().is_some_and(|o| o.iter().any(|o| o == "verify")));
    if !signs {
        return Err(format!("('{name}') is not for signatures (use, key_ops)"));
    }
    let bytes = |m: &str| text(m).and_then(unb64url).unwrap_or_default();
    let (alg, mut out) = match (text("kty"), text("crv")) {
        (Some("RSA"), None) => {
            let (n, e) = (bytes("n"), bytes("e"));
            let first = n.first().copied().unwrap_or_default();
            let bits = (n.len() * 8).saturating_sub(first.leading_zeros() as usize);
            let odd =
                e.last().is_some_and(|b| b % 2 == 1) && e.first() != Some(&0) && e.len() <= 4 && e != [1];
            if first == 0 || !(2048..=8192).contains(&bits) || !odd {
                return Err(format!("('{name}') must be an RSA key of 2048 to 8192 bits"));
            }
            ("RS384", json!({"kty": "RSA", "n": text("n"), "e": text("e")}))
        }
        (Some("EC"), Some("P-384")) => {
            if bytes("x").len() != 48 || bytes("y").len() != 48 {
                return Err(format!("('{name}') is no point of P-384"));
            }
            (
                "ES384",
                json!({"kty": "EC", "crv": "P-384", "x": text("x"), "y": text("y")}),
            )
        }
        _ => {
            return Err(format!(
                "('{name}') is for neither RS384 (RSA) nor ES384 (EC, P-384)"
            ));
        }
    };
    if key.get("alg").is_some_and(|a| a != alg) {
        return Err(format!("('{name}') says another alg than {alg}"));
    }
    out["kid"] = json!(name);
    out["alg"] = json!(alg);
    out["use"] = json!("sig");
    Ok((name.to_owned(), out))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base64url of so many bytes.
    fn part(len: usize, first: u8) -> String {
        use base64::Engine as _;
        let mut bytes = vec![0xAB; len];
        bytes[0] = first;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    fn ec(kid: &str) -> Value {
        json!({"kty": "EC", "crv": "P-384", "kid": kid, "x": part(48, 1), "y": part(48, 2)})
    }

    #[test]
    fn only_public_keys_for_the_two_algorithms_are_registered() {
        let rsa =
            |len: usize, first: u8| json!({"kty": "RSA", "kid": "r", "n": part(len, first), "e": "AQAB"});
        let with = |mut key: Value, name: &str, value: Value| {
            key[name] = value;
            key
        };
        let set = |keys: Vec<Value>| json!({"keys": keys}).to_string();
        for (what, keys, wrong) in [
            ("an elliptic key", vec![ec("a")], None),
            ("an RSA key", vec![rsa(256, 0x80)], None),
            (
                "both, the next beside that of now",
                vec![ec("a"), ec("b"), rsa(512, 0xFF)],
                None,
            ),
            (
                "said to be for it",
                vec![with(ec("a"), "alg", json!("ES384"))],
                None,
            ),
            (
                "what else it says",
                vec![with(ec("a"), "x5t", json!("abc"))],
                None,
            ),
            ("nothing", vec![], Some("1 to 8 keys")),
            (
                "nine",
                (0..9).map(|n| ec(&n.to_string())).collect(),
                Some("1 to 8 keys"),
            ),
            (
                "a name twice",
                vec![ec("a"), ec("a")],
                Some("two keys have the kid 'a'"),
            ),
            (
                "no name",
                vec![with(ec("a"), "kid", Value::Null)],
                Some("has no kid"),
            ),
            (
                "a private key",
                vec![with(ec("a"), "d", json!("AA"))],
                Some("holds a secret part"),
            ),
            (
                "a symmetric one",
                vec![json!({"kty": "oct", "kid": "a", "k": "AA"})],
                Some("holds a secret part"),
            ),
            (
                "a prime",
                vec![with(rsa(256, 0x80), "p", json!("AA"))],
                Some("holds a secret part"),
            ),
            (
                "for encryption",
                vec![with(ec("a"), "use", json!("enc"))],
                Some("not for signatures"),
            ),
            (
                "for wrapping",
                vec![with(ec("a"), "key_ops", json!(["wrapKey"]))],
                Some("not for signatures"),
            ),
            (
                "another algorithm",
                vec![with(ec("a"), "alg", json!("ES256"))],
                Some("another alg than ES384"),
            ),
            (
                "HS256",
                vec![with(rsa(256, 0x80), "alg", json!("HS256"))],
                Some("another alg than RS384"),
            ),
            (
                "another curve",
                vec![with(ec("a"), "crv", json!("P-256"))],
                Some("neither RS384"),
            ),
            (
                "Ed25519",
                vec![json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": part(32, 1)})],
                Some("neither RS384"),
            ),
            ("1024 bits", vec![rsa(128, 0x80)], Some("2048 to 8192 bits")),
            ("2047 bits", vec![rsa(256, 0x7F)], Some("2048 to 8192 bits")),
            ("a leading zero", vec![rsa(257, 0)], Some("2048 to 8192 bits")),
            (
                "an even exponent",
                vec![with(rsa(256, 0x80), "e", json!("AQAC"))],
                Some("2048 to 8192 bits"),
            ),
            (
                "a short point",
                vec![with(ec("a"), "x", json!(part(47, 1)))],
                Some("no point of P-384"),
            ),
        ] {
            match (public_keys(set(keys).as_bytes()), wrong) {
                (Ok((text, _)), None) => assert!(!text.contains("x5t"), "{what}: {text}"),
                (Err(text), Some(part)) => assert!(text.contains(part), "{what}: {text}"),
                (got, _) => panic!("{what}: {got:?}"),
            }
        }
        for bad in [
            "",
            "[]",
            "{}",
            "{\"keys\": {}}",
            "{\"keys\": [1]}",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            assert!(public_keys(bad.as_bytes()).is_err(), "{bad}");
        }
        let (_, names) = public_keys(set(vec![ec("b"), ec("a")]).as_bytes()).unwrap();
        assert_eq!(names, ["a", "b"]);
    }
}
