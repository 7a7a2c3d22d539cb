//! What was on the screen is in memory: a crash leaves no image of it on a disk, and what is freed is overwritten.
//!
//! Rust's own memory is wiped by the allocator of the programs, SQLite's by SQLCipher, both where they free it. What zstd keeps is
//! overwritten after each act ([`forget`]).
//! Never here: keys. Called first thing by the programs, and after each act.

/// Forbids core files of this process (`PR_SET_DUMPABLE`, which also keeps the memory from other programs of the same user) and of
/// those it starts (`RLIMIT_CORE`). Where the system refuses, the program goes on: without it nobody could be helped.
#[cfg(target_os = "linux")]
pub fn undumped() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(e) = setrlimit(Resource::Core, none) {
        eprintln!("vitrine: core files cannot be forbidden: {e}");
    }
    if let Err(e) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("vitrine: memory dumps cannot be forbidden: {e}");
    }
}

/// Other systems keep no core file unless told to.
#[cfg(not(target_os = "linux"))]
pub fn undumped() {}

/// Overwrites what this thread keeps for packing and unpacking: parts of bodies stand in it.
pub(crate) fn forget() {
    vitrine_wire::frame::forget();
    vitrine_store_sqlcipher::workstation::scopes::forget();
}
