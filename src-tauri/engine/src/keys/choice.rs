//! Which sealer a profile gets, has, and how it gets another.
//!
//! At enrolment the TPM where one works, else the labelled file. From then on the profile has what it has: what a TPM sealed opens
//! by that TPM or not at all, and only [`reseal`] changes it.
//! Called by enrolment, by the opening of a workstation, and by `vitrine-cli reseal`.

use super::device::DeviceKey;
use super::sealer::{FileSealer, Sealer, SealerKind};
use super::tpm::{TPM_DEVICE, TpmFault, TpmSealer};
use crate::EngineError;
use crate::profile::{Profile, write_private};
use std::sync::Arc;
use vitrine_clinical::say;

/// Where this machine's TPM is: `VITRINE_TPM`, a TCTI string, or [`TPM_DEVICE`].
#[must_use]
pub fn tpm_here() -> String {
    std::env::var("VITRINE_TPM").unwrap_or_else(|_| TPM_DEVICE.to_owned())
}

/// What is to keep a device's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SealerChoice {
    /// The TPM where one works, else the file.
    #[default]
    Best,
    /// The TPM, or nothing.
    Tpm,
    /// The file.
    File,
}

/// What keeps them.
pub struct Chosen {
    /// The sealer, ready to seal.
    pub sealer: Arc<dyn Sealer>,
    /// Why it is no TPM, where one was not to be had.
    pub why_not_tpm: Option<String>,
}

/// Makes the sealer of a profile that is about to be enrolled. The TPM counts as one that works once it has sealed a key and opened
/// it again.
///
/// # Errors
/// [`EngineError::NoTpm`] when the TPM was asked for and does not; [`EngineError::Io`] of what an earlier try left.
pub fn choose(profile: &Profile, choice: SealerChoice, at: &str) -> Result<Chosen, EngineError> {
    forget_tpm(profile, at);
    FileSealer::new(profile.dir()).destroy()?;
    let made = match choice {
        SealerChoice::File => None,
        SealerChoice::Best | SealerChoice::Tpm => {
            let sealer = TpmSealer::new(profile.dir(), at);
            Some(sealer.create().map(|()| sealer))
        }
    };
    let file = || Arc::new(FileSealer::new(profile.dir()));
    Ok(match made {
        None => Chosen {
            sealer: file(),
            why_not_tpm: None,
        },
        Some(Ok(sealer)) => Chosen {
            sealer: Arc::new(sealer),
            why_not_tpm: None,
        },
        Some(Err(fault)) if choice == SealerChoice::Tpm => return Err(EngineError::NoTpm(fault.to_string())),
        Some(Err(fault)) => {
            tracing::warn!(%fault, "the keys are left to a file");
            Chosen {
                sealer: file(),
                why_not_tpm: Some(fault.to_string()),
            }
        }
    })
}

/// The sealer that the keys of a profile were sealed by. Asks nothing of it yet.
#[must_use]
pub fn sealer_of(profile: &Profile, at: &str) -> Arc<dyn Sealer> {
    match DeviceKey::kind(&profile.device_key()) {
        Ok(kind) => sealer(profile, kind, at),
        // What is wrong with the file is said when it is opened.
        Err(_) => sealer(profile, SealerKind::File, at),
    }
}

fn sealer(profile: &Profile, kind: SealerKind, at: &str) -> Arc<dyn Sealer> {
    match kind {
        SealerKind::File => Arc::new(FileSealer::new(profile.dir())),
        SealerKind::Tpm => Arc::new(TpmSealer::new(profile.dir(), at)),
    }
}

/// What keeps a TPM from taking over from the file, `None` where nothing does. Asked of a profile with the file sealer alone.
pub(crate) fn tpm_fault(kind: SealerKind, at: &str) -> Option<TpmFault> {
    (kind == SealerKind::File)
        .then(|| TpmSealer::answers(at).err())
        .flatten()
}

/// The words for it, after those of the sealer: nothing for a TPM's.
pub(crate) fn why_not_tpm(kind: SealerKind, fault: Option<&TpmFault>) -> String {
    match (kind, fault) {
        (SealerKind::Tpm, _) => String::new(),
        (SealerKind::File, Some(fault)) => say!("; no TPM: {fault}", "; kein TPM: {fault}"),
        (SealerKind::File, None) => say!(
            "; a TPM answers here: `vitrine-cli reseal` gives the keys to it",
            "; hier antwortet ein TPM: `vitrine-cli reseal` übergibt ihm die Schlüssel"
        ),
    }
}

fn forget_tpm(profile: &Profile, at: &str) {
    if TpmSealer::left_in(profile.dir())
        && let Err(e) = TpmSealer::new(profile.dir(), at).destroy()
    {
        tracing::warn!(error = %e, "what was left in the TPM could not be removed");
    }
}

/// Ends what a [`reseal`] that was cut off left: the sealer that the profile no longer has, or does not have yet, is destroyed.
/// Called once the keys are open. Does nothing while another program may be moving them.
pub(crate) fn settle(profile: &Profile, kind: SealerKind, at: &str) {
    let left = match kind {
        SealerKind::File => TpmSealer::left_in(profile.dir()),
        SealerKind::Tpm => FileSealer::left_in(profile.dir()),
    };
    if !left {
        return;
    }
    let Ok(Some(_lock)) = profile.take_link() else {
        return;
    };
    // They may have been moved between the two looks.
    if DeviceKey::kind(&profile.device_key()).ok() != Some(kind) {
        return;
    }
    match kind {
        SealerKind::File => forget_tpm(profile, at),
        SealerKind::Tpm => {
            if let Err(e) = FileSealer::new(profile.dir()).destroy() {
                tracing::error!(error = %e, "the key file of before could not be destroyed");
            }
        }
    }
}

/// How far [`reseal`] is: after each of these the profile opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResealStep {
    /// The new sealer is there; the keys are sealed by the old one.
    Made,
    /// `device.key` is sealed by the new one, durably; the old one is still there.
    Written,
    /// It was opened by the new one again.
    Checked,
    /// The old one is destroyed.
    Destroyed,
}

/// Moves the keys of a profile to another kind of sealer; gives the kind they had. The keys stay the same, so nothing else of the
/// profile changes. A crash in between leaves a profile that opens; what is then too much is destroyed when it does.
///
/// # Errors
/// [`EngineError::NotEnrolled`], [`EngineError::Revoked`]; [`EngineError::Usage`] while another program synchronises the profile;
/// [`EngineError::KeysMissing`] when the keys do not open; [`EngineError::NoTpm`] when the TPM cannot keep them. The profile is as
/// it was then.
pub fn reseal(
    profile: &Profile,
    to: SealerKind,
    at: &str,
    step: &mut dyn FnMut(ResealStep),
) -> Result<SealerKind, EngineError> {
    let Some(_lock) = profile.take_link()? else {
        return Err(EngineError::Usage(say!(
            "this profile is synchronised by another program: close it first",
            "dieses Profil wird von einem anderen Programm synchronisiert: dieses zuerst schließen"
        )));
    };
    match profile.read_device()? {
        None => return Err(EngineError::NotEnrolled),
        Some(d) if d.revoked => return Err(EngineError::Revoked),
        Some(_) => {}
    }
    let path = profile.device_key();
    let kind = DeviceKey::kind(&path)?;
    let old = sealer(profile, kind, at);
    let keys = DeviceKey::open(&path, old.as_ref())?;
    // What an earlier try left.
    match if kind == to { other(to) } else { to } {
        SealerKind::Tpm => forget_tpm(profile, at),
        SealerKind::File => FileSealer::new(profile.dir()).destroy()?,
    }
    if kind == to {
        return Ok(kind);
    }
    let before = std::fs::read(&path).map_err(EngineError::io("reading device.key"))?;
    if to == SealerKind::Tpm {
        TpmSealer::new(profile.dir(), at)
            .create()
            .map_err(|fault| EngineError::NoTpm(fault.to_string()))?;
    }
    let new = sealer(profile, to, at);
    let sealed = DeviceKey::sealed_by(&path, old.as_ref(), new.as_ref());
    let moved = sealed.and_then(|sealed| {
        step(ResealStep::Made);
        write_private(&path, &sealed)?;
        step(ResealStep::Written);
        // By a sealer that remembers nothing, as the next start does.
        let again = DeviceKey::open(&path, sealer(profile, to, at).as_ref())?;
        if again.dk().bytes() == keys.dk().bytes() && again.public_key() == keys.public_key() {
            Ok(())
        } else {
            Err(EngineError::Internal("moving the keys"))
        }
    });
    if let Err(e) = moved {
        write_private(&path, &before)?;
        let _ = new.destroy();
        return Err(e);
    }
    step(ResealStep::Checked);
    old.destroy()?;
    step(ResealStep::Destroyed);
    Ok(kind)
}

const fn other(kind: SealerKind) -> SealerKind {
    match kind {
        SealerKind::File => SealerKind::Tpm,
        SealerKind::Tpm => SealerKind::File,
    }
}
