//! Searches within records: resources of one type of one patient, or of a few who are named.
//!
//! Lives here: whose records, the leave for each. Never here: the walk (`walk`), what matches (`vitrine_fhir::search`). Called by
//! [`super::searched`].

use super::super::read::fetch;
use super::answer::Answer;
use super::resolving::Resolving;
use super::walk::{Leave, Walk, after, peek};
use super::{FhirRefusal, KEPT, Page, bad, common, patients};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use std::collections::{BTreeSet, HashSet};
use vitrine_access::action::ReadChart;
use vitrine_access::policy::Subject;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_fhir::IssueCode;
use vitrine_fhir::search::{Has, Search};
use vitrine_store::{StoreError, labels};

/// Records of one search.
const RECORDS: usize = 20;

/// Leave to search a type of a record; its row says what was asked.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn leave(
    app: &App,
    caller: &Caller,
    kind: &str,
    patient: &PatientId,
    asked: &str,
) -> Result<Permit<ReadChart>, FhirRefusal> {
    super::may_search(app, caller, kind).await?;
    let request = app.request(caller, Some(kind), Some(patient)).await?;
    let permit = app.decide::<ReadChart>(request).await?;
    Ok(permit
        .noted("query", asked.chars().take(KEPT).collect::<String>())
        .noted("by", format!("{kind} search")))
}

/// Searches a type that belongs to patients.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn search(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &Page,
) -> Result<Answer, FhirRefusal> {
    let (mut whose, mut nobodys) = (Vec::new(), false);
    for owner in owners(app, caller, search, page).await? {
        match owner {
            Some(patient) if !whose.contains(&patient) => whose.push(patient),
            Some(_) => {}
            None => nobodys = true,
        }
    }
    if whose.len() > RECORDS {
        return Err(bad(
            IssueCode::TooLong,
            format!("these are {} records: ask for {RECORDS} at most", whose.len()),
        ));
    }
    let mut of = Vec::new();
    for patient in &whose {
        of.push(Leave::Record(
            leave(app, caller, &search.kind, patient, &page.asked).await?,
        ));
    }
    if nobodys {
        of.push(Leave::Nobody(
            common::leave(app, caller, &search.kind, &page.asked).await?,
        ));
    }
    let referred = referred(app, caller, search, &whose, &page.asked).await?;
    if of.is_empty() {
        // Nothing is looked at; that somebody asked is written down all the same.
        written_down(app, caller, search, page).await?;
    }
    let after = after(page, &of)?;
    let walk = Walk {
        app,
        search,
        of: &of,
        referred: &referred,
        limit: page.limit,
        after,
        last: page.last,
    };
    let walked = walk.make(&mut Resolving::new(caller)).await?;
    let mut answer = Answer::of(search, page, walked);
    for (n, leave) in of.iter().enumerate() {
        let Leave::Record(permit) = leave else { continue };
        answer.tell_of_record(app, n, permit).await?;
        // A program is told that a record is not there; to a person it is one of another ward's.
        if matches!(caller.subject, Subject::Client { .. })
            && let Some(patient) = permit.patient()
            && app.store.whereabouts(patient).await?.is_none()
        {
            answer.tell(
                IssueCode::NotFound,
                &format!("there is no record of Patient/{patient} here"),
            );
        }
    }
    Ok(answer)
}

/// Whose records are searched: those of the patients named, of the patients a chain finds, or of the resources named by `_id`; `None` =
/// what is nobody's.
async fn owners(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &Page,
) -> Result<Vec<Option<PatientId>>, FhirRefusal> {
    if let Some(named) = search.patients() {
        return Ok(named.into_iter().map(Some).collect());
    }
    if let Some(chain) = search.patient_chain() {
        let found = patients::ids(app, caller, &chain, &page.asked, RECORDS + 1).await?;
        return Ok(found.into_iter().map(Some).collect());
    }
    if let Some(ids) = search.ids() {
        return of_ids(app, caller, &search.kind, &ids).await;
    }
    Err(bad(
        IssueCode::Required,
        format!(
            "{} is searched within records: add patient=<id>, patient.identifier=<system>|<value>, or _id=<id>",
            search.kind
        ),
    ))
}

/// The owners of resources that are named by their ids. Ids cannot be tried: what is not there is answered like what is another's or
/// too confidential, to a person by the refusal of a record that is not theirs, to a program by nothing.
async fn of_ids(
    app: &App,
    caller: &Caller,
    kind: &str,
    ids: &[&str],
) -> Result<Vec<Option<PatientId>>, FhirRefusal> {
    super::may_search(app, caller, kind).await?;
    let mut owners = BTreeSet::new();
    for id in ids {
        match of_id(app, caller, kind, id).await {
            Ok(Some(owner)) => _ = owners.insert(owner),
            Ok(None) if caller.user().is_some() => return Err(refused(app, caller, kind, id).await),
            Ok(None) => {}
            Err(no) if no.status == StatusCode::FORBIDDEN && caller.user().is_none() => {}
            Err(no) => return Err(no),
        }
    }
    Ok(owners.into_iter().collect())
}

/// Whose a resource is, where the caller sees it: `Some(None)` = nobody's.
async fn of_id(
    app: &App,
    caller: &Caller,
    kind: &str,
    id: &str,
) -> Result<Option<Option<PatientId>>, FhirRefusal> {
    let Ok(key) = ResourceKey::new(kind, id) else {
        return Ok(None);
    };
    let owner = match app.store.owner(&key).await? {
        Some(Some(owner)) => owner,
        // The leave for what is nobody's is asked for with the search.
        Some(None) => return Ok(Some(None)),
        None => return Ok(None),
    };
    let permit = leave(app, caller, kind, &owner, &format!("_id={id}")).await?;
    let label = match app.store.lookup(&key).await {
        Ok(Some((_, body))) => labels::of_resource(kind, &body),
        Ok(None) => return Ok(None),
        // What lies in the archive is told by the walk.
        Err(StoreError::Archived { .. }) => return Ok(Some(Some(owner))),
        Err(e) => return Err(e.into()),
    };
    if permit.sees(label) {
        return Ok(Some(Some(owner)));
    }
    if caller.user().is_none() {
        app.store.append(permit.withheld().entry()).await?;
        app.metrics.denied();
    }
    Ok(None)
}

/// What a person is told who reads what is not there or too confidential, with the row of that read.
async fn refused(app: &App, caller: &Caller, kind: &str, id: &str) -> FhirRefusal {
    let Ok(key) = ResourceKey::new(kind, id) else {
        return FhirRefusal::suppressed();
    };
    match fetch(app, caller, &key, None).await {
        Err(no) => no,
        // It has come meanwhile.
        Ok(_) => FhirRefusal::suppressed(),
    }
}

/// A row about a question for which no record is looked at.
async fn written_down(app: &App, caller: &Caller, search: &Search, page: &Page) -> Result<(), FhirRefusal> {
    if let Some(permit) = super::may_search(app, caller, &search.kind).await? {
        let permit = permit
            .noted("query", page.asked.chars().take(KEPT).collect::<String>())
            .noted("by", format!("{} search", search.kind));
        app.store.append(permit.entry(Disclosure::default())).await?;
    }
    Ok(())
}

/// For each `_has`, whom the resources that pass it refer to.
async fn referred(
    app: &App,
    caller: &Caller,
    search: &Search,
    whose: &[PatientId],
    asked: &str,
) -> Result<Vec<HashSet<ResourceKey>>, FhirRefusal> {
    let mut all = Vec::new();
    for has in &search.has {
        if !vitrine_fhir::is_of_a_patient(&has.kind) {
            return Err(bad(
                IssueCode::NotSupported,
                format!(
                    "_has:{}: within a record only what belongs to patients is looked at",
                    has.kind
                ),
            ));
        }
        let mut keys = HashSet::new();
        for patient in whose {
            let leave = Leave::Record(leave(app, caller, &has.kind, patient, asked).await?);
            keys.extend(passing(app, caller, has, &leave).await?);
        }
        all.push(keys);
    }
    Ok(all)
}

/// Whom the resources refer to that pass a `_has`.
pub(super) async fn passing(
    app: &App,
    caller: &Caller,
    has: &Has,
    leave: &Leave,
) -> Result<HashSet<ResourceKey>, FhirRefusal> {
    let mut resolving = Resolving::new(caller);
    loop {
        let mut keys = HashSet::new();
        peek(app, leave, &has.kind, |r, body| {
            keys.extend(has.referred(&super::walk::candidate(r, body), &mut |key| {
                resolving.resolve(key)
            }));
        })
        .await?;
        if !resolving.fetch(app, leave).await? {
            return Ok(keys);
        }
    }
}
