//! `test`, `ci` and `bench`.

use crate::run::{FEATURES, build_programs, cargo, output, root, run};
use crate::{packages, programs, tidy, ui};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Every test. Servers, displays and browsers are started and stopped by the tests themselves, on loopback.
pub fn test(filter: Option<&str>, with_ui: bool) -> Result<()> {
    packages::ensure(with_ui, with_ui)?;
    packages::ensure_cluster()?;
    ui::build()?;
    if with_ui && filter.is_none() {
        run(ui::npm(&["run", "check"]))?;
        run(ui::npm(&["test"]))?;
    }
    // the binaries first: tests start them as processes and must not meet stale ones
    let bin = build_programs(false)?;
    let app = bin.join(format!("vitrine{}", std::env::consts::EXE_SUFFIX));
    no_leaked_symbols(&app)?;
    let mut env = vec![
        ("VITRINE_BIN_DIR".to_owned(), bin.to_string_lossy().into_owned()),
        (
            "VITRINE_PYTHON".to_owned(),
            crate::python::python()?.to_string_lossy().into_owned(),
        ),
    ];
    if let Some(programs) = ui::newer_postgres()? {
        env.push(("VITRINE_PG18".to_owned(), programs.to_string_lossy().into_owned()));
    }
    ui::provider()?;
    ui::hl7_client()?;
    ui::fhir_clients()?;
    let left_out: &[&str] = if with_ui { &[] } else { &["vitrine-desktop-tests"] };
    programs::run_all(filter, left_out, &env)?;
    if with_ui && filter.is_none() {
        // Every screen for who cannot see it and in the other language; what is hostile on every layout (`npm run names` and
        // `npm run payloads` take all of both).
        for script in ["a11y", "language", "names:quick", "payloads:quick"] {
            run(ui::npm(&["run", script]))?;
        }
        Ok(())
    } else {
        Ok(())
    }
}

/// The executable must not offer its SQLCipher to the system libraries that WebKit loads into the same process.
fn no_leaked_symbols(app: &Path) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let symbols = output(crate::run::command(
        "nm",
        &["-D", "--defined-only", &app.to_string_lossy()],
    ))?;
    let leaked: Vec<&str> = symbols.lines().filter(|l| l.contains("sqlite3")).collect();
    if !leaked.is_empty() {
        bail!(
            "{} exports {} sqlite3 symbols: --exclude-libs is missing in src-tauri/build.rs",
            app.display(),
            leaked.len()
        );
    }
    Ok(())
}

/// Other people's tools, with the viewer that is too large for every day (50 MB to fetch, 210 MB on disk).
pub fn interop() -> Result<()> {
    packages::ensure(false, true)?;
    packages::ensure_cluster()?;
    ui::build()?;
    let bin = build_programs(false)?;
    let mut c = cargo(&[
        "test",
        "--workspace",
        "--features",
        FEATURES,
        "--test",
        "interop",
        "--",
        "--include-ignored",
        "--nocapture",
    ]);
    c.env("VITRINE_BIN_DIR", &bin)
        .env("VITRINE_PYTHON", crate::python::python()?);
    run(c)
}

/// What CI runs.
pub fn ci(with_test: bool) -> Result<()> {
    packages::ensure(true, true)?;
    ui::build()?;
    run(cargo(&["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    run(cargo(&[
        "clippy",
        "--workspace",
        "--features",
        FEATURES,
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    ui::gen_types(true)?;
    if with_test { test(None, true) } else { Ok(()) }
}

/// Builds the release and runs the benches.
pub fn bench(names: &[String], quick: bool, json: Option<&Path>) -> Result<()> {
    packages::ensure(true, false)?;
    if names.is_empty() || names.iter().any(|n| n == "failover") {
        packages::ensure_cluster()?;
    }
    if names.is_empty() || names.iter().any(|n| n == "imaging") {
        packages::ensure_peer()?;
    }
    ui::build()?;
    let bin = build_programs(true)?;
    let mut c = cargo(&[
        "build",
        "--workspace",
        "--features",
        FEATURES,
        "--release",
        "--example",
        "scale",
    ]);
    c.stdout(std::io::stderr());
    run(c)?;
    let mut c = crate::run::command(&bin.join("vitrine-bench").to_string_lossy(), &[]);
    c.env("VITRINE_BIN_DIR", &bin).args(names);
    if quick {
        c.arg("--quick");
    }
    if let Some(file) = json {
        let file = std::path::absolute(file).context("--json")?;
        c.arg("--json").arg(file);
    }
    c.current_dir(root());
    run(c)
}
