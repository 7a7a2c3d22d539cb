//! A client that is not ours (Authlib, `tests/interop/smart.py`) against the running server: a backend service by key, and a
//! program that a person lets in.

mod harness;
use harness::*;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn script(args: &[&Path]) {
    let python =
        std::env::var_os("VITRINE_PYTHON").expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/smart.py");
    let out = Command::new(python).arg(script).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("YES"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_ours_comes_by_key_and_by_a_person() {
    let (folder, data) = folder();
    let folder = folder.path();
    script(&[Path::new("keys"), folder]);
    let config = folder.join("vitrine.toml");
    std::fs::write(&config, "[listen]\npublic_url = \"https://vitrine.example\"\n").unwrap();
    let server = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
    let all = server.client_token("system/*.cruds").await;
    for patient in ["pat-ed", "pat-two"] {
        let (status, said) = server
            .fhir(&all, "/fhir", placed(patient, "ED").to_string())
            .await;
        assert_eq!(status, 200, "{said}");
    }
    let secret = "nina-long-password";
    let mut user = Command::new(PROGRAM)
        .args([
            "user",
            "add",
            "nina",
            "--role",
            "nurse",
            "--ward",
            "ED",
            "--secret-stdin",
            "--data",
            server.dir(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    user.stdin.as_mut().unwrap().write_all(secret.as_bytes()).unwrap();
    assert!(user.wait().unwrap().success());
    let keys = folder.join("jwks.json");
    let add = |args: &[&str]| {
        let said = done(&[&["client", "add"], args, &["--data", server.dir()]].concat());
        said["client_id"].as_str().unwrap().to_owned()
    };
    let asked = json!({
        "url": server.url(""), "ca": data.join("ca.pem"), "keys": folder, "secret": secret,
        "backend": add(&["lab", "--scope", "system/*.rs", "--jwks", keys.to_str().unwrap()]),
        "app": add(&["growth", "--public", "--redirect", "http://127.0.0.1:49152/callback",
            "--scope", "launch/patient patient/*.rs"]),
    });
    let file = folder.join("asked.json");
    std::fs::write(&file, asked.to_string()).unwrap();
    script(&[Path::new("run"), &file]);
}
