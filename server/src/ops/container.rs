//! The backup file: a manifest and files, encrypted and authenticated in chunks.
//!
//! Lives here: writing and reading the container. Never here: what is in it (`backup`). Called by `backup`.
//!
//! ```text
//! "VTBK1\n" | manifest length (4, big endian) | manifest JSON | nonce prefix (16) | chunks…
//! chunk: length (4, big endian) | XChaCha20-Poly1305(nonce = prefix ‖ number (8), AAD = SHA-256(manifest) ‖ last?)
//! ```
//! The manifest names every file with its length and SHA-256. A chunk that is missing, swapped, changed or cut does not
//! open; the last chunk says that it is the last.

use crate::clock;
use crate::error::Fault;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use vitrine_store::Contents;

const MAGIC: &[u8; 6] = b"VTBK1\n";
const CHUNK: usize = 1 << 20;
const TAG: usize = 16;
const LONGEST_MANIFEST: u32 = 1 << 20;

/// What a backup holds, readable without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Program version that wrote it.
    pub version: String,
    /// When, FHIR instant.
    pub created: String,
    /// Schema of the database.
    pub schema: u32,
    /// Which recovery key opens it: first 8 bytes of SHA-256 of the key, hex.
    pub key_id: String,
    /// What the database held when it was copied; backups of the first version do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// Packs that the database refers to and that lie beside it or in the archive, not in the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packs: Option<Packed>,
    /// The files, in the order of their bytes.
    pub files: Vec<Entry>,
}

/// Packs that a backup relies on; the database in it says SHA-256 and size of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// How many.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256, hex, over the lines `id sha256`, sorted.
    pub sha256: String,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path within the data folder.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// First 8 bytes of SHA-256 of a key, hex.
#[must_use]
pub fn key_id(key: &[u8; 32]) -> String {
    crate::keys::hex(&Sha256::digest(key)[..8])
}

fn chunk_nonce(prefix: &[u8; 16], number: u64) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..16].copy_from_slice(prefix);
    nonce[16..].copy_from_slice(&number.to_be_bytes());
    XNonce::from(nonce)
}

/// Describes a file for the manifest.
///
/// # Errors
/// [`Fault`] naming the file.
pub fn describe(path: &Path, name: &str) -> Result<Entry, Fault> {
    let mut file = File::open(path).map_err(|e| Fault::io("cannot read", path, &e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let n = file
            .read(&mut buffer)
            .map_err(|e| Fault::io("cannot read", path, &e))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        bytes += n as u64;
    }
    Ok(Entry {
        name: name.to_owned(),
        bytes,
        sha256: crate::keys::hex(&hash.finalize()),
    })
}

/// Writes a container; the file appears under its name only when it is whole and synced.
///
/// # Errors
/// [`Fault`] naming the file.
pub fn write(to: &Path, key: &[u8; 32], manifest: &Manifest, files: &[PathBuf]) -> Result<u64, Fault> {
    let part = to.with_extension("part");
    let _ = std::fs::remove_file(&part);
    let written = write_part(&part, to, key, manifest, files);
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn write_part(
    part: &Path,
    to: &Path,
    key: &[u8; 32],
    manifest: &Manifest,
    files: &[PathBuf],
) -> Result<u64, Fault> {
    let failed = |e: std::io::Error| Fault::io("cannot write", to, &e);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(part).map_err(failed)?);
    let text =
        serde_json::to_vec(manifest).map_err(|e| Fault::failed(format!("writing the manifest: {e}")))?;
    let prefix = clock::random::<16>();
    out.write_all(MAGIC).map_err(failed)?;
    out.write_all(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes())
        .map_err(failed)?;
    out.write_all(&text)
        .and_then(|()| out.write_all(&prefix))
        .map_err(failed)?;
    let seal = Sealing {
        cipher: XChaCha20Poly1305::new(key.into()),
        prefix,
        manifest: Sha256::digest(&text).into(),
    };
    let mut number = 0;
    let mut buffer = Vec::with_capacity(CHUNK);
    for path in files {
        let mut file = File::open(path).map_err(|e| Fault::io("cannot read", path, &e))?;
        loop {
            let room = (CHUNK - buffer.len()) as u64;
            let n = Read::by_ref(&mut file)
                .take(room)
                .read_to_end(&mut buffer)
                .map_err(|e| Fault::io("cannot read", path, &e))?;
            if buffer.len() == CHUNK {
                seal.chunk(&mut out, &mut number, &buffer, false)
                    .map_err(failed)?;
                buffer.clear();
            }
            if n == 0 {
                break;
            }
        }
    }
    seal.chunk(&mut out, &mut number, &buffer, true).map_err(failed)?;
    let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    std::fs::rename(part, to).map_err(failed)?;
    Ok(bytes)
}

struct Sealing {
    cipher: XChaCha20Poly1305,
    prefix: [u8; 16],
    manifest: [u8; 32],
}

impl Sealing {
    fn aad(&self, last: bool) -> [u8; 33] {
        let mut aad = [0; 33];
        aad[..32].copy_from_slice(&self.manifest);
        aad[32] = u8::from(last);
        aad
    }
    fn chunk(&self, out: &mut impl Write, number: &mut u64, plain: &[u8], last: bool) -> std::io::Result<()> {
        let payload = Payload {
            msg: plain,
            aad: &self.aad(last),
        };
        let sealed = self
            .cipher
            .encrypt(&chunk_nonce(&self.prefix, *number), payload)
            .map_err(|_| std::io::Error::other("a chunk could not be encrypted"))?;
        *number += 1;
        out.write_all(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes())?;
        out.write_all(&sealed)
    }
    fn open(&self, number: u64, sealed: &[u8]) -> Option<(Vec<u8>, bool)> {
        [false, true].into_iter().find_map(|last| {
            let payload = Payload {
                msg: sealed,
                aad: &self.aad(last),
            };
            let plain = self
                .cipher
                .decrypt(&chunk_nonce(&self.prefix, number), payload)
                .ok()?;
            Some((plain, last))
        })
    }
}

/// The manifest of a container, not yet authenticated.
///
/// # Errors
/// [`Fault`] when the file is no backup.
pub fn manifest(path: &Path) -> Result<Manifest, Fault> {
    let mut input = BufReader::new(File::open(path).map_err(|e| Fault::io("cannot read", path, &e))?);
    head(path, &mut input).map(|(m, _)| m)
}

fn head(path: &Path, input: &mut impl Read) -> Result<(Manifest, [u8; 32]), Fault> {
    let mut first = Vec::with_capacity(MAGIC.len());
    input
        .take(MAGIC.len() as u64)
        .read_to_end(&mut first)
        .map_err(|e| Fault::io("cannot read", path, &e))?;
    if first != MAGIC {
        return Err(no_magic(path, &first));
    }
    let mut length = [0; 4];
    input
        .read_exact(&mut length)
        .map_err(|_| damaged(path, "it ends before the manifest"))?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST_MANIFEST {
        return Err(damaged(path, "the length of its manifest was changed"));
    }
    let mut text = vec![0; length as usize];
    input
        .read_exact(&mut text)
        .map_err(|_| damaged(path, "it ends within the manifest"))?;
    let manifest = serde_json::from_slice(&text).map_err(|_| damaged(path, "its manifest cannot be read"))?;
    Ok((manifest, Sha256::digest(&text).into()))
}

/// A backup that was cut or changed in its first bytes, or something else altogether.
fn no_magic(path: &Path, first: &[u8]) -> Fault {
    let same = first.iter().zip(MAGIC).filter(|(a, b)| a == b).count();
    if MAGIC.starts_with(first) {
        damaged(path, "it ends within its first bytes")
    } else if first.len() == MAGIC.len() && same + 1 == MAGIC.len() {
        damaged(path, "its first bytes were changed")
    } else {
        Fault::usage(format!("{} is not a Vitrine backup", path.display()))
    }
}

/// Where a chunk's bytes belong: `chunk 3 of vitrine.db`.
fn part(manifest: &Manifest, number: u64) -> String {
    let (from, mut at) = (number * CHUNK as u64, 0);
    for file in &manifest.files {
        at += file.bytes;
        if from < at {
            return format!("chunk {} of {}", number + 1, file.name);
        }
    }
    format!("chunk {}", number + 1)
}

fn damaged(path: &Path, what: &str) -> Fault {
    Fault::unsafe_to(format!(
        "{} is damaged ({what}): use another backup; nothing was changed",
        path.display()
    ))
}

/// Opens every chunk, writes the files into `folder` and checks lengths and hashes.
///
/// # Errors
/// [`Fault`] for a wrong key or any change of the file.
pub fn unpack(path: &Path, key: &[u8; 32], folder: &Path) -> Result<Manifest, Fault> {
    let mut input = BufReader::new(File::open(path).map_err(|e| Fault::io("cannot read", path, &e))?);
    let (manifest, digest) = head(path, &mut input)?;
    if manifest.key_id != key_id(key) {
        return Err(Fault::unsafe_to(format!(
            "{} was made with another key (id {}): give its recovery key with --recovery-key",
            path.display(),
            manifest.key_id
        )));
    }
    let mut prefix = [0; 16];
    input
        .read_exact(&mut prefix)
        .map_err(|_| damaged(path, "it ends too early"))?;
    let seal = Sealing {
        cipher: XChaCha20Poly1305::new(key.into()),
        prefix,
        manifest: digest,
    };
    let mut target = Target {
        folder,
        files: manifest.files.iter(),
        open: None,
    };
    let mut number = 0;
    loop {
        let mut length = [0; 4];
        let of = |what: &str| damaged(path, &format!("{} {what}", part(&manifest, number)));
        input.read_exact(&mut length).map_err(|_| of("is missing"))?;
        let length = u32::from_be_bytes(length) as usize;
        if !(TAG..=CHUNK + TAG).contains(&length) {
            return Err(of("has an impossible length"));
        }
        let mut sealed = vec![0; length];
        input.read_exact(&mut sealed).map_err(|_| of("is cut short"))?;
        let (plain, last) = seal.open(number, &sealed).ok_or_else(|| of("was changed"))?;
        number += 1;
        target
            .write(&plain)?
            .then_some(())
            .ok_or_else(|| damaged(path, "it holds more than its manifest says"))?;
        if last {
            break;
        }
    }
    if input
        .read(&mut [0])
        .map_err(|e| Fault::io("cannot read", path, &e))?
        != 0
    {
        return Err(damaged(path, "bytes follow its end"));
    }
    target
        .finish()?
        .then_some(())
        .ok_or_else(|| damaged(path, "a file is missing or its hash differs"))?;
    Ok(manifest)
}

/// Where the bytes go.
struct Target<'a> {
    folder: &'a Path,
    files: std::slice::Iter<'a, Entry>,
    open: Option<(File, &'a Entry, u64, Sha256)>,
}

impl Target<'_> {
    /// False when there is no file left for the bytes, or a finished one is not what the manifest says.
    fn write(&mut self, mut bytes: &[u8]) -> Result<bool, Fault> {
        while !bytes.is_empty() {
            // A file of no bytes is closed as soon as it is begun.
            while self.open.is_none() {
                if !self.next()? {
                    return Ok(false);
                }
            }
            let Some((file, entry, left, hash)) = &mut self.open else {
                return Ok(false);
            };
            let n = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            let (now, rest) = bytes.split_at(n);
            file.write_all(now)
                .map_err(|e| Fault::io("cannot write", &self.folder.join(&entry.name), &e))?;
            hash.update(now);
            *left -= n as u64;
            bytes = rest;
            if *left == 0 && !self.close()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    fn next(&mut self) -> Result<bool, Fault> {
        let Some(entry) = self.files.next() else {
            return Ok(false);
        };
        let plain = entry
            .name
            .split('/')
            .all(|p| !p.is_empty() && p != "." && p != ".." && !p.contains('\\'));
        if !plain {
            return Ok(false);
        }
        let path = self.folder.join(&entry.name);
        if let Some(parent) = path.parent() {
            crate::data_dir::make_private_folder(parent)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&path)
            .map_err(|e| Fault::io("cannot make", &path, &e))?;
        self.open = Some((file, entry, entry.bytes, Sha256::new()));
        if entry.bytes == 0 { self.close() } else { Ok(true) }
    }
    fn close(&mut self) -> Result<bool, Fault> {
        let Some((file, entry, left, hash)) = self.open.take() else {
            return Ok(true);
        };
        file.sync_all()
            .map_err(|e| Fault::io("cannot write", &self.folder.join(&entry.name), &e))?;
        Ok(left == 0 && crate::keys::hex(&hash.finalize()) == entry.sha256)
    }
    fn finish(mut self) -> Result<bool, Fault> {
        if self.open.is_some() {
            return Ok(false);
        }
        while let Some(entry) = self.files.as_slice().first() {
            if entry.bytes > 0 || !self.next()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(t: &Path, sizes: &[usize]) -> (PathBuf, [u8; 32]) {
        let key = [9; 32];
        let mut paths = Vec::new();
        let mut files = Vec::new();
        for (i, n) in sizes.iter().enumerate() {
            let path = t.join(format!("in{i}"));
            std::fs::write(&path, (0..*n).map(|b| (b % 251) as u8).collect::<Vec<_>>()).unwrap();
            files.push(describe(&path, &format!("sub/f{i}")).unwrap());
            paths.push(path);
        }
        let manifest = Manifest {
            version: "1".into(),
            created: "now".into(),
            schema: 1,
            key_id: key_id(&key),
            contents: None,
            packs: None,
            files,
        };
        let to = t.join("b.vtbk");
        write(&to, &key, &manifest, &paths).unwrap();
        (to, key)
    }

    #[test]
    fn what_goes_in_comes_out() {
        for sizes in [
            vec![],
            vec![0],
            vec![5, 0, 3],
            vec![CHUNK, 1],
            vec![CHUNK * 2 + 7, CHUNK - 7],
            vec![0, 0],
        ] {
            let t = tempfile::tempdir().unwrap();
            let (file, key) = made(t.path(), &sizes);
            let out = t.path().join("out");
            let manifest = unpack(&file, &key, &out).unwrap();
            assert_eq!(manifest.files.len(), sizes.len());
            for (i, n) in sizes.iter().enumerate() {
                assert_eq!(std::fs::read(out.join(format!("sub/f{i}"))).unwrap().len(), *n);
            }
        }
    }

    #[test]
    fn what_cannot_be_written_whole_leaves_nothing() {
        let t = tempfile::tempdir().unwrap();
        let (file, key) = made(t.path(), &[CHUNK + 5]);
        let manifest = manifest(&file).unwrap();
        let to = t.path().join("again.vtbk");
        let there = t.path().join("in0");
        let gone = t.path().join("gone");
        assert!(write(&to, &key, &manifest, &[there, gone]).is_err());
        let left: Vec<_> = std::fs::read_dir(t.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(
            left.iter().all(|n| !n.to_string_lossy().starts_with("again")),
            "{left:?}"
        );
    }

    #[test]
    fn every_flipped_or_cut_byte_is_found() {
        let t = tempfile::tempdir().unwrap();
        let (file, key) = made(t.path(), &[300, 200]);
        let whole = std::fs::read(&file).unwrap();
        for i in 0..whole.len() {
            let mut bad = whole.clone();
            bad[i] ^= 1;
            std::fs::write(&file, &bad).unwrap();
            assert!(
                unpack(&file, &key, &t.path().join(format!("o{i}"))).is_err(),
                "flip at {i}"
            );
            std::fs::write(&file, &whole[..i]).unwrap();
            assert!(
                unpack(&file, &key, &t.path().join(format!("c{i}"))).is_err(),
                "cut at {i}"
            );
        }
        std::fs::write(&file, [whole.as_slice(), b"x"].concat()).unwrap();
        assert!(unpack(&file, &key, &t.path().join("more")).is_err());
        std::fs::write(&file, &whole).unwrap();
        assert!(
            unpack(&file, &[8; 32], &t.path().join("key"))
                .unwrap_err()
                .text
                .contains("another key")
        );
    }
}
