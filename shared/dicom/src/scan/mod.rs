//! The strict walk over a file before any parser sees it.
//!
//! Lives here: what a file is ([`FileMeta`], [`Preamble`]), where its header and its pixels lie, and which bytes are
//! frame n. The walk reads headers and seeks over values: a declared length never becomes an allocation, nesting and
//! counts are bounded, and rows × columns × samples × bits × frames are compared with the bytes that are there. What
//! is odd but harmless is let through and told ([`Oddity`]); everything else is a [`ScanError`].
//! Never here: files, the meaning of a header, pixels decoded. Called by whoever takes a file in.

pub(crate) mod element;
mod error;
mod frames;
mod input;
mod meta;
mod pixels;
mod walk;

pub use element::Coding;
pub use error::ScanError;
pub use frames::Frame;
pub use pixels::Geometry;

use crate::syntax::{self, TransferSyntax};
use dicom_core::{Tag, VR};
use input::{Inflated, Input as _, Plain};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

/// Levels of sequences in sequences.
pub const DEPTH_MOST: usize = 16;
/// Elements and items of one file, headers of fragments not counted.
pub const ELEMENTS_MOST: usize = 200_000;
/// Fragments of encapsulated pixels, and entries of their tables.
pub const FRAGMENTS_MOST: usize = 1_000_000;
/// Bytes of one element of group 0002.
pub const META_MOST: u64 = 4 << 10;
/// Bytes of the header before the pixels: it is held in memory whole.
pub const HEADER_MOST: u64 = 64 << 20;
/// Pixels of one encapsulated frame: a decoder is asked for no more.
pub const FRAME_PIXELS_MOST: u64 = 1_000_000_000;

/// The 128 bytes before `DICM` (PS3.10 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// The file begins without one.
    Absent,
    /// All zero.
    Zero,
    /// Something else: perhaps TIFF tags, perhaps another kind of file altogether (a polyglot). Zero it before anyone
    /// who is not a DICOM reader gets the file.
    NonZero,
}

/// What group 0002 says (PS3.10 §7.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileMeta {
    /// `(0002,0010)`.
    pub transfer_syntax: Option<String>,
    /// `(0002,0002)`.
    pub sop_class: Option<String>,
    /// `(0002,0003)`.
    pub sop_instance: Option<String>,
    /// `(0002,0012)`.
    pub implementation_class: Option<String>,
    /// `(0002,0013)`.
    pub implementation_version: Option<String>,
    /// `(0002,0016)`.
    pub source_ae: Option<String>,
}

/// What is wrong and was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Odd {
    /// No `DICM` after 128 bytes.
    NoPrefix,
    /// No group 0002.
    NoFileMeta,
    /// Group 0002 does not name a transfer syntax; it was guessed from the first element.
    NoTransferSyntax,
    /// `(0002,0000)` does not say the length of group 0002.
    MetaLength,
    /// The transfer syntax is none of PS3.6; it was guessed from the first element.
    UnknownTransferSyntax,
    /// The data set is not written in the transfer syntax that group 0002 names; it was guessed from the first element.
    OtherTransferSyntax,
    /// A value of an odd length (PS3.5 §7.1.1 wants it padded).
    OddLength,
    /// An element after one with a greater tag (PS3.5 §7.1).
    OutOfOrder,
    /// `UN` of undefined length: a sequence in Implicit VR Little Endian (PS3.5 §6.2.2).
    UnknownSequence,
    /// More bytes of pixels than the attributes ask for.
    PixelsTooLong,
    /// `(0028,0008)` says 0 frames; one is meant.
    ZeroFrames,
    /// Fewer than eight zero bytes after the last element.
    TrailingBytes,
}

/// Something odd, where it was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oddity {
    /// What.
    pub what: Odd,
    /// At which byte.
    pub offset: u64,
    /// At which element; (0000,0000) where it is none's.
    pub tag: Tag,
}

/// Where the pixels lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PixelData {
    /// Plain values.
    Native {
        /// `(7FE0,0010)`, or `(7FE0,0008)` Float, or `(7FE0,0009)` Double Float.
        tag: Tag,
        /// `OW` in big endian means swapped words.
        vr: VR,
        /// First byte of the element in the file.
        element: u64,
        /// First byte of the value in the file.
        offset: u64,
        /// Bytes of the value.
        len: u64,
    },
    /// Fragments (PS3.5 §A.4).
    Encapsulated {
        /// First byte of the element in the file.
        element: u64,
        /// The basic offset table: bytes from the first fragment's item to each frame's; may be empty.
        basic: Vec<u32>,
        /// The extended offset table `(7FE0,0001)` and its lengths `(7FE0,0002)` (PS3.3 §C.7.6.3.1.8).
        extended: Option<(Vec<u64>, Vec<u64>)>,
        /// Offset in the file and bytes of each fragment's value, the table's item not among them.
        fragments: Vec<(u64, u32)>,
        /// Which fragments, counted from 0, begin as a codestream of the JPEG family does. Only without a basic table.
        starts: Vec<u32>,
    },
    /// Within a deflated data set: counted in inflated bytes, with no place in the file.
    Deflated {
        /// As in [`PixelData::Native`].
        tag: Tag,
        /// First inflated byte of the element.
        element: u64,
        /// First inflated byte of the value.
        offset: u64,
        /// Bytes of the value.
        len: u64,
    },
}

impl PixelData {
    /// The element they lie in, and where it begins.
    #[must_use]
    pub fn element(&self) -> (Tag, u64) {
        match self {
            Self::Native { tag, element, .. } | Self::Deflated { tag, element, .. } => (*tag, *element),
            Self::Encapsulated { element, .. } => (pixels::PIXEL_DATA, *element),
        }
    }
}

/// What the scan knows of a file that it let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Group 0002.
    pub meta: FileMeta,
    /// The first 128 bytes.
    pub preamble: Preamble,
    /// How the elements of the data set are written, found out by reading them.
    pub coding: Coding,
    /// The facts about the transfer syntax that group 0002 names; `None` for a private one or none.
    pub syntax: Option<&'static TransferSyntax>,
    /// The data set before the pixels: bytes of the file, or of [`Scan::inflated`].
    pub header: Range<u64>,
    /// The header of a deflated data set, inflated: there is no other way to it.
    pub inflated: Option<Vec<u8>>,
    /// How the pixels are to be read; `None` without pixels.
    pub geometry: Option<Geometry>,
    /// Where the pixels lie; `None` for a structured report, a plan, a document.
    pub pixel: Option<PixelData>,
    /// Elements and items there are.
    pub elements: usize,
    /// What is odd, each kind once.
    pub oddities: Vec<Oddity>,
    /// Where values of `UN` with an undefined length lie: there the coding is Implicit VR Little Endian.
    pub(crate) unknown_sequences: Vec<Range<u64>>,
}

impl Scan {
    /// Whether this kind of oddity was seen.
    #[must_use]
    pub fn is_odd(&self, what: Odd) -> bool {
        self.oddities.iter().any(|o| o.what == what)
    }

    /// The UID of the transfer syntax that the data set is really written in, as far as that can be named. Fragments are
    /// coded as group 0002 says, though the elements around them be written in another way than that implies.
    #[must_use]
    pub fn transfer_syntax(&self) -> &str {
        let coded = matches!(self.pixel, Some(PixelData::Encapsulated { .. }));
        let contradicted = self.is_odd(Odd::OtherTransferSyntax) && !coded;
        match &self.meta.transfer_syntax {
            Some(uid) if !contradicted => uid,
            _ if self.coding == Coding::IMPLICIT_LE => syntax::IMPLICIT_LE,
            _ if self.coding == Coding::EXPLICIT_BE => syntax::EXPLICIT_BE,
            _ => syntax::EXPLICIT_LE,
        }
    }

    /// The bytes of the header: at most [`HEADER_MOST`], from the source that was scanned.
    pub fn read_header(&self, source: &mut (impl Read + Seek)) -> Result<Vec<u8>, ScanError> {
        if let Some(inflated) = &self.inflated {
            return Ok(inflated.clone());
        }
        let offset = self.header.start;
        let wanted = self.header.end - self.header.start;
        let mut bytes = Vec::new();
        source
            .seek(SeekFrom::Start(offset))
            .and_then(|_| source.by_ref().take(wanted).read_to_end(&mut bytes))
            .map_err(|source| ScanError::Read { offset, source })?;
        let left = bytes.len() as u64;
        if left < wanted {
            return Err(ScanError::Truncated {
                offset,
                tag: Tag(0, 0),
                wanted,
                left,
            });
        }
        Ok(bytes)
    }
}

/// Walks over a file of `len` bytes, from its first byte to its last.
pub fn scan(source: &mut (impl Read + Seek), len: u64) -> Result<Scan, ScanError> {
    // Values are sought over: whether the last one is there, only the end of the source tells.
    let left = source
        .seek(SeekFrom::End(0))
        .map_err(|source| ScanError::Read { offset: len, source })?;
    if left < len {
        return Err(ScanError::Truncated {
            offset: 0,
            tag: Tag(0, 0),
            wanted: len,
            left,
        });
    }
    let mut oddities = Vec::new();
    let mut input = Plain::new(&mut *source, 0, len);
    let start = meta::read(&mut input, &mut oddities)?;
    let known = start.meta.transfer_syntax.as_deref().map(syntax::of);
    let facts = known.flatten();
    if facts.is_some_and(|f| f.deflated) {
        let from = input.at();
        drop(input);
        source
            .seek(SeekFrom::Start(from))
            .map_err(|source| ScanError::Read { offset: from, source })?;
        let rest = Read::take(&mut *source, len.saturating_sub(from));
        let mut inflated = Inflated::new(rest, HEADER_MOST);
        let mut found = walk::walk(&mut inflated, Coding::EXPLICIT_LE, facts, &mut oddities)?;
        let mut kept = inflated.into_kept();
        kept.truncate(usize::try_from(found.header.end).unwrap_or(usize::MAX));
        found.pixel = match found.pixel {
            Some(PixelData::Native {
                tag,
                element,
                offset,
                len,
                ..
            }) => Some(PixelData::Deflated {
                tag,
                element,
                offset,
                len,
            }),
            Some(pixel) => {
                let (tag, offset) = pixel.element();
                return Err(ScanError::WrongEncapsulation {
                    offset,
                    tag,
                    how: "is in fragments",
                });
            }
            None => None,
        };
        return Ok(start.into_scan(Coding::EXPLICIT_LE, facts, found, Some(kept), oddities));
    }
    let coding = meta::coding(&mut input, known, &mut oddities)?;
    let found = walk::walk(&mut input, coding, facts, &mut oddities)?;
    Ok(start.into_scan(coding, facts, found, None, oddities))
}

/// Writes an oddity down, each kind once.
fn tell(oddities: &mut Vec<Oddity>, what: Odd, offset: u64, tag: Tag) {
    if oddities.iter().all(|o| o.what != what) {
        oddities.push(Oddity { what, offset, tag });
    }
}
