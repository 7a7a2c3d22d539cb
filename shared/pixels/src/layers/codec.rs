//! The two codec crates behind [`super`], and the fence around them: their panics end here, their memory is bounded by
//! headers that this crate wrote, and nothing they give is believed without being compared.
//!
//! A frame is decoded band by band: each subband goes to the block decoder as an image of its own without a wavelet, and
//! the wavelet is run here, over flat rows. That is faster than the decoder's own, and leaves it the blocks alone.

use super::Fault;
use super::header::{EOC, Main};
use super::packets::{Band, walk};
use super::wavelet::{Plane, synthesis, transform, untransform};
use crate::Shape;
use dicom_toolkit_jpeg2000::{EncodeOptions, encode_htj2k};
use openjph_core::codestream::Codestream;
use openjph_core::file::MemInfile;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Code-block sizes (exponents of two of width and height) in the order in which they are tried. The coder miswrites
/// some packet headers, and notices; another size has other headers.
pub(super) const BLOCKS: [(u8, u8); 9] = [
    (8, 4),
    (6, 5),
    (5, 6),
    (5, 5),
    (6, 6),
    (7, 5),
    (5, 7),
    (7, 4),
    (4, 6),
];

/// A codestream of the frame, or nothing when the coder refuses, panics or finds its own fault.
///
/// The coder's header is not the frame's: it claims a colour transform that it does not make. Three samples of up to 15
/// bits are transformed here and go in as signed ones of one bit more; [`frame_header`] says what came of it.
pub(super) fn encode(shape: &Shape, plain: &[u8], levels: u8, block: (u8, u8)) -> Option<Vec<u8>> {
    let options = EncodeOptions {
        num_decomposition_levels: levels,
        reversible: true,
        code_block_width_exp: block.0 - 2,
        code_block_height_exp: block.1 - 2,
        ..EncodeOptions::default()
    };
    let given = given(shape);
    let transformed = (given != *shape).then(|| transformed(shape, plain));
    let run = || {
        encode_htj2k(
            transformed.as_deref().unwrap_or(plain),
            given.columns,
            given.rows,
            given.samples,
            given.bits,
            given.signed,
            &options,
        )
    };
    catch_unwind(AssertUnwindSafe(run)).ok()?.ok()
}

/// The shape under which a frame goes into the coder.
fn given(shape: &Shape) -> Shape {
    if shape.samples == 3 && shape.bits < 16 {
        Shape {
            bits: shape.bits + 1,
            signed: true,
            ..*shape
        }
    } else {
        *shape
    }
}

/// The frame's header from the coder's; nothing when that is not of this frame.
pub(super) fn frame_header(coder: Main, shape: &Shape) -> Option<Main> {
    let given = given(shape);
    coder.is_of(&given).then_some(Main {
        bits: shape.bits,
        signed: shape.signed,
        transform: given != *shape,
        ..coder
    })
}

/// Plain bytes of the luma and chroma of a frame, in the shape [`given`].
fn transformed(shape: &Shape, plain: &[u8]) -> Vec<u8> {
    let shift = level(shape);
    let samples: Vec<i32> = match (shape.width(), shape.signed) {
        (1, false) => plain.iter().map(|v| i32::from(*v)).collect(),
        (1, true) => plain.iter().map(|v| i32::from(v.cast_signed())).collect(),
        _ => {
            let pairs = plain.as_chunks::<2>().0.iter();
            if shape.signed {
                pairs.map(|v| i32::from(i16::from_le_bytes(*v))).collect()
            } else {
                pairs.map(|v| i32::from(u16::from_le_bytes(*v))).collect()
            }
        }
    };
    let narrow = given(shape).width() == 1;
    let mut out = Vec::with_capacity(samples.len() * 2);
    for [r, g, b] in samples.as_chunks::<3>().0 {
        let (r, g, b) = (r - shift, g - shift, b - shift);
        for v in transform(r, g, b) {
            if narrow {
                out.push(v as u8);
            } else {
                out.extend_from_slice(&(v as i16).to_le_bytes());
            }
        }
    }
    out
}

/// What is taken from samples before the wavelet (T.800 G.1).
fn level(shape: &Shape) -> i32 {
    if shape.signed {
        0
    } else {
        1 << (shape.bits.clamp(1, 31) - 1)
    }
}

/// Plain bytes of the packets of a frame (or of its first resolutions) under the header cut to them.
pub(super) fn decode(main: &Main, packets: &[u8]) -> Result<Vec<u8>, Fault> {
    catch_unwind(AssertUnwindSafe(|| planes(main, packets))).unwrap_or(Err(Fault::Decoder))
}

fn planes(main: &Main, packets: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut planes: Vec<Plane> = Vec::new();
    planes.resize_with(usize::from(main.samples), Plane::default);
    let ends = walk(main, packets, main.levels, |resolution, component, bands| {
        let plane = planes.get_mut(usize::from(component)).ok_or(Fault::Decoder)?;
        let mut bands = bands.iter().map(|b| band(main, b));
        let mut next = || bands.next().unwrap_or(Err(Fault::Decoder));
        if resolution == 0 {
            *plane = next()?;
        } else {
            let (width, height) = main.size_at(resolution);
            *plane = synthesis(
                width as usize,
                height as usize,
                plane,
                &[next()?, next()?, next()?],
            );
        }
        Ok(())
    })?;
    if ends.last() != Some(&packets.len()) {
        return Err(Fault::Ends);
    }
    plain(main, planes)
}

/// The coefficients of one subband.
fn band(main: &Main, band: &Band<'_>) -> Result<Plane, Fault> {
    let mut out = Plane::new(band.width as usize, band.height as usize);
    if out.data.is_empty() || band.is_zero() {
        return Ok(out);
    }
    let alone = Main {
        columns: band.width,
        rows: band.height,
        samples: 1,
        // signed, so that nothing is shifted or clamped
        bits: 24,
        signed: true,
        levels: 0,
        transform: false,
        exponents: vec![main.exponents.get(band.exponent).copied().unwrap_or(0)],
        ..main.clone()
    };
    let mut packet = Vec::with_capacity(band.most());
    band.repack(&mut packet);
    let mut stream = alone.write(packet.len())?;
    stream.extend_from_slice(&packet);
    stream.extend_from_slice(&EOC);
    let gave_up = |_| Fault::Decoder;
    let mut file = MemInfile::new(&stream);
    let mut codestream = Codestream::new();
    codestream.read_headers(&mut file).map_err(gave_up)?;
    codestream.create(&mut file).map_err(gave_up)?;
    for row in out.data.chunks_exact_mut(out.width) {
        let line = codestream.pull(0).ok_or(Fault::Decoder)?;
        if line.len() != row.len() {
            return Err(Fault::Decoder);
        }
        row.copy_from_slice(&line);
    }
    Ok(out)
}

/// Planes of samples as plain bytes: colour transform undone, level shifted, clamped. A smaller image may over- and
/// undershoot a little: the low band of a wavelet is no mean.
fn plain(main: &Main, mut planes: Vec<Plane>) -> Result<Vec<u8>, Fault> {
    let shape = Shape {
        columns: main.columns,
        rows: main.rows,
        samples: main.samples,
        bits: main.bits,
        signed: main.signed,
    };
    if let (true, [y, cb, cr]) = (main.transform, planes.as_mut_slice()) {
        untransform(&mut y.data, &mut cb.data, &mut cr.data);
    }
    let (low, high) = shape.bounds();
    let (low, high) = (
        i32::try_from(low).map_err(|_| Fault::TooLarge)?,
        i32::try_from(high).map_err(|_| Fault::TooLarge)?,
    );
    let shift = level(&shape);
    let samples = usize::from(shape.samples);
    let len = usize::try_from(shape.len()).map_err(|_| Fault::TooLarge)?;
    let mut out = vec![0u8; len];
    for (sample, plane) in planes.iter().enumerate() {
        let values = plane.data.iter().map(|v| v.wrapping_add(shift).clamp(low, high));
        if shape.width() == 1 {
            if samples == 1 {
                out.iter_mut().zip(values).for_each(|(to, v)| *to = v as u8);
            } else {
                let places = out.iter_mut().skip(sample).step_by(samples);
                places.zip(values).for_each(|(to, v)| *to = v as u8);
            }
        } else {
            let (pairs, _) = out.as_chunks_mut::<2>();
            if samples == 1 {
                pairs
                    .iter_mut()
                    .zip(values)
                    .for_each(|(to, v)| *to = (v as u16).to_le_bytes());
            } else {
                let places = pairs.iter_mut().skip(sample).step_by(samples);
                places
                    .zip(values)
                    .for_each(|(to, v)| *to = (v as u16).to_le_bytes());
            }
        }
    }
    Ok(out)
}
