//! The command line: every bad argument ends with exit 2 and one sentence that says what to do.

mod harness;
use harness::*;
use serde_json::{Value, json};

#[test]
fn bad_arguments_end_with_two_and_a_sentence() {
    let (t, data) = folder();
    let d = data.to_str().unwrap().to_owned();
    done(&["demo", "--data", &d, "--patients", "1"]);
    let file = t.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let bad_toml = t.path().join("bad.toml");
    std::fs::write(&bad_toml, "[listen]\nadress = \"x\"\n").unwrap();
    let (f, bad_toml) = (file.to_str().unwrap(), bad_toml.to_str().unwrap());
    let none = t.path().join("none");
    let none = none.to_str().unwrap();
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec![], "command is missing"),
        (vec!["nonsense"], "nonsense"),
        (vec!["serve"], "--data"),
        (vec!["serve", "--data", f], "is a file"),
        (vec!["serve", "--data", &d, "--listen", "somewhere"], "--listen"),
        (
            vec!["serve", "--data", &d, "--listen", "127.0.0.1:99999"],
            "--listen",
        ),
        (vec!["serve", "--data", &d, "--port", "1"], "--port"),
        (vec!["serve", "--data", &d, "--dimse", "somewhere"], "--dimse"),
        (vec!["serve", "--data", &d, "--mllp", "2575"], "mllp.address"),
        (vec!["serve", "--data", &d, "--metrics", "loud"], "--metrics"),
        (
            vec![
                "serve",
                "--data",
                &d,
                "--insecure-loopback",
                "--listen",
                "0.0.0.0:0",
            ],
            "loopback",
        ),
        (vec!["serve", "--data", &d, "--config", none], "cannot be read"),
        (vec!["serve", "--data", &d, "--config", bad_toml], "adress"),
        (vec!["demo"], "--data"),
        (vec!["demo", "--data", &d, "--patients", "many"], "--patients"),
        (vec!["demo", "--data", &d, "--patients", "0"], "--patients"),
        (vec!["demo", "--data", &d, "--at", "12"], "--at"),
        (vec!["import", "--data", &d], "PATH"),
        (vec!["import", f], "--data"),
        (vec!["import", "--data", none, f], "does not exist"),
        (vec!["import", "--data", &d, none], "cannot be read"),
        (
            vec!["import", "--data", &d, "--server", "https://x", f],
            "--server",
        ),
        (vec!["import", "--server", "https://x", f], "--token"),
        (
            vec!["import", "--server", "http://x", "--token", "t", "--ca", f, f],
            "https://",
        ),
        (
            vec!["import", "--server", "https://x", "--token", "t", "--ca", f, f],
            "--ca",
        ),
        (vec!["user"], "choose one of"),
        (vec!["user", "add"], "NAME"),
        (vec!["user", "add", "a", "--data", &d], "--role"),
        (
            vec!["user", "add", "a", "--data", &d, "--role", "king"],
            "is no role",
        ),
        (
            vec!["user", "add", "bad name", "--data", &d, "--role", "nurse"],
            "sign-in name",
        ),
        (
            vec![
                "user", "add", "a", "--data", &d, "--role", "nurse", "--ward", "no ward",
            ],
            "--ward",
        ),
        (
            vec!["user", "add", "castelano", "--data", &d, "--role", "nurse"],
            "exists already",
        ),
        (
            vec![
                "user",
                "add",
                "a",
                "--data",
                &d,
                "--role",
                "nurse",
                "--secret-stdin",
            ],
            "first line of stdin",
        ),
        (vec!["user", "list"], "--data"),
        (vec!["user", "list", "--data", none], "does not exist"),
        (vec!["user", "disable", "nobody", "--data", &d], "no user"),
        (vec!["client", "add", "x", "--data", &d], "--scope"),
        (
            vec!["client", "add", "x", "--data", &d, "--scope", "client/*.r"],
            "system/",
        ),
        (
            vec!["client", "add", "x", "--data", &d, "--scope", "patient/*.r"],
            "--redirect",
        ),
        (
            vec![
                "client",
                "add",
                "x",
                "--data",
                &d,
                "--scope",
                "system/*.r",
                "--public",
            ],
            "--redirect",
        ),
        (
            vec!["client", "add", "x", "--data", &d, "--scope", "system/Nothing.r"],
            "resource type",
        ),
        (
            vec!["client", "add", "x", "--data", &d, "--scope", "system/*.sc"],
            "this order",
        ),
        (
            vec!["client", "add", "bad name", "--data", &d, "--scope", "system/*.r"],
            "client name",
        ),
        (vec!["enrol", "--data", &d], "--ward"),
        (vec!["enrol", "--data", &d, "--ward", "a b"], "--ward"),
        (
            vec!["enrol", "--data", &d, "--ward", "ED", "--site", "--ward-only"],
            "--ward-only",
        ),
        (vec!["device", "revoke", "--data", &d], "ID"),
        (vec!["device", "revoke", "nobody", "--data", &d], "no workstation"),
        (vec!["audit", "export", "--data", &d], "--to"),
        (
            vec!["audit", "export", "--data", &d, "--chain", "x", "--to", none],
            "--chain",
        ),
        (vec!["audit", "export", "--data", &d, "--to", f], "--to"),
        (
            vec!["quarantine", "list", "--data", &d, "--limit", "x"],
            "--limit",
        ),
        (vec!["backup", "--data", &d], "--to"),
        (vec!["backup", "--data", &d, "--to", f], "exists"),
        (vec!["restore", "--data", &d], "--from"),
        (vec!["restore", "--data", &d, "--from", none], "not a file"),
        (
            vec!["restore", "--data", &d, "--from", f, "--at", "now"],
            "is no time",
        ),
        (
            vec!["restore", "--data", &d, "--at", "2926-01-01T00:00:00Z"],
            "has not come yet",
        ),
        (
            vec!["restore", "--data", &d, "--at", "2026-01-01T00:00:00Z", "--force"],
            "there is no redo log",
        ),
        (vec!["restore", "--data", &d, "--from", f, "--redo", &d], "--at"),
        (
            vec!["restore", "--data", &d, "--from", f, "--force"],
            "not a Vitrine backup",
        ),
        (vec!["verify-backup", "--from", f], "--data"),
        (
            vec!["verify-backup", "--from", f, "--data", &d],
            "not a Vitrine backup",
        ),
        (
            vec!["verify-backup", "--from", f, "--recovery-key", none],
            "cannot read",
        ),
        (vec!["migrate"], "--data"),
        (vec!["migrate", "--from-embedded", &d], "--database-url"),
        (vec!["migrate", "--from-embedded", none], "does not exist"),
        (vec!["doctor", "--data", f], "is a file"),
        (
            vec!["doctor", "--data", t.path().to_str().unwrap()],
            "holds no Vitrine data",
        ),
    ];
    for (args, words) in &cases {
        let out = run(args);
        let err = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {err}");
        assert_eq!(
            err.trim().lines().count(),
            1,
            "{args:?} says more than a sentence: {err}"
        );
        assert!(err.contains(words), "{args:?} lacks '{words}': {err}");
        let out = run(&[args.as_slice(), &["--json"]].concat());
        let json: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{args:?} --json: {e}"));
        assert_eq!(
            (out.status.code(), &json["exit"]),
            (Some(2), &Value::from(2)),
            "{args:?}"
        );
    }
    eprintln!("{} bad calls", cases.len());
    let help = run(&["help"]);
    assert_eq!(help.status.code(), Some(0));
}

#[test]
fn one_folder_serves_one_process_and_commands_go_through_it() {
    let (_t, data) = folder();
    let server = Server::start(&data);
    let d = data.to_str().unwrap();
    let second = run(&["serve", "--data", d, "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by process"));
    let user = done(&[
        "user", "add", "anna", "--role", "nurse", "--ward", "ED", "--data", d,
    ]);
    assert_eq!(user["pin"].as_str().unwrap().len(), 6);
    assert_eq!(done(&["user", "list", "--data", d])["users"][0]["user"], "anna");
    let code = done(&["enrol", "--ward", "ED", "--data", d]);
    assert_eq!(code["fingerprint"], server.ready["fingerprint"]);
    assert_eq!(done(&["doctor", "--data", d])["healthy"], true);
    let to = data.with_extension("vtbk");
    done(&["backup", "--data", d, "--to", to.to_str().unwrap()]);
    drop(server);
    assert_eq!(done(&["user", "list", "--data", d])["users"][0]["user"], "anna");
}

#[test]
fn demo_is_seeded_once_and_marked() {
    let (_t, data) = folder();
    let d = data.to_str().unwrap();
    let first = done(&["demo", "--data", d, "--patients", "12"]);
    assert!(first["counts"]["accepted"].as_u64().unwrap() > 500);
    let second = done(&["demo", "--data", d, "--patients", "12"]);
    assert_eq!(second["counts"]["accepted"], 0);
    assert_eq!(second["counts"]["duplicate"], first["counts"]["seen"]);
    assert_eq!(second["staff"], first["staff"]);
    assert_eq!(done(&["doctor", "--data", d])["demo"], true);
    let (_t, real) = folder();
    drop(Server::start(&real));
    let (exit, fault) = run_json(&["demo", "--data", real.to_str().unwrap()]);
    assert_eq!(exit, 3, "{fault}");
}

#[test]
fn demo_has_images_of_every_kind_and_has_them_once() {
    let (_folder, data) = folder();
    let args = [
        "demo",
        "--data",
        data.to_str().unwrap(),
        "--patients",
        "8",
        "--images",
    ];
    let files = || {
        let mut count = 0;
        let mut folders = vec![data.join("images")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    count += 1;
                }
            }
        }
        count
    };
    let (code, first) = run_json(&args);
    assert_eq!((code, &first["images"]), (0, &json!(116)), "{first}");
    let before = files();
    assert!(before >= 116, "{before} files");
    let (code, again) = run_json(&args);
    assert_eq!((code, &again["images"]), (0, &json!(116)), "{again}");
    assert_eq!(files(), before, "nothing is kept twice");
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let (_t, data) = folder();
    drop(Server::start(&data));
    let d = data.to_str().unwrap();
    let db = data.join("vitrine.db");
    let whole = std::fs::read(&db).unwrap();
    for (name, bytes) in [
        ("plain", [b"SQLite format 3\0".as_slice(), &[0; 8000]].concat()),
        ("foreign", vec![7; 8192]),
    ] {
        for side in ["vitrine.db-wal", "vitrine.db-shm"] {
            let _ = std::fs::remove_file(data.join(side));
        }
        std::fs::write(&db, &bytes).unwrap();
        let (exit, fault) = run_json(&["doctor", "--data", d]);
        assert_eq!(exit, 3, "{name}: {fault}");
        assert_eq!(std::fs::read(&db).unwrap(), bytes, "{name}: touched");
    }
    std::fs::write(&db, &whole).unwrap();
    let key = data.join("keys/db.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let out = run(&["serve", "--data", d, "--listen", "127.0.0.1:0"]);
    assert_eq!(
        out.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    std::fs::write(&key, kept).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (exit, fault) = run_json(&["doctor", "--data", d]);
        assert_eq!(exit, 3);
        assert!(fault["error"].as_str().unwrap().contains("chmod 600"));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(done(&["doctor", "--data", d])["healthy"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_comes_back_whole_under_a_new_epoch_here_and_elsewhere() {
    let (t, data) = folder();
    let server = Server::start(&data);
    let token = server.client_token("system/*.cruds").await;
    server.fhir(&token, "/fhir", placed("p1", "ED").to_string()).await;
    let d = data.to_str().unwrap();
    let file = t.path().join("b.vtbk");
    let key = t.path().join("recovery");
    let (f, k) = (file.to_str().unwrap(), key.to_str().unwrap());
    let before = done(&["doctor", "--data", d]);
    done(&["backup", "--data", d, "--to", f, "--recovery-key", k]);
    server.fhir(&token, "/fhir", placed("p2", "ED").to_string()).await;
    drop(server);
    assert_eq!(done(&["verify-backup", "--from", f, "--data", d])["whole"], true);
    let (exit, fault) = run_json(&["restore", "--data", d, "--from", f]);
    assert_eq!(exit, 3, "{fault}");
    let elsewhere = t.path().join("elsewhere");
    let e = elsewhere.to_str().unwrap();
    done(&["restore", "--data", e, "--from", f, "--recovery-key", k]);
    done(&["restore", "--data", d, "--from", f, "--force"]);
    for folder in [d, e] {
        let after = done(&["doctor", "--data", folder]);
        assert_eq!(
            after["counts"]["resources"], before["counts"]["resources"],
            "{folder}"
        );
        assert_eq!(after["healthy"], true, "{after}");
        assert_ne!(after["epoch"], before["epoch"]);
    }
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (exit, fault) = run_json(&["verify-backup", "--from", f, "--recovery-key", k]);
    assert_eq!(exit, 3, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_says_so_and_finishes() {
    let (_t, data) = folder();
    let config = data.with_extension("toml");
    std::fs::write(&config, "[listen]\ndrain_seconds = 2\n").unwrap();
    let mut server = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
    assert_eq!(server.get("/readyz").send().await.unwrap().status(), 200);
    server.ask_to_stop();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(server.get("/readyz").send().await.unwrap().status(), 503);
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
    assert_eq!(server.wait(), Some(0));
    assert!(!data.join("admin.sock").exists());
}
