//! Resources of one type, newest first, in stretches: what a search of FHIR looks through.
//!
//! Lives here: what crosses the store ([`KindPage`]) and what a backend must answer ([`Kinds`]). Never here: what matches (the
//! caller looks at what is still sealed, and writes down what it shows). Called by every backend, and by the server's searches.

use crate::{ArchivedResource, StoreError, StoredResource};
use async_trait::async_trait;
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::{Permit, Sealed};

/// A stretch of the resources of one type that are not deleted. Numbers are those of creation: a resource keeps its own when it
/// changes, and later ones have greater ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindPage {
    /// The resources with their numbers, which fall.
    pub resources: Vec<(u64, StoredResource)>,
    /// Those whose bodies lie in the archive.
    pub archived: Vec<(u64, ArchivedResource)>,
    /// Below which number the next stretch begins; `None` at the end.
    pub next: Option<u64>,
}

/// Reading by type.
#[async_trait]
pub trait Kinds: Send + Sync {
    /// A stretch of the resources of a type in the record of the permit's patient: those with a number below `below`, at most
    /// `limit`.
    async fn of_kind(
        &self,
        permit: &Permit<ReadChart>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError>;
    /// The same of those that belong to no patient: practitioners, organisations, places, medications.
    async fn of_nobody(
        &self,
        permit: &Permit<ReadResource>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError>;
}
