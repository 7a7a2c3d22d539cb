//! RLE Lossless (PS3.5 Annex G).
//!
//! Lives here: segments to byte planes to cells. Never here: a byte written beyond what the header's size allows.
//! Called by [`mod@crate::decode`].

use crate::cells::Cells;
use crate::{Job, Refused};

const CODEC: &str = "RLE";
/// The header: the number of segments and 15 offsets, 4 bytes each.
const HEADER: usize = 64;

fn fault(text: impl Into<String>) -> Refused {
    Refused::damaged(CODEC, text)
}

/// The cells of a frame. Of one bit per sample the bytes are packed as in [`crate::native`], from the first bit.
pub fn decode(job: &Job, count: usize) -> Result<Cells, Refused> {
    let pixels = count / usize::from(job.samples.max(1));
    if job.bits_allocated == 1 {
        let packed = segments(&job.bytes, 1, count.div_ceil(8))?;
        return crate::native::unpack(&packed, 0, count).map(Cells::Bytes);
    }
    let width = usize::from(job.bits_allocated / 8);
    let samples = usize::from(job.samples);
    // Byte planes, the highest byte of the first sample first (PS3.5 §G.2).
    let planes = segments(&job.bytes, samples * width, pixels)?;
    let plane = |sample: usize, byte: usize| {
        let at = (sample * width + byte) * pixels;
        planes.get(at..at + pixels).unwrap_or_default()
    };
    match width {
        1 => {
            if samples == 1 {
                return Ok(Cells::Bytes(planes));
            }
            let mut out = vec![0u8; count];
            for s in 0..samples {
                for (to, from) in out.iter_mut().skip(s).step_by(samples).zip(plane(s, 0)) {
                    *to = *from;
                }
            }
            Ok(Cells::Bytes(out))
        }
        2 => {
            let mut out = vec![0u16; count];
            for s in 0..samples {
                let cells = plane(s, 0).iter().zip(plane(s, 1));
                for (to, (high, low)) in out.iter_mut().skip(s).step_by(samples).zip(cells) {
                    *to = u16::from_be_bytes([*high, *low]);
                }
            }
            Ok(Cells::Words(out))
        }
        4 => {
            let mut out = vec![0u32; count];
            for s in 0..samples {
                for b in 0..4 {
                    for (to, from) in out.iter_mut().skip(s).step_by(samples).zip(plane(s, b)) {
                        *to = *to << 8 | u32::from(*from);
                    }
                }
            }
            Ok(Cells::Longs(out))
        }
        _ => Err(Refused::Unsuitable(format!("RLE of {} bits", job.bits_allocated))),
    }
}

/// `wanted` segments of `len` bytes each, one after the other.
fn segments(data: &[u8], wanted: usize, len: usize) -> Result<Vec<u8>, Refused> {
    let header = data.get(..HEADER).ok_or_else(|| fault("no header"))?;
    let (words, _) = header.as_chunks::<4>();
    let mut words = words.iter().map(|w| u32::from_le_bytes(*w) as usize);
    let count = words.next().unwrap_or(0);
    if count != wanted {
        return Err(Refused::Disagrees {
            what: "RLE segments".to_owned(),
            header: wanted as u64,
            found: count as u64,
        });
    }
    let offsets: Vec<usize> = words.take(count).collect();
    let mut out = Vec::with_capacity(wanted.saturating_mul(len));
    for (i, start) in offsets.iter().enumerate() {
        let end = offsets.get(i + 1).copied().unwrap_or(data.len());
        let segment = data
            .get(*start..end)
            .filter(|_| *start >= HEADER)
            .ok_or_else(|| fault("a segment lies outside"))?;
        segment_into(segment, len, &mut out)?;
    }
    Ok(out)
}

/// PS3.5 §G.3.2. What follows the last byte wanted is padding.
fn segment_into(mut data: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
    let end = out.len() + len;
    while out.len() < end {
        let (n, rest) = data.split_first().ok_or_else(|| fault("a segment ends early"))?;
        let left = end - out.len();
        data = match *n {
            0..=127 => {
                let n = usize::from(*n) + 1;
                let (literal, rest) = rest
                    .split_at_checked(n)
                    .ok_or_else(|| fault("a segment ends early"))?;
                out.extend(literal.iter().take(left));
                rest
            }
            128 => rest,
            129.. => {
                let (byte, rest) = rest.split_first().ok_or_else(|| fault("a segment ends early"))?;
                let n = 257 - usize::from(*n);
                out.resize(out.len() + n.min(left), *byte);
                rest
            }
        };
    }
    Ok(())
}
