//! The wire: every message there and back, hostile bytes, bodies cut over several frames, and the golden transcript
//! that makes any change of the wire visible (`VITRINE_BLESS=1` writes it anew; then PROTOCOL has to be thought of).

mod samples;

use proptest::prelude::*;
use samples::{CLIENT_KINDS, SERVER_KINDS, Source};
use std::fmt::Write;
use vitrine_wire::frame::{Assembler, Frame, FrameError, HEADER, Lane, MAX_BODY, MAX_FRAME};
use vitrine_wire::message::{ClientMessage, MessageError, ServerMessage};

/// Parts from a list of words and numbers, again from the beginning when used up.
#[derive(Debug)]
struct Parts {
    words: Vec<String>,
    numbers: Vec<u64>,
    at: usize,
}

impl Source for Parts {
    fn text(&mut self) -> String {
        self.at += 1;
        self.words[self.at % self.words.len()].clone()
    }
    fn num(&mut self) -> u64 {
        self.at += 1;
        self.numbers[self.at % self.numbers.len()]
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let words = prop::collection::vec(any::<String>(), 1..9);
    (words, prop::collection::vec(any::<u64>(), 1..9)).prop_map(|(words, numbers)| Parts {
        words,
        numbers,
        at: 0,
    })
}

/// Sends a frame and receives it at the other end.
fn travel(frame: &Frame) -> Frame {
    let mut assembler = Assembler::default();
    let mut whole = None;
    for part in frame.encode_parts().unwrap() {
        assert!(part.len() <= MAX_FRAME);
        assert!(whole.is_none());
        whole = assembler.take(&part).unwrap();
    }
    whole.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_message_arrives_as_it_was_sent(kind in CLIENT_KINDS, mut parts in parts()) {
        let sent = samples::client(kind, &mut parts).frame().unwrap();
        prop_assert_eq!(sent.kind, kind);
        let got = ClientMessage::read(&travel(&sent)).unwrap();
        prop_assert_eq!(got.frame().unwrap(), sent.clone());
        prop_assert_eq!(ServerMessage::read(&sent).err(), Some(MessageError::Kind(kind)));
    }

    #[test]
    fn every_server_message_arrives_as_it_was_sent(kind in SERVER_KINDS, mut parts in parts()) {
        let sent = samples::server(kind, &mut parts).frame().unwrap();
        prop_assert_eq!(sent.kind, kind);
        let got = ServerMessage::read(&travel(&sent)).unwrap();
        prop_assert_eq!(got.frame().unwrap(), sent.clone());
        prop_assert_eq!(ClientMessage::read(&sent).err(), Some(MessageError::Kind(kind)));
    }

    #[test]
    fn bytes_of_a_body_are_kept(text in "[ -~]{0,400}", digits in "-?[1-9][0-9]{0,30}\\.[0-9]{1,30}") {
        // A FHIR decimal and odd spacing inside a body must come out as they went in.
        let json = format!("{{\"v\" :  {digits},\n\"t\":{}}}", serde_json::to_string(&text).unwrap());
        let body = serde_json::value::RawValue::from_string(json.clone()).unwrap();
        let change = vitrine_wire::message::Change { key: "k".into(), prev: 0, ver: 1, version: None, body: Some(body) };
        let m = vitrine_wire::message::Delta { scope: "dir".into(), pos: 1, changes: vec![change] };
        let frame = travel(&ServerMessage::from(m).frame().unwrap());
        let ServerMessage::Delta(d) = ServerMessage::read(&frame).unwrap() else { panic!("another kind") };
        prop_assert_eq!(d.changes[0].body.as_ref().unwrap().get(), json);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    #[test]
    fn a_plausible_header_over_random_bytes_never_panics(
        kind in any::<u8>(), lane in 0_u8..5, flags in 0_u8..4, body in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        read_all(&header(kind, lane, flags, &body));
    }

    #[test]
    fn a_damaged_frame_never_panics(
        kind in SERVER_KINDS, mut parts in parts(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let mut bytes = samples::server(kind, &mut parts).frame().unwrap().encode().unwrap().to_vec();
        let i = at.index(bytes.len());
        bytes[i] = to;
        read_all(&bytes);
    }

    #[test]
    fn a_zstd_frame_that_lies_about_its_size_is_refused(real in 300_usize..5_000, claimed in 0_u8..255) {
        let packed = zstd_of(&vec![b'x'; real]);
        // The content size is where the frame header descriptor says; whatever is claimed, nothing larger comes out.
        let mut lying = packed.clone();
        lying[5] = claimed;
        if let Ok(frame) = Frame::decode(&header(74, 0, 1, &lying)) {
            prop_assert!(frame.body.len() <= MAX_BODY);
        }
    }
}

fn read_all(bytes: &[u8]) {
    let mut assembler = Assembler::default();
    for _ in 0..2 {
        if let Ok(Some(frame)) = assembler.take(bytes) {
            let _ = ServerMessage::read(&frame);
            let _ = ClientMessage::read(&frame);
        }
    }
    let _ = Frame::decode(bytes);
}

fn header(kind: u8, lane: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![1, kind, lane, flags, 0, 0, 0, 0];
    out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn zstd_of(body: &[u8]) -> Vec<u8> {
    let frame = Frame {
        kind: 74,
        lane: Lane::Control,
        body: body.to_vec().into(),
    };
    let bytes = frame.encode().unwrap();
    assert_eq!(bytes[3], 1, "compressed");
    bytes[HEADER..].to_vec()
}

/// A zstd frame of run-length blocks: a few bytes that become as many as one likes (RFC 8878).
fn bomb(blocks: u32, claim: Option<u64>) -> Vec<u8> {
    let mut out = vec![0x28, 0xB5, 0x2F, 0xFD];
    match claim {
        Some(size) => {
            out.push(0b1110_0000);
            out.extend_from_slice(&size.to_le_bytes());
        }
        None => out.extend_from_slice(&[0b0000_0000, 0x58]),
    }
    for i in 0..blocks {
        let last = u32::from(i + 1 == blocks);
        let block = last | (1 << 1) | ((128 * 1024) << 3);
        out.extend_from_slice(&block.to_le_bytes()[..3]);
        out.push(b'x');
    }
    out
}

#[test]
fn bombs_are_refused_before_they_unpack() {
    let huge = 128 * 1024 * 1000_u64;
    let honest = Frame::decode(&header(74, 0, 1, &bomb(1000, Some(huge))));
    assert!(
        matches!(honest, Err(FrameError::TooLarge { what: "body", .. })),
        "{honest:?}"
    );
    let liar = Frame::decode(&header(74, 0, 1, &bomb(1000, Some(1_000))));
    assert!(matches!(liar, Err(FrameError::Compression(_))), "{liar:?}");
    let silent = Frame::decode(&header(74, 0, 1, &bomb(1000, None)));
    assert!(matches!(silent, Err(FrameError::Compression(_))), "{silent:?}");
    let small = Frame::decode(&header(74, 0, 1, &bomb(2, Some(256 * 1024)))).unwrap();
    assert_eq!(
        small.body.len(),
        256 * 1024,
        "the same construction within the limit is read"
    );
}

#[test]
fn limits_and_reserved_bits_hold() {
    let long = vec![b' '; MAX_FRAME];
    assert!(matches!(
        Frame::decode(&header(74, 0, 0, &long)),
        Err(FrameError::TooLarge { what: "frame", .. })
    ));
    assert!(matches!(
        Frame::decode(&header(74, 4, 0, b"{}")),
        Err(FrameError::Lane(4))
    ));
    assert!(matches!(
        Frame::decode(&header(74, 0, 4, b"{}")),
        Err(FrameError::Reserved)
    ));
    let mut other = header(74, 0, 0, b"{}");
    other[0] = 2;
    assert_eq!(Frame::decode(&other), Err(FrameError::Version(2)));
    let mut dictionary = header(74, 0, 0, b"{}");
    dictionary[5] = 9;
    assert_eq!(Frame::decode(&dictionary), Err(FrameError::Dictionary(9)));
    assert!(matches!(
        Frame::decode(&header(74, 0, 0, b"{}")[..13]),
        Err(FrameError::Short { .. })
    ));
}

/// Text that does not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut x = 88_172_645_463_325_252_u64;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            u8::try_from(x >> 56).unwrap()
        })
        .collect()
}

#[test]
fn a_large_body_is_cut_and_lets_other_lanes_through() {
    let body = noise(3 * 1024 * 1024);
    let frame = Frame {
        kind: 69,
        lane: Lane::Bulk,
        body: body.into(),
    };
    let parts = frame.encode_parts().unwrap();
    assert!(parts.len() > 10 && parts.iter().all(|p| p.len() <= MAX_FRAME));
    assert!(matches!(frame.encode(), Err(FrameError::TooLarge { .. })));
    assert_eq!(
        Frame::decode(&parts[0]),
        Err(FrameError::Part),
        "a part is never taken for a whole"
    );
    let alert = Frame {
        kind: 74,
        lane: Lane::Control,
        body: "{}".into(),
    }
    .encode()
    .unwrap();
    let mut assembler = Assembler::default();
    for (i, part) in parts.iter().enumerate() {
        assert_eq!(assembler.take(&alert).unwrap().unwrap().kind, 74);
        let whole = assembler.take(part).unwrap();
        assert_eq!(whole.is_some(), i + 1 == parts.len());
        if let Some(whole) = whole {
            assert_eq!(whole, frame);
        }
    }
}

#[test]
fn a_body_without_end_or_changing_its_kind_is_refused() {
    let part = header(69, 3, 2, &noise(200 * 1024));
    let mut assembler = Assembler::default();
    let refused = (0..100).map(|_| assembler.take(&part)).find_map(Result::err);
    assert!(
        matches!(refused, Some(FrameError::TooLarge { what: "body", .. })),
        "{refused:?}"
    );
    let mut assembler = Assembler::default();
    assembler.take(&part).unwrap();
    assert_eq!(assembler.take(&header(70, 3, 0, b"{}")), Err(FrameError::Part));
    let body = vec![b'a'; MAX_BODY + 1];
    let over = Frame {
        kind: 69,
        lane: Lane::Bulk,
        body: body.into(),
    }
    .encode_parts();
    assert!(matches!(over, Err(FrameError::TooLarge { what: "body", .. })));
}

fn golden() -> String {
    let fixed = || Parts {
        words: vec!["ess:ED".into(), "e1".into(), "p-17".into(), "Zoë \"x\"\n".into()],
        numbers: vec![1, 42, u64::MAX, 9_007_199_254_740_993],
        at: 0,
    };
    let client = CLIENT_KINDS.map(|k| samples::client(k, &mut fixed()).frame().unwrap());
    let server = SERVER_KINDS.map(|k| samples::server(k, &mut fixed()).frame().unwrap());
    let mut out = String::new();
    for frame in client.chain(server) {
        let bytes = frame.encode().unwrap();
        let head: String = bytes[..8].iter().map(|b| format!("{b:02x}")).collect();
        writeln!(
            out,
            "{:>2} {head} {}",
            frame.kind,
            std::str::from_utf8(&frame.body).unwrap()
        )
        .unwrap();
    }
    out
}

#[test]
fn the_wire_is_as_in_the_golden_transcript() {
    let path = "tests/golden/messages.txt";
    let now = golden();
    if std::env::var_os("VITRINE_BLESS").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let then =
        std::fs::read_to_string(path).expect("tests/golden/messages.txt: write it with VITRINE_BLESS=1");
    for (a, b) in then.lines().zip(now.lines()) {
        assert_eq!(a, b, "the wire changed: older programs no longer understand it");
    }
    assert_eq!(then, now);
}

#[test]
fn frames_of_this_version_stay_readable() {
    // A compressed frame as written by version 1, in hex: reading it must never stop working.
    let path = "tests/golden/compressed.hex";
    let body = format!(
        "{{\"scope\":\"dir\",\"pos\":7,\"changes\":[],\"pad\":\"{}\"}}",
        "abc ".repeat(200)
    );
    if std::env::var_os("VITRINE_BLESS").is_some() {
        let bytes = Frame {
            kind: 71,
            lane: Lane::Essentials,
            body: body.clone().into(),
        }
        .encode()
        .unwrap();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        std::fs::write(path, hex + "\n").unwrap();
    }
    let hex = std::fs::read_to_string(path).unwrap();
    let bytes: Vec<u8> = hex
        .trim()
        .as_bytes()
        .chunks(2)
        .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap())
        .collect();
    let frame = Frame::decode(&bytes).unwrap();
    assert_eq!(
        (frame.kind, frame.lane, &frame.body[..]),
        (71, Lane::Essentials, body.as_bytes())
    );
}

#[test]
fn a_change_says_its_own_version_where_the_server_says_it() {
    for (text, version) in [
        (r#"{"key":"Flag/f","prev":4,"ver":9,"body":{}}"#, None),
        (
            r#"{"key":"Flag/f","prev":4,"ver":9,"version":3,"body":{}}"#,
            Some(3),
        ),
    ] {
        let change: vitrine_wire::message::Change = serde_json::from_str(text).unwrap();
        assert_eq!(change.version, version);
        assert_eq!(serde_json::to_string(&change).unwrap(), text);
    }
}
