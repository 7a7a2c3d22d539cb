//! From a log to the disks a machine can wake up with. Pure: log and seed in, images out. The model is in the crate's
//! documentation.
//!
//! Called by tests.

use crate::image::DiskImage;
use crate::log::{Event, FileId, Log};
use crate::prng::Prng;
use crate::state::write_into;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes a drive writes all or nothing.
pub const SECTOR: usize = 512;

/// `n` disks after a power cut at random moments of the log, in order of the cut. The same log shape, seed and `n` give
/// the same images; the 1,000th is `power_cut_images(log, seed, n).nth(999)`.
pub fn power_cut_images(log: &Log, seed: u64, n: usize) -> impl Iterator<Item = DiskImage> + '_ {
    images(log, seed, n, false)
}

/// `n` disks after the *process* was killed at random moments: every write before stands, synced or not.
pub fn process_kill_images(log: &Log, seed: u64, n: usize) -> impl Iterator<Item = DiskImage> + '_ {
    images(log, seed, n, true)
}

fn images(log: &Log, seed: u64, n: usize, kill: bool) -> impl Iterator<Item = DiskImage> + '_ {
    let mut prng = Prng::new(seed);
    let mut cuts: Vec<usize> = (0..n)
        .map(|_| prng.below(log.len() as u64 + 1) as usize)
        .collect();
    cuts.sort_unstable();
    let mut replay = Replay::new(log, prng, kill);
    cuts.into_iter().zip(0..).map(move |(cut, index)| {
        replay.advance(cut);
        let mut luck = if kill {
            Luck::all_kept()
        } else {
            Luck::draw(Prng::for_image(seed, index))
        };
        DiskImage {
            files: replay.files(&mut luck),
            index,
            cut,
            marks: replay.marks,
            last_mark: replay.last_mark,
        }
    })
}

/// How one power cut treats what was not synced. Drawn per image, so that some lose everything, some nothing and most
/// something in between.
struct Luck {
    prng: Prng,
    keep_per_mille: u64,
    tear_per_mille: u64,
    /// A dropped write that grew the file leaves zeros (the length was written, the data was not).
    holes: bool,
}

/// What becomes of one unsynced write.
enum Fate {
    Kept,
    Dropped,
    Torn,
}

impl Luck {
    fn draw(mut prng: Prng) -> Self {
        let keep_per_mille = [0, 100, 333, 500, 900, 1000][prng.below(6) as usize];
        let tear_per_mille = [0, 50, 333, 900][prng.below(4) as usize];
        let holes = prng.chance(500);
        Self {
            prng,
            keep_per_mille,
            tear_per_mille,
            holes,
        }
    }

    fn all_kept() -> Self {
        Self {
            prng: Prng::new(0),
            keep_per_mille: 1000,
            tear_per_mille: 0,
            holes: false,
        }
    }

    fn fate(&mut self) -> Fate {
        if self.prng.chance(self.tear_per_mille) {
            Fate::Torn
        } else if self.prng.chance(self.keep_per_mille) {
            Fate::Kept
        } else {
            Fate::Dropped
        }
    }

    /// Applies one unsynced event to a file, or a part of it, or nothing.
    fn apply(&mut self, content: &mut Arc<Vec<u8>>, event: &Event) {
        match (event, self.fate()) {
            (Event::Write { offset, bytes, .. }, Fate::Kept) => {
                write_into(Arc::make_mut(content), *offset, bytes)
            }
            (Event::Write { offset, bytes, .. }, Fate::Torn) => self.tear(content, *offset, bytes),
            (Event::Write { offset, bytes, .. }, Fate::Dropped) => {
                self.leave_hole(content, *offset, bytes.len())
            }
            (Event::Truncate { len, .. }, Fate::Kept | Fate::Torn) => {
                Arc::make_mut(content).resize(*len as usize, 0);
            }
            _ => {}
        }
    }

    /// Each sector the write touches is written or not.
    fn tear(&mut self, content: &mut Arc<Vec<u8>>, offset: u64, bytes: &[u8]) {
        let mut start = 0;
        while start < bytes.len() {
            let in_sector = (offset as usize + start) % SECTOR;
            let end = (start + SECTOR - in_sector).min(bytes.len());
            if self.prng.chance(500) {
                write_into(Arc::make_mut(content), offset + start as u64, &bytes[start..end]);
            }
            start = end;
        }
        self.leave_hole(content, offset, bytes.len());
    }

    fn leave_hole(&mut self, content: &mut Arc<Vec<u8>>, offset: u64, len: usize) {
        let end = offset as usize + len;
        if self.holes && content.len() < end {
            Arc::make_mut(content).resize(end, 0);
        }
    }
}

/// One file while the log is walked.
#[derive(Default)]
struct Walked<'l> {
    durable: Arc<Vec<u8>>,
    pending: Vec<&'l Event>,
}

/// A walk over the log that knows, at every point, what is durable and what is pending.
struct Replay<'l> {
    log: &'l Log,
    position: usize,
    /// The page cache survives: a failed sync loses nothing.
    kill: bool,
    /// Decides what a failed sync left behind: once for the whole run, as it happened once.
    prng: Prng,
    files: HashMap<FileId, Walked<'l>>,
    names: BTreeMap<Arc<str>, FileId>,
    /// Creations (`Some`) and deletions (`None`) since the directory was last synced.
    pending_names: Vec<(&'l Arc<str>, Option<FileId>)>,
    marks: u64,
    last_mark: Option<u64>,
}

impl<'l> Replay<'l> {
    fn new(log: &'l Log, prng: Prng, kill: bool) -> Self {
        let base = log.base.iter();
        Self {
            log,
            position: 0,
            kill,
            prng,
            names: base
                .clone()
                .map(|(name, file, _)| (name.clone(), *file))
                .collect(),
            files: base
                .map(|(_, file, content)| {
                    (
                        *file,
                        Walked {
                            durable: content.clone(),
                            pending: Vec::new(),
                        },
                    )
                })
                .collect(),
            pending_names: Vec::new(),
            marks: 0,
            last_mark: None,
        }
    }

    fn advance(&mut self, cut: usize) {
        while self.position < cut {
            let Some(event) = self.log.events.get(self.position) else {
                return;
            };
            self.step(event);
            self.position += 1;
        }
    }

    fn step(&mut self, event: &'l Event) {
        match event {
            Event::Create { name, file, .. } => self.pending_names.push((name, Some(*file))),
            Event::Delete { name } => self.pending_names.push((name, None)),
            Event::Write { file, .. } | Event::Truncate { file, .. } => {
                self.files.entry(*file).or_default().pending.push(event);
            }
            Event::Sync { file } => self.settle(*file, &mut Luck::all_kept()),
            Event::SyncFailed { .. } if self.kill => {}
            Event::SyncFailed { file } => {
                let mut luck = Luck::draw(Prng::new(self.prng.next()));
                self.settle(*file, &mut luck);
            }
            Event::SyncDirectory => {
                for (name, file) in self.pending_names.drain(..) {
                    set_name(&mut self.names, name, file);
                }
            }
            Event::Mark(value) => {
                self.marks += 1;
                self.last_mark = Some(*value);
            }
        }
    }

    fn settle(&mut self, file: FileId, luck: &mut Luck) {
        let walked = self.files.entry(file).or_default();
        for event in walked.pending.drain(..) {
            luck.apply(&mut walked.durable, event);
        }
    }

    /// The files a cut here leaves, with this luck.
    fn files(&self, luck: &mut Luck) -> BTreeMap<Arc<str>, Arc<Vec<u8>>> {
        let mut files = BTreeMap::new();
        for (name, file) in self.names_after(luck) {
            let Some(walked) = self.files.get(&file) else {
                files.insert(name, Arc::default());
                continue;
            };
            let mut content = walked.durable.clone();
            for event in &walked.pending {
                luck.apply(&mut content, event);
            }
            files.insert(name, content);
        }
        files
    }

    /// Each name independently keeps a prefix of what happened to it since the directory was synced.
    fn names_after(&self, luck: &mut Luck) -> BTreeMap<Arc<str>, FileId> {
        let mut names = self.names.clone();
        let mut stopped: Vec<&str> = Vec::new();
        for (name, file) in &self.pending_names {
            if stopped.contains(&&***name) {
                continue;
            }
            match luck.fate() {
                Fate::Kept => set_name(&mut names, name, *file),
                Fate::Dropped | Fate::Torn => stopped.push(name),
            }
        }
        names
    }
}

fn set_name(names: &mut BTreeMap<Arc<str>, FileId>, name: &Arc<str>, file: Option<FileId>) {
    match file {
        Some(file) => drop(names.insert(name.clone(), file)),
        None => drop(names.remove(name)),
    }
}
