//! Tiers: bodies that move between the file and packs beside it.
//!
//! Lives here: which bodies, letting go of them, putting them back. Never here: the pack files (`vitrine_store::pack`),
//! the rule. A pack is written and read back on a reader's thread; the writer then replaces the bodies that are still
//! what was packed, in one transaction with the pack's row and the audit row. Killed in between, the bodies are in the
//! file and the pack is nobody's.

mod looking;

use super::sql::{During, all, int, one, run, uint};
use super::{ServerGroup, SqlcipherStore, body};
use async_trait::async_trait;
pub(super) use looking::packs;
use looking::{CURRENT, EARLIER, due, idle, pack, recall, report, would};
use rusqlite::{Connection, Row, params};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;
use vitrine_access::AuditEntry;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::batch::body_hash;
use vitrine_store::pack::{Laid, PackEntry, Packs, Ripe, gone_away, telling};
use vitrine_store::tiers::{
    Due, Moved, PACK_BODIES, PACK_BYTES, PackRow, PacksOf, Recall, Tier, TierCount, TierReport, TierRule,
};
use vitrine_store::{StoreError, Tiers};

const MOVING: &str = "moving bodies between tiers";
const LOOKING: &str = "looking through the tiers";

/// Bodies of a record that are old enough, oldest first, up to a pack's fill; and whether there are more.
fn ripe(conn: &Connection, pid: i64, rule: &TierRule) -> Result<(Vec<Ripe>, bool), StoreError> {
    let sql = format!(
        "SELECT b.rid, b.version, b.updated, b.body, b.hash FROM resource b WHERE {CURRENT} AND b.updated < ?2
         UNION ALL
         SELECT b.rid, b.version, b.updated, b.body, NULL FROM resource r JOIN resource_version b USING (rid)
          WHERE {EARLIER} AND b.updated < ?2
         ORDER BY 3, 1, 2"
    );
    let mut statement = conn.prepare_cached(&sql).during(LOOKING)?;
    let mut rows = statement
        .query(params![pid, rule.warm_before()])
        .during(LOOKING)?;
    let (mut out, mut bytes) = (Vec::new(), 0);
    while let Some(r) = rows.next().during(LOOKING)? {
        if out.len() >= PACK_BODIES || bytes >= PACK_BYTES {
            return Ok((out, true));
        }
        let packed: Vec<u8> = r.get(3).during(LOOKING)?;
        let raw = body::unpack(&packed)?;
        let hash: Option<[u8; 16]> = r.get(4).during(LOOKING)?;
        if hash.is_some_and(|h| h != body_hash(&raw)) {
            return Err(StoreError::Damaged(
                "the server's database: a body is not that of its hash, and is not moved".to_owned(),
            ));
        }
        bytes += raw.len();
        out.push(Ripe {
            size: packed.len() as u64,
            updated: r.get(2).during(LOOKING)?,
            entry: PackEntry {
                resource: r.get(0).during(LOOKING)?,
                version: uint(r.get(1).during(LOOKING)?),
                body: raw,
            },
        });
    }
    Ok((out, false))
}

/// Runs statements whose changes of a body are no changes of a resource.
fn unseen<T>(conn: &Connection, moves: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    run(conn, "INSERT INTO meta (key, value) VALUES ('moving', '1')", []).during(MOVING)?;
    let done = moves();
    run(conn, "DELETE FROM meta WHERE key = 'moving'", []).during(MOVING)?;
    done
}

/// Whether a resource is this patient's still: what is packed as one patient's is never another's.
fn belongs(conn: &Connection, rid: i64, pid: i64) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM resource WHERE rid = ?1 AND pid = ?2";
    Ok(one(conn, sql, [rid, pid], |_| Ok(())).during(MOVING)?.is_some())
}

/// Puts another body into a row that is still at this version and whose body begins (or does not begin) as a reference.
fn exchange(
    conn: &Connection,
    rid: i64,
    version: u64,
    body: &[u8],
    was: Option<&[u8]>,
) -> Result<bool, StoreError> {
    let holds = if was.is_some() {
        "body = ?4"
    } else {
        "?4 IS NULL AND substr(body, 1, 1) <> x'02'"
    };
    for table in ["resource", "resource_version"] {
        let sql = format!(
            "UPDATE {table} SET body = ?3 WHERE rid = ?1 AND version = ?2 AND deleted = 0 AND body IS NOT NULL AND {holds}"
        );
        if run(conn, &sql, params![rid, int(version), body, was]).during(MOVING)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lets go of what was packed, as far as it is still what was packed.
fn let_go(
    conn: &Connection,
    group: &mut ServerGroup,
    entry: AuditEntry,
    rule: &TierRule,
    patient: &PatientId,
    laid: &[Laid],
) -> Result<Moved, StoreError> {
    let mut moved = Moved::default();
    let Some(pid) = idle(conn, rule, patient)? else {
        return Ok(moved);
    };
    let mut notes = Vec::new();
    // A record that is destroyed later must not be left in the pages its bodies moved out of.
    let secure = |how| conn.pragma_update(None, "secure_delete", how).during(MOVING);
    secure("ON")?;
    let gone = unseen(conn, || {
        for l in laid {
            let mut bodies = 0;
            for ((rid, version, size), r) in l.rows.iter().zip(&l.written.refs) {
                if belongs(conn, *rid, pid)? && exchange(conn, *rid, *version, &body::reference(r), None)? {
                    bodies += 1;
                    moved.from_bytes += size;
                }
            }
            if bodies == 0 {
                continue;
            }
            let sql = "INSERT INTO pack (id, pid, tier, bodies, bytes, sha256, newest, made, moved)
                       VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?7)";
            let bytes = int(l.written.bytes);
            let row = params![
                &l.id.as_bytes()[..],
                pid,
                bodies,
                bytes,
                &l.written.sha256[..],
                l.newest,
                rule.at.0
            ];
            run(conn, sql, row).during(MOVING)?;
            moved.packs += 1;
            moved.bodies += uint(bodies);
            moved.bytes += l.written.bytes;
            notes.push(l.id.to_string());
        }
        Ok(())
    });
    secure("FAST")?;
    gone?;
    look_again(conn, pid, rule)?;
    group.forget_used();
    if moved.packs > 0 {
        let mut entry = entry;
        entry.notes.insert("packs".to_owned(), notes.join(" "));
        entry.notes.insert("bodies".to_owned(), moved.bodies.to_string());
        group.record(conn, &entry)?;
    }
    Ok(moved)
}

/// Notes when the next body of a record is old enough; never, when none is left that could become so.
fn look_again(conn: &Connection, pid: i64, rule: &TierRule) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT min(at) FROM (SELECT b.updated AS at FROM resource b WHERE {CURRENT}
           UNION ALL SELECT b.updated FROM resource r JOIN resource_version b USING (rid) WHERE {EARLIER})"
    );
    let oldest: Option<i64> = one(conn, &sql, [pid], |r| r.get(0)).during(LOOKING)?.flatten();
    let due = oldest.map_or(i64::MAX, |at| rule.due_day(at));
    let sql = "INSERT INTO tier (pid, used, due) VALUES (?1, 0, ?2)
               ON CONFLICT (pid) DO UPDATE SET due = excluded.due";
    run(conn, sql, [pid, due]).during(MOVING).map(|_| ())
}

/// Every row that refers to a pack, with its reference: rows of the patient, and what was the patient's once.
fn referring(conn: &Connection, pack: &PackRow) -> Result<Vec<(i64, u64, Vec<u8>)>, StoreError> {
    let prefix = [&[body::PACKED][..], pack.id.as_bytes()].concat();
    let sql = "SELECT b.rid, b.version, b.body FROM resource b JOIN patient p USING (pid)
                WHERE p.id = ?1 AND substr(b.body, 1, 17) = ?2
               UNION ALL
               SELECT b.rid, b.version, b.body FROM patient p JOIN resource r USING (pid)
                 JOIN resource_version b USING (rid)
                WHERE p.id = ?1 AND substr(b.body, 1, 17) = ?2";
    let read = |r: &Row<'_>| Ok((r.get(0)?, uint(r.get(1)?), r.get(2)?));
    all(conn, sql, params![pack.patient.as_str(), prefix], read).during(LOOKING)
}

fn home(
    conn: &Connection,
    group: &mut ServerGroup,
    packs: &Packs,
    entry: &AuditEntry,
    id: Uuid,
) -> Result<u64, StoreError> {
    let row = pack(conn, id)?;
    match row.tier {
        Tier::Hot => return Ok(0),
        Tier::Archive => {
            return Err(StoreError::Archived {
                pack: id,
                bytes: row.bytes,
            });
        }
        Tier::Warm => {}
    }
    let mut back = 0;
    unseen(conn, || {
        for (rid, version, reference) in referring(conn, &row)? {
            let raw = body::open(Some(packs), &reference)?;
            back += u64::from(exchange(
                conn,
                rid,
                version,
                &body::pack(&raw)?,
                Some(&reference),
            )?);
        }
        Ok(())
    })?;
    let sql = "UPDATE pack SET tier = 0, moved = ?2 WHERE id = ?1";
    run(conn, sql, params![&id.as_bytes()[..], entry.at.0]).during(MOVING)?;
    let sql = "UPDATE tier SET due = 0 WHERE pid = (SELECT pid FROM pack WHERE id = ?1)";
    run(conn, sql, [&id.as_bytes()[..]]).during(MOVING)?;
    group.record(conn, entry)?;
    Ok(back)
}

/// Puts the bodies of every version of one resource back into the file: it is about to become another patient's, and
/// what is in this one's packs goes with this one's record.
pub(super) fn bring_home(conn: &Connection, packs: &Packs, rid: i64) -> Result<(), StoreError> {
    let sql = "SELECT version, body FROM resource WHERE rid = ?1 AND substr(body, 1, 1) = x'02'
               UNION ALL SELECT version, body FROM resource_version WHERE rid = ?1 AND substr(body, 1, 1) = x'02'";
    let read = |r: &Row<'_>| Ok((uint(r.get(0)?), r.get::<_, Vec<u8>>(1)?));
    let found = all(conn, sql, [rid], read).during(MOVING)?;
    if found.is_empty() {
        return Ok(());
    }
    unseen(conn, || {
        for (version, reference) in found {
            let raw = body::open(Some(packs), &reference)?;
            exchange(conn, rid, version, &body::pack(&raw)?, Some(&reference))?;
        }
        Ok(())
    })
}

/// The packs of a record that is destroyed: their rows go with it, and their files once that is committed.
pub(super) fn forget(conn: &Connection, pid: i64) -> Result<Vec<Uuid>, StoreError> {
    let sql = "DELETE FROM pack WHERE pid = ?1 RETURNING id";
    let gone = all(conn, sql, [pid], |r| Ok(Uuid::from_bytes(r.get(0)?))).during(MOVING)?;
    run(conn, "DELETE FROM tier WHERE pid = ?1", [pid]).during(MOVING)?;
    Ok(gone)
}

impl SqlcipherStore {
    /// Runs something on files, away from the runtime's threads.
    async fn on_files<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Packs) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let packs = self.packs.clone();
        let done = tokio::task::spawn_blocking(move || job(&packs));
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Where packs lie, and what opens them.
    #[must_use]
    pub const fn pack_files(&self) -> &Arc<Packs> {
        &self.packs
    }

    async fn pack(&self, id: Uuid) -> Result<PackRow, StoreError> {
        self.read_job(move |conn| pack(conn, id)).await
    }
}

#[async_trait]
impl Tiers for SqlcipherStore {
    async fn tiers(&self) -> Result<TierReport, StoreError> {
        self.preparers.run(report).await
    }

    async fn packs(&self, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError> {
        let rows = match of {
            PacksOf::All => self.read_job(|conn| packs(conn, PacksOf::All)).await?,
            PacksOf::Asked => self.read_job(|conn| packs(conn, PacksOf::Asked)).await?,
            PacksOf::Patient(p) => {
                let patient = p.clone();
                self.read_job(move |conn| packs(conn, PacksOf::Patient(&patient)))
                    .await?
            }
        };
        self.packs.know(&rows);
        Ok(rows)
    }

    async fn tiers_due(&self, rule: &TierRule, limit: usize) -> Result<Due, StoreError> {
        let rule = *rule;
        self.preparers.run(move |conn| due(conn, &rule, limit)).await
    }

    async fn tiers_would(&self, rule: &TierRule) -> Result<TierCount, StoreError> {
        let rule = *rule;
        self.preparers.run(move |conn| would(conn, &rule)).await
    }

    async fn pack_down(
        &self,
        entry: AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        ids: [Uuid; 2],
    ) -> Result<Moved, StoreError> {
        // Once a body is in the archive nobody can make its words; what fails here is told by a search.
        if let Err(e) = self.keep_words(patient).await {
            tracing::warn!(error = %e, "the words of notes are not kept before their bodies move");
        }
        let (rule, of) = (*rule, patient.clone());
        let (found, more) = self
            .preparers
            .run(move |conn| match idle(conn, &rule, &of)? {
                Some(pid) => ripe(conn, pid, &rule),
                None => Ok((Vec::new(), false)),
            })
            .await?;
        let laid = self
            .on_files(move |packs| packs.lay(ids, found, rule.archive_before()))
            .await?;
        let weight = laid.iter().map(|l| l.rows.len()).sum::<usize>().max(1);
        let (of, made) = (patient.clone(), laid.iter().map(|l| l.id).collect::<Vec<_>>());
        let done = self
            .write(weight, move |conn, group| {
                let moved = let_go(conn, group, entry, &rule, &of, &laid)?;
                Ok((moved, packs(conn, PacksOf::Patient(&of))?))
            })
            .await;
        match done {
            Ok((moved, known)) => {
                self.on_files(move |packs| packs.settle(&made, &known)).await?;
                Ok(Moved { more, ..moved })
            }
            Err(e) => {
                // Whether it was committed is not known: the files stay until a run finds no row for them.
                made.into_iter().for_each(|id| self.packs.committed(id));
                Err(e)
            }
        }
    }

    async fn pack_away(&self, entry: AuditEntry, pack: Uuid) -> Result<bool, StoreError> {
        let row = self.pack(pack).await?;
        if row.tier != Tier::Warm {
            return Ok(false);
        }
        let sha256 = row.sha256;
        self.on_files(move |packs| packs.copy_away(pack, &sha256)).await?;
        let moved = self
            .write(1, move |conn, group| {
                let sql = "UPDATE pack SET tier = 2, moved = ?2, requested = NULL WHERE id = ?1 AND tier = 1";
                let n = run(conn, sql, params![&pack.as_bytes()[..], entry.at.0]).during(MOVING)?;
                if n > 0 {
                    group.record(conn, &entry)?;
                }
                Ok(n > 0)
            })
            .await?;
        if moved {
            let row = self.pack(pack).await?;
            self.packs.know(&[row]);
            self.on_files(move |packs| packs.drop_warm(pack)).await?;
        }
        Ok(moved)
    }

    async fn pack_home(&self, entry: AuditEntry, pack: Uuid) -> Result<u64, StoreError> {
        let row = self.pack(pack).await?;
        let weight = usize::try_from(row.bodies).unwrap_or(usize::MAX);
        if row.tier == Tier::Warm {
            // Whole before anything is put back; each body proves itself again.
            self.on_files(move |packs| packs.verify(pack, &row.sha256))
                .await?;
        }
        let packs = self.packs.clone();
        self.write(weight.max(1), move |conn, group| {
            home(conn, group, &packs, &entry, pack)
        })
        .await
    }

    async fn ask_recall(&self, entry: AuditEntry, patient: &PatientId) -> Result<Recall, StoreError> {
        let of = patient.clone();
        let found = self.read_job(move |conn| recall(conn, &of)).await?;
        if !found.new {
            return Ok(found);
        }
        let of = patient.clone();
        self.write(1, move |conn, group| {
            let mut recall = recall(conn, &of)?;
            if recall.new {
                let sql = "UPDATE pack SET requested = ?2 WHERE id = ?1 AND tier = 2 AND requested IS NULL";
                for p in &mut recall.packs {
                    run(conn, sql, params![&p.id.as_bytes()[..], entry.at.0]).during(MOVING)?;
                    p.requested.get_or_insert(entry.at);
                }
                group.record(conn, &entry)?;
            }
            Ok(recall)
        })
        .await
    }

    async fn recall(
        &self,
        pack: Uuid,
        at: UtcMs,
        moved: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let row = self.pack(pack).await?;
        if row.tier != Tier::Archive {
            return Ok(());
        }
        let copy = |tell: UnboundedSender<u64>| {
            self.on_files(move |packs| {
                packs.fetch(pack, &row.sha256, &|n| {
                    let _ = tell.send(n);
                })
            })
        };
        telling(moved, copy).await?;
        self.write(1, move |conn, _| {
            let sql = "UPDATE pack SET tier = 1, moved = ?2, requested = NULL, recalled = ?2 WHERE id = ?1 AND tier = 2";
            run(conn, sql, params![&pack.as_bytes()[..], at.0]).during(MOVING).map(|_| ())
        })
        .await?;
        self.packs.committed(pack);
        Ok(())
    }

    async fn check_packs(&self, whole: bool) -> Result<Vec<String>, StoreError> {
        let rows = Tiers::packs(self, PacksOf::All).await?;
        self.on_files(move |packs| Ok(vitrine_store::pack::faults(packs, &rows, whole)))
            .await
    }

    async fn tidy_packs(&self, home_before: UtcMs) -> Result<u64, StoreError> {
        let rows = Tiers::packs(self, PacksOf::All).await?;
        let gone = self.on_files(move |packs| Ok(gone_away(packs, &rows))).await?;
        let rows = self
            .write(1, move |conn, _| {
                for id in gone {
                    let sql = "UPDATE pack SET tier = 2 WHERE id = ?1 AND tier = 1";
                    run(conn, sql, [&id.as_bytes()[..]]).during(MOVING)?;
                }
                let sql = "DELETE FROM pack WHERE tier = 0 AND moved < ?1";
                run(conn, sql, [home_before.0]).during(MOVING)?;
                packs(conn, PacksOf::All)
            })
            .await?;
        self.on_files(move |packs| packs.tidy(&rows, Duration::ZERO))
            .await
    }
}
