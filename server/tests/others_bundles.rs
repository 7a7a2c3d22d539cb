//! What another FHIR server's makers send to their own server to see what it does: every file of Microsoft's tests, good and bad,
//! sent to ours. Good ones are taken; bad ones are refused by a 4xx that says where, and nothing of what is refused stays.
//!
//! The files lie beside the repository (`../shared/data`, see its MANIFEST.md). Here is only what each is answered.

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file and what is answered, with a tab between: the status; of a refusal the code and the place of each issue (the first three),
/// of a batch or transaction that is carried out the same of each entry. Lines of `#` say why.
const ANSWERS: &str = include_str!("others/microsoft.txt");

fn corpus_folder() -> Option<PathBuf> {
    corpus("fhir/microsoft-fhir-server")
}

fn answers() -> BTreeMap<&'static str, &'static str> {
    let lines = ANSWERS.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(|l| l.split_once('\t').unwrap()).collect()
}

/// How many resources of each type are kept, as the folder itself says.
fn kept(s: &Server) -> BTreeMap<String, u64> {
    let found = done(&["doctor", "--data", s.dir()]);
    let of = found["counts"]["resources"].as_object().unwrap();
    of.iter().map(|(k, n)| (k.clone(), n.as_u64().unwrap())).collect()
}

/// The first issues of an OperationOutcome: `code@place`.
fn issues(outcome: &Value) -> String {
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let bytes = outcome.to_string();
    assert!(vitrine_fhir::validate(bytes.as_bytes()).is_ok(), "{outcome}");
    let all = outcome["issue"].as_array().unwrap();
    let said: Vec<String> = all
        .iter()
        .take(3)
        .map(|i| {
            let place = i["expression"][0].as_str().unwrap_or("-");
            format!("{}@{place}", i["code"].as_str().unwrap())
        })
        .collect();
    said.join(",")
}

/// The entries of an answer to a batch or transaction: status and outcome of each.
fn entries(body: &Value) -> Vec<String> {
    let all = body["entry"].as_array().unwrap();
    all.iter()
        .map(|e| {
            let status = &e["response"]["status"].as_str().unwrap()[..3];
            match &e["response"]["outcome"] {
                Value::Null => status.to_owned(),
                outcome => format!("{status}:{}", issues(outcome)),
            }
        })
        .collect()
}

/// An answer as the table says it; alike ones in a row are counted.
fn said(status: u16, body: &Value) -> String {
    if status >= 300 {
        return format!("{status} {}", issues(body));
    }
    if status == 201 {
        return "201".to_owned();
    }
    let mut runs: Vec<(String, usize)> = Vec::new();
    for one in entries(body) {
        match runs.last_mut() {
            Some((same, n)) if *same == one => *n += 1,
            _ => runs.push((one, 1)),
        }
    }
    let runs: Vec<String> = runs
        .into_iter()
        .map(|(one, n)| if n == 1 { one } else { format!("{one}*{n}") })
        .collect();
    format!("{status} [{}]", runs.join(" "))
}

struct File {
    name: String,
    bytes: Vec<u8>,
    /// Where it goes: `/fhir`, or its type below.
    path: String,
}

/// The files, in the order of their names.
fn files(at: &Path) -> Vec<File> {
    let mut out = Vec::new();
    for folder in ["Normative", "R4", "rest-data"] {
        for entry in std::fs::read_dir(at.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            let bytes = std::fs::read(&path).unwrap();
            let json = read(&bytes);
            let path = match (json["resourceType"].as_str(), json["type"].as_str()) {
                // A collection is no request: it is kept as it is.
                (Some("Bundle"), Some("collection")) => "/fhir/Bundle".to_owned(),
                (Some("Bundle"), _) => "/fhir".to_owned(),
                _ if json.is_null() => "/fhir".to_owned(),
                (None | Some(""), _) => "/fhir/Patient".to_owned(),
                (Some(kind), _) => format!("/fhir/{kind}"),
            };
            out.push(File { name, bytes, path });
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn read(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).unwrap();
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or(Value::Null)
}

fn file(at: &Path, name: &str) -> Value {
    read(&std::fs::read(at.join(name)).unwrap())
}

/// Puts every difference from the table down; none may be there at the end.
#[derive(Default)]
struct Judge(Vec<String>);

impl Judge {
    fn hear(&mut self, name: &str, said: &str) {
        let want = answers().get(name).copied().unwrap_or_default();
        if said != want {
            self.0.push(format!("{name}\t{said}\n    the table says: {want}"));
        }
    }
    fn end(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

async fn fresh() -> (tempfile::TempDir, Server, String) {
    let (folder, data) = folder();
    let server = Server::start(&data);
    let token = server.client_token("system/*.cruds").await;
    (folder, server, token)
}

#[test]
fn the_table_has_every_file_and_no_other() {
    let Some(at) = corpus_folder() else { return };
    let names: Vec<String> = files(&at).into_iter().map(|f| f.name).collect();
    let lines: Vec<&str> = answers().into_keys().collect();
    assert_eq!(names, lines);
    assert!(names.len() > 250, "{}", names.len());
}

#[test]
fn what_is_refused_is_refused_by_a_4xx_that_says_where() {
    for (name, said) in answers() {
        let status: u16 = said[..3].parse().unwrap();
        assert!((200..500).contains(&status), "{name}: {said}");
        // What is no JSON has no places, and an address of no type is no place in what was sent.
        let nowhere = ["400 structure@-", "404 not-supported@-"].contains(&said);
        assert!(status < 300 || nowhere || !said.contains("@-"), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn single_resources_are_taken_or_refused_as_they_are() {
    let Some(at) = corpus_folder() else { return };
    let (_folder, s, t) = fresh().await;
    let (mut judge, mut want) = (Judge::default(), kept(&s));
    for one in files(&at).into_iter().filter(|f| f.path != "/fhir") {
        let (status, body) = s.fhir(&t, &one.path, one.bytes).await;
        judge.hear(&one.name, &said(status, &body));
        if status == 201 {
            let kind = one.path.trim_start_matches("/fhir/").to_owned();
            *want.entry(kind).or_default() += 1;
        }
        if one
            .name
            .ends_with("ObservationWithInvalidDecimalSpecification.json")
        {
            let at = format!("{}/{}", one.path, body["id"].as_str().unwrap());
            let answer = s.get(&at).bearer_auth(&t).send().await.unwrap();
            let text = answer.text().await.unwrap();
            assert!(text.contains("1234567890123456789.0123456789,"), "{text}");
        }
    }
    judge.end();
    assert_eq!(
        kept(&s),
        want,
        "what was refused is kept, or what was taken is not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_carried_out_whole_entry_by_entry_or_not_at_all() {
    let Some(at) = corpus_folder() else { return };
    let mut judge = Judge::default();
    for one in files(&at).into_iter().filter(|f| f.path == "/fhir") {
        let transaction = read(&one.bytes)["type"] == "transaction";
        let (_folder, s, t) = fresh().await;
        let before = kept(&s);
        let (status, body) = s.fhir(&t, "/fhir", one.bytes).await;
        judge.hear(&one.name, &said(status, &body));
        let after = kept(&s);
        if status >= 300 {
            assert_eq!(
                before, after,
                "{}: something of what was refused is kept",
                one.name
            );
            continue;
        }
        let each = entries(&body);
        let made = each.iter().filter(|e| e.starts_with("201")).count() as u64;
        let grown = after.values().sum::<u64>() - before.values().sum::<u64>();
        assert_eq!(grown, made, "{}: {after:?}", one.name);
        let read_in_vain = |e: &String| e.starts_with("404") || e.starts_with("403");
        let refused = each.iter().any(|e| e.contains(':') && !read_in_vain(e));
        assert!(
            !(transaction && refused),
            "{}: half a transaction: {each:?}",
            one.name
        );
    }
    judge.end();
}

/// Bundles that need something to be there already: refused without it (the table says so), carried out with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_what_is_there_is_taken_once_it_is_there() {
    let Some(at) = corpus_folder() else { return };
    for (name, system, value) in [
        (
            "Normative/Bundle-TransactionWithConditionalReferenceInResourceBody.json",
            None,
            "12345",
        ),
        (
            "R4/Bundle-TransactionWithReferenceInResourceBody.json",
            Some("http:/example.org/fhir/ids"),
            "234234",
        ),
    ] {
        let (_folder, s, t) = fresh().await;
        let mut there = patient("there");
        there["identifier"] = match system {
            None => json!([{"value": value}]),
            Some(system) => json!([{"system": system, "value": value}]),
        };
        let put = |s: &Server, one: &Value| {
            s.put(&format!("/fhir/Patient/{}", one["id"].as_str().unwrap()))
                .bearer_auth(&t)
                .header("content-type", "application/fhir+json")
                .body(one.to_string())
                .send()
        };
        assert_eq!(put(&s, &there).await.unwrap().status(), 201);
        let bundle = file(&at, name);
        let (status, body) = s.fhir(&t, "/fhir", bundle.to_string()).await;
        assert_eq!(status, 200, "{name}: {body}");
        let n = bundle["entry"].as_array().unwrap().len();
        assert_eq!(entries(&body), vec!["201"; n], "{name}");
        let first = body["entry"][0]["response"]["location"].as_str().unwrap();
        let answer = s
            .get(&format!("/fhir/{first}"))
            .bearer_auth(&t)
            .send()
            .await
            .unwrap();
        assert_eq!(
            json_of(answer).await["subject"]["reference"],
            "Patient/there",
            "{name}"
        );
        // Two who bear the number: it is not known who is meant.
        there["id"] = json!("twin");
        assert_eq!(put(&s, &there).await.unwrap().status(), 201);
        let before = kept(&s);
        let (status, body) = s.fhir(&t, "/fhir", bundle.to_string()).await;
        assert_eq!(
            (status, body["issue"][0]["code"].as_str()),
            (412, Some("multiple-matches")),
            "{name}: {body}"
        );
        assert_eq!(before, kept(&s), "{name}");
    }
}

/// The same Bundles with their first fault mended: the fault that they are named for is found, and nothing is deleted or written.
#[tokio::test(flavor = "multi_thread")]
async fn the_fault_in_the_name_is_found_behind_another_and_nothing_is_deleted() {
    let Some(at) = corpus_folder() else { return };
    let (_folder, s, t) = fresh().await;
    let there: Vec<Value> = ["123", "patient-rollback-0", "patient-rollback-1"]
        .iter()
        .map(|id| json!({"resource": patient(id), "request": {"method": "PUT", "url": format!("Patient/{id}")}}))
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": there});
    assert_eq!(s.fhir(&t, "/fhir", bundle.to_string()).await.0, 200);
    let before = kept(&s);

    let mut twice = file(
        &at,
        "Normative/Bundle-TransactionWithMultipleEntriesModifyingSameResource.json",
    );
    twice["entry"][1]["resource"]["id"] = json!("123");
    let (status, body) = s.fhir(&t, "/fhir", twice.to_string()).await;
    assert_eq!(
        said(status, &body),
        "422 duplicate@Bundle.entry[2].request.url",
        "{body}"
    );

    let mut rolled_back = file(&at, "Normative/Bundle-TransactionForRollBackWithDelete.json");
    for fault in ["as it is", "mended"] {
        let (status, body) = s.fhir(&t, "/fhir", rolled_back.to_string()).await;
        // Mended, it fails at the versions that it names, in the store itself, behind the deletion.
        let want = if fault == "mended" {
            "412 conflict@Bundle.entry[1].request.ifMatch"
        } else {
            "422 invalid@Bundle.entry[2].resource.id"
        };
        assert_eq!(said(status, &body), want, "{fault}: {body}");
        rolled_back["entry"][2]["resource"]["id"] = json!("observation-rollback-1");
    }
    assert_eq!(before, kept(&s), "something was deleted or written");
    for id in ["patient-rollback-0", "patient-rollback-1"] {
        let answer = s
            .get(&format!("/fhir/Patient/{id}"))
            .bearer_auth(&t)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.headers()["etag"].to_str().unwrap()
            ),
            (200, "W/\"1\""),
            "{id}"
        );
    }
}
