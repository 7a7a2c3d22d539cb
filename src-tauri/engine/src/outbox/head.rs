//! `audit.head`: the head of the audit chain, signed by the device, kept outside the database so that cutting rows
//! off its end shows.

use crate::keys::DeviceKey;
use crate::profile::write_private;
use crate::{EngineError, entropy};
use serde::{Deserialize, Serialize};
use std::path::Path;
use vitrine_access::chain::Head;
use vitrine_clinical::{UtcMs, say};

#[derive(Debug, Serialize, Deserialize)]
struct HeadFile {
    seq: u64,
    hash: String,
    at_ms: i64,
    signature: String,
}

fn signed_text(device: &str, seq: u64, hash: &str, at_ms: i64) -> Vec<u8> {
    format!("vitrine-audit-head\n{device}\n{seq}\n{hash}\n{at_ms}").into_bytes()
}

/// Signs and writes the head.
///
/// # Errors
/// [`EngineError::Io`].
pub fn write_head(
    path: &Path,
    key: &DeviceKey,
    device: &str,
    head: &Head,
    at: UtcMs,
) -> Result<(), EngineError> {
    let hash = entropy::hex(&head.hash);
    let signature = entropy::hex(&key.sign(&signed_text(device, head.seq, &hash, at.0)));
    let json = serde_json::to_vec(&HeadFile {
        seq: head.seq,
        hash,
        at_ms: at.0,
        signature,
    })
    .map_err(|_| EngineError::Internal("writing audit.head"))?;
    write_private(path, &json)
}

/// Why [`read_head`] refuses one.
pub(crate) fn not_ours() -> String {
    say!(
        "audit.head is damaged or was not signed by this workstation",
        "audit.head ist beschädigt oder wurde nicht von diesem Arbeitsplatz signiert"
    )
}

/// Reads the head; `None` when there is none yet.
///
/// # Errors
/// [`EngineError::Unsafe`] when it is damaged or this device did not sign it.
pub fn read_head(path: &Path, key: &DeviceKey, device: &str) -> Result<Option<Head>, EngineError> {
    let bytes = match std::fs::read(path) {
        Ok(b) => b,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(EngineError::Io {
                doing: "reading audit.head",
                cause,
            });
        }
    };
    let bad = || EngineError::Unsafe(not_ours());
    let file: HeadFile = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let signature = entropy::unhex(&file.signature).ok_or_else(bad)?;
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key.public_key())
        .verify(&signed_text(device, file.seq, &file.hash, file.at_ms), &signature)
        .map_err(|_| bad())?;
    let hash = entropy::unhex(&file.hash)
        .and_then(|h| h.try_into().ok())
        .ok_or_else(bad)?;
    Ok(Some(Head { seq: file.seq, hash }))
}
