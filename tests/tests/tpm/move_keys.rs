//! Moving a workstation's keys from the file to the TPM and back, ended by force at each step.

use crate::workstation::{Ward, opens};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use vitrine_engine::keys::{DeviceKey, ResealStep, SealerKind, reseal};
use vitrine_engine::profile::Profile;
use vitrine_tests::tpm::Swtpm;

/// A move that is to be ended by force.
const MOVING: &str = "VITRINE_TEST_RESEAL";
const STEPS: [ResealStep; 4] = [
    ResealStep::Made,
    ResealStep::Written,
    ResealStep::Checked,
    ResealStep::Destroyed,
];

fn kind_of(word: &str) -> SealerKind {
    if word == "tpm" {
        SealerKind::Tpm
    } else {
        SealerKind::File
    }
}

/// Not a test of its own: moves keys and ends itself, without any cleaning up, after a step.
#[test]
fn moving() -> Result<()> {
    let Ok(told) = std::env::var(MOVING) else {
        return Ok(());
    };
    let told: Value = serde_json::from_str(&told)?;
    let word = |name: &str| told[name].as_str().context("a word");
    let profile = Profile::at(Path::new(word("profile")?))?;
    let last = word("step")?.to_owned();
    reseal(&profile, kind_of(word("to")?), word("tpm")?, &mut |step| {
        if format!("{step:?}") == last {
            std::process::abort();
        }
    })?;
    Ok(())
}

fn killed_at(step: ResealStep, profile: &Path, to: &str, tpm: &str) -> Result<()> {
    let told = json!({"profile": profile, "step": format!("{step:?}"), "to": to, "tpm": tpm});
    let out = Command::new(std::env::current_exe()?)
        .args(["--exact", "move_keys::moving", "--nocapture"])
        .env(MOVING, told.to_string())
        .output()?;
    ensure!(
        out.status.code().is_none(),
        "{step:?}: it ended by itself, {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

#[test]
fn whenever_it_is_killed_the_profile_opens_and_only_one_sealer_is_left() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let mut ward = Ward::open(dir.path())?;
    let profile = ward.enrol("ed-07", &tpm.at(), &["--sealer", "file"])?;
    ward.server.kill();
    let other = "swtpm:host=127.0.0.1,port=1";
    for step in STEPS {
        for (to, from) in [("tpm", SealerKind::File), ("file", SealerKind::Tpm)] {
            let at = |kind: SealerKind| format!("{step:?} to {to}: {kind:?}");
            ensure!(DeviceKey::kind(&profile.join("device.key"))? == from);
            killed_at(step, &profile, to, &tpm.at())?;
            let now = DeviceKey::kind(&profile.join("device.key"))?;
            let moved = step != ResealStep::Made;
            ensure!((now == kind_of(to)) == moved, "{}", at(now));
            // It opens, by the TPM alone where it has it, and what was too much goes.
            opens(&profile, &tpm.at()).with_context(|| at(now))?;
            ensure!(
                opens(&profile, other).is_ok() == (now == SealerKind::File),
                "{}",
                at(now)
            );
            let kept = ["sealer.key", "sealer.tpm"].map(|f| profile.join(f).exists());
            ensure!(
                kept == [now == SealerKind::File, now == SealerKind::Tpm],
                "{}: {kept:?}",
                at(now)
            );
            ensure!(
                tpm.indices()? == usize::from(now == SealerKind::Tpm),
                "{}",
                at(now)
            );
            // The second try ends it.
            let out = tpm.cli(&profile, &["reseal", "--sealer", to], None)?;
            let said: Value = serde_json::from_slice(&out.stdout)?;
            ensure!(said["key_protection"] == kind_of(to).text(), "{said}");
            ensure!(said["moved"] == !moved, "{said}");
            opens(&profile, &tpm.at()).with_context(|| at(kind_of(to)))?;
        }
    }
    Ok(())
}

#[test]
fn a_move_that_cannot_be_leaves_everything_as_it_was() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let mut ward = Ward::open(dir.path())?;
    let profile = ward.enrol("ed-07", &tpm.at(), &["--sealer", "file"])?;
    ward.server.kill();
    let before = std::fs::read(profile.join("device.key"))?;
    // While another program has the line.
    let held = Profile::at(&profile)?.take_link()?.context("the line")?;
    let out = tpm.cli(&profile, &["reseal"], None)?;
    ensure!(out.status.code() == Some(2), "{out:?}");
    drop(held);
    // Without a TPM.
    tpm.off();
    let out = tpm.cli(&profile, &["reseal"], None)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    ensure!(
        out.status.code() == Some(2) && said.contains("no TPM answers"),
        "{said}"
    );
    ensure!(std::fs::read(profile.join("device.key"))? == before);
    ensure!(!profile.join("sealer.tpm").exists());
    opens(&profile, &tpm.at())?;
    // And one that needs the TPM that is not there.
    tpm.on()?;
    ensure!(tpm.cli(&profile, &["reseal"], None)?.status.success());
    tpm.off();
    let out = tpm.cli(&profile, &["reseal", "--sealer", "file"], None)?;
    ensure!(out.status.code() == Some(3), "{out:?}");
    ensure!(!profile.join("sealer.key").exists());
    Ok(())
}
