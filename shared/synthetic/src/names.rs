//! Names that belong to nobody: generic given names, generic and invented family names, many writings.
//!
//! Short names, diacritics, apostrophes, hyphens and very long names are here on purpose: they break searches,
//! layouts and sorts. No list of real persons was used. Called by `story` and `facility`.

use crate::rng::Rng;

/// A person's name as a Patient resource states it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PersonName {
    /// Family name; empty where the record has only `text`.
    pub(crate) family: String,
    /// Given names in order.
    pub(crate) given: Vec<String>,
    /// Title, may be empty.
    pub(crate) prefix: &'static str,
    /// Set where the record has a name as text alone.
    pub(crate) text: &'static str,
}

impl PersonName {
    /// A name from its parts.
    pub(crate) fn of(prefix: &'static str, given: &[&str], family: &str) -> Self {
        Self {
            family: family.to_owned(),
            given: given.iter().map(|&g| g.to_owned()).collect(),
            prefix,
            text: "",
        }
    }

    /// `Given Family`, or the text.
    pub(crate) fn spoken(&self) -> String {
        if !self.text.is_empty() {
            return self.text.to_owned();
        }
        let mut out = self.given.join(" ");
        if !out.is_empty() && !self.family.is_empty() {
            out.push(' ');
        }
        out.push_str(&self.family);
        out
    }
}

const GIVEN_FEMALE: &[&str] = &[
    "Ada",
    "Aiko",
    "Aïcha",
    "Amara",
    "Ana",
    "Anneliese",
    "Aroha",
    "Ayşe",
    "Bea",
    "Bronwyn",
    "Chidinma",
    "Chloë",
    "Dunja",
    "Eilidh",
    "Elif",
    "Fatou",
    "Freya",
    "Giulia",
    "Hana",
    "Hye-jin",
    "Ines",
    "Ioana",
    "Jana",
    "Joan",
    "Kaja",
    "Keziah",
    "Leilani",
    "Li",
    "Lærke",
    "Mai",
    "Małgorzata",
    "Marie-Ève",
    "Mei",
    "Mirembe",
    "Nadia",
    "Ngozi",
    "Noor",
    "Oi",
    "Paloma",
    "Priya",
    "Quynh",
    "Renée",
    "Rut",
    "Saoirse",
    "Sofía",
    "Tala",
    "Thandiwe",
    "Uma",
    "Vesna",
    "Wanjiru",
    "Xochitl",
    "Yu",
    "Zeynep",
    "Zoë",
    "Šárka",
    "Þóra",
];

const GIVEN_MALE: &[&str] = &[
    "Abdou", "Adrián", "Aki", "Anand", "Arne", "Baraka", "Bo", "Bogdan", "Ciarán", "Cyrus", "D'Andre",
    "Dmytro", "Ed", "Emeka", "Enzo", "Farid", "Filip", "Goran", "Göran", "Hamza", "Hiro", "Ian", "Ivo",
    "Jae-won", "João", "Juma", "Kofi", "Kwame", "Lars", "Luca", "Ma'alik", "Mikołaj", "Minh", "Nils",
    "Øystein", "Obinna", "Pedro", "Rafał", "Ravi", "Rory", "Sam", "Sione", "Søren", "Stellan", "Tamati",
    "Tomás", "Ty", "Udo", "Víctor", "Wei", "Xavi", "Yaw", "Yusuf", "Zoltán", "Želimir",
];

const GIVEN_NEUTRAL: &[&str] = &[
    "Alex", "An", "Ariel", "Ash", "Ji", "Kai", "Kim", "Noa", "Remy", "Rin", "Robin", "Sasha", "Sky",
    "Taylor", "Yuki",
];

const FAMILY: &[&str] = &[
    "Abara",
    "Åberg",
    "Adeyinka",
    "Al-Masri",
    "Andersson",
    "Aydın",
    "Bakshi",
    "Barros",
    "Belmonte",
    "Boateng",
    "Bø",
    "Çelik",
    "Chandra",
    "Cho",
    "Cruz",
    "D'Amato",
    "Da Silva",
    "De la Cruz",
    "Dębski",
    "Diallo",
    "Diaz",
    "Đặng",
    "Eze",
    "Fa'asavalu",
    "Fernández-Ruiz",
    "Fox",
    "Fujita",
    "García",
    "Gunnarsdóttir",
    "Hà",
    "Haddad",
    "Hale-Morrow",
    "Hernández",
    "Ho",
    "Horváth",
    "Iyer",
    "Jansen",
    "Järvinen",
    "Jones",
    "Kamau",
    "Kaur",
    "Khan",
    "Kowalczyk",
    "Kruger",
    "Kūmara",
    "Le",
    "Lee",
    "Li",
    "Łęcki",
    "Mac an Bhaird",
    "Marlow",
    "Mbeki-Stone",
    "Mendes",
    "Moreau",
    "Müller",
    "Murphy",
    "N'Diaye",
    "Nakamura",
    "Ng",
    "Nguyễn",
    "Njoroge",
    "Novák",
    "Nowak",
    "O'Brannigan",
    "O'Marrow",
    "Okafor",
    "Oh",
    "Ó Súilleabháin",
    "Papadaki",
    "Park",
    "Patel",
    "Pereira",
    "Petrov",
    "Pham",
    "Quispe",
    "Rahman",
    "Rossi",
    "Ruiz",
    "Saint-Clair",
    "Sato",
    "Şahin",
    "Schäfer",
    "Sharma",
    "Silva",
    "Singh",
    "Smith",
    "Smyth",
    "Søndergaard",
    "Suzuki",
    "Szabó",
    "Tan",
    "Te Awa",
    "Tran",
    "Tshabalala",
    "U",
    "Van der Merwe",
    "Vu",
    "Weiß",
    "Wu",
    "Xu",
    "Yılmaz",
    "Zhao",
    "Zieliński",
    "Ümit",
];

const HEAD: &[&str] = &[
    "Ask", "Bar", "Bre", "Cal", "Dal", "Dov", "Esk", "Fal", "Gar", "Hol", "Ist", "Jor", "Kor", "Lin", "Mel",
    "Nev", "Osk", "Per", "Ria", "Sul", "Tam", "Ula", "Vor", "Wen", "Yar", "Zan",
];
const HEART: &[&str] = &[
    "a", "e", "i", "o", "u", "an", "ave", "ebo", "el", "in", "is", "or",
];
const TAIL: &[&str] = &[
    "aki", "berg", "dale", "ene", "ford", "ian", "kar", "mura", "ndez", "ndo", "oglu", "ova", "quist",
    "shan", "ski", "son", "tham", "wala", "wen", "zè",
];

/// Which list a given name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    Female,
    Male,
    Neutral,
}

/// A name drawn from the lists: two thirds of the family names are invented, one in nine is double-barrelled.
pub(crate) fn draw(rng: &mut Rng, kind: Given) -> PersonName {
    let mut given = vec![given(rng, kind).to_owned()];
    if rng.chance(28) {
        given.push(self::given(rng, kind).to_owned());
    }
    let mut family = family(rng);
    if rng.chance(11) {
        family = format!("{family}-{}", self::family(rng));
    }
    let prefix = match kind {
        Given::Female => rng.word(&["Ms", "Mrs", "Ms", "", "Dr"]),
        Given::Male => rng.word(&["Mr", "Mr", "Mr", "", "Dr"]),
        Given::Neutral => rng.word(&["Mx", "", ""]),
    };
    PersonName {
        family,
        given,
        prefix,
        text: "",
    }
}

fn given(rng: &mut Rng, kind: Given) -> &'static str {
    match kind {
        Given::Female => rng.word(GIVEN_FEMALE),
        Given::Male => rng.word(GIVEN_MALE),
        Given::Neutral => rng.word(GIVEN_NEUTRAL),
    }
}

fn family(rng: &mut Rng) -> String {
    if rng.chance(33) {
        return rng.word(FAMILY).to_owned();
    }
    let (head, heart, tail) = (rng.word(HEAD), rng.word(HEART), rng.word(TAIL));
    format!("{head}{heart}{tail}")
}
