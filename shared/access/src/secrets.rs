//! What a password or PIN must be: the same rule where one is made and where one is typed.
//!
//! Length before composition, as NIST SP 800-63B §3.1.1 has it; a PIN is typed with gloves, and is protected by the workstation's
//! own key and by waiting.

use vitrine_clinical::say;

/// Longest secret, bytes.
pub const LONGEST: usize = 256;
/// Least characters of a password.
pub const PASSWORD_LEAST: usize = 12;
/// Digits of a PIN.
pub const PIN_DIGITS: std::ops::RangeInclusive<usize> = 6..=12;

/// Why something cannot be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// A password of too few or too many characters.
    PasswordLength,
    /// A password of digits alone: it would be taken for a PIN.
    PasswordDigits,
    /// A PIN that is not 6 to 12 digits.
    PinDigits,
    /// A PIN like 777777, 123456 or 654321.
    PinRun,
}

impl Unfit {
    /// What is wrong, for whoever chooses.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::PasswordLength => say!(
                "the password needs at least 12 and at most 256 characters",
                "das Kennwort braucht mindestens 12 und höchstens 256 Zeichen"
            ),
            Self::PasswordDigits => say!(
                "the password needs more than digits",
                "das Kennwort braucht mehr als Ziffern"
            ),
            Self::PinDigits => say!("the PIN needs 6 to 12 digits", "die PIN braucht 6 bis 12 Ziffern"),
            Self::PinRun => say!(
                "the PIN is a row or a run of digits: choose another",
                "die PIN ist eine Reihe oder Folge von Ziffern: eine andere wählen"
            ),
        }
    }
}

/// Whether this can be a password.
///
/// # Errors
/// [`Unfit`].
pub fn password(text: &str) -> Result<(), Unfit> {
    if text.chars().count() < PASSWORD_LEAST || text.len() > LONGEST {
        return Err(Unfit::PasswordLength);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Unfit::PasswordDigits);
    }
    Ok(())
}

/// Whether this can be a PIN.
///
/// # Errors
/// [`Unfit`].
pub fn pin(text: &str) -> Result<(), Unfit> {
    let digits = text.as_bytes();
    if !PIN_DIGITS.contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Unfit::PinDigits);
    }
    let step = |d: i16| digits.windows(2).all(|w| i16::from(w[1]) - i16::from(w[0]) == d);
    if step(0) || step(1) || step(-1) {
        return Err(Unfit::PinRun);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_easily_guessed_or_mistaken_is_no_secret() {
        let long = "x".repeat(LONGEST);
        for (text, expected) in [
            ("long enough secret", Ok(())),
            (long.as_str(), Ok(())),
            ("äöüäöüäöüäöü", Ok(())),
            ("short", Err(Unfit::PasswordLength)),
            ("elevensigns", Err(Unfit::PasswordLength)),
            (&format!("{long}x"), Err(Unfit::PasswordLength)),
            ("123456789012", Err(Unfit::PasswordDigits)),
            ("", Err(Unfit::PasswordLength)),
        ] {
            assert_eq!(password(text), expected, "{text}");
        }
        for (text, expected) in [
            ("193746", Ok(())),
            ("193746193746", Ok(())),
            ("9371", Err(Unfit::PinDigits)),
            ("1937461937461", Err(Unfit::PinDigits)),
            ("12a456", Err(Unfit::PinDigits)),
            ("１２３４５６", Err(Unfit::PinDigits)),
            ("", Err(Unfit::PinDigits)),
            ("777777", Err(Unfit::PinRun)),
            ("123456", Err(Unfit::PinRun)),
            ("987654", Err(Unfit::PinRun)),
        ] {
            assert_eq!(pin(text), expected, "{text}");
        }
    }
}
