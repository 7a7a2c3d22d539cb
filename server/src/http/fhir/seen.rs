//! Pages of a record for whoever may see less than all of it.
//!
//! Lives here: pages as full as the caller asked for, counts of what is seen and of what is withheld. Never here: what is
//! withheld (the store takes it out, by the permit). Called by `everything` and `search`.
//!
//! A page is made of what is seen alone: where something was left out, and of what type or age it was, shows in no
//! page's size, no link and no count. The number of all that is withheld is told, and nothing else of it.

use super::super::refusal::FhirRefusal;
use crate::app::App;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use vitrine_access::action::ReadChart;
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::PatientId;
use vitrine_clinical::label::Confidentiality;
use vitrine_store::disclosure::Collect;
use vitrine_store::{HistoryPage, Page, StoreError};

/// Resources read in one go.
const STRETCH: usize = 2000;
/// Records whose counts are kept.
const KEPT: usize = 512;

/// How much of a record is seen and how much is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counted {
    seen: u64,
    withheld: u64,
}

/// Whose record, and up to which level it is seen.
type Record = (PatientId, Confidentiality);
/// The store's epoch and the patient's revision it was counted at, and what was counted.
type Known = (String, u64, Counted);

/// What was counted.
#[derive(Debug, Default)]
pub struct Counts(Mutex<HashMap<Record, Known>>);

/// A page of what the permit lets see. Its row of the audit log names what is given, and nothing that was only looked at.
pub(super) async fn page(
    app: &App,
    permit: &Permit<ReadChart>,
    asked: Page,
) -> Result<HistoryPage, FhirRefusal> {
    let mut page = filled(app, permit, asked).await?;
    let counted = counted(app, permit).await?;
    (page.total, page.withheld) = (counted.seen, counted.withheld);
    Ok(page)
}

/// How many resources of the record the permit does not let see.
pub(super) async fn left_out(app: &App, permit: &Permit<ReadChart>) -> Result<u64, StoreError> {
    if permit.clearance() == Confidentiality::VeryRestricted {
        return Ok(0);
    }
    Ok(counted(app, permit).await?.withheld)
}

/// A stretch of the record, still sealed, and what may be known of it without opening it.
struct Part {
    sealed: Sealed<HistoryPage>,
    /// Resources that are seen, those in the archive too.
    seen: usize,
    withheld: u64,
    next: Option<String>,
}

async fn part(
    app: &App,
    permit: &Permit<ReadChart>,
    page: Page,
    said: &mut Collect,
) -> Result<Part, StoreError> {
    let (mut seen, mut withheld, mut next) = (0, 0, None);
    let sealed = app.store.everything(permit, page).await?.map(|p| {
        seen = p.resources.len() + p.archived.len();
        withheld = p.withheld;
        next.clone_from(&p.next);
        p.resources.iter().for_each(|r| said.resource(&r.key, r.version));
        p
    });
    Ok(Part {
        sealed,
        seen,
        withheld,
        next,
    })
}

/// As much as was asked for, if there is as much to see: one row of the audit log names all of it.
async fn filled(app: &App, permit: &Permit<ReadChart>, asked: Page) -> Result<HistoryPage, FhirRefusal> {
    let limit = asked.limit.max(1);
    let (mut parts, mut said, mut have) = (Vec::new(), Collect::default(), 0);
    permit.patient().into_iter().for_each(|p| said.patient(p));
    let mut after = asked.after;
    loop {
        let page = Page {
            after,
            limit: limit - have,
        };
        let read = part(app, permit, page, &mut said).await?;
        have += read.seen;
        after = read.next;
        parts.push(read.sealed);
        if have >= limit || after.is_none() {
            break;
        }
    }
    let follows = more(app, permit, after.clone()).await?;
    let receipt = app.store.append(permit.entry(said.finish())).await?;
    let mut all = HistoryPage {
        resources: Vec::new(),
        next: after.filter(|_| follows),
        archived: Vec::new(),
        total: 0,
        withheld: 0,
    };
    for sealed in parts {
        let read = sealed.open(&receipt).map_err(|e| StoreError::Backend {
            doing: "opening what was read",
            cause: e.to_string(),
        })?;
        all.resources.extend(read.resources);
        all.archived.extend(read.archived);
    }
    Ok(all)
}

/// Whether anything that is seen follows.
async fn more(app: &App, permit: &Permit<ReadChart>, mut after: Option<String>) -> Result<bool, StoreError> {
    let mut limit = 1;
    while after.is_some() {
        // Looked at and dropped: nothing of it is shown, so nothing of it is written down.
        let read = part(app, permit, Page { after, limit }, &mut Collect::default()).await?;
        if read.seen > 0 {
            return Ok(true);
        }
        after = read.next;
        limit = STRETCH;
    }
    Ok(false)
}

/// Counts the record, or remembers it for as long as nothing of it changed.
async fn counted(app: &App, permit: &Permit<ReadChart>) -> Result<Counted, StoreError> {
    let Some(patient) = permit.patient() else {
        return Ok(Counted::default());
    };
    let key = (patient.clone(), permit.clearance());
    let at = (app.store.epoch().await?, app.store.revision(patient).await?);
    {
        let kept = app.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((epoch, rev, counted)) = kept.get(&key)
            && (epoch, *rev) == (&at.0, at.1)
        {
            return Ok(*counted);
        }
    }
    let mut counted = Counted::default();
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: STRETCH,
        };
        let read = part(app, permit, page, &mut Collect::default()).await?;
        counted.seen += read.seen as u64;
        counted.withheld += read.withheld;
        after = read.next;
        if after.is_none() {
            break;
        }
    }
    let mut kept = app.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(key, (at.0, at.1, counted));
    Ok(counted)
}
