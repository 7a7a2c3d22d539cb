//! The redo log from the server's side: the backups it rests on, how long both are kept, which one serves a moment.
//!
//! Lives here: bases, their check, and retention. Never here: the log's files (`vitrine_store_sqlcipher::redo`), making a backup
//! (`backup`). Called by `jobs::bases`, `cli::copies` and `doctor`.
//!
//! A base is an ordinary backup, `base-<ms>.vtbk`, in the folder of the log. A restore to a moment takes the newest one
//! from before it and rolls it forward.

use crate::cli::acts::{self, Act, Ground};
use crate::clock;
use crate::config;
use crate::data_dir::{self, DataDir};
use crate::error::Fault;
use crate::ops::verify::{self, Verification};
use crate::ops::{backup, container, tiers};
use std::path::{Path, PathBuf};
use vitrine_clinical::UtcMs;
use vitrine_store_sqlcipher::Key;
use vitrine_store_sqlcipher::redo::{self, Position};

/// A backup in the folder of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The file.
    pub path: PathBuf,
    /// Where the log stood.
    pub position: Position,
    /// Time of the last commit in it.
    pub at: UtcMs,
}

/// The folder of the log of a data folder.
#[must_use]
pub fn folder(dir: &DataDir, config: &config::Redo) -> PathBuf {
    if config.folder.is_empty() {
        dir.root().join("redo")
    } else {
        dir.root().join(&config.folder)
    }
}

/// The bases of a folder, oldest first. A file whose manifest cannot be read is none: opening it says why.
///
/// # Errors
/// [`Fault`] when the folder cannot be listed.
pub fn bases(folder: &Path) -> Result<Vec<Base>, Fault> {
    let inside = match std::fs::read_dir(folder) {
        Ok(inside) => inside,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Fault::io("cannot list", folder, &e)),
    };
    let mut out: Vec<Base> = inside.filter_map(|e| base(e.ok()?.path())).collect();
    out.sort_by_key(|b| (b.at, b.path.clone()));
    Ok(out)
}

fn base(path: PathBuf) -> Option<Base> {
    let name = path.file_name()?.to_str()?;
    if !name.starts_with("base-") || !name.ends_with(".vtbk") {
        return None;
    }
    let log = container::manifest(&path).ok()?.contents?.log?;
    Some(Base {
        path,
        position: log.position.parse().ok()?,
        at: log.at,
    })
}

/// The newest base from before a moment.
///
/// # Errors
/// [`Fault`] that says from when on a restore is possible.
pub fn base_for(folder: &Path, at: UtcMs) -> Result<Base, Fault> {
    let mut all = bases(folder)?;
    let first = all.first().map(|b| b.at);
    all.retain(|b| b.at <= at);
    all.pop().ok_or_else(|| match first {
        Some(first) => Fault::usage(format!(
            "--at: the first moment that can be restored is {}",
            clock::instant(first)
        )),
        None => Fault::usage(format!(
            "--at: there is no backup in {}: name one with --from, or the folder of the log with --redo",
            folder.display()
        )),
    })
}

/// What one turn of keeping house did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// The log could not be kept and was begun anew.
    pub restarted: bool,
    /// A base was made.
    pub made: Option<PathBuf>,
    /// What checking it found.
    pub checked: Option<Verification>,
    /// Bases and files of the log that were let go of.
    pub gone: u64,
}

/// Makes a base when one is due, then lets go of what is too old.
///
/// # Errors
/// [`Fault`] naming the file.
pub async fn turn(ground: &Ground, config: &config::Redo, key: &Key, now: UtcMs) -> Result<Turn, Fault> {
    let folder = folder(&ground.dir, config);
    let mut out = Turn::default();
    if ground.files.settle_log().await?.is_some() {
        ground.files.restart_log().await?;
        out.restarted = true;
    }
    let all = bases(&folder)?;
    let stream = redo::streams(&folder, key)?.pop().filter(|s| s.ended.is_none());
    if let Some(stream) = stream {
        let newest = all.iter().rfind(|b| b.position.stream == stream.id);
        let age_ms = newest.map(|b| now.0 - made_ms(&b.path).unwrap_or(b.at.0));
        if age_ms.is_none_or(|age| age >= i64::from(config.base_hours) * 3_600_000) {
            data_dir::make_private_folder(&folder)?;
            let to = folder.join(format!("base-{:013}.vtbk", now.0));
            backup::backup(ground, &to, None).await?;
            if config.verify {
                out.checked = Some(check(ground, &to, &folder).await?);
            }
            out.made = Some(to);
        }
    }
    sweep(&folder);
    out.gone = forget(
        &folder,
        key,
        now.plus_ms(-i64::from(config.keep_days) * 86_400_000),
    )?;
    Ok(out)
}

/// Checks a base as `verify-backup` would, and writes the result down.
async fn check(ground: &Ground, base: &Path, folder: &Path) -> Result<Verification, Fault> {
    let key = backup::folder_key(&ground.dir)?;
    let folders = tiers::folders(&ground.dir, &ground.archive);
    let log = verify::Log {
        folder: folder.to_owned(),
        live: true,
    };
    let found = verify::verify(base, &key, Some(&ground.dir), Some(log), Some(folders)).await?;
    let act = Act::BackupVerified {
        file: found.file.clone(),
        sha256: found.sha256.clone(),
        whole: found.whole,
        faults: found.faults.len(),
    };
    acts::perform(ground, act).await?;
    Ok(found)
}

fn made_ms(path: &Path) -> Option<i64> {
    let name = path.file_stem()?.to_str()?;
    name.strip_prefix("base-")?.parse().ok()
}

/// Removes what a check that was killed left behind, a day after.
fn sweep(folder: &Path) {
    let Ok(inside) = std::fs::read_dir(folder) else {
        return;
    };
    for path in inside.filter_map(|e| Some(e.ok()?.path())) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let old = std::fs::metadata(&path)
            .and_then(|m| m.modified())
            .is_ok_and(|m| m.elapsed().is_ok_and(|age| age.as_secs() > 86_400));
        if name.starts_with(backup::SCRATCH) && path.is_dir() && old {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Lets go of bases and log that serve no moment after `from`: the newest base from before it stays, it serves them.
fn forget(folder: &Path, key: &Key, from: UtcMs) -> Result<u64, Fault> {
    let all = bases(folder)?;
    let Some(keep) = all.iter().rposition(|b| b.at <= from) else {
        return Ok(0);
    };
    let mut gone = 0;
    for old in &all[..keep] {
        std::fs::remove_file(&old.path).map_err(|e| Fault::io("cannot remove", &old.path, &e))?;
        let _ = std::fs::remove_file(super::verify::result_beside(&old.path));
        gone += 1;
    }
    if let Some(oldest) = all.get(keep) {
        gone += redo::forget_before(folder, key, &oldest.position)?;
    }
    Ok(gone)
}

/// Reads a time as people write it, which has passed.
///
/// # Errors
/// [`Fault`] that shows how.
pub fn moment(text: &str) -> Result<UtcMs, Fault> {
    let at = any_moment(text)?;
    if at > clock::now() {
        return Err(Fault::usage(format!("--at '{text}' has not come yet")));
    }
    Ok(at)
}

/// Reads a time as people write it.
///
/// # Errors
/// [`Fault`] that shows how.
pub fn any_moment(text: &str) -> Result<UtcMs, Fault> {
    let read: Result<jiff::Timestamp, _> = text.parse();
    let at = read.map_err(|_| {
        Fault::usage(format!(
            "--at '{text}' is no time with a zone: write it as 2026-11-26T14:03:07Z or 2026-11-26T15:03:07.250+01:00"
        ))
    })?;
    Ok(UtcMs(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone_and_have_passed() {
        assert_eq!(
            moment("2026-01-02T03:04:05.678Z").unwrap(),
            moment("2026-01-02T04:04:05.678+01:00").unwrap()
        );
        for (bad, words) in [
            ("now", "is no time"),
            ("2026-01-02T03:04:05", "is no time"),
            ("2926-01-02T03:04:05Z", "has not come"),
        ] {
            assert!(moment(bad).unwrap_err().text.contains(words), "{bad}");
        }
    }
}
