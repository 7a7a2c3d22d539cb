//! The lanes of one connection: order, bounds, merging without hiding a gap.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_sync::backoff::Jitter;
use vitrine_sync::fanout::{BulkFrame, Item, Row, ScopeFrame, build, by_scope, chunk};
use vitrine_sync::lanes::{CONTROL_MAX, Lanes, Limits};
use vitrine_wire::frame::{Assembler, Frame};
use vitrine_wire::message::{Change, ServerMessage};

fn row(scope: &str, key: &str, pos: u64, prev: u64, ver: u64) -> Row {
    Row {
        pos,
        scope: scope.into(),
        key: key.into(),
        prev,
        ver,
        tomb: false,
    }
}

fn item(key: &str, ver: u64, size: usize) -> Item {
    Item {
        key: key.into(),
        ver,
        version: None,
        body: Bytes::from(format!("\"{}\"", "x".repeat(size))),
    }
}

fn frame(scope: &str, key: &str, pos: u64, prev: u64, ver: u64) -> Arc<ScopeFrame> {
    let rows = by_scope(vec![row(scope, key, pos, prev, ver)]).remove(0);
    build(&rows, &[item(key, ver, 5)]).unwrap().remove(0)
}

fn read(bytes: &Bytes) -> ServerMessage {
    ServerMessage::read(&Frame::decode(bytes).unwrap()).unwrap()
}

fn control(n: u64) -> Bytes {
    let m = vitrine_wire::message::AuditAck { seq: n };
    ServerMessage::from(m).frame().unwrap().encode().unwrap()
}

fn bulk(scope: &str) -> Arc<BulkFrame> {
    chunk(scope, &[item("a", 1, 100)], None).unwrap()
}

fn drain(lanes: &mut Lanes) -> Vec<ServerMessage> {
    std::iter::from_fn(|| lanes.pop()).map(|b| read(&b)).collect()
}

#[test]
fn strict_priority_and_bulk_only_with_credit() {
    let mut lanes = Lanes::default();
    assert!(lanes.bulk(&Arc::from("dir"), bulk("dir")));
    lanes.delta(&frame("pat:p1", "Observation/1", 3, 0, 1), 0);
    lanes.delta(&frame("ess:ED", "p1", 2, 0, 1), 0);
    lanes.control(control(1)).unwrap();
    let kinds: Vec<u8> = std::iter::from_fn(|| lanes.pop()).map(|b| b[1]).collect();
    assert_eq!(kinds, [79, 71, 72], "no bulk without credit");
    assert!(lanes.is_idle());
    lanes.add_credit(1, 1_000);
    assert_eq!(lanes.pop().unwrap()[1], 69);
    assert!(lanes.bulk(&Arc::from("dir"), bulk("dir")));
    assert!(lanes.is_idle(), "the first frame overdrew the credit");
}

#[test]
fn a_full_control_lane_says_so() {
    let mut lanes = Lanes::default();
    (0..CONTROL_MAX).for_each(|n| lanes.control(control(n as u64)).unwrap());
    assert!(lanes.control(control(0)).is_err());
}

#[test]
fn a_queued_frame_is_the_shared_bytes_until_it_has_to_be_merged() {
    let f = frame("ess:ED", "p1", 2, 0, 1);
    let mut lanes = Lanes::default();
    lanes.delta(&f, 0);
    assert_eq!(lanes.pop().unwrap().as_ptr(), f.parts[0].as_ptr(), "not copied");
}

#[test]
fn merging_keeps_the_earliest_before_and_the_latest_after() {
    let mut lanes = Lanes::new(Limits {
        shared: 2,
        ..Limits::default()
    });
    for v in 1..=40 {
        assert!(
            lanes
                .delta(&frame("ess:ED", "p1", v * 10, v + 4, v + 5), v)
                .is_empty()
        );
    }
    assert_eq!(lanes.floor(), Some(9));
    assert_eq!(lanes.oldest_ms(), Some(1));
    let all = drain(&mut lanes);
    let ServerMessage::Delta(first) = &all[0] else {
        panic!("{all:?}")
    };
    assert_eq!((first.changes[0].prev, first.changes.len()), (5, 1));
    let ServerMessage::Delta(last) = all.last().unwrap() else {
        panic!("{all:?}")
    };
    assert_eq!((last.pos, last.changes[0].ver), (400, 45));
    assert!(all.len() <= 3);
}

#[test]
fn a_lost_patient_delta_still_shows_after_merging() {
    let mut lanes = Lanes::new(Limits {
        shared: 1,
        ..Limits::default()
    });
    for v in [1, 2, 3, /* 4 is lost */ 5, 6, 7] {
        lanes.delta(&frame("pat:p1", &format!("Observation/{v}"), v, v - 1, v), 0);
    }
    let revs: Vec<(u64, u64)> = drain(&mut lanes)
        .iter()
        .map(|m| match m {
            ServerMessage::PatientDelta(d) => (d.rev_prev, d.rev),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((revs[0].0, revs.last().unwrap().1), (0, 7));
    let holes = revs.windows(2).filter(|w| w[0].1 != w[1].0).count();
    assert_eq!(holes, 1, "exactly the one that was lost: {revs:?}");
}

#[test]
fn what_is_too_much_is_dropped_and_named() {
    let mut lanes = Lanes::new(Limits {
        shared: 4,
        keys: 50,
        ..Limits::default()
    });
    let mut dropped = Vec::new();
    for n in 0..200 {
        let scope = if n % 2 == 0 { "ess:ED" } else { "board:ED" };
        dropped = lanes.delta(&frame(scope, &format!("p{n}"), n + 1, 0, 1), 0);
        if !dropped.is_empty() {
            break;
        }
    }
    let names: Vec<&str> = dropped.iter().map(|s| &**s).collect();
    assert_eq!(names, ["board:ED", "ess:ED"]);
    assert!(lanes.is_idle() && lanes.floor().is_none());
}

#[test]
fn memory_stays_bounded_whatever_comes() {
    let limits = Limits {
        shared: 8,
        keys: 1_000_000,
        bytes: 200_000,
    };
    let mut lanes = Lanes::new(limits);
    let mut drops = 0;
    for n in 0..2_000_u64 {
        let rows = by_scope(vec![row("ess:site", &format!("p{n}"), n + 1, 0, 1)]).remove(0);
        let f = build(&rows, &[item(&format!("p{n}"), 1, 5_000)])
            .unwrap()
            .remove(0);
        drops += usize::from(!lanes.delta(&f, 0).is_empty());
    }
    assert!(drops >= 40, "{drops} drops for 10 MB through 200 kB");
}

#[test]
fn purging_leaves_nothing_of_a_scope_but_a_frame_half_sent() {
    let noise: String = {
        let mut j = Jitter::new(5);
        (0..700_000)
            .map(|_| char::from(b'!' + u8::try_from(j.up_to(90)).unwrap()))
            .filter(|c| !"\"\\".contains(*c))
            .collect()
    };
    let rows = by_scope(vec![row("pat:p1", "Binary/1", 1, 0, 1)]).remove(0);
    let big = Item {
        key: "Binary/1".into(),
        ver: 1,
        version: None,
        body: Bytes::from(format!("\"{noise}\"")),
    };
    let f = build(&rows, &[big]).unwrap().remove(0);
    assert!(f.parts.len() > 2);
    let mut lanes = Lanes::default();
    lanes.delta(&f, 0);
    lanes.delta(&frame("pat:p1", "Observation/1", 2, 1, 2), 0);
    let mut assembler = Assembler::default();
    assert!(assembler.take(&lanes.pop().unwrap()).unwrap().is_none());
    lanes.delta(&frame("ess:ED", "p1", 9, 0, 1), 0);
    lanes.purge("pat:p1");
    assert_eq!(lanes.pop().unwrap()[1], 71, "the essentials go between the parts");
    let mut whole = None;
    while let Some(part) = lanes.pop() {
        assert!(whole.is_none(), "something of the scope is left");
        whole = assembler.take(&part).unwrap();
    }
    assert_eq!(whole.unwrap().kind, 72);
}

/// A client that applies by the rules ends with the same items, however the queue merged and cut.
#[test]
fn merged_and_unmerged_streams_lead_to_the_same_state() {
    for seed in 0..300 {
        let mut rng = Jitter::new(seed);
        let mut truth: BTreeMap<String, u64> = BTreeMap::new();
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        let mut held: BTreeMap<String, u64> = BTreeMap::new();
        let shared = usize::try_from(rng.up_to(6)).unwrap();
        let mut lanes = Lanes::new(Limits {
            shared,
            ..Limits::default()
        });
        let mut pos = 0;
        let mut seen = 0;
        let take = |lanes: &mut Lanes, held: &mut BTreeMap<String, u64>, seen: &mut u64, n: u64| {
            for _ in 0..n {
                let Some(bytes) = lanes.pop() else { return };
                let ServerMessage::Delta(d) = read(&bytes) else {
                    panic!("a delta")
                };
                assert!(
                    d.pos >= *seen || d.changes.is_empty() || d.pos == *seen,
                    "positions only grow"
                );
                *seen = d.pos;
                d.changes.iter().for_each(|c| apply(held, c));
            }
        };
        for _ in 0..rng.up_to(200) {
            pos += 1;
            let key = format!("p{}", rng.up_to(12));
            let ver = versions.entry(key.clone()).or_insert(0);
            let prev = if truth.contains_key(&key) { *ver } else { 0 };
            let before = *ver;
            *ver += 1;
            let gone = prev > 0 && rng.up_to(3) == 0;
            let r = Row {
                pos,
                scope: "ess:ED".into(),
                key: key.clone(),
                prev: if gone { before } else { prev },
                ver: *ver,
                tomb: gone,
            };
            let items = if gone {
                truth.remove(&key);
                vec![]
            } else {
                truth.insert(key.clone(), *ver);
                vec![item(&key, *ver, 3)]
            };
            for f in build(&by_scope(vec![r]).remove(0), &items).unwrap() {
                assert!(lanes.delta(&f, pos).is_empty());
            }
            if rng.up_to(9) == 0 {
                let n = rng.up_to(5);
                take(&mut lanes, &mut held, &mut seen, n);
            }
        }
        take(&mut lanes, &mut held, &mut seen, u64::MAX);
        assert_eq!(held, truth, "SEED={seed}");
        assert_eq!(seen, pos, "SEED={seed}: the last frame carries the last position");
    }
}

fn apply(held: &mut BTreeMap<String, u64>, c: &Change) {
    let local = held.get(&c.key).copied();
    match (local, c.body.is_some()) {
        (None, false) => {}
        (Some(v), _) if v >= c.ver => {}
        (v, there) => {
            assert_eq!(v.unwrap_or(0), c.prev, "a gap in {}", c.key);
            if there {
                held.insert(c.key.clone(), c.ver);
            } else {
                held.remove(&c.key);
            }
        }
    }
}

#[test]
fn an_idle_session_is_small() {
    let lanes = std::mem::size_of::<Lanes>();
    let session = std::mem::size_of::<vitrine_sync::server::Session>();
    println!("lanes {lanes} B, session {session} B");
    assert!(lanes <= 256 && session <= 768);
}
