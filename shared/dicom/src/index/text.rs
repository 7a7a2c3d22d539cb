//! Text by its Specific Character Set `(0008,0005)`.
//!
//! Lives here: PS3.5 §6.1, with the switching of ISO 2022 within a value, its resets, and delimiters that may be half of
//! a two-byte character. The single character sets are decoded by `dicom-encoding`, which alone switches nothing: it
//! looks at the first term only. Two that it lacks, ISO 8859-9 (Turkish) and 8859-15, are derived here from 8859-1.
//! JIS X 0212 (`ISO 2022 IR 159`) goes as far as `dicom-encoding`'s ISO-2022-JP decoder knows its escape. A byte that
//! means nothing in its set becomes `\ooo` (octal), as PS3.5 §6.1.2.3 suggests for what cannot be shown.
//! Never here: what text means. Called by [`super::tree`] and [`super::json`].

use dicom_core::VR;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec as _};

const ESC: u8 = 0x1B;

/// One set of characters for the bytes from 0x80 up (or for all, where it has two bytes per character).
#[derive(Debug, Clone, PartialEq)]
enum Set {
    /// As `dicom-encoding` decodes it.
    Coded(SpecificCharacterSet),
    /// GBK or GB18030: the second byte may look like a delimiter.
    Wide(SpecificCharacterSet),
    /// ISO 8859-9.
    Latin5,
    /// ISO 8859-15.
    Latin9,
}

impl Set {
    fn of(term: &str) -> Option<Self> {
        let term = term.trim_matches([' ', '\0']);
        match term {
            "" => Some(Self::Coded(SpecificCharacterSet::ISO_IR_6)),
            "ISO_IR 148" | "ISO 2022 IR 148" => Some(Self::Latin5),
            "ISO_IR 203" | "ISO 2022 IR 203" => Some(Self::Latin9),
            // Kanji come by their escape: what is not escaped is ASCII. Korean and Chinese come without one where a
            // sender declares nothing else.
            "ISO 2022 IR 87" | "ISO 2022 IR 159" => Some(Self::Coded(SpecificCharacterSet::ISO_IR_6)),
            "GB18030" | "GBK" | "GB2312" => SpecificCharacterSet::from_code(term).map(Self::Wide),
            // The commonest slip of senders.
            "ISO-IR 100" | "ISO_IR_100" | "ISO 8859-1" | "latin1" => Self::coded("ISO_IR 100"),
            "ISO-IR 192" | "UTF-8" | "ISO 2022 IR 192" => Self::coded("ISO_IR 192"),
            _ => Self::coded(term),
        }
    }

    fn coded(term: &str) -> Option<Self> {
        SpecificCharacterSet::from_code(term).map(Self::Coded)
    }

    fn decode(&self, bytes: &[u8], out: &mut String) {
        let latin1 = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
        match self {
            Self::Coded(set) | Self::Wide(set) => match set.decode(bytes) {
                Ok(text) => out.push_str(&text),
                Err(_) => out.push_str(&latin1(bytes)),
            },
            Self::Latin5 => out.extend(latin1(bytes).chars().map(|c| match c {
                '\u{D0}' => 'Ğ',
                '\u{DD}' => 'İ',
                '\u{DE}' => 'Ş',
                '\u{F0}' => 'ğ',
                '\u{FD}' => 'ı',
                '\u{FE}' => 'ş',
                c => c,
            })),
            Self::Latin9 => out.extend(latin1(bytes).chars().map(|c| match c {
                '\u{A4}' => '€',
                '\u{A6}' => 'Š',
                '\u{A8}' => 'š',
                '\u{B4}' => 'Ž',
                '\u{B8}' => 'ž',
                '\u{BC}' => 'Œ',
                '\u{BD}' => 'œ',
                '\u{BE}' => 'Ÿ',
                c => c,
            })),
        }
    }
}

/// What the bytes below 0x80 are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Low {
    Ascii,
    /// Two bytes for a character, behind this escape.
    Kanji(&'static [u8]),
    /// JIS X 0201 katakana in the lower half.
    Katakana,
}

/// The character sets of a data set or item.
#[derive(Debug, Clone, PartialEq)]
pub struct Charsets {
    first: Set,
    /// Whether a term was not known; its text is read as ISO 8859-1.
    pub unknown: bool,
    /// Whether anything but ASCII is declared.
    pub declared: bool,
}

impl Default for Charsets {
    fn default() -> Self {
        Self {
            first: Set::Coded(SpecificCharacterSet::ISO_IR_6),
            unknown: false,
            declared: false,
        }
    }
}

/// The escapes of PS3.5 Tables C.12-3 and C.12-4 (PS3.3), longest first.
enum Escape {
    Low(Low),
    High(Set),
}

fn escape(bytes: &[u8]) -> Option<(usize, Escape)> {
    let high = |n, term: &str| Some((n, Escape::High(Set::coded(term)?)));
    let low = |n, low| Some((n, Escape::Low(low)));
    match bytes {
        [ESC, b'$', b')', b'C', ..] => high(4, "ISO_IR 149"),
        [ESC, b'$', b')', b'A', ..] => high(4, "GBK"),
        [ESC, b'$', b'(', b'D', ..] => low(4, Low::Kanji(b"\x1b$(D")),
        [ESC, b'$', b'B' | b'@', ..] => low(3, Low::Kanji(b"\x1b$B")),
        [ESC, b'(', b'B' | b'J', ..] => low(3, Low::Ascii),
        [ESC, b'(', b'I', ..] => low(3, Low::Katakana),
        [ESC, b')', b'I', ..] => high(3, "ISO_IR 13"),
        [ESC, b'-', b'A', ..] => high(3, "ISO_IR 100"),
        [ESC, b'-', b'B', ..] => high(3, "ISO_IR 101"),
        [ESC, b'-', b'C', ..] => high(3, "ISO_IR 109"),
        [ESC, b'-', b'D', ..] => high(3, "ISO_IR 110"),
        [ESC, b'-', b'F', ..] => high(3, "ISO_IR 126"),
        [ESC, b'-', b'G', ..] => high(3, "ISO_IR 127"),
        [ESC, b'-', b'H', ..] => high(3, "ISO_IR 138"),
        [ESC, b'-', b'L', ..] => high(3, "ISO_IR 144"),
        [ESC, b'-', b'M', ..] => Some((3, Escape::High(Set::Latin5))),
        [ESC, b'-', b'T', ..] => high(3, "ISO_IR 166"),
        [ESC, b'-', b'b', ..] => Some((3, Escape::High(Set::Latin9))),
        _ => None,
    }
}

/// Whether the value of this representation is by `(0008,0005)`; all others are ASCII (PS3.5 §6.1.2.2).
fn is_by_charset(vr: VR) -> bool {
    matches!(vr, VR::SH | VR::LO | VR::ST | VR::LT | VR::PN | VR::UC | VR::UT)
}

/// Whether `\` is a character of it and not the end of a value (PS3.5 §6.4).
fn is_one_value(vr: VR) -> bool {
    matches!(vr, VR::ST | VR::LT | VR::UT | VR::UR)
}

impl Charsets {
    /// From the values of `(0008,0005)`.
    pub fn of<'a>(terms: impl IntoIterator<Item = &'a str>) -> Self {
        let mut own = Self::default();
        for (n, term) in terms.into_iter().enumerate() {
            let set = Set::of(term);
            own.unknown |= set.is_none();
            own.declared |= !matches!(term.trim(), "" | "ISO_IR 6" | "ISO 2022 IR 6");
            if n == 0 {
                own.first = set.unwrap_or(Set::Coded(SpecificCharacterSet::ISO_IR_6));
            }
        }
        own
    }

    /// The values of an element, without their padding.
    pub fn values(&self, bytes: &[u8], vr: VR) -> Vec<String> {
        let ascii = Self::default();
        let sets = if is_by_charset(vr) { self } else { &ascii };
        let mut values = sets.split(bytes, vr);
        for value in &mut values {
            let end = value.trim_end_matches([' ', '\0']);
            let kept = if is_one_value(vr) {
                end
            } else {
                end.trim_start_matches(' ')
            };
            if kept.len() != value.len() {
                *value = kept.to_owned();
            }
        }
        values
    }

    fn split(&self, bytes: &[u8], vr: VR) -> Vec<String> {
        let one = is_one_value(vr);
        let mut out = Vec::new();
        let mut value = String::new();
        let (mut low, mut high) = (Low::Ascii, self.first.clone());
        let mut rest = bytes;
        while let Some(&b) = rest.first() {
            if b == ESC
                && let Some((n, change)) = escape(rest)
            {
                match change {
                    Escape::Low(l) => low = l,
                    Escape::High(h) => high = h,
                }
                rest = rest.get(n..).unwrap_or_default();
                continue;
            }
            let n = run(rest, low, &high);
            let (taken, behind) = rest.split_at(n.min(rest.len()));
            rest = behind;
            match (b, low) {
                (0x80.., _) => high.decode(taken, &mut value),
                (0x21..=0x7E, Low::Kanji(esc)) => {
                    let kanji = [esc, taken, b"\x1b(B"].concat();
                    match SpecificCharacterSet::from_code("ISO_IR 87").map(|s| s.decode(&kanji)) {
                        Some(Ok(text)) => value.push_str(&text),
                        _ => value.push(char::REPLACEMENT_CHARACTER),
                    }
                }
                (0x21..=0x5F, Low::Katakana) => {
                    let shifted: Vec<u8> = taken.iter().map(|b| b | 0x80).collect();
                    if let Some(set) = Set::coded("ISO_IR 13") {
                        set.decode(&shifted, &mut value);
                    }
                }
                (b'\\', _) if !one => {
                    out.push(std::mem::take(&mut value));
                    (low, high) = (Low::Ascii, self.first.clone());
                }
                (b'^' | b'=', _) if vr == VR::PN => {
                    value.push(char::from(b));
                    (low, high) = (Low::Ascii, self.first.clone());
                }
                (b'\r' | b'\n' | 0x0C | b'\t', _) => {
                    value.push(char::from(b));
                    (low, high) = (Low::Ascii, self.first.clone());
                }
                _ => value.extend(taken.iter().map(|b| char::from(*b))),
            }
        }
        out.push(value);
        out
    }
}

/// How many of the bytes belong together: of the same half, up to a delimiter or an escape.
fn run(bytes: &[u8], low: Low, high: &Set) -> usize {
    let first = bytes.first().copied().unwrap_or(0);
    if first >= 0x80 {
        if let Set::Wide(_) = high {
            // Two bytes, or four when the second is a digit (GB18030): the pairs may have a `\` in them.
            let mut n = 0;
            while bytes.get(n).is_some_and(|b| *b >= 0x80) {
                n += if bytes.get(n + 1).is_some_and(u8::is_ascii_digit) {
                    4
                } else {
                    2
                };
            }
            return n;
        }
        return bytes.iter().take_while(|b| **b >= 0x80).count();
    }
    match low {
        Low::Kanji(_) if first > 0x20 => bytes.iter().take_while(|b| (0x21..=0x7E).contains(*b)).count(),
        Low::Katakana if first > 0x20 => bytes.iter().take_while(|b| (0x21..=0x5F).contains(*b)).count(),
        _ if matches!(first, b'\\' | b'^' | b'=' | b'\r' | b'\n' | 0x0C | b'\t' | ESC) => 1,
        _ => bytes
            .iter()
            .take_while(|b| {
                **b < 0x80 && !matches!(**b, b'\\' | b'^' | b'=' | b'\r' | b'\n' | 0x0C | b'\t' | ESC)
            })
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pn(terms: &str, bytes: &[u8]) -> Vec<String> {
        Charsets::of(terms.split('\\')).values(bytes, VR::PN)
    }

    /// The examples of PS3.5 Annexes H, I and K.
    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(
            pn(
                "\\ISO 2022 IR 87",
                b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
            ),
            ["Yamada^Tarou=山田^太郎=やまだ^たろう"]
        );
        assert_eq!(
            pn(
                "ISO 2022 IR 13\\ISO 2022 IR 87",
                b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
            ),
            ["ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"]
        );
        assert_eq!(
            pn(
                "\\ISO 2022 IR 149",
                b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
            ),
            ["Hong^Gildong=洪^吉洞=홍^길동"]
        );
        assert_eq!(
            pn("ISO_IR 192", "Wang^XiaoDong=王^小東=".as_bytes()),
            ["Wang^XiaoDong=王^小東="]
        );
        assert_eq!(
            pn("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab="),
            ["Wang^XiaoDong=王^小东="]
        );
        assert_eq!(
            pn(
                "\\ISO 2022 IR 58",
                b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="
            ),
            ["Zhang^XiaoDong=张^小东="]
        );
    }

    #[test]
    fn half_a_character_is_no_delimiter() {
        // 誠 is 0x40 0x3F in JIS X 0208, 表 0x49 0x3D: `=`. In GBK 乗 is 0x81 0x5C: a backslash.
        assert_eq!(pn("\\ISO 2022 IR 87", b"\x1b$BI=\x1b(B^A"), ["表^A"]);
        assert_eq!(pn("GBK", b"\x81\x5cA\\B"), ["乗A", "B"]);
    }

    /// JIS X 0212, which `dicom-encoding` has no set for, though its decoder knows it.
    #[test]
    fn supplementary_kanji() {
        assert_eq!(pn("\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(B^A"), ["丂^A"]);
    }

    #[test]
    fn escapes_end_with_the_value() {
        let values = pn(
            "ISO 2022 IR 100\\ISO 2022 IR 144",
            b"\x1b-L\xbb\xee\xda^\xe4\\\xe4",
        );
        assert_eq!(values, ["Люк^ä", "ä"]);
    }

    #[test]
    fn what_has_no_charset_is_ascii_and_what_is_one_value_stays_one() {
        let utf8 = Charsets::of(["ISO_IR 192"]);
        assert_eq!(
            utf8.values(b"ORIGINAL\\PRIMARY ", VR::CS),
            ["ORIGINAL", "PRIMARY"]
        );
        assert_eq!(utf8.values("a\\ä ".as_bytes(), VR::LT), ["a\\ä"]);
        assert_eq!(utf8.values(b"1.2.3\0", VR::UI), ["1.2.3"]);
        assert_eq!(
            Charsets::of(["ISO_IR 148"]).values(b"\xdeule\xfd", VR::LO),
            ["Şuleı"]
        );
        assert!(Charsets::of(["ISO_IR 999"]).unknown);
    }
}
