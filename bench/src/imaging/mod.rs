//! Images against the peer on the same machine and network, one run: first image, exact image, all small, all whole,
//! ingest, one frame of many; then the workstation's own figures: jumps while streaming, memory, the card beside a stream,
//! what opens without a server, and the click in the real window.
//!
//! Ours is measured with TLS, sign-in, audit and encryption on both ends and with every pixel decoded and its SHA-256
//! compared; the peer in the clear, without accounts or records of access, its bytes not decoded. Both servers, both
//! clients and the network share the machine.

mod link;
mod ours;
mod peer;
mod series;
mod window;

use crate::report::{Report, Row, quantile};
use crate::world::{World, by_pin, ms};
use anyhow::{Context, Result, ensure};
use link::{LINKS, Link};
use ours::Open;
use peer::Orthanc;
use series::Series;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vitrine_dicom::phantom::Kind;
use vitrine_engine::Workstation;
use vitrine_tests::server::text;
use vitrine_tests::station::{Person, Station};

/// The word that makes this program the bench in its own network.
pub const INSIDE: &str = "imaging-inside";
const SETUP: &str =
    "release, ours over TLS 1.3 with sign-in, audit and SQLCipher, every frame's SHA-256 compared";
const CONFIG: &str = "[dimse]\naddress = \"127.0.0.1:0\"\ntls = true\npeers = [\"STORESCU\"]\n";
const LIMIT: Duration = Duration::from_secs(600);
/// Frames of the instance of many.
const MANY: u32 = 200;
/// After this an emergency has given its line back, and the images flow again.
const FLOWS: Duration = Duration::from_millis(5_600);
/// Between jumps: a hand at the wheel.
const PAUSE: Duration = Duration::from_millis(150);

/// How much of it.
struct Size {
    slices: u32,
    large: u32,
    openings: usize,
    jumps: usize,
    cards: usize,
    own: usize,
    clicks: u32,
}

pub fn imaging(report: &mut Report, quick: bool) -> Result<()> {
    let size = if quick { "quick" } else { "whole" };
    let rows: Vec<Row> = serde_json::from_slice(&link::apart(&[INSIDE, size])?)?;
    report.rows.extend(rows);
    Ok(())
}

/// The bench itself; prints its rows.
pub fn inside() -> Result<()> {
    let quick = std::env::args().nth(2).as_deref() == Some("quick");
    let mut report = Report::new()?;
    link::up()?;
    let size = if quick {
        Size {
            slices: 200,
            large: 400,
            openings: 3,
            jumps: 10,
            cards: 40,
            own: 4,
            clicks: 10,
        }
    } else {
        Size {
            slices: 1_000,
            large: 4_000,
            openings: 12,
            jumps: 60,
            cards: 300,
            own: 18,
            clicks: 40,
        }
    };
    measure(&mut report, &size)?;
    println!("{}", serde_json::to_string(&report.rows)?);
    Ok(())
}

struct Bench {
    world: World,
    nurse: Person,
    patient: String,
    token: String,
    http: reqwest::Client,
    stations: std::cell::Cell<usize>,
}

impl Bench {
    /// A workstation that has no image yet, somebody signed in.
    fn fresh(&self) -> Result<Workstation> {
        let n = self.stations.get() + 1;
        self.stations.set(n);
        let w = self
            .world
            .station(&format!("bench-{n}"), &self.world.server.url())?;
        self.signed_in(&w)?;
        Ok(w)
    }

    fn signed_in(&self, w: &Workstation) -> Result<()> {
        let rt = &self.world.runtime;
        rt.block_on(w.sign_in(&self.nurse.user, &self.nurse.password))?;
        // The list is what a screen has before anything is clicked; the socket is warm then.
        rt.block_on(w.images(&self.patient))?;
        Ok(())
    }

    fn profile(&self) -> std::path::PathBuf {
        self.world
            .dir
            .path()
            .join(format!("bench-{}", self.stations.get()))
    }
}

fn measure(report: &mut Report, size: &Size) -> Result<()> {
    let world = World::with(60, None, CONFIG)?;
    let files = tempfile::tempdir()?;
    let (patient, subject) = series::subject(&world.seed)?;
    let http = world.server.http()?;
    let rt = world.runtime.handle().clone();
    let _entered = rt.enter();
    let token = rt.block_on(world.server.token(&http))?;
    let bench = Bench {
        nurse: world.nurse()?,
        world,
        patient,
        token,
        http,
        stations: std::cell::Cell::new(0),
    };
    let make = |kind, seed, study, count| series::write(files.path(), kind, seed, study, count, &subject);
    let ct = make(Kind::Ct, 1, 1, size.slices)?;
    let stowed = make(Kind::Ct, 2, 2, size.slices / 2)?;
    let many = make(Kind::EnhancedCt, 3, 3, MANY)?;

    eprintln!("the peer takes the images in…");
    let raw = rt.block_on(Orthanc::start(&files.path().join("orthanc"), false))?;
    let packed = rt.block_on(Orthanc::start(&files.path().join("orthanc-jpeg-ls"), true))?;
    let peer_dimse = ours::storescu(&ct, "ORTHANC", raw.dicom, &[])?;
    let peer_stow = rt.block_on(raw.stow(&stowed))?;
    rt.block_on(raw.stow(&many))?;
    rt.block_on(packed.stow(&ct))?;

    eprintln!("ours takes them in…");
    let dimse = bench.world.server.ready["dimse"]
        .as_str()
        .context("a DICOM port")?;
    let port = dimse.rsplit(':').next().context("a port")?.parse()?;
    let ca = text(&bench.world.server.data.join("ca.pem"));
    let our_dimse = ours::storescu(&ct, "VITRINE", port, &["--anonymous-tls", "--add-cert-file", &ca])?;
    let studies = format!("{}/dicomweb/studies", bench.world.server.url());
    let stow = |s: &Series| rt.block_on(ours::stow(&bench.http, &studies, Some(&bench.token), s));
    let our_stow = stow(&stowed)?;
    stow(&many)?;
    let rate = |s: &Series, ms: f64| mib(s.bytes) / ms * 1000.0;
    let n = size.slices as usize;
    let one = format!("{SETUP}; storescu, one association of {n} CT slices, TLS for ours, none for the peer");
    report.add(
        "imaging",
        "dimse_mib_per_s",
        rate(&ct, our_dimse),
        "MiB/s",
        n,
        &one,
    );
    report.add(
        "imaging",
        "dimse_peer_mib_per_s",
        rate(&ct, peer_dimse),
        "MiB/s",
        n,
        &one,
    );
    report.add(
        "imaging",
        "dimse_ratio_per_s",
        peer_dimse / our_dimse,
        "×",
        n,
        &one,
    );
    let batches = format!("{SETUP}; STOW-RS, 20 objects a request");
    report.add(
        "imaging",
        "stow_mib_per_s",
        rate(&stowed, our_stow),
        "MiB/s",
        n / 2,
        &batches,
    );
    report.add(
        "imaging",
        "stow_peer_mib_per_s",
        rate(&stowed, peer_stow),
        "MiB/s",
        n / 2,
        &batches,
    );
    let from = Instant::now();
    let w = bench.fresh()?;
    rt.block_on(ours::ready(&w, &bench.patient, &[&ct, &stowed, &many]))?;
    report.add(
        "imaging",
        "ready_after_ack_s",
        ms(from) / 1000.0,
        "s",
        n,
        "last acknowledgement until all are packed and verified",
    );
    drop(w);

    many_frames(report, &bench, &raw, &many)?;
    for link in LINKS {
        eprintln!("at {}…", link.name);
        link::shape(link)?;
        against(report, &bench, link, &ct, &raw, &packed, size)?;
        jumps(report, &bench, link, &ct, size)?;
        link::free()?;
    }
    drop((raw, packed));
    for gone in ["orthanc", "orthanc-jpeg-ls"] {
        std::fs::remove_dir_all(files.path().join(gone))?;
    }
    large(report, &bench, &make(Kind::Ct, 4, 4, size.large)?, &stow, size)?;
    let clicked = (0..size.clicks)
        .map(|i| make(Kind::Mr, 100 + u64::from(i), 100, 30))
        .collect::<Result<Vec<_>>>()?;
    for s in &clicked {
        stow(s)?;
    }
    let w = bench.fresh()?;
    rt.block_on(ours::ready(
        &w,
        &bench.patient,
        &clicked.iter().collect::<Vec<_>>(),
    ))?;
    drop(w);
    window::clicks(report, &bench, &clicked)?;
    offline(report, bench, &ct, size)
}

/// One frame out of many, by HTTP from both.
fn many_frames(report: &mut Report, bench: &Bench, peer: &Orthanc, many: &Series) -> Result<()> {
    let rt = &bench.world.runtime;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for i in 0..20 {
        let number = 1 + (i * 67) % MANY;
        theirs.push(rt.block_on(peer.frame(many, number))?);
        let url = bench.world.server.url();
        ours.push(rt.block_on(ours::frame(&bench.http, &url, &bench.token, many, number))?);
    }
    let setup =
        format!("{SETUP}; WADO-RS frames/n of one object of {MANY} frames, 105 MB, unshaped loopback");
    report.add_ms("imaging", "frame_of_many", &mut ours, &setup);
    report.add_ms("imaging", "frame_of_many_peer", &mut theirs, &setup);
    let ratio = quantile(&theirs, 0.5) / quantile(&ours, 0.5);
    report.add(
        "imaging",
        "frame_of_many_ratio_per_s",
        ratio,
        "×",
        ours.len(),
        &setup,
    );
    Ok(())
}

/// The same series from both, at one rate.
fn against(
    report: &mut Report,
    bench: &Bench,
    link: Link,
    ct: &Series,
    raw: &Orthanc,
    packed: &Orthanc,
    size: &Size,
) -> Result<()> {
    let rt = &bench.world.runtime;
    let name = link.name;
    let setup = format!(
        "{SETUP}; {} CT slices at {name}bit/s, ours at a workstation that has none of them",
        size.slices
    );
    let (mut first, mut exact) = (Vec::new(), Vec::new());
    for _ in 0..size.openings {
        let w = bench.fresh()?;
        let (small, whole) = rt.block_on(async {
            let open = Open::click(&w, &bench.patient, ct).await?;
            open.first().await
        })?;
        first.push(small);
        exact.push(whole);
    }
    let (mut peer_first, mut peer_exact) = (Vec::new(), Vec::new());
    for peer in [raw, packed] {
        for _ in 0..size.openings.div_ceil(4) {
            let (small, whole) = rt.block_on(peer.first(ct))?;
            peer_first.push(small);
            peer_exact.push(whole);
        }
    }
    for (stem, ours, theirs) in [
        ("first", &mut first, &mut peer_first),
        ("exact", &mut exact, &mut peer_exact),
    ] {
        report.add_ms("imaging", &format!("{stem}_{name}"), ours, &setup);
        report.add_ms("imaging", &format!("{stem}_{name}_peer"), theirs, &setup);
        // Against the better half of the peer's two ways to keep images.
        let ratio = quantile(theirs, 0.25) / quantile(ours, 0.5);
        report.add(
            "imaging",
            &format!("{stem}_{name}_ratio_per_s"),
            ratio,
            "×",
            ours.len(),
            &setup,
        );
    }
    let w = bench.fresh()?;
    let ours::Whole {
        small,
        here,
        exact,
        bytes,
    } = rt.block_on(async {
        let mut open = Open::click(&w, &bench.patient, ct).await?;
        open.whole(&bench.patient, ct, LIMIT).await
    })?;
    drop(w);
    let peer_small =
        rt.block_on(async { Ok::<_, anyhow::Error>(raw.small(ct).await?.min(packed.small(ct).await?)) })?;
    let (peer_raw, _) = rt.block_on(raw.whole(ct))?;
    let (peer_packed, peer_bytes) = rt.block_on(packed.whole(ct))?;
    let mut add = |metric: &str, value: f64, unit: &str| {
        report.add(
            "imaging",
            &format!("{metric}_{name}{unit}"),
            value,
            match unit {
                "_per_s" => "×",
                "_pct" => "%",
                unit => unit.trim_start_matches('_'),
            },
            1,
            &setup,
        );
    };
    add("all_small", small, "_ms");
    add("all_small_peer", peer_small, "_ms");
    add("all_small_ratio", peer_small / small, "_per_s");
    add("all_here", here, "_ms");
    add("all_exact", exact, "_ms");
    add("all_exact_link", link.ms(bytes), "_ms");
    add("all_exact_peer", peer_raw, "_ms");
    add("all_exact_peer_jpeg_ls", peer_packed, "_ms");
    add("all_exact_peer_jpeg_ls_link", link.ms(peer_bytes), "_ms");
    // The peer's bytes lie there undecoded: like with like is when ours are here too.
    add("all_here_of_jpeg_ls", here / peer_packed * 100.0, "_pct");
    add("all_exact_of_jpeg_ls", exact / peer_packed * 100.0, "_pct");
    Ok(())
}

/// Jumps to slices far away while the series streams.
fn jumps(report: &mut Report, bench: &Bench, link: Link, ct: &Series, size: &Size) -> Result<()> {
    let rt = &bench.world.runtime;
    let (mut small, mut exact) = (Vec::new(), Vec::new());
    let mut asked = 7_u64;
    while exact.len() < size.jumps {
        let w = bench.fresh()?;
        rt.block_on(async {
            let open = Open::click(&w, &bench.patient, ct).await?;
            open.first().await?;
            // Until a good part is here: after that a jump finds what it looks for.
            for _ in 0..12 {
                tokio::time::sleep(PAUSE).await;
                asked = asked.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = u32::try_from((asked >> 33) % u64::from(open.frames()))?;
                let (s, e) = open.jump(at).await?;
                small.push(s);
                exact.push(e);
            }
            Ok::<_, anyhow::Error>(())
        })?;
    }
    let setup = format!(
        "{SETUP}; to a slice anywhere in {} while they stream at {}bit/s",
        size.slices, link.name
    );
    report.add_ms(
        "imaging",
        &format!("jump_128px_{}", link.name),
        &mut small,
        &setup,
    );
    report.add_ms(
        "imaging",
        &format!("jump_exact_{}", link.name),
        &mut exact,
        &setup,
    );
    Ok(())
}

/// 2 GB: a card beside the stream of a neighbour, and the memory of a workstation that takes all of it.
fn large(
    report: &mut Report,
    bench: &Bench,
    big: &Series,
    stow: &dyn Fn(&Series) -> Result<f64>,
    size: &Size,
) -> Result<()> {
    let rt = &bench.world.runtime;
    eprintln!("a study of {} MB…", big.bytes / 1_000_000);
    stow(big)?;
    let w = bench.fresh()?;
    rt.block_on(ours::ready(&w, &bench.patient, &[big]))?;
    std::fs::remove_dir_all(big.folder()?)?;
    drop(w);
    link::shape(LINKS[0])?;
    let (patient, nurse, series) = (bench.patient.as_str(), &bench.nurse, big.series());
    let pull = |station: &Station| {
        let words = [
            "image-pull",
            patient,
            &series,
            "--user",
            &nurse.user,
            "--secret-stdin",
        ];
        station.cli(&words, Some(&format!("{}\n", nurse.password)))
    };
    let another = || -> Result<Station> {
        drop(bench.fresh()?);
        Ok(Station {
            profile: bench.profile(),
        })
    };
    let w = bench.fresh()?;
    let card = |w: &Workstation, patient: &str| -> Result<f64> {
        let from = Instant::now();
        let view = rt.block_on(w.break_glass(by_pin(patient, &bench.nurse)))?;
        let took = ms(from);
        ensure!(!view.access_id.is_empty(), "a card without its access");
        rt.block_on(tokio::time::sleep(Duration::from_millis(20)));
        Ok(took)
    };
    let patients = bench.world.patients(40);
    let people = |n: usize| patients.iter().cycle().take(n);
    let mut idle = people(size.cards)
        .map(|p| card(&w, p))
        .collect::<Result<Vec<_>>>()?;

    // Beside a neighbour's stream from the same server. Its own work would be another machine's: here it gives way.
    let neighbour = another()?;
    let ended = AtomicBool::new(false);
    let (mut beside, streamed) = std::thread::scope(|threads| {
        let (neighbour, ended, pull) = (&neighbour, &ended, &pull);
        let stream = threads.spawn(move || {
            let given_way = rustix::process::setpriority_process(None, 19);
            let pulled = given_way
                .map_err(anyhow::Error::from)
                .and_then(|()| pull(neighbour));
            ended.store(true, Ordering::Release);
            pulled
        });
        let mut beside = Vec::new();
        for patient in people(size.cards) {
            let took = card(&w, patient)?;
            // What was opened after all had come does not count.
            if ended.load(Ordering::Acquire) {
                break;
            }
            beside.push(took);
        }
        let pulled = stream.join().map_err(|_| anyhow::anyhow!("the stream"))??;
        let bytes = pulled["bytes"].as_u64().context("bytes")?;
        Ok::<_, anyhow::Error>((beside, bytes))
    })?;
    ensure!(
        beside.len() >= 20,
        "the stream ended after {} cards: too few to say anything",
        beside.len()
    );

    // Beside its own stream, which an emergency stops for some seconds: each card is opened while it flows.
    link::free()?;
    link::shape(LINKS[1])?;
    drop(w);
    // Nobody touches it meanwhile: signed in anew, it is not locked before the last card.
    let w = bench.fresh()?;
    let ended = AtomicBool::new(false);
    let mut own = std::thread::scope(|threads| {
        let (station, patient, ended) = (&w, bench.patient.as_str(), &ended);
        let stream = threads.spawn(move || {
            rt.block_on(async {
                let mut open = Open::click(station, patient, big).await?;
                let flows = async {
                    while !ended.load(Ordering::Acquire) {
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                tokio::select! {
                    whole = open.whole(patient, big, LIMIT) => anyhow::bail!("all came: {} bytes", whole?.bytes),
                    () = flows => Ok(()),
                }
            })
        });
        let own = people(size.own)
            .map(|patient| {
                std::thread::sleep(FLOWS);
                card(&w, patient)
            })
            .collect::<Result<Vec<_>>>();
        ended.store(true, Ordering::Release);
        stream.join().map_err(|_| anyhow::anyhow!("the stream"))??;
        own
    })?;
    drop(w);
    link::free()?;
    link::shape(LINKS[0])?;
    let setup = format!("{SETUP}; PIN by Argon2id in the path");
    report.add_ms("imaging", "card_idle", &mut idle, &setup);
    let near = format!(
        "{setup}; while {} MB stream to a workstation beside it at 1 Gbit/s",
        streamed / 1_000_000
    );
    report.add_ms("imaging", "card_beside_stream", &mut beside, &near);
    let of_idle = |some: &[f64], q: f64| quantile(some, q) / quantile(&idle, q) * 100.0;
    report.add(
        "imaging",
        "card_beside_pct_of_idle",
        of_idle(&beside, 0.99),
        "%",
        beside.len(),
        &near,
    );
    let same = format!("{setup}; on the workstation that streams, 100 Mbit/s; p95, of few");
    report.add_ms("imaging", "card_own_stream", &mut own, &same);
    report.add(
        "imaging",
        "card_own_pct_of_idle",
        of_idle(&own, 0.95),
        "%",
        own.len(),
        &same,
    );

    // A process of its own, so that its memory is its own.
    let pulled = pull(&another()?)?;
    ensure!(pulled["whole"] == true, "not whole: {pulled}");
    let bytes = pulled["bytes"].as_u64().context("bytes")?;
    let peak = pulled["peak_rss_bytes"].as_u64().context("peak_rss_bytes")?;
    let large = format!(
        "{SETUP}; {} CT slices at 1 Gbit/s, vitrine-cli image-pull",
        size.large
    );
    report.add("imaging", "study_2gb_rss_mib", mib(peak), "MiB", 1, &large);
    report.add(
        "imaging",
        "study_2gb_compressed_mib",
        mib(bytes),
        "MiB",
        1,
        &large,
    );
    report.add(
        "imaging",
        "study_2gb_rss_pct_of_compressed",
        mib(peak) / mib(bytes) * 100.0,
        "%",
        1,
        &large,
    );
    for (metric, field) in [
        ("first", "first_preview"),
        ("all_small", "all_64px"),
        ("all_exact", "all_exact"),
    ] {
        let value = pulled["ms"][field].as_f64().context(field)?;
        report.add(
            "imaging",
            &format!("study_2gb_{metric}_1g_ms"),
            value,
            "ms",
            1,
            &large,
        );
    }
    link::free()
}

/// The server is killed: what was opened before opens again, from the disk, in a workstation that has just started.
fn offline(report: &mut Report, bench: Bench, ct: &Series, size: &Size) -> Result<()> {
    let mut bench = bench;
    let rt = bench.world.runtime.handle().clone();
    let w = bench.fresh()?;
    rt.block_on(async {
        let mut open = Open::click(&w, &bench.patient, ct).await?;
        open.whole(&bench.patient, ct, LIMIT).await
    })?;
    drop(w);
    bench.world.server.kill();
    let (mut first, mut exact, mut strip) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.openings {
        let w = bench.world.open(&bench.profile())?;
        rt.block_on(w.sign_in(&bench.nurse.user, &bench.nurse.pin))?;
        let from = Instant::now();
        let list = rt.block_on(w.images(&bench.patient))?;
        strip.push(ms(from));
        ensure!(!list.studies.is_empty(), "an empty strip");
        let (small, whole) = rt.block_on(async {
            let open = Open::click(&w, &bench.patient, ct).await?;
            open.first().await
        })?;
        first.push(small);
        exact.push(whole);
    }
    let setup = format!(
        "{SETUP}; server killed, workstation just started, {} CT slices from its disk",
        size.slices
    );
    report.add_ms("imaging", "offline_strip", &mut strip, &setup);
    report.add_ms("imaging", "offline_first", &mut first, &setup);
    report.add_ms("imaging", "offline_exact", &mut exact, &setup);
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
