//! The files of the corpus, broken: cut off at every kilobyte, and with bytes changed where the header is. None panics,
//! and the parser never sees anything else than the scan has let through.

use crate::files::{catalogue, data};
use std::io::Cursor;
use vitrine_dicom::{IndexError, index, scan};

/// Larger files have the same shapes.
const LARGEST: usize = 256 << 10;

fn whole(file: &str, bytes: &[u8]) -> bool {
    let mut source = Cursor::new(bytes);
    let Ok(found) = scan(&mut source, bytes.len() as u64) else {
        return false;
    };
    for n in 0..found.frames().min(3) {
        if let Ok(frame) = found.frame(n) {
            assert!(frame.ranges.iter().all(|r| r.end <= bytes.len() as u64), "{file}");
        }
    }
    let header = found.read_header(&mut source).unwrap();
    let read = index(&found, &header);
    assert!(!matches!(read, Err(IndexError::Parse { .. })), "{file}: {read:?}");
    read.is_ok()
}

/// SplitMix64: the same changes on every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn broken_files_are_refused_or_read_and_never_panic() {
    let Some(data) = data() else { return };
    let rounds = if std::env::var_os("CI").is_some() { 60 } else { 12 };
    let (mut read, mut refused) = (0u32, 0u32);
    for (seed, line) in catalogue(&data).iter().enumerate() {
        let file = &line["file"];
        let bytes = std::fs::read(data.join(file)).unwrap();
        // One slice of the series stands for all.
        if bytes.len() > LARGEST || (file.contains("series-mr") && !file.ends_with("_0141.dcm")) {
            continue;
        }
        let mut count = |ok| if ok { read += 1 } else { refused += 1 };
        for len in (0..bytes.len()).step_by(1 << 10) {
            count(whole(file, &bytes[..len]));
        }
        let mut state = seed as u64;
        for _ in 0..rounds {
            let mut broken = bytes.clone();
            for _ in 0..1 + next(&mut state) % 8 {
                let at = next(&mut state) as usize % broken.len().min(6_000);
                broken[at] = match next(&mut state) % 4 {
                    0 => 0xFF,
                    1 => 0,
                    2 => broken[at] ^ (1 << (next(&mut state) % 8)),
                    _ => next(&mut state) as u8,
                };
            }
            count(whole(file, &broken));
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > 1_000 && refused > 1_000, "{read} read, {refused} refused");
}
