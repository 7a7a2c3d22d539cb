//! Reader threads, each with a connection of its own that stays open.
//!
//! Lives here: [`Readers`]. Never here: SQL of a table. Called by the server's store and by the workstation's
//! databases, which keep one pool of a single thread reserved for emergencies: whatever the others do, it is idle.
//!
//! Every job runs in one read transaction, so what it reads is of one moment. After an error the connection is
//! opened anew: SQLCipher fails every further read on a connection that met a page which does not verify, also reads
//! of whole pages, and other patients must still open.

use crate::cipher::{fault, must_recycle};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use vitrine_store::StoreError;

/// Opens a reading connection (again).
pub type OpenReader = Arc<dyn Fn() -> Result<Connection, StoreError> + Send + Sync>;

type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> bool + Send>;

/// Jobs that may wait for a reader; more are refused.
const QUEUE: usize = 16_384;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pool of reader threads. Dropping it finishes what is queued and closes the connections.
pub struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Connections for reads on the thread that asks.
    here: Mutex<Vec<Connection>>,
    open: OpenReader,
}

impl Readers {
    /// Starts `count` threads, each with its connection open before this returns.
    ///
    /// # Errors
    /// What `open` says for any of them.
    pub fn start(name: &str, count: usize, open: &OpenReader) -> Result<Self, StoreError> {
        Self::start_with(name, count, open, || {})
    }

    /// The same; `begin` is called first on each of them.
    ///
    /// # Errors
    /// What `open` says for any of them.
    pub fn start_with(name: &str, count: usize, open: &OpenReader, begin: fn()) -> Result<Self, StoreError> {
        let mut pool = Self {
            shared: Arc::default(),
            threads: Vec::with_capacity(count),
            here: Mutex::default(),
            open: open.clone(),
        };
        for n in 0..count {
            let (shared, open, conn) = (pool.shared.clone(), open.clone(), open()?);
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || {
                    begin();
                    serve(&shared, &open, conn);
                })
                .map_err(|e| StoreError::Backend {
                    doing: "starting a reader",
                    cause: e.to_string(),
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Gives the pool so many connections for [`Readers::run_near`].
    ///
    /// # Errors
    /// What `open` says for any of them.
    pub fn with_here(self, count: usize) -> Result<Self, StoreError> {
        for _ in 0..count {
            let conn = (self.open)()?;
            self.connections().push(conn);
        }
        Ok(self)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a job on the thread that asks where that is allowed ([`vitrine_store::reads_here`]) and a connection is free,
    /// else as [`Readers::run`].
    ///
    /// # Errors
    /// As [`Readers::run`].
    pub async fn run_near<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let free = vitrine_store::reads_here()
            .then(|| self.connections().pop())
            .flatten();
        let Some(mut conn) = free else {
            return self.run(job).await;
        };
        let (job, mut answer) = package(job);
        let open = if job(Ok(&conn)) {
            roll_back(&conn);
            // If none opens, the pool's threads have the work from then on.
            (self.open)().map(|fresh| conn = fresh).is_ok()
        } else {
            true
        };
        if open {
            self.connections().push(conn);
        }
        answer.try_recv().map_err(|_| StoreError::Closed)?
    }

    /// Runs a job in a read transaction.
    ///
    /// # Errors
    /// The job's own; [`StoreError::Refused`] when too many wait; [`StoreError::Closed`].
    pub async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(job)?.await.map_err(|_| StoreError::Closed)?
    }

    /// The same for a thread that is not a runtime's.
    ///
    /// # Errors
    /// As [`Readers::run`].
    pub fn run_blocking<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(job)?.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    fn queue<T, F>(&self, job: F) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (run, rx) = package(job);
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(StoreError::Closed);
        }
        if queue.jobs.len() >= QUEUE {
            return Err(StoreError::Refused(
                "too many reads are waiting; try again".to_owned(),
            ));
        }
        queue.jobs.push_back(run);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(rx)
    }
}

/// A job and its answer. It says whether the connection is to be opened anew.
fn package<T, F>(job: F) -> (Job, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (tx, rx) = oneshot::channel();
    let run: Job = Box::new(move |conn| {
        let result = conn.and_then(|c| {
            catch_unwind(AssertUnwindSafe(|| in_transaction(c, job))).unwrap_or_else(|_| {
                Err(StoreError::Backend {
                    doing: "reading",
                    cause: "the job panicked".to_owned(),
                })
            })
        });
        let recycle = result.as_ref().is_err_and(must_recycle);
        let _ = tx.send(result);
        recycle
    });
    (run, rx)
}

fn roll_back(conn: &Connection) {
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn in_transaction<T>(
    conn: &Connection,
    job: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let sql = |text: &'static str| {
        let run = conn.prepare_cached(text).and_then(|mut s| s.execute([]));
        run.map_err(|e| fault(Path::new(conn.path().unwrap_or_default()), "reading", &e))
    };
    sql("BEGIN")?;
    let result = job(conn);
    if result.is_ok() {
        sql("COMMIT")?;
    } else if !conn.is_autocommit() {
        sql("ROLLBACK")?;
    }
    result
}

fn serve(shared: &Shared, open: &OpenReader, conn: Connection) {
    let mut conn = Some(conn);
    loop {
        let job = {
            let mut queue = shared.lock();
            loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.closed {
                    return;
                }
                queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        };
        if conn.is_none() {
            match open() {
                Ok(fresh) => conn = Some(fresh),
                Err(e) => {
                    job(Err(e));
                    continue;
                }
            }
        }
        let Some(open_conn) = &conn else { continue };
        if job(Ok(open_conn)) {
            roll_back(open_conn);
            conn = None;
        }
    }
}
