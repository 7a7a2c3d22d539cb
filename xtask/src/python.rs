//! Python with the pinned packages that tests of others' tools run.

use crate::run::{command, root, run, target_dir};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The interpreter of an environment of its own, made anew when the list of packages changes: Debian 12 has some of them
/// alone, and older ones.
pub fn python() -> Result<PathBuf> {
    let list = root().join("tests/interop/requirements.txt");
    let folder = target_dir().join("python");
    let (wanted, stamp) = (std::fs::read(&list)?, folder.join("requirements.txt"));
    let program = folder.join("bin/python");
    if std::fs::read(&stamp).is_ok_and(|s| s == wanted) && program.exists() {
        return Ok(program);
    }
    let (at, pip) = (folder.to_string_lossy(), program.to_string_lossy());
    run(command("python3", &["-m", "venv", "--clear", &at])).context("packages python3 and python3-venv")?;
    let what = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let from = ["--only-binary", ":all:", "-r", &list.to_string_lossy()];
    run(command(&pip, &[&what[..], &from[..]].concat()))?;
    std::fs::write(stamp, wanted)?;
    Ok(program)
}
