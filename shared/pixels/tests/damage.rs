//! Damaged segments: refused or other pixels, never a panic that escapes, never memory beyond the shape.

mod common;

use common::{Content, Seed, frame, parts, shape};
use vitrine_pixels::layers::{Coded, Coding, decode, encode, standalone};
use vitrine_pixels::{Shape, digest};

fn samples() -> Vec<Coded> {
    [
        (shape(70, 50, 1, 12, false), Content::Body),
        (shape(40, 40, 3, 8, false), Content::Noise),
        (shape(300, 130, 1, 16, true), Content::Gradient),
        (shape(60, 60, 1, 24, true), Content::Body),
    ]
    .into_iter()
    .map(|(shape, content)| encode(shape, &frame(&shape, content, 11)).unwrap())
    .collect()
}

/// Decodes every prefix of damaged segments; whatever comes has the size of the shape, and `exact` pixels that are
/// others are known by their digest.
fn survives(coded: &Coded, bad: &[Vec<u8>], shape: Shape) -> bool {
    let all = parts(bad);
    let mut told = true;
    for k in 1..=all.len() {
        let _ = standalone(shape, &all[..k]);
        match decode(shape, coded.coding, &all[..k]) {
            Ok(image) => {
                let small = Shape {
                    columns: image.columns,
                    rows: image.rows,
                    ..shape
                };
                assert_eq!(image.plain.len() as u64, small.len());
                assert!(image.columns <= shape.columns && image.rows <= shape.rows);
                if image.exact {
                    told = digest(&image.plain) != coded.pixels;
                }
            }
            Err(_) => told = true,
        }
    }
    told
}

fn mutate(seed: &mut Seed, segments: &mut [Vec<u8>]) {
    for _ in 0..=seed.below(3) {
        let n = seed.below(segments.len() as u64) as usize;
        let bytes = &mut segments[n];
        if bytes.is_empty() {
            continue;
        }
        // headers more often than blocks
        let most = if seed.below(2) == 0 {
            bytes.len().min(160)
        } else {
            bytes.len()
        };
        let at = seed.below(most as u64) as usize;
        match seed.below(6) {
            0 => bytes[at] ^= 1 << seed.below(8),
            1 => bytes[at] = seed.next() as u8,
            2 => bytes[at] = 0xff,
            3 => bytes.truncate(at),
            4 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, seed.next() as u8),
        }
    }
}

fn fuzz(rounds: u64) {
    std::panic::set_hook(Box::new(|_| {}));
    let samples = samples();
    assert!(samples.iter().any(|c| c.coding == Coding::Zstd));
    let mut seed = Seed(rounds);
    for _ in 0..rounds {
        let coded = &samples[seed.below(samples.len() as u64) as usize];
        let mut bad = coded.segments.clone();
        mutate(&mut seed, &mut bad);
        let mut shape = coded.shape;
        // now and then the shape is another frame's
        match seed.below(40) {
            0 => shape.columns = 1 + seed.below(700) as u32,
            1 => shape.bits = 1 + seed.below(32) as u8,
            2 => shape.signed = !shape.signed,
            3 => shape.samples = 4 - shape.samples,
            _ => {}
        }
        survives(coded, &bad, shape);
    }
    let _ = std::panic::take_hook();
}

#[test]
fn damage_never_escapes() {
    fuzz(3_000);
}

#[test]
#[ignore = "minutes without optimisation"]
fn damage_never_escapes_a_hundred_thousand_times() {
    fuzz(100_000);
}

#[test]
fn a_flipped_bit_never_passes_for_exact() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut silent = Vec::new();
    for coded in samples() {
        let mut seed = Seed(9);
        for _ in 0..400 {
            let mut bad = coded.segments.clone();
            let n = seed.below(bad.len() as u64) as usize;
            let at = seed.below(bad[n].len() as u64) as usize;
            bad[n][at] ^= 1 << seed.below(8);
            let image = decode(coded.shape, coded.coding, &parts(&bad));
            // fill bits of a block or of a header may change nothing; pixels that differ always show
            if let Ok(image) = image
                && digest(&image.plain) == coded.pixels
            {
                silent.push((n, at));
            }
        }
    }
    let _ = std::panic::take_hook();
    println!("{} of 1600 flips changed no pixel", silent.len());
    assert!(silent.len() < 160, "{silent:?}");
}

#[test]
fn every_truncation_is_refused() {
    for coded in samples() {
        for n in 0..coded.segments.len() {
            for len in (0..coded.segments[n].len()).step_by(7) {
                let mut bad = coded.segments.clone();
                bad[n].truncate(len);
                assert!(
                    decode(coded.shape, coded.coding, &parts(&bad)).is_err(),
                    "{n} {len}"
                );
                assert!(
                    decode(coded.shape, coded.coding, &parts(&bad[..=n])).is_err(),
                    "{n} {len}"
                );
            }
        }
        let all = parts(&coded.segments);
        assert!(decode(coded.shape, coded.coding, &[]).is_err());
        let more: Vec<&[u8]> = all.iter().copied().chain([all[0]]).collect();
        assert!(decode(coded.shape, coded.coding, &more).is_err());
    }
}
