//! A scanned band at a workstation: one patient's opens, what is not enough is compared, and every look is written down.

mod support;

use support::{Planted, block, options, people, pin, plant};
use vitrine_clinical::scan::check_digit;
use vitrine_engine::{EngineError, Workstation};
use vitrine_wire::scan_view::{ScanKind, ScanView};

fn gsrn(reference: u64) -> String {
    let digits = format!("9521234{reference:010}");
    format!("{digits}{}", check_digit(&digits).unwrap())
}

/// Mary's band; Wei's and Åse's are twins, and Joan and John share one.
fn worn() -> (tempfile::TempDir, Workstation) {
    let dir = tempfile::tempdir().unwrap();
    let mut all: Vec<Planted> = people();
    for (id, reference) in [("p1", 77), ("p2", 105), ("p3", 150), ("p5", 400), ("p6", 400)] {
        let at = all.iter().position(|p| p.id == id).unwrap();
        let one = all.remove(at).wears(&gsrn(reference));
        all.insert(at, one);
    }
    all.push(Planted::new(
        "p7",
        "Ito",
        "Ken",
        "44710932",
        "1990-01-01",
        Some("ICU"),
    ));
    let p = plant(dir.path(), &all);
    let ws = Workstation::open(&p.dir, options()).unwrap();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    (dir, ws)
}

fn ids(view: &ScanView) -> Vec<&str> {
    view.rows.iter().map(|r| r.patient.as_str()).collect()
}

#[test]
fn table_of_codes() {
    let (_dir, ws) = worn();
    assert_eq!(
        gsrn(105),
        gsrn(150).replace("150", "105"),
        "twins by the check digit"
    );
    let (mary, wei, shared, nobody) = (gsrn(77), gsrn(105), gsrn(400), gsrn(999));
    for (code, kind, found, said) in [
        (
            format!("]d28018{mary}"),
            ScanKind::Patient,
            vec!["p1"],
            "one patient",
        ),
        (
            format!("]C18018{mary}\u{1d}801907"),
            ScanKind::Patient,
            vec!["p1"],
            "one patient",
        ),
        (
            format!("8018{mary}"),
            ScanKind::Patient,
            vec!["p1"],
            "one patient",
        ),
        (
            format!("]d28018{wei}"),
            ScanKind::Compare,
            vec!["p2"],
            "changed about",
        ),
        (
            format!("]d28018{shared}"),
            ScanKind::Compare,
            vec!["p5", "p6"],
            "2 patients have this number",
        ),
        (
            format!("]d28018{nobody}"),
            ScanKind::NotHere,
            vec![],
            "No patient with this band among 7",
        ),
        (
            "]C0555001".to_owned(),
            ScanKind::Compare,
            vec!["p5"],
            "no check digit",
        ),
        (
            "555001".to_owned(),
            ScanKind::Compare,
            vec!["p5"],
            "no check digit",
        ),
        (
            "44710932".to_owned(),
            ScanKind::Compare,
            vec!["p1", "p7"],
            "2 patients have this number",
        ),
        (
            "5550".to_owned(),
            ScanKind::NotHere,
            vec![],
            "No patient with this code",
        ),
        (
            "]d20109521234543213".to_owned(),
            ScanKind::NotAPatient,
            vec![],
            "medicine",
        ),
        (format!("]d28017{mary}"), ScanKind::NotAPatient, vec![], "badge"),
        (
            format!("]d28018{}", &mary[..16]),
            ScanKind::Unread,
            vec![],
            "not whole",
        ),
        (
            format!("8018{mary}8018{wei}"),
            ScanKind::Unread,
            vec![],
            "not whole",
        ),
        (
            format!("]d28018{mary}\u{1d}8018{wei}"),
            ScanKind::Unread,
            vec![],
            "Two bands",
        ),
        ("%_*\" OR 1=1".to_owned(), ScanKind::NotHere, vec![], "No patient"),
        ("x".repeat(5_000), ScanKind::Unread, vec![], "More arrived"),
    ] {
        let view = block(ws.scan(&code)).unwrap();
        assert_eq!((view.kind, ids(&view)), (kind, found), "{code}");
        assert!(view.text.contains(said), "{code}: {}", view.text);
    }
    let view = block(ws.scan(&format!("]d28018{}", gsrn(105)))).unwrap();
    assert!(
        view.rows[0].restricted,
        "of another ward: only breaking the glass opens it"
    );
    // The same number typed is found as a band, and opens nothing by itself.
    let found = block(ws.search(&gsrn(77))).unwrap();
    assert_eq!(found.rows[0].patient, "p1");
    assert_eq!(found.rows[0].match_text.as_deref(), Some("band"));
}

#[test]
fn every_look_is_written_down_and_none_without_a_person() {
    let (_dir, ws) = worn();
    let before = block(ws.audit_list(0, 1_000)).unwrap().len();
    block(ws.scan(&format!("]d28018{}", gsrn(77)))).unwrap();
    let rows = block(ws.audit_list(0, 1_000)).unwrap();
    assert_eq!(rows.len(), before + 1);
    let text = rows.last().unwrap().body.clone();
    assert!(
        text.contains("p1") && text.contains(&gsrn(77)) && text.contains("band"),
        "{text}"
    );
    // What is no patient's code looks at nobody.
    block(ws.scan("]d20109521234543213")).unwrap();
    assert_eq!(block(ws.audit_list(0, 1_000)).unwrap().len(), before + 1);
    ws.lock();
    let refused = block(ws.scan(&format!("]d28018{}", gsrn(77))));
    assert!(matches!(refused, Err(EngineError::NotSignedIn)));
}

#[test]
fn in_an_emergency_the_band_is_enough_to_name_the_patient() {
    let (_dir, ws) = worn();
    ws.lock();
    let token = block(ws.identify("rao", pin("rao"))).unwrap();
    let view = block(ws.emergency_scan(&token, &format!("]d28018{}", gsrn(77)))).unwrap();
    assert_eq!((view.kind, ids(&view)), (ScanKind::Patient, vec!["p1"]));
}
