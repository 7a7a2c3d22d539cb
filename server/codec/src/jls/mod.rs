//! JPEG-LS (ITU-T T.87), lossless and near-lossless, all interleavings.
//!
//! Lives here: the markers. Never here: mapping tables and restarts, which DICOM's writers do not use. Called by
//! [`mod@crate::decode`].
//!
//! Ours, because no decoder in Rust knows pixels of three samples taken together.

mod bits;
mod model;
mod scan;

use crate::cells::Cells;
use crate::decode::{Stream, agree};
use crate::{Job, Refused};
use model::Preset;

const CODEC: &str = "JPEG-LS";

fn fault(text: impl Into<String>) -> Refused {
    Refused::damaged(CODEC, text)
}

fn unsupported(what: &str) -> Refused {
    Refused::NoDecoder(format!("JPEG-LS with {what}"))
}

/// The frame header (T.87 §C.2.2).
struct Frame {
    precision: u32,
    columns: usize,
    rows: usize,
    ids: Vec<u8>,
}

/// The samples of a frame.
pub fn decode(job: &Job) -> Result<Stream, Refused> {
    let mut rest = job
        .bytes
        .strip_prefix(&[0xFF, 0xD8])
        .ok_or_else(|| fault("it does not begin as one"))?;
    let mut frame: Option<Frame> = None;
    let mut preset = Preset::default();
    let mut planes: Vec<Vec<u16>> = Vec::new();
    let mut cells = None;
    let mut lossy = false;
    loop {
        let marker = marker(&mut rest)?;
        if marker == 0xD9 {
            break;
        }
        let body = segment(&mut rest)?;
        match marker {
            0xF7 if frame.is_some() => return Err(fault("two frame headers")),
            0xF7 => frame = Some(header(body, job)?),
            0xF8 => lse(body, &mut preset)?,
            0xDA => {
                let frame = frame.as_ref().ok_or_else(|| fault("a scan before the frame"))?;
                let (count, near, interleave) = scan_header(body, frame, planes.len())?;
                lossy |= near > 0;
                let end = entropy_end(rest)?;
                let (data, after) = rest.split_at(end);
                rest = after;
                let model = model::Model::new(&preset, frame.precision, near)?;
                let size = (frame.columns, frame.rows);
                match interleave {
                    0 => planes.push(scan::single(data, model, size)?),
                    1 => cells = Some(scan::lines(data, model, size, count)?),
                    _ => cells = Some(scan::pixels(data, model, size)?),
                }
            }
            0xDD if body.iter().any(|b| *b != 0) => return Err(unsupported("restarts")),
            0xE8 if body.starts_with(b"mrfx") && body.get(4).is_some_and(|t| *t != 0) => {
                return Err(unsupported("a colour transform of its own"));
            }
            0xDD | 0xE0..=0xEF | 0xFE => {}
            m => return Err(fault(format!("marker FF{m:02X} out of place"))),
        }
    }
    let frame = frame.ok_or_else(|| fault("it has no frame"))?;
    let samples = frame.ids.len();
    let cells = match cells {
        Some(cells) => cells,
        None if planes.len() != samples => return Err(fault("a component is missing")),
        None if samples == 1 => planes.pop().unwrap_or_default(),
        None => crate::native::interleave(&planes.concat(), job.samples),
    };
    Ok(Stream {
        cells: Cells::Words(cells),
        precision: frame.precision,
        extends: false,
        lossy,
        colour: None,
    })
}

fn marker(rest: &mut &[u8]) -> Result<u8, Refused> {
    let mut seen = false;
    loop {
        let (byte, after) = rest.split_first().ok_or_else(|| fault("it ends early"))?;
        *rest = after;
        match byte {
            0xFF => seen = true,
            m @ 1.. if seen => return Ok(*m),
            _ => return Err(fault("no marker where one must be")),
        }
    }
}

fn segment<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Refused> {
    let (len, after) = rest
        .split_first_chunk::<2>()
        .ok_or_else(|| fault("it ends early"))?;
    let len = usize::from(u16::from_be_bytes(*len));
    let body = len
        .checked_sub(2)
        .and_then(|n| after.split_at_checked(n))
        .ok_or_else(|| fault("a segment ends early"))?;
    *rest = body.1;
    Ok(body.0)
}

/// Where the entropy-coded bytes end: at 0xFF before a byte whose highest bit is set (T.87 §A.1).
fn entropy_end(data: &[u8]) -> Result<usize, Refused> {
    data.array_windows::<2>()
        .position(|[a, b]| *a == 0xFF && *b >= 0x80)
        .ok_or_else(|| fault("a scan has no end"))
}

fn header(body: &[u8], job: &Job) -> Result<Frame, Refused> {
    let short = || fault("a frame header of a wrong length");
    let (head, specs) = body.split_first_chunk::<6>().ok_or_else(short)?;
    let [precision, r0, r1, c0, c1, count] = *head;
    let rows = u16::from_be_bytes([r0, r1]);
    let columns = u16::from_be_bytes([c0, c1]);
    agree("columns", job.columns, columns.into())?;
    agree("rows", job.rows, rows.into())?;
    agree("samples", job.samples.into(), count.into())?;
    if !(2..=16).contains(&precision) {
        return Err(fault(format!("{precision} bits")));
    }
    let (specs, over) = specs.as_chunks::<3>();
    if specs.len() != usize::from(count) || !over.is_empty() {
        return Err(short());
    }
    if specs.iter().any(|[_, hv, _]| *hv != 0x11) {
        return Err(unsupported("subsampling"));
    }
    Ok(Frame {
        precision: precision.into(),
        columns: columns.into(),
        rows: rows.into(),
        ids: specs.iter().map(|[id, ..]| *id).collect(),
    })
}

/// Preset parameters (T.87 §C.2.4.1.1).
fn lse(body: &[u8], preset: &mut Preset) -> Result<(), Refused> {
    let (id, rest) = body.split_first().ok_or_else(|| fault("a segment ends early"))?;
    if *id != 1 {
        return Err(unsupported("mapping tables or oversize dimensions"));
    }
    let (words, over) = rest.as_chunks::<2>();
    let words: Vec<i32> = words.iter().map(|w| u16::from_be_bytes(*w).into()).collect();
    let ([most, t1, t2, t3, reset], []) = (words.as_slice(), over) else {
        return Err(fault("presets of a wrong length"));
    };
    *preset = Preset {
        most: *most,
        t1: *t1,
        t2: *t2,
        t3: *t3,
        reset: *reset,
    };
    Ok(())
}

/// Components of a scan, NEAR, and how they interleave (T.87 §C.2.3). `done`: components that have had theirs.
fn scan_header(body: &[u8], frame: &Frame, done: usize) -> Result<(usize, i32, u8), Refused> {
    let short = || fault("a scan header of a wrong length");
    let (count, rest) = body.split_first().ok_or_else(short)?;
    let count = usize::from(*count);
    let (specs, tail) = rest.split_at_checked(count * 2).ok_or_else(short)?;
    let [near, interleave, transform] = *<&[u8; 3]>::try_from(tail).map_err(|_| short())?;
    if transform != 0 {
        return Err(unsupported("a point transform"));
    }
    let specs = specs.as_chunks::<2>().0;
    if specs.iter().any(|[_, table]| *table != 0) {
        return Err(unsupported("mapping tables"));
    }
    // Components come in the order of the frame, one scan each or all in one.
    let ids = frame.ids.get(done..).unwrap_or_default();
    if specs.is_empty() || specs.len() > ids.len() || specs.iter().zip(ids).any(|([id, _], f)| id != f) {
        return Err(fault("a scan of a component out of order"));
    }
    // One component alone does not interleave, whatever is said.
    let interleave = if count == 1 { 0 } else { interleave };
    match interleave {
        0 if count == 1 => {}
        1 if count == frame.ids.len() => {}
        2 if count == frame.ids.len() && count == 3 => {}
        _ => return Err(fault("components that interleave as they cannot")),
    }
    Ok((count, near.into(), interleave))
}
