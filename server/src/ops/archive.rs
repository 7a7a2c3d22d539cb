//! Legal hold and the destruction of a record, and its signed certificate.
//!
//! Lives here: who acts and with what proof, what the certificate says, its signature. Never here: what may be done when
//! (`vitrine_store::archive`), roles (the policy). Called by `cli::acts`.
//!
//! `signature` is Ed25519 over [`LABEL`] and the exact text of `certificate`, by the key that also signs the results of
//! `verify-backup`.

use crate::cli::acts::{Given, Ground, given, operator_request};
use crate::clock;
use crate::config::Redo;
use crate::error::{Exit, Fault};
use crate::http::auth::sign_in_row;
use crate::identity::secrets;
use crate::keys::{Keys, check_signed};
use crate::ops::tiers;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;
use vitrine_access::policy::{self, PatientFacts, Request, Subject};
use vitrine_access::{Action, Actor, Kind, Permit, action};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, UserId, UtcMs};
use vitrine_store::archive::{ArchiveAct, Certify, Counted, Destruction, Signed};
use vitrine_store::{Account, StoreError};

/// What stands before the signed text.
const LABEL: &[u8] = b"vitrine certificate of destruction 1\n";
/// Longest reason, in characters.
const LONGEST: usize = 500;

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    Hold {
        patient: String,
        reason: String,
    },
    Release {
        patient: String,
        reason: String,
    },
    List,
    Request {
        patient: String,
        reason: String,
        by: Proven,
    },
    Approve {
        id: String,
        by: Proven,
    },
    Withdraw {
        id: String,
        by: Proven,
    },
    CarryOut {
        id: String,
    },
    Certificate {
        id: String,
    },
    Check {
        file: PathBuf,
    },
    /// What lies in which tier.
    Tiers,
    /// Run the rules.
    Move {
        dry_run: bool,
        at: Option<String>,
    },
    /// Ask back from the archive.
    Recall {
        patient: Option<String>,
        hot: bool,
    },
    /// How far recalls are.
    Progress {
        patient: Option<String>,
    },
    /// Recalls, and how the packs are.
    Status {
        patient: Option<String>,
        check: bool,
    },
}

/// A person and what proves it.
#[derive(Serialize, Deserialize)]
pub struct Proven {
    /// Sign-in name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Carries it out.
///
/// # Errors
/// [`Fault`]: exit 2 for somebody or something unknown, 3 for a wrong password or a changed certificate, 1 for what is
/// refused as things stand.
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::Hold { patient, reason } => hold(ground, &patient, reason).await,
        Asked::Release { patient, reason } => release(ground, &patient, reason).await,
        Asked::List => list(ground).await,
        Asked::Request { patient, reason, by } => {
            let facts = facts(ground, &patient).await?;
            let reason = worded(reason)?;
            let permit = person::<action::RequestDestruction>(ground, by, Some(facts)).await?;
            let id = clock::new_uuid();
            let permit = noted(permit, id, "request").noted("reason", reason.as_str());
            act(ground, ArchiveAct::Request(&permit, id, reason)).await
        }
        Asked::Withdraw { id, by } => {
            let d = find(ground, &id).await?;
            let facts = facts(ground, d.patient.as_str()).await?;
            let permit = person::<action::RequestDestruction>(ground, by, Some(facts)).await?;
            let permit = noted(permit, d.id, "withdraw");
            act(ground, ArchiveAct::Withdraw(&permit, d.id)).await
        }
        Asked::Approve { id, by } => {
            let d = find(ground, &id).await?;
            let facts = facts(ground, d.patient.as_str()).await?;
            let permit = person::<action::ApproveDestruction>(ground, by, Some(facts)).await?;
            let permit = noted(permit, d.id, "approve");
            act(ground, ArchiveAct::Approve(&permit, d.id)).await
        }
        Asked::CarryOut { id } => {
            let d = find(ground, &id).await?;
            let facts = facts(ground, d.patient.as_str()).await?;
            let permit = operator::<action::DestroyRecord>(ground, facts)?;
            let permit = noted(permit, d.id, "carry out");
            let certify = Arc::new(Certifier {
                keys: ground.keys.clone(),
                redo: ground.redo.clone(),
                backend: ground.files.kind(),
            });
            match ground
                .store
                .archive(ArchiveAct::CarryOut(&permit, d.id, certify))
                .await
            {
                Err(StoreError::Archived { .. }) => Err(recall_first(ground, &d).await?),
                Err(e) => Err(e.into()),
                Ok((archived, _)) => {
                    let json = archived.destruction.as_ref().map_or(Value::Null, standing);
                    Ok(given(Exit::Done, json))
                }
            }
        }
        Asked::Certificate { id } => {
            let d = find(ground, &id).await?;
            let Some(text) = &d.certificate else {
                return Err(Fault::usage(format!(
                    "request {} is not carried out: it has no certificate",
                    d.id
                )));
            };
            ground
                .shown("archive certificate", BTreeSet::from([d.patient.clone()]))
                .await?;
            let place = format!("the certificate of request {}", d.id);
            let said = checked(text, &ground.server_key, &place)?;
            if said["id"] != json!(d.id) || said["patient"] != json!(d.patient) {
                return Err(Fault::unsafe_to(format!("{place} is another one's")));
            }
            Ok(given(Exit::Done, standing(&d)))
        }
        Asked::Tiers => tiers::report(ground).await,
        Asked::Move { dry_run, at } => tiers::moved(ground, dry_run, at.as_deref()).await,
        Asked::Recall { patient, hot } => tiers::recall(ground, patient.as_deref(), hot).await,
        Asked::Progress { patient } => tiers::progress(ground, patient.as_deref()).await,
        Asked::Status { patient, check } => tiers::status(ground, patient.as_deref(), check).await,
        Asked::Check { file } => {
            let text = std::fs::read_to_string(&file).map_err(|e| Fault::io("cannot read", &file, &e))?;
            let said = checked(&text, &ground.server_key, &file.display().to_string())?;
            let json = json!({"id": said["id"], "patient": said["patient"], "state": "carried-out",
                "certificate": text.trim_end()});
            Ok(given(Exit::Done, json))
        }
    }
}

fn noted<A: Action>(permit: Permit<A>, id: Uuid, change: &str) -> Permit<A> {
    permit
        .noted("destruction", id.to_string())
        .noted("change", change)
}

/// A reason given on the command line.
///
/// # Errors
/// [`Fault`] for one that says nothing or too much.
pub(super) fn worded(reason: String) -> Result<String, Fault> {
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > LONGEST {
        return Err(Fault::usage(format!(
            "--reason: say why, in 1 to {LONGEST} characters"
        )));
    }
    Ok(reason)
}

async fn hold(ground: &Ground, patient: &str, reason: String) -> Result<Given, Fault> {
    let facts = facts(ground, patient).await?;
    let reason = worded(reason)?;
    let permit = operator::<action::HoldRecord>(ground, facts)?
        .noted("change", "hold")
        .noted("reason", reason.as_str());
    let (archived, _) = ground.store.archive(ArchiveAct::Hold(&permit, reason)).await?;
    let since = archived.hold.map(|h| clock::instant(h.at));
    Ok(given(
        Exit::Done,
        json!({"patient": patient, "held": true, "since": since}),
    ))
}

async fn release(ground: &Ground, patient: &str, reason: String) -> Result<Given, Fault> {
    let facts = facts(ground, patient).await?;
    let permit = operator::<action::HoldRecord>(ground, facts)?
        .noted("change", "release")
        .noted("reason", worded(reason)?);
    ground.store.archive(ArchiveAct::Release(&permit)).await?;
    Ok(given(Exit::Done, json!({"patient": patient, "held": false})))
}

async fn list(ground: &Ground) -> Result<Given, Fault> {
    let all = ground.store.archived().await?;
    let holds: Vec<Value> = all
        .holds
        .iter()
        .map(|h| json!({"patient": h.patient, "since": clock::instant(h.at), "by": name(&h.by), "reason": h.reason}))
        .collect();
    let requests: Vec<Value> = all.destructions.iter().map(request).collect();
    let held = all.holds.iter().map(|h| h.patient.clone());
    let shown = held.chain(all.destructions.iter().map(|d| d.patient.clone()));
    ground.shown("archive list", shown.collect()).await?;
    Ok(given(Exit::Done, json!({"holds": holds, "requests": requests})))
}

async fn act(ground: &Ground, asked: ArchiveAct<'_>) -> Result<Given, Fault> {
    let (archived, _) = ground.store.archive(asked).await?;
    let json = archived.destruction.as_ref().map_or(Value::Null, standing);
    Ok(given(Exit::Done, json))
}

/// What is in the archive cannot be listed in a certificate: it is asked back, and the destruction waits.
async fn recall_first(ground: &Ground, d: &Destruction) -> Result<Fault, Fault> {
    let permit = ground.permit::<action::OperateServer>()?.noted("use", "recall");
    let mut entry = permit.entry(vitrine_access::Disclosure::default());
    entry.patient = Some(d.patient.clone());
    let e = tiers::ask(&*ground.store, &ground.tiers, &ground.archive, entry, &d.patient).await?;
    Ok(Fault::failed(format!(
        "{} packs of the record of patient {} lie in the archive: their recall was requested and is expected at {} (in {} seconds); carry it out again then",
        e.packs,
        d.patient,
        clock::instant(e.at),
        e.eta_s
    )))
}

fn name(actor: &Actor) -> &str {
    match actor {
        Actor::User(user) => user.as_str(),
        Actor::Device(device) => device.as_str(),
        Actor::Client(name) | Actor::Operator(name) => name,
    }
}

/// A request as it is listed.
fn request(d: &Destruction) -> Value {
    let approved: Vec<&str> = d.approvals.iter().map(|a| a.by.as_str()).collect();
    json!({"id": d.id, "patient": d.patient, "state": d.state(), "requested": clock::instant(d.requested.at),
        "by": d.requested.by, "approved": approved, "reason": d.reason,
        "carried_out": d.destroyed.as_ref().map(|x| clock::instant(x.at))})
}

/// A request with what was destroyed.
fn standing(d: &Destruction) -> Value {
    let mut json = request(d);
    if let (Some(o), Some(x)) = (json.as_object_mut(), &d.destroyed) {
        let total = total(&x.types);
        o.insert("resources".into(), total.resources.into());
        o.insert("versions".into(), total.versions.into());
        o.insert("sha256".into(), x.sha256.clone().into());
        o.insert("certificate".into(), d.certificate.clone().into());
    }
    json
}

fn total(types: &BTreeMap<String, Counted>) -> Counted {
    types.values().fold(Counted::default(), |t, c| Counted {
        resources: t.resources + c.resources,
        versions: t.versions + c.versions,
    })
}

/// The patient, who must be known, be it as one whose record is gone.
async fn facts(ground: &Ground, patient: &str) -> Result<PatientFacts, Fault> {
    let unknown = || Fault::usage(format!("--patient: there is no patient {patient}"));
    let patient = PatientId::new(patient).map_err(|_| unknown())?;
    let ward = match ground.store.whereabouts(&patient).await? {
        Some(ward) => ward,
        None if ground.store.revision(&patient).await? == 0 => return Err(unknown()),
        None => None,
    };
    Ok(PatientFacts {
        patient,
        ward,
        label: Label::NONE,
    })
}

async fn find(ground: &Ground, id: &str) -> Result<Destruction, Fault> {
    let unknown = || {
        Fault::usage(format!(
            "there is no request {id}: 'vitrine-server archive list' shows all"
        ))
    };
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    let all = ground.store.archived().await?.destructions;
    all.into_iter().find(|d| d.id == id).ok_or_else(unknown)
}

fn operator<A: Action>(ground: &Ground, facts: PatientFacts) -> Result<Permit<A>, Fault> {
    let request = Request {
        ward: facts.ward.clone(),
        patient: Some(facts),
        ..operator_request(&ground.operator)
    };
    policy::decide::<A>(request).map_err(|d| Fault::failed(d.text))
}

/// A permit for a person who has proven to be that person; a wrong password and a refusal by the policy have their
/// audit rows.
pub(super) async fn person<A: Action>(
    ground: &Ground,
    by: Proven,
    facts: Option<PatientFacts>,
) -> Result<Permit<A>, Fault> {
    let account = account(ground, by, A::KIND).await?;
    let request = Request {
        subject: Subject::User {
            user: account.user,
            role: account.role,
            wards: account.wards,
        },
        ward: facts.as_ref().and_then(|f| f.ward.clone()),
        patient: facts,
        ..operator_request(&ground.operator)
    };
    match policy::decide::<A>(request) {
        Ok(permit) => Ok(permit.noted("operator", ground.operator.as_str())),
        Err(denied) => {
            ground.store.append(denied.entry()).await?;
            Err(Fault::failed(denied.text))
        }
    }
}

/// The account of a person who has proven to be that person; a wrong password has its audit row, as one of `action`.
pub(super) async fn account(ground: &Ground, by: Proven, action: Kind) -> Result<Account, Fault> {
    let unknown = || {
        Fault::usage(format!(
            "--by: there is no user {} in use: 'vitrine-server user list' shows all",
            by.user
        ))
    };
    let user = UserId::new(by.user.to_lowercase()).map_err(|_| unknown())?;
    let account = ground.store.account(&user).await?;
    let account = account.filter(|a| !a.disabled).ok_or_else(unknown)?;
    let (password, phc) = (by.password, account.password_phc.clone());
    let right = tokio::task::spawn_blocking(move || secrets::matches(&password, &phc)).await;
    if !right.map_err(|e| Fault::failed(format!("checking the password: {e}")))? {
        let mut row = sign_in_row(Actor::User(user.clone()), None, action, "wrong-password", false);
        row.notes
            .insert("operator".to_owned(), ground.operator.as_str().to_owned());
        ground.store.append(row).await?;
        return Err(Fault::unsafe_to(format!(
            "the password is not {user}'s: nothing was changed"
        )));
    }
    Ok(account)
}

/// What the certificate says.
#[derive(Serialize)]
struct Certificate<'c> {
    title: &'static str,
    id: Uuid,
    patient: &'c PatientId,
    server: Server<'c>,
    requested: By<'c>,
    approved: Vec<By<'c>>,
    carried_out: By<'c>,
    types: &'c BTreeMap<String, Counted>,
    resources: u64,
    versions: u64,
    sha256: &'c str,
    sha256_over: &'static str,
    not_covered: Vec<NotCovered>,
}

/// Which server says so.
#[derive(Serialize)]
struct Server<'c> {
    ca_fingerprint: &'c str,
    version: &'static str,
    store: &'static str,
}

#[derive(Serialize)]
struct By<'c> {
    by: &'c str,
    at: String,
}

#[derive(Serialize)]
struct NotCovered {
    what: &'static str,
    until: String,
}

#[derive(Serialize, Deserialize)]
struct Whole {
    certificate: Box<RawValue>,
    key: String,
    signature: String,
}

fn by(signed: &Signed) -> By<'_> {
    By {
        by: signed.by.as_str(),
        at: clock::instant(signed.at),
    }
}

/// Signs what a store is about to destroy.
struct Certifier {
    keys: Arc<Keys>,
    redo: Redo,
    backend: &'static str,
}

impl Certifier {
    /// What still holds bytes of the record, and until when by this configuration.
    fn not_covered(&self, at: UtcMs) -> Vec<NotCovered> {
        let mut out = Vec::new();
        let mut add = |what, until: &str| {
            let until = until.to_owned();
            out.push(NotCovered { what, until });
        };
        if self.backend == "postgres" {
            add(
                "backups and archived WAL of PostgreSQL made before this",
                "their retention ends (pgBackRest's configuration)",
            );
            add("space that PostgreSQL has let go of", "vacuum has gone over it");
        } else {
            add("backups made before this", "whoever made them deletes them");
            if self.redo.keep {
                let hours = i64::from(self.redo.keep_days) * 24 + i64::from(self.redo.base_hours);
                let until = clock::instant(at.plus_ms(hours * 3_600_000));
                add("the redo log and the backups it rests on", &until);
            } else {
                add("a redo log kept before", "it is deleted: none is kept now");
            }
        }
        add(
            "copies of packs made before this",
            "whoever made them deletes them",
        );
        add(
            "workstations that have not synchronised since",
            "they synchronise, or their keys expire",
        );
        add(
            "charts that a person opened at a workstation, sealed under that person's secret",
            "that person opens them again with the server, or the workstation drops them for newer ones",
        );
        add("what came in and was kept in quarantine", "it is removed there");
        add(
            "messages of other systems that were not found to be this patient's",
            "nothing removes them: they stay in the list of messages",
        );
        add(
            "old versions of resources that belong to another patient now",
            "that patient's record is destroyed",
        );
        add(
            "audit rows: ids, versions, times, no content",
            "their own retention ends",
        );
        out
    }

    fn signed(&self, d: &Destruction) -> serde_json::Result<Option<String>> {
        let Some(x) = &d.destroyed else { return Ok(None) };
        let total = total(&x.types);
        let text = serde_json::to_string(&Certificate {
            title: "certificate of destruction of a patient's record",
            id: d.id,
            patient: &d.patient,
            server: Server {
                ca_fingerprint: &self.keys.ca_fingerprint,
                version: env!("CARGO_PKG_VERSION"),
                store: self.backend,
            },
            requested: by(&d.requested),
            approved: d.approvals.iter().map(by).collect(),
            carried_out: By {
                by: name(&x.by),
                at: clock::instant(x.at),
            },
            types: &x.types,
            resources: total.resources,
            versions: total.versions,
            sha256: &x.sha256,
            sha256_over: "lines 'Type id version sha256-of-its-bytes', sorted by type, id and version",
            not_covered: self.not_covered(x.at),
        })?;
        let whole = Whole {
            signature: self.keys.sign(&[LABEL, text.as_bytes()].concat()),
            key: self.keys.server_key_hex(),
            certificate: RawValue::from_string(text)?,
        };
        serde_json::to_string(&whole).map(Some)
    }
}

impl Certify for Certifier {
    fn certify(&self, d: &Destruction) -> Result<String, StoreError> {
        let failed = |cause: String| StoreError::Backend {
            doing: "writing the certificate",
            cause,
        };
        let text = self.signed(d).map_err(|e| failed(e.to_string()))?;
        text.ok_or_else(|| failed("nothing was destroyed".to_owned()))
    }
}

/// What a certificate says, once its signature is found to be the server's.
///
/// # Errors
/// [`Fault`] with exit 3 when it was not signed by that key or was changed.
fn checked(text: &str, server_key: &str, place: &str) -> Result<Value, Fault> {
    let bad = |why: &str| Fault::unsafe_to(format!("{place}: {why}"));
    let whole: Whole =
        serde_json::from_str(text).map_err(|_| bad("this is no certificate of destruction"))?;
    let message = [LABEL, whole.certificate.get().as_bytes()].concat();
    check_signed(&message, &whole.key, &whole.signature, server_key).map_err(bad)?;
    serde_json::from_str(whole.certificate.get()).map_err(|_| bad("it is of another version"))
}
