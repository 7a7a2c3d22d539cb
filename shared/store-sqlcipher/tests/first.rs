//! The first connections of a process, made by several threads at once. A process has only one first time, so each
//! trial is this test program anew.

use std::process::Command;
use std::sync::{Arc, Barrier};
use vitrine_store_sqlcipher::{Key, OpenOptions, cipher};
use zeroize::Zeroizing;

const TRIAL: &str = "VITRINE_FIRST_TRIAL";
const TRIALS: u32 = 200;
const THREADS: u8 = 4;

/// One trial, in the process of its own; does nothing when called by hand.
#[test]
fn trial() {
    let Some(folder) = std::env::var_os(TRIAL).map(std::path::PathBuf::from) else {
        return;
    };
    let together = Arc::new(Barrier::new(usize::from(THREADS)));
    let threads = (0..THREADS).map(|n| {
        let (path, together) = (folder.join(format!("{n}.db")), Arc::clone(&together));
        std::thread::spawn(move || {
            let options = OpenOptions {
                create: true,
                ..OpenOptions::default()
            };
            let key = Key::new(Zeroizing::new([n; 32]));
            together.wait();
            let conn = cipher::open(&path, &key, &options).unwrap();
            conn.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
                .unwrap();
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    for n in 0..THREADS {
        let first = std::fs::read(folder.join(format!("{n}.db"))).unwrap();
        assert!(
            !first.starts_with(b"SQLite format 3\0"),
            "{n}.db is not encrypted"
        );
    }
}

#[test]
fn threads_that_open_first_together_find_the_cipher() {
    for n in 0..TRIALS {
        let folder = tempfile::tempdir().unwrap();
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "trial", "--nocapture"])
            .env(TRIAL, folder.path())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "trial {n} ended with {}:\n{}{}",
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
}
