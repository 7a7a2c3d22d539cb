use super::*;

fn patched(before: &str, patch: &str) -> Result<String, FhirError> {
    let done = Patch::read(patch.as_bytes())?.apply(before.as_bytes())?;
    Ok(String::from_utf8(done).unwrap())
}

/// RFC 6902, appendix A: before, patch, after.
const APPENDIX: &[(&str, &str, &str, &str)] = &[
    (
        "A.1",
        r#"{"foo":"bar"}"#,
        r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
        r#"{"foo":"bar","baz":"qux"}"#,
    ),
    (
        "A.2",
        r#"{"foo":["bar","baz"]}"#,
        r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
        r#"{"foo":["bar","qux","baz"]}"#,
    ),
    (
        "A.3",
        r#"{"baz":"qux","foo":"bar"}"#,
        r#"[{"op":"remove","path":"/baz"}]"#,
        r#"{"foo":"bar"}"#,
    ),
    (
        "A.4",
        r#"{"foo":["bar","qux","baz"]}"#,
        r#"[{"op":"remove","path":"/foo/1"}]"#,
        r#"{"foo":["bar","baz"]}"#,
    ),
    (
        "A.5",
        r#"{"baz":"qux","foo":"bar"}"#,
        r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
        r#"{"baz":"boo","foo":"bar"}"#,
    ),
    (
        "A.6",
        r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
        r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
        r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
    ),
    (
        "A.7",
        r#"{"foo":["all","grass","cows","eat"]}"#,
        r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
        r#"{"foo":["all","cows","eat","grass"]}"#,
    ),
    (
        "A.8",
        r#"{"baz":"qux","foo":["a",2,"c"]}"#,
        r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
        r#"{"baz":"qux","foo":["a",2,"c"]}"#,
    ),
    (
        "A.10",
        r#"{"foo":"bar"}"#,
        r#"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
        r#"{"foo":"bar","child":{"grandchild":{}}}"#,
    ),
    (
        "A.11",
        r#"{"foo":"bar"}"#,
        r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
        r#"{"foo":"bar","baz":"qux"}"#,
    ),
    (
        "A.14",
        r#"{"/":9,"~1":10}"#,
        r#"[{"op":"test","path":"/~01","value":10}]"#,
        r#"{"/":9,"~1":10}"#,
    ),
    (
        "A.16",
        r#"{"foo":["bar"]}"#,
        r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
        r#"{"foo":["bar",["abc","def"]]}"#,
    ),
    (
        "copy",
        r#"{"a":[1.10]}"#,
        r#"[{"op":"copy","from":"/a/0","path":"/b"}]"#,
        r#"{"a":[1.10],"b":1.10}"#,
    ),
    (
        "whole",
        r#"{"a":1}"#,
        r#"[{"op":"replace","path":"","value":{"b":2}}]"#,
        r#"{"b":2}"#,
    ),
    (
        "escapes",
        r#"{"a/b":1,"c~d":2}"#,
        r#"[{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/c~0d","value":3}]"#,
        r#"{"c~d":3}"#,
    ),
    (
        "move to itself",
        r#"{"a":1}"#,
        r#"[{"op":"move","from":"/a","path":"/a"}]"#,
        r#"{"a":1}"#,
    ),
    (
        "equal numbers",
        r#"{"a":1.10,"b":-0}"#,
        r#"[{"op":"test","path":"/a","value":11e-1},{"op":"test","path":"/b","value":0.00}]"#,
        r#"{"a":1.10,"b":-0}"#,
    ),
    (
        "order of members",
        r#"{"a":{"x":1,"y":[2]}}"#,
        r#"[{"op":"test","path":"/a","value":{"y":[2],"x":1}}]"#,
        r#"{"a":{"x":1,"y":[2]}}"#,
    ),
    (
        "decimals stay",
        r#"{"v":72.50,"w":1e2}"#,
        r#"[{"op":"add","path":"/u","value":0.0100}]"#,
        r#"{"v":72.50,"w":1e2,"u":0.0100}"#,
    ),
    (
        "a number for a key",
        r#"{"a":{"0":1}}"#,
        r#"[{"op":"replace","path":"/a/0","value":2}]"#,
        r#"{"a":{"0":2}}"#,
    ),
];

#[test]
fn the_cases_of_the_rfc_come_out_as_it_says() {
    for (name, before, patch, after) in APPENDIX {
        assert_eq!(patched(before, patch).unwrap(), *after, "{name}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_its_index_and_pointer() {
    use IssueCode::{Invalid, NotFound, Structure, TooMany};
    for (name, before, patch, code, words) in [
        (
            "A.9",
            r#"{"baz":"qux"}"#,
            r#"[{"op":"test","path":"/baz","value":"bar"}]"#,
            Invalid,
            "operation 0 (test at \"/baz\")",
        ),
        (
            "A.12",
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#,
            NotFound,
            "\"/baz/bat\"",
        ),
        (
            "A.13",
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#,
            Structure,
            "twice",
        ),
        (
            "A.15",
            r#"{"/":9,"~1":10}"#,
            r#"[{"op":"test","path":"/~01","value":"10"}]"#,
            Invalid,
            "test failed",
        ),
        (
            "second",
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":"/a"},{"op":"remove","path":"/a"}]"#,
            NotFound,
            "operation 1 (remove at \"/a\")",
        ),
        (
            "beyond",
            r#"{"a":[1]}"#,
            r#"[{"op":"add","path":"/a/2","value":1}]"#,
            NotFound,
            "no such place",
        ),
        (
            "after the last",
            r#"{"a":[1]}"#,
            r#"[{"op":"replace","path":"/a/-","value":1}]"#,
            NotFound,
            "nothing",
        ),
        (
            "zeros",
            r#"{"a":[1,2]}"#,
            r#"[{"op":"remove","path":"/a/01"}]"#,
            NotFound,
            "nothing",
        ),
        (
            "sign",
            r#"{"a":[1,2]}"#,
            r#"[{"op":"remove","path":"/a/+1"}]"#,
            NotFound,
            "nothing",
        ),
        (
            "into itself",
            r#"{"a":{"b":1}}"#,
            r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
            Invalid,
            "into itself",
        ),
        (
            "from nowhere",
            r#"{"a":1}"#,
            r#"[{"op":"copy","from":"/x","path":"/b"}]"#,
            NotFound,
            "\"/x\"",
        ),
        (
            "root",
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":""}]"#,
            Invalid,
            "whole",
        ),
        (
            "no pointer",
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":"a"}]"#,
            Structure,
            "JSON Pointer",
        ),
        (
            "bad escape",
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":"/~2"}]"#,
            Structure,
            "JSON Pointer",
        ),
        (
            "no value",
            r#"{"a":1}"#,
            r#"[{"op":"add","path":"/b"}]"#,
            Structure,
            "value is missing",
        ),
        (
            "no op",
            r#"{"a":1}"#,
            r#"[{"path":"/b"}]"#,
            Structure,
            "op must be",
        ),
        (
            "other op",
            r#"{"a":1}"#,
            r#"[{"op":"merge","path":"/b","value":1}]"#,
            Structure,
            "op must be",
        ),
        (
            "no array",
            r#"{"a":1}"#,
            r#"{"op":"remove","path":"/a"}"#,
            Structure,
            "array",
        ),
        ("no JSON", r#"{"a":1}"#, "[", Structure, "not JSON"),
        (
            "id",
            r#"{"id":"a"}"#,
            r#"[{"op":"replace","path":"/id","value":"b"}]"#,
            Invalid,
            "id may not",
        ),
        (
            "type",
            r#"{"resourceType":"Patient"}"#,
            r#"[{"op":"remove","path":"/resourceType"}]"#,
            Invalid,
            "resourceType may not",
        ),
        (
            "version",
            r#"{"meta":{"versionId":"1"}}"#,
            r#"[{"op":"replace","path":"/meta/versionId","value":"2"}]"#,
            Invalid,
            "meta.versionId may not",
        ),
        (
            "meta",
            r#"{"meta":{"lastUpdated":"x"}}"#,
            r#"[{"op":"remove","path":"/meta"}]"#,
            Invalid,
            "meta.lastUpdated may not",
        ),
        (
            "bound",
            r#"{"a":1}"#,
            r#"[{"op":"test","path":"/a","value":2}]"#,
            Invalid,
            "another",
        ),
    ] {
        let e = patched(before, patch).unwrap_err().0;
        assert_eq!(e.code, code, "{name}: {e}");
        assert!(e.text.contains(words), "{name}: {e}");
        assert_eq!(code == Structure, e.expression.is_empty(), "{name}: {e}");
    }
    let many = format!(
        "[{}]",
        vec![r#"{"op":"test","path":"","value":{}}"#; MAX_OPERATIONS + 1].join(",")
    );
    assert_eq!(Patch::read(many.as_bytes()).unwrap_err().0.code, TooMany);
    let most = format!(
        "[{}]",
        vec![r#"{"op":"test","path":"","value":{}}"#; MAX_OPERATIONS].join(",")
    );
    assert_eq!(patched("{}", &most).unwrap(), "{}");
}

#[test]
fn copies_of_copies_end() {
    // Doubled forty times it would be a terabyte.
    let wide = vec![r#"{"op":"copy","from":"/a","path":"/a/-"}"#; 1_000].join(",");
    let nested = vec![r#"{"op":"copy","from":"/o","path":"/o/o"}"#; 1_000].join(",");
    for (before, ops) in [(r#"{"a":["0123456789"]}"#, wide), (r#"{"o":{"x":1}}"#, nested)] {
        let e = patched(before, &format!("[{ops}]")).unwrap_err().0;
        assert_eq!(e.code, IssueCode::TooMany, "{e}");
    }
    let text = format!(r#"{{"op":"add","path":"/t","value":"{}"}}"#, "x".repeat(100_000));
    let copies = vec![r#"{"op":"copy","from":"/t","path":"/a/-"}"#; 900].join(",");
    let e = patched(r#"{"a":[]}"#, &format!("[{text},{copies}]"))
        .unwrap_err()
        .0;
    assert_eq!(e.code, IssueCode::TooMany, "{e}");
}

#[test]
fn what_nothing_changes_is_the_very_bytes() {
    let spaced = "{ \"a\" : 1.10 ,\n \"b\": [ ] }";
    assert_eq!(
        patched(spaced, r#"[{"op":"test","path":"/a","value":1.1}]"#).unwrap(),
        spaced
    );
    assert_eq!(patched(spaced, "[]").unwrap(), spaced);
}
