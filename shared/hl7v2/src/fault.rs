//! Why a message is not taken, in the words of its acknowledgement.

use std::fmt;

/// HL7 table 0357, message error condition codes (HL7 v2.5.1 §2.17.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// 100: segments in an order that cannot be, or one that is missing.
    SegmentSequence,
    /// 101: a required field is missing.
    RequiredField,
    /// 102: a value is not of its data type.
    DataType,
    /// 103: a value is not in its table.
    TableValue,
    /// 200: a type of message that is not taken.
    UnsupportedType,
    /// 201: an event that is not taken.
    UnsupportedEvent,
    /// 202: a processing id (MSH-11) that is not taken.
    UnsupportedProcessing,
    /// 203: a version (MSH-12) that is not taken.
    UnsupportedVersion,
    /// 204: what it is about is not known here.
    UnknownKey,
    /// 205: the key is there already, with something else.
    DuplicateKey,
    /// 206: what it is about is being changed by somebody else.
    Locked,
    /// 207: our own failure.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::SegmentSequence,
        Self::RequiredField,
        Self::DataType,
        Self::TableValue,
        Self::UnsupportedType,
        Self::UnsupportedEvent,
        Self::UnsupportedProcessing,
        Self::UnsupportedVersion,
        Self::UnknownKey,
        Self::DuplicateKey,
        Self::Locked,
        Self::Internal,
    ];

    /// The number of the table.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::SegmentSequence => 100,
            Self::RequiredField => 101,
            Self::DataType => 102,
            Self::TableValue => 103,
            Self::UnsupportedType => 200,
            Self::UnsupportedEvent => 201,
            Self::UnsupportedProcessing => 202,
            Self::UnsupportedVersion => 203,
            Self::UnknownKey => 204,
            Self::DuplicateKey => 205,
            Self::Locked => 206,
            Self::Internal => 207,
        }
    }

    /// The words of the table.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::SegmentSequence => "Segment sequence error",
            Self::RequiredField => "Required field missing",
            Self::DataType => "Data type error",
            Self::TableValue => "Table value not found",
            Self::UnsupportedType => "Unsupported message type",
            Self::UnsupportedEvent => "Unsupported event code",
            Self::UnsupportedProcessing => "Unsupported processing id",
            Self::UnsupportedVersion => "Unsupported version id",
            Self::UnknownKey => "Unknown key identifier",
            Self::DuplicateKey => "Duplicate key identifier",
            Self::Locked => "Application record locked",
            Self::Internal => "Application internal error",
        }
    }

    /// Whether the message as such is refused (`AR`: its type, event, processing id or version), not its content (`AE`);
    /// HL7 v2.5.1 §2.9.2.
    #[must_use]
    pub const fn rejects(self) -> bool {
        matches!(
            self,
            Self::UnsupportedType
                | Self::UnsupportedEvent
                | Self::UnsupportedProcessing
                | Self::UnsupportedVersion
        )
    }
}

/// Where in a message, as ERR-2 (data type ERL) names it; all numbers from 1, 0 where it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Three letters, e.g. `PID`.
    pub segment: [u8; 3],
    /// Which of the segments of that name.
    pub nth: usize,
    /// Field.
    pub field: usize,
    /// Repetition.
    pub rep: usize,
    /// Component.
    pub comp: usize,
}

impl Place {
    /// A segment as a whole.
    #[must_use]
    pub fn of_segment(name: &str, nth: usize) -> Self {
        let mut segment = *b"???";
        for (to, from) in segment.iter_mut().zip(name.bytes()) {
            if from.is_ascii_alphanumeric() {
                *to = from;
            }
        }
        Self {
            segment,
            nth,
            field: 0,
            rep: 0,
            comp: 0,
        }
    }

    /// A field of the first segment of that name.
    #[must_use]
    pub fn field(name: &str, field: usize) -> Self {
        Self {
            field,
            ..Self::of_segment(name, 1)
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.segment).unwrap_or("???"))?;
        for n in [self.nth, self.field, self.rep, self.comp] {
            if n == 0 {
                break;
            }
            write!(f, "^{n}")?;
        }
        Ok(())
    }
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} ({}): {text}", code.number(), place.map(|p| p.to_string()).unwrap_or_default())]
pub struct Fault {
    /// Which kind.
    pub code: Code,
    /// Where.
    pub place: Option<Place>,
    /// What is wrong and what to mend, without a value of the message.
    pub text: String,
}

impl Fault {
    /// One at a place.
    #[must_use]
    pub fn at(code: Code, place: Place, text: impl Into<String>) -> Self {
        Self {
            code,
            place: Some(place),
            text: text.into(),
        }
    }
    /// One of the message as a whole.
    #[must_use]
    pub fn whole(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            place: None,
            text: text.into(),
        }
    }
}
