//! Trains a compression dictionary on the synthetic hospital and writes it to the named file.
//!
//! `cargo run --release -p vitrine-store-postgres --example dictionary dictionaries/N.zdict`: only for a new number.
//! A dictionary in use is never trained again: what it packed opens with these very bytes alone.

use std::error::Error;
use vitrine_synthetic::{DEMO_SEED, Hospital};

const SIZE: usize = 110 * 1024;
const PATIENTS: u64 = 400;
/// 1-Jan-2026.
const NOW_MS: i64 = 1_767_225_600_000;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("name the file to write")?;
    let hospital = Hospital::new(DEMO_SEED, NOW_MS);
    let mut samples = Vec::new();
    for n in 0..PATIENTS {
        let bundle: serde_json::Value = serde_json::from_str(&hospital.patient(n))?;
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            samples.push(serde_json::to_vec(&entry["resource"])?);
        }
    }
    let dictionary = zstd::dict::from_samples(&samples, SIZE)?;
    eprintln!("{} samples, {} bytes", samples.len(), dictionary.len());
    Ok(std::fs::write(file, dictionary)?)
}
