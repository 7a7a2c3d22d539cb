use super::*;
use proptest::prelude::*;

const PATIENT: &str = "{\n  \"resourceType\" : \"Patient\",\r\n\t\"multipleBirthInteger\":1,\"x\":72.50, \"big\":12345678901234567890.000 }";

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
fn id(text: &str) -> FhirId {
    FhirId::new(text).unwrap()
}

#[test]
fn an_id_is_inserted_after_the_type_or_replaced_in_place() {
    let with = text(with_id(PATIENT.as_bytes(), &id("a-1")).unwrap());
    assert_eq!(with, PATIENT.replace("\"Patient\"", "\"Patient\",\"id\":\"a-1\""));
    let again = text(with_id(with.as_bytes(), &id("b")).unwrap());
    assert_eq!(again, with.replace("a-1", "b"));
    assert_eq!(text(with_id(b"{}", &id("b")).unwrap()), "{\"id\":\"b\"}");
    assert_eq!(
        text(with_id(b" {\"a\":1}", &id("b")).unwrap()),
        " {\"id\":\"b\",\"a\":1}"
    );
}

#[test]
fn only_the_outermost_id_changes() {
    let source =
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"x"}],"id":"x"}"#;
    let want =
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"x"}],"id":"y"}"#;
    assert_eq!(text(with_id(source.as_bytes(), &id("y")).unwrap()), want);
}

#[test]
fn meta_keeps_what_else_it_holds() {
    let at = UtcMs(1_795_235_460_123);
    let stamped = |s: &str| text(with_meta(s.as_bytes(), 7, at).unwrap());
    let both = r#""versionId":"7","lastUpdated":"2026-11-21T04:31:00.123Z""#;
    assert_eq!(
        stamped(r#"{"resourceType":"Patient","id":"1","active":true}"#),
        format!(r#"{{"resourceType":"Patient","id":"1","meta":{{{both}}},"active":true}}"#)
    );
    assert_eq!(
        stamped(r#"{"resourceType":"Patient","meta":{"profile":["p"]}}"#),
        format!(r#"{{"resourceType":"Patient","meta":{{{both},"profile":["p"]}}}}"#)
    );
    assert_eq!(
        stamped(
            r#"{"resourceType":"Patient","meta":{ "versionId": "1" , "tag":[] , "lastUpdated":"2000" }}"#
        ),
        r#"{"resourceType":"Patient","meta":{ "versionId": "7" , "tag":[] , "lastUpdated":"2026-11-21T04:31:00.123Z" }}"#
    );
    assert_eq!(stamped(r#"{"meta":{}}"#), format!(r#"{{"meta":{{{both}}}}}"#));
    assert!(with_meta(br#"{"meta":[]}"#, 1, at).is_err());
}

#[test]
fn references_change_at_any_depth_and_nothing_else_does() {
    let source = r#"{"subject":{"reference":"urn:uuid:1"},"identifier":[{"value":"urn:uuid:1"}],
        "a":[{"b":{"reference" : "urn:uuid:1","display":"reference"}}],"c":{"reference":{"reference":"urn:\u0075uid:1"}}}"#;
    let map = &mut |r: &str| (r == "urn:uuid:1").then(|| "Patient/9".to_owned());
    let want = source
        .replace(r#"{"reference":"urn:uuid:1"}"#, r#"{"reference":"Patient/9"}"#)
        .replace(r#""reference" : "urn:uuid:1""#, r#""reference" : "Patient/9""#)
        .replace(r#""urn:\u0075uid:1""#, r#""Patient/9""#);
    assert_eq!(text(rewrite_references(source.as_bytes(), map).unwrap()), want);
    assert_eq!(references(source.as_bytes()).unwrap(), ["urn:uuid:1"; 3]);
}

#[test]
fn what_is_not_json_or_says_a_key_twice_is_refused() {
    for bad in [
        "",
        "[]",
        "{",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\n\"}",
        "{} x",
        "\u{feff}{}",
        "{\"a\":1,\"a\":2}",
        "{\"id\":\"1\",\"\\u0069d\":\"2\"}",
        "{\"a\":nul}",
        "{\"a\":\"",
    ] {
        assert!(with_id(bad.as_bytes(), &id("x")).is_err(), "{bad:?}");
    }
    assert!(with_id(b"{\"a\":\"\xff\"}", &id("x")).is_err());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(
        with_id(deep.as_bytes(), &id("x")).unwrap_err().0.code,
        IssueCode::TooMany
    );
}

/// A JSON value as text, with white space, escapes and awkward numbers.
fn json_text() -> impl Strategy<Value = String> {
    let space = prop_oneof![Just(""), Just(" "), Just("\n\t"), Just("\r\n  ")];
    let string = "[ -~é😀]{0,8}".prop_map(|s| serde_json::Value::from(s).to_string());
    let number = prop_oneof!["-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?"];
    let leaf = prop_oneof![string, number, Just("true".to_owned()), Just("null".to_owned())];
    leaf.prop_recursive(4, 48, 5, move |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..5);
        let members = proptest::collection::vec((0usize..6, inner), 0..5);
        prop_oneof![
            (items, space.clone()).prop_map(|(i, s)| format!("[{s}{}{s}]", i.join(&format!("{s},{s}")))),
            (members, space.clone()).prop_map(|(m, s)| {
                let names = ["reference", "id", "meta", "value", "a b", "é"];
                let mut seen = std::collections::BTreeSet::new();
                let parts: Vec<String> = m
                    .into_iter()
                    .filter(|(k, _)| seen.insert(*k))
                    .map(|(k, v)| format!("{}{s}:{s}{v}", serde_json::Value::from(names[k])))
                    .collect();
                format!("{{{s}{}{s}}}", parts.join(&format!(",{s}")))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_rewrite_that_changes_nothing_is_the_same_bytes(inner in json_text()) {
        let doc = format!("{{ \"resourceType\":\"Basic\",\"x\": {inner} }}");
        let same = rewrite_references(doc.as_bytes(), &mut |_| None).unwrap();
        prop_assert_eq!(text(same), doc);
    }

    #[test]
    fn a_rewrite_and_back_is_the_same_text(inner in json_text()) {
        let doc = format!("{{\"x\":{inner},\"s\":{{\"reference\":\"Patient/1\"}}}}");
        let there = rewrite_references(doc.as_bytes(), &mut |r| Some(format!("#{r}"))).unwrap();
        let back = rewrite_references(&there, &mut |r| r.strip_prefix('#').map(str::to_owned)).unwrap();
        // Escapes inside a rewritten reference may come back unescaped; every value stays.
        let value = |b: &[u8]| serde_json::from_slice::<serde_json::Value>(b).unwrap();
        prop_assert_eq!(value(&back), value(doc.as_bytes()));
        prop_assert_eq!(references(&back).unwrap(), references(doc.as_bytes()).unwrap());
    }

    #[test]
    fn an_id_leaves_every_other_byte(inner in json_text()) {
        let doc = format!("{{\"resourceType\":\"Basic\",\"x\":{inner}}}");
        let with = text(with_id(doc.as_bytes(), &id("k9")).unwrap());
        prop_assert_eq!(with.replacen(",\"id\":\"k9\"", "", 1), doc);
    }

    #[test]
    fn the_scanner_takes_what_serde_takes(text in "[{}\\[\\]\",:0-9a.eE+\\-\\\\ ntrue]{0,24}") {
        let doc = format!("{{\"x\":{text}}}");
        let ours = scan(doc.as_bytes(), MAX_DEPTH).is_ok();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&doc).is_ok();
        prop_assert_eq!(ours, theirs, "{}", doc);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = with_id(&bytes, &id("x"));
        let _ = with_meta(&bytes, 1, UtcMs(0));
        let _ = references(&bytes);
    }
}
