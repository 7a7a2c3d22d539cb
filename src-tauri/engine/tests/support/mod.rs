//! A workstation's profile planted without a server: keys, staff, cards, boards, records.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod small_disk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vitrine_clinical::PatientId;
use vitrine_clinical::card::{CardFact, CriticalItem, EmergencyCard, Place, labelled_card};
use vitrine_clinical::label::Label;
use vitrine_clinical::{ResourceKey, UtcMs, WardId};
use vitrine_engine::clock::Clock;
use vitrine_engine::keys::{Dek, DeviceKey, FileSealer, SlotKind, Slots, hash_pin};
use vitrine_engine::profile::{DeviceFile, PROFILE_VERSION, Profile};
use vitrine_engine::{Options, Workstation, cache};
use vitrine_store::labels;
use vitrine_store_sqlcipher::Key;
use vitrine_store_sqlcipher::workstation::{Essentials, Incoming, Prepared, Records};
use vitrine_wire::http::{BoardItem, DirUser, LoginResponse};
use vitrine_wire::message::{ProviderIn, WaysIn};

/// Somebody on the staff list: name, role, ward, PIN.
pub const STAFF: [(&str, &str, &str, &str); 6] = [
    ("lee", "physician", "ED", "482915"),
    ("rao", "nurse", "ICU", "271828"),
    ("quill", "privacy-officer", "", "314159"),
    ("gone", "nurse", "ED", "161803"),
    ("emergency-001", "emergency-account", "", "48219356"),
    ("emergency-002", "emergency-account", "", "70315528"),
];

/// The key of badges, and whose the badges are here.
pub const BADGE_KEY: [u8; 32] = [7; 32];
pub const BADGES: [(&str, &str); 4] = [
    ("lee", "04A1B2C3D4E580"),
    ("rao", "1012345678"),
    ("rao", "950110153000120002"),
    ("gone", "04FFFFFF"),
];

fn badges(user: &str) -> Vec<String> {
    let of = BADGES.iter().filter(|(u, _)| *u == user);
    of.map(|(_, n)| vitrine_wire::digest::badge(&BADGE_KEY, n))
        .collect()
}

/// One planted patient.
#[derive(Debug, Clone)]
pub struct Planted {
    pub id: String,
    pub family: String,
    pub given: String,
    pub mrn: String,
    pub born: String,
    pub ward: Option<String>,
    /// The number on the band.
    pub gsrn: Option<String>,
    /// Further resources.
    pub more: Vec<(String, String)>,
}

impl Planted {
    pub fn new(id: &str, family: &str, given: &str, mrn: &str, born: &str, ward: Option<&str>) -> Self {
        Self {
            id: id.into(),
            family: family.into(),
            given: given.into(),
            mrn: mrn.into(),
            born: born.into(),
            ward: ward.map(Into::into),
            gsrn: None,
            more: Vec::new(),
        }
    }

    /// With a band of this number.
    pub fn wears(mut self, gsrn: &str) -> Self {
        self.gsrn = Some(gsrn.to_owned());
        self
    }

    /// The patient's resources as FHIR JSON: the patient, an allergy, a medicine, a condition, labs.
    pub fn resources(&self) -> Vec<(String, String)> {
        let (id, family, given, mrn, born) = (&self.id, &self.family, &self.given, &self.mrn, &self.born);
        let band = self.gsrn.as_ref().map_or_else(String::new, |n| {
            format!(r#",{{"system":"urn:oid:2.51.1.7","value":"{n}"}}"#)
        });
        let mut all = vec![
            (
                format!("Patient/{id}"),
                format!(
                    r#"{{"resourceType":"Patient","id":"{id}","identifier":[{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}}]}},"value":"{mrn}"}}{band}],"name":[{{"family":"{family}","given":["{given}"]}}],"gender":"female","birthDate":"{born}"}}"#
                ),
            ),
            (
                format!("AllergyIntolerance/a-{id}"),
                format!(
                    r#"{{"resourceType":"AllergyIntolerance","id":"a-{id}","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}}]}},"verificationStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"confirmed"}}]}},"code":{{"coding":[{{"system":"http://snomed.info/sct","code":"764146007","display":"Penicillin"}}],"text":"penicillin"}},"patient":{{"reference":"Patient/{id}"}},"reaction":[{{"manifestation":[{{"text":"anaphylaxis"}}],"severity":"severe"}}]}}"#
                ),
            ),
            (
                format!("MedicationRequest/m-{id}"),
                format!(
                    r#"{{"resourceType":"MedicationRequest","id":"m-{id}","status":"active","intent":"order","medicationCodeableConcept":{{"text":"warfarin"}},"subject":{{"reference":"Patient/{id}"}},"authoredOn":"2026-01-02","dosageInstruction":[{{"text":"once a day","doseAndRate":[{{"doseQuantity":{{"value":3,"unit":"mg"}}}}]}}]}}"#
                ),
            ),
            (
                format!("Condition/c-{id}"),
                format!(
                    r#"{{"resourceType":"Condition","id":"c-{id}","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}}]}},"code":{{"text":"Atrial fibrillation"}},"subject":{{"reference":"Patient/{id}"}}}}"#
                ),
            ),
        ];
        for n in 0..6 {
            all.push((format!("Observation/o{n}-{id}"), format!(r#"{{"resourceType":"Observation","id":"o{n}-{id}","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"2823-3","display":"Potassium"}}]}},"subject":{{"reference":"Patient/{id}"}},"effectiveDateTime":"2026-11-1{n}T08:00:00Z","valueQuantity":{{"value":4.{n}0,"unit":"mmol/L"}}}}"#)));
        }
        all.extend(self.more.iter().cloned());
        all
    }

    pub fn card(&self) -> EmergencyCard {
        let facts: Vec<(CardFact, Label)> = self
            .resources()
            .into_iter()
            .map(|(key, body)| {
                let key = ResourceKey::parse(&key).unwrap();
                let resource = vitrine_fhir::read(key.kind.as_str(), body.as_bytes(), &mut |_| None).unwrap();
                let fact = CardFact {
                    key,
                    version: 1,
                    resource,
                };
                (fact, labels::of_body(body.as_bytes()))
            })
            .collect();
        let mut card = labelled_card(&PatientId::new(self.id.as_str()).unwrap(), facts);
        card.place = self.ward.as_deref().map(place);
        for less in &mut card.reduced {
            less.card.place.clone_from(&card.place);
        }
        card
    }
}

pub fn place(ward: &str) -> Place {
    Place {
        ward: Some(WardId::new(ward).unwrap()),
        ward_name: Some(format!("{ward} ward")),
        bed: Some("4".into()),
        class: Some("EMER".into()),
        reason: Some("Chest pain".into()),
        since: Some(UtcMs(1_795_000_000_000)),
        encounter: None,
        acuity: Some("2".into()),
    }
}

pub fn people() -> Vec<Planted> {
    vec![
        Planted::new("p1", "Jones", "Mary", "44710932", "1958-02-04", Some("ED")),
        Planted::new("p2", "Li", "Wei", "10023345", "1964-03-12", Some("ICU")),
        Planted::new("p3", "Lindqvist", "Åse", "10023399", "1964-12-03", Some("ICU")),
        Planted::new("p4", "O'Brien", "Nóra", "77", "2001-07-30", None),
        Planted::new("p5", "Smyth", "Joan", "555001", "1967-05", Some("ED")),
        Planted::new("p6", "Smith", "John", "555002", "1965-03-12", Some("ED")),
    ]
}

/// A planted profile.
#[derive(Clone)]
pub struct Profiled {
    pub dir: PathBuf,
    pub device: String,
}

fn db_key(dek: &Dek) -> Key {
    Key::new((*dek.bytes()).into())
}

pub fn options() -> Options {
    Options {
        sync: false,
        ballast_bytes: 1 << 20,
        idle_lock: Duration::from_secs(120),
        ..Options::default()
    }
}

/// Plants a profile at `dir` with these patients in `ess:ED`, boards and the staff list.
pub fn plant(dir: &Path, people: &[Planted]) -> Profiled {
    plant_at(dir, people, Clock::new().wall().0)
}

/// The same, as the server confirmed it then, ms.
pub fn plant_at(dir: &Path, people: &[Planted], now: i64) -> Profiled {
    let profile = Profile::at(dir).unwrap();
    let sealer = FileSealer::new(dir);
    let key = DeviceKey::create(&profile.device_key(), &sealer).unwrap();
    let device = "dev-1".to_owned();
    let (_, deks) = Slots::create(&profile.slots(), &device, key.dk()).unwrap();
    let e = Essentials::open(&profile.essentials(), &db_key(&deks.essentials), cache::open_fold).unwrap();

    let mut cards: Vec<(String, Vec<u8>)> = people
        .iter()
        .map(|p| (p.id.clone(), serde_json::to_vec(&p.card()).unwrap()))
        .collect();
    cards.sort();
    stage(&e, "ess:ED", &cards, true, now);
    let boards: Vec<(String, Vec<u8>)> = people
        .iter()
        .filter(|p| p.ward.as_deref() == Some("ED"))
        .map(|p| {
            let card = p.card();
            let item = BoardItem {
                identity: card.identity,
                place: place("ED"),
                allergies: card.allergies.state,
                flags: vec![],
                code_status: None,
                critical: card
                    .critical
                    .map(|all| all.iter().map(CriticalItem::mark).collect()),
                news2: None,
            };
            (p.id.clone(), serde_json::to_vec(&item).unwrap())
        })
        .collect();
    stage(&e, "board:ED", &boards, false, now);
    let mut staff: Vec<(String, Vec<u8>)> = STAFF
        .iter()
        .map(|(user, role, ward, pin)| {
            let d = DirUser {
                user: (*user).into(),
                display: format!("Dr {}", user.to_uppercase()),
                role: (*role).into(),
                wards: if ward.is_empty() {
                    vec![]
                } else {
                    vec![(*ward).into()]
                },
                pin_phc: Some(hash_pin(pin, b"0123456789abcdef").unwrap()),
                disabled: *user == "gone",
                badges: badges(user),
                password_mark: None,
            };
            (format!("user/{user}"), serde_json::to_vec(&d).unwrap())
        })
        .collect();
    staff.sort();
    stage(&e, "dir", &staff, false, now);
    let ways = WaysIn {
        badge_key: vitrine_engine::entropy::hex(&BADGE_KEY),
        provider: None,
    };
    e.set_note("ways-in", &serde_json::to_string(&ways).unwrap())
        .unwrap();
    write_device(&profile, &device);
    Profiled {
        dir: dir.to_owned(),
        device,
    }
}

pub fn write_device(profile: &Profile, device: &str) {
    profile
        .write_device(&DeviceFile {
            version: PROFILE_VERSION,
            server: "https://127.0.0.1:1".into(),
            device: device.into(),
            name: "ED-07".into(),
            ward: "ED".into(),
            site: false,
            server_key: String::new(),
            demo: true,
            revoked: false,
        })
        .unwrap();
    std::fs::write(profile.ca(), "").unwrap();
}

pub fn stage(e: &Essentials, scope: &str, items: &[(String, Vec<u8>)], searchable: bool, now: i64) {
    e.begin(scope, "epoch-1", 7, 0).unwrap();
    for part in items.chunks(500) {
        let prepared: Vec<Prepared> = part
            .iter()
            .map(|(key, body)| {
                let terms = if searchable {
                    cache::card_words(body)
                } else {
                    String::new()
                };
                Prepared::new(&Incoming {
                    key,
                    ver: 3,
                    version: None,
                    body: Some(body),
                    terms: &terms,
                })
            })
            .collect();
        e.stage(scope, &prepared).unwrap();
    }
    e.finish(scope, "epoch-1", 7, 0).unwrap();
    e.seen(&[(scope.to_owned(), 7)], now).unwrap();
}

/// The keys of a planted profile, as only its own program gets them.
pub fn keys(p: &Profiled) -> (DeviceKey, Slots, vitrine_engine::keys::DeviceDeks) {
    let profile = Profile::at(&p.dir).unwrap();
    let key = DeviceKey::open(&profile.device_key(), &FileSealer::new(&p.dir)).unwrap();
    let (slots, deks) = Slots::open(&profile.slots(), &p.device, key.dk()).unwrap();
    (key, slots, deks)
}

pub fn essentials(p: &Profiled) -> Essentials {
    let (_, _, deks) = keys(p);
    Essentials::open(
        &p.dir.join("essentials.db"),
        &db_key(&deks.essentials),
        cache::open_fold,
    )
    .unwrap()
}

pub fn outbox(p: &Profiled) -> vitrine_store_sqlcipher::workstation::Outbox {
    let (_, _, deks) = keys(p);
    vitrine_store_sqlcipher::workstation::Outbox::open(&p.dir.join("outbox.db"), &db_key(&deks.outbox))
        .unwrap()
}

/// Gives a user a slot with records of these patients.
pub fn give_records(p: &Profiled, user: &str, secret: &str, kind: SlotKind, people: &[Planted]) -> PathBuf {
    let (key, mut slots, _) = keys(p);
    let (dek, slot, _) = slots.enrol_user(user, kind, secret, key.dk(), None).unwrap();
    let path = p.dir.join(&slot.records);
    let r = Records::open(&path, &db_key(&dek), cache::open_fold).unwrap();
    let now = Clock::new().wall().0;
    for person in people {
        let scope = format!("pat:{}", person.id);
        let mut items = person.resources();
        items.sort();
        r.begin(&scope, "epoch-1", 7, 10).unwrap();
        let prepared: Vec<Prepared> = items
            .iter()
            .map(|(k, b)| {
                Prepared::new(&Incoming {
                    key: k,
                    ver: 10,
                    version: Some(2),
                    body: Some(b.as_bytes()),
                    terms: "",
                })
            })
            .collect();
        r.stage(&scope, &prepared).unwrap();
        r.finish(&scope, "epoch-1", 7, 10).unwrap();
        r.seen(&[(scope, 7)], now).unwrap();
    }
    path
}

/// Gives a user a slot with these resources as one patient's record.
pub fn give_resources(p: &Profiled, user: &str, secret: &str, patient: &str, resources: &[(String, String)]) {
    let (key, mut slots, _) = keys(p);
    let (dek, slot, _) = slots
        .enrol_user(user, SlotKind::Pin, secret, key.dk(), None)
        .unwrap();
    let r = Records::open(&p.dir.join(&slot.records), &db_key(&dek), cache::open_fold).unwrap();
    let scope = format!("pat:{patient}");
    r.begin(&scope, "epoch-1", 7, 10).unwrap();
    for part in resources.chunks(2_000) {
        let items: Vec<Prepared> = part
            .iter()
            .map(|(k, b)| {
                Prepared::new(&Incoming {
                    key: k,
                    ver: 10,
                    version: Some(2),
                    body: Some(b.as_bytes()),
                    terms: "",
                })
            })
            .collect();
        r.stage(&scope, &items).unwrap();
    }
    r.finish(&scope, "epoch-1", 7, 10).unwrap();
    r.seen(&[(scope, 7)], Clock::new().wall().0).unwrap();
}

pub fn open(p: &Profiled) -> Workstation {
    Workstation::open(&p.dir, options()).unwrap()
}

pub fn station() -> (tempfile::TempDir, Profiled, Workstation) {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let ws = open(&p);
    (dir, p, ws)
}

pub fn pin(user: &str) -> &'static str {
    STAFF.iter().find(|s| s.0 == user).unwrap().3
}

pub fn with_pin(user: &str, secret: &str, patient: &str) -> vitrine_engine::BreakGlass {
    vitrine_engine::BreakGlass {
        patient: patient.into(),
        reason: "life-threatening".into(),
        words: None,
        identity: vitrine_engine::Identity::UserSecret {
            user: user.into(),
            secret: secret.to_owned().into(),
            badge: None,
        },
    }
}

/// Runs a future on a runtime of its own.
pub fn block<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(f)
}

/// A server that lets in whoever signs in, once, with this answer; the profile's own server from now on.
pub fn admitting(p: &Profiled, answer: &LoginResponse) -> std::thread::JoinHandle<()> {
    let answers = vec![("/auth/login", 200, serde_json::to_value(answer).unwrap())];
    let server = answering(p, answers);
    std::thread::spawn(move || {
        server.join().unwrap();
    })
}

/// A server that is asked for these things, in this order, and answers so; then it is gone. Gives what it was asked, with the
/// bodies. The profile's own server from now on.
pub fn answering(
    p: &Profiled,
    answers: Vec<(&'static str, u16, serde_json::Value)>,
) -> std::thread::JoinHandle<Vec<serde_json::Value>> {
    answering_after(p, answers, || ())
}

/// The same; each time, this happens after it was asked and before it answers.
pub fn answering_after(
    p: &Profiled,
    answers: Vec<(&'static str, u16, serde_json::Value)>,
    meanwhile: impl Fn() + Send + 'static,
) -> std::thread::JoinHandle<Vec<serde_json::Value>> {
    use std::io::{Read as _, Write as _};
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let profile = Profile::at(&p.dir).unwrap();
    let device = profile.read_device().unwrap().unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    profile.write_device(&DeviceFile { server, ..device }).unwrap();
    std::fs::write(profile.ca(), made.cert.pem()).unwrap();

    let config = Arc::new(config);
    std::thread::spawn(move || {
        let mut heard = Vec::new();
        for (path, status, body) in answers {
            let (socket, _) = listener.accept().unwrap();
            let line = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut line = rustls::StreamOwned::new(line, socket);
            let mut asked = Vec::new();
            let mut part = [0; 4096];
            // What is asked is one short JSON object after the head.
            while !asked.ends_with(b"}") {
                let n = line.read(&mut part).unwrap();
                assert!(n > 0, "the request ended early");
                asked.extend_from_slice(&part[..n]);
            }
            assert!(asked.starts_with(format!("POST {path} ").as_bytes()));
            let begins = asked.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            heard.push(serde_json::from_slice(&asked[begins..]).unwrap());
            meanwhile();
            let body = serde_json::to_vec(&body).unwrap();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            line.write_all(head.as_bytes()).unwrap();
            line.write_all(&body).unwrap();
            line.conn.send_close_notify();
            line.flush().unwrap();
        }
        heard
    })
}

/// The profile's server from now on; nobody proves to be it.
pub fn server_at(p: &Profiled, server: &str) {
    let profile = Profile::at(&p.dir).unwrap();
    let device = profile.read_device().unwrap().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = server.to_owned();
    profile.write_device(&DeviceFile { server, ..device }).unwrap();
    std::fs::write(profile.ca(), made.cert.pem()).unwrap();
}

/// The hospital's provider as the server said it last: the way in, or one of them.
pub fn provider(p: &Profiled, required: bool) {
    let ways = WaysIn {
        badge_key: vitrine_engine::entropy::hex(&BADGE_KEY),
        provider: Some(ProviderIn {
            name: "Hospital ID".to_owned(),
            required,
        }),
    };
    let text = serde_json::to_string(&ways).unwrap();
    essentials(p).set_note("ways-in", &text).unwrap();
}

pub type Shared = Arc<Profiled>;

/// Random choices that a seed repeats.
pub struct Dice(pub u64);

impl Dice {
    /// One of 0 to `n` − 1.
    pub fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    /// One of these.
    pub fn of<'t, T>(&mut self, some: &'t [T]) -> &'t T {
        &some[usize::try_from(self.roll(some.len() as u64)).unwrap()]
    }
}
