//! Every message of the protocol, made from random or fixed parts.

use serde_json::value::RawValue;
use vitrine_wire::ErrorCode;
use vitrine_wire::message::*;

/// Where the parts of a sample come from.
pub trait Source {
    fn text(&mut self) -> String;
    fn num(&mut self) -> u64;
}

/// Kinds a client sends.
pub const CLIENT_KINDS: std::ops::RangeInclusive<u8> = 1..=13;
/// Kinds a server sends.
pub const SERVER_KINDS: std::ops::RangeInclusive<u8> = 65..=84;

fn raw(s: &mut impl Source) -> Box<RawValue> {
    let json = serde_json::json!({ "text": s.text(), "n": s.num() }).to_string();
    RawValue::from_string(json).unwrap()
}

fn changes(s: &mut impl Source) -> Vec<Change> {
    let gone = Change {
        key: s.text(),
        prev: s.num(),
        ver: s.num(),
        version: None,
        body: None,
    };
    let there = Change {
        key: s.text(),
        prev: s.num(),
        ver: s.num(),
        version: None,
        body: Some(raw(s)),
    };
    vec![gone, there]
}

pub fn client(kind: u8, s: &mut impl Source) -> ClientMessage {
    match kind {
        1 => ClientHello {
            min: 1,
            max: 1,
            device: s.text(),
            app: s.text(),
        }
        .into(),
        2 => DeviceAuth {
            signature: s.text(),
            report: s.text(),
        }
        .into(),
        3 => UserAuth { token: s.text() }.into(),
        4 => Sub {
            scope: s.text(),
            n: s.num(),
            have: Some(Have {
                epoch: s.text(),
                pos: s.num(),
            }),
            resume: Some(Resume {
                epoch: s.text(),
                pos: s.num(),
                after: s.text(),
            }),
        }
        .into(),
        5 => Unsub { scope: s.text() }.into(),
        6 => Credit {
            bytes: u32::try_from(s.num() & 0xFFFF_FFFF).unwrap(),
        }
        .into(),
        7 => Digest {
            scope: s.text(),
            pos: s.num(),
            digest: s.text(),
        }
        .into(),
        8 => NeedRefs {
            scope: s.text(),
            buckets: vec![0, 7, 255],
        }
        .into(),
        9 => NeedItems {
            scope: s.text(),
            keys: vec![s.text(), s.text()],
        }
        .into(),
        10 => GrantUp {
            grant: raw(s),
            after: Some(GrantAfter {
                rev: 2,
                ended: Some(GrantEnd {
                    at_ms: i64::try_from(s.num() >> 1).unwrap(),
                    by: s.text(),
                }),
                words: Some(GrantWords {
                    at_ms: i64::try_from(s.num() >> 1).unwrap(),
                    text: s.text(),
                }),
            }),
        }
        .into(),
        11 => AuditUp {
            rows: vec![AuditRow {
                seq: s.num(),
                prev: s.text(),
                hash: s.text(),
                body: s.text(),
            }],
        }
        .into(),
        12 => WipeDone {
            nonce: s.text(),
            signature: s.text(),
        }
        .into(),
        13 => Ping { n: s.num() }.into(),
        other => panic!("no client message of kind {other}"),
    }
}

pub fn server(kind: u8, s: &mut impl Source) -> ServerMessage {
    let time = |s: &mut dyn FnMut() -> u64| i64::try_from(s() >> 1).unwrap();
    match kind {
        65 => ServerHello {
            protocol: 1,
            epoch: s.text(),
            pos: s.num(),
            server_time_ms: time(&mut || s.num()),
            nonce: s.text(),
        }
        .into(),
        66 => Welcome {
            ward: s.text(),
            scopes: vec![s.text(), s.text()],
            audit_seq: s.num(),
            training: Some(false),
            layouts: Some(r#"{"layouts":[]}"#.to_owned()),
            layouts_signature: Some("00".repeat(64)),
            offline_days: Some(14),
            ways: Some(WaysIn {
                badge_key: "11".repeat(32),
                provider: Some(ProviderIn {
                    name: s.text(),
                    required: true,
                }),
            }),
        }
        .into(),
        67 => UserWelcome { user: s.text() }.into(),
        68 => SnapBegin {
            scope: s.text(),
            epoch: s.text(),
            pos: s.num(),
            rev: s.num(),
            total: s.num(),
            resumed: s.num().is_multiple_of(2),
            n: s.num(),
        }
        .into(),
        69 => SnapChunk {
            scope: s.text(),
            items: changes(s),
            next_after: Some(s.text()),
        }
        .into(),
        70 => SnapEnd {
            scope: s.text(),
            epoch: s.text(),
            pos: s.num(),
            n: s.num(),
        }
        .into(),
        71 => Delta {
            scope: s.text(),
            pos: s.num(),
            changes: changes(s),
        }
        .into(),
        72 => PatientDelta {
            scope: s.text(),
            pos: s.num(),
            rev_prev: s.num(),
            rev: s.num(),
            changes: changes(s),
        }
        .into(),
        73 => Current {
            scope: s.text(),
            pos: s.num(),
            rev: s.num(),
            n: s.num(),
        }
        .into(),
        74 => Beat {
            pos: s.num(),
            server_time_ms: time(&mut || s.num()),
            behind_ms: s.num(),
            n: s.num(),
        }
        .into(),
        75 => DigestDiff {
            scope: s.text(),
            pos: s.num(),
            rev: s.num(),
            buckets: vec![s.text()],
        }
        .into(),
        76 => Refs {
            scope: s.text(),
            pos: s.num(),
            buckets: vec![1, 2],
            refs: vec![Ref {
                key: s.text(),
                ver: s.num(),
                hash: s.text(),
            }],
            more: s.num().is_multiple_of(2),
        }
        .into(),
        77 => Items {
            scope: s.text(),
            pos: s.num(),
            items: changes(s),
        }
        .into(),
        78 => GrantAck {
            id: s.text(),
            rev: Some(u32::try_from(s.num() & 0xFFFF).unwrap()),
            ended: s.num().is_multiple_of(2).then(|| GrantEnd {
                at_ms: 1_764_000_000_000,
                by: s.text(),
            }),
        }
        .into(),
        79 => AuditAck { seq: s.num() }.into(),
        80 => Reject {
            scope: s.text(),
            n: s.num(),
            code: ErrorCode::Denied,
            text: s.text(),
        }
        .into(),
        81 => Dirty {
            scope: s.text(),
            n: s.num(),
        }
        .into(),
        82 => Overload {
            retry_after_ms: u32::try_from(s.num() & 0xFFFF).unwrap(),
        }
        .into(),
        83 => Wipe {
            nonce: s.text(),
            signature: s.text(),
        }
        .into(),
        84 => Resumed {
            scope: s.text(),
            pos: s.num(),
            n: s.num(),
        }
        .into(),
        other => panic!("no server message of kind {other}"),
    }
}
