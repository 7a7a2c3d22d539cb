//! What the finished build must and must not contain: the traps that only a look at the result can hold.

use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;
use vitrine_desktop_tests::{automation_bin, repository, shipped_bin};

/// Trap 1: exported sqlite3 symbols would be bound by WebKit's own libraries in the same process.
#[test]
fn no_sqlite_symbol_is_exported() -> Result<()> {
    for binary in [shipped_bin(), automation_bin()] {
        let output = Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(&binary)
            .output()
            .context("running nm")?;
        anyhow::ensure!(output.status.success(), "nm failed on {}", binary.display());
        let names = String::from_utf8_lossy(&output.stdout);
        let leaked: Vec<_> = names.lines().filter(|line| line.contains("sqlite3")).collect();
        assert!(leaked.is_empty(), "{}: {leaked:?}", binary.display());
    }
    Ok(())
}

/// Trap 5: without `tauri/custom-protocol` the window would look for a development server.
#[test]
fn the_pages_are_inside() -> Result<()> {
    let index = std::fs::read_to_string(repository().join("ui/dist/index.html"))
        .context("ui/dist: npm --prefix ui run build")?;
    let script = index
        .split("src=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .context("no script in index.html")?;
    let name = script.trim_start_matches("./");
    for binary in [shipped_bin(), automation_bin()] {
        let bytes = std::fs::read(&binary)?;
        let wanted = name.as_bytes();
        assert!(
            bytes.windows(wanted.len()).any(|w| w == wanted),
            "{} was built over other pages than ui/dist: no {name}",
            binary.display()
        );
    }
    Ok(())
}

/// Nothing of the fake twin ships.
#[test]
fn the_fake_engine_does_not_ship() -> Result<()> {
    for entry in std::fs::read_dir(repository().join("ui/dist/assets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "js") {
            let text = std::fs::read_to_string(&path)?;
            for word in ["vitrineScreens", "JONES, Mary", "SCENARIOS"] {
                assert!(!text.contains(word), "{} holds {word}", path.display());
            }
        }
    }
    Ok(())
}

/// Trap 2: a later CLI lacks some platforms' packages, and `npm ci` then fails there.
#[test]
fn the_command_line_of_tauri_is_pinned_for_every_platform() -> Result<()> {
    let package: Value = serde_json::from_slice(&std::fs::read(repository().join("ui/package.json"))?)?;
    assert_eq!(package["devDependencies"]["@tauri-apps/cli"], "2.12.3");
    let lock = std::fs::read_to_string(repository().join("ui/package-lock.json"))?;
    assert_eq!(lock.matches("\"node_modules/@tauri-apps/cli-").count(), 11);
    for section in ["dependencies", "devDependencies"] {
        for (name, version) in package[section].as_object().context("no dependencies")? {
            let version = version.as_str().unwrap_or_default();
            assert!(
                version.starts_with(|c: char| c.is_ascii_digit()),
                "{name} {version} is not pinned"
            );
        }
    }
    Ok(())
}

#[test]
fn the_windows_rules_are_strict() -> Result<()> {
    let config: Value = serde_json::from_slice(&std::fs::read(repository().join("tauri.conf.json"))?)?;
    let csp = config["app"]["security"]["csp"].as_str().context("no CSP")?;
    assert!(csp.starts_with("default-src 'none'"), "{csp}");
    for word in ["unsafe", "*", "https:", "data:", "blob:"] {
        assert!(!csp.contains(word), "{csp} allows {word}");
    }
    assert_eq!(config["app"]["withGlobalTauri"], false);
    let capability: Value = serde_json::from_slice(&std::fs::read(
        repository().join("src-tauri/capabilities/main.json"),
    )?)?;
    assert_eq!(capability["permissions"], Value::Array(vec![]));
    assert!(capability.get("remote").is_none());
    Ok(())
}
