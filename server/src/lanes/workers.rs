//! Threads for the work of every lane but the emergency's.
//!
//! Lives here: [`Workers`], a runtime of its own. Never here: which request runs there. The runtime that accepts
//! connections only reads requests, answers emergencies and serves the workstations' lines: a chart that takes long to
//! put together does not keep any of these waiting. Where the system allows, its threads also give way to theirs on a
//! machine whose processors are all taken.

use std::future::Future;
use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A thread that has this much has a third of the weight of one that has none (`sched_prio_to_weight` of Linux).
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub struct Workers {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

/// Lets the thread that calls it run after others that are ready: of three turns of a processor it gets one at most.
fn give_way() {
    // Linux counts niceness for each thread, and a thread may always take more of it.
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = %e, "a thread of the lanes keeps its priority");
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
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (up, ready) = mpsc::channel();
        // A runtime may not be dropped within another: it has a thread to live and end in.
        std::thread::Builder::new()
            .name("lanes".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(threads.max(1))
                    .thread_name("lane-worker")
                    .on_thread_start(give_way)
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
        let workers = Workers::start(1).unwrap();
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
