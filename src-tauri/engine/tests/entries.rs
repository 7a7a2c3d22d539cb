//! Recording without a server: what is kept before it is said to be kept, who may, what every screen of this workstation shows of it
//! until the record has it.

mod support;

use support::{Profiled, block, open, outbox, pin, station, with_pin};
use vitrine_clinical::entry::Entry;
use vitrine_clinical::{PatientId, UserId, UtcMs};
use vitrine_engine::{EngineError, Workstation};
use vitrine_store_sqlcipher::workstation::EntryMark;
use vitrine_wire::entry_view::{DraftKind, EntryInput, EntrySeen, EntryState, EntryView, ReadingInput};
use vitrine_wire::view::AllergyStripState;

fn vitals(readings: &[(&str, &str)]) -> EntryInput {
    EntryInput::Vitals {
        minutes_ago: 5,
        readings: readings
            .iter()
            .map(|(sign, value)| ReadingInput {
                sign: (*sign).into(),
                value: (*value).into(),
            })
            .collect(),
    }
}

fn allergy(agent: &str, severity: &str) -> EntryInput {
    EntryInput::Allergy {
        agent: agent.into(),
        reaction: if severity.is_empty() {
            String::new()
        } else {
            "collapse".into()
        },
        severity: severity.into(),
        certainty: "unconfirmed".into(),
    }
}

fn note(text: &str) -> EntryInput {
    EntryInput::Note {
        note_kind: "nursing".into(),
        text: text.into(),
    }
}

fn sign_in(ws: &Workstation, user: &str) {
    block(ws.sign_in(user, pin(user))).unwrap();
}

/// Reads and signs.
fn record(ws: &Workstation, patient: &str, input: &EntryInput) -> Result<EntryView, EngineError> {
    let read = block(ws.entry_preview(patient, input))?;
    block(ws.entry_record(patient, input, &read.seen))
}

/// A workstation at which Dr LEE of the ED is signed in.
fn signed_in() -> (tempfile::TempDir, Profiled, Workstation) {
    let (dir, p, ws) = station();
    sign_in(&ws, "lee");
    (dir, p, ws)
}

#[test]
fn an_entry_is_on_the_disk_with_its_audit_row_before_it_is_said_to_be_kept() {
    let (_dir, p, ws) = signed_in();
    let before = outbox(&p).rows(0, 1_000).unwrap().rows.len();
    let v = record(
        &ws,
        "p1",
        &vitals(&[("pulse", "88"), ("systolic", "120"), ("diastolic", "80")]),
    )
    .unwrap();
    assert_eq!(v.state, EntryState::Queued);
    assert_eq!(v.lines, ["HR 88 /min", "BP 120/80 mmHg"]);
    assert!(v.state_text.starts_with("NOT SENT"), "{}", v.state_text);
    assert!(v.at_text.starts_with("measured "), "{}", v.at_text);
    assert!(v.by_text.ends_with("by Dr LEE (Physician)"), "{}", v.by_text);
    // As another process would find it after a power cut.
    let disk = outbox(&p);
    let due = disk.entries_due(false, 10).unwrap();
    assert_eq!(due.len(), 1);
    let entry: Entry = serde_json::from_str(&due[0].body).unwrap();
    assert_eq!(
        (entry.id.as_str(), entry.user.as_str(), entry.patient.as_str()),
        (v.id.as_str(), "lee", "p1")
    );
    let rows = disk.rows(0, 1_000).unwrap().rows;
    assert_eq!(rows.len(), before + 1);
    let row: serde_json::Value = serde_json::from_str(&rows.last().unwrap().body).unwrap();
    assert_eq!(row["action"], "write-clinical");
    assert_eq!(row["notes"]["entry"], v.id.as_str());
    assert_eq!(row["notes"]["recorded"], "vitals");
    assert_eq!(
        row["notes"]["entry_blake3"],
        blake3::hash(due[0].body.as_bytes()).to_hex().as_str()
    );
    let status = ws.status();
    assert_eq!((status.unsent, status.rejected), (1, 0));
}

#[test]
fn what_is_wrong_is_said_at_its_field_and_nothing_is_kept() {
    let (_dir, p, ws) = signed_in();
    let faulty = vitals(&[("pulse", "880"), ("temperature", "98.6"), ("pain", "")]);
    let preview = block(ws.entry_preview("p1", &faulty)).unwrap();
    assert_eq!(preview.patient, "p1");
    let fields: Vec<&str> = preview.faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["pulse", "temperature"]);
    assert!(matches!(record(&ws, "p1", &faulty), Err(EngineError::Usage(_))));
    let unusual = block(ws.entry_preview("p1", &vitals(&[("pulse", "240")]))).unwrap();
    assert!(unusual.faults.is_empty() && unusual.warnings.len() == 1);
    assert!(unusual.at_text.contains("5 min ago"), "{}", unusual.at_text);
    for (input, field) in [
        (vitals(&[]), ""),
        (allergy("NKDA", ""), "agent"),
        (EntryInput::NoKnownAllergies { asked: false }, "asked"),
        (note("  "), "text"),
        (
            EntryInput::Note {
                note_kind: "poem".into(),
                text: "x".into(),
            },
            "note_kind",
        ),
    ] {
        let faults = block(ws.entry_preview("p1", &input)).unwrap().faults;
        assert_eq!(faults[0].field, field, "{input:?}");
        assert!(record(&ws, "p1", &input).is_err());
    }
    assert!(outbox(&p).entries(None).unwrap().is_empty());
}

#[test]
fn what_is_signed_is_what_was_read_and_once() {
    let (_dir, p, ws) = signed_in();
    let input = vitals(&[("pulse", "88")]);
    let read = block(ws.entry_preview("p1", &input)).unwrap();
    let a = block(ws.entry_record("p1", &input, &read.seen)).unwrap();
    let rows = outbox(&p).rows(0, 1_000).unwrap().rows.len();
    // The answer was not heard: the key is pressed again.
    let b = block(ws.entry_record("p1", &input, &read.seen)).unwrap();
    assert_eq!(a.id, b.id);
    assert_eq!(outbox(&p).entries(None).unwrap().len(), 1);
    assert_eq!(outbox(&p).rows(0, 1_000).unwrap().rows.len(), rows);
    // The time is that of the reading, however long the signing took; after a quarter of an hour it is read again.
    let body = outbox(&p).entries(None).unwrap().remove(0).body;
    let entry: Entry = serde_json::from_str(&body).unwrap();
    let vitrine_clinical::entry::What::Vitals { at, .. } = entry.what else {
        panic!("vital signs")
    };
    assert_eq!(at.0, read.seen.at_ms - 5 * 60_000);
    for at_ms in [read.seen.at_ms - 16 * 60_000, read.seen.at_ms + 60_000] {
        let seen = EntrySeen {
            id: "01935b2e-7c00-7000-8000-00000000000b".into(),
            at_ms,
        };
        let e = block(ws.entry_record("p1", &input, &seen)).unwrap_err();
        assert!(e.to_string().contains("read it again"), "{e}");
    }
    // Not under another patient, not by somebody else.
    assert!(block(ws.entry_record("p5", &input, &read.seen)).is_err());
}

#[test]
fn a_record_number_that_reads_like_an_id_is_nobody() {
    let (_dir, p, ws) = signed_in();
    assert_eq!(block(ws.patient_id("4471 0932")).unwrap(), "p1");
    for text in ["44710932", "4471 0932"] {
        assert!(record(&ws, text, &note("whose?")).is_err(), "{text}");
        assert!(
            keep(&ws, text, DraftKind::Note, &[("text", "whose?")]).is_err(),
            "{text}"
        );
    }
    assert!(outbox(&p).entries(None).unwrap().is_empty());
}

#[test]
fn an_accepted_allergy_stays_marked_until_the_copy_shows_it_itself() {
    let (_dir, p, ws) = signed_in();
    // The same agent, and worse than what is on record.
    let v = record(&ws, "p1", &allergy("Penicillin", "life-threatening")).unwrap();
    let count = |ws: &Workstation| {
        let strip = block(ws.chart("p1")).unwrap().allergies;
        let unsent = strip.items.iter().filter(|i| i.unsent_text.is_some()).count();
        (strip.items.len(), unsent)
    };
    let disk = outbox(&p);
    disk.answer_entry(
        &v.id,
        EntryMark::Accepted,
        "AllergyIntolerance/new",
        UtcMs(wall()),
    )
    .unwrap();
    assert_eq!(count(&ws), (2, 1), "not in this copy: it stands there");
    // The copy's own entry is the one it became.
    disk.answer_entry(
        &v.id,
        EntryMark::Accepted,
        "AllergyIntolerance/a-p1",
        UtcMs(wall()),
    )
    .unwrap();
    assert_eq!(count(&ws), (1, 0));
}

#[test]
fn only_who_looks_after_a_patient_records_and_a_refusal_is_written_down() {
    let (_dir, p, ws) = signed_in();
    let e = record(&ws, "p2", &note("seen")).unwrap_err();
    assert!(
        matches!(
            e,
            EngineError::Denied {
                rule: "no-relationship",
                ..
            }
        ),
        "{e:?}"
    );
    // Emergency access is for reading.
    block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    let e = record(&ws, "p2", &note("seen")).unwrap_err();
    assert!(
        matches!(
            e,
            EngineError::Denied {
                rule: "grant-is-read-only",
                ..
            }
        ),
        "{e:?}"
    );
    let chart = block(ws.chart("p2")).unwrap();
    assert!(!chart.may_record);
    assert!(
        chart
            .record_refused_text
            .unwrap()
            .contains("Emergency access is for reading")
    );
    assert!(block(ws.chart("p1")).unwrap().may_record);
    assert!(outbox(&p).entries(None).unwrap().is_empty());
    let denied = outbox(&p)
        .rows(0, 1_000)
        .unwrap()
        .rows
        .iter()
        .filter(|r| r.body.contains("\"write-clinical\"") && r.body.contains("\"deny\""))
        .count();
    assert_eq!(denied, 2);
    ws.lock();
    assert!(matches!(
        record(&ws, "p1", &note("seen")),
        Err(EngineError::NotSignedIn)
    ));
}

#[test]
fn an_unsent_allergy_is_an_allergy_on_every_screen_of_this_workstation() {
    let (_dir, p, ws) = signed_in();
    record(&ws, "p1", &allergy("Latex", "")).unwrap();
    record(&ws, "p1", &allergy("Suxamethonium", "life-threatening")).unwrap();
    let chart = block(ws.chart("p1")).unwrap();
    let agents: Vec<&str> = chart.allergies.items.iter().map(|i| i.agent.as_str()).collect();
    assert_eq!(
        agents,
        ["penicillin", "Suxamethonium", "Latex"],
        "the dangerous stand first"
    );
    assert!(chart.allergies.items[0].unsent_text.is_none());
    let unsent = chart.allergies.items[1].unsent_text.as_deref().unwrap();
    assert!(
        unsent.contains("Dr LEE") && unsent.ends_with("NOT SENT"),
        "{unsent}"
    );
    assert_eq!(chart.entries.len(), 2);
    let board = block(ws.board(Some("ED"))).unwrap();
    let row = board.rows.iter().find(|r| r.patient == "p1").unwrap();
    assert_eq!(row.allergy_text, "ALLERGY");
    assert!(
        row.flags.iter().any(|f| f.contains("not in the record")),
        "{:?}",
        row.flags
    );
    // In an emergency too, for somebody else, and on paper.
    let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p1"))).unwrap();
    assert_eq!(card.allergies.items.len(), 3);
    assert_eq!(card.entries.len(), 2);
    let rows = outbox(&p).rows(0, 1_000).unwrap().rows;
    let read: serde_json::Value = serde_json::from_str(&rows.last().unwrap().body).unwrap();
    assert_eq!(read["action"], "read-card");
    assert!(
        read["notes"]["entries"]
            .as_str()
            .unwrap()
            .contains(card.entries[0].id.as_str())
    );
}

#[test]
fn an_unsent_none_known_takes_nothing_away_and_an_unsent_allergy_beats_it() {
    let (_dir, _p, ws) = signed_in();
    record(&ws, "p1", &EntryInput::NoKnownAllergies { asked: true }).unwrap();
    let chart = block(ws.chart("p1")).unwrap();
    assert_eq!(chart.allergies.state, AllergyStripState::Known);
    assert_eq!(chart.allergies.items.len(), 1);
    assert_eq!(chart.entries[0].section, "allergies");
}

#[test]
fn measurements_count_in_no_score_before_the_server_has_them() {
    let (_dir, _p, ws) = signed_in();
    let before = block(ws.chart("p1")).unwrap();
    record(&ws, "p1", &vitals(&[("pulse", "190"), ("saturation", "71")])).unwrap();
    let after = block(ws.chart("p1")).unwrap();
    assert_eq!(before.news2, after.news2);
    assert_eq!(before.vitals, after.vitals);
    assert_eq!(after.entries.len(), 1);
}

#[test]
fn accepted_rejected_settled() {
    let (_dir, p, ws) = signed_in();
    let a = record(&ws, "p1", &note("first")).unwrap();
    let b = record(&ws, "p1", &note("second")).unwrap();
    let disk = outbox(&p);
    let now = UtcMs(wall());
    disk.answer_entry(&a.id, EntryMark::Accepted, "DocumentReference/d1", now)
        .unwrap();
    disk.answer_entry(&b.id, EntryMark::Rejected, "The patient moved.", now)
        .unwrap();
    let chart = block(ws.chart("p1")).unwrap();
    let states: Vec<EntryState> = chart.entries.iter().map(|e| e.state).collect();
    assert_eq!(
        states,
        [EntryState::Accepted, EntryState::Rejected],
        "not in this copy yet"
    );
    let list = block(ws.entries()).unwrap();
    assert_eq!((list.entries.len(), list.withheld), (1, 0));
    assert_eq!(list.entries[0].name_text.as_deref(), Some("JONES, Mary"));
    assert_eq!(list.entries[0].reason_text.as_deref(), Some("The patient moved."));
    assert_eq!(ws.status().rejected, 1);
    // A rejected one never goes by itself, an accepted one when it has been held for long.
    assert_eq!(disk.clear_entries(now.plus_ms(1)).unwrap(), 1);
    assert!(matches!(
        block(ws.entry_settle(&b.id, "  ")),
        Err(EngineError::Usage(_))
    ));
    block(ws.entry_settle(&b.id, "told ICU by phone")).unwrap();
    assert!(block(ws.entry_settle(&b.id, "again")).is_err());
    assert!(block(ws.entries()).unwrap().entries.is_empty());
    let rows = disk.rows(0, 1_000).unwrap().rows;
    let settled = rows
        .iter()
        .filter(|r| r.body.contains("told ICU by phone"))
        .count();
    assert_eq!(settled, 1);
}

#[test]
fn what_was_recorded_here_and_cannot_be_read_is_never_an_empty_list() {
    let (_dir, p, ws) = signed_in();
    record(&ws, "p1", &allergy("Latex", "")).unwrap();
    let (_, _, deks) = support::keys(&p);
    let key = vitrine_store_sqlcipher::Key::new((*deks.outbox.bytes()).into());
    let path = p.dir.join("outbox.db");
    let options = vitrine_store_sqlcipher::OpenOptions::default();
    let broken = vitrine_store_sqlcipher::cipher::open(&path, &key, &options).unwrap();
    broken.execute_batch("ALTER TABLE entry RENAME TO lost").unwrap();

    assert!(block(ws.entries()).is_err(), "not known is not none");
    let said = |strip: &vitrine_wire::view::AllergyStripView| {
        strip
            .conflict_text
            .as_deref()
            .is_some_and(|t| t.contains("there may be more allergies"))
    };
    let chart = block(ws.chart("p1")).unwrap();
    assert!(said(&chart.allergies), "{:?}", chart.allergies);
    let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p1"))).unwrap();
    assert!(
        said(&card.allergies),
        "an emergency opens all the same, and says so"
    );
    let rows = outbox(&p).rows(0, 1_000).unwrap().rows;
    assert!(rows.last().unwrap().body.contains("unreadable"));
    assert!(ws.status().alarms.iter().any(|a| a.contains("cannot be read")));
    assert!(record(&ws, "p1", &note("not kept")).is_err());

    // Read again, nothing of it stays.
    broken.execute_batch("ALTER TABLE lost RENAME TO entry").unwrap();
    assert_eq!(block(ws.entries()).unwrap().entries.len(), 1);
    assert!(!said(&block(ws.chart("p1")).unwrap().allergies));
    assert!(!ws.status().alarms.iter().any(|a| a.contains("cannot be read")));
}

#[test]
fn whoever_may_only_read_settles_nothing() {
    let (_dir, p, ws) = signed_in();
    let v = record(&ws, "p1", &allergy("Latex", "")).unwrap();
    outbox(&p)
        .answer_entry(&v.id, EntryMark::Rejected, "The patient moved.", UtcMs(wall()))
        .unwrap();
    ws.lock();
    sign_in(&ws, "rao");
    block(ws.break_glass(with_pin("rao", pin("rao"), "p1"))).unwrap();
    let list = block(ws.entries()).unwrap();
    assert_eq!(list.entries.len(), 1, "who may open the chart sees it");
    assert!(!list.entries[0].may_settle);
    assert!(block(ws.entry_settle(&v.id, "looks old")).is_err());
    ws.lock();
    sign_in(&ws, "lee");
    assert!(block(ws.entries()).unwrap().entries[0].may_settle);
    block(ws.entry_settle(&v.id, "told ICU by phone")).unwrap();
}

#[test]
fn a_list_shows_no_patient_that_one_may_not_open() {
    let (_dir, _p, ws) = signed_in();
    record(&ws, "p1", &note("mine")).unwrap();
    ws.lock();
    sign_in(&ws, "rao");
    let list = block(ws.entries()).unwrap();
    assert_eq!((list.entries.len(), list.withheld), (0, 1));
    assert!(list.looked_text.contains("ED-07"), "{}", list.looked_text);
}

fn keep(
    ws: &Workstation,
    patient: &str,
    kind: DraftKind,
    fields: &[(&str, &str)],
) -> Result<(), EngineError> {
    let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    block(ws.set_entry_draft(patient, kind, fields.collect()))
}

/// What of a draft about p1 stands in a field.
fn kept(ws: &Workstation, kind: DraftKind, field: &str) -> Option<String> {
    block(ws.entry_draft("p1", kind))
        .unwrap()
        .map(|d| d.fields[field].clone())
}

#[test]
fn a_draft_is_its_authors_alone_survives_and_goes_with_what_was_signed_of_it() {
    let (_dir, p, ws) = signed_in();
    let text = |ws: &Workstation| kept(ws, DraftKind::Note, "text");
    keep(&ws, "p1", DraftKind::Note, &[("text", "Pupils equal")]).unwrap();
    keep(
        &ws,
        "p1",
        DraftKind::Vitals,
        &[("hr", "118"), ("minutes_ago", "5")],
    )
    .unwrap();
    keep(&ws, "p1", DraftKind::Allergy, &[("agent", "codeine")]).unwrap();
    ws.lock();
    sign_in(&ws, "rao");
    assert_eq!(text(&ws), None);
    keep(&ws, "p1", DraftKind::Note, &[("text", "Another's")]).unwrap();
    drop(ws);
    let ws = open(&p);
    sign_in(&ws, "lee");
    assert_eq!(text(&ws).as_deref(), Some("Pupils equal"));
    assert_eq!(kept(&ws, DraftKind::Vitals, "hr").as_deref(), Some("118"));
    let hinted = |ws: &Workstation| -> Vec<DraftKind> {
        let drafts = block(ws.chart("p1")).unwrap().drafts;
        drafts.iter().map(|d| d.kind).collect()
    };
    assert_eq!(
        hinted(&ws),
        [DraftKind::Vitals, DraftKind::Allergy, DraftKind::Note]
    );
    record(&ws, "p1", &note("Pupils equal and reactive")).unwrap();
    assert_eq!(text(&ws), None);
    assert_eq!(hinted(&ws), [DraftKind::Vitals, DraftKind::Allergy]);
    record(&ws, "p1", &allergy("codeine", "moderate")).unwrap();
    assert_eq!(hinted(&ws), [DraftKind::Vitals]);
    ws.lock();
    sign_in(&ws, "rao");
    assert_eq!(text(&ws).as_deref(), Some("Another's"));
    keep(&ws, "p1", DraftKind::Note, &[]).unwrap();
    assert_eq!(text(&ws), None);
}

#[test]
fn a_draft_says_how_long_ago_it_was_kept() {
    let (_dir, p, ws) = signed_in();
    keep(
        &ws,
        "p1",
        DraftKind::Vitals,
        &[("hr", "118"), ("minutes_ago", "5")],
    )
    .unwrap();
    drop(ws);
    let (user, patient) = (UserId::new("lee").unwrap(), PatientId::new("p1").unwrap());
    let before = outbox(&p);
    let mut draft = before.draft(&user, &patient, "vitals").unwrap().unwrap();
    let kept_at = draft.at.0;
    draft.at.0 = kept_at - 7 * 60_000;
    before.set_draft(&user, &patient, "vitals", &draft).unwrap();
    drop(before);
    let ws = open(&p);
    sign_in(&ws, "lee");
    let again = block(ws.entry_draft("p1", DraftKind::Vitals)).unwrap().unwrap();
    assert_eq!((again.minutes, again.fields["minutes_ago"].as_str()), (7, "5"));
    drop(ws);
    // Kept by a clock that has been set back since: how long ago cannot be told.
    draft.at.0 = kept_at + 2 * 86_400_000;
    outbox(&p).set_draft(&user, &patient, "vitals", &draft).unwrap();
    let ws = open(&p);
    sign_in(&ws, "lee");
    let later = block(ws.entry_draft("p1", DraftKind::Vitals)).unwrap().unwrap();
    let fields: Vec<&str> = later.fields.keys().map(String::as_str).collect();
    assert_eq!(fields, ["hr"]);
}

#[test]
fn a_draft_has_its_limits() {
    let (_dir, _p, ws) = signed_in();
    let many: Vec<(String, String)> = (0..61).map(|n| (format!("f{n}"), "1".to_owned())).collect();
    assert!(block(ws.set_entry_draft("p1", DraftKind::Vitals, many.into_iter().collect())).is_err());
    for (field, value) in [
        ("text", "x".repeat(20_001)),
        (&*"y".repeat(30_000), "1".to_owned()),
    ] {
        assert!(keep(&ws, "p1", DraftKind::Note, &[(field, &value)]).is_err());
    }
    assert_eq!(block(ws.entry_draft("p1", DraftKind::Note)).unwrap(), None);
}

fn wall() -> i64 {
    vitrine_engine::clock::Clock::new().wall().0
}
