//! Plain values (PS3.5 §8.1, §8.2; Annex A).
//!
//! Lives here: byte order, one bit to one byte, planes to pixels, shared colour to each pixel's own. Never here: which
//! bits of a cell count ([`crate::cells`]). Called by [`mod@crate::decode`].

use crate::cells::Cells;
use crate::{Job, Refused};
use std::borrow::Cow;

fn short(wanted: usize, found: usize) -> Refused {
    Refused::Disagrees {
        what: "bytes of a frame".to_owned(),
        header: wanted as u64,
        found: found as u64,
    }
}

/// The cells of a frame of `count` samples, of which `big` tells the byte order.
pub fn decode(job: &Job, data: &[u8], count: usize, big: bool) -> Result<Cells, Refused> {
    let data = if job.swapped {
        swap(data)
    } else {
        Cow::Borrowed(data)
    };
    if job.bits_allocated == 1 {
        return unpack(&data, job.first_bit, count).map(Cells::Bytes);
    }
    if job.samples == 3 && job.photometric == "YBR_FULL_422" {
        return shared_colour(job, &data, count);
    }
    let width = usize::from(job.bits_allocated / 8);
    let wanted = count.saturating_mul(width);
    let data = data.get(..wanted).ok_or_else(|| short(wanted, data.len()))?;
    let cells = match width {
        1 => Cells::Bytes(data.to_vec()),
        2 => Cells::Words(
            data.as_chunks::<2>()
                .0
                .iter()
                .map(|c| {
                    if big {
                        u16::from_be_bytes(*c)
                    } else {
                        u16::from_le_bytes(*c)
                    }
                })
                .collect(),
        ),
        4 => Cells::Longs(
            data.as_chunks::<4>()
                .0
                .iter()
                .map(|c| {
                    if big {
                        u32::from_be_bytes(*c)
                    } else {
                        u32::from_le_bytes(*c)
                    }
                })
                .collect(),
        ),
        _ => {
            return Err(Refused::Unsuitable(format!(
                "{} bits for each sample",
                job.bits_allocated
            )));
        }
    };
    if job.planar && job.samples > 1 {
        return Ok(match cells {
            Cells::Bytes(v) => Cells::Bytes(interleave(&v, job.samples)),
            Cells::Words(v) => Cells::Words(interleave(&v, job.samples)),
            Cells::Longs(v) => Cells::Longs(interleave(&v, job.samples)),
        });
    }
    Ok(cells)
}

/// Words whose high byte comes first (PS3.5 §A.3).
fn swap(data: &[u8]) -> Cow<'_, [u8]> {
    let mut out = data.to_vec();
    for pair in out.as_chunks_mut::<2>().0 {
        pair.swap(0, 1);
    }
    Cow::Owned(out)
}

/// One bit to one byte, from the lowest of each byte on (PS3.5 §8.1.1).
pub fn unpack(data: &[u8], first_bit: u8, count: usize) -> Result<Vec<u8>, Refused> {
    let wanted = count.saturating_add(usize::from(first_bit)).div_ceil(8);
    let data = data.get(..wanted).ok_or_else(|| short(wanted, data.len()))?;
    Ok(data
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1))
        .skip(first_bit.into())
        .take(count)
        .collect())
}

/// Planes to pixels.
pub fn interleave<T: Copy + Default>(planes: &[T], samples: u16) -> Vec<T> {
    let samples = usize::from(samples);
    let mut out = vec![T::default(); planes.len()];
    let pixels = planes.len() / samples;
    for (s, plane) in planes.chunks_exact(pixels.max(1)).take(samples).enumerate() {
        for (to, from) in out.iter_mut().skip(s).step_by(samples).zip(plane) {
            *to = *from;
        }
    }
    out
}

/// Two pixels of a row share their colour: Y, Y, Cb, Cr (PS3.3 §C.7.6.3.1.2). Each gets its own copy.
fn shared_colour(job: &Job, data: &[u8], count: usize) -> Result<Cells, Refused> {
    if job.bits_allocated != 8 || job.columns % 2 == 1 {
        return Err(Refused::Unsuitable(
            "shared colour but for 8 bits and pairs of columns".to_owned(),
        ));
    }
    let wanted = count / 3 * 2;
    let data = data.get(..wanted).ok_or_else(|| short(wanted, data.len()))?;
    let mut out = Vec::with_capacity(count);
    for [y0, y1, cb, cr] in data.as_chunks::<4>().0 {
        out.extend_from_slice(&[*y0, *cb, *cr, *y1, *cb, *cr]);
    }
    Ok(Cells::Bytes(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_planes_and_shared_colour() {
        assert_eq!(unpack(&[0b1000_0001, 0b10], 7, 3).unwrap(), [1, 0, 1]);
        assert!(unpack(&[1], 7, 2).is_err());
        assert_eq!(interleave(&[1, 2, 3, 4, 5, 6], 3), [1, 3, 5, 2, 4, 6]);
        let job = Job {
            columns: 2,
            rows: 1,
            samples: 3,
            bits_allocated: 8,
            photometric: "YBR_FULL_422".to_owned(),
            ..Job::default()
        };
        let Cells::Bytes(v) = decode(&job, &[10, 20, 30, 40], 6, false).unwrap() else {
            panic!()
        };
        assert_eq!(v, [10, 30, 40, 20, 30, 40]);
    }
}
