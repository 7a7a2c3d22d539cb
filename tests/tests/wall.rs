//! The wall of live vital signs: real gateway, server, line and workstation. What stands still is grey within five seconds, whatever
//! it is that stands still; nothing old is ever live.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use vitrine_engine::clock::Clock;
use vitrine_engine::{EngineError, Options, Workstation};
use vitrine_tests::monitor::{Gateway, HEART_RATE, said};
use vitrine_tests::proxy::{Line, Proxy};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person};
use vitrine_wire::wall_view::{MonitorState, WallLine, WallView};

/// What a value may stand for and still be shown as live: the acceptance of S9.
const GREY: Duration = Duration::from_secs(5);
/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(60);

/// Monitors that speak once a second, each of its patient, until they are unplugged.
struct Monitors {
    plugged: Vec<Arc<AtomicBool>>,
    pulse: Vec<Arc<AtomicU32>>,
    sensor: Vec<Arc<AtomicBool>>,
}

impl Monitors {
    fn start(gateway: &Arc<Gateway>, patients: &[String]) -> Self {
        let (mut plugged, mut pulse, mut sensor) = (Vec::new(), Vec::new(), Vec::new());
        for patient in patients {
            let (on, rate) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(72)));
            let finger = Arc::new(AtomicBool::new(true));
            let (gateway, patient, is_on, now) = (gateway.clone(), patient.clone(), on.clone(), rate.clone());
            let is_there = finger.clone();
            tokio::spawn(async move {
                let mut second = tokio::time::interval(Duration::from_secs(1));
                loop {
                    second.tick().await;
                    if is_on.load(SeqCst) {
                        let saturation = is_there.load(SeqCst).then_some(97);
                        let _ = gateway.says(&patient, now.load(SeqCst), saturation).await;
                    }
                }
            });
            plugged.push(on);
            pulse.push(rate);
            sensor.push(finger);
        }
        Self {
            plugged,
            pulse,
            sensor,
        }
    }
}

fn state(view: &WallView, patient: &str) -> Option<MonitorState> {
    view.beds.iter().find(|b| b.patient == patient).map(|b| b.state)
}

fn value(view: &WallView, patient: &str, signal: &str) -> Option<String> {
    let bed = view.beds.iter().find(|b| b.patient == patient)?;
    bed.signals
        .iter()
        .find(|s| s.signal == signal)?
        .value_text
        .clone()
}

/// Waits until it holds; gives how long that took.
async fn until(w: &Workstation, what: &str, holds: impl Fn(&WallView) -> bool) -> Result<Duration> {
    let from = Instant::now();
    loop {
        let view = w.wall().await?;
        if holds(&view) {
            return Ok(from.elapsed());
        }
        if from.elapsed() > SOON {
            bail!("not seen: {what}; {view:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_is_grey_within_five_seconds_whatever_it_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let proxy = Proxy::start(server.addr).await?;
    let profile = dir.path().join("icu-01");
    let station = Station::enrol(&server, &format!("https://{}", proxy.addr), &profile, "ICU")?;
    let nurse = person(&seed, "nurse", "ICU")?;
    station.sync()?;
    station.first_board(&nurse)?;
    let options = Options {
        sync: false,
        ballast_bytes: 0,
        idle_lock: Duration::from_secs(3_600),
        ..Options::default()
    };
    let w = Workstation::open(&profile, options)?;
    w.sign_in(&nurse.user, &nurse.password).await?;
    w.settled(SOON).await;

    // Another ward is another permit, here and there.
    let denied = w.wall_open(Some("ED")).await;
    ensure!(matches!(denied, Err(EngineError::Denied { .. })), "{denied:?}");
    ensure!(w.wall().await.is_err(), "no wall is open");

    let first = w.wall_open(None).await?;
    ensure!(first.beds.len() >= 3, "{} beds in the ICU", first.beds.len());
    ensure!(
        first.beds.iter().all(|b| b.state == MonitorState::Never),
        "{first:?}"
    );
    let patients: Vec<String> = first.beds.iter().take(3).map(|b| b.patient.clone()).collect();
    let [a, b, c] = &patients[..] else {
        bail!("three patients")
    };
    let gateway = Arc::new(Gateway::connect(&server).await?);
    let monitors = Monitors::start(&gateway, &patients);
    let live = |v: &WallView, p: &str| state(v, p) == Some(MonitorState::Live);
    until(&w, "everybody is live", |v| patients.iter().all(|p| live(v, p))).await?;
    ensure!(w.wall().await?.line == WallLine::Up);
    // The same by the command, in another program.
    let from = Instant::now();
    loop {
        let printed = station.by(&nurse, &["wall"])?;
        let beds = printed["beds"].as_array().context("beds")?;
        let is_live = |x: &serde_json::Value| x["patient"] == a.as_str() && x["state"] == "live";
        if printed["line"] == "up" && beds.iter().any(is_live) {
            break;
        }
        // On a machine that has much to do, a value can have gone out of date before a new program is up.
        ensure!(from.elapsed() < SOON, "{printed}");
    }
    monitors.pulse[1].store(131, SeqCst);
    until(&w, "the new value", |v| {
        value(v, b, "hr").as_deref() == Some("131")
    })
    .await?;

    // A monitor is unplugged.
    monitors.plugged[0].store(false, SeqCst);
    let took = until(&w, "the unplugged one is not live", |v| !live(v, a)).await?;
    ensure!(took <= GREY, "{took:?}");
    let view = w.wall().await?;
    ensure!(state(&view, a) == Some(MonitorState::NotLive), "{view:?}");
    ensure!(live(&view, b) && live(&view, c), "the others go on: {view:?}");
    // Its last value and when it was stay, as what they are.
    ensure!(value(&view, a, "hr").as_deref() == Some("72"));
    let bed = view.beds.iter().find(|x| x.patient == *a).context("the bed")?;
    ensure!(
        bed.last_text
            .as_deref()
            .is_some_and(|t| t.contains("Last heard of at")),
        "{bed:?}"
    );

    // Its gateway repeats the last message, and empties a buffer of a minute ago.
    let old = said(a, HEART_RATE, Some("72"), Clock::new().wall().plus_ms(-60_000));
    for _ in 0..3 {
        let (status, _) = gateway.sends(std::slice::from_ref(&old)).await?;
        ensure!(status == 200);
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(!live(&w.wall().await?, a), "an old value is shown as live");
    }
    monitors.plugged[0].store(true, SeqCst);
    until(&w, "plugged in again", |v| live(v, a)).await?;

    // A sensor falls off: the others of that monitor go on.
    monitors.sensor[2].store(false, SeqCst);
    until(&w, "the sensor is off", |v| {
        let bed = v.beds.iter().find(|x| x.patient == *c);
        let spo2 = bed.and_then(|x| x.signals.iter().find(|s| s.signal == "spo2"));
        spo2.is_some_and(|s| s.value_text.is_none() && s.absent_text.as_deref() == Some("sensor off"))
            && live(v, c)
    })
    .await?;
    monitors.sensor[2].store(true, SeqCst);

    // The line dies without a word, in both ways of dying.
    for how in [Line::BlackHole, Line::HalfOpen] {
        until(&w, "everybody is live again", |v| {
            patients.iter().all(|p| live(v, p))
        })
        .await?;
        proxy.set(how);
        let took = until(&w, "a dead line leaves nothing live", |v| {
            !patients.iter().any(|p| live(v, p))
        })
        .await?;
        ensure!(took <= GREY, "{how:?} {took:?}");
        until(&w, "it is said", |v| {
            v.line == WallLine::Down && v.line_text.is_some()
        })
        .await?;
        proxy.set(Line::Refused);
        proxy.set(Line::Up);
    }

    // A line that got slow: what comes is as old as it is.
    until(&w, "everybody is live again", |v| {
        patients.iter().all(|p| live(v, p))
    })
    .await?;
    proxy.delay(Duration::from_secs(6));
    let took = until(&w, "a slow line leaves nothing live", |v| {
        !patients.iter().any(|p| live(v, p))
    })
    .await?;
    ensure!(took <= GREY, "{took:?}");
    let from = Instant::now();
    while from.elapsed() < Duration::from_secs(14) {
        let view = w.wall().await?;
        ensure!(
            !patients.iter().any(|p| live(&view, p)),
            "six seconds old and live: {view:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    proxy.delay(Duration::ZERO);
    proxy.set(Line::Refused);
    proxy.set(Line::Up);
    until(&w, "everybody is live again", |v| {
        patients.iter().all(|p| live(v, p))
    })
    .await?;

    // The server dies, and comes back knowing nothing.
    server.kill();
    let took = until(&w, "without a server nothing is live", |v| {
        !patients.iter().any(|p| live(v, p))
    })
    .await?;
    ensure!(took <= GREY, "{took:?}");
    ensure!(
        value(&w.wall().await?, b, "hr").as_deref() == Some("131"),
        "the last value stays"
    );
    server.restart()?;
    monitors.plugged.iter().for_each(|on| on.store(false, SeqCst));
    let gateway = Arc::new(Gateway::connect(&server).await?);
    let _monitors = Monitors::start(&gateway, &patients[..2]);
    until(&w, "live from the new server", |v| live(v, a) && live(v, b)).await?;
    until(&w, "of whom it knows nothing is not live", |v| {
        state(v, c) == Some(MonitorState::NotLive)
    })
    .await?;

    // With the lock all of it is gone.
    w.lock();
    ensure!(matches!(w.wall().await, Err(EngineError::NotSignedIn)));
    w.sign_in(&nurse.user, &nurse.password).await?;
    ensure!(w.wall().await.is_err(), "a wall outlived the lock");
    Ok(())
}
