//! The words in which a comparison is shown.

use super::{Doubt, Field, Grade, Level};
use crate::word;

impl Field {
    /// What is compared.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::National => word!("National identifier", "Nationale Personennummer"),
            Self::Record => word!("Record number", "Patientennummer"),
            Self::Other => word!("Other identifier", "Andere Nummer"),
            Self::Birth => word!("Birth date", "Geburtsdatum"),
            Self::Family => word!("Family name", "Nachname"),
            Self::Given => word!("Given names", "Vornamen"),
            Self::Gender => word!("Gender", "Geschlecht"),
            Self::Phone => word!("Phone", "Telefon"),
            Self::Street => word!("Street", "Straße"),
            Self::Postcode => word!("Postcode", "Postleitzahl"),
            Self::City => word!("City", "Ort"),
        }
    }
}

impl Level {
    /// How far it agrees.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Exact => word!("the same", "gleich"),
            Self::Former => word!("the same as a former name", "gleich einem früheren Namen"),
            Self::Part => word!("the same in part", "zum Teil gleich"),
            Self::Nickname => word!("a short form", "eine Kurzform"),
            Self::Near => word!("a slip apart", "bis auf ein Versehen gleich"),
            Self::Month => word!("the same month", "gleicher Monat"),
            Self::Year => word!("the same year", "gleiches Jahr"),
            Self::Swapped => word!("changed about", "vertauscht"),
            Self::Sounds => word!("sounds the same", "klingt gleich"),
            Self::Initial => word!("the same first letter", "gleicher Anfangsbuchstabe"),
            Self::Mixed => word!(
                "the same in part, and not in part",
                "zum Teil gleich, zum Teil nicht"
            ),
            Self::Differs => word!("not the same", "nicht gleich"),
            Self::Unknown => word!("not known", "nicht bekannt"),
        }
    }
}

impl Doubt {
    /// Why a person has to look.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NationalDiffers => word!(
                "National identifiers differ",
                "Nationale Personennummern weichen ab"
            ),
            Self::BirthDiffers => word!(
                "Birth dates differ: perhaps parent and child",
                "Geburtsdaten weichen ab: vielleicht Elternteil und Kind"
            ),
            Self::GivenDiffers => word!(
                "Given names differ: perhaps twins or siblings",
                "Vornamen weichen ab: vielleicht Zwillinge oder Geschwister"
            ),
            Self::GivenAndGenderDiffer => word!(
                "Given names and gender differ: perhaps twins or siblings",
                "Vornamen und Geschlecht weichen ab: vielleicht Zwillinge oder Geschwister"
            ),
            Self::MultipleBirth => word!(
                "One of a multiple birth, and the given names are not quite the same",
                "Aus einer Mehrlingsgeburt, und die Vornamen sind nicht ganz gleich"
            ),
            Self::BirthUnknown => word!("A birth date is not known", "Ein Geburtsdatum ist nicht bekannt"),
            Self::NameUnknown => word!("A name is not known", "Ein Name ist nicht bekannt"),
            Self::GivenUnsure => word!(
                "Given names are only alike, and no personal number agrees",
                "Vornamen sind nur ähnlich, und keine persönliche Nummer stimmt überein"
            ),
            Self::BirthUnsure => word!(
                "Birth dates are not quite the same, and no personal number agrees",
                "Geburtsdaten sind nicht ganz gleich, und keine persönliche Nummer stimmt überein"
            ),
            Self::FamilyDiffers => word!(
                "Family names differ, and no personal number agrees",
                "Nachnamen weichen ab, und keine persönliche Nummer stimmt überein"
            ),
            Self::GenderDiffers => word!(
                "Genders differ, and no personal number agrees",
                "Geschlecht weicht ab, und keine persönliche Nummer stimmt überein"
            ),
            Self::NothingElse => word!(
                "No identifier, phone or street agrees",
                "Weder eine Nummer noch Telefon noch Straße stimmt überein"
            ),
            Self::OneDied => word!("One of them has died", "Eine der beiden Personen ist verstorben"),
        }
    }
}

impl Grade {
    /// How sure it is.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Certain => word!("Certainly the same person", "Sicher dieselbe Person"),
            Self::Probable => word!("Probably the same person", "Wahrscheinlich dieselbe Person"),
            Self::Possible => word!("Possibly the same person", "Möglicherweise dieselbe Person"),
            Self::CertainlyNot => word!(
                "No reason to think it the same person",
                "Kein Anlass, dieselbe Person anzunehmen"
            ),
        }
    }
}
