//! Bits of an entropy-coded piece (T.81 §F.2.2.5). Lives here: stuffing taken out, and an end that is an error. Called
//! by the scans.

use super::fault;
use crate::Refused;

/// Reads from the highest bit of each byte on.
pub struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    acc: u64,
    left: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            acc: 0,
            left: 0,
        }
    }

    fn fill(&mut self) {
        while self.left <= 48 {
            let Some(byte) = self.data.get(self.at) else {
                return;
            };
            // 0xFF is followed by 0, which is not data; a fill byte 0xFF may only come at the end.
            if *byte == 0xFF {
                if self.data.get(self.at + 1) != Some(&0) {
                    self.at = self.data.len();
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.acc = self.acc << 8 | u64::from(*byte);
            self.left += 8;
        }
    }

    /// The next `n` (at most 16) bits, zeros behind the end.
    pub fn peek(&mut self, n: u32) -> u32 {
        if self.left < n {
            self.fill();
        }
        let bits = if self.left >= n {
            self.acc >> (self.left - n)
        } else {
            self.acc << (n - self.left)
        };
        (bits & ((1 << n) - 1)) as u32
    }

    /// Takes what was seen.
    pub fn take(&mut self, n: u32) -> Result<(), Refused> {
        self.left = self
            .left
            .checked_sub(n)
            .ok_or_else(|| fault("a scan ends early"))?;
        Ok(())
    }

    /// `n` (at most 16) bits.
    pub fn bits(&mut self, n: u32) -> Result<u32, Refused> {
        let bits = self.peek(n);
        self.take(n)?;
        Ok(bits)
    }

    /// A value of `n` (at most 16) bits with its sign (T.81 §F.2.2.1 EXTEND).
    pub fn signed(&mut self, n: u32) -> Result<i32, Refused> {
        if n == 0 {
            return Ok(0);
        }
        let bits = self.bits(n)?.cast_signed();
        Ok(if bits < 1 << (n - 1) {
            bits - (1 << n) + 1
        } else {
            bits
        })
    }
}
