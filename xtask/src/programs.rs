//! Runs the workspace's test programs as `cargo test` would, but as many side by side as there are processors.
//!
//! Most of them wait more than they compute: for a socket, a replica, a process that starts. Those that draw a window or keep time
//! say in their package's `[package.metadata.vitrine] alone` that they run with nothing beside them. One that fails is run again by
//! itself, where it alone decides; what passed only then is named at the end (ADR 54).
//!
//! Lives here: which programs there are, in what order they run, and what is told of them. Never here: what they need (`test.rs`).

use crate::run::{FEATURES, cargo, output, run};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No more side by side, however many processors there are: each starts servers of its own.
const MOST: usize = 4;

/// One test program.
struct Program {
    /// What it is called for a person: the package and the target.
    name: String,
    package: String,
    version: String,
    executable: PathBuf,
    /// The package's folder, in which it runs.
    folder: PathBuf,
    /// Nothing runs beside it.
    alone: bool,
}

/// How one run of a program ended.
struct Ended {
    passed: bool,
    took: Duration,
}

/// Builds every test program and runs them, then the examples in the documentation. `only` is what a test's name must contain,
/// `left_out` are packages that are not run, `env` is what the programs are told.
///
/// # Errors
/// When something cannot be built, or a program fails when it is run by itself.
pub fn run_all(only: Option<&str>, left_out: &[&str], env: &[(String, String)]) -> Result<()> {
    let selection = selection(left_out);
    let programs = programs(&selection)?;
    let told = |c: &mut Command| {
        c.envs(env.iter().map(|(name, value)| (name, value)));
    };
    let (alone, beside): (Vec<Program>, Vec<Program>) = programs.into_iter().partition(|p| p.alone);
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST));
    eprintln!(
        "{} test programs, {workers} side by side, then {} by themselves",
        beside.len(),
        alone.len()
    );
    let mut failed: Vec<&Program> = side_by_side(&beside, workers, only, &told)?;
    for program in &alone {
        if !program.run(only, &told)?.passed {
            failed.push(program);
        }
    }
    let mut by_itself = Vec::new();
    let mut for_good = Vec::new();
    for program in failed {
        eprintln!("{} failed: once more, by itself", program.name);
        let again = program.run(only, &told)?;
        let list = if again.passed {
            &mut by_itself
        } else {
            &mut for_good
        };
        list.push(program.name.as_str());
    }
    let documented = examples(&selection, only, &told);
    if !by_itself.is_empty() {
        eprintln!(
            "failed once, and passed when run again by itself: {}",
            by_itself.join(", ")
        );
    }
    ensure!(
        for_good.is_empty(),
        "test programs failed: {}",
        for_good.join(", ")
    );
    documented
}

/// The words by which cargo takes the workspace without the packages that are left out.
fn selection(left_out: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = ["--workspace", "--features", FEATURES]
        .map(str::to_owned)
        .to_vec();
    for package in left_out {
        words.extend(["--exclude".to_owned(), (*package).to_owned()]);
    }
    words
}

/// Builds the programs, and lists them in cargo's order.
fn programs(selection: &[String]) -> Result<Vec<Program>> {
    let mut build = cargo(&["test", "--no-run"]);
    build.args(selection);
    // What the compiler has to say is printed; the second run has nothing to build, and lists.
    run(build)?;
    let mut list = cargo(&["test", "--no-run", "--message-format", "json"]);
    list.args(selection).stderr(Stdio::null());
    let packages = packages()?;
    let mut programs = Vec::new();
    for line in output(list)?.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).context("cargo's list of test programs")?;
        let (Some(executable), true) = (message["executable"].as_str(), message["profile"]["test"] == true)
        else {
            continue;
        };
        let id = &message["package_id"];
        let package = packages
            .iter()
            .find(|p| p["id"] == *id)
            .with_context(|| format!("cargo does not know the package {id}"))?;
        let (name, target) = (text(&package["name"])?, text(&message["target"]["name"])?);
        let manifest = PathBuf::from(text(&package["manifest_path"])?);
        let alone = &package["metadata"]["vitrine"]["alone"];
        programs.push(Program {
            name: format!("{name} {target}"),
            version: text(&package["version"])?,
            executable: executable.into(),
            folder: manifest.parent().context("a package without a folder")?.into(),
            alone: *alone == true
                || alone
                    .as_array()
                    .is_some_and(|names| names.contains(&Value::from(target))),
            package: name,
        });
    }
    // The list holds each program once for every time that cargo told of it.
    let mut seen = HashSet::new();
    programs.retain(|p| seen.insert(p.executable.clone()));
    ensure!(!programs.is_empty(), "cargo built no test program");
    Ok(programs)
}

/// The workspace's packages, as cargo describes them.
fn packages() -> Result<Vec<Value>> {
    let words = ["metadata", "--no-deps", "--format-version", "1"];
    let mut all: Value = serde_json::from_str(&output(cargo(&words))?).context("cargo metadata")?;
    match all["packages"].take() {
        Value::Array(packages) => Ok(packages),
        other => bail!("cargo metadata has no packages: {other}"),
    }
}

fn text(value: &Value) -> Result<String> {
    let text = value.as_str();
    text.map(str::to_owned)
        .with_context(|| format!("cargo said {value} where a text was expected"))
}

/// Runs these with `workers` at a time; gives those that failed.
fn side_by_side<'a>(
    programs: &'a [Program],
    workers: usize,
    only: Option<&str>,
    told: &(impl Fn(&mut Command) + Sync),
) -> Result<Vec<&'a Program>> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !program.run(only, told)?.passed {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push(program);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let worked = thread.join();
            worked.map_err(|_| anyhow::anyhow!("a thread that ran tests ended"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Program {
    /// Runs it; what it said is printed in one piece once it has ended.
    #[allow(
        clippy::disallowed_methods,
        reason = "how long a program took is told to whoever reads the log"
    )]
    fn run(&self, only: Option<&str>, told: &impl Fn(&mut Command)) -> Result<Ended> {
        let mut c = Command::new(&self.executable);
        c.args(only)
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.package)
            .env("CARGO_PKG_VERSION", &self.version)
            .stdin(Stdio::null());
        told(&mut c);
        let from = Instant::now();
        let out = c
            .output()
            .with_context(|| format!("cannot start {}", self.executable.display()))?;
        let ended = Ended {
            passed: out.status.success(),
            took: from.elapsed(),
        };
        eprintln!(
            "     Running {} ({} s, {})\n{}{}",
            self.name,
            ended.took.as_secs(),
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(ended)
    }
}

/// The examples in the documentation, which cargo alone can run.
fn examples(selection: &[String], only: Option<&str>, told: &impl Fn(&mut Command)) -> Result<()> {
    let mut c = cargo(&["test", "--doc", "--no-fail-fast"]);
    c.args(selection).args(only);
    told(&mut c);
    run(c)
}
