//! Backup, check, restore, and what the redo log costs and gives.

use crate::report::Report;
use crate::world::size;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use vitrine_tests::server::{run_json, text};

const SETUP: &str =
    "release, SQLCipher; commands on a folder nobody serves; MB of the database file (10^6 bytes)";

fn vitrine(args: &[&str]) -> Result<Value> {
    run_json("vitrine-server", &[args, &["--json"]].concat(), None)
}

fn seconds(out: &Value) -> Result<f64> {
    out["seconds"].as_f64().context("seconds")
}

/// An empty hospital, with or without a redo log, and the seconds an import into it takes.
fn import(data: &Path, bundles: &str, redo: bool, base: Option<&str>) -> Result<f64> {
    std::fs::create_dir(data)?;
    #[cfg(unix)]
    std::fs::set_permissions(data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    std::fs::write(data.join("vitrine.toml"), format!("[redo]\nkeep = {redo}\n"))?;
    let d = text(data);
    vitrine(&["demo", "--data", &d, "--patients", "1"])?;
    if let Some(base) = base {
        vitrine(&["backup", "--data", &d, "--to", base])?;
    }
    seconds(&vitrine(&["import", "--data", &d, bundles])?)
}

/// MB/s of backup, check and restore; what the redo log adds to an import; MB/s of rolling forward.
pub fn backup(report: &mut Report, quick: bool) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let at = |name: &str| dir.path().join(name);
    let hospital = vitrine_synthetic::Hospital::new(7, 1_790_000_000_000);
    std::fs::create_dir(at("bundles"))?;
    std::fs::write(at("bundles").join("0-foundation.json"), hospital.foundation())?;
    let patients = if quick { 300 } else { 3_000 };
    for n in 0..patients {
        std::fs::write(at("bundles").join(format!("p{n:06}.json")), hospital.patient(n))?;
    }
    let bundles = text(&at("bundles"));
    let (plain, logged) = (at("plain"), at("logged"));
    let without = import(&plain, &bundles, false, None)?;
    let base = text(&at("base.vtbk"));
    let with = import(&logged, &bundles, true, Some(&base))?;
    report.add(
        "backup",
        "redo_overhead_pct",
        (with / without - 1.0) * 100.0,
        "%",
        1,
        &format!("the same import of {patients} Bundles with and without the redo log, both on one disk"),
    );

    let d = text(&plain);
    let (file, key) = (text(&at("b.vtbk")), text(&at("key")));
    let made = vitrine(&["backup", "--data", &d, "--to", &file, "--recovery-key", &key])?;
    #[allow(clippy::cast_precision_loss)]
    let mb = std::fs::metadata(plain.join("vitrine.db"))?.len() as f64 / 1e6;
    let setup = format!("{SETUP}; {mb:.0} MB");
    report.add(
        "backup",
        "backup_mb_per_s",
        mb / seconds(&made)?,
        "MB/s",
        1,
        &setup,
    );
    let checked = vitrine(&["verify-backup", "--from", &file, "--data", &d])?;
    anyhow::ensure!(checked["whole"] == true, "the backup is whole: {checked}");
    let took = checked["took_ms"].as_f64().context("took_ms")? / 1000.0;
    report.add("backup", "verify_mb_per_s", mb / took, "MB/s", 1, &setup);
    let to = text(&at("restored"));
    let back = vitrine(&["restore", "--data", &to, "--from", &file, "--recovery-key", &key])?;
    report.add(
        "backup",
        "restore_mb_per_s",
        mb / seconds(&back)?,
        "MB/s",
        1,
        &setup,
    );

    #[allow(clippy::cast_precision_loss)]
    let log_mb = size(&logged.join("redo"))? as f64 / 1e6;
    let health = vitrine(&["doctor", "--data", &text(&logged)])?;
    anyhow::ensure!(health["healthy"] == true, "{health}");
    let until = now()?;
    let to = text(&at("rolled"));
    let redo = text(&logged.join("redo"));
    let back = vitrine(&[
        "restore",
        "--data",
        &to,
        "--from",
        &base,
        "--at",
        &until,
        "--redo",
        &redo,
        "--recovery-key",
        &recovery(&logged, &at("logged.key"), &at("again.vtbk"))?,
    ])?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let commits = back["commits"].as_u64().context("commits")? as usize;
    report.add(
        "backup",
        "roll_forward_mb_per_s",
        log_mb / seconds(&back)?,
        "MB/s",
        commits,
        &format!(
            "restore --at over {log_mb:.0} MB of redo log, every frame checked, the database checked after it"
        ),
    );
    Ok(())
}

/// Now, as the command takes it.
fn now() -> Result<String> {
    let out = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()?;
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}

/// The recovery key of a folder, which comes with a backup.
fn recovery(data: &Path, key: &Path, spare: &Path) -> Result<String> {
    let key = text(key);
    vitrine(&[
        "backup",
        "--data",
        &text(data),
        "--to",
        &text(spare),
        "--recovery-key",
        &key,
    ])?;
    Ok(key)
}
