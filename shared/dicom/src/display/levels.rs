//! From stored values to grey: rescale, windows, lookup tables.
//!
//! Lives here: the Modality LUT (PS3.3 §C.11.1), the VOI LUT (§C.11.2) and their functional groups (§C.7.6.16.2.9 and
//! .10), and pixels that are no image (§C.7.5.1.1.2). Never here: a window that the header has not. Called by [`super`].

use super::read::{Look, Raw, Set};
use dicom_core::Tag;
use dicom_dictionary_std::tags as t;
use serde::{Deserialize, Serialize};

/// Output = slope × stored value + intercept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rescale {
    /// Never 0.
    pub slope: f64,
    /// In the unit.
    pub intercept: f64,
    /// Of the output: `(0028,1054)`, of PET `(0054,1001)`, of CT without either `HU`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A window in the values behind rescale or modality table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its centre.
    pub center: f64,
    /// Its width: above 0, and for [`Voi::Linear`] at least 1.
    pub width: f64,
    /// What the sender calls it `(0028,1055)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How a window is applied `(0028,1056)` (PS3.3 §C.11.2.1.2 and .3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Voi {
    /// From centre − 0.5 − (width − 1) / 2; also where the header does not say.
    #[default]
    Linear,
    /// From centre − width / 2.
    LinearExact,
    /// An S.
    Sigmoid,
}

/// A lookup table (PS3.3 §C.11.1.1): values below `first` take the first entry, values beyond the table the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lut {
    /// The value that takes the first entry.
    pub first: i32,
    /// Bits of an entry; a table of grey spans 0 to 2^bits − 1.
    pub bits: u8,
    /// The entries, 1 to 65,536.
    pub entries: Vec<u16>,
    /// What the sender calls it `(0028,3003)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a modality table `(0028,3004)`; `US` is "unspecified" and left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Stored values, from and to, that are no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Padding {
    /// The lowest.
    pub low: i32,
    /// The highest, itself padding.
    pub high: i32,
}

/// `US` stands for "unspecified", which is no unit.
fn unit(text: Option<&str>) -> Option<String> {
    text.filter(|u| *u != "US").map(str::to_owned)
}

pub fn rescale(look: &Look<'_>) -> Option<Rescale> {
    for level in look.levels(t::PIXEL_VALUE_TRANSFORMATION_SEQUENCE) {
        let slope = look.number(level, t::RESCALE_SLOPE);
        let intercept = look.number(level, t::RESCALE_INTERCEPT);
        let (slope, intercept) = match (slope, intercept) {
            (None, None) => continue,
            (Some(0.0), _) => {
                look.note("rescale ignored: its slope is 0");
                return None;
            }
            (Some(slope), Some(intercept)) => (slope, intercept),
            _ => {
                look.note("rescale ignored: slope or intercept is missing");
                return None;
            }
        };
        let stated = level.text(t::RESCALE_TYPE);
        let of_modality = match look.root.text(t::MODALITY) {
            // A CT that is not in Hounsfield units has to say so (PS3.3 §C.8.2.1).
            Some("CT") => Some("HU"),
            Some("PT") => look.root.text(t::UNITS),
            _ => None,
        };
        let unit = if stated.is_some() {
            unit(stated)
        } else {
            unit(of_modality)
        };
        return Some(Rescale {
            slope,
            intercept,
            unit,
        });
    }
    None
}

pub fn voi(look: &Look<'_>) -> Voi {
    let stated = look
        .levels(t::FRAME_VOILUT_SEQUENCE)
        .find_map(|l| l.text(t::VOILUT_FUNCTION));
    match stated {
        None | Some("LINEAR") => Voi::Linear,
        Some("LINEAR_EXACT") => Voi::LinearExact,
        Some("SIGMOID") => Voi::Sigmoid,
        Some(_) => {
            look.note("VOI LUT function not known: taken as LINEAR");
            Voi::Linear
        }
    }
}

pub fn windows(look: &Look<'_>, voi: Voi) -> Vec<Window> {
    for level in look.levels(t::FRAME_VOILUT_SEQUENCE) {
        let centers = look.numbers(level, t::WINDOW_CENTER);
        let widths = look.numbers(level, t::WINDOW_WIDTH);
        let (centers, widths) = match (centers, widths) {
            (None, None) => continue,
            (centers, widths) => (centers.unwrap_or_default(), widths.unwrap_or_default()),
        };
        if centers.len() != widths.len() {
            let (c, w) = (centers.len(), widths.len());
            look.note(format!("windows ignored: {c} centres, {w} widths"));
            return Vec::new();
        }
        let names = level.texts(t::WINDOW_CENTER_WIDTH_EXPLANATION);
        let least = if voi == Voi::Linear {
            1.0
        } else {
            f64::MIN_POSITIVE
        };
        let all = centers.into_iter().zip(widths).enumerate();
        return all
            .filter_map(|(n, (center, width))| {
                if width < least {
                    look.note("a window was ignored: too narrow");
                    return None;
                }
                let name = names.get(n).filter(|n| !n.is_empty());
                Some(Window {
                    center,
                    width,
                    name: name.map(|n| (*n).to_owned()),
                })
            })
            .collect();
    }
    Vec::new()
}

/// The entries of a table of so many, and whether they were single bytes.
pub fn entries(raw: Raw, count: usize) -> Option<(Vec<u16>, bool)> {
    let bytes = match raw {
        Raw::Words(words) if words.len() == count => return Some((words, false)),
        Raw::Words(words) => words.into_iter().flat_map(u16::to_le_bytes).collect(),
        Raw::Bytes(bytes) => bytes,
    };
    if bytes.len() == count * 2 {
        let words = bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b));
        return Some((words.collect(), false));
    }
    // Two entries in a word, and one byte to make it even.
    let is_bytes = bytes.len() == count || bytes.len() == count + 1 && count % 2 == 1;
    is_bytes.then(|| (bytes.into_iter().take(count).map(u16::from).collect(), true))
}

/// Number of entries, first value, bits of an entry (PS3.3 §C.11.1.1).
pub fn descriptor(look: &Look<'_>, set: Set<'_>, tag: Tag) -> Option<(usize, i64, u8)> {
    let values = set.values(tag);
    if values.is_empty() {
        return None;
    }
    let at = |n: usize| values.get(n).and_then(serde_json::Value::as_i64);
    let found = match (at(0), at(1), at(2)) {
        (Some(count), Some(first), Some(bits)) => {
            // 0 says 65,536; and 40,000 entries may have been read with a sign.
            let count = match count {
                0 => 0x1_0000,
                n if n < 0 => n + 0x1_0000,
                n => n,
            };
            let count = usize::try_from(count).ok().filter(|n| *n <= 0x1_0000);
            let bits = u8::try_from(bits).ok().filter(|b| (1..=16).contains(b));
            count.zip(bits).map(|(count, bits)| (count, first, bits))
        }
        _ => None,
    };
    if found.is_none() {
        look.note(format!("{tag} ignored: no descriptor of a table"));
    }
    found
}

fn lut<'h>(look: &Look<'h>, item: Set<'h>, is_grey: bool) -> Option<Lut> {
    let (count, first, bits) = descriptor(look, item, t::LUT_DESCRIPTOR)?;
    let is_stored =
        !is_grey || (rescale(look).is_none() && look.root.items(t::MODALITY_LUT_SEQUENCE).count() == 0);
    let first = if is_stored {
        look.pixel_value(item, t::LUT_DESCRIPTOR, 1)?
    } else {
        i32::try_from(first).ok()?
    };
    let raw = look.raw(item, t::LUT_DATA)?;
    let Some((entries, _)) = entries(raw, count) else {
        look.note("a lookup table was ignored: it has not as many entries as it says");
        return None;
    };
    let most = entries.iter().copied().max().unwrap_or(0);
    if u32::from(most) >= 1 << bits {
        if is_grey {
            look.note("a lookup table of grey was ignored: entries have more bits than it says");
            return None;
        }
        look.note("entries of the modality table have more bits than it says");
    }
    Some(Lut {
        first,
        bits,
        entries,
        name: item.text(t::LUT_EXPLANATION).map(str::to_owned),
        unit: unit(item.text(t::MODALITY_LUT_TYPE)),
    })
}

/// In the place of a rescale.
pub fn modality_lut(look: &Look<'_>) -> Option<Lut> {
    let item = look.root.items(t::MODALITY_LUT_SEQUENCE).next()?;
    lut(look, item, false)
}

/// The first of the alternatives.
pub fn voi_lut(look: &Look<'_>) -> Option<Lut> {
    let mut levels = look.levels(t::FRAME_VOILUT_SEQUENCE);
    let item = levels.find_map(|l| l.items(t::VOILUT_SEQUENCE).next())?;
    lut(look, item, true)
}

pub fn padding(look: &Look<'_>) -> Option<Padding> {
    let value = look.pixel_value(look.root, t::PIXEL_PADDING_VALUE, 0)?;
    let limit = look
        .pixel_value(look.root, t::PIXEL_PADDING_RANGE_LIMIT, 0)
        .unwrap_or(value);
    Some(Padding {
        low: value.min(limit),
        high: value.max(limit),
    })
}
