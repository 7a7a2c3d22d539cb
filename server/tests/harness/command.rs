//! Commands that people give, with what proves them on stdin.

use super::PROGRAM;
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs `archive …` with something on stdin; gives exit code, object, stderr.
pub fn archive(dir: &str, args: &[&str], stdin: &str) -> (i32, Value, String) {
    with_secret(dir, &[&["archive"], args].concat(), stdin)
}

/// Runs a command with something on stdin; gives exit code, object, stderr.
pub fn with_secret(dir: &str, words: &[&str], stdin: &str) -> (i32, Value, String) {
    let mut child = Command::new(PROGRAM)
        .args(words)
        .args(["--data", dir, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no password may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let json = serde_json::from_str(text.trim()).unwrap_or(Value::Null);
    (
        out.status.code().unwrap_or(-1),
        json,
        String::from_utf8_lossy(&out.stderr).into_owned(),
    )
}

/// The password of a user made by [`add_user`], as a line.
pub fn password(user: &str) -> String {
    format!("{user}-long-password\n")
}

/// Adds a user; a nurse works in the ED.
pub fn add_user(dir: &str, user: &str, role: &str) {
    let mut args = vec![
        "user",
        "add",
        user,
        "--role",
        role,
        "--data",
        dir,
        "--secret-stdin",
    ];
    if role == "nurse" {
        args.extend(["--ward", "ED"]);
    }
    let mut child = Command::new(PROGRAM)
        .args(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let secret = format!("{}193746\n", password(user));
    child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
