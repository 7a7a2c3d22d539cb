//! The golden matrix of the policy, asked of the server itself.
//!
//! Each situation of the matrix is set up on a server of its own: accounts, an enrolled workstation, the patient's
//! encounter, grants as they arrive. What the policy is then asked is put together by the server: the caller from a
//! session's token, the ward from the encounter, the grant from those in force, a workstation's scope from its name.
//! The server shows no board to a person, and an operator names no patient: there, what the act is about is added to
//! the server's request as it stands in the situation.

use crate::app::{App, NoAccess};
use crate::cli::acts::operator_request;
use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::identity::apps::{self, AppGrant};
use crate::identity::devices::code_hash;
use crate::identity::sessions::{self, Caller};
use crate::ingest::project::FhirProjector;
use crate::keys::Keys;
use crate::ws::ahead::of_device;
use crate::ws::work::{Served, device_request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use vitrine_access::action;
use vitrine_access::matrix::{self, Answer};
use vitrine_access::policy::{self, PatientFacts, Request, Subject};
use vitrine_access::{Action, Grant, Permit};
use vitrine_clinical::label::Label;
use vitrine_clinical::{DeviceId, ResourceKey, WardId};
use vitrine_store::{
    Account, AccountChange, ChangeBatch, ChangeKind, ChangeOp, ClientRow, EnrolCode, GrantRow, MemoryStore,
    NewDevice, Precondition, Store,
};

const GOLDEN: &str = include_str!("../../tests/policy_matrix.golden");
const SENSITIVITY: &str = include_str!("../../tests/sensitivity_matrix.golden");

#[test]
fn the_server_answers_as_the_golden_matrix() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut worlds: BTreeMap<String, Arc<App>> = BTreeMap::new();
    let now = matrix::render(|act, situation| {
        runtime.block_on(async {
            let world = format!("{situation:?}");
            if !worlds.contains_key(&world) {
                worlds.insert(world.clone(), set_up(dir.path(), situation).await);
            }
            ask(&worlds[&world], act, situation).await
        })
    });
    let difference = matrix::first_difference(&now.unwrap(), GOLDEN);
    assert_eq!(
        difference, None,
        "the server does not answer as tests/policy_matrix.golden"
    );
}

#[test]
fn the_server_answers_as_the_golden_matrix_of_sensitivity_and_purpose() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut worlds: BTreeMap<String, (Arc<App>, Label)> = BTreeMap::new();
    let now = matrix::render_sensitivity(|act, situation| {
        runtime.block_on(async {
            let mut plain = situation.clone();
            plain.purpose = None;
            let wanted = plain.label();
            if let Some(p) = &mut plain.patient {
                p.label = Label::NONE;
            }
            let world = format!("{plain:?}");
            if !worlds.contains_key(&world) {
                worlds.insert(world.clone(), (set_up(dir.path(), &plain).await, Label::NONE));
            }
            let (app, label) = worlds.get_mut(&world).unwrap();
            if *label != wanted {
                relabel(app, "p1", wanted).await;
                *label = wanted;
            }
            ask(app, act, situation).await
        })
    });
    let difference = matrix::first_difference(&now.unwrap().0, SENSITIVITY);
    assert_eq!(
        difference, None,
        "the server does not answer as tests/sensitivity_matrix.golden"
    );
}

/// Writes the patient anew, with a label.
async fn relabel(app: &App, patient: &str, label: Label) {
    let security: Vec<Value> = label
        .codings()
        .map(|(s, c)| json!({"system": s, "code": c}))
        .collect();
    let body = json!({"resourceType": "Patient", "id": patient, "meta": {"security": security},
        "name": [{"family": "Testperson"}]});
    let batch = ChangeBatch {
        op_id: clock::new_uuid(),
        at: clock::now(),
        ops: vec![put(&body)],
        source: "test".to_owned(),
        images: Vec::new(),
    };
    app.store.import(&permit(), batch).await.unwrap();
}

fn permit<A: Action>() -> Permit<A> {
    policy::decide(operator_request("root")).unwrap()
}

async fn set_up(dir: &Path, situation: &Request) -> Arc<App> {
    let dir = DataDir::open(dir, true).unwrap();
    let config = Config::default();
    let keys = Keys::open(&dir, &config.tls, None).unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(FhirProjector), "epoch"));
    let app = App::new(dir, config, keys, store).await.unwrap();

    let site = matches!(situation.subject, Subject::Device { site: true, .. });
    for (device, ward, site) in [("ed-07", "ED", site), ("icu-01", "ICU", false)] {
        let code = EnrolCode {
            hash: code_hash(device),
            ward: WardId::new(ward).unwrap(),
            site,
            until: clock::now().plus_ms(60_000),
        };
        app.store.put_enrol_code(&permit(), code).await.unwrap();
        let device = NewDevice {
            id: DeviceId::new(device).unwrap(),
            name: device.to_owned(),
            public_key: Vec::new(),
        };
        let hash = code_hash(device.id.as_str());
        app.store.enrol(hash, device, clock::now()).await.unwrap();
    }
    if let Subject::App { id, scopes, .. } = &situation.subject {
        let client = ClientRow {
            id: id.clone(),
            secret: None,
            keys: None,
            scopes: scopes.clone(),
            redirects: vec!["https://growth.example/back".to_owned()],
        };
        app.store.put_client(&permit(), client).await.unwrap();
    }
    if let Subject::User { user, role, wards }
    | Subject::App {
        user, role, wards, ..
    } = &situation.subject
    {
        let account = Account {
            user: user.clone(),
            display: "A. Person".to_owned(),
            role: *role,
            wards: wards.clone(),
            password_phc: String::new(),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            version: 0,
        };
        let change = AccountChange::Put(account);
        app.store.change_account(&permit(), change).await.unwrap();
    }
    if let Some(PatientFacts {
        patient,
        ward: Some(ward),
        ..
    }) = &situation.patient
    {
        let batch = ChangeBatch {
            op_id: clock::new_uuid(),
            at: clock::now(),
            ops: placed(patient.as_str(), ward.as_str()),
            source: "test".to_owned(),
            images: Vec::new(),
        };
        app.store.import(&permit(), batch).await.unwrap();
    }
    if let Some(grant) = &situation.grant {
        let now = clock::now();
        let grant = Grant {
            at: now.plus_ms(grant.at.since(situation.at)),
            until: now.plus_ms(grant.until.since(situation.at)),
            ..grant.clone()
        };
        app.note_grant(GrantRow::new(grant, now));
    }
    app
}

fn put(r: &Value) -> ChangeOp {
    ChangeOp {
        key: ResourceKey::new(r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap()).unwrap(),
        kind: ChangeKind::Put(r.to_string().into()),
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    }
}

/// A ward, and a patient with an encounter there.
fn placed(patient: &str, ward: &str) -> Vec<ChangeOp> {
    let coded = |system: &str, code: &str| json!({"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code});
    let put = |r: Value| put(&r);
    vec![
        put(
            json!({"resourceType": "Location", "id": ward, "name": ward, "mode": "instance",
            "physicalType": {"coding": [coded("location-physical-type", "wa")]}}),
        ),
        put(json!({"resourceType": "Patient", "id": patient, "name": [{"family": "Testperson"}]})),
        put(
            json!({"resourceType": "Encounter", "id": "e1", "status": "in-progress",
            "class": coded("v3-ActCode", "IMP"), "subject": {"reference": format!("Patient/{patient}")},
            "location": [{"status": "active", "location": {"reference": format!("Location/{ward}")}}]}),
        ),
    ]
}

async fn caller(app: &App, token: &str) -> Caller {
    sessions::caller(app, token).await.unwrap().unwrap()
}

async fn ask(app: &App, act: &str, situation: &Request) -> Answer {
    let patient = situation.patient.as_ref().map(|p| &p.patient);
    let kind = situation.kind.as_deref();
    let request = match &situation.subject {
        Subject::User { user, .. } => {
            let (token, _) = sessions::open_for_user(app, user, situation.device.clone())
                .await
                .unwrap();
            let caller = Caller {
                purpose: situation.purpose,
                ..caller(app, &token).await
            };
            let request = app.request(&caller, kind, patient).await;
            Request {
                ward: situation.ward.clone(),
                ..request.unwrap()
            }
        }
        Subject::App {
            id,
            user,
            scopes,
            patient: own,
            ..
        } => {
            let account = app.store.account(user).await.unwrap().unwrap();
            let grant = AppGrant {
                client: id.clone(),
                patient: own.clone(),
                scopes: scopes.clone(),
            };
            let opened = apps::open(app, &account, &grant, None, None).await;
            let caller = Caller {
                purpose: situation.purpose,
                ..caller(app, &opened.unwrap().0).await
            };
            app.request(&caller, kind, patient).await.unwrap()
        }
        Subject::Client { id, scopes } => {
            let (token, _) = sessions::open_for_client(app, id, scopes.clone()).await.unwrap();
            let caller = Caller {
                purpose: situation.purpose,
                ..caller(app, &token).await
            };
            app.request(&caller, kind, patient).await.unwrap()
        }
        Subject::Device { .. } => {
            let id = situation.device.as_ref().unwrap();
            let mut served = Served::default();
            let row = app.store.device(id).await.unwrap().unwrap();
            if let Some(p) = &situation.patient {
                let (kind, caller) = (situation.kind.as_deref(), of_device(id.clone(), &row));
                let request = app.request(&caller, kind, Some(&p.patient)).await.unwrap();
                return decided(app, act, request).await;
            }
            served.device = Some(Arc::new(row));
            let scope = match &situation.ward {
                Some(ward) => format!("ess:{ward}"),
                None => "ess:site".to_owned(),
            };
            device_request(&served, &scope).unwrap()
        }
        Subject::Operator { account } => Request {
            patient: situation.patient.clone(),
            ..operator_request(account)
        },
    };
    decided(app, act, request).await
}

async fn decided(app: &App, act: &str, request: Request) -> Answer {
    fn answer<A: Action>(decided: Result<Permit<A>, NoAccess>) -> Answer {
        match decided {
            Ok(permit) => Ok(permit).into(),
            Err(NoAccess::Denied(denied)) => Err::<Permit<A>, _>(*denied).into(),
            Err(NoAccess::Store(e)) => panic!("{e}"),
        }
    }
    macro_rules! by_name {
        ($($name:ident)*) => {
            match act {
                $(<action::$name as Action>::NAME => answer(app.decide::<action::$name>(request).await),)*
                other => panic!("{other} is not asked here: add it"),
            }
        };
    }
    by_name!(SendLive RunDrill ReadCard ReadChart ReadResource SearchPatients ViewBoard WriteClinical BreakGlass SyncScope ImportData
        ManageUsers ManageDevices ReadAudit ReviewBreakGlass OperateServer
        HoldRecord RequestDestruction ApproveDestruction DestroyRecord)
}
