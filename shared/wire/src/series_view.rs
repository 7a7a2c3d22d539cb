//! View models of measurements over time: the flowsheet of vital signs, the rows of laboratory results, their plots.
//!
//! Numbers here are for the place of a point in a picture alone; what is read is always the text beside them.

use crate::view::{BlockView, EarlierView};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Vital signs over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct FlowsheetView {
    /// The instant this was made, UTC ms: the right edge of a plot.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// The whole hours of the local clock in the 24 h before it, oldest first.
    pub hours: Vec<TickView>,
    /// One row for each kind of measurement, in the order of the card.
    pub series: BlockView<MeasuredSeriesView>,
}

/// A mark on an axis of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct TickView {
    /// UTC ms.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// "14:00"; at midnight with the date: "27-Nov-2026 00:00".
    pub text: String,
}

/// One laboratory test or vital sign over time. All numbers of a series are in its unit (screens.md S12).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct MeasuredSeriesView {
    /// "HR", "Creatinine".
    pub label: String,
    /// Unit of the newest value; "" where the record has none.
    pub unit: String,
    /// Reference range of the newest value, as reported with it.
    pub range_text: Option<String>,
    /// Lower end of that range.
    pub low: Option<f64>,
    /// Upper end of that range.
    pub high: Option<f64>,
    /// The fixed scale of a plot, lower and upper end; absent for kinds without one.
    pub scale: Option<(f64, f64)>,
    /// Newest first; never empty.
    pub points: Vec<MeasuredPointView>,
    /// How many older values the record on this workstation has beyond these.
    pub older: u32,
}

/// One value of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct MeasuredPointView {
    /// Digits as recorded: "88/50".
    pub value: String,
    /// Unit; "" where the record has none. Another than the series' where `number` is absent for that reason.
    pub unit: String,
    /// "HH", "H", "L", "LL", "A" or "".
    pub flag: String,
    /// Shape for the flag: "▲▲", "▲", "▼", "▼▼", "●" or "".
    pub flag_shape: String,
    /// "NEWS2 3": what NEWS2 gives this value by itself, 1 to 3 points; absent for none, and where it scores nothing (S10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub points_text: Option<String>,
    /// The same as a number: its weight on the screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub points: Option<u8>,
    /// Reference range reported with it.
    pub range_text: Option<String>,
    /// UTC ms; absent where no time is recorded.
    #[ts(type = "number | null")]
    pub at_ms: Option<i64>,
    /// "21-Nov-2026 04:05"; "time not recorded".
    pub at_text: String,
    /// "corrected", "preliminary", …; absent when final.
    pub status_text: Option<String>,
    /// What it said before it was corrected, the newest first (S20).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<EarlierView>>", optional)]
    pub earlier: Vec<EarlierView>,
    /// What names it when it is marked as wrong ([`crate::entry_view::EntryInput::VitalsError`]); absent where it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub source: Option<String>,
    /// There is no value any more, only what it was: `value` is "withdrawn".
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub withdrawn: bool,
    /// The value as a number, for the picture; of a blood pressure the systolic one. Absent where it is none (`<0.5`),
    /// or in another unit than the series.
    pub number: Option<f64>,
    /// The diastolic one.
    pub second: Option<f64>,
}
