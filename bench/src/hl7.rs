//! HL7 v2 over MLLP and TLS: how many results a second, how long until the answer, how long until a workstation has it.

use crate::crowd::{Crowd, THIN};
use crate::report::Report;
use crate::world::{SETUP, World};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use vitrine_hl7v2::charset::Charset;
use vitrine_hl7v2::{Feed, Message, map};
use vitrine_tests::mllp::{FEED, Sender, adt, oru};
use vitrine_tests::server::{run_json, text};
use vitrine_wire::view::EngineEvent;

/// Senders at once.
const SENDERS: [usize; 2] = [16, 64];
/// Workstations that are connected while messages come at a steady rate.
const WORKSTATIONS: usize = 500;
/// Every so many results of a steady rate one is critical, and goes to the workstations of the ward.
const CRITICAL: usize = 20;
/// More results than come before those whose arrival is waited for.
const EARLIER: usize = 1_000_000;
/// Patients of the results.
const PATIENTS: usize = 200;

pub fn hl7(report: &mut Report, quick: bool) -> Result<()> {
    let world = World::with(60, None, FEED)?;
    let station = world.station("ed-07", &world.server.url())?;
    let (seconds, arrivals) = if quick { (8, 30) } else { (60, 400) };
    let setup = format!(
        "{SETUP}; MLLP over TLS, each message kept, mapped (4 results and their report), applied with its audit row, settled, before its answer; senders on the server's own two cores"
    );
    mutants(report, if quick { 30_000 } else { 1_000_000 });
    world.runtime.block_on(async {
        let mut one = Sender::connect(&world.server).await?;
        for n in 0..PATIENTS {
            one.accepted(&adt(
                "A01",
                &format!("A{n}"),
                &format!("9{n:05}"),
                &format!("{n}"),
            ))
            .await?;
        }
        anyhow::Ok(())
    })?;
    for senders in SENDERS {
        let time = Duration::from_secs(seconds);
        let mut each = world.runtime.block_on(crowd(&world, senders, time))?;
        #[allow(clippy::cast_precision_loss)]
        let rate = each.len() as f64 / seconds as f64;
        let setup = format!("{setup}; {senders} senders, one message in flight each");
        report.add(
            "hl7",
            &format!("oru_{senders}_per_s"),
            rate,
            "1/s",
            each.len(),
            &setup,
        );
        let setup = format!("{setup}, as fast as they can, from the first byte to the answer");
        report.add_ms("hl7", &format!("commit_{senders}"), &mut each, &setup);
    }
    steady(report, &world, quick, &setup)?;
    let mut samples = world.runtime.block_on(async {
        let mut one = Sender::connect(&world.server).await?;
        let mut samples = Vec::new();
        for n in 0..arrivals {
            let mut events = station.events();
            let waiting = tokio::spawn(async move {
                loop {
                    match events.recv().await {
                        Ok(EngineEvent::PatientsChanged(_)) => return Some(Instant::now()),
                        Ok(_) => {}
                        Err(_) => return None,
                    }
                }
            });
            let message = oru(
                &format!("E{n}"),
                &format!("9{:05}", n % PATIENTS),
                &format!("E{n}"),
                // Later than those of before: what is older than what the card shows changes no card.
                &clock(EARLIER + n),
                &value(n),
            )
            // What a ward is told at once: as the laboratory flags it. An ordinary result is no part of the essentials.
            .replacen("|3.5-5.1|", "|3.5-5.1|HH", 1);
            let from = Instant::now();
            one.accepted(&message).await?;
            let arrived = tokio::time::timeout(Duration::from_secs(30), waiting)
                .await
                .context("a result did not arrive within 30 s")??
                .context("the workstation's events ended")?;
            samples.push((arrived - from).as_secs_f64() * 1000.0);
        }
        anyhow::Ok(samples)
    })?;
    report.add_ms(
        "hl7",
        "byte_to_engine",
        &mut samples,
        &format!(
            "{setup}; critical results; one real engine of the ward with its encrypted cache, idle server"
        ),
    );
    Ok(())
}

/// 100 messages a second for ten minutes while 500 workstations of the ward are connected.
fn steady(report: &mut Report, world: &World, quick: bool, setup: &str) -> Result<()> {
    let (workstations, seconds) = if quick { (50, 8) } else { (WORKSTATIONS, 600) };
    let _entered = world.runtime.enter();
    let mut live = Crowd::gather(world, workstations)?;
    let mut paced = world.runtime.block_on(paced(world, seconds))?;
    let data = text(&world.server.data);
    let left = run_json(
        "vitrine-server",
        &[
            "message", "list", "--state", "received", "--data", &data, "--json",
        ],
        None,
    )?;
    let setup = format!(
        "{setup}; 100 messages a second for {seconds} s, one in {CRITICAL} critical, from when each was due to its answer; {workstations} {THIN}"
    );
    let n = paced.len();
    report.add_ms("hl7", "commit_100_per_s", &mut paced, &setup);
    let waiting = left["messages"].as_array().context("messages")?.len();
    #[allow(clippy::cast_precision_loss)]
    report.add("hl7", "backlog", waiting as f64, "", n, &setup);
    ensure!(
        live.cut(world)?.len() == workstations,
        "a workstation's line ended"
    );
    Ok(())
}

/// Messages with bytes changed, taken out and put in: read and mapped, or refused; never a panic.
fn mutants(report: &mut Report, count: u64) {
    let bases = [
        adt("A01", "1", "900001", "7"),
        adt("A08", "2", "900001", "7").replace("\rPV1", "\rAL1|1|DA^Drug^HL70127|^Saffronicillin~X|SV|Rash~Cough|2020\rDG1|1||J18.9^Pneumonia^I10|||A\rPV1"),
        oru("3", "900001", "O1", "20260301100000+0100", "<4.10"),
        oru("4", "900001", "O2", "2026", "1\\S\\2").replace("|NM|2823-3", "|SN|2823-3").replace("|139|", "|>^139|"),
    ];
    let (mut seed, mut panics, mut taken) = (0x9E37_79B9_7F4A_7C15_u64, 0_u64, 0_u64);
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..count {
        let pick = |n: u64, of: usize| usize::try_from(n % of.max(1) as u64).unwrap_or(0);
        let mut bytes = bases[pick(next(), bases.len())].clone().into_bytes();
        for _ in 0..1 + next() % 6 {
            let at = pick(next(), bytes.len());
            let special = b"|^~\\&\r\n\"\x0b\x1c\0\xff\xc3 .-+09X";
            let with = if next() % 2 == 0 {
                special[pick(next(), special.len())]
            } else {
                (next() % 256) as u8
            };
            match next() % 4 {
                0 => bytes[at] = with,
                1 => bytes.insert(at, with),
                2 => drop(bytes.remove(at)),
                _ => {
                    let to = (at + pick(next(), 40)).min(bytes.len());
                    let part = bytes[at..to].to_vec();
                    let back = pick(next(), bytes.len());
                    bytes.splice(back..back, part);
                }
            }
            if bytes.is_empty() {
                bytes.push(with);
            }
        }
        let read = std::panic::catch_unwind(|| {
            let feed = Feed::new("bench", &|_, _, _, _, _| 0);
            Message::read(&bytes, Charset::UTF_8)
                .and_then(|m| map(&m, &feed))
                .is_ok()
        });
        match read {
            Ok(ok) => taken += u64::from(ok),
            Err(_) => panics += 1,
        }
    }
    std::panic::set_hook(hook);
    #[allow(clippy::cast_precision_loss)]
    let part = taken as f64 * 100.0 / count as f64;
    let n = usize::try_from(count).unwrap_or(usize::MAX);
    let setup = "in process: read and mapped, one to six mutations each";
    #[allow(clippy::cast_precision_loss)]
    report.add("hl7", "mutant_panics", panics as f64, "", n, setup);
    report.add("hl7", "mutants_understood_pct", part, "%", n, setup);
}

/// The n-th second of the month.
fn clock(n: usize) -> String {
    format!(
        "202612{:02}{:02}{:02}{:02}",
        1 + n / 86_400 % 28,
        n / 3600 % 24,
        n / 60 % 60,
        n % 60
    )
}

fn value(n: usize) -> String {
    format!("{}.{}", 3 + n % 3, n % 10)
}

/// Senders that send as soon as they are answered; how long each message took, ms.
async fn crowd(world: &World, senders: usize, lasts: Duration) -> Result<Vec<f64>> {
    let (over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..senders {
        let mut sender = Sender::connect(&world.server).await?;
        let (over, next) = (over.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while !over.load(SeqCst) {
                let n = usize::try_from(next.fetch_add(1, SeqCst))?;
                let message = oru(
                    &format!("C{senders}-{n}"),
                    &format!("9{:05}", n % PATIENTS),
                    &format!("C{senders}-{n}"),
                    &clock(n),
                    &value(n),
                );
                let from = Instant::now();
                sender.accepted(&message).await?;
                took.push(from.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(took)
        }));
    }
    tokio::time::sleep(lasts).await;
    over.store(true, SeqCst);
    let mut all = Vec::new();
    for task in tasks {
        all.append(&mut task.await??);
    }
    Ok(all)
}

/// 100 messages a second over ten senders; how long after it was due each was answered, ms.
async fn paced(world: &World, seconds: usize) -> Result<Vec<f64>> {
    const EACH: usize = 10;
    let began = Instant::now() + Duration::from_millis(100);
    let mut tasks = Vec::new();
    for s in 0..EACH {
        let mut sender = Sender::connect(&world.server).await?;
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            for k in 0..seconds * 100 / EACH {
                let n = k * EACH + s;
                let due = began + Duration::from_millis(10) * u32::try_from(n)?;
                tokio::time::sleep_until(due.into()).await;
                let message = oru(
                    &format!("D{n}"),
                    &format!("9{:05}", n % PATIENTS),
                    &format!("D{n}"),
                    &clock(n),
                    &value(n),
                );
                let message = if n.is_multiple_of(CRITICAL) {
                    message.replacen("|3.5-5.1|", "|3.5-5.1|HH", 1)
                } else {
                    message
                };
                sender.accepted(&message).await?;
                took.push(due.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(took)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.append(&mut task.await??);
    }
    ensure!(all.len() == seconds * 100, "some were not answered");
    Ok(all)
}
