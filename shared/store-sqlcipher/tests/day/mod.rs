//! A hospital's day as rows of the audit log, and the record they are about. Called by tests of the audit log.

use std::collections::BTreeMap;
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};
use vitrine_store::conformance::hospital::{Hospital, note, person, put};
use vitrine_store::{EnrolCode, NewDevice};

/// Resources of each patient in the record.
pub const EACH: u64 = 6;
const USERS: u64 = 400;
/// Workstations that are enrolled.
pub const DEVICES: u64 = 60;
/// Ms between two rows.
const STEP: i64 = 1_500;
const BEGIN: i64 = 1_790_000_000_000;

/// A small generator, so that a failure can be repeated.
pub struct Dice(pub u64);
impl Dice {
    /// 0 to n - 1.
    pub fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn bits(&mut self) -> u128 {
        (0..4).fold(0, |w, _| (w << 31) | u128::from(self.roll(1 << 31)))
    }
}

/// Ids as the server gives them: UUIDs.
fn id(kind: u128, n: u64) -> String {
    let mixed = u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ kind;
    uuid::Builder::from_custom_bytes(mixed.to_be_bytes())
        .into_uuid()
        .to_string()
}
/// A patient of the record.
pub fn patient(n: u64) -> PatientId {
    PatientId::new(id(1, n)).unwrap()
}
/// A resource of a patient; 0 is the Patient.
pub fn key(patient: u64, n: u64) -> ResourceKey {
    let kind = [
        "Patient",
        "Encounter",
        "Condition",
        "AllergyIntolerance",
        "Observation",
        "MedicationRequest",
    ][n as usize];
    let name = if n == 0 {
        id(1, patient)
    } else {
        id(2, patient * EACH + n)
    };
    ResourceKey::new(kind, &name).unwrap()
}
/// A workstation.
pub fn device(n: u64) -> DeviceId {
    DeviceId::new(id(3, n)).unwrap()
}

/// A row of a thousand: 300 charts (one page of six resources), 150 single resources, 170 cards, 120 searches by name
/// (what was typed and up to eight people), 40 boards of 24 patients, 120 writes of one to three resources, 60 steps of
/// a workstation's feed (one to four cards), 20 signings in and out, 10 looks at the audit log, 7 refusals, 3 broken
/// glasses with words. A fifth of all rows (of people, at workstations) comes up from a workstation's own chain.
pub fn row(n: u64, patients: u64, dice: &mut Dice) -> AuditEntry {
    let at = BEGIN + i64::try_from(n).unwrap() * STEP + i64::try_from(dice.roll(900)).unwrap();
    let access = AccessId(
        uuid::Builder::from_unix_timestamp_millis(
            u64::try_from(at).unwrap() - dice.roll(3),
            &dice.bits().to_be_bytes()[6..].try_into().unwrap(),
        )
        .into_uuid(),
    );
    let whose = dice.roll(patients) * dice.roll(patients) / patients;
    let user = Actor::User(UserId::new(format!("user{:04}", dice.roll(USERS))).unwrap());
    let station = Some(device(dice.roll(DEVICES)));
    let mut e = AuditEntry {
        access_id: access,
        at: UtcMs(at),
        actor: user,
        device: station.clone(),
        action: String::new(),
        purpose: Purpose::Treatment,
        decision: Decision::Permit,
        rule: "own-ward-patient".to_owned(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: BTreeMap::new(),
    };
    let mut said: Vec<(u64, Vec<Disclosed>)> = Vec::new();
    let some = |of: u64, which: &[u64], dice: &mut Dice| -> Vec<Disclosed> {
        let one = |n: &u64| Disclosed {
            key: key(of, *n),
            version: 1 + dice.roll(4),
        };
        which.iter().map(one).collect()
    };
    let card = |of: u64, dice: &mut Dice| Disclosed {
        key: ResourceKey::new("EmergencyCard", patient(of).as_str()).unwrap(),
        version: 1 + dice.roll(30),
    };
    let mut note = |key: &str, value: String| e.notes.insert(key.to_owned(), value);
    let (action, one) = match dice.roll(1_000) {
        0..=299 => {
            said.push((whose, some(whose, &[0, 3, 2, 1, 5, 4], dice)));
            ("read-chart", true)
        }
        300..=449 => {
            said.push((whose, some(whose, &[dice.roll(EACH)], dice)));
            ("read-resource", true)
        }
        450..=619 => {
            said.push((whose, vec![card(whose, dice)]));
            ("read-card", true)
        }
        620..=739 => {
            note(
                "query",
                ["mei", "Keller Anna", "1961", "M00417", "schm"][dice.roll(5) as usize].to_owned(),
            );
            note("by", "name".to_owned());
            e.rule = "clinician-searches".to_owned();
            for k in 0..dice.roll(9) {
                said.push((whose + k * 7, some((whose + k * 7) % patients, &[0], dice)));
            }
            ("search-patients", false)
        }
        740..=779 => {
            e.rule = "own-ward-board".to_owned();
            let ward = dice.roll(patients / 24) * 24;
            said.extend((0..24).map(|k| (ward + k, vec![])));
            ("view-board", false)
        }
        780..=899 => {
            e.actor = Actor::Client("lab-feed".to_owned());
            e.device = None;
            e.rule = "client-scope".to_owned();
            let many = 1 + dice.roll(3);
            said.push((whose, some(whose, &[4, 5, 2][..many as usize], dice)));
            ("write-clinical", true)
        }
        900..=959 => {
            e.actor = station.clone().map(Actor::Device).unwrap();
            e.rule = "own-ward-scope".to_owned();
            e.purpose = Purpose::Operations;
            note("scope", format!("ess:W{}", dice.roll(12)));
            for k in 0..1 + dice.roll(4) {
                let of = (whose + k) % patients;
                said.push((of, vec![card(of, dice)]));
            }
            ("sync-scope", false)
        }
        960..=979 => {
            e.rule = "secret".to_owned();
            (["sign-in", "sign-out"][dice.roll(2) as usize], false)
        }
        980..=989 => {
            e.rule = "privacy-officer".to_owned();
            e.purpose = Purpose::Compliance;
            note("use", "disclosures".to_owned());
            note("patient", id(1, whose));
            ("read-audit", false)
        }
        990..=996 => {
            e.decision = Decision::Deny;
            e.rule = "no-relationship".to_owned();
            e.patient = Some(patient(whose));
            ("read-chart", false)
        }
        _ => {
            e.purpose = Purpose::BreakGlass;
            e.rule = "clinician-breaks-glass".to_owned();
            e.grant = Some(access);
            note("reason", "life-threatening".to_owned());
            note(
                "words",
                "Found on the floor, does not answer, no papers".to_owned(),
            );
            said.push((whose, vec![card(whose, dice)]));
            ("break-glass", true)
        }
    };
    e.action = action.to_owned();
    let (mut whom, mut resources) = (Vec::new(), Vec::new());
    for (of, shown) in said {
        whom.push(patient(of % patients));
        resources.extend(shown);
    }
    if one {
        e.patient = whom.first().cloned();
    }
    whom.sort();
    whom.dedup();
    e.disclosure = Disclosure {
        total: resources.len() as u64,
        patients: whom,
        resources,
        digest: None,
    };
    e
}

/// Puts the record and the workstations into an empty store.
pub async fn record(h: &Hospital, patients: u64) {
    for first in (0..patients).step_by(100) {
        let mut ops = Vec::new();
        for p in first..patients.min(first + 100) {
            ops.push(person(&id(1, p), "Anna Meyer", "1950", &format!("M{p}")));
            for n in 1..EACH {
                ops.push(put(&key(p, n).to_string(), &note(&id(1, p), "", "x")));
            }
        }
        h.apply(ops).await;
    }
    for n in 0..DEVICES {
        let hash = [u8::try_from(n).unwrap(); 32];
        let code = EnrolCode {
            hash,
            ward: WardId::new("ED").unwrap(),
            site: false,
            until: UtcMs(i64::MAX),
        };
        h.store.put_enrol_code(&h.operator(), code).await.unwrap();
        let new = NewDevice {
            id: device(n),
            name: "desk".to_owned(),
            public_key: vec![1; 32],
        };
        h.store.enrol(hash, new, h.now()).await.unwrap();
    }
}
