//! The quarantine as it is worked off: items with their bytes, and what becomes of them.
//!
//! Lives here: what crosses the store ([`HeldItem`], [`HeldChange`]) and what it must answer ([`Held`]). Never here: putting
//! into it and listing it ([`crate::ChartStore`]), what the bytes mean. Called by every backend, and by the server's
//! imaging.

use crate::{QuarantineRow, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use vitrine_access::Permit;
use vitrine_access::action::ImportData;

/// An item of the quarantine with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldItem {
    /// As listed.
    pub row: QuarantineRow,
    /// The bytes as received.
    pub body: Bytes,
}

/// A page of items, by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldPage {
    /// Those of the kind asked for.
    pub items: Vec<HeldItem>,
    /// The last number looked at, where the next page goes on.
    pub last: u64,
    /// There may be more behind it.
    pub more: bool,
}

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldChange {
    /// It stays, with another reason and other bytes.
    Stays {
        /// Why, without PHI.
        reason: String,
        /// Its bytes.
        body: Bytes,
    },
    /// It is no longer in quarantine.
    Leaves,
}

/// The quarantine as it is worked off.
#[async_trait]
pub trait Held: Send + Sync {
    /// Items of a kind, by number, after one: `limit` items of whatever kind are looked at. For working them off, not for
    /// showing.
    async fn held(&self, kind: &str, after: u64, limit: usize) -> Result<HeldPage, StoreError>;
    /// One item, of whatever kind. For working it off, not for showing.
    async fn held_item(&self, id: u64) -> Result<Option<HeldItem>, StoreError>;
    /// Changes an item together with the permit's audit row; `false`, and nothing is written, when it is not there.
    async fn change_held(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        change: HeldChange,
    ) -> Result<bool, StoreError>;
}
