//! A small file system of a test's own, which can be filled.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fills what `dir` lies on, to the last byte; removing the file gives the room back.
pub fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut f = std::fs::File::create(&path).unwrap();
    for size in [1 << 16, 4096, 512, 1] {
        let block = vec![7_u8; size];
        while f.write_all(&block).is_ok() {}
    }
    path
}

/// Runs the test `child` of this program again with `variable` naming a file system of 8 MiB; it has to print `done`. Where there may
/// be no such file system, that is said and nothing is run. In the child itself this does nothing.
pub fn run(variable: &str, child: &str, done: &str) {
    if std::env::var(variable).is_ok() {
        return;
    }
    let mount = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=8m tmpfs \"$1\" && exec \"$2\" --exact \"$3\" --nocapture --test-threads=1";
    let ran = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(mount.path())
        .arg(std::env::current_exe().unwrap())
        .arg(child)
        .env(variable, mount.path())
        .output();
    let out = match ran {
        Ok(out) => out,
        Err(e) => {
            println!("skipped: unshare cannot be run ({e})");
            return;
        }
    };
    let (stdout, stderr) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    if stderr.contains("unshare") || stderr.contains("mount:") {
        println!(
            "skipped: no file system of its own without root ({})",
            stderr.lines().next().unwrap_or_default()
        );
        return;
    }
    assert!(
        out.status.success() && stdout.contains(done),
        "{stdout}\n{stderr}"
    );
    if let Some(at) = stdout.find("walks ") {
        println!("{}", stdout[at..].lines().next().unwrap_or_default());
    }
}
