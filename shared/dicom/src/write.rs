//! A small writer of Part 10 files, enough for phantoms and tests, the same bytes every time.
//!
//! Lives here: preamble, group 0002, elements in order, plain pixels and fragments with their offset table (PS3.10 §7,
//! PS3.5 §7 and §A). Pixels are streamed by the caller. Never here: a change to somebody else's file: what came in is
//! kept as it came. Called by [`crate::phantom`] and by tests.

use crate::scan::Coding;
use crate::scan::element::has_long_length;
use crate::syntax;
use dicom_core::{Tag, VR};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Who wrote it: a UID of the product's own, made from a random UUID once (PS3.5 §B.2).
pub const IMPLEMENTATION_CLASS: &str = "2.25.128421389052160734927385610293847561029";
const IMPLEMENTATION_VERSION: &str = "VITRINE_1";

#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// Numbers in little endian.
    Bytes(Vec<u8>),
    Items(Vec<DataSet>),
}

/// Elements, ordered by their tags.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataSet {
    elements: BTreeMap<Tag, (VR, Value)>,
}

impl DataSet {
    /// One without elements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Any value as its bytes, numbers in little endian; padded to an even length (PS3.5 §6.2).
    pub fn bytes(&mut self, tag: Tag, vr: VR, mut value: Vec<u8>) -> &mut Self {
        if value.len() % 2 == 1 {
            let binary = matches!(vr, VR::UI | VR::OB | VR::UN);
            value.push(if binary { 0 } else { b' ' });
        }
        self.elements.insert(tag, (vr, Value::Bytes(value)));
        self
    }
    /// A text; several values with `\` between.
    pub fn text(&mut self, tag: Tag, vr: VR, text: &str) -> &mut Self {
        self.bytes(tag, vr, text.as_bytes().to_vec())
    }
    /// A text that may be empty.
    pub fn text_or_empty(&mut self, tag: Tag, vr: VR, text: Option<&str>) -> &mut Self {
        self.text(tag, vr, text.unwrap_or_default())
    }
    /// Unsigned numbers of two bytes.
    pub fn us(&mut self, tag: Tag, values: &[u16]) -> &mut Self {
        self.bytes(tag, VR::US, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    /// Unsigned numbers of four bytes.
    pub fn ul(&mut self, tag: Tag, values: &[u32]) -> &mut Self {
        self.bytes(tag, VR::UL, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    /// Doubles.
    pub fn fd(&mut self, tag: Tag, values: &[f64]) -> &mut Self {
        self.bytes(tag, VR::FD, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    /// Decimals as text.
    pub fn ds(&mut self, tag: Tag, values: &[f64]) -> &mut Self {
        let texts: Vec<String> = values.iter().map(|v| decimal(*v)).collect();
        self.text(tag, VR::DS, &texts.join("\\"))
    }
    /// A whole number as text.
    pub fn is(&mut self, tag: Tag, value: i64) -> &mut Self {
        self.text(tag, VR::IS, &value.to_string())
    }
    /// A sequence.
    pub fn items(&mut self, tag: Tag, items: Vec<DataSet>) -> &mut Self {
        self.elements.insert(tag, (VR::SQ, Value::Items(items)));
        self
    }
    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) -> &mut Self {
        self.elements.remove(&tag);
        self
    }

    /// Its bytes.
    pub fn encode(&self, coding: Coding) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for (tag, (vr, value)) in &self.elements {
            match value {
                Value::Bytes(bytes) => {
                    header(&mut out, coding, *tag, *vr, Some(length(bytes.len())?))?;
                    let mut bytes = bytes.clone();
                    if coding.big_endian {
                        turn(&mut bytes, *vr);
                    }
                    out.write_all(&bytes)?;
                }
                Value::Items(items) => {
                    let mut inner = Vec::new();
                    for item in items {
                        let bytes = item.encode(coding)?;
                        item_header(&mut inner, coding, length(bytes.len())?)?;
                        inner.write_all(&bytes)?;
                    }
                    header(&mut out, coding, *tag, *vr, Some(length(inner.len())?))?;
                    out.write_all(&inner)?;
                }
            }
        }
        Ok(out)
    }
}

/// At most 16 characters (PS3.5 Table 6.2-1), as exact as they allow.
#[must_use]
pub fn decimal(value: f64) -> String {
    let shortest = value.to_string();
    if shortest.len() <= 16 {
        return shortest;
    }
    (0..=15)
        .rev()
        .map(|digits| format!("{value:.digits$}"))
        .find(|text| text.len() <= 16)
        .map(|text| match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        })
        .unwrap_or_else(|| format!("{value:.8e}"))
}

fn length(len: usize) -> io::Result<u32> {
    match u32::try_from(len) {
        Ok(len) if len < u32::MAX - 1 => Ok(len),
        _ => Err(io::Error::other(
            "a value of 4 GiB or more has no length in DICOM",
        )),
    }
}

/// Little endian to big endian.
fn turn(bytes: &mut [u8], vr: VR) {
    let width = match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::OD | VR::SV | VR::UV | VR::OV => 8,
        _ => return,
    };
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
}

/// The header of an element; `None` is an undefined length.
pub fn header(out: &mut impl Write, coding: Coding, tag: Tag, vr: VR, len: Option<u32>) -> io::Result<()> {
    let two = |n: u16| {
        if coding.big_endian {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let four = |n: u32| {
        if coding.big_endian {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let number = len.unwrap_or(u32::MAX);
    out.write_all(&two(tag.0))?;
    out.write_all(&two(tag.1))?;
    if !coding.explicit {
        return out.write_all(&four(number));
    }
    out.write_all(&vr.to_bytes())?;
    if has_long_length(vr) {
        out.write_all(&[0, 0])?;
        return out.write_all(&four(number));
    }
    let short =
        u16::try_from(number).map_err(|_| io::Error::other("the value is longer than its representation"))?;
    out.write_all(&two(short))
}

/// The header of an item.
pub fn item_header(out: &mut impl Write, coding: Coding, len: u32) -> io::Result<()> {
    let implicit = Coding {
        explicit: false,
        ..coding
    };
    header(out, implicit, Tag(0xFFFE, 0xE000), VR::UN, Some(len))
}

/// Writes what stands before a data set in a file: zero preamble, `DICM`, group 0002 (PS3.10 §7.1). `source`: the AE
/// title it came from.
pub fn meta(
    out: &mut impl Write,
    transfer_syntax: &str,
    sop_class: &str,
    sop_instance: &str,
    source: Option<&str>,
) -> io::Result<()> {
    let mut meta = DataSet::new();
    meta.bytes(Tag(2, 1), VR::OB, vec![0, 1])
        .text(Tag(2, 2), VR::UI, sop_class)
        .text(Tag(2, 3), VR::UI, sop_instance)
        .text(Tag(2, 0x10), VR::UI, transfer_syntax)
        .text(Tag(2, 0x12), VR::UI, IMPLEMENTATION_CLASS)
        .text(Tag(2, 0x13), VR::SH, IMPLEMENTATION_VERSION);
    if let Some(source) = source {
        meta.text(Tag(2, 0x16), VR::AE, source);
    }
    let len = length(meta.encode(Coding::EXPLICIT_LE)?.len())?;
    meta.ul(Tag(2, 0), &[len]);
    out.write_all(&[0; 128])?;
    out.write_all(b"DICM")?;
    out.write_all(&meta.encode(Coding::EXPLICIT_LE)?)
}

/// Writes a file up to its pixels: [`meta`] and the data set.
pub fn file(
    out: &mut impl Write,
    transfer_syntax: &str,
    sop_class: &str,
    sop_instance: &str,
    data: &DataSet,
) -> io::Result<Coding> {
    meta(out, transfer_syntax, sop_class, sop_instance, None)?;
    let coding = syntax::of(transfer_syntax).map_or(Coding::EXPLICIT_LE, |s| Coding {
        explicit: s.explicit,
        big_endian: s.big_endian,
    });
    out.write_all(&data.encode(coding)?)?;
    Ok(coding)
}

const PIXELS: Tag = Tag(0x7FE0, 0x0010);

/// The header of plain pixels of `len` bytes; whoever calls then writes as many, and one more zero if they are odd.
pub fn native(out: &mut impl Write, coding: Coding, vr: VR, len: u64) -> io::Result<()> {
    let even = usize::try_from(len + len % 2).unwrap_or(usize::MAX);
    header(out, coding, PIXELS, vr, Some(length(even)?))
}

/// The start of encapsulated pixels, with the offset table: `frames` has the bytes of each fragment of each frame, all
/// even; `None` for an empty table. Then come the fragments by [`fragment`] and [`fragments_end`].
pub fn encapsulated(out: &mut impl Write, frames: Option<&[Vec<u32>]>) -> io::Result<()> {
    header(out, Coding::EXPLICIT_LE, PIXELS, VR::OB, None)?;
    let frames = frames.unwrap_or_default();
    item_header(out, Coding::EXPLICIT_LE, length(frames.len() * 4)?)?;
    let mut offset = 0u64;
    for fragments in frames {
        let entry = u32::try_from(offset)
            .map_err(|_| io::Error::other("beyond 4 GiB only an extended offset table reaches"))?;
        out.write_all(&entry.to_le_bytes())?;
        offset += fragments.iter().map(|len| u64::from(*len) + 8).sum::<u64>();
    }
    Ok(())
}

/// One fragment, padded to an even length.
pub fn fragment(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let odd = bytes.len() % 2;
    item_header(out, Coding::EXPLICIT_LE, length(bytes.len() + odd)?)?;
    out.write_all(bytes)?;
    out.write_all([0].get(..odd).unwrap_or_default())
}

/// The end of encapsulated pixels.
pub fn fragments_end(out: &mut impl Write) -> io::Result<()> {
    header(out, Coding::IMPLICIT_LE, Tag(0xFFFE, 0xE0DD), VR::UN, Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_fit() {
        for (value, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (-1024.0, "-1024"),
            (1.0 / 3.0, "0.33333333333333"),
            (-179.872_000_000_000_03, "-179.872"),
        ] {
            assert_eq!(decimal(value), text);
        }
        for value in [f64::MAX, f64::MIN_POSITIVE, -1.0 / 3.0, 123_456_789.123_456_79] {
            assert!(decimal(value).len() <= 16, "{}", decimal(value));
        }
    }
}
