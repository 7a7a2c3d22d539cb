//! `verify-backup`: a backup is put back into a scratch folder and read to the last byte; the result is signed.
//!
//! Lives here: what is checked, the signed result, reading it again. Never here: the container's bytes (`container`),
//! restoring (`backup`). Called by `cli::copies` and `doctor`.
//!
//! The result is signed with the server's own key, so that a job that only says it ran can be told from one that did.
//! `signature` is Ed25519 over [`LABEL`] and the exact text of `verification`.

use crate::clock;
use crate::data_dir::{self, DataDir};
use crate::error::{Exit, Fault};
use crate::keys::{Keys, check_signed};
use crate::ops::backup::{self, Scratch};
use crate::ops::container;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use vitrine_store::pack::PackFolders;
use vitrine_store::tiers::{PacksOf, Tier};
use vitrine_store::{LogMark, RowCheck, StoreError, Tiers as _};
use vitrine_store_sqlcipher::redo::{self, Position};
use vitrine_store_sqlcipher::{Key, SqlcipherStore};

/// What stands before the signed text.
const LABEL: &[u8] = b"vitrine backup verification 1\n";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The backup's path.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the whole file, hex; empty when it cannot be read.
    pub sha256: String,
    /// When the backup was made, FHIR instant; none when its manifest cannot be read.
    pub made: Option<String>,
    /// When it was checked, FHIR instant.
    pub at: String,
    /// Program version that checked.
    pub version: String,
    /// Nothing is wrong.
    pub whole: bool,
    /// One sentence per fault, each naming the part.
    pub faults: Vec<String>,
    /// Bodies read against their hashes.
    pub rows: Option<RowCheck>,
    /// Rows of the server's audit chain, each verified.
    pub audit_rows: u64,
    /// Chains of workstations verified.
    pub device_chains: u64,
    /// Tables whose counts were compared with the manifest.
    pub tables: u64,
    /// The redo log that goes on from this backup, rolled forward to its end and checked like the backup itself; none
    /// when there is none, or when it was let go of by age.
    pub redo: Option<RedoCheck>,
    /// Packs that the database refers to, each read to its last byte where it lies.
    #[serde(default)]
    pub packs: u64,
    /// Milliseconds it took.
    pub took_ms: u64,
}

/// What was read of the redo log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedoCheck {
    /// Commits after the backup.
    pub commits: u64,
    /// Segments read.
    pub segments: u32,
    /// The last of them, FHIR instant.
    pub last: Option<String>,
}

/// The redo log that may go on from a backup.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its folder.
    pub folder: PathBuf,
    /// A server is writing to it.
    pub live: bool,
}

/// The file beside the backup.
#[derive(Debug, Serialize, Deserialize)]
struct Signed {
    verification: Box<RawValue>,
    key: String,
    signature: String,
}

/// Where the result of a backup lies: beside it.
#[must_use]
pub fn result_beside(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(".verified.json");
    PathBuf::from(name)
}

/// Where a data folder keeps its last result, for `doctor`.
#[must_use]
pub fn last_result(dir: &DataDir) -> PathBuf {
    dir.root().join("backup.verified.json")
}

/// Opens a backup and everything in it: every chunk, every file's hash, the database's pages and tables, every body
/// against its hash, every audit chain to the head in the manifest, every count. Writes the signed result beside it
/// and, for a data folder, into the folder. Gives the result; `whole` says whether anything is wrong.
///
/// # Errors
/// [`Fault`] when the check cannot be made at all: no room for the scratch folder, a key that does not fit.
pub async fn verify(
    from: &Path,
    key: &[u8; 32],
    data: Option<&DataDir>,
    log: Option<Log>,
    packs: Option<PackFolders>,
) -> Result<Verification, Fault> {
    let began = clock::steady();
    let mut v = Verification {
        file: from.display().to_string(),
        bytes: 0,
        sha256: String::new(),
        made: None,
        at: clock::instant(clock::now()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        whole: false,
        faults: Vec::new(),
        rows: None,
        audit_rows: 0,
        device_chains: 0,
        tables: 0,
        redo: None,
        packs: 0,
        took_ms: 0,
    };
    let scratch = Scratch::beside(from)?;
    let own = match data {
        Some(dir) => Some(Keys::open(dir, &crate::config::Tls::default(), None)?),
        None => None,
    };
    let inside = match check(from, key, &scratch, log, packs, &mut v).await {
        Ok(keys) => Some(keys),
        // What a fault of the file itself says is the result; anything else keeps it from being checked.
        Err(fault) if fault.exit != Exit::Usage && !fault.disk => {
            v.faults.push(fault.text);
            None
        }
        Err(fault) => return Err(fault),
    };
    v.whole = v.faults.is_empty();
    v.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(keys) = own.as_ref().or(inside.as_ref()) {
        let text = signed(&v, keys)?;
        data_dir::write_durably(&result_beside(from), &text, 0o600)?;
        if let Some(dir) = data {
            data_dir::write_durably(&last_result(dir), &text, 0o600)?;
        }
    }
    Ok(v)
}

/// Everything that can be wrong goes into `v.faults`, or is the error when nothing after it can be read.
async fn check(
    from: &Path,
    key: &[u8; 32],
    scratch: &Scratch,
    log: Option<Log>,
    packs: Option<PackFolders>,
    v: &mut Verification,
) -> Result<Keys, Fault> {
    if !from.exists() {
        return Err(Fault::unsafe_to(format!("{} is missing", from.display())));
    }
    let described = {
        let from = from.to_owned();
        let done = tokio::task::spawn_blocking(move || container::describe(&from, ""));
        done.await.map_err(|e| Fault::failed(e.to_string()))??
    };
    (v.bytes, v.sha256) = (described.bytes, described.sha256);
    let manifest = backup::unpack(from, key, scratch.path()).await?;
    v.made = Some(manifest.created.clone());
    let dir = DataDir::open(scratch.path(), false)?;
    let keys = Keys::open(&dir, &crate::config::Tls::default(), None)?;
    let mark = manifest.contents.as_ref().and_then(|c| c.log.clone());
    if let (Some(mark), Some(log)) = (mark, log) {
        check_log(&dir, &keys, &mark, log, packs.clone(), v).await?;
    }
    let store = backup::open_copy(dir.database(), keys.database.clone(), packs.clone()).await?;
    check_packs(&store, packs.is_some(), v).await?;
    let (rows, audit) = check_store(&store, "vitrine.db", v).await?;
    v.rows = Some(rows);
    (v.audit_rows, v.device_chains) = audit;
    if let Some(made) = &manifest.contents {
        let found = store.contents().await?;
        v.faults.extend(
            made.differences(&found)
                .into_iter()
                .map(|d| format!("vitrine.db: {d}")),
        );
        v.tables = made.rows.len() as u64;
    }
    Ok(keys)
}

/// Every pack the copy refers to, where it lies: a backup holds none of them.
async fn check_packs(store: &SqlcipherStore, known: bool, v: &mut Verification) -> Result<(), Fault> {
    let used = store.packs(PacksOf::All).await?;
    v.packs = used.iter().filter(|p| p.tier != Tier::Hot).count() as u64;
    if v.packs > 0 && !known {
        v.faults.push(format!(
            "{} packs that this backup relies on were not looked at: name the data folder with --data, with the packs in their place",
            v.packs
        ));
        return Ok(());
    }
    v.faults.extend(store.check_packs(true).await?);
    Ok(())
}

/// Pages, tables, bodies and chains of a store; gives the bodies read, and rows and chains of audit.
async fn check_store(
    store: &SqlcipherStore,
    name: &str,
    v: &mut Verification,
) -> Result<(RowCheck, (u64, u64)), Fault> {
    let mut faults = store.integrity_check().await?;
    let rows = store.check_rows().await?;
    faults.extend(rows.faults.iter().cloned());
    let audit = match SqlcipherStore::verify_audit(store).await {
        Ok(report) => (report.rows, report.devices.len() as u64),
        Err(e) => {
            faults.push(e.to_string());
            (0, 0)
        }
    };
    v.faults
        .extend(faults.into_iter().map(|f| format!("{name}: {f}")));
    Ok((rows, audit))
}

/// Rolls a copy forward to the end of the log and checks it like the backup itself.
async fn check_log(
    dir: &DataDir,
    keys: &Keys,
    mark: &LogMark,
    log: Log,
    packs: Option<PackFolders>,
    v: &mut Verification,
) -> Result<(), Fault> {
    let from: Position = mark.position.parse()?;
    let folder = dir.root().join("rolled");
    data_dir::make_private_folder(&folder)?;
    let (database, copy) = (dir.database(), folder.join("vitrine.db"));
    let key = Key::new(keys.database.clone());
    let to = copy.clone();
    let done = tokio::task::spawn_blocking(move || {
        std::fs::copy(&database, &to).map_err(|e| Fault::io("cannot copy", &database, &e))?;
        Ok::<_, Fault>(redo::roll_forward(
            &log.folder,
            &key,
            &from,
            None,
            log.live,
            Some(&to),
        ))
    });
    let rolled = match done.await.map_err(|e| Fault::failed(e.to_string()))?? {
        Ok(rolled) => rolled,
        // Let go of by age, together with the moments it served.
        Err(StoreError::Refused(_)) => return Ok(()),
        Err(StoreError::Damaged(what)) => {
            v.faults.push(format!("redo log: {what}"));
            return Ok(());
        }
        Err(e) => return Err(e.into()),
    };
    let store = backup::open_copy(copy, keys.database.clone(), packs).await?;
    check_store(&store, "vitrine.db rolled forward", v).await?;
    drop(store);
    let _ = std::fs::remove_dir_all(&folder);
    v.redo = Some(RedoCheck {
        commits: rolled.commits,
        segments: rolled.segments,
        last: rolled.last.map(clock::instant),
    });
    Ok(())
}

fn signed(v: &Verification, keys: &Keys) -> Result<Vec<u8>, Fault> {
    let failed = |e: serde_json::Error| Fault::failed(format!("writing the result: {e}"));
    let text = serde_json::to_string(v).map_err(failed)?;
    let signature = keys.sign(&[LABEL, text.as_bytes()].concat());
    let whole = Signed {
        verification: RawValue::from_string(text).map_err(failed)?,
        key: keys.server_key_hex(),
        signature,
    };
    let mut out = serde_json::to_vec(&whole).map_err(failed)?;
    out.push(b'\n');
    Ok(out)
}

/// Reads a result and checks its signature against the server's key (hex).
///
/// # Errors
/// [`Fault`] with exit 3 when it was not signed by that key or was changed.
pub fn read_result(path: &Path, server_key: &str) -> Result<Verification, Fault> {
    let bytes = std::fs::read(path).map_err(|e| Fault::io("cannot read", path, &e))?;
    let bad = |why: &str| Fault::unsafe_to(format!("{}: {why}", path.display()));
    let whole: Signed =
        serde_json::from_slice(&bytes).map_err(|_| bad("this is no result of verify-backup"))?;
    let message = [LABEL, whole.verification.get().as_bytes()].concat();
    check_signed(&message, &whole.key, &whole.signature, server_key).map_err(bad)?;
    serde_json::from_str(whole.verification.get()).map_err(|_| bad("it is of another version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_was_changed_or_signed_by_another_is_refused() {
        let t = tempfile::tempdir().unwrap();
        let keys = |name: &str| {
            let dir = DataDir::open(&t.path().join(name), true).unwrap();
            Keys::open(&dir, &crate::config::Tls::default(), None).unwrap()
        };
        let (ours, theirs) = (keys("a"), keys("b"));
        let v = Verification {
            file: "b.vtbk".into(),
            bytes: 1,
            sha256: crate::keys::hex(&[1; 32]),
            made: None,
            at: "2026-11-26T00:00:00.000Z".into(),
            version: "1".into(),
            whole: false,
            faults: vec!["chunk 1 was changed".into()],
            rows: None,
            audit_rows: 0,
            device_chains: 0,
            tables: 0,
            redo: None,
            packs: 0,
            took_ms: 1,
        };
        let path = t.path().join("r.json");
        let text = signed(&v, &ours).unwrap();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(read_result(&path, &ours.server_key_hex()).unwrap(), v);
        assert!(read_result(&path, &theirs.server_key_hex()).is_err());
        let forged = String::from_utf8(text)
            .unwrap()
            .replace("\"whole\":false", "\"whole\":true");
        std::fs::write(&path, forged).unwrap();
        let e = read_result(&path, &ours.server_key_hex()).unwrap_err();
        assert!(e.text.contains("changed after it was signed"), "{}", e.text);
    }
}
