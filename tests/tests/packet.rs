//! The downtime packet: printed while the server is away, each page with its patient, its age and its number (S29), each card a
//! disclosure that is written down.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use vitrine_paper::{LeftOut, Packet, Sheet};
use vitrine_tests::bin;
use vitrine_tests::server::{Server, text};
use vitrine_tests::station::{Person, Station, person};

struct World {
    dir: tempfile::TempDir,
    station: Station,
    nurse: Person,
}

/// A workstation that has everything of its ward, and whose server is gone.
fn offline() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    station.first_board(&nurse)?;
    drop(server);
    Ok(World { dir, station, nurse })
}

impl World {
    fn act(&self, words: &[&str]) -> Result<Value> {
        self.station.by(&self.nurse, words)
    }
}

/// The text of each page, by somebody else's reader.
fn pages(pdf: &Path) -> Result<Vec<String>> {
    let out = Command::new("pdftotext")
        .args(["-layout", &text(pdf), "-"])
        .output()
        .context("pdftotext: install poppler-utils")?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let all = String::from_utf8(out.stdout)?;
    let mut pages: Vec<String> = all.split('\u{c}').map(str::to_owned).collect();
    pages.pop();
    Ok(pages)
}

/// Words alone: how a line is broken says nothing.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// On every page the mark of training stands above everything else, by where another program finds the words.
fn nothing_lies_over_the_mark(pdf: &Path) -> Result<()> {
    let out = Command::new("pdftotext")
        .args(["-bbox", &text(pdf), "-"])
        .output()
        .context("pdftotext")?;
    let html = String::from_utf8(out.stdout)?;
    for page in html.split("<page").skip(1) {
        let (mut mark, mut rest) = (f64::NEG_INFINITY, f64::INFINITY);
        // The mark is the first line; its words have one height.
        let mut top = None;
        for word in page.split("<word").skip(1) {
            let number = |name: &str| -> Result<f64> {
                let from = word.split(&format!("{name}=\"")).nth(1).context("a box")?;
                Ok(from.split('"').next().context("a box")?.parse()?)
            };
            let (from, to) = (number("yMin")?, number("yMax")?);
            let first = *top.get_or_insert(from);
            if (from - first).abs() < 0.5 {
                mark = mark.max(to);
            } else {
                rest = rest.min(from);
            }
        }
        let said = page.split('>').find(|w| w.starts_with("TRAINING"));
        ensure!(
            said.is_some() && mark <= rest,
            "the mark ends at {mark}, the page begins at {rest}"
        );
    }
    Ok(())
}

#[test]
fn every_page_says_whose_it_is_how_old_and_which_of_how_many() -> Result<()> {
    let w = offline()?;
    let board = w.act(&["board"])?;
    let rows = board["rows"].as_array().context("rows")?.clone();
    ensure!(rows.len() > 5, "a ward with patients: {board}");
    let before = w.station.cli(&["audit", "list", "--limit", "10000"], None)?;
    let file = w.dir.path().join("packet.pdf");
    let told = w.act(&["packet", "--out", &text(&file)])?;
    let pages = pages(&file)?;
    assert_eq!(told["pages"], pages.len(), "{told}");
    let patients = usize::try_from(told["patients"].as_u64().context("patients")?)?;
    let left_out = usize::try_from(told["left_out"].as_u64().context("left_out")?)?;
    assert_eq!(patients + left_out, rows.len(), "{told}");

    nothing_lies_over_the_mark(&file)?;
    for (i, page) in pages.iter().enumerate() {
        let page = words(page);
        assert!(
            page.contains(&format!("page {} of {}", i + 1, pages.len())),
            "{page}"
        );
        assert!(page.contains("Destroy after downtime"), "{page}");
        assert!(page.contains("TRAINING — synthetic patients"), "{page}");
        assert!(page.contains("Data ") && page.contains("as of"), "{page}");
        assert!(
            page.contains("Printed ") && page.contains("(Nurse) at "),
            "{page}"
        );
    }
    let (list, sheets) = pages.split_at(
        pages
            .iter()
            .position(|p| p.contains("patient 1 of"))
            .context("a sheet")?,
    );
    let list = words(&list.join(" "));
    for row in &rows {
        let (name, mrn) = (
            row["name"].as_str().context("name")?,
            row["number_text"].as_str().context("MRN")?,
        );
        // The name may go over lines of its column: beside it stands the number, which does not.
        assert!(list.contains(&words(mrn)), "{name} is not in the list");
        let of = |page: &&String| {
            let page = words(page);
            page.contains(&words(name)) && page.contains(&words(mrn))
        };
        let own: Vec<&String> = sheets.iter().filter(of).collect();
        if row["restricted"] == true {
            assert!(own.is_empty(), "{name} is restricted");
            continue;
        }
        assert!(!own.is_empty(), "{name} has no page");
        // Every page of a patient says the allergies.
        for page in own {
            assert!(page.to_uppercase().contains("ALLERG"), "{page}");
        }
    }
    // No page of a sheet is nobody's.
    for page in sheets {
        let page = words(page);
        let named = rows.iter().filter(|r| {
            r["number_text"]
                .as_str()
                .is_some_and(|m| page.contains(&words(m)))
        });
        assert_eq!(named.count(), 1, "{page}");
    }

    // One row of the audit log for each card, durable before the file was there.
    let after = w.station.cli(&["audit", "list", "--limit", "10000"], None)?;
    let cards = |v: &Value| {
        let all = v
            .as_array()
            .or_else(|| v["rows"].as_array())
            .cloned()
            .unwrap_or_default();
        all.iter()
            .filter(|r| r.to_string().contains("downtime-packet"))
            .count()
    };
    assert_eq!(cards(&after) - cards(&before), patients, "{after}");
    Ok(())
}

/// The packet by the command, with a variable of its environment, in a folder.
fn packet_where(
    station: &Station,
    who: &Person,
    env: (&str, &str),
    folder: &Path,
    words: &[&str],
) -> Result<std::process::Output> {
    use std::io::Write as _;
    let mut cli = Command::new(bin("vitrine-cli"))
        .args(["--profile", &text(&station.profile), "--json", "packet"])
        .args(words)
        .args(["--user", &who.user, "--secret-stdin"])
        .env(env.0, env.1)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut secret = cli.stdin.take().context("stdin")?;
    writeln!(secret, "{}", who.pin)?;
    drop(secret);
    Ok(cli.wait_with_output()?)
}

#[test]
fn the_printer_gets_the_same_and_nothing_stays_but_what_was_asked_for() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let w = offline()?;
    let tools = w.dir.path().join("tools");
    std::fs::create_dir(&tools)?;
    let lp = tools.join("lp");
    let got = w.dir.path().join("printed.pdf");
    let path = format!("{}:{}", text(&tools), std::env::var("PATH").unwrap_or_default());
    let act = |words: &[&str]| packet_where(&w.station, &w.nurse, ("PATH", &path), w.dir.path(), words);
    let print = |script: &str| -> Result<std::process::Output> {
        std::fs::write(&lp, script)?;
        std::fs::set_permissions(&lp, std::fs::Permissions::from_mode(0o755))?;
        act(&["--print", "--printer", "ward"])
    };
    // Into the folder where one is, for nobody else to read.
    let out = act(&["--out", "here.pdf"])?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mode = std::fs::metadata(w.dir.path().join("here.pdf"))?
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let out = print(&format!(
        "#!/bin/sh\necho \"$@\" > {0}.args\ncat > {0}\necho 'request id is ward-1 (1 file(s))'\n",
        text(&got)
    ))?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout)?;
    assert_eq!(told["pages"], pages(&got)?.len());
    let args = std::fs::read_to_string(format!("{}.args", text(&got)))?;
    assert!(args.contains("-d ward"), "{args}");
    // A printer that does not take it: said in its own words, and not taken for done.
    let out = print("#!/bin/sh\necho 'lp: The printer or class does not exist.' >&2\nexit 1\n")?;
    assert_eq!(out.status.code(), Some(1));
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(said.contains("The printer or class does not exist"), "{said}");
    // Nothing of it lies in the profile.
    for entry in walk(&w.station.profile)? {
        let bytes = std::fs::read(&entry)?;
        ensure!(!bytes.starts_with(b"%PDF"), "{} is a PDF", entry.display());
    }
    Ok(())
}

/// A patient in the ED with one laboratory value at each of these instants.
fn measured_at(values: &[(&str, &str, &str)]) -> Value {
    let put = |resource: Value| {
        let url = format!(
            "{}/{}",
            resource["resourceType"].as_str().unwrap_or_default(),
            resource["id"].as_str().unwrap_or_default()
        );
        json!({"resource": resource, "request": {"method": "PUT", "url": url}})
    };
    let who = json!({"reference": "Patient/clocks"});
    let mut all = vec![
        put(
            json!({"resourceType": "Patient", "id": "clocks", "name": [{"family": "Sommerzeit", "given": ["Ada"]}],
            "identifier": [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}, "value": "99001122"}]}),
        ),
        put(
            json!({"resourceType": "Encounter", "id": "clocks-stay", "status": "in-progress", "class": {"code": "EMER"}, "subject": who,
            "location": [{"location": {"reference": "Location/ED"}, "status": "active"}], "period": {"start": "2026-03-28T08:00:00Z"}}),
        ),
    ];
    all.extend(values.iter().map(|(loinc, unit, at)| {
        put(json!({"resourceType": "Observation", "id": format!("clocks-{loinc}"), "status": "final", "subject": who, "effectiveDateTime": at,
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
            "valueQuantity": {"value": 4.2, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}}))
    }));
    json!({"resourceType": "Bundle", "type": "transaction", "entry": all})
}

/// I-10: in a zone that changes its clocks each time on paper is one time: the day of 25 hours says which of the two, the day of
/// 23 hours leaves out the hour that is not there, and midnight is of the day that begins.
#[tokio::test(flavor = "multi_thread")]
async fn the_days_of_25_and_23_hours_on_paper() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let http = server.http()?;
    let token = server.token(&http).await?;
    let values = [
        (
            "2823-3",
            "mmol/L",
            "2026-10-25T00:30:00Z",
            "25-Oct-2026 02:30 (first, UTC+02:00)",
        ),
        (
            "2951-2",
            "mmol/L",
            "2026-10-25T01:30:00Z",
            "25-Oct-2026 02:30 (second, UTC+01:00)",
        ),
        ("718-7", "g/dL", "2026-10-25T02:00:00Z", "25-Oct-2026 03:00"),
        ("777-3", "10*9/L", "2026-03-29T00:59:00Z", "29-Mar-2026 01:59"),
        ("2160-0", "mg/dL", "2026-03-29T01:00:00Z", "29-Mar-2026 03:00"),
        ("6301-6", "{INR}", "2026-10-24T22:00:00Z", "25-Oct-2026 00:00"),
    ];
    let bundle = measured_at(&values.map(|(loinc, unit, at, _)| (loinc, unit, at)));
    let sent = http
        .post(format!("{}/fhir", server.url()))
        .bearer_auth(&token)
        .header("content-type", "application/fhir+json")
        .body(bundle.to_string());
    let answer = sent.send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    station.first_board(&nurse)?;
    drop(server);
    let file = dir.path().join("packet.pdf");
    let out = packet_where(
        &station,
        &nurse,
        ("TZ", "Europe/Berlin"),
        dir.path(),
        &["--out", &text(&file)],
    )?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let own: Vec<String> = pages(&file)?
        .iter()
        .map(|p| words(p))
        .filter(|p| p.contains("SOMMERZEIT") && p.contains("KEY LABS"))
        .collect();
    let page = own.first().context("no page of that patient")?;
    for (loinc, _, _, said) in values {
        ensure!(page.contains(said), "{loinc}: not '{said}' in {page}");
    }
    // A zone that cannot be read is said, and not taken for UTC without a word.
    for (zone, known) in [("Europe/Berlin", true), ("Nowhere/Nothing", false)] {
        let out = Command::new(bin("vitrine-cli"))
            .args(["--profile", &text(&station.profile), "--json", "status"])
            .env("TZ", zone)
            .output()?;
        let status: Value = serde_json::from_slice(&out.stdout)?;
        assert_eq!(status["clock"]["zone_known"], known, "{zone}: {status}");
    }
    Ok(())
}

/// A patient of whom there is too much of everything: `n` allergies and medicines, texts that no column holds.
fn crowded(name: &str, n: usize) -> Result<Sheet> {
    let block = |items: Value| json!({"patient": "p1", "state": "recorded", "empty_text": "", "items": items, "as_of_text": "as of 27-Nov-2026 04:05"});
    let none = json!({"patient": "p1", "state": "not-recorded", "empty_text": "Not recorded", "items": [], "as_of_text": null});
    let row = json!({
        "patient": "p1", "name": name, "born_text": "04-Feb-1958 (68y)", "gender_text": "Female", "number_text": "4471 0932",
        "place_text": "Emergency, bed 4", "bed": "4", "reason_text": null, "stay_text": null, "news2": null, "acuity": null,
        "match_text": null, "similar_name": true, "allergy_text": "ALLERGY", "flags": ["x".repeat(3_000)], "restricted": false,
        "deceased_text": null
    });
    let allergies: Vec<Value> = (0..n)
        .map(|i| {
            json!({"agent": format!("agent{i}"), "detail_text": "hives ".repeat(20), "coded": i % 2 == 0, "dangerous": true,
                "verification_text": null, "standing": "confirmed",
                "disputed_text": (i % 3 == 0).then_some("DISPUTED: changes contradict each other")})
        })
        .collect();
    let medicines: Vec<Value> = (0..n)
        .map(|i| {
            json!({"name": format!("medicine{i}"), "dose": "3 mg", "details": ["oral", "once a day"], "status_text": "active",
                "start_text": null, "high_risk_text": (i == n - 1).then_some("anticoagulant"), "suspended": false,
                "reported": false})
        })
        .collect();
    let card = json!({
        "access_id": "", "frame_text": "", "elapsed_ms": 0.0, "full_chart_available": false,
        "age": {"age": "offline", "text": "as of 27-Nov-2026 04:19 (12 min)", "complete": true, "as_of_ms": null},
        "banner": {"patient": "p1", "name": name, "born_text": "04-Feb-1958 (68y)", "gender_text": "Female",
            "number_label": "MRN", "number_text": "4471 0932", "place_text": "Emergency, bed 4", "weight_text": null,
            "deceased_text": null, "age_text": null, "similar_name": true},
        "allergies": {"patient": "p1", "state": "known", "label": "Known allergies", "items": allergies, "refuted": [], "negatives": [],
            "conflict_text": null, "updated_text": null, "disputes": []},
        "medications": block(json!(medicines)), "recently_stopped": [], "conditions": none, "code_status": none,
        "devices": none, "entries": [], "vitals": none, "news2": none, "labs": none, "blood_group": none, "isolation": none, "flags": none,
        "contacts": none
    });
    Ok(Sheet {
        row: serde_json::from_value(row)?,
        card: serde_json::from_value(card)?,
    })
}

#[test]
fn nothing_is_cut_however_much_there_is() -> Result<()> {
    let long = "VANTERBRANDENHOEK-".repeat(9);
    for (name, n) in [
        ("JONES, Mary (Ms)", 3),
        ("JONES, Mary (Ms)", 90),
        ("\u{5db}\u{5d4}\u{5df}, \u{5e9}\u{5e8}\u{5d4}", 12),
        (
            "E\u{301}\u{302}\u{303}va \u{202e}evil \u{1f469}\u{200d}\u{2695}\u{fe0f}",
            12,
        ),
        (long.as_str(), 40),
    ] {
        let sheet = crowded(name, n)?;
        let packet = Packet {
            training: false,
            ward: "Emergency".to_owned(),
            made: "Printed 27-Nov-2026 04:31 by Dr LEE (Physician) at ED-07".to_owned(),
            age: "Data as of 27-Nov-2026 04:19 (12 min)".to_owned(),
            incomplete: Some("The list of this ward is not complete: there may be more patients.".to_owned()),
            left_out: vec![LeftOut {
                row: sheet.row.clone(),
                why: "restricted: emergency access only".to_owned(),
            }],
            sheets: vec![sheet],
        };
        let printed = packet.print()?;
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("packet.pdf");
        std::fs::write(&file, &printed.pdf)?;
        let pages = pages(&file)?;
        assert_eq!(pages.len(), printed.pages, "{name} {n}");
        let sheets: Vec<String> = pages
            .iter()
            .filter(|p| p.contains("patient 1 of 1"))
            .map(|p| words(p))
            .collect();
        assert!(!sheets.is_empty());
        for page in &sheets {
            assert!(page.contains("4471 0932"), "{n}: a page of nobody: {page}");
        }
        let all = sheets.join(" ");
        for i in 0..n {
            assert!(
                all.contains(&format!("agent{i} ")),
                "{name} {n}: agent{i} is not printed"
            );
            assert!(
                all.contains(&format!("medicine{i} ")),
                "{name} {n}: medicine{i} is not printed"
            );
        }
        let disputed = all.matches("DISPUTED: changes contradict each other").count();
        assert_eq!(disputed, n.div_ceil(3), "{name} {n}: on paper it is not disputed");
        assert!(all.contains("BY HAND DURING THE DOWNTIME"));
        let list = words(&pages.join(" "));
        assert!(list.contains("not printed: restricted"), "{list}");
        assert!(list.contains("not complete"), "{list}");
    }
    Ok(())
}

fn walk(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(walk(&path)?);
        } else {
            out.push(path);
        }
    }
    Ok(out)
}
