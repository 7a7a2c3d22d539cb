//! A virtual display of its own, and children that never outlive a test.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Children in process groups of their own; dropping ends each group, so that a test that panics leaves nothing.
#[derive(Default)]
pub(crate) struct Kids(Vec<Child>);

impl Kids {
    /// Starts one: nothing of it may keep the test's own output open.
    pub(crate) fn start(&mut self, command: &mut Command) -> Result<u32> {
        self.start_logged(command, Stdio::null())
    }

    /// The same; what it logs goes there.
    pub(crate) fn start_logged(&mut self, command: &mut Command, log: impl Into<Stdio>) -> Result<u32> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: is it installed?"))?;
        let id = child.id();
        self.0.push(child);
        Ok(id)
    }

    /// Whether one of them has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.0.iter_mut().any(|c| !matches!(c.try_wait(), Ok(None)))
    }
}

impl Drop for Kids {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            // Only groups that were begun here, by their number.
            let _ = Command::new("kill")
                .args(["-9", "--", &format!("-{}", child.id())])
                .stderr(Stdio::null())
                .status();
            let _ = child.wait();
        }
    }
}

/// An Xvfb of its own; ends when dropped.
pub struct Display {
    /// For `DISPLAY`, e.g. ":7".
    pub name: String,
    server: Child,
}

impl Display {
    /// Starts one of 1400 × 900; the server itself picks a free number, so that tests may run at the same time.
    ///
    /// # Errors
    /// When Xvfb is not installed or gives no display.
    pub fn start() -> Result<Self> {
        let mut server = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1400x900x24",
                "-nolisten",
                "tcp",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting Xvfb: is it installed?")?;
        let mut line = String::new();
        let said = server.stdout.take().context("Xvfb says nothing")?;
        BufReader::new(said)
            .read_line(&mut line)
            .context("reading Xvfb's display number")?;
        anyhow::ensure!(!line.trim().is_empty(), "Xvfb ended without a display");
        Ok(Self {
            name: format!(":{}", line.trim()),
            server,
        })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
