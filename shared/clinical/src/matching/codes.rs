//! The names of fields, levels and doubts where others read them: a code each, that is not changed.

use super::compare::{Field, Level};
use super::score::Doubt;

impl Field {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::National => "national-identifier",
            Self::Record => "record-number",
            Self::Other => "other-identifier",
            Self::Birth => "birth-date",
            Self::Family => "family",
            Self::Given => "given",
            Self::Gender => "gender",
            Self::Phone => "phone",
            Self::Street => "street",
            Self::Postcode => "postcode",
            Self::City => "city",
        }
    }
}

impl Level {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Former => "former",
            Self::Part => "part",
            Self::Nickname => "nickname",
            Self::Near => "near",
            Self::Month => "month",
            Self::Year => "year",
            Self::Swapped => "swapped",
            Self::Sounds => "sounds",
            Self::Initial => "initial",
            Self::Mixed => "mixed",
            Self::Differs => "differs",
            Self::Unknown => "unknown",
        }
    }
}

impl Doubt {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NationalDiffers => "national-differs",
            Self::BirthDiffers => "birth-differs",
            Self::GivenDiffers => "given-differs",
            Self::GivenAndGenderDiffer => "given-and-gender-differ",
            Self::MultipleBirth => "multiple-birth",
            Self::BirthUnknown => "birth-unknown",
            Self::NameUnknown => "name-unknown",
            Self::GivenUnsure => "given-unsure",
            Self::BirthUnsure => "birth-unsure",
            Self::FamilyDiffers => "family-differs",
            Self::GenderDiffers => "gender-differs",
            Self::NothingElse => "nothing-else",
            Self::OneDied => "one-died",
        }
    }
}
