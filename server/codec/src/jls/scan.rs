//! Rows of a scan (T.87 Annexes A and B).
//!
//! Lives here: neighbours, runs, interleaving. Never here: what was learnt ([`super::model`]). Called by
//! [`super::decode`].

use super::bits::Bits;
use super::fault;
use super::model::{Around, J, Model};
use crate::Refused;

/// A row with one sample before it and one behind (T.87 §A.2.1): of the row above the first is what stood above left
/// of the row, the last repeats.
struct Row(Vec<u16>);

impl Row {
    fn new(columns: usize) -> Self {
        Self(vec![0; columns + 2])
    }
    fn get(&self, i: usize) -> i32 {
        self.0.get(i).copied().unwrap_or_default().into()
    }
    fn set(&mut self, i: usize, value: i32) {
        if let Some(cell) = self.0.get_mut(i) {
            *cell = value as u16;
        }
    }
    /// Before it is read into: left of it is what is above its first.
    fn begin(&mut self, above: &mut Self) {
        let last = above.0.len().saturating_sub(2);
        let end = above.get(last);
        above.set(last + 1, end);
        self.set(0, above.get(1));
    }
    fn samples(&self) -> &[u16] {
        self.0.get(1..self.0.len() - 1).unwrap_or_default()
    }
    fn around(&self, above: &Self, x: usize) -> Around {
        Around {
            a: self.get(x),
            b: above.get(x + 1),
            c: above.get(x),
            d: above.get(x + 2),
        }
    }
}

/// How many samples of a row repeat the one before (T.87 §A.7.1); whether the row ends with them.
fn run_length(bits: &mut Bits<'_>, left: usize, index: &mut usize) -> Result<(usize, bool), Refused> {
    let mut length = 0usize;
    loop {
        let power = J.get(*index).copied().unwrap_or_default();
        if bits.bits(1)? == 0 {
            length += bits.bits(power)? as usize;
            if length >= left {
                return Err(fault("a run leaves its row"));
            }
            return Ok((length, false));
        }
        let whole = 1usize << power;
        if length + whole <= left {
            *index = (*index + 1).min(31);
        }
        length += whole;
        if length >= left {
            return Ok((left, true));
        }
    }
}

/// One row of one component.
fn row(
    bits: &mut Bits<'_>,
    model: &mut Model,
    current: &mut Row,
    above: &Row,
    columns: usize,
    run_index: &mut usize,
) -> Result<(), Refused> {
    let mut x = 0;
    while x < columns {
        let around = current.around(above, x);
        let context = model.context(around);
        if context != 0 {
            let value = model.regular(bits, around, context)?;
            current.set(x + 1, value);
            x += 1;
            continue;
        }
        let (length, ends) = run_length(bits, columns - x, run_index)?;
        for i in x..x + length {
            current.set(i + 1, around.a);
        }
        x += length;
        if ends {
            break;
        }
        let b = above.get(x + 1);
        let alike = model.is_near(around.a, b);
        let value = model.run_end(bits, around.a, b, alike, *run_index)?;
        current.set(x + 1, value);
        *run_index = run_index.saturating_sub(1);
        x += 1;
    }
    Ok(())
}

/// A scan of one component.
pub fn single(data: &[u8], mut model: Model, (columns, rows): (usize, usize)) -> Result<Vec<u16>, Refused> {
    let mut bits = Bits::new(data);
    let mut out = Vec::with_capacity(columns * rows);
    let (mut current, mut above) = (Row::new(columns), Row::new(columns));
    let mut run_index = 0;
    for _ in 0..rows {
        current.begin(&mut above);
        row(
            &mut bits,
            &mut model,
            &mut current,
            &above,
            columns,
            &mut run_index,
        )?;
        out.extend_from_slice(current.samples());
        std::mem::swap(&mut current, &mut above);
    }
    Ok(out)
}

/// A scan whose components take turns by rows.
pub fn lines(
    data: &[u8],
    mut model: Model,
    (columns, rows): (usize, usize),
    count: usize,
) -> Result<Vec<u16>, Refused> {
    let mut bits = Bits::new(data);
    let mut out = Vec::with_capacity(columns * rows * count);
    let mut each: Vec<(Row, Row, usize)> = (0..count)
        .map(|_| (Row::new(columns), Row::new(columns), 0))
        .collect();
    let mut line = Vec::with_capacity(columns * count);
    for _ in 0..rows {
        line.clear();
        for (current, above, run_index) in &mut each {
            current.begin(above);
            row(&mut bits, &mut model, current, above, columns, run_index)?;
            line.extend_from_slice(current.samples());
            std::mem::swap(current, above);
        }
        out.extend(crate::native::interleave(&line, count as u16));
    }
    Ok(out)
}

/// A scan whose three components take turns by samples: a run is one of all (T.87 §B.2).
pub fn pixels(data: &[u8], mut model: Model, (columns, rows): (usize, usize)) -> Result<Vec<u16>, Refused> {
    let mut bits = Bits::new(data);
    let mut out = Vec::with_capacity(columns * rows * 3);
    let mut current = [Row::new(columns), Row::new(columns), Row::new(columns)];
    let mut above = [Row::new(columns), Row::new(columns), Row::new(columns)];
    let mut run_index = 0;
    for _ in 0..rows {
        for (row, up) in current.iter_mut().zip(&mut above) {
            row.begin(up);
        }
        let mut x = 0;
        while x < columns {
            let [r, g, b] = &current;
            let [ur, ug, ub] = &above;
            let around = [r.around(ur, x), g.around(ug, x), b.around(ub, x)];
            let contexts = around.map(|a| model.context(a));
            if contexts != [0; 3] {
                for ((row, a), context) in current.iter_mut().zip(around).zip(contexts) {
                    let value = model.regular(&mut bits, a, context)?;
                    row.set(x + 1, value);
                }
                x += 1;
                continue;
            }
            let (length, ends) = run_length(&mut bits, columns - x, &mut run_index)?;
            for (row, a) in current.iter_mut().zip(around) {
                for i in x..x + length {
                    row.set(i + 1, a.a);
                }
            }
            x += length;
            if ends {
                break;
            }
            for ((row, up), a) in current.iter_mut().zip(&above).zip(around) {
                let value = model.run_end(&mut bits, a.a, up.get(x + 1), false, run_index)?;
                row.set(x + 1, value);
            }
            run_index = run_index.saturating_sub(1);
            x += 1;
        }
        let [r, g, b] = &current;
        for ((r, g), b) in r.samples().iter().zip(g.samples()).zip(b.samples()) {
            out.extend_from_slice(&[*r, *g, *b]);
        }
        std::mem::swap(&mut current, &mut above);
    }
    Ok(out)
}
