//! One OBX, with the OBX that are lines of the same text and its NTE, as an Observation or a DocumentReference.

use super::attachment;
use super::parts::{Remarks, Work, identifiers, organization, whole};
use super::quantity::{Unit, reference_range};
use super::value::{Value, is_words, value};
use super::vital;
use crate::draft::{How, Key};
use crate::fault::Fault;
use crate::json::{Json, array, concept, object, set, text};
use crate::message::Seg;
use crate::time::Stamp;
use crate::types;

const INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
const ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
pub(super) const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// Codes of table 0078 that v3-ObservationInterpretation has with the same meaning.
const MARKS: &[&str] = &[
    "L", "H", "LL", "HH", "<", ">", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I", "MS", "VS", "POS",
    "NEG", "IND", "DET", "ND", "HU", "LU", "H>", "L<", "E", "EX", "HX", "LX", "HM", "NR", "RR", "WR", "SDD",
    "NS", "SYN-R", "SYN-S", "TOX", "AC", "QCF", "CAR", "EXP", "UNE", "NCL",
];

/// A result: its first OBX, the further lines of its text, its remarks.
pub(super) struct Line<'m> {
    pub obx: Seg<'m>,
    pub more: Vec<Seg<'m>>,
    pub remarks: Remarks,
}

impl<'m> Line<'m> {
    /// Takes an OBX that is a further line of the same text.
    pub(super) fn takes(&mut self, next: Seg<'m>) -> bool {
        let same = |field: usize| whole(&self.obx.rep(field)) == whole(&next.rep(field));
        let fits = is_words(&self.obx.text(2)) && [2, 3, 4, 11, 14].into_iter().all(same);
        if fits {
            self.more.push(next);
        }
        fits
    }
}

/// What the order above says for all its results.
pub(super) struct Above<'m> {
    /// The OBR, where there is one.
    pub obr: Option<Seg<'m>>,
    /// Whose numbers and name begin the keys; empty without any number.
    pub key: Vec<String>,
    /// OBR-7 and OBR-8.
    pub taken: (Option<Stamp>, Option<Stamp>),
    /// OBR-22.
    pub released: Option<Stamp>,
    /// What OBX-11 means where it is empty.
    pub status: Option<&'static str>,
    /// It comes from a laboratory.
    pub laboratory: bool,
    /// It comes from a device, by its profile (MSH-21).
    pub device: bool,
    /// The DiagnosticReport.
    pub report: Option<usize>,
}

/// Table 0085 as `Observation.status`.
fn status(sent: &str) -> Option<&'static str> {
    Some(match sent {
        "F" | "V" | "N" => "final",
        "P" | "R" | "S" => "preliminary",
        "C" => "corrected",
        "A" | "B" => "amended",
        "D" | "W" => "entered-in-error",
        "I" => "registered",
        "X" => "cancelled",
        _ => return None,
    })
}

/// From when a result is: when it was released or analysed, the later of them, and not after the message was made (a clock that
/// is ahead would keep every later correction out); else when the message was made.
pub(super) fn dated(work: &Work<'_>, times: [Option<&Stamp>; 2]) -> Option<Stamp> {
    let latest = times.into_iter().flatten().max_by_key(|t| t.at_ms());
    match (latest, &work.sent) {
        (Some(t), Some(sent)) if sent.has_clock() && t.at_ms() > sent.at_ms() => Some(sent.clone()),
        (Some(t), _) => Some(t.clone()),
        (None, sent) => sent.clone(),
    }
}

/// Pushes what a line means. Gives the place of an Observation. `used`: the keys of the message so far.
pub(super) fn push(
    work: &mut Work<'_>,
    above: &Above<'_>,
    line: &Line<'_>,
    used: &mut Vec<Key>,
) -> Result<Option<usize>, Fault> {
    let obx = &line.obx;
    let kind = obx.text(2);
    let valued = obx.reps(5).next().is_some();
    let mut code = types::codeable_concept(&obx.rep(3), work.feed);
    if code.is_none() && !valued && line.remarks.is_empty() {
        work.note(
            obx.place(),
            "neither a test nor a value: nothing is recorded of it",
        );
        return Ok(None);
    }
    let sent = obx.text(11);
    if !valued && kind.is_empty() && sent == "X" && code.as_ref().is_some_and(vital::of_device) {
        work.note(obx.place(), "a device, not a value: nothing is recorded of it");
        return Ok(None);
    }
    if !valued && sent == "O" {
        work.note(
            obx.place(),
            "a detail of the order, without a result: nothing is recorded of it",
        );
        return Ok(None);
    }
    if let Some(code) = &mut code {
        vital::beside(code);
    } else {
        work.note(obx.place_of(3), "the test is not named");
    }
    let effective = work.time(obx, 14).or_else(|| above.taken.0.clone());
    let is_vital = !above.laboratory
        && (above.device
            || code
                .as_ref()
                .is_some_and(|c| vital::of_device(c) || vital::is_vital(c)));
    let name = super::parts::name_of(code.as_ref());
    let at = effective
        .as_ref()
        .map(|t| t.as_str().to_owned())
        .unwrap_or_default();
    let sub = whole(&obx.rep(4));
    let mut parts = above.key.clone();
    if parts.is_empty() {
        parts.push(work.patient_key());
    }
    parts.extend([name, sub]);
    // Vital signs come again and again under one number; without a number the time is what tells results apart.
    if is_vital || above.key.is_empty() {
        parts.push(at.clone());
    }
    let key = unused(work, obx, &parts, &at, used);
    let dated = {
        let analysed = work.time(obx, 19);
        dated(work, [analysed.as_ref(), above.released.as_ref()])
    };
    let status = match sent.as_str() {
        "" => above.status.unwrap_or("unknown"),
        "U" => "final",
        other => status(other).unwrap_or_else(|| {
            if other != "O" {
                work.note(
                    obx.place_of(11),
                    "the status is not in table 0085: it is recorded as unknown",
                );
            }
            "unknown"
        }),
    };
    let code = code.unwrap_or_else(unnamed);
    if matches!(kind.as_str(), "ED" | "RP")
        && sent != "U"
        && let Some(content) = contents(work, obx, &kind)?
    {
        document(
            work,
            above,
            line,
            key,
            dated,
            status,
            code,
            content,
            effective.as_ref(),
        );
        return Ok(None);
    }
    let head = |status: &str| {
        object([
            ("resourceType", text("Observation")),
            ("identifier", identifiers(std::slice::from_ref(&key))),
            ("status", text(status)),
        ])
    };
    if sent == "U" && !valued {
        // Final without being sent again: the value that is recorded stays.
        let mut body = head(status);
        set(&mut body, "code", code);
        set(&mut body, "subject", crate::draft_reference(work.patient));
        let at = work.push("Observation", vec![key], How::Update, dated, obx.place(), body);
        // Where none is recorded there is none, and that is said.
        if let Some(draft) = work.mapped.drafts.get_mut(at) {
            draft.made_with = object([("dataAbsentReason", Some(concept(ABSENT, "unknown", "")))]);
        }
        return Ok(Some(at));
    }
    let unit = Unit::of(&obx.rep(6), work.feed);
    let (members, parted) = said(work, line, &kind, &code, &unit);
    let mut body = head(status);
    let range = reference_range(&whole(&obx.rep(7)), &unit);
    let laboratory = above.laboratory || (range.is_some() && !is_vital);
    let absent = (members.is_none() && parted.is_none()).then(|| {
        let why = match sent.as_str() {
            "X" => "not-performed",
            "N" => "not-asked",
            "I" | "P" | "R" | "S" => "temp-unknown",
            _ => "unknown",
        };
        concept(ABSENT, why, "")
    });
    let category = match (is_vital, laboratory) {
        (true, _) => array([concept(CATEGORY, "vital-signs", "Vital Signs")]),
        (false, true) => array([concept(CATEGORY, "laboratory", "Laboratory")]),
        (false, false) => None,
    };
    let performers = obx.reps(16).filter_map(|r| types::practitioner(&r, work.feed));
    let producer = [obx.text(23), obx.rep(15).text(2), obx.text(15)]
        .into_iter()
        .find(|t| !t.is_empty());
    let performers = array(performers.chain(producer.and_then(organization)));
    let (period, instant) = match (&above.taken, obx.is_empty(14)) {
        ((Some(from), Some(to)), true) if from.at_ms() < to.at_ms() => (
            Some(object([
                ("start", Some(from.date_time())),
                ("end", Some(to.date_time())),
            ])),
            None,
        ),
        _ => (None, effective.as_ref().map(Stamp::date_time)),
    };
    let all = [
        ("category", category),
        ("code", Some(code)),
        ("subject", work.subject()),
        ("encounter", work.encounter()),
        ("effectivePeriod", period),
        ("effectiveDateTime", instant),
        ("issued", above.released.as_ref().and_then(Stamp::instant)),
        ("performer", performers),
    ];
    let rest = [
        ("dataAbsentReason", absent),
        ("interpretation", interpretation(work, obx)),
        ("note", line.remarks.notes()),
        ("bodySite", types::codeable_concept(&obx.rep(20), work.feed)),
        ("method", types::codeable_concept(&obx.rep(17), work.feed)),
        ("referenceRange", range.and_then(|r| array([r]))),
        ("component", parted),
    ];
    for (name, value) in all
        .into_iter()
        .chain(members.map(|(n, v)| (n, Some(v))))
        .chain(rest)
    {
        if let Some(value) = value {
            set(&mut body, name, value);
        }
    }
    Ok(Some(work.push(
        "Observation",
        vec![key],
        How::Replace,
        dated,
        obx.place(),
        body,
    )))
}

/// A code for what the sender does not name.
fn unnamed() -> Json {
    concept(ABSENT, "unknown", "Unknown")
}

/// The value, or where OBX-5 repeats the values as components of the same code.
fn said(
    work: &mut Work<'_>,
    line: &Line<'_>,
    kind: &str,
    code: &Json,
    unit: &Unit,
) -> (Option<Value>, Option<Json>) {
    if is_words(kind) {
        let segs = std::iter::once(&line.obx).chain(&line.more);
        let lines: Vec<String> = segs.flat_map(|s| s.reps(5)).map(|r| whole(&r)).collect();
        let mut words = lines.join("\n").trim().to_owned();
        if !words.is_empty() && !unit.words().is_empty() {
            words = format!("{words} {}", unit.words());
        }
        return (text(words).map(|t| ("valueString", t)), None);
    }
    if kind == "ED" {
        // A content without data; one with data is a document.
        return (None, None);
    }
    let reps: Vec<_> = line.obx.reps(5).collect();
    let mut values: Vec<Value> = reps
        .iter()
        .filter_map(|rep| value(work, &line.obx, kind, rep, unit))
        .collect();
    if values.len() < 2 {
        return (values.pop(), None);
    }
    let component = |(name, value): Value| {
        let mut out = object([("code", Some(code.clone()))]);
        set(&mut out, name, value);
        out
    };
    (None, array(values.into_iter().map(component)))
}

/// OBX-8: table 0078 as v3-ObservationInterpretation; what is not in it stays as it was sent.
fn interpretation(work: &mut Work<'_>, obx: &Seg<'_>) -> Option<Json> {
    let mut out = Vec::new();
    for rep in obx.reps(8) {
        let mark = rep.text(1).to_ascii_uppercase();
        let system = rep.text(3).to_ascii_uppercase();
        let ours = system.is_empty() || system.contains("0078") || system == "HL7NNNN";
        if MARKS.contains(&mark.as_str()) && ours {
            out.push(object([
                ("coding", array([crate::json::coding(INTERPRETATION, &mark, "")])),
                ("text", text(rep.text(2)).filter(|_| rep.text(2) != mark)),
            ]));
        } else {
            work.note(
                obx.place_of(8),
                "the mark is not in table 0078: it is kept as it was sent",
            );
            out.extend(types::codeable_concept(&rep, work.feed));
        }
    }
    array(out)
}

/// A key that no other result of the message has.
fn unused(work: &mut Work<'_>, obx: &Seg<'_>, parts: &[String], at: &str, used: &mut Vec<Key>) -> Key {
    let of = |more: &str| {
        let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if !more.is_empty() {
            parts.push(more);
        }
        work.own_key("result", &parts)
    };
    let mut key = of("");
    let mut n = 1_u32;
    while used.contains(&key) {
        key = if n == 1 && !at.is_empty() {
            of(at)
        } else {
            of(&format!("#{n}"))
        };
        n += 1;
    }
    if n > 1 {
        work.note(
            obx.place_of(4),
            "the same test comes more than once under one sub-id: told apart by time, else by order",
        );
    }
    used.push(key.clone());
    key
}

/// The contents of OBX-5; none where there are none, which leaves an Observation without a value or with words.
fn contents(work: &mut Work<'_>, obx: &Seg<'_>, kind: &str) -> Result<Option<Json>, Fault> {
    let mut out = Vec::new();
    for rep in obx.reps(5) {
        let one = if kind == "ED" {
            attachment::of_ed(obx, 5, &rep)?
        } else {
            attachment::of_rp(&rep)
        };
        match one {
            Some(content) => out.push(object([("attachment", Some(content))])),
            None if kind == "RP" => return Ok(None),
            None => work.note(obx.place_of(5), "the content is empty"),
        }
    }
    Ok(array(out))
}

fn document(
    work: &mut Work<'_>,
    above: &Above<'_>,
    line: &Line<'_>,
    key: Key,
    dated: Option<Stamp>,
    status: &str,
    code: Json,
    content: Json,
    effective: Option<&Stamp>,
) {
    let wrong = matches!(status, "entered-in-error" | "cancelled");
    let doc_status = match status {
        "final" => Some("final"),
        "preliminary" | "registered" => Some("preliminary"),
        "corrected" | "amended" => Some("amended"),
        "entered-in-error" => Some("entered-in-error"),
        _ => None,
    };
    let authors = line
        .obx
        .reps(16)
        .filter_map(|r| types::practitioner(&r, work.feed));
    let date = above.released.as_ref().or(effective).and_then(Stamp::instant);
    let context = object([
        ("encounter", work.encounter().and_then(|e| array([e]))),
        (
            "related",
            above.report.and_then(|r| array([crate::draft_reference(r)])),
        ),
    ]);
    let body = object([
        ("resourceType", text("DocumentReference")),
        ("identifier", identifiers(std::slice::from_ref(&key))),
        ("status", text(if wrong { "entered-in-error" } else { "current" })),
        ("docStatus", doc_status.and_then(text)),
        ("type", Some(code)),
        ("subject", work.subject()),
        ("date", date),
        ("author", array(authors)),
        ("description", text(line.remarks.text())),
        ("content", Some(content)),
        ("context", crate::json::filled(context)),
    ]);
    work.push(
        "DocumentReference",
        vec![key],
        How::Replace,
        dated,
        line.obx.place(),
        body,
    );
}
