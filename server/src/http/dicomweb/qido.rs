//! QIDO-RS (PS3.18 §10.6): which studies, series and instances there are, from the index alone.
//!
//! A parameter that is not supported is refused, so that nobody takes a wider answer for a narrower one.

use super::super::bearer::Signed;
use super::super::fhir::Query;
use super::super::refusal::Refused;
use super::names::Key;
use super::within::{self, Within};
use super::{DICOM_JSON, KIND, bad, json_fits, permit, shown, study as one_study, wado};
use crate::app::{App, NoAccess};
use crate::identity::sessions::Caller;
use crate::imaging::study::{day, kept, text};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_access::policy::{self, PatientFacts, Subject};
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::PatientId;
use vitrine_clinical::card::{EmergencyCard, Identity};
use vitrine_clinical::label::Label;
use vitrine_store::imaging::{InstanceRow, StudyHits, StudyQuery, StudyRow};
use vitrine_store::{SearchBy, SearchQuery, StoreError};

/// Matches of an answer when `limit` says nothing, and at most.
const USUAL: usize = 200;
pub(super) const MOST: usize = 1_000;
/// People looked at for a name.
const PEOPLE: usize = 50;
/// The answer to a search that asks for fuzzy matching (PS3.18 §8.3.4.2).
const LITERALLY: &str =
    "299 vitrine \"The fuzzymatching parameter is not supported. Only literal matching has been performed.\"";
/// Studies looked at for a filter that the index does not have.
const LOOKED_AT: usize = 5_000;

/// What is asked for of studies.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Asked {
    patient: Option<String>,
    uids: Vec<String>,
    accession: Option<String>,
    days: (Option<i32>, Option<i32>),
    modality: Option<String>,
    name: Option<Key>,
    /// Names that only sound or look alike were asked for: they are not found, and the answer says so.
    fuzzy: bool,
    limit: usize,
    offset: usize,
}

/// A DICOM date range (PS3.4 §C.2.2.2.5): a day, `from-`, `-to`, `from-to`.
fn days(range: &str) -> Result<(Option<i32>, Option<i32>), Refused> {
    let wrong = || bad("StudyDate must be a day as yyyymmdd, or a range of two with a hyphen between");
    let read = |text: &str| match text {
        "" => Ok(None),
        text => day(text).map(Some).ok_or_else(wrong),
    };
    match range.split_once('-') {
        Some(("", "")) => Err(wrong()),
        Some((from, to)) => Ok((read(from)?, read(to)?)),
        None => Ok((read(range)?, read(range)?)),
    }
}

pub(super) fn whole(name: &str, value: &str) -> Result<usize, Refused> {
    value
        .parse()
        .map_err(|_| bad(format!("{name} must be a whole number from 0")))
}

impl Asked {
    fn read(query: &Query) -> Result<Self, Refused> {
        let mut asked = Self {
            limit: USUAL,
            ..Self::default()
        };
        for (name, value) in &query.0 {
            let value = value.trim();
            if matches!(name.as_str(), "PatientName" | "00100010") {
                asked.name = Key::read(value)?;
                continue;
            }
            if matches!(name.as_str(), "StudyInstanceUID" | "0020000D") {
                // Universal matching (PS3.4 §C.2.2.2.3): a key without a value matches everything.
                if !value.is_empty() {
                    asked.uids = within::uids(value)?;
                }
                continue;
            }
            if value.contains(['*', '?', '\\']) {
                return Err(bad(format!(
                    "{name}: wildcards and lists of values are not supported"
                )));
            }
            match name.as_str() {
                "PatientID" | "00100020" | "AccessionNumber" | "00080050" | "StudyDate" | "00080020"
                | "ModalitiesInStudy" | "00080061"
                    if value.is_empty() => {}
                "PatientID" | "00100020" => asked.patient = Some(value.to_owned()),
                "AccessionNumber" | "00080050" => asked.accession = Some(value.to_owned()),
                "StudyDate" | "00080020" => asked.days = days(value)?,
                "ModalitiesInStudy" | "00080061" => asked.modality = Some(value.to_owned()),
                "limit" => asked.limit = whole(name, value)?.min(MOST),
                "offset" => asked.offset = whole(name, value)?,
                // Everything the index has is given.
                "includefield" => {}
                "fuzzymatching" if matches!(value, "true" | "false") => asked.fuzzy = value == "true",
                _ => {
                    return Err(bad(
                        "of studies PatientID, PatientName, StudyInstanceUID, AccessionNumber, StudyDate, ModalitiesInStudy, \
                         limit and offset are supported",
                    ));
                }
            }
        }
        Ok(asked)
    }
}

/// The query of a request's address.
fn query(uri: &Uri) -> Query {
    Query::parse(uri.query().unwrap_or_default())
}

/// `GET /dicomweb/studies`
///
/// # Errors
/// [`Refused`].
pub async fn studies(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    json_fits(&headers)?;
    let asked = Asked::read(&query(&uri))?;
    let base = wado::base(&app, &headers);
    let hits = find(&app, &caller, &asked).await?;
    let found = hits.studies.iter().map(|s| shown::study(s, &base)).collect();
    let mut response = answer(found, hits.more);
    if asked.fuzzy {
        // PS3.18 §8.3.4.2: who does not support it says so and matches literally.
        response
            .headers_mut()
            .append(header::WARNING, header::HeaderValue::from_static(LITERALLY));
    }
    Ok(response)
}

/// The patient of the record who has this Patient ID.
async fn patient(app: &App, id: &str) -> Result<Option<PatientId>, Refused> {
    let found = app.store.by_identifier("Patient", None, id).await?;
    Ok(match &found[..] {
        [one] => PatientId::new(one.id.as_str()).ok(),
        _ => None,
    })
}

/// Searches studies by the parameters of `GET /dicomweb/studies`.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn search(app: &App, caller: &Caller, query: &Query) -> Result<StudyHits, Refused> {
    find(app, caller, &Asked::read(query)?).await
}

/// Instances of a series by place, at most so many.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn some_instances(
    app: &App,
    caller: &Caller,
    study: &str,
    series: &str,
    most: usize,
) -> Result<Vec<InstanceRow>, Refused> {
    let (mut out, mut after) = (Vec::new(), None);
    while out.len() < most {
        let (permit, _) = permit(app, caller, study).await?;
        let sealed = app
            .store
            .instances(&permit, series, after, (most - out.len()).min(MOST))
            .await?;
        let page = app.open(&permit, sealed).await?;
        out.extend(page.instances);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(out)
}

async fn find(app: &App, caller: &Caller, asked: &Asked) -> Result<StudyHits, Refused> {
    let [_, _, ..] = &asked.uids[..] else {
        return find_by(app, caller, asked).await;
    };
    // Each UID of a list is looked up by itself, and written down so.
    let (mut found, mut looked) = (StudyHits::default(), BTreeSet::new());
    for uid in asked.uids.iter().filter(|uid| looked.insert(uid.as_str())) {
        let one = Asked {
            uids: vec![uid.clone()],
            limit: MOST,
            offset: 0,
            ..asked.clone()
        };
        let theirs = find_by(app, caller, &one).await?;
        found.more |= theirs.more;
        found.studies.extend(theirs.studies);
    }
    newest_first(&mut found.studies);
    Ok(cut(found.studies, asked))
}

/// As a search over everybody orders studies: the newest first, those without a date last.
fn newest_first(studies: &mut [StudyRow]) {
    studies.sort_by_key(|s| (s.day.is_none(), std::cmp::Reverse(s.day)));
}

async fn find_by(app: &App, caller: &Caller, asked: &Asked) -> Result<StudyHits, Refused> {
    let request = app.request(caller, Some(KIND), None).await?;
    let permit = app
        .decide::<SearchPatients>(request)
        .await?
        .noted("by", "studies");
    let of = match &asked.patient {
        Some(id) => match patient(app, id).await? {
            Some(patient) => Some(patient),
            None => return nobody(app, &permit).await,
        },
        None => None,
    };
    let mut query = StudyQuery {
        patient: of,
        uid: asked.uids.first().cloned(),
        accession: asked.accession.clone(),
        from: asked.days.0,
        to: asked.days.1,
        offset: asked.offset,
        limit: asked.limit,
    };
    if asked.modality.is_some() || asked.name.is_some() {
        // The index has neither modality nor name of a study: more is read and what does not fit is left out.
        (query.offset, query.limit) = (0, LOOKED_AT);
    }
    if !matches!(caller.subject, Subject::Client { .. }) {
        return of_one(app, caller, &permit, asked, query.patient).await;
    }
    let mut found = match &asked.name {
        Some(key) => of_people(app, caller, &permit, key, query).await?,
        None => of_everybody(app, caller, &permit, query).await?,
    };
    if asked.modality.is_some() || asked.name.is_some() {
        if found.more {
            return Err(bad(
                "too many studies for PatientName or ModalitiesInStudy: give a PatientID or a StudyDate too",
            ));
        }
        let modality = asked.modality.as_ref();
        found
            .studies
            .retain(|s| modality.is_none_or(|m| shown::modalities(s).contains(m)));
        found = cut(found.studies, asked);
    }
    Ok(found)
}

/// Studies read in one go for a program that may not see all of them.
const STRETCH: usize = 500;

/// Studies of everybody. For a program that may not see confidential records, a page is made of the others alone: where
/// something was left out shows in no page's size.
async fn of_everybody(
    app: &App,
    caller: &Caller,
    permit: &Permit<SearchPatients>,
    query: StudyQuery,
) -> Result<StudyHits, Refused> {
    if sees(app, caller, None).await? {
        let sealed = app.store.find_studies(permit, &query).await?;
        return Ok(app.open(permit, sealed).await?);
    }
    let wanted = query.offset.saturating_add(query.limit).saturating_add(1);
    let (mut seen, mut known) = (Vec::new(), BTreeMap::<PatientId, bool>::new());
    let mut part = StudyQuery {
        offset: 0,
        limit: wanted.min(STRETCH),
        ..query.clone()
    };
    loop {
        let sealed = app.store.find_studies(permit, &part).await?;
        let found = app.open(permit, sealed).await?;
        let read = found.studies.len();
        for study in found.studies {
            let shows = match known.get(&study.patient) {
                Some(shows) => *shows,
                None => {
                    let shows = sees(app, caller, Some(&study.patient)).await?;
                    known.insert(study.patient.clone(), shows);
                    shows
                }
            };
            if shows {
                seen.push(study);
            }
        }
        if seen.len() >= wanted || !found.more || read == 0 {
            break;
        }
        part.offset += read;
        part.limit = STRETCH;
    }
    Ok(StudyHits {
        more: seen.len() >= wanted,
        studies: seen.into_iter().skip(query.offset).take(query.limit).collect(),
    })
}

/// Whether a program may see a patient's images; without a patient, whether it may see those of the most confidential
/// record there is.
async fn sees(app: &App, caller: &Caller, patient: Option<&PatientId>) -> Result<bool, Refused> {
    let label = match patient {
        Some(patient) => app.label_of(patient).await?,
        None => Label::UNREADABLE,
    };
    let any = || PatientId::new("any").map_err(|_| bad("no patient"));
    let mut request = app.request(caller, Some(KIND), None).await?;
    request.patient = Some(PatientFacts {
        patient: patient.cloned().map_or_else(any, Ok)?,
        ward: None,
        label,
    });
    Ok(policy::verdict("read-chart", &request).allow)
}

/// Studies of people by their name. The index of images has no names; the store's search of people finds whoever has words
/// that begin as those of the key, and of these counts whose name in the record matches, or whose study says a name that
/// does.
async fn of_people(
    app: &App,
    caller: &Caller,
    permit: &Permit<SearchPatients>,
    key: &Key,
    query: StudyQuery,
) -> Result<StudyHits, Refused> {
    let people = SearchQuery {
        text: key.words().to_owned(),
        by: SearchBy::Words,
        limit: PEOPLE,
    };
    let request = app.request(caller, Some("Patient"), None).await?;
    let searching = app
        .decide::<SearchPatients>(request)
        .await?
        .noted("query", people.text.as_str())
        .noted("by", "studies");
    let sealed = app.store.search(&searching, &people).await?;
    let hits = app.open(&searching, sealed).await?;
    if hits.more {
        return Err(bad(format!(
            "PatientName: more than {PEOPLE} patients have names that begin so: give more of the name, or a PatientID"
        )));
    }
    let mut found = StudyHits::default();
    for hit in hits.hits {
        if query.patient.as_ref().is_some_and(|p| *p != hit.patient) {
            continue;
        }
        let card: EmergencyCard = serde_json::from_slice(&hit.card)
            .map_err(|_| StoreError::Damaged(format!("the card of patient {}", hit.patient)))?;
        let own = card.identity.as_ref().is_some_and(|who| key.fits(&recorded(who)));
        let one = StudyQuery {
            patient: Some(hit.patient),
            ..query.clone()
        };
        let theirs = of_everybody(app, caller, permit, one).await?;
        found.more |= theirs.more;
        let says = |s: &StudyRow| own || key.fits_header(&Value::Object(kept(&s.header)));
        found.studies.extend(theirs.studies.into_iter().filter(says));
    }
    newest_first(&mut found.studies);
    Ok(found)
}

/// A name of the record as DICOM writes it (PS3.5 §6.2.1).
fn recorded(who: &Identity) -> String {
    match &who.family {
        Some(family) => format!("{family}^{}", who.given.join(" ")),
        None => who.name_text.clone().unwrap_or_default(),
    }
}

/// Nothing is found, and that somebody looked is written down.
async fn nobody(app: &App, permit: &Permit<SearchPatients>) -> Result<StudyHits, Refused> {
    app.store.append(permit.entry(Disclosure::default())).await?;
    Ok(StudyHits::default())
}

fn cut(studies: Vec<StudyRow>, asked: &Asked) -> StudyHits {
    StudyHits {
        more: studies.len() > asked.offset.saturating_add(asked.limit),
        studies: studies.into_iter().skip(asked.offset).take(asked.limit).collect(),
    }
}

/// What a person finds: that somebody was examined is part of their record, so a person asks for one patient's studies, and
/// the policy decides as for the chart. Searching a whole hospital is for programs.
async fn of_one(
    app: &App,
    caller: &Caller,
    searching: &Permit<SearchPatients>,
    asked: &Asked,
    patient: Option<PatientId>,
) -> Result<StudyHits, Refused> {
    let patient = match (patient, asked.uids.first()) {
        (Some(patient), _) => patient,
        (None, Some(uid)) => match app.store.study_owner(uid).await? {
            Some(patient) => patient,
            None => return nobody(app, searching).await,
        },
        (None, None) => return Err(bad("give PatientID or StudyInstanceUID")),
    };
    let request = app.request(caller, Some(KIND), Some(&patient)).await?;
    let through_app = matches!(request.subject, Subject::App { .. });
    let permit = match app.decide::<ReadChart>(request).await {
        // A program that somebody signed in through tries no numbers: of another patient there is nothing.
        Err(NoAccess::Denied(_)) if through_app => return nobody(app, searching).await,
        decided => decided?.noted("by", "studies"),
    };
    let sealed = app
        .store
        .studies(&permit, asked.uids.first().map(String::as_str))
        .await?;
    let mut studies = app.open(&permit, sealed).await?;
    studies.retain(|s| {
        let header = Value::Object(kept(&s.header));
        asked
            .accession
            .as_deref()
            .is_none_or(|a| text(&header, "00080050") == Some(a))
            && asked.days.0.is_none_or(|d| s.day.is_some_and(|x| x >= d))
            && asked.days.1.is_none_or(|d| s.day.is_some_and(|x| x <= d))
            && asked
                .modality
                .as_ref()
                .is_none_or(|m| shown::modalities(s).contains(m))
            && asked.name.as_ref().is_none_or(|n| n.fits_header(&header))
    });
    Ok(cut(studies, asked))
}

/// `GET /dicomweb/studies/{study}/series`
///
/// # Errors
/// [`Refused`].
pub async fn series(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(study): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    json_fits(&headers)?;
    let asked = Within::read(&query(&uri), false)?;
    let row = one_study(&app, &caller, &study).await?;
    let base = wado::base(&app, &headers);
    let mut found: Vec<Value> = row.series.iter().map(|s| shown::series(&row, s, &base)).collect();
    found.retain(|s| asked.series(s));
    let more = found.len() > asked.offset.saturating_add(asked.limit);
    Ok(answer(
        found.into_iter().skip(asked.offset).take(asked.limit).collect(),
        more,
    ))
}

/// `GET /dicomweb/studies/{study}/instances`
///
/// # Errors
/// [`Refused`].
pub async fn instances_of_study(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(study): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    json_fits(&headers)?;
    let asked = Within::read(&query(&uri), true)?;
    let row = one_study(&app, &caller, &study).await?;
    let all: Vec<String> = row.series.iter().map(|s| s.uid.clone()).collect();
    listed(&app, &caller, &row, &all, &asked, &headers).await
}

/// `GET /dicomweb/studies/{study}/series/{series}/instances`
///
/// # Errors
/// [`Refused`].
pub async fn instances(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    json_fits(&headers)?;
    let asked = Within::read(&query(&uri), true)?;
    let row = one_study(&app, &caller, &study).await?;
    if row.series.iter().all(|s| s.uid != series) {
        return Err(super::not_found());
    }
    listed(&app, &caller, &row, &[series], &asked, &headers).await
}

async fn listed(
    app: &App,
    caller: &Caller,
    row: &StudyRow,
    series: &[String],
    asked: &Within,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let base = wado::base(app, headers);
    let (mut skip, limit, mut out, mut more) = (asked.offset, asked.limit, Vec::new(), false);
    let one_by_one = asked.narrows_instances();
    'all: for series in series {
        let Some(of) = row.series.iter().find(|s| s.uid == *series) else {
            continue;
        };
        if !asked.series(&shown::series(row, of, &base)) {
            continue;
        }
        let count = usize::try_from(of.instances).unwrap_or(usize::MAX);
        if skip >= count && !one_by_one {
            skip -= count;
            continue;
        }
        let mut after = None;
        loop {
            let (permit, _) = permit(app, caller, &row.uid).await?;
            let want = if one_by_one {
                MOST
            } else {
                (limit - out.len())
                    .saturating_add(skip)
                    .saturating_add(1)
                    .min(MOST)
            };
            let sealed = app.store.instances(&permit, series, after, want).await?;
            let found = app.open(&permit, sealed).await?;
            for i in &found.instances {
                let one = shown::instance(row, i, &base);
                if !asked.instance(&one) {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                } else if out.len() == limit {
                    more = true;
                    break 'all;
                } else {
                    out.push(one);
                }
            }
            after = found.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(answer(out, more))
}

fn answer(found: Vec<Value>, more: bool) -> Response {
    if found.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let body = Value::Array(found).to_string();
    let mut response = ([(header::CONTENT_TYPE, DICOM_JSON)], body).into_response();
    if more {
        // PS3.18 §8.3.4.4.
        let warning = "299 vitrine: There are additional results that can be requested";
        response
            .headers_mut()
            .insert(header::WARNING, header::HeaderValue::from_static(warning));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_days_are_read_or_refused() {
        for (text, expected) in [
            ("20260131", Some((Some(20_260_131), Some(20_260_131)))),
            ("20260131-", Some((Some(20_260_131), None))),
            ("-20260131", Some((None, Some(20_260_131)))),
            ("20250101-20260131", Some((Some(20_250_101), Some(20_260_131)))),
            ("-", None),
            ("2026-01-31", None),
            ("today", None),
        ] {
            assert_eq!(days(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let read = |q: &str| Asked::read(&Query::parse(q)).map_err(|r| r.refusal.text);
        let asked = read("PatientID=M%201&limit=7&includefield=all&fuzzymatching=false&00080061=CT").unwrap();
        assert_eq!(
            asked,
            Asked {
                patient: Some("M 1".into()),
                modality: Some("CT".into()),
                limit: 7,
                ..Asked::default()
            }
        );
        assert_eq!(read("limit=99999").unwrap().limit, MOST);
        assert_eq!(
            read("StudyInstanceUID=1.2,1.3%5C1.4").unwrap().uids,
            ["1.2", "1.3", "1.4"]
        );
        assert!(read("fuzzymatching=true").unwrap().fuzzy);
        assert_eq!(read("AccessionNumber=&StudyDate=").unwrap(), read("").unwrap());
        for wrong in [
            "PatientName=*yer",
            "AccessionNumber=A*",
            "ReferringPhysicianName=Meyer",
            "fuzzymatching=perhaps",
            "limit=x",
            "StudyInstanceUID=../x",
            "StudyInstanceUID=1.2,",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
