//! From cells, as codecs hand them out, to canonical plain pixels.
//!
//! Lives here: which bits of a cell count (PS3.5 §8.1.1), sign, width. Never here: a codec. Called by
//! [`mod@crate::decode`].

use crate::Job;

/// A frame's cells, rows from top to bottom, samples of a pixel together.
pub enum Cells {
    /// One byte each.
    Bytes(Vec<u8>),
    /// Two each.
    Words(Vec<u16>),
    /// Four each.
    Longs(Vec<u32>),
}

impl Cells {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(v) => v.len(),
            Self::Words(v) => v.len(),
            Self::Longs(v) => v.len(),
        }
    }
}

/// Where the bits that count lie in a cell.
#[derive(Clone, Copy)]
pub struct Bits {
    /// Lowest bit that counts.
    pub shift: u32,
    /// How many count in the result: bits stored.
    pub stored: u32,
    /// The bit after which a negative cell is extended; `stored` but where a codestream has fewer.
    pub sign: u32,
    /// Two's complement.
    pub signed: bool,
}

impl Bits {
    /// Cells laid out as the header says.
    pub fn of_header(job: &Job) -> Self {
        let stored = u32::from(job.bits_stored);
        Self {
            shift: (u32::from(job.high_bit) + 1).saturating_sub(stored),
            stored,
            sign: stored,
            signed: job.signed,
        }
    }

    /// Samples of a codestream of this precision. One that has the whole cell has it as the header lays it out; one that has
    /// only the bits that count has them lowest. `extends`: whether the codec knows signs (JPEG 2000), so that a stream of
    /// fewer bits than are stored is extended from its own highest.
    pub fn of_stream(job: &Job, precision: u32, extends: bool) -> Self {
        let whole = Self::of_header(job);
        let shift = if precision > u32::from(job.high_bit) {
            whole.shift
        } else {
            0
        };
        let sign = if extends && precision < whole.stored {
            precision.max(1)
        } else {
            whole.stored
        };
        Self { shift, sign, ..whole }
    }

    fn take(self, cell: u32) -> u32 {
        let value = cell >> self.shift;
        let up = 32u32.saturating_sub(self.sign);
        if self.signed {
            (value.wrapping_shl(up).cast_signed() >> up).cast_unsigned()
        } else {
            value.wrapping_shl(up) >> up
        }
    }

    fn is_nothing(self, width: u32) -> bool {
        self.shift == 0 && self.stored == width && self.sign == width
    }
}

/// Plain bytes: 1, 2 or 4 for each sample, as `bits.stored` needs.
pub fn plain(cells: Cells, bits: Bits) -> Vec<u8> {
    match (cells, bits.stored) {
        (Cells::Bytes(v), 8) if bits.is_nothing(8) => v,
        (Cells::Bytes(mut v), ..=8) => {
            for cell in &mut v {
                *cell = low8(bits.take((*cell).into()));
            }
            v
        }
        (Cells::Bytes(v), n) => wide(v.into_iter().map(u32::from), bits, n),
        (Cells::Words(v), ..=8) => v.into_iter().map(|c| low8(bits.take(c.into()))).collect(),
        (Cells::Words(v), n) => wide(v.into_iter().map(u32::from), bits, n),
        (Cells::Longs(v), ..=8) => v.into_iter().map(|c| low8(bits.take(c))).collect(),
        (Cells::Longs(v), n) => wide(v.into_iter(), bits, n),
    }
}

fn wide(cells: impl ExactSizeIterator<Item = u32>, bits: Bits, stored: u32) -> Vec<u8> {
    if stored <= 16 {
        let mut out = Vec::with_capacity(cells.len().saturating_mul(2));
        for cell in cells {
            let [a, b, ..] = bits.take(cell).to_le_bytes();
            out.extend_from_slice(&[a, b]);
        }
        out
    } else {
        let mut out = Vec::with_capacity(cells.len().saturating_mul(4));
        for cell in cells {
            out.extend_from_slice(&bits.take(cell).to_le_bytes());
        }
        out
    }
}

fn low8(value: u32) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_do_not_count_go_and_signs_are_extended() {
        let job = |stored, high, signed| Job {
            bits_allocated: 16,
            bits_stored: stored,
            high_bit: high,
            signed,
            ..Job::default()
        };
        let of = |job: &Job, cell| plain(Cells::Words(vec![cell]), Bits::of_header(job));
        assert_eq!(of(&job(12, 11, false), 0xF801), [0x01, 0x08]);
        assert_eq!(of(&job(12, 11, true), 0x0801), [0x01, 0xF8]);
        assert_eq!(of(&job(12, 15, false), 0x8010), [0x01, 0x08]);
        assert_eq!(of(&job(12, 15, true), 0x8010), [0x01, 0xF8]);
        assert_eq!(of(&job(8, 7, false), 0xFF7F), [0x7F]);
        assert_eq!(of(&job(16, 15, true), 0xFFFE), [0xFE, 0xFF]);
        let stream = Bits::of_stream(&job(16, 15, true), 12, true);
        assert_eq!(plain(Cells::Words(vec![0x0800]), stream), [0x00, 0xF8]);
        let stream = Bits::of_stream(&job(16, 15, true), 12, false);
        assert_eq!(plain(Cells::Words(vec![0x0800]), stream), [0x00, 0x08]);
        let bits = Bits {
            shift: 0,
            stored: 32,
            sign: 32,
            signed: true,
        };
        assert_eq!(plain(Cells::Longs(vec![7]), bits), [7, 0, 0, 0]);
    }
}
