//! The DCT processes: scans to coefficients, coefficients to samples (T.81 Annexes F and G).
//!
//! Lives here: sequential and progressive scans of Huffman codes. Never here: a coefficient outside its block. Called by
//! [`super::decode`].

use super::bits::Bits;
use super::huffman::Table;
use super::{Frame, Process, Scan, Tables, colour, fault, idct};
use crate::Refused;

/// Where the n-th coefficient of a scan lies in its block (T.81 Figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// No coefficient of 12-bit samples is greater by far; what is keeps the transform from running over.
const COEFFICIENT_MOST: i32 = 1 << 20;

type Block = [i16; 64];

/// One component's coefficients, in the order of the scan within a block.
struct Plane {
    /// Blocks of a row, whole units.
    across: usize,
    /// Rows of blocks.
    down: usize,
    blocks: Vec<Block>,
    /// The quantization table as it stood at the component's first scan.
    quant: Option<[u16; 64]>,
}

/// An image as far as its scans have come.
pub struct Image {
    frame: Frame,
    planes: Vec<Plane>,
}

/// What a run of blocks carries from one to the next.
struct Run<'a> {
    bits: Bits<'a>,
    predicted: [i32; 4],
    /// Blocks that have no more coefficients in this band.
    empty: u32,
}

impl Image {
    pub fn new(frame: Frame) -> Result<Self, Refused> {
        let (across, down) = frame.units();
        let mut planes = Vec::new();
        for c in &frame.components {
            let (across, down) = (across * c.h, down * c.v);
            planes.push(Plane {
                across,
                down,
                blocks: vec![[0; 64]; across * down],
                quant: None,
            });
        }
        Ok(Self { frame, planes })
    }

    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    pub fn scan(&mut self, scan: &Scan<'_>, tables: &Tables) -> Result<(), Refused> {
        let progressive = self.frame.process == Process::Progressive;
        let band = if progressive {
            scan.start <= scan.end
                && scan.end < 64
                && (scan.start > 0 || scan.end == 0)
                && (scan.start == 0 || scan.components.len() == 1)
                && scan.low < 14
                && (scan.high == 0 || scan.high == scan.low + 1)
        } else {
            // Some writers leave the band out: a sequential scan has but one.
            scan.high == 0 && scan.low == 0
        };
        if !band {
            return Err(fault("a scan of a band that cannot be"));
        }
        for (index, ..) in &scan.components {
            let c = self.frame.components.get(*index);
            let table = c.and_then(|c| tables.quant.get(usize::from(c.quant)).copied().flatten());
            if let Some(plane) = self.planes.get_mut(*index)
                && plane.quant.is_none()
            {
                plane.quant = Some(table.ok_or_else(|| fault("a quantization table is missing"))?);
            }
        }
        // A scan of one component has its own blocks only, one of more has whole units (T.81 §A.2).
        let (across, down) = match scan.components.as_slice() {
            [(index, ..)] => {
                let c = self
                    .frame
                    .components
                    .get(*index)
                    .ok_or_else(|| fault("a component is missing"))?;
                let (columns, rows) = self.frame.size(c);
                (columns.div_ceil(8), rows.div_ceil(8))
            }
            _ => self.frame.units(),
        };
        let units = across * down;
        let each = if scan.interval == 0 { units } else { scan.interval };
        if scan.pieces.len() != units.div_ceil(each) {
            return Err(fault("not as many restarts as the image needs"));
        }
        for (n, piece) in scan.pieces.iter().enumerate() {
            let mut run = Run {
                bits: Bits::new(piece),
                predicted: [0; 4],
                empty: 0,
            };
            for unit in n * each..units.min((n + 1) * each) {
                self.unit(scan, tables, &mut run, unit % across, unit / across)?;
            }
        }
        Ok(())
    }

    fn unit(
        &mut self,
        scan: &Scan<'_>,
        tables: &Tables,
        run: &mut Run<'_>,
        x: usize,
        y: usize,
    ) -> Result<(), Refused> {
        let single = scan.components.len() == 1;
        for (index, dc, ac) in &scan.components {
            let (Some(c), Some(plane)) = (self.frame.components.get(*index), self.planes.get_mut(*index))
            else {
                return Err(fault("a component is missing"));
            };
            let dc = tables.dc.get(*dc).and_then(Option::as_ref);
            let ac = tables.ac.get(*ac).and_then(Option::as_ref);
            let (h, v) = if single { (1, 1) } else { (c.h, c.v) };
            for i in 0..h * v {
                let at = (y * v + i / h) * plane.across + x * h + i % h;
                let block = plane
                    .blocks
                    .get_mut(at)
                    .ok_or_else(|| fault("a block lies outside"))?;
                let predicted = run
                    .predicted
                    .get_mut(*index)
                    .ok_or_else(|| fault("too many components"))?;
                if self.frame.process == Process::Sequential {
                    sequential(&mut run.bits, dc, ac, predicted, block)?;
                } else if scan.start == 0 {
                    first_of_all(&mut run.bits, dc, scan, predicted, block)?;
                } else if scan.high == 0 {
                    band(&mut run.bits, ac, scan, &mut run.empty, block)?;
                } else {
                    refine(&mut run.bits, ac, scan, &mut run.empty, block)?;
                }
            }
        }
        Ok(())
    }

    /// The samples, those of a pixel together.
    pub fn finish(self) -> Result<Vec<u16>, Refused> {
        let (columns, rows) = (self.frame.columns, self.frame.rows);
        let samples = self.planes.len();
        let mut out = vec![0u16; columns * rows * samples];
        for (s, (plane, c)) in self.planes.into_iter().zip(&self.frame.components).enumerate() {
            let (width, height) = self.frame.size(c);
            let pixels = plane.samples(self.frame.precision)?;
            let stride = plane.across * 8;
            let (up_h, up_v) = (self.frame.h_most / c.h, self.frame.v_most / c.v);
            let mut row = Vec::with_capacity(columns + 8);
            let lines = out.chunks_exact_mut(columns * samples);
            for (y, line) in lines.enumerate() {
                let source = |y: usize| {
                    let from = y.min(height.saturating_sub(1)) * stride;
                    pixels.get(from..from + width).unwrap_or_default()
                };
                row.clear();
                widen(&source, y, height, up_h, up_v, &mut row);
                for (to, from) in line.iter_mut().skip(s).step_by(samples).zip(&row) {
                    *to = *from;
                }
            }
        }
        Ok(out)
    }
}

/// One row of an image from the rows of a component that has fewer.
fn widen<'a>(
    source: &impl Fn(usize) -> &'a [u16],
    y: usize,
    height: usize,
    up_h: usize,
    up_v: usize,
    row: &mut Vec<u16>,
) {
    let near = source(y / up_v);
    let far = || {
        let n = y / up_v;
        if y.is_multiple_of(2) {
            source(n.saturating_sub(1))
        } else {
            source((n + 1).min(height.saturating_sub(1)))
        }
    };
    match (up_h, up_v) {
        (1, 1) => row.extend_from_slice(near),
        (2, 1) => colour::double(near, row),
        (1, 2) => {
            let half = if y.is_multiple_of(2) { 1 } else { 2 };
            row.extend(
                near.iter()
                    .zip(far())
                    .map(|(n, f)| ((3 * u32::from(*n) + u32::from(*f) + half) >> 2) as u16),
            );
        }
        (2, 2) => {
            let sums: Vec<u32> = near
                .iter()
                .zip(far())
                .map(|(n, f)| 3 * u32::from(*n) + u32::from(*f))
                .collect();
            colour::double_sums(&sums, row);
        }
        _ => row.extend(near.iter().flat_map(|v| std::iter::repeat_n(*v, up_h))),
    }
}

impl Plane {
    /// The component's samples, whole blocks.
    fn samples(&self, precision: u32) -> Result<Vec<u16>, Refused> {
        let quant = self.quant.ok_or_else(|| fault("a component is missing"))?;
        let stride = self.across * 8;
        let mut out = vec![0u16; stride * self.down * 8];
        let bands = out.chunks_exact_mut((stride * 8).max(1));
        for (band, blocks) in bands.zip(self.blocks.chunks_exact(self.across.max(1))) {
            for (x, block) in blocks.iter().enumerate() {
                let mut real = [0i32; 64];
                for ((c, q), to) in block.iter().zip(&quant).zip(ZIGZAG) {
                    if let Some(slot) = real.get_mut(usize::from(to)) {
                        *slot = (i32::from(*c) * i32::from(*q)).clamp(-COEFFICIENT_MOST, COEFFICIENT_MOST);
                    }
                }
                let mut pixels = [0u16; 64];
                idct::block(&real, precision, &mut pixels);
                for (line, from) in band.chunks_exact_mut(stride).zip(pixels.as_chunks::<8>().0) {
                    if let Some(to) = line.get_mut(x * 8..x * 8 + 8) {
                        to.copy_from_slice(from);
                    }
                }
            }
        }
        Ok(out)
    }
}

fn table(table: Option<&Table>) -> Result<&Table, Refused> {
    table.ok_or_else(|| fault("a Huffman table is missing"))
}

fn put(block: &mut Block, k: usize, value: i32) -> Result<(), Refused> {
    let slot = block
        .get_mut(k)
        .ok_or_else(|| fault("a coefficient lies outside its block"))?;
    *slot = value as i16;
    Ok(())
}

/// The DC difference (T.81 §F.2.2.1).
fn dc_value(bits: &mut Bits<'_>, dc: Option<&Table>, predicted: &mut i32) -> Result<i32, Refused> {
    let n = table(dc)?.read(bits)?;
    if n > 15 {
        return Err(fault("a difference of too many bits"));
    }
    *predicted = predicted.wrapping_add(bits.signed(n.into())?);
    Ok(*predicted)
}

/// A whole block (T.81 §F.2.2).
fn sequential(
    bits: &mut Bits<'_>,
    dc: Option<&Table>,
    ac: Option<&Table>,
    predicted: &mut i32,
    block: &mut Block,
) -> Result<(), Refused> {
    let value = dc_value(bits, dc, predicted)?;
    put(block, 0, value)?;
    let ac = table(ac)?;
    let mut k = 1;
    while k < 64 {
        let rs = ac.read(bits)?;
        let (zeros, size) = (usize::from(rs >> 4), u32::from(rs & 15));
        if size == 0 {
            if zeros != 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += zeros;
        let value = bits.signed(size)?;
        put(block, k, value)?;
        k += 1;
    }
    Ok(())
}

/// DC of a progressive image: at first all bits but the low ones, later one bit more (T.81 §G.1.2.1).
fn first_of_all(
    bits: &mut Bits<'_>,
    dc: Option<&Table>,
    scan: &Scan<'_>,
    predicted: &mut i32,
    block: &mut Block,
) -> Result<(), Refused> {
    if scan.high == 0 {
        let value = dc_value(bits, dc, predicted)?;
        return put(block, 0, value.wrapping_shl(scan.low));
    }
    if bits.bits(1)? == 1
        && let Some(first) = block.first_mut()
    {
        *first |= 1 << scan.low;
    }
    Ok(())
}

/// The first scan of a band (T.81 §G.1.2.2).
fn band(
    bits: &mut Bits<'_>,
    ac: Option<&Table>,
    scan: &Scan<'_>,
    empty: &mut u32,
    block: &mut Block,
) -> Result<(), Refused> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let ac = table(ac)?;
    let mut k = scan.start;
    while k <= scan.end {
        let rs = ac.read(bits)?;
        let (zeros, size) = (u32::from(rs >> 4), u32::from(rs & 15));
        if size == 0 {
            if zeros < 15 {
                *empty = (1 << zeros) - 1 + bits.bits(zeros)?;
                return Ok(());
            }
            k += 16;
            continue;
        }
        k += zeros as usize;
        if k > scan.end {
            return Err(fault("a coefficient lies outside its band"));
        }
        let value = bits.signed(size)?;
        put(block, k, value.wrapping_shl(scan.low))?;
        k += 1;
    }
    Ok(())
}

/// One bit more for a coefficient that is not zero.
fn correct(bits: &mut Bits<'_>, cell: &mut i16, bit: i16) -> Result<(), Refused> {
    if bits.bits(1)? == 1 && *cell & bit == 0 {
        *cell = cell.wrapping_add(if *cell > 0 { bit } else { -bit });
    }
    Ok(())
}

/// A later scan of a band (T.81 §G.1.2.3).
fn refine(
    bits: &mut Bits<'_>,
    ac: Option<&Table>,
    scan: &Scan<'_>,
    empty: &mut u32,
    block: &mut Block,
) -> Result<(), Refused> {
    let bit = 1i16 << scan.low;
    let cells = block
        .get_mut(scan.start..=scan.end)
        .ok_or_else(|| fault("a band lies outside its block"))?;
    let mut cells = cells.iter_mut();
    if *empty == 0 {
        let ac = table(ac)?;
        'codes: while cells.len() > 0 {
            let rs = ac.read(bits)?;
            let (mut zeros, size) = (u32::from(rs >> 4), rs & 15);
            let mut fresh = 0;
            if size == 0 {
                if zeros < 15 {
                    *empty = (1 << zeros) + bits.bits(zeros)?;
                    break 'codes;
                }
            } else if size == 1 {
                fresh = if bits.bits(1)? == 1 { bit } else { -bit };
            } else {
                return Err(fault("a correction of too many bits"));
            }
            loop {
                let Some(cell) = cells.next() else {
                    if fresh != 0 {
                        return Err(fault("a coefficient lies outside its band"));
                    }
                    break 'codes;
                };
                if *cell != 0 {
                    correct(bits, cell, bit)?;
                } else if zeros == 0 {
                    *cell = fresh;
                    break;
                } else {
                    zeros -= 1;
                }
            }
        }
    }
    if *empty > 0 {
        for cell in cells {
            if *cell != 0 {
                correct(bits, cell, bit)?;
            }
        }
        *empty -= 1;
    }
    Ok(())
}
