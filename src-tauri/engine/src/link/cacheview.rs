//! The cache as the protocol's machine sees it.

use crate::cache::scope_digest;
use crate::station::Station;
use std::sync::Arc;
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{ItemRefRow, Records, ScopeState};
use vitrine_sync::client::{CacheView, Held, Staged};
use vitrine_sync::scope::is_patient;
use vitrine_wire::digest::{ScopeDigest, bucket_of};
use vitrine_wire::message::Ref;

/// The two databases of scopes, as one cache.
pub(super) struct View<'a> {
    pub(super) station: &'a Station,
    pub(super) records: Option<Arc<Records>>,
}

impl View<'_> {
    /// What cannot be read counts as not held: it is fetched anew.
    fn quiet<T>(&self, read: Result<T, StoreError>) -> Option<T> {
        match read {
            Ok(v) => Some(v),
            Err(e) => {
                tracing::error!(error = %e, "the cache cannot be read");
                None
            }
        }
    }

    fn scope(&self, scope: &str) -> Option<ScopeState> {
        let read = if is_patient(scope) {
            self.records.as_ref()?.scope(scope)
        } else {
            self.station.essentials.scope(scope)
        };
        self.quiet(read).flatten()
    }
}

impl CacheView for View<'_> {
    fn scopes(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .quiet(self.station.essentials.scopes())
            .unwrap_or_default()
            .into_iter()
            .map(|s| s.name)
            .collect();
        if let Some(r) = &self.records {
            names.extend(
                self.quiet(r.scopes())
                    .unwrap_or_default()
                    .into_iter()
                    .map(|s| s.name),
            );
        }
        names
    }

    fn held(&self, scope: &str) -> Option<Held> {
        let s = self.scope(scope).filter(|s| s.complete)?;
        Some(Held {
            epoch: s.epoch,
            pos: s.pos,
            rev: s.rev,
            as_of_ms: s.as_of,
        })
    }

    fn staged(&self, scope: &str) -> Option<Staged> {
        let s = self.scope(scope)?.staged?;
        let after = Some(s.after).filter(|a| !a.is_empty());
        Some(Staged {
            epoch: s.epoch,
            pos: s.pos,
            rev: s.rev,
            after,
            items: s.items,
        })
    }

    fn version(&self, scope: &str, key: &str) -> Option<u64> {
        let read = if is_patient(scope) {
            self.records.as_ref()?.version(scope, key)
        } else {
            self.station.essentials.version(scope, key)
        };
        self.quiet(read).flatten()
    }

    fn digest(&self, scope: &str) -> ScopeDigest {
        self.scope(scope)
            .map_or_else(ScopeDigest::default, |s| scope_digest(&s.digest))
    }

    fn refs(&self, scope: &str, buckets: &[u8]) -> Vec<Ref> {
        let read = match (is_patient(scope), &self.records) {
            (true, Some(r)) => r.refs(scope),
            (true, None) => return Vec::new(),
            (false, _) => self.station.essentials.refs(scope),
        };
        let wanted = |r: &ItemRefRow| buckets.contains(&bucket_of(&r.key));
        let rows = self.quiet(read).unwrap_or_default();
        rows.into_iter()
            .filter(wanted)
            .map(|r| Ref {
                hash: crate::entropy::hex(&r.hash),
                key: r.key,
                ver: r.ver,
            })
            .collect()
    }
}
