//! The results inbox: which results wait, what the status line says of them, who may take one up, and that only what is on the screen
//! can be.

mod support;

use support::{Planted, Profiled, block, essentials, open, outbox, people, pin, place, plant, stage};
use vitrine_clinical::ResourceKey;
use vitrine_clinical::card::{AllergyState, CriticalMark};
use vitrine_clinical::format::civil::Civil;
use vitrine_engine::clock::Clock;
use vitrine_engine::{EngineError, Workstation};
use vitrine_store_sqlcipher::workstation::EntryMark;
use vitrine_wire::entry_view::{EntryInput, EntryState, EntryView};
use vitrine_wire::http::BoardItem;
use vitrine_wire::results_view::CriticalView;

/// So many minutes ago, as FHIR has it.
fn ago(minutes: i64) -> String {
    let c = Civil::at(Clock::new().wall().plus_ms(-minutes * 60_000), 0);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// A potassium.
fn potassium(patient: &str, id: &str, value: &str, flag: &str, minutes: i64) -> (String, String) {
    let at = ago(minutes);
    let body = format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"2823-3","display":"Potassium"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"{at}","issued":"{at}","valueQuantity":{{"value":{value},"unit":"mmol/L"}},"interpretation":[{{"coding":[{{"code":"{flag}"}}]}}]}}"#
    );
    (format!("Observation/{id}"), body)
}

/// A workstation of the ED with these results of p1 and p6.
fn station(
    p1: Vec<(String, String)>,
    p6: Vec<(String, String)>,
) -> (tempfile::TempDir, Profiled, Workstation) {
    let mut all: Vec<Planted> = people();
    for (who, more) in [("p1", p1), ("p6", p6)] {
        if let Some(p) = all.iter_mut().find(|p| p.id == who) {
            p.more = more;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &all);
    let ws = open(&p);
    (dir, p, ws)
}

fn sign_in(ws: &Workstation, user: &str) {
    block(ws.sign_in(user, pin(user))).unwrap();
}

fn taking_up(c: &CriticalView, answer: &str, words: &str, read_back: &str) -> EntryInput {
    EntryInput::Acknowledge {
        result: c.result.clone(),
        version: c.version,
        answer: answer.into(),
        read_back: read_back.into(),
        words: words.into(),
    }
}

fn take_up(ws: &Workstation, patient: &str, input: &EntryInput) -> Result<EntryView, EngineError> {
    let read = block(ws.entry_preview(patient, input))?;
    block(ws.entry_record(patient, input, &read.seen))
}

fn ids(list: &[CriticalView]) -> Vec<&str> {
    list.iter().map(|c| c.result.as_str()).collect()
}

#[test]
fn the_longest_waiting_comes_first_and_the_line_says_what_is_due() {
    for (minutes, due) in [
        (4, None),
        (9, None),
        (11, Some("Tell the nurse in charge")),
        (21, Some("Call the doctor on call")),
        (31, Some("Call the senior doctor on call")),
        (60 * 24, Some("Call the senior doctor on call")),
    ] {
        let (_dir, p, ws) = station(
            vec![potassium("p1", "k1", "6.1", "HH", minutes)],
            vec![
                potassium("p6", "k6", "2.1", "LL", 2),
                potassium("p6", "plain", "5.6", "H", 3),
            ],
        );
        // Nobody is signed in: the line says how many, and nothing of whom.
        let status = ws.status();
        let text = status.critical_text.unwrap();
        assert!(
            text.starts_with("2 critical results not acknowledged, the oldest for "),
            "{text}"
        );
        assert_eq!(
            (status.critical, status.critical_due_text.as_deref()),
            (2, due),
            "{minutes}"
        );
        sign_in(&ws, "lee");
        let v = block(ws.results(None)).unwrap();
        assert_eq!(ids(&v.waiting), ["Observation/k1", "Observation/k6"]);
        let first = &v.waiting[0];
        assert_eq!(
            (
                first.measured.label.as_str(),
                first.measured.value.as_str(),
                first.measured.flag.as_str()
            ),
            ("K", "6.1", "HH")
        );
        assert_eq!(first.name_text, "JONES, Mary");
        let waits = i64::from(first.waits_s.unwrap());
        assert!((minutes * 60..minutes * 60 + 30).contains(&waits), "{waits}");
        assert!(
            first
                .before_text
                .as_deref()
                .unwrap()
                .starts_with("before: 4.50 mmol/L"),
            "{:?}",
            first.before_text
        );
        assert_eq!(
            v.steps.iter().map(|s| s.after_s).collect::<Vec<_>>(),
            [600, 1200, 1800]
        );
        assert!(v.done.is_empty() && v.withheld == 0 && v.older == 0 && v.unread == 0);
        // One row of the audit log for each patient whose result was shown.
        let rows = outbox(&p).rows(0, 100).unwrap().rows;
        let cards = rows
            .iter()
            .filter(|r| r.body.contains("\"use\":\"critical-results\""))
            .count();
        assert_eq!(cards, 2);
    }
}

#[test]
fn what_is_old_is_counted_and_what_nobody_dated_comes_first() {
    let mut undated = potassium("p6", "k6", "6.4", "HH", 1);
    let at = ago(1);
    undated.1 = undated.1.replace(
        &format!(",\"effectiveDateTime\":\"{at}\",\"issued\":\"{at}\""),
        "",
    );
    assert!(!undated.1.contains("issued"), "{}", undated.1);
    let (_dir, _, ws) = station(
        vec![
            potassium("p1", "old", "6.1", "HH", 4 * 24 * 60),
            potassium("p1", "k1", "6.1", "HH", 5),
        ],
        vec![undated],
    );
    sign_in(&ws, "lee");
    let v = block(ws.results(None)).unwrap();
    assert_eq!(ids(&v.waiting), ["Observation/k6", "Observation/k1"]);
    assert_eq!((v.waiting[0].waits_s, v.older), (None, 1));
    let status = ws.status();
    assert_eq!(
        (
            status.critical_text.as_deref(),
            status.critical_due_text.as_deref()
        ),
        (
            Some("2 critical results not acknowledged; not known since when"),
            Some("Call the senior doctor on call")
        )
    );
    let board = block(ws.board(None)).unwrap();
    let of = |id: &str| {
        board
            .rows
            .iter()
            .find(|r| r.patient == id)
            .unwrap()
            .critical_text
            .clone()
    };
    assert_eq!(of("p1").as_deref(), Some("1 critical result not acknowledged"));
    assert_eq!(of("p5"), None);
}

#[test]
fn taken_up_it_waits_no_longer_here_until_the_server_refuses() {
    let (_dir, p, ws) = station(vec![potassium("p1", "k1", "6.1", "HH", 12)], vec![]);
    sign_in(&ws, "lee");
    let c = block(ws.results(None)).unwrap().waiting.remove(0);
    assert_eq!(c.not_for_you_text, None);
    // What was read back is another value; nothing chosen; nobody named.
    for (input, field) in [
        (taking_up(&c, "acting", "", "1.6"), "read_back"),
        (taking_up(&c, "", "", ""), "answer"),
        (taking_up(&c, "passed-on", " ", ""), "words"),
    ] {
        let read = block(ws.entry_preview("p1", &input)).unwrap();
        assert_eq!(
            read.faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(),
            [field]
        );
        assert!(take_up(&ws, "p1", &input).is_err());
    }
    let v = take_up(
        &ws,
        "p1",
        &taking_up(&c, "acting", "calcium given", "potassium 6.1"),
    )
    .unwrap();
    assert_eq!(
        v.lines,
        [
            "K 6.1 mmol/L HH",
            "Seen, acting: calcium given",
            "read back: potassium 6.1"
        ]
    );
    assert_eq!((v.section.as_str(), v.state), ("labs", EntryState::Queued));
    // On the list it waits until the record has it, marked; it is not counted any more.
    let again = block(ws.results(None)).unwrap();
    assert_eq!(again.waiting[0].entries[0].state, EntryState::Queued);
    assert_eq!(ws.status().critical_text, None);
    assert_eq!(
        block(ws.board(None))
            .unwrap()
            .rows
            .iter()
            .filter(|r| r.critical_text.is_some())
            .count(),
        0
    );
    outbox(&p)
        .answer_entry(
            &v.id,
            EntryMark::Rejected,
            "The account is disabled.",
            Clock::new().wall(),
        )
        .unwrap();
    assert_eq!(
        ws.status().critical_text.as_deref(),
        Some("1 critical result not acknowledged, for 12 min")
    );
    assert_eq!(
        block(ws.results(None)).unwrap().waiting[0].entries[0].state,
        EntryState::Rejected
    );
}

#[test]
fn passed_on_it_waits_for_somebody_else() {
    let (_dir, _, ws) = station(vec![potassium("p1", "k1", "6.1", "HH", 12)], vec![]);
    sign_in(&ws, "lee");
    let c = block(ws.results(None)).unwrap().waiting.remove(0);
    take_up(&ws, "p1", &taking_up(&c, "passed-on", "Dr RAO", "")).unwrap();
    assert!(ws.status().critical_text.is_some());
}

#[test]
fn only_what_is_on_the_screen_can_be_taken_up_and_of_whom_it_is() {
    let (_dir, p, ws) = station(
        vec![potassium("p1", "k1", "6.1", "HH", 12)],
        vec![potassium("p6", "k6", "2.1", "LL", 12)],
    );
    sign_in(&ws, "lee");
    let v = block(ws.results(None)).unwrap();
    let (k1, k6) = (&v.waiting[0], &v.waiting[1]);
    let refused = |patient: &str, input: &EntryInput| {
        let read = block(ws.entry_preview(patient, input)).unwrap();
        assert!(
            read.faults.iter().any(|f| f.text.contains("look at it again")),
            "{read:?}"
        );
        assert!(take_up(&ws, patient, input).is_err());
    };
    // Another patient's; another version; nothing that is on the list.
    refused("p6", &taking_up(k1, "acting", "", ""));
    let older = CriticalView {
        version: k6.version + 1,
        ..k6.clone()
    };
    refused("p6", &taking_up(&older, "acting", "", ""));
    let odd = CriticalView {
        result: "Observation/o0-p1".into(),
        ..k1.clone()
    };
    refused("p1", &taking_up(&odd, "acting", "", ""));
    // After the lock nothing is on the screen.
    ws.lock();
    sign_in(&ws, "lee");
    refused("p1", &taking_up(k1, "acting", "", ""));
    assert_eq!(outbox(&p).entries(None).unwrap(), []);
}

#[test]
fn a_result_that_changed_since_it_was_taken_up_here_waits_again() {
    let (_dir, p, ws) = station(vec![potassium("p1", "k1", "6.1", "HH", 12)], vec![]);
    sign_in(&ws, "lee");
    let c = block(ws.results(None)).unwrap().waiting.remove(0);
    take_up(&ws, "p1", &taking_up(&c, "acting", "", "")).unwrap();
    assert_eq!(ws.status().critical_text, None);
    let corrected = CriticalMark {
        source: ResourceKey::parse("Observation/k1").unwrap(),
        version: u64::from(c.version) + 1,
        available: Some(Clock::new().wall()),
        acknowledged: false,
        taken: None,
    };
    let item = BoardItem {
        identity: None,
        place: place("ED"),
        allergies: AllergyState::NotRecorded,
        flags: vec![],
        code_status: None,
        critical: Some(vec![corrected]),
        news2: None,
    };
    let board = [("p1".to_owned(), serde_json::to_vec(&item).unwrap())];
    stage(&essentials(&p), "board:ED", &board, false, Clock::new().wall().0);
    let text = ws.status().critical_text.unwrap();
    assert!(text.starts_with("1 critical result not acknowledged"), "{text}");
}

#[test]
fn a_board_that_does_not_say_is_never_no_results() {
    let (_dir, p, ws) = station(vec![], vec![]);
    sign_in(&ws, "lee");
    let v = block(ws.results(None)).unwrap();
    assert_eq!((v.waiting.len(), v.unread), (0, 0));
    assert!(
        v.looked_text.contains("of 3 patients of ED ward"),
        "{}",
        v.looked_text
    );
    let item = serde_json::json!({"identity": null, "place": place("ED"), "allergies": "known", "flags": [], "code_status": null});
    let board = [("p1".to_owned(), serde_json::to_vec(&item).unwrap())];
    stage(&essentials(&p), "board:ED", &board, false, Clock::new().wall().0);
    assert_eq!(block(ws.results(None)).unwrap().unread, 1);
    // A result that the board names and the card does not hold yet.
    let mark = CriticalMark {
        source: ResourceKey::parse("Observation/k9").unwrap(),
        version: 1,
        available: Some(Clock::new().wall()),
        acknowledged: false,
        taken: None,
    };
    let item = serde_json::json!({"identity": null, "place": place("ED"), "allergies": "known", "flags": [], "code_status": null, "critical": [mark]});
    let board = [("p1".to_owned(), serde_json::to_vec(&item).unwrap())];
    stage(&essentials(&p), "board:ED", &board, false, Clock::new().wall().0);
    let v = block(ws.results(None)).unwrap();
    assert_eq!((v.waiting.len(), v.unread), (0, 1));
    // A ward whose board is not here at all.
    assert!(block(ws.results(Some("NOWHERE"))).is_err());
}

#[test]
fn who_may_not_read_a_patient_is_told_how_many_there_are() {
    let (_dir, _, ws) = station(vec![potassium("p1", "k1", "6.1", "HH", 12)], vec![]);
    for user in ["rao", "quill"] {
        sign_in(&ws, user);
        match block(ws.results(Some("ED"))) {
            Ok(v) => assert_eq!((v.waiting.len(), v.withheld), (0, 1), "{user}"),
            Err(e) => assert!(matches!(e, EngineError::Denied { .. }), "{user}: {e}"),
        }
    }
}

#[test]
fn a_chart_says_what_waits_as_the_inbox_does() {
    let (_dir, p, ws) = station(
        vec![
            potassium("p1", "k2", "6.1", "HH", 12),
            potassium("p1", "k1", "6.8", "HH", 22),
            potassium("p1", "old", "6.1", "HH", 4 * 24 * 60),
            potassium("p1", "plain", "5.6", "H", 3),
        ],
        vec![],
    );
    sign_in(&ws, "lee");
    let of = |patient: &str| block(ws.chart(patient)).unwrap().critical;
    let said = || {
        let c = of("p1");
        let all: Vec<String> = c.waiting.into_iter().map(|w| w.result).collect();
        (c.text.unwrap_or_default(), all)
    };
    let one = "1 critical result waits for acknowledgement".to_owned();
    let two = "2 critical results wait for acknowledgement".to_owned();
    let (k1, k2) = ("Observation/k1".to_owned(), "Observation/k2".to_owned());
    assert_eq!(said(), (two.clone(), vec![k1.clone(), k2.clone()]));
    let c = of("p1");
    assert_eq!(
        (c.patient.as_str(), c.elsewhere_text, c.unread_text),
        ("p1", None, None)
    );
    let m = &c.waiting[0].measured;
    assert_eq!(
        (
            m.label.as_str(),
            m.value.as_str(),
            m.unit.as_str(),
            m.flag.as_str()
        ),
        ("K", "6.8", "mmol/L", "HH")
    );
    let waits = i64::from(c.waiting[0].waits_s.unwrap());
    assert!((22 * 60..22 * 60 + 30).contains(&waits), "{waits}");
    let none = of("p6");
    assert_eq!((none.text, none.waiting.len(), none.unread_text), (None, 0, None));
    // Taken up here it waits no longer, passed on it does, refused by the server it waits again.
    let mut inbox = block(ws.results(None)).unwrap().waiting;
    assert_eq!(ids(&inbox), [k1.as_str(), k2.as_str()]);
    let (first, second) = (inbox.remove(0), inbox.remove(0));
    let v = take_up(&ws, "p1", &taking_up(&first, "acting", "", "")).unwrap();
    assert_eq!(said(), (one.clone(), vec![k2.clone()]));
    take_up(&ws, "p1", &taking_up(&second, "passed-on", "Dr RAO", "")).unwrap();
    assert_eq!(said(), (one, vec![k2.clone()]));
    outbox(&p)
        .answer_entry(
            &v.id,
            EntryMark::Rejected,
            "The account is disabled.",
            Clock::new().wall(),
        )
        .unwrap();
    assert_eq!(said(), (two, vec![k1, k2]));
}

#[test]
fn a_chart_says_whose_inbox_it_is_and_never_none_where_it_is_not_known() {
    let mut all = people();
    all.iter_mut().find(|p| p.id == "p2").unwrap().more = vec![potassium("p2", "k2", "6.1", "HH", 12)];
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &all);
    let ws = open(&p);
    sign_in(&ws, "rao");
    let c = block(ws.chart("p2")).unwrap().critical;
    assert_eq!(
        (c.text.as_deref(), c.elsewhere_text.as_deref()),
        (
            Some("1 critical result waits for acknowledgement"),
            Some("in the results inbox of ICU ward, not in that of this ward")
        )
    );
    // A card that does not say which results are critical.
    let mut cards: Vec<(String, Vec<u8>)> = all
        .iter()
        .map(|p| {
            let mut card = p.card();
            card.critical = None;
            (p.id.clone(), serde_json::to_vec(&card).unwrap())
        })
        .collect();
    cards.sort();
    stage(&essentials(&p), "ess:ED", &cards, true, Clock::new().wall().0);
    let c = block(ws.chart("p2")).unwrap().critical;
    assert_eq!((c.text, c.waiting.len(), c.elsewhere_text), (None, 0, None));
    let text = c.unread_text.unwrap();
    assert!(text.starts_with("Not known here"), "{text}");
}
