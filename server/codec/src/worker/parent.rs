//! The side that keeps a worker. Lives here: starting it, a frame to it and back within its time, its end. Never here: an
//! answer that does not fit its question. Called by the server on threads that may block.

use super::message::{self, Answer};
use crate::{Job, Refused};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vitrine_dicom::syntax::{self, Codec};
use vitrine_pixels::Colour;
use vitrine_pixels::layers::Coded;

/// Most bytes kept of what a worker says on stderr.
const SAID_MOST: usize = 4 << 10;

/// A frame decoded and coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Segments, shape, digest and range; decoded again and found equal, in the worker.
    pub coded: Coded,
    /// What the samples mean.
    pub colour: Colour,
    /// Whether the original's codestream had lost something.
    pub lossy: bool,
}

/// Why there is no coded frame.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The worker is sound, the frame is not for it.
    #[error(transparent)]
    Refused(Refused),
    /// It took longer than its deadline, and was killed.
    #[error("the codec worker took longer than {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It ended, or answered what was no answer and was killed.
    #[error("the codec worker died: {0}")]
    Died(String),
    /// There is none to be had.
    #[error("no codec worker: {0}")]
    NotStarted(std::io::Error),
}

type Received = std::io::Result<Option<(Answer, Vec<u8>)>>;

/// A worker that runs.
struct Running {
    child: Child,
    jobs: Sender<Job>,
    answers: Receiver<Received>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker process, started when there is something to do and again after it died. One frame at a time.
pub struct Worker {
    program: PathBuf,
    args: Vec<OsString>,
    running: Option<Running>,
}

/// How long a frame may take: 2 s, and 50 ms for each MB of its plain pixels; four times as much where there is a codestream to
/// decode, of which a busy core does some 10 MB/s.
#[must_use]
pub fn deadline(job: &Job) -> Duration {
    let bytes = u64::from(job.columns)
        .saturating_mul(job.rows.into())
        .saturating_mul(job.samples.into())
        .saturating_mul(job.bits_allocated.div_ceil(8).into());
    let slow = syntax::of(&job.syntax).is_none_or(|s| {
        !matches!(
            s.codec,
            Codec::Plain | Codec::PlainFragments | Codec::Rle | Codec::DeflatedFrame
        )
    });
    let each = if slow { 200 } else { 50 };
    Duration::from_millis(2000 + bytes.min(crate::PLAIN_MOST) / 1_000_000 * each)
}

impl Worker {
    /// A worker whose process is `program` with `args`: one that calls [`crate::confine`] and [`crate::serve`]. It is started
    /// with an empty environment at the first job.
    #[must_use]
    pub fn new(program: &Path, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program: program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            running: None,
        }
    }

    /// The process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|r| r.child.id())
    }

    /// Decodes and codes one frame within `deadline` (see [`deadline`]). Blocks.
    ///
    /// # Errors
    /// [`Failed`]. After [`Failed::TimedOut`] and [`Failed::Died`] the process is gone, and the next job has a new one.
    pub fn run(&mut self, job: Job, deadline: Duration) -> Result<Done, Failed> {
        let (columns, rows) = (job.columns, job.rows);
        let running = match self.running.take() {
            Some(running) => running,
            None => self.start().map_err(Failed::NotStarted)?,
        };
        // From here on the process is gone unless it is put back.
        if running.jobs.send(job).is_err() {
            return Err(died(running, "it takes no jobs"));
        }
        match running.answers.recv_timeout(deadline) {
            Err(RecvTimeoutError::Timeout) => Err(Failed::TimedOut(deadline)),
            Err(RecvTimeoutError::Disconnected) | Ok(Ok(None)) => Err(died(running, "it ended")),
            Ok(Err(e)) => Err(died(running, &e.to_string())),
            Ok(Ok(Some((Answer::Refused(refused), _)))) => {
                self.running = Some(running);
                Err(Failed::Refused(refused))
            }
            Ok(Ok(Some((Answer::Done(head), body)))) => {
                let (colour, lossy) = (head.colour, head.lossy);
                match head.coded(&body) {
                    Some(coded) if (coded.shape.columns, coded.shape.rows) == (columns, rows) => {
                        self.running = Some(running);
                        Ok(Done { coded, colour, lossy })
                    }
                    _ => Err(died(running, "it answered what was not asked")),
                }
            }
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut input), Some(mut output), Some(mut error)) = pipes else {
            return Err(std::io::Error::other("a pipe is missing"));
        };
        // The threads end with the process: its pipes break.
        let (jobs, to_write) = channel::<Job>();
        std::thread::spawn(move || {
            for job in to_write {
                if message::write(&mut input, &job, std::iter::once(job.bytes.as_slice())).is_err() {
                    return;
                }
            }
        });
        let (read, answers) = channel();
        std::thread::spawn(move || {
            loop {
                let answer = message::read(&mut output);
                let last = !matches!(answer, Ok(Some(_)));
                if read.send(answer).is_err() || last {
                    return;
                }
            }
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut buffer = [0u8; 1024];
            while let Ok(n @ 1..) = error.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = SAID_MOST.saturating_sub(kept.len());
                kept.extend(buffer.iter().take(n.min(room)));
            }
        });
        Ok(Running {
            child,
            jobs,
            answers,
            said,
        })
    }
}

/// Kills it, and says what is known of its end.
fn died(mut running: Running, how: &str) -> Failed {
    // One that has ended by itself has its own status: give it the moment.
    for _ in 0..20 {
        if matches!(running.child.try_wait(), Ok(Some(_)) | Err(_)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = running.child.kill();
    let status = running
        .child
        .wait()
        .map_or_else(|e| e.to_string(), |s| s.to_string());
    let said = running
        .said
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let said = String::from_utf8_lossy(&said);
    Failed::Died(format!("{how} ({status}) {}", said.trim()))
}
