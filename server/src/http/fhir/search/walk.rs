//! The walk over the resources of one type: of one patient's record, or of those that are nobody's.
//!
//! Lives here: reading in stretches while everything is still sealed, what matches, the order, where a page ends. Never here: what
//! matching means (`vitrine_fhir::search`), how the answer is written (`answer`). Called by `record`, `common` and `include`.
//!
//! What does not match is dropped unseen, and the audit row names what is given and nothing that was only looked at.

use super::resolving::Resolving;
use super::token::{End, Place, Token};
use super::{FhirRefusal, Page, bad};
use crate::app::App;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::{AuditEntry, Disclosure, Permit, Sealed};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_fhir::search::{Candidate, Last, Observed, Search, SortKey};
use vitrine_fhir::{IssueCode, Json, parse};
use vitrine_store::disclosure::Collect;
use vitrine_store::{ArchivedResource, KindPage, StoreError, StoredResource};

/// Resources read in one go.
const STRETCH: usize = 1000;

/// Under which leave, and so of whom.
pub(super) enum Leave {
    /// One record.
    Record(Permit<ReadChart>),
    /// What is nobody's.
    Nobody(Permit<ReadResource>),
}

impl Leave {
    pub(super) fn patient(&self) -> Option<&PatientId> {
        match self {
            Self::Record(permit) => permit.patient(),
            Self::Nobody(_) => None,
        }
    }
    pub(super) fn sees(&self, label: Label) -> bool {
        match self {
            Self::Record(permit) => permit.sees(label),
            Self::Nobody(permit) => permit.sees(label),
        }
    }
    pub(super) fn entry(&self, said: Disclosure) -> AuditEntry {
        match self {
            Self::Record(permit) => permit.entry(said),
            Self::Nobody(permit) => permit.entry(said),
        }
    }
    async fn stretch(
        &self,
        app: &App,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        match self {
            Self::Record(permit) => app.store.of_kind(permit, kind, below, limit).await,
            Self::Nobody(permit) => app.store.of_nobody(permit, kind, below, limit).await,
        }
    }
}

/// A walk that is to be made.
pub(super) struct Walk<'a> {
    pub(super) app: &'a App,
    pub(super) search: &'a Search,
    /// Whose, in the order of the answer.
    pub(super) of: &'a [Leave],
    /// A set for each `_has`: whom somebody refers to.
    pub(super) referred: &'a [HashSet<ResourceKey>],
    /// Resources of a page.
    pub(super) limit: usize,
    /// Behind what the page begins.
    pub(super) after: Option<End>,
    /// Of a `$lastn`: so many of each code, in its order.
    pub(super) last: Option<usize>,
}

/// Behind what a page begins, among these records.
///
/// # Errors
/// 400 for a token of another search.
pub(super) fn after(page: &Page, of: &[Leave]) -> Result<Option<End>, FhirRefusal> {
    let Some(token) = &page.after else { return Ok(None) };
    match token.among(of) {
        Some(end) => Ok(Some(end)),
        None => Err(bad(
            IssueCode::Value,
            "_page is of another search: take the next link as it is",
        )),
    }
}

/// What a walk came to.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) hits: Vec<StoredResource>,
    /// They lie in the archive, of which record by its place: whether they match is not known.
    pub(super) archived: Vec<(usize, ArchivedResource)>,
    /// All that match, where they were counted.
    pub(super) total: Option<u64>,
    pub(super) next: Option<Token>,
    /// Those that a `$lastn` left out because they were entered in error.
    pub(super) withdrawn: u64,
}

/// Something that matches, while its body is still sealed.
struct Match {
    sort: Option<SortKey>,
    /// Of a `$lastn`: its code and time.
    observed: Option<Observed>,
    place: Place,
    key: ResourceKey,
}

impl Walk<'_> {
    /// # Errors
    /// [`FhirRefusal`]: the store's.
    pub(super) async fn make(&self, resolving: &mut Resolving<'_>) -> Result<Walked, FhirRefusal> {
        let mut last = self.last.map(|max| Last::new(self.search, max));
        let sorted = self.has_own_order();
        // A page in the order of the store ends where it is full; for an order or a number everything is looked at.
        let all = sorted || self.search.wants_total() || self.limit == 0;
        let mut found: Vec<Match> = Vec::new();
        let (mut walked, mut parts, mut count) = (Walked::default(), Vec::new(), 0_u64);
        'of: for (n, leave) in self.of.iter().enumerate() {
            let start = self.after.as_ref().filter(|_| !all).map(|end| end.place);
            if start.is_some_and(|s| n < s.of) {
                continue;
            }
            let mut below = start.filter(|s| s.of == n).map_or(u64::MAX, |s| s.number);
            loop {
                let part = leave.stretch(self.app, &self.search.kind, below, STRETCH).await?;
                let (part, next) = self
                    .look(part, n, leave, resolving, &mut found, &mut walked)
                    .await?;
                if !sorted {
                    parts.push((n, part));
                }
                // Of each code the last are remembered and no others.
                if let Some(last) = &mut last {
                    for mut m in found.drain(..) {
                        if let Some(observed) = m.observed.take() {
                            last.add(observed, m);
                        }
                    }
                }
                if !all && found.len() > self.limit {
                    break 'of;
                }
                let Some(next) = next else { break };
                below = next;
                if all && !sorted {
                    count += self.passed(&mut found);
                }
            }
        }
        if let Some(last) = last {
            walked.withdrawn = last.withdrawn();
            found = last.into_list();
            self.is_not_too_much(found.len()).await?;
        } else if sorted {
            found.sort_by(|a, b| (&a.sort, a.place).cmp(&(&b.sort, b.place)));
        }
        count += found.len() as u64;
        found.retain(|m| self.is_behind(m));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        if more {
            walked.next = found.last().map(|m| {
                let whose = self.of.get(m.place.of).and_then(Leave::patient);
                Token::after(whose, m.place.number, m.sort.as_ref())
            });
        }
        // Without a next page and begun at the beginning, what is given is all there is.
        let whole = self.after.is_none() && !more;
        walked.total = (all || whole).then_some(count);
        if sorted {
            parts = self.read(&found).await?;
        }
        walked.hits = self.open(parts, &found).await?;
        Ok(walked)
    }

    /// Whether the order is another than the store's, so that everything has to be looked at first.
    const fn has_own_order(&self) -> bool {
        self.last.is_some() || !self.search.sort.is_empty()
    }

    /// Refuses what a `$lastn` would give in parts: it has no pages. That it was looked at is written down, with nothing shown.
    async fn is_not_too_much(&self, found: usize) -> Result<(), FhirRefusal> {
        if self.limit == 0 || found <= self.limit {
            return Ok(());
        }
        self.open(Vec::new(), &[]).await?;
        Err(bad(
            IssueCode::TooLong,
            format!(
                "these are {found} observations, and $lastn gives {} at most: ask for fewer codes, a date, or a smaller max",
                self.limit
            ),
        ))
    }

    /// Whether it comes behind the page before.
    fn is_behind(&self, m: &Match) -> bool {
        self.after
            .as_ref()
            .is_none_or(|end| end.is_before(m.sort.as_ref(), m.place))
    }

    /// Drops what lies beyond a page already, where only its number matters; gives how many.
    fn passed(&self, found: &mut Vec<Match>) -> u64 {
        let keep = match &self.after {
            // What comes before the page is dropped at the end.
            Some(_) => return 0,
            None => self.limit + 1,
        };
        let gone = found.len().saturating_sub(keep);
        found.truncate(keep);
        gone as u64
    }

    /// Looks through a stretch: what matches is remembered, and only that is kept of it.
    async fn look(
        &self,
        part: Sealed<KindPage>,
        of: usize,
        leave: &Leave,
        resolving: &mut Resolving<'_>,
        found: &mut Vec<Match>,
        walked: &mut Walked,
    ) -> Result<(Sealed<KindPage>, Option<u64>), FhirRefusal> {
        let keep = !self.has_own_order();
        let mut part = part;
        loop {
            let (mut new, mut archived, mut next, mut damaged) = (Vec::new(), Vec::new(), None, None);
            // A thousand bodies are read: not on a thread that others wait for.
            part = tokio::task::block_in_place(|| {
                part.map(|page| {
                    for (number, r) in &page.resources {
                        let place = Place { of, number: *number };
                        match self.matches(r, place, resolving) {
                            Ok(found) => new.extend(found),
                            Err(e) => damaged = Some(e),
                        }
                    }
                    archived.extend(page.archived.iter().map(|(_, a)| (of, a.clone())));
                    next = page.next;
                    page
                })
            });
            // What cannot be read may be what was asked for.
            if let Some(e) = damaged {
                return Err(e.into());
            }
            // What a chain leads to is fetched, and the stretch looked through again.
            if resolving.fetch(self.app, leave).await? {
                continue;
            }
            // Of a page in the order of the store the bodies are kept, of everything else the places alone.
            let room = (self.limit + 1).saturating_sub(found.iter().filter(|m| self.is_behind(m)).count());
            let page = new
                .iter()
                .filter(|m: &&Match| keep && self.is_behind(m))
                .take(room);
            let matching: HashSet<u64> = page.map(|m| m.place.number).collect();
            found.append(&mut new);
            walked.archived.append(&mut archived);
            part = part.map(|mut page| {
                page.resources.retain(|(number, _)| matching.contains(number));
                page
            });
            return Ok((part, next));
        }
    }

    /// `Some` where it matches.
    fn matches(
        &self,
        r: &StoredResource,
        place: Place,
        resolving: &mut Resolving<'_>,
    ) -> Result<Option<Match>, StoreError> {
        let body = body(r)?;
        let candidate = candidate(r, &body);
        let fits = self.referred.iter().all(|keys| keys.contains(&r.key))
            && self.search.matches(&candidate, &mut |key| resolving.resolve(key));
        Ok(fits.then(|| Match {
            sort: (!self.search.sort.is_empty()).then(|| self.search.sort_key(&candidate)),
            observed: self.last.map(|_| Observed::of(&candidate)),
            place,
            key: r.key.clone(),
        }))
    }

    /// The bodies of what was chosen by its order.
    async fn read(&self, found: &[Match]) -> Result<Vec<(usize, Sealed<KindPage>)>, StoreError> {
        let mut parts = Vec::new();
        for m in found {
            let Some(leave) = self.of.get(m.place.of) else {
                continue;
            };
            let below = m.place.number.saturating_add(1);
            parts.push((
                m.place.of,
                leave.stretch(self.app, &self.search.kind, below, 1).await?,
            ));
        }
        Ok(parts)
    }

    /// Writes down what is given, one row for each record, and opens it: in the order in which it was found.
    async fn open(
        &self,
        parts: Vec<(usize, Sealed<KindPage>)>,
        found: &[Match],
    ) -> Result<Vec<StoredResource>, FhirRefusal> {
        let order: BTreeMap<&ResourceKey, usize> =
            found.iter().enumerate().map(|(n, m)| (&m.key, n)).collect();
        let mut hits = Vec::new();
        let mut parts = parts;
        for (n, leave) in self.of.iter().enumerate() {
            let mut said = Collect::default();
            leave.patient().into_iter().for_each(|p| said.patient(p));
            let (own, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(of, _)| *of == n);
            parts = rest;
            let own: Vec<Sealed<KindPage>> = own
                .into_iter()
                .map(|(_, part)| {
                    part.map(|mut page| {
                        page.resources.retain(|(_, r)| order.contains_key(&r.key));
                        page.resources
                            .iter()
                            .for_each(|(_, r)| said.resource(&r.key, r.version));
                        page
                    })
                })
                .collect();
            let receipt = self.app.store.append(leave.entry(said.finish())).await?;
            for part in own {
                let page = part.open(&receipt).map_err(|e| StoreError::Backend {
                    doing: "opening what was read",
                    cause: e.to_string(),
                })?;
                hits.extend(page.resources.into_iter().map(|(_, r)| r));
            }
        }
        hits.sort_by_key(|r| order.get(&r.key).copied());
        Ok(hits)
    }
}

/// A body as a search reads it.
///
/// # Errors
/// [`StoreError::Damaged`]: what is stored was read when it came.
pub(super) fn body(r: &StoredResource) -> Result<Json, StoreError> {
    parse(&r.body).map_err(|e| StoreError::Damaged(format!("the body of {}: {e}", r.key)))
}

/// What a search looks at.
pub(super) fn candidate<'a>(r: &'a StoredResource, body: &'a Json) -> Candidate<'a> {
    Candidate {
        key: &r.key,
        updated: r.updated,
        body,
    }
}

/// Everything of a type that is seen under a leave, looked at and not shown.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn peek(
    app: &App,
    leave: &Leave,
    kind: &str,
    mut look: impl FnMut(&StoredResource, &Json),
) -> Result<(), StoreError> {
    let (mut below, mut read) = (Some(u64::MAX), Ok(()));
    while let Some(number) = below {
        let part = leave.stretch(app, kind, number, STRETCH).await?;
        tokio::task::block_in_place(|| {
            let _ = part.map(|page| {
                for (_, r) in &page.resources {
                    match body(r) {
                        Ok(json) => look(r, &json),
                        Err(e) => read = Err(e),
                    }
                }
                below = page.next;
            });
        });
    }
    read
}

/// Those of a type that `wanted` picks, at most so many, written down and opened; and whether there were more.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn picked(
    app: &App,
    leave: &Leave,
    kind: &str,
    most: usize,
    wanted: impl Fn(&Json) -> bool,
) -> Result<(Vec<StoredResource>, bool), StoreError> {
    let (mut parts, mut said, mut have, mut more) = (Vec::new(), Collect::default(), 0, false);
    leave.patient().into_iter().for_each(|p| said.patient(p));
    let (mut below, mut damaged) = (Some(u64::MAX), None);
    while let Some(number) = below {
        let part = leave.stretch(app, kind, number, STRETCH).await?;
        let look = |mut page: KindPage| {
            page.resources.retain(|(_, r)| match body(r) {
                Ok(json) => wanted(&json),
                Err(e) => {
                    damaged = Some(e);
                    false
                }
            });
            if have + page.resources.len() > most {
                more = true;
                page.resources.truncate(most - have);
            }
            have += page.resources.len();
            page.resources
                .iter()
                .for_each(|(_, r)| said.resource(&r.key, r.version));
            below = page.next;
            page
        };
        parts.push(tokio::task::block_in_place(|| part.map(look)));
        if let Some(e) = damaged {
            return Err(e);
        }
        if more {
            break;
        }
    }
    let receipt = app.store.append(leave.entry(said.finish())).await?;
    let mut all = Vec::new();
    for part in parts {
        let page = part.open(&receipt).map_err(|e| StoreError::Backend {
            doing: "opening what was read",
            cause: e.to_string(),
        })?;
        all.extend(page.resources.into_iter().map(|(_, r)| r));
    }
    Ok((all, more))
}

/// A body that was read before, for chains.
pub(super) type Body = Arc<Json>;
