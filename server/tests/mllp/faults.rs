//! What is wrong with a message is said in its answer, at its place; what is wrong with a connection ends it, and no other.

use super::line::{Ward, admit, result};

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_code_and_place() {
    let w = Ward::start("").await;
    let mut line = w.line().await;
    line.send(&admit("F0", "70010", "Harbour", "ED")).await;
    let lab = |control: &str, from: &str, to: &str| {
        result(control, "70010", "F", "4.0", "20260301100000").replacen(from, to, 1)
    };
    let cases: Vec<(String, &str, &str, &str)> = vec![
        (lab("F1", "ORU^R01^ORU_R01", "BAR^P01"), "AR", "200", "MSH^1^9"),
        (
            lab("F2", "ORU^R01^ORU_R01", "ADT^A99"),
            "AR",
            "201",
            "MSH^1^9^1^2",
        ),
        (lab("F3", "|P|2.5.1", "|T|2.5.1"), "AR", "202", "MSH^1^11"),
        (lab("F4", "|P|2.5.1", "|P|3.0"), "AR", "203", "MSH^1^12"),
        (
            lab("F5", "PID|1||70010^^^MRN^MR", "PID|1||"),
            "AE",
            "101",
            "PID^1^3",
        ),
        (lab("F6", "PID|1||70010^^^MRN^MR||\r", ""), "AE", "100", "PID^1"),
        (lab("F7", "70010^^^MRN", "79999^^^MRN"), "AE", "204", "PID^1^3"),
        (
            lab(
                "F8",
                "PID|1||70010^^^MRN^MR||",
                "PID|1||70010^^^MRN^MR||Nobody^Nil||20010517|M",
            ),
            "AE",
            "204",
            "PID^1^5",
        ),
        (
            lab("F9", "|P|2.5.1", "|P|2.5.1||||||EBCDIC"),
            "AE",
            "103",
            "MSH^1^18",
        ),
        (
            lab("FA", "Potassium panel", "Pota\u{df}ium").replacen("|P|2.5.1", "|P|2.5.1||||||ASCII", 1),
            "AE",
            "102",
            "MSH^1^18",
        ),
        (lab("FB", "PID|1", "no segment\rPID|1"), "AE", "100", ""),
        (lab("FC", "^~\\&", "^^^^"), "AE", "102", "MSH^1^2"),
    ];
    for (text, code, error, place) in &cases {
        let answer = line.send(text).await;
        assert_eq!(
            (answer.code.as_str(), answer.error.as_str(), answer.place.as_str()),
            (*code, *error, *place),
            "{text}\n{answer:?}"
        );
        for secret in ["Harbour", "Nobody", "79999", "70010", "Pota"] {
            assert!(!answer.text.contains(secret), "{answer:?}");
        }
    }
    // Each is held with its reason, the line goes on, and nothing of them is in the record.
    assert_eq!(w.messages(&["--state", "held"]).len(), cases.len());
    assert_eq!(line.send(&lab("FZ", "x", "x")).await.code, "AA");
    // The same control id with other content is another message: held, not taken for the first.
    let other = lab("FZ", "4.0", "9.9");
    let answer = line.send(&other).await;
    assert_eq!((answer.code.as_str(), answer.error.as_str()), ("AE", "205"));
    let id = w.patient("70010").await["id"].as_str().unwrap().to_owned();
    let all = w.everything(&id).await;
    let values: Vec<String> = all
        .iter()
        .filter(|r| r["resourceType"] == "Observation")
        .map(|r| r["valueQuantity"]["value"].to_string())
        .collect();
    assert_eq!(values, ["4.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_block_ends_its_connection_alone() {
    let w = Ward::start("").await;
    let mut good = w.line().await;
    assert_eq!(good.send(&admit("G0", "70011", "Glass", "ED")).await.code, "AA");
    let long = vec![b'A'; 17 << 20];
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("no start", b"MSH|^~\\&|A\r\x1c\r".to_vec()),
        (
            "a start within",
            b"\x0bMSH|^~\\&|A\r\x0bMSH|^~\\&|A\r\x1c\r".to_vec(),
        ),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("too long", [b"\x0b".as_slice(), &long].concat()),
    ];
    for (name, bytes) in bad {
        let mut line = w.line().await;
        // The server may end it while it is still being written.
        let _ = line.raw(&bytes).await;
        assert_eq!(line.answer().await, None, "{name}");
        assert_eq!(
            good.send(&admit(&format!("G-{name}"), "70011", "Glass", "ED"))
                .await
                .code,
            "AA"
        );
    }
    // One that begins and does not go on holds nobody up.
    let mut slow = w.line().await;
    slow.raw(b"\x0bMSH|^~\\&|SLOW").await.unwrap();
    assert_eq!(good.send(&admit("G9", "70011", "Glass", "ED")).await.code, "AA");
    // An empty block is a message that cannot be read: answered, held.
    let mut empty = w.line().await;
    empty.raw(b"\x0b\x1c\r").await.unwrap();
    assert_eq!(empty.answer().await.unwrap().code, "AE");
}

#[tokio::test(flavor = "multi_thread")]
async fn byte_by_byte_it_is_the_same_message() {
    let w = Ward::start("").await;
    let mut line = w.line().await;
    let text = admit("S1", "70012", "Samplebury", "ED");
    for byte in vitrine_hl7v2::frame::block(text.as_bytes()) {
        line.raw(&[byte]).await.unwrap();
    }
    assert_eq!(line.answer().await.unwrap().code, "AA");
    // Two in one write: answered one after the other.
    let two = [
        vitrine_hl7v2::frame::block(result("S2", "70012", "F", "4.0", "20260301100000").as_bytes()),
        vitrine_hl7v2::frame::block(result("S3", "70012", "C", "4.4", "20260301110000").as_bytes()),
    ]
    .concat();
    line.raw(&two).await.unwrap();
    assert_eq!(line.answer().await.unwrap().control, "S2");
    assert_eq!(line.answer().await.unwrap().control, "S3");
}
