//! Bodies of the web console's API (`/console/api`). Times are ms since 1970 UTC; texts for people are English, as the server
//! speaks. The page in `ui` is made against these types.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// `POST /console/api/sign-in`.
#[derive(Clone, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleSignIn {
    /// Sign-in name.
    pub user: String,
    /// Password. A PIN opens workstations alone.
    pub secret: String,
}

/// `POST /console/api/sign-in/code`, after a sign-in that was answered with `code-needed`; `POST /console/api/totp/confirm`.
#[derive(Clone, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleSecondStep {
    /// Six digits of the authenticator, or at a sign-in a recovery code.
    pub code: String,
}

/// `POST /console/api/totp`: makes a second factor of the reader's own.
#[derive(Clone, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleEnrol {
    /// Their password, once more.
    pub secret: String,
}

/// A second factor that waits for its first code. Shown once, kept by nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleEnrolment {
    /// The address for the authenticator (`otpauth://…`).
    pub uri: String,
    /// The key for who types it, in groups of four.
    pub key: String,
    /// The QR code of the address: rows from top to bottom, a module each, `1` dark and `0` light, without the quiet zone.
    pub qr: Vec<String>,
}

/// `POST /console/api/totp/confirm`: it counts from now on. Every other session of the reader at the console has ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleEnrolled {
    /// Recovery codes, each for one sign-in. Shown once, kept by nobody.
    pub codes: Vec<String>,
    /// The session that goes on.
    pub session: ConsoleSession,
}

/// `GET /console/api/ways`: how somebody can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleWays {
    /// By the hospital's identity provider too: `/console/api/oidc/start` goes there.
    pub provider: bool,
}

/// What the policy lets the reader do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMay {
    /// Review broken glass of others.
    pub reviews: bool,
    /// Read and check the audit log.
    pub audit: bool,
    /// See and revoke workstations.
    pub devices: bool,
    /// See accounts.
    pub people: bool,
    /// See what the policy lets each role do. Why somebody may see a record or may not goes with `audit`.
    pub policy: bool,
    /// See what the interfaces bring in, and have what is held decided again.
    pub messages: bool,
    /// See what a message says, correct and drop it.
    pub message_texts: bool,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleSession {
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub name: String,
    /// Role in words.
    pub role: String,
    /// Goes with everything but GET as the header `X-Vitrine-Csrf`.
    pub csrf: String,
    /// Seconds without a request after which the session ends.
    pub idle_s: u32,
    /// When it ends in any case.
    #[ts(type = "number")]
    pub ends_ms: i64,
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// What the policy lets them do.
    pub may: ConsoleMay,
    /// What the session rests on, after the methods of RFC 8176: `pwd`, `pwd+otp`, `pwd+recovery`, or `provider`.
    pub by: String,
    /// How the reader's second factor stands.
    pub totp: ConsoleTotp,
}

/// How somebody's second factor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleTotp {
    /// They have one.
    pub on: bool,
    /// They may enrol one here.
    pub offered: bool,
    /// Recovery codes that are left.
    pub recovery: u8,
}

/// One broken glass and how its review stands. Names no patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleReview {
    /// Id of the access that broke the glass.
    pub id: String,
    /// `open`, `asked`, `suspected`, `appropriate`, `misuse`.
    pub state: String,
    /// The same in words.
    pub state_text: String,
    /// Who broke it.
    pub user: String,
    /// Their name as shown.
    pub user_name: String,
    /// The name is the one that they said is theirs, with an emergency account: nobody has checked it.
    pub declared: bool,
    /// When.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// When the server learned of it.
    #[ts(type = "number")]
    pub received_ms: i64,
    /// When the review is due.
    #[ts(type = "number")]
    pub due_ms: i64,
    /// The reason that was chosen, in words.
    pub reason: String,
    /// What was typed with it.
    pub words: Option<String>,
    /// Name of the workstation; absent for the server's API.
    pub device: Option<String>,
    /// The workstation had no server then.
    pub offline: bool,
    /// The server learned of it after the review was due.
    pub late: bool,
    /// Not closed and past its time.
    pub overdue: bool,
    /// Highest level it was escalated to; 0 for none.
    pub level: u8,
    /// Who broke it still owes words.
    pub owes_words: bool,
    /// The reader broke it.
    pub own: bool,
    /// When the review was closed.
    #[ts(type = "number | null")]
    pub closed_ms: Option<i64>,
}

/// `GET /console/api/reviews`: open ones oldest first, all of them newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleReviews {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// Only what is not closed.
    pub open_only: bool,
    /// The rows; whoever may not review sees their own.
    pub rows: Vec<ConsoleReview>,
    /// There are more than these.
    pub more: bool,
    /// Not closed, of all the reader may see.
    #[ts(type = "number")]
    pub waiting: u64,
    /// Of those, past their time.
    #[ts(type = "number")]
    pub overdue: u64,
}

/// Whose glass was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleReviewPatient {
    /// FHIR id.
    pub id: String,
    /// "DOE, Jane (Ms)"; a sentence where it may not or cannot be shown.
    pub name: String,
    /// "12-Mar-1964 · M · MRN 123"; empty where the name is not shown.
    pub identity: String,
}

/// One entry of a review's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleHistory {
    /// When.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// By whom; absent for the clock.
    pub by: Option<String>,
    /// Their name as shown.
    pub by_name: Option<String>,
    /// `explained`, `asked`, `appropriate`, `suspected`, `confirmed`, `dismissed`, `revoked`, `escalated`.
    pub did: String,
    /// The words given with it.
    pub text: Option<String>,
}

/// Something the server knows that bears on a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleEvidence {
    /// `for`, `against`, `neither`.
    pub weighs: String,
    /// A sentence.
    pub text: String,
}

/// One audit row that rests on the broken glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleSeen {
    /// When.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// Which act.
    pub action: String,
    /// What was shown, in words.
    pub what: String,
    /// At which workstation.
    pub device: Option<String>,
}

/// Something the reader can do to a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleAct {
    /// `ask`, `appropriate`, `suspect`, `confirm`, `dismiss`, `explain`.
    pub how: String,
    /// The words of a button.
    pub label: String,
    /// Why it would be refused now.
    pub why_not: Option<String>,
    /// It needs words.
    pub words_needed: bool,
}

/// `GET /console/api/reviews/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleReviewShown {
    /// How it stands.
    pub review: ConsoleReview,
    /// Whose glass was broken.
    pub patient: ConsoleReviewPatient,
    /// What was done, oldest first.
    pub history: Vec<ConsoleHistory>,
    /// What speaks for or against it.
    pub evidence: Vec<ConsoleEvidence>,
    /// What was looked at, oldest first; empty for whoever may not read the audit log.
    pub seen: Vec<ConsoleSeen>,
    /// There may be more than that.
    pub seen_more: bool,
    /// What the reader can do.
    pub acts: Vec<ConsoleAct>,
}

/// `POST /console/api/reviews/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleDecision {
    /// As in [`ConsoleAct::how`].
    pub how: String,
    /// Why, 1 to 2,000 characters.
    pub text: String,
}

/// How many reviews stand so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleStateCount {
    /// As in [`ConsoleReview::state`].
    pub state: String,
    /// In words.
    pub text: String,
    /// How many.
    #[ts(type = "number")]
    pub count: u64,
}

/// How often somebody misused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMisuse {
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub name: String,
    /// Reviews closed as misuse.
    #[ts(type = "number")]
    pub count: u64,
}

/// `GET /console/api/review-stats`: of the newest 10,000.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleReviewStats {
    /// Broken glass.
    #[ts(type = "number")]
    pub broken: u64,
    /// Reviews that are closed.
    #[ts(type = "number")]
    pub closed: u64,
    /// Of those, within 24 hours of the event.
    #[ts(type = "number")]
    pub closed_in_time: u64,
    /// The same in percent; absent while none is closed.
    pub closed_in_time_percent: Option<f64>,
    /// Not closed and past their time.
    #[ts(type = "number")]
    pub overdue: u64,
    /// Learned of after the review was due.
    #[ts(type = "number")]
    pub arrived_late: u64,
    /// By how they stand.
    pub states: Vec<ConsoleStateCount>,
    /// By whom, the most first.
    pub misuse: Vec<ConsoleMisuse>,
    /// There are older ones.
    pub more: bool,
}

/// A fact noted in an audit row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleNote {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One audit row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleAuditRow {
    /// `server`, or a workstation's id.
    pub chain: String,
    /// Its number there.
    #[ts(type = "number")]
    pub seq: u64,
    /// When, by the clock of who wrote it.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// Their name as shown.
    pub actor_name: Option<String>,
    /// At which workstation.
    pub device: Option<String>,
    /// Which act.
    pub action: String,
    /// Why.
    pub purpose: String,
    /// Whether it was allowed.
    pub permitted: bool,
    /// The rule that decided.
    pub rule: String,
    /// The patient the request was about.
    pub patient: Option<String>,
    /// The broken glass it rests on.
    pub grant: Option<String>,
    /// Resources and versions shown, in words.
    pub what: String,
    /// Further facts.
    pub notes: Vec<ConsoleNote>,
}

/// `GET /console/api/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleAudit {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// From when.
    #[ts(type = "number")]
    pub from_ms: i64,
    /// Until when.
    #[ts(type = "number")]
    pub until_ms: i64,
    /// The rows, newest first.
    pub rows: Vec<ConsoleAuditRow>,
    /// Goes on there, as `before`.
    pub next: Option<String>,
    /// What was searched, in a sentence.
    pub looked: String,
}

/// One chain of audit rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleChain {
    /// `server`, or a workstation's id.
    pub chain: String,
    /// Rows.
    #[ts(type = "number")]
    pub rows: u64,
    /// Hash of the last row, hex.
    pub head: String,
    /// Whether it was whole when it was checked last; absent before the first check since the server started.
    pub whole: Option<bool>,
    /// What is wrong.
    pub fault: Option<String>,
    /// When it was checked.
    #[ts(type = "number | null")]
    pub checked_ms: Option<i64>,
}

/// What a witness says of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleWitness {
    /// Its name.
    pub name: String,
    /// What it says, in words.
    pub text: String,
    /// Whether that is well.
    pub ok: bool,
}

/// The last checkpoint of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleCheckpoint {
    /// When.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// Rows it covers.
    #[ts(type = "number")]
    pub size: u64,
    /// Its root, hex.
    pub root: String,
    /// What its witnesses say.
    pub witnesses: Vec<ConsoleWitness>,
}

/// `GET` and `POST /console/api/chains`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleChains {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// The chains.
    pub chains: Vec<ConsoleChain>,
    /// Absent where none was made.
    pub checkpoint: Option<ConsoleCheckpoint>,
}

/// A workstation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleDevice {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its ward.
    pub ward: String,
    /// `active`, `revoked`.
    pub state: String,
    /// When it was enrolled.
    #[ts(type = "number")]
    pub enrolled_ms: i64,
    /// When it was last seen.
    #[ts(type = "number | null")]
    pub seen_ms: Option<i64>,
    /// Its program.
    pub version: Option<String>,
    /// What it says of itself, in short words.
    pub report: Option<String>,
    /// When it was revoked, where that is known.
    #[ts(type = "number | null")]
    pub revoked_ms: Option<i64>,
}

/// A code for enrolment that nobody has used yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleCode {
    /// Ward of the workstation to be.
    pub ward: String,
    /// When it was made.
    #[ts(type = "number")]
    pub made_ms: i64,
    /// When it ends.
    #[ts(type = "number")]
    pub ends_ms: i64,
}

/// `GET /console/api/devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleDevices {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// The workstations.
    pub devices: Vec<ConsoleDevice>,
    /// Codes in force.
    pub codes: Vec<ConsoleCode>,
}

/// `POST /console/api/devices/{id}/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleRevocation {
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsolePerson {
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub name: String,
    /// Role in words.
    pub role: String,
    /// Wards.
    pub wards: Vec<String>,
    /// May sign in.
    pub in_use: bool,
}

/// `GET /console/api/people`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsolePeople {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// The accounts by name.
    pub people: Vec<ConsolePerson>,
}

/// `GET /console/api/policy?level=N&purpose=TREAT`: what each role may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsolePolicy {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// How confidential the record is that is asked about: `N`, `R` or `V`.
    pub level: String,
    /// The purpose that was stated, as a code of HL7 v3 ActReason; none = the usual one.
    pub purpose: Option<String>,
    /// The roles in words, in the order of the cells.
    pub roles: Vec<String>,
    /// Acts, each in the situations that the policy tells apart.
    pub rows: Vec<ConsolePolicyRow>,
}

/// An act in a situation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsolePolicyRow {
    /// The act as the audit log names it.
    pub act: String,
    /// In words.
    pub act_text: String,
    /// Where somebody stands to what they ask for, in words; empty = it makes no difference.
    pub about_text: String,
    /// What the policy answers each role.
    pub cells: Vec<ConsolePolicyCell>,
}

/// An answer of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsolePolicyCell {
    /// Allowed.
    pub allow: bool,
    /// The rule that says so.
    pub rule: String,
    /// What is missing, where it is denied; else empty.
    pub text: String,
    /// It rests on broken glass.
    pub by_grant: bool,
    /// Breaking the glass would allow it.
    pub break_glass_offered: bool,
}

/// `POST /console/api/policy/why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleWhyAsked {
    /// Sign-in name.
    pub user: String,
    /// Id of the record, or a number of the patient.
    pub patient: String,
    /// The purpose to be stated, as a code of HL7 v3 ActReason; empty = none.
    pub purpose: String,
}

/// What somebody may do with a patient's record now, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleWhy {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub user_name: String,
    /// Role in words.
    pub role: String,
    /// Their wards.
    pub wards: Vec<String>,
    /// The account can be used.
    pub in_use: bool,
    /// Id of the record.
    pub patient: String,
    /// The ward the patient is in; none = in none.
    pub ward: Option<String>,
    /// How confidential the whole record is: `N`, `R` or `V`.
    pub level: String,
    /// Its sensitivity codes of HL7 v3 ActCode.
    pub codes: Vec<String>,
    /// The glass they broke on this patient, in force now.
    pub glass: Option<ConsoleWhyGlass>,
    /// What the policy answers.
    pub acts: Vec<ConsoleWhyAct>,
}

/// Broken glass in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleWhyGlass {
    /// From.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// Until.
    #[ts(type = "number")]
    pub until_ms: i64,
    /// Name of the workstation where alone it is good; none = at the server's own API.
    pub device: Option<String>,
}

/// An act, and what the policy answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleWhyAct {
    /// The act as the audit log names it.
    pub act: String,
    /// In words.
    pub act_text: String,
    /// Allowed.
    pub allow: bool,
    /// The rule that says so.
    pub rule: String,
    /// What is missing, where it is denied; else empty.
    pub text: String,
    /// It rests on broken glass.
    pub by_grant: bool,
    /// Breaking the glass would allow it.
    pub break_glass_offered: bool,
    /// Up to which level of confidentiality what lies in the record is seen, where it is read: `N`, `R` or `V`.
    pub sees: Option<String>,
}

/// `GET /console/api/messages`: HL7 v2 messages that came in. Nothing of it is what a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessages {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// Every feed that is configured or that messages came from in the last 7 days, by name; empty on a page after the first.
    pub feeds: Vec<ConsoleFeed>,
    /// The messages asked for, newest first.
    pub rows: Vec<ConsoleMessage>,
    /// For the page after this one, as `before`; none = these are all.
    #[ts(type = "number | null")]
    pub next: Option<u64>,
}

/// A feed, and what came of its messages. Days are those of UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleFeed {
    /// As configured.
    pub feed: String,
    /// It is in the configuration now. `import` is that of files, and always there.
    pub configured: bool,
    /// Today.
    pub today: ConsoleFeedCount,
    /// Of the last 7 days, today being one of them.
    pub week: ConsoleFeedCount,
}

/// How many messages came, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleFeedCount {
    /// All of them.
    #[ts(type = "number")]
    pub messages: u64,
    /// Changed the record.
    #[ts(type = "number")]
    pub applied: u64,
    /// Said nothing new.
    #[ts(type = "number")]
    pub known: u64,
    /// Wait for somebody.
    #[ts(type = "number")]
    pub held: u64,
    /// Somebody decided that they are not applied.
    #[ts(type = "number")]
    pub dropped: u64,
    /// Not decided yet.
    #[ts(type = "number")]
    pub received: u64,
    /// Why most of the held ones are, in the words of HL7 table 0357; none where nothing is held.
    pub held_why: Option<String>,
    /// So many of them are for that.
    #[ts(type = "number")]
    pub held_for_that: u64,
}

/// A message as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessage {
    /// Its number.
    #[ts(type = "number")]
    pub id: u64,
    /// When it first came.
    #[ts(type = "number")]
    pub at_ms: i64,
    /// By which feed.
    pub feed: String,
    /// `MSH-3|MSH-4`.
    pub sender: String,
    /// Its type and event, `ADT^A01`.
    pub kind: String,
    /// MSH-10.
    pub control: String,
    /// How often it was sent.
    pub times: u32,
    /// Its size, also once the bytes are gone.
    #[ts(type = "number")]
    pub bytes: u64,
    /// `received`, `applied`, `known`, `held` or `dropped`.
    pub state: String,
    /// Of HL7 table 0357; none where nothing is at fault.
    pub code: Option<u16>,
    /// The words of that table.
    pub code_text: Option<String>,
    /// Where the fault is, as ERR-2: segment, which of that name, field, repetition, component.
    pub place: Option<String>,
    /// Why, in words; nothing of a patient.
    pub reason: Option<String>,
    /// Resources written.
    pub wrote: u32,
    /// The message that it is a corrected copy of.
    #[ts(type = "number | null")]
    pub of: Option<u64>,
    /// Who decided, where a person did.
    pub by: Option<String>,
    /// When it was settled.
    #[ts(type = "number | null")]
    pub settled_ms: Option<i64>,
}

/// `GET /console/api/messages/{id}`: what a message says, and what is made of it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessageShown {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// As listed.
    pub message: ConsoleMessage,
    /// Whose it is, by the id of the record.
    pub patient: Option<String>,
    /// What was not understood when it was applied, each with its place.
    pub notes: Vec<String>,
    /// Its segments; none where they are not shown, which `unshown` then says.
    pub lines: Option<Vec<ConsoleMessageLine>>,
    /// Every byte was of its character set; else `U+FFFD` stands for what could not be read.
    pub exact: bool,
    /// Why the text is not shown, or why nothing can be made of it.
    pub unshown: Option<String>,
    /// What it becomes, by where in the message each comes from.
    pub made: Vec<ConsoleMade>,
    /// What would not be understood, each with its place.
    pub not_understood: Vec<String>,
    /// Why nothing would be made of it.
    pub fault: Option<ConsoleMessageFault>,
}

/// A segment. Its parts in a row are the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessageLine {
    /// All of it, or what comes before the place of the fault.
    pub before: String,
    /// What stands at that place, possibly nothing; none = it is not in this segment.
    pub marked: Option<String>,
    /// What comes after it.
    pub after: String,
}

/// A resource that a message becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMade {
    /// Where in the message it comes from, as ERR-2.
    pub from: String,
    /// Its type.
    pub kind: String,
    /// Itself, as JSON for a reader.
    pub json: String,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessageFault {
    /// Of HL7 table 0357.
    pub code: u16,
    /// The words of that table.
    pub code_text: String,
    /// Where, as ERR-2.
    pub place: Option<String>,
    /// What is wrong.
    pub text: String,
}

/// `POST /console/api/messages/{id}/fix`.
#[derive(Clone, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessageFix {
    /// The whole message, a line for each segment.
    pub text: String,
    /// Why; at most 500 characters.
    pub reason: String,
}

/// `POST /console/api/messages/{id}/drop`.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessageDrop {
    /// Why; at most 500 characters.
    pub reason: String,
}

/// What an act on a message came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleMessageDone {
    /// The server's clock.
    #[ts(type = "number")]
    pub now_ms: i64,
    /// The message as it is now.
    pub message: ConsoleMessage,
    /// The corrected copy of it, as it is now.
    pub copy: Option<ConsoleMessage>,
}

/// Any refusal under `/console/api`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ConsoleRefusal {
    /// `not-signed-in`, `wrong-secret`, `code-needed`, `second-factor-needed`, `disabled`, `denied`, `csrf`, `refused`, `throttled`, `not-found`, `bad-request`,
    /// `overloaded`, `internal`.
    pub error: String,
    /// A sentence that says what to do; nothing of a patient.
    pub text: String,
}
