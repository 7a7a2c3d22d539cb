//! Other people's programs against the real server: pynetdicom and dicomweb-client store, search and retrieve phantoms of
//! every kind; OHIF shows a series in a browser. The programs are in `tests/interop`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_dicom::syntax::{EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE};
use vitrine_tests::server::{Server, free_port, run_json, text};

/// A server with one patient, at which pynetdicom's modality is known, and whose images those are.
struct Ward {
    server: Server,
    dir: tempfile::TempDir,
    token: String,
    subject: Subject,
}

async fn ward() -> Result<Ward> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let seed = run_json(
        "vitrine-server",
        &["demo", "--data", &text(&data), "--patients", "1", "--json"],
        None,
    )?;
    std::fs::write(
        data.join("vitrine.toml"),
        "[dimse]\npeers = [\"PYNETDICOM@127.0.0.1\"]\n",
    )?;
    let server = Server::start_with(&data, free_port()?, &["--dimse", "127.0.0.1:0"])?;
    let http = server.http()?;
    let token = server.token(&http).await?;
    let id = seed["patients"][0]["id"].as_str().context("a patient")?;
    let answer = http
        .get(format!("{}/fhir/Patient/{id}", server.url()))
        .bearer_auth(&token)
        .send()
        .await?;
    let patient: Value = serde_json::from_slice(&answer.bytes().await?)?;
    let word = |v: &Value| v.as_str().map(str::to_owned).context("a word of the patient");
    let name = &patient["name"][0];
    let given: Result<Vec<String>> = name["given"].as_array().into_iter().flatten().map(word).collect();
    let subject = Subject {
        id: word(&seed["patients"][0]["mrn"])?,
        name: format!("{}^{}", word(&name["family"])?, given?.join("^")),
        birth_date: Some(word(&patient["birthDate"])?.replace('-', "")),
        accession: Some("ACC-1".to_owned()),
        study_date: "20260210".to_owned(),
        study_time: "101112".to_owned(),
        study_description: Some("Interoperability".to_owned()),
        ..Subject::default()
    };
    Ok(Ward {
        dir,
        server,
        token,
        subject,
    })
}

impl Ward {
    /// Writes a series into the folder of what is sent.
    fn write(&self, phantom: &Phantom) -> Result<PathBuf> {
        let folder = self.dir.path().join("objects");
        std::fs::create_dir_all(&folder)?;
        for file in 0..phantom.files() {
            let name = format!("{:?}-{}-{file}.dcm", phantom.kind, phantom.seed);
            let mut bytes = Vec::new();
            phantom.write(file, &mut bytes)?;
            std::fs::write(folder.join(name), bytes)?;
        }
        Ok(folder)
    }

    fn phantom(&self, kind: Kind, seed: u64, (rows, columns, count): (u16, u16, u32)) -> Phantom {
        Phantom {
            subject: self.subject.clone(),
            study: 1,
            rows,
            columns,
            count,
            ..Phantom::new(kind, seed)
        }
    }

    /// Runs `others.py` on a folder; gives what it checked.
    fn others(&self, objects: &Path) -> Result<Vec<Value>> {
        let dimse = self.server.ready["dimse"].as_str().context("the DIMSE address")?;
        let mut c = Command::new(python()?);
        c.arg(scripts().join("others.py"))
            .args(["--url", &self.server.url(), "--dimse", dimse, "--ca"])
            .arg(self.server.data.join("ca.pem"))
            .arg("--objects")
            .arg(objects)
            .env("VITRINE_TOKEN", &self.token);
        checks(c)
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Where what is fetched stays from run to run.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop")
}

/// Runs a program that must succeed; gives its standard output.
fn done(mut c: Command) -> Result<String> {
    let what = format!("{c:?}");
    let out = c
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {what}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{what} ended with {}: {said}", out.status);
    Ok(String::from_utf8(out.stdout)?)
}

/// Python with the packages of `requirements.txt`.
fn python() -> Result<PathBuf> {
    let named = std::env::var_os("VITRINE_PYTHON");
    named
        .map(PathBuf::from)
        .context("VITRINE_PYTHON: run `cargo xtask test`, which makes it")
}

/// Runs a program that prints its checks as lines of JSON; fails with those that do not hold.
fn checks(mut c: Command) -> Result<Vec<Value>> {
    let out = c
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{c:?}"))?;
    let lines: Vec<Value> = String::from_utf8(out.stdout)?
        .lines()
        .map(|l| serde_json::from_str(l).with_context(|| l.to_owned()))
        .collect::<Result<_>>()?;
    let wrong: Vec<String> = lines
        .iter()
        .filter(|l| l["ok"] == false)
        .map(ToString::to_string)
        .collect();
    ensure!(
        out.status.success() && wrong.is_empty(),
        "{}: {}\n{}",
        out.status,
        wrong.join("\n"),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_send_they_find_and_get_back_as_it_was() -> Result<()> {
    let w = ward().await?;
    let kinds = [
        (Kind::Ct, (256, 200, 3), EXPLICIT_LE),
        (Kind::CtSigned, (130, 101, 2), IMPLICIT_LE),
        (Kind::Mr, (128, 128, 2), EXPLICIT_BE),
        (Kind::MrSigned, (64, 96, 2), EXPLICIT_LE),
        // Larger than what a server may take between two parts of a request.
        (Kind::Cr, (1500, 1200, 2), EXPLICIT_LE),
        (Kind::CrInverse, (300, 250, 1), IMPLICIT_LE),
        (Kind::UsCine, (120, 160, 20), EXPLICIT_LE),
        (Kind::UsColor, (90, 121, 5), EXPLICIT_LE),
        (Kind::EnhancedCt, (64, 64, 18), EXPLICIT_LE),
        (Kind::Rgb, (101, 99, 1), EXPLICIT_LE),
        (Kind::Palette, (100, 120, 1), EXPLICIT_LE),
    ];
    let (mut objects, mut sent) = (PathBuf::new(), 0);
    for (seed, (kind, size, transfer_syntax)) in (1..).zip(kinds) {
        let phantom = Phantom {
            transfer_syntax,
            ..w.phantom(kind, seed, size)
        };
        objects = w.write(&phantom)?;
        sent += phantom.files() as usize;
    }
    let lines = w.others(&objects)?;
    let count = |check: &str| lines.iter().filter(|l| l["check"] == check).count();
    // Each object goes both ways.
    for check in ["wado-bytes", "wado-object", "wado-metadata", "qido-instance"] {
        ensure!(
            count(check) == 2 * sent,
            "{check}: {} of {}",
            count(check),
            2 * sent
        );
    }
    ensure!(
        count("wado-frames") >= 2 * sent && count("wado-rendered") == 4 * sent,
        "frames and pictures of each"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comparison_fails_where_it_must() -> Result<()> {
    let w = ward().await?;
    let empty = w.dir.path().join("empty");
    std::fs::create_dir(&empty)?;
    ensure!(w.others(&empty).is_err(), "nothing to send");
    let stranger = Phantom {
        subject: Subject {
            id: "of-nobody".to_owned(),
            ..w.subject.clone()
        },
        ..w.phantom(Kind::Ct, 1, (64, 64, 1))
    };
    let objects = w.write(&stranger)?;
    let Err(said) = w.others(&objects) else {
        anyhow::bail!("an image of nobody was held for stored")
    };
    let said = said.to_string();
    ensure!(said.contains("c001") && said.contains("stow"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches OHIF, 50 MB: cargo xtask interop"]
async fn ohif_shows_a_series() -> Result<()> {
    let w = ward().await?;
    let phantom = w.phantom(Kind::Ct, 1, (256, 256, 12));
    let objects = w.write(&phantom)?;
    let http = w.server.http()?;
    for file in std::fs::read_dir(objects)? {
        let answer = http
            .post(format!("{}/dicomweb/studies", w.server.url()))
            .bearer_auth(&w.token)
            .header("content-type", "application/dicom")
            .body(std::fs::read(file?.path())?)
            .send()
            .await?;
        ensure!(answer.status() == 200, "{}", answer.text().await?);
    }
    let mut c = Command::new("npm");
    c.args(["ci", "--no-audit", "--no-fund", "--silent"])
        .current_dir(scripts());
    done(c)?;
    let mut c = Command::new("node");
    c.arg(scripts().join("fetch.mjs")).arg(kept());
    let ohif = done(c)?;
    let mut c = Command::new("node");
    c.arg(scripts().join("ohif.mjs"))
        .args(["--url", &w.server.url(), "--study", &phantom.study_uid()])
        .args(["--ohif", ohif.trim(), "--ca"])
        .arg(w.server.data.join("ca.pem"))
        .arg("--out")
        .arg(kept().join("ohif"))
        .env("VITRINE_TOKEN", &w.token);
    let lines = checks(c)?;
    for check in ["list", "drawn", "scrolled", "frames"] {
        ensure!(
            lines.iter().any(|l| l["check"] == check),
            "{check} was not looked at"
        );
    }
    Ok(())
}
