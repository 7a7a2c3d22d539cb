//! From a job to plain pixels.
//!
//! Lives here: what is checked for every codec, which codec it is, what its colours become. Never here: a codec. Called
//! by the worker, and by tests.

use crate::cells::{Bits, Cells, plain};
use crate::{Colour, Job, PLAIN_MOST, Plain, Refused, Shape};
use crate::{j2k, jls, jpeg, jxl, native, rle};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vitrine_dicom::syntax::{self, Codec, TransferSyntax};

/// What a codec hands out.
pub struct Stream {
    /// The samples.
    pub cells: Cells,
    /// Bits of a sample, as the codestream says.
    pub precision: u32,
    /// Whether the codec knows signs.
    pub extends: bool,
    /// Whether the codestream has lost something.
    pub lossy: bool,
    /// What the samples mean, where the codec has changed it.
    pub colour: Option<Colour>,
}

/// Codestream and header must agree.
pub fn agree(what: &str, header: u32, found: u32) -> Result<(), Refused> {
    if header == found {
        return Ok(());
    }
    Err(Refused::Disagrees {
        what: what.to_owned(),
        header: header.into(),
        found: found.into(),
    })
}

/// Decodes a frame. No panic of a decoder leaves it, and no more than a small multiple of [`PLAIN_MOST`] is asked for; a
/// decoder that runs on or eats memory is for the process's limits to end.
///
/// # Errors
/// [`Refused`], with what is wrong.
pub fn decode(job: &Job) -> Result<Plain, Refused> {
    let Some(syntax) = syntax::of(&job.syntax) else {
        return Err(Refused::NoDecoder(format!("transfer syntax {}", job.syntax)));
    };
    match catch_unwind(AssertUnwindSafe(|| decoded(job, syntax))) {
        Ok(result) => result,
        Err(_) => Err(Refused::Fault(syntax.name.to_owned())),
    }
}

fn decoded(job: &Job, syntax: &TransferSyntax) -> Result<Plain, Refused> {
    let (shape, colour, count) = expected(job)?;
    let stream = match syntax.codec {
        Codec::Plain => {
            return finish_cells(
                job,
                shape,
                colour,
                native::decode(job, &job.bytes, count, syntax.big_endian)?,
            );
        }
        Codec::PlainFragments => {
            return finish_cells(job, shape, colour, native::decode(job, &job.bytes, count, false)?);
        }
        Codec::DeflatedFrame => {
            let bytes = inflate(job, count)?;
            return finish_cells(job, shape, colour, native::decode(job, &bytes, count, false)?);
        }
        Codec::Rle => return finish_cells(job, shape, colour, rle::decode(job, count)?),
        Codec::Jpeg | Codec::JpegLossless => jpeg::decode(job)?,
        Codec::JpegLs => jls::decode(job)?,
        Codec::Jpeg2000 | Codec::Jpeg2000Mc | Codec::HtJ2k => j2k::decode(job)?,
        Codec::JpegXl => jxl::decode(job)?,
        Codec::Mpeg2 | Codec::Mpeg4 | Codec::Hevc | Codec::Jpip | Codec::Smpte => {
            return Err(Refused::NoDecoder(syntax.name.to_owned()));
        }
    };
    if stream.cells.len() != count {
        return Err(Refused::damaged(syntax.name, "not as many samples as pixels"));
    }
    if stream.precision > u32::from(job.bits_allocated) && !(job.bits_allocated == 1 && stream.precision <= 8)
    {
        return Err(Refused::Disagrees {
            what: "bits".to_owned(),
            header: job.bits_allocated.into(),
            found: stream.precision.into(),
        });
    }
    let bits = Bits::of_stream(job, stream.precision, stream.extends);
    Ok(Plain {
        shape,
        colour: stream.colour.unwrap_or(colour),
        bytes: plain(stream.cells, bits),
        lossy: stream.lossy,
    })
}

fn finish_cells(job: &Job, shape: Shape, colour: Colour, cells: Cells) -> Result<Plain, Refused> {
    Ok(Plain {
        shape,
        colour,
        bytes: plain(cells, Bits::of_header(job)),
        lossy: false,
    })
}

/// What the header promises: shape, meaning, number of samples.
fn expected(job: &Job) -> Result<(Shape, Colour, usize), Refused> {
    let no = |text: String| Err(Refused::Unsuitable(text));
    if job.columns == 0 || job.rows == 0 {
        return no("no columns or no rows".to_owned());
    }
    let colour = match (job.samples, job.photometric.as_str()) {
        (1, "MONOCHROME1") => Colour::Monochrome1,
        (1, "MONOCHROME2") => Colour::Monochrome2,
        (1, "PALETTE COLOR") => Colour::Palette,
        (3, "RGB" | "YBR_RCT" | "YBR_ICT" | "XYB") => Colour::Rgb,
        (3, "YBR_FULL" | "YBR_FULL_422") => Colour::YbrFull,
        (samples, other) => return no(format!("{samples} samples that mean {other:?}")),
    };
    if !matches!(job.bits_allocated, 1 | 8 | 16 | 32) {
        return no(format!("{} bits for each sample", job.bits_allocated));
    }
    if job.bits_stored == 0
        || job.bits_stored > job.bits_allocated
        || job.high_bit >= job.bits_allocated
        || job.high_bit + 1 < job.bits_stored
        || (job.bits_allocated == 1 && job.samples != 1)
    {
        return no("bits that cannot be".to_owned());
    }
    let samples = u128::from(job.columns) * u128::from(job.rows) * u128::from(job.samples);
    let cell = u128::from(job.bits_allocated.div_ceil(8));
    let bytes = samples * cell;
    let most = u128::from(PLAIN_MOST);
    if bytes > most {
        return Err(Refused::TooLarge {
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            most: PLAIN_MOST,
        });
    }
    let shape = Shape {
        columns: job.columns,
        rows: job.rows,
        samples: u8::try_from(job.samples).unwrap_or(1),
        bits: u8::try_from(job.bits_stored).unwrap_or(32),
        signed: job.signed,
    };
    Ok((shape, colour, usize::try_from(samples).unwrap_or(usize::MAX)))
}

/// RFC 1951, to as many bytes as the header asks for and no more.
fn inflate(job: &Job, count: usize) -> Result<Vec<u8>, Refused> {
    let wanted = (count as u64)
        .saturating_mul(job.bits_allocated.into())
        .div_ceil(8);
    let mut out = Vec::new();
    flate2::read::DeflateDecoder::new(job.bytes.as_slice())
        .take(wanted)
        .read_to_end(&mut out)
        .map_err(|e| Refused::damaged("deflate", e.to_string()))?;
    Ok(out)
}
