//! What the tests of this store share.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector};
use vitrine_store::{FeedRow, Store, StoreError};
use vitrine_store_postgres::{PostgresOptions, PostgresStore};
use zeroize::Zeroizing;

pub async fn try_open(
    url: &str,
    root: u8,
    options: PostgresOptions,
) -> Result<Arc<PostgresStore>, StoreError> {
    PostgresStore::open(url, Zeroizing::new([root; 32]), Arc::new(NoteProjector), options).await
}

pub async fn open(url: &str) -> Arc<PostgresStore> {
    try_open(url, 7, PostgresOptions::default())
        .await
        .expect("opened")
}

/// A server of its own name on a database.
pub async fn node(url: &str, name: &str) -> Arc<PostgresStore> {
    let options = PostgresOptions {
        chain: name.to_owned(),
        ..PostgresOptions::default()
    };
    try_open(url, 7, options).await.expect("opened")
}

pub fn hospital(store: Arc<PostgresStore>, first: u64) -> Hospital {
    Hospital::new(store, first)
}

/// The name of a database, from its URL.
pub fn name(url: &str) -> &str {
    url.rsplit('/')
        .next()
        .and_then(|r| r.split('?').next())
        .expect("a name")
}

/// Who follows the feed of a scope holds what the store holds.
pub async fn replay(store: &dyn Store, scope: &str) -> Vec<FeedRow> {
    let rows = store
        .changes_since(0, Some(scope), 1_000_000)
        .await
        .expect("feed")
        .rows;
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let mut rev = 0;
    for r in &rows {
        if scope.starts_with("pat:") {
            assert_eq!((r.prev, r.ver), (rev, rev + 1), "{scope}: {r:?}");
            rev = r.ver;
        } else {
            assert_eq!(held.get(&r.key).copied().unwrap_or(0), r.prev, "{scope}: {r:?}");
        }
        if r.tomb {
            held.remove(&r.key);
        } else {
            held.insert(r.key.clone(), r.ver);
        }
    }
    let (refs, _) = store.scope_refs(scope).await.expect("refs");
    let now: BTreeMap<String, u64> = refs.into_iter().map(|r| (r.key, r.ver)).collect();
    assert_eq!(held, now, "{scope}");
    rows
}
