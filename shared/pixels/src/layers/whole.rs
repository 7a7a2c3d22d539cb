//! The whole-frame coding for frames that HTJ2K cannot take: bytes of equal weight side by side, then zstd.
//! Called by [`super`] alone.

use super::Fault;
use crate::Shape;

const LEVEL: i32 = 3;

/// Plain bytes split into planes (all lowest bytes, then all next ones), compressed.
pub(super) fn encode(shape: &Shape, plain: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut planes = Vec::with_capacity(plain.len());
    let width = shape.width();
    for byte in 0..width {
        planes.extend(plain.iter().skip(byte).step_by(width));
    }
    zstd::bulk::compress(&planes, LEVEL).map_err(|_| Fault::Whole)
}

/// The plain bytes. Allocates no more than the shape's length, and only when the stream declares exactly that.
pub(super) fn decode(shape: &Shape, coded: &[u8]) -> Result<Vec<u8>, Fault> {
    let want = usize::try_from(shape.len()).map_err(|_| Fault::TooLarge)?;
    let declared = zstd::zstd_safe::get_frame_content_size(coded).map_err(|_| Fault::Whole)?;
    if declared != Some(want as u64) {
        return Err(Fault::Whole);
    }
    let planes = zstd::bulk::decompress(coded, want).map_err(|_| Fault::Whole)?;
    if planes.len() != want {
        return Err(Fault::Whole);
    }
    let width = shape.width();
    if width == 1 {
        return Ok(planes);
    }
    let mut plain = vec![0u8; want];
    for (byte, plane) in planes.chunks_exact(want / width).enumerate() {
        for (to, from) in plain.iter_mut().skip(byte).step_by(width).zip(plane) {
            *to = *from;
        }
    }
    Ok(plain)
}
