//! The parsed header, with text by its character set.
//!
//! Lives here: looking up an element, and its values. An item has its own character set or its parent's (PS3.3
//! §C.12.1.1.2). Never here: which elements matter. Called by [`super::fields`] and [`super::json`].

use super::codes;
use super::text::Charsets;
use super::{Flaw, PersonName};
use dicom_core::header::Header as _;
use dicom_core::value::Value;
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

const CHARSET: Tag = Tag(0x0008, 0x0005);

/// A data set or an item of it.
pub struct Tree<'a> {
    pub object: &'a InMemDicomObject,
    pub charsets: Charsets,
}

/// The bytes of a value; `None` for sequences and fragments.
pub fn bytes(element: &InMemElement) -> Option<&[u8]> {
    match element.value() {
        Value::Primitive(PrimitiveValue::U8(bytes)) => Some(bytes),
        Value::Primitive(PrimitiveValue::Empty) => Some(&[]),
        _ => None,
    }
}

/// Adds a flaw, each once and not without end.
pub fn add(flaws: &mut Vec<Flaw>, flaw: Flaw) {
    if flaws.len() < 64 && !flaws.contains(&flaw) {
        flaws.push(flaw);
    }
}

impl<'a> Tree<'a> {
    pub fn top(object: &'a InMemDicomObject, flaws: &mut Vec<Flaw>) -> Self {
        let tree = Self::within(object, &Charsets::default());
        if tree.charsets.unknown {
            add(flaws, Flaw::UnknownCharset);
        }
        if !tree.charsets.declared {
            let beyond = object.iter().find(|e| {
                matches!(e.vr(), VR::LO | VR::SH | VR::PN | VR::LT | VR::ST | VR::UT)
                    && bytes(e).is_some_and(|b| !b.is_ascii())
            });
            if let Some(element) = beyond {
                add(flaws, Flaw::UndeclaredText(element.tag()));
            }
        }
        tree
    }

    /// An item of it.
    pub fn within(object: &'a InMemDicomObject, outer: &Charsets) -> Self {
        let own = object
            .get(CHARSET)
            .and_then(|e| bytes(e).filter(|b| !b.is_empty()));
        let charsets = match own {
            Some(terms) => {
                let terms = Charsets::default().values(terms, VR::CS);
                Charsets::of(terms.iter().map(String::as_str))
            }
            None => outer.clone(),
        };
        Self { object, charsets }
    }

    pub fn items(&self, tag: Tag) -> impl Iterator<Item = Tree<'a>> {
        let items = self.object.get(tag).and_then(|e| e.items()).unwrap_or_default();
        items.iter().map(|i| Tree::within(i, &self.charsets))
    }

    /// The values of a text.
    pub fn texts(&self, tag: Tag) -> Vec<String> {
        let Some(element) = self.object.get(tag) else {
            return Vec::new();
        };
        match bytes(element) {
            Some(b) if !b.is_empty() && is_text(element.vr()) => self.charsets.values(b, element.vr()),
            _ => Vec::new(),
        }
    }

    /// The first value, if it is not empty.
    pub fn text(&self, tag: Tag) -> Option<String> {
        self.texts(tag).into_iter().next().filter(|t| !t.is_empty())
    }

    pub fn name(&self, tag: Tag) -> Option<PersonName> {
        let name = person_name(&self.text(tag)?);
        (name != PersonName::default()).then_some(name)
    }

    fn parsed<T>(&self, tag: Tag, flaws: &mut Vec<Flaw>, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(tag)?;
        let value = parse(&text);
        if value.is_none() {
            add(flaws, Flaw::BadValue(tag));
        }
        value
    }

    pub fn date(&self, tag: Tag, flaws: &mut Vec<Flaw>) -> Option<String> {
        self.parsed(tag, flaws, codes::date)
    }

    pub fn time(&self, tag: Tag, flaws: &mut Vec<Flaw>) -> Option<String> {
        self.parsed(tag, flaws, codes::time)
    }

    pub fn integer(&self, tag: Tag, flaws: &mut Vec<Flaw>) -> Option<i64> {
        self.parsed(tag, flaws, codes::integer)
    }

    /// Decimals: as text (DS), or as numbers (FD, FL). All or none.
    pub fn decimals(&self, tag: Tag, flaws: &mut Vec<Flaw>) -> Vec<f64> {
        let Some(element) = self.object.get(tag) else {
            return Vec::new();
        };
        let raw = bytes(element).unwrap_or_default();
        let values: Option<Vec<f64>> = match element.vr() {
            _ if raw.is_empty() => return Vec::new(),
            VR::FD => Some(raw.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
            VR::FL => Some(
                raw.as_chunks()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b).into())
                    .collect(),
            ),
            VR::DS | VR::IS => self.texts(tag).iter().map(|t| codes::decimal(t)).collect(),
            _ => None,
        };
        match values {
            Some(values) if values.iter().all(|v| v.is_finite()) => values,
            _ => {
                if self.texts(tag).iter().any(|t| !t.is_empty()) || element.vr() != VR::DS {
                    add(flaws, Flaw::BadValue(tag));
                }
                Vec::new()
            }
        }
    }

    pub fn decimal(&self, tag: Tag, flaws: &mut Vec<Flaw>) -> Option<f64> {
        self.decimals(tag, flaws).first().copied()
    }

    /// Exactly so many.
    pub fn exactly<const N: usize>(&self, tag: Tag, flaws: &mut Vec<Flaw>) -> Option<[f64; N]> {
        let values = self.decimals(tag, flaws);
        if values.is_empty() {
            return None;
        }
        let exact = values.try_into().ok();
        if exact.is_none() {
            add(flaws, Flaw::BadValue(tag));
        }
        exact
    }

    /// A small whole number in two bytes.
    pub fn short(&self, tag: Tag) -> Option<i32> {
        let element = self.object.get(tag)?;
        let two: [u8; 2] = bytes(element)?.get(..2)?.try_into().ok()?;
        match element.vr() {
            VR::US => Some(u16::from_le_bytes(two).into()),
            VR::SS => Some(i16::from_le_bytes(two).into()),
            _ => None,
        }
    }

    /// A whole number in four bytes.
    pub fn longs(&self, tag: Tag) -> Vec<u32> {
        match self.object.get(tag) {
            Some(e) if e.vr() == VR::UL => {
                let (numbers, _) = bytes(e).unwrap_or_default().as_chunks();
                numbers.iter().map(|b| u32::from_le_bytes(*b)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Whether values of this representation are characters.
pub fn is_text(vr: VR) -> bool {
    use VR::{AE, AS, CS, DA, DS, DT, IS, LO, LT, PN, SH, ST, TM, UC, UI, UR, UT};
    matches!(
        vr,
        AE | AS | CS | DA | DS | DT | IS | LO | LT | PN | SH | ST | TM | UC | UI | UR | UT
    )
}

/// The groups of a name, each without the `^` that it does not need.
pub fn person_name(text: &str) -> PersonName {
    let mut groups = text
        .splitn(3, '=')
        .map(|g| g.trim_end_matches(['^', ' ']).trim_start().to_owned());
    PersonName {
        alphabetic: groups.next().unwrap_or_default(),
        ideographic: groups.next().unwrap_or_default(),
        phonetic: groups.next().unwrap_or_default(),
    }
}
