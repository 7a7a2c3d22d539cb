//! A study's file: sealed segments one after another, `nonce (12) ‖ ciphertext ‖ tag (16)` each, AES-256-GCM under the
//! study's random key, bound to pack, frame and layer.
//!
//! Nonces are random, never an offset: the tail of a write that was killed is written over with other bytes, and a nonce
//! must not come twice. The file is only appended to; what is behind the size that the study's row names is nothing.

use super::rows::NewSegment;
use crate::cipher::io_fault;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use vitrine_store::StoreError;
use zeroize::Zeroizing;

/// Bytes that a sealed segment is longer than the segment.
pub(super) const OVERHEAD: usize = NONCE_LEN + 16;
/// Longest segment that is read back, bytes.
const LONGEST: u64 = 1 << 30;

/// A study's key with its file.
pub(super) struct StudyKey {
    pub(super) study: i64,
    pub(super) file: String,
    /// Bytes of the file that rows name.
    pub(super) size: u64,
    key: LessSafeKey,
}

fn failed(what: &str) -> StoreError {
    StoreError::Backend {
        doing: "sealing images",
        cause: what.to_owned(),
    }
}

impl StudyKey {
    /// `None` when the key has not its length.
    pub(super) fn new(study: i64, file: String, size: u64, key: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self {
            study,
            file,
            size,
            key: LessSafeKey::new(key),
        })
    }
}

/// A new key and the name of its file.
pub(super) fn new_key() -> Result<(Zeroizing<[u8; 32]>, String), StoreError> {
    let random = SystemRandom::new();
    let mut key = Zeroizing::new([0; 32]);
    let mut name = [0_u8; 12];
    random
        .fill(key.as_mut_slice())
        .and_then(|()| random.fill(&mut name))
        .map_err(|_| failed("no random numbers"))?;
    Ok((key, name.iter().map(|b| format!("{b:02x}")).collect()))
}

fn bound(hash: &[u8], frame: u32, layer: u8) -> Aad<Vec<u8>> {
    let mut aad = Vec::with_capacity(hash.len() + 5);
    aad.extend_from_slice(hash);
    aad.extend_from_slice(&frame.to_be_bytes());
    aad.push(layer);
    Aad::from(aad)
}

/// Seals a segment behind what `out` holds; gives the bytes added.
pub(super) fn seal(key: &StudyKey, s: &NewSegment<'_>, out: &mut Vec<u8>) -> Result<u64, StoreError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| failed("no random numbers"))?;
    let from = out.len();
    out.extend_from_slice(&nonce);
    out.extend_from_slice(s.body);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = match out.get_mut(from + NONCE_LEN..) {
        Some(body) => key
            .key
            .seal_in_place_separate_tag(nonce, bound(s.pack, s.frame, s.layer), body),
        None => return Err(failed("no room")),
    };
    out.extend_from_slice(tag.map_err(|_| failed("the cipher refused"))?.as_ref());
    Ok((out.len() - from) as u64)
}

/// Writes at an offset and syncs.
pub(super) fn append(path: &Path, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut f| {
            f.seek(SeekFrom::Start(at))?;
            f.write_all(bytes)?;
            f.sync_data()
        })
        .map_err(|e| io_fault("writing images", &e))
}

/// Reads and opens the segments of a frame (layer, offset, length), up to the first that cannot be.
pub(super) fn read(
    path: &Path,
    key: &StudyKey,
    hash: &[u8],
    frame: u32,
    places: &[(u8, i64, i64)],
) -> Vec<(u8, Vec<u8>)> {
    let Ok(mut file) = File::open(path) else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(places.len());
    for (layer, at, len) in places {
        let (at, len) = (super::super::scopes::u(*at), super::super::scopes::u(*len));
        if len > LONGEST || len < OVERHEAD as u64 {
            break;
        }
        let mut sealed = Vec::new();
        let got = file
            .seek(SeekFrom::Start(at))
            .and_then(|_| (&mut file).take(len).read_to_end(&mut sealed));
        if got.is_err() || sealed.len() as u64 != len {
            break;
        }
        let Some((nonce, body)) = sealed.split_first_chunk_mut::<NONCE_LEN>() else {
            break;
        };
        let nonce = Nonce::assume_unique_for_key(*nonce);
        match key.key.open_in_place(nonce, bound(hash, frame, *layer), body) {
            Ok(plain) => {
                let plain = plain.to_vec();
                all.push((*layer, plain));
            }
            Err(_) => {
                tracing::warn!(layer, "a stored image segment does not open: it is fetched again");
                break;
            }
        }
    }
    all
}

/// The folder, private.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let doing = "making the folder of images";
    std::fs::create_dir_all(folder).map_err(|e| io_fault(doing, &e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .map_err(|e| io_fault(doing, &e))?;
    }
    Ok(())
}
