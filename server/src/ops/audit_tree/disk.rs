//! The log's files: `audit-tree/` in the data folder.
//!
//! Lives here: their form, appending to them, opening them again after a power cut. Never here: what rows are, when.
//! Called by [`super`], on threads that may wait for a disk.
//!
//! ```text
//! origin       the log's name; written last when a log is begun
//! chains       names of chains, one a line, in the order of their numbers
//! leaves       64 bytes a row: chain's number (4), seq (8), salt (16), row hash (32), check (4); big endian
//! journal      one line of JSON a checkpoint (`vitrine_access::tree::book::Line`, without leaves)
//! checkpoint   the newest signed note
//! witness-…    how far in the journal a witness is
//! faults       one line of JSON each time the log stopped
//! ```
//! Leaves are synced before the journal, the journal before `checkpoint`. What lies behind the journal's last whole line
//! was never signed, so nobody has seen it: it is cut off at opening and appended anew.

use super::TreeFault;
use crate::clock;
use crate::data_dir;
use crate::keys::{self, Keys};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use vitrine_access::chain::Head;
use vitrine_access::tree::book::{Book, Line, Moved, leaf_of, moved_line};
use vitrine_access::tree::note::{Checkpoint, b64};
use vitrine_access::tree::{Frontier, Hash};

/// Bytes of a leaf on disk.
pub const RECORD: usize = 64;
/// The longest line of the journal that is read, bytes.
const LINE_MOST: u64 = 16 << 20;

/// A row that is to be appended: number and hash.
pub type NewRow = (u64, Hash);

/// The open log.
pub struct Disk {
    folder: PathBuf,
    origin: String,
    leaves: File,
    journal: File,
    names: Vec<String>,
    heads: BTreeMap<String, Head>,
    frontier: Frontier,
    newest: Option<String>,
    /// When that was signed, FHIR instant.
    newest_at: Option<String>,
}

fn io<'a>(doing: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> TreeFault + 'a {
    move |e| TreeFault::Files(format!("{doing} {}: {e}", path.display()))
}

fn damaged(path: &Path, what: &str) -> TreeFault {
    TreeFault::Files(format!(
        "{}: {what}; keep the folder as evidence, docs/RUNBOOK.md says how a new log is begun",
        path.display()
    ))
}

fn private(path: &Path) -> Result<File, TreeFault> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(io("cannot open", path))
}

fn record(chain: u32, seq: u64, salt: &[u8; 16], row: &Hash) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    out[..4].copy_from_slice(&chain.to_be_bytes());
    out[4..12].copy_from_slice(&seq.to_be_bytes());
    out[12..28].copy_from_slice(salt);
    out[28..60].copy_from_slice(row);
    let check = Sha256::digest(&out[..60]);
    out[60..].copy_from_slice(&check[..4]);
    out
}

/// Chain's number, seq, salt, row hash; `None` for one that is damaged.
fn parse(r: &[u8; RECORD]) -> Option<(usize, u64, [u8; 16], Hash)> {
    if Sha256::digest(&r[..60])[..4] != r[60..] {
        return None;
    }
    let chain = u32::from_be_bytes(r[..4].try_into().ok()?);
    let seq = u64::from_be_bytes(r[4..12].try_into().ok()?);
    Some((
        usize::try_from(chain).ok()?,
        seq,
        r[12..28].try_into().ok()?,
        r[28..60].try_into().ok()?,
    ))
}

/// The last whole line of the journal and where it ends; what lies behind it is torn.
fn last_line(file: &mut File, path: &Path) -> Result<(Option<String>, u64), TreeFault> {
    file.seek(SeekFrom::Start(0)).map_err(io("cannot read", path))?;
    let (mut reader, mut end, mut last) = (BufReader::new(&mut *file), 0, None);
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = reader
            .by_ref()
            .take(LINE_MOST)
            .read_until(b'\n', &mut line)
            .map_err(io("cannot read", path))?;
        if n == 0 || line.last() != Some(&b'\n') {
            break;
        }
        end += n as u64;
        std::mem::swap(last.get_or_insert_with(Vec::new), &mut line);
    }
    let last = last.map(String::from_utf8).transpose();
    let last = last.map_err(|_| damaged(path, "its last line is no text"))?;
    Ok((last, end))
}

impl Disk {
    /// Opens the log, or begins one where there is none.
    ///
    /// # Errors
    /// [`TreeFault::Files`] when it cannot be read, or is not what was signed.
    pub fn open(folder: &Path, node: &str, keys: &Keys) -> Result<Self, TreeFault> {
        let at = |name: &str| folder.join(name);
        data_dir::make_private_folder(folder).map_err(|f| TreeFault::Files(f.text))?;
        let (mut leaves, mut journal) = (private(&at("leaves"))?, private(&at("journal"))?);
        let length = |f: &File| f.metadata().map_or(0, |m| m.len());
        if !at("origin").exists() {
            if length(&leaves) + length(&journal) > 0 {
                return Err(damaged(&at("origin"), "it is gone"));
            }
            let node: String = node
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || "-._".contains(c) {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            let origin = format!("vitrine-audit/{node}/{}", keys::hex(&clock::random::<8>()));
            data_dir::write_durably(&at("origin"), format!("{origin}\n").as_bytes(), 0o600)
                .map_err(|f| TreeFault::Files(f.text))?;
        }
        let origin = std::fs::read_to_string(at("origin")).map_err(io("cannot read", &at("origin")))?;
        let origin = origin.trim_end().to_owned();

        let (last, end) = last_line(&mut journal, &at("journal"))?;
        if end < length(&journal) {
            tracing::warn!("the audit log's journal ended in the middle of a line: it was cut off");
            journal
                .set_len(end)
                .and_then(|()| journal.sync_all())
                .map_err(io("cannot heal", &at("journal")))?;
        }
        let public = keys.public();
        let open = |note: &str| Checkpoint::open(note, &public, |m, s| keys::verifies(&public, m, s));
        let (mut newest, mut newest_at) = (None, None);
        if let Some(text) = last {
            let line = Line::parse(&text).map_err(|why| damaged(&at("journal"), &why))?;
            let c = open(&line.note).map_err(|e| damaged(&at("journal"), &e.to_string()))?;
            if c.origin != origin {
                return Err(damaged(&at("journal"), "it is of another log"));
            }
            newest_at = Some(line.at);
            newest = Some((line.note, c));
        }
        let signed = newest.as_ref().map_or(0, |(_, c)| c.size);
        match std::fs::read_to_string(at("checkpoint")) {
            Ok(note) => {
                let c = open(&note).map_err(|e| damaged(&at("checkpoint"), &e.to_string()))?;
                if c.size > signed {
                    return Err(damaged(
                        &at("journal"),
                        "its end is gone: a newer checkpoint was signed",
                    ));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io("cannot read", &at("checkpoint"))(e)),
        }
        let names = read_names(&at("chains"))?;
        let (mut heads, mut frontier) = (BTreeMap::<String, Head>::new(), Frontier::default());
        walk(
            &mut leaves,
            &at("leaves"),
            signed,
            &names,
            |name, seq, salt, row| {
                frontier.push(leaf_of(name, seq, &row, &salt));
                let head = heads.entry(name.to_owned()).or_insert(Head::EMPTY);
                let follows = seq == head.seq + 1;
                *head = Head { seq, hash: row };
                follows
            },
        )?;
        if newest.as_ref().is_some_and(|(_, c)| c.root != frontier.root()) {
            return Err(damaged(&at("leaves"), "they are not those that were signed"));
        }
        if length(&leaves) > signed * RECORD as u64 {
            tracing::warn!(
                "leaves of the audit log that were not signed yet were cut off; they are appended anew"
            );
            leaves
                .set_len(signed * RECORD as u64)
                .and_then(|()| leaves.sync_all())
                .map_err(io("cannot heal", &at("leaves")))?;
        }
        let newest = newest.map(|(note, _)| note);
        let disk = Self {
            folder: folder.to_owned(),
            origin,
            leaves,
            journal,
            names,
            heads,
            frontier,
            newest,
            newest_at,
        };
        disk.publish()?;
        Ok(disk)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
    /// Where each chain stands in the log.
    #[must_use]
    pub const fn heads(&self) -> &BTreeMap<String, Head> {
        &self.heads
    }
    /// Rows in it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }
    /// The newest checkpoint's note.
    #[must_use]
    pub fn newest(&self) -> Option<&str> {
        self.newest.as_deref()
    }

    /// When that was signed.
    #[must_use]
    pub fn newest_at(&self) -> Option<&str> {
        self.newest_at.as_deref()
    }

    fn publish(&self) -> Result<(), TreeFault> {
        let path = self.folder.join("checkpoint");
        match &self.newest {
            Some(note) if std::fs::read_to_string(&path).ok().as_ref() != Some(note) => {
                data_dir::write_durably(&path, note.as_bytes(), 0o600).map_err(|f| TreeFault::Files(f.text))
            }
            _ => Ok(()),
        }
    }

    /// Appends rows that continue their chains, and signs a checkpoint of what there is then.
    ///
    /// # Errors
    /// [`TreeFault::Files`]; the log is then to be opened again before it is used.
    pub fn append(&mut self, new: &[(String, Vec<NewRow>)], keys: &Keys) -> Result<(), TreeFault> {
        let leaves_at = self.folder.join("leaves");
        let (mut bytes, mut moved, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (chain, rows) in new {
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
                continue;
            };
            let number = match self.names.iter().position(|n| n == chain) {
                Some(n) => n,
                None => {
                    names.push(chain.clone());
                    self.names.push(chain.clone());
                    self.names.len() - 1
                }
            };
            let number =
                u32::try_from(number).map_err(|_| damaged(&leaves_at, "there are too many chains"))?;
            let mut head = self.heads.get(chain).copied().unwrap_or(Head::EMPTY);
            for (seq, row) in rows {
                if *seq != head.seq + 1 {
                    return Err(damaged(&leaves_at, "a row does not follow"));
                }
                let salt = clock::random::<16>();
                bytes.extend_from_slice(&record(number, *seq, &salt, row));
                self.frontier.push(leaf_of(chain, *seq, row, &salt));
                head = Head {
                    seq: *seq,
                    hash: *row,
                };
            }
            self.heads.insert(chain.clone(), head);
            moved.push(Moved {
                chain: chain.clone(),
                first: first.0,
                last: last.0,
                hash: b64(&last.1),
            });
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if !names.is_empty() {
            let path = self.folder.join("chains");
            let text: String = names.iter().map(|n| format!("{n}\n")).collect();
            let mut file = private(&path)?;
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(io("cannot write", &path))?;
        }
        self.leaves
            .write_all(&bytes)
            .and_then(|()| self.leaves.sync_all())
            .map_err(io("cannot write", &leaves_at))?;
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            more: vec![moved_line(&moved)],
        };
        let signature = keys.signature(checkpoint.text().as_bytes());
        let line = Line {
            note: checkpoint.sealed(&keys.public(), &signature),
            at: clock::instant(clock::now()),
            moved,
            leaves: None,
        };
        let path = self.folder.join("journal");
        let mut text = serde_json::to_string(&line).map_err(|e| damaged(&path, &e.to_string()))?;
        text.push('\n');
        self.journal
            .write_all(text.as_bytes())
            .and_then(|()| self.journal.sync_all())
            .map_err(io("cannot write", &path))?;
        self.newest_at = Some(line.at);
        self.newest = Some(line.note);
        self.publish()
    }

    /// The log whole.
    ///
    /// # Errors
    /// [`TreeFault::Files`].
    pub fn book(&mut self) -> Result<Book, TreeFault> {
        let mut book = Book::new();
        let (path, size) = (self.folder.join("leaves"), self.frontier.size());
        walk(
            &mut self.leaves,
            &path,
            size,
            &self.names,
            |name, seq, salt, row| book.push(name, seq, row, salt),
        )?;
        Ok(book)
    }

    /// Lines of the journal from a place on, with their leaves, at most `most`; each with the place behind it.
    ///
    /// # Errors
    /// [`TreeFault::Files`].
    pub fn lines(&mut self, from: u64, most: usize) -> Result<Vec<(Line, u64)>, TreeFault> {
        let path = self.folder.join("journal");
        let mut file = File::open(&path).map_err(io("cannot read", &path))?;
        let length = file.metadata().map_err(io("cannot read", &path))?.len();
        // An older copy of the folder was put back: everything is sent again.
        let mut at = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(at)).map_err(io("cannot read", &path))?;
        let (mut reader, mut out) = (BufReader::new(file), Vec::new());
        while out.len() < most {
            let mut text = String::new();
            let n = reader.read_line(&mut text).map_err(io("cannot read", &path))?;
            if n == 0 || !text.ends_with('\n') {
                break;
            }
            at += n as u64;
            let mut line = Line::parse(&text).map_err(|why| damaged(&path, &why))?;
            let size: u64 = line.note.lines().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            let count: u64 = line.moved.iter().map(|m| m.last - m.first + 1).sum();
            line.leaves = Some(b64(&self.hashes(size.saturating_sub(count), count)?));
            out.push((line, at));
        }
        Ok(out)
    }

    fn hashes(&mut self, from: u64, count: u64) -> Result<Vec<u8>, TreeFault> {
        let path = self.folder.join("leaves");
        self.leaves
            .seek(SeekFrom::Start(from * RECORD as u64))
            .map_err(io("cannot read", &path))?;
        let mut out = Vec::new();
        for _ in 0..count {
            let mut r = [0; RECORD];
            self.leaves.read_exact(&mut r).map_err(io("cannot read", &path))?;
            let (name, seq, salt, row) = parse(&r)
                .and_then(|(n, seq, salt, row)| Some((self.names.get(n)?, seq, salt, row)))
                .ok_or_else(|| damaged(&path, "a leaf cannot be read"))?;
            out.extend_from_slice(&leaf_of(name, seq, &row, &salt));
        }
        Ok(out)
    }
}

fn read_names(path: &Path) -> Result<Vec<String>, TreeFault> {
    let file = private(path)?;
    let text = std::fs::read(path).map_err(io("cannot read", path))?;
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    if whole < text.len() {
        file.set_len(whole as u64)
            .and_then(|()| file.sync_all())
            .map_err(io("cannot heal", path))?;
    }
    let text = String::from_utf8(text[..whole].to_vec()).map_err(|_| damaged(path, "it is no text"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The first `size` leaves in order; `take` says whether one follows the leaf before it of its chain.
fn walk(
    leaves: &mut File,
    path: &Path,
    size: u64,
    names: &[String],
    mut take: impl FnMut(&str, u64, [u8; 16], Hash) -> bool,
) -> Result<(), TreeFault> {
    leaves.seek(SeekFrom::Start(0)).map_err(io("cannot read", path))?;
    let mut reader = BufReader::with_capacity(1 << 20, leaves);
    for n in 0..size {
        let mut r = [0; RECORD];
        reader.read_exact(&mut r).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                damaged(path, &format!("{size} leaves were signed, there are {n}"))
            }
            _ => io("cannot read", path)(e),
        })?;
        let good = parse(&r).is_some_and(|(chain, seq, salt, row)| {
            names.get(chain).is_some_and(|name| take(name, seq, salt, row))
        });
        if !good {
            return Err(damaged(path, &format!("leaf {n} is damaged")));
        }
    }
    Ok(())
}
