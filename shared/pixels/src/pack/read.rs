//! Reads the index of a pack, believing nothing that the file does not bear out. Called by whoever opens a pack.

use super::{FOOTER, Frame, Index, MAGIC, MOST_DISPLAY, MOST_FRAMES, MOST_INDEX, Segment};
use std::io::{Read, Seek, SeekFrom};

/// Why a pack, or a segment of one, is not believed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file could not be read.
    #[error("reading a pack: {0}")]
    Io(#[from] std::io::Error),
    /// No pack, or one of another version.
    #[error("no pack of this version")]
    Magic,
    /// The index does not lie between the data and the footer, or is too large.
    #[error("the footer of a pack does not fit the file")]
    Footer,
    /// The index is damaged.
    #[error("the index of a pack is damaged")]
    Index,
    /// A frame contradicts itself or the file.
    #[error("frame {frame} of a pack: {what}")]
    Frame {
        /// Its place in the index, from 0.
        frame: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A segment's bytes are not those that were written.
    #[error("a segment of a pack is damaged")]
    Segment,
}

/// Reads the index of a pack that is `len` bytes long.
///
/// Reads the head, the footer and the index only. Allocates after comparing every length with `len` and with
/// [`MOST_INDEX`].
///
/// # Errors
/// [`PackError`], see its variants.
pub fn read_index(source: &mut (impl Read + Seek), len: u64) -> Result<Index, PackError> {
    let head_len = MAGIC.len() as u64;
    let footer_at = len.checked_sub(FOOTER).ok_or(PackError::Magic)?;
    let mut head = [0u8; MAGIC.len()];
    source.seek(SeekFrom::Start(0))?;
    source.read_exact(&mut head)?;
    let mut footer = [0u8; FOOTER as usize];
    source.seek(SeekFrom::Start(footer_at))?;
    source.read_exact(&mut footer)?;
    let ([offset, stored_len, plain_len], hash) =
        parts(&footer).filter(|_| head == MAGIC).ok_or(PackError::Magic)?;
    let fits = offset >= head_len
        && offset.checked_add(stored_len) == Some(footer_at)
        && stored_len <= MOST_INDEX
        && plain_len <= MOST_INDEX;
    if !fits {
        return Err(PackError::Footer);
    }
    let size = |v: u64| usize::try_from(v).map_err(|_| PackError::Footer);
    let mut stored = vec![0u8; size(stored_len)?];
    source.seek(SeekFrom::Start(offset))?;
    source.read_exact(&mut stored)?;
    if blake3::hash(&stored) != hash {
        return Err(PackError::Index);
    }
    let declared = zstd::zstd_safe::get_frame_content_size(&stored);
    if !matches!(declared, Ok(Some(n)) if n == plain_len) {
        return Err(PackError::Index);
    }
    let plain = zstd::bulk::decompress(&stored, size(plain_len)?).map_err(|_| PackError::Index)?;
    let (index, rest) = postcard::take_from_bytes::<Index>(&plain).map_err(|_| PackError::Index)?;
    if !rest.is_empty() || index.frames.len() > MOST_FRAMES {
        return Err(PackError::Index);
    }
    let mut held = 0u64;
    for (frame, f) in index.frames.iter().enumerate() {
        check(f, head_len, offset).map_err(|what| PackError::Frame { frame, what })?;
        held = f
            .segments
            .iter()
            .fold(held, |sum, s| sum.saturating_add(u64::from(s.len)));
    }
    // every byte of the data is one segment's
    if held != offset - head_len {
        return Err(PackError::Index);
    }
    Ok(index)
}

/// The three numbers and the hash of a footer with the right magic.
fn parts(footer: &[u8; FOOTER as usize]) -> Option<([u64; 3], blake3::Hash)> {
    let (numbers, rest) = footer.split_first_chunk::<24>()?;
    let (hash, magic) = rest.split_first_chunk::<32>()?;
    let mut out = [0u64; 3];
    for (to, from) in out.iter_mut().zip(numbers.as_chunks::<8>().0) {
        *to = u64::from_le_bytes(*from);
    }
    (magic == MAGIC).then_some((out, blake3::Hash::from_bytes(*hash)))
}

pub(super) fn check(frame: &Frame, from: u64, to: u64) -> Result<(), &'static str> {
    let shape = frame.shape.checked().map_err(|_| "shape")?;
    if frame.number == 0 || frame.sop.is_empty() || frame.sop.len() > 64 {
        return Err("number or UID");
    }
    if frame.colour.samples() != shape.samples {
        return Err("colour");
    }
    if frame.display.len() > MOST_DISPLAY {
        return Err("display text");
    }
    let (least, most) = shape.bounds();
    if frame.low > frame.high || i64::from(frame.low) < least || i64::from(frame.high) > most {
        return Err("range of samples");
    }
    if frame.segments.len() != frame.coding.segments(&shape) {
        return Err("segments");
    }
    let inside = |s: &Segment| {
        let end = s.offset.checked_add(u64::from(s.len));
        s.len > 0 && s.offset >= from && end.is_some_and(|end| end <= to)
    };
    if !frame.segments.iter().all(inside) {
        return Err("a segment outside of the data");
    }
    Ok(())
}

/// Whether these bytes are the segment's, to be asked before they are decoded.
///
/// # Errors
/// [`PackError::Segment`] when their length or BLAKE3 is another.
pub fn verify(bytes: &[u8], segment: &Segment) -> Result<(), PackError> {
    if bytes.len() as u64 == u64::from(segment.len)
        && blake3::hash(bytes) == blake3::Hash::from_bytes(segment.blake3)
    {
        Ok(())
    } else {
        Err(PackError::Segment)
    }
}
