//! What is true of patient `n`: person, place, problems, medicines, allergies and the state they are in.
//!
//! A story knows no FHIR and no probability: `draw` makes it from the seed and `n` alone, `showcase` bends a few,
//! `write` spells them. Nothing about one patient depends on another.

use crate::Hospital;
use crate::facility::WardPlan;
use crate::formulary::{Agent, Drug, Manifestation};
use crate::measures::{Lab, Vitals};
use crate::names::PersonName;
use crate::problems::Presentation;
use crate::rng::Rng;

/// The streams of a story. The writers' streams begin at [`section::WRITE`].
pub(crate) mod section {
    pub(crate) const PERSON: u64 = 1;
    pub(crate) const STAY: u64 = 2;
    pub(crate) const PROBLEMS: u64 = 3;
    pub(crate) const MEDICINES: u64 = 4;
    pub(crate) const ALLERGIES: u64 = 5;
    pub(crate) const FINDINGS: u64 = 6;
    pub(crate) const WRITE: u64 = 1_000;
}

/// How much of the birth date the record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Day,
    Month,
    Year,
    Nothing,
}

/// A stay in the hospital, running or over.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) ward: &'static WardPlan,
    pub(crate) bed: usize,
    pub(crate) arrived: i64,
    pub(crate) ended: Option<i64>,
    pub(crate) presentation: &'static Presentation,
    /// 1 to 5.
    pub(crate) esi: i64,
}

/// A long-term or acute problem in the record.
#[derive(Debug, Clone)]
pub(crate) struct Diagnosis {
    pub(crate) icd: &'static str,
    pub(crate) text: &'static str,
    /// Code of condition-clinical; empty for an entry made in error.
    pub(crate) clinical: &'static str,
    /// Code of condition-ver-status; may be empty.
    pub(crate) verification: &'static str,
    pub(crate) onset: i64,
    pub(crate) recorded: i64,
    pub(crate) abated: Option<i64>,
    /// Diagnosis of the present stay rather than of the problem list.
    pub(crate) acute: bool,
}

/// Where a prescription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Active,
    OnHold,
    Stopped,
    Completed,
    Mistake,
}

/// A medicine in the record.
#[derive(Debug, Clone)]
pub(crate) struct Medicine {
    pub(crate) drug: &'static Drug,
    pub(crate) taken: Taken,
    pub(crate) start: i64,
    pub(crate) stop: Option<i64>,
    /// Told by the patient or a relative.
    pub(crate) reported: bool,
    /// Recorded as MedicationStatement.
    pub(crate) statement: bool,
    /// Ordered in the present stay.
    pub(crate) in_stay: bool,
}

/// An entry of the allergy list, the statements of absence included.
#[derive(Debug, Clone)]
pub(crate) struct Allergy {
    pub(crate) agent: &'static Agent,
    /// Code of allergyintolerance-clinical; empty for an entry made in error.
    pub(crate) clinical: &'static str,
    /// Code of allergyintolerance-verification; may be empty.
    pub(crate) verification: &'static str,
    /// `allergy`, `intolerance` or empty.
    pub(crate) kind: &'static str,
    /// `low`, `high`, `unable-to-assess` or empty.
    pub(crate) criticality: &'static str,
    pub(crate) reactions: Vec<&'static Manifestation>,
    /// `mild`, `moderate`, `severe` or empty.
    pub(crate) severity: &'static str,
    /// Year of onset; the record has no more of it.
    pub(crate) onset: Option<i64>,
    pub(crate) recorded: i64,
    /// A nurse wrote it down, rather than a physician.
    pub(crate) by_nurse: bool,
    pub(crate) note: &'static str,
}

impl Allergy {
    /// An active, confirmed, high-criticality allergy.
    pub(crate) fn to(
        agent: &'static Agent,
        reactions: &[&'static Manifestation],
        severity: &'static str,
        recorded: i64,
    ) -> Self {
        Self {
            agent,
            clinical: "active",
            verification: "confirmed",
            kind: "allergy",
            criticality: if severity == "severe" { "high" } else { "low" },
            reactions: reactions.to_vec(),
            severity,
            onset: None,
            recorded,
            by_nurse: true,
            note: "",
        }
    }

    /// Somebody asked and was told "none".
    pub(crate) fn none(agent: &'static Agent, recorded: i64) -> Self {
        Self {
            kind: "",
            criticality: "",
            ..Self::to(agent, &[], "", recorded)
        }
    }

    /// The same entry in another state.
    pub(crate) fn state(mut self, clinical: &'static str, verification: &'static str) -> Self {
        self.clinical = clinical;
        self.verification = verification;
        self
    }

    /// The same entry with a remark.
    pub(crate) fn with_note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

/// Cardiopulmonary resuscitation, as ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeStatus {
    Full,
    DoNotResuscitate,
    DoNotResuscitateOrIntubate,
}

/// Something in the body that matters in an emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Implant {
    Pacemaker,
    Defibrillator,
    HipProsthesis,
    MechanicalValve,
    VascularPort,
}

/// Everything true of one patient.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) hospital: Hospital,
    pub(crate) n: u64,
    /// FHIR id.
    pub(crate) id: String,
    pub(crate) mrn: String,
    pub(crate) name: PersonName,
    /// FHIR administrative gender.
    pub(crate) gender: &'static str,
    pub(crate) age: i64,
    pub(crate) born: i64,
    pub(crate) born_known: Known,
    pub(crate) died: Option<i64>,
    pub(crate) stay: Option<Stay>,
    pub(crate) diagnoses: Vec<Diagnosis>,
    pub(crate) medicines: Vec<Medicine>,
    pub(crate) allergies: Vec<Allergy>,
    pub(crate) code_status: Option<CodeStatus>,
    pub(crate) implants: Vec<Implant>,
    /// Isolation in words, empty for none.
    pub(crate) isolation: &'static str,
    pub(crate) fall_risk: bool,
    pub(crate) pregnant: bool,
    /// Words and whether the sample is final.
    pub(crate) blood_group: Option<(&'static str, bool)>,
    /// Tenths of a kilogram.
    pub(crate) weight: i64,
    /// Centimetres.
    pub(crate) height: i64,
    /// The newest vital signs.
    pub(crate) vitals: Vitals,
    /// Newest values that differ from usual.
    pub(crate) labs: Vec<(&'static Lab, i64)>,
    /// One of the patients shown on purpose: nothing about the newest values is left to chance.
    pub(crate) shown: bool,
    /// The newest draw holds a corrected and a cancelled result.
    pub(crate) lab_trouble: bool,
}

impl Story {
    /// Present in the hospital.
    pub(crate) fn in_house(&self) -> bool {
        self.stay.as_ref().is_some_and(|s| s.ended.is_none())
    }

    /// `id-suffix`.
    pub(crate) fn sub(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.id)
    }

    /// A stream of this patient's own.
    pub(crate) const fn rng(&self, section: u64) -> Rng {
        Rng::stream(self.hospital.seed, self.n, section)
    }

    /// The newest moment of the record: now for those in a bed, the end of the stay for the others.
    pub(crate) fn newest(&self) -> i64 {
        match &self.stay {
            Some(Stay { ended: Some(end), .. }) => *end,
            _ => self.died.unwrap_or(self.hospital.now_ms),
        }
    }
}
