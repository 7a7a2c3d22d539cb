//! A client and a session that got as far as their first subscriptions, and what they say.

use bytes::Bytes;
use std::sync::Arc;
use vitrine_sync::client::{Alarm, CacheView, Client, Config, Effect, Event, Held, Staged, Timing};
use vitrine_sync::server::{self, DeviceVerdict, Now, Session};
use vitrine_wire::digest::ScopeDigest;
use vitrine_wire::frame::Frame;
use vitrine_wire::message::*;

pub struct Empty;
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

pub fn bytes(m: impl Into<ServerMessage>) -> Bytes {
    m.into().frame().unwrap().encode().unwrap()
}

/// A client that has said who it is.
pub fn proven(training: bool) -> Client {
    let cfg = Config {
        device: "d1".into(),
        app: "test".into(),
        ward: "ED".into(),
        known_epoch: None,
        training,
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
    c
}

/// A client that was welcomed and has asked for `dir` (n = 1) and `ess:ED` (n = 2).
pub fn welcomed() -> Client {
    let mut c = proven(false);
    let welcome = Welcome {
        ward: "ED".into(),
        scopes: vec!["dir".into(), "ess:ED".into()],
        audit_seq: 0,
        training: None,
        layouts: None,
        layouts_signature: None,
        offline_days: None,
        ways: None,
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

pub fn sent(out: &[Effect]) -> Vec<ClientMessage> {
    out.iter()
        .filter_map(|e| match e {
            Effect::Send { bytes, .. } => Some(ClientMessage::read(&Frame::decode(bytes).unwrap()).unwrap()),
            _ => None,
        })
        .collect()
}

pub fn closed(out: &[Effect]) -> bool {
    out.iter().any(|e| matches!(e, Effect::Close { code: 1002, .. }))
        && out
            .iter()
            .any(|e| matches!(e, Effect::Alarm(Alarm::Violation(_))))
}

pub fn change(key: &str, prev: u64, ver: u64, body: bool) -> Change {
    let body = body.then(|| serde_json::value::to_raw_value(&1).unwrap());
    Change {
        key: key.into(),
        prev,
        ver,
        version: None,
        body,
    }
}

pub fn at(ms: u64) -> Now {
    Now {
        ms,
        wall_ms: 1_700_000_000_000,
    }
}

pub fn up(m: impl Into<ClientMessage>) -> server::Event {
    server::Event::Received(m.into().frame().unwrap().encode().unwrap())
}

/// A session whose device is accepted.
pub fn ready() -> Session {
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
        training: false,
        layouts: std::sync::Arc::default(),
        offline_days: 14,
        ways: vitrine_wire::message::WaysIn::default(),
    };
    s.step(at(3), server::Event::Device(verdict));
    while s.poll_send(at(3)).is_some() {}
    s
}

pub fn said(s: &mut Session) -> Vec<ServerMessage> {
    std::iter::from_fn(|| s.poll_send(at(5)))
        .map(|b| ServerMessage::read(&Frame::decode(&b).unwrap()).unwrap())
        .collect()
}

pub fn ended(out: &[server::Effect], code: u16) -> bool {
    out.iter()
        .any(|e| matches!(e, server::Effect::Close { code: c, .. } if *c == code))
}

pub fn sub(scope: &str) -> Sub {
    Sub {
        scope: scope.into(),
        n: 1,
        have: None,
        resume: None,
    }
}
