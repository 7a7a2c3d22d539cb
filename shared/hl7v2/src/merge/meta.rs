//! `meta`: which message a resource is by, from when, and its labels.

use super::{Source, items, members, put};
use crate::draft::Draft;
use crate::json::{Json, array, at as within, coding, object, text};
use crate::time::Stamp;

/// The extension of `meta` with the date of the message that told last, as valueDateTime.
pub const TOLD: &str = "urn:vitrine:message-time";
/// The extension of `meta` with the date of the message that told a visit's status last, as valueDateTime: what else a later
/// message told of the visit (an A08) does not make a discharge that comes late untrue.
pub const STATUS: &str = "urn:vitrine:status-time";

/// The dates that a message leaves in `meta`; none where it leaves what is there.
#[derive(Clone, Copy, Default)]
pub(super) struct Dates<'a> {
    /// From when what is told is.
    pub(super) told: Option<&'a Stamp>,
    /// From when the status of a visit is.
    pub(super) status: Option<&'a Stamp>,
}

impl<'a> Dates<'a> {
    /// Those of a draft from a moment.
    pub(super) fn of(draft: &Draft, at: Option<&'a Stamp>) -> Self {
        let tells = draft.kind == "Encounter" && draft.body.get("status").is_some();
        Self {
            told: at,
            status: at.filter(|_| tells),
        }
    }
}

/// The resource with its `meta`: that of what is recorded, with the source, the message's date where it is later, that of the status
/// where the message tells one, and the draft's labels.
pub(super) fn marked(
    made: Json,
    recorded: Option<&Json>,
    draft: &Draft,
    source: &Source<'_>,
    dates: Dates<'_>,
) -> Json {
    let mut meta = recorded
        .and_then(|r| r.get("meta"))
        .cloned()
        .unwrap_or_else(|| object([]));
    put(&mut meta, "source", Json::String(uri(source)));
    for (url, at) in [(TOLD, dates.told), (STATUS, dates.status)] {
        let Some(at) = at else { continue };
        let mut extensions: Vec<Json> = items(meta.get("extension")).to_vec();
        extensions.retain(|e| e.get("url").and_then(Json::as_str) != Some(url));
        extensions.push(object([
            ("url", text(url)),
            ("valueDateTime", Some(at.date_time())),
        ]));
        put(&mut meta, "extension", Json::Array(extensions));
    }
    let labels = items(meta.get("security")).iter().cloned();
    let labels: Vec<Json> = labels.chain(missing_labels(recorded, draft)).collect();
    if let Some(labels) = array(labels) {
        put(&mut meta, "security", labels);
    }
    // The type first, then `meta`; without the id, which is the server's.
    let mut out = vec![
        ("resourceType".to_owned(), Json::String(draft.kind.to_owned())),
        ("meta".to_owned(), meta),
    ];
    let rest = members(&made).filter(|(k, _)| !matches!(*k, "resourceType" | "meta" | "id"));
    out.extend(rest.map(|(k, v)| (k.to_owned(), v.clone())));
    Json::Object(out)
}

/// `urn:vitrine:feed:<feed>#<control id>`.
fn uri(source: &Source<'_>) -> String {
    let mut out = format!("urn:vitrine:feed:{}#", source.feed);
    for b in source.control.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

fn missing_labels(recorded: Option<&Json>, draft: &Draft) -> Vec<Json> {
    let there = items(recorded.and_then(|r| within(r, &["meta", "security"])));
    let has = |system: &str, code: &str| {
        there.iter().any(|c| {
            c.get("system").and_then(Json::as_str) == Some(system)
                && c.get("code").and_then(Json::as_str) == Some(code)
        })
    };
    let wanted = draft.label.codings().filter(|(system, code)| !has(system, code));
    wanted.map(|(system, code)| coding(system, code, "")).collect()
}

/// Whether the draft has a label that the recorded resource lacks.
pub(super) fn adds_label(recorded: &Json, draft: &Draft) -> bool {
    !missing_labels(Some(recorded), draft).is_empty()
}

/// A date of the recorded resource, as FHIR text; none where no message told it.
fn dated<'j>(recorded: &'j Json, url: &str) -> Option<&'j str> {
    let extensions = items(within(recorded, &["meta", "extension"]));
    let ours = extensions
        .iter()
        .find(|e| e.get("url").and_then(Json::as_str) == Some(url));
    ours?.get("valueDateTime")?.as_str()
}

/// Whether a message is from before the one that told what is recorded. A date without a time of day is compared as far as
/// both are precise, so that it is never earlier than something of the same day.
pub(super) fn is_earlier(at: Option<&Stamp>, recorded: &Json) -> bool {
    order(at, dated(recorded, TOLD)) == Some(std::cmp::Ordering::Less)
}

/// Whether it is from after it.
pub(super) fn is_later(at: Option<&Stamp>, recorded: &Json) -> bool {
    order(at, dated(recorded, TOLD)) == Some(std::cmp::Ordering::Greater)
}

/// Whether it is from after the one that told the status of a visit.
pub(super) fn is_later_status(at: Option<&Stamp>, recorded: &Json) -> bool {
    order(at, dated(recorded, STATUS)) == Some(std::cmp::Ordering::Greater)
}

fn order(at: Option<&Stamp>, was: Option<&str>) -> Option<std::cmp::Ordering> {
    let at = at?;
    let then = Stamp::of_fhir(was?)?;
    if at.has_clock() && then.has_clock() {
        return Some(at.at_ms().cmp(&then.at_ms()));
    }
    let day = |text: &str| text.split('T').next().unwrap_or_default().to_owned();
    let (a, b) = (day(at.as_str()), day(then.as_str()));
    let both = a.len().min(b.len());
    Some(a.get(..both)?.cmp(b.get(..both)?))
}
