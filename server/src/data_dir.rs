//! The data folder: where each file lies, who may read it, and that one process at a time works in it.
//!
//! Lives here: paths, permissions, the lock, durable writes of small files. Never here: what the files mean.
//! Called by `cli`, `keys` and `ops`.

use crate::error::Fault;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A data folder.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Held while a process works in the folder; the operating system lets go of it when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// The folder, made (0700) when `create` says so.
    ///
    /// # Errors
    /// [`Fault`] naming the folder and the fix.
    pub fn open(root: &Path, create: bool) -> Result<Self, Fault> {
        if root.exists() && !root.is_dir() {
            return Err(Fault::usage(format!(
                "--data {} is a file: name a folder",
                root.display()
            )));
        }
        if !root.exists() {
            if !create {
                return Err(Fault::usage(format!(
                    "--data {} does not exist: run 'vitrine-server serve' or 'vitrine-server demo' there first",
                    root.display()
                )));
            }
            make_private_folder(root)?;
        }
        let root = root
            .canonicalize()
            .map_err(|e| Fault::io("the data folder", root, &e))?;
        Ok(Self { root })
    }

    /// Refuses a folder in which nothing was set up yet.
    ///
    /// # Errors
    /// [`Fault`] naming the folder and the fix.
    pub fn must_be_set_up(&self) -> Result<(), Fault> {
        if self.keys().join("db.key").exists() {
            return Ok(());
        }
        Err(Fault::usage(format!(
            "{} holds no Vitrine data: run 'vitrine-server serve --data {}' once, or name another folder",
            self.root.display(),
            self.root.display()
        )))
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("vitrine.db")
    }
    /// Folder of the key files (0700, files 0600).
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }
    /// Folder of the audit log's tree (0700, files 0600).
    #[must_use]
    pub fn audit_tree(&self) -> PathBuf {
        self.root.join("audit-tree")
    }
    /// How far the audit repository has the audit log.
    #[must_use]
    pub fn audit_repository(&self) -> PathBuf {
        self.root.join("audit-repository.json")
    }
    /// The CA certificate, for workstations and browsers.
    #[must_use]
    pub fn ca_pem(&self) -> PathBuf {
        self.root.join("ca.pem")
    }
    /// The server's own certificate.
    #[must_use]
    pub fn tls_pem(&self) -> PathBuf {
        self.root.join("tls.pem")
    }
    /// The socket through which the command line reaches a running server.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }
    /// The configuration read when `--config` names none.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("vitrine.toml")
    }
    /// Says which store holds the record, where it is not the embedded one.
    fn store_mark(&self) -> PathBuf {
        self.root.join("store")
    }
    /// Whether the record lies in PostgreSQL.
    #[must_use]
    pub fn is_in_postgres(&self) -> bool {
        fs::read_to_string(self.store_mark()).is_ok_and(|s| s.trim() == "postgres")
    }
    /// Notes that the record lies in PostgreSQL.
    ///
    /// # Errors
    /// [`Fault`] when the mark cannot be written.
    pub fn mark_in_postgres(&self) -> Result<(), Fault> {
        write_durably(&self.store_mark(), b"postgres\n", 0o644)
    }
    fn demo_mark(&self) -> PathBuf {
        self.root.join("DEMO")
    }

    /// Whether the folder is marked as demonstration.
    #[must_use]
    pub fn is_demo(&self) -> bool {
        self.demo_mark().exists()
    }
    /// Marks it as demonstration.
    ///
    /// # Errors
    /// [`Fault`] when the mark cannot be written.
    pub fn mark_demo(&self) -> Result<(), Fault> {
        write_durably(
            &self.demo_mark(),
            b"This folder holds the synthetic hospital. Its credentials are public. Never point real staff at it.\n",
            0o644,
        )
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`Fault`] that says which process has it.
    pub fn lock(&self) -> Result<Lock, Fault> {
        self.try_lock()?.ok_or_else(|| {
            let who = fs::read_to_string(self.root.join("lock")).unwrap_or_default();
            let who = if who.trim().is_empty() {
                "another process".to_owned()
            } else {
                who.trim().to_owned()
            };
            Fault::usage(format!(
                "{} is in use by {who}: wait for it to end, or stop it, then try again",
                self.root.display()
            ))
        })
    }

    /// Takes the folder for this process, or `None` when another has it.
    ///
    /// # Errors
    /// [`Fault`] when the lock file cannot be used at all.
    pub fn try_lock(&self) -> Result<Option<Lock>, Fault> {
        let path = self.root.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| Fault::io("cannot open the lock file", &path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(Fault::io("cannot lock", &path, &e)),
        }
        let act = std::env::args().nth(1).unwrap_or_default();
        let act: String = act.chars().filter(char::is_ascii_alphanumeric).collect();
        let _ = file.set_len(0);
        let _ = write!(file, "process {} (vitrine-server {act})", std::process::id());
        Ok(Some(Lock { _file: file }))
    }
}

/// Makes a folder only its owner may enter.
///
/// # Errors
/// [`Fault`] naming the folder.
pub fn make_private_folder(path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).map_err(|e| Fault::io("cannot make the folder", path, &e))?;
    set_mode(path, 0o700)
}

/// Writes a small file so that after a power cut it is there whole or not at all.
///
/// # Errors
/// [`Fault`] naming the file.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
    let fault = |e: &std::io::Error| Fault::io("cannot write", path, e);
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(&part).map_err(|e| fault(&e))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| fault(&e))?;
    drop(file);
    fs::rename(&part, path).map_err(|e| fault(&e))?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|d| d.sync_all())
            .map_err(|e| fault(&e))?;
    }
    Ok(())
}

/// Reads a secret file and refuses one that others may read.
///
/// # Errors
/// [`Fault`] naming the file and the fix.
pub fn read_private(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut file = File::open(path).map_err(|e| Fault::io("cannot read", path, &e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file
            .metadata()
            .map_err(|e| Fault::io("cannot read", path, &e))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(Fault::unsafe_to(format!(
                "{} can be read by others (mode {:o}): run 'chmod 600 {}'",
                path.display(),
                mode & 0o777,
                path.display()
            )));
        }
    }
    let mut out = Vec::new();
    file.read_to_end(&mut out)
        .map_err(|e| Fault::io("cannot read", path, &e))?;
    Ok(out)
}

#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), Fault> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|e| Fault::io("cannot set rights of", path, &e))
}
#[cfg(not(unix))]
pub(crate) fn set_mode(_: &Path, _: u32) -> Result<(), Fault> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_cannot_hold_one_folder() {
        let t = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&t.path().join("data"), true).unwrap();
        let held = dir.lock().unwrap();
        let refused = dir.lock().unwrap_err();
        assert!(refused.text.contains("is in use by process"), "{}", refused.text);
        drop(held);
        dir.lock().unwrap();
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("db.key");
        write_durably(&path, b"k", 0o644).unwrap();
        set_mode(&path, 0o644).unwrap();
        let refused = read_private(&path).unwrap_err();
        assert_eq!(refused.exit, crate::error::Exit::Unsafe);
        assert!(refused.text.contains("chmod 600"));
        set_mode(&path, 0o600).unwrap();
        assert_eq!(read_private(&path).unwrap(), b"k");
    }

    #[test]
    fn a_folder_without_data_says_how_to_begin() {
        let t = tempfile::tempdir().unwrap();
        let fault = DataDir::open(&t.path().join("nowhere"), false).unwrap_err();
        assert!(fault.text.contains("does not exist: run"));
        assert!(
            DataDir::open(t.path(), false)
                .unwrap()
                .must_be_set_up()
                .unwrap_err()
                .text
                .contains("holds no Vitrine data")
        );
    }
}
