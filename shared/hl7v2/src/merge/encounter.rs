//! Visits: status, the history of places, participants and diagnoses.

use super::{items, put};
use crate::draft::Draft;
use crate::json::{Json, at as within, object};
use crate::time::Stamp;

/// What a message that is earlier than what is recorded may still tell: the status of a visit whose status nobody told yet (an
/// A08 came before its A01), and its beginning and end.
pub(super) fn filled_in(recorded: &Json, draft: &Draft) -> Option<Json> {
    let unknown = draft.kind == "Encounter" && status(recorded) == Some("unknown");
    let told = draft.body.get("status").filter(|_| unknown)?;
    let mut made = recorded.clone();
    put(&mut made, "status", told.clone());
    let mut period = recorded.get("period").cloned().unwrap_or_else(|| object([]));
    for source in [&draft.body, &draft.made_with] {
        for part in ["start", "end"] {
            let told = within(source, &["period", part]).filter(|t| **t != Json::Null);
            if let (None, Some(told)) = (period.get(part), told) {
                put(&mut period, part, told.clone());
            }
        }
    }
    if super::members(&period).next().is_some() {
        put(&mut made, "period", period);
    }
    let places = items(recorded.get("location")).to_vec();
    put_places(&mut made, places, None);
    Some(made)
}

/// What a message still tells that is earlier than what is recorded, and later than what told the status: that status, and when the
/// visit began or ended. A discharge that comes late ends the visit, whatever an A08 told of it meanwhile; where the patient lies
/// stays as the later message has it.
pub(super) fn late(recorded: &Json, draft: &Draft, at: Option<&Stamp>) -> Option<Json> {
    if draft.kind != "Encounter" || !super::meta::is_later_status(at, recorded) {
        return None;
    }
    let told = draft.body.get("status")?;
    let bare = Draft {
        body: object([
            ("status", Some(told.clone())),
            ("period", draft.body.get("period").cloned()),
        ]),
        ..draft.clone()
    };
    let mut made = recorded.clone();
    for (key, value) in super::members(&bare.body) {
        super::tell(&mut made, key, value);
    }
    settle(&mut made, &bare, Some(recorded), at);
    Some(made)
}

fn status(node: &Json) -> Option<&str> {
    node.get("status").and_then(Json::as_str)
}

/// The places of a visit after a message: one that the patient left is kept with its end, the new one comes last, the same one
/// again stays; of a visit that is over none is open.
pub(super) fn settle(made: &mut Json, draft: &Draft, recorded: Option<&Json>, at: Option<&Stamp>) {
    if draft.kind != "Encounter" {
        return;
    }
    begin(made, draft);
    let was = recorded.and_then(status);
    let mut places = items(recorded.and_then(|r| r.get("location"))).to_vec();
    let all_told = items(draft.body.get("location"));
    for told in all_told {
        let here = |p: &Json| is_open(p) && same_place(p, told);
        if let Some(there) = places.iter_mut().find(|p| here(p)) {
            if is_planned(there) {
                put(there, "status", Json::Null);
            }
            if let (None, Some(start)) = (within(there, &["period", "start"]), told.get("period")) {
                put(there, "period", start.clone());
            }
            continue;
        }
        // The last place of a visit that is over, told again.
        if is_over(status(made)) && places.last().is_some_and(|p| same_place(p, told)) {
            continue;
        }
        // Where the patient was only expected nobody ever was.
        if was == Some("planned") {
            places.retain(|p| !is_planned(p));
        }
        for left in places.iter_mut().filter(|p| is_open(p) && !is_planned(p)) {
            end(left, at.map(Stamp::date_time));
        }
        places.push(told.clone());
    }
    if all_told.is_empty() && was == Some("finished") && here(status(made)) {
        // Discharged by mistake: back where the patient was last.
        if let Some(last) = places.last_mut().filter(|p| !is_open(p)) {
            put(last, "status", Json::Null);
            let mut period = last.get("period").cloned().unwrap_or_else(|| object([]));
            put(&mut period, "end", Json::Null);
            let emptied = super::members(&period).next().is_none();
            put(last, "period", if emptied { Json::Null } else { period });
        }
    }
    if was == Some("planned") {
        for place in places.iter_mut().filter(|p| is_planned(p)) {
            put(place, "status", Json::Null);
        }
    }
    put_places(made, places, at);
}

/// An admission begins a visit that was only expected: its date is the beginning where none is told or recorded.
fn begin(made: &mut Json, draft: &Draft) {
    let start = within(&draft.made_with, &["period", "start"]);
    if let Some(start) = start.filter(|_| within(made, &["period", "start"]).is_none()) {
        let mut period = made.get("period").cloned().unwrap_or_else(|| object([]));
        put(&mut period, "start", start.clone());
        put(made, "period", period);
    }
}

/// Whether the patient is here by a status.
fn here(status: Option<&str>) -> bool {
    matches!(status, Some("arrived" | "triaged" | "in-progress" | "onleave"))
}

fn is_over(status: Option<&str>) -> bool {
    matches!(status, Some("finished" | "cancelled" | "entered-in-error"))
}

/// Gives every open place the status that the visit's asks for; one that is planned by somebody else stays so while the visit
/// goes on.
fn put_places(made: &mut Json, mut places: Vec<Json>, at: Option<&Stamp>) {
    if places.is_empty() {
        return;
    }
    let open = match status(made) {
        Some("planned") => Some("planned"),
        other if is_over(other) => Some("completed"),
        other if here(other) => Some("active"),
        _ => None,
    };
    let over = within(made, &["period", "end"])
        .cloned()
        .or_else(|| at.map(Stamp::date_time));
    for place in places.iter_mut().filter(|p| is_open(p)) {
        match open {
            Some("completed") => end(place, over.clone()),
            Some("active") if is_planned(place) => {}
            Some(word) => put(place, "status", Json::String(word.to_owned())),
            None => {}
        }
    }
    put(made, "location", Json::Array(places));
}

fn is_planned(place: &Json) -> bool {
    matches!(place_status(place), Some("planned" | "reserved"))
}

fn place_status(place: &Json) -> Option<&str> {
    place.get("status").and_then(Json::as_str)
}

fn is_open(place: &Json) -> bool {
    place_status(place) != Some("completed") && within(place, &["period", "end"]).is_none()
}

fn same_place(a: &Json, b: &Json) -> bool {
    let of = |p: &Json| within(p, &["location", "reference"]).cloned();
    of(a).is_some() && of(a) == of(b)
}

fn end(place: &mut Json, at: Option<Json>) {
    put(place, "status", Json::String("completed".into()));
    if let Some(at) = at {
        let mut period = place.get("period").cloned().unwrap_or_else(|| object([]));
        put(&mut period, "end", at);
        put(place, "period", period);
    }
}

/// Those of the types that the message names are replaced; the others stay.
pub(super) fn participants(made: &mut Json, told: &Json) {
    let kind = |p: &Json| {
        items(p.get("type")).first().map(|t| {
            items(t.get("coding"))
                .first()
                .and_then(|c| c.get("code"))
                .cloned()
        })
    };
    let told = items(Some(told));
    let mut all: Vec<Json> = items(made.get("participant")).to_vec();
    // At their places, so that the same again changes nothing.
    if told.iter().all(|t| all.iter().any(|a| a.same_as(t)))
        && all
            .iter()
            .all(|a| told.iter().any(|t| t.same_as(a)) || told.iter().all(|t| kind(t) != kind(a)))
    {
        return;
    }
    all.retain(|a| told.iter().all(|t| kind(t) != kind(a)));
    all.extend(told.iter().cloned());
    put(made, "participant", Json::Array(all));
}

/// The union by the Condition referred to.
pub(super) fn diagnoses(made: &mut Json, told: &Json) {
    let of = |d: &Json| within(d, &["condition", "reference"]).cloned();
    let mut all = items(made.get("diagnosis")).to_vec();
    for one in items(Some(told)) {
        match all.iter_mut().find(|d| of(d) == of(one)) {
            Some(there) => super::members(one).for_each(|(k, v)| put(there, k, v.clone())),
            None => all.push(one.clone()),
        }
    }
    put(made, "diagnosis", Json::Array(all));
}
