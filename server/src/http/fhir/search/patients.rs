//! Searches of patients: by number, name, birth date and what else a Patient says of a person.
//!
//! Lives here: finding who may be meant, who of them is, what of each is shown. Never here: what matches
//! (`vitrine_fhir::search`), the index of names and numbers (`vitrine_store::search`). Called by [`super::searched`].
//!
//! The index knows beginnings of names, numbers and dates: it gives everybody who may be meant, and each of them is compared with the
//! whole question. The audit row names those who are shown. Whose record the caller may read is shown whole, with a row of its own;
//! of everybody else identity alone, marked as a subset.

use super::super::read::fetch;
use super::answer::{Answer, subset as part_of};
use super::sound::subset;
use super::{FhirRefusal, KEPT, Page, bad};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::Permit;
use vitrine_access::action::{ReadResource, SearchPatients};
use vitrine_access::{Action as _, policy};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_fhir::search::{Candidate, Search, SortKey};
use vitrine_fhir::{IssueCode, Json};
use vitrine_store::disclosure::Collect;
use vitrine_store::{PatientHit, SearchBy, SearchQuery, StoreError};

/// Patients that are compared with one question.
const COMPARED: usize = 1000;
/// Alternatives of one question that are looked up each for itself.
const ALTERNATIVES: usize = 20;

/// What a search shows of everybody, and may be found by.
const IDENTITY: [&str; 8] = [
    "identifier",
    "name",
    "family",
    "given",
    "birthdate",
    "gender",
    "active",
    "_id",
];

/// Somebody who matches.
struct Meant {
    sort: Option<SortKey>,
    patient: PatientId,
}

/// The ids of those who match, for a search of their records: at most so many.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn ids(
    app: &App,
    caller: &Caller,
    search: &Search,
    most: usize,
) -> Result<Vec<PatientId>, FhirRefusal> {
    let permit = leave(app, caller, "").await?;
    refuse_what_the_index_has_not(search)?;
    if let Some(ids) = search.ids() {
        return Ok(ids
            .iter()
            .filter_map(|id| PatientId::new(*id).ok())
            .take(most)
            .collect());
    }
    let (meant, sealed) = meant(app, caller, &permit, search).await?;
    // Nobody is shown: who was meant is in the rows of their records.
    drop(sealed);
    Ok(meant.into_iter().map(|m| m.patient).take(most).collect())
}

async fn leave(app: &App, caller: &Caller, asked: &str) -> Result<Permit<SearchPatients>, FhirRefusal> {
    let request = app.request(caller, Some("Patient"), None).await?;
    let permit = app.decide::<SearchPatients>(request).await?;
    Ok(permit
        .noted("query", asked.chars().take(KEPT).collect::<String>())
        .noted("by", "Patient search"))
}

/// Searches patients.
///
/// # Errors
/// [`FhirRefusal`]: 400 where nothing is given that the index knows, and where too many may be meant.
pub(super) async fn search(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &Page,
) -> Result<Answer, FhirRefusal> {
    refuse_what_the_index_has_not(search)?;
    if let Some(ids) = search.ids() {
        return named(app, caller, search, page, &ids).await;
    }
    let permit = leave(app, caller, &page.asked).await?;
    let (meant, sealed) = meant(app, caller, &permit, search).await?;
    let total = meant.len() as u64;
    let behind = |m: &Meant| match &page.after_patient {
        None => true,
        Some((sort, id)) => (m.sort.as_ref(), m.patient.as_str()) > (sort.as_ref(), id.as_str()),
    };
    let mut rest: Vec<Meant> = meant.into_iter().filter(behind).collect();
    let more = rest.len() > page.limit;
    rest.truncate(page.limit);
    let next = rest.last().filter(|_| more && page.limit > 0).map(token);
    // What is shown is written down: of everybody on this page, and of nobody else who was looked at.
    let place: BTreeMap<&PatientId, usize> = rest.iter().enumerate().map(|(n, m)| (&m.patient, n)).collect();
    let mut said = Collect::default();
    let mut parts = Vec::new();
    for part in sealed {
        parts.push(part.map(|mut hits| {
            hits.hits.retain(|h| place.contains_key(&h.patient));
            for hit in &hits.hits {
                said.patient(&hit.patient);
                if let Ok(key) = ResourceKey::new("Patient", hit.patient.as_str()) {
                    said.resource(&key, hit.version);
                }
            }
            hits
        }));
    }
    let receipt = app.store.append(permit.entry(said.finish())).await?;
    let mut hits: BTreeMap<usize, PatientHit> = BTreeMap::new();
    for part in parts {
        let found = part.open(&receipt).map_err(|e| StoreError::Backend {
            doing: "opening what was read",
            cause: e.to_string(),
        })?;
        hits.extend(
            found
                .hits
                .into_iter()
                .filter_map(|h| Some((*place.get(&h.patient)?, h))),
        );
    }
    let (mut matches, mut found) = (Vec::new(), Vec::new());
    for hit in hits.into_values() {
        let Ok(key) = ResourceKey::new("Patient", hit.patient.as_str()) else {
            continue;
        };
        let request = app.request(caller, Some("Patient"), Some(&hit.patient)).await?;
        // Asked only: somebody who is merely found is no refused access to a record.
        let whole = if policy::verdict(ReadResource::NAME, &request).allow {
            match fetch(app, caller, &key, None).await {
                Ok(read) => Some(read),
                Err(no) if no.status == StatusCode::NOT_FOUND || no.status == StatusCode::GONE => continue,
                Err(no) if no.status == StatusCode::FORBIDDEN => None,
                Err(no) => return Err(no),
            }
        } else {
            None
        };
        match whole {
            Some(read) => {
                matches.push((key, part_of(search, super::super::read::shown(&read)?)));
                found.push(read);
            }
            None => matches.push((key, subset(&hit)?.to_string().into_bytes())),
        }
    }
    let mut answer = Answer::of_patients(matches, total, next);
    answer.whole_patients(found);
    Ok(answer)
}

type Hits = vitrine_access::Sealed<vitrine_store::SearchHits>;

/// Everybody who matches, in the order of the answer, and the hits they are among, still sealed.
async fn meant(
    app: &App,
    caller: &Caller,
    permit: &Permit<SearchPatients>,
    search: &Search,
) -> Result<(Vec<Meant>, Vec<Hits>), FhirRefusal> {
    let mut sealed = Vec::new();
    let mut who: BTreeSet<PatientId> = BTreeSet::new();
    for text in asked(search)? {
        let query = SearchQuery {
            text,
            by: SearchBy::Words,
            limit: COMPARED,
        };
        let mut more = false;
        let mut fresh = Vec::new();
        let part = app.store.search(permit, &query).await?.map(|mut hits| {
            more = hits.more;
            // Somebody found twice is shown once.
            hits.hits.retain(|h| !who.contains(&h.patient));
            fresh.extend(hits.hits.iter().map(|h| h.patient.clone()));
            hits
        });
        who.extend(fresh);
        sealed.push(part);
        if more || who.len() > COMPARED {
            return Err(bad(
                IssueCode::TooLong,
                format!("more than {COMPARED} patients may be meant: add a name, a birth date or a number"),
            ));
        }
    }
    let identity = names(search).iter().all(|n| IDENTITY.contains(&n.as_str()))
        && search.sort.iter().all(|by| IDENTITY.contains(&by.parameter.name));
    let mut meant = Vec::new();
    for patient in who {
        let Ok(key) = ResourceKey::new("Patient", patient.as_str()) else {
            continue;
        };
        let Some((version, bytes)) = app.store.lookup(&key).await? else {
            continue;
        };
        let body = std::str::from_utf8(&bytes).ok().and_then(|t| Json::parse(t).ok());
        let Some(body) = body else { continue };
        let candidate = Candidate {
            key: &key,
            version,
            // Not asked for: `_lastUpdated` is refused.
            updated: UtcMs(0),
            body: &body,
        };
        // Whose record is closed to the caller is found by identity alone: the rest of it is not told by being found.
        let open = identity || {
            let request = app.request(caller, Some("Patient"), Some(&patient)).await?;
            policy::verdict(ReadResource::NAME, &request).allow
        };
        if open && search.matches(&candidate, &mut |_| None) {
            let sort = (!search.sort.is_empty()).then(|| search.sort_key(&candidate));
            meant.push(Meant { sort, patient });
        }
    }
    meant.sort_by(|a, b| (&a.sort, a.patient.as_str()).cmp(&(&b.sort, b.patient.as_str())));
    Ok((meant, sealed))
}

/// Patients named by their ids, and read like each of them by itself.
async fn named(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &Page,
    ids: &[&str],
) -> Result<Answer, FhirRefusal> {
    let (mut matches, mut found, mut total) = (Vec::new(), Vec::new(), 0);
    let wanted: BTreeSet<&str> = ids.iter().copied().collect();
    for id in wanted.into_iter().take(COMPARED) {
        let Ok(key) = ResourceKey::new("Patient", id) else {
            continue;
        };
        let read = match fetch(app, caller, &key, None).await {
            Ok(read) => read,
            Err(no) if no.status == StatusCode::NOT_FOUND || no.status == StatusCode::GONE => continue,
            Err(no) => return Err(no),
        };
        let body = std::str::from_utf8(&read.body)
            .ok()
            .and_then(|t| Json::parse(t).ok());
        let Some(body) = body else { continue };
        if !search.matches(&super::walk::candidate(&read, &body), &mut |_| None) {
            continue;
        }
        total += 1;
        if page.limit > 0 {
            matches.push((key, part_of(search, super::super::read::shown(&read)?)));
            found.push(read);
        }
    }
    let mut answer = Answer::of_patients(matches, total, None);
    answer.whole_patients(found);
    Ok(answer)
}

/// The names of the parameters that narrow a search, without modifiers.
fn names(search: &Search) -> Vec<String> {
    search
        .said()
        .iter()
        .map(|(name, _)| name.split([':', '.']).next().unwrap_or_default().to_owned())
        .filter(|n| !RESULT.contains(&n.as_str()))
        .collect()
}

/// Parameters about the answer.
const RESULT: [&str; 9] = [
    "_count",
    "_sort",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_page",
    "_format",
];

fn refuse_what_the_index_has_not(search: &Search) -> Result<(), FhirRefusal> {
    let no = |text: &str| Err(bad(IssueCode::NotSupported, text));
    if names(search).iter().any(|n| n == "_lastUpdated") {
        return no(
            "patients are not searched by _lastUpdated: GET /fhir/Patient/<id>/$everything gives one record",
        );
    }
    if !search.has.is_empty() {
        return no("_has is searched within a record: add patient=<id> to a search of another type");
    }
    Ok(())
}

/// What is looked up in the index: everybody who matches is among those it gives. Every word of a text has to fit, each text is an
/// alternative.
fn asked(search: &Search) -> Result<Vec<String>, FhirRefusal> {
    let (mut every, mut either): (Vec<String>, Option<Vec<String>>) = (Vec::new(), None);
    for (name, value) in search.said() {
        let (base, modifier) = name.split_once(':').unwrap_or((name, ""));
        let text: fn(&str) -> Option<String> = match (base, modifier) {
            ("name" | "family" | "given", "" | "exact") => |v| Some(v.to_owned()),
            ("identifier", "") => |v| Some(v.rsplit('|').next().unwrap_or_default().to_owned()),
            ("birthdate", "") => |v| {
                let date = v.strip_prefix("eq").unwrap_or(v);
                let plain = date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                plain.then(|| date.replace('-', ""))
            },
            _ => continue,
        };
        let texts: Option<Vec<String>> = alternatives(value).iter().map(|v| text(v)).collect();
        let Some(texts) = texts.filter(|t| t.iter().all(|t| t.chars().any(char::is_alphanumeric))) else {
            continue;
        };
        match texts.as_slice() {
            [one] => every.push(one.clone()),
            _ if either.is_none() => either = Some(texts),
            _ => {}
        }
    }
    match (every.is_empty(), either) {
        (false, _) => Ok(vec![every.join(" ")]),
        (true, Some(texts)) if texts.len() <= ALTERNATIVES => Ok(texts),
        (true, Some(_)) => Err(bad(
            IssueCode::TooLong,
            format!("more than {ALTERNATIVES} alternatives: ask for fewer at a time"),
        )),
        (true, None) => Err(bad(
            IssueCode::Required,
            "patients are searched by identifier, name, family, given, birthdate (a day, month or year) or _id: add one of them",
        )),
    }
}

/// The alternatives of a value, their escapes undone.
fn alternatives(value: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' => all.push(String::new()),
            other => {
                let c = if other == '\\' {
                    chars.next().unwrap_or(other)
                } else {
                    other
                };
                if let Some(last) = all.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    all
}

/// Where the next page of patients begins: the last one's id, and the key of its order.
fn token(last: &Meant) -> String {
    match &last.sort {
        None => last.patient.to_string(),
        Some(key) => format!("{}~{}", last.patient, key.to_text()),
    }
}

/// Reads one; `None` when it is not ours.
pub(super) fn after(text: &str) -> Option<(Option<SortKey>, String)> {
    let (id, key) = text
        .split_once('~')
        .map_or((text, None), |(id, key)| (id, Some(key)));
    let id = PatientId::new(id).ok()?.to_string();
    match key {
        None => Some((None, id)),
        Some(key) => Some((Some(SortKey::parse(key)?), id)),
    }
}
