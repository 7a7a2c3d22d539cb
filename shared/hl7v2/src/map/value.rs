//! OBX-5 by the data type that OBX-2 names, as `Observation.value[x]`.

use super::parts::{Work, whole};
use super::quantity::{Unit, compared, number};
use crate::json::{Json, object, text};
use crate::message::{Rep, Seg};
use crate::types;

/// Data types whose value is words; several of one code and sub-id are lines of one text.
pub(super) fn is_words(kind: &str) -> bool {
    matches!(kind, "ST" | "TX" | "FT")
}

/// A value and the member it goes into.
pub(super) type Value = (&'static str, Json);

/// What a repetition of OBX-5 says; words where it is not what OBX-2 says: a value is never left out for that.
pub(super) fn value(
    work: &mut Work<'_>,
    obx: &Seg<'_>,
    kind: &str,
    rep: &Rep<'_>,
    unit: &Unit,
) -> Option<Value> {
    if rep.is_empty() {
        return None;
    }
    let read = match kind {
        "NM" => number(&whole(rep), unit).map(|q| ("valueQuantity", q)),
        "SN" => structured(rep, unit),
        "CE" | "CWE" | "CF" | "CNE" => {
            types::codeable_concept(rep, work.feed).map(|c| ("valueCodeableConcept", c))
        }
        "DT" | "TS" | "DTM" => work
            .feed
            .time(&rep.text(1))
            .map(|t| ("valueDateTime", t.date_time())),
        "TM" => time_of_day(&rep.text(1)).map(|t| ("valueTime", Json::String(t))),
        "ST" | "TX" | "FT" | "ID" | "IS" => text(whole(rep)).map(|t| ("valueString", t)),
        _ => None,
    };
    if read.is_some() {
        return read;
    }
    let why = match kind {
        "" => "OBX-2 is empty: the value is kept as text",
        "NM" | "SN" => "the value is no number: it is kept as text",
        "DT" | "TS" | "DTM" | "TM" => "the value is no point in time: it is kept as text",
        _ => "a value of this data type is kept as text",
    };
    work.note(obx.place_of(5), why);
    // Without its unit a number in words would be a number without one.
    let words = match unit.words() {
        "" => whole(rep),
        unit => format!("{} {unit}", whole(rep)),
    };
    text(words).map(|t| ("valueString", t))
}

/// SN: `>^100`, `^1^-^5`, `^1^:^128`, `^2^+`.
fn structured(rep: &Rep<'_>, unit: &Unit) -> Option<Value> {
    let [sign, first, between, second] = [1, 2, 3, 4].map(|c| rep.text(c));
    let sign = if sign == "=" { String::new() } else { sign };
    let plain = |t: &str| types::decimal(t).map(|n| unit.quantity("", n));
    let bare = |t: &str| types::decimal(t).map(|n| Unit::default().quantity("", n));
    match (sign.as_str(), between.as_str(), second.is_empty()) {
        (sign, "", true) => {
            let (known, rest) = compared(sign);
            (rest.is_empty()).then_some(())?;
            Some(("valueQuantity", unit.quantity(known, types::decimal(&first)?)))
        }
        ("", "-", false) => Some((
            "valueRange",
            object([("low", Some(plain(&first)?)), ("high", Some(plain(&second)?))]),
        )),
        ("", ":" | "/", false) => Some((
            "valueRatio",
            object([
                ("numerator", Some(bare(&first)?)),
                ("denominator", Some(bare(&second)?)),
            ]),
        )),
        _ => None,
    }
}

/// TM without an offset; seconds that were not sent are 00, as FHIR asks.
pub(super) fn time_of_day(sent: &str) -> Option<String> {
    let digits = sent.split('.').next().unwrap_or_default();
    if !matches!(digits.len(), 4 | 6) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| digits.get(from..from + 2).unwrap_or("00");
    let fits = part(0) < "24" && part(2) < "60" && part(4) < "60";
    fits.then(|| format!("{}:{}:{}", part(0), part(2), part(4)))
}
