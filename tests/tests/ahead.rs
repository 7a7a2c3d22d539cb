//! Small pictures that were fetched ahead are looked at without a server, by somebody who never opened them.

#![allow(clippy::disallowed_methods)] // a test waits by the clock
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_engine::{Options, Pixels, Workstation};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person};

const PARTS: &str = "multipart/related; type=\"application/dicom\"; boundary=part";

async fn store(server: &Server, http: &reqwest::Client, token: &str, phantom: &Phantom) -> Result<()> {
    for n in 0..phantom.files() {
        let mut body = b"--part\r\nContent-Type: application/dicom\r\n\r\n".to_vec();
        phantom.write(n, &mut body)?;
        body.extend_from_slice(b"\r\n--part--\r\n");
        let asked = http.post(format!("{}/dicomweb/studies", server.url()));
        let asked = asked.bearer_auth(token).header("content-type", PARTS).body(body);
        let status = asked.send().await?.status();
        ensure!(status == 200, "STOW: {status}");
    }
    Ok(())
}

#[test]
fn small_pictures_of_the_ward_are_here_before_anybody_asked_and_when_the_server_is_gone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let http = server.http()?;
    let token = rt.block_on(server.token(&http))?;
    let patients = seed["patients"].as_array().context("patients")?;
    let of = |ward: &str| {
        let found = patients.iter().find(|p| p["ward"] == ward);
        found.with_context(|| format!("a patient of {ward}"))
    };
    let (here, elsewhere) = (of("ED")?, of("ICU")?);
    for (n, p) in (1_u64..).zip([here, elsewhere]) {
        let mut ct = Phantom::new(Kind::Ct, n);
        (ct.rows, ct.columns, ct.count) = (256, 256, 6);
        let (given, family) = p["name"]
            .as_str()
            .and_then(|n| n.rsplit_once(' '))
            .context("name")?;
        ct.subject = Subject {
            id: p["mrn"].as_str().context("mrn")?.to_owned(),
            name: format!("{family}^{given}"),
            study_date: "20261012".to_owned(),
            study_time: "081400".to_owned(),
            ..Subject::default()
        };
        rt.block_on(store(&server, &http, &token, &ct))?;
        // Series of one image, one behind the other.
        for seed in [10 * n, 10 * n + 1] {
            let mut cr = Phantom::new(Kind::Cr, seed);
            (cr.rows, cr.columns, cr.study, cr.subject) = (300, 250, ct.study, ct.subject.clone());
            rt.block_on(store(&server, &http, &token, &cr))?;
        }
    }

    let profile = dir.path().join("ed-07");
    let station = Station::enrol(&server, &server.url(), &profile, "ED")?;
    let open = || {
        let options = Options {
            runtime: Some(rt.handle().clone()),
            ballast_bytes: 0,
            ..Options::default()
        };
        Workstation::open(&profile, options)
    };
    let w = open()?;
    ensure!(
        rt.block_on(w.wait_current(Duration::from_secs(60)))?,
        "not current"
    );
    let from = Instant::now();
    loop {
        let images = w.status_json()?["images"].clone();
        if images["previews"] == 8 {
            break;
        }
        ensure!(
            from.elapsed() < Duration::from_secs(120),
            "fetched ahead: {images}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    // No more comes: of another ward nothing is fetched.
    std::thread::sleep(Duration::from_secs(3));
    let images = w.status_json()?["images"].clone();
    ensure!(images["previews"] == 8, "{images}");
    // Nobody is signed in, and the rows that say so go up.
    ensure!(
        rt.block_on(w.wait_current(Duration::from_secs(60)))?,
        "not current"
    );
    server.kill();
    ensure!(w.close(Duration::from_secs(20)), "it did not close");
    drop(w);

    let nurse = person(&seed, "nurse", "ED")?;
    let w = open()?;
    rt.block_on(async {
        w.sign_in(&nurse.user, &nurse.pin).await?;
        let patient = here["id"].as_str().context("id")?;
        let list = w.images(patient).await?;
        let study = list.studies.first().context("a study")?;
        ensure!(study.series.len() == 3, "{study:?}");
        let series = study.series.first().context("a series")?;
        ensure!(series.held_text.as_deref() == Some("previews here"), "{series:?}");
        let view = w.image_open(patient, &study.uid, &series.uid, 512).await?;
        ensure!(view.frames.len() == 6, "{} frames", view.frames.len());
        for frame in &view.frames {
            match w.image_pixels(&view.token, frame.id, None).await {
                // The layer of 64 pixels, and never called exact.
                Pixels::Ready(bytes) => ensure!(bytes[15] == 0 && bytes[16] == 0, "{:?}", &bytes[..32]),
                other => anyhow::bail!("frame {}: {other:?}", frame.id),
            }
        }
        // Of another ward nothing was fetched.
        let other = elsewhere["id"].as_str().context("id")?;
        ensure!(w.images(other).await.is_err(), "images of another ward are here");
        Ok(())
    })?;
    drop(w);
    drop(station);
    Ok(())
}
