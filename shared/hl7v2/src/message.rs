//! A message as it is read: segments, fields, repetitions, components, and text with its escapes undone.

use crate::charset::{self, Charset};
use crate::fault::{Code, Fault, Place};
use hl7kit::{Encoding, ParseError};

/// Segments that a message may have at most.
const MOST_SEGMENTS: usize = 20_000;

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    read: hl7kit::Message,
    charset: Charset,
}

/// What the MSH segment says, as far as the way in needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// MSH-3, with its components.
    pub application: String,
    /// MSH-4, with its components.
    pub facility: String,
    /// MSH-5.
    pub to_application: String,
    /// MSH-6.
    pub to_facility: String,
    /// MSH-7 as sent.
    pub dated: String,
    /// MSH-9.1, e.g. `ADT`.
    pub kind: String,
    /// MSH-9.2, e.g. `A01`.
    pub event: String,
    /// MSH-10.
    pub control: String,
    /// MSH-11.1.
    pub processing: String,
    /// MSH-12.1.
    pub version: String,
    /// MSH-15: `AL`, `NE`, `ER`, `SU` or empty.
    pub accept: String,
    /// MSH-16, likewise.
    pub application_accept: String,
}

impl Message {
    /// Reads a message. `default` is the character set of a message that declares none.
    ///
    /// # Errors
    /// [`Fault`] for what is no message, and for text that is not of its character set.
    pub fn read(bytes: &[u8], default: Charset) -> Result<Self, Fault> {
        let charset = charset::declared(bytes)?.unwrap_or(default);
        let text = charset.decode(bytes)?;
        if text.contains('\0') {
            return Err(Fault::whole(Code::DataType, "the message holds a null character"));
        }
        let read = hl7kit::Message::parse(text).map_err(|e| unreadable(&e))?;
        if read.segment_count() > MOST_SEGMENTS {
            return Err(Fault::whole(
                Code::SegmentSequence,
                format!("more than {MOST_SEGMENTS} segments"),
            ));
        }
        if read.segments().skip(1).any(|s| s.name() == "MSH") {
            return Err(Fault::at(
                Code::SegmentSequence,
                Place::of_segment("MSH", 2),
                "a second MSH: one block holds one message",
            ));
        }
        let odd = read
            .warnings()
            .iter()
            .any(|w| matches!(w, hl7kit::Warning::EncodingFallback { .. }));
        if odd {
            return Err(Fault::at(
                Code::DataType,
                Place::field("MSH", 2),
                "MSH-2 does not name four different encoding characters",
            ));
        }
        Ok(Self { read, charset })
    }

    /// The character set it was read by.
    #[must_use]
    pub const fn charset(&self) -> Charset {
        self.charset
    }

    /// The delimiters.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.read.encoding()
    }

    /// All segments in their order.
    pub fn segments(&self) -> impl Iterator<Item = Seg<'_>> {
        let mut seen: Vec<(&str, usize)> = Vec::new();
        self.read.segments().map(move |segment| {
            let name = segment.name();
            let nth = match seen.iter_mut().find(|(n, _)| *n == name) {
                Some((_, n)) => {
                    *n += 1;
                    *n
                }
                None => {
                    seen.push((name, 1));
                    1
                }
            };
            Seg {
                message: self,
                segment,
                nth,
            }
        })
    }

    /// Those of one name.
    pub fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = Seg<'m>> {
        self.segments().filter(move |s| s.name() == name)
    }

    /// The first of a name.
    #[must_use]
    pub fn first<'m>(&'m self, name: &'m str) -> Option<Seg<'m>> {
        self.all(name).next()
    }

    /// What MSH says.
    #[must_use]
    pub fn header(&self) -> Header {
        let Some(msh) = self.first("MSH") else {
            return Header::default();
        };
        Header {
            application: msh.rep(3).whole(),
            facility: msh.rep(4).whole(),
            to_application: msh.rep(5).whole(),
            to_facility: msh.rep(6).whole(),
            dated: msh.rep(7).text(1),
            kind: msh.rep(9).text(1),
            event: msh.rep(9).text(2),
            control: msh.rep(10).text(1),
            processing: msh.rep(11).text(1),
            version: msh.rep(12).text(1),
            accept: msh.rep(15).text(1),
            application_accept: msh.rep(16).text(1),
        }
    }

    fn undone(&self, text: &str) -> String {
        unescape(text, self.encoding(), self.charset)
    }
}

fn unreadable(e: &ParseError) -> Fault {
    match e {
        ParseError::Empty => Fault::whole(Code::SegmentSequence, "an empty message"),
        ParseError::MissingMsh { .. } => Fault::at(
            Code::SegmentSequence,
            Place::of_segment("MSH", 1),
            "a message begins with MSH",
        ),
        ParseError::MalformedMsh { .. } => Fault::at(
            Code::DataType,
            Place::field("MSH", 1),
            "MSH does not name the field separator and the encoding characters",
        ),
        ParseError::MalformedSegment { line, .. } => Fault::whole(
            Code::SegmentSequence,
            format!("line {line} is no segment: three letters or digits, then the field separator"),
        ),
        ParseError::InvalidUtf8 { .. } => Fault::whole(Code::DataType, "not text"),
    }
}

/// A segment.
#[derive(Clone, Copy)]
pub struct Seg<'m> {
    message: &'m Message,
    segment: hl7kit::Segment<'m>,
    nth: usize,
}

impl<'m> Seg<'m> {
    /// Its three letters.
    #[must_use]
    pub fn name(&self) -> &'m str {
        self.segment.name()
    }
    /// Which of the segments of its name, from 1.
    #[must_use]
    pub const fn nth(&self) -> usize {
        self.nth
    }
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of_segment(self.name(), self.nth)
    }
    /// Where one of its fields is.
    #[must_use]
    pub fn place_of(&self, field: usize) -> Place {
        Place {
            field,
            ..self.place()
        }
    }
    /// The first repetition of a field; an empty one where there is none. Fields are numbered from 1 as the standard does.
    #[must_use]
    pub fn rep(&self, field: usize) -> Rep<'m> {
        let rep = self.segment.field(field).and_then(|f| f.repetition(1));
        self.one(rep)
    }
    /// Those repetitions of a field that are not empty.
    pub fn reps(&self, field: usize) -> impl Iterator<Item = Rep<'m>> + use<'m> {
        let message = self.message;
        let field = self.segment.field(field);
        let all = field.into_iter().flat_map(|f| f.repetitions());
        all.map(move |r| Rep {
            message,
            rep: Some(r),
        })
        .filter(|r| !r.is_empty())
    }
    /// The text of a field's first component.
    #[must_use]
    pub fn text(&self, field: usize) -> String {
        self.rep(field).text(1)
    }
    /// Whether a field is HL7's null (`""`): what is recorded is to be removed.
    #[must_use]
    pub fn is_null(&self, field: usize) -> bool {
        self.segment.field(field).is_some_and(|f| f.is_null())
    }
    /// Whether a field says nothing, not even null.
    #[must_use]
    pub fn is_empty(&self, field: usize) -> bool {
        self.segment
            .field(field)
            .is_none_or(|f| f.value().trim().is_empty())
    }

    const fn one(&self, rep: Option<hl7kit::Repetition<'m>>) -> Rep<'m> {
        Rep {
            message: self.message,
            rep,
        }
    }
}

/// One repetition of a field.
#[derive(Clone, Copy)]
pub struct Rep<'m> {
    message: &'m Message,
    rep: Option<hl7kit::Repetition<'m>>,
}

impl<'m> Rep<'m> {
    /// Whether it says nothing, or only null.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rep.is_none_or(|r| matches!(r.value().trim(), "" | "\"\""))
    }
    /// A component, from 1.
    #[must_use]
    pub fn part(&self, component: usize) -> Part<'m> {
        Part {
            message: self.message,
            part: self.rep.and_then(|r| r.component(component)),
        }
    }
    /// The text of a component's first subcomponent, without white space at its ends; empty where there is none, and for
    /// HL7's null.
    #[must_use]
    pub fn text(&self, component: usize) -> String {
        self.part(component).text(1)
    }
    /// The whole of it with its delimiters, escapes undone: for comparing and for showing what was not understood.
    #[must_use]
    pub fn whole(&self) -> String {
        self.rep
            .map(|r| self.message.undone(r.value().trim()))
            .unwrap_or_default()
    }
    /// The whole of a component with its subcomponents, for a type that a sender split where the standard has no subcomponents.
    #[must_use]
    pub fn component_whole(&self, component: usize) -> String {
        let part = self.rep.and_then(|r| r.component(component));
        part.map(|p| self.message.undone(p.value().trim()))
            .filter(|t| t != "\"\"")
            .unwrap_or_default()
    }
}

/// A component.
#[derive(Clone, Copy)]
pub struct Part<'m> {
    message: &'m Message,
    part: Option<hl7kit::Component<'m>>,
}

impl Part<'_> {
    /// The text of a subcomponent, from 1.
    #[must_use]
    pub fn text(&self, sub: usize) -> String {
        let sub = self.part.and_then(|p| p.subcomponent(sub));
        sub.map(|s| self.message.undone(s.value().trim()))
            .filter(|t| t != "\"\"")
            .unwrap_or_default()
    }
}

/// Undoes the escapes of HL7 v2.5.1 §2.7: delimiters, `\Xdd..\` in the message's character set, `\.br\` and its kin as line
/// breaks, highlighting (`\H\`, `\N\`) away. What is not known stays as it is written.
fn unescape(text: &str, delimiters: Encoding, charset: Charset) -> String {
    let escape = char::from(delimiters.escape);
    let mut parts = text.split(escape);
    let Some(first) = parts.next() else {
        return String::new();
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(first);
    // Between two escape characters stands a sequence, when it is one; else the character stood for itself.
    let mut rest: Vec<&str> = parts.collect();
    rest.reverse();
    while let Some(sequence) = rest.pop() {
        match (sequence_text(sequence, delimiters, charset), rest.last()) {
            (Some(meant), Some(_)) => {
                out.push_str(&meant);
                if let Some(plain) = rest.pop() {
                    out.push_str(plain);
                }
            }
            _ => {
                out.push(escape);
                out.push_str(sequence);
            }
        }
    }
    out
}

fn sequence_text(sequence: &str, delimiters: Encoding, charset: Charset) -> Option<String> {
    let one = |b: u8| Some(char::from(b).to_string());
    match sequence {
        "F" => one(delimiters.field),
        "S" => one(delimiters.component),
        "T" => one(delimiters.subcomponent),
        "R" => one(delimiters.repetition),
        "E" => one(delimiters.escape),
        "H" | "N" => Some(String::new()),
        _ if sequence.starts_with(".br") || sequence.starts_with(".sp") || sequence.starts_with(".ce") => {
            Some("\n".into())
        }
        _ if sequence.starts_with(".in")
            || sequence.starts_with(".ti")
            || sequence.starts_with(".sk")
            || matches!(sequence, ".fi" | ".nf") =>
        {
            Some(" ".into())
        }
        _ => {
            let digits = sequence.strip_prefix('X')?;
            if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
                return None;
            }
            let mut bytes = Vec::with_capacity(digits.len() / 2);
            let mut rest = digits;
            while let Some((pair, more)) = rest.split_at_checked(2) {
                if pair.is_empty() {
                    break;
                }
                bytes.push(u8::from_str_radix(pair, 16).ok()?);
                rest = more;
            }
            // A carriage return or line feed by its number is a line break of the text.
            let text = charset.decode(&bytes).ok()?;
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            (!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t')).then_some(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, Fault> {
        Message::read(text.as_bytes(), Charset::UTF_8)
    }

    #[test]
    fn text_comes_out_of_its_escapes() {
        let cases = [
            ("plain", "plain"),
            (r"a\F\b\S\c\T\d\R\e\E\f", r"a|b^c&d~e\f"),
            (r"one\.br\two", "one\ntwo"),
            (r"\H\bold\N\ text", "bold text"),
            (r"caf\XC3A9\!", "café!"),
            (r"\Xé1\", r"\Xé1\"),
            (r"\XC3\", r"\XC3\"),
            (r"\X0D0A\end", "\nend"),
            (r"\X00\", r"\X00\"),
            (r"C:\temp", r"C:\temp"),
            (r"C:\temp\new\", r"C:\temp\new\"),
            (r"odd\", r"odd\"),
            (r"\Q\x", r"\Q\x"),
            (r"\Q\F\", r"\Q|"),
            ("", ""),
        ];
        for (sent, meant) in cases {
            assert_eq!(
                unescape(sent, Encoding::STANDARD, Charset::UTF_8),
                meant,
                "{sent}"
            );
        }
        let latin = Charset::named("8859/1").unwrap();
        assert_eq!(unescape(r"caf\XE9\", Encoding::STANDARD, latin), "café");
    }

    #[test]
    fn places_and_values_are_numbered_as_the_standard_does() {
        let m = read("MSH|^~\\&|A^1|B|C|D|20260101||ADT^A01^ADT_A01|7|P^T|2.5.1|||AL|NE\nPID|1||x^^^H&1.2&ISO^MR~y|\"\"\nOBX|1\nOBX|2")
            .unwrap();
        let h = m.header();
        assert_eq!(
            (
                h.application.as_str(),
                h.kind.as_str(),
                h.event.as_str(),
                h.control.as_str()
            ),
            ("A^1", "ADT", "A01", "7")
        );
        assert_eq!((h.accept.as_str(), h.application_accept.as_str()), ("AL", "NE"));
        let pid = m.first("PID").unwrap();
        let ids: Vec<String> = pid.reps(3).map(|r| r.text(1)).collect();
        assert_eq!(ids, ["x", "y"]);
        assert_eq!(pid.rep(3).part(4).text(2), "1.2");
        assert!(pid.is_null(4) && pid.is_empty(5) && !pid.is_empty(4) && pid.rep(4).is_empty());
        assert_eq!(m.all("OBX").nth(1).unwrap().place_of(5).to_string(), "OBX^2^5");
    }

    #[test]
    fn what_is_no_message_is_refused_at_its_place() {
        let cases = [
            ("", Code::SegmentSequence, ""),
            ("PID|1", Code::SegmentSequence, "MSH^1"),
            ("MSH", Code::DataType, "MSH^1^1"),
            ("MSH|^^^^|", Code::DataType, "MSH^1^2"),
            ("MSH|^~\\&|A\rno segment", Code::SegmentSequence, ""),
            ("MSH|^~\\&|A\rMSH|^~\\&|B", Code::SegmentSequence, "MSH^2"),
            ("MSH|^~\\&|A\rPID|\0", Code::DataType, ""),
        ];
        for (text, code, place) in cases {
            let fault = read(text).unwrap_err();
            assert_eq!(fault.code, code, "{text:?}");
            assert_eq!(
                fault.place.map(|p| p.to_string()).unwrap_or_default(),
                place,
                "{text:?}"
            );
        }
    }

    #[test]
    fn delimiters_are_those_of_the_message() {
        let m = read("MSH#$*!@#A#B#C#D#20260101##ADT$A01#1#P#2.5\rPID#1##a$b!F!c*d").unwrap();
        let pid = m.first("PID").unwrap();
        assert_eq!(pid.rep(3).text(2), "b#c");
        assert_eq!(pid.reps(3).count(), 2);
    }
}
