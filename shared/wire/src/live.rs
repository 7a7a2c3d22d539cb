//! The stream of live vital signs, `/ws/live`: what the monitors of one ward say now.
//!
//! ```text
//! workstation → server   {"ask":1}                                   every few seconds
//! server → workstation   {"now":{"at":…,"answers":1,"patients":[…]}} what changed, at most once in LIVE_STEP_MS
//!                        {"trends":{"at":…,"step_ms":20000,…}}       when a step is full
//!                        {"refused":{"code":…,"text":…}}             then the server closes
//! ```
//! Values are of a moment: nothing of them is stored on either end, and nothing is sent again. Every time is milliseconds of the
//! server's steady clock since it started, so that no change of a wall clock makes anything younger. A workstation knows how old
//! a value at least may be from the questions it asked: the server had reached `at` when it answered, so between asking and
//! hearing lies all that the way can have taken. Text frames of JSON.

use crate::ErrorCode;
use serde::{Deserialize, Serialize};

/// Version of this stream.
pub const PROTOCOL: u8 = 1;
/// Shortest time between two messages to one workstation, ms.
pub const LIVE_STEP_MS: u64 = 250;
/// A value that was not renewed for so long is not live, ms. One more second is left for the way and for showing it, so that what
/// stands still is grey within five (capabilities S9).
pub const STANDS_MS: u64 = 4_000;
/// A workstation asks so often, ms.
pub const ASK_MS: u64 = 2_000;
/// Lowest and highest value of each step of a trend, ms.
pub const TREND_STEP_MS: u64 = 20_000;
/// Steps of a trend: a quarter of an hour.
pub const TREND_STEPS: usize = 45;

/// From the workstation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveAsk {
    /// Number, growing within a connection.
    pub ask: u64,
}

/// From the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiveTold {
    /// What changed since the last message; the first has everything.
    Now {
        /// The server's steady clock, ms.
        at: u64,
        /// The question this answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<u64>,
        /// Each with all its signals.
        patients: Vec<LivePatient>,
    },
    /// The last quarter of an hour, whole.
    Trends {
        /// The server's steady clock at the end of the last step, ms.
        at: u64,
        /// Ms of one step.
        step_ms: u64,
        /// Each patient of whom there is anything.
        patients: Vec<LiveTrends>,
    },
    /// Not to this person, or no longer.
    Refused {
        /// Code.
        code: ErrorCode,
        /// A sentence for the person.
        text: String,
    },
}

/// One patient's monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivePatient {
    /// FHIR id.
    pub patient: String,
    /// In the order of `vitrine_clinical::monitor::SIGNALS`; empty = the patient left the ward or the monitor was taken away.
    pub signals: Vec<LiveSignal>,
}

/// The newest of one signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSignal {
    /// `vitrine_clinical::monitor::Signal`, e.g. "hr".
    pub signal: String,
    /// Number as the monitor sent it; absent when the monitor says that it measures nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// UCUM code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// v3-ObservationInterpretation code from the monitor, e.g. "H".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// Why there is no value, in the monitor's words or those of data-absent-reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// The server's steady clock when it was measured, as far as that can be told: never later than it came.
    pub at: u64,
    /// The time the monitor gave it, ms since 1970.
    pub measured_ms: i64,
}

/// The trends of one patient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveTrends {
    /// FHIR id.
    pub patient: String,
    /// Each signal that has one.
    pub trends: Vec<LiveTrend>,
}

/// The last quarter of an hour of one signal, the oldest step first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveTrend {
    /// Signal.
    pub signal: String,
    /// Unit of all of them: a step in which the unit changed begins anew.
    pub unit: String,
    /// Lowest and highest of each step; absent where nothing was measured.
    pub steps: Vec<Option<(f64, f64)>>,
}
