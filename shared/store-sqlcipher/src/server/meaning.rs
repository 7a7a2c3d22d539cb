//! What a resource means, beside its bytes: identifiers, dependencies, the fact, a person's words.
//!
//! Called by [`super::apply`] within the writer's transaction.

use super::apply::{WRITING, Work};
use super::prepare::{Prepared, Words, current};
use super::sql::{During, all, int, one, run, uint};
use rusqlite::params;
use std::collections::BTreeMap;
use vitrine_clinical::ResourceKey;
use vitrine_store::meaning::{self, DEPENDENCIES, FACT, IDENTIFIERS, PERSON};
use vitrine_store::{Extract, StoreError};

impl Work<'_> {
    pub(super) fn forget(&mut self, rid: i64, pid: Option<i64>, meaning: i64) -> Result<(), StoreError> {
        if meaning & IDENTIFIERS != 0 {
            run(self.conn, "DELETE FROM ident WHERE rid = ?1", [rid]).during(WRITING)?;
        }
        if meaning & DEPENDENCIES != 0 {
            run(self.conn, "DELETE FROM dependency WHERE rid = ?1", [rid]).during(WRITING)?;
        }
        if meaning & FACT != 0 {
            run(self.conn, "DELETE FROM fact WHERE rid = ?1", [rid]).during(WRITING)?;
        }
        if let (true, Some(pid)) = (meaning & PERSON != 0, pid) {
            self.persons.push((pid, None));
            run(self.conn, "UPDATE tally SET n = n - 1 WHERE name = 'persons'", []).during(WRITING)?;
        }
        Ok(())
    }

    pub(super) fn remember(
        &mut self,
        rid: i64,
        pid: Option<i64>,
        version: u64,
        key: &ResourceKey,
        extract: &Extract,
        words: Option<Words>,
    ) -> Result<(), StoreError> {
        for (system, value) in &extract.identifiers {
            let sql = "INSERT OR IGNORE INTO ident (value, system, kind, rid) VALUES (?1, ?2, ?3, ?4)";
            run(self.conn, sql, params![value, system, key.kind.as_str(), rid]).during(WRITING)?;
        }
        for on in &extract.resolved {
            let sql =
                "INSERT OR REPLACE INTO dependency (on_kind, on_id, rid, version) VALUES (?1, ?2, ?3, ?4)";
            let row = params![on.key.kind.as_str(), on.key.id.as_str(), rid, on.version.map(int)];
            run(self.conn, sql, row).during(WRITING)?;
        }
        if let (Some(f), Some(pid)) = (&extract.fact, pid) {
            let sql = "INSERT INTO fact (rid, pid, slot, order_ms, keep, version, body)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let row = params![rid, pid, f.slot, f.order_ms, f.keep, int(version), f.body];
            run(self.conn, sql, row).during(WRITING)?;
        }
        if let (Some(w), Some(pid)) = (words, pid) {
            self.persons.push((pid, Some(w)));
            run(self.conn, "UPDATE tally SET n = n + 1 WHERE name = 'persons'", []).during(WRITING)?;
        }
        Ok(())
    }

    /// Extracts anew what was resolved from another version than the one there is now: what the batch brought with
    /// stale extracts, and what others drew from what the batch changed.
    pub(super) fn extract_anew(&mut self, batch: &Prepared) -> Result<(), StoreError> {
        let mut stale: BTreeMap<ResourceKey, usize> = BTreeMap::new();
        for (index, op) in batch.ops.iter().enumerate() {
            for on in op.put.iter().flat_map(|p| &p.extract.resolved) {
                if self.live_version(&on.key)? != on.version {
                    stale.insert(op.key.clone(), index);
                }
            }
        }
        let others = "SELECT r.kind, r.id, d.version FROM dependency d JOIN resource r USING (rid)
                       WHERE d.on_kind = ?1 AND d.on_id = ?2";
        for (key, index) in &self.changed {
            let found = all(self.conn, others, [key.kind.as_str(), key.id.as_str()], |r| {
                Ok((
                    r.get::<_, String>(0)?,
                    r.get::<_, String>(1)?,
                    r.get::<_, Option<i64>>(2)?.map(uint),
                ))
            });
            let found = found.during(WRITING)?;
            let now = if found.is_empty() {
                None
            } else {
                self.live_version(key)?
            };
            for (kind, id, seen) in found {
                if seen != now
                    && let Ok(dependent) = ResourceKey::new(&kind, &id)
                {
                    stale.insert(dependent, *index);
                }
            }
        }
        for (key, index) in stale {
            self.extract_one(&key, index)?;
        }
        Ok(())
    }

    fn live_version(&self, key: &ResourceKey) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT version FROM resource WHERE kind = ?1 AND id = ?2 AND deleted = 0";
        one(self.conn, sql, [key.kind.as_str(), key.id.as_str()], |r| {
            Ok(uint(r.get(0)?))
        })
        .during(WRITING)
    }

    fn extract_one(&mut self, key: &ResourceKey, index: usize) -> Result<(), StoreError> {
        let Some(held) = self.held(key)?.filter(|h| !h.deleted) else {
            return Ok(());
        };
        let Some((version, bytes)) = current(self.conn, Some(self.packs), key)? else {
            return Ok(());
        };
        let mut failed = None;
        let mut lookup = |k: &ResourceKey| match current(self.conn, Some(self.packs), k) {
            Ok(found) => found,
            Err(e) => {
                failed = Some(e);
                None
            }
        };
        let extract = self.projector.extract(key, &bytes, &mut lookup);
        if let Some(e) = failed {
            return Err(e);
        }
        let extract = extract.map_err(|e| StoreError::Unprojectable {
            index,
            key: key.clone(),
            reason: e.0,
        })?;
        self.forget(held.rid, held.pid, held.meaning)?;
        run(
            self.conn,
            "UPDATE resource SET meaning = ?2 WHERE rid = ?1",
            params![held.rid, meaning::of(&extract)],
        )
        .during(WRITING)?;
        let words = extract.person.as_ref().map(Words::of);
        self.remember(held.rid, held.pid, version, key, &extract, words)?;
        if let Some(pid) = held.pid {
            let id = self.id_of(pid)?;
            self.touch(&id)?.project.get_or_insert(index);
        }
        Ok(())
    }
}
