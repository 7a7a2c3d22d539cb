//! The essentials of a million patients on one workstation: the engine's own example `scale`, as a process.

use crate::report::Report;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const SETUP: &str =
    "release, SQLCipher, audit row per access, policy on; no server; identity proven before by PIN";

pub fn million(report: &mut Report, quick: bool) -> Result<()> {
    let patients = if quick { 100_000_u64 } else { 1_000_000 };
    let programs = std::env::var_os("VITRINE_BIN_DIR").context("VITRINE_BIN_DIR: run `cargo xtask bench`")?;
    let scale = PathBuf::from(programs).join(format!("examples/scale{}", std::env::consts::EXE_SUFFIX));
    let out = Command::new(&scale)
        .arg(patients.to_string())
        .output()
        .with_context(|| format!("starting {}", scale.display()))?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said: Value = serde_json::from_slice(&out.stdout).context("what the example printed")?;
    let number = |path: &str| {
        said.pointer(path)
            .and_then(Value::as_f64)
            .with_context(|| path.to_owned())
    };
    let stem = if quick { "100k" } else { "1m" };
    let setup = format!("{SETUP}; essentials of {patients} patients");

    let n = usize::try_from(said["card_ms"]["n"].as_u64().context("n")?)?;
    for q in ["p50", "p99", "max"] {
        let value = number(&format!("/card_ms/{q}"))?;
        report.add(
            "emergency",
            &format!("card_{stem}_ms_{q}"),
            value,
            "ms",
            n,
            &setup,
        );
    }
    let kinds = said["search_ms"].as_object().context("search_ms")?;
    let (slowest, worst) = kinds
        .iter()
        .filter_map(|(kind, v)| Some((kind, v["p99"].as_f64()?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .context("searches")?;
    let n = usize::try_from(kinds[slowest]["n"].as_u64().context("n")?)?;
    report.add(
        "search",
        &format!("search_{stem}_ms_p99"),
        worst,
        "ms",
        n,
        &format!(
            "{setup}; the slowest of {} kinds of query: {slowest}",
            kinds.len()
        ),
    );
    let all = usize::try_from(patients)?;
    let setup = format!("{setup}; applying the snapshot, without the line");
    report.add(
        "store",
        &format!("snapshot_{stem}_s"),
        number("/snapshot/seconds")?,
        "s",
        all,
        &setup,
    );
    report.add(
        "store",
        &format!("cache_{stem}_mib"),
        number("/mib")?,
        "MiB",
        all,
        &setup,
    );
    report.add(
        "store",
        &format!("open_{stem}_ms"),
        number("/open_ms")?,
        "ms",
        1,
        &setup,
    );
    Ok(())
}
