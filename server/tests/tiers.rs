//! Archive tiers with the real server: hot, warm, archive, a read that says when, recall, hold and destruction.

mod harness;
use harness::command::{add_user, archive, password};
use harness::line::Line;
use harness::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vitrine_testpg::TestPg;
use vitrine_wire::message::{ServerMessage, Sub, UserAuth};

const YEAR_MS: i64 = 366 * 86_400_000;

/// So many years from now, as the commands take it.
fn years(n: i64) -> String {
    vitrine_server::clock::instant(vitrine_clinical::UtcMs(now_ms() + n * YEAR_MS))
}

struct Place {
    _t: tempfile::TempDir,
    s: Server,
    cold: PathBuf,
}

impl Place {
    fn start(database: Option<&str>) -> Self {
        let (t, data) = folder();
        std::fs::create_dir_all(&data).unwrap();
        let cold = t.path().join("cold");
        let config = t.path().join("vitrine.toml");
        std::fs::write(
            &config,
            format!(
                "[archive]\ncold = {:?}\nrecall_first_s = 7\n",
                cold.to_str().unwrap()
            ),
        )
        .unwrap();
        // Commands beside the server read the same file where they need it.
        std::fs::copy(&config, data.join("vitrine.toml")).unwrap();
        let mut more = vec!["--config", config.to_str().unwrap()];
        more.extend(database.map(|url| ["--database-url", url]).into_iter().flatten());
        let s = Server::start_with(&data, &more);
        Self { _t: t, s, cold }
    }

    fn archive(&self, args: &[&str]) -> (i32, Value, String) {
        archive(self.s.dir(), args, "")
    }

    fn done(&self, args: &[&str]) -> Value {
        let (exit, json, said) = self.archive(args);
        assert_eq!(exit, 0, "{args:?}: {json} {said}");
        json
    }

    fn move_at(&self, n: i64) -> Value {
        self.done(&["move", "--at", &years(n)])
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).map_or(0, |d| {
            d.filter_map(Result::ok)
                .filter(|f| f.path().extension().is_some_and(|e| e == "pack"))
                .count()
        })
    }

    fn warm(&self) -> PathBuf {
        self.s.data.join("packs").join("warm")
    }
}

struct Read {
    status: u16,
    retry: Option<u64>,
    text: String,
}

async fn read(s: &Server, token: &str, path: &str) -> Read {
    let answer = s.get(path).bearer_auth(token).send().await.unwrap();
    let retry = answer
        .headers()
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    Read {
        status: answer.status().as_u16(),
        retry,
        text: answer.text().await.unwrap(),
    }
}

/// One who went home long ago: two versions of a result, an allergy; nothing of a stay.
async fn gone_home(s: &Server, token: &str, p: &str) {
    let allergy = json!({"resourceType": "AllergyIntolerance", "id": format!("{p}-a"),
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
        "code": {"text": "penicillin"}, "patient": {"reference": format!("Patient/{p}")}});
    for (path, body) in [
        (format!("/fhir/Patient/{p}"), patient(p).to_string()),
        (format!("/fhir/AllergyIntolerance/{p}-a"), allergy.to_string()),
        (
            format!("/fhir/Observation/{p}-o"),
            // Not to be shown yet: what takes its place is no correction, of which a third body would be kept.
            observation(Some(&format!("{p}-o")), p, "4.10").replace("\"final\"", "\"registered\""),
        ),
        (
            format!("/fhir/Observation/{p}-o"),
            observation(Some(&format!("{p}-o")), p, "5.20"),
        ),
    ] {
        let put = s
            .put(&path)
            .bearer_auth(token)
            .header("content-type", "application/fhir+json");
        let status = put.body(body).send().await.unwrap().status().as_u16();
        assert!(status == 200 || status == 201, "{path}: {status}");
    }
}

async fn whole(database: Option<&str>) {
    let p = Place::start(database);
    let (s, dir) = (&p.s, p.s.dir().to_owned());
    add_user(&dir, "nina", "nurse");
    let token = s.client_token("system/*.cruds").await;

    // Nothing there yet, said in words.
    let words = String::from_utf8(run(&["archive", "tiers", "--data", &dir]).stdout).unwrap();
    assert!(
        words.contains("nothing is due to move") && words.contains("nothing is asked back"),
        "{words}"
    );
    let words = String::from_utf8(run(&["archive", "status", "--data", &dir]).stdout).unwrap();
    assert!(words.contains("no recall is under way"), "{words}");
    let (exit, _, said) = p.archive(&["recall", "--patient", "p9"]);
    assert!(exit == 2 && said.contains("no patient p9"), "{said}");
    let (exit, _, said) = p.archive(&["move", "--at", "tomorrow"]);
    assert!(exit == 2 && said.contains("no time with a zone"), "{said}");

    gone_home(s, &token, "p1").await;
    assert_eq!(
        s.fhir(&token, "/fhir", placed("p2", "ED").to_string()).await.0,
        200
    );
    let body = observation(Some("p2-o"), "p2", "3.90");
    let put = s
        .put("/fhir/Observation/p2-o")
        .bearer_auth(&token)
        .header("content-type", "application/fhir+json");
    assert_eq!(put.body(body).send().await.unwrap().status(), 201);
    let (now, first) = ("/fhir/Observation/p1-o", "/fhir/Observation/p1-o/_history/1");
    let (hot_now, hot_first) = (read(s, &token, now).await, read(s, &token, first).await);
    assert_eq!((hot_now.status, hot_first.status), (200, 200));
    assert!(hot_now.text.contains("5.20") && hot_first.text.contains("4.10"));

    // Age and use: nothing moves too early, nor what is in use.
    assert_eq!(
        p.done(&["move", "--dry-run", "--at", &years(1)])["would_pack"]["bodies"],
        0
    );
    assert_eq!(p.move_at(0)["packed"], 0);
    assert_eq!(
        p.done(&["move", "--dry-run", "--at", &years(3)])["would_pack"]["records"],
        1
    );

    // Warm: read as ever.
    let ran = p.move_at(3);
    assert_eq!(
        (&ran["packed"], &ran["bodies"], &ran["failed"]),
        (&1.into(), &2.into(), &0.into()),
        "{ran}"
    );
    assert_eq!(p.move_at(3)["packed"], 0, "again, nothing is left to move");
    assert_eq!(Place::files(&p.warm()), 1);
    assert_eq!(read(s, &token, now).await.text, hot_now.text);
    assert_eq!(read(s, &token, first).await.text, hot_first.text);

    // Archive; the patient who is on a ward is where it was.
    let ran = p.move_at(8);
    assert_eq!((&ran["away"], &ran["failed"]), (&1.into(), &0.into()), "{ran}");
    assert_eq!((Place::files(&p.warm()), Place::files(&p.cold)), (0, 1));
    let tiers = p.done(&["tiers"]);
    assert_eq!(
        (&tiers["tiers"][2]["records"], &tiers["tiers"][1]["records"]),
        (&1.into(), &0.into()),
        "{tiers}"
    );
    assert_eq!(read(s, &token, "/fhir/Observation/p2-o").await.status, 200);

    // While the mount is away nothing comes back: the state in between can be looked at for as long as it takes.
    let hidden = p.cold.with_extension("unmounted");
    std::fs::rename(&p.cold, &hidden).unwrap();
    let chart = read(s, &token, "/fhir/Patient/p1/$everything").await;
    let bundle: Value = serde_json::from_str(&chart.text).unwrap();
    assert_eq!((chart.status, &bundle["total"]), (200, &3.into()), "{bundle}");
    let outcome = &bundle["entry"][0];
    assert_eq!(
        (
            &outcome["search"]["mode"],
            &outcome["resource"]["issue"][0]["code"]
        ),
        (&"outcome".into(), &"incomplete".into())
    );
    let said = outcome["resource"]["issue"][0]["details"]["text"]
        .as_str()
        .unwrap();
    assert!(
        said.contains("1 Observation") && said.contains("expected to be done at"),
        "{said}"
    );
    let types: Vec<&str> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .filter_map(|e| e["resource"]["resourceType"].as_str())
        .collect();
    assert!(
        types.len() == 2 && types.contains(&"Patient") && types.contains(&"AllergyIntolerance"),
        "{types:?}"
    );
    // What may be the last value is told, and how many there are is not known.
    let last = read(s, &token, "/fhir/Observation/$lastn?patient=p1&code=2823-3").await;
    let bundle: Value = serde_json::from_str(&last.text).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    assert_eq!(
        (last.status, entries.len(), &bundle["total"]),
        (200, 1, &Value::Null),
        "{bundle}"
    );
    assert!(
        entries[0]["search"]["mode"] == "outcome" && last.text.contains("1 Observation"),
        "{bundle}"
    );
    for path in [now, first, now] {
        let away = read(s, &token, path).await;
        assert_eq!((away.status, away.retry), (503, Some(8)), "{}", away.text);
        let outcome: Value = serde_json::from_str(&away.text).unwrap();
        let issue = &outcome["issue"][0];
        assert_eq!(
            (&issue["code"], &issue["details"]["coding"][0]["code"]),
            (&"transient".into(), &"archive".into())
        );
        let said = issue["details"]["text"].as_str().unwrap();
        assert!(
            said.contains("lies in the archive") && said.contains("in 8 seconds"),
            "{said}"
        );
        assert!(!away.text.contains("5.20") && !away.text.contains("4.10"));
    }
    let asked: Vec<Value> = s
        .audit()
        .into_iter()
        .filter(|r| r["notes"]["recall"] == "requested")
        .collect();
    assert_eq!(asked.len(), 1, "asked back once: {asked:?}");
    let status = p.done_or_faulty(&["status"]);
    assert_eq!(
        (
            &status["recalls"][0]["patient"],
            status["recalls"].as_array().unwrap().len()
        ),
        (&"p1".into(), 1)
    );
    assert!(status["recalls"][0]["eta_s"].as_u64().unwrap() >= 7, "{status}");
    let why = status["waits_for"].as_str().unwrap_or_default();
    assert!(why.contains(".pack"), "it says what keeps it: {status}");
    let shown = |r: &Value| r["notes"]["use"] == "archive status" && r["disclosure"]["patients"][0] == "p1";
    assert!(
        s.audit().iter().any(shown),
        "whose recalls are shown is in the log"
    );

    // Breaking the glass asks no archive.
    let device = s.enrol("ED", &[]).await;
    let (code, nurse) = s.login(&device, "nina", "nina-long-password").await;
    assert_eq!(code, 200, "{nurse}");
    let nurse = nurse["token"].as_str().unwrap().to_owned();
    let glass = s.post("/auth/break-glass").bearer_auth(&nurse);
    let glass = glass
        .json(&json!({"patient": "p1", "reason": "covering"}))
        .send()
        .await
        .unwrap();
    assert_eq!(glass.status(), 200);
    let card = read(s, &nurse, "/emergency/p1").await;
    assert!(
        card.status == 200 && card.text.contains("penicillin"),
        "{}",
        card.text
    );

    // The chart's scope at a workstation is refused as a whole, not cut short; the essentials know of no tier.
    let mut line = Line::enrolled(s, &device).await;
    line.say(UserAuth { token: nurse.clone() }).await;
    assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))));
    line.say(Sub {
        scope: "pat:p1".into(),
        n: 1,
        have: None,
        resume: None,
    })
    .await;
    match line.hear().await {
        Some(ServerMessage::Reject(r)) => assert_eq!(
            (r.scope.as_str(), r.code),
            ("pat:p1", vitrine_wire::ErrorCode::Overloaded)
        ),
        other => panic!("{other:?}"),
    }
    let (items, _) = line.fetch("ess:ED", 5).await;
    assert_eq!(items.len(), 1, "the one who is on the ward");

    // Written to without the recall.
    let fresh = observation(Some("p1-o"), "p1", "6.30");
    let put = s
        .put(now)
        .bearer_auth(&token)
        .header("content-type", "application/fhir+json");
    assert_eq!(put.body(fresh).send().await.unwrap().status(), 200);
    assert!(read(s, &token, now).await.text.contains("6.30"));
    assert_eq!(read(s, &token, first).await.status, 503);

    // The mount is back: the recall comes, and what was read before is what is read now.
    std::fs::rename(&hidden, &p.cold).unwrap();
    let back = p.done(&["recall", "--patient", "p1"]);
    // The read before it asked too, and may have been first.
    assert!(
        back["done"] == true && back["packs"].as_u64() <= Some(1),
        "{back}"
    );
    assert_eq!(read(s, &token, first).await.text, hot_first.text);
    assert_eq!(
        read(s, &token, "/fhir/Observation/p1-o/_history/2").await.text,
        hot_now.text
    );
    assert_eq!(Place::files(&p.warm()), 1);
    let (items, _) = line.fetch("pat:p1", 10).await;
    assert_eq!(items.len(), 3, "it is all there again");
    let again = p.done(&["recall", "--all"]);
    assert_eq!((&again["packs"], &again["done"]), (&0.into(), &true.into()));

    destroyed(&p, &token, first).await;
}

impl Place {
    /// `status` ends with 1 while files are missing.
    fn done_or_faulty(&self, args: &[&str]) -> Value {
        let (exit, json, said) = self.archive(args);
        assert!(exit <= 1, "{json} {said}");
        json
    }
}

/// A held record moves; one to destroy is asked back first, and leaves no pack anywhere.
async fn destroyed(p: &Place, token: &str, old: &str) {
    let dir = p.s.dir().to_owned();
    for (user, role) in [
        ("petra", "privacy-officer"),
        ("paul", "privacy-officer"),
        ("ines", "clinical-it"),
    ] {
        add_user(&dir, user, role);
    }
    let why = |what: &'static str| [what, "--patient", "p1", "--reason", "a claim"];
    assert_eq!(p.archive(&why("hold")).0, 0);
    let ran = p.move_at(11);
    assert_eq!(ran["away"], 2, "a hold keeps nothing from moving: {ran}");
    assert_eq!(p.archive(&why("release")).0, 0);
    let by = |args: &[&str], user: &str| archive(&dir, args, &password(user));
    let ask = [
        "destroy",
        "request",
        "--patient",
        "p1",
        "--reason",
        "its time is over",
        "--by",
        "petra",
    ];
    let (exit, asked, said) = by(&ask, "petra");
    assert_eq!(exit, 0, "{said}");
    let id = asked["id"].as_str().unwrap().to_owned();
    for user in ["paul", "ines"] {
        assert_eq!(by(&["destroy", "approve", &id, "--by", user], user).0, 0);
    }
    let (exit, _, said) = p.archive(&["destroy", "carry-out", &id]);
    assert!(
        exit == 1 && said.contains("lie in the archive") && said.contains("expected at"),
        "{exit} {said}"
    );
    assert_eq!(
        read(&p.s, token, "/fhir/Patient/p1").await.status,
        200,
        "nothing was destroyed"
    );
    let until = vitrine_server::clock::steady() + Duration::from_secs(60);
    while p.done(&["status"])["recalls"] != json!([]) {
        assert!(
            vitrine_server::clock::steady() < until,
            "the packs do not come back"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (exit, gone, said) = p.archive(&["destroy", "carry-out", &id]);
    assert_eq!(exit, 0, "{said}");
    let certificate: Value = serde_json::from_str(gone["certificate"].as_str().unwrap()).unwrap();
    assert_eq!(
        certificate["certificate"]["types"]["Observation"]["versions"], 3,
        "{certificate}"
    );
    assert_eq!(
        (Place::files(&p.warm()), Place::files(&p.cold)),
        (0, 0),
        "no pack is left in either place"
    );
    assert_ne!(read(&p.s, token, old).await.status, 200);
    assert_eq!(p.done(&["status", "--check"])["faults"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_goes_to_the_archive_and_comes_back_in_the_embedded_store() {
    whole(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_goes_to_the_archive_and_comes_back_in_postgresql() {
    let pg = TestPg::start().expect("PostgreSQL");
    whole(Some(&pg.database().expect("a database"))).await;
}

/// A server of one hospital: the others' keys, the common database and the common folders for packs.
fn of_hospital(root: &Path, name: &str, database: &str, like: Option<&Server>) -> Server {
    let data = root.join(name);
    std::fs::create_dir_all(data.join("keys")).unwrap();
    for folder in [data.clone(), data.join("keys")] {
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    if let Some(like) = like {
        for file in ["ca.pem", "tls.pem", "store"] {
            std::fs::copy(like.data.join(file), data.join(file)).unwrap();
        }
        for key in std::fs::read_dir(like.data.join("keys")).unwrap() {
            let key = key.unwrap();
            std::fs::copy(key.path(), data.join("keys").join(key.file_name())).unwrap();
        }
    }
    let config = root.join(format!("{name}.toml"));
    let text = format!(
        "[database]\nurl = {database:?}\nnode = {name:?}\n[archive]\nwarm = {:?}\ncold = {:?}\nrecall_first_s = 7\n",
        root.join("warm"),
        root.join("cold")
    );
    std::fs::write(&config, &text).unwrap();
    std::fs::write(data.join("vitrine.toml"), text).unwrap();
    Server::start_with(&data, &["--config", config.to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_move_and_recall_together() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let (t, _) = folder();
    let (warm, cold) = (t.path().join("warm"), t.path().join("cold"));
    let a = of_hospital(t.path(), "a", &url, None);
    let token = a.client_token("system/*.cruds").await;
    for p in ["p1", "p2", "p3", "p4"] {
        gone_home(&a, &token, p).await;
    }
    let b = of_hospital(t.path(), "b", &url, Some(&a));
    let path = |p: &str| format!("/fhir/Observation/{p}-o/_history/1");
    let hot = read(&a, &token, &path("p1")).await.text;
    assert!(hot.contains("4.10"));
    let both = |args: &[String]| {
        let said: Vec<_> = std::thread::scope(|s| {
            let dirs = [a.dir().to_owned(), b.dir().to_owned()];
            let run = |dir: String| {
                s.spawn(move || {
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    archive(&dir, &args, "")
                })
            };
            dirs.map(run).map(|t| t.join().unwrap()).to_vec()
        });
        for (exit, json, said) in &said {
            assert_eq!(*exit, 0, "{args:?}: {json} {said}");
        }
        said.into_iter().map(|(_, json, _)| json)
    };

    // Both at the same time, into the packs, and on to the archive: each record moves once.
    let at = |n| ["move".to_owned(), "--at".into(), years(n)];
    let packed: u64 = both(&at(3)).map(|r| r["bodies"].as_u64().unwrap()).sum();
    assert_eq!(packed, 8, "two versions of each");
    for s in [&a, &b] {
        assert_eq!(read(s, &token, &path("p1")).await.text, hot);
    }
    let packs = Place::files(&warm);
    let away: u64 = both(&at(8)).map(|r| r["away"].as_u64().unwrap()).sum();
    assert_eq!(
        (away as usize, Place::files(&warm), Place::files(&cold)),
        (packs, 0, packs)
    );

    // What is asked back at either is one recall, and done once.
    let hidden = cold.with_extension("unmounted");
    std::fs::rename(&cold, &hidden).unwrap();
    for s in [&a, &b] {
        assert_eq!(read(s, &token, &path("p1")).await.status, 503);
    }
    for s in [&a, &b] {
        let (_, status, _) = archive(s.dir(), &["status"], "");
        assert_eq!(status["recalls"].as_array().map(Vec::len), Some(1), "{status}");
    }
    std::fs::rename(&hidden, &cold).unwrap();
    let (exit, back, said) = archive(b.dir(), &["recall", "--patient", "p1"], "");
    assert!(exit == 0 && back["done"] == true, "{back} {said}");
    for s in [&a, &b] {
        assert_eq!(read(s, &token, &path("p1")).await.text, hot);
    }
    both(&["recall".to_owned(), "--all".into()]).for_each(drop);
    for (s, p) in [(&a, "p2"), (&b, "p3"), (&a, "p4")] {
        assert_eq!(read(s, &token, &path(p)).await.status, 200, "{p}");
    }
    for status in both(&["status".to_owned(), "--check".into()]) {
        assert_eq!(
            (&status["faults"], &status["recalls"]),
            (&json!([]), &json!([])),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_missing_pack_is_named_and_backups_rest_on_packs() {
    let mut p = Place::start(None);
    let token = p.s.client_token("system/*.cruds").await;
    gone_home(&p.s, &token, "p1").await;
    let old = "/fhir/Observation/p1-o/_history/1";
    let hot = read(&p.s, &token, old).await.text;
    assert_eq!(p.move_at(3)["packed"], 1);
    let dir = p.s.dir().to_owned();
    let pack = std::fs::read_dir(p.warm())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = std::fs::read(&pack).unwrap();

    // A backup says what it relies on; checking it reads that too.
    let to = p.s.data.with_extension("vtbk");
    let made = done(&["backup", "--data", &dir, "--to", to.to_str().unwrap()]);
    assert_eq!(made["manifest"]["packs"]["packs"], 1, "{made}");
    let verify = || run_json(&["verify-backup", "--from", to.to_str().unwrap(), "--data", &dir]);
    let (exit, found) = verify();
    assert_eq!(
        (exit, &found["whole"], &found["packs"]),
        (0, &true.into(), &1.into()),
        "{found}"
    );

    // One flipped byte: a typed failure, never another body; everything else is read.
    let mut other = bytes.clone();
    let at = other.len() - 20;
    other[at] ^= 1;
    std::fs::write(&pack, &other).unwrap();
    let (a, b) = (
        read(&p.s, &token, old).await,
        read(&p.s, &token, "/fhir/Observation/p1-o").await,
    );
    assert!([a.status, b.status].contains(&503), "{} {}", a.status, b.status);
    assert!(a.status == 503 || a.text == hot);
    assert_eq!(read(&p.s, &token, "/fhir/Patient/p1").await.status, 200);
    let (exit, status, _) = p.archive(&["status", "--check"]);
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(
        exit == 1 && status["faults"][0].as_str().unwrap().contains(name),
        "{status}"
    );
    let (exit, found) = verify();
    assert!(exit == 3 && found["faults"].to_string().contains(name), "{found}");

    // Missing: named by the check, and no empty answer.
    std::fs::remove_file(&pack).unwrap();
    assert_eq!(read(&p.s, &token, old).await.status, 503);
    let (exit, doctor) = run_json(&["doctor", "--data", &dir]);
    assert!(
        exit == 1 && doctor["faults"].to_string().contains(name),
        "{doctor}"
    );
    let (exit, found) = verify();
    assert!(
        exit == 3 && found["faults"].to_string().contains("missing"),
        "{found}"
    );

    // Put back from a copy, all is well; a restored database finds its packs, and every body can go home.
    std::fs::write(&pack, &bytes).unwrap();
    assert_eq!(read(&p.s, &token, old).await.text, hot);
    assert_eq!(verify().0, 0);
    p.s.kill();
    let restored = done(&[
        "restore",
        "--data",
        &dir,
        "--from",
        to.to_str().unwrap(),
        "--force",
    ]);
    assert_eq!(
        (&restored["packs"], &restored["packs_missing"]),
        (&1.into(), &0.into()),
        "{restored}"
    );
    let url = "postgres://v@127.0.0.1:1/v?sslmode=disable";
    let moved = run(&["migrate", "--from-embedded", &dir, "--database-url", url]);
    let said = String::from_utf8_lossy(&moved.stderr).into_owned();
    assert!(
        moved.status.code() == Some(1) && said.contains("archive recall --all --hot"),
        "{said}"
    );
    let home = p.done(&["recall", "--all", "--hot"]);
    assert_eq!(
        (&home["home"], &home["done"]),
        (&1.into(), &true.into()),
        "{home}"
    );
    std::fs::remove_file(&pack).unwrap();
    let data = p.s.data.clone();
    p.s = Server::start(&data);
    assert_eq!(
        read(&p.s, &token, old).await.text,
        hot,
        "nothing is in packs any more"
    );
}
