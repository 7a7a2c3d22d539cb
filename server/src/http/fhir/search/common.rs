//! Searches of what belongs to no patient: practitioners, organisations, places, medications.
//!
//! Lives here: the leave. Never here: the walk (`walk`), what matches (`vitrine_fhir::search`). Called by [`super::searched`].

use super::answer::Answer;
use super::record::passing;
use super::resolving::Resolving;
use super::walk::{Leave, Walk, after};
use super::{FhirRefusal, KEPT, Page, bad};
use crate::app::App;
use crate::identity::sessions::Caller;
use std::collections::HashSet;
use vitrine_access::Permit;
use vitrine_access::action::ReadResource;
use vitrine_clinical::ResourceKey;
use vitrine_fhir::IssueCode;
use vitrine_fhir::search::Search;

/// Leave to search a type that is nobody's; its row says what was asked.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn leave(
    app: &App,
    caller: &Caller,
    kind: &str,
    asked: &str,
) -> Result<Permit<ReadResource>, FhirRefusal> {
    super::may_search(app, caller, kind).await?;
    let request = app.request(caller, Some(kind), None).await?;
    let permit = app.decide::<ReadResource>(request).await?;
    Ok(permit
        .noted("query", asked.chars().take(KEPT).collect::<String>())
        .noted("by", format!("{kind} search")))
}

/// Searches it.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn search(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &Page,
) -> Result<Answer, FhirRefusal> {
    let of = [Leave::Nobody(
        leave(app, caller, &search.kind, &page.asked).await?,
    )];
    let mut referred: Vec<HashSet<ResourceKey>> = Vec::new();
    for has in &search.has {
        if vitrine_fhir::is_of_a_patient(&has.kind) {
            return Err(bad(
                IssueCode::NotSupported,
                format!(
                    "_has:{}: what belongs to patients is searched within records",
                    has.kind
                ),
            ));
        }
        let leave = Leave::Nobody(leave(app, caller, &has.kind, &page.asked).await?);
        referred.push(passing(app, caller, has, &leave).await?);
    }
    let after = after(page, &of)?;
    let walk = Walk {
        app,
        search,
        of: &of,
        referred: &referred,
        limit: page.limit,
        after,
        last: None,
    };
    Ok(Answer::of(
        search,
        page,
        walk.make(&mut Resolving::new(caller)).await?,
    ))
}
