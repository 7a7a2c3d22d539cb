//! Clients that break the protocol.

use crate::support::*;
use std::sync::Arc;
use vitrine_sync::server::{self, DeviceVerdict, Session};
use vitrine_wire::message::*;

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
