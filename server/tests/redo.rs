//! `restore --at` with the real programs: a server is killed and restarted while it is written to, and put back to
//! moments in between, into its own folder and on a machine that has the log and the recovery key alone.

mod harness;
use harness::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder whose configuration keeps a redo log.
fn logged() -> (tempfile::TempDir, PathBuf) {
    let (t, data) = folder();
    vitrine_server::data_dir::make_private_folder(&data).unwrap();
    std::fs::write(data.join("vitrine.toml"), "[redo]\nkeep = true\n").unwrap();
    (t, data)
}

fn bases(data: &Path) -> Vec<PathBuf> {
    let Ok(inside) = std::fs::read_dir(data.join("redo")) else {
        return Vec::new();
    };
    let mut all: Vec<PathBuf> = inside.filter_map(|e| Some(e.ok()?.path())).collect();
    all.retain(|p| p.extension().is_some_and(|e| e == "vtbk"));
    all.sort();
    all
}

/// The job makes a backup of its own as soon as there is none.
async fn first_base(data: &Path) -> PathBuf {
    for _ in 0..200 {
        if let Some(base) = bases(data).pop() {
            return base;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no backup was made for the redo log");
}

async fn write(server: &Server, token: &str, n: u32) {
    let body = observation(None, "p1", &format!("{n}.5"));
    assert_eq!(server.fhir(token, "/fhir/Observation", body).await.0, 201);
}

/// A moment of which it is certain that nothing is committed in the same millisecond.
async fn between() -> String {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let at = vitrine_server::clock::instant(vitrine_server::clock::now());
    tokio::time::sleep(Duration::from_millis(5)).await;
    at
}

fn observations(folder: &str) -> u64 {
    done(&["doctor", "--data", folder])["counts"]["resources"]["Observation"]
        .as_u64()
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_put_back_to_any_moment_here_and_elsewhere() {
    let (t, data) = logged();
    let d = data.to_str().unwrap();
    let mut server = Server::start(&data);
    let base = first_base(&data).await;
    let token = server.client_token("system/*.cruds").await;
    server.fhir(&token, "/fhir", placed("p1", "ED").to_string()).await;
    let mut moments = Vec::new();
    for n in 0..18 {
        if n % 6 == 3 {
            moments.push((between().await, u64::from(n)));
        }
        write(&server, &token, n).await;
        if n == 7 {
            server.kill();
            server = Server::start(&data);
        }
        if n == 13 {
            server.ask_to_stop();
            assert_eq!(server.wait(), Some(0));
            server = Server::start(&data);
        }
    }
    assert_eq!(
        bases(&data).len(),
        1,
        "neither a kill nor a stop made a gap in the log"
    );

    // Checked while the server runs: the backup and everything that was committed after it.
    let b = base.to_str().unwrap();
    let found = done(&["verify-backup", "--from", b, "--data", d]);
    assert!(found["redo"]["commits"].as_u64().unwrap() > 20, "{found}");
    // The job has checked the backup it made, by itself.
    for _ in 0..200 {
        if done(&["doctor", "--data", d])["backup"]["verified"]["whole"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(Path::new(&format!("{b}.verified.json")).exists());
    let key = t.path().join("recovery");
    let k = key.to_str().unwrap();
    let own = t.path().join("own.vtbk");
    done(&[
        "backup",
        "--data",
        d,
        "--to",
        own.to_str().unwrap(),
        "--recovery-key",
        k,
    ]);
    write(&server, &token, 99).await;
    let log = data.join("redo");
    let l = log.to_str().unwrap();
    let last = between().await;
    done(&["user", "add", "late", "--role", "nurse", "--data", d]);
    let before = done(&["doctor", "--data", d])["epoch"].clone();

    // On another machine, from the log and the recovery key, while the first server still runs.
    for (n, (at, rows)) in moments.iter().enumerate() {
        let to = t.path().join(format!("elsewhere{n}"));
        let e = to.to_str().unwrap();
        let said = done(&[
            "restore",
            "--data",
            e,
            "--at",
            at,
            "--redo",
            l,
            "--recovery-key",
            k,
        ]);
        assert_eq!(
            (observations(e), &said["at"]),
            (*rows, &Value::from(at.as_str())),
            "{said}"
        );
        assert_ne!(said["epoch"], before);
    }
    drop(server);
    let users = |folder: &str| {
        done(&["user", "list", "--data", folder])["users"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((observations(d), users(d)), (19, 1));
    // In its own folder, from a backup made by hand, to just before the last act.
    let said = done(&[
        "restore",
        "--data",
        d,
        "--from",
        own.to_str().unwrap(),
        "--at",
        &last,
        "--force",
    ]);
    assert!(said["commits"].as_u64().unwrap() > 0, "{said}");
    assert_eq!((observations(d), users(d)), (19, 0));
    let row = |r: &Value| r["notes"]["use"] == "restore" && r["notes"]["at"] == last.as_str();
    let server = Server::start(&data);
    assert!(server.audit().iter().any(row));
    // It goes on with a log of its own, and the old one still serves the moments before.
    for _ in 0..200 {
        if bases(&data).len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bases(&data).len(), 2);
    let token = server.client_token("system/*.cruds").await;
    write(&server, &token, 100).await;
    let at = between().await;
    write(&server, &token, 101).await;
    // Killed and put back at once: what the WAL still holds belongs to the log too.
    drop(server);
    done(&["restore", "--data", d, "--at", &at, "--force"]);
    assert_eq!(observations(d), 20);
    let (at, rows) = &moments[1];
    done(&["restore", "--data", d, "--at", at, "--force"]);
    assert_eq!(observations(d), *rows);
    let (exit, said) = run_json(&["restore", "--data", d, "--at", "2026-01-01T00:00:00Z", "--force"]);
    assert!(
        exit == 2 && said.to_string().contains("the first moment that can be restored"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_found_by_the_nightly_check_and_stops_a_restore() {
    let (_t, data) = logged();
    let d = data.to_str().unwrap();
    let server = Server::start(&data);
    let base = first_base(&data).await;
    let b = base.to_str().unwrap();
    let token = server.client_token("system/*.cruds").await;
    server.fhir(&token, "/fhir", placed("p1", "ED").to_string()).await;
    write(&server, &token, 1).await;
    assert_eq!(done(&["verify-backup", "--from", b, "--data", d])["whole"], true);
    let segment = || {
        let stream = std::fs::read_dir(data.join("redo")).unwrap();
        let mut folders = stream.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir());
        folders.next().unwrap().join("00000001.wal")
    };
    let written = usize::try_from(segment().metadata().unwrap().len()).unwrap();
    let at = between().await;
    // Stopped as it should be: after a kill the WAL would still have everything, and the next start would mend the log.
    let mut server = server;
    server.ask_to_stop();
    assert_eq!(server.wait(), Some(0));
    let segment = segment();
    let whole = std::fs::read(&segment).unwrap();
    let mut bad = whole.clone();
    // Damage from before the moment; what lies after it is not read for a restore.
    let early = written - 1_000;
    bad[early] ^= 4;
    for (what, bytes) in [
        ("flipped", Some(bad)),
        ("cut", Some(whole[..early].to_vec())),
        ("gone", None),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&segment, bytes).unwrap(),
            None => std::fs::remove_file(&segment).unwrap(),
        }
        let (exit, said) = run_json(&["verify-backup", "--from", b, "--data", d]);
        assert_eq!((exit, &said["whole"]), (3, &Value::from(false)), "{what}: {said}");
        assert!(
            said["faults"].to_string().contains("00000001.wal"),
            "{what}: {said}"
        );
        let (exit, said) = run_json(&["restore", "--data", d, "--at", &at, "--force"]);
        assert!(
            exit == 3 && said.to_string().contains("00000001.wal"),
            "{what}: {said}"
        );
    }
    let (exit, health) = run_json(&["doctor", "--data", d]);
    assert_eq!(
        (exit, &health["counts"]["resources"]["Observation"]),
        (1, &1.into()),
        "{health}"
    );
}
