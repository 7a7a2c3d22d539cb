//! Signed tokens (RFC 7515, compact form): their parts, the provider's keys (RFC 7517), the signature.
//!
//! Lives here: reading a token strictly and proving who signed it, by the rules of RFC 8725. Never here:
//! what the claims mean (`claims`), where keys come from (`super`). Called by [`super`] and by `identity::clients`.
//! The signature itself is ring's, like everything of TLS and of workstations here: no library of RSA comes in for it.
//! Nothing the token says chooses the key's kind: the algorithm must be one that the key, as published, is for.

use super::fault::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self as sig, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The longest token that is read, bytes.
pub const TOKEN_MOST: usize = 16 * 1024;
/// Keys of a set that are looked at.
const KEYS_MOST: usize = 64;

/// An algorithm of the list: asymmetric ones alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The left half of the hash that belongs to it, as `at_hash` and `c_hash` have it (OpenID Connect Core §3.1.3.6).
    #[must_use]
    pub fn half_hash(self, of: &str) -> String {
        let of = of.as_bytes();
        let hash: Vec<u8> = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => Sha256::digest(of).to_vec(),
            Self::Rs384 | Self::Ps384 | Self::Es384 => Sha384::digest(of).to_vec(),
            Self::Rs512 | Self::Ps512 | Self::EdDsa => Sha512::digest(of).to_vec(),
        };
        URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
    }
}

/// A key of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    kid: Option<String>,
    /// The algorithm it is for, where the set says so.
    alg: Option<String>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Strict base64url without padding.
pub(crate) fn unb64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The keys of a set that can prove a signature; others (for encryption, symmetric, of curves not here) are passed over.
/// `None` when it is no set.
#[must_use]
pub fn key_set(json: &[u8]) -> Option<Vec<Key>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(json).ok()?;
    Some(set.keys.into_iter().take(KEYS_MOST).filter_map(key).collect())
}

fn key(published: Value) -> Option<Key> {
    let p: Published = serde_json::from_value(published).ok()?;
    let signs = p.purpose.as_deref().is_none_or(|u| u == "sig")
        && p.key_ops.as_ref().is_none_or(|o| o.iter().any(|o| o == "verify"));
    if !signs {
        return None;
    }
    let part = |t: &Option<String>| t.as_deref().and_then(unb64url);
    let point = |len: usize| {
        let (x, y) = (part(&p.x)?, part(&p.y)?);
        (x.len() == len && y.len() == len).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
    };
    let material = match (p.kty.as_str(), p.crv.as_deref()) {
        ("RSA", None) => Material::Rsa {
            n: part(&p.n)?,
            e: part(&p.e)?,
        },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(part(&p.x).filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key {
        kid: p.kid,
        alg: p.alg,
        material,
    })
}

impl Key {
    fn fits(&self, kid: Option<&str>, name: &str, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let kind = matches!(
            (&self.material, algorithm),
            (
                Material::Rsa { .. },
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ) | (Material::P256(_), A::Es256)
                | (Material::P384(_), A::Es384)
                | (Material::Ed25519(_), A::EdDsa)
        );
        kind && kid.is_none_or(|k| self.kid.as_deref() == Some(k))
            && self.alg.as_deref().is_none_or(|a| a == name)
    }

    fn signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        use Algorithm as A;
        match &self.material {
            Material::Rsa { n, e } => {
                let by: &sig::RsaParameters = match algorithm {
                    A::Rs256 => &sig::RSA_PKCS1_2048_8192_SHA256,
                    A::Rs384 => &sig::RSA_PKCS1_2048_8192_SHA384,
                    A::Rs512 => &sig::RSA_PKCS1_2048_8192_SHA512,
                    A::Ps256 => &sig::RSA_PSS_2048_8192_SHA256,
                    A::Ps384 => &sig::RSA_PSS_2048_8192_SHA384,
                    A::Ps512 => &sig::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                // ring wants the number without leading zeros, as RFC 7518 does.
                let parts = RsaPublicKeyComponents { n, e };
                parts.verify(by, message, signature).is_ok()
            }
            Material::P256(point) => UnparsedPublicKey::new(&sig::ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Material::P384(point) => UnparsedPublicKey::new(&sig::ECDSA_P384_SHA384_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Material::Ed25519(x) => UnparsedPublicKey::new(&sig::ED25519, x)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

/// A JSON object in which no name stands twice.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    struct Once;
    impl<'de> Visitor<'de> for Once {
        type Value = Map<String, Value>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object in which no name stands twice")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut out = Map::new();
            while let Some((name, value)) = from.next_entry::<String, Value>()? {
                if out.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("a name stands twice"));
                }
            }
            Ok(out)
        }
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let out = from.deserialize_map(Once).ok()?;
    from.end().ok().map(|()| out)
}

/// A token that was read and not proven yet.
pub struct Token<'a> {
    /// The algorithm it says it is signed by.
    pub algorithm: Algorithm,
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

impl<'a> Token<'a> {
    /// Reads the parts.
    ///
    /// # Errors
    /// [`Fault`] of the form or the header.
    pub fn read(text: &'a str) -> Result<Self, Fault> {
        if text.len() > TOKEN_MOST {
            return Err(Fault::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Fault::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(Fault::Form)?;
        let part = |t: &str| unb64url(t).and_then(|b| object(&b)).ok_or(Fault::Form);
        let (header, claims) = (part(header)?, part(claims)?);
        let signature = unb64url(signature).ok_or(Fault::Form)?;
        let alg = header
            .get("alg")
            .and_then(Value::as_str)
            .ok_or(Fault::Algorithm)?;
        let algorithm = Algorithm::of(alg).ok_or(Fault::Algorithm)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Fault::Critical);
        }
        if ["jwk", "jku", "x5u", "x5c"]
            .iter()
            .any(|n| header.contains_key(*n))
        {
            return Err(Fault::KeyInToken);
        }
        let text_of = |name: &str, fault: Fault| match header.get(name) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.clone())),
            Some(_) => Err(fault),
        };
        Ok(Self {
            algorithm,
            alg: alg.to_owned(),
            kid: text_of("kid", Fault::UnknownKey)?,
            typ: text_of("typ", Fault::Type)?,
            signed,
            signature,
            claims,
        })
    }

    /// Whether it says to be one of these types, or none.
    ///
    /// # Errors
    /// [`Fault::Type`].
    pub fn is(&self, types: &[&str]) -> Result<(), Fault> {
        let Some(typ) = &self.typ else { return Ok(()) };
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if types.contains(&typ) {
            Ok(())
        } else {
            Err(Fault::Type)
        }
    }

    /// The claims, once a key of the set has been found to have signed them. Without `kid` the set must have one key only
    /// that fits.
    ///
    /// # Errors
    /// [`Fault::UnknownKey`], [`Fault::Signature`].
    pub fn proven(&self, keys: &[Key]) -> Result<&Map<String, Value>, Fault> {
        let fitting: Vec<&Key> = keys
            .iter()
            .filter(|k| k.fits(self.kid.as_deref(), &self.alg, self.algorithm))
            .collect();
        if fitting.is_empty() || self.kid.is_none() && fitting.len() > 1 {
            return Err(Fault::UnknownKey);
        }
        let by = |k: &&Key| k.signed(self.algorithm, self.signed.as_bytes(), &self.signature);
        if fitting.iter().any(by) {
            Ok(&self.claims)
        } else {
            Err(Fault::Signature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 A.2 (RS256) and A.3 (ES256): the keys, and tokens that they signed.
    const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const EC: (&str, &str) = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    const ES: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const RS: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    fn set(more: &str) -> Vec<Key> {
        let json = format!(
            r#"{{"keys":[{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"{more}}},
                {{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}},
                {{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}},
                {{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}}, 7]}}"#,
            EC.0, EC.1
        );
        key_set(json.as_bytes()).unwrap()
    }

    #[test]
    fn the_examples_of_the_standard_are_proven() {
        let keys = set("");
        assert_eq!(keys.len(), 2, "symmetric keys and other curves are passed over");
        for text in [ES, RS] {
            let token = Token::read(text).unwrap();
            assert_eq!(token.proven(&keys).unwrap()["iss"], "joe");
            assert_eq!(token.proven(&keys[..0]).unwrap_err(), Fault::UnknownKey);
            let (head, last) = text.split_at(text.len() - 4);
            let other = format!("{head}{}", last.chars().rev().collect::<String>());
            if let Ok(token) = Token::read(&other) {
                assert_eq!(token.proven(&keys).unwrap_err(), Fault::Signature);
            }
        }
    }

    #[test]
    fn a_key_is_for_what_the_set_says() {
        let token = Token::read(RS).unwrap();
        for more in [
            ",\"use\":\"enc\"",
            ",\"alg\":\"RS512\"",
            ",\"alg\":\"HS256\"",
            ",\"key_ops\":[\"encrypt\"]",
        ] {
            assert_eq!(token.proven(&set(more)).unwrap_err(), Fault::UnknownKey, "{more}");
        }
        assert!(
            token
                .proven(&set(",\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":\"a\""))
                .is_ok()
        );
    }

    #[test]
    fn a_name_that_stands_twice_is_no_object() {
        assert!(object(b"{\"a\":1,\"b\":{\"c\":2}}").is_some());
        for bad in ["{\"a\":1,\"a\":1}", "[]", "{} {}", "{", "1", ""] {
            assert!(object(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_half_hash_is_the_standards() {
        // OpenID Connect Core 1.0, appendix A.4 (RS256): the access token and the at_hash of the example's ID token.
        assert_eq!(
            Algorithm::Rs256.half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }
}
