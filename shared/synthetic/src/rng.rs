//! Numbers that look random and are not: SplitMix64, keyed by the hospital's seed, the patient and the section.
//!
//! Every section of every patient draws from a stream of its own, so that adding a draw in one place changes nothing
//! anywhere else, and patient 900,000 costs no more than patient 0. Never used for keys, codes or anything secret in
//! a real hospital. Called by every module that decides what is true of a patient.

/// One stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

/// Steele, Lea, Flood 2014, the finaliser of SplitMix64.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream of `section` (a number that names the section and, where it repeats, its place) for patient `n`.
    pub(crate) const fn stream(seed: u64, n: u64, section: u64) -> Self {
        let a = mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
        let b = mix(a ^ n.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(mix(b ^ section.wrapping_mul(0xa076_1d64_78bd_642f)))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..limit` (0 when `limit` is 0); the bias below 2⁻³² is of no account here.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low).saturating_add(1)).unwrap_or(0);
        low.saturating_add(self.below(width) as i64)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One entry of a table; `None` only for an empty table.
    pub(crate) fn pick<'a, T>(&mut self, table: &'a [T]) -> Option<&'a T> {
        let at = self.below(table.len() as u64) as usize;
        table.get(at)
    }

    /// One word of a table of words.
    pub(crate) fn word(&mut self, table: &[&'static str]) -> &'static str {
        self.pick(table).copied().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_apart_and_in_range() {
        let mut seen = std::collections::HashSet::new();
        for n in 0..200 {
            for section in 0..50 {
                assert!(
                    seen.insert(Rng::stream(7, n, section).next()),
                    "two streams begin alike"
                );
            }
        }
        let mut rng = Rng::stream(1, 2, 3);
        for _ in 0..10_000 {
            assert!(rng.below(7) < 7);
            assert!((-3..=4).contains(&rng.between(-3, 4)));
        }
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.pick::<u8>(&[]), None);
    }
}
