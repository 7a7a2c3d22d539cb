//! What the commands do to the store, the same whether the server runs (then it does them itself, asked through the
//! admin socket) or not.
//!
//! Lives here: disabling users and their badges, codes, workstations, audit, quarantine, doctor. Never here: finding the server, printing.
//! Called by `admin`.

use super::users;
use crate::clock;
use crate::data_dir::DataDir;
use crate::error::{Exit, Fault};
use crate::identity::devices;
use crate::imaging::copies::Copier;
use crate::imaging::filing::Filer;
use crate::ingest::import::Permits;
use crate::keys::Keys;
use crate::ops;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use vitrine_access::policy::{self, Request, Subject};
use vitrine_access::{Action, Disclosure, Permit, action};
use vitrine_clinical::{DeviceId, PatientId, UserId, WardId, scan};
use vitrine_store::{AccountChange, EnrolCode, Store, StoreError};

/// A command on the store.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Act {
    UserAdd {
        name: String,
        role: String,
        wards: Vec<String>,
        display: Option<String>,
        password: Option<String>,
        pin: Option<String>,
    },
    UserList,
    UserDisable {
        name: String,
    },
    /// Give a person new secrets, and let them in again.
    UserSecrets(users::NewSecrets),
    UserUnbind {
        name: String,
    },
    /// Give a person a badge (`add`), or take it away, by the number that a reader sends.
    Badge {
        name: String,
        number: String,
        add: bool,
    },
    /// Take all badges of a person away: a lost one, whose number nobody knows.
    BadgesGone {
        name: String,
    },
    /// Accounts for sealed envelopes.
    EmergencyAccount(crate::ops::emergency_accounts::Asked),
    /// Second factors of local accounts.
    Totp(ops::totp::Asked),
    /// HL7 v2 messages.
    Message(ops::messages::Asked),
    /// Programs that may use the API.
    Client(ops::clients::Asked),
    Enrol {
        ward: String,
        site: bool,
    },
    DeviceList,
    DeviceRevoke {
        id: String,
    },
    AuditVerify {
        witness: Option<PathBuf>,
        code: Option<String>,
    },
    AuditCheckpoint,
    AuditReindex,
    AuditProve {
        chain: String,
        seq: u64,
    },
    AuditExport {
        chain: String,
        to: PathBuf,
    },
    /// Looking into the audit log.
    Look(ops::look::Asked),
    QuarantineList {
        limit: usize,
    },
    Doctor,
    Drain {
        notice_s: u64,
        undo: bool,
    },
    Import {
        paths: Vec<PathBuf>,
    },
    /// The quarantine of images, and series looked at again.
    Images(ops::images::Asked),
    /// Legal hold and destruction.
    Archive(ops::archive::Asked),
    /// Reviews of broken glass.
    Review(ops::reviews::Asked),
    /// The copies of images.
    Copies(ops::copies::Asked),
    Backup {
        to: PathBuf,
        recovery_key: Option<PathBuf>,
    },
    /// Everything committed is to be in the redo log before it is read.
    SettleLog,
    /// A backup was checked: the result goes into the audit log.
    BackupVerified {
        file: String,
        sha256: String,
        whole: bool,
        faults: usize,
    },
}

/// What an act gives.
#[derive(Debug, Serialize, Deserialize)]
pub struct Given {
    /// Exit code.
    pub exit: u8,
    /// The JSON object.
    pub json: Value,
    /// Sessions, accounts or devices changed: connections must ask again.
    #[serde(default)]
    pub access_changed: bool,
}

impl Given {
    /// Everything was done, and nothing changed that a connection rests on.
    #[must_use]
    pub fn done(json: Value) -> Self {
        Self {
            exit: Exit::Done as u8,
            json,
            access_changed: false,
        }
    }
}

/// What an act works on.
#[derive(Clone)]
pub struct Ground {
    /// The data folder.
    pub dir: DataDir,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The tree over all audit chains.
    pub tree: Arc<ops::audit_tree::Tree>,
    /// The backend, for what only a file can do.
    pub files: Arc<dyn ops::backup::Files>,
    /// SHA-256 of the CA certificate, hex.
    pub ca_fingerprint: String,
    /// SHA-256 of the server certificate, hex.
    pub certificate_fingerprint: String,
    /// The keys.
    pub keys: Arc<Keys>,
    /// Public half of the key the server signs with, hex.
    pub server_key: String,
    /// How the redo log is kept.
    pub redo: crate::config::Redo,
    /// How the archive tiers are kept.
    pub archive: crate::config::Archive,
    /// When accesses are unusual.
    pub audit: crate::config::Audit,
    /// The feeds of HL7 v2.
    pub mllp: crate::config::Mllp,
    /// Who enrols a second factor.
    pub totp: crate::config::TotpUse,
    /// The hospital's mail server, where somebody is to be told of broken glass.
    pub mailer: Option<Arc<ops::notice::Mailer>>,
    /// Name of this server among those that share the database; may be empty.
    pub node: String,
    /// Where it is reached; may be empty.
    pub public_url: String,
    /// For how long its audit repository has been missing rows, in seconds, and why; `None` where no server runs, or none is
    /// configured.
    pub repository: Option<(f64, Option<String>)>,
    /// What they are at.
    pub tiers: Arc<ops::tiers::Work>,
    /// Takes images in.
    pub images: Arc<Filer>,
    /// Looks after the copies of their originals.
    pub copies: Arc<Copier>,
    /// A server runs, which brings back what was asked for.
    pub served: bool,
    /// Who runs the command.
    pub operator: String,
}

impl Ground {
    /// A permit for whoever runs commands on this machine.
    ///
    /// # Errors
    /// [`Fault`] when the policy does not leave the act to an operator.
    pub fn permit<A: Action>(&self) -> Result<Permit<A>, Fault> {
        policy::decide::<A>(operator_request(&self.operator)).map_err(|d| Fault::failed(d.text))
    }

    /// Writes down that whoever runs a command is shown something of these patients; durable on return.
    ///
    /// # Errors
    /// [`Fault`]; then nothing may be shown.
    pub async fn shown(&self, what: &str, patients: BTreeSet<PatientId>) -> Result<(), Fault> {
        let disclosure = Disclosure {
            patients: patients.into_iter().collect(),
            ..Disclosure::default()
        };
        let permit = self.permit::<action::OperateServer>()?.noted("use", what);
        self.store.append(permit.entry(disclosure)).await?;
        Ok(())
    }
}

/// A request by whoever runs commands on this machine.
#[must_use]
pub fn operator_request(account: &str) -> Request {
    Request {
        access_id: clock::new_access(),
        at: clock::now(),
        subject: Subject::Operator {
            account: account.to_owned(),
        },
        device: None,
        patient: None,
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    }
}

/// Permits for whoever runs commands on this machine, by the name that the audit log gives them.
pub struct OfOperator(pub String);

#[async_trait]
impl Permits for OfOperator {
    async fn permit(&self) -> Result<Permit<action::ImportData>, StoreError> {
        policy::decide::<action::ImportData>(operator_request(&self.0))
            .map_err(|d| StoreError::Refused(d.text.to_owned()))
    }
}

/// The operating-system account the command runs under.
#[must_use]
pub fn operator() -> String {
    let name = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .or_else(|_| std::env::var("LOGNAME"));
    name.ok()
        .filter(|n| !n.is_empty() && n.len() <= 64)
        .unwrap_or_else(|| "operator".to_owned())
}

/// Carries an act out.
///
/// # Errors
/// [`Fault`].
pub async fn perform(ground: &Ground, act: Act) -> Result<Given, Fault> {
    match act {
        Act::UserAdd {
            name,
            role,
            wards,
            display,
            password,
            pin,
        } => users::add(ground, name, &role, wards, display, password, pin).await,
        Act::UserSecrets(asked) => users::secrets(ground, asked).await,
        Act::UserList => {
            let all = ground.store.accounts().await?;
            let users: Vec<Value> = all
                .iter()
                .map(|a| {
                    json!({"user": a.user, "display": a.display, "role": a.role.name(), "wards": a.wards,
                        "pin": a.pin_phc.is_some(), "disabled": a.disabled,
                        "badges": a.badges.iter().map(|b| shown_badge(b)).collect::<Vec<_>>()})
                })
                .collect();
            Ok(Given::done(json!({"users": users})))
        }
        Act::UserDisable { name } => {
            let user = user_id(&name)?;
            if ground.store.account(&user).await?.is_none() {
                return Err(Fault::usage(format!(
                    "there is no user {user}: 'vitrine-server user list' shows all"
                )));
            }
            let permit = ground
                .permit::<action::ManageUsers>()?
                .noted("user", user.as_str())
                .noted("change", "disable");
            ground
                .store
                .change_account(&permit, AccountChange::Disable(user.clone()))
                .await?;
            Ok(Given {
                access_changed: true,
                ..Given::done(json!({"user": user, "disabled": true}))
            })
        }
        Act::EmergencyAccount(asked) => crate::ops::emergency_accounts::perform(ground, asked).await,
        Act::UserUnbind { name } => {
            let user = user_id(&name)?;
            let permit = ground
                .permit::<action::ManageUsers>()?
                .noted("user", user.as_str())
                .noted("change", "unbind");
            ground.store.forget_identity(&permit, &user).await?;
            Ok(Given {
                access_changed: true,
                ..Given::done(json!({"user": user, "bound": false}))
            })
        }
        Act::Badge { name, number, add } => badge(ground, &name, &number, add).await,
        Act::BadgesGone { name } => badges_gone(ground, &name).await,
        Act::Totp(asked) => ops::totp::perform(ground, asked).await,
        Act::Message(asked) => ops::messages::perform(ground, asked).await,
        Act::Client(asked) => ops::clients::act(ground, asked).await,
        Act::Enrol { ward, site } => enrol(ground, &ward, site).await,
        Act::DeviceList => {
            let all = ground.store.devices().await?;
            let devices: Vec<Value> = all
                .iter()
                .map(|d| {
                    json!({"id": d.id, "name": d.name, "ward": d.ward, "site": d.site, "state": d.state,
                        "enrolled": clock::instant(d.enrolled), "last_seen": d.last_seen.map(clock::instant),
                        "audit_seq": d.audit_seq,
                        "report": d.report.as_deref().and_then(|r| serde_json::from_str::<Value>(r).ok())})
                })
                .collect();
            Ok(Given::done(json!({"devices": devices})))
        }
        Act::DeviceRevoke { id } => {
            let unknown = || {
                Fault::usage(format!(
                    "there is no workstation {id}: 'vitrine-server device list' shows all"
                ))
            };
            let device = DeviceId::new(id.clone()).map_err(|_| unknown())?;
            if ground.store.device(&device).await?.is_none() {
                return Err(unknown());
            }
            let permit = ground
                .permit::<action::ManageDevices>()?
                .noted("device", device.as_str())
                .noted("change", "revoke");
            ground.store.revoke_device(&permit, &device).await?;
            Ok(Given {
                access_changed: true,
                ..Given::done(json!({"id": device, "state": "revoked"}))
            })
        }
        Act::AuditVerify { witness, code } => {
            ops::audit::verify(ground, witness.as_deref(), code.as_deref()).await
        }
        Act::AuditReindex => ops::audit::reindex(ground).await,
        Act::AuditCheckpoint => ops::audit_tree::check::checkpoint(ground).await,
        Act::AuditProve { chain, seq } => ops::audit_tree::check::prove(ground, &chain, seq).await,
        Act::AuditExport { chain, to } => ops::audit::export(ground, &chain, &to).await,
        Act::Look(asked) => ops::look::perform(ground, asked).await,
        Act::QuarantineList { limit } => {
            let rows = ground.store.quarantined(limit).await?;
            let items: Vec<Value> = rows
                .iter()
                .map(|r| {
                    json!({"id": r.id, "at": clock::instant(r.at), "location": r.location, "kind": r.kind,
                        "reason": r.reason, "expression": r.expression, "bytes": r.bytes})
                })
                .collect();
            Ok(Given::done(json!({"quarantined": items})))
        }
        Act::Doctor => ops::doctor::doctor(ground).await,
        Act::Drain { .. } => Err(Fault::usage(format!(
            "no server runs on {}: there is nothing to drain",
            ground.dir.root().display()
        ))),
        Act::Import { paths } => super::import::into(ground, paths).await,
        Act::Images(asked) => ops::images::perform(ground, asked).await,
        Act::Archive(asked) => ops::archive::perform(ground, asked).await,
        Act::Review(asked) => ops::reviews::perform(ground, asked).await,
        Act::Copies(asked) => ops::copies::perform(ground, asked).await,
        Act::Backup { to, recovery_key } => ops::backup::backup(ground, &to, recovery_key.as_deref()).await,
        Act::SettleLog => {
            let fault = ground.files.settle_log().await?;
            Ok(Given::done(json!({"settled": fault.is_none(), "fault": fault})))
        }
        Act::BackupVerified {
            file,
            sha256,
            whole,
            faults,
        } => {
            let permit = ground
                .permit::<action::OperateServer>()?
                .noted("use", "verify-backup")
                .noted("file", file)
                .noted("sha256", sha256)
                .noted("whole", whole.to_string())
                .noted("faults", faults.to_string());
            ground.store.append(permit.entry(Disclosure::default())).await?;
            Ok(Given::done(json!({"noted": true})))
        }
    }
}

/// An outcome as its exit code and object.
#[must_use]
pub fn given(exit: Exit, json: Value) -> Given {
    Given {
        exit: exit as u8,
        json,
        access_changed: false,
    }
}

/// Reads a sign-in name.
///
/// # Errors
/// [`Fault`].
pub fn user_id(name: &str) -> Result<UserId, Fault> {
    let lower = name.to_lowercase();
    UserId::new(lower).map_err(|e| Fault::usage(format!("'{name}' cannot be a sign-in name: {e}")))
}

/// Reads a ward's id.
///
/// # Errors
/// [`Fault`].
pub fn ward_id(ward: &str) -> Result<WardId, Fault> {
    WardId::new(ward).map_err(|e| Fault::usage(format!("--ward '{ward}': {e}")))
}

/// What is shown of a badge, and what audit rows name: enough to tell one from another, not its number.
fn shown_badge(badge: &str) -> &str {
    badge.get(..8).unwrap_or(badge)
}

async fn badge(ground: &Ground, name: &str, number: &str, add: bool) -> Result<Given, Fault> {
    let user = user_id(name)?;
    let number = scan::badge::number(number).map_err(|e| Fault::usage(e.text()))?;
    let badge = vitrine_wire::digest::badge(&ground.keys.badge_key(), &number);
    change_badge(ground, &user, badge.clone(), add).await?;
    let left = ground.store.account(&user).await?.map_or(0, |a| a.badges.len());
    Ok(Given {
        access_changed: true,
        ..Given::done(json!({"user": user, "badge": shown_badge(&badge), "added": add, "badges": left}))
    })
}

async fn badges_gone(ground: &Ground, name: &str) -> Result<Given, Fault> {
    let user = user_id(name)?;
    let account = ground.store.account(&user).await?;
    let account = account.ok_or_else(|| {
        Fault::usage(format!(
            "there is no user {user}: 'vitrine-server user list' shows all"
        ))
    })?;
    let gone = account.badges.len();
    for badge in account.badges {
        change_badge(ground, &user, badge, false).await?;
    }
    Ok(Given {
        access_changed: true,
        ..Given::done(json!({"user": user, "removed": gone, "badges": 0}))
    })
}

async fn change_badge(ground: &Ground, user: &UserId, badge: String, add: bool) -> Result<(), Fault> {
    let permit = ground
        .permit::<action::ManageUsers>()?
        .noted("user", user.as_str())
        .noted("change", if add { "badge-add" } else { "badge-remove" })
        .noted("badge", shown_badge(&badge));
    let change = if add {
        AccountChange::AddBadge(user.clone(), badge)
    } else {
        AccountChange::RemoveBadge(user.clone(), badge)
    };
    match ground.store.change_account(&permit, change).await {
        Ok(_) => Ok(()),
        Err(StoreError::Refused(text)) => Err(Fault::usage(text)),
        Err(e) => Err(e.into()),
    }
}

/// The number of a badge, as a reader types it into stdin; no argument, so that no list of processes shows it.
///
/// # Errors
/// [`Fault`] when there is none.
pub fn badge_from_stdin() -> Result<String, Fault> {
    let line = std::io::stdin().lines().next().and_then(Result::ok);
    line.filter(|l| !l.trim().is_empty()).ok_or_else(|| {
        Fault::usage("the first line of stdin must hold the badge's number, as the reader sends it")
    })
}

async fn enrol(ground: &Ground, ward: &str, site: bool) -> Result<Given, Fault> {
    let ward = ward_id(ward)?;
    let code = devices::new_code();
    let until = clock::now().plus_ms(devices::CODE_MS);
    let permit = ground
        .permit::<action::ManageDevices>()?
        .noted("ward", ward.as_str())
        .noted("change", "enrolment code");
    let kept = EnrolCode {
        hash: devices::code_hash(&code),
        ward: ward.clone(),
        site,
        until,
    };
    ground.store.put_enrol_code(&permit, kept).await?;
    Ok(Given::done(json!({
        "code": code, "ward": ward, "site": site, "expires": clock::instant(until),
        "fingerprint": ground.ca_fingerprint, "certificate_fingerprint": ground.certificate_fingerprint,
    })))
}
