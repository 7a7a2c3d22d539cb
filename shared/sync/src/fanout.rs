//! Building frames once for all who subscribe: rows of the feed and the items they name become deltas, a page of a
//! scope becomes a snapshot chunk.
//!
//! A frame covers a contiguous stretch of a scope's rows and carries the position of its last row. Bodies are the
//! items as they are *now*, possibly newer than the row; the versions tell, and the rows that follow are then
//! recognised as duplicates.
//! Lives here: grouping, merging, encoding. Never here: reading the feed, deciding who may see what.
//! Called by `server/ws` (hub and snapshot cache) and by [`crate::lanes`] for merged deltas.

use crate::scope::is_patient;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_wire::frame::{CHUNK, FrameError, Lane, MAX_BODY};
use vitrine_wire::message::{Change, Delta, MessageError, PatientDelta, ServerMessage, SnapChunk};

/// Largest body of one item, in bytes. Larger resources must be refused where they come in: no frame could carry
/// them.
pub const ITEM_MAX: usize = MAX_BODY - 64 * 1024;

/// A row of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Position.
    pub pos: u64,
    /// Scope.
    pub scope: String,
    /// Key within it.
    pub key: String,
    /// Version before; in a `pat:` scope the patient's revision.
    pub prev: u64,
    /// Version after.
    pub ver: u64,
    /// The item left the scope.
    pub tomb: bool,
}

/// An item as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Key.
    pub key: String,
    /// Version.
    pub ver: u64,
    /// In a `pat:` scope the resource's own version (see [`Change::version`]).
    pub version: Option<u64>,
    /// JSON.
    pub body: Bytes,
}

/// Rows of one scope, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRows {
    /// Scope.
    pub scope: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

impl ScopeRows {
    /// Keys whose items have to be read.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .rows
            .iter()
            .filter(|r| !r.tomb)
            .map(|r| r.key.clone())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Sorts a stretch of the feed by scope.
#[must_use]
pub fn by_scope(rows: Vec<Row>) -> Vec<ScopeRows> {
    let mut out: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        out.entry(row.scope.clone()).or_default().push(row);
    }
    out.into_iter()
        .map(|(scope, rows)| ScopeRows { scope, rows })
        .collect()
}

/// A frame cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A body is not JSON.
    #[error("{scope}: the body of an item of version {ver} is not JSON")]
    Body {
        /// Scope.
        scope: String,
        /// Version.
        ver: u64,
    },
    /// A message cannot be written.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A frame cannot be written.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A delta built once and shared by every connection.
#[derive(Debug)]
pub struct ScopeFrame {
    /// Scope.
    pub scope: Arc<str>,
    /// Essentials or Patient.
    pub lane: Lane,
    /// Position before its first row.
    pub from: u64,
    /// Position of its last row.
    pub pos: u64,
    /// In a `pat:` scope the revision before, else 0.
    pub rev_prev: u64,
    /// In a `pat:` scope the revision after, else 0.
    pub rev: u64,
    /// What it says, for merging with others in a queue.
    pub changes: Vec<Change>,
    /// The frames to send, nearly always one.
    pub parts: Vec<Bytes>,
}

impl ScopeFrame {
    /// Encodes a delta.
    ///
    /// # Errors
    /// [`BuildError`] when it does not fit a message.
    pub fn new(
        scope: &Arc<str>,
        (from, pos): (u64, u64),
        (rev_prev, rev): (u64, u64),
        changes: Vec<Change>,
    ) -> Result<Self, BuildError> {
        let patient = is_patient(scope);
        let name = scope.as_ref().to_owned();
        let (message, lane): (ServerMessage, Lane) = if patient {
            (
                PatientDelta {
                    scope: name,
                    pos,
                    rev_prev,
                    rev,
                    changes,
                }
                .into(),
                Lane::Patient,
            )
        } else {
            (
                Delta {
                    scope: name,
                    pos,
                    changes,
                }
                .into(),
                Lane::Essentials,
            )
        };
        let parts = message.frame()?.encode_parts()?;
        let changes = match message {
            ServerMessage::Delta(m) => m.changes,
            ServerMessage::PatientDelta(m) => m.changes,
            _ => Vec::new(),
        };
        Ok(Self {
            scope: Arc::clone(scope),
            lane,
            from,
            pos,
            rev_prev,
            rev,
            changes,
            parts,
        })
    }

    /// Memory it holds, roughly, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let sent: usize = self.parts.iter().map(Bytes::len).sum();
        self.changes
            .iter()
            .map(weight_of)
            .sum::<usize>()
            .saturating_add(sent)
    }
}

/// Memory of a change, roughly, in bytes.
#[must_use]
pub fn weight_of(c: &Change) -> usize {
    let body = c.body.as_ref().map_or(0, |b| b.get().len());
    body.saturating_add(c.key.len()).saturating_add(64)
}

/// A body as it travels.
///
/// # Errors
/// [`BuildError::Body`] when it is not JSON.
pub fn raw(scope: &str, item: &Item) -> Result<Box<RawValue>, BuildError> {
    let fault = || BuildError::Body {
        scope: scope.to_owned(),
        ver: item.ver,
    };
    let text = std::str::from_utf8(&item.body).map_err(|_| fault())?;
    RawValue::from_string(text.trim_ascii().to_owned()).map_err(|_| fault())
}

/// Builds the deltas of one scope from its rows and the items [`ScopeRows::keys`] names. An item that is not there
/// any more is told as gone; its own row follows.
///
/// # Errors
/// [`BuildError`]; nothing of the scope should then be sent: its clients find the gap.
pub fn build(rows: &ScopeRows, items: &[Item]) -> Result<Vec<Arc<ScopeFrame>>, BuildError> {
    let scope: Arc<str> = Arc::from(rows.scope.as_str());
    let patient = is_patient(&rows.scope);
    let items: BTreeMap<&str, &Item> = items.iter().map(|i| (i.key.as_str(), i)).collect();
    let mut out = Vec::new();
    let mut open: Option<Stretch<'_>> = None;
    for row in &rows.rows {
        let breaks = open
            .as_ref()
            .is_some_and(|s| s.weight >= CHUNK || (patient && s.rev != row.prev));
        if breaks && let Some(s) = open.take() {
            out.push(s.frame(&scope, patient, &items)?);
        }
        open.get_or_insert_with(|| Stretch::begin(row)).add(row, &items);
    }
    if let Some(s) = open {
        out.push(s.frame(&scope, patient, &items)?);
    }
    Ok(out)
}

/// Rows that go into one frame, one entry per key.
struct Stretch<'a> {
    from: u64,
    pos: u64,
    rev_prev: u64,
    rev: u64,
    weight: usize,
    keys: BTreeMap<&'a str, (u64, &'a Row)>,
}

impl<'a> Stretch<'a> {
    fn begin(row: &'a Row) -> Self {
        Self {
            from: row.pos.saturating_sub(1),
            pos: row.pos,
            rev_prev: row.prev,
            rev: row.ver,
            weight: 0,
            keys: BTreeMap::new(),
        }
    }

    fn add(&mut self, row: &'a Row, items: &BTreeMap<&str, &Item>) {
        (self.pos, self.rev) = (row.pos, row.ver);
        let entry = self.keys.entry(&row.key).or_insert_with(|| {
            self.weight = self
                .weight
                .saturating_add(items.get(row.key.as_str()).map_or(0, |i| i.body.len()))
                .saturating_add(96);
            (row.prev, row)
        });
        entry.1 = row;
    }

    fn frame(
        self,
        scope: &Arc<str>,
        patient: bool,
        items: &BTreeMap<&str, &Item>,
    ) -> Result<Arc<ScopeFrame>, BuildError> {
        let mut changes = Vec::with_capacity(self.keys.len());
        for (key, (prev, last)) in self.keys {
            let item = if last.tomb { None } else { items.get(key) };
            let (ver, version, body) = match item {
                Some(item) => (item.ver, item.version, Some(raw(scope, item)?)),
                None => (last.ver, None, None),
            };
            // An item that seems older than its own row can only be told when it is asked for.
            if prev < ver {
                changes.push(Change {
                    key: key.to_owned(),
                    prev,
                    ver,
                    version,
                    body,
                });
            }
        }
        let revs = if patient {
            (self.rev_prev, self.rev)
        } else {
            (0, 0)
        };
        ScopeFrame::new(scope, (self.from, self.pos), revs, changes).map(Arc::new)
    }
}

/// Frames of the bulk lane, to be shared by every connection that fetches the same page.
#[derive(Debug)]
pub struct BulkFrame {
    /// The frames to send, nearly always one.
    pub parts: Vec<Bytes>,
    /// Credit it costs: bytes of the body before compression.
    pub cost: u32,
}

impl BulkFrame {
    /// Encodes a message of the bulk lane.
    ///
    /// # Errors
    /// [`BuildError`] when it does not fit.
    pub fn new(message: &ServerMessage) -> Result<Self, BuildError> {
        let frame = message.frame()?;
        let cost = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
        Ok(Self {
            parts: frame.encode_parts()?,
            cost,
        })
    }
}

/// A snapshot chunk of a page of items in key order.
///
/// # Errors
/// [`BuildError`] when a body is not JSON or the page is too large.
pub fn chunk(scope: &str, items: &[Item], next_after: Option<&str>) -> Result<Arc<BulkFrame>, BuildError> {
    let items = items
        .iter()
        .map(|i| {
            Ok(Change {
                key: i.key.clone(),
                prev: 0,
                ver: i.ver,
                version: i.version,
                body: Some(raw(scope, i)?),
            })
        })
        .collect::<Result<Vec<_>, BuildError>>()?;
    let m = SnapChunk {
        scope: scope.to_owned(),
        items,
        next_after: next_after.map(str::to_owned),
    };
    BulkFrame::new(&m.into()).map(Arc::new)
}
