//! What is measured: laboratory tests with their limits, and the vital signs.
//!
//! LOINC codes and names (LOINC is copyright Regenstrief Institute, used under its licence). Limits are those of the
//! synthetic hospital: plausible adult SI ranges, no policy for anybody. Called by `problems`, `story`, the writers.

/// A laboratory test. Values, limits and spread are integers in units of the last decimal: K 6.1 is 61 at 1 place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lab {
    pub(crate) loinc: &'static str,
    pub(crate) name: &'static str,
    /// Suffix of the resource id.
    pub(crate) key: &'static str,
    /// What the ward calls it.
    pub(crate) said: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ucum: &'static str,
    pub(crate) places: usize,
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// At or below: LL.
    pub(crate) critical_low: i64,
    /// At or above: HH.
    pub(crate) critical_high: i64,
    /// A healthy value.
    pub(crate) usual: i64,
    /// How far healthy values scatter.
    pub(crate) spread: i64,
}

impl Lab {
    /// v3 ObservationInterpretation of a value.
    pub(crate) const fn interpret(&self, value: i64) -> &'static str {
        if value <= self.critical_low {
            "LL"
        } else if value >= self.critical_high {
            "HH"
        } else if value < self.low {
            "L"
        } else if value > self.high {
            "H"
        } else {
            "N"
        }
    }
}

const NEVER: i64 = i64::MAX;

macro_rules! labs {
    ($($id:ident = $loinc:literal $name:literal $key:literal $said:literal $unit:literal $ucum:literal $places:literal
       [$low:expr, $high:expr] crit [$cl:expr, $ch:expr] usual $usual:literal spread $spread:literal;)*) => {
        $(pub(crate) static $id: Lab = Lab {
            loinc: $loinc, name: $name, key: $key, said: $said, unit: $unit, ucum: $ucum, places: $places,
            low: $low, high: $high, critical_low: $cl, critical_high: $ch, usual: $usual, spread: $spread,
        };)*
        /// Every test.
        #[cfg(test)]
        pub(crate) static LABS: &[&Lab] = &[$(&$id),*];
    };
}

labs! {
    SODIUM = "2951-2" "Sodium [Moles/volume] in Serum or Plasma" "na" "Sodium" "mmol/L" "mmol/L" 0 [135, 145] crit [120, 160] usual 140 spread 3;
    K = "2823-3" "Potassium [Moles/volume] in Serum or Plasma" "k" "Potassium" "mmol/L" "mmol/L" 1 [35, 51] crit [27, 60] usual 42 spread 4;
    CHLORIDE = "2075-0" "Chloride [Moles/volume] in Serum or Plasma" "cl" "Chloride" "mmol/L" "mmol/L" 0 [98, 107] crit [80, 125] usual 102 spread 3;
    UREA = "14937-7" "Urea nitrogen [Moles/volume] in Serum or Plasma" "urea" "Urea" "mmol/L" "mmol/L" 1 [25, 78] crit [-1, 400] usual 52 spread 14;
    CREATININE = "14682-9" "Creatinine [Moles/volume] in Serum or Plasma" "cr" "Creatinine" "umol/L" "umol/L" 0 [49, 104] crit [-1, 600] usual 78 spread 14;
    GLUCOSE = "14749-6" "Glucose [Moles/volume] in Serum or Plasma" "glu" "Glucose" "mmol/L" "mmol/L" 1 [39, 78] crit [25, 250] usual 56 spread 9;
    MAGNESIUM = "2601-3" "Magnesium [Moles/volume] in Serum or Plasma" "mg" "Magnesium" "mmol/L" "mmol/L" 2 [70, 105] crit [40, 200] usual 85 spread 8;
    HB = "718-7" "Hemoglobin [Mass/volume] in Blood" "hb" "Haemoglobin" "g/L" "g/L" 0 [120, 160] crit [65, 220] usual 138 spread 10;
    WBC = "6690-2" "Leukocytes [#/volume] in Blood by Automated count" "wbc" "White cells" "10*9/L" "10*9/L" 1 [40, 110] crit [10, 500] usual 72 spread 18;
    PLATELETS = "777-3" "Platelets [#/volume] in Blood by Automated count" "plt" "Platelets" "10*9/L" "10*9/L" 0 [150, 400] crit [20, 1000] usual 250 spread 50;
    INR = "6301-6" "INR in Platelet poor plasma by Coagulation assay" "inr" "INR" "{INR}" "{INR}" 1 [8, 12] crit [-1, 50] usual 10 spread 1;
    LACTATE = "2524-7" "Lactate [Moles/volume] in Serum or Plasma" "lac" "Lactate" "mmol/L" "mmol/L" 1 [5, 20] crit [-1, 40] usual 11 spread 4;
    TROPONIN = "89579-7" "Troponin I.cardiac [Mass/volume] in Serum or Plasma by High sensitivity method" "tni" "Troponin I, high sensitivity" "ng/L" "ng/L" 0 [0, 34] crit [-1, 120] usual 6 spread 4;
    CRP = "1988-5" "C reactive protein [Mass/volume] in Serum or Plasma" "crp" "C-reactive protein" "mg/L" "mg/L" 0 [0, 10] crit [-1, NEVER] usual 4 spread 3;
    ALT = "1742-6" "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma" "alt" "ALT" "U/L" "U/L" 0 [7, 45] crit [-1, 1000] usual 24 spread 10;
    BILIRUBIN = "14631-6" "Bilirubin.total [Moles/volume] in Serum or Plasma" "bil" "Bilirubin, total" "umol/L" "umol/L" 0 [3, 21] crit [-1, 250] usual 10 spread 4;
    DIGOXIN_LEVEL = "10535-3" "Digoxin [Mass/volume] in Serum or Plasma" "dig" "Digoxin level" "ng/mL" "ng/mL" 1 [5, 9] crit [-1, 25] usual 7 spread 1;
    PH = "2744-1" "pH of Arterial blood" "ph" "pH, arterial" "[pH]" "[pH]" 2 [735, 745] crit [720, 760] usual 740 spread 2;
    PCO2 = "2019-8" "Carbon dioxide [Partial pressure] in Arterial blood" "pco2" "pCO2, arterial" "mm[Hg]" "mm[Hg]" 0 [35, 45] crit [19, 70] usual 40 spread 3;
    PO2 = "2703-7" "Oxygen [Partial pressure] in Arterial blood" "po2" "pO2, arterial" "mm[Hg]" "mm[Hg]" 0 [80, 100] crit [40, NEVER] usual 90 spread 7;
    BICARBONATE = "1960-4" "Bicarbonate [Moles/volume] in Arterial blood" "hco3" "Bicarbonate, arterial" "mmol/L" "mmol/L" 0 [22, 26] crit [10, 40] usual 24 spread 1;
}

/// A panel: the tests drawn and reported together.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) key: &'static str,
    pub(crate) loinc: &'static str,
    pub(crate) name: &'static str,
    pub(crate) said: &'static str,
    pub(crate) tests: &'static [&'static Lab],
}

pub(crate) static CHEMISTRY: Panel = Panel {
    key: "chem",
    loinc: "24321-2",
    name: "Basic metabolic 2000 panel - Serum or Plasma",
    said: "Chemistry",
    tests: &[&SODIUM, &K, &CHLORIDE, &UREA, &CREATININE, &GLUCOSE],
};
pub(crate) static BLOOD_COUNT: Panel = Panel {
    key: "cbc",
    loinc: "58410-2",
    name: "CBC panel - Blood by Automated count",
    said: "Blood count",
    tests: &[&HB, &WBC, &PLATELETS],
};
pub(crate) static BLOOD_GAS: Panel = Panel {
    key: "abg",
    loinc: "24336-0",
    name: "Gas panel - Arterial blood",
    said: "Arterial blood gas",
    tests: &[&PH, &PCO2, &PO2, &BICARBONATE],
};

/// The vital signs of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Beats per minute.
    pub(crate) pulse: i64,
    /// mmHg.
    pub(crate) systolic: i64,
    /// mmHg.
    pub(crate) diastolic: i64,
    /// Breaths per minute.
    pub(crate) breaths: i64,
    /// Per cent.
    pub(crate) saturation: i64,
    /// Tenths of a degree Celsius.
    pub(crate) temperature: i64,
    /// Litres per minute of oxygen; 0 on air.
    pub(crate) oxygen: i64,
    /// One of `A` `C` `V` `P` `U`.
    pub(crate) awareness: char,
}

/// A healthy adult at rest.
pub(crate) static WELL: Vitals = Vitals {
    pulse: 76,
    systolic: 126,
    diastolic: 74,
    breaths: 15,
    saturation: 98,
    temperature: 368,
    oxygen: 0,
    awareness: 'A',
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_order() {
        let mut keys = std::collections::HashSet::new();
        for lab in LABS {
            assert!(
                lab.critical_low < lab.low && lab.low < lab.high && lab.high < lab.critical_high,
                "{}",
                lab.name
            );
            assert_eq!(lab.interpret(lab.usual), "N", "{}", lab.name);
            assert!(keys.insert(lab.key));
        }
        assert_eq!(
            (K.interpret(61), K.interpret(52), K.interpret(34), K.interpret(25)),
            ("HH", "H", "L", "LL")
        );
    }
}
