//! Searches of patients: by number, name, birth date and what else a Patient says of a person.
//!
//! Lives here: finding who may be meant, who of them is, what of each is shown. Never here: what matches
//! (`vitrine_fhir::search`), the index of names and numbers (`vitrine_store::search`). Called by [`super::searched`] and by `record`.
//!
//! The index knows beginnings of names, numbers and dates: it gives everybody who may be meant, and each of them is compared with the
//! whole question. The audit row names those who are shown. Whose record the caller may read is shown whole, with a row of its own;
//! of everybody else identity alone, marked as a subset.

use super::super::read::{fetch, shown};
use super::answer::{Answer, subset as part_of};
use super::sound::subset;
use super::walk::{body, candidate};
use super::{FhirRefusal, KEPT, Page, bad};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use std::collections::BTreeSet;
use vitrine_access::Permit;
use vitrine_access::action::{ReadResource, SearchPatients};
use vitrine_access::{Action as _, Disclosure, policy};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_fhir::search::{Candidate, Search, SortKey};
use vitrine_fhir::{IssueCode, parse};
use vitrine_store::search::number_word;
use vitrine_store::{SearchBy, SearchQuery, StoreError, StoredResource};

/// Patients that are compared with one question.
const COMPARED: usize = 1000;
/// Alternatives of one question that are looked up each for itself.
const ALTERNATIVES: usize = 20;
/// What a search shows of everybody, and may be found and ordered by.
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
/// Parameters whose words the index has: whoever matches is among those it gives for them.
const INDEXED: [&str; 5] = ["identifier", "name", "family", "given", "birthdate"];

/// Somebody who matches.
struct Meant {
    sort: Option<SortKey>,
    patient: PatientId,
}

async fn leave(app: &App, caller: &Caller, asked: &str) -> Result<Permit<SearchPatients>, FhirRefusal> {
    let request = app.request(caller, Some("Patient"), None).await?;
    let permit = app.decide::<SearchPatients>(request).await?;
    Ok(permit
        .noted("query", asked.chars().take(KEPT).collect::<String>())
        .noted("by", "Patient search"))
}

/// The ids of those whom a chain means, for a search of their records: at most so many. The audit row names everybody who was found.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn ids(
    app: &App,
    caller: &Caller,
    chain: &Search,
    asked: &str,
    most: usize,
) -> Result<Vec<PatientId>, FhirRefusal> {
    refuse_what_the_index_has_not(chain)?;
    if let Some(ids) = chain.ids() {
        // The leave for each record is asked for with its search.
        return Ok(ids
            .iter()
            .filter_map(|id| PatientId::new(*id).ok())
            .take(most)
            .collect());
    }
    let permit = leave(app, caller, asked).await?;
    let found: Vec<PatientId> = meant(app, caller, &permit, chain)
        .await?
        .into_iter()
        .map(|m| m.patient)
        .collect();
    let said = Disclosure {
        patients: found.clone(),
        ..Disclosure::default()
    };
    app.store.append(permit.entry(said)).await?;
    Ok(found.into_iter().take(most).collect())
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
    let meant = meant(app, caller, &permit, search).await?;
    let total = meant.len() as u64;
    let behind = |m: &Meant| match &page.after_patient {
        None => true,
        Some((sort, id)) => (m.sort.as_ref(), m.patient.as_str()) > (sort.as_ref(), id.as_str()),
    };
    let mut rest: Vec<Meant> = meant.into_iter().filter(behind).collect();
    let more = rest.len() > page.limit;
    rest.truncate(page.limit);
    let next = rest.last().filter(|_| more).map(token);
    let ids: Vec<PatientId> = rest.into_iter().map(|m| m.patient).collect();
    // Everybody on this page is written down, and nobody else who was looked at.
    let sealed = app.store.identities(&permit, &ids).await?;
    let (mut matches, mut found) = (Vec::new(), Vec::new());
    for hit in app.open(&permit, sealed).await?.hits {
        let key = key_of(&hit.patient)?;
        match whole(app, caller, &hit.patient, &key).await? {
            Some(read) => {
                matches.push((key, part_of(search, shown(&read)?)?));
                found.push(read);
            }
            None => matches.push((key, subset(&hit)?.to_string().into_bytes())),
        }
    }
    Ok(Answer::of_patients(matches, found, total, next))
}

/// The Patient itself, where the caller may read it. Somebody who is merely found is no refused access to a record: it is asked of the policy
/// first.
async fn whole(
    app: &App,
    caller: &Caller,
    patient: &PatientId,
    key: &ResourceKey,
) -> Result<Option<StoredResource>, FhirRefusal> {
    let request = app.request(caller, Some("Patient"), Some(patient)).await?;
    if !policy::verdict(ReadResource::NAME, &request).allow {
        return Ok(None);
    }
    match fetch(app, caller, key, None).await {
        Ok(read) => Ok(Some(read)),
        // Withheld, or gone since it was found.
        Err(no) if [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::GONE].contains(&no.status) => {
            Ok(None)
        }
        Err(no) => Err(no),
    }
}

fn key_of(patient: &PatientId) -> Result<ResourceKey, StoreError> {
    ResourceKey::new("Patient", patient.as_str()).map_err(|e| StoreError::Damaged(e.to_string()))
}

/// Everybody who matches, in the order of the answer.
async fn meant(
    app: &App,
    caller: &Caller,
    permit: &Permit<SearchPatients>,
    search: &Search,
) -> Result<Vec<Meant>, FhirRefusal> {
    let mut who: BTreeSet<PatientId> = BTreeSet::new();
    for text in asked(search)? {
        let query = SearchQuery {
            text,
            by: SearchBy::Words,
            limit: COMPARED + 1,
        };
        let sealed = app.store.search(permit, &query).await?;
        who.extend(sealed.disclosure().patients.iter().cloned());
        if who.len() > COMPARED {
            return Err(bad(
                IssueCode::TooLong,
                format!("more than {COMPARED} patients may be meant: add a name, a birth date or a number"),
            ));
        }
    }
    let by_identity = |name: &str| IDENTITY.contains(&name);
    let identity = search.filters.iter().all(|f| by_identity(f.parameter.name))
        && search.sort.iter().all(|by| by_identity(by.parameter.name));
    let mut meant = Vec::new();
    for patient in who {
        let key = key_of(&patient)?;
        // Whose record is closed to the caller is found by identity alone: the rest of it is not told by being found.
        if !identity {
            let request = app.request(caller, Some("Patient"), Some(&patient)).await?;
            if !policy::verdict(ReadResource::NAME, &request).allow {
                continue;
            }
        }
        let Some((_, bytes)) = app.store.lookup(&key).await? else {
            continue;
        };
        let body = parse(&bytes).map_err(|e| StoreError::Damaged(format!("the body of {key}: {e}")))?;
        let candidate = Candidate {
            key: &key,
            // Not asked for: `_lastUpdated` is refused.
            updated: UtcMs(0),
            body: &body,
        };
        if search.matches(&candidate, &mut |_| None) {
            let sort = (!search.sort.is_empty()).then(|| search.sort_key(&candidate));
            meant.push(Meant { sort, patient });
        }
    }
    meant.sort_by(|a, b| (&a.sort, a.patient.as_str()).cmp(&(&b.sort, b.patient.as_str())));
    Ok(meant)
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
    for id in wanted {
        let Ok(key) = ResourceKey::new("Patient", id) else {
            continue;
        };
        let read = match fetch(app, caller, &key, None).await {
            Ok(read) => read,
            Err(no) if no.status == StatusCode::NOT_FOUND || no.status == StatusCode::GONE => continue,
            Err(no) => return Err(no),
        };
        if !search.matches(&candidate(&read, &body(&read)?), &mut |_| None) {
            continue;
        }
        total += 1;
        if page.limit > 0 {
            matches.push((key, part_of(search, shown(&read)?)?));
            found.push(read);
        }
    }
    Ok(Answer::of_patients(matches, found, total, None))
}

fn refuse_what_the_index_has_not(search: &Search) -> Result<(), FhirRefusal> {
    let no = |text: &str| Err(bad(IssueCode::NotSupported, text));
    let filters = search.filters.iter().map(|f| f.parameter.name);
    let sorts = search.sort.iter().map(|by| by.parameter.name);
    if filters.chain(sorts).any(|name| name == "_lastUpdated") {
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
    for filter in search
        .filters
        .iter()
        .filter(|f| INDEXED.contains(&f.parameter.name))
    {
        let words = filter.words().unwrap_or_default();
        let fit = match filter.parameter.name {
            // A date with a time of day is in no index.
            "birthdate" => |w: &str| w.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
            _ => |w: &str| w.chars().any(char::is_alphanumeric),
        };
        if words.is_empty() || !words.iter().all(|w| fit(w)) {
            continue;
        }
        let texts = words.iter().map(|w| match filter.parameter.name {
            "birthdate" => w.replace('-', ""),
            // As the index has numbers: one word, however it is written.
            "identifier" => number_word(w),
            _ => (*w).to_owned(),
        });
        match texts.collect::<Vec<String>>() {
            one if one.len() == 1 => every.extend(one),
            several if either.is_none() => either = Some(several),
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
