//! What a frame's plain pixel bytes mean: their shape, colour, digest and range. Pure arithmetic; everyone calls it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most pixels of one frame (columns x rows).
pub const MOST_PIXELS: u64 = 1 << 30;

/// What is wrong with a shape, or with plain bytes that should have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A side is zero, or there are more than [`MOST_PIXELS`].
    #[error("a frame of {columns} x {rows} pixels")]
    Size {
        /// Columns as given.
        columns: u32,
        /// Rows as given.
        rows: u32,
    },
    /// Neither 1 nor 3 samples a pixel.
    #[error("{0} samples per pixel")]
    Samples(u8),
    /// Not 1..=32 bits a sample.
    #[error("{0} bits per sample")]
    Bits(u8),
    /// Plain bytes of another length than the shape asks for.
    #[error("{got} bytes of pixels where the shape asks for {want}")]
    Length {
        /// Bytes that the shape asks for.
        want: u64,
        /// Bytes given.
        got: u64,
    },
    /// A sample outside of what the stored bits can hold: the bytes are not canonical.
    #[error("a sample does not fit the stored bits")]
    Sample,
}

/// The shape of one frame's plain pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Samples per pixel: 1 or 3.
    pub samples: u8,
    /// Stored bits per sample: 1..=32 (DICOM Bits Stored, not Bits Allocated).
    pub bits: u8,
    /// Whether samples are two's complement (DICOM Pixel Representation 1).
    pub signed: bool,
}

impl Shape {
    /// The shape itself when it is one that this crate handles.
    ///
    /// # Errors
    /// [`ShapeError::Size`], [`ShapeError::Samples`] or [`ShapeError::Bits`].
    pub fn checked(self) -> Result<Self, ShapeError> {
        let pixels = u64::from(self.columns) * u64::from(self.rows);
        if pixels == 0 || pixels > MOST_PIXELS {
            return Err(ShapeError::Size {
                columns: self.columns,
                rows: self.rows,
            });
        }
        if !matches!(self.samples, 1 | 3) {
            return Err(ShapeError::Samples(self.samples));
        }
        if !(1..=32).contains(&self.bits) {
            return Err(ShapeError::Bits(self.bits));
        }
        Ok(self)
    }

    /// Bytes that one sample takes: 1, 2 or 4.
    pub fn width(&self) -> usize {
        match self.bits {
            0..=8 => 1,
            9..=16 => 2,
            _ => 4,
        }
    }

    /// Length of the plain bytes. Exact for every checked shape; others saturate.
    pub fn len(&self) -> u64 {
        (u64::from(self.columns) * u64::from(self.rows))
            .saturating_mul(u64::from(self.samples))
            .saturating_mul(self.width() as u64)
    }

    /// Whether there is no pixel (never for a checked shape).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of the longer side in pixels.
    pub fn longest(&self) -> u32 {
        self.columns.max(self.rows)
    }

    /// Number of the layer that holds the frame at its full size: 0 when the longer side is at most 64 pixels, 1 up to
    /// 128, 2 up to 256, else 3.
    pub fn last_layer(&self) -> u8 {
        match self.longest() {
            0..=64 => 0,
            65..=128 => 1,
            129..=256 => 2,
            _ => 3,
        }
    }

    /// Least and greatest value that the stored bits can hold.
    pub fn bounds(&self) -> (i64, i64) {
        let bits = u32::from(self.bits.clamp(1, 32));
        if self.signed {
            (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1)
        } else {
            (0, (1i64 << bits) - 1)
        }
    }

    /// Whether `plain` has the length of this shape.
    ///
    /// # Errors
    /// What [`Shape::checked`] says, or [`ShapeError::Length`].
    pub fn check_len(&self, plain: &[u8]) -> Result<(), ShapeError> {
        let want = self.checked()?.len();
        let got = plain.len() as u64;
        if want == got {
            Ok(())
        } else {
            Err(ShapeError::Length { want, got })
        }
    }
}

/// How samples are meant (DICOM Photometric Interpretation, after decoding; PS3.3 C.7.6.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Colour {
    /// One sample; the least value is white.
    Monochrome1,
    /// One sample; the least value is black.
    Monochrome2,
    /// One sample: an index into palette tables.
    Palette,
    /// Red, green, blue.
    Rgb,
    /// Luma and two chroma samples at full resolution and full range (YBR_FULL).
    YbrFull,
}

impl Colour {
    /// Samples per pixel that the colour has.
    pub fn samples(self) -> u8 {
        match self {
            Self::Monochrome1 | Self::Monochrome2 | Self::Palette => 1,
            Self::Rgb | Self::YbrFull => 3,
        }
    }
}

/// SHA-256 of plain pixel bytes: what "exact" means everywhere.
pub fn digest(plain: &[u8]) -> [u8; 32] {
    Sha256::digest(plain).into()
}

/// Least and greatest sample of plain bytes. An unsigned sample of 32 bits above `i32::MAX` counts as `i32::MAX`.
///
/// # Errors
/// [`ShapeError`] when the bytes do not have the shape or a sample does not fit its stored bits.
pub fn range(shape: Shape, plain: &[u8]) -> Result<(i32, i32), ShapeError> {
    shape.check_len(plain)?;
    let (low, high) = match (shape.width(), shape.signed) {
        (1, false) => ends(plain.iter().map(|v| i64::from(*v))),
        (1, true) => ends(plain.iter().map(|v| i64::from(v.cast_signed()))),
        (2, false) => ends(
            plain
                .as_chunks::<2>()
                .0
                .iter()
                .map(|v| i64::from(u16::from_le_bytes(*v))),
        ),
        (2, true) => ends(
            plain
                .as_chunks::<2>()
                .0
                .iter()
                .map(|v| i64::from(i16::from_le_bytes(*v))),
        ),
        (_, false) => ends(
            plain
                .as_chunks::<4>()
                .0
                .iter()
                .map(|v| i64::from(u32::from_le_bytes(*v))),
        ),
        (_, true) => ends(
            plain
                .as_chunks::<4>()
                .0
                .iter()
                .map(|v| i64::from(i32::from_le_bytes(*v))),
        ),
    };
    let (least, most) = shape.bounds();
    if low < least || high > most {
        return Err(ShapeError::Sample);
    }
    let narrow = |v: i64| i32::try_from(v).unwrap_or(i32::MAX);
    Ok((narrow(low), narrow(high)))
}

fn ends(values: impl Iterator<Item = i64>) -> (i64, i64) {
    values.fold((i64::MAX, i64::MIN), |(low, high), v| (low.min(v), high.max(v)))
}
