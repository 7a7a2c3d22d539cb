//! Security labels: how confidential a resource or a person's whole record is.
//!
//! Lives here: the levels and codes that are told apart, and what each code asks for at least. Never here: who may see
//! what (that is the policy), reading them out of a resource's bytes. Called by the policy, the card, the stores.
//!
//! Sources: HL7 v3 Confidentiality (`U L M N R V`) and v3 ActCode, value set InformationSensitivityPolicy.

use serde::{Deserialize, Serialize};

/// Code system of the levels.
pub const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
/// Code system of the sensitivity codes.
pub const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// How confidential something is. Ordered: what is greater asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Confidentiality {
    /// `U`, `L`, `M`, `N`, or no label: as confidential as every record.
    #[default]
    #[serde(rename = "N")]
    Normal,
    /// `R`: for whoever cares for the patient.
    #[serde(rename = "R")]
    Restricted,
    /// `V`: for the roles that the policy lists, and for emergencies.
    #[serde(rename = "V")]
    VeryRestricted,
}

impl Confidentiality {
    /// All, the least confidential first.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Restricted, Self::VeryRestricted];

    /// The code, e.g. `R`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Normal => "N",
            Self::Restricted => "R",
            Self::VeryRestricted => "V",
        }
    }
}

use Confidentiality::{Restricted, VeryRestricted};

/// The sensitivity codes that are told apart, and what each asks for where no level says more.
const CODES: [(&str, Confidentiality); 24] = [
    ("ADOL", Restricted),
    ("BH", Restricted),
    ("CEL", Restricted),
    ("COGN", Restricted),
    ("DVD", Restricted),
    ("EMOTDIS", Restricted),
    ("ETH", Restricted),
    ("ETHUD", Restricted),
    ("GDIS", Restricted),
    ("HIV", Restricted),
    ("MH", Restricted),
    ("MST", Restricted),
    ("OPIOIDUD", Restricted),
    ("PSY", Restricted),
    ("PSYTHPN", VeryRestricted),
    ("SCA", Restricted),
    ("SDV", Restricted),
    ("SEX", Restricted),
    ("SICKLE", Restricted),
    ("STD", Restricted),
    ("SUD", Restricted),
    ("TBOO", Restricted),
    ("VIO", Restricted),
    ("VIP", Restricted),
];

/// What a resource is labelled with: a level, and the sensitivity codes known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Label {
    level: Confidentiality,
    codes: u32,
}

impl Label {
    /// No label.
    pub const NONE: Self = Self {
        level: Confidentiality::Normal,
        codes: 0,
    };
    /// What cannot be read is taken for the most confidential there is.
    pub const UNREADABLE: Self = Self::of(Confidentiality::VeryRestricted);

    /// A level alone.
    #[must_use]
    pub const fn of(level: Confidentiality) -> Self {
        Self { level, codes: 0 }
    }
    /// The level, at least what every code of it asks for.
    #[must_use]
    pub const fn level(self) -> Confidentiality {
        self.level
    }
    /// True when nothing asks for more than usual.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.codes == 0 && matches!(self.level, Confidentiality::Normal)
    }
    /// The sensitivity codes, by name.
    pub fn codes(self) -> impl Iterator<Item = &'static str> {
        CODES
            .iter()
            .enumerate()
            .filter(move |(i, _)| self.codes & (1 << i) != 0)
            .map(|(_, (code, _))| *code)
    }
    /// Takes in a coding of `meta.security`. A system that is absent counts as both: a label is never lost for want of
    /// its system. A level that is not known is the most confidential; every other code says nothing here.
    #[must_use]
    pub fn with(mut self, system: Option<&str>, code: &str) -> Self {
        let is = |names: [&str; 2]| system.is_none_or(|s| s.is_empty() || names.contains(&s));
        if is([CONFIDENTIALITY, "http://hl7.org/fhir/v3/Confidentiality"]) {
            let level = match code {
                "U" | "L" | "M" | "N" => Some(Confidentiality::Normal),
                "R" => Some(Restricted),
                "V" => Some(VeryRestricted),
                _ => system.filter(|s| !s.is_empty()).map(|_| VeryRestricted),
            };
            self.level = self.level.max(level.unwrap_or_default());
        }
        if is([ACT_CODE, "http://hl7.org/fhir/v3/ActCode"])
            && let Some((i, (_, level))) = CODES.iter().enumerate().find(|(_, (c, _))| *c == code)
        {
            self.codes |= 1 << i;
            self.level = self.level.max(*level);
        }
        self
    }
    /// As codings, `(system, code)`: the level where it is not the usual one, then the codes.
    pub fn codings(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let level = Some((CONFIDENTIALITY, self.level.code())).filter(|_| !self.is_none());
        level.into_iter().chain(self.codes().map(|c| (ACT_CODE, c)))
    }
    /// The stricter of two, with the codes of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            level: self.level.max(other.level),
            codes: self.codes | other.codes,
        }
    }
}

impl From<Vec<String>> for Label {
    fn from(codes: Vec<String>) -> Self {
        let known = |c: &str| ["N", "R", "V"].contains(&c) || CODES.iter().any(|(k, _)| *k == c);
        let one = |label: Self, c: &String| match known(c) {
            true => label.with(None, c),
            // Written by a program that tells more apart.
            false => label.and(Self::UNREADABLE),
        };
        codes.iter().fold(Self::NONE, one)
    }
}
impl From<Label> for Vec<String> {
    fn from(label: Label) -> Self {
        std::iter::once(label.level.code())
            .chain(label.codes())
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_strictest_of_its_codes() {
        let none = Label::NONE;
        assert!(none.with(Some(CONFIDENTIALITY), "N").is_none());
        assert_eq!(none.with(Some(CONFIDENTIALITY), "R").level(), Restricted);
        let both = none.with(Some(CONFIDENTIALITY), "V").with(Some(ACT_CODE), "PSY");
        assert_eq!(both.level(), VeryRestricted);
        assert_eq!(both.codes().collect::<Vec<_>>(), ["PSY"]);
        assert_eq!(none.with(Some(ACT_CODE), "HIV").level(), Restricted);
        assert_eq!(none.with(Some(ACT_CODE), "PSYTHPN").level(), VeryRestricted);
        // A code means something in its own system alone.
        assert!(none.with(Some(ACT_CODE), "V").is_none());
        assert!(none.with(Some("urn:other"), "R").is_none());
        assert_eq!(none.with(None, "R").level(), Restricted);
        assert_eq!(none.with(Some(""), "VIP").level(), Restricted);
        assert_eq!(none.with(Some(CONFIDENTIALITY), "Q").level(), VeryRestricted);
        assert!(none.with(None, "HTEST").is_none());
    }

    #[test]
    fn what_is_written_is_read_again_and_what_is_not_known_is_very_restricted() {
        let label = Label::of(Restricted).with(None, "ETH").with(None, "VIP");
        let text = serde_json::to_string(&label).unwrap();
        assert_eq!(text, r#"["R","ETH","VIP"]"#);
        assert_eq!(serde_json::from_str::<Label>(&text).unwrap(), label);
        let later: Label = serde_json::from_str(r#"["R","NEW"]"#).unwrap();
        assert_eq!(later.level(), VeryRestricted);
    }
}
