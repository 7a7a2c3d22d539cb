//! Copies of the originals of images in memory.

use super::MemoryStore;
use super::state::{Copy, Tables, Target};
use crate::StoreError;
use crate::copies::{
    Again, Copies, CopyCount, CopyDone, CopyFile, CopyOf, CopyReport, CopyRow, CopyState, LOCAL, Sum, Which,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use vitrine_clinical::UtcMs;

/// Up to which target an instance must be listed to have all its rows.
fn newest(t: &Tables) -> u64 {
    t.copy_targets.values().map(|x| x.since).max().unwrap_or(1)
}

fn of(t: &Tables, uid: &str) -> Option<CopyOf> {
    let image = t.images.get(uid)?;
    let study = t.studies.get(&t.series.get(&image.series)?.study)?;
    Some(CopyOf {
        patient: study.patient.clone(),
        uid: uid.to_owned(),
        blob: image.blob.clone(),
    })
}

fn original(t: &Tables, uid: &str) -> Option<Sum> {
    let is = |c: &&Copy| c.target == LOCAL && c.instance.as_deref() == Some(uid);
    t.copies.values().find(is)?.sum
}

fn row(t: &Tables, no: u64, c: &Copy) -> CopyRow {
    CopyRow {
        no,
        target: c.target.clone(),
        file: c.file,
        state: c.state,
        at: c.at,
        due: c.due,
        tries: c.tries,
        sum: c.sum,
        why: c.why.clone(),
        of: c.instance.as_deref().and_then(|uid| of(t, uid)),
        original: c.instance.as_deref().and_then(|uid| original(t, uid)),
    }
}

/// The copies of records that are destroyed are to go.
pub(super) fn forget(t: &mut Tables) {
    let images = &t.images;
    for c in t.copies.values_mut() {
        if c.instance.as_ref().is_some_and(|uid| !images.contains_key(uid)) {
            c.instance = None;
            c.state = CopyState::Leaving;
            c.due = UtcMs(0);
            c.tries = 0;
            c.why = None;
        }
    }
}

fn faulty(c: &Copy) -> bool {
    match c.state {
        CopyState::Missing | CopyState::Damaged | CopyState::Failed => true,
        CopyState::Pending | CopyState::Leaving => c.tries > 0,
        CopyState::Verified | CopyState::Away => false,
    }
}

#[async_trait]
impl Copies for MemoryStore {
    async fn copy_targets(&self, names: &[String]) -> Result<(), StoreError> {
        let mut t = self.tables();
        for (name, target) in &mut t.copy_targets {
            target.retired |= !names.contains(name);
        }
        for name in names {
            if t.copy_targets.get(name).is_none_or(|x| x.retired) {
                let since = newest(&t) + 1;
                let target = t.copy_targets.entry(name.clone()).or_insert(Target {
                    mark: None,
                    since,
                    retired: false,
                });
                target.since = since;
                target.retired = false;
            }
        }
        Ok(())
    }

    async fn copy_target_mark(&self, name: &str, mark: Option<&str>) -> Result<Option<String>, StoreError> {
        let mut t = self.tables();
        let Some(target) = t.copy_targets.get_mut(name) else {
            return Ok(None);
        };
        if target.mark.is_none() {
            target.mark = mark.map(str::to_owned);
        }
        Ok(target.mark.clone())
    }

    async fn copies_list(&self, limit: usize, at: UtcMs) -> Result<usize, StoreError> {
        let mut t = self.tables();
        let newest = newest(&t);
        let mut open: Vec<(u64, u64, String)> = t
            .images
            .iter()
            .filter(|(_, i)| i.copies < newest)
            .map(|(uid, i)| (i.copies, i.number, uid.clone()))
            .collect();
        open.sort();
        open.truncate(limit);
        let named = t.copy_targets.iter().filter(|(_, x)| !x.retired);
        let mut places: Vec<String> = named.map(|(n, _)| n.clone()).collect();
        places.insert(0, LOCAL.to_owned());
        for (_, _, uid) in &open {
            let Some(image) = t.images.get_mut(uid) else {
                continue;
            };
            image.copies = newest;
            let file = CopyFile::of(&image.blob);
            for target in &places {
                let is = |c: &Copy| c.target == *target && c.instance.as_ref() == Some(uid);
                if t.copies.values().any(is) {
                    continue;
                }
                t.numbers += 1;
                let no = t.numbers;
                let copy = Copy {
                    instance: Some(uid.clone()),
                    target: target.clone(),
                    file,
                    state: CopyState::Pending,
                    at: None,
                    due: at,
                    tries: 0,
                    sum: None,
                    why: None,
                };
                t.copies.insert(no, copy);
            }
        }
        Ok(open.len())
    }

    async fn copies_due(
        &self,
        target: &str,
        which: Which,
        now: UtcMs,
        limit: usize,
    ) -> Result<Vec<CopyRow>, StoreError> {
        let t = self.tables();
        let fits = |c: &Copy| match (which, &c.instance) {
            (Which::Scrub, _) => c.state == CopyState::Verified,
            (Which::Work, _) if c.state == CopyState::Verified => false,
            (Which::Work, Some(uid)) => target == LOCAL || original(&t, uid).is_some(),
            (Which::Work, None) => true,
        };
        let mut due: Vec<(&u64, &Copy)> = t
            .copies
            .iter()
            .filter(|(_, c)| c.target == target && c.due <= now && fits(c))
            .collect();
        due.sort_by_key(|(no, c)| (c.due, **no));
        Ok(due
            .into_iter()
            .take(limit)
            .map(|(no, c)| row(&t, *no, c))
            .collect())
    }

    async fn copies_done(&self, done: CopyDone) -> Result<bool, StoreError> {
        let mut t = self.tables();
        let Some(c) = t.copies.get_mut(&done.no) else {
            return Ok(false);
        };
        let other = c.file != done.file || c.state != done.was;
        if other || c.instance.is_none() != (done.state == CopyState::Leaving) {
            return Ok(false);
        }
        c.state = done.state;
        c.at = Some(done.at);
        c.due = done.due;
        c.tries = done.tries;
        c.sum = done.sum.or(c.sum);
        c.why = done.why;
        Ok(true)
    }

    async fn copies_left(&self, no: u64, file: CopyFile) -> Result<(), StoreError> {
        let mut t = self.tables();
        if t.copies
            .get(&no)
            .is_some_and(|c| c.instance.is_none() && c.file == file)
        {
            t.copies.remove(&no);
        }
        Ok(())
    }

    async fn copies_of(&self, uid: &str) -> Result<Vec<CopyRow>, StoreError> {
        let t = self.tables();
        let of = t
            .copies
            .iter()
            .filter(|(_, c)| c.instance.as_deref() == Some(uid));
        Ok(of.map(|(no, c)| row(&t, *no, c)).collect())
    }

    async fn copies_report(&self) -> Result<CopyReport, StoreError> {
        let t = self.tables();
        let mut counts: BTreeMap<(String, CopyState), u64> = BTreeMap::new();
        for c in t.copies.values() {
            *counts.entry((c.target.clone(), c.state)).or_default() += 1;
        }
        let named = |c: &Copy| {
            c.target == LOCAL
                || t.copy_targets
                    .get(&c.target)
                    .is_some_and(|target| !target.retired)
        };
        let whole = |uid: &Option<String>| {
            t.copies
                .values()
                .any(|c| c.instance == *uid && c.state == CopyState::Verified && named(c))
        };
        let gone = |c: &&Copy| {
            c.target == LOCAL
                && matches!(c.state, CopyState::Missing | CopyState::Damaged | CopyState::Away)
                && !whole(&c.instance)
        };
        let newest = newest(&t);
        Ok(CopyReport {
            counts: counts
                .into_iter()
                .map(|((target, state), rows)| CopyCount { target, state, rows })
                .collect(),
            lost: t.copies.values().filter(gone).count() as u64,
            unlisted: t.images.values().filter(|i| i.copies < newest).count() as u64,
        })
    }

    async fn copies_faulty(&self, limit: usize) -> Result<Vec<CopyRow>, StoreError> {
        let t = self.tables();
        let rows = t.copies.iter().filter(|(_, c)| faulty(c)).take(limit);
        Ok(rows.map(|(no, c)| row(&t, *no, c)).collect())
    }

    async fn copies_again(&self, which: Again, now: UtcMs) -> Result<u64, StoreError> {
        let mut t = self.tables();
        let fits = |no: u64, c: &Copy| match &which {
            Again::Verified(after, until) => c.state == CopyState::Verified && no > *after && no <= *until,
            Again::Original(uid) => c.target == LOCAL && c.instance.as_ref() == Some(uid),
            Again::Failed(target) => {
                c.target == *target
                    && c.tries > 0
                    && !matches!(c.state, CopyState::Verified | CopyState::Away)
            }
        };
        let mut n = 0;
        for (no, c) in t.copies.iter_mut().filter(|(_, c)| c.due > now) {
            if fits(*no, c) {
                c.due = now;
                n += 1;
            }
        }
        Ok(n)
    }

    async fn copies_last(&self) -> Result<u64, StoreError> {
        Ok(self.tables().copies.keys().next_back().copied().unwrap_or(0))
    }

    async fn copies_waiting(&self, target: &str, by: UtcMs) -> Result<u64, StoreError> {
        let waits = |c: &&Copy| c.target == target && c.state == CopyState::Verified && c.due <= by;
        Ok(self.tables().copies.values().filter(waits).count() as u64)
    }
}
