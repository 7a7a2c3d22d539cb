//! The hash chain of audit rows: `hash = SHA-256(0x00 ‖ prev ‖ seq (8 bytes, big endian) ‖ body)`.
//!
//! The body is the exact JSON text that is stored; it is never serialised again to check a row. The leading 0x00 is
//! the leaf prefix of RFC 6962, so that sealed checkpoints can take the same bytes as leaves.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The head of a chain before its first row.
pub const GENESIS: Hash = [0; 32];

/// Where a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last row; 0 before the first.
    pub seq: u64,
    /// Hash of the last row.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty chain.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: GENESIS,
    };

    /// The head after a row with this body.
    #[must_use]
    pub fn after(&self, body: &[u8]) -> Self {
        let seq = self.seq.saturating_add(1);
        Self {
            seq,
            hash: row_hash(&self.hash, seq, body),
        }
    }
}

/// The hash of a row.
#[must_use]
pub fn row_hash(prev: &Hash, seq: u64, body: &[u8]) -> Hash {
    let mut h = Sha256::new();
    h.update([0x00]);
    h.update(prev);
    h.update(seq.to_be_bytes());
    h.update(body);
    h.finalize().into()
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Number, from 1 without a gap.
    pub seq: u64,
    /// Hash of the row before.
    pub prev: Hash,
    /// Hash of this row.
    pub hash: Hash,
    /// The entry's JSON as stored.
    pub body: String,
}

/// The first thing wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A number is missing or out of order.
    #[error("row {expected} is missing: the next row found is {found}")]
    Gap {
        /// The number that should follow.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// A row does not continue the row before it.
    #[error("row {seq} does not continue the row before it")]
    Link {
        /// The first bad row.
        seq: u64,
    },
    /// A row's content does not match its hash.
    #[error("row {seq} was changed after it was written")]
    Content {
        /// The first bad row.
        seq: u64,
    },
    /// Rows at the end are gone: a head kept elsewhere knows more.
    #[error("row {first_missing} and later are gone: the sealed head knows {known} rows")]
    Truncated {
        /// The first row that should be there.
        first_missing: u64,
        /// Rows the sealed head knows.
        known: u64,
    },
    /// The head kept elsewhere does not belong to this chain.
    #[error("row {seq} is not the row that the sealed head was made of")]
    HeadMismatch {
        /// The row of the head.
        seq: u64,
    },
}

impl ChainFault {
    /// The first bad row.
    #[must_use]
    pub const fn first_bad(&self) -> u64 {
        match self {
            Self::Gap { expected, .. } => *expected,
            Self::Link { seq } | Self::Content { seq } | Self::HeadMismatch { seq } => *seq,
            Self::Truncated { first_missing, .. } => *first_missing,
        }
    }
}

/// Checks rows one by one in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: Head,
    sealed: Option<Head>,
}

impl Verifier {
    /// Starts before the first row. `sealed` is a head kept outside the table (a signed file, the server's copy).
    #[must_use]
    pub const fn new(sealed: Option<Head>) -> Self {
        Self {
            head: Head::EMPTY,
            sealed,
        }
    }
    /// Continues after a head known to be good.
    #[must_use]
    pub const fn from(head: Head, sealed: Option<Head>) -> Self {
        Self { head, sealed }
    }
    /// Checks the next row.
    ///
    /// # Errors
    /// [`ChainFault`] with the first bad row.
    pub fn push(&mut self, row: &Row) -> Result<(), ChainFault> {
        let expected = self.head.seq.saturating_add(1);
        if row.seq != expected {
            return Err(ChainFault::Gap {
                expected,
                found: row.seq,
            });
        }
        let next = self.head.after(row.body.as_bytes());
        if row.prev != self.head.hash {
            return Err(ChainFault::Link { seq: row.seq });
        }
        if row.hash != next.hash {
            return Err(ChainFault::Content { seq: row.seq });
        }
        if self
            .sealed
            .is_some_and(|s| s.seq == row.seq && s.hash != row.hash)
        {
            return Err(ChainFault::HeadMismatch { seq: row.seq });
        }
        self.head = next;
        Ok(())
    }
    /// Ends the check and gives the head reached.
    ///
    /// # Errors
    /// [`ChainFault::Truncated`] when the sealed head knows more rows than there are.
    pub fn finish(self) -> Result<Head, ChainFault> {
        match self.sealed {
            Some(s) if s.seq > self.head.seq => Err(ChainFault::Truncated {
                first_missing: self.head.seq.saturating_add(1),
                known: s.seq,
            }),
            _ => Ok(self.head),
        }
    }
}
