//! SIU: appointments. The guide has a map for S12; those of S13 to S17 and S26 are ours.

use super::parts::{Remarks, Work, identifiers};
use super::{Feed, required};
use crate::draft::{How, Mapped};
use crate::fault::{Code, Fault};
use crate::json::{Json, array, object, set, text};
use crate::message::{Message, Rep, Seg};
use crate::time::Stamp;
use crate::types::{self, HL7};
use vitrine_clinical::UtcMs;
use vitrine_clinical::format::civil::instant_utc;

const TAKEN: &[&str] = &["SCH", "TQ1", "NTE", "RGS", "AIS", "AIG", "AIL", "AIP"];

/// Maps SIU^S12 to S17 and S26.
///
/// # Errors
/// [`Fault`]: no patient, no SCH, no number, no time of an appointment that is to take place.
pub(super) fn map(message: &Message, feed: &Feed<'_>) -> Result<Mapped, Fault> {
    let mut work = Work::begin(message, feed)?;
    let sch = required(message, "SCH")?;
    let keys: Vec<_> = [(2, "filler-appointment"), (1, "placer-appointment")]
        .into_iter()
        .filter_map(|(f, purpose)| types::ei_key(&sch.rep(f), purpose, feed))
        .collect();
    if keys.is_empty() {
        return Err(Fault::at(
            Code::RequiredField,
            sch.place_of(2),
            "an appointment needs its filler's or its placer's number",
        ));
    }
    let event = message.header().event;
    let status = status(&mut work, &sch, &event);
    let (start, end, minutes) = span(&mut work, &sch);
    let over = matches!(status, "cancelled" | "entered-in-error" | "noshow");
    if !over && status != "waitlist" && (start.is_none() || end.is_none()) {
        return Err(Fault::at(
            Code::RequiredField,
            sch.place_of(11),
            "when the appointment begins and how long it is or when it ends is not said",
        ));
    }
    // FHIR takes both or none of them (app-2).
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (Some(start), Some(end)),
        _ => (None, None),
    };
    let mut remarks = Remarks::default();
    for nte in message.all("NTE") {
        remarks.add(&nte);
    }
    let reason = types::codeable_concept(&sch.rep(6), feed);
    let wide = |rep: &Rep<'_>| types::concept_in(rep, &format!("{HL7}v2-0276"), feed);
    let participants = participants(&mut work, over);
    let services = message
        .all("AIS")
        .filter(|s| s.text(2) != "D")
        .filter_map(|s| types::codeable_concept(&s.rep(3), feed));
    let mut body = object([
        ("resourceType", text("Appointment")),
        ("identifier", identifiers(&keys)),
        ("status", text(status)),
        (
            "cancelationReason",
            reason
                .clone()
                .filter(|_| matches!(status, "cancelled" | "noshow")),
        ),
        ("serviceType", array(services)),
        ("appointmentType", wide(&sch.rep(8))),
        ("reasonCode", wide(&sch.rep(7)).and_then(|r| array([r]))),
        ("start", start),
        ("end", end),
        ("minutesDuration", minutes.map(|m| Json::Number(m.to_string()))),
        ("comment", text(remarks.text())),
    ]);
    set(&mut body, "participant", Json::Array(participants));
    let dated = super::happened(message, feed);
    work.push("Appointment", keys, How::Update, dated, sch.place(), body);
    Ok(work.done(TAKEN))
}

/// By the event; of a new or changed one by SCH-25 (table 0278) where it says something else.
fn status(work: &mut Work<'_>, sch: &Seg<'_>, event: &str) -> &'static str {
    match event {
        "S15" | "S16" => return "cancelled",
        "S17" => return "entered-in-error",
        "S26" => return "noshow",
        _ => {}
    }
    match sch.text(25).to_ascii_uppercase().as_str() {
        "" | "BOOKED" | "OVERBOOK" | "SCHEDULED" => "booked",
        "PENDING" => "pending",
        "WAITLIST" => "waitlist",
        "STARTED" => "arrived",
        "COMPLETE" => "fulfilled",
        "CANCELLED" | "DC" => "cancelled",
        "DELETED" => "entered-in-error",
        "NOSHOW" => "noshow",
        _ => {
            work.note(
                sch.place_of(25),
                "the status is not in table 0278: taken as booked",
            );
            "booked"
        }
    }
}

/// Minutes of a number and its unit; none without a unit that is known.
fn minutes(amount: &str, unit: &Rep<'_>) -> Option<i64> {
    if amount.is_empty() || amount.len() > 5 || !amount.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: i64 = amount.parse().ok()?;
    let word = [unit.text(1), unit.text(2)].into_iter().find(|t| !t.is_empty())?;
    let all = match word.to_ascii_lowercase().as_str() {
        "min" | "m" | "minutes" | "minute" | "mins" => amount,
        "h" | "hr" | "hours" | "hour" => amount * 60,
        "s" | "sec" | "seconds" => amount / 60,
        _ => return None,
    };
    (all > 0).then_some(all)
}

/// SCH-11, TQ1, else the earliest of the resources: begin, end, minutes.
fn span(work: &mut Work<'_>, sch: &Seg<'_>) -> (Option<Json>, Option<Json>, Option<i64>) {
    let message = work.message;
    let feed = work.feed;
    let clock = |text: &str| feed.time(text).filter(Stamp::has_clock);
    let tq = sch.rep(11);
    let (mut start, mut end) = (clock(&tq.text(4)), clock(&tq.text(5)));
    let mut length = minutes(&sch.text(9), &sch.rep(10));
    if let Some(tq1) = message.first("TQ1") {
        start = start.or_else(|| clock(&tq1.text(7)));
        end = end.or_else(|| clock(&tq1.text(8)));
    }
    for (name, at, amount) in [("AIS", 4, 7), ("AIG", 8, 11), ("AIL", 6, 9), ("AIP", 6, 9)] {
        for seg in message.all(name) {
            start = start.or_else(|| clock(&seg.text(at)));
            length = length.or_else(|| minutes(&seg.text(amount), &seg.rep(amount + 1)));
        }
    }
    if let (Some(from), Some(to)) = (&start, &end) {
        if to.at_ms() < from.at_ms() {
            work.note(sch.place_of(11), "it ends before it begins: the end is left out");
            end = None;
        } else {
            length = Some((to.at_ms() - from.at_ms()) / 60_000)
                .filter(|m| (1..=99_999).contains(m))
                .or(length);
        }
    }
    let until = match (&start, &end, length) {
        (_, Some(end), _) => end.instant(),
        (Some(start), None, Some(length)) => {
            Some(Json::String(instant_utc(UtcMs(start.at_ms() + length * 60_000))))
        }
        _ => None,
    };
    (start.as_ref().and_then(Stamp::instant), until, length)
}

/// Who and what takes part. What is deleted from the appointment (action code D) is not.
fn participants(work: &mut Work<'_>, over: bool) -> Vec<Json> {
    let message = work.message;
    let feed = work.feed;
    let one = |actor: Option<Json>, status: &str, kind: Option<Json>| {
        object([
            ("type", kind.and_then(|k| array([k]))),
            ("actor", actor),
            ("status", text(status)),
        ])
    };
    let stands = |sent: String| match sent.to_ascii_uppercase().as_str() {
        "BOOKED" | "COMPLETE" | "STARTED" | "SCHEDULED" | "OVERBOOK" => "accepted",
        "PENDING" | "WAITLIST" => "tentative",
        "CANCELLED" | "DC" | "DELETED" | "BLOCKED" | "NOSHOW" => "declined",
        _ => "needs-action",
    };
    let mut out = vec![one(
        work.subject(),
        if over { "declined" } else { "accepted" },
        None,
    )];
    let named =
        |kind: &str, shown: String| Some(object([("type", text(kind)), ("display", Some(text(shown)?))]));
    for seg in message.segments() {
        let (actor, state, role) = match seg.name() {
            "AIP" => (
                seg.reps(3).find_map(|r| types::practitioner(&r, feed)),
                seg.text(12),
                types::codeable_concept(&seg.rep(4), feed),
            ),
            "AIL" => {
                let at = seg.rep(3);
                let words: Vec<String> = [4, 1, 2, 3]
                    .into_iter()
                    .map(|c| at.text(c))
                    .filter(|t| !t.is_empty())
                    .collect();
                (named("Location", words.join(" ")), seg.text(12), None)
            }
            "AIG" => {
                let what = [seg.rep(3).text(2), seg.text(3)]
                    .into_iter()
                    .find(|t| !t.is_empty());
                (
                    named("Device", what.unwrap_or_default()),
                    seg.text(14),
                    types::codeable_concept(&seg.rep(4), feed),
                )
            }
            _ => continue,
        };
        if seg.text(2) == "D" {
            continue;
        }
        match actor {
            Some(actor) => out.push(one(Some(actor), stands(state), role)),
            None => work.note(seg.place_of(3), "who or what takes part is not named"),
        }
    }
    out
}
