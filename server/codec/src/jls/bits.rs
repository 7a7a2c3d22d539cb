//! Bits of a scan (T.87 §A.1). Lives here: the bit stuffed after 0xFF taken out, Golomb codes, and an end that is an error.
//! Called by [`super::scan`].

use super::fault;
use crate::Refused;

/// Reads from the highest bit of each byte on.
pub struct Bits<'a> {
    data: std::slice::Iter<'a, u8>,
    acc: u64,
    left: u32,
    stuffed: bool,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data: data.iter(),
            acc: 0,
            left: 0,
            stuffed: false,
        }
    }

    fn fill(&mut self) {
        while self.left <= 48 {
            let Some(byte) = self.data.next() else { return };
            let bits = if self.stuffed { 7 } else { 8 };
            self.acc = self.acc << bits | u64::from(*byte);
            self.left += bits;
            self.stuffed = *byte == 0xFF;
        }
    }

    /// `n` (at most 32) bits.
    pub fn bits(&mut self, n: u32) -> Result<u32, Refused> {
        if self.left < n {
            self.fill();
        }
        self.left = self
            .left
            .checked_sub(n)
            .ok_or_else(|| fault("a scan ends early"))?;
        Ok(((self.acc >> self.left) & ((1 << n) - 1)) as u32)
    }

    /// A Golomb code of parameter `k`, limited to `limit` bits (T.87 §A.5.3); `whole` bits behind the limit.
    pub fn golomb(&mut self, k: u32, limit: u32, whole: u32) -> Result<i32, Refused> {
        let most = limit.saturating_sub(whole + 1);
        let mut zeros = 0u32;
        loop {
            if self.left == 0 {
                self.fill();
                if self.left == 0 {
                    return Err(fault("a scan ends early"));
                }
            }
            let window = self.acc << (64 - self.left);
            let run = window.leading_zeros().min(self.left);
            zeros += run;
            if zeros > most {
                return Err(fault("a code that is too long"));
            }
            self.left -= run;
            if self.left > 0 {
                self.left -= 1;
                break;
            }
        }
        let value = if zeros < most {
            (zeros << k) + self.bits(k)?
        } else {
            self.bits(whole)? + 1
        };
        Ok(value.cast_signed())
    }
}
