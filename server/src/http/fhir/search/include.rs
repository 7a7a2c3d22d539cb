//! `_include` and `_revinclude`: what is referred to by what was found, and what refers to it.
//!
//! Lives here: following references, each under a leave of its own. Never here: which references a parameter means
//! (`vitrine_fhir::search`). Called by [`super::searched`].

use super::super::read::fetch;
use super::answer::Answer;
use super::walk::{Leave, body, picked};
use super::{FhirRefusal, Page, common, record};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_fhir::IssueCode;
use vitrine_fhir::search::{Include, Search};
use vitrine_store::{StoreError, StoredResource};

/// Resources included in one answer.
const MOST: usize = 500;
/// Times `:iterate` is followed.
const DEEP: usize = 4;

/// Adds them to the answer.
///
/// # Errors
/// [`FhirRefusal`]: the store's. What the caller may not see is left out, and how much is told.
pub(super) async fn add(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &Page,
    answer: &mut Answer,
) -> Result<(), FhirRefusal> {
    if search.includes.is_empty() && search.revincludes.is_empty() {
        return Ok(());
    }
    let found = answer.stored();
    let mut have: HashSet<ResourceKey> = found.iter().map(|r| r.key.clone()).collect();
    let matches = have.len();
    let (mut left_out, mut elsewhere, mut too_many, mut n) = (0_usize, false, false, 0);
    let mut last = found;
    for depth in 0..=DEEP {
        let mut new = Vec::new();
        for key in followed(&search.includes, &last, depth)? {
            if !have.insert(key.clone()) {
                continue;
            }
            if n >= MOST {
                too_many = true;
                break;
            }
            n += 1;
            match fetch(app, caller, &key, None).await {
                Ok(found) => new.push(found),
                // Not there, deleted, or not for this caller: the same in every word.
                Err(no) if is_about_it(no.status) => left_out += 1,
                Err(no) => return Err(no),
            }
        }
        for include in search.revincludes.iter().filter(|i| depth == 0 || i.iterate) {
            let found = referring(app, caller, include, &last, MOST.saturating_sub(n), &page.asked).await?;
            too_many |= found.more;
            elsewhere |= found.elsewhere;
            new.extend(found.resources.into_iter().filter(|r| have.insert(r.key.clone())));
            n = have.len().saturating_sub(matches);
        }
        if new.is_empty() {
            break;
        }
        for found in &new {
            answer.include(found)?;
        }
        last = new;
    }
    if left_out > 0 {
        answer.tell(
            IssueCode::Processing,
            &format!("{left_out} of the resources to include are not here or not for you"),
        );
    }
    if elsewhere {
        answer.tell(
            IssueCode::NotSupported,
            "what refers to it from within patients' records is not looked for",
        );
    }
    if too_many {
        answer.tell(
            IssueCode::TooLong,
            &format!("more than {MOST} resources were to be included: ask for fewer with _count"),
        );
    }
    Ok(())
}

const fn is_about_it(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE
    )
}

fn followed(
    includes: &[Include],
    found: &[StoredResource],
    depth: usize,
) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let mut keys = BTreeSet::new();
    for r in found {
        let body = body(r)?;
        for include in includes.iter().filter(|i| depth == 0 || i.iterate) {
            keys.extend(include.follow(r.key.kind.as_str(), &body));
        }
    }
    Ok(keys)
}

/// What refers to something.
struct Referring {
    resources: Vec<StoredResource>,
    /// There are more.
    more: bool,
    /// Something of this type may refer to it from within a record.
    elsewhere: bool,
}

/// What refers to what was found, in the records that it was found in, or among what is nobody's.
async fn referring(
    app: &App,
    caller: &Caller,
    include: &Include,
    found: &[StoredResource],
    most: usize,
    asked: &str,
) -> Result<Referring, FhirRefusal> {
    let mut by: BTreeMap<Option<&PatientId>, HashSet<&ResourceKey>> = BTreeMap::new();
    for r in found {
        by.entry(r.patient.as_ref()).or_default().insert(&r.key);
    }
    let mut all = Referring {
        resources: Vec::new(),
        more: false,
        elsewhere: by.contains_key(&None) && vitrine_fhir::is_of_a_patient(&include.source),
    };
    for (patient, keys) in by {
        let leave = match patient {
            Some(patient) => {
                Leave::Record(record::leave(app, caller, &include.source, patient, asked).await?)
            }
            None => Leave::Nobody(common::leave(app, caller, &include.source, asked).await?),
        };
        let (some, more) = picked(
            app,
            &leave,
            &include.source,
            most.saturating_sub(all.resources.len()),
            |body| {
                include
                    .follow(&include.source, body)
                    .iter()
                    .any(|k| keys.contains(k))
            },
        )
        .await?;
        all.resources.extend(some);
        all.more |= more;
    }
    Ok(all)
}
