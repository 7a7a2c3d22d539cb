//! View models of the results inbox, and of the line about them in a chart: critical results, who has taken them up, how long they wait.
//!
//! The screen knows no limit: which result is critical, what is due after how long and every sentence come from here; it counts the
//! seconds on.

use crate::entry_view::EntryView;
use crate::view::{MeasuredView, SectionAge};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The critical results of a ward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ResultsView {
    /// Ward id.
    pub ward: String,
    /// Ward name.
    pub ward_name: String,
    /// Nobody has acknowledged these: the longest waiting first.
    pub waiting: Vec<CriticalView>,
    /// Acknowledged in the last twelve hours: the newest first.
    pub done: Vec<CriticalView>,
    /// Unacknowledged results of patients whom this person may not open: counted and not shown.
    pub withheld: u32,
    /// Unacknowledged results from before the days that are looked at: they stand in the charts.
    pub older: u32,
    /// Patients whose results cannot be read here, or were sent by a server that does not say which are critical.
    pub unread: u32,
    /// What is due after how long, the soonest first.
    pub steps: Vec<StepView>,
    /// "Looked at: results marked critical by the laboratory since 25-Nov-2026 04:31, of 38 patients of ED Central." For every state.
    pub looked_text: String,
    /// Age of the data.
    pub age: SectionAge,
}

/// What is due when a critical result has not been acknowledged for so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct StepView {
    /// After so many seconds.
    pub after_s: u32,
    /// "Tell the nurse in charge".
    pub text: String,
}

/// A critical result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct CriticalView {
    /// Patient it is of.
    pub patient: String,
    /// "JONES, Mary (Ms)".
    pub name_text: String,
    /// "04-Feb-1958 (68y)".
    pub born_text: String,
    /// "Female".
    pub gender_text: String,
    /// MRN.
    pub number_text: String,
    /// "ED Central · R1".
    pub place_text: String,
    /// "Died 03-Mar-2026".
    pub deceased_text: Option<String>,
    /// ▲ similar name on this ward.
    pub similar_name: bool,
    /// The result ("Observation/…"), as [`crate::entry_view::EntryInput::Acknowledge`] wants it.
    pub result: String,
    /// Its version: a corrected result is acknowledged again.
    pub version: u32,
    /// What was measured, with flag, range, time and status.
    pub measured: MeasuredView,
    /// What was measured in full, where the record says more than the label: "Potassium [Moles/volume] in Serum or Plasma".
    pub test_text: Option<String>,
    /// "available 21-Nov-2026 04:12"; "it is not recorded since when".
    pub available_text: String,
    /// For how long it has waited when this was read, s; the screen counts on. Absent where the record does not say since when, which is
    /// shown as the last step.
    pub waits_s: Option<u32>,
    /// "before: 4.2 mmol/L, 20-Nov-2026 05:00".
    pub before_text: Option<String>,
    /// What people have done about it, the newest first.
    pub taken: Vec<TakenView>,
    /// Acknowledged at this workstation and not yet in the record: "not yet known to others".
    pub entries: Vec<EntryView>,
    /// Why this person cannot acknowledge it; absent where they can.
    pub not_for_you_text: Option<String>,
}

/// The critical results of one patient that wait for somebody: a line of the chart, whichever section is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ChartCriticalView {
    /// Patient these were read for; the screen shows nothing unless it equals the banner's (screens.md S8).
    pub patient: String,
    /// "1 critical result waits for acknowledgement"; absent where none does, and where that is not known.
    pub text: Option<String>,
    /// Those that wait, the longest waiting first.
    pub waiting: Vec<WaitingView>,
    /// Where they stand, when not in the inbox of this workstation's ward: "in the results inbox of ICU, not in that of this ward".
    pub elsewhere_text: Option<String>,
    /// It is not known whether any waits: never shown as none.
    pub unread_text: Option<String>,
}

/// A critical result that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WaitingView {
    /// The result ("Observation/…").
    pub result: String,
    /// What was measured, with flag, time and status.
    pub measured: MeasuredView,
    /// For how long it has waited when this was read, s; the screen counts on. Absent where the record does not say since when.
    pub waits_s: Option<u32>,
}

/// What somebody did about a critical result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct TakenView {
    /// "Seen, acting: calcium given"; with what it said then, where it says something else now.
    pub text: String,
    /// "RN BROWN (Nurse), 21-Nov-2026 04:18".
    pub by_text: String,
    /// "read back: 6.1".
    pub read_back_text: Option<String>,
    /// It ends the waiting; passing on does not, nor what was done about a value that has changed since.
    pub settles: bool,
}
