//! The memory store passes the suite, and the faulty store fails as planned.

use async_trait::async_trait;
use std::sync::Arc;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, put};
use vitrine_store::conformance::{Backend, run_all};
use vitrine_store::faulty::{FaultyStore, Plan, When};
use vitrine_store::{ChartStore, MemoryStore, Projector, Store, StoreError};

struct Memory;

#[async_trait]
impl Backend for Memory {
    async fn fresh(&self, projector: Arc<dyn Projector>) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(projector, "memory"))
    }
    async fn reopen(&self, _: Arc<dyn Store>, _: Arc<dyn Projector>) -> Option<Arc<dyn Store>> {
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_suite() {
    run_all(&Memory).await;
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_write() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(NoteProjector), "memory"));
    let faulty = FaultyStore::new(inner.clone());
    let h = Hospital::new(inner, 0);
    for (when, there) in [(When::Before, false), (When::After, true)] {
        faulty.plan(Plan::Nth(2, when));
        let batch = h.batch(vec![put(&format!("Flag/{there}"), &note("p1", "flag", "x"))]);
        assert!(faulty.counts().await.is_ok());
        let failed = faulty.apply(&h.client(None), batch.clone()).await.map(|_| ());
        assert!(matches!(failed, Err(StoreError::Backend { .. })), "{failed:?}");
        let (again, _) = faulty
            .apply(&h.client(None), batch)
            .await
            .expect("the third call");
        assert_eq!(again.duplicate, there, "{when:?}");
        assert_eq!(faulty.calls_and_failures(), (3, 1));
    }
    let failures = |seed: u64| {
        let faulty = &faulty;
        async move {
            faulty.plan(Plan::Random { seed, per_mille: 250 });
            let mut failed = Vec::new();
            for n in 0..400 {
                if faulty.counts().await.is_err() {
                    failed.push(n);
                }
            }
            failed
        }
    };
    let first = failures(7).await;
    assert_eq!(first, failures(7).await, "the same seed fails the same calls");
    assert_ne!(first, failures(8).await);
    assert!((60..140).contains(&first.len()), "{}", first.len());
}
