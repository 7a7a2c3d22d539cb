//! The bytes of images: one encrypted file for each object, exactly as it came.
//!
//! Lives here: receiving into a file that is encrypted from its first byte, keeping it under its digest, reading any
//! part of it. Never here: DICOM, the index (it holds the key of each file: a file without its row is noise).
//! Called by `filing` and `http::dicomweb`. Everything here blocks: callers are on threads that may.
//!
//! A file: `VTI1`, then chunks of 64 KiB of the object, each sealed with AES-256-GCM under the file's own random key. The
//! nonce is the chunk's number, which no other chunk of that key has; number and whether it is the last are
//! authenticated, so that chunks cannot be exchanged, left out or cut off.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use vitrine_store::copies::CopyFile;
use vitrine_store::imaging::Blob;
use zeroize::Zeroizing;

/// Bytes of an object in one sealed chunk.
const CHUNK: usize = 64 << 10;
const MAGIC: &[u8; 4] = b"VTI1";

/// The folder of images.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
    incoming: PathBuf,
}

fn cipher(key: &[u8; 32]) -> io::Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| io::Error::other("the cipher refused a key"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(chunk: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&chunk.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn aad(chunk: u64, last: bool) -> Aad<[u8; 13]> {
    let mut bytes = [0; 13];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..12].copy_from_slice(&chunk.to_be_bytes());
    bytes[12] = u8::from(last);
    Aad::from(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |s, b| s + &format!("{b:02x}"))
}

/// Length of the file of an object.
pub(super) fn length(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK as u64).max(1);
    MAGIC.len() as u64 + bytes + chunks * MAX_TAG_LEN as u64
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Blobs {
    /// The folder at `root`, made when it is not there. `node`: this server's own name, under which it receives, so that
    /// several may share the folder. What it was receiving when its process ended is removed: it was never acknowledged.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(root: &Path, node: &str) -> io::Result<Self> {
        let incoming = root.join("incoming").join(node);
        if !root.exists() {
            fs::create_dir_all(root)?;
            fs::set_permissions(root, fs::Permissions::from_mode(0o700))?;
            root.parent().map_or(Ok(()), sync_folder)?;
        }
        fs::create_dir_all(&incoming)?;
        for entry in fs::read_dir(&incoming)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            root: root.to_owned(),
            incoming,
        })
    }

    /// Begins to receive an object.
    ///
    /// # Errors
    /// Of the file system.
    pub fn receive(&self) -> io::Result<Incoming> {
        let mut key = Zeroizing::new([0; 32]);
        let failed = |_| io::Error::other("no random numbers");
        SystemRandom::new().fill(&mut key[..]).map_err(failed)?;
        self.receive_under(&key)
    }

    /// The same under a key: for the very object that it was made for. Nonces count its chunks, so another object under the
    /// same key would give both away.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn receive_under(&self, key: &Zeroizing<[u8; 32]>) -> io::Result<Incoming> {
        let path = self.temporary()?;
        let mut file = BufWriter::with_capacity(CHUNK * 2, File::create_new(path.path()?)?);
        file.write_all(MAGIC)?;
        let key = key.clone();
        Ok(Incoming {
            cipher: cipher(&key)?,
            path,
            file,
            key,
            buffer: Vec::with_capacity(CHUNK + MAX_TAG_LEN),
            chunks: 0,
            sha256: Sha256::new(),
            bytes: 0,
        })
    }

    /// Where the file of a blob lies: its digest names it, and a mark of its key, so that the same object received twice
    /// never stands in the way of the first.
    #[must_use]
    pub fn path(&self, blob: &Blob) -> PathBuf {
        self.file(&CopyFile::of(blob))
    }

    /// The same of a file by its name.
    #[must_use]
    pub fn file(&self, file: &CopyFile) -> PathBuf {
        let name = file.to_string();
        self.root.join(&name[..2]).join(&name[2..4]).join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A place for a file that comes from elsewhere; it goes when nobody keeps it.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn temporary(&self) -> io::Result<Temporary> {
        let mut name = [0; 16];
        let failed = |_| io::Error::other("no random numbers");
        SystemRandom::new().fill(&mut name).map_err(failed)?;
        Ok(Temporary(Some(self.incoming.join(hex(&name)))))
    }

    /// Puts a file that is on disk in its place: durable when this returns.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn place(&self, from: &mut Temporary, file: &CopyFile) -> io::Result<()> {
        let to = self.file(file);
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        fs::rename(from.path()?, &to)?;
        from.0 = None;
        // A folder that somebody else has just made may not be on the disk yet: each is synced up to the one that was
        // there when the server started.
        for folder in folder.ancestors().take_while(|f| f.starts_with(&self.root)) {
            sync_folder(folder)?;
        }
        Ok(())
    }

    /// Opens a kept object for reading.
    ///
    /// # Errors
    /// Of the file system; [`io::ErrorKind::InvalidData`] for a file that is not of that blob.
    pub fn read(&self, blob: &Blob) -> io::Result<Reading> {
        Reading::open(&self.path(blob), blob)
    }

    /// Bytes that are free on the disk of the folder, for whoever is not root.
    ///
    /// # Errors
    /// Of the file system.
    pub fn free(&self) -> io::Result<u64> {
        let of = rustix::fs::statvfs(&self.root)?;
        Ok(of.f_bavail.saturating_mul(of.f_frsize))
    }

    /// Removes the file of a blob that is nobody's. One that cannot be removed is noise without its key.
    pub fn remove(&self, blob: &Blob) {
        if let Err(e) = fs::remove_file(self.path(blob)) {
            tracing::debug!(error = %e, "a file of images that is nobody's stays");
        }
    }
}

/// A file that goes when nobody keeps it.
#[derive(Debug)]
pub(super) struct Temporary(Option<PathBuf>);

impl Temporary {
    /// Where it is.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] once it was put in its place.
    pub(super) fn path(&self) -> io::Result<&Path> {
        self.0.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// An object that is being received.
pub struct Incoming {
    path: Temporary,
    file: BufWriter<File>,
    key: Zeroizing<[u8; 32]>,
    cipher: LessSafeKey,
    /// Bytes that are not sealed yet: never more than a chunk, because the last one is sealed as the last.
    buffer: Vec<u8>,
    chunks: u64,
    sha256: Sha256,
    bytes: u64,
}

impl Incoming {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.buffer.len() == CHUNK {
                self.seal(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        self.cipher
            .seal_in_place_append_tag(nonce(self.chunks), aad(self.chunks, last), &mut self.buffer)
            .map_err(|_| io::Error::other("the cipher refused a chunk"))?;
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        self.chunks += 1;
        Ok(())
    }

    /// The whole object is here: its file is on disk when this returns.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(mut self) -> io::Result<Received> {
        self.seal(true)?;
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        Ok(Received {
            path: self.path,
            blob: Blob {
                sha256: self.sha256.finalize().into(),
                bytes: self.bytes,
                key: self.key,
            },
        })
    }
}

impl io::Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes).map(|()| bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object that was received whole and is not kept yet; dropped, it is gone.
#[derive(Debug)]
pub struct Received {
    path: Temporary,
    blob: Blob,
}

impl Received {
    /// Its digest, length and key.
    #[must_use]
    pub const fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// As [`Blobs::read`].
    pub fn read(&self) -> io::Result<Reading> {
        Reading::open(self.path.path()?, &self.blob)
    }

    /// Keeps it: durable when this returns.
    ///
    /// # Errors
    /// Of the file system.
    pub fn keep(mut self, blobs: &Blobs) -> io::Result<Blob> {
        blobs.place(&mut self.path, &CopyFile::of(&self.blob))?;
        Ok(self.blob.clone())
    }
}

/// An object that is read, from any place.
pub struct Reading {
    file: File,
    cipher: LessSafeKey,
    bytes: u64,
    at: u64,
    /// The chunk opened last, and its number.
    chunk: Vec<u8>,
    number: Option<u64>,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file of an image {what}"))
}

impl Reading {
    /// Opens a file of a blob, wherever it lies.
    ///
    /// # Errors
    /// As [`Blobs::read`].
    pub(super) fn open(path: &Path, blob: &Blob) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() != length(blob.bytes) {
            return Err(damaged("has another length than it should have"));
        }
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0)?;
        if magic != *MAGIC {
            return Err(damaged("does not begin as one"));
        }
        Ok(Self {
            file,
            cipher: cipher(&blob.key)?,
            bytes: blob.bytes,
            at: 0,
            chunk: Vec::new(),
            number: None,
        })
    }

    /// Length of the object.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn need(&mut self, number: u64) -> io::Result<()> {
        if self.number == Some(number) {
            return Ok(());
        }
        self.number = None;
        let from = number * CHUNK as u64;
        let here = (self.bytes - from).min(CHUNK as u64);
        let last = from + here == self.bytes;
        let length = usize::try_from(here).map_err(|_| damaged("is too long"))? + MAX_TAG_LEN;
        self.chunk.resize(length, 0);
        let at = MAGIC.len() as u64 + number * (CHUNK + MAX_TAG_LEN) as u64;
        self.file.read_exact_at(&mut self.chunk, at)?;
        let plain = self
            .cipher
            .open_in_place(nonce(number), aad(number, last), &mut self.chunk)
            .map_err(|_| damaged("does not open: it was changed, or its key is another"))?
            .len();
        self.chunk.truncate(plain);
        self.number = Some(number);
        Ok(())
    }
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.bytes || out.is_empty() {
            return Ok(0);
        }
        let number = self.at / CHUNK as u64;
        self.need(number)?;
        let from = usize::try_from(self.at - number * CHUNK as u64).unwrap_or(usize::MAX);
        let here = self.chunk.get(from..).unwrap_or_default();
        let n = here.len().min(out.len());
        out[..n].copy_from_slice(&here[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(n) => i128::from(n),
            SeekFrom::End(n) => i128::from(self.bytes) + i128::from(n),
            SeekFrom::Current(n) => i128::from(self.at) + i128::from(n),
        };
        self.at = u64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 31 % 251) as u8).collect()
    }

    fn kept(blobs: &Blobs, bytes: &[u8], step: usize) -> Blob {
        let mut incoming = blobs.receive().unwrap();
        bytes.chunks(step.max(1)).for_each(|b| incoming.write(b).unwrap());
        incoming.finish().unwrap().keep(blobs).unwrap()
    }

    fn all(blobs: &Blobs, blob: &Blob) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        blobs.read(blob)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_length_comes_back_whole_and_from_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), "a").unwrap();
        for n in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 77] {
            let bytes = object(n);
            let blob = kept(&blobs, &bytes, 10_007);
            assert_eq!(blob.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
            assert_eq!(all(&blobs, &blob).unwrap(), bytes, "{n}");
            let mut reading = blobs.read(&blob).unwrap();
            for from in [0, n / 3, n.saturating_sub(5)] {
                reading.seek(SeekFrom::Start(from as u64)).unwrap();
                let mut out = vec![0; (n - from).min(70_000)];
                reading.read_exact(&mut out).unwrap();
                assert_eq!(out, bytes[from..from + out.len()]);
            }
        }
        assert_eq!(fs::read_dir(dir.path().join("incoming/a")).unwrap().count(), 0);
    }

    #[test]
    fn nothing_readable_lies_on_the_disk_and_every_change_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), "a").unwrap();
        let bytes = b"PLANTED-NAME ".repeat(20_000);
        let blob = kept(&blobs, &bytes, 4_096);
        let path = blobs.path(&blob);
        let disk = fs::read(&path).unwrap();
        assert!(!disk.windows(7).any(|w| w == b"PLANTED"));
        for at in [0, 4, 1_000, CHUNK + 30, disk.len() - 1] {
            let mut changed = disk.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let found = all(&blobs, &blob).unwrap_err();
            assert_eq!(found.kind(), io::ErrorKind::InvalidData, "byte {at}");
        }
        // Chunks exchanged; the end cut off at a chunk, and the row made to agree.
        let (sealed, head) = (CHUNK + MAX_TAG_LEN, MAGIC.len());
        let mut swapped = disk.clone();
        swapped[head..head + sealed].copy_from_slice(&disk[head + sealed..head + 2 * sealed]);
        fs::write(&path, &swapped).unwrap();
        assert!(all(&blobs, &blob).is_err());
        fs::write(&path, &disk[..head + 2 * sealed]).unwrap();
        assert!(all(&blobs, &blob).is_err());
        let shorter = Blob {
            bytes: 2 * CHUNK as u64,
            ..blob.clone()
        };
        assert!(
            all(&blobs, &shorter).is_err(),
            "the last chunk says that it is the last"
        );
        fs::write(&path, &disk).unwrap();
        assert_eq!(all(&blobs, &blob).unwrap(), bytes);
    }

    #[test]
    fn what_is_not_kept_is_gone_and_the_same_object_twice_stands_side_by_side() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), "a").unwrap();
        let mut incoming = blobs.receive().unwrap();
        incoming.write(&object(100_000)).unwrap();
        assert_eq!(incoming.bytes(), 100_000);
        drop(incoming);
        let mut incoming = blobs.receive().unwrap();
        incoming.write(b"left behind").unwrap();
        std::mem::forget(incoming);
        let blobs = Blobs::open(dir.path(), "a").unwrap();
        assert_eq!(fs::read_dir(dir.path().join("incoming/a")).unwrap().count(), 0);
        let (first, second) = (kept(&blobs, b"same", 4), kept(&blobs, b"same", 4));
        assert_eq!(first.sha256, second.sha256);
        assert_ne!(blobs.path(&first), blobs.path(&second));
        fs::remove_file(blobs.path(&second)).unwrap();
        assert_eq!(all(&blobs, &first).unwrap(), b"same");
        assert_eq!(all(&blobs, &second).unwrap_err().kind(), io::ErrorKind::NotFound);
        // The same object under the key of its row takes the place of a file that is gone, byte for byte.
        let before = fs::read(blobs.path(&first)).unwrap();
        fs::remove_file(blobs.path(&first)).unwrap();
        let mut again = blobs.receive_under(&first.key).unwrap();
        again.write(b"same").unwrap();
        assert_eq!(again.finish().unwrap().keep(&blobs).unwrap(), first);
        assert_eq!(fs::read(blobs.path(&first)).unwrap(), before);
    }
}
