//! The character set of a message (MSH-18, HL7 table 0211).
//!
//! What is declared is believed, and bytes that it does not allow are a fault: text that would have to be guessed is not taken. A
//! message that declares nothing is in the feed's own set.

use crate::fault::{Code, Fault, Place};
use encoding_rs::{
    BIG5, EUC_KR, Encoding, GB18030, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7,
    ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_1252, WINDOWS_1254,
};

/// A character set that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Seven bits.
    Ascii,
    /// One of those that the library knows.
    Known(&'static Encoding),
}

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self::Known(UTF_8);

    /// By its name in table 0211, or as others write it; `None` for one that is not read (UTF-16 and UTF-32 among them: a
    /// block of MLLP cannot hold them, and ISO 2022 with its escapes).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name: String = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '/')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let known = match name.as_str() {
            "ASCII" | "USASCII" | "ANSIX341968" | "ISOIR6" => return Some(Self::Ascii),
            "UNICODEUTF8" | "UTF8" | "UNICODE" | "ISOIR192" => UTF_8,
            "8859/1" | "88591" | "ISO8859/1" | "ISO88591" | "ISOIR100" | "LATIN1" | "WINDOWS1252"
            | "CP1252" => WINDOWS_1252,
            "8859/2" | "ISO88592" | "ISOIR101" => ISO_8859_2,
            "8859/3" | "ISO88593" | "ISOIR109" => ISO_8859_3,
            "8859/4" | "ISO88594" | "ISOIR110" => ISO_8859_4,
            "8859/5" | "ISO88595" | "ISOIR144" => ISO_8859_5,
            "8859/6" | "ISO88596" | "ISOIR127" => ISO_8859_6,
            "8859/7" | "ISO88597" | "ISOIR126" => ISO_8859_7,
            "8859/8" | "ISO88598" | "ISOIR138" => ISO_8859_8,
            "8859/9" | "ISO88599" | "ISOIR148" => WINDOWS_1254,
            "8859/15" | "ISO885915" | "ISOIR203" => ISO_8859_15,
            "GB180302000" | "GB18030" => GB18030,
            "BIG5" => BIG5,
            "KSX1001" | "EUCKR" => EUC_KR,
            "SHIFTJIS" | "SJIS" => SHIFT_JIS,
            _ => return None,
        };
        Some(Self::Known(known))
    }

    /// Bytes as text.
    ///
    /// # Errors
    /// [`Code::DataType`] at MSH-18, with the place of the first byte that the set does not allow.
    pub fn decode(self, bytes: &[u8]) -> Result<String, Fault> {
        let wrong = |set: &str, at: usize| {
            Fault::at(
                Code::DataType,
                Place::field("MSH", 18),
                format!(
                    "byte {at} is not of the character set {set}: MSH-18 has to name the set that the message is written in"
                ),
            )
        };
        match self {
            Self::Ascii => match bytes.iter().position(|b| !b.is_ascii()) {
                Some(at) => Err(wrong("ASCII", at)),
                None => Ok(String::from_utf8_lossy(bytes).into_owned()),
            },
            Self::Known(set) if set == UTF_8 => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(e) => Err(wrong("UTF-8", e.valid_up_to())),
            },
            Self::Known(set) => set
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(|| wrong(set.name(), 0)),
        }
    }
}

/// The set that a message declares: MSH-18's first repetition, found before anything is decoded.
///
/// # Errors
/// [`Code::TableValue`] for one that is not read.
pub fn declared(bytes: &[u8]) -> Result<Option<Charset>, Fault> {
    let start = bytes
        .windows(3)
        .position(|w| w == b"MSH")
        .filter(|n| *n <= 8)
        .unwrap_or(0);
    let head = bytes.get(start..).unwrap_or_default();
    let end = head.iter().position(|b| *b == b'\r' || *b == b'\n');
    let head = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
    let Some(separator) = head.get(3) else {
        return Ok(None);
    };
    let repetition = head.get(5).copied();
    let Some(field) = head.split(|b| b == separator).nth(17) else {
        return Ok(None);
    };
    let first = field.split(|b| Some(*b) == repetition).next().unwrap_or_default();
    let name = String::from_utf8_lossy(first);
    let name = name.trim();
    if name.is_empty() || name == "\"\"" {
        return Ok(None);
    }
    Charset::named(name).map(Some).ok_or_else(|| {
        Fault::at(
            Code::TableValue,
            Place::field("MSH", 18),
            "this character set is not read: see docs/HL7.md for those that are",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_believed() {
        let cases: &[(&str, &[u8], Option<&str>)] = &[
            ("ASCII", b"abc", Some("abc")),
            ("ASCII", b"caf\xe9", None),
            ("UNICODE UTF-8", "café".as_bytes(), Some("café")),
            ("UNICODE UTF-8", b"caf\xe9", None),
            ("8859/1", b"caf\xe9", Some("café")),
            ("8859/5", b"\xb8\xd2\xd0\xdd", Some("Иван")),
            ("8859/7", b"\xc1\xed\xed\xe1", Some("Αννα")),
            ("8859/9", b"\xde", Some("Ş")),
            ("8859/15", b"\xa4", Some("€")),
            ("BIG-5", b"\xa4\xa4", Some("中")),
            ("GB 18030-2000", b"\xd6\xd0", Some("中")),
            ("KS X 1001", b"\xb1\xe8", Some("김")),
        ];
        for (name, bytes, text) in cases {
            let set = Charset::named(name).unwrap();
            assert_eq!(set.decode(bytes).ok().as_deref(), *text, "{name}");
        }
        for unread in ["ISO IR87", "UNICODE UTF-16", "CNS 11643-1992", "EBCDIC"] {
            assert_eq!(Charset::named(unread), None, "{unread}");
        }
    }

    #[test]
    fn it_is_found_before_the_message_is_read() {
        let msh = |set: &str| format!("MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5.1||||||{set}|\rPID|1");
        let of = |text: String| declared(text.as_bytes());
        assert_eq!(of(msh("8859/1~UNICODE")), Ok(Charset::named("8859/1")));
        assert_eq!(of(msh("")), Ok(None));
        assert_eq!(of("MSH|^~\\&|A".into()), Ok(None));
        assert_eq!(of("MSH".into()), Ok(None));
        assert_eq!(of(msh("EBCDIC")).unwrap_err().code, Code::TableValue);
    }
}
