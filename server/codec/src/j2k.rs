//! JPEG 2000 (ITU-T T.800) and high-throughput JPEG 2000 (T.814), by `openjp2`.
//!
//! Lives here: the main header, read before the codec sees it. Never here: Part 2's transforms over components. Called by
//! [`mod@crate::decode`], which catches the codec's panics.
//!
//! Of the decoders in Rust this one agrees with OpenJPEG for every frame we have; faster ones cut off negative samples
//! (`dicom-toolkit-jpeg2000`) or leave colours transformed (`openjph-core`).

use crate::cells::Cells;
use crate::decode::{Stream, agree};
use crate::{Colour, Job, Refused};
use jpeg2k::{DecodeParameters, Image};

const CODEC: &str = "JPEG 2000";
/// Most bits of a sample; no image of DICOM's has more.
const PRECISION_MOST: u32 = 16;
const SIGNED: u8 = 0x80;

fn fault(text: impl Into<String>) -> Refused {
    Refused::damaged(CODEC, text)
}

/// What the main header says (T.800 §A.5, §A.6).
struct Header {
    columns: u32,
    rows: u32,
    precision: u32,
    components: u32,
    reversible: bool,
}

/// The samples of a frame.
pub fn decode(job: &Job) -> Result<Stream, Refused> {
    let stream = codestream(&job.bytes)?;
    let header = header(stream)?;
    agree("columns", job.columns, header.columns)?;
    agree("rows", job.rows, header.rows)?;
    agree("samples", job.samples.into(), header.components)?;
    if header.precision > PRECISION_MOST {
        return Err(Refused::NoDecoder(format!(
            "JPEG 2000 of {} bits",
            header.precision
        )));
    }
    let colour = matches!(job.photometric.as_str(), "YBR_RCT" | "YBR_ICT").then_some(Colour::Rgb);
    Ok(Stream {
        cells: samples(stream, &header)?,
        precision: header.precision,
        extends: true,
        lossy: !header.reversible,
        colour,
    })
}

/// The codestream alone: DICOM wants no file around it (PS3.5 §8.2.4), some writers leave one.
fn codestream(data: &[u8]) -> Result<&[u8], Refused> {
    const FILE: &[u8] = b"\0\0\0\x0CjP  \r\n\x87\n";
    if !data.starts_with(FILE) {
        return Ok(data);
    }
    let mut rest = data;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let [l0, l1, l2, l3, kind @ ..] = *head;
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if &kind == b"jp2c" {
            return Ok(match len {
                0 => body,
                n => n
                    .checked_sub(8)
                    .and_then(|n| body.get(..n))
                    .ok_or_else(|| fault("a box ends early"))?,
            });
        }
        rest = len
            .checked_sub(8)
            .and_then(|n| body.get(n..))
            .ok_or_else(|| fault("a box ends early"))?;
    }
    Err(fault("a file without a codestream"))
}

fn header(data: &[u8]) -> Result<Header, Refused> {
    let short = || fault("its header ends early");
    let word = |at: usize| {
        data.get(at..at + 2)
            .and_then(|b| b.first_chunk::<2>())
            .map(|b| u16::from_be_bytes(*b))
            .ok_or_else(short)
    };
    let long = |at: usize| {
        data.get(at..at + 4)
            .and_then(|b| b.first_chunk::<4>())
            .map(|b| u32::from_be_bytes(*b))
            .ok_or_else(short)
    };
    let byte = |at: usize| data.get(at).copied().ok_or_else(short);
    if word(0)? != 0xFF4F || word(2)? != 0xFF51 {
        return Err(fault("it does not begin as one"));
    }
    let components = usize::from(word(40)?);
    let first = byte(42)?;
    for i in 0..components.min(5) {
        let at = 42 + 3 * i;
        if byte(at)? != first || byte(at + 1)? != 1 || byte(at + 2)? != 1 {
            return Err(Refused::NoDecoder("JPEG 2000 whose components differ".to_owned()));
        }
    }
    let mut reversible = None;
    let mut at = 2;
    loop {
        let marker = word(at)?;
        match marker {
            0xFF90 => break,
            0xFF52 => reversible = Some(byte(at + 13)? == 1),
            0xFF53 => {
                let wide = usize::from(components > 256);
                let own = byte(at + 10 + wide)? == 1;
                reversible = Some(reversible.unwrap_or(true) && own);
            }
            _ => {}
        }
        at += 2 + usize::from(word(at + 2)?);
    }
    Ok(Header {
        columns: long(8)?.checked_sub(long(16)?).ok_or_else(short)?,
        rows: long(12)?.checked_sub(long(20)?).ok_or_else(short)?,
        precision: u32::from(first & !SIGNED) + 1,
        components: u32::try_from(components).unwrap_or(u32::MAX),
        reversible: reversible.ok_or_else(|| fault("it does not say how it is coded"))?,
    })
}

/// Samples as whole numbers; whoever cut the codestream short is told so.
fn samples(stream: &[u8], header: &Header) -> Result<Cells, Refused> {
    let settings = DecodeParameters::new().strict(true).ignore_pclr_cmap_cdef();
    let image = Image::from_bytes_with(stream, settings).map_err(|e| fault(e.to_string()))?;
    let planes = image.components();
    let pixels = header.columns as usize * header.rows as usize;
    if planes.len() != header.components as usize || planes.iter().any(|p| p.data().len() != pixels) {
        return Err(fault("samples are missing"));
    }
    if let [plane] = planes {
        return Ok(Cells::Words(plane.data().iter().map(|v| *v as u16).collect()));
    }
    let mut out = vec![0u16; pixels * planes.len()];
    for (s, plane) in planes.iter().enumerate() {
        for (to, v) in out.iter_mut().skip(s).step_by(planes.len()).zip(plane.data()) {
            *to = *v as u16;
        }
    }
    Ok(Cells::Words(out))
}
