//! Copies of originals: made, read back, mended, removed, brought back; with folders and with an S3 server.

mod harness;
use harness::command::{add_user, archive, password};
use harness::images::{Made, RELATED, parts, related, walk};
use harness::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use vitrine_dicom::phantom::{Kind, Phantom, Subject};

/// How long anything may take until it is as it should be.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server with copies, and who stores and reads.
struct House {
    folder: tempfile::TempDir,
    data: PathBuf,
    server: Server,
    token: String,
}

fn folders(folder: &Path, names: &[&str]) -> String {
    let table = |n: &&str| {
        let path = folder.join(n);
        std::fs::create_dir_all(&path).unwrap();
        format!(
            "[[images.copies]]\nname = \"{n}\"\nurl = \"file://{}\"\n",
            path.display()
        )
    };
    names.iter().map(table).collect()
}

impl House {
    async fn new(names: &[&str], more: &str) -> Self {
        let (folder, data) = folder();
        let targets = folders(folder.path(), names);
        Self::with(folder, data, &format!("{more}\n{targets}")).await
    }

    async fn with(folder: tempfile::TempDir, data: PathBuf, config: &str) -> Self {
        let file = folder.path().join("vitrine.toml");
        std::fs::write(&file, config).unwrap();
        let server = Server::start_with(&data, &["--config", file.to_str().unwrap()]);
        std::fs::copy(&file, data.join("vitrine.toml")).unwrap();
        let token = server.client_token("system/*.cruds").await;
        for p in ["pat-ed", "pat-icu"] {
            let (status, answer) = server.fhir(&token, "/fhir", placed(p, "ED").to_string()).await;
            assert_eq!(status, 200, "{answer}");
        }
        Self {
            folder,
            data,
            server,
            token,
        }
    }

    fn dir(&self) -> &str {
        self.data.to_str().unwrap()
    }

    fn restart(&mut self) {
        self.server.kill();
        self.server = Server::start(&self.data);
    }

    /// Sends an object; gives its status, or nothing when the server went away meanwhile.
    async fn send(&self, bytes: Vec<u8>) -> Option<u16> {
        let sent = self.server.post("/dicomweb/studies").bearer_auth(&self.token);
        let sent = sent
            .header("content-type", RELATED)
            .body(related(&[bytes]))
            .send();
        Some(sent.await.ok()?.status().as_u16())
    }

    async fn store(&self, made: &Made) {
        assert_eq!(self.send(made.bytes()).await, Some(200));
    }

    /// Reads an instance; gives status, body's bytes when whole, else what was said.
    async fn read(&self, made: &Made) -> (u16, Result<Vec<u8>, String>) {
        let path = format!(
            "/dicomweb/studies/{}/series/{}/instances/{}",
            made.study,
            made.series_uid(),
            made.uid()
        );
        let answer = self.server.get(&path).bearer_auth(&self.token).send().await;
        // A connection that ends before the head of its answer is no answer either.
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => return (0, Err(e.to_string())),
        };
        let status = answer.status().as_u16();
        let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
        match answer.bytes().await {
            Ok(body) if status == 200 => (status, Ok(parts(&media, &body).remove(0))),
            Ok(body) => (status, Err(String::from_utf8_lossy(&body).into_owned())),
            Err(e) => (status, Err(e.to_string())),
        }
    }

    fn copies(&self) -> Value {
        run_json(&["images", "copies", "--data", self.dir()]).1
    }

    /// Waits until each place has its number of verified files and nothing is out of order.
    async fn settled(&self, places: &[&str], n: u64) -> Value {
        let is = |v: &Value| {
            let all = v["targets"].as_array().unwrap().iter();
            let ok = |t: &&Value| t["verified"] == n && t["pending"] == 0;
            let good = all.filter(|t| places.iter().any(|p| t["target"] == **p));
            good.filter(ok).count() == places.len()
        };
        self.until(is).await
    }

    async fn until(&self, is: impl Fn(&Value) -> bool) -> Value {
        let until = vitrine_server::clock::steady() + PATIENCE;
        loop {
            let now = self.copies();
            if is(&now) {
                return now;
            }
            assert!(
                vitrine_server::clock::steady() < until,
                "{now}\n{}",
                std::fs::read_to_string(&self.server.log).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    fn originals(&self) -> Vec<PathBuf> {
        let folder = self.data.join("images");
        let mut all = walk(&folder);
        // Packs lie there too: they are no originals, and nobody copies them.
        all.retain(|p| !p.starts_with(folder.join("incoming")));
        all
    }

    fn files_at(&self, target: &str) -> Vec<PathBuf> {
        let mut all = walk(&self.folder.path().join(target));
        all.retain(|p| p.file_name().unwrap() != "vitrine-copies");
        all.sort();
        all
    }

    /// The file of the only original, and where it lies at a target.
    fn only(&self, target: &str) -> (PathBuf, PathBuf) {
        let [there] = &self.files_at(target)[..] else {
            panic!("{:?}", self.files_at(target))
        };
        let at = there.strip_prefix(self.folder.path().join(target)).unwrap();
        (self.data.join("images").join(at), there.clone())
    }

    fn scrub(&self) -> (i32, Value) {
        run_json(&["images", "scrub", "--data", self.dir()])
    }

    /// The repairs in the audit log: from where, to where.
    fn mended(&self) -> Vec<(String, String)> {
        let mut rows = self.server.audit();
        rows.retain(|r| r["notes"]["use"] == "mend-image");
        let of = |r: &Value, key: &str| r["notes"][key].as_str().unwrap().to_owned();
        rows.iter().map(|r| (of(r, "from"), of(r, "to"))).collect()
    }
}

/// Changes one byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn slices(n: u32) -> Vec<Made> {
    let made = |number| Made {
        number,
        ..Made::default()
    };
    (1..=n).map(made).collect()
}

/// A picture of more than the part in which a large file is sent.
fn large() -> Vec<u8> {
    let phantom = Phantom {
        subject: Subject {
            id: "mrn-pat-ed".into(),
            name: "Testperson^Una".into(),
            birth_date: Some("19700301".into()),
            study_date: "20260210".into(),
            ..Subject::default()
        },
        rows: 2_500,
        columns: 2_500,
        count: 1,
        study: 9,
        ..Phantom::new(Kind::CtSigned, 3)
    };
    let mut bytes = Vec::new();
    phantom.write(0, &mut bytes).unwrap();
    assert!(bytes.len() > 9 << 20, "{}", bytes.len());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_original_has_three_copies_byte_for_byte() {
    let h = House::new(&["east", "west"], "").await;
    for made in slices(4) {
        h.store(&made).await;
    }
    assert_eq!(h.send(large()).await, Some(200));
    let json = h.settled(&["local", "east", "west"], 5).await;
    assert_eq!(
        (&json["lost"], &json["unlisted"]),
        (&0.into(), &0.into()),
        "{json}"
    );
    for target in ["east", "west"] {
        let files = h.files_at(target);
        assert_eq!(files.len(), 5, "{files:?}");
        for there in files {
            let at = there.strip_prefix(h.folder.path().join(target)).unwrap();
            let here = std::fs::read(h.data.join("images").join(at)).unwrap();
            let copy = std::fs::read(&there).unwrap();
            assert!(here == copy, "{}", there.display());
            let shows = copy.windows(10).any(|w| w == b"Testperson");
            assert!(!shows, "a target learns nothing");
        }
    }
    assert!(h.mended().is_empty(), "a first copy mends nothing");

    // In order: exit 0, and words. What is read again stays so.
    let words = run(&["images", "copies", "--data", h.dir()]);
    let text = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.status.success() && text.contains("everything else is in order"),
        "{text}"
    );
    let (exit, json) = h.scrub();
    assert_eq!(
        (exit, &json["left"], &json["verified"]),
        (0, &0.into(), &15.into()),
        "{json}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_original_is_never_given_and_is_mended() {
    let h = House::new(&["east", "west"], "").await;
    let made = &slices(1)[0];
    h.store(made).await;
    h.settled(&["local", "east", "west"], 1).await;
    let (here, there) = h.only("east");
    let whole = std::fs::read(&there).unwrap();

    flip(&here);
    let (_, said) = h.read(made).await;
    assert!(said.is_err(), "a changed byte is never given");
    // Who read it said so: it is mended without a command.
    h.until(|_| std::fs::read(&here).unwrap() == whole).await;
    assert_eq!(h.read(made).await, (200, Ok(made.bytes())));

    flip(&here);
    let (exit, json) = h.scrub();
    assert_eq!(exit, 0, "{json}");
    h.until(|_| std::fs::read(&here).unwrap() == whole).await;
    assert_eq!(h.read(made).await, (200, Ok(made.bytes())));

    // Gone altogether: whoever reads it does not notice.
    std::fs::remove_file(&here).unwrap();
    assert_eq!(h.read(made).await, (200, Ok(made.bytes())));
    assert!(std::fs::read(&here).unwrap() == whole);
    let each = ("east".to_owned(), "local".to_owned());
    assert_eq!(h.mended(), vec![each; 3], "each is written down");
    // Whoever came second with the same mending has let go of it.
    h.until(|_| walk(&h.data.join("images/incoming")).is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_missing_copies_are_mended() {
    let h = House::new(&["east", "west"], "").await;
    let made = &slices(1)[0];
    h.store(made).await;
    h.settled(&["local", "east", "west"], 1).await;
    let (here, east) = h.only("east");
    let (_, west) = h.only("west");
    let whole = std::fs::read(&here).unwrap();
    flip(&east);
    std::fs::remove_file(&west).unwrap();
    let (exit, json) = h.scrub();
    assert_eq!(exit, 0, "{json}");
    h.settled(&["local", "east", "west"], 1).await;
    for copy in [&east, &west] {
        assert!(std::fs::read(copy).unwrap() == whole, "{}", copy.display());
    }
    let mut mended = h.mended();
    mended.sort();
    let to = |t: &str| ("local".to_owned(), t.to_owned());
    assert_eq!(mended, [to("east"), to("west")]);

    // Nothing good anywhere: it is said, named, and nothing is removed.
    for path in [&here, &east, &west] {
        flip(path);
    }
    let bad = std::fs::read(&here).unwrap();
    let (exit, json) = h.scrub();
    assert_eq!(exit, 1, "{json}");
    let json = h.until(|v| v["lost"] == 1).await;
    let named = json["faulty"].to_string();
    assert!(
        named.contains(&made.uid()) && named.contains("\"damaged\""),
        "{json}"
    );
    assert_eq!(run_json(&["images", "copies", "--data", h.dir()]).0, 1);
    let (exit, report) = run_json(&["doctor", "--data", h.dir()]);
    assert_eq!((exit, &report["images"]["lost"]), (1, &1.into()), "{report}");
    for path in [&here, &east, &west] {
        assert!(std::fs::read(path).unwrap() == bad, "{}", path.display());
    }
    assert!(h.read(made).await.1.is_err());
    // One of them comes back by hand: the others follow.
    std::fs::write(&west, &whole).unwrap();
    h.scrub();
    h.settled(&["local", "east", "west"], 1).await;
    assert_eq!(h.read(made).await, (200, Ok(made.bytes())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_away_keeps_no_other_from_anything() {
    let mut h = House::new(&["east", "west"], "").await;
    let all = slices(3);
    h.store(&all[0]).await;
    h.settled(&["local", "east", "west"], 1).await;
    let (east, aside) = (h.folder.path().join("east"), h.folder.path().join("aside"));
    std::fs::rename(&east, &aside).unwrap();
    h.store(&all[1]).await;
    let json = h.settled(&["local", "west"], 2).await;
    let of = |v: &Value, name: &str| {
        let mut all = v["targets"].as_array().unwrap().iter();
        all.find(|t| t["target"] == name).unwrap().clone()
    };
    assert_eq!(
        of(&json, "east")["pending"].as_u64().unwrap() + of(&json, "east")["failed"].as_u64().unwrap(),
        1
    );
    let json = h.until(|v| of(v, "east")["away_since"].is_string()).await;
    assert!(
        of(&json, "east")["why"].as_str().unwrap().contains("mounted"),
        "{json}"
    );

    // The folder under a disk that is not mounted is not the target.
    std::fs::create_dir(&east).unwrap();
    let json = h
        .until(|v| {
            of(v, "east")["why"]
                .as_str()
                .is_some_and(|w| w.contains("vitrine-copies"))
        })
        .await;
    assert!(walk(&east).is_empty(), "nothing is written there: {json}");

    // It is known which it was also after a restart. Back, it gets what it lacks.
    h.restart();
    h.store(&all[2]).await;
    h.settled(&["local", "west"], 3).await;
    assert!(walk(&east).is_empty());
    std::fs::remove_dir(&east).unwrap();
    std::fs::rename(&aside, &east).unwrap();
    let json = h.settled(&["local", "east", "west"], 3).await;
    assert_eq!(of(&json, "east")["away_since"], Value::Null, "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_moment_goes_on() {
    let mut h = House::new(&["east", "west"], "").await;
    let all = slices(12);
    let mut kept = 0;
    for (i, made) in all.iter().enumerate() {
        if h.send(made.bytes()).await == Some(200) {
            kept += 1;
        }
        if i % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(11 * i as u64)).await;
            h.restart();
        }
    }
    assert_eq!(kept, 12);
    // What a copy that was cut off leaves beside its place goes with the next one.
    let some = h.files_at("west").first().cloned();
    let half = some.map(|p| PathBuf::from(format!("{}#7", p.display())));
    if let Some(half) = &half {
        std::fs::write(half, b"half").unwrap();
        std::fs::remove_file(half.to_str().unwrap().trim_end_matches("#7")).unwrap();
        h.scrub();
    }
    h.settled(&["local", "east", "west"], 12).await;
    for target in ["east", "west"] {
        let files = h.files_at(target);
        assert_eq!(files.len(), 12, "{files:?}");
        for there in files {
            let at = there.strip_prefix(h.folder.path().join(target)).unwrap();
            let here = std::fs::read(h.data.join("images").join(at)).unwrap();
            assert!(here == std::fs::read(&there).unwrap());
        }
    }

    // A copy whose row was not written is found, not made again.
    let made = Made {
        series: 2,
        ..Made::default()
    };
    let (east, aside) = (h.folder.path().join("east"), h.folder.path().join("aside"));
    std::fs::rename(&east, &aside).unwrap();
    h.store(&made).await;
    h.settled(&["local", "west"], 13).await;
    let known = h.files_at("west").into_iter();
    let mut names = known.map(|p| p.strip_prefix(h.folder.path().join("west")).unwrap().to_owned());
    let new = names.find(|n| !aside.join(n).exists()).unwrap();
    std::fs::create_dir_all(aside.join(&new).parent().unwrap()).unwrap();
    std::fs::copy(h.folder.path().join("west").join(&new), aside.join(&new)).unwrap();
    let before = std::fs::metadata(aside.join(&new)).unwrap();
    h.server.kill();
    std::fs::rename(&aside, &east).unwrap();
    h.server = Server::start(&h.data);
    h.settled(&["local", "east", "west"], 13).await;
    let after = std::fs::metadata(east.join(&new)).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(
        (before.ino(), before.modified().unwrap()),
        (after.ino(), after.modified().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_record_leaves_no_copy_anywhere() {
    let h = House::new(&["east", "west"], "").await;
    let other = Made {
        patient: "mrn-pat-icu",
        study: "1.2.826.0.1.3680043.8.498.2",
        ..Made::default()
    };
    let made = &slices(1)[0];
    h.store(made).await;
    h.store(&other).await;
    h.settled(&["local", "east", "west"], 2).await;
    let originals = h.originals();
    for (user, role) in [
        ("petra", "privacy-officer"),
        ("paul", "privacy-officer"),
        ("ines", "clinical-it"),
    ] {
        add_user(h.dir(), user, role);
    }
    // One target is away while the record is destroyed.
    let (west, aside) = (h.folder.path().join("west"), h.folder.path().join("aside"));
    std::fs::rename(&west, &aside).unwrap();
    let ask = [
        "destroy",
        "request",
        "--patient",
        "pat-ed",
        "--reason",
        "its time is over",
        "--by",
        "petra",
        "--secret-stdin",
    ];
    let (exit, json, said) = archive(h.dir(), &ask, &password("petra"));
    assert_eq!(exit, 0, "{said}");
    let id = json["id"].as_str().unwrap().to_owned();
    for by in ["paul", "ines"] {
        let approve = ["destroy", "approve", &id, "--by", by, "--secret-stdin"];
        let (exit, _, said) = archive(h.dir(), &approve, &password(by));
        assert_eq!(exit, 0, "{said}");
    }
    let (exit, _, said) = archive(h.dir(), &["destroy", "carry-out", &id], "");
    assert_eq!(exit, 0, "{said}");

    h.until(|_| h.files_at("east").len() == 1).await;
    let kept = h.only("east").0;
    h.until(|_| originals.iter().filter(|p| p.exists()).count() < originals.len())
        .await;
    assert!(kept.exists(), "the other's original stays");
    let of = |v: &Value, name: &str, state: &str| {
        let mut all = v["targets"].as_array().unwrap().iter();
        all.find(|t| t["target"] == name).unwrap()[state]
            .as_u64()
            .unwrap()
    };
    let json = h.copies();
    assert_eq!(of(&json, "west", "leaving"), 1, "it is not forgotten: {json}");
    let there = walk(&aside).len();
    assert_eq!(there, 3, "two copies and the mark");
    std::fs::rename(&aside, &west).unwrap();
    h.until(|v| of(v, "west", "leaving") == 0).await;
    assert_eq!(h.files_at("west").len(), 1);
    assert_eq!(h.only("west").0, kept);
    h.settled(&["local", "east", "west"], 1).await;
    assert_eq!(h.read(&other).await, (200, Ok(other.bytes())));
    assert_eq!(h.read(made).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_left_comes_back_when_it_is_asked_for() {
    let h = House::new(&["east", "west"], "[images]\nlocal_days = 2\n").await;
    let all = slices(2);
    for made in &all {
        h.store(made).await;
    }
    h.settled(&["local", "east", "west"], 2).await;
    // The packing reads them too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let here = |target: &str| -> Vec<PathBuf> {
        let root = h.folder.path().join(target);
        let files = h.files_at(target).into_iter();
        let at = files.map(|f| h.data.join("images").join(f.strip_prefix(&root).unwrap()));
        at.collect()
    };
    let files = here("east");
    let old = u64::try_from(now_ms()).unwrap() - 3 * 86_400_000;
    let old = std::time::UNIX_EPOCH + Duration::from_millis(old);
    let age = |path: &Path| {
        let times = std::fs::FileTimes::new().set_modified(old);
        std::fs::File::open(path).unwrap().set_times(times).unwrap();
    };
    // Read today: it stays.
    let (_, json) = h.scrub();
    assert!(files.iter().all(|f| f.exists()), "{json}");
    files.iter().for_each(|f| age(f));
    // A target that was verified once and does not answer is no copy: they stay.
    let moved = |from: &str, to: &str| {
        std::fs::rename(h.folder.path().join(from), h.folder.path().join(to)).unwrap();
    };
    moved("west", "no-west");
    h.scrub();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(files.iter().all(|f| f.exists()));
    moved("no-west", "west");
    h.scrub();
    let of = |v: &Value, state: &str| {
        let mut all = v["targets"].as_array().unwrap().iter();
        all.find(|t| t["target"] == "local").unwrap()[state]
            .as_u64()
            .unwrap()
    };
    let json = h.until(|v| of(v, "away") == 2).await;
    assert!(files.iter().all(|f| !f.exists()), "{json}");
    assert_eq!(
        run_json(&["images", "copies", "--data", h.dir()]).0,
        0,
        "that is in order"
    );

    // Several ask at once: all get it, and it is brought back once.
    let four = tokio::join!(h.read(&all[0]), h.read(&all[0]), h.read(&all[0]), h.read(&all[0]));
    for read in [four.0, four.1, four.2, four.3] {
        assert_eq!(read, (200, Ok(all[0].bytes())));
    }
    assert_eq!(files.iter().filter(|f| f.exists()).count(), 1);
    let brought = std::fs::read_to_string(&h.server.log).unwrap();
    let brought = brought.matches("an original was brought back").count();
    assert_eq!(brought, 1);

    // Its places do not answer: that is said, and it is not "not there".
    for target in ["east", "west"] {
        std::fs::rename(
            h.folder.path().join(target),
            h.folder.path().join(format!("no-{target}")),
        )
        .unwrap();
    }
    let (status, said) = h.read(&all[1]).await;
    let said = said.unwrap_err();
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("east") && said.contains("west"), "{said}");
    assert_eq!(h.read(&all[0]).await.0, 200);
    for target in ["east", "west"] {
        std::fs::rename(
            h.folder.path().join(format!("no-{target}")),
            h.folder.path().join(target),
        )
        .unwrap();
    }
    assert_eq!(h.read(&all[1]).await, (200, Ok(all[1].bytes())));

    // A copy that is damaged while the original is away is made of the other one.
    files.iter().for_each(|f| age(f));
    h.scrub();
    h.until(|v| of(v, "away") == 2).await;
    let copy = h.files_at("west").remove(0);
    let whole = std::fs::read(&copy).unwrap();
    flip(&copy);
    h.scrub();
    h.until(|_| std::fs::read(&copy).unwrap() == whole).await;
    assert_eq!(h.mended(), [("east".to_owned(), "west".to_owned())]);

    // What nobody has any more is said to be missing; it is not taken for one that is elsewhere.
    let gone = h.files_at("east").remove(0);
    std::fs::remove_file(
        h.folder
            .path()
            .join("west")
            .join(gone.strip_prefix(h.folder.path().join("east")).unwrap()),
    )
    .unwrap();
    std::fs::remove_file(&gone).unwrap();
    let read = [h.read(&all[0]).await.0, h.read(&all[1]).await.0];
    assert_eq!(read.iter().filter(|s| **s == 200).count(), 1, "{read:?}");
    let json = h.until(|v| of(v, "missing") == 1).await;
    assert_eq!((of(&json, "away"), of(&json, "verified")), (0, 1), "{json}");
    let store = std::fs::read_to_string(&h.server.log).unwrap();
    assert!(store.contains("an original is damaged or gone"), "{store}");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_fix() {
    let (t, data) = folder();
    let file = t.path().join("c.toml");
    let key = t.path().join("key");
    std::fs::write(&key, "id\nsecret\n").unwrap();
    let s3 = |more: &str| {
        format!(
            "[[images.copies]]\nname = \"a\"\nurl = \"s3://b\"\ncredentials = \"{}\"\n{more}",
            key.display()
        )
    };
    let inside = data.join("images/copies");
    for (config, words) in [
        (s3(""), "chmod 600"),
        (
            format!(
                "[[images.copies]]\nname = \"a\"\nurl = \"file://{}\"\n",
                inside.display()
            ),
            "choose a folder on another disk",
        ),
        (
            "[[images.copies]]\nname = \"a\"\nurl = \"s3://b\"\ncredentials = \"/no/such\"\n".to_owned(),
            "/no/such",
        ),
        (s3("endpoint = \"http://192.0.2.1\"\n"), "loopback"),
    ] {
        std::fs::write(&file, &config).unwrap();
        let args = ["serve", "--listen", "127.0.0.1:0", "--metrics", "off", "--data"];
        let out = run(&[
            &args[..],
            &[data.to_str().unwrap(), "--config", file.to_str().unwrap()],
        ]
        .concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            !out.status.success() && said.contains(words),
            "{config} gave {said}"
        );
    }
}

/// Python with the packages of tests/interop/requirements.txt.
fn python() -> std::ffi::OsString {
    std::env::var_os("VITRINE_PYTHON").expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it")
}

/// moto's S3: a process that keeps objects in memory and checks no signature.
struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(python())
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..150 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                moto.python("s3.create_bucket(Bucket='images')");
                return moto;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("moto does not answer");
    }

    /// Runs a line with boto3's client as `s3`; gives what it prints.
    fn python(&self, line: &str) -> String {
        let script = format!(
            "import boto3\ns3 = boto3.client('s3', endpoint_url='{}', region_name='us-east-1', \
             aws_access_key_id='id', aws_secret_access_key='secret')\n{line}\n",
            self.url
        );
        let out = Command::new(python()).args(["-c", &script]).output().unwrap();
        assert!(
            out.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        let listed = self.python(
            "print('\\n'.join(o['Key'] for o in s3.list_objects_v2(Bucket='images').get('Contents', [])))",
        );
        let all = listed.lines().map(str::to_owned);
        all.filter(|k| !k.is_empty() && !k.ends_with("vitrine-copies"))
            .collect()
    }

    fn sha256(&self, key: &str) -> String {
        let line = format!(
            "import hashlib; print(hashlib.sha256(s3.get_object(Bucket='images', Key='{key}')['Body'].read()).hexdigest())"
        );
        self.python(&line).trim().to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_target_like_any_other() {
    let moto = Moto::start();
    let (folder, data) = folder();
    let key = folder.path().join("s3.key");
    std::fs::write(&key, "id\nsecret\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[[images.copies]]\nname = \"bucket\"\nurl = \"s3://images/ward/originals\"\nendpoint = \"{}\"\ncredentials = \"{}\"\n{}",
        moto.url,
        key.display(),
        folders(folder.path(), &["east"])
    );
    let h = House::with(folder, data, &config).await;
    let made = &slices(1)[0];
    h.store(made).await;
    assert_eq!(h.send(large()).await, Some(200));
    h.settled(&["local", "bucket", "east"], 2).await;
    let digest = |path: &Path| {
        hex(ring::digest::digest(&ring::digest::SHA256, &std::fs::read(path).unwrap()).as_ref())
    };
    let keys = moto.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let root = h.folder.path().join("east");
    for key in &keys {
        let at = key.strip_prefix("ward/originals/").expect("under its prefix");
        assert_eq!(moto.sha256(key), digest(&root.join(at)), "{key}");
    }

    // One changed, one gone: both come back, the large one in parts.
    moto.python(&format!("s3.put_object(Bucket='images', Key='{}', Body=b'x' * s3.head_object(Bucket='images', Key='{}')['ContentLength'])", keys[0], keys[0]));
    moto.python(&format!("s3.delete_object(Bucket='images', Key='{}')", keys[1]));
    let (exit, json) = h.scrub();
    assert_eq!(exit, 0, "{json}");
    h.settled(&["local", "bucket", "east"], 2).await;
    for key in &keys {
        let at = key.strip_prefix("ward/originals/").unwrap();
        assert_eq!(moto.sha256(key), digest(&root.join(at)), "{key}");
    }
    let open = moto.python("print(len(s3.list_multipart_uploads(Bucket='images').get('Uploads', [])))");
    assert_eq!(open.trim(), "0", "no upload is left half done");

    // Only the bucket has it.
    let (here, there) = (h.data.join("images"), h.folder.path().join("east"));
    for key in &keys {
        let at = key.strip_prefix("ward/originals/").unwrap();
        std::fs::remove_file(here.join(at)).unwrap();
        std::fs::remove_file(there.join(at)).unwrap();
    }
    assert_eq!(h.read(made).await, (200, Ok(made.bytes())));
    h.scrub();
    h.settled(&["local", "bucket", "east"], 2).await;
    for key in &keys {
        let at = key.strip_prefix("ward/originals/").unwrap();
        assert_eq!(digest(&here.join(at)), digest(&there.join(at)));
        assert_eq!(moto.sha256(key), digest(&here.join(at)));
    }
}
