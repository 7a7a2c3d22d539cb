//! The policy: one pure function and the table it reads.
//!
//! Roles are known here and nowhere else. `tests/policy_matrix.golden` holds every role × act × situation, and role ×
//! relationship × sensitivity × purpose × act where a record is read or written; a change of policy is a visible change
//! of that file.
//!
//! Sensitivity (ADR 44): a decision is about the label of what is asked for. The label of the whole record comes with
//! the request. What lies in the record is judged when it is read, by the clearance of the permit: the highest level
//! for which the same rules would have allowed the same act.

use crate::scopes::{PATIENT, SYSTEM, covers as scope_covers, sees as scope_sees};
use crate::{AccessId, Action, Actor, AuditEntry, Decision, Disclosure, Grant, Permit, Purpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use vitrine_clinical::label::{Confidentiality, Label};
use vitrine_clinical::{DeviceId, PatientId, UserId, UtcMs, WardId};

/// A role. Its kinds are private to this module: a call site carries it and cannot ask what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Nurse,
    Physician,
    ChargeNurse,
    PrivacyOfficer,
    ClinicalIt,
    Integrator,
    EmergencyAccount,
}

const ROLES: [(Kind, &str, &str); 7] = [
    (Kind::Nurse, "nurse", "Nurse"),
    (Kind::Physician, "physician", "Physician"),
    (Kind::ChargeNurse, "charge-nurse", "Charge nurse"),
    (Kind::PrivacyOfficer, "privacy-officer", "Privacy officer"),
    (Kind::ClinicalIt, "clinical-it", "Clinical IT"),
    (Kind::Integrator, "integrator", "Integrator"),
    (Kind::EmergencyAccount, "emergency-account", "Emergency account"),
];

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no role: use nurse, physician, charge-nurse, privacy-officer, clinical-it or integrator")]
pub struct UnknownRole(pub String);

impl Role {
    /// All roles, in the order of the golden matrix.
    pub fn all() -> impl Iterator<Item = Self> {
        ROLES.iter().map(|(k, _, _)| Self(*k))
    }
    /// That of an emergency account (ADR 49): made beforehand, of no person until somebody opens its envelope.
    #[must_use]
    pub const fn of_emergency_accounts() -> Self {
        Self(Kind::EmergencyAccount)
    }
    /// Whether whoever uses such an account has to say who they are: the account does not.
    #[must_use]
    pub const fn declares_a_name(self) -> bool {
        matches!(self.0, Kind::EmergencyAccount)
    }
    /// Whether such an account signs in: one that does not opens emergency access alone.
    #[must_use]
    pub const fn signs_in(self) -> bool {
        !matches!(self.0, Kind::EmergencyAccount)
    }
    /// Its name, e.g. `charge-nurse`.
    #[must_use]
    pub fn name(self) -> &'static str {
        ROLES
            .iter()
            .find(|(k, _, _)| *k == self.0)
            .map_or("", |(_, n, _)| n)
    }
    /// Its name in words, e.g. "Charge nurse".
    #[must_use]
    pub fn words(self) -> &'static str {
        ROLES
            .iter()
            .find(|(k, _, _)| *k == self.0)
            .map_or("", |(_, _, w)| w)
    }
}
impl std::str::FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        ROLES
            .iter()
            .find(|(_, n, _)| *n == text)
            .map(|(k, _, _)| Self(*k))
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}
impl TryFrom<String> for Role {
    type Error = UnknownRole;
    fn try_from(text: String) -> Result<Self, UnknownRole> {
        text.parse()
    }
}
impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.name().to_owned()
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A person signed in.
    User {
        /// Sign-in name.
        user: UserId,
        /// Role.
        role: Role,
        /// Wards the person works in.
        wards: Vec<WardId>,
    },
    /// A workstation on its own behalf.
    Device {
        /// Its ward.
        ward: WardId,
        /// It may hold the essentials of the whole site, not only of its ward.
        site: bool,
    },
    /// A SMART backend client with granted `system/…` scopes.
    Client {
        /// Client id.
        id: String,
        /// Scopes, e.g. `system/*.cruds`, `system/Patient.rs`.
        scopes: Vec<String>,
    },
    /// A program that a person signed in through (SMART App Launch): what the person may, as far as they granted it.
    App {
        /// Client id.
        id: String,
        /// Sign-in name of the person.
        user: UserId,
        /// Their role.
        role: Role,
        /// Their wards.
        wards: Vec<WardId>,
        /// What they granted, e.g. `patient/*.rs`, `user/Observation.rs`.
        scopes: Vec<String>,
        /// The patient of its launch; `patient/…` scopes reach this one alone.
        patient: Option<PatientId>,
    },
    /// Whoever runs a command on the server's own machine.
    Operator {
        /// Operating-system account.
        account: String,
    },
}

/// The patient the act is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientFacts {
    /// Whose record.
    pub patient: PatientId,
    /// Where the patient is now.
    pub ward: Option<WardId>,
    /// How confidential the whole record is, by its Patient.
    pub label: Label,
}

/// Everything a decision rests on.
#[derive(Debug, Clone)]
pub struct Request {
    /// Id for the access, made by the caller (UUIDv7).
    pub access_id: AccessId,
    /// When, by the caller's clock.
    pub at: UtcMs,
    /// Who asks.
    pub subject: Subject,
    /// At which workstation, if at one.
    pub device: Option<DeviceId>,
    /// The patient, where the act is about one.
    pub patient: Option<PatientFacts>,
    /// The ward, where the act is about one (a board, a ward's essentials).
    pub ward: Option<WardId>,
    /// The resource type, where the act is about one (`Patient`, `Observation`): for a client's scopes.
    pub kind: Option<String>,
    /// A grant that may cover it.
    pub grant: Option<Grant>,
    /// Why, where the caller states it.
    pub purpose: Option<Purpose>,
}

/// Denied, and what would allow it. Nothing was disclosed; the refusal has its own audit row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The rule that denied.
    pub rule: &'static str,
    /// A sentence for the person: what is missing.
    pub text: &'static str,
    /// True when breaking the glass would allow it.
    pub break_glass_offered: bool,
    entry: Box<AuditEntry>,
}

impl Denied {
    /// Whether it was denied because of a label alone.
    #[must_use]
    pub fn by_label(&self) -> bool {
        matches!(
            self.rule,
            "very-restricted"
                | "withheld-by-label"
                | "label-not-in-scope"
                | "label-is-for-treatment"
                | "labelled-images"
        )
    }
    /// The audit row of the refusal.
    #[must_use]
    pub fn entry(&self) -> AuditEntry {
        (*self.entry).clone()
    }
}

/// The outcome before it is turned into a permit: used by [`decide`] and by the golden matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Allowed.
    pub allow: bool,
    /// The rule's id.
    pub rule: &'static str,
    /// What is missing, when denied.
    pub text: &'static str,
    /// Breaking the glass would allow it.
    pub break_glass_offered: bool,
    /// It rests on a grant.
    pub by_grant: bool,
}

const fn allow(rule: &'static str) -> Verdict {
    Verdict {
        allow: true,
        rule,
        text: "",
        break_glass_offered: false,
        by_grant: false,
    }
}
const fn deny(rule: &'static str, text: &'static str) -> Verdict {
    Verdict {
        allow: false,
        rule,
        text,
        break_glass_offered: false,
        by_grant: false,
    }
}

/// Decides by the name of the act. Anything not allowed by a rule below is denied.
#[must_use]
pub fn verdict(action: &str, r: &Request) -> Verdict {
    match crate::action::of_patient(action) {
        None => return deny("unknown-act", "This act is not known to the policy."),
        Some(true) if r.patient.is_none() => return deny("no-patient", "Name the patient."),
        Some(_) => {}
    }
    if let Some(against) = purpose_verdict(action, r) {
        return against;
    }
    match &r.subject {
        Subject::User { user, role, wards } => user_verdict(action, r, user, role.0, wards),
        Subject::Device { ward, site } => device_verdict(action, r, ward, *site),
        Subject::Client { scopes, .. } => client_verdict(action, r, scopes),
        Subject::App {
            user,
            role,
            wards,
            scopes,
            patient,
            ..
        } => app_verdict(action, r, scopes, patient.as_ref(), |r| {
            user_verdict(action, r, user, role.0, wards)
        }),
        Subject::Operator { .. } => operator_verdict(action),
    }
}

/// Acts by which somebody looks into or changes a record.
const OF_A_RECORD: [&str; 4] = ["read-card", "read-chart", "read-resource", "write-clinical"];

/// Why an act is done where nobody states it.
fn usual_purpose(action: &str, subject: &Subject) -> Purpose {
    match (subject, action) {
        (_, "read-audit" | "review-break-glass") => Purpose::Compliance,
        (_, "hold-record" | "request-destruction" | "approve-destruction" | "destroy-record") => {
            Purpose::Compliance
        }
        (_, "run-drill") => Purpose::Operations,
        (Subject::User { .. } | Subject::Client { .. } | Subject::App { .. }, _) => Purpose::Treatment,
        _ => Purpose::Operations,
    }
}

/// What a stated purpose forbids; a purpose never allows what would be denied without it.
fn purpose_verdict(action: &str, r: &Request) -> Option<Verdict> {
    let stated = r.purpose?;
    let of_record = OF_A_RECORD.contains(&action);
    match (stated, &r.subject) {
        (p, subject) if p == usual_purpose(action, subject) => None,
        // Whether there is a grant is decided where the relationship is.
        (Purpose::BreakGlass, Subject::User { .. }) if of_record || action == "break-glass" => None,
        // A program may settle accounts and run the hospital with what it has scopes for.
        (Purpose::Payment | Purpose::HealthcareOperations, Subject::Client { .. })
            if of_record && action != "write-clinical" =>
        {
            None
        }
        _ => Some(deny(
            "purpose-does-not-fit",
            "This is not done for the purpose that was stated.",
        )),
    }
}

fn user_verdict(action: &str, r: &Request, user: &UserId, role: Kind, wards: &[WardId]) -> Verdict {
    if role == Kind::EmergencyAccount {
        return emergency_account_verdict(action, r, user);
    }
    let clinician = matches!(role, Kind::Nurse | Kind::Physician | Kind::ChargeNurse);
    match action {
        "break-glass" if clinician => allow("clinician-breaks-glass"),
        "break-glass" => deny(
            "not-a-clinician",
            "Only clinical staff can open a chart in an emergency.",
        ),
        "read-card" | "read-chart" | "read-resource" | "write-clinical" if clinician => {
            clinician_verdict(action, r, user, role, wards)
        }
        "search-patients" if clinician => allow("clinician-searches"),
        "view-board" if clinician => match &r.ward {
            Some(w) if wards.contains(w) => allow("own-ward-board"),
            _ => deny(
                "other-ward-board",
                "This board belongs to a ward you are not assigned to.",
            ),
        },
        "run-drill" if clinician => match &r.ward {
            Some(w) if wards.contains(w) => allow("own-ward-drill"),
            _ => deny(
                "other-ward-drill",
                "This workstation belongs to a ward you are not assigned to.",
            ),
        },
        "read-audit" | "review-break-glass" if matches!(role, Kind::PrivacyOfficer) => {
            allow("privacy-officer")
        }
        "manage-users" | "manage-devices" | "operate-server" | "run-drill"
            if matches!(role, Kind::ClinicalIt) =>
        {
            allow("clinical-it")
        }
        "hold-record" | "request-destruction" | "approve-destruction"
            if matches!(role, Kind::PrivacyOfficer | Kind::ClinicalIt) =>
        {
            allow("record-keeper")
        }
        "import-data" if matches!(role, Kind::Integrator) => allow("integrator-imports"),
        _ => deny("role-has-no-such-act", "Your role does not include this."),
    }
}

/// An emergency account finds a patient, breaks the glass and reads the card it broke it for. There is nothing else that it may.
fn emergency_account_verdict(action: &str, r: &Request, user: &UserId) -> Verdict {
    let granted = |p: &PatientFacts| {
        let grant = r.grant.as_ref();
        grant.is_some_and(|g| g.covers(user, r.device.as_ref(), &p.patient, r.at))
    };
    match action {
        "break-glass" | "search-patients" => allow("emergency-account"),
        "read-card" if r.patient.as_ref().is_some_and(granted) => Verdict {
            by_grant: true,
            ..allow("break-glass-grant")
        },
        "read-card" => Verdict {
            break_glass_offered: true,
            ..deny(
                "emergency-account-needs-a-grant",
                "An emergency account reads a card by breaking the glass alone.",
            )
        },
        _ => deny(
            "emergency-account-opens-cards-alone",
            "An emergency account opens emergency cards and nothing else.",
        ),
    }
}

fn clinician_verdict(action: &str, r: &Request, user: &UserId, role: Kind, wards: &[WardId]) -> Verdict {
    let Some(p) = &r.patient else {
        // Practitioners, Locations: what no patient's privacy rests on may be read, never written.
        return if action == "read-resource" {
            allow("reference-data")
        } else {
            deny("no-patient", "Name the patient.")
        };
    };
    let granted = r
        .grant
        .as_ref()
        .is_some_and(|g| g.covers(user, r.device.as_ref(), &p.patient, r.at));
    let emergency = r.purpose == Some(Purpose::BreakGlass);
    let own = p.ward.as_ref().is_some_and(|w| wards.contains(w));
    // A label withholds reading; whoever cares for a patient may record what they see and do.
    let seen = action == "write-clinical" || p.label.level() <= clearance(role);
    // A grant that lets see more is what the access rests on, and its row says so.
    let by_grant_more =
        granted && action != "write-clinical" && clearance(role) < Confidentiality::VeryRestricted;
    if own && seen && !emergency && !by_grant_more {
        return allow("own-ward-patient");
    }
    if granted && action != "write-clinical" {
        return Verdict {
            by_grant: true,
            ..allow("break-glass-grant")
        };
    }
    if granted {
        return deny(
            "grant-is-read-only",
            "Emergency access is for reading; ask the patient's team to write.",
        );
    }
    let offer = |v: Verdict| Verdict {
        break_glass_offered: action != "write-clinical",
        ..v
    };
    if emergency {
        return offer(deny(
            "purpose-needs-a-grant",
            "Reading for emergency treatment begins with breaking the glass.",
        ));
    }
    if own {
        return offer(deny(
            "very-restricted",
            "This is very confidential: your role opens it in an emergency alone.",
        ));
    }
    offer(deny(
        "no-relationship",
        "You are not assigned to this patient's ward.",
    ))
}

/// Up to which level somebody who cares for the patient sees the record.
const fn clearance(role: Kind) -> Confidentiality {
    match role {
        Kind::Physician => Confidentiality::VeryRestricted,
        _ => Confidentiality::Restricted,
    }
}

fn device_verdict(action: &str, r: &Request, ward: &WardId, site: bool) -> Verdict {
    match (action, &r.ward) {
        ("sync-scope", Some(w)) if w == ward => allow("own-ward-scope"),
        ("sync-scope", Some(_)) if site => allow("site-essentials"),
        ("sync-scope", None) if site => allow("site-essentials"),
        ("sync-scope", _) => deny(
            "other-ward-scope",
            "This workstation is not enrolled for that scope.",
        ),
        // Small pictures are fetched ahead for whoever will stand there; nothing else of a chart.
        ("read-chart", _) if r.kind.as_deref() == Some("ImagingStudy") => {
            let here = r.patient.as_ref().and_then(|p| p.ward.as_ref());
            if here == Some(ward) && r.label().level() > Confidentiality::Normal {
                deny(
                    "labelled-images",
                    "Images of a confidential record are not fetched ahead of whoever opens it.",
                )
            } else if here == Some(ward) {
                allow("own-ward-images")
            } else {
                deny(
                    "other-ward-images",
                    "This workstation fetches images ahead for the patients of its ward alone.",
                )
            }
        }
        _ => deny("device-only-syncs", "Sign in first."),
    }
}

fn client_verdict(action: &str, r: &Request, scopes: &[String]) -> Verdict {
    let letters = match action {
        "read-resource" | "read-chart" | "read-card" => "r",
        "search-patients" => "s",
        "write-clinical" | "import-data" => "cud",
        "send-live" => "c",
        _ => return deny("client-has-no-such-act", "A client's scopes do not include this."),
    };
    let kind = r.kind.as_deref();
    let level = r.label().level();
    let seen = |s: &String| action == "write-clinical" || scope_sees(s) >= level;
    let covering = || {
        let ours = scopes.iter().filter(|s| s.starts_with(SYSTEM));
        ours.filter(|s| scope_covers(s, kind, letters))
    };
    if covering().next().is_none() {
        return deny("scope-missing", "The client's scopes do not cover this.");
    }
    if !covering().any(seen) {
        return deny(
            "label-not-in-scope",
            "This is confidential, and none of the client's scopes names that.",
        );
    }
    let treats = matches!(r.purpose, None | Some(Purpose::Treatment));
    if level > Confidentiality::Normal && !treats && action != "write-clinical" {
        return deny(
            "label-is-for-treatment",
            "What is confidential is read for treatment alone.",
        );
    }
    allow("client-scope")
}

/// Types that are no patient's and that a `patient/…` scope reaches beside the patient's own: what a record refers to.
const REFERRED_TO: [&str; 6] = [
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "Medication",
    "Endpoint",
];

/// What a person granted to a program, and of that what the person may (`theirs`). It reads and does nothing else, and no
/// glass is broken through it.
fn app_verdict(
    action: &str,
    r: &Request,
    scopes: &[String],
    own: Option<&PatientId>,
    theirs: impl Fn(&Request) -> Verdict,
) -> Verdict {
    let letters = match action {
        "read-resource" | "read-chart" | "read-card" => "r",
        "search-patients" => "s",
        _ => {
            return deny(
                "app-only-reads",
                "A program that somebody signed in through may read and do nothing else.",
            );
        }
    };
    let kind = r.kind.as_deref();
    let covering = || {
        let granted = scopes.iter().filter(|s| !s.starts_with(SYSTEM));
        granted.filter(|s| scope_covers(s, kind, letters))
    };
    if covering().next().is_none() {
        return deny("scope-missing", "The program was not granted this.");
    }
    // Whose a search is for is asked of the policy again, for each patient of it; people are searched by `user/…` alone.
    let bound = match (&r.patient, own) {
        (Some(asked), Some(own)) => asked.patient == *own,
        (None, Some(_)) if action == "search-patients" => kind.is_some_and(|k| k != "Patient"),
        (None, Some(_)) => kind.is_some_and(|k| REFERRED_TO.contains(&k)),
        (_, None) => false,
    };
    let reaching = || covering().filter(|s| !s.starts_with(PATIENT) || bound);
    if reaching().next().is_none() {
        return deny(
            "other-patient-than-the-launch",
            "The program was granted the record of one patient, and this is not theirs.",
        );
    }
    let level = r.label().level();
    if !reaching().any(|s| scope_sees(s) >= level) {
        return deny(
            "label-not-in-scope",
            "This is confidential, and nothing that the program was granted names that.",
        );
    }
    let mut plain = r.clone();
    plain.grant = None;
    Verdict {
        break_glass_offered: false,
        by_grant: false,
        ..theirs(&plain)
    }
}

fn operator_verdict(action: &str) -> Verdict {
    match action {
        "import-data" | "write-clinical" | "manage-users" | "manage-devices" | "read-audit"
        | "operate-server" | "hold-record" | "destroy-record" => allow("operator-on-the-server"),
        "request-destruction" | "approve-destruction" => deny(
            "destruction-needs-a-name",
            "A destruction is asked for and approved by a person, who proves it with a password.",
        ),
        _ => deny(
            "operator-sees-no-chart",
            "A chart is opened by a person, not from the server's command line.",
        ),
    }
}

impl Request {
    /// The label of the record that is asked for.
    #[must_use]
    pub fn label(&self) -> Label {
        self.patient.as_ref().map_or(Label::NONE, |p| p.label)
    }

    /// The same request about something of at least this level.
    fn about(&self, level: Confidentiality) -> Self {
        let mut same = self.clone();
        if let Some(p) = &mut same.patient {
            p.label = p.label.and(Label::of(level));
        }
        same
    }
}

/// The highest level for which the same rules allow the same act.
#[must_use]
pub fn clearance_of(action: &str, r: &Request) -> Confidentiality {
    if r.patient.is_none() {
        return Confidentiality::Normal;
    }
    let seen = |level: &Confidentiality| verdict(action, &r.about(*level)).allow;
    let seen = Confidentiality::ALL.into_iter().take_while(seen).last();
    seen.unwrap_or_default()
}

/// Whether breaking the glass would show more of the record than this permit does.
fn breaking_helps(action: &str, r: &Request) -> bool {
    let most = r.about(Confidentiality::VeryRestricted);
    let v = verdict(action, &most);
    r.patient.is_some() && !v.allow && v.break_glass_offered
}

/// Decides one request.
///
/// # Errors
/// [`Denied`], which carries the audit row of the refusal and says what would allow the act.
pub fn decide<A: Action>(r: Request) -> Result<Permit<A>, Denied> {
    let v = verdict(A::NAME, &r);
    let by_glass = v.by_grant || A::NAME == "break-glass";
    let usual = || r.purpose.unwrap_or_else(|| usual_purpose(A::NAME, &r.subject));
    let purpose = if by_glass { Purpose::BreakGlass } else { usual() };
    let clearance = clearance_of(A::NAME, &r);
    let offered = v.break_glass_offered || (v.allow && breaking_helps(A::NAME, &r));
    let mut notes = BTreeMap::new();
    if let Subject::App { id, .. } = &r.subject {
        notes.insert("app".to_owned(), id.clone());
    }
    let actor = match r.subject {
        Subject::User { user, .. } | Subject::App { user, .. } => Actor::User(user),
        Subject::Device { .. } => match &r.device {
            Some(d) => Actor::Device(d.clone()),
            None => Actor::Operator("unnamed device".to_owned()),
        },
        Subject::Client { id, .. } => Actor::Client(id),
        Subject::Operator { account } => Actor::Operator(account),
    };
    let permit = Permit::<A> {
        access_id: r.access_id,
        at: r.at,
        actor,
        device: r.device,
        purpose,
        rule: v.rule,
        grant: if v.by_grant { r.grant.map(|g| g.id) } else { None },
        patient: r.patient.map(|p| p.patient),
        notes,
        clearance,
        breaking_helps: offered,
        _act: PhantomData,
    };
    if v.allow {
        return Ok(permit);
    }
    Err(refusal(&permit, v.rule, v.text, v.break_glass_offered))
}

/// A refusal with its audit row.
pub(crate) fn refusal<A: Action>(
    permit: &Permit<A>,
    rule: &'static str,
    text: &'static str,
    break_glass_offered: bool,
) -> Denied {
    let mut entry = permit.entry(Disclosure::default());
    entry.decision = Decision::Deny;
    rule.clone_into(&mut entry.rule);
    Denied {
        rule,
        text,
        break_glass_offered,
        entry: Box::new(entry),
    }
}
