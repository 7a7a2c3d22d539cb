//! Backups against damage: whatever is flipped, cut or gone is found, named, and makes the command end with 3.

mod harness;
use harness::*;
use serde_json::Value;
use std::path::Path;
use vitrine_server::ops::backup::read_recovery_key;
use vitrine_server::ops::verify;

/// SplitMix64: a failing case can be had again.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Damages a file somewhere and says how.
fn damage(whole: &[u8], to: &Path, n: u64, dice: &mut u64) -> String {
    let at = usize::try_from(random(dice) % whole.len() as u64).unwrap();
    let mut bytes = whole.to_vec();
    let what = match n % 4 {
        0 | 1 => {
            bytes[at] ^= 1 << (random(dice) % 8);
            format!("a bit flipped at {at}")
        }
        2 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        _ => {
            let end = (at + 1 + usize::try_from(random(dice) % 5_000).unwrap()).min(bytes.len());
            bytes.drain(at..end);
            format!("{at}..{end} deleted")
        }
    };
    std::fs::write(to, bytes).unwrap();
    what
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_at_two_hundred_random_places_is_found_two_hundred_times() {
    let (t, data) = folder();
    let d = data.to_str().unwrap();
    done(&["demo", "--data", d, "--patients", "1"]);
    let (file, key) = (t.path().join("b.vtbk"), t.path().join("recovery"));
    let (f, k) = (file.to_str().unwrap(), key.to_str().unwrap());
    done(&["backup", "--data", d, "--to", f, "--recovery-key", k]);
    let whole = std::fs::read(&file).unwrap();
    let secret = read_recovery_key(&key).unwrap();
    let (mut dice, mut found) = (2026, 0);
    for n in 0..200 {
        let what = damage(&whole, &file, n, &mut dice);
        let v = verify::verify(&file, &secret, None, None, None).await;
        let v = v.unwrap_or_else(|e| panic!("{what}: {} ({:?})", e.text, e.exit));
        assert!(!v.whole, "{what}: called whole");
        assert!(
            v.faults
                .iter()
                .all(|f| f.contains("b.vtbk") || f.contains("vitrine.db")),
            "{what}: the part is not named: {:?}",
            v.faults
        );
        found += 1;
    }
    eprintln!("{found} of 200 found in {} bytes", whole.len());
    std::fs::remove_file(&file).unwrap();
    let (exit, gone) = run_json(&["verify-backup", "--from", f, "--recovery-key", k]);
    assert_eq!((exit, &gone["whole"]), (3, &Value::from(false)), "{gone}");
    std::fs::write(&file, &whole).unwrap();
    assert!(
        verify::verify(&file, &secret, None, None, None)
            .await
            .unwrap()
            .whole
    );
}

#[test]
fn the_result_is_signed_written_down_and_seen_by_doctor() {
    let (t, data) = folder();
    let d = data.to_str().unwrap();
    done(&["demo", "--data", d, "--patients", "1"]);
    let file = t.path().join("b.vtbk");
    let f = file.to_str().unwrap();
    assert_eq!(done(&["doctor", "--data", d])["backup"]["verified"], Value::Null);
    let server = Server::start(&data);
    done(&["backup", "--data", d, "--to", f]);
    let found = done(&["verify-backup", "--from", f, "--data", d]);
    assert_eq!(found["whole"], true, "{found}");
    assert!(found["rows"]["resources"].as_u64().unwrap() > 30, "{found}");
    assert!(found["rows"]["cards"].as_u64().unwrap() > 0 && found["tables"].as_u64().unwrap() > 15);
    assert!(found["audit_rows"].as_u64().unwrap() > 0, "{found}");
    let result = Path::new(found["result"].as_str().unwrap());
    let row = server
        .audit()
        .into_iter()
        .rfind(|r| r["notes"]["use"] == "verify-backup");
    let row = row.expect("a row in the audit log");
    assert_eq!(
        (&row["notes"]["whole"], &row["notes"]["sha256"]),
        (&"true".into(), &found["sha256"])
    );
    let health = done(&["doctor", "--data", d]);
    assert_eq!(health["backup"]["verified"]["whole"], true, "{health}");

    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let out = run(&["verify-backup", "--from", f, "--data", d]);
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(3), "{err}");
    assert!(err.contains("NOT whole") && err.contains("chunk"), "{err}");
    let kept: Value = serde_json::from_slice(&std::fs::read(result).unwrap()).unwrap();
    assert_eq!(kept["verification"]["whole"], false);
    let (exit, health) = run_json(&["doctor", "--data", d]);
    assert_eq!((exit, &health["healthy"]), (1, &Value::from(false)), "{health}");
    let rows = server.audit();
    let row = rows
        .iter()
        .rfind(|r| r["notes"]["use"] == "verify-backup")
        .unwrap();
    assert_eq!(row["notes"]["whole"], "false");

    // A result that somebody makes whole by hand is not believed.
    let text = std::fs::read_to_string(data.join("backup.verified.json")).unwrap();
    std::fs::write(
        data.join("backup.verified.json"),
        text.replace("\"whole\":false", "\"whole\":true"),
    )
    .unwrap();
    let (exit, health) = run_json(&["doctor", "--data", d]);
    assert_eq!(exit, 1);
    assert!(
        health["faults"]
            .to_string()
            .contains("changed after it was signed"),
        "{health}"
    );
}
