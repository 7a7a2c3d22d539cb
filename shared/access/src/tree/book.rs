//! The log of all audit chains, and what a witness saw of it.
//!
//! Lives here: a leaf, the log as a value ([`Book`]), the comparison of a chain with it ([`Compare`]), a witness's line
//! and the check of a witness's lines ([`check`]). Never here: files, keys. Called by the server's audit log.
//!
//! A leaf is `SHA-256(0x00 ‖ salt (16) ‖ seq (8, big endian) ‖ row hash (32) ‖ chain's name)`. The row hash already binds
//! the row's body, its number and every row before it. The salt is what lets a row be destroyed: without body and salt
//! nothing can be tried against the leaf, and proofs of all other rows still hold.

use super::note::{Checkpoint, b64, unb64};
use super::{Frontier, Hash, leaf_hash, root};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Random bytes in a leaf.
pub type Salt = [u8; 16];

/// A row as the log holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Index of the chain's name in [`Book::names`].
    pub chain: u32,
    /// The row's number in its chain, from 1.
    pub seq: u64,
    /// The row's hash.
    pub row: Hash,
    /// Drawn for this leaf.
    pub salt: Salt,
}

/// The hash of a row's leaf.
#[must_use]
pub fn leaf_of(chain: &str, seq: u64, row: &Hash, salt: &Salt) -> Hash {
    let mut input = Vec::with_capacity(56 + chain.len());
    input.extend_from_slice(salt);
    input.extend_from_slice(&seq.to_be_bytes());
    input.extend_from_slice(row);
    input.extend_from_slice(chain.as_bytes());
    leaf_hash(&input)
}

/// The log whole, in memory: about 120 bytes a row. For checks and proofs.
#[derive(Debug, Clone, Default)]
pub struct Book {
    names: Vec<String>,
    leaves: Vec<Leaf>,
    hashes: Vec<Hash>,
    /// By chain: where each row lies, row 1 first.
    at: Vec<Vec<usize>>,
    number: BTreeMap<String, u32>,
}

impl Book {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Appends a row; `false` when it does not follow the last row of its chain, and then nothing is changed.
    pub fn push(&mut self, chain: &str, seq: u64, row: Hash, salt: Salt) -> bool {
        let rows = self
            .number
            .get(chain)
            .map_or(0, |n| self.at[*n as usize].len() as u64);
        let Ok(new) = u32::try_from(self.names.len()) else {
            return false;
        };
        if seq != rows + 1 {
            return false;
        }
        let n = *self.number.entry(chain.to_owned()).or_insert(new);
        if n == new {
            self.names.push(chain.to_owned());
            self.at.push(Vec::new());
        }
        self.at[n as usize].push(self.leaves.len());
        self.leaves.push(Leaf {
            chain: n,
            seq,
            row,
            salt,
        });
        self.hashes.push(leaf_of(chain, seq, &row, &salt));
        true
    }
    /// Names of the chains, in the order of their first rows.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
    /// Its leaves in order.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }
    /// Their hashes.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }
    /// Where a row lies.
    #[must_use]
    pub fn index(&self, chain: &str, seq: u64) -> Option<usize> {
        let rows = self.at.get(*self.number.get(chain)? as usize)?;
        rows.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }
    /// Rows of a chain.
    #[must_use]
    pub fn rows(&self, chain: &str) -> u64 {
        self.number
            .get(chain)
            .map_or(0, |n| self.at[*n as usize].len() as u64)
    }
    /// The hash of a row.
    #[must_use]
    pub fn row(&self, chain: &str, seq: u64) -> Option<Hash> {
        Some(self.leaves[self.index(chain, seq)?].row)
    }
    /// Whose row lies there.
    #[must_use]
    pub fn name_at(&self, index: usize) -> Option<(&str, u64)> {
        let leaf = self.leaves.get(index)?;
        Some((&self.names[leaf.chain as usize], leaf.seq))
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Another row is there under its number.
    Changed,
    /// It is gone.
    Missing,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Changed => "is another than it was",
            Self::Missing => "is gone",
        })
    }
}

/// Compares the rows of one chain, in order from the first, with the log.
#[derive(Debug)]
pub struct Compare<'a> {
    book: &'a Book,
    chain: &'a str,
    seen: u64,
}

impl<'a> Compare<'a> {
    /// Before the first row.
    #[must_use]
    pub const fn new(book: &'a Book, chain: &'a str) -> Self {
        Self { book, chain, seen: 0 }
    }
    /// The next row. Rows that are not in the log yet are not looked at.
    ///
    /// # Errors
    /// The first bad row.
    pub fn push(&mut self, seq: u64, hash: &Hash) -> Result<(), (u64, Why)> {
        let expected = self.seen + 1;
        self.seen = expected;
        match self.book.row(self.chain, expected) {
            Some(_) if seq != expected => Err((expected, Why::Missing)),
            Some(known) if known != *hash => Err((expected, Why::Changed)),
            _ => Ok(()),
        }
    }
    /// After the last row.
    ///
    /// # Errors
    /// The first row that is gone from the end.
    pub fn finish(self) -> Result<(), (u64, Why)> {
        if self.seen < self.book.rows(self.chain) {
            return Err((self.seen + 1, Why::Missing));
        }
        Ok(())
    }
}

/// Rows of one chain that a checkpoint took in, in the order of its new leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The chain.
    pub chain: String,
    /// First new row.
    pub first: u64,
    /// Last new row.
    pub last: u64,
    /// Hash of the last row, base64: by it the chain is fixed up to there, salts or not.
    pub hash: String,
}

/// One checkpoint as it goes to a witness: a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The signed note.
    pub note: String,
    /// When, FHIR instant.
    pub at: String,
    /// What is new since the checkpoint before; left out where there is no room for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
    /// The hashes of the new leaves, base64 of all of them; left out where there is no room for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<String>,
}

/// The line of a note that binds what moved: the signature covers it.
#[must_use]
pub fn moved_line(moved: &[Moved]) -> String {
    let mut h = Sha256::new();
    for m in moved {
        h.update(format!("{} {} {} {}\n", m.first, m.last, m.hash, m.chain).as_bytes());
    }
    format!("moved {}", b64(&h.finalize()))
}

/// A line whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it says of the tree.
    pub checkpoint: Checkpoint,
    /// What was new.
    pub moved: Vec<(Moved, Hash)>,
    /// Hashes of the new leaves, as many as `moved` says.
    pub leaves: Option<Vec<Hash>>,
}

impl Line {
    /// Finds the object in a line of a witness's file: a collector of syslog puts words of its own before it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let at = line
            .find("{\"note\":")
            .ok_or_else(|| "it holds no checkpoint".to_owned())?;
        serde_json::from_str(line[at..].trim_end()).map_err(|e| format!("it cannot be read ({e})"))
    }

    /// Checks the signature and that the line agrees with itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(&self, public: &[u8; 32], verifies: impl Fn(&[u8], &[u8]) -> bool) -> Result<Seen, String> {
        let checkpoint = Checkpoint::open(&self.note, public, verifies).map_err(|e| e.to_string())?;
        let wrong = |text: &str| Err(text.to_owned());
        if self.moved.is_empty() && self.leaves.is_none() {
            return Ok(Seen {
                checkpoint,
                moved: Vec::new(),
                leaves: None,
            });
        }
        if !checkpoint.more.contains(&moved_line(&self.moved)) {
            return wrong("the rows it names are not those that were signed");
        }
        let (mut count, mut moved) = (0_u64, Vec::with_capacity(self.moved.len()));
        for m in &self.moved {
            let hash = unb64(&m.hash).and_then(|h| h.try_into().ok());
            let (Some(hash), true) = (hash, m.first >= 1 && m.last >= m.first) else {
                return wrong("the rows it names cannot be");
            };
            count = count.saturating_add((m.last - m.first).saturating_add(1));
            moved.push((m.clone(), hash));
        }
        if count > checkpoint.size {
            return wrong("it names more rows than there are");
        }
        let leaves = match &self.leaves {
            None => None,
            Some(text) => {
                let bytes = unb64(text).unwrap_or_default();
                let leaves: Vec<Hash> = bytes.chunks_exact(32).filter_map(|c| c.try_into().ok()).collect();
                if leaves.len() as u64 != count || bytes.len() != leaves.len() * 32 {
                    return wrong("it does not hold as many leaves as rows");
                }
                Some(leaves)
            }
        };
        Ok(Seen {
            checkpoint,
            moved,
            leaves,
        })
    }
}

/// What a witness knows better.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessFault {
    /// A row is not what the witness saw.
    #[error("line {line} of the witness: row {seq} of chain {chain} {why}")]
    Row {
        /// The witness's line, from 1.
        line: usize,
        /// The chain.
        chain: String,
        /// The first bad row.
        seq: u64,
        /// Not later than this row: it is `seq` itself where the witness holds leaves.
        by: u64,
        /// What it is.
        why: Why,
    },
    /// Every row is as it was seen, but the log itself was made anew around them.
    #[error("line {line} of the witness: the rows are as it saw them, the log is not: it was written anew")]
    Rewritten {
        /// The witness's line, from 1.
        line: usize,
    },
    /// The witness's line itself is at fault.
    #[error("line {line} of the witness: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// What a witness bears out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Borne {
    /// Checkpoints that hold.
    pub lines: usize,
    /// Rows of the log that they bear out.
    pub size: u64,
    /// Earlier logs of other names whose rows are as they were seen: name and last size.
    pub earlier: BTreeMap<String, u64>,
}

/// Compares every line of a witness with the log, which holds the chains as they are now. `lines`: number and content.
///
/// # Errors
/// The first [`WitnessFault`]; rows go before the log as such.
pub fn check(book: &Book, origin: &str, lines: &[(usize, Seen)]) -> Result<Borne, WitnessFault> {
    let mut borne = Borne::default();
    for (line, seen) in lines {
        let ours = seen.checkpoint.origin == origin;
        let leaves = seen.leaves.as_deref().filter(|_| ours);
        rows(book, *line, seen, leaves)?;
    }
    // The witness's own tree as far as its lines hold leaves; and the log's, for lines that hold none.
    let (mut known, mut theirs, mut log) = (Vec::<Hash>::new(), Frontier::default(), Frontier::default());
    for (line, seen) in lines {
        let (line, c) = (*line, &seen.checkpoint);
        if c.origin != origin {
            let size = borne.earlier.entry(c.origin.clone()).or_default();
            *size = c.size.max(*size);
            continue;
        }
        if let Some(leaves) = &seen.leaves {
            let from = usize::try_from(c.size).unwrap_or(usize::MAX) - leaves.len();
            if from > known.len() {
                return Err(WitnessFault::Line {
                    line,
                    why: format!(
                        "the checkpoints between {} and {from} rows are not there",
                        known.len()
                    ),
                });
            }
            let overlap = leaves.len().min(known.len() - from);
            let stated = if known[from..from + overlap] == leaves[..overlap] {
                for leaf in &leaves[overlap..] {
                    theirs.push(*leaf);
                    known.push(*leaf);
                }
                if overlap == leaves.len() {
                    root(&known[..from + overlap])
                } else {
                    theirs.root()
                }
            } else {
                // The log went back and another way: both ways cannot be in it.
                return Err(WitnessFault::Rewritten { line });
            };
            if stated != c.root {
                return Err(WitnessFault::Line {
                    line,
                    why: "its hash is not that of its leaves".to_owned(),
                });
            }
        }
        let size = usize::try_from(c.size).unwrap_or(usize::MAX);
        let Some(ours) = book.hashes().get(..size) else {
            return Err(missing(book, line, size));
        };
        let done = usize::try_from(log.size()).unwrap_or(usize::MAX);
        let is = if size < done {
            root(ours)
        } else {
            ours[done..].iter().for_each(|h| log.push(*h));
            log.root()
        };
        if is != c.root {
            return Err(unnamed(book, line, seen, borne.size));
        }
        borne.lines += 1;
        borne.size = borne.size.max(c.size);
    }
    Ok(borne)
}

/// Rows of a line against the chains as they are now.
fn rows(book: &Book, line: usize, seen: &Seen, leaves: Option<&[Hash]>) -> Result<(), WitnessFault> {
    let mut skip = 0;
    for (m, hash) in &seen.moved {
        let start = skip;
        skip += usize::try_from(m.last - m.first + 1).unwrap_or(usize::MAX);
        if book.row(&m.chain, m.last) == Some(*hash) {
            continue;
        }
        let held = book.rows(&m.chain);
        let gone = (held < m.last).then_some(held.max(m.first - 1) + 1);
        let as_seen = |seq: u64, leaf: &Hash| {
            book.index(&m.chain, seq)
                .is_some_and(|i| book.hashes()[i] == *leaf)
        };
        let first = leaves.and_then(|l| {
            (m.first..)
                .zip(&l[start..skip])
                .find(|(seq, leaf)| !as_seen(*seq, leaf))
        });
        let (seq, by) = match (first, gone) {
            (Some((seq, _)), _) => (seq, seq),
            (None, Some(gone)) => (m.first.min(gone), gone),
            (None, None) => (m.first, m.last),
        };
        let why = if book.row(&m.chain, seq).is_none() {
            Why::Missing
        } else {
            Why::Changed
        };
        return Err(WitnessFault::Row {
            line,
            chain: m.chain.clone(),
            seq,
            by,
            why,
        });
    }
    Ok(())
}

fn missing(book: &Book, line: usize, size: usize) -> WitnessFault {
    WitnessFault::Line {
        line,
        why: format!(
            "it knows {size} rows, the log has {}: the log was cut back, or an older copy of it was put in its place",
            book.hashes().len()
        ),
    }
}

/// The tree is another, and no row was found that is: with leaves seen it is the log alone, without any a row between
/// the last good checkpoint and this one.
fn unnamed(book: &Book, line: usize, seen: &Seen, good: u64) -> WitnessFault {
    let first = usize::try_from(good).ok().and_then(|i| book.name_at(i));
    match first {
        Some((chain, seq)) if seen.moved.is_empty() => WitnessFault::Row {
            line,
            chain: chain.to_owned(),
            seq,
            by: book.rows(chain),
            why: Why::Changed,
        },
        _ => WitnessFault::Rewritten { line },
    }
}
