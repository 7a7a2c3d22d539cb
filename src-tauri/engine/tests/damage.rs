//! Damaged, foreign and plain files: refused or said to be unavailable, never guessed, never overwritten.

mod support;

use std::path::Path;
use support::{block, give_records, open, options, people, pin, plant, with_pin};
use vitrine_engine::keys::SlotKind;
use vitrine_engine::{EngineError, Workstation};
use vitrine_wire::view::{AllergyStripState, BlockViewState, DataAge, DeviceState};

/// Moves the WAL into the file, so that damage to the file counts.
fn settle(path: &Path, p: &support::Profiled, which: &str) {
    // Closing the last connection checkpoints.
    match which {
        "essentials" => drop(support::essentials(p)),
        _ => drop(support::outbox(p)),
    }
    let wal = path.with_extension("db-wal");
    assert!(
        std::fs::metadata(&wal).map_or(0, |m| m.len()) == 0,
        "the WAL was moved into the file"
    );
}

fn flip(path: &Path, page: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = page * 4096 + 100;
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

/// Closes it, with what it still does in the background: a file that is exchanged beneath that would be written over.
fn closed(ws: Workstation) {
    assert!(ws.close(std::time::Duration::from_secs(10)));
}

#[test]
fn one_flipped_bit_costs_no_more_than_what_its_page_holds() {
    let dir = tempfile::tempdir().unwrap();
    // Many patients, so that cards lie on many pages.
    let many: Vec<_> = (0..200)
        .map(|n| {
            support::Planted::new(
                &format!("q{n:03}"),
                &format!("Family{n}"),
                "Anna",
                &format!("9{n:05}"),
                "1970-01-01",
                Some("ICU"),
            )
        })
        .collect();
    let p = plant(dir.path(), &many);
    let path = p.dir.join("essentials.db");
    settle(&path, &p, "essentials");
    let whole = std::fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 60, "{pages}");
    let (mut shown, mut unavailable, mut refused) = (0, 0, 0);
    for page in (1..pages).step_by(2) {
        std::fs::write(&path, &whole).unwrap();
        flip(&path, page);
        let Ok(ws) = Workstation::open(&p.dir, options()) else {
            refused += 1;
            continue;
        };
        let token = match block(ws.identify("rao", pin("rao"))) {
            Ok(t) => t,
            // The staff list is on that page.
            Err(EngineError::Damaged { .. }) => {
                refused += 1;
                continue;
            }
            Err(e) => panic!("page {page}: {e}"),
        };
        for n in (0..200).step_by(5) {
            let patient = format!("q{n:03}");
            let asked = vitrine_engine::BreakGlass {
                identity: vitrine_engine::Identity::Token(token.as_str().into()),
                ..with_pin("", "", &patient)
            };
            match block(ws.break_glass(asked)) {
                Ok(card) if card.allergies.state == AllergyStripState::Known => {
                    assert_eq!(card.banner.patient, patient);
                    assert_eq!(card.allergies.items[0].agent, "penicillin");
                    shown += 1;
                }
                Ok(card) => {
                    assert_eq!(card.allergies.state, AllergyStripState::Unavailable);
                    assert!(card.allergies.label.contains("treat as unknown"));
                    assert_eq!(card.medications.state, BlockViewState::Unavailable);
                    assert_eq!(card.age.age, DataAge::Unavailable);
                    assert_eq!(card.banner.name, "Name unavailable");
                    assert!(!ws.status().alarms.is_empty());
                    unavailable += 1;
                }
                Err(EngineError::Damaged { .. }) => refused += 1,
                Err(e) => panic!("page {page}: {e}"),
            }
        }
    }
    assert!(
        shown > 100 && unavailable > 0,
        "{shown} shown, {unavailable} unavailable, {refused} refused"
    );
    println!("{shown} cards shown, {unavailable} unavailable, {refused} refused over {pages} pages");
}

#[test]
fn a_damaged_page_of_a_record_makes_its_kind_unavailable_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let path = give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..1]);
    let whole = std::fs::read(&path).unwrap();
    let (mut fine, mut said) = (0, 0);
    for page in 1..whole.len() / 4096 {
        std::fs::write(&path, &whole).unwrap();
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(
                path.with_file_name(format!("{}{ending}", path.file_name().unwrap().to_string_lossy())),
            );
        }
        flip(&path, page);
        let ws = open(&p);
        if block(ws.sign_in("lee", pin("lee"))).is_err() {
            continue;
        }
        let chart = block(ws.chart("p1")).unwrap();
        assert_eq!(
            chart.allergies.state,
            AllergyStripState::Known,
            "the essentials are another file"
        );
        for (state, items) in [
            (chart.medications.state, chart.medications.items.len()),
            (chart.conditions.state, chart.conditions.items.len()),
            (chart.labs.state, chart.labs.items.len()),
        ] {
            match state {
                BlockViewState::Recorded => {
                    assert!(items > 0);
                    fine += 1
                }
                BlockViewState::Unavailable => {
                    assert_eq!(items, 0);
                    said += 1
                }
                BlockViewState::NotRecorded => panic!("page {page}: damage was shown as nothing recorded"),
            }
        }
        // The check finds it, and says nothing against the emergency cards.
        let checked = block(ws.verify_stored()).unwrap();
        let wrong: Vec<_> = checked
            .parts
            .iter()
            .filter(|p| !p.ok)
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(
            wrong,
            ["Full charts kept for who is signed in"],
            "page {page}: {checked:#?}"
        );
        assert!(ws.status().alarms.is_empty(), "page {page}");
    }
    assert!(fine > 0, "{fine} fine, {said} unavailable");
}

#[test]
fn a_wrong_key_is_refused_and_the_file_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let a = plant(&dir.path().join("a"), &people());
    let b = plant(&dir.path().join("b"), &people());
    closed(open(&b));
    for name in ["essentials.db", "outbox.db"] {
        closed(open(&a));
        let kept = std::fs::read(a.dir.join(name)).unwrap();
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(a.dir.join(format!("{name}{ending}")));
        }
        let foreign = std::fs::read(b.dir.join(name)).unwrap();
        std::fs::write(a.dir.join(name), &foreign).unwrap();
        let ws = open(&a);
        let e = ws.usable().unwrap_err();
        assert_eq!(e.exit_code(), 3, "{e}");
        assert!(e.to_string().contains("cannot be opened with this key"), "{e}");
        assert_eq!(ws.lock_view().device_state, DeviceState::KeysMissing);
        assert_eq!(
            std::fs::read(a.dir.join(name)).unwrap(),
            foreign,
            "{name} was touched"
        );
        assert!(!a.dir.join(format!("{name}-wal")).exists());
        drop(ws);
        std::fs::write(a.dir.join(name), kept).unwrap();
    }
    assert!(open(&a).usable().is_ok());
}

#[test]
fn a_plain_database_in_its_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    closed(open(&p));
    let mut plain = b"SQLite format 3\0".to_vec();
    plain.resize(8192, 0);
    for name in ["essentials.db", "outbox.db"] {
        let kept = std::fs::read(p.dir.join(name)).unwrap();
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(p.dir.join(format!("{name}{ending}")));
        }
        std::fs::write(p.dir.join(name), &plain).unwrap();
        let e = open(&p).usable().unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(e.to_string().contains("not encrypted"), "{e}");
        assert_eq!(std::fs::read(p.dir.join(name)).unwrap(), plain);
        std::fs::write(p.dir.join(name), kept).unwrap();
    }
}

#[test]
fn a_damaged_audit_log_fails_closed_but_for_emergencies() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    closed(open(&p));
    let path = p.dir.join("outbox.db");
    settle(&path, &p, "outbox");
    let mut bytes = std::fs::read(&path).unwrap();
    for b in &mut bytes[16..200] {
        *b ^= 0x55;
    }
    std::fs::write(&path, bytes).unwrap();
    let ws = open(&p);
    assert!(
        ws.status().alarms.iter().any(|a| a.contains("cannot be written")),
        "{:?}",
        ws.status().alarms
    );
    let e = block(ws.sign_in("lee", pin("lee"))).unwrap_err();
    assert!(matches!(e, EngineError::AuditFailed(_)), "{e:?}");
    let card = block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    assert_eq!(card.allergies.items[0].agent, "penicillin");
    assert!(
        ws.status().alarms.iter().any(|a| a.contains("reserve")),
        "{:?}",
        ws.status().alarms
    );
}

#[test]
fn the_chain_names_its_first_bad_row_and_a_cut_tail() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    for _ in 0..10 {
        block(ws.search("li")).unwrap();
    }
    ws.lock();
    assert_eq!(
        block(ws.audit_verify()).unwrap().seq,
        12,
        "the searches, signing in and the lock"
    );
    drop(ws);
    // An older copy of the file put back: the signed head knows more.
    let path = p.dir.join("outbox.db");
    let signed = std::fs::read(p.dir.join("audit.head")).unwrap();
    let older = std::fs::read(&path).unwrap();
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.search("li")).unwrap();
    ws.lock();
    drop(ws);
    let newer_head = std::fs::read(p.dir.join("audit.head")).unwrap();
    assert_ne!(signed, newer_head);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(p.dir.join(format!("outbox.db{ending}")));
    }
    std::fs::write(&path, older).unwrap();
    let told = block(open(&p).audit_verify()).unwrap_err().to_string();
    assert!(told.contains("row 13 and later are gone"), "{told}");
    // A head that this device did not sign.
    std::fs::write(
        p.dir.join("audit.head"),
        String::from_utf8(newer_head)
            .unwrap()
            .replace("\"seq\":15", "\"seq\":9"),
    )
    .unwrap();
    assert_eq!(block(open(&p).audit_verify()).unwrap_err().exit_code(), 3);
}
