//! Frames of every codec, broken: whatever comes, [`decode`] answers, and no panic leaves it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use vitrine_codec::{Job, Refused, decode};

/// A generator of numbers for tests (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn mutated(job: &Job, numbers: &mut Numbers) -> Job {
    let mut job = job.clone();
    let len = job.bytes.len();
    for _ in 0..=numbers.below(4) {
        // half of them among the headers
        let at = if numbers.below(2) == 0 {
            numbers.below(len.min(200))
        } else {
            numbers.below(len)
        };
        match numbers.below(6) {
            0 | 1 => job.bytes[at] ^= 1 << numbers.below(8),
            2 => job.bytes[at] = numbers.next() as u8,
            3 => job.bytes[at] = [0, 0xFF, 0x7F, 0x80][numbers.below(4)],
            4 if at > 4 => job.bytes.truncate(at),
            _ => {
                let to = (at + numbers.below(16)).min(job.bytes.len());
                let part = job.bytes[at.min(to)..to].to_vec();
                job.bytes
                    .splice(at.min(job.bytes.len())..at.min(job.bytes.len()), part);
            }
        }
        if job.bytes.len() < len {
            break;
        }
    }
    if numbers.below(8) == 0 {
        job.bits_stored = 1 + numbers.below(16) as u16;
        job.high_bit = numbers.below(16) as u16;
        job.signed = !job.signed;
        job.planar = !job.planar;
    }
    job
}

/// The smallest frames of each transfer syntax, two each.
fn seeds() -> Option<Vec<Job>> {
    let data = super::data()?;
    let mut by_syntax: BTreeMap<String, Vec<Job>> = BTreeMap::new();
    for file in super::files(&data) {
        let bytes = std::fs::read(data.join(&file)).unwrap();
        if let Ok(Some(job)) = super::first_job(&bytes) {
            by_syntax.entry(job.syntax.clone()).or_default().push(job);
        }
    }
    let mut seeds = Vec::new();
    for (_, mut jobs) in by_syntax {
        jobs.sort_by_key(|j| u64::from(j.columns) * u64::from(j.rows) * u64::from(j.samples));
        seeds.extend(jobs.into_iter().take(2));
    }
    let jxl = include_bytes!("../fixtures/gray12.jxl");
    seeds.push(Job {
        syntax: "1.2.840.10008.1.2.4.110".to_owned(),
        columns: 40,
        rows: 30,
        samples: 1,
        bits_allocated: 16,
        bits_stored: 12,
        high_bit: 11,
        photometric: "MONOCHROME2".to_owned(),
        bytes: jxl.to_vec(),
        ..Job::default()
    });
    Some(seeds)
}

/// Each codec has its turn until the time or the number is over.
#[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn run(rounds: usize, time: Duration) {
    let Some(seeds) = seeds() else { return };
    assert!(seeds.len() > 20, "{}", seeds.len());
    std::panic::set_hook(Box::new(|_| {}));
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut table: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    let (start, mut done, mut worst) = (Instant::now(), 0, (Duration::ZERO, ""));
    'all: loop {
        for seed in &seeds {
            if done == rounds || start.elapsed() > time {
                break 'all;
            }
            let job = mutated(seed, &mut numbers);
            let began = Instant::now();
            let answer = catch_unwind(AssertUnwindSafe(|| decode(&job)));
            let took = began.elapsed();
            if took > worst.0 {
                worst = (took, seed.syntax.as_str());
            }
            let row = table.entry(seed.syntax.as_str()).or_default();
            match answer {
                Ok(Ok(plain)) => {
                    assert_eq!(plain.bytes.len() as u64, plain.shape.len());
                    row[0] += 1;
                }
                Ok(Err(Refused::Fault(_))) => row[2] += 1,
                Ok(Err(_)) => row[1] += 1,
                Err(_) => row[3] += 1,
            }
            done += 1;
        }
    }
    let _ = std::panic::take_hook();
    let escaped: u64 = table.values().map(|r| r[3]).sum();
    eprintln!("{done} mutants; longest {worst:?}; decoded, refused, panics caught, panics escaped:");
    for (syntax, row) in &table {
        eprintln!("  {syntax}: {row:?}");
    }
    assert_eq!(escaped, 0);
    assert!(worst.0 < Duration::from_secs(20), "{worst:?}");
}

#[test]
fn no_panic_leaves_decode() {
    run(usize::MAX, Duration::from_secs(20));
}

#[test]
#[ignore = "an hour; VITRINE_MUTANTS sets another number"]
fn no_panic_leaves_decode_a_million_times() {
    let rounds = std::env::var("VITRINE_MUTANTS").ok().and_then(|n| n.parse().ok());
    run(rounds.unwrap_or(1_000_000), Duration::MAX);
}
