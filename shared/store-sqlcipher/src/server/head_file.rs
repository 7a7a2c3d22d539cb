//! The sealed head of the audit chain, beside the database: it tells when rows at the end are gone.
//!
//! A chain inside a file proves that no row in the middle was touched; that the last rows are missing (a table cut
//! short, an older copy of the file put back, a WAL whose end did not verify) only something outside can tell. Two
//! slots of 512 bytes are written in turn after each commit, so that a torn write leaves the other; they are synced
//! by a thread of their own at most a second later, because a head that is a second behind costs nothing but a second
//! of what it could prove. Each slot carries a MAC under a key derived from the database key.
//! Called by the server's store alone.

use crate::cipher::{Key, io_fault};
use ring::hmac;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;
use vitrine_access::chain::Head;
use vitrine_store::StoreError;

const SLOT: u64 = 512;
const MAGIC: &[u8; 8] = b"VITRHEAD";
const CONTENT: usize = 8 + 8 + 32;
const LABEL: &str = "vitrine audit head 1";
/// A head is on the platter at most this long after its commit.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The open head file.
pub(super) struct HeadFile {
    file: File,
    key: hmac::Key,
    dirty: Arc<AtomicBool>,
    /// Dropped to end the syncing thread.
    open: Option<mpsc::Sender<()>>,
    syncer: Option<JoinHandle<()>>,
}

/// Reads the newest valid head of a file; `None` when there is no file or no slot of it verifies.
pub(super) fn read(path: &Path, key: &Key) -> Result<Option<Head>, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_fault("reading the sealed audit head", &e)),
    }
    let key = key.derive(LABEL);
    let slots = [0, SLOT as usize]
        .into_iter()
        .filter_map(|at| slot(&key, bytes.get(at..)?));
    Ok(slots.max_by_key(|h| h.seq))
}

fn slot(key: &hmac::Key, bytes: &[u8]) -> Option<Head> {
    let (content, rest) = bytes.split_at_checked(CONTENT)?;
    hmac::verify(key, content, rest.get(..32)?).ok()?;
    let rest = content.strip_prefix(MAGIC)?;
    let (seq, hash) = rest.split_first_chunk::<8>()?;
    Some(Head {
        seq: u64::from_be_bytes(*seq),
        hash: hash.try_into().ok()?,
    })
}

impl HeadFile {
    /// Opens the file for writing and starts its syncing thread.
    pub(super) fn open(path: &Path, key: &Key) -> Result<Self, StoreError> {
        let doing = "opening the sealed audit head";
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| io_fault(doing, &e))?;
        let syncing = file.try_clone().map_err(|e| io_fault(doing, &e))?;
        let (open, closed) = mpsc::channel();
        let dirty = Arc::new(AtomicBool::new(false));
        let watched = dirty.clone();
        let syncer = std::thread::Builder::new()
            .name("audit-head-sync".to_owned())
            .spawn(move || sync_behind(&syncing, &closed, &watched))
            .map_err(|e| io_fault(doing, &e))?;
        Ok(Self {
            file,
            key: key.derive(LABEL),
            dirty,
            open: Some(open),
            syncer: Some(syncer),
        })
    }

    /// Writes a head into its slot. A failure is logged, not returned: the commit it speaks of has happened.
    pub(super) fn write(&mut self, head: &Head) {
        let mut bytes = Vec::with_capacity(CONTENT + 32);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&head.seq.to_be_bytes());
        bytes.extend_from_slice(&head.hash);
        let mac = hmac::sign(&self.key, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        let at = SeekFrom::Start(head.seq % 2 * SLOT);
        if let Err(e) = self.file.seek(at).and_then(|_| self.file.write_all(&bytes)) {
            tracing::error!(error = %e, "the sealed audit head was not written");
        }
        self.dirty.store(true, Ordering::Release);
    }

    /// Empties the file: after a restore the chain goes on from an earlier row.
    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
        let done = self.file.set_len(0).and_then(|()| self.file.sync_all());
        done.map_err(|e| io_fault("emptying the sealed audit head", &e))
    }
}

impl Drop for HeadFile {
    fn drop(&mut self) {
        self.open = None;
        if let Some(syncer) = self.syncer.take() {
            let _ = syncer.join();
        }
    }
}

/// Ends, after a last sync, when the other end of `open` is dropped.
fn sync_behind(file: &File, open: &mpsc::Receiver<()>, dirty: &AtomicBool) {
    loop {
        let closed = open.recv_timeout(SYNC_EVERY) == Err(RecvTimeoutError::Disconnected);
        if dirty.swap(false, Ordering::AcqRel)
            && let Err(e) = file.sync_data()
        {
            tracing::error!(error = %e, "the sealed audit head was not synced");
        }
        if closed {
            return;
        }
    }
}

/// Where the head file and what is set aside of it lie.
pub(super) fn path_beside(database: &Path) -> PathBuf {
    database.with_file_name("audit.head")
}

/// The head that knew more rows than the database had when it was opened; kept until a restore is acknowledged.
pub(super) fn evidence_beside(database: &Path) -> PathBuf {
    database.with_file_name("audit.head.evidence")
}
