//! Two worlds that differ only in what somebody may not see: every answer to that person is the same, byte for byte.
//!
//! Each pair writes other rows into two servers that are otherwise the same: results, notes and problems of another ward's
//! patient (as many and whatever they are), the record of a patient labelled very restricted, and entries labelled so in a
//! record that is open otherwise (as many in both, because how many are withheld is told; type, content, dates and ids
//! differ). Then every question the FHIR and DICOMweb interfaces answer is asked of both. What a request is named by is
//! blanked: the access, the time, and the place where a page goes on, which is a number of the store.
//!
//! `VITRINE_PAIRS` sets the number of pairs; `VITRINE_SEED` the seed.

use crate::app::App;
use crate::cli::acts::operator_request;
use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::http::router;
use crate::identity::sessions;
use crate::ingest::project::FhirProjector;
use crate::keys::Keys;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt as _;
use vitrine_access::policy;
use vitrine_access::{Action, Permit};
use vitrine_clinical::{PatientId, ResourceKey, UserId, UtcMs, WardId};
use vitrine_store::imaging::{Blob, NewInstance};
use vitrine_store::{
    Account, AccountChange, ChangeBatch, ChangeKind, ChangeOp, MemoryStore, Precondition, Store,
};

/// Pairs of one run when `VITRINE_PAIRS` says nothing.
const PAIRS: u64 = 40;
/// Pairs after which both servers begin anew.
const FRESH: u64 = 25;
const AT: UtcMs = UtcMs(1_795_000_000_000);

struct World {
    app: Arc<App>,
    router: Router,
    nurse: String,
    other: String,
    client: String,
}

/// Numbers that are the same for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

fn permit<A: Action>() -> Permit<A> {
    policy::decide(operator_request("root")).unwrap()
}

fn op(r: &Value) -> ChangeOp {
    ChangeOp {
        key: ResourceKey::new(r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap()).unwrap(),
        kind: ChangeKind::Put(r.to_string().into()),
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    }
}

async fn write(app: &App, rows: &[Value], images: Vec<NewInstance>) {
    let batch = ChangeBatch {
        op_id: clock::new_uuid(),
        at: AT,
        ops: rows.iter().map(op).collect(),
        source: "test".to_owned(),
        images,
    };
    app.store.import(&permit(), batch).await.unwrap();
}

fn security(code: &str) -> Value {
    let system = if code.len() == 1 {
        "v3-Confidentiality"
    } else {
        "v3-ActCode"
    };
    json!({"security": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]})
}

fn patient(id: &str, label: Option<&str>) -> Value {
    let mut out = json!({"resourceType": "Patient", "id": id, "active": true, "birthDate": "1970-03-01",
        "identifier": [{"system": "urn:test:mrn", "value": format!("mrn-{id}")}],
        "name": [{"family": "Testperson", "given": ["Una"]}]});
    if let Some(code) = label {
        out["meta"] = security(code);
    }
    out
}

fn placed(id: &str, ward: &str) -> Value {
    json!({"resourceType": "Encounter", "id": format!("{id}-enc"), "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": format!("Patient/{id}")},
        "location": [{"status": "active", "location": {"reference": format!("Location/{ward}")}}]})
}

const WORDS: [&str; 6] = [
    "pneumonia",
    "overdose",
    "fracture",
    "sepsis",
    "delirium",
    "asthma",
];
const KINDS: [&str; 6] = [
    "Observation",
    "Condition",
    "DocumentReference",
    "DiagnosticReport",
    "MedicationRequest",
    "Procedure",
];

/// A row of a record: what it says and when is up to the dice.
fn row(kind: &str, id: &str, of: &str, dice: &mut Dice) -> Value {
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

fn image(patient: &str, study: &str, dice: &mut Dice) -> NewInstance {
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

async fn world(dir: &Path) -> World {
    let dir = DataDir::open(dir, true).unwrap();
    let config = Config::default();
    let keys = Keys::open(&dir, &config.tls, None).unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(FhirProjector), "epoch"));
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
    World {
        nurse: user("nina").await,
        other: user("olaf").await,
        client,
        router: router(app.clone()),
        app,
    }
}

/// What one world gets that the other does not.
struct Forbidden {
    rows: Vec<Value>,
    images: Vec<NewInstance>,
    /// `Type/id` of all of them.
    keys: Vec<String>,
}

fn forbidden(pair: u64, which: u64, (withheld, essential): (u64, u64), dice: &mut Dice) -> Forbidden {
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

/// One question: who asks, method, path, body.
type Question = (&'static str, &'static str, String, Option<String>);

fn general(out: &mut Vec<Question>) {
    let mut get = |who, path: String| out.push((who, "GET", path, None));
    for who in ["nurse", "other", "client"] {
        // What another ward's nurse and a program may see of the patients in between is no secret to them.
        let patients: &[&str] = match who {
            "nurse" => &["pat-ed", "pat-v", "pat-icu", "ghost"],
            "other" => &["pat-ed", "pat-v", "ghost"],
            _ => &["pat-ed", "pat-v", "ghost"],
        };
        for p in patients {
            get(who, format!("/fhir/Patient/{p}"));
            get(who, format!("/fhir/Patient/{p}/_history/1"));
            for count in ["", "?_count=3", "?_count=1"] {
                get(who, format!("/fhir/Patient/{p}/$everything{count}"));
            }
            for kind in ["DocumentReference", "DiagnosticReport"] {
                for word in ["pneumonia", "overdose", "note seen"] {
                    get(
                        who,
                        format!("/fhir/{kind}?patient={p}&_content={}", word.replace(' ', "+")),
                    );
                }
                get(
                    who,
                    format!("/fhir/{kind}?patient={p}&_content=overdose&_count=1"),
                );
            }
            get(who, format!("/emergency/{p}"));
            get(who, format!("/dicomweb/studies?PatientID=mrn-{p}"));
        }
        get(who, "/fhir/Patient?phonetic=Testperson".to_owned());
        get(who, "/fhir/Patient?phonetic=Testperson&_count=1".to_owned());
        get(who, "/fhir/AuditEvent?date=ge2020-01-01".to_owned());
        get(who, "/fhir/Observation?patient=pat-ed".to_owned());
    }
    get("client", "/dicomweb/studies".to_owned());
    get("client", "/dicomweb/studies?limit=1".to_owned());
    get("client", "/dicomweb/studies?limit=1&offset=1".to_owned());
}

fn questions(keys: &[String], dice: &mut Dice) -> Vec<Question> {
    let mut out: Vec<Question> = Vec::new();
    general(&mut out);
    // What was just written is always asked for; of the rest every third question, another one each time.
    out.retain(|_| dice.roll(3) == 0);
    let mut get = |who, path: String| out.push((who, "GET", path, None));
    for key in keys {
        let open_to_client = key.contains("/i-");
        for who in ["nurse", "other", "client"] {
            if (who == "client" || who == "other") && open_to_client {
                continue;
            }
            get(who, format!("/fhir/{key}"));
            get(who, format!("/fhir/{key}/_history/1"));
        }
    }
    for who in ["nurse", "client"] {
        let asked = keys.iter().filter(|k| who == "nurse" || !k.contains("/i-"));
        let entries: Vec<Value> = asked
            .map(|k| json!({"request": {"method": "GET", "url": k}}))
            .collect();
        for kind in ["batch", "transaction"] {
            let body = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
            out.push((who, "POST", "/fhir".to_owned(), Some(body.to_string())));
        }
    }
    out
}

/// What follows `begin` up to the next of `ends` becomes blanks of one length.
fn blanked(text: &str, begin: &str, ends: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begin) {
        out.push_str(before);
        out.push_str(begin);
        out.push('-');
        rest = after.find(ends).map_or("", |i| &after[i..]);
    }
    out.push_str(rest);
    out
}

/// An answer as it is compared, and where it goes on.
async fn ask(w: &World, (who, method, path, body): &Question) -> (String, Option<String>) {
    let token = match *who {
        "nurse" => &w.nurse,
        "other" => &w.other,
        _ => &w.client,
    };
    let request = Request::builder()
        .method(*method)
        .uri(path.as_str())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::HOST, "vitrine.test")
        .header(header::CONTENT_TYPE, "application/fhir+json")
        .body(Body::from(body.clone().unwrap_or_default()))
        .unwrap();
    let answer = w.router.clone().oneshot(request).await.unwrap();
    let mut text = format!("{}\n", answer.status());
    for (name, value) in answer.headers() {
        if *name != header::DATE && *name != header::CONTENT_LENGTH {
            let _ = writeln!(text, "{name}: {}", value.to_str().unwrap());
        }
    }
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let next = body
        .split("\"url\":\"")
        .find(|u| u.contains("_page="))
        .and_then(|u| u.split('"').next());
    let next = next
        .and_then(|u| u.strip_prefix("https://vitrine.test"))
        .map(str::to_owned);
    text.push_str(&body);
    for (begin, ends) in [
        ("\"timestamp\":\"", &['"'][..]),
        ("\"access_id\":\"", &['"']),
        ("\"updated\":\"", &['"']),
        ("_page=", &['"', '&']),
    ] {
        text = blanked(&text, begin, ends);
    }
    (text, next)
}

#[test]
fn what_may_not_be_seen_changes_no_answer() {
    let pairs = std::env::var("VITRINE_PAIRS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(PAIRS);
    let seed = std::env::var("VITRINE_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut asked, mut whole) = (0_u64, 0_u64);
    runtime.block_on(async {
        let mut worlds = None;
        for pair in 0..pairs {
            if pair % FRESH == 0 {
                worlds = Some((world(dir.path()).await, world(dir.path()).await));
            }
            let (a, b) = worlds.as_ref().unwrap();
            let mut dice = Dice((seed << 32) ^ (pair + 1));
            let withheld = (dice.roll(3), dice.roll(8));
            let (one, two) = (
                forbidden(pair, 1, withheld, &mut dice),
                forbidden(pair, 2, withheld, &mut dice),
            );
            write(&a.app, &one.rows, one.images.clone()).await;
            write(&b.app, &two.rows, two.images.clone()).await;
            let keys: Vec<String> = one.keys.iter().chain(&two.keys).cloned().collect();
            for question in questions(&keys, &mut dice) {
                let mut question = question;
                // A record in pages is followed to its end.
                for _ in 0..60 {
                    let (left, next) = ask(a, &question).await;
                    let (right, other) = ask(b, &question).await;
                    asked += 1;
                    whole += u64::from(left.starts_with("200"));
                    assert_eq!(left, right, "pair {pair}: {question:?}");
                    assert_eq!(next.is_some(), other.is_some());
                    let (Some(next), Some(other)) = (next, other) else {
                        break;
                    };
                    // Each world goes on where it says itself; the tokens may differ.
                    let (left, _) = ask(a, &(question.0, "GET", next.clone(), None)).await;
                    let (right, _) = ask(b, &(question.0, "GET", other, None)).await;
                    assert_eq!(left, right, "pair {pair}: {next}");
                    question.2 = next;
                }
            }
        }
    });
    println!("{pairs} pairs, {asked} questions, {whole} answered with data");
    assert!(
        whole > pairs * 8 && asked > whole,
        "{asked} asked, {whole} answered"
    );
}

/// Asks for a purpose; gives status, body and the last row of the audit log.
async fn stated(w: &World, token: &str, path: &str, purpose: Option<&str>) -> (u16, String, Value) {
    let mut request = Request::builder()
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::HOST, "vitrine.test");
    if let Some(purpose) = purpose {
        request = request.header("X-Purpose-Of-Use", purpose);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = w.router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let rows = w.app.store.rows(&permit(), "server", 0, 1_000).await.unwrap();
    let row = serde_json::from_str(&rows.last().unwrap().row.body).unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), row)
}

#[test]
fn what_is_withheld_is_said_opens_in_an_emergency_and_the_purpose_is_written_down() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let w = world(dir.path()).await;
        let mut secret = row("Condition", "secret", "pat-ed", &mut Dice(3));
        secret["meta"] = security("V");
        secret["code"]["text"] = "Opioid overdose".into();
        write(&w.app, &[secret], Vec::new()).await;
        let all = "/fhir/Patient/pat-ed/$everything";

        let (status, body, seen) = stated(&w, &w.nurse, all, None).await;
        assert_eq!(status, 200);
        assert!(
            body.contains("1 entry is withheld by confidentiality") && body.contains("ETREAT"),
            "{body}"
        );
        assert!(!body.contains("Opioid"), "{body}");
        assert!(body.contains("\"total\":17"), "{body}");
        assert_eq!(
            (&seen["purpose"], &seen["rule"]),
            (&json!("TREAT"), &json!("own-ward-patient"))
        );
        assert!(!seen.to_string().contains("secret"), "{seen}");
        let (status, body, denied) = stated(&w, &w.nurse, "/fhir/Condition/secret", None).await;
        assert_eq!((status, &denied["rule"]), (403, &json!("withheld-by-label")));
        assert!(
            body.contains("\"suppressed\"") && body.contains("ETREAT"),
            "{body}"
        );
        assert_eq!(denied["decision"], "deny");
        assert_eq!(stated(&w, &w.client, "/fhir/Condition/secret", None).await.0, 404);

        // Stated purposes narrow, and stand in the row.
        let one = "/fhir/Observation/seen-0";
        for (token, purpose, status, rule) in [
            (&w.nurse, "TREAT", 200, "own-ward-patient"),
            (&w.nurse, "ETREAT", 403, "purpose-needs-a-grant"),
            (&w.nurse, "HRESCH", 403, "purpose-does-not-fit"),
            (&w.client, "HPAYMT", 200, "client-scope"),
            (&w.client, "BTG", 403, "purpose-does-not-fit"),
        ] {
            let (is, body, row) = stated(&w, token, one, Some(purpose)).await;
            assert_eq!((is, &row["rule"]), (status, &json!(rule)), "{purpose}: {body}");
            let code = if purpose == "ETREAT" { "BTG" } else { purpose };
            assert_eq!(row["purpose"], code);
        }
        assert_eq!(stated(&w, &w.nurse, one, Some("CURIOUS")).await.0, 400);

        // The glass is broken.
        let now = clock::now();
        let grant = vitrine_access::Grant {
            id: clock::new_access(),
            user: UserId::new("nina").unwrap(),
            device: None,
            patient: PatientId::new("pat-ed").unwrap(),
            reason: vitrine_access::grant::Reason::LifeThreatening,
            words: None,
            at: now.plus_ms(-1_000),
            until: now.plus_ms(vitrine_access::grant::GRANT_MS),
            offline: false,
            declared: None,
        };
        w.app.note_grant(vitrine_store::GrantRow::new(grant, now));
        let (status, body, row) = stated(&w, &w.nurse, all, None).await;
        assert!(
            status == 200 && body.contains("Opioid overdose") && !body.contains("withheld"),
            "{body}"
        );
        assert_eq!(
            (&row["purpose"], &row["rule"]),
            (&json!("BTG"), &json!("break-glass-grant"))
        );
        assert_eq!(stated(&w, &w.nurse, one, Some("ETREAT")).await.0, 200);
    });
}
