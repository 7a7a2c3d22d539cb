//! The policy to look at: what each role may, and why somebody may see a patient's record now, or may not.
//!
//! Lives here: which questions are put to the policy, in which words, and the audit row of a look at a patient's. Never here: a rule; each
//! answer is the policy's own ([`policy::verdict`]) about a request as the server itself would put it together.
//! Called by the router.

use super::door::Reader;
use super::{Names, No, body};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use serde::Deserialize;
use std::sync::Arc;
use vitrine_access::action::{ManageUsers, ReadAudit};
use vitrine_access::grant::Reason;
use vitrine_access::policy::{self, PatientFacts, Request, Role, Subject};
use vitrine_access::{Disclosure, Grant, Purpose};
use vitrine_clinical::label::{Confidentiality, Label};
use vitrine_clinical::{PatientId, UserId, WardId};
use vitrine_store::Account;
use vitrine_wire::console::{
    ConsolePolicy, ConsolePolicyCell, ConsolePolicyRow, ConsoleWhy, ConsoleWhyAct, ConsoleWhyAsked,
    ConsoleWhyGlass,
};

/// What an act is about, as far as the table tells it apart.
#[derive(Clone, Copy)]
enum About {
    /// A patient.
    Patient,
    /// A ward.
    Ward,
    /// Neither.
    Nothing,
}

/// The acts of people, in the order of the table.
const ACTS: [(&str, &str, About); 17] = [
    ("read-card", "Read the emergency card", About::Patient),
    ("read-chart", "Read the chart", About::Patient),
    ("read-resource", "Read single resources", About::Patient),
    ("write-clinical", "Record and change", About::Patient),
    ("break-glass", "Break the glass", About::Patient),
    ("search-patients", "Find patients", About::Nothing),
    ("view-board", "See the board of a ward", About::Ward),
    ("run-drill", "Run a downtime drill", About::Ward),
    ("review-break-glass", "Review broken glass", About::Nothing),
    ("read-audit", "Read the audit log", About::Nothing),
    ("hold-record", "Hold a record", About::Patient),
    ("request-destruction", "Ask for destruction", About::Patient),
    ("approve-destruction", "Approve destruction", About::Patient),
    ("manage-users", "Manage accounts", About::Nothing),
    ("manage-devices", "Manage workstations", About::Nothing),
    ("operate-server", "Operate the server", About::Nothing),
    ("import-data", "Import files, work messages off", About::Nothing),
];

/// Acts that look into or change a record: a purpose is stated for these.
const OF_A_RECORD: [&str; 4] = ["read-card", "read-chart", "read-resource", "write-clinical"];

/// Where somebody stands to what they ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Own,
    Other,
    Glass,
    Nowhere,
}

impl Stands {
    const fn words(self, about: About) -> &'static str {
        match (self, about) {
            (Self::Own, About::Ward) => "own ward",
            (Self::Own, _) => "patient of an own ward",
            (Self::Other, About::Ward) => "another ward",
            (Self::Other, _) => "patient of another ward",
            (Self::Glass, _) => "patient of another ward, glass broken",
            (Self::Nowhere, _) => "",
        }
    }
    const fn all(about: About) -> &'static [Self] {
        match about {
            About::Patient => &[Self::Own, Self::Other, Self::Glass],
            About::Ward => &[Self::Own, Self::Other],
            About::Nothing => &[Self::Nowhere],
        }
    }
}

/// For which record and purpose the table is asked for. An empty field: a record without a label, no purpose stated.
#[derive(Deserialize)]
pub struct Asked {
    level: Option<String>,
    purpose: Option<String>,
}

fn level(text: Option<&str>) -> Result<Confidentiality, No> {
    let text = text.unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(Confidentiality::Normal);
    }
    let found = Confidentiality::ALL.into_iter().find(|c| c.code() == text);
    found.ok_or_else(|| No::bad("level is N, R or V."))
}

fn purpose(text: Option<&str>) -> Result<Option<Purpose>, No> {
    let text = text.unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let found = Purpose::ALL.into_iter().find(|p| p.code() == text);
    let known: Vec<&str> = Purpose::ALL.into_iter().map(Purpose::code).collect();
    found
        .map(Some)
        .ok_or_else(|| No::bad(&format!("purpose is one of {}.", known.join(", "))))
}

/// What each role may, as the policy answers now. Names nobody, so that it has no audit row.
///
/// # Errors
/// [`No`].
pub async fn table(
    State(app): State<Arc<App>>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Json<ConsolePolicy>, No> {
    if !reader.may::<ManageUsers>(&app).await? {
        reader.permit::<ReadAudit>(&app).await?;
    }
    let (level, purpose) = (level(asked.level.as_deref())?, purpose(asked.purpose.as_deref())?);
    let mut rows = Vec::new();
    for (act, words, about) in ACTS {
        for stands in Stands::all(about) {
            let cells: Result<Vec<ConsolePolicyCell>, No> = Role::all()
                .map(|role| {
                    let verdict = policy::verdict(act, &supposed(role, act, *stands, level, purpose)?);
                    Ok(ConsolePolicyCell {
                        allow: verdict.allow,
                        rule: verdict.rule.to_owned(),
                        text: verdict.text.to_owned(),
                        by_grant: verdict.by_grant,
                        break_glass_offered: verdict.break_glass_offered,
                    })
                })
                .collect();
            rows.push(ConsolePolicyRow {
                act: act.to_owned(),
                act_text: words.to_owned(),
                about_text: stands.words(about).to_owned(),
                cells: cells?,
            });
        }
    }
    Ok(Json(ConsolePolicy {
        now_ms: clock::now().0,
        level: level.code().to_owned(),
        purpose: purpose.map(|p| p.code().to_owned()),
        roles: Role::all().map(|r| r.words().to_owned()).collect(),
        rows,
    }))
}

/// Somebody of this role in this situation: nobody's name, nobody's record.
fn supposed(
    role: Role,
    act: &str,
    stands: Stands,
    level: Confidentiality,
    purpose: Option<Purpose>,
) -> Result<Request, No> {
    let wrong = |_| No::bad("The policy cannot be asked.");
    let (own, other) = (
        WardId::new("own").map_err(wrong)?,
        WardId::new("other").map_err(wrong)?,
    );
    let user = UserId::new("somebody").map_err(wrong)?;
    let patient = PatientId::new("somebody").map_err(wrong)?;
    let now = clock::now();
    let access = clock::new_access();
    let there = match stands {
        Stands::Own => Some(own.clone()),
        Stands::Other | Stands::Glass => Some(other),
        Stands::Nowhere => None,
    };
    let of_patient = ACTS
        .iter()
        .any(|(name, _, about)| *name == act && matches!(about, About::Patient));
    let grant = (stands == Stands::Glass).then(|| Grant {
        id: access,
        user: user.clone(),
        device: None,
        patient: patient.clone(),
        reason: Reason::LifeThreatening,
        words: None,
        at: now,
        until: now.plus_ms(3_600_000),
        offline: false,
        declared: None,
    });
    Ok(Request {
        access_id: access,
        at: now,
        subject: Subject::User {
            user,
            role,
            wards: vec![own],
        },
        device: None,
        patient: of_patient.then(|| PatientFacts {
            patient,
            ward: there.clone(),
            label: Label::of(level),
        }),
        ward: there.filter(|_| !of_patient),
        kind: None,
        grant,
        purpose: purpose.filter(|_| OF_A_RECORD.contains(&act)),
    })
}

/// Why somebody may see a patient's record now, or may not. It tells where the patient is and how confidential the record is: for
/// whoever reads the audit log, and with a row of its own.
///
/// # Errors
/// [`No`].
pub async fn why(State(app): State<Arc<App>>, reader: Reader, bytes: Bytes) -> Result<Json<ConsoleWhy>, No> {
    let asked: ConsoleWhyAsked = body(&bytes)?;
    let permit = reader.permit::<ReadAudit>(&app).await?;
    let purpose = purpose(Some(&asked.purpose))?;
    let unknown =
        || No::not_found("There is no such account. Type the sign-in name as the people's page has it.");
    let user = UserId::new(asked.user.trim()).map_err(|_| unknown())?;
    let account = app.store.account(&user).await?.ok_or_else(unknown)?;
    let patient = patient_of(&app, asked.patient.trim()).await;
    let mut entry = permit
        .noted("use", "why")
        .noted("user", user.as_str())
        .entry(Disclosure::default());
    // That nobody has a number is an answer too.
    entry.patient = patient.as_ref().ok().cloned();
    app.store.append(entry).await?;
    let patient = patient?;
    Ok(Json(answered(&app, &account, &patient, purpose).await?))
}

/// By the id of the record, else by a number that one patient alone has.
async fn patient_of(app: &App, text: &str) -> Result<PatientId, No> {
    let unknown = || No::not_found("No patient here has this number or id.");
    if text.is_empty() {
        return Err(No::bad(
            "Name the patient: the id of the record, or a number as on the wristband.",
        ));
    }
    if let Ok(id) = PatientId::new(text)
        && app.store.whereabouts(&id).await?.is_some()
    {
        return Ok(id);
    }
    let found = app.store.by_identifier("Patient", None, text).await?;
    match found.as_slice() {
        [] => Err(unknown()),
        [one] => PatientId::new(one.id.as_str()).map_err(|_| unknown()),
        _ => Err(No::refused(
            "More than one patient has this number: name the id of the record.",
        )),
    }
}

async fn answered(
    app: &App,
    account: &Account,
    patient: &PatientId,
    purpose: Option<Purpose>,
) -> Result<ConsoleWhy, No> {
    let now = clock::now();
    let glass = app.broken_by(&account.user, patient, now);
    let caller = Caller {
        subject: Subject::User {
            user: account.user.clone(),
            role: account.role,
            wards: account.wards.clone(),
        },
        // A grant is good at its own workstation alone.
        device: glass.as_ref().and_then(|g| g.device.clone()),
        ward: None,
        session: [0; 32],
        until: now,
        purpose,
    };
    let mut request = app.request(&caller, None, Some(patient)).await?;
    let facts = request.patient.clone();
    let (ward, label) = facts.map_or((None, Label::UNREADABLE), |f| (f.ward, f.label));
    let acts = ACTS
        .iter()
        .filter(|(_, _, about)| matches!(about, About::Patient));
    let acts = acts
        .map(|(act, words, _)| {
            request.purpose = purpose.filter(|_| OF_A_RECORD.contains(act));
            let verdict = policy::verdict(act, &request);
            let sees = verdict.allow && OF_A_RECORD.contains(act) && *act != "write-clinical";
            let sees = sees.then(|| policy::clearance_of(act, &request).code().to_owned());
            ConsoleWhyAct {
                act: (*act).to_owned(),
                act_text: (*words).to_owned(),
                allow: verdict.allow && !account.disabled,
                rule: if account.disabled {
                    "account-not-in-use".to_owned()
                } else {
                    verdict.rule.to_owned()
                },
                text: if account.disabled {
                    "The account is not in use: nobody can sign in with it.".to_owned()
                } else {
                    verdict.text.to_owned()
                },
                by_grant: verdict.by_grant,
                break_glass_offered: verdict.break_glass_offered && !account.disabled,
                sees: sees.filter(|_| !account.disabled),
            }
        })
        .collect();
    let names = Names::of(&*app.store).await?;
    Ok(ConsoleWhy {
        now_ms: now.0,
        user: account.user.as_str().to_owned(),
        user_name: account.display.clone(),
        role: account.role.words().to_owned(),
        wards: account.wards.iter().map(ToString::to_string).collect(),
        in_use: !account.disabled,
        patient: patient.as_str().to_owned(),
        ward: ward.map(|w| w.to_string()),
        level: label.level().code().to_owned(),
        codes: label.codes().map(str::to_owned).collect(),
        glass: glass.map(|g| ConsoleWhyGlass {
            at_ms: g.at.0,
            until_ms: g.until.0,
            device: g.device.as_ref().map(|d| names.device(d)),
        }),
        acts,
    })
}
