//! The wall of live vital signs (capabilities S9): the view of its screen.
//!
//! Ages are those at the moment the view was made: the screen counts on from there by itself, so that a silent engine makes
//! everything old and never leaves anything standing as live.

use crate::view::SectionAge;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// How one monitor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum MonitorState {
    /// At least one continuous signal is live.
    Live,
    /// There was something, and it stands still.
    NotLive,
    /// Nothing was ever heard of a monitor of this patient since the wall was opened.
    Never,
    /// Values of this patient are not shown to this person.
    Restricted,
}

/// The newest of one signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WallSignalView {
    /// "hr".
    pub signal: String,
    /// "HR".
    pub label: String,
    /// "72", "118/74 (89)"; absent while the monitor measures nothing.
    pub value_text: Option<String>,
    /// "/min".
    pub unit_text: String,
    /// "H", "LL": what the monitor marks.
    pub flag_text: Option<String>,
    /// Why there is no value: "sensor off".
    pub absent_text: Option<String>,
    /// Age at the moment of the view, ms, rather too high than too low.
    #[ts(type = "number")]
    pub age_ms: u64,
    /// "14:02:31", with the date when it is not of the last twelve hours.
    pub at_text: String,
    /// Measured now and then (a cuff): it keeps its time and is not called live or standing.
    pub spot: bool,
}

/// One bed of the wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WallBedView {
    /// FHIR id of the patient.
    pub patient: String,
    /// "4".
    pub bed: String,
    /// "JONES, Mary (Ms)".
    pub name: String,
    /// "68y F".
    pub person_text: String,
    /// ▲ similar name in this ward.
    pub similar_name: bool,
    /// How its monitor stood at the moment of the view.
    pub state: MonitorState,
    /// "97 was the last, 14:02:31" for a cell without any signal left to show; else absent.
    pub last_text: Option<String>,
    /// The signals, in the same order in every bed.
    pub signals: Vec<WallSignalView>,
}

/// How the stream from the server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum WallLine {
    /// Being connected.
    Connecting,
    /// The server answers.
    Up,
    /// No server: nothing on the wall is live.
    Down,
    /// The server refuses this person or ward.
    Refused,
}

/// The wall of one ward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WallView {
    /// Ward id.
    pub ward: String,
    /// Ward name.
    pub ward_name: String,
    /// Beds with a patient, in the order of the beds.
    pub beds: Vec<WallBedView>,
    /// How the stream stands.
    pub line: WallLine,
    /// The same in a sentence; absent while it is up.
    pub line_text: Option<String>,
    /// "40 patients on this board": what the wall shows the monitors of.
    pub summary_text: String,
    /// "2 monitors send values of patients who are not on this board"; absent without any.
    pub stranger_text: Option<String>,
    /// A continuous value older than this is not live, ms.
    #[ts(type = "number")]
    pub stands_ms: u64,
    /// How fresh the board is: who lies where.
    pub age: SectionAge,
}

/// The trend of one signal of one patient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WallTrendView {
    /// FHIR id of the patient.
    pub patient: String,
    /// "hr".
    pub signal: String,
    /// "HR".
    pub label: String,
    /// "/min".
    pub unit_text: String,
    /// Lower end of the scale, the same in every bed.
    pub low: f64,
    /// Upper end of the scale.
    pub high: f64,
    /// Lowest and highest of each step, the oldest first; `null` where nothing was measured.
    pub steps: Vec<Option<(f64, f64)>>,
    /// "HR 62 to 88 /min in the last 15 min; nothing for 40 s of them": for whoever does not see the picture.
    pub spoken: String,
}

/// The trends of a wall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WallTrendsView {
    /// Seconds of one step.
    pub step_s: u32,
    /// Age of the newest step at the moment of the view, ms.
    #[ts(type = "number")]
    pub age_ms: u64,
    /// Every trend there is.
    pub trends: Vec<WallTrendView>,
}
