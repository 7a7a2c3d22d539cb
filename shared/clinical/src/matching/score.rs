//! The sum, what forbids a link whatever the sum is, and the grade.

use super::Person;
use super::compare::{Compared, Field, Level, Normalised, compare};
use super::weights::{Bits, HOUSEHOLD, PLACE, weight};

/// From here on a pair without a [`Doubt`] may be linked without a person: odds of a thousand to one that it is one person,
/// in a register of a million (log2(10^6) + log2(10^3) = 29.9).
pub const AUTO_LINK: Bits = Bits(3000);
/// From here on a person should look: odds of one to 250, in a register of a million. A name alone that agrees in
/// both parts is above, a birth date alone under another name is below.
pub const REVIEW: Bits = Bits(1200);

/// FHIR R4 `match-grade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// `certain`: at [`AUTO_LINK`] or above, and no doubt. The only one that may be acted on without a person.
    Certain,
    /// `probable`: at [`AUTO_LINK`] or above, but for a doubt. For review.
    Probable,
    /// `possible`: at [`REVIEW`] or above, or something contradicts, or a personal number is the same and little else. For review.
    Possible,
    /// `certainly-not`: not worth a person's look. Two records that say nothing are here too: that they are of one
    /// person is not denied, there is no reason to think so.
    CertainlyNot,
}

/// People of the register that the thresholds are for: before anything is compared, the odds that two records are of one
/// person are one to so many.
pub const REGISTER: f64 = 1_000_000.0;

impl Score {
    /// How probable it is that the two are one person, 0 to 1: odds are 2 to the power of `total` in bits, divided by
    /// [`REGISTER`], and the probability is odds / (1 + odds). It is of the weights alone: a [`Doubt`] lowers the
    /// grade and not this.
    #[must_use]
    pub fn probability(&self) -> f64 {
        let odds = (f64::from(self.total.0) / 100.0).exp2() / REGISTER;
        odds / (1.0 + odds)
    }
}

impl Grade {
    /// The code of <http://terminology.hl7.org/CodeSystem/match-grade>.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Probable => "probable",
            Self::Possible => "possible",
            Self::CertainlyNot => "certainly-not",
        }
    }
}

/// Why a pair is not [`Grade::Certain`] however high its sum. "A personal number" is a national identifier or a record number
/// that is the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// National identifiers differ.
    NationalDiffers,
    /// Birth dates differ by more than a slip: father and son of one name.
    BirthDiffers,
    /// Given names differ: twins, siblings.
    GivenDiffers,
    /// Given name and gender differ: twins.
    GivenAndGenderDiffer,
    /// One is known to be of a multiple birth, and the given names are not the same to the letter.
    MultipleBirth,
    /// A birth date is missing, or stands for "not known".
    BirthUnknown,
    /// A family or given name is missing, or stands for "not known".
    NameUnknown,
    /// Given names are only alike, or changed about with the family name, and no personal number agrees (`Marco`, `Mario`).
    GivenUnsure,
    /// Birth dates agree only in part, or but for a slip, and no personal number agrees.
    BirthUnsure,
    /// Family names differ, and no personal number agrees.
    FamilyDiffers,
    /// Genders differ, and no personal number agrees.
    GenderDiffers,
    /// Name and birth date agree, and nothing else: no identifier, no phone, no street.
    NothingElse,
    /// One is known to have died, the other is not.
    OneDied,
}

impl Doubt {
    /// The best grade that is left.
    const fn at_best(self) -> Grade {
        match self {
            Self::BirthDiffers | Self::GivenDiffers | Self::GivenAndGenderDiffer | Self::MultipleBirth => {
                Grade::Possible
            }
            _ => Grade::Probable,
        }
    }
}

/// What one field adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldScore {
    /// The field.
    pub field: Field,
    /// How far it agrees.
    pub level: Level,
    /// What it adds to the sum. Less than it weighs by itself where others of its household have said as much.
    pub weight: Bits,
}

/// A score with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Sum of the weights.
    pub total: Bits,
    /// Every field, in the order of [`Field`]: added one after the other they come to `total`.
    pub fields: Vec<FieldScore>,
    /// What speaks against a link without a person, whatever the sum; each once.
    pub doubts: Vec<Doubt>,
    /// What follows.
    pub grade: Grade,
}

/// Whether two records are of one person. The same whichever comes first.
#[must_use]
pub fn score(a: &Person, b: &Person) -> Score {
    Normalised::of(a).score(&Normalised::of(b))
}

impl Normalised {
    /// Whether two records are of one person. The same whichever comes first.
    #[must_use]
    pub fn score(&self, other: &Self) -> Score {
        let compared = compare(self, other);
        let fields = waterfall(&compared);
        let total = Bits(fields.iter().map(|f| f.weight.0).sum());
        let doubts = doubts(&compared, self, other);
        let by_sum = if total >= AUTO_LINK {
            Grade::Certain
        } else if total >= REVIEW || number(&compared) {
            Grade::Possible
        } else {
            Grade::CertainlyNot
        };
        Score {
            grade: doubts.iter().map(|d| d.at_best()).fold(by_sum, Grade::max),
            total,
            fields,
            doubts,
        }
    }
}

/// Keeps a growing sum within bounds: what a further weight adds is what the bounded sum grows by.
struct Bounded {
    sum: i32,
    within: std::ops::RangeInclusive<i32>,
}

impl Bounded {
    const fn new(within: std::ops::RangeInclusive<i32>) -> Self {
        Self { sum: 0, within }
    }

    fn add(&mut self, weight: i32) -> i32 {
        let bounded = |n: i32| n.clamp(*self.within.start(), *self.within.end());
        let before = bounded(self.sum);
        let after = bounded(self.sum + weight);
        self.sum += weight;
        after - before
    }
}

fn waterfall(compared: &Compared) -> Vec<FieldScore> {
    let (mut household, mut place) = (Bounded::new(HOUSEHOLD), Bounded::new(PLACE));
    compared
        .levels
        .iter()
        .map(|&(field, level)| {
            let own = weight(field, level).0;
            let adds = match field {
                Field::Phone | Field::Street => household.add(own),
                Field::Postcode | Field::City => household.add(place.add(own)),
                _ => own,
            };
            FieldScore {
                field,
                level,
                weight: Bits(adds),
            }
        })
        .collect()
}

/// Whether a personal number agrees. One number on records of two people is worth a look by itself.
fn number(compared: &Compared) -> bool {
    [Field::National, Field::Record]
        .iter()
        .any(|f| compared.level(*f) == Level::Exact)
}

fn doubts(compared: &Compared, a: &Normalised, b: &Normalised) -> Vec<Doubt> {
    let level = |field| compared.level(field);
    let (birth, family, given) = (level(Field::Birth), level(Field::Family), level(Field::Given));
    let same = |field| level(field) == Level::Exact;
    let number = number(compared);
    let something_else = number
        || same(Field::Other)
        || same(Field::Phone)
        || matches!(level(Field::Street), Level::Exact | Level::Near);
    let gender_differs = level(Field::Gender) == Level::Differs;
    let given_sure = matches!(given, Level::Exact | Level::Part | Level::Nickname);
    let unknown = |l: Level| l == Level::Unknown;
    let none = unknown(birth) && unknown(family) && unknown(given);
    let each = [
        (Doubt::NationalDiffers, compared.national_differs),
        (Doubt::BirthDiffers, birth == Level::Differs),
        (Doubt::GivenDiffers, given.against() && !gender_differs),
        (Doubt::GivenAndGenderDiffer, given.against() && gender_differs),
        (
            Doubt::MultipleBirth,
            (a.multiple_birth || b.multiple_birth) && !same(Field::Given),
        ),
        (Doubt::BirthUnknown, unknown(birth)),
        (Doubt::NameUnknown, unknown(family) || unknown(given)),
        (
            Doubt::GivenUnsure,
            !(number || given_sure || given.against() || unknown(given)),
        ),
        (
            Doubt::BirthUnsure,
            !(number || matches!(birth, Level::Exact | Level::Differs | Level::Unknown)),
        ),
        (Doubt::FamilyDiffers, family.against() && !number),
        (
            Doubt::GenderDiffers,
            gender_differs && !given.against() && !number,
        ),
        (Doubt::NothingElse, !something_else && !none),
        (Doubt::OneDied, a.deceased != b.deceased),
    ];
    each.into_iter().filter(|(_, is)| *is).map(|(d, _)| d).collect()
}
