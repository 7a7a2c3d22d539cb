//! Running other programs, from the root of the project, loudly.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

/// The features every build, check and test of the workspace uses: another set would recompile half of the tree.
pub const FEATURES: &str = "tauri/custom-protocol";

/// The features of the app that a WebDriver may drive; only the app itself differs.
const AUTOMATION: &str = "tauri/custom-protocol,vitrine/automation";

/// Builds every program of the workspace, and the app a second time as `vitrine-automation`, for the tests of the
/// window. What is called `vitrine` in the end is the one that ships. Gives the folder.
pub fn build_programs(release: bool) -> Result<PathBuf> {
    let folder = target_dir().join(if release { "release" } else { "debug" });
    let app = folder.join(format!("vitrine{}", std::env::consts::EXE_SUFFIX));
    for features in [AUTOMATION, FEATURES] {
        let mut c = cargo(&["build", "--workspace", "--features", features, "--bins"]);
        if release {
            c.arg("--release");
        }
        // standard output may be the JSON of a command
        c.stdout(std::io::stderr());
        run(c)?;
        if features == AUTOMATION {
            std::fs::copy(
                &app,
                folder.join(format!("vitrine-automation{}", std::env::consts::EXE_SUFFIX)),
            )
            .with_context(|| format!("keeping {}", app.display()))?;
        }
    }
    Ok(folder)
}

/// The project's root: as cargo tells it to this run, for an xtask built in one clone may be run in another that shares
/// its target folder.
pub fn root() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&here)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command at the project's root.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut c = Command::new(program);
    c.args(args).current_dir(root());
    c
}

/// The cargo that runs us.
pub fn cargo(args: &[&str]) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&program, args)
}

/// When the first command of this run began.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Seconds since then.
#[allow(
    clippy::disallowed_methods,
    reason = "how long a run takes is told to whoever reads its log"
)]
fn since() -> u64 {
    BEGAN.get_or_init(Instant::now).elapsed().as_secs()
}

/// Runs a command and fails with its words when it fails. Says after how many seconds of the whole it began.
pub fn run(mut c: Command) -> Result<()> {
    eprintln!("[{} s] $ {}", since(), words(&c));
    let status = c
        .status()
        .with_context(|| format!("cannot start: {}", words(&c)))?;
    if !status.success() {
        bail!("{} ended with {status}", words(&c));
    }
    Ok(())
}

/// Runs a command and gives its standard output.
pub fn output(mut c: Command) -> Result<String> {
    let out = c
        .output()
        .with_context(|| format!("cannot start: {}", words(&c)))?;
    if !out.status.success() {
        bail!(
            "{} ended with {}: {}",
            words(&c),
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// Whether a program can be found.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()))
}

fn words(c: &Command) -> String {
    let mut s = c.get_program().to_string_lossy().into_owned();
    for a in c.get_args() {
        s.push(' ');
        s.push_str(&a.to_string_lossy());
    }
    s
}
