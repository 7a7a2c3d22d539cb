//! Laying a record's bodies down in packs, and what is done with the files once the rows are committed or not.
//!
//! Lives here: what both databases do alike around their own transaction. Never here: a database.

use super::{PackEntry, Packs, Written};
use crate::StoreError;
use crate::tiers::PackRow;
use std::future::Future;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use uuid::Uuid;

/// A body that is old enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ripe {
    /// The body, with the row it is of.
    pub entry: PackEntry,
    /// When it was stored, ms since 1970.
    pub updated: i64,
    /// Bytes it takes in the database.
    pub size: u64,
}

/// A pack that is on disk and proven, and not yet anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// Its id.
    pub id: Uuid,
    /// When the newest of its bodies was stored, ms since 1970.
    pub newest: i64,
    /// The file.
    pub written: Written,
    /// Resource, version and bytes in the database of each body, in the order of the file.
    pub rows: Vec<(i64, u64, u64)>,
}

impl Packs {
    fn lay_one(&self, id: Uuid, of: Vec<Ripe>) -> Result<Option<Laid>, StoreError> {
        let Some(newest) = of.iter().map(|r| r.updated).max() else {
            return Ok(None);
        };
        let row = |r: &Ripe| (r.entry.resource, r.entry.version, r.size);
        let rows = of.iter().map(row).collect();
        let entries: Vec<PackEntry> = of.into_iter().map(|r| r.entry).collect();
        let written = self.write(id, &entries)?;
        Ok(Some(Laid {
            id,
            newest,
            written,
            rows,
        }))
    }

    /// Writes bodies into at most two packs: those stored before a moment go into one of their own, which can leave for
    /// the archive without the younger ones.
    ///
    /// # Errors
    /// As [`Packs::write`]; no file is left then.
    pub fn lay(&self, ids: [Uuid; 2], of: Vec<Ripe>, archive_before: i64) -> Result<Vec<Laid>, StoreError> {
        let (old, young): (Vec<Ripe>, Vec<Ripe>) = of.into_iter().partition(|r| r.updated < archive_before);
        let mut laid: Vec<Laid> = self.lay_one(ids[0], young)?.into_iter().collect();
        match self.lay_one(ids[1], old) {
            Ok(more) => laid.extend(more),
            Err(e) => {
                let _ = self.drop_warm(ids[0]);
                return Err(e);
            }
        }
        Ok(laid)
    }

    /// After the transaction: packs that have a row stay, the others go. `known`: the rows there are now.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when a file cannot be removed.
    pub fn settle(&self, made: &[Uuid], known: &[PackRow]) -> Result<(), StoreError> {
        for id in made {
            if known.iter().any(|k| k.id == *id) {
                self.committed(*id);
            } else {
                self.drop_warm(*id)?;
            }
        }
        Ok(())
    }
}

/// Runs work elsewhere that says how many bytes it has moved, and hands that on here.
pub async fn telling<T, F: Future<Output = T>>(
    moved: &(dyn Fn(u64) + Send + Sync),
    start: impl FnOnce(UnboundedSender<u64>) -> F,
) -> T {
    let (tell, mut told) = unbounded_channel();
    let listen = async {
        while let Some(n) = told.recv().await {
            moved(n);
        }
    };
    tokio::join!(start(tell), listen).0
}
