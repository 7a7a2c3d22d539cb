//! Two people field by field: how far each field agrees. What that weighs is said elsewhere (`weights`).

use super::address::{Street, cities, city};
use super::dates::Born;
use super::names::{Name, Word, is_alias, words};
use super::numbers::{self, Number, phone, plain};
use super::{IdentifierKind, Person};

/// What is compared, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// National identifiers.
    National,
    /// Record numbers.
    Record,
    /// Other identifiers.
    Other,
    /// Birth date.
    Birth,
    /// Family name.
    Family,
    /// Given names.
    Given,
    /// Gender.
    Gender,
    /// Phones.
    Phone,
    /// Street and number.
    Street,
    /// Postcode.
    Postcode,
    /// City.
    City,
}

/// How far a field agrees, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The same, but for how it is written (case, diacritics, particles, gaps, order of given names).
    Exact,
    /// A former family name of one is the other's.
    Former,
    /// One of a double name, one of several given names; the street without its number.
    Part,
    /// A name and its short form, or two of one name.
    Nickname,
    /// An error or two of typing apart.
    Near,
    /// A birth date of which one record knows no day: as far as it goes, the same.
    Month,
    /// A birth date of which one record knows the year alone: the same.
    Year,
    /// Family and given name, or day and month, changed about.
    Swapped,
    /// Sounds the same.
    Sounds,
    /// One of the two is the other's first letter.
    Initial,
    /// Some words of the name are in both, and both have words that the other has not.
    Mixed,
    /// Not the same.
    Differs,
    /// Missing in one, or something that stands for "not known". Says nothing.
    Unknown,
}

impl Level {
    /// Whether a name agrees in whole or as a whole with errors.
    pub(super) const fn alike(self) -> bool {
        matches!(
            self,
            Self::Exact | Self::Part | Self::Nickname | Self::Near | Self::Sounds
        )
    }

    /// Whether what is recorded contradicts the other record.
    pub(super) const fn against(self) -> bool {
        matches!(self, Self::Differs | Self::Mixed)
    }
}

/// Numbers, phones and former names of a person that are looked at: nobody has more, and a record that says otherwise
/// must not cost more time than others.
const NUMBERS: usize = 32;
const PHONES: usize = 16;
const FORMER: usize = 8;

/// A person as compared: folded, split, coded. Made once, compared often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    pub(super) family: Option<Name>,
    former: Vec<Name>,
    pub(super) given: Option<Name>,
    pub(super) birth: Option<Born>,
    male: Option<bool>,
    pub(super) postcode: Option<String>,
    city: Option<Word>,
    pub(super) street: Option<Street>,
    pub(super) phones: Vec<String>,
    pub(super) numbers: Vec<Number>,
    pub(super) deceased: bool,
    pub(super) multiple_birth: bool,
}

impl Normalised {
    /// A person as compared. What only stands for "not known" is gone from it.
    #[must_use]
    pub fn of(person: &Person) -> Self {
        let family = person.family.as_deref().map(words).unwrap_or_default();
        let given: Vec<String> = person.given.iter().flat_map(|g| words(g)).collect();
        let named = !is_alias(&family, &given);
        let mut numbers: Vec<Number> = person.identifiers.iter().filter_map(Number::of).collect();
        numbers.sort();
        numbers.dedup();
        numbers.truncate(NUMBERS);
        Self {
            family: named.then(|| Name::family(&family)).flatten(),
            former: person
                .former
                .iter()
                .filter(|_| named)
                .take(FORMER)
                .filter_map(|f| Name::family(&words(f)))
                .collect(),
            given: named.then(|| Name::given(&given, &family)).flatten(),
            birth: person.birth_date.as_ref().and_then(|d| Born::read(d.as_str())),
            male: match person.gender.as_deref().map(str::trim) {
                Some("male") => Some(true),
                Some("female") => Some(false),
                _ => None,
            },
            postcode: person
                .postcode
                .as_deref()
                .map(plain)
                .filter(|p| p.chars().any(|c| c.is_ascii_digit() && c != '0')),
            city: person.city.as_deref().and_then(city),
            street: person.street.as_deref().and_then(Street::read),
            phones: person
                .phones
                .iter()
                .filter_map(|p| phone(p))
                .take(PHONES)
                .collect(),
            numbers,
            deceased: person.deceased,
            multiple_birth: person.multiple_birth,
        }
    }

    pub(super) fn families(&self) -> impl Iterator<Item = &Name> {
        self.family.iter().chain(&self.former)
    }
}

/// What a comparison found.
pub(super) struct Compared {
    /// Each field once, in the order of [`Field`].
    pub(super) levels: [(Field, Level); 11],
    /// Some namespace of national identifiers has one for each of both, and no common one.
    pub(super) national_differs: bool,
}

impl Compared {
    pub(super) fn level(&self, field: Field) -> Level {
        self.levels
            .iter()
            .find(|(f, _)| *f == field)
            .map_or(Level::Unknown, |(_, l)| *l)
    }
}

/// How far two fields agree where both are there.
fn both<T>(a: Option<&T>, b: Option<&T>, how: impl FnOnce(&T, &T) -> Level) -> Level {
    match (a, b) {
        (Some(a), Some(b)) => how(a, b),
        _ => Level::Unknown,
    }
}

/// Family and given name. They are taken as changed about only where neither agrees as it stands.
fn names(a: &Normalised, b: &Normalised) -> (Level, Level) {
    let mut family = both(a.family.as_ref(), b.family.as_ref(), Name::level);
    let given = both(a.given.as_ref(), b.given.as_ref(), Name::level);
    let against = |l: Level| l.against() || l == Level::Initial;
    if let (Some(af), Some(ag), Some(bf), Some(bg)) = (&a.family, &a.given, &b.family, &b.given)
        && against(family)
        && against(given)
        && af.level(bg).alike()
        && bf.level(ag).alike()
    {
        return (Level::Swapped, Level::Swapped);
    }
    let once = || {
        a.families().any(|x| {
            b.families()
                .any(|y| matches!(x.level(y), Level::Exact | Level::Near))
        })
    };
    if family.against() && once() {
        family = Level::Former;
    }
    (family, given)
}

/// Compares two people; the same whichever comes first.
pub(super) fn compare(a: &Normalised, b: &Normalised) -> Compared {
    let (family, given) = names(a, b);
    let number = |kind| numbers::level(kind, &a.numbers, &b.numbers);
    let (national, national_differs) = number(IdentifierKind::National);
    let yes_or_no = |same: bool| if same { Level::Exact } else { Level::Differs };
    let phones = if a.phones.is_empty() || b.phones.is_empty() {
        Level::Unknown
    } else {
        yes_or_no(a.phones.iter().any(|p| b.phones.contains(p)))
    };
    Compared {
        levels: [
            (Field::National, national),
            (Field::Record, number(IdentifierKind::Record).0),
            (Field::Other, number(IdentifierKind::Other).0),
            (
                Field::Birth,
                both(a.birth.as_ref(), b.birth.as_ref(), |x, y| x.level(*y)),
            ),
            (Field::Family, family),
            (Field::Given, given),
            (
                Field::Gender,
                both(a.male.as_ref(), b.male.as_ref(), |x, y| yes_or_no(x == y)),
            ),
            (Field::Phone, phones),
            (
                Field::Street,
                both(a.street.as_ref(), b.street.as_ref(), Street::level),
            ),
            (
                Field::Postcode,
                both(a.postcode.as_ref(), b.postcode.as_ref(), |x, y| {
                    numbers::postcode(x, y)
                }),
            ),
            (Field::City, both(a.city.as_ref(), b.city.as_ref(), cities)),
        ],
        national_differs,
    }
}
