//! Pages of snapshots: read under a permit, written down, cut into chunks.
//!
//! Lives here: [`page`], what is read ahead of a workstation's credit. Never here: when a page is wanted (that is
//! `vitrine-sync`), the pages many share (that is `hub`). Called by `work`.

use super::work::{Served, device_request};
use crate::app::{App, NoAccess};
use crate::ops::tiers::ask;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedSemaphorePermit;
use vitrine_access::action::SyncScope;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::PatientId;
use vitrine_store::StoreError;
use vitrine_sync::fanout::{self, BuildError, Item};
use vitrine_sync::server::PageRead;
use vitrine_wire::frame::CHUNK;

/// Chunks of a patient's record read, and written down in the audit log, in one go.
const AHEAD: usize = 8;

/// What was read ahead for one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadAhead(Arc<Mutex<Option<Ahead>>>);

/// Chunks of one record that were read, and are in the audit log, before they were asked for.
#[derive(Debug)]
struct Ahead {
    scope: String,
    /// Key after which the first of them goes on.
    after: String,
    pages: VecDeque<PageRead>,
    _leave: OwnedSemaphorePermit,
}

impl ReadAhead {
    fn lock(&self) -> MutexGuard<'_, Option<Ahead>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn keep(&self, ahead: Ahead) {
        *self.lock() = Some(ahead);
    }
    /// The chunk that goes on after this key, if it was read ahead; anything else that was is forgotten.
    fn take(&self, scope: &str, after: Option<&str>) -> Option<PageRead> {
        let mut kept = self.lock();
        let mut ahead = kept
            .take()
            .filter(|a| a.scope == scope && after == Some(a.after.as_str()))?;
        let page = ahead.pages.pop_front()?;
        if let (Some(next), false) = (&page.next_after, ahead.pages.is_empty()) {
            ahead.after.clone_from(next);
            *kept = Some(ahead);
        }
        Some(page)
    }
    /// Nobody may be given it any more: somebody else asks, or the person or the record went.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }
}

/// A page of a snapshot under the workstation's permit. Pages that many fetch at once (a whole ward reconnecting) are
/// read once; every workstation's disclosure is written down all the same. Of a patient's record that goes on, several
/// chunks are read under one audit row: a synced row for each would cost more than all the rest.
pub(super) async fn page(
    app: &App,
    served: &Served,
    scope: &str,
    after: Option<&str>,
) -> Result<PageRead, StoreError> {
    if let Some(page) = served.ahead.take(scope, after) {
        return Ok(page);
    }
    let denied = |text: &str| StoreError::Refused(text.to_owned());
    let request = device_request(served, scope).ok_or_else(|| denied("not an enrolled workstation"))?;
    let permit: Permit<SyncScope> = match app.decide(request).await {
        Ok(p) => p.noted("scope", scope),
        Err(NoAccess::Store(e)) => return Err(e),
        Err(NoAccess::Denied(d)) => return Err(denied(d.text)),
    };
    if let Some((page, disclosure)) = app.hub.kept_page(scope, after) {
        app.store.append(permit.entry(disclosure)).await?;
        return Ok(page);
    }
    let leave = match after {
        Some(_) if vitrine_sync::scope::is_patient(scope) => {
            Arc::clone(&app.read_ahead).try_acquire_owned().ok()
        }
        _ => None,
    };
    let size = if leave.is_some() { AHEAD * CHUNK } else { CHUNK };
    let sealed = app.store.scope_page(&permit, scope, after, size).await?;
    let disclosure = sealed.disclosure().clone();
    let read = match app.open(&permit, sealed).await {
        Ok(read) => read,
        Err(NoAccess::Store(e)) => return Err(e),
        Err(NoAccess::Denied(d)) => return Err(denied(d.text)),
    };
    let items: Vec<Item> = read
        .items
        .into_iter()
        .map(|i| Item {
            key: i.key,
            ver: i.ver,
            version: i.version,
            body: i.body,
        })
        .collect();
    // The oldest position only ever grows; one that is a moment old is safe, because the client then asks again.
    let oldest = app.store.changes_since(read.pos, Some(scope), 1).await?.oldest;
    let whole = PageOf {
        scope,
        items: &items,
        next_after: read.next_after,
        pos: read.pos,
        rev: read.rev,
        total: read.total,
        oldest,
    };
    let mut pages = whole.chunks().map_err(|e| StoreError::Backend {
        doing: "building a snapshot",
        cause: e.to_string(),
    })?;
    let page = pages.pop_front().ok_or(StoreError::Closed)?;
    if let (Some(leave), Some(after), false) = (leave, page.next_after.clone(), pages.is_empty()) {
        served.ahead.keep(Ahead {
            scope: scope.to_owned(),
            after,
            pages,
            _leave: leave,
        });
    }
    if !vitrine_sync::scope::is_patient(scope) {
        app.hub.keep_page(scope, after, &page, &disclosure);
    }
    Ok(page)
}

/// Asks back what of a record lies in the archive, for whoever opens it at a workstation.
pub(super) async fn ask_back(app: &App, served: &Served, scope: &str, e: &StoreError) {
    let patient = scope.strip_prefix("pat:").and_then(|id| PatientId::new(id).ok());
    let (Some(patient), StoreError::Archived { .. }) = (patient, e) else {
        return;
    };
    let Some(request) = device_request(served, scope) else {
        return;
    };
    let asked = match app.decide::<SyncScope>(request).await {
        Ok(permit) => {
            let mut entry = permit.noted("scope", scope).entry(Disclosure::default());
            entry.patient = Some(patient.clone());
            ask(&*app.store, &app.tiers, &app.config.archive, entry, &patient)
                .await
                .map(|_| ())
        }
        Err(NoAccess::Store(e)) => Err(e),
        Err(NoAccess::Denied(_)) => Ok(()),
    };
    if let Err(e) = asked {
        tracing::warn!(error = %e, "a record was not asked back from the archive");
    }
}

/// A page as it was read, to be cut into chunks.
struct PageOf<'a> {
    scope: &'a str,
    items: &'a [Item],
    next_after: Option<String>,
    pos: u64,
    rev: u64,
    total: u64,
    oldest: u64,
}

impl PageOf<'_> {
    /// At least one chunk, also of an empty page; each goes on where the one before it ends.
    fn chunks(self) -> Result<VecDeque<PageRead>, BuildError> {
        let mut pages = VecDeque::new();
        let mut rest = self.items;
        loop {
            let (now, later) = rest.split_at(fitting(rest));
            rest = later;
            let next_after = if rest.is_empty() {
                self.next_after.clone()
            } else {
                now.last().map(|i| i.key.clone())
            };
            pages.push_back(PageRead {
                frame: fanout::chunk(self.scope, now, next_after.as_deref())?,
                next_after,
                pos: self.pos,
                rev: self.rev,
                total: self.total,
                oldest: self.oldest,
            });
            if rest.is_empty() {
                return Ok(pages);
            }
        }
    }
}

/// How many of these items make one chunk: as many as fit, at least one of them.
fn fitting(items: &[Item]) -> usize {
    let mut bytes = 0;
    let mut n = 0;
    for item in items {
        bytes += item.body.len();
        if bytes > CHUNK && n > 0 {
            break;
        }
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    fn items(sizes: &[usize]) -> Vec<Item> {
        let body = |n: usize| format!("\"{}\"", "x".repeat(n - 2)).into();
        let one = |(k, n): (usize, &usize)| Item {
            key: format!("Observation/{k}"),
            ver: 1,
            version: None,
            body: body(*n),
        };
        sizes.iter().enumerate().map(one).collect()
    }

    fn pages(sizes: &[usize], next_after: Option<&str>) -> Vec<Option<String>> {
        let whole = PageOf {
            scope: "pat:p-1",
            items: &items(sizes),
            next_after: next_after.map(str::to_owned),
            pos: 1,
            rev: 1,
            total: 9,
            oldest: 0,
        };
        whole
            .chunks()
            .unwrap()
            .into_iter()
            .map(|p| p.next_after)
            .collect()
    }

    #[test]
    fn a_page_is_cut_where_a_chunk_is_full_and_loses_nothing() {
        let after = |k: usize| Some(format!("Observation/{k}"));
        assert_eq!(pages(&[], None), [None], "an empty record is one empty chunk");
        assert_eq!(pages(&[100, 100], None), [None]);
        assert_eq!(pages(&[CHUNK, 100], None), [after(0), None]);
        let more = pages(&[CHUNK - 50, 40, 40, CHUNK * 2, 100], Some("Observation/4"));
        assert_eq!(more, [after(1), after(2), after(3), after(4)]);
    }

    #[test]
    fn what_was_read_ahead_is_given_in_order_once_and_to_that_question_alone() {
        let leave = Arc::new(Semaphore::new(1));
        let ahead = |after: &str| {
            let whole = PageOf {
                scope: "pat:p-1",
                items: &items(&[CHUNK, CHUNK, CHUNK]),
                next_after: Some("Observation/2".to_owned()),
                pos: 1,
                rev: 1,
                total: 9,
                oldest: 0,
            };
            Ahead {
                scope: "pat:p-1".to_owned(),
                after: after.to_owned(),
                pages: whole.chunks().unwrap(),
                _leave: Arc::clone(&leave).try_acquire_owned().unwrap(),
            }
        };
        let kept = ReadAhead::default();
        kept.keep(ahead("Encounter/9"));
        let mut after = "Encounter/9".to_owned();
        for _ in 0..3 {
            after = kept.take("pat:p-1", Some(&after)).unwrap().next_after.unwrap();
        }
        assert_eq!(after, "Observation/2");
        assert!(kept.take("pat:p-1", Some(&after)).is_none());
        assert_eq!(leave.available_permits(), 1, "the leave is given back");

        for (scope, after) in [
            ("pat:p-2", Some("Encounter/9")),
            ("pat:p-1", Some("Encounter/8")),
            ("pat:p-1", None),
        ] {
            kept.keep(ahead("Encounter/9"));
            assert!(kept.take(scope, after).is_none(), "{scope} {after:?}");
            assert!(
                kept.take("pat:p-1", Some("Encounter/9")).is_none(),
                "and is forgotten"
            );
        }
        kept.keep(ahead("Encounter/9"));
        kept.forget();
        assert_eq!(leave.available_permits(), 1);
    }
}
