//! Images from modalities: Debian's DCMTK sends them, over TCP and TLS.

mod harness;
use harness::images::{Made, walk};
use harness::*;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

struct Ward {
    _folder: tempfile::TempDir,
    server: Server,
    token: String,
}

/// A server at which DCMTK's senders are known.
async fn ward(more: &str) -> Ward {
    let (folder, data) = folder();
    done(&["demo", "--data", data.to_str().unwrap(), "--patients", "1"]);
    let peers = "[dimse]\naddress = \"127.0.0.1:0\"\npeers = [\"ECHOSCU\", \"STORESCU@127.0.0.1\"]\n";
    std::fs::write(data.join("vitrine.toml"), format!("{peers}{more}")).unwrap();
    let server = Server::start(&data);
    let token = server.client_token("system/*.cruds").await;
    for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
        let (status, answer) = server.fhir(&token, "/fhir", placed(p, w).to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    Ward {
        _folder: folder,
        server,
        token,
    }
}

impl Ward {
    fn port(&self) -> String {
        let at = self.server.ready["dimse"].as_str().expect("an address");
        at.rsplit(':').next().unwrap().to_owned()
    }

    fn dcmtk(&self, program: &str, args: &[&str], files: &[&Path]) -> (bool, String) {
        let port = self.port();
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(program)
            .args(args)
            .args(["127.0.0.1", &port])
            .args(files)
            .output()
            .unwrap_or_else(|e| panic!("{program} (package dcmtk): {e}"));
        let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        (status.success(), said)
    }

    async fn listed(&self, path: &str) -> Vec<Value> {
        let answer = self
            .server
            .get(path)
            .bearer_auth(&self.token)
            .send()
            .await
            .unwrap();
        match answer.status().as_u16() {
            204 => Vec::new(),
            200 => serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap(),
            other => panic!("{path}: {other}"),
        }
    }

    async fn object(&self, made: &Made) -> Vec<u8> {
        let path = format!(
            "/dicomweb/studies/{}/series/{}/instances/{}",
            made.study,
            made.series_uid(),
            made.uid()
        );
        let answer = self
            .server
            .get(&path)
            .bearer_auth(&self.token)
            .header("accept", "application/dicom");
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap().to_vec()
    }
}

/// What follows group 0002.
fn data_set(file: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap());
    &file[144 + usize::try_from(length).unwrap()..]
}

fn written(folder: &Path, name: &str, made: &Made) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, made.bytes()).unwrap();
    path
}

const CALL: &[&str] = &["-aec", "VITRINE"];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_modality_sends_is_kept_as_it_was() {
    let mut w = ward("").await;
    let t = tempfile::tempdir().unwrap();
    let (ok, said) = w.dcmtk("echoscu", CALL, &[]);
    assert!(ok, "{said}");
    let slices: Vec<Made> = (1..=20)
        .map(|number| Made {
            number,
            fill: number as u8,
            ..Made::default()
        })
        .collect();
    let files: Vec<_> = slices
        .iter()
        .map(|m| written(t.path(), &m.number.to_string(), m))
        .collect();
    let files: Vec<&Path> = files.iter().map(|f| f.as_path()).collect();
    let (ok, said) = w.dcmtk("storescu", CALL, &files);
    assert!(ok, "{said}");
    let data = w.server.data.clone();
    w.server.kill();
    w.server = Server::start(&data);
    let study = slices[0].study;
    assert_eq!(
        w.listed(&format!("/dicomweb/studies/{study}/instances"))
            .await
            .len(),
        20
    );
    for made in &slices {
        let (given, sent) = (w.object(made).await, made.bytes());
        assert_eq!(data_set(&given), data_set(&sent), "slice {}", made.number);
    }
    let studies = w.listed("/dicomweb/studies?PatientID=mrn-pat-ed").await;
    assert_eq!(studies[0]["00201208"]["Value"][0], 20);
    let answer = w
        .server
        .get("/fhir/Patient/pat-ed/$everything")
        .bearer_auth(&w.token);
    let chart = json_of(answer.send().await.unwrap()).await;
    let counted = chart["entry"].as_array().unwrap().iter().any(|e| {
        e["resource"]["resourceType"] == "ImagingStudy" && e["resource"]["numberOfInstances"] == json!(20)
    });
    assert!(counted, "the ImagingStudy counts what came: {chart}");
    let rows = w.server.audit();
    let by = |r: &&Value| r["action"] == "import-data" && r["actor"].to_string().contains("AE STORESCU");
    assert!(
        rows.iter().filter(by).count() >= 20,
        "each is in the log with who sent it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_refused_and_what_does_not_fit_is_kept() {
    let w = ward("").await;
    let t = tempfile::tempdir().unwrap();
    for wrong in [&["-aec", "OTHER"][..], &["-aec", "VITRINE", "-aet", "STRANGER"]] {
        let (ok, said) = w.dcmtk("echoscu", wrong, &[]);
        assert!(!ok && said.contains("Rejected"), "{wrong:?}: {said}");
    }
    let good = written(t.path(), "good", &Made::default());
    let cases = [
        (
            "nobody",
            Made {
                patient: "unknown",
                number: 2,
                ..Made::default()
            },
        ),
        (
            "other-name",
            Made {
                name: "Other^Una",
                number: 3,
                ..Made::default()
            },
        ),
        (
            "other-bytes",
            Made {
                fill: 99,
                ..Made::default()
            },
        ),
    ];
    let (ok, said) = w.dcmtk("storescu", CALL, &[&good]);
    assert!(ok, "{said}");
    for (name, made) in &cases {
        let file = written(t.path(), name, made);
        let (ok, said) = w.dcmtk("storescu", &["-aec", "VITRINE", "-v"], &[&file]);
        assert!(!ok || said.contains("0xc00"), "{name}: {said}");
    }
    // One that is refused holds nobody up: with --halt off the rest of the same association is stored.
    let bad = written(
        t.path(),
        "bad",
        &Made {
            patient: "unknown",
            number: 4,
            ..Made::default()
        },
    );
    let more = written(
        t.path(),
        "more",
        &Made {
            number: 5,
            ..Made::default()
        },
    );
    let _ = w.dcmtk("storescu", &["-aec", "VITRINE", "-nh"], &[&bad, &more]);
    let study = Made::default().study;
    assert_eq!(
        w.listed(&format!("/dicomweb/studies/{study}/instances"))
            .await
            .len(),
        2
    );
    let report = done(&["doctor", "--data", w.server.dir()]).to_string();
    assert!(report.contains("\"quarantined\":4"), "{report}");
    assert!(walk(&w.server.data.join("images")).len() >= 6, "their files too");

    // Noise, silence and a full house end nothing but themselves.
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xFF; 300],
        &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1],
        b"",
    ] {
        let mut socket = std::net::TcpStream::connect(format!("127.0.0.1:{}", w.port())).unwrap();
        let _ = socket.write_all(noise);
    }
    let (ok, said) = w.dcmtk("echoscu", CALL, &[]);
    assert!(ok, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_and_no_more_at_once_than_allowed() {
    let w = ward("tls = true\nassociations = 2\n").await;
    let ca = w.server.data.join("ca.pem");
    let tls = [
        "-aec",
        "VITRINE",
        "--anonymous-tls",
        "--add-cert-file",
        ca.to_str().unwrap(),
    ];
    let (ok, said) = w.dcmtk("echoscu", &tls, &[]);
    assert!(ok, "{said} {}", std::fs::read_to_string(&w.server.log).unwrap());
    let (ok, _) = w.dcmtk("echoscu", &["-aec", "VITRINE", "-ta", "5", "-td", "5"], &[]);
    assert!(!ok, "without TLS");
    let t = tempfile::tempdir().unwrap();
    let file = written(t.path(), "1", &Made::default());
    let (ok, said) = w.dcmtk("storescu", &tls, &[&file]);
    assert!(ok, "{said}");
    assert_eq!(
        data_set(&w.object(&Made::default()).await),
        data_set(&Made::default().bytes())
    );
    // Two that say nothing have both places.
    let at = format!("127.0.0.1:{}", w.port());
    let silent: Vec<_> = (0..2)
        .map(|_| std::net::TcpStream::connect(&at).unwrap())
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!w.dcmtk("echoscu", &tls, &[]).0, "a third is refused");
    drop(silent);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let (ok, said) = w.dcmtk("echoscu", &tls, &[]);
    assert!(ok, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_ask_finds_studies_series_and_images() {
    let w = ward("query = [\"FINDSCU@127.0.0.1\"]\n").await;
    let folder = tempfile::tempdir().unwrap();
    let slices: Vec<Made> = [(1, 1), (1, 2), (2, 1)]
        .into_iter()
        .map(|(series, number)| Made {
            series,
            number,
            ..Made::default()
        })
        .collect();
    let files: Vec<_> = slices
        .iter()
        .enumerate()
        .map(|(n, made)| written(folder.path(), &n.to_string(), made))
        .collect();
    let paths: Vec<&Path> = files.iter().map(std::path::PathBuf::as_path).collect();
    let (well, said) = w.dcmtk("storescu", CALL, &paths);
    assert!(well, "{said}");

    let study = slices[0].study;
    let find = |title: &str, keys: &[&str]| {
        let mut args = vec!["-v", "-S", "-aet", title, "-aec", "VITRINE"];
        for key in keys {
            args.extend(["-k", key]);
        }
        w.dcmtk("findscu", &args, &[]).1
    };
    let responses = |said: &str| said.matches("Find Response: ").count();
    let of = |uid: &str| format!("0020,000d={uid}");
    for (keys, n) in [
        (
            vec!["0008,0052=STUDY", "0010,0010=TEST*", "0020,000d", "0010,0020"],
            1,
        ),
        (vec!["0008,0052=STUDY", "0010,0010=Other*", "0020,000d"], 0),
        (
            vec![
                "0008,0052=STUDY",
                "0010,0020=mrn-pat-ed",
                "0008,0020=20260101-20260201",
            ],
            1,
        ),
        (vec!["0008,0052=STUDY", "0008,0020=20260201-"], 0),
        (vec!["0008,0052=STUDY", "0008,1030=CT T*"], 1),
        (vec!["0008,0052=STUDY", "0008,1030=MR*"], 0),
        (vec!["0008,0052=STUDY", &of(study), "0020,1208"], 1),
        (vec!["0008,0052=SERIES", &of(study), "0020,000e", "0008,0060"], 2),
        (vec!["0008,0052=SERIES", &of(study), "0020,0011=2"], 1),
        (vec!["0008,0052=SERIES", &of("1.2.3"), "0020,000e"], 0),
        (
            vec![
                "0008,0052=IMAGE",
                &of(study),
                &format!("0020,000e={}", slices[0].series_uid()),
                "0008,0018",
            ],
            2,
        ),
    ] {
        let said = find("FINDSCU", &keys);
        assert_eq!(responses(&said), n, "{keys:?}: {said}");
        assert!(said.contains("Final Find Response (Success)"), "{keys:?}: {said}");
    }
    let said = find(
        "FINDSCU",
        &[
            "0008,0052=STUDY",
            "0010,0010",
            "0010,0020",
            "0008,0061",
            "0020,1208",
        ],
    );
    for value in ["Testperson^Una", "mrn-pat-ed", "[CT]", "[3 ]"] {
        assert!(said.contains(value), "{value}: {said}");
    }
    // A key that the index has not is matched by everything, and that is said.
    let said = find("FINDSCU", &["0008,0052=STUDY", "0018,0015=HEAD", "0020,000d"]);
    assert_eq!(responses(&said), 1, "{said}");
    assert!(said.contains("Pending: WarningUnsupportedOptionalKeys"), "{said}");
    // What cannot be asked is said to be so.
    for keys in [
        vec!["0008,0052=PATIENT", "0010,0020"],
        vec!["0008,0052=STUDY", "0010,0020=mrn*"],
        vec!["0008,0052=STUDY", "0010,0010=*person"],
        vec!["0008,0052=SERIES", "0020,000d"],
    ] {
        let said = find("FINDSCU", &keys);
        assert!(
            said.contains("Identifier does not match SOP class")
                || said.contains("DataSetDoesNotMatchSOPClass"),
            "{keys:?}: {said}"
        );
        assert_eq!(responses(&said), 0, "{keys:?}");
    }
    // A modality may send and not ask.
    let said = find("STORESCU", &["0008,0052=STUDY", "0010,0010=Test*"]);
    assert!(said.contains("0x124"), "not authorised: {said}");
    assert_eq!(responses(&said), 0);
    let rows = w.server.audit();
    let asked = rows
        .iter()
        .filter(|r| r["actor"].to_string().contains("AE FINDSCU"));
    let named = asked.filter(|r| r["disclosure"]["patients"].to_string().contains("pat-ed"));
    assert!(named.count() > 3, "who asked and was shown whom is written down");
}
