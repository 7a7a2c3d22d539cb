//! Cases about paging a chart, finding patients and identifiers, and what is counted.

use super::hospital::{Hospital, Note, delete, key, note, person, put};
use crate::held::HeldChange;
use crate::search::{PersonWords, matches_names, matches_phonetic, terms};
use crate::{Page, PersonRow, QuarantineItem, SearchBy, SearchQuery, StoreError};
use bytes::Bytes;
use std::collections::BTreeSet;
use vitrine_access::action::{ReadChart, ReadResource, SearchPatients};
use vitrine_clinical::{PatientId, ResourceKey};

pub(super) async fn pages_everything_completely(h: Hospital) {
    let mut ops = vec![person("p1", "ann", "1980", "1")];
    for n in 0..60 {
        let kind = ["Observation", "Condition", "Encounter"][n % 3];
        ops.push(put(
            &format!("{kind}/{n}"),
            &Note {
                slot: None,
                ..note("p1", "", &n.to_string())
            },
        ));
    }
    ops.push(put("Condition/other", &note("p2", "condition", "not hers")));
    h.apply(ops).await;
    h.apply(vec![delete("Condition/1")]).await;
    let mut seen: Vec<ResourceKey> = Vec::new();
    let mut after = None;
    loop {
        let permit = h.client::<ReadChart>(Some("p1"));
        let page = Page {
            after: after.clone(),
            limit: 7,
        };
        let sealed = h.store.everything(&permit, page).await.expect("page");
        let shown = sealed.disclosure().clone();
        let page = h.open(&permit, sealed).await;
        assert_eq!(page.total, if seen.len() >= 14 { 61 } else { 60 });
        assert_eq!(
            shown.resources.len(),
            page.resources.len(),
            "the disclosure lists what is shown"
        );
        seen.extend(page.resources.iter().map(|r| r.key.clone()));
        after = page.next;
        if after.is_none() {
            break;
        }
        if seen.len() == 14 {
            // A change meanwhile neither hides nor repeats what was there when the reading began.
            let changed = Note {
                slot: None,
                ..note("p1", "", "changed")
            };
            h.apply(vec![
                put("Observation/0", &changed),
                put("Observation/new", &changed),
            ])
            .await;
        }
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "nothing twice");
    let expected = (0..60).filter(|n| *n != 1).map(|n| {
        key(&format!(
            "{}/{n}",
            ["Observation", "Condition", "Encounter"][n % 3]
        ))
    });
    assert!(expected.clone().all(|k| unique.contains(&k)), "nothing missing");
    let essential = |k: &ResourceKey| ["Patient", "Condition"].contains(&k.kind.as_str());
    let first_other = seen.iter().position(|k| !essential(k)).expect("others");
    assert!(
        seen[first_other..].iter().all(|k| !essential(k)),
        "essential types come first"
    );
    let conditions: Vec<u32> = seen
        .iter()
        .filter(|k| k.kind.as_str() == "Condition")
        .map(|k| k.id.as_str().parse().expect("a number"))
        .collect();
    assert!(
        conditions.is_sorted_by(|a, b| a > b),
        "newest first: {conditions:?}"
    );
    let odd = Page {
        after: Some("x".to_owned()),
        limit: 7,
    };
    let refused = h.store.everything(&h.client(Some("p1")), odd).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let permit = h.client::<ReadChart>(Some("nobody"));
    let none = h
        .store
        .everything(
            &permit,
            Page {
                after: None,
                limit: 7,
            },
        )
        .await
        .expect("page");
    let none = h.open(&permit, none).await;
    assert!(none.resources.is_empty() && none.next.is_none() && none.total == 0);
}

pub(super) async fn reads_by_type(h: Hospital) {
    let mut ops = vec![person("p1", "ann", "1980", "1"), person("p2", "ben", "1981", "2")];
    for n in 0..30 {
        let kind = ["Observation", "Condition"][n % 2];
        let of = if n % 5 == 0 { "p2" } else { "p1" };
        ops.push(put(
            &format!("{kind}/{n}"),
            &Note {
                slot: None,
                ..note(of, "", &n.to_string())
            },
        ));
        ops.push(put(&format!("Practitioner/{n}"), &Note::default()));
    }
    h.apply(ops).await;
    h.apply(vec![delete("Observation/6"), delete("Practitioner/9")])
        .await;
    let mut seen: Vec<u32> = Vec::new();
    let mut below = u64::MAX;
    loop {
        let permit = h.client::<ReadChart>(Some("p1"));
        let sealed = h
            .store
            .of_kind(&permit, "Observation", below, 4)
            .await
            .expect("a stretch");
        let shown = sealed.disclosure().clone();
        let page = h.open(&permit, sealed).await;
        assert_eq!(shown.resources.len(), page.resources.len());
        for (number, r) in &page.resources {
            assert!(*number < below, "numbers fall");
            below = *number;
            assert_eq!(
                r.patient.as_ref().map(vitrine_clinical::PatientId::as_str),
                Some("p1")
            );
            seen.push(r.key.id.as_str().parse().expect("a number"));
        }
        if seen.len() == 4 {
            // What is changed keeps its place, what comes new comes before all of them.
            let changed = Note {
                slot: None,
                ..note("p1", "", "changed")
            };
            h.apply(vec![
                put("Observation/2", &changed),
                put("Observation/99", &changed),
            ])
            .await;
        }
        match page.next {
            Some(next) => assert_eq!(next, below),
            None => break,
        }
    }
    let expected: Vec<u32> = (0..30)
        .rev()
        .filter(|n| n % 2 == 0 && n % 5 != 0 && *n != 6)
        .collect();
    assert_eq!(seen, expected, "newest first, nothing twice, nothing of others");
    let permit = h.client::<ReadResource>(None);
    let sealed = h
        .store
        .of_nobody(&permit, "Practitioner", u64::MAX, 100)
        .await
        .expect("a stretch");
    let page = h.open(&permit, sealed).await;
    assert_eq!((page.resources.len(), page.next), (29, None));
    // What is a patient's is nobody else's.
    for kind in ["Observation", "Patient"] {
        let permit = h.client::<ReadResource>(None);
        let sealed = h
            .store
            .of_nobody(&permit, kind, u64::MAX, 100)
            .await
            .expect("a stretch");
        assert!(h.open(&permit, sealed).await.resources.is_empty());
    }
    for (who, kind) in [("nobody", "Observation"), ("p1", "Encounter")] {
        let permit = h.client::<ReadChart>(Some(who));
        let sealed = h
            .store
            .of_kind(&permit, kind, u64::MAX, 5)
            .await
            .expect("a stretch");
        assert_eq!(h.open(&permit, sealed).await, crate::KindPage::default());
    }
}

pub(super) async fn finds_identifiers(h: Hospital) {
    let with = |at: &str, ids: &[(&str, &str)]| {
        let identifiers = ids
            .iter()
            .map(|(s, v)| ((*s).to_owned(), (*v).to_owned()))
            .collect();
        put(
            at,
            &Note {
                identifiers,
                ..Note::default()
            },
        )
    };
    h.apply(vec![
        with("Practitioner/a", &[("npi", "1"), ("hr", "1")]),
        with("Practitioner/b", &[("npi", "2")]),
        with("Practitioner/c", &[("hr", "2")]),
        with("Practitioner/d", &[("x", "2")]),
        with("Organization/a", &[("npi", "1")]),
    ])
    .await;
    let find = |kind: &'static str, system: Option<&'static str>, value: &'static str| {
        let store = h.store.clone();
        async move { store.by_identifier(kind, system, value).await.expect("found") }
    };
    assert_eq!(
        find("Practitioner", Some("npi"), "1").await,
        [key("Practitioner/a")]
    );
    assert_eq!(
        find("Practitioner", None, "1").await,
        [key("Practitioner/a")],
        "once, though two of its identifiers fit"
    );
    assert_eq!(
        find("Practitioner", None, "2").await.len(),
        2,
        "two are enough to know that it is not unique"
    );
    assert!(find("Practitioner", Some("npi"), "3").await.is_empty());
    h.apply(vec![
        with("Practitioner/a", &[("npi", "9")]),
        delete("Practitioner/b"),
    ])
    .await;
    assert!(find("Practitioner", Some("npi"), "1").await.is_empty());
    assert!(find("Practitioner", Some("npi"), "2").await.is_empty());
    assert_eq!(
        find("Practitioner", Some("npi"), "9").await,
        [key("Practitioner/a")]
    );
    assert_eq!(
        h.store.owner(&key("Practitioner/a")).await.expect("owner"),
        Some(None)
    );
    assert_eq!(h.store.owner(&key("Practitioner/z")).await.expect("owner"), None);
}

pub(super) async fn finds_patients(h: Hospital) {
    h.apply(vec![
        person("p1", "Li Wei", "1949-05-03", "MRN-001"),
        person("p2", "Lindström Åsa", "1980-12-24", "MRN-002"),
        person("p3", "O'Brien Zoë-Mae", "1980-02-01", "MRN-003"),
        person("p4", "Ng Đức", "2001-01-01", "MRN-004"),
        put("Condition/c", &note("ghost", "condition", "no Patient resource")),
    ])
    .await;
    let search = |text: &'static str, limit: usize| {
        let h = &h;
        async move {
            let permit = h.client::<SearchPatients>(None);
            let query = SearchQuery {
                text: text.to_owned(),
                by: SearchBy::Words,
                limit,
            };
            let sealed = h.store.search(&permit, &query).await.expect("search");
            let shown: BTreeSet<String> = sealed
                .disclosure()
                .patients
                .iter()
                .map(ToString::to_string)
                .collect();
            let hits = h.open(&permit, sealed).await;
            assert_eq!(hits.of, 4);
            let ids: Vec<String> = hits.hits.iter().map(|x| x.patient.to_string()).collect();
            assert_eq!(
                shown,
                ids.iter().cloned().collect(),
                "the row names every patient shown"
            );
            assert!(hits.hits.iter().all(|x| x.version >= 1 && !x.card.is_empty()));
            (ids, hits.more)
        }
    };
    for (text, expected) in [
        ("Li", &["p1", "p2"][..]),
        ("l", &["p1", "p2"]),
        ("Ng", &["p4"]),
        ("duc", &["p4"]),
        ("lindstrom", &["p2"]),
        ("LINDSTRÖM asa", &["p2"]),
        ("obrien", &["p3"]),
        ("O'Brien", &["p3"]),
        ("mae", &["p3"]),
        ("mrn-002", &["p2"]),
        ("MRN002", &["p2"]),
        ("1949-05-03", &["p1"]),
        ("3.5.1949", &["p1"]),
        ("1980", &["p2", "p3"]),
        ("li 1949", &["p1"]),
        ("li 1980", &["p2"]),
        ("brien li", &[]),
        ("mrn", &[]),
        ("\" OR names:*", &[]),
        ("", &[]),
        ("  - ", &[]),
    ] {
        let (mut ids, more) = search(text, 10).await;
        ids.sort();
        assert_eq!(ids, expected, "search for {text:?}");
        assert!(!more);
    }
    let (ids, more) = search("li", 1).await;
    assert_eq!(
        (ids, more),
        (vec!["p1".to_owned()], true),
        "the whole name comes before the longer one"
    );
    h.apply(vec![
        person("p1", "Renamed", "1949-05-03", "MRN-001"),
        delete("Patient/p4"),
    ])
    .await;
    h.apply(vec![person("p4", "Ng", "2001-01-01", "MRN-004")]).await;
    assert_eq!(
        search("wei", 10).await.0,
        Vec::<String>::new(),
        "an old name is not found"
    );
    assert_eq!(search("ren", 10).await.0, ["p1"]);
    assert_eq!(search("ng", 10).await.0, ["p4"]);
    assert!(search("duc", 10).await.0.is_empty());
    // By their ids, in the order asked for: whoever is not there is left out.
    let asked = ["p4", "nobody", "p1"].map(|p| PatientId::new(p).expect("an id"));
    let permit = h.client::<SearchPatients>(None);
    let sealed = h.store.identities(&permit, &asked).await.expect("identities");
    let shown = sealed.disclosure().patients.clone();
    let hits = h.open(&permit, sealed).await;
    let ids: Vec<String> = hits.hits.iter().map(|x| x.patient.to_string()).collect();
    assert_eq!(ids, ["p4", "p1"]);
    assert_eq!(shown.len(), 2, "the row names whom it shows and nobody else");
    assert!(!hits.more && hits.hits.iter().all(|x| x.version >= 1 && !x.card.is_empty()));
}

/// People of many languages; every name is asked for, as it is and as it may be heard.
const PEOPLE: &[&str] = &[
    "Meyer Anna",
    "Maier Jörg",
    "Mayr-Huber Xaver",
    "Schulze Eva",
    "Li Wei",
    "Lee Kim",
    "Ng Đức",
    "李 伟",
    "Müller Ørsted",
    "O'Brien Zoë-Mae",
    "Muhammad Katharina",
    "H Smyth",
    "Straße Łukasz",
];
const HEARD: &[&str] = &[
    "Meier",
    "mayer anna",
    "Schultze",
    "Ksaver",
    "Li",
    "ng",
    "李",
    "王",
    "Mueller",
    "Orstedt",
    "obryan",
    "Mohamed",
    "Catherine",
    "smith",
    "h",
    "strasse lukas",
    "MRN-001",
    "1950",
    "\" OR names:*",
    "'; --",
    "",
    " - ",
];

pub(super) async fn finds_names_by_their_sound(h: Hospital) {
    let mut all: Vec<(String, PersonWords)> = Vec::new();
    for (n, names) in PEOPLE.iter().enumerate() {
        let (id, mrn) = (format!("p{n:02}"), format!("MRN-{n:03}"));
        h.apply(vec![person(&id, names, "1950", &mrn)]).await;
        all.push((
            id,
            PersonWords::of(&PersonRow {
                names_folded: (*names).to_owned(),
                birth_date: Some("1950".to_owned()),
                numbers: vec![mrn],
            }),
        ));
    }
    // A few people of whom there is no Patient resource: they have no names.
    h.apply(vec![put("Condition/c", &note("ghost", "condition", "Meyer"))])
        .await;
    assert_eq!(h.store.catch_up(10).await.expect("nothing to do"), 0);
    let search = |text: String, limit: usize| {
        let h = &h;
        async move {
            let permit = h.client::<SearchPatients>(None);
            let query = SearchQuery {
                text,
                by: SearchBy::Sound,
                limit,
            };
            let sealed = h.store.search(&permit, &query).await.expect("search");
            let shown: Vec<String> = sealed
                .disclosure()
                .patients
                .iter()
                .map(ToString::to_string)
                .collect();
            let hits = h.open(&permit, sealed).await;
            let ids: Vec<String> = hits.hits.iter().map(|x| x.patient.to_string()).collect();
            let said: BTreeSet<&String> = shown.iter().collect();
            assert_eq!(said, ids.iter().collect(), "the row names every patient shown");
            (ids, hits.more)
        }
    };
    let mut found = 0;
    let asked = PEOPLE.iter().chain(HEARD).map(|t| (*t).to_owned());
    let words = PEOPLE.iter().flat_map(|t| t.split(' ')).map(str::to_owned);
    for text in asked.chain(words) {
        let expected: Vec<String> = all
            .iter()
            .filter(|(_, p)| matches_phonetic(p, &terms(&text)))
            .map(|(id, _)| id.clone())
            .collect();
        let whole = all
            .iter()
            .filter(|(_, p)| matches_names(p, &terms(&text)))
            .count();
        let (mut ids, more) = search(text.clone(), 50).await;
        assert!(!more);
        let first: BTreeSet<String> = ids[..whole.min(ids.len())].iter().cloned().collect();
        let named = |id: &String| {
            all.iter()
                .any(|(i, p)| i == id && matches_names(p, &terms(&text)))
        };
        assert!(first.iter().all(named), "{text:?}: whole names come first");
        ids.sort();
        assert_eq!(ids, expected, "what sounds like {text:?}");
        found += ids.len();
    }
    assert!(found > 40, "there was something to find: {found}");
    let (ids, more) = search("Maier".to_owned(), 1).await;
    assert_eq!((ids, more), (vec!["p01".to_owned()], true));
    h.apply(vec![
        person("p00", "Renamed", "1950", "MRN-000"),
        delete("Patient/p01"),
    ])
    .await;
    assert_eq!(
        search("Meyer".to_owned(), 50).await.0,
        ["p02"],
        "old names are forgotten"
    );
    assert_eq!(search("Rehnamed".to_owned(), 50).await.0, ["p00"]);
    h.apply(vec![person("p01", "Mair", "1950", "MRN-001")]).await;
    assert_eq!(search("Meyer".to_owned(), 50).await.0.len(), 2);
}

pub(super) async fn keeps_what_was_not_taken(h: Hospital) {
    let item = |n: usize| QuarantineItem {
        location: format!("bundle.json#{n}"),
        kind: Some("Observation".to_owned()),
        reason: "no status".to_owned(),
        expression: (n == 2).then(|| "Observation.status".to_owned()),
        body: Bytes::from(vec![b'x'; n]),
    };
    let at = h.now();
    let receipt = h
        .store
        .quarantine(&h.operator(), at, vec![item(1), item(2), item(3)])
        .await
        .expect("kept");
    assert_eq!(receipt.seq(), 1, "one row for all");
    let rows = h.store.quarantined(2).await.expect("listed");
    let shown: Vec<_> = rows
        .iter()
        .map(|r| (r.location.as_str(), r.bytes, r.at))
        .collect();
    assert_eq!(
        shown,
        [("bundle.json#3", 3, at), ("bundle.json#2", 2, at)],
        "newest first"
    );
    assert_eq!(rows[1].expression.as_deref(), Some("Observation.status"));
    assert_eq!(h.store.counts().await.expect("counts").quarantined, 3);
}

pub(super) async fn works_off_what_was_not_taken(h: Hospital) {
    let item = |n: usize, kind: &str| QuarantineItem {
        location: format!("from/{n}"),
        kind: Some(kind.to_owned()),
        reason: "whose it is cannot be told".to_owned(),
        expression: None,
        body: Bytes::from(vec![b'x'; n * 100]),
    };
    let items = vec![
        item(1, "DICOM"),
        item(2, "Flag"),
        item(3, "DICOM"),
        item(4, "DICOM"),
    ];
    h.store
        .quarantine(&h.operator(), h.now(), items)
        .await
        .expect("kept");
    let first = h.store.held("DICOM", 0, 3).await.expect("read");
    let shown: Vec<(&str, usize)> = first
        .items
        .iter()
        .map(|i| (i.row.location.as_str(), i.body.len()))
        .collect();
    assert_eq!(
        shown,
        [("from/1", 100), ("from/3", 300)],
        "of its kind, with its bytes"
    );
    let rest = h.store.held("DICOM", first.last, 3).await.expect("read");
    assert!(first.more, "there is one behind it");
    assert_eq!((rest.items.len(), rest.more), (1, false));
    let none = h.store.held("DICOM", rest.last, 3).await.expect("read");
    assert_eq!((none.items.len(), none.last), (0, rest.last));
    let (one, three) = (first.items[0].row.id, first.items[1].row.id);

    let rows = h.store.counts().await.expect("counts").audit_rows;
    let stays = HeldChange::Stays {
        reason: "another reason".to_owned(),
        body: Bytes::from_static(b"other bytes"),
    };
    assert!(
        h.store
            .change_held(&h.operator(), one, stays)
            .await
            .expect("changed")
    );
    let found = h.store.held_item(one).await.expect("read").expect("there");
    assert_eq!(
        (found.row.reason.as_str(), &found.body[..], found.row.bytes),
        ("another reason", &b"other bytes"[..], 11)
    );
    assert_eq!(found.row.location, "from/1", "where it came from stays");
    for (id, there) in [(three, true), (three, false), (9_999, false)] {
        let permit = h.operator();
        let gone = h.store.change_held(&permit, id, HeldChange::Leaves).await;
        assert_eq!(gone.expect("asked"), there, "{id}");
    }
    assert_eq!(h.store.held_item(three).await.expect("read"), None);
    let counts = h.store.counts().await.expect("counts");
    assert_eq!(
        (counts.quarantined, counts.audit_rows),
        (3, rows + 2),
        "a row for each change, and none for what changed nothing"
    );
    h.store
        .quarantine(&h.operator(), h.now(), vec![item(5, "DICOM")])
        .await
        .expect("kept");
    let all = h.store.held("DICOM", 0, 100).await.expect("read");
    assert_eq!(all.items.len(), 3);
    assert!(
        all.items[2].row.id > all.items[1].row.id && all.items[2].row.id != three,
        "a number is used once"
    );
}

pub(super) async fn counts(h: Hospital) {
    h.apply(vec![
        person("p1", "ann", "1980", "1"),
        put("Flag/a", &note("p1", "flag", "a")),
        put("Flag/b", &note("p2", "flag", "b")),
        put("Practitioner/x", &Note::default()),
    ])
    .await;
    h.apply(vec![delete("Flag/a"), delete("Practitioner/x")]).await;
    let counts = h.store.counts().await.expect("counts");
    let kinds: Vec<_> = counts.resources.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(kinds, [("Flag", 1), ("Patient", 1)]);
    assert_eq!((counts.patients, counts.audit_rows, counts.devices), (2, 2, 0));
}
