//! `import`: files into the store, or into a running server over the network.

use super::acts::{Act, Given, Ground, OfOperator, given};
use super::{Context, Outcome as Done, admin, show};
use crate::clock;
use crate::error::{Exit, Fault};
use crate::imaging::filing::Outcome;
use crate::ingest::hl7::Intake;
use crate::ingest::import::{Counts, Importer, run};
use crate::ingest::source;
use clap::Args;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Data folder; a server running there does the work itself.
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "server",
        conflicts_with = "server"
    )]
    data: Option<PathBuf>,
    /// Address of a running server, e.g. https://hospital.example:8443.
    #[arg(long, value_name = "URL", requires = "token", requires = "ca")]
    server: Option<String>,
    /// Bearer token for --server (POST /auth/token), or @FILE that holds it.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// CA certificate of the server (ca.pem of its data folder) for --server.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// FHIR files (.json .ndjson, also .gz .zst), HL7 v2 (.hl7), DICOM files, and folders.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// An importer on behalf of the operator.
#[must_use]
pub fn importer(ground: &Ground) -> Arc<Importer> {
    Arc::new(Importer::new(
        ground.store.clone(),
        Arc::new(OfOperator(ground.operator.clone())),
    ))
}

/// Imports into the store.
///
/// # Errors
/// [`Fault`].
pub async fn into(ground: &Ground, paths: Vec<PathBuf>) -> Result<Given, Fault> {
    let (images, files): (Vec<PathBuf>, Vec<PathBuf>) = source::files(&paths)?
        .into_iter()
        .partition(|f| source::is_dicom(f));
    let (messages, files): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(|f| source::is_hl7(f));
    // First whose they are.
    let mut counts = run(importer(ground), files).await?;
    counts.add(messages_into(ground, messages).await?);
    counts.add(images_into(ground, images).await?);
    Ok(outcome(counts))
}

async fn images_into(ground: &Ground, files: Vec<PathBuf>) -> Result<Counts, Fault> {
    let (began, permits) = (clock::steady(), OfOperator(ground.operator.clone()));
    let (mut counts, mut studies) = (Counts::default(), BTreeSet::new());
    for file in files {
        let outcome = ground.images.take_file(&permits, &file).await?;
        studies.extend(outcome.study().map(str::to_owned));
        counts.add(counted(
            matches!(outcome, Outcome::Filed(_)),
            matches!(outcome, Outcome::Duplicate(_)),
        ));
    }
    ground.images.settle(&permits, &studies).await;
    counts.seconds = began.elapsed().as_secs_f64();
    Ok(counts)
}

async fn messages_into(ground: &Ground, files: Vec<PathBuf>) -> Result<Counts, Fault> {
    let began = clock::steady();
    let intake = Intake::new(
        ground.store.clone(),
        Arc::new(OfOperator(ground.operator.clone())),
    );
    let mut counts = Counts::default();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| Fault::io("cannot read", &file, &e))?;
        counts.add(intake.file(&ground.mllp.feed, &bytes).await?);
    }
    counts.seconds = began.elapsed().as_secs_f64();
    Ok(counts)
}

/// One image in the counts of an import.
fn counted(filed: bool, duplicate: bool) -> Counts {
    Counts {
        accepted: u64::from(filed),
        duplicate: u64::from(duplicate),
        quarantined: u64::from(!filed && !duplicate),
        seen: 1,
        by_type: filed
            .then(|| ("DicomInstance".to_owned(), 1))
            .into_iter()
            .collect(),
        ..Counts::default()
    }
}

fn outcome(counts: Counts) -> Given {
    let exit = if counts.clean() { Exit::Done } else { Exit::Some };
    given(exit, serde_json::to_value(counts).unwrap_or_default())
}

pub(super) async fn import(context: &Context, args: ImportArgs) -> Result<Done, Fault> {
    let mut paths = Vec::new();
    for p in &args.paths {
        paths.push(std::path::absolute(p).map_err(|e| Fault::io("cannot use", p, &e))?);
    }
    // Said before anything is opened: a wrong path.
    let files = source::files(&paths)?;
    if let Some(data) = args.data {
        return admin::act(context, &super::Data { data }, Act::Import { paths }).await;
    }
    let (Some(server), Some(token), Some(ca)) = (args.server, args.token, args.ca) else {
        return Err(Fault::usage(
            "name --data DIR, or --server URL with --token and --ca",
        ));
    };
    let token = match token.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| Fault::usage(format!("--token: {file} cannot be read ({e})")))?
            .trim()
            .to_owned(),
        None => token,
    };
    let given = outcome(over_network(&server, &token, &ca, files).await?);
    Ok(Done {
        exit: if given.exit == 0 { Exit::Done } else { Exit::Some },
        words: show::words(show::Kind::Import, &given.json),
        json: given.json,
    })
}

async fn over_network(server: &str, token: &str, ca: &Path, files: Vec<PathBuf>) -> Result<Counts, Fault> {
    if !server.starts_with("https://") {
        return Err(Fault::usage(format!(
            "--server '{server}' must begin with https://"
        )));
    }
    let pem = std::fs::read(ca).map_err(|e| Fault::io("--ca: cannot read", ca, &e))?;
    let no_pem = || {
        Fault::usage(format!(
            "--ca {} is not a certificate in PEM: name the server's ca.pem",
            ca.display()
        ))
    };
    let der = CertificateDer::from_pem_slice(&pem).map_err(|_| no_pem())?;
    let root = reqwest::Certificate::from_der(&der).map_err(|_| no_pem())?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .https_only(true)
        .connect_timeout(Duration::from_secs(10))
        .build()
        .map_err(|e| Fault::usage(format!("--server: {e}")))?;
    let began = clock::steady();
    let url = format!("{}/import", server.trim_end_matches('/'));
    let store = format!("{}/dicomweb/studies", server.trim_end_matches('/'));
    let mut total = Counts::default();
    let (images, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|f| source::is_dicom(f));
    for file in files.into_iter().chain(images) {
        let body = std::fs::read(&file).map_err(|e| Fault::io("cannot read", &file, &e))?;
        let failed = |e: reqwest::Error| {
            Fault::failed(format!(
                "{server} could not be reached or did not answer ({}): nothing of {} is certain; import it again, what is there already is not doubled",
                e.without_url(),
                file.display()
            ))
        };
        let is_image = source::is_dicom(&file);
        let request = client
            .post(if is_image { &store } else { &url })
            .bearer_auth(token)
            .header("x-file-name", encoded(&file.display().to_string()));
        let media = if is_image {
            "application/dicom"
        } else {
            "application/octet-stream"
        };
        let answer = request
            .header("content-type", media)
            .body(body)
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(failed)?;
        if let Some(stored) = is_image.then(|| stored(status.as_u16(), &text)).flatten() {
            total.add(stored.map_err(|why| {
                Fault::failed(format!("{server} could not keep {}: {why}", file.display()))
            })?);
            continue;
        }
        if !status.is_success() {
            let said: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let why = said["issue"][0]["diagnostics"]
                .as_str()
                .unwrap_or("no reason given");
            let fix = if status.as_u16() == 401 {
                "; get a new token"
            } else {
                ""
            };
            return Err(Fault::failed(format!(
                "{server} refused {} with {status}: {why}{fix}",
                file.display()
            )));
        }
        let counts: Counts = serde_json::from_slice(&text)
            .map_err(|_| Fault::failed(format!("{server} gave an answer of another version")))?;
        total.add(counts);
    }
    total.seconds = began.elapsed().as_secs_f64();
    Ok(total)
}

/// What a server said of one image; `None` when it answered otherwise, e.g. that the token is old.
fn stored(status: u16, answer: &[u8]) -> Option<Result<Counts, String>> {
    let said: serde_json::Value = serde_json::from_slice(answer).ok()?;
    match status {
        200 => Some(Ok(counted(true, false))),
        409 => {
            let failed = said.get("00081198")?.get("Value")?.get(0)?;
            let code = failed.get("00081197")?.get("Value")?.get(0)?.as_u64()?;
            // 0xC000 to 0xCFFF: it is in quarantine.
            if (0xC000..=0xCFFF).contains(&code) {
                return Some(Ok(counted(false, false)));
            }
            let why = failed.get("00000902")?.get("Value")?.get(0)?.as_str()?;
            Some(Err(why.to_owned()))
        }
        _ => None,
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut s, b| {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            s.push(char::from(b));
        } else {
            let _ = write!(s, "%{b:02X}");
        }
        s
    })
}
