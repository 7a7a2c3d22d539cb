//! Reading the redo log: what it covers, whether it is whole, and rolling a copy of the database forward.

use super::files::{
    End, Head, Kind, Position, Record, Seal, Stream, Who, copied_header, damaged, failed, is_stream,
};
use super::start::last_time;
use super::wal::Frames;
use crate::cipher::Key;
use crate::key::PAGE;
use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;

/// A running server is given so long to finish copying what it has noted.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(50);

/// That nothing more comes into a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The last moment it knows about.
    pub at: UtcMs,
    /// Why.
    pub why: String,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its id; ids sort by age.
    pub id: String,
    /// When it began.
    pub began: UtcMs,
    /// The last commit it knows about.
    pub last: UtcMs,
    /// Whether it has ended.
    pub ended: Option<Ended>,
    /// Segments begun.
    pub segments: u32,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// When.
    pub at: UtcMs,
    /// Last row of the server's audit chain after it; 0 where that was not noted.
    pub audit: u64,
    /// Segment.
    pub segment: u32,
    /// Frames of it.
    pub frame: u32,
}

/// What rolling forward did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rolled {
    /// Commits after the position.
    pub commits: u64,
    /// Pages written.
    pub frames: u64,
    /// Segments read.
    pub segments: u32,
    /// Time of the last commit.
    pub last: Option<UtcMs>,
    /// Last audit row at it, where noted.
    pub audit: u64,
}

fn ids(folder: &Path) -> Result<Vec<String>, StoreError> {
    let inside = match std::fs::read_dir(folder) {
        Ok(inside) => inside,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(folder)(e)),
    };
    let mut ids: Vec<String> = inside
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| is_stream(n))
        .collect();
    ids.sort();
    Ok(ids)
}

/// The newest stream, when it has not ended.
pub(super) fn newest_open(folder: &Path, key: &Key) -> Result<Option<String>, StoreError> {
    let Some(id) = ids(folder)?.pop() else {
        return Ok(None);
    };
    let stream = Stream::of(folder, &id, key);
    // One whose notes were damaged is left as it is.
    let open = matches!(stream.note::<End>("ended.json"), Ok(None));
    Ok(open.then_some(id))
}

/// The streams of a folder, oldest first.
///
/// # Errors
/// [`StoreError::Damaged`] naming the file that was changed.
pub fn streams(folder: &Path, key: &Key) -> Result<Vec<StreamInfo>, StoreError> {
    ids(folder)?.into_iter().map(|id| info(folder, id, key)).collect()
}

fn info(folder: &Path, id: String, key: &Key) -> Result<StreamInfo, StoreError> {
    let s = Stream::of(folder, &id, key);
    let missing = |name: &str| damaged(&s.folder.join(name), "it is missing");
    let who: Who = s.note("stream.json")?.ok_or_else(|| missing("stream.json"))?;
    let head: Head = s.note("head.json")?.ok_or_else(|| missing("head.json"))?;
    let ended: Option<End> = s.note("ended.json")?;
    let files = std::fs::read_dir(&s.folder).map_err(failed(&s.folder))?;
    let bytes = files.filter_map(|e| Some(e.ok()?.metadata().ok()?.len())).sum();
    Ok(StreamInfo {
        id,
        began: UtcMs(who.began),
        last: UtcMs(last_time(&s).unwrap_or(who.began)),
        ended: ended.map(|e| Ended {
            at: UtcMs(e.at),
            why: e.why,
        }),
        segments: head.segment,
        bytes,
    })
}

/// Writes down that nothing more comes into the newest stream. Nothing happens when it has ended.
///
/// # Errors
/// [`StoreError::Backend`], [`StoreError::Full`].
pub fn end_newest(folder: &Path, key: &Key, why: &str) -> Result<(), StoreError> {
    let Some(id) = newest_open(folder, key)? else {
        return Ok(());
    };
    let stream = Stream::of(folder, &id, key);
    let at = last_time(&stream).unwrap_or(0);
    stream.put_note(
        "ended.json",
        &End {
            at,
            why: why.to_owned(),
        },
    )
}

/// Removes what lies before a position (older streams, and earlier segments of its own) and writes that down.
///
/// # Errors
/// [`StoreError::Backend`] naming the file that stays.
pub fn forget_before(folder: &Path, key: &Key, keep: &Position) -> Result<u64, StoreError> {
    let mut gone = 0;
    let notes = Stream::notes_of(folder, key);
    let known: Option<Position> = notes.note(FORGOTTEN)?;
    if known.as_ref().is_none_or(|k| is_before(k, keep)) {
        // First, so that what is missing is never taken for damage.
        notes.put_note(FORGOTTEN, keep)?;
    }
    for id in ids(folder)? {
        let path = folder.join(&id);
        if id < keep.stream {
            std::fs::remove_dir_all(&path).map_err(failed(&path))?;
            gone += 1;
        } else if id == keep.stream {
            let inside = std::fs::read_dir(&path).map_err(failed(&path))?;
            for file in inside.filter_map(Result::ok).map(|e| e.path()) {
                let number = file
                    .file_stem()
                    .and_then(|s| s.to_str())
                    .and_then(|s| s.parse().ok());
                if number.is_some_and(|n: u32| n < keep.segment) {
                    std::fs::remove_file(&file).map_err(failed(&file))?;
                    gone += 1;
                }
            }
        }
    }
    Ok(gone)
}

/// `forgotten.json`: nothing before this position is kept.
const FORGOTTEN: &str = "forgotten.json";

/// Whether a position needs segments from before another.
fn is_before(a: &Position, b: &Position) -> bool {
    (&a.stream, a.segment) < (&b.stream, b.segment)
}

/// The commits of a stream, in order.
///
/// # Errors
/// [`StoreError::Damaged`] naming the file.
pub fn commits(folder: &Path, key: &Key, stream: &str) -> Result<Vec<Commit>, StoreError> {
    let s = Stream::of(folder, stream, key);
    let head: Option<Head> = s.note("head.json")?;
    let mut out = Vec::new();
    for segment in 1..=head.map_or(0, |h| h.segment) {
        let Some((_, records)) = s.read_times(segment, true)? else {
            continue;
        };
        out.extend(
            records
                .iter()
                .filter(|r| r.kind != Kind::Drained)
                .map(|r| Commit {
                    at: UtcMs(r.at),
                    audit: r.audit,
                    segment,
                    frame: r.end,
                }),
        );
    }
    Ok(out)
}

/// Reads the log after a position up to a moment (or to its end), checks every frame, time and seal on the way, and
/// writes the pages into `database` when one is given: a copy made at that position, with no WAL beside it. `live`: a
/// server is writing to the log meanwhile.
///
/// # Errors
/// [`StoreError::Damaged`] naming the part that is missing or was changed; [`StoreError::Refused`] when the log does
/// not reach the moment.
pub fn roll_forward(
    folder: &Path,
    key: &Key,
    from: &Position,
    until: Option<UtcMs>,
    live: bool,
    database: Option<&Path>,
) -> Result<Rolled, StoreError> {
    let mut roll = Roll::new(Stream::of(folder, &from.stream, key), until, live);
    if let Some(path) = database {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        roll.target = Some(file.map_err(failed(path))?);
    }
    roll.walk(folder, key, from)?;
    roll.finish(database)
}

/// The last commit after a position that can be reached: before the end, or before whatever is damaged.
#[must_use]
pub fn reach(folder: &Path, key: &Key, from: &Position) -> Option<UtcMs> {
    let mut roll = Roll::new(Stream::of(folder, &from.stream, key), None, false);
    // What is wrong after it is said elsewhere.
    let _ = roll.walk(folder, key, from);
    roll.out.last
}

struct Roll {
    stream: Stream,
    live: bool,
    until: Option<UtcMs>,
    target: Option<File>,
    out: Rolled,
    /// Pages of the database after the last commit.
    pages: u32,
    before: Option<Seal>,
}

impl Roll {
    fn new(stream: Stream, until: Option<UtcMs>, live: bool) -> Self {
        Self {
            stream,
            live,
            until,
            target: None,
            out: Rolled::default(),
            pages: 0,
            before: None,
        }
    }

    /// Segment by segment to the moment or the end.
    fn walk(&mut self, folder: &Path, key: &Key, from: &Position) -> Result<(), StoreError> {
        let stream = self.stream.clone();
        let forgotten: Option<Position> = Stream::notes_of(folder, key).note(FORGOTTEN)?;
        if forgotten.is_some_and(|f| is_before(from, &f)) {
            return Err(StoreError::Refused(
                "the redo log of this backup was let go of by its age: use a newer backup".to_owned(),
            ));
        }
        if !stream.folder.is_dir() {
            return Err(StoreError::Damaged(format!(
                "{} (the redo log of this backup is missing)",
                stream.folder.display()
            )));
        }
        let missing = |name: &str| damaged(&stream.folder.join(name), "it is missing");
        let who: Option<Who> = stream.note("stream.json")?;
        who.ok_or_else(|| missing("stream.json"))?;
        let head: Head = stream.note("head.json")?.ok_or_else(|| missing("head.json"))?;
        if let (Some(until), Some(end)) = (self.until, stream.note::<End>("ended.json")?)
            && until.0 > end.at
        {
            return Err(StoreError::Refused(format!(
                "the redo log of this backup ends at {} ms ({}): choose an earlier moment or a later backup",
                end.at, end.why
            )));
        }
        for segment in from.segment.max(1)..=head.segment {
            let after = if segment == from.segment { from.frame } else { 0 };
            if !self.segment(segment, after, segment == head.segment)? {
                break;
            }
        }
        Ok(())
    }

    /// False when the moment is reached.
    fn segment(&mut self, segment: u32, after: u32, last: bool) -> Result<bool, StoreError> {
        if !last {
            self.before = Some(self.seal(segment)?);
        }
        let path = self.stream.times(segment);
        let (salts, records) = self
            .stream
            .read_times(segment, last && self.live)?
            .ok_or_else(|| damaged(&path, "it is missing"))?;
        let wanted = |r: &&Record| r.kind != Kind::Drained && self.until.is_none_or(|u| r.at <= u.0);
        let ends: Vec<Record> = records.iter().filter(wanted).copied().collect();
        let all = ends.len() == records.iter().filter(|r| r.kind != Kind::Drained).count();
        self.out.segments += 1;
        let upto = ends.last().map_or(0, |r| r.end);
        let noted = records.last().map_or(0, |r| r.end);
        if upto > after || (all && noted > 0) {
            self.frames(
                segment,
                salts,
                after,
                &ends,
                all.then_some(noted).filter(|_| !(last && self.live)),
            )?;
        }
        Ok(all)
    }

    fn seal(&self, segment: u32) -> Result<Seal, StoreError> {
        let mut waited = Duration::ZERO;
        loop {
            match self.stream.check_seal(segment, self.before.as_ref()) {
                // The server may be making it.
                Err(_) if self.live && waited < PATIENCE && !self.stream.seal_file(segment).exists() => {
                    std::thread::sleep(STEP);
                    waited += STEP;
                }
                done => return done,
            }
        }
    }

    /// Writes the pages of the commits. `exactly`: the segment must end there.
    fn frames(
        &mut self,
        segment: u32,
        salts: [u8; 8],
        after: u32,
        ends: &[Record],
        exactly: Option<u32>,
    ) -> Result<(), StoreError> {
        let path = self.stream.wal(segment);
        let upto = ends.last().map_or(0, |r| r.end).max(exactly.unwrap_or(0));
        self.wait_for(&path, upto);
        let header = copied_header(&path)?.filter(|h| h.salts() == salts);
        let header = header.ok_or_else(|| damaged(&path, "it is missing or its head was changed"))?;
        let file = File::open(&path).map_err(failed(&path))?;
        let length = file.metadata().map_err(failed(&path))?.len();
        let mut frames =
            Frames::new(BufReader::with_capacity(1 << 18, file), header).map_err(failed(&path))?;
        let mut ends = ends.iter().filter(|r| r.end > after).peekable();
        while frames.count < upto {
            let number = frames.count + 1;
            let Some(frame) = frames.next().map_err(failed(&path))? else {
                let what = if length < super::wal::offset(number) {
                    "is missing"
                } else {
                    "was changed"
                };
                return Err(damaged(&path, format!("frame {number} of {upto} {what}")));
            };
            let Some(end) = ends.peek().filter(|_| number > after) else {
                continue;
            };
            if let Some(target) = &mut self.target {
                let at = u64::from(frame.page().saturating_sub(1)) * PAGE as u64;
                target
                    .seek(SeekFrom::Start(at))
                    .and_then(|_| target.write_all(frame.content()))
                    .map_err(failed(&path))?;
            }
            self.out.frames += 1;
            if frame.commit_pages() > 0 {
                self.pages = frame.commit_pages();
            }
            if number == end.end {
                if frame.commit_pages() == 0 {
                    return Err(damaged(&path, format!("frame {number} ends no commit")));
                }
                self.out.commits += 1;
                self.out.last = Some(UtcMs(end.at));
                self.out.audit = end.audit.max(self.out.audit);
                ends.next();
            }
        }
        if exactly.is_some_and(|n| length != super::wal::offset(n)) {
            return Err(damaged(
                &self.stream.times(segment),
                "it ends before the frames do",
            ));
        }
        Ok(())
    }

    /// A running server copies what it has noted within moments.
    fn wait_for(&self, path: &Path, frames: u32) {
        let mut waited = Duration::ZERO;
        let there = || std::fs::metadata(path).is_ok_and(|m| m.len() >= super::wal::offset(frames));
        while self.live && waited < PATIENCE && !there() {
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }

    fn finish(self, database: Option<&Path>) -> Result<Rolled, StoreError> {
        if let (Some(target), Some(path)) = (self.target, database)
            && self.pages > 0
        {
            let length = u64::from(self.pages) * PAGE as u64;
            target
                .set_len(length)
                .and_then(|()| target.sync_all())
                .map_err(failed(path))?;
        }
        Ok(self.out)
    }
}
