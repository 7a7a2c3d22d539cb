//! Messages as text, their drafts, and whether each of them is a resource.
#![allow(dead_code)]

use vitrine_hl7v2::charset::Charset;
use vitrine_hl7v2::json::Json;
use vitrine_hl7v2::{Draft, Fault, Feed, How, Mapped, Message, map, referred};

/// The head of a message of a kind.
pub fn head(kind: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|VITRINE|NORTH|20260301120000||{kind}|1|P|2.5.1\nPID|1||4711^^^MRN^MR||Okafor^Ada||19610412|F\n"
    )
}

/// Reads and maps; the sender's clocks are an hour east of UTC.
pub fn mapped(text: &str) -> Result<Mapped, Fault> {
    let text = text.replace('\n', "\r");
    let message = Message::read(text.as_bytes(), Charset::UTF_8)?;
    map(&message, &Feed::new("lab", &|_, _, _, _, _| 60))
}

/// The same, with every draft checked.
pub fn checked(text: &str) -> Mapped {
    let mapped = mapped(text).unwrap_or_else(|f| panic!("{f}\n{text}"));
    for (i, draft) in mapped.drafts.iter().enumerate() {
        let issues = issues(&mapped, i);
        assert!(
            issues.is_empty(),
            "{}: {issues:?}\n{}",
            draft.kind,
            draft.body.to_pretty()
        );
    }
    mapped
}

/// What is wrong with a draft as a resource, and with what the server needs beside it.
pub fn issues(mapped: &Mapped, at: usize) -> Vec<String> {
    let draft = &mapped.drafts[at];
    let mut out = Vec::new();
    if draft.keys.is_empty()
        || draft
            .keys
            .iter()
            .any(|k| k.system.is_empty() || k.value.is_empty())
    {
        out.push("no key".to_owned());
    }
    let Json::Object(mut members) = complete(&draft.body, mapped) else {
        return vec!["no object".to_owned()];
    };
    members.insert(1, ("id".to_owned(), Json::String(format!("x{at}"))));
    // Only what a document says is changed: the content is that which is recorded.
    if draft.kind == "DocumentReference" && draft.how == How::Update {
        assert!(members.iter().all(|(k, _)| k != "content"));
        let content = Json::parse(r#"[{"attachment":{"title":"as recorded"}}]"#).unwrap();
        members.push(("content".to_owned(), content));
    }
    match vitrine_fhir::validate(Json::Object(members).to_compact().as_bytes()) {
        Ok(e) if e.kind.as_str() == draft.kind => {}
        Ok(_) => out.push("of another kind".to_owned()),
        Err(issues) => out.extend(issues.iter().map(|i| format!("{i:?}"))),
    }
    out
}

/// With references to drafts as references to resources, and without what is to be removed.
fn complete(node: &Json, mapped: &Mapped) -> Json {
    match node {
        Json::Object(members) => Json::Object(
            members
                .iter()
                .filter(|(_, v)| *v != Json::Null)
                .map(|(k, v)| (k.clone(), complete(v, mapped)))
                .collect(),
        ),
        Json::Array(all) => Json::Array(all.iter().map(|n| complete(n, mapped)).collect()),
        Json::String(text) => Json::String(match referred(text) {
            Some(i) => format!("{}/x{i}", mapped.drafts[i].kind),
            None => text.clone(),
        }),
        other => other.clone(),
    }
}

/// The drafts of a kind.
pub fn of<'m>(mapped: &'m Mapped, kind: &str) -> Vec<&'m Draft> {
    mapped.drafts.iter().filter(|d| d.kind == kind).collect()
}

/// A member of a draft's body as JSON; empty where it is not there.
pub fn member(draft: &Draft, path: &str) -> String {
    let mut node = &draft.body;
    for step in path.split('.') {
        let next = match (node, step.parse::<usize>()) {
            (Json::Array(all), Ok(i)) => all.get(i),
            _ => node.get(step),
        };
        match next {
            Some(next) => node = next,
            None => return String::new(),
        }
    }
    match node {
        Json::String(text) => text.clone(),
        other => other.to_compact(),
    }
}

/// The notes in words.
pub fn notes(mapped: &Mapped) -> Vec<String> {
    mapped
        .notes
        .iter()
        .map(|n| format!("{} {}", n.place, n.text))
        .collect()
}
