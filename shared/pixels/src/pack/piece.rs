//! Pieces of an index, as they go to a workstation and lie there: some frames of it, one after the other.
//!
//! A piece is zstd of postcard of the frames. It cannot be compared with the pack's length: whoever reads one checks each
//! segment by its BLAKE3.

use super::read::check;
use super::{Frame, MOST_FRAMES, PackError};

/// Most bytes of an inflated piece.
const MOST: usize = 64 << 20;
const LEVEL: i32 = 3;

/// Writes frames of an index.
///
/// # Errors
/// [`PackError::Index`] when they are too many or too large for one piece.
pub fn write_piece(frames: &[Frame]) -> Result<Vec<u8>, PackError> {
    let plain = postcard::to_allocvec(frames).map_err(|_| PackError::Index)?;
    if plain.len() > MOST || frames.len() > MOST_FRAMES {
        return Err(PackError::Index);
    }
    zstd::bulk::compress(&plain, LEVEL).map_err(|_| PackError::Index)
}

/// Reads what [`write_piece`] wrote. Allocates after comparing lengths.
///
/// # Errors
/// [`PackError::Index`] for what is none; [`PackError::Frame`] for a frame that contradicts itself.
pub fn read_piece(bytes: &[u8]) -> Result<Vec<Frame>, PackError> {
    let declared = zstd::zstd_safe::get_frame_content_size(bytes);
    let size = match declared {
        Ok(Some(n)) => usize::try_from(n)
            .ok()
            .filter(|n| *n <= MOST)
            .ok_or(PackError::Index)?,
        _ => return Err(PackError::Index),
    };
    let plain = zstd::bulk::decompress(bytes, size).map_err(|_| PackError::Index)?;
    let (frames, rest) = postcard::take_from_bytes::<Vec<Frame>>(&plain).map_err(|_| PackError::Index)?;
    if !rest.is_empty() || frames.len() > MOST_FRAMES {
        return Err(PackError::Index);
    }
    for (frame, f) in frames.iter().enumerate() {
        check(f, 0, u64::MAX).map_err(|what| PackError::Frame { frame, what })?;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::encode;
    use crate::pack::{Entry, Writer, read_index};
    use crate::{Colour, Shape};

    #[test]
    fn a_piece_reads_as_it_was_written_and_nothing_else_does() {
        let shape = Shape {
            columns: 70,
            rows: 5,
            samples: 1,
            bits: 8,
            signed: false,
        };
        let mut w = Writer::new(Vec::new()).unwrap();
        for number in 1..=3 {
            let entry = Entry {
                sop: "1.2.3".into(),
                number,
                colour: Colour::Monochrome2,
                lossy: false,
                display: b"{}".to_vec(),
            };
            w.push(
                entry,
                encode(shape, &[u8::try_from(number).unwrap(); 350]).unwrap(),
            )
            .unwrap();
        }
        let (pack, index, _) = w.finish().unwrap();
        assert_eq!(
            read_index(&mut std::io::Cursor::new(&pack), pack.len() as u64).unwrap(),
            index
        );
        let piece = write_piece(&index.frames[1..]).unwrap();
        assert_eq!(read_piece(&piece).unwrap(), index.frames[1..]);
        assert_eq!(read_piece(&write_piece(&[]).unwrap()).unwrap(), []);
        for n in 0..piece.len() {
            assert!(read_piece(&piece[..n]).is_err());
        }
        let mut odd = index.frames.clone();
        odd[0].segments.clear();
        assert!(matches!(
            read_piece(&write_piece(&odd).unwrap()),
            Err(PackError::Frame { frame: 0, .. })
        ));
    }
}
