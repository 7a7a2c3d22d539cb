//! The audit log as FHIR AuditEvents after IHE BALP: made from its rows when they are asked for, not kept (ADR 40).
//!
//! Lives here: the read, the search (ITI-81's parameters as far as the log is indexed), the Bundle. Never here: the form
//! (`ops::forms::balp`), AuditEvents that somebody brought in (they are read like any other resource). Called by `read` and
//! `search`; nobody can write under these ids (`ingest::apply`).
//!
//! Who may read the audit log may read it here, the policy says who that is; each look is a row of the log.

use super::super::refusal::FhirRefusal;
use super::{Query, Wanted, answer};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use crate::ops::forms::{Known, balp};
use crate::ops::look;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::fmt::Write as _;
use vitrine_access::action::ReadAudit;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_fhir::IssueCode;
use vitrine_store::audit_find::{AuditQuery, FoundRow, read as read_body};

/// Rows of an answer when `_count` says nothing.
const ROWS: usize = 50;
/// Most rows of one answer: one about a board is an event for each of its patients.
const MOST: usize = 200;

/// What the search takes.
pub const PARAMETERS: &[(&str, &str, &str)] = &[
    (
        "patient",
        "reference",
        "Rows that name this patient: Patient/<id> or <id>.",
    ),
    (
        "date",
        "date",
        "ge, gt, le or lt and a day (UTC) or an instant; twice for a span. Without a beginning the last seven days.",
    ),
    (
        "agent",
        "reference",
        "Rows of whoever acts under this name: a person's sign-in name, a program, a workstation. As agent:identifier \
         of urn:vitrine:user, urn:vitrine:client, urn:vitrine:operator or urn:vitrine:device too.",
    ),
    (
        "subtype",
        "token",
        "Rows of this act, e.g. urn:vitrine:audit-act|read-card.",
    ),
];

fn bad(text: impl Into<String>) -> FhirRefusal {
    FhirRefusal::new(StatusCode::BAD_REQUEST, IssueCode::Value, "", text)
}

/// Whether a key is one of ours.
#[must_use]
pub fn is(key: &ResourceKey) -> bool {
    key.kind.as_str() == "AuditEvent" && key.id.as_str().starts_with(balp::OURS)
}

async fn permit(app: &App, caller: &Caller) -> Result<Permit<ReadAudit>, FhirRefusal> {
    let request = app.request(caller, None, None).await?;
    Ok(app.decide::<ReadAudit>(request).await?.noted("form", "balp"))
}

async fn known(app: &App) -> Result<Known, FhirRefusal> {
    let (node, url) = (&app.config.database.node, &app.config.listen.public_url);
    Ok(Known::of(&*app.store, node, url).await?)
}

/// Reads one.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn read(app: &App, caller: &Caller, key: &ResourceKey) -> Result<Response, FhirRefusal> {
    let permit = permit(app, caller)
        .await?
        .noted("use", "read")
        .noted("asked", key.to_string());
    app.store.append(permit.entry(Disclosure::default())).await?;
    let (chain, seq, nth) = balp::place(key.id.as_str()).ok_or_else(FhirRefusal::not_found)?;
    let chains = app.store.heads().await?;
    if !chains.iter().any(|(c, h)| *c == chain && h.seq >= seq) {
        return Err(FhirRefusal::not_found());
    }
    let rows = app.store.rows(&permit, &chain, seq - 1, 1).await?;
    let found = rows.into_iter().find(|r| r.row.seq == seq);
    let body = found.ok_or_else(FhirRefusal::not_found)?.row.body;
    let (entry, at) = read_body(body.as_bytes());
    let row = FoundRow {
        chain,
        seq,
        at,
        entry,
    };
    let mut events = balp::events(&row, &known(app).await?);
    if nth >= events.len() {
        return Err(FhirRefusal::not_found());
    }
    let event = events.swap_remove(nth);
    Ok(answer(StatusCode::OK, None, event.to_string().into_bytes()))
}

/// A day or an instant of FHIR, as a beginning and the end of what it names.
fn span(text: &str) -> Result<(UtcMs, UtcMs), FhirRefusal> {
    let unread = || bad("date is a day like 2026-11-22 (UTC) or an instant like 2026-11-22T14:00:00Z");
    if let (10, Ok(day)) = (text.len(), text.parse::<jiff::civil::Date>()) {
        let begin = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| unread())?;
        let begin = UtcMs(begin.timestamp().as_millisecond());
        return Ok((begin, begin.plus_ms(86_400_000)));
    }
    let at = text.parse::<jiff::Timestamp>().map_err(|_| unread())?;
    let at = UtcMs(at.as_millisecond());
    // What is not said of an instant is the rest of its second.
    let whole = !text.contains('.');
    Ok((at, at.plus_ms(if whole { 1_000 } else { 1 })))
}

fn narrow(query: &mut AuditQuery, said: &str) -> Result<(), FhirRefusal> {
    let (how, text) = match said.get(..2) {
        Some(how) if how.bytes().all(|b| b.is_ascii_lowercase()) => (how, said.get(2..).unwrap_or_default()),
        _ => ("eq", said),
    };
    let (begin, end) = span(text)?;
    let (from, until) = match how {
        "eq" => (Some(begin), Some(end)),
        "ge" => (Some(begin), None),
        "gt" | "sa" => (Some(end), None),
        "le" => (None, Some(end)),
        "lt" | "eb" => (None, Some(begin)),
        _ => return Err(bad("date takes the prefixes eq, ge, gt, le, lt, sa and eb")),
    };
    query.from = query.from.max(from);
    query.until = match (query.until, until) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Ok(())
}

/// The value of a parameter that may be given once and holds no list.
fn once<'q>(query: &'q Query, names: &[&str]) -> Result<Option<&'q str>, FhirRefusal> {
    let mut values = query.0.iter().filter(|(n, _)| names.contains(&n.as_str()));
    let first = values.next();
    if values.next().is_some() || first.is_some_and(|(_, v)| v.is_empty() || v.contains(',')) {
        return Err(bad(format!("give {} once, with one value", names[0])));
    }
    Ok(first.map(|(_, v)| v.as_str()))
}

/// What is asked of the log.
fn asked(query: &Query) -> Result<AuditQuery, FhirRefusal> {
    super::search::only(
        query,
        &[
            "patient",
            "date",
            "agent",
            "agent:identifier",
            "subtype",
            "before",
        ],
    )?;
    let patient = once(query, &["patient"])?;
    let patient = patient.map(|p| PatientId::new(p.strip_prefix("Patient/").unwrap_or(p)));
    let agent = once(query, &["agent", "agent:identifier"])?;
    let agent = agent.map(|a| match a.split_once('|') {
        Some((system, name)) if system.is_empty() || system.starts_with("urn:vitrine:") => Ok(name),
        Some(_) => Err(bad("agent: the log knows identifiers of urn:vitrine:… alone")),
        None => Ok(a),
    });
    let act = once(query, &["subtype"])?;
    let act = act.map(|a| match a.split_once('|') {
        Some(("" | "urn:vitrine:audit-act", act)) => Ok(act.to_owned()),
        None => Ok(a.to_owned()),
        Some(_) => Err(bad(
            "subtype: the log is searched by codes of urn:vitrine:audit-act",
        )),
    });
    let before = once(query, &["before"])?.map(str::parse);
    let limit = match query.get("_count").map(str::parse::<usize>) {
        None => ROWS,
        Some(Ok(n)) if n > 0 => n.min(MOST),
        Some(_) => return Err(bad("_count must be a number from 1")),
    };
    let mut out = AuditQuery {
        patient: patient
            .transpose()
            .map_err(|_| bad("patient is not the id of a Patient"))?,
        user: agent.transpose()?.map(str::to_owned),
        action: act.transpose()?,
        before: before
            .transpose()
            .map_err(|_| bad("before is of a next link, as it came"))?,
        limit,
        ..AuditQuery::default()
    };
    for (_, said) in query.0.iter().filter(|(n, _)| n == "date") {
        narrow(&mut out, said)?;
    }
    Ok(out)
}

/// Searches.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn search(app: &App, caller: &Caller, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    let permit = permit(app, caller).await?;
    let (found, query) = look::found(&*app.store, permit, asked(&wanted.query)?, clock::now()).await?;
    let known = known(app).await?;
    let base = &wanted.base;
    let mut entries = Vec::new();
    for event in found.rows.iter().flat_map(|r| balp::events(r, &known)) {
        let url = event["id"].as_str().map(|id| format!("{base}/AuditEvent/{id}"));
        let mut entry = json!({"resource": event, "search": {"mode": "match"}});
        if let Some(url) = url {
            entry["fullUrl"] = url.into();
        }
        entries.push(entry);
    }
    let from = query.from.map(clock::instant).unwrap_or_default();
    let text = format!(
        "rows of the audit log of this server since {from}; AuditEvents that were brought in are read by their id"
    );
    let issue = json!({"severity": "information", "code": "informational", "details": {"text": text}});
    entries.push(json!({
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]}, "search": {"mode": "outcome"},
    }));
    let mut links = vec![json!({"relation": "self", "url": address(base, &wanted.query, None)})];
    if let Some(next) = &found.next {
        let url = address(base, &wanted.query, Some(&next.to_string()));
        links.push(json!({"relation": "next", "url": url}));
    }
    let bundle: Value = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": clock::instant(clock::now()),
        "link": links,
        "entry": entries,
    });
    Ok(answer(StatusCode::OK, None, bundle.to_string().into_bytes()))
}

/// The address of this search, or of what comes after it.
fn address(base: &str, query: &Query, before: Option<&str>) -> String {
    let kept = query.0.iter().filter(|(n, _)| before.is_none() || n != "before");
    let mut all: Vec<String> = kept
        .map(|(n, v)| format!("{}={}", encoded(n), encoded(v)))
        .collect();
    all.extend(before.map(|b| format!("before={}", encoded(b))));
    format!("{base}/AuditEvent?{}", all.join("&"))
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~:".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<AuditQuery, FhirRefusal> {
        asked(&Query::parse(text))
    }

    #[test]
    fn a_span_is_read_as_fhir_means_it() {
        const DAY: i64 = 1_795_305_600_000;
        let span = |text: &str| {
            let q = of(text).unwrap();
            (q.from.map(|u| u.0), q.until.map(|u| u.0))
        };
        assert_eq!(span("date=2026-11-22"), (Some(DAY), Some(DAY + 86_400_000)));
        assert_eq!(
            span("date=ge2026-11-22&date=lt2026-11-23"),
            (Some(DAY), Some(DAY + 86_400_000))
        );
        assert_eq!(span("date=gt2026-11-22"), (Some(DAY + 86_400_000), None));
        assert_eq!(span("date=le2026-11-22T00:00:00Z"), (None, Some(DAY + 1_000)));
        assert_eq!(span("date=eb2026-11-22"), (None, Some(DAY)));
        for bad in ["date=ne2026-11-22", "date=2026", "date=", "date=ge"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_log_is_not_searched_by_is_refused() {
        let q = of(
            "patient=Patient/p1&agent:identifier=urn:vitrine:user|ann&subtype=urn:vitrine:audit-act|read-card&_count=7",
        );
        let q = q.unwrap();
        assert_eq!(q.patient, Some(PatientId::new("p1").unwrap()));
        assert_eq!(
            (q.user.as_deref(), q.action.as_deref(), q.limit),
            (Some("ann"), Some("read-card"), 7)
        );
        assert_eq!(of("_count=9999").unwrap().limit, MOST);
        for bad in [
            "outcome=0",
            "patient=a,b",
            "patient=a&patient=b",
            "patient=",
            "subtype=http://hl7.org/fhir/restful-interaction|read",
            "agent=urn:other|x",
            "before=x",
            "_count=0",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_next_link_asks_the_same_further_on() {
        let query = Query::parse("agent:identifier=urn:vitrine:user%7Cann&before=1.2.server");
        assert_eq!(
            address("https://h/fhir", &query, Some("9.8.server")),
            "https://h/fhir/AuditEvent?agent:identifier=urn:vitrine:user%7Cann&before=9.8.server"
        );
    }
}
