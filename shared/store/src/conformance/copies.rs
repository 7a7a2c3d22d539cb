//! Cases about copies of the originals of images: their rows, what is due, what a destroyed record leaves.

use super::hospital::Hospital;
use super::imaging::image;
use crate::copies::{Again, CopyDone, CopyFile, CopyReport, CopyRow, CopyState, LOCAL, NEVER, Sum, Which};
use vitrine_clinical::UtcMs;

const NOW: UtcMs = UtcMs(1_000_000);

fn sum(n: u8) -> Sum {
    Sum {
        bytes: 2_000 + u64::from(n),
        sha256: [n; 32],
    }
}

/// A row as it stands after a look at it.
fn looked(row: &CopyRow, state: CopyState, due: UtcMs) -> CopyDone {
    CopyDone {
        no: row.no,
        file: row.file,
        was: row.state,
        state,
        at: NOW,
        due,
        tries: 0,
        sum: None,
        why: None,
    }
}

impl Hospital {
    async fn targets(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        self.store.copy_targets(&names).await.expect("targets");
    }

    async fn due_at(&self, target: &str, which: Which, now: UtcMs) -> Vec<CopyRow> {
        self.store
            .copies_due(target, which, now, 100)
            .await
            .expect("due rows")
    }

    /// UIDs of what is due.
    async fn uids(&self, target: &str, which: Which, now: UtcMs) -> Vec<String> {
        let rows = self.due_at(target, which, now).await.into_iter();
        rows.map(|r| r.of.map_or_else(|| "-".to_owned(), |o| o.uid))
            .collect()
    }

    async fn noted(&self, done: CopyDone) -> bool {
        self.store.copies_done(done).await.expect("noted")
    }

    /// The original of this UID was found whole.
    async fn whole(&self, uid: &str, n: u8, due: UtcMs) {
        let rows = self.store.copies_of(uid).await.expect("rows");
        let row = rows
            .iter()
            .find(|r| r.target == LOCAL)
            .expect("the row of the original");
        let mut done = looked(row, CopyState::Verified, due);
        done.sum = Some(sum(n));
        assert!(self.noted(done).await);
    }

    async fn at(&self, uid: &str, target: &str) -> CopyRow {
        let rows = self.store.copies_of(uid).await.expect("rows");
        rows.into_iter().find(|r| r.target == target).expect("a row")
    }

    async fn report(&self) -> CopyReport {
        self.store.copies_report().await.expect("a report")
    }
}

pub(super) async fn lists_originals_for_every_target(h: Hospital) {
    h.file(vec![
        image("p1", 1, 1, 1),
        image("p1", 1, 1, 2),
        image("p2", 2, 1, 1),
    ])
    .await
    .expect("filed");
    assert_eq!(h.report().await.unlisted, 3);
    assert_eq!(h.store.copies_list(2, NOW).await.expect("listed"), 2);
    assert_eq!(h.store.copies_list(9, NOW).await.expect("listed"), 1);
    assert_eq!(h.store.copies_list(9, NOW).await.expect("listed"), 0, "once each");
    let all = ["1.2.1.1.1", "1.2.1.1.2", "1.2.2.1.1"];
    assert_eq!(h.uids(LOCAL, Which::Work, NOW).await, all);
    assert!(
        h.due_at(LOCAL, Which::Work, UtcMs(NOW.0 - 1)).await.is_empty(),
        "not yet"
    );
    assert!(h.due_at(LOCAL, Which::Scrub, NEVER).await.is_empty());

    h.targets(&["east"]).await;
    assert_eq!(h.report().await.unlisted, 3, "a new target has none of them");
    assert_eq!(h.store.copies_list(9, NOW).await.expect("listed"), 3);
    h.targets(&["east"]).await;
    assert_eq!(h.report().await.unlisted, 0, "it is not new again");
    assert_eq!(h.uids(LOCAL, Which::Work, NOW).await, all, "one row of each");
    assert!(
        h.due_at("east", Which::Work, NOW).await.is_empty(),
        "no original was found whole yet"
    );
    h.whole("1.2.1.1.2", 2, NEVER).await;
    let rows = h.due_at("east", Which::Work, NOW).await;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let new = image("p1", 1, 1, 2);
    let of = row.of.as_ref().expect("its original");
    assert_eq!(
        (of.patient.as_str(), of.uid.as_str(), &of.blob),
        ("p1", "1.2.1.1.2", &new.blob),
        "with the key of its file"
    );
    assert_eq!(row.file, CopyFile::of(&new.blob));
    assert_eq!((row.state, row.at, row.tries), (CopyState::Pending, None, 0));
    assert_eq!((row.sum, row.original), (None, Some(sum(2))));

    // A target that is given up keeps its rows and gets no new ones; when it comes back it gets what it lacks.
    h.targets(&["west"]).await;
    h.file(vec![image("p2", 2, 1, 2)]).await.expect("filed");
    while h.store.copies_list(2, NOW).await.expect("listed") > 0 {}
    let report = h.report().await;
    for (target, rows) in [("east", 3), ("west", 4)] {
        assert_eq!(report.rows(target, CopyState::Pending), rows, "{target}");
    }
    assert_eq!(report.rows(LOCAL, CopyState::Pending), 3);
    assert_eq!(report.rows(LOCAL, CopyState::Verified), 1);
    h.targets(&["east", "west"]).await;
    while h.store.copies_list(2, NOW).await.expect("listed") > 0 {}
    let report = h.report().await;
    for target in ["east", "west"] {
        assert_eq!(report.rows(target, CopyState::Pending), 4, "{target}");
    }
    assert_eq!((report.lost, report.unlisted), (0, 0));

    let mark = |name: &'static str, mark: Option<&'static str>| {
        let store = h.store.clone();
        async move { store.copy_target_mark(name, mark).await.expect("a mark") }
    };
    assert_eq!(mark("east", None).await, None);
    assert_eq!(mark("east", Some("m1")).await.as_deref(), Some("m1"));
    assert_eq!(
        mark("east", Some("m2")).await.as_deref(),
        Some("m1"),
        "the first stays"
    );
    assert_eq!(mark("east", None).await.as_deref(), Some("m1"));
    assert_eq!(mark("west", None).await, None);
    assert_eq!(mark("north", Some("m3")).await, None, "no such target");
}

pub(super) async fn notes_how_copies_stand(h: Hospital) {
    h.targets(&["east"]).await;
    h.file(vec![image("p1", 1, 1, 1), image("p1", 1, 1, 2)])
        .await
        .expect("filed");
    h.store.copies_list(9, NOW).await.expect("listed");
    let (a, b) = ("1.2.1.1.1", "1.2.1.1.2");
    let later = UtcMs(NOW.0 + 500);
    h.whole(a, 1, later).await;
    h.whole(b, 2, UtcMs(later.0 + 1)).await;
    assert_eq!(h.uids(LOCAL, Which::Scrub, later).await, [a]);
    assert_eq!(
        h.uids(LOCAL, Which::Scrub, NEVER).await,
        [a, b],
        "the longest due first"
    );
    assert!(h.due_at(LOCAL, Which::Work, NEVER).await.is_empty());

    // What fails says why and waits; what is known of the file stays known.
    let failed = CopyDone {
        tries: 3,
        why: Some("no route".to_owned()),
        ..looked(&h.at(a, "east").await, CopyState::Failed, later)
    };
    assert!(h.noted(failed.clone()).await);
    let row = h.at(a, "east").await;
    assert_eq!(
        (row.state, row.tries, row.why.as_deref(), row.at, row.due, row.sum),
        (CopyState::Failed, 3, Some("no route"), Some(NOW), later, None)
    );
    assert_eq!(h.uids("east", Which::Work, NOW).await, [b]);
    let mut damaged = looked(&h.at(a, LOCAL).await, CopyState::Damaged, later);
    damaged.tries = 1;
    assert!(h.noted(damaged).await);
    let row = h.at(a, LOCAL).await;
    assert_eq!((row.sum, row.original), (Some(sum(1)), Some(sum(1))));
    let names = |rows: Vec<CopyRow>| -> Vec<(String, String)> {
        let name = |r: CopyRow| (r.target, r.of.map_or_else(String::new, |o| o.uid));
        let mut out: Vec<_> = rows.into_iter().map(name).collect();
        out.sort();
        out
    };
    let faulty = h.store.copies_faulty(10).await.expect("faulty");
    assert_eq!(
        names(faulty),
        [
            ("east".to_owned(), a.to_owned()),
            (LOCAL.to_owned(), a.to_owned())
        ]
    );
    assert_eq!(h.store.copies_faulty(1).await.expect("faulty").len(), 1);
    assert_eq!(h.report().await.lost, 1, "no other place has it");
    let mut there = looked(&h.at(a, "east").await, CopyState::Verified, later);
    there.sum = Some(sum(1));
    assert!(h.noted(there).await);
    assert_eq!(h.report().await.lost, 0);
    assert_eq!(h.report().await.rows(LOCAL, CopyState::Damaged), 1);

    // Before its time.
    let again = |which: Again| {
        let store = h.store.clone();
        async move { store.copies_again(which, NOW).await.expect("again") }
    };
    assert_eq!(
        again(Again::Original(a.to_owned())).await,
        1,
        "though it is damaged"
    );
    assert_eq!(h.uids(LOCAL, Which::Work, NOW).await, [a]);
    assert_eq!(again(Again::Original("1.2.9".to_owned())).await, 0);
    let last = h.store.copies_last().await.expect("last");
    let newest = [h.at(a, "east").await.no, h.at(b, LOCAL).await.no]
        .into_iter()
        .max();
    let newest = newest.expect("two");
    assert!(newest <= last && last < NEVER.0.unsigned_abs());
    assert_eq!(
        again(Again::Verified(newest - 1, last)).await,
        1,
        "no more than asked"
    );
    assert_eq!(
        again(Again::Verified(0, newest - 1)).await,
        1,
        "what is verified and not due"
    );
    assert_eq!(h.uids(LOCAL, Which::Scrub, NOW).await, [b]);
    assert_eq!(h.uids("east", Which::Scrub, NOW).await, [a]);
    assert_eq!(again(Again::Verified(0, last)).await, 0);
    // A clock that ran ahead noted when it was looked at: it is looked at all the same.
    let mut ahead = looked(&h.at(b, LOCAL).await, CopyState::Verified, later);
    ahead.at = UtcMs(NOW.0 + 1_000_000);
    assert!(h.noted(ahead).await);
    for (by, waits) in [(NOW, 0), (later, 1)] {
        let counted = h.store.copies_waiting(LOCAL, by).await;
        assert_eq!(counted.expect("counted"), waits);
    }
    assert_eq!(again(Again::Verified(0, last)).await, 1);
    let mut stale = looked(&h.at(b, LOCAL).await, CopyState::Damaged, later);
    stale.was = CopyState::Pending;
    assert!(!h.noted(stale).await, "somebody else noted it meanwhile");
    let mut failed = looked(&h.at(b, "east").await, CopyState::Failed, later);
    failed.tries = 1;
    assert!(h.noted(failed).await);
    assert_eq!(again(Again::Failed("west".to_owned())).await, 0);
    assert_eq!(again(Again::Failed("east".to_owned())).await, 1);
    assert_eq!(h.uids("east", Which::Work, NOW).await, [b]);

    for (target, waits) in [("east", 1), (LOCAL, 1), ("west", 0)] {
        let counted = h.store.copies_waiting(target, NOW).await;
        assert_eq!(counted.expect("counted"), waits, "{target}");
    }
    // What left the server's own folder needs nothing.
    assert!(
        h.noted(looked(&h.at(b, LOCAL).await, CopyState::Away, NEVER))
            .await
    );
    assert_eq!(
        again(Again::Original(b.to_owned())).await,
        1,
        "it may be here all the same"
    );
    assert_eq!(h.report().await.lost, 1, "away, and the only other copy failed");
    assert_eq!(
        h.at(b, "east").await.original,
        Some(sum(2)),
        "it is still known what it must be"
    );
    let mut there = looked(&h.at(b, "east").await, CopyState::Verified, later);
    there.sum = Some(sum(2));
    assert!(h.noted(there).await);
    assert_eq!(h.report().await.lost, 0);
    h.targets(&["north"]).await;
    assert_eq!(h.report().await.lost, 2, "no target that is still named has them");
    let unknown = CopyDone {
        no: 999_999,
        ..failed_of(&h.at(b, LOCAL).await)
    };
    assert!(!h.noted(unknown).await);
    let mut late = failed_of(&h.at(b, LOCAL).await);
    late.file.mark = [0xff; 4];
    assert!(!h.noted(late).await, "a row of another file");
}

fn failed_of(row: &CopyRow) -> CopyDone {
    looked(row, CopyState::Failed, NOW)
}

pub(super) async fn copies_of_a_destroyed_record_are_to_go(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    h.targets(&["east"]).await;
    h.file(vec![image("p1", 1, 1, 1), image("p2", 2, 1, 1)])
        .await
        .expect("filed");
    h.store.copies_list(9, NOW).await.expect("listed");
    h.whole("1.2.1.1.1", 1, NEVER).await;
    let row = h.at("1.2.1.1.1", "east").await;
    let id = h.ask("p1", "ann").await.expect("asked");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    h.carry_out("p1", id).await.expect("destroyed");

    assert!(h.store.copies_of("1.2.1.1.1").await.expect("rows").is_empty());
    let mut verified = looked(&row, CopyState::Verified, NEVER);
    verified.sum = Some(sum(1));
    assert!(!h.noted(verified).await, "copied too late");
    for target in [LOCAL, "east"] {
        let due = h.due_at(target, Which::Work, NOW).await;
        let leaving: Vec<&CopyRow> = due.iter().filter(|r| r.state == CopyState::Leaving).collect();
        let [gone] = leaving[..] else {
            panic!("{target}: {due:?}")
        };
        assert_eq!(gone.of, None, "{target}");
        assert_eq!(gone.file, row.file, "{target}: its file is still known by name");
        // A target that refuses: it stays, and is named.
        let mut refused = looked(gone, CopyState::Leaving, UtcMs(NOW.0 + 9));
        refused.tries = 1;
        refused.why = Some("refused".to_owned());
        assert!(h.noted(refused).await);
        let faulty = h.store.copies_faulty(10).await.expect("faulty");
        assert_eq!(faulty.len(), 1, "{target}: {faulty:?}");
        assert_eq!(
            h.uids(target, Which::Work, UtcMs(NOW.0 + 9))
                .await
                .last()
                .map(String::as_str),
            Some("-")
        );
        h.store.copies_left(gone.no, gone.file).await.expect("gone");
        assert_eq!(h.report().await.rows(target, CopyState::Leaving), 0);
    }
    let other = h.at("1.2.2.1.1", "east").await;
    h.store.copies_left(other.no, other.file).await.expect("nothing");
    assert_eq!(
        h.at("1.2.2.1.1", "east").await,
        other,
        "only what is leaving goes"
    );
    assert!(
        !h.noted(looked(&other, CopyState::Leaving, NOW)).await,
        "its record was not destroyed"
    );
}
