//! Legal hold and destruction from the command line, beside a running server and a workstation that has synchronised.

mod harness;
use harness::command::{add_user, archive, password};
use harness::line::Line;
use harness::*;
use serde_json::Value;
use vitrine_wire::message::ServerMessage;

async fn status(s: &Server, token: &str, path: &str) -> (u16, Value) {
    let answer = s.get(path).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, json_of(answer).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_held_destroyed_once_and_certified() {
    let (t, data) = folder();
    let mut s = Server::start(&data);
    let dir = s.dir().to_owned();
    let dir = dir.as_str();
    for (user, role) in [
        ("petra", "privacy-officer"),
        ("paul", "privacy-officer"),
        ("ines", "clinical-it"),
        ("nina", "nurse"),
    ] {
        add_user(dir, user, role);
    }
    let client = s.client_token("system/*.cruds").await;
    for p in ["p1", "p2"] {
        assert_eq!(s.fhir(&client, "/fhir", placed(p, "ED").to_string()).await.0, 200);
        let body = observation(None, p, "4.10");
        assert_eq!(s.fhir(&client, "/fhir/Observation", body).await.0, 201);
    }

    // Nothing there yet.
    let (exit, json, _) = archive(dir, &["list"], "");
    assert_eq!(
        (exit, &json["holds"], &json["requests"]),
        (0, &serde_json::json!([]), &serde_json::json!([]))
    );
    let words = run(&["archive", "list", "--data", dir]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains("no record is under legal hold") && words.contains("no destruction was asked for")
    );

    // Bad input: exit 2, 3 or 1, each with a sentence, nothing changed.
    let ask = |p: &'static str, by: &'static str| {
        [
            "destroy",
            "request",
            "--patient",
            p,
            "--reason",
            "its time is over",
            "--by",
            by,
        ]
    };
    for (args, secret, want, says) in [
        (ask("p9", "petra"), password("petra"), 2, "no patient p9"),
        (ask("p1", "zoe"), password("zoe"), 2, "no user zoe"),
        (ask("p1", "petra"), String::new(), 2, "first line of stdin"),
        (ask("p1", "petra"), password("paul"), 3, "not petra's"),
        (ask("p1", "nina"), password("nina"), 1, "role"),
    ] {
        let (exit, json, said) = archive(dir, &args, &secret);
        assert!(
            exit == want && said.contains(says),
            "{args:?}: {exit} {json} {said}"
        );
    }
    let (exit, _, said) = archive(dir, &["destroy", "carry-out", "nonsense"], "");
    assert!(exit == 2 && said.contains("no request"), "{exit} {said}");

    // A hold is in the way.
    let hold = ["hold", "--patient", "p1", "--reason", "a claim"];
    assert_eq!(archive(dir, &hold, "").0, 0);
    let (exit, _, said) = archive(dir, &ask("p1", "petra"), &password("petra"));
    assert!(exit == 1 && said.contains("under legal hold"), "{exit} {said}");
    let (_, json, _) = archive(dir, &["list"], "");
    assert_eq!(json["holds"][0]["patient"], "p1", "{json}");
    let release = ["release", "--patient", "p1", "--reason", "settled"];
    assert_eq!(archive(dir, &release, "").0, 0);

    // Two approvals of two others.
    let (exit, json, said) = archive(dir, &ask("p1", "petra"), &password("petra"));
    assert_eq!(exit, 0, "{said}");
    let id = json["id"].as_str().unwrap().to_owned();
    let approve = |by: &str| {
        archive(
            dir,
            &["destroy", "approve", &id, "--by", by, "--secret-stdin"],
            &password(by),
        )
    };
    let (exit, _, said) = approve("petra");
    assert!(exit == 1 && said.contains("somebody else must approve"), "{said}");
    assert_eq!(approve("nina").0, 1);
    let (exit, _, said) = archive(dir, &["destroy", "carry-out", &id], "");
    assert!(exit == 1 && said.contains("0 of the 2"), "{said}");
    assert_eq!(approve("paul").0, 0);
    let (exit, _, said) = approve("paul");
    assert!(exit == 1 && said.contains("another person's"), "{said}");
    assert_eq!(archive(dir, &["certificate", &id], "").0, 2);
    assert_eq!(approve("ines").0, 0);

    let device = s.enrol("ED", &[]).await;
    let mut line = Line::enrolled(&s, &device).await;
    let (items, _) = line.fetch("ess:ED", 1).await;
    assert!(items.iter().any(|c| c.key == "p1"), "the workstation has it");

    // Carried out: the workstation is told, and what is asked for is gone.
    let (exit, gone, said) = archive(dir, &["destroy", "carry-out", &id], "");
    assert_eq!(exit, 0, "{said}");
    assert_eq!(
        (&gone["state"], &gone["resources"], &gone["versions"]),
        (&"carried-out".into(), &3.into(), &3.into())
    );
    let text = gone["certificate"].as_str().unwrap().to_owned();
    let signed: Value = serde_json::from_str(&text).unwrap();
    let certificate = &signed["certificate"];
    assert_eq!(certificate["requested"]["by"], "petra", "{certificate}");
    assert_eq!(certificate["approved"][1]["by"], "ines");
    assert_eq!(certificate["types"]["Observation"]["versions"], 1);
    assert!(certificate["not_covered"].to_string().contains("redo log"));
    assert!(!text.contains("Testperson") && !text.contains("mrn-p1"), "{text}");
    let Some(ServerMessage::Delta(delta)) = line.hear().await else {
        panic!("the workstation is not told")
    };
    assert_eq!((delta.scope.as_str(), delta.changes.len()), ("ess:ED", 1));
    let change = &delta.changes[0];
    assert!(change.key == "p1" && change.body.is_none(), "{change:?}");
    assert_eq!(status(&s, &client, "/fhir/Patient/p1").await.0, 410);
    assert_eq!(status(&s, &client, "/fhir/Patient/p2").await.0, 200);
    let (_, found) = status(&s, &client, "/fhir/Patient/p1/_history/1").await;
    assert!(!found.to_string().contains("Testperson"), "{found}");

    // Whoever writes to it is told so; an import keeps it apart, and only that.
    let put = s.put("/fhir/Patient/p1").bearer_auth(&client);
    let put = put
        .header("content-type", "application/fhir+json")
        .body(patient("p1").to_string());
    let answer = put.send().await.unwrap();
    assert_eq!(answer.status(), 410);
    assert!(json_of(answer).await.to_string().contains("was destroyed"));
    let file = t.path().join("late.ndjson");
    let late = format!(
        "{}\n{}\n",
        observation(Some("late-1"), "p1", "4.2"),
        observation(Some("late-2"), "p2", "4.3")
    );
    std::fs::write(&file, late).unwrap();
    let (exit, counts) = run_json(&["import", "--data", dir, file.to_str().unwrap()]);
    assert_eq!(
        (exit, &counts["accepted"], &counts["quarantined"]),
        (1, &1.into(), &1.into()),
        "{counts}"
    );
    let kept = done_list(dir);
    assert!(kept.contains("record was destroyed"), "{kept}");

    // The same certificate again, also when nothing runs; a changed one is refused.
    let rows = s
        .audit()
        .iter()
        .filter(|r| r["action"] == "destroy-record")
        .count();
    assert_eq!(rows, 1);
    let shown = |r: &&Value| r["notes"]["use"] == "archive list" && r["disclosure"]["patients"][0] == "p1";
    assert!(
        s.audit().iter().any(|r| shown(&r)),
        "what a list shows has its row"
    );
    let wrong = |r: &&Value| r["rule"] == "wrong-password";
    let wrong: Vec<Value> = s.audit().into_iter().filter(|r| wrong(&r)).collect();
    assert!(
        wrong.len() == 1 && wrong[0]["action"] == "request-destruction",
        "{wrong:?}"
    );
    let (exit, again, _) = archive(dir, &["destroy", "carry-out", &id], "");
    assert_eq!((exit, &again["certificate"]), (0, &gone["certificate"]));
    s.kill();
    s.wait();
    let (exit, again, said) = archive(dir, &["certificate", &id], "");
    assert_eq!((exit, &again["certificate"]), (0, &gone["certificate"]), "{said}");
    let printed = run(&["archive", "certificate", &id, "--data", dir]).stdout;
    assert_eq!(String::from_utf8(printed).unwrap().trim_end(), text);
    let file = t.path().join("certificate.json");
    let check = ["certificate", "--check", file.to_str().unwrap()];
    std::fs::write(&file, &text).unwrap();
    assert_eq!(archive(dir, &check, "").0, 0);
    std::fs::write(&file, text.replace("\"versions\":3", "\"versions\":2")).unwrap();
    let (exit, _, said) = archive(dir, &check, "");
    assert!(
        exit == 3 && said.contains("changed after it was signed"),
        "{exit} {said}"
    );
    let (exit, _, said) = archive(dir, &ask("p1", "petra"), &password("petra"));
    assert!(exit == 1 && said.contains("was destroyed"), "{exit} {said}");
    done(&["audit", "verify", "--data", dir]);
    let backup = t.path().join("after.vtbk");
    let backup = backup.to_str().unwrap();
    done(&["backup", "--data", dir, "--to", backup]);
    done(&["verify-backup", "--data", dir, "--from", backup]);
}

fn done_list(dir: &str) -> String {
    done(&["quarantine", "list", "--data", dir]).to_string()
}

#[test]
fn what_is_asked_for_can_be_withdrawn() {
    let (_t, data) = folder();
    let s = data.to_str().unwrap();
    done(&["demo", "--data", s, "--patients", "20"]);
    for user in ["petra", "paul"] {
        add_user(s, user, "privacy-officer");
    }
    let seed = done(&["demo", "--data", s, "--patients", "20"]);
    let patient = seed["patients"][0]["id"].as_str().unwrap().to_owned();
    let request = [
        "destroy",
        "request",
        "--patient",
        &patient,
        "--reason",
        "r",
        "--by",
        "petra",
    ];
    let (exit, json, said) = archive(s, &request, &password("petra"));
    assert_eq!(exit, 0, "{said}");
    let id = json["id"].as_str().unwrap();
    assert_eq!(archive(s, &request, &password("petra")).0, 1, "once");
    let withdraw = ["destroy", "withdraw", id, "--by", "paul"];
    let (exit, json, _) = archive(s, &withdraw, &password("paul"));
    assert_eq!((exit, &json["state"]), (0, &"withdrawn".into()));
    let approve = ["destroy", "approve", id, "--by", "paul"];
    let (exit, _, said) = archive(s, &approve, &password("paul"));
    assert!(exit == 1 && said.contains("is withdrawn"), "{exit} {said}");
}
