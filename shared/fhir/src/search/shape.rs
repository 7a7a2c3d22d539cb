//! What an element says, read by its shape.

use super::value::{Decimal, Span, Time};
use crate::json::Node as _;
use fhirkit::Json;
use vitrine_clinical::ResourceKey;

/// The elements a path leads to: arrays are walked, `[key=value]` keeps what has that member.
pub(super) fn elements<'j>(from: &'j Json, path: &str) -> Vec<&'j Json> {
    let mut nodes = vec![from];
    if path.is_empty() {
        return nodes;
    }
    for part in parts(path) {
        let (name, only) = match part.split_once('[') {
            None => (part, None),
            Some((name, rest)) => (name, rest.trim_end_matches(']').split_once('=')),
        };
        nodes = nodes
            .iter()
            .flat_map(|n| n.items(name))
            .filter(|n| only.is_none_or(|(key, value)| n.text(key) == Some(value)))
            .filter(|n| !matches!(n, Json::Null))
            .collect();
    }
    nodes
}

/// Splits at points that are in no brackets.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    path.split(move |c| {
        match c {
            '[' => within = true,
            ']' => within = false,
            _ => {}
        }
        c == '.' && !within
    })
}

/// A code with its system. A primitive code's system is its element's, which nobody has to say.
pub(super) struct Code<'j> {
    pub(super) system: Option<&'j str>,
    pub(super) code: Option<&'j str>,
    pub(super) is_primitive: bool,
}

/// What a token is compared with.
pub(super) fn codes(e: &Json) -> Vec<Code<'_>> {
    let primitive = |code| {
        vec![Code {
            system: None,
            code: Some(code),
            is_primitive: true,
        }]
    };
    match e {
        Json::String(code) => primitive(code),
        Json::Bool(true) => primitive("true"),
        Json::Bool(false) => primitive("false"),
        Json::Object(_) if e.get("coding").is_some() => e.items("coding").iter().flat_map(codes).collect(),
        Json::Object(_) => {
            let code = e.text("code").or_else(|| e.text("value"));
            let any = code.is_some() || e.text("system").is_some();
            any.then(|| Code {
                system: e.text("system"),
                code,
                is_primitive: false,
            })
            .into_iter()
            .collect()
        }
        _ => Vec::new(),
    }
}

/// The words of a token: of a CodeableConcept its text and displays, of a Coding its display, of an Identifier the text of its type.
pub(super) fn words_of_code(e: &Json) -> Vec<&str> {
    let mut words: Vec<&str> = e
        .items("coding")
        .iter()
        .filter_map(|c| c.text("display"))
        .collect();
    words.extend(e.text("text"));
    words.extend(e.text("display"));
    words.extend(e.at(&["type", "text"]).and_then(Json::as_str));
    words
}

/// The strings of an element: of a HumanName, Address or the like every part but `use`, `type` and `system`.
pub(super) fn strings(e: &Json) -> Vec<&str> {
    match e {
        Json::String(s) => vec![s],
        Json::Object(members) => members
            .iter()
            .filter(|(k, _)| !["use", "type", "system", "period", "extension", "id"].contains(&k.as_str()))
            .flat_map(|(_, v)| match v {
                Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
                one => one.as_str().into_iter().collect::<Vec<_>>(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The times of an element: a date, a Period, the events and bounds of a Timing.
pub(super) fn times(e: &Json) -> Vec<Time> {
    match e {
        Json::String(text) => Time::parse(text).into_iter().collect(),
        Json::Object(_) => {
            let part = |name: &str| e.text(name).and_then(Time::parse);
            if e.get("start").is_some() || e.get("end").is_some() {
                let (from, until) = (part("start"), part("end"));
                return vec![Time {
                    from: from.map_or(Time::ALWAYS.from, |t| t.from),
                    until: until.map_or(Time::ALWAYS.until, |t| t.until),
                }];
            }
            let events = e.items("event").iter().flat_map(times);
            let bounds = e.at(&["repeat", "boundsPeriod"]).into_iter().flat_map(times);
            events.chain(bounds).collect()
        }
        _ => Vec::new(),
    }
}

fn decimal(e: Option<&Json>) -> Option<Decimal> {
    match e? {
        Json::Number(text) => Decimal::parse(text),
        _ => None,
    }
}

/// A number, or what a Quantity or Range says of one.
pub(super) fn span(e: &Json) -> Option<Span> {
    if let Json::Number(text) = e {
        let at = Decimal::parse(text)?;
        return Some(Span {
            low: Some(at),
            high: Some(at),
        });
    }
    if e.get("low").is_some() || e.get("high").is_some() {
        return Some(Span {
            low: decimal(e.at(&["low", "value"])),
            high: decimal(e.at(&["high", "value"])),
        });
    }
    let at = decimal(e.get("value"))?;
    let (low, high) = match e.text("comparator") {
        Some("<" | "<=") => (None, Some(at)),
        Some(">" | ">=") => (Some(at), None),
        _ => (Some(at), Some(at)),
    };
    Some(Span { low, high })
}

/// System, code and unit of a Quantity; of a Range those of its ends.
pub(super) fn unit(e: &Json) -> (Option<&str>, Option<&str>, Option<&str>) {
    let of = ["low", "high"].iter().find_map(|end| e.get(end)).unwrap_or(e);
    (of.text("system"), of.text("code"), of.text("unit"))
}

/// The text of a reference, or a canonical.
pub(super) fn reference(e: &Json) -> Option<&str> {
    e.as_str().or_else(|| e.text("reference"))
}

/// Type and id of a reference to something here.
pub(super) fn local(text: &str) -> Option<ResourceKey> {
    let plain = text.split_once("/_history/").map_or(text, |(before, _)| before);
    ResourceKey::parse(plain).ok()
}
