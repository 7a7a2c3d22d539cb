//! View models of images: the strip of studies, an open series, what of it is here.
//!
//! Lives here: ready strings and numbers for the screen, as in [`crate::view`]. Never here: pixels; they come by the image
//! protocol (`/<token>/<frame>`), as bytes.

use crate::view::SectionAge;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What can be shown of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum SeriesState {
    /// Its pixels can be had.
    Ready,
    /// The server has not looked at all of it yet.
    Preparing,
    /// It has no pixels to show, see `state_text`.
    WithoutPixels,
    /// It is not on this workstation and the server cannot be reached.
    NotOnThisWorkstation,
}

/// A series of the strip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SeriesView {
    /// Series Instance UID.
    pub uid: String,
    /// Heading, e.g. "2 · CT · Chest 1.0 mm".
    pub title: String,
    /// Modality, e.g. "CT".
    pub modality: String,
    /// Body part, as in the header.
    pub body_part: Option<String>,
    /// E.g. "141 images", "1 image, 60 frames".
    pub size_text: String,
    /// What can be shown.
    pub state: SeriesState,
    /// Words for everything but `ready`.
    pub state_text: Option<String>,
    /// E.g. "previews here", "exact here", `None` = nothing here.
    pub held_text: Option<String>,
    /// Path of a small picture under the image protocol, e.g. "/<token>/thumb/1.2.3".
    pub thumbnail: Option<String>,
}

/// A study of the strip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct StudyView {
    /// Study Instance UID.
    pub uid: String,
    /// "12-Oct-2026 08:14" or "date unknown".
    pub when_text: String,
    /// UTC ms by which it is put in order; of a partial date the first instant it may mean; absent where no date is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number | null", optional)]
    pub at_ms: Option<i64>,
    /// The year of that, by the local clock as in the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub at_year: Option<i32>,
    /// E.g. "CT chest".
    pub title: String,
    /// Modalities, e.g. ["CT", "SR"].
    pub modalities: Vec<String>,
    /// Accession number.
    pub accession: Option<String>,
    /// Report status in words, e.g. "report final", "no report in this record".
    pub report_text: String,
    /// Its series.
    pub series: Vec<SeriesView>,
}

/// The images of a patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ImagesView {
    /// Patient id.
    pub patient: String,
    /// Newest first.
    pub studies: Vec<StudyView>,
    /// How old the list is.
    pub age: SectionAge,
    /// What was looked at, for an empty list: "No images in this record as of …".
    pub empty_text: String,
}

/// One frame of an open series, in the order in which it is scrolled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct FrameView {
    /// Its number under the image protocol; stable as long as the view is open.
    pub id: u32,
    /// SOP Instance UID.
    pub sop: String,
    /// Frame number within the instance, from 1.
    pub frame: u32,
    /// E.g. "12 of 80 · −123.5 mm".
    pub place_text: String,
    /// Columns, pixels.
    pub columns: u32,
    /// Rows, pixels.
    pub rows: u32,
    /// Samples of a pixel: 1 or 3.
    pub samples: u8,
    /// Bits stored.
    pub bits: u8,
    /// Values are signed.
    pub signed: bool,
    /// "monochrome1", "monochrome2", "palette", "rgb" or "ybr-full".
    pub colour: String,
    /// Least and greatest stored value, for a window where the header has none.
    pub low: i32,
    /// See `low`.
    pub high: i32,
    /// Words for a source that has lost something, e.g. "lossy 1:12".
    pub lossy_text: Option<String>,
    /// Number of its entry in `displays`.
    pub display: u32,
}

/// An open series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct OpenSeriesView {
    /// Number of the view; frames come from `/<token>/<frame id>`.
    pub view: u32,
    /// Opens the image protocol for this view, as long as the person is signed in.
    pub token: String,
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// Frames, in the order in which they are scrolled.
    pub frames: Vec<FrameView>,
    /// How frames are shown: window, rescale, spacing, palette … (`vitrine_dicom::display::Display`), each once.
    #[ts(type = "unknown[]")]
    pub displays: Vec<serde_json::Value>,
    /// Gaps, e.g. "3 images missing between 12 and 13".
    pub gaps: Vec<String>,
    /// Instances without pixels, e.g. "structured report: no pixels".
    pub without: Vec<String>,
    /// True as long as the server has not told everything: the list grows.
    pub growing: bool,
    /// Whom the images' own header names, as text.
    pub header_text: String,
    /// Set when the header names somebody else than the record: a red block, e.g. "Header: DOE^JANE, born 01-Jan-1970 —
    /// record: …".
    pub mismatch_text: Option<String>,
}

/// What of an open series is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct HeldView {
    /// The view.
    pub view: u32,
    /// For each frame in scroll order one character: `0` nothing … `3` up to 256 px, `4` whole, `5` whole and its digest
    /// matched, `x` cannot be decoded.
    pub frames: String,
    /// E.g. "preview 1:8 → exact 37 %".
    pub text: String,
    /// The series has more than when it was opened: open it again.
    pub grown: bool,
    /// Why nothing comes, e.g. "OFFLINE — 12 of 80 exact on this workstation".
    pub stopped_text: Option<String>,
}
