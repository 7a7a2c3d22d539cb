//! The vital signs that can be recorded at a workstation: codes, units, limits.
//!
//! Limits are those beyond which a number is a mistake of the hand or a sensor that is off: where NEWS2 has points, the same as there
//! (`news2::points`), so that what can be recorded can be scored. LOINC: the FHIR R4 vital-signs profile.

use crate::card::shown;
use crate::chart::Decimal;
use crate::{say, word};
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

/// Words that are said in the language that is spoken when they are asked for.
type Says = fn() -> &'static str;

/// A name in English, and as it is said.
macro_rules! named {
    ($en:literal, $de:literal) => {
        ($en, || word!($en, $de))
    };
}

/// What is known of a sign. What is shown of it are [`SignFacts::label`], [`SignFacts::words`] and [`SignFacts::hint`].
#[derive(Debug)]
pub struct SignFacts {
    /// The sign.
    pub sign: Sign,
    /// Its code in a form, as in the JSON of [`Sign`].
    pub code: &'static str,
    /// As a card keeps it, in English.
    pub label: &'static str,
    /// In English words.
    pub words: &'static str,
    says: Says,
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
    hint: Option<Says>,
}

/// What can be chosen for [`Sign::Awareness`]: code, words as the record has them, SNOMED CT code and display. Shown is
/// [`awareness_text`].
pub const AWARENESS: [(&str, &str, &str, &str); 5] = [
    ("alert", "Alert", "248234008", "Mentally alert"),
    ("confused", "New confusion", "130987000", "Acute confusion"),
    ("voice", "Responds to voice", "300202002", "Responds to voice"),
    ("pain", "Responds to pain", "450847001", "Responds to pain"),
    ("unresponsive", "Unresponsive", "422768004", "Unresponsive"),
];

/// What can be chosen for [`Sign::Awareness`], in words; a code that is none of them as it is.
#[must_use]
pub fn awareness_text(code: &str) -> &str {
    match code {
        "alert" => word!("Alert", "Wach"),
        "confused" => word!("New confusion", "Neu aufgetretene Verwirrtheit"),
        "voice" => word!("Responds to voice", "Reagiert auf Ansprache"),
        "pain" => word!("Responds to pain", "Reagiert auf Schmerzreiz"),
        "unresponsive" => word!("Unresponsive", "Keine Reaktion"),
        other => other,
    }
}

const fn sign(
    sign: Sign,
    code: &'static str,
    label: &'static str,
    (words, says): (&'static str, Says),
    unit: (&'static str, &'static str),
    loinc: (&'static str, &'static str),
) -> SignFacts {
    SignFacts {
        sign,
        code,
        label,
        words,
        says,
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
    const fn said(mut self, hint: Says) -> Self {
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
    /// As on the card, as it is read.
    #[must_use]
    pub fn label(&self) -> &'static str {
        shown::label(self.label)
    }
    /// In words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        (self.says)()
    }
    /// What to type.
    #[must_use]
    pub fn hint(&self) -> String {
        let (least, most) = self.limits;
        let range = say!("{least} to {most}", "{least} bis {most}");
        match (self.hint.map(|says| says()), least) {
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
        named!("Respiratory rate", "Atemfrequenz"),
        ("/min", "/min"),
        ("9279-1", "Respiratory rate"),
    )
    .within(("1", "80"), ("6", "60")),
    sign(
        Sign::Saturation,
        "saturation",
        "SpO2",
        named!("Oxygen saturation", "Sauerstoffsättigung"),
        ("%", "%"),
        ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
    )
    .within(("20", "100"), ("70", "100")),
    sign(
        Sign::Oxygen,
        "oxygen",
        "O2 flow",
        named!("Inhaled oxygen", "Sauerstoffgabe"),
        ("L/min", "L/min"),
        ("3151-8", "Inhaled oxygen flow rate"),
    )
    .within(("0", "80"), ("0", "60"))
    .fine(1)
    .said(|| word!("0 is room air", "0 ist Raumluft")),
    sign(
        Sign::Pulse,
        "pulse",
        "HR",
        named!("Heart rate", "Herzfrequenz"),
        ("/min", "/min"),
        ("8867-4", "Heart rate"),
    )
    .within(("10", "300"), ("30", "220")),
    sign(
        Sign::Systolic,
        "systolic",
        "SBP",
        named!("Systolic blood pressure", "Systolischer Blutdruck"),
        ("mmHg", "mm[Hg]"),
        ("8480-6", "Systolic blood pressure"),
    )
    .within(("20", "350"), ("50", "260")),
    sign(
        Sign::Diastolic,
        "diastolic",
        "DBP",
        named!("Diastolic blood pressure", "Diastolischer Blutdruck"),
        ("mmHg", "mm[Hg]"),
        ("8462-4", "Diastolic blood pressure"),
    )
    .within(("10", "250"), ("20", "150")),
    sign(
        Sign::Temperature,
        "temperature",
        "Temp",
        named!("Temperature", "Temperatur"),
        ("°C", "Cel"),
        ("8310-5", "Body temperature"),
    )
    .within(("20", "45"), ("32", "42"))
    .fine(1),
    sign(
        Sign::Awareness,
        "awareness",
        "ACVPU",
        named!("Level of consciousness", "Bewusstseinslage"),
        ("", ""),
        ("67775-7", "Level of responsiveness"),
    )
    .said(|| word!("choose one", "eines auswählen")),
    sign(
        Sign::Coma,
        "coma",
        "GCS",
        named!("Glasgow coma score, total", "Glasgow Coma Scale, gesamt"),
        ("", "{score}"),
        ("9269-2", "Glasgow coma score total"),
    )
    .within(("3", "15"), ("3", "15")),
    sign(
        Sign::Pain,
        "pain",
        "Pain",
        named!("Pain", "Schmerz"),
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
