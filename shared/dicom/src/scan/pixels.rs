//! What the header says of the pixels, and whether that can be true.
//!
//! Lives here: the Image Pixel module (PS3.3 §C.7.6.3) as far as it decides how many bytes an image has, checked with
//! numbers that cannot overflow. Never here: decoding. Called by [`super::walk`].

use super::element::{Coding, Head};
use super::{FRAGMENTS_MOST, FRAME_PIXELS_MOST, PixelData, ScanError};
use crate::syntax::{Pixels, TransferSyntax};
use dicom_core::{Tag, VR};

pub const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const FLOAT_PIXELS: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE_PIXELS: Tag = Tag(0x7FE0, 0x0009);
pub const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
pub const EXTENDED_LENGTHS: Tag = Tag(0x7FE0, 0x0002);

const SAMPLES: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const PLANAR: Tag = Tag(0x0028, 0x0006);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const ALLOCATED: Tag = Tag(0x0028, 0x0100);
const STORED: Tag = Tag(0x0028, 0x0101);
const HIGH: Tag = Tag(0x0028, 0x0102);
const SIGN: Tag = Tag(0x0028, 0x0103);

pub fn is_pixels(tag: Tag) -> bool {
    matches!(tag, PIXEL_DATA | FLOAT_PIXELS | DOUBLE_PIXELS)
}

/// How the pixels are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// Rows of a frame.
    pub rows: u16,
    /// Columns of a frame.
    pub columns: u16,
    /// Samples of a pixel: 1, 3 or 4.
    pub samples: u16,
    /// Bits that a sample takes.
    pub bits_allocated: u16,
    /// Bits of it that count; those allocated where the header does not say (floating point).
    pub bits_stored: u16,
    /// The highest that counts.
    pub high_bit: u16,
    /// Two's complement.
    pub signed: bool,
    /// Samples one plane after the other (PS3.3 §C.7.6.3.1.3).
    pub planar: bool,
    /// Photometric interpretation; empty where the header has none.
    pub photometric: String,
    /// Frames, at least 1.
    pub frames: u32,
    pub(super) zero_frames: bool,
}

impl Geometry {
    /// Bits of one frame as plain values. In 4:2:2 two pixels share their colour (PS3.3 §C.7.6.3.1.2).
    #[must_use]
    pub fn frame_bits(&self) -> u128 {
        let samples = match (self.samples, self.photometric.as_str()) {
            (3, "YBR_FULL_422" | "YBR_PARTIAL_422") => 2,
            (n, _) => n,
        };
        u128::from(self.rows)
            * u128::from(self.columns)
            * u128::from(samples)
            * u128::from(self.bits_allocated)
    }
}

/// A number and where it stood.
type Stood<T> = Option<(u64, T)>;

/// What the walk has gathered.
#[derive(Default)]
pub struct Facts {
    samples: Stood<u16>,
    photometric: Stood<String>,
    planar: Stood<u16>,
    frames: Stood<u32>,
    rows: Stood<u16>,
    columns: Stood<u16>,
    allocated: Stood<u16>,
    stored: Stood<u16>,
    high: Stood<u16>,
    sign: Stood<u16>,
    offsets: Option<Vec<u64>>,
    lengths: Option<Vec<u64>>,
    pub extended: Option<(Vec<u64>, Vec<u64>)>,
}

impl Facts {
    /// Whether the value of this element must be read. One that comes behind the pixels would be read by some.
    pub fn wants(&self, tag: Tag, behind_pixels: bool, offset: u64) -> Result<bool, ScanError> {
        let wanted = matches!(
            tag,
            SAMPLES | PHOTOMETRIC | PLANAR | FRAMES | ROWS | COLUMNS | ALLOCATED | STORED | HIGH | SIGN
        ) || tag == EXTENDED_OFFSETS
            || tag == EXTENDED_LENGTHS;
        if wanted && behind_pixels {
            return Err(ScanError::AttributeValue {
                offset,
                tag,
                rule: "must come before the pixels (PS3.5 §7.1)",
            });
        }
        Ok(wanted)
    }

    /// Whether its type is right, and how many bytes are read at most.
    pub fn check_head(&self, offset: u64, head: &Head) -> Result<u64, ScanError> {
        let (vr, most, wanted) = match head.tag {
            PHOTOMETRIC => (VR::CS, 16, "CS of at most 16 bytes"),
            FRAMES => (VR::IS, 12, "IS of at most 12 bytes"),
            EXTENDED_OFFSETS | EXTENDED_LENGTHS => (
                VR::OV,
                FRAGMENTS_MOST as u64 * 8,
                "OV of at most a million entries",
            ),
            _ => (VR::US, 2, "one US"),
        };
        if head.vr == vr && u64::from(head.len.unwrap_or(u32::MAX)) <= most {
            return Ok(most);
        }
        Err(ScanError::AttributeType {
            offset,
            tag: head.tag,
            wanted,
        })
    }

    /// Takes a value whose type is right.
    pub fn note(&mut self, offset: u64, head: &Head, value: &[u8], coding: Coding) -> Result<(), ScanError> {
        let tag = head.tag;
        let fault = |rule| ScanError::AttributeValue { offset, tag, rule };
        if value.is_empty() {
            return Ok(());
        }
        let slot = match tag {
            PHOTOMETRIC => {
                let text = String::from_utf8_lossy(value);
                self.photometric = Some((offset, text.trim_matches([' ', '\0']).to_owned()));
                return Ok(());
            }
            FRAMES => {
                let text = String::from_utf8_lossy(value);
                let text = text.trim_matches([' ', '\0']);
                if !text.is_empty() {
                    let frames = text
                        .parse()
                        .map_err(|_| fault("must be a whole number of frames"))?;
                    self.frames = Some((offset, frames));
                }
                return Ok(());
            }
            EXTENDED_OFFSETS | EXTENDED_LENGTHS => {
                let (entries, rest) = value.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(fault("eight bytes for each frame"));
                }
                let entries = entries.iter().map(|e| u64::from_le_bytes(*e)).collect();
                if tag == EXTENDED_OFFSETS {
                    self.offsets = Some(entries);
                } else {
                    self.lengths = Some(entries);
                }
                return Ok(());
            }
            SAMPLES => &mut self.samples,
            PLANAR => &mut self.planar,
            ROWS => &mut self.rows,
            COLUMNS => &mut self.columns,
            ALLOCATED => &mut self.allocated,
            STORED => &mut self.stored,
            HIGH => &mut self.high,
            SIGN => &mut self.sign,
            _ => return Ok(()),
        };
        let bytes = <[u8; 2]>::try_from(value).map_err(|_| ScanError::AttributeType {
            offset,
            tag,
            wanted: "one US",
        })?;
        *slot = Some((offset, coding.u16(bytes)));
        Ok(())
    }

    /// Compares what was said with the pixels that are there; and whether there are more of them than asked for.
    pub fn check(
        &mut self,
        pixel: &PixelData,
        syntax: Option<&'static TransferSyntax>,
    ) -> Result<(Geometry, bool), ScanError> {
        let (tag, element) = pixel.element();
        let geometry = self.geometry(tag, element)?;
        self.extended = match (self.offsets.take(), self.lengths.take()) {
            (Some(offsets), Some(lengths)) if offsets.len() == lengths.len() => Some((offsets, lengths)),
            (None, None) => None,
            _ => {
                return Err(ScanError::OffsetTable {
                    offset: element,
                    tag: EXTENDED_OFFSETS,
                    rule: "as many offsets as lengths",
                });
            }
        };
        match pixel {
            PixelData::Encapsulated { .. } => {
                let pixels = u64::from(geometry.rows) * u64::from(geometry.columns);
                if pixels > FRAME_PIXELS_MOST {
                    return Err(ScanError::FrameTooLarge {
                        offset: element,
                        tag,
                        pixels,
                        most: FRAME_PIXELS_MOST,
                    });
                }
                Ok((geometry, false))
            }
            PixelData::Native { len, .. } | PixelData::Deflated { len, .. } => {
                if syntax.is_some_and(|s| s.pixels == Pixels::Encapsulated) && tag == PIXEL_DATA {
                    return Err(ScanError::WrongEncapsulation {
                        offset: element,
                        tag,
                        how: "is not in fragments",
                    });
                }
                let wanted = (geometry.frame_bits() * u128::from(geometry.frames)).div_ceil(8);
                let found = u128::from(*len);
                if found < wanted {
                    return Err(ScanError::PixelsTooShort {
                        offset: element,
                        tag,
                        wanted,
                        found: *len,
                    });
                }
                Ok((geometry, found > wanted + wanted % 2))
            }
        }
    }

    fn geometry(&self, pixels: Tag, element: u64) -> Result<Geometry, ScanError> {
        let need = |slot: &Stood<u16>, tag| slot.ok_or(ScanError::AttributeMissing { offset: element, tag });
        let (rows_at, rows) = need(&self.rows, ROWS)?;
        let (columns_at, columns) = need(&self.columns, COLUMNS)?;
        let (samples_at, samples) = need(&self.samples, SAMPLES)?;
        let (allocated_at, allocated) = need(&self.allocated, ALLOCATED)?;
        let float = pixels != PIXEL_DATA;
        let (stored_at, stored) = match self.stored {
            None if float => (allocated_at, allocated),
            _ => need(&self.stored, STORED)?,
        };
        let (high_at, high) = self.high.unwrap_or((stored_at, stored.saturating_sub(1)));
        let (sign_at, sign) = self.sign.unwrap_or_default();
        let (planar_at, planar) = self.planar.unwrap_or_default();
        let (frames_at, frames) = self.frames.unwrap_or((0, 1));
        let bits = match pixels {
            FLOAT_PIXELS => allocated == 32,
            DOUBLE_PIXELS => allocated == 64,
            _ => allocated == 1 || (allocated % 8 == 0 && (8..=64).contains(&allocated)),
        };
        let rules = [
            (rows > 0, rows_at, ROWS, "must be at least 1"),
            (columns > 0, columns_at, COLUMNS, "must be at least 1"),
            (
                matches!(samples, 1 | 3 | 4),
                samples_at,
                SAMPLES,
                "must be 1, 3 or 4",
            ),
            (
                bits,
                allocated_at,
                ALLOCATED,
                "must be 1 or whole bytes up to 64 bits, as its pixels need",
            ),
            (
                stored > 0 && stored <= allocated,
                stored_at,
                STORED,
                "must be at least 1 and at most the bits allocated",
            ),
            (
                high < allocated,
                high_at,
                HIGH,
                "must be less than the bits allocated",
            ),
            (
                high.saturating_add(1) >= stored,
                high_at,
                HIGH,
                "must leave room for the bits stored",
            ),
            (sign <= 1, sign_at, SIGN, "must be 0 or 1"),
            (planar <= 1, planar_at, PLANAR, "must be 0 or 1"),
            (
                frames < i32::MAX as u32,
                frames_at,
                FRAMES,
                "must be a number of frames",
            ),
        ];
        if let Some((_, offset, tag, rule)) = rules.into_iter().find(|r| !r.0) {
            return Err(ScanError::AttributeValue { offset, tag, rule });
        }
        Ok(Geometry {
            rows,
            columns,
            samples,
            bits_allocated: allocated,
            bits_stored: stored,
            high_bit: high,
            signed: sign == 1,
            planar: planar == 1,
            photometric: self.photometric.as_ref().map(|p| p.1.clone()).unwrap_or_default(),
            frames: frames.max(1),
            zero_frames: frames == 0,
        })
    }
}
