//! Pack files: the bodies of one record that left the database, sealed.
//!
//! Lives here: the file's format, its two folders, copying between them. Never here: which bodies go (that is the
//! backend's, by [`crate::tiers`]), the table that knows the packs. Called by the backends.
//!
//! A file: `VITPACK1` | id (16) | number of entries (4) | for each entry: offset (8), length (4), resource (8),
//! version (8) | the entries. An entry is one zstd frame under AES-256-GCM: the key follows from the store's pack key
//! and the id, the nonce is the entry's number, and id, number, resource and version are authenticated with it. An id
//! is used for one file, once. Whoever reads an entry also compares the hash that the reference in the database says.

mod laying;
mod moves;

use crate::StoreError;
use crate::tiers::{PackRow, Tier};
pub use laying::{Laid, Ripe, telling};
pub use moves::{faults, gone_away};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"VITPACK1";
const HEAD: usize = 8 + 16 + 4;
const INDEX: usize = 8 + 4 + 8 + 8;
/// Packs are written once and read seldom.
const LEVEL: i32 = 9;
/// No body is larger; a frame that claims more is damaged.
const MOST: usize = 256 << 20;
/// Bytes copied at a time.
const STEP: usize = 1 << 20;
/// Bytes of a reference.
pub const REF: usize = 16 + 4 + 16;

/// What stands in the database in place of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRef {
    /// The pack.
    pub pack: Uuid,
    /// The entry's number in it, from 0.
    pub entry: u32,
    /// First 16 bytes of BLAKE3 over the body.
    pub hash: [u8; 16],
}

impl PackRef {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; REF] {
        let mut out = [0; REF];
        out[..16].copy_from_slice(self.pack.as_bytes());
        out[16..20].copy_from_slice(&self.entry.to_be_bytes());
        out[20..].copy_from_slice(&self.hash);
        out
    }
    /// Reads it; `None` when it is none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REF] = bytes.try_into().ok()?;
        let mut hash = [0; 16];
        hash.copy_from_slice(&bytes[20..]);
        let mut entry = [0; 4];
        entry.copy_from_slice(&bytes[16..20]);
        Some(Self {
            pack: Uuid::from_slice(&bytes[..16]).ok()?,
            entry: u32::from_be_bytes(entry),
            hash,
        })
    }
}

/// A body to pack, with the row it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackEntry {
    /// The resource's number in the database.
    pub resource: i64,
    /// Which version.
    pub version: u64,
    /// The body.
    pub body: Vec<u8>,
}

/// A pack that is on disk and was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// What is to stand in the database, entry by entry.
    pub refs: Vec<PackRef>,
}

/// Where packs lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackFolders {
    /// Beside the database, or on another disk of this machine.
    pub warm: PathBuf,
    /// The archive; without one nothing goes beyond warm.
    pub archive: Option<PathBuf>,
}

/// The packs of a store.
pub struct Packs {
    folders: PackFolders,
    key: hmac::Key,
    /// Packs being written, copied, or not committed yet: they are not tidied away.
    fresh: Mutex<BTreeSet<Uuid>>,
    /// Packs known to lie in the archive, with their bytes: told from those that are missing also while the archive's
    /// folder is not mounted, and without asking a slow mount.
    away: Mutex<BTreeMap<Uuid, u64>>,
}

fn io(doing: &'static str, path: &Path, e: &std::io::Error) -> StoreError {
    if e.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::Full(doing);
    }
    StoreError::Backend {
        doing,
        cause: format!("{}: {e}", path.display()),
    }
}

fn body_hash(body: &[u8]) -> [u8; 16] {
    crate::batch::body_hash(body)
}

fn cut<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// One line of a pack's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    offset: u64,
    length: u32,
    resource: i64,
    version: u64,
}

impl Line {
    fn bytes(self) -> [u8; INDEX] {
        let mut out = [0; INDEX];
        out[..8].copy_from_slice(&self.offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..20].copy_from_slice(&self.resource.to_be_bytes());
        out[20..].copy_from_slice(&self.version.to_be_bytes());
        out
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            offset: u64::from_be_bytes(cut(bytes, 0)?),
            length: u32::from_be_bytes(cut(bytes, 8)?),
            resource: i64::from_be_bytes(cut(bytes, 12)?),
            version: u64::from_be_bytes(cut(bytes, 20)?),
        })
    }
}

fn aad(id: Uuid, entry: u32, line: Line) -> [u8; 36] {
    let mut out = [0; 36];
    out[..16].copy_from_slice(id.as_bytes());
    out[16..20].copy_from_slice(&entry.to_be_bytes());
    out[20..28].copy_from_slice(&line.resource.to_be_bytes());
    out[28..].copy_from_slice(&line.version.to_be_bytes());
    out
}

fn nonce(entry: u32) -> Nonce {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&entry.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// SHA-256 and length of a file; `moved` is told of the bytes read.
fn digest(path: &Path, moved: &dyn Fn(u64)) -> std::io::Result<([u8; 32], u64)> {
    let (mut file, mut sha, mut all) = (File::open(path)?, Sha256::new(), 0);
    let mut step = vec![0; STEP];
    loop {
        let n = file.read(&mut step)?;
        if n == 0 {
            return Ok((sha.finalize().into(), all));
        }
        sha.update(&step[..n]);
        all += n as u64;
        moved(n as u64);
    }
}

/// The name of a half-written file: nobody else's, also on another server, since two that wrote to one file would
/// prove each other's bytes.
fn half(path: &Path) -> Result<PathBuf, StoreError> {
    let mut random = [0; 8];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| StoreError::Backend {
            doing: "naming a pack's file",
            cause: "no random numbers".to_owned(),
        })?;
    Ok(path.with_extension(format!("{:016x}.new", u64::from_be_bytes(random))))
}

fn sync_folder(folder: &Path) {
    // Not every file system lets a folder be synced; the file itself is.
    let _ = File::open(folder).and_then(|f| f.sync_all());
}

fn name(id: Uuid) -> String {
    format!("{}.pack", id.simple())
}

impl Packs {
    /// The packs of these folders, under the store's pack key. Nothing is made or read yet.
    #[must_use]
    pub fn new(folders: PackFolders, key: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            folders,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key[..]),
            fresh: Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// Where they lie.
    #[must_use]
    pub const fn folders(&self) -> &PackFolders {
        &self.folders
    }

    /// File of a pack beside the database.
    #[must_use]
    pub fn warm_file(&self, id: Uuid) -> PathBuf {
        self.folders.warm.join(name(id))
    }

    /// File of a pack in the archive.
    #[must_use]
    pub fn archive_file(&self, id: Uuid) -> Option<PathBuf> {
        self.folders.archive.as_ref().map(|f| f.join(name(id)))
    }

    fn fresh(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in which packs lie in the archive.
    pub fn know(&self, rows: &[PackRow]) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        for p in rows {
            match p.tier {
                Tier::Archive => drop(away.insert(p.id, p.bytes)),
                Tier::Warm | Tier::Hot => drop(away.remove(&p.id)),
            }
        }
    }

    fn away(&self, id: Uuid) -> Option<u64> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.get(&id).copied()
    }

    /// The row of a pack is committed.
    pub fn committed(&self, id: Uuid) {
        self.fresh().remove(&id);
    }

    fn cipher(&self, id: Uuid) -> Result<LessSafeKey, StoreError> {
        let key = Zeroizing::new(hmac::sign(&self.key, id.as_bytes()).as_ref().to_vec());
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| StoreError::Backend {
            doing: "opening a pack's key",
            cause: "the cipher refused".to_owned(),
        })?;
        Ok(LessSafeKey::new(key))
    }

    /// Writes a pack beside the database, syncs it, and reads every entry back. The id must be new.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Backend`]; [`StoreError::Damaged`] when what is read back is not what was
    /// written. No file of that name is there then.
    pub fn write(&self, id: Uuid, entries: &[PackEntry]) -> Result<Written, StoreError> {
        const DOING: &str = "writing a pack";
        let path = self.warm_file(id);
        if path.exists() {
            return Err(StoreError::Refused(format!(
                "{} exists: a pack's id is used once",
                path.display()
            )));
        }
        std::fs::create_dir_all(&self.folders.warm).map_err(|e| io(DOING, &self.folders.warm, &e))?;
        let next = half(&path)?;
        self.fresh().insert(id);
        let made = self.lay_down(id, entries, &next).and_then(|()| {
            let (sha256, bytes) = digest(&next, &|_| ()).map_err(|e| io(DOING, &next, &e))?;
            let refs = self.read_back(id, entries, &next)?;
            std::fs::rename(&next, &path).map_err(|e| io(DOING, &path, &e))?;
            sync_folder(&self.folders.warm);
            Ok(Written { bytes, sha256, refs })
        });
        if made.is_err() {
            self.fresh().remove(&id);
            let _ = std::fs::remove_file(&next);
        }
        made
    }

    fn lay_down(&self, id: Uuid, entries: &[PackEntry], next: &Path) -> Result<(), StoreError> {
        const DOING: &str = "writing a pack";
        let said = |cause: String| StoreError::Backend { doing: DOING, cause };
        let cipher = self.cipher(id)?;
        let count = u32::try_from(entries.len()).map_err(|e| said(e.to_string()))?;
        let mut index = Vec::with_capacity(HEAD + entries.len() * INDEX);
        index.extend_from_slice(MAGIC);
        index.extend_from_slice(id.as_bytes());
        index.extend_from_slice(&count.to_be_bytes());
        let mut offset = (HEAD + entries.len() * INDEX) as u64;
        let mut sealed: Vec<Vec<u8>> = Vec::with_capacity(entries.len());
        let mut zstd = zstd::bulk::Compressor::new(LEVEL).map_err(|e| said(e.to_string()))?;
        for (n, entry) in (0_u32..).zip(entries) {
            let mut frame = zstd.compress(&entry.body).map_err(|e| said(e.to_string()))?;
            let mut line = Line {
                offset,
                length: 0,
                resource: entry.resource,
                version: entry.version,
            };
            cipher
                .seal_in_place_append_tag(nonce(n), Aad::from(aad(id, n, line)), &mut frame)
                .map_err(|_| said("the cipher refused".to_owned()))?;
            line.length = u32::try_from(frame.len()).map_err(|e| said(e.to_string()))?;
            offset += frame.len() as u64;
            index.extend_from_slice(&line.bytes());
            sealed.push(frame);
        }
        let put = || -> std::io::Result<()> {
            let mut file = std::io::BufWriter::new(File::create(next)?);
            file.write_all(&index)?;
            for frame in &sealed {
                file.write_all(frame)?;
            }
            file.into_inner()
                .map_err(std::io::IntoInnerError::into_error)?
                .sync_all()
        };
        put().map_err(|e| io(DOING, next, &e))
    }

    fn read_back(&self, id: Uuid, entries: &[PackEntry], path: &Path) -> Result<Vec<PackRef>, StoreError> {
        let mut refs = Vec::with_capacity(entries.len());
        for (n, entry) in (0_u32..).zip(entries) {
            let r = PackRef {
                pack: id,
                entry: n,
                hash: body_hash(&entry.body),
            };
            let (line, body) = self.entry(path, r)?;
            if body != entry.body || (line.resource, line.version) != (entry.resource, entry.version) {
                return Err(damaged(path));
            }
            refs.push(r);
        }
        Ok(refs)
    }

    fn entry(&self, path: &Path, r: PackRef) -> Result<(Line, Vec<u8>), StoreError> {
        let bad = || damaged(path);
        let get = |file: &mut File, at: u64, n: usize| -> std::io::Result<Vec<u8>> {
            let mut bytes = vec![0; n];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let mut file = File::open(path).map_err(|e| io("reading a pack", path, &e))?;
        let size = file.metadata().map_err(|e| io("reading a pack", path, &e))?.len();
        let head = get(&mut file, 0, HEAD).map_err(|_| bad())?;
        let count = cut(&head, 24).map(u32::from_be_bytes).ok_or_else(bad)?;
        if &head[..8] != MAGIC || &head[8..24] != r.pack.as_bytes() || r.entry >= count {
            return Err(bad());
        }
        let at = HEAD as u64 + u64::from(r.entry) * INDEX as u64;
        let line = get(&mut file, at, INDEX).map_err(|_| bad())?;
        let line = Line::read(&line).ok_or_else(bad)?;
        if line
            .offset
            .checked_add(u64::from(line.length))
            .is_none_or(|end| end > size)
        {
            return Err(bad());
        }
        let length = usize::try_from(line.length).map_err(|_| bad())?;
        let mut sealed = get(&mut file, line.offset, length).map_err(|_| bad())?;
        let frame = self
            .cipher(r.pack)?
            .open_in_place(nonce(r.entry), Aad::from(aad(r.pack, r.entry, line)), &mut sealed)
            .map_err(|_| bad())?;
        let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
        let size = size.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MOST);
        let body = zstd::bulk::decompress(frame, size.ok_or_else(bad)?).map_err(|_| bad())?;
        if body_hash(&body) != r.hash {
            return Err(bad());
        }
        Ok((line, body))
    }

    /// The body a reference stands for.
    ///
    /// # Errors
    /// [`StoreError::Archived`] when its pack lies in the archive alone, [`StoreError::PackMissing`] when it lies
    /// nowhere, [`StoreError::Damaged`] when it is not what was written.
    pub fn read(&self, r: PackRef) -> Result<Vec<u8>, StoreError> {
        let path = self.warm_file(r.pack);
        if path.exists() {
            return self.entry(&path, r).map(|(_, body)| body);
        }
        let archived = |bytes| StoreError::Archived { pack: r.pack, bytes };
        if let Some(bytes) = self.away(r.pack) {
            return Err(archived(bytes));
        }
        // Another server may have moved it since.
        let there = self.archive_file(r.pack).filter(|p| p.exists());
        match there.map(|p| std::fs::metadata(p).map(|m| m.len())) {
            Some(bytes) => Err(archived(bytes.unwrap_or(0))),
            None => Err(StoreError::PackMissing(path.display().to_string())),
        }
    }
}

fn damaged(path: &Path) -> StoreError {
    StoreError::Damaged(format!("the pack {}", path.display()))
}

#[cfg(test)]
mod tests;
