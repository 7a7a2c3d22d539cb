//! The profile folder of a workstation: which files there are, how private files are written, and who holds the line
//! to the server when several programs use one profile.
//!
//! ```text
//! device.json    who this workstation is (no secret)      ca.pem        the server's CA
//! sealer.key     key of the file sealer (0600)            device.key    DK and signing key, sealed
//! sealer.tpm     what the TPM sealer needs of the disk
//! slots.json     wrapped data keys                        essentials.db cards, boards, staff list
//! records-*.db   one record cache per user slot           outbox.db     audit chain, grants, counters
//! audit.head     signed head of the audit chain           ballast.bin   reserve for a full disk
//! session.bin    a command-line session, sealed           link.lock     held by the program that synchronises
//! images.db      lists, indexes and previews of images    images/       their larger layers, a file for each study
//! ```
//! Never here: keys in the clear, PHI. Called by the facade and the command line.

use crate::EngineError;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use vitrine_clinical::say;

/// The essentials while they are made anew.
const NEXT: &str = "essentials.next.db";
/// A database: its file, its log, the index of the log.
const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

/// Where everything of a profile is.
#[derive(Debug, Clone)]
pub struct Profile {
    dir: PathBuf,
    /// The essentials are those that are being made anew beside the others.
    next: bool,
}

/// `device.json`: who this workstation is. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFile {
    /// Layout version of the profile.
    pub version: u32,
    /// Server, e.g. `https://hospital.example:8443`.
    pub server: String,
    /// Device id.
    pub device: String,
    /// Name of the workstation as shown.
    pub name: String,
    /// Ward.
    pub ward: String,
    /// It may hold the essentials of the whole site.
    pub site: bool,
    /// Ed25519 public key of the server, hex: orders to wipe are signed by it.
    pub server_key: String,
    /// The server's data folder is marked as demo.
    pub demo: bool,
    /// The device was revoked and its data destroyed.
    #[serde(default)]
    pub revoked: bool,
}

/// Newest layout this program knows.
pub const PROFILE_VERSION: u32 = 1;

impl Profile {
    /// A profile folder; made, private, when it does not exist.
    ///
    /// # Errors
    /// [`EngineError::Io`] when it cannot be made.
    pub fn at(dir: &Path) -> Result<Self, EngineError> {
        std::fs::create_dir_all(dir).map_err(EngineError::io("making the profile folder"))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
                .map_err(EngineError::io("making the profile folder private"))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            next: false,
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// A file of the profile.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    /// `device.json`.
    #[must_use]
    pub fn device_json(&self) -> PathBuf {
        self.file("device.json")
    }
    /// `device.key`.
    #[must_use]
    pub fn device_key(&self) -> PathBuf {
        self.file("device.key")
    }
    /// `slots.json`.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.file("slots.json")
    }
    /// `ca.pem`.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }
    /// `essentials.db`; `essentials.next.db` while they are made anew.
    #[must_use]
    pub fn essentials(&self) -> PathBuf {
        self.file(if self.next { NEXT } else { "essentials.db" })
    }

    /// The same profile with essentials that are to be made anew, beside those that are there; what an earlier try left is
    /// removed.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn renewing(&self) -> Result<Self, EngineError> {
        let next = Self {
            next: true,
            ..self.clone()
        };
        next.remove_essentials(&ENDINGS)?;
        Ok(next)
    }

    /// Puts the essentials that were made anew, and are closed, in the place of the others. A crash in between leaves one or the
    /// other.
    ///
    /// # Errors
    /// [`EngineError::Io`]; [`EngineError::Internal`] while somebody still has them open.
    pub fn put_in_place(&self) -> Result<(), EngineError> {
        let next = self.essentials();
        let log = self.file(&format!("{NEXT}-wal"));
        if !self.next || std::fs::metadata(log).is_ok_and(|m| m.len() > 0) {
            return Err(EngineError::Internal("closing what was made anew"));
        }
        let old = Self {
            next: false,
            ..self.clone()
        };
        // The log first: it must never stand beside a file that it is not of.
        old.remove_essentials(&ENDINGS[1..])?;
        let doing = EngineError::io("putting what was made anew in its place");
        std::fs::rename(&next, old.essentials())
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(doing)?;
        self.remove_essentials(&ENDINGS[1..])
    }

    /// Removes what was made anew and is not to be used.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn forget_next(&self) -> Result<(), EngineError> {
        if self.next {
            self.remove_essentials(&ENDINGS)
        } else {
            Ok(())
        }
    }

    fn remove_essentials(&self, endings: &[&str]) -> Result<(), EngineError> {
        for ending in endings {
            let mut path = self.essentials().into_os_string();
            path.push(ending);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(EngineError::io("removing stored data")(e));
                }
                _ => {}
            }
        }
        Ok(())
    }
    /// `outbox.db`.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.file("outbox.db")
    }
    /// `ballast.bin`.
    #[must_use]
    pub fn ballast(&self) -> PathBuf {
        self.file("ballast.bin")
    }
    /// `images.db`.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.file("images.db")
    }
    /// `images/`.
    #[must_use]
    pub fn images_folder(&self) -> PathBuf {
        self.file("images")
    }
    /// `audit.head`.
    #[must_use]
    pub fn audit_head(&self) -> PathBuf {
        self.file("audit.head")
    }
    /// `session.bin`.
    #[must_use]
    pub fn session(&self) -> PathBuf {
        self.file("session.bin")
    }

    /// Reads `device.json`; `None` when the workstation is not enrolled.
    ///
    /// # Errors
    /// [`EngineError::Usage`] naming the file when it is damaged, [`EngineError::Unsafe`] when it is of a newer program.
    pub fn read_device(&self) -> Result<Option<DeviceFile>, EngineError> {
        let bytes = match std::fs::read(self.device_json()) {
            Ok(b) => b,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(EngineError::Io {
                    doing: "reading device.json",
                    cause: e,
                });
            }
        };
        let file: DeviceFile = serde_json::from_slice(&bytes).map_err(|e| {
            EngineError::Usage(say!(
                "device.json is damaged at line {line}: enrol this workstation again",
                "device.json ist in Zeile {line} beschädigt: diesen Arbeitsplatz neu registrieren",
                line = e.line()
            ))
        })?;
        if file.version > PROFILE_VERSION {
            return Err(EngineError::Unsafe(say!(
                "device.json has version {found}, this program knows up to {PROFILE_VERSION}: install the newer program",
                "device.json hat die Version {found}, dieses Programm kennt bis {PROFILE_VERSION}: das neuere Programm installieren",
                found = file.version
            )));
        }
        Ok(Some(file))
    }

    /// Writes `device.json`.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn write_device(&self, device: &DeviceFile) -> Result<(), EngineError> {
        let json =
            serde_json::to_vec_pretty(device).map_err(|_| EngineError::Internal("writing device.json"))?;
        write_private(&self.device_json(), &json)
    }

    /// Takes the line to the server for this program. `None` when another program of this profile holds it; reading,
    /// searching and breaking the glass work side by side, only one program synchronises.
    ///
    /// # Errors
    /// [`EngineError::Io`] when the lock file cannot be made.
    pub fn take_link(&self) -> Result<Option<LinkLock>, EngineError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.file("link.lock"))
            .map_err(EngineError::io("opening link.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LinkLock { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(cause)) => Err(EngineError::Io {
                doing: "locking link.lock",
                cause,
            }),
        }
    }

    /// Destroys everything of the profile but `device.json`, keys first.
    ///
    /// # Errors
    /// The first [`EngineError::Io`], after trying all files.
    pub fn destroy(&self) -> Result<(), EngineError> {
        let keys = [
            "sealer.key",
            "sealer.tpm",
            "device.key",
            "slots.json",
            "session.bin",
        ];
        let mut first: Result<(), EngineError> = Ok(());
        for name in keys {
            let done = shred(&self.file(name));
            first = first.and(done);
        }
        match std::fs::remove_dir_all(self.images_folder()) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                first = first.and(Err(EngineError::Io {
                    doing: "deleting stored images",
                    cause,
                }));
            }
            _ => {}
        }
        let entries = std::fs::read_dir(&self.dir).map_err(EngineError::io("listing the profile folder"))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name != "device.json" && name != "link.lock" && entry.path().is_file() {
                let done =
                    std::fs::remove_file(entry.path()).map_err(EngineError::io("deleting stored data"));
                first = first.and(done);
            }
        }
        first
    }
}

/// Held while this program synchronises.
#[derive(Debug)]
pub struct LinkLock {
    _file: File,
}

/// Writes a file of mode 0600 by way of a temporary one, durably.
///
/// # Errors
/// [`EngineError::Io`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let doing = EngineError::io("writing a private file");
    let dir = match path.parent() {
        // A name alone is one in the folder where we are.
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
        None => return Err(EngineError::Internal("naming a private file")),
    };
    let mut name = path
        .file_name()
        .map(std::ffi::OsStr::to_os_string)
        .unwrap_or_default();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = dir.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary).map_err(&doing)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(&doing)?;
    drop(file);
    std::fs::rename(&temporary, path).map_err(&doing)?;
    #[cfg(unix)]
    File::open(dir).and_then(|d| d.sync_all()).map_err(&doing)?;
    Ok(())
}

/// Overwrites and deletes a small file. Missing is fine: destroying twice is one destruction.
///
/// # Errors
/// [`EngineError::Io`] when it is still there.
pub fn shred(path: &Path) -> Result<(), EngineError> {
    let doing = EngineError::io("destroying a key file");
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(doing(e)),
        Ok(m) => {
            // On a copying file system this leaves the old blocks; the databases' keys are gone with DK all the same.
            if let Ok(mut f) = OpenOptions::new().write(true).open(path) {
                let zeros = vec![0; usize::try_from(m.len()).unwrap_or(0)];
                f.write_all(&zeros).and_then(|()| f.sync_all()).map_err(&doing)?;
            }
        }
    }
    std::fs::remove_file(path).map_err(&doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_files_are_private_and_shredding_twice_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        write_private(&path, b"secret").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        shred(&path).unwrap();
        shred(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn one_program_holds_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let p = Profile::at(dir.path()).unwrap();
        let held = p.take_link().unwrap();
        assert!(held.is_some());
        assert!(p.take_link().unwrap().is_none());
        drop(held);
        assert!(p.take_link().unwrap().is_some());
    }

    #[test]
    fn a_profile_without_device_is_not_enrolled_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let p = Profile::at(dir.path()).unwrap();
        assert_eq!(p.read_device().unwrap(), None);
        let d = DeviceFile {
            version: PROFILE_VERSION + 1,
            server: "https://localhost:1".into(),
            device: "d".into(),
            name: "n".into(),
            ward: "ED".into(),
            site: false,
            server_key: String::new(),
            demo: false,
            revoked: false,
        };
        p.write_device(&d).unwrap();
        assert!(matches!(p.read_device(), Err(EngineError::Unsafe(_))));
        std::fs::write(p.device_json(), b"{").unwrap();
        assert!(matches!(p.read_device(), Err(EngineError::Usage(_))));
    }
}
