//! Rates and sizes of the layered coding over the raw frames named in a list: `rates <list>`, each line
//! `file columns rows samples bits signed(0|1)`, the file holding plain bytes.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};
use vitrine_pixels::layers::{Coding, decode, encode};
use vitrine_pixels::{Shape, digest};

/// What `work` gives and the least time it took of some runs, so that a busy machine shows its own speed.
fn least<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let mut best = Duration::MAX;
    let mut out = None;
    for _ in 0..7 {
        let start = Instant::now();
        out = Some(work());
        best = best.min(start.elapsed());
    }
    (out.expect("one run"), best)
}

fn main() {
    let list = std::env::args().nth(1).expect("a list of raw frames");
    let (mut raw, mut coded_bytes, mut whole, mut frames) = (0usize, 0usize, 0, 0);
    let (mut encoding, mut hashing) = (Duration::ZERO, Duration::ZERO);
    let mut layers = [(0usize, 0usize, Duration::ZERO); 4];
    for line in std::fs::read_to_string(list).expect("the list").lines() {
        let field: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| field[i].parse::<u32>().expect("a number");
        let shape = Shape {
            columns: number(1),
            rows: number(2),
            samples: number(3) as u8,
            bits: number(4) as u8,
            signed: number(5) == 1,
        };
        let plain = std::fs::read(field[0]).expect("a frame");
        let (coded, time) = least(|| encode(shape, &plain).expect("encodes"));
        encoding += time;
        frames += 1;
        raw += plain.len();
        coded_bytes += coded.segments.iter().map(Vec::len).sum::<usize>();
        if coded.coding == Coding::Zstd {
            whole += 1;
            println!("whole: {line} {:?}", coded.unlayered);
            continue;
        }
        let all: Vec<&[u8]> = coded.segments.iter().map(Vec::as_slice).collect();
        for k in 1..=all.len() {
            let slot = if k == all.len() { 3 } else { k - 1 };
            let (image, time) = least(|| decode(shape, coded.coding, &all[..k]).expect("decodes"));
            layers[slot].2 += time;
            layers[slot].0 += 1;
            layers[slot].1 += all[..k].iter().map(|s| s.len()).sum::<usize>();
            if image.exact {
                let (hash, time) = least(|| digest(&image.plain));
                assert_eq!(hash, coded.pixels);
                hashing += time;
            }
        }
    }
    let rate = |bytes: usize, time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!(
        "{frames} frames, {whole} whole, {raw} bytes, ratio {:.3}",
        raw as f64 / coded_bytes as f64
    );
    println!("encode and verify {:.1} MB/s", rate(raw, encoding));
    println!(
        "decode in full    {:.1} MB/s, SHA-256 {:.0} MB/s",
        rate(raw, layers[3].2),
        rate(raw, hashing)
    );
    for (name, (n, bytes, time)) in ["<= 64 px", "<= 128 px", "<= 256 px", "full"].iter().zip(layers) {
        let n = n.max(1);
        println!(
            "{name}: {n} frames, {} bytes up to here, {:.3} ms",
            bytes / n,
            time.as_secs_f64() * 1e3 / n as f64
        );
    }
}
