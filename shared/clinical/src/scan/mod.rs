//! What a barcode reader sent: whose band it is, or what it is instead; and whether that is enough to open a chart.
//!
//! Lives here: the symbology prefix, the parts of a GS1 code, what a code means where a patient is asked for, and the rule that
//! says when a patient found by it may be opened without asking. Never here: keys and their speed (the screens), looking
//! anybody up (the workstation). Nothing is guessed: what is not whole, or is two things, is refused with its reason.
//! Sources: ISO/IEC 15424 (symbology identifiers), ISO 18530 (bands), GS1 General Specifications.

pub mod badge;
mod gs1;

use crate::{say, word};
use gs1::Part;
pub use gs1::{SEPARATOR, check_digit, check_digit_holds};

/// Longest text taken from a reader, in characters.
pub const LONGEST: usize = 256;
/// Shortest text that counts as a code.
pub const SHORTEST: usize = 4;

/// Systems of FHIR identifiers that are Global Service Relation Numbers: the OID that GS1 has registered, its own page, and the
/// GS1 Digital Link of AI 8018.
pub const SYSTEMS: [&str; 3] = [
    "urn:oid:2.51.1.7",
    "https://www.gs1.org/gsrn",
    "https://id.gs1.org/8018",
];

/// Whether this is a whole Global Service Relation Number: 18 digits, the last one their check digit.
#[must_use]
pub fn is_gsrn(number: &str) -> bool {
    number.len() == 18 && check_digit_holds(number)
}

/// What a code names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// A patient, by the Global Service Relation Number of the band (AI 8018): 18 digits, the last one checks the others.
    Patient {
        /// The number.
        gsrn: String,
        /// Which band of that patient's (AI 8019).
        band: Option<String>,
    },
    /// Somebody of the staff, by the Global Service Relation Number of their badge (AI 8017).
    Staff {
        /// The number.
        gsrn: String,
    },
    /// A medicine, a device, or their packing (AI 01, 02, 00; EAN and UPC codes).
    Article,
    /// A place (AI 410, 414, 254).
    Place,
    /// GS1 parts of which none names anybody or anything alone, such as a lot or a date.
    Other,
    /// A text of the hospital's own, such as a record number: carries no check of its own.
    Plain(String),
}

/// Why a code is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// Nothing, or less than any code has.
    Short,
    /// More than any code has: probably several.
    Long,
    /// Something that no code for a patient carries.
    Character,
    /// The signs that a keyboard of another layout makes of digits.
    Layout,
    /// A part that is not known; its first characters.
    UnknownPart(String),
    /// A part is longer or shorter than it must be.
    Length {
        /// Which.
        ai: &'static str,
        /// Characters it has at least and at most.
        wanted: (usize, usize),
        /// Characters there are.
        got: usize,
    },
    /// A part must be digits.
    NoDigits(&'static str),
    /// The check digit of a part is not that of its digits.
    CheckDigit(&'static str),
    /// Two patients' numbers in one.
    TwoPatients,
    /// A patient and something else in one.
    Mixed,
}

impl Unread {
    /// For the screen: what is wrong and what to do, in one or two sentences.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Short => word!(
                "Only part of a code arrived. Scan again.",
                "Nur ein Teil eines Codes ist angekommen. Erneut scannen."
            )
            .to_owned(),
            Self::Long => word!(
                "More arrived than one code has. Scan one band at a time.",
                "Es ist mehr angekommen, als ein Code enthält. Nur ein Armband auf einmal scannen."
            )
            .to_owned(),
            Self::Character => word!(
                "The code has signs that no patient's band has. Scan again.",
                "Der Code enthält Zeichen, die auf keinem Patientenarmband stehen. Erneut scannen."
            )
            .to_owned(),
            Self::Layout => word!(
                "The scanner types for another keyboard layout than this workstation has: its digits arrive as other signs. \
                 Find the patient by name, and tell IT.",
                "Der Scanner ist auf ein anderes Tastaturlayout eingestellt als dieser Arbeitsplatz: Seine Ziffern kommen als andere Zeichen an. \
                 Patienten über den Namen suchen und die Klinik-IT informieren."
            )
            .to_owned(),
            Self::UnknownPart(part) => say!(
                "Part of the code is not known here (“{part}”), so none of it is used. Scan again, or find the patient by name.",
                "Ein Teil des Codes ist hier nicht bekannt („{part}“), daher wird nichts davon verwendet. Erneut scannen oder den Patienten über den Namen suchen."
            ),
            Self::Length { ai, wanted, got } => {
                let wanted = match wanted {
                    (a, b) if a == b => a.to_string(),
                    (a, b) => say!("{a} to {b}", "{a} bis {b}"),
                };
                say!(
                    "The code is not whole: part {ai} has {got} characters, not {wanted}. Scan again.",
                    "Der Code ist nicht vollständig: Teil {ai} hat {got} Zeichen statt {wanted}. Erneut scannen."
                )
            }
            Self::NoDigits(ai) => say!(
                "The code is damaged: part {ai} must be digits. Scan again.",
                "Der Code ist beschädigt: Teil {ai} darf nur Ziffern enthalten. Erneut scannen."
            ),
            Self::CheckDigit(ai) => say!(
                "The code is damaged: the check digit of part {ai} is wrong. Scan again, or find the patient by name.",
                "Der Code ist beschädigt: Die Prüfziffer von Teil {ai} ist falsch. Erneut scannen oder den Patienten über den Namen suchen."
            ),
            Self::TwoPatients => word!(
                "Two bands arrived as one. Scan one band at a time.",
                "Zwei Armbänder sind als ein Code angekommen. Nur ein Armband auf einmal scannen."
            )
            .to_owned(),
            Self::Mixed => word!(
                "A patient’s code and another one arrived as one. Scan the band alone.",
                "Der Code eines Patienten und ein anderer sind als ein Code angekommen. Nur das Armband scannen."
            )
            .to_owned(),
        }
    }
}

/// What a symbology identifier says of the content.
enum Carrier {
    /// GS1 parts.
    Gs1,
    /// The number of an article: EAN and UPC.
    Article,
    /// Anything: a text, or parts that were not marked as such.
    Any,
    /// Nothing is said of it: readers can be set to send no identifier.
    Unsaid,
}

/// Splits off the symbology identifier (`]d2`); its letter may have the wrong case, as Caps Lock leaves it.
fn carrier(text: &str) -> (Carrier, &str) {
    let mut chars = text.chars();
    let (Some(']'), Some(letter), Some(modifier)) = (chars.next(), chars.next(), chars.next()) else {
        return (Carrier::Unsaid, text);
    };
    if !letter.is_ascii_alphabetic() || !modifier.is_ascii_alphanumeric() {
        return (Carrier::Unsaid, text);
    }
    let kind = match (letter.to_ascii_lowercase(), modifier) {
        ('c' | 'j', '1') | ('d', '2') | ('q', '3') => Carrier::Gs1,
        // `E` is EAN, `e` is GS1 DataBar: both are on goods, and under Caps Lock one looks like the other.
        ('e', _) => Carrier::Article,
        _ => Carrier::Any,
    };
    (kind, chars.as_str())
}

/// What the keys of the digits make on an AZERTY keyboard without Shift.
const AZERTY: &str = "&é\"'(-è_çà";

/// Reads a code as a reader typed it.
///
/// # Errors
/// [`Unread`].
pub fn read(text: &str) -> Result<Scanned, Unread> {
    let text = text.trim_matches(|c: char| c == ' ' || c == '\t' || c == '\r' || c == '\n');
    if text.chars().count() > LONGEST {
        return Err(Unread::Long);
    }
    let (carrier, content) = carrier(text);
    let length = content.chars().count();
    if length < SHORTEST {
        return Err(Unread::Short);
    }
    if content.chars().all(|c| AZERTY.contains(c)) {
        return Err(Unread::Layout);
    }
    if content.chars().any(|c| c.is_control() && c != SEPARATOR) {
        return Err(Unread::Character);
    }
    match carrier {
        Carrier::Gs1 => named(&gs1::parts(content)?),
        Carrier::Article => Ok(Scanned::Article),
        Carrier::Any | Carrier::Unsaid => match gs1::parts(content) {
            Ok(parts) => named(&parts),
            Err(wrong) if content.contains(SEPARATOR) => Err(wrong),
            // It begins as a band does: what is wrong with it is said, instead of looking for it as a record number.
            Err(wrong) if matches!(carrier, Carrier::Unsaid) && content.starts_with("8018") => Err(wrong),
            Err(_) if content.is_ascii() => Ok(Scanned::Plain(content.to_owned())),
            Err(_) => Err(Unread::Character),
        },
    }
}

/// What the parts name together.
fn named(parts: &[Part<'_>]) -> Result<Scanned, Unread> {
    let all = |ai: &'static str| parts.iter().filter(move |p| p.ai == ai).map(|p| p.value);
    let any = |ais: &[&str]| parts.iter().any(|p| ais.contains(&p.ai));
    let article = any(&["00", "01", "02"]);
    let place = any(&["410", "414", "254"]);
    if let Some(gsrn) = all("8018").next() {
        if all("8018").any(|other| other != gsrn) {
            return Err(Unread::TwoPatients);
        }
        let mut bands = all("8019");
        let band = bands.next();
        if bands.any(|other| Some(other) != band) {
            return Err(Unread::TwoPatients);
        }
        if parts.iter().any(|p| !matches!(p.ai, "8018" | "8019")) {
            return Err(Unread::Mixed);
        }
        return Ok(Scanned::Patient {
            gsrn: gsrn.to_owned(),
            band: band.map(str::to_owned),
        });
    }
    Ok(match (all("8017").next(), article, place) {
        (Some(gsrn), false, false) if all("8017").all(|other| other == gsrn) => Scanned::Staff {
            gsrn: gsrn.to_owned(),
        },
        (None, true, _) => Scanned::Article,
        (None, false, true) => Scanned::Place,
        (None, false, false) => Scanned::Other,
        (Some(_), ..) => return Err(Unread::Mixed),
    })
}

/// The numbers that one slip makes of this one and that its check digit does not notice: two neighbours that differ by five,
/// changed about (GS1's weights 3 and 1 leave the sum as it is). Where one of them is somebody's too, the number alone is not
/// enough to open a chart.
#[must_use]
pub fn twins(gsrn: &str) -> Vec<String> {
    let digits: Vec<u8> = gsrn.bytes().collect();
    let mut twins = Vec::new();
    for at in 1..digits.len() {
        let (Some(&a), Some(&b)) = (digits.get(at - 1), digits.get(at)) else {
            continue;
        };
        if a.abs_diff(b) != 5 {
            continue;
        }
        let mut other = digits.clone();
        other.swap(at - 1, at);
        twins.extend(String::from_utf8(other).ok());
    }
    twins
}

/// What is done about a patient's code, from those who were found by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sure {
    /// The chart is opened.
    Open,
    /// Somebody compares name and birth date first.
    Ask(Why),
    /// Nobody has this number here.
    Nobody,
}

/// Why somebody has to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Several patients have this number.
    Several,
    /// A twin of this number is another patient's.
    Twin,
    /// The code carries no check of its own.
    Unchecked,
}

/// The rule. `exact`: patients with this very number; `twins`: patients with a number of [`twins`]; `checked`: the number has
/// a check digit that held.
#[must_use]
pub const fn sure(exact: usize, twins: usize, checked: bool) -> Sure {
    match (exact, twins, checked) {
        (0, ..) => Sure::Nobody,
        (1, 0, true) => Sure::Open,
        (1, _, true) => Sure::Ask(Why::Twin),
        (1, _, false) => Sure::Ask(Why::Unchecked),
        _ => Sure::Ask(Why::Several),
    }
}

#[cfg(test)]
mod tests;
