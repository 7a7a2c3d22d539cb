//! A set of frames as bits, with the next one up and down.
//!
//! Lives here: sixty-four frames to a word, so that the next of 4,000 is at most 63 words away. Called by [`super`].

pub struct Bits {
    words: Vec<u64>,
    len: u32,
}

impl Bits {
    /// Empty, for so many frames.
    pub fn new(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    }

    fn place(at: u32) -> (usize, u64) {
        ((at / 64) as usize, 1 << (at % 64))
    }

    pub fn has(&self, at: u32) -> bool {
        let (word, bit) = Self::place(at);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// Whether it was not there before.
    pub fn set(&mut self, at: u32) -> bool {
        let (word, bit) = Self::place(at);
        match self.words.get_mut(word) {
            Some(w) if at < self.len && *w & bit == 0 => {
                *w |= bit;
                true
            }
            _ => false,
        }
    }

    /// Whether it was there before.
    pub fn clear(&mut self, at: u32) -> bool {
        let (word, bit) = Self::place(at);
        match self.words.get_mut(word) {
            Some(w) if *w & bit != 0 => {
                *w &= !bit;
                true
            }
            _ => false,
        }
    }

    /// The lowest not below.
    pub fn at_or_after(&self, at: u32) -> Option<u32> {
        let (word, bit) = Self::place(at);
        let rest = self.words.get(word..)?;
        let mut mask = !(bit - 1);
        for (n, w) in (at / 64..).zip(rest) {
            let found = w & mask;
            if found != 0 {
                return Some(n * 64 + found.trailing_zeros());
            }
            mask = u64::MAX;
        }
        None
    }

    /// The highest not above.
    pub fn at_or_before(&self, at: u32) -> Option<u32> {
        let at = at.min(self.len.checked_sub(1)?);
        let (word, bit) = Self::place(at);
        let rest = self.words.get(..=word)?;
        let mut mask = bit | (bit - 1);
        for (n, w) in (0..at / 64 + 1).zip(rest).rev() {
            let found = w & mask;
            if found != 0 {
                return Some(n * 64 + 63 - found.leading_zeros());
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set_of_numbers(len in 0usize..300, ops in prop::collection::vec((any::<bool>(), 0u32..320), 0..200)) {
            let mut bits = Bits::new(len);
            let mut set = BTreeSet::new();
            for (add, at) in ops {
                if add {
                    prop_assert_eq!(bits.set(at), (at as usize) < len && set.insert(at));
                } else {
                    prop_assert_eq!(bits.clear(at), set.remove(&at));
                }
                for from in [at, at + 1, at.saturating_sub(64)] {
                    prop_assert_eq!(bits.at_or_after(from), set.range(from..).next().copied());
                    prop_assert_eq!(bits.at_or_before(from), set.range(..=from).next_back().copied());
                    prop_assert_eq!(bits.has(from), set.contains(&from));
                }
            }
        }
    }
}
