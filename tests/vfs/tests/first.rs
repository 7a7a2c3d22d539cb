//! The first databases of a process are opened by several threads at once, as test programs do: each must find SQLCipher
//! ready. SQLite calls itself initialised before SQLCipher's part of it has run, and that moment comes once in a process,
//! so each try is a process of its own.

mod ledger;

use std::process::Command;
use std::sync::Barrier;
use vitrine_vfs::Disk;

const CHILD: &str = "VITRINE_VFS_FIRST";
/// Of 1,200 tries 16 failed before the disks took turns: all of these would pass once in a hundred runs.
const TRIES: u32 = 300;
const THREADS: usize = 24;

#[test]
fn threads_that_come_first_together_find_the_cipher_ready() {
    if std::env::var_os(CHILD).is_some() {
        return open_together();
    }
    let program = std::env::current_exe().unwrap();
    for attempt in 0..TRIES {
        let out = Command::new(&program)
            .env(CHILD, "1")
            .args([
                "--exact",
                "threads_that_come_first_together_find_the_cipher_ready",
            ])
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "try {attempt}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
}

fn open_together() {
    let line = Barrier::new(THREADS);
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                line.wait();
                let disk = Disk::new().unwrap();
                let db = ledger::open(disk.vfs_name(), ledger::WAL_FULL).unwrap();
                ledger::create(&db).unwrap();
            });
        }
    });
}
