//! The device's own secret (DK) and its signing key, sealed in `device.key`.

use super::sealer::{SealedBlob, Sealer, SealerKind};
use super::wrap::Dek;
use crate::EngineError;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use std::path::Path;
use vitrine_clinical::say;

/// What `device.key` holds, sealed.
#[derive(Debug, Serialize, Deserialize)]
struct KeyFile {
    dk: SealedBlob,
    signing: SealedBlob,
}

/// Purposes the two are sealed for.
const DK: &str = "vitrine-dk";
const SIGNING: &str = "vitrine-signing";

fn damaged() -> EngineError {
    EngineError::KeysMissing(say!(
        "device.key is damaged: enrol this workstation again",
        "device.key ist beschädigt: diesen Arbeitsplatz neu registrieren"
    ))
}

/// DK: 32 random bytes that every slot of this device is mixed with.
pub type DeviceSecret = Dek;

/// The opened keys of a device.
pub struct DeviceKey {
    dk: DeviceSecret,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[device key]")
    }
}

impl DeviceKey {
    /// Makes new keys and writes them sealed to `path`.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] of the sealer, [`EngineError::Io`] of the file.
    pub fn create(path: &Path, sealer: &dyn Sealer) -> Result<Self, EngineError> {
        let dk = Dek::random()?;
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| EngineError::Internal("making a signing key"))?;
        let file = KeyFile {
            dk: sealer.seal(DK, dk.bytes())?,
            signing: sealer.seal(SIGNING, pkcs8.as_ref())?,
        };
        let json =
            serde_json::to_vec_pretty(&file).map_err(|_| EngineError::Internal("writing device.key"))?;
        crate::profile::write_private(path, &json)?;
        Self::parts(dk, pkcs8.as_ref())
    }

    /// Which kind of sealer opens `path`.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] when it is missing or damaged.
    pub fn kind(path: &Path) -> Result<SealerKind, EngineError> {
        let file = Self::read(path)?;
        if file.dk.kind == file.signing.kind {
            Ok(file.dk.kind)
        } else {
            Err(damaged())
        }
    }

    fn read(path: &Path) -> Result<KeyFile, EngineError> {
        let bytes = std::fs::read(path).map_err(|e| {
            EngineError::KeysMissing(say!(
                "device.key: {e}: enrol this workstation again",
                "device.key: {e}: diesen Arbeitsplatz neu registrieren"
            ))
        })?;
        serde_json::from_slice(&bytes).map_err(|_| damaged())
    }

    /// What `path` is to hold so that another sealer opens the same keys; writes nothing.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] of either sealer.
    pub(super) fn sealed_by(path: &Path, from: &dyn Sealer, to: &dyn Sealer) -> Result<Vec<u8>, EngineError> {
        let file = Self::read(path)?;
        let moved = KeyFile {
            dk: to.seal(DK, &from.unseal(DK, &file.dk)?)?,
            signing: to.seal(SIGNING, &from.unseal(SIGNING, &file.signing)?)?,
        };
        serde_json::to_vec_pretty(&moved).map_err(|_| EngineError::Internal("writing device.key"))
    }

    /// Opens `path`.
    ///
    /// # Errors
    /// [`EngineError::KeysMissing`] when it is missing, damaged, or not of this sealer; nothing is made anew.
    pub fn open(path: &Path, sealer: &dyn Sealer) -> Result<Self, EngineError> {
        let file = Self::read(path)?;
        let dk = Dek::from_bytes(&sealer.unseal(DK, &file.dk)?).ok_or_else(|| {
            EngineError::KeysMissing(say!(
                "device.key holds no device secret: enrol again",
                "device.key enthält kein Gerätegeheimnis: neu registrieren"
            ))
        })?;
        Self::parts(dk, &sealer.unseal(SIGNING, &file.signing)?)
    }

    fn parts(dk: Dek, pkcs8: &[u8]) -> Result<Self, EngineError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| {
            EngineError::KeysMissing(say!(
                "device.key holds no signing key: enrol again",
                "device.key enthält keinen Signaturschlüssel: neu registrieren"
            ))
        })?;
        Ok(Self { dk, pair })
    }

    /// DK.
    #[must_use]
    pub const fn dk(&self) -> &DeviceSecret {
        &self.dk
    }
    /// The public key, 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }
    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::FileSealer;

    #[test]
    fn opens_what_it_made_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let sealer = FileSealer::new(dir.path());
        let made = DeviceKey::create(&path, &sealer).unwrap();
        let again = DeviceKey::open(&path, &sealer).unwrap();
        assert_eq!(made.public_key(), again.public_key());
        assert_eq!(made.dk().bytes(), again.dk().bytes());
        let sig = again.sign(b"message");
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, made.public_key())
            .verify(b"message", &sig)
            .unwrap();

        let elsewhere = tempfile::tempdir().unwrap();
        let stranger = FileSealer::new(elsewhere.path());
        stranger.seal("x", b"y").unwrap();
        assert!(matches!(
            DeviceKey::open(&path, &stranger),
            Err(EngineError::KeysMissing(_))
        ));
    }
}
