//! `ballast.bin`: blocks kept back while the disk had room, so that an emergency access can be written down when it
//! has none. Rows are sealed with a key of the outbox and written over the blocks in place.

use crate::EngineError;
use crate::keys::{Dek, open_with, seal_with};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use vitrine_store_sqlcipher::workstation::Reserve;

const MAGIC: &[u8; 4] = b"VtBl";
const PURPOSE: &[u8] = b"vitrine-ballast";

/// The reserve file.
pub struct Ballast {
    path: PathBuf,
    key: Dek,
    open: Mutex<Option<(File, u64)>>,
}

impl Ballast {
    /// The reserve of a profile; [`Self::keep`] makes the file.
    #[must_use]
    pub fn new(path: &Path, key: &Dek) -> Self {
        Self {
            path: path.to_owned(),
            key: key.clone(),
            open: Mutex::new(None),
        }
    }

    /// Whether the reserve is there.
    #[must_use]
    pub fn kept(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|m| m.len() > 0)
    }

    /// Makes the file when it is missing and the disk has room for it. True when it is there.
    #[must_use]
    pub fn keep(&self, bytes: u64) -> bool {
        if self.kept() {
            return true;
        }
        let made = (|| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt;
                options.mode(0o600);
            }
            let mut file = options.open(&self.path)?;
            let block = vec![0; 1 << 20];
            let mut left = bytes;
            while left > 0 {
                let n = left.min(block.len() as u64);
                // Real zeros, not a hole: a hole needs room when it is written.
                file.write_all(&block[..usize::try_from(n).unwrap_or(0)])?;
                left -= n;
            }
            file.sync_all()
        })();
        if made.is_err() {
            let _ = std::fs::remove_file(&self.path);
        }
        made.is_ok()
    }

    /// The rows in the reserve, oldest first, and clears it when `take` accepts every one.
    ///
    /// # Errors
    /// What `take` says; the reserve is kept then.
    pub fn drain(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), EngineError>,
    ) -> Result<usize, EngineError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&self.path) else {
            return Ok(0);
        };
        let mut n = 0;
        let mut end = 0;
        while let Some((line, next)) = read_at(&mut file, end, &self.key) {
            take(&line)?;
            n += 1;
            end = next;
        }
        if n > 0 {
            let doing = EngineError::io("clearing the reserve");
            file.seek(SeekFrom::Start(0)).map_err(&doing)?;
            file.write_all(&vec![0; usize::try_from(end).unwrap_or(0)])
                .and_then(|()| file.sync_all())
                .map_err(&doing)?;
        }
        *open = None;
        Ok(n)
    }
}

fn read_at(file: &mut File, at: u64, key: &Dek) -> Option<(zeroize::Zeroizing<Vec<u8>>, u64)> {
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut header = [0; 8];
    file.read_exact(&mut header).ok()?;
    let length = header.strip_prefix(MAGIC)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if length > 1 << 20 {
        return None;
    }
    let mut sealed = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut sealed).ok()?;
    Some((open_with(key, PURPOSE, &sealed)?, at + 8 + u64::from(length)))
}

impl Reserve for Ballast {
    fn write(&self, line: &[u8]) -> std::io::Result<()> {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let sealed =
            seal_with(&self.key, PURPOSE, line).map_err(|_| std::io::Error::other("sealing a row"))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            let mut end = 0;
            while let Some((_, next)) = read_at(&mut file, end, &self.key) {
                end = next;
            }
            *open = Some((file, end));
        }
        let Some((file, end)) = open.as_mut() else {
            return Err(full());
        };
        let next = *end + 8 + sealed.len() as u64;
        if next + 8 > file.metadata()?.len() {
            return Err(full());
        }
        let length = u32::try_from(sealed.len()).map_err(|_| full())?;
        file.seek(SeekFrom::Start(*end))?;
        file.write_all(&[MAGIC.as_slice(), &length.to_be_bytes(), &sealed].concat())?;
        file.sync_data()?;
        *end = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_in_the_reserve_and_leave_it_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ballast.bin");
        let key = Dek::random().unwrap();
        let b = Ballast::new(&path, &key);
        assert!(b.write(b"x").is_err(), "no reserve was kept");
        assert!(b.keep(4096));
        for i in 0..5 {
            b.write(format!("row {i}").as_bytes()).unwrap();
        }
        let again = Ballast::new(&path, &key);
        again.write(b"row 5").unwrap();
        let raw = std::fs::read(&path).unwrap();
        assert_eq!(raw.len(), 4096, "written in place");
        assert!(!raw.windows(4).any(|w| w == b"row "), "sealed");
        let mut seen = Vec::new();
        let failed = again.drain(|_| Err(EngineError::Internal("test")));
        assert!(failed.is_err());
        let n = again
            .drain(|l| {
                seen.push(String::from_utf8(l.to_vec()).unwrap());
                Ok(())
            })
            .unwrap();
        assert_eq!((n, seen.len(), seen[5].as_str()), (6, 6, "row 5"));
        assert_eq!(again.drain(|_| Ok(())).unwrap(), 0);
    }

    #[test]
    fn a_full_reserve_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let b = Ballast::new(&dir.path().join("b"), &Dek::random().unwrap());
        assert!(b.keep(256));
        b.write(b"a").unwrap();
        let told = (0..20).map(|_| b.write(b"a")).find_map(Result::err).unwrap();
        assert_eq!(told.kind(), std::io::ErrorKind::StorageFull);
    }
}
