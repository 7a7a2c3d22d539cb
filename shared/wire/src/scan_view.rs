//! What a barcode reader sent, as the screens are told of it (screens.md, Scanner).

use crate::view::PatientRowView;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a code came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum ScanKind {
    /// One patient, by a number that checks itself: the chart may be opened without asking.
    Patient,
    /// One or several patients, and somebody compares name and birth date before one is opened.
    Compare,
    /// Whole, of a patient, and of nobody on this workstation.
    NotHere,
    /// Something else: a medicine, a badge, a place.
    NotAPatient,
    /// Not used: not whole, damaged, two in one, not known.
    Unread,
}

/// What a code came to, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ScanView {
    /// What it came to.
    pub kind: ScanKind,
    /// For the screen, in one or two sentences. Names nobody.
    pub text: String,
    /// The patients it may be: one for [`ScanKind::Patient`], at least one for [`ScanKind::Compare`], otherwise none.
    pub rows: Vec<PatientRowView>,
}
