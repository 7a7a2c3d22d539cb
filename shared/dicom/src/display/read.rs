//! Reading a header in DICOM JSON (PS3.18 Annex F).
//!
//! Lives here: values of an attribute, and where an attribute of one frame is looked for: its own functional groups, the
//! shared ones, the top (PS3.3 §C.7.6.16). What is there and cannot be used becomes a note. Never here: what attributes
//! mean. Called by [`super`].

use base64::Engine as _;
use dicom_core::Tag;
use dicom_dictionary_std::tags as t;
use serde_json::Value;
use std::cell::RefCell;

/// Notes of one frame: more say nothing new.
const NOTES_MOST: usize = 32;

/// A data set, or an item of one.
#[derive(Clone, Copy)]
pub struct Set<'h>(&'h Value);

impl<'h> Set<'h> {
    pub fn attribute(self, tag: Tag) -> Option<&'h Value> {
        self.0.get(format!("{:04X}{:04X}", tag.0, tag.1))
    }

    pub fn values(self, tag: Tag) -> &'h [Value] {
        let list = self.attribute(tag).and_then(|a| a.get("Value"));
        list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub fn vr(self, tag: Tag) -> &'h str {
        let vr = self.attribute(tag).and_then(|a| a.get("vr"));
        vr.and_then(Value::as_str).unwrap_or_default()
    }

    pub fn items(self, tag: Tag) -> impl Iterator<Item = Set<'h>> {
        self.values(tag).iter().map(Set)
    }

    /// Texts, trimmed, with empty ones in their place.
    pub fn texts(self, tag: Tag) -> Vec<&'h str> {
        let all = self.values(tag).iter();
        all.map(|v| v.as_str().unwrap_or_default().trim()).collect()
    }

    /// The first text, if it is not empty.
    pub fn text(self, tag: Tag) -> Option<&'h str> {
        let text = self.values(tag).first()?.as_str()?.trim();
        Some(text).filter(|t| !t.is_empty())
    }

    /// The first value, if it is a whole number.
    pub fn whole(self, tag: Tag) -> Option<i64> {
        whole(self.values(tag).first()?)
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn decimal(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| {
        let text = value.as_str()?.trim();
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
        text.parse().ok().filter(|_| plain)
    });
    number.filter(|n: &f64| n.is_finite())
}

/// What a lookup table is made of.
pub enum Raw {
    /// Numbers of two bytes.
    Words(Vec<u16>),
    /// Bytes, whose width the table's size tells.
    Bytes(Vec<u8>),
}

/// One frame of a header.
pub struct Look<'h> {
    pub root: Set<'h>,
    /// From 1.
    pub frame: u32,
    /// How many frames there are; 1 where the header does not say.
    pub frames: u32,
    /// The frame's own groups and the shared ones.
    groups: Vec<Set<'h>>,
    bulk: &'h dyn Fn(&str) -> Option<Vec<u8>>,
    notes: RefCell<Vec<String>>,
}

impl<'h> Look<'h> {
    pub fn new(header: &'h Value, frame: u32, bulk: &'h dyn Fn(&str) -> Option<Vec<u8>>) -> Self {
        let root = Set(header);
        let at = frame.saturating_sub(1) as usize;
        let own = root.values(t::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let shared = root.values(t::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
        let frames = root.whole(t::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
        let look = Self {
            root,
            frame,
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
            groups: own.get(at).into_iter().chain(shared.first()).map(Set).collect(),
            bulk,
            notes: RefCell::default(),
        };
        if frame == 0 || frame > look.frames {
            look.note("there is no such frame");
        } else if !own.is_empty() && own.len() != look.frames as usize {
            look.note("frames and their functional groups differ in number");
        }
        look
    }

    /// Says once what was ignored. Never a value of the header: it may be a name.
    pub fn note(&self, text: impl Into<String>) {
        let (mut notes, text) = (self.notes.borrow_mut(), text.into());
        if notes.len() < NOTES_MOST && !notes.contains(&text) {
            notes.push(text);
        }
    }

    pub fn notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    /// Where the attributes of a functional group may be, the frame's own first, the top last.
    pub fn levels(&self, sequence: Tag) -> impl Iterator<Item = Set<'h>> {
        let inner = self.groups.iter().flat_map(move |g| g.items(sequence).take(1));
        inner.chain([self.root])
    }

    /// Where the attributes of a functional group are, without the top.
    pub fn group(&self, sequence: Tag) -> Option<Set<'h>> {
        self.groups.iter().find_map(|g| g.items(sequence).next())
    }

    /// All numbers of an attribute, or none if one of them is none.
    pub fn numbers(&self, set: Set<'h>, tag: Tag) -> Option<Vec<f64>> {
        let values = set.values(tag);
        if values.iter().all(Value::is_null) {
            return None;
        }
        let numbers: Option<Vec<f64>> = values.iter().map(decimal).collect();
        if numbers.is_none() {
            self.note(format!("{tag} ignored: not a finite number"));
        }
        numbers
    }

    pub fn number(&self, set: Set<'h>, tag: Tag) -> Option<f64> {
        self.numbers(set, tag)?.first().copied()
    }

    /// Exactly so many.
    pub fn exactly<const N: usize>(&self, set: Set<'h>, tag: Tag) -> Option<[f64; N]> {
        let numbers = self.numbers(set, tag)?;
        let found = numbers.len();
        let exact = numbers.try_into().ok();
        if exact.is_none() {
            self.note(format!("{tag} ignored: {found} values, not {N}"));
        }
        exact
    }

    /// A number that makes sense only above 0.
    pub fn positive(&self, set: Set<'h>, tag: Tag) -> Option<f64> {
        let number = self.number(set, tag)?;
        if number <= 0.0 {
            self.note(format!("{tag} ignored: not above 0"));
        }
        Some(number).filter(|n| *n > 0.0)
    }

    /// A pixel value in 16 bits: in a file without representations it may have been read with the wrong sign, which the
    /// sign of the pixels puts right.
    pub fn pixel_value(&self, set: Set<'h>, tag: Tag, at: usize) -> Option<i32> {
        let value = i32::try_from(whole(set.values(tag).get(at)?)?).ok()?;
        let signed = self.root.whole(t::PIXEL_REPRESENTATION) == Some(1);
        let bits = self.root.whole(t::BITS_ALLOCATED).unwrap_or(16);
        match set.vr(tag) {
            "US" if signed && bits <= 16 && value > 0x7FFF => Some(value - 0x1_0000),
            "SS" if !signed && value < 0 => Some(value + 0x1_0000),
            _ => Some(value),
        }
    }

    /// What a lookup table is made of, from the header or from what it points to.
    pub fn raw(&self, set: Set<'h>, tag: Tag) -> Option<Raw> {
        let attribute = set.attribute(tag)?;
        if let Some(text) = attribute.get("InlineBinary").and_then(Value::as_str) {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
            if bytes.is_none() {
                self.note(format!("{tag} ignored: not readable"));
            }
            return bytes.map(Raw::Bytes);
        }
        if let Some(uri) = attribute.get("BulkDataURI").and_then(Value::as_str) {
            let bytes = (self.bulk)(uri.strip_prefix("bulkdata/").unwrap_or(uri));
            if bytes.is_none() {
                self.note(format!("{tag} ignored: its bytes were not at hand"));
            }
            return bytes.map(Raw::Bytes);
        }
        let values = set.values(tag);
        let words: Option<Vec<u16>> = values
            .iter()
            .map(|v| {
                let n = whole(v)?;
                // A signed reading of the same sixteen bits.
                u16::try_from(n)
                    .ok()
                    .or_else(|| i16::try_from(n).ok().map(i16::cast_unsigned))
            })
            .collect();
        if words.is_none() {
            self.note(format!("{tag} ignored: not numbers of 16 bits"));
        }
        words.filter(|w| !w.is_empty()).map(Raw::Words)
    }
}
