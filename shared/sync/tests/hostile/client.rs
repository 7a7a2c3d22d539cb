//! Servers that break the protocol.

use crate::support::*;
use bytes::Bytes;
use vitrine_sync::client::{Alarm, Client, Effect, Event};
use vitrine_wire::ErrorCode;
use vitrine_wire::frame::{Frame, Lane};
use vitrine_wire::message::*;

#[test]
fn each_breach_closes_the_connection_and_applies_nothing() {
    let scope = || "dir".to_owned();
    let begin = || SnapBegin {
        scope: scope(),
        epoch: "e1".into(),
        pos: 5,
        rev: 0,
        total: 2,
        resumed: false,
        n: 1,
    };
    let chunk = |items: Vec<Change>, next: Option<&str>| SnapChunk {
        scope: scope(),
        items,
        next_after: next.map(str::to_owned),
    };
    let a = || change("a", 0, 1, true);
    let b = || change("b", 0, 1, true);
    let cases: Vec<(&str, Vec<Bytes>)> = vec![
        (
            "a scope never asked for",
            vec![bytes(Delta {
                scope: "ess:ICU".into(),
                pos: 9,
                changes: vec![],
            })],
        ),
        (
            "a second hello",
            vec![bytes(Welcome {
                ward: "x".into(),
                scopes: vec![],
                audit_seq: 0,
                training: None,
                layouts: None,
                layouts_signature: None,
                offline_days: None,
                ways: None,
            })],
        ),
        (
            "a patient's scope as plain delta",
            vec![bytes(Delta {
                scope: "pat:p1".into(),
                pos: 9,
                changes: vec![],
            })],
        ),
        (
            "a version that does not grow",
            vec![bytes(Delta {
                scope: scope(),
                pos: 9,
                changes: vec![change("a", 3, 3, true)],
            })],
        ),
        (
            "a key twice",
            vec![bytes(Delta {
                scope: scope(),
                pos: 9,
                changes: vec![a(), a()],
            })],
        ),
        (
            "an endless key",
            vec![bytes(Delta {
                scope: scope(),
                pos: 9,
                changes: vec![change(&"k".repeat(500), 0, 1, true)],
            })],
        ),
        (
            "keys out of order",
            vec![bytes(begin()), bytes(chunk(vec![b(), a()], None))],
        ),
        (
            "keys going back between chunks",
            vec![
                bytes(begin()),
                bytes(chunk(vec![b()], Some("b"))),
                bytes(chunk(vec![a()], None)),
            ],
        ),
        (
            "a chunk that goes on without going on",
            vec![bytes(begin()), bytes(chunk(vec![], Some("b")))],
        ),
        (
            "a chunk after the last",
            vec![
                bytes(begin()),
                bytes(chunk(vec![a()], None)),
                bytes(chunk(vec![b()], None)),
            ],
        ),
        (
            "an end before the last chunk",
            vec![
                bytes(begin()),
                bytes(SnapEnd {
                    scope: scope(),
                    epoch: "e1".into(),
                    pos: 5,
                    n: 1,
                }),
            ],
        ),
        (
            "an end of another snapshot",
            vec![
                bytes(begin()),
                bytes(chunk(vec![a()], None)),
                bytes(SnapEnd {
                    scope: scope(),
                    epoch: "e1".into(),
                    pos: 6,
                    n: 1,
                }),
            ],
        ),
        (
            "a snapshot resumed that was never staged",
            vec![bytes(SnapBegin {
                resumed: true,
                ..begin()
            })],
        ),
        (
            "current without a snapshot",
            vec![bytes(Current {
                scope: scope(),
                pos: 5,
                rev: 0,
                n: 1,
            })],
        ),
        (
            "resuming what is not held",
            vec![bytes(Resumed {
                scope: scope(),
                pos: 5,
                n: 1,
            })],
        ),
        (
            "an acknowledgement of rows never sent",
            vec![bytes(AuditAck { seq: 3 })],
        ),
        (
            "buckets of the wrong number",
            vec![bytes(DigestDiff {
                scope: scope(),
                pos: 5,
                rev: 0,
                buckets: vec!["00".repeat(16)],
            })],
        ),
        (
            "a message of the client",
            vec![
                ClientMessage::from(Ping { n: 1 })
                    .frame()
                    .unwrap()
                    .encode()
                    .unwrap(),
            ],
        ),
        (
            "not JSON",
            vec![
                Frame {
                    kind: 74,
                    lane: Lane::Control,
                    body: "{".into(),
                }
                .encode()
                .unwrap(),
            ],
        ),
        (
            "no frame at all",
            vec![Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n<html>")],
        ),
        ("a text message", vec![Bytes::new()]),
    ];
    for (what, messages) in cases {
        let mut c = welcomed();
        let mut out = Vec::new();
        for m in messages {
            out = c.step(5, Event::Received { conn: 1, bytes: m }, &Empty);
        }
        assert!(
            matches!(what, "no frame at all") || closed(&out),
            "{what}: {out:?}"
        );
        assert!(
            out.iter().any(|e| matches!(e, Effect::Close { .. })),
            "{what}: {out:?}"
        );
        let applied = out.iter().any(|e| {
            matches!(
                e,
                Effect::ApplyDelta { .. } | Effect::StageChunk { .. } | Effect::CommitSnapshot { .. }
            )
        });
        assert!(!applied, "{what}: {out:?}");
        assert!(c.wake_at().is_some(), "it will try again");
        let late = Event::Received {
            conn: 1,
            bytes: bytes(Overload { retry_after_ms: 1 }),
        };
        assert!(
            c.step(6, late, &Empty).is_empty(),
            "{what}: the closed connection is no longer heard"
        );
    }
}

#[test]
fn another_protocol_is_refused_clearly_and_the_cache_stays() {
    let mut frame = bytes(Overload { retry_after_ms: 1 }).to_vec();
    frame[0] = 2;
    let mut c = welcomed();
    let out = c.step(
        5,
        Event::Received {
            conn: 1,
            bytes: frame.into(),
        },
        &Empty,
    );
    assert!(
        out.iter()
            .any(|e| matches!(e, Effect::Alarm(Alarm::ProtocolMismatch { server: 2 }))),
        "{out:?}"
    );
    assert!(!out.iter().any(|e| matches!(e, Effect::DropScope { .. })));
    assert!(c.wake_at().is_some_and(|at| at >= 300_000), "it does not hammer");
}

#[test]
fn a_wipe_needs_the_servers_signature() {
    let order = || {
        bytes(Wipe {
            nonce: "ab".repeat(16),
            signature: "cd".repeat(32),
        })
    };
    let mut c = welcomed();
    let out = c.step(
        5,
        Event::Received {
            conn: 1,
            bytes: order(),
        },
        &Empty,
    );
    assert!(out.iter().any(|e| matches!(e, Effect::VerifyWipe { .. })));
    assert!(!out.iter().any(|e| matches!(e, Effect::Wipe { .. })));
    let out = c.step(6, Event::WipeVerified { genuine: false }, &Empty);
    assert!(out.iter().any(|e| matches!(e, Effect::Alarm(Alarm::ForgedWipe))));
    assert!(!out.iter().any(|e| matches!(e, Effect::Wipe { .. })));

    let mut c = welcomed();
    assert!(
        c.step(5, Event::WipeVerified { genuine: true }, &Empty)
            .iter()
            .all(|e| !matches!(e, Effect::Wipe { .. })),
        "nobody asked"
    );
    c.step(
        5,
        Event::Received {
            conn: 1,
            bytes: order(),
        },
        &Empty,
    );
    let out = c.step(6, Event::WipeVerified { genuine: true }, &Empty);
    assert!(out.iter().any(|e| matches!(e, Effect::Wipe { .. })));
    let out = c.step(
        7,
        Event::Wiped {
            signature: "ee".into(),
        },
        &Empty,
    );
    assert!(
        sent(&out)
            .iter()
            .any(|m| matches!(m, ClientMessage::WipeDone(d) if d.signature == "ee"))
    );
    assert_eq!(c.wake_at(), None, "it never connects again");
    assert!(c.step(8, Event::WantConnect, &Empty).is_empty());
}

#[test]
fn a_half_open_line_is_noticed_within_ten_seconds() {
    for answers in [false, true] {
        let mut c = welcomed();
        let mut now = 5;
        let closed_at = loop {
            now = c.wake_at().unwrap().max(now);
            if now > 60_000 {
                break None;
            }
            let out = c.step(now, Event::Tick, &Empty);
            if out.iter().any(|e| matches!(e, Effect::Close { .. })) {
                break Some(now);
            }
            // One direction works: beats come on their own, pings are never answered.
            if answers {
                let beat = Beat {
                    pos: 5,
                    server_time_ms: 1,
                    behind_ms: 0,
                    n: 0,
                };
                c.step(
                    now,
                    Event::Received {
                        conn: 1,
                        bytes: bytes(beat),
                    },
                    &Empty,
                );
            }
        };
        assert!(
            closed_at.is_some_and(|at| at <= 10_000),
            "answers: {answers}, closed at {closed_at:?}"
        );
    }
}

/// The grant of an emergency may reach the server after the request for the patient: the refusal is not the last word.
#[test]
fn a_patient_refused_before_the_grant_arrived_is_asked_for_again() {
    let asked = |out: &[Effect]| {
        sent(out)
            .into_iter()
            .filter_map(|m| match m {
                ClientMessage::Sub(s) if s.scope == "pat:p-1" => Some(s.n),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let hear = |c: &mut Client, now, bytes| c.step(now, Event::Received { conn: 1, bytes }, &Empty);
    let mut c = welcomed();
    c.step(5, Event::SignedIn { token: "t".into() }, &Empty);
    hear(&mut c, 6, bytes(UserWelcome { user: "u".into() }));
    let open = Event::OpenPatient {
        patient: "p-1".into(),
    };
    let first = asked(&c.step(7, open, &Empty));
    assert_eq!(first.len(), 1);
    let no = |code, n| {
        bytes(Reject {
            scope: "pat:p-1".into(),
            code,
            text: String::new(),
            n,
        })
    };
    let acked = || {
        bytes(GrantAck {
            id: "g-1".into(),
            rev: None,
            ended: None,
        })
    };

    assert!(asked(&hear(&mut c, 8, no(ErrorCode::Denied, first[0]))).is_empty());
    let again = asked(&hear(&mut c, 9, acked()));
    assert_eq!(again.len(), 1, "asked for again once the grant is there");
    assert!(again[0] > first[0]);

    // The refusal was decided before the grant was stored, and arrives after its acknowledgement.
    let third = asked(&hear(&mut c, 10, no(ErrorCode::Denied, first[0])));
    assert!(third.is_empty(), "an answer to an older question");
    hear(&mut c, 10, acked());
    let third = asked(&hear(&mut c, 10, no(ErrorCode::Denied, again[0])));
    assert_eq!(third.len(), 1);
    // The same again is a refusal that knows the grant: it stands.
    assert!(asked(&hear(&mut c, 10, no(ErrorCode::Denied, third[0]))).is_empty());
    let again = asked(&hear(&mut c, 10, acked()));

    // What a grant does not change is not asked for again.
    hear(&mut c, 10, no(ErrorCode::NotFound, again[0]));
    assert!(asked(&hear(&mut c, 11, acked())).is_empty());
}

/// A database that was away for seconds must not leave screens stale for half a minute.
#[test]
fn a_scope_the_server_was_too_busy_for_is_asked_for_again_soon_and_then_ever_later() {
    let timing = vitrine_sync::client::Timing::default();
    let mut c = welcomed();
    let (mut n, mut now) = (2, 5);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let busy = Reject {
            scope: "ess:ED".into(),
            code: ErrorCode::Overloaded,
            text: String::new(),
            n,
        };
        let bytes = bytes(busy);
        c.step(now, Event::Received { conn: 1, bytes }, &Empty);
        let refused = now;
        n = loop {
            now = c.wake_at().unwrap().max(now);
            let out = c.step(now, Event::Tick, &Empty);
            // The line itself is well.
            let beat = Beat {
                pos: 5,
                server_time_ms: 1,
                behind_ms: 0,
                n: sent(&out)
                    .into_iter()
                    .find_map(|m| match m {
                        ClientMessage::Ping(p) => Some(p.n),
                        _ => None,
                    })
                    .unwrap_or(0),
            };
            let bytes = self::bytes(beat);
            c.step(now, Event::Received { conn: 1, bytes }, &Empty);
            let again = sent(&out).into_iter().find_map(|m| match m {
                ClientMessage::Sub(s) if s.scope == "ess:ED" => Some(s.n),
                _ => None,
            });
            if let Some(n) = again {
                break n;
            }
            now += 1;
        };
        waits.push(now - refused);
    }
    assert!(waits[0] <= timing.backoff_base_ms + 1, "{waits:?}");
    assert!(waits[1] <= 2 * timing.backoff_base_ms + 1, "{waits:?}");
    assert!(waits.iter().all(|w| *w <= timing.busy_cap_ms + 1), "{waits:?}");
    assert!(
        waits.iter().any(|w| *w > timing.busy_cap_ms / 2),
        "it does not hammer a server in need: {waits:?}"
    );
}

#[test]
fn a_server_for_training_and_a_workstation_for_patients_have_nothing_to_say_to_each_other() {
    for (here, there, mixed) in [
        (false, Some(true), true),
        (true, Some(false), true),
        (false, Some(false), false),
        (true, Some(true), false),
        // A server that does not say.
        (false, None, false),
    ] {
        let mut c = proven(here);
        let welcome = Welcome {
            ward: "ED".into(),
            scopes: vec!["dir".into(), "ess:ED".into()],
            audit_seq: 0,
            training: there,
            layouts: None,
            layouts_signature: None,
            offline_days: None,
            ways: None,
        };
        let bytes = bytes(welcome);
        let out = c.step(4, Event::Received { conn: 1, bytes }, &Empty);
        let refused = out
            .iter()
            .any(|e| matches!(e, Effect::Alarm(Alarm::TrainingMixed)));
        let closed = out.iter().any(|e| matches!(e, Effect::Close { .. }));
        assert_eq!((refused, closed), (mixed, mixed), "{here} {there:?}");
        // No row, no grant, no entry, no token, no scope goes to it.
        let read = out.iter().any(|e| matches!(e, Effect::ReadOutbox { .. }));
        assert_eq!(sent(&out).is_empty() && !read, mixed, "{here} {there:?}");
    }
}
