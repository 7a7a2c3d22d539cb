//! JPEG (ITU-T T.81): DCT of 8 and 12 bits, sequential and progressive, and lossless; Huffman coded.
//!
//! Lives here: the markers, what belongs together, what the components mean. Never here: arithmetic coding and
//! hierarchies (no scanner writes them); a guess at bytes that are missing. Called by [`mod@crate::decode`].
//!
//! Ours, because no decoder in Rust does 12 bits, and because those for 8 bits start threads, which the process cannot.

mod bits;
mod colour;
mod dct;
mod huffman;
mod idct;
mod lossless;

use crate::cells::Cells;
use crate::decode::{Stream, agree};
use crate::{Colour, Job, Refused};
use huffman::Table;

const CODEC: &str = "JPEG";

fn fault(text: impl Into<String>) -> Refused {
    Refused::damaged(CODEC, text)
}

/// The process of a frame (T.81 Table B.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Sequential,
    Progressive,
    Lossless,
}

/// A component of the frame header (T.81 §B.2.2).
#[derive(Clone)]
struct Component {
    id: u8,
    h: usize,
    v: usize,
    quant: u8,
}

/// The frame header.
struct Frame {
    process: Process,
    precision: u32,
    rows: usize,
    columns: usize,
    h_most: usize,
    v_most: usize,
    components: Vec<Component>,
}

impl Frame {
    /// Samples of a row and rows of a component (T.81 §A.1.1).
    fn size(&self, c: &Component) -> (usize, usize) {
        (
            (self.columns * c.h).div_ceil(self.h_most),
            (self.rows * c.v).div_ceil(self.v_most),
        )
    }
    /// Units of a row and rows of units of an interleaved scan (T.81 §A.2.3).
    fn units(&self) -> (usize, usize) {
        (
            self.columns.div_ceil(8 * self.h_most),
            self.rows.div_ceil(8 * self.v_most),
        )
    }
}

/// A scan header (T.81 §B.2.3) and its entropy-coded bytes.
struct Scan<'a> {
    /// Which components of the frame, with their DC and AC tables.
    components: Vec<(usize, usize, usize)>,
    /// Spectral selection, or the predictor.
    start: usize,
    end: usize,
    /// Successive approximation, or the point transform.
    high: u32,
    low: u32,
    /// One piece for each restart interval.
    pieces: Vec<&'a [u8]>,
    /// Units of a piece; 0 without restarts.
    interval: usize,
}

/// Tables as they stand at a scan.
#[derive(Default)]
struct Tables {
    quant: [Option<[u16; 64]>; 4],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

/// What says how the components are meant.
#[derive(Default)]
struct Hints {
    jfif: bool,
    adobe: Option<u8>,
}

struct Input<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Refused> {
        let b = self.data.get(self.at).ok_or_else(|| fault("it ends early"))?;
        self.at += 1;
        Ok(*b)
    }
    /// Whether nothing is left but zeros.
    fn is_padding(&self) -> bool {
        self.data
            .get(self.at..)
            .unwrap_or_default()
            .iter()
            .all(|b| *b == 0)
    }
    /// The next marker, with bytes 0xFF before it (T.81 §B.1.1.2).
    fn marker(&mut self) -> Result<u8, Refused> {
        if self.byte()? != 0xFF {
            return Err(fault("no marker where one must be"));
        }
        loop {
            match self.byte()? {
                0xFF => {}
                0 => return Err(fault("no marker where one must be")),
                m => return Ok(m),
            }
        }
    }
    /// The body of a marker segment.
    fn segment(&mut self) -> Result<&'a [u8], Refused> {
        let len = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let end = self.at
            + len
                .checked_sub(2)
                .ok_or_else(|| fault("a segment of no length"))?;
        let body = self
            .data
            .get(self.at..end)
            .ok_or_else(|| fault("a segment ends early"))?;
        self.at = end;
        Ok(body)
    }
    /// The entropy-coded pieces from here to the next marker that is no restart.
    fn pieces(&mut self, restarts: bool) -> Result<Vec<&'a [u8]>, Refused> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let mut pieces = Vec::new();
        let mut from = 0;
        let mut expected = 0u8;
        let mut ff = rest
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == 0xFF)
            .map(|(i, _)| i);
        let end = loop {
            let Some(i) = ff.next() else {
                // No end marker: zeros behind are padding, not codes (those are padded with ones, T.81 §F.1.2.3).
                break rest.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            };
            match rest.get(i + 1) {
                Some(0 | 0xFF) => {}
                Some(m @ 0xD0..=0xD7) if restarts => {
                    if m & 7 != expected {
                        return Err(fault("restarts out of order"));
                    }
                    expected = (expected + 1) & 7;
                    pieces.push(rest.get(from..i).unwrap_or_default());
                    from = i + 2;
                }
                Some(_) => break i,
                None => break i,
            }
        };
        pieces.push(rest.get(from..end).unwrap_or_default());
        self.at += end;
        Ok(pieces)
    }
}

enum Image {
    None,
    Dct(dct::Image),
    Lossless(lossless::Image),
}

impl Image {
    fn is_one_pass(&self) -> bool {
        match self {
            Self::None => false,
            Self::Dct(i) => i.frame().process == Process::Sequential,
            Self::Lossless(_) => true,
        }
    }
}

/// The samples of a frame.
pub fn decode(job: &Job) -> Result<Stream, Refused> {
    let mut input = Input {
        data: &job.bytes,
        at: 0,
    };
    if input.marker()? != 0xD8 {
        return Err(fault("it does not begin as one"));
    }
    let mut tables = Tables::default();
    let mut hints = Hints::default();
    let mut interval = 0;
    let mut image = Image::None;
    loop {
        // Where the end marker was left out, a frame of one pass that is whole is whole.
        let ends = input.is_padding() && image.is_one_pass();
        match if ends { 0xD9 } else { input.marker()? } {
            0xD9 => break,
            m @ (0xC0..=0xC3) => {
                if !matches!(image, Image::None) {
                    return Err(fault("two frame headers"));
                }
                let frame = frame(m, input.segment()?, job)?;
                image = match frame.process {
                    Process::Lossless => Image::Lossless(lossless::Image::new(frame)?),
                    _ => Image::Dct(dct::Image::new(frame)?),
                };
            }
            0xC4 => huffman_tables(input.segment()?, &mut tables)?,
            m @ 0xC5..=0xCF => {
                return Err(Refused::NoDecoder(format!(
                    "JPEG, hierarchical or with arithmetic coding (SOF {})",
                    m & 15
                )));
            }
            0xDA => {
                let head = input.segment()?;
                let pieces = input.pieces(interval > 0)?;
                match &mut image {
                    Image::None => return Err(fault("a scan before the frame")),
                    Image::Dct(i) => i.scan(&scan(head, i.frame(), pieces, interval)?, &tables)?,
                    Image::Lossless(i) => i.scan(&scan(head, i.frame(), pieces, interval)?, &tables)?,
                }
            }
            0xDB => quant_tables(input.segment()?, &mut tables)?,
            0xDD => {
                interval = match input.segment()? {
                    [a, b] => usize::from(u16::from_be_bytes([*a, *b])),
                    _ => return Err(fault("a restart interval of a wrong length")),
                }
            }
            0xE0 => hints.jfif |= input.segment()?.starts_with(b"JFIF\0"),
            0xEE => {
                if let Some(rest) = input.segment()?.strip_prefix(b"Adobe") {
                    hints.adobe = rest.get(6).copied();
                }
            }
            0xDC | 0xE1..=0xEF | 0xFE => {
                input.segment()?;
            }
            m => return Err(fault(format!("marker FF{m:02X} out of place"))),
        }
    }
    match image {
        Image::None => Err(fault("it has no frame")),
        Image::Lossless(i) => Ok(Stream {
            precision: i.frame().precision,
            cells: Cells::Words(i.finish()?),
            extends: false,
            lossy: false,
            colour: None,
        }),
        Image::Dct(i) => {
            let precision = i.frame().precision;
            let mut cells = i.finish()?;
            let mut colour = None;
            if job.samples == 3 {
                colour = Some(Colour::Rgb);
                if is_ycc(&hints, &job.photometric) {
                    colour::to_rgb(&mut cells, precision);
                }
            }
            Ok(Stream {
                cells: Cells::Words(cells),
                precision,
                extends: false,
                lossy: true,
                colour,
            })
        }
    }
}

/// Whether three components are luma and chromas. Adobe's marker says so for certain; else JFIF has nothing else; else the
/// header is believed.
fn is_ycc(hints: &Hints, photometric: &str) -> bool {
    match hints.adobe {
        Some(transform) => transform != 0,
        None => photometric != "RGB" || hints.jfif,
    }
}

fn frame(marker: u8, body: &[u8], job: &Job) -> Result<Frame, Refused> {
    let short = || fault("a frame header of a wrong length");
    let (head, rest) = body.split_first_chunk::<6>().ok_or_else(short)?;
    let [precision, r0, r1, c0, c1, count] = *head;
    let rows = u16::from_be_bytes([r0, r1]);
    let columns = u16::from_be_bytes([c0, c1]);
    agree("columns", job.columns, columns.into())?;
    agree("rows", job.rows, rows.into())?;
    agree("samples", job.samples.into(), count.into())?;
    let process = match marker {
        0xC2 => Process::Progressive,
        0xC3 => Process::Lossless,
        _ => Process::Sequential,
    };
    let fits = match process {
        Process::Lossless => (2..=16).contains(&precision),
        _ => precision == 8 || (precision == 12 && marker != 0xC0),
    };
    if !fits {
        return Err(fault(format!("{precision} bits")));
    }
    let (specs, over) = rest.as_chunks::<3>();
    if specs.len() != usize::from(count) || !over.is_empty() {
        return Err(short());
    }
    let components: Vec<Component> = specs
        .iter()
        .map(|[id, hv, quant]| Component {
            id: *id,
            h: usize::from(hv >> 4),
            v: usize::from(hv & 15),
            quant: *quant,
        })
        .collect();
    if components
        .iter()
        .any(|c| !(1..=4).contains(&c.h) || !(1..=4).contains(&c.v) || c.quant > 3)
    {
        return Err(fault("components that cannot be"));
    }
    let h_most = components.iter().map(|c| c.h).max().unwrap_or(1);
    let v_most = components.iter().map(|c| c.v).max().unwrap_or(1);
    if components.iter().any(|c| h_most % c.h != 0 || v_most % c.v != 0) {
        return Err(Refused::NoDecoder("JPEG with uneven sampling".to_owned()));
    }
    Ok(Frame {
        process,
        precision: precision.into(),
        rows: rows.into(),
        columns: columns.into(),
        h_most,
        v_most,
        components,
    })
}

fn scan<'a>(head: &[u8], frame: &Frame, pieces: Vec<&'a [u8]>, interval: usize) -> Result<Scan<'a>, Refused> {
    let short = || fault("a scan header of a wrong length");
    let (count, rest) = head.split_first().ok_or_else(short)?;
    let (specs, tail) = rest.split_at_checked(usize::from(*count) * 2).ok_or_else(short)?;
    let [start, end, approximation] = *<&[u8; 3]>::try_from(tail).map_err(|_| short())?;
    let mut components = Vec::new();
    for [id, table] in specs.as_chunks::<2>().0 {
        let index = frame
            .components
            .iter()
            .position(|c| c.id == *id)
            .ok_or_else(|| fault("a scan of a component that is not there"))?;
        if components.iter().any(|c: &(usize, _, _)| c.0 >= index) {
            return Err(fault("components out of order"));
        }
        components.push((index, usize::from(table >> 4), usize::from(table & 15)));
    }
    if components.is_empty() {
        return Err(fault("a scan of nothing"));
    }
    Ok(Scan {
        components,
        start: start.into(),
        end: end.into(),
        high: u32::from(approximation >> 4),
        low: u32::from(approximation & 15),
        pieces,
        interval,
    })
}

fn huffman_tables(mut body: &[u8], tables: &mut Tables) -> Result<(), Refused> {
    let short = || fault("a Huffman table ends early");
    while let Some((head, rest)) = body.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
        let total = counts.iter().map(|c| usize::from(*c)).sum();
        let (values, rest) = rest.split_at_checked(total).ok_or_else(short)?;
        let class = if head >> 4 == 0 {
            &mut tables.dc
        } else {
            &mut tables.ac
        };
        let slot = class
            .get_mut(usize::from(head & 15))
            .filter(|_| head >> 4 <= 1)
            .ok_or_else(|| fault("a Huffman table that cannot be"))?;
        *slot = Some(Table::new(counts, values)?);
        body = rest;
    }
    Ok(())
}

fn quant_tables(mut body: &[u8], tables: &mut Tables) -> Result<(), Refused> {
    let short = || fault("a quantization table ends early");
    while let Some((head, rest)) = body.split_first() {
        let slot = tables
            .quant
            .get_mut(usize::from(head & 15))
            .ok_or_else(|| fault("a quantization table that cannot be"))?;
        let mut table = [0u16; 64];
        body = match head >> 4 {
            0 => {
                let (values, rest) = rest.split_first_chunk::<64>().ok_or_else(short)?;
                for (to, from) in table.iter_mut().zip(values) {
                    *to = (*from).into();
                }
                rest
            }
            1 => {
                let (values, rest) = rest.split_first_chunk::<128>().ok_or_else(short)?;
                for (to, from) in table.iter_mut().zip(values.as_chunks::<2>().0) {
                    *to = u16::from_be_bytes(*from);
                }
                rest
            }
            _ => return Err(fault("a quantization table that cannot be")),
        };
        *slot = Some(table);
    }
    Ok(())
}
