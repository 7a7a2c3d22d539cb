//! A frame in layers: one lossless HTJ2K codestream cut where its resolutions end, so that a prefix is a smaller image.
//!
//! Lives here: [`encode`], [`decode`], [`standalone`], and which segment is which layer ([`Coding`]). Layer 0 is the
//! frame at no more than 64 pixels on its longer side, 1 at 128, 2 at 256, 3 in full; a frame that is smaller ends
//! earlier ([`Shape::last_layer`]). The segments of a frame, one behind the other, are a valid codestream of the transfer
//! syntax 1.2.840.10008.1.2.4.202 (RPCL, TLM). A frame that HTJ2K cannot take or does not give back byte for byte is
//! coded as one whole ([`Coding::Zstd`]).
//! Never here: packs, display. Called by the server's packing worker, DICOMweb and the workstation's decoders.

mod codec;
mod header;
mod packets;
mod tags;
mod wavelet;
mod whole;

use crate::{Shape, ShapeError, digest, range};
use header::{EOC, Main};
use serde::{Deserialize, Serialize};

/// Most samples of a frame that HTJ2K is asked to code; larger frames are coded whole. Bounds the memory of a decode to
/// about 24 bytes a sample.
pub const MOST_SAMPLES: u64 = 1 << 26;
/// Longest side for HTJ2K: one precinct (T.800 A.6.1) has 2^15 pixels a side.
const MOST_SIDE: u32 = 1 << 15;
/// Most bits a sample that the coder takes.
const MOST_BITS: u8 = 16;

/// How a frame is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Coding {
    /// Reversible HTJ2K in layers.
    HtJ2k,
    /// The whole frame at once: planes of bytes, zstd.
    Zstd,
}

impl Coding {
    /// How many segments a frame of this shape has.
    pub fn segments(self, shape: &Shape) -> usize {
        match self {
            Self::HtJ2k => usize::from(shape.last_layer()) + 1,
            Self::Zstd => 1,
        }
    }

    /// The layer that a segment (counted from 0) completes.
    pub fn layer(self, shape: &Shape, segment: usize) -> u8 {
        match self {
            Self::HtJ2k => u8::try_from(segment).unwrap_or(3).min(shape.last_layer()),
            Self::Zstd => shape.last_layer(),
        }
    }
}

/// Why a frame was not coded in layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unlayered {
    /// More stored bits than the coder takes.
    #[error("more than 16 bits a sample")]
    Bits,
    /// Too many samples, or too long a side.
    #[error("a frame too large for one tile of one precinct")]
    Large,
    /// So much longer than wide that its least resolution would be no preview.
    #[error("a frame too narrow for layers")]
    Narrow,
    /// Samples that are numbers of a palette.
    #[error("numbers of a palette have no smaller image")]
    Palette,
    /// The coder refused the frame or gave up.
    #[error("the coder gave up")]
    Encoder,
    /// The codestream did not decode to the same bytes.
    #[error("the codestream did not give the pixels back")]
    Mismatch,
}

/// A coded frame. Its pixels were decoded again and found equal before it came into being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// The shape given.
    pub shape: Shape,
    /// How it is coded.
    pub coding: Coding,
    /// Segments in the order in which they are sent; [`Coding::layer`] says what each completes.
    pub segments: Vec<Vec<u8>>,
    /// Why it is not in layers, when it is not.
    pub unlayered: Option<Unlayered>,
    /// SHA-256 of the plain bytes.
    pub pixels: [u8; 32],
    /// Least sample.
    pub low: i32,
    /// Greatest sample.
    pub high: i32,
}

/// A decoded frame or a smaller image of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Columns of this image.
    pub columns: u32,
    /// Rows of this image.
    pub rows: u32,
    /// Plain bytes of `columns` x `rows` pixels; samples, bits and sign as in the frame's shape.
    pub plain: Vec<u8>,
    /// Whether every segment was used. The caller still compares [`digest`] before it calls the image exact.
    pub exact: bool,
}

/// What is wrong with a frame or its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The shape, or plain bytes that do not have it.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No segments, or more than the frame has, or none that can be shown alone.
    #[error("{0} segments")]
    Segments(usize),
    /// The bytes end in the middle.
    #[error("the codestream is cut off")]
    Truncated,
    /// The main header is not one of ours, or not of this frame.
    #[error("codestream header: {0}")]
    Header(&'static str),
    /// A packet is not one of ours.
    #[error("codestream packet: {0}")]
    Packet(&'static str),
    /// Bytes between or behind the packets.
    #[error("bytes where a segment should end")]
    Ends,
    /// The decoder refused the blocks or gave up.
    #[error("the decoder gave up")]
    Decoder,
    /// A whole-frame coding that is damaged or of another length.
    #[error("the whole-frame coding is damaged")]
    Whole,
    /// More than fits this machine's memory or the format's lengths.
    #[error("too large")]
    TooLarge,
}

/// Wavelet levels that bring the longer side to 64 pixels or less.
fn levels(shape: &Shape) -> u8 {
    (0..=MOST_BITS)
        .find(|l| shape.longest().div_ceil(1 << l) <= 64)
        .unwrap_or(MOST_BITS)
}

/// Resolution that a segment completes.
fn resolution(shape: &Shape, levels: u8, segment: usize) -> u8 {
    match u8::try_from(segment) {
        Ok(s) if s < shape.last_layer() => s,
        _ => levels,
    }
}

/// Codes a frame; what it gives back was decoded again and compared byte for byte.
///
/// HTJ2K first; whatever speaks against it (see [`Unlayered`]) leads to [`Coding::Zstd`].
///
/// # Errors
/// [`Fault::Shape`] when `plain` is not canonical for `shape`; [`Fault::Whole`] when even the whole coding does not give
/// the bytes back.
pub fn encode(shape: Shape, plain: &[u8]) -> Result<Coded, Fault> {
    coded(shape, plain, layered(&shape, plain))
}

/// Codes a frame whose samples are numbers of a palette: between two of them lies no third, so it has no smaller image.
///
/// # Errors
/// As [`encode`].
pub fn encode_palette(shape: Shape, plain: &[u8]) -> Result<Coded, Fault> {
    coded(shape, plain, Err(Unlayered::Palette))
}

fn coded(shape: Shape, plain: &[u8], layers: Result<Vec<Vec<u8>>, Unlayered>) -> Result<Coded, Fault> {
    let (low, high) = range(shape, plain)?;
    let (coding, segments, unlayered) = match layers {
        Ok(segments) => (Coding::HtJ2k, segments, None),
        Err(why) => {
            let coded = whole::encode(&shape, plain)?;
            if whole::decode(&shape, &coded)? != plain {
                return Err(Fault::Whole);
            }
            (Coding::Zstd, vec![coded], Some(why))
        }
    };
    Ok(Coded {
        shape,
        coding,
        segments,
        unlayered,
        pixels: digest(plain),
        low,
        high,
    })
}

/// The segments of a frame that HTJ2K gives back byte for byte.
fn layered(shape: &Shape, plain: &[u8]) -> Result<Vec<Vec<u8>>, Unlayered> {
    if shape.bits > MOST_BITS {
        return Err(Unlayered::Bits);
    }
    let samples = u64::from(shape.columns) * u64::from(shape.rows) * u64::from(shape.samples);
    if samples > MOST_SAMPLES || shape.longest() > MOST_SIDE {
        return Err(Unlayered::Large);
    }
    let levels = levels(shape);
    if shape.columns.min(shape.rows) >> levels == 0 {
        return Err(Unlayered::Narrow);
    }
    let mut why = Unlayered::Encoder;
    for block in codec::BLOCKS {
        let Some(stream) = codec::encode(shape, plain, levels, block) else {
            continue;
        };
        let Ok(segments) = cut(shape, &stream) else {
            continue;
        };
        let parts: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
        match decode(*shape, Coding::HtJ2k, &parts) {
            Ok(image) if image.exact && image.plain == plain => return Ok(segments),
            _ => why = Unlayered::Mismatch,
        }
    }
    Err(why)
}

/// Cuts the coder's stream where the layers end, with a header of ours.
fn cut(shape: &Shape, stream: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let (coder, start, declared) = Main::read(stream)?;
    let main = codec::frame_header(coder, shape)
        .filter(|m| m.levels == levels(shape))
        .ok_or(Fault::Header("another frame"))?;
    let packets = stream
        .get(start..)
        .and_then(|p| p.strip_suffix(&EOC))
        .ok_or(Fault::Truncated)?;
    let ends = packets::ends(&main, packets, main.levels)?;
    if ends.last() != Some(&packets.len()) || (declared != 0 && declared != packets.len()) {
        return Err(Fault::Ends);
    }
    let mut segments = Vec::with_capacity(4);
    let mut from = 0;
    for segment in 0..Coding::HtJ2k.segments(shape) {
        let to = ends
            .get(usize::from(resolution(shape, main.levels, segment)))
            .copied()
            .ok_or(Fault::Ends)?;
        let mut bytes = if segment == 0 {
            main.write(packets.len())?
        } else {
            Vec::with_capacity(to - from)
        };
        bytes.extend_from_slice(packets.get(from..to).ok_or(Fault::Ends)?);
        segments.push(bytes);
        from = to;
    }
    if let Some(last) = segments.last_mut() {
        last.extend_from_slice(&EOC);
    }
    Ok(segments)
}

/// The header of the image that the first segments of a frame make, and its packets.
fn prefix(shape: &Shape, segments: &[&[u8]]) -> Result<(Main, Vec<u8>), Fault> {
    let shape = shape.checked()?;
    let all = Coding::HtJ2k.segments(&shape);
    let (Some((first, more)), true) = (segments.split_first(), segments.len() <= all) else {
        return Err(Fault::Segments(segments.len()));
    };
    let (main, start, declared) = Main::read(first)?;
    if !main.is_of(&shape) || main.levels != levels(&shape) {
        return Err(Fault::Header("another frame"));
    }
    if shape.longest() > MOST_SIDE || shape.bits > MOST_BITS {
        return Err(Fault::Header("more than is coded so"));
    }
    let last = resolution(&shape, main.levels, segments.len() - 1);
    let cut = main.at(last);
    let head = first.get(start..).ok_or(Fault::Truncated)?;
    let mut packets = Vec::with_capacity(head.len() + more.iter().map(|s| s.len()).sum::<usize>());
    packets.extend_from_slice(head);
    for segment in more {
        packets.extend_from_slice(segment);
    }
    if last == main.levels {
        if !packets.ends_with(&EOC) {
            return Err(Fault::Truncated);
        }
        packets.truncate(packets.len() - EOC.len());
        if declared != 0 && declared != packets.len() {
            return Err(Fault::Ends);
        }
    }
    Ok((cut, packets))
}

/// The codestream of a smaller image (or of the frame, from all segments): a valid HTJ2K file of its own, to be served
/// as `image/jphc`.
///
/// # Errors
/// [`Fault`] when the segments are not the first ones of a layered frame of this shape.
pub fn standalone(shape: Shape, segments: &[&[u8]]) -> Result<Vec<u8>, Fault> {
    let (main, packets) = prefix(&shape, segments)?;
    if packets::ends(&main, &packets, main.levels)?.last() != Some(&packets.len()) {
        return Err(Fault::Ends);
    }
    let mut out = main.write(packets.len())?;
    out.extend_from_slice(&packets);
    out.extend_from_slice(&EOC);
    Ok(out)
}

/// Decodes the first segments of a frame: `segments[0..=k]`, all of them for the exact pixels.
///
/// Memory is bounded by the shape (see [`MOST_SAMPLES`]); nothing the bytes say makes it larger. A panic of the codec is
/// caught and is [`Fault::Decoder`]. Damage that still decodes gives other pixels: compare [`digest`], and the segment's
/// own hash before.
///
/// # Errors
/// [`Fault`], see its variants.
pub fn decode(shape: Shape, coding: Coding, segments: &[&[u8]]) -> Result<Decoded, Fault> {
    let shape = shape.checked()?;
    match coding {
        Coding::HtJ2k => {
            let samples = u64::from(shape.columns) * u64::from(shape.rows) * u64::from(shape.samples);
            if samples > MOST_SAMPLES {
                return Err(Fault::TooLarge);
            }
            let (main, packets) = prefix(&shape, segments)?;
            let plain = codec::decode(&main, &packets)?;
            Ok(Decoded {
                columns: main.columns,
                rows: main.rows,
                plain,
                exact: segments.len() == coding.segments(&shape),
            })
        }
        Coding::Zstd => match segments {
            [coded] => Ok(Decoded {
                columns: shape.columns,
                rows: shape.rows,
                plain: whole::decode(&shape, coded)?,
                exact: true,
            }),
            _ => Err(Fault::Segments(segments.len())),
        },
    }
}
