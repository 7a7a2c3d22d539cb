//! A stolen disk whose workstation had a TPM: nothing on it opens anything, with whatever of it somebody tries.

use crate::workstation::{Ward, opens, options};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use vitrine_engine::keys::{Dek, SealedBlob, Slots, open_with};
use vitrine_engine::{EngineError, Workstation, entropy};
use vitrine_tests::tpm::Swtpm;
use vitrine_wire::view::DeviceState;

/// Files up to here are looked through at every byte: the databases are noise to whoever has no key.
const SMALL: u64 = 64 << 10;

/// All files of a profile.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)?.flatten() {
        if file.path().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Everything in the small files that could be a key of 32 bytes: at every byte, as it is and as hex.
fn candidates(profile: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let mut all = BTreeSet::new();
    for file in std::fs::read_dir(profile)?.flatten() {
        if file.metadata()?.len() > SMALL {
            continue;
        }
        let bytes = std::fs::read(file.path())?;
        all.extend(bytes.windows(32).map(<[u8]>::to_vec));
        let hex = bytes.windows(64).filter_map(|w| std::str::from_utf8(w).ok());
        all.extend(hex.filter_map(entropy::unhex));
    }
    Ok(all)
}

/// Tries each as the key of the sealer and as DK itself; gives how many opened something, of how many.
fn opened_by(profile: &Path) -> Result<(usize, usize)> {
    let key: Value = serde_json::from_slice(&std::fs::read(profile.join("device.key"))?)?;
    let sealed: SealedBlob = serde_json::from_value(key["dk"].clone())?;
    let sealed = entropy::unhex(&sealed.sealed).context("hex")?;
    let device: Value = serde_json::from_slice(&std::fs::read(profile.join("device.json"))?)?;
    let device = device["device"].as_str().context("device")?;
    let all = candidates(profile)?;
    let mut opened = 0;
    for candidate in &all {
        let key = Dek::from_bytes(candidate).context("32 bytes")?;
        let dk = open_with(&key, b"vitrine-dk", &sealed).and_then(|dk| Dek::from_bytes(&dk));
        let slots = |dk: &Dek| Slots::open(&profile.join("slots.json"), device, dk).is_ok();
        if dk.as_ref().is_some_and(slots) || slots(&key) {
            opened += 1;
        }
    }
    Ok((opened, all.len()))
}

#[test]
fn nothing_on_the_disk_opens_the_essentials() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let ward = Ward::open(dir.path())?;
    // The control: the same search finds the key of the file sealer, which lies there.
    let weak = ward.enrol("weak", &tpm.at(), &["--sealer", "file"])?;
    let (opened, of) = opened_by(&weak)?;
    ensure!(opened == 1, "the search finds {opened} of {of}");
    let profile = ward.enrol("ed-07", &tpm.at(), &[])?;
    let (opened, of) = opened_by(&profile)?;
    eprintln!("{of} candidates");
    ensure!(opened == 0 && of > 1_000, "{opened} of {of} open it");
    // Also after the keys were moved there from a file: the key file is gone from the folder.
    ensure!(tpm.cli(&weak, &["reseal"], None)?.status.success());
    ensure!(opened_by(&weak)?.0 == 0);
    Ok(())
}

#[test]
fn copied_to_another_machine_it_does_not_open_and_says_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let other = Swtpm::start(&dir.path().join("other"))?;
    let ward = Ward::open(dir.path())?;
    let profile = ward.enrol("ed-07", &tpm.at(), &[])?;
    let there = dir.path().join("there");
    copy(&profile, &there)?;
    let before: Vec<_> = ["device.key", "sealer.tpm", "slots.json", "essentials.db"]
        .map(|f| std::fs::read(there.join(f)))
        .into_iter()
        .collect::<Result<_, _>>()?;
    for (at, words) in [
        (other.at(), "another machine"),
        ("device:/dev/no-tpm-here".to_owned(), "no TPM answers"),
    ] {
        let ws = Workstation::open(&there, options(&at))?;
        let view = ws.lock_view();
        ensure!(view.device_state == DeviceState::KeysMissing && view.recent_users.is_empty());
        let told = view.device_text.context("why")?;
        ensure!(told.contains(words), "{told}");
        ensure!(matches!(ws.usable(), Err(EngineError::KeysMissing(_))));
    }
    let after: Vec<_> = ["device.key", "sealer.tpm", "slots.json", "essentials.db"]
        .map(|f| std::fs::read(there.join(f)))
        .into_iter()
        .collect::<Result<_, _>>()?;
    ensure!(before == after, "files were touched");
    opens(&profile, &tpm.at())?;
    // Cleared, its own machine does not open it either.
    tpm.clear()?;
    let told = opens(&profile, &tpm.at()).err().context("it opens")?.to_string();
    ensure!(told.contains("was cleared"), "{told}");
    Ok(())
}
