//! One-time passwords: RFC 4226 (HOTP) and RFC 6238 (TOTP) with the settings that every authenticator knows.
//!
//! Lives here: making a code, finding the time step of one that was typed, a secret as text and as an address for a QR code,
//! the form of recovery codes. Never here: whose secret it is, whether a code was used, the clock (`second_factor`).
//! Pure. HMAC-SHA-1 is `ring`'s; the truncation is RFC 4226 5.3.

use super::secrets::same;
use ring::hmac;
use vitrine_clinical::UtcMs;
use zeroize::Zeroizing;

/// Length of a secret, bytes: 160 bits (RFC 4226 4, R6).
pub const SECRET: usize = 20;
/// Length of a time step, seconds (RFC 6238: X).
pub const STEP_S: u64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Steps before and after the present one whose codes count too (RFC 6238 5.2).
const WINDOW: u64 = 1;
/// Recovery codes of one enrolment.
pub const RECOVERY: usize = 10;
/// As `devices` has them: what is copied by hand must not be mistaken. 23 letters.
const LETTERS: &[u8] = b"ACDEFGHJKMNPQRTWXY34679";
/// 12 letters of 23 are 54 bits: they count here alone, and each wrong one is counted.
const LENGTH: usize = 12;
/// RFC 4648 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// HOTP before it is cut to digits: 31 bits (RFC 4226 5.3).
fn truncated(secret: &[u8], counter: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let hash = tag.as_ref();
    let offset = usize::from(hash.last().copied().unwrap_or(0) & 0x0f);
    let four = hash.iter().skip(offset).take(4);
    four.fold(0_u32, |n, b| n << 8 | u32::from(*b)) & 0x7fff_ffff
}

/// The code of a time step: six digits.
#[must_use]
pub fn code(secret: &[u8], step: u64) -> Zeroizing<String> {
    Zeroizing::new(format!("{:06}", truncated(secret, step) % 1_000_000))
}

/// The time step of a moment (RFC 6238: T, with T0 = 0); 0 before 1970.
#[must_use]
pub fn step_at(at: UtcMs) -> u64 {
    u64::try_from(at.0).unwrap_or(0) / 1000 / STEP_S
}

/// What was typed, as a code: six digits, with any blanks in between.
#[must_use]
pub fn typed(text: &str) -> Option<Zeroizing<String>> {
    let digits: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
    let fits = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(digits)
}

/// The time step whose code this is: the present one, the one before or the one after. Looks at all of them, whichever it is.
#[must_use]
pub fn step_of(secret: &[u8], given: &str, at: UtcMs) -> Option<u64> {
    let given = typed(given)?;
    let now = step_at(at);
    let mut found = None;
    for step in now.saturating_sub(WINDOW)..=now.saturating_add(WINDOW) {
        if same(code(secret, step).as_bytes(), given.as_bytes()) {
            found = Some(step);
        }
    }
    found
}

/// A secret as text for who types it: base32 without padding, as authenticators read it.
#[must_use]
pub fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(bytes.len() * 8 / 5 + 1));
    for chunk in bytes.chunks(5) {
        let n = chunk.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b)) << (8 * (5 - chunk.len()));
        for i in 0..(chunk.len() * 8).div_ceil(5) {
            out.push(char::from(BASE32[(n >> (35 - 5 * i) & 31) as usize]));
        }
    }
    out
}

/// The same in groups of four.
#[must_use]
pub fn groups(secret: &[u8]) -> Zeroizing<String> {
    let text = base32(secret);
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 5 / 4));
    for (n, c) in text.chars().enumerate() {
        if n > 0 && n % 4 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// The address that an authenticator reads from a QR code ("Key Uri Format" of Google Authenticator, which all follow). A sign-in
/// name has no character that would have to be escaped.
#[must_use]
pub fn uri(secret: &[u8], user: &str) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "otpauth://totp/Vitrine:{user}?secret={}&issuer=Vitrine&algorithm=SHA1&digits={DIGITS}&period={STEP_S}",
        *base32(secret)
    ))
}

/// A recovery code of these random bytes, e.g. `ACDE-FGHJ-KMNP`; `None` when there are too few that can be used.
#[must_use]
pub fn recovery_code(random: &[u8]) -> Option<Zeroizing<String>> {
    // Bytes from the last, incomplete run of 23 are thrown away so that every letter is as likely.
    let letters = random.iter().filter(|b| **b < 253);
    let letters = letters
        .map(|b| LETTERS[usize::from(*b) % LETTERS.len()])
        .take(LENGTH);
    let mut out = Zeroizing::new(String::with_capacity(LENGTH + 2));
    let mut n = 0;
    for letter in letters {
        if n > 0 && n % 4 == 0 {
            out.push('-');
        }
        out.push(char::from(letter));
        n += 1;
    }
    (n == LENGTH).then_some(out)
}

/// What was typed, as a recovery code: upper case, without blanks and dashes. `None` when it cannot be one.
#[must_use]
pub fn typed_recovery(text: &str) -> Option<Zeroizing<String>> {
    let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let plain: Zeroizing<String> = Zeroizing::new(letters.map(|c| c.to_ascii_uppercase()).collect());
    let fits = plain.len() == LENGTH && plain.bytes().all(|b| LETTERS.contains(&b));
    fits.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of both RFCs.
    const RFC: &[u8] = b"12345678901234567890";

    #[test]
    fn rfc_4226_appendix_d() {
        for (counter, cut, want) in [
            (0, 0x4c93_cf18, "755224"),
            (1, 0x4139_7eea, "287082"),
            (2, 0x082f_ef30, "359152"),
            (3, 0x66ef_7655, "969429"),
            (4, 0x61c5_938a, "338314"),
            (5, 0x33c0_83d4, "254676"),
            (6, 0x7256_c032, "287922"),
            (7, 0x04e5_b397, "162583"),
            (8, 0x2823_443f, "399871"),
            (9, 0x2679_dc69, "520489"),
        ] {
            assert_eq!(truncated(RFC, counter), cut, "{counter}");
            assert_eq!(*code(RFC, counter), want, "{counter}");
        }
    }

    #[test]
    fn rfc_6238_appendix_b() {
        for (seconds, step, eight) in [
            (59, 0x1, "94287082"),
            (1_111_111_109, 0x0235_23ec, "07081804"),
            (1_111_111_111, 0x0235_23ed, "14050471"),
            (1_234_567_890, 0x0273_ef07, "89005924"),
            (2_000_000_000, 0x03f9_40aa, "69279037"),
            (20_000_000_000, 0x27bc_86aa, "65353130"),
        ] {
            let at = UtcMs(seconds * 1000);
            assert_eq!(step_at(at), step, "{seconds}");
            assert_eq!(format!("{:08}", truncated(RFC, step) % 100_000_000), eight);
            assert_eq!(*code(RFC, step), eight[2..], "{seconds}");
            assert_eq!(step_of(RFC, &eight[2..], at), Some(step), "{seconds}");
        }
    }

    #[test]
    fn codes_count_one_step_before_and_after() {
        let now = 59_840_000_u64;
        let at = |step: u64, more_ms: i64| UtcMs(i64::try_from(step * STEP_S * 1000).unwrap() + more_ms);
        for (given, seen_from, counts) in [
            (now, at(now, 0), true),
            (now, at(now, 29_999), true),
            (now, at(now + 1, 0), true),
            (now, at(now + 1, 29_999), true),
            (now, at(now + 2, 0), false),
            (now, at(now - 1, 0), true),
            (now, at(now - 1, -1), false),
            (now, at(now - 2, 0), false),
        ] {
            let found = step_of(RFC, &code(RFC, given), seen_from);
            assert_eq!(found, counts.then_some(given), "{given} from {seen_from:?}");
        }
        assert_eq!(
            step_of(b"another secret of 20", &code(RFC, now), at(now, 0)),
            None
        );
    }

    #[test]
    fn what_is_no_code_is_none() {
        let now = UtcMs(1_795_000_000_000);
        let right = code(RFC, step_at(now));
        let spaced = format!(" {} {}\n", &right[..3], &right[3..]);
        assert!(step_of(RFC, &spaced, now).is_some());
        for text in ["", "12345", "1234567", "12345a", "-12345", "١٢٣٤٥٦", "123.56"] {
            assert_eq!(step_of(RFC, text, now), None, "{text}");
        }
        assert_eq!(step_at(UtcMs(-1)), 0);
        assert_eq!(
            step_of(RFC, "755224", UtcMs(0)),
            Some(0),
            "there is no step before"
        );
    }

    #[test]
    fn rfc_4648_vectors() {
        for (plain, want) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(*base32(plain.as_bytes()), want);
        }
        assert_eq!(*groups(b"fooba fooba"), "MZXW 6YTB EBTG 633C ME");
        assert_eq!(
            *uri(RFC, "a.nurse"),
            "otpauth://totp/Vitrine:a.nurse?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Vitrine&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn recovery_codes_are_read_as_they_are_copied() {
        let made = recovery_code(&[0, 24, 48, 255, 3, 4, 5, 6, 7, 8, 9, 10, 22]).unwrap();
        assert_eq!(*made, "ACDE-FGHJ-KMN9");
        for text in ["ACDE-FGHJ-KMN9", "acdefghjkmn9", " acde fghj-KMN9 "] {
            assert_eq!(*typed_recovery(text).unwrap(), "ACDEFGHJKMN9", "{text}");
        }
        for text in [
            "",
            "ACDE-FGHJ-KMN",
            "ACDE-FGHJ-KMN99",
            "ACDE-FGHJ-KMNO",
            "ACDE-FGHJ-KMÑ9",
            "123456",
        ] {
            assert_eq!(typed_recovery(text), None, "{text}");
        }
        assert_eq!(recovery_code(&[254; 40]), None);
        assert_eq!(recovery_code(&[1; 11]), None);
    }
}
