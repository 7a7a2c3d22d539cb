//! The lossless process (T.81 Annex H).
//!
//! Lives here: prediction and differences. Never here: subsampled components (DICOM has none). Called by
//! [`super::decode`].

use super::bits::Bits;
use super::huffman::Table;
use super::{Frame, Scan, Tables, fault};
use crate::Refused;

/// Samples as far as they have come, one plane for each component.
pub struct Image {
    frame: Frame,
    planes: Vec<Vec<u16>>,
}

impl Image {
    pub fn new(frame: Frame) -> Result<Self, Refused> {
        if frame.h_most > 1 || frame.v_most > 1 {
            // One component alone may say any factors: they divide by themselves.
            if frame.components.len() > 1 {
                return Err(Refused::NoDecoder("lossless JPEG with subsampling".to_owned()));
            }
        }
        let planes = frame.components.iter().map(|_| Vec::new()).collect();
        Ok(Self { frame, planes })
    }

    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    pub fn scan(&mut self, scan: &Scan<'_>, tables: &Tables) -> Result<(), Refused> {
        let (columns, rows) = (self.frame.columns, self.frame.rows);
        if !(1..=7).contains(&scan.start) || scan.low >= self.frame.precision {
            return Err(fault("a predictor that cannot be"));
        }
        if !scan.interval.is_multiple_of(columns) {
            return Err(fault("a restart within a row"));
        }
        let rows_each = if scan.interval == 0 {
            rows
        } else {
            scan.interval / columns
        };
        if scan.pieces.len() != rows.div_ceil(rows_each) {
            return Err(fault("not as many restarts as rows need"));
        }
        let mut huffman = Vec::new();
        for (index, dc, _) in &scan.components {
            let table = tables
                .dc
                .get(*dc)
                .and_then(Option::as_ref)
                .ok_or_else(|| fault("a Huffman table is missing"))?;
            if self.planes.get(*index).is_none_or(|p| !p.is_empty()) {
                return Err(fault("a component comes twice"));
            }
            huffman.push(table);
        }
        let origin = 1u16 << (self.frame.precision - scan.low - 1);
        let mut out: Vec<Vec<u16>> = huffman
            .iter()
            .map(|_| Vec::with_capacity(columns * rows))
            .collect();
        let mut above: Vec<Vec<u16>> = vec![Vec::new(); huffman.len()];
        let mut current: Vec<Vec<u16>> = vec![vec![0; columns]; huffman.len()];
        let mut rows_left = rows;
        for piece in &scan.pieces {
            let mut bits = Bits::new(piece);
            above.iter_mut().for_each(Vec::clear);
            for _ in 0..rows_each.min(rows_left) {
                if let ([table], [row], [up]) = (huffman.as_slice(), current.as_mut_slice(), above.as_slice())
                {
                    single(&mut bits, table, row, up, scan.start, origin)?;
                } else {
                    interleaved(&mut bits, &huffman, &mut current, &above, scan.start, origin)?;
                }
                for ((row, up), plane) in current.iter_mut().zip(&mut above).zip(&mut out) {
                    plane.extend(row.iter().map(|v| v << scan.low));
                    up.resize(columns, 0);
                    std::mem::swap(row, up);
                }
            }
            rows_left = rows_left.saturating_sub(rows_each);
        }
        for ((index, ..), plane) in scan.components.iter().zip(out) {
            if let Some(slot) = self.planes.get_mut(*index) {
                *slot = plane;
            }
        }
        Ok(())
    }

    /// The samples, those of a pixel together.
    pub fn finish(mut self) -> Result<Vec<u16>, Refused> {
        if self.planes.iter().any(Vec::is_empty) {
            return Err(fault("a component is missing"));
        }
        if self.planes.len() == 1 {
            return Ok(self.planes.pop().unwrap_or_default());
        }
        let samples = self.planes.len() as u16;
        Ok(crate::native::interleave(&self.planes.concat(), samples))
    }
}

/// A difference of up to 16 bits (T.81 §H.1.2.2).
fn difference(bits: &mut Bits<'_>, table: &Table) -> Result<u16, Refused> {
    match table.read(bits)? {
        n @ 0..=15 => Ok(bits.signed(n.into())? as u16),
        16 => Ok(32768),
        _ => Err(fault("a difference of too many bits")),
    }
}

/// T.81 Table H.1: left, above, above left.
fn predict(predictor: usize, a: u16, b: u16, c: u16) -> u16 {
    let (x, y, z) = (i32::from(a), i32::from(b), i32::from(c));
    let value = match predictor {
        1 => x,
        2 => y,
        3 => z,
        4 => x + y - z,
        5 => x + ((y - z) >> 1),
        6 => y + ((x - z) >> 1),
        _ => (x + y) >> 1,
    };
    value as u16
}

fn single(
    bits: &mut Bits<'_>,
    table: &Table,
    row: &mut [u16],
    above: &[u16],
    predictor: usize,
    origin: u16,
) -> Result<(), Refused> {
    // The first row is predicted from the left, the first column from above (T.81 §H.1.2.1).
    let Some((first, rest)) = row.split_first_mut() else {
        return Ok(());
    };
    let mut left = above
        .first()
        .copied()
        .unwrap_or(origin)
        .wrapping_add(difference(bits, table)?);
    *first = left;
    if above.is_empty() {
        for cell in rest {
            left = left.wrapping_add(difference(bits, table)?);
            *cell = left;
        }
        return Ok(());
    }
    for (cell, pair) in rest.iter_mut().zip(above.array_windows::<2>()) {
        let [c, b] = *pair;
        left = predict(predictor, left, b, c).wrapping_add(difference(bits, table)?);
        *cell = left;
    }
    Ok(())
}

fn interleaved(
    bits: &mut Bits<'_>,
    tables: &[&Table],
    current: &mut [Vec<u16>],
    above: &[Vec<u16>],
    predictor: usize,
    origin: u16,
) -> Result<(), Refused> {
    let columns = current.first().map_or(0, Vec::len);
    for x in 0..columns {
        for ((row, up), table) in current.iter_mut().zip(above).zip(tables) {
            let left = x.checked_sub(1);
            let a = left.and_then(|l| row.get(l)).copied();
            let b = up.get(x).copied();
            let c = left.and_then(|l| up.get(l)).copied();
            let predicted = match (a, b, c) {
                (Some(a), Some(b), Some(c)) => predict(predictor, a, b, c),
                (Some(a), ..) => a,
                (None, Some(b), _) => b,
                _ => origin,
            };
            let value = predicted.wrapping_add(difference(bits, table)?);
            if let Some(cell) = row.get_mut(x) {
                *cell = value;
            }
        }
    }
    Ok(())
}
