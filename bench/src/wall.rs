//! The wall of live vital signs: forty beds, one message a second each, from the gateway's hand to the workstation's screen.

use crate::report::Report;
use crate::world::{SETUP, World};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vitrine_tests::monitor::Gateway;
use vitrine_wire::view::EngineEvent;
use vitrine_wire::wall_view::MonitorState;

/// Beds of the wall.
const BEDS: usize = 40;

type Sent = Mutex<HashMap<(String, String), Instant>>;

fn note(sent: &Sent, patient: &str, value: u32) {
    let mut all = sent.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert((patient.to_owned(), value.to_string()), Instant::now());
}

pub fn wall(report: &mut Report, quick: bool) -> Result<()> {
    let world = World::new(60, None)?;
    let _entered = world.runtime.enter();
    let ours = world.admit(BEDS)?;
    let (w, _) = world.signed_in()?;
    world.runtime.block_on(w.settled(Duration::from_secs(10)));
    let first = world.runtime.block_on(w.wall_open(None))?;
    let beds: Vec<String> = first.beds.iter().map(|b| b.patient.clone()).collect();
    ensure!(
        ours.iter().all(|p| beds.contains(p)),
        "not everybody is on the board"
    );

    // Each value is sent once and differs from the one before: when it was sent, by patient and value.
    let sent: Arc<Sent> = Arc::default();
    let gateway = Arc::new(world.runtime.block_on(Gateway::connect(&world.server))?);
    let seconds = if quick { 20_u32 } else { 120 };
    for (n, patient) in ours.iter().cloned().enumerate() {
        let (gateway, sent) = (gateway.clone(), sent.clone());
        world.runtime.spawn(async move {
            let at = n as u64 * 1_000 / BEDS as u64;
            tokio::time::sleep(Duration::from_millis(at)).await;
            let mut second = tokio::time::interval(Duration::from_secs(1));
            for k in 0..seconds {
                second.tick().await;
                let value = 40 + k % 100;
                note(&sent, &patient, value);
                if let Err(e) = gateway.says(&patient, value, Some(97)).await {
                    eprintln!("not taken: {e}");
                }
            }
        });
    }
    let mut events = w.events();
    let (mut took, mut view_ms) = (Vec::new(), Vec::new());
    let mut dark = 0_usize;
    let end = Instant::now() + Duration::from_secs(u64::from(seconds) + 2);
    while Instant::now() < end {
        let next = tokio::time::timeout(Duration::from_secs(1), events.recv());
        match world.runtime.block_on(next) {
            Ok(Ok(EngineEvent::Wall)) => {}
            Ok(Err(tokio::sync::broadcast::error::RecvError::Closed)) => break,
            _ => continue,
        }
        w.active();
        let from = Instant::now();
        let view = world.runtime.block_on(w.wall())?;
        view_ms.push(from.elapsed().as_secs_f64() * 1_000.0);
        let running = Instant::now() + Duration::from_secs(4) < end;
        for bed in view.beds.iter().filter(|b| b.patient.starts_with("wall-")) {
            let hr = bed.signals.iter().find(|s| s.signal == "hr");
            let value = hr.and_then(|s| s.value_text.clone());
            dark += usize::from(running && value.is_some() && bed.state != MonitorState::Live);
            let mut all = sent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = value.and_then(|v| all.remove(&(bed.patient.clone(), v))) {
                took.push(at.elapsed().as_secs_f64() * 1_000.0);
            }
        }
    }
    let missed = sent.lock().unwrap_or_else(PoisonError::into_inner).len();
    let setup = format!(
        "{SETUP}; {BEDS} beds, one message a second each, from before it is sent to the view of the engine"
    );
    ensure!(took.len() > BEDS * 10, "only {} values were seen", took.len());
    let n = took.len();
    report.add_ms("wall", "value_40", &mut took, &setup);
    report.add_ms(
        "wall",
        "view_40",
        &mut view_ms,
        &format!("{SETUP}; making the view of {} beds", beds.len()),
    );
    report.add("wall", "never_seen", missed as f64, "", n + missed, &setup);
    report.add("wall", "live_shown_dark", dark as f64, "", n, &setup);

    // A monitor is unplugged: until its cell is grey.
    let mut grey = Vec::new();
    for k in 0..if quick { 3_u32 } else { 20 } {
        let patient = ours.get(k as usize % BEDS).context("a bed")?;
        let is_live = |view: &vitrine_wire::wall_view::WallView| {
            let bed = view.beds.iter().find(|b| b.patient == *patient);
            bed.is_some_and(|b| b.state == MonitorState::Live)
        };
        let from = Instant::now();
        world.runtime.block_on(gateway.says(patient, 150 + k, Some(97)))?;
        while !is_live(&world.runtime.block_on(w.wall())?) {
            ensure!(from.elapsed() < Duration::from_secs(10), "never live");
            std::thread::sleep(Duration::from_millis(10));
        }
        while is_live(&world.runtime.block_on(w.wall())?) {
            std::thread::sleep(Duration::from_millis(10));
            w.active();
        }
        grey.push(from.elapsed().as_secs_f64() * 1_000.0);
    }
    let setup = format!(
        "{SETUP}; from the last value's sending to the cell that is not live; the screen looks four times a second"
    );
    report.add_ms("wall", "grey", &mut grey, &setup);
    Ok(())
}
