//! The tree over all audit chains: every row becomes a leaf, a signed checkpoint fixes them, witnesses keep copies.
//!
//! Lives here: [`Tree`], one turn of its work, the comparison that comes before it. Never here: the tree's mathematics
//! (`vitrine_access::tree`), files ([`disk`]), witnesses ([`witness`]). Called by `jobs::tree`, by `audit` and `doctor`.
//!
//! Whoever owns database and disk can write a chain anew with every hash in it, and this log too. What they cannot do is
//! take back what a witness has. Each server of a cluster keeps a log of its own of all chains it can read.

pub mod check;
pub mod disk;
pub mod witness;

use crate::cli::acts::operator_request;
use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::keys::{self, Keys};
use crate::ops::metrics::Metrics;
use disk::{Disk, NewRow};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::{Head, Verifier};
use vitrine_access::tree::book::{Compare, Why};
use vitrine_access::tree::note::Checkpoint;
use vitrine_access::{Permit, policy};
use vitrine_clinical::UtcMs;
use vitrine_store::{Store, StoreError};
use witness::Kept;

/// Rows read at a time.
const STEP: usize = 2000;
/// Leaves of one checkpoint at most.
const BATCH: usize = 8192;

/// Why the log does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// A row is not what the log has, or does not continue its chain.
    #[error("row {seq} of chain {chain} {why}")]
    Row {
        /// The chain.
        chain: String,
        /// The first bad row.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Its own files cannot be read or written, or are not what was signed.
    #[error("{0}")]
    Files(String),
    /// The store did not answer: that is no fault of the log, it waits.
    #[error("the store does not answer: {0}")]
    Store(String),
}

impl TreeFault {
    fn row(chain: &str, (seq, why): (u64, Why)) -> Self {
        Self::Row {
            chain: chain.to_owned(),
            seq,
            why: why.to_string(),
        }
    }
    /// Chain and row, where it is one.
    #[must_use]
    pub fn first_bad(&self) -> Option<(&str, u64)> {
        match self {
            Self::Row { chain, seq, .. } => Some((chain, *seq)),
            _ => None,
        }
    }
}

/// How the log stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Rows in it.
    pub size: u64,
    /// Why it is stopped.
    pub fault: Option<String>,
}

/// The log of this server.
pub struct Tree {
    folder: PathBuf,
    node: String,
    keys: Arc<Keys>,
    metrics: Arc<Metrics>,
    disk: Arc<Mutex<Option<Disk>>>,
    standing: Mutex<Standing>,
    witnesses: Vec<Kept>,
    /// One turn at a time.
    turning: tokio::sync::Mutex<()>,
}

impl Tree {
    /// The log of a data folder; nothing is opened before the first turn.
    #[must_use]
    pub fn new(dir: &DataDir, config: &Config, keys: Arc<Keys>, metrics: Arc<Metrics>) -> Self {
        Self {
            folder: dir.audit_tree(),
            node: config.database.node.clone(),
            keys,
            metrics,
            disk: Arc::default(),
            standing: Mutex::default(),
            witnesses: config.audit.witness.iter().cloned().map(Kept::new).collect(),
            turning: tokio::sync::Mutex::default(),
        }
    }
    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// Notes how it stands.
    pub fn note(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
    /// Who keeps copies.
    #[must_use]
    pub fn witnesses(&self) -> &[Kept] {
        &self.witnesses
    }

    /// The newest checkpoint: when it was signed, and what it says.
    ///
    /// # Errors
    /// [`TreeFault::Files`].
    pub async fn newest(&self) -> Result<Option<(UtcMs, Checkpoint)>, TreeFault> {
        let held = self.with(|disk, keys| {
            let public = keys.public();
            let open =
                |note: &str| Checkpoint::open(note, &public, |m, s| keys::verifies(&public, m, s)).ok();
            Ok(disk
                .newest()
                .and_then(open)
                .zip(disk.newest_at().map(str::to_owned)))
        });
        Ok(held.await?.and_then(|(checkpoint, at)| {
            let at = at.parse::<jiff::Timestamp>().ok()?;
            Some((UtcMs(at.as_millisecond()), checkpoint))
        }))
    }

    /// Works on the files, opening them where they are not. After a failure they are opened anew the next time.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Disk, &Keys) -> Result<T, TreeFault> + Send + 'static,
    ) -> Result<T, TreeFault> {
        let (disk, keys) = (self.disk.clone(), self.keys.clone());
        let (folder, node) = (self.folder.clone(), self.node.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut held = disk.lock().unwrap_or_else(PoisonError::into_inner);
            let mut open = match held.take() {
                Some(open) => open,
                None => Disk::open(&folder, &node, &keys)?,
            };
            let done = work(&mut open, &keys)?;
            *held = Some(open);
            Ok(done)
        });
        done.await.map_err(|e| TreeFault::Files(e.to_string()))?
    }

    /// One turn: compares what the log has with the chains, appends what is new, signs, hands on. A fault stops it
    /// before anything is written, raises the alarm once and is given; a store that does not answer is tried again.
    pub async fn turn(&self, store: &dyn Store) -> Option<TreeFault> {
        let _one = self.turning.lock().await;
        let end = self.take_in(store).await;
        let size = self.with(|disk, _| Ok(disk.size())).await;
        let before = self.standing();
        let fault = match end {
            Ok(()) => None,
            Err(TreeFault::Store(why)) => {
                tracing::debug!(why, "the audit log's tree waits");
                self.hand_on().await;
                return Some(TreeFault::Store(why));
            }
            Err(fault) => Some(fault),
        };
        let text = fault.as_ref().map(ToString::to_string);
        if let Some(text) = text.as_ref().filter(|t| before.fault.as_ref() != Some(t)) {
            tracing::error!(fault = %text, "the audit log's tree is stopped");
            self.metrics.alarm();
            self.write_down(text);
        }
        self.note(Standing {
            size: size.unwrap_or(before.size),
            fault: text,
        });
        self.hand_on().await;
        fault
    }

    async fn hand_on(&self) {
        for witness in &self.witnesses {
            witness.bring_up(self).await;
        }
    }

    /// The evidence of a fault stays when it is gone.
    fn write_down(&self, text: &str) {
        let line = json!({"at": clock::instant(clock::now()), "fault": text}).to_string() + "\n";
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.folder.join("faults"));
        if let Err(e) = file.and_then(|mut f| f.write_all(line.as_bytes()).and_then(|()| f.sync_all())) {
            tracing::warn!(error = %e, "the fault could not be written down");
        }
    }

    async fn take_in(&self, store: &dyn Store) -> Result<(), TreeFault> {
        // While no primary answers, a replica that may be behind does.
        if store.writable().is_some_and(|w| !*w.borrow()) {
            return Err(TreeFault::Store("it can only be read just now".to_owned()));
        }
        let known = self.with(|disk, _| Ok(disk.heads().clone())).await?;
        let permit = permit()?;
        let heads = store.heads().await.map_err(|e| of_store("server", e))?;
        let now: BTreeMap<&str, &Head> = heads.iter().map(|(c, h)| (c.as_str(), h)).collect();
        for (chain, head) in &known {
            let same = match now.get(chain.as_str()) {
                Some(h) if h.seq == head.seq => h.hash == head.hash,
                Some(h) if h.seq > head.seq => {
                    let row = store.rows(&permit, chain, head.seq - 1, 1).await;
                    let row = row.map_err(|e| of_store(chain, e))?;
                    row.first()
                        .is_some_and(|r| r.row.seq == head.seq && r.row.hash == head.hash)
                }
                _ => false,
            };
            if !same {
                return Err(self.name(store, &permit, chain, head).await?);
            }
        }
        loop {
            let known = self.with(|disk, _| Ok(disk.heads().clone())).await?;
            let mut room = BATCH;
            let mut new: Vec<(String, Vec<NewRow>)> = Vec::new();
            for (chain, head) in &heads {
                let from = known.get(chain).copied().unwrap_or(Head::EMPTY);
                if head.seq > from.seq && room > 0 {
                    let rows = new_rows(store, &permit, chain, from, head, room).await?;
                    room -= rows.len().min(room);
                    new.push((chain.clone(), rows));
                }
            }
            if new.is_empty() {
                return Ok(());
            }
            self.with(move |disk, keys| disk.append(&new, keys)).await?;
        }
    }

    /// Names the first row of a chain that is not what the log has.
    async fn name(
        &self,
        store: &dyn Store,
        permit: &Permit<ReadAudit>,
        chain: &str,
        head: &Head,
    ) -> Result<TreeFault, TreeFault> {
        let book = self.with(|disk, _| disk.book()).await?;
        let mut compare = Compare::new(&book, chain);
        let mut after = 0;
        loop {
            let rows = store.rows(permit, chain, after, STEP).await;
            let rows = rows.map_err(|e| of_store(chain, e))?;
            let Some(last) = rows.last().map(|r| r.row.seq) else {
                break;
            };
            for r in rows {
                if let Err(bad) = compare.push(r.row.seq, &r.row.hash) {
                    return Ok(TreeFault::row(chain, bad));
                }
            }
            after = last;
        }
        Ok(match compare.finish() {
            Err(bad) => TreeFault::row(chain, bad),
            Ok(()) => TreeFault::Row {
                chain: chain.to_owned(),
                seq: head.seq,
                why: "is as the log has it, but the head kept of the chain is not".to_owned(),
            },
        })
    }
}

/// Reads rows of its own server for the log. Nobody is shown anything: bodies are hashed and dropped, as when rows are
/// handed on from the spool, so this reading has no audit row; else each minute's row would be the next minute's work.
fn permit() -> Result<Permit<ReadAudit>, TreeFault> {
    policy::decide(operator_request("vitrine-server")).map_err(|d| TreeFault::Store(d.text.to_owned()))
}

fn of_store(chain: &str, e: StoreError) -> TreeFault {
    match e {
        StoreError::Chain(f) => TreeFault::Row {
            chain: chain.to_owned(),
            seq: f.first_bad(),
            why: f.to_string(),
        },
        other => TreeFault::Store(other.to_string()),
    }
}

/// Rows after `from`, each verified, at most about `most`.
async fn new_rows(
    store: &dyn Store,
    permit: &Permit<ReadAudit>,
    chain: &str,
    from: Head,
    head: &Head,
    most: usize,
) -> Result<Vec<NewRow>, TreeFault> {
    let mut verifier = Verifier::from(from, None);
    let (mut after, mut out) = (from.seq, Vec::new());
    while after < head.seq && out.len() < most {
        let rows = store.rows(permit, chain, after, STEP.min(most)).await;
        let rows = rows.map_err(|e| of_store(chain, e))?;
        if rows.is_empty() {
            return Err(TreeFault::row(chain, (after + 1, Why::Missing)));
        }
        for r in rows {
            verifier.push(&r.row).map_err(|f| of_store(chain, f.into()))?;
            after = r.row.seq;
            out.push((r.row.seq, r.row.hash));
        }
    }
    Ok(out)
}
