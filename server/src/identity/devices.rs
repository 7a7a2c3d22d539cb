//! Workstations: one-time codes and proofs by their Ed25519 keys.
//!
//! Lives here: making and reading codes, checking signatures. Never here: HTTP, the WebSocket.
//! Called by `http::enrol`, `http::auth`, `ws` and the `enrol` command.

use crate::clock;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use vitrine_clinical::{DeviceId, UtcMs};

/// A code is valid for so long, ms (15 minutes).
pub const CODE_MS: i64 = 15 * 60_000;
/// A signed sign-in may be so much older or newer than the server's clock, ms.
pub const CLOCK_MS: i64 = 10 * 60_000;
/// No 0/O, 1/I/L, 5/S, 8/B, 2/Z, U/V: what is read aloud or copied by hand must not be mistaken. 23 letters.
const LETTERS: &[u8] = b"ACDEFGHJKMNPQRTWXY34679";
/// 20 letters of 23 are 90 bits.
const LENGTH: usize = 20;

/// A new code in groups of five, e.g. `ACDEF-GHJKM-NPQRT-WXY34`.
#[must_use]
pub fn new_code() -> String {
    let mut letters = Vec::with_capacity(LENGTH);
    while letters.len() < LENGTH {
        // Bytes from the last, incomplete run of 23 are thrown away so that every letter is as likely.
        letters.extend(
            clock::random::<32>()
                .into_iter()
                .filter(|b| *b < 253)
                .map(|b| LETTERS[usize::from(b) % LETTERS.len()]),
        );
    }
    letters.truncate(LENGTH);
    let groups: Vec<String> = letters
        .chunks(5)
        .map(|g| g.iter().map(|b| char::from(*b)).collect())
        .collect();
    groups.join("-")
}

/// The code as hashed: upper case, without blanks and dashes.
#[must_use]
pub fn plain_code(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_uppercase)
        .collect()
}

/// SHA-256 of a code as typed.
#[must_use]
pub fn code_hash(typed: &str) -> [u8; 32] {
    Sha256::digest(plain_code(typed).as_bytes()).into()
}

/// Whether `signature` over `message` is by `public_key` (Ed25519).
#[must_use]
pub fn signed_by(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(message, signature)
        .is_ok()
}

/// What a workstation signs when a person signs in: `"vitrine-login" ‖ user ‖ 0 ‖ device ‖ at_ms`.
#[must_use]
pub fn login_message(user: &str, device: &DeviceId, at_ms: i64) -> Vec<u8> {
    let mut out = b"vitrine-login".to_vec();
    out.extend_from_slice(user.as_bytes());
    out.push(0);
    out.extend_from_slice(device.as_str().as_bytes());
    out.extend_from_slice(&at_ms.to_be_bytes());
    out
}

/// Whether a workstation's time is near enough to ours.
#[must_use]
pub fn clock_is_near(at_ms: i64, now: UtcMs) -> bool {
    now.since(UtcMs(at_ms)).abs() <= CLOCK_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_ninety_bits_and_no_letter_that_is_mistaken() {
        let codes: std::collections::HashSet<String> = (0..500).map(|_| new_code()).collect();
        assert_eq!(codes.len(), 500);
        for c in &codes {
            assert_eq!(c.len(), 23);
            assert!(c.chars().all(|c| c == '-' || LETTERS.contains(&(c as u8))), "{c}");
        }
        let used: std::collections::HashSet<char> = codes.iter().flat_map(|c| c.chars()).collect();
        assert_eq!(used.len(), LETTERS.len() + 1, "every letter comes up");
    }

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        assert_eq!(code_hash("ACDEF-GHJKM"), code_hash(" acdef ghjkm "));
        assert_ne!(code_hash("ACDEF-GHJKM"), code_hash("ACDEF-GHJKN"));
    }

    #[test]
    fn a_clock_ten_minutes_off_is_still_taken() {
        assert!(clock_is_near(1_000_000, UtcMs(1_000_000 + CLOCK_MS)));
        assert!(!clock_is_near(1_000_000, UtcMs(1_000_001 + CLOCK_MS)));
        assert!(!clock_is_near(i64::MIN, UtcMs(5)));
    }
}
