//! The golden matrix of the policy, asked of the offline workstation itself.
//!
//! Each situation of the matrix is set up on a workstation of its own: staff list, place of the patient, grants in the
//! outbox. What the policy is then asked is put together by the engine: the person from the staff list, the ward from
//! the card here, the workstation from its profile, the grant from the outbox. Charts, boards, searches and the
//! breaking of the glass are the whole acts, answered by their audit rows; the other acts of a person have no screen
//! here and are decided on the engine's own request. A workstation serves no client and no operator: of those rows
//! only the policy inside this program is asked.

use super::Workstation;
use super::board::board;
use super::chart::chart;
use super::search::search;
use crate::break_glass::{self, BreakGlass, Identity};
use crate::cache;
use crate::clock::Stopwatch;
use crate::keys::{DeviceKey, FileSealer, Slots};
use crate::profile::{DeviceFile, PROFILE_VERSION, Profile};
use crate::session::{Person, Session, dir_user};
use crate::station::{Station, db_key};
use crate::{EngineError, Options};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::action;
use vitrine_access::matrix::{self, Answer};
use vitrine_access::policy::{Request, Subject, decide};
use vitrine_access::{Action, AuditEntry, Decision, Disclosure, Grant};
use vitrine_clinical::card::{Place, emergency_card};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, WardId};
use vitrine_store_sqlcipher::workstation::{Essentials, Incoming, Prepared};
use vitrine_wire::http::DirUser;

const GOLDEN: &str = include_str!("../../../../tests/policy_matrix.golden");
const SENSITIVITY: &str = include_str!("../../../../tests/sensitivity_matrix.golden");

/// The matrix leaves the patient of "no patient named" unnamed; one is here all the same.
const PATIENT: &str = "p1";

struct World {
    ws: Workstation,
    _dir: tempfile::TempDir,
}

#[test]
fn the_offline_workstation_answers_as_the_golden_matrix() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut worlds: BTreeMap<String, World> = BTreeMap::new();
    let now = matrix::render(|act, situation| {
        let world = worlds
            .entry(format!("{situation:?}"))
            .or_insert_with(|| set_up(situation, runtime.handle()));
        ask(&world.ws.station().unwrap(), act, situation)
    });
    let difference = matrix::first_difference(&now.unwrap(), GOLDEN);
    assert_eq!(
        difference, None,
        "the workstation does not answer as tests/policy_matrix.golden"
    );
}

#[test]
fn the_offline_workstation_answers_as_the_golden_matrix_of_sensitivity_and_purpose() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut worlds: BTreeMap<String, (World, Label, Option<Request>)> = BTreeMap::new();
    let now = matrix::render_sensitivity(|act, situation| {
        let mut plain = situation.clone();
        plain.purpose = None;
        let wanted = plain.label();
        if let Some(p) = &mut plain.patient {
            p.label = Label::NONE;
        }
        let world = worlds
            .entry(format!("{plain:?}"))
            .or_insert_with(|| (set_up(&plain, runtime.handle()), Label::NONE, None));
        let station = world.0.ws.station().unwrap();
        if world.1 != wanted {
            stage(&station.essentials, "ess:ED", PATIENT, &card_of(&plain, wanted));
            (world.1, world.2) = (wanted, None);
        }
        // One request for each label: it asks for nothing that act or purpose changes.
        let request = world.2.get_or_insert_with(|| {
            let request = match &situation.subject {
                Subject::User { .. } => {
                    station.request_about(&station.person().unwrap(), &PatientId::new(PATIENT).unwrap())
                }
                // A workstation serves no client: only the policy inside this program is asked.
                other => station.request(other.clone(), situation.patient.clone(), None, None),
            };
            request.unwrap()
        });
        let request = Request {
            purpose: situation.purpose,
            kind: situation.kind.clone(),
            ..request.clone()
        };
        decided(act, request)
    });
    let difference = matrix::first_difference(&now.unwrap().0, SENSITIVITY);
    assert_eq!(
        difference, None,
        "the workstation does not answer as tests/sensitivity_matrix.golden"
    );
}

/// The card of the patient where the situation has them, with a label.
fn card_of(situation: &Request, label: Label) -> Vec<u8> {
    let mut card = emergency_card(&PatientId::new(PATIENT).unwrap(), &[]);
    card.label = label;
    card.place = Some(Place {
        ward: situation.patient.as_ref().and_then(|p| p.ward.clone()),
        ward_name: None,
        bed: None,
        class: None,
        reason: None,
        since: None,
        encounter: None,
        acuity: None,
    });
    serde_json::to_vec(&card).unwrap()
}

fn set_up(situation: &Request, runtime: &tokio::runtime::Handle) -> World {
    let dir = tempfile::tempdir().unwrap();
    let profile = Profile::at(dir.path()).unwrap();
    let key = DeviceKey::create(&profile.device_key(), &FileSealer::new(dir.path())).unwrap();
    let (_, deks) = Slots::create(&profile.slots(), "ed-07", key.dk()).unwrap();
    let site = matches!(situation.subject, Subject::Device { site: true, .. });
    let device = DeviceFile {
        version: PROFILE_VERSION,
        server: "https://127.0.0.1:1".into(),
        device: "ed-07".into(),
        name: "ED-07".into(),
        ward: "ED".into(),
        site,
        server_key: String::new(),
        demo: true,
        revoked: false,
    };
    profile.write_device(&device).unwrap();

    let e = Essentials::open(&profile.essentials(), &db_key(&deks.essentials), cache::open_fold).unwrap();
    stage(&e, "ess:ED", PATIENT, &card_of(situation, Label::NONE));
    stage(&e, "board:ED", "", b"");
    if let Subject::User { user, role, wards } = &situation.subject {
        let staff = DirUser {
            user: user.to_string(),
            display: "A. Person".into(),
            role: role.name().into(),
            wards: wards.iter().map(WardId::to_string).collect(),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            password_mark: None,
        };
        stage(
            &e,
            "dir",
            &format!("user/{user}"),
            &serde_json::to_vec(&staff).unwrap(),
        );
    }
    drop(e);

    let options = Options {
        sync: false,
        ballast_bytes: 1 << 16,
        runtime: Some(runtime.clone()),
        ..Options::default()
    };
    let ws = Workstation::open(dir.path(), options).unwrap();
    let station = ws.station().unwrap();
    if let Subject::User { user, .. } = &situation.subject {
        let known = dir_user(&station, user.as_str()).unwrap().unwrap();
        *station.session_mut() = Some(Session {
            person: Person::of_dir(&known).unwrap(),
            offline: true,
            heard: None,
            token: None,
            records: None,
            proven: station.clock.elapsed().max(Duration::from_nanos(1)),
            active: station.clock.elapsed(),
            results: std::collections::BTreeMap::new(),
            allergies: std::collections::BTreeMap::new(),
            vitals: std::collections::BTreeMap::new(),
        });
    }
    if let Some(grant) = &situation.grant {
        record(&station, situation, grant);
    }
    World { ws, _dir: dir }
}

fn stage(e: &Essentials, scope: &str, key: &str, body: &[u8]) {
    e.begin(scope, "epoch", 1, 0).unwrap();
    if !key.is_empty() {
        let item = Prepared::new(&Incoming {
            key,
            ver: 1,
            version: None,
            body: Some(body),
            terms: "",
        });
        e.stage(scope, &[item]).unwrap();
    }
    e.finish(scope, "epoch", 1, 0).unwrap();
    // As the server has just confirmed it: an age that nobody knows is past the offline horizon.
    let now = crate::clock::Clock::new().wall().0;
    e.seen(&[(scope.to_owned(), 1)], now).unwrap();
}

/// Puts the situation's grant into the outbox, as old and as long as it is in the situation.
fn record(station: &Station, situation: &Request, grant: &Grant) {
    let now = station.clock.now();
    let grant = Grant {
        at: now.plus_ms(grant.at.since(situation.at)),
        until: now.plus_ms(grant.until.since(situation.at)),
        ..grant.clone()
    };
    let request = station
        .request(situation.subject.clone(), None, None, None)
        .unwrap();
    let entry = match decide::<action::SearchPatients>(request) {
        Ok(permit) => permit.entry(Disclosure::default()),
        Err(denied) => denied.entry(),
    };
    station.outbox.append(&[entry], Some(&grant)).unwrap();
}

fn ask(station: &Arc<Station>, act: &str, situation: &Request) -> Answer {
    let ward = || situation.ward.clone();
    let patient = situation.patient.as_ref().map(|p| &p.patient);
    let request = match &situation.subject {
        Subject::User { .. } => {
            let person = station.person().unwrap();
            match (act, patient, ward()) {
                ("read-chart", Some(p), _) => return whole(station, act, chart(station, p.as_str())),
                ("view-board", _, Some(w)) => return whole(station, act, board(station, Some(w.as_str()))),
                ("search-patients", ..) => {
                    return whole(station, act, search(station, &person, "nobody", false));
                }
                ("break-glass", Some(p), _) => {
                    let asked = BreakGlass {
                        patient: p.to_string(),
                        reason: "covering".into(),
                        words: None,
                        identity: Identity::Session,
                    };
                    return whole(
                        station,
                        act,
                        break_glass::open(station, &asked, Stopwatch::start()),
                    );
                }
                // Of a ward, whoever lies there.
                ("run-drill", _, w) => station.request(person.subject(), None, w, None),
                (_, Some(p), _) => station.request_about(&person, p),
                (_, None, w) => station.request(person.subject(), None, w, None),
            }
        }
        Subject::Device { .. } if situation.patient.is_some() => {
            let kind = situation.kind.as_deref().unwrap_or_default();
            station.request_of_device(&PatientId::new(PATIENT).unwrap(), kind)
        }
        Subject::Device { .. } => {
            let device = station.device();
            let subject = Subject::Device {
                ward: WardId::new(device.ward.as_str()).unwrap(),
                site: device.site,
            };
            station.request(subject, None, ward(), None)
        }
        other => station
            .request(other.clone(), situation.patient.clone(), ward(), None)
            .map(|r| Request {
                kind: situation.kind.clone(),
                ..r
            }),
    };
    decided(act, request.unwrap())
}

/// What a whole act answered, by the row it wrote.
fn whole<T>(station: &Station, act: &str, done: Result<T, EngineError>) -> Answer {
    let offered = match done {
        Ok(_) => false,
        Err(EngineError::Denied {
            break_glass_offered, ..
        }) => break_glass_offered,
        Err(e) => panic!("{act}: {e}"),
    };
    let rows = station.outbox.rows(0, 1_000).unwrap().rows;
    let row = rows
        .iter()
        .rev()
        .map(|row| serde_json::from_str::<AuditEntry>(&row.body).unwrap())
        .find(|entry| entry.action == act)
        .unwrap();
    Answer {
        allow: row.decision == Decision::Permit,
        rule: row.rule,
        break_glass_offered: offered,
    }
}

fn decided(act: &str, request: Request) -> Answer {
    macro_rules! by_name {
        ($($name:ident)*) => {
            match act {
                $(<action::$name as Action>::NAME => decide::<action::$name>(request).into(),)*
                other => panic!("{other} is not asked here: add it"),
            }
        };
    }
    by_name!(SendLive RunDrill ReadCard ReadChart ReadResource SearchPatients ViewBoard WriteClinical BreakGlass SyncScope ImportData
        ManageUsers ManageDevices ReadAudit ReviewBreakGlass OperateServer
        HoldRecord RequestDestruction ApproveDestruction DestroyRecord)
}
