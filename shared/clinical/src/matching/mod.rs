//! Is this the same person? Two sets of demographics in, a score with its reasons and a grade out.
//!
//! Lives here: what is compared ([`Person`]), how it is written before it is ([`Normalised`]), how far each field agrees and what that
//! weighs (Fellegi and Sunter 1969: log2(m/u) for each level, numbers in `weights`), what forbids a link whatever the
//! sum is ([`Doubt`]), the keys by which a store finds whom to compare ([`keys`]), and names for patients whom nobody
//! can name ([`alias()`]). ADR 57.
//! Never here: a store, a link or a merge: a grade is advice, and only [`Grade::Certain`] may be acted on without a person.
//! Called by whoever takes in a patient, and by the review of pairs.
//!
//! ```
//! use vitrine_clinical::{chart::PartialDate, matching::{Grade, Person, score}};
//!
//! let here = Person {
//!     family: Some("Müller".into()),
//!     given: vec!["Anna".into(), "Maria".into()],
//!     birth_date: Some(PartialDate::new("1964-03-12")),
//!     phones: vec!["+49 30 1234567".into()],
//!     ..Person::default()
//! };
//! let there = Person { family: Some("MUELLER".into()), ..here.clone() };
//! assert_eq!(score(&here, &there).grade, Grade::Certain);
//! ```

mod address;
mod alias;
mod block;
mod codes;
mod compare;
mod dates;
mod names;
mod nicknames;
mod numbers;
mod score;
mod sound;
#[cfg(test)]
mod tests;
mod texts;
mod weights;

pub use alias::{Alias, alias};
pub use block::{BlockKey, Pass, keys};
pub use compare::{Field, Level, Normalised};
pub use names::is_particle;
pub use score::{AUTO_LINK, Doubt, FieldScore, Grade, REGISTER, REVIEW, Score, score};
pub use sound::{fold, sounds};
pub use weights::{Bits, WEIGHTS, Weight};

use crate::chart::PartialDate;

/// Whose number an identifier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierKind {
    /// Of a person in a country, one for each (NHS number, CPR, AHV). Two that differ are two people, or an error.
    National,
    /// A record number of a hospital. One person may have two of one hospital: that is what is looked for.
    Record,
    /// Any other: an insurance, a passport. A family may share one.
    Other,
}

/// An identifier of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Whose number it is.
    pub kind: IdentifierKind,
    /// Namespace. Only numbers of one namespace are compared.
    pub system: String,
    /// The number, as written.
    pub value: String,
}

/// What is known of a person, as recorded; everything may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Family name in use.
    pub family: Option<String>,
    /// Family names of before (maiden and earlier ones).
    pub former: Vec<String>,
    /// Given names. Their order says nothing.
    pub given: Vec<String>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. Anything else is as if it were missing.
    pub birth_date: Option<PartialDate>,
    /// FHIR `administrative-gender`. What is neither `male` nor `female` is not compared.
    pub gender: Option<String>,
    /// Postcode.
    pub postcode: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Street and number, one line.
    pub street: Option<String>,
    /// Phone numbers, as written.
    pub phones: Vec<String>,
    /// Identifiers.
    pub identifiers: Vec<Identifier>,
    /// Known to have died.
    pub deceased: bool,
    /// Known to be one of twins or more.
    pub multiple_birth: bool,
}
