//! What protects the device's secret while the machine is off: the trait, and the labelled file that only the service account can
//! read. The TPM's sealer is `tpm`; which one a profile has is `choice`.

use super::wrap::{Dek, open_with, seal_with};
use crate::EngineError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use vitrine_clinical::{say, word};

/// Which kind of sealer made a blob. Another kind found later means "enrol again", never a silent new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealerKind {
    /// A key file of mode 0600 beside the data.
    File,
    /// A TPM 2.0.
    Tpm,
}

impl SealerKind {
    /// As shown in `status` and `selftest`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::File => word!("file (weak)", "Datei (schwach)"),
            Self::Tpm => "TPM 2.0",
        }
    }
}

/// What a sealer can promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SealerProperties {
    /// The secret never leaves hardware in a form that could be used on another machine.
    pub hardware_bound: bool,
    /// The hardware itself ends the lease.
    pub lease_enforced: bool,
    /// Words for IT.
    pub note: &'static str,
}

/// A sealed secret and what sealed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedBlob {
    /// Which sealer opens it.
    pub kind: SealerKind,
    /// The sealed bytes, hex.
    pub sealed: String,
}

/// Protects a secret at rest.
pub trait Sealer: Send + Sync {
    /// Seals a secret; `purpose` must be given again to open it.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] when the sealer itself cannot work, with the fix.
    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<SealedBlob, EngineError>;
    /// Opens a secret.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] when it is another sealer's, damaged, or the sealer cannot work.
    fn unseal(&self, purpose: &str, blob: &SealedBlob) -> Result<zeroize::Zeroizing<Vec<u8>>, EngineError>;
    /// Which kind this is.
    fn kind(&self) -> SealerKind;
    /// What it promises.
    fn properties(&self) -> SealerProperties;
    /// Makes everything it sealed unreadable for good (revocation).
    ///
    /// # Errors
    /// [`EngineError::Io`] when the key could not be destroyed.
    fn destroy(&self) -> Result<(), EngineError>;
}

/// The labelled file sealer: a random key in `sealer.key`, mode 0600.
#[derive(Debug, Clone)]
pub struct FileSealer {
    path: PathBuf,
}

impl FileSealer {
    const FILE: &'static str = "sealer.key";

    /// The sealer of a profile folder; makes no file until something is sealed.
    #[must_use]
    pub fn new(profile: &Path) -> Self {
        Self {
            path: profile.join(Self::FILE),
        }
    }

    /// Whether the profile has a key file.
    #[must_use]
    pub fn left_in(profile: &Path) -> bool {
        profile.join(Self::FILE).exists()
    }

    fn key(&self, create: bool) -> Result<Dek, EngineError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => {
                check_private(&self.path)?;
                let bytes = zeroize::Zeroizing::new(bytes);
                Dek::from_bytes(&bytes).ok_or_else(|| {
                    EngineError::KeysMissing(say!(
                        "{file} is not a key of 32 bytes: remove the profile and enrol again",
                        "{file} ist kein Schlüssel von 32 Byte: das Profil entfernen und neu registrieren",
                        file = file_name(&self.path)
                    ))
                })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {
                let key = Dek::random()?;
                crate::profile::write_private(&self.path, key.bytes())?;
                Ok(key)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(EngineError::KeysMissing(say!(
                "{file} is missing: enrol this workstation again",
                "{file} fehlt: diesen Arbeitsplatz neu registrieren",
                file = file_name(&self.path)
            ))),
            Err(e) => Err(EngineError::KeysMissing(format!(
                "{}: {e}",
                file_name(&self.path)
            ))),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Refuses a secret file that others can read.
#[cfg(unix)]
pub(super) fn check_private(path: &Path) -> Result<(), EngineError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)
        .map_err(EngineError::io("reading a key file"))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let name = file_name(path);
    Err(EngineError::KeysMissing(say!(
        "{name} can be read by others (mode {mode:04o}): run `chmod 600 {name}` in the profile folder",
        "{name} ist für andere lesbar (Modus {mode:04o}): im Profilordner `chmod 600 {name}` ausführen"
    )))
}

#[cfg(not(unix))]
pub(super) fn check_private(_path: &Path) -> Result<(), EngineError> {
    Ok(())
}

impl Sealer for FileSealer {
    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<SealedBlob, EngineError> {
        let sealed = seal_with(&self.key(true)?, purpose.as_bytes(), secret)?;
        Ok(SealedBlob {
            kind: SealerKind::File,
            sealed: crate::entropy::hex(&sealed),
        })
    }
    fn unseal(&self, purpose: &str, blob: &SealedBlob) -> Result<zeroize::Zeroizing<Vec<u8>>, EngineError> {
        let foreign = || {
            EngineError::KeysMissing(say!(
                "device.key does not belong to this profile's sealer.key: enrol this workstation again",
                "device.key gehört nicht zu sealer.key dieses Profils: diesen Arbeitsplatz neu registrieren"
            ))
        };
        if blob.kind != SealerKind::File {
            return Err(foreign());
        }
        let key = self.key(false)?;
        crate::entropy::unhex(&blob.sealed)
            .and_then(|b| open_with(&key, purpose.as_bytes(), &b))
            .ok_or_else(foreign)
    }
    fn kind(&self) -> SealerKind {
        SealerKind::File
    }
    fn properties(&self) -> SealerProperties {
        SealerProperties {
            hardware_bound: false,
            lease_enforced: false,
            note: word!(
                "protects against a stolen backup of the databases alone, not against a stolen disk: use disk encryption",
                "schützt nur gegen eine gestohlene Sicherung der Datenbanken, nicht gegen einen gestohlenen Datenträger: Festplattenverschlüsselung verwenden"
            ),
        }
    }
    fn destroy(&self) -> Result<(), EngineError> {
        crate::profile::shred(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_for_a_purpose_and_refuses_a_file_that_others_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let s = FileSealer::new(dir.path());
        let blob = s.seal("dk", b"secret").unwrap();
        assert_eq!(s.unseal("dk", &blob).unwrap().as_slice(), b"secret");
        assert!(s.unseal("other", &blob).is_err());
        assert_eq!(s.kind().text(), "file (weak)");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let key = dir.path().join("sealer.key");
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
            let told = s.unseal("dk", &blob).unwrap_err().to_string();
            assert!(told.contains("chmod 600") && told.contains("0644"), "{told}");
        }
    }

    #[test]
    fn destroyed_means_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let s = FileSealer::new(dir.path());
        let blob = s.seal("dk", b"secret").unwrap();
        s.destroy().unwrap();
        assert!(matches!(s.unseal("dk", &blob), Err(EngineError::KeysMissing(_))));
    }
}
