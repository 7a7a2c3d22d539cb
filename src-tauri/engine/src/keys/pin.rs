//! Verifying a PIN against an Argon2id PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`), as the staff list
//! carries it. Budget in the emergency path: 110 ms (faults.md B5).

use argon2::{Algorithm, Argon2, Params, Version};
use vitrine_clinical::word;

/// The stored string is not one we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}",
    word!(
        "the stored PIN of this user cannot be read: ask IT to set it anew",
        "die gespeicherte PIN dieses Benutzers ist nicht lesbar: von der Klinik-IT neu setzen lassen"
    )
)]
pub struct PinError;

/// Upper limit of the memory a stored string may ask for, KiB: a hostile value must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;

struct Phc {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

fn parse(phc: &str) -> Option<Phc> {
    let mut parts = phc.strip_prefix("$argon2id$v=19$")?.split('$');
    let (settings, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (mut m, mut t, mut p) = (None, None, None);
    for setting in settings.split(',') {
        let (name, value) = setting.split_once('=')?;
        let value: u32 = value.parse().ok()?;
        match name {
            "m" => m = Some(value),
            "t" => t = Some(value),
            "p" => p = Some(value),
            _ => return None,
        }
    }
    let (m, t, p) = (m?, t?, p?);
    if m > MAX_MEMORY_KIB || t > 16 || p > 8 {
        return None;
    }
    let hash = unbase64(hash)?;
    Some(Phc {
        params: Params::new(m, t, p, Some(hash.len())).ok()?,
        salt: unbase64(salt)?,
        hash,
    })
}

/// Whether `pin` is the one `phc` was made of. Takes the same time for a right and a wrong one.
///
/// # Errors
/// [`PinError`] when the stored string cannot be read.
pub fn verify_pin(pin: &str, phc: &str) -> Result<bool, PinError> {
    let phc = parse(phc).ok_or(PinError)?;
    let mut out = zeroize::Zeroizing::new(vec![0; phc.hash.len()]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, phc.params)
        .hash_password_into(pin.as_bytes(), &phc.salt, &mut out)
        .map_err(|_| PinError)?;
    let differs = out.iter().zip(&phc.hash).fold(0_u8, |d, (a, b)| d | (a ^ b));
    Ok(differs == 0)
}

/// The PHC string of a PIN with the parameters of the emergency path (19 MiB, t=2, p=1).
///
/// # Errors
/// [`PinError`] when the parameters are refused (never).
pub fn hash_pin(pin: &str, salt: &[u8; 16]) -> Result<String, PinError> {
    let mut out = [0; 32];
    let params = Params::new(19_456, 2, 1, Some(32)).map_err(|_| PinError)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(pin.as_bytes(), salt, &mut out)
        .map_err(|_| PinError)?;
    Ok(format!(
        "$argon2id$v=19$m=19456,t=2,p=1${}${}",
        base64(salt),
        base64(&out)
    ))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for i in 0..=group.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
        }
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.as_bytes().chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0_u32;
        for i in 0..4 {
            let value = match group.get(i) {
                Some(c) => u32::try_from(ALPHABET.iter().position(|a| a == c)?).ok()?,
                None => 0,
            };
            bits = bits << 6 | value;
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_right_pin_only() {
        let phc = hash_pin("482915", b"0123456789abcdef").unwrap();
        assert!(
            phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"),
            "{phc}"
        );
        assert_eq!(verify_pin("482915", &phc), Ok(true));
        assert_eq!(verify_pin("482916", &phc), Ok(false));
        assert_eq!(verify_pin("", &phc), Ok(false));
    }

    #[test]
    fn refuses_what_is_no_phc_string_or_asks_too_much() {
        for bad in [
            "",
            "$argon2i$v=19$m=19456,t=2,p=1$MDEy$MDEy",
            "$argon2id$v=19$m=9999999,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
            "$argon2id$v=19$m=19456,t=2$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
            "$argon2id$v=19$m=19456,t=2,p=1$!!$MDEy",
        ] {
            assert_eq!(verify_pin("1", bad), Err(PinError), "{bad}");
        }
    }

    #[test]
    fn base64_of_all_lengths() {
        for n in 0..40 {
            let bytes: Vec<u8> = (0..n).map(|i| (i * 37 + 11) as u8).collect();
            assert_eq!(unbase64(&base64(&bytes)).unwrap(), bytes);
        }
    }
}
