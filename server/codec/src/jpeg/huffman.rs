//! Huffman tables (T.81 Annex C, §F.2.2.3). Lives here: codes to values. Called by the scans.

use super::bits::Bits;
use super::fault;
use crate::Refused;

/// Bits that are looked up at once.
const QUICK: u32 = 9;

/// One table.
pub struct Table {
    /// By the next 9 bits: length and value; length 0 for longer codes.
    quick: Vec<(u8, u8)>,
    /// For each length: the first code beyond it, from the left in 16 bits, and value index less code.
    long: [(u32, i32); 16],
    values: Vec<u8>,
}

impl Table {
    /// From how many codes each length has, and their values in order.
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, Refused> {
        let mut quick = vec![(0u8, 0u8); 1 << QUICK];
        let mut long = [(0u32, 0i32); 16];
        let mut code = 0u32;
        let mut index = 0usize;
        for (len, (count, slot)) in (1u32..).zip(counts.iter().zip(&mut long)) {
            let first = code;
            let offset = index as i32 - first.cast_signed();
            for _ in 0..*count {
                let value = values.get(index).copied().unwrap_or_default();
                if len <= QUICK {
                    let from = (code << (QUICK - len)) as usize;
                    let entries = quick
                        .get_mut(from..from + (1 << (QUICK - len)))
                        .ok_or_else(|| fault("a Huffman table of too many codes"))?;
                    entries.fill((len as u8, value));
                }
                code += 1;
                index += 1;
            }
            if code > 1 << len {
                return Err(fault("a Huffman table of too many codes"));
            }
            *slot = (code << (16 - len), offset);
            code <<= 1;
        }
        Ok(Self {
            quick,
            long,
            values: values.to_vec(),
        })
    }

    /// The next value.
    pub fn read(&self, bits: &mut Bits<'_>) -> Result<u8, Refused> {
        let next = bits.peek(16);
        if let Some((len @ 1.., value)) = self.quick.get((next >> (16 - QUICK)) as usize) {
            bits.take((*len).into())?;
            return Ok(*value);
        }
        for (len, (end, offset)) in (1u32..).zip(&self.long) {
            if len > QUICK && next < *end {
                let index = (next >> (16 - len)).cast_signed() + offset;
                let value = usize::try_from(index).ok().and_then(|i| self.values.get(i));
                bits.take(len)?;
                return value
                    .copied()
                    .ok_or_else(|| fault("a code that is not in its table"));
            }
        }
        Err(fault("a code that is not in its table"))
    }
}
