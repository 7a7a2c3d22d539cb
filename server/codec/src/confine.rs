//! Giving everything up.
//!
//! Lives here: what the process may still do once it has begun to decode: read and write what is open, get memory, die.
//! Never here: a way back. Called first by the worker's program.
//!
//! Only Linux has this. Elsewhere [`confine`] says [`Unconfined::NotLinux`], and who runs a worker decides whether a
//! process of its own, killed when it takes too long, is enough.

/// How much a worker may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, the program's own among them (RLIMIT_AS). More, and the process dies.
    pub memory: u64,
    /// Seconds of CPU in its whole life (RLIMIT_CPU).
    pub cpu: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            cpu: None,
        }
    }
}

/// Why the process still can do more than it should. It must not decode.
#[derive(Debug, thiserror::Error)]
pub enum Unconfined {
    /// There is no way on this system.
    #[error("this system has no way to confine a process")]
    NotLinux,
    /// A limit was not taken.
    #[error("limit {what}: {error}")]
    Limit {
        /// Which.
        what: &'static str,
        /// The system's answer.
        error: std::io::Error,
    },
    /// The filter of system calls was not taken.
    #[error("filter of system calls: {0}")]
    Filter(String),
}

/// Gives up all but open files, memory and its own end, for good and for all threads. Every other system call fails with
/// EPERM: no file is opened, no socket made, no program run, no process or thread begun, traced or signalled.
///
/// # Errors
/// [`Unconfined`]; parts may have been given up by then.
#[cfg(target_os = "linux")]
pub fn confine(limits: &Limits) -> Result<(), Unconfined> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let set = |what, resource, most: u64| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).map_err(|e| Unconfined::Limit {
            what,
            error: e.into(),
        })
    };
    set("memory", Resource::As, limits.memory)?;
    set("core file", Resource::Core, 0)?;
    // Not one beyond those that are open.
    set("open files", Resource::Nofile, 0)?;
    set("file size", Resource::Fsize, 0)?;
    if let Some(seconds) = limits.cpu {
        set("CPU time", Resource::Cpu, seconds)?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| Unconfined::Limit {
        what: "dumps",
        error: e.into(),
    })?;
    filter().map_err(|e| Unconfined::Filter(e.to_string()))
}

/// As on Linux, but there is no way.
///
/// # Errors
/// Always [`Unconfined::NotLinux`].
#[cfg(not(target_os = "linux"))]
pub fn confine(_: &Limits) -> Result<(), Unconfined> {
    Err(Unconfined::NotLinux)
}

#[cfg(target_os = "linux")]
fn filter() -> Result<(), Box<dyn std::error::Error>> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
        SeccompFilter, SeccompRule, apply_filter_all_threads,
    };
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> = [
        // what is open
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
        // memory
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // its own thread
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_restart_syscall,
        // its end
        libc::SYS_rt_sigreturn,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_sigaltstack,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    // Memory that runs is not to be had.
    let plain = SeccompCondition::new(
        2,
        Len::Dword,
        Op::MaskedEq(libc::PROT_EXEC.cast_unsigned().into()),
        0,
    )?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![plain.clone()])?]);
    }
    // A signal to itself is how it aborts.
    let own = SeccompCondition::new(0, Len::Dword, Op::Eq, std::process::id().into())?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
    let program: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()?;
    // This takes the right to new privileges away, too.
    apply_filter_all_threads(&program)?;
    Ok(())
}
