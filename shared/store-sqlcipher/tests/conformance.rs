//! The server's store passes the suite that every backend passes.

use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use vitrine_store::conformance::{Backend, run_all};
use vitrine_store::pack::PackFolders;
use vitrine_store::{Projector, Store};
use vitrine_store_sqlcipher::{Key, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

struct Files {
    folder: tempfile::TempDir,
    next: AtomicU32,
    newest: Mutex<PathBuf>,
}

fn open(path: &std::path::Path, projector: Arc<dyn Projector>) -> Arc<dyn Store> {
    let key = Key::new(Zeroizing::new([7; 32]));
    let options = StoreOptions {
        packs: Some(PackFolders {
            warm: path.with_file_name("packs").join("warm"),
            archive: Some(path.with_file_name("cold")),
        }),
        ..StoreOptions::default()
    };
    SqlcipherStore::open(path, key, projector, options).expect("opened")
}

#[async_trait]
impl Backend for Files {
    async fn fresh(&self, projector: Arc<dyn Projector>) -> Arc<dyn Store> {
        let folder = self
            .folder
            .path()
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let path = folder.join("vitrine.db");
        self.newest.lock().expect("not poisoned").clone_from(&path);
        open(&path, projector)
    }
    async fn reopen(&self, store: Arc<dyn Store>, projector: Arc<dyn Projector>) -> Option<Arc<dyn Store>> {
        drop(store);
        let path = self.newest.lock().expect("not poisoned").clone();
        Some(open(&path, projector))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    run_all(&Files {
        folder,
        next: AtomicU32::new(0),
        newest: Mutex::default(),
    })
    .await;
}
