//! Observation: laboratory results, vital signs, assessments.

use super::{Concept, Decimal, PartialDate, Period, Quantity, Ref};
use serde::{Deserialize, Serialize};

/// FHIR `Observation`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// `registered`, `preliminary`, `final`, `amended`, `corrected`, `cancelled`, `entered-in-error`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Categories, e.g. `vital-signs`, `laboratory`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// When measured (`effectiveDateTime`, `effectiveInstant`, start of `effectivePeriod`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<PartialDate>,
    /// When published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<PartialDate>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent_reason: Option<Concept>,
    /// High, low, critical, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpretations: Vec<Concept>,
    /// Reference ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<ReferenceRange>,
    /// Parts, e.g. systolic and diastolic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Who measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performers: Vec<Ref>,
    /// Where on the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_site: Option<Concept>,
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Concept>,
    /// Members of a panel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Ref>,
    /// Encounter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Ref>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `Observation.component`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Component {
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent_reason: Option<Concept>,
    /// High, low, critical, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpretations: Vec<Concept>,
    /// Reference ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<ReferenceRange>,
}

/// `Observation.value[x]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Digits and a unit.
    Quantity(Quantity),
    /// A coded answer.
    Concept(Concept),
    /// Words.
    Text(String),
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(Decimal),
    /// From, to.
    Range(Option<Quantity>, Option<Quantity>),
    /// Numerator, denominator, e.g. a titre 1:128.
    Ratio(Option<Quantity>, Option<Quantity>),
    /// A time or date.
    Date(PartialDate),
    /// A stretch of time.
    Period(Period),
    /// A waveform; kept in the resource, not in the view.
    SampledData,
}

impl Value {
    /// The value for showing, digits exactly as recorded, without its unit; `None` when it holds nothing to show.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let side = |q: &Option<Quantity>| q.as_ref().and_then(Quantity::digits);
        match self {
            Self::Quantity(q) => q.digits(),
            Self::Concept(c) => c.display().map(str::to_owned),
            Self::Text(t) => Some(t.clone()),
            Self::Boolean(b) => Some(if *b { "yes" } else { "no" }.to_owned()),
            Self::Integer(n) => Some(n.to_string()),
            Self::Range(low, high) => match (side(low), side(high)) {
                (Some(l), Some(h)) => Some(format!("{l}–{h}")),
                (Some(l), None) => Some(format!("≥{l}")),
                (None, Some(h)) => Some(format!("≤{h}")),
                (None, None) => None,
            },
            Self::Ratio(n, d) => Some(format!("{}:{}", side(n)?, side(d)?)),
            Self::Date(d) => Some(d.to_string()),
            Self::Period(p) => {
                let end = |d: &Option<PartialDate>| d.as_ref().map_or("…", |d| d.as_str()).to_owned();
                Some(format!("{} to {}", end(&p.start), end(&p.end)))
            }
            Self::SampledData => None,
        }
    }

    /// The unit as recorded.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::Quantity(q) => q.unit_text(),
            Self::Range(low, high) => low.as_ref().or(high.as_ref()).and_then(Quantity::unit_text),
            _ => None,
        }
    }
}

/// `Observation.referenceRange`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceRange {
    /// Lower limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Quantity>,
    /// Upper limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Quantity>,
    /// `normal`, `critical`, `therapeutic`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Concept>,
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl ReferenceRange {
    /// The range in words, digits as recorded: "3.5–5.1", "≥12", "≤0.04".
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let digits = |q: &Option<Quantity>| q.as_ref().and_then(Quantity::digits);
        match (digits(&self.low), digits(&self.high)) {
            (Some(l), Some(h)) => Some(format!("{l}–{h}")),
            (Some(l), None) => Some(format!("≥{l}")),
            (None, Some(h)) => Some(format!("≤{h}")),
            (None, None) => self.text.clone(),
        }
    }
}
