//! Ends that break the protocol: a client believes nothing, a server closes and goes on.

use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;
use vitrine_sync::client::{Alarm, CacheView, Client, Config, Effect, Event, Held, Staged, Timing};
use vitrine_sync::server::{self, DeviceVerdict, Now, Session};
use vitrine_wire::digest::ScopeDigest;
use vitrine_wire::frame::{Frame, Lane};
use vitrine_wire::message::*;
use vitrine_wire::view::DataAge;

struct Empty;
impl CacheView for Empty {
    fn scopes(&self) -> Vec<String> {
        Vec::new()
    }
    fn held(&self, _: &str) -> Option<Held> {
        None
    }
    fn staged(&self, _: &str) -> Option<Staged> {
        None
    }
    fn version(&self, _: &str, _: &str) -> Option<u64> {
        None
    }
    fn digest(&self, _: &str) -> ScopeDigest {
        ScopeDigest::default()
    }
    fn refs(&self, _: &str, _: &[u8]) -> Vec<Ref> {
        Vec::new()
    }
}

fn bytes(m: impl Into<ServerMessage>) -> Bytes {
    m.into().frame().unwrap().encode().unwrap()
}

/// A client that was welcomed and has asked for `dir` (n = 1) and `ess:ED` (n = 2).
fn welcomed() -> Client {
    let cfg = Config {
        device: "d1".into(),
        app: "test".into(),
        ward: "ED".into(),
        known_epoch: None,
        seed: 1,
        timing: Timing::default(),
    };
    let mut c = Client::new(cfg, &Empty);
    c.step(0, Event::WantConnect, &Empty);
    c.step(1, Event::Connected { conn: 1 }, &Empty);
    let hello = ServerHello {
        protocol: 1,
        epoch: "e1".into(),
        pos: 5,
        server_time_ms: 1_000,
        nonce: "00".repeat(32),
    };
    c.step(
        2,
        Event::Received {
            conn: 1,
            bytes: bytes(hello),
        },
        &Empty,
    );
    c.step(
        3,
        Event::Signed {
            signature: "aa".into(),
            report: "{}".into(),
        },
        &Empty,
    );
    let welcome = Welcome {
        ward: "ED".into(),
        scopes: vec!["dir".into(), "ess:ED".into()],
        audit_seq: 0,
    };
    let out = c.step(
        4,
        Event::Received {
            conn: 1,
            bytes: bytes(welcome),
        },
        &Empty,
    );
    let subs = sent(&out)
        .into_iter()
        .filter(|m| matches!(m, ClientMessage::Sub(_)))
        .count();
    assert_eq!(subs, 2);
    c
}

fn sent(out: &[Effect]) -> Vec<ClientMessage> {
    out.iter()
        .filter_map(|e| match e {
            Effect::Send { bytes, .. } => Some(ClientMessage::read(&Frame::decode(bytes).unwrap()).unwrap()),
            _ => None,
        })
        .collect()
}

fn closed(out: &[Effect]) -> bool {
    out.iter().any(|e| matches!(e, Effect::Close { code: 1002, .. }))
        && out
            .iter()
            .any(|e| matches!(e, Effect::Alarm(Alarm::Violation(_))))
}

fn change(key: &str, prev: u64, ver: u64, body: bool) -> Change {
    let body = body.then(|| serde_json::value::to_raw_value(&1).unwrap());
    Change {
        key: key.into(),
        prev,
        ver,
        body,
    }
}

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

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("dir".to_owned()),
        Just("ess:ED".to_owned()),
        Just("pat:p1".to_owned()),
        Just("e1".to_owned()),
        Just("a".to_owned()),
        Just("b".to_owned()),
        any::<String>(),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    (word(), 0_u64..4, 0_u64..4, any::<bool>()).prop_map(|(k, p, v, b)| change(&k, p, v, b))
}

fn any_server_message() -> impl Strategy<Value = ServerMessage> {
    let list = || prop::collection::vec(any_change(), 0..4);
    let n = || 0_u64..4;
    prop_oneof![
        (word(), n(), n()).prop_map(|(scope, pos, n)| SnapBegin {
            scope,
            epoch: "e1".into(),
            pos,
            rev: 1,
            total: 3,
            resumed: false,
            n
        }
        .into()),
        (word(), list(), prop::option::of(word())).prop_map(|(scope, items, next_after)| SnapChunk {
            scope,
            items,
            next_after
        }
        .into()),
        (word(), n(), n()).prop_map(|(scope, pos, n)| SnapEnd {
            scope,
            epoch: "e1".into(),
            pos,
            n
        }
        .into()),
        (word(), n(), list()).prop_map(|(scope, pos, changes)| Delta { scope, pos, changes }.into()),
        (word(), n(), n(), n(), list()).prop_map(|(scope, pos, rev_prev, rev, changes)| PatientDelta {
            scope,
            pos,
            rev_prev,
            rev,
            changes
        }
        .into()),
        (word(), n(), n()).prop_map(|(scope, pos, n)| Current {
            scope,
            pos,
            rev: 1,
            n
        }
        .into()),
        (word(), n(), n()).prop_map(|(scope, pos, n)| Resumed { scope, pos, n }.into()),
        (n(), n()).prop_map(|(pos, n)| Beat {
            pos,
            server_time_ms: 5,
            behind_ms: 0,
            n
        }
        .into()),
        (word(), n()).prop_map(|(scope, n)| Dirty { scope, n }.into()),
        (word(), n()).prop_map(|(scope, pos)| DigestDiff {
            scope,
            pos,
            rev: 0,
            buckets: vec![]
        }
        .into()),
        (word(), n(), list()).prop_map(|(scope, pos, items)| Items { scope, pos, items }.into()),
        (word(), n()).prop_map(|(scope, n)| Reject {
            scope,
            n,
            code: vitrine_wire::ErrorCode::Denied,
            text: String::new()
        }
        .into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever order of well-formed messages: no panic, nothing stored of a scope not asked for, nothing live that
    /// was not current after its snapshot, and no delta on data not held.
    #[test]
    fn a_client_survives_any_order_of_messages(messages in prop::collection::vec(any_server_message(), 1..40)) {
        let mut c = welcomed();
        let mut committed: Vec<String> = Vec::new();
        let mut current: Vec<String> = Vec::new();
        for (i, m) in messages.into_iter().enumerate() {
            let now = 10 + i as u64;
            if let ServerMessage::Current(m) = &m {
                current.push(m.scope.clone());
            }
            let mut out = c.step(now, Event::Received { conn: 1, bytes: bytes(m) }, &Empty);
            out.extend(c.step(now, Event::Tick, &Empty));
            for e in out {
                match e {
                    Effect::BeginSnapshot { scope, .. } | Effect::StageChunk { scope, .. } => {
                        prop_assert!(scope == "dir" || scope == "ess:ED");
                    }
                    Effect::CommitSnapshot { scope, .. } => committed.push(scope),
                    Effect::ApplyDelta { scope, .. } => prop_assert!(committed.contains(&scope)),
                    Effect::Status { scope, status } if status.age == DataAge::Live => {
                        prop_assert!(committed.contains(&scope) && current.contains(&scope));
                    }
                    _ => {}
                }
            }
        }
    }

    /// A server given random bytes or out-of-turn messages closes; it never panics and never sends a patient's scope
    /// to a connection without a user.
    #[test]
    fn a_session_survives_random_bytes(inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)) {
        let mut s = ready();
        for (i, bytes) in inputs.into_iter().enumerate() {
            s.step(at(10 + i as u64), server::Event::Received(bytes.into()));
        }
    }
}

fn at(ms: u64) -> Now {
    Now {
        ms,
        wall_ms: 1_700_000_000_000,
    }
}

fn up(m: impl Into<ClientMessage>) -> server::Event {
    server::Event::Received(m.into().frame().unwrap().encode().unwrap())
}

/// A session whose device is accepted.
fn ready() -> Session {
    let mut s = Session::new(at(0), Arc::from("e1"), "ab".repeat(32), 7);
    s.step(
        at(1),
        up(ClientHello {
            min: 1,
            max: 1,
            device: "d1".into(),
            app: "t".into(),
        }),
    );
    let out = s.step(
        at(2),
        up(DeviceAuth {
            signature: "aa".into(),
            report: "{}".into(),
        }),
    );
    let signed = vitrine_sync::proof::device_auth(&"ab".repeat(32), "d1");
    assert!(
        out.iter()
            .any(|e| matches!(e, server::Effect::VerifyDevice { message, .. } if *message == signed))
    );
    let verdict = DeviceVerdict::Active {
        ward: "ED".into(),
        scopes: vec!["dir".into()],
        audit_seq: 0,
    };
    s.step(at(3), server::Event::Device(verdict));
    while s.poll_send(at(3)).is_some() {}
    s
}

fn said(s: &mut Session) -> Vec<ServerMessage> {
    std::iter::from_fn(|| s.poll_send(at(5)))
        .map(|b| ServerMessage::read(&Frame::decode(&b).unwrap()).unwrap())
        .collect()
}

fn ended(out: &[server::Effect], code: u16) -> bool {
    out.iter()
        .any(|e| matches!(e, server::Effect::Close { code: c, .. } if *c == code))
}

fn sub(scope: &str) -> Sub {
    Sub {
        scope: scope.into(),
        n: 1,
        have: None,
        resume: None,
    }
}

#[test]
fn a_session_gives_nothing_before_the_device_is_accepted() {
    let mut s = Session::new(at(0), Arc::from("e1"), "ab".repeat(32), 7);
    assert!(ended(&s.step(at(1), up(sub("dir"))), 1002));
    let mut s = Session::new(at(0), Arc::from("e1"), "ab".repeat(32), 7);
    s.step(
        at(1),
        up(ClientHello {
            min: 1,
            max: 1,
            device: "d1".into(),
            app: "t".into(),
        }),
    );
    s.step(
        at(2),
        up(DeviceAuth {
            signature: "aa".into(),
            report: "{}".into(),
        }),
    );
    assert!(ended(
        &s.step(at(3), server::Event::Device(DeviceVerdict::Refused)),
        1008
    ));
    assert!(said(&mut s).iter().any(|m| matches!(m, ServerMessage::Reject(_))));
    let mut s = Session::new(at(0), Arc::from("e1"), "ab".repeat(32), 7);
    assert!(
        ended(&s.step(at(10_000), server::Event::Tick), 1008),
        "a handshake has an end"
    );
}

#[test]
fn an_unknown_protocol_is_told_so() {
    let mut s = Session::new(at(0), Arc::from("e1"), "ab".repeat(32), 7);
    let out = s.step(
        at(1),
        up(ClientHello {
            min: 2,
            max: 3,
            device: "d1".into(),
            app: "t".into(),
        }),
    );
    assert!(ended(&out, 1008));
    let told = said(&mut s);
    assert!(
        matches!(&told[..], [ServerMessage::Reject(r)] if r.code == vitrine_wire::ErrorCode::ProtocolMismatch)
    );
}

#[test]
fn scopes_of_others_are_refused_without_a_look_at_the_data() {
    for (scope, why) in [
        ("ess:ICU", vitrine_wire::ErrorCode::Denied),
        ("ess:site", vitrine_wire::ErrorCode::Denied),
        ("pat:p1", vitrine_wire::ErrorCode::NotSignedIn),
    ] {
        let mut s = ready();
        let out = s.step(at(4), up(sub(scope)));
        assert!(out.is_empty(), "{scope}: {out:?}");
        assert!(matches!(&said(&mut s)[..], [ServerMessage::Reject(r)] if r.code == why && r.scope == scope));
    }
}

#[test]
fn signing_out_ends_patients_at_once_also_what_is_queued() {
    let mut s = ready();
    s.step(at(4), up(UserAuth { token: "t".into() }));
    s.step(
        at(4),
        server::Event::User {
            n: 1,
            verdict: Ok("lee".into()),
        },
    );
    let out = s.step(at(4), up(sub("pat:p1")));
    assert!(matches!(&out[..], [server::Effect::Decide { user: Some(u), .. }] if u == "lee"));
    s.step(at(4), up(Credit { bytes: 1_000 }));
    s.step(
        at(4),
        server::Event::Decided {
            scope: "pat:p1".into(),
            n: 1,
            verdict: Ok(()),
        },
    );
    let page = server::PageRead {
        frame: vitrine_sync::fanout::chunk("pat:p1", &[], None).unwrap(),
        next_after: None,
        pos: 7,
        rev: 1,
        total: 0,
        oldest: 0,
    };
    s.step(
        at(4),
        server::Event::Page {
            scope: "pat:p1".into(),
            n: 1,
            page,
        },
    );
    let out = s.step(at(5), up(UserAuth { token: String::new() }));
    assert!(
        out.iter()
            .any(|e| matches!(e, server::Effect::Unlisten { scope } if scope == "pat:p1"))
    );
    let told = said(&mut s);
    assert!(
        told.iter().all(|m| matches!(m, ServerMessage::UserWelcome(_))),
        "{told:?}"
    );
    let late = vitrine_sync::server::RowsRead::Unusable;
    assert!(
        s.step(
            at(6),
            server::Event::Rows {
                scope: "pat:p1".into(),
                n: 1,
                rows: late
            }
        )
        .is_empty()
    );
    assert!(said(&mut s).is_empty());
}

#[test]
fn a_revoked_device_hears_nothing_but_the_order_to_wipe() {
    let mut s = ready();
    s.step(
        at(4),
        server::Event::DeviceRevoked {
            nonce: "ab".into(),
            signature: "cd".into(),
        },
    );
    assert!(matches!(&said(&mut s)[..], [ServerMessage::Wipe(_)]));
    assert!(s.step(at(5), up(sub("dir"))).is_empty());
    let out = s.step(
        at(6),
        up(WipeDone {
            nonce: "ab".into(),
            signature: "ee".into(),
        }),
    );
    assert!(matches!(
        &out[..],
        [
            server::Effect::WipeDone { .. },
            server::Effect::Close { code: 1000, .. }
        ]
    ));
}

#[test]
fn floods_end_the_connection_and_silence_too() {
    let mut s = ready();
    let flood = (0..1_000).any(|_| ended(&s.step(at(4), up(Ping { n: 1 })), 1013));
    assert!(flood, "256 unread answers are enough");
    let mut s = ready();
    let many = (0..1_000_u64).any(|i| {
        let m = Sub { n: i, ..sub("dir") };
        ended(&s.step(at(4), up(m)), 1013)
    });
    assert!(many, "requests under way are bounded");
    let mut s = ready();
    assert!(ended(&s.step(at(30_000), server::Event::Tick), 1001));
}
