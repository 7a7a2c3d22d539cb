//! Random numbers and ids, from the operating system through ring.
//!
//! Never here: time (an id's time is an argument). Called by keys, break-glass, link and the session.

use crate::EngineError;
use ring::rand::{SecureRandom, SystemRandom};
use vitrine_access::AccessId;
use vitrine_clinical::UtcMs;

/// `N` random bytes.
///
/// # Errors
/// [`EngineError::Internal`] when the operating system gives none.
pub fn bytes<const N: usize>() -> Result<[u8; N], EngineError> {
    let mut out = [0; N];
    SystemRandom::new()
        .fill(&mut out)
        .map_err(|_| EngineError::Internal("asking for random numbers"))?;
    Ok(out)
}

/// A new access id (UUIDv7 of this time).
///
/// # Errors
/// As [`bytes`].
pub fn access_id(at: UtcMs) -> Result<AccessId, EngineError> {
    Ok(AccessId(
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &bytes::<10>()?)
            .into_uuid(),
    ))
}

/// Hex of bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// Bytes of hex; `None` when it is not hex.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.len()
        .is_multiple_of(2)
        .then(|| {
            text.chunks_exact(2)
                .map(|p| Some(digit(p[0])? << 4 | digit(p[1])?))
                .collect()
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        let b = bytes::<16>().unwrap();
        assert_eq!(unhex(&hex(&b)).unwrap(), b);
        assert!(unhex("0g").is_none() && unhex("abc").is_none());
    }

    #[test]
    fn access_ids_carry_their_time() {
        let id = access_id(UtcMs(1_795_000_000_000)).unwrap();
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_timestamp().unwrap().to_unix().0, 1_795_000_000);
    }
}
