//! Packs on the move: proven copies between the two folders, removal, tidying, and looking whether all are there.

use super::{Packs, STEP, damaged, digest, half, io, sync_folder};
use crate::StoreError;
use crate::tiers::{PackRow, Tier};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

fn remove(path: &Path) -> Result<bool, StoreError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io("removing a pack", path, &e)),
    }
}

/// Reads a file to its end and compares its SHA-256.
fn whole(path: &Path, sha256: &[u8; 32]) -> Result<(), StoreError> {
    if !path.exists() {
        return Err(StoreError::PackMissing(path.display().to_string()));
    }
    let (found, _) = digest(path, &|_| ()).map_err(|e| io("reading a pack", path, &e))?;
    if found == *sha256 {
        Ok(())
    } else {
        Err(damaged(path))
    }
}

impl Packs {
    /// Where a pack lies: beside the database, else in the archive.
    #[must_use]
    pub fn find(&self, id: Uuid) -> Option<PathBuf> {
        let both = [Some(self.warm_file(id)), self.archive_file(id)];
        both.into_iter().flatten().find(|p| p.exists())
    }

    /// Whether a pack lies beside the database.
    #[must_use]
    pub fn is_warm(&self, id: Uuid) -> bool {
        self.warm_file(id).exists()
    }

    /// Reads a pack beside the database and compares its SHA-256.
    ///
    /// # Errors
    /// As [`Packs::read`].
    pub fn verify(&self, id: Uuid, sha256: &[u8; 32]) -> Result<(), StoreError> {
        whole(&self.warm_file(id), sha256)
    }

    /// The same for the copy in the archive.
    ///
    /// # Errors
    /// As [`Packs::verify`]; [`StoreError::Refused`] without an archive.
    pub fn verify_archived(&self, id: Uuid, sha256: &[u8; 32]) -> Result<(), StoreError> {
        whole(&self.archived(id)?, sha256)
    }

    fn archived(&self, id: Uuid) -> Result<PathBuf, StoreError> {
        self.archive_file(id).ok_or_else(|| {
            StoreError::Refused(
                "no archive is configured: name its folder in archive.cold of the configuration".to_owned(),
            )
        })
    }

    /// Copies a pack into the archive and proves the copy; the one beside the database stays until
    /// [`Packs::drop_warm`]. A copy that is there already and whole is taken as it is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when either is not what the table says.
    pub fn copy_away(&self, id: Uuid, sha256: &[u8; 32]) -> Result<(), StoreError> {
        let to = self.archived(id)?;
        if to.exists() && self.verify_archived(id, sha256).is_ok() {
            return Ok(());
        }
        self.fresh().insert(id);
        let done = copy(&self.warm_file(id), &to, sha256, &|_| ());
        self.fresh().remove(&id);
        done
    }

    /// Removes the file beside the database.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub fn drop_warm(&self, id: Uuid) -> Result<(), StoreError> {
        self.fresh().remove(&id);
        remove(&self.warm_file(id))?;
        sync_folder(&self.folders.warm);
        Ok(())
    }

    /// Copies a pack back from the archive and proves the copy; `moved` is told of the bytes. [`Packs::committed`]
    /// follows.
    ///
    /// # Errors
    /// [`StoreError::PackMissing`], [`StoreError::Damaged`].
    pub fn fetch(&self, id: Uuid, sha256: &[u8; 32], moved: &dyn Fn(u64)) -> Result<(), StoreError> {
        if self.verify(id, sha256).is_ok() {
            return Ok(());
        }
        self.fresh().insert(id);
        let done = copy(&self.archived(id)?, &self.warm_file(id), sha256, moved);
        if done.is_err() {
            self.fresh().remove(&id);
        }
        done
    }

    /// Removes a pack in both places.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when one of them stays.
    pub fn destroy(&self, id: Uuid) -> Result<(), StoreError> {
        remove(&self.warm_file(id))?;
        sync_folder(&self.folders.warm);
        if let Some(path) = self.archive_file(id) {
            remove(&path)?;
            path.parent().into_iter().for_each(sync_folder);
        }
        Ok(())
    }

    /// Removes half-written files, packs that no row knows and that are older than `spare` (another server may be about
    /// to commit the row of a younger one), and what is left here of packs whose copy in the archive is whole. Gives
    /// how many.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub fn tidy(&self, rows: &[PackRow], spare: Duration) -> Result<u64, StoreError> {
        let known = |id: Uuid| rows.iter().any(|p| p.id == id);
        let mut gone = 0;
        for p in rows
            .iter()
            .filter(|p| p.tier == Tier::Archive && self.is_warm(p.id))
        {
            if !self.fresh().contains(&p.id) && self.verify_archived(p.id, &p.sha256).is_ok() {
                self.drop_warm(p.id)?;
                gone += 1;
            }
        }
        for folder in [Some(&self.folders.warm), self.folders.archive.as_ref()]
            .into_iter()
            .flatten()
        {
            let listed = match std::fs::read_dir(folder) {
                Ok(listed) => listed,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(io("looking through the packs", folder, &e)),
            };
            for file in listed {
                let path = file
                    .map_err(|e| io("looking through the packs", folder, &e))?
                    .path();
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                let id = name.split('.').next().and_then(|n| n.parse::<Uuid>().ok());
                let left = match id.filter(|id| !self.fresh().contains(id)) {
                    Some(id) if name.ends_with(".pack") => !known(id),
                    Some(_) => name.ends_with(".new"),
                    None => false,
                };
                if left && older(&path, spare) && remove(&path)? {
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }
}

/// Packs that count as warm and lie in the archive alone: the database was put back to before their last move.
#[must_use]
pub fn gone_away(packs: &Packs, rows: &[PackRow]) -> Vec<Uuid> {
    let gone = |p: &&PackRow| {
        p.tier == Tier::Warm && !packs.is_warm(p.id) && packs.archive_file(p.id).is_some_and(|f| f.exists())
    };
    rows.iter().filter(gone).map(|p| p.id).collect()
}

/// What is wrong with the files of these packs, a sentence each. With `whole` each is read where it lies and its SHA-256
/// compared; it may lie in either folder, since a copy of the database may be older than its last move. Without, those
/// beside the database are looked for with their size, and of the archive whether it is there at all.
#[must_use]
pub fn faults(packs: &Packs, rows: &[PackRow], whole: bool) -> Vec<String> {
    let wrong = |p: &PackRow| {
        let Some(path) = packs.find(p.id) else {
            return Some(StoreError::PackMissing(
                packs.warm_file(p.id).display().to_string(),
            ));
        };
        let same = if whole {
            digest(&path, &|_| ()).map(|(sha256, _)| sha256 == p.sha256)
        } else {
            std::fs::metadata(&path).map(|m| m.len() == p.bytes)
        };
        match same {
            Ok(true) => None,
            Ok(false) => Some(damaged(&path)),
            Err(e) => Some(io("reading a pack", &path, &e)),
        }
    };
    let looked = |p: &&PackRow| p.tier == Tier::Warm || (whole && p.tier == Tier::Archive);
    let bad = rows.iter().filter(looked).filter_map(wrong);
    let mut out: Vec<String> = bad.map(|e| e.to_string()).collect();
    let away = rows.iter().filter(|p| p.tier == Tier::Archive).count();
    let folder = packs.folders().archive.as_ref();
    if away > 0 && !folder.is_some_and(|f| f.is_dir()) {
        let named = folder.map_or_else(|| "archive.cold".to_owned(), |f| f.display().to_string());
        out.push(format!(
            "the archive {named} is not there: {away} packs lie in it"
        ));
    }
    out
}

#[allow(
    clippy::disallowed_methods,
    reason = "the file system's clock is compared with itself"
)]
fn older(path: &Path, spare: Duration) -> bool {
    if spare.is_zero() {
        return true;
    }
    let made = std::fs::metadata(path).and_then(|m| m.modified());
    made.ok()
        .and_then(|m| SystemTime::now().duration_since(m).ok())
        .is_some_and(|age| age >= spare)
}

/// Copies a file, syncs it, and compares both with the hash before the copy has its name.
fn copy(from: &Path, to: &Path, sha256: &[u8; 32], moved: &dyn Fn(u64)) -> Result<(), StoreError> {
    const DOING: &str = "copying a pack";
    if !from.exists() {
        return Err(StoreError::PackMissing(from.display().to_string()));
    }
    let folder = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| io(DOING, folder, &e))?;
    let next = half(to)?;
    let put = || -> std::io::Result<[u8; 32]> {
        let (mut source, mut target, mut sha) = (File::open(from)?, File::create(&next)?, Sha256::new());
        let mut step = vec![0; STEP];
        loop {
            let n = source.read(&mut step)?;
            if n == 0 {
                break;
            }
            sha.update(&step[..n]);
            target.write_all(&step[..n])?;
            moved(n as u64);
        }
        target.sync_all()?;
        Ok(sha.finalize().into())
    };
    let done = put().map_err(|e| io(DOING, &next, &e)).and_then(|read| {
        if read != *sha256 {
            return Err(damaged(from));
        }
        let (written, _) = digest(&next, &|_| ()).map_err(|e| io(DOING, &next, &e))?;
        if written != *sha256 {
            return Err(damaged(&next));
        }
        std::fs::rename(&next, to).map_err(|e| io(DOING, to, &e))
    });
    match done {
        Ok(()) => sync_folder(folder),
        Err(_) => drop(std::fs::remove_file(&next)),
    }
    done
}
