//! ORU and OUL: results. Each OBR is a DiagnosticReport, each OBX an Observation.

use super::Feed;
use super::observation::{self, Above, CATEGORY, Line};
use super::parts::{Remarks, Work, by_number, identifiers, name_of, written};
use super::vital;
use crate::draft::{How, Key, Mapped};
use crate::fault::Fault;
use crate::json::{Json, array, concept, object, text};
use crate::message::{Message, Seg};
use crate::time::Stamp;
use crate::types::{self, HL7};

const TAKEN: &[&str] = &["ORC", "OBR", "OBX", "NTE"];

/// Sections of table 0074 that are a laboratory's.
const LABORATORY: &[&str] = &[
    "LAB", "CH", "HM", "MB", "MCB", "MYC", "SR", "TX", "VR", "BLB", "CP", "CG", "GE", "IMM", "ICU", "OSL",
    "PHR", "PAR", "SP", "CY", "CYTO", "URN", "BG", "DRG",
];

/// An order and its results.
struct Group<'m> {
    orc: Option<Seg<'m>>,
    obr: Option<Seg<'m>>,
    remarks: Remarks,
    lines: Vec<Line<'m>>,
}

/// Maps ORU^R01, R30, R31, R32 and OUL^R21 to R24.
///
/// # Errors
/// [`Fault`]: no patient, or content that is not what it is said to be.
pub(super) fn map(message: &Message, feed: &Feed<'_>) -> Result<Mapped, Fault> {
    let mut work = Work::begin(message, feed)?;
    let oul = message.header().kind == "OUL";
    let groups = groups(&mut work, oul);
    if groups.iter().all(|g| g.obr.is_none() && g.lines.is_empty()) {
        let place = message.first("MSH").map(|s| s.place_of(9));
        if let Some(place) = place {
            work.note(place, "the message holds no result");
        }
    }
    let mut used = Vec::new();
    for group in &groups {
        push(&mut work, group, oul, &mut used)?;
    }
    Ok(work.done(TAKEN))
}

/// The segments in groups. ORC stands before its OBR, in OUL behind it.
fn groups<'w>(work: &mut Work<'w>, oul: bool) -> Vec<Group<'w>> {
    let empty = |orc, obr| Group {
        orc,
        obr,
        remarks: Remarks::default(),
        lines: Vec::new(),
    };
    let message = work.message;
    let mut out: Vec<Group<'w>> = Vec::new();
    let mut orc: Option<Seg<'w>> = None;
    for seg in message.segments() {
        match seg.name() {
            "ORC" => match out.last_mut() {
                Some(open) if oul && open.orc.is_none() && open.obr.is_some() => open.orc = Some(seg),
                _ => orc = Some(seg),
            },
            "OBR" => out.push(empty(orc.take(), Some(seg))),
            "OBX" => {
                if out.is_empty() {
                    out.push(empty(None, None));
                }
                if let Some(open) = out.last_mut()
                    && !open.lines.last_mut().is_some_and(|l| l.takes(seg))
                {
                    open.lines.push(Line {
                        obx: seg,
                        more: Vec::new(),
                        remarks: Remarks::default(),
                    });
                }
            }
            "NTE" => match out.last_mut() {
                Some(open) => match open.lines.last_mut() {
                    Some(line) => line.remarks.add(&seg),
                    None => open.remarks.add(&seg),
                },
                None => work.note(seg.place(), "a remark about the patient as a whole is not taken"),
            },
            _ => {}
        }
    }
    if let Some(orc) = orc {
        work.note(orc.place(), "an order without OBR: nothing is recorded of it");
    }
    out
}

/// Table 0123 as `DiagnosticReport.status`.
fn report_status(sent: &str) -> Option<&'static str> {
    Some(match sent {
        "F" => "final",
        "P" | "R" => "preliminary",
        "A" => "partial",
        "C" => "corrected",
        "I" | "O" | "S" => "registered",
        "X" => "cancelled",
        _ => return None,
    })
}

/// The order's key, the best first: the filler's number, else the placer's.
fn numbers(group: &Group<'_>, feed: &Feed<'_>) -> (Option<Key>, Option<Key>) {
    let of = |seg: &Option<Seg<'_>>, field: usize, purpose: &str| {
        seg.as_ref()
            .and_then(|s| types::ei_key(&s.rep(field), purpose, feed))
    };
    let filler = of(&group.obr, 3, "filler").or_else(|| of(&group.orc, 3, "filler"));
    let placer = of(&group.obr, 2, "placer").or_else(|| of(&group.orc, 2, "placer"));
    (filler, placer)
}

fn push(work: &mut Work<'_>, group: &Group<'_>, oul: bool, used: &mut Vec<Key>) -> Result<(), Fault> {
    let (filler, placer) = numbers(group, work.feed);
    let obr = group.obr.as_ref();
    let code = obr.and_then(|o| types::codeable_concept(&o.rep(4), work.feed));
    let section = obr.map(|o| o.text(24).to_ascii_uppercase()).unwrap_or_default();
    let specimen = obr.is_some_and(|o| !o.is_empty(15)) || work.message.first("SPM").is_some();
    let device = work.message.first("MSH").is_some_and(|m| {
        m.reps(21)
            .any(|r| r.text(1).starts_with("IHE_PCD") || r.text(3) == "1.3.6.1.4.1.19376.1.6.1.1.1")
    });
    let mut at = |field| obr.and_then(|o| work.time(o, field));
    let (taken, released) = ((at(7), at(8)), at(22));
    let mut key: Vec<String> = filler
        .as_ref()
        .or(placer.as_ref())
        .map(written)
        .into_iter()
        .collect();
    if !key.is_empty() {
        key.push(name_of(code.as_ref()));
        // The result that this order follows from: the organism of a susceptibility.
        key.extend(
            obr.map(|o| super::parts::whole(&o.rep(26)))
                .filter(|t| !t.is_empty()),
        );
    }
    let sent = obr.map(|o| o.text(25)).unwrap_or_default();
    let status = report_status(&sent);
    if let (None, false, Some(obr)) = (status, sent.is_empty(), obr) {
        work.note(
            obr.place_of(25),
            "the status is not in table 0123: it is recorded as unknown",
        );
    }
    let mut above = Above {
        obr: group.obr,
        key,
        taken,
        released,
        status: status.map(|s| if s == "partial" { "preliminary" } else { s }),
        laboratory: oul || LABORATORY.contains(&section.as_str()) || (section.is_empty() && specimen),
        device,
        report: None,
    };
    // A monitor's values are no report.
    let vital = |line: &Line<'_>| {
        let code = types::codeable_concept(&line.obx.rep(3), work.feed);
        code.is_some_and(|c| vital::of_device(&c) || vital::is_vital(&c))
    };
    let monitored = !above.laboratory && !group.lines.is_empty() && (device || group.lines.iter().all(vital));
    if let (Some(obr), false) = (obr, monitored) {
        above.report = Some(report(
            work,
            obr,
            &above,
            filler.as_ref(),
            placer.as_ref(),
            code,
            &section,
            &sent,
            used,
        ));
    }
    let mut results = Vec::new();
    results.extend(remark(work, group, &above, used));
    for line in &group.lines {
        results.extend(observation::push(work, &above, line, used)?);
    }
    if let (Some(report), Some(results)) = (
        above.report,
        array(results.into_iter().map(crate::draft_reference)),
    ) && let Some(draft) = work.mapped.drafts.get_mut(report)
    {
        crate::json::set(&mut draft.body, "result", results);
    }
    Ok(())
}

fn report(
    work: &mut Work<'_>,
    obr: &Seg<'_>,
    above: &Above<'_>,
    filler: Option<&Key>,
    placer: Option<&Key>,
    code: Option<Json>,
    section: &str,
    sent: &str,
    used: &mut Vec<Key>,
) -> usize {
    let mut parts = above.key.clone();
    if parts.is_empty() {
        let time = above
            .taken
            .0
            .as_ref()
            .or(above.released.as_ref())
            .or(work.sent.as_ref());
        parts = vec![
            work.patient_key(),
            name_of(code.as_ref()),
            time.map(|t| t.as_str().to_owned()).unwrap_or_default(),
        ];
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut key = work.own_key("report", &parts);
    let mut n = 1;
    while used.contains(&key) {
        n += 1;
        key.value = format!("{}|#{n}", work.own_key("report", &parts).value);
        work.note(
            obr.place(),
            "a second report under the same numbers and name: told apart by order",
        );
    }
    used.push(key.clone());
    let mut known = vec![key.clone()];
    known.extend(filler.cloned());
    let period = match &above.taken {
        (Some(from), Some(to)) if from.at_ms() < to.at_ms() => Some(object([
            ("start", Some(from.date_time())),
            ("end", Some(to.date_time())),
        ])),
        _ => None,
    };
    let instant = above
        .taken
        .0
        .as_ref()
        .filter(|_| period.is_none())
        .map(Stamp::date_time);
    let mut categories = Vec::new();
    if above.laboratory && section != "LAB" {
        categories.push(concept(&format!("{HL7}v2-0074"), "LAB", "Laboratory"));
    }
    if !section.is_empty() {
        categories.extend(types::concept_in(
            &obr.rep(24),
            &format!("{HL7}v2-0074"),
            work.feed,
        ));
    }
    let body = object([
        ("resourceType", text("DiagnosticReport")),
        ("identifier", identifiers(&known)),
        (
            "basedOn",
            placer.and_then(|k| array([by_number("ServiceRequest", k)])),
        ),
        ("status", text(report_status(sent).unwrap_or("unknown"))),
        ("category", array(categories)),
        (
            "code",
            Some(code.unwrap_or_else(|| {
                concept(
                    "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                    "unknown",
                    "Unknown",
                )
            })),
        ),
        ("subject", work.subject()),
        ("encounter", work.encounter()),
        ("effectivePeriod", period),
        ("effectiveDateTime", instant),
        ("issued", above.released.as_ref().and_then(Stamp::instant)),
        (
            "resultsInterpreter",
            interpreter(obr, work.feed).and_then(|i| array([i])),
        ),
    ]);
    let dated = observation::dated(work, [above.released.as_ref(), None]);
    work.push(
        "DiagnosticReport",
        vec![key],
        How::Replace,
        dated,
        obr.place(),
        body,
    )
}

/// OBR-32 (NDL): the parts of a name are subcomponents.
fn interpreter(obr: &Seg<'_>, feed: &Feed<'_>) -> Option<Json> {
    let who = obr.rep(32).part(1);
    let shown: Vec<String> = [6, 3, 4, 2, 5]
        .into_iter()
        .map(|n| who.text(n))
        .filter(|t| !t.is_empty())
        .collect();
    let key = text(who.text(1)).map(|_| types::identifier_of(&Key::new(feed.own("staff", ""), who.text(1))));
    if shown.is_empty() {
        return None;
    }
    Some(object([
        ("type", text("Practitioner")),
        ("identifier", key),
        ("display", text(shown.join(" "))),
    ]))
}

/// The NTE of an OBR: a DiagnosticReport of FHIR R4 has no place for remarks, so they are a result by themselves (LOINC 8251-1,
/// Service comment), where people read them beside the others.
fn remark(work: &mut Work<'_>, group: &Group<'_>, above: &Above<'_>, used: &mut Vec<Key>) -> Option<usize> {
    let obr = above.obr.as_ref()?;
    let words = text(group.remarks.text())?;
    let parts: Vec<String> = if above.key.is_empty() {
        let at = above.taken.0.as_ref().or(work.sent.as_ref());
        let at = at.map(|t| t.as_str().to_owned()).unwrap_or_default();
        vec![work.patient_key(), obr.text(4), at]
    } else {
        above.key.clone()
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).chain(["remark"]).collect();
    let mut key = work.own_key("result", &parts);
    let first = key.value.clone();
    let mut n = 1;
    while used.contains(&key) {
        n += 1;
        key.value = format!("{first}|#{n}");
    }
    used.push(key.clone());
    let category = above
        .laboratory
        .then(|| concept(CATEGORY, "laboratory", "Laboratory"));
    let body = object([
        ("resourceType", text("Observation")),
        ("identifier", identifiers(std::slice::from_ref(&key))),
        ("status", text(above.status.unwrap_or("unknown"))),
        ("category", category.and_then(|c| array([c]))),
        ("code", Some(concept(vital::LOINC, "8251-1", "Service comment"))),
        ("subject", work.subject()),
        ("encounter", work.encounter()),
        ("effectiveDateTime", above.taken.0.as_ref().map(Stamp::date_time)),
        ("issued", above.released.as_ref().and_then(Stamp::instant)),
        ("valueString", Some(words)),
    ]);
    let dated = observation::dated(work, [above.released.as_ref(), None]);
    Some(work.push("Observation", vec![key], How::Replace, dated, obr.place(), body))
}
