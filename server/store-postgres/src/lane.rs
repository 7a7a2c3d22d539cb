//! The writing lane: what is queued is applied together in one transaction, on one connection, in order.
//!
//! Lives here: the queue, the group commit, finding out what became of a commit whose answer was lost. Never here:
//! what a batch does (`apply`), what an act does (`acts`). Called by every write of this store.
//!
//! A failing connection is not a failing write: the lane connects again (to whoever is the primary then) and finishes
//! the group, for as long as [`LaneOptions::patience`] says. Whether a commit whose answer never came took place is
//! read from the audit chain: every group that matters has a row there.

use crate::acts::{Act, Acted};
use crate::group::Group;
use crate::messages::MessageAct;
use crate::prepare::Prepared;
use crate::sql::{self, During, Fault, col, int};
use crate::vault::Vault;
use deadpool_postgres::{Object, Pool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use vitrine_access::chain::Head;
use vitrine_access::{AuditEntry, Receipt};
use vitrine_store::{Applied, Projector, StoreError};

/// Operations in one transaction at most.
const GROUP: usize = 2_000;
/// Jobs waiting at most; who comes then waits outside.
const QUEUE: usize = 4_096;
const PAUSE: Duration = Duration::from_millis(100);
const CONFLICTS: usize = 5;

/// Something to write.
pub(crate) enum Job {
    Apply(Box<Prepared>),
    Append(Box<AuditEntry>),
    Act(Box<Act>, Option<Box<AuditEntry>>),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Done {
    Applied(Applied, Receipt),
    Receipt(Receipt),
    Acted(Acted),
}

type Reply = oneshot::Sender<Result<Done, StoreError>>;
type Outcome = Result<Done, StoreError>;
type Asked = (Job, Reply);

/// How a lane writes.
#[derive(Debug, Clone)]
pub(crate) struct LaneOptions {
    /// Name of its audit chain.
    pub chain: String,
    /// How long a group is tried again while no primary can be reached.
    pub patience: Duration,
}

/// The lane's sending half; the lane ends when every one of them is gone.
#[derive(Clone)]
pub(crate) struct Lane {
    /// A group of these goes before whatever else waits.
    urgent: mpsc::Sender<Asked>,
    queue: mpsc::Sender<Asked>,
}

impl Lane {
    /// Starts a lane, on a thread of its own: deriving cards and sealing bodies must not hold up those who read. The
    /// thread ends with the queue; a panic closes the queue, which every writer sees.
    pub fn start(
        pool: Pool,
        vault: Arc<Vault>,
        projector: Arc<dyn Projector>,
        options: LaneOptions,
        announce: watch::Sender<u64>,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (urgent, hurried) = mpsc::channel(QUEUE);
        let writer = Writer {
            pool,
            vault,
            projector,
            options,
            announce,
        };
        let failed = |e: std::io::Error| StoreError::Backend {
            doing: "starting the writing lane",
            cause: e.to_string(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        std::thread::Builder::new()
            .name("postgres-lane".to_owned())
            .spawn(move || runtime.block_on(writer.serve(hurried, jobs)))
            .map_err(failed)?;
        Ok(Self { urgent, queue })
    }

    /// Queues a job and waits for its commit.
    pub async fn run(&self, job: Job) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let queue = if vitrine_store::is_urgent() {
            &self.urgent
        } else {
            &self.queue
        };
        queue.send((job, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Job {
    /// Whether it reads past what the others of a group have in memory: then it has a group of its own.
    fn alone(&self) -> bool {
        matches!(self, Self::Act(act, _) if matches!(**act, Act::Archive(_) | Act::Tier(_)))
    }

    fn weight(&self) -> usize {
        match self {
            Self::Apply(batch) => batch.ops.len().max(1),
            Self::Append(_) | Self::Act(..) => 1,
        }
    }
}

struct Writer {
    pool: Pool,
    vault: Arc<Vault>,
    projector: Arc<dyn Projector>,
    options: LaneOptions,
    announce: watch::Sender<u64>,
}

/// A group that may or may not have been committed.
enum Trial {
    Committed(Vec<Outcome>, u64),
    /// Nothing of it is in the database.
    Failed(Fault),
    /// The answer to its COMMIT did not come; this is the head it would have left.
    Unknown(Vec<Outcome>, u64, Option<Head>, Fault),
}

impl Writer {
    async fn serve(self, mut urgent: mpsc::Receiver<Asked>, mut jobs: mpsc::Receiver<Asked>) {
        loop {
            let (first, queue) = tokio::select! {
                biased;
                Some(job) = urgent.recv() => (job, &mut urgent),
                Some(job) = jobs.recv() => (job, &mut jobs),
                else => return,
            };
            let mut weight = if first.0.alone() { GROUP } else { first.0.weight() };
            let mut group = vec![first];
            let mut alone = None;
            while weight < GROUP
                && let Ok(next) = queue.try_recv()
            {
                if next.0.alone() {
                    alone = Some(next);
                    break;
                }
                weight += next.0.weight();
                group.push(next);
            }
            self.finish(group).await;
            if let Some(job) = alone {
                self.finish(vec![job]).await;
            }
        }
    }

    async fn finish(&self, group: Vec<Asked>) {
        let (jobs, replies): (Vec<Job>, Vec<Reply>) = group.into_iter().unzip();
        let refs: Vec<&Job> = jobs.iter().collect();
        let outcomes = match self.write(&refs).await {
            Ok(outcomes) => outcomes,
            // One of them is at fault: each by itself, so that the others do not suffer.
            Err(Fault::Failed(_) | Fault::Conflict(_)) if refs.len() > 1 => {
                let mut each = Vec::with_capacity(refs.len());
                for job in &refs {
                    each.push(match self.write(&[*job]).await {
                        Ok(mut one) => one.pop().unwrap_or(Err(StoreError::Closed)),
                        Err(f) => Err(f.into_error()),
                    });
                }
                each
            }
            Err(f) => {
                let e = f.into_error();
                refs.iter().map(|_| Err(e.clone())).collect()
            }
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Whoever asked may be gone; what was done stays done.
            let _ = reply.send(outcome);
        }
    }

    /// Writes a group, again where a connection or a conflict was in the way.
    async fn write(&self, jobs: &[&Job]) -> Result<Vec<Outcome>, Fault> {
        let mut waited = Duration::ZERO;
        let mut conflicts = 0;
        let mut again = false;
        loop {
            let fault = match self.trial(jobs, again).await {
                Trial::Committed(outcomes, pos) => {
                    self.tell(pos);
                    return Ok(outcomes);
                }
                Trial::Unknown(outcomes, pos, head, fault) => match self.became(head, &mut waited).await {
                    Some(true) => {
                        self.tell(pos);
                        return Ok(outcomes);
                    }
                    Some(false) => {
                        again = true;
                        fault
                    }
                    None => return Err(fault),
                },
                Trial::Failed(fault) => fault,
            };
            match fault {
                Fault::Lost(_) if waited < self.options.patience => waited += PAUSE,
                Fault::Conflict(_) if conflicts < CONFLICTS => conflicts += 1,
                fault => return Err(fault),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn tell(&self, pos: u64) {
        self.announce.send_if_modified(|known| {
            let newer = pos > *known;
            *known = pos.max(*known);
            newer
        });
    }

    /// Whether the head is in the chain; `None` when nobody could be asked in time.
    async fn became(&self, head: Option<Head>, waited: &mut Duration) -> Option<bool> {
        // A group without audit row is one of small acts that may be done twice, or know that they were (`again`).
        let Some(head) = head else {
            return Some(false);
        };
        loop {
            match self.has(head).await {
                Ok(there) => return Some(there),
                Err(Fault::Lost(_)) if *waited < self.options.patience => *waited += PAUSE,
                Err(_) => return None,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn has(&self, head: Head) -> Result<bool, Fault> {
        let doing = "looking for the last commit";
        let mut client = self.pool.get().await.during(doing)?;
        let tx = client.transaction().await.during(doing)?;
        // The old session may still be at it: its lock on the chain is waited for. And something is written, so that
        // this commit, and with it the one that is looked for, waits for the standby that the answer would have.
        let sql = "UPDATE audit_head SET seq = seq WHERE chain = $1";
        sql::run(&tx, doing, sql, &[&self.options.chain]).await?;
        let sql = "SELECT hash, set_config('statement_timeout', '0', true) FROM audit WHERE chain = $1 AND seq = $2";
        let row = sql::one(&tx, doing, sql, &[&self.options.chain, &int(head.seq)]).await?;
        let there = match row {
            Some(r) => col::<&[u8]>(&r, 0, doing)? == &head.hash[..],
            None => false,
        };
        tx.commit().await.during(doing)?;
        Ok(there)
    }

    /// `again`: the commit of an earlier try may have taken place.
    async fn trial(&self, jobs: &[&Job], again: bool) -> Trial {
        let client: Object = match self.pool.get().await.during("connecting to PostgreSQL") {
            Ok(c) => c,
            Err(f) => return Trial::Failed(f),
        };
        let trial = self.attempt(client, jobs, again).await;
        if let Trial::Failed(Fault::Lost(_)) | Trial::Unknown(..) = &trial {
            // Whatever that connection led to, the next one is made anew.
            self.pool.retain(|_, _| false);
        }
        trial
    }

    async fn attempt(&self, mut client: Object, jobs: &[&Job], again: bool) -> Trial {
        let tx = match client.transaction().await.during("beginning a transaction") {
            Ok(tx) => tx,
            Err(f) => return Trial::Failed(f),
        };
        let (outcomes, pos, head) = match self.fill(&tx, jobs, again).await {
            Ok(filled) => filled,
            Err(f) => {
                let _ = tx.rollback().await;
                return Trial::Failed(f);
            }
        };
        match tx.commit().await.during("committing") {
            Ok(()) => Trial::Committed(outcomes, pos),
            Err(f @ Fault::Lost(_)) => Trial::Unknown(outcomes, pos, head, f),
            Err(f) => Trial::Failed(f),
        }
    }

    async fn fill(
        &self,
        tx: &deadpool_postgres::Transaction<'_>,
        jobs: &[&Job],
        again: bool,
    ) -> Result<(Vec<Outcome>, u64, Option<Head>), Fault> {
        let mut group = Group::begin(tx, &self.vault, &*self.projector, &self.options.chain).await?;
        group.again = again;
        let before = group.head;
        let batches: Vec<&Prepared> = jobs
            .iter()
            .filter_map(|j| match j {
                Job::Apply(batch) => Some(&**batch),
                _ => None,
            })
            .collect();
        group.load(&batches).await?;
        let messages: Vec<&MessageAct> = jobs
            .iter()
            .filter_map(|j| match j {
                Job::Act(act, _) => match &**act {
                    Act::Message(act) => Some(&**act),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        group.load_messages(&messages).await?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            let outcome = match job {
                Job::Apply(batch) => match group.apply(batch).await {
                    Ok((applied, receipt)) => Ok(Done::Applied(applied, receipt)),
                    Err(Fault::Failed(e)) if own(&e) => Err(e),
                    Err(f) => return Err(f),
                },
                Job::Append(entry) => group.record(entry).map(Done::Receipt),
                Job::Act(act, entry) => match group.act(act, entry.as_deref()).await {
                    Ok(acted) => Ok(Done::Acted(acted)),
                    Err(Fault::Failed(e)) if own(&e) => Err(e),
                    Err(f) => return Err(f),
                },
            };
            outcomes.push(outcome);
        }
        let pos = group.flush().await?;
        for outcome in &mut outcomes {
            if let Ok(Done::Applied(applied, _)) = outcome
                && applied.pos == 0
            {
                applied.pos = pos;
            }
        }
        let head = (group.head != before).then_some(group.head);
        Ok((outcomes, pos, head))
    }
}

/// Whether an error is the job's own and left the transaction as it was.
const fn own(e: &StoreError) -> bool {
    !matches!(
        e,
        StoreError::Backend { .. } | StoreError::Full(_) | StoreError::Damaged(_) | StoreError::Closed
    )
}
