//! The thread that copies frames out of the WAL.

use super::files::{Stream, failed, private};
use super::wal::{Frames, Header, Sum, offset};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vitrine_store::StoreError;

/// What was copied is on the platter at most so long after.
const SYNC_EVERY: Duration = Duration::from_secs(1);

enum Job {
    /// A run began as this segment.
    Begin(u32, Header),
    /// Frames up to this one are committed.
    Copy(u32),
    /// Copy all of it, sync, and say so.
    Drain(Sender<Result<(), StoreError>>),
}

/// Where copying stands within a segment.
pub(super) struct Copied {
    pub segment: u32,
    pub header: Header,
    pub frames: u32,
    pub sum: Option<Sum>,
}

/// The handle of the thread. Dropping it ends the thread after what was asked.
pub(super) struct Copier {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    fault: Arc<Mutex<Option<StoreError>>>,
}

impl Copier {
    pub fn start(stream: Stream, wal: PathBuf, at: Option<Copied>) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        let fault = Arc::new(Mutex::new(None));
        let told = fault.clone();
        let mut work = Work {
            stream,
            wal,
            at,
            out: None,
            dirty: false,
        };
        let thread = std::thread::Builder::new()
            .name("redo-copier".to_owned())
            .spawn(move || work.run(&queue, &told))
            .map_err(|e| StoreError::Backend {
                doing: "starting the copier of the redo log",
                cause: e.to_string(),
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            fault,
        })
    }
    pub fn begin(&self, segment: u32, header: Header) {
        self.tell(Job::Begin(segment, header));
    }
    pub fn copy(&self, upto: u32) {
        self.tell(Job::Copy(upto));
    }
    /// Waits until everything noted is copied and synced.
    pub fn drain(&self) -> Result<(), StoreError> {
        let (tx, rx) = mpsc::channel();
        self.tell(Job::Drain(tx));
        rx.recv()
            .unwrap_or_else(|_| Err(self.fault().unwrap_or(StoreError::Closed)))
    }
    /// Why copying stopped.
    pub fn fault(&self) -> Option<StoreError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn tell(&self, job: Job) {
        // A thread that ended has said why in `fault`.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    stream: Stream,
    wal: PathBuf,
    at: Option<Copied>,
    out: Option<File>,
    dirty: bool,
}

impl Work {
    fn run(&mut self, queue: &Receiver<Job>, told: &Mutex<Option<StoreError>>) {
        loop {
            let done = match queue.recv_timeout(SYNC_EVERY) {
                Ok(job) => self.one(job, queue),
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Err(RecvTimeoutError::Disconnected) => {
                    if let Err(e) = self.sync() {
                        tracing::error!(error = %e, "the redo log was not synced");
                    }
                    return;
                }
            };
            if let Err(e) = done {
                tracing::error!(error = %e, "the redo log cannot be kept");
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                return;
            }
        }
    }

    /// Does a job; copies that wait behind one another are made as one.
    fn one(&mut self, job: Job, queue: &Receiver<Job>) -> Result<(), StoreError> {
        match job {
            Job::Begin(segment, header) => self.begin(segment, header),
            Job::Copy(mut upto) => loop {
                match queue.try_recv() {
                    Ok(Job::Copy(more)) => upto = more,
                    Ok(other) => {
                        self.copy(upto)?;
                        return self.one(other, queue);
                    }
                    Err(_) => return self.copy(upto),
                }
            },
            Job::Drain(tell) => {
                let done = self.sync();
                let _ = tell.send(done.clone());
                done
            }
        }
    }

    fn begin(&mut self, segment: u32, header: Header) -> Result<(), StoreError> {
        self.sync()?;
        if let Some(before) = self.at.take() {
            self.out = None;
            self.stream.seal(before.segment)?;
        }
        let path = self.stream.wal(segment);
        let mut file = private(&path, true).map_err(failed(&path))?;
        file.write_all(&header.bytes).map_err(failed(&path))?;
        self.out = Some(file);
        self.dirty = true;
        self.at = Some(Copied {
            segment,
            header,
            frames: 0,
            sum: None,
        });
        Ok(())
    }

    fn copy(&mut self, upto: u32) -> Result<(), StoreError> {
        let Some(at) = &mut self.at else { return Ok(()) };
        if upto <= at.frames {
            return Ok(());
        }
        let path = self.stream.wal(at.segment);
        let out = match &mut self.out {
            Some(out) => out,
            none => none.insert(private(&path, false).map_err(failed(&path))?),
        };
        let wal = File::open(&self.wal).map_err(failed(&self.wal))?;
        let wal = BufReader::with_capacity(1 << 17, wal);
        let mut frames = match at.sum {
            Some(sum) => Frames::after(wal, at.header, at.frames, sum),
            None => Frames::new(wal, at.header),
        }
        .map_err(failed(&self.wal))?;
        let mut bytes = Vec::with_capacity((offset(upto) - offset(at.frames)).min(1 << 24) as usize);
        while frames.count < upto {
            let Some(frame) = frames.next().map_err(failed(&self.wal))? else {
                return Err(StoreError::Backend {
                    doing: "keeping the redo log",
                    cause: format!("frame {} of the WAL is not there any more", frames.count + 1),
                });
            };
            bytes.extend_from_slice(frame.bytes);
            if bytes.len() >= 1 << 22 {
                out.write_all(&bytes).map_err(failed(&path))?;
                bytes.clear();
            }
        }
        out.write_all(&bytes).map_err(failed(&path))?;
        (at.frames, at.sum) = (upto, Some(frames.sum));
        self.dirty = true;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let Some(at) = &self.at else { return Ok(()) };
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        let path = self.stream.wal(at.segment);
        if let Some(out) = &self.out {
            out.sync_data().map_err(failed(&path))?;
        }
        // The writer appends to the times without waiting for the disk.
        let path = self.stream.times(at.segment);
        let times = private(&path, false).and_then(|f| f.sync_data());
        times.map_err(failed(&path))
    }
}

/// Reads a copy: whole frames and their checksum.
pub(super) fn read_copy(stream: &Stream, segment: u32, header: Header) -> Result<Copied, StoreError> {
    let path = stream.wal(segment);
    let file = File::open(&path).map_err(failed(&path))?;
    let mut frames = Frames::new(BufReader::with_capacity(1 << 18, file), header).map_err(failed(&path))?;
    while frames.next().map_err(failed(&path))?.is_some() {}
    Ok(Copied {
        segment,
        header,
        frames: frames.count,
        sum: (frames.count > 0).then_some(frames.sum),
    })
}

/// The same after cutting what a kill left unfinished at its end. Only while the WAL still has all of it: what was cut
/// is copied again.
pub(super) fn settle(stream: &Stream, segment: u32, header: Header) -> Result<Copied, StoreError> {
    let copied = read_copy(stream, segment, header)?;
    let path = stream.wal(segment);
    let file = private(&path, false).map_err(failed(&path))?;
    file.set_len(offset(copied.frames))
        .and_then(|()| file.sync_data())
        .map_err(failed(&path))?;
    Ok(copied)
}
