//! A message as text for a person, and their text as bytes.
//!
//! Lives here: its character set, its lines, where in them a place is. Never here: what a line means. Called by `super::Known`'s callers:
//! the `message` command and the console.

use super::Known;
use vitrine_hl7v2::charset::{Charset, declared};

/// Stands for bytes that are not of the message's character set.
const UNREAD: char = '\u{fffd}';

/// A line of a message; what is at fault in it stands apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// All of it, or what comes before the place.
    pub before: String,
    /// What stands at the place, possibly nothing.
    pub marked: Option<String>,
    /// What comes after it.
    pub after: String,
}

impl Known {
    fn charset_of(&self, bytes: &[u8]) -> Option<Charset> {
        declared(bytes)
            .ok()
            .map(|set| set.unwrap_or_else(|| self.rules.default_charset()))
    }

    /// A message as text, its lines ending in `\n`, and whether every byte of it was of its character set. Where it was not, `U+FFFD`
    /// stands for what could not be read.
    #[must_use]
    pub fn text_of(&self, bytes: &[u8]) -> (String, bool) {
        let read = self.charset_of(bytes).and_then(|set| set.decode(bytes).ok());
        let exact = read.is_some();
        let text = read.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
        (text.replace("\r\n", "\n").replace('\r', "\n"), exact)
    }

    /// Text that a person wrote, in the character set that it declares or that of the feed.
    ///
    /// # Errors
    /// What cannot be written so, in words.
    pub fn bytes_of(&self, text: &str) -> Result<Vec<u8>, String> {
        if text.contains(UNREAD) {
            return Err(format!(
                "the text holds {UNREAD}, which stands for what could not be read or shown: type what it was to be"
            ));
        }
        let set = match declared(text.as_bytes()) {
            Ok(set) => set.unwrap_or_else(|| self.rules.default_charset()),
            Err(fault) => return Err(format!("MSH-18: {}", fault.text)),
        };
        let cannot = |name: &str| {
            format!(
                "the text holds a letter that its character set ({name}, MSH-18 or that of the feed) does not have"
            )
        };
        match set {
            Charset::Ascii if text.is_ascii() => Ok(text.as_bytes().to_vec()),
            Charset::Ascii => Err(cannot("ASCII")),
            Charset::Known(set) => {
                let (bytes, _, lost) = set.encode(text);
                if lost {
                    return Err(cannot(set.name()));
                }
                Ok(bytes.into_owned())
            }
        }
    }
}

/// The lines of a message's text; the one with the place (ERR-2: segment, which of that name, field …) has it apart. A field is
/// marked as a whole. A place that the message does not have marks nothing.
#[must_use]
pub fn lines(text: &str, place: Option<&str>) -> Vec<Line> {
    let mut parts = place.unwrap_or_default().split('^');
    let name = parts.next().unwrap_or_default();
    let mut number = || parts.next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let (nth, field) = (number().max(1), number());
    let is = |line: &str, name: &str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|r| r.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric()))
    };
    let header = text.lines().find(|l| is(l, "MSH"));
    let separator = header.and_then(|l| l.chars().nth(3)).unwrap_or('|');
    let mut seen = 0;
    let line = |line: &str| {
        seen += usize::from(name.len() == 3 && is(line, name));
        let here = name.len() == 3 && is(line, name) && seen == nth;
        let (before, marked, after) = if here {
            let (before, at, after) = field_of(line, separator, field);
            (before, Some(at.to_owned()), after)
        } else {
            (line, None, "")
        };
        Line {
            before: before.to_owned(),
            marked,
            after: after.to_owned(),
        }
    };
    text.lines().filter(|l| !l.is_empty()).map(line).collect()
}

/// A line around its field; field 0 is all of it, and one that it does not have is nothing at its end.
fn field_of(line: &str, separator: char, field: usize) -> (&str, &str, &str) {
    if field == 0 {
        return ("", line, "");
    }
    // MSH-1 is the separator itself.
    let nth = if line.starts_with("MSH") {
        field.saturating_sub(1)
    } else {
        field
    };
    if nth == 0 {
        return (
            line.get(..3).unwrap_or(line),
            line.get(3..3 + separator.len_utf8()).unwrap_or_default(),
            line.get(3 + separator.len_utf8()..).unwrap_or_default(),
        );
    }
    let mut at = 0;
    for (n, part) in line.split(separator).enumerate() {
        let end = at + part.len();
        if n == nth {
            return (
                line.get(..at).unwrap_or_default(),
                part,
                line.get(end..).unwrap_or_default(),
            );
        }
        at = end + separator.len_utf8();
    }
    (line, "", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FeedRules;

    fn feed(charset: &str) -> Known {
        Known::new(FeedRules {
            charset: charset.to_owned(),
            ..FeedRules::default()
        })
    }

    #[test]
    fn the_place_of_a_fault_is_found_in_the_lines() {
        let text = "MSH|^~\\&|LAB|N\nPID|1||7O03\nOBX|1|NM|K\nOBX|2|NM|Na|x";
        let cases: &[(&str, usize, &str, &str, &str)] = &[
            ("PID^1^3", 1, "PID|1||", "7O03", ""),
            ("OBX^2^3", 3, "OBX|2|NM|", "Na", "|x"),
            ("OBX^1", 2, "", "OBX|1|NM|K", ""),
            ("OBX", 2, "", "OBX|1|NM|K", ""),
            ("MSH^1^3", 0, "MSH|^~\\&|", "LAB", "|N"),
            ("MSH^1^1", 0, "MSH", "|", "^~\\&|LAB|N"),
            ("MSH^1^2", 0, "MSH|", "^~\\&", "|LAB|N"),
            ("PID^1^18^1^4", 1, "PID|1||7O03", "", ""),
        ];
        for (place, n, before, marked, after) in cases {
            let all = lines(text, Some(place));
            assert_eq!(all.len(), 4);
            for (i, line) in all.iter().enumerate() {
                let whole = format!(
                    "{}{}{}",
                    line.before,
                    line.marked.clone().unwrap_or_default(),
                    line.after
                );
                assert_eq!(whole, text.lines().nth(i).unwrap(), "{place}");
                assert_eq!(line.marked.is_some(), i == *n, "{place}");
            }
            let it = &all[*n];
            assert_eq!(
                (&*it.before, it.marked.as_deref(), &*it.after),
                (*before, Some(*marked), *after),
                "{place}"
            );
        }
        for nowhere in [None, Some("PV1^1^44"), Some("OBX^3^5"), Some("???"), Some("")] {
            assert!(lines(text, nowhere).iter().all(|l| l.marked.is_none()));
        }
    }

    #[test]
    fn what_was_read_in_a_character_set_is_written_in_it() {
        let latin = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5.1||||||8859/1\rPID|1||7||\xd6deg\xe5rd\r";
        for feed in [feed(""), feed("8859/1")] {
            let (text, exact) = feed.text_of(latin);
            assert!(exact && text.contains("\nPID|1||7||Ödegård\n"), "{text}");
            let bytes = feed.bytes_of(&text).unwrap();
            assert!(bytes.ends_with(b"\xd6deg\xe5rd\n"));
            let said = feed.bytes_of(&text.replace("Ö", "Ω")).unwrap_err();
            assert!(said.contains("windows-1252"), "{said}");
        }
        // Without a declaration it is the feed's.
        let (text, exact) = feed("8859/1").text_of(b"MSH|^~\\&|A\rPID|\xe9");
        assert_eq!((text.as_str(), exact), ("MSH|^~\\&|A\nPID|é", true));
        let (text, exact) = feed("").text_of(b"MSH|^~\\&|A\rPID|\xe9");
        assert_eq!((text.as_str(), exact), ("MSH|^~\\&|A\nPID|\u{fffd}", false));
        // What could not be read is not sent on as if it had been.
        assert!(
            feed("")
                .bytes_of(&text)
                .unwrap_err()
                .contains("could not be read or shown")
        );
        assert_eq!(feed("").bytes_of("MSH|é").unwrap(), "MSH|é".as_bytes());
        assert!(feed("ASCII").bytes_of("MSH|é").unwrap_err().contains("ASCII"));
    }
}
