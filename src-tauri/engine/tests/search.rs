//! Finding patients: short names, diacritics, numbers, birth dates in every form, similar names, nothing invented.

mod support;

use support::{block, pin, station, with_pin};
use vitrine_engine::{BreakGlass, EngineError, Identity};

#[test]
fn table_of_queries() {
    let (_dir, _p, ws) = station();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    for (query, first, all) in [
        ("Li", "p2", vec!["p2", "p3"]),
        ("li wei", "p2", vec!["p2"]),
        ("ÅSE", "p3", vec!["p3"]),
        ("ase lind", "p3", vec!["p3"]),
        ("o'brien", "p4", vec!["p4"]),
        ("obrien nora", "p4", vec!["p4"]),
        ("brien", "p4", vec!["p4"]),
        ("44710932", "p1", vec!["p1"]),
        ("4471 0932", "p1", vec!["p1"]),
        ("4471", "p1", vec!["p1"]),
        ("77", "p4", vec!["p4"]),
        ("12mar64", "p2", vec!["p2"]),
        ("12-Mar-1964", "p2", vec!["p2"]),
        ("1964-03-12", "p2", vec!["p2"]),
        ("12-03-1964", "p3", vec!["p2", "p3"]),
        ("12 mar 1964", "p2", vec!["p2"]),
        ("1964", "p2", vec!["p2", "p3"]),
        ("smith 12mar65", "p6", vec!["p6"]),
        ("jones mary", "p1", vec!["p1"]),
    ] {
        let found = block(ws.search(query)).unwrap();
        let mut ids: Vec<_> = found.rows.iter().map(|r| r.patient.as_str()).collect();
        if query != "12-03-1964" && query != "1964" {
            assert_eq!(ids[0], first, "{query}");
        }
        ids.sort_unstable();
        assert_eq!(ids, all, "{query}");
    }
    for nothing in ["zzz", "99999", "31feb1964", "\"", "nosuch* OR 1"] {
        let found = block(ws.search(nothing)).unwrap();
        assert!(found.rows.is_empty(), "{nothing}");
    }
    let none = block(ws.search("zzz")).unwrap();
    assert_eq!(
        none.summary_text,
        "No match in 6 patients on this workstation; the server was not asked."
    );
}

#[test]
fn similar_names_and_restrictions_are_marked() {
    let (_dir, _p, ws) = station();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let found = block(ws.search("sm")).unwrap();
    assert_eq!(found.rows.len(), 2);
    assert!(
        found.rows.iter().all(|r| r.similar_name),
        "SMITH, John and SMYTH, Joan"
    );
    assert!(found.rows.iter().all(|r| !r.restricted), "own ward");
    let found = block(ws.search("li")).unwrap();
    assert!(found.rows.iter().all(|r| r.restricted), "another ward");
    // Under a grant the row opens like one's own; that of somebody else's patient stays marked.
    let broken = found.rows[0].patient.clone();
    let asked = BreakGlass {
        identity: Identity::Session,
        ..with_pin("lee", "", &broken)
    };
    block(ws.break_glass(asked)).unwrap();
    let found = block(ws.search("li")).unwrap();
    for row in &found.rows {
        assert_eq!(row.restricted, row.patient != broken, "{}", row.patient);
    }
    assert_eq!(found.rows[0].match_text.as_deref(), Some("name"));
    assert_eq!(
        block(ws.search("555001")).unwrap().rows[0].match_text.as_deref(),
        Some("MRN")
    );
    assert_eq!(
        block(ws.search("12mar64")).unwrap().rows[0].match_text.as_deref(),
        Some("born")
    );
}

#[test]
fn the_board_shows_the_ward_and_no_other() {
    let (_dir, _p, ws) = station();
    assert!(matches!(block(ws.board(None)), Err(EngineError::NotSignedIn)));
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let board = block(ws.board(None)).unwrap();
    assert_eq!(board.rows.len(), 3);
    assert_eq!(board.rows[0].allergy_text, "ALLERGY");
    let denied = block(ws.board(Some("ICU"))).unwrap_err();
    assert_eq!(denied.exit_code(), 5);
    ws.lock();
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    let absent = block(ws.board(Some("ICU"))).unwrap_err();
    assert_eq!(
        absent.exit_code(),
        4,
        "allowed, but not on this workstation: never an empty board"
    );
}

#[test]
fn a_profile_that_never_synchronised_finds_nobody_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let p = support::plant(dir.path(), &[]);
    support::essentials(&p).forget("ess:ED").unwrap();
    let ws = support::open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let e = block(ws.search("smith")).unwrap_err();
    assert_eq!(e.exit_code(), 4);
}
