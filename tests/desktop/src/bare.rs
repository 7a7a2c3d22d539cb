//! The window without a driver: for what ends a driver's session too, such as the end of the web view's process. Keys come to it as
//! from a keyboard.

use crate::display::{Display, Kids};
use anyhow::{Context, Result, bail, ensure};
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
    display: Display,
    home: tempfile::TempDir,
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
            display,
            home,
        })
    }

    /// How often a mark was set so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn marked(&self, mark: &str) -> Result<usize> {
        let log = self.log()?;
        Ok(log
            .lines()
            .filter(|line| line.contains(&format!("mark=\"{mark}\"")))
            .count())
    }

    /// What the application has logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// Whether a mark is set more than `before` times within that time.
    ///
    /// # Errors
    /// As [`Self::marked`].
    pub fn marked_within(&self, mark: &str, before: usize, time: Duration) -> Result<bool> {
        let from = Instant::now();
        while from.elapsed() < time {
            if self.marked(mark)? > before {
                return Ok(true);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(false)
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

    /// Gives the keys to the window, as a window manager would.
    ///
    /// # Errors
    /// When there is no window.
    pub fn take_keys(&self) -> Result<()> {
        let search = ["search", "--sync", "--onlyvisible", "--name", "Vitrine"];
        self.type_with(&[&search[..], &["windowfocus", "--sync"]].concat())
    }

    /// Presses a key with what is held, by X's names: `ctrl+F12`, `Tab`.
    ///
    /// # Errors
    /// When xdotool is missing or refuses.
    pub fn press(&self, key: &str) -> Result<()> {
        self.type_with(&["key", "--delay", "30", key])
    }

    /// The same in an instant; returns as soon as the keys are up again.
    ///
    /// # Errors
    /// As [`Self::press`].
    pub fn strike(&self, key: &str) -> Result<()> {
        self.type_with(&["key", "--delay", "0", key])
    }

    /// What the window offers by X's selection (`primary`) or its clipboard (`clipboard`); none where nobody offers anything.
    ///
    /// # Errors
    /// When xclip is missing.
    pub fn offered(&self, selection: &str) -> Result<Option<String>> {
        let mut command = Command::new("xclip");
        let asked = command
            .args(["-o", "-selection", selection])
            .env("DISPLAY", &self.display.name);
        let out = asked.output().context("starting xclip: is it installed?")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        Ok((out.status.success() && !text.is_empty()).then_some(text))
    }

    /// Types a text, slower than a reader does: a press every 80 ms, for xdotool waits half of what it is told (at 60 it pressed every
    /// 31 ms, and what was typed was taken for a badge wherever the machine was quick enough).
    ///
    /// # Errors
    /// As [`Self::press`].
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.type_with(&["type", "--delay", "160", "--", text])
    }

    fn type_with(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("xdotool");
        let out = command.args(words).env("DISPLAY", &self.display.name).output();
        let out = out.context("starting xdotool: is it installed?")?;
        ensure!(
            out.status.success(),
            "xdotool: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(())
    }

    /// Presses a key once a second until a mark was set more than `before` times.
    ///
    /// # Errors
    /// As [`Self::marks`].
    pub fn press_until(&mut self, key: &str, mark: &str, before: usize) -> Result<()> {
        let from = Instant::now();
        while from.elapsed() < WAIT {
            std::thread::sleep(Duration::from_secs(1));
            if self.marked(mark)? > before {
                return Ok(());
            }
            self.press(key)?;
        }
        self.marks(mark, before).map(|_| ())
    }

    /// Everything the window writes outside its profile lies below here: data, cache, configuration, temporary files, its log.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The window's processes with their names: the application and those that it started.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn processes(&self) -> Result<Vec<(u32, String)>> {
        let mut all = below(self.app)?;
        all.push((self.app, "vitrine".to_owned()));
        Ok(all)
    }

    /// The process that runs the page.
    ///
    /// # Errors
    /// When there is none.
    pub fn web_process(&self) -> Result<u32> {
        web_process_of(self.app)
    }
}

/// The web view's process that descends from `app`: the one of the page that is seen, where another lies behind it, is the older.
///
/// # Errors
/// When there is none.
pub fn web_process_of(app: u32) -> Result<u32> {
    below(app)?
        .into_iter()
        .find(|(_, name)| name.starts_with("WebKitWebProc"))
        .map(|(pid, _)| pid)
        .context("there is no process of a web view")
}

/// The processes that descend from one, each with its name (the first 15 letters), by their number.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn below(ancestor: u32) -> Result<Vec<(u32, String)>> {
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
    let descends = |mut pid: u32| {
        while let Some(parent) = parent_of(pid) {
            if parent == ancestor {
                return true;
            }
            pid = parent;
        }
        false
    };
    let mut found: Vec<_> = all
        .iter()
        .filter(|(pid, ..)| descends(*pid))
        .map(|(pid, _, name)| (*pid, name.clone()))
        .collect();
    found.sort_unstable();
    Ok(found)
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
