//! Passwords and PINs: Argon2id as PHC strings.
//!
//! Lives here: the two cost settings, making and checking PHC strings. Never here: counting tries (`throttle`).
//! Called by `sessions` and the `user` command. A PIN costs less because the same string lets a workstation break
//! the glass without a server within a second; it is never the only thing between a thief and the data.

use crate::clock;
use argon2::{Algorithm, Argon2, Params, Version};
use std::fmt::Write as _;
use vitrine_access::secrets::LONGEST;
use zeroize::Zeroizing;

/// What a secret costs to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
}

/// Password: 64 MiB, 3 passes.
pub const PASSWORD: Cost = Cost {
    memory_kib: 64 * 1024,
    passes: 3,
};
/// PIN: 19 MiB, 2 passes.
pub const PIN: Cost = Cost {
    memory_kib: 19 * 1024,
    passes: 2,
};
/// Most memory a stored string may ask for, in KiB.
const MAX_KIB: u32 = 256 * 1024;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 without padding, as PHC strings have it.
fn b64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 2);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(n >> (18 - 6 * i) & 63) as usize]));
        }
    }
    out
}

/// Reads standard base64, padded or not.
pub(crate) fn unb64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut n, mut bits) = (0_u32, 0_u32);
    for b in text.trim_end_matches('=').bytes() {
        let v = ALPHABET.iter().position(|a| *a == b)?;
        n = n << 6 | u32::try_from(v).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(n >> bits & 0xff).ok()?);
        }
    }
    Some(out)
}

fn argon(cost: Cost, salt: &[u8], secret: &[u8], len: usize) -> Option<Vec<u8>> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(len)).ok()?;
    let mut out = vec![0; len];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret, salt, &mut out)
        .ok()?;
    Some(out)
}

/// Makes the PHC string of a secret.
///
/// # Panics
/// When Argon2id refuses the fixed costs of this module: then no secret could be kept safely.
#[must_use]
pub fn phc(secret: &str, cost: Cost) -> String {
    let salt = clock::random::<16>();
    let hash = argon(cost, &salt, secret.as_bytes(), 32)
        .expect("the costs of this module are within Argon2's limits");
    let mut out = String::new();
    let _ = write!(
        out,
        "$argon2id$v=19$m={},t={},p=1${}${}",
        cost.memory_kib,
        cost.passes,
        b64(&salt),
        b64(&hash)
    );
    out
}

/// The PHC strings of a new password and a new PIN; none where none is given. Each takes a third of a second, and is made aside.
///
/// # Errors
/// When the thread that made them ended.
pub async fn hashed(
    password: Option<Zeroizing<String>>,
    pin: Option<Zeroizing<String>>,
) -> Result<(Option<String>, Option<String>), tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || (password.map(|p| phc(&p, PASSWORD)), pin.map(|p| phc(&p, PIN))))
        .await
}

/// Whether `secret` is the one of a PHC string. A string that cannot be read answers no.
#[must_use]
pub fn matches(secret: &str, phc: &str) -> bool {
    check(secret, phc).unwrap_or(false)
}

fn check(secret: &str, phc: &str) -> Option<bool> {
    if secret.is_empty() || secret.len() > LONGEST {
        return Some(false);
    }
    let rest = phc.strip_prefix("$argon2id$v=19$")?;
    let mut parts = rest.split('$');
    let (settings, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |key: &str| {
        settings
            .split(',')
            .find_map(|p| p.strip_prefix(key)?.parse::<u32>().ok())
    };
    let cost = Cost {
        memory_kib: number("m=")?,
        passes: number("t=")?,
    };
    if cost.memory_kib > MAX_KIB || cost.passes > 10 || number("p=")? != 1 {
        return None;
    }
    let want = unb64(hash)?;
    if !(16..=64).contains(&want.len()) {
        return None;
    }
    let got = argon(cost, &unb64(salt)?, secret.as_bytes(), want.len())?;
    Some(same(&got, &want))
}

/// Compares without telling by its duration where the first difference is.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0_u8, |d, (x, y)| d | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Cost = Cost {
        memory_kib: 64,
        passes: 1,
    };

    #[test]
    fn a_secret_opens_its_own_string_alone() {
        let kept = phc("four seasons", FAST);
        assert!(kept.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(matches("four seasons", &kept));
        assert!(!matches("four season", &kept));
        assert!(!matches("", &kept));
        assert_ne!(kept, phc("four seasons", FAST), "salts repeat");
    }

    #[test]
    fn a_string_made_elsewhere_is_read() {
        // Made by the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
        let kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(matches("password", kept));
    }

    #[test]
    fn nonsense_answers_no() {
        for kept in [
            "",
            "$argon2id$v=19$",
            "$argon2id$v=19$m=9999999999,t=1,p=1$c29t$c29t",
            "$2b$x",
            "plain",
        ] {
            assert!(!matches("plain", kept), "{kept}");
        }
    }

    #[test]
    fn base64_goes_both_ways() {
        for n in 0..40_u8 {
            let bytes: Vec<u8> = (0..n).collect();
            assert_eq!(unb64(&b64(&bytes)).unwrap(), bytes);
        }
        assert_eq!(unb64("dXNlcjpwdw==").unwrap(), b"user:pw");
    }
}
