//! `cargo xtask demo`: from nothing to a running hospital and the app.

use crate::run::{build_programs, command, root, run};
use crate::{packages, ui};
use anyhow::Result;

/// Builds the release, then hands over to the demo program of the window's tests, which starts the server, enrols this
/// machine, opens the app and, without a display, carries out the acts and measures them.
pub fn demo(headless: bool) -> Result<()> {
    let display = std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    let headless = headless || !display;
    packages::ensure(headless, false)?;
    ui::build()?;
    let bin = build_programs(true)?;
    let mut c = command(&bin.join("vitrine-demo").to_string_lossy(), &[]);
    c.env("VITRINE_BIN_DIR", &bin)
        .arg("--out")
        .arg(root().join("target/demo"));
    if headless {
        c.arg("--headless");
    }
    run(c)
}
