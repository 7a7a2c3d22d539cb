//! What people live with and what brings them in: long-term problems with their medicines, and presentations with
//! the vital signs and laboratory values they bend.
//!
//! ICD-10-CM codes (public domain). Prevalences and treatments are for plausible screens only. Called by `story`.

use crate::formulary::*;
use crate::measures::*;

/// A long-term problem.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) icd: &'static str,
    pub(crate) text: &'static str,
    /// Youngest age it is given to.
    pub(crate) from_age: i64,
    /// Per 1,000 at 60; falls with youth.
    pub(crate) per_mille: u64,
    /// Medicines and the per cent of patients on each.
    pub(crate) drugs: &'static [(&'static Drug, u64)],
}

/// Long-term problems.
pub(crate) static PROBLEMS: &[Problem] = &[
    Problem {
        icd: "I10",
        text: "Essential (primary) hypertension",
        from_age: 30,
        per_mille: 330,
        drugs: &[(&AMLODIPINE, 45), (&LISINOPRIL, 30), (&LOSARTAN, 20)],
    },
    Problem {
        icd: "I48.91",
        text: "Atrial fibrillation",
        from_age: 45,
        per_mille: 95,
        drugs: &[
            (&WARFARIN, 40),
            (&APIXABAN, 45),
            (&BISOPROLOL, 60),
            (&AMIODARONE, 18),
        ],
    },
    Problem {
        icd: "I50.9",
        text: "Heart failure",
        from_age: 45,
        per_mille: 80,
        drugs: &[
            (&FUROSEMIDE, 80),
            (&RAMIPRIL, 55),
            (&SPIRONOLACTONE, 35),
            (&DIGOXIN, 20),
        ],
    },
    Problem {
        icd: "I25.10",
        text: "Coronary artery disease",
        from_age: 40,
        per_mille: 110,
        drugs: &[
            (&ASPIRIN, 70),
            (&ATORVASTATIN, 75),
            (&METOPROLOL, 50),
            (&CLOPIDOGREL, 20),
        ],
    },
    Problem {
        icd: "E11.9",
        text: "Type 2 diabetes mellitus",
        from_age: 30,
        per_mille: 150,
        drugs: &[(&METFORMIN, 70), (&GLARGINE, 30), (&LISPRO, 12)],
    },
    Problem {
        icd: "J44.9",
        text: "Chronic obstructive pulmonary disease",
        from_age: 40,
        per_mille: 75,
        drugs: &[(&TIOTROPIUM, 75), (&SALBUTAMOL, 80), (&PREDNISOLONE, 10)],
    },
    Problem {
        icd: "J45.909",
        text: "Asthma",
        from_age: 3,
        per_mille: 80,
        drugs: &[(&SALBUTAMOL, 95)],
    },
    Problem {
        icd: "N18.4",
        text: "Chronic kidney disease, stage 4",
        from_age: 40,
        per_mille: 35,
        drugs: &[(&ALLOPURINOL, 40), (&FUROSEMIDE, 30)],
    },
    Problem {
        icd: "E78.5",
        text: "Hyperlipidaemia",
        from_age: 35,
        per_mille: 160,
        drugs: &[(&SIMVASTATIN, 60)],
    },
    Problem {
        icd: "E03.9",
        text: "Hypothyroidism",
        from_age: 18,
        per_mille: 60,
        drugs: &[(&LEVOTHYROXINE, 97)],
    },
    Problem {
        icd: "F32.A",
        text: "Depression",
        from_age: 16,
        per_mille: 90,
        drugs: &[(&SERTRALINE, 65)],
    },
    Problem {
        icd: "F31.9",
        text: "Bipolar disorder",
        from_age: 18,
        per_mille: 12,
        drugs: &[(&LITHIUM, 70)],
    },
    Problem {
        icd: "G40.909",
        text: "Epilepsy",
        from_age: 2,
        per_mille: 15,
        drugs: &[(&LEVETIRACETAM, 70), (&PHENYTOIN, 25)],
    },
    Problem {
        icd: "M06.9",
        text: "Rheumatoid arthritis",
        from_age: 25,
        per_mille: 18,
        drugs: &[(&METHOTREXATE, 60), (&PREDNISOLONE, 30)],
    },
    Problem {
        icd: "Z94.0",
        text: "Kidney transplant",
        from_age: 18,
        per_mille: 6,
        drugs: &[(&TACROLIMUS, 95), (&MYCOPHENOLATE, 80), (&PREDNISOLONE, 60)],
    },
    Problem {
        icd: "M54.50",
        text: "Chronic low back pain",
        from_age: 25,
        per_mille: 90,
        drugs: &[
            (&PARACETAMOL, 60),
            (&IBUPROFEN, 25),
            (&OXYCODONE, 10),
            (&GABAPENTIN, 15),
        ],
    },
    Problem {
        icd: "K21.9",
        text: "Gastro-oesophageal reflux disease",
        from_age: 20,
        per_mille: 140,
        drugs: &[(&OMEPRAZOLE, 85)],
    },
    Problem {
        icd: "C34.90",
        text: "Lung cancer",
        from_age: 45,
        per_mille: 9,
        drugs: &[(&MORPHINE, 50)],
    },
    Problem {
        icd: "K50.90",
        text: "Crohn's disease",
        from_age: 15,
        per_mille: 7,
        drugs: &[(&AZATHIOPRINE, 60)],
    },
    Problem {
        icd: "F03.90",
        text: "Dementia",
        from_age: 68,
        per_mille: 60,
        drugs: &[],
    },
];

/// Problems of the past: code and words.
pub(crate) static RESOLVED: &[(&str, &str)] = &[
    ("K35.80", "Acute appendicitis"),
    ("J18.9", "Pneumonia"),
    ("S52.501A", "Fracture of distal radius"),
    ("I82.409", "Deep vein thrombosis of leg"),
    ("K80.20", "Gallstones"),
    ("N10", "Acute pyelonephritis"),
];

/// Suspicions that were ruled out: code and words.
pub(crate) static REFUTED: &[(&str, &str)] = &[
    ("I26.99", "Pulmonary embolism"),
    ("I21.9", "Myocardial infarction"),
    ("G03.9", "Meningitis"),
    ("A15.0", "Tuberculosis of lung"),
];

/// Where a presentation may be found.
pub(crate) const IN_ED: u8 = 1;
pub(crate) const IN_ICU: u8 = 2;
pub(crate) const IN_WARD: u8 = 4;

/// What brought somebody in.
#[derive(Debug)]
pub(crate) struct Presentation {
    pub(crate) complaint: &'static str,
    pub(crate) icd: &'static str,
    pub(crate) diagnosis: &'static str,
    /// Emergency severity index, the most urgent likely.
    pub(crate) esi: i64,
    pub(crate) youngest: i64,
    pub(crate) places: u8,
    pub(crate) vitals: Vitals,
    pub(crate) labs: &'static [(&'static Lab, i64)],
    pub(crate) drugs: &'static [&'static Drug],
    /// A sentence for the triage note.
    pub(crate) story: &'static str,
    /// A sentence for the plan.
    pub(crate) plan: &'static str,
}

const fn vitals(
    pulse: i64,
    systolic: i64,
    diastolic: i64,
    breaths: i64,
    saturation: i64,
    temperature: i64,
    oxygen: i64,
    awareness: char,
) -> Vitals {
    Vitals {
        pulse,
        systolic,
        diastolic,
        breaths,
        saturation,
        temperature,
        oxygen,
        awareness,
    }
}

macro_rules! presentations {
    ($($id:ident = $complaint:literal $icd:literal $diagnosis:literal esi $esi:literal from $age:literal in $places:expr;
       $v:expr; [$($lab:ident $value:literal),*]; [$($drug:ident),*]; $story:literal; $plan:literal;)*) => {
        $(pub(crate) static $id: Presentation = Presentation {
            complaint: $complaint, icd: $icd, diagnosis: $diagnosis, esi: $esi, youngest: $age, places: $places,
            vitals: $v, labs: &[$((&$lab, $value)),*], drugs: &[$(&$drug),*], story: $story, plan: $plan,
        };)*
        /// Every presentation.
        pub(crate) static PRESENTATIONS: &[&Presentation] = &[$(&$id),*];
    };
}

presentations! {
    CHEST_PAIN = "Chest pain" "I21.4" "Non-ST elevation myocardial infarction" esi 2 from 35 in IN_ED | IN_WARD;
        vitals(96, 148, 88, 18, 96, 369, 0, 'A'); [TROPONIN 184, GLUCOSE 84]; [HEPARIN];
        "Central chest pressure for two hours, radiating to the left arm, sweating."; "Serial troponin, ECG every 30 min, heparin infusion, cardiology called.";
    SEPSIS = "Fever and confusion" "A41.9" "Sepsis, source unclear" esi 1 from 18 in IN_ED | IN_ICU | IN_WARD;
        vitals(118, 94, 52, 25, 92, 387, 4, 'C'); [LACTATE 36, WBC 184, CRP 212, CREATININE 162, UREA 134]; [CEFTRIAXONE];
        "Found drowsy this morning, shivering overnight, dark urine."; "Sepsis bundle started, cultures taken before antibiotics, fluids 30 mL per kg, repeat lactate in 2 h.";
    SEPTIC_SHOCK = "Collapse, low blood pressure" "R65.21" "Septic shock" esi 1 from 18 in IN_ICU;
        vitals(124, 86, 44, 28, 91, 391, 10, 'V'); [LACTATE 58, WBC 241, CRP 318, CREATININE 248, UREA 221, PH 724, BICARBONATE 15, PLATELETS 84]; [NORADRENALINE, MEROPENEM, VANCOMYCIN];
        "Transferred from ED after fluids failed to hold pressure."; "Norepinephrine to MAP 65, source control, hourly urine.";
    PNEUMONIA = "Cough and breathlessness" "J18.9" "Pneumonia" esi 3 from 2 in IN_ED | IN_WARD;
        vitals(102, 118, 70, 23, 92, 384, 2, 'A'); [WBC 156, CRP 148]; [CEFTRIAXONE];
        "Productive cough for four days, right-sided pleuritic pain."; "Oxygen to target, antibiotics, chest X-ray reviewed.";
    ASTHMA_ATTACK = "Wheeze, short of breath" "J45.901" "Asthma, acute exacerbation" esi 2 from 2 in IN_ED;
        vitals(122, 132, 78, 28, 91, 370, 6, 'A'); [K 33]; [SALBUTAMOL, PREDNISOLONE];
        "Inhaler every hour since midnight, speaks in short phrases."; "Back-to-back nebulisers, steroid, peak flow after each.";
    GI_BLEED = "Vomiting blood" "K92.2" "Gastrointestinal bleeding" esi 2 from 18 in IN_ED | IN_ICU | IN_WARD;
        vitals(112, 98, 58, 20, 97, 366, 0, 'A'); [HB 71, UREA 176, INR 14]; [PANTOPRAZOLE_IV];
        "Two large dark vomits, black stool since yesterday."; "Two large cannulae, group and save, endoscopy this shift.";
    DKA = "Vomiting, thirst, drowsy" "E10.10" "Diabetic ketoacidosis" esi 2 from 8 in IN_ED | IN_ICU;
        vitals(116, 108, 62, 27, 98, 367, 0, 'V'); [GLUCOSE 284, K 58, PH 716, BICARBONATE 8, SODIUM 131]; [INSULIN_IV];
        "Ran out of insulin, vomiting for two days."; "Fixed-rate insulin, potassium every 2 h, ketones hourly.";
    STROKE = "Sudden weakness, left side" "I63.9" "Ischaemic stroke" esi 1 from 35 in IN_ED | IN_WARD;
        vitals(84, 178, 98, 17, 96, 368, 0, 'A'); [GLUCOSE 91]; [ASPIRIN];
        "Left arm and face weak since breakfast, speech slurred."; "CT done, swallow screen before anything by mouth.";
    OVERDOSE = "Found unresponsive" "T40.2X1A" "Opioid poisoning" esi 1 from 16 in IN_ED | IN_ICU;
        vitals(58, 102, 60, 8, 88, 358, 8, 'P'); [PCO2 68, PH 722]; [NALOXONE];
        "Found by a flatmate, slow breathing, small pupils."; "Naloxone titrated to breathing, observe for return of sedation.";
    HIP = "Fall, hip pain" "S72.001A" "Fracture of neck of femur" esi 3 from 65 in IN_ED | IN_WARD;
        vitals(92, 138, 78, 18, 95, 368, 0, 'A'); [HB 104]; [PARACETAMOL, OXYCODONE];
        "Slipped in the kitchen, left leg short and turned out."; "Nerve block, theatre list tomorrow, bone health bloods.";
    KIDNEY = "Weak, passing little urine" "N17.9" "Acute kidney injury" esi 2 from 30 in IN_ED | IN_ICU | IN_WARD;
        vitals(104, 104, 60, 20, 95, 365, 0, 'A'); [K 58, CREATININE 388, UREA 312, BICARBONATE 16]; [];
        "Diarrhoea for a week, still taking all tablets."; "Stop nephrotoxic medicines, ECG, repeat potassium in 2 h.";
    HEART_FAILURE = "Cannot lie flat" "I50.21" "Acute heart failure" esi 2 from 50 in IN_ED | IN_ICU | IN_WARD;
        vitals(108, 164, 92, 26, 89, 366, 8, 'A'); [TROPONIN 48, CREATININE 138, SODIUM 129]; [FUROSEMIDE];
        "Ankles swollen for two weeks, woke gasping."; "Diuretic, nitrates, non-invasive ventilation if tiring.";
    ABDOMEN = "Abdominal pain" "R10.9" "Abdominal pain, cause not yet known" esi 3 from 5 in IN_ED;
        vitals(88, 128, 76, 17, 98, 373, 0, 'A'); [WBC 128, CRP 42]; [PARACETAMOL, ONDANSETRON];
        "Pain moved to the right lower side overnight, one vomit."; "Surgical opinion, ultrasound.";
    HEADACHE = "Headache" "R51.9" "Headache" esi 3 from 10 in IN_ED;
        vitals(78, 134, 80, 15, 99, 368, 0, 'A'); []; [PARACETAMOL];
        "Gradual onset, light hurts, no rash."; "Analgesia, reassess in one hour.";
    ANKLE = "Ankle injury" "S93.401A" "Ankle sprain" esi 4 from 5 in IN_ED;
        vitals(80, 124, 74, 15, 99, 367, 0, 'A'); []; [IBUPROFEN];
        "Rolled ankle on the stairs, cannot bear weight."; "X-ray by Ottawa rules.";
    FEVER_CHILD = "Fever, child" "R50.9" "Fever" esi 3 from 0 in IN_ED;
        vitals(112, 104, 62, 22, 97, 391, 0, 'A'); [WBC 138, CRP 22]; [];
        "Hot since last night, drinking less, two wet nappies."; "Urine sample, observe, parents shown fluid chart.";
    SYNCOPE = "Fainted" "R55" "Syncope" esi 3 from 12 in IN_ED | IN_WARD;
        vitals(64, 112, 66, 14, 98, 366, 0, 'A'); [HB 112]; [];
        "Brief loss of consciousness on standing, no injury."; "ECG, lying and standing blood pressure.";
    VENTILATED = "Respiratory failure" "J96.01" "Acute hypoxic respiratory failure" esi 1 from 18 in IN_ICU;
        vitals(98, 106, 58, 22, 93, 378, 15, 'U'); [PH 731, PCO2 54, PO2 58, CRP 162, WBC 148]; [PROPOFOL, FENTANYL, PIPTAZ];
        "Intubated for exhaustion; second day of ventilation."; "Lung-protective ventilation, prone if worse, daily sedation hold.";
    POST_OP = "Day 1 after bowel resection" "Z48.815" "After abdominal surgery" esi 3 from 30 in IN_WARD;
        vitals(86, 122, 70, 16, 96, 372, 2, 'A'); [HB 98, WBC 118, CRP 96]; [PARACETAMOL, MORPHINE_IV, ENOXAPARIN];
        "Comfortable, epidural out."; "Mobilise, drain out when below 50 mL.";
    TRAUMA = "Road traffic collision" "S36.039A" "Injury of spleen" esi 1 from 16 in IN_ED | IN_ICU;
        vitals(126, 92, 56, 24, 95, 361, 10, 'A'); [HB 82, LACTATE 34]; [MORPHINE_IV];
        "Driver, side impact, abdominal pain on arrival."; "Massive transfusion on standby, CT, surgeons present.";
}
