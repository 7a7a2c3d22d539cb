//! What is too deep, too long or too much, at every door of the FHIR API: refused with the status that says which, as an
//! OperationOutcome, soon, in little memory, and by a server that goes on.
#![allow(clippy::disallowed_methods)] // a test says how long it took

mod harness;
use flate2::Compression;
use flate2::write::GzEncoder;
use harness::*;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// One answer may take so long. It is a second as a rule; the tests run beside others, and unoptimised.
const SOON: Duration = Duration::from_secs(8);
/// So much memory may be taken at most beyond what the server has when it starts, in MiB.
const MEMORY: u64 = 500;

const JSON: &str = "application/fhir+json";
const FORM: &str = "application/x-www-form-urlencoded";

struct Place {
    _folder: tempfile::TempDir,
    s: Server,
    token: String,
    /// Speaks HTTP/1.1; the server's own client speaks HTTP/2.
    plain: reqwest::Client,
    began: u64,
}

/// The most memory that the server ever had, in MiB.
fn most_memory(s: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", s.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

impl Place {
    async fn new(limits: &str) -> Self {
        let (folder, data) = folder();
        let config = data.with_extension("toml");
        std::fs::write(&config, limits).unwrap();
        let s = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
        let token = s.client_token("system/*.cruds").await;
        let (status, answer) = s.fhir(&token, "/fhir", placed("pat-ed", "ED").to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let pem = std::fs::read(data.join("ca.pem")).unwrap();
        let plain = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .http1_only()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let began = most_memory(&s);
        Self {
            _folder: folder,
            s,
            token,
            plain,
            began,
        }
    }

    /// Sends it by HTTP/2 and by HTTP/1.1: both answers must be one of `want`, soon, and, where there is a body, an OperationOutcome
    /// that names `code`.
    async fn refuses(
        &self,
        what: &str,
        want: &[u16],
        code: &str,
        make: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) {
        for (version, client) in [("HTTP/2", self.s.http()), ("HTTP/1.1", &self.plain)] {
            let began = Instant::now();
            let answer = make(client).bearer_auth(&self.token).send().await;
            let took = began.elapsed();
            assert!(took < SOON, "{what}, {version}: {took:?}");
            let answer = match answer {
                Ok(answer) => answer,
                // What is far too large may be cut off while it is still being sent.
                Err(e) => {
                    println!("{what}, {version}: {e:?}");
                    assert!(want == [413], "{what}, {version}: {e:?}");
                    continue;
                }
            };
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap_or_default();
            println!(
                "{what}, {version}: {status} in {took:?} {}",
                text.chars().take(200).collect::<String>()
            );
            assert!(want.contains(&status), "{what}, {version}: {status} {text}");
            // The head of a request is refused below FHIR, without a word.
            if text.is_empty() && [414, 431].contains(&status) {
                continue;
            }
            let outcome: Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{what}, {version}: {text} ({e})"));
            assert_eq!(
                outcome["resourceType"], "OperationOutcome",
                "{what}, {version}: {text}"
            );
            assert_eq!(outcome["issue"][0]["code"], code, "{what}, {version}: {text}");
            assert!(
                text.len() < 4096,
                "{what}, {version}: {} bytes of answer",
                text.len()
            );
        }
    }

    async fn refuses_body(
        &self,
        what: &str,
        want: &[u16],
        code: &str,
        (method, path, media): (&str, &str, &str),
        body: Vec<u8>,
    ) {
        let body = bytes::Bytes::from(body);
        self.refuses(what, want, code, |c| {
            let method = method.parse::<reqwest::Method>().unwrap();
            c.request(method, self.s.url(path))
                .header("content-type", media)
                .body(body.clone())
        })
        .await;
    }

    /// Sends the head of a request of HTTP/1.1 as it is; the status of the answer and what else it says.
    async fn by_hand(&self, head: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(self.s.data.join("ca.pem")).unwrap();
        for one in rustls_pki_types::CertificateDer::pem_slice_iter(&pem) {
            roots.add(one.unwrap()).unwrap();
        }
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = self.s.url("").trim_start_matches("https://").to_owned();
        let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let host = address.split(':').next().unwrap().to_owned();
        let name = rustls_pki_types::ServerName::try_from(host).unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        // It may answer and end before all is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.flush().await;
        let mut out = Vec::new();
        let mut some = [0; 16 * 1024];
        let until = Duration::from_millis(700);
        while let Ok(Ok(n)) = tokio::time::timeout(until, stream.read(&mut some)).await {
            if n == 0 {
                break;
            }
            out.extend_from_slice(&some[..n]);
        }
        let text = String::from_utf8_lossy(&out).into_owned();
        let status = text.split_whitespace().nth(1).and_then(|s| s.parse().ok());
        (status.unwrap_or(0), text)
    }

    /// The server is there, kept nothing of all this, and did not take much memory.
    fn end(&self, kept: u64) {
        let took = most_memory(&self.s) - self.began;
        println!("memory: {} MiB at first, {took} more", self.began);
        assert!(took < MEMORY, "{took} MiB");
        let found = done(&["doctor", "--data", self.s.dir()]);
        let all = found["counts"]["resources"].as_object().unwrap();
        let all: u64 = all.values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(all, kept, "{found}");
    }
}

/// `n` levels of arrays.
fn deep(n: usize) -> String {
    format!("{}{}", "[".repeat(n), "]".repeat(n))
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_json_is_refused_at_every_door() {
    let p = Place::new("").await;
    let one = |n: usize| {
        format!(
            "{{\"resourceType\":\"Observation\",\"id\":\"deep\",\"extension\":{}}}",
            deep(n)
        )
    };
    let bundle = |kind: &str, n: usize| {
        format!(
            "{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\",\"entry\":[{{\"resource\":{},\"request\":{{\"method\":\"POST\",\"url\":\"Observation\"}}}}]}}",
            one(n)
        )
    };
    let post = |path| ("POST", path, JSON);
    for n in [65, 10_000, 1_000_000] {
        let what = |door: &str| format!("{n} levels, {door}");
        let of_type = post("/fhir/Observation");
        p.refuses_body(&what("create"), &[422], "too-long", of_type, one(n).into_bytes())
            .await;
        let put = ("PUT", "/fhir/Observation/deep", JSON);
        p.refuses_body(&what("update"), &[422], "too-long", put, one(n).into_bytes())
            .await;
        p.refuses_body(
            &what("transaction"),
            &[422],
            "too-long",
            post("/fhir"),
            bundle("transaction", n).into_bytes(),
        )
        .await;
        if n > 65 {
            p.refuses_body(
                &what("batch"),
                &[422],
                "too-long",
                post("/fhir"),
                bundle("batch", n).into_bytes(),
            )
            .await;
            let beside = format!(
                "{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"meta\":{}}}",
                deep(n)
            );
            p.refuses_body(
                &what("beside the entries"),
                &[422],
                "too-long",
                post("/fhir"),
                beside.into_bytes(),
            )
            .await;
        }
        let matching = format!("{{\"resourceType\":\"Patient\",\"extension\":{}}}", deep(n));
        // A description of a person has a bound of its own, which a million brackets are beyond.
        let want = if n > 10_000 { 413 } else { 422 };
        p.refuses_body(
            &what("$match"),
            &[want],
            "too-long",
            post("/fhir/Patient/$match"),
            matching.into_bytes(),
        )
        .await;
        let patch = format!(
            "[{{\"op\":\"add\",\"path\":\"/extension\",\"value\":{}}}]",
            deep(n)
        );
        let door = ("PATCH", "/fhir/Patient/pat-ed", "application/json-patch+json");
        p.refuses_body(&what("patch"), &[422], "too-long", door, patch.into_bytes())
            .await;
    }
    // The place is named, alone and within a Bundle.
    for (path, body, place) in [
        ("/fhir/Observation", one(65), "Observation.extension[0][0]"),
        (
            "/fhir",
            bundle("transaction", 65),
            "Bundle.entry[0].resource.extension[0][0]",
        ),
    ] {
        let (_, answer) = p.s.fhir(&p.token, path, body).await;
        let found = answer["issue"][0]["expression"][0].as_str().unwrap();
        assert!(found.starts_with(place), "{found}");
    }
    // In a batch one entry is refused for itself.
    let (status, answer) = p.s.fhir(&p.token, "/fhir", bundle("batch", 65)).await;
    let entry = &answer["entry"][0]["response"];
    assert_eq!(
        (status, &entry["status"]),
        (200, &json!("422 Unprocessable Entity")),
        "{answer}"
    );
    assert_eq!(entry["outcome"]["issue"][0]["code"], "too-long");
    p.end(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_and_many_parts_are_refused() {
    let p = Place::new("").await;
    let post = |path| ("POST", path, JSON);
    let with = |member: &str| {
        format!(
            "{{\"resourceType\":\"Observation\",\"status\":\"final\",\"subject\":{{\"reference\":\"Patient/pat-ed\"}},{member}}}"
        )
    };
    let entry = |one: &str| {
        format!("{{\"resource\":{one},\"request\":{{\"method\":\"POST\",\"url\":\"Observation\"}}}}")
    };
    let transaction = |entries: &str| {
        format!("{{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{entries}]}}")
    };

    let long = with(&format!(
        "\"code\":{{\"text\":\"{}\"}}",
        "a".repeat(17 * 1024 * 1024)
    ));
    p.refuses_body(
        "17 MiB of text",
        &[413],
        "too-long",
        post("/fhir/Observation"),
        long.clone().into_bytes(),
    )
    .await;
    p.refuses_body(
        "the same in a transaction",
        &[413],
        "too-long",
        post("/fhir"),
        transaction(&entry(&long)).into_bytes(),
    )
    .await;
    p.refuses_body(
        "65 MiB",
        &[413],
        "too-long",
        post("/fhir"),
        vec![b' '; 65 * 1024 * 1024],
    )
    .await;

    let codings = vec!["{\"system\":\"http://loinc.org\",\"code\":\"2823-3\"}"; 10_000].join(",");
    let coded = with(&format!("\"code\":{{\"coding\":[{codings}]}}"));
    p.refuses_body(
        "10,000 codings",
        &[422],
        "too-long",
        post("/fhir/Observation"),
        coded.clone().into_bytes(),
    )
    .await;
    p.refuses_body(
        "the same in a transaction",
        &[422],
        "too-long",
        post("/fhir"),
        transaction(&entry(&coded)).into_bytes(),
    )
    .await;

    let small = observation(None, "pat-ed", "4.10");
    let entries = vec![entry(&small); 100_000].join(",");
    p.refuses_body(
        "100,000 entries",
        &[413, 422],
        "too-long",
        post("/fhir"),
        transaction(&entries).into_bytes(),
    )
    .await;
    let reads = vec!["{\"request\":{\"method\":\"GET\",\"url\":\"Patient/none\"}}"; 100_000].join(",");
    let batch = format!("{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{reads}]}}");
    p.refuses_body(
        "100,000 reads",
        &[422],
        "too-long",
        post("/fhir"),
        batch.into_bytes(),
    )
    .await;

    let ops = vec!["{\"op\":\"test\",\"path\":\"/active\",\"value\":true}"; 1_001].join(",");
    let door = ("PATCH", "/fhir/Patient/pat-ed", "application/json-patch+json");
    p.refuses_body(
        "1,001 operations",
        &[422],
        "too-long",
        door,
        format!("[{ops}]").into_bytes(),
    )
    .await;
    let doubled: Vec<String> = (0..40)
        .map(|_| "{\"op\":\"copy\",\"from\":\"/name\",\"path\":\"/name/0\"}".to_owned())
        .collect();
    p.refuses_body(
        "copies of copies",
        &[422],
        "too-long",
        door,
        format!("[{}]", doubled.join(",")).into_bytes(),
    )
    .await;

    // Packed bodies are not taken: 256 MiB of nothing in 256 KiB.
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b' '; 1024 * 1024];
    for _ in 0..256 {
        packed.write_all(&zeros).unwrap();
    }
    let packed = bytes::Bytes::from(packed.finish().unwrap());
    for (path, media) in [
        ("/fhir", JSON),
        ("/fhir/Observation", JSON),
        ("/fhir/Patient/_search", FORM),
    ] {
        p.refuses(&format!("a gzip bomb to {path}"), &[415], "not-supported", |c| {
            c.post(p.s.url(path))
                .header("content-type", media)
                .header("content-encoding", "gzip")
                .body(packed.clone())
        })
        .await;
    }
    p.end(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_ask_too_much_are_refused() {
    let p = Place::new("").await;
    let get = |query: String| {
        let at = p.s.url(&format!("/fhir/Observation?patient=pat-ed&{query}"));
        move |c: &reqwest::Client| c.get(at.as_str())
    };
    let parameters = vec!["code=a"; 64].join("&");
    p.refuses("65 parameters", &[422], "too-long", get(parameters))
        .await;
    p.refuses(
        "a value of 2,001 characters",
        &[422],
        "too-long",
        get(format!("code={}", "a".repeat(2001))),
    )
    .await;
    // Beyond the head of a request of HTTP/2 (16 KiB).
    let alternatives = vec![format!("code={}", vec!["a"; 167].join(",")); 60].join("&");
    p.refuses(
        "10,000 alternatives",
        &[422, 431],
        "too-long",
        get(alternatives.clone()),
    )
    .await;
    let some = vec![format!("code={}", vec!["a"; 50].join(",")); 10].join("&");
    p.refuses("500 alternatives", &[422], "too-long", get(some)).await;
    p.refuses(
        "nine includes",
        &[422],
        "too-long",
        get(["_include=Observation:patient"; 9].join("&")),
    )
    .await;
    // The clients do not send such heads: by hand.
    let token = format!("authorization: Bearer {}\r\n", p.token);
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{token}{more}\r\n");
    let (at, long) = ("/fhir/Patient/pat-ed", "a".repeat(100_000));
    let many: String = (0..200)
        .map(|n| format!("x-{n}: {}\r\n", "a".repeat(100)))
        .collect();
    for (what, head, want) in [
        ("nothing odd", get(at, ""), &[200][..]),
        (
            "an address of 100 KB",
            get(&format!("{at}?a={long}"), ""),
            &[414, 431],
        ),
        (
            "an address of 60 KB and a header of 10 KB",
            get(
                &format!("{at}?a={}", &long[..60_000]),
                &format!("x: {}\r\n", &long[..10_000]),
            ),
            &[431],
        ),
        (
            "a header of 100 KB",
            get(at, &format!("x-much: {long}\r\n")),
            &[431],
        ),
        (
            "a header of 1 MB",
            get(at, &format!("x-much: {}\r\n", long.repeat(10))),
            &[431],
        ),
        ("200 headers", get(at, &many), &[431]),
    ] {
        let began = Instant::now();
        let (status, answer) = p.by_hand(&head).await;
        println!(
            "{what}: {status} in {:?} {}",
            began.elapsed(),
            answer.chars().take(300).collect::<String>()
        );
        assert!(began.elapsed() < SOON, "{what}");
        assert!(want.contains(&status), "{what}: {status} {answer}");
    }
    // HTTP/2 tells its client beforehand how much is taken (16 KiB).
    let large =
        p.s.get(at)
            .bearer_auth(&p.token)
            .header("x-much", "a".repeat(20_000))
            .send()
            .await;
    assert!(large.is_err() || large.unwrap().status() == 431);
    let form = ("POST", "/fhir/Observation/_search", FORM);
    p.refuses_body(
        "a form of 8,193 bytes",
        &[413],
        "too-long",
        form,
        "a".repeat(8193).into_bytes(),
    )
    .await;
    p.refuses_body(
        "10,000 alternatives in a form",
        &[413],
        "too-long",
        form,
        alternatives.into_bytes(),
    )
    .await;
    // The form is small enough, and asks too much.
    let many = vec!["code=a"; 65].join("&");
    p.refuses_body(
        "65 parameters in a form",
        &[422],
        "too-long",
        form,
        many.into_bytes(),
    )
    .await;
    // What is refused before a route has it is said as FHIR says it.
    p.refuses_body(
        "a form that is no UTF-8",
        &[400],
        "structure",
        form,
        b"code=\xff\xfe".to_vec(),
    )
    .await;
    let odd = p.s.url("/fhir/%FF/%FE");
    p.refuses("an address that is no UTF-8", &[400], "structure", |c| {
        c.get(odd.as_str())
    })
    .await;
    p.end(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_limit_of_a_body_is_kept_and_named() {
    let p = Place::new("[limits]\nbody_mib = 1\n").await;
    let large = vec![b' '; 1024 * 1024 + 1];
    for (method, path, media) in [
        ("POST", "/fhir", JSON),
        ("POST", "/fhir/Observation", JSON),
        ("PUT", "/fhir/Observation/o1", JSON),
        ("PATCH", "/fhir/Patient/pat-ed", "application/json-patch+json"),
        ("POST", "/fhir/Observation/$validate", JSON),
        ("POST", "/fhir/Patient/$match", JSON),
    ] {
        let what = format!("{method} {path}");
        p.refuses_body(&what, &[413], "too-long", (method, path, media), large.clone())
            .await;
    }
    for (path, media, size, most) in [
        ("/fhir/Observation", JSON, 1024 * 1024 + 1, "1 MiB"),
        ("/fhir/Observation/_search", FORM, 8193, "8192 bytes"),
    ] {
        let answer =
            p.s.post(path)
                .bearer_auth(&p.token)
                .header("content-type", media)
                .body(vec![b'a'; size]);
        let said = json_of(answer.send().await.unwrap()).await;
        let words = said["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(words.contains(most), "{words}");
    }
    p.end(4);
}
