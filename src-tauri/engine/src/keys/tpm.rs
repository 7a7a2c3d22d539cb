//! The sealer of a TPM 2.0 (Linux): what is on the disk opens nothing without this machine's TPM.
//!
//! ```text
//! in the TPM      index: N, 32 random bytes, for who has its authorisation          gone with `destroy`, or when it is cleared
//! sealer.tpm      sealed object: A, 32 random bytes, under the storage key          authorisation: HKDF(N)
//! in memory       K = HKDF(A ‖ N)                                                   seals secrets, bound to their purpose
//! ```
//! Neither part is enough: without N the TPM does not open A, so destroying N makes every copy of the file worthless, also one that
//! was taken long before and one that a disk still holds in blocks it calls free. The TPM is asked once for both secrets of a
//! device, when the workstation opens; nothing in the emergency path asks it.
//! Never here: which sealer a profile gets, the way to the chip. Called by `choice` and through the trait.

#[cfg(target_os = "linux")]
mod chip;
#[cfg(not(target_os = "linux"))]
#[path = "tpm/none.rs"]
mod chip;
mod fault;

pub use fault::TpmFault;

use super::sealer::{SealedBlob, Sealer, SealerKind, SealerProperties, check_private};
use super::slots::hkdf;
use super::wrap::{Dek, open_with, seal_with};
use crate::{EngineError, entropy};
use chip::{Chip, LEN, Object};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use vitrine_clinical::{say, word};
use zeroize::Zeroizing;

/// Where the TPM of a machine is found: the kernel's own resource manager.
pub const TPM_DEVICE: &str = "device:/dev/tpmrm0";

/// What `sealer.tpm` holds. None of it is a secret without the TPM.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// Name of a key of the endorsement hierarchy, hex; which TPM this is. Empty where the hierarchy is closed to us.
    machine: String,
    /// Name of the storage key, hex.
    owner: String,
    /// Index of N.
    index: u32,
    /// Authorisation of the index, hex.
    index_auth: String,
    /// Salt of both HKDFs, hex.
    salt: String,
    /// Public area of the sealed object, as the TPM writes it, hex.
    public: String,
    /// Its private area, encrypted by the TPM, hex.
    private: String,
}

impl Kept {
    const FILE: &'static str = "sealer.tpm";
    const VERSION: u32 = 1;

    fn read(path: &Path) -> Result<Self, TpmFault> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(TpmFault::Missing),
            Err(e) => return Err(TpmFault::Own(format!("{}: {e}", Self::FILE))),
        };
        check_private(path)?;
        let kept: Self = serde_json::from_slice(&bytes).map_err(|_| TpmFault::Damaged)?;
        if kept.version == Self::VERSION {
            return Ok(kept);
        }
        Err(TpmFault::Own(say!(
            "{file} has version {found}, this program knows {known}: install the newer program",
            "{file} hat die Version {found}, dieses Programm kennt {known}: das neuere Programm installieren",
            file = Self::FILE,
            found = kept.version,
            known = Self::VERSION
        )))
    }
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N], TpmFault> {
    entropy::unhex(text)
        .and_then(|b| b.try_into().ok())
        .ok_or(TpmFault::Damaged)
}

fn object_auth(n: &[u8], salt: &[u8]) -> Result<Dek, EngineError> {
    hkdf(&[n], salt, "vitrine-tpm/object")
}

fn key_of(a: &[u8], n: &[u8], salt: &[u8]) -> Result<Dek, EngineError> {
    hkdf(&[a, n], salt, "vitrine-tpm/key")
}

/// A sealer whose key this machine's TPM keeps.
pub struct TpmSealer {
    path: PathBuf,
    at: String,
    /// K, once the TPM gave it.
    key: Mutex<Option<Dek>>,
}

impl std::fmt::Debug for TpmSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[TPM sealer at {}]", self.at)
    }
}

impl TpmSealer {
    /// The sealer of a profile folder, by the TPM at a TCTI string such as [`TPM_DEVICE`]. Asks nothing of it yet.
    #[must_use]
    pub fn new(profile: &Path, at: &str) -> Self {
        Self {
            path: profile.join(Kept::FILE),
            at: at.to_owned(),
            key: Mutex::new(None),
        }
    }

    /// Whether the profile has something that a TPM sealed.
    #[must_use]
    pub fn left_in(profile: &Path) -> bool {
        profile.join(Kept::FILE).exists()
    }

    /// Asks the TPM for what a start asks it: is there one, and would it let us?
    ///
    /// # Errors
    /// [`TpmFault`], with what to do.
    pub fn answers(at: &str) -> Result<(), TpmFault> {
        Chip::at(at)?.begin()
    }

    /// Makes a key in the TPM, and sees that it opens again.
    ///
    /// # Errors
    /// [`TpmFault`]; nothing is left behind then, as far as the TPM lets itself be cleaned up.
    pub fn create(&self) -> Result<(), TpmFault> {
        if self.path.exists() {
            return Err(TpmFault::Own(say!(
                "{file} is there already: remove the profile first",
                "{file} ist schon vorhanden: zuerst das Profil entfernen",
                file = Kept::FILE
            )));
        }
        let made = self.make()?;
        let again = Self {
            path: self.path.clone(),
            at: self.at.clone(),
            key: Mutex::new(None),
        };
        match again.open() {
            Ok(opened) if opened.bytes() == made.bytes() => {
                *self.held() = Some(made);
                Ok(())
            }
            other => {
                let _ = self.destroy();
                Err(other.err().unwrap_or(TpmFault::Damaged))
            }
        }
    }

    fn make(&self) -> Result<Dek, TpmFault> {
        let secret = || entropy::bytes::<LEN>().map(Zeroizing::new);
        let (a, n) = (secret()?, secret()?);
        let (salt, index_auth) = (entropy::bytes::<LEN>()?, entropy::bytes::<LEN>()?);
        let mut chip = Chip::at(&self.at)?;
        let machine = chip.machine().unwrap_or_default();
        chip.begin()?;
        let index = chip.keep(&n, &index_auth)?;
        let written = chip
            .seal(&a, object_auth(n.as_slice(), &salt)?.bytes())
            .and_then(|object| {
                let kept = Kept {
                    version: Kept::VERSION,
                    machine: entropy::hex(&machine),
                    owner: entropy::hex(chip.owner()),
                    index,
                    index_auth: entropy::hex(&index_auth),
                    salt: entropy::hex(&salt),
                    public: entropy::hex(&object.public),
                    private: entropy::hex(&object.private),
                };
                let json = serde_json::to_vec_pretty(&kept)
                    .map_err(|_| EngineError::Internal("writing sealer.tpm"))?;
                Ok(crate::profile::write_private(&self.path, &json)?)
            });
        if let Err(fault) = written {
            let _ = chip.forget(index);
            return Err(fault);
        }
        Ok(key_of(a.as_slice(), n.as_slice(), &salt)?)
    }

    /// K, from the TPM.
    fn open(&self) -> Result<Dek, TpmFault> {
        let kept = Kept::read(&self.path)?;
        let mut chip = self.same(&kept)?;
        chip.begin()?;
        let salt = unhex::<LEN>(&kept.salt)?;
        let n = chip.recall(kept.index, &unhex(&kept.index_auth)?)?;
        let object = Object {
            public: entropy::unhex(&kept.public).ok_or(TpmFault::Damaged)?,
            private: entropy::unhex(&kept.private).ok_or(TpmFault::Damaged)?,
        };
        let a = chip.unseal(&object, object_auth(&n, &salt)?.bytes())?;
        Ok(key_of(&a, &n, &salt)?)
    }

    /// The TPM, if it is the one that sealed the key, as it was then.
    fn same(&self, kept: &Kept) -> Result<Chip, TpmFault> {
        let mut chip = Chip::at(&self.at)?;
        if entropy::hex(chip.owner()) == kept.owner {
            return Ok(chip);
        }
        Err(match chip.machine() {
            Some(name) if !kept.machine.is_empty() => {
                if entropy::hex(&name) == kept.machine {
                    TpmFault::Cleared
                } else {
                    TpmFault::OtherMachine
                }
            }
            _ => TpmFault::OtherOrCleared,
        })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Dek>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// K: as it was given before, or asked of the TPM now.
    ///
    /// # Errors
    /// [`TpmFault`], with what to do.
    pub fn key(&self) -> Result<Dek, TpmFault> {
        let mut held = self.held();
        if let Some(key) = &*held {
            return Ok(key.clone());
        }
        let key = self.open()?;
        *held = Some(key.clone());
        Ok(key)
    }
}

impl Sealer for TpmSealer {
    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<SealedBlob, EngineError> {
        let sealed = seal_with(&self.key()?, purpose.as_bytes(), secret)?;
        Ok(SealedBlob {
            kind: SealerKind::Tpm,
            sealed: entropy::hex(&sealed),
        })
    }
    fn unseal(&self, purpose: &str, blob: &SealedBlob) -> Result<Zeroizing<Vec<u8>>, EngineError> {
        let foreign = || {
            EngineError::KeysMissing(say!(
                "device.key does not belong to this profile's {file}: enrol this workstation again",
                "device.key gehört nicht zu {file} dieses Profils: diesen Arbeitsplatz neu registrieren",
                file = Kept::FILE
            ))
        };
        if blob.kind != SealerKind::Tpm {
            return Err(foreign());
        }
        let key = self.key()?;
        entropy::unhex(&blob.sealed)
            .and_then(|b| open_with(&key, purpose.as_bytes(), &b))
            .ok_or_else(foreign)
    }
    fn kind(&self) -> SealerKind {
        SealerKind::Tpm
    }
    fn properties(&self) -> SealerProperties {
        SealerProperties {
            hardware_bound: true,
            lease_enforced: false,
            note: word!(
                "what is on the disk opens nothing without this machine's TPM",
                "was auf dem Datenträger liegt, öffnet ohne das TPM dieses Rechners nichts"
            ),
        }
    }
    /// The part in the TPM first: from then on no copy of the file opens anything. The file goes also where the TPM cannot be
    /// reached, or is another; the fault is told then.
    fn destroy(&self) -> Result<(), EngineError> {
        *self.held() = None;
        let forgotten = match Kept::read(&self.path) {
            Err(TpmFault::Missing) => Ok(()),
            read => read.and_then(|kept| match self.same(&kept) {
                Ok(mut chip) => {
                    chip.begin()?;
                    chip.forget(kept.index)
                }
                // Cleared: what was in it is gone.
                Err(TpmFault::Cleared) => Ok(()),
                Err(fault) => Err(fault),
            }),
        };
        crate::profile::shred(&self.path)?;
        Ok(forgotten?)
    }
}
