//! A random walk through the server by its own interfaces: what was received or written equals the rows of the audit log
//! exactly. None is missing, none is too many, ids and versions are those that came.
//!
//! `VITRINE_ACCESSES`: how many (300 unless it says otherwise). `VITRINE_ACCESS_SEED`: where the dice begin.

mod harness;
use harness::browser::Browser;
use harness::command::{add_user, password};
use harness::images::{Made, RELATED, parts, related};
use harness::line::Line;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vitrine_wire::message::{ServerMessage, Sub};

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn of<'t, T>(&mut self, some: &'t [T]) -> &'t T {
        &some[self.roll(some.len() as u64) as usize]
    }
}

/// What one row has to say. A request for an image reads the store twice, study and instances, and each read is an access.
#[derive(Debug, PartialEq)]
struct Due {
    /// The access as the walk calls it.
    how: &'static str,
    act: &'static str,
    permit: bool,
    who: String,
    /// Ids with versions, sorted.
    shown: Vec<(String, u64)>,
}

struct Walk {
    s: Server,
    program: String,
    narrow: String,
    nurse: String,
    privacy: String,
    console: Browser,
    device: Device,
    dice: Dice,
    due: Vec<Due>,
    /// Accesses of each kind.
    done: BTreeMap<&'static str, u64>,
    versions: BTreeMap<String, u64>,
    slices: Vec<Made>,
}

const PATIENTS: [(&str, &str); 4] = [("p1", "ED"), ("p2", "ICU"), ("p3", "ED"), ("p4", "ED")];

/// A resource as it came, with its version.
fn came(r: &Value) -> (String, u64) {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    (
        format!("{}/{}", text(&r["resourceType"]), text(&r["id"])),
        r["meta"]["versionId"].as_str().unwrap().parse().unwrap(),
    )
}

fn entries(page: &Value) -> Vec<(String, u64)> {
    let all = page["entry"].as_array().cloned().unwrap_or_default();
    let real = all
        .iter()
        .filter(|e| e["resource"]["resourceType"] != "OperationOutcome");
    real.map(|e| came(&e["resource"])).collect()
}

impl Walk {
    async fn ask(&self, path: &str, token: &str, accept: &str) -> (u16, String, Vec<u8>) {
        let asked = self.s.get(path).bearer_auth(token).header("accept", accept);
        let answer = asked.send().await.unwrap();
        let media = answer.headers().get("content-type").cloned();
        let media = media.map_or(String::new(), |m| m.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            media,
            answer.bytes().await.unwrap().to_vec(),
        )
    }

    async fn json(&self, path: &str, token: &str) -> (u16, Value) {
        let (status, _, body) = self
            .ask(path, token, "application/json, application/fhir+json")
            .await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn due(
        &mut self,
        how: &'static str,
        act: &'static str,
        permit: bool,
        who: &str,
        shown: Vec<(String, u64)>,
    ) {
        let mut shown = shown;
        shown.sort();
        self.due.push(Due {
            how,
            act,
            permit,
            who: who.to_owned(),
            shown,
        });
    }

    async fn put(&mut self, id: &str, owner: &str) {
        let key = format!("Observation/{id}");
        let n = self.due.len();
        let asked = self
            .s
            .put(&format!("/fhir/{key}"))
            .bearer_auth(&self.program)
            .header("content-type", "application/fhir+json")
            .body(observation(Some(id), owner, &format!("{n}.5")));
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        let version: u64 = etag.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        self.versions.insert(key.clone(), version);
        self.due("write", "write-clinical", true, "client", vec![(key, version)]);
    }

    async fn step(&mut self) {
        let (patient, ward) = *self.dice.of(&PATIENTS);
        let observed = format!("o{}", self.dice.roll(25));
        let (program, nurse) = (self.program.clone(), self.nurse.clone());
        let kind = self.dice.roll(21);
        let how = match kind {
            0 | 1 => {
                let (status, r) = self.json(&format!("/fhir/Patient/{patient}"), &program).await;
                assert_eq!(status, 200);
                self.due("read", "read-resource", true, "client", vec![came(&r)]);
                "read"
            }
            2 => {
                let (status, r) = self.json(&format!("/fhir/Patient/{patient}"), &nurse).await;
                let own = ward == "ED";
                assert_eq!(status, if own { 200 } else { 403 }, "{r}");
                let shown = if own { vec![came(&r)] } else { vec![] };
                self.due("read by a nurse", "read-resource", own, "nina", shown);
                "read by a nurse"
            }
            3 => {
                let token = self.narrow.clone();
                let (status, _) = self.json(&format!("/fhir/Patient/{patient}"), &token).await;
                assert_eq!(status, 403);
                self.due("denied", "read-resource", false, "client", vec![]);
                "denied"
            }
            4 => {
                self.put(&observed, patient).await;
                "write"
            }
            5 => {
                // What is not there has a row that says so by naming nothing.
                let (status, r) = self
                    .json(&format!("/fhir/Observation/{observed}"), &program)
                    .await;
                let shown = if status == 200 { vec![came(&r)] } else { vec![] };
                assert_eq!(
                    shown.is_empty(),
                    !self.versions.contains_key(&format!("Observation/{observed}"))
                );
                self.due("read of one", "read-resource", true, "client", shown);
                "read of one"
            }
            6 => {
                let key = format!("Observation/{observed}");
                let newest = self.versions.get(&key).copied().unwrap_or(1);
                let version = 1 + self.dice.roll(newest);
                let (status, r) = self
                    .json(&format!("/fhir/{key}/_history/{version}"), &program)
                    .await;
                let shown = if status == 200 { vec![came(&r)] } else { vec![] };
                assert_eq!(status == 200, self.versions.contains_key(&key));
                self.due("vread", "read-resource", true, "client", shown);
                "vread"
            }
            7 | 8 => {
                let size = [2, 5, 1_000][self.dice.roll(3) as usize];
                let (token, who) = if kind == 7 && ward == "ED" {
                    (nurse, "nina")
                } else {
                    (program, "client")
                };
                let mut path = format!("/fhir/Patient/{patient}/$everything?_count={size}");
                loop {
                    let (status, page) = self.json(&path, &token).await;
                    assert_eq!(status, 200, "{page}");
                    self.due("$everything", "read-chart", true, who, entries(&page));
                    let next = page["link"]
                        .as_array()
                        .and_then(|l| l.iter().find(|l| l["relation"] == "next").cloned());
                    let Some(next) = next else { break };
                    let url = next["url"].as_str().unwrap();
                    path = url[url.find("/fhir").unwrap()..].to_owned();
                }
                "$everything"
            }
            9 => {
                let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": (0..3).map(|n| json!({
                    "resource": serde_json::from_str::<Value>(&observation(None, patient, &format!("{n}.5"))).unwrap(),
                    "request": {"method": "POST", "url": "Observation"}})).collect::<Vec<_>>()});
                let (status, answer) = self.s.fhir(&program, "/fhir", bundle.to_string()).await;
                assert_eq!(status, 200, "{answer}");
                let written = answer["entry"].as_array().unwrap().iter().map(|e| {
                    let place = e["response"]["location"].as_str().unwrap();
                    let (key, version) = place.split_once("/_history/").unwrap();
                    (
                        key.trim_start_matches("/fhir/").to_owned(),
                        version.parse().unwrap(),
                    )
                });
                let written = written.collect();
                self.due("transaction", "write-clinical", true, "client", written);
                "transaction"
            }
            10 => {
                let (status, found) = self
                    .json("/fhir/Patient?phonetic=Testperson&_count=3", &program)
                    .await;
                assert_eq!(status, 200, "{found}");
                let ids: Vec<String> = found["entry"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|e| e["resource"]["resourceType"] == "Patient")
                    .map(|e| e["resource"]["id"].as_str().unwrap().to_owned())
                    .collect();
                // Identity alone is shown, without a version: it is that of the card, which is asked for next.
                let mut cards = Vec::new();
                for id in &ids {
                    let (status, card) = self.json(&format!("/emergency/{id}"), &program).await;
                    assert_eq!(status, 200, "{card}");
                    cards.push((id.clone(), card["version"].as_u64().unwrap()));
                }
                let shown = cards.iter().map(|(id, v)| (format!("Patient/{id}"), *v));
                self.due("search", "search-patients", true, "client", shown.collect());
                for (id, v) in cards {
                    let shown = vec![(format!("EmergencyCard/{id}"), v)];
                    self.due("card of one found", "read-card", true, "client", shown);
                }
                "search"
            }
            11 => {
                let (status, card) = self.json(&format!("/emergency/{patient}"), &program).await;
                assert_eq!(status, 200, "{card}");
                let version = card["version"].as_u64().unwrap();
                self.due(
                    "card",
                    "read-card",
                    true,
                    "client",
                    vec![(format!("EmergencyCard/{patient}"), version)],
                );
                "card"
            }
            12 => {
                let study = self.slices[0].study;
                let one = self.dice.of(&self.slices).clone();
                let at = format!(
                    "/dicomweb/studies/{study}/series/{}/instances/{}",
                    one.series_uid(),
                    one.uid()
                );
                let (path, accept) = [
                    (format!("{at}/thumbnail"), "image/jpeg"),
                    (format!("{at}/rendered"), "image/jpeg"),
                    (format!("{at}/frames/1"), "*/*"),
                ][self.dice.roll(3) as usize]
                    .clone();
                let (status, _, body) = self.ask(&path, &nurse, accept).await;
                assert!(status == 200 && !body.is_empty(), "{path}: {status}");
                let shown = vec![(format!("DicomInstance/{}", one.uid()), 1)];
                self.due("picture", "read-chart", true, "nina", shown);
                self.due(
                    "its study",
                    "read-chart",
                    true,
                    "nina",
                    vec![(format!("DicomStudy/{study}"), 1)],
                );
                "picture"
            }
            13 => {
                let one = self.dice.of(&self.slices).clone();
                let path = format!("/dicomweb/studies/{}/series/{}", one.study, one.series_uid());
                let (status, media, body) = self
                    .ask(&path, &nurse, "multipart/related; type=\"application/dicom\"")
                    .await;
                assert_eq!(status, 200);
                let got = parts(&media, &body);
                let mine = self.slices.iter().filter(|m| got.contains(&m.bytes()));
                let shown: Vec<_> = mine.map(|m| (format!("DicomInstance/{}", m.uid()), 1)).collect();
                assert_eq!(shown.len(), got.len(), "every object is one that was sent");
                self.due(
                    "the study",
                    "read-chart",
                    true,
                    "nina",
                    vec![(format!("DicomStudy/{}", one.study), 1)],
                );
                self.due("objects", "read-chart", true, "nina", shown);
                "objects"
            }
            14 => {
                let (status, _, body) = self
                    .ask(
                        "/dicomweb/studies?PatientID=mrn-p1",
                        &program,
                        "application/dicom+json",
                    )
                    .await;
                assert_eq!(status, 200);
                let found: Value = serde_json::from_slice(&body).unwrap();
                let uid = |s: &Value| s["0020000D"]["Value"][0].as_str().unwrap().to_owned();
                let shown = found
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|s| (format!("DicomStudy/{}", uid(s)), 1))
                    .collect();
                self.due("studies", "search-patients", true, "client", shown);
                "studies"
            }
            15 => {
                let device = self.device.clone();
                let mut line = Line::enrolled(&self.s, &device).await;
                let scope = "ess:ED".to_owned();
                line.say(Sub {
                    scope,
                    n: 1,
                    have: None,
                    resume: None,
                })
                .await;
                let mut cards = Vec::new();
                loop {
                    match line.hear().await.expect("the line holds") {
                        ServerMessage::SnapChunk(c) => {
                            cards.extend(
                                c.items
                                    .iter()
                                    .map(|i| (format!("EmergencyCard/{}", i.key), i.ver)),
                            );
                        }
                        ServerMessage::SnapEnd(_) => break,
                        _ => {}
                    }
                }
                // The scope is allowed in a row of its own, then each page has one.
                let who = device.id.clone();
                self.due("scope", "sync-scope", true, &who, vec![]);
                self.due("cards of a ward", "sync-scope", true, &who, cards);
                "cards of a ward"
            }
            16 => {
                let token = self.privacy.clone();
                let (status, found) = self.json("/fhir/AuditEvent?_count=5", &token).await;
                assert_eq!(status, 200, "{found}");
                self.due("audit log", "read-audit", true, "petra", vec![]);
                "audit log"
            }
            17 => {
                let one = self.dice.of(&self.slices).clone();
                let path = format!(
                    "/dicomweb/studies/{}/series/{}/metadata",
                    one.study,
                    one.series_uid()
                );
                let (status, _, body) = self.ask(&path, &nurse, "application/dicom+json").await;
                assert_eq!(status, 200);
                let found: Value = serde_json::from_slice(&body).unwrap();
                let uid = |i: &Value| i["00080018"]["Value"][0].as_str().unwrap().to_owned();
                let all = found.as_array().unwrap().iter();
                let shown: Vec<_> = all.map(|i| (format!("DicomInstance/{}", uid(i)), 1)).collect();
                assert!(!shown.is_empty(), "{path}: {found}");
                let of = vec![(format!("DicomStudy/{}", one.study), 1)];
                self.due("study of the metadata", "read-chart", true, "nina", of);
                self.due("metadata", "read-chart", true, "nina", shown);
                "metadata"
            }
            18 => {
                let about = ["", "?user=nina", "?patient=p1"][self.dice.roll(3) as usize];
                let (status, found) = self.console.get(&format!("/console/api/audit{about}")).await;
                assert_eq!(status, 200, "{found}");
                self.due("audit log at the console", "read-audit", true, "petra", vec![]);
                "audit log at the console"
            }
            19 => {
                let (status, found) = self.console.get("/console/api/reviews").await;
                assert_eq!(status, 200, "{found}");
                self.due("reviews", "review-break-glass", true, "petra", vec![]);
                "reviews"
            }
            _ => {
                let asked = self.s.post("/fhir/Observation").bearer_auth(&self.narrow);
                let body = observation(None, patient, "1");
                let answer = asked
                    .header("content-type", "application/fhir+json")
                    .body(body)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status().as_u16(), 403);
                self.due("write denied", "write-clinical", false, "client", vec![]);
                "write denied"
            }
        };
        *self.done.entry(how).or_default() += 1;
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().expect("a number"))
}

async fn hospital(seed: u64) -> (tempfile::TempDir, Walk) {
    let (folder, data) = folder();
    let s = Server::start(&data);
    let program = s.client_token("system/*.cruds").await;
    let narrow = s.client_token("system/Observation.rs").await;
    for (p, w) in PATIENTS {
        assert_eq!(s.fhir(&program, "/fhir", placed(p, w).to_string()).await.0, 200);
    }
    let slices: Vec<Made> = [(1, 1), (1, 2), (1, 3), (2, 1)]
        .map(|(series, number)| Made {
            patient: "mrn-p1",
            series,
            number,
            ..Made::default()
        })
        .into();
    let bodies: Vec<Vec<u8>> = slices.iter().map(Made::bytes).collect();
    let sent = s
        .post("/dicomweb/studies")
        .bearer_auth(&program)
        .header("content-type", RELATED);
    assert_eq!(
        sent.body(related(&bodies))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        200
    );
    add_user(s.dir(), "nina", "nurse");
    add_user(s.dir(), "petra", "privacy-officer");
    let device = s.enrol("ED", &[]).await;
    let token = |v: Value| v["token"].as_str().unwrap().to_owned();
    let (status, nurse) = s.login(&device, "nina", password("nina").trim()).await;
    assert_eq!(status, 200, "{nurse}");
    let (status, privacy) = s.login(&device, "petra", password("petra").trim()).await;
    assert_eq!(status, 200, "{privacy}");
    let mut console = Browser::new(harness::client(&data), &s.url(""));
    console.sign_in("petra", password("petra").trim()).await;
    let walk = Walk {
        program,
        narrow,
        nurse: token(nurse),
        privacy: token(privacy),
        console,
        device,
        dice: Dice(seed),
        due: Vec::new(),
        done: BTreeMap::new(),
        versions: BTreeMap::new(),
        slices,
        s,
    };
    (folder, walk)
}

/// Until the pictures of all images can be given.
async fn looked_at(w: &Walk) {
    for one in &w.slices {
        let (study, series, uid) = (one.study, one.series_uid(), one.uid());
        let path = format!("/dicomweb/studies/{study}/series/{series}/instances/{uid}/thumbnail");
        let mut tries = 0;
        while w.ask(&path, &w.nurse, "image/jpeg").await.0 != 200 {
            tries += 1;
            assert!(tries < 300, "no picture of {uid}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

fn said(row: &Value) -> (String, bool, String, Vec<(String, u64)>) {
    let actor = row["actor"].as_object().unwrap().iter().next().unwrap();
    let who = match actor.0.as_str() {
        "Client" => "client".to_owned(),
        _ => actor.1.as_str().unwrap().to_owned(),
    };
    let listed = row["disclosure"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| {
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            (
                format!("{}/{}", text(&d["key"]["kind"]), text(&d["key"]["id"])),
                d["version"].as_u64().unwrap(),
            )
        });
    let mut listed: Vec<_> = listed.collect();
    let act = row["action"].as_str().unwrap().to_owned();
    // What a corrected result said before is kept in the same write (ADR 27), and the answer does not name it.
    let written = listed.len();
    listed
        .retain(|(key, version)| act != "write-clinical" || *version > 1 || !key.starts_with("Provenance/"));
    assert!(written - listed.len() <= 1, "{row}");
    listed.sort();
    (act, row["decision"] == "permit", who, listed)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_equals_the_rows() {
    let (count, seed) = (
        setting("VITRINE_ACCESSES", 300),
        setting("VITRINE_ACCESS_SEED", 3),
    );
    let (_folder, mut w) = hospital(seed).await;
    looked_at(&w).await;
    let before = w.s.audit().len();
    let mut steps = 0;
    while (w.due.len() as u64) < count {
        w.step().await;
        steps += 1;
        if steps % 500 == 0 {
            println!("{} rows due after {steps} accesses", w.due.len());
        }
    }
    // Each export begins with its own row: the first was counted with the others, the second is due.
    let all = w.s.audit();
    let rows = &all[before..];
    assert_eq!(all.last().unwrap()["notes"]["use"], "export");
    let operator = said(all.last().unwrap()).2;
    w.due("export", "read-audit", true, &operator, vec![]);
    for (n, (row, due)) in rows.iter().zip(&w.due).enumerate() {
        let (act, permit, who, shown) = said(row);
        assert_eq!(
            (act.as_str(), permit, who.as_str(), &shown),
            (due.act, due.permit, due.who.as_str(), &due.shown),
            "access {n}, {}: {row}",
            due.how
        );
    }
    assert_eq!(rows.len(), w.due.len(), "rows and accesses");
    let ids: std::collections::BTreeSet<&str> =
        rows.iter().map(|r| r["access_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rows.len(), "an access id comes twice");
    let verified = done(&["audit", "verify", "--data", w.s.dir()]);
    assert_eq!(verified["whole"], true, "{verified}");
    let named: u64 = w.due.iter().map(|d| d.shown.len() as u64).sum();
    println!(
        "{steps} accesses, {} rows, {named} ids with versions: {:?}",
        w.due.len(),
        w.done
    );
    if count >= 300 {
        assert_eq!(w.done.len(), 19, "{:?}", w.done);
    }
    let reindexed = done(&["audit", "reindex", "--data", w.s.dir()]);
    assert_eq!(reindexed["indexed"], true, "{reindexed}");
    let verified = done(&["audit", "verify", "--data", w.s.dir()]);
    assert_eq!(verified["whole"], true, "{verified}");
}
