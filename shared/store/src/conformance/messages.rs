//! Cases about messages of other systems.

use super::hospital::{Hospital, pat};
use crate::messages::{Keeping, MessageCount, MessageOutcome, MessageQuery, MessageState, NewMessage};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use vitrine_clinical::UtcMs;

const DAY_MS: i64 = 86_400_000;
/// The first moment of day 20,000, UTC.
const START: i64 = 20_000 * DAY_MS;

/// A message of a feed, with its control id as what tells it from others.
fn message(feed: &str, control: &str, body: &str) -> NewMessage {
    NewMessage {
        at: UtcMs(START),
        feed: feed.to_owned(),
        sender: "LAB^HOSP".to_owned(),
        control: control.to_owned(),
        dated: "20260101120000+0100".to_owned(),
        kind: "ADT^A01".to_owned(),
        of: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn state(state: MessageState) -> MessageOutcome {
    MessageOutcome {
        state,
        ..MessageOutcome::default()
    }
}

fn of(patient: &str, in_state: MessageState) -> MessageOutcome {
    MessageOutcome {
        patient: Some(pat(patient)),
        ..state(in_state)
    }
}

/// One with everything in it.
fn full() -> MessageOutcome {
    MessageOutcome {
        state: MessageState::Held,
        code: 204,
        place: Some("PID^1^3".to_owned()),
        reason: Some("whose it is cannot be told".to_owned()),
        patient: Some(pat("p1")),
        wrote: 7,
        notes: vec!["Z-segment ZPI".to_owned(), "ü".to_owned()],
        by: Some("ann".to_owned()),
    }
}

impl Hospital {
    async fn receive(&self, m: NewMessage) -> Keeping {
        self.store.keep_message(m).await.expect("kept")
    }

    async fn new_message(&self, m: NewMessage) -> u64 {
        match self.receive(m).await {
            Keeping::New(id) => id,
            other => panic!("{other:?} is not new"),
        }
    }

    async fn settle(&self, id: u64, at: i64, outcome: MessageOutcome) {
        let done = self.store.settle_message(id, UtcMs(at), outcome).await;
        assert!(done.expect("settled"), "message {id} is there");
    }

    async fn listed(&self, query: MessageQuery) -> Vec<u64> {
        let rows = self.store.messages(&query).await.expect("listed");
        rows.iter().map(|r| r.id).collect()
    }

    async fn body_of(&self, id: u64) -> Option<Bytes> {
        let found = self.store.message(id).await.expect("read").expect("there");
        assert_eq!(found.row.has_body, found.body.is_some(), "the row says it");
        found.body
    }
}

pub(super) async fn keeps_a_message_once(h: Hospital) {
    let long = "MSH|".repeat(5_000);
    let first = message("adt", "1", &long);
    let id = h.new_message(first.clone()).await;
    let found = h.store.message(id).await.expect("read").expect("there");
    let row = &found.row;
    assert_eq!(
        (
            row.id,
            row.at,
            &*row.feed,
            &*row.sender,
            &*row.control,
            &*row.dated,
            &*row.kind
        ),
        (
            id,
            first.at,
            "adt",
            "LAB^HOSP",
            "1",
            "20260101120000+0100",
            "ADT^A01"
        )
    );
    assert_eq!(
        (
            row.of,
            row.bytes,
            row.times,
            row.settled,
            row.has_body,
            &row.outcome
        ),
        (None, 20_000, 1, None, true, &MessageOutcome::default())
    );
    assert_eq!(found.body.as_deref(), Some(long.as_bytes()), "byte for byte");

    // Sent again, later: no second row, and what became of it.
    let later = NewMessage {
        at: UtcMs(START + 5),
        ..first.clone()
    };
    let again = |outcome: MessageOutcome| Keeping::Again {
        id,
        state: outcome.state,
        outcome,
    };
    assert_eq!(h.receive(later.clone()).await, again(MessageOutcome::default()));
    h.settle(id, START + 6, full()).await;
    assert_eq!(h.receive(later).await, again(full()));
    let found = h.store.message(id).await.expect("read").expect("there");
    assert_eq!(
        (found.row.times, found.row.at),
        (3, UtcMs(START)),
        "as it first came"
    );

    // What makes it another one: each part of the key by itself, also where parts only read alike together.
    let others = [
        message("oru", "1", &long),
        message("adt", "2", &long),
        NewMessage {
            sender: "LAB^OTHER".to_owned(),
            ..first.clone()
        },
        NewMessage {
            dated: "20260101120001+0100".to_owned(),
            ..first.clone()
        },
        NewMessage {
            sender: "LAB^HOSP1".to_owned(),
            control: String::new(),
            ..first.clone()
        },
    ];
    let mut ids = BTreeSet::from([id]);
    for other in others {
        assert!(ids.insert(h.new_message(other).await), "a number of its own");
    }

    // The same key with other bytes: a row of its own that names the first, however many come.
    let mut last = 0;
    for body in ["other", "another"] {
        let m = message("adt", "1", body);
        last = match h.receive(m.clone()).await {
            Keeping::Other { id: own, first } if first == id => own,
            other => panic!("{other:?}"),
        };
        assert!(ids.insert(last));
        assert_eq!(h.body_of(last).await.as_deref(), Some(body.as_bytes()));
        assert_eq!(
            h.receive(m).await,
            Keeping::Again {
                id: last,
                state: MessageState::Received,
                outcome: MessageOutcome::default()
            },
            "once kept, it is known too"
        );
    }
    // A corrected copy is a message of its own as often as it is made, and nothing is the same as it.
    for _ in 0..2 {
        let copy = NewMessage {
            of: Some(last),
            ..message("adt", "1", &long)
        };
        let own = h.new_message(copy).await;
        assert!(ids.insert(own));
        let found = h.store.message(own).await.expect("read").expect("there");
        assert_eq!((found.row.of, found.row.times), (Some(last), 1));
    }
    let copy = NewMessage {
        of: Some(last),
        ..message("adt", "9", "corrected")
    };
    assert!(ids.insert(h.new_message(copy).await));
    h.new_message(message("adt", "9", "corrected")).await;
    assert_eq!(h.store.message(9_999).await.expect("asked"), None);
    let empty = h.new_message(message("adt", "empty", "")).await;
    assert_eq!(h.body_of(empty).await.as_deref(), Some(&b""[..]));
}

pub(super) async fn keeps_messages_that_come_at_once(h: Hospital) {
    for round in 0..4 {
        let tries = (0..12).map(|n| {
            let (store, control) = (Arc::clone(&h.store), format!("r{round}"));
            // Eight are the same; four have bytes of their own.
            let body = if n % 3 == 2 {
                format!("own {n}")
            } else {
                "same".to_owned()
            };
            tokio::spawn(async move { store.keep_message(message("adt", &control, &body)).await })
        });
        let (mut rows, mut again, mut new) = (BTreeSet::new(), 0, 0);
        for each in tries.collect::<Vec<_>>() {
            match each.await.expect("ran").expect("kept") {
                Keeping::New(id) => {
                    new += 1;
                    assert!(rows.insert(id));
                }
                Keeping::Other { id, first } => assert!(rows.insert(id) && first != id),
                Keeping::Again { .. } => again += 1,
            }
        }
        assert_eq!(
            (rows.len(), again, new),
            (5, 7, 1),
            "one row for what is the same"
        );
        let query = MessageQuery {
            limit: 5,
            ..MessageQuery::default()
        };
        let all = h.store.messages(&query).await.expect("listed");
        let times: u32 = all.iter().map(|r| r.times).sum();
        assert_eq!(times, 12, "each is counted: {all:?}");
    }
    // Many that are kept and settled side by side.
    let tries = (0..64_i64).map(|n| {
        let store = Arc::clone(&h.store);
        tokio::spawn(async move {
            let body = format!("body {n}");
            let kept = store.keep_message(message("many", &n.to_string(), &body)).await;
            let Ok(Keeping::New(id)) = kept else {
                panic!("{kept:?}")
            };
            let outcome = MessageOutcome {
                wrote: u32::try_from(n).expect("small"),
                ..state(MessageState::Applied)
            };
            let settled = store.settle_message(id, UtcMs(START + n), outcome).await;
            (id, n, body, settled.expect("settled"))
        })
    });
    for each in tries.collect::<Vec<_>>() {
        let (id, n, body, settled) = each.await.expect("ran");
        assert!(settled);
        let found = h.store.message(id).await.expect("read").expect("there");
        assert_eq!(found.body.as_deref(), Some(body.as_bytes()), "each its own");
        assert_eq!(
            (
                &*found.row.control,
                found.row.settled,
                i64::from(found.row.outcome.wrote)
            ),
            (&*n.to_string(), Some(UtcMs(START + n)), n)
        );
    }
}

pub(super) async fn settles_messages(h: Hospital) {
    let id = h.new_message(message("adt", "1", "body")).await;
    let rows = async || h.store.counts().await.expect("counts").audit_rows;
    let read = async || h.store.message(id).await.expect("read").expect("there").row;
    let before = rows().await;
    for outcome in [
        full(),
        state(MessageState::Applied),
        of("p2", MessageState::Known),
        MessageOutcome {
            code: u16::MAX,
            wrote: u32::MAX,
            ..state(MessageState::Dropped)
        },
    ] {
        h.settle(id, START + 1, outcome.clone()).await;
        let row = read().await;
        assert_eq!((row.settled, &row.outcome), (Some(UtcMs(START + 1)), &outcome));
    }
    h.settle(id, START + 2, state(MessageState::Received)).await;
    let row = read().await;
    assert_eq!(
        (row.settled, row.outcome),
        (None, MessageOutcome::default()),
        "to be worked off again"
    );
    let none = h.store.settle_message(id + 1, UtcMs(START), full()).await;
    assert!(!none.expect("asked"));
    assert_eq!(rows().await, before, "no act of a person");

    let decide = async |id: u64, outcome: MessageOutcome| {
        let permit = h.operator();
        let done = h
            .store
            .decide_message(&permit, id, UtcMs(START + 3), outcome)
            .await;
        done.expect("decided")
    };
    assert!(decide(id, full()).await);
    let row = read().await;
    assert_eq!((row.settled, row.outcome), (Some(UtcMs(START + 3)), full()));
    assert_eq!(rows().await, before + 1, "with its row");
    assert!(!decide(id + 1, full()).await);
    assert!(!decide(9_999, state(MessageState::Dropped)).await);
    assert_eq!(rows().await, before + 1, "what changes nothing has none");
    let dropped = MessageOutcome {
        by: Some("bob".to_owned()),
        ..state(MessageState::Dropped)
    };
    assert!(decide(id, dropped.clone()).await);
    assert_eq!((read().await.outcome, rows().await), (dropped, before + 2));
    assert_eq!(
        h.body_of(id).await.as_deref(),
        Some(&b"body"[..]),
        "the body stays"
    );
    assert_eq!(
        h.store.counts().await.expect("counts").quarantined,
        0,
        "it has a list of its own"
    );
}

pub(super) async fn lists_messages(h: Hospital) {
    // (feed, state, patient)
    let made: [(&str, MessageState, Option<&str>); 8] = [
        ("adt", MessageState::Applied, Some("p1")),
        ("oru", MessageState::Held, None),
        ("adt", MessageState::Held, Some("p1")),
        ("adt", MessageState::Received, None),
        ("oru", MessageState::Known, Some("p2")),
        ("adt", MessageState::Dropped, Some("p2")),
        ("oru", MessageState::Received, None),
        ("adt", MessageState::Applied, Some("p1")),
    ];
    let mut ids = Vec::new();
    for (n, (feed, in_state, patient)) in made.iter().enumerate() {
        let id = h
            .new_message(message(feed, &n.to_string(), &format!("body {n}")))
            .await;
        let outcome = patient.map_or_else(|| state(*in_state), |p| of(p, *in_state));
        h.settle(id, START + 1, outcome).await;
        ids.push(id);
    }
    assert!(ids.is_sorted(), "by when they came");
    let feeds = [None, Some("adt"), Some("oru"), Some("none")];
    let states = MessageState::ALL.map(Some);
    let states = [None].into_iter().chain(states);
    let mut asked = 0;
    for in_state in states {
        for feed in feeds {
            for patient in [None, Some("p1"), Some("p2"), Some("p3")] {
                let query = MessageQuery {
                    feed: feed.map(str::to_owned),
                    state: in_state,
                    patient: patient.map(pat),
                    before: None,
                    limit: 100,
                };
                let want: Vec<u64> = made
                    .iter()
                    .zip(&ids)
                    .filter(|((f, s, p), _)| {
                        feed.is_none_or(|x| x == *f)
                            && in_state.is_none_or(|x| x == *s)
                            && (patient.is_none() || patient == *p)
                    })
                    .map(|(_, id)| *id)
                    .rev()
                    .collect();
                assert_eq!(h.listed(query.clone()).await, want, "{query:?}");
                // The same by pages of two.
                let (mut paged, mut before) = (Vec::new(), None);
                loop {
                    let page = MessageQuery {
                        before,
                        limit: 2,
                        ..query.clone()
                    };
                    let page = h.listed(page).await;
                    assert!(page.len() <= 2);
                    before = page.last().copied();
                    paged.extend(page);
                    if before.is_none() {
                        break;
                    }
                }
                assert_eq!(paged, want, "{query:?}, by pages");
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 96);

    let waiting = async |after: u64, limit: usize| {
        let found = h.store.unsettled_messages(after, limit).await.expect("read");
        found
            .into_iter()
            .map(|m| (m.row.id, m.body.expect("with its bytes")))
            .collect::<Vec<_>>()
    };
    let body = |n: usize| (ids[n], Bytes::from(format!("body {n}")));
    assert_eq!(waiting(0, 10).await, [body(3), body(6)], "oldest first");
    assert_eq!(waiting(0, 1).await, [body(3)]);
    assert_eq!(waiting(ids[3], 10).await, [body(6)]);
    assert_eq!(waiting(ids[6], 10).await, []);
    h.settle(ids[3], START + 2, state(MessageState::Applied)).await;
    h.settle(ids[1], START + 2, state(MessageState::Received)).await;
    assert_eq!(
        waiting(0, 10).await,
        [body(1), body(6)],
        "put back, it waits again"
    );
}

pub(super) async fn counts_messages(h: Hospital) {
    let since = async |at: i64| h.store.message_counts(UtcMs(at)).await.expect("counted");
    assert_eq!(since(0).await, []);
    let mut n = 0;
    let mut put = async |feed: &str, at: i64, kind: &str, outcome: MessageOutcome| {
        n += 1;
        let m = NewMessage {
            at: UtcMs(at),
            kind: kind.to_owned(),
            ..message(feed, &n.to_string(), "x")
        };
        let id = h.new_message(m.clone()).await;
        h.settle(id, at, outcome).await;
        h.receive(m).await;
    };
    let held = |code: u16| MessageOutcome {
        code,
        ..state(MessageState::Held)
    };
    put("oru", START, "ORU^R01", state(MessageState::Applied)).await;
    put("adt", START - 1, "ADT^A01", state(MessageState::Applied)).await;
    put("adt", START, "ADT^A01", state(MessageState::Applied)).await;
    put("adt", START + DAY_MS - 1, "ADT^A01", state(MessageState::Applied)).await;
    put("adt", START + DAY_MS, "ADT^A01", state(MessageState::Applied)).await;
    put("adt", START, "ADT^A08", state(MessageState::Known)).await;
    put("adt", START, "ADT^A08", held(204)).await;
    put("adt", START, "ADT^A08", held(101)).await;
    put("adt", START, "ADT^A08", held(204)).await;
    put("adt", START, "ADT^A08", state(MessageState::Received)).await;
    let count = |feed: &str, day: i32, kind: &str, state: MessageState, code: u16, n: u64| MessageCount {
        feed: feed.to_owned(),
        day,
        kind: kind.to_owned(),
        state,
        code,
        n,
    };
    use MessageState::{Applied, Held, Known, Received};
    let all = [
        count("adt", 19_999, "ADT^A01", Applied, 0, 1),
        count("adt", 20_000, "ADT^A01", Applied, 0, 2),
        count("adt", 20_000, "ADT^A08", Received, 0, 1),
        count("adt", 20_000, "ADT^A08", Known, 0, 1),
        count("adt", 20_000, "ADT^A08", Held, 101, 1),
        count("adt", 20_000, "ADT^A08", Held, 204, 2),
        count("adt", 20_001, "ADT^A01", Applied, 0, 1),
        count("oru", 20_000, "ORU^R01", Applied, 0, 1),
    ];
    assert_eq!(
        since(0).await,
        all,
        "a message counts once, however often it was sent"
    );
    assert_eq!(since(START).await, all[1..], "from the moment on");
    assert_eq!(since(START + DAY_MS).await, all[6..7]);
    assert_eq!(since(START + DAY_MS + 1).await, []);
}

pub(super) async fn forgets_the_bytes_of_messages_that_are_done_with(h: Hospital) {
    let mut ids = Vec::new();
    for (n, in_state) in MessageState::ALL.into_iter().cycle().take(10).enumerate() {
        let id = h
            .new_message(message("adt", &n.to_string(), &format!("body {n}")))
            .await;
        // Settled in the reverse order.
        h.settle(id, START - i64::try_from(n).expect("small"), state(in_state))
            .await;
        ids.push(id);
    }
    let here = async || {
        let mut out = Vec::new();
        for (n, id) in ids.iter().enumerate() {
            if let Some(body) = h.body_of(*id).await {
                assert_eq!(body, format!("body {n}"), "its own");
                out.push(n);
            }
        }
        out
    };
    let forget = async |before: i64, most: usize| {
        let gone = h.store.forget_messages(UtcMs(before), most).await;
        gone.expect("forgotten")
    };
    // Applied: 1, 6. Known: 2, 7. Settled at START less their number.
    assert_eq!(forget(START - 7, 100).await, 0, "before, not at");
    assert_eq!(forget(START - 5, 1).await, 1);
    assert_eq!(
        here().await,
        [0, 1, 2, 3, 4, 5, 6, 8, 9],
        "what was settled first goes first"
    );
    assert_eq!(forget(START - 5, 100).await, 1);
    assert_eq!(forget(START - 5, 100).await, 0, "once");
    assert_eq!(forget(START + 1, 0).await, 0);
    assert_eq!(forget(START + 1, 100).await, 2);
    assert_eq!(
        here().await,
        [0, 3, 4, 5, 8, 9],
        "received, held and dropped ones keep theirs"
    );
    let row = h
        .store
        .message(ids[1])
        .await
        .expect("read")
        .expect("the row stays")
        .row;
    assert_eq!(
        (row.bytes, row.has_body, row.outcome.state, &*row.control),
        (6, false, MessageState::Applied, "1")
    );
    // Sent again, it is still known; and put back, it has no bytes to be worked off.
    let again = h.receive(message("adt", "1", "body 1")).await;
    assert!(
        matches!(again, Keeping::Again { id, .. } if id == ids[1]),
        "{again:?}"
    );
    h.settle(ids[1], START, state(MessageState::Received)).await;
    let waiting = h.store.unsettled_messages(0, 10).await.expect("read");
    let waiting: Vec<(u64, bool)> = waiting.iter().map(|m| (m.row.id, m.body.is_some())).collect();
    assert_eq!(waiting, [(ids[0], true), (ids[1], false), (ids[5], true)]);
}

pub(super) async fn messages_of_a_destroyed_record_leave_no_bytes(h: Hospital) {
    h.staff(&[]).await;
    h.two().await;
    let cases = [
        ("p1", MessageState::Applied, false),
        ("p1", MessageState::Held, false),
        ("p1", MessageState::Dropped, false),
        ("p2", MessageState::Applied, true),
    ];
    let mut ids = Vec::new();
    for (n, (patient, in_state, _)) in cases.iter().enumerate() {
        let id = h
            .new_message(message("adt", &n.to_string(), &format!("body {n}")))
            .await;
        h.settle(id, START, of(patient, *in_state)).await;
        ids.push(id);
    }
    let nobodys = h.new_message(message("adt", "nobody", "nobody's")).await;
    let [late, held] = [
        h.new_message(message("adt", "late", "late")).await,
        h.new_message(message("adt", "held", "held")).await,
    ];
    let forgotten = h.new_message(message("adt", "old", "old")).await;
    h.settle(forgotten, 1, of("p1", MessageState::Known)).await;
    assert_eq!(h.store.forget_messages(UtcMs(2), 10).await.expect("forgotten"), 1);
    let id = h.ask("p1", "ann").await.expect("asked");
    h.approve("p1", id, "bob").await.expect("approved");
    h.approve("p1", id, "cyd").await.expect("approved");
    let d = h.carry_out("p1", id).await.expect("destroyed");
    let types = d.destroyed.expect("what was destroyed").types;
    let counted = types
        .get(crate::archive::MESSAGE)
        .map(|c| (c.resources, c.versions));
    assert_eq!(
        counted,
        Some((3, 3)),
        "the certificate counts those that had bytes: {types:?}"
    );
    for ((patient, in_state, stays), id) in cases.iter().zip(&ids) {
        assert_eq!(h.body_of(*id).await.is_some(), *stays, "{patient}, {in_state:?}");
        let row = h
            .store
            .message(*id)
            .await
            .expect("read")
            .expect("the row stays")
            .row;
        assert_eq!(row.outcome, of(patient, *in_state));
    }
    assert!(h.body_of(nobodys).await.is_some());
    // One whose changes went with the record, and that is settled only now; and one that is a person's to decide on.
    h.settle(late, START, of("p1", MessageState::Applied)).await;
    h.settle(held, START, of("p1", MessageState::Held)).await;
    assert_eq!(
        (h.body_of(late).await, h.body_of(held).await.is_some()),
        (None, true)
    );
}
