//! MDM: documents as DocumentReferences. T02, T04, T06, T08 and T10 bring the content, the others only tell of it.

use super::attachment;
use super::parts::{Work, by_number, identifiers, whole};
use super::value::is_words;
use super::{Feed, required};
use crate::draft::{How, Mapped};
use crate::fault::{Code, Fault};
use crate::json::{Json, array, concept, filled, object, text};
use crate::message::{Message, Seg};
use crate::time::Stamp;
use crate::types::{self, HL7};

const TAKEN: &[&str] = &["TXA", "OBX"];

/// Maps MDM^T01 to T11.
///
/// # Errors
/// [`Fault`]: no patient, no TXA, no document number (TXA-12), no content where the event brings it.
pub(super) fn map(message: &Message, feed: &Feed<'_>) -> Result<Mapped, Fault> {
    let mut work = Work::begin(message, feed)?;
    let txa = required(message, "TXA")?;
    let Some(key) = types::ei_key(&txa.rep(12), "document", feed) else {
        return Err(Fault::at(
            Code::RequiredField,
            txa.place_of(12),
            "a document needs its number (TXA-12)",
        ));
    };
    let event = message.header().event;
    let content = match event.as_str() {
        "T02" | "T04" | "T06" | "T08" | "T10" => Some(contents(&mut work)?),
        _ => None,
    };
    let kind = types::concept_in(&txa.rep(2), &format!("{HL7}v2-0270"), feed);
    // The first notice of a document gives way to the document; a later one changes only what it says, and the document must be
    // there for it (FHIR asks for a content).
    let (how, content) = match (content, event.as_str()) {
        (Some(content), _) => (How::Replace, Some(content)),
        (None, "T01" | "T05" | "T09") => (How::IfAbsent, Some(pointer(&txa))),
        (None, _) => (How::Update, None),
    };
    let (status, doc_status) = statuses(&mut work, &txa, &event);
    let relation = match event.as_str() {
        "T05" | "T06" => Some("appends"),
        "T09" | "T10" => Some("replaces"),
        _ => None,
    };
    let parent = types::ei_key(&txa.rep(13), "document", feed);
    let relates = match (relation, &parent) {
        (Some(code), Some(parent)) => array([object([
            ("code", text(code)),
            ("target", Some(by_number("DocumentReference", parent))),
        ])]),
        (Some(_), None) => {
            work.note(
                txa.place_of(13),
                "which document it adds to or replaces is not said",
            );
            None
        }
        _ => None,
    };
    let (active, made) = (work.time(&txa, 4), work.time(&txa, 6));
    let author = [9, 5]
        .into_iter()
        .map(|f| {
            txa.reps(f)
                .filter_map(|r| types::practitioner(&r, feed))
                .collect::<Vec<_>>()
        })
        .find(|all| !all.is_empty());
    let signed = [22, 10]
        .into_iter()
        .find_map(|f| txa.reps(f).find_map(|r| types::practitioner(&r, feed)));
    let context = filled(object([
        ("encounter", work.encounter().and_then(|e| array([e]))),
        (
            "period",
            active.as_ref().map(|s| object([("start", Some(s.date_time()))])),
        ),
    ]));
    let keys = vec![key];
    let body = object([
        ("resourceType", text("DocumentReference")),
        ("identifier", identifiers(&keys)),
        ("status", text(status)),
        ("docStatus", doc_status.and_then(text)),
        ("type", kind),
        ("subject", work.subject()),
        ("date", made.as_ref().or(active.as_ref()).and_then(Stamp::instant)),
        ("author", author.and_then(array)),
        ("authenticator", signed),
        ("relatesTo", relates),
        ("securityLabel", confidentiality(&mut work, &txa)),
        ("content", content),
        ("context", context),
    ]);
    let dated = super::happened(message, feed);
    work.push("DocumentReference", keys, how, dated, txa.place(), body);
    Ok(work.done(TAKEN))
}

/// The content in words for a document whose content is elsewhere.
fn pointer(txa: &Seg<'_>) -> Json {
    let title = [txa.text(16), txa.rep(2).text(2), txa.text(2)]
        .into_iter()
        .find(|t| !t.is_empty());
    let title = title.unwrap_or_else(|| "Document".to_owned());
    Json::Array(vec![object([(
        "attachment",
        Some(object([("title", text(title))])),
    )])])
}

/// The OBX: text as one plain text in their order, each ED and RP as a content of its own.
fn contents(work: &mut Work<'_>) -> Result<Json, Fault> {
    let message = work.message;
    let first = required(message, "OBX")?;
    let mut lines: Vec<String> = Vec::new();
    let mut others = Vec::new();
    for obx in message.all("OBX") {
        let kind = obx.text(2);
        for rep in obx.reps(5) {
            match kind.as_str() {
                "ED" => match attachment::of_ed(&obx, 5, &rep)? {
                    Some(content) => others.push(content),
                    None => work.note(obx.place_of(5), "the content is empty"),
                },
                "RP" => match attachment::of_rp(&rep) {
                    Some(content) => others.push(content),
                    None => lines.push(whole(&rep)),
                },
                _ if is_words(&kind) => lines.push(whole(&rep)),
                // A value inside a document: with its name and unit.
                _ => {
                    let name = [obx.rep(3).text(2), obx.text(3)]
                        .into_iter()
                        .find(|t| !t.is_empty());
                    let shown = match kind.as_str() {
                        "CE" | "CWE" | "CF" | "CNE" => {
                            [rep.text(2), rep.text(1)].into_iter().find(|t| !t.is_empty())
                        }
                        _ => None,
                    };
                    let value = shown.unwrap_or_else(|| whole(&rep));
                    let unit = [obx.rep(6).text(2), obx.text(6)]
                        .into_iter()
                        .find(|t| !t.is_empty());
                    let line = format!(
                        "{}: {value} {}",
                        name.unwrap_or_default(),
                        unit.unwrap_or_default()
                    );
                    lines.push(line.trim().trim_start_matches(": ").to_owned());
                }
            }
        }
        // An empty line of a text is a line.
        if is_words(&kind) && obx.reps(5).next().is_none() {
            lines.push(String::new());
        }
    }
    let words = lines.join("\n").trim().to_owned();
    let mut all = Vec::new();
    if !words.is_empty() {
        all.push(attachment::of_text(&first, &words)?);
    }
    all.extend(others);
    let all = all.into_iter().map(|a| object([("attachment", Some(a))]));
    array(all).ok_or_else(|| {
        Fault::at(
            Code::RequiredField,
            first.place_of(5),
            "the event brings the content of a document, but no OBX holds any",
        )
    })
}

/// TXA-19 (table 0273) and TXA-17 (table 0271).
fn statuses(work: &mut Work<'_>, txa: &Seg<'_>, event: &str) -> (&'static str, Option<&'static str>) {
    if event == "T11" {
        return ("entered-in-error", Some("entered-in-error"));
    }
    let status = match txa.text(19).as_str() {
        "" | "AV" => "current",
        "CA" => "entered-in-error",
        "OB" => "superseded",
        _ => {
            work.note(
                txa.place_of(19),
                "the availability is none of AV, CA, OB: taken as current",
            );
            "current"
        }
    };
    let doc_status = match txa.text(17).as_str() {
        "" => None,
        "AU" | "LA" if matches!(event, "T05" | "T06") => Some("amended"),
        "AU" | "LA" => Some("final"),
        "DI" | "DO" | "IN" | "IP" | "PA" => Some("preliminary"),
        _ => {
            work.note(
                txa.place_of(17),
                "the completion is not in table 0271: it is left out",
            );
            None
        }
    };
    (status, doc_status)
}

/// TXA-18 (table 0272) as v3-Confidentiality.
fn confidentiality(work: &mut Work<'_>, txa: &Seg<'_>) -> Option<Json> {
    let code = match txa.text(18).as_str() {
        "" => return None,
        "V" | "1" => "V",
        "R" | "2" => "R",
        "U" | "UC" | "3" => "N",
        // What cannot be told is not shown freely.
        _ => {
            work.note(
                txa.place_of(18),
                "the confidentiality is not in table 0272: taken as restricted",
            );
            "R"
        }
    };
    array([concept(&format!("{HL7}v3-Confidentiality"), code, "")])
}
