//! What the workstation holds: the essentials, how fresh they are, and how a patient is found among them.
//!
//! Lives here: words for the search index ([`fold`]), what was typed ([`query`]), freshness ([`Freshness`]), the
//! scope digests. Never here: SQL (that is `store-sqlcipher`), the network, views.
//! Called by the facade, `link`, `break_glass` and `chart`.

mod fold;
mod freshness;
pub mod query;

pub use fold::{card_words, folded, found_terms, gsrn_term, number_term};
pub use freshness::{Freshness, ScopeFresh, words};

use vitrine_store_sqlcipher::workstation::Fold;
use vitrine_wire::digest::ScopeDigest;

/// The wire's digest as the database keeps it.
pub struct RunningDigest(ScopeDigest);

impl Fold for RunningDigest {
    fn add(&mut self, key: &str, ver: u64, hash: &[u8; 16]) {
        self.0.add(key, ver, hash);
    }
    fn remove(&mut self, key: &str, ver: u64, hash: &[u8; 16]) {
        self.0.remove(key, ver, hash);
    }
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

/// By which rules the words of the index are made: another one, and they are made anew (`Essentials::reindex`).
pub const WORDS: &str = "2";

/// Opens a digest from its kept state.
#[must_use]
pub fn open_fold(bytes: &[u8]) -> Box<dyn Fold> {
    Box::new(RunningDigest(scope_digest(bytes)))
}

/// The digest of kept bytes; that of an empty scope when there are none.
#[must_use]
pub fn scope_digest(bytes: &[u8]) -> ScopeDigest {
    ScopeDigest::from_bytes(bytes).unwrap_or_default()
}
