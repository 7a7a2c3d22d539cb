//! Which bytes are frame n.
//!
//! Lives here: frames from plain values, from the basic or the extended offset table, from the number of fragments, or
//! from where codestreams begin. Never here: a guess: where the file does not say, that is the answer. Called by pack
//! workers and DICOMweb.

use super::{PixelData, Scan, ScanError};
use std::ops::Range;

/// The bytes of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the file, in this order.
    pub ranges: Vec<Range<u64>>,
    /// For one bit per sample: the bit of the first byte that the frame begins with, counted from the lowest
    /// (PS3.5 §8.1.1: frames follow each other without padding). 0 otherwise.
    pub first_bit: u8,
}

impl Frame {
    /// How many bytes they are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|r| r.end.saturating_sub(r.start)).sum()
    }
    /// Whether there are none: an encapsulated frame may be left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Scan {
    /// How many frames there are; 0 without pixels.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.geometry.as_ref().map_or(0, |g| g.frames)
    }

    /// The bytes of a frame, counted from 0.
    pub fn frame(&self, frame: u32) -> Result<Frame, ScanError> {
        let (Some(geometry), Some(pixel)) = (&self.geometry, &self.pixel) else {
            return Err(ScanError::NoPixels);
        };
        let frames = geometry.frames;
        if frame >= frames {
            return Err(ScanError::NoSuchFrame { frame, frames });
        }
        match pixel {
            PixelData::Native { offset, .. } => {
                // The whole fits into the file, as the scan has checked: so does each frame.
                let first = geometry.frame_bits() * u128::from(frame);
                let last = first + geometry.frame_bits();
                let byte = |bits: u128| offset.saturating_add(u64::try_from(bits / 8).unwrap_or(u64::MAX));
                Ok(Frame {
                    ranges: std::iter::once(byte(first)..byte(last + 7)).collect(),
                    first_bit: u8::try_from(first % 8).unwrap_or(0),
                })
            }
            PixelData::Deflated { tag, element, .. } => Err(ScanError::NotAddressable {
                offset: *element,
                tag: *tag,
            }),
            PixelData::Encapsulated {
                element,
                basic,
                extended,
                fragments,
                starts,
            } => {
                let found = match extended {
                    Some((offsets, lengths)) => by_extended(frame, frames, offsets, lengths, fragments),
                    None => by_basic(frame, frames, basic, fragments)
                        .or_else(|| by_count(frame, frames, fragments))
                        .or_else(|| by_start(frame, frames, starts, fragments)),
                };
                let ranges = found.ok_or(ScanError::FramesUnclear {
                    offset: *element,
                    tag: super::pixels::PIXEL_DATA,
                    frames,
                    fragments: fragments.len(),
                })?;
                Ok(Frame { ranges, first_bit: 0 })
            }
        }
    }
}

fn range((offset, len): (u64, u32)) -> Range<u64> {
    offset..offset.saturating_add(len.into())
}

/// Offsets count from the first fragment's item, which begins 8 bytes before its value.
fn fragment_at(offset: u64, fragments: &[(u64, u32)]) -> Option<usize> {
    let value = fragments.first()?.0.checked_add(offset)?;
    fragments.binary_search_by_key(&value, |f| f.0).ok()
}

/// With an extended table each frame is one fragment (PS3.3 §C.7.6.3.1.8), padded perhaps.
fn by_extended(
    frame: u32,
    frames: u32,
    offsets: &[u64],
    lengths: &[u64],
    fragments: &[(u64, u32)],
) -> Option<Vec<Range<u64>>> {
    if offsets.len() != frames as usize {
        return None;
    }
    let at = fragment_at(*offsets.get(frame as usize)?, fragments)?;
    let fragment = range(*fragments.get(at)?);
    let end = fragment.start.checked_add(*lengths.get(frame as usize)?)?;
    (end <= fragment.end).then(|| std::iter::once(fragment.start..end).collect())
}

/// From where the table says to where it says the next frame begins.
fn by_basic(frame: u32, frames: u32, basic: &[u32], fragments: &[(u64, u32)]) -> Option<Vec<Range<u64>>> {
    if basic.len() != frames as usize {
        return None;
    }
    let from = fragment_at((*basic.get(frame as usize)?).into(), fragments)?;
    let to = match basic.get(frame as usize + 1) {
        Some(next) => fragment_at((*next).into(), fragments)?,
        None => fragments.len(),
    };
    // The first frame has the first fragment, or there would be bytes that are nobody's.
    if (frame == 0 && from != 0) || from >= to {
        return None;
    }
    Some(fragments.get(from..to)?.iter().copied().map(range).collect())
}

/// One fragment for each frame, or all for the only one.
fn by_count(frame: u32, frames: u32, fragments: &[(u64, u32)]) -> Option<Vec<Range<u64>>> {
    if frames == 1 && !fragments.is_empty() {
        return Some(fragments.iter().copied().map(range).collect());
    }
    if fragments.len() == frames as usize {
        return Some(vec![range(*fragments.get(frame as usize)?)]);
    }
    None
}

/// As many codestreams begin at fragments as there are frames, and the first fragment is one of them. Within a codestream
/// of the JPEG family 0xFF is never followed by what begins one (ITU-T T.81 §B.1.1.2, T.800 §A.1).
fn by_start(frame: u32, frames: u32, starts: &[u32], fragments: &[(u64, u32)]) -> Option<Vec<Range<u64>>> {
    if starts.len() != frames as usize || starts.first() != Some(&0) {
        return None;
    }
    let from = *starts.get(frame as usize)? as usize;
    let to = starts
        .get(frame as usize + 1)
        .map_or(fragments.len(), |n| *n as usize);
    Some(fragments.get(from..to)?.iter().copied().map(range).collect())
}
