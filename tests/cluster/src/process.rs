//! Processes known by id and start time, so that a number that was given to another is never signalled.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One process that this harness started, or a descendant of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What it is, `patroni db1`.
    pub what: String,
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name stands in brackets and may hold anything
    let rest = text.get(text.rfind(')')? + 2..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

impl Process {
    /// The process that has this id now.
    #[must_use]
    pub fn of(what: &str, pid: u32) -> Option<Self> {
        let s = stat(pid)?;
        (s.state != 'Z').then(|| Self {
            what: what.to_owned(),
            pid,
            started: s.started,
        })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|s| s.started == self.started && !matches!(s.state, 'Z' | 'X'))
    }

    /// Itself and all its descendants.
    #[must_use]
    pub fn tree(&self) -> Vec<Self> {
        if !self.alive() {
            return Vec::new();
        }
        let all: Vec<(u32, Stat)> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?)))
            .filter(|(_, s)| s.state != 'Z')
            .collect();
        let mut found = vec![self.clone()];
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|p| p.pid) {
            for (pid, s) in all.iter().filter(|(_, s)| s.parent == parent) {
                found.push(Self {
                    what: format!("{} (child)", self.what),
                    pid: *pid,
                    started: s.started,
                });
            }
            next += 1;
        }
        found
    }
}

/// Sends one signal to those that still run, in one go.
///
/// # Errors
/// When no shell can be started.
pub fn signal(processes: &[Process], name: &str) -> Result<()> {
    let pids: Vec<String> = processes
        .iter()
        .filter(|p| p.alive())
        .map(|p| p.pid.to_string())
        .collect();
    if pids.is_empty() {
        return Ok(());
    }
    // one of them may end in between; who still runs is looked at afterwards, not here
    Command::new("sh")
        .arg("-c")
        .arg(format!("kill -s {name} {}", pids.join(" ")))
        .stderr(Stdio::null())
        .status()
        .context("starting sh to send a signal")?;
    Ok(())
}

/// Waits until none of them runs; gives those that still do.
#[must_use]
pub fn wait_gone(processes: &[Process], within: Duration) -> Vec<Process> {
    let until = Instant::now() + within;
    loop {
        let left: Vec<Process> = processes.iter().filter(|p| p.alive()).cloned().collect();
        if left.is_empty() || Instant::now() > until {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts a program that outlives this one, with its words in `log`.
///
/// # Errors
/// When it cannot be started or ends at once.
pub fn start(what: &str, mut command: Command, log: &Path) -> Result<Process> {
    use std::os::unix::process::CommandExt;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("the log of {what}: {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0);
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {what}: {:?}", command.get_program()))?;
    let process = Process::of(what, child.id()).with_context(|| format!("{what} ended at once"))?;
    // whoever ends it, it is reaped here as long as this program runs
    std::thread::spawn(move || child.wait());
    Ok(process)
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// When it fails: with its own words.
pub fn output(mut command: Command) -> Result<String> {
    let words = format!(
        "{:?} {:?}",
        command.get_program(),
        command.get_args().collect::<Vec<_>>()
    );
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {words}"))?;
    ensure!(
        out.status.success(),
        "{words} ended with {}: {}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr).trim_end()
    );
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let there = Process::of("sleep", child.id()).unwrap();
        assert!(there.alive());
        let other = Process {
            started: there.started + 1,
            ..there.clone()
        };
        assert!(
            !other.alive(),
            "the same id with another start is another process"
        );
        signal(&[other], "KILL").unwrap();
        assert!(there.alive(), "and is not signalled");
        signal(std::slice::from_ref(&there), "KILL").unwrap();
        child.wait().unwrap();
        assert_eq!(wait_gone(&[there], Duration::from_secs(5)), Vec::new());
    }

    #[test]
    fn children_are_found() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 61 & wait"])
            .spawn()
            .unwrap();
        let shell = Process::of("sh", child.id()).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while shell.tree().len() < 3 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let tree = shell.tree();
        assert_eq!(tree.len(), 3, "{tree:?}");
        signal(&tree, "KILL").unwrap();
        child.wait().unwrap();
        assert_eq!(wait_gone(&tree, Duration::from_secs(5)), Vec::new());
    }
}
