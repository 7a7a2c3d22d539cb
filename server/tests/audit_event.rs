//! The audit log in others' forms out of a running server: FHIR AuditEvents over HTTPS, both forms on the command line.
//! What comes out is judged by `tests/interop/audit_forms.py`.

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn add_user(dir: &str, name: &str, role: &str) {
    let mut child = Command::new(PROGRAM)
        .args([
            "user",
            "add",
            name,
            "--role",
            role,
            "--ward",
            "ED",
            "--data",
            dir,
            "--secret-stdin",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let secrets = format!("{name}-long-password\n193746\n");
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(secrets.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn judged(how: &str, file: &Path) {
    let python =
        std::env::var_os("VITRINE_PYTHON").expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/audit_forms.py");
    let out = Command::new(python)
        .arg(script)
        .arg(how)
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("YES"), "{said}");
}

fn events(bundle: &Value) -> Vec<&Value> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    entries
        .map(|e| &e["resource"])
        .filter(|r| r["resourceType"] == "AuditEvent")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_the_audit_log_reads_it_as_fhir_and_that_is_written_down() {
    let (t, data) = folder();
    let s = Server::start(&data);
    for (name, role) in [("nina", "nurse"), ("petra", "privacy-officer")] {
        add_user(s.dir(), name, role);
    }
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p1", "ED").to_string()).await.0,
        200
    );
    let station = s.enrol("ED", &[]).await;
    let mut tokens = Vec::new();
    for name in ["nina", "petra"] {
        let (status, said) = s.login(&station, name, &format!("{name}-long-password")).await;
        assert_eq!(status, 200, "{said}");
        tokens.push(said["token"].as_str().unwrap().to_owned());
    }
    let [nina, petra] = tokens.as_slice() else {
        panic!()
    };
    let get = async |token: &str, path: &str| {
        let answer = s.get(path).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    };
    let (status, read) = get(nina, "/fhir/Patient/p1").await;
    assert_eq!(status, 200, "{read}");

    // Only who may read the log: neither a nurse nor a program with every scope.
    for token in [nina, &client] {
        for path in ["/fhir/AuditEvent?patient=p1", "/fhir/AuditEvent/row.1.0.server"] {
            assert_eq!(get(token, path).await.0, 403, "{path}");
        }
    }
    let (status, found) = get(
        petra,
        "/fhir/AuditEvent?patient=Patient/p1&agent:identifier=urn:vitrine:user%7Cnina",
    )
    .await;
    assert_eq!(status, 200, "{found}");
    let all = events(&found);
    let [event] = all.as_slice() else {
        panic!("{found}")
    };
    let version = read["meta"]["versionId"].as_str().unwrap();
    assert!(
        event
            .to_string()
            .contains(&format!("Patient/p1/_history/{version}")),
        "{event}"
    );
    assert!(
        event["meta"]["profile"][0]
            .as_str()
            .unwrap()
            .ends_with(".PatientRead"),
        "{event}"
    );
    assert!(event.to_string().contains("\"Nurse\""), "{event}");

    // The same by its id, and not one beside it.
    let id = event["id"].as_str().unwrap();
    let (status, one) = get(petra, &format!("/fhir/AuditEvent/{id}")).await;
    assert_eq!((status, &one), (200, *event));
    for none in [
        "row.999999.0.server",
        "row.1.7.server",
        "row.1.0.nowhere",
        "row.x",
    ] {
        assert_eq!(
            get(petra, &format!("/fhir/AuditEvent/{none}")).await.0,
            404,
            "{none}"
        );
    }

    // Everything by pages is everything at once, and valid; what was just looked at is in it.
    let mut paged = Vec::new();
    let mut path = "/fhir/AuditEvent?_count=3".to_owned();
    loop {
        let (status, page) = get(petra, &path).await;
        assert_eq!(status, 200, "{page}");
        paged.extend(events(&page).into_iter().cloned());
        let next = page["link"]
            .as_array()
            .unwrap()
            .iter()
            .find(|l| l["relation"] == "next")
            .cloned();
        let Some(next) = next else { break };
        let url = next["url"].as_str().unwrap();
        path = url[url.find("/fhir").unwrap()..].to_owned();
    }
    let (_, once) = get(petra, "/fhir/AuditEvent?_count=1000").await;
    let file = t.path().join("bundle.json");
    std::fs::write(&file, once.to_string()).unwrap();
    judged("--bundle", &file);
    let ids: Vec<&str> = events(&once).iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert!(paged.len() > 10 && paged.iter().all(|e| ids.contains(&e["id"].as_str().unwrap())));
    let (_, looks) = get(
        petra,
        "/fhir/AuditEvent?subtype=urn:vitrine:audit-act%7Cread-audit&agent=petra&_count=200",
    )
    .await;
    assert!(events(&looks).len() >= 10, "{looks}");

    // A span, and what is not searched.
    let (_, never) = get(petra, "/fhir/AuditEvent?date=lt2020-01-01&date=ge2019-01-01").await;
    assert!(
        events(&never).is_empty() && never["entry"][0]["search"]["mode"] == "outcome",
        "{never}"
    );
    for bad in ["outcome=0", "date=2026", "_count=0", "patient=", "before=x"] {
        assert_eq!(
            get(petra, &format!("/fhir/AuditEvent?{bad}")).await.0,
            400,
            "{bad}"
        );
    }

    // Nobody writes under these ids; other AuditEvents are resources like any other.
    let other = json!({"resourceType": "AuditEvent", "id": "theirs", "type": {"system": "urn:x", "code": "x"},
        "recorded": "2026-01-01T00:00:00Z", "agent": [{"requestor": true}], "source": {"observer": {"display": "x"}}});
    for (id, status) in [("theirs", 201), ("row.1.0.server", 400)] {
        let mut body = other.clone();
        body["id"] = id.into();
        let put = s.put(&format!("/fhir/AuditEvent/{id}")).bearer_auth(&client);
        let put = put
            .header("content-type", "application/fhir+json")
            .body(body.to_string());
        let answer = put.send().await.unwrap();
        let got = answer.status().as_u16();
        assert!(
            got == status || (status == 400 && (400..500).contains(&got)),
            "{id}: {got} {}",
            json_of(answer).await
        );
    }
    let (_, metadata) = get(petra, "/fhir/metadata").await;
    let offered = metadata["rest"][0]["resource"].as_array().unwrap().iter();
    let mine = offered.clone().find(|r| r["type"] == "AuditEvent").unwrap();
    assert!(
        mine["searchParam"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "patient"),
        "{mine}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_gives_both_forms() {
    let (t, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p1", "ED").to_string()).await.0,
        200
    );
    let find = |form: &str| {
        done(&[
            "audit",
            "find",
            "--format",
            form,
            "--limit",
            "1000",
            "--data",
            s.dir(),
        ])
    };
    let rows = find("json")["rows"].as_array().unwrap().len();

    let balp = find("balp");
    assert!(
        events(&balp["bundle"]).len() > rows,
        "the look before is a row more"
    );
    let file = t.path().join("bundle.json");
    std::fs::write(&file, balp["bundle"].to_string()).unwrap();
    judged("--bundle", &file);

    let atna = find("atna");
    let messages = atna["messages"].as_array().unwrap();
    assert!(messages.len() >= rows + 2);
    let lines: String = messages
        .iter()
        .map(|m| m.as_str().unwrap().to_owned() + "\n")
        .collect();
    std::fs::write(t.path().join("messages"), lines).unwrap();
    judged("--messages", &t.path().join("messages"));

    // For people: the Bundle as it is, the messages a line each.
    let words = run(&["audit", "find", "--format", "balp", "--data", s.dir()]).stdout;
    assert_eq!(
        serde_json::from_slice::<Value>(&words).unwrap()["resourceType"],
        "Bundle"
    );
    let words = run(&[
        "audit",
        "find",
        "--format",
        "atna",
        "--limit",
        "2",
        "--data",
        s.dir(),
    ])
    .stdout;
    let words = String::from_utf8(words).unwrap();
    assert_eq!(
        words.lines().filter(|l| l.starts_with("<85>1 ")).count(),
        2,
        "{words}"
    );
    assert!(words.contains("there is more: --before "), "{words}");
    let (exit, said) = run_json(&["audit", "find", "--format", "csv", "--data", s.dir()]);
    assert_eq!(exit, 2, "{said}");
}
