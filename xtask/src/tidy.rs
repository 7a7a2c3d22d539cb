//! The house rules that no compiler checks: one-way doors over `cargo metadata`, and what a source may not say.

use crate::run::{cargo, output, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which of our crates a crate may know. A crate that is not listed may not exist.
const DOORS: &[(&str, &[&str])] = &[
    ("vitrine-clinical", &[]),
    ("vitrine-access", &["vitrine-clinical"]),
    ("vitrine-wire", &["vitrine-clinical"]),
    ("vitrine-sync", &["vitrine-clinical", "vitrine-wire"]),
    ("vitrine-fhir", &["vitrine-clinical"]),
    ("vitrine-hl7v2", &["vitrine-clinical"]),
    ("vitrine-dicom", &[]),
    ("vitrine-pixels", &[]),
    ("vitrine-paper", &["vitrine-wire"]),
    ("vitrine-synthetic", &[]),
    ("vitrine-store", &["vitrine-access", "vitrine-clinical"]),
    (
        "vitrine-store-sqlcipher",
        &[
            "vitrine-access",
            "vitrine-clinical",
            "vitrine-store",
            "vitrine-wire",
        ],
    ),
    (
        "vitrine-engine",
        &[
            "vitrine-access",
            "vitrine-clinical",
            "vitrine-dicom",
            "vitrine-fhir",
            "vitrine-paper",
            "vitrine-pixels",
            "vitrine-store",
            "vitrine-store-sqlcipher",
            "vitrine-sync",
            "vitrine-wire",
        ],
    ),
    ("vitrine-codec", &["vitrine-dicom", "vitrine-pixels"]),
    (
        "vitrine-server",
        &[
            "vitrine-access",
            "vitrine-clinical",
            "vitrine-codec",
            "vitrine-dicom",
            "vitrine-fhir",
            "vitrine-hl7v2",
            "vitrine-pixels",
            "vitrine-store",
            "vitrine-store-postgres",
            "vitrine-store-sqlcipher",
            "vitrine-sync",
            "vitrine-synthetic",
            "vitrine-wire",
        ],
    ),
    ("vitrine", &["vitrine-engine", "vitrine-wire"]),
    (
        "vitrine-store-postgres",
        &["vitrine-access", "vitrine-clinical", "vitrine-store"],
    ),
    ("vitrine-testpg", &[]),
    ("vitrine-vfs", &[]),
    ("vitrine-tests", &["*"]),
    ("vitrine-cluster", &["*"]),
    ("vitrine-desktop-tests", &["*"]),
    ("vitrine-bench", &["*"]),
    ("xtask", &[]),
];

/// Crates that may not be direct dependencies of ours, with the reason.
const FORBIDDEN: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "vitrine-clinical",
            "vitrine-access",
            "vitrine-wire",
            "vitrine-sync",
            "vitrine-fhir",
            "vitrine-hl7v2",
            "vitrine-dicom",
            "vitrine-pixels",
            "vitrine-synthetic",
        ],
        &[
            "tokio",
            "reqwest",
            "axum",
            "rusqlite",
            "rand",
            "getrandom",
            "ring",
        ],
        "a pure crate: time and ids come in as arguments, bytes go out as values",
    ),
    (
        &["vitrine-store"],
        &["rusqlite", "tokio-postgres"],
        "the traits know no database driver",
    ),
    (
        &["vitrine-engine"],
        &["tauri", "axum", "rusqlite"],
        "the workstation without a window; SQL lives in store-sqlcipher",
    ),
    (
        &["vitrine-server"],
        &["tauri", "rusqlite", "tokio-postgres"],
        "SQL lives in the stores",
    ),
    (
        &["vitrine"],
        &["rusqlite", "reqwest", "hyper", "axum", "tokio-tungstenite"],
        "the shell knows no SQL and no HTTP",
    ),
];

/// Runs every rule; the message lists all faults at once.
pub fn tidy() -> Result<()> {
    let mut faults = Vec::new();
    doors(&mut faults)?;
    for file in sources()? {
        let text = std::fs::read_to_string(root().join(&file)).with_context(|| file.display().to_string())?;
        source(&file, &text, &mut faults);
    }
    lock_file(&mut faults)?;
    if faults.is_empty() {
        eprintln!("tidy: nothing to mend");
        return Ok(());
    }
    for f in &faults {
        eprintln!("tidy: {f}");
    }
    bail!("tidy: {} faults", faults.len())
}

fn doors(faults: &mut Vec<String>) -> Result<()> {
    let meta: Value = serde_json::from_str(&output(cargo(&[
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?)?;
    let known: BTreeMap<&str, &[&str]> = DOORS.iter().copied().collect();
    for package in meta["packages"].as_array().context("cargo metadata: packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = known.get(name) else {
            faults.push(format!(
                "crate {name} has no door: add it to xtask/src/tidy.rs with what it may know"
            ));
            continue;
        };
        // what a test compares with is not what the crate knows: dev-dependencies are free
        let direct: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|d| d["kind"].as_str() != Some("dev"))
            .filter_map(|d| d["name"].as_str())
            .collect();
        for dep in &direct {
            let ours = *dep == "vitrine" || known.contains_key(dep);
            if ours && !allowed.contains(&"*") && !allowed.contains(dep) {
                faults.push(format!(
                    "{name} may not know {dep}: the doors are one-way (ARCHITECTURE.md)"
                ));
            }
        }
        for (crates, banned, why) in FORBIDDEN {
            for dep in direct
                .iter()
                .filter(|d| crates.contains(&name) && banned.contains(d))
            {
                faults.push(format!("{name} may not use {dep}: {why}"));
            }
        }
    }
    Ok(())
}

/// All files git knows or would add.
fn sources() -> Result<Vec<PathBuf>> {
    let listed = output(crate::run::command(
        "git",
        &["ls-files", "-co", "--exclude-standard"],
    ))?;
    Ok(listed
        .lines()
        .map(PathBuf::from)
        .filter(|p| root().join(p).is_file() && is_text(p))
        .collect())
}

fn is_text(p: &Path) -> bool {
    p.extension().and_then(|e| e.to_str()).is_some_and(|e| {
        [
            "rs", "toml", "ts", "svelte", "js", "mjs", "md", "json", "sql", "css", "html", "sh",
        ]
        .contains(&e)
    })
}

/// A text that only some files may hold.
struct Only {
    text: &'static str,
    allowed: &'static [&'static str],
    why: &'static str,
}

const ONLY: &[Only] = &[
    Only {
        text: "Receipt::of_committed_row",
        allowed: &[
            "shared/store/src/",
            "shared/store-sqlcipher/src/",
            "server/store-postgres/src/",
            "shared/access/",
        ],
        why: "only a store may say that a row is committed",
    },
    Only {
        text: "Sealed::seal",
        allowed: &[
            "shared/store/src/",
            "shared/store-sqlcipher/src/",
            "server/store-postgres/src/",
            "shared/access/",
        ],
        why: "only a store seals what it has read",
    },
    Only {
        text: "allow(unsafe_code)",
        allowed: &[],
        why: "unsafe is forbidden; the one exception is the crate tests/vfs",
    },
    Only {
        text: "{@html",
        allowed: &["ui/scripts/"],
        why: "text from outside is text, never markup",
    },
    Only {
        text: "innerHTML",
        allowed: &["ui/scripts/", "ui/tests/"],
        why: "text from outside is text, never markup",
    },
    Only {
        text: "toLocale",
        allowed: &["ui/scripts/"],
        why: "dates and numbers are formatted once, in Rust",
    },
];

fn source(file: &Path, text: &str, faults: &mut Vec<String>) {
    let name = file.to_string_lossy().replace('\\', "/");
    if name.starts_with("xtask/src/tidy.rs") || name.ends_with("package-lock.json") {
        return;
    }
    for rule in ONLY {
        let code = [".rs", ".ts", ".svelte", ".js", ".mjs"]
            .iter()
            .any(|e| name.ends_with(e));
        if code && text.contains(rule.text) && !rule.allowed.iter().any(|a| name.starts_with(a)) {
            // a lint's own list of banned words, and comments, may name them
            let used = text
                .lines()
                .any(|l| l.contains(rule.text) && !l.trim_start().starts_with("//") && !l.contains("ban:"));
            if used {
                faults.push(format!("{name} says `{}`: {}", rule.text, rule.why));
            }
        }
    }
    if name.starts_with("src-tauri/engine/src/break_glass") {
        for word in ["crate::link", "reqwest", "tokio::net", "std::net", "tungstenite"] {
            if text.contains(word) {
                faults.push(format!(
                    "{name} says `{word}`: breaking the glass needs no network and may not reach one"
                ));
            }
        }
    }
    if is_product_source(&name) && name.ends_with(".rs") {
        rust_source(&name, text, faults);
    }
    machine_words(&name, text, faults);
}

fn is_product_source(name: &str) -> bool {
    (name.starts_with("shared/") || name.starts_with("server/") || name.starts_with("src-tauri/"))
        && name.contains("/src/")
}

fn rust_source(name: &str, text: &str, faults: &mut Vec<String>) {
    if !text.trim_start().starts_with("//!") && !name.contains("/bin/") && !name.ends_with("/tests.rs") {
        faults.push(format!("{name} does not open with what lives in it (`//!`)"));
    }
    let pure = [
        "clinical",
        "access",
        "wire",
        "sync",
        "fhir",
        "dicom",
        "pixels",
        "synthetic",
    ]
    .iter()
    .any(|c| name.starts_with(&format!("shared/{c}/src/")));
    for word in [
        "std::fs",
        "std::net",
        "std::env::var",
        "SystemTime::now",
        "Instant::now",
    ] {
        if pure && text.contains(word) {
            faults.push(format!(
                "{name} says `{word}`: a pure crate has no files, no network, no clock"
            ));
        }
    }
    let sql = ["SELECT ", "INSERT INTO", "DELETE FROM"]
        .iter()
        .any(|w| text.contains(w));
    let store = ["shared/store-sqlcipher/", "server/store-postgres/"];
    if sql && !store.iter().any(|s| name.starts_with(s)) {
        faults.push(format!("{name} holds SQL text: SQL lives in the stores"));
    }
}

/// Nothing in the project may tell of the machine it was written on.
fn machine_words(name: &str, text: &str, faults: &mut Vec<String>) {
    for word in [
        concat!("/", "work/"),
        concat!("/", "root/"),
        concat!("/", "home/"),
    ] {
        let shown = text.lines().any(|l| l.contains(word) && !l.contains("ban:"));
        if shown {
            faults.push(format!("{name} names a path of a machine (`{word}`)"));
        }
    }
}

/// Versions that the gate of docs/SECURITY.md asks for.
fn lock_file(faults: &mut Vec<String>) -> Result<()> {
    const AT_LEAST: &[(&str, [u32; 3])] = &[
        ("tauri", [2, 11, 1]),
        ("h2", [0, 4, 16]),
        ("rustls-webpki", [0, 103, 13]),
        ("bytes", [1, 11, 1]),
        ("tungstenite", [0, 20, 1]),
        ("tokio", [1, 44, 2]),
    ];
    let text = std::fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock")?;
    for block in text.split("[[package]]") {
        let field = |f: &str| {
            block.lines().find_map(|l| {
                l.strip_prefix(f)
                    .and_then(|r| r.strip_prefix(" = \""))?
                    .strip_suffix('"')
            })
        };
        let (Some(name), Some(version)) = (field("name"), field("version")) else {
            continue;
        };
        let Some((_, least)) = AT_LEAST.iter().find(|(n, _)| *n == name) else {
            continue;
        };
        let parts: Vec<u32> = version
            .split(['.', '-', '+'])
            .take(3)
            .filter_map(|p| p.parse().ok())
            .collect();
        if parts.as_slice() < least.as_slice() {
            faults.push(format!(
                "Cargo.lock has {name} {version}; versions before {least:?} have known faults"
            ));
        }
    }
    Ok(())
}
