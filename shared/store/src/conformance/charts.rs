//! Cases about the record.

use super::hospital::{Hospital, Note, delete, key, note, pat, person, place, put};
use crate::{ChangeKind, ChangeOp, Precondition, StoreError, StoredResource};
use bytes::Bytes;
use vitrine_access::action::{ReadResource, WriteClinical};
use vitrine_clinical::ResourceKey;

async fn read(h: &Hospital, at: &str, patient: Option<&str>) -> Option<StoredResource> {
    let permit = h.client::<ReadResource>(patient);
    let sealed = h.store.read(&permit, &key(at)).await.expect("read");
    h.open(&permit, sealed).await
}

pub(super) async fn creates_updates_and_deletes(h: Hospital) {
    let first = note("p1", "allergy", "penicillin");
    let done = h.apply(vec![put("AllergyIntolerance/a", &first)]).await;
    let c = &done.changes[0];
    assert!(
        c.created && !c.unchanged && c.version == 1 && !done.duplicate,
        "{c:?}"
    );
    let r = read(&h, "AllergyIntolerance/a", Some("p1"))
        .await
        .expect("stored");
    assert_eq!(
        (r.body, r.patient, r.deleted),
        (first.bytes(), Some(pat("p1")), false),
        "bytes as received"
    );

    let again = h.apply(vec![put("AllergyIntolerance/a", &first)]).await;
    assert!(
        again.changes[0].unchanged && again.changes[0].version == 1,
        "the same bytes make no version"
    );
    assert_eq!(again.pos, done.pos, "and no feed row");

    let second = note("p1", "allergy", "latex");
    let done = h.apply(vec![put("AllergyIntolerance/a", &second)]).await;
    assert!(!done.changes[0].created && done.changes[0].version == 2);

    let gone = h.apply(vec![delete("AllergyIntolerance/a")]).await;
    assert_eq!(gone.changes[0].version, 3);
    let r = read(&h, "AllergyIntolerance/a", Some("p1"))
        .await
        .expect("marked");
    assert!(r.deleted && r.body.is_empty() && r.version == 3);
    let twice = h
        .apply(vec![delete("AllergyIntolerance/a"), delete("Flag/never")])
        .await;
    assert!(twice.changes.iter().all(|c| c.unchanged));
    assert_eq!((twice.changes[0].version, twice.changes[1].version), (3, 0));

    let back = h.apply(vec![put("AllergyIntolerance/a", &first)]).await;
    assert!(
        back.changes[0].created && back.changes[0].version == 4,
        "comes back as a new version"
    );
    assert!(
        h.store
            .lookup(&key("AllergyIntolerance/a"))
            .await
            .expect("lookup")
            .is_some_and(|(v, _)| v == 4)
    );
    assert!(
        h.store
            .lookup(&key("Flag/never"))
            .await
            .expect("lookup")
            .is_none()
    );
}

pub(super) async fn keeps_every_version(h: Hospital) {
    for n in 1..=5 {
        h.apply(vec![put(
            "Condition/c",
            &note("p1", "condition", &format!("text {n}")),
        )])
        .await;
    }
    h.apply(vec![delete("Condition/c")]).await;
    for n in 1..=7_u64 {
        let permit = h.client::<ReadResource>(Some("p1"));
        let sealed = h
            .store
            .vread(&permit, &key("Condition/c"), n)
            .await
            .expect("vread");
        let shown: Vec<_> = sealed.disclosure().resources.iter().map(|d| d.version).collect();
        let r = h.open(&permit, sealed).await;
        match n {
            1..=5 => {
                let r = r.expect("kept");
                assert_eq!(r.body, note("p1", "condition", &format!("text {n}")).bytes());
                assert_eq!(
                    (r.version, shown),
                    (n, vec![n]),
                    "the disclosure names the version shown"
                );
            }
            6 => assert!(r.expect("the deletion is a version").deleted),
            _ => assert!(r.is_none() && shown.is_empty()),
        }
    }
}

pub(super) async fn checks_preconditions(h: Hospital) {
    let with = |precondition, text: &str| ChangeOp {
        precondition,
        ..put("Flag/f", &note("p1", "flag", text))
    };
    let refused = |r: Result<crate::Applied, StoreError>, expected, found| match r {
        Err(StoreError::VersionConflict {
            expected: e,
            found: f,
            ..
        }) => assert_eq!((e, f), (expected, found)),
        other => panic!("expected a version conflict, got {other:?}"),
    };
    refused(
        h.try_apply(vec![with(Precondition::Version(1), "a")]).await,
        Some(1),
        None,
    );
    h.apply(vec![with(Precondition::Absent, "a")]).await;
    refused(
        h.try_apply(vec![with(Precondition::Absent, "b")]).await,
        None,
        Some(1),
    );
    refused(
        h.try_apply(vec![with(Precondition::Version(2), "b")]).await,
        Some(2),
        Some(1),
    );
    h.apply(vec![with(Precondition::Version(1), "b")]).await;
    h.apply(vec![ChangeOp {
        precondition: Precondition::Version(2),
        ..delete("Flag/f")
    }])
    .await;
    refused(
        h.try_apply(vec![with(Precondition::Version(3), "c")]).await,
        Some(3),
        None,
    );
    h.apply(vec![with(Precondition::Absent, "c")]).await;
}

pub(super) async fn applies_an_operation_once(h: Hospital) {
    let mut batch = h.batch(vec![
        put("Flag/f", &note("p1", "flag", "one")),
        delete("Flag/none"),
    ]);
    let (first, receipt) = h
        .store
        .apply(&h.client(None), batch.clone())
        .await
        .expect("applied");
    // Lost answer: the same operation comes again, later, and meanwhile others have written.
    h.apply(vec![put("Flag/f", &note("p1", "flag", "two"))]).await;
    batch.at = h.now();
    let (second, again) = h
        .store
        .apply(&h.client(None), batch.clone())
        .await
        .expect("answered");
    assert!(second.duplicate && !first.duplicate);
    assert_eq!(
        (&second.changes, second.pos),
        (&first.changes, first.pos),
        "answered as the first time"
    );
    assert!(
        again.seq() > receipt.seq(),
        "an access of its own has a row of its own"
    );
    assert_eq!(
        h.card("p1").await.expect("card"),
        ["two"],
        "and nothing was applied"
    );
    // What follows from the others is no part of what makes it the same.
    let derived = || ChangeOp {
        derived: true,
        ..put("Flag/d", &note("p1", "derived", "follows"))
    };
    batch.ops.push(derived());
    let (third, _) = h
        .store
        .apply(&h.client(None), batch.clone())
        .await
        .expect("answered");
    assert!(third.duplicate);
    assert_eq!(third.changes, first.changes);
    assert_eq!(h.card("p1").await.expect("card"), ["two"]);
    let mut other = batch.clone();
    other.op_id = uuid::Uuid::from_u128(0x5eed);
    other.ops = vec![put("Flag/g", &note("p1", "g", "with")), derived()];
    let (with, _) = h
        .store
        .apply(&h.client(None), other.clone())
        .await
        .expect("applied");
    assert_eq!((with.duplicate, with.changes.len()), (false, 2));
    other.ops.truncate(1);
    let (without, _) = h.store.apply(&h.client(None), other).await.expect("answered");
    assert!(without.duplicate);
    assert_eq!(without.changes[0], with.changes[0]);

    batch.ops = vec![put("Flag/f", &note("p1", "flag", "three"))];
    let reused = h.store.apply(&h.client(None), batch.clone()).await.map(|_| ());
    assert!(
        matches!(reused, Err(StoreError::OpReused(id)) if id == batch.op_id),
        "{reused:?}"
    );
}

pub(super) async fn applies_all_or_nothing(h: Hospital) {
    h.apply(vec![put("Flag/old", &note("p1", "flag", "old"))]).await;
    let before = (
        h.store.changes_since(0, None, 100).await.expect("feed"),
        h.card("p1").await,
    );
    let counts = h.store.counts().await.expect("counts").resources;
    let good = |n: u32| put(&format!("Flag/{n}"), &note("p1", "flag", "new"));
    let not_json = ChangeOp {
        kind: ChangeKind::Put(Bytes::from_static(b"{")),
        ..good(3)
    };
    let conflict = ChangeOp {
        precondition: Precondition::Version(9),
        ..good(3)
    };
    let bad_fact = put("Flag/3", &note("p1", "flag", "bad"));
    for last in [not_json, conflict, bad_fact] {
        let refused = h
            .try_apply(vec![delete("Flag/old"), good(1), good(2), last])
            .await;
        match refused {
            Err(StoreError::Unprojectable { .. } | StoreError::VersionConflict { .. }) => {}
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    assert_eq!(
        (
            h.store.changes_since(0, None, 100).await.expect("feed"),
            h.card("p1").await
        ),
        before
    );
    assert_eq!(h.store.counts().await.expect("counts").resources, counts);
    assert_eq!(h.store.revision(&pat("p1")).await.expect("revision"), 1);
}

pub(super) async fn refuses_another_patient(h: Hospital) {
    h.apply(vec![
        put("Flag/one", &note("p1", "flag", "of p1")),
        put(
            "Practitioner/doc",
            &Note {
                text: "doc".to_owned(),
                ..Note::default()
            },
        ),
    ])
    .await;
    let wrong = |r: Result<(), StoreError>| match r {
        Err(StoreError::WrongPatient(_)) => {}
        other => panic!("expected the refusal of another patient, got {other:?}"),
    };
    let of = |p: Option<&str>| h.client::<ReadResource>(p);
    wrong(h.store.read(&of(Some("p2")), &key("Flag/one")).await.map(|_| ()));
    wrong(
        h.store
            .vread(&of(Some("p2")), &key("Flag/one"), 1)
            .await
            .map(|_| ()),
    );
    wrong(h.store.read(&of(None), &key("Flag/one")).await.map(|_| ()));
    assert!(
        read(&h, "Practitioner/doc", None).await.is_some(),
        "what is nobody's is read without a patient"
    );
    assert!(read(&h, "Practitioner/doc", Some("p2")).await.is_some());
    for ops in [
        vec![put("Flag/two", &note("p1", "flag", "x"))],
        vec![put("Flag/one", &note("p2", "flag", "taken over"))],
        vec![delete("Flag/one")],
        vec![put(
            "Practitioner/doc",
            &Note {
                text: "other".to_owned(),
                ..Note::default()
            },
        )],
    ] {
        let permit = h.client::<WriteClinical>(Some("p2"));
        wrong(h.store.apply(&permit, h.batch(ops)).await.map(|_| ()));
    }
    let own = h.client::<WriteClinical>(Some("p1"));
    h.store
        .apply(&own, h.batch(vec![put("Flag/one", &note("p1", "flag", "ok"))]))
        .await
        .expect("one's own");
    let page = h
        .store
        .scope_page(&h.device(), "pat:p1", None, 1000)
        .await
        .map(|_| ());
    assert!(
        page.is_ok(),
        "a permit without a patient is the caller's decision: {page:?}"
    );
}

pub(super) async fn updates_the_card_with_the_resource(h: Hospital) {
    assert!(
        h.card("p1").await.is_none(),
        "not in the record is not an empty card"
    );
    assert_eq!(h.store.whereabouts(&pat("p1")).await.expect("where"), None);
    h.apply(vec![put(
        "AllergyIntolerance/a",
        &note("p1", "allergy", "penicillin"),
    )])
    .await;
    assert_eq!(h.card("p1").await.expect("card"), ["penicillin"]);
    assert_eq!(h.store.whereabouts(&pat("p1")).await.expect("where"), Some(None));
    let version = |h: &Hospital| {
        let (store, permit) = (h.store.clone(), h.client(Some("p1")));
        async move { store.card(&permit).await.expect("card").disclosure().resources[0].version }
    };
    let before = version(&h).await;
    h.apply(vec![put(
        "Observation/o",
        &Note {
            slot: None,
            ..note("p1", "", "no fact")
        },
    )])
    .await;
    assert_eq!(
        version(&h).await,
        before,
        "the card's version grows only when its bytes change"
    );
    h.apply(vec![
        place("p1", Some("ED"), &[]),
        put("Condition/c", &note("p1", "condition", "asthma")),
    ])
    .await;
    assert_eq!(
        h.card("p1").await.expect("card"),
        ["asthma", "penicillin", "place"]
    );
    assert_eq!(version(&h).await, before + 1, "one new version for the batch");
    let ward = h
        .store
        .whereabouts(&pat("p1"))
        .await
        .expect("where")
        .expect("known")
        .expect("in a ward");
    assert_eq!(ward.as_str(), "ED");
    h.apply(vec![delete("AllergyIntolerance/a")]).await;
    assert_eq!(h.card("p1").await.expect("card"), ["asthma", "place"]);
}

pub(super) async fn keeps_the_newest_facts_of_a_slot(h: Hospital) {
    let lab = |n: i64, keep| Note {
        order: n,
        keep,
        ..note("p1", "lab:K", &format!("K {n}"))
    };
    for n in [5, 1, 9, 3] {
        h.apply(vec![put(&format!("Observation/{n}"), &lab(n, 2))]).await;
    }
    assert_eq!(h.card("p1").await.expect("card"), ["K 5", "K 9"]);
    h.apply(vec![delete("Observation/9")]).await;
    assert_eq!(
        h.card("p1").await.expect("card"),
        ["K 3", "K 5"],
        "an older one moves up"
    );
    h.apply(vec![put("Observation/1", &lab(7, 2))]).await;
    assert_eq!(h.card("p1").await.expect("card"), ["K 5", "K 7"]);
    h.apply(vec![put("Observation/8", &lab(8, 1))]).await;
    assert_eq!(
        h.card("p1").await.expect("card"),
        ["K 8"],
        "the newest says how many"
    );
    // The same order: the one created later is the newer.
    h.apply(vec![put(
        "Observation/8b",
        &Note {
            text: "K again".to_owned(),
            ..lab(8, 1)
        },
    )])
    .await;
    assert_eq!(h.card("p1").await.expect("card"), ["K again"]);
}

pub(super) async fn projects_dependents_again(h: Hospital) {
    let medication = |text: &str| {
        put(
            "Medication/m",
            &Note {
                text: text.to_owned(),
                ..Note::default()
            },
        )
    };
    let order = |p: &str| {
        let n = Note {
            from: Some("Medication/m".to_owned()),
            ..note(p, "medication", "take")
        };
        put(&format!("MedicationRequest/{p}"), &n)
    };
    h.apply(vec![order("p1")]).await;
    assert_eq!(
        h.card("p1").await.expect("card"),
        ["take"],
        "what is referred to is not here yet"
    );
    h.apply(vec![medication("warfarin")]).await;
    assert_eq!(h.card("p1").await.expect("card"), ["take warfarin"]);
    h.apply(vec![order("p2"), medication("heparin")]).await;
    assert_eq!(h.card("p1").await.expect("card"), ["take heparin"]);
    assert_eq!(
        h.card("p2").await.expect("card"),
        ["take heparin"],
        "also within one batch, in any order"
    );
    // An extract made by the caller before the medication changed is not used.
    let stale = {
        let op = order("p3");
        let ChangeKind::Put(body) = &op.kind else {
            unreachable!("a put")
        };
        let mut lookup = |_: &ResourceKey| {
            Some((
                1,
                Note {
                    text: "old".to_owned(),
                    ..Note::default()
                }
                .bytes()
                .to_vec(),
            ))
        };
        let extract =
            crate::Projector::extract(&super::NoteProjector, &op.key, body, &mut lookup).expect("extract");
        ChangeOp {
            extract: Some(extract),
            ..op
        }
    };
    h.apply(vec![stale]).await;
    assert_eq!(h.card("p3").await.expect("card"), ["take heparin"]);
    h.apply(vec![delete("Medication/m")]).await;
    for p in ["p1", "p2", "p3"] {
        assert_eq!(h.card(p).await.expect("card"), ["take"]);
    }
    h.apply(vec![medication("again")]).await;
    assert_eq!(h.card("p1").await.expect("card"), ["take again"]);
}

pub(super) async fn a_patient_is_not_deleted_from_a_record(h: Hospital) {
    let refused = |r: Result<_, StoreError>, at: usize| match r {
        Err(StoreError::NotEmpty { index, patient }) => assert_eq!((index, patient), (at, pat("p1"))),
        other => panic!("{other:?}"),
    };
    h.apply(vec![
        person("p1", "ann", "1980", "1"),
        put("AllergyIntolerance/a", &note("p1", "allergy", "latex")),
        put("Flag/f", &note("p1", "flag", "falls")),
    ])
    .await;
    refused(h.try_apply(vec![delete("Patient/p1")]).await, 0);
    // With a part of it; and beside what comes in the same batch.
    refused(h.try_apply(vec![delete("Flag/f"), delete("Patient/p1")]).await, 1);
    let comes = put("Flag/g", &note("p1", "flag", "new"));
    let all = ["Patient/p1", "AllergyIntolerance/a", "Flag/f"].map(delete);
    let mut with_more = all.to_vec();
    with_more.push(comes);
    refused(h.try_apply(with_more).await, 0);
    // Nothing of these was done.
    for at in ["Patient/p1", "AllergyIntolerance/a", "Flag/f"] {
        assert!(!read(&h, at, Some("p1")).await.expect("there").deleted, "{at}");
    }
    assert!(read(&h, "Flag/g", Some("p1")).await.is_none());
    assert!(h.card("p1").await.is_some());
    // What is there already at the moment of the deletion counts, whoever looked before.
    let (deleted, written) = tokio::join!(
        h.try_apply(all.to_vec()),
        h.try_apply(vec![put("Flag/late", &note("p1", "flag", "late"))])
    );
    written.expect("it is written, before or after");
    let gone = read(&h, "Patient/p1", Some("p1")).await.expect("known").deleted;
    assert_eq!(deleted.is_ok(), gone);
    // Again is no fault.
    if gone {
        h.apply(vec![delete("Patient/p1")]).await;
    }
    // Somebody with nothing in the record.
    h.apply(vec![person("p2", "bob", "1981", "2")]).await;
    h.apply(vec![delete("Patient/p2")]).await;
}

pub(super) async fn removes_the_card_with_the_last_resource(h: Hospital) {
    h.apply(vec![
        person("p1", "ann", "1980", "1"),
        place("p1", Some("ED"), &["ICU"]),
    ])
    .await;
    h.apply(vec![delete("Patient/p1"), delete("Encounter/p1-stay")])
        .await;
    assert!(h.card("p1").await.is_none());
    assert_eq!(h.store.whereabouts(&pat("p1")).await.expect("where"), None);
    for scope in ["ess:site", "ess:ED", "ess:ICU", "board:ED", "pat:p1"] {
        assert!(
            h.store.scope_refs(scope).await.expect("refs").0.is_empty(),
            "{scope}"
        );
        let feed = h.store.changes_since(0, Some(scope), 100).await.expect("feed");
        assert!(feed.rows.last().expect("rows").tomb, "{scope}");
    }
    let before = h
        .store
        .changes_since(0, Some("ess:site"), 100)
        .await
        .expect("feed")
        .rows;
    h.apply(vec![person("p1", "ann", "1980", "1")]).await;
    let rows = h
        .store
        .changes_since(0, Some("ess:site"), 100)
        .await
        .expect("feed")
        .rows;
    let last = rows.last().expect("a row");
    assert_eq!(last.prev, 0, "it was not in the scope");
    assert!(
        last.ver > before.last().expect("a row").prev,
        "versions go on growing"
    );
}

pub(super) async fn moves_a_resource_to_another_patient(h: Hospital) {
    h.apply(vec![
        person("p1", "ann", "1980", "1"),
        person("p2", "bob", "1981", "2"),
    ])
    .await;
    h.apply(vec![put("Condition/c", &note("p1", "condition", "asthma"))])
        .await;
    h.apply(vec![put("Condition/c", &note("p2", "condition", "asthma"))])
        .await;
    assert_eq!(h.card("p1").await.expect("card"), ["ann"]);
    assert_eq!(h.card("p2").await.expect("card"), ["asthma", "bob"]);
    let rows = h
        .store
        .changes_since(0, Some("pat:p1"), 100)
        .await
        .expect("feed")
        .rows;
    let last = rows.last().expect("a row");
    assert!(
        last.tomb && last.key == "Condition/c" && (last.prev, last.ver) == (2, 3),
        "{last:?}"
    );
    let rows = h
        .store
        .changes_since(0, Some("pat:p2"), 100)
        .await
        .expect("feed")
        .rows;
    assert_eq!(
        (rows.len(), rows[1].prev, rows[1].ver, rows[1].tomb),
        (2, 1, 2, false)
    );
    assert!(
        h.store
            .items("pat:p1", &["Condition/c".to_owned()])
            .await
            .expect("items")
            .is_empty()
    );
    assert_eq!(h.store.scope_refs("pat:p2").await.expect("refs").0.len(), 2);
    h.apply(vec![put("Condition/c", &note("p2", "condition", "eczema"))])
        .await;
    assert_eq!(h.store.revision(&pat("p1")).await.expect("rev"), 3);
    assert_eq!(h.store.revision(&pat("p2")).await.expect("rev"), 3);
}
