//! The quarantine of images by hand: looked at, filed again, given to a patient by decision, let go of.

mod harness;
use harness::command::archive;
use harness::images::{Made, RELATED, related, walk};
use harness::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vitrine_testpg::TestPg;

/// A place where the commands work.
struct Place {
    _folder: tempfile::TempDir,
    server: Server,
    database: Option<String>,
    token: String,
}

impl Place {
    async fn new(database: Option<&str>) -> Self {
        let (folder, data) = folder();
        let server = match database {
            None => Server::start(&data),
            Some(url) => Server::start_with(&data, &["--database-url", url]),
        };
        let token = server.client_token("system/*.cruds").await;
        for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
            let (status, answer) = server.fhir(&token, "/fhir", placed(p, w).to_string()).await;
            assert_eq!(status, 200, "{answer}");
        }
        Self {
            _folder: folder,
            server,
            database: database.map(str::to_owned),
            token,
        }
    }

    /// `images …`: exit code and object.
    fn images(&self, args: &[&str]) -> (i32, Value) {
        let mut all = vec!["images"];
        all.extend_from_slice(args);
        all.extend(["--data", self.server.dir()]);
        if let Some(url) = &self.database {
            all.extend(["--database-url", url]);
        }
        run_json(&all)
    }

    fn listed(&self) -> Vec<Value> {
        let (exit, json) = self.images(&["quarantine", "list"]);
        assert_eq!(exit, 0, "{json}");
        json["quarantined"].as_array().unwrap().clone()
    }

    async fn send(&self, path: &str, parts: &[Vec<u8>]) -> (u16, Value) {
        let answer = self
            .server
            .post(path)
            .bearer_auth(&self.token)
            .header("content-type", RELATED)
            .body(related(parts));
        let answer = answer.send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    }

    async fn got(&self, path: &str, accept: &str) -> (u16, Vec<u8>) {
        let asked = self.server.get(path).bearer_auth(&self.token);
        let answer = asked.header("accept", accept).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    /// Files of objects.
    fn files(&self) -> usize {
        let files = walk(&self.server.data.join("images"));
        files.iter().filter(|f| f.file_name().unwrap().len() > 64).count()
    }
    /// Files of an object: its digest names them.
    fn files_of(&self, bytes: &[u8]) -> usize {
        let digest = hex(&Sha256::digest(bytes));
        let files = walk(&self.server.data.join("images"));
        let named = |f: &&std::path::PathBuf| f.file_name().unwrap().to_string_lossy().starts_with(&digest);
        files.iter().filter(named).count()
    }
}

fn late(number: u32) -> Made {
    Made {
        patient: "mrn-late",
        number,
        study: "1.2.826.0.1.3680043.8.498.77",
        ..Made::default()
    }
}

fn path(made: &Made) -> String {
    format!(
        "/dicomweb/studies/{}/series/{}/instances/{}",
        made.study,
        made.series_uid(),
        made.uid()
    )
}

fn number(row: &Value) -> String {
    row["id"].as_u64().unwrap().to_string()
}

async fn walked(database: Option<&str>) {
    let mut p = Place::new(database).await;
    let wait: Vec<Made> = (1..=3).map(late).collect();
    let bytes: Vec<Vec<u8>> = wait.iter().map(Made::bytes).collect();
    let mut cut = late(9).bytes();
    cut.truncate(cut.len() - 100);
    let mut parts = bytes.clone();
    parts.push(cut.clone());
    assert_eq!(p.send("/dicomweb/studies", &parts).await.0, 409);
    let files = p.files();
    assert_eq!(files, 4);

    // Sent again and again it is kept once, and counted.
    for _ in 0..2 {
        assert_eq!(p.send("/dicomweb/studies", &bytes[..1]).await.0, 409);
    }
    let rows = p.listed();
    assert_eq!((rows.len(), p.files()), (4, files), "{rows:?}");
    let of = |rows: &[Value], made: &Made| {
        rows.iter()
            .find(|r| r["sop"] == made.uid())
            .unwrap_or_else(|| panic!("{rows:?}"))
            .clone()
    };
    let first = of(&rows, &wait[0]);
    assert_eq!((&first["repeats"], &first["code"]), (&json!(2), &json!("C001")));
    assert_eq!(of(&rows, &wait[1])["repeats"], 0);
    let broken = rows
        .iter()
        .find(|r| r["code"] == "C000")
        .expect("the cut one")
        .clone();

    // What it says of itself, and what would become of it; written down.
    let (exit, shown) = p.images(&["quarantine", "show", &number(&first)]);
    assert_eq!(exit, 0, "{shown}");
    assert_eq!(shown["header_patient_id"], "mrn-late");
    assert_eq!(shown["sha256"], hex(&Sha256::digest(&bytes[0])));
    assert!(
        shown["now"].as_str().unwrap().starts_with("C001: no patient"),
        "{shown}"
    );
    let seen = |what: &str| {
        let rows = p.server.audit();
        rows.iter().filter(|r| r["notes"]["use"] == what).count()
    };
    assert_eq!(seen("images-quarantine-show"), 1);

    // The cause is not mended: it stays, and the exit says so.
    let (exit, told) = p.images(&["quarantine", "refile", &number(&first)]);
    assert_eq!((exit, told["filed"].as_array().unwrap().len()), (1, 0), "{told}");
    assert_eq!(told["stays"][0]["code"], "C001");
    assert_eq!(p.listed().len(), 4);

    // It is mended: the patient of that number is there now. One, and again; then all of its kind.
    let mut person = patient("pat-late");
    person["identifier"][0]["value"] = json!("mrn-late");
    let (status, answer) = p.server.fhir(&p.token, "/fhir/Patient", person.to_string()).await;
    assert_eq!(status, 201, "{answer}");
    let whose = answer["id"].as_str().unwrap().to_owned();
    let (_, shown) = p.images(&["quarantine", "show", &number(&first)]);
    assert!(shown["now"].as_str().unwrap().ends_with(&whose), "{shown}");
    let (exit, told) = p.images(&["quarantine", "refile", &number(&first)]);
    assert_eq!(
        (exit, told["filed"][0]["was_there"].clone()),
        (0, json!(false)),
        "{told}"
    );
    let (exit, told) = p.images(&["quarantine", "refile", &number(&first)]);
    assert_eq!(exit, 2, "it is gone: {told}");
    assert!(told["error"].as_str().unwrap().contains("no image"), "{told}");
    // The second came once more meanwhile, and was filed: its item has nothing left to do.
    assert_eq!(p.send("/dicomweb/studies", &bytes[1..2]).await.0, 200);
    let (exit, told) = p.images(&["quarantine", "refile", "--all-of", "C001"]);
    assert_eq!(exit, 0, "{told}");
    let there: Vec<bool> = told["filed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["was_there"].as_bool().unwrap())
        .collect();
    assert_eq!(there.iter().filter(|t| **t).count(), 1, "{told}");
    assert_eq!((there.len(), p.listed().len(), p.files()), (2, 1, 4));
    for (made, sent) in wait.iter().zip(&bytes) {
        let (status, given) = p.got(&path(made), "application/dicom").await;
        assert_eq!((status, &given), (200, sent), "byte for byte");
    }
    let list = p
        .got("/dicomweb/studies?PatientID=mrn-late", "application/dicom+json")
        .await;
    let studies: Value = serde_json::from_slice(&list.1).unwrap();
    assert_eq!(studies[0]["00201208"]["Value"], json!([3]));

    // By decision: another name in the header, the right patient all the same.
    let odd = Made {
        name: "Smith^John",
        study: "1.2.826.0.1.3680043.8.498.78",
        ..Made::default()
    };
    assert_eq!(p.send("/dicomweb/studies", &[odd.bytes()]).await.0, 409);
    let id = number(&of(&p.listed(), &odd));
    let (exit, _) = p.images(&["quarantine", "refile", &id]);
    assert_eq!(exit, 1, "by itself it is still nobody's");
    for (args, exit) in [
        (vec!["quarantine", "refile", &id, "--patient", "mrn-pat-ed"], 2),
        (
            vec![
                "quarantine",
                "refile",
                &id,
                "--patient",
                "nobody",
                "--reason",
                "x",
            ],
            2,
        ),
        (
            vec![
                "quarantine",
                "refile",
                &id,
                "--patient",
                "mrn-pat-ed",
                "--reason",
                " ",
            ],
            2,
        ),
        (vec!["quarantine", "refile", "--all-of", "C0FF"], 2),
        (vec!["quarantine", "refile"], 2),
        (vec!["quarantine", "refile", &id, "99999"], 2),
    ] {
        assert_eq!(p.images(&args).0, exit, "{args:?}");
    }
    let why = "wristband and radiographer's note";
    let args = [
        "quarantine",
        "refile",
        &id,
        "--patient",
        "mrn-pat-ed",
        "--reason",
        why,
    ];
    let (exit, told) = p.images(&args);
    assert_eq!(
        (exit, told["filed"][0]["study"].clone()),
        (0, json!(odd.study)),
        "{told}"
    );
    let (status, given) = p.got(&path(&odd), "application/dicom").await;
    assert_eq!((status, given), (200, odd.bytes()), "the original is what it was");
    let (_, header) = p
        .got(&format!("{}/metadata", path(&odd)), "application/dicom+json")
        .await;
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(
        header[0]["00100010"]["Value"][0]["Alphabetic"], "Smith^John",
        "what differs stays to be seen"
    );
    let rows = p.server.audit();
    let decided: Vec<&Value> = rows.iter().filter(|r| r["notes"]["reason"] == why).collect();
    assert!(
        decided
            .iter()
            .any(|r| r["notes"]["patient-by-decision"] == "pat-ed"
                && r["disclosure"]["resources"].to_string().contains(&odd.uid())),
        "{decided:?}"
    );

    // What may be of a record under hold is not removed; what is removed leaves its row alone.
    let held = Made {
        patient: "mrn-pat-icu",
        birth: "19111111",
        study: "1.2.826.0.1.3680043.8.498.79",
        ..Made::default()
    };
    assert_eq!(p.send("/dicomweb/studies", &[held.bytes()]).await.0, 409);
    let id = number(&of(&p.listed(), &held));
    let (exit, json, said) = archive(
        p.server.dir(),
        &["hold", "--patient", "pat-icu", "--reason", "lawsuit"],
        "",
    );
    assert_eq!(exit, 0, "{json} {said}");
    let (exit, told) = p.images(&["quarantine", "discard", &id, "--reason", "not ours"]);
    assert_eq!(exit, 3, "{told}");
    assert_eq!(p.listed().len(), 2);
    // Nor is one that does not say whose it is, while any record is under hold.
    let id = number(&broken);
    let (exit, told) = p.images(&["quarantine", "discard", &id, "--reason", "cut off"]);
    assert_eq!(exit, 3, "{told}");
    let released = ["release", "--patient", "pat-icu", "--reason", "settled"];
    let (exit, json, said) = archive(p.server.dir(), &released, "");
    assert_eq!(exit, 0, "{json} {said}");
    assert_eq!(
        p.images(&["quarantine", "discard", &id]).0,
        2,
        "a reason is needed"
    );
    assert_eq!(p.files_of(&cut), 1);
    let (exit, told) = p.images(&[
        "quarantine",
        "discard",
        &id,
        "--reason",
        "cut off; sent again whole",
    ]);
    assert_eq!(exit, 0, "{told}");
    // By its digest: a pack of what was filed before may come to lie there meanwhile.
    assert_eq!((p.files_of(&cut), p.listed().len()), (0, 1));
    assert_eq!(
        p.images(&["quarantine", "discard", &id, "--reason", "again"]).0,
        2
    );
    let rows = p.server.audit();
    let gone = rows
        .iter()
        .find(|r| r["notes"]["reason"] == "cut off; sent again whole")
        .expect("a row");
    assert_eq!(gone["notes"]["sha256"], hex(&Sha256::digest(&cut)));
    // The same bytes once more: a new item, under a new number.
    assert_eq!(p.send("/dicomweb/studies", &[cut]).await.0, 409);
    assert_eq!(p.listed().len(), 2);
    assert!(p.listed().iter().all(|r| number(r) != id));

    // Looked at again: everything, one study, no study.
    for (args, exit) in [
        (vec!["look-again"], 2),
        (vec!["look-again", "--study", "1.2.3"], 2),
        (vec!["look-again", "--study", odd.study], 0),
        (vec!["look-again", "--all"], 0),
    ] {
        assert_eq!(p.images(&args).0, exit, "{args:?}");
    }

    // Without the server it is the same.
    p.server.kill();
    let rows = p.listed();
    assert_eq!(rows.len(), 2);
    let id = number(&of(&rows, &held));
    let args = [
        "quarantine",
        "refile",
        &id,
        "--patient",
        "pat-icu",
        "--reason",
        "birth date was a slip",
    ];
    let (exit, told) = p.images(&args);
    assert_eq!((exit, told["filed"].as_array().unwrap().len()), (0, 1), "{told}");
    assert_eq!(p.listed().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_worked_off_in_the_embedded_store() {
    walked(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_worked_off_in_postgresql() {
    let pg = TestPg::start().expect("PostgreSQL");
    walked(Some(&pg.database().expect("a database"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_another_study_is_filed_by_decision_alone() {
    let p = Place::new(None).await;
    let made = Made::default();
    assert_eq!(p.send("/dicomweb/studies/1.2.3", &[made.bytes()]).await.0, 409);
    let rows = p.listed();
    assert_eq!(rows[0]["code"], "C002", "{rows:?}");
    let id = number(&rows[0]);
    assert_eq!(
        p.images(&["quarantine", "refile", &id]).0,
        1,
        "its sender said otherwise"
    );
    let args = [
        "quarantine",
        "refile",
        &id,
        "--patient",
        "pat-ed",
        "--reason",
        "address mistyped",
    ];
    assert_eq!(p.images(&args).0, 0);
    assert_eq!(p.got(&path(&made), "application/dicom").await.0, 200);
}
