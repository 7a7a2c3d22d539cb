//! Copies of the originals of images: which there are, how they stand, what is due.
//!
//! Never here: files, targets. Called by the server's imaging through `vitrine_store::copies`, by `acts` for what is
//! written, and by `imaging` when a record is destroyed.

use crate::PostgresStore;
use crate::acts::Act;
use crate::group::Group;
use crate::imaging::opened;
use crate::sql::{Fault, Params, all, col, hash32, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::copies::{
    Again, Copies, CopyCount, CopyDone, CopyFile, CopyOf, CopyReport, CopyRow, CopyState, LOCAL, Sum, Which,
};
use vitrine_store::imaging::{Blob, InstanceBody};

const LISTING: &str = "listing images to be copied";
const READING: &str = "reading the copies of images";
const NOTING: &str = "noting a copy of an image";

/// Up to which target an instance must be listed to have all its rows.
const NEWEST: &str = "(SELECT coalesce(max(since), 1) FROM imaging_target)";

const COPY: &str =
    "SELECT c.no, c.target, c.sha256, c.mark, c.state, c.at, c.due, c.tries, c.bytes, c.digest, c.why,
       i.no, i.bytes, i.body, p.id, l.bytes, l.digest
  FROM imaging_copy c LEFT JOIN imaging_instance i ON i.no = c.instance
  LEFT JOIN imaging_series s ON s.no = i.series LEFT JOIN imaging_study t ON t.no = s.study
  LEFT JOIN patient p ON p.pid = t.pid
  LEFT JOIN imaging_copy l ON l.instance = c.instance AND l.target = 'local'";

/// What is written about copies.
pub(crate) enum CopyAct {
    Targets(Vec<String>),
    Mark(String, String),
    List(usize, UtcMs),
    Done(CopyDone),
    Left(u64, CopyFile),
    Again(Again, UtcMs),
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct CopiesActed {
    /// Rows it was about.
    pub rows: u64,
    /// Of a target.
    pub mark: Option<String>,
}

fn sum(r: &Row, bytes: usize, digest: usize) -> Result<Option<Sum>, Fault> {
    let bytes: Option<i64> = col(r, bytes, READING)?;
    let digest: Option<&[u8]> = col(r, digest, READING)?;
    Ok(bytes.zip(digest).map(|(bytes, digest)| Sum {
        bytes: uint(bytes),
        sha256: hash32(digest),
    }))
}

fn row(vault: &Vault, r: &Row) -> Result<CopyRow, Fault> {
    let mark: &[u8] = col(r, 3, READING)?;
    let file = CopyFile {
        sha256: hash32(col(r, 2, READING)?),
        mark: mark.try_into().unwrap_or_default(),
    };
    let mut of = None;
    if let Some(no) = col::<Option<i64>>(r, 11, READING)? {
        let body: InstanceBody = opened(vault, Place::Instance(no), col(r, 13, READING)?)?;
        of = Some(CopyOf {
            patient: parsed(PatientId::new(col::<String>(r, 14, READING)?), READING)?,
            blob: Blob {
                sha256: file.sha256,
                bytes: uint(col(r, 12, READING)?),
                key: body.key(),
            },
            uid: body.uid,
        });
    }
    Ok(CopyRow {
        no: uint(col(r, 0, READING)?),
        target: col(r, 1, READING)?,
        file,
        state: CopyState::of(col(r, 4, READING)?)?,
        at: col::<Option<i64>>(r, 5, READING)?.map(UtcMs),
        due: UtcMs(col(r, 6, READING)?),
        tries: u32::try_from(col::<i64>(r, 7, READING)?).unwrap_or(u32::MAX),
        sum: sum(r, 8, 9)?,
        why: col(r, 10, READING)?,
        of,
        original: sum(r, 15, 16)?,
    })
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The copies of instances whose records are destroyed are to go. After the instances were locked: who was listing them
/// has committed.
pub(crate) async fn forget<C: GenericClient>(c: &C, instances: &[i64]) -> Result<(), Fault> {
    let sql = "UPDATE imaging_copy SET instance = NULL, state = 5, due = 0, tries = 0, why = NULL
                WHERE instance = ANY($1)";
    run(c, "destroying a record", sql, &[&instances])
        .await
        .map(|_| ())
}

impl Group<'_> {
    /// Carries an act out. Done twice, each leaves what done once leaves.
    pub(crate) async fn copies(&mut self, act: &CopyAct) -> Result<CopiesActed, Fault> {
        let mut acted = CopiesActed::default();
        match act {
            CopyAct::Targets(names) => self.copy_targets(names).await?,
            CopyAct::Mark(name, mark) => {
                let sql = "UPDATE imaging_target SET mark = $2 WHERE name = $1 AND mark IS NULL";
                run(self.tx, NOTING, sql, &[name, mark]).await?;
                acted.mark = target_mark(self.tx, name).await?;
            }
            CopyAct::List(limit, at) => acted.rows = self.list_copies(*limit, *at).await?,
            CopyAct::Done(d) => {
                let sql = "UPDATE imaging_copy SET state = $2, at = $3, due = $4, tries = $5,
                                  bytes = coalesce($6, bytes), digest = coalesce($7, digest), why = $8
                            WHERE no = $1 AND (instance IS NULL) = ($2::bigint = 5) AND sha256 = $9 AND mark = $10
                              AND state = $11";
                let (no, state, tries) = (int(d.no), d.state.number(), i64::from(d.tries));
                let bytes = d.sum.map(|s| int(s.bytes));
                let digest = d.sum.map(|s| s.sha256.to_vec());
                let with: Params<'_> = &[
                    &no,
                    &state,
                    &d.at.0,
                    &d.due.0,
                    &tries,
                    &bytes,
                    &digest,
                    &d.why,
                    &&d.file.sha256[..],
                    &&d.file.mark[..],
                    &d.was.number(),
                ];
                acted.rows = run(self.tx, NOTING, sql, with).await?;
            }
            CopyAct::Left(no, file) => {
                let sql = "DELETE FROM imaging_copy WHERE no = $1 AND instance IS NULL AND sha256 = $2 AND mark = $3";
                acted.rows = run(
                    self.tx,
                    NOTING,
                    sql,
                    &[&int(*no), &&file.sha256[..], &&file.mark[..]],
                )
                .await?;
            }
            CopyAct::Again(which, now) => acted.rows = self.copies_again(which, *now).await?,
        }
        Ok(acted)
    }

    async fn copy_targets(&self, names: &[String]) -> Result<(), Fault> {
        // One server after the other: each new target gets a number of its own.
        let sql = "SELECT name, retired FROM imaging_target ORDER BY name FOR UPDATE";
        let mut there = Vec::new();
        for r in &all(self.tx, LISTING, sql, &[]).await? {
            there.push((col::<String>(r, 0, LISTING)?, col::<bool>(r, 1, LISTING)?));
        }
        let sql = "UPDATE imaging_target SET retired = true WHERE NOT retired AND NOT name = ANY($1)";
        run(self.tx, LISTING, sql, &[&names]).await?;
        for name in names {
            if there.iter().any(|(n, retired)| n == name && !retired) {
                continue;
            }
            let sql = format!(
                "INSERT INTO imaging_target (name, since) VALUES ($1, {NEWEST} + 1)
                 ON CONFLICT (name) DO UPDATE SET since = {NEWEST} + 1, retired = false"
            );
            run(self.tx, LISTING, &sql, &[name]).await?;
        }
        Ok(())
    }

    async fn list_copies(&self, limit: usize, at: UtcMs) -> Result<u64, Fault> {
        let newest = one(self.tx, LISTING, &format!("SELECT {NEWEST}"), &[]).await?;
        let newest: i64 = newest.map_or(Ok(1), |r| col(&r, 0, LISTING))?;
        let sql = "SELECT no, sha256, bytes, body FROM imaging_instance WHERE copies < $1 ORDER BY copies, no LIMIT $2
                     FOR UPDATE SKIP LOCKED";
        let found = all(self.tx, LISTING, sql, &[&newest, &most(limit)]).await?;
        let (mut numbers, mut digests, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for r in &found {
            let no: i64 = col(r, 0, LISTING)?;
            let body: InstanceBody = opened(self.vault, Place::Instance(no), col(r, 3, LISTING)?)?;
            let blob = Blob {
                sha256: hash32(col(r, 1, LISTING)?),
                bytes: uint(col(r, 2, LISTING)?),
                key: body.key(),
            };
            numbers.push(no);
            digests.push(blob.sha256.to_vec());
            marks.push(blob.mark().to_vec());
        }
        let sql = "INSERT INTO imaging_copy (no, instance, target, sha256, mark, state, due)
                   SELECT nextval('imaging_no'), u.no, p.name, u.sha256, u.mark, 0, $4
                     FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) u(no, sha256, mark),
                          (SELECT name FROM imaging_target WHERE NOT retired UNION ALL SELECT 'local') p
                   ON CONFLICT DO NOTHING";
        run(self.tx, LISTING, sql, &[&numbers, &digests, &marks, &at.0]).await?;
        let sql = "UPDATE imaging_instance SET copies = $2 WHERE no = ANY($1)";
        run(self.tx, LISTING, sql, &[&numbers, &newest]).await?;
        Ok(numbers.len() as u64)
    }

    async fn copies_again(&self, which: &Again, now: UtcMs) -> Result<u64, Fault> {
        let now = now.0;
        let sql = "UPDATE imaging_copy SET due = $1 WHERE due > $1 AND ";
        match which {
            Again::Verified(after, until) => {
                let sql = format!("{sql} no > $2 AND no <= $3 AND state = 1");
                run(self.tx, NOTING, &sql, &[&now, &int(*after), &int(*until)]).await
            }
            Again::Original(uid) => {
                let token = self.vault.uid_token(uid);
                let sql = format!(
                    "{sql} target = 'local' AND instance = (SELECT no FROM imaging_instance WHERE uid = $2)"
                );
                run(self.tx, NOTING, &sql, &[&now, &&token[..]]).await
            }
            Again::Failed(target) => {
                let sql = format!("{sql} target = $2 AND state <> 1 AND state <> 6 AND tries > 0");
                run(self.tx, NOTING, &sql, &[&now, target]).await
            }
        }
    }
}

async fn target_mark<C: GenericClient>(c: &C, name: &str) -> Result<Option<String>, Fault> {
    let found = one(
        c,
        READING,
        "SELECT mark FROM imaging_target WHERE name = $1",
        &[&name],
    )
    .await?;
    found.map_or(Ok(None), |r| col(&r, 0, READING))
}

impl PostgresStore {
    async fn copy_act(&self, act: CopyAct) -> Result<CopiesActed, StoreError> {
        let acted = self.act(Act::Copies(Box::new(act)), None).await?;
        acted.copies.ok_or(StoreError::Closed)
    }

    async fn copy_rows(&self, which: &str, with: Params<'_>) -> Result<Vec<CopyRow>, StoreError> {
        let client = self.reader().await?;
        let found = all(&client, READING, &format!("{COPY} WHERE {which}"), with).await?;
        let rows = found.iter().map(|r| row(self.vault(), r));
        Ok(rows.collect::<Result<_, Fault>>()?)
    }

    async fn copy_number(&self, sql: &str, with: Params<'_>) -> Result<u64, StoreError> {
        let client = self.reader().await?;
        let found = one(&client, READING, sql, with).await?;
        Ok(found.map_or(Ok(0), |r| col::<i64>(&r, 0, READING)).map(uint)?)
    }
}

#[async_trait]
impl Copies for PostgresStore {
    async fn copy_targets(&self, names: &[String]) -> Result<(), StoreError> {
        self.copy_act(CopyAct::Targets(names.to_vec())).await.map(|_| ())
    }

    async fn copy_target_mark(&self, name: &str, mark: Option<&str>) -> Result<Option<String>, StoreError> {
        match mark {
            Some(mark) => {
                let act = CopyAct::Mark(name.to_owned(), mark.to_owned());
                Ok(self.copy_act(act).await?.mark)
            }
            None => Ok(target_mark(&self.reader().await?, name).await?),
        }
    }

    async fn copies_list(&self, limit: usize, at: UtcMs) -> Result<usize, StoreError> {
        let newest = format!(
            "SELECT count(*) FROM (SELECT 1 FROM imaging_instance WHERE copies < {NEWEST} LIMIT 1) n"
        );
        // Mostly there are none: that takes no transaction.
        if self.copy_number(&newest, &[]).await? == 0 {
            return Ok(0);
        }
        let rows = self.copy_act(CopyAct::List(limit, at)).await?.rows;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    async fn copies_due(
        &self,
        target: &str,
        which: Which,
        now: UtcMs,
        limit: usize,
    ) -> Result<Vec<CopyRow>, StoreError> {
        let fits = match which {
            Which::Scrub => "c.state = 1",
            Which::Work if target == LOCAL => "c.state <> 1",
            Which::Work => "c.state <> 1 AND (c.instance IS NULL OR l.digest IS NOT NULL)",
        };
        let which = format!("{fits} AND c.target = $1 AND c.due <= $2 ORDER BY c.due, c.no LIMIT $3");
        self.copy_rows(&which, &[&target, &now.0, &most(limit)]).await
    }

    async fn copies_done(&self, done: CopyDone) -> Result<bool, StoreError> {
        Ok(self.copy_act(CopyAct::Done(done)).await?.rows > 0)
    }

    async fn copies_left(&self, no: u64, file: CopyFile) -> Result<(), StoreError> {
        self.copy_act(CopyAct::Left(no, file)).await.map(|_| ())
    }

    async fn copies_of(&self, uid: &str) -> Result<Vec<CopyRow>, StoreError> {
        let token = self.vault().uid_token(uid);
        let which = "c.instance = (SELECT no FROM imaging_instance WHERE uid = $1) ORDER BY c.no";
        self.copy_rows(which, &[&&token[..]]).await
    }

    async fn copies_report(&self) -> Result<CopyReport, StoreError> {
        let client = self.reader().await?;
        let sql =
            "SELECT target, state, count(*) FROM imaging_copy GROUP BY target, state ORDER BY target, state";
        let mut counts = Vec::new();
        for r in &all(&client, READING, sql, &[]).await? {
            counts.push(CopyCount {
                target: col(r, 0, READING)?,
                state: CopyState::of(col(r, 1, READING)?)?,
                rows: uint(col(r, 2, READING)?),
            });
        }
        drop(client);
        let lost =
            "SELECT count(*) FROM imaging_copy l WHERE l.target = 'local' AND l.state <> 1 AND l.state IN (2, 3, 6)
                AND NOT EXISTS (SELECT 1 FROM imaging_copy c WHERE c.instance = l.instance AND c.state = 1
                                   AND EXISTS (SELECT 1 FROM imaging_target t WHERE t.name = c.target AND NOT t.retired))";
        let unlisted = format!("SELECT count(*) FROM imaging_instance WHERE copies < {NEWEST}");
        Ok(CopyReport {
            counts,
            lost: self.copy_number(lost, &[]).await?,
            unlisted: self.copy_number(&unlisted, &[]).await?,
        })
    }

    async fn copies_faulty(&self, limit: usize) -> Result<Vec<CopyRow>, StoreError> {
        let which = "c.state <> 1 AND (c.state IN (2, 3, 4) OR (c.state IN (0, 5) AND c.tries > 0))
                     ORDER BY c.no LIMIT $1";
        self.copy_rows(which, &[&most(limit)]).await
    }

    async fn copies_again(&self, which: Again, now: UtcMs) -> Result<u64, StoreError> {
        Ok(self.copy_act(CopyAct::Again(which, now)).await?.rows)
    }

    async fn copies_last(&self) -> Result<u64, StoreError> {
        self.copy_number("SELECT coalesce(max(no), 0) FROM imaging_copy", &[])
            .await
    }

    async fn copies_waiting(&self, target: &str, by: UtcMs) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM imaging_copy WHERE state = 1 AND target = $1 AND due <= $2";
        self.copy_number(sql, &[&target, &by.0]).await
    }
}
