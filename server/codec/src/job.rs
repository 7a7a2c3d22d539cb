//! One frame to decode, what comes of it, and why nothing may come of it.
//!
//! Lives here: the types, and how a job is made of a scanned file. Never here: decoding. Called by the server, which
//! reads the frame's bytes, and by [`mod@crate::decode`].

use crate::{Colour, Shape};
use serde::{Deserialize, Serialize};
use vitrine_dicom::scan::{Frame, PixelData};
use vitrine_dicom::{Scan, Tag, VR, syntax};

/// Most bytes of one frame's plain pixels (512 MiB: a mammogram has 60, a slide's tile less).
pub const PLAIN_MOST: u64 = 512 << 20;

/// One frame as the file has it. All values are the header's, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Job {
    /// UID of the transfer syntax that the pixels are in.
    pub syntax: String,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Rows (0028,0010).
    pub rows: u32,
    /// Samples of a pixel (0028,0002).
    pub samples: u16,
    /// Bits that a sample takes (0028,0100).
    pub bits_allocated: u16,
    /// Bits of it that count (0028,0101).
    pub bits_stored: u16,
    /// The highest that counts (0028,0102).
    pub high_bit: u16,
    /// Two's complement (0028,0103).
    pub signed: bool,
    /// Plain samples lie one plane after the other (0028,0006).
    pub planar: bool,
    /// Plain samples of up to 8 bits lie in 16-bit words whose high byte comes first (`OW` in big endian, PS3.5 §A.3).
    pub swapped: bool,
    /// Photometric interpretation (0028,0004).
    pub photometric: String,
    /// For plain samples of one bit: the bit of the first byte that the frame begins with, counted from the lowest.
    pub first_bit: u8,
    /// The plain values of the frame, or its fragments in one piece.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// A frame's pixels: rows from top to bottom, samples of a pixel together; a sample takes 1 byte for up to 8 bits, 2 for up
/// to 16, 4 for up to 32, the lowest byte first, extended by zeros or by the sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Size and type.
    pub shape: Shape,
    /// What the samples mean.
    pub colour: Colour,
    /// The pixels.
    pub bytes: Vec<u8>,
    /// Whether the codestream has lost something. What was lost before (a reversible codestream cut short by who wrote
    /// it, an image that was lossy once) only the header knows: (0028,2110).
    pub lossy: bool,
}

/// Why a frame has no plain pixels. The original is what it was: it can be kept and given out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// The product cannot decode this; another program may.
    #[error("no decoder for {0}")]
    NoDecoder(String),
    /// The header asks for something that is no image of ours.
    #[error("not an image this product shows: {0}")]
    Unsuitable(String),
    /// The codestream is not what its standard says.
    #[error("{codec}: {fault}")]
    Damaged {
        /// The codec.
        codec: String,
        /// What is wrong.
        fault: String,
    },
    /// Codestream and header say different things.
    #[error("the header says {what} {header}, the codestream {found}")]
    Disagrees {
        /// Of what.
        what: String,
        /// The header's.
        header: u64,
        /// The codestream's.
        found: u64,
    },
    /// More than [`PLAIN_MOST`], or more than the process may have.
    #[error("a frame of {bytes} bytes; at most {most} are decoded")]
    TooLarge {
        /// It would have.
        bytes: u64,
        /// It may have.
        most: u64,
    },
    /// A decoder of others panicked. Nothing of its work was used.
    #[error("the decoder for {0} failed")]
    Fault(String),
}

impl Refused {
    pub(crate) fn damaged(codec: &str, fault: impl Into<String>) -> Self {
        Self::Damaged {
            codec: codec.to_owned(),
            fault: fault.into(),
        }
    }
    /// A word for metrics and tables: one per kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoDecoder(_) => "no-decoder",
            Self::Unsuitable(_) => "unsuitable",
            Self::Damaged { .. } => "damaged",
            Self::Disagrees { .. } => "disagrees",
            Self::TooLarge { .. } => "too-large",
            Self::Fault(_) => "fault",
        }
    }
}

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// The job for a frame of a scanned file. `bytes` are those of `frame.ranges`, in that order; of a deflated data set,
/// whose frames have no place in the file, those that the caller cut out of the inflated pixels.
///
/// # Errors
/// [`Refused::Unsuitable`] without pixels, or with pixels of floating point.
pub fn job(scan: &Scan, frame: &Frame, bytes: Vec<u8>) -> Result<Job, Refused> {
    let (Some(geometry), Some(pixel)) = (&scan.geometry, &scan.pixel) else {
        return Err(Refused::Unsuitable("it has no pixels".to_owned()));
    };
    if pixel.element().0 != PIXEL_DATA {
        return Err(Refused::Unsuitable("floating-point pixels".to_owned()));
    }
    let syntax = scan.transfer_syntax().to_owned();
    let mut swapped = false;
    if let PixelData::Native { vr, offset, .. } = pixel {
        let big = syntax::of(&syntax).is_some_and(|s| s.big_endian);
        swapped = big && *vr == VR::OW && geometry.bits_allocated <= 8;
        let odd = |at: u64| at.wrapping_sub(*offset) % 2 == 1;
        if swapped && frame.ranges.iter().any(|r| odd(r.start) || odd(r.end)) {
            return Err(Refused::Unsuitable(
                "a frame that shares a big-endian word with another".to_owned(),
            ));
        }
    }
    Ok(Job {
        syntax,
        columns: geometry.columns.into(),
        rows: geometry.rows.into(),
        samples: geometry.samples,
        bits_allocated: geometry.bits_allocated,
        bits_stored: geometry.bits_stored,
        high_bit: geometry.high_bit,
        signed: geometry.signed,
        planar: geometry.planar,
        swapped,
        photometric: geometry.photometric.clone(),
        first_bit: frame.first_bit,
        bytes,
    })
}
