//! What this workstation can be relied on for: the view of the sync and offline status screen (screens.md 9). No PHI, so it
//! may be shown while nobody is signed in.

use crate::view::SectionAge;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Whether something can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Reliance {
    /// Yes.
    Works,
    /// Nobody has looked, or it has not been heard of yet.
    Unknown,
    /// With a limit that the text names.
    Limited,
    /// No.
    Fails,
}

/// One thing a person may want to rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RelianceView {
    /// "emergency", "glass", "changes", "recording", "charts", "images", "clock", "audit", "disk", "certificate", "stored".
    pub id: String,
    /// Whether it can be relied on.
    pub state: Reliance,
    /// "Emergency cards".
    pub title: String,
    /// What was found, in whole sentences.
    pub text: String,
    /// What somebody has to do; absent where nothing is to be done.
    pub todo: Option<String>,
}

/// One stream of the synchronisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct StreamView {
    /// "ess:ED".
    pub scope: String,
    /// "Emergency cards of ED".
    pub name: String,
    /// "24"; absent while nothing is here.
    pub items_text: Option<String>,
    /// Position in the server's change log; absent while nothing is here.
    pub position_text: Option<String>,
    /// How fresh it is.
    pub age: SectionAge,
    /// "1,200 of 4,000 fetched", while it is fetched for the first time or anew.
    pub loading_text: Option<String>,
}

/// One part of a check of the stored data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct CheckPartView {
    /// "Emergency cards, boards and staff list".
    pub name: String,
    /// It holds.
    pub ok: bool,
    /// What was found.
    pub text: String,
}

/// The last check of the stored data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct CheckView {
    /// "28-Nov-2026 04:31 (12 min)".
    pub at_text: String,
    /// Every part holds.
    pub ok: bool,
    /// Its parts.
    pub parts: Vec<CheckPartView>,
}

/// A downtime drill of this workstation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct DrillView {
    /// The one that runs: "This workstation is cut off from the server on purpose by A. NURSE until 04:35. …"; absent while none does.
    pub running_text: Option<String>,
    /// Why none can be started now; absent where one can.
    pub refused_text: Option<String>,
    /// How long one may last, minutes, the usual first.
    pub minutes: Vec<u32>,
    /// What the last one found; absent when there was none, or it cannot be read.
    pub last: Option<CheckView>,
    /// What the last one found cannot be read.
    pub unread_text: Option<String>,
}

/// The sync and offline status screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SyncView {
    /// Whether this workstation can be relied on: "fails" = use another one.
    pub verdict: Reliance,
    /// The same in one plain sentence or two.
    pub sentence: String,
    /// What can be relied on and what cannot, the most important first.
    pub parts: Vec<RelianceView>,
    /// The streams, in the order in which they are fetched.
    pub streams: Vec<StreamView>,
    /// The last check of the stored data; absent when there was none.
    pub checked: Option<CheckView>,
    /// A check that runs: "12,400 items read". Absent while none does.
    pub checking_text: Option<String>,
    /// Downtime drills.
    pub drill: DrillView,
    /// Name of this workstation.
    pub workstation: String,
    /// Ward of this workstation.
    pub ward: String,
    /// Address of its server.
    pub server: String,
    /// "Vitrine 0.1.0".
    pub program: String,
    /// How the keys are kept: "file", "TPM".
    pub keys_text: String,
}
