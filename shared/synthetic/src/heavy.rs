//! The patient with the long record: fifteen years in as many resources as asked for, in bundles of at most 500.
//!
//! The essentials come first, then contacts with the hospital of a hundred resources each, oldest first, so that a
//! reference always leads backwards. Memory is that of one bundle. Called by `lib`.

use crate::Hospital;
use crate::calendar::{DAY, MINUTE, YEAR, instant};
use crate::draw;
use crate::facility::{self, HEAVY_BED, ICU, StaffRole};
use crate::fhir::{self, Bundle, HL7, LOINC};
use crate::formulary::*;
use crate::json::{Json, base64, decimal};
use crate::measures::*;
use crate::names::PersonName;
use crate::problems::VENTILATED;
use crate::rng::Rng;
use crate::story::{Allergy, CodeStatus, Implant, Known, Medicine, Stay, Story, Taken};
use crate::write;

/// FHIR id of the patient with the long record.
pub const HEAVY_PATIENT: &str = "p-heavy";
/// A record number no other patient has: theirs never begin with 0.
pub(crate) const HEAVY_MRN: &str = "09999990";

/// Most entries of a bundle.
const BUNDLE: usize = 500;
/// Resources of one contact with the hospital.
const CONTACT: usize = 100;

pub(crate) fn person() -> PersonName {
    PersonName::of("Mrs", &["Wanjiru"], "Hale-Morrow")
}

/// The story of the patient with the long record: a lung patient in intensive care.
fn story(hospital: Hospital) -> Story {
    let mut s = draw::draw(hospital, u64::MAX / 2);
    let now = hospital.now_ms;
    s.id = HEAVY_PATIENT.to_owned();
    s.mrn = HEAVY_MRN.to_owned();
    s.name = person();
    (s.gender, s.age, s.born, s.born_known) = ("female", 66, now - 66 * YEAR - 40 * DAY, Known::Day);
    (s.died, s.pregnant, s.shown, s.isolation) = (None, false, true, "");
    (s.weight, s.height) = (612, 163);
    s.stay = Some(Stay {
        ward: &ICU,
        bed: HEAVY_BED,
        arrived: now - 52 * 60 * MINUTE,
        ended: None,
        presentation: &VENTILATED,
        esi: 1,
    });
    s.diagnoses.clear();
    s.medicines.clear();
    let mut rng = s.rng(79);
    draw::this_stay(&mut s, &mut rng);
    for drug in [&WARFARIN, &AMIODARONE, &PREDNISOLONE, &GLARGINE, &TIOTROPIUM] {
        s.medicines.push(Medicine {
            drug,
            taken: Taken::Active,
            start: now - 800 * DAY,
            stop: None,
            reported: false,
            statement: false,
            in_stay: false,
        });
    }
    s.allergies = vec![
        Allergy::to(&PENICILLIN, &[&ANAPHYLAXIS], "severe", now - 4_000 * DAY),
        Allergy::to(&LATEX, &[&HIVES], "moderate", now - 3_000 * DAY),
    ];
    s.code_status = Some(CodeStatus::Full);
    s.implants = vec![Implant::Pacemaker];
    s.blood_group = Some(("B positive", true));
    s
}

/// The bundles of the long record.
#[derive(Debug)]
pub(crate) struct Bundles {
    hospital: Hospital,
    /// Resources of the history, and how many of them are written.
    history: usize,
    written: usize,
    left: usize,
    begun: bool,
}

impl Bundles {
    pub(crate) fn new(hospital: Hospital, resources: usize) -> Self {
        let mut essentials = Bundle::of_at_most(usize::MAX);
        write::essentials_into(&mut essentials, &story(hospital));
        let history = resources.saturating_sub(essentials.count());
        Self {
            hospital,
            history,
            written: 0,
            left: resources,
            begun: false,
        }
    }
}

impl Iterator for Bundles {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.left == 0 {
            return None;
        }
        let size = self.left.min(BUNDLE);
        let mut bundle = Bundle::of_at_most(size);
        if !self.begun {
            self.begun = true;
            write::essentials_into(&mut bundle, &story(self.hospital));
        }
        while bundle.count() < size {
            history(&mut bundle, self.hospital, self.written, self.history);
            self.written += 1;
        }
        self.left -= size;
        Some(bundle.close())
    }
}

const TESTS: &[&Lab] = &[
    &SODIUM,
    &K,
    &CREATININE,
    &UREA,
    &GLUCOSE,
    &HB,
    &WBC,
    &PLATELETS,
    &CRP,
    &INR,
];

/// Resource `j` of `total` of the history.
fn history(bundle: &mut Bundle, hospital: Hospital, j: usize, total: usize) {
    let (contact, place) = (j / CONTACT, j % CONTACT);
    let contacts = total.div_ceil(CONTACT).max(1) as i64;
    let span = 15 * YEAR - 90 * DAY;
    let start = hospital.now_ms - 15 * YEAR + span / contacts * contact as i64;
    let mut rng = Rng::stream(hospital.seed, j as u64, 8_001);
    let visit = format!("{HEAVY_PATIENT}-e{contact}");
    match place {
        0 => encounter(bundle, &visit, start, &mut rng),
        1..=64 => vital(bundle, &visit, place, start, &mut rng),
        65..=94 => lab(bundle, &visit, place, start, &mut rng),
        95 => report(bundle, &visit, start),
        _ => note(bundle, &visit, place, start, &mut rng),
    }
}

fn about(w: &mut Json, visit: &str) {
    fhir::reference(w, "subject", "Patient", HEAVY_PATIENT);
    fhir::reference(w, "encounter", "Encounter", visit);
}

fn encounter(bundle: &mut Bundle, visit: &str, start: i64, rng: &mut Rng) {
    bundle.put("Encounter", visit, |w| {
        w.str("status", "finished");
        let (code, shown) = rng
            .pick(&[
                ("EMER", "emergency"),
                ("IMP", "inpatient encounter"),
                ("AMB", "ambulatory"),
            ])
            .copied()
            .unwrap_or(("AMB", "ambulatory"));
        fhir::bare_coding(w, "class", &format!("{HL7}v3-ActCode"), code, shown);
        fhir::reference(w, "subject", "Patient", HEAVY_PATIENT);
        fhir::period(
            w,
            "period",
            &instant(start),
            Some(&instant(start + 9 * 60 * MINUTE)),
        );
        w.one("reasonCode", |w| {
            w.str(
                "text",
                rng.word(&[
                    "Breathlessness",
                    "Clinic review",
                    "Chest infection",
                    "Medicine review",
                    "Palpitations",
                ]),
            )
        });
    });
}

fn vital(bundle: &mut Bundle, visit: &str, place: usize, start: i64, rng: &mut Rng) {
    let (code, value, unit, ucum) = match place % 4 {
        0 => (
            ("8867-4", "Heart rate", "Heart rate"),
            rng.between(62, 118).to_string(),
            "beats/minute",
            "/min",
        ),
        1 => (
            ("9279-1", "Respiratory rate", "Respiratory rate"),
            rng.between(12, 27).to_string(),
            "breaths/minute",
            "/min",
        ),
        2 => (
            (
                "59408-5",
                "Oxygen saturation in Arterial blood by Pulse oximetry",
                "SpO2",
            ),
            rng.between(86, 98).to_string(),
            "%",
            "%",
        ),
        _ => (
            ("8310-5", "Body temperature", "Temperature"),
            decimal(rng.between(361, 389), 1),
            "C",
            "Cel",
        ),
    };
    observation(
        bundle,
        &format!("{visit}-v{place}"),
        visit,
        "vital-signs",
        code,
        start + (place as i64 / 4) * 30 * MINUTE,
        |w| {
            fhir::quantity(w, "valueQuantity", &value, unit, ucum);
        },
    );
}

fn observation(
    bundle: &mut Bundle,
    id: &str,
    visit: &str,
    category: &str,
    code: (&str, &str, &str),
    at: i64,
    value: impl FnOnce(&mut Json),
) {
    bundle.put("Observation", id, |w| {
        w.str("status", "final");
        fhir::hl7s(w, "category", "observation-category", category, "");
        fhir::concept(w, "code", LOINC, code.0, code.1, code.2);
        about(w, visit);
        w.str("effectiveDateTime", &instant(at));
        value(w);
    });
}

fn lab(bundle: &mut Bundle, visit: &str, place: usize, start: i64, rng: &mut Rng) {
    let turn = place - 65;
    let test = TESTS.get(turn % TESTS.len()).copied().unwrap_or(&K);
    let value = (test.usual + rng.between(-3 * test.spread, 4 * test.spread)).max(1);
    let at = start + (turn / TESTS.len()) as i64 * 180 * MINUTE + 12 * MINUTE;
    observation(
        bundle,
        &format!("{visit}-l{turn}"),
        visit,
        "laboratory",
        (test.loinc, test.name, test.said),
        at,
        |w| {
            fhir::quantity(
                w,
                "valueQuantity",
                &decimal(value, test.places),
                test.unit,
                test.ucum,
            );
            fhir::hl7s(
                w,
                "interpretation",
                "v3-ObservationInterpretation",
                test.interpret(value),
                "",
            );
            w.one("referenceRange", |w| {
                fhir::quantity(w, "low", &decimal(test.low, test.places), test.unit, test.ucum);
                fhir::quantity(w, "high", &decimal(test.high, test.places), test.unit, test.ucum);
            });
        },
    );
}

fn report(bundle: &mut Bundle, visit: &str, start: i64) {
    bundle.put("DiagnosticReport", &format!("{visit}-r1"), |w| {
        w.str("status", "final");
        fhir::hl7s(w, "category", "v2-0074", "LAB", "Laboratory");
        fhir::concept(w, "code", LOINC, CHEMISTRY.loinc, CHEMISTRY.name, CHEMISTRY.said);
        about(w, visit);
        w.str("effectiveDateTime", &instant(start + 12 * MINUTE));
        w.str("issued", &instant(start + 40 * MINUTE));
        w.arr("result", |w| {
            for turn in 0..TESTS.len() {
                w.item(|w| w.str("reference", &format!("Observation/{visit}-l{turn}")));
            }
        });
    });
}

fn note(bundle: &mut Bundle, visit: &str, place: usize, start: i64, rng: &mut Rng) {
    let at = start + (place as i64 - 94) * 70 * MINUTE;
    let (author, shown) = facility::signer(ICU.id, StaffRole::Physician, place as u64);
    let text = format!(
        "PROGRESS NOTE\n{} {}\nPlan: {}\n",
        rng.word(&[
            "Breathing easier than yesterday.",
            "Cough unchanged.",
            "Feels well.",
            "Tired, appetite poor."
        ]),
        rng.word(&[
            "Chest clear on both sides.",
            "Crackles at the right base.",
            "No oedema.",
            "Rate controlled."
        ]),
        rng.word(&[
            "continue.",
            "reduce steroid by 5 mg each week.",
            "repeat bloods at next visit.",
            "INR in one week."
        ]),
    );
    bundle.put("DocumentReference", &format!("{visit}-n{place}"), |w| {
        w.str("status", "current");
        fhir::concept(w, "type", LOINC, "11506-3", "Progress note", "Progress note");
        fhir::reference(w, "subject", "Patient", HEAVY_PATIENT);
        w.str("date", &instant(at));
        w.one("author", |w| {
            w.str("reference", &format!("Practitioner/{author}"));
            w.str("display", &shown);
        });
        w.one("content", |w| {
            w.obj("attachment", |w| {
                w.str("contentType", "text/plain; charset=utf-8");
                w.str("data", &base64(text.as_bytes()));
            });
        });
        w.obj("context", |w| {
            w.one("encounter", |w| w.str("reference", &format!("Encounter/{visit}")))
        });
    });
}
