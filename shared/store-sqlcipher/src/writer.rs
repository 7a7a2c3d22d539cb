//! The one writer: a thread that owns the writing connection and commits many jobs together.
//!
//! Lives here: [`Writer`], [`Group`]. Never here: SQL of a table. Called by the server's store and by the
//! workstation's databases.
//!
//! Problem: a FULL commit costs an fsync (0.3 ms on a good disk, 10–20 ms on a poor one), so one commit per change
//! bounds the whole hospital. Decision: whatever is queued while a commit runs goes into the next one. Each job has
//! its own savepoint, so that one that is refused takes no other with it; every answer waits for the COMMIT; a COMMIT
//! that fails fails all its jobs. After a failed write or sync the connection is opened anew and the carried state is
//! read from the database again: what the disk did with the pages is not known, so nothing in memory is trusted.
//! Readers stay open meanwhile and keep the WAL index, in which an unfinished commit does not exist: the next commit
//! writes over its frames instead of after them.
//!
//! Urgent jobs do not queue behind the others: they are the next to run, and the group they are in is committed as soon
//! as no urgent job is left. Each costs the others at most one commit.

use crate::cipher::fault;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use vitrine_store::StoreError;

/// State in memory that follows the transaction, e.g. the head of an audit chain.
pub trait Group: Send + 'static {
    /// What [`Group::back_to`] needs to undo a job.
    type Mark;
    /// The transaction has begun: another process may have written since the last one.
    ///
    /// # Errors
    /// Fails the group before it starts.
    fn begun(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let _ = conn;
        Ok(())
    }
    /// Remembers the state before a job.
    fn mark(&self) -> Self::Mark;
    /// Undoes what a refused job did.
    fn back_to(&mut self, mark: Self::Mark);
    /// The last words in the transaction.
    ///
    /// # Errors
    /// Fails the whole group.
    fn before_commit(&mut self, conn: &Connection) -> Result<(), StoreError>;
    /// The group is durable; its answers go out after this.
    fn committed(&mut self);
    /// The answers have gone out and nobody waits: time for work of its own on the connection.
    fn settled(&mut self, conn: &Connection) {
        let _ = conn;
    }
    /// The writer ends; the connection closes after this.
    fn closing(&mut self, conn: &Connection) {
        let _ = conn;
    }
    /// Reads the state from the database: at the start and after a group failed.
    ///
    /// # Errors
    /// When the database does not hold what was last committed: the writer refuses until it does.
    fn reload(&mut self, conn: &Connection) -> Result<(), StoreError>;
}

impl Group for () {
    type Mark = ();
    fn mark(&self) {}
    fn back_to(&mut self, (): ()) {}
    fn before_commit(&mut self, _: &Connection) -> Result<(), StoreError> {
        Ok(())
    }
    fn committed(&mut self) {}
    fn reload(&mut self, _: &Connection) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Opens the writing connection (again).
pub type OpenConnection = Box<dyn Fn() -> Result<Connection, StoreError> + Send>;

/// A group is committed when its jobs weigh this much together (a job weighs about its number of changes).
const GROUP_WEIGHT: usize = 4_000;
/// A job that weighs so much has a transaction of its own and no savepoint. SQLite keeps the pages a savepoint changed
/// in a list that it walks from the beginning after every statement with triggers: measured with 400 changes in one
/// savepoint, most of the writer's time.
const ALONE_WEIGHT: usize = 48;
/// Jobs that may wait; who comes later waits for a place.
const QUEUE: usize = 4_096;

type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;
struct Done {
    /// The job's own error, if it was refused.
    refused: Option<StoreError>,
    /// Sends the answer; `Some` = the commit failed with this.
    answer: Answer,
}
/// A job's turn on the connection, or why it has none.
type Turn<'t, G> = Result<(&'t Connection, &'t mut G), StoreError>;
type Run<G> = Box<dyn FnOnce(Turn<'_, G>) -> Done + Send>;
struct Job<G> {
    weight: usize,
    /// Runs the job, or answers with the error that keeps it from being run.
    run: Run<G>,
}

struct Senders<G> {
    urgent: mpsc::Sender<Job<G>>,
    rest: mpsc::Sender<Job<G>>,
}

impl<G> Senders<G> {
    /// Where a job queues. A heavy one has a transaction of its own, and keeps its turn.
    fn of(&self, weight: usize) -> &mpsc::Sender<Job<G>> {
        if weight < ALONE_WEIGHT && vitrine_store::is_urgent() {
            &self.urgent
        } else {
            &self.rest
        }
    }
}

/// The handle of the writer thread. Dropping it finishes what is queued and closes the connection.
pub struct Writer<G: Group> {
    jobs: Option<Senders<G>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<G: Group> Writer<G> {
    /// Starts the thread with an open connection; `open` makes another after a fault. `begin` is called first on it.
    ///
    /// # Errors
    /// What `open` or [`Group::reload`] says; then there is no thread.
    pub fn start(name: &str, open: OpenConnection, mut group: G, begin: fn()) -> Result<Self, StoreError> {
        let failed = |e: std::io::Error| StoreError::Backend {
            doing: "starting the writer",
            cause: e.to_string(),
        };
        let conn = open()?;
        group.reload(&conn)?;
        let (urgent, hurried) = mpsc::channel(QUEUE);
        let (rest, queue) = mpsc::channel(QUEUE);
        let waiting = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || {
                begin();
                Loop {
                    open,
                    conn: Some(conn),
                    group,
                    waiting,
                    urgent: hurried,
                    queue,
                    held: None,
                }
                .run()
            })
            .map_err(failed)?;
        Ok(Self {
            jobs: Some(Senders { urgent, rest }),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs a job in the next group, before all others when it is urgent ([`vitrine_store::urgent`]), and answers when it is durable. `Err` from the job undoes the job alone.
    ///
    /// # Errors
    /// The job's own; the commit's, and then nothing of the job is there; [`StoreError::Closed`].
    pub async fn run<T, F>(&self, weight: usize, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut G) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = package(weight, job);
        self.jobs
            .as_ref()
            .ok_or(StoreError::Closed)?
            .of(weight)
            .send(job)
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// The same for a thread that is not a runtime's.
    ///
    /// # Errors
    /// As [`Writer::run`].
    pub fn run_blocking<T, F>(&self, weight: usize, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut G) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = package(weight, job);
        self.jobs
            .as_ref()
            .ok_or(StoreError::Closed)?
            .of(weight)
            .blocking_send(job)
            .map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }
}

impl<G: Group> Drop for Writer<G> {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.lock().ok().and_then(|mut t| t.take());
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn package<G, T, F>(weight: usize, job: F) -> (Job<G>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection, &mut G) -> Result<T, StoreError> + Send + 'static,
{
    let (tx, rx) = oneshot::channel();
    let run = move |turn: Turn<'_, G>| {
        // A panic in a job (a parser met what nobody thought of) refuses that job; the writer lives on.
        let result = turn.and_then(|(conn, group)| {
            catch_unwind(AssertUnwindSafe(|| job(conn, group))).unwrap_or_else(|_| {
                Err(StoreError::Backend {
                    doing: "running a job",
                    cause: "it panicked; nothing was kept".to_owned(),
                })
            })
        });
        let refused = result.as_ref().err().cloned();
        let answer: Answer = Box::new(move |commit| {
            let _ = tx.send(match commit {
                Some(e) => Err(e),
                None => result,
            });
        });
        Done { refused, answer }
    };
    (
        Job {
            weight,
            run: Box::new(run),
        },
        rx,
    )
}

struct Loop<G: Group> {
    open: OpenConnection,
    conn: Option<Connection>,
    group: G,
    /// Waits for both queues.
    waiting: tokio::runtime::Runtime,
    urgent: mpsc::Receiver<Job<G>>,
    queue: mpsc::Receiver<Job<G>>,
    /// Taken from the queue, too heavy for the group before it.
    held: Option<Job<G>>,
}

impl<G: Group> Loop<G> {
    fn run(mut self) {
        while let Some((first, urgent)) = self.next() {
            let mut answers = Vec::new();
            let failed = self.one_group(first, urgent, &mut answers).err();
            if failed.is_some() {
                self.recover();
            }
            for answer in answers {
                answer(failed.clone());
            }
            if let Some(conn) = &self.conn {
                self.group.settled(conn);
            }
        }
        if let Some(conn) = self.conn.take() {
            let _ = conn.execute_batch("PRAGMA optimize;");
            self.group.closing(&conn);
        }
    }

    /// The first job of a group, and whether it is urgent; waits for one. `None` when the writer is to end.
    fn next(&mut self) -> Option<(Job<G>, bool)> {
        if let Ok(job) = self.urgent.try_recv() {
            return Some((job, true));
        }
        if let Some(job) = self.held.take() {
            return Some((job, false));
        }
        let (urgent, queue) = (&mut self.urgent, &mut self.queue);
        self.waiting.block_on(async {
            tokio::select! {
                biased;
                Some(job) = urgent.recv() => Some((job, true)),
                Some(job) = queue.recv() => Some((job, false)),
                else => None,
            }
        })
    }

    /// Runs jobs until nothing is queued, the group is heavy enough or urgent, then commits. Refused jobs are answered
    /// at once, the others are left in `answers`. An error fails all of those.
    fn one_group(
        &mut self,
        first: Job<G>,
        mut hurried: bool,
        answers: &mut Vec<Answer>,
    ) -> Result<(), StoreError> {
        if let Err(e) = self.begin() {
            ((first.run)(Err(e.clone())).answer)(None);
            return Err(e);
        }
        let Self {
            conn: Some(conn),
            group,
            urgent,
            queue,
            held,
            ..
        } = self
        else {
            return Err(StoreError::Closed);
        };
        let mut weight = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            weight += job.weight.max(1);
            if job.weight >= ALONE_WEIGHT {
                return alone(conn, group, job, answers);
            }
            with_savepoint(conn, group, job, answers)?;
            next = urgent.try_recv().ok();
            hurried |= next.is_some();
            if next.is_none() && !hurried && held.is_none() && weight < GROUP_WEIGHT {
                next = queue.try_recv().ok();
                if next.as_ref().is_some_and(|job| job.weight >= ALONE_WEIGHT) {
                    *held = next.take();
                }
            }
        }
        if answers.is_empty() {
            return sql(conn, "ROLLBACK");
        }
        commit(conn, group)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let conn = (self.open)()?;
                self.group.reload(&conn)?;
                tracing::warn!("the writing connection was opened anew and verified");
                conn
            }
        };
        let begun = sql(&conn, "BEGIN IMMEDIATE").and_then(|()| self.group.begun(&conn));
        self.conn = Some(conn);
        begun
    }

    /// Nothing of the group is there, and the connection is not trusted any more: the next job opens another.
    fn recover(&mut self) {
        if let Some(conn) = self.conn.take() {
            if !conn.is_autocommit() {
                let _ = conn.execute_batch("ROLLBACK");
            }
            tracing::warn!("a commit failed; the writing connection is closed");
        }
    }
}

fn commit<G: Group>(conn: &Connection, group: &mut G) -> Result<(), StoreError> {
    group.before_commit(conn)?;
    sql(conn, "COMMIT")?;
    group.committed();
    Ok(())
}

/// Runs a heavy job as the only one of its transaction.
fn alone<G: Group>(
    conn: &Connection,
    group: &mut G,
    job: Job<G>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    let done = (job.run)(Ok((conn, group)));
    if done.refused.is_none() {
        answers.push(done.answer);
        return commit(conn, group);
    }
    // What it did goes with the transaction, which is its own alone.
    let undone = if conn.is_autocommit() {
        Ok(())
    } else {
        sql(conn, "ROLLBACK")
    };
    (done.answer)(None);
    undone
}

/// Runs a light job, so that a refusal takes back what it did and no more.
fn with_savepoint<G: Group>(
    conn: &Connection,
    group: &mut G,
    job: Job<G>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    let mark = group.mark();
    sql(conn, "SAVEPOINT job")?;
    let done = (job.run)(Ok((conn, group)));
    let Some(e) = done.refused else {
        answers.push(done.answer);
        return sql(conn, "RELEASE job");
    };
    group.back_to(mark);
    (done.answer)(None);
    // A full or failing disk makes SQLite roll back everything, not the savepoint alone.
    if conn.is_autocommit() {
        return Err(e);
    }
    sql(conn, "ROLLBACK TO job")?;
    sql(conn, "RELEASE job")
}

fn sql(conn: &Connection, text: &'static str) -> Result<(), StoreError> {
    let run = conn.prepare_cached(text).and_then(|mut s| s.execute([]));
    run.map(|_| ()).map_err(|e| {
        let path = conn.path().unwrap_or_default();
        fault(
            Path::new(path),
            if text == "COMMIT" {
                "committing"
            } else {
                "running a transaction"
            },
            &e,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use vitrine_store::urgent;

    /// Says when it committed.
    struct Told(Arc<Mutex<Vec<&'static str>>>);
    impl Group for Told {
        type Mark = ();
        fn mark(&self) {}
        fn back_to(&mut self, (): ()) {}
        fn before_commit(&mut self, _: &Connection) -> Result<(), StoreError> {
            Ok(())
        }
        fn committed(&mut self) {
            self.0.lock().unwrap().push("commit");
        }
        fn reload(&mut self, _: &Connection) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_urgent_job_goes_before_those_that_wait_and_is_committed_without_them() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let open: OpenConnection = Box::new(|| Ok(Connection::open_in_memory().unwrap()));
        let writer = Writer::start("test", open, Told(told.clone()), || {}).unwrap();
        let (go, wait) = channel::<()>();
        let (began, begun) = channel::<()>();
        let say = |word: &'static str, told: &Arc<Mutex<Vec<&'static str>>>| {
            let told = told.clone();
            move |_: &Connection, _: &mut Told| {
                told.lock().unwrap().push(word);
                Ok(())
            }
        };
        let busy = writer.run(1, move |_: &Connection, _: &mut Told| {
            began.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        let rest = async {
            // Queued while the writer is busy: a light one, a heavy one, an urgent one, in this order.
            tokio::join!(
                biased;
                writer.run(1, say("light", &told)),
                writer.run(ALONE_WEIGHT, say("heavy", &told)),
                urgent(writer.run(1, say("urgent", &told))),
                async {
                    begun.recv().unwrap();
                    go.send(()).unwrap();
                },
            )
        };
        let (first, (light, heavy, hurried, ())) = tokio::join!(biased; busy, rest);
        assert!(first.is_ok() && light.is_ok() && heavy.is_ok() && hurried.is_ok());
        assert_eq!(
            *told.lock().unwrap(),
            ["urgent", "commit", "light", "commit", "heavy", "commit"]
        );
    }
}
