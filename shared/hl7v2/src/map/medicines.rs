//! RDE, OMP, ORM with RXO: MedicationRequest. RDS: MedicationDispense. The guide has no map for them: this one is ours.
//! The sig is always there in words; dose, route, rate and timing only where the message says them in numbers and known codes.

use super::Feed;
use super::orders::{Order, Turn, authored, changes, dated, numbers, orders, priority};
use super::parts::{Work, by_number, identifiers, name_of, whole, written};
use super::quantity::Unit;
use super::timing::{When, when};
use crate::draft::{How, Mapped};
use crate::fault::{Code, Fault};
use crate::json::{Json, array, filled, object, set, text};
use crate::message::{Message, Rep, Seg};
use crate::types;

const TAKEN: &[&str] = &["ORC", "RXO", "RXE", "RXD", "RXR", "RXC", "TQ1", "NTE"];

/// The fields of RXO and RXE that mean the same.
struct Fields {
    code: usize,
    least: usize,
    most: usize,
    unit: usize,
    sig: usize,
    supply: usize,
    refills: usize,
    prescriber: usize,
    rate: usize,
    reason: usize,
    /// RXE-22, RXO-17: the amount is per so much time.
    per: usize,
}

const RXO: Fields = Fields {
    code: 1,
    least: 2,
    most: 3,
    unit: 4,
    sig: 7,
    supply: 11,
    refills: 13,
    prescriber: 14,
    rate: 21,
    reason: 20,
    per: 17,
};
const RXE: Fields = Fields {
    code: 2,
    least: 3,
    most: 4,
    unit: 5,
    sig: 7,
    supply: 10,
    refills: 12,
    prescriber: 13,
    rate: 23,
    reason: 27,
    per: 22,
};

/// Maps RDE^O11, RDE^O25, OMP^O09 and RDS^O13.
///
/// # Errors
/// [`Fault`]: no patient, an order without ORC, medicine or number.
pub(super) fn map(message: &Message, feed: &Feed<'_>) -> Result<Mapped, Fault> {
    let mut work = Work::begin(message, feed)?;
    let dispense = message.header().kind == "RDS";
    for order in &orders(&mut work)? {
        if dispense {
            dispensed(&mut work, order)?;
        } else {
            request(&mut work, order)?;
        }
    }
    Ok(work.done(TAKEN))
}

/// Words of a CWE.
fn words(rep: &Rep<'_>) -> String {
    [9, 2, 5, 1, 4]
        .into_iter()
        .map(|c| rep.text(c))
        .find(|t| !t.is_empty())
        .unwrap_or_default()
}

/// The order for a medicine.
///
/// # Errors
/// [`Fault`]: no RXO or RXE, no name of a medicine, no number.
pub(super) fn request(work: &mut Work<'_>, order: &Order<'_>) -> Result<(), Fault> {
    let Some(rx) = order
        .detail
        .as_ref()
        .filter(|d| matches!(d.name(), "RXO" | "RXE"))
    else {
        return Err(Fault::at(
            Code::SegmentSequence,
            order.orc.place(),
            "an order for a medicine without RXO or RXE: which medicine cannot be told",
        ));
    };
    let fields = if rx.name() == "RXE" { RXE } else { RXO };
    let Some(code) = types::codeable_concept(&rx.rep(fields.code), work.feed) else {
        return Err(Fault::at(
            Code::RequiredField,
            rx.place_of(fields.code),
            "the medicine is not named",
        ));
    };
    let mut keys = numbers(order, &name_of(Some(&code)), work)?;
    let number = if rx.name() == "RXE" {
        rx.text(15)
    } else {
        String::new()
    };
    if !number.is_empty() {
        keys.push(work.own_key("prescription", &[&number]));
    }
    let Some(turn) = changes(work, order) else {
        return Ok(());
    };
    let status = match turn {
        Turn::Active => "active",
        Turn::Held => "on-hold",
        Turn::Ended | Turn::Replaced => "stopped",
        Turn::Cancelled => "cancelled",
        Turn::Completed => "completed",
        // Shown with that status: an order that may be given is not left out.
        Turn::Nothing | Turn::Unknown => "unknown",
    };
    let parts = order.parts.iter().filter_map(|p| part(work, p));
    let (contained, reference, concept) = match array(parts.collect::<Vec<_>>()) {
        Some(parts) => {
            let medication = object([
                ("resourceType", text("Medication")),
                ("id", text("medicine")),
                ("code", Some(code)),
                ("ingredient", Some(parts)),
            ]);
            let reference = object([("reference", text("#medicine"))]);
            (array([medication]), Some(reference), Some(Json::Null))
        }
        None => (Some(Json::Null), Some(Json::Null), Some(code)),
    };
    let requester = [(&order.orc, 12), (rx, fields.prescriber)]
        .into_iter()
        .find_map(|(s, f)| s.reps(f).find_map(|r| types::practitioner(&r, work.feed)));
    let authored = authored(work, &order.orc);
    let dosage = dosage(work, order, rx, &fields);
    let supply = Unit::of(&rx.rep(fields.supply + 1), work.feed);
    let quantity = types::decimal(&rx.text(fields.supply)).map(|n| supply.quantity("", n));
    let refills = rx.text(fields.refills);
    let refills = (!refills.is_empty() && refills.len() <= 4 && refills.bytes().all(|b| b.is_ascii_digit()))
        .then(|| types::decimal(&refills))
        .flatten();
    let body = object([
        ("resourceType", text("MedicationRequest")),
        ("contained", contained),
        ("identifier", identifiers(&keys)),
        ("status", text(status)),
        ("intent", text("order")),
        ("priority", priority(order)),
        ("medicationCodeableConcept", concept),
        ("medicationReference", reference),
        ("subject", work.subject()),
        ("encounter", work.encounter()),
        ("authoredOn", authored),
        ("requester", requester),
        (
            "reasonCode",
            types::every(rx, fields.reason, |r| types::codeable_concept(r, work.feed)),
        ),
        ("note", order.remarks.notes()),
        ("dosageInstruction", dosage.and_then(|d| array([d]))),
        (
            "dispenseRequest",
            filled(object([
                ("numberOfRepeatsAllowed", refills),
                ("quantity", quantity),
            ])),
        ),
    ]);
    let dated = dated(work, &order.orc);
    work.push("MedicationRequest", keys, How::Update, dated, rx.place(), body);
    Ok(())
}

/// RXC: what a mixture is made of, with its amount in words.
fn part(work: &Work<'_>, rxc: &Seg<'_>) -> Option<Json> {
    let mut code = types::codeable_concept(&rxc.rep(2), work.feed)?;
    let unit = Unit::of(&rxc.rep(4), work.feed);
    let amount = format!("{} {}", rxc.text(3), unit.words());
    let shown = format!("{} {}", words(&rxc.rep(2)), amount.trim());
    if let Some(shown) = text(shown.trim()) {
        set(&mut code, "text", shown);
    }
    Some(object([("itemCodeableConcept", Some(code))]))
}

fn dosage(work: &mut Work<'_>, order: &Order<'_>, rx: &Seg<'_>, fields: &Fields) -> Option<Json> {
    let tq: Vec<Rep<'_>> = match (rx.name(), rx.is_empty(1)) {
        ("RXE", false) => rx.reps(1).collect(),
        _ => order.orc.reps(7).collect(),
    };
    let When {
        timing,
        as_needed,
        words: times,
        conditions,
    } = when(work, &order.times, &tq);
    let unit = Unit::of(&rx.rep(fields.unit), work.feed);
    let (least, most) = (rx.text(fields.least), rx.text(fields.most));
    let per = whole(&rx.rep(fields.per));
    let rated = Unit::of(&rx.rep(fields.rate + 1), work.feed);
    let rate = rx.text(fields.rate);
    let routes: Vec<String> = order
        .routes
        .iter()
        .map(|r| words(&r.rep(1)))
        .filter(|t| !t.is_empty())
        .collect();
    let sigs: Vec<String> = rx
        .reps(fields.sig)
        .map(|r| words(&r))
        .filter(|t| !t.is_empty())
        .collect();
    let amount = match (least.is_empty(), most.is_empty() || most == least) {
        (true, _) => most.clone(),
        (false, true) => least.clone(),
        (false, false) => format!("{least}-{most}"),
    };
    let mut sig = sigs.join("; ");
    if sig.is_empty() {
        let rate = if rate.is_empty() {
            String::new()
        } else {
            format!("at {rate} {}", rated.words())
        };
        let per = if per.is_empty() {
            String::new()
        } else {
            format!("per {per}")
        };
        let all = [
            format!("{amount} {}", unit.words()).trim().to_owned(),
            per,
            rate,
            routes.join(" or "),
        ];
        sig = all
            .into_iter()
            .filter(|t| !t.is_empty())
            .chain(times)
            .collect::<Vec<_>>()
            .join(", ");
    } else {
        let more = if timing.is_none() { &times } else { &conditions };
        if !more.is_empty() {
            sig = format!("{sig}; {}", more.join(", "));
        }
    }
    // An amount without a unit, or per a stretch of time, is no dose by itself.
    let plain = |t: &str| {
        types::decimal(t)
            .filter(|_| !unit.words().is_empty() && per.is_empty())
            .map(|n| unit.quantity("", n))
    };
    let (dose, range) = match (plain(&least), plain(&most)) {
        (Some(low), Some(high)) if most != least => {
            (None, Some(object([("low", Some(low)), ("high", Some(high))])))
        }
        (Some(one), Some(_)) => (Some(one), None),
        (Some(one), None) if most.is_empty() => (Some(one), None),
        _ => (None, None),
    };
    let rate = types::decimal(&rate)
        .filter(|_| !rated.words().is_empty())
        .map(|n| rated.quantity("", n));
    if let [_, second, ..] = order.routes.as_slice() {
        work.note(second.place(), "a choice of routes: they are kept as words");
    }
    let choice = (routes.len() > 1 && !sigs.is_empty()).then(|| format!("; {}", routes.join(" or ")));
    let sig = format!("{sig}{}", choice.unwrap_or_default());
    let [route, site, method] = match order.routes.as_slice() {
        [one] => [1, 2, 4].map(|f| types::codeable_concept(&one.rep(f), work.feed)),
        _ => [None, None, None],
    };
    let given = filled(object([
        ("doseRange", range),
        ("doseQuantity", dose),
        ("rateQuantity", rate),
    ]));
    filled(object([
        ("text", text(sig.trim())),
        ("timing", timing),
        ("asNeededBoolean", as_needed.then_some(Json::Bool(true))),
        ("site", site),
        ("route", route),
        ("method", method),
        ("doseAndRate", given.and_then(|g| array([g]))),
    ]))
}

/// RDS: what was handed out. It says nothing of how the order stands.
fn dispensed(work: &mut Work<'_>, order: &Order<'_>) -> Result<(), Fault> {
    if order.dispensed.is_empty() {
        work.note(
            order.orc.place(),
            "an order without RXD: nothing is recorded of it",
        );
    }
    for rxd in &order.dispensed {
        let Some(code) = types::codeable_concept(&rxd.rep(2), work.feed) else {
            return Err(Fault::at(
                Code::RequiredField,
                rxd.place_of(2),
                "the medicine is not named",
            ));
        };
        let numbers = numbers(order, &name_of(Some(&code)), work)?;
        let number = numbers.first().map(written).unwrap_or_default();
        let key = work.own_key(
            "dispense",
            &[
                &number,
                &rxd.text(1),
                &rxd.text(7),
                &rxd.text(3),
                &name_of(Some(&code)),
            ],
        );
        let unit = Unit::of(&rxd.rep(5), work.feed);
        let handed = work.time(rxd, 3).map(|t| t.date_time());
        let performer = rxd.reps(10).find_map(|r| types::practitioner(&r, work.feed));
        let body = object([
            ("resourceType", text("MedicationDispense")),
            ("identifier", identifiers(std::slice::from_ref(&key))),
            ("status", text("completed")),
            ("medicationCodeableConcept", Some(code)),
            ("subject", work.subject()),
            ("context", work.encounter()),
            (
                "performer",
                performer.and_then(|p| array([object([("actor", Some(p))])])),
            ),
            (
                "authorizingPrescription",
                numbers
                    .first()
                    .and_then(|k| array([by_number("MedicationRequest", k)])),
            ),
            (
                "quantity",
                types::decimal(&rxd.text(4)).map(|n| unit.quantity("", n)),
            ),
            ("whenHandedOver", handed),
            ("note", order.remarks.notes()),
        ]);
        let dated = dated(work, &order.orc);
        work.push(
            "MedicationDispense",
            vec![key],
            How::Replace,
            dated,
            rxd.place(),
            body,
        );
    }
    Ok(())
}
