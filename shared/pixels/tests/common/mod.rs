//! Frames made up for the tests, and the corpus beside the repository.
#![allow(dead_code)]

use std::path::PathBuf;
use vitrine_pixels::Shape;

/// A seeded source of numbers (splitmix64).
pub struct Seed(pub u64);

impl Seed {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content {
    Flat,
    Least,
    Most,
    Gradient,
    Noise,
    /// A smooth picture with noise in its low bits, as a scanner gives it.
    Body,
    /// Every second sample the least and the greatest: the worst for a wavelet.
    Checker,
    /// Flat but for a few pixels: most blocks are empty.
    Sparse,
}

pub const CONTENTS: [Content; 8] = [
    Content::Flat,
    Content::Least,
    Content::Most,
    Content::Gradient,
    Content::Noise,
    Content::Body,
    Content::Checker,
    Content::Sparse,
];

pub fn shape(columns: u32, rows: u32, samples: u8, bits: u8, signed: bool) -> Shape {
    Shape {
        columns,
        rows,
        samples,
        bits,
        signed,
    }
}

pub fn put(shape: &Shape, out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes()[..shape.width()]);
}

pub fn frame(shape: &Shape, content: Content, seed: u64) -> Vec<u8> {
    let (low, high) = shape.bounds();
    let span = (high - low + 1) as u64;
    let mut seed = Seed(seed);
    let mut out = Vec::with_capacity(shape.len() as usize);
    for y in 0..shape.rows {
        for x in 0..shape.columns {
            for s in 0..u32::from(shape.samples) {
                let v = match content {
                    Content::Flat => low + (span / 3) as i64,
                    Content::Least => low,
                    Content::Most => high,
                    Content::Gradient => low + ((x + y * 2 + s * 7) as i64).rem_euclid(span as i64),
                    Content::Noise => low + seed.below(span) as i64,
                    Content::Body => {
                        let fx = f64::from(x) / f64::from(shape.columns) - 0.5;
                        let fy = f64::from(y) / f64::from(shape.rows) - 0.5;
                        let inside = if fx * fx + fy * fy < 0.16 { 0.5 } else { 0.02 };
                        let wave = (fx * 19.0).sin() * (fy * 13.0 + f64::from(s)).cos() * 0.2;
                        let v =
                            ((inside + wave.abs()) * span as f64) as i64 + seed.below(span / 128 + 1) as i64;
                        low + v.clamp(0, span as i64 - 1)
                    }
                    Content::Sparse if (x * 31 + y * 17) % 4099 < 2 => high,
                    Content::Sparse => low + (span / 2) as i64,
                    Content::Checker => {
                        if (x + y + s) % 2 == 0 {
                            low
                        } else {
                            high
                        }
                    }
                };
                put(shape, &mut out, v);
            }
        }
    }
    out
}

pub fn parts(segments: &[Vec<u8>]) -> Vec<&[u8]> {
    segments.iter().map(Vec::as_slice).collect()
}

/// The folder of the DICOM corpus beside the repository; `None` (after saying so) where it is absent outside CI.
pub fn corpus() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data/dicom"))
        .find(|dir| dir.join("catalogue.csv").exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data/dicom beside the repository");
    }
    found
}

/// Native little-endian frames of the corpus as plain bytes: at most four of each file.
pub fn real_frames() -> Vec<(String, Shape, Vec<u8>)> {
    let Some(root) = corpus() else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut dirs = vec![root];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let mut source = std::io::Cursor::new(&bytes);
        let Ok(scan) = vitrine_dicom::scan(&mut source, bytes.len() as u64) else {
            continue;
        };
        let Some(geometry) = &scan.geometry else {
            continue;
        };
        let native = matches!(
            scan.transfer_syntax(),
            "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1"
        );
        let whole = matches!(geometry.bits_allocated, 8 | 16 | 32) && matches!(geometry.samples, 1 | 3);
        if !native || !whole || geometry.high_bit + 1 != geometry.bits_stored {
            continue;
        }
        let shape = shape(
            u32::from(geometry.columns),
            u32::from(geometry.rows),
            geometry.samples as u8,
            geometry.bits_stored as u8,
            geometry.signed,
        );
        if shape.checked().is_err() {
            continue;
        }
        for n in 0..scan.frames().min(4) {
            let Ok(frame) = scan.frame(n) else { continue };
            let raw: Vec<u8> = frame
                .ranges
                .iter()
                .flat_map(|r| &bytes[r.start as usize..r.end as usize])
                .copied()
                .collect();
            let count = shape.columns as usize * shape.rows as usize * usize::from(shape.samples);
            let wide = usize::from(geometry.bits_allocated / 8);
            if raw.len() < count * wide || frame.first_bit != 0 {
                continue;
            }
            let mut plain = Vec::with_capacity(count * wide);
            for i in 0..count {
                let at = if geometry.planar && shape.samples == 3 {
                    (i % 3) * (count / 3) + i / 3
                } else {
                    i
                };
                let mut sample = [0u8; 8];
                sample[..wide].copy_from_slice(&raw[at * wide..(at + 1) * wide]);
                let shift = 64 - u32::from(shape.bits);
                let v = i64::from_le_bytes(sample) << shift;
                let v = if shape.signed {
                    v >> shift
                } else {
                    (v as u64 >> shift) as i64
                };
                put(&shape, &mut plain, v);
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            out.push((format!("{name}#{}", n + 1), shape, plain));
        }
    }
    out
}
