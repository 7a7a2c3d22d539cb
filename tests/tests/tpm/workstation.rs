//! A whole workstation whose keys the TPM keeps: enrolled with a real server, used, offline, wiped.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vitrine_engine::{BreakGlass, EngineError, Identity, Options, Workstation};
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::{Person, person};
use vitrine_tests::tpm::{Swtpm, cli};
use vitrine_wire::view::DeviceState;

/// A server with the synthetic hospital, and machines of the ED.
pub(crate) struct Ward {
    pub(crate) server: Server,
    pub(crate) nurse: Person,
    pub(crate) patient: String,
    folder: PathBuf,
}

impl Ward {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (server, seed) = Server::demo(&folder.join("server"))?;
        let patients = seed["patients"].as_array().context("patients")?;
        let patient = patients.iter().find(|p| p["ward"] == "ED").context("of the ED")?;
        Ok(Self {
            server,
            nurse: person(&seed, "nurse", "ED")?,
            patient: patient["id"].as_str().context("id")?.to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// Enrols a machine and fetches what it is to hold; gives its profile.
    pub(crate) fn enrol(&self, name: &str, tpm: &str, more: &[&str]) -> Result<PathBuf> {
        let profile = self.folder.join(name);
        let (code, _) = self.try_enrol(&profile, tpm, more)?;
        ensure!(code == Some(0), "not enrolled: {code:?}");
        let out = cli(tpm, &profile, &["sync", "--until-current"], None)?;
        ensure!(out.status.success(), "{out:?}");
        Ok(profile)
    }

    fn try_enrol(&self, profile: &Path, tpm: &str, more: &[&str]) -> Result<(Option<i32>, Value)> {
        let data = text(&self.server.data);
        let code = run_json(
            "vitrine-server",
            &["enrol", "--data", &data, "--ward", "ED", "--site", "--json"],
            None,
        )?;
        let url = self.server.url();
        let mut words = vec!["enrol", "--server", url.as_str(), "--code"];
        words.push(code["code"].as_str().context("code")?);
        words.extend(more);
        let out = cli(tpm, profile, &words, None)?;
        let said = if out.stdout.is_empty() {
            &out.stderr
        } else {
            &out.stdout
        };
        Ok((
            out.status.code(),
            serde_json::from_slice(said).unwrap_or_default(),
        ))
    }
}

pub(crate) fn options(tpm: &str) -> Options {
    Options {
        sync: false,
        ballast_bytes: 0,
        tpm: tpm.to_owned(),
        ..Options::default()
    }
}

/// Closes it, within a runtime or without.
fn closed(ws: &Workstation) -> bool {
    tokio::task::block_in_place(|| ws.close(Duration::from_secs(10)))
}

/// Whether a workstation opens there.
pub(crate) fn opens(profile: &Path, tpm: &str) -> Result<(), EngineError> {
    let ws = Workstation::open(profile, options(tpm))?;
    let usable = ws.usable();
    let _ = closed(&ws);
    usable
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolled_used_and_opened_in_an_emergency_without_network() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let mut ward = Ward::open(dir.path())?;
    let profile = dir.path().join("ed-07");
    let (code, said) = ward.try_enrol(&profile, &tpm.at(), &[])?;
    ensure!(code == Some(0) && said["key_protection"] == "TPM 2.0", "{said}");
    ensure!(said["why_not_tpm"].is_null(), "{said}");
    ensure!(profile.join("sealer.tpm").exists() && !profile.join("sealer.key").exists());
    let out = tpm.cli(&profile, &["sync", "--until-current"], None)?;
    ensure!(out.status.success(), "{out:?}");
    // What the server knows of it.
    let data = text(&ward.server.data);
    let listed = run_json(
        "vitrine-server",
        &["device", "list", "--data", &data, "--json"],
        None,
    )?;
    ensure!(listed.to_string().contains("TPM 2.0"), "{listed}");

    let ws = Workstation::open(
        &profile,
        Options {
            sync: true,
            ..options(&tpm.at())
        },
    )?;
    ws.sign_in(&ward.nurse.user, &ward.nurse.password).await?;
    ws.settled(Duration::from_secs(10)).await;
    ws.chart(&ward.patient).await?;
    ensure!(closed(&ws));

    // From now on without a server; and once it is open, without the TPM.
    ward.server.kill();
    let began = Instant::now();
    let ws = Workstation::open(&profile, options(&tpm.at()))?;
    eprintln!("opened in {} ms", began.elapsed().as_millis());
    tpm.off();
    let asked = BreakGlass {
        patient: ward.patient.clone(),
        reason: "life-threatening".to_owned(),
        words: None,
        identity: Identity::UserSecret {
            user: ward.nurse.user.clone(),
            secret: ward.nurse.pin.clone().into(),
            badge: None,
        },
    };
    let began = Instant::now();
    let card = ws.break_glass(asked).await?;
    let took = began.elapsed();
    eprintln!("emergency card in {} ms", took.as_millis());
    ensure!(card.broken.is_some() && took < Duration::from_secs(1), "{took:?}");
    ws.sign_in(&ward.nurse.user, &ward.nurse.password).await?;
    ws.chart(&ward.patient).await?;
    ensure!(ws.key_protection() == Some("TPM 2.0"));
    let tested = ws.selftest().await?;
    let keys = tested.checks.iter().find(|c| c.name == "keys").context("keys")?;
    eprintln!("{}", keys.text);
    ensure!(
        keys.ok && keys.text.contains("TPM 2.0 sealer in ") && keys.text.contains(" ms when"),
        "{}",
        keys.text
    );
    ensure!(closed(&ws));

    // Closed, it needs the TPM again: never anything else in its place.
    let ws = Workstation::open(&profile, options(&tpm.at()))?;
    let view = ws.lock_view();
    ensure!(view.device_state == DeviceState::KeysMissing);
    let told = view.device_text.context("why")?;
    ensure!(
        told.contains("no TPM answers at") && told.contains("firmware"),
        "{told}"
    );
    drop(ws);
    tpm.on()?;
    opens(&profile, &tpm.at())?;
    Ok(())
}

#[test]
fn it_is_insisted_on_or_told_why_not() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ward = Ward::open(dir.path())?;
    let none = "device:/dev/no-tpm-here";
    let profile = dir.path().join("ed-07");
    let (code, said) = ward.try_enrol(&profile, none, &["--sealer", "tpm"])?;
    ensure!(code == Some(2), "{code:?} {said}");
    ensure!(
        said.to_string()
            .contains("no TPM answers at device:/dev/no-tpm-here"),
        "{said}"
    );
    ensure!(!profile.join("device.key").exists());
    let (code, said) = ward.try_enrol(&profile, none, &[])?;
    ensure!(
        code == Some(0) && said["key_protection"] == "file (weak)",
        "{said}"
    );
    let why = said["why_not_tpm"].as_str().context("why")?;
    ensure!(why.contains("switch the TPM on"), "{why}");
    // The self-test goes on saying it, and says it when there is one.
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    for (at, words) in [
        (none.to_owned(), "no TPM: no TPM answers"),
        (tpm.at(), "`vitrine-cli reseal`"),
    ] {
        let out = cli(&at, &profile, &["selftest"], None)?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(
            said.contains(words) && said.contains("file (weak) sealer"),
            "{said}"
        );
    }
    Ok(())
}

/// The kernel says who may use a device: here one that is root's alone, asked by somebody else.
#[test]
fn an_account_that_may_not_use_the_tpm_is_told_what_to_do() -> Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir()?;
    let root = std::fs::metadata(dir.path())?.uid() == 0;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let mut ward = Ward::open(dir.path())?;
    let profile = ward.enrol("ed-07", &tpm.at(), &[])?;
    ward.server.kill();
    let device = dir.path().join("tpmrm0");
    std::fs::write(&device, "")?;
    std::fs::set_permissions(&device, PermissionsExt::from_mode(0o000))?;
    let program = dir.path().join("vitrine-cli");
    std::fs::copy(vitrine_tests::bin("vitrine-cli"), &program)?;
    let mut asks = std::process::Command::new(&program);
    if root {
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))?;
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
        chown(&profile, Some(NOBODY), Some(NOBODY))?;
        for file in std::fs::read_dir(&profile)? {
            chown(file?.path(), Some(NOBODY), Some(NOBODY))?;
        }
        asks.uid(NOBODY).gid(NOBODY);
    }
    let out = asks
        .arg("--profile")
        .arg(&profile)
        .args(["--json", "status"])
        .env("VITRINE_TPM", format!("device:{}", device.display()))
        .current_dir("/")
        .output()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(3), "{said}");
    ensure!(
        said.contains("may not use the TPM") && said.contains("usermod -aG tss"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_wipe_empties_the_tpm_too() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(&dir.path().join("tpm"))?;
    let ward = Ward::open(dir.path())?;
    let profile = ward.enrol("ed-07", &tpm.at(), &["--sealer", "tpm"])?;
    // As somebody copied it before, and left it on this machine.
    let before = dir.path().join("before");
    super::stolen::copy(&profile, &before)?;
    opens(&before, &tpm.at())?;
    ensure!(tpm.indices()? == 1);

    let out = tpm.cli(&profile, &["status"], None)?;
    let status: Value = serde_json::from_slice(&out.stdout)?;
    let device = status["device"].as_str().context("device")?;
    let ws = Workstation::open(
        &profile,
        Options {
            sync: true,
            ..options(&tpm.at())
        },
    )?;
    ensure!(ws.wait_current(Duration::from_secs(60)).await?);
    let data = text(&ward.server.data);
    run_json(
        "vitrine-server",
        &["device", "revoke", device, "--data", &data, "--json"],
        None,
    )?;
    let mut left = tpm.indices()?;
    for _ in 0..300 {
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = tpm.indices()?;
    }
    ensure!(left == 0, "the TPM still has its part");
    let _ = closed(&ws);
    ensure!(!profile.join("sealer.tpm").exists() && !profile.join("device.key").exists());
    let told = opens(&before, &tpm.at()).err().context("the copy opens")?;
    ensure!(
        matches!(&told, EngineError::KeysMissing(why) if why.contains("was destroyed")),
        "{told}"
    );
    Ok(())
}
