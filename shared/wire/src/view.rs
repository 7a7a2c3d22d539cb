//! View models: ready strings for the screen, made once, in Rust (dates, ages, doses and units are never formatted
//! in TypeScript). Exported to `ui/src/wire/` by `cargo xtask gen-types`.
//!
//! Strings ending in `_text` are for showing as they are. Nothing here is FHIR.

use crate::entry_view::{DraftHintView, EntryView};
use crate::layout::LayoutView;
use crate::results_view::ChartCriticalView;
use crate::series_view::{FlowsheetView, MeasuredSeriesView};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The data-age vocabulary (screens.md A5), used on every screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum DataAge {
    /// Heartbeat within 5 s and the section complete.
    Live,
    /// 5 to 60 s behind.
    Delayed,
    /// More than 60 s behind.
    Stale,
    /// No server.
    Offline,
    /// Offline for more than 4 h.
    Old,
    /// Not fully loaded.
    Partial,
    /// Cannot be read (decryption, permission, error).
    Unavailable,
    /// The workstation does not hold it.
    NotOnThisWorkstation,
}

/// Where one section's data come from and how old they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SectionAge {
    /// Vocabulary word.
    pub age: DataAge,
    /// Ready words, e.g. "as of 21-Nov-2026 04:31 (12 min)".
    pub text: String,
    /// True only when the section holds everything the server had at that time.
    pub complete: bool,
    /// Server time of the newest state held, ms since the epoch.
    #[ts(type = "number | null")]
    pub as_of_ms: Option<i64>,
}

/// The strip that is always on the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct StatusView {
    /// State of the feed as a whole.
    pub age: DataAge,
    /// One sentence, e.g. "OFFLINE — data as of 21-Nov-2026 04:31 (12 min). Others' changes are not shown."
    pub sentence: String,
    /// Ward of this workstation.
    pub ward: String,
    /// Name of this workstation.
    pub workstation: String,
    /// Wall clock, 24 h, "21-Nov-2026 04:31:07".
    pub clock_text: String,
    /// Set when the clock cannot be trusted: "clock not verified".
    pub clock_warning: Option<String>,
    /// Audit rows and grants not yet acknowledged by the server.
    pub outbox: u32,
    /// What was recorded here (vital signs, allergies, notes) and the server has not accepted yet.
    pub unsent: u32,
    /// What was recorded here and the server refuses: somebody has to look at it.
    pub rejected: u32,
    /// Age of the oldest of them, e.g. "3 min".
    pub outbox_oldest_text: Option<String>,
    /// How many critical results of this ward wait for somebody; 0 also where that is not known.
    pub critical: u32,
    /// The same in words, where one waits or they cannot be read: "2 critical results not acknowledged, the oldest for 12 min".
    pub critical_text: Option<String>,
    /// The oldest of them is overdue: what is due now. "Tell the nurse in charge".
    pub critical_due_text: Option<String>,
    /// Patients whose essentials are on this workstation.
    pub patients: u32,
    /// True while the first snapshot is being fetched, with its progress.
    pub loading_text: Option<String>,
    /// Sticky alarms (audit log not writable, database damaged, device revoked), most serious first.
    pub alarms: Vec<String>,
    /// True in a data folder marked as demo: the screen says so.
    pub demo: bool,
    /// A downtime drill that runs: "cut off from the server on purpose by A. NURSE until 04:35"; absent while none does.
    pub drill_text: Option<String>,
}

/// Lock and sign-in screen. No PHI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct LockView {
    /// Ward of this workstation.
    pub ward: String,
    /// Name of this workstation.
    pub workstation: String,
    /// "enrolled", "not-enrolled", "revoked", "keys-missing".
    pub device_state: DeviceState,
    /// Sentence for that state, when it is not enrolled.
    pub device_text: Option<String>,
    /// Up to six recent users.
    pub recent_users: Vec<RecentUserView>,
    /// The hospital's identity provider; none where there is none, or the server has not said so yet.
    pub provider: Option<ProviderView>,
    /// How a badge is used here, in a sentence; none where badges cannot be used.
    pub badge_text: Option<String>,
}

/// The hospital's identity provider, on the lock screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ProviderView {
    /// As people call it.
    pub name: String,
    /// It is the way in while it answers.
    pub required: bool,
}

/// Whom a badge picked: their PIN opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct BadgeView {
    /// Given with the PIN; good for a minute.
    pub token: String,
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub display: String,
    /// Initials.
    pub initials: String,
    /// Role in words.
    pub role: String,
}

/// Whether this workstation can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum DeviceState {
    /// Ready.
    Enrolled,
    /// Needs `vitrine-cli enrol`.
    NotEnrolled,
    /// The server has revoked this workstation.
    Revoked,
    /// Stored data cannot be opened.
    KeysMissing,
}

/// A tile on the lock screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RecentUserView {
    /// Sign-in name.
    pub user: String,
    /// Initials.
    pub initials: String,
    /// Role in words.
    pub role: String,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SessionView {
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub display: String,
    /// Role in words.
    pub role: String,
    /// True when signed in without the server.
    pub offline: bool,
    /// What this person's screens begin with, by the site's configuration.
    pub layout: LayoutView,
}

/// The fixed banner (NHS CUI Patient Banner, see screens.md A1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct BannerView {
    /// FHIR id; every section of the same screen carries the same.
    pub patient: String,
    /// "JONES, Mary (Ms)".
    pub name: String,
    /// "04-Feb-1958 (68y)"; "Not recorded".
    pub born_text: String,
    /// "Female"; "Not recorded".
    pub gender_text: String,
    /// Label of the number, "MRN".
    pub number_label: String,
    /// The number, grouped for reading; "Not recorded".
    pub number_text: String,
    /// Ward and bed; "No current encounter on record".
    pub place_text: String,
    /// "72 kg (18-Nov-2026)"; absent where not recorded.
    pub weight_text: Option<String>,
    /// Set when deceased: "Died 03-Mar-2026".
    pub deceased_text: Option<String>,
    /// The age in words, e.g. "68y".
    pub age_text: Option<String>,
    /// Another patient here has the same or a similar name.
    pub similar_name: bool,
}

/// The four states of an allergy strip, and what else the screen may have to say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum AllergyStripState {
    /// Active allergies follow.
    Known,
    /// Somebody stated that there are none.
    NoneKnown,
    /// Nobody has asked, or it is not written down.
    NotRecorded,
    /// Could not be read: treat as unknown.
    Unavailable,
}

/// The allergy strip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct AllergyStripView {
    /// Patient these rows were read for; the screen shows nothing unless it equals the banner's (screens.md S8).
    pub patient: String,
    /// Exactly one state.
    pub state: AllergyStripState,
    /// "KNOWN ALLERGIES", "NO KNOWN ALLERGIES", "ALLERGIES NOT RECORDED", "ALLERGIES UNAVAILABLE — treat as unknown".
    pub label: String,
    /// Active allergies, most dangerous first.
    pub items: Vec<AllergyView>,
    /// Allergies that were looked into and are none: shown apart from both, and never an answer to whether there are others.
    pub refuted: Vec<RefutedView>,
    /// Statements of absence: "No known allergies — Dr RAO, 18-Nov-2026 09:12".
    pub negatives: Vec<String>,
    /// "Conflict: …" when a "none known" statement stands beside an active allergy.
    pub conflict_text: Option<String>,
    /// "updated 12-Oct-2026".
    pub updated_text: Option<String>,
    /// Changes that contradict each other and wait for a person: until then each of these allergies is treated as one.
    pub disputes: Vec<DisputeView>,
}

/// A change of an allergy that was made on a record which had changed meanwhile (screens.md 11): nobody's word is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct DisputeView {
    /// The Task that keeps it ("Task/…").
    pub dispute: String,
    /// The allergy ("AllergyIntolerance/…").
    pub allergy: String,
    /// Agent, never shortened.
    pub agent: String,
    /// What both changes began from, as the author of [`Self::change`] read it.
    pub base: DisputeSideView,
    /// What the record says now.
    pub record: DisputeSideView,
    /// The change that did not come into the record.
    pub change: DisputeSideView,
}

/// One column of a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct DisputeSideView {
    /// "confirmed", "refuted", "no longer in the record".
    pub standing_text: String,
    /// Code of [`crate::entry_view::EntryFormView::standings`] to begin a decision with; "" where none fits.
    pub standing: String,
    /// "anaphylaxis, severe"; "reaction not recorded".
    pub reaction_text: String,
    /// "RN BROWN (Nurse), 27-Nov-2026 04:13, at ED-07"; absent where the record does not say.
    pub by_text: Option<String>,
    /// Why, in the author's words.
    pub reason_text: Option<String>,
}

/// One allergy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct AllergyView {
    /// Agent, never shortened.
    pub agent: String,
    /// "anaphylaxis (2019)"; "reaction not recorded".
    pub detail_text: String,
    /// False for free text: shown as NOT CHECKED, normal weight.
    pub coded: bool,
    /// Life-threatening.
    pub dangerous: bool,
    /// "unconfirmed", …; absent when confirmed or not recorded.
    pub verification_text: Option<String>,
    /// "recorded here 04:12 by RN BROWN, NOT SENT": not in the record on the server yet; absent for what is.
    pub unsent_text: Option<String>,
    /// "DISPUTED: …": two changes contradict each other, and it is treated as an allergy until somebody decides.
    pub disputed_text: Option<String>,
    /// The resource ("AllergyIntolerance/…"), to be changed by [`crate::entry_view::EntryInput::AllergyChange`]; absent where it cannot be
    /// changed here (not in the record yet, disputed).
    pub source: Option<String>,
    /// Code of [`crate::entry_view::EntryFormView::standings`] that fits what is recorded; "" where none does.
    pub standing: String,
}

/// An allergy that was refuted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RefutedView {
    /// Agent, never shortened.
    pub agent: String,
    /// "anaphylaxis, severe": what was recorded of it; "" where it cannot be read here.
    pub detail_text: String,
    /// "RN BROWN (Nurse), 27-Nov-2026 04:13, at ed-07"; "who and when not recorded".
    pub by_text: String,
    /// "because: skin test negative"; "note: …" where the record has only that; absent where it says nothing.
    pub why_text: Option<String>,
    /// "changed here to confirmed …, NOT SENT".
    pub unsent_text: Option<String>,
    /// The resource, to be changed; absent where it cannot be changed here (a change waits, disputed, cannot be read).
    pub source: Option<String>,
    /// Code of [`crate::entry_view::EntryFormView::standings`] that fits what is recorded.
    pub standing: String,
}

/// Whether a block has entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum BlockViewState {
    /// Entries follow.
    Recorded,
    /// Nothing of this kind on record.
    NotRecorded,
    /// Could not be read.
    Unavailable,
}

/// A titled block of lines with its own as-of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct BlockView<T> {
    /// Patient these rows were read for; the screen shows nothing unless it equals the banner's (screens.md S8).
    pub patient: String,
    /// Whether entries follow.
    pub state: BlockViewState,
    /// What to say when there are none: "Not recorded", "Unavailable — treat as unknown", with what was looked at.
    pub empty_text: String,
    /// The entries.
    pub items: Vec<T>,
    /// "as of 18-Nov-2026 09:12"; absent where nothing states it.
    pub as_of_text: Option<String>,
}

/// One medicine line (NHS CUI medication line, screens.md A1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct MedicationView {
    /// Name, never shortened.
    pub name: String,
    /// "3 mg", shown after the label DOSE; absent where not recorded.
    pub dose: Option<String>,
    /// Further attributes in order (route, frequency), to be set with em dashes between.
    pub details: Vec<String>,
    /// "active", "on hold", "stopped 15-Nov-2026".
    pub status_text: String,
    /// "started 02-Feb-2024".
    pub start_text: Option<String>,
    /// "anticoagulant", …; shown with ▲.
    pub high_risk_text: Option<String>,
    /// Suspended: to be marked visibly.
    pub suspended: bool,
    /// "reported, not ordered here".
    pub reported: bool,
    /// UTC ms of its end, by which it is put in order; of a partial date the first instant it may mean; absent where no end is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number | null", optional)]
    pub at_ms: Option<i64>,
    /// The year of that, by the local clock as in the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub at_year: Option<i32>,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct LineView {
    /// The words.
    pub text: String,
    /// "18-Nov-2026, Dr RAO"; absent where not recorded.
    pub detail_text: Option<String>,
    /// UTC ms by which it is put in order; of a partial date the first instant it may mean; absent where no date is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number | null", optional)]
    pub at_ms: Option<i64>,
    /// The year of that, by the local clock as in the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub at_year: Option<i32>,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct MeasuredView {
    /// Short label.
    pub label: String,
    /// Digits as recorded.
    pub value: String,
    /// Unit; "" where the record has none.
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
    /// Reference range text.
    pub range_text: Option<String>,
    /// "21-Nov-2026 04:05".
    pub at_text: String,
    /// "corrected", "preliminary", …; absent when final.
    pub status_text: Option<String>,
    /// What it said before it was corrected, the newest first (S20).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<EarlierView>>", optional)]
    pub earlier: Vec<EarlierView>,
}

/// What a result said before it was corrected or withdrawn: shown struck through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EarlierView {
    /// Digits as they were.
    pub value: String,
    /// Unit; "" where there was none.
    pub unit: String,
    /// "HH", "H", "L", "LL", "A" or "".
    pub flag: String,
    /// "shown until 21-Nov-2026 05:10"; with "measured 21-Nov-2026 04:05" where that was another time.
    pub until_text: String,
    /// "reason: sample haemolysed"; "no reason given".
    pub reason_text: String,
}

/// What a NEWS2 asks for (RCP 2017, chart 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum News2Level {
    /// 0 to 4.
    Low,
    /// 0 to 4, three by one measurement.
    LowMedium,
    /// 5 or 6.
    Medium,
    /// 7 and more.
    High,
    /// Nothing can be said: inputs do not count, or the score is not for this patient.
    None,
}

/// NEWS2 as shown. Where an input is missing, old or not readable, the score is a least one and says what it lacks
/// (screens.md S11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct News2View {
    /// "9"; "≥5" where an input does not count; "—" without a score.
    pub score_text: String,
    /// The same to be heard: "at least 5", "no score".
    pub spoken_text: String,
    /// What it asks for at least.
    pub level: News2Level,
    /// The same in words: "emergency response", "incomplete: risk not known".
    pub level_text: String,
    /// By which scale SpO2 is scored, said wherever a score stands; absent without one.
    pub scale_text: Option<String>,
    /// "not recorded: air or oxygen, temp; old: SpO2"; absent where every input counts.
    pub lacking_text: Option<String>,
    /// Why there is no score for this patient at all: "not for patients under 16 years"; on a board "age <16".
    pub not_for_text: Option<String>,
    /// "oldest input 21-Nov-2026 04:05".
    pub since_text: Option<String>,
    /// Seconds after which an input that counts is too old, and the score is another; absent without one.
    pub good_for_s: Option<u32>,
    /// The inputs, in the order of the chart; empty on a board.
    pub parts: Vec<News2PartView>,
    /// Scores of earlier sets of observations and this one, oldest first; empty where only the newest values are here.
    pub trend: Vec<News2PointView>,
}

/// An input of NEWS2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct News2PartView {
    /// "RR", "SpO2", "air or oxygen", …
    pub label: String,
    /// "26 breaths/minute"; "not recorded".
    pub value_text: String,
    /// "3"; "" where it does not count.
    pub points_text: String,
    /// "not recorded", "old", "not readable", "not final", …; absent where it counts.
    pub state_text: Option<String>,
    /// "21-Nov-2026 04:05".
    pub at_text: Option<String>,
}

/// A score at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct News2PointView {
    /// The sum of the points there were.
    pub least: u8,
    /// Whether every input counted: others are drawn on no line.
    pub whole: bool,
    /// "9", "≥5".
    pub score_text: String,
    /// "at least 5".
    pub spoken_text: String,
    /// "21-Nov-2026 04:05".
    pub at_text: String,
}

/// The broken glass that a screen rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct BrokenGlassView {
    /// Its id, for ending it and for its words.
    pub grant: String,
    /// No words were given yet, said with until when they are due: "No words yet: due by 14:05". Absent: none are owed.
    pub owed_text: Option<String>,
}

/// Own emergency accesses that have no words yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct OwedWordsView {
    /// Oldest first.
    pub owed: Vec<OwedView>,
}

/// An own emergency access that has no words yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct OwedView {
    /// Its grant.
    pub grant: String,
    /// "Emergency access to SMITH, John at 14:05 has no words yet".
    pub text: String,
    /// Its 60 minutes are over; words are still taken.
    pub late: bool,
}

/// The emergency card as shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EmergencyCardView {
    /// The access that the audit row carries.
    pub access_id: String,
    /// "BREAK-GLASS · Dr LEE · Life-threatening emergency · ends 08:31".
    pub frame_text: String,
    /// The broken glass it is shown under; absent where no grant is named (a card for printing).
    pub broken: Option<BrokenGlassView>,
    /// Age of the data.
    pub age: SectionAge,
    /// Engine time from the key to the data, ms.
    pub elapsed_ms: f64,
    /// Who this is.
    pub banner: BannerView,
    /// Allergies.
    pub allergies: AllergyStripView,
    /// Active medicines, high-risk first.
    pub medications: BlockView<MedicationView>,
    /// "recently stopped (7 d)".
    pub recently_stopped: Vec<MedicationView>,
    /// Problems.
    pub conditions: BlockView<LineView>,
    /// Code status.
    pub code_status: BlockView<LineView>,
    /// Devices and implants.
    pub devices: BlockView<LineView>,
    /// Newest vital signs.
    pub vitals: BlockView<MeasuredView>,
    /// NEWS2 of the newest vital signs: one entry.
    pub news2: BlockView<News2View>,
    /// Key laboratory values.
    pub labs: BlockView<MeasuredView>,
    /// Blood group.
    pub blood_group: BlockView<LineView>,
    /// Isolation.
    pub isolation: BlockView<LineView>,
    /// Other flags.
    pub flags: BlockView<LineView>,
    /// Contacts.
    pub contacts: BlockView<LineView>,
    /// Recorded at this workstation and not yet in these data; what endangers is in the blocks above too.
    pub entries: Vec<EntryView>,
    /// True when the grant also opens the full chart on this workstation.
    pub full_chart_available: bool,
    /// Says that entries are left out because they are too confidential for this person, how many, and what shows them;
    /// absent when nothing is.
    pub withheld_text: Option<String>,
}

/// One row of the patient search or of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct PatientRowView {
    /// FHIR id.
    pub patient: String,
    /// "JONES, Mary (Ms)".
    pub name: String,
    /// "04-Feb-1958 (68y)".
    pub born_text: String,
    /// "Female".
    pub gender_text: String,
    /// MRN.
    pub number_text: String,
    /// "ICU bed 4"; "no current encounter on record".
    pub place_text: String,
    /// Bed alone, for the board.
    pub bed: String,
    /// Complaint or reason of the encounter.
    pub reason_text: Option<String>,
    /// Length of stay, e.g. "0:42", "2d 4hr".
    pub stay_text: Option<String>,
    /// NEWS2, on a board; absent where no server sent what it needs.
    pub news2: Option<News2View>,
    /// Acuity 1–5.
    pub acuity: Option<String>,
    /// Why it matched: "name", "MRN", "born".
    pub match_text: Option<String>,
    /// ▲ similar name on this list.
    pub similar_name: bool,
    /// Allergy flag in words for the board: "ALLERGY", "NO KNOWN ALLERGIES", "NOT RECORDED".
    pub allergy_text: String,
    /// Further flags in words.
    pub flags: Vec<String>,
    /// On a board: "2 critical results not acknowledged"; absent without one.
    pub critical_text: Option<String>,
    /// True when the signed-in user may not open the chart without breaking the glass.
    pub restricted: bool,
    /// "Died 03-Mar-2026".
    pub deceased_text: Option<String>,
}

/// Result of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SearchView {
    /// What was typed.
    pub query: String,
    /// Rows, best first.
    pub rows: Vec<PatientRowView>,
    /// Said in words: "5 of 4,212 patients on this workstation", "more than 50: type more", "No match in …".
    pub summary_text: String,
    /// More rows exist than are shown.
    pub more: bool,
}

/// The board of a ward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct BoardView {
    /// Ward id.
    pub ward: String,
    /// Ward name.
    pub ward_name: String,
    /// Rows by acuity, then wait.
    pub rows: Vec<PatientRowView>,
    /// "38 patients · sort: acuity, wait".
    pub summary_text: String,
    /// Age.
    pub age: SectionAge,
}

/// What became of a downtime packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct PacketView {
    /// Pages.
    pub pages: u32,
    /// Patients with pages of their own.
    pub patients: u32,
    /// Patients of the ward without.
    pub left_out: u32,
    /// "38 patients on 41 pages; 2 not printed: SMITH, Mary (Ms): …".
    pub text: String,
    /// Something to look at before it is relied on.
    pub warning_text: Option<String>,
}

/// A note, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct NoteView {
    /// Title or type.
    pub title: String,
    /// "18-Nov-2026 09:12, Dr RAO".
    pub detail_text: String,
    /// The text where it is plain text and on this workstation.
    pub text: Option<String>,
    /// UTC ms by which it is put in order; of a partial date the first instant it may mean; absent where no date is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number | null", optional)]
    pub at_ms: Option<i64>,
    /// The year of that, by the local clock as in the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub at_year: Option<i32>,
}

/// The chart summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ChartView {
    /// The access that the audit row carries.
    pub access_id: String,
    /// Set when the chart is open under a break-glass grant: its frame.
    pub break_glass_text: Option<String>,
    /// That grant.
    pub broken: Option<BrokenGlassView>,
    /// Who this is.
    pub banner: BannerView,
    /// Allergies.
    pub allergies: AllergyStripView,
    /// Critical results that wait for somebody.
    pub critical: ChartCriticalView,
    /// Age of the essentials (banner, allergies, critical results, medicines, conditions).
    pub essentials_age: SectionAge,
    /// Age of the rest of the record.
    pub record_age: SectionAge,
    /// Current medicines.
    pub medications: BlockView<MedicationView>,
    /// Past medicines.
    pub past_medications: BlockView<MedicationView>,
    /// Active problems.
    pub conditions: BlockView<LineView>,
    /// Code status.
    pub code_status: BlockView<LineView>,
    /// Newest vital signs.
    pub vitals: BlockView<MeasuredView>,
    /// NEWS2 of the newest vital signs: one entry.
    pub news2: BlockView<News2View>,
    /// Vital signs over time.
    pub flowsheet: FlowsheetView,
    /// Labs, one row a test.
    pub labs: BlockView<MeasuredSeriesView>,
    /// Notes.
    pub notes: BlockView<NoteView>,
    /// Encounters.
    pub encounters: BlockView<LineView>,
    /// Recorded at this workstation and not yet in this chart.
    pub entries: Vec<EntryView>,
    /// What this person began to record for this patient and did not sign.
    pub drafts: Vec<DraftHintView>,
    /// True when this person may record here for this patient.
    pub may_record: bool,
    /// Why not, when not: what would allow it.
    pub record_refused_text: Option<String>,
    /// Resources on this workstation for this patient.
    pub resources: u32,
    /// Set while the full record is still arriving: "Still loading — 1,200 of 3,400".
    pub loading_text: Option<String>,
    /// Says that entries are left out because they are too confidential for this person, how many, and what shows them;
    /// absent when nothing is.
    pub withheld_text: Option<String>,
}

/// What breaking the glass asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ReasonsView {
    /// In the order of their digits.
    pub reasons: Vec<ReasonView>,
    /// Nobody is signed in, or who is has to prove it again.
    pub secret_needed: bool,
}

/// A reason for breaking the glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ReasonView {
    /// Digit that chooses it.
    pub digit: u8,
    /// Code, e.g. "life-threatening".
    pub code: String,
    /// Words.
    pub text: String,
    /// Words must be typed with it.
    pub needs_words: bool,
}

/// An error as the screen gets it: switch on `code`, show `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ErrorView {
    /// Code.
    pub code: crate::ErrorCode,
    /// What failed, what it means, what to do.
    pub text: String,
    /// Seconds until another try is allowed, for a throttled secret.
    pub retry_after_s: Option<u32>,
    /// True when breaking the glass would allow it.
    pub break_glass_offered: bool,
}

/// What the engine tells the screen without being asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "value")]
#[ts(export)]
pub enum EngineEvent {
    /// The status strip changed.
    Status(StatusView),
    /// These patients' data changed: re-read what is on the screen. Empty: nobody knows which, re-read everything.
    PatientsChanged(Vec<String>),
    /// A board changed.
    BoardChanged(String),
    /// What is known of the person signed in changed: the server has confirmed the sign-in since.
    Session(SessionView),
    /// More of an open series is here.
    Images(crate::image_view::HeldView),
    /// Something on the open wall of live vital signs changed; nothing of it is in the event.
    Wall,
    /// Newer trends of the open wall are here.
    WallTrends,
    /// An emergency access is over by its time, or a reviewer took it back: what is open under it closes, and says so.
    EmergencyEnded(EmergencyEndedView),
    /// A badge was held to the card reader while nobody is signed in.
    Badge(BadgeView),
    /// A card that picks nobody was held to the card reader while nobody is signed in.
    BadgeRefused(ErrorView),
    /// What the lock screen says of the ways of signing in changed.
    LockChanged,
    /// The session ended (locked, revoked): hide everything at once.
    Locked,
}

/// An emergency access that ended without its user's doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EmergencyEndedView {
    /// Grant id.
    pub grant: String,
    /// What happened and what can be done, in the language of the screen.
    pub text: String,
}
