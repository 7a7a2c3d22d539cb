//! Patients worth opening: ordinary stories bent so that each shows one thing that must come out right.
//!
//! Every state of the allergy list is here by construction, and the traps beside them: negatives, mistakes,
//! conflicts, look-alike names, the very long and the very short. Called by `lib`.

use crate::Hospital;
use crate::calendar::{DAY, HOUR, MINUTE, YEAR};
use crate::draw::{self, this_stay};
use crate::formulary::*;
use crate::heavy::{HEAVY_MRN, HEAVY_PATIENT};
use crate::measures::*;
use crate::names::PersonName;
use crate::problems::*;
use crate::story::*;
use serde::Serialize;

/// A patient worth opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Showcase {
    /// The patient's number; `None` for the patient with the long record, who comes from
    /// [`Hospital::heavy_patient`].
    pub n: Option<u64>,
    /// FHIR id.
    pub id: String,
    /// Medical record number.
    pub mrn: String,
    /// Number on the band (GS1 AI 8018), where there is one.
    pub gsrn: Option<String>,
    /// Name as spoken.
    pub name: String,
    /// Ward id; `None` for a patient at home.
    pub ward: Option<String>,
    /// What to look for, in one sentence.
    pub shows: String,
}

type Bend = fn(&mut Story);

/// Patient number, what it shows, and how its story is bent.
static SHOWN: &[(u64, &str, Bend)] = &[
    (
        0,
        "penicillin anaphylaxis, an unchecked \"blue dye\", warfarin with amiodarone, potassium 6.1 HH, sepsis with falling blood pressure",
        septic_on_warfarin,
    ),
    (1, "a similar name in the next bed: Marlow, Joan", marlow),
    (2, "a similar name in the next bed: Marlowe, Joanne", marlowe),
    (3, "no known allergies, said by whom and when", none_known),
    (
        4,
        "nobody has asked about allergies: never to be read as none",
        nobody_asked,
    ),
    (
        5,
        "\"no known allergy\" beside an active codeine allergy: a conflict",
        conflict,
    ),
    (
        6,
        "one penicillin entry, refuted after a test: neither an allergy nor \"none known\"",
        refuted,
    ),
    (
        7,
        "no known drug allergy, and peanut anaphylaxis",
        no_drug_allergy,
    ),
    (
        8,
        "one allergy entered in error, on the wrong patient",
        entered_in_error,
    ),
    (
        9,
        "only past allergies: one inactive, one resolved",
        past_allergies,
    ),
    (
        10,
        "opioid poisoning; unconfirmed contrast reaction and a codeine intolerance",
        opioid,
    ),
    (11, "a very short name: Ng, O", short_name),
    (12, "a name of more than 35 characters", long_name),
    (
        13,
        "an unidentified patient: a name in words alone, no birth date, sex unknown",
        unidentified,
    ),
    (
        14,
        "an infant of eight months with fever, weight in kilograms with one decimal",
        infant,
    ),
    (
        15,
        "pregnant, blood group O negative from a final sample",
        pregnant,
    ),
    (
        24,
        "pacemaker, digoxin with furosemide, digoxin level 2.8 HH, potassium 2.6 LL",
        pacemaker,
    ),
    (
        25,
        "ventilated septic shock, infusions running, contact isolation, do not resuscitate",
        septic_shock,
    ),
    (
        26,
        "kidney transplant: tacrolimus with clarithromycin just started",
        transplant,
    ),
    (
        40,
        "died fifty minutes ago, still in the bed; do not resuscitate",
        deceased,
    ),
    (
        41,
        "apixaban stopped five days ago, warfarin now, one medicine on hold, a corrected and a cancelled result",
        changed_medicines,
    ),
    (
        42,
        "a blood group that is only preliminary: no valid sample",
        preliminary_group,
    ),
    (
        60,
        "went home yesterday: a finished stay, allergies still known",
        home_yesterday,
    ),
];

/// The story of patient `n`, bent where it is one of those shown.
pub(crate) fn story(hospital: Hospital, n: u64) -> Story {
    let mut story = draw::draw(hospital, n);
    if let Some((_, _, bend)) = SHOWN.iter().find(|s| s.0 == n) {
        story.shown = true;
        story.isolation = "";
        if story.born_known != Known::Day {
            story.born_known = Known::Day;
        }
        if story.age < 18 {
            // What is shown has a past; a child has not had the time.
            let (name, gender) = (story.name.clone(), story.gender);
            person(&mut story, name, gender, 44);
            present(&mut story, &ABDOMEN, 95 * MINUTE);
        }
        bend(&mut story);
    }
    story
}

pub(crate) fn list(hospital: Hospital) -> Vec<Showcase> {
    let mut out: Vec<Showcase> = SHOWN
        .iter()
        .map(|&(n, shows, _)| {
            let story = story(hospital, n);
            Showcase {
                n: Some(n),
                mrn: story.mrn.clone(),
                gsrn: Some(crate::draw::gsrn(n)),
                name: story.name.spoken(),
                ward: story
                    .stay
                    .as_ref()
                    .filter(|_| story.in_house())
                    .map(|s| s.ward.id.to_owned()),
                id: story.id,
                shows: shows.to_owned(),
            }
        })
        .collect();
    out.push(Showcase {
        n: None,
        id: HEAVY_PATIENT.to_owned(),
        mrn: HEAVY_MRN.to_owned(),
        gsrn: None,
        name: crate::heavy::person().spoken(),
        ward: Some(crate::facility::ICU.id.to_owned()),
        shows: "a record of fifteen years, where it has been imported: the critical parts still come first"
            .to_owned(),
    });
    out
}

/// Sets name, gender and age.
fn person(story: &mut Story, name: PersonName, gender: &'static str, age: i64) {
    story.name = name;
    story.gender = gender;
    story.age = age;
    story.born = story.hospital.now_ms - age * YEAR - 97 * DAY;
    if age >= 16 {
        (story.weight, story.height) = if gender == "female" {
            (684, 165)
        } else {
            (812, 178)
        };
    }
    story.pregnant = false;
}

/// Replaces everything clinical by one presentation; the arrival becomes `ago` before now.
fn present(story: &mut Story, presentation: &'static Presentation, ago: i64) {
    let now = story.hospital.now_ms;
    story.diagnoses.clear();
    story.medicines.clear();
    story.labs.clear();
    story.implants.clear();
    story.code_status = None;
    story.fall_risk = false;
    if let Some(stay) = story.stay.as_mut() {
        stay.presentation = presentation;
        stay.arrived = now - ago;
        stay.ended = None;
        stay.esi = presentation.esi;
    }
    let mut rng = story.rng(77);
    this_stay(story, &mut rng);
}

/// A long-term problem since `years`.
fn lives_with(story: &mut Story, icd: &'static str, text: &'static str, years: i64) {
    let onset = story.hospital.now_ms - years * YEAR;
    let diagnosis = Diagnosis {
        icd,
        text,
        clinical: "active",
        verification: "confirmed",
        onset,
        recorded: onset + DAY,
        abated: None,
        acute: false,
    };
    story.diagnoses.push(diagnosis);
}

/// A medicine taken at home since `days`.
fn takes(story: &mut Story, drug: &'static Drug, days: i64) {
    story.medicines.retain(|m| m.drug != drug);
    let start = story.hospital.now_ms - days * DAY;
    story.medicines.push(Medicine {
        drug,
        taken: Taken::Active,
        start,
        stop: None,
        reported: false,
        statement: false,
        in_stay: false,
    });
}

fn ago(story: &Story, ms: i64) -> i64 {
    story.hospital.now_ms - ms
}

fn septic_on_warfarin(s: &mut Story) {
    person(
        s,
        PersonName::of("Ms", &["Mirembe", "Anneliese"], "Vorandale"),
        "female",
        68,
    );
    present(s, &SEPSIS, 42 * MINUTE);
    lives_with(s, "I48.91", "Atrial fibrillation", 7);
    lives_with(s, "N18.4", "Chronic kidney disease, stage 4", 4);
    lives_with(s, "J44.9", "Chronic obstructive pulmonary disease", 9);
    s.medicines.clear();
    takes(s, &AMLODIPINE, 900);
    takes(s, &WARFARIN, 1_400);
    takes(s, &GLARGINE, 700);
    takes(s, &AMIODARONE, 60);
    takes(s, &BISOPROLOL, 1_390);
    takes(s, &SIMVASTATIN, 1_100);
    takes(s, &TIOTROPIUM, 1_600);
    let stopped = ago(s, 6 * DAY);
    s.medicines.push(Medicine {
        drug: &RIVAROXABAN,
        taken: Taken::Stopped,
        start: ago(s, 1_500 * DAY),
        stop: Some(stopped),
        reported: false,
        statement: false,
        in_stay: false,
    });
    s.vitals = Vitals {
        pulse: 122,
        systolic: 88,
        diastolic: 50,
        breaths: 26,
        saturation: 89,
        temperature: 386,
        oxygen: 4,
        awareness: 'V',
    };
    s.labs = vec![
        (&K, 61),
        (&CREATININE, 310),
        (&UREA, 242),
        (&HB, 92),
        (&INR, 52),
        (&LACTATE, 43),
        (&GLUCOSE, 142),
        (&WBC, 192),
        (&CRP, 264),
        (&PH, 727),
        (&BICARBONATE, 17),
    ];
    let (a, b) = (ago(s, 2_100 * DAY), ago(s, 800 * DAY));
    let mut penicillin = Allergy::to(&PENICILLIN, &[&ANAPHYLAXIS, &ANGIOEDEMA], "severe", a);
    penicillin.onset = Some(a - 300 * DAY);
    penicillin.by_nurse = false;
    let mut dye = Allergy::to(&BLUE_DYE, &[&WHEEZE], "", b).state("active", "unconfirmed");
    dye.criticality = "unable-to-assess";
    s.allergies = vec![dye, Allergy::to(&LATEX, &[&HIVES], "moderate", b), penicillin];
    s.code_status = Some(CodeStatus::Full);
    s.blood_group = Some(("A positive", true));
    s.fall_risk = true;
}

fn marlow(s: &mut Story) {
    person(s, PersonName::of("Mrs", &["Joan"], "Marlow"), "female", 61);
    present(s, &CHEST_PAIN, 70 * MINUTE);
    takes(s, &ASPIRIN, 800);
    s.allergies = vec![Allergy::to(
        &MORPHINE_AGENT,
        &[&VOMITING],
        "moderate",
        ago(s, 400 * DAY),
    )];
}

fn marlowe(s: &mut Story) {
    person(s, PersonName::of("Ms", &["Joanne"], "Marlowe"), "female", 62);
    present(s, &PNEUMONIA, 130 * MINUTE);
    takes(s, &METFORMIN, 800);
    lives_with(s, "E11.9", "Type 2 diabetes mellitus", 6);
    let recorded = ago(s, 120 * MINUTE);
    s.allergies = vec![Allergy::none(&NO_KNOWN_ALLERGY, recorded)];
}

fn none_known(s: &mut Story) {
    let recorded = s.stay.as_ref().map_or(s.hospital.now_ms, |stay| stay.arrived) + 9 * MINUTE;
    s.allergies = vec![Allergy::none(&NO_KNOWN_ALLERGY, recorded)];
}

fn nobody_asked(s: &mut Story) {
    s.allergies.clear();
}

fn conflict(s: &mut Story) {
    let (a, b) = (ago(s, 500 * DAY), ago(s, 30 * MINUTE));
    s.allergies = vec![
        Allergy::to(&CODEINE, &[&ANGIOEDEMA], "severe", a),
        Allergy::none(&NO_KNOWN_ALLERGY, b),
    ];
}

fn refuted(s: &mut Story) {
    let recorded = ago(s, 300 * DAY);
    s.allergies = vec![
        Allergy::to(&PENICILLIN, &[&RASH], "mild", recorded)
            .state("active", "refuted")
            .with_note("Oral challenge tolerated in clinic: penicillins may be given."),
    ];
}

fn no_drug_allergy(s: &mut Story) {
    let recorded = ago(s, 90 * DAY);
    s.allergies = vec![
        Allergy::none(&NO_KNOWN_DRUG_ALLERGY, recorded),
        Allergy::to(&PEANUT, &[&ANAPHYLAXIS], "severe", recorded),
    ];
}

fn entered_in_error(s: &mut Story) {
    let recorded = ago(s, 20 * DAY);
    s.allergies = vec![
        Allergy::to(&SULFA, &[&ANAPHYLAXIS], "severe", recorded)
            .state("", "entered-in-error")
            .with_note("Belongs to another patient."),
    ];
}

fn past_allergies(s: &mut Story) {
    let (a, b) = (ago(s, 4_000 * DAY), ago(s, 900 * DAY));
    s.allergies = vec![
        Allergy::to(&AMOXICILLIN, &[&RASH], "mild", a).state("resolved", "confirmed"),
        Allergy::to(&ERYTHROMYCIN, &[&VOMITING], "mild", b).state("inactive", "confirmed"),
    ];
}

fn opioid(s: &mut Story) {
    person(s, PersonName::of("Mr", &["Tomás"], "Eskaveson"), "male", 34);
    present(s, &OVERDOSE, 25 * MINUTE);
    takes(s, &OXYCODONE, 200);
    let recorded = ago(s, 600 * DAY);
    let mut codeine = Allergy::to(&CODEINE, &[&VOMITING], "mild", recorded);
    codeine.kind = "intolerance";
    let contrast = Allergy::to(&CONTRAST, &[], "", recorded).state("active", "unconfirmed");
    s.allergies = vec![codeine, contrast];
}

fn short_name(s: &mut Story) {
    person(s, PersonName::of("", &["O"], "Ng"), "female", 29);
}

fn long_name(s: &mut Story) {
    let name = PersonName::of(
        "Dr",
        &["Maximilianna-Konstantyna", "Oluwadamilarenko"],
        "Vanterbrandenhoek-Szczytnikowalska de la Bruyère",
    );
    person(s, name, "female", 47);
}

fn unidentified(s: &mut Story) {
    person(
        s,
        PersonName {
            text: "Unidentified patient 7, brought by ambulance",
            ..PersonName::default()
        },
        "unknown",
        40,
    );
    present(s, &TRAUMA, 18 * MINUTE);
    s.born_known = Known::Nothing;
    s.medicines.retain(|m| m.in_stay);
    s.allergies.clear();
    s.blood_group = Some(("O negative", false));
}

fn infant(s: &mut Story) {
    person(s, PersonName::of("", &["Noor"], "Abara"), "female", 0);
    s.born = s.hospital.now_ms - 8 * 30 * DAY - 9 * DAY;
    (s.weight, s.height) = (84, 69);
    present(s, &FEVER_CHILD, 15 * MINUTE);
    s.allergies.clear();
}

fn pregnant(s: &mut Story) {
    person(s, PersonName::of("Ms", &["Thandiwe"], "O'Marrow"), "female", 31);
    present(s, &ABDOMEN, 50 * MINUTE);
    s.pregnant = true;
    s.blood_group = Some(("O negative", true));
    let recorded = ago(s, 40 * MINUTE);
    s.allergies = vec![Allergy::none(&NO_KNOWN_ALLERGY, recorded)];
}

fn pacemaker(s: &mut Story) {
    person(s, PersonName::of("Mr", &["Stellan"], "Järvinen"), "male", 79);
    present(s, &HEART_FAILURE, 31 * HOUR);
    lives_with(s, "I48.91", "Atrial fibrillation", 11);
    lives_with(s, "I50.9", "Heart failure", 5);
    takes(s, &DIGOXIN, 900);
    takes(s, &FUROSEMIDE, 900);
    takes(s, &APIXABAN, 900);
    s.labs = vec![
        (&DIGOXIN_LEVEL, 28),
        (&K, 26),
        (&CREATININE, 168),
        (&MAGNESIUM, 61),
    ];
    s.implants = vec![Implant::Pacemaker];
    s.code_status = Some(CodeStatus::Full);
    let recorded = ago(s, 1_000 * DAY);
    s.allergies = vec![Allergy::to(&SULFA, &[&RASH], "moderate", recorded)];
}

fn septic_shock(s: &mut Story) {
    person(
        s,
        PersonName::of("Mrs", &["Małgorzata"], "Łęcka-Dębska"),
        "female",
        74,
    );
    present(s, &SEPTIC_SHOCK, 40 * HOUR);
    s.isolation = "Contact isolation: MRSA";
    s.code_status = Some(CodeStatus::DoNotResuscitate);
    let recorded = ago(s, 39 * HOUR);
    s.allergies = vec![Allergy::to(&CEFAZOLIN, &[&RASH], "mild", recorded).state("active", "unconfirmed")];
}

fn transplant(s: &mut Story) {
    person(s, PersonName::of("Mr", &["Minh"], "Đặng"), "male", 52);
    present(s, &PNEUMONIA, 20 * HOUR);
    lives_with(s, "Z94.0", "Kidney transplant", 3);
    takes(s, &TACROLIMUS, 1_000);
    takes(s, &MYCOPHENOLATE, 1_000);
    takes(s, &PREDNISOLONE, 1_000);
    takes(s, &CLARITHROMYCIN, 0);
}

fn deceased(s: &mut Story) {
    person(s, PersonName::of("Mr", &["Arne"], "Søndergaard"), "male", 91);
    present(s, &KIDNEY, 4 * DAY);
    s.died = Some(ago(s, 50 * MINUTE));
    s.code_status = Some(CodeStatus::DoNotResuscitateOrIntubate);
    s.medicines.clear();
}

fn changed_medicines(s: &mut Story) {
    person(s, PersonName::of("Ms", &["Chidinma"], "Okafor"), "female", 72);
    present(s, &GI_BLEED, 3 * DAY);
    lives_with(s, "I48.91", "Atrial fibrillation", 2);
    takes(s, &WARFARIN, 4);
    takes(s, &METOPROLOL, 700);
    for medicine in &mut s.medicines {
        if medicine.drug == &METOPROLOL {
            medicine.taken = Taken::OnHold;
        }
    }
    let (start, stop) = (ago(s, 800 * DAY), ago(s, 5 * DAY));
    s.medicines.push(Medicine {
        drug: &APIXABAN,
        taken: Taken::Stopped,
        start,
        stop: Some(stop),
        reported: false,
        statement: false,
        in_stay: false,
    });
    s.labs.push((&INR, 31));
    s.lab_trouble = true;
}

fn preliminary_group(s: &mut Story) {
    s.blood_group = Some(("B positive", false));
}

fn home_yesterday(s: &mut Story) {
    let end = ago(s, 22 * HOUR);
    let stay = Stay {
        ward: &crate::facility::WARD_A,
        bed: 4,
        arrived: end - 70 * HOUR,
        ended: Some(end),
        presentation: &PNEUMONIA,
        esi: 3,
    };
    present(s, &PNEUMONIA, 0);
    s.stay = Some(stay);
    s.died = None;
    s.vitals = WELL;
    s.labs.clear();
    s.medicines.clear();
    s.diagnoses.clear();
    let mut rng = s.rng(78);
    this_stay(s, &mut rng);
    takes(s, &LEVOTHYROXINE, 500);
    lives_with(s, "E03.9", "Hypothyroidism", 4);
    let recorded = ago(s, 3 * DAY);
    s.allergies = vec![
        Allergy::to(&VANCOMYCIN_AGENT, &[&RASH], "moderate", recorded),
        Allergy::to(&PENICILLIN, &[&ANAPHYLAXIS], "severe", recorded),
    ];
}
