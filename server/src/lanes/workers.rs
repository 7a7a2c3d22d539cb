//! Threads for the work of the lanes.
//!
//! Lives here: [`Workers`], a runtime of its own; how threads give way. Never here: which request runs there. The runtime
//! that accepts connections only reads requests and serves the workstations' lines: a chart that takes long to put
//! together does not keep these waiting. Emergencies have threads of their own, and where the system allows everything
//! else gives way to them on a machine whose processors are all taken: an emergency goes from thread to thread a dozen
//! times until its row is durable and its card read, and would queue each time. That includes the thread that writes:
//! measured with it among the others, an fsync of 0.2 ms took 16, because its thread was not woken.

use std::future::Future;
use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub struct Workers {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

/// How a thread stands to the emergency's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The emergency's own, and what it waits for.
    First,
    /// The threads that accept connections and serve the workstations' lines: half the weight of an ordinary process.
    Line,
    /// A sixth of it: everything else.
    Rest,
}

impl Rank {
    /// Gives the thread that calls it this rank. A thread may always give way more; for less it needs leave
    /// (`LimitNICE=` of the unit), and without it the first stand like an ordinary process.
    pub fn take(self) {
        // Linux counts niceness for each thread, and a new one has its maker's; weights of `sched_prio_to_weight`:
        // 9548, 526 and 172, an ordinary process 1024.
        #[cfg(target_os = "linux")]
        {
            let nice = match self {
                Self::First => -10,
                Self::Line => 3,
                Self::Rest => 8,
            };
            if let Err(e) = rustix::process::setpriority_process(None, nice) {
                tracing::debug!(error = %e, "a thread keeps its priority");
            }
        }
    }
}

/// Ends the work when nobody waits for it any more, as if it ran in the task that waits.
struct Ends(AbortHandle);
impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The work panicked, or the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undone;

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(name: &'static str, threads: usize, rank: Rank) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (up, ready) = mpsc::channel();
        // A runtime may not be dropped within another: it has a thread to live and end in.
        std::thread::Builder::new()
            .name(format!("{name}s"))
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(threads.max(1))
                    .thread_name(name)
                    .on_thread_start(move || {
                        rank.take();
                        if rank == Rank::First {
                            vitrine_store::read_here();
                        }
                    })
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => {
                        let _ = up.send(Ok(runtime.handle().clone()));
                        let _ = runtime.block_on(stopped);
                        runtime.shutdown_background();
                    }
                    Err(e) => {
                        let _ = up.send(Err(e));
                    }
                }
            })?;
        let handle = ready
            .recv()
            .map_err(|_| std::io::Error::other("the thread ended"))??;
        Ok(Self { handle, _stop: stop })
    }

    /// For what is not waited for: connections.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs work on one of the threads.
    ///
    /// # Errors
    /// [`Undone`].
    pub async fn run<T, F>(&self, work: F) -> Result<T, Undone>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let running = self.handle.spawn(work);
        let _ends = Ends(running.abort_handle());
        running.await.map_err(|_| Undone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn work_runs_elsewhere_and_ends_with_the_one_who_waits() {
        let workers = Workers::start("lane-worker", 1, Rank::Rest).unwrap();
        let name = || std::thread::current().name().map(str::to_owned);
        let there = workers.run(async move { name() }).await.unwrap();
        assert_eq!(there.as_deref(), Some("lane-worker"));
        assert_eq!(
            workers.run(async { panic!("on purpose") }).await,
            Err::<(), _>(Undone)
        );

        let (tell, mut told) = tokio::sync::mpsc::channel::<()>(1);
        let long = workers.run(async move {
            let _tell = tell;
            tokio::time::sleep(Duration::from_secs(600)).await;
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(20), long)
                .await
                .is_err()
        );
        assert_eq!(told.recv().await, None, "it was let go of");
    }
}
