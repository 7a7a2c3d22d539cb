//! Which tables of a backend know a resource: bits kept with it, so that what it meant can be taken out again without
//! looking everywhere. Called by the backends with SQL.

use crate::Extract;

/// It has identifiers.
pub const IDENTIFIERS: i64 = 1;
/// Its fact was resolved from other resources.
pub const DEPENDENCIES: i64 = 2;
/// It has a fact of its patient.
pub const FACT: i64 = 4;
/// A patient is found by its words.
pub const PERSON: i64 = 8;

/// The bits of an extract.
#[must_use]
pub fn of(extract: &Extract) -> i64 {
    let bit = |there: bool, bit: i64| if there { bit } else { 0 };
    let of_patient = extract.patient.is_some();
    bit(!extract.identifiers.is_empty(), IDENTIFIERS)
        | bit(!extract.resolved.is_empty(), DEPENDENCIES)
        | bit(of_patient && extract.fact.is_some(), FACT)
        | bit(of_patient && extract.person.is_some(), PERSON)
}
