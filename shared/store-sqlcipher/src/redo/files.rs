//! The files of a stream: names, times, seals, small signed notes.

use super::wal;
use crate::cipher::{Key, io_fault};
use ring::hmac;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use vitrine_store::StoreError;

const LABEL: &str = "vitrine redo 1";
const MAC: usize = 16;
const MAGIC: &[u8; 8] = b"VTTIMES1";
/// Bytes of the head of a file of times: magic, segment, salts, MAC.
const TIMES_HEAD: usize = 8 + 4 + 8 + MAC;
/// Bytes of one record: end, kind, time, audit row, MAC.
pub(super) const RECORD: usize = 4 + 4 + 8 + 8 + MAC;

/// A place in the redo log: after so many frames of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The stream's id.
    pub stream: String,
    /// Segment, from 1; 0 before the first.
    pub segment: u32,
    /// Frames of it.
    pub frame: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.stream, self.segment, self.frame)
    }
}

impl std::str::FromStr for Position {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let wrong = || StoreError::Refused(format!("'{text}' is no position of a redo log"));
        let mut parts = text.split('/');
        let (stream, segment, frame) = (parts.next(), parts.next(), parts.next());
        match (
            stream,
            segment.map(str::parse),
            frame.map(str::parse),
            parts.next(),
        ) {
            (Some(stream), Some(Ok(segment)), Some(Ok(frame)), None) if is_stream(stream) => Ok(Self {
                stream: stream.to_owned(),
                segment,
                frame,
            }),
            _ => Err(wrong()),
        }
    }
}

/// Whether a name is a stream's: it becomes part of a path.
pub(super) fn is_stream(name: &str) -> bool {
    name.strip_prefix("s-").is_some_and(|rest| {
        (1..=40).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// What a record of times says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A commit of the writer.
    Commit,
    /// Everything up to here is copied; the WAL may begin anew.
    Drained,
    /// Commits found in the WAL at a start: nobody had an answer to them yet.
    Found,
}

/// One record of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Frames of the segment after the commit.
    pub end: u32,
    pub kind: Kind,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Last row of the server's audit chain.
    pub audit: u64,
}

/// The salts of a segment's run of the WAL, and its records.
pub(super) type Times = ([u8; 8], Vec<Record>);

/// Says that the disk failed, and about what.
pub(super) fn failed(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    move |e| match io_fault("keeping the redo log", &e) {
        StoreError::Backend { doing, cause } => StoreError::Backend {
            doing,
            cause: format!("{}: {cause}", path.display()),
        },
        other => other,
    }
}

/// A file is not what it was when it was written.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{} ({what})", path.display()))
}

/// A stream's folder with its key.
#[derive(Clone)]
pub(super) struct Stream {
    pub folder: PathBuf,
    pub id: String,
    key: hmac::Key,
}

impl Stream {
    pub fn of(folder: &Path, id: &str, key: &Key) -> Self {
        Self {
            folder: folder.join(id),
            id: id.to_owned(),
            key: key.derive(LABEL),
        }
    }
    /// The notes of the folder itself.
    pub fn notes_of(folder: &Path, key: &Key) -> Self {
        Self {
            folder: folder.to_owned(),
            id: String::new(),
            key: key.derive(LABEL),
        }
    }
    pub fn wal(&self, segment: u32) -> PathBuf {
        self.folder.join(format!("{segment:08}.wal"))
    }
    pub fn times(&self, segment: u32) -> PathBuf {
        self.folder.join(format!("{segment:08}.times"))
    }
    pub fn seal_file(&self, segment: u32) -> PathBuf {
        self.folder.join(format!("{segment:08}.seal"))
    }

    fn mac(&self, what: &str, bytes: &[u8]) -> hmac::Tag {
        let mut ctx = hmac::Context::with_key(&self.key);
        for part in [self.id.as_bytes(), &[0], what.as_bytes(), &[0], bytes] {
            ctx.update(part);
        }
        ctx.sign()
    }

    /// Writes a note durably, with its MAC.
    pub fn put_note(&self, name: &str, note: &impl Serialize) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let mut text = serde_json::to_vec(note).map_err(|e| failed(&path)(e.into()))?;
        let mac = self.mac(name, &text);
        text.push(b'\n');
        mac.as_ref()
            .iter()
            .for_each(|b| text.extend_from_slice(format!("{b:02x}").as_bytes()));
        text.push(b'\n');
        let part = self.folder.join(format!("{name}.part"));
        let write = || {
            let mut file = private(&part, true)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            sync_folder(&self.folder)
        };
        write().map_err(failed(&path))
    }
    /// Reads a note; `None` when it is not there.
    pub fn note<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.folder.join(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                return Err(damaged(&path, "it was changed"));
            }
            Err(e) => return Err(failed(&path)(e)),
        };
        let mut lines = text.split('\n');
        let (body, mac) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let want = self.mac(name, body.as_bytes());
        let hex: String = want.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        if hex != mac || lines.next() != Some("") || lines.next().is_some() {
            return Err(damaged(&path, "it was changed"));
        }
        serde_json::from_str(body)
            .map(Some)
            .map_err(|_| damaged(&path, "it is of another version"))
    }

    fn times_head(&self, segment: u32, salts: [u8; 8]) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&segment.to_be_bytes());
        head.extend_from_slice(&salts);
        let mac = self.mac("times", &head);
        head.extend_from_slice(&mac.as_ref()[..MAC]);
        head
    }
    /// Begins the file of times of a segment.
    pub fn begin_times(&self, segment: u32, salts: [u8; 8]) -> Result<File, StoreError> {
        let path = self.times(segment);
        let begin = || {
            let mut file = private(&path, true)?;
            file.write_all(&self.times_head(segment, salts))?;
            Ok(file)
        };
        begin().map_err(failed(&path))
    }
    /// The bytes of a record.
    pub fn record(&self, segment: u32, r: &Record) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[..4].copy_from_slice(&r.end.to_be_bytes());
        out[4..8].copy_from_slice(&(r.kind as u32).to_be_bytes());
        out[8..16].copy_from_slice(&r.at.to_be_bytes());
        out[16..24].copy_from_slice(&r.audit.to_be_bytes());
        let mac = self.mac(&format!("time {segment}"), &out[..RECORD - MAC]);
        out[RECORD - MAC..].copy_from_slice(&mac.as_ref()[..MAC]);
        out
    }
    /// The salts and the records of a segment; `None` when the file is not there. A record that was cut short by a
    /// kill is left out when `cut` allows it.
    pub fn read_times(&self, segment: u32, cut: bool) -> Result<Option<Times>, StoreError> {
        let path = self.times(segment);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut f| f.read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(&path)(e)),
        }
        let Some((head, rest)) = bytes.split_at_checked(TIMES_HEAD) else {
            return if cut {
                Ok(None)
            } else {
                Err(damaged(&path, "it ends within its head"))
            };
        };
        let salts: [u8; 8] = head[12..20].try_into().unwrap_or_default();
        if self.times_head(segment, salts) != head {
            return Err(damaged(&path, "its head was changed"));
        }
        let (records, left) = rest.as_chunks::<RECORD>();
        if !left.is_empty() && !cut {
            return Err(damaged(
                &path,
                format!("record {} is cut short", records.len() + 1),
            ));
        }
        let mut out: Vec<Record> = Vec::with_capacity(records.len());
        for (n, bytes) in records.iter().enumerate() {
            let r = parse(bytes).filter(|r| self.record(segment, r) == *bytes);
            let r = r.filter(|r| out.last().is_none_or(|b| b.end <= r.end && b.at <= r.at));
            out.push(r.ok_or_else(|| damaged(&path, format!("record {} was changed", n + 1)))?);
        }
        Ok(Some((salts, out)))
    }

    /// Seals a segment whose run is over.
    pub fn seal(&self, segment: u32) -> Result<(), StoreError> {
        let before: Option<Seal> = match segment {
            0 | 1 => None,
            n => self.note(&seal_name(n - 1))?,
        };
        let seal = Seal {
            segment,
            wal: digest(&self.wal(segment))?,
            times: digest(&self.times(segment))?,
            before: before.map(|b| b.wal),
        };
        self.put_note(&seal_name(segment), &seal)
    }
    /// Compares a segment with its seal, and its seal with the one before.
    pub fn check_seal(&self, segment: u32, before: Option<&Seal>) -> Result<Seal, StoreError> {
        let path = self.seal_file(segment);
        let seal: Option<Seal> = self.note(&seal_name(segment))?;
        let seal = seal.ok_or_else(|| damaged(&path, "it is missing"))?;
        if seal.segment != segment || before.is_some_and(|b| seal.before.as_ref() != Some(&b.wal)) {
            return Err(damaged(&path, "it belongs elsewhere"));
        }
        for (file, kept) in [(self.wal(segment), &seal.wal), (self.times(segment), &seal.times)] {
            if digest(&file)? != *kept {
                return Err(damaged(&file, "it is not what was sealed"));
            }
        }
        Ok(seal)
    }
}

fn parse(bytes: &[u8; RECORD]) -> Option<Record> {
    let kind = match u32::from_be_bytes(bytes[4..8].try_into().ok()?) {
        0 => Kind::Commit,
        1 => Kind::Drained,
        2 => Kind::Found,
        _ => return None,
    };
    Some(Record {
        end: u32::from_be_bytes(bytes[..4].try_into().ok()?),
        kind,
        at: i64::from_be_bytes(bytes[8..16].try_into().ok()?),
        audit: u64::from_be_bytes(bytes[16..24].try_into().ok()?),
    })
}

pub(super) fn seal_name(segment: u32) -> String {
    format!("{segment:08}.seal")
}

fn digest(path: &Path) -> Result<String, StoreError> {
    let mut file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => damaged(path, "it is missing"),
        _ => failed(path)(e),
    })?;
    let mut hash = blake3::Hasher::new();
    std::io::copy(&mut file, &mut hash).map_err(failed(path))?;
    Ok(hash.finalize().to_hex().to_string())
}

/// Hashes of a segment's two files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub segment: u32,
    pub wal: String,
    pub times: String,
    /// `wal` of the segment before.
    pub before: Option<String>,
}

/// `stream.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Who {
    pub id: String,
    pub began: i64,
}
/// `head.json`: the segment being written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub segment: u32,
}
/// `closed.json`: everything is copied and in the database file, which looks like this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub segment: u32,
    pub frames: u32,
    pub bytes: u64,
    pub modified_ns: u64,
}
/// `ended.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct End {
    /// The last moment the stream knows about.
    pub at: i64,
    pub why: String,
}

impl Closed {
    /// How a database file looks now.
    pub fn of(database: &Path, segment: u32, frames: u32) -> Option<Self> {
        let meta = std::fs::metadata(database).ok()?;
        let modified = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self {
            segment,
            frames,
            bytes: meta.len(),
            modified_ns: u64::try_from(modified.as_nanos()).ok()?,
        })
    }
}

/// Makes a file only its owner may read.
pub(super) fn private(path: &Path, fresh: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(fresh);
    if !fresh {
        options.append(true);
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(super) fn private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    Ok(())
}

/// The header at the beginning of a segment's copy; `None` when nothing was copied yet.
pub(super) fn copied_header(path: &Path) -> Result<Option<wal::Header>, StoreError> {
    wal::Header::read(path).map_err(failed(path))
}

/// Bytes at the end of a file of times that are no whole record.
pub(super) const fn cut_short(length: u64) -> u64 {
    length.saturating_sub(TIMES_HEAD as u64) % RECORD as u64
}
