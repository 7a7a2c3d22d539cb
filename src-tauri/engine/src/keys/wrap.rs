//! XChaCha20-Poly1305 around keys, bound to what they are for.

use crate::{EngineError, entropy};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 256-bit data key. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Dek([u8; 32]);

impl Dek {
    /// A new random key.
    ///
    /// # Errors
    /// [`EngineError::Internal`] without random numbers.
    pub fn random() -> Result<Self, EngineError> {
        Ok(Self(entropy::bytes()?))
    }
    /// From raw bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
    /// The raw bytes, for the cipher.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Dek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

const NONCE: usize = 24;

/// `nonce ‖ ciphertext` of `plain` under `key`, bound to `aad`.
///
/// # Errors
/// [`EngineError::Internal`] when the cipher refuses (never for our sizes).
pub fn seal_with(key: &Dek, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, EngineError> {
    let nonce = entropy::bytes::<NONCE>()?;
    let cipher = XChaCha20Poly1305::new(&Key::from(*key.bytes()));
    let body = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad })
        .map_err(|_| EngineError::Internal("sealing a key"))?;
    Ok([nonce.as_slice(), &body].concat())
}

/// Opens [`seal_with`]; `None` when the key, the binding or a byte is wrong.
#[must_use]
pub fn open_with(key: &Dek, aad: &[u8], sealed: &[u8]) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE>()?;
    let cipher = XChaCha20Poly1305::new(&Key::from(*key.bytes()));
    cipher
        .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad })
        .ok()
        .map(zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_its_key_its_binding_and_every_byte() {
        let (k, other) = (Dek::random().unwrap(), Dek::random().unwrap());
        let sealed = seal_with(&k, b"dev1/essentials/1", b"0123456789").unwrap();
        assert_eq!(
            open_with(&k, b"dev1/essentials/1", &sealed).unwrap().as_slice(),
            b"0123456789"
        );
        assert!(open_with(&other, b"dev1/essentials/1", &sealed).is_none());
        assert!(open_with(&k, b"dev2/essentials/1", &sealed).is_none());
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert!(open_with(&k, b"dev1/essentials/1", &bad).is_none(), "byte {i}");
        }
        assert!(open_with(&k, b"", &sealed[..10]).is_none());
    }
}
