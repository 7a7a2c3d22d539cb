//! A server of the pairs: its people, what is the same in both, what one of them has and the other has not.

use super::feed::{DEVICE, Station};
use crate::app::App;
use crate::cli::acts::operator_request;
use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::http::router;
use crate::identity::sessions;
use crate::ingest::project::FhirProjector;
use crate::keys::Keys;
use crate::ops::backup::open_store;
use axum::Router;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use vitrine_access::policy;
use vitrine_access::{Action, Permit};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};
use vitrine_store::imaging::{Blob, NewInstance};
use vitrine_store::{
    Account, AccountChange, ChangeBatch, ChangeKind, ChangeOp, MemoryStore, Precondition, Store,
};

/// Where the record of a world lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Memory,
    /// A real file under a real key.
    Sqlcipher,
}

pub(super) const AT: UtcMs = UtcMs(1_795_000_000_000);

pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
    pub(super) nurse: String,
    pub(super) other: String,
    pub(super) client: String,
    pub(super) station: Station,
    /// The nurse's session at the workstation.
    pub(super) at_the_desk: String,
}

/// Numbers that are the same for the same seed (xorshift64*).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
    pub(super) fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

pub(super) fn permit<A: Action>() -> Permit<A> {
    policy::decide(operator_request("root")).unwrap()
}

pub(super) fn op(r: &Value) -> ChangeOp {
    ChangeOp {
        key: ResourceKey::new(r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap()).unwrap(),
        kind: ChangeKind::Put(r.to_string().into()),
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    }
}

pub(super) async fn write(app: &App, rows: &[Value], images: Vec<NewInstance>) {
    let batch = ChangeBatch {
        op_id: clock::new_uuid(),
        at: AT,
        ops: rows.iter().map(op).collect(),
        source: "test".to_owned(),
        images,
    };
    app.store.import(&permit(), batch).await.unwrap();
}

pub(super) fn security(code: &str) -> Value {
    let system = if code.len() == 1 {
        "v3-Confidentiality"
    } else {
        "v3-ActCode"
    };
    json!({"security": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]})
}

pub(super) fn patient(id: &str, label: Option<&str>) -> Value {
    let mut out = json!({"resourceType": "Patient", "id": id, "active": true, "birthDate": "1970-03-01",
        "identifier": [{"system": "urn:test:mrn", "value": format!("mrn-{id}")}],
        "name": [{"family": "Testperson", "given": ["Una"]}]});
    if let Some(code) = label {
        out["meta"] = security(code);
    }
    out
}

pub(super) fn placed(id: &str, ward: &str) -> Value {
    json!({"resourceType": "Encounter", "id": format!("{id}-enc"), "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": format!("Patient/{id}")},
        "location": [{"status": "active", "location": {"reference": format!("Location/{ward}")}}]})
}

pub(super) const WORDS: [&str; 6] = [
    "pneumonia",
    "overdose",
    "fracture",
    "sepsis",
    "delirium",
    "asthma",
];
pub(super) const KINDS: [&str; 6] = [
    "Observation",
    "Condition",
    "DocumentReference",
    "DiagnosticReport",
    "MedicationRequest",
    "Procedure",
];

/// A row of a record: what it says and when is up to the dice.
pub(super) fn row(kind: &str, id: &str, of: &str, dice: &mut Dice) -> Value {
    let subject = json!({"reference": format!("Patient/{of}")});
    let word = dice.of(&WORDS);
    let date = format!(
        "20{:02}-0{}-1{}T08:00:00Z",
        10 + dice.roll(16),
        1 + dice.roll(9),
        dice.roll(9)
    );
    let mut out = match kind {
        "Observation" => json!({"status": "final", "effectiveDateTime": date,
            "code": {"coding": [{"system": "http://loinc.org", "code": dice.of(&["2823-3", "8867-4", "718-7"])}]},
            "valueQuantity": {"value": dice.roll(200), "unit": "u"}}),
        "Condition" => json!({"code": {"text": word}, "recordedDate": date,
            "clinicalStatus": {"coding": [{"code": "active"}]}}),
        "DocumentReference" => {
            json!({"status": "current", "description": format!("{word} note"), "date": date,
            "content": [{"attachment": {"title": word}}]})
        }
        "DiagnosticReport" => json!({"status": "final", "conclusion": format!("{word} seen"),
            "code": {"text": "report"}, "effectiveDateTime": date}),
        "MedicationRequest" => json!({"status": "active", "intent": "order", "authoredOn": date,
            "medicationCodeableConcept": {"text": word}}),
        _ => json!({"status": "completed", "code": {"text": word}, "performedDateTime": date}),
    };
    out["resourceType"] = kind.into();
    out["id"] = id.into();
    out["subject"] = subject;
    out
}

pub(super) fn image(patient: &str, study: &str, dice: &mut Dice) -> NewInstance {
    NewInstance {
        patient: PatientId::new(patient).unwrap(),
        study: study.to_owned(),
        day: Some(20_200_000 + i32::try_from(dice.roll(12)).unwrap() * 100 + 115),
        accession: None,
        study_header: bytes::Bytes::from_static(b"{}"),
        series: format!("{study}.1"),
        series_header: bytes::Bytes::from_static(b"{}"),
        uid: format!("{study}.1.1"),
        position: 1,
        header: bytes::Bytes::from_static(b"{}"),
        blob: Blob {
            sha256: [0; 32],
            bytes: 1,
            key: [0; 32].into(),
        },
    }
}

/// A world on a folder of its own.
pub(super) async fn world(dir: &Path, backend: Backend) -> World {
    let dir = DataDir::open(dir, true).unwrap();
    let config = Config::default();
    let keys = Keys::open(&dir, &config.tls, None).unwrap();
    let store: Arc<dyn Store> = match backend {
        Backend::Memory => Arc::new(MemoryStore::new(Arc::new(FhirProjector), "epoch")),
        Backend::Sqlcipher => open_store(&dir, &keys, &config).await.unwrap().0,
    };
    let app = App::new(dir, config, keys, store).await.unwrap();
    for (user, ward) in [("nina", "ED"), ("olaf", "ICU")] {
        let account = Account {
            user: UserId::new(user).unwrap(),
            display: user.to_owned(),
            role: "nurse".parse().unwrap(),
            wards: vec![WardId::new(ward).unwrap()],
            password_phc: String::new(),
            pin_phc: None,
            badges: Vec::new(),
            disabled: false,
            version: 0,
        };
        let change = AccountChange::Put(account);
        app.store.change_account(&permit(), change).await.unwrap();
    }
    let ward = |id: &str| {
        json!({"resourceType": "Location", "id": id, "name": id, "mode": "instance",
        "physicalType": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": "wa"}]}})
    };
    let mut rows = vec![
        ward("ED"),
        ward("ICU"),
        patient("pat-ed", None),
        patient("pat-v", Some("V")),
        patient("pat-icu", None),
        placed("pat-ed", "ED"),
        placed("pat-v", "ED"),
        placed("pat-icu", "ICU"),
        json!({"resourceType": "AllergyIntolerance", "id": "seen-allergy", "patient": {"reference": "Patient/pat-ed"},
            "code": {"text": "Penicillin"}, "clinicalStatus": {"coding": [{"code": "active"}]}}),
    ];
    let mut dice = Dice(7);
    for n in 0..14 {
        rows.push(row(
            KINDS[n % KINDS.len()],
            &format!("seen-{n}"),
            "pat-ed",
            &mut dice,
        ));
    }
    let images = vec![image("pat-ed", "1.2.3", &mut dice)];
    write(&app, &rows, images).await;
    let user = async |name: &str| {
        sessions::open_for_user(&app, &UserId::new(name).unwrap(), None)
            .await
            .unwrap()
            .0
    };
    let scopes = vec!["system/*.rs".to_owned()];
    let (client, _) = sessions::open_for_client(&app, "lab", scopes).await.unwrap();
    let station = Station::new(&app).await;
    let desk = Some(DeviceId::new(DEVICE).unwrap());
    let (at_the_desk, _) = sessions::open_for_user(&app, &UserId::new("nina").unwrap(), desk)
        .await
        .unwrap();
    World {
        nurse: user("nina").await,
        other: user("olaf").await,
        client,
        router: router(app.clone()),
        station,
        at_the_desk,
        app,
    }
}

/// What one world gets that the other does not.
pub(super) struct Forbidden {
    pub(super) rows: Vec<Value>,
    pub(super) images: Vec<NewInstance>,
    /// `Type/id` of all of them.
    pub(super) keys: Vec<String>,
}

pub(super) fn forbidden(
    pair: u64,
    which: u64,
    (withheld, essential): (u64, u64),
    dice: &mut Dice,
) -> Forbidden {
    let mut rows = Vec::new();
    for n in 0..withheld {
        let id = format!("w-{pair}-{which}-{n}");
        // That something the card rests on is withheld is told, whatever it is.
        let kinds: &[&str] = if essential >> n & 1 == 1 {
            &["Condition", "MedicationRequest"]
        } else {
            &[
                "DocumentReference",
                "DiagnosticReport",
                "Procedure",
                "Observation",
            ]
        };
        let mut r = row(dice.of(kinds), &id, "pat-ed", dice);
        if r["resourceType"] == "Observation" {
            // No value that the card shows.
            r["code"] = json!({"text": dice.of(&WORDS)});
        }
        r["meta"] = security(dice.of(&["V", "PSYTHPN"]));
        rows.push(r);
    }
    for n in 0..dice.roll(4) {
        let id = format!("i-{pair}-{which}-{n}");
        rows.push(row(dice.of(&KINDS), &id, "pat-icu", dice));
    }
    for n in 0..dice.roll(4) {
        let id = format!("v-{pair}-{which}-{n}");
        rows.push(row(dice.of(&KINDS), &id, "pat-v", dice));
    }
    let images = (0..dice.roll(2)).map(|n| image("pat-v", &format!("1.9.{pair}.{which}.{n}"), dice));
    Forbidden {
        images: images.collect(),
        keys: rows
            .iter()
            .map(|r| {
                format!(
                    "{}/{}",
                    r["resourceType"].as_str().unwrap(),
                    r["id"].as_str().unwrap()
                )
            })
            .collect(),
        rows,
    }
}
