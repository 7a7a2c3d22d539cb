//! Going on with the redo log at a start: what can be proved to continue, continues; anything else begins anew.

use super::RedoOptions;
use super::copier::{Copied, read_copy, settle};
use super::files::{
    Closed, End, Head, Kind, Record, Stream, Who, copied_header, failed, private, private_folder, sync_folder,
};
use super::replay::newest_open;
use super::wal::{Frames, Header, last_commit};
use crate::cipher::{Key, beside};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::Path;
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;

/// Where keeping begins.
pub(super) struct Begun {
    pub stream: Stream,
    /// The last segment begun; 0 before the first.
    pub segment: u32,
    /// The run of the WAL that is being copied, when the last segment is of it.
    pub copied: Option<Copied>,
    pub last_at: i64,
}

/// Why a stream cannot go on.
enum Why {
    /// It cannot be proved that nothing is missing.
    Gap(&'static str),
    Fault(StoreError),
}
impl From<StoreError> for Why {
    fn from(e: StoreError) -> Self {
        Self::Fault(e)
    }
}

pub(super) fn begin(options: &RedoOptions, database: &Path, key: &Key) -> Result<Begun, StoreError> {
    private_folder(&options.folder).map_err(failed(&options.folder))?;
    let now = (options.clock)().0;
    if let Some(id) = newest_open(&options.folder, key)? {
        let stream = Stream::of(&options.folder, &id, key);
        let last_at = last_time(&stream).unwrap_or(0);
        let why = match go_on(&stream, database, now) {
            Ok(begun) => return Ok(begun),
            Err(Why::Gap(why)) => why.to_owned(),
            Err(Why::Fault(e)) => e.to_string(),
        };
        tracing::warn!(
            why,
            "the redo log begins a new stream: it needs a backup of its own"
        );
        stream.put_note("ended.json", &End { at: last_at, why })?;
    }
    let stream = fresh(&options.folder, key, now)?;
    Ok(Begun {
        stream,
        segment: 0,
        copied: None,
        last_at: now,
    })
}

/// Copies what the WAL of a database nobody has open still holds into its log, as the next start would.
///
/// # Errors
/// [`StoreError::Backend`] and [`StoreError::Full`] when the log cannot be written; [`StoreError::Refused`] when the
/// WAL does not continue it.
pub fn catch_up(folder: &Path, now: UtcMs, database: &Path, key: &Key) -> Result<(), StoreError> {
    let Some(id) = newest_open(folder, key)? else {
        return Ok(());
    };
    match go_on(&Stream::of(folder, &id, key), database, now.0) {
        Ok(_) => Ok(()),
        Err(Why::Gap(why)) => Err(StoreError::Refused(why.to_owned())),
        Err(Why::Fault(e)) => Err(e),
    }
}

/// A stream that holds nothing yet.
pub(super) fn fresh(folder: &Path, key: &Key, now: i64) -> Result<Stream, StoreError> {
    let mut random = [0; 4];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| StoreError::Backend {
            doing: "naming a stream of the redo log",
            cause: "the operating system gave no random bytes".to_owned(),
        })?;
    let id = format!("s-{now:013}-{:08x}", u32::from_be_bytes(random));
    let stream = Stream::of(folder, &id, key);
    private_folder(&stream.folder)
        .and_then(|()| sync_folder(folder))
        .map_err(failed(&stream.folder))?;
    stream.put_note("head.json", &Head { segment: 0 })?;
    stream.put_note("stream.json", &Who { id, began: now })?;
    Ok(stream)
}

/// The time of the last commit a stream knows, as far as it can be read.
pub(super) fn last_time(stream: &Stream) -> Option<i64> {
    let who: Who = stream.note("stream.json").ok()??;
    let head: Head = stream.note("head.json").ok()??;
    let last = (1..=head.segment)
        .rev()
        .find_map(|n| stream.read_times(n, true).ok()??.1.last().map(|r| r.at));
    Some(last.unwrap_or(who.began))
}

fn go_on(stream: &Stream, database: &Path, now: i64) -> Result<Begun, Why> {
    let Some(head) = stream.note::<Head>("head.json")? else {
        return Err(Why::Gap("its head is missing"));
    };
    let last_at = last_time(stream).unwrap_or(now);
    let wal_path = beside(database, "-wal");
    let wal = Header::read(&wal_path).map_err(failed(&wal_path))?;
    let segment = head.segment;
    let times = match segment {
        0 => None,
        n => stream.read_times(n, true)?,
    };
    let closed: Option<Closed> = stream.note("closed.json")?;
    let is_closed = |frames: u32| closed.is_some() && closed == Closed::of(database, segment, frames);
    let begun = |copied: Option<Copied>, last_at: i64| Begun {
        stream: stream.clone(),
        segment,
        copied,
        last_at,
    };
    let Some((salts, records)) = times else {
        return if segment == 0 && is_closed(0) {
            Ok(begun(None, last_at))
        } else {
            Err(Why::Gap("its times are missing"))
        };
    };
    let end = records.last().map_or(0, |r| r.end);
    if let Some(header) = wal.filter(|h| h.salts() == salts) {
        let (copied, at) = same_run(stream, segment, header, &wal_path, (end, last_at, now))?;
        return Ok(begun(Some(copied), at));
    }
    // Another run, or none: the one the segment is of must have been copied to its end.
    let drained = records.last().is_some_and(|r| r.kind == Kind::Drained);
    let held = copied_header(&stream.wal(segment))?;
    let frames = match held {
        Some(h) if h.salts() == salts => read_copy(stream, segment, h)?.frames,
        _ => 0,
    };
    let follows = held.zip(wal).is_some_and(|(old, new)| new.follows(&old));
    if frames == end && (is_closed(frames) || (drained && follows)) {
        stream.seal(segment)?;
        return Ok(begun(None, last_at));
    }
    Err(Why::Gap("the database was written to while the log was not kept"))
}

/// The WAL is still the one that was being copied: copies the rest of it.
fn same_run(
    stream: &Stream,
    segment: u32,
    header: Header,
    wal: &Path,
    (end, last_at, now): (u32, i64, i64),
) -> Result<(Copied, i64), Why> {
    if segment > 1 && !stream.seal_file(segment - 1).exists() {
        stream.seal(segment - 1)?;
    }
    let path = stream.wal(segment);
    if copied_header(&path)?.is_none_or(|h| h != header) {
        let mut file = private(&path, true).map_err(failed(&path))?;
        file.write_all(&header.bytes).map_err(failed(&path))?;
    }
    let mut copied = settle(stream, segment, header)?;
    let open = || File::open(wal).map_err(failed(wal));
    let mut there = Frames::new(BufReader::with_capacity(1 << 18, open()?), header).map_err(failed(wal))?;
    while there.count < copied.frames {
        if there.next().map_err(failed(wal))?.is_none() {
            return Err(Why::Gap("the WAL holds less than was copied of it"));
        }
    }
    if copied.sum.is_some_and(|s| s != there.sum) {
        return Err(Why::Gap("the WAL holds other frames than were copied of it"));
    }
    let last = last_commit(open()?, header, there.count, there.sum).map_err(failed(wal))?;
    if last < end {
        return Err(Why::Gap("the WAL holds less than was committed"));
    }
    let mut file = private(&path, false).map_err(failed(&path))?;
    while there.count < last {
        let Some(frame) = there.next().map_err(failed(wal))? else {
            return Err(Why::Gap("the WAL changed while it was read"));
        };
        file.write_all(frame.bytes).map_err(failed(&path))?;
    }
    file.sync_data().map_err(failed(&path))?;
    // A record cut short by the kill goes; what it would have said follows.
    let times = stream.times(segment);
    let whole = std::fs::metadata(&times).map_err(failed(&times))?.len();
    let kept = whole - super::files::cut_short(whole);
    let mut file = private(&times, false).map_err(failed(&times))?;
    file.set_len(kept).map_err(failed(&times))?;
    let mut at = last_at;
    if last > end {
        at = last_at.max(now);
        let found = Record {
            end: last,
            kind: Kind::Found,
            at,
            audit: 0,
        };
        file.write_all(&stream.record(segment, &found))
            .map_err(failed(&times))?;
    }
    file.sync_data().map_err(failed(&times))?;
    copied.frames = last;
    copied.sum = (last > 0).then_some(there.sum);
    Ok((copied, at))
}
