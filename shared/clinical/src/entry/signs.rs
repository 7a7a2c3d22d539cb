//! The vital signs that can be recorded at a workstation: codes, units, limits.
//!
//! Limits are those beyond which a number is a mistake of the hand or a sensor that is off: where NEWS2 has points, the same as there
//! (`news2::points`), so that what can be recorded can be scored. LOINC: the FHIR R4 vital-signs profile.

use crate::chart::Decimal;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A vital sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Breaths a minute.
    Respiration,
    /// Oxygen saturation.
    Saturation,
    /// Inhaled oxygen; 0 is room air.
    Oxygen,
    /// Heart rate.
    Pulse,
    /// Systolic blood pressure.
    Systolic,
    /// Diastolic blood pressure.
    Diastolic,
    /// Body temperature.
    Temperature,
    /// Alert, confused, voice, pain, unresponsive.
    Awareness,
    /// Glasgow coma score.
    Coma,
    /// Pain, 0 to 10.
    Pain,
}

/// What is known of a sign.
#[derive(Debug)]
pub struct SignFacts {
    /// The sign.
    pub sign: Sign,
    /// Its code in a form, as in the JSON of [`Sign`].
    pub code: &'static str,
    /// As on the card.
    pub label: &'static str,
    /// In words.
    pub words: &'static str,
    /// Unit for people; "" where it has none.
    pub unit: &'static str,
    /// Unit in UCUM; "" where it is chosen and not measured.
    pub ucum: &'static str,
    /// LOINC code and display.
    pub loinc: (&'static str, &'static str),
    /// Least and most that can be recorded; "" where it is chosen.
    pub limits: (&'static str, &'static str),
    /// Below and above this it is unusual enough to ask for a second look.
    pub usual: (&'static str, &'static str),
    /// Digits after the point at most.
    pub decimals: usize,
    /// Said beside the field, where the limits do not say enough.
    pub hint: Option<&'static str>,
}

/// What can be chosen for [`Sign::Awareness`]: code, words, SNOMED CT code and display.
pub const AWARENESS: [(&str, &str, &str, &str); 5] = [
    ("alert", "Alert", "248234008", "Mentally alert"),
    ("confused", "New confusion", "130987000", "Acute confusion"),
    ("voice", "Responds to voice", "300202002", "Responds to voice"),
    ("pain", "Responds to pain", "450847001", "Responds to pain"),
    ("unresponsive", "Unresponsive", "422768004", "Unresponsive"),
];

const fn sign(
    sign: Sign,
    code: &'static str,
    label: &'static str,
    words: &'static str,
    unit: (&'static str, &'static str),
    loinc: (&'static str, &'static str),
) -> SignFacts {
    SignFacts {
        sign,
        code,
        label,
        words,
        unit: unit.0,
        ucum: unit.1,
        loinc,
        limits: ("", ""),
        usual: ("", ""),
        decimals: 0,
        hint: None,
    }
}

impl SignFacts {
    const fn within(
        mut self,
        limits: (&'static str, &'static str),
        usual: (&'static str, &'static str),
    ) -> Self {
        self.limits = limits;
        self.usual = usual;
        self
    }
    const fn fine(mut self, decimals: usize) -> Self {
        self.decimals = decimals;
        self
    }
    const fn said(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Whether a decimal lies between two limits, both included; no limit where they are empty.
    fn between(limits: (&str, &str), d: &Decimal) -> bool {
        let beyond = |limit: &str, side: Ordering| Decimal::new(limit).is_ok_and(|l| d.value_cmp(&l) == side);
        !beyond(limits.0, Ordering::Less) && !beyond(limits.1, Ordering::Greater)
    }
    /// Whether it can be recorded.
    #[must_use]
    pub fn possible(&self, d: &Decimal) -> bool {
        Self::between(self.limits, d)
    }
    /// Whether nobody has to look twice.
    #[must_use]
    pub fn usual(&self, d: &Decimal) -> bool {
        Self::between(self.usual, d)
    }
    /// What to type.
    #[must_use]
    pub fn hint(&self) -> String {
        let range = format!("{} to {}", self.limits.0, self.limits.1);
        match (self.hint, self.limits.0) {
            (Some(hint), "") => hint.to_owned(),
            (Some(hint), _) => format!("{range}; {hint}"),
            (None, _) => range,
        }
    }
}

/// All signs in the order of the form.
pub const SIGNS: [SignFacts; 10] = [
    sign(
        Sign::Respiration,
        "respiration",
        "RR",
        "Respiratory rate",
        ("/min", "/min"),
        ("9279-1", "Respiratory rate"),
    )
    .within(("1", "80"), ("6", "60")),
    sign(
        Sign::Saturation,
        "saturation",
        "SpO2",
        "Oxygen saturation",
        ("%", "%"),
        ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
    )
    .within(("20", "100"), ("70", "100")),
    sign(
        Sign::Oxygen,
        "oxygen",
        "O2 flow",
        "Inhaled oxygen",
        ("L/min", "L/min"),
        ("3151-8", "Inhaled oxygen flow rate"),
    )
    .within(("0", "80"), ("0", "60"))
    .fine(1)
    .said("0 is room air"),
    sign(
        Sign::Pulse,
        "pulse",
        "HR",
        "Heart rate",
        ("/min", "/min"),
        ("8867-4", "Heart rate"),
    )
    .within(("10", "300"), ("30", "220")),
    sign(
        Sign::Systolic,
        "systolic",
        "SBP",
        "Systolic blood pressure",
        ("mmHg", "mm[Hg]"),
        ("8480-6", "Systolic blood pressure"),
    )
    .within(("20", "350"), ("50", "260")),
    sign(
        Sign::Diastolic,
        "diastolic",
        "DBP",
        "Diastolic blood pressure",
        ("mmHg", "mm[Hg]"),
        ("8462-4", "Diastolic blood pressure"),
    )
    .within(("10", "250"), ("20", "150")),
    sign(
        Sign::Temperature,
        "temperature",
        "Temp",
        "Temperature",
        ("°C", "Cel"),
        ("8310-5", "Body temperature"),
    )
    .within(("20", "45"), ("32", "42"))
    .fine(1),
    sign(
        Sign::Awareness,
        "awareness",
        "ACVPU",
        "Level of consciousness",
        ("", ""),
        ("67775-7", "Level of responsiveness"),
    )
    .said("choose one"),
    sign(
        Sign::Coma,
        "coma",
        "GCS",
        "Glasgow coma score, total",
        ("", "{score}"),
        ("9269-2", "Glasgow coma score total"),
    )
    .within(("3", "15"), ("3", "15")),
    sign(
        Sign::Pain,
        "pain",
        "Pain",
        "Pain",
        ("", "{score}"),
        (
            "72514-3",
            "Pain severity - 0-10 verbal numeric rating [Score] - Reported",
        ),
    )
    .within(("0", "10"), ("0", "10")),
];

impl Sign {
    /// What is known of it.
    #[must_use]
    pub fn facts(self) -> &'static SignFacts {
        // Every sign has its row; a test looks.
        const LAST: &SignFacts = &SIGNS[9];
        SIGNS.iter().find(|f| f.sign == self).unwrap_or(LAST)
    }
    /// By its code in a form.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        SIGNS.iter().find(|f| f.code == code).map(|f| f.sign)
    }
}
