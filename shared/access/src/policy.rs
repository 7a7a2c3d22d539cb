//! The policy: one pure function and the table it reads.
//!
//! Roles are known here and nowhere else. `tests/policy_matrix.golden` holds every role × act × situation; a change
//! of policy is a visible change of that file.

use crate::{AccessId, Action, Actor, AuditEntry, Decision, Disclosure, Grant, Permit, Purpose};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;
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
}

const ROLES: [(Kind, &str, &str); 6] = [
    (Kind::Nurse, "nurse", "Nurse"),
    (Kind::Physician, "physician", "Physician"),
    (Kind::ChargeNurse, "charge-nurse", "Charge nurse"),
    (Kind::PrivacyOfficer, "privacy-officer", "Privacy officer"),
    (Kind::ClinicalIt, "clinical-it", "Clinical IT"),
    (Kind::Integrator, "integrator", "Integrator"),
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
    match &r.subject {
        Subject::User { user, role, wards } => user_verdict(action, r, user, role.0, wards),
        Subject::Device { ward, site } => device_verdict(action, r, ward, *site),
        Subject::Client { scopes, .. } => client_verdict(action, r, scopes),
        Subject::Operator { .. } => operator_verdict(action),
    }
}

fn user_verdict(action: &str, r: &Request, user: &UserId, role: Kind, wards: &[WardId]) -> Verdict {
    let clinician = matches!(role, Kind::Nurse | Kind::Physician | Kind::ChargeNurse);
    match action {
        "break-glass" if clinician => allow("clinician-breaks-glass"),
        "break-glass" => deny(
            "not-a-clinician",
            "Only clinical staff can open a chart in an emergency.",
        ),
        "read-card" | "read-chart" | "read-resource" | "write-clinical" if clinician => {
            clinician_verdict(action, r, user, wards)
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

fn clinician_verdict(action: &str, r: &Request, user: &UserId, wards: &[WardId]) -> Verdict {
    let Some(p) = &r.patient else {
        // Practitioners, Locations: what no patient's privacy rests on may be read, never written.
        return if action == "read-resource" {
            allow("reference-data")
        } else {
            deny("no-patient", "Name the patient.")
        };
    };
    if p.ward.as_ref().is_some_and(|w| wards.contains(w)) {
        return allow("own-ward-patient");
    }
    let granted = r
        .grant
        .as_ref()
        .is_some_and(|g| g.covers(user, r.device.as_ref(), &p.patient, r.at));
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
    Verdict {
        break_glass_offered: action != "write-clinical",
        ..deny("no-relationship", "You are not assigned to this patient's ward.")
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
            if here == Some(ward) {
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
    if scopes.iter().any(|s| scope_covers(s, kind, letters)) {
        allow("client-scope")
    } else {
        deny("scope-missing", "The client's scopes do not cover this.")
    }
}

/// Whether a SMART v2 system scope (`system/Type.cruds`) covers a type and any of `letters` (SMART App Launch 2.2,
/// scopes: `.cruds` letters in that order; v1 `.read` = `rs`, `.write` = `cud`, `.*` = all).
fn scope_covers(scope: &str, kind: Option<&str>, letters: &str) -> bool {
    let Some(rest) = scope.strip_prefix("system/") else {
        return false;
    };
    let Some((type_part, granted)) = rest.split_once('.') else {
        return false;
    };
    if type_part != "*" && kind != Some(type_part) {
        return false;
    }
    let granted = match granted {
        "read" => "rs",
        "write" => "cud",
        "*" => "cruds",
        other => other,
    };
    letters.chars().any(|l| granted.contains(l))
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

/// Decides one request.
///
/// # Errors
/// [`Denied`], which carries the audit row of the refusal and says what would allow the act.
pub fn decide<A: Action>(r: Request) -> Result<Permit<A>, Denied> {
    let v = verdict(A::NAME, &r);
    let by_glass = v.by_grant || A::NAME == "break-glass";
    let purpose = match (&r.subject, A::NAME) {
        _ if by_glass => Purpose::BreakGlass,
        (_, "read-audit" | "review-break-glass") => Purpose::Compliance,
        (_, "hold-record" | "request-destruction" | "approve-destruction" | "destroy-record") => {
            Purpose::Compliance
        }
        (_, "run-drill") => Purpose::Operations,
        (Subject::User { .. } | Subject::Client { .. }, _) => Purpose::Treatment,
        _ => Purpose::Operations,
    };
    let actor = match r.subject {
        Subject::User { user, .. } => Actor::User(user),
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
        notes: BTreeMap::new(),
        _act: PhantomData,
    };
    if v.allow {
        return Ok(permit);
    }
    let mut entry = permit.entry(Disclosure::default());
    entry.decision = Decision::Deny;
    Err(Denied {
        rule: v.rule,
        text: v.text,
        break_glass_offered: v.break_glass_offered,
        entry: Box::new(entry),
    })
}
