//! Whatever order of messages, whatever bytes.

use crate::support::*;
use proptest::prelude::*;
use vitrine_sync::client::{Effect, Event};
use vitrine_sync::server;
use vitrine_wire::message::*;
use vitrine_wire::view::DataAge;

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
