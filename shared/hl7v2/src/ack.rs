//! Acknowledgements (HL7 v2.5.1 §2.9, §2.15.8 MSA, §2.15.5 ERR).

use crate::fault::Fault;
use crate::message::Header;

/// MSA-1, HL7 table 0008.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Taken: it is in the record, or was before.
    Accept,
    /// Its content is at fault; sending it again changes nothing.
    Error,
    /// A message of this type, event, processing id or version is not taken.
    Reject,
}

/// Which acknowledgements a message asks for: MSH-15 and MSH-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both are empty: one acknowledgement, of the application (`AA`, `AE`, `AR`).
    Original,
    /// The accept acknowledgement (`CA`, `CE`, `CR`), the one of the application, or both.
    Enhanced {
        /// Whether the accept acknowledgement is to be sent.
        accept: bool,
        /// Whether the application's is.
        application: bool,
    },
}

impl Mode {
    /// What a message with this answer is to hear. MSH-15 and MSH-16 are of table 0155.
    #[must_use]
    pub fn of(header: &Header, answer: Answer) -> Self {
        if header.accept.is_empty() && header.application_accept.is_empty() {
            return Self::Original;
        }
        let wanted = |condition: &str| match condition {
            "AL" => true,
            "ER" => answer != Answer::Accept,
            "SU" => answer == Answer::Accept,
            _ => false,
        };
        Self::Enhanced {
            accept: wanted(&header.accept),
            application: wanted(&header.application_accept),
        }
    }
}

/// Writes the acknowledgements that a message is to hear: none, one or two, in their order. `at` is the time as
/// `YYYYMMDDHHMMSS+ZZZZ`, `control` the control id of the answer. What comes from the message is escaped anew.
#[must_use]
pub fn acknowledge(
    header: &Header,
    answer: Answer,
    faults: &[Fault],
    at: &str,
    control: &str,
) -> Vec<Vec<u8>> {
    let one = |code: &str, control: &str| write(header, code, answer, faults, at, control);
    match Mode::of(header, answer) {
        Mode::Original => vec![one(code(b'A', answer), control)],
        Mode::Enhanced { accept, application } => {
            let mut out = Vec::new();
            if accept {
                out.push(one(code(b'C', answer), control));
            }
            if application {
                out.push(one(code(b'A', answer), &format!("{control}A")));
            }
            out
        }
    }
}

const fn code(of: u8, answer: Answer) -> &'static str {
    match (of, answer) {
        (b'C', Answer::Accept) => "CA",
        (b'C', Answer::Error) => "CE",
        (b'C', Answer::Reject) => "CR",
        (_, Answer::Accept) => "AA",
        (_, Answer::Error) => "AE",
        (_, Answer::Reject) => "AR",
    }
}

fn write(header: &Header, code: &str, answer: Answer, faults: &[Fault], at: &str, control: &str) -> Vec<u8> {
    let event = if header.event.is_empty() {
        "ACK".to_owned()
    } else {
        format!("ACK^{}^ACK", escaped(&header.event))
    };
    let or = |text: &str, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            escaped(text)
        }
    };
    // The name of an application or facility has components of its own (data type HD).
    let hd = |text: &str| text.split('^').map(escaped).collect::<Vec<_>>().join("^");
    let mut out = format!(
        "MSH|^~\\&|{}|{}|{}|{}|{at}||{event}|{}|{}|{}||||||UNICODE UTF-8\r",
        hd(&header.to_application),
        hd(&header.to_facility),
        hd(&header.application),
        hd(&header.facility),
        escaped(control),
        or(&header.processing, "P"),
        or(&header.version, "2.5.1"),
    );
    out.push_str(&format!("MSA|{code}|{}\r", escaped(&header.control)));
    for fault in faults {
        let place = fault.place.map(|p| p.to_string()).unwrap_or_default();
        let severity = if answer == Answer::Accept { "W" } else { "E" };
        out.push_str(&format!(
            "ERR||{place}|{}^{}^HL70357|{severity}||||{}\r",
            fault.code.number(),
            fault.code.words(),
            escaped(&fault.text),
        ));
    }
    out.into_bytes()
}

/// A text with the standard delimiters escaped, on one line, without control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '&' => out.push_str("\\T\\"),
            '~' => out.push_str("\\R\\"),
            '\\' => out.push_str("\\E\\"),
            '\n' => out.push_str("\\.br\\"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charset::Charset;
    use crate::fault::{Code, Place};
    use crate::message::Message;

    fn header(accept: &str, application: &str) -> Header {
        Header {
            application: "LAB^1.2.3^ISO".into(),
            facility: "NORTH".into(),
            event: "R01".into(),
            control: "A|7".into(),
            accept: accept.into(),
            application_accept: application.into(),
            ..Header::default()
        }
    }

    #[test]
    fn who_asks_for_it_hears_it() {
        use Answer::{Accept, Error, Reject};
        let cases: &[(&str, &str, Answer, &[&str])] = &[
            ("", "", Accept, &["AA"]),
            ("", "", Error, &["AE"]),
            ("", "", Reject, &["AR"]),
            ("AL", "NE", Accept, &["CA"]),
            ("AL", "AL", Error, &["CE", "AE"]),
            ("NE", "ER", Accept, &[]),
            ("NE", "ER", Reject, &["AR"]),
            ("SU", "SU", Accept, &["CA", "AA"]),
            ("ER", "SU", Reject, &["CR"]),
            ("AL", "", Accept, &["CA"]),
        ];
        for (accept, application, answer, codes) in cases {
            let h = header(accept, application);
            let all = acknowledge(&h, *answer, &[], "20260101120000+0000", "V1");
            let read: Vec<String> = all
                .iter()
                .map(|a| {
                    let m = Message::read(a, Charset::UTF_8).unwrap();
                    assert_eq!(m.first("MSA").unwrap().text(2), "A|7");
                    m.first("MSA").unwrap().text(1)
                })
                .collect();
            assert_eq!(read, *codes, "{accept}/{application} {answer:?}");
        }
    }

    #[test]
    fn a_refusal_names_its_place_and_code() {
        let fault = Fault::at(Code::RequiredField, Place::field("PID", 3), "PID-3 | is ^ empty");
        let all = acknowledge(
            &header("", ""),
            Answer::Error,
            &[fault],
            "20260101120000+0000",
            "V1",
        );
        let m = Message::read(&all[0], Charset::UTF_8).unwrap();
        let err = m.first("ERR").unwrap();
        assert_eq!(err.rep(2).whole(), "PID^1^3");
        assert_eq!((err.text(3).as_str(), err.text(4).as_str()), ("101", "E"));
        assert_eq!(err.text(8), "PID-3 | is ^ empty");
        let h = m.header();
        assert_eq!(
            (h.to_application.as_str(), h.to_facility.as_str()),
            ("LAB^1.2.3^ISO", "NORTH")
        );
    }
}
