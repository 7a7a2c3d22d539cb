//! A crash leaves no image of this program's memory on a disk.
//!
//! What is on the screen, and the keys of whoever is signed in, are in memory. A core file would hold them in the clear, and no
//! lock takes it back.
//! Never here: wiping memory (the allocator of the programs and SQLCipher do that). Called first thing by the programs.

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
