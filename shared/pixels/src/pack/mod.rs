//! One file that holds many coded frames, and the index by which one read fetches one segment.
//!
//! Lives here: the format, the streaming [`Writer`], the strict [`read_index`] and [`verify`]. Never here: files, names of
//! files, encryption. Called by the server's packing worker and by whoever serves or shows frames.
//!
//! # The file
//! ```text
//! head    8  "VTRPACK" and the version, 1
//! data       segments of layers 2 and 3 in the order of the frames; behind them runs: all segments of layer 1 that are
//!            still held, then all of layer 0. One run closes the file; a large pack has earlier ones too.
//! index      zstd of postcard of `Index`
//! footer 64  offset of the index u64, its length u64, its inflated length u64, BLAKE3 of the stored index 32, magic 8
//! ```
//! Numbers of the footer are little endian.

mod piece;
mod read;
mod write;

pub use piece::{read_piece, write_piece};
pub use read::{PackError, read_index, verify};
pub use write::{Entry, WriteError, Writer};

use crate::{Colour, Shape, layers::Coding};
use serde::{Deserialize, Serialize};

/// First and last bytes of a pack: its name and version.
const MAGIC: [u8; 8] = *b"VTRPACK\x01";
/// Length of the footer.
const FOOTER: u64 = 64;
/// Most frames of one pack.
pub const MOST_FRAMES: usize = 1 << 20;
/// Most bytes of an inflated index.
pub const MOST_INDEX: u64 = 1 << 29;
/// Most bytes of what the server keeps beside a frame for its display.
pub const MOST_DISPLAY: usize = 1 << 20;

/// Where a segment lies in the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// From the start of the file.
    pub offset: u64,
    /// Bytes.
    pub len: u32,
    /// BLAKE3 of the bytes.
    pub blake3: [u8; 32],
}

/// One frame of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// SOP Instance UID.
    pub sop: String,
    /// Frame number in the instance, from 1.
    pub number: u32,
    /// Shape of the plain pixels.
    pub shape: Shape,
    /// How the segments are coded.
    pub coding: Coding,
    /// What the samples mean.
    pub colour: Colour,
    /// Whether the source itself was coded with loss.
    pub lossy: bool,
    /// SHA-256 of the plain pixels.
    pub pixels: [u8; 32],
    /// Least sample.
    pub low: i32,
    /// Greatest sample.
    pub high: i32,
    /// Segments in the order of [`crate::layers::Coded::segments`].
    pub segments: Vec<Segment>,
    /// JSON of the server for the display of this frame; opaque here.
    pub display: Vec<u8>,
}

/// What a pack holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Frames in the order in which they were pushed.
    pub frames: Vec<Frame>,
}
