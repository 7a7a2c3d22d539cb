//! A stolen disk (faults.md A-05): a thousand canaries are planted through the real ways in, at a real server and a real workstation
//! that show, search, record, draft, are killed in the middle of it and lock. Then the disk is read, byte by byte.
//!
//! Everything they write lies on a file system of its own in one file: their folders, what they call temporary, their home and logs. That
//! file is what is read, so also what was deleted from it and is still there. Where no file system can be mounted (that takes
//! root), their folders are read, and the test says so.

#![allow(clippy::disallowed_methods)] // programs are waited for by the clock

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_engine::{BreakGlass, Identity, Options, Workstation};
use vitrine_tests::bin;
use vitrine_tests::canary::{Finder, Found, draw};
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::Station;
use vitrine_wire::entry_view::{DraftKind, EntryInput, ReadingInput};

const CANARIES: usize = 1_000;
/// Where the run of everything lies, and where it puts what it read back.
const INSIDE: &str = "VITRINE_TEST_STOLEN_DISK";
/// A workstation that is to be killed.
const WORKING: &str = "VITRINE_TEST_STOLEN_WORKING";
const PASSWORD: &str = "a-long-Password-17";
const PIN: &str = "482915";
const DISK: &str = "3G";

/// A file with a file system in it, mounted.
struct Disk {
    image: PathBuf,
    at: PathBuf,
    mounted: bool,
}

fn done(program: &str, args: &[&str]) -> bool {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    out.is_ok_and(|o| o.status.success())
}

impl Disk {
    fn new(below: &Path) -> Result<Self> {
        let (image, at) = (below.join("disk.img"), below.join("disk"));
        std::fs::create_dir(&at)?;
        let (i, a) = (text(&image), text(&at));
        let mounted = done("truncate", &["-s", DISK, &i])
            && done("mkfs.ext4", &["-q", "-E", "lazy_itable_init=0", &i])
            && done("mount", &["-o", "loop,nodiscard", &i, &a]);
        Ok(Self { image, at, mounted })
    }

    fn take_off(&mut self) -> Result<()> {
        if std::mem::take(&mut self.mounted) {
            ensure!(done("umount", &[&text(&self.at)]), "the disk is still used");
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = done("umount", &["-l", &text(&self.at)]);
        }
    }
}

#[test]
fn a_thousand_canaries_and_none_on_the_disk() -> Result<()> {
    let outside = tempfile::tempdir()?;
    let canaries = draw(CANARIES)?;
    let (list, control) = (
        outside.path().join("canaries.json"),
        outside.path().join("control"),
    );
    std::fs::write(&list, serde_json::to_vec(&canaries)?)?;
    std::fs::create_dir(&control)?;
    let mut disk = Disk::new(outside.path())?;
    for name in ["tmp", "home"] {
        std::fs::create_dir(disk.at.join(name))?;
    }
    let mut inside = Command::new(std::env::current_exe()?);
    inside
        .args(["--exact", "everything", "--nocapture", "--test-threads=1"])
        .env(
            INSIDE,
            json!({"root": disk.at, "list": list, "control": control}).to_string(),
        )
        .env("TMPDIR", disk.at.join("tmp"))
        .env("VITRINE_LOG", "debug");
    for home in [
        "HOME",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        inside.env(home, disk.at.join("home"));
    }
    ensure!(inside.status()?.success(), "the run itself failed");

    let finder = Finder::new(&canaries)?;
    // The search can find, and everything was planted: what the programs gave to those who may read it has them all.
    let mut read_back = Found::default();
    finder.below(&control, &mut read_back)?;
    let there = read_back.canaries();
    let missing: Vec<&String> = canaries.iter().filter(|c| !there.contains(c.as_str())).collect();
    let classes: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&std::fs::read(outside.path().join("classes.json"))?)?;
    let unread: BTreeSet<&str> = classes
        .iter()
        .filter(|(_, all)| all.iter().any(|c| missing.contains(&c)))
        .map(|(class, _)| class.as_str())
        .collect();
    for (class, all) in &classes {
        let back = all.iter().filter(|c| there.contains(c.as_str())).count();
        eprintln!("{class}: {} planted, {back} read back", all.len());
    }
    ensure!(classes.values().map(Vec::len).sum::<usize>() == CANARIES);
    // The name of a file that was imported is given to nobody.
    ensure!(
        unread.iter().all(|c| *c == "file names"),
        "not read back: {unread:?}"
    );

    let mut found = Found::default();
    finder.below(&disk.at, &mut found)?;
    let (files, bytes) = (found.files, found.bytes);
    let raw = disk.mounted;
    disk.take_off()?;
    if raw {
        finder.file(&disk.image, &mut found)?;
    }
    eprintln!(
        "{} canaries, {} found on the disk: {files} files of {} MiB{}",
        CANARIES,
        found.canaries().len(),
        bytes >> 20,
        if raw {
            format!(", and the raw disk of {DISK}")
        } else {
            "; no file system could be mounted, the raw disk was not looked at".to_owned()
        }
    );
    ensure!(files > 30 && bytes > 20 << 20, "{files} files, {bytes} bytes");
    ensure!(found.hits.is_empty(), "{}", found.told());
    Ok(())
}

/// Canaries in the order they are planted, by what they are.
struct Deck {
    left: std::vec::IntoIter<String>,
    classes: BTreeMap<String, Vec<String>>,
}

impl Deck {
    fn draw(&mut self, class: &str) -> Result<String> {
        let word = self.left.next().context("canaries are used up")?;
        self.classes
            .entry(class.to_owned())
            .or_default()
            .push(word.clone());
        Ok(word)
    }
}

struct Entry(Vec<Value>);

impl Entry {
    fn put(&mut self, kind: &str, id: &str, mut body: Value) {
        body["resourceType"] = kind.into();
        body["id"] = id.into();
        self.0
            .push(json!({"request": {"method": "PUT", "url": format!("{kind}/{id}")}, "resource": body}));
    }
}

fn coded(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]})
}

/// A patient with canaries for a name, and a record of them.
fn patient(deck: &mut Deck, all: &mut Entry, n: usize) -> Result<[String; 3]> {
    let id = format!("planted-{n}");
    let (family, given, mrn) = (deck.draw("names")?, deck.draw("names")?, deck.draw("numbers")?);
    all.put(
        "Patient",
        &id,
        json!({
            "identifier": [{"type": coded("v2-0203", "MR"), "value": mrn}],
            "name": [{"family": family, "given": [given]}], "birthDate": "1931-05-06", "gender": "female",
            "address": [{"line": [deck.draw("addresses")?], "city": deck.draw("addresses")?}],
            "telecom": [{"system": "phone", "value": deck.draw("addresses")?}, {"system": "email", "value": deck.draw("addresses")?}],
        }),
    );
    let subject = json!({"reference": format!("Patient/{id}")});
    all.put(
        "AllergyIntolerance",
        &format!("{id}-a"),
        json!({"patient": subject, "clinicalStatus": coded("allergyintolerance-clinical", "active"),
            "code": {"text": deck.draw("allergies")?}, "reaction": [{"manifestation": [{"text": deck.draw("allergies")?}]}],
            "note": [{"text": deck.draw("allergies")?}]}),
    );
    all.put(
        "MedicationRequest",
        &format!("{id}-m"),
        json!({"subject": subject, "status": "active", "intent": "order", "medicationCodeableConcept": {"text": deck.draw("medicines")?},
            "dosageInstruction": [{"text": deck.draw("medicines")?}]}),
    );
    all.put(
        "Condition",
        &format!("{id}-c"),
        json!({"subject": subject, "clinicalStatus": coded("condition-clinical", "active"), "code": {"text": deck.draw("conditions")?}}),
    );
    Ok([family, given, mrn])
}

/// Notes and values in the record of a patient of the ward.
fn chart(deck: &mut Deck, all: &mut Entry, of: &str, n: usize) -> Result<()> {
    let subject = json!({"reference": format!("Patient/{of}")});
    let written = format!(
        "Seen at the bedside: {}.\n{}",
        deck.draw("notes")?,
        deck.draw("notes")?
    );
    let data = base64::engine::general_purpose::STANDARD.encode(written);
    all.put(
        "DocumentReference",
        &format!("planted-note-{n}"),
        json!({"status": "current", "docStatus": "final", "subject": subject, "date": "2026-11-20T08:00:00Z",
            "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}], "text": deck.draw("notes")?},
            "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": data, "title": deck.draw("notes")?}}]}),
    );
    all.put(
        "Observation",
        &format!("planted-value-{n}"),
        json!({"status": "final", "subject": subject, "effectiveDateTime": "2026-11-20T08:00:00Z",
            "category": [coded("observation-category", if n.is_multiple_of(2) { "laboratory" } else { "vital-signs" })],
            "code": {"text": deck.draw("values")?}, "valueString": deck.draw("values")?, "note": [{"text": deck.draw("comments of values")?}]}),
    );
    Ok(())
}

async fn send(server: &Server, http: &reqwest::Client, token: &str, all: Entry) -> Result<()> {
    for part in all.0.chunks(200) {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": part}).to_string();
        let answer = http
            .post(format!("{}/fhir", server.url()))
            .bearer_auth(token)
            .header("content-type", "application/fhir+json")
            .body(bundle)
            .send()
            .await?;
        let status = answer.status();
        ensure!(status.is_success(), "{status}: {}", answer.text().await?);
    }
    Ok(())
}

/// An image with canaries in its header and in its pixels.
fn image(deck: &mut Deck, n: u64, [family, given, mrn]: &[String; 3]) -> Result<(Phantom, Vec<u8>)> {
    let mut cr = Phantom::new(Kind::Cr, n);
    (cr.rows, cr.columns) = (300, 250);
    cr.subject = Subject {
        id: mrn.clone(),
        name: format!("{family}^{given}"),
        birth_date: Some("19310506".to_owned()),
        accession: Some(deck.draw("attributes of images")?),
        study_description: Some(deck.draw("attributes of images")?),
        referring: Some(deck.draw("attributes of images")?),
        study_date: "20261012".to_owned(),
        study_time: "081400".to_owned(),
        ..Subject::default()
    };
    let mut bytes = Vec::new();
    cr.write(0, &mut bytes)?;
    // In the middle of the last rows, where pixels are.
    let pixel = deck.draw("pixels")?;
    let from = bytes.len() - 4_000;
    for at in (from..from + 1_000).step_by(100) {
        bytes[at..at + pixel.len()].copy_from_slice(pixel.as_bytes());
    }
    Ok((cr, bytes))
}

/// Runs `vitrine-cli`; what it says on stdout is for whoever may read it, what it logs stays on the disk that is stolen.
fn cli(station: &Station, root: &Path, args: &[&str], secret: &str) -> Result<String> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(root.join("cli.log"))?;
    let mut child = Command::new(bin("vitrine-cli"))
        .args(["--profile", &text(&station.profile), "--json"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    writeln!(child.stdin.take().context("stdin")?, "{secret}")?;
    let out = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success(), "{args:?}: {} {said}", out.status);
    Ok(said)
}

/// Not a test of its own: the run of everything, with the stolen disk for its temporary files and its home.
#[test]
fn everything() -> Result<()> {
    let Ok(told) = std::env::var(INSIDE) else {
        return Ok(());
    };
    let told: Value = serde_json::from_str(&told)?;
    let path = |name: &str| told[name].as_str().map(PathBuf::from).context("a path");
    let (root, list, control) = (path("root")?, path("list")?, path("control")?);
    let all: Vec<String> = serde_json::from_slice(&std::fs::read(&list)?)?;
    let mut deck = Deck {
        left: all.into_iter(),
        classes: BTreeMap::new(),
    };
    let keep = |name: &str, said: &[u8]| std::fs::write(control.join(name), said);
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let _entered = rt.enter();

    let (mut server, seed) = Server::demo(&root.join("server"))?;
    server.kill();
    std::fs::write(server.data.join("vitrine.toml"), "[log]\nlevel = \"debug\"\n")?;
    server.restart()?;
    let data = text(&server.data);
    let ward: Vec<String> = seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| p["ward"] == "ED")
        .filter_map(|p| p["id"].as_str().map(str::to_owned))
        .collect();
    ensure!(ward.len() >= 3, "patients of the ED");

    // Staff: sign-in names and names as shown.
    let mut staff = Vec::new();
    for _ in 0..10 {
        let (user, display) = (deck.draw("sign-in names")?, deck.draw("names of staff")?);
        let add = [
            "user",
            "add",
            &user,
            "--role",
            "physician",
            "--ward",
            "ED",
            "--display",
            &display,
            "--secret-stdin",
            "--data",
            &data,
            "--json",
        ];
        run_json("vitrine-server", &add, Some(&format!("{PASSWORD}\n{PIN}\n")))?;
        staff.push(user);
    }
    let doctor = staff[0].clone();

    // Patients, records, images.
    let http = server.http()?;
    let token = rt.block_on(server.token(&http))?;
    let (mut sent, mut people) = (Entry(Vec::new()), Vec::new());
    for n in 0..54 {
        people.push(patient(&mut deck, &mut sent, n)?);
    }
    for n in 0..18 {
        chart(&mut deck, &mut sent, &ward[n % 3], n)?;
    }
    rt.block_on(send(&server, &http, &token, sent))?;
    let mut studies = Vec::new();
    let files = tempfile::tempdir_in(list.parent().context("outside")?)?;
    for n in 0..4 {
        let (cr, bytes) = image(&mut deck, 40 + n, &people[n as usize])?;
        studies.push(cr.study_uid());
        if n < 2 {
            let mut body = b"--part\r\nContent-Type: application/dicom\r\n\r\n".to_vec();
            body.extend_from_slice(&bytes);
            body.extend_from_slice(b"\r\n--part--\r\n");
            let asked = http
                .post(format!("{}/dicomweb/studies", server.url()))
                .bearer_auth(&token)
                .header(
                    "content-type",
                    "multipart/related; type=\"application/dicom\"; boundary=part",
                );
            let status = rt.block_on(asked.body(body).send())?.status();
            ensure!(status.is_success(), "STOW: {status}");
        } else {
            let file = files.path().join(format!("{}.dcm", deck.draw("file names")?));
            std::fs::write(&file, bytes)?;
            run_json(
                "vitrine-server",
                &["import", "--data", &data, &text(&file), "--json"],
                None,
            )?;
        }
    }

    // A workstation: shows, searches, records, breaks the glass.
    let station = Station::enrol(&server, &server.url(), &root.join("ed-07"), "ED")?;
    let mut said = String::new();
    let mut act = |args: &[&str], secret: &str| -> Result<()> {
        said.push_str(&cli(&station, &root, args, secret)?);
        Ok(())
    };
    act(&["sync", "--until-current"], "")?;
    act(&["board", "--user", &doctor, "--secret-stdin"], PASSWORD)?;
    for id in &ward[..3] {
        act(
            &["chart", id, "--wait", "30", "--user", &doctor, "--secret-stdin"],
            PIN,
        )?;
    }
    for _ in 0..20 {
        let words = deck.draw("search words")?;
        act(&["search", &words, "--user", &doctor, "--secret-stdin"], PIN)?;
    }
    for n in 0..10 {
        let words = deck.draw("words of broken glass")?;
        let who = &staff[n % 3];
        act(
            &[
                "emergency",
                &format!("planted-{n}"),
                "--reason",
                "other",
                "--words",
                &words,
                "--user",
                who,
                "--secret-stdin",
            ],
            PIN,
        )?;
    }
    for n in 0..10 {
        let words = deck.draw("entries")?;
        act(
            &[
                "record",
                "note",
                &ward[n % 3],
                &words,
                "--user",
                &doctor,
                "--secret-stdin",
            ],
            PIN,
        )?;
        let (agent, reaction) = (deck.draw("entries")?, deck.draw("entries")?);
        act(
            &[
                "record",
                "allergy",
                &ward[n % 3],
                &agent,
                "--reaction",
                &reaction,
                "--user",
                &doctor,
                "--secret-stdin",
            ],
            PIN,
        )?;
    }

    // Killed in the middle of it, again and again; once the server too, and once without it.
    let mut drafts = Vec::new();
    while let Ok(word) = deck.draw("drafts and what was written when it was killed") {
        drafts.push(word);
    }
    ensure!(drafts.len() >= 20, "{}", drafts.len());
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "working", "--nocapture", "--test-threads=1"])
            .env(
                WORKING,
                json!({"profile": station.profile, "user": doctor, "ward": ward[..3], "drafts": drafts})
                    .to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(root.join(format!("working-{round}.log")))?)
            .spawn()?;
        let out = BufReader::new(child.stdout.take().context("stdout")?);
        let mut wrote = 0;
        for line in out.lines() {
            let line = line?;
            if line.contains("wrote") {
                wrote += 1;
            }
            if wrote >= drafts.len() + round * 7 {
                break;
            }
        }
        ensure!(
            wrote >= drafts.len(),
            "the workstation ended by itself after {wrote} drafts: {}",
            std::fs::read_to_string(root.join(format!("working-{round}.log"))).unwrap_or_default()
        );
        if round == 3 {
            server.kill();
        }
        std::thread::sleep(Duration::from_millis(3 + 11 * round as u64));
        child.kill()?;
        child.wait()?;
        if round == 4 {
            server.restart()?;
        }
    }

    // Read back by those who may: the control of the search.
    let mut shown = Vec::new();
    let open = Workstation::open(
        &station.profile,
        Options {
            runtime: Some(rt.handle().clone()),
            ballast_bytes: 0,
            ..Options::default()
        },
    )?;
    rt.block_on(open.sign_in(&doctor, PIN))?;
    for id in &ward[..3] {
        for kind in [DraftKind::Note, DraftKind::Allergy] {
            shown.push(json!(rt.block_on(open.entry_draft(id, kind))?.map(|d| d.fields)));
        }
        shown.push(json!(rt.block_on(open.chart(id))?));
    }
    let current = rt.block_on(open.wait_current(Duration::from_secs(120)))?;
    ensure!(current, "not everything written here reached the server");
    open.lock();
    ensure!(open.close(Duration::from_secs(10)), "not closed");
    keep("workstation.json", &serde_json::to_vec(&shown)?)?;
    act(&["login", "--user", &doctor, "--secret-stdin"], PIN)?;
    act(&["chart", &ward[0]], "")?;
    act(&["lock"], "")?;
    act(&["audit", "list", "--limit", "100000"], "")?;
    keep("cli.json", said.as_bytes())?;
    let users = run_json(
        "vitrine-server",
        &["user", "list", "--data", &data, "--json"],
        None,
    )?;
    keep("users.json", users.to_string().as_bytes())?;
    let token = rt.block_on(server.token(&http))?;
    let get = |what: String, accept: &'static str| -> Result<Vec<u8>> {
        let asked = http
            .get(format!("{}{what}", server.url()))
            .bearer_auth(&token)
            .header("accept", accept);
        let answer = rt.block_on(asked.send())?;
        let status = answer.status();
        let bytes = rt.block_on(answer.bytes())?;
        ensure!(
            status.is_success(),
            "{what}: {status}: {}",
            String::from_utf8_lossy(&bytes)
        );
        Ok(bytes.to_vec())
    };
    let planted = (0..people.len()).map(|n| format!("planted-{n}"));
    for id in planted {
        let record = get(format!("/fhir/Patient/{id}/$everything"), "application/fhir+json")?;
        keep(&format!("{id}.json"), &record)?;
    }
    for n in 0..18 {
        for kind in ["DocumentReference/planted-note", "Observation/planted-value"] {
            let one = get(format!("/fhir/{kind}-{n}"), "application/fhir+json")?;
            keep(&format!("{}-{n}.json", kind.replace('/', "-")), &one)?;
        }
    }
    for (n, uid) in studies.iter().enumerate() {
        let study = get(
            format!("/dicomweb/studies/{uid}"),
            "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
        )?;
        keep(&format!("study-{n}.bin"), &study)?;
    }
    server.kill();
    let classes = list.with_file_name("classes.json");
    std::fs::write(classes, serde_json::to_vec(&deck.classes)?)?;
    Ok(())
}

/// Not a test of its own: a workstation that works until it is killed.
#[test]
fn working() -> Result<()> {
    let Ok(told) = std::env::var(WORKING) else {
        return Ok(());
    };
    let told: Value = serde_json::from_str(&told)?;
    let words = |name: &str| -> Vec<String> {
        let all = told[name].as_array().into_iter().flatten();
        all.filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let (ward, drafts) = (words("ward"), words("drafts"));
    let user = told["user"].as_str().context("user")?;
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let options = Options {
        runtime: Some(rt.handle().clone()),
        ..Options::default()
    };
    let w = Workstation::open(Path::new(told["profile"].as_str().context("profile")?), options)?;
    rt.block_on(async {
        for round in 0.. {
            if round % 5 == 0 {
                w.sign_in(user, PIN).await?;
            }
            // A draft holds the words of all before it, as one that is typed on does.
            for (n, word) in drafts.iter().enumerate() {
                let of = &ward[n % 3];
                let part: Vec<&str> = drafts.iter().skip(n % 3).step_by(3).map(String::as_str).collect();
                let fields = BTreeMap::from([
                    ("text".to_owned(), format!("{word} {}", part.join(" "))),
                    ("note_kind".to_owned(), "nursing".to_owned()),
                ]);
                w.set_entry_draft(of, DraftKind::Note, fields).await?;
                println!("wrote {n}");
                std::io::stdout().flush()?;
                if n % 4 == 1 {
                    w.search(word).await?;
                    w.chart(of).await?;
                }
                if n % 8 == 3 {
                    // No note: that would take its draft away.
                    let input = EntryInput::Vitals {
                        minutes_ago: 0,
                        readings: vec![ReadingInput {
                            sign: "pulse".to_owned(),
                            value: format!("{}", 60 + round % 40),
                        }],
                    };
                    // What comes by the feed between the two is read again, as a person has to.
                    let mut tries = 0;
                    loop {
                        let seen = w.entry_preview(of, &input).await?.seen;
                        match w.entry_record(of, &input, &seen).await {
                            Ok(_) => break,
                            Err(e) if tries == 5 => return Err(e.into()),
                            Err(_) => tries += 1,
                        }
                    }
                }
                if n % 16 == 7 {
                    let asked = BreakGlass {
                        patient: format!("planted-{}", n % 50),
                        reason: "other".to_owned(),
                        words: Some(word.clone()),
                        identity: Identity::Session,
                    };
                    w.break_glass(asked).await?;
                }
            }
        }
        Ok(())
    })
}
