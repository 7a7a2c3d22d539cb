//! The emergency card: what must be on the screen within one second of breaking the glass.
//!
//! It is derived by one pure function, [`emergency_card`], from the facts a patient's resources state, stored per
//! patient and updated in the same transaction as the resource. Negatives are the danger: a refuted, inactive or
//! mistaken entry and "no known allergy" must each come out as what they are.

use crate::{PatientId, ResourceKey, UtcMs, WardId};
use serde::{Deserialize, Serialize};

mod allergy;
pub(crate) mod condition;
pub mod critical;
mod derive;
pub mod dispute;
mod high_risk;
pub(crate) mod measured;
pub(crate) mod medication;
mod negation;
pub(crate) mod place;
pub mod shown;
mod statement;
mod withheld;
pub(crate) use allergy::allergen_says;
pub use allergy::is_lethal;
pub use critical::{CriticalItem, CriticalMark, Taken};
pub use derive::{CardFact, CardSlot, card_slot, emergency_card};
pub use dispute::AllergyChange;
pub use withheld::{Reduced, labelled_card};

/// Whether a block of the card has something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockState {
    /// At least one entry follows.
    Recorded,
    /// Nothing of this kind is in the record. Never to be read as "none".
    NotRecorded,
    /// The record could not be read; made by a view, never stored.
    Unavailable,
}

/// One block: its entries and as of when the newest of them was stated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block<T> {
    /// Whether `items` says anything.
    pub state: BlockState,
    /// The entries, in display order.
    pub items: Vec<T>,
    /// When the newest underlying resource was stated (recorded, authored, effective), by the record's own words.
    pub as_of: Option<UtcMs>,
}

/// Exactly one of four states; the word "none" needs a person who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllergyState {
    /// At least one active allergy or intolerance, of whatever certainty.
    Known,
    /// Somebody stated "no known allergies" and no active allergy contradicts it.
    NoneKnown,
    /// Nobody has asked, or nobody has written it down.
    NotRecorded,
    /// The record could not be read; made by a view, never stored.
    Unavailable,
}

/// The allergy block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllergyBlock {
    /// The state shown in the strip.
    pub state: AllergyState,
    /// Active allergies, most dangerous first.
    pub items: Vec<AllergyItem>,
    /// Statements of absence ("no known allergy", "no ibuprofen allergy"): shown beside, never instead of, `items`.
    pub negatives: Vec<NegativeStatement>,
    /// A "no known allergies" statement stands beside an active allergy.
    pub conflict: bool,
    /// When the newest of them was recorded.
    pub as_of: Option<UtcMs>,
    /// What people changed: all that contradicts the record and waits for a person, then the newest; `None` = this version cannot read
    /// it, and then nothing is known of contradictions.
    #[serde(
        default = "no_changes",
        skip_serializing_if = "is_no_changes",
        deserialize_with = "critical::lenient"
    )]
    pub changes: Option<Vec<AllergyChange>>,
}

/// Cards derived before there were changes have none.
#[allow(clippy::unnecessary_wraps)]
const fn no_changes() -> Option<Vec<AllergyChange>> {
    Some(Vec::new())
}

#[allow(clippy::ref_option)]
fn is_no_changes(changes: &Option<Vec<AllergyChange>>) -> bool {
    changes.as_ref().is_some_and(Vec::is_empty)
}

/// One active allergy or intolerance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllergyItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// The agent as recorded, never shortened.
    pub agent: String,
    /// False when only free text names the agent: shown as "not checked".
    pub coded: bool,
    /// Reactions as recorded, e.g. "anaphylaxis".
    pub reactions: Vec<String>,
    /// `mild`, `moderate`, `severe` of the worst reaction, or the criticality `high`, `low`, as recorded.
    pub severity: Option<String>,
    /// `allergy` or `intolerance`, where recorded.
    pub kind: Option<String>,
    /// `confirmed`, `unconfirmed`, `presumed`; absent where not recorded.
    pub verification: Option<String>,
    /// Onset or recorded date, as partial as the record has it (`2019`, `2019-05`, `2019-05-03`).
    pub since: Option<String>,
    /// Life-threatening by severity, criticality or reaction (anaphylaxis).
    pub dangerous: bool,
    /// Two changes contradict each other: an allergy until a person has decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
}

/// Somebody stated that something is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeStatement {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// The words, e.g. "No known allergy", "No ibuprofen allergy", "Penicillin: refuted"; for reading [`shown::line`].
    pub text: String,
    /// True for a statement about all allergies ("no known allergies"), false for one about a single agent or class.
    pub all: bool,
    /// Who said so, where recorded.
    pub by: Option<String>,
    /// When, where recorded.
    pub at: Option<UtcMs>,
    /// Of an allergy that was refuted: what the record has of it; absent for everything else, and on cards derived before there was this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuted: Option<Box<Refuted>>,
}

impl NegativeStatement {
    /// The agent of an allergy that was refuted; `None` for every other statement.
    #[must_use]
    pub fn refuted_agent(&self) -> Option<&str> {
        self.text.strip_suffix(allergy::REFUTED)
    }
}

/// An allergy that was looked into and is none: what is shown of it, and what a change of it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuted {
    /// What the record says of it; the reason and the workstation are those of the change that refuted it, where it was one.
    pub record: dispute::Recorded,
    /// A change made here refuted it: who and when are of that, and not of the entry.
    pub changed: bool,
    /// The record's notes on it, where no change says why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One medicine the patient takes, or stopped lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MedicationItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// The name as recorded, never shortened.
    pub name: String,
    /// Dose with unit, from the record, e.g. "3 mg"; absent where not recorded.
    pub dose: Option<String>,
    /// Route, e.g. "oral".
    pub route: Option<String>,
    /// Frequency or the free-text sig, e.g. "once a day".
    pub frequency: Option<String>,
    /// `active`, `on-hold`, `stopped`, `completed`, `unknown`, as recorded.
    pub status: String,
    /// Start, as partial as the record has it.
    pub start: Option<String>,
    /// When it ended, for a stopped one.
    pub stopped: Option<UtcMs>,
    /// Why it is dangerous in an emergency, if it is.
    pub high_risk: Option<HighRisk>,
    /// Reported by the patient or another record rather than ordered here (MedicationStatement, `reported[x]`).
    pub reported: bool,
}

/// High-risk groups, shown first (ISMP list of high-alert medications in acute care settings, 2024: class level).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HighRisk {
    /// Anticoagulants and thrombolytics.
    Anticoagulant,
    /// Insulins.
    Insulin,
    /// Opioids.
    Opioid,
    /// Antiarrhythmics, digoxin included.
    Antiarrhythmic,
    /// Immunosuppressants and cytotoxics.
    Immunosuppressant,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// The words as recorded.
    pub text: String,
    /// `confirmed`, `provisional`, `differential`, `unconfirmed`; absent where not recorded.
    pub verification: Option<String>,
    /// `active`, `recurrence`, `relapse`; absent where not recorded.
    pub clinical_status: Option<String>,
    /// Onset as partial as the record has it.
    pub since: Option<String>,
}

/// A line of text with its source: code status, devices, isolation, blood group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// The words.
    pub text: String,
    /// When it was stated.
    pub at: Option<UtcMs>,
    /// Who stated it, where recorded.
    pub by: Option<String>,
}

/// One measured value, digits exactly as recorded (a decimal never passes through a float).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// What was measured, short: "HR", "BP", "K", "Hb".
    pub label: String,
    /// LOINC code where coded.
    pub code: Option<String>,
    /// The digits (with comparator) or words as recorded, e.g. "6.1", "<0.3", "88/50".
    pub value: String,
    /// The unit as recorded.
    pub unit: Option<String>,
    /// `HH`, `H`, `N`, `L`, `LL`, `A`, … (v3 ObservationInterpretation), as recorded.
    pub interpretation: Option<String>,
    /// Reference range text, e.g. "3.5–5.1".
    pub range: Option<String>,
    /// When measured.
    pub at: Option<UtcMs>,
    /// `preliminary`, `final`, `amended`, `corrected`.
    pub status: String,
}

/// Somebody to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactItem {
    /// Name.
    pub name: String,
    /// "mother", "next of kin", as recorded.
    pub relationship: Option<String>,
    /// Phone as recorded.
    pub phone: Option<String>,
}

/// Who this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Family name, as recorded.
    pub family: Option<String>,
    /// Given names, as recorded.
    pub given: Vec<String>,
    /// Title, e.g. "Ms".
    pub prefix: Option<String>,
    /// A name given only as text.
    pub name_text: Option<String>,
    /// Birth date, as partial as the record has it.
    pub birth_date: Option<String>,
    /// `male`, `female`, `other`, `unknown`; absent where not recorded.
    pub sex: Option<String>,
    /// Medical record number (identifier of type MR, else the first identifier with `usual` use, else the first).
    pub mrn: Option<String>,
    /// Global Service Relation Numbers of bands (GS1, AI 8018), 18 digits each: identifiers of a system of [`crate::scan::SYSTEMS`]
    /// that are not old and whose check digit holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gsrns: Vec<String>,
    /// Set when the record says the patient has died; the date where known, else "yes".
    pub deceased: Option<String>,
    /// False when the Patient resource is marked inactive.
    pub active: bool,
}

/// Where the patient is now, from the encounter in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The ward.
    pub ward: Option<WardId>,
    /// The ward's name.
    pub ward_name: Option<String>,
    /// Bed or bay, as named by its Location.
    pub bed: Option<String>,
    /// `EMER`, `IMP`, `AMB`, …
    pub class: Option<String>,
    /// Chief complaint or reason.
    pub reason: Option<String>,
    /// When the encounter began.
    pub since: Option<UtcMs>,
    /// The encounter.
    pub encounter: Option<ResourceKey>,
    /// Emergency severity 1–5 where the encounter's priority states it.
    pub acuity: Option<String>,
}

/// The emergency card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyCard {
    /// Whose card it is.
    pub patient: PatientId,
    /// Who this is; absent until a Patient resource has arrived.
    pub identity: Option<Identity>,
    /// Where the patient is.
    pub place: Option<Place>,
    /// Allergies in exactly one state.
    pub allergies: AllergyBlock,
    /// Active medicines, high-risk first.
    pub medications: Block<MedicationItem>,
    /// Medicines stopped within seven days before the newest statement.
    pub recently_stopped: Vec<MedicationItem>,
    /// "No known medications", "not taking warfarin": statements of absence, beside and never instead of `medications`.
    #[serde(default)]
    pub medication_statements: Vec<NegativeStatement>,
    /// Active problems.
    pub conditions: Block<ConditionItem>,
    /// "No current problems", "pregnancy: refuted": statements of absence, beside and never instead of `conditions`.
    #[serde(default)]
    pub condition_statements: Vec<NegativeStatement>,
    /// Code status / resuscitation orders.
    pub code_status: Block<StatementItem>,
    /// Implants and devices.
    pub devices: Block<StatementItem>,
    /// Newest weight.
    pub weight: Block<MeasuredItem>,
    /// Newest of each vital sign.
    pub vitals: Block<MeasuredItem>,
    /// Newest of each key laboratory value.
    pub labs: Block<MeasuredItem>,
    /// Blood group, only from a final result.
    pub blood_group: Block<StatementItem>,
    /// Isolation and infection-control flags.
    pub isolation: Block<StatementItem>,
    /// Other active flags (fall risk, safety).
    pub flags: Block<StatementItem>,
    /// Whom to call.
    pub contacts: Block<ContactItem>,
    /// Results that the laboratory calls critical; absent from a card that was derived before it held them, and where this version
    /// cannot read them: not known, never "none".
    #[serde(default, deserialize_with = "critical::lenient")]
    pub critical: Option<Vec<CriticalItem>>,
    /// What NEWS2 needs; absent from a card that was derived before it held that, and where this version cannot read it.
    #[serde(default, deserialize_with = "crate::news2::lenient")]
    pub news2: Option<crate::news2::Basis>,
    /// How confidential the whole record is, by its Patient.
    #[serde(default, skip_serializing_if = "crate::label::Label::is_none")]
    pub label: crate::label::Label,
    /// Entries of the record that the card rests on are left out, because they are too confidential for who reads it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// The card for whoever may see less than everything; absent where that is the same card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reduced: Vec<Reduced>,
}
