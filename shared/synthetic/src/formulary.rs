//! The synthetic hospital's medicines and what people react to.
//!
//! RxNorm ingredient concepts (NLM, public domain); doses are ordinary adult doses, written to be plausible on a
//! screen and for nothing else: this is not a drug knowledge base. Called by `problems`, `story` and the writers.

/// How a medicine is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Oral,
    Intravenous,
    Subcutaneous,
    Inhaled,
}

impl Route {
    /// Words and the SNOMED CT code of the route.
    pub(crate) const fn spelt(self) -> (&'static str, &'static str) {
        match self {
            Self::Oral => ("oral", "26643006"),
            Self::Intravenous => ("intravenous", "47625008"),
            Self::Subcutaneous => ("subcutaneous", "34206005"),
            Self::Inhaled => ("inhaled", "447694001"),
        }
    }
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Often {
    OnceDaily,
    AtNight,
    TwiceDaily,
    ThreeTimes,
    FourTimes,
    Weekly,
    EverySixHoursIfNeeded,
    Once,
    /// The dose is a rate.
    Continuous,
}

impl Often {
    /// The words of the sig.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::OnceDaily => "once a day",
            Self::AtNight => "at night",
            Self::TwiceDaily => "twice a day",
            Self::ThreeTimes => "three times a day",
            Self::FourTimes => "four times a day",
            Self::Weekly => "once a week",
            Self::EverySixHoursIfNeeded => "every 6 hours if needed",
            Self::Once => "once",
            Self::Continuous => "continuous infusion",
        }
    }

    /// `frequency`, `period`, `periodUnit` of `Timing.repeat`; none for a rate.
    pub(crate) const fn repeat(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::OnceDaily | Self::AtNight => Some(("1", "1", "d")),
            Self::TwiceDaily => Some(("2", "1", "d")),
            Self::ThreeTimes => Some(("3", "1", "d")),
            Self::FourTimes => Some(("4", "1", "d")),
            Self::Weekly => Some(("1", "1", "wk")),
            Self::EverySixHoursIfNeeded => Some(("1", "6", "h")),
            Self::Once | Self::Continuous => None,
        }
    }
}

/// A medicine as this hospital prescribes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drug {
    /// Generic name, lower case.
    pub(crate) name: &'static str,
    /// RxNorm ingredient; empty for a product this hospital knows by words alone.
    pub(crate) rxcui: &'static str,
    /// Digits of the dose, or of the rate for [`Often::Continuous`].
    pub(crate) dose: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ucum: &'static str,
    pub(crate) route: Route,
    pub(crate) often: Often,
    /// There is a Medication resource `med-<name>` in the foundation to refer to.
    pub(crate) stocked: bool,
}

impl Drug {
    /// Id of its Medication resource.
    pub(crate) fn medication_id(&self) -> String {
        format!("med-{}", self.name.replace(' ', "-"))
    }

    /// The whole sig in words.
    pub(crate) fn sig(&self) -> String {
        format!(
            "{} {} {} {}",
            self.dose,
            self.unit,
            self.route.spelt().0,
            self.often.words()
        )
    }
}

macro_rules! drugs {
    ($($id:ident = $name:literal $rxcui:literal $dose:literal $unit:literal $ucum:literal $route:ident $often:ident $stocked:literal;)*) => {
        $(pub(crate) static $id: Drug = Drug {
            name: $name, rxcui: $rxcui, dose: $dose, unit: $unit, ucum: $ucum,
            route: Route::$route, often: Often::$often, stocked: $stocked,
        };)*
        /// Every medicine.
        pub(crate) static FORMULARY: &[&Drug] = &[$(&$id),*];
    };
}

drugs! {
    WARFARIN = "warfarin" "11289" "3" "mg" "mg" Oral OnceDaily true;
    APIXABAN = "apixaban" "1364430" "5" "mg" "mg" Oral TwiceDaily true;
    RIVAROXABAN = "rivaroxaban" "1114195" "20" "mg" "mg" Oral OnceDaily false;
    HEPARIN = "heparin" "5224" "1100" "units/hour" "[iU]/h" Intravenous Continuous true;
    ENOXAPARIN = "enoxaparin" "67108" "40" "mg" "mg" Subcutaneous OnceDaily true;
    AMIODARONE = "amiodarone" "703" "200" "mg" "mg" Oral OnceDaily true;
    DIGOXIN = "digoxin" "3407" "0.125" "mg" "mg" Oral OnceDaily true;
    BISOPROLOL = "bisoprolol" "19484" "2.5" "mg" "mg" Oral OnceDaily false;
    METOPROLOL = "metoprolol" "6918" "50" "mg" "mg" Oral TwiceDaily false;
    FUROSEMIDE = "furosemide" "4603" "40" "mg" "mg" Oral TwiceDaily true;
    SPIRONOLACTONE = "spironolactone" "9997" "25" "mg" "mg" Oral OnceDaily false;
    LISINOPRIL = "lisinopril" "29046" "10" "mg" "mg" Oral OnceDaily false;
    RAMIPRIL = "ramipril" "35296" "5" "mg" "mg" Oral OnceDaily false;
    LOSARTAN = "losartan" "52175" "50" "mg" "mg" Oral OnceDaily false;
    AMLODIPINE = "amlodipine" "17767" "5" "mg" "mg" Oral OnceDaily false;
    ASPIRIN = "aspirin" "1191" "81" "mg" "mg" Oral OnceDaily false;
    CLOPIDOGREL = "clopidogrel" "32968" "75" "mg" "mg" Oral OnceDaily false;
    ATORVASTATIN = "atorvastatin" "83367" "40" "mg" "mg" Oral AtNight false;
    SIMVASTATIN = "simvastatin" "36567" "20" "mg" "mg" Oral AtNight false;
    POTASSIUM = "potassium chloride" "8591" "20" "mmol" "mmol" Oral OnceDaily false;
    METFORMIN = "metformin" "6809" "1000" "mg" "mg" Oral TwiceDaily false;
    GLARGINE = "insulin glargine" "274783" "14" "units" "[iU]" Subcutaneous AtNight true;
    LISPRO = "insulin lispro" "86009" "4" "units" "[iU]" Subcutaneous ThreeTimes true;
    INSULIN_IV = "insulin regular" "253182" "3" "units/hour" "[iU]/h" Intravenous Continuous false;
    SALBUTAMOL = "salbutamol" "435" "200" "mcg" "ug" Inhaled EverySixHoursIfNeeded false;
    TIOTROPIUM = "tiotropium" "69120" "18" "mcg" "ug" Inhaled OnceDaily false;
    PREDNISOLONE = "prednisolone" "8638" "30" "mg" "mg" Oral OnceDaily false;
    LEVOTHYROXINE = "levothyroxine" "10582" "75" "mcg" "ug" Oral OnceDaily false;
    SERTRALINE = "sertraline" "36437" "50" "mg" "mg" Oral OnceDaily false;
    LITHIUM = "lithium" "6448" "400" "mg" "mg" Oral AtNight false;
    LEVETIRACETAM = "levetiracetam" "114477" "500" "mg" "mg" Oral TwiceDaily false;
    PHENYTOIN = "phenytoin" "8183" "300" "mg" "mg" Oral AtNight false;
    METHOTREXATE = "methotrexate" "6851" "15" "mg" "mg" Oral Weekly true;
    TACROLIMUS = "tacrolimus" "42316" "2" "mg" "mg" Oral TwiceDaily true;
    MYCOPHENOLATE = "mycophenolate mofetil" "68149" "1000" "mg" "mg" Oral TwiceDaily false;
    AZATHIOPRINE = "azathioprine" "1256" "100" "mg" "mg" Oral OnceDaily false;
    MORPHINE = "morphine" "7052" "10" "mg" "mg" Oral EverySixHoursIfNeeded true;
    MORPHINE_IV = "morphine sulfate injection" "" "2.5" "mg" "mg" Intravenous EverySixHoursIfNeeded false;
    OXYCODONE = "oxycodone" "7804" "5" "mg" "mg" Oral EverySixHoursIfNeeded false;
    TRAMADOL = "tramadol" "10689" "50" "mg" "mg" Oral FourTimes false;
    FENTANYL = "fentanyl" "4337" "50" "mcg/hour" "ug/h" Intravenous Continuous true;
    PARACETAMOL = "paracetamol" "161" "1000" "mg" "mg" Oral FourTimes false;
    IBUPROFEN = "ibuprofen" "5640" "400" "mg" "mg" Oral ThreeTimes false;
    OMEPRAZOLE = "omeprazole" "7646" "20" "mg" "mg" Oral OnceDaily false;
    PANTOPRAZOLE_IV = "pantoprazole" "40790" "8" "mg/hour" "mg/h" Intravenous Continuous false;
    ALLOPURINOL = "allopurinol" "519" "100" "mg" "mg" Oral OnceDaily false;
    GABAPENTIN = "gabapentin" "25480" "300" "mg" "mg" Oral ThreeTimes false;
    CEFTRIAXONE = "ceftriaxone" "2193" "2" "g" "g" Intravenous OnceDaily true;
    MEROPENEM = "meropenem" "29561" "1" "g" "g" Intravenous ThreeTimes false;
    VANCOMYCIN = "vancomycin" "11124" "1250" "mg" "mg" Intravenous TwiceDaily true;
    PIPTAZ = "piperacillin with tazobactam" "" "4.5" "g" "g" Intravenous FourTimes false;
    CLARITHROMYCIN = "clarithromycin" "21212" "500" "mg" "mg" Oral TwiceDaily false;
    TRIMETHOPRIM = "trimethoprim" "10829" "200" "mg" "mg" Oral TwiceDaily false;
    ONDANSETRON = "ondansetron" "26225" "4" "mg" "mg" Intravenous EverySixHoursIfNeeded false;
    NORADRENALINE = "norepinephrine" "7512" "0.08" "mcg/kg/min" "ug/kg/min" Intravenous Continuous false;
    PROPOFOL = "propofol" "8782" "120" "mg/hour" "mg/h" Intravenous Continuous false;
    MIDAZOLAM = "midazolam" "6960" "2" "mg/hour" "mg/h" Intravenous Continuous false;
    NALOXONE = "naloxone" "7242" "0.4" "mg" "mg" Intravenous Once false;
}

/// Pairs that must not pass unnoticed (class-level facts after Phansalkar 2012, JAMIA 19:735, and FDA labels).
pub(crate) static INTERACTING: &[(&Drug, &Drug)] = &[
    (&WARFARIN, &AMIODARONE),
    (&DIGOXIN, &FUROSEMIDE),
    (&DIGOXIN, &AMIODARONE),
    (&SIMVASTATIN, &CLARITHROMYCIN),
    (&METHOTREXATE, &TRIMETHOPRIM),
    (&TACROLIMUS, &CLARITHROMYCIN),
    (&SERTRALINE, &TRAMADOL),
    (&LITHIUM, &IBUPROFEN),
    (&SPIRONOLACTONE, &POTASSIUM),
    (&WARFARIN, &IBUPROFEN),
];

/// Something a person reacts to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    /// `medication`, `food`, `environment`.
    pub(crate) category: &'static str,
    /// Code system; empty where the record has words alone.
    pub(crate) system: &'static str,
    pub(crate) code: &'static str,
}

macro_rules! agents {
    ($($id:ident = $name:literal $category:literal $system:expr, $code:literal;)*) => {
        $(pub(crate) static $id: Agent = Agent { name: $name, category: $category, system: $system, code: $code };)*
    };
}

use crate::fhir::{RXNORM, SNOMED};

agents! {
    PENICILLIN = "penicillin G" "medication" RXNORM, "7980";
    AMOXICILLIN = "amoxicillin" "medication" RXNORM, "723";
    CEFAZOLIN = "cefazolin" "medication" RXNORM, "2180";
    SULFA = "sulfamethoxazole" "medication" RXNORM, "10180";
    CODEINE = "codeine" "medication" RXNORM, "2670";
    MORPHINE_AGENT = "morphine" "medication" RXNORM, "7052";
    IBUPROFEN_AGENT = "ibuprofen" "medication" RXNORM, "5640";
    ASPIRIN_AGENT = "aspirin" "medication" RXNORM, "1191";
    VANCOMYCIN_AGENT = "vancomycin" "medication" RXNORM, "11124";
    CIPROFLOXACIN = "ciprofloxacin" "medication" RXNORM, "2551";
    ERYTHROMYCIN = "erythromycin" "medication" RXNORM, "4053";
    LISINOPRIL_AGENT = "lisinopril" "medication" RXNORM, "29046";
    PHENYTOIN_AGENT = "phenytoin" "medication" RXNORM, "8183";
    LATEX = "latex" "environment" SNOMED, "111088007";
    PEANUT = "peanut" "food" "", "";
    SHELLFISH = "shellfish" "food" "", "";
    CONTRAST = "X-ray contrast (iodinated), brand not known" "medication" "", "";
    BLUE_DYE = "\"blue dye\" at dentist" "medication" "", "";
    EYE_DROPS = "some eye drops, red bottle cap" "medication" "", "";
    PLASTER = "sticking plaster" "environment" "", "";
    NO_KNOWN_ALLERGY = "No known allergy" "" SNOMED, "716186003";
    NO_KNOWN_DRUG_ALLERGY = "No known drug allergy" "" SNOMED, "409137002";
}

/// What ordinary patients may be allergic to.
pub(crate) static AGENTS: &[&Agent] = &[
    &PENICILLIN,
    &PENICILLIN,
    &AMOXICILLIN,
    &CEFAZOLIN,
    &SULFA,
    &CODEINE,
    &MORPHINE_AGENT,
    &IBUPROFEN_AGENT,
    &ASPIRIN_AGENT,
    &VANCOMYCIN_AGENT,
    &CIPROFLOXACIN,
    &ERYTHROMYCIN,
    &LISINOPRIL_AGENT,
    &PHENYTOIN_AGENT,
    &LATEX,
    &PEANUT,
    &SHELLFISH,
    &CONTRAST,
    &BLUE_DYE,
    &EYE_DROPS,
    &PLASTER,
];

/// How a body reacts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifestation {
    pub(crate) name: &'static str,
    /// SNOMED CT; empty where the record has words alone.
    pub(crate) code: &'static str,
}

pub(crate) static ANAPHYLAXIS: Manifestation = Manifestation {
    name: "anaphylaxis",
    code: "39579001",
};
pub(crate) static HIVES: Manifestation = Manifestation {
    name: "urticaria",
    code: "247472004",
};
pub(crate) static RASH: Manifestation = Manifestation {
    name: "skin rash",
    code: "271807003",
};
pub(crate) static VOMITING: Manifestation = Manifestation {
    name: "vomiting",
    code: "422400008",
};
pub(crate) static ANGIOEDEMA: Manifestation = Manifestation {
    name: "angioedema",
    code: "41291007",
};
pub(crate) static WHEEZE: Manifestation = Manifestation {
    name: "wheeze and throat tightness",
    code: "",
};
pub(crate) static DIARRHOEA: Manifestation = Manifestation {
    name: "diarrhoea",
    code: "62315008",
};

/// Reactions other than anaphylaxis.
pub(crate) static REACTIONS: &[&Manifestation] =
    &[&HIVES, &RASH, &RASH, &VOMITING, &ANGIOEDEMA, &WHEEZE, &DIARRHOEA];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_used_once() {
        let mut names = std::collections::HashSet::new();
        let mut codes = std::collections::HashSet::new();
        for drug in FORMULARY {
            assert!(names.insert(drug.name), "{} stands twice", drug.name);
            assert!(
                drug.rxcui.is_empty() || codes.insert(drug.rxcui),
                "{} shares a code",
                drug.name
            );
            assert!(drug.medication_id().len() <= 64);
            assert!(
                !drug.dose.ends_with(".0") && !drug.dose.starts_with('.'),
                "ISMP: {}",
                drug.dose
            );
        }
        assert!(INTERACTING.iter().all(|(a, b)| a != b));
    }
}
