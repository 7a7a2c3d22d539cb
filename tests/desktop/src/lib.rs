//! The harness of the real window: a private Xvfb display, WebKitWebDriver, the application, each in a process group of
//! its own, ended together whatever happens.
//!
//! Needs `Xvfb`, `WebKitWebDriver` (Debian: xvfb, webkit2gtk-driver) and two builds of the application beside the tests
//! or named in the environment:
//!
//! | variable | default, in the target folder | built with |
//! |---|---|---|
//! | `VITRINE_BIN` | `vitrine-automation` | `--features tauri/custom-protocol,automation` |
//! | `VITRINE_BIN_SHIPPED` | `vitrine` | `--features tauri/custom-protocol` |
//!
//! Cargo does not rebuild them for these tests: build first. A missing one fails, it never skips.
//! Called by the tests of this crate, by `xtask demo` and by the window benchmarks.

#![allow(clippy::disallowed_methods, reason = "a harness reads the clock")]

pub mod act;
mod bare;
mod display;
mod driver;
mod keys;

pub use bare::{Bare, below, kill, web_process_of};
pub use display::Display;
pub use driver::Desktop;
pub use keys::{CTRL, DOWN, ENTER, ESCAPE, F1, F11, F12, Press, SHIFT};

use std::path::{Path, PathBuf};

/// The build that a WebDriver may drive.
///
/// # Panics
/// When there is none, saying how to build it.
#[must_use]
pub fn automation_bin() -> PathBuf {
    binary(
        "VITRINE_BIN",
        "vitrine-automation",
        "tauri/custom-protocol,automation",
    )
}

/// The build that ships.
///
/// # Panics
/// When there is none, saying how to build it.
#[must_use]
pub fn shipped_bin() -> PathBuf {
    binary("VITRINE_BIN_SHIPPED", "vitrine", "tauri/custom-protocol")
}

fn binary(variable: &str, name: &str, features: &str) -> PathBuf {
    let found = std::env::var_os(variable).map_or_else(|| target_folder().join(name), PathBuf::from);
    assert!(
        found.is_file(),
        "{} is missing: build the UI (npm --prefix ui run build), then cargo build --bin vitrine --features {features}, \
         keep it under the name {name} in the target folder, or name it in {variable}",
        found.display(),
    );
    found
}

/// The folder of this build's executables: two up from the test's own.
fn target_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or(Path::new("."));
    if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder).to_owned()
    } else {
        folder.to_owned()
    }
}

/// The root of the repository, for a test: cargo runs it in the folder of its package.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new("..").join("..")
}
