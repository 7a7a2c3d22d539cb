//! The golden matrix: every role × act × situation, as text that a nurse manager can read.
//!
//! Rendered by [`render`] from anything that answers, so that the server's and the workstation's entry points are
//! compared with the same committed file, `tests/policy_matrix.golden`. A request is the description of a situation:
//! an end under test sets that situation up and asks by a request of its own making. [`render_sensitivity`] is the second
//! matrix, `tests/sensitivity_matrix.golden`: who sees a record by its label and the purpose that is stated.

use crate::grant::{GRANT_MS, Reason};
use crate::policy::{Denied, PatientFacts, Request, Role, Subject, Verdict};
use crate::{AccessId, Action, Decision, Disclosure, Grant, Permit, Purpose};
use std::fmt::Write as _;
use vitrine_clinical::label::Label;
use vitrine_clinical::{DeviceId, IdError, PatientId, UserId, UtcMs, WardId};

const AT: UtcMs = UtcMs(1_800_000_000_000);

/// The situations a person can be in.
const SITUATIONS: [(&str, Situation); 7] = [
    ("own ward", Situation::OwnWard),
    ("other ward", Situation::OtherWard),
    ("other ward, glass broken", Situation::Granted),
    ("other ward, grant ended", Situation::Ended),
    ("other ward, grant of a colleague", Situation::OfColleague),
    ("other ward, grant at another workstation", Situation::Elsewhere),
    ("no patient named", Situation::NoPatient),
];

#[derive(Clone, Copy)]
enum Situation {
    OwnWard,
    OtherWard,
    Granted,
    Ended,
    OfColleague,
    Elsewhere,
    NoPatient,
}

/// What an entry point answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Allowed.
    pub allow: bool,
    /// The rule's id.
    pub rule: String,
    /// Breaking the glass would allow it.
    pub break_glass_offered: bool,
}
impl From<Verdict> for Answer {
    fn from(v: Verdict) -> Self {
        Self {
            allow: v.allow,
            rule: v.rule.to_owned(),
            break_glass_offered: v.break_glass_offered,
        }
    }
}
impl<A: Action> From<Result<Permit<A>, Denied>> for Answer {
    fn from(decided: Result<Permit<A>, Denied>) -> Self {
        let offered = decided.as_ref().is_err_and(|d| d.break_glass_offered);
        let entry = match decided {
            Ok(permit) => permit.entry(Disclosure::default()),
            Err(denied) => denied.entry(),
        };
        Self {
            allow: entry.decision == Decision::Permit,
            rule: entry.rule,
            break_glass_offered: offered,
        }
    }
}

/// The first line in which a rendered matrix is not the committed one, in words; `None` when they are the same.
#[must_use]
pub fn first_difference(is: &str, committed: &str) -> Option<String> {
    let (mut now, mut was) = (is.lines(), committed.lines());
    for n in 1.. {
        match (now.next(), was.next()) {
            (None, None) => return None,
            (is, was) if is == was => {}
            (is, was) => {
                let text = |line: Option<&str>| line.unwrap_or("(no such line)").to_owned();
                return Some(format!("line {n} is\n  {}\nand not\n  {}", text(is), text(was)));
            }
        }
    }
    None
}

/// Renders the matrix. `evaluate` is the entry point under test.
///
/// # Errors
/// [`IdError`] never occurs with the fixed ids used here.
pub fn render<V: Into<Answer>>(mut evaluate: impl FnMut(&str, &Request) -> V) -> Result<String, IdError> {
    let mut out = String::from("# role | act | situation | verdict | rule\n");
    for role in Role::all() {
        for act in crate::action::NAMES {
            for (words, situation) in SITUATIONS {
                let v = evaluate(act, &person(role, situation)?);
                line(&mut out, role.name(), act, words, &v.into());
            }
        }
    }
    for (who, words, request) in others()? {
        for act in crate::action::NAMES {
            line(&mut out, who, act, words, &evaluate(act, &request).into());
        }
    }
    Ok(out)
}

const fn verdict_words(v: &Answer) -> &'static str {
    match (v.allow, v.break_glass_offered) {
        (true, _) => "ALLOW",
        (false, true) => "deny, break-glass offered",
        (false, false) => "deny",
    }
}

fn line(out: &mut String, who: &str, act: &str, situation: &str, v: &Answer) {
    let verdict = verdict_words(v);
    let _ = writeln!(out, "{who} | {act} | {situation} | {verdict} | {}", v.rule);
}

fn base(subject: Subject) -> Request {
    Request {
        access_id: AccessId(uuid::Uuid::nil()),
        at: AT,
        subject,
        device: None,
        patient: None,
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    }
}

/// Sensitivities of the second matrix: a level, a code.
const SENSITIVITIES: [(&str, &str); 10] = [
    ("none", "N"),
    ("R", "R"),
    ("V", "V"),
    ("VIP", "VIP"),
    ("psychiatry (PSY)", "PSY"),
    ("psychotherapy notes (PSYTHPN)", "PSYTHPN"),
    ("substance use (SUD)", "SUD"),
    ("HIV", "HIV"),
    ("sexual assault, domestic violence (SDV)", "SDV"),
    ("sexuality (SEX)", "SEX"),
];

/// Relationships of the second matrix.
const RELATIONSHIPS: [(&str, Situation, bool); 5] = [
    ("own ward", Situation::OwnWard, false),
    ("own ward, glass broken", Situation::OwnWard, true),
    ("other ward", Situation::OtherWard, false),
    ("other ward, glass broken", Situation::Granted, false),
    ("other ward, grant ended", Situation::Ended, false),
];

/// Acts of the second matrix.
const RECORD_ACTS: [&str; 5] = [
    "read-card",
    "read-chart",
    "read-resource",
    "write-clinical",
    "break-glass",
];

/// Scopes of the clients of the second matrix.
const SCOPES: [&str; 4] = [
    "system/*.rs",
    "system/*.cruds",
    "system/*.cruds?_security=R",
    "system/*.rs?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V",
];

/// Renders who reads or writes a record by role × relationship × sensitivity × purpose; purposes that are answered alike
/// share a line's part. Gives the text and the number of cells.
///
/// # Errors
/// As [`render`].
pub fn render_sensitivity<V: Into<Answer>>(
    mut evaluate: impl FnMut(&str, &Request) -> V,
) -> Result<(String, usize), IdError> {
    let mut out =
        String::from("# who | act | relationship | sensitivity of the record | purposes: verdict, rule; …\n");
    let mut cells = 0;
    let mut one = |who: &str, relationship: &str, asked: &Request, words: &str, code: &str| {
        for act in RECORD_ACTS {
            let mut parts: Vec<(String, Vec<&str>)> = Vec::new();
            for purpose in std::iter::once(None).chain(Purpose::ALL.map(Some)) {
                let mut asked = asked.clone();
                asked.purpose = purpose;
                if let Some(p) = &mut asked.patient {
                    p.label = Label::NONE.with(None, code);
                }
                let v: Answer = evaluate(act, &asked).into();
                let said = format!("{}, {}", verdict_words(&v), v.rule);
                let name = purpose.map_or("unstated", Purpose::code);
                cells += 1;
                match parts.iter_mut().find(|(s, _)| *s == said) {
                    Some((_, names)) => names.push(name),
                    None => parts.push((said, vec![name])),
                }
            }
            let parts: Vec<String> = parts
                .iter()
                .map(|(said, names)| format!("{}: {said}", names.join(" ")))
                .collect();
            let _ = writeln!(
                out,
                "{who} | {act} | {relationship} | {words} | {}",
                parts.join("; ")
            );
        }
    };
    for role in Role::all() {
        for (relationship, situation, broken) in RELATIONSHIPS {
            let mut asked = person(role, situation)?;
            if broken {
                asked.grant = person(role, Situation::Granted)?.grant;
            }
            for (words, code) in SENSITIVITIES {
                one(role.name(), relationship, &asked, words, code);
            }
        }
    }
    for scope in SCOPES {
        let mut asked = base(Subject::Client {
            id: "lab".to_owned(),
            scopes: vec![scope.to_owned()],
        });
        asked.kind = Some("Observation".to_owned());
        asked.patient = person_of("p1")?;
        for (words, code) in SENSITIVITIES {
            one("(client)", scope, &asked, words, code);
        }
    }
    Ok((out, cells))
}

fn person_of(patient: &str) -> Result<Option<PatientFacts>, IdError> {
    Ok(Some(PatientFacts {
        patient: PatientId::new(patient)?,
        ward: Some(WardId::new("ICU")?),
        label: Label::NONE,
    }))
}

fn person(role: Role, situation: Situation) -> Result<Request, IdError> {
    let (own, other) = (WardId::new("ED")?, WardId::new("ICU")?);
    let user = UserId::new("a.person")?;
    let device = DeviceId::new("ed-07")?;
    let patient = PatientId::new("p1")?;
    let mut r = base(Subject::User {
        user: user.clone(),
        role,
        wards: vec![own.clone()],
    });
    r.device = Some(device.clone());
    let ward = if matches!(situation, Situation::OwnWard) {
        own
    } else {
        other
    };
    if !matches!(situation, Situation::NoPatient) {
        r.patient = Some(PatientFacts {
            patient: patient.clone(),
            ward: Some(ward.clone()),
            label: Label::NONE,
        });
        r.ward = Some(ward);
    }
    let grant = Grant {
        id: AccessId(uuid::Uuid::nil()),
        user,
        device: Some(device),
        patient,
        reason: Reason::LifeThreatening,
        words: None,
        at: AT.plus_ms(-60_000),
        until: AT.plus_ms(GRANT_MS),
        offline: true,
        declared: None,
    };
    r.grant = match situation {
        Situation::OwnWard | Situation::OtherWard | Situation::NoPatient => None,
        Situation::Granted => Some(grant),
        Situation::Ended => Some(Grant { until: AT, ..grant }),
        Situation::OfColleague => Some(Grant {
            user: UserId::new("b.person")?,
            ..grant
        }),
        Situation::Elsewhere => Some(Grant {
            device: Some(DeviceId::new("icu-01")?),
            ..grant
        }),
    };
    Ok(r)
}

fn others() -> Result<Vec<(&'static str, &'static str, Request)>, IdError> {
    let patient = PatientFacts {
        patient: PatientId::new("p1")?,
        ward: Some(WardId::new("ICU")?),
        label: Label::NONE,
    };
    let mut out = Vec::new();
    for (words, site, ward) in [
        ("its own ward's scope", false, Some("ED")),
        ("another ward's scope, enrolled for its ward", false, Some("ICU")),
        ("another ward's scope, enrolled for the site", true, Some("ICU")),
        ("the site's essentials, enrolled for its ward", false, None),
        ("the site's essentials, enrolled for the site", true, None),
    ] {
        let mut r = base(Subject::Device {
            ward: WardId::new("ED")?,
            site,
        });
        r.device = Some(DeviceId::new("ed-07")?);
        r.ward = ward.map(WardId::new).transpose()?;
        out.push(("(workstation)", words, r));
    }
    for (words, ward, kind) in [
        ("images of a patient of its ward", "ED", "ImagingStudy"),
        ("images of a patient of another ward", "ICU", "ImagingStudy"),
        ("anything else of a patient of its ward", "ED", "Observation"),
    ] {
        let mut r = base(Subject::Device {
            ward: WardId::new("ED")?,
            site: true,
        });
        r.device = Some(DeviceId::new("ed-07")?);
        r.kind = Some(kind.to_owned());
        r.patient = Some(PatientFacts {
            patient: PatientId::new("p1")?,
            ward: Some(WardId::new(ward)?),
            label: Label::NONE,
        });
        out.push(("(workstation)", words, r));
    }
    for (words, scope, kind) in [
        ("system/*.cruds on Observation", "system/*.cruds", "Observation"),
        (
            "system/Observation.rs on Observation",
            "system/Observation.rs",
            "Observation",
        ),
        (
            "system/Observation.rs on Patient",
            "system/Observation.rs",
            "Patient",
        ),
        ("patient/*.cruds on Observation", "patient/*.cruds", "Observation"),
    ] {
        let mut r = base(Subject::Client {
            id: "lab".to_owned(),
            scopes: vec![scope.to_owned()],
        });
        r.kind = Some(kind.to_owned());
        r.patient = Some(patient.clone());
        out.push(("(client)", words, r));
    }
    out.extend(apps()?);
    let mut r = base(Subject::Operator {
        account: "root".to_owned(),
    });
    r.patient = Some(patient);
    out.push(("(operator)", "on the server's own machine", r));
    Ok(out)
}

/// Programs that a person of the ward ED signed in through.
fn apps() -> Result<Vec<(&'static str, &'static str, Request)>, IdError> {
    let mut out = Vec::new();
    for (words, role, scope, own, ward, kind) in [
        (
            "patient/*.rs of a nurse, its patient",
            "nurse",
            "patient/*.rs",
            "p1",
            "ED",
            "Observation",
        ),
        (
            "patient/*.rs of a nurse, another patient",
            "nurse",
            "patient/*.rs",
            "p2",
            "ED",
            "Observation",
        ),
        (
            "patient/*.rs of a nurse, its patient in another ward",
            "nurse",
            "patient/*.rs",
            "p1",
            "ICU",
            "Observation",
        ),
        (
            "patient/Observation.rs of a nurse on Condition",
            "nurse",
            "patient/Observation.rs",
            "p1",
            "ED",
            "Condition",
        ),
        (
            "patient/*.sr of a nurse, its patient",
            "nurse",
            "patient/*.sr",
            "p1",
            "ED",
            "Observation",
        ),
        (
            "user/*.cruds of a physician, own ward",
            "physician",
            "user/*.cruds",
            "",
            "ED",
            "Observation",
        ),
        (
            "user/*.cruds of a physician, other ward",
            "physician",
            "user/*.cruds",
            "",
            "ICU",
            "Observation",
        ),
        (
            "user/*.rs of a privacy officer",
            "privacy-officer",
            "user/*.rs",
            "",
            "ED",
            "Observation",
        ),
        (
            "system/*.cruds of a physician",
            "physician",
            "system/*.cruds",
            "",
            "ED",
            "Observation",
        ),
    ] {
        let Some(role) = Role::all().find(|r| r.name() == role) else {
            continue;
        };
        let mut r = base(Subject::App {
            id: "growth".to_owned(),
            user: UserId::new("a.person")?,
            role,
            wards: vec![WardId::new("ED")?],
            scopes: vec![scope.to_owned()],
            patient: (!own.is_empty()).then(|| PatientId::new(own)).transpose()?,
        });
        r.kind = Some(kind.to_owned());
        r.patient = Some(PatientFacts {
            patient: PatientId::new("p1")?,
            ward: Some(WardId::new(ward)?),
            label: Label::NONE,
        });
        out.push(("(app)", words, r));
    }
    Ok(out)
}
