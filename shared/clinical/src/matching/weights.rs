//! What each level of each field weighs: log2(m/u), as data.
//!
//! m: how often the level is seen in two records of one person; u: in records of two people (Fellegi and Sunter, A
//! theory for record linkage, JASA 64, 1969). Rows marked `fitted` are the output of `docs/matching_fit.py` over the
//! training half (people with an even number) of FEBRL sets 2 and 3. The other rows are about fields that FEBRL has not, or
//! levels that it has too few of; their m and u are our judgement, cautious for what speaks for a link, and no
//! measurement.

use super::compare::{Field, Level};
use std::fmt;

/// A weight in hundredths of a bit, so that sums are exact and the same in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bits(pub i32);

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "+" };
        let all = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", all / 100, all % 100)
    }
}

/// What a level of a field weighs, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// The field.
    pub field: Field,
    /// How far it agrees.
    pub level: Level,
    /// Seen in so many of 100,000 pairs of records of one person.
    pub m: u32,
    /// Seen in so many of 100,000 pairs of records of two people.
    pub u: u32,
    /// log2(m/u), or less.
    pub weight: Bits,
    /// Measured; otherwise our judgement.
    pub fitted: bool,
}

const fn row(field: Field, level: Level, m: u32, u: u32, weight: i32, fitted: bool) -> Weight {
    Weight {
        field,
        level,
        m,
        u,
        weight: Bits(weight),
        fitted,
    }
}

const fn fitted(field: Field, level: Level, m: u32, u: u32, weight: i32) -> Weight {
    row(field, level, m, u, weight, true)
}

const fn judged(field: Field, level: Level, m: u32, u: u32, weight: i32) -> Weight {
    row(field, level, m, u, weight, false)
}

/// The table. Of the fitted levels of a field none weighs more than the one before it, whatever m/u says: FEBRL makes
/// more errors than people do, and a name with an error in it must not say more than the name.
pub const WEIGHTS: &[Weight] = &[
    fitted(Field::National, Level::Exact, 84371, 1, 1636),
    fitted(Field::National, Level::Near, 8687, 2, 1208),
    fitted(Field::National, Level::Differs, 6942, 99998, -385),
    // Numbers of a hospital; two records of one person in one hospital have two of them.
    judged(Field::Record, Level::Exact, 84371, 1, 1636),
    judged(Field::Record, Level::Near, 100_000, 100_000, 0),
    judged(Field::Record, Level::Differs, 100_000, 100_000, 0),
    // Shared in families.
    judged(Field::Other, Level::Exact, 64000, 62, 1001),
    judged(Field::Other, Level::Near, 100_000, 100_000, 0),
    judged(Field::Other, Level::Differs, 100_000, 100_000, 0),
    fitted(Field::Birth, Level::Exact, 91895, 1, 1649),
    fitted(Field::Birth, Level::Near, 1677, 104, 401),
    fitted(Field::Birth, Level::Swapped, 13, 1, 370),
    fitted(Field::Birth, Level::Differs, 6415, 99894, -396),
    // One of 1,080 months and of 90 years.
    judged(Field::Birth, Level::Month, 90000, 93, 992),
    judged(Field::Birth, Level::Year, 90000, 1111, 634),
    fitted(Field::Family, Level::Exact, 57727, 332, 744),
    fitted(Field::Family, Level::Near, 21321, 82, 744),
    fitted(Field::Family, Level::Swapped, 8015, 1, 744),
    fitted(Field::Family, Level::Sounds, 282, 65, 212),
    fitted(Field::Family, Level::Differs, 12655, 99521, -298),
    judged(Field::Family, Level::Former, 5000, 80, 597),
    judged(Field::Family, Level::Part, 5000, 80, 597),
    judged(Field::Family, Level::Initial, 100, 50, 100),
    judged(Field::Family, Level::Mixed, 100_000, 100_000, 0),
    fitted(Field::Given, Level::Exact, 60205, 350, 743),
    fitted(Field::Given, Level::Near, 15355, 140, 678),
    fitted(Field::Given, Level::Swapped, 8172, 1, 678),
    fitted(Field::Given, Level::Sounds, 288, 250, 20),
    fitted(Field::Given, Level::Differs, 15980, 99261, -263),
    judged(Field::Given, Level::Part, 15355, 140, 678),
    judged(Field::Given, Level::Nickname, 5000, 80, 597),
    judged(Field::Given, Level::Initial, 2000, 500, 200),
    judged(Field::Given, Level::Mixed, 50000, 100_000, -100),
    judged(Field::Gender, Level::Exact, 98000, 50000, 97),
    judged(Field::Gender, Level::Differs, 2000, 50000, -464),
    // A household shares one, and people change it.
    judged(Field::Phone, Level::Exact, 51200, 100, 900),
    judged(Field::Phone, Level::Differs, 50000, 100_000, -100),
    fitted(Field::Street, Level::Exact, 51199, 1, 1564),
    fitted(Field::Street, Level::Near, 17226, 1, 1407),
    fitted(Field::Street, Level::Part, 21466, 73, 820),
    fitted(Field::Street, Level::Differs, 10109, 99926, -331),
    fitted(Field::Postcode, Level::Exact, 76246, 102, 955),
    fitted(Field::Postcode, Level::Near, 20851, 1298, 401),
    fitted(Field::Postcode, Level::Differs, 2904, 98600, -509),
    fitted(Field::City, Level::Exact, 68633, 105, 935),
    fitted(Field::City, Level::Near, 23608, 32, 935),
    fitted(Field::City, Level::Sounds, 185, 17, 344),
    fitted(Field::City, Level::Differs, 7574, 99846, -372),
];

/// What a household says at most, for and against: as much as the one part of it that says most. Phone, street,
/// postcode and city come and go together.
pub(super) const HOUSEHOLD: std::ops::RangeInclusive<i32> = -509..=1564;
/// What postcode and city say at most, for and against: one follows from the other.
pub(super) const PLACE: std::ops::RangeInclusive<i32> = -509..=955;

/// The weight of a level; nothing where the table has none ([`Level::Unknown`]).
pub(super) fn weight(field: Field, level: Level) -> Bits {
    WEIGHTS
        .iter()
        .find(|r| r.field == field && r.level == level)
        .map_or(Bits(0), |r| r.weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn every_weight_is_what_its_m_and_u_say() {
        let mut seen = HashSet::new();
        let mut before: HashMap<Field, i32> = HashMap::new();
        for r in WEIGHTS {
            assert!(
                seen.insert((r.field, r.level)),
                "{:?} {:?} twice",
                r.field,
                r.level
            );
            let said = (100.0 * (f64::from(r.m) / f64::from(r.u)).log2()).round();
            let most = if r.fitted {
                *before.get(&r.field).unwrap_or(&i32::MAX)
            } else {
                i32::MAX
            };
            assert_eq!(
                f64::from(r.weight.0),
                said.min(f64::from(most)),
                "{:?} {:?}",
                r.field,
                r.level
            );
            if r.fitted {
                before.insert(r.field, r.weight.0);
            }
            // Nothing says more than that the field is the same.
            let exact = weight(r.field, Level::Exact);
            assert!(
                r.weight <= exact && exact > Bits(0),
                "{:?} {:?}",
                r.field,
                r.level
            );
            assert!(r.level != Level::Unknown);
        }
        // m of the fitted levels of a field, and u, are shares of one whole.
        for field in [
            Field::National,
            Field::Birth,
            Field::Family,
            Field::Given,
            Field::Street,
            Field::Postcode,
            Field::City,
        ] {
            for part in [|r: &Weight| r.m, |r: &Weight| r.u] {
                let sum: u32 = WEIGHTS
                    .iter()
                    .filter(|r| r.fitted && r.field == field)
                    .map(part)
                    .sum();
                assert!(sum.abs_diff(100_000) <= 5, "{field:?} {sum}");
            }
        }
        let most = |fields: &[Field], of: fn(i32, i32) -> i32| {
            WEIGHTS
                .iter()
                .filter(|r| fields.contains(&r.field))
                .map(|r| r.weight.0)
                .reduce(of)
                .unwrap()
        };
        let place = [Field::Postcode, Field::City];
        let all = [Field::Postcode, Field::City, Field::Street, Field::Phone];
        assert_eq!(PLACE, most(&place, i32::min)..=most(&place, i32::max));
        assert_eq!(HOUSEHOLD, most(&all, i32::min)..=most(&all, i32::max));
    }

    #[test]
    fn bits_are_written_with_their_sign() {
        for (bits, text) in [(0, "+0.00"), (1636, "+16.36"), (-5, "-0.05"), (-509, "-5.09")] {
            assert_eq!(Bits(bits).to_string(), text);
        }
    }
}
