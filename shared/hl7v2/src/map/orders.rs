//! ORM, OMG, OML: orders as ServiceRequests; what an ORC says for orders of every kind.

use super::parts::{Remarks, Work, identifiers, name_of, whole};
use super::{Feed, medicines};
use crate::draft::{How, Key, Mapped};
use crate::fault::{Code, Fault};
use crate::json::{Json, array, concept, object, text};
use crate::message::{Message, Seg};
use crate::time::Stamp;
use crate::types;

const TAKEN: &[&str] = &["ORC", "OBR", "RXO", "RXR", "RXC", "TQ1", "NTE"];

/// An order with what belongs to it.
pub(super) struct Order<'m> {
    pub orc: Seg<'m>,
    /// OBR, RXO, RXE; the last of the medicine's two where both are there.
    pub detail: Option<Seg<'m>>,
    pub dispensed: Vec<Seg<'m>>,
    pub times: Vec<Seg<'m>>,
    pub routes: Vec<Seg<'m>>,
    pub parts: Vec<Seg<'m>>,
    pub remarks: Remarks,
}

/// What an ORC does to its order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Active,
    Held,
    Ended,
    Cancelled,
    Replaced,
    Completed,
    /// An answer or a link that changes nothing.
    Nothing,
    Unknown,
}

/// ORC-1 (table 0119); where it leaves that open, ORC-5 (table 0038).
pub(super) fn turn(orc: &Seg<'_>) -> Turn {
    let by_status = match orc.text(5).as_str() {
        "A" | "IP" | "SC" => Some(Turn::Active),
        "CM" => Some(Turn::Completed),
        "HD" => Some(Turn::Held),
        "DC" => Some(Turn::Ended),
        "CA" => Some(Turn::Cancelled),
        "RP" => Some(Turn::Replaced),
        _ => None,
    };
    match orc.text(1).as_str() {
        "NW" => Turn::Active,
        "XO" | "XX" | "XR" | "RL" | "OE" | "OR" | "OK" | "PA" | "CH" | "RO" | "SN" | "RF" | "AF" => {
            by_status.unwrap_or(Turn::Active)
        }
        "CA" | "OC" | "CR" | "UA" => Turn::Cancelled,
        "DC" | "OD" | "DR" => Turn::Ended,
        "HD" | "OH" | "HR" => Turn::Held,
        "RP" | "RU" | "RQ" => Turn::Replaced,
        "UC" | "UD" | "UH" | "UR" | "UM" | "UN" | "UX" | "UF" | "NA" | "NR" | "LI" | "DE" | "DF" | "MC" => {
            Turn::Nothing
        }
        _ => by_status.unwrap_or(Turn::Unknown),
    }
}

/// The orders of a message. What follows a second PV1 are earlier orders sent along: they came by themselves.
///
/// # Errors
/// [`Fault`]: a detail before any ORC, no order at all.
pub(super) fn orders<'w>(work: &mut Work<'w>) -> Result<Vec<Order<'w>>, Fault> {
    let message = work.message;
    let mut out: Vec<Order<'w>> = Vec::new();
    let fresh = |orc| Order {
        orc,
        detail: None,
        dispensed: Vec::new(),
        times: Vec::new(),
        routes: Vec::new(),
        parts: Vec::new(),
        remarks: Remarks::default(),
    };
    for seg in message.segments() {
        match (seg.name(), out.last_mut()) {
            ("ORC", _) => out.push(fresh(seg)),
            ("PV1", Some(_)) => {
                work.note(
                    seg.place(),
                    "earlier orders and results sent along with an order are not taken",
                );
                break;
            }
            ("OBR" | "RXO", Some(open)) => {
                if open.detail.is_some() {
                    let orc = open.orc;
                    out.push(fresh(orc));
                }
                if let Some(open) = out.last_mut() {
                    open.detail = Some(seg);
                }
            }
            ("RXE", Some(open)) => open.detail = Some(seg),
            ("RXD", Some(open)) => open.dispensed.push(seg),
            ("OBR" | "RXO" | "RXE" | "RXD", None) => {
                return Err(Fault::at(
                    Code::SegmentSequence,
                    seg.place(),
                    "an order begins with ORC: this one has none before it",
                ));
            }
            ("TQ1", Some(open)) => open.times.push(seg),
            ("RXR", Some(open)) => open.routes.push(seg),
            ("RXC", Some(open)) => open.parts.push(seg),
            ("NTE", Some(open)) => open.remarks.add(&seg),
            ("NTE", None) => work.note(seg.place(), "a remark about the patient as a whole is not taken"),
            _ => {}
        }
    }
    if out.is_empty() {
        super::required(message, "ORC")?;
    }
    Ok(out)
}

/// Under what an order is known: placer's and filler's number of the detail or the ORC, else the group's number and the name.
///
/// # Errors
/// [`Fault`]: none of them. Such an order could never be cancelled.
pub(super) fn numbers(order: &Order<'_>, name: &str, work: &Work<'_>) -> Result<Vec<Key>, Fault> {
    let of = |seg: Option<&Seg<'_>>, field: usize, purpose: &str| {
        seg.and_then(|s| types::ei_key(&s.rep(field), purpose, work.feed))
    };
    let obr = order.detail.as_ref().filter(|d| d.name() == "OBR");
    let placer = of(Some(&order.orc), 2, "placer").or_else(|| of(obr, 2, "placer"));
    let filler = of(Some(&order.orc), 3, "filler").or_else(|| of(obr, 3, "filler"));
    let mut keys: Vec<Key> = placer.into_iter().chain(filler).collect();
    if keys.is_empty()
        && let Some(group) = of(Some(&order.orc), 4, "group")
        && !name.is_empty()
    {
        keys.push(work.own_key("order", &[&super::parts::written(&group), name]));
    }
    if keys.is_empty() {
        return Err(Fault::at(
            Code::RequiredField,
            order.orc.place_of(2),
            "an order needs its placer's or its filler's number",
        ));
    }
    Ok(keys)
}

/// Maps ORM^O01, OMG^O19, OML^O21, O33, O35.
///
/// # Errors
/// [`Fault`]: no patient, an order without ORC, detail or number.
pub(super) fn map(message: &Message, feed: &Feed<'_>) -> Result<Mapped, Fault> {
    let mut work = Work::begin(message, feed)?;
    let laboratory = message.header().kind == "OML";
    let all = orders(&mut work)?;
    let mut used = Vec::new();
    for order in &all {
        match order.detail.as_ref().map(Seg::name) {
            Some("OBR") => service(&mut work, order, laboratory, &mut used)?,
            Some(_) => medicines::request(&mut work, order)?,
            None => {
                return Err(Fault::at(
                    Code::SegmentSequence,
                    order.orc.place(),
                    "an order without its detail (OBR, RXO): what is ordered cannot be told",
                ));
            }
        }
    }
    Ok(work.done(TAKEN))
}

/// Pushes nothing for what changes nothing, with a note.
pub(super) fn changes(work: &mut Work<'_>, order: &Order<'_>) -> Option<Turn> {
    let turn = turn(&order.orc);
    if turn == Turn::Nothing {
        work.note(
            order.orc.place_of(1),
            "an answer to an order: nothing is recorded of it",
        );
        return None;
    }
    if turn == Turn::Unknown {
        work.note(
            order.orc.place_of(1),
            "neither ORC-1 nor ORC-5 tells how the order stands: it is recorded as unknown",
        );
    }
    Some(turn)
}

/// From when an order's state is: when the message was made, else ORC-9. Not ORC-9 first: a cancellation may repeat the time of
/// the order.
pub(super) fn dated(work: &Work<'_>, orc: &Seg<'_>) -> Option<Stamp> {
    work.sent.clone().or_else(|| work.feed.time(&orc.text(9)))
}

/// TQ1-9 (table 0485), OBR-5, ORC-7.6.
pub(super) fn priority(order: &Order<'_>) -> Option<Json> {
    let obr = order.detail.as_ref().filter(|d| d.name() == "OBR");
    let sent = [
        order.times.first().map(|t| t.text(9)).unwrap_or_default(),
        obr.map(|o| o.text(5)).unwrap_or_default(),
        order.orc.rep(7).text(6),
    ];
    let sent = sent.into_iter().find(|t| !t.is_empty())?;
    text(match sent.as_str() {
        "S" | "STAT" => "stat",
        "A" | "ASAP" => "asap",
        "R" | "Routine" | "ROUTINE" => "routine",
        _ => return None,
    })
}

/// When it was ordered: ORC-9 of a new order; of another one that is when it was changed.
pub(super) fn authored(work: &mut Work<'_>, orc: &Seg<'_>) -> Option<Json> {
    let first = matches!(orc.text(1).as_str(), "NW" | "RO" | "SN");
    first.then(|| work.time(orc, 9)).flatten().map(|t| t.date_time())
}

fn service(
    work: &mut Work<'_>,
    order: &Order<'_>,
    laboratory: bool,
    used: &mut Vec<Key>,
) -> Result<(), Fault> {
    let Some(obr) = &order.detail else { return Ok(()) };
    let code = types::codeable_concept(&obr.rep(4), work.feed);
    let name = name_of(code.as_ref());
    let mut keys = numbers(order, &name, work)?;
    if keys.iter().any(|k| used.contains(k)) {
        work.note(
            obr.place(),
            "several services under one number: told apart by their codes",
        );
        let number = keys.first().map(super::parts::written).unwrap_or_default();
        let own = work.own_key("order", &[&number, &name]);
        if used.contains(&own) {
            return Err(Fault::at(
                Code::DuplicateKey,
                obr.place_of(4),
                "the same service twice under one number: each needs a number of its own",
            ));
        }
        keys = vec![own];
    }
    used.extend(keys.iter().cloned());
    let Some(turn) = changes(work, order) else {
        return Ok(());
    };
    if code.is_none() {
        work.note(obr.place_of(4), "the service is not named");
    }
    let status = match turn {
        Turn::Active => "active",
        Turn::Held => "on-hold",
        Turn::Ended | Turn::Cancelled | Turn::Replaced => "revoked",
        Turn::Completed => "completed",
        Turn::Nothing | Turn::Unknown => "unknown",
    };
    let first = order.times.first().copied();
    let start = first
        .and_then(|t| work.time(&t, 7))
        .or_else(|| work.feed.time(&order.orc.rep(7).text(4)))
        .or_else(|| work.time(obr, 6));
    let requester = [(&order.orc, 12), (obr, 16)]
        .into_iter()
        .find_map(|(s, f)| s.reps(f).find_map(|r| types::practitioner(&r, work.feed)));
    let mut remarks = Remarks::default();
    remarks.line(whole(&obr.rep(13)));
    remarks.line(order.remarks.text());
    let group = types::ei_key(&order.orc.rep(4), "group", work.feed);
    let authored = authored(work, &order.orc);
    let category = laboratory
        .then(|| concept("http://snomed.info/sct", "108252007", "Laboratory procedure"))
        .and_then(|c| array([c]));
    let body = object([
        ("resourceType", text("ServiceRequest")),
        ("identifier", identifiers(&keys)),
        ("requisition", group.as_ref().map(types::identifier_of)),
        ("status", text(status)),
        ("intent", text("order")),
        ("category", category),
        ("priority", priority(order)),
        ("code", code),
        ("subject", work.subject()),
        ("encounter", work.encounter()),
        ("occurrenceDateTime", start.map(|s| s.date_time())),
        ("authoredOn", authored),
        ("requester", requester),
        (
            "reasonCode",
            types::every(obr, 31, |r| types::codeable_concept(r, work.feed)),
        ),
        ("note", remarks.notes()),
    ]);
    let dated = dated(work, &order.orc);
    work.push("ServiceRequest", keys, How::Update, dated, obr.place(), body);
    Ok(())
}
