//! What the protocol's machine wants done with the databases, done in order.
//!
//! Parts of snapshots are gathered over one batch of messages and written in one transaction: the credit for them is
//! sent only after the batch, so the server never runs ahead of the disk.

use super::cacheview::View;
use crate::cache::{ScopeFresh, card_words};
use crate::memory;
use crate::session;
use crate::station::Station;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{EntryMark, Incoming, Prepared, Records};
use vitrine_sync::client::{Effect, EntryDue, GrantDue, GrantsWanted};
use vitrine_sync::outbox::ENTRIES_MAX;
use vitrine_sync::scope::is_patient;
use vitrine_wire::message::{AuditRow, Change, EntryOutcome, GrantAfter, GrantEnd, GrantWords};
use vitrine_wire::view::{DataAge, EngineEvent};

/// Items gathered before they are written.
const GATHER: usize = 4_000;
/// From so many items on, hashing and compressing is shared by two threads.
const SHARE: usize = 64;
/// Patients named in one event; more are "everything".
const NAMED: usize = 200;

/// Carries store effects out for one batch of events.
pub(super) struct Stores<'a> {
    pub(super) station: &'a Arc<Station>,
    pub(super) records: Option<Arc<Records>>,
    gathered: Option<(String, Vec<Prepared>)>,
    failed: BTreeSet<String>,
    changed: BTreeMap<String, BTreeSet<String>>,
    /// A snapshot was committed: something is to be cleared away.
    pub(super) garbage: bool,
    /// Rows were read for the server.
    pub(super) read: bool,
}

impl<'a> Stores<'a> {
    pub(super) fn new(station: &'a Arc<Station>) -> Self {
        Self {
            station,
            records: station.records(),
            gathered: None,
            failed: BTreeSet::new(),
            changed: BTreeMap::new(),
            garbage: false,
            read: false,
        }
    }

    pub(super) fn view(&self) -> View<'a> {
        View {
            station: self.station,
            records: self.records.clone(),
        }
    }

    /// Begins the effects of one step: a scope that failed before is tried again.
    pub(super) fn step_begins(&mut self) {
        self.failed.clear();
    }

    /// Carries one out; `Err(scope)` when the machine must be told that this scope's store failed.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<(), String> {
        let scope = match &effect {
            Effect::ApplyDelta { scope, .. }
            | Effect::BeginSnapshot { scope, .. }
            | Effect::StageChunk { scope, .. }
            | Effect::CommitSnapshot { scope, .. }
            | Effect::DropScope { scope } => scope.clone(),
            _ => return Ok(()),
        };
        if self.failed.contains(&scope) {
            return Ok(());
        }
        let done = match effect {
            Effect::StageChunk { scope, items } => self.stage(&scope, &items),
            other => self.flush().and_then(|()| self.write(other)),
        };
        done.map_err(|(scope, e)| {
            self.station.unwritable(&scope, &e);
            self.failed.insert(scope.clone());
            scope
        })
    }

    fn stage(&mut self, scope: &str, items: &[Change]) -> Result<(), (String, StoreError)> {
        if self.gathered.as_ref().is_some_and(|(s, _)| s != scope) {
            self.flush()?;
        }
        let prepared = prepare(scope, items);
        let gathered = &mut self
            .gathered
            .get_or_insert_with(|| (scope.to_owned(), Vec::new()))
            .1;
        gathered.extend(prepared);
        if gathered.len() >= GATHER {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) -> Result<(), (String, StoreError)> {
        let Some((scope, items)) = self.gathered.take() else {
            return Ok(());
        };
        let done = if is_patient(&scope) {
            self.records
                .as_ref()
                .ok_or(StoreError::Closed)
                .and_then(|r| r.stage(&scope, &items))
        } else {
            self.station.essentials.stage(&scope, &items)
        };
        done.map_err(|e| (scope, e))
    }

    fn write(&mut self, effect: Effect) -> Result<(), (String, StoreError)> {
        macro_rules! on_db {
            ($scope:expr, $db:ident => $act:expr) => {
                if is_patient(&$scope) {
                    self.records
                        .as_ref()
                        .ok_or(StoreError::Closed)
                        .and_then(|$db| $act)
                } else {
                    let $db = &self.station.essentials;
                    $act
                }
                .map_err(|e| ($scope.clone(), e))
            };
        }
        match effect {
            Effect::ApplyDelta {
                scope,
                changes,
                pos,
                rev,
            } => {
                let items = prepare(&scope, &changes);
                on_db!(scope, db => db.apply(&scope, &items, pos, rev))?;
                self.note_changed(&scope, changes.iter().map(|c| c.key.as_str()));
            }
            Effect::BeginSnapshot {
                scope,
                epoch,
                pos,
                rev,
            } => on_db!(scope, db => db.begin(&scope, &epoch, pos, rev))?,
            Effect::CommitSnapshot {
                scope,
                epoch,
                pos,
                rev,
            } => {
                on_db!(scope, db => db.finish(&scope, &epoch, pos, rev))?;
                self.garbage = true;
                self.note_changed(&scope, std::iter::once("*"));
            }
            Effect::DropScope { scope } => {
                on_db!(scope, db => db.forget(&scope))?;
                self.garbage = true;
                self.station.fresh.forget(&scope);
                self.note_changed(&scope, std::iter::once("*"));
            }
            _ => {}
        }
        Ok(())
    }

    fn note_changed<'k>(&mut self, scope: &str, keys: impl Iterator<Item = &'k str>) {
        let set = self.changed.entry(scope.to_owned()).or_default();
        for key in keys {
            if set.len() < NAMED {
                set.insert(key.to_owned());
            } else {
                set.insert("*".to_owned());
                break;
            }
        }
    }

    /// Tells the screen what changed in this batch.
    pub(super) fn tell(&mut self) {
        for (scope, keys) in std::mem::take(&mut self.changed) {
            let event = match scope.split_once(':') {
                None if scope == "dir" => {
                    session::heed_staff_list(self.station);
                    continue;
                }
                Some(("board", ward)) => EngineEvent::BoardChanged(ward.to_owned()),
                Some(("pat", patient)) => EngineEvent::PatientsChanged(vec![patient.to_owned()]),
                // Nobody names them all: an empty list is everybody.
                Some(("ess", _)) if keys.contains("*") => EngineEvent::PatientsChanged(Vec::new()),
                Some(("ess", _)) => EngineEvent::PatientsChanged(keys.into_iter().collect()),
                _ => continue,
            };
            self.station.tell(event);
        }
    }

    /// The answer to `ReadOutbox`. What cannot be read is not told to be nothing: the server would count as having all of it.
    pub(super) fn outbox(
        &mut self,
        after: u64,
        max_rows: usize,
        max_bytes: usize,
        wanted: GrantsWanted,
    ) -> Result<OutboxAnswer, StoreError> {
        self.read = true;
        let outbox = &self.station.outbox;
        let tally = outbox.tally()?;
        let mut bytes = 0;
        let page = outbox.rows(after, max_rows)?;
        let rows = page.rows.into_iter().enumerate().take_while(|(i, r)| {
            bytes += r.body.len();
            *i == 0 || bytes <= max_bytes
        });
        let rows = rows
            .map(|(_, r)| AuditRow {
                seq: r.seq,
                prev: crate::entropy::hex(&r.prev),
                hash: crate::entropy::hex(&r.hash),
                body: r.body,
            })
            .collect();
        let json = |body: String| serde_json::value::RawValue::from_string(body).ok();
        let all = wanted == GrantsWanted::All;
        let (mut grants, mut entries) = (Vec::new(), Vec::new());
        if wanted != GrantsWanted::None {
            let limit = if all { usize::MAX } else { ENTRIES_MAX };
            let due = outbox.entries_due(all, limit)?.into_iter();
            entries.extend(due.filter_map(|e| {
                Some(EntryDue {
                    id: e.id,
                    json: json(e.body)?,
                })
            }));
            let due = outbox.grants(all)?.into_iter();
            grants.extend(due.filter_map(|g| {
                let ended = g.ended.map(|e| GrantEnd {
                    at_ms: e.at.0,
                    by: e.by.code().to_owned(),
                });
                let words = g.words.map(|w| GrantWords {
                    at_ms: w.at.0,
                    text: w.text,
                });
                let rev = g.rev;
                Some(GrantDue {
                    id: g.id,
                    json: json(g.body)?,
                    after: (rev > 0).then_some(GrantAfter { rev, ended, words }),
                })
            }));
        }
        Ok(OutboxAnswer {
            rows,
            head: tally.last,
            oldest: tally.first,
            grants,
            entries,
        })
    }

    /// Notes what the server did with an entry.
    pub(super) fn entry_answered(&self, id: &str, outcome: &EntryOutcome) {
        let (mark, answer) = match outcome {
            EntryOutcome::Accepted { keys } => (EntryMark::Accepted, keys.join("\n")),
            EntryOutcome::Rejected { text } => (EntryMark::Rejected, self.refused_again(id, text)),
            EntryOutcome::Later => return self.tell_entry(id),
        };
        let now = self.station.clock.now();
        if let Err(e) = self.station.outbox.answer_entry(id, mark, &answer, now) {
            // It is offered again, and the server says the same again.
            tracing::warn!(error = %e, "what became of an entry could not be noted");
        }
        self.tell_entry(id);
    }

    /// Why an entry is refused; for one that had been accepted that too.
    fn refused_again(&self, id: &str, text: &str) -> String {
        match self.station.outbox.entry(id) {
            Ok(Some(e)) if e.mark == EntryMark::Accepted => {
                format!(
                    "The server had accepted it, was restored from an earlier state, and refuses it now: {text}"
                )
            }
            _ => text.to_owned(),
        }
    }

    /// Tells the screen that an entry is somewhere else now.
    pub(super) fn tell_entry(&self, id: &str) {
        if let Ok(Some(e)) = self.station.outbox.entry(id) {
            self.station.tell(EngineEvent::PatientsChanged(vec![e.patient]));
        }
        self.station.tell_status();
    }

    /// What the server acknowledged.
    pub(super) fn acknowledged(&self, up_to: u64) {
        let now = self.station.clock.now();
        if let Err(e) = self.station.outbox.acknowledged(up_to, now) {
            tracing::warn!(error = %e, "an acknowledgement could not be noted");
        }
    }

    /// Removes what the server has held for long.
    pub(super) fn prune(&self, acked_for_ms: u64) {
        let before = self
            .station
            .clock
            .now()
            .0
            .saturating_sub(i64::try_from(acked_for_ms).unwrap_or(i64::MAX));
        if let Err(e) = self.station.outbox.clear_entries(UtcMs(before)) {
            tracing::warn!(error = %e, "accepted entries could not be cleared away");
        }
        match self.station.outbox.clear_acknowledged(UtcMs(before)) {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "acknowledged audit rows were cleared away"),
            Err(e) => tracing::warn!(error = %e, "acknowledged audit rows could not be cleared away"),
        }
    }
}

/// What the outbox holds for the server.
pub(super) struct OutboxAnswer {
    pub(super) rows: Vec<AuditRow>,
    pub(super) head: u64,
    pub(super) oldest: u64,
    pub(super) grants: Vec<GrantDue>,
    pub(super) entries: Vec<EntryDue>,
}

/// A scope's state for the screen.
pub(super) fn fresh_of(status: &vitrine_sync::client::ScopeStatus) -> ScopeFresh {
    ScopeFresh {
        age: Some(match status.age {
            DataAge::NotOnThisWorkstation => DataAge::Offline,
            age => age,
        }),
        complete: status.complete,
        as_of: status.as_of_ms,
        loading: status.loading,
    }
}

fn prepare_one(searchable: bool, change: &Change) -> Prepared {
    let body = change.body.as_ref().map(|b| b.get().as_bytes());
    let terms = match body {
        Some(b) if searchable => card_words(b),
        _ => String::new(),
    };
    Prepared::new(&Incoming {
        key: &change.key,
        ver: change.ver,
        version: change.version,
        body,
        terms: &terms,
    })
}

fn prepare(scope: &str, changes: &[Change]) -> Vec<Prepared> {
    let searchable = scope.starts_with("ess:");
    if changes.len() < SHARE {
        return changes.iter().map(|c| prepare_one(searchable, c)).collect();
    }
    let (a, b) = changes.split_at(changes.len() / 2);
    std::thread::scope(|s| {
        let second = s.spawn(|| {
            let done: Vec<Prepared> = b.iter().map(|c| prepare_one(searchable, c)).collect();
            // What packed them goes with this thread, as it is.
            memory::forget();
            done
        });
        let mut all: Vec<Prepared> = a.iter().map(|c| prepare_one(searchable, c)).collect();
        match second.join() {
            Ok(rest) => all.extend(rest),
            Err(_) => all.extend(b.iter().map(|c| prepare_one(searchable, c))),
        }
        all
    })
}
