//! Drawing a story: which person, place, problems, medicines and allergies the seed gives to patient `n`.
//!
//! Probabilities live here and nowhere else; the shapes are in `story`. Called by `showcase` and `heavy`.

use crate::Hospital;
use crate::calendar::{DAY, HOUR, MINUTE, YEAR};
use crate::facility;
use crate::formulary::*;
use crate::measures::{DIGOXIN_LEVEL, INR, WELL};
use crate::names::{self, Given};
use crate::problems::*;
use crate::rng::Rng;
use crate::story::{Allergy, CodeStatus, Diagnosis, Implant, Known, Medicine, Stay, Story, Taken, section};

/// Medical record number: eight digits, different for every `n` below 90 million (38,196,601 shares no factor with
/// 90,000,000).
pub(crate) fn mrn(n: u64) -> String {
    let spread = (u128::from(n) * 38_196_601 + 34_710_932) % 90_000_000;
    format!("{}", 10_000_000 + spread)
}

/// Number on the band of patient `n` below ten thousand million: under a prefix that GS1 keeps for demonstrations (952); the last
/// digit checks the others.
pub(crate) fn gsrn(n: u64) -> String {
    let digits = format!("9521234{n:010}");
    let weighed = |(at, digit): (usize, u8)| u32::from(digit - b'0') * if at % 2 == 0 { 3 } else { 1 };
    let sum: u32 = digits.bytes().enumerate().map(weighed).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// The story of patient `n` before anything is bent.
pub(crate) fn draw(hospital: Hospital, n: u64) -> Story {
    let now = hospital.now_ms;
    let stay = draw_stay(hospital, n);
    let mut rng = Rng::stream(hospital.seed, n, section::PERSON);
    let youngest = stay.as_ref().map_or(0, |s| s.presentation.youngest);
    let adults_only = stay
        .as_ref()
        .is_some_and(|s| s.ended.is_none() && s.ward.id != "ED");
    let child_fever = stay
        .as_ref()
        .is_some_and(|s| s.presentation.complaint == FEVER_CHILD.complaint);
    let age = if child_fever {
        rng.between(0, 6)
    } else {
        let drawn = if rng.chance(13) {
            rng.between(0, 17)
        } else {
            (rng.between(18, 94) + rng.between(18, 94)) / 2
        };
        drawn.max(youngest).max(if adults_only { 18 } else { 0 })
    };
    let (gender, given) = match rng.below(200) {
        0..=98 => ("female", Given::Female),
        99..=195 => ("male", Given::Male),
        196 | 197 => ("other", Given::Neutral),
        _ => ("unknown", Given::Neutral),
    };
    let name = names::draw(&mut rng, given);
    let first_seen = stay.as_ref().map_or(now - 330 * DAY, |s| s.arrived);
    let born = (now - age * YEAR - rng.between(1, 360) * DAY).min(first_seen - 70 * DAY);
    let age = (now - born) / YEAR;
    let born_known = match rng.below(100) {
        0..=1 => Known::Year,
        2..=3 => Known::Month,
        4 => Known::Nothing,
        _ => Known::Day,
    };
    let (weight, height) = size(&mut rng, age, gender);
    let died = stay
        .as_ref()
        .and_then(|s| s.ended)
        .filter(|_| age > 60 && rng.chance(5))
        .map(|end| end + (now - end) * rng.between(0, 60) / 100);
    let mut story = Story {
        hospital,
        n,
        id: crate::patient_id(n),
        mrn: mrn(n),
        name,
        gender,
        age,
        born,
        born_known,
        died,
        stay,
        diagnoses: Vec::new(),
        medicines: Vec::new(),
        allergies: Vec::new(),
        code_status: None,
        implants: Vec::new(),
        isolation: "",
        fall_risk: false,
        pregnant: false,
        blood_group: None,
        weight,
        height,
        vitals: WELL,
        labs: Vec::new(),
        shown: false,
        lab_trouble: false,
    };
    draw_problems(&mut story);
    draw_allergies(&mut story);
    draw_findings(&mut story);
    story
}

/// Weight in tenths of a kilogram and height in centimetres for an age.
fn size(rng: &mut Rng, age: i64, gender: &str) -> (i64, i64) {
    if age >= 16 {
        let height = if gender == "female" {
            rng.between(152, 178)
        } else {
            rng.between(163, 193)
        };
        let index = rng.between(195, 345);
        return (index * height * height / 10_000, height);
    }
    let height = 62 + age * 7 + rng.between(-4, 4);
    let weight = 65 + age * 27 + rng.between(-10, 20);
    (weight, height)
}

fn draw_stay(hospital: Hospital, n: u64) -> Option<Stay> {
    let mut rng = Rng::stream(hospital.seed, n, section::STAY);
    let now = hospital.now_ms;
    if let Some((ward, bed)) = facility::bed_of(n) {
        let mask = match ward.id {
            "ED" => IN_ED,
            "ICU" => IN_ICU,
            _ => IN_WARD,
        };
        let fitting: Vec<&'static Presentation> = PRESENTATIONS
            .iter()
            .copied()
            .filter(|p| p.places & mask != 0)
            .collect();
        let presentation = rng.pick(&fitting).copied().unwrap_or(&CHEST_PAIN);
        let since = match ward.id {
            "ED" => rng.between(12, 520) * MINUTE,
            "ICU" => rng.between(9, 21 * 24) * HOUR + rng.between(0, 59) * MINUTE,
            _ => rng.between(8, 14 * 24) * HOUR + rng.between(0, 59) * MINUTE,
        };
        let esi = (presentation.esi + i64::from(rng.chance(25))).clamp(1, 5);
        return Some(Stay {
            ward,
            bed,
            arrived: now - since,
            ended: None,
            presentation,
            esi,
        });
    }
    if !rng.chance(80) {
        return None;
    }
    let presentation = rng.pick(PRESENTATIONS).copied().unwrap_or(&CHEST_PAIN);
    let (ward, hours) = if presentation.places & IN_ED != 0 && rng.chance(60) {
        (&facility::ED, rng.between(2, 11))
    } else if presentation.places & IN_WARD != 0 {
        (&facility::WARD_A, rng.between(26, 190))
    } else if presentation.places & IN_ICU != 0 {
        (&facility::ICU, rng.between(30, 300))
    } else {
        (&facility::ED, rng.between(2, 11))
    };
    let ended = now - rng.between(20, 700 * 24) * HOUR - rng.between(0, 59) * MINUTE;
    let bed = rng.below(ward.beds as u64) as usize;
    let arrived = ended - hours * HOUR;
    Some(Stay {
        ward,
        bed,
        arrived,
        ended: Some(ended),
        presentation,
        esi: presentation.esi,
    })
}

fn draw_problems(story: &mut Story) {
    let now = story.hospital.now_ms;
    let mut rng = story.rng(section::PROBLEMS);
    let mut pills = story.rng(section::MEDICINES);
    for problem in PROBLEMS {
        let weight = if problem.from_age < 18 {
            60
        } else {
            story.age.clamp(20, 95)
        };
        let likely = problem.per_mille * (weight.unsigned_abs().pow(2)) / 3_600;
        if story.age < problem.from_age || rng.below(1_000) >= likely {
            continue;
        }
        let since = story.age.min(rng.between(1, 18)) * YEAR + rng.between(0, 300) * DAY;
        let onset = (now - since).max(story.born + DAY);
        story.diagnoses.push(Diagnosis {
            icd: problem.icd,
            text: problem.text,
            clinical: "active",
            verification: if rng.chance(92) { "confirmed" } else { "" },
            onset,
            recorded: onset + 9 * DAY,
            abated: None,
            acute: false,
        });
        for &(drug, percent) in problem.drugs {
            if pills.chance(percent) {
                long_term(story, &mut pills, drug, onset);
            }
        }
    }
    if pills.chance(6)
        && story.age >= 18
        && let Some(&(a, b)) = pills.pick(INTERACTING)
    {
        for drug in [a, b] {
            long_term(story, &mut pills, drug, now - 90 * DAY);
        }
    }
    past_problems(story, &mut rng);
    this_stay(story, &mut pills);
}

/// Adds a medicine taken at home, unless it stands already.
fn long_term(story: &mut Story, rng: &mut Rng, drug: &'static Drug, since: i64) {
    if story.medicines.iter().any(|m| m.drug == drug) {
        return;
    }
    let now = story.hospital.now_ms;
    let newest = story.newest();
    let start = since.max(now - 6 * YEAR) + rng.between(1, 40) * DAY;
    let start = start.min(newest - DAY);
    let (taken, stop) = match rng.below(100) {
        0..=3 => (Taken::OnHold, None),
        4..=7 => (Taken::Stopped, Some(newest - rng.between(6, 6 * 24) * HOUR)),
        8..=11 => (Taken::Completed, Some(newest - rng.between(20, 400) * DAY)),
        12 => (Taken::Mistake, None),
        _ => (Taken::Active, None),
    };
    let stop = stop.map(|s| s.max(start + HOUR));
    let (reported, statement) = (rng.chance(18), rng.chance(12));
    story.medicines.push(Medicine {
        drug,
        taken,
        start,
        stop,
        reported: reported || statement,
        statement,
        in_stay: false,
    });
}

fn past_problems(story: &mut Story, rng: &mut Rng) {
    let now = story.hospital.now_ms;
    let mut past = |rng: &mut Rng, table: &'static [(&str, &str)], clinical, verification| {
        let Some(&(icd, text)) = rng.pick(table) else {
            return;
        };
        let years = rng.between(1, 12).min(story.age.max(1) - 1).max(0);
        let onset = (now - years * YEAR - rng.between(30, 300) * DAY).max(story.born + DAY);
        let abated = Some(onset + rng.between(4, 20) * DAY).filter(|_| clinical == "resolved");
        story.diagnoses.push(Diagnosis {
            icd,
            text,
            clinical,
            verification,
            onset,
            recorded: onset + DAY,
            abated,
            acute: false,
        });
    };
    if rng.chance(38) {
        past(rng, RESOLVED, "resolved", "confirmed");
    }
    if rng.chance(9) {
        past(rng, REFUTED, "inactive", "refuted");
    }
    if rng.chance(2) {
        past(rng, REFUTED, "", "entered-in-error");
    }
}

/// The diagnosis and medicines of the stay.
pub(crate) fn this_stay(story: &mut Story, rng: &mut Rng) {
    let Some(stay) = story.stay.clone() else { return };
    let p = stay.presentation;
    let over = stay.ended.is_some();
    let sure = stay.ward.id != "ED" || rng.chance(35);
    story.diagnoses.push(Diagnosis {
        icd: p.icd,
        text: p.diagnosis,
        clinical: if over { "resolved" } else { "active" },
        verification: if sure || over { "confirmed" } else { "provisional" },
        onset: stay.arrived - rng.between(1, 30) * HOUR,
        recorded: stay.arrived + rng.between(5, 11) * MINUTE,
        abated: stay.ended,
        acute: true,
    });
    for &drug in p.drugs {
        if story.age < 16 && drug != &PARACETAMOL && drug != &SALBUTAMOL {
            continue;
        }
        if story.medicines.iter().any(|m| m.drug == drug) {
            continue;
        }
        let start = stay.arrived + rng.between(6, 11) * MINUTE;
        let taken = if over { Taken::Completed } else { Taken::Active };
        let medicine = Medicine {
            drug,
            taken,
            start,
            stop: stay.ended,
            reported: false,
            statement: false,
            in_stay: true,
        };
        story.medicines.push(medicine);
    }
    if !over {
        story.vitals = p.vitals;
        story.labs = p.labs.to_vec();
    }
    if story.age < 14 {
        let faster = if story.age < 2 {
            3
        } else if story.age < 8 {
            2
        } else {
            1
        };
        story.vitals.pulse += 14 * faster;
        story.vitals.breaths += 5 * faster;
        story.vitals.systolic -= 11 * faster;
        story.vitals.diastolic -= 8 * faster;
    }
    let active = |drug: &Drug| {
        story
            .medicines
            .iter()
            .any(|m| m.taken == Taken::Active && m.drug == drug)
    };
    let (warfarin, digoxin) = (active(&WARFARIN), active(&DIGOXIN));
    if warfarin {
        story.labs.push((&INR, rng.between(18, 42)));
    }
    if digoxin {
        story.labs.push((&DIGOXIN_LEVEL, rng.between(5, 14)));
    }
}

fn draw_allergies(story: &mut Story) {
    let mut rng = story.rng(section::ALLERGIES);
    let newest = story.newest();
    let oldest = story.born + 30 * DAY;
    let arrived = story.stay.as_ref().map_or(newest - 200 * DAY, |s| s.arrived);
    let asked = (arrived + rng.between(4, 11) * MINUTE).min(newest);
    let known = |rng: &mut Rng| {
        let recorded = (newest - rng.between(1, 2_600) * DAY).max(oldest);
        let agent = rng.pick(AGENTS).copied().unwrap_or(&PENICILLIN);
        let mut allergy = if rng.chance(17) {
            Allergy::to(agent, &[&ANAPHYLAXIS], "severe", recorded)
        } else {
            let reaction = rng.pick(REACTIONS).copied().unwrap_or(&RASH);
            let severity = rng.word(&["mild", "moderate", "moderate", "", "severe"]);
            Allergy::to(agent, &[reaction], severity, recorded)
        };
        if rng.chance(12) {
            allergy.reactions.clear();
        }
        if rng.chance(14) {
            (allergy.kind, allergy.criticality) = ("intolerance", "low");
        }
        if rng.chance(10) {
            allergy.criticality = rng.word(&["unable-to-assess", ""]);
        }
        allergy.verification = rng.word(&[
            "confirmed",
            "confirmed",
            "confirmed",
            "unconfirmed",
            "unconfirmed",
            "",
        ]);
        if rng.chance(35) {
            allergy.onset = Some((recorded - rng.between(0, 3_000) * DAY).max(oldest));
        }
        allergy.by_nurse = rng.chance(70);
        allergy
    };
    match rng.below(100) {
        0..=41 => story.allergies.push(Allergy::none(&NO_KNOWN_ALLERGY, asked)),
        42..=47 => story.allergies.push(Allergy::none(&NO_KNOWN_DRUG_ALLERGY, asked)),
        48..=59 => {}
        60..=61 => {
            story.allergies.push(Allergy::none(&NO_KNOWN_ALLERGY, asked));
            story.allergies.push(known(&mut rng));
        }
        62..=64 => story.allergies.push(known(&mut rng).state("inactive", "refuted")),
        65..=66 => story
            .allergies
            .push(known(&mut rng).state("", "entered-in-error")),
        67..=68 => story
            .allergies
            .push(known(&mut rng).state("resolved", "confirmed")),
        69 => story
            .allergies
            .push(known(&mut rng).state("inactive", "confirmed")),
        drawn => {
            for _ in 0..=u64::from(drawn > 84) + u64::from(drawn > 95) {
                let allergy = known(&mut rng);
                if !story.allergies.iter().any(|a| a.agent == allergy.agent) {
                    story.allergies.push(allergy);
                }
            }
        }
    }
}

fn draw_findings(story: &mut Story) {
    let mut rng = story.rng(section::FINDINGS);
    let old = story.age >= 75;
    story.code_status = match rng.below(100) {
        0..=5 if old => Some(CodeStatus::DoNotResuscitateOrIntubate),
        0..=17 if old => Some(CodeStatus::DoNotResuscitate),
        20..=69 if story.in_house() => Some(CodeStatus::Full),
        20..=29 => Some(CodeStatus::Full),
        _ => None,
    };
    let heart = story
        .diagnoses
        .iter()
        .any(|d| d.icd == "I48.91" || d.icd == "I50.9");
    if heart && rng.chance(22) {
        story.implants.push(if rng.chance(70) {
            Implant::Pacemaker
        } else {
            Implant::Defibrillator
        });
    }
    let warfarin = story
        .medicines
        .iter()
        .any(|m| m.drug == &WARFARIN && m.taken == Taken::Active);
    if warfarin && rng.chance(15) {
        story.implants.push(Implant::MechanicalValve);
    }
    if story.age > 65 && rng.chance(9) {
        story.implants.push(Implant::HipProsthesis);
    }
    if story.diagnoses.iter().any(|d| d.icd == "C34.90") {
        story.implants.push(Implant::VascularPort);
    }
    if story.in_house() && rng.chance(14) {
        story.isolation = rng.word(&[
            "Contact isolation: MRSA",
            "Contact isolation: C. difficile",
            "Droplet isolation: influenza",
            "Airborne isolation: suspected tuberculosis",
        ]);
    }
    story.fall_risk = old && rng.chance(45);
    story.pregnant = story.gender == "female" && (18..=43).contains(&story.age) && rng.chance(6);
    let group = rng.word(&[
        "O positive",
        "O positive",
        "A positive",
        "A positive",
        "B positive",
        "O negative",
        "A negative",
        "AB positive",
    ]);
    if rng.chance(if story.in_house() { 45 } else { 20 }) {
        story.blood_group = Some((group, rng.chance(90)));
    }
}
