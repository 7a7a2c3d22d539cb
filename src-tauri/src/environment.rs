//! Environment variables that would let another program of the same user drive or inspect the window: gone before
//! anything else runs, in every build but one made for automation.
//!
//! A process cannot safely change its own environment once threads may read it, so it replaces itself with a fresh
//! start that never had the variables.

use std::io;

/// A WebDriver session, WebKit's remote inspector, GTK's interactive debugger.
pub const DANGEROUS: [&str; 5] = [
    "TAURI_WEBVIEW_AUTOMATION",
    "TAURI_AUTOMATION",
    "WEBKIT_INSPECTOR_SERVER",
    "WEBKIT_INSPECTOR_HTTP_SERVER",
    "GTK_DEBUG",
];

/// Returns only where none of [`DANGEROUS`] is set: where one was, this process becomes a new start without it.
///
/// # Errors
/// When the program cannot be started again.
pub fn cleared() -> io::Result<()> {
    if cfg!(feature = "automation") || DANGEROUS.iter().all(|name| std::env::var_os(name).is_none()) {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1));
    for name in DANGEROUS {
        again.env_remove(name);
    }
    become_it(again)
}

#[cfg(unix)]
fn become_it(mut again: std::process::Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(again.exec())
}

#[cfg(not(unix))]
fn become_it(mut again: std::process::Command) -> io::Result<()> {
    let ended = again.status()?;
    std::process::exit(ended.code().unwrap_or(1));
}
