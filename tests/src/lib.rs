//! The harness of the whole-system tests: the real server as a process, workstations, a fault proxy, a disk scan.
//!
//! Lives here: starting and ending processes, planting faults, looking at what they leave. Never here: a mock of our
//! own code. Called by the tests of this crate, by the benches and by the demo.

pub mod canary;
pub mod lab;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod mllp;
pub mod monitor;
pub mod oidc;
pub mod planted;
pub mod proxy;
pub mod scan;
pub mod server;
pub mod station;
pub mod thin;
#[cfg(target_os = "linux")]
pub mod tpm;

use std::path::PathBuf;

/// Where the binaries of this build are: `VITRINE_BIN_DIR`, else beside the running test.
///
/// # Panics
/// When the running program's own path cannot be told.
#[must_use]
pub fn bin(name: &str) -> PathBuf {
    let dir = std::env::var_os("VITRINE_BIN_DIR").map_or_else(
        || {
            let exe = std::env::current_exe().expect("own path");
            let dir = exe.parent().expect("a folder").to_path_buf();
            if dir.ends_with("deps") {
                dir.parent().expect("a folder").to_path_buf()
            } else {
                dir
            }
        },
        PathBuf::from,
    );
    dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
