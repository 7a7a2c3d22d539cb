//! The window without a driver: for what ends a driver's session too, such as the death of the web view's process.

use crate::display::{Display, Kids};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest wait for what must come.
const WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The application on a display of its own; what it logs can be read. Dropping it ends everything it started.
pub struct Bare {
    app: u32,
    log: PathBuf,
    // Order matters: the application ends before its display and its folder go.
    kids: Kids,
    _display: Display,
    _home: tempfile::TempDir,
}

impl Bare {
    /// Opens `app` with the given profile.
    ///
    /// # Errors
    /// When a program is missing.
    pub fn start(app: &Path, profile: &Path) -> Result<Self> {
        let display = Display::start()?;
        let home = tempfile::tempdir()?;
        let log = home.path().join("log");
        let mut command = Command::new(app);
        command
            .arg("--profile")
            .arg(profile)
            .env("VITRINE_LOG", "vitrine_app=debug");
        crate::driver::apart(&mut command, &display, home.path());
        let mut kids = Kids::default();
        let app = kids.start_logged(&mut command, std::fs::File::create(&log)?)?;
        Ok(Self {
            app,
            log,
            kids,
            _display: display,
            _home: home,
        })
    }

    /// How often a mark was set so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn marked(&self, mark: &str) -> Result<usize> {
        let log = std::fs::read_to_string(&self.log)?;
        Ok(log
            .lines()
            .filter(|line| line.contains(&format!("mark=\"{mark}\"")))
            .count())
    }

    /// Waits until a mark was set more than `before` times; gives how long that took.
    ///
    /// # Errors
    /// When it does not come, or the application ended.
    pub fn marks(&mut self, mark: &str, before: usize) -> Result<Duration> {
        let from = Instant::now();
        while self.marked(mark)? <= before {
            if self.kids.ended() {
                bail!("the application ended: {}", std::fs::read_to_string(&self.log)?);
            }
            if from.elapsed() > WAIT {
                bail!("no mark '{mark}': {}", std::fs::read_to_string(&self.log)?);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(from.elapsed())
    }

    /// The process that runs the page.
    ///
    /// # Errors
    /// When there is none.
    pub fn web_process(&self) -> Result<u32> {
        web_process_of(self.app)
    }
}

/// The web view's process that descends from `app`.
///
/// # Errors
/// When there is none.
pub fn web_process_of(app: u32) -> Result<u32> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok());
        let stat = std::fs::read_to_string(entry.path().join("stat"));
        let (Some(pid), Ok(stat)) = (pid, stat) else {
            continue;
        };
        // pid (name) state parent …
        let (Some(begin), Some(end)) = (stat.find('('), stat.rfind(')')) else {
            continue;
        };
        let mut rest = stat.get(end + 1..).unwrap_or_default().split_whitespace();
        let (state, parent) = (rest.next().unwrap_or_default(), rest.next());
        let Some(parent) = parent.and_then(|p| p.parse::<u32>().ok()) else {
            continue;
        };
        let name = stat.get(begin + 1..end).unwrap_or_default();
        if state != "Z" {
            all.push((pid, parent, name.to_owned()));
        }
    }
    let parent_of = |pid: u32| all.iter().find(|(p, ..)| *p == pid).map(|(_, parent, _)| *parent);
    let below = |mut pid: u32| {
        while let Some(parent) = parent_of(pid) {
            if parent == app {
                return true;
            }
            pid = parent;
        }
        false
    };
    all.iter()
        .find(|(pid, _, name)| name.starts_with("WebKitWebProc") && below(*pid))
        .map(|(pid, ..)| *pid)
        .context("there is no process of a web view")
}

/// Ends a process as a crash would.
///
/// # Errors
/// When it is not there.
pub fn kill(pid: u32) -> Result<()> {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    anyhow::ensure!(killed.success(), "there is no process {pid}");
    Ok(())
}
