//! A thread of its own for emergencies, so that breaking the glass never waits for a thread that a search, a snapshot
//! or a dead network holds.

use crate::EngineError;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// The emergency thread; begins with its first job.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Option<Sender<Job>>>);

impl Desk {
    /// Runs a job on the emergency thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.send(Box::new(move || {
            let _ = answer.send(job());
        }))?;
        answered
            .await
            .map_err(|_| EngineError::Internal("waiting for the emergency thread"))
    }

    fn send(&self, job: Job) -> Result<(), EngineError> {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let job = match sender.as_ref() {
            Some(s) => match s.send(job) {
                Ok(()) => return Ok(()),
                // The thread died in a job: begin a new one.
                Err(back) => back.0,
            },
            None => job,
        };
        Self::begin(&mut sender, job)
    }

    fn begin(sender: &mut Option<Sender<Job>>, job: Job) -> Result<(), EngineError> {
        let (send, receive) = channel::<Job>();
        std::thread::Builder::new()
            .name("emergency".to_owned())
            .spawn(move || {
                while let Ok(job) = receive.recv() {
                    job();
                }
            })
            .map_err(EngineError::io("starting the emergency thread"))?;
        send.send(job)
            .map_err(|_| EngineError::Internal("starting the emergency thread"))?;
        *sender = Some(send);
        Ok(())
    }
}
