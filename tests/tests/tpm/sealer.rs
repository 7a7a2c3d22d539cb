//! The sealer by itself: what it opens, what it refuses and why, what it says on the bus, and that nobody locks it out.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use vitrine_engine::keys::{
    FileSealer, SealedBlob, Sealer, SealerChoice, SealerKind, TpmFault, TpmSealer, choose,
};
use vitrine_engine::profile::Profile;
use vitrine_engine::{EngineError, entropy};
use vitrine_tests::tpm::{Swtpm, Tap};

const SECRET: &[u8] = b"thirty-two bytes that are secret";

fn made(profile: &Path, at: &str) -> Result<SealedBlob> {
    let sealer = TpmSealer::new(profile, at);
    sealer.create()?;
    Ok(sealer.seal("dk", SECRET)?)
}

/// What a sealer that remembers nothing says.
fn fault(profile: &Path, at: &str) -> Option<TpmFault> {
    TpmSealer::new(profile, at).key().err()
}

fn change(profile: &Path, name: &str) -> Result<()> {
    let file = profile.join("sealer.tpm");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let bytes = entropy::unhex(kept[name].as_str().context("hex")?).context("hex")?;
    let changed: Vec<u8> = bytes.iter().map(|b| b ^ 0x5a).collect();
    kept[name] = entropy::hex(&changed).into();
    std::fs::write(&file, serde_json::to_vec(&kept)?)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    std::fs::copy(from.join("sealer.tpm"), to.join("sealer.tpm"))?;
    Ok(())
}

#[test]
fn it_opens_for_its_purpose_after_any_restart_and_for_no_other() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let profile = dir.path().join("profile");
    std::fs::create_dir(&profile)?;
    let blob = made(&profile, &tpm.at())?;
    ensure!(blob.kind == SealerKind::Tpm && SealerKind::Tpm.text() == "TPM 2.0");
    for restart in [false, true] {
        if restart {
            tpm.on()?;
        }
        let sealer = TpmSealer::new(&profile, &tpm.at());
        ensure!(sealer.unseal("dk", &blob)?.as_slice() == SECRET);
        ensure!(sealer.properties().hardware_bound);
        for (purpose, blob) in [
            ("signing", blob.clone()),
            (
                "dk",
                SealedBlob {
                    kind: SealerKind::File,
                    ..blob.clone()
                },
            ),
        ] {
            let refused = sealer.unseal(purpose, &blob);
            ensure!(matches!(refused, Err(EngineError::KeysMissing(_))), "{purpose}");
        }
    }
    // Neither does the other sealer take it for one of its own.
    let file = FileSealer::new(&profile);
    file.seal("dk", SECRET)?;
    ensure!(matches!(
        file.unseal("dk", &blob),
        Err(EngineError::KeysMissing(_))
    ));
    Ok(())
}

#[test]
fn another_machine_a_cleared_tpm_and_none_are_each_told() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let other = Swtpm::start(&dir.path().join("other"))?;
    let profile = dir.path().join("profile");
    std::fs::create_dir(&profile)?;
    made(&profile, &tpm.at())?;
    ensure!(fault(&profile, &tpm.at()).is_none());
    ensure!(fault(&profile, &other.at()) == Some(TpmFault::OtherMachine));
    tpm.off();
    ensure!(fault(&profile, &tpm.at()) == Some(TpmFault::Absent { at: tpm.at() }));
    let nowhere = "device:/dev/no-tpm-here".to_owned();
    ensure!(fault(&profile, &nowhere) == Some(TpmFault::Absent { at: nowhere }));
    ensure!(matches!(fault(&profile, "tpm"), Some(TpmFault::Address { .. })));
    tpm.on()?;
    ensure!(fault(&profile, &tpm.at()).is_none());
    tpm.owner_password("of the owner")?;
    ensure!(fault(&profile, &tpm.at()) == Some(TpmFault::OwnerPassword));
    tpm.clear()?;
    ensure!(fault(&profile, &tpm.at()) == Some(TpmFault::Cleared));
    ensure!(fault(&profile, &other.at()) == Some(TpmFault::OtherMachine));
    Ok(())
}

#[test]
fn a_file_that_was_changed_is_refused_whatever_was_changed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let profile = dir.path().join("profile");
    std::fs::create_dir(&profile)?;
    made(&profile, &tpm.at())?;
    for name in ["index_auth", "salt", "public", "private"] {
        change(&profile, name)?;
        let told = fault(&profile, &tpm.at());
        ensure!(told == Some(TpmFault::Damaged), "{name}: {told:?}");
        change(&profile, name)?;
        ensure!(fault(&profile, &tpm.at()).is_none(), "{name} as it was");
    }
    std::fs::write(profile.join("sealer.tpm"), "{")?;
    ensure!(fault(&profile, &tpm.at()) == Some(TpmFault::Damaged));
    std::fs::remove_file(profile.join("sealer.tpm"))?;
    ensure!(fault(&profile, &tpm.at()) == Some(TpmFault::Missing));
    Ok(())
}

/// Fifty wrong authorisations at each of the two parts, and a TPM that a stranger has locked: the right one opens.
#[test]
fn nobody_locks_it_out() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let profile = dir.path().join("profile");
    std::fs::create_dir(&profile)?;
    let blob = made(&profile, &tpm.at())?;
    for part in ["index_auth", "salt"] {
        let wrong = dir.path().join(part);
        copy(&profile, &wrong)?;
        change(&wrong, part)?;
        for n in 0..50 {
            let told = fault(&wrong, &tpm.at());
            ensure!(told == Some(TpmFault::Damaged), "{part}, {n}: {told:?}");
        }
        let sealer = TpmSealer::new(&profile, &tpm.at());
        ensure!(sealer.unseal("dk", &blob)?.as_slice() == SECRET, "{part}");
    }
    // The count of the TPM has not moved: a stranger needs as many tries as on a new one, and locks out only what is theirs.
    let new = Swtpm::start(&dir.path().join("new"))?;
    ensure!(tpm.lock_out()? == new.lock_out()?);
    let sealer = TpmSealer::new(&profile, &tpm.at());
    ensure!(sealer.unseal("dk", &blob)?.as_slice() == SECRET, "a locked TPM");
    // And a new key can be made in a locked one.
    let another = dir.path().join("another");
    std::fs::create_dir(&another)?;
    made(&another, &tpm.at())?;
    Ok(())
}

#[test]
fn destroyed_means_for_good_also_for_a_copy_of_before() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let (profile, before) = (dir.path().join("profile"), dir.path().join("before"));
    std::fs::create_dir(&profile)?;
    made(&profile, &tpm.at())?;
    copy(&profile, &before)?;
    ensure!(fault(&before, &tpm.at()).is_none(), "the copy opens here");
    ensure!(tpm.indices()? == 1);

    let sealer = TpmSealer::new(&profile, &tpm.at());
    sealer.key()?;
    sealer.destroy()?;
    ensure!(tpm.indices()? == 0);
    ensure!(sealer.key().err() == Some(TpmFault::Missing), "nor from memory");
    ensure!(fault(&before, &tpm.at()) == Some(TpmFault::Destroyed));
    // Twice is once.
    sealer.destroy()?;
    TpmSealer::new(&before, &tpm.at()).destroy()?;
    // A copy on another machine takes nothing from that one's TPM.
    let other = Swtpm::start(&dir.path().join("other"))?;
    let theirs = dir.path().join("theirs");
    std::fs::create_dir(&theirs)?;
    made(&theirs, &other.at())?;
    let copied = dir.path().join("copied");
    copy(&theirs, &copied)?;
    ensure!(TpmSealer::new(&copied, &tpm.at()).destroy().is_err());
    ensure!(!copied.join("sealer.tpm").exists(), "the file goes all the same");
    ensure!(fault(&theirs, &other.at()).is_none());
    Ok(())
}

/// What goes over the bus is encrypted wherever it is secret, in a session whose salt is encrypted to the storage key.
#[test]
fn who_listens_on_the_bus_reads_nothing() -> Result<()> {
    const START: u32 = 0x176;
    const DECRYPT: u8 = 0x20;
    const ENCRYPT: u8 = 0x40;
    // Code, handles, attribute that its secret needs.
    const SECRET_IN: [(u32, usize, u8); 4] = [
        (0x12a, 1, DECRYPT), // NV_DefineSpace: the authorisation
        (0x137, 2, DECRYPT), // NV_Write: N
        (0x153, 1, DECRYPT), // Create: A
        (0x14e, 2, ENCRYPT), // NV_Read: N
    ];
    const UNSEAL: u32 = 0x15e;
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let tap = Tap::before(&tpm)?;
    let profile = dir.path().join("profile");
    std::fs::create_dir(&profile)?;
    made(&profile, &tap.at())?;
    let heard = tap.heard();
    let seen = |code: u32| heard.iter().filter(move |e| e.code() == code);
    for (code, handles, needed) in SECRET_IN.into_iter().chain([(UNSEAL, 1, ENCRYPT)]) {
        ensure!(seen(code).count() > 0, "{code:#x} did not go by");
        for e in seen(code) {
            let attributes = e.session_attributes(handles).context("no session")?;
            ensure!(attributes & needed != 0, "{code:#x}: {attributes:#x}");
        }
    }
    // Salted: the key of the session is none that everybody knows (TPM_RH_NULL), and the salt is not empty.
    ensure!(
        seen(START).count() == 2,
        "one to make it, one to see that it opens"
    );
    for e in seen(START) {
        ensure!(e.command.get(10..14) != Some(&[0x40, 0, 0, 7]), "no key");
        let salt = e.command.get(18 + 34..18 + 36).context("its length")?;
        ensure!(u16::from_be_bytes(salt.try_into()?) > 32, "no salt");
    }
    // The control: the same answer of the TPM twice is not the same on the bus.
    let again = TpmSealer::new(&profile, &tap.at());
    again.key()?;
    let all = tap.heard();
    let answers: Vec<_> = all
        .iter()
        .filter(|e| e.code() == UNSEAL)
        .map(|e| &e.answer)
        .collect();
    ensure!(answers.len() == 2 && answers[0].len() == answers[1].len() && answers[0] != answers[1]);
    Ok(())
}

#[test]
fn enrolment_takes_the_tpm_that_works_or_says_why_not() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let closed = Swtpm::start(&dir.path().join("closed"))?;
    closed.owner_password("of the owner")?;
    let none = "device:/dev/no-tpm-here";
    let (here, closed) = (tpm.at(), closed.at());
    // What was asked for, where the TPM is, what it comes to, whether a reason is told.
    for (asked, at, expected, reason) in [
        (SealerChoice::Best, here.as_str(), Some(SealerKind::Tpm), ""),
        (SealerChoice::Tpm, here.as_str(), Some(SealerKind::Tpm), ""),
        (SealerChoice::File, here.as_str(), Some(SealerKind::File), ""),
        (SealerChoice::Best, none, Some(SealerKind::File), "no TPM answers"),
        (
            SealerChoice::Best,
            closed.as_str(),
            Some(SealerKind::File),
            "has a password",
        ),
        (SealerChoice::Tpm, none, None, "no TPM answers"),
        (SealerChoice::Tpm, closed.as_str(), None, "tpm2_changeauth"),
    ] {
        // The same folder each time: what an earlier try left goes.
        let profile = Profile::at(&dir.path().join("profile"))?;
        match (choose(&profile, asked, at), expected) {
            (Ok(chosen), Some(kind)) => {
                let blob = chosen.sealer.seal("dk", SECRET)?;
                ensure!(
                    blob.kind == kind && chosen.sealer.kind() == kind,
                    "{asked:?} at {at}"
                );
                let told = chosen.why_not_tpm.unwrap_or_default();
                ensure!(
                    told.is_empty() == reason.is_empty() && told.contains(reason),
                    "{told}"
                );
            }
            (Err(EngineError::NoTpm(told)), None) => ensure!(told.contains(reason), "{told}"),
            (other, _) => anyhow::bail!("{asked:?} at {at}: {:?}", other.map(|c| c.sealer.kind())),
        }
    }
    ensure!(tpm.indices()? == 0, "what earlier tries left is still in the TPM");
    Ok(())
}
