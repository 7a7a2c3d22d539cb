//! Tiers: bodies that move between the database and packs on the servers' disks.
//!
//! Lives here: which bodies, letting go of them, putting them back. Never here: the pack files (`vitrine_store::pack`),
//! the rule. A pack is written and read back first; an act alone in its group then replaces the bodies that are still
//! what was packed, with the pack's row and the audit row. The patient's row is locked first, as by every write.

mod looking;

use crate::PostgresStore;
use crate::acts::Act;
use crate::group::Group;
use crate::sql::{Fault, all, col, int, one, run, uint};
use crate::vault::{Place, reference};
use async_trait::async_trait;
pub(crate) use looking::packs;
use looking::{CURRENT, EARLIER, due, idle, pack, recall, report};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::Row;
use uuid::Uuid;
use vitrine_access::AuditEntry;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::batch::body_hash;
use vitrine_store::pack::{Laid, PackEntry, Packs, Ripe, faults, gone_away, telling};
use vitrine_store::tiers::{
    Due, Moved, PACK_BODIES, PACK_BYTES, PackRow, PacksOf, Recall, Tier, TierCount, TierReport, TierRule,
};
use vitrine_store::{StoreError, Tiers};

const MOVING: &str = "moving bodies between tiers";
const LOOKING: &str = "looking through the tiers";
/// Another server may be about to commit the row of a pack that is younger.
const SPARE: Duration = Duration::from_secs(3_600);

/// What is to be done in a group of its own.
pub(crate) enum TierAct {
    LetGo(AuditEntry, TierRule, PatientId, Vec<Laid>),
    Away(AuditEntry, Uuid),
    Home(AuditEntry, Uuid),
    Ask(AuditEntry, PatientId),
    Recalled(Uuid, UtcMs),
    Tidy(UtcMs, Vec<Uuid>),
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Tiered {
    pub moved: Moved,
    pub recall: Option<Recall>,
    /// The rows there are within the transaction, which no replica is behind of.
    pub known: Vec<PackRow>,
}

/// A row that is to get another body.
struct Exchange<'e> {
    rid: i64,
    version: u64,
    body: Vec<u8>,
    was: Option<&'e [u8]>,
}

impl Group<'_> {
    /// Carries a move out. What may be refused is refused before anything is written.
    pub(crate) async fn tier(&mut self, act: &TierAct) -> Result<Tiered, Fault> {
        let mut done = Tiered::default();
        match act {
            TierAct::LetGo(entry, rule, patient, laid) => {
                done.moved = self.let_go(entry, rule, patient, laid).await?;
                done.known = packs(self.tx, PacksOf::Patient(patient)).await?;
            }
            TierAct::Away(entry, id) => {
                let sql = "UPDATE pack SET tier = 2, moved = $2, requested = NULL WHERE id = $1 AND tier = 1";
                done.moved.packs = run(self.tx, MOVING, sql, &[id, &entry.at.0]).await?;
                if done.moved.packs > 0 {
                    self.record(entry)?;
                }
            }
            TierAct::Home(entry, id) => done.moved.bodies = self.home(entry, *id).await?,
            TierAct::Ask(entry, patient) => {
                let mut recall = recall(self.tx, patient).await?;
                if recall.new {
                    let ids: Vec<Uuid> = recall.packs.iter().map(|p| p.id).collect();
                    let sql = "UPDATE pack SET requested = $2 WHERE id = ANY($1) AND tier = 2 AND requested IS NULL";
                    run(self.tx, MOVING, sql, &[&ids, &entry.at.0]).await?;
                    for p in &mut recall.packs {
                        p.requested.get_or_insert(entry.at);
                    }
                    self.record(entry)?;
                }
                done.recall = Some(recall);
            }
            TierAct::Recalled(id, at) => {
                let sql = "UPDATE pack SET tier = 1, moved = $2, requested = NULL, recalled = $2 WHERE id = $1 AND tier = 2";
                run(self.tx, MOVING, sql, &[id, &at.0]).await?;
            }
            TierAct::Tidy(before, gone) => {
                let sql = "UPDATE pack SET tier = 2 WHERE id = ANY($1) AND tier = 1";
                run(self.tx, MOVING, sql, &[gone]).await?;
                let sql = "DELETE FROM pack WHERE tier = 0 AND moved < $1";
                run(self.tx, MOVING, sql, &[&before.0]).await?;
                done.known = packs(self.tx, PacksOf::All).await?;
            }
        }
        Ok(done)
    }

    async fn lock(&self, patient: &PatientId) -> Result<i64, Fault> {
        let sql = "SELECT pid FROM patient WHERE id = $1 FOR UPDATE";
        let row = one(self.tx, MOVING, sql, &[&patient.as_str()]).await?;
        row.map_or(Err(Fault::Failed(StoreError::Closed)), |r| col(&r, 0, MOVING))
    }

    /// Lets go of what was packed, as far as it is still what was packed.
    async fn let_go(
        &mut self,
        entry: &AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        laid: &[Laid],
    ) -> Result<Moved, Fault> {
        let mut moved = Moved::default();
        self.lock(patient).await?;
        let Some(pid) = idle(self.tx, rule, patient).await? else {
            return Ok(moved);
        };
        let mut notes = Vec::new();
        for l in laid {
            let rows = l.rows.iter().zip(&l.written.refs);
            let rows: Vec<Exchange<'_>> = rows
                .map(|((rid, version, _), r)| Exchange {
                    rid: *rid,
                    version: *version,
                    body: reference(r),
                    was: None,
                })
                .collect();
            let done = self.exchange(pid, &rows).await?;
            if done.is_empty() {
                continue;
            }
            let bodies = int(done.len() as u64);
            let sizes = l.rows.iter().filter(|r| done.contains(&(r.0, r.1)));
            moved.from_bytes += sizes.map(|r| r.2).sum::<u64>();
            let sql = "INSERT INTO pack (id, pid, tier, bodies, bytes, sha256, newest, made, moved)
                       VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $7)";
            let (bytes, sha) = (int(l.written.bytes), &l.written.sha256[..]);
            run(
                self.tx,
                MOVING,
                sql,
                &[&l.id, &pid, &bodies, &bytes, &sha, &l.newest, &rule.at.0],
            )
            .await?;
            moved.packs += 1;
            moved.bodies += uint(bodies);
            moved.bytes += l.written.bytes;
            notes.push(l.id.to_string());
        }
        self.look_again(pid, rule).await?;
        if moved.packs > 0 {
            let mut entry = entry.clone();
            entry.notes.insert("packs".to_owned(), notes.join(" "));
            entry.notes.insert("bodies".to_owned(), moved.bodies.to_string());
            self.record(&entry)?;
        }
        Ok(moved)
    }

    /// Notes when the next body of a record is old enough; never, when none is left that could become so.
    async fn look_again(&self, pid: i64, rule: &TierRule) -> Result<(), Fault> {
        let sql = format!(
            "SELECT min(at) FROM (SELECT b.updated AS at FROM resource b WHERE {CURRENT}
               UNION ALL SELECT b.updated FROM resource r JOIN resource_version b USING (rid) WHERE {EARLIER}) o"
        );
        let row = one(self.tx, LOOKING, &sql, &[&pid]).await?;
        let oldest: Option<i64> = row.map_or(Ok(None), |r| col(&r, 0, LOOKING))?;
        let due = oldest.map_or(i64::MAX, |at| rule.due_day(at));
        let sql = "INSERT INTO tier (pid, used, due) VALUES ($1, 0, $2)
                   ON CONFLICT (pid) DO UPDATE SET due = excluded.due";
        run(self.tx, MOVING, sql, &[&pid, &due]).await.map(|_| ())
    }

    /// Puts other bodies into rows that are still at their versions and this patient's, and hold what they held (`None`:
    /// no reference). Gives which.
    async fn exchange(&self, pid: i64, rows: &[Exchange<'_>]) -> Result<BTreeSet<(i64, u64)>, Fault> {
        let rids: Vec<i64> = rows.iter().map(|r| r.rid).collect();
        let versions: Vec<i64> = rows.iter().map(|r| int(r.version)).collect();
        let bodies: Vec<&[u8]> = rows.iter().map(|r| &r.body[..]).collect();
        let was: Vec<Option<&[u8]>> = rows.iter().map(|r| r.was).collect();
        let mut done = BTreeSet::new();
        for table in ["resource", "resource_version"] {
            let sql = format!(
                "UPDATE {table} t SET body = u.body
                   FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[]) u(rid, version, body, was)
                  WHERE t.rid = u.rid AND t.version = u.version AND NOT t.deleted AND t.body IS NOT NULL
                    AND CASE WHEN u.was IS NULL THEN substring(t.body FROM 1 FOR 1) <> '\\x02' ELSE t.body = u.was END
                    AND (SELECT r.pid FROM resource r WHERE r.rid = u.rid) = $5
                  RETURNING t.rid, t.version"
            );
            for row in all(self.tx, MOVING, &sql, &[&rids, &versions, &bodies, &was, &pid]).await? {
                done.insert((col(&row, 0, MOVING)?, uint(col(&row, 1, MOVING)?)));
            }
        }
        Ok(done)
    }

    async fn home(&mut self, entry: &AuditEntry, id: Uuid) -> Result<u64, Fault> {
        let row = pack(self.tx, id).await?;
        let pid = self.lock(&row.patient).await?;
        match row.tier {
            Tier::Hot => return Ok(0),
            Tier::Archive => {
                let bytes = row.bytes;
                return Err(Fault::Failed(StoreError::Archived { pack: id, bytes }));
            }
            Tier::Warm => self.vault.packs()?.verify(id, &row.sha256)?,
        }
        let prefix = [&[2][..], id.as_bytes()].concat();
        let sql = "SELECT b.rid, b.version, b.body FROM resource b JOIN patient p USING (pid)
                    WHERE p.id = $1 AND substring(b.body FROM 1 FOR 17) = $2
                   UNION ALL
                   SELECT b.rid, b.version, b.body FROM patient p JOIN resource r USING (pid)
                     JOIN resource_version b USING (rid)
                    WHERE p.id = $1 AND substring(b.body FROM 1 FOR 17) = $2";
        let rows = all(self.tx, LOOKING, sql, &[&row.patient.as_str(), &prefix]).await?;
        let back = self.unpacked(pid, &rows).await?;
        let sql = "UPDATE pack SET tier = 0, moved = $2 WHERE id = $1";
        run(self.tx, MOVING, sql, &[&id, &entry.at.0]).await?;
        let sql = "UPDATE tier SET due = 0 WHERE pid = (SELECT pid FROM pack WHERE id = $1)";
        run(self.tx, MOVING, sql, &[&id]).await?;
        self.record(entry)?;
        Ok(back)
    }

    /// Puts bodies back: `rid, version, body` of rows that refer to packs. All are read before one is written.
    async fn unpacked(&self, pid: i64, rows: &[Row]) -> Result<u64, Fault> {
        let mut found = Vec::with_capacity(rows.len());
        for r in rows {
            let (rid, was): (i64, &[u8]) = (col(r, 0, LOOKING)?, col(r, 2, LOOKING)?);
            let body = self.vault.get(Place::Resource(rid), was)?;
            found.push(Exchange {
                rid,
                version: uint(col(r, 1, LOOKING)?),
                body: self.vault.put(Place::Resource(rid), &body)?,
                was: Some(was),
            });
        }
        if found.is_empty() {
            return Ok(0);
        }
        Ok(self.exchange(pid, &found).await?.len() as u64)
    }

    /// Puts the bodies of every version of one resource back: it is about to become another patient's, and what is in
    /// this one's packs goes with this one's record.
    pub(crate) async fn bring_home(&self, pid: i64, rid: i64) -> Result<(), Fault> {
        let sql = "SELECT rid, version, body FROM resource WHERE rid = $1 AND substring(body FROM 1 FOR 1) = '\\x02'
                   UNION ALL
                   SELECT rid, version, body FROM resource_version
                    WHERE rid = $1 AND substring(body FROM 1 FOR 1) = '\\x02'";
        let rows = all(self.tx, MOVING, sql, &[&rid]).await?;
        self.unpacked(pid, &rows).await.map(|_| ())
    }
}

impl PostgresStore {
    /// Runs something on files, away from the runtime's threads.
    async fn on_files<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Packs) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let vault = self.vault.clone();
        let done = tokio::task::spawn_blocking(move || job(vault.packs()?));
        done.await.map_err(|_| StoreError::Closed)?
    }

    async fn tier_act(&self, act: TierAct) -> Result<Tiered, StoreError> {
        let acted = self.act(Act::Tier(Box::new(act)), None).await?;
        acted.tiered.ok_or(StoreError::Closed)
    }

    /// Bodies of a record that are old enough, oldest first, up to a pack's fill; and whether there are more.
    async fn ripe(&self, pid: i64, rule: &TierRule) -> Result<(Vec<Ripe>, bool), StoreError> {
        let client = self.reader().await?;
        let sql = format!(
            "SELECT b.rid, b.version, b.updated, b.body, b.hash FROM resource b WHERE {CURRENT} AND b.updated < $2
             UNION ALL
             SELECT b.rid, b.version, b.updated, b.body, NULL FROM resource r JOIN resource_version b USING (rid)
              WHERE {EARLIER} AND b.updated < $2
             ORDER BY 3, 1, 2 LIMIT $3"
        );
        let most = i64::try_from(PACK_BODIES + 1).unwrap_or(i64::MAX);
        let rows = all(&client, LOOKING, &sql, &[&pid, &rule.warm_before(), &most]).await?;
        let (mut out, mut bytes) = (Vec::new(), 0);
        for r in &rows {
            if out.len() >= PACK_BODIES || bytes >= PACK_BYTES {
                return Ok((out, true));
            }
            let (rid, sealed): (i64, &[u8]) = (col(r, 0, LOOKING)?, col(r, 3, LOOKING)?);
            let body = self.vault().get(Place::Resource(rid), sealed)?;
            let hash: Option<&[u8]> = col(r, 4, LOOKING)?;
            if hash.is_some_and(|h| h != body_hash(&body)) {
                return Err(StoreError::Damaged(
                    "the PostgreSQL database: a body is not that of its hash, and is not moved".to_owned(),
                ));
            }
            bytes += body.len();
            out.push(Ripe {
                size: sealed.len() as u64,
                updated: col(r, 2, LOOKING)?,
                entry: PackEntry {
                    resource: rid,
                    version: uint(col(r, 1, LOOKING)?),
                    body,
                },
            });
        }
        Ok((out, false))
    }

    async fn pack_of(&self, id: Uuid) -> Result<PackRow, StoreError> {
        Ok(pack(&self.reader().await?, id).await?)
    }

    /// Removes the files of packs whose rows went with a destroyed record.
    pub(crate) async fn drop_destroyed(&self, before: Vec<PackRow>) -> Result<(), StoreError> {
        let Some(patient) = before.first().map(|p| p.patient.clone()) else {
            return Ok(());
        };
        let left = Tiers::packs(self, PacksOf::Patient(&patient)).await?;
        for id in before
            .iter()
            .map(|p| p.id)
            .filter(|id| left.iter().all(|l| l.id != *id))
        {
            self.on_files(move |packs| packs.destroy(id)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Tiers for PostgresStore {
    async fn tiers(&self) -> Result<TierReport, StoreError> {
        Ok(report(&self.reader().await?).await?)
    }

    async fn packs(&self, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError> {
        let rows = packs(&self.reader().await?, of).await?;
        if let Ok(packs) = self.vault().packs() {
            packs.know(&rows);
        }
        Ok(rows)
    }

    async fn tiers_due(&self, rule: &TierRule, limit: usize) -> Result<Due, StoreError> {
        Ok(due(&self.reader().await?, rule, limit).await?)
    }

    async fn tiers_would(&self, rule: &TierRule) -> Result<TierCount, StoreError> {
        let mut out = TierCount::default();
        let sql = format!(
            "SELECT count(*), coalesce(sum(n), 0)::bigint FROM (
               SELECT octet_length(b.body) AS n FROM resource b WHERE {CURRENT} AND b.updated < $2
               UNION ALL SELECT octet_length(b.body) FROM resource r JOIN resource_version b USING (rid)
                WHERE {EARLIER} AND b.updated < $2) o"
        );
        let client = self.reader().await?;
        for patient in due(&client, rule, usize::MAX).await?.down {
            let Some(pid) = idle(&client, rule, &patient).await? else {
                continue;
            };
            let Some(row) = one(&client, LOOKING, &sql, &[&pid, &rule.warm_before()]).await? else {
                continue;
            };
            let bodies = uint(col(&row, 0, LOOKING)?);
            out.records += u64::from(bodies > 0);
            out.bodies += bodies;
            out.bytes += uint(col(&row, 1, LOOKING)?);
        }
        Ok(out)
    }

    async fn pack_down(
        &self,
        entry: AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        ids: [Uuid; 2],
    ) -> Result<Moved, StoreError> {
        let Some(pid) = idle(&self.reader().await?, rule, patient).await? else {
            return Ok(Moved::default());
        };
        // Once a body is in the archive nobody can make its words; what fails here is told by a search.
        if let Err(e) = self.keep_words(patient).await {
            tracing::warn!(error = %e, "the words of notes are not kept before their bodies move");
        }
        let (found, more) = self.ripe(pid, rule).await?;
        let rule = *rule;
        let laid = self
            .on_files(move |packs| packs.lay(ids, found, rule.archive_before()))
            .await?;
        let made: Vec<Uuid> = laid.iter().map(|l| l.id).collect();
        let done = self
            .tier_act(TierAct::LetGo(entry, rule, patient.clone(), laid))
            .await;
        match done {
            Ok(done) => {
                self.on_files(move |packs| packs.settle(&made, &done.known))
                    .await?;
                Ok(Moved { more, ..done.moved })
            }
            Err(e) => {
                // Whether it was committed is not known: the files stay until a run finds no row for them.
                let packs = self.vault().packs()?;
                made.into_iter().for_each(|id| packs.committed(id));
                Err(e)
            }
        }
    }

    async fn pack_away(&self, entry: AuditEntry, pack: Uuid) -> Result<bool, StoreError> {
        let row = self.pack_of(pack).await?;
        if row.tier != Tier::Warm {
            return Ok(false);
        }
        self.on_files(move |packs| packs.copy_away(pack, &row.sha256))
            .await?;
        let moved = self.tier_act(TierAct::Away(entry, pack)).await?.moved.packs;
        let row = self.pack_of(pack).await?;
        if row.tier == Tier::Archive {
            // Also when another server was first: its file here is let go of by whoever comes to that.
            self.vault().packs()?.know(&[row]);
            self.on_files(move |packs| packs.drop_warm(pack)).await?;
        }
        Ok(moved > 0)
    }

    async fn pack_home(&self, entry: AuditEntry, pack: Uuid) -> Result<u64, StoreError> {
        Ok(self.tier_act(TierAct::Home(entry, pack)).await?.moved.bodies)
    }

    async fn ask_recall(&self, entry: AuditEntry, patient: &PatientId) -> Result<Recall, StoreError> {
        let found = recall(&self.reader().await?, patient).await?;
        if !found.new {
            return Ok(found);
        }
        let act = TierAct::Ask(entry, patient.clone());
        self.tier_act(act).await?.recall.ok_or(StoreError::Closed)
    }

    async fn recall(
        &self,
        pack: Uuid,
        at: UtcMs,
        moved: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let row = self.pack_of(pack).await?;
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
        self.tier_act(TierAct::Recalled(pack, at)).await?;
        self.vault().packs()?.committed(pack);
        Ok(())
    }

    async fn check_packs(&self, whole: bool) -> Result<Vec<String>, StoreError> {
        let rows = Tiers::packs(self, PacksOf::All).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.on_files(move |packs| Ok(faults(packs, &rows, whole))).await
    }

    async fn tidy_packs(&self, home_before: UtcMs) -> Result<u64, StoreError> {
        let rows = Tiers::packs(self, PacksOf::All).await?;
        let gone = self.on_files(move |packs| Ok(gone_away(packs, &rows))).await?;
        let rows = self.tier_act(TierAct::Tidy(home_before, gone)).await?.known;
        self.on_files(move |packs| packs.tidy(&rows, SPARE)).await
    }
}

/// A store without a folder for packs has no tiers.
pub(crate) fn without() -> StoreError {
    StoreError::Refused("no folder for packs is configured: name one in archive.warm".to_owned())
}
