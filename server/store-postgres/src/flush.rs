//! A group's state into the database: one statement for each table, whatever the number of rows, all sent at once.
#![allow(
    clippy::type_complexity,
    reason = "columns of one statement, side by side, named by the statement"
)]

use crate::group::Group;
use crate::sql::{self, Fault, col, int, run, uint};
use crate::state::{Pat, Res};
use crate::vault::Place;
use std::collections::BTreeSet;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::StoreError;
use vitrine_store::meaning::{DEPENDENCIES, FACT, IDENTIFIERS, PERSON};
use vitrine_store::scope::chart_rank;
use vitrine_store::search::PersonWords;

const DOING: &str = "storing a resource";
const FEED: &str = "writing the change feed";
const AUDIT: &str = "appending the audit rows";

/// Columns of resources to write.
#[derive(Default)]
struct Resources<'s> {
    rid: Vec<i64>,
    kind: Vec<&'s str>,
    id: Vec<&'s str>,
    pid: Vec<Option<i64>>,
    rank: Vec<i16>,
    version: Vec<i64>,
    rev: Vec<i64>,
    updated: Vec<i64>,
    deleted: Vec<bool>,
    meaning: Vec<i64>,
    hash: Vec<Option<Vec<u8>>>,
    body: Vec<Option<Vec<u8>>>,
}

/// Columns of what resources mean.
#[derive(Default)]
struct Meanings<'s> {
    ident_rids: Vec<i64>,
    dependency_rids: Vec<i64>,
    fact_rids: Vec<i64>,
    person_pids: Vec<i64>,
    ident: (Vec<i64>, Vec<i64>, Vec<&'s str>, Vec<i64>),
    dependency: (Vec<&'s str>, Vec<&'s str>, Vec<i64>, Vec<Option<i64>>),
    fact: (
        Vec<i64>,
        Vec<i64>,
        Vec<&'s str>,
        Vec<i64>,
        Vec<i64>,
        Vec<i64>,
        Vec<Vec<u8>>,
    ),
    /// `pid`, token: one row per token.
    person: (Vec<i64>, Vec<i64>),
}

impl Group<'_> {
    /// Writes everything but the commit; gives the position of the feed after it.
    pub(crate) async fn flush(&self) -> Result<u64, Fault> {
        self.write_resources().await?;
        tokio::try_join!(self.write_patients(), self.write_tally())?;
        self.write_used().await?;
        self.write_purge().await?;
        let newest = self.write_feed().await?;
        // A COMMIT that waits for the standby must never be cancelled: it would be taken for done.
        let patient = "SELECT set_config('statement_timeout', '0', true)";
        tokio::try_join!(
            self.write_ops(newest),
            self.write_audit(),
            sql::all(self.tx, AUDIT, patient, &[])
        )?;
        Ok(newest)
    }

    /// The day on which records were used, where it is a newer one.
    async fn write_used(&self) -> Result<(), Fault> {
        if self.used.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.used.keys().map(PatientId::as_str).collect();
        let days: Vec<i64> = self.used.values().copied().collect();
        let sql = "INSERT INTO tier (pid, used, due)
                   SELECT p.pid, u.day, 0 FROM unnest($1::text[], $2::bigint[]) u(id, day)
                     JOIN patient p ON p.id = u.id ORDER BY p.pid
                   ON CONFLICT (pid) DO UPDATE SET used = greatest(tier.used, excluded.used), due = 0
                     WHERE tier.used < excluded.used OR tier.due > 0";
        run(self.tx, "noting that records were used", sql, &[&ids, &days]).await?;
        Ok(())
    }

    /// What is left of destroyed records, once their resources are deleted.
    async fn write_purge(&self) -> Result<(), Fault> {
        if self.purge.is_empty() {
            return Ok(());
        }
        let doing = "destroying a record";
        let versions = "DELETE FROM resource_version WHERE rid IN
                          (SELECT rid FROM resource WHERE pid = ANY($1) AND deleted AND pid IS NOT NULL)";
        run(self.tx, doing, versions, &[&self.purge]).await?;
        let patients = "UPDATE patient SET destroyed = true WHERE pid = ANY($1)";
        run(self.tx, doing, patients, &[&self.purge]).await?;
        crate::imaging::forget(self.tx, &self.purge).await?;
        crate::messages::forget(self.tx, &self.purge).await?;
        // After the patient's row: who kept words before it was locked has committed them by now.
        for table in ["note_word", "note"] {
            let words = format!(
                "DELETE FROM {table} WHERE pid = ANY($1)
                    OR rid IN (SELECT rid FROM resource WHERE pid = ANY($1) AND deleted AND pid IS NOT NULL)"
            );
            run(self.tx, doing, &words, &[&self.purge]).await?;
        }
        run(
            self.tx,
            doing,
            "DELETE FROM pack WHERE pid = ANY($1)",
            &[&self.purge],
        )
        .await?;
        run(
            self.tx,
            doing,
            "DELETE FROM tier WHERE pid = ANY($1)",
            &[&self.purge],
        )
        .await?;
        Ok(())
    }

    fn written(&self) -> impl Iterator<Item = (&ResourceKey, &Res)> {
        self.state
            .resources
            .iter()
            .filter_map(|(k, r)| Some((k, r.as_ref()?)))
            .filter(|(_, r)| r.written || r.out.is_some())
    }

    fn pid_of(&self, patient: Option<&PatientId>) -> Option<i64> {
        self.state.patients.get(patient?).map(|p| p.pid)
    }

    async fn write_resources(&self) -> Result<(), Fault> {
        let (mut new, mut changed) = (Resources::default(), Resources::default());
        let mut kept = Vec::new();
        let mut past: (Vec<i64>, Vec<i64>, Vec<i64>, Vec<bool>, Vec<Option<Vec<u8>>>) = Default::default();
        let mut meanings = Meanings::default();
        let mut any = false;
        for (key, r) in self.written() {
            any = true;
            if r.keep_base {
                kept.push(r.rid);
            }
            for old in &r.past {
                past.0.push(r.rid);
                past.1.push(int(old.version));
                past.2.push(old.updated);
                past.3.push(old.deleted);
                past.4.push(self.sealed(r.rid, old.packed.as_deref())?);
            }
            self.push(if r.new { &mut new } else { &mut changed }, key, r)?;
            self.mean(&mut meanings, key, r)?;
        }
        if !any {
            return Ok(());
        }
        let tx = self.tx;
        // Before their row is written over.
        if !kept.is_empty() {
            let keep = "INSERT INTO resource_version (rid, version, updated, deleted, body)
                        SELECT rid, version, updated, deleted, body FROM resource WHERE rid = ANY($1)";
            run(tx, "keeping the version before", keep, &[&kept]).await?;
        }
        let keep_past = async {
            if past.0.is_empty() {
                return Ok(0);
            }
            let sql = "INSERT INTO resource_version (rid, version, updated, deleted, body)
                       SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bytea[])";
            run(tx, DOING, sql, &[&past.0, &past.1, &past.2, &past.3, &past.4]).await
        };
        tokio::try_join!(
            keep_past,
            insert(tx, &new),
            update(tx, &changed),
            self.write_meanings(&meanings)
        )?;
        Ok(())
    }

    fn sealed(&self, rid: i64, packed: Option<&[u8]>) -> Result<Option<Vec<u8>>, StoreError> {
        packed
            .map(|p| self.vault.seal(Place::Resource(rid), p))
            .transpose()
    }

    fn push<'s>(&'s self, to: &mut Resources<'s>, key: &'s ResourceKey, r: &Res) -> Result<(), StoreError> {
        to.rid.push(r.rid);
        to.kind.push(key.kind.as_str());
        to.id.push(key.id.as_str());
        to.pid.push(self.pid_of(r.patient.as_ref()));
        to.rank.push(i16::from(chart_rank(key.kind.as_str())));
        to.version.push(int(r.version));
        to.rev.push(r.rev);
        to.updated.push(r.updated);
        to.deleted.push(r.deleted);
        to.meaning.push(r.meaning);
        to.hash.push(r.hash.map(|h| h.to_vec()));
        // A resource that is only extracted anew keeps its row's body.
        to.body.push(if r.written {
            self.sealed(r.rid, r.packed.as_deref())?
        } else {
            None
        });
        Ok(())
    }

    fn mean<'s>(&'s self, to: &mut Meanings<'s>, key: &'s ResourceKey, r: &'s Res) -> Result<(), StoreError> {
        if r.base_meaning & IDENTIFIERS != 0 {
            to.ident_rids.push(r.rid);
        }
        if r.base_meaning & DEPENDENCIES != 0 {
            to.dependency_rids.push(r.rid);
        }
        if r.base_meaning & FACT != 0 {
            to.fact_rids.push(r.rid);
        }
        let pid = self.pid_of(r.patient.as_ref());
        if (r.base_meaning | r.meaning) & PERSON != 0 {
            to.person_pids.extend(pid);
        }
        let Some(out) = r.out.as_ref().filter(|_| !r.deleted) else {
            return Ok(());
        };
        for (system, value) in &out.identifiers {
            to.ident.0.push(self.vault.value_token(value));
            to.ident.1.push(self.vault.both_token(system, value));
            to.ident.2.push(key.kind.as_str());
            to.ident.3.push(r.rid);
        }
        for on in &out.resolved {
            to.dependency.0.push(on.key.kind.as_str());
            to.dependency.1.push(on.key.id.as_str());
            to.dependency.2.push(r.rid);
            to.dependency.3.push(on.version.map(int));
        }
        if let (Some(f), Some(pid)) = (&out.fact, pid) {
            to.fact.0.push(r.rid);
            to.fact.1.push(pid);
            to.fact.2.push(&f.slot);
            to.fact.3.push(f.order_ms);
            to.fact.4.push(i64::from(f.keep));
            to.fact.5.push(int(r.version));
            to.fact.6.push(self.vault.put(Place::Fact(r.rid), &f.body)?);
        }
        if let (Some(person), Some(pid)) = (&out.person, pid) {
            for token in self.vault.person_tokens(&PersonWords::of(person)) {
                to.person.0.push(pid);
                to.person.1.push(token);
            }
        }
        Ok(())
    }

    async fn write_meanings(&self, m: &Meanings<'_>) -> Result<(), Fault> {
        let tx = self.tx;
        let forget = |sql: &'static str, ids: &'_ [i64]| {
            let ids = ids.to_vec();
            async move {
                if ids.is_empty() {
                    return Ok(0);
                }
                run(tx, DOING, sql, &[&ids]).await
            }
        };
        tokio::try_join!(
            forget("DELETE FROM ident WHERE rid = ANY($1)", &m.ident_rids),
            forget("DELETE FROM dependency WHERE rid = ANY($1)", &m.dependency_rids),
            forget("DELETE FROM fact WHERE rid = ANY($1)", &m.fact_rids),
            forget("DELETE FROM person WHERE pid = ANY($1)", &m.person_pids),
        )?;
        let (i, d, f, p) = (&m.ident, &m.dependency, &m.fact, &m.person);
        let idents = async {
            if i.0.is_empty() {
                return Ok(0);
            }
            let sql = "INSERT INTO ident (value, pair, kind, rid)
                       SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING";
            run(tx, DOING, sql, &[&i.0, &i.1, &i.2, &i.3]).await
        };
        let dependencies = async {
            if d.0.is_empty() {
                return Ok(0);
            }
            let sql = "INSERT INTO dependency (on_kind, on_id, rid, version)
                       SELECT DISTINCT ON (k, i, r) * FROM
                         unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) u(k, i, r, v)";
            run(tx, DOING, sql, &[&d.0, &d.1, &d.2, &d.3]).await
        };
        let facts = async {
            if f.0.is_empty() {
                return Ok(0);
            }
            let sql = "INSERT INTO fact (rid, pid, slot, order_ms, keep, version, body)
                       SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
                                            $6::bigint[], $7::bytea[])";
            run(tx, DOING, sql, &[&f.0, &f.1, &f.2, &f.3, &f.4, &f.5, &f.6]).await
        };
        let persons = async {
            if p.0.is_empty() {
                return Ok(0);
            }
            let sql = "INSERT INTO person (pid, tokens, form)
                       SELECT pid, array_agg(DISTINCT token), 1 FROM unnest($1::bigint[], $2::bigint[]) u(pid, token)
                        GROUP BY pid ON CONFLICT (pid) DO UPDATE SET tokens = excluded.tokens, form = excluded.form";
            run(tx, DOING, sql, &[&p.0, &p.1]).await
        };
        tokio::try_join!(idents, dependencies, facts, persons)?;
        Ok(())
    }

    async fn write_patients(&self) -> Result<(), Fault> {
        let tx = self.tx;
        let pats: Vec<(&PatientId, &Pat)> = self.state.patients.iter().collect();
        let mut revs: (Vec<i64>, Vec<i64>, Vec<i64>) = Default::default();
        for (_, p) in pats.iter().filter(|(_, p)| p.written) {
            revs.0.push(p.pid);
            revs.1.push(p.rev);
            revs.2.push(p.live);
        }
        let revisions = async {
            if revs.0.is_empty() {
                return Ok(0);
            }
            let sql = "UPDATE patient p SET rev = u.rev, live = u.live
                         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) u(pid, rev, live) WHERE p.pid = u.pid";
            run(tx, DOING, sql, &[&revs.0, &revs.1, &revs.2]).await
        };
        tokio::try_join!(
            revisions,
            self.write_cards(&pats),
            self.write_members(&pats),
            self.write_boards(&pats)
        )?;
        Ok(())
    }

    async fn write_cards(&self, pats: &[(&PatientId, &Pat)]) -> Result<(), Fault> {
        let mut c: (
            Vec<i64>,
            Vec<i64>,
            Vec<bool>,
            Vec<i64>,
            Vec<Option<i64>>,
            Vec<Option<Vec<u8>>>,
            Vec<Option<Vec<u8>>>,
            Vec<bool>,
        ) = Default::default();
        for (_, p) in pats {
            let Some(card) = p.card.as_ref().filter(|c| c.written) else {
                continue;
            };
            let body = match &card.body {
                Some(Some(b)) => Some(self.vault.put(Place::Card(p.pid), b)?),
                _ => None,
            };
            c.0.push(p.pid);
            c.1.push(int(card.ver));
            c.2.push(card.live);
            c.3.push(card.updated);
            c.4.push(card.ward);
            c.5.push(card.hash.map(|h| h.to_vec()));
            c.6.push(body);
            c.7.push(card.body.is_some());
        }
        if c.0.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO card AS c (pid, ver, live, updated, ward, hash, body)
                   SELECT pid, ver, live, updated, ward, hash, body FROM
                     unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bytea[],
                            $7::bytea[], $8::boolean[]) u(pid, ver, live, updated, ward, hash, body, has_body)
                    WHERE has_body
                   ON CONFLICT (pid) DO UPDATE SET ver = excluded.ver, live = excluded.live,
                     updated = excluded.updated, ward = excluded.ward, hash = excluded.hash, body = excluded.body";
        run(
            self.tx,
            DOING,
            sql,
            &[&c.0, &c.1, &c.2, &c.3, &c.4, &c.5, &c.6, &c.7],
        )
        .await?;
        if c.7.iter().any(|has| !has) {
            let sql = "UPDATE card c SET ward = u.ward
                         FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) u(pid, ward, has_body)
                        WHERE c.pid = u.pid AND NOT has_body";
            run(self.tx, DOING, sql, &[&c.0, &c.4, &c.7]).await?;
        }
        Ok(())
    }

    async fn write_members(&self, pats: &[(&PatientId, &Pat)]) -> Result<(), Fault> {
        let mut gone: (Vec<i64>, Vec<i64>) = Default::default();
        let mut put: (Vec<i64>, Vec<&str>, Vec<i64>, Vec<i64>) = Default::default();
        for (id, p) in pats {
            for w in p.base_members.keys().filter(|w| !p.members.contains_key(w)) {
                gone.0.push(*w);
                gone.1.push(p.pid);
            }
            for (w, ver) in p.members.iter().filter(|(w, v)| p.base_members.get(w) != Some(v)) {
                put.0.push(*w);
                put.1.push(id.as_str());
                put.2.push(p.pid);
                put.3.push(int(*ver));
            }
        }
        if !gone.0.is_empty() {
            let sql = "DELETE FROM ess_member m USING unnest($1::bigint[], $2::bigint[]) u(ward, pid)
                        WHERE m.ward = u.ward AND m.pid = u.pid";
            run(self.tx, DOING, sql, &[&gone.0, &gone.1]).await?;
        }
        if !put.0.is_empty() {
            let sql = "INSERT INTO ess_member (ward, id, pid, ver)
                       SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
                       ON CONFLICT (ward, id) DO UPDATE SET ver = excluded.ver";
            run(self.tx, DOING, sql, &[&put.0, &put.1, &put.2, &put.3]).await?;
        }
        Ok(())
    }

    async fn write_boards(&self, pats: &[(&PatientId, &Pat)]) -> Result<(), Fault> {
        let mut b: (
            Vec<i64>,
            Vec<Option<i64>>,
            Vec<i64>,
            Vec<Option<Vec<u8>>>,
            Vec<Option<Vec<u8>>>,
        ) = Default::default();
        for (_, p) in pats {
            let Some(board) = p.board.as_ref().filter(|b| b.written) else {
                continue;
            };
            let body = match &board.body {
                Some(Some(bytes)) => Some(self.vault.put(Place::Board(p.pid), bytes)?),
                _ => None,
            };
            b.0.push(p.pid);
            b.1.push(board.ward);
            b.2.push(int(board.ver));
            b.3.push(board.hash.map(|h| h.to_vec()));
            b.4.push(body);
        }
        if b.0.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO board (pid, ward, ver, hash, body)
                   SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[])
                   ON CONFLICT (pid) DO UPDATE SET ward = excluded.ward, ver = excluded.ver, hash = excluded.hash,
                     body = excluded.body";
        run(self.tx, DOING, sql, &[&b.0, &b.1, &b.2, &b.3, &b.4]).await?;
        Ok(())
    }

    async fn write_tally(&self) -> Result<(), Fault> {
        let mut names: BTreeSet<(&str, i64)> = BTreeSet::new();
        names.extend(
            self.state
                .tally
                .iter()
                .filter(|(_, n)| **n != 0)
                .map(|(k, n)| (k.as_str(), *n)),
        );
        if names.is_empty() {
            return Ok(());
        }
        let (names, counts): (Vec<&str>, Vec<i64>) = names.into_iter().unzip();
        let sql = "INSERT INTO tally AS t (name, chain, n) SELECT name, $3, n FROM unnest($1::text[], $2::bigint[]) u(name, n)
                   ON CONFLICT (name, chain) DO UPDATE SET n = t.n + excluded.n";
        run(self.tx, DOING, sql, &[&names, &counts, &self.chain]).await?;
        Ok(())
    }

    /// The feed's rows. The lock is taken as late as can be and goes with the commit.
    async fn write_feed(&self) -> Result<u64, Fault> {
        if self.state.feed.is_empty() {
            // Nothing of this group is in the feed: what is there is where it stands.
            let row = sql::one(self.tx, FEED, crate::feed::NEWEST, &[]).await?;
            return row.map_or(Ok(0), |r| Ok(uint(col(&r, 0, FEED)?)));
        }
        let row = sql::one(self.tx, FEED, "SELECT feed_lock()", &[]).await?;
        let newest: i64 = match row {
            Some(r) => col(&r, 0, FEED)?,
            None => 0,
        };
        let rows = &self.state.feed;
        let count = i64::try_from(rows.len()).unwrap_or(0);
        let scope: Vec<i64> = rows.iter().map(|r| r.scope).collect();
        let of: Vec<i64> = rows.iter().map(|r| r.of).collect();
        let prev: Vec<i64> = rows.iter().map(|r| r.prev).collect();
        let ver: Vec<i64> = rows.iter().map(|r| r.ver).collect();
        let tomb: Vec<bool> = rows.iter().map(|r| r.tomb).collect();
        let sql = "INSERT INTO change_log (pos, scope, ref, prev, ver, tomb)
                   SELECT $6 + n, s, o, p, v, t
                     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[])
                          WITH ORDINALITY u(s, o, p, v, t, n)";
        run(self.tx, FEED, sql, &[&scope, &of, &prev, &ver, &tomb, &newest]).await?;
        Ok(uint(newest + count))
    }

    async fn write_ops(&self, newest: u64) -> Result<(), Fault> {
        let new: Vec<_> = self.ops.iter().filter(|(_, k)| k.pos.is_none()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<uuid::Uuid> = new.iter().map(|(id, _)| **id).collect();
        let digests: Vec<&[u8]> = new.iter().map(|(_, k)| &k.digest[..]).collect();
        let results: Vec<&[u8]> = new.iter().map(|(_, k)| &k.result[..]).collect();
        let sql = "INSERT INTO op (id, digest, pos, result)
                   SELECT id, digest, $4, result FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) u(id, digest, result)";
        run(
            self.tx,
            "keeping the operation ids",
            sql,
            &[&ids, &digests, &results, &int(newest)],
        )
        .await?;
        Ok(())
    }

    async fn write_audit(&self) -> Result<(), Fault> {
        if self.audit.is_empty() {
            return Ok(());
        }
        let seq: Vec<i64> = self.audit.iter().map(|r| int(r.seq)).collect();
        let at: Vec<i64> = self.audit.iter().map(|r| r.at).collect();
        let hash: Vec<&[u8]> = self.audit.iter().map(|r| &r.hash[..]).collect();
        let body: Vec<&[u8]> = self.audit.iter().map(|r| &r.body[..]).collect();
        let rows = "INSERT INTO audit (chain, seq, at, hash, body)
                    SELECT $5, seq, at, hash, body
                      FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[]) u(seq, at, hash, body)";
        let head = "UPDATE audit_head SET seq = $2, hash = $3 WHERE chain = $1";
        let rows_with: sql::Params<'_> = &[&seq, &at, &hash, &body, &self.chain];
        let (head_seq, head_hash) = (int(self.head.seq), &self.head.hash[..]);
        let head_with: sql::Params<'_> = &[&self.chain, &head_seq, &head_hash];
        tokio::try_join!(
            run(self.tx, AUDIT, rows, rows_with),
            run(self.tx, AUDIT, head, head_with),
            self.found.write(self.tx),
            crate::audit_find::indexed(self.tx, self.chain_no, self.began, self.head.seq),
        )?;
        Ok(())
    }
}

async fn insert(tx: &deadpool_postgres::Transaction<'_>, r: &Resources<'_>) -> Result<(), Fault> {
    if r.rid.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO resource (rid, kind, id, pid, rank, version, rev, updated, deleted, meaning, hash, body)
               SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::smallint[], $6::bigint[],
                 $7::bigint[], $8::bigint[], $9::boolean[], $10::bigint[], $11::bytea[], $12::bytea[]) ORDER BY 1";
    run(
        tx,
        DOING,
        sql,
        &[
            &r.rid, &r.kind, &r.id, &r.pid, &r.rank, &r.version, &r.rev, &r.updated, &r.deleted, &r.meaning,
            &r.hash, &r.body,
        ],
    )
    .await?;
    Ok(())
}

async fn update(tx: &deadpool_postgres::Transaction<'_>, r: &Resources<'_>) -> Result<(), Fault> {
    if r.rid.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE resource r SET pid = u.pid, version = u.version, rev = u.rev, updated = u.updated,
                 deleted = u.deleted, meaning = u.meaning, hash = u.hash,
                 body = CASE WHEN r.version = u.version THEN r.body ELSE u.body END
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                   $7::bigint[], $8::bytea[], $9::bytea[])
                   u(rid, pid, version, rev, updated, deleted, meaning, hash, body)
                WHERE r.rid = u.rid";
    run(
        tx,
        DOING,
        sql,
        &[
            &r.rid, &r.pid, &r.version, &r.rev, &r.updated, &r.deleted, &r.meaning, &r.hash, &r.body,
        ],
    )
    .await?;
    Ok(())
}
