//! PostgreSQL passes the suite that every backend passes. A missing PostgreSQL fails it.

use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use vitrine_store::conformance::{Backend, run_all};
use vitrine_store::pack::PackFolders;
use vitrine_store::{Projector, Store};
use vitrine_store_postgres::{PostgresOptions, PostgresStore};
use vitrine_testpg::TestPg;
use zeroize::Zeroizing;

struct Databases {
    pg: TestPg,
    newest: Mutex<String>,
    folder: tempfile::TempDir,
}

async fn open(url: &str, folder: &std::path::Path, projector: Arc<dyn Projector>) -> Arc<dyn Store> {
    let of = folder.join(url.rsplit('/').next().unwrap_or("db").replace(['?', '&'], "_"));
    PostgresStore::open(
        url,
        Zeroizing::new([7; 32]),
        projector,
        PostgresOptions {
            packs: Some(PackFolders {
                warm: of.join("warm"),
                archive: Some(of.join("cold")),
            }),
            ..PostgresOptions::default()
        },
    )
    .await
    .expect("opened")
}

#[async_trait]
impl Backend for Databases {
    async fn fresh(&self, projector: Arc<dyn Projector>) -> Arc<dyn Store> {
        let url = self.pg.database().expect("a database");
        self.newest.lock().expect("not poisoned").clone_from(&url);
        open(&url, self.folder.path(), projector).await
    }
    async fn reopen(&self, store: Arc<dyn Store>, projector: Arc<dyn Projector>) -> Option<Arc<dyn Store>> {
        drop(store);
        let url = self.newest.lock().expect("not poisoned").clone();
        Some(open(&url, self.folder.path(), projector).await)
    }
}

async fn suite(pg: TestPg) {
    let backend = Databases {
        pg,
        newest: Mutex::default(),
        folder: tempfile::tempdir().expect("a folder"),
    };
    run_all(&backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_suite() {
    suite(TestPg::start().expect("PostgreSQL")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_suite_on_version_18() {
    let Some(pg) = TestPg::start_newer().expect("PostgreSQL 18") else {
        return;
    };
    assert_eq!(pg.version().expect("a version"), 18);
    suite(pg).await;
}
