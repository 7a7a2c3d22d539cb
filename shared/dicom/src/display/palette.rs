//! Palettes: stored values to colours.
//!
//! Lives here: the three tables of PALETTE COLOR (PS3.3 §C.7.6.3.1.5 and .6), also in segments (§C.7.9.2), as eight bits
//! each. Never here: supplemental palettes of grey images, which are noted and not applied. Called by [`super`].

use super::levels::{descriptor, entries};
use super::read::{Look, Raw};
use dicom_core::Tag;
use dicom_dictionary_std::tags as t;
use serde::{Deserialize, Serialize};

/// Colours for stored values: values below `first` take the first colour, values beyond the last the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Palette {
    /// The stored value that takes the first colour.
    pub first: i32,
    /// Red, green, blue, red, …: three bytes a colour.
    pub rgb: Vec<u8>,
}

/// Descriptor, data and segmented data of each colour.
const COLORS: [(Tag, Tag, Tag); 3] = [
    (
        t::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        t::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        t::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ),
    (
        t::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        t::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        t::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ),
    (
        t::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        t::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        t::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ),
];

pub fn palette(look: &Look<'_>) -> Option<Palette> {
    if look.root.text(t::PHOTOMETRIC_INTERPRETATION) != Some("PALETTE COLOR") {
        if look
            .root
            .attribute(t::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR)
            .is_some()
        {
            look.note("the palette of a grey image is not applied");
        }
        return None;
    }
    let found = tables(look);
    if found.is_none() {
        look.note("there is no usable palette");
    }
    found
}

fn tables(look: &Look<'_>) -> Option<Palette> {
    let mut first = None;
    let mut tables = Vec::with_capacity(3);
    for (descriptor_tag, data, segmented) in COLORS {
        let (count, _, bits) = descriptor(look, look.root, descriptor_tag)?;
        let at = look.pixel_value(look.root, descriptor_tag, 1)?;
        if first.is_some_and(|f| f != (count, at)) {
            look.note("the tables of the palette differ in size or start");
            return None;
        }
        first = Some((count, at));
        let (values, bytes) = if let Some(raw) = look.raw(look.root, data) {
            entries(raw, count)?
        } else {
            let raw = look.raw(look.root, segmented)?;
            let Some(values) = expand(&units(raw, bits), count, bits <= 8) else {
                look.note("the segments of the palette do not make its table");
                return None;
            };
            (values, bits <= 8)
        };
        tables.push(Table { values, bits, bytes });
    }
    let [red, green, blue] = tables.try_into().ok()?;
    let most = [&red, &green, &blue]
        .iter()
        .flat_map(|t| t.values.iter().copied())
        .max()?;
    let shift = |t: &Table| match t.bits {
        _ if t.bytes => 0,
        // All black, if it were as it says.
        9.. if most < 0x100 => {
            look.note("the palette says more bits than its entries have: taken as 8");
            0
        }
        9.. => t.bits - 8,
        _ if most >= 0x100 => {
            look.note("the palette says fewer bits than its entries have: taken as 16");
            8
        }
        _ => 0,
    };
    let [r, g, b] = [shift(&red), shift(&green), shift(&blue)];
    let eight = |value: u16, shift: u8| u8::try_from(value >> shift).unwrap_or(u8::MAX);
    let rgb = red
        .values
        .iter()
        .zip(&green.values)
        .zip(&blue.values)
        .flat_map(|((x, y), z)| [eight(*x, r), eight(*y, g), eight(*z, b)])
        .collect();
    let (_, first) = first?;
    Some(Palette { first, rgb })
}

struct Table {
    values: Vec<u16>,
    bits: u8,
    /// Whether entries came as single bytes.
    bytes: bool,
}

/// What segments are written in: bytes for tables of 8 bits, else words.
fn units(raw: Raw, bits: u8) -> Vec<u16> {
    let bytes: Vec<u8> = match raw {
        Raw::Words(words) if bits > 8 => return words,
        Raw::Words(words) => words.into_iter().flat_map(u16::to_le_bytes).collect(),
        Raw::Bytes(bytes) => bytes,
    };
    if bits > 8 {
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| u16::from_le_bytes(*b))
            .collect()
    } else {
        bytes.into_iter().map(u16::from).collect()
    }
}

/// A segment and where the next one begins; `None` at the end or where it is cut off.
enum Segment<'u> {
    /// These values.
    Discrete(&'u [u16]),
    /// So many values, in a line from the last one to this.
    Linear(u16, u16),
    /// So many segments again, from this unit on.
    Again(u16, usize),
}

fn segment(units: &[u16], at: usize, is_bytes: bool) -> Option<(Segment<'_>, usize)> {
    let count = *units.get(at + 1)?;
    match *units.get(at)? {
        0 => {
            let end = at + 2 + usize::from(count);
            Some((Segment::Discrete(units.get(at + 2..end)?), end))
        }
        1 => Some((Segment::Linear(count, *units.get(at + 2)?), at + 3)),
        2 => {
            // An offset in bytes, its lowest part first.
            let (width, parts) = if is_bytes { (8, 4) } else { (16, 2) };
            let parts = units.get(at + 2..at + 2 + parts)?;
            let offset = parts
                .iter()
                .rev()
                .fold(0usize, |sum, part| sum << width | usize::from(*part));
            let from = if is_bytes { offset } else { offset / 2 };
            Some((Segment::Again(count, from), at + 2 + parts.len()))
        }
        _ => None,
    }
}

/// Segments to exactly so many values (PS3.3 §C.7.9.2).
fn expand(units: &[u16], count: usize, is_bytes: bool) -> Option<Vec<u16>> {
    let mut out = Vec::with_capacity(count);
    let mut at = 0;
    while out.len() < count {
        let (found, next) = segment(units, at, is_bytes)?;
        match found {
            Segment::Again(segments, mut from) => {
                for _ in 0..segments {
                    // Segments that repeat are not themselves repeated, and what adds nothing does not go on forever.
                    let (inner, next) = segment(units, from, is_bytes)?;
                    add(&inner, &mut out, count)?;
                    from = next;
                }
            }
            plain => add(&plain, &mut out, count)?,
        }
        at = next;
    }
    Some(out)
}

fn add(segment: &Segment<'_>, out: &mut Vec<u16>, most: usize) -> Option<()> {
    match *segment {
        Segment::Discrete(values) => out.extend_from_slice(values),
        Segment::Linear(steps, to) => {
            let from = i64::from(*out.last()?);
            let (all, to) = (i64::from(steps), i64::from(to));
            // Rounded to the nearest, and no sum is negative.
            let value = |n: i64| (from * (all - n) * 2 + to * n * 2 + all) / (all * 2);
            out.extend((1..=all).filter_map(|n| u16::try_from(value(n)).ok()));
        }
        Segment::Again(..) => return None,
    }
    (out.len() <= most).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_make_tables() {
        // Three as they stand, four in a line to 100, and both again.
        let words = [0, 3, 5, 6, 20, 1, 4, 100, 2, 2, 0, 0];
        let once = [5, 6, 20, 40, 60, 80, 100];
        assert_eq!(expand(&words, 14, false).unwrap(), [once, once].concat());
        assert_eq!(expand(&words, 7, false).unwrap(), once);
        // The same in bytes: the offset is in bytes and has four of them.
        let bytes = [0, 3, 5, 6, 20, 1, 4, 100, 2, 1, 5, 0, 0, 0];
        assert_eq!(expand(&bytes, 11, true).unwrap()[7..], [100, 100, 100, 100]);
        // Down a line.
        assert_eq!(expand(&[0, 1, 9, 1, 3, 0], 4, false).unwrap(), [9, 6, 3, 0]);
    }

    #[test]
    fn segments_that_make_none_are_refused() {
        for (units, count) in [
            (&[1, 4, 100][..], 4),
            (&[0, 3, 1, 2], 3),
            (&[0, 3, 1, 2, 3], 2),
            (&[3, 1, 1], 1),
            (&[0, 1, 1], 2),
            (&[0, 0], 1),
            (&[], 1),
            (&[2, 9, 0, 0], 4),
            (&[0, 1, 1, 2, 1, 0xFFFF, 0xFFFF], 4),
            (&[0, 1, 1, 2, 0, 0, 0], 4),
        ] {
            assert_eq!(expand(units, count, false), None, "{units:?}");
        }
    }
}
