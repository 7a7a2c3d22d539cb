//! The number of a staff badge, out of what a reader sent: a keyboard-wedge reader types it, a card reader gives the card's UID.
//!
//! A badge names somebody of the staff and nobody else: what is a patient's band, an article or a place is refused, here and
//! where badges are enrolled, so that no code is ever both. A badge proves nothing: it picks a person, whose PIN opens.
//! Called by the server's command and by the workstation.

use super::{SEPARATOR, Scanned, Unread, read};
use crate::word;

/// Least signs of a badge's number, without what readers put around it.
pub const LEAST: usize = 6;
/// Most signs.
pub const MOST: usize = 40;

/// Why a code is no badge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBadge {
    /// It cannot be read.
    Unread(Unread),
    /// A patient's band.
    Patient,
    /// An article, a place or something else that has a name of its own.
    Other,
    /// Fewer or more signs than a badge has, or signs that no badge has.
    Form,
}

impl NoBadge {
    /// For the screen and for whoever enrols a badge.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unread(unread) => return unread.text(),
            Self::Patient => word!(
                "This is a patient’s band, not a badge. Hold your badge to the reader.",
                "Das ist ein Patientenarmband, kein Ausweis. Den Ausweis an das Lesegerät halten."
            ),
            Self::Other => word!(
                "This code is no badge. Hold your badge to the reader.",
                "Dieser Code ist kein Ausweis. Den Ausweis an das Lesegerät halten."
            ),
            Self::Form => word!(
                "This is not the number of a badge: it has 6 to 40 letters and digits. Hold the badge to the reader again.",
                "Das ist keine Ausweisnummer: Sie hat 6 bis 40 Buchstaben und Ziffern. Den Ausweis erneut an das Lesegerät halten."
            ),
        }
        .to_owned()
    }
}

/// The number, in one form whatever reader sent it: capital letters and digits alone. What readers put around and between
/// (`;`, `?`, `%` of magnetic stripes, colons, hyphens, blanks) is no part of it.
///
/// # Errors
/// [`NoBadge`].
pub fn number(text: &str) -> Result<String, NoBadge> {
    let content = match read(text) {
        Ok(Scanned::Staff { gsrn }) => return Ok(gsrn),
        Ok(Scanned::Plain(plain)) => plain,
        // Without a symbology identifier a number that begins as a lot or a count does is a number.
        Ok(Scanned::Other) if !text.trim_start().starts_with(']') && !text.contains(SEPARATOR) => {
            text.to_owned()
        }
        Ok(Scanned::Patient { .. }) | Err(Unread::TwoPatients | Unread::Mixed) => {
            return Err(NoBadge::Patient);
        }
        Ok(_) => return Err(NoBadge::Other),
        Err(unread) => return Err(NoBadge::Unread(unread)),
    };
    let plain: String = content
        .trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .chars()
        .filter(|c| !matches!(c, ' ' | ':' | '-'))
        .collect::<String>()
        .to_ascii_uppercase();
    let fits = (LEAST..=MOST).contains(&plain.len()) && plain.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits { Ok(plain) } else { Err(NoBadge::Form) }
}

/// The text of a card's UID (ISO/IEC 14443-3: 4, 7 or 10 bytes; others are taken as they are): its bytes as hex, in their order.
#[must_use]
pub fn of_uid(uid: &[u8]) -> String {
    use std::fmt::Write as _;
    uid.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02X}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number whose check digit holds.
    const GSRN: &str = "950110153000120002";

    #[test]
    fn a_badge_has_one_number_whatever_reader_sent_it() {
        for text in [
            "04a1b2c3d4e580",
            "04:A1:B2:C3:D4:E5:80",
            ";04A1B2C3D4E580?",
            "04-a1-b2-c3 d4 e5 80\r",
        ] {
            assert_eq!(number(text).unwrap(), "04A1B2C3D4E580", "{text}");
        }
        assert_eq!(of_uid(&[0x04, 0xa1, 0xb2, 0xc3]), "04A1B2C3");
        // Begins as a lot, a serial number, a count, an internal number do.
        for plain in ["1012345678", "2100042", "30001234", "9112AB34"] {
            assert_eq!(number(plain).unwrap(), plain);
        }
    }

    #[test]
    fn what_names_a_patient_or_a_thing_is_no_badge_however_it_arrives() {
        assert!(super::super::is_gsrn(GSRN), "the sample's check digit");
        assert_eq!(number(&format!("]d28017{GSRN}")).unwrap(), GSRN);
        for band in [
            format!("]d28018{GSRN}"),
            format!("8018{GSRN}"),
            format!("]C18018{GSRN}80191"),
            format!("]d28018{GSRN}\u{1d}8017{GSRN}"),
        ] {
            assert_eq!(number(&band), Err(NoBadge::Patient), "{band}");
        }
        for (code, why) in [
            ("]d20109521234543213", NoBadge::Other),
            ("]d24149521234543213", NoBadge::Other),
            ("]d210LOT7", NoBadge::Other),
            ("A1B2C", NoBadge::Form),
            (";?;?;?;?", NoBadge::Form),
            ("<script>1", NoBadge::Form),
        ] {
            assert_eq!(number(code), Err(why), "{code}");
        }
        assert_eq!(number(&"A".repeat(41)), Err(NoBadge::Form));
        assert!(matches!(number("&é\"'(-"), Err(NoBadge::Unread(Unread::Layout))));
        assert!(matches!(number(""), Err(NoBadge::Unread(_))));
    }

    #[test]
    fn no_code_is_both_a_band_that_opens_a_chart_and_a_badge() {
        // Every number of a band, in every way it can be written, and every number that a reader of cards gives.
        for n in 0..20_000_u64 {
            let base = format!("9501101{n:010}");
            let gsrn = format!("{base}{}", super::super::check_digit(&base).unwrap());
            for text in [
                format!("8018{gsrn}"),
                format!("]d28018{gsrn}"),
                format!("]Q38018{gsrn}80191"),
            ] {
                assert!(matches!(read(&text), Ok(Scanned::Patient { .. })));
                assert!(number(&text).is_err(), "{text}");
            }
            let uid = of_uid(&(n * 0x9e37_79b9).to_be_bytes());
            assert!(!matches!(read(&uid), Ok(Scanned::Patient { .. })), "{uid}");
        }
    }
}
