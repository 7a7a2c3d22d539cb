//! The audit log to a repository of the hospital: every row as a message of ITI-20, over TLS (RFC 5425), in order.
//!
//! Lives here: [`Repository`], the place up to which rows are there, one turn of the work. Never here: what a message says
//! (`ops::forms::atna`), the connection ([`line`]). Called by `jobs::repository`.
//!
//! Nothing is lost and nothing waits: rows are in the log before they are sent, and what is not there yet stays in the log. A
//! row may come twice. Each row has its chain and number in its message, so that a receiver can tell.

pub mod line;

use crate::clock;
use crate::config;
use crate::data_dir::{self, DataDir};
use crate::error::Fault;
use crate::keys::hex;
use crate::ops::forms::{Known, atna};
use crate::ops::metrics::{Gauge, Metrics};
use line::Line;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::Head;
use vitrine_access::{Disclosure, Permit, policy};
use vitrine_clinical::UtcMs;
use vitrine_store::audit_find::{FoundRow, read};
use vitrine_store::{AuditChainRow, Store, StoreError};

/// Rows of one connection, at most.
const BATCH: usize = 500;

/// How far rows of one chain are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    seq: u64,
    /// Hash of that row, hex: a chain that was written anew begins again.
    hash: String,
}

impl Mark {
    fn of(head: &Head) -> Self {
        Self {
            seq: head.seq,
            hash: hex(&head.hash),
        }
    }
}

/// What is kept in the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Place {
    /// Which repository it is about: another one gets everything.
    to: String,
    /// When last nothing was missing there, ms since 1970 UTC.
    caught_up: Option<i64>,
    /// The last rows that went out.
    sent: BTreeMap<String, Mark>,
    /// The same before the newest connection. RFC 5425 has no receipts: when the next connection fails, the receiver may have
    /// died with what the last one brought, and that is sent again.
    before: BTreeMap<String, Mark>,
}

/// How it stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Rows that are not there.
    pub missing: u64,
    /// When last nothing was missing.
    pub caught_up: Option<UtcMs>,
    /// Why the last connection failed.
    pub error: Option<String>,
}

/// A repository, and how far it is.
pub struct Repository {
    to: String,
    line: Line,
    file: PathBuf,
    names: (String, String),
    began: UtcMs,
    standing: Mutex<Standing>,
    /// The row that says that rows leave is written.
    told: AtomicBool,
    /// One turn at a time.
    turning: tokio::sync::Mutex<()>,
    metrics: Arc<Metrics>,
}

/// Why a turn ended early.
enum Stopped {
    /// The log could not be read, or the place not kept.
    Here(String),
    /// The repository did not take rows.
    There(String),
}

impl From<StoreError> for Stopped {
    fn from(e: StoreError) -> Self {
        Self::Here(e.to_string())
    }
}

impl Repository {
    /// The one that is configured.
    ///
    /// # Errors
    /// [`Fault`] naming the file that cannot be used.
    pub fn open(
        dir: &DataDir,
        config: &config::Config,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>, Fault> {
        let said = &config.audit.repository;
        if said.to.is_empty() {
            return Ok(None);
        }
        let names = (config.database.node.clone(), config.listen.public_url.clone());
        Ok(Some(Self {
            to: said.to.clone(),
            line: Line::open(said)?,
            file: dir.audit_repository(),
            names,
            began: clock::now(),
            standing: Mutex::default(),
            told: AtomicBool::new(false),
            turning: tokio::sync::Mutex::default(),
            metrics,
        }))
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
    /// Seconds since nothing was missing there; 0 while nothing is.
    #[must_use]
    pub fn behind_s(&self) -> f64 {
        let standing = self.standing();
        if standing.missing == 0 {
            return 0.0;
        }
        let since = standing.caught_up.unwrap_or(self.began);
        #[allow(clippy::cast_precision_loss)]
        let s = clock::now().0.saturating_sub(since.0).max(0) as f64 / 1000.0;
        s
    }
    /// For Prometheus.
    #[must_use]
    pub fn gauges(&self) -> [Gauge; 2] {
        #[allow(clippy::cast_precision_loss)]
        let missing = self.standing().missing as f64;
        [
            (
                "vitrine_audit_repository_behind_seconds",
                "For how long rows of the audit log have been missing at the audit repository",
                String::new(),
                self.behind_s(),
            ),
            (
                "vitrine_audit_repository_missing_rows",
                "Rows of the audit log that the audit repository has not got",
                String::new(),
                missing,
            ),
        ]
    }

    /// Sends whatever is missing there. False: it failed and is tried again later.
    pub async fn turn(&self, store: &dyn Store) -> bool {
        let _one = self.turning.lock().await;
        let mut place = self.kept();
        let end = self.all(store, &mut place).await;
        let before = self.standing();
        let error = match end {
            Ok(()) => None,
            Err(Stopped::Here(why)) => Some(why),
            Err(Stopped::There(why)) => {
                if place.sent != place.before {
                    place.sent.clone_from(&place.before);
                    if let Err(Stopped::Here(e) | Stopped::There(e)) = self.keep(&place) {
                        tracing::error!(error = %e, "the rows of the last connection may be missing at the audit repository: they are not sent again");
                        self.metrics.alarm();
                    }
                }
                Some(why)
            }
        };
        if let Some(why) = error.as_ref().filter(|w| before.error.as_ref() != Some(w)) {
            tracing::warn!(to = %self.to, error = %why, "rows of the audit log wait for their repository");
        }
        let missing = match store.heads().await {
            Ok(heads) => missing(&heads, &place),
            Err(_) => before.missing.max(1),
        };
        let fine = error.is_none();
        self.note(Standing {
            missing,
            caught_up: place.caught_up.map(UtcMs),
            error,
        });
        fine
    }

    /// The place as kept; the beginning where there is none, or one of another repository.
    fn kept(&self) -> Place {
        let kept: Option<Place> = std::fs::read(&self.file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        kept.filter(|p| p.to == self.to).unwrap_or_else(|| Place {
            to: self.to.clone(),
            ..Place::default()
        })
    }

    fn keep(&self, place: &Place) -> Result<(), Stopped> {
        let bytes = serde_json::to_vec(place).map_err(|e| Stopped::Here(e.to_string()))?;
        data_dir::write_durably(&self.file, &bytes, 0o600).map_err(|f| Stopped::Here(f.text))
    }

    async fn all(&self, store: &dyn Store, place: &mut Place) -> Result<(), Stopped> {
        // While no primary answers, a replica that may be behind does.
        if store.writable().is_some_and(|w| !*w.borrow()) {
            return Err(Stopped::Here("the store can only be read just now".to_owned()));
        }
        let permit = permit()?.noted("use", "repository").noted("to", self.to.as_str());
        if !self.told.load(Ordering::Relaxed) {
            // Once for each start: a row for each sending would be the next sending's work.
            store.append(permit.entry(Disclosure::default())).await?;
            self.told.store(true, Ordering::Relaxed);
        }
        let mut known = None;
        loop {
            let heads = store.heads().await?;
            let there = |(chain, head): &(String, Head)| {
                head.seq == 0 || place.sent.get(chain) == Some(&Mark::of(head))
            };
            if heads.iter().all(there) {
                let at = clock::now().0;
                // Written once a minute: it only says since when something is missing.
                if place.caught_up.is_none_or(|t| at.saturating_sub(t) > 60_000) {
                    place.caught_up = Some(at);
                    self.keep(place)?;
                }
                place.caught_up = Some(at);
                return Ok(());
            }
            if known.is_none() {
                known = Some(Known::of(store, &self.names.0, &self.names.1).await?);
            }
            let Some(known) = &known else { return Ok(()) };
            let (frames, now, unread) = self.next(store, &permit, known, place, heads).await;
            if frames.is_empty() {
                let why = "a chain's rows are not there: run 'vitrine-server audit verify'";
                return Err(Stopped::Here(unread.unwrap_or_else(|| why.to_owned())));
            }
            self.line.deliver(&frames).await.map_err(Stopped::There)?;
            place.before = std::mem::replace(&mut place.sent, now);
            self.keep(place)?;
        }
    }

    /// The next messages, framed, how far rows are there when they are, and why a chain could not be read: the others go on.
    async fn next(
        &self,
        store: &dyn Store,
        permit: &Permit<ReadAudit>,
        known: &Known,
        place: &Place,
        heads: Vec<(String, Head)>,
    ) -> (Vec<u8>, BTreeMap<String, Mark>, Option<String>) {
        let (mut frames, mut sent, mut unread) = (Vec::new(), place.sent.clone(), None);
        let mut room = BATCH;
        for (chain, head) in heads {
            if room == 0 {
                break;
            }
            if sent.get(&chain) == Some(&Mark::of(&head)) || head.seq == 0 {
                continue;
            }
            let rows = match self
                .rows(store, permit, &chain, &head, sent.get(&chain), room)
                .await
            {
                Ok(rows) => rows,
                Err(e) => {
                    unread = Some(format!("chain {chain}: {e}"));
                    continue;
                }
            };
            for r in rows {
                let (entry, at) = read(r.row.body.as_bytes());
                let row = FoundRow {
                    chain: chain.clone(),
                    seq: r.row.seq,
                    at,
                    entry,
                };
                for message in atna::messages(&row, known) {
                    line::frame(&mut frames, &message);
                }
                let mark = Mark {
                    seq: r.row.seq,
                    hash: hex(&r.row.hash),
                };
                sent.insert(chain.clone(), mark);
                room -= 1;
            }
        }
        (frames, sent, unread)
    }

    /// Rows of a chain that follow what is there. A chain that is not the one that was sent goes anew, whole.
    async fn rows(
        &self,
        store: &dyn Store,
        permit: &Permit<ReadAudit>,
        chain: &str,
        head: &Head,
        sent: Option<&Mark>,
        most: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError> {
        let Some(mark) = sent else {
            return store.rows(permit, chain, 0, most).await;
        };
        if head.seq > mark.seq {
            let rows = store.rows(permit, chain, mark.seq, most).await?;
            if rows.first().is_some_and(|r| hex(&r.row.prev) == mark.hash) {
                return Ok(rows);
            }
        }
        tracing::error!(%chain, "rows that the audit repository has are gone here or are others: the chain is sent anew");
        self.metrics.alarm();
        store.rows(permit, chain, 0, most).await
    }
}

fn missing(heads: &[(String, Head)], place: &Place) -> u64 {
    heads
        .iter()
        .map(|(chain, head)| match place.sent.get(chain) {
            Some(mark) if mark.seq > head.seq => head.seq,
            Some(mark) => head.seq - mark.seq,
            None => head.seq,
        })
        .sum()
}

/// What the configuration of the server has decided once for all; [`Repository::all`] writes it down at each start.
fn permit() -> Result<Permit<ReadAudit>, Stopped> {
    let request = crate::cli::acts::operator_request("vitrine-server");
    policy::decide(request).map_err(|d| Stopped::Here(d.text.to_owned()))
}
