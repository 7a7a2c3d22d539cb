//! Moving a whole record from one backend to another, and the proof that nothing was lost or changed on the way.
//!
//! Lives here: what moves ([`Table`]), the two ends ([`Gives`], [`Takes`]), filling ([`fill`]) and proving ([`prove`])
//! one table. Never here: a database, a clock, which folder or URL. Implemented by `store-sqlcipher` (gives) and
//! `store-postgres` (takes); called by the server's `migrate`.
//!
//! Both ends give their rows in the order of the same key, and one digest is computed of each in the same way: over
//! every cell of every row, opened and unpacked. Where the taking end keeps only tokens of words, the giving end's
//! words are turned into the same tokens first. The change feed does not move: the epoch is another one, and
//! workstations compare what they hold.

mod tables;

pub use tables::{Cell, Column, Form, Key, Row, Table, audit_at, feed, weight};

use crate::StoreError;
use async_trait::async_trait;

/// Rows in one stretch at most.
pub const STRETCH_ROWS: usize = 4_000;
/// Bytes in one stretch at about most: one row may be longer.
pub const STRETCH_BYTES: usize = 8 << 20;

/// The end that gives its rows. Nothing is changed in it.
#[async_trait]
pub trait Gives: Send + Sync {
    /// How many rows of a table there are.
    async fn count(&self, table: Table) -> Result<u64, StoreError>;
    /// The rows after a key, in key order, a stretch of them; none when there are no more. A row that cannot be read
    /// is an error that names it.
    async fn rows(&self, table: Table, after: Option<&Key>) -> Result<Vec<Row>, StoreError>;
}

/// The end that takes them, and gives them back for the proof.
#[async_trait]
pub trait Takes: Send + Sync {
    /// Rows as this end keeps them: words become tokens. Keys and order stay.
    fn kept(&self, table: Table, rows: Vec<Row>) -> Result<Vec<Row>, StoreError>;
    /// Keeps rows (as [`Takes::kept`] made them), all or none.
    async fn put(&self, table: Table, rows: Vec<Row>) -> Result<(), StoreError>;
    /// At most `limit` rows after a key (without it: from the first), up to and with another (without it: to the
    /// last), in key order. What cannot be read is [`Cell::Unreadable`].
    async fn held(
        &self,
        table: Table,
        after: Option<&Key>,
        up_to: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;
}

/// Moves a table; gives how many rows. `moved` is told after each stretch.
///
/// # Errors
/// What either end says.
pub async fn fill(
    from: &dyn Gives,
    to: &dyn Takes,
    table: Table,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<u64, StoreError> {
    let mut count = 0;
    let mut rows = from.rows(table, None).await?;
    while let Some(last) = rows.last() {
        let after = table.key(last);
        let stretch = rows.len() as u64;
        // The next stretch is read while this one is written.
        let put = async { to.put(table, to.kept(table, rows)?).await };
        let (next, ()) = tokio::try_join!(from.rows(table, Some(&after)), put)?;
        count += stretch;
        moved(stretch);
        rows = next;
    }
    Ok(count)
}

/// How two ends differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In which table.
    pub table: Table,
    /// The first key that differs, as a message names it.
    pub key: String,
    /// What is the matter with it.
    pub is: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}: {}", self.table, self.key, self.is)
    }
}

/// Rows and digest of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// BLAKE3 over all of them in key order.
    pub digest: blake3::Hash,
}

/// What a proof found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The giving end.
    pub given: Sum,
    /// The taking end.
    pub held: Sum,
    /// The first difference; `None` when the two are equal.
    pub difference: Option<Difference>,
}

impl Proof {
    /// Whether counts and digests are equal.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.given == self.held && self.difference.is_none()
    }
}

#[derive(Default)]
struct Summing {
    rows: u64,
    hasher: blake3::Hasher,
}

impl Summing {
    fn add(&mut self, rows: &[Row]) {
        self.rows += rows.len() as u64;
        rows.iter().for_each(|r| feed(r, &mut self.hasher));
    }
    fn sum(&self) -> Sum {
        Sum {
            rows: self.rows,
            digest: self.hasher.finalize(),
        }
    }
}

/// Reads a table from both ends and compares every row.
///
/// # Errors
/// What either end says when it cannot be read at all. A difference is no error.
pub async fn prove(from: &dyn Gives, to: &dyn Takes, table: Table) -> Result<Proof, StoreError> {
    let (mut given, mut held) = (Summing::default(), Summing::default());
    let mut difference = None;
    let mut after: Option<Key> = None;
    let mut rows = from.rows(table, None).await?;
    while let Some(last) = rows.last() {
        let up_to = table.key(last);
        // One more than there are here: what is too many shows.
        let limit = rows.len() + 1;
        let back = to.held(table, after.as_ref(), Some(&up_to), limit);
        let (next, back) = tokio::try_join!(from.rows(table, Some(&up_to)), back)?;
        let ours = to.kept(table, rows)?;
        difference = difference.or_else(|| first_difference(table, &ours, &back));
        given.add(&ours);
        held.add(&back);
        (after, rows) = (Some(up_to), next);
    }
    let beyond = to.held(table, after.as_ref(), None, STRETCH_ROWS).await?;
    difference = difference.or_else(|| first_difference(table, &[], &beyond));
    held.add(&beyond);
    Ok(Proof {
        given: given.sum(),
        held: held.sum(),
        difference,
    })
}

fn first_difference(table: Table, ours: &[Row], back: &[Row]) -> Option<Difference> {
    let differs = |key: &[Cell], is: String| {
        Some(Difference {
            table,
            key: table.said(key),
            is,
        })
    };
    for n in 0..ours.len().max(back.len()) {
        let (a, b) = match (ours.get(n), back.get(n)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) => (a, b),
            (Some(a), None) => return differs(&table.key(a), "is missing".to_owned()),
            (None, Some(b)) => return differs(&table.key(b), "is too many".to_owned()),
            (None, None) => return None,
        };
        let (key_a, key_b) = (table.key(a), table.key(b));
        return match key_a.cmp(&key_b) {
            std::cmp::Ordering::Less => differs(&key_a, "is missing".to_owned()),
            std::cmp::Ordering::Greater => differs(&key_b, "is too many".to_owned()),
            std::cmp::Ordering::Equal if b.contains(&Cell::Unreadable) => {
                differs(&key_a, "does not open".to_owned())
            }
            std::cmp::Ordering::Equal => {
                let columns = table.differing(a, b).join(", ");
                differs(&key_a, format!("differs in {columns}"))
            }
        };
    }
    None
}

#[cfg(test)]
mod tests;
