//! The whole protocol under a simulated network, both ends real (faults.md F-13, F-14, F-16, F-18, B7).
//!
//! Every run follows from its seed. `VITRINE_SEED=n` runs one seed and prints what the workstations do, `VITRINE_SEEDS=n` that many (default 10,000).
//! A failure prints `SEED=n`. The control runs take away what finds a divergence and must find one.

mod at_server;
mod at_workstation;
mod happenings;
mod hospital;
mod workstation;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::{Control, Stats, World};

fn run(seed: u64, control: Control) -> Result<Stats, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut w = World::new(seed, control);
        w.trace = env("VITRINE_SEED").is_some();
        w.run();
        (w.differences(), w.stats)
    }));
    match outcome {
        Ok((differences, stats)) if differences.is_empty() => Ok(stats),
        Ok((differences, _)) => Err(differences.join("; ")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default())
        }
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_many(first: u64, count: u64, control: Control) -> (Stats, Vec<(u64, String)>) {
    let next = AtomicU64::new(first);
    let total = Mutex::new((Stats::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || total.lock().unwrap().1.len() >= 5 {
                        return;
                    }
                    let outcome = run(seed, control);
                    let mut t = total.lock().unwrap();
                    match outcome {
                        Ok(stats) => t.0.add(&stats),
                        Err(why) => t.1.push((seed, why)),
                    }
                }
            });
        }
    });
    total.into_inner().unwrap()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "prints how long the seeds took")]
fn every_workstation_ends_equal_to_the_server() {
    let began = std::time::Instant::now();
    let (first, count) = match env("VITRINE_SEED") {
        Some(seed) => (seed, 1),
        None => (1, env("VITRINE_SEEDS").unwrap_or(10_000)),
    };
    let (stats, failures) = run_many(first, count, Control::default());
    for (seed, why) in &failures {
        println!("SEED={seed} {why}");
    }
    println!(
        "{count} seeds in {:.1} s: {stats:?}",
        began.elapsed().as_secs_f64()
    );
    assert!(
        failures.is_empty(),
        "{} seeds failed, first SEED={}",
        failures.len(),
        failures[0].0
    );
    if count >= 1_000 {
        let s = stats;
        let all = [
            s.lost,
            s.cuts,
            s.half_open,
            s.kills,
            s.restores,
            s.resumed,
            s.repairs,
            s.store_failures,
            s.dirty,
        ];
        assert!(
            all.iter().all(|n| *n > 0),
            "a kind of fault never happened: {s:?}"
        );
    }
}

/// Without the gap check and the digests the same faults must leave a divergence, or the test above proves nothing.
#[test]
fn without_gap_check_and_digests_a_divergence_is_found() {
    let blind = Control {
        blind_to_gaps: true,
        blind_to_digests: true,
    };
    let failed = (1..=60).filter(|seed| run(*seed, blind).is_err()).count();
    println!("control: {failed} of 60 seeds diverged");
    assert!(failed > 0);
}

/// The digests alone are needed too: a change the feed never had shows in no chain.
#[test]
fn without_digests_alone_a_divergence_is_found() {
    let blind = Control {
        blind_to_gaps: false,
        blind_to_digests: true,
    };
    let failed = (1..=200).filter(|seed| run(*seed, blind).is_err()).count();
    println!("control: {failed} of 200 seeds diverged");
    assert!(failed > 0);
}
